//! The store in one `SQLite` file, for one machine.
//!
//! Cast: `open` checks the file before anything is promised; `writer` is the one thread that writes, a group of commands a
//! commit; `checkpoint` copies the log into the file beside it; `readers` answer questions from connections of their own.
//! What a command does stands in one file each: `append`, `claim`, `conclude` (with `effects`, `exceptions`, `state`),
//! `delivery`, `acts`. What people read: `lists`, `orders`, `reads`, `due`, `finding` (by the terms that `index` writes),
//! `traffic`. Bodies are encrypted at this border
//! (`sealing`), leave by `retention` and `erase`; `backup` copies the file and `restore` puts a copy in its place.
//!
//! Order is the order of commits (`seq`), never a clock. Deliberately absent: rules about when and what to send.

mod accounts;
mod acts;
mod again;
mod alerts;
mod answers;
mod append;
mod audit;
pub(in crate::store) mod backup;
mod bodies;
mod bulk;
mod cases;
mod checkpoint;
mod claim;
mod conclude;
mod cursor;
mod delivery;
mod due;
mod effects;
mod erase;
mod exceptions;
mod fault;
mod finding;
mod gaps;
mod health;
mod held;
mod holds;
mod index;
mod known;
mod lanes;
mod lists;
mod mapping;
mod migrations;
mod money;
mod open;
mod orders;
mod positions;
mod port;
mod readers;
mod reads;
pub(in crate::store) mod restore;
mod retention;
mod rows;
mod running;
mod saved;
mod sealing;
mod silent;
mod startcheck;
mod state;
#[cfg(test)]
mod stepped;
mod subjects;
mod tally;
#[cfg(test)]
mod tests;
mod traffic;
mod tx;
mod verify;
mod wanted;
mod writer;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use crate::clock::{SharedClock, SharedEntropy, SystemEntropy};
use crate::store::StoreError;
use crate::store::seal::Keys;
use crate::store::view::{Restoration, StoreReport};
use fault::Outcome;
use health::Health;
use tx::Tx;
use writer::{Grouping, Urgency};

/// Called at most once, when nothing can be promised any more (ACK-6): the process must end within a second.
pub type OnFatal = Arc<dyn Fn(&str) + Send + Sync>;

/// How to open a store.
#[derive(Clone)]
pub struct Options {
    /// The file; made if it does not exist, in a folder that does.
    pub path: PathBuf,
    /// `serve`: the only process that serves this file. Short verbs open beside it without.
    pub exclusive: bool,
    /// Most commands a commit (ACK-4).
    pub group_max: usize,
    /// Longest wait for company once several commands are there (ACK-4).
    pub group_wait: Duration,
    /// Longest a settlement waits for a commit to ride with.
    pub settle_wait: Duration,
    /// Places in the queue of commands; a full queue is [`StoreError::Busy`] (PRS-1).
    pub queue: usize,
    /// Threads that answer questions.
    pub readers: usize,
    /// For the installation id and the ids of exceptions the store opens itself.
    pub entropy: SharedEntropy,
    /// What ends the process.
    pub on_fatal: Option<OnFatal>,
    /// What bodies are encrypted with.
    pub keys: Arc<Keys>,
}

impl Options {
    /// The usual bounds.
    pub fn new(path: impl Into<PathBuf>, exclusive: bool) -> Self {
        Options {
            path: path.into(),
            exclusive,
            group_max: 256,
            group_wait: Duration::from_millis(2),
            settle_wait: Duration::from_millis(10),
            queue: 1024,
            readers: 3,
            entropy: Arc::new(SystemEntropy),
            on_fatal: None,
            keys: Arc::default(),
        }
    }
}

/// A store in an `SQLite` file.
pub struct SqliteStore {
    path: PathBuf,
    report: StoreReport,
    clock: SharedClock,
    entropy: SharedEntropy,
    inbox: writer::Inbox,
    commits: Arc<AtomicU64>,
    readers: readers::Readers,
    health: Arc<Health>,
    keys: Arc<Keys>,
    restoration: Option<Restoration>,
    // Dropping it ends the checkpointer.
    stop: Mutex<Option<SyncSender<()>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    #[cfg(test)]
    bell: Option<stepped::Bell>,
}

/// The writer of an opened store: the simulation steps the one that the service runs in a thread.
fn writer_of(
    conn: Connection,
    options: &Options,
    gate: &Arc<Mutex<()>>,
    health: &Arc<Health>,
    commits: &Arc<AtomicU64>,
) -> Result<writer::Writer, StoreError> {
    let restored_at = restore::restored_at(&conn)?;
    Ok(writer::Writer {
        conn,
        gate: Arc::clone(gate),
        health: Arc::clone(health),
        commits: Arc::clone(commits),
        grouping: Grouping {
            group_max: options.group_max.max(1),
            group_wait: options.group_wait,
            settle_wait: options.settle_wait,
        },
        restored_at,
        at_close: if options.exclusive { close_in_order } else { close_beside },
    })
}

impl SqliteStore {
    /// Opens the file after every check (ACK-2, RUN-1) and starts the threads. Blocks for as long as the checks take.
    pub fn open(options: Options, clock: SharedClock) -> Result<Self, StoreError> {
        let Options { path, exclusive, entropy, .. } = &options;
        let mut opened = open::open(path, *exclusive, entropy.as_ref())?;
        if *exclusive {
            let clean = take_over(&opened.conn, clock.now(), entropy.as_ref())?;
            let end = if clean { "clean" } else { "unclean" };
            opened.report.settings.push(("previous_end".to_owned(), end.to_owned()));
        }
        #[cfg(test)]
        if open::is_simulated(path) {
            return stepped::start(opened, options.clone(), clock);
        }
        let health = Arc::new(Health::new(options.on_fatal.clone()));
        let readers = (0..options.readers.max(1)).map(|_| open::connect_reader(path)).collect::<Result<_, _>>()?;
        let readers = readers::Readers::start(readers, options.queue, &health).map_err(|reason| no_thread(&reason))?;
        let gate = Arc::new(Mutex::new(()));
        let commits = Arc::new(AtomicU64::new(0));
        let (stop, stopped) = sync_channel(0);
        let mut threads = Vec::new();
        if *exclusive {
            let page_bytes = page_bytes(&opened.conn)?;
            let checkpointer = checkpoint::Checkpointer {
                conn: open::connect(path)?,
                gate: Arc::clone(&gate),
                health: Arc::clone(&health),
                commits: Arc::clone(&commits),
                page_bytes,
                flusher: checkpoint::Flusher::of(path),
            };
            threads.push(spawn("store-checkpoint", &health, move || checkpointer.run(&stopped))?);
        }
        if opened.check_later {
            let (conn, health) = (open::connect_reader(path)?, Arc::clone(&health));
            // Not waited for: it ends with the process or when it is through.
            drop(spawn("store-check", &Arc::clone(&health), move || check_whole(&conn, &health))?);
        }
        let restoration = restore::pending(&opened.conn)?;
        if let Some(at) = restore::restored_at(&opened.conn)? {
            opened.report.settings.push(("restored_at".to_owned(), crate::clock::from_micros(at).to_string()));
        }
        let (inbox, orders) = writer::inbox(options.queue);
        let writer = writer_of(opened.conn, &options, &gate, &health, &commits)?;
        let lock = opened.lock;
        threads.push(spawn("store-writer", &health, move || writer.run(&orders, lock))?);
        Ok(SqliteStore {
            path: options.path,
            report: opened.report,
            commits,
            clock,
            entropy: options.entropy,
            inbox,
            readers,
            health,
            keys: options.keys,
            restoration,
            stop: Mutex::new(Some(stop)),
            threads: Mutex::new(threads),
            #[cfg(test)]
            bell: None,
        })
    }

    /// Compares everything kept for speed with what it is kept about, the audit chain included; empty when all agrees.
    /// Reads the whole store: for `doctor` and tests.
    pub async fn verify(&self) -> Result<Vec<String>, StoreError> {
        self.read(verify::findings).await
    }

    fn write<T: Send + 'static>(
        &self,
        urgency: Urgency,
        mut run: impl FnMut(&mut Tx<'_>) -> Outcome<T> + Send + 'static,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + 'static {
        let at = self.clock.now().as_microsecond();
        let submitted = self.inbox.submit(urgency, move |tx| {
            tx.tally.at(at);
            run(tx)
        });
        #[cfg(test)]
        self.ring();
        async move {
            let answer = submitted?.await.map_err(|_| StoreError::Stopped)?;
            #[cfg(test)]
            crate::sim::dawdle().await;
            answer
        }
    }

    fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + 'static {
        let asked = self.readers.ask(read);
        async move {
            let answer = asked?.await.map_err(|_| StoreError::Stopped)?;
            #[cfg(test)]
            crate::sim::dawdle().await;
            answer
        }
    }

    /// Ends the readers and tells the checkpointer to end.
    fn quiet(&self) {
        drop(self.stop.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.readers.stop();
    }

    /// Ends all threads; the writer must have been told to.
    fn end(&self) {
        self.quiet();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            drop(thread.join());
        }
    }
}

impl Drop for SqliteStore {
    /// Like a crash that lets the queue run empty: no checkpoint, no mark of a clean end.
    fn drop(&mut self) {
        self.inbox.abandon();
        self.end();
    }
}

fn spawn(name: &str, health: &Arc<Health>, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    let health = Arc::clone(health);
    let watched = move || {
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            health.die("a thread of the store panicked");
        }
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(watched).map_err(|reason| no_thread(&reason))
}

fn no_thread(reason: &std::io::Error) -> StoreError {
    StoreError::Unusable(format!("no thread can be started: {reason}"))
}

fn page_bytes(conn: &Connection) -> Result<u64, StoreError> {
    let bytes: i64 = conn
        .query_row("PRAGMA page_size", [], |row| row.get(0))
        .map_err(|reason| StoreError::Unusable(reason.to_string()))?;
    Ok(tx::count(bytes))
}

/// RUN-1, POI-1: what the process before this one left. Whether it ended in order.
fn take_over(
    conn: &Connection,
    now: crate::clock::Timestamp,
    entropy: &dyn crate::clock::Entropy,
) -> Result<bool, StoreError> {
    let inside = || -> Outcome<bool> {
        let running = tx::row(conn, "SELECT 1 FROM meta WHERE name = 'running'", [], |_| Ok(()))?.is_some();
        let mut tx = Tx::new(conn);
        tx.tally.at(now.as_microsecond());
        tx.run("INSERT INTO meta (name, value) VALUES ('running', '1') ON CONFLICT (name) DO NOTHING", [])?;
        tx.run("UPDATE deliveries INDEXED BY deliveries_in_flight SET interrupted = 1 WHERE state = 'in_flight'", [])?;
        restore::take_over(&mut tx, now)?;
        claim::count_deaths(&mut tx, now, entropy)?;
        tx.tally.write(conn)?;
        Ok(!running)
    };
    let run = |sql: &str| conn.execute_batch(sql).map_err(|reason| StoreError::Unusable(reason.to_string()));
    run("BEGIN IMMEDIATE")?;
    let result = inside();
    run(if result.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    Ok(result?)
}

/// The last writes of an orderly end (RUN-2).
fn close_in_order(conn: &Connection) -> Outcome<()> {
    conn.execute("DELETE FROM meta WHERE name = 'running'", [])?;
    conn.execute("UPDATE envelopes SET turn = 'ready' WHERE turn = 'begun'", [])?;
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}

/// Beside a service there is nothing to tidy: the log is the service's.
#[expect(clippy::unnecessary_wraps, reason = "has the shape of its neighbour")]
fn close_beside(_: &Connection) -> Outcome<()> {
    Ok(())
}

/// RUN-1: the check of a file too large for the start.
fn check_whole(conn: &Connection, health: &Health) {
    let problems = open::quick_check(conn);
    if !problems.is_empty() {
        health.failed(&problems.join("; "), fault::Gravity::Damaged);
    }
}

fn file_bytes(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}
