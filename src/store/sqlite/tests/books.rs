//! The books of a file that somebody else wrote in, and of a file of before there were books.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;

use super::{clock, folder, open, options};
use crate::store::contract::build::{Maker, act, at, facts};
use crate::store::sqlite::{Options, SqliteStore};
use crate::store::write::{Conclusion, Receipt, SubjectFacts};
use crate::store::{SharedStore, Store as _};

/// A copy of the file, changed by a stranger.
fn tampered(path: &Path, name: &str, sql: &str) -> PathBuf {
    let copy = path.with_file_name(name);
    std::fs::copy(path, &copy).unwrap();
    Connection::open(&copy).unwrap().execute_batch(sql).unwrap();
    copy
}

/// Opened beside, as `doctor` and `audit-log verify` open it.
fn beside(path: &Path) -> SqliteStore {
    SqliteStore::open(Options::new(path, false), clock()).unwrap()
}

#[tokio::test]
async fn api_5_whatever_is_done_to_the_audit_the_first_broken_row_is_named() {
    let folder = folder();
    let path = folder.path().join("crossdock.db");
    let store = open(&path);
    for action in ["one", "two", "three", "four"] {
        store.record(act(action)).await.unwrap();
    }
    let head = store.audit_head().await.unwrap();
    store.close().await.unwrap();
    let lift = "DROP TRIGGER audit_is_never_changed; DROP TRIGGER audit_is_never_shortened;";
    for (name, sql, number, what) in [
        ("actor", "UPDATE audit SET actor = 'token:nobody' WHERE seq = 2", 2, "was changed"),
        ("from", "UPDATE audit SET source = '203.0.113.9' WHERE seq = 3", 3, "was changed"),
        ("nowhere", "UPDATE audit SET source = NULL WHERE seq = 3", 3, "was changed"),
        ("why", "UPDATE audit SET reason = '' WHERE seq = 1", 1, "was changed"),
        ("when", "UPDATE audit SET at = at + 1 WHERE seq = 4", 4, "was changed"),
        ("gone", "DELETE FROM audit WHERE seq = 2", 3, "row 2 is missing"),
        ("first", "DELETE FROM audit WHERE seq = 1", 2, "row 1 is missing"),
        (
            "closed",
            "DELETE FROM audit WHERE seq = 2; UPDATE audit SET seq = seq - 1 WHERE seq > 2",
            2,
            "does not follow",
        ),
        ("moved", "UPDATE audit SET target = 'a', action = 'onesomewhere' WHERE seq = 1", 1, "was changed"),
    ] {
        let copy = tampered(&path, name, &format!("{lift}{sql}"));
        let broken = beside(&copy).audit_break().await.unwrap().unwrap_or_else(|| panic!("{name} goes unnoticed"));
        assert_eq!(broken.number, number, "{name}");
        assert!(broken.what.contains(what), "{name}: {}", broken.what);
    }
    // A chain that was cut at its end, or written anew from its start, fits together: the head kept elsewhere tells.
    let cut = tampered(&path, "cut", &format!("{lift}DELETE FROM audit WHERE seq = 4"));
    let cut = beside(&cut);
    assert_eq!(cut.audit_break().await.unwrap(), None);
    assert_ne!(cut.audit_head().await.unwrap(), head);
    assert_eq!(beside(&path).audit_break().await.unwrap(), None);
}

#[tokio::test]
async fn p2_a_recount_names_whatever_the_books_got_wrong() {
    let folder = folder();
    let path = folder.path().join("crossdock.db");
    let shared: SharedStore = Arc::new(open(&path));
    let maker = Maker::default();
    let envelope = maker.arrive(&shared, "42", "e1").await;
    let priced = SubjectFacts { currency: Some("GBP".into()), grand_total: Some("30.0000".into()), ..facts("new", 1) };
    let conclusion = Conclusion { facts: priced, ..maker.create("42", &["erp"]) };
    shared.conclude(envelope, conclusion, at(2)).await.unwrap();
    maker.arrive(&shared, "43", "e2").await;
    assert_eq!(shared.recount().await.unwrap(), Vec::<String>::new());
    shared.close().await.unwrap();
    for (name, sql, expected) in [
        ("tally", "UPDATE tallies SET n = n + 1 WHERE name = 'accepted'", "accepted is kept as 3 and counts 2"),
        (
            "sum",
            "UPDATE order_sums SET millionths = '30000001' WHERE currency = 'GBP'",
            "acme GBP due is kept as 1 orders, 30.000001 and counts 1 orders, 30.00",
        ),
        (
            "booking",
            "UPDATE subjects SET booked = 'delivered GBP 30000000' WHERE id = '42'",
            "is booked as \"delivered GBP 30000000\" and is \"due GBP 30000000\"",
        ),
        ("lane", "UPDATE deliveries SET head = 0", "nothing comes back to it (P6)"),
        ("turn", "UPDATE envelopes SET turn = 'behind' WHERE turn IS NOT NULL", "nothing comes back to it (P6)"),
    ] {
        let copy = tampered(&path, name, sql);
        let findings = beside(&copy).recount().await.unwrap();
        assert!(findings.iter().any(|finding| finding.contains(expected)), "{name}: {findings:#?}");
    }
    let copy = tampered(&path, "difference", "UPDATE tallies SET n = n + 1 WHERE name = 'accepted'");
    assert_eq!(beside(&copy).ledger().await.unwrap().difference(), 1);
}

#[tokio::test]
async fn p6_a_parked_delivery_without_an_exception_silences_its_whole_lane() {
    let folder = folder();
    let path = folder.path().join("crossdock.db");
    let shared: SharedStore = Arc::new(open(&path));
    let maker = Maker::default();
    maker.parked(&shared, "42").await;
    let behind = maker.arrive(&shared, "42", "change").await;
    let mut change = Conclusion::default();
    let key = crate::store::contract::build::key("42", "erp", "order.change", "r1", 0);
    maker.intend(&mut change, "erp", key, "order.change", "r1");
    shared.conclude(behind, change, at(2)).await.unwrap();
    shared.close().await.unwrap();
    let sql = "UPDATE exceptions SET state = 'resolved', resolved_at = 1";
    let silent = beside(&tampered(&path, "silent", sql)).silent_envelopes(0, 100).await.unwrap();
    assert_eq!((silent.looked_at, silent.silent.len(), silent.next), (2, 2, None));
}

#[tokio::test]
async fn ded_4_a_key_outlives_the_body_it_was_made_of() {
    let folder = folder();
    let path = folder.path().join("crossdock.db");
    let store = open(&path);
    let maker = Maker::default();
    let first = store.append(maker.arrival(vec![maker.record("42", "e1", "x")])).await.unwrap();
    assert!(matches!(first[..], [Receipt::First { .. }]));
    // Whatever retention does to bodies, documents and attempts.
    Connection::open(&path).unwrap().execute_batch("UPDATE payloads SET body = x'', headers = '{}'").unwrap();
    for day in [30, 90, 400] {
        let mut again = maker.arrival(vec![maker.record("42", "e1", "x")]);
        again.received_at = at(day * 86_400);
        assert!(matches!(store.append(again).await.unwrap()[..], [Receipt::Duplicate { .. }]), "after {day} days");
        let mut other = maker.arrival(vec![maker.record("42", "e1", "changed")]);
        other.received_at = at(day * 86_400);
        assert!(matches!(store.append(other).await.unwrap()[..], [Receipt::Conflict { .. }]), "after {day} days");
    }
    // The table of keys holds digests only, is one table, and hangs on no row that retention takes.
    let sql: String = Connection::open(&path)
        .unwrap()
        .query_row("SELECT sql FROM sqlite_schema WHERE name = 'dedup_keys'", [], |row| row.get(0))
        .unwrap();
    assert!(!sql.contains("REFERENCES") && sql.contains("key      BLOB    NOT NULL PRIMARY KEY"), "{sql}");
}

#[tokio::test]
async fn run_1_a_file_of_before_the_books_is_booked_with_the_migration() {
    let folder = folder();
    let path = folder.path().join("crossdock.db");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(include_str!("../migrations/0001_ledger.sql")).unwrap();
    old.execute_batch(
        "INSERT INTO meta VALUES ('installation_id', 'i');
         INSERT INTO subjects (kind, system, scope, id, currency, grand_total, first_seen_at, last_seen_at)
         VALUES ('order', 'acme', '1', '1', 'GBP', '10.5', 0, 0), ('order', 'acme', '1', '2', 'GBP', '0.25', 0, 0),
                ('stock', 'acme', '', 'SKU', NULL, NULL, 0, 0);
         INSERT INTO audit (at, actor, action, target, before, after, reason, previous, digest)
         VALUES (0, 'a', 'b', 'c', '', '', '', zeroblob(32), zeroblob(32));
         PRAGMA application_id = 0x58646f6b; PRAGMA user_version = 1;",
    )
    .unwrap();
    drop(old);
    let store = SqliteStore::open(options(&path), clock()).unwrap();
    let money = store.money().await.unwrap();
    assert_eq!(money.len(), 1);
    assert_eq!((money[0].orders, money[0].total.as_str(), money[0].state.as_str()), (2, "10.75", "ignored"));
    assert_eq!(store.audit(crate::store::view::Paging::default()).await.unwrap().items[0].from, "");
}
