//! The queries that run all day go by an index, whatever the size of the store.

use std::fmt::Write as _;

use rusqlite::Connection;

use super::{folder, open};
use crate::store::sqlite::{
    answers, bulk, delivery, due, effects, exceptions, finding, held, index, lanes, lists, money, orders, reads, rows,
    running, silent, state, traffic, wanted,
};
use crate::store::{DeliveryFilter, EventFilter, ExceptionFilter};

/// How `SQLite` would run it, one line a step.
fn plan(conn: &Connection, sql: &str) -> Vec<String> {
    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let values = vec![rusqlite::types::Value::Null; statement.parameter_count()];
    let steps = statement.query_map(rusqlite::params_from_iter(values), |row| row.get(3)).unwrap();
    steps.collect::<Result<_, _>>().unwrap()
}

/// All of them, with the name they go by in the snapshot.
fn queries() -> Vec<(&'static str, String)> {
    let events = |state: Option<&str>, subject: Option<&str>| {
        let filter =
            EventFilter { origin: None, state: state.map(str::to_owned), subject_id: subject.map(str::to_owned) };
        lists::events_plan(&filter).sql()
    };
    let deliveries = |state: Option<&str>, destination: Option<&str>, subject: Option<&str>| {
        let filter = DeliveryFilter {
            destination: destination.map(str::to_owned),
            state: state.map(str::to_owned),
            subject_id: subject.map(str::to_owned),
            ..DeliveryFilter::default()
        };
        lists::deliveries_plan(&filter).sql()
    };
    let exceptions_by = |code: Option<&str>, fingerprint: Option<&str>, subject: Option<&str>| {
        let filter = ExceptionFilter {
            state: None,
            code: code.map(str::to_owned),
            fingerprint: fingerprint.map(str::to_owned),
            subject_id: subject.map(str::to_owned),
            ..ExceptionFilter::default()
        };
        lists::exceptions_plan(&filter, crate::clock::from_micros(0)).sql()
    };
    vec![
        ("due heads of a destination", due::due_sql()),
        ("due heads of a destination that goes after another", due::due_after_sql()),
        ("whether what a delivery goes after was given up", due::ORPHANED.to_owned()),
        ("next due", due::NEXT_DUE.to_owned()),
        ("the oldest unconcluded event of a subject", state::OLDEST_UNCONCLUDED.to_owned()),
        ("what an event came to", state::FACTS.to_owned()),
        ("a delivery that may be its event's only one", delivery::ALONE.to_owned()),
        ("the delivery of an effect", effects::EFFECT.to_owned()),
        ("the head of a lane", effects::HEAD.to_owned()),
        ("behind the head of a lane", delivery::BEHIND.to_owned()),
        ("what a lane says of its order", lanes::LINKS.to_owned()),
        ("whether a subject is known", lanes::ANY.to_owned()),
        ("creates of an order", held::CREATES.to_owned()),
        ("changes whose order came, or that waited long enough", held::DUE.to_owned()),
        ("orders to be read", wanted::DUE.to_owned()),
        ("open exceptions of a delivery", exceptions::OF_DELIVERY.to_owned()),
        ("closable exceptions of an event", exceptions::CLOSABLE.to_owned()),
        ("complaints that a newer report closes", exceptions::OLDER.to_owned()),
        ("interrupted attempts", due::interrupted_sql()),
        ("envelopes to claim", "SELECT seq FROM envelopes WHERE turn = 'ready' ORDER BY seq LIMIT 9".to_owned()),
        ("orders that are parked", orders::PARKED.to_owned()),
        ("orders that are due", orders::DUE.to_owned()),
        ("orders of a number", orders::NUMBERED.to_owned()),
        ("all orders", orders::ALL.to_owned()),
        ("an order's state", format!("{} WHERE s.seq = ?1", rows::order_columns())),
        ("an order as booked", money::ONE.clone()),
        ("outdated answers", answers::OUTDATED.to_owned()),
        ("unfinished envelopes", silent::UNFINISHED.to_owned()),
        ("groups", lists::groups_plan(&ExceptionFilter::default(), crate::clock::from_micros(0)).0),
        ("oldest waiting", reads::OLDEST.to_owned()),
        ("oldest due of a destination", running::OLDEST_DUE.to_owned()),
        ("deliveries of a destination in flight", running::IN_FLIGHT.to_owned()),
        ("all events", events(None, None)),
        ("received events", events(Some("received"), None)),
        ("ignored events", events(Some("ignored"), None)),
        ("events of a subject", events(None, Some("42"))),
        ("all deliveries", deliveries(None, None, None)),
        ("parked deliveries", deliveries(Some("parked"), None, None)),
        ("deliveries in flight", deliveries(Some("in_flight"), None, None)),
        ("waiting deliveries of a destination", deliveries(Some("waiting"), Some("erp"), None)),
        ("deliveries of a subject", deliveries(None, None, Some("42"))),
        ("open exceptions", exceptions_by(None, None, None)),
        ("open exceptions of a code", exceptions_by(Some("unmapped_sku"), None, None)),
        ("open exceptions of a cause", exceptions_by(None, Some("x"), None)),
        ("exceptions of a subject", exceptions_by(None, None, Some("42"))),
        (
            "deliveries of a receipt",
            format!("SELECT seq FROM deliveries AS d {} WHERE d.receipt = ?1", finding::BY_RECEIPT),
        ),
        ("rows of a term", finding::BY_TERM.to_owned()),
        ("how many rows of a term", finding::COUNT.to_owned()),
        ("orders by the end of their number", finding::ENDING.to_owned()),
        ("orders by the beginning of their number", finding::BEGINNING.to_owned()),
        ("orders by the middle of their number", finding::MIDDLE.to_owned()),
        ("what waits because of a value", finding::PARKED.to_owned()),
        ("events to index", index::EVENTS.to_owned()),
        ("documents to index", index::DOCUMENTS.to_owned()),
        ("deliveries to index", index::DELIVERIES.to_owned()),
        ("numbers to index", index::SUBJECTS.to_owned()),
        ("whether a body names the buyer", index::NAMES_BUYER.to_owned()),
        ("bulk acts that go", format!("SELECT seq FROM bulk_acts{}", bulk::OPEN)),
        ("traffic of some hours", traffic::SLOTS.to_owned()),
        ("the newest orders of all instances", traffic::NEWEST.to_owned()),
    ]
}

#[test]
fn queries_that_run_all_day_go_by_an_index() {
    let folder = folder();
    let path = folder.path().join("crossdock.db");
    drop(open(&path));
    let conn = Connection::open(&path).unwrap();
    let mut shown = String::new();
    for (name, sql) in queries() {
        writeln!(shown, "{name}").unwrap();
        for step in plan(&conn, &sql) {
            // `SCAN` goes from end to end: allowed over a partial index, over intermediate rows, and newest first by `seq`.
            let scans_table = step.starts_with("SCAN ") && !step.contains(" USING ") && !is_intermediate(&step);
            assert!(!scans_table || name.starts_with("all "), "{name}: {step}\n{sql}");
            writeln!(shown, "    {step}").unwrap();
        }
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn no_row_that_every_order_writes_builds_a_tree_in_memory() {
    let folder = folder();
    let path = folder.path().join("crossdock.db");
    drop(open(&path));
    let conn = Connection::open(&path).unwrap();
    let column = |sql: &str, column: &str| -> Vec<String> {
        let mut statement = conn.prepare(sql).unwrap();
        let found = statement.query_map([], |row| row.get(column)).unwrap();
        found.collect::<Result<_, _>>().unwrap()
    };
    let tables =
        ["dedup_keys", "subjects", "payloads", "envelopes", "documents", "deliveries", "sealed_requests", "attempts"];
    for table in tables {
        let columns = column(&format!("PRAGMA table_info({table})"), "name");
        let values = vec!["NULL"; columns.len()].join(", ");
        let insert = format!("EXPLAIN INSERT INTO {table} ({}) VALUES ({values})", columns.join(", "));
        let steps = column(&insert, "opcode");
        // A check that says IN with more than two words does: it must say OR.
        assert!(!steps.iter().any(|step| step == "OpenEphemeral"), "{table}");
    }
}

fn is_intermediate(step: &str) -> bool {
    ["SCAN (", "SCAN known", "SCAN CONSTANT"].iter().any(|prefix| step.starts_with(prefix))
}
