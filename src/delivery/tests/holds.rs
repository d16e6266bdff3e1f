//! What keeps a whole destination from being called, and what opens it again.

use std::sync::Arc;
use std::time::Duration;

use super::rig::{Count, Rig};
use crate::destinations::double::Play;
use crate::destinations::{OutboundAuth, Reload};

#[tokio::test]
async fn section_8_a_refused_credential_is_read_anew_and_the_record_goes_through() {
    let reads = Arc::new(Count::default());
    let counted = Arc::clone(&reads);
    let reload: Reload = Arc::new(move || {
        counted.add();
        Some(OutboundAuth::Bearer("new".into()))
    });
    let rig = Rig::new(|settings| {
        settings.auth = OutboundAuth::Bearer("old".into());
        settings.reload = Some(Arc::clone(&reload));
    })
    .await;
    rig.erp().play([Play::status(401)]);
    let delivery = rig.order("000000042").await;
    rig.finished(2).await;
    let row = rig.row(delivery).await;
    assert_eq!(row.delivery.state, "delivered");
    let tokens: Vec<String> =
        rig.erp().seen().iter().map(|seen| seen.header("authorization").unwrap().to_owned()).collect();
    assert_eq!(tokens, ["Bearer old", "Bearer new"]);
    assert_eq!((reads.get(), rig.state()), (1, "open"));
    let stored = format!("{:?}", rig.store.delivery_origin(delivery).await.unwrap());
    assert!(!stored.contains("Bearer"), "KEY-5: a credential is never sealed");
}

#[tokio::test]
async fn section_8_a_credential_refused_again_holds_the_destination_not_the_record() {
    let rig = Rig::new(|settings| settings.auth = OutboundAuth::Bearer("wrong".into())).await;
    rig.erp().play([Play::status(401), Play::status(403)]);
    let delivery = rig.order("000000042").await;
    rig.finished(2).await;
    assert_eq!(rig.state(), "held");
    let other = rig.order("000000043").await;
    rig.pass(100_000);
    rig.settle_down().await;
    assert_eq!(rig.erp().seen().len(), 2, "nothing goes out");
    let row = rig.row(delivery).await.delivery;
    assert_eq!((row.state.as_str(), rig.exceptions().await.len()), ("waiting", 0));
    let (_, due) = rig.store.delivery_origin(delivery).await.unwrap().unwrap();
    assert_eq!(due.failures, 0, "RET-2: it cost no attempt");

    assert!(rig.delivery.release("erp") && !rig.delivery.release("wms"));
    rig.finished(4).await;
    assert_eq!(rig.row(delivery).await.delivery.state, "delivered");
    assert_eq!(rig.row(other).await.delivery.state, "delivered");
    rig.ears.told(|told| assert_eq!(told.states, [("erp".to_owned(), "held"), ("erp".to_owned(), "open")]));
}

/// Whoever lets it go reads why it was held: in a person's words before any of ours, whichever came first.
#[tokio::test]
async fn a_storm_after_a_persons_hold_keeps_the_persons_words() {
    let rig = Rig::new(|_| {}).await;
    let reason = || rig.delivery.status()[0].state.reason();
    assert!(rig.delivery.hold("erp", "100 records were parked by one cause"));
    assert!(rig.delivery.hold_for_a_person("erp", "held by anna: stocktaking"));
    assert_eq!(reason(), "held by anna: stocktaking");
    assert!(rig.delivery.hold("erp", "100 records were parked by one cause"));
    assert_eq!((reason().as_str(), rig.state()), ("held by anna: stocktaking", "held"));
    assert!(!rig.delivery.hold("wms", "x") && !rig.delivery.hold_for_a_person("wms", "x"));
}

#[tokio::test]
async fn ret_3_a_429_pauses_the_whole_destination() {
    let rig = Rig::new(|_| {}).await;
    rig.erp().play([Play::answer(429, &[("retry-after", "3600")], "")]);
    let delivery = rig.order("000000042").await;
    rig.finished(1).await;
    assert_eq!(rig.state(), "paused");
    let other = rig.order("000000043").await;
    rig.settle_down().await;
    assert_eq!(rig.erp().seen().len(), 1);
    assert!(rig.delivery.release("erp"));
    rig.finished(2).await;
    assert_eq!(rig.row(other).await.delivery.state, "delivered");
    assert_eq!(rig.row(delivery).await.delivery.state, "waiting", "its own floor stands");
    rig.pass(3_601);
    rig.finished(3).await;
    assert_eq!(rig.row(delivery).await.delivery.state, "delivered");
}

#[tokio::test]
async fn ret_3_a_pause_ends_by_itself() {
    let rig = Rig::new(|_| {}).await;
    rig.erp().play([Play::answer(429, &[("retry-after", "1")], ""), Play::answer(429, &[("retry-after", "soon")], "")]);
    rig.order("000000042").await;
    rig.finished(1).await;
    rig.clock.advance(Duration::from_secs(2));
    // Nobody wakes it: its own timer does.
    rig.finished(2).await;
    rig.ears.told(|told| assert_eq!(told.ignored, 1));
}

#[tokio::test]
async fn ret_5_failed_connects_break_the_circuit_and_cost_the_others_nothing() {
    let rig = Rig::new(|settings| {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        settings.url = format!("http://{closed}/");
        settings.concurrency = 1;
    })
    .await;
    let mut deliveries = Vec::new();
    for number in 0..20 {
        deliveries.push(rig.order(&format!("{number:09}")).await);
    }
    rig.finished(5).await;
    assert_eq!(rig.state(), "broken");
    rig.pass(60);
    rig.settle_down().await;
    let mut tried = 0;
    for delivery in deliveries {
        let row = rig.row(delivery).await.delivery;
        assert_eq!((row.state.as_str(), row.uncertain), ("waiting", false), "nothing was sent");
        tried += row.attempts;
    }
    assert_eq!(tried, 5, "RET-2: the breaker costs no attempt");
}

#[tokio::test]
async fn section_8_three_redirects_in_a_row_hold_the_destination() {
    let rig = Rig::new(|settings| settings.concurrency = 1).await;
    rig.erp().play((0..10).map(|_| Play::answer(302, &[("location", "/login")], "")));
    for number in 0..6 {
        rig.order(&format!("{number:09}")).await;
    }
    rig.ears.until("it is held", |told| told.states.contains(&("erp".to_owned(), "held"))).await;
    rig.settle_down().await;
    assert_eq!(rig.erp().seen().len(), 3);
    assert!(rig.exceptions().await.iter().all(|opened| opened.owner == "integration"));
}

#[tokio::test]
async fn ret_6_a_destination_that_is_gone_is_held_with_an_alarm() {
    let rig = Rig::new(|_| {}).await;
    rig.erp().play([Play::status(410)]);
    rig.order("000000042").await;
    rig.finished(1).await;
    assert_eq!(rig.state(), "held");
    rig.ears.told(|told| assert_eq!((told.alarms, told.exceptions.len()), (1, 1)));
}

#[tokio::test]
async fn status_is_told_with_what_it_means() {
    let rig = Rig::new(|settings| settings.concurrency = 3).await;
    let shown = serde_json::to_value(rig.delivery.status()).unwrap();
    let open = serde_json::json!([{
        "name": "erp", "state": "open", "in_flight": 0, "concurrency": 3, "limit": 3, "settled_last_minute": 0,
    }]);
    assert_eq!(shown, open);
    rig.erp().play([Play::status(410)]);
    rig.order("000000042").await;
    rig.finished(1).await;
    let shown = serde_json::to_value(rig.delivery.status()).unwrap();
    assert_eq!(shown[0]["state"], "held");
    assert!(shown[0]["reason"].as_str().unwrap().contains("410"));
}
