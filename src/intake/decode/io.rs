//! Events of Adobe I/O: one, an array of them, a page of the journal, and the styles that wrap them once more.
//!
//! An event is told apart from its wrappers by `data`; what stands around it may name the event's id and its recipient as
//! well, so every level is kept and asked. The same shapes serve the signature's second half ([`Io::is_for`]) and the
//! records, so that no reader can see another event than the one that was checked.

use super::{Context, DecodeProblem, Decoded, Finder, Record, below, shape};
use crate::envelope::kind::RecordKind;
use crate::intake::answer::Dialect;
use crate::json::Json;

/// Old spellings are sent beside the new ones until the end of 2026; each alone is enough.
const RECIPIENTS: [&str; 2] = ["recipientclientid", "recipient_client_id"];
const IDS: [&str; 2] = ["eventid", "event_id"];

/// Levels around an event: a page of the journal, its entry, `event`, `body`.
const LEVELS_MAX: usize = 5;

/// Longest event id taken at its word; a longer one is none (DED-2).
const ID_BYTES_MAX: usize = 255;

/// One event, with what was wrapped around it.
pub(in crate::intake) struct Io<'j, 'a> {
    /// Outermost first; the event itself is the last.
    levels: Vec<&'j Json<'a>>,
    /// JSON pointer of the event.
    path: String,
}

/// The events of a body; in place of an element that is no object, what is wrong with it.
pub(in crate::intake) fn events<'j, 'a>(whole: &'j Json<'a>) -> Vec<Result<Io<'j, 'a>, DecodeProblem>> {
    match whole {
        Json::Array(items) => list(items, "", None),
        Json::Object(_) if whole.get("data").is_none() => match whole.get("events") {
            Some(Json::Array(items)) => list(items, "/events", Some(whole)),
            _ => vec![one(whole, String::new(), None)],
        },
        _ => vec![one(whole, String::new(), None)],
    }
}

fn list<'j, 'a>(
    items: &'j [Json<'a>],
    path: &str,
    around: Option<&'j Json<'a>>,
) -> Vec<Result<Io<'j, 'a>, DecodeProblem>> {
    items.iter().enumerate().map(|(index, item)| one(item, below(path, &index.to_string()), around)).collect()
}

fn one<'j, 'a>(value: &'j Json<'a>, path: String, around: Option<&'j Json<'a>>) -> Result<Io<'j, 'a>, DecodeProblem> {
    if !value.is_object() {
        return Err(DecodeProblem { path, message: "is no event: an object is expected".to_owned() });
    }
    let mut io = Io { levels: around.into_iter().chain([value]).collect(), path };
    while io.levels.len() < LEVELS_MAX && io.event().get("data").is_none() {
        let inner = ["event", "body"].into_iter().find_map(|name| {
            let inner = io.event().get(name).filter(|inner| inner.is_object())?;
            Some((name, inner))
        });
        let Some((name, inner)) = inner else { break };
        io.levels.push(inner);
        io.path = below(&io.path, name);
    }
    Ok(io)
}

impl<'j, 'a> Io<'j, 'a> {
    fn event(&self) -> &'j Json<'a> {
        self.levels.last().expect("there is always the event itself")
    }

    /// Whether this client, and nobody else, is named as the recipient: at least once, and wherever one is named.
    pub(in crate::intake) fn is_for(&self, client_id: &str) -> bool {
        let mut named = false;
        for value in self.levels.iter().flat_map(|level| RECIPIENTS.into_iter().filter_map(|name| level.get(name))) {
            if value.as_str() != Some(client_id) {
                return false;
            }
            named = true;
        }
        named
    }

    /// The id that is the same on every way the event takes to us.
    fn id(&self) -> Option<&'j str> {
        let all =
            IDS.into_iter().flat_map(|name| self.levels.iter().filter_map(move |level| level.get(name)?.as_str()));
        all.into_iter().find(|id| (1..=ID_BYTES_MAX).contains(&id.len()))
    }

    /// From `observer.` or `plugin.` on, without that word.
    fn name(&self) -> Option<&'j str> {
        self.event().get("type").and_then(Json::as_str).map(shape::short_event_name)
    }

    /// What the event says of itself beside its record: instance, tracking key, version of the Commerce module.
    pub(in crate::intake) fn traces(&self) -> [(&'static str, Option<&'j str>); 3] {
        let data = self.event().get("data");
        let text = |name: &str| data.and_then(|data| data.get(name)).and_then(Json::as_str);
        let metadata = data.and_then(|data| data.get("_metadata"));
        let version = metadata.and_then(|metadata| metadata.get("eventsClientVersion")).and_then(Json::as_str);
        [("data-source", text("source")), ("data-key", text("key")), ("events-client-version", version)]
    }

    /// The record: `data.value`, or what of it is the entity itself.
    fn record(&self, named: Option<RecordKind>) -> Record<'j, 'a> {
        let (value, path) = self.value();
        let name = self.name();
        let about = name.map(about);
        let kind = named.or(match about {
            Some(About::Kind(kind)) => Some(kind),
            Some(About::Nothing(_) | About::Unheard) => Some(RecordKind::Unknown),
            None => None,
        });
        let context = Context { event_name: name.map(str::to_owned), kind, wrappers: 2, in_list: true };
        let mut record = within(value, &path, kind, &context);
        record.event_id = self.id().map(str::to_owned);
        record.ignored = match about {
            Some(About::Nothing(reason)) if named.is_none() => Some(reason),
            _ => None,
        };
        record
    }

    fn value(&self) -> (&'j Json<'a>, String) {
        let event = self.event();
        match event.get("data") {
            Some(data) => match data.get("value") {
                Some(value) => (value, format!("{}/data/value", self.path)),
                None => (data, format!("{}/data", self.path)),
            },
            None => (event, self.path.clone()),
        }
    }
}

/// The one entity inside a value (a plugin's event holds it under its own name), or the value as it is: an event is one
/// record, whatever it holds.
fn within<'j, 'a>(value: &'j Json<'a>, path: &str, kind: Option<RecordKind>, context: &Context) -> Record<'j, 'a> {
    if kind != Some(RecordKind::Unknown) && value.is_object() {
        let mut finder = Finder { dialect: Dialect::CommerceEvents, named: None, records: Vec::new() };
        finder.value(value, path.to_owned(), context);
        if let [Ok(record)] = finder.records.as_slice() {
            return record.clone();
        }
    }
    let event_name = context.event_name.clone();
    let unsaved = event_name.as_deref().is_some_and(shape::announces_unsaved);
    Record {
        kind: kind.unwrap_or(RecordKind::Unknown),
        path: path.to_owned(),
        json: value,
        event_name,
        unsaved,
        event_id: None,
        ignored: None,
    }
}

/// One record an event, in the order sent.
pub(super) fn records<'j, 'a>(whole: &'j Json<'a>, named: Option<RecordKind>) -> Decoded<'j, 'a> {
    Decoded { records: events(whole).into_iter().map(|event| event.map(|event| event.record(named))).collect() }
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    /// A record of this kind.
    Kind(RecordKind),
    /// Something of which nothing is made, and why.
    Nothing(&'static str),
    /// Nobody told us.
    Unheard,
}

/// By its short name: exact for orders, since what belongs to an order (its items, payment, history) carries ids of its
/// own under the order's names and must never be taken for one.
fn about(name: &str) -> About {
    let begins = |beginnings: &[&str]| beginnings.iter().any(|beginning| name.starts_with(beginning));
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    if begins(&["sales_order_creditmemo_save", "sales_order_creditmemo_refund"])
        || ends(&["creditmemo_repository.save"])
    {
        return About::Kind(RecordKind::CreditMemo);
    }
    if begins(&["sales_order_invoice_save", "sales_order_invoice_pay"]) || ends(&["invoice_repository.save"]) {
        return About::Kind(RecordKind::Invoice);
    }
    if begins(&["sales_order_shipment_save", "sales_order_shipment_track_save"])
        || ends(&["shipment_repository.save", "shipment_track_repository.save"])
    {
        return About::Kind(RecordKind::Shipment);
    }
    if begins(&["sales_order_save", "sales_order_place", "checkout_submit_all", "order_cancel_after"])
        || ends(&["order_management.place", "order_repository.save"])
    {
        return About::Kind(RecordKind::Order);
    }
    if begins(&["catalog_product_save", "catalog_product_delete"])
        || ends(&["catalog.api.product_repository.save", "catalog.api.product_repository.delete"])
    {
        return About::Kind(RecordKind::Product);
    }
    if begins(&["customer_save", "customer_delete", "customer_register"]) || ends(&["customer_repository.save"]) {
        return About::Kind(RecordKind::Customer);
    }
    if begins(&["cataloginventory_stock_item_save"]) {
        return About::Kind(RecordKind::Stock);
    }
    if begins(&["sales_order_"]) {
        return About::Nothing(
            "the event is about a part of an order; sales_order_save_commit_after tells of the order itself",
        );
    }
    if begins(&["customer_group_", "company_", "rma_", "catalog_category_", "newsletter_", "negotiable_quote_"]) {
        return About::Nothing("nothing is made of events of this kind");
    }
    About::Unheard
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{self, Limits};

    const OURS: &str = "0123456789abcdef0123456789abcdef";

    fn event(id: &str, code: &str, value: &str) -> String {
        format!(
            r#"{{"specversion":"1.0","id":"cloud","type":"com.adobe.commerce.{code}","eventid":"{id}",
            "recipientclientid":"{OURS}","data":{{"key":"k-{id}","source":"acme.production","value":{value},
            "_metadata":{{"eventsClientVersion":"1.22.1"}}}}}}"#
        )
    }

    /// Kind, path, id and event name of each record.
    fn shown(body: &str) -> Vec<String> {
        let whole = json::parse(body.as_bytes(), &Limits::default()).unwrap();
        let shown = |record: &Result<Record<'_, '_>, DecodeProblem>| match record {
            Ok(record) => {
                assert_eq!(whole.pointer(&record.path), Some(record.json), "the path finds the record again");
                let name = record.event_name.as_deref().unwrap_or("-");
                format!("{} {} {} {name}", record.kind, record.path, record.event_id.as_deref().unwrap_or("-"))
            }
            Err(problem) => format!("{} {}", problem.path, problem.message),
        };
        records(&whole, None).records.iter().map(shown).collect()
    }

    const SAVED: &str = "observer.sales_order_save_commit_after";

    #[test]
    fn ded_2_every_shape_gives_the_same_event_its_id_and_its_record() {
        let plain = event("e-1", SAVED, r#"{"entity_id":"7"}"#);
        let wanted = |path: &str| format!("order {path}/data/value e-1 sales_order_save_commit_after");
        assert_eq!(shown(&plain), [wanted("")]);
        assert_eq!(shown(&format!("[{plain}]")), [wanted("/0")]);
        assert_eq!(shown(&format!(r#"{{"position":"p","event":{plain}}}"#)), [wanted("/event")]);
        let page = format!(r#"{{"events":[{{"position":"p","event":{plain}}}],"_page":{{"count":1}}}}"#);
        assert_eq!(shown(&page), [wanted("/events/0/event")]);
        let inner =
            plain.replace("\"eventid\":\"e-1\",", "").replace(&format!("\"recipientclientid\":\"{OURS}\","), "");
        let wrapped = format!(r#"{{"eventid":"e-1","event":{{"body":{inner}}},"recipientclientid":"{OURS}"}}"#);
        assert_eq!(shown(&wrapped), [wanted("/event/body")]);
        let old = plain.replace("eventid", "event_id");
        assert_eq!(shown(&old), [wanted("")]);
        let none = plain.replace("\"eventid\":\"e-1\",", "");
        assert_eq!(shown(&none), ["order /data/value - sales_order_save_commit_after"]);
        assert_eq!(shown("[1,[],null]").len(), 3);
        assert!(shown("[]").is_empty());
    }

    #[test]
    fn an_app_in_the_code_changes_nothing_and_a_part_of_an_order_is_never_an_order() {
        for (code, value, record) in [
            ("my_app.observer.sales_order_save_commit_after", r#"{"entity_id":"7"}"#, "order /data/value"),
            (
                "observer.checkout_submit_all_after",
                r#"{"order":{"entity_id":"7"},"quote":{}}"#,
                "order /data/value/order",
            ),
            (
                "plugin.magento.sales.api.order_management.place",
                r#"{"order":{"increment_id":"7"}}"#,
                "order /data/value/order",
            ),
            (
                "plugin.sales.api.order_repository.save",
                r#"{"entity":{"increment_id":"7"}}"#,
                "order /data/value/entity",
            ),
            ("observer.sales_order_invoice_save_after", r#"{"entity_id":"7","order_id":"3"}"#, "invoice /data/value"),
            ("observer.sales_order_shipment_track_save_after", r#"{"track_number":"1"}"#, "shipment /data/value"),
            ("observer.sales_order_creditmemo_save_after", r#"{"order_id":"3"}"#, "credit_memo /data/value"),
            ("observer.catalog_product_delete_commit_after", r#"{"sku":"a"}"#, "product /data/value"),
            ("observer.cataloginventory_stock_item_save_commit_after", r#"{"qty":1}"#, "stock /data/value"),
            ("observer.customer_save_commit_after", r#"{"id":"1"}"#, "customer /data/value"),
            ("observer.customer_group_save_commit_after", r#"{"id":"1"}"#, "unknown /data/value"),
            (
                "observer.sales_order_status_history_save_after",
                r#"{"entity_id":"9","status":"new"}"#,
                "unknown /data/value",
            ),
            ("observer.sales_order_item_save_after", r#"{"item_id":"9"}"#, "unknown /data/value"),
            ("observer.brand_new", r#"{"increment_id":"7"}"#, "unknown /data/value"),
            (SAVED, "[]", "order /data/value"),
            (SAVED, "\"7\"", "order /data/value"),
        ] {
            let shown = shown(&event("e", code, value));
            assert!(shown[0].starts_with(&format!("{record} e ")), "{code}: {shown:?}");
        }
    }

    #[test]
    fn sig_6_the_recipient_is_named_and_nobody_else_is() {
        let us = format!("\"recipientclientid\":\"{OURS}\"");
        let old = format!("\"recipient_client_id\":\"{OURS}\"");
        for (body, ours) in [
            (format!("{{{us},\"data\":{{}}}}"), true),
            (format!("{{{old},\"data\":{{}}}}"), true),
            (format!("{{{us},{old},\"data\":{{}}}}"), true),
            (format!("{{{us},\"recipient_client_id\":\"other\",\"data\":{{}}}}"), false),
            (format!("{{{old},\"recipientclientid\":null,\"data\":{{}}}}"), false),
            ("{\"data\":{}}".to_owned(), false),
            (format!("{{\"data\":{{{us}}}}}"), false),
            (format!("{{\"event\":{{{us}}}}}"), true),
            (format!("{{\"recipientclientid\":\"other\",\"event\":{{{us}}}}}"), false),
            (format!("{{{us},\"event\":{{\"body\":{{\"recipientclientid\":\"other\"}}}}}}"), false),
            (format!("{{\"recipientclientid\":\"other\",\"events\":[{{{us}}}]}}"), false),
            (format!("{{{}}}", us.replace(OURS, &OURS.to_uppercase())), false),
        ] {
            let whole = json::parse(body.as_bytes(), &Limits::default()).unwrap();
            let all = events(&whole);
            assert!(all.len() == 1);
            assert_eq!(all.iter().flatten().all(|event| event.is_for(OURS)), ours, "{body}");
        }
    }
}
