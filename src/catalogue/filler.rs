//! Asking Commerce for what is missing.
//!
//! Orders wait together: what they want is gathered, asked for in calls of fifty, and told to all of them. One order waits
//! for a set time at most; the asking itself goes on, so that the next order finds what this one missed. After a failure
//! nobody waits for a while: a Commerce that is down costs each order nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::needs::Needs;
use super::shelf::{Bounds, Shelf};
use super::shop;
use crate::clock::SharedClock;
use crate::commerce::product;
use crate::commerce::rest::{Call, Reply, Rest, RestError, SharedRest};
use crate::domain::catalogue::{Attribute, Product};
use crate::json::{self, Json, Limits};
use crate::observe::{Event, Metrics, Observer};
use crate::store::{SharedStore, StoreError};

/// Ids in one call.
const BATCH: usize = 50;
/// After a failure nobody waits, and nothing is asked for, this long.
const RESTING: Duration = Duration::from_secs(10);

/// How one Commerce instance's catalogue is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// An order waits this long and no longer.
    pub wait: Duration,
    /// How long and how much is kept.
    pub bounds: Bounds,
}

/// The catalogues of all instances that have one.
pub struct Catalogues {
    shelf: Shelf,
    systems: BTreeMap<String, System>,
    store: SharedStore,
    clock: SharedClock,
    observer: Arc<Observer>,
}

struct System {
    rest: SharedRest,
    wait: Duration,
    asking: Mutex<Asking>,
    answered: Notify,
}

#[derive(Default)]
struct Asking {
    /// The short lists of the shop are asked for at the moment.
    shop: bool,
    wanted: Needs,
    under_way: Needs,
    running: bool,
    resting_until: Option<Instant>,
}

impl System {
    fn asking(&self) -> MutexGuard<'_, Asking> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_resting(&self) -> bool {
        self.asking().resting_until.is_some_and(|until| Instant::now() < until)
    }
}

impl Asking {
    /// The next call's worth; `None` when nothing is left.
    fn next(&mut self) -> Option<Needs> {
        let batch = Needs {
            products: first(&mut self.wanted.products),
            attributes: first(&mut self.wanted.attributes),
            ..Needs::default()
        };
        self.running = !batch.is_empty();
        self.under_way = batch.clone();
        self.running.then_some(batch)
    }
}

fn first(ids: &mut BTreeSet<u64>) -> BTreeSet<u64> {
    let batch: BTreeSet<u64> = ids.iter().copied().take(BATCH).collect();
    ids.retain(|id| !batch.contains(id));
    batch
}

impl Catalogues {
    /// Catalogues of these instances, with what the store kept of them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn open(
        instances: BTreeMap<String, (SharedRest, Settings)>,
        store: SharedStore,
        clock: SharedClock,
        observer: Arc<Observer>,
    ) -> Result<Arc<Self>, StoreError> {
        let bounds = instances.iter().map(|(system, (_, settings))| (system.clone(), settings.bounds)).collect();
        let shelf = Shelf::new(bounds);
        if !instances.is_empty() {
            shelf.load(store.known().await?);
        }
        let of = |(rest, settings): (SharedRest, Settings)| System {
            rest,
            wait: settings.wait,
            asking: Mutex::default(),
            answered: Notify::new(),
        };
        let systems = instances.into_iter().map(|(system, instance)| (system, of(instance))).collect();
        Ok(Arc::new(Catalogues { shelf, systems, store, clock, observer }))
    }

    /// Has the short lists of every shop asked for that are not known, or only from long ago. Nobody waits for them.
    pub fn refresh_shops(self: &Arc<Self>) {
        for (system, of) in &self.systems {
            if !self.shelf.wants_shop(system, self.clock.now()) || of.is_resting() {
                continue;
            }
            if std::mem::replace(&mut of.asking().shop, true) {
                continue;
            }
            let (shared, system, rest) = (self.clone(), system.clone(), of.rest.clone());
            tokio::spawn(async move { shared.ask_for_shop(&system, &*rest).await });
        }
    }

    async fn ask_for_shop(&self, system: &str, rest: &dyn Rest) {
        match shop::fetch(rest).await {
            Ok(shop) => {
                let kept = self.shelf.put_shop(system, shop, self.clock.now());
                if let Err(error) = self.store.keep_known(kept.into_iter().collect(), Vec::new()).await {
                    tracing::warn!(%error, "what Commerce said of its shop is not kept over a restart");
                }
            }
            Err(error) => {
                tracing::debug!(system, %error, "the lists of the shop could not be read");
                // As after any failure: asked for again in a while, not at once.
                tokio::time::sleep(RESTING).await;
            }
        }
        if let Some(of) = self.systems.get(system) {
            of.asking().shop = false;
        }
    }

    /// What the store kept, and nobody to ask: for verbs beside a service.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn kept(
        instances: BTreeMap<String, Settings>,
        store: SharedStore,
        clock: SharedClock,
    ) -> Result<Arc<Self>, StoreError> {
        let nobody = |(system, settings): (String, Settings)| {
            let rest: SharedRest = Arc::new(Nobody(system.clone()));
            (system, (rest, settings))
        };
        let instances = instances.into_iter().map(nobody).collect();
        Catalogues::open(instances, store, clock, Arc::new(Observer::new(Metrics::new()))).await
    }

    /// What is known.
    pub fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// Whether it makes sense to wait for what is wanting.
    pub fn is_worth_waiting(self: &Arc<Self>, system: &str, wanting: &Needs) -> bool {
        self.refresh_shops();
        let worth = !wanting.is_empty() && self.systems.get(system).is_some_and(|system| !system.is_resting());
        self.observer.note(&Event::CatalogueRead { found: wanting.is_empty() });
        worth
    }

    /// Has what is wanting fetched, and waits for it: until it is known, Commerce failed, or the time is over.
    pub async fn fill(self: &Arc<Self>, system: &str, wanting: &Needs) {
        let Some(of) = self.systems.get(system) else { return };
        let filled = async {
            loop {
                let answered = of.answered.notified();
                let left = self.shelf.wanting(system, wanting, self.clock.now());
                if left.is_empty() || of.is_resting() {
                    return;
                }
                self.ask(system, of, &left);
                answered.await;
            }
        };
        if tokio::time::timeout(of.wait, filled).await.is_err() {
            tracing::warn!(system, "the catalogue did not answer in time: an order goes on without it");
        }
    }

    fn ask(self: &Arc<Self>, system: &str, of: &System, wanting: &Needs) {
        let mut asking = of.asking();
        let new =
            |ids: &BTreeSet<u64>, under_way: &BTreeSet<u64>| ids.difference(under_way).copied().collect::<Vec<_>>();
        let products = new(&wanting.products, &asking.under_way.products);
        let attributes = new(&wanting.attributes, &asking.under_way.attributes);
        asking.wanted.products.extend(products);
        asking.wanted.attributes.extend(attributes);
        if !asking.running {
            asking.running = true;
            drop(asking);
            let (shared, system) = (self.clone(), system.to_owned());
            tokio::spawn(async move { shared.run(&system).await });
        }
    }

    /// Asks until nothing is left to ask, or Commerce fails.
    async fn run(&self, system: &str) {
        let Some(of) = self.systems.get(system) else { return };
        // The store queues a command when its method is called: nobody waits for the disk.
        let mut kept = Vec::new();
        while let Some(batch) = next_of(of) {
            match fetch(&*of.rest, &batch).await {
                Ok((products, attributes)) => {
                    let (known, gone) = self.shelf.put(system, products, attributes, self.clock.now());
                    self.observer.note(&Event::CatalogueFetched { system, known: self.shelf.size(), failed: None });
                    of.asking().under_way = Needs::default();
                    of.answered.notify_waiters();
                    kept.push(self.store.keep_known(known, gone));
                }
                Err(error) => {
                    let failed = Some(error.to_string());
                    let known = self.shelf.size();
                    self.observer.note(&Event::CatalogueFetched { system, known, failed: failed.as_deref() });
                    let resting_until = Some(Instant::now() + RESTING);
                    let mut asking = of.asking();
                    *asking = Asking { resting_until, shop: asking.shop, ..Asking::default() };
                    drop(asking);
                    of.answered.notify_waiters();
                    break;
                }
            }
        }
        for kept in kept {
            if let Err(error) = kept.await {
                tracing::warn!(%error, "what Commerce said of its catalogue is not kept over a restart");
            }
        }
    }

    /// A record of a product arrived: what is known of it is old now.
    pub fn outdate(&self, system: &str, record: &Json<'_>) {
        let member = |name: &str| record.present(name).and_then(Json::as_text);
        let id = member("entity_id").or_else(|| member("id")).and_then(|id| id.parse().ok());
        self.shelf.outdate(system, id, member("sku"));
    }
}

/// An instance that is not asked.
struct Nobody(String);

impl Rest for Nobody {
    fn system(&self) -> &str {
        &self.0
    }

    fn call(&self, _call: Call) -> Reply<'_> {
        Box::pin(std::future::ready(Err(RestError::Unreachable("nobody is asked here".to_owned()))))
    }
}

impl std::fmt::Debug for Catalogues {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Catalogues").field("shelf", &self.shelf).finish_non_exhaustive()
    }
}

/// Under the lock for as long as it takes to look.
fn next_of(system: &System) -> Option<Needs> {
    system.asking().next()
}

type Fetched = (Vec<(u64, Option<Product>)>, Vec<(u64, Option<Attribute>)>);

async fn fetch(rest: &dyn Rest, needs: &Needs) -> Result<Fetched, RestError> {
    let mut products = Vec::new();
    if !needs.products.is_empty() {
        let found = search(rest, "/V1/products", "entity_id", &needs.products).await?;
        let mut found = read_list(&found)?;
        for (product, whole) in &mut found {
            if !*whole && let Some(in_full) = one(rest, &product.sku).await?.filter(|full| full.id == product.id) {
                *product = in_full;
            }
        }
        let mut by_id: BTreeMap<u64, Product> = found.into_iter().map(|(product, _)| (product.id, product)).collect();
        products.extend(needs.products.iter().map(|id| (*id, by_id.remove(id))));
    }
    let mut attributes = Vec::new();
    if !needs.attributes.is_empty() {
        let found = search(rest, "/V1/products/attributes", "attribute_id", &needs.attributes).await?;
        let json = read(&found)?;
        let each = product::listed(&json).into_iter().filter_map(product::attribute);
        let mut by_id: BTreeMap<u64, Attribute> = each.map(|attribute| (attribute.id, attribute)).collect();
        attributes.extend(needs.attributes.iter().map(|id| (*id, by_id.remove(id))));
    }
    Ok((products, attributes))
}

async fn search(rest: &dyn Rest, path: &str, field: &str, ids: &BTreeSet<u64>) -> Result<bytes::Bytes, RestError> {
    let list = ids.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
    let filter = "searchCriteria[filter_groups][0][filters][0]";
    let call = Call::get(path)
        .with(format!("{filter}[field]"), field)
        .with(format!("{filter}[value]"), list)
        .with(format!("{filter}[condition_type]"), "in")
        .with("searchCriteria[pageSize]", BATCH.to_string());
    Ok(rest.call(call).await?.body)
}

/// The products of an answer, and whether each is there with its options.
fn read_list(body: &[u8]) -> Result<Vec<(Product, bool)>, RestError> {
    let json = read(body)?;
    let each = product::listed(&json).into_iter();
    Ok(each.filter_map(|item| Some((product::product(item)?, item.get("options").is_some()))).collect())
}

/// Lists of some versions leave a product's options out.
async fn one(rest: &dyn Rest, sku: &str) -> Result<Option<Product>, RestError> {
    match rest.call(Call::get(format!("/V1/products/{}", encoded(sku)))).await {
        Ok(answered) => Ok(product::product(&read(&answered.body)?)),
        Err(RestError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn read(body: &[u8]) -> Result<Json<'_>, RestError> {
    json::parse(body, &Limits::default())
        .map_err(|error| RestError::Unreachable(format!("what it answered cannot be read: {error}")))
}

/// A segment of a path.
fn encoded(segment: &str) -> String {
    let mut out = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a string cannot fail");
        }
    }
    out
}

#[cfg(test)]
mod encoding_tests {
    #[test]
    fn an_sku_is_one_segment_of_a_path() {
        assert_eq!(super::encoded("GEN G/7 ü+%"), "GEN%20G%2F7%20%C3%BC%2B%25");
    }
}
