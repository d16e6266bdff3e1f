//! A stand-in Adobe Commerce on loopback: its REST interface, its events gateway and its journal.
//!
//! REST answers as a recorded engine did (the reference lists what was observed): the same statuses, texts, shapes and
//! oddities, checked against those recordings where they are at hand. Signed requests are verified by the server's own
//! rules. [`Gateway`] pushes events as Adobe's does, signed with two keys that rotate, and keeps the journal.
//!
//! Deliberately absent: a disk, and the writes that belong to what flows back (ship, invoice, refund).

mod accept;
mod answer;
mod beside;
#[cfg(test)]
mod exchanges;
mod fault;
mod gateway;
mod journal;
mod keys;
mod oauth;
mod routes;
mod search;
mod serve;
mod shop;
pub mod story;
#[cfg(test)]
mod tests;
mod tree;
mod writes;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

pub use fault::{Fault, Faults, Plan};
pub use gateway::{Event, Gateway, GatewaySettings, ORDER_SAVED, Pushes, Standing};
pub use oauth::Credentials;
pub use search::PageLimits;
pub use shop::Table;
pub use tree::Tree;

use crate::clock::{SharedClock, SharedEntropy, SystemClock, SystemEntropy};
use shop::Shop;

/// How this Commerce is set up.
#[derive(Clone)]
pub struct Settings {
    /// Its clock: timestamps of signatures, dates of orders.
    pub clock: SharedClock,
    /// Its chance.
    pub entropy: SharedEntropy,
    /// The integration that may call.
    pub credentials: Credentials,
    /// Whether the access token alone is taken as a bearer token; off unless someone switched it on.
    pub bearer: bool,
    /// Resources that the integration was not given.
    pub denied: Vec<String>,
    /// Name and password of the administrator.
    pub admin: (String, String),
    /// Input limiting.
    pub pages: PageLimits,
    /// When an order that was placed can be read.
    pub visible: Visible,
    /// Adobe's side of events.
    pub gateway: GatewaySettings,
}

/// When an order that was placed can be read; until then it answers 404 and no search finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visible {
    /// At once.
    AtOnce,
    /// This much later.
    After(Duration),
    /// When [`StandIn::save`] says so.
    WhenSaved,
}

impl Default for Settings {
    /// The system's clock, signed requests only, everything allowed, orders visible at once.
    fn default() -> Self {
        Settings {
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            credentials: Credentials::default(),
            bearer: false,
            denied: Vec::new(),
            admin: ("admin".to_owned(), "admin-password-1".to_owned()),
            pages: PageLimits::default(),
            visible: Visible::AtOnce,
            gateway: GatewaySettings::default(),
        }
    }
}

/// A running stand-in. Dropping it closes its port and every connection.
pub struct StandIn {
    address: SocketAddr,
    http: reqwest::Client,
    shared: Arc<Shared>,
    open: watch::Sender<bool>,
}

/// What connections share.
struct Shared {
    settings: Settings,
    shop: Mutex<Shop>,
    faults: Faults,
    maintenance: AtomicBool,
    adobe: gateway::State,
}

impl Shared {
    fn shop(&self) -> MutexGuard<'_, Shop> {
        // The shop is consistent after every call, so a panic elsewhere does not spoil it.
        self.shop.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_in_maintenance(&self) -> bool {
        self.maintenance.load(Ordering::SeqCst)
    }

    fn random_hex(&self) -> String {
        let mut bytes = [0; 16];
        self.settings.entropy.fill(&mut bytes);
        data_encoding::HEXLOWER.encode(&bytes)
    }
}

impl StandIn {
    /// Starts on a free port of loopback. Needs a tokio runtime.
    pub async fn start(settings: Settings) -> io::Result<StandIn> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let mut shop = Shop::default();
        shop.stores.extend(["all", "default"].map(str::to_owned));
        let shared = Arc::new(Shared {
            settings,
            shop: Mutex::new(shop),
            faults: Faults::default(),
            maintenance: AtomicBool::new(false),
            adobe: gateway::State::default(),
        });
        let (open, receiver) = watch::channel(true);
        tokio::spawn(serve::accept(listener, address, Arc::clone(&shared), receiver));
        // A redirect is an answer that is not followed, and loopback needs no proxy.
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
        let http = http.build().map_err(io::Error::other)?;
        Ok(StandIn { address, http, shared, open })
    }

    /// Where it listens, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The REST root, as configuration wants it.
    pub fn rest_url(&self) -> String {
        format!("{}/rest", self.url())
    }

    /// What an integration signs with.
    pub fn credentials(&self) -> &Credentials {
        &self.shared.settings.credentials
    }

    /// What pushes events and keeps the journal.
    pub fn gateway(&self) -> Gateway {
        Gateway { shared: Arc::clone(&self.shared), base: self.url(), http: self.http.clone() }
    }

    /// Where the journal is read.
    pub fn journal_url(&self) -> String {
        self.gateway().journal_url()
    }

    /// What goes wrong on request.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Maintenance mode, on or off.
    pub fn maintenance(&self, on: bool) {
        self.shared.maintenance.store(on, Ordering::SeqCst);
    }

    /// A store view that calls may name.
    pub fn add_store(&self, code: &str) {
        self.shared.shop().stores.insert(code.to_owned());
    }

    /// Places an order: `created_at` and `updated_at` are now, missing numbers are given. Its id and number.
    ///
    /// # Errors
    /// A sentence if it is not JSON.
    pub fn place(&self, order: &[u8]) -> Result<(u64, String), String> {
        let now = self.shared.settings.clock.now();
        Ok(self.shared.shop().place(Tree::parse(order)?, now, self.shared.settings.visible))
    }

    /// From now on the order can be read.
    pub fn save(&self, id: u64) {
        self.shared.shop().save(id);
    }

    /// Changes members of an order, which moves its `updated_at` to now; whether there is such an order.
    ///
    /// # Errors
    /// A sentence if it is not JSON.
    pub fn change(&self, id: u64, members: &[u8]) -> Result<bool, String> {
        let now = self.shared.settings.clock.now();
        Ok(self.shared.shop().change(id, &Tree::parse(members)?, now))
    }

    /// The order as it would be read, digits as they were placed.
    pub fn order(&self, id: u64) -> Option<Tree> {
        self.shared.shop().order(id)
    }

    /// Puts a row into a table as it is, merged into the one with the same key.
    ///
    /// # Errors
    /// A sentence if it is not JSON.
    pub fn put(&self, table: Table, row: &[u8]) -> Result<(), String> {
        let row = Tree::parse(row)?;
        self.shared.shop().put(table, &row);
        Ok(())
    }

    /// What a GET of exactly this path answers: `store/websites`, `bundle-products/SET/options/all`.
    ///
    /// # Errors
    /// A sentence if it is not JSON.
    pub fn put_document(&self, path: &str, document: &[u8]) -> Result<(), String> {
        let document = Tree::parse(document)?;
        self.shared.shop().put_document(path, document);
        Ok(())
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.open.send_replace(false);
    }
}
