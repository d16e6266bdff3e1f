//! People: let in, changed and sent away by admins; each looks after their own password and second factor.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use super::error::{ApiError, ProblemLine};
use super::extract::{FromJson, FromPath, FromQuery};
use super::page::WhyQuery;
use super::session::{SessionView, person};
use super::state::Api;
use crate::access::roles::{CanManageUsers, CanOwnAccount, Role, Scopes};
use crate::access::{Operator, Refused, password, totp, users};
use crate::envelope::ids::UserId;
use crate::observe::Event;
use crate::store::accounts::{UserChange, UserRow};
use crate::store::books::{KeptAnswer, Shown};
use crate::store::view::Page;
use crate::store::write::Act;

/// Body of a new person.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewUserBody {
    name: String,
    #[serde(default)]
    email: String,
    role: String,
    /// None: they come in by an identity provider, or are given one later.
    password: Option<String>,
    #[serde(default)]
    reason: String,
}

/// What changes about a person; what is not named stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserPatch {
    email: Option<String>,
    role: Option<String>,
    disabled: Option<bool>,
    password: Option<String>,
    #[serde(default)]
    reason: String,
}

/// One's own new password.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordBody {
    current: String,
    new: String,
}

/// One's own password again.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProofBody {
    password: String,
}

/// A code of one's own second factor.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeBody {
    code: String,
}

/// A second factor that waits for its first code; shown this once.
#[derive(Debug, Serialize)]
pub struct EnrolledTotp {
    secret: String,
    address: String,
}

/// Codes to fall back on; shown this once.
#[derive(Debug, Serialize)]
pub struct RecoveryCodes {
    recovery_codes: Vec<String>,
}

/// `GET /users`
pub async fn list(
    _operator: Operator<CanManageUsers>,
    State(api): State<Api>,
) -> Result<Json<Page<UserRow>>, ApiError> {
    Ok(Json(Page { items: api.store.users().await?, next_cursor: None }))
}

/// `GET /users/{id}`
pub async fn show(
    _operator: Operator<CanManageUsers>,
    State(api): State<Api>,
    FromPath(id): FromPath<UserId>,
) -> Result<Json<UserRow>, ApiError> {
    Ok(Json(known(&api, id).await?))
}

/// `POST /users`
pub async fn create(
    operator: Operator<CanManageUsers>,
    State(api): State<Api>,
    FromJson(body): FromJson<NewUserBody>,
) -> Result<(StatusCode, Json<UserRow>), ApiError> {
    let role = role_of(&operator, &body.role)?;
    users::check_name(&body.name).map_err(|invalid| refused("/name", invalid))?;
    let phc = match &body.password {
        Some(password) => Some(hashed(&api, password, &body.name).await?),
        None => None,
    };
    let now = api.clock.now();
    let user = users::new(&body.name, &body.email, role, phc, now, &*api.entropy)
        .map_err(|invalid| refused("/email", invalid))?;
    let id = user.id;
    let mut act = operator.act("user.create", id, now);
    (act.after, act.reason) = (users::told(&user), body.reason);
    let shown = UserRow {
        id,
        name: user.name.clone(),
        email: user.email.clone(),
        role: user.role.clone(),
        password: user.password.is_some(),
        totp: false,
        recovery_codes: 0,
        vouched_for: false,
        issuer: None,
        created_at: now,
        disabled_at: None,
        last_login_at: None,
    };
    api.store.create_user(user, act).await?;
    note(&api, &operator, "user.create", id);
    Ok((StatusCode::CREATED, Json(shown)))
}

/// `PATCH /users/{id}`
pub async fn change(
    operator: Operator<CanManageUsers>,
    State(api): State<Api>,
    FromPath(id): FromPath<UserId>,
    FromJson(body): FromJson<UserPatch>,
) -> Result<Json<UserRow>, ApiError> {
    let user = reached(&api, &operator, id).await?;
    let mut changes = Vec::new();
    if let Some(email) = body.email {
        users::check_email(&email).map_err(|invalid| refused("/email", invalid))?;
        changes.push(UserChange::Email(email));
    }
    if let Some(role) = body.role {
        let role = role_of(&operator, &role)?;
        changes.push(UserChange::Role(role.as_str().to_owned()));
    }
    if let Some(disabled) = body.disabled {
        changes.push(UserChange::Disabled(disabled));
    }
    if let Some(password) = body.password {
        changes.push(UserChange::Password(hashed(&api, &password, &user.name).await?));
    }
    if changes.is_empty() {
        return Err(refused("", "name what changes: email, role, disabled or password"));
    }
    let mut act = operator.act("user.change", id, api.clock.now());
    (act.before, act.after) = users::changes_told(&user, &changes);
    act.reason = body.reason;
    api.store.change_user(id, changes, act).await?;
    note(&api, &operator, "user.change", id);
    Ok(Json(known(&api, id).await?))
}

/// `DELETE /users/{id}`
pub async fn remove(
    operator: Operator<CanManageUsers>,
    State(api): State<Api>,
    FromPath(id): FromPath<UserId>,
    FromQuery(why): FromQuery<WhyQuery>,
) -> Result<StatusCode, ApiError> {
    let user = reached(&api, &operator, id).await?;
    let mut act = operator.act("user.remove", id, api.clock.now());
    act.before = serde_json::json!({ "name": user.name, "role": user.role }).to_string();
    act.after = serde_json::json!({ "removed": true }).to_string();
    act.reason = why.reason;
    keep_empty(&operator, &mut act);
    api.store.remove_user(id, act).await?;
    note(&api, &operator, "user.remove", id);
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /users/{id}/sessions`
pub async fn sign_out(
    operator: Operator<CanManageUsers>,
    State(api): State<Api>,
    FromPath(id): FromPath<UserId>,
    FromQuery(why): FromQuery<WhyQuery>,
) -> Result<StatusCode, ApiError> {
    taken(&api, &operator, id, UserChange::SignOut, ("session.end_all", why.reason)).await
}

/// `DELETE /users/{id}/totp`
pub async fn reset_totp(
    operator: Operator<CanManageUsers>,
    State(api): State<Api>,
    FromPath(id): FromPath<UserId>,
    FromQuery(why): FromQuery<WhyQuery>,
) -> Result<StatusCode, ApiError> {
    taken(&api, &operator, id, UserChange::TotpRemove, ("user.second_factor", why.reason)).await
}

/// `POST /users/me/password`
pub async fn own_password(
    operator: Operator<CanOwnAccount>,
    State(api): State<Api>,
    headers: HeaderMap,
    FromJson(body): FromJson<PasswordBody>,
) -> Result<Response, ApiError> {
    let signed_in = person(&operator)?;
    let changed = api.access.change_password(signed_in, (&body.current, &body.new), operator.from()).await;
    let begun = changed.map_err(|why| own(why, "/current", "/new"))?;
    let cookie = api.access.cookie(&headers, &begun.secret);
    Ok(([(header::SET_COOKIE, cookie)], Json(SessionView::of(&begun.signed_in))).into_response())
}

/// `POST /users/me/totp`
pub async fn enrol_totp(
    operator: Operator<CanOwnAccount>,
    State(api): State<Api>,
    FromJson(body): FromJson<ProofBody>,
) -> Result<Json<EnrolledTotp>, ApiError> {
    let signed_in = person(&operator)?;
    let secret = api.access.enrol_totp(signed_in, &body.password, operator.from()).await;
    let secret = secret.map_err(|why| own(why, "/password", "/password"))?;
    let address = totp::address(&secret, &signed_in.user.name);
    Ok(Json(EnrolledTotp { secret: totp::shown(&secret), address }))
}

/// `POST /users/me/totp/confirm`
pub async fn confirm_totp(
    operator: Operator<CanOwnAccount>,
    State(api): State<Api>,
    FromJson(body): FromJson<CodeBody>,
) -> Result<Json<RecoveryCodes>, ApiError> {
    let codes = api.access.confirm_totp(person(&operator)?, &body.code, operator.from()).await;
    Ok(Json(RecoveryCodes { recovery_codes: codes.map_err(|why| own(why, "/code", "/code"))? }))
}

/// `POST /users/me/totp/remove`
pub async fn remove_totp(
    operator: Operator<CanOwnAccount>,
    State(api): State<Api>,
    FromJson(body): FromJson<ProofBody>,
) -> Result<StatusCode, ApiError> {
    let removed = api.access.remove_totp(person(&operator)?, &body.password, operator.from()).await;
    removed.map_err(|why| own(why, "/password", "/password"))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes something from a person.
async fn taken(
    api: &Api,
    operator: &Operator<CanManageUsers>,
    id: UserId,
    change: UserChange,
    (action, reason): (&'static str, String),
) -> Result<StatusCode, ApiError> {
    let user = reached(api, operator, id).await?;
    let changes = vec![change];
    let mut act = operator.act(action, id, api.clock.now());
    (act.before, act.after) = users::changes_told(&user, &changes);
    act.reason = reason;
    keep_empty(operator, &mut act);
    api.store.change_user(id, changes, act).await?;
    note(api, operator, action, id);
    Ok(StatusCode::NO_CONTENT)
}

fn keep_empty(operator: &Operator<CanManageUsers>, act: &mut Act) {
    let gone = KeptAnswer { status: 204, headers: Vec::new(), body: bytes::Bytes::new() };
    act.keep = operator.ticket().map(|ticket| ticket.keep(Shown::Kept, Arc::new(move |_| gone.clone())));
}

async fn known(api: &Api, id: UserId) -> Result<UserRow, ApiError> {
    let known = api.store.users().await?.into_iter().find(|user| user.id == id);
    known.ok_or_else(|| ApiError::not_found(id.to_string()))
}

/// A person whom the caller may change: whoever may do more than the caller is out of reach.
async fn reached(api: &Api, operator: &Operator<CanManageUsers>, id: UserId) -> Result<UserRow, ApiError> {
    let user = known(api, id).await?;
    if let Ok(role) = user.role.parse::<Role>() {
        covered(operator, role)?;
    }
    Ok(user)
}

fn role_of(operator: &Operator<CanManageUsers>, word: &str) -> Result<Role, ApiError> {
    let role = word.parse().map_err(|_| refused("/role", "viewer, operator, mapper, finance or admin"))?;
    covered(operator, role)?;
    Ok(role)
}

fn covered(operator: &Operator<CanManageUsers>, role: Role) -> Result<(), ApiError> {
    if operator.caller().covers(role, &Scopes::default()) {
        return Ok(());
    }
    Err(refused(
        "/role",
        format!("the role {role} may do more than you: only somebody who may do as much can change it"),
    ))
}

async fn hashed(api: &Api, password: &str, name: &str) -> Result<String, ApiError> {
    password::check(password, name).map_err(|weak| refused("/password", weak))?;
    api.access.hasher.hash(password).await.map_err(|busy| Refused::Busy(busy).into())
}

/// What was refused of one's own account: a wrong proof is no reason to think that the session ended.
fn own(why: Refused, proof: &str, new: &str) -> ApiError {
    match why {
        Refused::Credentials => refused(proof, "is not right"),
        Refused::Weak(weak) => refused(new, weak),
        other => other.into(),
    }
}

fn refused(path: &str, message: impl std::fmt::Display) -> ApiError {
    ApiError::unprocessable("nothing was changed", vec![ProblemLine::new(path, message.to_string())])
}

fn note(api: &Api, operator: &Operator<CanManageUsers>, action: &'static str, id: UserId) {
    let (actor, target) = (operator.actor().to_string(), id.to_string());
    api.observer.note(&Event::OperatorActed { actor: &actor, action, target: &target });
}
