//! What objects and event names look like.

use crate::envelope::kind::RecordKind;
use crate::json::Json;

/// Which member names a body: an invoice event carries its order and customer as well, so the rarer one counts.
pub(super) const BY_SPECIFICITY: [RecordKind; 7] = [
    RecordKind::CreditMemo,
    RecordKind::Invoice,
    RecordKind::Shipment,
    RecordKind::Fulfilment,
    RecordKind::Order,
    RecordKind::Product,
    RecordKind::Customer,
];

/// Lists by the plural of what they hold.
pub(super) const PLURALS: [(&str, RecordKind); 11] = [
    ("orders", RecordKind::Order),
    ("order_changes", RecordKind::OrderChange),
    ("invoices", RecordKind::Invoice),
    ("shipments", RecordKind::Shipment),
    ("creditmemos", RecordKind::CreditMemo),
    ("credit_memos", RecordKind::CreditMemo),
    ("creditMemos", RecordKind::CreditMemo),
    ("products", RecordKind::Product),
    ("customers", RecordKind::Customer),
    ("fulfilments", RecordKind::Fulfilment),
    ("fulfillments", RecordKind::Fulfilment),
];

/// Names under which an entity of that kind stands in a body.
pub(super) fn members_of(kind: RecordKind) -> &'static [&'static str] {
    match kind {
        RecordKind::Order | RecordKind::OrderChange => &["order"],
        RecordKind::Invoice => &["invoice"],
        RecordKind::Shipment => &["shipment"],
        RecordKind::CreditMemo => &["creditmemo", "credit_memo", "creditMemo"],
        RecordKind::Product => &["product"],
        RecordKind::Customer => &["customer", "customer_data_object"],
        RecordKind::Fulfilment => &["fulfilment", "fulfillment"],
        RecordKind::Stock | RecordKind::Unknown => &[],
    }
}

/// An event's name from `observer.` or `plugin.` on, without that word: `com.adobe.commerce.observer.x` is `x`, whatever
/// an installation puts in between.
pub(super) fn short_event_name(name: &str) -> &str {
    ["observer.", "plugin."]
        .into_iter()
        .find_map(|word| name.find(word).map(|at| &name[at + word.len()..]))
        .unwrap_or(name)
}

/// What an event is about, by its name.
pub(super) fn kind_of_event(name: &str) -> Option<RecordKind> {
    let has = |word: &str| name.contains(word);
    // From the most specific word on: `sales_order_invoice_save_after` is about an invoice.
    Some(match () {
        () if has("creditmemo") => RecordKind::CreditMemo,
        () if has("invoice") => RecordKind::Invoice,
        () if has("shipment") => RecordKind::Shipment,
        () if has("sales_order") || has("order_management") || has("order_repository") || has("checkout_submit") => {
            RecordKind::Order
        }
        () if has("catalog_product") => RecordKind::Product,
        () if has("customer_save") || has("customer_delete") => RecordKind::Customer,
        () => return None,
    })
}

/// Events that fire before the order row is saved (Commerce dispatches both from `Order::place()`, which
/// `OrderManagement::place` saves afterwards), and the plugin around that call before it ran.
pub(super) fn announces_unsaved(event_name: &str) -> bool {
    matches!(event_name, "sales_order_place_before" | "sales_order_place_after" | "order_management.place.before")
}

/// What an object is, by its own members; `None` for wrappers and strangers.
pub(super) fn kind_of_object(object: &Json<'_>) -> Option<RecordKind> {
    let has = |name: &str| object.present(name).is_some();
    let any = |names: &[&str]| names.iter().any(|name| has(name));
    // Documents of an order name it by `order_id`; the order itself does not, but its items do.
    let of_order = has("order_id") && !has("item_id");
    if of_order && any(&["creditmemo_status", "adjustment", "adjustment_negative", "adjustment_positive"]) {
        return Some(RecordKind::CreditMemo);
    }
    if of_order && any(&["tracks", "shipment_status", "packages", "shipping_label"]) {
        return Some(RecordKind::Shipment);
    }
    if of_order
        && has("grand_total")
        && any(&["total_qty", "is_used_for_refund", "can_void_flag", "order_currency_code"])
    {
        return Some(RecordKind::Invoice);
    }
    if of_order && has("total_qty") && has("items") {
        return Some(RecordKind::Shipment);
    }
    // A number alone is a record: what is missing is read back or parked, not guessed.
    let order_fields =
        ["grand_total", "base_grand_total", "subtotal", "state", "status", "quote_id", "customer_email", "payment"];
    if !has("order_id") && (has("increment_id") || (has("entity_id") && any(&order_fields))) {
        return Some(RecordKind::Order);
    }
    if has("sku") && any(&["type_id", "attribute_set_id"]) {
        return Some(RecordKind::Product);
    }
    if has("email") && any(&["firstname", "group_id", "website_id"]) {
        return Some(RecordKind::Customer);
    }
    if object.get("sourceItems").is_some_and(Json::is_array) || is_stock_message(object) {
        return Some(RecordKind::Stock);
    }
    if any(&["tracks", "shipped_at"]) && any(&["order", "items"]) && !has("order_id") {
        return Some(RecordKind::Fulfilment);
    }
    None
}

/// Whether `items` are records of their own (a search result) and not the rows of the object that holds them.
pub(super) fn is_page(object: &Json<'_>, items: &Json<'_>) -> bool {
    let Json::Array(items) = items else { return false };
    let alone = matches!(object, Json::Object(members) if members.len() == 1);
    let counted = ["total_count", "search_criteria"].into_iter().any(|name| object.get(name).is_some());
    alone || counted || items.first().is_some_and(|first| kind_of_object(first).is_some())
}

/// `{ "mode": "delta", "items": [ { "sku", "quantity" } ] }`, or one such row, or a page of Commerce's source items.
fn is_stock_message(object: &Json<'_>) -> bool {
    let row = |row: &Json<'_>| {
        row.present("sku").is_some()
            && ["quantity", "qty"].into_iter().any(|name| row.present(name).is_some())
            && ["source_code", "source", "location"].into_iter().any(|name| row.present(name).is_some())
    };
    match object.get("items") {
        Some(Json::Array(items)) => {
            let order_like = ["increment_id", "order_id", "order", "tracks", "entity_id"];
            !order_like.into_iter().any(|name| object.get(name).is_some()) && items.first().is_some_and(row)
        }
        _ => row(object),
    }
}
