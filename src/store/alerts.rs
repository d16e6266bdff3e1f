//! What alerting writes down and asks: alerts, the messages about them, and what they are judged by.

use serde::Serialize;

use crate::clock::Timestamp;
use crate::domain::defect::Severity;
use crate::envelope::ids::{AlertId, MessageId};

/// Alerts that are over and still kept; their messages go with them.
pub const ALERTS_KEPT: usize = 500;

/// Groups of open exceptions that one look is told of.
pub const GROUPS_MAX: usize = 2_000;

/// Something people are told about, from its beginning until a while after its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// Its id.
    pub id: AlertId,
    /// The rule that raised it.
    pub rule: String,
    /// What it is about; there is one open alert of a rule and a subject.
    pub subject: String,
    /// How bad it is.
    pub severity: Severity,
    /// In a sentence.
    pub what: String,
    /// What to do about it.
    pub next: String,
    /// Records that wait because of it.
    pub waiting: u64,
    /// Since when it has been wrong.
    pub since: Timestamp,
    /// When it was raised.
    pub opened_at: Timestamp,
    /// When the row changed.
    pub changed_at: Timestamp,
    /// Since when nothing is wrong any more, while it waits out its time.
    pub clear_since: Option<Timestamp>,
    /// When it was over.
    pub resolved_at: Option<Timestamp>,
    /// When a person took it.
    pub acknowledged_at: Option<Timestamp>,
    /// Who: `token:NAME`, `cli:USER`.
    pub acknowledged_by: Option<String>,
    /// How many steps up the ladder of contacts it has gone.
    pub level: u32,
    /// When that step was told, or will be after quiet hours.
    #[serde(skip)]
    pub told_at: Timestamp,
    /// How often it came back within an hour of its end.
    #[serde(skip)]
    pub relapses: u32,
    /// Nobody of its level could be reached.
    pub unreached: bool,
}

impl Alert {
    /// `firing`, `acknowledged`, `resolved`.
    pub fn state(&self) -> &'static str {
        match (self.resolved_at, self.acknowledged_at) {
            (Some(_), _) => "resolved",
            (None, Some(_)) => "acknowledged",
            (None, None) => "firing",
        }
    }
}

/// Why a contact is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// It began.
    Raised,
    /// Nobody took it.
    Escalated,
    /// It is over.
    Resolved,
}

impl MessageKind {
    /// The word in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            MessageKind::Raised => "raised",
            MessageKind::Escalated => "escalated",
            MessageKind::Resolved => "resolved",
        }
    }
}

/// A message to be sent, with the alert it is about.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// Its id, which the receiver gets as a key: the same at every attempt.
    pub id: MessageId,
    /// To whom.
    pub contact: String,
    /// Why.
    pub kind: MessageKind,
    /// The step of the ladder.
    pub level: u32,
    /// What is said, as JSON.
    pub notice: String,
    /// Not before.
    pub due_at: Timestamp,
}

/// The last words about an alert.
#[derive(Clone, Debug)]
pub struct Farewell {
    /// What is said, as JSON.
    pub notice: String,
    /// To whom it may be said, under which id, and not before when. Only those are told who were told of the beginning; a
    /// message of the beginning that was never tried is withdrawn instead.
    pub to: Vec<(String, MessageId, Timestamp)>,
}

/// An alert as it is now, and what is to be said about it, in one transaction.
#[derive(Clone, Debug)]
pub struct AlertChange {
    /// The alert; whether a person took it is left as it stands in the store.
    pub alert: Alert,
    /// To be sent.
    pub messages: Vec<NewMessage>,
    /// What messages of each kind say now, where none was tried yet: who wakes reads of the morning, not of the night.
    pub fresh: Vec<(MessageKind, String)>,
    /// It is over.
    pub farewell: Option<Farewell>,
}

/// A message whose turn it is. Its attempt is counted already.
#[derive(Clone, Debug)]
pub struct DueMessage {
    /// Its id.
    pub id: MessageId,
    /// What is said, as JSON.
    pub notice: String,
    /// Attempts, this one among them.
    pub attempts: u32,
    /// When it was written.
    pub created_at: Timestamp,
}

/// What an attempt to send a message came to.
#[derive(Clone, Debug)]
pub enum MessageEnd {
    /// The channel took it.
    Sent,
    /// It is tried again.
    Later {
        /// Not before.
        due_at: Timestamp,
        /// In words, without secrets.
        why: String,
    },
    /// It was tried often enough.
    Failed {
        /// In words, without secrets.
        why: String,
    },
}

/// Open exceptions of one cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenGroup {
    /// Their cause.
    pub fingerprint: String,
    /// How many.
    pub count: u64,
    /// When the first of those that are open was opened.
    pub oldest: Timestamp,
    /// From the catalogue, of the newest.
    pub code: String,
    /// Of the newest.
    pub severity: Severity,
    /// For whom, of the newest.
    pub destination: Option<String>,
    /// Of the newest, in words.
    pub message: String,
}

/// What alerting is told of exceptions.
#[derive(Clone, Debug, Default)]
pub struct OpenCauses {
    /// The newest causes first, at most [`GROUPS_MAX`].
    pub groups: Vec<OpenGroup>,
    /// There are more.
    pub cut: bool,
    /// How many were opened since each of the instants asked for, as far as that was counted.
    pub opened: Vec<u64>,
}

/// Orders that were first heard of in one hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderHour {
    /// The Commerce instance.
    pub system: String,
    /// The beginning of the hour.
    pub hour: Timestamp,
    /// How many.
    pub orders: u64,
    /// When the last of them came.
    pub last_at: Timestamp,
}
