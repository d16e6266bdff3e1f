//! Profile `shiphero` against a stand-in of its GraphQL API: a token by login, errors and used-up credits inside a 200.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::contract::{self, Profile, booked, send, service};
use crate::keeps_the_contract;
use crate::office::{Asked, Booked, Reply, System};

#[derive(Default)]
pub struct ShipHero {
    orders: Mutex<Vec<Value>>,
    forgotten: Mutex<BTreeSet<String>>,
}

fn failed(code: &str, message: &str) -> Reply {
    Reply::json(
        200,
        &json!({ "errors": [{ "code": code, "message": message, "operation": "order_create", "request_id": "5f" }] }),
    )
}

fn credits() -> Reply {
    let words = "There are not enough credits to perform the requested operation, which requires 8 credits, but there are only 3 left.";
    let error = json!({ "code": 30, "message": words, "operation": "order_create", "required_credits": 8, "remaining_credits": 3, "time_remaining": "1 seconds" });
    Reply::json(200, &json!({ "errors": [error] }))
}

impl ShipHero {
    fn create(&self, data: &Value) -> Reply {
        for member in ["order_number", "shop_name", "fulfillment_status"] {
            if data[member].as_str().is_none_or(str::is_empty) {
                return failed("2", &format!("{member} is required"));
            }
        }
        for member in ["total_tax", "total_discounts"] {
            assert!(data[member].is_string(), "{member} is a String");
        }
        for member in ["first_name", "address1", "city", "zip", "country"] {
            assert!(data["shipping_address"][member].is_string(), "{member}: {data}");
        }
        for line in data["line_items"].as_array().expect("a list of lines") {
            let sku = line["sku"].as_str().unwrap();
            if self.forgotten.lock().unwrap().contains(sku) {
                return failed("4", &format!("Product with sku {sku} not found"));
            }
            assert!(
                line["quantity"].is_u64() && line["price"].is_string() && line["partner_line_item_id"].is_string(),
                "{line}"
            );
        }
        let mut orders = self.orders.lock().unwrap();
        orders.push(data.clone());
        let order = json!({ "id": id(orders.len()), "order_number": data["order_number"] });
        Reply::json(
            200,
            &json!({ "data": { "order_create": { "request_id": "5f", "complexity": 8, "order": order } } }),
        )
    }
}

fn id(place: usize) -> String {
    format!("T3JkZXI6{place:04}")
}

impl System for ShipHero {
    fn answer(&self, asked: &Asked) -> Reply {
        let body = asked.json();
        if asked.path == "/auth/token" {
            if body != json!({ "username": "router@example.com", "password": "sh-s3cret" }) {
                return Reply::json(401, &json!({ "message": "Unauthorized" }));
            }
            return Reply::json(
                200,
                &json!({ "access_token": "jwt.of.router", "expires_in": 2_419_200, "token_type": "Bearer" }),
            );
        }
        if asked.header("authorization") != "Bearer jwt.of.router" {
            return Reply::json(401, &json!({ "message": "Unauthorized" }));
        }
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/graphql"));
        let query = body["query"].as_str().expect("a query");
        if query.starts_with("mutation") {
            return self.create(&body["variables"]["data"]);
        }
        assert!(query.contains("data(first: 5)"), "a query without a page costs a hundred credits");
        let number = &body["variables"]["number"];
        let orders = self.orders.lock().unwrap();
        let found = orders.iter().enumerate().filter(|(_, order)| order["order_number"] == *number);
        let edges: Vec<Value> = found
            .map(|(place, order)| json!({ "node": { "id": id(place + 1), "order_number": order["order_number"] } }))
            .collect();
        Reply::json(200, &json!({ "data": { "orders": { "request_id": "5f", "data": { "edges": edges } } } }))
    }

    fn makes(&self, asked: &Asked) -> bool {
        asked.text.contains("order_create")
    }

    fn orders(&self) -> Vec<Booked> {
        let booked = |(place, order): (usize, &Value)| Booked {
            reference: order["order_number"].as_str().unwrap_or_default().to_owned(),
            number: id(place + 1),
            total: String::new(),
            finished: true,
        };
        self.orders.lock().unwrap().iter().enumerate().map(booked).collect()
    }

    fn has_already(&self, reference: &str, _: &str, _: &str) {
        self.orders.lock().unwrap().push(json!({ "order_number": reference }));
    }

    fn forgets(&self, sku: &str) -> bool {
        self.forgotten.lock().unwrap().insert(sku.to_owned())
    }

    fn learns(&self, sku: &str) {
        self.forgotten.lock().unwrap().remove(sku);
    }
}

fn profile_with(system: Arc<ShipHero>) -> Profile {
    Profile {
        system,
        config: r#"profile = "shiphero"
auth = { type = "login", url = "OFFICE/auth/token", body = { username = "router@example.com", password = "sh-s3cret" }, token = "/access_token", lifetime = "24d" }
with = { shop = "shop.example.com" }
"#,
        path: "",
        permanent: failed("4", "Invalid country code"),
        throttled: credits(),
        transient: failed("1", "Something went wrong, please try again later"),
        unauthorized: Reply::json(401, &json!({ "message": "Unauthorized" })),
        error_inside: Some(failed("4", "Shipping address is invalid")),
    }
}

pub fn profile() -> Profile {
    profile_with(Arc::default())
}

keeps_the_contract!(
    profile(),
    the_buyers_words_arrive,
    a_duplicate_makes_no_second_order,
    what_is_there_already_is_not_made_again,
    a_refusal_waits_for_a_person,
    what_passes_by_itself_needs_nobody,
    a_lost_answer_makes_one_order,
    an_error_inside_a_200_is_no_success,
    an_unknown_product_is_told_by_its_sku,
);

#[tokio::test(flavor = "multi_thread")]
async fn the_warehouse_gets_every_piece_that_ships_and_the_buyers_words() {
    let system = Arc::new(ShipHero::default());
    let (app, office) = service(&profile_with(Arc::clone(&system))).await;
    for (number, order) in contract::orders() {
        if number == contract::BY_THE_METRE {
            continue;
        }
        send(&app, &order).await;
        app.order_is(number, "delivered").await;
        assert_eq!(booked(&office, number).len(), 1);
    }
    let orders = system.orders.lock().unwrap().clone();
    let of = |number: &str| orders.iter().find(|order| order["order_number"] == number).unwrap();
    let bundle = of("100000103");
    let skus: Vec<&str> =
        bundle["line_items"].as_array().unwrap().iter().map(|line| line["sku"].as_str().unwrap()).collect();
    assert!(skus.len() >= 3, "components, not the bundle: {skus:?}");
    let engraved = of("100000104");
    assert!(engraved["packing_note"].as_str().unwrap().contains(": "), "{engraved}");
    assert_eq!(of("100000106")["line_items"], json!([]), "of a class, a download and a gift card nothing ships");
    app.stop().await;
}
