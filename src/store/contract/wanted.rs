//! Promises about orders that are to be read from Commerce.

use std::time::Duration;

use super::build::{Maker, at, ledger, order, state};
use crate::clock::later;
use crate::envelope::ids::EnvelopeId;
use crate::store::view::Ledger;
use crate::store::write::{AfterRead, Conclusion, NewRead, Patience, ReadSettled, WantedRead};
use crate::store::{ExceptionFilter, SharedStore};

fn wants(patience: Patience, seconds: u64) -> Conclusion {
    let read = NewRead {
        system: "acme".into(),
        entity_id: Some(42),
        increment_id: Some("42".into()),
        store_id: Some(1),
        why: "the payload came without items".into(),
        patience,
        due_at: at(seconds),
    };
    Conclusion { read: Some(read), ..Conclusion::default() }
}

async fn hints(maker: &Maker, store: &SharedStore, event: &str, patience: Patience, seconds: u64) -> EnvelopeId {
    let hint = maker.arrive(store, "42", event).await;
    store.conclude(hint, wants(patience, seconds), at(seconds)).await.unwrap();
    hint
}

async fn due(store: &SharedStore, seconds: u64) -> Vec<WantedRead> {
    store.due_reads("acme".into(), at(seconds), 9).await.unwrap()
}

async fn settles(store: &SharedStore, wanted: &WantedRead, next: AfterRead, seconds: u64) -> bool {
    let settled = ReadSettled { row: wanted.row, until: wanted.until, next, at: at(seconds) };
    store.settle_read(settled).await.unwrap()
}

async fn is_sound(store: &SharedStore) {
    assert_eq!(store.recount().await.unwrap(), Vec::<String>::new());
    assert!(store.silent_envelopes(0, 99).await.unwrap().silent.is_empty(), "P6");
}

pub async fn p6_hints_wait_for_one_read_count_as_due_and_end_with_it(store: &SharedStore) {
    let maker = Maker::default();
    let first = hints(&maker, store, "a", Patience::Saved, 1).await;
    let second = hints(&maker, store, "b", Patience::Saved, 2).await;
    assert_eq!(ledger(store).await, Ledger { accepted: 2, due: 2, ..Ledger::default() });
    assert!(due(store, 0).await.is_empty(), "not before its time");
    assert!(store.due_reads("other".into(), at(9), 9).await.unwrap().is_empty());
    let wanted = due(store, 9).await;
    assert_eq!(wanted.len(), 1, "one read an order");
    assert_eq!((&wanted[0].subject, wanted[0].read.entity_id), (&order("42"), Some(42)));
    is_sound(store).await;
    let read = maker.arrive(store, "42", "read").await;
    store.conclude(read, maker.create("42", &["erp"]), at(9)).await.unwrap();
    assert!(settles(store, &wanted[0], AfterRead::Read(read), 9).await);
    for hint in [first, second] {
        assert_eq!(state(store, hint).await, "superseded");
        let words = store.event(hint).await.unwrap().unwrap().explanation;
        assert_eq!(words, format!("read from Commerce as {read}"));
    }
    assert!(due(store, 99).await.is_empty());
    assert!(!settles(store, &wanted[0], AfterRead::Read(read), 9).await, "a second settlement changes nothing");
    is_sound(store).await;
}

pub async fn a_hint_that_comes_while_the_order_is_read_is_read_again(store: &SharedStore) {
    let maker = Maker::default();
    let first = hints(&maker, store, "a", Patience::Saved, 1).await;
    let under_way = due(store, 9).await.remove(0);
    let second = hints(&maker, store, "b", Patience::Saved, 2).await;
    let read = maker.arrive(store, "42", "read").await;
    store.conclude(read, maker.create("42", &["erp"]), at(9)).await.unwrap();
    settles(store, &under_way, AfterRead::Read(read), 9).await;
    assert_eq!((state(store, first).await.as_str(), state(store, second).await.as_str()), ("superseded", "received"));
    assert_eq!(due(store, 9).await.len(), 1, "what came meanwhile may announce a newer state");
    is_sound(store).await;
}

pub async fn lane_4_an_absent_order_is_told_once_and_looked_for_all_the_same(store: &SharedStore) {
    let maker = Maker::default();
    let hint = hints(&maker, store, "a", Patience::Saved, 1).await;
    let open = || {
        let mut exception = maker.exception("42", None, "absent");
        exception.code = "order_not_found".into();
        Box::new(exception)
    };
    for round in 1..3 {
        let wanted = due(store, round * 100).await.remove(0);
        let next =
            AfterRead::Later { due_at: later(at(round * 100), Duration::from_secs(50)), exception: Some(open()) };
        settles(store, &wanted, next, round * 100).await;
        assert_eq!(state(store, hint).await, "exception");
        assert_eq!(store.exception_groups(ExceptionFilter::default()).await.unwrap()[0].open, 1, "told once");
        assert!(due(store, round * 100 + 49).await.is_empty());
        is_sound(store).await;
    }
    let wanted = due(store, 999).await.remove(0);
    assert_eq!(wanted.tries, 2);
    let read = maker.arrive(store, "42", "read").await;
    settles(store, &wanted, AfterRead::Read(read), 999).await;
    assert_eq!(state(store, hint).await, "superseded");
    assert!(store.exception_groups(ExceptionFilter::default()).await.unwrap().is_empty(), "it closes by itself");
    is_sound(store).await;
}

pub async fn a_reserved_number_that_never_came_is_ignored_and_one_that_came_needs_no_read(store: &SharedStore) {
    let maker = Maker::default();
    let gap = hints(&maker, store, "a", Patience::Unsaved, 1).await;
    let wanted = due(store, 9).await.remove(0);
    settles(store, &wanted, AfterRead::Ignored("it never came to exist".into()), 9).await;
    assert_eq!(state(store, gap).await, "ignored");
    let announced = hints(&maker, store, "b", Patience::Unsaved, 10).await;
    let whole = maker.arrive(store, "42", "whole").await;
    store.conclude(whole, maker.create("42", &["erp"]), at(11)).await.unwrap();
    assert_eq!(state(store, announced).await, "superseded");
    assert!(due(store, 99).await.is_empty());
    is_sound(store).await;
}

pub async fn what_must_not_be_compiled_is_one_question_to_a_person(store: &SharedStore) {
    let maker = Maker::default();
    let first = hints(&maker, store, "a", Patience::Unsaved, 1).await;
    let second = hints(&maker, store, "b", Patience::Saved, 1).await;
    let wanted = due(store, 9).await.remove(0);
    assert_eq!(wanted.read.patience, Patience::Saved, "who says that it is saved is believed");
    let asks = AfterRead::Parked(Box::new(maker.exception("42", None, "another order")));
    settles(store, &wanted, asks, 9).await;
    assert_eq!((state(store, first).await.as_str(), state(store, second).await.as_str()), ("exception", "superseded"));
    assert!(due(store, 99).await.is_empty());
    is_sound(store).await;
}
