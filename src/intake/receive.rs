//! From a connection to verified bytes: bounds, time-outs, signature; then [`take`] and the answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use tokio::time::Instant;

use crate::clock::Timestamp;
use crate::envelope::ids::RequestId;
use crate::envelope::kind::RecordKind;
use crate::observe::{Event, Refusal};

use super::adobe;
use super::answer::{self, Dialect, Problem};
use super::load::Cargo;
use super::pressure::Share;
use super::signature::adobe::Doubt;
use super::signature::{self, Verified};
use super::take::{self, Given};
use super::{Intake, Origin};

/// `POST /in/{origin}`: the payload says what it is.
pub async fn whole(State(intake): State<Arc<Intake>>, Path(origin): Path<String>, request: Request<Body>) -> Response {
    receive(&intake, &origin, None, request).await
}

/// `POST /in/{origin}/{entity}`: the path says what it is.
pub async fn entity(
    State(intake): State<Arc<Intake>>,
    Path((origin, entity)): Path<(String, String)>,
    request: Request<Body>,
) -> Response {
    receive(&intake, &origin, Some(&entity), request).await
}

/// As long as a failure to read a signing key is remembered.
const UNVERIFIABLE_WAIT: Duration = Duration::from_mins(1);

async fn receive(intake: &Arc<Intake>, name: &str, entity: Option<&str>, request: Request<Body>) -> Response {
    let begun = Instant::now();
    let request_id = RequestId::new(intake.clock.now(), &*intake.entropy);
    let Some(origin) = intake.origins.get(name) else {
        intake.observer.note(&Event::RequestReceived { origin: "" });
        intake.observer.note(&Event::RequestRefused { origin: "", reason: Refusal::Unknown, detail: "unknown origin" });
        return answer::problem(&Problem::new(StatusCode::NOT_FOUND, "No such origin", request_id));
    };
    intake.observer.note(&Event::RequestReceived { origin: &origin.name });
    let push = adobe::is_push(origin, request.headers());
    match pass(intake, origin, entity, request, request_id).await {
        Ok(response) => {
            intake.observer.note(&Event::RequestStored { origin: &origin.name, elapsed: begun.elapsed() });
            response
        }
        Err(refused) => {
            intake.heard.refused(&origin.name, refused.word(), intake.clock.now());
            let Refused { reason, detail, response, .. } = *refused;
            intake.observer.note(&Event::RequestRefused { origin: &origin.name, reason, detail: &detail });
            if push {
                adobe::note_refused(intake, origin, response.status());
            }
            response
        }
    }
}

/// A request that is not taken: what we count, and what the sender is told.
pub(super) struct Refused {
    /// For metrics and the log.
    pub reason: Refusal,
    /// Why the sender is not believed, where that is why.
    pub doubt: Option<signature::Refused>,
    /// For the log only.
    pub detail: String,
    /// For the sender.
    pub response: Response,
}

impl Refused {
    pub(super) fn new(reason: Refusal, detail: impl Into<String>, problem: &Problem) -> Box<Self> {
        Box::new(Refused { reason, doubt: None, detail: detail.into(), response: answer::problem(problem) })
    }

    /// The word by which it is counted for people.
    fn word(&self) -> &'static str {
        self.doubt.map_or(self.reason.as_str(), signature::Refused::as_str)
    }
}

async fn pass(
    intake: &Arc<Intake>,
    origin: &Origin,
    entity: Option<&str>,
    request: Request<Body>,
    request_id: RequestId,
) -> Result<Response, Box<Refused>> {
    let kind = match entity {
        None => None,
        Some(entity) => Some(RecordKind::from_entity(entity).ok_or_else(|| {
            let problem = Problem::new(StatusCode::NOT_FOUND, "No such kind of record", request_id).detail(
                "The last part of the path is one of orders, order-changes, invoices, shipments, credit-memos, products, \
                 customers, stock, fulfilments.",
            );
            Refused::new(Refusal::Unknown, "unknown entity", &problem)
        })?),
    };
    open(intake, origin, cargo(kind), request_id)?;
    if let Some(name) = &origin.event_id_header
        && request.headers().get_all(name).iter().nth(1).is_some()
    {
        // SIG-3: whoever comes between must not choose which of two ids counts.
        return Err(unverified(origin, request_id, signature::Refused::Doubled));
    }
    let (parts, body) = request.into_parts();
    let expected = declared_length(&parts.headers);
    if expected.is_some_and(|length| length > origin.body_bytes_max as u64) {
        drain(body);
        return Err(too_large(origin, request_id));
    }
    // Shed before reading (PRS-2): a body of unknown length may turn out as large as allowed.
    let expected = expected.map_or(origin.body_bytes_max, |length| usize::try_from(length).unwrap_or(usize::MAX));
    let mut share = intake.load.room.offer(expected).ok_or_else(|| no_room(intake, request_id))?;
    let body = read(intake, origin, body, &mut share, request_id).await?;
    if !share.enter() {
        return Err(no_room(intake, request_id));
    }
    let now = intake.clock.now();
    if let Some(noted) = adobe::validation(intake, origin, &body) {
        return Ok(noted);
    }
    let deadline = Instant::now() + origin.handler_timeout;
    let verified = verify(origin, &parts.headers, &body, now, request_id).await?;
    let given = Given { headers: &parts.headers, kind, request_id, received_at: now, share: Arc::new(share) };
    answer_in_time(intake, origin, &given, verified, body, deadline).await
}

/// Who sent it; `None` where an unverified payload is kept unread (grace).
async fn verify(
    origin: &Origin,
    headers: &HeaderMap,
    body: &Bytes,
    now: Timestamp,
    request_id: RequestId,
) -> Result<Option<Verified>, Box<Refused>> {
    if let Some(adobe) = &origin.adobe {
        return match adobe.verify(headers, body.clone(), now).await {
            Ok(verified) => Ok(Some(verified)),
            Err(Doubt::Refused(refused)) => Err(unverified(origin, request_id, refused)),
            Err(Doubt::Unverifiable) => {
                let problem = answer::unavailable(request_id, UNVERIFIABLE_WAIT);
                Err(Refused::new(Refusal::Unverifiable, "the signing key could not be read", &problem))
            }
        };
    }
    match origin.verifier.verify(headers, body.clone(), now) {
        Ok(verified) => Ok(Some(verified)),
        Err(refused) if origin.grace || planted!(ForgeryTaken) => {
            tracing::warn!(origin = origin.name, reason = ?refused, "an unverified payload is parked unread (grace)");
            Ok(None)
        }
        Err(refused) => Err(unverified(origin, request_id, refused)),
    }
}

/// What a path says of its records; a path that does not say may carry new orders.
fn cargo(kind: Option<RecordKind>) -> Cargo {
    match kind {
        Some(RecordKind::Stock) => Cargo::Stock,
        None | Some(RecordKind::Order | RecordKind::Unknown) => Cargo::Order,
        Some(_) => Cargo::Change,
    }
}

/// Whether requests are taken at all now.
fn open(intake: &Intake, origin: &Origin, cargo: Cargo, request_id: RequestId) -> Result<(), Box<Refused>> {
    if !intake.open.load(Ordering::Acquire) {
        let problem = answer::unavailable(request_id, Duration::from_secs(5));
        return Err(Refused::new(Refusal::NotReady, "stopping", &problem));
    }
    if let Err(reason) = intake.store.health() {
        return Err(overload(intake, request_id, reason));
    }
    if let Err(reason) = intake.load.admits(cargo) {
        return Err(overload(intake, request_id, reason));
    }
    if let Some(pace) = &origin.pace
        && let Err(wait) = pace.take(Instant::now())
    {
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "Too fast", request_id).retry_after(wait);
        return Err(Refused::new(Refusal::TooFast, "over the origin's rate", &problem));
    }
    Ok(())
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn read(
    intake: &Intake,
    origin: &Origin,
    body: Body,
    share: &mut Share,
    request_id: RequestId,
) -> Result<Bytes, Box<Refused>> {
    tokio::time::timeout(intake.body_timeout, collect(intake, origin, body, share, request_id)).await.unwrap_or_else(
        |_| {
            let problem = match origin.dialect {
                // A 408 would lose its events from push for ever.
                Dialect::CommerceEvents => answer::unavailable(request_id, Duration::from_secs(1)),
                Dialect::CommerceHook | Dialect::Patchworks | Dialect::Backoffice => {
                    Problem::new(StatusCode::REQUEST_TIMEOUT, "The body took too long", request_id)
                }
            };
            Err(Refused::new(Refusal::TimedOut, "body time-out", &problem))
        },
    )
}

async fn collect(
    intake: &Intake,
    origin: &Origin,
    mut body: Body,
    share: &mut Share,
    request_id: RequestId,
) -> Result<Bytes, Box<Refused>> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            let problem = Problem::new(StatusCode::BAD_REQUEST, "The body broke off", request_id);
            Refused::new(Refusal::TimedOut, error.to_string(), &problem)
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > origin.body_bytes_max {
            drain(body);
            return Err(too_large(origin, request_id));
        }
        if !share.grow(data.len()) {
            return Err(no_room(intake, request_id));
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// Bytes of a refused body that are read and thrown away.
const DRAINED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long a refused body is listened to.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);

/// Throws the rest of a refused body away while the answer is on its way: a connection closed with unread bytes is reset,
/// and a client that is still sending would never hear why.
fn drain(mut body: Body) {
    tokio::spawn(async move {
        let emptied = async {
            let mut read = 0;
            while let Some(Ok(frame)) = body.frame().await {
                read += frame.data_ref().map_or(0, Bytes::len);
                if read > DRAINED_BYTES_MAX {
                    return;
                }
            }
        };
        // Whoever sends more, or more slowly, is cut off as before.
        let _ = tokio::time::timeout(DRAIN_TIME_MAX, emptied).await;
    });
}

/// Takes the records and answers, or says 503 at the deadline: a commit that lands later makes the retry a duplicate
/// (ACK-8). The work itself goes on in its own task.
async fn answer_in_time(
    intake: &Arc<Intake>,
    origin: &Origin,
    given: &Given<'_>,
    verified: Option<Verified>,
    body: Bytes,
    deadline: Instant,
) -> Result<Response, Box<Refused>> {
    let taking = take::take(intake, origin, given, verified, body);
    match tokio::time::timeout_at(deadline, taking).await {
        Ok(Ok(results)) => Ok(answer::answer(origin.dialect, &results, given.request_id)),
        Ok(Err(refused)) => Err(refused),
        Err(_) => Err(overload(intake, given.request_id, "handler deadline")),
    }
}

fn unverified(origin: &Origin, request_id: RequestId, doubt: signature::Refused) -> Box<Refused> {
    let (detail, reason) = (doubt.to_string(), Refusal::Unauthenticated);
    if origin.refuse_with_exception {
        let response = answer::hook_exception("This action could not be verified. Please try again later.");
        return Box::new(Refused { reason, doubt: Some(doubt), detail, response });
    }
    // No reason is given: it would tell a forger how far they came (ANS-1).
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "Not authenticated", request_id);
    Box::new(Refused { reason, doubt: Some(doubt), detail, response: answer::problem(&problem) })
}

fn too_large(origin: &Origin, request_id: RequestId) -> Box<Refused> {
    let problem = Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "The body is too large", request_id)
        .detail(&format!("This origin takes bodies of up to {} bytes.", origin.body_bytes_max));
    Refused::new(Refusal::TooLarge, "over the limit", &problem)
}

fn no_room(intake: &Intake, request_id: RequestId) -> Box<Refused> {
    overload(intake, request_id, "no room for another request")
}

pub(super) fn overload(intake: &Intake, request_id: RequestId, detail: impl Into<String>) -> Box<Refused> {
    let wait = intake.load.retry_after(intake.entropy.unit());
    Refused::new(Refusal::Overload, detail, &answer::unavailable(request_id, wait))
}
