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

/// How the explanation of an event begins that waits for its order to be read.
pub const WAITS: &str = "The order is read from Commerce first";

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
        format!("{WAITS}: {}.", self.why)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::kind::RecordKind;
    use crate::json::{self, Limits};

    /// What is read for this payload of this event, if anything.
    fn wanted(payload: &str, event: Option<&str>, read_back: ReadBack, readable: bool) -> Option<Wanted> {
        let origin = OriginRules {
            system: "acme".into(),
            default_store_id: None,
            read_back,
            readable,
            wait_for_order: Duration::ZERO,
            to_commerce: false,
        };
        let json = json::parse(payload.as_bytes(), &Limits::default()).unwrap();
        let header = parse::header(&json, &parse::Reading { system: "acme", ..parse::Reading::default() });
        let input = Input { origin: "hooks", kind: RecordKind::Order, event_name: event, json: &json, later: false };
        of(&input, &origin, &header)
    }

    const WHOLE: &str = crate::demo::samples::SENDINGS[0].samples[0].json;
    const HINT: &str = r#"{"increment_id":"000000042","store_id":"1"}"#;
    const PLACED: Option<&str> = Some("observer.sales_order_place_after");

    #[test]
    fn hints_incomplete_payloads_and_announcements_are_read_and_whole_orders_are_not() {
        let when_needed = |payload, event| wanted(payload, event, ReadBack::WhenNeeded, true);
        assert_eq!(when_needed(WHOLE, None), None);
        let hint = when_needed(HINT, None).unwrap();
        assert_eq!((hint.increment_id.as_deref(), hint.store_id), (Some("000000042"), Some(1)));
        assert_eq!(hint.patience, Patience::Saved);
        assert!(hint.explanation().contains("items"), "{}", hint.explanation());
        let announced = when_needed(WHOLE, PLACED).unwrap();
        assert_eq!(announced.patience, Patience::Unsaved);
        assert!(when_needed(r#"{"entity_id":42}"#, None).is_some(), "the id alone names it");
    }

    #[test]
    fn always_reads_whole_orders_and_never_reads_nothing() {
        assert!(wanted(WHOLE, None, ReadBack::Always, true).is_some());
        for payload in [WHOLE, HINT] {
            assert_eq!(wanted(payload, PLACED, ReadBack::Never, true), None);
            assert_eq!(wanted(payload, PLACED, ReadBack::Always, false), None, "there is nothing to read from");
        }
    }

    #[test]
    fn a_number_without_its_store_names_no_order() {
        assert_eq!(wanted(r#"{"increment_id":"000000042"}"#, None, ReadBack::WhenNeeded, true), None);
        assert_eq!(wanted("{}", None, ReadBack::Always, true), None);
    }
}
