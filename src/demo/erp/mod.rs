//! A stand-in ERP on loopback that keeps the contract a good destination keeps, and breaks it on command.
//!
//! `POST /sales-orders` honours `Idempotency-Key`: the same key with the same bytes answers what it answered before
//! (`Idempotency-Replayed: true`), with other bytes 422, while the first is still being worked on 409. A new key makes
//! a sales order and answers 201 `{"id":"SO-000001"}`. `GET /sales-orders?ref=…` finds by order number; `GET /log`
//! shows what came in.
//!
//! It counts what matters to a merchant: how often each order exists. [`Counts::doubled`] is not taken from what the
//! callers say but from what was applied, by key and by order number, so two keys for one order count as well.
//!
//! The demo, the tests, the crash rounds and the measurements use it. Deliberately absent: a disk. It forgets everything
//! when it is dropped.

mod book;
mod fault;
mod lies;
mod reply;
mod serve;
#[cfg(test)]
mod tests;

use std::hash::RandomState;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

pub use book::{Counts, Effect, LogEntry};
pub use fault::{Fault, Plan};
pub use lies::Lies;

use book::{Book, Habits};
use fault::Script;

/// How the ERP behaves from its start.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent habits, not states")]
pub struct ErpOptions {
    /// Bearer token that every request must carry; none means anyone may call.
    pub token: Option<String>,
    /// How long a new sales order takes; a second request with its key is refused meanwhile.
    pub latency: Duration,
    /// Keeps digests and counts only, so that millions of requests fit in memory.
    pub forgetful: bool,
    /// Whether it knows idempotency keys at all; without, every request makes a sales order.
    pub honours_keys: bool,
    /// How long it remembers a key; none means for ever.
    pub key_window: Option<Duration>,
    /// Refuses a second record for one operation of one order; none means it does not look.
    pub unique: Option<Refusal>,
    /// Whether it can be asked by order number; without, `GET /sales-orders` is not there.
    pub can_be_asked: bool,
    /// Whether it reads order numbers from documents; without, it finds nothing and counts doubled keys only.
    pub reads_documents: bool,
    /// Whether effects keep their documents, which takes the memory of a long run.
    pub keeps_bodies: bool,
}

/// How an ERP says that a record exists already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// 409 as a rule; some say 400 or 422.
    pub status: u16,
    /// The words.
    pub body: String,
}

impl Default for Refusal {
    fn default() -> Self {
        Refusal { status: 409, body: r#"{"error":{"code":"DUPLICATE","message":"this reference exists"}}"#.to_owned() }
    }
}

impl Default for ErpOptions {
    /// No token, no latency, remembers everything, honours keys for ever, reads documents, can be asked.
    fn default() -> Self {
        ErpOptions {
            token: None,
            latency: Duration::ZERO,
            forgetful: false,
            honours_keys: true,
            key_window: None,
            unique: None,
            can_be_asked: true,
            reads_documents: true,
            keeps_bodies: true,
        }
    }
}

/// A running stand-in ERP. Dropping it closes its port and every connection.
pub struct StandInErp {
    address: SocketAddr,
    shared: Arc<Shared>,
    open: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

/// Told the document of every order as it is applied.
pub type Watch = Box<dyn Fn(&[u8]) + Send + Sync>;

/// What connections share.
struct Shared {
    book: Mutex<Book>,
    script: Mutex<Script>,
    finds: Mutex<Script>,
    connects: Mutex<Script>,
    watch: OnceLock<Watch>,
    applied: Notify,
    bodies: RandomState,
    token: Option<String>,
    latency: Duration,
    unique: Option<Refusal>,
    can_be_asked: bool,
    reads_documents: bool,
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        // The book is consistent after every call, so a panic elsewhere does not spoil it.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finds(&self) -> MutexGuard<'_, Script> {
        self.finds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_fault(&self, number: u64) -> Option<Fault> {
        let fault = self.script().take(number);
        if fault.is_some() {
            self.book().count_fault();
        }
        fault
    }

    fn take_find_fault(&self) -> Option<Fault> {
        self.finds().take_next()
    }

    /// Whether a new connection is reset before anything is read.
    fn resets_connection(&self) -> bool {
        let mut connects = self.connects.lock().unwrap_or_else(PoisonError::into_inner);
        connects.take_next().is_some()
    }
}

impl StandInErp {
    /// Starts on a free port of loopback with the usual behaviour. Needs a tokio runtime.
    pub async fn start() -> io::Result<Self> {
        Self::start_with(ErpOptions::default()).await
    }

    /// Starts on a free port of loopback.
    pub async fn start_with(options: ErpOptions) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let habits = Habits {
            forgetful: options.forgetful,
            keeps_bodies: options.keeps_bodies,
            honours_keys: options.honours_keys,
            key_window: options.key_window,
            unique: options.unique.is_some(),
        };
        let shared = Arc::new(Shared {
            book: Mutex::new(Book::new(habits)),
            script: Mutex::default(),
            finds: Mutex::default(),
            connects: Mutex::default(),
            watch: OnceLock::new(),
            applied: Notify::new(),
            bodies: RandomState::new(),
            token: options.token,
            latency: options.latency,
            unique: options.unique,
            can_be_asked: options.can_be_asked,
            reads_documents: options.reads_documents,
        });
        let (open, receiver) = watch::channel(true);
        let accepting = tokio::spawn(serve::accept(listener, Arc::clone(&shared), receiver));
        Ok(StandInErp { address, shared, open, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address to send sales orders to.
    pub fn url(&self) -> String {
        format!("http://{}/sales-orders", self.address)
    }

    /// Spends these faults on the next requests, one each.
    pub fn next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared.script().queue(faults.into_iter().map(Some));
    }

    /// Lets the next `count` requests through before what was queued after them.
    pub fn next_good(&self, count: usize) {
        self.shared.script().queue(std::iter::repeat_n(None, count));
    }

    /// Spends this fault on every request that has none queued, until told otherwise.
    pub fn always(&self, fault: Option<Fault>) {
        self.shared.script().always(fault);
    }

    /// Asks `plan` for the fault of every request that has none by other means; the argument counts requests from 1.
    pub fn plan(&self, plan: Option<Plan>) {
        self.shared.script().plan(plan);
    }

    /// Spends these faults on the next finds; `Status`, `Hang` and `Garbage` as they are, any other closes the connection.
    pub fn next_finds(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared.finds().queue(faults.into_iter().map(Some));
    }

    /// Asks `plan` which finds go wrong; the argument counts finds from 1.
    pub fn plan_finds(&self, plan: Option<Plan>) {
        self.shared.finds().plan(plan);
    }

    /// Asks `plan` which new connections are reset before anything is read, whatever the fault; the argument counts
    /// connections from 1.
    pub fn plan_connects(&self, plan: Option<Plan>) {
        self.shared.connects.lock().unwrap_or_else(PoisonError::into_inner).plan(plan);
    }

    /// Closes the port and every connection: connects are refused until [`StandInErp::come_back`].
    pub fn go_down(&self) {
        self.open.send_replace(false);
    }

    /// Listens again on the same port, with everything remembered.
    pub async fn come_back(&mut self) -> io::Result<()> {
        self.go_down();
        // The port is free only when the old listener is gone.
        let _ = (&mut self.accepting).await;
        let listener = TcpListener::bind(self.address).await?;
        let (open, receiver) = watch::channel(true);
        self.open = open;
        self.accepting = tokio::spawn(serve::accept(listener, Arc::clone(&self.shared), receiver));
        Ok(())
    }

    /// Everything applied, in order; empty when forgetful.
    pub fn effects(&self) -> Vec<Effect> {
        self.shared.book().effects().to_vec()
    }

    /// Tells `watch` every document as it is applied; the first watch stays.
    pub fn watch(&self, watch: Watch) {
        let _ = self.shared.watch.set(watch);
    }

    /// What was applied after the first `known` effects.
    pub fn effects_after(&self, known: usize) -> Vec<Effect> {
        self.shared.book().effects().iter().skip(known).cloned().collect()
    }

    /// Its memory as JSON lines, oldest first.
    pub fn write_memory(&self, to: &mut dyn io::Write) -> io::Result<()> {
        for effect in self.effects() {
            writeln!(to, "{}", serde_json::to_string(&effect).map_err(io::Error::other)?)?;
        }
        Ok(())
    }

    /// What exists for one order number.
    pub fn find(&self, increment_id: &str) -> Vec<Effect> {
        self.shared.book().find(increment_id)
    }

    /// Every request that came to be known, in the order of their outcomes; empty when forgetful.
    pub fn log(&self) -> Vec<LogEntry> {
        self.shared.book().log().to_vec()
    }

    /// Sums over all requests.
    pub fn counts(&self) -> Counts {
        self.shared.book().counts()
    }

    /// Waits until at least `count` applications have happened.
    pub async fn applied(&self, count: u64) {
        loop {
            let notified = self.shared.applied.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if self.counts().applied >= count {
                return;
            }
            notified.await;
        }
    }
}

impl Drop for StandInErp {
    fn drop(&mut self) {
        self.go_down();
    }
}
