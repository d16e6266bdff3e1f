//! One record and the rules in, documents and exceptions out. Pure: the express lane, the processor's loop, previews,
//! replays and the stateless API all call [`step`].

use std::borrow::Cow;

use crate::catalogue::{Needs, Shelf, View};
use crate::clock::Timestamp;
use crate::commerce::parse::{self, Completeness, Header, Reading};
use crate::domain::catalogue::{Catalogue, NoCatalogue};
use crate::domain::defect::{Defect, ExceptionCode};
use crate::domain::expand::{self, expand};
use crate::domain::order::Order;
use crate::domain::sales_order::{self, SalesOrder};
use crate::domain::shaping::shaped;
use crate::envelope::kind::RecordKind;
use crate::json::Json;
use crate::routing::{self, Decision, DocumentKind, RouteOutcome};
use crate::store::write::{Subject, SubjectFacts};

use super::bounds::{self, LINES_MAX};
use super::reports::{self, Notice, Report};
use super::rules::{OriginRules, READ_ORIGIN, ReadBack, Rules};
use super::unresolved::resolved;
use super::wanting::{self, Wanted};

/// What is known of a record before it is read.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Configured name of its origin.
    pub origin: &'a str,
    /// What it is.
    pub kind: RecordKind,
    /// The event that announced it, if it says.
    pub event_name: Option<&'a str>,
    /// The record itself.
    pub json: &'a Json<'a>,
    /// An earlier report of its order may have been sent: make what would follow it as well.
    pub later: bool,
}

/// What a record came to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// For lists and timelines.
    pub facts: SubjectFacts,
    /// One a destination.
    pub documents: Vec<Made>,
    /// Of an order: what it says to each destination that knows the order already.
    pub reports: Vec<Report>,
    /// Of a change without its order.
    pub notice: Option<Notice>,
    /// The order is to be read from Commerce, and nothing is made of this payload.
    pub wanted: Option<Wanted>,
    /// What keeps it from going through.
    pub parked: Vec<Parked>,
    /// Why nothing is to be done.
    pub ignored: Option<String>,
    /// Why it goes where it goes, one sentence a route.
    pub explanation: String,
    /// What of the catalogue would have been used and is not known; `None` when nothing of it was needed.
    pub wanting: Option<Needs>,
}

/// A document for one destination.
#[derive(Clone, Debug)]
pub struct Made {
    /// For routes.
    pub kind: DocumentKind,
    /// `crossdock.sales_order.v1`, …
    pub schema: &'static str,
    /// `order.create`, …
    pub purpose: &'static str,
    /// Configured name.
    pub destination: String,
    /// Its route lets it go before a parked head of its lane (LANE-2).
    pub overtakes: bool,
    /// JSON text.
    pub body: Vec<u8>,
}

/// A defect that parks the record, for one destination or for all.
#[derive(Clone, Debug)]
pub struct Parked {
    /// Code, place, value, remedy.
    pub defect: Defect,
    /// `None`: whatever the destination, it cannot be processed.
    pub destination: Option<String>,
}

impl Outcome {
    /// A record that cannot be processed for anybody.
    pub fn parked(defect: Defect) -> Self {
        Outcome { parked: vec![Parked { defect, destination: None }], ..Outcome::default() }
    }

    fn parked_all(defects: Vec<Defect>) -> Self {
        let parked = defects.into_iter().map(|defect| Parked { defect, destination: None }).collect();
        Outcome { parked, ..Outcome::default() }
    }
}

/// Who and what a record is about; with the destination its lane. Never fails: what it does not say stays empty.
pub fn subject(kind: RecordKind, json: &Json<'_>, origin: &OriginRules) -> Subject {
    let header = parse::header(json, &reading(origin, false));
    let scope = header.store_id.map(|id| id.to_string()).unwrap_or_default();
    let id = header.increment_id.or(header.entity_id.map(|id| id.to_string())).unwrap_or_default();
    let kind = match kind {
        // A change of an order travels in the order's lane.
        RecordKind::Order | RecordKind::OrderChange => RecordKind::Order,
        other => other,
    };
    Subject { kind: kind.as_str().to_owned(), system: origin.system.clone(), scope, id }
}

/// What is known of catalogues, and when it is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The shelf.
    pub shelf: &'a Shelf,
    /// Decides what is too old.
    pub now: Timestamp,
}

/// Processes one record with nothing known beside it.
pub fn step(input: &Input<'_>, rules: &Rules) -> Outcome {
    step_knowing(input, rules, None)
}

/// Processes one record.
pub fn step_knowing(input: &Input<'_>, rules: &Rules, known: Option<Known<'_>>) -> Outcome {
    let Some(origin) = rules.origins.get(input.origin) else {
        return Outcome::parked(removed_origin(input.origin));
    };
    match input.kind {
        RecordKind::Order => order(input, origin, rules, known),
        RecordKind::OrderChange if !origin.to_commerce => change(input, origin, rules, known),
        RecordKind::Unknown => Outcome::parked(unknown_record(input)),
        kind => other(kind, rules),
    }
}

fn order(input: &Input<'_>, origin: &OriginRules, rules: &Rules, known: Option<Known<'_>>) -> Outcome {
    let header = parse::header(input.json, &reading(origin, false));
    let facts = facts(&header);
    if let Some(wanted) = wanting::of(input, origin, &header) {
        return Outcome { facts, explanation: wanted.explanation(), wanted: Some(wanted), ..Outcome::default() };
    }
    let outcome = match parsed(input, origin, &header) {
        Err(defects) => Outcome::parked_all(defects),
        Ok(order) => {
            let view = known.and_then(|known| known.shelf.view(&order, &origin.system, known.now));
            route(&order, rules, input.later, view.as_ref())
        }
    };
    Outcome { facts, ..outcome }
}

fn parsed(input: &Input<'_>, origin: &OriginRules, header: &Header) -> Result<Order, Vec<Defect>> {
    let not_yet_saved = readable(input, origin, header).map_err(|defect| vec![*defect])?;
    parse::order(input.json, &reading(origin, not_yet_saved))
}

/// The order that a record holds, and the minor units that a rounding line of its document for a destination may have:
/// what the laws are checked against where a document did not come from [`step`].
///
/// # Errors
/// What keeps the record from being read.
pub fn order_behind(
    input: &Input<'_>,
    rules: &Rules,
    known: Option<Known<'_>>,
    destination: &str,
) -> Result<(Order, i64), Vec<Defect>> {
    let origin = rules.origins.get(input.origin).ok_or_else(|| vec![removed_origin(input.origin)])?;
    let order = parsed(input, origin, &parse::header(input.json, &reading(origin, false)))?;
    let view = known.and_then(|known| known.shelf.view(&order, &origin.system, known.now));
    let catalogue: &dyn Catalogue = view.as_ref().map_or(&NoCatalogue, |view| view);
    let rounding_max = expand::rounding_max(&order, rules.policies_for(destination), catalogue);
    Ok((order, rounding_max))
}

/// A change that holds the whole order is a report of it like any other; one that does not waits for the order.
fn change(input: &Input<'_>, origin: &OriginRules, rules: &Rules, known: Option<Known<'_>>) -> Outcome {
    let header = parse::header(input.json, &reading(origin, false));
    let unsaved = input.event_name.is_some_and(announces_unsaved);
    let at_once = origin.readable && origin.read_back == ReadBack::Always;
    let Completeness::Incomplete(missing) = parse::completeness(input.json) else {
        return order(input, origin, rules, known);
    };
    let number = header.increment_id.clone().or(header.entity_id.map(|id| id.to_string()));
    if unsaved || at_once || number.is_none() || (header.store_id.is_none() && header.increment_id.is_some()) {
        return order(input, origin, rules, known);
    }
    let number = number.unwrap_or_default();
    let wanted = reports::wants_changes(rules);
    let notice = Notice {
        updated_at: header.updated_at,
        cancels: reports::says_cancelled(&header),
        hold: origin.wait_for_order,
        unknown: wanted.then(|| order_not_here(&number, input.origin)),
        incomplete: wanted.then(|| incomplete_change(&number, input.origin, &missing)),
        read: wanting::of(input, origin, &header),
    };
    let facts = facts(&header);
    Outcome { facts, notice: Some(notice), explanation: "It waits for its order.".to_owned(), ..Outcome::default() }
}

fn order_not_here(number: &str, origin: &str) -> Defect {
    Defect {
        code: ExceptionCode::OrderNotFound,
        path: String::new(),
        value: Some(number.to_owned()),
        message: format!("a change of order {number} arrived, and the order itself has not come through here"),
        remedy:
            "Send the whole order (or the change with the whole order in it). The order closes this by itself if it \
                 comes within a day; ignore the change if the order is older than this installation."
                .to_owned(),
        cause: format!("change without order {origin}"),
    }
}

fn incomplete_change(number: &str, origin: &str, missing: &[&'static str]) -> Defect {
    Defect {
        code: ExceptionCode::UnreadablePayload,
        path: String::new(),
        value: Some(number.to_owned()),
        message: format!("a change of order {number} arrived incomplete: {} missing", missing.join(", ")),
        remedy:
            "Let the webhook or flow send the whole order with the change (remove the field filter, or add the named \
                 fields), then send it again. The complete order closes this by itself."
                .to_owned(),
        cause: format!("incomplete change {origin} {}", missing.join(",")),
    }
}

fn reading(origin: &OriginRules, not_yet_saved: bool) -> Reading<'_> {
    Reading { system: &origin.system, default_store_id: origin.default_store_id.as_deref(), not_yet_saved }
}

/// Commerce lists the order and does not hand it out.
fn unread(number: &str, system: &str) -> Defect {
    Defect {
        code: ExceptionCode::UnreadablePayload,
        path: String::new(),
        value: Some(number.to_owned()),
        message: format!("Commerce ({system}) lists order {number} and does not hand it out"),
        remedy:
            "Open the order in Commerce's admin; the log says what Commerce answered. Once it can be read, send it \
                 again or save it there: the complete order closes this by itself."
                .to_owned(),
        cause: format!("unread {system}"),
    }
}

/// Whether the payload may be compiled as it stands; `Ok(true)`: it may, but the order was not saved yet.
fn readable(input: &Input<'_>, origin: &OriginRules, header: &Header) -> Result<bool, Box<Defect>> {
    let number = header.increment_id.as_deref().unwrap_or("without a number");
    if header.store_id.is_none() && header.increment_id.is_some() {
        return Err(Box::new(Defect {
            code: ExceptionCode::UnreadablePayload,
            path: "store_id".to_owned(),
            value: None,
            message: format!(
                "order {number} does not say which store it belongs to, and numbers are unique per store only"
            ),
            remedy: format!("Let the sender include store_id, or set default_store_id for origin {}.", input.origin),
            cause: format!("no store {}", input.origin),
        }));
    }
    if input.origin.starts_with(READ_ORIGIN) && input.json.present("items").is_none() {
        return Err(Box::new(unread(number, &origin.system)));
    }
    let unsaved = input.event_name.is_some_and(announces_unsaved);
    if origin.read_back == ReadBack::Never {
        return Ok(unsaved);
    }
    if unsaved {
        return Err(Box::new(Defect {
            code: ExceptionCode::OrderNotFound,
            path: String::new(),
            value: header.increment_id.clone(),
            message: format!(
                "order {number} was announced by {} before Commerce saved it; it may never come to exist",
                input.event_name.unwrap_or("a hook")
            ),
            remedy: "Subscribe observer.sales_order_save_commit_after (or sales_order_save_after) instead, or set \
                     read_back = \"never\" for this Commerce instance to compile such payloads as they stand. The \
                     complete order closes this by itself."
                .to_owned(),
            cause: format!("unsaved {}", input.origin),
        }));
    }
    if let Completeness::Incomplete(missing) = parse::completeness(input.json) {
        return Err(Box::new(Defect {
            code: ExceptionCode::UnreadablePayload,
            path: String::new(),
            value: header.increment_id.clone(),
            message: format!("order {number} arrived incomplete: {} missing", missing.join(", ")),
            remedy: "Let the webhook or flow send the whole order (remove the field filter, or add the named fields), \
                     then send it again. The complete order closes this by itself."
                .to_owned(),
            cause: format!("incomplete {} {}", input.origin, missing.join(",")),
        }));
    }
    Ok(false)
}

/// Events that fire before the order row is saved (adobe-commerce 1.8): `sales_order_place_before`, `…_after`, and the
/// plugin around `place` when it runs before.
pub fn announces_unsaved(event_name: &str) -> bool {
    let name = event_name.strip_prefix("observer.").unwrap_or(event_name);
    matches!(name, "sales_order_place_before" | "sales_order_place_after" | "order_management.place.before")
}

fn facts(header: &Header) -> SubjectFacts {
    SubjectFacts {
        entity_id: header.entity_id.map(|id| id.to_string()),
        state: header.state.clone(),
        status: header.status.clone(),
        placed_at: header.placed_at,
        updated_at: header.updated_at,
        currency: header.currency.clone(),
        grand_total: header.grand_total.clone(),
    }
}

/// Expands for every destination that a route names, and keeps what the routes' conditions accept.
fn route(order: &Order, rules: &Rules, later: bool, view: Option<&View>) -> Outcome {
    let kind = DocumentKind::Order;
    let catalogue: &dyn Catalogue = view.map_or(&NoCatalogue, |view| view);
    let wanting = view.filter(|view| !view.needed.is_empty()).map(|view| view.wanting.clone());
    let mut outcome = Outcome { wanting, ..Outcome::default() };
    let mut explanation = Vec::new();
    let mut wanted = false;
    for destination in candidates(rules, kind) {
        let policies = rules.policies_for(destination);
        let by = expand::Rules { mappings: &rules.mappings, policies, destination, catalogue };
        let expanded = expand(order, &by).and_then(|document| resolved(document, view, policies.unresolved));
        let decision = decide(order, expanded.as_ref().ok(), &by, rules);
        explanation = routing::explain(&decision, kind);
        if let Some(reason) = undecided(&decision, destination) {
            wanted = true;
            outcome.parked.push(condition_failed(destination, reason));
            continue;
        }
        // Conditions and revisions go by the order as we mean it; its destination reads it the way it wants.
        let put = match &expanded {
            Ok(document) => shaped(order, document, &policies.shape),
            Err(defects) => Err(defects.clone()),
        };
        if let (Ok(document), Ok(put)) = (&expanded, &put) {
            match reports::report(order, document, put, destination, rules, later) {
                Ok(report) => outcome.reports.push(report),
                Err(parked) => {
                    wanted = true;
                    outcome.parked.push(*parked);
                    continue;
                }
            }
        }
        let accepted = decision.destinations.iter().any(|(name, _)| name == destination);
        if !accepted && !expanded.as_ref().is_err_and(|defects| decided_blindly(defects, rules)) {
            continue;
        }
        wanted = true;
        match put {
            Err(defects) => outcome
                .parked
                .extend(defects.into_iter().map(|defect| Parked { defect, destination: Some(destination.to_owned()) })),
            Ok(document) if document.lines.len() > LINES_MAX => {
                outcome.parked.push(bounds::too_many_lines(destination, document.lines.len()));
            }
            Ok(document) => outcome.documents.push(Made {
                kind,
                schema: sales_order::SCHEMA,
                purpose: sales_order::PURPOSE,
                destination: destination.to_owned(),
                overtakes: reports::overtakes(&decision, destination, rules),
                body: written(&document),
            }),
        }
    }
    outcome.explanation =
        if explanation.is_empty() { "No route accepts orders.".to_owned() } else { explanation.join(" ") };
    if !wanted {
        outcome.ignored = Some(outcome.explanation.clone());
    }
    outcome
}

fn written(document: &SalesOrder) -> Vec<u8> {
    // About a document's size: growing to it would copy it several times.
    let mut body = Vec::with_capacity(4 * 1024);
    serde_json::to_writer(&mut body, document).expect("a sales order always serialises");
    body
}

/// A word of the head that no table knows is not the word a condition was written for: a route that says no to it has
/// not decided, and the order waits for a person instead of being ignored.
fn decided_blindly(defects: &[Defect], rules: &Rules) -> bool {
    let asks_for = |member: &str| {
        rules.routes.iter().filter_map(|route| route.when.as_ref()).any(|when| when.as_str().contains(member))
    };
    let unknown = |code| defects.iter().any(|defect| defect.code == code);
    (unknown(ExceptionCode::UnmappedPaymentMethod) && asks_for("payment_method"))
        || (unknown(ExceptionCode::UnmappedShippingMethod) && asks_for("shipping_method"))
}

/// Every destination that a route for this kind names, once, in the order of the file.
fn candidates(rules: &Rules, kind: DocumentKind) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for route in rules.routes.iter().filter(|route| route.accepts.contains(&kind)) {
        for name in &route.to {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
    }
    names
}

/// Conditions see the document; an order that cannot be expanded still has its head.
fn decide(order: &Order, document: Option<&SalesOrder>, by: &expand::Rules<'_>, rules: &Rules) -> Decision {
    let conditional = rules.routes.iter().any(|route| route.when.is_some());
    let seen = match document {
        _ if !conditional => minijinja::Value::UNDEFINED,
        Some(document) => view(document),
        None => view(&serde_json::json!({ "order": expand::head_only(order, by) })),
    };
    routing::decide(&rules.routes, DocumentKind::Order, &seen)
}

pub(super) fn view(document: &impl serde::Serialize) -> minijinja::Value {
    minijinja::Value::from(minijinja::value::Serde(document))
}

/// The reason when a route that names this destination could not decide.
pub(super) fn undecided<'d>(decision: &'d Decision, destination: &str) -> Option<&'d str> {
    decision.trace.iter().find_map(|trace| match &trace.outcome {
        RouteOutcome::ConditionFailed(reason) if trace.to.iter().any(|name| name == destination) => {
            Some(reason.as_str())
        }
        RouteOutcome::ConditionFailed(_)
        | RouteOutcome::Accepted
        | RouteOutcome::KindNot
        | RouteOutcome::ConditionFalse => None,
    })
}

fn other(kind: RecordKind, rules: &Rules) -> Outcome {
    let accepted = kind
        .as_str()
        .parse::<DocumentKind>()
        .is_ok_and(|kind| rules.routes.iter().any(|route| route.accepts.contains(&kind)));
    if !accepted {
        return Outcome {
            ignored: Some(format!("No route accepts records of kind {kind}.")),
            explanation: format!("No route accepts records of kind {kind}."),
            ..Outcome::default()
        };
    }
    Outcome::parked(Defect {
        code: ExceptionCode::UnreadablePayload,
        path: String::new(),
        value: Some(kind.to_string()),
        message: format!("a route accepts {kind}, but this version makes no document of it"),
        remedy: "Take the kind out of the route, or upgrade; the stored record can then be replayed.".to_owned(),
        cause: format!("kind {kind}"),
    })
}

fn removed_origin(origin: &str) -> Defect {
    Defect {
        code: ExceptionCode::UnreadablePayload,
        path: String::new(),
        value: Some(origin.to_owned()),
        message: format!("the origin \"{origin}\" it came from is no longer configured"),
        remedy: format!("Add [origins.{origin}] to the configuration again and replay."),
        cause: format!("origin {origin}"),
    }
}

fn unknown_record(input: &Input<'_>) -> Defect {
    let event: Cow<'_, str> = match input.event_name {
        Some(name) => format!("the event \"{name}\"").into(),
        None => "a payload".into(),
    };
    Defect {
        code: ExceptionCode::UnreadablePayload,
        path: String::new(),
        value: None,
        message: format!("{event} holds no record of a kind we know (found {})", input.json.kind()),
        remedy:
            "Name the kind in the URL (/in/ORIGIN/orders), or send an order: an object with increment_id and items."
                .to_owned(),
        cause: format!("unknown {} {}", input.origin, input.event_name.unwrap_or_default()),
    }
}

pub(super) fn condition_failed(destination: &str, reason: &str) -> Parked {
    Parked {
        defect: Defect {
            code: ExceptionCode::UnreadablePayload,
            path: "routes".to_owned(),
            value: None,
            message: format!("a route's condition could not be decided: {reason}"),
            remedy: "Correct the route's `when` (crossdock check shows it), restart, and replay.".to_owned(),
            cause: format!("condition {reason}"),
        },
        destination: Some(destination.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::demo::samples;
    use crate::domain::mapping::{MappingRow, Mappings, Table};
    use crate::domain::policy::{OnUnmapped, Policies};
    use crate::json::{self, Limits};
    use crate::routing::{Condition, LanePolicy, Route};

    /// What the first sample order comes to under a route's condition, with one payment method mapped to `CARD`.
    fn outcome(when: &str, mapped: &str, unmapped_payment: OnUnmapped) -> Outcome {
        let origin = OriginRules {
            system: "acme".into(),
            default_store_id: None,
            read_back: ReadBack::WhenNeeded,
            readable: false,
            wait_for_order: std::time::Duration::from_mins(15),
            to_commerce: false,
        };
        let when = Some(Condition::compile(when).unwrap());
        let route = Route {
            name: "cards".into(),
            accepts: vec![DocumentKind::Order],
            to: vec!["erp".into()],
            when,
            pause_on_storm: false,
            lane: LanePolicy::Hold,
        };
        let row = MappingRow { key: mapped.into(), value: "CARD".into(), destination: None };
        let rules = Rules {
            config_version: "c1".into(),
            origins: BTreeMap::from([("hooks".into(), origin)]),
            routes: Arc::new(vec![route]),
            policies: Policies { unmapped_payment, ..Policies::default() },
            destination_policies: BTreeMap::new(),
            mappings: Arc::new(Mappings::new(1, [(Table::PaymentMethods, row)])),
        };
        let sample = samples::SENDINGS[0].samples[0].json;
        let json = json::parse(sample.as_bytes(), &Limits::default()).unwrap();
        step(&Input { origin: "hooks", kind: RecordKind::Order, event_name: None, json: &json, later: false }, &rules)
    }

    #[test]
    fn an_order_whose_payment_no_table_knows_is_parked_by_a_route_that_asks_for_it_and_not_ignored() {
        let blind = outcome("order.payment_method == \"CARD\"", "somethingelse", OnUnmapped::Park);
        assert!(blind.ignored.is_none() && !blind.parked.is_empty(), "{blind:?}");
        let elsewhere = outcome("order.store_id == 99", "somethingelse", OnUnmapped::Park);
        assert!(
            elsewhere.ignored.is_some() && elsewhere.parked.is_empty(),
            "a route that asks for other things decides"
        );
        let known = outcome("order.payment_method == \"CARD\"", "checkmo", OnUnmapped::Park);
        assert_eq!((known.documents.len(), known.parked.len()), (1, 0), "{known:?}");
    }
}
