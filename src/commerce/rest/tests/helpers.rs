//! A small Commerce on a real socket that checks signatures by its own way.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::clock::{SystemClock, SystemEntropy};
use crate::commerce::rest::oauth::Credentials;
use crate::commerce::rest::{Auth, Client, Settings};

/// What the server saw of one request.
#[derive(Clone, Debug)]
pub struct Seen {
    pub uri: String,
    pub headers: HeaderMap,
    pub body: String,
}

pub type Answer = Box<dyn Fn() -> Response + Send + Sync>;

#[derive(Default)]
pub struct Server {
    pub seen: Mutex<Vec<Seen>>,
    pub script: Mutex<VecDeque<Answer>>,
    pub slow: Mutex<Duration>,
    pub most: AtomicUsize,
    now: AtomicUsize,
    nonces: Mutex<HashSet<String>>,
    pub address: Mutex<String>,
}

impl Server {
    pub async fn start() -> Arc<Server> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Arc::new(Server::default());
        *server.address.lock().unwrap() = listener.local_addr().unwrap().to_string();
        let router = Router::new().fallback(answer).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        server
    }

    pub fn then(&self, answer: impl Fn() -> Response + Send + Sync + 'static) {
        self.script.lock().unwrap().push_back(Box::new(answer));
    }

    pub fn requests(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn settings(&self, auth: Auth) -> Settings {
        Settings {
            system: "acme".to_owned(),
            saas: false,
            base_url: format!("http://{}/rest", self.address.lock().unwrap()).parse().unwrap(),
            auth,
            allow_private: vec!["127.0.0.0/8".parse().unwrap()],
            concurrency: 2,
            connect_timeout: Duration::from_secs(2),
            request_timeout: Duration::from_secs(5),
        }
    }

    pub fn client(&self, auth: Auth) -> Client {
        client(self.settings(auth))
    }
}

pub fn client(settings: Settings) -> Client {
    Client::new(settings, Arc::new(SystemClock), Arc::new(SystemEntropy)).unwrap()
}

pub fn credentials() -> Credentials {
    let text = |text: &str| text.to_owned();
    Credentials {
        consumer_key: text("ck1"),
        consumer_secret: text("cs1"),
        access_token: text("at1"),
        access_token_secret: text("ts1"),
    }
}

async fn answer(
    State(server): State<Arc<Server>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    server.most.fetch_max(server.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
    let slow = *server.slow.lock().unwrap();
    tokio::time::sleep(slow).await;
    server.now.fetch_sub(1, Ordering::SeqCst);
    server.seen.lock().unwrap().push(Seen { uri: uri.to_string(), headers: headers.clone(), body });
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if authorization.starts_with("OAuth ") && !signed(&server, &method, &uri, &headers, authorization) {
        return (StatusCode::UNAUTHORIZED, r#"{"message":"The signature is invalid."}"#).into_response();
    }
    let next = server.script.lock().unwrap().pop_front();
    next.map_or_else(|| r#"{"entity_id":1}"#.into_response(), |next| next())
}

/// Text by text, with nothing of the client's: what is sent is encoded once already, so once more is all there is to do.
fn signed(server: &Server, method: &Method, uri: &Uri, headers: &HeaderMap, authorization: &str) -> bool {
    let mut pairs = BTreeMap::new();
    let mut signature = String::new();
    for part in authorization.trim_start_matches("OAuth ").split(", ") {
        let (name, value) = part.split_once('=').unwrap();
        let value = value.trim_matches('"').to_owned();
        if name == "oauth_signature" {
            signature = value.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
        } else {
            pairs.insert(name.to_owned(), value);
        }
    }
    let fresh = server.nonces.lock().unwrap().insert(pairs["oauth_nonce"].clone());
    for pair in uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap();
        pairs.insert(name.to_owned(), value.to_owned());
    }
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let once_more = |text: &str| {
        let mut out = String::new();
        for byte in text.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
                _ => write!(out, "%{byte:02X}").unwrap(),
            }
        }
        out
    };
    let address = format!("http://{}{}", headers["host"].to_str().unwrap(), uri.path());
    let base = format!("{method}&{}&{}", once_more(&address), once_more(&pairs.join("&")));
    let mut mac = Hmac::<Sha256>::new_from_slice(b"cs1&ts1").unwrap();
    mac.update(base.as_bytes());
    fresh && base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes()) == signature
}
