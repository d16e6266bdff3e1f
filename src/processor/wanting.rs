//! Which payloads lead to a read of their order from Commerce, and how the order is named there. Pure.
//!
//! An order is compiled from one source only: from a payload that is whole, or from what REST says; never from both
//! (docs/decisions/0045).

use std::time::Duration;

use crate::clock::later;
use crate::commerce::parse::{self, Completeness, Header};
use crate::store::write::{NewRead, Patience, Subject};

use super::enqueue::Stamp;
use super::rules::{OriginRules, ReadBack};
use super::step::{Input, announces_unsaved};

/// Commerce saves an order within moments of announcing it.
const UNSAVED_AFTER: Duration = Duration::from_secs(2);

/// An order to be read before anything is made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The order's id in Commerce's database.
    pub entity_id: Option<u64>,
    /// Its number.
    pub increment_id: Option<String>,
    /// Its store.
    pub store_id: Option<u64>,
    /// Why, in words.
    pub why: String,
    /// What its absence would mean.
    pub patience: Patience,
}

impl Wanted {
    /// In a sentence, for previews and timelines.
    pub fn explanation(&self) -> String {
        format!("The order is read from Commerce: {}.", self.why)
    }

    /// As a row.
    pub(super) fn row(self, subject: &Subject, stamp: &Stamp<'_>) -> NewRead {
        let wait = match self.patience {
            Patience::Saved => Duration::ZERO,
            Patience::Unsaved => UNSAVED_AFTER,
        };
        NewRead {
            system: subject.system.clone(),
            entity_id: self.entity_id,
            increment_id: self.increment_id,
            store_id: self.store_id,
            why: self.why,
            patience: self.patience,
            due_at: later(stamp.now, wait),
        }
    }
}

/// The read that this payload needs; `None`: it may be compiled as it stands, or nothing can be read.
pub(super) fn of(input: &Input<'_>, origin: &OriginRules, header: &Header) -> Option<Wanted> {
    if !origin.readable || origin.read_back == ReadBack::Never {
        return None;
    }
    let unsaved = input.event_name.is_some_and(announces_unsaved);
    let why = if unsaved {
        format!("{} announced it before it was saved", input.event_name.unwrap_or("a hook"))
    } else if let Completeness::Incomplete(missing) = parse::completeness(input.json) {
        format!("the payload came without {}", missing.join(", "))
    } else if header.store_id.is_none() {
        "the payload does not say which store it belongs to".to_owned()
    } else if origin.read_back == ReadBack::Always {
        "read_back is \"always\"".to_owned()
    } else {
        return None;
    };
    named(header, why, unsaved)
}

/// The read of an order by what a payload says of it. A number without its store may name several orders.
pub(super) fn named(header: &Header, why: String, unsaved: bool) -> Option<Wanted> {
    let by_number = header.increment_id.is_some() && header.store_id.is_some();
    if header.entity_id.is_none() && !by_number {
        return None;
    }
    Some(Wanted {
        entity_id: header.entity_id,
        increment_id: header.increment_id.clone(),
        store_id: header.store_id,
        why,
        patience: if unsaved { Patience::Unsaved } else { Patience::Saved },
    })
}
