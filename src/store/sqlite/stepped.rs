//! The store without threads, for the simulation: the same writer and checkpointer as tasks of one thread, each step at
//! an instant of the simulated clock.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::Notify;

use super::checkpoint::{Checkpointer, Flusher};
use super::fault::{Fault, gravity};
use super::health::Health;
use super::open::{self, Opened};
use super::readers::Readers;
use super::restore;
use super::writer;
use super::{Options, SqliteStore, page_bytes, writer_of};
use crate::clock::SharedClock;
use crate::store::StoreError;

/// Rung when a command was queued.
pub(super) type Bell = Arc<Notify>;

/// Between a commit and the copying of the log.
const CHECKPOINT_AFTER: Duration = Duration::from_millis(100);

/// Starts a store on a simulated disk. Must be called inside the simulation's runtime.
pub(super) fn start(opened: Opened, options: Options, clock: SharedClock) -> Result<SqliteStore, StoreError> {
    let path = &options.path;
    let health = Arc::new(Health::new(options.on_fatal.clone()));
    let readers = Readers::inline(open::connect_reader(path)?, &health);
    let restoration = restore::pending(&opened.conn)?;
    let gate = Arc::default();
    let commits = Arc::new(AtomicU64::new(0));
    let (bell, committed) = (Bell::default(), Bell::default());
    if options.exclusive {
        let checkpointer = Checkpointer {
            conn: open::connect(path)?,
            gate: Arc::clone(&gate),
            health: Arc::clone(&health),
            commits: Arc::clone(&commits),
            page_bytes: page_bytes(&opened.conn)?,
            flusher: Flusher::of(path),
        };
        if planted!(CheckpointNotFlushed) {
            checkpointer.conn.execute_batch("PRAGMA synchronous = OFF").map_err(Fault::from)?;
        }
        tokio::spawn(checkpoint(checkpointer, Arc::clone(&committed)));
    }
    let (inbox, orders) = writer::inbox(options.queue);
    let writer = writer_of(opened.conn, &options, &gate, &health, &commits)?;
    let woken = Arc::clone(&bell);
    tokio::spawn(async move {
        loop {
            woken.notified().await;
            crate::sim::dawdle().await;
            if !writer.step(&orders) {
                return;
            }
            committed.notify_one();
        }
    });
    Ok(SqliteStore {
        path: options.path,
        report: opened.report,
        clock,
        entropy: options.entropy,
        inbox,
        readers,
        health,
        keys: options.keys,
        restoration,
        commits,
        stop: std::sync::Mutex::default(),
        threads: std::sync::Mutex::default(),
        bell: Some(bell),
    })
}

async fn checkpoint(checkpointer: Checkpointer, committed: Bell) {
    let mut resting = None;
    loop {
        committed.notified().await;
        tokio::time::sleep(CHECKPOINT_AFTER).await;
        if checkpointer.health.is_dead() {
            return;
        }
        match checkpointer.round(&mut resting) {
            Ok(_) => {}
            Err(Fault::Sql(error)) => {
                checkpointer.health.failed(&format!("checkpoint: {error}"), gravity(&error));
            }
            Err(Fault::Answer(error)) => checkpointer.health.die(&error.to_string()),
        }
    }
}

impl SqliteStore {
    /// A command was queued.
    pub(super) fn ring(&self) {
        if let Some(bell) = &self.bell {
            bell.notify_one();
        }
    }
}
