//! Which records are in a body, and what are they? Shapes only; whether a record is complete is decided later.
//!
//! Senders wrap records in many ways: Commerce's observer and plugin hooks, fields chosen by an operator, `CloudEvents`,
//! REST objects, search results, arrays, a list under a plural name. [`records`] finds the objects themselves and says
//! where they stand, so that the stored bytes and a path are enough to find a record again. It never fails as a whole:
//! a bad element is a problem of its own and its neighbours stand.
//!
//! Deliberately absent: lists within lists, and any repair of a payload.

pub(super) mod io;
mod shape;

use crate::commerce::registration::PROBE;
use crate::envelope::kind::RecordKind;
use crate::json::Json;

use super::answer::Dialect;
use shape::{announces_unsaved, kind_of_event, kind_of_object, members_of};

/// Most records in one body (POI-3).
const RECORDS_MAX: usize = 10_000;

/// Wrappers within wrappers that are followed: an I/O event holds `event`, `body`, `data`, `value`, the entity.
const WRAPPERS_MAX: usize = 6;

/// One record of a body.
#[derive(Clone, Debug)]
pub struct Record<'j, 'a> {
    /// What it is: from the path of the request, the event's name, or its members.
    pub kind: RecordKind,
    /// JSON pointer into the body, "" for the whole.
    pub path: String,
    /// The record.
    pub json: &'j Json<'a>,
    /// The event that announced it: `sales_order_place_after`, `order_management.place.before`, …
    pub event_name: Option<String>,
    /// Whether it was announced before Commerce saved it: the order may never come to exist.
    pub unsaved: bool,
    /// The id of the event, where the payload itself names it.
    pub event_id: Option<String>,
    /// Why nothing is to be made of it, where its event says so.
    pub ignored: Option<&'static str>,
}

/// An element that is no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeProblem {
    /// JSON pointer into the body.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

/// Everything found in a body, in the order sent. Empty for an empty list.
#[derive(Clone, Debug)]
pub struct Decoded<'j, 'a> {
    /// Each record or what is wrong in its place.
    pub records: Vec<Result<Record<'j, 'a>, DecodeProblem>>,
}

/// Why nothing is made of a test of the registration.
const PROBED: &str = "a test of the registration: it was verified, and nothing is made of it";

/// Finds the records of a body. `kind` is what the request's path says, which outranks what the payload looks like.
pub fn records<'j, 'a>(whole: &'j Json<'a>, dialect: Dialect, kind: Option<RecordKind>) -> Decoded<'j, 'a> {
    if dialect == Dialect::CommerceEvents {
        return io::records(whole, kind);
    }
    let mut finder = Finder { dialect, named: kind, records: Vec::new() };
    finder.value(whole, String::new(), &Context::default());
    Decoded { records: finder.records }
}

/// What the wrappers around a value have said so far.
#[derive(Clone, Default)]
struct Context {
    event_name: Option<String>,
    kind: Option<RecordKind>,
    wrappers: usize,
    in_list: bool,
}

impl Context {
    fn wrapped(&self) -> Context {
        Context { wrappers: self.wrappers + 1, ..self.clone() }
    }
}

struct Finder<'j, 'a> {
    dialect: Dialect,
    named: Option<RecordKind>,
    records: Vec<Result<Record<'j, 'a>, DecodeProblem>>,
}

impl<'j, 'a> Finder<'j, 'a> {
    fn value(&mut self, value: &'j Json<'a>, path: String, context: &Context) {
        match value {
            // Stock is one message about many rows, whatever wraps the rows.
            Json::Object(_) | Json::Array(_) if self.kind(context) == Some(RecordKind::Stock) => {
                self.found(RecordKind::Stock, value, path, context);
            }
            Json::Array(items) => self.list(items.iter().enumerate(), &path, context),
            Json::Object(_) => self.object(value, path, context),
            _ => self.problem(path, format!("is {}, an object is expected", article(value))),
        }
    }

    fn list<N: ToString>(&mut self, items: impl Iterator<Item = (N, &'j Json<'a>)>, path: &str, context: &Context) {
        if context.in_list {
            return self.problem(path.to_owned(), "is a list within a list".to_owned());
        }
        let context = Context { in_list: true, ..context.wrapped() };
        for (name, item) in items {
            if self.records.len() >= RECORDS_MAX {
                return self.problem(path.to_owned(), format!("holds more than {RECORDS_MAX} records"));
            }
            self.value(item, below(path, &name.to_string()), &context);
        }
    }

    fn object(&mut self, object: &'j Json<'a>, path: String, context: &Context) {
        let looks_like = kind_of_object(object);
        let kind = self.kind(context);
        // A record may hold an `order`, `items` or `data` of its own, so it is recognised before any wrapper.
        if let Some(looks_like) = looks_like.filter(|found| kind.is_none_or(|kind| alike(kind, *found))) {
            let own = || object.get("eventName").and_then(Json::as_str).map(shape::short_event_name).map(str::to_owned);
            let context = Context { event_name: context.event_name.clone().or_else(own), ..context.clone() };
            return self.found(kind.unwrap_or(looks_like), object, path, &context);
        }
        if context.wrappers >= WRAPPERS_MAX {
            return self.problem(path, "is wrapped too deeply".to_owned());
        }
        if self.event(object, &path, context)
            || self.named_member(object, &path, context)
            || self.named_list(object, &path, context)
            || self.plain_wrapper(object, &path, context)
        {
            return;
        }
        let kind = kind.or(looks_like).unwrap_or(RecordKind::Unknown);
        self.found(kind, object, path, context);
    }

    /// `eventName` + `data` (observer hooks), `type` + `data` (I/O events), `event` around either.
    fn event(&mut self, object: &'j Json<'a>, path: &str, context: &Context) -> bool {
        for name in ["event", "body"] {
            if let Some(inner @ Json::Object(_)) = object.get(name) {
                self.value(inner, below(path, name), &context.wrapped());
                return true;
            }
        }
        let Some(data @ (Json::Object(_) | Json::Array(_))) = object.get("data") else { return false };
        let announced = ["eventName", "type", "event"].into_iter().find_map(|name| object.get(name)?.as_str());
        let event_name = announced.map(|name| shape::short_event_name(name).to_owned()).or(context.event_name.clone());
        let kind = event_name.as_deref().and_then(kind_of_event).or(context.kind);
        let context = Context { event_name, kind, ..context.wrapped() };
        let path = below(path, "data");
        match data.get("value") {
            Some(value @ Json::Object(_)) => self.value(value, below(&path, "value"), &context),
            _ => self.value(data, path, &context),
        }
        true
    }

    /// The entity under its own name: `{"order": {…}}`, beside `result` and `subject` in a plugin hook.
    fn named_member(&mut self, object: &'j Json<'a>, path: &str, context: &Context) -> bool {
        let kinds = self.kind(context).map_or_else(|| shape::BY_SPECIFICITY.to_vec(), |kind| vec![kind]);
        for kind in kinds {
            for name in members_of(kind) {
                let Some(member @ Json::Object(_)) = object.get(name) else { continue };
                let context = Context { kind: Some(kind), ..context.wrapped() };
                let plugin = object.get("result").is_some() || object.get("subject").is_some();
                if kind == RecordKind::Order && plugin && context.event_name.is_none() {
                    self.plugin(object, member, path, &context);
                    return true;
                }
                self.found(kind, member, below(path, name), &context);
                return true;
            }
        }
        false
    }

    /// `order_management.place`: with a result the order is saved, and the result is the fresher copy.
    fn plugin(&mut self, object: &'j Json<'a>, order: &'j Json<'a>, path: &str, context: &Context) {
        let before = object.get("result").is_none();
        let moment = if before { "before" } else { "after" };
        let context = Context { event_name: Some(format!("order_management.place.{moment}")), ..context.clone() };
        match object.get("result") {
            Some(result) if result.present("entity_id").is_some() => {
                self.found(RecordKind::Order, result, below(path, "result"), &context);
            }
            _ => self.found(RecordKind::Order, order, below(path, "order"), &context),
        }
    }

    /// `{"orders": [ … ]}`, or a map keyed by id as Commerce writes collections.
    fn named_list(&mut self, object: &'j Json<'a>, path: &str, context: &Context) -> bool {
        for (name, kind) in shape::PLURALS {
            if self.kind(context).is_some_and(|wanted| wanted != kind) {
                continue;
            }
            let context = Context { kind: Some(kind), ..context.clone() };
            match object.get(name) {
                Some(Json::Array(items)) => self.list(items.iter().enumerate(), &below(path, name), &context),
                Some(Json::Object(members)) if members.iter().all(|(_, value)| value.is_object()) => {
                    let items = members.iter().map(|(key, value)| (key.as_ref(), value));
                    self.list(items, &below(path, name), &context);
                }
                _ => continue,
            }
            return true;
        }
        false
    }

    /// A wrapper without meaning: `items` of a search result, `records`, `data`, `entity`.
    fn plain_wrapper(&mut self, object: &'j Json<'a>, path: &str, context: &Context) -> bool {
        let found = ["records", "items", "data", "entity", "data_object"].into_iter().find_map(|name| {
            let value = object.get(name)?;
            let fits = match name {
                "records" => value.is_array(),
                "items" => shape::is_page(object, value),
                _ => value.is_array() || value.is_object(),
            };
            fits.then_some((name, value))
        });
        let Some((name, value)) = found else { return false };
        self.value(value, below(path, name), &context.wrapped());
        true
    }

    fn kind(&self, context: &Context) -> Option<RecordKind> {
        self.named.or(context.kind)
    }

    fn found(&mut self, kind: RecordKind, json: &'j Json<'a>, path: String, context: &Context) {
        let event_name = context.event_name.clone();
        // Only Commerce's own hooks fire inside its transaction.
        let unsaved = self.dialect != Dialect::Backoffice && event_name.as_deref().is_some_and(announces_unsaved);
        let ignored = (event_name.as_deref() == Some(PROBE)).then_some(PROBED);
        // A test is about nothing, whatever was put into it: it must not stand in the books under a real order's number.
        let kind = if ignored.is_some() { RecordKind::Unknown } else { kind };
        self.records.push(Ok(Record { kind, path, json, event_name, unsaved, event_id: None, ignored }));
    }

    fn problem(&mut self, path: String, message: String) {
        self.records.push(Err(DecodeProblem { path, message }));
    }
}

/// Whether an object that looks like `found` may be what was asked for: a change of an order looks like an order, and
/// nothing is refused because we would have called it otherwise.
fn alike(wanted: RecordKind, found: RecordKind) -> bool {
    wanted == found || (wanted == RecordKind::OrderChange && found == RecordKind::Order)
}

fn below(path: &str, name: &str) -> String {
    format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn article(value: &Json<'_>) -> String {
    match value {
        Json::Null => "null".to_owned(),
        Json::Array(_) | Json::Object(_) => format!("an {}", value.kind()),
        Json::Bool(_) | Json::Number(_) | Json::String(_) => format!("a {}", value.kind()),
    }
}

#[cfg(test)]
mod tests;
