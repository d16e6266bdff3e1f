//! What survives the end of a process, however it ends.

use std::sync::Arc;

use super::{folder, open};
use crate::store::contract::build::{Maker, at, delivered, due, ledger, settle, start, state};
use crate::store::sqlite::SqliteStore;
use crate::store::view::{Ledger, Paging};
use crate::store::{ExceptionFilter, SharedStore, Store as _};

fn previous_end(store: &SqliteStore) -> String {
    let settings = store.report().settings;
    settings.into_iter().find(|(name, _)| name == "previous_end").unwrap().1
}

#[tokio::test]
async fn p1_what_was_answered_survives_an_end_without_closing() {
    let folder = folder();
    let path = folder.path().join("crossdock.db");
    let maker = Maker::default();
    let store: SharedStore = Arc::new(open(&path));
    for number in 0..50 {
        maker.waiting(&store, &number.to_string()).await;
    }
    // The files as a power cut would leave them: the log not copied, nothing closed.
    let copy = folder.path().join("after.db");
    for suffix in ["", "-wal"] {
        std::fs::copy(folder.path().join(format!("crossdock.db{suffix}")), format!("{}{suffix}", copy.display()))
            .unwrap();
    }
    let id = store.installation_id().to_owned();
    drop(store);
    for path in [path, copy] {
        let store = Arc::new(open(&path));
        assert_eq!(previous_end(&store), "unclean");
        assert_eq!(store.installation_id(), id);
        assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
        let store: SharedStore = store;
        assert_eq!(ledger(&store).await, Ledger { accepted: 50, due: 50, ..Ledger::default() });
        assert_eq!(due(&store).await.len(), 50);
    }
}

#[tokio::test]
async fn run_2_a_clean_end_says_so_and_leaves_no_log() {
    let folder = folder();
    let path = folder.path().join("crossdock.db");
    let store: SharedStore = Arc::new(open(&path));
    let claimed = Maker::default().arrive(&store, "42", "e1").await;
    assert_eq!(store.claim_envelopes(1).await.unwrap()[0].id, claimed);
    store.close().await.unwrap();
    drop(store);
    let log = folder.path().join("crossdock.db-wal");
    assert!(std::fs::metadata(&log).map_or(0, |log| log.len()) == 0);
    let store = open(&path);
    assert_eq!(previous_end(&store), "clean");
    assert_eq!(store.claim_envelopes(1).await.unwrap()[0].id, claimed);
}

#[tokio::test]
async fn att_1_attempts_in_flight_at_the_end_are_interrupted_ones() {
    let folder = folder();
    let path = folder.path().join("crossdock.db");
    let maker = Maker::default();
    let store: SharedStore = Arc::new(open(&path));
    let (envelope, delivery) = maker.waiting(&store, "42").await;
    let started = start(&store, delivery).await.unwrap();
    drop(store);
    let store: SharedStore = Arc::new(open(&path));
    let interrupted = store.interrupted_attempts().await.unwrap();
    assert_eq!(interrupted.len(), 1);
    let found = &interrupted[0];
    assert_eq!((found.delivery.id, found.number, found.epoch), (delivery, started.number, started.epoch));
    assert_eq!((found.started_at, found.delivery.sealed.as_ref().unwrap().body.as_ref()), (at(2), &b"order 42"[..]));
    assert!(due(&store).await.is_empty(), "its lane stays closed (UNC-1)");
    assert!(settle(&store, started, delivered()).await);
    assert!(store.interrupted_attempts().await.unwrap().is_empty());
    assert_eq!(state(&store, envelope).await, "done");
}

#[tokio::test]
async fn poi_1_after_three_deaths_an_event_is_parked_unread() {
    let folder = folder();
    let path = folder.path().join("crossdock.db");
    let maker = Maker::default();
    let mut store: SharedStore = Arc::new(open(&path));
    let deadly = maker.arrive(&store, "42", "deadly").await;
    let behind = maker.arrive(&store, "42", "behind").await;
    for _ in 0..3 {
        assert_eq!(store.claim_envelopes(9).await.unwrap().remove(0).id, deadly);
        drop(store);
        store = Arc::new(open(&path));
    }
    assert_eq!(store.claim_envelopes(9).await.unwrap().remove(0).id, behind);
    let open = store.exceptions(ExceptionFilter::default(), Paging::default()).await.unwrap().items;
    assert_eq!(open.len(), 1);
    assert_eq!(
        (open[0].code.as_str(), open[0].severity.as_str(), open[0].owner.as_str()),
        ("crashed_worker", "critical", "integration")
    );
    assert_eq!(open[0].envelope_id, Some(deadly));
    assert_eq!(ledger(&store).await, Ledger { accepted: 2, exception: 1, due: 1, ..Ledger::default() });
}

#[tokio::test]
async fn bak_2_a_damaged_body_is_an_exception_and_its_neighbours_go_on() {
    let folder = folder();
    let path = folder.path().join("crossdock.db");
    let maker = Maker::default();
    let store = Arc::new(open(&path));
    let shared: SharedStore = store.clone();
    let (_, damaged) = maker.waiting(&shared, "1").await;
    let (_, sound) = maker.waiting(&shared, "2").await;
    let unread = maker.arrive(&shared, "3", "unread").await;
    let read = maker.arrive(&shared, "4", "read").await;
    let other = rusqlite::Connection::open(&path).unwrap();
    let zeros = "UPDATE documents SET digest = zeroblob(32) WHERE seq = 1; UPDATE payloads SET digest = zeroblob(32) WHERE seq = 3";
    other.execute_batch(zeros).unwrap();
    assert_eq!(due(&shared).await.iter().map(|head| head.id).collect::<Vec<_>>(), [sound]);
    assert_eq!(shared.claim_envelopes(9).await.unwrap().iter().map(|claim| claim.id).collect::<Vec<_>>(), [read]);
    let open = shared.exceptions(ExceptionFilter::default(), Paging::default()).await.unwrap().items;
    assert_eq!(open.iter().map(|exception| exception.code.as_str()).collect::<Vec<_>>(), ["unreadable_payload"; 2]);
    assert!(open.iter().any(|exception| exception.delivery_id == Some(damaged)));
    assert_eq!(state(&shared, unread).await, "exception");
    // Nothing of it was sealed: a newer report takes its place, and the complaint goes.
    let newer = maker.arrive(&shared, "1", "newer").await;
    shared.conclude(newer, maker.create("1", &["erp"]), at(5)).await.unwrap();
    let heads = due(&shared).await;
    assert!(heads.iter().any(|head| head.id == damaged), "{heads:?}");
    assert_eq!(shared.exceptions(ExceptionFilter::default(), Paging::default()).await.unwrap().items.len(), 1);
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn api_5_a_changed_audit_row_breaks_the_chain() {
    use crate::store::contract::build::act;
    let folder = folder();
    let path = folder.path().join("crossdock.db");
    let store = open(&path);
    for _ in 0..3 {
        store.import_mappings("skus".into(), Vec::new(), act("mappings.import")).await.unwrap();
    }
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    let other = rusqlite::Connection::open(&path).unwrap();
    assert!(other.execute("UPDATE audit SET actor = 'nobody' WHERE seq = 2", []).is_err());
    assert!(other.execute("DELETE FROM audit WHERE seq = 2", []).is_err());
    other
        .execute_batch("DROP TRIGGER audit_is_never_changed; UPDATE audit SET actor = 'nobody' WHERE seq = 2")
        .unwrap();
    assert_eq!(
        store.verify().await.unwrap(),
        ["the audit chain is broken at row 2: its digest does not fit its content: it was changed"]
    );
}

#[tokio::test]
async fn poi_1_the_neighbours_of_a_deadly_event_are_not_parked_with_it() {
    let folder = folder();
    let path = folder.path().join("crossdock.db");
    let maker = Maker::default();
    let mut store: SharedStore = Arc::new(open(&path));
    let deadly = maker.arrive(&store, "42", "deadly").await;
    let neighbour = maker.arrive(&store, "43", "neighbour").await;
    for _ in 0..3 {
        assert_eq!(store.claim_envelopes(9).await.unwrap()[0].id, deadly);
        drop(store);
        store = Arc::new(open(&path));
    }
    assert_eq!(store.claim_envelopes(9).await.unwrap().remove(0).id, neighbour);
    let open = store.exceptions(ExceptionFilter::default(), Paging::default()).await.unwrap().items;
    assert_eq!(open.iter().map(|exception| exception.envelope_id).collect::<Vec<_>>(), [Some(deadly)]);
}
