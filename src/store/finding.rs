//! Finding a record by whatever a person has in hand, and the index behind it.
//!
//! Order numbers, receipts and our own ids are found where they stand. E-mail addresses, SKUs, idempotency keys and the ids
//! that senders give are found by *terms*: a keyed digest each, written behind the events by a task of its own, so that the
//! transaction that concludes an event does nothing for it. An address is in no index in clear.

use bytes::Bytes;

use super::view::{DeliveryRow, EventRow, OrderRow};

/// What a term is; numbers as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TermKind {
    /// A buyer's address; leads to an order. Personal: leaves with the payload.
    Email,
    /// An item number, the shop's or the destination's; leads to an order.
    Sku,
    /// Our idempotency key; leads to a delivery.
    Key,
    /// An id that a sender gave its request or event; leads to an event.
    Trace,
}

/// A text by which something is found, spelled as [`crate::search`] spells it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Term {
    /// What it is.
    pub kind: TermKind,
    /// Its normal spelling.
    pub text: String,
}

/// How far the index got, by the rows' own numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexPosition {
    /// Events.
    pub events: i64,
    /// Documents.
    pub documents: i64,
    /// Deliveries.
    pub deliveries: i64,
    /// Orders and whatever else events are about.
    pub subjects: i64,
    /// Names the key of the personal terms; another one means that they are written anew.
    pub key: String,
}

/// Where a body stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// An event's request.
    Event,
    /// A document made of one.
    Document,
}

/// A body whose terms are not written yet.
#[derive(Clone, Debug)]
pub struct Unindexed {
    /// Where it stands.
    pub source: Source,
    /// Its row.
    pub row: i64,
    /// JSON pointer of the record in it.
    pub path: String,
    /// It is about an order.
    pub of_order: bool,
    /// The plain body; empty when it is gone or cannot be read.
    pub body: Bytes,
    /// What is kept of the request's headers, JSON.
    pub headers: String,
}

/// The next stretch of rows.
#[derive(Clone, Debug, Default)]
pub struct IndexSlice {
    /// Where it begins.
    pub from: IndexPosition,
    /// Where it ends.
    pub to: IndexPosition,
    /// What is to be read.
    pub bodies: Vec<Unindexed>,
    /// Deliveries with their keys.
    pub keys: Vec<(i64, String)>,
    /// Orders with their numbers.
    pub numbers: Vec<(i64, String)>,
    /// There may be more right now.
    pub more: bool,
}

/// What was found in a slice.
#[derive(Clone, Debug)]
pub struct Indexed {
    /// The slice; its bodies are no longer needed.
    pub slice: IndexSlice,
    /// Terms of its bodies.
    pub terms: Vec<(Source, i64, Term)>,
    /// Now.
    pub at: crate::clock::Timestamp,
}

/// What is asked for: every field is one way to be meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// Numbers of an order, the likeliest first.
    pub numbers: Vec<String>,
    /// The end of an order number that begins with a store's prefix.
    pub ending: Option<String>,
    /// A destination's number.
    pub receipt: Option<String>,
    /// Normal spelling of an address.
    pub email: Option<String>,
    /// Normal spelling of an item number.
    pub sku: Option<String>,
    /// The item number as it was asked for: exceptions keep values as they came.
    pub value: Option<String>,
    /// An idempotency key.
    pub key: Option<String>,
    /// A sender's id.
    pub trace: Option<String>,
    /// Part of an order number, looked for only when nothing else is found.
    pub part: Option<String>,
}

/// Orders that have a term.
#[derive(Clone, Debug, Default)]
pub struct Matches {
    /// How many, up to [`COUNTED_MAX`].
    pub count: u64,
    /// The newest of them.
    pub newest: Vec<OrderRow>,
}

/// Orders of a term are counted up to here: beyond, "more than" is answer enough.
pub const COUNTED_MAX: u64 = 10_000;
/// Rows of one kind that an answer shows.
pub const SHOWN_MAX: u32 = 10;
/// Newest orders that are looked through for a part in the middle of their number.
pub const PART_WALK_MAX: u32 = 20_000;

/// A cause of open exceptions about a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldUp {
    /// The cause.
    pub fingerprint: String,
    /// From the catalogue.
    pub code: String,
    /// Text of one of them.
    pub message: String,
    /// What to do.
    pub remedy: String,
    /// How many orders it holds up, as far as they are counted.
    pub orders: u64,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Orders of one of the numbers, in the order asked.
    pub orders: Vec<OrderRow>,
    /// Orders whose number ends so, behind a prefix.
    pub prefixed: Vec<OrderRow>,
    /// Deliveries with that receipt, newest first.
    pub receipts: Vec<DeliveryRow>,
    /// The delivery of that key.
    pub keyed: Vec<DeliveryRow>,
    /// Events that came under that id, newest first.
    pub traced: Vec<EventRow>,
    /// Orders of that buyer.
    pub email: Matches,
    /// Orders with that item.
    pub sku: Matches,
    /// Causes of open exceptions about that value, the largest first.
    pub parked: Vec<HeldUp>,
    /// Orders with that part in their number.
    pub parts: Vec<OrderRow>,
    /// Events that the index has not come to yet.
    pub behind: u64,
}

impl Found {
    /// Nothing of it.
    pub fn is_empty(&self) -> bool {
        self.orders.is_empty()
            && self.prefixed.is_empty()
            && self.receipts.is_empty()
            && self.keyed.is_empty()
            && self.traced.is_empty()
            && self.email.count == 0
            && self.sku.count == 0
            && self.parked.is_empty()
            && self.parts.is_empty()
    }
}
