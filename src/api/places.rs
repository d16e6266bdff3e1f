//! Where an order stands at each destination: an order may be done at one and wait for a person at the next. Pure.

use serde::Serialize;

use crate::clock::Timestamp;
use crate::envelope::ids::{DeliveryId, ExceptionId};
use crate::store::view::{DeliveryRow, OrderDetail};

/// One destination of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Configured name.
    pub destination: String,
    /// The first that applies of `parked`, `due`, `delivered`, `ignored`.
    pub state: &'static str,
    /// The delivery that says so, or the last one.
    pub delivery_id: Option<DeliveryId>,
    /// The destination's own number of the order.
    pub receipt: Option<String>,
    /// Since when it has it.
    pub delivered_at: Option<Timestamp>,
    /// What waits for a person there.
    pub exceptions: Vec<ExceptionId>,
}

/// Every destination that something of the order was made for or is missing at, by name.
pub fn places(order: &OrderDetail) -> Vec<Place> {
    let made = order.deliveries.iter().map(|detail| detail.delivery.destination.as_str());
    let stopped = order.exceptions.iter().filter_map(|exception| exception.destination.as_deref());
    let mut names: Vec<&str> = made.chain(stopped).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(|name| place(order, name)).collect()
}

fn place(order: &OrderDetail, name: &str) -> Place {
    let here: Vec<&DeliveryRow> = order
        .deliveries
        .iter()
        .map(|detail| &detail.delivery)
        .filter(|delivery| delivery.destination == name)
        .collect();
    let last = |states: &[&str]| here.iter().rev().find(|delivery| states.contains(&delivery.state.as_str())).copied();
    let waiting = order.exceptions.iter().filter(|exception| exception.is_waiting());
    let exceptions: Vec<ExceptionId> = waiting
        .filter(|exception| exception.destination.as_deref() == Some(name))
        .map(|exception| exception.id)
        .collect();
    let (parked, due, delivered) = (last(&["parked"]), last(&["waiting", "in_flight"]), last(&["delivered"]));
    let (state, delivery) = match () {
        () if parked.is_some() || !exceptions.is_empty() => ("parked", parked),
        () if due.is_some() => ("due", due),
        () if delivered.is_some() => ("delivered", delivered),
        () => ("ignored", here.last().copied()),
    };
    Place {
        destination: name.to_owned(),
        state,
        delivery_id: delivery.map(|delivery| delivery.id),
        receipt: delivered.and_then(|delivery| delivery.receipt.clone()),
        delivered_at: delivered.and_then(|delivery| delivery.settled_at),
        exceptions,
    }
}

/// Whether one destination has the order while another one, or a person, is still waited for.
pub fn is_partly_processed(order: &OrderDetail, places: &[Place]) -> bool {
    let has = |place: &Place| place.delivered_at.is_some();
    let waits = |place: &Place| matches!(place.state, "parked" | "due");
    let asked = order.exceptions.iter().any(|exception| exception.is_waiting() && exception.destination.is_none());
    places.iter().any(has) && (asked || places.iter().any(|place| waits(place) && !has(place)))
}
