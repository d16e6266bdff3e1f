//! What people do about exceptions short of processing their records again: who looks after one, until when it rests, what
//! was noted, and that nothing shall come of it. And single rows of mapping tables, with their history.

use serde::Serialize;

use super::view::MappingRecord;
use super::write::Act;
use crate::clock::Timestamp;
use crate::envelope::ids::ExceptionId;

/// Most notes of one exception.
pub const NOTES_MAX: u64 = 500;

/// A person's act on one exception (one transaction).
#[derive(Clone, Debug)]
pub struct Handling {
    /// Which.
    pub exception: ExceptionId,
    /// What is done.
    pub step: Step,
    /// Who does it. Its `before` and `after` are the store's to write.
    pub act: Act,
}

/// What a person does about an exception.
#[derive(Clone, Debug)]
pub enum Step {
    /// Somebody looks after it, or nobody.
    Assign(Option<String>),
    /// It rests until then, or is awake again.
    Snooze(Option<Timestamp>),
    /// Something is noted; allowed on closed ones too.
    Note(String),
    /// Nothing shall come of it. A parked delivery behind it is given up (it must not be in doubt); an event of which nothing
    /// else is left is ignored, with the reason.
    Dismiss(String),
}

/// A note; never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// When.
    pub at: Timestamp,
    /// Who wrote it.
    pub author: String,
    /// What it says.
    pub text: String,
}

/// Exceptions are overdue that were opened before these times, by their severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overdue {
    /// `critical`
    pub critical: Timestamp,
    /// `error`
    pub error: Timestamp,
    /// `warning`
    pub warning: Timestamp,
    /// `info`
    pub info: Timestamp,
}

/// Rows of a mapping table that change; the others stay.
#[derive(Clone, Debug, Default)]
pub struct MappingEdit {
    /// Rows as they shall be, new or changed.
    pub set: Vec<MappingRecord>,
    /// Rows that go: key and destination. One that is not there is no error.
    pub gone: Vec<(String, String)>,
}

/// One change of a row of a mapping table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MappingChange {
    /// The row's key.
    pub key: String,
    /// Empty: all destinations.
    pub destination: String,
    /// `null` for a new row.
    pub before: Option<String>,
    /// `null` for one that is gone.
    pub after: Option<String>,
    /// The version of all mappings that it made.
    pub version: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
}
