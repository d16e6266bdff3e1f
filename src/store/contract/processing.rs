//! Promises about claiming and concluding.

use super::build::{Maker, again, at, delivered, delivery_state, due, facts, key, ledger, settle, start, state};
use crate::store::view::{Ledger, Paging};
use crate::store::write::Conclusion;
use crate::store::{ExceptionFilter, OrderFilter, SharedStore, StoreError};

pub async fn claims_hand_out_an_orders_events_one_at_a_time(store: &SharedStore) {
    let maker = Maker::default();
    let mut ids = Vec::new();
    for (number, event) in [("1", "a"), ("1", "b"), ("2", "c"), ("1", "d")] {
        ids.push(maker.arrive(store, number, event).await);
    }
    let claimed = |limit| async move {
        store.claim_envelopes(limit).await.unwrap().into_iter().map(|envelope| envelope.id).collect::<Vec<_>>()
    };
    assert_eq!(claimed(10).await, [ids[0], ids[2]]);
    assert!(claimed(10).await.is_empty());
    store.conclude(ids[0], maker.create("1", &["erp"]), at(1)).await.unwrap();
    assert_eq!(claimed(10).await, [ids[1]]);
    store.conclude(ids[2], maker.create("2", &["erp"]), at(1)).await.unwrap();
    store.conclude(ids[1], maker.complain("1", None, "x"), at(1)).await.unwrap();
    assert_eq!(claimed(1).await, [ids[3]]);
    assert_eq!(store.figures().await.unwrap().unprocessed, 1);
}

pub async fn p6_what_was_claimed_and_not_concluded_is_claimed_again_once_given_back(store: &SharedStore) {
    let maker = Maker::default();
    let (one, two) = (maker.arrive(store, "42", "e1").await, maker.arrive(store, "43", "e2").await);
    assert_eq!(store.claim_envelopes(10).await.unwrap().len(), 2);
    store.conclude(one, maker.create("42", &["erp"]), at(1)).await.unwrap();
    assert_eq!(store.unclaim_envelopes().await.unwrap(), 1);
    let again = store.claim_envelopes(10).await.unwrap();
    assert_eq!(again.iter().map(|envelope| envelope.id).collect::<Vec<_>>(), [two]);
}

pub async fn concluding_twice_is_refused(store: &SharedStore) {
    let maker = Maker::default();
    let (envelope, delivery) = maker.waiting(store, "42").await;
    let twice = store.conclude(envelope, maker.complain("42", None, "x"), at(2)).await;
    assert!(matches!(twice, Err(StoreError::NotAllowed(_))));
    assert_eq!(delivery_state(store, delivery).await, "waiting");
    assert_eq!(ledger(store).await.due, 1);
}

pub async fn a_later_document_replaces_one_that_was_not_sealed(store: &SharedStore) {
    let maker = Maker::default();
    let (first, delivery) = maker.waiting(store, "42").await;
    let second = maker.arrive(store, "42", "e2").await;
    let conclusion = maker.create("42", &["erp"]);
    let document = conclusion.documents[0].id;
    store.conclude(second, conclusion, at(2)).await.unwrap();
    let due = due(store).await;
    assert_eq!(due.len(), 1);
    assert_eq!((due[0].id, due[0].document_id), (delivery, document));
    assert_eq!(due[0].document.as_ref(), format!("{{\"document\":\"{document}\"}}").as_bytes());
    assert_eq!((state(store, first).await.as_str(), state(store, second).await.as_str()), ("superseded", "received"));
    let overtaken = store.event(first).await.unwrap().unwrap();
    assert_eq!(overtaken.explanation, format!("overtaken by {second}"));
    assert_eq!(store.delivery_origin(delivery).await.unwrap().unwrap().0, second);
}

pub async fn a_sealed_delivery_makes_later_reports_superseded(store: &SharedStore) {
    let maker = Maker::default();
    let (first, delivery) = maker.waiting(store, "42").await;
    let started = start(store, delivery).await.unwrap();
    let second = maker.arrive(store, "42", "e2").await;
    store.conclude(second, maker.create("42", &["erp"]), at(2)).await.unwrap();
    assert_eq!(state(store, second).await, "superseded");
    settle(store, started, again()).await;
    let third = maker.arrive(store, "42", "e3").await;
    store.conclude(third, maker.create("42", &["erp", "wms"]), at(2)).await.unwrap();
    assert_eq!(state(store, third).await, "received");
    assert_eq!(due(store).await.len(), 2);
    assert_eq!(state(store, first).await, "received");
    ledger(store).await;
}

pub async fn a_newer_report_closes_older_complaints_about_the_same_effect(store: &SharedStore) {
    let maker = Maker::default();
    let mut older = Vec::new();
    for (event, destination) in [("e1", Some("erp")), ("e2", None), ("e3", Some("wms"))] {
        let envelope = maker.arrive(store, "42", event).await;
        store.conclude(envelope, maker.complain("42", destination, event), at(1)).await.unwrap();
        older.push(envelope);
    }
    let newer = maker.arrive(store, "42", "e4").await;
    store.conclude(newer, maker.create("42", &["erp"]), at(2)).await.unwrap();
    let mut states = Vec::new();
    for envelope in older {
        states.push(state(store, envelope).await);
    }
    assert_eq!(states, ["superseded", "superseded", "exception"]);
    let closed = ExceptionFilter { state: Some("superseded".into()), ..ExceptionFilter::default() };
    let closed = store.exceptions(closed, Paging::default()).await.unwrap().items;
    assert_eq!(closed[0].resolution, Some(format!("overtaken by {newer}")));
    assert_eq!(ledger(store).await, Ledger { accepted: 4, superseded: 2, exception: 1, due: 1, ..Ledger::default() });
}

pub async fn a_complaint_about_a_numbered_effect_is_never_closed_by_another(store: &SharedStore) {
    let maker = Maker::default();
    let refund = maker.arrive(store, "42", "refund 1").await;
    store.conclude(refund, maker.complain("42", Some("erp"), "x"), at(1)).await.unwrap();
    let other = maker.arrive(store, "42", "refund 2").await;
    let mut conclusion = Conclusion::default();
    maker.intend(&mut conclusion, "erp", key("42", "erp", "refund", "R-2", 0), "refund", "R-2");
    store.conclude(other, conclusion, at(2)).await.unwrap();
    assert_eq!(state(store, refund).await, "exception");
}

pub async fn older_reports_never_overwrite_newer_facts(store: &SharedStore) {
    let maker = Maker::default();
    for (event, said, seconds) in [("e1", "processing", 10), ("e2", "new", 5), ("e3", "complete", 10)] {
        let envelope = maker.arrive(store, "42", event).await;
        let mut conclusion = maker.create("42", &["erp"]);
        conclusion.facts = facts(said, seconds);
        if event == "e2" {
            conclusion.facts.currency = Some("GBP".into());
        }
        store.conclude(envelope, conclusion, at(20)).await.unwrap();
        let order = store.orders(OrderFilter::default(), Paging::default()).await.unwrap().items.remove(0);
        let wanted = if event == "e3" { "complete" } else { "processing" };
        assert_eq!(order.commerce_state.as_deref(), Some(wanted), "{event}");
        assert_eq!(order.currency.is_some(), event != "e1", "an older report fills gaps");
    }
}

pub async fn an_ignored_event_says_why(store: &SharedStore) {
    let maker = Maker::default();
    let id = maker.arrive(store, "42", "e1").await;
    let ignored = Conclusion { ignored: Some("no route takes it".into()), ..Conclusion::default() };
    store.conclude(id, ignored, at(1)).await.unwrap();
    let mut at_once = maker.record("43", "e2", "x");
    at_once.conclusion = Some(Conclusion { ignored: Some("no route takes it".into()), ..Conclusion::default() });
    let other = at_once.id;
    store.append(maker.arrival(vec![at_once])).await.unwrap();
    for id in [id, other] {
        let event = store.event(id).await.unwrap().unwrap();
        assert_eq!((event.state.as_str(), event.explanation.as_str()), ("ignored", "no route takes it"));
    }
    assert_eq!(ledger(store).await, Ledger { accepted: 2, ignored: 2, ..Ledger::default() });
    let (_, delivery) = maker.waiting(store, "44").await;
    let started = start(store, delivery).await.unwrap();
    settle(store, started, delivered()).await;
    assert_eq!(ledger(store).await.done, 1);
}
