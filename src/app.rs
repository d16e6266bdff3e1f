//! Composition root: builds store, rooms and servers from a configuration, and closes them in order.
//!
//! The only file that knows every room. `serve` is [`run`]; the tour and the tests call [`start`] and stop it
//! themselves. Opening: store → mappings → what an earlier run left open is settled → listening → ready. Closing is the
//! other way round (RUN-2).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::Router;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::access::Tokens;
use crate::api::idempotency::KeptAnswers;
use crate::api::rooms::Rooms;
use crate::api::{self, Api};
use crate::clock::{SharedClock, SharedEntropy, SystemClock, SystemEntropy, Timestamp};
use crate::config::{self, Config, ConfigVersion, DestinationSettings, Loaded, OriginSettings, StoreUrl};
use crate::delivery::{self, Delivery};
use crate::destinations::{self, Destination};
use crate::exceptions::replay::{Desk, Render};
use crate::intake::answer::Dialect;
use crate::intake::pressure::{Pace, Room};
use crate::intake::signature::Verifier;
use crate::intake::{self, Intake, Origin};
use crate::observe::{Event, Health, Metrics, Observer};
use crate::processor::rules::{OriginRules, ReadBack, Rules};
use crate::processor::{Processor, Wake};
use crate::server::{self, Server};
use crate::shutdown::{self, Timing};
use crate::store::sqlite::{self, SqliteStore};
use crate::store::{SharedStore, Store as _};

/// How often the service looks whether a verb beside it changed the mappings.
const MAPPINGS_POLL: Duration = Duration::from_secs(1);
/// How often the wall clock is compared with the steady one, and how far they may part meanwhile (RUN-5).
const CLOCK_LOOK: Duration = Duration::from_secs(1);
const CLOCK_JUMP_MIN: Duration = Duration::from_secs(1);
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
    intake: Arc<Intake>,
    health: Arc<Health>,
    servers: Vec<Server>,
    stopping: watch::Sender<bool>,
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
    running.stop(timing).await;
    tracing::info!("stopped");
    Ok(())
}

/// Opens everything; returns when the service is ready.
///
/// # Errors
/// When the store, a destination or an address cannot be used.
pub async fn start(loaded: Loaded, doors: Doors) -> anyhow::Result<Running> {
    let Loaded { config, version, .. } = loaded;
    let (fatal_sender, fatal) = mpsc::unbounded_channel();
    let (store, unclean) = open_store(&config, &doors, fatal_sender.clone(), true)?;
    let probed = store.clone();
    let health = Arc::new(Health::new().with_probe("store", move || probed.health()));
    let observer = Arc::new(Observer::new(Metrics::new()));

    let rules = rules(&config, &version);
    let processor = Processor::new(store.clone(), doors.clock.clone(), doors.entropy.clone(), rules);
    let processor = Arc::new(processor.watched_by(observer.clone()));
    processor.reload_mappings().await.context("the mapping tables cannot be read")?;
    let delivery = start_delivery(&config, &version, &store, &doors, observer.clone())?;
    delivery.recovered().await;

    let intake = Arc::new(intake_of(&config, &version, &store, &doors, &processor, &delivery, &observer)?);
    if unclean {
        tracing::warn!("the last run did not end in order: the express lane stays closed for a minute");
        intake.close_express_lane_for(EXPRESS_CLOSED_AFTER_DEATH);
    }
    let wake = waker(&delivery);
    let desk = Desk {
        store: store.clone(),
        processor: processor.clone(),
        clock: doors.clock.clone(),
        wake: wake.clone(),
        render: renderer(&config)?,
    };
    let profiles = config
        .destinations
        .iter()
        .map(|(name, settings)| (name.clone(), settings.profile.as_str().to_owned()))
        .collect();
    let rooms = Arc::new(Rooms { desk, delivery: delivery.clone(), observer: observer.clone(), profiles });
    let api = Api::new(api::Parts {
        store: store.clone(),
        clock: doors.clock.clone(),
        tokens: Tokens::new(store.clone(), doors.clock.clone()),
        engines: rooms,
        entropy: doors.entropy.clone(),
        observer: observer.clone(),
        health: health.clone(),
        config_version: version.as_str().to_owned(),
        store_path: match &config.store.url {
            StoreUrl::Sqlite(path) => Some(path.clone()),
            StoreUrl::Postgres(_) => None,
        },
        kept: KeptAnswers::default(),
    });
    let servers = listen(&config, intake::router(intake.clone()), &api).await?;
    let (stopping, stopped) = watch::channel(false);
    let tasks = vec![
        supervised("processor", processor.clone().run(wake, stopped.clone()), stopped.clone(), &health, &fatal_sender),
        supervised(
            "mappings",
            watch_mappings(processor.clone(), observer.clone(), stopped.clone()),
            stopped.clone(),
            &health,
            &fatal_sender,
        ),
        supervised(
            "clock",
            watch_clock(doors.clock.clone(), observer.clone(), stopped.clone()),
            stopped.clone(),
            &health,
            &fatal_sender,
        ),
    ];
    health.clear("recovering");
    let address = servers[0].address();
    let admin_address = servers.last().expect("there is at least one server").address();
    Ok(Running { address, admin_address, store, delivery, processor, intake, health, servers, stopping, tasks, fatal })
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
        on_fatal: Some(Arc::new(move |reason: &str| {
            let _ = fatal.send(reason.to_owned());
        })),
        ..sqlite::Options::new(path, exclusive)
    };
    let store = SqliteStore::open(options, doors.clock.clone()).context("the store cannot be opened")?;
    let unclean = store.report().settings.iter().any(|(name, value)| name == "previous_end" && value == "unclean");
    Ok((Arc::new(store), unclean))
}

/// The rules of a configuration, with no mappings yet.
pub fn rules(config: &Config, version: &ConfigVersion) -> Rules {
    let origins = config.origins.iter().map(|(name, origin)| (name.clone(), origin_rules(config, origin))).collect();
    let policies =
        config.destinations.iter().map(|(name, destination)| (name.clone(), destination.policies.clone())).collect();
    Rules {
        config_version: version.as_str().to_owned(),
        origins,
        routes: Arc::new(config.routes.clone()),
        policies: config.policies.clone(),
        destination_policies: policies,
        mappings: Arc::default(),
    }
}

fn origin_rules(config: &Config, origin: &OriginSettings) -> OriginRules {
    let read_back = match config.commerce.get(&origin.commerce).map(|commerce| commerce.read_back) {
        Some(config::ReadBack::Always) => ReadBack::Always,
        Some(config::ReadBack::WhenNeeded) => ReadBack::WhenNeeded,
        Some(config::ReadBack::Never) | None => ReadBack::Never,
    };
    OriginRules {
        system: origin.commerce.clone(),
        default_store_id: origin.default_store_id.map(|id| id.to_string()),
        read_back,
    }
}

fn intake_of(
    config: &Config,
    version: &ConfigVersion,
    store: &SharedStore,
    doors: &Doors,
    processor: &Arc<Processor>,
    delivery: &Arc<Delivery>,
    observer: &Arc<Observer>,
) -> anyhow::Result<Intake> {
    let origins: BTreeMap<String, Origin> = config
        .origins
        .values()
        .map(|settings| Ok((settings.name.clone(), origin(config, settings)?)))
        .collect::<anyhow::Result<_>>()?;
    let in_hand = usize::try_from(config.server.bodies_bytes_max).unwrap_or(usize::MAX);
    Ok(Intake {
        origins,
        store: store.clone(),
        clock: doors.clock.clone(),
        entropy: doors.entropy.clone(),
        processor: processor.clone(),
        delivery: delivery.clone(),
        observer: observer.clone(),
        room: Room::new(config.server.requests_max as usize, in_hand),
        body_timeout: config.server.body_timeout,
        open: AtomicBool::new(true),
        config_version: version.as_str().to_owned(),
        express_from: AtomicI64::new(0),
    })
}

fn origin(config: &Config, settings: &OriginSettings) -> anyhow::Result<Origin> {
    let verifier = Verifier::new(&settings.auth)
        .map_err(|problems| anyhow::anyhow!("origin {}: {}", settings.name, problems.join("; ")))?;
    Ok(Origin {
        name: settings.name.clone(),
        dialect: Dialect::from(settings.kind),
        verifier,
        event_id_header: settings.event_id_header.clone(),
        refuse_with_exception: settings.on_refused == config::OnRefused::Exception,
        grace: settings.grace,
        body_bytes_max: usize::try_from(config.body_bytes_max(settings)).unwrap_or(usize::MAX),
        handler_timeout: config.handler_timeout(settings),
        pace: settings.rate.as_ref().map(|rate| Pace::new(rate.count, rate.per)),
    })
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

fn destinations_of(config: &Config) -> anyhow::Result<Vec<Destination>> {
    let made = config.destinations.values().map(|settings| {
        destination(settings)
            .and_then(Destination::new)
            .map_err(|problems| anyhow::anyhow!("destination {}: {}", settings.name, problems.join("; ")))
    });
    made.collect()
}

/// Renders deliveries under a configuration without sending them; for the replay desk.
///
/// # Errors
/// When a destination cannot be used.
pub fn renderer(config: &Config) -> anyhow::Result<Render> {
    let destinations = destinations_of(config)?;
    Ok(Arc::new(move |due| {
        let destination = destinations.iter().find(|destination| destination.name() == due.destination)?;
        Some(destination.render(&due.document, &due.key))
    }))
}

fn destination(settings: &DestinationSettings) -> Result<destinations::Settings, Vec<String>> {
    let url = settings.url.as_ref().ok_or_else(|| vec!["url is missing".to_owned()])?;
    let networks = settings.allow_private.iter().map(|network| network.to_string().parse());
    let allow_private =
        networks.collect::<Result<_, _>>().map_err(|invalid| vec![format!("allow_private: {invalid}")])?;
    Ok(destinations::Settings {
        guard: match settings.guard {
            config::Guard::Key { window } => destinations::Guard::Key { window },
            config::Guard::Unique => destinations::Guard::Unique,
            config::Guard::Find => destinations::Guard::Find,
            config::Guard::None => destinations::Guard::None,
        },
        auth: match &settings.auth {
            config::OutboundAuth::None => destinations::OutboundAuth::None,
            config::OutboundAuth::Bearer { token } => destinations::OutboundAuth::Bearer(token.expose().clone()),
            config::OutboundAuth::Basic { user, password } => {
                destinations::OutboundAuth::Basic { user: user.clone(), password: password.expose().clone() }
            }
            config::OutboundAuth::Header { name, value } => {
                destinations::OutboundAuth::Header { name: name.to_string(), value: value.expose().clone() }
            }
        },
        connect_timeout: settings.connect_timeout,
        request_timeout: settings.request_timeout,
        concurrency: settings.concurrency,
        retry_delays: settings.retry_schedule.clone(),
        age_limit: settings.age_limit,
        allow_private,
        key_header: settings.idempotency_header.to_string(),
        find: settings.find.clone(),
        already_exists: settings.already_exists.clone(),
        ..destinations::Settings::new(&settings.name, url.as_str())
    })
}

fn waker(delivery: &Arc<Delivery>) -> Wake {
    let delivery = delivery.clone();
    Arc::new(move || delivery.wake())
}

/// One server for everything, or two when `admin_listen` is set.
async fn listen(config: &Config, intake: Router, api: &Api) -> anyhow::Result<Vec<Server>> {
    let settings = server::Settings {
        connections_max: config.server.connections_max as usize,
        header_timeout: config.server.header_timeout,
        idle_timeout: config.server.idle_timeout,
    };
    let public = intake.merge(api::health_router(api.clone()));
    let private = api::api_router(api.clone()).merge(api::metrics_router(api.clone()));
    let bind = async |address, router| {
        Server::start(address, api::finish(router, api.clone()), settings)
            .await
            .with_context(|| format!("cannot listen on {address}"))
    };
    Ok(match config.server.admin_listen {
        None => vec![bind(config.server.listen, public.merge(private)).await?],
        Some(address) => {
            let with_health = private.merge(api::health_router(api.clone()));
            vec![bind(config.server.listen, public).await?, bind(address, with_health).await?]
        }
    })
}

/// Runs a task whose end, before we stop, ends the process (RUN-3).
fn supervised(
    name: &'static str,
    task: impl Future<Output = ()> + Send + 'static,
    stopped: watch::Receiver<bool>,
    health: &Arc<Health>,
    fatal: &mpsc::UnboundedSender<String>,
) -> JoinHandle<()> {
    let (health, fatal) = (health.clone(), fatal.clone());
    tokio::spawn(async move {
        let ended = tokio::spawn(task).await;
        if *stopped.borrow() {
            return;
        }
        let how = ended.err().map_or_else(|| "ended".to_owned(), |error| error.to_string());
        health.task_died(name);
        let _ = fatal.send(format!("the internal task \"{name}\" {how}"));
    })
}

/// RUN-5: timers are monotonic, but signatures and `due_at` go by the wall; when it jumps somebody should know.
async fn watch_clock(clock: SharedClock, observer: Arc<Observer>, mut stopped: watch::Receiver<bool>) {
    let (mut wall, mut steady) = (clock.now(), Instant::now());
    loop {
        tokio::select! {
            () = tokio::time::sleep(CLOCK_LOOK) => {}
            _ = stopped.changed() => return,
        }
        let (wall_now, steady_now) = (clock.now(), Instant::now());
        if let Some(by) = jump(wall, wall_now, steady_now - steady) {
            observer.note(&Event::ClockJumped { by });
        }
        (wall, steady) = (wall_now, steady_now);
    }
}

/// How far the wall clock moved beyond what passed, if that is more than a second either way.
fn jump(before: Timestamp, after: Timestamp, passed: Duration) -> Option<Duration> {
    let moved = after.as_microsecond().saturating_sub(before.as_microsecond());
    let passed = i64::try_from(passed.as_micros()).unwrap_or(i64::MAX);
    let by = Duration::from_micros(moved.saturating_sub(passed).unsigned_abs());
    (by > CLOCK_JUMP_MIN).then_some(by)
}

async fn watch_mappings(processor: Arc<Processor>, observer: Arc<Observer>, mut stopped: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(MAPPINGS_POLL) => {}
            _ = stopped.changed() => return,
        }
        match processor.reload_mappings().await {
            Ok(true) => {
                observer.note(&Event::MappingsReloaded { version: processor.rules().mappings.version() });
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "the mapping tables could not be read; those in force stay"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    #[test]
    fn run_5_a_jump_of_the_wall_clock_is_noticed_either_way_and_a_drift_is_not() {
        let (start, second) = (from_micros(1_000_000_000), Duration::from_secs(1));
        let after = |micros: i64| from_micros(1_000_000_000 + micros);
        assert_eq!(jump(start, after(1_000_000), second), None);
        assert_eq!(jump(start, after(1_900_000), second), None, "a slow machine, not a jump");
        assert_eq!(jump(start, after(3_600_000_000), second), Some(Duration::from_secs(3_599)));
        assert_eq!(jump(start, after(-59_000_000), second), Some(Duration::from_mins(1)));
    }
}
