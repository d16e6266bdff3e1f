//! The index on a file of before, and under another key.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use super::{Options, SqliteStore, clock, folder, options};
use crate::search::Indexer;
use crate::store::SharedStore;
use crate::store::contract::build::{Maker, at, delivered, settle, start};
use crate::store::finding::Question;
use crate::store::pack::pack;
use crate::store::seal::Keys;
use crate::store::write::Arrival;

fn with_keys(path: &Path, keys: &[[u8; 32]]) -> SharedStore {
    let keys = Arc::new(Keys::new(keys));
    Arc::new(SqliteStore::open(Options { keys, ..options(path) }, clock()).unwrap())
}

async fn arrives(store: &SharedStore, maker: &Maker, number: &str) {
    let record = maker.record(number, number, number);
    let id = record.id;
    let body = pack(format!("{{\"increment_id\":\"{number}\",\"customer_email\":\"Anna@Example.com\"}}").as_bytes());
    store.append(Arrival { body, ..maker.arrival(vec![record]) }).await.unwrap();
    let conclusion = maker.create(number, &["erp"]);
    let delivery = conclusion.deliveries[0].id;
    store.conclude(id, conclusion, at(1)).await.unwrap();
    let started = start(store, delivery).await.unwrap();
    settle(store, started, delivered()).await;
}

async fn catch_up(store: &SharedStore) {
    let indexer = Indexer { store: store.clone(), clock: clock() };
    while indexer.step().await.unwrap() {}
}

async fn annas(store: &SharedStore) -> u64 {
    let question = Question { email: Some("anna@example.com".into()), ..Question::default() };
    store.find(question).await.unwrap().email.count
}

fn count(path: &Path, sql: &str) -> i64 {
    Connection::open(path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn a_store_of_before_the_index_is_counted_once_and_catches_up() {
    let folder = folder();
    let path = folder.path().join("crossdock.db");
    let (store, maker) = (with_keys(&path, &[]), Maker::default());
    for number in 0..150 {
        arrives(&store, &maker, &format!("{number:09}")).await;
    }
    store.close().await.unwrap();
    drop(store);
    let old = "DROP TABLE bulk_members; DROP TABLE bulk_acts; DROP TABLE terms; DROP TABLE endings; DROP TABLE traffic; DROP INDEX deliveries_by_receipt; \
               DROP INDEX exceptions_open_by_value; DELETE FROM positions; \
               ALTER TABLE deliveries DROP COLUMN is_there; ALTER TABLE deliveries DROP COLUMN making; \
               DROP TABLE edits; DROP TABLE start_views; DROP TABLE views;";
    Connection::open(&path).unwrap().execute_batch(&format!("{old} PRAGMA user_version = 16")).unwrap();

    let store = with_keys(&path, &[]);
    let running = store.traffic(at(60)).await.unwrap().hours.pop().unwrap();
    assert_eq!((running.accepted, running.delivered, running.parked), (150, 150, 0));
    assert_eq!(annas(&store).await, 0);
    // Stopped in the middle, and begun again.
    let indexer = Indexer { store: store.clone(), clock: clock() };
    for _ in 0..2 {
        assert!(indexer.step().await.unwrap());
    }
    let some = annas(&store).await;
    assert!(some > 0 && some < 150, "{some}");
    store.close().await.unwrap();
    drop((indexer, store));
    let store = with_keys(&path, &[]);
    catch_up(&store).await;
    assert_eq!(annas(&store).await, 150);
    assert_eq!(store.find(Question::default()).await.unwrap().behind, 0);
}

#[tokio::test]
async fn dat_1_another_wrapping_key_has_the_addresses_written_anew_and_leaves_none_of_the_old() {
    let folder = folder();
    let path = folder.path().join("crossdock.db");
    let (store, maker) = (with_keys(&path, &[[1; 32]]), Maker::default());
    for number in 0..3 {
        arrives(&store, &maker, &format!("{number:09}")).await;
    }
    catch_up(&store).await;
    assert_eq!(annas(&store).await, 3);
    store.close().await.unwrap();
    drop(store);
    let store = with_keys(&path, &[[2; 32], [1; 32]]);
    assert_eq!(annas(&store).await, 0, "the old digests say nothing under the new key");
    catch_up(&store).await;
    assert_eq!(annas(&store).await, 3);
    store.close().await.unwrap();
    drop(store);
    assert_eq!(count(&path, "SELECT COUNT(*) FROM terms WHERE kind = 1"), 3);
    assert_eq!(count(&path, "SELECT COUNT(DISTINCT digest) FROM terms WHERE kind = 1"), 1);
}
