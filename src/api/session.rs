//! Signing in and out (API-4).

use axum::Json;
use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::error::{ApiError, Kind};
use super::extract::{FromJson, FromQuery, address};
use super::state::Api;
use crate::access::caller::Identity;
use crate::access::roles::{CanOwnAccount, Permission};
use crate::access::session::{SessionSecret, forgotten};
use crate::access::{Attempt, Operator, Refused, SignedIn};
use crate::clock::Timestamp;
use crate::store::accounts::UserRow;

/// Body of a sign-in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignInBody {
    name: String,
    password: String,
    #[serde(default)]
    code: String,
}

/// Which sessions end.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignOutQuery {
    #[serde(default)]
    everywhere: bool,
}

/// A session, as the browser that has it sees it.
#[derive(Debug, Serialize)]
pub struct SessionView {
    user: UserRow,
    permissions: Vec<&'static str>,
    csrf_token: String,
    expires_at: Timestamp,
}

impl SessionView {
    /// Of somebody who is signed in.
    pub fn of(signed_in: &SignedIn) -> Self {
        SessionView {
            user: signed_in.user.clone(),
            permissions: signed_in.caller().permissions(),
            csrf_token: signed_in.csrf_token.clone(),
            expires_at: signed_in.expires_at,
        }
    }
}

/// `POST /session`
pub async fn sign_in(State(api): State<Api>, request: Request) -> Result<Response, ApiError> {
    let (mut parts, body) = request.into_parts();
    let from = address(&parts, &api);
    let headers = HeaderMap::from_request_parts(&mut parts, &api).await.unwrap_or_default();
    api.access.check_sign_in_page(&headers).map_err(|forged| ApiError::new(Kind::Forbidden, forged.to_string()))?;
    let request = Request::from_parts(parts, body);
    let FromJson(body) = <FromJson<SignInBody> as axum::extract::FromRequest<Api>>::from_request(request, &api).await?;
    let before = SessionSecret::of(&headers);
    let attempt =
        Attempt { name: &body.name, password: &body.password, code: &body.code, from: &from, before: before.as_ref() };
    let begun = api.access.sign_in(attempt).await?;
    let cookie = api.access.cookie(&headers, &begun.secret);
    Ok(([(header::SET_COOKIE, cookie)], Json(SessionView::of(&begun.signed_in))).into_response())
}

/// `GET /session`
pub async fn show(operator: Operator<CanOwnAccount>) -> Result<Json<SessionView>, ApiError> {
    Ok(Json(SessionView::of(person(&operator)?)))
}

/// `DELETE /session`
pub async fn sign_out(
    operator: Operator<CanOwnAccount>,
    State(api): State<Api>,
    FromQuery(query): FromQuery<SignOutQuery>,
) -> Result<Response, ApiError> {
    let signed_in = person(&operator)?;
    if query.everywhere {
        api.access.sign_out_everywhere(signed_in, operator.from()).await?;
    } else {
        api.access.sign_out(signed_in, operator.from()).await?;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    for cookie in forgotten() {
        let cookie = cookie.parse().map_err(|error| ApiError::new(Kind::Internal, "no cookie").because(error))?;
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// The person behind a call; a token has no session and no password.
pub fn person<P: Permission>(operator: &Operator<P>) -> Result<&SignedIn, ApiError> {
    match operator.caller().identity() {
        Identity::User(signed_in) => Ok(signed_in),
        Identity::Token(_) => Err(ApiError::new(
            Kind::Forbidden,
            "this is about the person who signed in, and a token is nobody's account",
        )),
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Credentials => ApiError::new(Kind::Unauthenticated, refused.to_string()),
            Refused::Elsewhere | Refused::NotGranted(_) | Refused::ShutOut => {
                ApiError::new(Kind::Forbidden, refused.to_string())
            }
            Refused::Slow(wait) => {
                let seconds = u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
                ApiError::new(Kind::TooMany, refused.to_string()).retry_after(seconds.max(1))
            }
            Refused::Busy(busy) => ApiError::new(Kind::Unavailable, busy.to_string()),
            Refused::Weak(weak) => ApiError::new(Kind::Unprocessable, weak.to_string()),
            Refused::Store(error) => error.into(),
        }
    }
}
