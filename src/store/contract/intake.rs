//! Promises about what arrives.

use std::sync::Arc;

use super::build::{Maker, at, delivered, due, ledger, settle, state};
use crate::store::view::{Ledger, Paging};
use crate::store::write::Receipt;
use crate::store::{EventFilter, ExceptionFilter, SharedStore, StoreError};

pub async fn ack_1_what_was_answered_can_be_read_back(store: &SharedStore) {
    let maker = Maker::default();
    let id = maker.arrive(store, "42", "e1").await;
    let stored = store.envelope(id).await.unwrap().unwrap();
    assert_eq!(stored.body.as_ref(), br#"{"order":{"increment_id":"000000042"}}"#);
    assert_eq!((stored.origin.as_str(), stored.subject.id.as_str(), stored.received_at), ("hooks", "42", at(0)));
    let event = store.event(id).await.unwrap().unwrap();
    assert_eq!((event.verification.as_str(), event.config_version.as_str()), ("rsa-signature", "c1"));
    assert_eq!((event.state.as_str(), event.body_bytes, event.duplicates), ("received", 38, 0));
    assert_eq!(ledger(store).await, Ledger { accepted: 1, due: 1, ..Ledger::default() });
}

pub async fn ack_1_a_request_without_records_is_refused(store: &SharedStore) {
    let refused = store.append(Maker::default().arrival(Vec::new())).await;
    assert!(matches!(refused, Err(StoreError::NotAllowed(_))));
}

pub async fn ack_4_one_bad_envelope_never_fails_its_neighbours(store: &SharedStore) {
    let maker = Maker::default();
    let mut waiting = Vec::new();
    for number in 0..40 {
        let mut record = maker.record(&number.to_string(), &format!("e{number}"), "x");
        if number % 7 == 3 {
            // Its delivery names a document that is not with it, after rows of it were written.
            let mut conclusion = maker.create(&number.to_string(), &["erp", "wms"]);
            conclusion.documents.truncate(1);
            record.conclusion = Some(conclusion);
        }
        waiting.push((number % 7 == 3, store.append(maker.arrival(vec![record]))));
    }
    let mut bad = 0;
    for (is_bad, answer) in waiting {
        assert_eq!(answer.await.is_err(), is_bad);
        bad += u64::from(is_bad);
    }
    assert_eq!(ledger(store).await.accepted, 40 - bad);
    assert!(due(store).await.is_empty());
}

pub async fn ack_7_a_batch_is_taken_record_by_record_in_order(store: &SharedStore) {
    let maker = Maker::default();
    let first = maker.arrive(store, "1", "e1").await;
    let batch = vec![maker.record("2", "e2", "e2"), maker.record("1", "e1", "e1"), maker.record("1", "e1", "other")];
    let receipts = store.append(maker.arrival(batch)).await.unwrap();
    assert!(matches!(receipts[0], Receipt::First { work_left: true, .. }));
    assert!(matches!(receipts[1], Receipt::Duplicate { first: known } if known == first));
    assert!(matches!(receipts[2], Receipt::Conflict { first: known } if known == first));
    // All or none: a record that cannot be written takes its batch with it.
    let mut bad = maker.record("4", "e4", "e4");
    bad.conclusion = Some(maker.create("4", &["erp"]));
    bad.conclusion.as_mut().unwrap().documents.clear();
    let refused = store.append(maker.arrival(vec![maker.record("3", "e3", "e3"), bad])).await;
    assert!(refused.is_err());
    assert_eq!(ledger(store).await.accepted, 2);
    maker.arrive(store, "3", "e3").await;
}

pub async fn ded_1_first_then_duplicate_then_conflict(store: &SharedStore) {
    let maker = Maker::default();
    let first = maker.arrive(store, "42", "e1").await;
    for _ in 0..2 {
        let receipts = store.append(maker.arrival(vec![maker.record("42", "e1", "e1")])).await.unwrap();
        assert!(matches!(receipts[..], [Receipt::Duplicate { first: known }] if known == first));
    }
    let receipts = store.append(maker.arrival(vec![maker.record("42", "e1", "changed")])).await.unwrap();
    assert!(matches!(receipts[..], [Receipt::Conflict { first: known }] if known == first));
    assert_eq!(store.event(first).await.unwrap().unwrap().duplicates, 3);
    assert_eq!(ledger(store).await.accepted, 1);
}

pub async fn ded_1_identical_records_of_one_request_are_one(store: &SharedStore) {
    let maker = Maker::default();
    let (one, other) = (maker.record("42", "e1", "x"), maker.record("42", "e1", "x"));
    let id = one.id;
    let receipts = store.append(maker.arrival(vec![one, other])).await.unwrap();
    assert!(matches!(receipts[0], Receipt::First { .. }));
    assert!(matches!(receipts[1], Receipt::Duplicate { first } if first == id));
}

pub async fn ded_1_of_32_concurrent_submitters_of_one_key_one_is_first(store: &SharedStore) {
    let maker = Arc::new(Maker::default());
    for round in 0..8 {
        let event = format!("e{round}");
        let submitters: Vec<_> = (0..32)
            .map(|_| {
                let arrival = maker.arrival(vec![maker.record("42", &event, "x")]);
                let store = Arc::clone(store);
                tokio::spawn(async move { store.append(arrival).await.unwrap() })
            })
            .collect();
        let mut firsts = 0;
        for submitter in submitters {
            firsts += usize::from(matches!(submitter.await.unwrap()[..], [Receipt::First { .. }]));
        }
        assert_eq!(firsts, 1);
    }
    assert_eq!(ledger(store).await.accepted, 8);
}

pub async fn a_conflict_opens_its_exception_once_and_keeps_the_ledger(store: &SharedStore) {
    let maker = Maker::default();
    let first = maker.arrive(store, "42", "e1").await;
    store.conclude(first, maker.create("42", &["erp"]), at(1)).await.unwrap();
    for _ in 0..2 {
        let mut record = maker.record("42", "e1", "changed");
        record.on_conflict = Some(maker.exception("42", None, "conflict"));
        store.append(maker.arrival(vec![record])).await.unwrap();
    }
    let open = store.exceptions(ExceptionFilter::default(), Paging::default()).await.unwrap().items;
    assert_eq!(open.iter().map(|exception| exception.envelope_id).collect::<Vec<_>>(), [Some(first)]);
    assert_eq!(ledger(store).await, Ledger { accepted: 1, exception: 1, ..Ledger::default() });
}

pub async fn p1_every_content_of_an_event_id_used_again_is_kept(store: &SharedStore) {
    let maker = Maker::default();
    maker.arrive(store, "42", "e1").await;
    for content in ["second", "third", "third"] {
        let mut record = maker.record("42", "e1", content);
        record.on_conflict = Some(maker.exception("42", None, "conflict"));
        let mut arrival = maker.arrival(vec![record]);
        arrival.body = crate::store::pack::pack(content.as_bytes());
        store.append(arrival).await.unwrap();
    }
    let open = store.exceptions(ExceptionFilter::default(), Paging::default()).await.unwrap().items;
    assert_eq!(open.len(), 2, "one for each content, none for the sender's retry");
}

pub async fn key_2_two_envelopes_that_imply_one_key_make_one_delivery(store: &SharedStore) {
    let maker = Maker::default();
    let (mut one, mut other) = (maker.record("42", "e1", "x"), maker.record("42", "e2", "y"));
    let (first, second) = (one.id, other.id);
    one.conclusion = Some(maker.express(maker.create("42", &["erp"])));
    other.conclusion = Some(maker.express(maker.create("42", &["erp"])));
    let receipts = store.append(maker.arrival(vec![one, other])).await.unwrap();
    let [Receipt::First { started, work_left: false }, Receipt::First { started: none, work_left: false }] =
        &receipts[..]
    else {
        panic!("{receipts:?}")
    };
    assert_eq!((started.len(), none.len()), (1, 0));
    let (one, other) = (store.event(first).await.unwrap().unwrap(), store.event(second).await.unwrap().unwrap());
    assert_eq!((one.state.as_str(), other.state.as_str()), ("received", "superseded"));
    assert_eq!(other.explanation, format!("under way as {}", started[0].delivery));
    assert!(settle(store, started[0].clone(), delivered()).await);
    let third = maker.arrive(store, "42", "e3").await;
    store.conclude(third, maker.create("42", &["erp"]), at(5)).await.unwrap();
    let third = store.event(third).await.unwrap().unwrap();
    assert_eq!(third.explanation, format!("already delivered as {}", started[0].delivery));
    assert_eq!(ledger(store).await, Ledger { accepted: 3, done: 1, superseded: 2, ..Ledger::default() });
}

pub async fn an_express_delivery_starts_with_its_envelope(store: &SharedStore) {
    let maker = Maker::default();
    let mut record = maker.record("42", "e1", "x");
    let id = record.id;
    record.conclusion = Some(maker.express(maker.create("42", &["erp", "wms"])));
    let receipts = store.append(maker.arrival(vec![record])).await.unwrap();
    let [Receipt::First { started, work_left }] = &receipts[..] else { panic!("{receipts:?}") };
    assert_eq!((started.len(), *work_left), (2, false));
    assert!(due(store).await.is_empty());
    let (_, row) = store.delivery_origin(started[0].delivery).await.unwrap().unwrap();
    assert_eq!((row.attempts, row.sealed.unwrap().body), (1, row.document));
    assert!(settle(store, started[0].clone(), delivered()).await);
    assert_eq!(state(store, id).await, "received");
    assert!(settle(store, started[1].clone(), delivered()).await);
    assert_eq!(state(store, id).await, "done");
}

pub async fn p4_effects_never_overtake_an_earlier_event_of_their_order(store: &SharedStore) {
    let maker = Maker::default();
    let hint = maker.arrive(store, "42", "hint").await;
    let mut record = maker.record("42", "e2", "x");
    let second = record.id;
    record.conclusion = Some(maker.express(maker.create("42", &["erp"])));
    let receipts = store.append(maker.arrival(vec![record])).await.unwrap();
    let [Receipt::First { started, work_left: true }] = &receipts[..] else { panic!("{receipts:?}") };
    assert!(started.is_empty());
    assert_eq!(store.claim_envelopes(10).await.unwrap()[0].id, hint);
    store.conclude(hint, maker.create("42", &["erp"]), at(1)).await.unwrap();
    assert_eq!(store.claim_envelopes(10).await.unwrap()[0].id, second);
    let open = EventFilter { state: Some("received".into()), ..EventFilter::default() };
    assert_eq!(store.events(open, Paging::default()).await.unwrap().items.len(), 2);
}
