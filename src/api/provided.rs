//! Signing in with an identity provider (API-4): what there is, the beginning, and the provider's answer.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::error::{ApiError, Kind};
use super::extract::{FromJson, address};
use super::session::SessionView;
use super::state::Api;
use crate::access::session::SessionSecret;
use crate::oidc::{ANSWER_PATH, Beginning, Binding, Failed, Provider, ProviderAnswer};
use crate::store::accounts::Subject;

/// Longest page that somebody is led back to.
const NEXT_BYTES_MAX: usize = 2_048;

/// How people sign in.
#[derive(Debug, Serialize)]
pub struct WaysView {
    /// What people call the identity provider; `null`: there is none.
    provider: Option<String>,
    /// Whether a name and a password are taken.
    passwords: bool,
}

/// Body of a beginning.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BeginBody {
    #[serde(default)]
    next: String,
}

/// Where the browser goes.
#[derive(Debug, Serialize)]
pub struct BegunView {
    location: String,
}

/// What stood in the address that the provider sent the browser to.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerBody {
    state: String,
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

/// The session that began, and where the person wanted to go.
#[derive(Debug, Serialize)]
pub struct LetInView {
    session: SessionView,
    next: String,
}

/// `GET /session/provider`
pub async fn show(State(api): State<Api>) -> Json<WaysView> {
    let provider = api.provider.as_ref().map(|provider| provider.name().to_owned());
    Json(WaysView { provider, passwords: api.access.settings().passwords })
}

/// `POST /session/provider`
pub async fn begin(State(api): State<Api>, request: Request) -> Result<Response, ApiError> {
    let (FromJson(body), headers, from) = read::<BeginBody>(&api, request).await?;
    let provider = configured(&api)?;
    api.access.try_vouched(&from)?;
    let origin = api.access.own_origin(&headers).ok_or(Failed::Nowhere)?;
    let binding = Binding::of(&headers).unwrap_or_else(|| Binding::new(&*api.entropy));
    let next = if body.next.len() > NEXT_BYTES_MAX { String::new() } else { body.next };
    let beginning = Beginning { next, before: SessionSecret::of(&headers) };
    let location = match provider.begin(&format!("{origin}{ANSWER_PATH}"), &binding, beginning).await {
        Ok(location) => location,
        Err(failed) => return Err(refused(&api, failed, &from).await?),
    };
    let cookie = binding.cookie(api.access.is_secure(&headers));
    Ok(([(header::SET_COOKIE, cookie)], Json(BegunView { location })).into_response())
}

/// `POST /session/provider/answer`
pub async fn answer(State(api): State<Api>, request: Request) -> Result<Response, ApiError> {
    let (FromJson(body), headers, from) = read::<AnswerBody>(&api, request).await?;
    let provider = configured(&api)?;
    api.access.try_vouched(&from)?;
    let answer = ProviderAnswer {
        state: &body.state,
        code: body.code.as_deref(),
        issuer: body.iss.as_deref(),
        error: body.error.as_deref(),
    };
    let vouched = match provider.finish(answer, Binding::of(&headers).as_ref()).await {
        Ok(vouched) => vouched,
        Err(failed) => return Err(refused(&api, failed, &from).await?),
    };
    let subject = Subject { issuer: vouched.issuer, subject: vouched.subject };
    let begun = api.access.let_in(subject, &vouched.claims, &from, vouched.beginning.before.as_ref()).await?;
    let cookie = api.access.cookie(&headers, &begun.secret);
    let view = LetInView { session: SessionView::of(&begun.signed_in), next: vouched.beginning.next };
    Ok(([(header::SET_COOKIE, cookie)], Json(view)).into_response())
}

async fn read<T: serde::de::DeserializeOwned>(
    api: &Api,
    request: Request,
) -> Result<(FromJson<T>, HeaderMap, String), ApiError> {
    let (parts, body) = request.into_parts();
    let (headers, from) = (parts.headers.clone(), address(&parts, api));
    let body = <FromJson<T> as axum::extract::FromRequest<Api>>::from_request(Request::from_parts(parts, body), api);
    Ok((body.await?, headers, from))
}

fn configured(api: &Api) -> Result<&Provider, ApiError> {
    api.provider.as_ref().ok_or_else(|| ApiError::new(Kind::NotFound, "no identity provider is configured here"))
}

/// Writes down why nobody came in, and says what may be said of it.
async fn refused(api: &Api, failed: Failed, from: &str) -> Result<ApiError, ApiError> {
    if !matches!(failed, Failed::Busy) {
        api.access.not_vouched(failed.reason(), from).await?;
    }
    Ok(failed.into())
}

impl From<Failed> for ApiError {
    fn from(failed: Failed) -> Self {
        let kind = match failed {
            Failed::Stale | Failed::Denied(_) | Failed::Doubt(_) => Kind::Unauthenticated,
            Failed::Unavailable(_) | Failed::Busy => Kind::Unavailable,
            Failed::Nowhere => Kind::Conflict,
        };
        let error = ApiError::new(kind, failed.to_string());
        match failed {
            Failed::Busy => error.retry_after(1),
            _ => error,
        }
    }
}
