//! What the ERP remembers: keys, sales orders, references and the log of requests. Plain values, no I/O.
//!
//! Every question a request asks is one hash look-up. A forgetful book keeps 16-byte digests instead of texts, so that
//! millions of requests fit; it still knows how often anything was applied.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

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
}

/// What a document says it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    pub purpose: String,
    pub system: String,
    pub store_id: Option<u64>,
    pub increment_id: String,
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
    /// The store of that order.
    pub store_id: Option<u64>,
    /// The purpose inside the document, `order.create`.
    pub purpose: Option<String>,
    /// The grand total inside the document.
    pub grand_total: Option<String>,
    /// How often it was applied; more than once is a doubled order.
    pub applied: u32,
    /// The document as received.
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
}

#[derive(Clone, Copy, Debug)]
enum KeyState {
    Working { body: u64 },
    Done { body: u64, number: u64, applied: u32 },
}

/// The memory.
pub(super) struct Book {
    forgetful: bool,
    honours_keys: bool,
    hashers: (RandomState, RandomState),
    keys: HashMap<u128, KeyState>,
    /// Order number → the first sales order created for it.
    references: HashMap<u128, u64>,
    /// Purpose `order.create` per system, store and number → how many keys created it.
    creates: HashMap<u128, u32>,
    orders: Vec<Effect>,
    by_reference: HashMap<String, Vec<usize>>,
    log: Vec<LogEntry>,
    counts: Counts,
    last_number: u64,
}

impl Book {
    pub(super) fn new(forgetful: bool, honours_keys: bool) -> Self {
        Book {
            forgetful,
            honours_keys,
            hashers: (RandomState::new(), RandomState::new()),
            keys: HashMap::new(),
            references: HashMap::new(),
            creates: HashMap::new(),
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

    /// Looks the key up and, when it is new, marks it as being worked on.
    pub(super) fn open(&mut self, call: &Call) -> Opening {
        let Some(key) = call.key.as_deref().filter(|_| self.honours_keys) else { return Opening::Go };
        let body = call.body_hash;
        let opening = match self.keys.get(&self.digest(key)) {
            None => Opening::Go,
            Some(KeyState::Done { body: known, .. } | KeyState::Working { body: known }) if *known != body => {
                Opening::KeyReused
            }
            Some(KeyState::Working { .. }) => Opening::InProgress,
            Some(KeyState::Done { number, .. }) => Opening::Replay(*number),
        };
        match opening {
            Opening::Go => {
                self.keys.insert(self.digest(key), KeyState::Working { body });
            }
            Opening::Replay(_) => self.counts.replayed += 1,
            Opening::KeyReused => self.counts.key_reused += 1,
            Opening::InProgress => self.counts.in_progress += 1,
        }
        opening
    }

    /// Makes the sales order and answers its number.
    pub(super) fn apply(&mut self, call: &Call) -> u64 {
        self.counts.applied += 1;
        self.last_number += 1;
        let number = self.last_number;
        let applied = self.count_key(call, number);
        let created = self.count_create(call, number);
        // One mistake counts once, whether it shows by key, by order number or by both.
        if applied > 1 || created > 1 {
            self.counts.doubled += 1;
        }
        if !self.forgetful {
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
            Some(KeyState::Working { .. }) | None => 1,
        };
        self.keys.insert(digest, KeyState::Done { body, number, applied });
        applied
    }

    /// How many sales orders exist for this order of Commerce, this one included; 1 where the document is another kind.
    fn count_create(&mut self, call: &Call, number: u64) -> u32 {
        let Some(subject) = &call.subject else { return 1 };
        let reference = self.digest(subject.increment_id.as_str());
        self.references.entry(reference).or_insert(number);
        if subject.purpose != "order.create" {
            return 1;
        }
        let order = self.digest((&subject.system, subject.store_id, &subject.increment_id));
        let created = self.creates.entry(order).or_insert(0);
        *created += 1;
        *created
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
            store_id: subject.and_then(|subject| subject.store_id),
            purpose: subject.map(|subject| subject.purpose.clone()),
            grand_total: subject.and_then(|subject| subject.grand_total.clone()),
            applied,
            body: call.body.clone(),
        });
    }

    /// Writes a line of the log.
    pub(super) fn note(&mut self, call: &Call, outcome: &str, status: Option<u16>, number: Option<u64>) {
        if self.forgetful {
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
        if !self.forgetful {
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
        store_id: None,
        purpose: None,
        grand_total: None,
        applied: 1,
        body: Bytes::new(),
    }
}

/// A sales order's number as the ERP writes it.
pub(super) fn id(number: u64) -> String {
    format!("SO-{number:06}")
}
