//! Profile `erpnext` against a stand-in of Frappe's REST resources: token authentication, link validation, naming
//! series, drafts and submission, exception types.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::contract::{Profile, booked, one, send, service};
use crate::keeps_the_contract;
use crate::office::{Asked, Booked, Reply, System};

const TOKEN: &str = "token 0123456789abcde:fedcba987654321";
const ACCOUNTS: [&str; 4] = ["VAT - C", "Freight - C", "Discounts - C", "Fees - C"];

#[derive(Default)]
struct Frappe {
    orders: Mutex<Vec<Value>>,
    forgotten: Mutex<BTreeSet<String>>,
}

fn failed(status: u16, kind: &str, words: &str) -> Reply {
    let body = json!({"exc_type": kind, "exception": format!("frappe.exceptions.{kind}: {words}"),
        "_server_messages": json!([json!({"message": words}).to_string()]).to_string()});
    Reply::json(status, &body)
}

fn number(value: &Value) -> Decimal {
    value.to_string().trim_matches('"').parse().unwrap_or_default()
}

impl Frappe {
    /// Field checks of a sales order, as its controller makes them.
    fn checked(&self, asked: &Value) -> Result<Value, Reply> {
        let missing = |name: &str| failed(417, "MandatoryError", &format!("[Sales Order, None]: {name}"));
        for name in ["customer", "transaction_date", "delivery_date", "currency"] {
            if asked[name].as_str().unwrap_or_default().is_empty() {
                return Err(missing(name));
            }
        }
        if asked["customer"] != "Web" {
            return Err(failed(417, "LinkValidationError", &format!("Could not find Customer: {}", asked["customer"])));
        }
        if asked["delivery_date"].as_str() < asked["transaction_date"].as_str() {
            return Err(failed(417, "ValidationError", "Expected Delivery Date should be after Sales Order Date"));
        }
        let items = asked["items"].as_array().filter(|items| !items.is_empty()).ok_or_else(|| missing("items"))?;
        let mut total = Decimal::ZERO;
        for item in items {
            let code = item["item_code"].as_str().unwrap_or_default();
            if code.is_empty() || self.forgotten.lock().unwrap().contains(code) {
                return Err(failed(417, "LinkValidationError", &format!("Could not find Row #1: Item Code: {code}")));
            }
            if !item["qty"].is_number() || !item["rate"].is_number() {
                return Err(failed(417, "ValidationError", "qty and rate are numbers"));
            }
            total += (number(&item["qty"]) * number(&item["rate"]))
                .round_dp_with_strategy(2, rust_decimal::RoundingStrategy::MidpointAwayFromZero);
        }
        for row in asked["taxes"].as_array().into_iter().flatten() {
            if row["charge_type"] != "Actual" || !ACCOUNTS.contains(&row["account_head"].as_str().unwrap_or_default()) {
                return Err(failed(417, "LinkValidationError", "Could not find Row #1: Account Head"));
            }
            if row["description"].as_str().unwrap_or_default().is_empty() {
                return Err(missing("description"));
            }
            total += number(&row["tax_amount"]);
        }
        let mut order = asked.clone();
        // A JSON number with its digits, as Python writes a float.
        order["grand_total"] = serde_json::from_str(&total.normalize().to_string()).unwrap();
        order["docstatus"] = 0.into();
        Ok(order)
    }

    fn made(&self, mut order: Value) -> Value {
        let mut orders = self.orders.lock().unwrap();
        order["name"] = format!("SAL-ORD-2026-{:05}", orders.len() + 1).into();
        orders.push(order.clone());
        order
    }

    fn listed(&self, asked: &Asked) -> Reply {
        let filters: Value = serde_json::from_str(asked.param("filters")).unwrap_or_default();
        let Some(wanted) = filters[0][2].as_str().filter(|_| filters[0][0] == "po_no" && filters[0][1] == "=") else {
            return failed(417, "ValidationError", "filters");
        };
        let cancelled = filters[1] == json!(["docstatus", "=", 2]);
        assert!(cancelled || filters[1] == json!(["docstatus", "<", 2]), "{filters}");
        let orders = self.orders.lock().unwrap();
        let found: Vec<Value> = orders
            .iter()
            .filter(|order| order["po_no"] == wanted && (order["docstatus"] == 2) == cancelled)
            .map(|order| {
                json!({"name": order["name"], "po_no": order["po_no"], "docstatus": order["docstatus"],
                    "grand_total": order["grand_total"]})
            })
            .collect();
        Reply::json(200, &json!({ "data": found }))
    }

    fn cancelled(&self, name: &str) -> Reply {
        let mut orders = self.orders.lock().unwrap();
        let Some(order) = orders.iter_mut().find(|order| order["name"] == name) else {
            return failed(404, "DoesNotExistError", &format!("Sales Order {name} not found"));
        };
        if order["docstatus"] != 1 {
            return failed(417, "ValidationError", "Only submitted documents can be cancelled");
        }
        order["docstatus"] = 2.into();
        Reply::json(200, &json!({ "data": order }))
    }

    fn submitted(&self, name: &str) -> Reply {
        let mut orders = self.orders.lock().unwrap();
        let Some(order) = orders.iter_mut().find(|order| order["name"] == name) else {
            return failed(404, "DoesNotExistError", &format!("Sales Order {name} not found"));
        };
        if order["docstatus"] != 0 {
            return failed(417, "ValidationError", "Cannot edit submitted document");
        }
        order["docstatus"] = 1.into();
        Reply::json(200, &json!({ "data": order }))
    }
}

impl System for Frappe {
    fn answer(&self, asked: &Asked) -> Reply {
        if asked.header("authorization") != TOKEN {
            return failed(401, "AuthenticationError", "Invalid token");
        }
        match (asked.method.as_str(), asked.path.as_str()) {
            ("GET", "/api/resource/Sales Order") => self.listed(asked),
            ("GET", path) if path.starts_with("/api/resource/Sales Order/") => {
                let name = path.rsplit('/').next().unwrap_or_default();
                match self.orders.lock().unwrap().iter().find(|order| order["name"] == name) {
                    Some(order) => Reply::json(200, &json!({ "data": order })),
                    None => failed(404, "DoesNotExistError", &format!("Sales Order {name} not found")),
                }
            }
            ("POST", "/api/resource/Sales Order") => match self.checked(&asked.json()) {
                Ok(order) => Reply::json(200, &json!({ "data": self.made(order) })),
                Err(reply) => reply,
            },
            ("POST", path) if asked.json()["run_method"] == "submit" => {
                self.submitted(path.rsplit('/').next().unwrap_or_default())
            }
            ("POST", path) if asked.json()["run_method"] == "cancel" => {
                self.cancelled(path.rsplit('/').next().unwrap_or_default())
            }
            (_, path) => failed(404, "DoesNotExistError", path),
        }
    }

    fn makes(&self, asked: &Asked) -> bool {
        asked.method == "POST" && asked.path == "/api/resource/Sales Order"
    }

    fn orders(&self) -> Vec<Booked> {
        let orders = self.orders.lock().unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        orders
            .iter()
            .map(|order| Booked {
                reference: text(&order["po_no"]),
                number: text(&order["name"]),
                total: order["grand_total"].to_string(),
                finished: order["docstatus"] == 1,
            })
            .collect()
    }

    fn is_cancelled(&self, reference: &str) -> bool {
        self.orders.lock().unwrap().iter().any(|order| order["po_no"] == reference && order["docstatus"] == 2)
    }

    fn has_already(&self, reference: &str, total: &str, _: &str) {
        let total: Value = serde_json::from_str(total).unwrap();
        self.made(json!({"po_no": reference, "docstatus": 0, "grand_total": total}));
    }

    fn forgets(&self, sku: &str) -> bool {
        self.forgotten.lock().unwrap().insert(sku.to_owned())
    }

    fn learns(&self, sku: &str) {
        self.forgotten.lock().unwrap().remove(sku);
    }
}

pub fn profile() -> Profile {
    profile_of(Arc::default())
}

fn profile_of(system: Arc<Frappe>) -> Profile {
    Profile {
        system,
        config: r#"profile = "erpnext"
auth = { type = "header", name = "Authorization", value = "token 0123456789abcde:fedcba987654321" }
with = { customer = "Web", tax_account = "VAT - C", shipping_account = "Freight - C", discount_account = "Discounts - C", fee_account = "Fees - C" }
"#,
        path: "",
        permanent: failed(417, "ValidationError", "Customer Web is disabled"),
        throttled: Reply::json(429, &json!({"exc_type": "RateLimitExceededError"})).with("retry-after", "1"),
        transient: failed(417, "TimestampMismatchError", "Document has been modified after you have opened it"),
        unauthorized: failed(401, "AuthenticationError", "Invalid token"),
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

#[tokio::test(flavor = "multi_thread")]
async fn key_3_c_a_second_effect_is_made_where_the_first_is_gone_and_nowhere_else() {
    let system = Arc::new(Frappe::default());
    let (app, office) = service(&profile_of(Arc::clone(&system))).await;
    let (number, order) = one();
    send(&app, &order).await;
    let told = app.order_is(number, "delivered").await;
    let first = &told["deliveries"][0];
    let path = format!("/api/v1/deliveries/{}/resend", first["id"].as_str().unwrap());
    let why = json!({ "reason": "the warehouse sees nothing", "confirm": number });
    assert_eq!(app.acts(&path, "there", &why).await.status, 200);
    app.settled().await;
    let told = app.order_is(number, "delivered").await;
    let receipts: Vec<&Value> = told["deliveries"].as_array().unwrap().iter().map(|one| &one["receipt"]).collect();
    assert_eq!(receipts, [&first["receipt"]; 2], "it has it still");
    assert_eq!(booked(&office, number).len(), 1);

    system.cancelled(first["receipt"].as_str().unwrap());
    assert_eq!(app.acts(&path, "gone", &why).await.status, 200);
    app.settled().await;
    app.order_is(number, "delivered").await;
    let finished: Vec<bool> = booked(&office, number).iter().map(|order| order.finished).collect();
    assert_eq!(finished, [false, true], "cancelled there, and made once more");
    app.stop().await;
}
