//! An order's story in words: one sentence, and a timeline from receipt to the destination's number. Pure.

use std::fmt::Write as _;

use serde::Serialize;

use super::places::places;
use crate::clock::Timestamp;
use crate::processor::rules::READ_ORIGIN;
use crate::processor::wanting::WAITS;
use crate::store::view::{DeliveryDetail, DeliveryRow, EventRow, ExceptionRow, OrderDetail};

/// One step of an order's way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// `received`, `concluded`, `document_made`, `delivery_made`, `attempt_started`, `attempt_ended`, `delivered`,
    /// `exception_opened`, `exception_closed`.
    pub what: &'static str,
    /// What to look up for more.
    pub id: String,
    /// In a sentence.
    pub words: String,
}

/// Every step, oldest first; steps of one instant stand in the order in which they follow from each other.
pub fn timeline(order: &OrderDetail) -> Vec<Moment> {
    let mut moments = Vec::new();
    for event in &order.events {
        moments.push(moment(event.received_at, "received", event.id, received(event)));
    }
    for document in &order.documents {
        let words = match &document.edited {
            Some(edited) => format!("{} for {} edited by {}", document.schema, document.destination, edited.by),
            None => format!(
                "{} made for {}, mappings version {}",
                document.schema, document.destination, document.mappings_version
            ),
        };
        moments.push(moment(document.created_at, "document_made", document.id, words));
    }
    for delivery in &order.deliveries {
        add_delivery(&mut moments, delivery);
    }
    for exception in &order.exceptions {
        add_exception(&mut moments, exception);
    }
    // Stable: what was pushed first comes first within one instant.
    moments.sort_by_key(|moment| moment.at);
    moments
}

fn moment(at: Timestamp, what: &'static str, id: impl std::fmt::Display, words: String) -> Moment {
    Moment { at, what, id: id.to_string(), words }
}

fn received(event: &EventRow) -> String {
    let name = event.event_name.as_deref().map(|name| format!(" ({name})")).unwrap_or_default();
    let again = match event.duplicates {
        0 => String::new(),
        1 => "; it came once more since".to_owned(),
        times => format!("; it came {times} more times since"),
    };
    let became = match event.state.as_str() {
        "received" if waits_for_read(event) => format!("; {}", stop(&event.explanation)),
        "received" => "; it waits to be processed".to_owned(),
        "done" | "exception" => String::new(),
        state if event.explanation.is_empty() => format!("; {state}"),
        state => format!("; {state}: {}", event.explanation),
    };
    if let Some(system) = event.origin.strip_prefix(READ_ORIGIN) {
        let how = match event.verification.as_str() {
            "sweep" => "Found by searching Commerce",
            "gap" => "Found by its missing number",
            "person" => "Read from Commerce on a person's word",
            _ => "Read back from Commerce",
        };
        return format!("{how} ({system}){became}{again}");
    }
    format!("Received from {}{name}, verified by {}{became}{again}", event.origin, event.verification)
}

/// The processor has concluded it, and it waits for its order to be read.
fn waits_for_read(event: &EventRow) -> bool {
    event.state == "received" && event.explanation.starts_with(WAITS)
}

fn add_delivery(moments: &mut Vec<Moment>, detail: &DeliveryDetail) {
    let delivery = &detail.delivery;
    let words = format!("Delivery to {} made: {}", delivery.destination, delivery.purpose);
    moments.push(moment(delivery.created_at, "delivery_made", delivery.id, words));
    for attempt in &detail.attempts_made {
        let words = match attempt.purpose.as_str() {
            "find" => format!("Attempt {} started: a look whether it is at {}", attempt.number, delivery.destination),
            _ => format!("Attempt {} at {} started", attempt.number, delivery.destination),
        };
        moments.push(moment(attempt.started_at, "attempt_started", delivery.id, words));
        if let Some(at) = attempt.finished_at {
            let outcome = attempt.outcome.as_deref().unwrap_or("unknown").replace('_', " ");
            let status = attempt.status.map(|status| format!(" ({status})")).unwrap_or_default();
            let detail = attempt.detail.as_deref().filter(|detail| !detail.is_empty());
            let detail = detail.map(|detail| format!(": {detail}")).unwrap_or_default();
            let steps = attempt.steps.as_ref().map(steps).unwrap_or_default();
            let words = format!("Attempt {} ended as {outcome}{status}{detail}{steps}", attempt.number);
            moments.push(moment(at, "attempt_ended", delivery.id, words));
        }
    }
    if let Some(at) = delivery.settled_at {
        let words = match (delivery.state.as_str(), &delivery.receipt) {
            ("delivered", Some(receipt)) => format!("{} has it as {receipt}", delivery.destination),
            ("delivered", None) => format!("{} has it", delivery.destination),
            (state, _) => format!("The delivery to {} ended as {state}", delivery.destination),
        };
        let what = if delivery.state == "delivered" { "delivered" } else { "delivery_ended" };
        moments.push(moment(at, what, delivery.id, words));
    }
}

/// ` (steps: find absent, products done, create done)`
fn steps(steps: &serde_json::Value) -> String {
    let word = |step: &serde_json::Value| {
        let text = |name: &str| step[name].as_str().unwrap_or_default().to_owned();
        format!("{} {}", text("name"), text("outcome").replace('_', " "))
    };
    let all: Vec<String> = steps.as_array().into_iter().flatten().map(word).collect();
    if all.is_empty() { String::new() } else { format!(" (steps: {})", all.join(", ")) }
}

fn add_exception(moments: &mut Vec<Moment>, exception: &ExceptionRow) {
    moments.push(moment(exception.opened_at, "exception_opened", exception.id, exception.message.clone()));
    if let Some(at) = exception.resolved_at {
        let words = exception.resolution.clone().unwrap_or_else(|| format!("Closed as {}", exception.state));
        moments.push(moment(at, "exception_closed", exception.id, words));
    }
}

/// Where the order is and why, in one sentence.
pub fn sentence(order: &OrderDetail) -> String {
    let number = &order.order.increment_id;
    match order.order.state.as_str() {
        "parked" => parked(number, order),
        "due" => due(number, order),
        "delivered" => delivered(number, order),
        _ => ignored(number, order),
    }
}

fn parked(number: &str, order: &OrderDetail) -> String {
    let open: Vec<_> = order.exceptions.iter().filter(|exception| exception.is_waiting()).collect();
    match open.first() {
        Some(first) => {
            let more = match open.len() {
                1 => String::new(),
                count => format!(" ({} findings more)", count - 1),
            };
            let (message, remedy) = (stop(&first.message), stop(&first.remedy));
            format!(
                "Order {number} waits for a person ({}): {message}{more}. {remedy}, then replay {}.{}",
                first.code,
                first.id,
                elsewhere(order)
            )
        }
        None => format!("Order {number} waits for a person."),
    }
}

/// Where it is already while a person is waited for.
fn elsewhere(order: &OrderDetail) -> String {
    let has = places(order).into_iter().filter(|place| place.delivered_at.is_some() && place.state == "delivered");
    let has: Vec<String> = has
        .map(|place| {
            let receipt = place.receipt.map(|receipt| format!(" as {receipt}")).unwrap_or_default();
            format!("{}{receipt}", place.destination)
        })
        .collect();
    if has.is_empty() { String::new() } else { format!(" It is in {} already.", has.join(" and ")) }
}

/// Without the full stop, so that the sentence can go on.
fn stop(text: &str) -> &str {
    text.trim_end().trim_end_matches('.')
}

fn due(number: &str, order: &OrderDetail) -> String {
    let under_way =
        order.deliveries.iter().find(|detail| matches!(detail.delivery.state.as_str(), "waiting" | "in_flight"));
    let Some(DeliveryDetail { delivery, .. }) = under_way else {
        if let Some(reads) = order.events.iter().rev().find(|event| waits_for_read(event)) {
            return format!("Order {number} was announced. {}.", stop(&reads.explanation));
        }
        return if order.events.iter().all(|event| event.kind == "order_change") {
            format!("A change of order {number} was received and waits for the order itself.")
        } else {
            format!("Order {number} was received and is about to be processed.")
        };
    };
    let order = thing(number, delivery);
    let destination = &delivery.destination;
    if delivery.state == "in_flight" {
        return format!("{order} is being sent to {destination} (attempt {}).", delivery.attempts);
    }
    if delivery.attempts == 0 {
        return format!("{order} is about to be sent to {destination}.");
    }
    let last = delivery.last_detail.as_deref().filter(|detail| !detail.is_empty());
    let last = last.map(|detail| format!(" ({})", stop(detail))).unwrap_or_default();
    let next = delivery.due_at.map(|at| format!("; next attempt not before {at}")).unwrap_or_default();
    let plural = if delivery.attempts == 1 { "attempt" } else { "attempts" };
    let where_it_is = if delivery.uncertain { "may or may not be in" } else { "is not in" };
    format!("{order} {where_it_is} {destination} yet: {} {plural} so far{last}{next}.", delivery.attempts)
}

/// What a delivery carries.
fn thing(number: &str, delivery: &DeliveryRow) -> String {
    match delivery.purpose.as_str() {
        "order.change" => format!("The change of order {number}"),
        "order.cancel" => format!("The cancellation of order {number}"),
        _ => format!("Order {number}"),
    }
}

/// The last of what followed the order to each destination.
fn followed(order: &OrderDetail) -> String {
    let mut words = String::new();
    for (purpose, name) in [("order.change", "change"), ("order.cancel", "cancellation")] {
        let mut last: Vec<&DeliveryRow> = Vec::new();
        let delivered = order.deliveries.iter().map(|detail| &detail.delivery);
        for delivery in delivered.filter(|delivery| delivery.purpose == purpose && delivery.state == "delivered") {
            last.retain(|other| other.destination != delivery.destination);
            last.push(delivery);
        }
        for delivery in last {
            let since = delivery.settled_at.map(|at| format!(" since {at}")).unwrap_or_default();
            let _ = write!(words, "; {} has its {name}{since}", delivery.destination);
        }
    }
    words
}

fn delivered(number: &str, order: &OrderDetail) -> String {
    let places: Vec<String> = order
        .deliveries
        .iter()
        .filter(|detail| detail.delivery.state == "delivered")
        .filter(|detail| !matches!(detail.delivery.purpose.as_str(), "order.change" | "order.cancel"))
        .map(|DeliveryDetail { delivery, .. }| {
            let receipt = delivery.receipt.as_deref().map(|receipt| format!(" as {receipt}")).unwrap_or_default();
            let since = delivery.settled_at.map(|at| format!(" since {at}")).unwrap_or_default();
            format!("{}{receipt}{since}", delivery.destination)
        })
        .collect();
    format!(
        "Order {number} is in {}{}.",
        if places.is_empty() { "its destination".to_owned() } else { places.join(" and ") },
        followed(order)
    )
}

fn ignored(number: &str, order: &OrderDetail) -> String {
    let why = order.events.iter().rev().find(|event| !event.explanation.is_empty());
    match why {
        Some(event) => format!("Order {number} was not sent: {}.", stop(&event.explanation)),
        None => format!("Order {number} was not sent."),
    }
}

/// Why an event went where it went.
pub fn explain(event: &EventRow) -> String {
    let why = if event.explanation.is_empty() { "" } else { stop(&event.explanation) };
    match (event.state.as_str(), why) {
        ("received", why) if waits_for_read(event) => format!("{why}."),
        ("received", _) => "It waits to be processed.".to_owned(),
        ("done", "") => "Everything that follows from it is done.".to_owned(),
        ("done", why) => format!("Everything that follows from it is done: {why}."),
        ("ignored", "") => "Nothing is to be done about it.".to_owned(),
        ("ignored", why) => format!("Nothing is to be done about it: {why}."),
        ("superseded", "") => "A newer report took its place.".to_owned(),
        ("superseded", why) => format!("Nothing more comes of it: {why}."),
        (_, "") => "It waits for a person.".to_owned(),
        (_, why) => format!("It waits for a person: {why}."),
    }
}
