//! What becomes of a delivery after each kind of answer.

use std::time::Duration;

use super::rig::{KEY, Rig};
use crate::delivery::trace;
use crate::destinations::Guard;
use crate::destinations::double::{Double, Play, Seen};
use crate::store::contract::build::{act, at, create_key};
use crate::store::write::{Decision, Verdict};

fn trace_of(seen: &Seen) -> String {
    seen.header("traceparent").unwrap()[..36].to_owned()
}

#[tokio::test]
async fn a_delivery_that_is_due_is_sent_and_settled_with_its_receipt() {
    let rig = Rig::new(|_| {}).await;
    let delivery = rig.order("000000042").await;
    rig.finished(1).await;
    let row = rig.row(delivery).await;
    assert_eq!((row.delivery.state.as_str(), row.delivery.receipt.as_deref()), ("delivered", Some("SO-1")));
    let attempt = &row.attempts_made[0];
    assert_eq!((attempt.number, attempt.outcome.as_deref(), attempt.status), (1, Some("accepted"), Some(201)));
    assert!(attempt.duration_us.is_some() && attempt.response.as_deref() == Some("{\"id\":\"SO-1\"}"));

    let seen = rig.erp().seen().remove(0);
    assert_eq!(seen.header("crossdock-delivery"), Some(delivery.to_string().as_str()));
    assert_eq!(seen.header("crossdock-attempt"), Some("1"));
    assert_eq!(seen.header("idempotency-key"), Some(create_key("000000042", "erp", 0).as_str()));
    assert!(trace::is_well_formed(seen.header("traceparent").unwrap()));
    let (_, origin) = rig.store.delivery_origin(delivery).await.unwrap().unwrap();
    assert_eq!(seen.body.as_bytes(), origin.document);
    rig.ears.told(|told| assert_eq!(told.settled, [delivery]));
}

#[tokio::test]
async fn unc_2_after_doubt_the_same_bytes_go_out_with_the_same_key() {
    let rig = Rig::new(|_| {}).await;
    rig.erp().play([Play::CloseAfterReading, Play::HalfBody, Play::status(500), Play::status(409)]);
    let delivery = rig.order("000000042").await;
    for attempts in 1..=4 {
        rig.finished(attempts).await;
        let row = rig.row(delivery).await.delivery;
        assert_eq!((row.state.as_str(), row.uncertain), ("waiting", true), "after attempt {attempts}");
        rig.pass(1_000);
    }
    rig.finished(5).await;
    assert_eq!(rig.row(delivery).await.delivery.state, "delivered");
    let seen = rig.erp().seen();
    assert_eq!(seen.len(), 5);
    for (number, request) in seen.iter().enumerate() {
        assert_eq!(request.body, seen[0].body);
        assert_eq!(request.header("idempotency-key"), seen[0].header("idempotency-key"));
        assert_eq!(request.header("crossdock-attempt"), Some((number + 1).to_string().as_str()));
        assert_eq!(trace_of(request), trace_of(&seen[0]), "ATT-4: a resend keeps its trace");
    }
}

#[tokio::test]
async fn unc_5_without_a_guard_doubt_parks_at_once_with_the_evidence() {
    let rig = Rig::new(|settings| settings.guard = Guard::None).await;
    rig.erp().play([Play::answer(500, &[], "{\"detail\":\"deadlock\"}")]);
    let delivery = rig.order("000000042").await;
    rig.finished(1).await;
    let row = rig.row(delivery).await;
    assert_eq!((row.delivery.state.as_str(), row.delivery.uncertain), ("parked", true));
    let attempt = &row.attempts_made[0];
    assert_eq!((attempt.status, attempt.response.as_deref()), (Some(500), Some("{\"detail\":\"deadlock\"}")));
    let opened = rig.exceptions().await.remove(0);
    assert_eq!((opened.code.as_str(), opened.severity.as_str()), ("outcome_uncertain", "critical"));
    assert_eq!(opened.delivery_id, Some(delivery));
    assert!(opened.message.contains("500 Internal Server Error: deadlock"), "{}", opened.message);
    rig.pass(100_000);
    rig.settle_down().await;
    assert_eq!(rig.erp().seen().len(), 1, "P5: never sent again on our initiative");
}

#[tokio::test]
async fn unc_2_once_the_window_is_over_a_person_decides_and_may_send_again() {
    let rig = Rig::new(|settings| settings.guard = Guard::Key { window: Duration::from_hours(1) }).await;
    rig.erp().play([Play::CloseAfterReading]);
    let delivery = rig.order("000000042").await;
    rig.finished(1).await;
    rig.pass(3_600);
    rig.finished(2).await;
    assert_eq!(rig.row(delivery).await.delivery.state, "parked");
    assert_eq!(rig.exceptions().await[0].code, "outcome_uncertain");
    assert_eq!(rig.erp().seen().len(), 1, "the key is no longer remembered");

    let verdict = Verdict::Retry { due_at: at(5) };
    rig.store.decide(Decision { delivery, verdict, act: act("delivery.retry") }).await.unwrap();
    rig.delivery.wake();
    rig.finished(3).await;
    assert_eq!(rig.row(delivery).await.delivery.state, "delivered");
}

#[tokio::test]
async fn section_8_a_refusal_parks_the_record_and_is_not_tried_again() {
    let rig = Rig::new(|_| {}).await;
    rig.erp().play([Play::answer(422, &[], "{\"detail\":\"unknown customer\"}")]);
    let delivery = rig.order("000000042").await;
    rig.finished(1).await;
    assert_eq!(rig.row(delivery).await.delivery.state, "parked");
    let opened = rig.exceptions().await.remove(0);
    assert_eq!(opened.code, "rejected_by_destination");
    assert!(opened.message.contains("422 Unprocessable Entity: unknown customer"), "{}", opened.message);
    rig.pass(1_000_000);
    rig.settle_down().await;
    assert_eq!(rig.erp().seen().len(), 1);
    rig.ears.told(|told| assert_eq!(told.exceptions, ["rejected_by_destination"]));
}

#[tokio::test]
async fn key_6_a_key_reused_with_another_payload_parks_and_alarms() {
    let rig = Rig::new(|_| {}).await;
    rig.erp().play([Play::answer(422, &[], "{\"title\":\"Idempotency-Key is already used\"}")]);
    rig.order("000000042").await;
    rig.finished(1).await;
    let opened = rig.exceptions().await.remove(0);
    assert_eq!((opened.severity.as_str(), opened.owner.as_str()), ("critical", "integration"));
    rig.ears.told(|told| assert_eq!(told.alarms, 1));
}

#[tokio::test]
async fn ret_1_after_the_last_pause_the_retries_are_exhausted() {
    let rig = Rig::new(|settings| settings.retry_delays = vec![Duration::from_secs(2); 2]).await;
    rig.erp().play([Play::status(408), Play::status(425), Play::status(423)]);
    let delivery = rig.order("000000042").await;
    for attempts in 1..=3 {
        rig.finished(attempts).await;
        rig.pass(3);
    }
    assert_eq!(rig.row(delivery).await.delivery.state, "parked");
    assert_eq!(rig.exceptions().await[0].code, "retries_exhausted");
}

#[tokio::test]
async fn ret_1_a_retry_does_not_come_before_its_time() {
    let rig = Rig::new(|_| {}).await;
    rig.erp().play([Play::status(408)]);
    rig.order("000000042").await;
    rig.finished(1).await;
    rig.pass(1);
    rig.settle_down().await;
    assert_eq!(rig.erp().seen().len(), 1, "2 s × 0.8 are not over");
    rig.pass(2);
    rig.finished(2).await;
}

#[tokio::test]
async fn ret_2_what_is_past_the_age_limit_is_parked_without_being_sent() {
    let rig = Rig::new(|_| {}).await;
    rig.pass(8 * 24 * 3_600);
    let delivery = rig.order("000000042").await;
    rig.finished(1).await;
    assert_eq!(rig.row(delivery).await.delivery.state, "parked");
    assert_eq!(rig.exceptions().await[0].code, "too_old");
    assert!(rig.erp().seen().is_empty());
}

#[tokio::test]
async fn key_5_a_request_sealed_for_another_host_is_parked_not_sent() {
    let rig = Rig::new(|_| {}).await;
    rig.erp().play([Play::CloseAfterReading]);
    let delivery = rig.order("000000042").await;
    rig.finished(1).await;
    rig.delivery.stop(Duration::from_secs(5)).await;
    let moved = Double::start().await;
    let _delivery = super::rig::start(&rig.store, &rig.clock, &rig.ears, vec![super::rig::settings("erp", &moved)]);
    rig.pass(100);
    rig.finished(2).await;
    let row = rig.row(delivery).await.delivery;
    assert_eq!((row.state.as_str(), row.uncertain), ("parked", true), "P5: the doubt stays");
    assert_eq!(moved.connections(), 0);
}

/// Fifty orders through a destination that fails in every transient way: each is applied, each with one body a key.
#[tokio::test]
async fn key_5_whatever_goes_wrong_on_the_way_each_key_carries_one_body() {
    let rig = Rig::new(|settings| {
        settings.guard = KEY;
        settings.request_timeout = Duration::from_millis(300);
    })
    .await;
    let faults = [
        Play::status(408),
        Play::CloseAfterReading,
        Play::Reset,
        Play::status(500),
        Play::HalfBody,
        Play::ResetInHead,
        Play::answer(409, &[], "{\"detail\":\"still working\"}"),
        Play::Garbage,
        Play::HangInBody,
    ];
    for fault in faults.iter().cycle().take(27) {
        // An answer in between keeps the breaker closed.
        rig.erp().play([fault.clone(), Play::status(201), Play::status(200)]);
    }
    for number in 0..50 {
        rig.order(&format!("{number:09}")).await;
    }
    super::rig::within("all are delivered", async {
        while rig.ears.told(|told| told.settled.len()) < 50 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            rig.pass(30);
        }
    })
    .await;
    let mut bodies = std::collections::HashMap::new();
    for seen in rig.erp().seen() {
        let key = seen.header("idempotency-key").unwrap().to_owned();
        assert_eq!(bodies.entry(key).or_insert_with(|| seen.body.clone()), &seen.body);
    }
    assert_eq!(bodies.len(), 50);
    assert_eq!(rig.store.ledger().await.unwrap().done, 50);
}
