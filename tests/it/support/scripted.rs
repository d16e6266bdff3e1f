//! A destination that keeps what it was sent and answers by a script, one line a request; then 201.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use crossdock::server::{Server, Settings};
use serde_json::Value;
use tokio::sync::watch;

/// One request as it came, answered with 2xx or not.
#[derive(Clone, Debug)]
pub struct Got {
    pub key: String,
    pub document: Value,
    pub status: u16,
}

impl Got {
    pub fn purpose(&self) -> &str {
        self.document["purpose"].as_str().unwrap()
    }

    pub fn number(&self) -> &str {
        self.document["order"]["increment_id"].as_str().unwrap()
    }
}

#[derive(Clone)]
struct Shared {
    book: Arc<Mutex<Vec<Got>>>,
    script: Arc<Mutex<VecDeque<u16>>>,
    open: watch::Sender<bool>,
}

/// A server on loopback, until it is dropped with the test's runtime.
pub struct Scripted {
    shared: Shared,
    server: Server,
}

impl Scripted {
    pub async fn start() -> Scripted {
        let shared = Shared { book: Arc::default(), script: Arc::default(), open: watch::Sender::new(true) };
        let router = Router::new().route("/orders", post(take)).with_state(shared.clone());
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::start(anywhere, router, Settings::default()).await.expect("a loopback port");
        Scripted { shared, server }
    }

    pub fn url(&self) -> String {
        format!("http://{}/orders", self.server.address())
    }

    /// The next requests are answered with these.
    pub fn next(&self, statuses: &[u16]) {
        self.shared.script.lock().unwrap().extend(statuses);
    }

    /// Requests wait for [`Scripted::open`].
    pub fn shut(&self) {
        self.shared.open.send_replace(false);
    }

    pub fn open(&self) {
        self.shared.open.send_replace(true);
    }

    pub fn got(&self) -> Vec<Got> {
        self.shared.book.lock().unwrap().clone()
    }

    /// What was said yes to of one order, oldest first.
    pub fn of(&self, number: &str) -> Vec<Got> {
        self.got().into_iter().filter(|got| got.number() == number && got.status == 201).collect()
    }

    /// The purposes of [`Scripted::of`].
    pub fn purposes(&self, number: &str) -> Vec<String> {
        self.of(number).iter().map(|got| got.purpose().to_owned()).collect()
    }
}

async fn take(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> (StatusCode, &'static str) {
    let status = shared.script.lock().unwrap().pop_front().unwrap_or(201);
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    let document = serde_json::from_slice(&body).unwrap();
    shared.book.lock().unwrap().push(Got { key, document, status });
    let _ = shared.open.subscribe().wait_for(|open| *open).await;
    (StatusCode::from_u16(status).unwrap(), r#"{"id":"R-1"}"#)
}
