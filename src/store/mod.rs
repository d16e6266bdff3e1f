//! The store port: what the business writes down and asks back, in its own words.
//!
//! One trait, [`Store`]; `sqlite` implements it (`PostgreSQL` follows), and nothing above this room knows which. Every
//! method is one transaction; a method that returned `Ok` is durable (ACK-1). Methods are named after what the business
//! does, dedup sits in unique keys rather than in a read before a write (DED-1), and the body of an envelope lives apart
//! from its state so that a state change never rewrites a payload.
//!
//! Deliberately absent: rules. The store does not know when to retry, what a defect is or where a document goes.

pub mod books;
pub mod view;
pub mod write;
pub mod running;
pub mod saved;
pub mod accounts;
pub mod alerts;
pub mod bulk;
pub mod finding;
pub mod traffic;
pub mod trail;
pub mod known;
pub mod cases;
pub mod pack;
pub mod seal;
pub mod copies;
pub mod sqlite;
#[cfg(test)]
pub mod contract;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::envelope::ids::{AlertId, DeliveryId, DocumentId, EnvelopeId, ExceptionId, MessageId, TokenId};
use crate::envelope::keys::Digest;
use accounts::Accounts;
use alerts::{Alert, AlertChange, DueMessage, MessageEnd, OpenCauses, OrderHour};
use books::{AuditBreak, AuditHead, AuditRow, CallName, KeptAnswer, MoneyRow, SilentSlice};
use bulk::Bulks;
use cases::{Handling, MappingChange, MappingEdit, Note, Overdue};
use finding::{Found, IndexSlice, Indexed, Question};
use known::{KnownKey, KnownRow};
use running::{Gap, Hold, Incident, Position, Standing};
use saved::Views;
use traffic::Traffic;
use view::{
    DeliveryDetail, DeliveryRow, DocumentRow, DueDelivery, Erased, EventRow, ExceptionGroup, ExceptionRow, Interrupted,
    Ledger, MappingRecord, MappingTableRow, OrderDetail, OrderRow, Page, Paging, Restoration, Retired, StoreFigures,
    StoreReport, StoredEnvelope, TokenRow, Upkeep,
};
use write::{
    Act, Arrival, AttemptStart, Conclusion, Decision, Erasure, NewException, NewToken, ReadSettled, Receipt, Replay,
    Resend, Retire, Settlement, StartedAttempt, Subject, WantedRead,
};

/// A store method's eventual answer.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A shared store.
pub type SharedStore = Arc<dyn Store>;

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The write queue is full (PRS-1): answer 503 with `Retry-After`.
    #[error("the store's queue is full")]
    Busy,
    /// The commit failed or its outcome is unknown (ACK-5): answer 503, the sender's retry meets the dedup key.
    #[error("the store could not commit: {0}")]
    Commit(String),
    /// The writer stopped; the process is ending or must end (ACK-6).
    #[error("the store has stopped")]
    Stopped,
    /// A stored body does not match its digest (BAK-2), or the file is damaged (BAK-4).
    #[error("stored data is damaged: {0}")]
    Corrupt(String),
    /// A cursor that we did not hand out.
    #[error("the cursor is not one of ours")]
    BadCursor,
    /// The thing acted on does not exist.
    #[error("{0} does not exist")]
    NotFound(String),
    /// The thing acted on is not in a state that allows it.
    #[error("{0}")]
    NotAllowed(String),
    /// The file cannot be used: wrong version, wrong pragma, another process, network disk.
    #[error("the store cannot be opened: {0}")]
    Unusable(String),
    /// A query failed.
    #[error("the store could not answer: {0}")]
    Query(String),
}

impl StoreError {
    /// Whether the same call may succeed a little later.
    pub fn is_retryable(&self) -> bool {
        match self {
            StoreError::Busy | StoreError::Commit(_) | StoreError::Query(_) => true,
            StoreError::Stopped
            | StoreError::Corrupt(_)
            | StoreError::BadCursor
            | StoreError::NotFound(_)
            | StoreError::NotAllowed(_)
            | StoreError::Unusable(_) => false,
        }
    }
}

/// Which orders to list.
#[derive(Clone, Debug, Default)]
pub struct OrderFilter {
    /// Exact number.
    pub increment_id: Option<String>,
    /// `parked`, `due`, `delivered`, `ignored`.
    pub state: Option<String>,
    /// One Commerce instance.
    pub system: Option<String>,
}

/// Which events to list.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// One origin.
    pub origin: Option<String>,
    /// `received`, `done`, `ignored`, `superseded`, `exception`.
    pub state: Option<String>,
    /// About this subject id.
    pub subject_id: Option<String>,
}

/// Which deliveries to list.
#[derive(Clone, Debug, Default)]
pub struct DeliveryFilter {
    /// One destination.
    pub destination: Option<String>,
    /// One state.
    pub state: Option<String>,
    /// About this subject id.
    pub subject_id: Option<String>,
    /// One origin of the events behind them.
    pub origin: Option<String>,
    /// About this kind of subject: `order`, …
    pub kind: Option<String>,
    /// Made no earlier.
    pub since: Option<Timestamp>,
    /// Made before.
    pub until: Option<Timestamp>,
}

/// Which exceptions to list.
#[derive(Clone, Debug, Default)]
pub struct ExceptionFilter {
    /// `waiting` (default when empty: `open`, `assigned` and `snoozed` ones), each of these three, `resolved`,
    /// `dismissed`, `superseded`, `all`.
    pub state: Option<String>,
    /// One code.
    pub code: Option<String>,
    /// One cause.
    pub fingerprint: Option<String>,
    /// About this subject id.
    pub subject_id: Option<String>,
    /// One severity.
    pub severity: Option<String>,
    /// One owner.
    pub owner: Option<String>,
    /// Whoever looks after it; empty: nobody does.
    pub assignee: Option<String>,
    /// One destination.
    pub destination: Option<String>,
    /// Only such as wait, do not rest, and were opened before these times.
    pub overdue: Option<Overdue>,
    /// In the message, the value, the path or the remedy, whatever its case.
    pub text: Option<String>,
    /// One origin of the events behind them.
    pub origin: Option<String>,
    /// About this kind of subject: `order`, …
    pub kind: Option<String>,
    /// Opened no earlier.
    pub since: Option<Timestamp>,
    /// Opened before.
    pub until: Option<Timestamp>,
}

/// How many attempts a destination can take now.
#[derive(Clone, Debug)]
pub struct Slots {
    /// Configured name.
    pub destination: String,
    /// Free places.
    pub free: u32,
    /// Another destination: what is about a subject waits while something of it is open there, or needs a person there.
    pub after: Option<String>,
}

impl Slots {
    /// For a destination that goes after no other.
    pub fn new(destination: &str, free: u32) -> Self {
        Slots { destination: destination.to_owned(), free, after: None }
    }
}

/// The promises every backend keeps; `contract.rs` runs them against each.
pub trait Store: Accounts + Bulks + Views + Send + Sync + 'static {
    /// Made once, kept in the store and its backups.
    fn installation_id(&self) -> &str;

    /// What was checked at opening (ACK-2).
    fn report(&self) -> StoreReport;

    // ---- intake -------------------------------------------------------------------------------------------------

    /// Writes one request down; one receipt a record, in order. Arrivals waiting at the same time share a commit
    /// (ACK-4); a bad one never fails its neighbours.
    fn append(&self, arrival: Arrival) -> Answer<'_, Vec<Receipt>>;

    // ---- processor ----------------------------------------------------------------------------------------------

    /// Envelopes not concluded yet, oldest first, marked `begun` so that a payload that kills the process is known
    /// (POI-1). At most one an order at a time is handed out, so that an order's events are concluded in their order.
    fn claim_envelopes(&self, limit: u32) -> Answer<'_, Vec<StoredEnvelope>>;

    /// Gives back what was claimed and not concluded, so that it is claimed again. For the one processor of a store,
    /// after a failure in the middle of its claim (P6).
    fn unclaim_envelopes(&self) -> Answer<'_, u64>;

    /// Writes what an envelope came to. Started attempts as in [`Receipt::First`].
    fn conclude(&self, envelope: EnvelopeId, conclusion: Conclusion, at: Timestamp) -> Answer<'_, Vec<StartedAttempt>>;

    /// Orders of one Commerce instance that are to be read now, the longest due first.
    fn due_reads(&self, system: String, now: Timestamp, limit: u32) -> Answer<'_, Vec<WantedRead>>;

    /// Writes what became of a read. `false`: nobody wanted it any more.
    fn settle_read(&self, settled: ReadSettled) -> Answer<'_, bool>;

    // ---- delivery -----------------------------------------------------------------------------------------------

    /// Heads of lanes whose turn it is: waiting, due, nothing earlier open in their lane; oldest due first, at most
    /// `free` a destination. Reads only: [`Store::start_attempts`] claims.
    fn due_deliveries(&self, now: Timestamp, slots: Vec<Slots>) -> Answer<'_, Vec<DueDelivery>>;

    /// The earliest `due_at` of any waiting head, for the worker's timer.
    fn next_due_at(&self) -> Answer<'_, Option<Timestamp>>;

    /// Makes attempts durable before a byte leaves (ATT-1). An attempt whose delivery is no longer waiting, or whose
    /// lane is taken, is left out of the answer (LANE-1).
    fn start_attempts(&self, starts: Vec<AttemptStart>) -> Answer<'_, Vec<StartedAttempt>>;

    /// Writes an outcome and the next state. `false`: the epoch no longer matches, only the evidence was kept.
    fn settle(&self, settlement: Settlement) -> Answer<'_, bool>;

    /// Attempts started before this process and never settled, oldest first (RUN-1).
    fn interrupted_attempts(&self) -> Answer<'_, Vec<Interrupted>>;

    /// Attempts of this process whose deadline is past and that are not settled, oldest first (P6).
    fn overdue_attempts(&self, now: Timestamp) -> Answer<'_, Vec<Interrupted>>;

    /// Waiting heads, due or not, whose destination is none of `known`; some at a time (P6).
    fn stranded_deliveries(&self, known: Vec<String>) -> Answer<'_, Vec<DueDelivery>>;

    /// Parks a waiting head without an attempt. `false`: it moved on meanwhile.
    fn park(&self, delivery: DeliveryId, exception: NewException) -> Answer<'_, bool>;

    // ---- running ------------------------------------------------------------------------------------------------

    /// Writes an incident as it is now, by its id. Ended ones beyond [`running::INCIDENTS_KEPT`] go.
    fn write_incident(&self, incident: Incident) -> Answer<'_, ()>;

    /// All incidents that are kept: open ones first, then the newest.
    fn incidents(&self) -> Answer<'_, Vec<Incident>>;

    /// What is safe with us for one destination; costs the same whatever the size of the store.
    fn standing(&self, destination: String) -> Answer<'_, Standing>;

    /// RUN-5: after a jump of the wall clock by `by_micros`, moves every due time after `later_than` with it. A batch at
    /// a time; a failure in between leaves the rest where it was.
    fn shift_due(&self, later_than: Timestamp, by_micros: i64) -> Answer<'_, ()>;

    /// How far a regular search of a system got; nothing before its first.
    fn position(&self, system: String, kind: String) -> Answer<'_, Option<Position>>;

    /// How far every regular search got, by system and kind.
    fn positions(&self) -> Answer<'_, Vec<Position>>;

    /// A search got this far: everything up to there is durable here.
    fn keep_position(&self, position: Position) -> Answer<'_, ()>;

    /// The newest orders of a system that were read as orders, at most so many: store, number, and when each was first
    /// heard of. Only such as were placed since we listen: an old order that is changed today opens no hole back to its day.
    fn newest_numbers(&self, system: String, limit: u32) -> Answer<'_, Vec<(String, String, Timestamp)>>;

    /// Numbers that were asked for because they were missing, the newest first.
    fn gaps(&self, limit: u32) -> Answer<'_, Vec<Gap>>;

    /// Which of these numbers of a system have been asked for already: store and number.
    fn gaps_asked(&self, system: String, numbers: Vec<(String, String)>) -> Answer<'_, Vec<bool>>;

    /// What came of asking for a missing number.
    fn keep_gap(&self, gap: Gap) -> Answer<'_, ()>;

    /// The newest `updated_at` known of each subject, in the order asked; nothing for one that is not known.
    fn known_updates(&self, subjects: Vec<Subject>) -> Answer<'_, Vec<Option<Timestamp>>>;

    // ---- alerts -------------------------------------------------------------------------------------------------

    /// Writes alerts as they are now, each with the messages about it, by their ids. Whether a person took one stays.
    fn write_alerts(&self, changes: Vec<AlertChange>) -> Answer<'_, ()>;

    /// Alerts that are not over.
    fn open_alerts(&self) -> Answer<'_, Vec<Alert>>;

    /// Alerts that are not over, then the last that ended; at most so many.
    fn recent_alerts(&self, limit: u32) -> Answer<'_, Vec<Alert>>;

    /// One alert.
    fn alert(&self, id: AlertId) -> Answer<'_, Option<Alert>>;

    /// A person takes an alert: it climbs no further. One that is over or taken is [`StoreError::NotAllowed`].
    fn acknowledge_alert(&self, id: AlertId, act: Act) -> Answer<'_, ()>;

    /// The message of a contact whose turn it is, with its attempt counted before it is made.
    fn take_message(&self, contact: String, now: Timestamp) -> Answer<'_, Option<DueMessage>>;

    /// What an attempt to send a message came to.
    fn settle_message(&self, id: MessageId, end: MessageEnd, at: Timestamp) -> Answer<'_, ()>;

    /// Gives up what waits for contacts other than these; how many.
    fn give_up_messages(&self, known: Vec<String>, at: Timestamp) -> Answer<'_, u64>;

    /// Open exceptions by cause, and how many were opened since each of these instants.
    fn open_causes(&self, since: Vec<Timestamp>) -> Answer<'_, OpenCauses>;

    /// Counts orders first heard of since the last count, some at a time; `true` while there are more. Hours before
    /// `keep_from` go.
    fn count_orders(&self, keep_from: Timestamp) -> Answer<'_, bool>;

    /// Proves by a write that the store takes one.
    fn mark_alive(&self, at: Timestamp) -> Answer<'_, ()>;

    /// Orders first heard of, by system and hour.
    fn order_hours(&self) -> Answer<'_, Vec<OrderHour>>;

    // ---- catalogue ----------------------------------------------------------------------------------------------

    /// Writes down what Commerce said of its catalogue, and forgets what is no longer kept.
    fn keep_known(&self, known: Vec<KnownRow>, gone: Vec<KnownKey>) -> Answer<'_, ()>;

    /// All that is written down of catalogues.
    fn known(&self) -> Answer<'_, Vec<KnownRow>>;

    // ---- operators' acts ----------------------------------------------------------------------------------------

    /// Processes an envelope anew on a person's word.
    fn replay(&self, replay: Replay) -> Answer<'_, ()>;

    /// Acts on a parked delivery on a person's word.
    fn decide(&self, decision: Decision) -> Answer<'_, ()>;

    /// Makes a deliberate second effect on a person's word (KEY-3 c).
    fn resend(&self, resend: Resend) -> Answer<'_, ()>;

    /// Does something about an exception short of processing its record again; the exception as that leaves it.
    fn handle(&self, handling: Handling) -> Answer<'_, ExceptionRow>;

    /// Changes single rows of a mapping table. Returns the version: the one before where nothing changes.
    fn edit_mappings(&self, table: String, edit: MappingEdit, act: Act) -> Answer<'_, u64>;

    /// Replaces a mapping table. Returns the new version.
    fn import_mappings(&self, table: String, rows: Vec<MappingRecord>, act: Act) -> Answer<'_, u64>;

    /// Creates a token; a name in use is [`StoreError::NotAllowed`].
    fn create_token(&self, token: NewToken, act: Act) -> Answer<'_, ()>;

    /// Revokes a token at once.
    fn revoke_token(&self, id: TokenId, act: Act) -> Answer<'_, ()>;

    /// A person stops sending to a destination: it stays so over a restart.
    fn hold_destination(&self, hold: Hold, act: Act) -> Answer<'_, ()>;

    /// A person lets a destination go, whatever held it.
    fn release_destination(&self, destination: String, act: Act) -> Answer<'_, ()>;

    /// Destinations that a person holds, by name.
    fn holds(&self) -> Answer<'_, Vec<Hold>>;

    /// Writes down an act whose effect is not in the store, or in several transactions of its own.
    fn record(&self, act: Act) -> Answer<'_, ()>;

    // ---- answers kept for repeats (API-2) -----------------------------------------------------------------------

    /// What the call of this scope was answered within the last 72 hours, with its fingerprint.
    fn kept_answer(&self, scope: Digest, now: Timestamp) -> Answer<'_, Option<(Digest, KeptAnswer)>>;

    /// Keeps the answer of a call that changed nothing (a refusal). The answer of one that acted is written with its
    /// effect: see [`Act::keep`].
    fn keep_answer(&self, call: CallName, answer: KeptAnswer, at: Timestamp) -> Answer<'_, ()>;

    /// Takes outdated answers out, some at a time; how many.
    fn sweep_answers(&self, now: Timestamp) -> Answer<'_, u64>;

    // ---- reading ------------------------------------------------------------------------------------------------

    /// Version of the mappings; cheap, polled so that the service notices what a verb wrote beside it.
    fn mappings_version(&self) -> Answer<'_, u64>;
    /// All tables with their heads.
    fn mapping_tables(&self) -> Answer<'_, Vec<MappingTableRow>>;
    /// The rows of one table, by key then destination.
    fn mapping_rows(&self, table: String) -> Answer<'_, Vec<MappingRecord>>;
    /// What changed in one table, or of one key of it, newest first. The rows that a first import brought are not in it.
    fn mapping_changes(&self, table: String, key: Option<String>, paging: Paging) -> Answer<'_, Page<MappingChange>>;

    /// The token with this secret's digest that is neither revoked nor expired.
    fn token_by_secret(&self, secret: Digest, now: Timestamp) -> Answer<'_, Option<TokenRow>>;
    /// All tokens.
    fn tokens(&self) -> Answer<'_, Vec<TokenRow>>;

    /// Orders, newest first.
    fn orders(&self, filter: OrderFilter, paging: Paging) -> Answer<'_, Page<OrderRow>>;
    /// Every order of that number (stores may share one), each with its story.
    fn order(&self, increment_id: String) -> Answer<'_, Vec<OrderDetail>>;
    /// Events, newest first.
    fn events(&self, filter: EventFilter, paging: Paging) -> Answer<'_, Page<EventRow>>;
    /// One event.
    fn event(&self, id: EnvelopeId) -> Answer<'_, Option<EventRow>>;
    /// The plain body and record of one event, for replay, preview and support.
    fn envelope(&self, id: EnvelopeId) -> Answer<'_, Option<StoredEnvelope>>;
    /// Deliveries, newest first.
    fn deliveries(&self, filter: DeliveryFilter, paging: Paging) -> Answer<'_, Page<DeliveryRow>>;
    /// One delivery with attempts.
    fn delivery(&self, id: DeliveryId) -> Answer<'_, Option<DeliveryDetail>>;
    /// The envelope a delivery was made from, and the delivery as the worker sees it; for a person's decision.
    fn delivery_origin(&self, id: DeliveryId) -> Answer<'_, Option<(EnvelopeId, DueDelivery)>>;
    /// One document with its body.
    fn document(&self, id: DocumentId) -> Answer<'_, Option<DocumentRow>>;
    /// Exceptions, newest first.
    fn exceptions(&self, filter: ExceptionFilter, paging: Paging) -> Answer<'_, Page<ExceptionRow>>;
    /// One exception.
    fn exception(&self, id: ExceptionId) -> Answer<'_, Option<ExceptionRow>>;
    /// Notes about an exception, oldest first.
    fn notes(&self, id: ExceptionId) -> Answer<'_, Vec<Note>>;
    /// Exceptions that wait, by cause, largest first; only those that the filter lets through are counted.
    fn exception_groups(&self, filter: ExceptionFilter) -> Answer<'_, Vec<ExceptionGroup>>;
    /// P2.
    fn ledger(&self) -> Answer<'_, Ledger>;
    /// P2 in money: the sums of orders by system, currency and state, kept beside what they sum.
    fn money(&self) -> Answer<'_, Vec<MoneyRow>>;
    /// P6: looks through at most `limit` unfinished envelopes behind `after` (0: from the oldest) for silent ones.
    fn silent_envelopes(&self, after: i64, limit: u32) -> Answer<'_, SilentSlice>;
    /// Counts everything afresh and compares it with what is kept, the audit chain included; what differs, in words. Reads
    /// the whole store.
    fn recount(&self) -> Answer<'_, Vec<String>>;
    /// What people did, newest first (API-5).
    fn audit(&self, paging: Paging) -> Answer<'_, Page<AuditRow>>;
    /// What people did after this row, oldest first, some at a time.
    fn audit_after(&self, number: u64) -> Answer<'_, Vec<AuditRow>>;
    /// The end of the chain of audit rows.
    fn audit_head(&self) -> Answer<'_, AuditHead>;
    /// Walks the chain of audit rows: the first that does not follow from the one before it.
    fn audit_break(&self) -> Answer<'_, Option<AuditBreak>>;
    /// For metrics and health.
    fn figures(&self) -> Answer<'_, StoreFigures>;
    /// Whatever a person may mean, in one state of the store.
    fn find(&self, question: Question) -> Answer<'_, Found>;
    /// What came and went up to now, by the hour and by destination.
    fn traffic(&self, now: Timestamp) -> Answer<'_, Traffic>;

    // ---- the index ----------------------------------------------------------------------------------------------

    /// The next rows of each kind whose terms are not written, oldest first; where the last slice ended, says the store.
    fn unindexed(&self, rows: u32) -> Answer<'_, IndexSlice>;

    /// Writes the terms of a slice and where it ends, together. Nothing is written of what was erased or went meanwhile.
    /// `false`: the slice does not begin where the index is; nothing was written.
    fn index(&self, indexed: Indexed) -> Answer<'_, bool>;

    // ---- keeping ------------------------------------------------------------------------------------------------

    /// What is left to do after a restore (BAK-3), as found at opening.
    fn restoration(&self) -> Option<Restoration>;

    /// Everything that a restore asks for is done.
    fn restored(&self) -> Answer<'_, ()>;

    /// Removes a few rows' worth of what is no longer needed (DAT-2).
    fn retire(&self, retire: Retire) -> Answer<'_, Retired>;

    /// Erases a person's data (DAT-1). [`StoreError::NotAllowed`] while something of it is open.
    fn erase(&self, erasure: Erasure) -> Answer<'_, Erased>;

    /// Brings `rows` bodies of one kind (0, 1, 2; 3: second factors, all of them) under the key of now, from a row on; where to go on, and how many changed.
    fn recode(&self, kind: usize, from: i64, rows: u32) -> Answer<'_, (Option<i64>, u64)>;

    /// The state of bodies at rest.
    fn upkeep(&self) -> Answer<'_, Upkeep>;

    /// Looks at the file itself; what is wrong with it stops everything that writes (BAK-4). Empty when it is sound.
    fn check(&self) -> Answer<'_, Vec<String>>;

    // ---- closing ------------------------------------------------------------------------------------------------

    /// Whether the writer lives and the last commit succeeded; `Err` says why not (RUN-3).
    fn health(&self) -> Result<(), String>;

    /// Whether the file was found damaged: nothing is written any more (BAK-4).
    fn is_damaged(&self) -> bool;

    /// Finishes what is queued, checkpoints, closes (RUN-2). Later calls answer [`StoreError::Stopped`].
    fn close(&self) -> Answer<'_, ()>;
}
