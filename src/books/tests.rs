//! The watch over books that somebody meddled with.

use super::*;
use crate::clock::ManualClock;
use crate::observe::{Metrics, Scrape};
use crate::store::contract::build::{Maker, at};
use crate::store::sqlite::{Options, SqliteStore};

struct Site {
    watch: Watch,
    path: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

async fn site() -> Site {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crossdock.db");
    let clock: SharedClock = Arc::new(ManualClock::new(at(100)));
    let store: SharedStore = Arc::new(SqliteStore::open(Options::new(&path, true), clock.clone()).unwrap());
    Maker::default().waiting(&store, "42").await;
    let observer = Arc::new(Observer::new(Metrics::new()));
    let watch = Watch::new(store, clock, observer, Arc::new(Health::new()));
    Site { watch, path, _folder: folder }
}

impl Site {
    /// What a stranger writes into the file.
    fn meddle(&self, sql: &str) {
        rusqlite::Connection::open(&self.path).unwrap().execute_batch(sql).unwrap();
    }

    fn notes(&self) -> Vec<String> {
        self.watch.health.notes().into_iter().map(|note| note.code).collect()
    }

    fn metric(&self) -> String {
        self.watch.observer.metrics().render(&Scrape::default())
    }
}

#[tokio::test]
async fn p2_a_difference_of_one_is_an_event_and_a_note_and_goes_when_it_is_gone() {
    let mut site = site().await;
    site.watch.look().await.unwrap();
    assert_eq!(site.notes(), Vec::<String>::new());
    site.meddle("UPDATE tallies SET n = n + 1 WHERE name = 'accepted'");
    site.watch.look().await.unwrap();
    assert_eq!(site.notes(), ["ledger"]);
    assert!(site.metric().contains("books_alarms_total{alarm=\"ledger_difference\"} 1"), "{}", site.metric());
    site.meddle("UPDATE tallies SET n = n - 1 WHERE name = 'accepted'");
    site.watch.look().await.unwrap();
    assert_eq!(site.notes(), Vec::<String>::new());
}

#[tokio::test]
async fn p6_a_silent_envelope_is_counted_told_and_noted() {
    let mut site = site().await;
    site.watch.look().await.unwrap();
    assert!(site.metric().contains("silent_envelopes 0"));
    site.meddle("UPDATE deliveries SET head = 0");
    site.watch.look().await.unwrap();
    assert_eq!(site.notes(), ["silent_envelopes"]);
    assert!(site.metric().contains("silent_envelopes 1"));
    assert!(site.metric().contains("books_alarms_total{alarm=\"silent_envelopes\"} 1"));
    site.meddle("UPDATE deliveries SET head = 1");
    site.watch.look().await.unwrap();
    assert_eq!(site.notes(), Vec::<String>::new());
    assert!(site.metric().contains("silent_envelopes 0"));
}

#[tokio::test]
async fn api_2_outdated_answers_are_swept_without_anybody_calling() {
    use crate::envelope::keys::Digest;
    use crate::store::books::{CallName, KeptAnswer};
    let mut site = site().await;
    let call = CallName { scope: Digest::of(b"a"), fingerprint: Digest::of(b"b") };
    let long_ago = at(100) - jiff::SignedDuration::from_hours(73);
    site.watch.store.keep_answer(call, KeptAnswer::json(&1), long_ago).await.unwrap();
    site.watch.look().await.unwrap();
    let left: i64 = rusqlite::Connection::open(&site.path)
        .unwrap()
        .query_row("SELECT COUNT(*) FROM kept_answers", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 0);
}
