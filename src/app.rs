//! Composition root: builds store, rooms and servers from a configuration, and closes them in order.
//!
//! The only file that knows every room. `serve` is [`run`]; the tour and the tests call [`start`] and stop it
//! themselves. Opening: listening (not ready) → store → mappings → what an earlier run left open is settled → ready.
//! Closing is the other way round (RUN-2).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use crate::alerting::{self, Alerting};
use crate::api::idempotency::RunningCalls;
use crate::api::rooms::{CheckOrigin, Rooms};
use crate::api::state::Checked;
use crate::api::{self, Api};
use crate::catchup::CatchUp;
use crate::clock::{SharedClock, SharedEntropy, SystemClock, SystemEntropy};
use crate::commerce::rest::SharedRest;
use crate::config::{self, Config, ConfigVersion, Loaded, StoreUrl};
use crate::console::{self, Console};
use crate::delivery::{self, Delivery};
use crate::exceptions::bulk::running;
use crate::exceptions::replay::Desk;
use crate::incidents;
use crate::intake::heard::{Heard, Keeper};
use crate::intake::{self, Intake};
use crate::keeping::{self, backups, retention};
use crate::observe::disk::DiskSpace;
use crate::observe::{Health, Metrics, Observer};
use crate::processor::{Processor, Wake};
use crate::reading::ReadBack;
use crate::routing::Route;
use crate::search::Indexer;
use crate::server::{self, Server};
use crate::shutdown::{self, Timing};
use crate::store::seal::Keys;
use crate::store::sqlite::{self, SqliteStore};
use crate::store::{SharedStore, Store as _, StoreError};
use crate::watch::shedding::Shedding;
use crate::watch::storms::Pausing;
use crate::watch::{self, disk as watch_disk};

mod build;
pub mod registering;

use build::{access_of, catalogues_of, intake_of, provider_of};
pub use build::{catalogues_kept, commerce_of, contacts, destination_of, destinations_of, doors_of, renderer, rules};

/// POI-1: how long the express lane stays closed after an unclean end.
const EXPRESS_CLOSED_AFTER_DEATH: Duration = Duration::from_mins(1);

/// The doors to now and to chance; tests bring their own.
#[derive(Clone)]
pub struct Doors {
    /// Wall time.
    pub clock: SharedClock,
    /// Randomness.
    pub entropy: SharedEntropy,
}

impl Default for Doors {
    fn default() -> Self {
        Doors { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy) }
    }
}

/// A running service.
pub struct Running {
    /// Where intake (and, without `admin_listen`, everything) listens.
    pub address: SocketAddr,
    /// Where API and metrics listen.
    pub admin_address: SocketAddr,
    /// The store, for tests and the tour.
    pub store: SharedStore,
    /// The delivery worker, for tests and the tour.
    pub delivery: Arc<Delivery>,
    /// The processor, for tests and the tour.
    pub processor: Arc<Processor>,
    /// The way in, for tests: orders that were read by somebody else.
    pub intake: Arc<Intake>,
    health: Arc<Health>,
    servers: Vec<Server>,
    stopping: tokio::sync::watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    fatal: mpsc::UnboundedReceiver<String>,
}

/// Serves until a signal asks to stop or something inside fails for good.
///
/// # Errors
/// When the service cannot start, or ended because an internal task or the store failed.
pub async fn run(loaded: Loaded) -> anyhow::Result<()> {
    let timing = Timing {
        linger: loaded.config.server.drain_intake,
        deliveries: loaded.config.server.drain_requests,
        ..Timing::default()
    };
    let asked = shutdown::requested();
    let mut running = start(loaded, Doors::default()).await?;
    tracing::info!(listen = %running.address, admin = %running.admin_address, "crossdock is ready");
    let failure = tokio::select! {
        () = asked => None,
        failure = running.failed() => Some(failure),
    };
    if let Some(failure) = failure {
        // Whatever failed, no acknowledged event lives only in memory: the next start settles the rest.
        tracing::error!(reason = failure, "crossdock ends because something inside failed");
        bail!(failure);
    }
    shutdown::exit_on_second_request();
    tracing::info!("asked to stop: no longer ready");
    if tokio::time::timeout(timing.whole(), running.stop(timing)).await.is_err() {
        // Safe like a second signal: nothing that was acknowledged lives only in memory (P1, ATT-1).
        tracing::warn!("stopping took too long; the next start settles what is left");
    }
    tracing::info!("stopped");
    Ok(())
}

/// What of the machine tests replace.
#[derive(Clone, Default)]
pub struct Machine {
    /// Asks the store's disk for its room; the machine itself where there is none.
    pub disk: Option<watch_disk::Probe>,
    /// Commerce instances by name, in place of those the configuration says how to reach.
    pub commerce: BTreeMap<String, SharedRest>,
    /// Rung when pushes are known to be lost: Commerce is searched at once.
    pub missed: Arc<Notify>,
}

/// Opens everything; returns when the service is ready.
///
/// # Errors
/// When the store, a destination or an address cannot be used.
pub async fn start(loaded: Loaded, doors: Doors) -> anyhow::Result<Running> {
    start_on(loaded, doors, Machine::default()).await
}

/// As [`start`], on a machine that tests bend.
///
/// # Errors
/// When the store, a destination or an address cannot be used.
pub async fn start_on(loaded: Loaded, doors: Doors, machine: Machine) -> anyhow::Result<Running> {
    let opened: Arc<OnceLock<SharedStore>> = Arc::default();
    let probed = opened.clone();
    let copies = loaded.config.store.backup.as_ref().map(|backup| backup.dir.clone());
    let store_health = move || {
        let Some(store) = probed.get() else { return Ok(()) };
        store.health().map_err(|reason| match &copies {
            Some(dir) if store.is_damaged() => backups::would_restore(&reason, dir),
            _ => reason,
        })
    };
    let health = Arc::new(Health::new().with_probe("store", store_health));
    // Before anything is looked at: who asks meanwhile hears that we live and why we are not ready (RUN-1).
    let servers = listen(&loaded.config, &watch::starting::router(health.clone())).await?;
    match open_all(loaded, doors, machine, &health, &opened, &servers).await {
        Ok(opened) => Ok(opened.running(servers, health)),
        Err(error) => {
            for server in servers {
                server.stop(Duration::ZERO).await;
            }
            Err(error)
        }
    }
}

/// Everything but the servers.
struct Opened {
    store: SharedStore,
    delivery: Arc<Delivery>,
    processor: Arc<Processor>,
    intake: Arc<Intake>,
    stopping: tokio::sync::watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    fatal: mpsc::UnboundedReceiver<String>,
}

impl Opened {
    fn running(self, servers: Vec<Server>, health: Arc<Health>) -> Running {
        let Opened { store, delivery, processor, intake, stopping, tasks, fatal } = self;
        let address = servers[0].address();
        let admin_address = servers.last().expect("there is at least one server").address();
        Running { address, admin_address, store, delivery, processor, intake, health, servers, stopping, tasks, fatal }
    }
}

async fn open_all(
    loaded: Loaded,
    doors: Doors,
    machine: Machine,
    health: &Arc<Health>,
    opened: &OnceLock<SharedStore>,
    servers: &[Server],
) -> anyhow::Result<Opened> {
    let Loaded { config, version, .. } = loaded;
    let (fatal_sender, fatal) = mpsc::unbounded_channel();
    let (config, fatal_of_store, doors_of_store) = (Arc::new(config), fatal_sender.clone(), doors.clone());
    let opening = config.clone();
    let path = store_path(&config);
    let probe = machine.disk.unwrap_or_else(|| disk_of(path.clone()));
    watch_disk::make_room(&probe, path.as_deref().and_then(|path| ballast(&config, path)).as_ref());
    // Checks may take their time, and the servers answer meanwhile.
    let open = move || open_store(&opening, &doors_of_store, fatal_of_store, true);
    let (store, unclean) = tokio::task::spawn_blocking(open).await??;
    let _ = opened.set(store.clone());
    let (heard_sender, heard) = mpsc::channel(watch::storms::HEARD_MAX);
    let alarm = Arc::new(Notify::new());
    let observer = Arc::new(Observer::new(Metrics::new()).heard_by(heard_sender).ringing(alarm.clone()));

    keeping::after_restore(&store, &config.store.erased_lists, doors.clock.now(), health).await?;

    let instances = match machine.commerce {
        none if none.is_empty() => commerce_of(&config, &doors.clock, &doors.entropy)?,
        brought => brought,
    };
    let rules = rules(&config, &version).reading_from(instances.keys());
    let processor = Processor::new(store.clone(), doors.clock.clone(), doors.entropy.clone(), rules);
    let catalogues = catalogues_of(&config, &instances, &store, &doors, &observer);
    let catalogues = catalogues.await?;
    catalogues.refresh_shops();
    let processor = processor.watched_by(observer.clone()).knowing(catalogues);
    let processor = Arc::new(processor);
    processor.reload_mappings().await.context("the mapping tables cannot be read")?;
    let delivery = start_delivery(&config, &version, &store, &doors, observer.clone())?;
    delivery.recovered().await;
    keeping::restored(&store, health, &observer).await?;

    let origins_heard = Heard::open(&store, doors.clock.now()).await.context("who was heard cannot be read")?;
    let intake = intake_of(&config, &version, &store, &doors, &processor, &delivery, (&observer, origins_heard))?;
    let intake = Arc::new(intake);
    if unclean {
        tracing::warn!("the last run did not end in order: the express lane stays closed for a minute");
        intake.close_express_lane_for(EXPRESS_CLOSED_AFTER_DEATH);
    }
    let bell = Arc::new(Notify::new());
    let wake = waker(&delivery, &bell);
    let journals = build::journals_of(&config, &doors, &store, &intake, &machine.missed)?;
    let poller = build::poller_of(&config, &store, &doors, &intake);
    let catchup = CatchUp {
        store: store.clone(),
        clock: doors.clock.clone(),
        entropy: doors.entropy.clone(),
        intake: intake.clone(),
        observer: observer.clone(),
        missed: machine.missed,
        instances: build::swept(&config, &instances),
    };
    let reading = ReadBack {
        store: store.clone(),
        clock: doors.clock.clone(),
        entropy: doors.entropy.clone(),
        intake: intake.clone(),
        observer: observer.clone(),
        bell,
        instances,
    };
    let destinations = Arc::new(destinations_of(&config)?);
    let repairs = Desk {
        store: store.clone(),
        processor: processor.clone(),
        clock: doors.clock.clone(),
        wake: wake.clone(),
        render: renderer(&destinations),
    };
    let profiles = config
        .destinations
        .iter()
        .map(|(name, settings)| (name.clone(), settings.profile.as_str().to_owned()))
        .collect();
    let alerting = Arc::new(Alerting::new(alerting::Parts {
        contacts: contacts(&config)?,
        store: store.clone(),
        clock: doors.clock.clone(),
        entropy: doors.entropy.clone(),
        observer: observer.clone(),
        delivery: delivery.clone(),
        health: health.clone(),
        bell: alarm,
    }));
    let carrying = running::Runner {
        desk: repairs.clone(),
        entropy: doors.entropy.clone(),
        observer: observer.clone(),
        pace: running::Pace::default(),
    };
    let rooms = Arc::new(Rooms {
        desk: repairs,
        delivery: delivery.clone(),
        observer: observer.clone(),
        profiles,
        destinations,
        doors: doors_of(&config),
        heard: intake.heard.clone(),
        check: check(&config, servers),
        alerting: alerting.clone(),
    });
    let access = Arc::new(access_of(&config, &store, &doors));
    access.hasher.prepare().await;
    let api = Api::new(api::Parts {
        store: store.clone(),
        clock: doors.clock.clone(),
        access: access.clone(),
        provider: provider_of(&config, &doors)?,
        engines: rooms,
        entropy: doors.entropy.clone(),
        observer: observer.clone(),
        health: health.clone(),
        config_version: version.as_str().to_owned(),
        store_path: path.clone(),
        due: config.exceptions.due,
        bulk: config.exceptions.bulk,
        running: RunningCalls::default(),
    });
    let incidents = incidents::Watcher::new(
        store.clone(),
        doors.clock.clone(),
        doors.entropy.clone(),
        delivery.clone(),
        observer.clone(),
    );
    let (stopping, stopped) = tokio::sync::watch::channel(false);
    let keepers_observer = observer.clone();
    let watched = watch::Watched {
        clock: doors.clock.clone(),
        store: store.clone(),
        processor: processor.clone(),
        delivery: delivery.clone(),
        load: intake.load.clone(),
        observer,
        health: health.clone(),
        ballast: path.as_deref().and_then(|path| ballast(&config, path)),
        disk: probe,
        pausing: pausing(&config),
        opened: heard,
        incidents: incidents.await.context("incidents cannot be read")?,
    };
    let supervisor = watch::Supervisor { stopped, fatal: fatal_sender };
    let mut tasks = watch::start(watched, wake, &supervisor);
    let keepers = keepers(&config, &store, &doors, &keepers_observer, &supervisor.stopped);
    let keeper = Keeper { heard: intake.heard.clone(), store: store.clone(), clock: doors.clock.clone() };
    let keeper = tokio::spawn(keeper.run(supervisor.stopped.clone()));
    tasks.push(watch::supervised("heard", keeper, &supervisor, health));
    tasks.extend(keepers.map(|(name, keeper)| watch::supervised(name, tokio::spawn(keeper), &supervisor, health)));
    let carrying = tokio::spawn(carrying.run(supervisor.stopped.clone()));
    tasks.push(watch::supervised("bulk acts", carrying, &supervisor, health));
    tasks.extend((!reading.instances.is_empty()).then(|| {
        let reading = tokio::spawn(reading.run(supervisor.stopped.clone()));
        watch::supervised("reading", reading, &supervisor, health)
    }));
    tasks.extend((!catchup.instances.is_empty()).then(|| {
        let catchup = tokio::spawn(catchup.run(supervisor.stopped.clone()));
        watch::supervised("catchup", catchup, &supervisor, health)
    }));
    tasks.extend((!alerting.is_idle()).then(|| {
        let alerting = tokio::spawn(alerting.run(supervisor.stopped.clone()));
        watch::supervised("alerting", alerting, &supervisor, health)
    }));
    tasks.extend(journals.map(|journals| {
        let journals = tokio::spawn(journals.run(supervisor.stopped.clone()));
        watch::supervised("journals", journals, &supervisor, health)
    }));
    tasks.extend(poller.map(|poller| {
        let poller = tokio::spawn(poller.run(supervisor.stopped.clone()));
        watch::supervised("poller", poller, &supervisor, health)
    }));
    let console = build::console_of(&api);
    let live = console.live.clone().watch(api.clone(), supervisor.stopped.clone());
    tasks.push(watch::supervised("console", tokio::spawn(live), &supervisor, health));
    serve(servers, &intake, &api, console, &doors);
    health.clear("recovering");
    Ok(Opened { store, delivery, processor, intake, stopping, tasks, fatal })
}

/// What tries an origin's way in, for whoever asks to.
fn check(config: &Arc<Config>, servers: &[Server]) -> CheckOrigin {
    let config = config.clone();
    let listens = servers.first().map(|server| format!("http://{}", server.address())).unwrap_or_default();
    Arc::new(move |name: String| {
        let (config, listens) = (config.clone(), listens.clone());
        Box::pin(async move {
            let origin = config.origins.get(&name)?;
            let lines = registering::check(&config, origin, &listens).await;
            let lines = lines.unwrap_or_else(|error| {
                vec![registering::Line::new("failed", &name, "configuration", format!("{error:#}"))]
            });
            let told = lines.into_iter().map(|line| {
                let registering::Line { verdict, what, detail, .. } = line;
                Checked { verdict, what, detail }
            });
            Some(told.collect())
        })
    })
}

fn store_path(config: &Config) -> Option<PathBuf> {
    match &config.store.url {
        StoreUrl::Sqlite(path) => Some(path.clone()),
        StoreUrl::Postgres(_) => None,
    }
}

fn disk_of(path: Option<PathBuf>) -> watch_disk::Probe {
    Arc::new(move || path.as_deref().and_then(DiskSpace::of))
}

fn ballast(config: &Config, store: &Path) -> Option<watch_disk::Ballast> {
    watch_disk::Ballast::new(watch::ballast_path(store), config.store.ballast_bytes)
}

fn pausing(config: &Config) -> Vec<Pausing> {
    let routes = config.routes.iter().filter(|route| route.pause_on_storm);
    let each = |route: &Route| {
        let of = |to: &String| Pausing { route: route.name.clone(), destination: to.clone() };
        route.to.iter().map(of).collect::<Vec<_>>()
    };
    routes.flat_map(each).collect()
}

/// The tasks that keep the store: retention, the index behind the search, copies where they are configured.
fn keepers(
    config: &Config,
    store: &SharedStore,
    doors: &Doors,
    observer: &Arc<Observer>,
    stopped: &tokio::sync::watch::Receiver<bool>,
) -> impl Iterator<Item = (&'static str, Pin<Box<dyn Future<Output = ()> + Send>>)> {
    let retention = retention::Retention {
        settings: config.retention,
        store: store.clone(),
        clock: doors.clock.clone(),
        observer: observer.clone(),
    };
    let retention: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(retention.run(stopped.clone()));
    let copies = match (&config.store.backup, &config.store.url) {
        (Some(settings), StoreUrl::Sqlite(path)) => {
            let backups = backups::Backups {
                settings: settings.clone(),
                path: path.clone(),
                store: store.clone(),
                keys: Arc::new(keys(config)),
                clock: doors.clock.clone(),
                observer: observer.clone(),
            };
            let task: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(backups.run(stopped.clone()));
            Some(("backups", task))
        }
        _ => None,
    };
    let indexer = Indexer { store: store.clone(), clock: doors.clock.clone() };
    let indexer: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(indexer.run(stopped.clone()));
    [("retention", retention), ("search", indexer)].into_iter().chain(copies)
}

/// What bodies are encrypted with.
pub fn keys(config: &Config) -> Keys {
    Keys::new(config.store.encryption_keys.iter().map(config::Secret::expose))
}

impl Running {
    /// Resolves when something failed that only a restart can mend (ACK-6, RUN-3).
    pub async fn failed(&mut self) -> String {
        self.fatal.recv().await.unwrap_or_else(|| "every internal task has gone".to_owned())
    }

    /// Stops in order (RUN-2).
    pub async fn stop(self, timing: Timing) {
        self.health.hold("draining", "the service is stopping");
        tokio::time::sleep(timing.linger).await;
        self.intake.open.store(false, Ordering::Release);
        let _ = self.stopping.send(true);
        // At once, each within its own time, so that the sum stays inside what RUN-2 allows: nothing new is leased while
        // the last answers leave. An express delivery that comes now is left to the next start.
        let servers = async {
            for server in self.servers.into_iter().map(|server| tokio::spawn(server.stop(timing.connections))) {
                let _ = server.await;
            }
        };
        let tasks = async {
            for task in self.tasks {
                let _ = tokio::time::timeout(Duration::from_secs(2), task).await;
            }
        };
        tokio::join!(servers, tasks, self.delivery.stop(timing.deliveries));
        if let Err(error) = self.store.close().await {
            tracing::error!(%error, "the store did not close cleanly; the next start recovers");
        }
    }
}

/// Opens the store of a configuration, for the service (`exclusive`) or for a verb beside it. The flag says whether the
/// run before ended without closing.
///
/// # Errors
/// When it cannot be used; the message says why.
pub fn open_store(
    config: &Config,
    doors: &Doors,
    fatal: mpsc::UnboundedSender<String>,
    exclusive: bool,
) -> anyhow::Result<(SharedStore, bool)> {
    let StoreUrl::Sqlite(path) = &config.store.url else {
        bail!("this version stores in SQLite only: set store.url = \"sqlite:…\"");
    };
    let options = sqlite::Options {
        queue: config.server.commit_queue_max as usize,
        entropy: doors.entropy.clone(),
        keys: Arc::new(keys(config)),
        on_fatal: Some(Arc::new(move |reason: &str| {
            let _ = fatal.send(reason.to_owned());
        })),
        ..sqlite::Options::new(path, exclusive)
    };
    let store = SqliteStore::open(options, doors.clock.clone())
        .map_err(|error| with_copy(error, config))
        .context("the store cannot be opened")?;
    let unclean = store.report().settings.iter().any(|(name, value)| name == "previous_end" && value == "unclean");
    Ok((Arc::new(store), unclean))
}

/// BAK-4: damage, and which copy would be used.
fn with_copy(error: StoreError, config: &Config) -> StoreError {
    match (error, &config.store.backup) {
        (StoreError::Corrupt(reason), Some(settings)) => {
            StoreError::Corrupt(backups::would_restore(&reason, &settings.dir))
        }
        (error, _) => error,
    }
}

fn start_delivery(
    config: &Config,
    version: &ConfigVersion,
    store: &SharedStore,
    doors: &Doors,
    observer: Arc<Observer>,
) -> anyhow::Result<Arc<Delivery>> {
    let destinations = destinations_of(config)?;
    let settings = delivery::Settings { config_version: version.as_str().to_owned(), ..delivery::Settings::default() };
    Ok(Delivery::start(store.clone(), doors.clock.clone(), doors.entropy.clone(), destinations, settings, observer))
}

fn waker(delivery: &Arc<Delivery>, bell: &Arc<Notify>) -> Wake {
    let (delivery, bell) = (delivery.clone(), bell.clone());
    Arc::new(move || {
        delivery.wake();
        bell.notify_waiters();
    })
}

/// One server for everything, or two when `admin_listen` is set; all of them serve `router` for now.
async fn listen(config: &Config, router: &Router) -> anyhow::Result<Vec<Server>> {
    let settings = server::Settings {
        connections_max: config.server.connections_max as usize,
        header_timeout: config.server.header_timeout,
        idle_timeout: config.server.idle_timeout,
    };
    let mut servers: Vec<Server> = Vec::new();
    for address in [Some(config.server.listen), config.server.admin_listen].into_iter().flatten() {
        match Server::start(address, router.clone(), settings).await {
            Ok(server) => servers.push(server),
            Err(error) => {
                for server in servers {
                    server.stop(Duration::ZERO).await;
                }
                return Err(error).with_context(|| format!("cannot listen on {address}"));
            }
        }
    }
    Ok(servers)
}

/// From now on the servers serve the service proper.
fn serve(servers: &[Server], intake: &Arc<Intake>, api: &Api, console: Console, doors: &Doors) {
    let (load, clock, entropy) = (intake.load.clone(), doors.clock.clone(), doors.entropy.clone());
    let shedding = from_fn_with_state(Shedding { load, clock, entropy }, watch::shedding::queries);
    let public = intake::router(intake.clone()).merge(api::health_router(api.clone()));
    let private = api::api_router(api.clone()).merge(console::router(console)).layer(shedding);
    let private = private.merge(api::metrics_router(api.clone()));
    match servers {
        [only] => only.serve(api::finish(public.merge(private), api.clone())),
        servers => {
            let with_health = private.merge(api::health_router(api.clone()));
            for (server, router) in servers.iter().zip([public, with_health]) {
                server.serve(api::finish(router, api.clone()));
            }
        }
    }
}
