//! Destinations that go after another: a warehouse picks what the ERP has taken, and nothing that it refused.

use super::rig::Rig;
use crate::destinations::double::Play;
use crate::envelope::ids::DeliveryId;
use crate::store::contract::build::{act, at};
use crate::store::write::{Decision, Verdict};

async fn rig() -> Rig {
    Rig::with(&["erp", "wms"], |name, settings| {
        settings.after = (name == "wms").then(|| "erp".to_owned());
    })
    .await
}

/// An order for both, or for one.
async fn order(rig: &Rig, number: &str, to: &[&str]) -> Vec<DeliveryId> {
    let envelope = rig.maker.arrive(&rig.store, number, &format!("event of {number}")).await;
    let conclusion = rig.maker.create(number, to);
    let deliveries = conclusion.deliveries.iter().map(|delivery| delivery.id).collect();
    rig.store.conclude(envelope, conclusion, at(1)).await.unwrap();
    rig.delivery.wake();
    deliveries
}

fn decision(delivery: DeliveryId, verdict: Verdict) -> Decision {
    Decision { delivery, verdict, act: act("delivery.decide") }
}

#[tokio::test]
async fn what_goes_after_another_waits_until_that_one_has_it() {
    let rig = rig().await;
    let (play, go) = Play::hang();
    rig.erp().play([play]);
    let ids = order(&rig, "000000042", &["wms", "erp"]).await;
    rig.settle_down().await;
    assert!(rig.at("wms").seen().is_empty());
    assert_eq!(rig.row(ids[0]).await.delivery.state, "waiting");
    go.notify_one();
    rig.finished(2).await;
    assert_eq!(rig.at("wms").seen().len(), 1);
    for id in ids {
        assert_eq!(rig.row(id).await.delivery.state, "delivered");
    }
    // What does not go to the other waits for nothing.
    let ids = order(&rig, "000000043", &["wms"]).await;
    rig.finished(3).await;
    assert_eq!(rig.row(ids[0]).await.delivery.state, "delivered");
}

#[tokio::test]
async fn what_the_other_refused_is_not_sent_until_a_person_has_put_it_right() {
    let rig = rig().await;
    rig.erp().play([Play::status(422)]);
    let ids = order(&rig, "000000042", &["erp", "wms"]).await;
    rig.finished(1).await;
    rig.settle_down().await;
    assert!(rig.at("wms").seen().is_empty(), "the ERP refused it");
    let retry = Verdict::Retry { due_at: at(5) };
    rig.store.decide(decision(ids[0], retry)).await.unwrap();
    rig.delivery.wake();
    rig.finished(3).await;
    assert_eq!((rig.erp().seen().len(), rig.at("wms").seen().len()), (2, 1));
}

#[tokio::test]
async fn what_was_given_up_at_the_other_is_put_before_a_person_who_may_send_it() {
    let rig = rig().await;
    rig.erp().play([Play::status(422)]);
    let ids = order(&rig, "000000042", &["erp", "wms"]).await;
    rig.finished(1).await;
    let abandon = Verdict::Abandon { reason: "a test order".into() };
    rig.store.decide(decision(ids[0], abandon)).await.unwrap();
    rig.delivery.wake();
    rig.finished(2).await;
    assert!(rig.at("wms").seen().is_empty());
    let exceptions = rig.exceptions().await;
    let told = exceptions.iter().find(|exception| exception.destination.as_deref() == Some("wms")).unwrap();
    assert!(told.message.contains("was given up"), "{}", told.message);
    rig.store.decide(decision(ids[1], Verdict::Retry { due_at: at(5) })).await.unwrap();
    rig.delivery.wake();
    rig.finished(3).await;
    assert_eq!(rig.row(ids[1]).await.delivery.state, "delivered");
}
