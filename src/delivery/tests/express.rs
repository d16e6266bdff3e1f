//! The express lane: from memory, with the same rows and the same rules.

use std::time::Duration;

use super::rig::Rig;
use crate::clock::Clock as _;
use crate::delivery::{ExpressDelivery, Place};
use crate::destinations::double::Play;
use crate::envelope::ids::DeliveryId;
use crate::store::contract::build::{at, create_key, key, order};
use crate::store::pack::unpack;
use crate::store::write::{AttemptStart, Conclusion, Receipt, StartedAttempt};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Asks for a place for the only delivery of a conclusion.
fn ask(rig: &Rig, number: &str, conclusion: &Conclusion) -> Option<(AttemptStart, Place)> {
    let (delivery, document) = (&conclusion.deliveries[0], &conclusion.documents[0]);
    let body = unpack(&document.body.packed, document.body.plain_bytes, &document.body.digest).unwrap();
    rig.delivery.express(&ExpressDelivery {
        id: delivery.id,
        key: &delivery.key,
        destination: &delivery.destination,
        document: document.id,
        body: &body,
        subject: &order(number),
        purpose: &delivery.purpose,
        revision: &delivery.revision,
        generation: delivery.generation,
        traceparent: Some(TRACE),
        created_at: rig.clock.now(),
    })
}

/// Arrives with its conclusion; what was started with it.
async fn append(rig: &Rig, number: &str, event: &str, conclusion: Conclusion) -> (Vec<StartedAttempt>, bool) {
    let mut record = rig.maker.record(number, event, event);
    record.conclusion = Some(conclusion);
    match rig.store.append(rig.maker.arrival(vec![record])).await.unwrap().remove(0) {
        Receipt::First { started, work_left } => (started, work_left),
        other => panic!("{other:?}"),
    }
}

/// The whole way of an order on the express lane.
async fn express(rig: &Rig, number: &str) -> DeliveryId {
    let mut conclusion = rig.maker.create(number, &["erp"]);
    let (start, place) = ask(rig, number, &conclusion).expect("the destination is open");
    let delivery = conclusion.deliveries[0].id;
    conclusion.deliveries[0].express = Some(start);
    let (mut started, _) = append(rig, number, &format!("creation of {number}"), conclusion).await;
    rig.delivery.hand_off(started.pop().expect("its lane is free"), place);
    delivery
}

#[tokio::test]
async fn att_1_an_express_attempt_is_durable_before_it_leaves_and_settles_like_any_other() {
    let rig = Rig::new(|_| {}).await;
    let mut conclusion = rig.maker.create("000000042", &["erp"]);
    let (start, place) = ask(&rig, "000000042", &conclusion).unwrap();
    let delivery = conclusion.deliveries[0].id;
    conclusion.deliveries[0].express = Some(start);
    let (mut started, _) = append(&rig, "000000042", "created", conclusion).await;
    rig.settle_down().await;
    assert_eq!(rig.row(delivery).await.delivery.state, "in_flight");
    assert!(rig.erp().seen().is_empty(), "nothing leaves before the hand-off");
    rig.delivery.hand_off(started.pop().unwrap(), place);
    rig.finished(1).await;
    let row = rig.row(delivery).await;
    assert_eq!((row.delivery.state.as_str(), row.delivery.receipt.as_deref()), ("delivered", Some("SO-1")));
    let seen = rig.erp().seen().remove(0);
    assert_eq!(seen.header("idempotency-key"), Some(create_key("000000042", "erp", 0).as_str()));
    assert_eq!(seen.header("crossdock-attempt"), Some("1"));
    assert_eq!(seen.header("traceparent"), Some(TRACE), "ATT-4");
    let (_, origin) = rig.store.delivery_origin(delivery).await.unwrap().unwrap();
    assert_eq!(seen.body.as_bytes(), origin.document);
}

#[tokio::test]
async fn key_5_a_retry_of_an_express_attempt_sends_the_sealed_bytes() {
    let rig = Rig::new(|_| {}).await;
    rig.erp().play([Play::CloseAfterReading]);
    let delivery = express(&rig, "000000042").await;
    rig.finished(1).await;
    assert!(rig.row(delivery).await.delivery.uncertain);
    rig.pass(10);
    rig.finished(2).await;
    let seen = rig.erp().seen();
    assert_eq!(
        (seen[0].body.as_str(), seen[0].header("idempotency-key")),
        (seen[1].body.as_str(), seen[1].header("idempotency-key"))
    );
    assert_eq!(seen[1].header("crossdock-attempt"), Some("2"));
}

#[tokio::test]
async fn a_place_that_is_not_used_is_free_again() {
    let rig = Rig::new(|settings| settings.concurrency = 1).await;
    let conclusion = rig.maker.create("000000042", &["erp"]);
    let mut places: Vec<_> = (0..8).map(|_| ask(&rig, "000000042", &conclusion).unwrap()).collect();
    assert!(ask(&rig, "000000042", &conclusion).is_none(), "eight hand-off places for each request on the wire");
    places.pop();
    assert!(ask(&rig, "000000042", &conclusion).is_some());
    drop(places);
    rig.delivery.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn the_express_lane_is_closed_where_the_destination_is_not_open() {
    let rig = Rig::new(|_| {}).await;
    let conclusion = rig.maker.create("000000043", &["erp"]);
    let elsewhere = rig.maker.create("000000043", &["elsewhere"]);
    assert!(ask(&rig, "000000043", &elsewhere).is_none(), "nobody of that name");
    rig.erp().play([Play::answer(429, &[("retry-after", "60")], ""), Play::status(410)]);
    express(&rig, "000000042").await;
    rig.finished(1).await;
    assert!(ask(&rig, "000000043", &conclusion).is_none(), "paused");
    rig.delivery.release("erp");
    express(&rig, "000000044").await;
    rig.finished(2).await;
    assert!(ask(&rig, "000000043", &conclusion).is_none(), "held");
    rig.delivery.release("erp");
    assert!(ask(&rig, "000000043", &conclusion).is_some());
    rig.delivery.stop(Duration::from_secs(5)).await;
    assert!(ask(&rig, "000000043", &conclusion).is_none(), "stopping");
}

#[tokio::test]
async fn ret_2_what_waits_in_the_hand_off_is_not_sent_to_a_destination_that_shut_meanwhile() {
    let rig = Rig::new(|settings| settings.concurrency = 1).await;
    let (hang, go) = Play::hang();
    rig.erp().play([hang, Play::status(410)]);
    let first = express(&rig, "000000041").await;
    let second = express(&rig, "000000042").await;
    let third = express(&rig, "000000043").await;
    rig.erp().has_seen(1).await;
    go.notify_one();
    rig.finished(3).await;
    assert_eq!(rig.row(first).await.delivery.state, "delivered");
    assert_eq!(rig.row(second).await.delivery.state, "parked", "410 holds the destination");
    let row = rig.row(third).await;
    assert_eq!((row.delivery.state.as_str(), row.delivery.uncertain), ("waiting", false));
    assert!(row.attempts_made[0].detail.as_deref().unwrap().starts_with("not sent"));
    assert_eq!(rig.erp().seen().len(), 2);
    rig.delivery.release("erp");
    rig.finished(4).await;
    assert_eq!(rig.row(third).await.delivery.state, "delivered");
}

#[tokio::test]
async fn lane_1_what_follows_an_express_attempt_goes_as_soon_as_it_is_settled() {
    let rig = Rig::new(|_| {}).await;
    let (hang, go) = Play::hang();
    rig.erp().play([hang]);
    express(&rig, "000000042").await;
    rig.erp().has_seen(1).await;

    let mut change = Conclusion::default();
    rig.maker.intend(&mut change, "erp", key("000000042", "erp", "order.change", "1", 0), "order.change", "1");
    let (start, place) = ask(&rig, "000000042", &change).unwrap();
    change.deliveries[0].express = Some(AttemptStart { started_at: at(6), ..start });
    let (started, work_left) = append(&rig, "000000042", "changed", change).await;
    assert!(started.is_empty() && work_left, "its lane is taken");
    drop(place);
    rig.delivery.wake();
    rig.settle_down().await;
    assert_eq!(rig.erp().seen().len(), 1);
    go.notify_one();
    rig.finished(2).await;
}

#[tokio::test]
async fn a_busy_express_lane_does_not_starve_the_dispatcher() {
    let rig = Rig::new(|settings| settings.concurrency = 4).await;
    let hangs: Vec<_> = (0..3).map(|_| Play::hang()).collect();
    rig.erp().play(hangs.iter().map(|(play, _)| play.clone()));
    for number in 0..10 {
        express(&rig, &format!("{number:09}")).await;
    }
    rig.erp().has_seen(3).await;
    // Every place the express lane may use is taken by a silent request, and more wait; a quarter is kept.
    let waiting = rig.order("000000099").await;
    rig.finished(1).await;
    assert_eq!(rig.row(waiting).await.delivery.state, "delivered");
    for (_, go) in &hangs {
        go.notify_one();
    }
    rig.finished(11).await;
}

#[tokio::test]
#[should_panic(expected = "a place is handed back for the delivery it was made for")]
async fn a_place_is_for_its_own_delivery() {
    let rig = Rig::new(|_| {}).await;
    let (one, other) = (rig.maker.create("000000042", &["erp"]), rig.maker.create("000000043", &["erp"]));
    let (_, place) = ask(&rig, "000000042", &one).unwrap();
    rig.delivery.hand_off(StartedAttempt { delivery: other.deliveries[0].id, number: 1, epoch: 1 }, place);
}
