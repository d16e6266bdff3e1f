//! Profile `netsuite` against a stand-in of the REST record service: external ids, 204 with a location, items by `SuiteQL`,
//! errors with details, too many requests as a 400.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Value, json};

use crate::contract::Profile;
use crate::keeps_the_contract;
use crate::office::{Asked, Booked, Reply, System};

#[derive(Default)]
struct NetSuite {
    orders: Mutex<Vec<Value>>,
    items: Mutex<Vec<String>>,
    forgotten: Mutex<BTreeSet<String>>,
}

fn failed(status: u16, code: &str, detail: &str) -> Reply {
    Reply::json(
        status,
        &json!({ "type": "https://www.rfc-editor.org/rfc/rfc9110.html", "title": "Error", "status": status,
            "o:errorDetails": [{ "detail": detail, "o:errorCode": code }] }),
    )
}

fn number(value: &Value) -> Option<Decimal> {
    value.is_number().then(|| value.to_string().parse().unwrap())
}

impl NetSuite {
    /// An item's internal id; every item is there but what was forgotten.
    fn id(&self, sku: &str) -> Option<usize> {
        if self.forgotten.lock().unwrap().contains(sku) {
            return None;
        }
        let mut items = self.items.lock().unwrap();
        if let Some(place) = items.iter().position(|known| known == sku) {
            return Some(place + 100);
        }
        items.push(sku.to_owned());
        Some(items.len() + 99)
    }

    fn query(&self, asked: &Asked) -> Reply {
        if asked.header("prefer") != "transient" {
            return failed(400, "INVALID_HEADER", "The required request header 'Prefer' is missing or invalid.");
        }
        let body = asked.json();
        let query = body["q"].as_str().unwrap_or_default();
        let list =
            query.strip_prefix("SELECT id, itemid FROM item WHERE itemid IN (").and_then(|rest| rest.strip_suffix(')'));
        let Some(list) = list else { return failed(400, "INVALID_PARAMETER", "Invalid search query.") };
        let skus = list.split("', '").map(|sku| sku.trim_matches('\'').replace("''", "'"));
        let items = skus.filter_map(|sku| Some(json!({ "id": self.id(&sku)?.to_string(), "itemid": sku })));
        Reply::json(200, &json!({ "items": items.collect::<Vec<_>>(), "hasMore": false }))
    }

    fn create(&self, asked: &Value) -> Reply {
        let external = asked["externalId"].as_str().unwrap_or_default();
        if self.orders.lock().unwrap().iter().any(|order| order["externalId"] == external) {
            return failed(400, "USER_ERROR", "This record already exists.");
        }
        if asked["entity"]["id"] != "123" {
            return failed(400, "USER_ERROR", "Please enter value(s) for: Customer");
        }
        let mut total = Decimal::ZERO;
        for line in asked["item"]["items"].as_array().into_iter().flatten() {
            let id: usize = line["item"]["id"].as_str().and_then(|id| id.parse().ok()).unwrap_or_default();
            if !(100..100 + self.items.lock().unwrap().len()).contains(&id) {
                return failed(400, "INVALID_KEY_OR_REF", "Invalid reference key for item.");
            }
            assert_eq!(line["price"]["id"], "-1", "without the custom price level the list price is taken");
            let (Some(quantity), Some(rate)) = (number(&line["quantity"]), number(&line["rate"])) else {
                return failed(400, "INVALID_CONTENT", "Error while accessing a resource: rate is no number");
            };
            total += (quantity * rate).round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
        }
        let id = self.made(external, total);
        Reply { status: 204, headers: Vec::new(), body: String::new() }
            .with("location", &format!("https://x.suitetalk.example/services/rest/record/v1/salesOrder/{id}"))
    }

    fn made(&self, external: &str, total: Decimal) -> usize {
        let mut orders = self.orders.lock().unwrap();
        let id = orders.len() + 5_000;
        orders.push(json!({ "id": id.to_string(), "externalId": external, "tranId": format!("SO{id}"),
            "total": serde_json::from_str::<Value>(&total.normalize().to_string()).unwrap() }));
        id
    }
}

impl System for NetSuite {
    fn answer(&self, asked: &Asked) -> Reply {
        if asked.header("authorization") != "Bearer 0123456789abcdef0123456789abcdef" {
            return failed(401, "INVALID_LOGIN", "Invalid login attempt.");
        }
        let one = |is: &dyn Fn(&Value) -> bool| match self.orders.lock().unwrap().iter().find(|order| is(order)) {
            Some(order) => Reply::json(200, order),
            None => failed(404, "NONEXISTENT_ID", "The record instance does not exist."),
        };
        match (asked.method.as_str(), asked.path.strip_prefix("/services/rest").unwrap_or_default()) {
            ("POST", "/query/v1/suiteql") => self.query(asked),
            ("POST", "/record/v1/salesOrder") => self.create(&asked.json()),
            ("GET", path) => match path.strip_prefix("/record/v1/salesOrder/") {
                Some(id) => match id.strip_prefix("eid:") {
                    Some(external) => one(&|order| order["externalId"] == external),
                    None => one(&|order| order["id"] == id),
                },
                None => failed(404, "NONEXISTENT_ID", "not there"),
            },
            _ => failed(405, "METHOD_NOT_ALLOWED", "not allowed"),
        }
    }

    fn makes(&self, asked: &Asked) -> bool {
        asked.method == "POST" && asked.path.ends_with("/salesOrder")
    }

    fn orders(&self) -> Vec<Booked> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let booked = |order: &Value| Booked {
            reference: text(&order["externalId"]).trim_start_matches("adobe-").to_owned(),
            number: text(&order["tranId"]),
            total: order["total"].to_string(),
            finished: true,
        };
        self.orders.lock().unwrap().iter().map(booked).collect()
    }

    fn has_already(&self, reference: &str, total: &str, _: &str) {
        self.made(&format!("adobe-{reference}"), total.parse().unwrap());
    }

    fn forgets(&self, sku: &str) -> bool {
        self.forgotten.lock().unwrap().insert(sku.to_owned())
    }

    fn learns(&self, sku: &str) {
        self.forgotten.lock().unwrap().remove(sku);
    }
}

pub fn profile() -> Profile {
    Profile {
        system: Arc::new(NetSuite::default()),
        config: r#"profile = "netsuite"
auth = { type = "bearer", token = "0123456789abcdef0123456789abcdef" }
with = { customer = "123", tax_item = "WEB-TAX", shipping_item = "WEB-SHIP", discount_item = "WEB-DISC" }
"#,
        path: "/services/rest",
        permanent: failed(400, "USER_ERROR", "The transaction date is in a closed period."),
        throttled: failed(400, "SSS_REQUEST_LIMIT_EXCEEDED", "The maximum number of requests is exceeded."),
        transient: failed(503, "SERVER_UNAVAILABLE", "Service unavailable"),
        unauthorized: failed(401, "INVALID_LOGIN", "Invalid login attempt."),
        error_inside: None,
    }
}

keeps_the_contract!(
    profile(),
    every_sample_arrives_as_it_was_charged,
    the_buyers_words_arrive,
    a_duplicate_makes_no_second_order,
    what_is_there_already_is_not_made_again,
    a_refusal_waits_for_a_person,
    what_passes_by_itself_needs_nobody,
    a_lost_answer_makes_one_order,
    an_unknown_product_is_told_by_its_sku,
);
