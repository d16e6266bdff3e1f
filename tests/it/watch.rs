//! What a scrape says is what happened: counters pair up with each other, with the ledger and with the lists.

use serde_json::json;

use crate::delivery::{SOON, app_with};
use crate::support::{API_KEY, TestApp, orders, until};
use crossdock::demo::erp::Fault;

/// Sum of a counter over all label sets.
async fn sum(app: &TestApp, name: &str) -> f64 {
    let text = app.client.get(app.url("/metrics")).send().await.unwrap().text().await.unwrap();
    let rows = text
        .lines()
        .filter(|row| row.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' ')));
    rows.map(|row| row.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_records_are_all_accounted_for() {
    let app = TestApp::with(|text| {
        text.replacen("type = \"patchworks\"", "type = \"patchworks\"\nevent_id_header = \"X-Event-Id\"", 1)
    })
    .await;
    let order = |number: u32| orders::rest(&format!("{number:09}"), "24-WG085", 2);
    let key = [("x-api-key", API_KEY)];
    let path = "/in/flows/orders";
    app.posts(path, json!([order(1), 7, { "colour": "red" }, order(1)]).to_string(), &key).await;
    app.posts(path, "[1]", &key).await;
    app.posts(path, "not JSON", &key).await;
    app.posts(path, order(2).to_string(), &[]).await;
    app.posts(path, vec![b' '; 1_100_000], &key).await;
    app.posts("/in/nobody", "{}", &key).await;
    app.posts("/in/flows/oders", "{}", &key).await;
    let named = [("x-api-key", API_KEY), ("x-event-id", "run-1")];
    app.posts(path, order(3).to_string(), &named).await;
    app.posts(path, order(4).to_string(), &named).await;
    app.commerce_sends(orders::observed("000000005", "24-WG085", 1)).await;
    app.commerce_sends("not JSON").await;
    app.settled().await;

    let [requests, stored, refused] = [
        sum(&app, "intake_requests_total").await,
        sum(&app, "intake_stored_total").await,
        sum(&app, "intake_refused_total").await,
    ];
    assert_eq!((requests, stored, refused), (11.0, 6.0, 5.0), "requests = stored + refused");
    let mut became = [0.0; 4];
    for (count, name) in became.iter_mut().zip(["accepted", "duplicates", "conflicts", "rejected"]) {
        *count = sum(&app, &format!("intake_{name}_total")).await;
    }
    assert_eq!(became, [4.0, 1.0, 1.0, 3.0]);
    assert_eq!(sum(&app, "intake_records_total").await, 9.0, "records = accepted + duplicate + conflict + rejected");
    assert_eq!(app.stored().await, 4, "accepted = the ledger's");
    assert!(app.metric("store_commit_seconds_count").await >= 4.0, "deploy/alerts.yml watches the disk by it");
}

#[tokio::test(flavor = "multi_thread")]
async fn exceptions_opened_are_counted_whoever_opens_them() {
    let app = app_with(SOON).await;
    app.maps("skus", "key,value,destination\n24-WG085,ITEM-1,\n").await;
    app.erp.next([Fault::Status(422)]);
    app.commerce_sends(orders::observed("000000001", "24-WG085", 1)).await;
    app.order_is("000000001", "parked").await;
    app.commerce_sends(orders::observed("000000002", "NEW-SKU", 1)).await;
    app.commerce_sends("not JSON").await;
    app.settled().await;
    for code in ["rejected_by_destination", "unmapped_sku", "unreadable_payload"] {
        let line = format!("exceptions_opened_total{{code=\"{code}\"}}");
        until(&line, async || (app.metric(&line).await == 1.0).then_some(())).await;
        assert_eq!(app.metric(&format!("exceptions_open{{code=\"{code}\"}}")).await, 1.0);
    }
    let ledger = app.sees("/api/v1/ledger").await;
    assert_eq!((&ledger["exception"], &ledger["difference"]), (&json!(3), &json!(0)), "{ledger}");
    for (column, count) in [("accepted", 3.0), ("exception", 3.0), ("done", 0.0), ("due", 0.0)] {
        assert_eq!(app.metric(&format!("ledger{{column=\"{column}\"}}")).await, count, "{column}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_started_are_attempts_ended_are_requests_at_the_erp() {
    let app = app_with(SOON).await;
    app.erp.plan(Some(Box::new(|number| (number % 3 == 1).then_some(Fault::Status(408)))));
    for number in 1..=10 {
        app.commerce_sends(orders::observed(&format!("{number:09}"), "24-WG085", 1)).await;
    }
    app.settled().await;
    let requests = app.erp.counts().requests;
    assert!(requests > 10);
    let started = async || sum(&app, "delivery_attempts_started_total").await;
    let ended = async || sum(&app, "delivery_attempts_total").await;
    until("every attempt is counted", async || (ended().await == started().await).then_some(())).await;
    assert_eq!(format!("{}", started().await), requests.to_string());
    assert_eq!(app.metric("delivery_attempts_total{destination=\"erp\",outcome=\"accepted\"}").await, 10.0);
    assert_eq!(app.metric("accept_to_erp_seconds_count{destination=\"erp\"}").await, 10.0);
    assert_eq!(app.metric("delivery_in_flight{destination=\"erp\"}").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_the_processor_parks_is_counted_too() {
    let app = TestApp::after_a_kill().await;
    app.maps("skus", "key,value,destination\n24-WG085,ITEM-1,\n").await;
    app.commerce_sends(orders::observed("000000002", "NEW-SKU", 1)).await;
    app.order_is("000000002", "parked").await;
    let line = "exceptions_opened_total{code=\"unmapped_sku\"}";
    until(line, async || (app.metric(line).await == 1.0).then_some(())).await;
    app.commerce_sends(orders::observed("000000003", "24-WG085", 1)).await;
    app.order_is("000000003", "delivered").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn run_3_health_says_why_and_nothing_of_ours_to_strangers() {
    let app = TestApp::start().await;
    for (path, status) in [("/health/live", "live"), ("/health/ready", "ready")] {
        let answer = app.client.get(app.url(path)).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), &answer.headers()["cache-control"]), (200, &"no-store".parse().unwrap()));
        let told: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(told, json!({ "status": status, "reasons": [] }));
    }
}
