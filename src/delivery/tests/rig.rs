//! The engine, its store, one or more destinations that do as they are told, and ears.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::Notify;

use crate::clock::{ManualClock, SeededEntropy, SharedClock};
use crate::delivery::{Delivery, DeliveryEvents, DestinationState, Finished, Settings};
use crate::destinations::double::Double;
use crate::destinations::{self, Destination, Guard};
use crate::envelope::ids::DeliveryId;
use crate::store::contract::build::{Maker, at};
use crate::store::sqlite::{Options, SqliteStore};
use crate::store::view::{DeliveryDetail, ExceptionRow, Paging};
use crate::store::write::NewException;
use crate::store::{ExceptionFilter, SharedStore};

pub const KEY: Guard = Guard::Key { window: Duration::from_hours(24) };

/// What the engine told.
#[derive(Default)]
pub struct Ears {
    told: Mutex<Told>,
    news: Notify,
}

#[derive(Default)]
pub struct Told {
    pub started: u32,
    pub finished: u32,
    pub settled: Vec<DeliveryId>,
    pub exceptions: Vec<String>,
    pub states: Vec<(String, &'static str)>,
    pub alarms: u32,
    pub ignored: u32,
}

impl Ears {
    fn hear(&self, change: impl FnOnce(&mut Told)) {
        change(&mut self.told.lock().unwrap());
        self.news.notify_waiters();
    }

    /// Waits until what was told satisfies.
    pub async fn until(&self, what: &str, satisfied: impl Fn(&Told) -> bool) {
        within(what, async {
            loop {
                let news = self.news.notified();
                if satisfied(&self.told.lock().unwrap()) {
                    return;
                }
                news.await;
            }
        })
        .await;
    }

    pub fn told<T>(&self, look: impl FnOnce(&Told) -> T) -> T {
        look(&self.told.lock().unwrap())
    }
}

impl DeliveryEvents for Ears {
    fn attempt_started(&self, _: &str, _: DeliveryId, _: u32) {
        self.hear(|told| told.started += 1);
    }
    fn attempt_finished(&self, _: &Finished<'_>) {
        self.hear(|told| told.finished += 1);
    }
    fn delivery_settled(&self, _: &str, delivery: DeliveryId, _: Duration) {
        self.hear(|told| told.settled.push(delivery));
    }
    fn exception_opened(&self, exception: &NewException) {
        self.hear(|told| told.exceptions.push(exception.code.clone()));
    }
    fn destination_state_changed(&self, destination: &str, state: &DestinationState) {
        self.hear(|told| told.states.push((destination.to_owned(), state.as_str())));
    }
    fn alarm(&self, _: &str, _: &str) {
        self.hear(|told| told.alarms += 1);
    }
    fn retry_after_ignored(&self, _: &str) {
        self.hear(|told| told.ignored += 1);
    }
}

/// Fails a test that would wait for ever.
pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(Duration::from_secs(15), work).await;
    waited.unwrap_or_else(|_| panic!("waited too long until {what}"))
}

/// Everything a test needs.
pub struct Rig {
    pub store: SharedStore,
    pub clock: Arc<ManualClock>,
    pub maker: Maker,
    pub ears: Arc<Ears>,
    pub delivery: Arc<Delivery>,
    pub folder: TempDir,
    doubles: HashMap<String, Double>,
}

/// A destination `erp` at the double, with a key guard.
pub fn settings(name: &str, double: &Double) -> destinations::Settings {
    destinations::Settings {
        guard: KEY,
        allow_private: vec!["127.0.0.0/8".parse().unwrap()],
        request_timeout: Duration::from_secs(5),
        ..destinations::Settings::new(name, &double.url())
    }
}

pub fn open(folder: &TempDir, clock: &Arc<ManualClock>) -> SharedStore {
    let options = Options { settle_wait: Duration::ZERO, ..Options::new(folder.path().join("store.db"), true) };
    Arc::new(SqliteStore::open(options, Arc::clone(clock) as SharedClock).expect("the store opens"))
}

pub fn start(
    store: &SharedStore,
    clock: &Arc<ManualClock>,
    ears: &Arc<Ears>,
    settings: Vec<destinations::Settings>,
) -> Arc<Delivery> {
    Delivery::start(
        Arc::clone(store),
        Arc::clone(clock) as SharedClock,
        Arc::new(SeededEntropy::new(9)),
        settings.into_iter().map(|one| Destination::new(one).map_err(|found| found.join("; ")).unwrap()).collect(),
        Settings { config_version: "c1".into(), poll: Duration::from_millis(50), sweep: Duration::from_millis(50) },
        Arc::clone(ears) as Arc<dyn DeliveryEvents>,
    )
}

impl Rig {
    /// One destination `erp`, bent as the test likes.
    pub async fn new(bend: impl Fn(&mut destinations::Settings)) -> Rig {
        Rig::with(&["erp"], |_, settings| bend(settings)).await
    }

    /// Several destinations.
    pub async fn with(names: &[&str], bend: impl Fn(&str, &mut destinations::Settings)) -> Rig {
        let mut doubles = HashMap::new();
        let mut all = Vec::new();
        for name in names {
            let double = Double::start().await;
            let mut one = settings(name, &double);
            bend(name, &mut one);
            all.push(one);
            doubles.insert((*name).to_owned(), double);
        }
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(at(5)));
        let store = open(&folder, &clock);
        let ears = Arc::new(Ears::default());
        let delivery = start(&store, &clock, &ears, all);
        Rig { store, clock, maker: Maker::default(), ears, delivery, folder, doubles }
    }

    pub fn erp(&self) -> &Double {
        self.at("erp")
    }

    pub fn at(&self, name: &str) -> &Double {
        &self.doubles[name]
    }

    /// An order that waits for `erp`; the engine is told.
    pub async fn order(&self, number: &str) -> DeliveryId {
        let (_, delivery) = self.maker.waiting(&self.store, number).await;
        self.delivery.wake();
        delivery
    }

    /// Time passes.
    pub fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
        self.delivery.wake();
    }

    /// Waits until so many attempts came to an outcome.
    pub async fn finished(&self, attempts: u32) {
        self.ears.until(&format!("{attempts} attempts are finished"), |told| told.finished >= attempts).await;
    }

    pub async fn row(&self, delivery: DeliveryId) -> DeliveryDetail {
        self.store.delivery(delivery).await.unwrap().expect("the delivery exists")
    }

    pub async fn exceptions(&self) -> Vec<ExceptionRow> {
        self.store.exceptions(ExceptionFilter::default(), Paging::default()).await.unwrap().items
    }

    /// The state of `erp`.
    pub fn state(&self) -> &'static str {
        self.delivery.status()[0].state.as_str()
    }

    /// Lets what must not happen have its chance: several looks of the dispatcher.
    pub async fn settle_down(&self) {
        for _ in 0..5 {
            self.delivery.wake();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Counts how often something was called.
#[derive(Default)]
pub struct Count(AtomicU32);

impl Count {
    pub fn add(&self) -> u32 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }

    pub fn get(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}
