//! Several deliveries in one request: who goes with whom, when, and what becomes of each.

use std::sync::Arc;
use std::time::Duration;

use super::rig::{Ears, KEY, Rig, open, settings, start, within};
use crate::clock::ManualClock;
use crate::destinations::double::{Double, Play, Seen};
use crate::destinations::{self, Batch, Destination, RecipeSettings};
use crate::envelope::ids::DeliveryId;
use crate::store::Slots;
use crate::store::contract::build::{Maker, at};
use crate::store::write::{AttemptPurpose, AttemptStart};

const RECIPE: &str = r#"
about = "a flow that takes lists"
guard = "key"
[batch]
[[steps]]
name = "start"
kind = "create"
for = ["order.create"]
path = ""
headers = { Idempotency-Key = "{{ key }}" }
body = "{{ document | json }}"
"#;

fn together(settings: &mut destinations::Settings, up_to: u32, wait: Duration) {
    settings.recipe = Some(RecipeSettings {
        said: toml::from_str(RECIPE).unwrap(),
        with: std::collections::BTreeMap::new(),
        settle_after: Duration::from_mins(1),
        accepts_differences: false,
    });
    settings.batch = Some(Batch { up_to, wait, bytes: 1024 * 1024 });
}

/// Orders that fall due together.
async fn orders(rig: &Rig, numbers: &[&str]) -> Vec<DeliveryId> {
    assert!(rig.delivery.hold("erp", "until all are there"));
    let mut all = Vec::new();
    for number in numbers {
        all.push(rig.maker.waiting(&rig.store, number).await.1);
    }
    assert!(rig.delivery.release("erp"));
    all
}

fn count(seen: &Seen) -> usize {
    serde_json::from_str::<Vec<serde_json::Value>>(&seen.body).expect("a list").len()
}

#[tokio::test]
async fn a_full_batch_waits_for_nobody_and_a_lone_record_not_for_ever() {
    let rig = Rig::new(|settings| together(settings, 3, Duration::from_mins(1))).await;
    orders(&rig, &["000000041", "000000042", "000000043"]).await;
    rig.ears.until("they are delivered", |told| told.settled.len() == 3).await;
    assert_eq!(rig.erp().seen().iter().map(count).collect::<Vec<_>>(), [3]);

    let late = rig.order("000000044").await;
    rig.settle_down().await;
    assert_eq!(rig.erp().seen().len(), 1, "it waits for company");
    assert_eq!(rig.row(late).await.delivery.state, "waiting");
}

#[tokio::test]
async fn the_oldest_says_how_long_is_waited_and_nothing_waits_for_a_clock_that_was_set_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, &Arc::new(ManualClock::new(at(5))));
    Maker::default().waiting(&store, "000000041").await;
    let due = store.due_deliveries(at(5), vec![Slots::new("erp", 10)]).await.unwrap();
    let made = due[0].created_at;
    let batch = Batch { up_to: 50, wait: Duration::from_secs(10), bytes: 1024 };
    let waits = |seconds: i64| {
        let now = made + jiff::SignedDuration::from_secs(seconds);
        super::super::batching::waits(&batch, &due, now).map(|left| left.as_secs())
    };
    assert_eq!([waits(0), waits(4), waits(10), waits(4_000), waits(-3_600)], [Some(10), Some(6), None, None, None]);
}

#[tokio::test]
async fn ret_5_a_batch_that_fails_is_one_failure_of_its_destination() {
    let rig = Rig::new(|settings| together(settings, 50, Duration::ZERO)).await;
    rig.erp().play([Play::status(500)]);
    orders(&rig, &["000000041", "000000042", "000000043", "000000044", "000000045", "000000046"]).await;
    rig.finished(6).await;
    assert_eq!(rig.erp().seen().iter().map(count).collect::<Vec<_>>(), [6]);
    assert_eq!(rig.state(), "open", "five failures would have broken it");
    rig.pass(10);
    rig.ears.until("they are delivered", |told| told.settled.len() == 6).await;
    assert!(rig.erp().seen()[1..].iter().all(|seen| count(seen) == 1), "in doubt each goes alone");
}

#[tokio::test]
async fn att_1_a_batch_that_a_crash_cut_off_leaves_each_of_its_records_in_doubt() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(at(5)));
    let erp = Double::start().await;
    let mut configured = settings("erp", &erp);
    together(&mut configured, 50, Duration::ZERO);
    let destination = Destination::new(configured.clone()).map_err(|found| found.join("; ")).unwrap();
    let store = open(&folder, &clock);
    let maker = Maker::default();
    maker.waiting(&store, "000000041").await;
    maker.waiting(&store, "000000042").await;
    let due = store.due_deliveries(at(5), vec![Slots::new("erp", 10)]).await.unwrap();
    let starts = due.iter().map(|due| AttemptStart {
        delivery: due.id,
        number: 1,
        document: due.document_id,
        seal: Some(destination.render(&due.purpose, &due.document, &due.key, "").unwrap()),
        purpose: AttemptPurpose::Send,
        started_at: at(5),
        deadline: at(35),
        config_version: "c1".into(),
    });
    assert_eq!(store.start_attempts(starts.collect()).await.unwrap().len(), 2);
    drop(store);

    let store = open(&folder, &clock);
    let ears = Arc::new(Ears::default());
    let engine = start(&store, &clock, &ears, vec![destinations::Settings { guard: KEY, ..configured }]);
    within("it is recovered", engine.recovered()).await;
    for due in &due {
        let row = store.delivery(due.id).await.unwrap().unwrap().delivery;
        assert_eq!((row.state.as_str(), row.uncertain), ("waiting", true));
    }
    clock.advance(Duration::from_secs(3));
    engine.wake();
    ears.until("they are delivered", |told| told.settled.len() == 2).await;
    assert_eq!(erp.seen().iter().map(count).collect::<Vec<_>>(), [1, 1]);
}

#[tokio::test]
async fn run_2_stop_waits_until_every_record_of_a_batch_is_settled() {
    let rig = Rig::new(|settings| together(settings, 50, Duration::ZERO)).await;
    let (hang, go) = Play::hang();
    rig.erp().play([hang]);
    let all = orders(&rig, &["000000041", "000000042", "000000043"]).await;
    rig.erp().has_seen(1).await;
    let stopping = {
        let engine = Arc::clone(&rig.delivery);
        tokio::spawn(async move { engine.stop(Duration::from_secs(10)).await })
    };
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!stopping.is_finished());
    assert_eq!(rig.delivery.status()[0].in_flight, 1, "one request");
    go.notify_one();
    within("it stopped", stopping).await.unwrap();
    for delivery in all {
        assert_eq!(rig.row(delivery).await.delivery.state, "delivered");
    }
}
