//! Promises about attempts and lanes.

use super::build::{
    Maker, again, at, delivered, delivery_state, due, key, ledger, seal, settle, start, start_of, state,
};
use crate::store::view::Ledger;
use crate::store::write::{AttemptStart, Conclusion, NextState};
use crate::store::{SharedStore, Slots, StoreError};

/// Two deliveries of one lane: the creation and a change behind it.
async fn lane_of_two(maker: &Maker, store: &SharedStore, number: &str) -> [crate::envelope::ids::DeliveryId; 2] {
    let (_, first) = maker.waiting(store, number).await;
    let envelope = maker.arrive(store, number, &format!("change of {number}")).await;
    let mut conclusion = Conclusion::default();
    maker.intend(&mut conclusion, "erp", key(number, "erp", "order.change", "r1", 0), "order.change", "r1");
    let second = conclusion.deliveries[0].id;
    store.conclude(envelope, maker.express(conclusion), at(2)).await.unwrap();
    [first, second]
}

pub async fn lane_1_one_attempt_in_flight_a_lane(store: &SharedStore) {
    let maker = Maker::default();
    let [first, second] = lane_of_two(&maker, store, "42").await;
    let (_, row) = store.delivery_origin(first).await.unwrap().unwrap();
    let started = store.start_attempts(vec![start_of(&row), start_of(&row)]).await.unwrap();
    assert_eq!(started.len(), 1);
    assert!(start(store, second).await.is_none());
    assert!(due(store).await.is_empty());
    settle(store, started[0].clone(), delivered()).await;
    assert!(start(store, second).await.is_some());
}

pub async fn p4_a_lane_keeps_its_order_and_others_do_not_wait(store: &SharedStore) {
    let maker = Maker::default();
    let [first, second] = lane_of_two(&maker, store, "1").await;
    let [other, _] = lane_of_two(&maker, store, "2").await;
    assert_eq!(due(store).await.iter().map(|head| head.id).collect::<Vec<_>>(), [first, other]);
    let started = start(store, first).await.unwrap();
    settle(store, started, again()).await;
    assert_eq!(due(store).await.iter().map(|head| head.id).collect::<Vec<_>>(), [other, first]);
    let started = start(store, first).await.unwrap();
    assert_eq!((started.number, started.epoch), (2, 2));
    settle(store, started, delivered()).await;
    assert!(due(store).await.iter().any(|head| head.id == second));
}

pub async fn lane_2_a_parked_head_blocks_its_own_lane_only(store: &SharedStore) {
    let maker = Maker::default();
    let [first, second] = lane_of_two(&maker, store, "1").await;
    let (_, other) = maker.waiting(store, "2").await;
    let started = start(store, first).await.unwrap();
    let exception = Box::new(maker.exception("1", Some("erp"), "refused"));
    assert!(settle(store, started, NextState::Parked { exception, uncertain: true }).await);
    assert_eq!(due(store).await.iter().map(|head| head.id).collect::<Vec<_>>(), [other]);
    assert!(start(store, second).await.is_none());
    assert_eq!(store.next_due_at().await.unwrap(), Some(at(0)));
}

pub async fn att_1_an_attempt_is_durable_before_it_is_handed_out(store: &SharedStore) {
    let maker = Maker::default();
    let (_, delivery) = maker.waiting(store, "42").await;
    let (_, row) = store.delivery_origin(delivery).await.unwrap().unwrap();
    let unsealed = AttemptStart { seal: None, ..start_of(&row) };
    assert!(matches!(store.start_attempts(vec![unsealed]).await, Err(StoreError::NotAllowed(_))));
    start(store, delivery).await.unwrap();
    let detail = store.delivery(delivery).await.unwrap().unwrap();
    assert_eq!((detail.delivery.state.as_str(), detail.delivery.attempts), ("in_flight", 1));
    assert_eq!((detail.attempts_made[0].number, detail.attempts_made[0].outcome.clone()), (1, None));
    let sealed = detail.sealed.unwrap();
    assert_eq!((sealed.url.as_str(), sealed.body_bytes), ("https://erp.example.com/orders", 8));
    // Attempts of this very process are not interrupted ones.
    assert!(store.interrupted_attempts().await.unwrap().is_empty());
}

pub async fn att_2_applied_wins_over_whatever_comes_later(store: &SharedStore) {
    let maker = Maker::default();
    let (envelope, delivery) = maker.waiting(store, "42").await;
    let started = start(store, delivery).await.unwrap();
    assert!(settle(store, started.clone(), again()).await);
    // The answer of the same attempt comes after all, before another one started.
    assert!(settle(store, started.clone(), delivered()).await);
    assert!(!settle(store, started.clone(), again()).await);
    let exception = Box::new(maker.exception("42", Some("erp"), "refused"));
    assert!(!settle(store, started, NextState::Parked { exception, uncertain: false }).await);
    assert_eq!(delivery_state(store, delivery).await, "delivered");
    assert_eq!(state(store, envelope).await, "done");
    assert_eq!(store.delivery(delivery).await.unwrap().unwrap().attempts_made.len(), 4);
    assert_eq!(ledger(store).await, Ledger { accepted: 1, done: 1, ..Ledger::default() });
}

pub async fn att_2_evidence_of_a_stale_attempt_is_kept_and_changes_nothing(store: &SharedStore) {
    let maker = Maker::default();
    let (_, delivery) = maker.waiting(store, "42").await;
    let stale = start(store, delivery).await.unwrap();
    settle(store, stale.clone(), again()).await;
    let current = start(store, delivery).await.unwrap();
    assert!(!settle(store, stale, delivered()).await);
    assert_eq!(delivery_state(store, delivery).await, "in_flight");
    // The newer attempt is refused; the older one is known to have been applied: applied wins.
    let exception = Box::new(maker.exception("42", Some("erp"), "exists already"));
    assert!(settle(store, current, NextState::Parked { exception, uncertain: false }).await);
    let row = store.delivery(delivery).await.unwrap().unwrap();
    assert_eq!((row.delivery.state.as_str(), row.delivery.receipt.as_deref()), ("delivered", Some("SO-1")));
    assert_eq!(row.attempts_made.iter().map(|attempt| attempt.number).collect::<Vec<_>>(), [1, 1, 2]);
}

pub async fn key_5_every_attempt_sends_the_sealed_bytes(store: &SharedStore) {
    let maker = Maker::default();
    let (_, delivery) = maker.waiting(store, "42").await;
    let started = start(store, delivery).await.unwrap();
    settle(store, started, again()).await;
    let head = due(store).await.remove(0);
    let sealed = head.sealed.clone().unwrap();
    assert_eq!((sealed.body.as_ref(), sealed.body_is_document), (&b"order 42"[..], false));
    assert_eq!(sealed.headers, [("content-type".to_owned(), "application/json".to_owned())]);
    assert_eq!((head.attempts, head.failures, head.uncertain, head.first_attempt_at), (1, 1, true, Some(at(2))));
    let other = AttemptStart { seal: Some(seal(b"other bytes", false)), ..start_of(&head) };
    assert!(store.start_attempts(vec![other]).await.unwrap().is_empty());
    assert_eq!(store.start_attempts(vec![start_of(&head)]).await.unwrap().len(), 1);
}

pub async fn a_start_with_an_outdated_document_is_left_out(store: &SharedStore) {
    let maker = Maker::default();
    maker.waiting(store, "42").await;
    let rendered = start_of(&due(store).await[0]);
    let newer = maker.arrive(store, "42", "e2").await;
    store.conclude(newer, maker.create("42", &["erp"]), at(2)).await.unwrap();
    assert!(store.start_attempts(vec![rendered]).await.unwrap().is_empty());
    assert_eq!(store.start_attempts(vec![start_of(&due(store).await[0])]).await.unwrap().len(), 1);
}

pub async fn due_heads_come_oldest_first_within_their_slots(store: &SharedStore) {
    let maker = Maker::default();
    for (number, seconds) in [("1", 30), ("2", 10), ("3", 20), ("4", 500)] {
        let envelope = maker.arrive(store, number, number).await;
        let mut conclusion = maker.create(number, &["erp", "wms"]);
        conclusion.deliveries[0].due_at = at(seconds);
        conclusion.deliveries[1].due_at = at(seconds + 5);
        store.conclude(envelope, conclusion, at(1)).await.unwrap();
    }
    assert_eq!(store.next_due_at().await.unwrap(), Some(at(10)));
    let slots =
        |erp, wms| [("erp", erp), ("wms", wms), ("none", 9)].map(|(name, free)| Slots::new(name, free)).to_vec();
    let numbers = |slots| async move {
        let due = store.due_deliveries(at(100), slots).await.unwrap();
        due.iter().map(|head| format!("{}{}", head.destination, head.subject.id)).collect::<Vec<_>>()
    };
    assert_eq!(numbers(slots(2, 1)).await, ["erp2", "wms2", "erp3"]);
    assert_eq!(numbers(slots(0, 9)).await, ["wms2", "wms3", "wms1"]);
    assert!(store.due_deliveries(at(9), slots(9, 9)).await.unwrap().is_empty());
}

pub async fn settling_moves_the_envelope_through_the_ledger(store: &SharedStore) {
    let maker = Maker::default();
    let envelope = maker.arrive(store, "42", "e1").await;
    let conclusion = maker.create("42", &["erp", "wms"]);
    let [erp, wms] = [conclusion.deliveries[0].id, conclusion.deliveries[1].id];
    store.conclude(envelope, conclusion, at(1)).await.unwrap();
    let started = start(store, erp).await.unwrap();
    let exception = Box::new(maker.exception("42", Some("erp"), "refused"));
    settle(store, started, NextState::Parked { exception, uncertain: false }).await;
    assert_eq!(state(store, envelope).await, "exception");
    let started = start(store, wms).await.unwrap();
    settle(store, started, delivered()).await;
    assert_eq!(state(store, envelope).await, "exception");
    assert_eq!(ledger(store).await, Ledger { accepted: 1, exception: 1, ..Ledger::default() });
}
