//! What a report of an order says beyond the create: how old it is, and the documents that follow a create that was sent
//! (LANE-3 to LANE-5). Pure; the store decides in its transaction which of them is done.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::commerce::parse::Header;
use crate::domain::cancellation::{self, Cancellation};
use crate::domain::content::content;
use crate::domain::defect::Defect;
use crate::domain::order::Order;
use crate::domain::order_change;
use crate::domain::sales_order::SalesOrder;
use crate::domain::shaping;
use crate::envelope::revision::{self, Revision};
use crate::routing::{self, DocumentKind, LanePolicy};

use super::rules::Rules;
use super::step::{Made, Parked, condition_failed, undecided, view};
use super::wanting::Wanted;

/// A report at one destination.
#[derive(Clone, Debug)]
pub struct Report {
    /// Configured name.
    pub destination: String,
    /// How old it is, and what it says.
    pub revision: Revision,
    /// The order is cancelled as a whole.
    pub cancels: bool,
    /// The change, where it was asked for and a route takes it.
    pub change: Option<Made>,
    /// The cancellation, where something is cancelled and a route takes it.
    pub cancellation: Option<Cancelled>,
    /// Why there is no change, in words.
    pub unwanted: String,
}

/// A cancellation for one destination.
#[derive(Clone, Debug)]
pub struct Cancelled {
    /// The document.
    pub made: Made,
    /// Digest of what is cancelled.
    pub content: [u8; 16],
}

/// A change that came without its order.
#[derive(Clone, Debug)]
pub struct Notice {
    /// `updated_at`, if it says.
    pub updated_at: Option<Timestamp>,
    /// It says that the order is cancelled.
    pub cancels: bool,
    /// How long it waits for the order.
    pub hold: Duration,
    /// What it is once it waited in vain; `None` where no route takes changes.
    pub unknown: Option<Defect>,
    /// What it is when the order is known and this is newer; `None` as above.
    pub incomplete: Option<Defect>,
    /// The order can be read from Commerce, which is done before a person is asked.
    pub read: Option<Wanted>,
}

/// The report of an order that was expanded for a destination; `put` is the document as it reads it. `later`: an earlier
/// report may have been sent, so make what would follow it.
///
/// # Errors
/// A route's condition that cannot be decided, or a cancellation that breaks a law.
pub(super) fn report(
    order: &Order,
    document: &SalesOrder,
    put: &SalesOrder,
    destination: &str,
    rules: &Rules,
    later: bool,
) -> Result<Report, Box<Parked>> {
    let separate = takes(rules, DocumentKind::Cancellation, destination);
    let cancellation = if separate { cancelled(order, document, destination, rules)? } else { None };
    let cancels = cancellation::cancels_all(order, document);
    let change = if later && takes(rules, DocumentKind::OrderChange, destination) {
        let change = order_change::change(document.clone());
        let body = || serde_json::to_vec(&order_change::change(put.clone())).expect("an order always serialises");
        let whither = Whither { kind: DocumentKind::OrderChange, destination, rules };
        whither.made(order_change::SCHEMA, order_change::PURPOSE, &view(&change), body)?
    } else {
        None
    };
    let kind = if cancels { "cancellation or order_change" } else { "order_change" };
    Ok(Report {
        destination: destination.to_owned(),
        revision: Revision::of(order.updated_at, &content(order, document, !separate)),
        cancels,
        change,
        cancellation,
        unwanted: format!("no route takes this as {kind} to {destination}"),
    })
}

fn cancelled(
    order: &Order,
    document: &SalesOrder,
    destination: &str,
    rules: &Rules,
) -> Result<Option<Cancelled>, Box<Parked>> {
    let anything = order.state.as_deref() == Some("canceled")
        || order.items.iter().any(|item| !item.quantities.canceled.is_zero());
    let Some(cancellation) = anything.then(|| cancellation::cancellation(order, document)).flatten() else {
        return Ok(None);
    };
    if let Some(broken) = cancellation::check(document, &cancellation).first() {
        return Err(Box::new(Parked { defect: broken.defect(), destination: Some(destination.to_owned()) }));
    }
    let (seen, content) = (view(&cancellation), revision::short(&cancellation.content()));
    let put = shaping::cancelled(order, document, cancellation, &rules.policies_for(destination).shape);
    let put =
        put.map_err(|broken| Box::new(Parked { defect: broken.defect(), destination: Some(destination.to_owned()) }))?;
    let whither = Whither { kind: DocumentKind::Cancellation, destination, rules };
    let made = whither.made(cancellation::SCHEMA, cancellation::PURPOSE, &seen, || body(&put))?;
    Ok(made.map(|made| Cancelled { made, content }))
}

fn body(cancellation: &Cancellation) -> Vec<u8> {
    serde_json::to_vec(cancellation).expect("a cancellation always serialises")
}

/// Whether any route takes this kind to this destination, whatever its condition.
fn takes(rules: &Rules, kind: DocumentKind, destination: &str) -> bool {
    rules.routes.iter().any(|route| route.accepts.contains(&kind) && route.to.iter().any(|name| name == destination))
}

/// Whether any route takes changes at all.
pub(super) fn wants_changes(rules: &Rules) -> bool {
    let kinds = [DocumentKind::OrderChange, DocumentKind::Cancellation];
    rules.routes.iter().any(|route| route.accepts.iter().any(|kind| kinds.contains(kind)))
}

/// The policy of the route that sends a document there: the first that takes it.
pub(super) fn overtakes(decision: &routing::Decision, destination: &str, rules: &Rules) -> bool {
    let by = decision.destinations.iter().find(|(name, _)| name == destination).map(|(_, route)| route);
    by.and_then(|by| rules.routes.iter().find(|route| route.name == *by))
        .is_some_and(|route| route.lane == LanePolicy::Overtake)
}

/// A document that may go to a destination.
struct Whither<'a> {
    kind: DocumentKind,
    destination: &'a str,
    rules: &'a Rules,
}

impl Whither<'_> {
    /// The document, if a route takes it there.
    fn made(
        &self,
        schema: &'static str,
        purpose: &'static str,
        seen: &minijinja::Value,
        body: impl FnOnce() -> Vec<u8>,
    ) -> Result<Option<Made>, Box<Parked>> {
        let decision = routing::decide(&self.rules.routes, self.kind, seen);
        if let Some(reason) = undecided(&decision, self.destination) {
            return Err(Box::new(condition_failed(self.destination, reason)));
        }
        let accepted = decision.destinations.iter().any(|(name, _)| name == self.destination);
        Ok(accepted.then(|| Made {
            kind: self.kind,
            schema,
            purpose,
            destination: self.destination.to_owned(),
            overtakes: overtakes(&decision, self.destination, self.rules),
            body: body(),
        }))
    }
}

/// Whether a payload says that its order is cancelled.
pub(super) fn says_cancelled(header: &Header) -> bool {
    header.state.as_deref() == Some("canceled")
}
