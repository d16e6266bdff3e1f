//! Profile `odoo` against a stand-in of the JSON-2 interface: internal ids, defaults that fill what is not said, two calls.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Value, json};

use crate::contract::{Profile, booked, one, send, service};
use crate::keeps_the_contract;
use crate::office::{Asked, Booked, Fault, Reply, System};
use crate::support::until;

#[derive(Default)]
struct Odoo {
    orders: Mutex<Vec<Value>>,
    partners: Mutex<Vec<Value>>,
    /// Ids by SKU; every product is there unless it was forgotten.
    products: Mutex<BTreeMap<String, Option<u64>>>,
}

/// Fields of a sale order that a caller may set.
const FIELDS: [&str; 7] =
    ["partner_id", "company_id", "pricelist_id", "client_order_ref", "origin", "date_order", "order_line"];

fn failed(status: u16, name: &str, message: &str) -> Reply {
    Reply::json(status, &json!({ "name": name, "message": message, "arguments": [message], "context": {} }))
}

fn number(value: &Value) -> Option<Decimal> {
    value.is_number().then(|| value.to_string().parse().unwrap())
}

impl Odoo {
    fn id(&self, sku: &str) -> Option<u64> {
        let mut products = self.products.lock().unwrap();
        let next = products.len() as u64 + 1;
        *products.entry(sku.to_owned()).or_insert(Some(next))
    }

    fn wanted<'a>(domain: &'a Value, field: &str) -> Option<&'a Value> {
        domain.as_array()?.iter().find(|part| part[0] == field).map(|part| &part[2])
    }

    fn search(&self, model: &str, body: &Value) -> Reply {
        let domain = &body["domain"];
        let found: Vec<Value> = match model {
            "product.product" => {
                let Some(skus) = Self::wanted(domain, "default_code").and_then(Value::as_array) else {
                    return failed(422, "builtins.TypeError", "domain");
                };
                let skus = skus.iter().filter_map(Value::as_str);
                skus.filter_map(|sku| Some(json!({ "id": self.id(sku)?, "default_code": sku }))).collect()
            }
            "res.partner" => {
                let wanted = Self::wanted(domain, "ref").cloned().unwrap_or_default();
                let partners = self.partners.lock().unwrap();
                partners.iter().filter(|partner| partner["ref"] == wanted).cloned().collect()
            }
            _ => {
                let wanted = Self::wanted(domain, "client_order_ref").cloned().unwrap_or_default();
                let state = domain.as_array().unwrap().iter().find(|part| part[0] == "state").expect("a state");
                let cancelled = state[1] == "=";
                let orders = self.orders.lock().unwrap();
                let ours = orders.iter().filter(|order| order["client_order_ref"] == wanted);
                ours.filter(|order| (order["state"] == "cancel") == cancelled).map(shown).collect()
            }
        };
        Reply::json(200, &Value::Array(found))
    }

    fn create_partner(&self, body: &Value) -> Reply {
        let values = &body["vals_list"][0];
        if values["name"].as_str().unwrap_or_default().is_empty() {
            return failed(422, "odoo.exceptions.ValidationError", "Contacts require a name");
        }
        let mut partners = self.partners.lock().unwrap();
        let id = partners.len() + 1;
        let mut partner = values.clone();
        partner["id"] = id.into();
        partners.push(partner);
        Reply::json(200, &json!([id]))
    }

    fn create_order(&self, body: &Value) -> Reply {
        let Some(values) = body["vals_list"].as_array().and_then(|all| all.first()).and_then(Value::as_object) else {
            return failed(422, "builtins.TypeError", "missing a required argument: 'vals_list'");
        };
        if let Some(unknown) = values.keys().find(|name| !FIELDS.contains(&name.as_str())) {
            return failed(422, "builtins.ValueError", &format!("Invalid field '{unknown}' on model 'sale.order'"));
        }
        let partners = self.partners.lock().unwrap();
        if !partners.iter().any(|partner| partner["id"] == values["partner_id"]) {
            return failed(422, "odoo.exceptions.ValidationError", "Missing required value for the field 'Customer'");
        }
        let known: Vec<u64> = self.products.lock().unwrap().values().flatten().copied().collect();
        let mut total = Decimal::ZERO;
        for line in values["order_line"].as_array().unwrap() {
            assert_eq!((&line[0], &line[1]), (&json!(0), &json!(0)), "a command that creates");
            let line = &line[2];
            if line["display_type"] == "line_note" {
                continue;
            }
            if !line["product_id"].as_u64().is_some_and(|id| known.contains(&id)) {
                return failed(404, "odoo.exceptions.MissingError", "Record does not exist or has been deleted.");
            }
            let (Some(quantity), Some(price)) = (number(&line["product_uom_qty"]), number(&line["price_unit"])) else {
                return failed(422, "builtins.ValueError", "could not convert string to float");
            };
            // What is not said is filled from price lists and the product's own taxes.
            let discount = number(&line["discount"]).unwrap_or(Decimal::TEN);
            let price = price.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
            let net = (quantity * price * (Decimal::ONE_HUNDRED - discount) / Decimal::ONE_HUNDRED)
                .round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
            let untaxed = line["tax_ids"] == json!([[6, 0, []]]);
            total += if untaxed { net } else { (net * Decimal::new(12, 1)).round_dp(2) };
        }
        let mut orders = self.orders.lock().unwrap();
        let id = orders.len() + 1;
        let mut order = Value::Object(values.clone());
        order["id"] = id.into();
        order["name"] = format!("S{id:05}").into();
        order["state"] = "draft".into();
        order["amount_total"] = serde_json::from_str(&total.normalize().to_string()).unwrap();
        orders.push(order);
        Reply::json(200, &json!([id]))
    }

    fn of_ids(&self, body: &Value, act: impl Fn(&mut Value) -> Reply) -> Reply {
        let mut orders = self.orders.lock().unwrap();
        match orders.iter_mut().find(|order| order["id"] == body["ids"][0]) {
            Some(order) => act(order),
            None => failed(404, "odoo.exceptions.MissingError", "Record does not exist or has been deleted."),
        }
    }
}

fn shown(order: &Value) -> Value {
    let mut out = json!({});
    for name in ["id", "name", "state", "amount_total", "client_order_ref"] {
        out[name] = order[name].clone();
    }
    out
}

impl System for Odoo {
    fn answer(&self, asked: &Asked) -> Reply {
        if asked.header("authorization") != "Bearer 0123456789abcdef0123456789abcdef01234567" {
            return Reply::json(401, &json!("Invalid apikey"));
        }
        let body = asked.json();
        let parts: Vec<&str> = asked.path.split('/').collect();
        match parts[..] {
            ["", "json", "2", model, "search_read"] => self.search(model, &body),
            ["", "json", "2", "res.partner", "create"] => self.create_partner(&body),
            ["", "json", "2", "sale.order", "create"] => self.create_order(&body),
            ["", "json", "2", "sale.order", "read"] => {
                self.of_ids(&body, |order| Reply::json(200, &json!([shown(order)])))
            }
            ["", "json", "2", "sale.order", "action_cancel"] => self.of_ids(&body, |order| {
                if body["context"]["disable_cancel_warning"] != true {
                    // A wizard is shown, and nothing is cancelled.
                    return Reply::json(
                        200,
                        &json!({ "type": "ir.actions.act_window", "res_model": "sale.order.cancel" }),
                    );
                }
                order["state"] = "cancel".into();
                Reply::json(200, &json!(true))
            }),
            ["", "json", "2", "sale.order", "action_confirm"] => self.of_ids(&body, |order| {
                if order["state"] == "sale" {
                    return failed(
                        422,
                        "odoo.exceptions.UserError",
                        "Some orders are not in a state requiring confirmation.",
                    );
                }
                order["state"] = "sale".into();
                Reply::json(200, &json!(true))
            }),
            _ => failed(404, "werkzeug.exceptions.NotFound", "the model or method does not exist"),
        }
    }

    fn makes(&self, asked: &Asked) -> bool {
        asked.path == "/json/2/sale.order/create"
    }

    fn orders(&self) -> Vec<Booked> {
        let orders = self.orders.lock().unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let booked = |order: &Value| Booked {
            reference: text(&order["client_order_ref"]),
            number: text(&order["name"]),
            total: order["amount_total"].to_string(),
            finished: order["state"] == "sale",
        };
        orders.iter().map(booked).collect()
    }

    fn is_cancelled(&self, reference: &str) -> bool {
        self.orders
            .lock()
            .unwrap()
            .iter()
            .any(|order| order["client_order_ref"] == reference && order["state"] == "cancel")
    }

    fn has_already(&self, reference: &str, total: &str, _: &str) {
        let total: Value = serde_json::from_str(total).unwrap();
        let mut orders = self.orders.lock().unwrap();
        let id = orders.len() + 1;
        orders.push(json!({ "id": id, "name": format!("S{id:05}"), "state": "draft", "client_order_ref": reference, "amount_total": total }));
    }

    fn forgets(&self, sku: &str) -> bool {
        self.products.lock().unwrap().insert(sku.to_owned(), None);
        true
    }

    fn learns(&self, sku: &str) {
        self.products.lock().unwrap().insert(sku.to_owned(), Some(9_999));
    }
}

pub fn profile() -> Profile {
    Profile {
        system: Arc::new(Odoo::default()),
        config: "profile = \"odoo\"\nauth = { type = \"bearer\", token = \"0123456789abcdef0123456789abcdef01234567\" }\n",
        path: "",
        permanent: failed(422, "odoo.exceptions.ValidationError", "The operation cannot be completed: credit limit"),
        throttled: Reply::text(429, "text/html", "<html>Too Many Requests</html>").with("retry-after", "1"),
        transient: failed(
            409,
            "psycopg2.errors.SerializationFailure",
            "could not serialize access due to concurrent update",
        ),
        unauthorized: Reply::json(401, &json!("Invalid apikey")),
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
async fn an_order_that_somebody_made_with_another_total_is_shown_with_both() {
    let (app, office) = service(&profile()).await;
    let (number, order) = one();
    office.system().has_already(number, "1.23", "0.00");
    send(&app, &order).await;
    let exception = until("it waits", async || app.exceptions_of(number).await.pop()).await;
    assert_eq!(exception["code"], "totals_differ_at_destination", "{exception}");
    let message = exception["message"].as_str().unwrap();
    assert!(message.contains("total there is 1.23, ours is "), "{message}");
    assert_eq!(office.system().orders().len(), 1, "and none is made beside it");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_that_says_nothing_is_no_yes() {
    let (app, office) = service(&profile()).await;
    let all = crate::contract::orders();
    let [(number, order), (other, its)] = &all[..2] else { panic!("two sample orders") };
    // A proxy answers in Odoo's place: the state is read again, and the order confirmed.
    office.after_creating([Fault::Say(Reply::json(200, &json!([])))]);
    send(&app, order).await;
    app.order_is(number, "delivered").await;
    assert!(booked(&office, number)[0].finished && app.exceptions_of(number).await.is_empty());

    // It says something else than it did: the order is there as a quotation, and a person is told that.
    office.after_creating([Fault::Say(Reply::json(200, &json!({ "data": 1 })))]);
    send(&app, its).await;
    let exception = until("it waits", async || app.exceptions_of(other).await.pop()).await;
    assert!(exception["message"].as_str().unwrap().contains("confirmed order, there is 0"), "{exception}");
    assert!(!booked(&office, other)[0].finished);
    app.stop().await;
}
