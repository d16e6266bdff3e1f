//! Processing: parse → expand → route → outbox or exception, one transaction.
//!
//! `step` is the pure heart, `enqueue` turns what it says into rows, [`Processor`] is the loop around both for envelopes
//! that were stored without a conclusion: everything that did not take the express lane. The two ways call the same
//! functions and write the same rows; the express lane is only an optimisation (DESIGN 3).
//!
//! A panic, or a record that takes too long, parks that record and alarms; the loop and its neighbours go on (POI-2).
//! Deliberately absent: any knowledge of HTTP, of retries, of what a destination answers.

pub mod bounds;
pub mod enqueue;
pub mod reports;
pub mod rules;
pub mod step;
pub mod unresolved;
pub mod wanting;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::catalogue::{Catalogues, Needs, Shelf};
use crate::clock::{SharedClock, SharedEntropy, Timestamp};
use crate::domain::defect::{Defect, ExceptionCode};
use crate::domain::mapping::{MappingRow, Mappings, Table};
use crate::domain::order::Order;
use crate::envelope::kind::RecordKind;
use crate::json::{self, Json, Limits};
use crate::observe::{Event, Observer};
use crate::store::view::StoredEnvelope;
use crate::store::write::{NewException, StartedAttempt, Subject};
use crate::store::{Answer, SharedStore, StoreError};

use enqueue::{Enqueued, Stamp, enqueue};
use rules::Rules;
use step::{Input, Known, Outcome, step_knowing};

/// Envelopes claimed at once.
const CLAIM_MAX: u32 = 64;
/// How long the loop sleeps when nobody wakes it; verbs beside the service cannot.
const POLL: Duration = Duration::from_millis(500);
/// Envelopes that wait for a catalogue at once; each waits for a set time at most.
const FILLING_MAX: usize = 256;
/// POI-2: longer than this parks the record.
const STEP_MAX: Duration = Duration::from_secs(5);

/// Called when the loop made or started deliveries, so that the delivery worker looks.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// The processor: rules, and the loop that applies them.
pub struct Processor {
    store: SharedStore,
    clock: SharedClock,
    entropy: SharedEntropy,
    rules: ArcSwap<Rules>,
    work: Notify,
    observer: Option<Arc<Observer>>,
    catalogues: Option<Arc<Catalogues>>,
}

impl Processor {
    /// A processor with these rules; mappings are read from the store by [`Processor::reload_mappings`].
    pub fn new(store: SharedStore, clock: SharedClock, entropy: SharedEntropy, rules: Rules) -> Self {
        let rules = ArcSwap::from_pointee(rules);
        Processor { store, clock, entropy, rules, work: Notify::new(), observer: None, catalogues: None }
    }

    /// Exceptions that the loop opens are told to `observer`.
    #[must_use]
    pub fn watched_by(self, observer: Arc<Observer>) -> Self {
        Processor { observer: Some(observer), ..self }
    }

    /// Orders are resolved by what `catalogues` know, and wait a set time for what they do not.
    #[must_use]
    pub fn knowing(self, catalogues: Arc<Catalogues>) -> Self {
        Processor { catalogues: Some(catalogues), ..self }
    }

    /// The rules in force.
    pub fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// Something was stored without a conclusion.
    pub fn wake(&self) {
        self.work.notify_one();
    }

    /// Takes the mappings from the store if they changed; `true` when they did.
    ///
    /// # Errors
    /// When the store cannot be read; the rules in force stay.
    pub async fn reload_mappings(&self) -> Result<bool, StoreError> {
        let version = self.store.mappings_version().await?;
        if version == self.rules.load().mappings.version() {
            return Ok(false);
        }
        let mappings = load_mappings(&self.store, version).await?;
        self.rules.rcu(|rules| rules.with_mappings(mappings.clone()));
        Ok(true)
    }

    /// Processes one record for the express lane; `None` when it had better wait for a catalogue, which only the stored
    /// way does. Never panics.
    pub fn process(&self, input: &Input<'_>, subject: &Subject) -> Option<Enqueued> {
        let rules = self.rules.load();
        let outcome = guarded(input, &rules, self.known());
        if input.kind == RecordKind::Product {
            self.outdate(&subject.system, input.json);
        }
        if self.waits_for(&subject.system, &outcome).is_some() {
            return None;
        }
        Some(self.enqueue(outcome, subject, &rules))
    }

    fn known(&self) -> Option<Known<'_>> {
        self.shelf().map(|shelf| Known { shelf, now: self.clock.now() })
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What is kept of Commerce's catalogues.
    pub fn shelf(&self) -> Option<&Shelf> {
        self.catalogues.as_ref().map(|catalogues| catalogues.shelf())
    }

    fn outdate(&self, system: &str, record: &Json<'_>) {
        if let Some(catalogues) = &self.catalogues {
            catalogues.outdate(system, record);
        }
    }

    /// What it had better wait for.
    fn waits_for(&self, system: &str, outcome: &Outcome) -> Option<Needs> {
        let (catalogues, wanting) = (self.catalogues.as_ref()?, outcome.wanting.as_ref()?);
        catalogues.is_worth_waiting(system, wanting).then(|| wanting.clone())
    }

    /// Makes rows of an outcome decided elsewhere (a record refused at the door).
    pub fn park(&self, defect: Defect, subject: &Subject) -> Enqueued {
        self.enqueue(Outcome::parked(defect), subject, &self.rules.load())
    }

    fn enqueue(&self, outcome: Outcome, subject: &Subject, rules: &Rules) -> Enqueued {
        enqueue(outcome, subject, &self.stamp(rules))
    }

    /// Stamp for rows made now.
    pub fn stamp<'a>(&'a self, rules: &Rules) -> Stamp<'a> {
        Stamp {
            installation: self.store.installation_id(),
            mappings_version: rules.mappings.version(),
            now: self.clock.now(),
            entropy: &*self.entropy,
        }
    }

    /// What a stored envelope would come to under the rules in force; writes nothing.
    pub fn preview(&self, envelope: &StoredEnvelope) -> Outcome {
        outcome_of(envelope, &self.rules.load(), self.known())
    }

    /// The same as if the mapping tables were these.
    pub fn preview_with(&self, envelope: &StoredEnvelope, mappings: &Arc<Mappings>) -> Outcome {
        outcome_of(envelope, &self.rules.load().with_mappings(mappings.clone()), self.known())
    }

    /// The order behind a stored envelope, as [`step::order_behind`].
    ///
    /// # Errors
    /// What keeps the record from being read.
    pub fn order_behind(&self, envelope: &StoredEnvelope, destination: &str) -> Result<(Order, i64), Vec<Defect>> {
        let rules = self.rules.load();
        with_record(&envelope.body, &envelope.path, |record| {
            let json = record.map_err(|defect| vec![defect])?;
            step::order_behind(&input(envelope, json), &rules, self.known(), destination)
        })
    }

    /// Claims and concludes until `stopping` resolves. One envelope's failure never ends it; a store that stopped does.
    pub async fn run(self: Arc<Self>, wake_delivery: Wake, mut stopping: tokio::sync::watch::Receiver<bool>) {
        // What waits for a catalogue waits beside the loop. A stop ends the waiting, and gives back what waited.
        let mut filling = JoinSet::new();
        loop {
            while filling.try_join_next().is_some() {}
            if filling.len() >= FILLING_MAX {
                filling.join_next().await;
            }
            let more = match self.turn(&wake_delivery, &mut filling).await {
                Ok(count) => count > 0,
                Err(StoreError::Stopped) => return,
                Err(error) => {
                    tracing::error!(%error, "the processor could not reach the store and will try again");
                    self.give_back().await;
                    false
                }
            };
            if *stopping.borrow() {
                if !filling.is_empty() {
                    filling.shutdown().await;
                    self.give_back().await;
                }
                return;
            }
            if !more {
                tokio::select! {
                    // In order, so that a simulated run can be repeated.
                    biased;
                    () = self.work.notified() => {}
                    () = tokio::time::sleep(POLL) => {}
                    _ = stopping.changed() => {}
                }
            }
        }
    }

    /// One claim; how many envelopes were concluded.
    async fn turn(self: &Arc<Self>, wake_delivery: &Wake, filling: &mut JoinSet<()>) -> Result<usize, StoreError> {
        let claimed = self.store.claim_envelopes(CLAIM_MAX).await?;
        let rules = self.rules.load_full();
        // The store queues a command when its method is called: all conclusions of one claim share a commit.
        let mut concluding = Vec::with_capacity(claimed.len());
        for envelope in &claimed {
            let outcome = self.outcome(envelope, &rules);
            if let Some(wanting) = self.waits_for(&envelope.subject.system, &outcome) {
                let (processor, envelope, wake) = (self.clone(), envelope.clone(), wake_delivery.clone());
                filling.spawn(async move { processor.fill(&envelope, &wanting, &wake).await });
            } else {
                concluding.push((envelope, self.conclude(envelope, outcome, &rules)));
            }
        }
        for (envelope, concluding) in concluding {
            // What is queued behind this one is written or fails by itself; giving back comes after it in the queue.
            self.concluded(envelope, concluding).await?;
        }
        if !claimed.is_empty() {
            wake_delivery();
        }
        Ok(claimed.len())
    }

    fn outcome(&self, envelope: &StoredEnvelope, rules: &Rules) -> Outcome {
        if envelope.kind == RecordKind::Product.as_str() && self.catalogues.is_some() {
            with_record(&envelope.body, &envelope.path, |record| {
                record.ok().inspect(|record| self.outdate(&envelope.subject.system, record)).map(drop)
            });
        }
        outcome_of(envelope, rules, self.known())
    }

    /// Waits for the catalogue, and concludes with what is known then. Meanwhile the envelope stays claimed, so that later
    /// ones of its order wait with it and everybody else's go on.
    async fn fill(&self, envelope: &StoredEnvelope, wanting: &Needs, wake_delivery: &Wake) {
        if let Some(catalogues) = &self.catalogues {
            catalogues.fill(&envelope.subject.system, wanting).await;
        }
        let rules = self.rules.load_full();
        let concluding = self.conclude(envelope, outcome_of(envelope, &rules, self.known()), &rules);
        match self.concluded(envelope, concluding).await {
            Ok(()) => wake_delivery(),
            Err(StoreError::Stopped) => return,
            Err(error) => {
                tracing::error!(%error, "an order that waited for the catalogue will be processed again");
                self.give_back().await;
            }
        }
        self.wake();
    }

    async fn concluded(&self, envelope: &StoredEnvelope, concluding: Concluding<'_>) -> Result<(), StoreError> {
        match concluding.written.await {
            Ok(_) => self.tell(&concluding.opened, concluding.read.as_deref()),
            Err(StoreError::NotAllowed(reason)) => {
                tracing::warn!(envelope.id = %envelope.id, reason, "an envelope was concluded by somebody else");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// P6: what was claimed and not concluded must not stay claimed until the next start.
    async fn give_back(&self) {
        if planted!(GiveBackForgotten) {
            return;
        }
        loop {
            match self.store.unclaim_envelopes().await {
                Ok(_) | Err(StoreError::Stopped) => return,
                Err(error) if error.is_retryable() => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(error) => {
                    tracing::error!(%error, "claimed events could not be given back");
                    return;
                }
            }
        }
    }

    fn tell(&self, opened: &[NewException], read: Option<&str>) {
        if let Some(observer) = &self.observer {
            if let Some(system) = read {
                observer.note(&Event::ReadWanted { system });
            }
            for exception in opened {
                observer.note(&Event::opened(exception));
            }
        }
    }

    fn conclude<'s>(&'s self, envelope: &StoredEnvelope, outcome: Outcome, rules: &Rules) -> Concluding<'s> {
        let enqueued = enqueue(outcome, &envelope.subject, &self.stamp(rules));
        let opened = enqueued.conclusion.exceptions.clone();
        let read = enqueued.conclusion.read.as_ref().map(|read| read.system.clone());
        let written = self.store.conclude(envelope.id, enqueued.conclusion, self.clock.now());
        Concluding { opened, read, written }
    }
}

/// A conclusion on its way to the store.
struct Concluding<'s> {
    /// Exceptions that will be open once it is durable.
    opened: Vec<NewException>,
    /// The system to be read from.
    read: Option<String>,
    written: Answer<'s, Vec<StartedAttempt>>,
}

async fn load_mappings(store: &SharedStore, version: u64) -> Result<Arc<Mappings>, StoreError> {
    let mut rows = Vec::new();
    for table in Table::ALL.iter().copied() {
        for record in store.mapping_rows(table.as_str().to_owned()).await? {
            let destination = (!record.destination.is_empty()).then_some(record.destination);
            rows.push((table, MappingRow { key: record.key, value: record.value, destination }));
        }
    }
    Ok(Arc::new(Mappings::new(version, rows)))
}

/// Reads a stored envelope's record and processes it.
fn outcome_of(envelope: &StoredEnvelope, rules: &Rules, known: Option<Known<'_>>) -> Outcome {
    with_record(&envelope.body, &envelope.path, |record| match record {
        Ok(json) => guarded(&input(envelope, json), rules, known),
        Err(defect) => Outcome::parked(defect),
    })
}

fn input<'a>(envelope: &'a StoredEnvelope, json: &'a Json<'a>) -> Input<'a> {
    let kind = envelope.kind.parse().unwrap_or(RecordKind::Unknown);
    Input { origin: &envelope.origin, kind, event_name: envelope.event_name.as_deref(), json, later: true }
}

/// Finds the record at `path` of `body` and hands it to `then`; a body that cannot be read is a defect.
pub fn with_record<T>(body: &Bytes, path: &str, then: impl FnOnce(Result<&Json<'_>, Defect>) -> T) -> T {
    match json::parse(body, &Limits::default()) {
        Err(error) => then(Err(unreadable(&error))),
        Ok(whole) => match whole.pointer(path) {
            Some(record) => then(Ok(record)),
            None => then(Err(unreadable(&json::JsonError::Syntax { at: 0, reason: format!("nothing at {path}") }))),
        },
    }
}

/// The defect of a body that is not acceptable JSON.
pub fn unreadable(error: &json::JsonError) -> Defect {
    Defect {
        code: ExceptionCode::UnreadablePayload,
        path: String::new(),
        value: None,
        message: error.to_string(),
        remedy: "Correct the sender, then send the record again.".to_owned(),
        cause: match error {
            json::JsonError::Empty => "empty".to_owned(),
            json::JsonError::Syntax { .. } => "syntax".to_owned(),
            json::JsonError::Limit { what, .. } => format!("limit {what}"),
            json::JsonError::DuplicateName { name, .. } => format!("duplicate {name}"),
        },
    }
}

/// [`mod@step`] with our own mistakes kept to this record (POI-2).
pub fn guarded(input: &Input<'_>, rules: &Rules, known: Option<Known<'_>>) -> Outcome {
    let begun = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| step_knowing(input, rules, known))).unwrap_or_else(|panic| {
        let what = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "an assumption of ours".to_owned());
        tracing::error!(origin = input.origin, assumption = %what, "a record broke an assumption of ours and is parked");
        Outcome::parked(broken(&format!("processing this record broke an assumption of ours: {what}"), &what))
    });
    if begun.elapsed() > STEP_MAX {
        return Outcome::parked(broken("processing this record took longer than 5 s", "slow"));
    }
    bounds::within(outcome)
}

fn broken(message: &str, cause: &str) -> Defect {
    Defect {
        code: ExceptionCode::CrashedWorker,
        path: String::new(),
        value: None,
        message: message.to_owned(),
        remedy:
            "This is a fault of Crossdock: report it with the event id. The record is safe and can be replayed after \
                 an upgrade."
                .to_owned(),
        cause: cause.to_owned(),
    }
}
