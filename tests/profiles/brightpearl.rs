//! Profile `brightpearl` against a stand-in of its order, product and contact services: searches that answer rows without
//! names, a unique pair of references, a request cap told in milliseconds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::contract::Profile;
use crate::keeps_the_contract;
use crate::office::{Asked, Booked, Reply, System};

#[derive(Default)]
struct Brightpearl {
    orders: Mutex<Vec<Order>>,
    /// A pair of references that is taken is answered with 409 in place of 400.
    conflicts: bool,
    /// Ids by SKU; a product becomes known when it is first asked for, unless it was forgotten.
    products: Mutex<BTreeMap<String, Option<usize>>>,
}

#[derive(Clone)]
struct Order {
    reference: String,
    net: Decimal,
    tax: Decimal,
}

fn failed(status: u16, message: &str) -> Reply {
    Reply::json(status, &json!({ "errors": [{ "code": "ORDC-001", "message": message }] }))
}

fn search(rows: &[Value], columns: &[&str]) -> Reply {
    let columns: Vec<Value> = columns.iter().map(|name| json!({ "name": name })).collect();
    let meta = json!({ "resultsAvailable": rows.len(), "resultsReturned": rows.len(), "columns": columns });
    Reply::json(200, &json!({ "response": { "metaData": meta, "results": rows } }))
}

/// An amount as text with four places at most.
fn amount(value: &Value) -> Option<Decimal> {
    value.as_str()?.parse().ok().filter(|amount: &Decimal| amount.scale() <= 4)
}

impl Brightpearl {
    fn create(&self, asked: &Value) -> Reply {
        let known = self.products.lock().unwrap().clone();
        for (pointer, what) in [("/customer/id", "customer.id"), ("/channelId", "channelId")] {
            if asked.pointer(pointer).and_then(Value::as_i64).is_none() {
                return failed(400, &format!("{what} is required"));
            }
        }
        assert_eq!(asked["currency"]["code"].as_str().map(str::len), Some(3));
        assert!(asked["placedOn"].as_str().unwrap().ends_with('Z'));
        let (mut net, mut tax) = (Decimal::ZERO, Decimal::ZERO);
        for row in asked["rows"].as_array().into_iter().flatten() {
            let (Some(row_net), Some(row_tax)) = (amount(&row["net"]), amount(&row["tax"])) else {
                return failed(400, "net and tax of a row are required and have four decimal places at most");
            };
            if row["name"].as_str().is_none_or(str::is_empty) {
                return failed(400, "a row has a productId or a name");
            }
            if let Some(product) = row.get("productId") {
                if !known.values().flatten().any(|id| product == *id) {
                    return failed(400, &format!("There is no product {product}"));
                }
                let quantity: Decimal = row["quantity"].as_str().unwrap().parse().unwrap();
                // Cloth by the metre is kept without stock there.
                if !quantity.fract().is_zero() && !row["name"].as_str().unwrap().to_lowercase().contains("cloth") {
                    return failed(400, "the quantity of a stock tracked product must be an integer");
                }
            }
            let code = row["taxCode"].as_str().unwrap_or_default();
            if code != if row_tax.is_zero() { "T0" } else { "T20" } {
                return failed(400, &format!("There is no tax code {code}"));
            }
            net += row_net;
            tax += row_tax;
        }
        let reference = asked["externalRef"].as_str().unwrap().to_owned();
        assert_eq!(asked["installedIntegrationInstanceId"], 3);
        let mut orders = self.orders.lock().unwrap();
        if orders.iter().any(|order| order.reference == reference) {
            let (status, message) = if self.conflicts {
                (409, "Conflict")
            } else {
                (400, "An order with this externalRef and installedIntegrationInstanceId already exists")
            };
            return failed(status, message);
        }
        orders.push(Order { reference, net, tax });
        Reply::json(200, &json!({ "response": 500 + orders.len() }))
    }

    fn product(&self, sku: &str) -> Reply {
        let mut products = self.products.lock().unwrap();
        let next = 1_000 + products.len();
        let id = *products.entry(sku.to_owned()).or_insert(Some(next));
        // The search matches the beginning of a SKU, in an order of its own.
        let look_alike = json!([9_999, "Another product", format!("{sku}-XL")]);
        let rows: Vec<Value> = std::iter::once(look_alike).chain(id.map(|id| json!([id, "A product", sku]))).collect();
        search(&rows, &["productId", "productName", "SKU"])
    }
}

impl System for Brightpearl {
    fn answer(&self, asked: &Asked) -> Reply {
        if asked.header("brightpearl-app-ref") != "crossdock"
            || asked.header("brightpearl-account-token") != "bp-s3cret"
        {
            return failed(401, "Not authorised");
        }
        let Some(path) = asked.path.strip_prefix("/public-api/acme") else { return failed(404, "No such account") };
        let orders = || self.orders.lock().unwrap().clone();
        match (asked.method.as_str(), path) {
            ("GET", "/product-service/product-search") => self.product(asked.param("SKU")),
            ("GET", "/order-service/sales-order-search") => {
                assert_eq!(asked.param("installedIntegrationInstanceId"), "3");
                let rows =
                    orders().into_iter().enumerate().filter(|(_, order)| order.reference == asked.param("externalRef"));
                let row = |(place, order): (usize, Order)| {
                    json!([
                        501 + place,
                        200,
                        1,
                        "SON",
                        null,
                        4,
                        order.reference,
                        "POA",
                        null,
                        "ASS",
                        order.reference,
                        3
                    ])
                };
                search(&rows.map(row).collect::<Vec<Value>>(), &["salesOrderId", "customerId", "…", "externalRef"])
            }
            ("POST", "/order-service/sales-order/") => self.create(&asked.json()),
            ("GET", path) => {
                let id = path.strip_prefix("/order-service/sales-order/").and_then(|id| id.parse::<usize>().ok());
                match id.and_then(|id| orders().get(id.checked_sub(501)?).cloned()) {
                    Some(order) => {
                        let total = json!({ "net": order.net.to_string(), "tax": order.tax.to_string(), "gross": (order.net + order.tax).to_string() });
                        Reply::json(200, &json!({ "response": [{ "total": total, "externalRef": order.reference }] }))
                    }
                    None => failed(404, "There is no such order"),
                }
            }
            _ => failed(405, "Method not allowed"),
        }
    }

    fn makes(&self, asked: &Asked) -> bool {
        asked.method == "POST" && asked.path.ends_with("/sales-order/")
    }

    fn orders(&self) -> Vec<Booked> {
        let booked = |(place, order): (usize, &Order)| Booked {
            reference: order.reference.clone(),
            number: (501 + place).to_string(),
            total: (order.net + order.tax).to_string(),
            finished: true,
        };
        self.orders.lock().unwrap().iter().enumerate().map(booked).collect()
    }

    fn has_already(&self, reference: &str, total: &str, tax: &str) {
        let (total, tax): (Decimal, Decimal) = (total.parse().unwrap(), tax.parse().unwrap());
        self.orders.lock().unwrap().push(Order { reference: reference.to_owned(), net: total - tax, tax });
    }

    fn forgets(&self, sku: &str) -> bool {
        self.products.lock().unwrap().insert(sku.to_owned(), None);
        true
    }

    fn learns(&self, sku: &str) {
        self.products.lock().unwrap().insert(sku.to_owned(), Some(77));
    }
}

pub fn profile() -> Profile {
    profile_of(Brightpearl::default())
}

fn profile_of(system: Brightpearl) -> Profile {
    Profile {
        system: Arc::new(system),
        config: r#"profile = "brightpearl"
auth = { type = "headers", all = [{ name = "brightpearl-app-ref", value = "crossdock" }, { name = "brightpearl-account-token", value = "bp-s3cret" }] }
with = { integration = 3, customer = 200, channel = 1, tax_code = "T20" }
"#,
        path: "/public-api/acme",
        permanent: failed(400, "The contact 200 is on stop"),
        throttled: failed(503, "You have sent too many requests").with("brightpearl-next-throttle-period", "900"),
        transient: failed(500, "Internal error"),
        unauthorized: failed(401, "Not authorised"),
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

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_is_taken_for_a_question_whose_order_is_there() {
    let system = Brightpearl { conflicts: true, ..Brightpearl::default() };
    crate::contract::a_lost_answer_makes_one_order(profile_of(system)).await;
}
