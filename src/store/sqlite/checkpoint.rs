//! Copying the write-ahead log into the file, beside the writer and never against it.
//!
//! PASSIVE every 100 ms takes no lock that the writer wants. Under steady load it never gets to the end of the log, so the
//! log would grow without bound: past 32 MiB it is reset under the gate that the writer holds around its transactions,
//! after two more PASSIVE rounds have left little to copy. A reader that looks at an older state (a copy is being made)
//! keeps it from being reset: it is never waited for, which would hold up the writer, but asked again a little later. `SQLite`'s own busy handler never arbitrates: its sleeps of up to
//! 100 ms would be everyone's p99.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::fault::{Outcome, gravity};
use super::health::Health;

const EVERY: Duration = Duration::from_millis(100);
/// The log is reset when it holds more.
pub(super) const LOG_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Fewer commits than this wait for company, so that a quiet store does not flush its file ten times a second.
const COMMITS_MIN: u64 = 32;
/// … but not longer.
const IDLE_MAX: Duration = Duration::from_secs(1);
/// How long a reset that met a reader rests.
const REST: Duration = Duration::from_secs(1);

/// The checkpointer before it runs.
pub(super) struct Checkpointer {
    /// Its own connection.
    pub(super) conn: Connection,
    /// Shared with the writer.
    pub(super) gate: Arc<Mutex<()>>,
    /// Told about failures.
    pub(super) health: Arc<Health>,
    /// The writer's count of commits.
    pub(super) commits: Arc<AtomicU64>,
    /// Size of a page, to turn frames into bytes.
    pub(super) page_bytes: u64,
}

impl Checkpointer {
    /// Works until the other end of `stop` is dropped or the disk fails.
    pub(super) fn run(self, stop: &Receiver<()>) {
        if let Err(error) = self.conn.busy_timeout(Duration::ZERO) {
            self.health.die(&error.to_string());
            return;
        }
        let mut resting = None;
        let mut done = 0;
        let mut last = Instant::now();
        while matches!(stop.recv_timeout(EVERY), Err(RecvTimeoutError::Timeout)) && !self.health.is_dead() {
            let commits = self.commits.load(Ordering::Acquire);
            let new = commits - done;
            if new == 0 || (new < COMMITS_MIN && last.elapsed() < IDLE_MAX) {
                continue;
            }
            match self.round(&mut resting) {
                Ok(all) => {
                    last = Instant::now();
                    if all {
                        done = commits;
                    }
                }
                Err(super::fault::Fault::Sql(error)) => {
                    self.health.failed(&format!("checkpoint: {error}"), gravity(&error));
                }
                Err(super::fault::Fault::Answer(error)) => self.health.die(&error.to_string()),
            }
        }
    }

    /// One round; whether everything known at its start is in the file.
    pub(super) fn round(&self, resting: &mut Option<Instant>) -> Outcome<bool> {
        let mut copied = self.checkpoint("PASSIVE")?;
        let rested = resting.is_none_or(|since| since.elapsed() >= REST);
        if copied.frames * (self.page_bytes + 24) > LOG_BYTES_MAX && rested {
            self.checkpoint("PASSIVE")?;
            self.checkpoint("PASSIVE")?;
            let _gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
            copied = self.checkpoint("RESTART")?;
            *resting = copied.busy.then(Instant::now);
        }
        Ok(copied.frames == copied.done)
    }

    fn checkpoint(&self, mode: &str) -> Outcome<Copied> {
        let sql = format!("PRAGMA wal_checkpoint({mode})");
        let counts = self
            .conn
            .query_row(&sql, [], |row| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?, row.get::<_, bool>(0)?)))?;
        Ok(Copied { frames: super::tx::count(counts.0), done: super::tx::count(counts.1), busy: counts.2 })
    }
}

struct Copied {
    frames: u64,
    done: u64,
    /// Somebody was in the way.
    busy: bool,
}

/// Where the log of a store file is.
pub(super) fn log_path(store: &std::path::Path) -> PathBuf {
    let mut path = store.as_os_str().to_owned();
    path.push("-wal");
    path.into()
}
