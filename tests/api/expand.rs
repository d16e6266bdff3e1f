//! `POST /orders/expand`: orders in, sales orders out.

use axum::http::StatusCode;
use crossdock::access::roles::Role;
use serde_json::{Value, json};

use crate::support::{Answered, Site};

const ORDER: &str = include_str!("../../src/demo/orders/simple.json");

async fn expand(site: &Site, query: &str, body: &str) -> Answered {
    let json = [("content-type", "application/json")];
    site.call(Role::Viewer, "POST", &format!("/orders/expand{query}"), &json, body).await
}

#[tokio::test]
async fn one_order_gives_one_sales_order_with_warnings_and_problems() {
    let site = Site::open().await;
    let answered = expand(&site, "", ORDER).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text);
    let answer = answered.json();
    assert_eq!(answer["sales_order"]["schema"], "crossdock.sales_order.v1");
    assert_eq!((&answer["warnings"], &answer["problems"]), (&json!([]), &json!([])));
    assert_eq!(expand(&site, "?destination=erp", ORDER).await.status, StatusCode::OK);
    assert_eq!(site.get("/ledger").await.json()["accepted"], 0, "nothing was stored");
}

#[tokio::test]
async fn every_sample_order_is_what_the_contract_says() {
    let site = Site::open().await;
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/demo/orders")).unwrap() {
        let path = entry.unwrap().path();
        let answered = expand(&site, "", &std::fs::read_to_string(&path).unwrap()).await;
        assert_eq!(answered.status, StatusCode::OK, "{}: {}", path.display(), answered.text);
    }
}

#[tokio::test]
async fn a_list_gives_a_list_and_a_bad_neighbour_spoils_nothing() {
    let site = Site::open().await;
    let answer = expand(&site, "", &format!("[{ORDER}, {{\"increment_id\": \"9\"}}]")).await.json();
    let items = answer.as_array().unwrap();
    assert!(items[0]["sales_order"].is_object());
    assert_eq!(items[1]["sales_order"], Value::Null);
    let problem = &items[1]["problems"][0];
    assert!(problem["path"].as_str().unwrap().starts_with("/1"), "{problem}");
    assert!(problem["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()));
}

#[tokio::test]
async fn what_cannot_be_expanded_is_a_422_that_lists_every_finding() {
    let site = Site::open().await;
    for (body, says) in [
        ("", "empty"),
        ("{", "not valid JSON"),
        ("[]", "no order"),
        ("7", "object"),
        ("{\"a\":1,\"a\":2}", "twice"),
        ("{\"increment_id\":\"9\"}", "unreadable_payload"),
    ] {
        let answered = expand(&site, "", body).await;
        assert_eq!(answered.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert!(answered.text.contains(says), "{body}: {}", answered.text);
    }
    assert_eq!(expand(&site, "?destination=nowhere", ORDER).await.status, StatusCode::BAD_REQUEST);
    // Flow builders often cannot set the content type; what is not JSON is told so anyway.
    let form = [("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(site.call(Role::Viewer, "POST", "/orders/expand", &form, ORDER).await.status, StatusCode::OK);
    let xml = site.call(Role::Viewer, "POST", "/orders/expand", &[("content-type", "text/xml")], "<a/>").await;
    assert_eq!(xml.status, StatusCode::UNPROCESSABLE_ENTITY);
}
