use proptest::prelude::*;

use super::*;
use crate::json::{Limits, parse};

/// The one door: each record as `kind path number event unsaved`, each problem as `! path message`.
fn show(body: &str, dialect: Dialect, entity: Option<&str>) -> Vec<String> {
    let whole = parse(body.as_bytes(), &Limits::default()).unwrap();
    let kind = entity.map(|entity| RecordKind::from_entity(entity).unwrap());
    let decoded = records(&whole, dialect, kind);
    let line = |record: &Result<Record<'_, '_>, DecodeProblem>| match record {
        Err(problem) => format!("! {} {}", problem.path, problem.message),
        Ok(record) => {
            assert_eq!(whole.pointer(&record.path), Some(record.json), "the path finds the record again");
            let number = record.json.get("increment_id").and_then(Json::as_text).unwrap_or("-");
            let event = record.event_name.as_deref().unwrap_or("-");
            let unsaved = if record.unsaved { " unsaved" } else { "" };
            format!("{} {} {number} {event}{unsaved}", record.kind, record.path)
        }
    };
    decoded.records.iter().map(line).collect()
}

fn hook(body: &str) -> Vec<String> {
    show(body, Dialect::CommerceHook, None)
}

fn flow(body: &str) -> Vec<String> {
    show(body, Dialect::Patchworks, None)
}

const ORDER: &str =
    r#"{"increment_id":"42","entity_id":7,"grand_total":"5.00","items":[{"sku":"A","order_id":7,"item_id":1}]}"#;

#[test]
fn observer_hooks_name_their_event() {
    let observer = |event: &str, data: &str| hook(&format!(r#"{{"subject":[],"eventName":"{event}","data":{data}}}"#));
    let order = format!(r#"{{"order":{ORDER}}}"#);
    assert_eq!(
        observer("sales_order_save_commit_after", &order),
        ["order /data/order 42 sales_order_save_commit_after"]
    );
    for event in ["sales_order_place_before", "sales_order_place_after"] {
        assert_eq!(observer(event, &order), [format!("order /data/order 42 {event} unsaved")]);
    }
    assert_eq!(
        observer("observer.sales_order_place_after", &order),
        ["order /data/order 42 sales_order_place_after unsaved"]
    );
    assert_eq!(
        observer("checkout_submit_all_after", &format!(r#"{{"quote":{{"entity_id":1}},"order":{ORDER}}}"#)),
        ["order /data/order 42 checkout_submit_all_after"]
    );
    let invoice = format!(r#"{{"data_object":{{}},"invoice":{{"increment_id":"9","order_id":7}},"order":{ORDER}}}"#);
    assert_eq!(
        observer("sales_order_invoice_save_after", &invoice),
        ["invoice /data/invoice 9 sales_order_invoice_save_after"]
    );
    assert_eq!(
        observer("sales_order_save_after", &format!(r#"{{"data_object":{ORDER}}}"#)),
        ["order /data/data_object 42 sales_order_save_after"]
    );
    assert_eq!(
        observer("catalog_product_save_after", r#"{"product":{"sku":"A"}}"#),
        ["product /data/product - catalog_product_save_after"]
    );
    assert_eq!(observer("something_else", r#"{"thing":{"a":1}}"#), ["unknown /data - something_else"]);
    assert_eq!(observer("sales_order_save_after", "[]"), Vec::<String>::new());
}

#[test]
fn plugin_hooks_tell_before_from_after_by_their_result() {
    let fresh = r#"{"increment_id":"42","items":[]}"#;
    assert_eq!(
        hook(&format!(r#"{{"order":{fresh},"subject":{{}}}}"#)),
        ["order /order 42 order_management.place.before unsaved"]
    );
    assert_eq!(
        hook(&format!(r#"{{"order":{fresh},"result":{ORDER},"subject":{{}}}}"#)),
        ["order /result 42 order_management.place.after"]
    );
    assert_eq!(
        hook(&format!(r#"{{"order":{fresh},"result":{ORDER}}}"#)),
        ["order /result 42 order_management.place.after"]
    );
    assert_eq!(
        hook(&format!(r#"{{"order":{ORDER},"result":null,"subject":[]}}"#)),
        ["order /order 42 order_management.place.after"]
    );
}

#[test]
fn chosen_fields_are_still_a_record() {
    assert_eq!(hook(r#"{"order":{"increment_id":"42","store_id":1}}"#), ["order /order 42 -"]);
    assert_eq!(hook(r#"{"increment_id":"42","store_id":1}"#), ["order  42 -"]);
    assert_eq!(hook(r#"{"order":{"quote_id":7}}"#), ["order /order - -"]);
    assert_eq!(
        hook(r#"{"eventName":"sales_order_save_after","increment_id":"42"}"#),
        ["order  42 sales_order_save_after"]
    );
}

#[test]
fn flows_send_objects_arrays_and_lists_under_a_name() {
    assert_eq!(flow(ORDER), ["order  42 -"]);
    assert_eq!(flow(&format!("[{ORDER},{ORDER}]")), ["order /0 42 -", "order /1 42 -"]);
    for name in ["orders", "items", "records", "data"] {
        assert_eq!(flow(&format!(r#"{{"{name}":[{ORDER}],"total_count":1}}"#)), [format!("order /{name}/0 42 -")]);
        assert_eq!(flow(&format!(r#"{{"{name}":[]}}"#)), Vec::<String>::new());
    }
    assert_eq!(flow(&format!(r#"{{"data":{ORDER}}}"#)), ["order /data 42 -"]);
    assert_eq!(flow(&format!(r#"{{"data":{{"orders":[{ORDER}]}}}}"#)), ["order /data/orders/0 42 -"]);
    assert_eq!(flow(&format!(r#"{{"entity":{ORDER}}}"#)), ["order /entity 42 -"]);
    assert_eq!(flow(&format!(r#"{{"orders":{{"a/b":{ORDER}}}}}"#)), ["order /orders/a~1b 42 -"]);
    assert_eq!(flow("[]"), Vec::<String>::new());
}

#[test]
fn io_events_are_unwrapped() {
    let name = "com.adobe.commerce.observer.sales_order_save_commit_after";
    let event = format!(r#"{{"type":"{name}","data":{{"key":"k","value":{ORDER},"_metadata":{{}}}}}}"#);
    assert_eq!(flow(&event), ["order /data/value 42 sales_order_save_commit_after"]);
    assert_eq!(
        flow(&format!(r#"{{"type":"{name}","data":{ORDER}}}"#)),
        ["order /data 42 sales_order_save_commit_after"]
    );
    assert_eq!(
        flow(&format!(r#"{{"position":"p","event":{event}}}"#)),
        ["order /event/data/value 42 sales_order_save_commit_after"]
    );
    assert_eq!(
        flow(&format!(r#"[{{"eventid":"e","event":{{"body":{event}}}}}]"#)),
        ["order /0/event/body/data/value 42 sales_order_save_commit_after"]
    );
}

#[test]
fn a_bad_neighbour_is_a_problem_of_its_own() {
    assert_eq!(
        flow(&format!(r#"[{ORDER},7,null,"x",[{ORDER}],{ORDER}]"#)),
        [
            "order /0 42 -",
            "! /1 is a number, an object is expected",
            "! /2 is null, an object is expected",
            "! /3 is a string, an object is expected",
            "! /4 is a list within a list",
            "order /5 42 -",
        ]
    );
    assert_eq!(flow("7"), ["!  is a number, an object is expected"]);
    assert_eq!(flow(&format!(r#"[{{"orders":[{ORDER}]}}]"#)), ["! /0/orders is a list within a list"]);
    assert_eq!(flow(r#"{"a":1}"#), ["unknown  - -"]);
    assert_eq!(flow("{}"), ["unknown  - -"]);
    assert_eq!(
        flow(&format!("{}{ORDER}{}", r#"{"data":"#.repeat(8), "}".repeat(8))),
        ["! /data/data/data/data/data/data is wrapped too deeply"]
    );
}

#[test]
fn the_path_of_the_request_outranks_the_look_of_the_payload() {
    let named = |body: &str, entity| show(body, Dialect::Patchworks, Some(entity));
    assert_eq!(named(ORDER, "order-changes"), ["order_change  42 -"]);
    assert_eq!(named(r#"{"a":1}"#, "orders"), ["order  - -"]);
    assert_eq!(named(ORDER, "customers"), ["customer  42 -"]);
    assert_eq!(named(&format!(r#"{{"items":[{ORDER}]}}"#), "orders"), ["order /items/0 42 -"]);
    assert_eq!(named(r#"{"orders":[{"a":1}]}"#, "orders"), ["order /orders/0 - -"]);
    let both = format!(r#"{{"order":{ORDER},"invoice":{{"increment_id":"9"}}}}"#);
    assert_eq!(named(&both, "orders"), ["order /order 42 -"]);
    assert_eq!(named(&both, "invoices"), ["invoice /invoice 9 -"]);
    assert_eq!(flow(&both), ["invoice /invoice 9 -"]);
}

#[test]
fn documents_are_told_from_orders_by_their_members() {
    assert_eq!(flow(r#"{"increment_id":"9","order_id":7,"grand_total":5,"total_qty":1,"items":[]}"#), ["invoice  9 -"]);
    assert_eq!(
        flow(r#"{"increment_id":"9","order_id":7,"grand_total":5,"adjustment":0,"items":[]}"#),
        ["credit_memo  9 -"]
    );
    assert_eq!(flow(r#"{"increment_id":"9","order_id":7,"total_qty":1,"tracks":[],"items":[]}"#), ["shipment  9 -"]);
    assert_eq!(flow(r#"{"sku":"A","type_id":"simple"}"#), ["product  - -"]);
    assert_eq!(flow(r#"{"email":"a@example.com","firstname":"A"}"#), ["customer  - -"]);
    assert_eq!(flow(r#"{"item_id":1,"order_id":7,"sku":"A"}"#), ["unknown  - -"], "an order item is no order");
}

#[test]
fn stock_is_one_message_and_a_fulfilment_keeps_its_order() {
    let back = |body: &str, entity| show(body, Dialect::Backoffice, entity);
    let rows = r#"[{"sku":"A","location":"LON1","quantity":"12"}]"#;
    let message = format!(r#"{{"mode":"delta","sequence":1,"items":{rows}}}"#);
    assert_eq!(back(&message, Some("stock")), ["stock  - -"]);
    assert_eq!(back(&message, None), ["stock  - -"]);
    assert_eq!(back(rows, Some("stock")), ["stock  - -"]);
    assert_eq!(back(r#"{"sourceItems":[{"sku":"A","source_code":"x","quantity":1}]}"#, None), ["stock  - -"]);
    let fulfilment = r#"{"reference":"D-9","order":{"increment_id":"42"},"items":[{"sku":"A","quantity":"2"}],"tracks":[{"number":"1"}]}"#;
    assert_eq!(back(fulfilment, Some("fulfilments")), ["fulfilment  - -"]);
    assert_eq!(back(fulfilment, None), ["fulfilment  - -"]);
    let bare = r#"{"reference":"D-9","order":{"increment_id":"42"},"items":[{"sku":"A","quantity":"2"}]}"#;
    assert_eq!(back(bare, Some("fulfilments")), ["fulfilment  - -"], "its rows are not fulfilments");
    assert_eq!(
        back(&format!(r#"{{"records":[{fulfilment},{fulfilment}]}}"#), Some("fulfilments")),
        ["fulfilment /records/0 - -", "fulfilment /records/1 - -"]
    );
}

/// Real payloads, where they are at hand.
#[test]
fn every_sample_is_told_apart_by_its_look() {
    let Ok(corpus) = std::env::var("CROSSDOCK_CORPUS") else {
        println!("left out: CROSSDOCK_CORPUS is not set");
        return;
    };
    let expected = [
        ("orders", &["order"][..]),
        ("events", &["order"]),
        ("invoices", &["invoice"]),
        ("credit-memos", &["credit_memo"]),
        ("shipments", &["shipment"]),
        ("products", &["product"]),
    ];
    for (folder, kinds) in expected {
        for entry in std::fs::read_dir(format!("{corpus}/{folder}")).unwrap() {
            let path = entry.unwrap().path();
            let body = std::fs::read_to_string(&path).unwrap();
            let shown = show(&body, Dialect::Patchworks, None);
            // Two are requests to Commerce, not shipments it sends.
            if path.to_string_lossy().contains("devdocs_msi_shipment_1")
                || path.to_string_lossy().contains("shipment_6")
            {
                continue;
            }
            for line in &shown {
                let kind = line.split(' ').next().unwrap_or_default();
                assert!(kinds.contains(&kind), "{}: {line}", path.display());
            }
        }
    }
}

/// JSON texts made of the names that matter here.
fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("7".to_owned()),
        Just("[]".to_owned()),
        Just("{}".to_owned()),
        Just("\"sales_order_place_after\"".to_owned()),
    ];
    leaf.prop_recursive(6, 48, 4, |inner| {
        let name = prop::sample::select(vec![
            "order",
            "orders",
            "items",
            "data",
            "value",
            "event",
            "body",
            "result",
            "subject",
            "eventName",
            "type",
            "increment_id",
            "entity_id",
            "order_id",
            "sku",
            "quantity",
            "location",
            "records",
            "invoice",
            "tracks",
            "a/b~",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::btree_map(name, inner, 0..5).prop_map(|members| {
                let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_is_sent_every_path_finds_its_record_again(body in any_json(), entity in 0..10_usize) {
        let entity = ["orders", "invoices", "stock", "fulfilments", "customers"].get(entity).copied();
        for dialect in [Dialect::CommerceHook, Dialect::CommerceEvents, Dialect::Patchworks, Dialect::Backoffice] {
            let shown = show(&body, dialect, entity);
            prop_assert!(shown.len() <= RECORDS_MAX);
        }
    }
}
