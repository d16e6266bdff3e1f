//! What leaves the store: by itself when it is old enough, or because somebody asks.

use super::write::Act;
use crate::clock::Timestamp;

/// What may leave by now (DAT-2).
#[derive(Clone, Copy, Debug)]
pub struct Retire {
    /// Now.
    pub now: Timestamp,
    /// Bodies of what was final before this go.
    pub bodies_before: Timestamp,
    /// Attempts of what was final before this go.
    pub attempts_before: Timestamp,
    /// How many rows to look at in one transaction.
    pub rows: u32,
}

/// Whose data leaves on request (DAT-1).
#[derive(Clone, Debug)]
pub struct Erasure {
    /// `order`, …
    pub kind: String,
    /// Its number.
    pub id: String,
    /// One Commerce instance; `None`: whichever has the number.
    pub system: Option<String>,
    /// One store; `None`: whichever has the number.
    pub scope: Option<String>,
    /// What came later stays.
    pub until: Timestamp,
    /// Gives up what is still open instead of refusing.
    pub even_if_open: bool,
    /// Now.
    pub now: Timestamp,
    /// For the audit trail; `None` when an erasure of before is applied again.
    pub act: Option<Act>,
}
