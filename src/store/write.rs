//! What the rooms hand to the store: arrivals, conclusions, attempts, settlements, operators' acts.

mod acts;
mod wanted;

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::envelope::ids::{DeliveryId, DocumentId, EnvelopeId, ExceptionId, RequestId};
use crate::envelope::keys::{Digest, EventKey, IdempotencyKey};
use crate::envelope::revision::Revision;

pub use acts::{Act, Decision, Erasure, NewToken, Replay, Resend, Retire, Verdict};
pub use wanted::{AfterRead, NewRead, Patience, ReadSettled, WantedRead};

/// What a record is about, and with it the lane it travels in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject {
    /// `order`, `stock`, …; `unknown` where the payload does not say.
    pub kind: String,
    /// The Commerce instance that owns it.
    pub system: String,
    /// The decimal store id for orders; empty for subjects without one.
    pub scope: String,
    /// `increment_id`, SKU, …, byte for byte.
    pub id: String,
}

/// A body as it is kept: compressed, with the digest of the plain bytes (BAK-2).
#[derive(Clone, Debug)]
pub struct PackedBody {
    /// zstd frame.
    pub packed: Bytes,
    /// Length of the plain bytes.
    pub plain_bytes: usize,
    /// SHA-256 of the plain bytes.
    pub digest: Digest,
}

/// One verified request, ready to be written down (ACK-1). All its records become durable together, or none (ACK-7).
#[derive(Debug)]
pub struct Arrival {
    /// Configured name of the origin.
    pub origin: String,
    /// The request body, exactly as verified.
    pub body: PackedBody,
    /// Allow-listed request headers as a JSON object; never credentials or signatures.
    pub headers: String,
    /// Scheme that verified it, e.g. `rsa-signature` or `header+hmac`.
    pub verification: String,
    /// Version of the configuration that accepted it.
    pub config_version: String,
    /// For correlation.
    pub request_id: RequestId,
    /// A well-formed `traceparent` of the sender (ATT-4).
    pub traceparent: Option<String>,
    /// When the last byte was read.
    pub received_at: Timestamp,
    /// The records of the body, at least one.
    pub records: Vec<ArrivedRecord>,
}

/// One record of an [`Arrival`]; becomes an envelope unless it is a duplicate.
#[derive(Debug)]
pub struct ArrivedRecord {
    /// Its id if it is new.
    pub id: EnvelopeId,
    /// JSON pointer of the record inside the body; empty for the whole body.
    pub path: String,
    /// `order`, `order_change`, …, `unknown`.
    pub kind: String,
    /// `eventName` of a webhook, when it names one.
    pub event_name: Option<String>,
    /// Identity at the origin (DED-1).
    pub event_key: EventKey,
    /// Digest of the canonical content, which tells a duplicate from a conflict.
    pub content: Digest,
    /// What it is about.
    pub subject: Subject,
    /// What the processor already concluded (express lane, or a record parked at the door); `None` leaves the record
    /// to the processor.
    pub conclusion: Option<Conclusion>,
    /// Opened when the event key is known with other content (answers per origin, section 3).
    pub on_conflict: Option<NewException>,
}

/// What became of one record, in the order sent.
#[derive(Debug)]
pub enum Receipt {
    /// Written for the first time.
    First {
        /// Express deliveries whose lane was free and whose first attempt is now durably started: send them.
        started: Vec<StartedAttempt>,
        /// There is something for the processor or the delivery worker to pick up.
        work_left: bool,
    },
    /// Same key, same content: `first` is the envelope that stands.
    Duplicate {
        /// The first envelope.
        first: EnvelopeId,
    },
    /// Same key, other content.
    Conflict {
        /// The first envelope.
        first: EnvelopeId,
    },
}

/// What processing one envelope came to; written in one transaction.
#[derive(Debug, Default)]
pub struct Conclusion {
    /// What is worth listing about the subject.
    pub facts: SubjectFacts,
    /// Documents made, one a destination.
    pub documents: Vec<NewDocument>,
    /// Intended effects. A key that exists already makes no second delivery (KEY-2): if the known one is not sealed yet
    /// it takes this document, else nothing changes.
    pub deliveries: Vec<NewDelivery>,
    /// Where this is a report of an order: what it comes to at destinations that know the order already (LANE-3).
    pub reports: Vec<OrderReport>,
    /// Where this only hints at a change of an order: what is done with and without the order (LANE-4).
    pub hint: Option<Hint>,
    /// The order is to be read from Commerce first: the envelope waits for that, and nothing else is made of it.
    pub read: Option<NewRead>,
    /// Exceptions opened.
    pub exceptions: Vec<NewException>,
    /// Reason when nothing is to be done; `None` when there are deliveries or exceptions.
    pub ignored: Option<String>,
    /// Why each document goes where it goes, in words, for the timeline.
    pub explanation: String,
}

/// What a report of an order says to one destination, whatever that destination knows. The store decides, in the
/// transaction, what of it is done: the create, what follows it, or nothing.
#[derive(Debug)]
pub struct OrderReport {
    /// Configured name.
    pub destination: String,
    /// How old the report is, and what it says.
    pub revision: Revision,
    /// The order is cancelled as a whole: a create that was not sent never is (LANE-5).
    pub cancels: bool,
    /// What follows a create that was sent; `None` where no route takes it, or where nobody asked for it to be made.
    pub change: Option<NewDelivery>,
    /// What follows any create, because something is cancelled.
    pub cancellation: Option<NewDelivery>,
    /// Why there is no change, in words.
    pub unwanted: String,
}

/// A notice that an order changed, without the order (LANE-4).
#[derive(Debug)]
pub struct Hint {
    /// `updated_at`, if it says.
    pub updated_at: Option<Timestamp>,
    /// It says that the order is cancelled as a whole: a create that was not sent never is (LANE-5).
    pub cancels: bool,
    /// How long after its arrival it waits for the order.
    pub hold: Duration,
    /// Opened when the order has not come by then; `None` where nobody would want to know.
    pub unknown: Option<NewException>,
    /// Opened when the order is known and this says something newer that cannot be passed on.
    pub incomplete: Option<NewException>,
    /// Why nobody wants to know, in words.
    pub unwanted: String,
    /// The order can be read: done in place of asking a person.
    pub read: Option<NewRead>,
}

/// Facts of an order for lists and timelines; all optional because a parked record may lack any of them.
#[derive(Clone, Debug, Default)]
pub struct SubjectFacts {
    /// Commerce's `entity_id`.
    pub entity_id: Option<String>,
    /// Commerce's `state`.
    pub state: Option<String>,
    /// Commerce's `status`.
    pub status: Option<String>,
    /// `created_at` in Commerce.
    pub placed_at: Option<Timestamp>,
    /// `updated_at` in Commerce: with it the store never lets an older report overwrite a newer one.
    pub updated_at: Option<Timestamp>,
    /// ISO code of the order currency.
    pub currency: Option<String>,
    /// Order currency, digits as sent.
    pub grand_total: Option<String>,
}

/// A canonical document.
#[derive(Clone, Debug)]
pub struct NewDocument {
    /// Its id.
    pub id: DocumentId,
    /// Document kind of a route, e.g. `order`.
    pub kind: String,
    /// `crossdock.sales_order.v1`, …
    pub schema: String,
    /// Destination it was made for.
    pub destination: String,
    /// JSON text, packed.
    pub body: PackedBody,
    /// Version of the mappings it was made with.
    pub mappings_version: u64,
    /// A person made it of another one.
    pub edit: Option<Edit>,
}

/// How a document came of another one by a person's hand.
#[derive(Clone, Debug, Serialize)]
pub struct Edit {
    /// The document it was made of: the delivery that is replaced must still send that one.
    pub original: DocumentId,
    /// Who.
    pub by: String,
    /// Why; erased with the buyer, since it may name him.
    pub reason: String,
}

/// An intended effect at one destination.
#[derive(Debug)]
pub struct NewDelivery {
    /// Its id.
    pub id: DeliveryId,
    /// Unique (KEY-2).
    pub key: IdempotencyKey,
    /// Configured name.
    pub destination: String,
    /// The document to send: one of [`Conclusion::documents`].
    pub document: DocumentId,
    /// `order.create`, …
    pub purpose: String,
    /// Empty for create.
    pub revision: String,
    /// KEY-3.
    pub generation: u32,
    /// Earliest time of the first attempt.
    pub due_at: Timestamp,
    /// It may go before a parked head of its lane (LANE-2).
    pub overtakes: bool,
    /// What it says of an order, where it says one.
    pub report: Option<Reported>,
    /// Present: if the lane is free, start attempt 1 in this very transaction.
    pub express: Option<AttemptStart>,
}

/// What of a report a delivery carries.
#[derive(Clone, Copy, Debug)]
pub struct Reported {
    /// The report's.
    pub revision: Revision,
    /// Of a cancellation: digest of what is cancelled.
    pub cancelled: Option<[u8; 16]>,
}

/// The request as it will be sent on every attempt (KEY-5): no credentials, no date, no trace.
#[derive(Clone, Debug)]
pub struct SealedRequest {
    /// `POST`, …
    pub method: String,
    /// Absolute URL.
    pub url: String,
    /// Names in lower case, in sending order.
    pub headers: Vec<(String, String)>,
    /// Body bytes.
    pub body: Bytes,
    /// SHA-256 over method, URL, headers and body, joined with their lengths.
    pub digest: Digest,
    /// The body is byte for byte the document's: the store need not keep it twice.
    pub body_is_document: bool,
}

/// Step 2 of the attempt protocol: what is committed before a byte leaves (ATT-1).
#[derive(Clone, Debug)]
pub struct AttemptStart {
    /// The delivery.
    pub delivery: DeliveryId,
    /// From 1.
    pub number: u32,
    /// The document that was rendered. A delivery not sealed yet may take a newer one at any moment: an attempt made from
    /// another document than the present one is not started.
    pub document: DocumentId,
    /// Present on the attempt that seals the request; later attempts send what is stored.
    pub seal: Option<SealedRequest>,
    /// Whether it sends or looks.
    pub purpose: AttemptPurpose,
    /// When it starts.
    pub started_at: Timestamp,
    /// When the worker gives up waiting.
    pub deadline: Timestamp,
    /// Version of the configuration in force.
    pub config_version: String,
}

/// What an attempt does on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AttemptPurpose {
    /// Sends the sealed request: may take effect.
    #[default]
    Send,
    /// Asks whether it took effect; changes nothing there, seals nothing here.
    Find,
}

impl AttemptPurpose {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            AttemptPurpose::Send => "send",
            AttemptPurpose::Find => "find",
        }
    }

    /// From the store.
    pub fn parse(text: &str) -> Option<Self> {
        [AttemptPurpose::Send, AttemptPurpose::Find].into_iter().find(|purpose| purpose.as_str() == text)
    }
}

/// What is known of a delivery that decides its next attempt (delivery-semantics section 9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rung {
    /// Nothing to find out.
    #[default]
    Fresh,
    /// Looked for and not there: it may be sent.
    Cleared,
    /// An attempt may have taken effect.
    Doubt,
    /// Restored from a backup: attempts that we no longer know of may have taken effect (BAK-3).
    Restored,
    /// The destination refused it as existing already.
    Exists,
    /// The destination repeats an old failure for this key (KEY-3 b).
    StaleKey,
    /// A person said: send it again.
    Asked,
}

impl Rung {
    const ALL: [Rung; 7] =
        [Rung::Fresh, Rung::Cleared, Rung::Doubt, Rung::Restored, Rung::Exists, Rung::StaleKey, Rung::Asked];

    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Rung::Fresh => "fresh",
            Rung::Cleared => "cleared",
            Rung::Doubt => "doubt",
            Rung::Restored => "restored",
            Rung::Exists => "exists",
            Rung::StaleKey => "stale_key",
            Rung::Asked => "asked",
        }
    }

    /// From the store.
    pub fn parse(text: &str) -> Option<Self> {
        Rung::ALL.into_iter().find(|rung| rung.as_str() == text)
    }
}

/// Where a delivery stands on the way out of doubt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ladder {
    /// What is known.
    pub rung: Rung,
    /// Looks in a row that found nothing.
    pub absent: u32,
    /// Looks in a row that failed.
    pub look_failures: u32,
}

impl Ladder {
    /// On a rung, with nothing looked up yet.
    pub fn at(rung: Rung) -> Self {
        Ladder { rung, ..Ladder::default() }
    }
}

/// How far a delivery of several steps is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Nothing is known.
    #[default]
    Open,
    /// What making the record needs has been asked.
    Prepared,
    /// The record is there; what follows is not finished.
    Made,
}

impl Stage {
    /// As stored; nothing for what every delivery is at first.
    pub fn as_stored(self) -> Option<&'static str> {
        match self {
            Stage::Open => None,
            Stage::Prepared => Some("prepared"),
            Stage::Made => Some("made"),
        }
    }

    /// From the store.
    pub fn of_stored(text: Option<&str>) -> Self {
        match text {
            Some("prepared") => Stage::Prepared,
            Some("made") => Stage::Made,
            _ => Stage::Open,
        }
    }
}

/// How it goes with a record that was taken at the destination to be made there by a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Making {
    /// It is made, as far as anybody knows.
    #[default]
    Done,
    /// A job makes it.
    Awaited,
    /// Nothing was made, or nobody there knows: what was sent will do nothing any more.
    Spent,
}

impl Making {
    /// As stored; nothing for what nearly every delivery is.
    pub fn as_stored(self) -> Option<&'static str> {
        match self {
            Making::Done => None,
            Making::Awaited => Some("awaited"),
            Making::Spent => Some("spent"),
        }
    }

    /// From the store.
    pub fn of_stored(text: Option<&str>) -> Self {
        match text {
            Some("awaited") => Making::Awaited,
            Some("spent") => Making::Spent,
            _ => Making::Done,
        }
    }
}

/// How far a delivery of several steps is, with what its steps found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// How far.
    pub stage: Stage,
    /// Whether a job there makes the record.
    pub making: Making,
    /// What was found, a JSON object; empty for nothing.
    pub found: String,
}

impl Progress {
    /// Its record is at the destination, or a job there makes it: what is left to do is not whether (KEY-7).
    pub fn is_there(&self) -> bool {
        self.stage == Stage::Made && self.making != Making::Spent
    }
}

/// An attempt that is now durable: send it.
#[derive(Clone, Debug)]
pub struct StartedAttempt {
    /// The delivery.
    pub delivery: DeliveryId,
    /// From 1.
    pub number: u32,
    /// Fences a later settlement (REP-4).
    pub epoch: i64,
}

/// Step 4 of the attempt protocol: what was seen, and what follows. Nothing changes unless the epoch still matches;
/// evidence is kept all the same (ATT-2), and a delivery that was applied stays applied.
#[derive(Debug)]
pub struct Settlement {
    /// The delivery.
    pub delivery: DeliveryId,
    /// The attempt.
    pub number: u32,
    /// As handed out with the start.
    pub epoch: i64,
    /// What was seen on the wire.
    pub seen: AttemptSeen,
    /// What follows.
    pub next: NextState,
    /// How far its steps came; `None`: as far as before.
    pub progress: Option<Progress>,
    /// When.
    pub at: Timestamp,
}

/// Evidence of one attempt.
#[derive(Clone, Debug, Default)]
pub struct AttemptSeen {
    /// `accepted`, `already_applied`, `rejected`, `credential`, `throttled`, `unavailable`, `uncertain`.
    pub outcome: String,
    /// HTTP status, if an answer came.
    pub status: Option<u16>,
    /// One sentence.
    pub detail: String,
    /// Start of the response body as text, at most 4 KiB; never headers with secrets.
    pub response: Option<String>,
    /// From first byte out to last byte in.
    pub duration_us: Option<u64>,
    /// How each of its steps went, as JSON, where it took several.
    pub steps: Option<String>,
}

/// Where a delivery goes after an attempt.
#[derive(Debug)]
pub enum NextState {
    /// Applied. Final.
    Delivered {
        /// The destination's own id or number of what it made, if it says.
        receipt: Option<String>,
    },
    /// To be tried again.
    Waiting {
        /// Not before.
        due_at: Timestamp,
        /// The last attempt may have taken effect: shown to people, and the same sealed bytes go out again.
        uncertain: bool,
        /// Whether this attempt counts against the retry schedule (RET-2).
        counts: bool,
        /// What the next attempt does.
        ladder: Ladder,
    },
    /// Its key is spent (KEY-3 b): this delivery ends as superseded, the successor (next generation, same document) takes
    /// its place in the lane.
    Renewed {
        /// The successor.
        delivery: Box<NewDelivery>,
    },
    /// A person must act; the lane stays closed (LANE-2).
    Parked {
        /// Why.
        exception: Box<NewException>,
        /// The last attempt may have taken effect.
        uncertain: bool,
    },
}

/// A business record somebody owns.
#[derive(Clone, Debug)]
pub struct NewException {
    /// Its id.
    pub id: ExceptionId,
    /// From the catalogue.
    pub code: String,
    /// `warning`, `error`, `critical`.
    pub severity: String,
    /// `operations`, `finance`, `integration`.
    pub owner: String,
    /// What it is about.
    pub subject: Subject,
    /// Destination it concerns, if one.
    pub destination: Option<String>,
    /// Delivery it concerns, if one.
    pub delivery: Option<DeliveryId>,
    /// Path in the payload.
    pub path: String,
    /// Value seen there, shortened.
    pub value: Option<String>,
    /// What is wrong, in a sentence.
    pub message: String,
    /// What to do.
    pub remedy: String,
    /// Equal for alike causes.
    pub fingerprint: String,
    /// When.
    pub opened_at: Timestamp,
}
