//! Order within a lane, freedom between lanes and destinations.

use std::time::Duration;

use super::rig::Rig;
use crate::destinations::double::Play;
use crate::envelope::ids::DeliveryId;
use crate::store::contract::build::{at, key};
use crate::store::write::Conclusion;

async fn intend(rig: &Rig, number: &str, destination: &str, purpose: &str) -> DeliveryId {
    let envelope = rig.maker.arrive(&rig.store, number, &format!("{purpose} of {number} for {destination}")).await;
    let mut conclusion = Conclusion::default();
    rig.maker.intend(&mut conclusion, destination, key(number, destination, purpose, "1", 0), purpose, "1");
    let delivery = conclusion.deliveries[0].id;
    rig.store.conclude(envelope, conclusion, at(2)).await.unwrap();
    rig.delivery.wake();
    delivery
}

#[tokio::test]
async fn lane_1_the_next_of_a_lane_goes_once_the_head_is_settled_and_at_once() {
    let rig = Rig::new(|_| {}).await;
    let (hang, go) = Play::hang();
    rig.erp().play([hang]);
    rig.order("000000042").await;
    intend(&rig, "000000042", "erp", "order.change").await;
    intend(&rig, "000000042", "erp", "order.cancel").await;
    rig.erp().has_seen(1).await;
    rig.settle_down().await;
    assert_eq!(rig.erp().seen().len(), 1, "one attempt in flight a lane");
    go.notify_one();
    rig.finished(3).await;
    let seen = rig.erp().seen();
    let keys: Vec<&str> = seen.iter().map(|seen| seen.header("idempotency-key").unwrap()).collect();
    let expected = ["order.change", "order.cancel"].map(|purpose| key("000000042", "erp", purpose, "1", 0));
    assert_eq!(keys[1..], [expected[0].as_str(), expected[1].as_str()]);
}

#[tokio::test]
async fn lane_2_a_parked_head_closes_its_own_lane_only() {
    let rig = Rig::new(|_| {}).await;
    rig.erp().play([Play::status(422)]);
    rig.order("000000042").await;
    rig.finished(1).await;
    let behind = intend(&rig, "000000042", "erp", "order.change").await;
    let beside = rig.order("000000043").await;
    rig.finished(2).await;
    rig.settle_down().await;
    assert_eq!(rig.row(beside).await.delivery.state, "delivered");
    assert_eq!(rig.row(behind).await.delivery.state, "waiting");
    assert_eq!(rig.erp().seen().len(), 2);
}

#[tokio::test]
async fn p4_a_slow_destination_delays_no_other() {
    let rig = Rig::with(&["erp", "wms"], |_, settings| settings.concurrency = 1).await;
    let (hang, go) = Play::hang();
    rig.erp().play([hang]);
    for number in 0..5 {
        rig.order(&format!("{number:09}")).await;
    }
    rig.erp().has_seen(1).await;
    for number in 0..5 {
        intend(&rig, &format!("{number:09}"), "wms", "order.create").await;
    }
    rig.finished(5).await;
    assert_eq!((rig.at("wms").seen().len(), rig.erp().seen().len()), (5, 1));
    go.notify_one();
    rig.finished(10).await;
}

#[tokio::test]
async fn prs_1_no_more_requests_at_once_than_the_setting_and_all_of_the_backlog_goes() {
    let rig = Rig::new(|settings| settings.concurrency = 2).await;
    let hangs: Vec<_> = (0..2).map(|_| Play::hang()).collect();
    rig.erp().play(hangs.iter().map(|(play, _)| play.clone()));
    for number in 0..30 {
        rig.order(&format!("{number:09}")).await;
    }
    rig.erp().has_seen(2).await;
    rig.settle_down().await;
    assert_eq!((rig.erp().seen().len(), rig.delivery.status()[0].in_flight), (2, 2));
    for (_, go) in &hangs {
        go.notify_one();
    }
    rig.finished(30).await;
    assert_eq!(rig.delivery.status()[0].in_flight, 0);
}

#[tokio::test]
async fn what_another_process_wrote_is_noticed_without_being_told() {
    let rig = Rig::new(|_| {}).await;
    rig.settle_down().await;
    let (_, delivery) = rig.maker.waiting(&rig.store, "000000042").await;
    rig.finished(1).await;
    assert_eq!(rig.row(delivery).await.delivery.state, "delivered");
}

#[tokio::test]
async fn a_retry_comes_at_its_time_by_the_engines_own_timer() {
    let rig = Rig::new(|settings| settings.retry_delays = vec![Duration::from_millis(200)]).await;
    rig.erp().play([Play::status(408)]);
    rig.order("000000042").await;
    rig.finished(1).await;
    rig.clock.advance(Duration::from_secs(1));
    rig.finished(2).await;
}
