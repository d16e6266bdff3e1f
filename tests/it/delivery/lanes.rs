//! Lanes, outages and restarts: one order's trouble is its own, and nothing that waits is forgotten.

use std::time::Duration;

use crossdock::demo::erp::Fault;

use super::{SOON, app_with};
use crate::support::{TestApp, orders, until};

async fn sends(app: &TestApp, number: u32) {
    let order = orders::rest(&format!("{number:09}"), "24-WG085", 2);
    assert_eq!(app.patchworks_sends(order.to_string()).await.status, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn lane_2_an_order_that_is_stuck_delays_no_other() {
    let app = app_with("retry_schedule = [\"1h\"]\nconcurrency = 2").await;
    app.erp.next([Fault::Status(422), Fault::Status(408)]);
    sends(&app, 1).await;
    app.order_is("000000001", "parked").await;
    sends(&app, 2).await;
    for number in 3..=60 {
        sends(&app, number).await;
    }
    for number in 3..=60 {
        app.order_is(&format!("{number:09}"), "delivered").await;
    }
    assert_eq!(app.order("000000001").await["state"], "parked");
    assert_eq!(app.order("000000002").await["state"], "due", "it waits for its own hour");
}

#[tokio::test(flavor = "multi_thread")]
async fn lane_2_a_request_that_hangs_holds_one_place_and_no_other_order() {
    let app = app_with("concurrency = 4\nrequest_timeout = \"60s\"").await;
    app.erp.next([Fault::HangAfterApply(Duration::from_secs(12))]);
    sends(&app, 1).await;
    // Another lane's request could be there first, and hang in its place.
    until("the first is there", async || (!app.erp.find("000000001").is_empty()).then_some(())).await;
    for number in 2..=30 {
        sends(&app, number).await;
    }
    for number in 2..=30 {
        app.order_is(&format!("{number:09}"), "delivered").await;
    }
    assert_eq!(app.order("000000001").await["state"], "due");
    app.order_is("000000001", "delivered").await;
    assert_eq!(app.erp.counts().doubled, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ret_5_an_erp_that_is_down_breaks_the_circuit_and_gets_everything_when_it_is_back() {
    let mut app = app_with(SOON).await;
    app.erp.go_down();
    for number in 1..=30 {
        sends(&app, number).await;
    }
    let broken = app.destination_is("broken").await;
    assert!(broken["until"].is_string(), "{broken}");
    assert_eq!(app.metric("destination_state{destination=\"erp\",state=\"broken\"}").await, 1.0);
    assert!(app.metric("delivery_backlog{destination=\"erp\"}").await >= 30.0);
    sends(&app, 31).await;
    assert_eq!(app.sees("/api/v1/exceptions").await["items"], serde_json::json!([]), "an outage parks nobody");

    app.erp.come_back().await.expect("the same port");
    for number in 1..=31 {
        app.order_is(&format!("{number:09}"), "delivered").await;
    }
    let counts = app.erp.counts();
    assert_eq!((counts.applied, counts.doubled, counts.key_reused), (31, 0, 0), "{counts:?}");
    app.destination_is("open").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_p2_a_restart_keeps_everything() {
    let app = app_with("retry_schedule = [\"1h\"]").await;
    app.erp.next([Fault::Status(422), Fault::Status(408)]);
    sends(&app, 1).await;
    app.order_is("000000001", "parked").await;
    sends(&app, 2).await;
    for number in 3..=10 {
        sends(&app, number).await;
    }
    for number in 3..=10 {
        app.order_is(&format!("{number:09}"), "delivered").await;
    }
    app.maps("skus", "key,value,destination\n24-WG085,ERP-85,\n").await;
    let told = |order: &serde_json::Value| {
        let mut order = order.clone();
        order["deliveries"][0]["due_at"].take();
        order
    };
    let before = (app.order("000000001").await, told(&app.order("000000002").await), app.order("000000003").await);
    let ledger = app.running.store.ledger().await.unwrap();

    let app = app.restart().await;
    assert_eq!(app.running.store.ledger().await.unwrap(), ledger);
    let after = (app.order("000000001").await, told(&app.order("000000002").await), app.order("000000003").await);
    assert_eq!(after, before);
    // What is known stays known, and mappings are in force.
    let again = app.patchworks_sends(orders::rest("000000003", "24-WG085", 2).to_string()).await;
    assert_eq!(again.status, 200, "ded_4: {}", again.text);
    sends(&app, 11).await;
    app.order_is("000000011", "delivered").await;
    let document: serde_json::Value = serde_json::from_slice(&app.erp.find("000000011")[0].body).unwrap();
    assert_eq!(document["lines"][0]["sku"], "ERP-85");
    assert_eq!(app.erp.counts().doubled, 0);
}
