//! The one place where errors meet HTTP (ANS-1, RFC 9457): a code, a sentence for outside, the request's id. What is
//! for inside goes to the log, once.

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tracing::Instrument as _;

use super::state::Api;
use crate::access::Denied;
use crate::access::roles::{Needs, Role};
use crate::envelope::ids::RequestId;
use crate::store::StoreError;

/// Carries the id of a request back to its sender.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The media type of every error.
pub const PROBLEM: &str = "application/problem+json";

/// What kind of failure it is; decides status and title.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 400
    BadRequest,
    /// 401
    Unauthenticated,
    /// 403
    Forbidden,
    /// 404
    NotFound,
    /// 405
    MethodNotAllowed,
    /// 409
    Conflict,
    /// 412
    PreconditionFailed,
    /// 413
    TooLarge,
    /// 415
    UnsupportedMediaType,
    /// 422
    Unprocessable,
    /// 429
    TooMany,
    /// 500
    Internal,
    /// 503
    Unavailable,
}

impl Kind {
    /// Status, name inside the problem's type, and title.
    fn words(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Kind::BadRequest => (StatusCode::BAD_REQUEST, "bad-request", "The request is malformed"),
            Kind::Unauthenticated => {
                (StatusCode::UNAUTHORIZED, "unauthenticated", "A valid token or session is needed")
            }
            Kind::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "The caller's role does not allow this"),
            Kind::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is nothing here"),
            Kind::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "This path takes other methods")
            }
            Kind::Conflict => (StatusCode::CONFLICT, "conflict", "The state does not allow this"),
            Kind::PreconditionFailed => {
                (StatusCode::PRECONDITION_FAILED, "precondition-failed", "It changed since it was read")
            }
            Kind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large"),
            Kind::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The content type is not taken here")
            }
            Kind::Unprocessable => (StatusCode::UNPROCESSABLE_ENTITY, "unprocessable", "The content cannot be used"),
            Kind::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "Too many tries"),
            Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something broke on our side"),
            Kind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not possible just now"),
        }
    }

    /// For answers that the framework made itself.
    fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Kind::Unauthenticated,
            StatusCode::FORBIDDEN => Kind::Forbidden,
            StatusCode::NOT_FOUND => Kind::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Kind::MethodNotAllowed,
            StatusCode::CONFLICT => Kind::Conflict,
            StatusCode::PAYLOAD_TOO_LARGE => Kind::TooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Kind::UnsupportedMediaType,
            StatusCode::UNPROCESSABLE_ENTITY => Kind::Unprocessable,
            StatusCode::TOO_MANY_REQUESTS => Kind::TooMany,
            StatusCode::SERVICE_UNAVAILABLE => Kind::Unavailable,
            status if status.is_client_error() => Kind::BadRequest,
            _ => Kind::Internal,
        }
    }
}

/// One finding, with its place in the body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProblemLine {
    /// JSON pointer, or a line of a CSV file; empty for the whole.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

impl ProblemLine {
    /// A finding at a place.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        ProblemLine { path: path.into(), message: message.into() }
    }
}

/// A failed call. `detail` is for the caller and never echoes input beyond a record's key and a path.
#[derive(Clone, Debug)]
pub struct ApiError {
    kind: Kind,
    detail: String,
    problems: Vec<ProblemLine>,
    retry_after_s: Option<u32>,
    inside: Option<String>,
}

impl ApiError {
    /// With a sentence for the caller.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let retry_after_s = (kind == Kind::Unavailable).then_some(1);
        ApiError { kind, detail: detail.into(), problems: Vec::new(), retry_after_s, inside: None }
    }

    /// 400
    pub fn bad_request(detail: impl Into<String>) -> Self {
        ApiError::new(Kind::BadRequest, detail)
    }

    /// 404, naming what was looked for by its kind and our own id.
    pub fn not_found(what: impl Into<String>) -> Self {
        ApiError::new(Kind::NotFound, format!("{} does not exist", what.into()))
    }

    /// 403
    pub fn forbidden(needs: Needs) -> Self {
        let roles: Vec<&str> = needs.roles.iter().map(|role| Role::as_str(*role)).collect();
        let detail = format!("this needs the permission {}, which is held by {}", needs.permission, roles.join(", "));
        ApiError::new(Kind::Forbidden, detail)
    }

    /// 422 with the list of findings.
    pub fn unprocessable(detail: impl Into<String>, problems: Vec<ProblemLine>) -> Self {
        ApiError { problems, ..ApiError::new(Kind::Unprocessable, detail) }
    }

    /// The caller may come again after this time.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// With findings.
    #[must_use]
    pub fn with_problems(mut self, problems: Vec<ProblemLine>) -> Self {
        self.problems = problems;
        self
    }

    /// For the log only.
    #[must_use]
    pub fn because(mut self, inside: impl std::fmt::Display) -> Self {
        self.inside = Some(inside.to_string());
        self
    }

    /// The sentence for the caller.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The record does not allow it; another may.
    pub fn is_about_the_record(&self) -> bool {
        matches!(self.kind, Kind::NotFound | Kind::Conflict | Kind::Unprocessable)
    }

    /// The problem document of this error.
    pub(super) fn answer(&self, request_id: Option<RequestId>) -> Response {
        let (status, name, title) = self.kind.words();
        let body = Problem {
            kind: format!("urn:crossdock:problem:{name}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            request_id,
            problems: &self.problems,
        };
        let body = serde_json::to_vec(&body).expect("a problem is plain data");
        let mut response = (status, [(header::CONTENT_TYPE, PROBLEM)], body).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.kind == Kind::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"crossdock\""));
        }
        response
    }
}

#[derive(Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    request_id: Option<RequestId>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    problems: &'a [ProblemLine],
}

/// The body is written by [`speak`], which knows the request's id; the error travels to it beside the response.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.answer(None);
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy => ApiError::new(Kind::Unavailable, "too much is waiting to be written; try again"),
            StoreError::Commit(_) | StoreError::Stopped | StoreError::Query(_) | StoreError::Unusable(_) => {
                ApiError::new(Kind::Unavailable, "the store does not answer just now; try again").because(error)
            }
            StoreError::Corrupt(_) => ApiError::new(Kind::Internal, "stored data is damaged").because(error),
            StoreError::BadCursor => ApiError::bad_request("the cursor is not one that this list handed out"),
            StoreError::NotFound(what) => ApiError::not_found(what),
            StoreError::NotAllowed(why) => ApiError::new(Kind::Conflict, why),
        }
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Unknown => ApiError::new(
                Kind::Unauthenticated,
                "send \"Authorization: Bearer cdk_…\" with a token that is neither revoked nor expired, or sign in",
            ),
            Denied::Forged(forged) => ApiError::new(Kind::Forbidden, forged.to_string()),
            Denied::Store(error) => error.into(),
        }
    }
}

/// Gives every request an id and a span, and every error the same body.
pub async fn speak(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let id = RequestId::new(api.clock.now(), &*api.entropy);
    request.extensions_mut().insert(id);
    let span = tracing::info_span!("request", request_id = %id, http.method = %request.method());
    let mut response = next.run(request).instrument(span.clone()).await;
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        report(&error, &span);
        response = keep_headers(&response, error.answer(Some(id)));
    } else if response.status().is_client_error() || response.status().is_server_error() {
        let ours = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == PROBLEM);
        if !ours {
            let error = ApiError::new(Kind::of(response.status()), said_by_the_framework(response.status()));
            report(&error, &span);
            response = keep_headers(&response, error.answer(Some(id)));
        }
    }
    let text = HeaderValue::from_str(&id.to_string()).expect("an id is visible ASCII");
    response.headers_mut().insert(REQUEST_ID, text);
    // Answers hold orders and tokens: nothing on the way may keep them.
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn said_by_the_framework(status: StatusCode) -> &'static str {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => "the body exceeds the limit",
        StatusCode::METHOD_NOT_ALLOWED => "the Allow header lists the methods of this path",
        StatusCode::NOT_FOUND => "there is no such path; openapi.yaml lists them",
        status if status.is_client_error() => "the request could not be read",
        _ => "the error is in our log under the request's id",
    }
}

/// `Allow` of a 405 and the like belong to the answer whatever its body.
fn keep_headers(from: &Response, mut to: Response) -> Response {
    if let Some(allow) = from.headers().get(header::ALLOW) {
        to.headers_mut().insert(header::ALLOW, allow.clone());
    }
    to
}

fn report(error: &ApiError, span: &tracing::Span) {
    let (status, ..) = error.kind.words();
    let _inside = span.enter();
    let inside = error.inside.as_deref().unwrap_or_default();
    if status.is_server_error() {
        tracing::error!(http.status = status.as_u16(), detail = error.detail, inside, "a call failed");
    } else {
        tracing::debug!(http.status = status.as_u16(), detail = error.detail, inside, "a call was refused");
    }
}
