//! Orders read back from Commerce: hints, gaps, changes without their order (docs/decisions/0045).

use crossdock::commerce::rest::RestError;
use crossdock::intake::read::{Found, FoundBy};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::support::commerce::Commerce;
use crate::support::{TestApp, orders, until};

fn hint(number: &str, say: &str) -> String {
    let id: u64 = number.parse().unwrap();
    json!({ "order": { "increment_id": number, "entity_id": id, "store_id": 1, "say": say } }).to_string()
}

fn announced(event: &str, order: &Value) -> String {
    json!({ "subject": [], "eventName": event, "data": { "order": order } }).to_string()
}

async fn start(edit: impl FnOnce(String) -> String) -> (Commerce, TestApp) {
    let commerce = Commerce::default();
    let app = TestApp::on(commerce.machine(), |text| edit(text.replace("\"never\"", "\"when-needed\""))).await;
    (commerce, app)
}

async fn events_of(app: &TestApp, number: &str) -> Vec<Value> {
    app.order(number).await["events"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hint_leads_to_the_order_as_rest_tells_it_and_says_so() {
    let (commerce, app) = start(|text| text).await;
    commerce.saves(orders::rest("000000003", "24-WG085", 2));
    assert_eq!(app.commerce_sends(hint("000000003", "a")).await.status, 200);
    app.settled().await;
    assert_eq!(app.erp.find("000000003").len(), 1);
    let told = app.order_is("000000003", "delivered").await;
    let events = events_of(&app, "000000003").await;
    let of = |origin: &str| events.iter().find(|event| event["origin"] == origin).unwrap();
    let read = of("commerce.acme")["id"].as_str().unwrap();
    assert_eq!(of("hooks")["state"], "superseded");
    assert_eq!(of("hooks")["explanation"], format!("read from Commerce as {read}"));
    assert!(told["timeline"].to_string().contains("Read back from Commerce (acme)"), "{told}");
    assert_eq!(app.metric(r#"reads_wanted_total{system="acme"}"#).await, 1.0);
    assert_eq!(app.metric(r#"reads_total{system="acme",outcome="read"}"#).await, 1.0);
    assert!(app.exceptions_of("000000003").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_ten_hints_wait_for_one_read_and_nothing_is_lost_while_commerce_is_away() {
    let (commerce, app) = start(|text| text).await;
    commerce.saves(orders::rest("000000004", "24-WG085", 1));
    commerce.fails(Some(RestError::Unreachable("refused".to_owned())));
    for index in 0..10 {
        app.commerce_sends(hint("000000004", &index.to_string())).await;
    }
    until("Commerce was asked in vain", async || (commerce.asked() > 0).then_some(())).await;
    assert_eq!(app.running.store.ledger().await.unwrap().due, 10);
    assert_eq!(app.running.store.silent_envelopes(0, 100).await.unwrap().silent, [], "each has its time");
    let told = app.order("000000004").await;
    assert_eq!(told["state"], "due");
    assert!(told["sentence"].as_str().unwrap().contains("is read from Commerce first"), "{told}");
    commerce.fails(None);
    let asked = commerce.asked();
    app.settled().await;
    assert_eq!(commerce.asked(), asked + 1, "one read for all");
    assert_eq!((app.erp.find("000000004").len(), app.erp.counts().doubled), (1, 0));
    assert_eq!(app.running.store.recount().await.unwrap(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_announced_before_its_save_waits_quietly_until_the_order_comes() {
    let (commerce, app) = start(|text| text).await;
    let order = orders::rest("000000005", "24-WG085", 1);
    let mut unsaved = order.clone();
    unsaved.as_object_mut().unwrap().remove("entity_id");
    app.commerce_sends(announced("sales_order_place_before", &unsaved)).await;
    until("it was looked for", async || (commerce.asked() > 0).then_some(())).await;
    assert_eq!(app.order("000000005").await["state"], "due", "it is not there yet");
    assert!(app.exceptions_of("000000005").await.is_empty(), "and nobody is asked");
    app.commerce_sends(announced("sales_order_save_commit_after", &order)).await;
    app.settled().await;
    app.order_is("000000005", "delivered").await;
    assert_eq!((app.erp.find("000000005").len(), app.erp.counts().doubled), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn read_back_always_makes_one_order_of_what_rest_says_and_none_of_the_payload() {
    let (commerce, app) = start(|text| text.replace("\"when-needed\"", "\"always\"")).await;
    commerce.saves(orders::rest("000000006", "24-WG085", 3));
    app.commerce_sends(orders::observed("000000006", "24-WG085", 1)).await;
    app.patchworks_sends(orders::rest("000000006", "24-WG085", 2).to_string()).await;
    app.settled().await;
    let found = app.erp.find("000000006");
    assert_eq!(found.len(), 1);
    let document: Value = serde_json::from_slice(&found[0].body).unwrap();
    assert!(document.to_string().contains("\"3\""), "what REST says: {document}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_about_another_order_is_parked_and_never_compiled() {
    let (commerce, app) = start(|text| text).await;
    let mut other = orders::rest("000000099", "24-WG085", 1);
    other["entity_id"] = json!(7);
    commerce.saves(other);
    app.commerce_sends(hint("000000007", "a")).await;
    app.settled().await;
    let open = app.exceptions_of("000000007").await;
    assert_eq!(open[0]["code"], "unreadable_payload");
    assert!(open[0]["message"].as_str().unwrap().contains("000000099"), "{open:?}");
    assert!(app.erp.find("000000099").is_empty() && app.erp.find("000000007").is_empty());

    // The mistake is mended, and a person says: again.
    commerce.saves(orders::rest("000000007", "24-WG085", 1));
    let path = format!("/api/v1/exceptions/{}/replay", open[0]["id"].as_str().unwrap());
    let answer = app.acts(&path, "again", &json!({})).await;
    assert!(answer.status < 300, "{}", answer.text);
    app.settled().await;
    assert_eq!(app.erp.find("000000007").len(), 1);
    assert!(app.exceptions_of("000000007").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_hold_the_instance_and_ask_nobody_about_each_order() {
    let (commerce, app) = start(|text| text).await;
    commerce.fails(Some(RestError::Unauthorized("the consumer isn't authorized".to_owned())));
    for number in 10..20 {
        app.commerce_sends(hint(&format!("{number:09}"), "a")).await;
    }
    let held = r#"reads_held{system="acme"}"#;
    until("the instance is held", async || (app.metric(held).await == 1.0).then_some(())).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert!(commerce.asked() <= 8, "one batch at most: {}", commerce.asked());
    let ledger = app.running.store.ledger().await.unwrap();
    assert_eq!((ledger.due, ledger.exception), (10, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn lane_4_a_change_without_its_order_makes_the_create_from_commerce() {
    let (commerce, app) = start(|text| {
        text.replace("sweep = \"off\"", "sweep = \"off\"\nwait_for_order = \"0s\"")
            .replace("accepts = [\"order\"]", "accepts = [\"order\", \"order_change\"]")
    })
    .await;
    commerce.saves(orders::rest("000000008", "24-WG085", 1));
    let change = json!({ "increment_id": "000000008", "store_id": 1, "status": "processing" });
    let answer = app.posts("/in/hooks/order-changes", "{}", &[]).await;
    assert_ne!(answer.status, 200, "unsigned");
    let sent =
        app.posts("/in/flows/order-changes", change.to_string(), &[("x-api-key", crate::support::API_KEY)]).await;
    assert!(sent.status < 300, "{}", sent.text);
    app.settled().await;
    assert_eq!(app.erp.find("000000008").len(), 1);
    assert!(app.exceptions_of("000000008").await.is_empty());
}

/// How an order may come.
#[derive(Clone, Copy, Debug)]
enum Way {
    Hint,
    Hook,
    Flow,
    Unsaved,
    Sweep,
}

async fn comes(app: &TestApp, order: &Value, way: Way) {
    let number = order["increment_id"].as_str().unwrap();
    let answer = match way {
        Way::Hint => app.commerce_sends(hint(number, "a")).await,
        Way::Hook => app.commerce_sends(announced("sales_order_save_commit_after", order)).await,
        Way::Flow => app.patchworks_sends(order.to_string()).await,
        Way::Sweep => {
            let found = Found { system: "acme".into(), body: order.to_string().into(), by: FoundBy::Sweep };
            app.running.intake.take_read(found).await.unwrap();
            return;
        }
        Way::Unsaved => app.commerce_sends(announced("sales_order_place_after", order)).await,
    };
    assert!(answer.status < 300, "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn key_4_any_ways_in_any_order_and_number_make_one_order_with_one_key_and_the_same_bytes() {
    let (commerce, app) = start(|text| text).await;
    let way = prop::sample::select(vec![Way::Hint, Way::Hook, Way::Flow, Way::Unsaved, Way::Sweep]);
    let ways = prop::collection::vec(way, 1..6);
    let mut runner =
        TestRunner::new_with_rng(ProptestConfig::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let mut seen: Option<String> = None;
    for index in 0..12_u32 {
        let ways = ways.new_tree(&mut runner).unwrap().current();
        let number = format!("{:09}", 500 + index);
        let order = orders::rest(&number, "24-WG085", 1);
        commerce.saves(order.clone());
        for way in &ways {
            comes(&app, &order, *way).await;
        }
        app.settled().await;
        let found = app.erp.find(&number);
        assert_eq!(found.len(), 1, "{ways:?}");
        // Alike but for what names the order.
        let text = String::from_utf8(found[0].body.to_vec()).unwrap();
        let id = (500 + index).to_string();
        let plain = text.replace(&id, "N");
        let known = seen.get_or_insert_with(|| plain.clone());
        assert_eq!(*known, plain, "{ways:?}");
    }
    assert_eq!(app.erp.counts().doubled, 0);
    assert_eq!(app.running.store.recount().await.unwrap(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_a_service_that_stopped_before_it_read_reads_after_its_next_start() {
    let (commerce, app) = start(|text| text).await;
    commerce.saves(orders::rest("000000021", "24-WG085", 1));
    commerce.fails(Some(RestError::Unavailable { message: "maintenance".to_owned(), retry_after: None }));
    app.commerce_sends(hint("000000021", "a")).await;
    until("Commerce was asked in vain", async || (commerce.asked() > 0).then_some(())).await;
    let app = app.restart_on(commerce.machine()).await;
    assert_eq!(app.running.store.ledger().await.unwrap().due, 1);
    commerce.fails(None);
    app.settled().await;
    assert_eq!(app.erp.find("000000021").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn ded_2_an_order_read_before_its_hint_was_settled_is_read_again_and_stays_one() {
    let (commerce, app) = start(|text| text).await;
    let order = orders::rest("000000022", "24-WG085", 1);
    commerce.saves(order.clone());
    // As if the process had ended between writing the order down and settling what waited for it.
    let found = Found { system: "acme".into(), body: order.to_string().into(), by: FoundBy::ReadBack };
    app.running.intake.take_read(found).await.unwrap();
    app.commerce_sends(hint("000000022", "a")).await;
    app.settled().await;
    let events = events_of(&app, "000000022").await;
    let read = events.iter().find(|event| event["origin"] == "commerce.acme").unwrap();
    assert_eq!((events.len(), &read["duplicates"]), (2, &json!(1)));
    assert_eq!((app.erp.find("000000022").len(), app.erp.counts().doubled), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_larger_than_is_read_is_parked_with_what_to_do() {
    let (commerce, app) = start(|text| text).await;
    commerce.fails(Some(RestError::TooLarge(16 * 1024 * 1024)));
    app.commerce_sends(hint("000000023", "a")).await;
    app.commerce_sends(hint("000000023", "b")).await;
    app.settled().await;
    let open = app.exceptions_of("000000023").await;
    assert!(open.iter().all(|one| one["remedy"].as_str().unwrap().contains("replay to read it again")), "{open:?}");
    assert_eq!(app.order("000000023").await["state"], "parked");
    // The order comes another way: nobody needs to do anything any more.
    app.commerce_sends(orders::observed("000000023", "24-WG085", 1)).await;
    app.settled().await;
    app.order_is("000000023", "delivered").await;
    assert!(app.exceptions_of("000000023").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn over_sockets_a_hint_by_number_is_read_from_the_address_in_the_configuration() {
    use axum::extract::RawQuery;
    let asked = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let seen = asked.clone();
    let list = move |RawQuery(query): RawQuery| async move {
        *seen.lock().unwrap() = query.unwrap_or_default();
        let items = [orders::rest("000000031", "24-WG085", 1)];
        axum::Json(json!({ "items": items, "total_count": 1 }))
    };
    let router = axum::Router::new().route("/rest/all/V1/orders", axum::routing::get(list));
    let anywhere = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let server =
        crossdock::server::Server::start(anywhere, router, crossdock::server::Settings::default()).await.unwrap();
    let url = format!("http://{}/rest", server.address());
    let app =
        TestApp::with(|text| text.replace("\"never\"", "\"when-needed\"").replace("http://127.0.0.1:1/rest", &url))
            .await;
    let hint = json!({ "order": { "increment_id": "000000031", "store_id": 1 } });
    app.commerce_sends(hint.to_string()).await;
    app.settled().await;
    assert_eq!(app.erp.find("000000031").len(), 1);
    assert!(asked.lock().unwrap().contains("000000031"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blip_that_many_reads_met_side_by_side_is_one_reason_to_rest() {
    let (commerce, app) = start(|text| text).await;
    for number in 51..=54 {
        commerce.saves(orders::rest(&format!("{number:09}"), "24-WG085", 1));
    }
    commerce.fails(Some(RestError::Unavailable { message: "a blip".to_owned(), retry_after: None }));
    for number in 51..=54 {
        app.commerce_sends(hint(&format!("{number:09}"), "a")).await;
    }
    let failed = r#"reads_total{system="acme",outcome="unavailable"}"#;
    until("reads failed", async || (app.metric(failed).await >= 1.0).then_some(())).await;
    commerce.fails(None);
    let begun = std::time::Instant::now();
    app.settled().await;
    // Counted one by one, four failures would have been a rest of eight seconds.
    assert!(begun.elapsed() < std::time::Duration::from_secs(6), "{:?}", begun.elapsed());
    for number in 51..=54 {
        assert_eq!(app.erp.find(&format!("{number:09}")).len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_hint_of_the_same_second_says_nothing_against_what_was_read() {
    let (commerce, app) = start(|text| text).await;
    let mut order = orders::rest("000000061", "24-WG085", 1);
    (order["state"], order["status"]) = (json!("complete"), json!("complete"));
    commerce.saves(order.clone());
    let say = |status: &str| {
        let hint = json!({ "order": { "increment_id": "000000061", "entity_id": order["entity_id"], "store_id": 1,
                                      "updated_at": order["updated_at"], "state": status, "status": status } });
        app.commerce_sends(hint.to_string())
    };
    // The later event is pushed first.
    say("complete").await;
    app.settled().await;
    assert_eq!(app.order("000000061").await["commerce_status"], "complete");
    say("processing").await;
    app.settled().await;
    let told = app.order("000000061").await;
    assert_eq!((&told["commerce_status"], told["events"].as_array().unwrap().len()), (&json!("complete"), 3), "{told}");
}
