//! API tokens: seen, made and revoked by admins.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::error::{ApiError, ProblemLine};
use super::extract::{FromJson, FromPath, FromQuery};
use super::page::WhyQuery;
use super::state::Api;
use crate::access::Operator;
use crate::access::roles::{CanManageTokens, Role, Scopes};
use crate::access::tokens::mint;
use crate::clock::Timestamp;
use crate::envelope::ids::TokenId;
use crate::observe::Event;
use crate::store::books::{KeptAnswer, Shown};
use crate::store::view::{Page, TokenRow};

/// Body of a new token.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewTokenBody {
    name: String,
    role: String,
    #[serde(default)]
    scopes: Vec<String>,
    expires_at: Option<Timestamp>,
    #[serde(default)]
    reason: String,
}

/// A new token with its secret, which is shown this once.
#[derive(Clone, Debug, Serialize)]
pub struct CreatedToken {
    id: TokenId,
    name: String,
    role: Role,
    scopes: Scopes,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    /// `None` in the answer to a repeat: it is kept nowhere.
    secret: Option<String>,
}

/// `GET /tokens`
pub async fn list(
    _operator: Operator<CanManageTokens>,
    State(api): State<Api>,
) -> Result<Json<Page<TokenRow>>, ApiError> {
    Ok(Json(Page { items: api.store.tokens().await?, next_cursor: None }))
}

/// `POST /tokens`
pub async fn create(
    operator: Operator<CanManageTokens>,
    State(api): State<Api>,
    FromJson(body): FromJson<NewTokenBody>,
) -> Result<(StatusCode, Json<CreatedToken>), ApiError> {
    let now = api.clock.now();
    let refused = |path: &str, message: String| {
        ApiError::unprocessable("the token was not made", vec![ProblemLine::new(path, message)])
    };
    let role: Role =
        body.role.parse().map_err(|_| refused("/role", "viewer, operator, mapper, finance or admin".to_owned()))?;
    let scopes = Scopes::narrow(role, body.scopes.iter().map(String::as_str))
        .map_err(|invalid| refused("/scopes", invalid.to_string()))?;
    if !operator.caller().covers(role, &scopes) {
        let message = "the token would be allowed more than you are: narrow it with scopes".to_owned();
        return Err(refused("/scopes", message));
    }
    if body.expires_at.is_some_and(|at| at <= now) {
        return Err(refused("/expires_at", "lies in the past".to_owned()));
    }
    let (secret, token) = mint(&body.name, (role, &scopes), body.expires_at, now, &*api.entropy)
        .map_err(|invalid| refused("/name", invalid.to_string()))?;
    let created = CreatedToken {
        id: token.id,
        name: token.name.clone(),
        role,
        scopes: scopes.clone(),
        created_at: now,
        expires_at: body.expires_at,
        secret: Some(secret.reveal().to_owned()),
    };
    let mut act = operator.act("token.create", token.id, now);
    act.after = serde_json::json!({ "name": token.name, "role": role, "scopes": scopes }).to_string();
    act.reason = body.reason;
    // The secret is shown to the first caller alone: what is kept would be a second place to steal it from.
    let without_secret =
        KeptAnswer { status: 201, ..KeptAnswer::json(&CreatedToken { secret: None, ..created.clone() }) };
    act.keep = operator.ticket().map(|ticket| ticket.keep(Shown::Secret, Arc::new(move |_| without_secret.clone())));
    api.store.create_token(token, act).await?;
    note(&api, &operator, "token.create", created.id);
    Ok((StatusCode::CREATED, Json(created)))
}

/// `DELETE /tokens/{id}`
pub async fn revoke(
    operator: Operator<CanManageTokens>,
    State(api): State<Api>,
    FromPath(id): FromPath<TokenId>,
    FromQuery(why): FromQuery<WhyQuery>,
) -> Result<StatusCode, ApiError> {
    let known = api.store.tokens().await?.into_iter().find(|token| token.id == id);
    let mut act = operator.act("token.revoke", id, api.clock.now());
    act.before = known
        .map(|token| serde_json::json!({ "name": token.name, "role": token.role }).to_string())
        .unwrap_or_default();
    act.after = serde_json::json!({ "revoked": true }).to_string();
    act.reason = why.reason;
    let gone = KeptAnswer { status: 204, headers: Vec::new(), body: bytes::Bytes::new() };
    act.keep = operator.ticket().map(|ticket| ticket.keep(Shown::Kept, Arc::new(move |_| gone.clone())));
    api.store.revoke_token(id, act).await?;
    api.access.tokens.forget();
    note(&api, &operator, "token.revoke", id);
    Ok(StatusCode::NO_CONTENT)
}

fn note(api: &Api, operator: &Operator<CanManageTokens>, action: &'static str, id: TokenId) {
    let (actor, target) = (operator.actor().to_string(), id.to_string());
    api.observer.note(&Event::OperatorActed { actor: &actor, action, target: &target });
}
