//! Reading beside the writer: a few threads, each with a read-only connection and short transactions.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::fault::{Fault, Gravity, Outcome, gravity};
use super::health::Health;
use crate::store::StoreError;

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// The way to the readers.
pub(super) struct Readers {
    sender: Mutex<Option<SyncSender<Job>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    health: Arc<Health>,
    #[cfg(test)]
    inline: Option<Mutex<Connection>>,
}

impl Readers {
    /// One thread a connection, at most `queue` questions waiting.
    pub(super) fn start(connections: Vec<Connection>, queue: usize, health: &Arc<Health>) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel::<Job>(queue);
        let receiver = Arc::new(Mutex::new(receiver));
        let mut threads = Vec::with_capacity(connections.len());
        for conn in connections {
            let receiver = Arc::clone(&receiver);
            let work = move || {
                while let Some(job) = next(&receiver) {
                    answer(&conn, job);
                }
            };
            threads.push(std::thread::Builder::new().name("store-reader".to_owned()).spawn(work)?);
        }
        Ok(Readers {
            sender: Mutex::new(Some(sender)),
            threads: Mutex::new(threads),
            health: Arc::clone(health),
            #[cfg(test)]
            inline: None,
        })
    }

    /// Without threads: questions are answered where they are asked. For the simulation.
    #[cfg(test)]
    pub(super) fn inline(connection: Connection, health: &Arc<Health>) -> Self {
        let (sender, _) = sync_channel(1);
        let inline = Some(Mutex::new(connection));
        let health = Arc::clone(health);
        Readers { sender: Mutex::new(Some(sender)), threads: Mutex::default(), health, inline }
    }

    /// Asks; the answer sees one state of the store, not older than the last commit answered before.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<T, StoreError>>, StoreError> {
        let (reply, answer) = oneshot::channel();
        let health = Arc::clone(&self.health);
        let job: Job = Box::new(move |conn| {
            if reply.is_closed() {
                return;
            }
            let answer = one_state(conn, read);
            // BAK-4: a reader that meets a damaged page stops the intake as well as the writer would.
            if let Err(Fault::Sql(error)) = &answer
                && gravity(error) == Gravity::Damaged
            {
                health.failed(&error.to_string(), Gravity::Damaged);
            }
            drop(reply.send(answer.map_err(StoreError::from)));
        });
        #[cfg(test)]
        if let Some(connection) = &self.inline {
            lock(&self.sender).as_ref().ok_or(StoreError::Stopped)?;
            self::answer(&lock(connection), job);
            return Ok(answer);
        }
        match lock(&self.sender).as_ref().ok_or(StoreError::Stopped)?.try_send(job) {
            Ok(()) => Ok(answer),
            Err(TrySendError::Full(_)) => Err(StoreError::Busy),
            Err(TrySendError::Disconnected(_)) => Err(StoreError::Stopped),
        }
    }

    /// Finishes what is queued and ends the threads.
    pub(super) fn stop(&self) {
        drop(lock(&self.sender).take());
        let threads = std::mem::take(&mut *lock(&self.threads));
        for thread in threads {
            drop(thread.join());
        }
    }
}

fn next(receiver: &Mutex<Receiver<Job>>) -> Option<Job> {
    lock(receiver).recv().ok()
}

/// A question that panics is answered by the drop of its reply; its thread serves the next one.
fn answer(conn: &Connection, job: Job) {
    let panicked = catch_unwind(AssertUnwindSafe(|| job(conn))).is_err();
    if panicked && !conn.is_autocommit() {
        drop(conn.execute_batch("ROLLBACK"));
    }
}

fn one_state<T>(conn: &Connection, read: impl FnOnce(&Connection) -> Outcome<T>) -> Outcome<T> {
    conn.prepare_cached("BEGIN").and_then(|mut begin| begin.execute([])).map_err(Fault::from)?;
    let result = read(conn);
    // Nothing was written; ending the transaction lets the log be reset.
    conn.prepare_cached("COMMIT").and_then(|mut end| end.execute([])).map_err(Fault::from)?;
    result
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
