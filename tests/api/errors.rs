//! ANS-1: every refusal has one shape, names its request, and repeats nothing that was sent.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use crossdock::access::roles::Role;

use crate::support::{Answered, Site};

fn assert_problem(answered: &Answered, status: u16, says: &str) {
    assert_eq!(answered.status.as_u16(), status, "{}", answered.text);
    assert_eq!(answered.header("content-type"), "application/problem+json");
    let problem = answered.json();
    assert_eq!(problem["request_id"], answered.header("x-request-id"));
    assert!(problem["type"].as_str().unwrap().starts_with("urn:crossdock:problem:"));
    assert!(answered.text.contains(says), "\"{says}\" is missing: {}", answered.text);
}

#[tokio::test]
async fn ans_1_what_is_malformed_is_a_400_that_says_what() {
    let site = Site::open().await;
    for (path, says) in [
        ("/events/env_short", "env_…"),
        ("/events/dlv_00000000000000000000000000", "env_…"),
        ("/exceptions/x", "exc_…"),
        ("/orders?limit=0", "1 to 200"),
        ("/orders?limit=201", "1 to 200"),
        ("/orders?limit=ten", "limit"),
        ("/orders?state=lost", "parked, due, delivered, ignored"),
        ("/orders?cursor=made-up", "cursor"),
        ("/exceptions?cursor=%F0%9F%A7%B5", "cursor"),
        ("/deliveries?state=gone", "in_flight"),
        ("/orders?colour=red", "colour"),
        ("/mappings/skus?cursor=row-99", "cursor"),
    ] {
        assert_problem(&site.get(path).await, 400, says);
    }
    let not_utf8 = site.get("/orders/%FF%FE").await;
    assert_problem(&not_utf8, 400, "UTF-8");
}

#[tokio::test]
async fn ans_1_what_is_not_there_is_a_404() {
    let site = Site::open().await;
    let id = "0".repeat(26);
    for path in [
        format!("/events/env_{id}"),
        format!("/events/env_{id}/explain"),
        format!("/documents/doc_{id}"),
        format!("/deliveries/dlv_{id}"),
        format!("/exceptions/exc_{id}"),
        "/orders/000000404".to_owned(),
        "/orders/000000404/explain".to_owned(),
        "/mappings/colours".to_owned(),
    ] {
        let answered = site.get(&path).await;
        assert_problem(&answered, 404, "");
    }
    for path in ["/", "/nowhere", "/api", "/api/v1", "/api/v1/", "/api/v1/nowhere", "/api/v1/orders/1/2/3"] {
        let answered = site.send(Request::builder().uri(path).body(Body::empty()).unwrap()).await;
        assert_problem(&answered, 404, "no such path");
    }
}

#[tokio::test]
async fn a_method_that_a_path_does_not_take_is_a_405_that_lists_the_others() {
    let site = Site::open().await;
    let answered = site.call(Role::Admin, "DELETE", "/mappings/skus", &[], "").await;
    assert_problem(&answered, 405, "Allow");
    assert!(answered.header("allow").contains("GET") && answered.header("allow").contains("PUT"));
    assert_problem(&site.call(Role::Admin, "POST", "/orders", &[], "").await, 405, "");
}

#[tokio::test]
async fn ans_1_bodies_are_refused_with_the_place_and_never_the_value() {
    let site = Site::open().await;
    let json = [("content-type", "application/json")];
    let post = |body: &'static str| site.call(Role::Admin, "POST", "/tokens", &json, body);
    assert_problem(&post("").await, 400, "JSON body is needed");
    assert_problem(&post("{\"name\":").await, 400, "line 1");
    assert_problem(&post("{\"name\":\"a\",\"role\":\"viewer\"} x").await, 400, "not valid JSON");
    assert_problem(&post("{\"name\":\"a\"}").await, 422, "role");
    let mistyped = post("{\"name\":\"a\",\"role\":{\"secret\":4711}}").await;
    assert_problem(&mistyped, 422, "/role");
    assert!(!mistyped.text.contains("4711"));
    assert_problem(
        &post("{\"name\":\"a\",\"role\":\"root\"}").await,
        422,
        "viewer, operator, mapper, finance or admin",
    );
    assert_problem(&post("{\"name\":\"a\\u0000\",\"role\":\"viewer\"}").await, 422, "/name");
    assert_problem(&post("{\"name\":\"a\",\"role\":\"viewer\",\"x\":1}").await, 422, "unknown field");
    assert_problem(
        &post("{\"name\":\"a\",\"role\":\"viewer\",\"expires_at\":\"2020-01-01T00:00:00Z\"}").await,
        422,
        "past",
    );
    let form = site.call(Role::Admin, "POST", "/tokens", &[("content-type", "text/plain")], "name=a").await;
    assert_problem(&form, 415, "application/json");
}

#[tokio::test]
async fn a_body_over_the_limit_is_a_413() {
    let site = Site::open().await;
    let body = "x".repeat(10 * 1024 * 1024 + 1);
    let csv = [("content-type", "text/csv")];
    assert_problem(&site.call(Role::Operator, "PUT", "/mappings/skus", &csv, &body).await, 413, "limit");
    let keyed = [("content-type", "text/csv"), ("idempotency-key", "\"a\"")];
    assert_problem(&site.call(Role::Operator, "PUT", "/mappings/skus", &keyed, &body).await, 413, "limit");
}

#[tokio::test]
async fn a_store_that_stopped_is_a_503_to_come_back_to() {
    let site = Site::open().await;
    assert_eq!(site.get("/whoami").await.status, StatusCode::OK);
    site.store.close().await.unwrap();
    let answered = site.get("/orders").await;
    assert_problem(&answered, 503, "try again");
    assert_eq!(answered.header("retry-after"), "1");
}

#[tokio::test]
async fn every_answer_names_its_request_and_is_not_to_be_kept() {
    let site = Site::open().await;
    let (one, two) = (site.get("/ledger").await, site.get("/ledger").await);
    assert!(one.header("x-request-id").starts_with("req_"));
    assert_ne!(one.header("x-request-id"), two.header("x-request-id"));
    assert_eq!(one.header("cache-control"), "no-store");
}
