//! A Commerce that is only asked for orders: in memory, with faults, and a list of what it was asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crossdock::app::Machine;
use crossdock::commerce::rest::{Answered, Call, Reply, Rest, RestError, SharedRest};
use serde_json::{Value, json};

/// What it holds.
#[derive(Default)]
struct Held {
    orders: Vec<Value>,
    asked: Vec<Call>,
    trouble: Option<RestError>,
    refused: Option<u64>,
    missed: Arc<tokio::sync::Notify>,
}

/// The Commerce instance `acme`.
#[derive(Clone, Default)]
pub struct Commerce(Arc<Mutex<Held>>);

impl Commerce {
    /// Saves an order, in place of one of its id.
    pub fn saves(&self, order: Value) {
        let mut held = self.0.lock().unwrap();
        held.orders.retain(|known| known["entity_id"] != order["entity_id"]);
        held.orders.push(order);
    }

    /// Every call fails like this until it is well again.
    pub fn fails(&self, trouble: Option<RestError>) {
        self.0.lock().unwrap().trouble = trouble;
    }

    /// Reads of this order fail, and it is listed all the same.
    pub fn refuses(&self, id: Option<u64>) {
        self.0.lock().unwrap().refused = id;
    }

    /// As if pushes were known to be lost.
    pub fn missed(&self) {
        self.0.lock().unwrap().missed.notify_one();
    }

    /// How often this was asked for: the path, and a value among the query's.
    pub fn asked_for(&self, path: &str, value: &str) -> usize {
        let held = self.0.lock().unwrap();
        let is = |call: &&Call| {
            call.path == path && (value.is_empty() || call.query.iter().any(|(_, given)| given == value))
        };
        held.asked.iter().filter(is).count()
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.0.lock().unwrap().asked.len()
    }

    /// The machine on which the service reads from it.
    pub fn machine(&self) -> Machine {
        let shared: SharedRest = Arc::new(self.clone());
        let missed = self.0.lock().unwrap().missed.clone();
        Machine { missed, commerce: BTreeMap::from([("acme".to_owned(), shared)]), ..Machine::default() }
    }

    fn answer(&self, call: &Call) -> Result<Answered, RestError> {
        let mut held = self.0.lock().unwrap();
        held.asked.push(call.clone());
        if let Some(trouble) = &held.trouble {
            return Err(trouble.clone());
        }
        let is = |order: &Value, name: &str, id: &str| order[name].as_u64() == id.parse().ok();
        let id_of = |path: &str| path.strip_prefix("/V1/orders/").and_then(|id| id.parse::<u64>().ok());
        if id_of(&call.path).is_some_and(|id| held.refused == Some(id)) {
            return Err(RestError::Refused { status: 400, message: "a broken plug-in".to_owned() });
        }
        let body = if let Some(id) = call.path.strip_prefix("/V1/orders/") {
            let found = held.orders.iter().find(|order| is(order, "entity_id", id));
            found.ok_or_else(|| RestError::NotFound("no such entity".to_owned()))?.to_string()
        } else {
            let query: BTreeMap<String, String> = call.query.iter().cloned().collect();
            let value = |group: u32| query.get(&format!("searchCriteria[filter_groups][{group}][filters][0][value]"));
            let field = query.get("searchCriteria[filter_groups][0][filters][0][field]").map(String::as_str);
            if field == Some("updated_at") {
                return Ok(Answered { status: 200, body: page(&held.orders, &query).to_string().into() });
            }
            let number = value(0).expect("a number is asked for");
            let fits = |order: &&Value| {
                order["increment_id"] == **number && value(1).is_none_or(|store| is(order, "store_id", store))
            };
            let found: Vec<&Value> = held.orders.iter().filter(fits).collect();
            json!({ "items": found, "total_count": found.len() }).to_string()
        };
        Ok(Answered { status: 200, body: body.into() })
    }
}

impl Rest for Commerce {
    fn system(&self) -> &'static str {
        "acme"
    }

    fn call(&self, call: Call) -> Reply<'_> {
        Box::pin(async move { self.answer(&call) })
    }
}

/// Orders changed since a time, a page of them, trimmed: no items are `null`, and a page past the end is empty.
fn page(orders: &[Value], query: &BTreeMap<String, String>) -> Value {
    let of = |name: &str| query[&format!("searchCriteria{name}")].as_str();
    let since = of("[filter_groups][0][filters][0][value]");
    let by = of("[sortOrders][0][field]");
    let mut found: Vec<&Value> = orders.iter().filter(|order| order["updated_at"].as_str() >= Some(since)).collect();
    found.sort_by_key(|order| (order[by].as_str().map(str::to_owned), order[by].as_u64()));
    if of("[sortOrders][0][direction]") == "DESC" {
        found.reverse();
    }
    let total = found.len();
    let (size, page): (usize, usize) = (of("[pageSize]").parse().unwrap(), of("[currentPage]").parse().unwrap());
    let trimmed = |order: &&Value| {
        let names = ["entity_id", "increment_id", "store_id", "updated_at"];
        Value::Object(names.into_iter().map(|name| (name.to_owned(), order[name].clone())).collect())
    };
    let items: Vec<Value> = found.iter().skip((page - 1) * size).take(size).map(trimmed).collect();
    let items = if items.is_empty() { Value::Null } else { Value::Array(items) };
    json!({ "items": items, "total_count": total })
}
