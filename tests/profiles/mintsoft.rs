//! Profile `mintsoft` against a stand-in of its REST API: a key in a header, success and failure inside a 200.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::contract::Profile;
use crate::keeps_the_contract;
use crate::office::{Asked, Booked, Reply, System};

#[derive(Default)]
struct Mintsoft {
    orders: Mutex<Vec<Value>>,
    forgotten: Mutex<BTreeSet<String>>,
    /// A create is answered with one object in place of a list of one.
    single: bool,
}

fn failed(message: &str) -> Reply {
    Reply::json(200, &json!([{ "OrderId": 0, "OrderNumber": null, "Success": false, "Message": message }]))
}

impl Mintsoft {
    fn create(&self, asked: &Value) -> Reply {
        for member in ["OrderNumber", "FirstName", "Address1", "Town", "PostCode", "Country"] {
            if asked[member].as_str().is_none_or(str::is_empty) {
                return failed(&format!("{member} is required"));
            }
        }
        for item in asked["OrderItems"].as_array().expect("a list of items") {
            let sku = item["SKU"].as_str().unwrap();
            if self.forgotten.lock().unwrap().contains(sku) {
                return failed(&format!("No product found with SKU {sku}"));
            }
            assert!(item["Quantity"].is_u64() && item["UnitPrice"].is_number(), "{item}");
            for value in item["OrderItemNameValues"].as_array().unwrap() {
                assert!(value["Name"].is_string() && value["Value"].is_string());
            }
        }
        let mut orders = self.orders.lock().unwrap();
        orders.push(asked.clone());
        let made = json!({ "OrderId": 9_000 + orders.len(), "OrderNumber": asked["OrderNumber"], "Success": true, "OrderStatus": "NEW", "Message": null });
        Reply::json(200, &if self.single { made } else { json!([made]) })
    }
}

impl System for Mintsoft {
    fn answer(&self, asked: &Asked) -> Reply {
        if asked.header("ms-apikey") != "1f3c-mint" {
            return Reply::json(401, &json!({ "Message": "Authorization has been denied for this request." }));
        }
        match (asked.method.as_str(), asked.path.as_str()) {
            ("PUT", "/api/Order") => self.create(&asked.json()),
            ("GET", "/api/Order/Search") => {
                let orders = self.orders.lock().unwrap();
                let found =
                    orders.iter().enumerate().filter(|(_, order)| order["OrderNumber"] == asked.param("OrderNumber"));
                let found: Vec<Value> = found
                    .map(|(place, order)| json!({ "ID": 9_001 + place, "OrderNumber": order["OrderNumber"] }))
                    .collect();
                Reply::json(200, &json!(found))
            }
            _ => Reply::json(404, &json!({ "Message": "No HTTP resource was found" })),
        }
    }

    fn makes(&self, asked: &Asked) -> bool {
        asked.method == "PUT"
    }

    fn orders(&self) -> Vec<Booked> {
        let booked = |(place, order): (usize, &Value)| Booked {
            reference: order["OrderNumber"].as_str().unwrap_or_default().to_owned(),
            number: (9_001 + place).to_string(),
            total: order["OrderValue"].to_string(),
            finished: true,
        };
        self.orders.lock().unwrap().iter().enumerate().map(booked).collect()
    }

    fn has_already(&self, reference: &str, _: &str, _: &str) {
        self.orders.lock().unwrap().push(json!({ "OrderNumber": reference }));
    }

    fn forgets(&self, sku: &str) -> bool {
        self.forgotten.lock().unwrap().insert(sku.to_owned())
    }

    fn learns(&self, sku: &str) {
        self.forgotten.lock().unwrap().remove(sku);
    }
}

fn profile_of(system: Mintsoft) -> Profile {
    Profile {
        system: Arc::new(system),
        config: r#"profile = "mintsoft"
auth = { type = "header", name = "ms-apikey", value = "1f3c-mint" }
"#,
        path: "",
        permanent: Reply::json(400, &json!({ "Message": "The request is invalid." })),
        throttled: Reply::json(429, &json!({ "Message": "Too many requests" })).with("retry-after", "1"),
        transient: Reply::json(500, &json!({ "Message": "An error has occurred." })),
        unauthorized: Reply::json(401, &json!({ "Message": "Authorization has been denied for this request." })),
        error_inside: Some(failed("Country ZZ is not known")),
    }
}

pub fn profile() -> Profile {
    profile_of(Mintsoft::default())
}

keeps_the_contract!(
    profile(),
    every_sample_of_whole_pieces_arrives_as_it_was_charged,
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
async fn what_the_buyer_wrote_stands_at_every_component_of_its_bundle() {
    let (app, office) = crate::contract::service(&profile()).await;
    let (number, order) = crate::contract::orders().into_iter().find(|(number, _)| *number == "100000104").unwrap();
    crate::contract::send(&app, &order).await;
    app.order_is(number, "delivered").await;
    let made = office.log().into_iter().find(|asked| asked.method == "PUT").unwrap().json();
    let items = made["OrderItems"].as_array().unwrap();
    assert!(items.len() > 1);
    for item in items {
        let value = &item["OrderItemNameValues"][0];
        assert!(value["Name"].is_string() && item["Details"].as_str().unwrap().contains(": "), "{item}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_object_is_understood_like_a_list_of_one() {
    let profile = profile_of(Mintsoft { single: true, ..Mintsoft::default() });
    crate::contract::every_sample_of_whole_pieces_arrives_as_it_was_charged(profile).await;
}
