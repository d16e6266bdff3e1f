//! What running the service writes down and asks: troubles of destinations, what waits behind them, a clock that jumped.

use serde::Serialize;

use crate::clock::Timestamp;
use crate::envelope::ids::IncidentId;

/// Ended incidents that are kept.
pub const INCIDENTS_KEPT: usize = 50;

/// What is wrong with a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// It takes deliveries, and more come than it takes.
    Backlog,
    /// It asked for a pause.
    Paused,
    /// It failed too often.
    Broken,
    /// A person must act.
    Held,
}

impl Trouble {
    /// All of them, the lesser ones first.
    pub const ALL: [Trouble; 4] = [Trouble::Backlog, Trouble::Paused, Trouble::Broken, Trouble::Held];

    /// The word in the store and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Trouble::Backlog => "backlog",
            Trouble::Paused => "paused",
            Trouble::Broken => "broken",
            Trouble::Held => "held",
        }
    }
}

/// One trouble of one destination, from its beginning until its backlog has been worked off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Incident {
    /// Its id.
    pub id: IncidentId,
    /// Configured name.
    pub destination: String,
    /// The worst of it so far.
    pub kind: Trouble,
    /// Why, in words.
    pub why: String,
    /// Since when.
    pub opened_at: Timestamp,
    /// When the destination took deliveries again; from then on its backlog drains.
    pub reopened_at: Option<Timestamp>,
    /// When the last of the backlog had gone.
    pub ended_at: Option<Timestamp>,
    /// Most deliveries that waited at a time.
    pub waiting_most: u64,
    /// Deliveries a minute by which the backlog shrank lately; only while it drains.
    pub drain_per_minute: Option<u64>,
    /// When it will be drained at that rate; nothing while the destination is shut.
    pub drained_at: Option<Timestamp>,
}

/// What is safe with us for one destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Deliveries that wait.
    pub waiting: u64,
    /// Deliveries under way.
    pub in_flight: u64,
    /// When the oldest that waits was made.
    pub oldest_created_at: Option<Timestamp>,
    /// The earliest time at which one of them is or was due.
    #[serde(skip)]
    pub oldest_due_at: Option<Timestamp>,
}

/// A destination that a person holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hold {
    /// Configured name.
    pub destination: String,
    /// Why, in the person's words.
    pub reason: String,
    /// Who.
    pub held_by: String,
    /// Since when.
    pub held_at: Timestamp,
}

/// A number between two orders that are here, and what Commerce said of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The Commerce instance.
    pub system: String,
    /// The store of its neighbours; empty if nobody said.
    #[serde(rename = "store_id")]
    pub scope: String,
    /// The number.
    #[serde(rename = "increment_id")]
    pub number: String,
    /// `found`: it was missing, and came in. `reserved`: it never became an order. `refused`: it could not be asked for.
    pub outcome: String,
    /// When it was asked for; it is asked for once.
    pub asked_at: Timestamp,
}

/// How far a regular search of another system got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Position {
    /// The system searched, by its configured name.
    pub system: String,
    /// Which search of it: `sweep`, `journal ORIGIN`, `poll ORIGIN DESTINATION/POLL`.
    pub kind: String,
    /// How far it got, in that system's own terms and by its own clock.
    pub position: String,
    /// When it got there, by ours.
    pub at: Timestamp,
    /// Why it gets no further, since the search before it; nothing while it does.
    pub trouble: Option<String>,
}
