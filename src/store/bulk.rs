//! Acts on many records at once: what was asked, the list as it was then, and what became of each member of it. And the
//! port to all that.
//!
//! The mark of a member is written in the transaction of its effect ([`Mark`], carried by [`super::write::Act`]), and only
//! while its act runs: a member is acted on at most once, whatever dies in between, and nothing of an act that was stopped
//! goes after the stop.

use serde::Serialize;
use serde_json::Value;

use super::Answer;
use super::view::{ExceptionSubject, Page, Paging};
use super::write::Act;
use crate::clock::Timestamp;
use crate::envelope::ids::{BulkId, DeliveryId, ExceptionId};

/// Most members of one act.
pub const MEMBERS_MAX: usize = 10_000;

/// Most acts that are not over.
pub const OPEN_MAX: u32 = 100;

/// Acts that are over are kept up to this number; the audit trail keeps that they were.
pub const ENDED_KEPT: u32 = 200;

/// What an act is on, oldest first; it also says what is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Targets {
    /// The records behind these are processed again.
    Replay(Vec<ExceptionId>),
    /// These are done a second time (KEY-3 c).
    Resend(Vec<DeliveryId>),
}

impl Targets {
    /// `replay`, `resend`.
    pub fn what(&self) -> &'static str {
        match self {
            Targets::Replay(_) => REPLAY,
            Targets::Resend(_) => RESEND,
        }
    }

    /// How many.
    pub fn count(&self) -> usize {
        match self {
            Targets::Replay(ids) => ids.len(),
            Targets::Resend(ids) => ids.len(),
        }
    }

    /// Their bytes, as the store keeps ids.
    pub fn bytes(&self) -> Box<dyn Iterator<Item = &[u8; 16]> + '_> {
        match self {
            Targets::Replay(ids) => Box::new(ids.iter().map(ExceptionId::as_bytes)),
            Targets::Resend(ids) => Box::new(ids.iter().map(DeliveryId::as_bytes)),
        }
    }
}

/// The word for processing records again.
pub const REPLAY: &str = "replay";
/// The word for doing deliveries a second time.
pub const RESEND: &str = "resend";

/// An act as it is asked for.
#[derive(Clone, Debug)]
pub struct NewBulk {
    /// Its id.
    pub id: BulkId,
    /// On what, at most [`MEMBERS_MAX`].
    pub targets: Targets,
    /// As it was asked: JSON.
    pub filter: String,
    /// Of the orders behind it, by currency: JSON.
    pub sums: String,
    /// Members a minute.
    pub per_minute: u32,
    /// When it begins; `None` where somebody else must approve it first.
    pub begins_at: Option<Timestamp>,
    /// Who asks, and why.
    pub act: Act,
}

/// What a person says about an act.
#[derive(Clone, Debug)]
pub struct Ruling {
    /// Which.
    pub bulk: BulkId,
    /// What.
    pub step: BulkStep,
    /// Who, and why. Its `before` and `after` are the store's to write.
    pub act: Act,
}

/// What may be said about an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BulkStep {
    /// It may go, from then on. Of one that awaits approval.
    Approve {
        /// Not before.
        begins_at: Timestamp,
    },
    /// It shall not go. Of one that awaits approval.
    Refuse,
    /// It is taken back. Of one that has not begun.
    Undo,
    /// What did not go by now shall not go. Of one that runs.
    Stop,
}

/// An act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BulkRow {
    /// Its id.
    pub id: BulkId,
    /// `replay`, `resend`.
    pub what: String,
    /// `awaiting_approval`, `waiting`, `running`, `done`, `undone`, `stopped`, `refused`.
    pub state: String,
    /// As it was asked.
    pub filter: Value,
    /// Of the orders behind it when it was asked, by currency.
    pub sums: Value,
    /// Why.
    pub reason: String,
    /// Who asked.
    pub asked_by: String,
    /// When.
    pub asked_at: Timestamp,
    /// Whether somebody else has to approve it, or had to.
    pub needs_approval: bool,
    /// Who approved it, if somebody did.
    pub approved_by: Option<String>,
    /// When.
    pub approved_at: Option<Timestamp>,
    /// Until then it can be taken back; `null` while it awaits approval.
    pub begins_at: Option<Timestamp>,
    /// When its first member's turn came.
    pub began_at: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// Who ended it; `null` where it ran to its end.
    pub ended_by: Option<String>,
    /// Why, in their words or ours; empty where nobody said.
    pub ending: String,
    /// Members a minute, at most.
    pub per_minute: u32,
    /// Members.
    pub total: u64,
    /// Of them: acted on.
    pub acted: u64,
    /// Of these: still waiting for a person.
    pub still_parked: u64,
    /// Of the members: not acted on, each with its reason.
    pub skipped: u64,
    /// Of the members: their turn has not come.
    pub left: u64,
}

/// A member of an act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BulkMember {
    /// Its place, from 1.
    pub number: u32,
    /// The exception whose record is processed again.
    pub exception_id: Option<ExceptionId>,
    /// The delivery that is done a second time.
    pub delivery_id: Option<DeliveryId>,
    /// What it is about.
    pub subject: ExceptionSubject,
    /// Of the order, as Commerce sent it, where it is known.
    pub grand_total: Option<String>,
    /// ISO code.
    pub currency: Option<String>,
    /// `pending`, `acted`, `skipped`; `left` where its act ended before its turn.
    pub state: String,
    /// As in a replay, or `resent`; `null` before its turn, and where it was skipped.
    pub result: Option<String>,
    /// In words.
    pub explanation: String,
    /// The delivery that was made.
    pub made: Option<DeliveryId>,
    /// When.
    pub at: Option<Timestamp>,
}

/// A member whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Its place.
    pub number: u32,
    /// Its exception or delivery.
    pub target: Target,
    /// The number of what it is about.
    pub subject_id: String,
    /// How often the service ended while it was worked on.
    pub deaths: u32,
}

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Its record is processed again.
    Replay(ExceptionId),
    /// It is done a second time.
    Resend(DeliveryId),
}

/// What became of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Whose.
    pub bulk: BulkId,
    /// Its place.
    pub number: u32,
    /// As in a replay, or `resent`; `None`: it was not acted on.
    pub result: Option<String>,
    /// In words.
    pub explanation: String,
    /// The delivery that was made.
    pub made: Option<DeliveryId>,
}

/// One order's grand total, as Commerce sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderTotal {
    /// ISO code.
    pub currency: String,
    /// Digits as sent.
    pub grand_total: String,
}

/// Acts on many records at once.
pub trait Bulks {
    /// Writes an act down with its members; nothing is done yet. The act as it stands. [`super::StoreError::NotAllowed`]
    /// while [`OPEN_MAX`] are open.
    fn ask_bulk(&self, bulk: NewBulk) -> Answer<'_, BulkRow>;

    /// Carries out what a person says about an act; the act as that leaves it. [`super::StoreError::NotAllowed`] where it
    /// is not in a state for that.
    fn rule_bulk(&self, ruling: Ruling) -> Answer<'_, BulkRow>;

    /// Acts that are not over and await nobody's approval, oldest first.
    fn open_bulks(&self) -> Answer<'_, Vec<BulkRow>>;

    /// The member whose turn it is, marked as begun; `None` where the act does not run. One whose time came runs from now
    /// on. One that was begun before is handed out again.
    fn take_turn(&self, bulk: BulkId, now: Timestamp) -> Answer<'_, Option<Turn>>;

    /// Writes what became of a member on which nothing was done, or nothing that the store saw.
    /// [`super::StoreError::NotAllowed`] where its turn is over or its act does not run.
    fn mark_member(&self, mark: Mark, at: Timestamp) -> Answer<'_, ()>;

    /// For the one process that carries acts out, at its start: what was begun and not marked was cut off by the end of the
    /// process before.
    fn count_deaths(&self) -> Answer<'_, ()>;

    /// One act.
    fn bulk(&self, id: BulkId) -> Answer<'_, Option<BulkRow>>;

    /// Acts, newest first, of one state or all.
    fn bulks(&self, state: Option<String>, paging: Paging) -> Answer<'_, Page<BulkRow>>;

    /// Members of an act in their order, of one state or all.
    fn bulk_members(&self, id: BulkId, state: Option<String>, paging: Paging) -> Answer<'_, Page<BulkMember>>;

    /// Grand totals of the orders behind these, each order once; `None` for one whose total is not known.
    fn totals_behind(&self, targets: Targets) -> Answer<'_, Vec<Option<OrderTotal>>>;
}
