//! The service as `app` composes it, without sockets and signals.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use tokio::sync::watch;

use super::erp::{self, KEY_WINDOW, REQUEST_TIMEOUT};
use super::workload::{API_KEY, HMAC_SECRET};
use super::world::{WallClock, World};
use crate::clock::{SharedClock, SharedEntropy};
use crate::config::{AuthSetting, Dated, Secret};
use crate::delivery::{self, Delivery};
use crate::destinations::{self, Destination, Guard};
use crate::domain::policy::Policies;
use crate::exceptions::replay::Desk;
use crate::intake::adobe::MissedPushes;
use crate::intake::answer::Dialect;
use crate::intake::heard::Heard;
use crate::intake::load::Load;
use crate::intake::pressure::Room;
use crate::intake::signature::Verifier;
use crate::intake::{self, Intake, Origin};
use crate::observe::{Metrics, Observer};
use crate::processor::rules::{OriginRules, ReadBack, Rules};
use crate::processor::{Processor, Wake};
use crate::routing::{DocumentKind, LanePolicy, Route};
use crate::store::sqlite::{Options, SqliteStore};
use crate::store::{SharedStore, Store as _, StoreError};

const EXPRESS_CLOSED_AFTER_DEATH: Duration = Duration::from_mins(1);

/// A running service.
pub struct Service {
    /// For what only this store can do.
    pub sqlite: Arc<SqliteStore>,
    /// The replay desk.
    pub desk: Desk,
    /// Processes.
    pub processor: Arc<Processor>,
    /// Takes requests.
    pub router: Router,
    delivery: Arc<Delivery>,
    intake: Arc<Intake>,
    stopping: watch::Sender<bool>,
    processing: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

impl Service {
    /// Opening, in the order of `app::start`.
    pub async fn start(world: &Arc<World>) -> Result<Service, StoreError> {
        let clock: SharedClock = Arc::new(WallClock(Arc::clone(&world.time)));
        let entropy: SharedEntropy =
            Arc::new(crate::clock::SeededEntropy::new(world.with(|state| state.chance.next())));
        let fatal = Arc::downgrade(world);
        let options = Options {
            entropy: Arc::clone(&entropy),
            on_fatal: Some(Arc::new(move |reason: &str| {
                if let Some(world) = fatal.upgrade() {
                    world.note(|| format!("fatal: {reason}"));
                    world.fatal.notify_one();
                }
            })),
            ..Options::new(PathBuf::from(world.disk.path("store.db")), true)
        };
        let sqlite = Arc::new(SqliteStore::open(options, Arc::clone(&clock))?);
        let unclean = sqlite.report().settings.iter().any(|(name, value)| name == "previous_end" && value == "unclean");
        let store: SharedStore = sqlite.clone();
        let observer = Arc::new(Observer::new(Metrics::new()));
        let processor = Processor::new(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&entropy), rules());
        let processor = Arc::new(processor.watched_by(Arc::clone(&observer)));
        if store.mappings_version().await? == 0 {
            super::people::import(world, &store, &clock).await?;
        }
        processor.reload_mappings().await?;
        let destinations = destinations(world);
        let poll = Duration::from_secs(5);
        let settings = delivery::Settings { config_version: "sim".to_owned(), poll, ..delivery::Settings::default() };
        let events = Arc::clone(&observer) as Arc<dyn delivery::DeliveryEvents>;
        let delivery = Delivery::start(
            Arc::clone(&store),
            Arc::clone(&clock),
            Arc::clone(&entropy),
            destinations,
            settings,
            events,
        );
        delivery.recovered().await;
        let intake = Arc::new(Intake {
            origins: origins(),
            store: Arc::clone(&store),
            clock: Arc::clone(&clock),
            missed_pushes: Arc::new(MissedPushes::new(Arc::clone(&clock))),
            entropy,
            processor: Arc::clone(&processor),
            delivery: Arc::clone(&delivery),
            observer,
            heard: Arc::new(Heard::new(clock.now())),
            load: Arc::new(Load::new(Room::new(intake::REQUESTS_MAX, intake::BODY_BYTES_IN_HAND_MAX), 1_024)),
            body_timeout: Duration::from_secs(10),
            open: AtomicBool::new(true),
            config_version: "sim".to_owned(),
            express_from: AtomicI64::new(0),
        });
        if unclean {
            intake.close_express_lane_for(EXPRESS_CLOSED_AFTER_DEATH);
        }
        let waking = Arc::clone(&delivery);
        let wake: Wake = Arc::new(move || waking.wake());
        let rendering = self::destinations(world);
        let desk = Desk {
            store,
            processor: Arc::clone(&processor),
            clock,
            wake: Arc::clone(&wake),
            render: Arc::new(move |due| {
                let there = rendering.iter().find(|destination| destination.name() == due.destination)?;
                there.render(&due.purpose, &due.document, &due.key, "").ok()
            }),
        };
        let (stopping, stopped) = watch::channel(false);
        let processing = tokio::spawn(Arc::clone(&processor).run(wake, stopped));
        tokio::spawn(watch_mappings(Arc::clone(&processor)));
        let router = intake::router(Arc::clone(&intake));
        let processing = Mutex::new(Some(processing));
        Ok(Service { sqlite, desk, processor, router, delivery, intake, stopping, processing })
    }

    /// The store by its port.
    pub fn store(&self) -> &SharedStore {
        &self.desk.store
    }

    /// Stops in order (RUN-2).
    pub async fn stop(&self) {
        self.intake.open.store(false, Ordering::Release);
        let _ = self.stopping.send(true);
        let processing = self.processing.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(processing) = processing {
            let _ = tokio::time::timeout(Duration::from_secs(2), processing).await;
        }
        self.delivery.stop(Duration::from_secs(15)).await;
        let _ = self.store().close().await;
    }

    /// A person opens every destination that is held.
    pub fn release(&self) {
        for status in self.delivery.status() {
            if status.state.as_str() == "held" {
                self.delivery.release(&status.name);
            }
        }
    }
}

/// As `app` does.
async fn watch_mappings(processor: Arc<Processor>) {
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let _ = processor.reload_mappings().await;
    }
}

fn destinations(world: &Arc<World>) -> Vec<Destination> {
    let path = world.with(|state| state.path);
    [("erp", Guard::Key { window: KEY_WINDOW }), ("wms", Guard::None)]
        .map(|(name, guard)| {
            let there = Arc::downgrade(world);
            let network: destinations::SimulatedNetwork = Arc::new(move |request| {
                let world = there.upgrade();
                Box::pin(async move {
                    match world {
                        Some(world) => erp::exchange(world, name, request).await,
                        None => std::future::pending().await,
                    }
                })
            });
            let settings = destinations::Settings {
                guard,
                request_timeout: REQUEST_TIMEOUT,
                concurrency: 4,
                retry_delays: [1, 3, 10, 30, 60, 120, 300, 300].map(Duration::from_secs).to_vec(),
                simulated: Some(network),
                // Plain, so that no certificates are read from the machine the test runs on.
                allow_private: vec!["127.0.0.0/8".parse().expect("a network")],
                ..destinations::Settings::new(name, &format!("http://127.0.0.1/{name}/{path}/orders"))
            };
            Destination::new(settings).map_err(|problems| problems.join("; ")).expect("settings that fit")
        })
        .into()
}

fn origins() -> BTreeMap<String, Origin> {
    let flows = AuthSetting::Header {
        name: http::HeaderName::from_static("x-api-key"),
        values: vec![Dated::always(Secret::new(API_KEY.to_owned()))],
    };
    let hooks = AuthSetting::Hmac {
        header: http::HeaderName::from_static("x-hmac-hash"),
        secrets: vec![Dated::always(Secret::new(HMAC_SECRET.to_owned()))],
    };
    let event_id = http::HeaderName::from_static("x-event-id");
    [("flows", Dialect::Patchworks, flows, Some(event_id)), ("hooks", Dialect::CommerceHook, hooks, None)]
        .into_iter()
        .map(|(name, dialect, auth, event_id_header)| {
            let origin = Origin {
                name: name.to_owned(),
                dialect,
                verifier: Verifier::new(&[auth]).map_err(|problems| problems.join("; ")).expect("keys that fit"),
                adobe: None,
                event_id_header,
                refuse_with_exception: false,
                grace: false,
                body_bytes_max: 1024 * 1024,
                handler_timeout: Duration::from_secs(8),
                pace: None,
            };
            (name.to_owned(), origin)
        })
        .collect()
}

fn rules() -> Rules {
    let origin = OriginRules {
        system: "acme".to_owned(),
        default_store_id: None,
        read_back: ReadBack::WhenNeeded,
        readable: false,
        wait_for_order: Duration::from_mins(15),
        to_commerce: false,
    };
    let route = Route {
        name: "orders".to_owned(),
        accepts: vec![DocumentKind::Order],
        to: vec!["erp".to_owned(), "wms".to_owned()],
        when: None,
        pause_on_storm: false,
        lane: LanePolicy::Hold,
    };
    Rules {
        config_version: "sim".to_owned(),
        origins: BTreeMap::from([("flows".to_owned(), origin.clone()), ("hooks".to_owned(), origin)]),
        routes: Arc::new(vec![route]),
        policies: Policies::default(),
        destination_policies: BTreeMap::new(),
        mappings: Arc::default(),
    }
}
