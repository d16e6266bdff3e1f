//! Running: incidents, what stands behind a destination, due times.

use super::build::{Maker, act, again, at, settle, start};
use crate::clock::SeededEntropy;
use crate::envelope::ids::IncidentId;
use crate::store::running::{Hold, INCIDENTS_KEPT, Incident, Standing, Trouble};
use crate::store::write::{Ladder, NextState};
use crate::store::{SharedStore, Slots};

fn incident(entropy: &SeededEntropy, destination: &str, seconds: u64) -> Incident {
    Incident {
        id: IncidentId::new(at(seconds), entropy),
        destination: destination.into(),
        kind: Trouble::Paused,
        why: "it asked for a pause".into(),
        opened_at: at(seconds),
        reopened_at: None,
        ended_at: None,
        waiting_most: 7,
        drain_per_minute: None,
        drained_at: None,
    }
}

pub async fn what_a_person_holds_stays_held_until_a_person_lets_it_go(store: &SharedStore) {
    let hold = |reason: &str| Hold {
        destination: "erp".into(),
        reason: reason.into(),
        held_by: "user:anna".into(),
        held_at: at(7),
    };
    store.hold_destination(hold("stocktaking"), act("destination.hold")).await.unwrap();
    store.hold_destination(hold("still counting"), act("destination.hold")).await.unwrap();
    assert_eq!(store.holds().await.unwrap(), [hold("still counting")]);
    store.release_destination("wms".into(), act("destination.release")).await.unwrap();
    assert_eq!(store.holds().await.unwrap().len(), 1);
    store.release_destination("erp".into(), act("destination.release")).await.unwrap();
    assert!(store.holds().await.unwrap().is_empty());
    assert_eq!(store.audit_head().await.unwrap().rows, 4);
}

pub async fn an_incident_is_written_as_it_goes_and_the_last_fifty_are_kept(store: &SharedStore) {
    let entropy = SeededEntropy::new(3);
    let mut open = incident(&entropy, "erp", 0);
    store.write_incident(open.clone()).await.unwrap();
    assert_eq!(store.incidents().await.unwrap(), [open.clone()]);
    let second = store.write_incident(incident(&entropy, "erp", 1)).await;
    assert!(second.is_err(), "one a destination at a time");
    open.kind = Trouble::Held;
    open.why = "our credential is refused".into();
    open.reopened_at = Some(at(5));
    open.drain_per_minute = Some(120);
    open.drained_at = Some(at(90));
    store.write_incident(open.clone()).await.unwrap();
    assert_eq!(store.incidents().await.unwrap(), [open.clone()]);
    for seconds in 1..=60 {
        let ended = Incident { ended_at: Some(at(seconds + 1)), ..incident(&entropy, "wms", seconds) };
        store.write_incident(ended).await.unwrap();
    }
    let kept = store.incidents().await.unwrap();
    assert_eq!(kept.len(), INCIDENTS_KEPT + 1);
    assert_eq!((&kept[0], kept[1].opened_at, kept[INCIDENTS_KEPT].opened_at), (&open, at(60), at(11)));
}

pub async fn a_destination_stands_with_what_waits_and_what_is_under_way(store: &SharedStore) {
    let maker = Maker::default();
    assert_eq!(store.standing("erp".into()).await.unwrap(), Standing::default());
    let (_, first) = maker.waiting(store, "1").await;
    maker.waiting(store, "2").await;
    maker.waiting(store, "3").await;
    let started = start(store, first).await.unwrap();
    let standing = store.standing("erp".into()).await.unwrap();
    let expected = Standing { waiting: 2, in_flight: 1, oldest_created_at: Some(at(1)), oldest_due_at: Some(at(0)) };
    assert_eq!(standing, expected);
    settle(store, started, NextState::Delivered { receipt: None }).await;
    assert_eq!(store.standing("erp".into()).await.unwrap().in_flight, 0);
    assert_eq!(store.standing("wms".into()).await.unwrap(), Standing::default());
}

pub async fn run_5_due_times_move_with_the_clock(store: &SharedStore) {
    let maker = Maker::default();
    for (number, due_at) in [("1", 10), ("2", 100), ("3", 3_000)] {
        let (_, delivery) = maker.waiting(store, number).await;
        let started = start(store, delivery).await.unwrap();
        let ladder = Ladder::default();
        settle(store, started, NextState::Waiting { due_at: at(due_at), uncertain: false, counts: true, ladder }).await;
    }
    let due = async |seconds: u64| {
        let slots = vec![Slots::new("erp", 9)];
        let due = store.due_deliveries(at(seconds), slots).await.unwrap();
        due.into_iter().map(|due| due.subject.id).collect::<Vec<_>>()
    };
    let hour = 3_600_000_000;
    // The clock showed 50 s and jumps an hour ahead: what was due stays due, the rest waits as long as it would have.
    store.shift_due(at(50), hour).await.unwrap();
    assert_eq!(due(3_699).await, ["1"]);
    assert_eq!(due(3_700).await, ["1", "2"]);
    assert_eq!(due(6_600).await, ["1", "2", "3"]);
    // And back again, 10 s later: what is due stays due, although it fell due after what the clock shows now.
    store.shift_due(at(60), -hour).await.unwrap();
    assert_eq!(due(60).await, ["1"]);
    assert_eq!(due(100).await, ["1", "2"]);
    assert_eq!(store.next_due_at().await.unwrap(), Some(at(10)));
    assert_eq!(due(2_999).await, ["1", "2"]);
    assert_eq!(due(3_000).await, ["1", "2", "3"]);
}

/// A destination forgets a key by its own clock; ours going back must not make the key look young.
pub async fn unc_2_first_sends_go_back_with_the_clock_and_never_ahead_of_it(store: &SharedStore) {
    let maker = Maker::default();
    let (_, fresh) = maker.waiting(store, "1").await;
    let (_, in_doubt) = maker.waiting(store, "2").await;
    let started = start(store, in_doubt).await.unwrap();
    settle(store, started, again()).await;
    let (_, flying) = maker.waiting(store, "3").await;
    start(store, flying).await.unwrap();
    let (_, parked) = maker.parked(store, "4").await;
    let since = async |delivery| store.delivery_origin(delivery).await.unwrap().unwrap().1.first_attempt_at;
    store.shift_due(at(50), 3_600_000_000).await.unwrap();
    for one in [in_doubt, flying, parked] {
        assert_eq!(since(one).await, Some(at(2)), "the machine may have slept: that time passed there too");
    }
    store.shift_due(at(50), -1_000_000).await.unwrap();
    for one in [in_doubt, flying, parked] {
        assert_eq!(since(one).await, Some(at(1)));
    }
    assert_eq!(since(fresh).await, None);
}
