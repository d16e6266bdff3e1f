//! Every shape a record may come in, and exactly what its sender is told (DESIGN 2.6, delivery-semantics 3).

use serde_json::{Value, json};

use crate::support::{API_KEY, Answer, TestApp, is_problem, orders};

fn order(number: u32) -> Value {
    orders::rest(&format!("{number:09}"), "24-WG085", 2)
}

/// The answer for one record taken, as DESIGN 2.6 writes it.
#[track_caller]
fn is_one(answer: &Answer, http: u16, key: &str, status: &str) -> String {
    assert_eq!(answer.status, http, "{}", answer.text);
    let body = answer.json();
    let id = body["event_id"].as_str().expect("an event id at the top").to_owned();
    assert!(id.starts_with("env_"));
    let result = json!({ "key": key, "event_id": id, "status": status, "problems": [] });
    assert_eq!(body, json!({ "results": [result], "event_id": id, "status": status }));
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_is_told_success_whatever_the_shape_and_the_order_arrives() {
    let app = TestApp::start().await;
    let shapes = [
        json!({ "subject": [], "eventName": "sales_order_save_commit_after", "data": { "order": order(1) } }),
        json!({ "eventName": "observer.sales_order_save_after", "data": { "order": order(2) } }),
        json!({ "eventName": "com.adobe.commerce.observer.sales_order_save_commit_after", "data": { "value": order(3) } }),
        json!({ "subject": {}, "order": order(4), "result": order(4) }),
        json!({ "order": order(5) }),
        order(6),
        json!({ "event": { "data": { "value": order(7) } } }),
        json!({ "data": { "order": order(8) } }),
    ];
    for (index, shape) in shapes.iter().enumerate() {
        let answer = app.commerce_sends(shape.to_string()).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, r#"{"op":"success"}"#), "shape {}", index + 1);
        assert_eq!(answer.headers["content-type"], "application/json");
    }
    app.settled().await;
    for number in 1..=8 {
        assert_eq!(app.erp.find(&format!("{number:09}")).len(), 1, "shape {number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_is_answered_per_record_and_at_the_top_for_a_single_one() {
    let app = TestApp::start().await;
    for (number, shape) in [
        (1, order(1)),
        (2, json!({ "order": order(2) })),
        (3, json!([order(3)])),
        (4, json!({ "items": [order(4)] })),
        (5, json!({ "items": [order(5)], "search_criteria": {}, "total_count": 1 })),
        (6, json!({ "records": [order(6)] })),
        (7, json!({ "data": [order(7)] })),
        (8, json!({ "orders": [order(8)] })),
        (9, json!({ "data": order(9) })),
        (10, json!({ "orders": { "10": order(10) } })),
    ] {
        let answer = app.patchworks_sends(shape.to_string()).await;
        is_one(&answer, 202, &format!("{number:09}"), "accepted");
    }
    app.settled().await;
    assert_eq!(app.erp.counts().applied, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_lists_each_record_and_a_bad_neighbour_stops_none() {
    let app = TestApp::start().await;
    let mut parked = order(3);
    parked["grand_total"] = json!(999);
    let batch = json!({ "orders": [order(1), "not an object", order(2), { "colour": "red" }, parked, null, 7] });
    let answer = app.patchworks_sends(batch.to_string()).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let body = answer.json();
    assert!(body.get("event_id").is_none() && body.get("status").is_none(), "several records: {body}");
    let results = body["results"].as_array().unwrap();
    let seen: Vec<(&str, Value)> =
        results.iter().map(|one| (one["status"].as_str().unwrap(), one["key"].clone())).collect();
    assert_eq!(
        seen,
        [
            ("accepted", json!("000000001")),
            ("rejected", Value::Null),
            ("accepted", json!("000000002")),
            ("rejected", Value::Null),
            ("accepted", json!("000000003")),
            ("rejected", Value::Null),
            ("rejected", Value::Null),
        ]
    );
    for rejected in results.iter().filter(|one| one["status"] == "rejected") {
        assert_eq!(rejected["event_id"], Value::Null);
        assert!(!rejected["problems"][0]["message"].as_str().unwrap().is_empty());
    }
    assert_eq!(results[1]["problems"][0]["path"], "/orders/1");
    app.settled().await;
    assert_eq!(app.stored().await, 3, "what was rejected is not stored");
    assert_eq!(app.erp.counts().applied, 2);
    assert_eq!(app.order("000000003").await["state"], "parked");
    assert_eq!(app.exceptions_of("000000003").await[0]["code"], "totals_mismatch");

    let answer = app.patchworks_sends(batch.to_string()).await;
    assert_eq!(answer.status, 200, "none is new, some are known: {}", answer.text);
    assert_eq!(answer.json()["results"][0]["event_id"], body["results"][0]["event_id"], "the first id");
    assert_eq!(answer.json()["results"][0]["status"], "duplicate");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_which_nothing_can_be_taken_is_422_with_every_result() {
    let app = TestApp::start().await;
    let answer = app.patchworks_sends(r#"[{"colour":"red"},{"colour":"blue"}]"#).await;
    is_problem("two strangers", &answer, 422);
    assert_eq!(answer.json()["results"].as_array().unwrap().len(), 2);
    let answer = app.patchworks_sends(r#"{"increment_id":[]}"#).await;
    is_problem("one stranger", &answer, 422);
    let body = answer.json();
    assert_eq!((body["status"].as_str(), &body["event_id"]), (Some("rejected"), &Value::Null));
    let answer = app.patchworks_sends("[]").await;
    assert_eq!((answer.status, answer.text.as_str()), (200, r#"{"results":[]}"#), "nothing sent is nothing wrong");
    assert_eq!(app.stored().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hooks_bad_neighbour_is_kept_for_a_person() {
    let app = TestApp::start().await;
    let answer = app.commerce_sends(json!([order(1), 7, order(2)]).to_string()).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, r#"{"op":"success"}"#));
    app.settled().await;
    assert_eq!((app.stored().await, app.erp.counts().applied), (3, 2));
    let page = app.sees("/api/v1/exceptions").await;
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    assert_eq!((&page["items"][0]["code"], &page["items"][0]["path"]), (&json!("unreadable_payload"), &json!("/1")));
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_doors_and_methods_are_told_so() {
    let app = TestApp::start().await;
    let key = [("x-api-key", API_KEY)];
    is_problem("unknown origin", &app.posts("/in/nobody/orders", "{}", &key).await, 404);
    is_problem("unknown origin", &app.posts("/in/nobody", "{}", &key).await, 404);
    is_problem("unknown entity", &app.posts("/in/flows/oders", "{}", &key).await, 404);
    is_problem("deeper", &app.posts("/in/flows/orders/7", "{}", &key).await, 404);
    for path in ["/in/flows/orders", "/in/flows", "/in/hooks"] {
        for method in [reqwest::Method::GET, reqwest::Method::PUT, reqwest::Method::DELETE] {
            let answer = app.asks(method.clone(), path, None).await;
            assert_eq!(answer.status, 405, "{method} {path}: {}", answer.text);
        }
    }
    assert_eq!(app.stored().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_kinds_are_stored_and_ignored_with_the_reason() {
    let app = TestApp::start().await;
    let invoice = json!({ "entity_id": 5, "order_id": 1, "grand_total": 29, "total_qty": 2, "order_currency_code": "GBP", "items": [] });
    let answer = app.posts("/in/flows/invoices", invoice.to_string(), &[("x-api-key", API_KEY)]).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let id = answer.json()["event_id"].as_str().unwrap().to_owned();
    app.settled().await;
    let event = app.sees(&format!("/api/v1/events/{id}")).await;
    assert_eq!(event["state"], "ignored", "{event}");
    assert!(event["explanation"].as_str().unwrap().contains("invoice"), "{event}");
}
