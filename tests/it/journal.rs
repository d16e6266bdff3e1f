//! Adobe's journal and what is known to be lost, against the stand-in Commerce: nothing that push lost stays away.

use crossdock::demo::commerce::{Settings, StandIn};
use serde_json::Value;

use crate::support::shop::beside;
use crate::support::{TestApp, orders, until};

/// The service with an events origin and its journal, which is read every second where `change` says so.
async fn start(shop: &StandIn, change: impl Fn(&str) -> String) -> TestApp {
    TestApp::with(|text| change(&beside(shop, &text))).await
}

fn often(text: &str) -> String {
    text.replace("every = \"22h\"", "every = \"1s\"")
}

async fn readings(app: &TestApp, outcome: &str, times: f64) {
    let line = format!("journal_readings_total{{origin=\"adobe\",outcome=\"{outcome}\"}}");
    until("the journal was read", async || (app.metric(&line).await >= times).then_some(())).await;
}

fn places(shop: &StandIn, number: &str) -> u64 {
    let order = orders::rest(number, "24-WG085", 1);
    shop.place(order.to_string().as_bytes()).unwrap().0
}

/// Bought, and its push lost: it is on the journal only.
fn loses(shop: &StandIn, number: &str) {
    let gateway = shop.gateway();
    gateway.lose(&gateway.order_event(places(shop, number), true).unwrap());
}

async fn came_once(app: &TestApp, number: &str) {
    app.order_is(number, "delivered").await;
    assert_eq!((app.erp.find(number).len(), app.erp.counts().doubled), (1, 0), "{number}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_push_lost_is_read_from_the_journal_once_also_over_a_restart() {
    let shop = StandIn::start(Settings::default()).await.unwrap();
    let app = start(&shop, often).await;
    readings(&app, "done", 1.0).await;
    for number in 1..=7 {
        loses(&shop, &format!("{number:09}"));
    }
    for number in 1..=7 {
        came_once(&app, &format!("{number:09}")).await;
    }
    // Pushed as well as on the journal: whichever is second makes nothing new.
    let gateway = shop.gateway();
    gateway.register(&app.url("/in/adobe")).await.unwrap();
    let event = gateway.order_event(places(&shop, "000000008"), true).unwrap();
    gateway.lose(&event);
    assert_eq!(gateway.push(&[event], 0).await, Some(200));
    came_once(&app, "000000008").await;

    let app = app.restart().await;
    loses(&shop, "000000009");
    came_once(&app, "000000009").await;
    assert_eq!(app.erp.counts().applied, 9);
    let ledger = app.running.store.ledger().await.unwrap();
    assert_eq!((ledger.exception, ledger.due), (0, 0), "{ledger:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_position_is_a_gap_that_commerce_is_searched_for() {
    let shop = StandIn::start(Settings::default()).await.unwrap();
    let app = start(&shop, often).await;
    readings(&app, "done", 1.0).await;
    // Searched once at the start; the next regular search is a day away.
    until("Commerce was searched", async || {
        (app.metric(r#"sweeps_total{system="acme",outcome="done"}"#).await >= 1.0).then_some(())
    })
    .await;
    loses(&shop, "000000001");
    shop.gateway().expire_journal();
    readings(&app, "gap", 1.0).await;
    came_once(&app, "000000001").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ans_2_a_push_that_was_refused_for_good_has_the_journal_read_and_commerce_searched() {
    let shop = StandIn::start(Settings::default()).await.unwrap();
    // Both are far away, so only the refusal can ring for them.
    let app = start(&shop, str::to_owned).await;
    readings(&app, "done", 1.0).await;
    places(&shop, "000000001");
    loses(&shop, "000000002");
    let for_somebody_else = r#"{"eventid":"1","recipient_client_id":"somebodyelse","data":{"value":{}}}"#;
    let signed = shop.gateway().sign(for_somebody_else.as_bytes());
    let headers: Vec<(&str, &str)> = signed.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let refused = app.posts("/in/adobe", for_somebody_else.to_owned(), &headers).await;
    assert!((400..500).contains(&refused.status), "{}", refused.status);
    readings(&app, "done", 2.0).await;
    came_once(&app, "000000001").await;
    came_once(&app, "000000002").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_refuses_us_is_named_and_holds_nothing_else_up() {
    let shop = StandIn::start(Settings::default()).await.unwrap();
    let app = start(&shop, |text| text.replace("stand-in-client-secret", "another-secret")).await;
    readings(&app, "unauthorized", 1.0).await;
    let gateway = shop.gateway();
    gateway.register(&app.url("/in/adobe")).await.unwrap();
    let event = gateway.order_event(places(&shop, "000000001"), true).unwrap();
    assert_eq!(gateway.push(&[event], 0).await, Some(200));
    came_once(&app, "000000001").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_the_journal_that_cannot_be_read_is_parked_and_the_rest_goes_on() {
    let shop = StandIn::start(Settings::default()).await.unwrap();
    let app = start(&shop, often).await;
    readings(&app, "done", 1.0).await;
    let gateway = shop.gateway();
    let nothing = crossdock::demo::commerce::Tree::text("not an order");
    gateway.lose(&gateway.event(crossdock::demo::commerce::ORDER_SAVED, &nothing));
    loses(&shop, "000000002");
    came_once(&app, "000000002").await;
    let page = app.sees("/api/v1/exceptions?limit=10").await;
    let codes: Vec<&Value> = page["items"].as_array().unwrap().iter().map(|row| &row["code"]).collect();
    assert_eq!(codes, ["unreadable_payload"], "{page}");
}
