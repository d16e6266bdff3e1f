//! Orders that push lost, found by searching Commerce (docs/decisions/0047).

use crossdock::clock::{Clock as _, SystemClock, Timestamp};
use crossdock::commerce::rest::RestError;
use serde_json::{Value, json};

use crate::support::commerce::Commerce;
use crate::support::{TestApp, orders, until};

fn swept(every: &'static str) -> impl FnOnce(String) -> String {
    move |text| text.replace("sweep = \"off\"", &format!("sweep = {{ every = \"{every}\", overlap = \"10m\" }}"))
}

/// An order that was changed so many seconds from now.
fn changed(number: &str, seconds: i64) -> Value {
    let mut order = orders::rest(number, "24-WG085", 1);
    let at = SystemClock.now().checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap();
    order["updated_at"] = json!(at.strftime("%Y-%m-%d %H:%M:%S").to_string());
    order
}

fn numbers(from: u32, count: u32) -> Vec<String> {
    (from..from + count).map(|number| format!("{number:09}")).collect()
}

async fn start(every: &'static str) -> (Commerce, TestApp) {
    let commerce = Commerce::default();
    let app = TestApp::on(commerce.machine(), swept(every)).await;
    searched(&app, 1).await;
    (commerce, app)
}

/// Waits for so many whole searches of this process.
async fn searched(app: &TestApp, times: u32) {
    let line = r#"sweeps_total{system="acme",outcome="done"}"#;
    until("Commerce was searched", async || (app.metric(line).await >= f64::from(times)).then_some(())).await;
}

/// Waits for two more searches: at least the second began after now.
async fn searched_again(app: &TestApp) {
    let done = app.metric(r#"sweeps_total{system="acme",outcome="done"}"#).await;
    let line = r#"sweeps_total{system="acme",outcome="done"}"#;
    until("Commerce was searched again", async || (app.metric(line).await >= done + 2.0).then_some(())).await;
}

async fn position(app: &TestApp) -> Timestamp {
    let kept = app.running.store.position("acme".to_owned(), "sweep".to_owned()).await.unwrap();
    kept.unwrap().position.parse().unwrap()
}

async fn each_came_once(app: &TestApp, numbers: &[String]) {
    for number in numbers {
        app.order_is(number, "delivered").await;
        assert_eq!(app.erp.find(number).len(), 1, "{number}");
    }
    assert_eq!(app.erp.counts().doubled, 0);
    assert_eq!(app.running.store.recount().await.unwrap(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_orders_whose_pushes_were_lost_while_the_service_was_down_come_once_after_its_start() {
    let (commerce, app) = start("1h").await;
    // More than a page; one of them did come by push.
    let numbers = numbers(1_000, 105);
    for (index, number) in numbers.iter().enumerate() {
        commerce.saves(changed(number, -(i64::try_from(index).unwrap() % 60)));
    }
    app.commerce_sends(observed(&changed(&numbers[0], 0))).await;
    let app = app.restart_on(commerce.machine()).await;
    each_came_once(&app, &numbers).await;
    searched(&app, 1).await;
    assert_eq!(commerce.asked_for("/V1/orders/1000", ""), 0, "what is here is not read again");
    assert_eq!(app.metric(r#"sweep_found_total{system="acme"}"#).await, 104.0);
    let there = app.sees("/api/v1/traffic").await["newest_orders"][0]["there"].clone();
    assert_eq!((&there["increment_id"], &there["is_here"]), (&json!(numbers.last().unwrap()), &json!(true)));
    let told = app.sees("/api/v1/catchup").await;
    assert_eq!(told["items"].as_array().unwrap().len(), 1, "{told}");
    assert_eq!((&told["items"][0]["system"], &told["items"][0]["kind"]), (&json!("acme"), &json!("sweep")));
    assert!(position(&app).await >= SystemClock.now() - jiff::SignedDuration::from_mins(1));
}

pub fn observed(order: &Value) -> String {
    json!({ "subject": [], "eventName": "sales_order_save_commit_after", "data": { "order": order } }).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn lane_3_a_time_that_our_own_write_moved_makes_no_other_document() {
    let (commerce, app) = start("1s").await;
    commerce.saves(changed("000002001", -30));
    app.order_is("000002001", "delivered").await;
    commerce.saves(changed("000002001", 0));
    until("it was read again", async || (commerce.asked_for("/V1/orders/2001", "") == 2).then_some(())).await;
    searched_again(&app).await;
    app.settled().await;
    assert_eq!(commerce.asked_for("/V1/orders/2001", ""), 2, "and not a third time");
    let told = app.order("000002001").await;
    assert_eq!(told["events"].as_array().unwrap().len(), 2);
    assert!(told["events"].as_array().unwrap().iter().any(|event| event["state"] == "superseded"), "{told}");
    assert_eq!(told["deliveries"].as_array().unwrap().len(), 1, "{told}");
    assert_eq!(app.erp.find("000002001").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_search_ever_leaves_the_shops_history_alone() {
    let commerce = Commerce::default();
    commerce.saves(orders::rest("000003001", "24-WG085", 1));
    commerce.saves(changed("000003002", -3_600));
    commerce.saves(changed("000003003", -60));
    let app = TestApp::on(commerce.machine(), swept("1s")).await;
    searched(&app, 3).await;
    each_came_once(&app, &numbers(3_003, 1)).await;
    assert_eq!(app.stored().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_order_that_cannot_be_read_is_put_before_a_person_and_the_search_goes_on() {
    let (commerce, app) = start("1s").await;
    commerce.refuses(Some(4_001));
    for number in numbers(4_000, 3) {
        commerce.saves(changed(&number, 0));
    }
    app.order_is("000004000", "delivered").await;
    app.order_is("000004002", "delivered").await;
    until("a person is asked", async || (app.exceptions_of("000004001").await.len() == 1).then_some(())).await;
    searched_again(&app).await;
    assert_eq!(app.exceptions_of("000004001").await.len(), 1, "once");
    // It changes, and can be read.
    commerce.refuses(None);
    commerce.saves(changed("000004001", 1));
    each_came_once(&app, &numbers(4_000, 3)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_a_search_that_fails_in_the_middle_keeps_its_place_and_repeats_until_all_is_here() {
    let (commerce, app) = start("1s").await;
    let began = position(&app).await;
    commerce.fails(Some(RestError::Unavailable { message: "maintenance".to_owned(), retry_after: None }));
    let numbers = numbers(5_000, 6);
    for number in &numbers {
        commerce.saves(changed(number, 0));
    }
    let failed = r#"sweeps_total{system="acme",outcome="unavailable"}"#;
    until("a search failed", async || (app.metric(failed).await >= 1.0).then_some(())).await;
    assert_eq!(position(&app).await, began);
    assert!(app.metric(r#"catchup_lag_seconds{system="acme"}"#).await >= 0.0);
    // The process ends, and an order was taken in that the search does not know of.
    let app = app.restart_on(commerce.machine()).await;
    let found = crossdock::intake::read::Found {
        system: "acme".into(),
        body: changed(&numbers[2], 0).to_string().into(),
        by: crossdock::intake::read::FoundBy::Sweep,
    };
    app.running.intake.take_read(found).await.unwrap();
    commerce.fails(None);
    each_came_once(&app, &numbers).await;
    searched(&app, 1).await;
    assert!(position(&app).await >= began);
}

#[tokio::test(flavor = "multi_thread")]
async fn ans_2_pushes_known_to_be_lost_are_searched_for_at_once() {
    let (commerce, app) = start("24h").await;
    commerce.saves(changed("000006001", 0));
    commerce.missed();
    each_came_once(&app, &numbers(6_001, 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_are_told_and_nothing_is_skipped() {
    let (commerce, app) = start("1s").await;
    let began = position(&app).await;
    commerce.saves(changed("000007001", 0));
    commerce.fails(Some(RestError::Unauthorized("the consumer isn't authorized".to_owned())));
    let refused = r#"sweeps_total{system="acme",outcome="unauthorized"}"#;
    until("it was refused", async || (app.metric(refused).await >= 1.0).then_some(())).await;
    commerce.fails(None);
    commerce.missed();
    each_came_once(&app, &numbers(7_001, 1)).await;
    assert!(position(&app).await >= began);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_everything_missed_is_found_by_its_number_and_a_number_that_never_was_is_asked_for_once() {
    let commerce = Commerce::default();
    let edit =
        |text: String| text.replace("sweep = \"off\"", "sweep = { every = \"1s\", overlap = \"1m\", gaps = \"1s\" }");
    let app = TestApp::on(commerce.machine(), edit).await;
    searched(&app, 1).await;
    // 8001 changed before the search looks back, its push was lost; 8003 was a checkout that nobody finished.
    commerce.saves(changed("000008001", -3_600));
    for number in ["000008000", "000008002", "000008004", "000008005"] {
        let mut order = changed(number, 0);
        order["created_at"] = order["updated_at"].clone();
        commerce.saves(order);
    }
    for number in ["000008000", "000008001", "000008002", "000008004", "000008005"] {
        app.order_is(number, "delivered").await;
        assert_eq!(app.erp.find(number).len(), 1, "{number}");
    }
    let told = async || app.sees("/api/v1/catchup/gaps").await["items"].as_array().unwrap().clone();
    let gaps = until("both were asked for", async || Some(told().await).filter(|gaps| gaps.len() == 2)).await;
    let mut outcomes: Vec<_> =
        gaps.iter().map(|gap| (gap["increment_id"].as_str().unwrap(), gap["outcome"].as_str().unwrap())).collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, [("000008001", "found"), ("000008003", "reserved")]);
    searched_again(&app).await;
    assert_eq!(commerce.asked_for("/V1/orders", "000008003"), 1, "it is asked for once");
    let app = app.restart_on(commerce.machine()).await;
    searched(&app, 2).await;
    assert_eq!(commerce.asked_for("/V1/orders", "000008003"), 1, "and not again after a restart");
    assert!(app.exceptions_of("000008003").await.is_empty(), "nobody is bothered with it");
}
