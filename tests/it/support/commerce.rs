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

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.0.lock().unwrap().asked.len()
    }

    /// The machine on which the service reads from it.
    pub fn machine(&self) -> Machine {
        let shared: SharedRest = Arc::new(self.clone());
        Machine { commerce: BTreeMap::from([("acme".to_owned(), shared)]), ..Machine::default() }
    }

    fn answer(&self, call: &Call) -> Result<Answered, RestError> {
        let mut held = self.0.lock().unwrap();
        held.asked.push(call.clone());
        if let Some(trouble) = &held.trouble {
            return Err(trouble.clone());
        }
        let is = |order: &Value, name: &str, id: &str| order[name].as_u64() == id.parse().ok();
        let body = if let Some(id) = call.path.strip_prefix("/V1/orders/") {
            let found = held.orders.iter().find(|order| is(order, "entity_id", id));
            found.ok_or_else(|| RestError::NotFound("no such entity".to_owned()))?.to_string()
        } else {
            let query: BTreeMap<String, String> = call.query.iter().cloned().collect();
            let value = |group: u32| query.get(&format!("searchCriteria[filter_groups][{group}][filters][0][value]"));
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
