//! Orders that are JSON and yet not right: every one is told, parked with a code, or delivered lawfully.

use serde_json::{Value, json};

use crate::support::{TestApp, laws, orders};

/// What becomes of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The flow is told 422.
    Told,
    /// Stored and parked under this code.
    Parked(&'static str),
    /// At the ERP, all laws kept.
    Delivered,
}

type Change = fn(&mut Value);

fn child_of(order: &mut Value, parent: Value) {
    let mut child = order["items"][0].clone();
    child["item_id"] = json!(999);
    child["parent_item_id"] = parent;
    child["product_type"] = json!("simple");
    order["items"].as_array_mut().unwrap().push(child);
}

fn cases() -> Vec<(&'static str, Change, Fate)> {
    use Fate::{Delivered, Parked, Told};
    vec![
        (
            "an unknown product type",
            |order| order["items"][0]["product_type"] = json!("hologram"),
            Parked("unsupported_product_type"),
        ),
        ("an unknown currency", |order| order["order_currency_code"] = json!("ZZZ"), Told),
        ("a currency that is no text", |order| order["order_currency_code"] = json!({}), Told),
        ("a child without its parent", |order| child_of(order, json!(123_456)), Parked("orphan_item")),
        (
            "a bundle without children",
            |order| order["items"][0]["product_type"] = json!("bundle"),
            Parked("missing_component"),
        ),
        (
            "a configurable without its child",
            |order| order["items"][0]["product_type"] = json!("configurable"),
            Delivered,
        ),
        (
            "an item that is its own parent",
            |order| order["items"][0]["parent_item_id"] = order["items"][0]["item_id"].clone(),
            Parked("orphan_item"),
        ),
        ("a negative quantity", |order| order["items"][0]["qty_ordered"] = json!(-2), Told),
        (
            "no quantity",
            |order| {
                order["items"][0].as_object_mut().unwrap().remove("qty_ordered");
            },
            Told,
        ),
        ("a quantity of words", |order| order["items"][0]["qty_ordered"] = json!("two"), Told),
        ("strings for numbers", |order| strings(order), Delivered),
        ("a map for the items", |order| order["items"] = json!({ "71": order["items"][0] }), Delivered),
        ("an empty list of items", |order| order["items"] = json!([]), Told),
        ("items that are no list", |order| order["items"] = json!("none"), Told),
        ("an item that is no object", |order| order["items"] = json!([7]), Told),
        ("a list for the payment", |order| order["payment"] = json!([]), Delivered),
        ("a list for an address", |order| order["billing_address"] = json!([]), Delivered),
        ("a grand total of words", |order| order["grand_total"] = json!("much"), Told),
        ("a huge grand total", |order| order["grand_total"] = json!("1e400"), Told),
        ("a grand total that is off", |order| order["grand_total"] = json!(30), Parked("totals_mismatch")),
        ("a cent off", |order| order["grand_total"] = json!(29.01), Delivered),
        ("a negative grand total", |order| order["grand_total"] = json!(-29), Parked("totals_mismatch")),
        (
            "no store",
            |order| {
                order.as_object_mut().unwrap().remove("store_id");
            },
            Told,
        ),
        ("a store that is no number", |order| order["store_id"] = json!("main"), Told),
        (
            "no number",
            |order| {
                order.as_object_mut().unwrap().remove("increment_id");
            },
            Told,
        ),
        ("an empty number", |order| order["increment_id"] = json!(""), Told),
        (
            "half of it",
            |order| {
                order.as_object_mut().unwrap().remove("tax_amount");
            },
            Parked("missing_tax_data"),
        ),
        (
            "no item id",
            |order| {
                order["items"][0].as_object_mut().unwrap().remove("item_id");
            },
            Delivered,
        ),
        ("an empty SKU", |order| order["items"][0]["sku"] = json!(""), Told),
        ("a SKU of a thousand letters", |order| order["items"][0]["sku"] = json!("x".repeat(1000)), Told),
        ("a date that is none", |order| order["created_at"] = json!("yesterday"), Delivered),
        ("a null wherever one may be", |order| order["customer_email"] = Value::Null, Delivered),
    ]
}

fn strings(value: &mut Value) {
    match value {
        Value::Number(number) => *value = json!(number.to_string()),
        Value::Array(items) => items.iter_mut().for_each(strings),
        Value::Object(members) => members.values_mut().for_each(strings),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_not_right_is_told_parked_or_delivered_lawfully() {
    let app = TestApp::start().await;
    let mut surprises = Vec::new();
    for (index, (case, change, expected)) in cases().into_iter().enumerate() {
        let number = format!("{:09}", index + 1);
        let mut order = orders::rest(&number, "24-WG085", 2);
        change(&mut order);
        let answer = app.patchworks_sends(order.to_string()).await;
        app.settled().await;
        let fate = match answer.status {
            422 => {
                assert_ne!(answer.json()["results"][0]["problems"], json!([]), "{case}");
                "Told".to_owned()
            }
            202 => {
                let key = answer.json()["results"][0]["key"].as_str().unwrap_or_default().to_owned();
                let codes: Vec<Value> =
                    app.exceptions_of(&key).await.iter().map(|exception| exception["code"].clone()).collect();
                match (codes.first(), app.erp.find(&key).first()) {
                    (Some(code), None) => format!("Parked({code})"),
                    (None, Some(effect)) => {
                        let document: Value = serde_json::from_slice(&effect.body).unwrap();
                        assert_eq!(laws::broken(&document), Vec::<String>::new(), "{case}: {document}");
                        "Delivered".to_owned()
                    }
                    other => panic!("{case}: {other:?}"),
                }
            }
            other => panic!("{case}: {other} {}", answer.text),
        };
        if fate != format!("{expected:?}") {
            surprises.push(format!("{case}: expected {expected:?}, became {fate}: {}", answer.text));
        }
    }
    assert!(surprises.is_empty(), "{surprises:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_from_a_hook_is_kept_for_a_person_instead_of_told() {
    let app = TestApp::start().await;
    let mut lost = Vec::new();
    for (index, (case, change, expected)) in cases().into_iter().enumerate() {
        let before = app.stored().await;
        let mut order = orders::rest(&format!("{:09}", index + 1), "24-WG085", 2);
        change(&mut order);
        let delivered = app.erp.counts().applied;
        let answer = app
            .commerce_sends(json!({ "eventName": "sales_order_save_after", "data": { "order": order } }).to_string())
            .await;
        assert_eq!((answer.status, answer.text.as_str()), (200, r#"{"op":"success"}"#), "{case}");
        app.settled().await;
        assert_eq!(app.stored().await, before + 1, "{case}");
        let applied = app.erp.counts().applied - delivered;
        if applied != u64::from(expected == Fate::Delivered) {
            lost.push(format!("{case}: {applied} delivered, {expected:?} expected"));
        }
    }
    assert!(lost.is_empty(), "{lost:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_without_a_store_takes_the_origins_default() {
    let app =
        TestApp::with(|text| text.replacen("type = \"patchworks\"", "type = \"patchworks\"\ndefault_store_id = 7", 1))
            .await;
    let mut order = orders::rest("000000001", "24-WG085", 1);
    order.as_object_mut().unwrap().remove("store_id");
    assert_eq!(app.patchworks_sends(order.to_string()).await.status, 202);
    app.settled().await;
    assert_eq!(app.erp.find("000000001")[0].store_id, Some(7));
}
