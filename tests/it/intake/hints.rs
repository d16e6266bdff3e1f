//! Webhooks that fire before the order is saved, and payloads that are only hints (docs/decisions/0009).

use serde_json::{Value, json};

use crate::support::{TestApp, orders};

const BEFORE: [&str; 4] = [
    "sales_order_place_before",
    "sales_order_place_after",
    "observer.sales_order_place_after",
    "observer.sales_order_place_before",
];

fn announced(event: &str, order: &Value) -> String {
    json!({ "subject": [], "eventName": event, "data": { "order": order } }).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_not_yet_saved_waits_for_its_save_and_the_saved_one_closes_it() {
    // Commerce cannot be reached, so nobody else can have closed it.
    let app = TestApp::with(|text| text.replace("read_back = \"never\"", "read_back = \"when-needed\"")).await;
    for (index, event) in BEFORE.iter().enumerate() {
        let number = format!("{:09}", index + 1);
        let order = orders::rest(&number, "24-WG085", 1);
        assert_eq!(app.commerce_sends(announced(event, &order)).await.text, r#"{"op":"success"}"#);
        let told = app.order(&number).await;
        assert_eq!((&told["state"], &told["exceptions"]), (&json!("due"), &json!([])), "{event}: {told}");
        assert!(app.erp.find(&number).is_empty());

        app.commerce_sends(announced("sales_order_save_commit_after", &order)).await;
        app.settled().await;
        assert_eq!(app.erp.find(&number).len(), 1, "{event}");
        let told = app.order_is(&number, "delivered").await;
        assert_eq!(told["events"][0]["state"], "superseded", "the complete order closes the hint: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn read_back_never_compiles_it_as_it_stands_with_a_warning() {
    let app = TestApp::start().await;
    let mut order = orders::rest("000000001", "24-WG085", 1);
    // Before the save there is no id of the database yet.
    order.as_object_mut().unwrap().remove("entity_id");
    app.commerce_sends(announced("sales_order_place_before", &order)).await;
    app.commerce_sends(orders::observed("000000002", "24-WG085", 1)).await;
    app.settled().await;
    let codes = |number: &str| -> Vec<String> {
        let document: Value = serde_json::from_slice(&app.erp.find(number)[0].body).unwrap();
        let warnings = document["warnings"].as_array().unwrap().iter();
        warnings.map(|warning| warning["code"].as_str().unwrap().to_owned()).collect()
    };
    assert!(codes("000000001").contains(&"not_yet_saved".to_owned()), "{:?}", codes("000000001"));
    assert!(!codes("000000002").contains(&"not_yet_saved".to_owned()), "{:?}", codes("000000002"));

    // The same order after its save: the same key, so no second order.
    app.commerce_sends(orders::observed("000000001", "24-WG085", 1)).await;
    app.settled().await;
    assert_eq!((app.erp.find("000000001").len(), app.erp.counts().doubled), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_fields_that_name_an_order_are_parked_with_what_is_missing() {
    let app = TestApp::start().await;
    let hint = json!({ "order": { "increment_id": "000000003", "entity_id": 3, "store_id": 1 } });
    assert_eq!(app.commerce_sends(hint.to_string()).await.status, 200);
    app.settled().await;
    let exceptions = app.exceptions_of("000000003").await;
    assert_eq!(exceptions[0]["code"], "unreadable_payload");
    for member in ["order_currency_code", "grand_total", "tax_amount", "subtotal", "items"] {
        assert!(exceptions.iter().any(|exception| exception["path"] == member), "{member}: {exceptions:?}");
    }
    app.commerce_sends(orders::observed("000000003", "24-WG085", 1)).await;
    app.settled().await;
    assert_eq!(app.exceptions_of("000000003").await, Vec::<Value>::new(), "closed by the complete order");
    assert_eq!(app.erp.find("000000003").len(), 1);
}
