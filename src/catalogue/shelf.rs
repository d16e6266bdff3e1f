//! What is known of the catalogues, in memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use rust_decimal::Decimal;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::needs::{Needs, needs};
use super::shop::Shop;
use crate::clock::{Timestamp, from_micros, later};
use crate::domain::catalogue::{Attribute, BundleOption, Catalogue, Choice, PriceType, Product, ProductOption};
use crate::domain::ids::ProductId;
use crate::domain::order::Order;
use crate::store::known::{KnownKey, KnownKind, KnownRow};

/// A product that Commerce does not have is asked for again after this, or after the refresh time if that is shorter.
const ABSENT_FOR: Duration = Duration::from_hours(1);
/// Attributes kept of one instance; shops have some hundreds.
const ATTRIBUTES_MAX: usize = 5_000;
/// The id of what there is one of.
const SHOP: u64 = 0;

/// How long and how much is kept of one Commerce instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Older than this is asked for again when it is needed, and used meanwhile.
    pub refresh: Duration,
    /// Products kept; beyond it those go that were not used for longest.
    pub products_max: usize,
}

/// Something as Commerce told it, or that there is none.
#[derive(Debug)]
struct Entry<T> {
    known: Option<Arc<T>>,
    fetched_at: Timestamp,
    stale: bool,
    used_at: AtomicI64,
}

impl<T> Entry<T> {
    fn is_good(&self, refresh: Duration, now: Timestamp) -> bool {
        let refresh = if self.known.is_some() { refresh } else { refresh.min(ABSENT_FOR) };
        !self.stale && now < later(self.fetched_at, refresh)
    }
}

type Entries<T> = BTreeMap<u64, Entry<T>>;

/// What is known of one instance.
#[derive(Debug)]
struct Stock {
    bounds: Bounds,
    products: Entries<Product>,
    attributes: Entries<Attribute>,
    /// One entry at most.
    shop: Entries<Shop>,
}

/// What is known, by Commerce instance. Instances that are not on it have no catalogue.
#[derive(Debug)]
pub struct Shelf {
    stocks: RwLock<BTreeMap<String, Stock>>,
}

/// What one order needs and is known; a snapshot that nothing changes any more.
#[derive(Clone, Debug, Default)]
pub struct View {
    products: BTreeMap<u64, Arc<Product>>,
    attributes: BTreeMap<u64, Arc<Attribute>>,
    /// All that the order needs.
    pub needed: Needs,
    /// What is not known, or only from long ago.
    pub wanting: Needs,
}

impl Shelf {
    /// Empty shelves for these instances.
    pub fn new(bounds: BTreeMap<String, Bounds>) -> Self {
        let stock =
            |bounds| Stock { bounds, products: Entries::new(), attributes: Entries::new(), shop: Entries::new() };
        let stocks = bounds.into_iter().map(|(system, bounds)| (system, stock(bounds))).collect();
        Shelf { stocks: RwLock::new(stocks) }
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Stock>> {
        self.stocks.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Stock>> {
        self.stocks.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an order needs, as far as it is known; `None` where its instance has no catalogue.
    pub fn view(&self, order: &Order, system: &str, now: Timestamp) -> Option<View> {
        let stocks = self.read();
        let stock = stocks.get(system)?;
        let needed = needs(order);
        let refresh = stock.bounds.refresh;
        let mut view = View::default();
        view.wanting.products = take(&stock.products, &needed.products, refresh, now, &mut view.products);
        view.wanting.attributes = take(&stock.attributes, &needed.attributes, refresh, now, &mut view.attributes);
        view.needed = needed;
        Some(view)
    }

    /// What of these is not known, or only from long ago.
    pub fn wanting(&self, system: &str, needs: &Needs, now: Timestamp) -> Needs {
        let stocks = self.read();
        let Some(stock) = stocks.get(system) else { return Needs::default() };
        let refresh = stock.bounds.refresh;
        Needs {
            products: wanting(&stock.products, &needs.products, refresh, now),
            attributes: wanting(&stock.attributes, &needs.attributes, refresh, now),
            ..Needs::default()
        }
    }

    /// Takes what Commerce answered; `None` for what it does not have. What is to be kept and what is to go.
    pub fn put(
        &self,
        system: &str,
        products: Vec<(u64, Option<Product>)>,
        attributes: Vec<(u64, Option<Attribute>)>,
        now: Timestamp,
    ) -> (Vec<KnownRow>, Vec<KnownKey>) {
        let mut stocks = self.write();
        let Some(stock) = stocks.get_mut(system) else { return (Vec::new(), Vec::new()) };
        let products_max = stock.bounds.products_max;
        let (mut rows, mut gone) = (Vec::new(), Vec::new());
        let key = |kind, id| KnownKey { system: system.to_owned(), kind, id };
        for (id, product) in products {
            let sku = product.as_ref().map(|product| product.sku.clone());
            rows.push(insert(&mut stock.products, key(KnownKind::Product, id), sku, product, now));
        }
        for (id, attribute) in attributes {
            rows.push(insert(&mut stock.attributes, key(KnownKind::Attribute, id), None, attribute, now));
        }
        gone.extend(evict(&mut stock.products, products_max).map(|id| key(KnownKind::Product, id)));
        gone.extend(evict(&mut stock.attributes, ATTRIBUTES_MAX).map(|id| key(KnownKind::Attribute, id)));
        (rows, gone)
    }

    /// Takes what the store kept; rows that cannot be read are left out and asked for again.
    pub fn load(&self, rows: Vec<KnownRow>) {
        let mut stocks = self.write();
        for row in rows {
            let Some(stock) = stocks.get_mut(&row.key.system) else { continue };
            match row.key.kind {
                KnownKind::Product => restore(&mut stock.products, &row),
                KnownKind::Attribute => restore(&mut stock.attributes, &row),
                KnownKind::Shop => restore(&mut stock.shop, &row),
            }
        }
        for stock in stocks.values_mut() {
            let products_max = stock.bounds.products_max;
            evict(&mut stock.products, products_max).for_each(drop);
        }
    }

    /// A product changed: it is asked for again when it is needed. `true` if it was known.
    pub fn outdate(&self, system: &str, id: Option<u64>, sku: Option<&str>) -> bool {
        let mut stocks = self.write();
        let Some(stock) = stocks.get_mut(system) else { return false };
        let found = match (id, sku) {
            (Some(id), _) => stock.products.get_mut(&id),
            (None, Some(sku)) => stock
                .products
                .values_mut()
                .find(|entry| entry.known.as_ref().is_some_and(|product| product.sku.eq_ignore_ascii_case(sku))),
            (None, None) => None,
        };
        found.map(|entry| entry.stale = true).is_some()
    }

    /// The short lists of an instance's shop, and since when.
    pub fn shop(&self, system: &str) -> Option<(Arc<Shop>, Timestamp)> {
        let stocks = self.read();
        let entry = stocks.get(system)?.shop.get(&SHOP)?;
        entry.known.clone().map(|shop| (shop, entry.fetched_at))
    }

    /// Whether the short lists are not known, or only from long ago.
    pub fn wants_shop(&self, system: &str, now: Timestamp) -> bool {
        let stocks = self.read();
        let wants = |stock: &Stock| !stock.shop.get(&SHOP).is_some_and(|shop| shop.is_good(stock.bounds.refresh, now));
        stocks.get(system).is_some_and(wants)
    }

    /// Takes the short lists; what is to be kept of them.
    pub fn put_shop(&self, system: &str, shop: Shop, now: Timestamp) -> Option<KnownRow> {
        let mut stocks = self.write();
        let stock = stocks.get_mut(system)?;
        let key = KnownKey { system: system.to_owned(), kind: KnownKind::Shop, id: SHOP };
        Some(insert(&mut stock.shop, key, None, Some(shop), now))
    }

    /// What is known of a product, by its id or its SKU, and since when; the product is absent where Commerce has none.
    pub fn product(&self, system: &str, product: &str) -> Option<(u64, Option<Arc<Product>>, Timestamp)> {
        let stocks = self.read();
        let products = &stocks.get(system)?.products;
        let named =
            |entry: &Entry<Product>| entry.known.as_ref().is_some_and(|known| known.sku.eq_ignore_ascii_case(product));
        // Of a SKU of digits and an id of the same digits the SKU is meant: it is what people know.
        let found = products.iter().find(|(_, entry)| named(entry));
        let found = found.or_else(|| products.get_key_value(&product.parse().ok()?));
        found.map(|(id, entry)| (*id, entry.known.clone(), entry.fetched_at))
    }

    /// Every SKU that is known of an instance.
    pub fn skus(&self, system: &str) -> Vec<String> {
        let stocks = self.read();
        let products = stocks.get(system).into_iter().flat_map(|stock| stock.products.values());
        products.filter_map(|entry| entry.known.as_ref().map(|product| product.sku.clone())).collect()
    }

    /// Whether an instance has a catalogue.
    pub fn has(&self, system: &str) -> bool {
        self.read().contains_key(system)
    }

    /// Products known, all instances together.
    pub fn size(&self) -> usize {
        self.read().values().map(|stock| stock.products.len()).sum()
    }
}

fn wanting<T>(
    entries: &Entries<T>,
    needed: &std::collections::BTreeSet<u64>,
    refresh: Duration,
    now: Timestamp,
) -> std::collections::BTreeSet<u64> {
    let good = |id: &u64| entries.get(id).is_some_and(|entry| entry.is_good(refresh, now));
    needed.iter().copied().filter(|id| !good(id)).collect()
}

/// Puts what is known into `into`, marks it as used, and says what is wanting.
fn take<T>(
    entries: &Entries<T>,
    needed: &std::collections::BTreeSet<u64>,
    refresh: Duration,
    now: Timestamp,
    into: &mut BTreeMap<u64, Arc<T>>,
) -> std::collections::BTreeSet<u64> {
    for id in needed {
        let Some(entry) = entries.get(id) else { continue };
        entry.used_at.store(now.as_microsecond(), Ordering::Relaxed);
        if let Some(known) = &entry.known {
            into.insert(*id, known.clone());
        }
    }
    wanting(entries, needed, refresh, now)
}

fn insert<T: Serialize>(
    entries: &mut Entries<T>,
    key: KnownKey,
    sku: Option<String>,
    known: Option<T>,
    now: Timestamp,
) -> KnownRow {
    let body = known.as_ref().map(|known| serde_json::to_string(known).expect("what is kept always serialises"));
    let used_at = AtomicI64::new(now.as_microsecond());
    entries.insert(key.id, Entry { known: known.map(Arc::new), fetched_at: now, stale: false, used_at });
    KnownRow { key, sku, fetched_at: now, body }
}

fn restore<T: DeserializeOwned>(entries: &mut Entries<T>, row: &KnownRow) {
    let known = match row.body.as_deref().map(serde_json::from_str::<T>) {
        Some(Err(_)) => return,
        Some(Ok(known)) => Some(Arc::new(known)),
        None => None,
    };
    let used_at = AtomicI64::new(row.fetched_at.as_microsecond());
    let fetched_at = from_micros(row.fetched_at.as_microsecond());
    entries.insert(row.key.id, Entry { known, fetched_at, stale: false, used_at });
}

/// Takes out what was not used for longest; a hundredth more than must be, so that it is not looked for each time.
fn evict<T>(entries: &mut Entries<T>, max: usize) -> impl Iterator<Item = u64> + use<T> {
    let mut oldest: Vec<(i64, u64)> = Vec::new();
    if entries.len() > max {
        oldest = entries.iter().map(|(id, entry)| (entry.used_at.load(Ordering::Relaxed), *id)).collect();
        oldest.sort_unstable();
        oldest.truncate(entries.len() - max + max / 100);
    }
    for (_, id) in &oldest {
        entries.remove(id);
    }
    oldest.into_iter().map(|(_, id)| id)
}

impl View {
    /// Whether the order SKU of this product may carry more than its own, which is not known.
    pub fn is_unresolved(&self, product: ProductId) -> bool {
        self.needed.suffixed.contains(&product.0) && !self.products.contains_key(&product.0)
    }

    fn option(&self, id: &str) -> Option<&ProductOption> {
        self.products.values().flat_map(|product| &product.options).find(|option| option.id == id)
    }

    fn choice(&self, option: &str, id: &str) -> Option<&Choice> {
        self.option(option)?.choices.iter().find(|choice| choice.id == id)
    }

    fn attribute(&self, id: &str) -> Option<&Attribute> {
        self.attributes.get(&id.parse().ok()?).map(Arc::as_ref)
    }
}

impl Catalogue for View {
    fn sku(&self, product: ProductId) -> Option<&str> {
        self.products.get(&product.0).map(|product| product.sku.as_str())
    }

    fn price_type(&self, product: ProductId) -> Option<PriceType> {
        self.products.get(&product.0)?.price_type
    }

    fn list_price(&self, product: ProductId) -> Option<Decimal> {
        self.products.get(&product.0)?.price
    }

    fn option_title(&self, option_id: &str) -> Option<&str> {
        self.option(option_id).map(|option| option.title.as_str())
    }

    fn option_type(&self, option_id: &str) -> Option<&str> {
        self.option(option_id).map(|option| option.kind.as_str())
    }

    fn option_sku(&self, option_id: &str) -> Option<&str> {
        self.option(option_id)?.sku.as_deref()
    }

    fn choice_title(&self, option_id: &str, choice_id: &str) -> Option<&str> {
        self.choice(option_id, choice_id).map(|choice| choice.title.as_str())
    }

    fn choice_sku(&self, option_id: &str, choice_id: &str) -> Option<&str> {
        self.choice(option_id, choice_id)?.sku.as_deref()
    }

    fn bundle_option(&self, bundle: ProductId, component_sku: &str) -> Option<&str> {
        let has =
            |option: &&BundleOption| option.selections.iter().any(|(sku, _)| sku.eq_ignore_ascii_case(component_sku));
        self.products.get(&bundle.0)?.bundle.iter().find(has).map(|option| option.title.as_str())
    }

    fn link_title(&self, link_id: &str) -> Option<&str> {
        let mut links = self.products.values().flat_map(|product| &product.links);
        links.find(|(id, _)| id == link_id).map(|(_, title)| title.as_str())
    }

    fn attribute_label(&self, attribute_id: &str) -> Option<&str> {
        self.attribute(attribute_id)?.label.as_deref()
    }

    fn attribute_value(&self, attribute_id: &str, value_id: &str) -> Option<&str> {
        self.attribute(attribute_id)?.values.get(value_id).map(String::as_str)
    }
}
