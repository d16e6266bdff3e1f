//! Needs, shelf and filler against a scripted Commerce, and what orders look like with them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::clock::{Clock as _, ManualClock, SharedClock, Timestamp, later};
use crate::commerce::parse::{self, Reading};
use crate::commerce::rest::{Answered, Call, Reply, Rest, RestError, SharedRest};
use crate::domain::catalogue::{Catalogue as _, Product};
use crate::domain::mapping::Mappings;
use crate::domain::order::Order;
use crate::domain::policy::Policies;
use crate::envelope::kind::RecordKind;
use crate::json::{self, Limits};
use crate::observe::{Metrics, Observer};
use crate::processor::rules::{OriginRules, ReadBack, Rules};
use crate::processor::step::{Input, Known, step_knowing};
use crate::routing::{DocumentKind, LanePolicy, Route};
use crate::store::SharedStore;
use crate::store::sqlite::{Options, SqliteStore};

/// How the scripted Commerce behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Answers,
    /// Lists leave the options out.
    Sparse,
    Fails,
    Hangs,
}

struct Shop {
    mood: Mutex<Mood>,
    calls: AtomicUsize,
    asked: Mutex<Vec<String>>,
}

impl Shop {
    fn new(mood: Mood) -> Arc<Self> {
        Arc::new(Shop { mood: Mutex::new(mood), calls: AtomicUsize::new(0), asked: Mutex::default() })
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    fn answer(mood: Mood, call: &Call) -> Result<Value, RestError> {
        if let Some(sku) = call.path.strip_prefix("/V1/products/").filter(|rest| *rest != "attributes") {
            let found = goods().into_iter().find(|product| product["sku"].as_str() == Some(sku));
            return found.ok_or_else(|| RestError::NotFound(sku.to_owned()));
        }
        let value = &call.query.iter().find(|(name, _)| name.ends_with("[value]")).unwrap().1;
        let ids: Vec<u64> = value.split(',').map(|id| id.parse().unwrap()).collect();
        assert!(ids.len() <= 50, "{ids:?}");
        let (all, id) = if call.path == "/V1/products" { (goods(), "id") } else { (attributes(), "attribute_id") };
        let mut items: Vec<Value> = all.into_iter().filter(|one| ids.contains(&one[id].as_u64().unwrap())).collect();
        if mood == Mood::Sparse {
            for item in &mut items {
                item.as_object_mut().unwrap().remove("options");
            }
        }
        Ok(if items.is_empty() { json!({ "items": null, "total_count": 0 }) } else { json!({ "items": items }) })
    }
}

impl Rest for Shop {
    fn system(&self) -> &'static str {
        "acme"
    }

    fn call(&self, call: Call) -> Reply<'_> {
        // Nobody waits for the short lists of a shop, and no test here is about them.
        if call.path.starts_with("/V1/products") {
            self.calls.fetch_add(1, Ordering::Relaxed);
        }
        self.asked.lock().unwrap().push(call.path.clone());
        let mood = *self.mood.lock().unwrap();
        Box::pin(async move {
            match mood {
                Mood::Hangs => std::future::pending().await,
                Mood::Fails => Err(RestError::Unreachable("refused".into())),
                Mood::Answers | Mood::Sparse => {
                    let body = Self::answer(mood, &call)?.to_string();
                    Ok(Answered { status: 200, body: body.into() })
                }
            }
        })
    }
}

fn goods() -> Vec<Value> {
    vec![
        json!({ "id": 2058, "sku": "BOARD", "type_id": "simple", "price": 39.95, "options": [
            { "option_id": 5, "title": "Engraving", "type": "field", "sku": "ENG" },
            { "option_id": 6, "title": "Wood", "type": "drop_down", "values": [
                { "option_type_id": 6, "title": "Oak", "sku": "OAK" },
                { "option_type_id": 7, "title": "Walnut", "sku": "WAL" }] }] }),
        json!({ "id": 500, "sku": "SET", "type_id": "bundle", "price": 100, "options": [],
                "custom_attributes": [{ "attribute_code": "price_type", "value": "1" }] }),
        json!({ "id": 501, "sku": "DESK", "type_id": "simple", "price": 90, "options": [] }),
        json!({ "id": 502, "sku": "LEG", "type_id": "simple", "price": 10, "options": [] }),
        json!({ "id": 600, "sku": "PLANS", "type_id": "downloadable", "price": 9, "options": [],
                "extension_attributes": { "downloadable_product_links": [{ "id": 1, "title": "PDF A3" }] } }),
    ]
}

fn attributes() -> Vec<Value> {
    vec![json!({ "attribute_id": 93, "attribute_code": "color", "default_frontend_label": "Color",
                 "options": [{ "label": " ", "value": "" }, { "label": "Black", "value": "49" }] })]
}

/// An item that costs `net`, without tax.
fn item(id: u64, product: u64, kind: &str, sku: &str, quantity: u32, net: u32) -> Value {
    json!({ "item_id": id, "product_id": product, "product_type": kind, "sku": sku, "name": sku,
            "qty_ordered": quantity, "price": net / quantity, "base_price": net / quantity, "row_total": net,
            "base_row_total": net, "row_total_incl_tax": net, "base_row_total_incl_tax": net, "tax_percent": 0,
            "tax_amount": 0, "base_tax_amount": 0, "discount_amount": 0, "base_discount_amount": 0 })
}

fn under(parent: u64, mut item: Value) -> Value {
    item["parent_item_id"] = parent.into();
    item
}

fn order(net: u32, items: &[Value]) -> String {
    json!({ "entity_id": 7, "increment_id": "000000007", "store_id": 1, "state": "new", "status": "pending",
            "created_at": "2026-03-01 10:15:30", "updated_at": "2026-03-01 10:15:31", "is_virtual": 1,
            "base_currency_code": "GBP", "order_currency_code": "GBP", "subtotal": net, "base_subtotal": net,
            "discount_amount": 0, "base_discount_amount": 0, "shipping_amount": 0, "base_shipping_amount": 0,
            "tax_amount": 0, "base_tax_amount": 0, "grand_total": net, "base_grand_total": net,
            "payment": { "method": "checkmo" }, "items": items })
    .to_string()
}

/// As REST shows it: ids only.
fn engraved_by_rest() -> String {
    let mut board = item(71, 2058, "simple", "BOARD-ENG-WAL", 1, 40);
    board["product_option"] = json!({ "extension_attributes": { "custom_options": [
        { "option_id": "5", "option_value": "To Anna" }, { "option_id": "6", "option_value": "7" }] } });
    order(40, &[board])
}

/// As events show it: what the shopper read.
fn engraved_by_event() -> String {
    let mut board = item(71, 2058, "simple", "BOARD-ENG-WAL", 1, 40);
    board["product_options"] = json!({ "options": [
        { "label": "Engraving", "value": "To Anna", "print_value": "To Anna", "option_id": "5",
          "option_type": "field", "option_value": "To Anna" },
        { "label": "Wood", "value": "Walnut", "print_value": "Walnut", "option_id": "6",
          "option_type": "drop_down", "option_value": "7" }] });
    order(40, &[board])
}

fn read(text: &str) -> Order {
    let json = json::parse(text.as_bytes(), &Limits::default()).unwrap();
    parse::order(&json, &Reading { system: "acme", ..Reading::default() }).unwrap()
}

fn at(seconds: u64) -> Timestamp {
    later("2026-03-02T10:00:00Z".parse().unwrap(), Duration::from_secs(seconds))
}

const BOUNDS: Bounds = Bounds { refresh: Duration::from_hours(24), products_max: 1_000 };
const WAIT: Duration = Duration::from_secs(2);

fn shelf(products_max: usize) -> Shelf {
    Shelf::new(BTreeMap::from([("acme".to_owned(), Bounds { products_max, ..BOUNDS })]))
}

fn product(id: u64) -> (u64, Option<Product>) {
    (id, Some(Product { id, sku: format!("P{id}"), ..Product::default() }))
}

fn want(products: impl IntoIterator<Item = u64>) -> Needs {
    Needs { products: products.into_iter().collect(), ..Needs::default() }
}

fn store_in(dir: &tempfile::TempDir, clock: &SharedClock) -> SharedStore {
    let options = Options { settle_wait: Duration::ZERO, ..Options::new(dir.path().join("store.db"), true) };
    Arc::new(SqliteStore::open(options, clock.clone()).unwrap())
}

async fn catalogues(shop: &Arc<Shop>, store: &SharedStore, clock: &SharedClock) -> Arc<Catalogues> {
    let rest: SharedRest = shop.clone();
    let settings = Settings { wait: WAIT, bounds: BOUNDS };
    let instances = BTreeMap::from([("acme".to_owned(), (rest, settings))]);
    Catalogues::open(instances, store.clone(), clock.clone(), Arc::new(Observer::new(Metrics::new()))).await.unwrap()
}

async fn fresh(mood: Mood) -> (Arc<Shop>, Arc<Catalogues>, Arc<ManualClock>, SharedStore, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let manual = Arc::new(ManualClock::new(at(0)));
    let clock: SharedClock = manual.clone();
    let store = store_in(&dir, &clock);
    let shop = Shop::new(mood);
    let catalogues = catalogues(&shop, &store, &clock).await;
    (shop, catalogues, manual, store, dir)
}

fn rules() -> Rules {
    let origin = OriginRules {
        system: "acme".into(),
        default_store_id: None,
        read_back: ReadBack::Never,
        readable: false,
        wait_for_order: Duration::ZERO,
        to_commerce: false,
    };
    let route = Route {
        name: "orders".into(),
        accepts: vec![DocumentKind::Order],
        to: vec!["erp".into()],
        when: None,
        pause_on_storm: false,
        lane: LanePolicy::Hold,
    };
    Rules {
        config_version: "c1".into(),
        origins: BTreeMap::from([("flows".into(), origin)]),
        routes: Arc::new(vec![route]),
        policies: Policies::default(),
        destination_policies: BTreeMap::new(),
        mappings: Arc::new(Mappings::default()),
    }
}

/// The document of an order, and what was wanting.
fn document(text: &str, known: Option<(&Shelf, Timestamp)>) -> (Vec<u8>, Option<Needs>) {
    let json = json::parse(text.as_bytes(), &Limits::default()).unwrap();
    let input = Input { origin: "flows", kind: RecordKind::Order, event_name: None, json: &json, later: false };
    let known = known.map(|(shelf, now)| Known { shelf, now });
    let mut outcome = step_knowing(&input, &rules(), known);
    assert!(outcome.parked.is_empty(), "{:?}", outcome.parked);
    (outcome.documents.remove(0).body, outcome.wanting)
}

fn parsed(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

fn bundle_of_fixed_price() -> String {
    let mut leg = item(83, 502, "simple", "LEG", 4, 4);
    let mut desk = item(82, 501, "simple", "DESK", 1, 1);
    for part in [&mut leg, &mut desk] {
        for member in ["price", "base_price", "row_total", "base_row_total"] {
            part[member] = 0.into();
            part["row_total_incl_tax"] = 0.into();
            part["base_row_total_incl_tax"] = 0.into();
        }
    }
    order(130, &[item(81, 500, "bundle", "SET-DESK-LEG", 1, 130), under(81, desk), under(81, leg)])
}

#[test]
fn an_order_needs_what_it_cannot_be_read_without() {
    let mut shirt = item(1, 62, "configurable", "SHIRT-BLACK", 1, 10);
    shirt["product_option"] = json!({ "extension_attributes": {
        "configurable_item_options": [{ "option_id": "93", "option_value": 49 }] } });
    let chosen = under(1, item(2, 47, "simple", "SHIRT-BLACK", 1, 0));
    let mut customised = shirt.clone();
    customised["product_option"]["extension_attributes"]["custom_options"] =
        json!([{ "option_id": "5", "option_value": "x" }]);
    let mut plans = item(1, 600, "downloadable", "PLANS", 1, 9);
    plans["product_option"] =
        json!({ "extension_attributes": { "downloadable_option": { "downloadable_links": [1] } } });
    let parts = [item(1, 500, "bundle", "SET-DESK", 1, 10), under(1, item(2, 501, "simple", "DESK", 1, 10))];
    let simple = item(1, 35, "simple", "STRAP-A", 1, 10);
    for (what, text, products, attributes, suffixed) in [
        ("a simple product", order(10, &[simple]), vec![], vec![], vec![]),
        ("options", engraved_by_rest(), vec![2058], vec![], vec![2058]),
        ("stored options", engraved_by_event(), vec![2058], vec![], vec![2058]),
        ("a configurable", order(10, &[shirt, chosen.clone()]), vec![], vec![93], vec![]),
        ("one with options", order(10, &[customised, chosen]), vec![47, 62], vec![93], vec![47, 62]),
        ("downloads", order(9, &[plans]), vec![600], vec![], vec![]),
        ("a dynamic bundle", order(10, &parts), vec![500], vec![], vec![500]),
        ("a fixed bundle", bundle_of_fixed_price(), vec![500, 501, 502], vec![], vec![500]),
    ] {
        let found = needs(&read(&text));
        let ids = |set: &std::collections::BTreeSet<u64>| set.iter().copied().collect::<Vec<_>>();
        let seen = (ids(&found.products), ids(&found.attributes), ids(&found.suffixed));
        assert_eq!(seen, (products, attributes, suffixed), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_reads_the_same_whether_it_came_by_event_or_by_rest() {
    let (shop, catalogues, clock, _store, _dir) = fresh(Mood::Answers).await;
    let (_, wanting) = document(&engraved_by_rest(), Some((catalogues.shelf(), clock.now())));
    catalogues.fill("acme", &wanting.unwrap()).await;
    let (by_rest, left) = document(&engraved_by_rest(), Some((catalogues.shelf(), clock.now())));
    let (by_event, _) = document(&engraved_by_event(), Some((catalogues.shelf(), clock.now())));
    assert!(left.unwrap().is_empty());
    assert_eq!(String::from_utf8(by_rest.clone()).unwrap(), String::from_utf8(by_event).unwrap());
    let line = &parsed(&by_rest)["lines"][0];
    assert_eq!(line["sku"], "BOARD", "by product, never by cutting the order's SKU");
    let seen: Vec<_> =
        line["options"].as_array().unwrap().iter().map(|option| (&option["title"], &option["value"])).collect();
    assert_eq!(seen, [(&json!("Engraving"), &json!("To Anna")), (&json!("Wood"), &json!("Walnut"))]);
    assert_eq!(line["options"][1]["sku"], "WAL");
    assert_eq!((parsed(&by_rest)["warnings"].clone(), shop.calls()), (json!([]), 1));
}

#[tokio::test(start_paused = true)]
async fn a_fixed_bundle_is_weighed_by_list_price_times_quantity() {
    let (_, catalogues, clock, _store, _dir) = fresh(Mood::Answers).await;
    let text = bundle_of_fixed_price();
    let net = |body: &[u8]| -> Vec<String> {
        let lines = parsed(body)["lines"].clone();
        let parts = lines.as_array().unwrap().iter().filter(|line| line["kind"] == "component");
        parts.map(|line| line["net"].as_str().unwrap().to_owned()).collect()
    };
    let (before, wanting) = document(&text, Some((catalogues.shelf(), clock.now())));
    assert_eq!(net(&before), ["26.00", "104.00"], "by quantity as long as nothing is known");
    catalogues.fill("acme", &wanting.unwrap()).await;
    let (after, _) = document(&text, Some((catalogues.shelf(), clock.now())));
    assert_eq!(net(&after), ["90.00", "40.00"], "90 × 1 and 10 × 4");
    assert_eq!(parsed(&after)["lines"][1]["bundle"]["sku"], "SET");
}

#[test]
fn a_component_is_named_by_the_option_it_was_chosen_for() {
    let text = r#"{"id":45,"sku":"SET","type_id":"bundle","extension_attributes":{"bundle_product_options":[
        {"option_id":3,"title":"Strap","product_links":[{"sku":"STRAP-6","qty":1},{"sku":"STRAP-8","qty":"2.0000"}]},
        {"option_id":4,"product_links":[{"sku":"BALL"}]}]}}"#;
    let json = json::parse(text.as_bytes(), &Limits::default()).unwrap();
    let product = crate::commerce::product::product(&json).unwrap();
    assert_eq!(product.bundle.len(), 1, "an option without a title says nothing");
    assert_eq!(product.bundle[0].selections[1], ("STRAP-8".to_owned(), "2".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_an_order_waits_its_time_and_passes_with_a_warning() {
    let (shop, catalogues, clock, _store, _dir) = fresh(Mood::Hangs).await;
    let begun = tokio::time::Instant::now();
    let (_, wanting) = document(&engraved_by_rest(), Some((catalogues.shelf(), clock.now())));
    let wanting = wanting.unwrap();
    assert!(catalogues.is_worth_waiting("acme", &wanting));
    catalogues.fill("acme", &wanting).await;
    assert_eq!((begun.elapsed(), shop.calls()), (WAIT, 1));
    let (body, _) = document(&engraved_by_rest(), Some((catalogues.shelf(), clock.now())));
    let document = parsed(&body);
    assert_eq!(document["lines"][0]["sku"], "BOARD-ENG-WAL");
    assert_eq!(
        (&document["warnings"][0]["code"], &document["warnings"][0]["path"]),
        (&json!("sku_not_resolved"), &json!("lines/0/sku"))
    );
    catalogues.fill("acme", &wanting).await;
    assert_eq!(shop.calls(), 1, "what is under way is not asked for again");
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_nobody_waits_for_a_while() {
    let (shop, catalogues, _clock, _store, _dir) = fresh(Mood::Fails).await;
    let begun = tokio::time::Instant::now();
    catalogues.fill("acme", &want([2058])).await;
    assert_eq!(begun.elapsed(), Duration::ZERO, "a failure ends the waiting");
    assert!(!catalogues.is_worth_waiting("acme", &want([2058])));
    catalogues.fill("acme", &want([2058])).await;
    assert_eq!(shop.calls(), 1);
    tokio::time::sleep(Duration::from_secs(11)).await;
    *shop.mood.lock().unwrap() = Mood::Answers;
    assert!(catalogues.is_worth_waiting("acme", &want([2058])));
    catalogues.fill("acme", &want([2058])).await;
    assert_eq!(catalogues.shelf().size(), 1);
}

#[tokio::test(start_paused = true)]
async fn orders_that_wait_together_are_asked_for_together_fifty_at_once() {
    let (shop, catalogues, clock, _store, _dir) = fresh(Mood::Answers).await;
    let all = want(500..620);
    let waiting: Vec<_> = (500..620)
        .map(|id| {
            let catalogues = catalogues.clone();
            tokio::spawn(async move { catalogues.fill("acme", &want([id])).await })
        })
        .collect();
    for one in waiting {
        one.await.unwrap();
    }
    assert!(
        catalogues.shelf().wanting("acme", &all, clock.now()).is_empty(),
        "what Commerce does not have is known too"
    );
    assert!(shop.calls() <= 4, "{}", shop.calls());
}

#[tokio::test(start_paused = true)]
async fn a_list_without_options_is_completed_by_the_product_itself() {
    let (shop, catalogues, clock, _store, _dir) = fresh(Mood::Sparse).await;
    catalogues.fill("acme", &want([2058])).await;
    let view = catalogues.shelf().view(&read(&engraved_by_rest()), "acme", clock.now()).unwrap();
    assert_eq!(view.choice_title("6", "7"), Some("Walnut"));
    assert_eq!(*shop.asked.lock().unwrap(), ["/V1/products", "/V1/products/BOARD"]);
}

#[tokio::test(start_paused = true)]
async fn labels_of_a_configurable_and_titles_of_downloads_are_found() {
    let (_, catalogues, clock, _store, _dir) = fresh(Mood::Answers).await;
    let mut shirt = item(1, 62, "configurable", "SHIRT", 1, 10);
    shirt["product_option"] = json!({ "extension_attributes": {
        "configurable_item_options": [{ "option_id": "93", "option_value": 49 }] } });
    let mut plans = item(3, 600, "downloadable", "PLANS", 1, 9);
    plans["product_option"] =
        json!({ "extension_attributes": { "downloadable_option": { "downloadable_links": [1] } } });
    let text = order(19, &[shirt, under(1, item(2, 47, "simple", "SHIRT-BLACK", 1, 0)), plans]);
    let (_, wanting) = document(&text, Some((catalogues.shelf(), clock.now())));
    catalogues.fill("acme", &wanting.unwrap()).await;
    let (body, _) = document(&text, Some((catalogues.shelf(), clock.now())));
    let lines = &parsed(&body)["lines"];
    assert_eq!(
        (&lines[0]["configuration"][0]["label"], &lines[0]["configuration"][0]["value"]),
        (&json!("Color"), &json!("Black"))
    );
    assert_eq!(lines[1]["options"][0]["value"], "PDF A3");
}

#[tokio::test(start_paused = true)]
async fn a_restart_keeps_what_is_known_and_age_or_a_change_asks_again() {
    let (shop, first, manual, store, dir) = fresh(Mood::Answers).await;
    first.fill("acme", &want([2058, 999])).await;
    while store.known().await.unwrap().len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    store.close().await.unwrap();
    drop((first, store));
    let clock: SharedClock = manual.clone();
    let store = store_in(&dir, &clock);
    let second = catalogues(&shop, &store, &clock).await;
    let wanting = |seconds| second.shelf().wanting("acme", &want([2058, 999]), at(seconds));
    assert!(wanting(0).is_empty());
    assert_eq!(wanting(3_601), want([999]), "that there is none is believed for an hour");
    assert_eq!(wanting(86_401), want([2058, 999]));
    let json = json::parse(br#"{"entity_id": "2058", "sku": "BOARD"}"#, &Limits::default()).unwrap();
    second.outdate("acme", &json);
    assert_eq!(wanting(0), want([2058]));
    let view = second.shelf().view(&read(&engraved_by_rest()), "acme", at(0)).unwrap();
    assert_eq!(view.option_title("5"), Some("Engraving"), "what is old is used until there is newer");
    second.fill("acme", &want([2058])).await;
    assert!(wanting(0).is_empty());
}

#[test]
fn what_was_not_used_for_longest_makes_room() {
    let shelf = shelf(3);
    let mut rows = BTreeMap::new();
    for id in [2058, 2, 3, 4] {
        // The oldest of them is the one that an order has just used.
        shelf.view(&read(&engraved_by_rest()), "acme", at(100));
        let (kept, gone) = shelf.put("acme", vec![product(id)], Vec::new(), at(id.min(10)));
        rows.extend(kept.into_iter().map(|row| (row.key.clone(), row)));
        for key in gone {
            rows.remove(&key);
        }
    }
    let held: Vec<u64> = rows.keys().map(|key| key.id).collect();
    assert_eq!((held, shelf.size()), (vec![3, 4, 2058], 3));
    let again = self::shelf(3);
    again.load(rows.into_values().collect());
    assert_eq!(again.wanting("acme", &want([2, 3, 4, 2058]), at(101)), want([2]));
}

#[test]
fn an_instance_without_a_catalogue_is_as_before() {
    let shelf = Shelf::new(BTreeMap::new());
    let (without, wanting) = document(&engraved_by_rest(), None);
    assert_eq!((document(&engraved_by_rest(), Some((&shelf, at(0)))), None), ((without.clone(), None), wanting));
    assert_eq!(parsed(&without)["warnings"], json!([]));
}
