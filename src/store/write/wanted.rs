//! Orders that are to be read from Commerce, and what became of a read.

use crate::clock::Timestamp;
use crate::envelope::ids::EnvelopeId;

use super::{NewException, Subject};

/// How long an order that Commerce does not know is looked for, and what it means that it never comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// It was saved when it was announced: its absence is a defect.
    Saved,
    /// It was announced before its save: it may never come to exist.
    Unsaved,
}

impl Patience {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Patience::Saved => "saved",
            Patience::Unsaved => "unsaved",
        }
    }

    /// From the store.
    pub fn parse(text: &str) -> Option<Self> {
        [Patience::Saved, Patience::Unsaved].into_iter().find(|patience| patience.as_str() == text)
    }
}

/// An order to be read. Named by its id, or by its number and store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRead {
    /// The Commerce instance to read from.
    pub system: String,
    /// The order's id in Commerce's database.
    pub entity_id: Option<u64>,
    /// Its number.
    pub increment_id: Option<String>,
    /// Its store.
    pub store_id: Option<u64>,
    /// Why it must be read, in words.
    pub why: String,
    /// What its absence means.
    pub patience: Patience,
    /// Not before.
    pub due_at: Timestamp,
}

/// A read whose time has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedRead {
    /// Its row.
    pub row: i64,
    /// The newest envelope that waits for it now: what comes later may announce a newer state, and is read again.
    pub until: i64,
    /// What is asked about.
    pub subject: Subject,
    /// What is to be read.
    pub read: NewRead,
    /// When it was asked for last.
    pub asked_at: Timestamp,
    /// Looks that found nothing.
    pub tries: u32,
}

/// What became of a read, written in one transaction.
#[derive(Debug)]
pub struct ReadSettled {
    /// As handed out.
    pub row: i64,
    /// As handed out.
    pub until: i64,
    /// What follows.
    pub next: AfterRead,
    /// When.
    pub at: Timestamp,
}

/// What follows a read.
#[derive(Debug)]
pub enum AfterRead {
    /// It is there, as this envelope: what waited for it is overtaken by it.
    Read(EnvelopeId),
    /// It is looked for again.
    Later {
        /// Not before.
        due_at: Timestamp,
        /// A person is asked meanwhile.
        exception: Option<Box<NewException>>,
    },
    /// It never came to exist, which is nobody's fault; in words.
    Ignored(String),
    /// It is not looked for any more: a person decides.
    Parked(Box<NewException>),
}
