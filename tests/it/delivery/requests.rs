//! What a destination is sent (DESIGN 2.5, delivery-semantics 6).

use serde_json::{Value, json};

use super::{SOON, app_with};
use crate::support::receiver::Receiver;
use crate::support::{API_KEY, TestApp, laws, orders, until};

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test(flavor = "multi_thread")]
async fn the_erp_sees_the_headers_of_the_contract() {
    let receiver = Receiver::start().await;
    let url = receiver.url();
    let app = TestApp::with(move |text| {
        let ours = text.lines().find(|line| line.starts_with("url = \"http:")).unwrap().to_owned();
        text.replace(&ours, &format!("url = \"{url}\""))
            .replace("auth = { type = \"none\" }\nallow", "auth = { type = \"bearer\", token = \"erp-token\" }\nallow")
    })
    .await;
    let body = orders::rest("000000042", "24-WG085", 2).to_string();
    app.posts("/in/flows/orders", body, &[("x-api-key", API_KEY), ("traceparent", TRACE)]).await;
    app.posts(
        "/in/flows/orders",
        orders::rest("000000043", "24-WG085", 2).to_string(),
        &[("x-api-key", API_KEY), ("traceparent", "00-nonsense")],
    )
    .await;
    app.settled().await;
    let mut got = receiver.got();
    assert_eq!(got.len(), 2);
    // Two orders are two lanes: the second may come first.
    got.sort_by_key(|one| {
        let document: Value = serde_json::from_slice(&one.body).unwrap();
        document["order"]["increment_id"].to_string()
    });
    let header = |index: usize, name: &str| got[index].headers[name].to_str().unwrap().to_owned();
    let key = header(0, "idempotency-key");
    assert_eq!(key.trim_matches('"').len(), 56, "{key}");
    assert!(key.trim_matches('"').starts_with("ek1-"), "{key}");
    assert!(header(0, "crossdock-delivery").starts_with("dlv_"));
    assert_eq!(header(0, "crossdock-attempt"), "1");
    assert_eq!(header(0, "content-type"), "application/json");
    assert_eq!(header(0, "authorization"), "Bearer erp-token");
    assert_eq!(header(0, "user-agent"), "crossdock/0.1");
    assert_eq!(header(0, "traceparent")[..36], TRACE[..36], "att_4: the trace goes on");
    let own = header(1, "traceparent");
    assert!(own.len() == 55 && own.starts_with("00-") && !own.contains("nonsense"), "att_4: replaced: {own}");
    assert_ne!(header(0, "idempotency-key"), header(1, "idempotency-key"));
    for name in ["x-api-key", "cookie", "x-hmac-hash"] {
        assert!(got[0].headers.get(name).is_none(), "{name} is the origin's own");
    }
    let document: Value = serde_json::from_slice(&got[0].body).unwrap();
    assert_eq!(document["schema"], "crossdock.sales_order.v1");
    assert_eq!(laws::broken(&document), Vec::<String>::new());
    let told = app.order("000000042").await;
    assert!(told["deliveries"][0]["receipt"].as_str().is_some_and(|receipt| receipt.starts_with("R-")), "{told}");
    assert_eq!(told["deliveries"][0]["key"], key.trim_matches('"'));
}

#[tokio::test(flavor = "multi_thread")]
async fn key_2_key_4_an_order_reported_by_webhook_and_flow_is_one_request() {
    let app = TestApp::start().await;
    let flow = orders::rest("000000042", "24-WG085", 2);
    app.commerce_sends(orders::observed("000000042", "24-WG085", 2)).await;
    app.patchworks_sends(flow.to_string()).await;
    // The flow runs again with a little more in it: another event of the same order.
    let mut again = flow;
    again["updated_at"] = json!("2026-03-02 10:15:31");
    app.patchworks_sends(again.to_string()).await;
    app.settled().await;
    assert_eq!(app.stored().await, 3);
    let counts = app.erp.counts();
    assert_eq!((counts.applied, counts.doubled, counts.key_reused), (1, 0, 0), "{counts:?}");
    assert_eq!(app.erp.find("000000042").len(), 1);
    let ledger = app.running.store.ledger().await.unwrap();
    assert_eq!(ledger.done + ledger.superseded + ledger.ignored, 3, "{ledger:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn key_5_every_attempt_carries_the_same_key_and_bytes_and_its_own_number() {
    let app = app_with(SOON).await;
    app.erp.next([
        crossdock::demo::erp::Fault::DropBeforeApply,
        crossdock::demo::erp::Fault::Status(500),
        crossdock::demo::erp::Fault::DropAfterApply,
    ]);
    app.patchworks_sends(orders::rest("000000042", "24-WG085", 2).to_string()).await;
    // While it is under way the mapping changes: what is sealed stays.
    app.maps("skus", "key,value,destination\n24-WG085,ERP-85,\n").await;
    app.settled().await;
    let log = app.erp.log();
    let attempts: Vec<Option<u32>> = log.iter().map(|entry| entry.attempt).collect();
    assert_eq!(attempts, [Some(1), Some(2), Some(3), Some(4)]);
    assert!(log.iter().all(|entry| entry.key == log[0].key && entry.delivery == log[0].delivery), "{log:?}");
    let counts = app.erp.counts();
    assert_eq!((counts.applied, counts.replayed, counts.key_reused, counts.doubled), (1, 1, 0, 0), "{counts:?}");
    let told = app.order("000000042").await;
    let made = told["deliveries"][0]["attempts_made"].as_array().unwrap();
    let outcomes: Vec<&str> = made.iter().map(|attempt| attempt["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["uncertain", "uncertain", "uncertain", "accepted"]);
    assert_eq!(told["deliveries"][0]["receipt"], "SO-000001");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_on_the_express_lane_has_the_rows_of_any_other() {
    let app = TestApp::start().await;
    let mut millis = Vec::new();
    for number in 1..=40 {
        let begun = std::time::Instant::now();
        let number = format!("{number:09}");
        app.patchworks_sends(orders::rest(&number, "24-WG085", 2).to_string()).await;
        until("the ERP has it", async || app.erp.find(&number).pop()).await;
        millis.push(begun.elapsed().as_millis());
    }
    app.settled().await;
    millis.sort_unstable();
    assert!(millis[20] < 500, "an idle service takes {} ms for half of its orders", millis[20]);
    let told = app.order("000000007").await;
    let delivery = &told["deliveries"][0];
    assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("delivered"), &json!(1)));
    let attempt = &delivery["attempts_made"][0];
    assert_eq!(
        (&attempt["number"], &attempt["outcome"], &attempt["status"]),
        (&json!(1), &json!("accepted"), &json!(201))
    );
    assert!(attempt["started_at"].as_str() <= attempt["finished_at"].as_str() && attempt["started_at"].is_string());
    assert!(delivery["sealed"]["digest"].is_string());
    assert_eq!(delivery["sealed"]["method"], "POST");
}
