//! Each outcome class end to end (delivery-semantics 8 and 10).

use std::time::Duration;

use crossdock::demo::erp::{ErpOptions, Fault};
use serde_json::{Value, json};

use super::{SOON, app_with, unguarded};
use crate::support::{TestApp, orders};

async fn sends(app: &TestApp, number: &str) {
    let answer = app.patchworks_sends(orders::rest(number, "24-WG085", 2).to_string()).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
}

fn outcomes(order: &Value) -> Vec<String> {
    let made = order["deliveries"][0]["attempts_made"].as_array().unwrap();
    made.iter().map(|attempt| attempt["outcome"].as_str().unwrap_or("open").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_whatever_passes_by_itself_ends_in_exactly_one_order() {
    let table: [(&str, Fault, &str); 10] = [
        ("a refused connect or reset before", Fault::DropBeforeApply, "uncertain"),
        ("an answer lost after applying", Fault::DropAfterApply, "uncertain"),
        ("a 500 that did nothing", Fault::Status(500), "uncertain"),
        ("a 500 that did its work", Fault::StatusAfterApply(500), "uncertain"),
        ("an answer cut off", Fault::CutOffAfterApply, "uncertain"),
        ("408", Fault::Status(408), "unavailable"),
        ("425", Fault::Status(425), "unavailable"),
        ("409 while the key is worked on", Fault::Status(409), "uncertain"),
        ("423", Fault::Status(423), "unavailable"),
        ("a hang, with the work done", Fault::HangAfterApply(Duration::from_secs(2)), "uncertain"),
    ];
    let app = app_with(&format!("{SOON}\nrequest_timeout = \"300ms\"")).await;
    for (index, (case, fault, outcome)) in table.into_iter().enumerate() {
        let number = format!("{:09}", index + 1);
        app.erp.next([fault]);
        sends(&app, &number).await;
        let told = app.order_is(&number, "delivered").await;
        assert_eq!(outcomes(&told), [outcome, "accepted"], "{case}");
        assert_eq!(app.erp.find(&number).len(), 1, "{case}");
    }
    let counts = app.erp.counts();
    assert_eq!((counts.doubled, counts.key_reused), (0, 0), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ret_3_a_destination_that_asks_for_a_pause_gets_it() {
    for (fault, outcome) in [
        (Fault::retry_after(429, 1), "throttled"),
        (Fault::retry_after(503, 1), "uncertain"),
        (Fault::RetryAfter { status: 429, value: "soon".to_owned() }, "throttled"),
    ] {
        let app = app_with(SOON).await;
        app.erp.next([fault.clone()]);
        sends(&app, "000000001").await;
        let paused = app.destination_is("paused").await;
        assert!(paused["until"].is_string(), "{fault:?}: {paused}");
        // Another lane waits as well: the pause is the destination's.
        sends(&app, "000000002").await;
        assert_eq!(app.erp.counts().requests, 1, "{fault:?}");
        let told = app.order_is("000000001", "delivered").await;
        app.order_is("000000002", "delivered").await;
        assert_eq!(outcomes(&told), [outcome, "accepted"], "{fault:?}");
        let made = &told["deliveries"][0]["attempts_made"];
        let at = |index: usize, name: &str| made[index][name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        assert!(
            at(1, "started_at").duration_since(at(0, "finished_at")) >= jiff::SignedDuration::from_millis(950),
            "{fault:?}"
        );
        assert_eq!(app.erp.counts().doubled, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_is_refused_holds_the_destination_until_a_person_releases_it() {
    for status in [401, 403] {
        let app = app_with(SOON).await;
        app.erp.always(Some(Fault::Status(status)));
        sends(&app, "000000001").await;
        let held = app.destination_is("held").await;
        assert!(held["reason"].as_str().unwrap().contains(&status.to_string()), "{held}");
        sends(&app, "000000002").await;
        let requests = app.erp.counts().requests;
        assert_eq!(requests, 2, "once, and once more with the credential read anew");
        for number in ["000000001", "000000002"] {
            let told = app.order(number).await;
            assert_eq!(told["state"], "due", "the records are not to blame: {told}");
            assert_eq!(told["exceptions"], json!([]));
        }
        assert_eq!(app.metric("destination_held{destination=\"erp\"}").await, 1.0);

        app.erp.always(None);
        let released = app.acts("/api/v1/destinations/erp/release", "mended", &json!({})).await;
        assert_eq!((released.status, &released.json()["state"]), (200, &json!("open")), "{}", released.text);
        app.settled().await;
        assert_eq!((app.erp.counts().applied, app.erp.counts().doubled), (2, 0));
        assert_eq!(app.metric("destination_held{destination=\"erp\"}").await, 0.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_of_ours_is_held_and_nothing_is_lost() {
    let app = TestApp::with_erp(ErpOptions { token: Some("right".to_owned()), ..ErpOptions::default() }, |text| {
        text.replace("auth = { type = \"none\" }\nallow", "auth = { type = \"bearer\", token = \"wrong\" }\nallow")
    })
    .await;
    sends(&app, "000000001").await;
    app.destination_is("held").await;
    assert_eq!(app.order("000000001").await["state"], "due");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_the_record_parks_it_and_a_replay_sends_it_again() {
    for status in [400, 404, 410, 413, 415, 422] {
        let app = app_with(SOON).await;
        app.erp.next([Fault::Status(status)]);
        sends(&app, "000000001").await;
        let told = app.order_is("000000001", "parked").await;
        let exception = &told["exceptions"][0];
        assert_eq!(exception["code"], "rejected_by_destination", "{told}");
        assert!(exception["message"].as_str().unwrap().contains(&status.to_string()), "{exception}");
        assert_eq!(exception["subject"]["increment_id"], "000000001");
        assert_eq!(app.erp.counts().requests, 1, "no retry of a definite no");
        if status == 410 {
            app.destination_is("held").await;
            app.acts("/api/v1/destinations/erp/release", "back", &json!({})).await;
        }
        let path = format!("/api/v1/exceptions/{}/replay", exception["id"].as_str().unwrap());
        let replayed = app.acts(&path, "fixed", &json!({ "reason": "customer created" })).await;
        assert_eq!((replayed.status, &replayed.json()["result"]), (200, &json!("retried")), "{}", replayed.text);
        let again = app.acts(&path, "fixed", &json!({ "reason": "customer created" })).await;
        assert_eq!(again.headers["idempotency-replayed"], "true", "api_2");
        let told = app.order_is("000000001", "delivered").await;
        assert_eq!(told["exceptions"][0]["state"], "resolved", "{told}");
        let log = app.erp.log();
        assert_eq!((log.len(), &log[0].key), (2, &log[1].key), "key_4: the same key on a replay");
        assert_eq!(app.erp.counts().doubled, 0);
        let closed = app.acts(&path, "once more", &json!({})).await;
        assert_eq!(closed.status, 409, "it is closed: {}", closed.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn section_8_three_redirects_in_a_row_hold_the_destination() {
    let app = app_with(SOON).await;
    app.erp.next([Fault::Redirect, Fault::Status(501), Fault::Redirect]);
    for number in ["000000001", "000000002", "000000003"] {
        sends(&app, number).await;
        let told = app.order_is(number, "parked").await;
        assert_eq!(told["exceptions"][0]["code"], "rejected_by_destination");
    }
    app.destination_is("held").await;
    assert_eq!(app.erp.counts().requests, 3, "no redirect is followed");
    assert!(app.erp.log().iter().all(|entry| entry.id.is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn ret_1_the_end_of_the_schedule_parks_and_a_replay_begins_again() {
    let app = app_with("retry_schedule = [\"10ms\", \"10ms\"]").await;
    app.erp.next([Fault::Status(408), Fault::Status(408), Fault::Status(408)]);
    sends(&app, "000000001").await;
    let told = app.order_is("000000001", "parked").await;
    assert_eq!(told["exceptions"][0]["code"], "retries_exhausted", "{told}");
    assert_eq!(outcomes(&told), ["unavailable", "unavailable", "unavailable"]);
    let id = told["exceptions"][0]["id"].as_str().unwrap();
    app.acts(&format!("/api/v1/exceptions/{id}/replay"), "again", &json!({})).await;
    app.order_is("000000001", "delivered").await;
    assert_eq!(app.erp.counts().applied, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn section_8_an_error_inside_a_200_is_not_a_delivery() {
    for app in [app_with(SOON).await, unguarded(SOON).await] {
        app.erp.next([Fault::ErrorIn200]);
        sends(&app, "000000001").await;
        let told = app.order_is("000000001", "parked").await;
        assert_eq!(told["exceptions"][0]["code"], "rejected_by_destination", "{told}");
        assert!(told["exceptions"][0]["message"].as_str().unwrap().contains("the period is closed"), "{told}");
        assert!(app.erp.find("000000001").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn section_8_an_answer_that_cannot_be_read_is_never_taken_for_a_yes() {
    let app = app_with(SOON).await;
    for (number, fault) in [("000000001", Fault::Garbage), ("000000002", Fault::GarbageAfterApply)] {
        app.erp.next([fault]);
        sends(&app, number).await;
        let told = app.order_is(number, "delivered").await;
        assert_eq!(outcomes(&told), ["uncertain", "accepted"], "{told}");
        assert_eq!(app.erp.find(number).len(), 1, "a log-in page with status 200 is no order");
    }
    assert_eq!(app.erp.counts().doubled, 0);
    let app = unguarded(SOON).await;
    app.erp.next([Fault::Garbage]);
    sends(&app, "000000001").await;
    assert_eq!(app.order_is("000000001", "parked").await["exceptions"][0]["code"], "outcome_uncertain");
}
