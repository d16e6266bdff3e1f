//! What the ERP remembers: keys, sales orders, references and the log of requests. Plain values, no I/O.
//!
//! Every question a request asks is one hash look-up. A forgetful book keeps 16-byte digests instead of texts, so that
//! millions of requests fit; it still knows how often anything was applied.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::envelope::keys::Digest;

/// One order-creating request as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// Its place among all requests, from 1.
    pub number: u64,
    pub key: Option<String>,
    pub delivery: Option<String>,
    pub attempt: Option<u32>,
    pub subject: Option<Subject>,
    pub body: Bytes,
    /// Tells two bodies apart; taken before the book is locked.
    pub body_hash: u64,
    /// For the window of its key.
    pub arrived: Instant,
}

/// What a document says it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    pub purpose: String,
    pub system: String,
    pub store_id: Option<u64>,
    pub increment_id: String,
    pub updated_at: Option<String>,
    pub grand_total: Option<String>,
}

impl Subject {
    /// Reads purpose and order number; anything else of the document is skipped.
    pub(super) fn read(body: &[u8]) -> Option<Subject> {
        #[derive(Deserialize)]
        struct Document {
            purpose: Option<String>,
            order: Order,
            totals: Option<Totals>,
        }
        #[derive(Deserialize)]
        struct Order {
            system: Option<String>,
            store_id: Option<u64>,
            increment_id: String,
            updated_at: Option<String>,
        }
        #[derive(Deserialize)]
        struct Totals {
            grand_total: Option<String>,
        }
        let document: Document = serde_json::from_slice(body).ok()?;
        Some(Subject {
            purpose: document.purpose.unwrap_or_else(|| "order.create".to_owned()),
            system: document.order.system.unwrap_or_default(),
            store_id: document.order.store_id,
            increment_id: document.order.increment_id,
            updated_at: document.order.updated_at,
            grand_total: document.totals.and_then(|totals| totals.grand_total),
        })
    }
}

/// One thing the ERP holds because of us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Effect {
    /// Its number, `SO-000001`.
    pub id: String,
    /// The idempotency key it came under.
    pub key: Option<String>,
    /// The order number inside the document.
    pub reference: Option<String>,
    /// The Commerce instance of that order.
    pub system: Option<String>,
    /// The store of that order.
    pub store_id: Option<u64>,
    /// The purpose inside the document, `order.create`.
    pub purpose: Option<String>,
    /// `updated_at` of the order inside the document: which state of it this is.
    pub revision: Option<String>,
    /// The grand total inside the document.
    pub grand_total: Option<String>,
    /// When it was applied.
    pub at: Timestamp,
    /// SHA-256 of the document as received, hex.
    pub digest: String,
    /// How often it was applied; more than once is a doubled order.
    pub applied: u32,
    /// The document as received; empty where bodies are not kept.
    #[serde(skip)]
    pub body: Bytes,
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogEntry {
    /// Place among all requests, from 1.
    pub number: u64,
    /// The idempotency key.
    pub key: Option<String>,
    /// The order number inside the document.
    pub reference: Option<String>,
    /// `Crossdock-Delivery`.
    pub delivery: Option<String>,
    /// `Crossdock-Attempt`.
    pub attempt: Option<u32>,
    /// `applied`, `replayed`, `key_reused`, `in_progress`, `unauthorised`, or the name of the fault.
    pub outcome: String,
    /// The status answered; none when the connection was closed without an answer.
    pub status: Option<u16>,
    /// The sales order applied or replayed.
    pub id: Option<String>,
}

/// Sums over all requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Order-creating requests seen, refused ones included.
    pub requests: u64,
    /// Applications; equal to the number of sales orders unless one was doubled.
    pub applied: u64,
    /// Repetitions answered from memory.
    pub replayed: u64,
    /// A key that came back with other content: a mistake of the sender.
    pub key_reused: u64,
    /// A key that came back while its first request was still being worked on.
    pub in_progress: u64,
    /// Documents refused because a record with their reference exists.
    pub refused_as_existing: u64,
    /// Requests on which a fault was spent.
    pub faults: u64,
    /// Applications beyond the first, by key or by order number: orders doubled.
    pub doubled: u64,
}

/// What the book says about a key before anything is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// New: go on and [`Book::apply`].
    Go,
    /// Known with the same content.
    Replay(u64),
    /// Known with other content.
    KeyReused,
    /// Its first request is not finished.
    InProgress,
    /// Its first request failed for good with this status.
    Failed(u16),
    /// A record with this reference exists already under this number.
    Exists(u64),
}

#[derive(Clone, Copy, Debug)]
enum KeyState {
    Working { body: u64 },
    Done { body: u64, number: u64, applied: u32, at: Instant },
    Failed { body: u64, status: u16 },
}

/// What the ERP knows a repetition by.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent habits, not states")]
pub(super) struct Habits {
    pub forgetful: bool,
    pub keeps_bodies: bool,
    pub honours_keys: bool,
    pub key_window: Option<Duration>,
    pub unique: bool,
}

/// The memory.
pub(super) struct Book {
    habits: Habits,
    hashers: (RandomState, RandomState),
    keys: HashMap<u128, KeyState>,
    /// Order number → the first sales order created for it.
    references: HashMap<u128, u64>,
    /// Operation → its first sales order, and how often it was applied.
    operations: HashMap<u128, (u64, u32)>,
    orders: Vec<Effect>,
    by_reference: HashMap<String, Vec<usize>>,
    log: Vec<LogEntry>,
    counts: Counts,
    last_number: u64,
}

impl Book {
    pub(super) fn new(habits: Habits) -> Self {
        Book {
            habits,
            hashers: (RandomState::new(), RandomState::new()),
            keys: HashMap::new(),
            references: HashMap::new(),
            operations: HashMap::new(),
            orders: Vec::new(),
            by_reference: HashMap::new(),
            log: Vec::new(),
            counts: Counts::default(),
            last_number: 0,
        }
    }

    fn digest(&self, value: impl std::hash::Hash) -> u128 {
        u128::from(self.hashers.0.hash_one(&value)) << 64 | u128::from(self.hashers.1.hash_one(&value))
    }

    /// Counts a request and gives it its place.
    pub(super) fn arrive(&mut self) -> u64 {
        self.counts.requests += 1;
        self.counts.requests
    }

    /// Looks the key and the reference up and, when both are new, marks the key as being worked on.
    pub(super) fn open(&mut self, call: &Call) -> Opening {
        let by_key = match call.key.as_deref() {
            Some(key) if self.habits.honours_keys => self.open_key(key, call),
            _ => Opening::Go,
        };
        let opening = match (by_key, self.existing(call)) {
            (Opening::Go, Some(number)) => Opening::Exists(number),
            (by_key, _) => by_key,
        };
        match opening {
            Opening::Go => {
                if let Some(key) = call.key.as_deref().filter(|_| self.habits.honours_keys) {
                    self.keys.insert(self.digest(key), KeyState::Working { body: call.body_hash });
                }
            }
            Opening::Replay(_) | Opening::Failed(_) => self.counts.replayed += 1,
            Opening::KeyReused => self.counts.key_reused += 1,
            Opening::InProgress => self.counts.in_progress += 1,
            Opening::Exists(_) => self.counts.refused_as_existing += 1,
        }
        opening
    }

    fn open_key(&self, key: &str, call: &Call) -> Opening {
        let body = call.body_hash;
        let closed =
            |at: Instant| self.habits.key_window.is_some_and(|window| call.arrived.duration_since(at) > window);
        match self.keys.get(&self.digest(key)) {
            None => Opening::Go,
            Some(KeyState::Done { at, .. }) if closed(*at) => Opening::Go,
            Some(
                KeyState::Done { body: known, .. }
                | KeyState::Working { body: known }
                | KeyState::Failed { body: known, .. },
            ) if *known != body => Opening::KeyReused,
            Some(KeyState::Working { .. }) => Opening::InProgress,
            Some(KeyState::Done { number, .. }) => Opening::Replay(*number),
            Some(KeyState::Failed { status, .. }) => Opening::Failed(*status),
        }
    }

    /// The sales order that stands in the way of this one, where references are unique.
    fn existing(&self, call: &Call) -> Option<u64> {
        let subject = call.subject.as_ref().filter(|_| self.habits.unique)?;
        self.operations.get(&self.operation(subject, call)).map(|(number, _)| *number)
    }

    /// Stores a failure under the call's key.
    pub(super) fn fail_for_good(&mut self, call: &Call, status: u16) {
        if let Some(key) = call.key.as_deref() {
            let failed = KeyState::Failed { body: call.body_hash, status };
            self.keys.entry(self.digest(key)).or_insert(failed);
        }
    }

    /// Makes the sales order and answers its number.
    pub(super) fn apply(&mut self, call: &Call) -> u64 {
        self.counts.applied += 1;
        self.last_number += 1;
        let number = self.last_number;
        let applied = self.count_key(call, number);
        let created = self.count_operation(call, number);
        // One mistake counts once, whether it shows by key, by order number or by both.
        if applied > 1 || created > 1 {
            self.counts.doubled += 1;
        }
        if !self.habits.forgetful {
            self.remember(call, number, applied);
        }
        number
    }

    /// How often this key has been applied, this time included; 1 without a key.
    fn count_key(&mut self, call: &Call, number: u64) -> u32 {
        let Some(key) = call.key.as_deref() else { return 1 };
        let (digest, body) = (self.digest(key), call.body_hash);
        let applied = match self.keys.get(&digest) {
            Some(KeyState::Done { applied, .. }) => applied + 1,
            Some(KeyState::Working { .. } | KeyState::Failed { .. }) | None => 1,
        };
        self.keys.insert(digest, KeyState::Done { body, number, applied, at: call.arrived });
        applied
    }

    /// How often this operation was applied, this time included; 1 where the document says no order.
    fn count_operation(&mut self, call: &Call, number: u64) -> u32 {
        let Some(subject) = &call.subject else { return 1 };
        let reference = self.digest(subject.increment_id.as_str());
        self.references.entry(reference).or_insert(number);
        let operation = self.operation(subject, call);
        let (_, applied) = self.operations.entry(operation).or_insert((number, 0));
        *applied += 1;
        *applied
    }

    /// An order is created once; of its changes there may be several, told apart by what they say.
    fn operation(&self, subject: &Subject, call: &Call) -> u128 {
        let content = if subject.purpose == "order.create" { 0 } else { call.body_hash };
        self.digest((&subject.purpose, &subject.system, subject.store_id, &subject.increment_id, content))
    }

    fn remember(&mut self, call: &Call, number: u64, applied: u32) {
        let subject = call.subject.as_ref();
        if let Some(subject) = subject {
            self.by_reference.entry(subject.increment_id.clone()).or_default().push(self.orders.len());
        }
        self.orders.push(Effect {
            id: id(number),
            key: call.key.clone(),
            reference: subject.map(|subject| subject.increment_id.clone()),
            system: subject.map(|subject| subject.system.clone()),
            store_id: subject.and_then(|subject| subject.store_id),
            purpose: subject.map(|subject| subject.purpose.clone()),
            revision: subject.and_then(|subject| subject.updated_at.clone()),
            grand_total: subject.and_then(|subject| subject.grand_total.clone()),
            at: SystemClock.now(),
            digest: Digest::of(&call.body).hex(),
            applied,
            body: if self.habits.keeps_bodies { call.body.clone() } else { Bytes::new() },
        });
    }

    /// Writes a line of the log.
    pub(super) fn note(&mut self, call: &Call, outcome: &str, status: Option<u16>, number: Option<u64>) {
        if self.habits.forgetful {
            return;
        }
        self.log.push(LogEntry {
            number: call.number,
            key: call.key.clone(),
            reference: call.subject.as_ref().map(|subject| subject.increment_id.clone()),
            delivery: call.delivery.clone(),
            attempt: call.attempt,
            outcome: outcome.to_owned(),
            status,
            id: number.map(id),
        });
    }

    pub(super) fn count_fault(&mut self) {
        self.counts.faults += 1;
    }

    /// What exists for an order number. A forgetful book only knows the first one's number.
    pub(super) fn find(&self, reference: &str) -> Vec<Effect> {
        if !self.habits.forgetful {
            let places = self.by_reference.get(reference).map_or(&[][..], Vec::as_slice);
            return places.iter().map(|place| self.orders[*place].clone()).collect();
        }
        let first = self.references.get(&self.digest(reference));
        first.into_iter().map(|number| bare_effect(*number, reference)).collect()
    }

    pub(super) fn effects(&self) -> &[Effect] {
        &self.orders
    }

    pub(super) fn log(&self) -> &[LogEntry] {
        &self.log
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }
}

fn bare_effect(number: u64, reference: &str) -> Effect {
    Effect {
        id: id(number),
        key: None,
        reference: Some(reference.to_owned()),
        system: None,
        store_id: None,
        purpose: None,
        revision: None,
        grand_total: None,
        at: Timestamp::UNIX_EPOCH,
        digest: String::new(),
        applied: 1,
        body: Bytes::new(),
    }
}

/// A sales order's number as the ERP writes it.
pub(super) fn id(number: u64) -> String {
    format!("SO-{number:06}")
}
