//! Copying the write-ahead log into the file, beside the writer and never against it.
//!
//! PASSIVE every 100 ms takes no lock that the writer wants. Under steady load it never gets to the end of the log, so the
//! log would grow without bound: past 32 MiB it is reset under the gate that the writer holds around its transactions,
//! after two more PASSIVE rounds have left little to copy, and flushes of our own little to flush (decision 0078). A
//! reader that looks at an older state (a copy is being made) keeps it from being reset: it is never waited for, which
//! would hold up the writer, but asked again a little later. `SQLite`'s own busy handler never arbitrates: its sleeps of
//! up to 100 ms would be everyone's p99.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ffi};

use super::fault::{Fault, Outcome, gravity};
use super::health::Health;
use super::open;

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
    /// Flushes the file beside `SQLite`.
    pub(super) flusher: Flusher,
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
                Err(Fault::Sql(error)) => {
                    self.health.failed(&format!("checkpoint: {error}"), gravity(&error));
                }
                Err(Fault::Answer(error)) => self.health.die(&error.to_string()),
            }
        }
    }

    /// One round; whether everything known at its start is in the file.
    pub(super) fn round(&self, resting: &mut Option<Instant>) -> Outcome<bool> {
        let mut copied = self.checkpoint("PASSIVE")?;
        let rested = resting.is_none_or(|since| since.elapsed() >= REST);
        if copied.frames * (self.page_bytes + 24) > LOG_BYTES_MAX && rested {
            for _ in 0..2 {
                self.flusher.flush()?;
                self.checkpoint("PASSIVE")?;
            }
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

/// Flushes the store's file beside `SQLite`, which does so only when a checkpoint got to the end of the log. Under load none
/// does before RESTART, and that one would flush everything since the last (some 12 MB, 8 to 16 ms) while the writer waits.
pub(super) struct Flusher {
    path: PathBuf,
    /// Opened when it is first wanted and never closed: closing a file drops every lock that this process has on it, those
    /// of `SQLite` included, and another process would take the log for nobody's.
    file: OnceLock<Option<&'static File>>,
}

impl Flusher {
    /// For this store file.
    pub(super) fn of(path: &Path) -> Self {
        Flusher { path: path.to_path_buf(), file: OnceLock::new() }
    }

    /// Flushes what was written into the file so far. What it cannot open it leaves to `SQLite`.
    pub(super) fn flush(&self) -> Outcome<()> {
        let Some(file) = self.file.get_or_init(|| self.open()) else { return Ok(()) };
        // As grave as where SQLite meets it: whoever flushes next may not hear of it any more (ACK-6).
        file.sync_data().map_err(|reason| {
            let code = ffi::Error::new(ffi::SQLITE_IOERR_FSYNC);
            Fault::Sql(rusqlite::Error::SqliteFailure(code, Some(format!("{}: {reason}", self.path.display()))))
        })
    }

    /// Whether it has flushed anything.
    #[cfg(test)]
    pub(super) fn is_open(&self) -> bool {
        self.file.get().is_some_and(Option::is_some)
    }

    fn open(&self) -> Option<&'static File> {
        if open::is_simulated(&self.path) {
            return None;
        }
        let opened = File::open(&self.path);
        if let Err(reason) = &opened {
            tracing::debug!(%reason, "the store's file is flushed by SQLite alone");
        }
        opened.ok().map(|file| &*Box::leak(Box::new(file)))
    }
}

/// Where the log of a store file is.
pub(super) fn log_path(store: &Path) -> PathBuf {
    let mut path = store.as_os_str().to_owned();
    path.push("-wal");
    path.into()
}
