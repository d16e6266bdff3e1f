//! A host of signing keys on loopback that can be away, slow, or lie.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{Response, StatusCode, Uri, header};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What is served under a path.
#[derive(Clone, Debug)]
pub enum Says {
    Text(String),
    Status(u16),
    Redirect(String),
    /// So late, then this text.
    Late(Duration, String),
}

#[derive(Clone, Default)]
struct Shared {
    said: Arc<Mutex<BTreeMap<String, Says>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

/// Until it is dropped with the test's runtime.
pub struct KeyHost {
    shared: Shared,
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl KeyHost {
    pub async fn start() -> KeyHost {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a loopback port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Shared::default();
        KeyHost { serving: serve(listener, &shared), shared, address }
    }

    /// For `key_base_url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Serves these keys.
    pub fn publishes(&self, keys: impl IntoIterator<Item = (String, String)>) {
        for (path, pem) in keys {
            self.says(&path, Says::Text(pem));
        }
    }

    pub fn says(&self, path: &str, what: Says) {
        self.shared.said.lock().expect("no test panics while it is held").insert(path.to_owned(), what);
    }

    /// Every path that was asked for, in order.
    pub fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().expect("no test panics while it is held").clone()
    }

    /// Nobody listens any more.
    pub async fn goes_down(&mut self) {
        self.serving.abort();
        let _ = (&mut self.serving).await;
    }

    /// On the same port.
    pub async fn comes_back(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("the same port");
        self.serving = serve(listener, &self.shared);
    }
}

fn serve(listener: TcpListener, shared: &Shared) -> JoinHandle<()> {
    let router = Router::new().fallback(answer).with_state(shared.clone());
    tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves until it is stopped") })
}

async fn answer(State(shared): State<Shared>, uri: Uri) -> Response<String> {
    shared.asked.lock().expect("no test panics while it is held").push(uri.to_string());
    let said = shared.said.lock().expect("no test panics while it is held").get(&uri.to_string()).cloned();
    // Each on a connection of its own, so that being away is noticed at once.
    let response = Response::builder().header(header::CONNECTION, "close");
    let response = match said.unwrap_or(Says::Status(404)) {
        Says::Text(text) => response.body(text),
        Says::Status(status) => response.status(StatusCode::from_u16(status).expect("a status")).body(String::new()),
        Says::Redirect(to) => response.status(302).header(header::LOCATION, to).body(String::new()),
        Says::Late(wait, text) => {
            tokio::time::sleep(wait).await;
            response.body(text)
        }
    };
    response.expect("a response")
}
