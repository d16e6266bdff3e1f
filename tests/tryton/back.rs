//! Stock and shipments out of Tryton: what is done there is read and stands here as if it had been posted.

use std::time::Duration;

use crossdock::app::{self, Doors};
use crossdock::config::Config;
use crossdock::store::EventFilter;
use crossdock::store::view::Paging;
use serde_json::{Value, json};

use crate::orders::{beside, beside_rpc};
use crate::server::{Tryton, home};
use crate::support::process::Serve;
use crate::support::{Site, TestApp, orders, until};

/// The service beside Tryton, reading it every second.
fn reading(edit: impl FnOnce(String) -> String) -> impl FnOnce(String) -> String {
    move |text| {
        let origin = "[origins.erp-out]\ntype = \"backoffice\"\ncommerce = \"acme\"\n\
                      poll = { destination = \"erp\", every = \"1s\" }\n\n[destinations.erp]";
        edit(text)
            .replacen("[destinations.erp]", origin, 1)
            .replace("with = { company", "with = { packages = true, company")
    }
}

/// Every envelope of that kind that was read, oldest first.
async fn read(app: &TestApp, kind: &str) -> Vec<Value> {
    let filter = EventFilter { origin: Some("erp-out".to_owned()), ..EventFilter::default() };
    let paging = Paging { limit: 200, cursor: None };
    let mut rows = app.running.store.events(filter, paging).await.unwrap().items;
    rows.reverse();
    let mut found = Vec::new();
    for row in rows.into_iter().filter(|row| row.kind == kind) {
        assert_eq!(row.verification, "polled");
        let envelope = app.running.store.envelope(row.id).await.unwrap().unwrap();
        let body: Value = serde_json::from_slice(&envelope.body).unwrap();
        found.push(body.pointer(&envelope.path).unwrap().clone());
    }
    found
}

/// SKU, location and quantity of each stock message.
fn levels(messages: &[Value]) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let one = |message: &Value| {
        assert_eq!(message["mode"], "delta");
        let item = &message["items"][0];
        (text(&item["sku"]), text(&item["location"]), text(&item["quantity"]))
    };
    messages.iter().map(one).collect()
}

async fn runs(app: &TestApp, poll: &str, outcome: &str) -> f64 {
    app.metric(&format!("poll_readings_total{{origin=\"erp-out\",poll=\"{poll}\",outcome=\"{outcome}\"}}")).await
}

async fn another_run(app: &TestApp, poll: &str) {
    let before = runs(app, poll, "done").await;
    until("it was read again", async || (runs(app, poll, "done").await >= before + 2.0).then_some(())).await;
}

fn level(sku: &str, quantity: &str) -> (String, String, String) {
    (sku.to_owned(), "WH".to_owned(), quantity.to_owned())
}

async fn stock_and_shipments_come_back(rpc: bool) {
    let Some(home) = home() else { return };
    let mut tryton = Tryton::start(home).await;
    tryton.sells(&[("24-WG085".to_owned(), true), ("24-WG086".to_owned(), true)]).await;
    tryton.counts("24-WG085", 12).await;
    let app = if rpc {
        TestApp::with(reading(beside_rpc(&tryton))).await
    } else {
        TestApp::with(reading(beside(&tryton))).await
    };
    // The first time everything there is, once, and the movement of a moment ago.
    until("the levels were read", async || (runs(&app, "levels", "done").await >= 1.0).then_some(())).await;
    until("the movement was read", async || (read(&app, "stock").await.len() >= 3).then_some(())).await;
    let mut first = levels(&read(&app, "stock").await);
    first.sort();
    assert_eq!(first, [level("24-WG085", "12"), level("24-WG085", "12"), level("24-WG086", "0")]);

    // A change of stock is the level it leads to.
    tryton.counts("24-WG086", 7).await;
    until("the change is here", async || (read(&app, "stock").await.len() == 4).then_some(())).await;
    assert_eq!(levels(&read(&app, "stock").await)[3], level("24-WG086", "7"));

    // A shipment is a fulfilment of its order, and what it took is a change of stock.
    for number in ["000000041", "000000042"] {
        let answer = app.patchworks_sends(orders::rest(number, "24-WG085", 2).to_string()).await;
        assert_eq!(answer.status, 202);
        app.order_is(number, "delivered").await;
    }
    let shipment = tryton.ships("000000042", "1Z1").await;
    let fulfilments =
        until("it is here", async || Some(read(&app, "fulfilment").await).filter(|all| !all.is_empty())).await;
    assert_eq!(fulfilments.len(), 1);
    let fulfilment = &fulfilments[0];
    assert_eq!(fulfilment["reference"], format!("{shipment}/000000042"));
    assert_eq!(fulfilment["order"]["increment_id"], "000000042");
    assert_eq!(fulfilment["location"], "WH");
    assert_eq!(fulfilment["items"], json!([{ "sku": "24-WG085", "quantity": "2" }]));
    let tracks = json!([{ "carrier_code": "custom", "title": "Parcel Service", "number": "1Z1" }]);
    assert_eq!(fulfilment["tracks"], tracks);
    assert!(fulfilment["shipped_at"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{fulfilment}");
    until("so is the level", async || (read(&app, "stock").await.len() == 5).then_some(())).await;
    assert_eq!(levels(&read(&app, "stock").await)[4], level("24-WG085", "10"));

    // Read again, also by a process that remembers nothing, it adds nothing.
    another_run(&app, "stock").await;
    another_run(&app, "shipments").await;
    let app = app.restart().await;
    until("it was read again", async || (runs(&app, "shipments", "done").await >= 2.0).then_some(())).await;
    assert_eq!((read(&app, "stock").await.len(), read(&app, "fulfilment").await.len()), (5, 1));

    // Away and there again: it goes on by itself, and what was done meanwhile is not lost.
    tryton.stop();
    until("it is away", async || (runs(&app, "stock", "unavailable").await >= 1.0).then_some(())).await;
    tryton.start_again().await;
    tryton.counts("24-WG086", 3).await;
    until("it is here", async || (read(&app, "stock").await.len() == 6).then_some(())).await;
    assert_eq!(levels(&read(&app, "stock").await)[5], level("24-WG086", "3"));
    let positions = app.sees("/api/v1/catchup").await;
    let of_polls =
        positions["items"].as_array().unwrap().iter().filter(|row| row["kind"].as_str().unwrap().starts_with("poll "));
    assert_eq!(of_polls.count(), 3, "{positions}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_and_shipments_done_there_come_back_once() {
    stock_and_shipments_come_back(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_and_shipments_done_there_come_back_once_over_json_rpc() {
    stock_and_shipments_come_back(true).await;
}

/// Killed again and again while stock moves: every movement is here once, and the last level is the last.
#[tokio::test(flavor = "multi_thread")]
async fn p1_killed_between_append_and_position_nothing_is_lost_and_nothing_is_there_twice() {
    let Some(home) = home() else { return };
    let tryton = Tryton::start(home).await;
    tryton.sells(&[("24-WG085".to_owned(), true)]).await;
    tryton.counts("24-WG085", 100).await;
    let site = Site::new("http://127.0.0.1:1", reading(beside(&tryton)));
    for round in 0..6_u32 {
        let serve = tokio::task::block_in_place(|| Serve::start(&site));
        for step in 0..4 {
            tryton.counts("24-WG085", 101 + round * 4 + step).await;
        }
        tokio::time::sleep(Duration::from_millis(u64::from(150 + 190 * round))).await;
        tokio::task::block_in_place(|| serve.kill());
    }
    let loaded = Config::load(&site.config_path(), &|_| None).unwrap();
    let running = app::start(loaded, Doors::default()).await.unwrap();
    let erp = crossdock::demo::erp::StandInErp::start().await.unwrap();
    let token = crate::support::process::token(&site, "admin");
    let app = TestApp { site, erp, running, client: reqwest::Client::new(), token };
    // The first level of all, the movement before the start, and 24 of them after it.
    until("all of it is here", async || (read(&app, "stock").await.len() >= 26).then_some(())).await;
    another_run(&app, "stock").await;
    let found = levels(&read(&app, "stock").await);
    assert_eq!(found.len(), 26, "{found:?}");
    assert_eq!(found[25], level("24-WG085", "124"));
    assert!(found.iter().all(|(sku, location, _)| sku == "24-WG085" && location == "WH"));
    app.stop().await;
}
