//! Acts on many records at once: replaying and resending by filter.
//!
//! Cast. A [`filter`] says which records are meant, in the words of the lists. [`asking`] makes the list of them once, counts
//! it, and writes the act down; from then on the list does not change. Nothing of it is done until its undo window is over,
//! and above a number of records not before somebody else has approved it. [`running`] then takes the members one at a
//! time, at the act's rate, through the very functions that a single replay or resend goes through, so every rule of theirs
//! holds for each member.
//!
//! What keeps a member from being acted on twice is in the store: its mark is written with the effect
//! ([`crate::store::bulk::Mark`]). The pace is only kept in memory: after a restart an act goes on at once.
//!
//! Deliberately absent: a second way to replay or to resend; holding back what was released, which lanes and holds do.

pub mod asking;
pub mod filter;
pub mod running;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use crate::store::bulk::{MEMBERS_MAX, REPLAY, RESEND};

/// Most members of an act a minute.
pub const PER_MINUTE_MAX: u32 = 1_200;

/// `[exceptions]`, as far as acts on many records go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long an act can be taken back before its first member goes.
    pub undo: Duration,
    /// An act on more records than this needs a second person.
    pub approve_above: u32,
    /// Members a minute where nothing else is asked for.
    pub per_minute: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { undo: Duration::from_secs(30), approve_above: 50, per_minute: 60 }
    }
}
