//! What every profile keeps, whatever its system is like: each order is there once, as it was charged.

use std::sync::Arc;

use crossdock::demo::samples;
use serde_json::{Value, json};

use crate::office::{Booked, Fault, Office, Reply, System};
use crate::support::{TestApp, orders as sample, until};

/// A profile under contract.
pub struct Profile {
    /// The system behind the door.
    pub system: Arc<dyn System>,
    /// `[destinations.erp]` without its head, `url`, time-outs and retries.
    pub config: &'static str,
    /// What stands behind the door's address in `url`.
    pub path: &'static str,
    /// As the system refuses a record for good, throttles, stumbles, and does not know us.
    pub permanent: Reply,
    pub throttled: Reply,
    pub transient: Reply,
    pub unauthorized: Reply,
    /// An error inside a 200, if the system does such a thing.
    pub error_inside: Option<Reply>,
}

/// The service with one destination of that profile.
pub async fn service(profile: &Profile) -> (TestApp, Office) {
    service_with(profile, |text| text).await
}

pub async fn service_with(profile: &Profile, edit: impl FnOnce(String) -> String) -> (TestApp, Office) {
    let office = Office::open(Arc::clone(&profile.system)).await;
    let destination = format!(
        r#"[destinations.erp]
url = "{}{}"
allow_private = ["127.0.0.0/8"]
request_timeout = "2s"
retry_schedule = ["100ms", "100ms", "200ms", "400ms", "1s", "1s", "1s", "1s"]
settle_after = "200ms"
{}
[[routes]]"#,
        office.url(),
        profile.path,
        profile.config.replace("OFFICE", &office.url()),
    );
    let app = TestApp::with(|text| {
        let start = text.find("[destinations.erp]").expect("the test configuration has it");
        let end = text.find("[[routes]]").expect("the test configuration has routes");
        edit(format!("{}{destination}{}", &text[..start], &text[end + "[[routes]]".len()..]))
    })
    .await;
    (app, office)
}

/// The sample orders as flows send them, with the total that was charged (before what gift cards and the like paid).
pub fn orders() -> Vec<(&'static str, String)> {
    samples::orders().into_iter().map(|sample| (sample.increment_id, sample.json.to_owned())).collect()
}

/// One typical order.
pub fn one() -> (&'static str, String) {
    orders().into_iter().find(|(number, _)| *number == "100000103").expect("the bundle of the tour")
}

pub async fn send(app: &TestApp, order: &str) {
    let answer = app.patchworks_sends(order.to_owned()).await;
    assert!(matches!(answer.status, 200 | 202), "{}: {}", answer.status, answer.text);
}

pub fn booked(office: &Office, number: &str) -> Vec<Booked> {
    office.system().orders().into_iter().filter(|order| order.reference == number).collect()
}

async fn delivered_once(app: &TestApp, office: &Office, number: &str) -> Booked {
    let order = app.order_is(number, "delivered").await;
    let there = booked(office, number);
    assert_eq!(there.len(), 1, "{there:?}");
    let receipt = order["deliveries"][0]["receipt"].as_str().unwrap_or_default();
    assert_eq!(receipt, there[0].number, "the number that a person would look for");
    there[0].clone()
}

/// The total of an order's document, as a decimal.
async fn total(app: &TestApp, number: &str) -> rust_decimal::Decimal {
    let order = app.order(number).await;
    let id = order["documents"][0]["id"].as_str().expect("a document");
    let document = app.sees(&format!("/api/v1/documents/{id}")).await;
    let body = if document["body"].is_object() { &document["body"] } else { &document };
    body["totals"]["total"].as_str().expect("a total").parse().unwrap()
}

async fn exception(app: &TestApp, number: &str) -> Value {
    until(&format!("{number} has an exception"), async || app.exceptions_of(number).await.pop()).await
}

async fn retry(app: &TestApp, exception: &Value) {
    let id = exception["delivery_id"].as_str().expect("a delivery");
    let path = format!("/api/v1/deliveries/{id}/decide");
    let answer = app.acts(&path, id, &json!({"verdict": "retry", "reason": "put right"})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

/// Every sample order is there once with the total that was charged, finished, under a number that we know.
pub async fn every_sample_arrives_as_it_was_charged(profile: Profile) {
    every_sample_but(&[], profile).await;
}

/// The order of the tour for 2.25 m of cloth.
pub const BY_THE_METRE: &str = "100000112";

/// The same of a system that takes whole pieces only; the others wait for a person and say why.
pub async fn every_sample_of_whole_pieces_arrives_as_it_was_charged(profile: Profile) {
    every_sample_but(&[BY_THE_METRE], profile).await;
}

async fn every_sample_but(parked: &[&str], profile: Profile) {
    let (app, office) = service(&profile).await;
    let mut checked = 0;
    for (number, order) in orders() {
        if parked.contains(&number) {
            send(&app, &order).await;
            let exception = exception(&app, number).await;
            assert!(exception["message"].as_str().unwrap().contains("2.25"), "{exception}");
            assert!(booked(&office, number).is_empty());
            continue;
        }
        send(&app, &order).await;
        let there = delivered_once(&app, &office, number).await;
        let charged = total(&app, number).await;
        assert_eq!(there.total.parse::<rust_decimal::Decimal>().unwrap(), charged, "{number}");
        assert!(there.finished, "{number}: {there:?}");
        checked += 1;
    }
    assert!(checked >= 10);
    app.stop().await;
}

/// What buyers chose and wrote, of a single product and of a bundle, stands in what is sent, every word of it.
pub async fn the_buyers_words_arrive(profile: Profile) {
    let (app, office) = service(&profile).await;
    let mut checked = 0;
    for (number, order) in orders() {
        let answer = app
            .asks(reqwest::Method::POST, "/api/v1/orders/expand", Some(&serde_json::from_str(&order).unwrap()))
            .await;
        let value = answer.json();
        let lines = find_member(&value, "lines").expect("lines in the expansion").as_array().unwrap().clone();
        let mut words = Vec::new();
        for option in lines.iter().flat_map(|line| line["options"].as_array().unwrap()) {
            words.extend(option["title"].as_str().map(str::to_owned));
            collect(if option["value"].is_null() { &option["raw"] } else { &option["value"] }, &mut words);
        }
        // A warehouse gets nothing of what does not ship.
        let ships = lines.iter().any(|line| line["ships"] == true);
        if words.is_empty() || !ships || number == BY_THE_METRE {
            continue;
        }
        send(&app, &order).await;
        delivered_once(&app, &office, number).await;
        let mut sent = Vec::new();
        for asked in office.log().iter().filter(|asked| office.system().makes(asked) && asked.text.contains(number)) {
            collect(&asked.json(), &mut sent);
        }
        // Long texts are cut into lines where a system has short ones, so word by word.
        let sent = sent.join(" ");
        for word in words.iter().flat_map(|words| words.split_whitespace()) {
            assert!(sent.contains(word), "{number}: \"{word}\" is not in {sent}");
            checked += 1;
        }
    }
    assert!(checked >= 4, "{checked}");
    app.stop().await;
}

/// Every text in it, in order.
fn collect(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::String(text) => into.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
        Value::Object(members) => members.values().for_each(|member| collect(member, into)),
        _ => {}
    }
}

/// Two reports of one order, one after the other and at the same time, are one order there.
pub async fn a_duplicate_makes_no_second_order(profile: Profile) {
    let (app, office) = service(&profile).await;
    let (number, order) = one();
    let observed = format!(r#"{{"eventName":"sales_order_save_commit_after","data":{{"order":{order}}}}}"#);
    let (first, second) = tokio::join!(app.patchworks_sends(order.clone()), app.commerce_sends(observed));
    assert!(first.status < 300 && second.status < 300, "{first:?} {second:?}");
    send(&app, &order).await;
    delivered_once(&app, &office, number).await;
    app.settled().await;
    assert_eq!(booked(&office, number).len(), 1);
    app.stop().await;
}

/// What is there already under our number, made by nobody knows whom, is not made again.
pub async fn what_is_there_already_is_not_made_again(profile: Profile) {
    let (app, office) = service(&profile).await;
    let (number, order) = one();
    let (_, other) = orders().into_iter().find(|(other, _)| *other != number).unwrap();
    send(&app, &other).await;
    // The same total as ours, learnt from the expansion of the same order elsewhere.
    let (total, tax) = expanded_totals(&app, &order).await;
    office.system().has_already(number, &total, &tax);
    send(&app, &order).await;
    delivered_once(&app, &office, number).await;
    app.stop().await;
}

async fn expanded_totals(app: &TestApp, order: &str) -> (String, String) {
    let answer =
        app.asks(reqwest::Method::POST, "/api/v1/orders/expand", Some(&serde_json::from_str(order).unwrap())).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let value = answer.json();
    let found = find_member(&value, "totals").expect("totals in the expansion");
    let member = |name: &str| found[name].as_str().expect("an amount").to_owned();
    (member("total"), member("tax"))
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

/// A refusal for good waits for a person, says the system's words, and goes through when put right.
pub async fn a_refusal_waits_for_a_person(profile: Profile) {
    let (app, office) = service(&profile).await;
    let (number, order) = one();
    office.when_creating([Fault::Say(profile.permanent.clone())]);
    send(&app, &order).await;
    let exception = exception(&app, number).await;
    assert_eq!(exception["code"], "rejected_by_destination", "{exception}");
    assert!(booked(&office, number).is_empty());
    retry(&app, &exception).await;
    delivered_once(&app, &office, number).await;
    app.stop().await;
}

/// A stumble, a throttle and a refused credential pass by themselves.
pub async fn what_passes_by_itself_needs_nobody(profile: Profile) {
    let (app, office) = service(&profile).await;
    let (number, order) = one();
    office.when_creating([Fault::Say(profile.transient.clone()), Fault::Say(profile.throttled.clone())]);
    office.next([Fault::Say(profile.unauthorized.clone())]);
    send(&app, &order).await;
    delivered_once(&app, &office, number).await;
    assert!(app.exceptions_of(number).await.is_empty());
    app.stop().await;
}

/// An answer that is lost after the system did it, before it did it, or that comes too late, makes one order.
pub async fn a_lost_answer_makes_one_order(profile: Profile) {
    let (app, office) = service(&profile).await;
    for ((number, order), fault) in orders().into_iter().zip([
        Fault::DoAndDrop,
        Fault::Drop,
        Fault::DoAndSay(Reply::text(502, "text/html", "<html>bad gateway</html>")),
        Fault::DoAndSay(Reply::text(200, "text/html", "<html>welcome back</html>")),
        Fault::DoAndSleep(std::time::Duration::from_secs(3)),
    ]) {
        office.when_creating([fault.clone()]);
        send(&app, &order).await;
        let there = delivered_once(&app, &office, number).await;
        assert!(there.finished, "{fault:?}: {there:?}");
    }
    app.stop().await;
}

/// An error inside a 200 is no success.
pub async fn an_error_inside_a_200_is_no_success(profile: Profile) {
    let (app, office) = service(&profile).await;
    let (number, order) = one();
    let reply = profile.error_inside.clone().expect("the profile's system does such a thing");
    office.when_creating([Fault::Say(reply)]);
    send(&app, &order).await;
    let exception = exception(&app, number).await;
    assert_eq!(exception["code"], "rejected_by_destination", "{exception}");
    retry(&app, &exception).await;
    delivered_once(&app, &office, number).await;
    app.stop().await;
}

/// An order that is cancelled in Commerce is cancelled there, once, also when the answer is lost; a part of one waits for a
/// person, and the order there stays as it is.
pub async fn a_cancellation_is_carried_over(profile: Profile) {
    let (app, office) = service_with(&profile, |text| {
        format!("{text}\n[[routes]]\nname = \"cancels\"\naccepts = [\"cancellation\"]\nto = [\"erp\"]\n")
    })
    .await;
    let report = |number: &str, second: u32, canceled: u32| {
        let mut order = sample::rest(number, "24-WG085", 2);
        order["updated_at"] = json!(format!("2026-03-01 12:00:{second:02}"));
        order["state"] = json!(if canceled == 2 { "canceled" } else { "processing" });
        order["status"] = order["state"].clone();
        order["items"][0]["qty_canceled"] = json!(canceled);
        order.to_string()
    };
    let (whole, lost, part) = ("000000901", "000000902", "000000903");
    for number in [whole, lost, part] {
        send(&app, &report(number, 10, 0)).await;
        delivered_once(&app, &office, number).await;
    }
    send(&app, &report(whole, 20, 2)).await;
    until("it is cancelled", async || office.system().is_cancelled(whole).then_some(())).await;
    app.settled().await;
    assert!(app.exceptions_of(whole).await.is_empty());

    office.when_cancelling([Fault::DoAndDrop]);
    send(&app, &report(lost, 20, 2)).await;
    until("it is cancelled", async || office.system().is_cancelled(lost).then_some(())).await;
    app.settled().await;
    assert!(app.exceptions_of(lost).await.is_empty(), "it is looked for among the cancelled ones");

    send(&app, &report(part, 20, 1)).await;
    let exception = exception(&app, part).await;
    assert!(exception["message"].as_str().unwrap().contains("a part of an order"), "{exception}");
    assert!(!office.system().is_cancelled(part));
    app.stop().await;
}

/// A product that the system does not have parks the order with its SKU in the words, and a retry takes it when it is
/// there.
pub async fn an_unknown_product_is_told_by_its_sku(profile: Profile) {
    let (app, office) = service(&profile).await;
    let (number, order) = one();
    let sku = first_sku(&app, &order).await;
    assert!(office.system().forgets(&sku), "the system looks at SKUs");
    send(&app, &order).await;
    let exception = exception(&app, number).await;
    assert_eq!(exception["code"], "rejected_by_destination", "{exception}");
    assert!(exception["message"].as_str().unwrap().contains(&sku), "{exception}");
    assert!(booked(&office, number).is_empty());
    office.system().learns(&sku);
    retry(&app, &exception).await;
    delivered_once(&app, &office, number).await;
    app.stop().await;
}

async fn first_sku(app: &TestApp, order: &str) -> String {
    let answer =
        app.asks(reqwest::Method::POST, "/api/v1/orders/expand", Some(&serde_json::from_str(order).unwrap())).await;
    let value = answer.json();
    let lines = find_member(&value, "lines").expect("lines in the expansion").as_array().unwrap();
    let line = lines.iter().find(|line| line["kind"] == "item" || line["kind"] == "component").expect("goods");
    line["sku"].as_str().unwrap().to_owned()
}

/// The contract of one profile, as tests with the names of its promises.
#[macro_export]
macro_rules! keeps_the_contract {
    ($profile:expr, $($promise:ident),+ $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $promise() {
            $crate::contract::$promise($profile).await;
        })+
    };
}
