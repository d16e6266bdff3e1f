//! Health and metrics: no token.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::json;

use crate::support::{Answered, Site};

async fn look(site: &Site, path: &str) -> Answered {
    site.send(Request::builder().uri(path).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn run_3_ready_says_why_not_and_live_stays() {
    let site = Site::open().await;
    assert_eq!(look(&site, "/health/ready").await.json(), json!({ "status": "ready", "reasons": [] }));
    site.health.hold("draining", "the service is stopping");
    let ready = look(&site, "/health/ready").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ready.json()["reasons"][0]["code"], "draining");
    assert_eq!(look(&site, "/health/live").await.status, StatusCode::OK);
    site.health.task_died("processor");
    assert_eq!(look(&site, "/health/live").await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn metrics_show_the_store_and_the_destinations() {
    let site = Site::open().await;
    site.parked("000000001", "MUG").await;
    site.waiting("000000002").await;
    let answered = look(&site, "/metrics").await;
    assert!(answered.header("content-type").starts_with("application/openmetrics-text"));
    for line in [
        "ledger{column=\"accepted\"} 2",
        "ledger_difference 0",
        "exceptions_open{code=\"unmapped_sku\"} 1",
        "delivery_backlog{destination=\"erp\"} 1",
        "destination_held{destination=\"erp\"} 1",
        "store_up 1",
        "store_disk_free_ratio 0.",
    ] {
        assert!(answered.text.contains(line), "{line}: {}", answered.text);
    }
    assert!(!answered.text.contains("00000000"), "order numbers are no labels");
    site.store.close().await.unwrap();
    let answered = look(&site, "/metrics").await;
    assert_eq!(answered.status, StatusCode::OK);
    assert!(answered.text.contains("store_up 0"));
}
