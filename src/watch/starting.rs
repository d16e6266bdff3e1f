//! What the service answers from the moment it listens until it is ready (RUN-1): it lives, it is not ready, and why.
//!
//! Checking a store and settling what an earlier run left open may take a while. Meanwhile a load balancer hears 503
//! with the reason, and a sender 503 with `Retry-After`, rather than a refused connection.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::get;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use crate::observe::Health;

/// The router of that time.
pub fn router(health: Arc<Health>) -> Router {
    let ready = move || {
        let body = json!({ "status": "not_ready", "reasons": health.not_ready() });
        async move { answer(StatusCode::SERVICE_UNAVAILABLE, "application/json", &body) }
    };
    let live = || async { answer(StatusCode::OK, "application/json", &json!({ "status": "live", "reasons": [] })) };
    Router::new().route("/health/live", get(live)).route("/health/ready", get(ready)).fallback(|| async {
        let body = json!({
            "type": "about:blank",
            "title": "Temporarily unavailable",
            "status": 503,
            "detail": "The service is starting.",
        });
        answer(StatusCode::SERVICE_UNAVAILABLE, "application/problem+json", &body)
    })
}

fn answer(status: StatusCode, kind: &'static str, body: &serde_json::Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // The next request belongs to the service proper, which only new connections reach.
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

#[cfg(test)]
mod tests {
    use http::Request;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn run_1_while_it_starts_it_lives_and_is_not_ready_and_says_why() {
        let router = router(Arc::new(Health::new()));
        for (path, status, said) in [
            ("/health/live", 200, "live"),
            ("/health/ready", 503, "recovering"),
            ("/in/flows/orders", 503, "starting"),
            ("/api/v1/orders", 503, "starting"),
        ] {
            let answer = router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(answer.status().as_u16(), status, "{path}");
            assert_eq!(answer.headers().contains_key("retry-after"), status == 503, "{path}");
            assert_eq!(answer.headers()["connection"], "close");
            let body = axum::body::to_bytes(answer.into_body(), 10_000).await.unwrap();
            assert!(String::from_utf8_lossy(&body).contains(said), "{path}");
        }
    }

    #[tokio::test]
    async fn run_1_new_connections_reach_the_service_once_it_is_ready() {
        let settings = crate::server::Settings::default();
        let anywhere = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let server = crate::server::Server::start(anywhere, router(Arc::new(Health::new())), settings).await.unwrap();
        let url = format!("http://{}/health/ready", server.address());
        let client = reqwest::Client::new();
        assert_eq!(client.get(&url).send().await.unwrap().status().as_u16(), 503);
        server.serve(Router::new().route("/health/ready", get(|| async { "ready" })));
        assert_eq!(client.get(&url).send().await.unwrap().status().as_u16(), 200, "the same client, at once");
    }
}
