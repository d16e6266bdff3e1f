//! Disks that fail, queues that fill, commands that panic.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rusqlite::ffi;

use super::{clock, folder, open, options};
use crate::store::contract::build::{Maker, act, delivered, ledger, settle, start};
use crate::store::sqlite::writer::Urgency;
use crate::store::sqlite::{Options, SqliteStore};
use crate::store::write::Receipt;
use crate::store::{SharedStore, Store as _, StoreError};

/// A store that counts calls of `on_fatal`.
fn watched(path: &std::path::Path) -> (Arc<SqliteStore>, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let on_fatal: Option<super::super::OnFatal> = Some(Arc::new(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
    }));
    let store = SqliteStore::open(Options { on_fatal, ..options(path) }, clock()).unwrap();
    (Arc::new(store), calls)
}

fn fail_next_commit(store: &SqliteStore, code: i32) {
    store.health.inject.store(code, Ordering::SeqCst);
}

#[tokio::test]
async fn ack_5_after_a_failed_commit_nothing_stands_and_the_retry_is_the_first() {
    let folder = folder();
    let (store, calls) = watched(&folder.path().join("crossdock.db"));
    let shared: SharedStore = store.clone();
    let maker = Maker::default();
    fail_next_commit(&store, ffi::SQLITE_FULL);
    let failed = store.append(maker.arrival(vec![maker.record("42", "e1", "x")])).await;
    assert!(matches!(&failed, Err(error @ StoreError::Commit(_)) if error.is_retryable()), "{failed:?}");
    assert!(store.health().is_err());
    let receipts = store.append(maker.arrival(vec![maker.record("42", "e1", "x")])).await.unwrap();
    assert!(matches!(receipts[..], [Receipt::First { .. }]));
    assert_eq!(store.health(), Ok(()));
    assert_eq!(ledger(&shared).await.accepted, 1);
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn ack_7_a_batch_whose_commit_fails_leaves_nothing_and_its_retry_takes_every_record() {
    let folder = folder();
    let (store, _) = watched(&folder.path().join("crossdock.db"));
    let shared: SharedStore = store.clone();
    let maker = Maker::default();
    // Twenty events, as Adobe sends at most; some about the same order, one of them twice.
    let batch = || {
        let mut records: Vec<_> =
            (0..19).map(|event| maker.record(&(event / 2).to_string(), &format!("e{event}"), "x")).collect();
        records.push(maker.record("0", "e0", "x"));
        maker.arrival(records)
    };
    fail_next_commit(&store, ffi::SQLITE_FULL);
    assert!(matches!(store.append(batch()).await, Err(StoreError::Commit(_))));
    assert_eq!(ledger(&shared).await.accepted, 0);
    let receipts = store.append(batch()).await.unwrap();
    assert_eq!(receipts.iter().filter(|receipt| matches!(receipt, Receipt::First { .. })).count(), 19);
    assert!(matches!(receipts[19], Receipt::Duplicate { .. }));
    assert_eq!(ledger(&shared).await.accepted, 19);
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn api_2_an_act_whose_commit_fails_leaves_neither_effect_nor_answer_nor_audit_row() {
    use crate::envelope::keys::Digest;
    use crate::store::books::{CallName, Keep, KeptAnswer};
    use crate::store::contract::build::at;
    use crate::store::write::Act;
    let folder = folder();
    let (store, _) = watched(&folder.path().join("crossdock.db"));
    let call = CallName { scope: Digest::of(b"scope"), fingerprint: Digest::of(b"call") };
    let import = || {
        let keep = Keep::new(call, Arc::new(|_| KeptAnswer::json(&"done")));
        store.import_mappings("skus".into(), Vec::new(), Act { keep: Some(keep), ..act("mappings.import") })
    };
    fail_next_commit(&store, ffi::SQLITE_FULL);
    assert!(import().await.is_err());
    assert_eq!(store.mappings_version().await.unwrap(), 0);
    assert_eq!(store.kept_answer(call.scope, at(60)).await.unwrap(), None);
    assert_eq!(store.audit_head().await.unwrap().rows, 0);
    import().await.unwrap();
    assert_eq!(
        store.kept_answer(call.scope, at(60)).await.unwrap(),
        Some((call.fingerprint, KeptAnswer::json(&"done")))
    );
    assert_eq!((store.mappings_version().await.unwrap(), store.audit_head().await.unwrap().rows), (1, 1));
}

#[tokio::test]
async fn ack_6_a_failed_flush_ends_the_store_at_once() {
    let folder = folder();
    let (store, calls) = watched(&folder.path().join("crossdock.db"));
    let maker = Maker::default();
    fail_next_commit(&store, ffi::SQLITE_IOERR_FSYNC);
    let failed = store.append(maker.arrival(vec![maker.record("42", "e1", "x")])).await;
    assert!(matches!(failed, Err(StoreError::Commit(_))));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    let next = store.append(maker.arrival(vec![maker.record("42", "e2", "x")])).await;
    assert!(matches!(next, Err(StoreError::Stopped)), "{next:?}");
    assert!(store.health().is_err());
}

#[tokio::test]
async fn bak_4_after_damage_nothing_is_written_and_reading_goes_on() {
    let folder = folder();
    let (store, calls) = watched(&folder.path().join("crossdock.db"));
    let shared: SharedStore = store.clone();
    let maker = Maker::default();
    fail_next_commit(&store, ffi::SQLITE_CORRUPT);
    assert!(store.append(maker.arrival(vec![maker.record("42", "e1", "x")])).await.is_err());
    let next = store.append(maker.arrival(vec![maker.record("42", "e2", "x")])).await;
    assert!(matches!(next, Err(StoreError::Corrupt(_))), "{next:?}");
    assert_eq!(ledger(&shared).await.accepted, 0);
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn run_3_a_panic_of_the_writer_ends_the_process() {
    let folder = folder();
    let (store, calls) = watched(&folder.path().join("crossdock.db"));
    let panicked = store.write::<()>(Urgency::Now, |_| panic!("a broken assumption")).await;
    assert!(matches!(panicked, Err(StoreError::Stopped)));
    let until = Instant::now() + Duration::from_secs(1);
    while calls.load(Ordering::SeqCst) == 0 && Instant::now() < until {
        std::thread::yield_now();
    }
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert!(store.health().is_err());
}

#[tokio::test]
async fn prs_1_a_full_queue_is_busy_and_empties_again() {
    let folder = folder();
    let path = folder.path().join("crossdock.db");
    let store = SqliteStore::open(Options { queue: 4, ..options(&path) }, clock()).unwrap();
    let maker = Maker::default();
    let other = rusqlite::Connection::open(&path).unwrap();
    // Another process writes: the writer waits for it.
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let answers: Vec<_> = (0..300)
        .map(|number| store.append(maker.arrival(vec![maker.record("42", &number.to_string(), "x")])))
        .collect();
    other.execute_batch("COMMIT").unwrap();
    let (mut taken, mut busy) = (0, 0);
    for answer in answers {
        match answer.await {
            Ok(_) => taken += 1,
            Err(StoreError::Busy) => busy += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(taken >= 4 && busy > 0, "{taken} taken, {busy} busy");
    assert_eq!(store.ledger().await.unwrap().accepted, taken);
}

#[tokio::test]
async fn a_settlement_alone_waits_for_company_no_longer_than_it_may() {
    let folder = folder();
    let options = Options { settle_wait: Duration::from_millis(10), ..options(&folder.path().join("crossdock.db")) };
    let store: SharedStore = Arc::new(SqliteStore::open(options, clock()).unwrap());
    let maker = Maker::default();
    let (_, delivery) = maker.waiting(&store, "42").await;
    let started = start(&store, delivery).await.unwrap();
    let began = Instant::now();
    assert!(settle(&store, started, delivered()).await);
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(10) && took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn short_verbs_write_beside_the_service_and_it_notices() {
    let folder = folder();
    let path = folder.path().join("crossdock.db");
    let service = open(&path);
    let verb = SqliteStore::open(Options::new(&path, false), clock()).unwrap();
    assert_eq!(verb.installation_id(), service.installation_id());
    verb.import_mappings("skus".into(), Vec::new(), act("mappings.import")).await.unwrap();
    verb.close().await.unwrap();
    assert_eq!(service.mappings_version().await.unwrap(), 1);
    assert_eq!(service.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_copied_while_the_writer_writes() {
    let folder = folder();
    let path = folder.path().join("crossdock.db");
    let store = Arc::new(open(&path));
    let maker = Arc::new(Maker::default());
    let mut noise = vec![0; 200_000];
    crate::clock::Entropy::fill(&crate::clock::SeededEntropy::new(1), &mut noise);
    let body = crate::store::pack::pack(&noise);
    let (mut largest, mut events) = (0, 0);
    // On a busy machine the copying may get no turn for a while.
    while events < 300 || (events < 3_000 && largest >= events * body.packed.len() as u64) {
        let mut arrival = maker.arrival(vec![maker.record("42", &events.to_string(), "x")]);
        arrival.body = body.clone();
        store.append(arrival).await.unwrap();
        largest = store.figures().await.unwrap().wal_bytes.max(largest);
        events += 1;
    }
    assert!(body.packed.len() > 100_000, "the body does not compress away");
    let written = events * body.packed.len() as u64;
    assert!(largest < written, "a log of {largest} bytes for {written} written");
    assert_eq!(store.ledger().await.unwrap().accepted, events);
}

#[tokio::test]
async fn p6_events_that_were_claimed_when_the_store_failed_are_processed_without_a_restart() {
    let folder = folder();
    let (store, _) = watched(&folder.path().join("crossdock.db"));
    let shared: SharedStore = store.clone();
    let maker = Maker::default();
    maker.arrive(&shared, "42", "e1").await;
    maker.arrive(&shared, "43", "e2").await;
    // As after a claim whose conclusions could not be written: begun, and with nobody.
    assert_eq!(shared.claim_envelopes(9).await.unwrap().len(), 2);
    fail_next_commit(&store, ffi::SQLITE_FULL);
    let rules = crate::processor::rules::Rules {
        config_version: "c1".into(),
        origins: BTreeMap::default(),
        routes: Arc::default(),
        policies: crate::domain::policy::Policies::default(),
        destination_policies: BTreeMap::default(),
        mappings: Arc::default(),
    };
    let entropy = Arc::new(crate::clock::SeededEntropy::new(7));
    let processor = Arc::new(crate::processor::Processor::new(shared.clone(), clock(), entropy, rules));
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let running = tokio::spawn(processor.run(Arc::new(|| {}), stopped));
    let patience = Instant::now() + Duration::from_secs(5);
    while ledger(&shared).await.due > 0 {
        assert!(Instant::now() < patience, "still claimed by nobody: {:?}", ledger(&shared).await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    running.abort();
    assert_eq!(ledger(&shared).await.exception, 2, "their origin is not configured here");
}
