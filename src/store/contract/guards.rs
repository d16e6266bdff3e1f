//! What the store promises to the ladder out of doubt: rungs that survive, looks that are evidence, keys that are new.

use super::build::{
    Maker, act, again, at, delivered, delivery_state, due, key, ledger, settle, start, start_of, state,
};
use crate::envelope::ids::DeliveryId;
use crate::store::view::DueDelivery;
use crate::store::write::{
    AttemptPurpose, AttemptStart, Decision, Ladder, NewDelivery, NextState, Resend, Rung, StartedAttempt, Verdict,
};
use crate::store::{SharedStore, StoreError};

async fn row(store: &SharedStore, delivery: DeliveryId) -> DueDelivery {
    store.delivery_origin(delivery).await.unwrap().expect("the delivery exists").1
}

/// Starts a look in place of a send.
pub(super) async fn look(store: &SharedStore, delivery: DeliveryId) -> StartedAttempt {
    let row = row(store, delivery).await;
    let look = AttemptStart { seal: None, purpose: AttemptPurpose::Find, ..start_of(&row) };
    store.start_attempts(vec![look]).await.unwrap().pop().expect("it is its turn")
}

/// Waiting on a rung.
pub(super) fn on(rung: Rung, absent: u32, look_failures: u32) -> NextState {
    let ladder = Ladder { rung, absent, look_failures };
    NextState::Waiting { due_at: at(10), uncertain: rung == Rung::Doubt, counts: false, ladder }
}

/// The same content under another key.
fn successor(of: &DueDelivery, maker: &Maker, purpose: &str, revision: &str, generation: u32) -> NewDelivery {
    let document = maker.document(&of.destination);
    let key = key(&of.subject.id, &of.destination, purpose, revision, generation);
    NewDelivery { generation, document: of.document_id, ..maker.delivery(&document, key, purpose, revision) }
}

pub async fn att_2_a_look_is_an_attempt_that_seals_nothing_and_is_no_send(store: &SharedStore) {
    let (_, delivery) = Maker::default().waiting(store, "42").await;
    let started = look(store, delivery).await;
    assert!(settle(store, started, on(Rung::Cleared, 0, 0)).await);
    let waits = row(store, delivery).await;
    assert_eq!(
        (waits.attempts, waits.failures, waits.first_attempt_at),
        (1, 0, None),
        "UNC-2 counts from the first send"
    );
    assert!(waits.sealed.is_none(), "KEY-5: nothing was sent");
    assert!(start(store, delivery).await.is_some());
    let made = store.delivery(delivery).await.unwrap().unwrap().attempts_made;
    let purposes: Vec<(u32, &str)> = made.iter().map(|made| (made.number, made.purpose.as_str())).collect();
    assert_eq!(purposes, [(1, "find"), (2, "send")]);
}

pub async fn unc_4_the_rung_of_a_delivery_is_kept(store: &SharedStore) {
    let (_, delivery) = Maker::default().waiting(store, "42").await;
    assert_eq!(row(store, delivery).await.ladder, Ladder::default());
    for (rung, absent, look_failures) in [
        (Rung::Doubt, 0, 0),
        (Rung::Doubt, 1, 3),
        (Rung::Exists, 1, 0),
        (Rung::StaleKey, 0, 1),
        (Rung::Restored, 0, 0),
        (Rung::Cleared, 0, 0),
        (Rung::Fresh, 0, 2),
    ] {
        let started = look(store, delivery).await;
        assert!(settle(store, started, on(rung, absent, look_failures)).await);
        let head = due(store).await.remove(0);
        assert_eq!(head.ladder, Ladder { rung, absent, look_failures });
        assert_eq!(head.uncertain, rung == Rung::Doubt);
    }
}

pub async fn key_4_a_persons_retry_starts_the_ladder_anew(store: &SharedStore) {
    let maker = Maker::default();
    let (_, delivery) = maker.waiting(store, "42").await;
    let started = start(store, delivery).await.unwrap();
    settle(store, started, again()).await;
    let started = look(store, delivery).await;
    settle(store, started, on(Rung::Doubt, 1, 2)).await;
    let started = look(store, delivery).await;
    let exception = Box::new(maker.exception("42", Some("erp"), "nobody knows"));
    settle(store, started, NextState::Parked { exception, uncertain: true }).await;
    let verdict = Verdict::Retry { due_at: at(20) };
    store.decide(Decision { delivery, verdict, act: act("delivery.decide") }).await.unwrap();
    let waits = row(store, delivery).await;
    assert_eq!((waits.ladder, waits.failures, waits.uncertain), (Ladder::at(Rung::Asked), 0, true));
}

pub async fn att_2_a_late_answer_wins_over_doubt_that_was_settled_meanwhile(store: &SharedStore) {
    let maker = Maker::default();
    for parked in [false, true] {
        let number = if parked { "43" } else { "42" };
        let (envelope, delivery) = maker.waiting(store, number).await;
        let first = start(store, delivery).await.unwrap();
        settle(store, first.clone(), again()).await;
        let second = look(store, delivery).await;
        // A newer attempt is under way: the evidence waits for its settlement.
        let next = if parked {
            let exception = Box::new(maker.exception(number, Some("erp"), "two of them"));
            NextState::Parked { exception, uncertain: true }
        } else {
            on(Rung::Doubt, 1, 0)
        };
        settle(store, second, next).await;
        assert!(settle(store, first, delivered()).await, "an earlier attempt speaks after all");
        assert_eq!(delivery_state(store, delivery).await, "delivered");
        assert_eq!(state(store, envelope).await, "done");
    }
    assert_eq!(ledger(store).await.difference(), 0);
    assert_eq!(store.figures().await.unwrap().open_exceptions.iter().map(|(_, open)| open).sum::<u64>(), 0);
}

pub async fn key_3_b_a_spent_key_gives_its_place_to_the_next_generation(store: &SharedStore) {
    let maker = Maker::default();
    let (envelope, delivery) = maker.waiting(store, "42").await;
    let started = start(store, delivery).await.unwrap();
    let new = successor(&row(store, delivery).await, &maker, "order.create", "", 1);
    let id = new.id;
    assert!(settle(store, started, NextState::Renewed { delivery: Box::new(new) }).await);
    assert_eq!(delivery_state(store, delivery).await, "superseded");
    assert_eq!(state(store, envelope).await, "received");
    let head = due(store).await.remove(0);
    assert_eq!((head.id, head.generation, head.sealed.is_none()), (id, 1, true));
    assert_eq!(head.document_id, row(store, delivery).await.document_id);
    // Known to be applied after all: no second generation.
    let started = start(store, id).await.unwrap();
    settle(store, started.clone(), again()).await;
    let newer = start(store, id).await.unwrap();
    settle(store, started, delivered()).await;
    let third = successor(&row(store, id).await, &maker, "order.create", "", 2);
    settle(store, newer, NextState::Renewed { delivery: Box::new(third) }).await;
    assert_eq!(delivery_state(store, id).await, "delivered");
    assert_eq!((state(store, envelope).await.as_str(), ledger(store).await.difference()), ("done", 0));
}

pub async fn key_3_c_a_second_effect_is_made_only_when_the_first_is_final(store: &SharedStore) {
    let maker = Maker::default();
    let (envelope, delivery) = maker.waiting(store, "42").await;
    let resend = async |generation| {
        let new = successor(&row(store, delivery).await, &maker, "resend", "order.create", generation);
        let id = new.id;
        store.resend(Resend { original: delivery, delivery: new, act: act("delivery.resend") }).await.map(|()| id)
    };
    let refused = async |generation| matches!(resend(generation).await, Err(StoreError::NotAllowed(_)));
    assert!(refused(1).await, "it waits");
    let started = start(store, delivery).await.unwrap();
    assert!(refused(1).await, "it is in flight");
    settle(store, started, delivered()).await;
    let second = resend(1).await.unwrap();
    assert_eq!(state(store, envelope).await, "received", "there is something to do again");
    assert!(refused(1).await && refused(2).await, "one at a time");
    let started = start(store, second).await.unwrap();
    settle(store, started, delivered()).await;
    assert!(refused(1).await, "KEY-2: that key was used");
    resend(2).await.unwrap();
    assert_eq!(ledger(store).await.difference(), 0);
}
