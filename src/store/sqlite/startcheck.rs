//! RUN-1: a file too large to be checked whole before it is used. The tables that decide what happens next are checked
//! first, for as long as the start may take; the rest follows in the background.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

/// How long the start may wait for it.
pub(super) const BUDGET: Duration = Duration::from_millis(250);

/// The smallest first; bodies are not among them.
const STATE: [&str; 11] = [
    "meta",
    "tallies",
    "tokens",
    "mapping_tables",
    "mappings",
    "incidents",
    "deliveries",
    "envelopes",
    "exceptions",
    "attempts",
    "subjects",
];

/// What is wrong with the state, as far as the budget reaches; empty when nothing is.
pub(super) fn state_tables(conn: &Connection, budget: Duration) -> Vec<String> {
    let begun = Instant::now();
    let mut problems = Vec::new();
    for table in STATE {
        let Some(left) = budget.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) else { break };
        match within(conn, left, || check(conn, table)) {
            Ok(found) => problems.extend(found),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => break,
            Err(error) => problems.push(format!("{table}: {error}")),
        }
    }
    problems
}

fn check(conn: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let known: bool = conn.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1)",
        [table],
        |row| row.get(0),
    )?;
    if !known {
        return Ok(Vec::new());
    }
    let mut statement = conn.prepare(&format!("PRAGMA quick_check('{table}')"))?;
    let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
    Ok(lines.collect::<rusqlite::Result<Vec<_>>>()?.into_iter().filter(|line| line != "ok").collect())
}

/// Runs `work`, interrupted when it takes longer. Nothing that runs later is interrupted.
fn within<T>(conn: &Connection, budget: Duration, work: impl FnOnce() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    let (done, wait) = sync_channel::<()>(0);
    let handle = conn.get_interrupt_handle();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if wait.recv_timeout(budget) == Err(RecvTimeoutError::Timeout) {
                handle.interrupt();
            }
        });
        let result = work();
        drop(done);
        result
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, SeekFrom, Write as _};
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use super::*;
    use crate::clock::{ManualClock, SharedClock};
    use crate::store::SharedStore;
    use crate::store::contract::build::{Maker, at};
    use crate::store::sqlite::open::quick_check;
    use crate::store::sqlite::{Options, SqliteStore};

    async fn file(folder: &Path) -> PathBuf {
        let path = folder.join("crossdock.db");
        let clock: SharedClock = Arc::new(ManualClock::new(at(0)));
        let store: SharedStore = Arc::new(SqliteStore::open(Options::new(&path, true), clock).unwrap());
        Maker::default().waiting(&store, "42").await;
        store.close().await.unwrap();
        path
    }

    /// Overwrites the first page of a table.
    fn damage(path: &Path, table: &str) {
        let conn = Connection::open(path).unwrap();
        let query = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
        let page: i64 = conn.query_row(query, [table], |row| row.get(0)).unwrap();
        let bytes: i64 = conn.query_row("PRAGMA page_size", [], |row| row.get(0)).unwrap();
        drop(conn);
        let mut file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        file.seek(SeekFrom::Start(u64::try_from((page - 1) * bytes).unwrap())).unwrap();
        file.write_all(&[0xff; 64]).unwrap();
    }

    #[tokio::test]
    async fn run_1_damage_of_the_state_is_found_before_the_file_is_used_and_of_a_body_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path()).await;
        let found = || state_tables(&Connection::open(&path).unwrap(), Duration::from_secs(30));
        assert_eq!(found(), Vec::<String>::new());
        damage(&path, "payloads");
        assert_eq!(found(), Vec::<String>::new(), "that is for the background");
        assert!(!quick_check(&Connection::open(&path).unwrap()).is_empty());
        damage(&path, "subjects");
        assert!(!found().is_empty());
    }

    #[tokio::test]
    async fn run_1_without_time_left_the_check_is_no_obstacle_and_later_statements_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path()).await;
        let conn = Connection::open(&path).unwrap();
        assert!(state_tables(&conn, Duration::ZERO).is_empty());
        let slow = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000) SELECT MAX(i) FROM n";
        let interrupted =
            within(&conn, Duration::from_millis(5), || conn.query_row(slow, [], |row| row.get::<_, i64>(0)));
        let code = interrupted.unwrap_err().sqlite_error_code();
        assert_eq!(code, Some(ErrorCode::OperationInterrupted));
        assert_eq!(conn.query_row("SELECT 1", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
    }
}
