//! Verified bytes in, durable envelopes out: identity, express lane, one append.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::time::Instant;

use crate::clock::Timestamp;
use crate::domain::defect::{Defect, ExceptionCode};
use crate::envelope::ids::{DeliveryId, EnvelopeId, ExceptionId, RequestId};
use crate::envelope::keys::{Digest, EventKey};
use crate::envelope::kind::RecordKind;
use crate::json::{self, Json, Limits};
use crate::observe::{Event, Refusal};
use crate::processor::enqueue::Enqueued;
use crate::processor::step::{self, Input};
use crate::processor::unreadable;
use crate::store::StoreError;
use crate::store::pack::pack;
use crate::store::write::{Arrival, ArrivedRecord, Conclusion, NewException, Receipt, Subject};

use super::answer::{self, Dialect, Problem, ProblemLine, RecordResult, RecordStatus};
use super::carry::Carried;
use super::decode::{self, Record};
use super::evidence;
use super::pressure::Share;
use super::receive::{Refused, overload};
use super::signature::Verified;
use super::{Intake, Origin};
use crate::delivery::trace::is_well_formed;
use crate::delivery::{ExpressDelivery, Place};

/// What came with the body.
pub(super) struct Given<'a> {
    pub headers: &'a HeaderMap,
    /// From the path, if it says.
    pub kind: Option<RecordKind>,
    pub request_id: RequestId,
    pub received_at: Timestamp,
    /// What the request takes of the room.
    pub share: Arc<Share>,
}

/// A record on its way to the store, with what the answer says of it.
pub(super) struct Prepared {
    pub record: ArrivedRecord,
    key: Option<String>,
}

/// What becomes of each record of the body, in the order sent.
enum Slot {
    /// Goes to the store.
    Stored(usize),
    /// Cannot be taken; told to the sender.
    Rejected(RecordResult),
}

pub(super) async fn take(
    intake: &Arc<Intake>,
    origin: &Origin,
    given: &Given<'_>,
    verified: Option<Verified>,
    body: Bytes,
) -> Result<Vec<RecordResult>, Box<Refused>> {
    let mut places: HashMap<DeliveryId, Place> = HashMap::new();
    let (slots, prepared) = match &verified {
        Some(verified) => prepare(intake, origin, given, verified, &body, &mut places)?,
        None => (vec![Slot::Stored(0)], vec![unverified(intake, origin, given, &body)]),
    };
    note_rejected(intake, origin, given, &slots);
    if prepared.is_empty() {
        return Ok(results(slots, &[], &[]));
    }
    let keys: Vec<Option<String>> = prepared.iter().map(|record| record.key.clone()).collect();
    let ids: Vec<EnvelopeId> = prepared.iter().map(|record| record.record.id).collect();
    let arrival = Arrival {
        origin: origin.name.clone(),
        body: pack(&body),
        headers: evidence::kept(given.headers, verified.as_ref()),
        verification: verified.as_ref().map_or("unverified", Verified::scheme).to_owned(),
        config_version: intake.config_version.clone(),
        request_id: given.request_id,
        traceparent: traceparent(given.headers),
        received_at: given.received_at,
        records: prepared.into_iter().map(|record| record.record).collect(),
    };
    let receipts = append(intake, origin, arrival, places, given).await?;
    let told: Vec<(Option<String>, EnvelopeId)> = keys.into_iter().zip(ids).collect();
    Ok(results(slots, &told, &receipts))
}

fn note_rejected(intake: &Intake, origin: &Origin, given: &Given<'_>, slots: &[Slot]) {
    for slot in slots {
        if let Slot::Rejected(result) = slot {
            let kind = given.kind.unwrap_or(RecordKind::Unknown).as_str();
            intake.heard.took(&origin.name, kind, RecordStatus::Rejected, None, given.received_at);
            let path = result.problems.first().map_or("", |problem| problem.path.as_str());
            intake.observer.note(&Event::RecordRejected { origin: &origin.name, path });
        }
    }
}

/// Decodes and, where the express lane may be taken, processes every record.
fn prepare(
    intake: &Intake,
    origin: &Origin,
    given: &Given<'_>,
    verified: &Verified,
    body: &Bytes,
    places: &mut HashMap<DeliveryId, Place>,
) -> Result<(Vec<Slot>, Vec<Prepared>), Box<Refused>> {
    let whole = match json::parse(body, &Limits::default()) {
        Ok(whole) => whole,
        Err(error) => return unreadable_body(intake, origin, given, body, &error),
    };
    let decoded = decode::records(&whole, origin.dialect, given.kind);
    let single = decoded.records.len() == 1;
    let mut slots = Vec::with_capacity(decoded.records.len());
    let mut prepared = Vec::with_capacity(decoded.records.len());
    for record in &decoded.records {
        match record {
            Ok(record) => {
                let event_id = event_id(origin, given, verified, record, single);
                if let Some(rejected) = rejected_at_the_door(origin, record) {
                    slots.push(Slot::Rejected(rejected));
                    continue;
                }
                let record = identify(intake, origin, given, record, event_id.as_deref(), places);
                if let Some(rejected) = unusable(origin, &record) {
                    slots.push(Slot::Rejected(rejected));
                } else {
                    slots.push(Slot::Stored(prepared.len()));
                    prepared.push(record);
                }
            }
            Err(problem) if origin.dialect.tells_problems() => slots.push(Slot::Rejected(RecordResult {
                key: None,
                event_id: None,
                status: RecordStatus::Rejected,
                problems: vec![ProblemLine { path: problem.path.clone(), message: problem.message.clone() }],
            })),
            Err(problem) => {
                let defect = not_a_record(&problem.path, &problem.message);
                slots.push(Slot::Stored(prepared.len()));
                prepared.push(parked(intake, origin, given.received_at, &problem.path, &Digest::of(body), defect));
            }
        }
    }
    Ok((slots, prepared))
}

/// A sender that reads our answers is told at once that a record names nothing; a hook's record is parked instead.
fn rejected_at_the_door(origin: &Origin, record: &Record<'_, '_>) -> Option<RecordResult> {
    if !origin.dialect.tells_problems() || record.kind != RecordKind::Unknown {
        return None;
    }
    Some(RecordResult {
        key: None,
        event_id: None,
        status: RecordStatus::Rejected,
        problems: vec![ProblemLine {
            path: record.path.clone(),
            message:
                "not a record of a kind we know: send to /in/ORIGIN/orders, or an object with increment_id and items"
                    .to_owned(),
        }],
    })
}

/// A record of which something could not be read is the sender's to correct: one that reads our answers gets the whole
/// list and nothing is stored; a hook's record is parked, since a hook never comes again.
fn unusable(origin: &Origin, prepared: &Prepared) -> Option<RecordResult> {
    let conclusion = prepared.record.conclusion.as_ref()?;
    let exceptions = &conclusion.exceptions;
    let unreadable = ExceptionCode::UnreadablePayload.as_str();
    if !origin.dialect.tells_problems()
        || !conclusion.deliveries.is_empty()
        || exceptions.iter().all(|exception| exception.code != unreadable)
    {
        return None;
    }
    let lines = exceptions.iter().map(|exception| ProblemLine {
        path: join(&prepared.record.path, &exception.path),
        message: format!("{} {}", exception.message, exception.remedy),
    });
    Some(RecordResult {
        key: prepared.key.clone(),
        event_id: None,
        status: RecordStatus::Rejected,
        problems: lines.collect(),
    })
}

fn join(record: &str, path: &str) -> String {
    match (record.trim_start_matches('/'), path) {
        ("", path) => path.to_owned(),
        (record, "") => record.to_owned(),
        (record, path) => format!("{record}/{path}"),
    }
}

fn identify(
    intake: &Intake,
    origin: &Origin,
    given: &Given<'_>,
    record: &Record<'_, '_>,
    event_id: Option<&str>,
    places: &mut HashMap<DeliveryId, Place>,
) -> Prepared {
    let identity = Identity::of(intake, origin, record, event_id);
    let input = Input {
        origin: &origin.name,
        kind: record.kind,
        event_name: record.event_name.as_deref(),
        json: record.json,
        later: false,
    };
    // What is to be read first, or waits for the catalogue, takes the long way: the processor sees to both.
    let conclusion = ignored(record).or_else(|| {
        let subject = &identity.subject;
        let open = intake.express_open(given.received_at);
        let enqueued = open.then(|| intake.processor.process(&input, subject)).flatten();
        let enqueued = enqueued.filter(|enqueued| enqueued.conclusion.read.is_none())?;
        Some(express(intake, given, enqueued, subject, places))
    });
    let on_conflict = (event_id.is_some() && !origin.dialect.tells_problems())
        .then(|| conflict(intake, given.received_at, &identity.subject, event_id.unwrap_or_default()));
    Prepared {
        key: Some(identity.subject.id.clone()).filter(|id| !id.is_empty()),
        record: ArrivedRecord {
            id: EnvelopeId::new(given.received_at, &*intake.entropy),
            path: record.path.clone(),
            kind: record.kind.as_str().to_owned(),
            event_name: record.event_name.clone(),
            event_key: identity.key,
            content: identity.content,
            subject: identity.subject,
            conclusion,
            on_conflict,
        },
    }
}

/// What a record is about, what it says, and its identity at its origin.
pub(super) struct Identity {
    pub subject: Subject,
    pub content: Digest,
    pub key: EventKey,
}

impl Identity {
    pub(super) fn of(intake: &Intake, origin: &Origin, record: &Record<'_, '_>, event_id: Option<&str>) -> Self {
        let subject = match intake.processor.rules().origins.get(&origin.name) {
            Some(of_origin) => step::subject(record.kind, record.json, of_origin),
            None => nobody(record.kind),
        };
        let content = Digest::of(record.json.canonical().as_bytes());
        let key = match event_id {
            Some(id) => EventKey::explicit(&origin.name, id),
            None => EventKey::derived(&origin.name, identity(record), &subject.scope, &subject.id, &content),
        };
        Identity { subject, content, key }
    }
}

/// The end of a record of which nothing is made, with the reason.
pub(super) fn ignored(record: &Record<'_, '_>) -> Option<Conclusion> {
    let event = record.event_name.as_deref().unwrap_or("the event");
    let reason = format!("{event}: {}", record.ignored?);
    Some(Conclusion { ignored: Some(reason.clone()), explanation: reason, ..Conclusion::default() })
}

/// The kind as it enters a derived event id. An order announced before its save is another event than the saved order
/// of the same content: taken for its double, the saved one would never release what the announcement parked.
fn identity(record: &Record<'_, '_>) -> &'static str {
    if record.unsaved { "unsaved" } else { record.kind.as_str() }
}

/// Reserves a place for each delivery whose destination is open, so that its first attempt starts in the same
/// transaction.
fn express(
    intake: &Intake,
    given: &Given<'_>,
    enqueued: Enqueued,
    subject: &Subject,
    places: &mut HashMap<DeliveryId, Place>,
) -> Conclusion {
    let Enqueued { mut conclusion, documents } = enqueued;
    for (delivery, document) in conclusion.deliveries.iter_mut().zip(documents) {
        let traceparent = traceparent(given.headers);
        let express = ExpressDelivery {
            id: delivery.id,
            key: &delivery.key,
            destination: &delivery.destination,
            document: delivery.document,
            body: &document,
            subject,
            purpose: &delivery.purpose,
            revision: &delivery.revision,
            generation: delivery.generation,
            traceparent: traceparent.as_deref(),
            created_at: given.received_at,
        };
        if let Some((start, place)) = intake.delivery.express(&express) {
            delivery.express = Some(start);
            places.insert(delivery.id, place);
        }
    }
    conclusion
}

/// The sender's own id of the event, if the origin has one (DED-2). A batch shares one id among its records.
fn event_id(
    origin: &Origin,
    given: &Given<'_>,
    verified: &Verified,
    record: &Record<'_, '_>,
    single: bool,
) -> Option<String> {
    if origin.dialect == Dialect::CommerceEvents && (record.event_id.is_some() || !single) {
        // The header is not signed: it counts only where the one event of a request names no id itself.
        return record.event_id.clone();
    }
    let header = origin.event_id_header.as_ref().and_then(|name| given.headers.get(name));
    let id = verified.event_id().or_else(|| header.and_then(|value| value.to_str().ok()))?;
    if id.is_empty() {
        // Not usable (DED-2): all such events would be one.
        return None;
    }
    Some(if single { id.to_owned() } else { format!("{id}#{}", record.path) })
}

/// A body that is not JSON: told to a sender that reads answers, parked for one that does not.
fn unreadable_body(
    intake: &Intake,
    origin: &Origin,
    given: &Given<'_>,
    body: &Bytes,
    error: &json::JsonError,
) -> Result<(Vec<Slot>, Vec<Prepared>), Box<Refused>> {
    if origin.dialect.tells_problems() {
        let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "The body cannot be read", given.request_id)
            .detail(&error.to_string());
        return Err(Refused::new(Refusal::Unreadable, error.to_string(), &problem));
    }
    let prepared = parked(intake, origin, given.received_at, "", &Digest::of(body), unreadable(error));
    Ok((vec![Slot::Stored(0)], vec![prepared]))
}

/// An envelope that is stored with its exception and never processed by itself.
pub(super) fn parked(
    intake: &Intake,
    origin: &Origin,
    at: Timestamp,
    path: &str,
    content: &Digest,
    defect: Defect,
) -> Prepared {
    let kind = RecordKind::Unknown;
    let subject = match intake.processor.rules().origins.get(&origin.name) {
        Some(of_origin) => step::subject(kind, &Json::Null, of_origin),
        None => nobody(kind),
    };
    let conclusion = intake.processor.park(defect, &subject).conclusion;
    Prepared {
        key: None,
        record: ArrivedRecord {
            id: EnvelopeId::new(at, &*intake.entropy),
            path: path.to_owned(),
            kind: kind.as_str().to_owned(),
            event_name: None,
            event_key: EventKey::derived(&origin.name, kind.as_str(), path, "", content),
            content: *content,
            subject,
            conclusion: Some(conclusion),
            on_conflict: None,
        },
    }
}

/// During a key rotation with `grace`: kept, unread, for a person.
fn unverified(intake: &Intake, origin: &Origin, given: &Given<'_>, body: &Bytes) -> Prepared {
    let defect = Defect {
        code: ExceptionCode::UnreadablePayload,
        path: String::new(),
        value: None,
        message: "the signature did not verify; the origin's grace setting kept the payload unread".to_owned(),
        remedy: "Add the new public key, then replay if the sender is known to be yours; switch `grace` off again."
            .to_owned(),
        cause: format!("unverified {}", origin.name),
    };
    parked(intake, origin, given.received_at, "", &Digest::of(body), defect)
}

pub(super) fn nobody(kind: RecordKind) -> Subject {
    Subject { kind: kind.as_str().to_owned(), system: String::new(), scope: String::new(), id: String::new() }
}

pub(super) fn not_a_record(path: &str, message: &str) -> Defect {
    Defect {
        code: ExceptionCode::UnreadablePayload,
        path: path.to_owned(),
        value: None,
        message: message.to_owned(),
        remedy: "Correct the sender, then send the record again.".to_owned(),
        cause: message.to_owned(),
    }
}

pub(super) fn conflict(intake: &Intake, at: Timestamp, subject: &Subject, event_id: &str) -> NewException {
    let code = ExceptionCode::EventIdConflict;
    let defect = Defect {
        code,
        path: String::new(),
        value: Some(event_id.chars().take(200).collect()),
        message: "the sender used an event id again for other content; the first content stands".to_owned(),
        remedy: "Compare both in the sender's log. If the second is right, send it again under an id of its own."
            .to_owned(),
        cause: event_id.to_owned(),
    };
    NewException {
        id: ExceptionId::new(at, &*intake.entropy),
        code: code.as_str().to_owned(),
        severity: code.severity().as_str().to_owned(),
        owner: code.owner().as_str().to_owned(),
        subject: subject.clone(),
        destination: None,
        delivery: None,
        fingerprint: defect.fingerprint(),
        path: defect.path,
        value: defect.value,
        message: defect.message,
        remedy: defect.remedy,
        opened_at: at,
    }
}

/// Appends in a task of its own: the hand-over to the delivery worker happens even when the client hangs up or was told
/// 503 at its deadline. The request's share of the room is kept until then, so that a slow store cannot fill memory with
/// bodies whose senders have gone (PRS-1).
async fn append(
    intake: &Arc<Intake>,
    origin: &Origin,
    arrival: Arrival,
    places: HashMap<DeliveryId, Place>,
    given: &Given<'_>,
) -> Result<Vec<Receipt>, Box<Refused>> {
    let opening: Vec<Opening> = arrival.records.iter().map(Opening::of).collect();
    let origin_name = origin.name.clone();
    let shared = intake.clone();
    let (request_id, received_at, share) = (given.request_id, given.received_at, given.share.clone());
    let appending = Carried::new(async move {
        let _share = share;
        let begun = Instant::now();
        let receipts = {
            let _waiting = shared.load.committing();
            shared.store.append(arrival).await?
        };
        shared.observer.note(&Event::Committed { elapsed: begun.elapsed() });
        hand_over(&shared, &receipts, places);
        for (receipt, opening) in receipts.iter().zip(&opening) {
            shared.observer.note(&told(&origin_name, receipt, opening.id));
            let (status, event) = became(receipt, opening.id);
            shared.heard.took(&origin_name, &opening.kind, status, Some(event), received_at);
            for exception in opening.by(receipt) {
                shared.observer.note(&Event::opened(exception));
            }
        }
        Ok::<_, StoreError>(receipts)
    });
    match appending.await {
        Ok(Ok(receipts)) => Ok(receipts),
        Ok(Err(error)) => Err(overload(intake, request_id, error.to_string())),
        Err(panic) => {
            tracing::error!(panic, "appending broke an assumption of ours");
            let problem = Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal error", request_id);
            Err(Refused::new(Refusal::Internal, panic, &problem))
        }
    }
}

/// A record's id and kind, and which exceptions its append opens.
struct Opening {
    id: EnvelopeId,
    kind: String,
    if_first: Vec<NewException>,
    if_conflict: Option<NewException>,
}

impl Opening {
    fn of(record: &ArrivedRecord) -> Self {
        Opening {
            id: record.id,
            kind: record.kind.clone(),
            if_first: record.conclusion.as_ref().map(|conclusion| conclusion.exceptions.clone()).unwrap_or_default(),
            if_conflict: record.on_conflict.clone(),
        }
    }

    fn by(&self, receipt: &Receipt) -> &[NewException] {
        match receipt {
            Receipt::First { .. } => &self.if_first,
            Receipt::Duplicate { .. } => &[],
            Receipt::Conflict { .. } => self.if_conflict.as_slice(),
        }
    }
}

fn hand_over(intake: &Intake, receipts: &[Receipt], mut places: HashMap<DeliveryId, Place>) {
    let mut work = false;
    for receipt in receipts {
        if let Receipt::First { started, work_left } = receipt {
            for attempt in started {
                if let Some(place) = places.remove(&attempt.delivery) {
                    intake.delivery.hand_off(attempt.clone(), place);
                }
            }
            work |= work_left;
        }
    }
    if work {
        intake.processor.wake();
        intake.delivery.wake();
    }
}

pub(super) fn told<'a>(origin: &'a str, receipt: &Receipt, id: EnvelopeId) -> Event<'a> {
    match receipt {
        Receipt::First { .. } => Event::EnvelopeAccepted { origin, envelope: id },
        Receipt::Duplicate { first } => Event::DuplicateSeen { origin, first: *first },
        Receipt::Conflict { first } => Event::ConflictSeen { origin, first: *first },
    }
}

/// What became of a record, and the event that stands for it.
pub(super) fn became(receipt: &Receipt, id: EnvelopeId) -> (RecordStatus, EnvelopeId) {
    match receipt {
        Receipt::First { .. } => (RecordStatus::Accepted, id),
        Receipt::Duplicate { first } => (RecordStatus::Duplicate, *first),
        Receipt::Conflict { first } => (RecordStatus::Conflict, *first),
    }
}

fn results(slots: Vec<Slot>, told: &[(Option<String>, EnvelopeId)], receipts: &[Receipt]) -> Vec<RecordResult> {
    slots
        .into_iter()
        .map(|slot| match slot {
            Slot::Rejected(result) => result,
            Slot::Stored(index) => {
                let (key, id) = &told[index];
                let of = if planted!(BatchAnswersSwapped) { receipts.len() - 1 - index } else { index };
                let (status, event_id) = became(&receipts[of], *id);
                RecordResult { key: key.clone(), event_id: Some(event_id), status, problems: answer::notes(status) }
            }
        })
        .collect()
}

/// ATT-4: forwarded if well-formed.
fn traceparent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    is_well_formed(text).then(|| text.to_owned())
}
