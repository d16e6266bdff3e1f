//! Profile `sap-s4hana` against a stand-in of its `OData` V2 service: CSRF token and session cookies, decimals as text, deep
//! insert, conditions that make the net amount and the tax.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Value, json};

use crate::contract::{Profile, booked, one, send, service};
use crate::keeps_the_contract;
use crate::office::{Asked, Booked, Fault, Reply, System};
use crate::support::until;

#[derive(Default)]
struct S4 {
    orders: Mutex<Vec<Order>>,
    forgotten: Mutex<BTreeSet<String>>,
    /// Pairs of token and session that are good.
    pairs: Mutex<Vec<(String, String)>>,
    issued: Mutex<usize>,
}

#[derive(Clone)]
struct Order {
    reference: String,
    net: Decimal,
    tax: Decimal,
}

fn failed(status: u16, code: &str, message: &str) -> Reply {
    let error =
        json!({ "code": code, "message": { "lang": "en", "value": message }, "innererror": { "errordetails": [] } });
    Reply::json(status, &json!({ "error": error }))
}

/// Edm.Decimal of V2 is text; a JSON number is a malformed body.
fn decimal(value: &Value) -> Option<Decimal> {
    value.as_str()?.parse().ok()
}

fn list<'v>(of: &'v Value, name: &str) -> Vec<&'v Value> {
    let Some(member) = of.get(name) else { return Vec::new() };
    member["results"].as_array().expect("a navigation property is written as an object with results").iter().collect()
}

impl S4 {
    fn pair(&self) -> Reply {
        let mut issued = self.issued.lock().unwrap();
        *issued += 1;
        let (token, session) = (format!("tok{issued}=="), format!("%2fses{issued}"));
        self.pairs.lock().unwrap().push((token.clone(), session.clone()));
        Reply::json(200, &json!({ "d": { "EntitySets": ["A_SalesOrder"] } }))
            .with("x-csrf-token", &token)
            .with("set-cookie", &format!("SAP_SESSIONID_S4H_100={session}; path=/; HttpOnly"))
            .with("set-cookie", "sap-usercontext=sap-client=100; path=/")
    }

    fn is_paired(&self, asked: &Asked) -> bool {
        let cookies: Vec<&str> = asked.header("cookie").split("; ").collect();
        self.pairs.lock().unwrap().iter().any(|(token, session)| {
            asked.header("x-csrf-token") == token
                && cookies.contains(&format!("SAP_SESSIONID_S4H_100={session}").as_str())
                && cookies.contains(&"sap-usercontext=sap-client=100")
        })
    }

    fn create(&self, asked: &Value) -> Reply {
        for member in
            ["SalesOrderType", "SalesOrganization", "DistributionChannel", "OrganizationDivision", "SoldToParty"]
        {
            if asked[member].as_str().is_none_or(str::is_empty) {
                return failed(400, "SLS_LO/001", &format!("Enter {member}"));
            }
        }
        if asked["PurchaseOrderByCustomer"].as_str().unwrap().chars().count() > 35 {
            return failed(400, "/IWBEP/CM_MGW_RT/021", "PurchaseOrderByCustomer exceeds its maximum length");
        }
        let (mut net, mut tax) = (Decimal::ZERO, Decimal::ZERO);
        for item in list(asked, "to_Item") {
            let material = item["Material"].as_str().unwrap_or_default();
            if material.is_empty() || self.forgotten.lock().unwrap().contains(material) {
                return failed(400, "V1/382", &format!("Material {material} is not defined for sales org. 1010"));
            }
            let Some(quantity) = decimal(&item["RequestedQuantity"]) else {
                return failed(400, "005056A509B11EE1B9A8FEC11C21D78E", "Malformed value of RequestedQuantity");
            };
            let prices = list(item, "to_PricingElement");
            let [price] = prices[..] else { return failed(400, "V1/801", "Pricing error: price is missing") };
            let (Some(rate), Some(per)) = (decimal(&price["ConditionRateValue"]), decimal(&price["ConditionQuantity"]))
            else {
                return failed(400, "005056A509B11EE1B9A8FEC11C21D78E", "Malformed value of ConditionRateValue");
            };
            assert_eq!(price["ConditionType"], "PPR0");
            assert!(per.fract().is_zero() && rate.scale() <= 2, "what a condition record can hold: {price}");
            net += (rate * quantity / per).round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
            for text in list(item, "to_Text") {
                assert!(text["LongText"].as_str().unwrap().contains(": ") && text["LongTextID"] == "0001");
            }
        }
        for condition in list(asked, "to_PricingElement") {
            let amount = decimal(&condition["ConditionRateValue"]).unwrap();
            match condition["ConditionType"].as_str().unwrap() {
                "HD00" => net += amount,
                "ZTAX" => tax += amount,
                other => return failed(400, "VK/115", &format!("Condition type {other} is not defined")),
            }
        }
        for partner in list(asked, "to_Partner") {
            assert_eq!((&partner["PartnerFunction"], &partner["Customer"]), (&json!("SH"), &json!("10100001")));
            assert!(list(partner, "to_Address")[0]["OrganizationName1"].as_str().is_some_and(|name| !name.is_empty()));
        }
        let reference = asked["PurchaseOrderByCustomer"].as_str().unwrap().to_owned();
        let mut orders = self.orders.lock().unwrap();
        orders.push(Order { reference, net, tax });
        Reply::json(201, &json!({ "d": shown(orders.len(), orders.last().unwrap()) }))
    }
}

fn shown(place: usize, order: &Order) -> Value {
    json!({ "SalesOrder": (4_000 + place).to_string(), "PurchaseOrderByCustomer": order.reference, "TotalNetAmount": order.net.to_string() })
}

impl System for S4 {
    fn answer(&self, asked: &Asked) -> Reply {
        // router:s4-secret
        if asked.header("authorization") != "Basic cm91dGVyOnM0LXNlY3JldA==" {
            return Reply::text(401, "text/html", "<html>Logon failed</html>");
        }
        let Some(path) = asked.path.strip_prefix("/sap/opu/odata/sap/API_SALES_ORDER_SRV") else {
            return failed(403, "/IWFND/MED/170", "No service found for namespace");
        };
        if asked.method != "GET" && !self.is_paired(asked) {
            return Reply::text(403, "text/plain", "CSRF token validation failed").with("x-csrf-token", "Required");
        }
        let orders = || self.orders.lock().unwrap().clone();
        match (asked.method.as_str(), path) {
            ("GET", "/" | "") if asked.header("x-csrf-token").eq_ignore_ascii_case("fetch") => self.pair(),
            ("POST", "/A_SalesOrder") => self.create(&asked.json()),
            ("GET", "/A_SalesOrder") => {
                let filter = asked.param("$filter").strip_prefix("PurchaseOrderByCustomer eq '");
                let Some(wanted) = filter.and_then(|rest| rest.strip_suffix("' and SoldToParty eq '10100001'")) else {
                    return failed(400, "/IWBEP/CX_MGW_BUSI_EXCEPTION", "Invalid filter");
                };
                let orders = orders();
                let found = orders.iter().enumerate().filter(|(_, order)| order.reference == wanted);
                let found: Vec<Value> = found.map(|(place, order)| shown(place + 1, order)).collect();
                Reply::json(200, &json!({ "d": { "results": found } }))
            }
            ("GET", path) => {
                let id = path.strip_prefix("/A_SalesOrder('").and_then(|rest| rest.strip_suffix("')"));
                let place = id.and_then(|id| id.parse::<usize>().ok()).and_then(|id| id.checked_sub(4_001));
                match place.and_then(|place| Some((place, orders().get(place)?.clone()))) {
                    Some((place, order)) => Reply::json(200, &json!({ "d": shown(place + 1, &order) })),
                    None => failed(404, "/IWBEP/CM_MGW_RT/020", "Resource not found for segment 'A_SalesOrderType'"),
                }
            }
            _ => failed(405, "005056A509B11EE3AEB53B8B3B8B3B8B", "Method not allowed"),
        }
    }

    fn makes(&self, asked: &Asked) -> bool {
        asked.method == "POST" && asked.path.ends_with("/A_SalesOrder")
    }

    fn orders(&self) -> Vec<Booked> {
        let booked = |(place, order): (usize, &Order)| Booked {
            reference: order.reference.clone(),
            number: (4_001 + place).to_string(),
            total: (order.net + order.tax).normalize().to_string(),
            finished: true,
        };
        self.orders.lock().unwrap().iter().enumerate().map(booked).collect()
    }

    fn has_already(&self, reference: &str, total: &str, tax: &str) {
        let (total, tax): (Decimal, Decimal) = (total.parse().unwrap(), tax.parse().unwrap());
        self.orders.lock().unwrap().push(Order { reference: reference.to_owned(), net: total - tax, tax });
    }

    fn forgets(&self, sku: &str) -> bool {
        self.forgotten.lock().unwrap().insert(sku.to_owned())
    }

    fn learns(&self, sku: &str) {
        self.forgotten.lock().unwrap().remove(sku);
    }
}

fn profile_with(system: Arc<S4>) -> Profile {
    Profile {
        system,
        config: r#"profile = "sap-s4hana"
auth = { type = "basic", user = "router", password = "s4-secret" }
with = { sales_organization = "1010", sold_to = "10100001", tax_condition = "ZTAX" }
"#,
        path: "/sap/opu/odata/sap/API_SALES_ORDER_SRV",
        permanent: failed(400, "V1/302", "Sales area 1010 10 00 is not defined for customer 10100001"),
        throttled: Reply::text(429, "text/plain", "Too many requests").with("retry-after", "1"),
        transient: failed(400, "V1/042", "Customer 10100001 is currently being processed by user PICKER"),
        unauthorized: Reply::text(401, "text/html", "<html>Logon failed</html>"),
        error_inside: None,
    }
}

pub fn profile() -> Profile {
    profile_with(Arc::default())
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
async fn a_csrf_token_is_fetched_once_for_all_and_again_when_its_session_has_ended() {
    let system = Arc::new(S4::default());
    let (app, office) = service(&profile_with(Arc::clone(&system))).await;
    let all = crate::contract::orders();
    for (_, order) in &all {
        send(&app, order).await;
    }
    for (number, _) in &all {
        app.order_is(number, "delivered").await;
    }
    let fetches = || office.log().iter().filter(|asked| asked.header("x-csrf-token") == "fetch").count();
    assert_eq!(fetches(), 1, "one for {} orders", all.len());
    assert!(
        office
            .log()
            .iter()
            .filter(|asked| asked.method == "GET")
            .all(|asked| { matches!(asked.header("x-csrf-token"), "" | "fetch") }),
        "reads show no token"
    );
    app.stop().await;

    let system = Arc::new(S4::default());
    let (app, office) = service(&profile_with(Arc::clone(&system))).await;
    let (number, order) = one();
    let (first, other) = all.iter().find(|(other, _)| *other != number).unwrap();
    send(&app, other).await;
    app.order_is(first, "delivered").await;
    system.pairs.lock().unwrap().clear();
    send(&app, &order).await;
    app.order_is(number, "delivered").await;
    assert_eq!(booked(&office, number).len(), 1);
    let fetches = office.log().iter().filter(|asked| asked.header("x-csrf-token") == "fetch").count();
    assert_eq!(fetches, 2);
    let told = app.sees("/api/v1/deliveries").await.to_string();
    assert!(!told.contains("tok1") && !told.contains("SAP_SESSIONID"), "{told}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stumble_over_the_token_leaves_no_doubt_about_the_order() {
    let system = Arc::new(S4::default());
    let (app, office) = service(&profile_with(Arc::clone(&system))).await;
    let (number, order) = one();
    let busy = || Reply::text(503, "text/html", "<html>Service Unavailable</html>");
    let found = Reply::json(200, &json!({ "d": { "results": [] } }));
    // The find is answered; then the token is asked for in vain, by itself and by an answer that has none.
    office.next([
        Fault::Say(found.clone()),
        Fault::Say(busy()),
        Fault::Say(found),
        Fault::Say(Reply::json(200, &json!({}))),
    ]);
    send(&app, &order).await;
    app.order_is(number, "delivered").await;
    let told = app.order(number).await;
    let id = told["deliveries"][0]["id"].as_str().unwrap();
    let delivery = app.sees(&format!("/api/v1/deliveries/{id}")).await;
    let outcomes: Vec<&str> = delivery["attempts_made"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|attempt| attempt["outcome"].as_str())
        .collect();
    assert!(!outcomes.contains(&"uncertain"), "{outcomes:?}");
    assert_eq!(booked(&office, number).len(), 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_that_refuses_every_token_is_held_and_parks_nobody() {
    let system = Arc::new(S4::default());
    let (app, office) = service(&profile_with(Arc::clone(&system))).await;
    let (number, order) = one();
    let refused = Reply::text(403, "text/plain", "CSRF token validation failed").with("x-csrf-token", "Required");
    office.when_creating(vec![Fault::Say(refused); 4]);
    send(&app, &order).await;
    until("the destination is held", async || {
        let seen = app.sees("/api/v1/destinations").await;
        (seen["items"][0]["state"] == "held").then_some(())
    })
    .await;
    assert!(app.exceptions_of(number).await.is_empty());
    assert!(office.log().len() < 12, "no loop: {}", office.log().len());
    app.stop().await;
}
