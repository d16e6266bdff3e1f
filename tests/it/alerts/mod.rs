//! Who is told of what, when, and how often.

mod channels;
mod outbox;
mod stories;

use std::sync::Arc;

use crossdock::app::{self, Doors, Running};
use crossdock::clock::{ManualClock, SystemEntropy, Timestamp};
use crossdock::config::Config;
use crossdock::demo::erp::Fault;
use serde_json::{Value, json};

use crate::support::inbox::Inbox;
use crate::support::{STANDARD_SECRET, Site, TestApp, orders, until};

/// A contact that is told by a signed webhook.
pub fn webhook(name: &str, url: &str, more: &str) -> String {
    format!(
        "\n[alerts.contacts.{name}]\ntype = \"webhook\"\nurl = \"{url}\"\nsecret = \"{STANDARD_SECRET}\"\n\
         allow_private = [\"127.0.0.0/8\"]\n{more}\n"
    )
}

/// A service that tells these contacts.
pub async fn telling(alerts: String) -> TestApp {
    let app = TestApp::with(move |text| text + &alerts).await;
    app.maps("skus", "key,value,destination\n24-WG085,ITEM-1,\n").await;
    app
}

/// An order whose SKU nobody knows.
pub async fn sends_unmapped(app: &TestApp, number: u32) {
    let order = orders::rest(&format!("{number:09}"), "MUG", 2);
    let answer = app.patchworks_sends(order.to_string()).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
}

/// Waits for an alert.
pub async fn alert(app: &TestApp, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    until(what, async || {
        let page = app.sees("/api/v1/alerts").await;
        page["items"].as_array().unwrap().iter().find(|one| is(one)).cloned()
    })
    .await
}

/// A service on a clock that the test moves.
pub struct Timed {
    pub clock: Arc<ManualClock>,
    pub running: Running,
}

impl Timed {
    pub async fn start(site: &Site, now: &str) -> Timed {
        let clock = Arc::new(ManualClock::new(now.parse::<Timestamp>().unwrap()));
        let loaded = Config::load(&site.config_path(), &|_| None).unwrap_or_else(|problems| panic!("{problems:#?}"));
        let doors = Doors { clock: clock.clone(), entropy: Arc::new(SystemEntropy) };
        let running = app::start(loaded, doors).await.expect("the service starts");
        Timed { clock, running }
    }

    pub async fn gets(&self, body: String) {
        let url = format!("http://{}/in/flows/orders", self.running.address);
        let sent = reqwest::Client::new()
            .post(url)
            .header("x-api-key", crate::support::API_KEY)
            .header("content-type", "application/json")
            .body(body)
            .send();
        assert_eq!(sent.await.expect("an answer").status(), 202);
    }
}

/// A table of SKUs, imported beside a service that is not running yet.
pub fn maps(site: &Site) {
    let csv = site.dir.path().join("skus.csv");
    std::fs::write(&csv, "key,value,destination\n24-WG085,ITEM-1,\n").unwrap();
    let ran = crate::support::process::binary()
        .args(["mappings", "import", "skus"])
        .arg(&csv)
        .arg("--config")
        .arg(site.config_path())
        .output()
        .expect("the binary runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exception_is_told_within_a_second() {
    let ops = Inbox::start().await;
    let app = telling(webhook("ops", &ops.url("/hook"), "")).await;
    sends_unmapped(&app, 1).await;
    ops.hears(1).await;
    // Measured on a service that has warmed up, from the first byte of the order to the message at its receiver.
    let begun = std::time::Instant::now();
    let order = orders::rest("000000002", "CUP", 1);
    assert_eq!(app.patchworks_sends(order.to_string()).await.status, 202);
    let told = ops.hears(2).await;
    let took = told[1].at.duration_since(begun);
    println!("from the order to the message: {took:?}");
    assert!(took < std::time::Duration::from_secs(1), "{took:?}");
    let notice = told[1].json();
    assert_eq!((&notice["schema"], &notice["kind"]), (&json!("crossdock.alert.v1"), &json!("raised")));
    assert!(notice["what"].as_str().unwrap().contains("CUP"), "{notice}");
    assert_eq!(notice["severity"], "error");
    assert!(!notice.to_string().contains("Anna") && !notice.to_string().contains("anna@"), "DAT-3: {notice}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_critical_exception_is_told_within_a_second() {
    let ops = Inbox::start().await;
    let alerts = webhook("ops", &ops.url("/hook"), "");
    let app =
        TestApp::with(move |text| text.replace("guard = \"key\"\nkey_window = \"24h\"", "guard = \"none\"") + &alerts)
            .await;
    app.erp.next([Fault::DropAfterApply]);
    let begun = std::time::Instant::now();
    assert_eq!(app.patchworks_sends(orders::rest("000000001", "24-WG085", 1).to_string()).await.status, 202);
    let told = ops.hears(1).await;
    let took = told[0].at.duration_since(begun);
    println!("from the order that nobody knows the outcome of to the message: {took:?}");
    let notice = told[0].json();
    assert_eq!((&notice["severity"], &notice["waiting"]), (&json!("critical"), &json!(1)), "{notice}");
    assert!(took < std::time::Duration::from_secs(1), "{took:?}");
}
