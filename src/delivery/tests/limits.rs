//! What a destination allows is kept to, whoever asks, and nothing that waits for it is lost or counted as failed.

use std::time::Duration;

use jiff::civil::time;
use jiff::tz::TimeZone;

use super::rig::Rig;
use crate::clock::Rate;
use crate::destinations::double::Play;
use crate::destinations::{Account, ClosedHours, Limits};
use crate::store::contract::build::at;

fn rate(count: u32, per: Duration) -> Limits {
    Limits { rates: vec![Rate { count, per }], closed: Vec::new() }
}

#[tokio::test]
async fn ret_2_more_than_the_rate_waits_in_the_store_without_an_attempt_and_goes_when_its_time_comes() {
    let rig = Rig::new(|settings| settings.limits = rate(3, Duration::from_secs(2))).await;
    let begun = tokio::time::Instant::now();
    let mut orders = Vec::new();
    for number in 0..8 {
        orders.push(rig.order(&format!("00000004{number}")).await);
    }
    rig.finished(3).await;
    rig.settle_down().await;
    assert_eq!(rig.erp().seen().len(), 3, "three in two seconds");
    let waiting = rig.row(orders[7]).await.delivery;
    assert_eq!((waiting.state.as_str(), rig.state()), ("waiting", "open"), "it is not out of order");
    rig.finished(8).await;
    assert!(begun.elapsed() >= Duration::from_secs(4), "{:?}", begun.elapsed());
    for order in orders {
        let row = rig.row(order).await;
        assert_eq!((row.delivery.state.as_str(), row.attempts_made.len()), ("delivered", 1), "it cost no attempt");
    }
}

#[tokio::test]
async fn prs_1_destinations_of_one_account_share_its_places_and_none_waits_for_ever() {
    let account = Account { name: "tenant".into(), concurrency: Some(1), limits: Limits::default() };
    let rig = Rig::with(&["erp", "wms"], |_, settings| settings.account = Some(account.clone())).await;
    let (play, go) = Play::hang();
    rig.erp().play([play]);
    let first = rig.order("000000042").await;
    while rig.erp().seen().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (_, other) = rig.maker.waiting_for(&rig.store, "000000043", "wms").await;
    rig.settle_down().await;
    assert!(rig.at("wms").seen().is_empty(), "the only place is taken");
    go.notify_one();
    rig.finished(2).await;
    for delivery in [first, other] {
        assert_eq!(rig.row(delivery).await.delivery.state, "delivered");
    }
}

#[tokio::test]
async fn ret_3_a_pause_that_one_destination_of_an_account_is_told_to_make_is_made_by_all() {
    let account = Account { name: "tenant".into(), concurrency: None, limits: rate(100, Duration::from_secs(1)) };
    let rig = Rig::with(&["erp", "wms"], |_, settings| settings.account = Some(account.clone())).await;
    rig.erp().play([Play::answer(429, &[("retry-after", "3600")], "")]);
    rig.order("000000042").await;
    rig.finished(1).await;
    rig.maker.waiting_for(&rig.store, "000000043", "wms").await;
    rig.settle_down().await;
    assert!(rig.at("wms").seen().is_empty());
    let states: Vec<_> = rig.delivery.status().iter().map(|status| status.state.as_str()).collect();
    assert_eq!(states, ["paused", "paused"]);
    assert!(rig.delivery.release("wms"), "a person knows better");
    rig.finished(2).await;
    assert_eq!(rig.at("wms").seen().len(), 1);
}

#[tokio::test]
async fn ret_2_nothing_is_sent_in_closed_hours_and_everything_after() {
    let begin = at(0).to_string();
    let hour: i8 = begin[11..13].parse().unwrap();
    let closed =
        ClosedHours { day: None, from: time(hour, 0, 0, 0), to: time((hour + 1) % 24, 0, 0, 0), zone: TimeZone::UTC };
    let rig = Rig::new(|settings| settings.limits.closed = vec![closed.clone()]).await;
    let delivery = rig.order("000000042").await;
    rig.settle_down().await;
    assert!(rig.erp().seen().is_empty());
    assert_eq!(rig.state(), "closed");
    assert_eq!(rig.row(delivery).await.attempts_made.len(), 0);
    rig.pass(3_600);
    rig.finished(1).await;
    assert_eq!((rig.row(delivery).await.delivery.state.as_str(), rig.state()), ("delivered", "open"));
}
