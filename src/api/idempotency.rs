//! `Idempotency-Key` on calls that change something (API-1, API-2): the first call runs, a repeat gets its answer.
//!
//! The key protects a caller from its own retries. That an effect happens once does not lean on it: every effect is a
//! guarded change of state in one transaction (an exception is open, a delivery is parked), so a repeat after a
//! restart meets the new state and is refused.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tokio::time::Instant;

use super::error::{ApiError, Kind};
use super::extract::caller;
use super::state::Api;
use crate::access::roles::Role;
use crate::envelope::ids::RequestId;
use crate::envelope::keys::Digest;

/// Names the call.
pub const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Marks an answer that was given before.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// API-2.
const KEPT_FOR: Duration = Duration::from_hours(72);

/// Answers kept at most; the oldest make room.
const KEPT_MAX: usize = 4096;

/// An answer larger than this is not kept (a release of a large group stays far below).
const BODY_MAX: usize = 1024 * 1024;

/// How a route treats the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRule {
    /// A call that changes nothing.
    None,
    /// Taken when it is there. API-1 makes it a must for replays and decisions once the answers outlive a restart; until
    /// then what guards a repeat without a key is the state of what is acted on (409).
    Taken,
}

/// What a guarded route needs to know.
#[derive(Clone)]
pub struct Guard {
    /// Where answers are kept.
    pub api: Api,
    /// Who may call, checked before anything is said about keys.
    pub role: Role,
}

#[derive(Clone)]
struct Kept {
    status: StatusCode,
    content_type: Option<HeaderValue>,
    body: Bytes,
}

enum Slot {
    Running(Digest),
    Done(Digest, Kept, Instant),
}

/// Answers given under a key in the last three days.
#[derive(Clone, Default)]
pub struct KeptAnswers(Arc<Mutex<Slots>>);

#[derive(Default)]
struct Slots {
    by_scope: HashMap<Digest, Slot>,
    oldest_first: VecDeque<Digest>,
}

enum Seen {
    First(Running),
    Repeat(Kept),
    StillRunning,
    OtherCall,
}

/// Frees the scope when the call ends without an answer worth keeping.
struct Running {
    answers: KeptAnswers,
    scope: Digest,
    fingerprint: Digest,
    kept: bool,
}

impl KeptAnswers {
    fn begin(&self, scope: Digest, fingerprint: Digest) -> Seen {
        let mut slots = self.0.lock().expect("no holder of this lock panics");
        slots.forget_old();
        match slots.by_scope.get(&scope) {
            Some(Slot::Running(known) | Slot::Done(known, ..)) if *known != fingerprint => return Seen::OtherCall,
            Some(Slot::Running(_)) => return Seen::StillRunning,
            Some(Slot::Done(_, kept, _)) => return Seen::Repeat(kept.clone()),
            None => {}
        }
        slots.by_scope.insert(scope, Slot::Running(fingerprint));
        Seen::First(Running { answers: self.clone(), scope, fingerprint, kept: false })
    }
}

impl Slots {
    fn forget_old(&mut self) {
        while let Some(oldest) = self.oldest_first.front() {
            let stale = match self.by_scope.get(oldest) {
                Some(Slot::Done(_, _, since)) => since.elapsed() > KEPT_FOR,
                Some(Slot::Running(_)) | None => true,
            };
            if !stale && self.oldest_first.len() <= KEPT_MAX {
                return;
            }
            let oldest = self.oldest_first.pop_front().expect("just seen");
            self.by_scope.remove(&oldest);
        }
    }
}

impl Running {
    fn keep(mut self, kept: Kept) {
        let mut slots = self.answers.0.lock().expect("no holder of this lock panics");
        slots.by_scope.insert(self.scope, Slot::Done(self.fingerprint, kept, Instant::now()));
        slots.oldest_first.push_back(self.scope);
        self.kept = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.kept {
            self.answers.0.lock().expect("no holder of this lock panics").by_scope.remove(&self.scope);
        }
    }
}

impl fmt::Debug for KeptAnswers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KeptAnswers").finish_non_exhaustive()
    }
}

/// Runs a call once per key.
pub async fn once(State(guard): State<Guard>, request: Request, next: Next) -> Result<Response, ApiError> {
    let Guard { api, role } = guard;
    let token = caller(&api, request.headers()).await?;
    if !token.role.parse::<Role>().is_ok_and(|held| held >= role) {
        return Err(ApiError::forbidden(role));
    }
    let Some(key) = key(request.headers())? else {
        return Ok(next.run(request).await);
    };
    let (parts, body) = request.into_parts();
    let body = Bytes::from_request(Request::from_parts(parts.clone(), body), &())
        .await
        .map_err(|_| ApiError::new(Kind::TooLarge, "the body exceeds the limit"))?;
    let route = parts.extensions.get::<MatchedPath>().map_or(parts.uri.path(), MatchedPath::as_str);
    let scope = Digest::of_fields(&[&token.id.to_string(), parts.method.as_str(), route, &key]);
    let fingerprint = fingerprint(&parts.method, &parts.uri, &parts.headers, &body);
    let running = match api.kept.begin(scope, fingerprint) {
        Seen::First(running) => running,
        Seen::Repeat(kept) => return Ok(repeat(kept)),
        Seen::StillRunning => {
            return Err(ApiError::new(Kind::Conflict, "the first call with this key is still running").retry_after(1));
        }
        Seen::OtherCall => {
            return Err(ApiError::new(Kind::Unprocessable, "this Idempotency-Key was used for another call"));
        }
    };
    let request_id = parts.extensions.get::<RequestId>().copied();
    let request = Request::from_parts(parts, Body::from(body));
    // A caller that hangs up must not cut the call in half: it runs to its end, and a repeat gets its answer.
    let call = tokio::spawn(async move { remember(running, next.run(request).await, request_id).await });
    call.await.map_err(|panic| ApiError::new(Kind::Internal, "the call broke on our side").because(panic))
}

fn fingerprint(method: &Method, uri: &http::Uri, headers: &HeaderMap, body: &Bytes) -> Digest {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let body = Digest::of(body).hex();
    Digest::of_fields(&[method.as_str(), uri.path(), uri.query().unwrap_or_default(), kind, &body])
}

/// Keeps what a repeat may be told: never 401, 403, 429 or anything that a later try may cure.
async fn remember(running: Running, response: Response, request_id: Option<RequestId>) -> Response {
    let status = response.status();
    let passing = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS);
    if passing || status.is_server_error() {
        return response;
    }
    let shown = response.extensions().get::<ApiError>().map(|error| error.answer(request_id));
    let (parts, body) = response.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_MAX).await else {
        return ApiError::new(Kind::Internal, "the answer is too large").into_response();
    };
    let kept = match shown {
        None => Kept { status, content_type: parts.headers.get(header::CONTENT_TYPE).cloned(), body: body.clone() },
        Some(problem) => {
            let (parts, body) = problem.into_parts();
            let body = axum::body::to_bytes(body, BODY_MAX).await.unwrap_or_default();
            Kept { status, content_type: parts.headers.get(header::CONTENT_TYPE).cloned(), body }
        }
    };
    running.keep(kept);
    Response::from_parts(parts, Body::from(body))
}

fn repeat(kept: Kept) -> Response {
    let mut response = (kept.status, kept.body).into_response();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    if let Some(kind) = kept.content_type {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

/// The key: a quoted structured-field string of 1 to 255 characters; without quotes it is taken as it stands.
fn key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let malformed = || ApiError::bad_request("Idempotency-Key is a quoted string of 1 to 255 visible characters");
    let mut values = headers.get_all(KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().map_err(|_| malformed())?.trim();
    if values.next().is_some() {
        return Err(malformed());
    }
    let key = match text.strip_prefix('"') {
        Some(rest) => unquote(rest).ok_or_else(malformed)?,
        None if text.contains(['"', ',']) => return Err(malformed()),
        None => text.to_owned(),
    };
    if key.is_empty() || key.len() > 255 || !key.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return Err(malformed());
    }
    Ok(Some(key))
}

/// What stands between the opening quote (already taken) and the closing one, which must be the end.
fn unquote(rest: &str) -> Option<String> {
    let mut key = String::new();
    let mut letters = rest.chars();
    loop {
        match letters.next()? {
            '"' => return letters.next().is_none().then_some(key),
            '\\' => match letters.next()? {
                escaped @ ('"' | '\\') => key.push(escaped),
                _ => return None,
            },
            letter => key.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Result<Option<String>, ()> {
        let mut headers = HeaderMap::new();
        headers.insert(KEY, HeaderValue::from_str(value).unwrap());
        key(&headers).map_err(|_| ())
    }

    #[test]
    fn api_1_a_key_is_a_quoted_string_and_unquoted_is_tolerated() {
        assert_eq!(read("\"a b\"").unwrap().as_deref(), Some("a b"));
        assert_eq!(read(r#""a\"b\\c""#).unwrap().as_deref(), Some(r#"a"b\c"#));
        assert_eq!(read("8e03978e-40d5-43dd-bc93-6894a57f9324").unwrap().unwrap().len(), 36);
        assert!(key(&HeaderMap::new()).is_ok_and(|key| key.is_none()));
        for bad in ["\"\"", "\"a", "\"a\"b", "a\"b", "\"a\\n\"", "a,b", &format!("\"{}\"", "x".repeat(256))] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let mut twice = HeaderMap::new();
        twice.append(KEY, HeaderValue::from_static("a"));
        twice.append(KEY, HeaderValue::from_static("a"));
        assert!(key(&twice).is_err());
    }

    #[test]
    fn api_2_first_runs_repeat_is_answered_another_call_is_refused() {
        let answers = KeptAnswers::default();
        let (scope, call, other) = (Digest::of(b"scope"), Digest::of(b"call"), Digest::of(b"other"));
        let Seen::First(running) = answers.begin(scope, call) else { panic!("the first call runs") };
        assert!(matches!(answers.begin(scope, call), Seen::StillRunning));
        assert!(matches!(answers.begin(scope, other), Seen::OtherCall));
        running.keep(Kept { status: StatusCode::OK, content_type: None, body: Bytes::from_static(b"{}") });
        assert!(matches!(answers.begin(scope, call), Seen::Repeat(kept) if kept.body == "{}"));
        assert!(matches!(answers.begin(scope, other), Seen::OtherCall));
    }

    #[test]
    fn a_call_that_ends_without_an_answer_frees_its_key() {
        let answers = KeptAnswers::default();
        let (scope, call) = (Digest::of(b"scope"), Digest::of(b"call"));
        drop(answers.begin(scope, call));
        assert!(matches!(answers.begin(scope, call), Seen::First(_)));
    }
}
