//! What only Adobe I/O Events asks of us: the challenge of a registration, its validation by an address, and to be told
//! of pushes that were refused for good.
//!
//! Adobe pushes an event again only after 429 and 5xx. Whatever else a signed request is answered loses its events from
//! push for ever, so [`MissedPushes`] asks for a read of the journal, where they stay for seven days.

mod journal;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use reqwest::Url;
use serde_json::json;
use tokio::sync::Notify;

use super::answer::{self, Dialect, Problem};
use super::signature::adobe::carries_signature;
use super::{Intake, Origin};
use crate::clock::{SharedClock, Timestamp, later};
use crate::envelope::ids::RequestId;
use crate::json::{self, Limits};
use crate::observe::Event;

/// Adobe's header with the id of the one event of a request.
pub const EVENT_ID: HeaderName = HeaderName::from_static("x-adobe-event-id");

/// Longest challenge that is echoed.
const CHALLENGE_BYTES_MAX: usize = 256;
/// Longest body that is looked at as a request for validation.
const VALIDATION_BYTES_MAX: usize = 4096;
/// The only host whose validation requests are known.
const VALIDATION_HOST: &str = "csm.adobe.io";
/// ANS-2: strangers must not cause reads of the journal.
const ONCE_IN: Duration = Duration::from_mins(10);

/// `GET /in/{origin}?challenge=…`: Adobe asks whether the address of a registration is ours. The answer is an echo, so
/// its alphabet is narrow and its type cannot be mistaken.
pub(super) async fn challenge(
    State(intake): State<Arc<Intake>>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let asked = intake.origins.get(&name).filter(|origin| origin.dialect == Dialect::CommerceEvents);
    let request_id = RequestId::new(intake.clock.now(), &*intake.entropy);
    if asked.is_none() {
        let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", request_id);
        let mut response = answer::problem(&problem);
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    let Some(value) = value_of_challenge(query.as_deref().unwrap_or_default()) else {
        let problem = Problem::new(StatusCode::BAD_REQUEST, "No challenge", request_id)
            .detail("A GET carries one challenge of up to 256 letters, digits, hyphens and underscores.");
        return answer::problem(&problem);
    };
    intake.heard.challenged(&name, intake.clock.now());
    let mut response = Response::new(Body::from(value.to_owned()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The one challenge of a query, if it is of the alphabet as it stands there.
fn value_of_challenge(query: &str) -> Option<&str> {
    let mut all = query.split('&').filter_map(|pair| pair.strip_prefix("challenge="));
    let value = all.next()?;
    let plain = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    (all.next().is_none() && plain && (1..=CHALLENGE_BYTES_MAX).contains(&value.len())).then_some(value)
}

/// A body that asks for validation by an address is answered 200 and nothing else is done: the address is never called.
/// It carries no signature, and it changes nothing. `None`: the body is something else.
pub(super) fn validation(intake: &Intake, origin: &Origin, body: &[u8]) -> Option<Response> {
    if origin.adobe.is_none() || !asks_for_validation(body) {
        return None;
    }
    intake.observer.note(&Event::ValidationAsked { origin: &origin.name, host: VALIDATION_HOST });
    Some(answer::plain(&json!({ "status": "noted" })))
}

/// `{"validationUrl":"https://csm.adobe.io/…"}` and nothing beside it.
fn asks_for_validation(body: &[u8]) -> bool {
    if body.len() > VALIDATION_BYTES_MAX {
        return false;
    }
    let Ok(whole) = json::parse(body, &Limits::default()) else { return false };
    let json::Json::Object(members) = &whole else { return false };
    let [(name, value)] = members.as_slice() else { return false };
    let url = value.as_str().and_then(|text| Url::parse(text).ok());
    name == "validationUrl"
        && url.is_some_and(|url| {
            url.scheme() == "https"
                && url.host_str() == Some(VALIDATION_HOST)
                && url.port().is_none()
                && url.username().is_empty()
                && url.password().is_none()
        })
}

/// Which origins lost pushes, for whoever reads the journal.
pub struct MissedPushes {
    clock: SharedClock,
    state: Mutex<Missed>,
    wake: Notify,
}

#[derive(Default)]
struct Missed {
    counted_at: BTreeMap<String, Timestamp>,
    waiting: BTreeSet<String>,
}

impl MissedPushes {
    /// None so far.
    pub fn new(clock: SharedClock) -> Self {
        MissedPushes { clock, state: Mutex::default(), wake: Notify::new() }
    }

    /// A push to this origin was refused for good. Counts at most once in ten minutes for each origin; says whether it
    /// did.
    pub fn missed(&self, origin: &str) -> bool {
        let now = self.clock.now();
        let mut state = self.state.lock().expect("nothing panics while a push is counted");
        if state.counted_at.get(origin).is_some_and(|at| *at <= now && now < later(*at, ONCE_IN)) {
            return false;
        }
        state.counted_at.insert(origin.to_owned(), now);
        state.waiting.insert(origin.to_owned());
        drop(state);
        self.wake.notify_one();
        true
    }

    /// The origins that lost pushes since the last call; waits for the first. For one reader.
    pub async fn next(&self) -> BTreeSet<String> {
        loop {
            let waiting = std::mem::take(&mut self.state.lock().expect("as above").waiting);
            if !waiting.is_empty() {
                return waiting;
            }
            self.wake.notified().await;
        }
    }
}

/// ANS-2: what the refusal of a push means.
pub(super) fn note_refused(intake: &Intake, origin: &Origin, status: StatusCode) {
    let for_good = status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS;
    if for_good && intake.missed_pushes.missed(&origin.name) {
        intake.observer.note(&Event::PushMissed { origin: &origin.name, status: status.as_u16() });
    }
}

/// Whether a refusal of these headers by that origin would be a missed push.
pub(super) fn is_push(origin: &Origin, headers: &HeaderMap) -> bool {
    origin.adobe.is_some() && carries_signature(headers)
}
