//! Profile `sap-business-one` against a stand-in of the Service Layer: a session of two cookies, errors by number, totals of
//! its own.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Value, json};

use crate::contract::Profile;
use crate::keeps_the_contract;
use crate::office::{Asked, Booked, Reply, System};

#[derive(Default)]
struct ServiceLayer {
    orders: Mutex<Vec<Value>>,
    forgotten: Mutex<BTreeSet<String>>,
}

fn failed(status: u16, code: i64, message: &str) -> Reply {
    Reply::json(status, &json!({ "error": { "code": code, "message": { "lang": "en-us", "value": message } } }))
}

fn number(value: &Value) -> Option<Decimal> {
    value.is_number().then(|| value.to_string().parse().unwrap())
}

fn rounded(value: Decimal) -> Decimal {
    value.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
}

impl ServiceLayer {
    fn create(&self, asked: &Value) -> Reply {
        if asked["CardCode"] != "WEB" {
            return failed(400, -5002, "Customer/vendor code is invalid [ORDR.CardCode]");
        }
        if asked["DocDueDate"].as_str().is_none_or(str::is_empty) {
            return failed(400, -10, "Enter due date [ORDR.DocDueDate]");
        }
        let mut total = Decimal::ZERO;
        for line in asked["DocumentLines"].as_array().into_iter().flatten() {
            let item = line["ItemCode"].as_str().unwrap_or_default();
            if item.is_empty() || self.forgotten.lock().unwrap().contains(item) {
                return failed(400, -2028, &format!("No matching records found (ODBC -2028): item {item}"));
            }
            assert!(line.get("LineTotal").is_none(), "a line total beside a price is replaced by a reckoned one");
            let (Some(quantity), Some(price)) = (number(&line["Quantity"]), number(&line["UnitPrice"])) else {
                return failed(400, -1, "Property 'UnitPrice' of 'DocumentLine' is invalid");
            };
            total += rounded(quantity * price) * tax(line);
        }
        for expense in asked["DocumentAdditionalExpenses"].as_array().into_iter().flatten() {
            if ![1, 2].contains(&expense["ExpenseCode"].as_i64().unwrap()) {
                return failed(400, -2028, "No matching records found (ODBC -2028): expense");
            }
            total += number(&expense["LineTotal"]).unwrap() * tax(expense);
        }
        Reply::json(201, &self.made(asked["NumAtCard"].as_str().unwrap(), rounded(total)))
    }

    fn made(&self, reference: &str, total: Decimal) -> Value {
        let mut orders = self.orders.lock().unwrap();
        let place = orders.len() + 1;
        let order = json!({ "DocEntry": place, "DocNum": 7_000 + place, "NumAtCard": reference,
            "DocTotal": serde_json::from_str::<Value>(&total.normalize().to_string()).unwrap() });
        orders.push(order.clone());
        order
    }
}

fn tax(line: &Value) -> Decimal {
    if line["VatGroup"] == "A0" { Decimal::ONE } else { Decimal::new(12, 1) }
}

impl System for ServiceLayer {
    fn answer(&self, asked: &Asked) -> Reply {
        if asked.path == "/b1s/v2/Login" {
            let body = asked.json();
            if body != json!({ "CompanyDB": "PROD", "UserName": "router", "Password": "router-secret" }) {
                return failed(401, 100_000_027, "Login failed");
            }
            return Reply::json(200, &json!({ "SessionTimeout": 30 }))
                .with("set-cookie", "B1SESSION=0f0e; path=/b1s; HttpOnly")
                .with("set-cookie", "ROUTEID=.node2; path=/b1s");
        }
        let mut cookies: Vec<&str> = asked.header("cookie").split("; ").collect();
        cookies.sort_unstable();
        if cookies != ["B1SESSION=0f0e", "ROUTEID=.node2"] {
            return failed(401, 301, "Invalid session or session already timeout.");
        }
        let orders = || self.orders.lock().unwrap().clone();
        match (asked.method.as_str(), asked.path.as_str()) {
            ("POST", "/b1s/v2/Orders") => self.create(&asked.json()),
            ("GET", "/b1s/v2/Orders") => {
                let wanted = asked.param("$filter").strip_prefix("NumAtCard eq '");
                let wanted = wanted.and_then(|rest| rest.split_once("' and CardCode eq 'WEB' and Cancelled eq "));
                let Some((wanted, state @ ("'tNO'" | "'tYES'"))) = wanted else {
                    return failed(400, 201, "Query string error: invalid filter");
                };
                let found = orders().into_iter().filter(|order| order["NumAtCard"] == wanted);
                let found: Vec<Value> =
                    found.filter(|order| (order["Cancelled"] == "tYES") == (state == "'tYES'")).collect();
                Reply::json(200, &json!({ "value": found }))
            }
            ("POST", path) if path.ends_with("/Cancel") => {
                let id = path.strip_prefix("/b1s/v2/Orders(").and_then(|rest| rest.strip_suffix(")/Cancel"));
                let mut orders = self.orders.lock().unwrap();
                match orders.iter_mut().find(|order| id == Some(order["DocEntry"].to_string().as_str())) {
                    Some(order) if order["Cancelled"] == "tYES" => failed(400, -5006, "Document is already cancelled"),
                    Some(order) => {
                        order["Cancelled"] = "tYES".into();
                        Reply::text(204, "application/json", "")
                    }
                    None => failed(404, -2028, "No matching records found (ODBC -2028)"),
                }
            }
            ("GET", path) => {
                let id = path.strip_prefix("/b1s/v2/Orders(").and_then(|rest| rest.strip_suffix(')'));
                match orders().into_iter().find(|order| id == Some(order["DocEntry"].to_string().as_str())) {
                    Some(order) => Reply::json(200, &order),
                    None => failed(404, -2028, "No matching records found (ODBC -2028)"),
                }
            }
            _ => failed(404, -1, "Unrecognized resource path."),
        }
    }

    fn makes(&self, asked: &Asked) -> bool {
        asked.method == "POST" && asked.path.ends_with("/Orders")
    }

    fn orders(&self) -> Vec<Booked> {
        let booked = |order: &Value| Booked {
            reference: order["NumAtCard"].as_str().unwrap_or_default().to_owned(),
            number: order["DocNum"].to_string(),
            total: order["DocTotal"].to_string(),
            finished: true,
        };
        self.orders.lock().unwrap().iter().map(booked).collect()
    }

    fn is_cancelled(&self, reference: &str) -> bool {
        self.orders.lock().unwrap().iter().any(|order| order["NumAtCard"] == reference && order["Cancelled"] == "tYES")
    }

    fn has_already(&self, reference: &str, total: &str, _: &str) {
        self.made(reference, total.parse().unwrap());
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
        system: Arc::new(ServiceLayer::default()),
        config: r#"profile = "sap-business-one"
auth = { type = "login", url = "OFFICE/b1s/v2/Login", body = { CompanyDB = "PROD", UserName = "router", Password = "router-secret" }, cookies = ["B1SESSION", "ROUTEID"], lifetime = "25m" }
with = { card_code = "WEB", zero_tax_code = "A0" }
"#,
        path: "/b1s/v2",
        permanent: failed(400, -10, "Item is frozen [RDR1.ItemCode]"),
        throttled: failed(429, -1, "Too many requests").with("retry-after", "1"),
        transient: failed(500, -2038, "Could not commit transaction: deadlock victim"),
        unauthorized: failed(401, 301, "Invalid session or session already timeout."),
        error_inside: None,
    }
}

keeps_the_contract!(
    profile(),
    every_sample_arrives_as_it_was_charged,
    the_buyers_words_arrive,
    a_duplicate_makes_no_second_order,
    what_is_there_already_is_not_made_again,
    a_cancellation_is_carried_over,
    a_refusal_waits_for_a_person,
    what_passes_by_itself_needs_nobody,
    a_lost_answer_makes_one_order,
    an_unknown_product_is_told_by_its_sku,
);
