//! `Idempotency-Key` on calls that change something (API-1, API-2): the first call runs, a repeat gets its answer.
//!
//! The answer is written in the transaction of the effect ([`crate::store::write::Act::keep`]), so that neither is ever
//! there without the other, whenever the process dies. What changed nothing (a refusal) is written down afterwards. Only
//! which calls are running at this moment is known in memory: a call that died with its process is not running.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::{FromRequest, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::error::{ApiError, Kind};
use super::state::Api;
use crate::access::roles::Needs;
use crate::envelope::ids::RequestId;
use crate::envelope::keys::Digest;
use crate::store::books::{CallName, KeptAnswer, Shown, Ticket};

/// Names the call.
pub const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Marks an answer that was given before.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// An answer larger than this is not kept (a release of a large group stays far below).
pub const BODY_MAX: usize = 1024 * 1024;

/// Headers of an answer that a repeat gets too.
const KEPT_HEADERS: [HeaderName; 2] = [header::CONTENT_TYPE, header::ETAG];

/// How a route treats the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRule {
    /// A call that changes nothing.
    None,
    /// Taken when it is there.
    Taken,
    /// The call is refused without it, except as a dry run, which changes nothing.
    Required,
}

/// What a guarded route needs to know.
#[derive(Clone)]
pub struct Guard {
    /// Where answers are kept.
    pub api: Api,
    /// Who may call, checked before anything is said about keys.
    pub needs: Needs,
    /// Whether the call is refused without a key.
    pub required: bool,
    /// Whether it can be asked what it would do, which takes no key.
    pub rehearses: bool,
}

/// The calls under a key that are running now, with their fingerprints.
#[derive(Clone, Default)]
pub struct RunningCalls(Arc<Mutex<HashMap<Digest, Digest>>>);

/// Frees the scope when the call ends, however it ends.
struct Running {
    calls: RunningCalls,
    scope: Digest,
}

impl RunningCalls {
    /// `Err`: the fingerprint of the call that runs under this scope.
    fn begin(&self, call: CallName) -> Result<Running, Digest> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = running.get(&call.scope) {
            return Err(*known);
        }
        running.insert(call.scope, call.fingerprint);
        Ok(Running { calls: self.clone(), scope: call.scope })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.calls.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.scope);
    }
}

impl fmt::Debug for RunningCalls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RunningCalls").finish_non_exhaustive()
    }
}

/// Runs a call once per key.
pub async fn once(State(guard): State<Guard>, request: Request, next: Next) -> Result<Response, ApiError> {
    let Guard { api, needs, required, rehearses } = guard;
    let caller = api.access.caller(request.method(), request.headers()).await?;
    if !caller.may(needs) {
        return Err(ApiError::forbidden(needs));
    }
    match (is_dry_run(request.uri()), rehearses) {
        (true, true) => return Ok(next.run(request).await),
        // It would act, and not even under a key.
        (true, false) => return Err(ApiError::bad_request("this call has no dry run: it would act; nothing was done")),
        (false, _) => {}
    }
    let Some(key) = key(request.headers())? else {
        if required {
            return Err(ApiError::bad_request(
                "send the header Idempotency-Key with a name of your own for this call, for example a UUID in quotes; a \
                 repeat with the same key gets the first answer and does nothing twice",
            ));
        }
        return Ok(next.run(request).await);
    };
    let (parts, body) = request.into_parts();
    let body = Bytes::from_request(Request::from_parts(parts.clone(), body), &())
        .await
        .map_err(|_| ApiError::new(Kind::TooLarge, "the body exceeds the limit"))?;
    // Nothing was done, so there is nothing to be done twice; and what it shows is not kept beside the erased (DAT-1).
    if rehearses && is_dry_run_by_body(&body) {
        return Ok(next.run(Request::from_parts(parts, Body::from(body))).await);
    }
    let route = parts.extensions.get::<MatchedPath>().map_or(parts.uri.path(), MatchedPath::as_str);
    let call = CallName {
        scope: Digest::of_fields(&[&caller.principal(), parts.method.as_str(), route, &key]),
        fingerprint: fingerprint(&parts.method, &parts.uri, &parts.headers, &body),
    };
    let running = match api.running.begin(call) {
        Ok(running) => running,
        Err(other) if other != call.fingerprint => return Err(used_otherwise()),
        Err(_) => {
            return Err(ApiError::new(Kind::Conflict, "the first call with this key is still running").retry_after(1));
        }
    };
    match api.store.kept_answer(call.scope, api.clock.now()).await? {
        Some((known, _)) if known != call.fingerprint => return Err(used_otherwise()),
        Some((_, kept)) => return Ok(repeat(kept)),
        None => {}
    }
    let request_id = parts.extensions.get::<RequestId>().copied();
    let mut request = Request::from_parts(parts, Body::from(body));
    let ticket = Ticket::new(call);
    request.extensions_mut().insert(ticket.clone());
    // A caller that hangs up must not cut the call in half: it runs to its end, and a repeat gets its answer.
    let ran = tokio::spawn(async move {
        let response = next.run(request).await;
        let response = remember(&api, call, &ticket, response, request_id).await;
        drop(running);
        response
    });
    ran.await.map_err(|panic| ApiError::new(Kind::Internal, "the call broke on our side").because(panic))
}

fn used_otherwise() -> ApiError {
    ApiError::new(Kind::Unprocessable, "this Idempotency-Key was used for another call: take a new one")
}

/// Asks only what would come of it. An escaped spelling counts as none: then the key is needed.
fn is_dry_run(uri: &http::Uri) -> bool {
    uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "dry_run=true"))
}

fn is_dry_run_by_body(body: &Bytes) -> bool {
    #[derive(serde::Deserialize)]
    struct Said {
        #[serde(default)]
        dry_run: bool,
    }
    serde_json::from_slice::<Said>(body).is_ok_and(|said| said.dry_run)
}

fn fingerprint(method: &Method, uri: &http::Uri, headers: &HeaderMap, body: &Bytes) -> Digest {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let body = Digest::of(body).hex();
    Digest::of_fields(&[method.as_str(), uri.path(), uri.query().unwrap_or_default(), kind, &body])
}

/// What is kept already was kept with its effect; anything else is kept now, unless a later try may come to something
/// else (401, 403, 429, our own failures).
async fn remember(
    api: &Api,
    call: CallName,
    ticket: &Ticket,
    response: Response,
    request_id: Option<RequestId>,
) -> Response {
    let status = response.status();
    if status.is_success() {
        match ticket.kept() {
            Some((kept, Shown::Kept)) => return answer(kept),
            Some((_, Shown::Secret)) => return response,
            None => {}
        }
    }
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
        None => kept_answer(&parts, body.clone()),
        Some(problem) => {
            let (parts, body) = problem.into_parts();
            kept_answer(&parts, axum::body::to_bytes(body, BODY_MAX).await.unwrap_or_default())
        }
    };
    if let Err(error) = api.store.keep_answer(call, kept, api.clock.now()).await {
        // Nothing was changed by the call, so a repeat may as well run again.
        tracing::warn!(reason = %error, "the answer of a call could not be kept");
    }
    Response::from_parts(parts, Body::from(body))
}

fn kept_answer(parts: &http::response::Parts, body: Bytes) -> KeptAnswer {
    let headers = KEPT_HEADERS.iter().filter_map(|name| {
        let value = parts.headers.get(name)?.to_str().ok()?;
        Some((name.as_str().to_owned(), value.to_owned()))
    });
    KeptAnswer { status: parts.status.as_u16(), headers: headers.collect(), body }
}

fn answer(kept: KeptAnswer) -> Response {
    let mut response = Response::new(Body::from(kept.body));
    *response.status_mut() = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
    for (name, value) in kept.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn repeat(kept: KeptAnswer) -> Response {
    let mut response = answer(kept);
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
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
        assert_eq!(read(&format!("\"{}\"", "x".repeat(255))).unwrap().unwrap().len(), 255);
        for bad in ["\"\"", "\"a", "\"a\"b", "a\"b", "\"a\\n\"", "a,b", "", &format!("\"{}\"", "x".repeat(256))] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let mut twice = HeaderMap::new();
        twice.append(KEY, HeaderValue::from_static("a"));
        twice.append(KEY, HeaderValue::from_static("a"));
        assert!(key(&twice).is_err());
    }

    #[test]
    fn api_2_a_call_that_ends_frees_its_key_however_it_ends() {
        let calls = RunningCalls::default();
        let call = CallName { scope: Digest::of(b"scope"), fingerprint: Digest::of(b"call") };
        let Ok(running) = calls.begin(call) else { panic!("the first call runs") };
        assert_eq!(calls.begin(call).err(), Some(call.fingerprint));
        drop(running);
        assert!(calls.begin(call).is_ok());
    }

    #[test]
    fn api_2_the_fingerprint_covers_method_path_query_content_type_and_body() {
        let print = |method: Method, uri: &str, kind: &'static str, body: &'static [u8]| {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]);
            fingerprint(&method, &uri.parse().unwrap(), &headers, &Bytes::from_static(body))
        };
        let base = print(Method::POST, "/a?b=c", "application/json", b"{}");
        assert_eq!(base, print(Method::POST, "/a?b=c", "application/json", b"{}"));
        for other in [
            print(Method::PUT, "/a?b=c", "application/json", b"{}"),
            print(Method::POST, "/b?b=c", "application/json", b"{}"),
            print(Method::POST, "/a?b=d", "application/json", b"{}"),
            print(Method::POST, "/a?b=c", "text/csv", b"{}"),
            print(Method::POST, "/a?b=c", "application/json", b"{ }"),
        ] {
            assert_ne!(base, other);
        }
    }
}
