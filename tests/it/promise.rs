//! Attacks on the promises, each a story that once went wrong.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crossdock::demo::erp::Fault;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{API_KEY, Site, TestApp, orders};

/// Changes the configuration file; the next start reads it.
fn edit(site: &Site, change: impl FnOnce(String) -> String) {
    let text = std::fs::read_to_string(site.config_path()).unwrap();
    std::fs::write(site.config_path(), change(text)).unwrap();
}

async fn only_exception(app: &TestApp) -> Value {
    for _ in 0..500 {
        let open = app.sees("/api/v1/exceptions").await;
        if let [one] = &open["items"].as_array().unwrap()[..] {
            return one.clone();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no exception was opened");
}

async fn replay(app: &TestApp, exception: &Value) -> (u16, Value) {
    let path = app.url(&format!("/api/v1/exceptions/{}/replay", exception["id"].as_str().unwrap()));
    let request = app.client.request(Method::POST, path).bearer_auth(&app.token);
    let request = request.header("idempotency-key", "\"again-1\"").header("content-type", "application/json");
    let answer = request.body(json!({ "reason": "corrected" }).to_string()).send().await.unwrap();
    (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default())
}

/// A destination that refuses everything: nobody serves this path of the stand-in.
fn wrong_path(text: &str) -> String {
    text.lines()
        .map(|line| match line.strip_prefix("url = \"http://") {
            Some(rest) => format!("url = \"http://{}/typo\"\n", rest.split('/').next().unwrap().trim_end_matches('"')),
            None => format!("{line}\n"),
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn key_3_an_order_refused_at_a_mistyped_url_goes_to_the_corrected_one_when_replayed() {
    let app = TestApp::with(|text| wrong_path(&text)).await;
    let right = app.erp.url();
    assert_eq!(app.commerce_sends(orders::observed("000000042", "24-WG085", 1)).await.status, 200);
    let exception = only_exception(&app).await;
    assert_eq!(exception["code"], "rejected_by_destination");
    edit(&app.site, |text| {
        let at = text.find("/typo\"").unwrap();
        let from = text[..at].rfind("\"http://").unwrap();
        format!("{}\"{right}{}", &text[..from], &text[at + "/typo".len()..])
    });
    let app = app.restart().await;
    let (status, told) = replay(&app, &exception).await;
    assert_eq!((status, told["result"].as_str()), (200, Some("replaced")), "{told}");
    app.settled().await;
    assert_eq!(app.erp.find("000000042").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn ded_5_key_1_other_events_of_other_origins_under_another_configuration_meet_the_same_effect() {
    let app = TestApp::start().await;
    // The first attempt's answer is lost after the order was made: what comes now could make it twice.
    app.erp.plan(Some(Box::new(|number| (number == 1).then_some(Fault::DropAfterApply))));
    assert_eq!(app.commerce_sends(orders::observed("000000042", "24-WG085", 1)).await.status, 200);
    edit(&app.site, |text| text.replace("name = \"orders\"", "name = \"all-orders\""));
    let app = app.restart().await;
    app.settled().await;
    // Saved again, run again by a flow, each a new event with content of its own.
    assert_eq!(app.commerce_sends(orders::observed("000000042", "24-WG085", 2)).await.status, 200);
    assert_eq!(app.patchworks_sends(orders::rest("000000042", "24-WG085", 3).to_string()).await.status, 202);
    app.settled().await;
    assert_eq!(app.stored().await, 3, "three events were accepted: dedup did not help here");
    let deliveries = app.order("000000042").await["deliveries"].clone();
    assert_eq!(deliveries.as_array().unwrap().len(), 1, "{deliveries}");
    let counts = app.erp.counts();
    assert_eq!((counts.applied, counts.doubled, counts.key_reused), (1, 0, 0));
    assert_eq!(app.erp.find("000000042").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn replaying_a_refused_delivery_that_no_route_sends_there_any_more_says_so_and_does_not_break() {
    let second = |text: String| {
        let text = wrong_path(&text);
        let from = text.find("[destinations.erp]").unwrap();
        let to = text.find("[[routes]]").unwrap();
        let wms = text[from..to].replace("[destinations.erp]", "[destinations.wms]").replace("/typo", "/sales-orders");
        text.replace("to = [\"erp\"]", "to = [\"erp\", \"wms\"]").replace("[[routes]]", &format!("{wms}[[routes]]"))
    };
    let app = TestApp::with(second).await;
    assert_eq!(app.commerce_sends(orders::observed("000000042", "24-WG085", 1)).await.status, 200);
    let exception = loop {
        let open = app.sees("/api/v1/exceptions").await;
        let items = open["items"].as_array().unwrap().clone();
        if let Some(erp) = items.into_iter().find(|one| one["destination"] == "erp") {
            break erp;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    edit(&app.site, |text| text.replace("to = [\"erp\", \"wms\"]", "to = [\"wms\"]"));
    let app = app.restart().await;
    let (status, told) = replay(&app, &exception).await;
    assert_eq!((status, told["result"].as_str()), (200, Some("ignored")), "{told}");
    assert!(told["explanation"].as_str().unwrap().contains("No route sends this to erp any more"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn prs_4_clients_that_promise_large_bodies_and_send_nothing_starve_nobody() {
    let app = TestApp::start().await;
    let slow: Vec<TcpStream> = (0..40)
        .map(|_| {
            let mut stream = TcpStream::connect(app.running.address).unwrap();
            let head = "POST /in/flows/orders HTTP/1.1\r\nHost: test\r\nContent-Length: 1048576\r\n\r\n{";
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(app.patchworks_sends(orders::rest("000000042", "24-WG085", 1).to_string()).await.status, 202);
    drop(slow);
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_3_two_event_ids_are_a_refusal_and_an_empty_one_is_none() {
    let app = TestApp::with(|text| {
        text.replace("type = \"patchworks\"", "type = \"patchworks\"\nevent_id_header = \"X-Event-Id\"")
    })
    .await;
    let sends = async |number: &str, ids: &[&str]| {
        let mut headers = vec![("x-api-key", API_KEY)];
        headers.extend(ids.iter().map(|id| ("x-event-id", *id)));
        let order = orders::rest(number, "24-WG085", 1).to_string();
        app.posts("/in/flows/orders", order, &headers).await.status
    };
    assert_eq!(sends("000000042", &["a", "b"]).await, 401);
    assert_eq!(sends("000000042", &["a"]).await, 202);
    assert_eq!(sends("000000043", &["a"]).await, 409);
    assert_eq!((sends("000000044", &[""]).await, sends("000000045", &[""]).await), (202, 202));
}

#[test]
fn ans_1_a_body_that_breaks_off_leaves_nothing_behind() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let app = TestApp::start().await;
        let address = app.running.address;
        tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            let head = format!(
                "POST /in/flows/orders HTTP/1.1\r\nHost: test\r\nX-Api-Key: {API_KEY}\r\nContent-Length: 100\r\n\r\n{{}}"
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let mut answer = String::new();
            let _ = stream.read_to_string(&mut answer);
            assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
        })
        .await
        .unwrap();
        assert_eq!(app.running.store.ledger().await.unwrap().accepted, 0);
    });
}
