//! The one writer: a thread that owns the write connection and commits what waits together (ACK-4).
//!
//! A command is a closure that may run twice. The first run of a group uses no savepoints, which would copy every touched
//! page; if a command fails after it wrote something, the group is rolled back and run again with a savepoint a command, so
//! that a bad one never fails its neighbours and a good one never pays for it. Answers leave after `COMMIT` only.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::fault::{Fault, Gravity, Outcome};
use super::health::Health;
use super::tally::Tally;
use super::tx::{Shelf, Tx};
use crate::store::StoreError;

/// How long a command may wait for company.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// Somebody waits for the commit.
    Now,
    /// May ride with the next group a few milliseconds later.
    Soon,
}

/// Bounds of a group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grouping {
    /// Most commands a commit.
    pub(super) group_max: usize,
    /// Longest wait for company once several commands are there.
    pub(super) group_wait: Duration,
    /// Longest wait of commands that are not urgent.
    pub(super) settle_wait: Duration,
}

/// From this many commands on, waiting for more pays: a commit costs the same flush and the same pages for all of them.
const COMPANY: usize = 8;
/// The writer sleeps this long at a time while more come, and is not woken for each: that would cost a busy machine more
/// than the commit saves. Nobody came meanwhile: commit.
const NAP: Duration = Duration::from_micros(200);

/// What the writer is handed.
enum Message {
    Work(Box<dyn Work>),
    Close(oneshot::Sender<Result<(), StoreError>>),
}

trait Work: Send {
    fn urgency(&self) -> Urgency;
    /// Runs inside a transaction; may be called again after a rollback.
    fn run(&mut self, tx: &mut Tx<'_>) -> Outcome<()>;
    /// After the commit, or its failure.
    fn answer(self: Box<Self>, verdict: Result<(), StoreError>);
}

struct Task<T, F> {
    urgency: Urgency,
    run: F,
    result: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, F: FnMut(&mut Tx<'_>) -> Outcome<T> + Send> Work for Task<T, F> {
    fn urgency(&self) -> Urgency {
        self.urgency
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> Outcome<()> {
        self.result = None;
        self.result = Some((self.run)(tx)?);
        Ok(())
    }

    fn answer(self: Box<Self>, verdict: Result<(), StoreError>) {
        let Task { result, reply, .. } = *self;
        let answer = verdict.and_then(|()| result.ok_or(StoreError::Stopped));
        // A caller that went away does not need its answer; what was committed stays.
        drop(reply.send(answer));
    }
}

/// The way to the writer.
pub(super) struct Inbox {
    sender: Mutex<Option<SyncSender<Message>>>,
}

impl Inbox {
    /// Hands a command over; the answer comes after its commit. Never waits: a full queue is [`StoreError::Busy`].
    pub(super) fn submit<T: Send + 'static>(
        &self,
        urgency: Urgency,
        run: impl FnMut(&mut Tx<'_>) -> Outcome<T> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<T, StoreError>>, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Work(Box::new(Task { urgency, run, result: None, reply })))?;
        Ok(answer)
    }

    /// Asks the writer to finish what is queued and to end. Later commands are [`StoreError::Stopped`].
    pub(super) fn close(&self) -> Option<oneshot::Receiver<Result<(), StoreError>>> {
        let sender = self.lock().take()?;
        let (reply, answer) = oneshot::channel();
        // Waits for a place in the queue if it is full; the writer is busy emptying it.
        sender.send(Message::Close(reply)).ok()?;
        Some(answer)
    }

    /// Lets the writer end once the queue is empty, without the last words of [`Inbox::close`].
    pub(super) fn abandon(&self) {
        drop(self.lock().take());
    }

    fn send(&self, message: Message) -> Result<(), StoreError> {
        let sender = self.lock();
        match sender.as_ref().ok_or(StoreError::Stopped)?.try_send(message) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => Err(StoreError::Busy),
            Err(TrySendError::Disconnected(_)) => Err(StoreError::Stopped),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<SyncSender<Message>>> {
        self.sender.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The writer before it runs.
pub(super) struct Writer {
    /// The write connection.
    pub(super) conn: Connection,
    /// Held around every transaction, and by the checkpointer around a reset of the log.
    pub(super) gate: Arc<Mutex<()>>,
    /// Told about failures.
    pub(super) health: Arc<Health>,
    /// Counts commits, so that the checkpointer rests when nothing happens.
    pub(super) commits: Arc<AtomicU64>,
    /// Bounds of a group.
    pub(super) grouping: Grouping,
    /// When this file was put in place of another, if it ever was (BAK-3).
    pub(super) restored_at: Option<i64>,
    /// Runs in the last transaction when closing in order.
    pub(super) at_close: fn(&Connection) -> Outcome<()>,
}

/// A queue of `length` places and its two ends.
pub(super) fn inbox(length: usize) -> (Inbox, Orders) {
    let (sender, receiver) = sync_channel(length);
    (Inbox { sender: Mutex::new(Some(sender)) }, Orders(receiver))
}

/// The writer's end of the queue.
pub(super) struct Orders(Receiver<Message>);

/// A group that somebody waits for, and might wait for others.
#[derive(Clone, Copy, Debug)]
struct Waits {
    /// Commands that are there.
    there: usize,
    /// Commands that were there before the last nap.
    at_last_nap: usize,
    /// Since the group began.
    waited: Duration,
}

impl Waits {
    /// Whether another nap pays. Whoever comes during a commit waits for its end anyway: waiting for company as long as
    /// the last commit `took` at most doubles that, and never exceeds the `bound`.
    fn once_more(self, took: Duration, bound: Duration) -> bool {
        self.there >= COMPANY && self.there > self.at_last_nap && self.waited + NAP <= took.min(bound)
    }
}

enum Next {
    Group(Vec<Box<dyn Work>>, Option<oneshot::Sender<Result<(), StoreError>>>),
    End,
}

impl Writer {
    /// Serves the queue until it is closed or the disk fails. `keep` lives as long as the writer does.
    pub(super) fn run<K>(self, orders: &Orders, keep: K) {
        if let Some(reply) = self.serve(orders) {
            let closed = self.close();
            drop(self.conn);
            drop(keep);
            drop(reply.send(closed));
        }
    }

    /// Until nobody can send any more or the disk failed; or whoever asked for an end in order.
    fn serve(&self, orders: &Orders) -> Option<oneshot::Sender<Result<(), StoreError>>> {
        let statements = Shelf::new(&self.conn);
        let mut took = Duration::ZERO;
        loop {
            let Next::Group(group, close) = self.gather(orders, took) else { return None };
            if !group.is_empty() {
                let began = Instant::now();
                self.commit(group, &statements);
                took = began.elapsed();
            }
            if close.is_some() || self.health.is_dead() {
                return close;
            }
        }
    }

    /// Commits what is there now without waiting for more; `false` once there is nothing more to come. For the simulation.
    #[cfg(test)]
    pub(super) fn step(&self, orders: &Orders) -> bool {
        let statements = Shelf::new(&self.conn);
        loop {
            let mut group: Vec<Box<dyn Work>> = Vec::new();
            let (mut close, mut ended) = (None, false);
            while group.len() < self.grouping.group_max {
                match orders.0.try_recv() {
                    Ok(Message::Work(work)) => group.push(work),
                    Ok(Message::Close(reply)) => {
                        close = Some(reply);
                        break;
                    }
                    Err(TryRecvError::Disconnected) => {
                        ended = true;
                        break;
                    }
                    Err(TryRecvError::Empty) => break,
                }
            }
            let idle = group.is_empty();
            if !idle {
                self.commit(group, &statements);
            }
            if let Some(reply) = close {
                let closed = self.close();
                drop(reply.send(closed));
                return false;
            }
            if ended || self.health.is_dead() {
                return false;
            }
            if idle {
                return true;
            }
        }
    }

    /// The next group: what is there now, and more where waiting pays. `took`: how long the last commit did.
    fn gather(&self, orders: &Orders, took: Duration) -> Next {
        let mut group: Vec<Box<dyn Work>> = Vec::new();
        match orders.0.recv() {
            Ok(Message::Work(work)) => group.push(work),
            Ok(Message::Close(reply)) => return Next::Group(group, Some(reply)),
            Err(_) => return Next::End,
        }
        let began = Instant::now();
        let mut urgent = group[0].urgency() == Urgency::Now;
        let mut at_last_nap = 0;
        while group.len() < self.grouping.group_max {
            let message = match orders.0.try_recv() {
                Ok(message) => message,
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) if urgent => {
                    let waits = Waits { there: group.len(), at_last_nap, waited: began.elapsed() };
                    if !waits.once_more(took, self.grouping.group_wait) {
                        break;
                    }
                    at_last_nap = group.len();
                    std::thread::sleep(NAP);
                    continue;
                }
                Err(TryRecvError::Empty) => match self.for_company(orders, began) {
                    Some(message) => message,
                    None => break,
                },
            };
            match message {
                Message::Work(work) => {
                    urgent |= work.urgency() == Urgency::Now;
                    group.push(work);
                }
                Message::Close(reply) => return Next::Group(group, Some(reply)),
            }
        }
        Next::Group(group, None)
    }

    /// Waits for the next command: nobody waits for those that are there.
    fn for_company(&self, orders: &Orders, began: Instant) -> Option<Message> {
        let left = self.grouping.settle_wait.checked_sub(began.elapsed()).filter(|left| !left.is_zero())?;
        orders.0.recv_timeout(left).ok()
    }

    fn commit(&self, mut group: Vec<Box<dyn Work>>, statements: &Shelf<'_>) {
        if let Some(reason) = self.health.damage() {
            for work in group {
                work.answer(Err(StoreError::Corrupt(reason.clone())));
            }
            return;
        }
        let committed = {
            let _gate = self.gate.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            match self.transaction(&mut group, statements, false) {
                Err(Broken::Isolate) => self.transaction(&mut group, statements, true),
                other => other,
            }
        };
        match committed {
            Ok(verdicts) => {
                self.commits.fetch_add(1, Ordering::Release);
                self.health.committed();
                group.into_iter().zip(verdicts).for_each(|(work, verdict)| work.answer(verdict));
                if planted!(AckBeforeCommit) && self.execute("COMMIT").is_err() {
                    drop(self.conn.execute_batch("ROLLBACK"));
                }
            }
            Err(Broken::Whole(reason, gravity)) => {
                self.health.failed(&reason, gravity);
                for work in group {
                    work.answer(Err(StoreError::Commit(reason.clone())));
                }
            }
            Err(Broken::Isolate) => unreachable!("a command in its savepoint is isolated already"),
        }
    }

    fn transaction(
        &self,
        group: &mut [Box<dyn Work>],
        statements: &Shelf<'_>,
        savepoints: bool,
    ) -> Result<Vec<Result<(), StoreError>>, Broken> {
        let result = self.begin_to_commit(group, statements, savepoints);
        if result.is_err() && !self.conn.is_autocommit() {
            // After a failed rollback the connection is of no use any more; `BEGIN` will say so.
            drop(self.conn.execute_batch("ROLLBACK"));
        }
        result
    }

    fn begin_to_commit(
        &self,
        group: &mut [Box<dyn Work>],
        statements: &Shelf<'_>,
        savepoints: bool,
    ) -> Result<Vec<Result<(), StoreError>>, Broken> {
        self.execute("BEGIN IMMEDIATE")?;
        let mut tally = Tally::default();
        let mut verdicts = Vec::with_capacity(group.len());
        for work in group {
            let rows_before = self.conn.total_changes();
            if savepoints {
                self.execute("SAVEPOINT command")?;
            }
            let mut tx = Tx::with(&self.conn, statements);
            tx.restored_at = self.restored_at;
            let outcome = work.run(&mut tx);
            let changed = std::mem::take(&mut tx.tally);
            match outcome {
                Ok(()) => {
                    tally.absorb(changed);
                    verdicts.push(Ok(()));
                }
                Err(fault) => {
                    if fault.gravity() != Gravity::Passing || self.conn.is_autocommit() {
                        return Err(fault.into());
                    }
                    if savepoints {
                        self.execute("ROLLBACK TO command")?;
                    } else if self.conn.total_changes() != rows_before {
                        return Err(Broken::Isolate);
                    }
                    verdicts.push(Err(fault.into()));
                }
            }
            if savepoints {
                self.execute("RELEASE command")?;
            }
        }
        tally.write(&self.conn)?;
        self.health.injected()?;
        if !planted!(AckBeforeCommit) {
            self.execute("COMMIT")?;
        }
        Ok(verdicts)
    }

    fn execute(&self, sql: &str) -> Outcome<()> {
        self.conn.prepare_cached(sql)?.execute([])?;
        Ok(())
    }

    fn close(&self) -> Result<(), StoreError> {
        let _gate = self.gate.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(reason) = self.health.damage() {
            return Err(StoreError::Corrupt(reason));
        }
        (self.at_close)(&self.conn)?;
        Ok(())
    }
}

/// Why a transaction did not end in a commit.
enum Broken {
    /// One command failed half way: run the group again, each in its savepoint.
    Isolate,
    /// Nothing of it stands.
    Whole(String, Gravity),
}

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Self {
        let gravity = fault.gravity();
        Broken::Whole(StoreError::from(fault).to_string(), gravity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_waits_for_company_only_while_it_comes_and_no_longer_than_a_commit_takes() {
        let micros = Duration::from_micros;
        let waits = |there, at_last_nap, waited, took| {
            let group = Waits { there, at_last_nap, waited: micros(waited) };
            group.once_more(micros(took), micros(2_000))
        };
        assert!(!waits(1, 0, 0, 1_000), "one alone is committed at once");
        assert!(!waits(COMPANY - 1, 0, 0, 1_000), "a few are committed at once");
        assert!(waits(COMPANY, 0, 0, 1_000));
        assert!(!waits(COMPANY, COMPANY, 200, 1_000), "nobody came during the nap");
        assert!(waits(COMPANY + 1, COMPANY, 800, 1_000));
        assert!(!waits(COMPANY + 1, COMPANY, 801, 1_000), "as long as the last commit took, and no longer");
        assert!(!waits(COMPANY + 1, COMPANY, 1_801, 60_000), "a slow disk does not make everyone slower still");
        assert!(!waits(COMPANY, 0, 0, 199), "a fast commit costs less than a nap");
    }
}
