//! The engine's handle: start, express lane, status, stop.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::dispatcher;
use super::events::DeliveryEvents;
use super::gate::{DestinationStatus, Gate, Seat};
use super::machine::{Ahead, InFlight};
use super::sending::{self, Errand, Identity, Plan};
use super::sweeping::Roll;
use crate::clock::{SharedClock, SharedEntropy, Timestamp};
use crate::destinations::Destination;
use crate::envelope::ids::{DeliveryId, DocumentId};
use crate::envelope::keys::IdempotencyKey;
use crate::store::SharedStore;
use crate::store::write::{AttemptPurpose, AttemptStart, Ladder, StartedAttempt, Subject};

/// What configuration says about the engine itself.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Recorded with every attempt (RUN-6).
    pub config_version: String,
    /// Longest sleep of the dispatcher: how late it notices what a verb wrote beside the service.
    pub poll: Duration,
    /// How often it is looked for what nobody would look at again (P6).
    pub sweep: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { config_version: String::new(), poll: Duration::from_millis(500), sweep: Duration::from_mins(1) }
    }
}

/// A delivery that may take the express lane: not in the store yet.
#[derive(Clone, Copy, Debug)]
pub struct ExpressDelivery<'a> {
    /// Its id.
    pub id: DeliveryId,
    /// The key sent along.
    pub key: &'a IdempotencyKey,
    /// Configured name.
    pub destination: &'a str,
    /// Its document.
    pub document: DocumentId,
    /// The document, plain JSON.
    pub body: &'a Bytes,
    /// What it is about.
    pub subject: &'a Subject,
    /// `order.create`, …
    pub purpose: &'a str,
    /// Empty for create.
    pub revision: &'a str,
    /// KEY-3.
    pub generation: u32,
    /// The sender's, if any.
    pub traceparent: Option<&'a str>,
    /// When its event arrived.
    pub created_at: Timestamp,
}

/// A reserved place in the hand-off with everything needed to send. Dropped unused it frees the place.
pub struct Place {
    errand: Errand,
    seat: Seat,
}

/// What the parts of the engine share.
pub(super) struct Engine {
    pub(super) store: SharedStore,
    pub(super) clock: SharedClock,
    pub(super) entropy: SharedEntropy,
    pub(super) events: Arc<dyn DeliveryEvents>,
    pub(super) settings: Settings,
    pub(super) gates: Vec<Arc<Gate>>,
    by_name: HashMap<String, usize>,
    /// What somebody works on.
    pub(super) roll: Arc<Roll>,
    /// The dispatcher should look again.
    pub(super) wake: Notify,
    /// Something waits that a settlement may set free: look after every one.
    pub(super) hint: AtomicBool,
    pub(super) stopping: AtomicBool,
    pub(super) recovered: watch::Sender<bool>,
    emptied: Arc<Notify>,
}

impl Engine {
    pub(super) fn gate(&self, destination: &str) -> Option<&Arc<Gate>> {
        self.by_name.get(destination).map(|index| &self.gates[*index])
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Whether another destination goes after that one.
    pub(super) fn leads(&self, destination: &str) -> bool {
        self.gates.iter().any(|gate| gate.destination.after() == Some(destination))
    }

    /// Attempts under way, or about to be.
    pub(super) fn inside(&self) -> u64 {
        self.gates.iter().map(|gate| u64::from(gate.inside())).sum()
    }

    /// Tells a changed state once.
    pub(super) fn tell_news(&self, gate: &Gate) {
        if let Some(state) = gate.news() {
            self.events.destination_state_changed(gate.name(), &state);
        }
    }
}

/// The delivery engine.
pub struct Delivery {
    engine: Arc<Engine>,
    dispatcher: Mutex<Option<JoinHandle<()>>>,
}

impl Delivery {
    /// Starts the engine: first what the last process left behind is settled, then the dispatcher runs. Must be called
    /// inside a tokio runtime. Destinations have distinct names.
    pub fn start(
        store: SharedStore,
        clock: SharedClock,
        entropy: SharedEntropy,
        destinations: Vec<Destination>,
        settings: Settings,
        events: Arc<dyn DeliveryEvents>,
    ) -> Arc<Delivery> {
        let emptied = Arc::new(Notify::new());
        let mut accounts = HashMap::new();
        let gates: Vec<Arc<Gate>> = destinations
            .into_iter()
            .map(|destination| {
                Arc::new(Gate::new(destination, &mut accounts, Arc::clone(&clock), Arc::clone(&emptied)))
            })
            .collect();
        let by_name = gates.iter().enumerate().map(|(index, gate)| (gate.name().to_owned(), index)).collect();
        let engine = Arc::new(Engine {
            store,
            clock,
            entropy,
            events,
            settings,
            gates,
            by_name,
            roll: Arc::default(),
            wake: Notify::new(),
            hint: AtomicBool::new(true),
            stopping: AtomicBool::new(false),
            recovered: watch::Sender::new(false),
            emptied,
        });
        let dispatcher = tokio::spawn(dispatcher::run(Arc::clone(&engine)));
        Arc::new(Delivery { engine, dispatcher: Mutex::new(Some(dispatcher)) })
    }

    pub(super) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Returns once everything the last process left under way is settled (RUN-1); readiness waits for it.
    pub async fn recovered(&self) {
        let mut recovered = self.engine.recovered.subscribe();
        // The sender lives in the engine, which we hold.
        let _ = recovered.wait_for(|done| *done).await;
    }

    /// A place on the express lane: the first attempt to write down together with the delivery, and the place to hand
    /// back once that is durable. `None`: leave it to the dispatcher.
    pub fn express(&self, delivery: &ExpressDelivery<'_>) -> Option<(AttemptStart, Place)> {
        let engine = &self.engine;
        if engine.is_stopping() {
            return None;
        }
        let gate = engine.gate(delivery.destination)?;
        let looked_for = gate.destination.looks_for(delivery.purpose);
        if looked_for && gate.policy.looks.is_some_and(|looks| looks.first) {
            // It is looked for first, which is the dispatcher's.
            return None;
        }
        if gate.destination.after().is_some() {
            // Whether it may go yet stands in the store.
            return None;
        }
        let seat = gate.reserve()?;
        if gate.destination.recipe().is_some() {
            // It takes several steps, which are the dispatcher's.
            return None;
        }
        let rendered = || gate.destination.render(delivery.purpose, delivery.body, delivery.key, "");
        let request = sending::guarded(rendered).ok()?.ok()?;
        let started_at = engine.clock.now();
        let start = AttemptStart {
            delivery: delivery.id,
            number: 1,
            document: delivery.document,
            seal: Some(request.clone()),
            purpose: AttemptPurpose::Send,
            started_at,
            deadline: gate.deadline(started_at),
            config_version: engine.settings.config_version.clone(),
        };
        let errand = Errand {
            delivery: delivery.id,
            subject: delivery.subject.clone(),
            purpose: delivery.purpose.to_owned(),
            identity: Identity {
                revision: delivery.revision.to_owned(),
                generation: delivery.generation,
                document: delivery.document,
            },
            facts: InFlight {
                created_at: delivery.created_at,
                first_attempt_at: started_at,
                sent: false,
                generation: delivery.generation,
                failures: 0,
                uncertain: false,
                ladder: Ladder::default(),
                looked_for,
                ahead: Ahead::Nothing,
            },
            request,
            document: delivery.body.clone(),
            traceparent: delivery.traceparent.map(str::to_owned),
            plan: Plan::Send,
            steps: None,
            held: engine.roll.hold(delivery.id),
        };
        Some((start, Place { errand, seat }))
    }

    /// Sends from memory what is now durable: one task, no further hop. Must be called inside a tokio runtime.
    ///
    /// # Panics
    /// If the place was reserved for another delivery.
    pub fn hand_off(&self, started: StartedAttempt, place: Place) {
        assert_eq!(started.delivery, place.errand.delivery, "a place is handed back for the delivery it was made for");
        let Place { errand, seat } = place;
        seat.gate().count_start(false);
        sending::start(Arc::clone(&self.engine), errand, started, seat);
    }

    /// Something may be due.
    pub fn wake(&self) {
        self.engine.hint.store(true, Ordering::SeqCst);
        self.engine.wake.notify_one();
    }

    /// Every destination, in the order configured.
    pub fn status(&self) -> Vec<DestinationStatus> {
        self.engine.gates.iter().map(|gate| gate.status()).collect()
    }

    /// Holds a destination until a person lets it go; the reason of an earlier hold stands. `false`: there is none of that
    /// name.
    pub fn hold(&self, destination: &str, reason: &str) -> bool {
        self.held(destination, |gate| gate.hold(reason))
    }

    /// The same because a person wants it, whose reason stands before any of ours.
    pub fn hold_for_a_person(&self, destination: &str, reason: &str) -> bool {
        self.held(destination, |gate| gate.hold_for_a_person(reason))
    }

    fn held(&self, destination: &str, hold: impl FnOnce(&Gate)) -> bool {
        let Some(gate) = self.engine.gate(destination) else {
            return false;
        };
        hold(gate);
        self.engine.tell_news(gate);
        true
    }

    /// A person opens a destination that is held or paused; its credential is read anew. `false`: there is none of
    /// that name.
    pub fn release(&self, destination: &str) -> bool {
        let Some(gate) = self.engine.gate(destination) else {
            return false;
        };
        gate.release();
        self.engine.tell_news(gate);
        self.wake();
        true
    }

    /// RUN-2: starts nothing more, lets requests finish for at most `grace`. What is still open then stays started and
    /// is uncertain at the next start. The store must close after this.
    pub async fn stop(&self, grace: Duration) {
        let deadline = Instant::now() + grace;
        self.engine.stopping.store(true, Ordering::SeqCst);
        self.engine.wake.notify_one();
        let dispatcher = self.dispatcher.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(dispatcher) = dispatcher {
            // A dispatcher that does not end in time hangs on the store, which is closed next.
            let _ = timeout_at(deadline, dispatcher).await;
        }
        let _ = timeout_at(deadline, self.empty()).await;
    }

    async fn empty(&self) {
        loop {
            let emptied = self.engine.emptied.notified();
            tokio::pin!(emptied);
            // Registered before looking, so that the last one out is not missed.
            emptied.as_mut().enable();
            if self.engine.inside() == 0 {
                return;
            }
            emptied.await;
        }
    }
}
