//! Nobody knows whether it arrived: without a guard a person decides (UNC-5, P5).

use std::time::Duration;

use crossdock::demo::erp::Fault;
use serde_json::{Value, json};

use super::{SOON, unguarded};
use crate::support::{TestApp, orders};

/// Sends an order into doubt; its delivery and its exception.
async fn in_doubt(app: &TestApp, number: &str, fault: Fault) -> (String, String) {
    app.erp.next([fault]);
    app.patchworks_sends(orders::rest(number, "24-WG085", 2).to_string()).await;
    let told = app.order_is(number, "parked").await;
    assert_eq!(told["exceptions"][0]["code"], "outcome_uncertain", "{told}");
    assert_eq!(told["exceptions"][0]["severity"], "critical");
    assert_eq!(told["deliveries"][0]["uncertain"], true);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&told["deliveries"][0]["id"]), text(&told["exceptions"][0]["id"]))
}

async fn decides(app: &TestApp, delivery: &str, verdict: &Value) -> u16 {
    let answer = app
        .acts(&format!("/api/v1/deliveries/{delivery}/decide"), &verdict.to_string().replace('"', "'"), verdict)
        .await;
    answer.status
}

#[tokio::test(flavor = "multi_thread")]
async fn unc_5_an_answer_that_is_lost_is_a_persons_to_decide() {
    for fault in [
        Fault::DropAfterApply,
        Fault::DropBeforeApply,
        Fault::Status(500),
        Fault::Status(503),
        Fault::CutOffAfterApply,
        Fault::Hang(Duration::from_secs(2)),
    ] {
        let app = unguarded(&format!("{SOON}\nrequest_timeout = \"300ms\"")).await;
        in_doubt(&app, "000000001", fault.clone()).await;
        assert_eq!(app.erp.counts().requests, 1, "p5: {fault:?} is not sent again on a hope");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unc_5_applied_retry_and_abandon_each_end_the_doubt() {
    let app = unguarded(SOON).await;
    let (delivery, exception) = in_doubt(&app, "000000001", Fault::DropAfterApply).await;
    let replay = app.acts(&format!("/api/v1/exceptions/{exception}/replay"), "r", &json!({})).await;
    assert_eq!(replay.status, 409, "a replay could do it twice: {}", replay.text);
    let seen = json!({ "verdict": "applied", "receipt": "SO-000001", "reason": "found it in the ERP" });
    assert_eq!(decides(&app, &delivery, &seen).await, 200);
    let told = app.order("000000001").await;
    assert_eq!((&told["state"], &told["deliveries"][0]["receipt"]), (&json!("delivered"), &json!("SO-000001")));
    assert_eq!(told["exceptions"][0]["state"], "resolved");
    assert_eq!(decides(&app, &delivery, &json!({ "verdict": "retry" })).await, 409, "it is decided");

    let (delivery, _) = in_doubt(&app, "000000002", Fault::DropBeforeApply).await;
    assert_eq!(decides(&app, &delivery, &json!({ "verdict": "retry", "reason": "it is not there" })).await, 200);
    app.order_is("000000002", "delivered").await;
    assert_eq!(app.erp.find("000000002").len(), 1);

    let (delivery, _) = in_doubt(&app, "000000003", Fault::DropBeforeApply).await;
    assert_eq!(decides(&app, &delivery, &json!({ "verdict": "abandon" })).await, 422, "why?");
    assert_eq!(decides(&app, &delivery, &json!({ "verdict": "abandon", "reason": "entered by hand" })).await, 200);
    let told = app.order("000000003").await;
    assert_eq!((&told["state"], &told["deliveries"][0]["state"]), (&json!("ignored"), &json!("abandoned")), "{told}");
    app.settled().await;
    assert_eq!((app.erp.counts().applied, app.erp.counts().doubled), (2, 0));
    assert_eq!(app.sees("/api/v1/exceptions").await["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn unc_1_the_lane_of_a_doubt_stays_closed_for_its_own_order_alone() {
    let app = unguarded(SOON).await;
    in_doubt(&app, "000000001", Fault::DropAfterApply).await;
    let mut again = orders::rest("000000001", "24-WG085", 2);
    again["status"] = json!("processing");
    app.patchworks_sends(again.to_string()).await;
    app.patchworks_sends(orders::rest("000000002", "24-WG085", 2).to_string()).await;
    app.order_is("000000002", "delivered").await;
    assert_eq!(app.order("000000001").await["state"], "parked");
    assert_eq!(app.erp.find("000000001").len(), 1, "the second report sends nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn att_1_doubt_survives_a_restart() {
    let app = unguarded(SOON).await;
    let (delivery, _) = in_doubt(&app, "000000001", Fault::DropAfterApply).await;
    let app = app.restart().await;
    assert_eq!(app.order("000000001").await["state"], "parked");
    assert_eq!(decides(&app, &delivery, &json!({ "verdict": "applied", "reason": "seen" })).await, 200);
    assert_eq!((app.erp.counts().requests, app.order("000000001").await["state"].as_str()), (1, Some("delivered")));
}
