//! The end of the process, asked for or not.

use std::sync::Arc;
use std::time::Duration;

use super::rig::{Ears, KEY, Rig, open, settings, start, within};
use crate::clock::ManualClock;
use crate::delivery::Delivery;
use crate::destinations::double::{Double, Play};
use crate::destinations::{self, Guard};
use crate::envelope::ids::DeliveryId;
use crate::store::contract::build::{Maker, act, at};
use crate::store::running::Hold;
use crate::store::write::{AttemptPurpose, AttemptStart};
use crate::store::{SharedStore, Slots};
use tempfile::TempDir;

/// Starts a durable attempt of a new order and lets the process die before it is settled; then opens anew.
async fn died(erp: &Double, folder: &TempDir, clock: &Arc<ManualClock>) -> (SharedStore, DeliveryId) {
    let store = open(folder, clock);
    let (_, delivery) = Maker::default().waiting(&store, "000000042").await;
    let destination = destinations::Destination::new(settings("erp", erp)).ok().unwrap();
    let due = store.due_deliveries(at(5), vec![Slots::new("erp", 1)]).await.unwrap().remove(0);
    let start = AttemptStart {
        delivery,
        number: 1,
        document: due.document_id,
        seal: Some(destination.render(&due.purpose, &due.document, &due.key, "").unwrap()),
        purpose: AttemptPurpose::Send,
        started_at: at(5),
        deadline: at(35),
        config_version: "c1".into(),
    };
    assert_eq!(store.start_attempts(vec![start]).await.unwrap().len(), 1);
    drop(store);
    (open(folder, clock), delivery)
}

async fn restarted(
    guard: Guard,
) -> (Double, SharedStore, Arc<Ears>, Arc<ManualClock>, Arc<Delivery>, DeliveryId, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(at(5)));
    let erp = Double::start().await;
    let (store, delivery) = died(&erp, &folder, &clock).await;
    let ears = Arc::new(Ears::default());
    let engine = start(&store, &clock, &ears, vec![destinations::Settings { guard, ..settings("erp", &erp) }]);
    within("it is recovered", engine.recovered()).await;
    (erp, store, ears, clock, engine, delivery, folder)
}

#[tokio::test]
async fn what_a_person_holds_stays_held_over_a_restart() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Arc::new(ManualClock::new(at(5))));
    let (erp, ears) = (Double::start().await, Arc::new(Ears::default()));
    let store = open(&folder, &clock);
    let hold = Hold {
        destination: "erp".into(),
        reason: "held by anna: stocktaking".into(),
        held_by: "user:anna".into(),
        held_at: at(5),
    };
    store.hold_destination(hold, act("destination.hold")).await.unwrap();
    let (_, delivery) = Maker::default().waiting(&store, "000000042").await;
    let engine = start(&store, &clock, &ears, vec![settings("erp", &erp)]);
    within("it is recovered", engine.recovered()).await;
    engine.wake();
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!((engine.status()[0].state.as_str(), erp.seen().len()), ("held", 0));
    assert!(engine.release("erp"));
    ears.until("it is delivered", |told| told.settled == [delivery]).await;
}

#[tokio::test]
async fn run_1_an_interrupted_attempt_is_uncertain_and_under_a_key_guard_goes_again() {
    let (erp, store, ears, clock, engine, delivery, _folder) = restarted(KEY).await;
    let row = store.delivery(delivery).await.unwrap().unwrap();
    assert_eq!((row.delivery.state.as_str(), row.delivery.uncertain), ("waiting", true));
    assert_eq!(row.attempts_made[0].outcome.as_deref(), Some("uncertain"));
    clock.advance(Duration::from_secs(3));
    engine.wake();
    ears.until("it is delivered", |told| told.settled == [delivery]).await;
    assert_eq!(erp.seen()[0].header("crossdock-attempt"), Some("2"));
}

#[tokio::test]
async fn run_1_an_interrupted_attempt_without_a_guard_goes_to_a_person() {
    let (erp, store, _ears, clock, engine, delivery, _folder) = restarted(Guard::None).await;
    let row = store.delivery(delivery).await.unwrap().unwrap();
    assert_eq!((row.delivery.state.as_str(), row.delivery.uncertain), ("parked", true));
    clock.advance(Duration::from_hours(10));
    engine.wake();
    engine.stop(Duration::from_secs(5)).await;
    assert!(erp.seen().is_empty());
}

#[tokio::test]
async fn run_2_stop_lets_requests_finish_and_starts_nothing_more() {
    let rig = Rig::new(|_| {}).await;
    let (hang, go) = Play::hang();
    rig.erp().play([hang]);
    let delivery = rig.order("000000042").await;
    rig.erp().has_seen(1).await;
    let stopping = {
        let engine = Arc::clone(&rig.delivery);
        tokio::spawn(async move { engine.stop(Duration::from_secs(10)).await })
    };
    tokio::time::sleep(Duration::from_millis(30)).await;
    let late = rig.order("000000043").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!stopping.is_finished(), "a request is still under way");
    go.notify_one();
    within("it stopped", stopping).await.unwrap();
    assert_eq!(rig.row(delivery).await.delivery.state, "delivered");
    assert_eq!(rig.row(late).await.delivery.state, "waiting");
    assert_eq!(rig.erp().seen().len(), 1);
}

#[tokio::test]
async fn run_2_what_is_open_after_the_grace_stays_started() {
    let rig = Rig::new(|_| {}).await;
    let (hang, _go) = Play::hang();
    rig.erp().play([hang]);
    let delivery = rig.order("000000042").await;
    rig.erp().has_seen(1).await;
    within("it stopped", rig.delivery.stop(Duration::from_millis(50))).await;
    assert_eq!(rig.row(delivery).await.delivery.state, "in_flight");
    assert!(rig.folder.path().exists());
}

#[tokio::test]
async fn run_2_a_stop_with_nothing_under_way_is_immediate() {
    let rig = Rig::new(|_| {}).await;
    let begun = std::time::Instant::now();
    rig.delivery.stop(Duration::from_secs(15)).await;
    rig.delivery.stop(Duration::from_secs(15)).await;
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_stopped_store_ends_the_engine_quietly() {
    let rig = Rig::new(|_| {}).await;
    let (hang, go) = Play::hang();
    rig.erp().play([hang]);
    rig.order("000000042").await;
    rig.erp().has_seen(1).await;
    rig.store.close().await.unwrap();
    go.notify_one();
    within("it stopped", rig.delivery.stop(Duration::from_secs(10))).await;
    rig.ears.told(|told| assert_eq!((told.started, told.finished), (1, 0), "the outcome was left to the next start"));
}

/// Starts an attempt that nobody in this process works on: its task died, or the answer of its commit was lost.
async fn orphan(rig: &Rig) -> DeliveryId {
    let envelope = rig.maker.arrive(&rig.store, "000000042", "placed").await;
    let conclusion = rig.maker.express(rig.maker.create("000000042", &["erp"]));
    let delivery = conclusion.deliveries[0].id;
    // Made and started in one transaction: the dispatcher never sees it waiting.
    let started = rig.store.conclude(envelope, conclusion, at(1)).await.unwrap();
    assert_eq!(started.len(), 1);
    delivery
}

#[tokio::test]
async fn p6_an_attempt_that_nobody_holds_becomes_uncertain_after_its_deadline_without_a_restart() {
    let rig = Rig::new(|settings| settings.guard = Guard::None).await;
    within("it is recovered", rig.delivery.recovered()).await;
    // Nobody wakes the dispatcher, so the attempt starts outside of it.
    let delivery = orphan(&rig).await;
    rig.settle_down().await;
    assert_eq!(rig.row(delivery).await.delivery.state, "in_flight", "its deadline is not past yet");
    rig.pass(60);
    rig.ears.until("a person is told", |told| told.exceptions == ["outcome_uncertain"]).await;
    let row = rig.row(delivery).await;
    assert_eq!((row.delivery.state.as_str(), row.delivery.uncertain), ("parked", true));
    assert_eq!(rig.ears.told(|told| told.alarms), 1);
    assert!(rig.erp().seen().is_empty(), "never sent on our initiative");
}

#[tokio::test]
async fn p6_an_attempt_that_is_held_is_not_taken_for_lost_however_late_it_is() {
    let rig = Rig::new(|_| {}).await;
    let (hang, go) = Play::hang();
    rig.erp().play([hang]);
    let delivery = rig.order("000000042").await;
    rig.erp().has_seen(1).await;
    rig.pass(600);
    rig.settle_down().await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(rig.row(delivery).await.delivery.state, "in_flight");
    go.notify_one();
    rig.ears.until("it is delivered", |told| told.settled == [delivery]).await;
}

#[tokio::test]
async fn p6_what_waits_for_a_destination_that_was_removed_goes_to_a_person() {
    let rig = Rig::with(&["wms"], |_, _| {}).await;
    let (_, delivery) = rig.maker.waiting(&rig.store, "000000042").await;
    rig.ears.until("a person is told", |told| told.exceptions.len() == 1).await;
    let row = rig.row(delivery).await;
    assert_eq!((row.delivery.state.as_str(), row.delivery.uncertain, row.delivery.attempts), ("parked", false, 0));
    let exception = rig.exceptions().await.remove(0);
    assert!(exception.message.contains("no longer configured"), "{}", exception.message);
    rig.settle_down().await;
    assert_eq!(rig.exceptions().await.len(), 1);
}

#[tokio::test]
async fn dat_5_what_is_sealed_for_a_former_host_is_not_sent_there_with_the_new_hosts_credential() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(at(5)));
    let (former, present) = (Double::start().await, Double::start().await);
    former.play([Play::status(408)]);
    let store = open(&folder, &clock);
    let (_, delivery) = Maker::default().waiting(&store, "000000042").await;
    let ears = Arc::new(Ears::default());
    let engine = start(&store, &clock, &ears, vec![settings("erp", &former)]);
    ears.until("it failed once", |told| told.finished == 1).await;
    engine.stop(Duration::from_secs(5)).await;
    let engine = start(&store, &clock, &ears, vec![settings("erp", &present)]);
    within("it is recovered", engine.recovered()).await;
    clock.advance(Duration::from_mins(1));
    engine.wake();
    ears.until("a person is told", |told| told.exceptions == ["rejected_by_destination"]).await;
    let row = store.delivery(delivery).await.unwrap().unwrap();
    assert_eq!((row.delivery.state.as_str(), row.delivery.uncertain), ("parked", false));
    assert_eq!((former.seen().len(), present.seen().len()), (1, 0));
}
