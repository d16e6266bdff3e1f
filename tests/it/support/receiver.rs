//! A destination that keeps what it was sent, headers and bytes, and always says yes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use crossdock::server::{Server, Settings};

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Got {
    pub headers: HeaderMap,
    pub body: Bytes,
}

type Book = Arc<Mutex<Vec<Got>>>;

/// A server on loopback, until it is dropped with the test's runtime.
pub struct Receiver {
    book: Book,
    server: Server,
}

impl Receiver {
    pub async fn start() -> Receiver {
        let book = Book::default();
        let router = Router::new().route("/orders", post(take)).with_state(book.clone());
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::start(anywhere, router, Settings::default()).await.expect("a loopback port");
        Receiver { book, server }
    }

    pub fn url(&self) -> String {
        format!("http://{}/orders", self.server.address())
    }

    pub fn got(&self) -> Vec<Got> {
        self.book.lock().unwrap().clone()
    }
}

async fn take(State(book): State<Book>, headers: HeaderMap, body: Bytes) -> (StatusCode, &'static str) {
    book.lock().unwrap().push(Got { headers, body });
    (StatusCode::CREATED, r#"{"id":"R-1"}"#)
}
