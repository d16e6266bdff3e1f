//! Profile `business-central` against a stand-in of its API v2.0: read-only totals, texts of a hundred characters, families
//! of error codes.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Value, json};

use crate::contract::Profile;
use crate::keeps_the_contract;
use crate::office::{Asked, Booked, Reply, System};

const COMPANY: &str = "/v2.0/tenant/production/api/v2.0/companies(9f1d)";
const READ_ONLY: [&str; 6] =
    ["number", "totalAmountIncludingTax", "totalTaxAmount", "pricesIncludeTax", "status", "totalAmountExcludingTax"];

#[derive(Default)]
struct BusinessCentral {
    orders: Mutex<Vec<Value>>,
    forgotten: Mutex<BTreeSet<String>>,
}

fn failed(status: u16, code: &str, message: &str) -> Reply {
    let message = format!("{message}  CorrelationId:  0f0e-1.");
    Reply::json(status, &json!({ "error": { "code": code, "message": message } }))
}

fn number(value: &Value) -> Option<Decimal> {
    value.is_number().then(|| value.to_string().parse().unwrap())
}

impl BusinessCentral {
    fn create(&self, asked: &Value) -> Reply {
        if let Some(name) = READ_ONLY.iter().find(|name| asked.get(**name).is_some()) {
            return failed(400, "BadRequest_ReadOnlyField", &format!("The property '{name}' is read-only."));
        }
        if asked["customerNumber"] != "WEB" {
            return failed(400, "Internal_RecordNotFound", "The customer does not exist.");
        }
        let external = asked["externalDocumentNumber"].as_str().unwrap_or_default();
        if external.chars().count() > 35 {
            return failed(400, "Application_StringExceededLength", "The length of the string exceeds 35.");
        }
        let mut total = Decimal::ZERO;
        for line in asked["salesOrderLines"].as_array().into_iter().flatten() {
            if ["taxPercent", "totalTaxAmount", "netAmount"].iter().any(|name| line.get(*name).is_some()) {
                return failed(400, "BadRequest_ReadOnlyField", "The property is read-only.");
            }
            if line["description"].as_str().unwrap_or_default().chars().count() > 100 {
                return failed(400, "Application_StringExceededLength", "The length of the string exceeds 100.");
            }
            match line["lineType"].as_str().unwrap_or_default() {
                "Comment" if line.get("lineObjectNumber").is_none() && line.get("unitPrice").is_none() => continue,
                "Item" => {
                    let item = line["lineObjectNumber"].as_str().unwrap_or_default();
                    if item.is_empty() || self.forgotten.lock().unwrap().contains(item) {
                        return failed(
                            400,
                            "Internal_RecordNotFound",
                            &format!("The Item does not exist. No.='{item}'"),
                        );
                    }
                }
                "Account" if ["8720", "8730", "8740"].contains(&line["lineObjectNumber"].as_str().unwrap()) => {}
                _ => return failed(400, "Application_DialogException", "The line cannot be inserted."),
            }
            let (Some(quantity), Some(price)) = (number(&line["quantity"]), number(&line["unitPrice"])) else {
                return failed(400, "BadRequest", "Cannot convert the literal to the expected type 'Edm.Decimal'.");
            };
            let net = (quantity * price).round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
            let rate = if line["taxCode"] == "NOTAX" { Decimal::ZERO } else { Decimal::new(2, 1) };
            total += net + (net * rate).round_dp(2);
        }
        Reply::json(201, &self.made(external, total))
    }

    fn made(&self, external: &str, total: Decimal) -> Value {
        let mut orders = self.orders.lock().unwrap();
        let place = orders.len() + 1;
        let order = json!({ "id": format!("5d115c9c-44e3-ea11-bb43-{place:012}"), "number": format!("S-ORD{place:06}"),
            "externalDocumentNumber": external.to_uppercase(), "status": "Draft",
            "totalAmountIncludingTax": serde_json::from_str::<Value>(&total.normalize().to_string()).unwrap() });
        orders.push(order.clone());
        order
    }
}

impl System for BusinessCentral {
    fn answer(&self, asked: &Asked) -> Reply {
        if asked.header("authorization") != "Bearer 0123456789abcdef0123456789abcdef" {
            return failed(401, "Authentication_InvalidCredentials", "The server has rejected the client credentials.");
        }
        if asked.header("accept-language") != "en-US" {
            return failed(400, "BadRequest", "Bitte auf Englisch: texts of rules follow the language");
        }
        let Some(path) = asked.path.strip_prefix(COMPANY) else {
            return failed(404, "Internal_CompanyNotFound", "Cannot find company.");
        };
        let orders = || self.orders.lock().unwrap().clone();
        match (asked.method.as_str(), path) {
            ("POST", "/salesOrders") => self.create(&asked.json()),
            ("GET", "/salesOrders") => {
                let wanted = asked.param("$filter").strip_prefix("externalDocumentNumber eq '");
                let Some(wanted) = wanted.and_then(|rest| rest.strip_suffix('\'')) else {
                    return failed(400, "BadRequest", "Syntax error in the filter");
                };
                let found: Vec<Value> =
                    orders().into_iter().filter(|order| order["externalDocumentNumber"] == wanted).collect();
                Reply::json(200, &json!({ "value": found }))
            }
            ("GET", path) => {
                let id = path.strip_prefix("/salesOrders(").and_then(|rest| rest.strip_suffix(')')).unwrap_or_default();
                match orders().into_iter().find(|order| order["id"] == id) {
                    Some(order) => Reply::json(200, &order),
                    None => failed(404, "Internal_RecordNotFound", "The sales order does not exist."),
                }
            }
            _ => failed(405, "BadRequest_MethodNotAllowed", "not allowed"),
        }
    }

    fn makes(&self, asked: &Asked) -> bool {
        asked.method == "POST" && asked.path.ends_with("/salesOrders")
    }

    fn orders(&self) -> Vec<Booked> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let booked = |order: &Value| Booked {
            reference: text(&order["externalDocumentNumber"]),
            number: text(&order["number"]),
            total: order["totalAmountIncludingTax"].to_string(),
            finished: true,
        };
        self.orders.lock().unwrap().iter().map(booked).collect()
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
        system: Arc::new(BusinessCentral::default()),
        config: r#"profile = "business-central"
auth = { type = "bearer", token = "0123456789abcdef0123456789abcdef" }
with = { customer = "WEB", tax_account = "8730", shipping_account = "8720", discount_account = "8740", zero_tax_code = "NOTAX" }
"#,
        path: COMPANY,
        permanent: failed(400, "Application_FieldValidationException", "Ship-to Country/Region Code is not valid."),
        throttled: Reply::json(429, &json!({ "error": { "code": "TooManyRequests" } })).with("retry-after", "1"),
        transient: failed(503, "Internal_TenantUnavailable", "The tenant is unavailable."),
        unauthorized: failed(
            401,
            "Authentication_InvalidCredentials",
            "The server has rejected the client credentials.",
        ),
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
