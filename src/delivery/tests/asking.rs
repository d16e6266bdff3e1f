//! What is read from a destination passes the same door as its deliveries, and behind them.

use std::time::Duration;

use super::rig::{Rig, within};
use crate::clock::Rate;
use crate::destinations::double::Play;
use crate::destinations::http::render;
use crate::destinations::recipe::Call as _;
use crate::destinations::{AttemptOutcome, Limits, OutboundAuth, Wire};
use crate::store::write::SealedRequest;

fn question(rig: &Rig) -> SealedRequest {
    let (method, url) = ("GET".to_owned(), rig.erp().url());
    let (headers, body) = (Vec::new(), bytes::Bytes::new());
    let digest = render::digest(&method, &url, &headers, &body);
    SealedRequest { method, url, headers, body, digest, body_is_document: false }
}

#[tokio::test]
async fn a_held_destination_is_not_asked_and_says_why() {
    let rig = Rig::new(|_| {}).await;
    assert!(rig.delivery.asking("nobody").is_none());
    rig.delivery.hold("erp", "stocktaking");
    let mut way = rig.delivery.asking("erp").unwrap();
    assert!(way.call(&question(&rig)).await.is_err());
    assert_eq!((way.shut(), rig.erp().seen().len()), (Some("the destination is held"), 0));
    rig.delivery.release("erp");
    assert!(matches!(way.call(&question(&rig)).await, Ok(Wire::Answered(_))));
}

#[tokio::test]
async fn ret_5_a_broken_destination_is_not_asked_before_its_time_and_what_is_read_may_be_the_probe() {
    let rig = Rig::new(|_| {}).await;
    rig.erp().play((0..5).map(|_| Play::CloseUnread));
    let mut way = rig.delivery.asking("erp").unwrap();
    for _ in 0..5 {
        let wire = way.call(&question(&rig)).await.unwrap();
        assert!(!matches!(wire, Wire::Answered(_)), "{wire:?}");
    }
    if rig.state() == "broken" {
        let rest = way.call(&question(&rig)).await.unwrap_err();
        assert!(rest <= Duration::from_secs(6), "{rest:?}");
        assert_eq!(way.shut(), Some("the destination is broken"));
        tokio::time::sleep(rest).await;
        let wire = within("the probe", way.call(&question(&rig))).await.unwrap();
        assert!(matches!(wire, Wire::Answered(_)), "{wire:?}");
    }
    assert_eq!(rig.state(), "open");
}

#[tokio::test]
async fn what_is_read_counts_among_what_is_allowed_and_waits_for_its_turn() {
    let per = Duration::from_secs(2);
    let rig =
        Rig::new(|settings| settings.limits = Limits { rates: vec![Rate { count: 2, per }], closed: Vec::new() }).await;
    let mut way = rig.delivery.asking("erp").unwrap();
    let begun = tokio::time::Instant::now();
    for _ in 0..3 {
        way.call(&question(&rig)).await.unwrap();
    }
    assert!(begun.elapsed() >= Duration::from_millis(1_900), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn section_8_a_credential_refused_for_reading_is_read_anew_once_and_holds_nothing() {
    let rig = Rig::new(|settings| settings.auth = OutboundAuth::Bearer("wrong".into())).await;
    rig.erp().play([Play::status(403), Play::status(403)]);
    let refused = AttemptOutcome::Credential { detail: "answered 403".into() };
    let mut way = rig.delivery.asking("erp").unwrap();
    way.call(&question(&rig)).await.unwrap();
    assert!(way.heard(&refused), "another one may be at hand");
    way.call(&question(&rig)).await.unwrap();
    assert!(!way.heard(&refused), "it is not");
    assert_eq!(rig.state(), "open");
    // The first order that is refused is still read as the first.
    rig.erp().play([Play::status(401)]);
    let delivery = rig.order("000000042").await;
    rig.finished(2).await;
    assert_eq!(rig.row(delivery).await.delivery.state, "delivered");
}

#[tokio::test]
async fn a_destination_that_is_asked_too_fast_pauses_for_deliveries_too() {
    let rig = Rig::new(|_| {}).await;
    let mut way = rig.delivery.asking("erp").unwrap();
    way.call(&question(&rig)).await.unwrap();
    let wait = crate::destinations::Wait { floor: Some(Duration::from_mins(1)), ..Default::default() };
    way.heard(&AttemptOutcome::Throttled { detail: String::new(), wait });
    assert_eq!(rig.state(), "paused");
    assert!(way.call(&question(&rig)).await.is_err());
    assert_eq!(way.shut(), Some("the destination is paused"));
}
