//! Finding whatever a person has in hand, and the figures of what came and went.

use std::fmt::Write as _;

use crossdock::demo::erp::StandInErp;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::process::{Serve, binary, token};
use crate::support::wire::Wire;
use crate::support::{Answer, Site, TestApp, is_problem, orders, until};

/// Percent-encoding of a query's value.
fn segment(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        let _ = write!(encoded, "%{byte:02X}");
    }
    encoded
}

async fn takes(app: &TestApp, order: String) {
    let answer = app.commerce_sends(order).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

async fn found(app: &TestApp, text: &str) -> Value {
    app.sees(&format!("/api/v1/search?q={}", segment(text))).await
}

/// Waits until the index has come to everything.
async fn indexed(app: &TestApp) {
    app.settled().await;
    until("the index is there", async || (found(app, "nothing-like-it").await["behind"] == 0).then_some(())).await;
}

fn kinds(answer: &Value) -> Vec<&str> {
    answer["items"].as_array().unwrap().iter().map(|hit| hit["kind"].as_str().unwrap()).collect()
}

fn ids(answer: &Value) -> Vec<&str> {
    answer["items"].as_array().unwrap().iter().map(|hit| hit["id"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_found_by_everything_that_a_person_may_have_of_it() {
    let app = TestApp::start().await;
    takes(&app, orders::observed("000000042", "24-WG085", 1)).await;
    takes(&app, orders::observed("2000000077", "24-WG085", 1)).await;
    let order = app.order_is("000000042", "delivered").await;
    app.order_is("2000000077", "delivered").await;
    indexed(&app).await;
    let delivery = &order["deliveries"][0];
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    for text in [
        "000000042".to_owned(),
        "42".to_owned(),
        " #42 ".to_owned(),
        "Order 000000042".to_owned(),
        "\u{202e}000000042\u{202c}".to_owned(),
        word(&delivery["receipt"]),
        word(&delivery["key"]),
        word(&delivery["id"]),
        word(&delivery["id"]).to_uppercase(),
        word(&order["events"][0]["id"]),
        word(&order["documents"][0]["id"]),
    ] {
        let answer = found(&app, &text).await;
        assert!(ids(&answer).contains(&"000000042"), "{text}: {answer}");
        assert!(!ids(&answer).contains(&"2000000077"), "{text}: {answer}");
        assert_eq!(answer["sentence"], order["sentence"], "{text}");
        for hit in answer["items"].as_array().unwrap() {
            let target = format!("/api/v1{}", hit["target"].as_str().unwrap());
            app.sees(&target).await;
        }
    }
    for text in ["77", "000000077", "2000000077"] {
        assert_eq!(ids(&found(&app, text).await)[0], "2000000077", "{text}: behind the prefix of its store");
    }
    let part = found(&app, "00000007").await;
    assert_eq!(ids(&part), ["2000000077"]);
    assert!(part["sentence"].as_str().unwrap().starts_with("No order has exactly this number"), "{part}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_leads_to_his_orders_and_is_never_repeated() {
    let app = TestApp::start().await;
    for number in ["000000001", "000000002"] {
        takes(&app, orders::observed(number, "24-WG085", 1)).await;
    }
    indexed(&app).await;
    let answer = found(&app, " ANNA@example.com ").await;
    assert_eq!(ids(&answer), ["000000002", "000000001"], "{answer}");
    assert!(answer["sentence"].as_str().unwrap().starts_with("This buyer has 2 orders here"), "{answer}");
    assert!(!answer.to_string().to_lowercase().contains("anna"), "{answer}");
    for stranger in ["nna@example.com", "%@example.com", "anna@example.co", "_nna@example.com"] {
        assert_eq!(kinds(&found(&app, stranger).await), [] as [&str; 0], "{stranger}");
    }
    // Not in clear in the file, but for the payloads, which are compressed.
    let file = std::fs::read(app.site.dir.path().join("crossdock.db")).unwrap();
    let log = std::fs::read(app.site.dir.path().join("crossdock.db-wal")).unwrap_or_default();
    for bytes in [file, log] {
        assert!(!bytes.windows(16).any(|window| window == b"anna@example.com"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sku_says_how_many_orders_have_it_and_what_waits_because_of_it() {
    let app = TestApp::start().await;
    app.maps("skus", "key,value,destination\n24-WG085,ITEM-1,\n").await;
    for (number, sku) in [("000000001", "24-WG085"), ("000000002", "NEW-SKU"), ("000000003", "NEW-SKU")] {
        takes(&app, orders::observed(number, sku, 1)).await;
    }
    indexed(&app).await;
    let answer = found(&app, "new-sku").await;
    assert_eq!(kinds(&answer), ["exception_group", "order", "order"], "{answer}");
    let sentence = answer["sentence"].as_str().unwrap();
    assert!(sentence.starts_with("This item is in 2 orders; 2 orders wait for a person because of it (unmapped_sku"));
    let group = app.sees("/api/v1/exceptions/groups").await["items"][0]["fingerprint"].clone();
    assert!(sentence.ends_with(&format!("then release the group {}.", group.as_str().unwrap())), "{sentence}");
    assert_eq!(answer["items"][0]["id"], group);
    let fine = found(&app, "24-WG085").await;
    assert_eq!(ids(&fine), ["000000001"]);
    assert!(fine["sentence"].as_str().unwrap().contains("nothing waits for a person because of it"), "{fine}");
    assert_eq!(ids(&found(&app, "ITEM-1").await), ["000000001"], "the destination's own item number");

    let exception = app.exceptions_of("000000002").await[0]["id"].as_str().unwrap().to_owned();
    let answer = found(&app, &exception).await;
    assert_eq!(kinds(&answer), ["exception", "order"]);
    let sentence = answer["sentence"].clone();
    assert!(sentence.as_str().unwrap().ends_with(&format!("then replay {exception}.")), "{answer}");
    // What somebody looks after waits all the same.
    let assigned = app.acts(&format!("/api/v1/exceptions/{exception}/assign"), "a", &json!({ "to": "me" })).await;
    assert_eq!(assigned.status, 200, "{}", assigned.text);
    assert_eq!(found(&app, &exception).await["sentence"], sentence);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_is_refused_by_name_or_means_itself() {
    let app = TestApp::start().await;
    takes(&app, orders::observed("000000042", "24-WG085", 1)).await;
    indexed(&app).await;
    for (text, why) in [("", "empty"), (" \u{200f}", "empty"), ("a\u{0}b", "control"), (&*"x".repeat(201), "200")] {
        let answer = app.asks(Method::GET, &format!("/api/v1/search?q={}", segment(text)), None).await;
        is_problem(why, &answer, 400);
        assert!(answer.text.contains(why), "{}", answer.text);
    }
    for path in ["/api/v1/search", "/api/v1/search?q=1&q=2", "/api/v1/search?x=1", "/api/v1/search?q=%ff"] {
        let answer = app.asks(Method::GET, path, None).await;
        assert!(answer.status == 400 || (path.ends_with("%ff") && answer.status == 200), "{path}: {}", answer.text);
    }
    let mut wire = Wire::open(app.running.address).await;
    let (endless, token) = ("x".repeat(100_000), &app.token);
    let head =
        format!("GET /api/v1/search?q={endless} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {token}\r\n\r\n");
    wire.says(head).await;
    let status = wire.hears_status().await;
    assert!(matches!(status, 400 | 414 | 431), "{status}");
    for text in [
        "%",
        "_",
        "%%%",
        "0000000__",
        "*",
        "' OR 1=1 --",
        "\"; DROP TABLE terms; --",
        "שלום",
        "مرحبا",
        "42\u{301}",
        "🦀🦀🦀",
        "../../etc/passwd",
        "{{7*7}}",
        "\\",
        "env_",
        "exc_zzzzzzzzzzzzzzzzzzzzzzzzzz",
        "dlv_01jq0000000000000000000000",
    ] {
        let answer = found(&app, text).await;
        assert_eq!(kinds(&answer), [] as [&str; 0], "{text}: {answer}");
        let sentence = answer["sentence"].as_str().unwrap();
        assert!(sentence.ends_with('.') || sentence.ends_with('?'), "{sentence}");
    }
    let stranger = app.client.get(app.url("/api/v1/search?q=42")).send().await.unwrap();
    assert_eq!(stranger.status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn dat_1_an_erased_buyer_is_no_longer_found_and_the_order_still_is() {
    let app = TestApp::start().await;
    for number in ["000000001", "000000002"] {
        takes(&app, orders::observed(number, "24-WG085", 1)).await;
    }
    indexed(&app).await;
    assert_eq!(ids(&found(&app, "anna@example.com").await).len(), 2);
    let erased = binary()
        .args(["erase", "--order", "000000001", "--reason", "asked", "--config"])
        .arg(app.site.config_path())
        .output()
        .unwrap();
    assert!(erased.status.success(), "{}", String::from_utf8_lossy(&erased.stderr));
    assert_eq!(ids(&found(&app, "anna@example.com").await), ["000000002"]);
    assert_eq!(ids(&found(&app, "24-WG085").await), ["000000002"]);
    assert_eq!(ids(&found(&app, "1").await), ["000000001"]);
    let app = app.restart().await;
    indexed(&app).await;
    assert_eq!(ids(&found(&app, "anna@example.com").await), ["000000002"], "and does not come back");
}

async fn send(serve: &Serve, number: u32) {
    let body = orders::rest(&format!("{number:09}"), "24-WG085", 1).to_string();
    let request = reqwest::Client::new().post(format!("http://{}/in/flows/orders", serve.address));
    let sent = request.header("x-api-key", crate::support::API_KEY).body(body).send().await.unwrap();
    assert!(sent.status().is_success());
}

async fn asks(serve: &Serve, token: &str, path: &str) -> Value {
    let asked = reqwest::Client::new().get(format!("http://{}{path}", serve.address)).bearer_auth(token).send().await;
    Answer::of(asked.unwrap()).await.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_the_index_and_the_figures_are_whole_after_kills_in_the_middle() {
    let erp = StandInErp::start().await.expect("a loopback port");
    let site = Site::new(&erp.url(), |text| text);
    let mut token_of = None;
    for round in 0..3_u32 {
        let serve = tokio::task::block_in_place(|| Serve::start(&site));
        token_of.get_or_insert_with(|| tokio::task::block_in_place(|| token(&site, "admin")));
        for number in 1..=40 {
            send(&serve, round * 100 + number).await;
        }
        // The index is somewhere in it: it looks once a second.
        tokio::task::block_in_place(|| serve.kill());
    }
    let token = token_of.unwrap();
    let serve = tokio::task::block_in_place(|| Serve::start(&site));
    until("the index caught up", async || {
        let answer = asks(&serve, &token, "/api/v1/search?q=24-WG085").await;
        (answer["behind"] == 0).then_some(())
    })
    .await;
    let ledger = until("nothing is due", async || {
        let ledger = asks(&serve, &token, "/api/v1/ledger").await;
        (ledger["due"] == 0).then_some(ledger)
    })
    .await;
    let answer = asks(&serve, &token, "/api/v1/search?q=24-WG085").await;
    assert!(answer["sentence"].as_str().unwrap().starts_with("This item is in 120 orders"), "{answer}");
    let traffic = asks(&serve, &token, "/api/v1/traffic").await;
    let sum = |name: &str| -> u64 {
        traffic["hours"].as_array().unwrap().iter().map(|hour| hour[name].as_u64().unwrap()).sum()
    };
    assert_eq!(sum("accepted"), ledger["accepted"].as_u64().unwrap());
    assert_eq!((sum("accepted"), sum("delivered")), (120, 120), "{traffic}");
    assert_eq!(traffic["destinations"][0]["delivered_last_hour"], 120);
    let doctor = tokio::task::block_in_place(|| {
        binary().args(["doctor", "--recount", "--config"]).arg(site.config_path()).output().unwrap()
    });
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(!said.contains("is found by its buyer"), "{said}");
    drop(serve);
}

#[tokio::test(flavor = "multi_thread")]
async fn traffic_tells_what_came_where_it_went_and_what_waits() {
    let app = TestApp::start().await;
    app.maps("skus", "key,value,destination\n24-WG085,ITEM-1,\n").await;
    for (number, sku) in [("000000001", "24-WG085"), ("000000002", "24-WG085"), ("000000003", "NEW-SKU")] {
        takes(&app, orders::observed(number, sku, 1)).await;
    }
    app.settled().await;
    let traffic = app.sees("/api/v1/traffic").await;
    let (hours, before) = (traffic["hours"].as_array().unwrap(), traffic["week_before"].as_array().unwrap());
    assert_eq!((hours.len(), before.len()), (25, 25));
    let sum = |name: &str| hours.iter().map(|hour| hour[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("accepted"), sum("delivered"), sum("parked")), (3, 2, 1), "{traffic}");
    let erp = &traffic["destinations"][0];
    assert_eq!(
        (&erp["destination"], &erp["delivered_last_hour"], &erp["waiting"]),
        (&json!("erp"), &json!(2), &json!(0))
    );
    assert!(erp["lag_p50_ms"].as_u64().unwrap() <= erp["lag_p95_ms"].as_u64().unwrap(), "{erp}");
    let newest = &traffic["newest_orders"][0];
    assert_eq!(
        (&newest["system"], &newest["there"]),
        (&json!("acme"), &Value::Null),
        "no search of Commerce is configured"
    );
    assert_eq!(newest["here"]["increment_id"], "000000003");

    let verb = |arguments: &[&str]| {
        let ran = binary().args(arguments).arg("--config").arg(app.site.config_path()).output().unwrap();
        (ran.status.code(), String::from_utf8(ran.stdout).unwrap())
    };
    let (code, told) = verb(&["traffic", "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((code, &told["hours"], &told["destinations"]), (Some(0), &traffic["hours"], &traffic["destinations"]));
    assert!(verb(&["traffic"]).1.contains("newest order here 000000003"));
    indexed(&app).await;
    let (code, told) = verb(&["find", "3"]);
    assert!(code == Some(0) && told.starts_with("Order 000000003 waits for a person (unmapped_sku)"), "{told}");
    let (code, told) = verb(&["find", "--json", "no-such-thing"]);
    assert_eq!((code, &serde_json::from_str::<Value>(&told).unwrap()["items"]), (Some(1), &json!([])));
}
