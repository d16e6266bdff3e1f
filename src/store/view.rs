//! What the store answers: rows as people and the API see them.

use bytes::Bytes;
use serde::Serialize;

use super::write::{AttemptPurpose, Edit, Ladder, Progress, SealedRequest, Subject};
use crate::clock::Timestamp;
use crate::envelope::ids::{DeliveryId, DocumentId, EnvelopeId, ExceptionId, RequestId, TokenId};
use crate::envelope::keys::IdempotencyKey;

/// One page of a list.
#[derive(Clone, Debug, Serialize)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Hand it back to get the next page; `null` at the end.
    pub next_cursor: Option<String>,
}

/// Where a page starts and how long it is.
#[derive(Clone, Debug, Default)]
pub struct Paging {
    /// 1 to 200; 0 means the default of 50.
    pub limit: u32,
    /// As handed out; a malformed one is [`super::StoreError::BadCursor`].
    pub cursor: Option<String>,
}

/// An envelope with what processing needs.
#[derive(Clone, Debug)]
pub struct StoredEnvelope {
    /// Its id.
    pub id: EnvelopeId,
    /// Configured name of the origin.
    pub origin: String,
    /// `order`, …
    pub kind: String,
    /// JSON pointer of the record inside the body.
    pub path: String,
    /// `eventName`, if any.
    pub event_name: Option<String>,
    /// What it is about.
    pub subject: Subject,
    /// The plain request body, digest checked (BAK-2).
    pub body: Bytes,
    /// When it arrived.
    pub received_at: Timestamp,
    /// Forwarded to destinations.
    pub traceparent: Option<String>,
}

/// A delivery whose turn it is, with everything needed to render or to send again.
#[derive(Clone, Debug)]
pub struct DueDelivery {
    /// Its id.
    pub id: DeliveryId,
    /// The key sent along.
    pub key: IdempotencyKey,
    /// Configured name.
    pub destination: String,
    /// What it is about; with the destination its lane.
    pub subject: Subject,
    /// `order.create`, …
    pub purpose: String,
    /// Empty for create.
    pub revision: String,
    /// KEY-3.
    pub generation: u32,
    /// Attempts already started, looks among them.
    pub attempts: u32,
    /// Attempts that count against the retry schedule (RET-2).
    pub failures: u32,
    /// When the delivery was made.
    pub created_at: Timestamp,
    /// When its first send started (UNC-2).
    pub first_attempt_at: Option<Timestamp>,
    /// An attempt may have taken effect.
    pub uncertain: bool,
    /// What its next attempt does.
    pub ladder: Ladder,
    /// How far its steps are.
    pub progress: Progress,
    /// Present once sealed: these bytes go out.
    pub sealed: Option<SealedRequest>,
    /// The document, to be named when the attempt starts.
    pub document_id: DocumentId,
    /// The canonical document, plain JSON.
    pub document: Bytes,
    /// The document's kind, e.g. `order`.
    pub document_kind: String,
    /// Forwarded.
    pub traceparent: Option<String>,
    /// It goes after another destination ([`Slots::after`](super::Slots::after)), and there everything of its subject was
    /// given up.
    pub orphaned: bool,
}

/// An attempt that was started before the process ended and has no outcome (ATT-1).
#[derive(Clone, Debug)]
pub struct Interrupted {
    /// The delivery as it stands.
    pub delivery: DueDelivery,
    /// The attempt.
    pub number: u32,
    /// For its settlement.
    pub epoch: i64,
    /// What it was.
    pub purpose: AttemptPurpose,
    /// When it started.
    pub started_at: Timestamp,
}

/// An order as lists show it.
#[derive(Clone, Debug, Serialize)]
pub struct OrderRow {
    /// The Commerce instance.
    pub system: String,
    /// Store id.
    pub store_id: String,
    /// Number.
    pub increment_id: String,
    /// Commerce's id, if known.
    pub entity_id: Option<String>,
    /// The first that applies of `parked`, `due`, `delivered`, `ignored`.
    pub state: String,
    /// Commerce's state.
    pub commerce_state: Option<String>,
    /// Commerce's status.
    pub commerce_status: Option<String>,
    /// ISO code.
    pub currency: Option<String>,
    /// Digits as sent.
    pub grand_total: Option<String>,
    /// `created_at` in Commerce.
    pub placed_at: Option<Timestamp>,
    /// First envelope.
    pub first_seen_at: Timestamp,
    /// Last envelope.
    pub last_seen_at: Timestamp,
}

/// An order with its whole story.
#[derive(Clone, Debug, Serialize)]
pub struct OrderDetail {
    /// The head.
    #[serde(flatten)]
    pub order: OrderRow,
    /// Envelopes, oldest first.
    pub events: Vec<EventRow>,
    /// Documents, oldest first.
    pub documents: Vec<DocumentRow>,
    /// Deliveries, oldest first, with attempts.
    pub deliveries: Vec<DeliveryDetail>,
    /// Exceptions, oldest first.
    pub exceptions: Vec<ExceptionRow>,
}

/// A stored event as lists show it.
#[derive(Clone, Debug, Serialize)]
pub struct EventRow {
    /// Its id.
    pub id: EnvelopeId,
    /// Origin.
    pub origin: String,
    /// `order`, …
    pub kind: String,
    /// `eventName`, if any.
    pub event_name: Option<String>,
    /// The Commerce instance.
    pub system: String,
    /// What it is about.
    pub subject_kind: String,
    /// Store id of an order.
    pub subject_scope: String,
    /// Its number.
    pub subject_id: String,
    /// `received`, `done`, `ignored`, `superseded`, `exception`.
    pub state: String,
    /// Why, for `ignored` and `superseded`; why it went where it went, for `done`.
    pub explanation: String,
    /// How it was verified.
    pub verification: String,
    /// How often the same event came again.
    pub duplicates: u64,
    /// Size of the request body.
    pub body_bytes: u64,
    /// Digest of the request body, hex.
    pub body_digest: String,
    /// JSON pointer inside the body.
    pub path: String,
    /// For correlation with logs.
    pub request_id: RequestId,
    /// Configuration in force.
    pub config_version: String,
    /// When it arrived.
    pub received_at: Timestamp,
}

/// A canonical document.
#[derive(Clone, Debug, Serialize)]
pub struct DocumentRow {
    /// Its id.
    pub id: DocumentId,
    /// The envelope it was made from.
    pub envelope_id: EnvelopeId,
    /// `order`, …
    pub kind: String,
    /// `crossdock.sales_order.v1`, …
    pub schema: String,
    /// For whom.
    pub destination: String,
    /// Version of the mappings used.
    pub mappings_version: u64,
    /// When.
    pub created_at: Timestamp,
    /// How it came of another document by a person's hand; `null` for what was made of the event.
    pub edited: Option<Edit>,
    /// The JSON itself; `null` in lists, and when it is gone.
    pub body: Option<serde_json::Value>,
    /// Why the JSON is no longer there, in words; left out while it is, and in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gone: Option<String>,
}

/// A delivery as lists show it.
#[derive(Clone, Debug, Serialize)]
pub struct DeliveryRow {
    /// Its id.
    pub id: DeliveryId,
    /// Idempotency key.
    pub key: String,
    /// Destination.
    pub destination: String,
    /// The Commerce instance.
    pub system: String,
    /// What it is about.
    pub subject_kind: String,
    /// Store id of an order.
    pub subject_scope: String,
    /// Its number.
    pub subject_id: String,
    /// `order.create`, …
    pub purpose: String,
    /// Part of the key: empty for a create, else the revision of the report it was made from.
    pub revision: String,
    /// KEY-3.
    pub generation: u32,
    /// `updated_at` of the report it carries, or of the last one that said the same (LANE-3).
    pub reported_at: Option<Timestamp>,
    /// It may go before a parked head of its lane (LANE-2).
    pub overtakes: bool,
    /// The document to send.
    pub document_id: DocumentId,
    /// A person edited that document.
    pub edited: bool,
    /// `waiting`, `in_flight`, `parked`, `delivered`, `superseded`, `abandoned`.
    pub state: String,
    /// The last attempt may have taken effect.
    pub uncertain: bool,
    /// Not before, while waiting.
    pub due_at: Option<Timestamp>,
    /// Attempts started.
    pub attempts: u32,
    /// The destination's own number.
    pub receipt: Option<String>,
    /// Last outcome, in words.
    pub last_detail: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it became final.
    pub settled_at: Option<Timestamp>,
}

/// A delivery with its attempts.
#[derive(Clone, Debug, Serialize)]
pub struct DeliveryDetail {
    /// The head.
    #[serde(flatten)]
    pub delivery: DeliveryRow,
    /// Oldest first.
    pub attempts_made: Vec<AttemptRow>,
    /// What was or will be sent, once sealed: method, URL without query, digest.
    pub sealed: Option<SealedView>,
}

/// The sealed request without its body.
#[derive(Clone, Debug, Serialize)]
pub struct SealedView {
    /// `POST`, …
    pub method: String,
    /// Without query, which may carry secrets.
    pub url: String,
    /// Hex.
    pub digest: String,
    /// Size.
    pub body_bytes: u64,
}

/// One attempt.
#[derive(Clone, Debug, Serialize)]
pub struct AttemptRow {
    /// From 1.
    pub number: u32,
    /// `send`, or `find` for a look whether it is there.
    pub purpose: String,
    /// When.
    pub started_at: Timestamp,
    /// `null` while open.
    pub finished_at: Option<Timestamp>,
    /// `null` while open.
    pub outcome: Option<String>,
    /// HTTP status.
    pub status: Option<u16>,
    /// One sentence.
    pub detail: Option<String>,
    /// Start of the answer.
    pub response: Option<String>,
    /// Time on the wire.
    pub duration_us: Option<u64>,
    /// How each of its steps went; `null` where it was one request.
    pub steps: Option<serde_json::Value>,
}

/// An exception as lists show it.
#[derive(Clone, Debug, Serialize)]
pub struct ExceptionRow {
    /// Its id.
    pub id: ExceptionId,
    /// From the catalogue.
    pub code: String,
    /// `warning`, `error`, `critical`.
    pub severity: String,
    /// `operations`, `finance`, `integration`.
    pub owner: String,
    /// `open`, `assigned`, `snoozed`; `resolved`, `dismissed`, `superseded`.
    pub state: String,
    /// Who looks after it.
    pub assignee: Option<String>,
    /// It rests until then.
    pub snoozed_until: Option<Timestamp>,
    /// When somebody should have done something; `null` once it is closed. Known where the configuration is.
    pub due_at: Option<Timestamp>,
    /// That time is past.
    pub overdue: bool,
    /// How many notes there are.
    pub notes: u64,
    /// What it is about.
    pub subject: ExceptionSubject,
    /// Destination, if it concerns one.
    pub destination: Option<String>,
    /// The envelope behind it.
    pub envelope_id: Option<EnvelopeId>,
    /// The delivery behind it.
    pub delivery_id: Option<DeliveryId>,
    /// Path in the payload.
    pub path: String,
    /// Value seen.
    pub value: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
    /// Equal for alike causes.
    pub fingerprint: String,
    /// When.
    pub opened_at: Timestamp,
    /// When it closed.
    pub resolved_at: Option<Timestamp>,
    /// How it closed, in words.
    pub resolution: Option<String>,
}

impl ExceptionRow {
    /// It waits for a person, whether somebody looks after it, it rests, or neither.
    pub fn is_waiting(&self) -> bool {
        matches!(self.state.as_str(), "open" | "assigned" | "snoozed")
    }

    /// Tells the state at this time: one that rested long enough is awake again.
    pub(super) fn at(&mut self, now: Timestamp) {
        self.snoozed_until = self.snoozed_until.filter(|until| *until > now && self.state == "open");
        if self.state == "open" {
            let word = match (self.snoozed_until, &self.assignee) {
                (Some(_), _) => "snoozed",
                (None, Some(_)) => "assigned",
                (None, None) => "open",
            };
            word.clone_into(&mut self.state);
        }
    }
}

/// DESIGN 2.2: `{"kind": "order", "increment_id": …}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExceptionSubject {
    /// `order`, …
    pub kind: String,
    /// The Commerce instance.
    pub system: String,
    /// Store id.
    pub store_id: String,
    /// Number of an order; the id of anything else.
    pub increment_id: String,
}

/// Exceptions with one cause.
#[derive(Clone, Debug, Serialize)]
pub struct ExceptionGroup {
    /// The cause.
    pub fingerprint: String,
    /// From the catalogue.
    pub code: String,
    /// `info`, `warning`, `error`, `critical`.
    pub severity: String,
    /// `operations`, `finance`, `integration`.
    pub owner: String,
    /// How many wait for a person.
    pub open: u64,
    /// Of them: somebody looks after them.
    pub assigned: u64,
    /// Of them: they rest.
    pub snoozed: u64,
    /// When the oldest should have been seen to, whoever it rests for. Known where the configuration is.
    pub due_at: Option<Timestamp>,
    /// That time is past, and not all of them rest.
    pub overdue: bool,
    /// The oldest open one.
    pub first_opened_at: Timestamp,
    /// The newest open one.
    pub last_opened_at: Timestamp,
    /// Text of one of them.
    pub message: String,
    /// What to do.
    pub remedy: String,
    /// One of them.
    pub example: ExceptionId,
}

/// A mapping table's head.
#[derive(Clone, Debug, Serialize)]
pub struct MappingTableRow {
    /// `skus`, …
    pub table: String,
    /// Rows in force.
    pub rows: u64,
    /// Rises with every change of any table.
    pub version: u64,
    /// When this table changed last.
    pub changed_at: Option<Timestamp>,
    /// Who changed it.
    pub changed_by: Option<String>,
}

/// A row of a mapping table: DESIGN 2.1 `key,value,destination`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct MappingRecord {
    /// What Commerce says.
    pub key: String,
    /// What the destination wants.
    pub value: String,
    /// Empty: all destinations.
    #[serde(default)]
    pub destination: String,
}

/// A token without its secret.
#[derive(Clone, Debug, Serialize)]
pub struct TokenRow {
    /// Its id.
    pub id: TokenId,
    /// Its name.
    pub name: String,
    /// `viewer`, `operator`, `mapper`, `finance`, `admin`.
    pub role: String,
    /// The permissions it is narrowed to; empty: everything the role has.
    pub scopes: Vec<String>,
    /// When.
    pub created_at: Timestamp,
    /// No longer valid after.
    pub expires_at: Option<Timestamp>,
    /// Revoked at.
    pub revoked_at: Option<Timestamp>,
}

/// P2: every accepted envelope is in exactly one of the other columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ledger {
    /// Envelopes ever accepted.
    pub accepted: u64,
    /// All effects applied.
    pub done: u64,
    /// With a reason.
    pub ignored: u64,
    /// Overtaken by a newer report.
    pub superseded: u64,
    /// Waiting for a person.
    pub exception: u64,
    /// Waiting for us.
    pub due: u64,
}

impl Ledger {
    /// `accepted − (done + ignored + superseded + exception + due)`; anything but 0 is an alarm.
    pub fn difference(&self) -> i128 {
        i128::from(self.accepted)
            - [self.done, self.ignored, self.superseded, self.exception, self.due].map(i128::from).iter().sum::<i128>()
    }
}

/// Figures for metrics, health and `doctor`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StoreFigures {
    /// Deliveries that wait, per destination: name, how many, the oldest `created_at`.
    pub backlog: Vec<(String, u64, Option<Timestamp>)>,
    /// Open exceptions per code.
    pub open_exceptions: Vec<(String, u64)>,
    /// Envelopes the processor has not concluded.
    pub unprocessed: u64,
    /// Size of the write-ahead log in bytes (0 for stores without one).
    pub wal_bytes: u64,
    /// Size of the store in bytes.
    pub store_bytes: u64,
    /// Commits of this process, each with its flush: what was written divided by them says how well groups form.
    pub commits: u64,
}

/// What a newly opened store says about itself (ACK-2).
#[derive(Clone, Debug, Serialize)]
pub struct StoreReport {
    /// `SQLite 3.54.1`, …
    pub engine: String,
    /// Checked settings, name and value.
    pub settings: Vec<(String, String)>,
    /// Schema version in the file.
    pub schema_version: u32,
    /// Made once, kept in backups.
    pub installation_id: String,
    /// Problems; empty when sound.
    pub problems: Vec<String>,
}

/// What a restore left to do (BAK-3).
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Restoration {
    /// When the copy was made that is served now.
    pub copied_at: Timestamp,
    /// When it took the place of what was served before.
    pub restored_at: Timestamp,
    /// Deliveries whose outcome nobody knows.
    pub in_doubt: u64,
}

/// What a slice of the retention job removed (DAT-2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Retired {
    /// Bodies of requests, documents and sealed requests.
    pub bodies: u64,
    /// Attempts with their answers.
    pub attempts: u64,
    /// There may be more right now.
    #[serde(skip)]
    pub more: bool,
}

/// What an erasure removed (DAT-1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// About whom or what.
    pub subjects: Vec<Subject>,
    /// Bodies with their data keys.
    pub bodies: u64,
    /// Answers of destinations.
    pub answers: u64,
    /// Deliveries that were open and are given up.
    pub given_up: u64,
}

/// The state of bodies at rest; counting reads the whole store.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Upkeep {
    /// Bodies stored as they are packed.
    pub plain: u64,
    /// Bodies stored encrypted.
    pub encrypted: u64,
    /// Bodies that were removed or erased.
    pub gone: u64,
    /// Subjects that were erased.
    pub erased_subjects: u64,
    /// Room inside the file that new rows will use.
    pub free_bytes: u64,
}
