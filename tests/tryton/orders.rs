//! Orders through the service into Tryton.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crossdock::demo::samples;
use serde_json::Value;

use crate::server::{Tryton, home};
use crate::support::process::{self, Serve};
use crate::support::{Site, TestApp, orders, until};

pub fn beside(tryton: &Tryton) -> impl FnOnce(String) -> String {
    let Tryton { keys, .. } = tryton;
    let destination = format!(
        r#"[destinations.erp]
profile = "tryton"
url = "{}"
auth = {{ type = "bearer", token = "{}" }}
with = {{ company = {}, shop = {} }}
allow_private = ["127.0.0.0/8"]
concurrency = 4
settle_after = "500ms"
retry_schedule = ["200ms", "500ms", "1s", "2s", "2s", "2s", "2s", "2s", "2s", "2s"]

[[routes]]"#,
        tryton.url(),
        keys.key,
        keys.company,
        keys.shop,
    );
    move |text| {
        let start = text.find("[destinations.erp]").expect("the test configuration has it");
        let end = text.find("[[routes]]").expect("the test configuration has routes");
        format!("{}{destination}{}", &text[..start], &text[end + "[[routes]]".len()..])
    }
}

/// The same over JSON-RPC.
pub fn beside_rpc(tryton: &Tryton) -> impl FnOnce(String) -> String {
    let rest = beside(tryton);
    let key = format!("auth = {{ type = \"bearer\", token = \"{}\" }}", tryton.keys.key);
    let url = tryton.url();
    move |text| {
        let login = format!(
            r#"auth = {{ type = "login", url = "{url}/rpc/", body = {{ id = 1, method = "common.db.login", params = ["router", {{ password = "router-secret" }}] }}, value = "Session {{{{ ('router:' ~ answer.result[0] ~ ':' ~ answer.result[1]) | base64 }}}}", lifetime = "4h" }}"#
        );
        let text = rest(text).replace(&key, &login).replace("profile = \"tryton\"", "profile = \"tryton-rpc\"");
        text.replacen(&format!("url = \"{url}\""), &format!("url = \"{url}/rpc\""), 1)
    }
}

/// The document that the service makes of an order; `None`: it cannot be expanded.
async fn expanded(app: &TestApp, order: &str) -> Option<Value> {
    let order: Value = serde_json::from_str(order).ok()?;
    let answer = app.asks(reqwest::Method::POST, "/api/v1/orders/expand", Some(&order)).await;
    if answer.status != 200 {
        return None;
    }
    let document = find_member(&answer.json(), "sales_order")?.clone();
    document.is_object().then_some(document)
}

fn find_member<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    match value {
        Value::Object(members) => {
            members.get(name).or_else(|| members.values().find_map(|member| find_member(member, name)))
        }
        Value::Array(items) => items.iter().find_map(|item| find_member(item, name)),
        _ => None,
    }
}

/// SKUs of a document, and whether each is ordered in whole units.
fn goods(document: &Value, into: &mut BTreeMap<String, bool>) {
    for line in document["lines"].as_array().unwrap() {
        if matches!(line["kind"].as_str(), Some("item" | "component" | "kit")) {
            let whole = !line["quantity"].as_str().unwrap().contains('.');
            *into.entry(line["sku"].as_str().unwrap().to_owned()).or_insert(true) &= whole;
        }
    }
}

/// Sends orders that expand and compares what stands in Tryton with what was charged.
async fn each_stands_there_as_it_was_charged(all: Vec<String>, rpc: bool) -> usize {
    let Some(home) = home() else { return usize::MAX };
    let tryton = Tryton::start(home).await;
    let app = if rpc { TestApp::with(beside_rpc(&tryton)).await } else { TestApp::with(beside(&tryton)).await };
    let (mut skus, mut charged, mut bodies) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for order in all {
        let Some(document) = expanded(&app, &order).await else { continue };
        // Currencies of the prepared company.
        if !["EUR", "USD", "GBP"].contains(&document["order"]["currency"].as_str().unwrap()) {
            continue;
        }
        let number = document["order"]["increment_id"].as_str().unwrap().to_owned();
        if charged.contains_key(&number) {
            continue;
        }
        goods(&document, &mut skus);
        charged.insert(number, document["totals"]["total"].as_str().unwrap().to_owned());
        bodies.push(order);
    }
    tryton.sells(&skus.into_iter().collect::<Vec<_>>()).await;
    let begun = Instant::now();
    for body in bodies {
        let answer = app.patchworks_sends(body).await;
        assert!(matches!(answer.status, 200 | 202), "{}: {}", answer.status, answer.text);
    }
    for number in charged.keys() {
        app.order_is(number, "delivered").await;
    }
    let took = begun.elapsed();
    let there = tryton.sales().await;
    assert_eq!(there.len(), charged.len());
    for (number, state, total) in &there {
        let (total, wanted): (rust_decimal::Decimal, rust_decimal::Decimal) =
            (total.parse().unwrap(), charged[number].parse().unwrap());
        assert_eq!(total, wanted, "{number}");
        assert!(matches!(state.as_str(), "processing" | "done"), "{number} is {state}");
    }
    println!("{} orders in {:.1} s", charged.len(), took.as_secs_f64());
    charged.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_order_stands_there_as_it_was_charged() {
    let all = samples::orders().into_iter().map(|sample| sample.json.to_owned()).collect();
    assert!(each_stands_there_as_it_was_charged(all, false).await >= 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_order_stands_there_as_it_was_charged_over_json_rpc() {
    let all = samples::orders().into_iter().map(|sample| sample.json.to_owned()).collect();
    assert!(each_stands_there_as_it_was_charged(all, true).await >= 12);
}

/// Every order of the corpus, a file each, whatever it is wrapped in.
fn corpus() -> Option<Vec<String>> {
    let Some(corpus) = std::env::var_os("CROSSDOCK_CORPUS") else {
        eprintln!("CROSSDOCK_CORPUS is unset: the corpus was left out");
        return None;
    };
    let mut files = Vec::new();
    let mut folders = vec![std::path::PathBuf::from(corpus)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "json") {
                files.push(path);
            }
        }
    }
    files.sort();
    let all = files.iter().filter_map(|file| {
        let text = std::fs::read_to_string(file).ok()?;
        let value: Value = serde_json::from_str(&text).ok()?;
        (value["increment_id"].is_string() && value["items"].is_array()).then_some(text)
    });
    Some(all.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_real_order_stands_there_as_it_was_charged() {
    let Some(all) = corpus() else { return };
    let count = each_stands_there_as_it_was_charged(all, false).await;
    assert!(count > 20, "{count} orders");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_real_order_stands_there_as_it_was_charged_over_json_rpc() {
    let Some(all) = corpus() else { return };
    let count = each_stands_there_as_it_was_charged(all, true).await;
    assert!(count > 20, "{count} orders");
}

/// One session for all, which ends in the middle; a duplicate and an unknown product on the way; the router is killed.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_an_error_inside_a_200_and_a_stop_lose_nothing_over_json_rpc() {
    let Some(home) = home() else { return };
    let mut tryton = Tryton::start(home).await;
    let app = TestApp::with(beside_rpc(&tryton)).await;
    tryton.sells(&[("24-WG085".to_owned(), true)]).await;
    let send = async |number: u32, sku: &str| {
        let order = orders::rest(&format!("{number:09}"), sku, 1).to_string();
        assert!(matches!(app.patchworks_sends(order).await.status, 200 | 202));
    };
    send(1, "24-WG085").await;
    app.order_is("000000001", "delivered").await;
    // Every session is forgotten.
    tryton.stop();
    tryton.forgets_sessions();
    send(2, "24-WG085").await;
    tryton.start_again().await;
    app.order_is("000000002", "delivered").await;
    send(2, "24-WG085").await;
    send(3, "24-UNKNOWN").await;
    let exception = until("it waits", async || app.exceptions_of("000000003").await.pop()).await;
    assert!(exception["message"].as_str().unwrap().contains("24-UNKNOWN"), "{exception}");
    // It is there already, made by somebody else: an error inside a 200 says so, and the find says whose it is.
    tryton.database_stops();
    send(4, "24-WG085").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    tryton.database_starts();
    app.order_is("000000004", "delivered").await;
    let mut numbers: Vec<String> = tryton.sales().await.into_iter().map(|(number, ..)| number).collect();
    numbers.sort();
    assert_eq!(numbers, ["000000001", "000000002", "000000004"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_database_and_a_stopped_erp_lose_nothing_and_double_nothing() {
    let Some(home) = home() else { return };
    let mut tryton = Tryton::start(home).await;
    let app = TestApp::with(beside(&tryton)).await;
    tryton.sells(&[("24-WG085".to_owned(), true)]).await;
    let send = async |from: u32, count: u32| {
        for number in from..from + count {
            let order = orders::rest(&format!("{number:09}"), "24-WG085", 1).to_string();
            assert_eq!(app.patchworks_sends(order).await.status, 202);
        }
    };
    send(1, 3).await;
    app.order_is("000000003", "delivered").await;
    tryton.database_stops();
    send(4, 3).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    tryton.database_starts();
    tryton.stop();
    send(7, 3).await;
    tryton.start_again().await;
    for number in 1..10 {
        app.order_is(&format!("{number:09}"), "delivered").await;
    }
    let mut numbers: Vec<String> = tryton.sales().await.into_iter().map(|(number, ..)| number).collect();
    numbers.sort();
    assert_eq!(numbers, (1..10).map(|number| format!("{number:09}")).collect::<Vec<_>>());
    app.stop().await;
}

/// The service is killed again and again while orders go through its steps.
#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_of_two_hundred_orders_each_is_there_once() {
    let Some(home) = home() else { return };
    let tryton = Tryton::start(home).await;
    tryton.sells(&[("24-WG085".to_owned(), true)]).await;
    let site = Site::new("http://127.0.0.1:1", beside(&tryton));
    let (orders, kills) = (200_u32, 8);
    let mut sent = 1;
    for round in 0..=kills {
        let serve = tokio::task::block_in_place(|| Serve::start(&site));
        while sent <= orders * (round + 1) / (kills + 1) {
            let order = orders::rest(&format!("{sent:09}"), "24-WG085", 1).to_string();
            let url = format!("http://{}/in/flows/orders", serve.address);
            let request = reqwest::Client::new().post(url).header("x-api-key", crate::support::API_KEY);
            let answer = request.header("content-type", "application/json").body(order).send().await.unwrap();
            assert_eq!(answer.status().as_u16(), 202);
            sent += 1;
        }
        if round < kills {
            tokio::time::sleep(Duration::from_millis(u64::from(300 + 170 * round))).await;
            tokio::task::block_in_place(|| serve.kill());
        } else {
            let begun = Instant::now();
            let wanted = usize::try_from(orders).unwrap();
            loop {
                let there = tryton.sales().await;
                let finished =
                    there.iter().filter(|(_, state, _)| matches!(state.as_str(), "processing" | "done")).count();
                if finished == wanted {
                    break;
                }
                assert!(begun.elapsed() < Duration::from_mins(4), "{finished} of {} finished", there.len());
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            tokio::task::block_in_place(|| serve.kill());
        }
    }
    let mut numbers: Vec<String> = tryton.sales().await.into_iter().map(|(number, ..)| number).collect();
    numbers.sort();
    assert_eq!(numbers, (1..=orders).map(|number| format!("{number:09}")).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_is_not_there_yet_is_told_by_its_sku_and_the_retry_finds_it() {
    let Some(home) = home() else { return };
    let tryton = Tryton::start(home).await;
    let app = TestApp::with(beside(&tryton)).await;
    let send = async |number: &str| {
        let answer = app.patchworks_sends(orders::rest(number, "24-WG085", 1).to_string()).await;
        assert_eq!(answer.status, 202);
    };
    send("000000001").await;
    let exception = until("it waits", async || app.exceptions_of("000000001").await.pop()).await;
    assert_eq!(exception["code"], "rejected_by_destination", "{exception}");
    assert!(exception["message"].as_str().unwrap().contains("it has no product 24-WG085"), "{exception}");
    tryton.sells(&[("24-WG085".to_owned(), true)]).await;
    let delivery = exception["delivery_id"].as_str().unwrap();
    let path = format!("/api/v1/deliveries/{delivery}/decide");
    let answer = app.acts(&path, "put right", &serde_json::json!({ "verdict": "retry" })).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let order = app.order_is("000000001", "delivered").await;
    assert_eq!(tryton.sales().await.len(), 1);
    // Each step of each attempt is told.
    let told = app.sees(&format!("/api/v1/deliveries/{delivery}")).await;
    let steps: Vec<String> = told["attempts_made"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|attempt| attempt["steps"].as_array().cloned().unwrap_or_default())
        .filter_map(|step| step["name"].as_str().map(str::to_owned))
        .collect();
    for step in ["find", "products", "new party", "quote", "confirm", "process", "verify"] {
        assert!(steps.iter().any(|known| known == step), "{step}: {steps:?}");
    }
    assert!(order.to_string().contains("steps: find"), "{order}");
    app.stop().await;
}
