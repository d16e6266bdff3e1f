//! The door of somebody else's system: one listener, one system behind it, faults on demand.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use crossdock::server::{Server, Settings};
use hyper::body::Frame;
use serde_json::Value;

/// A request, read.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    /// Decoded.
    pub path: String,
    /// Decoded; the last of a name counts.
    pub query: BTreeMap<String, String>,
    /// Lower-case names.
    pub headers: BTreeMap<String, String>,
    pub text: String,
    /// When it came.
    pub at: Instant,
}

impl Asked {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn param(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    /// The body as JSON; `Null` if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl Reply {
    pub fn json(status: u16, body: &Value) -> Reply {
        Reply { status, headers: vec![("content-type", "application/json".into())], body: body.to_string() }
    }

    pub fn text(status: u16, content_type: &str, body: &str) -> Reply {
        Reply { status, headers: vec![("content-type", content_type.into())], body: body.into() }
    }

    pub fn with(mut self, name: &'static str, value: &str) -> Reply {
        self.headers.push((name, value.into()));
        self
    }
}

/// An order as the system has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booked {
    /// Our order number, as the system keeps it.
    pub reference: String,
    /// The number that the system gave it.
    pub number: String,
    /// The total that the system reckons, digits.
    pub total: String,
    /// It went through every step that follows its creation.
    pub finished: bool,
}

/// What stands behind the door: the documented rules of one interface, with a memory.
pub trait System: Send + Sync + 'static {
    /// Answers as the system would. Unknown paths, missing members and bad credentials are answered as documented.
    fn answer(&self, asked: &Asked) -> Reply;
    /// Whether this request makes an order.
    fn makes(&self, asked: &Asked) -> bool;
    /// Every order it has, oldest first.
    fn orders(&self) -> Vec<Booked>;
    /// Whether this request cancels an order.
    fn cancels(&self, asked: &Asked) -> bool {
        let path = asked.path.to_lowercase();
        path.ends_with("/cancel") || path.ends_with("/action_cancel") || asked.json()["run_method"] == "cancel"
    }
    /// Whether the order of that number is cancelled there.
    fn is_cancelled(&self, _reference: &str) -> bool {
        false
    }
    /// Makes an order under our number with that total and tax by hand, as a person or another integration would.
    fn has_already(&self, reference: &str, total: &str, tax: &str);
    /// Forgets a product until [`System::learns`]; `false`: SKUs are not looked at.
    fn forgets(&self, sku: &str) -> bool;
    fn learns(&self, sku: &str);
}

/// What goes wrong with the next request that makes an order (or with the next of any kind).
#[derive(Clone, Debug)]
pub enum Fault {
    /// Answers this instead, and does nothing.
    Say(Reply),
    /// Does it, and answers this.
    DoAndSay(Reply),
    /// Does it, and closes the connection without a word.
    DoAndDrop,
    /// Does nothing, and closes the connection without a word.
    Drop,
    /// Does it at once, and answers when the caller has gone.
    DoAndSleep(Duration),
}

struct Inner {
    system: Arc<dyn System>,
    creating: Mutex<VecDeque<Fault>>,
    after: Mutex<VecDeque<Fault>>,
    cancelling: Mutex<VecDeque<Fault>>,
    any: Mutex<VecDeque<Fault>>,
    log: Mutex<Vec<Asked>>,
}

/// The door.
#[derive(Clone)]
pub struct Office {
    inner: Arc<Inner>,
    server: Arc<Server>,
}

impl Office {
    pub async fn open(system: Arc<dyn System>) -> Office {
        let inner = Arc::new(Inner {
            system,
            creating: Mutex::default(),
            after: Mutex::default(),
            cancelling: Mutex::default(),
            any: Mutex::default(),
            log: Mutex::default(),
        });
        let router = Router::new().fallback(serve).with_state(Arc::clone(&inner));
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::start(anywhere, router, Settings::default()).await.expect("a loopback port");
        Office { inner, server: Arc::new(server) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    pub fn system(&self) -> &dyn System {
        self.inner.system.as_ref()
    }

    /// What happens to the next requests that make an order, in turn.
    pub fn when_creating(&self, faults: impl IntoIterator<Item = Fault>) {
        self.inner.creating.lock().unwrap().extend(faults);
    }

    /// What happens to the next requests that follow one which made an order, in turn.
    pub fn after_creating(&self, faults: impl IntoIterator<Item = Fault>) {
        self.inner.after.lock().unwrap().extend(faults);
    }

    /// What happens to the next requests that cancel an order, in turn.
    pub fn when_cancelling(&self, faults: impl IntoIterator<Item = Fault>) {
        self.inner.cancelling.lock().unwrap().extend(faults);
    }

    /// What happens to the next requests of any kind, in turn.
    pub fn next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.inner.any.lock().unwrap().extend(faults);
    }

    /// Every request so far.
    pub fn log(&self) -> Vec<Asked> {
        self.inner.log.lock().unwrap().clone()
    }
}

async fn serve(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 16 << 20).await.unwrap_or_default();
    let url = reqwest::Url::parse(&format!("http://x{}", parts.uri)).unwrap();
    let path = percent_encoding::percent_decode_str(url.path()).decode_utf8_lossy().into_owned();
    let asked = Asked {
        method: parts.method.to_string(),
        path,
        query: url.query_pairs().into_owned().collect(),
        headers: parts
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
        text: String::from_utf8_lossy(&body).into_owned(),
        at: Instant::now(),
    };
    inner.log.lock().unwrap().push(asked.clone());
    let creating = inner.system.makes(&asked);
    let mut fault = inner.any.lock().unwrap().pop_front();
    if fault.is_none() && creating {
        fault = inner.creating.lock().unwrap().pop_front();
    }
    let follows = inner.log.lock().unwrap().iter().rev().nth(1).is_some_and(|before| inner.system.makes(before));
    if fault.is_none() && !creating && follows {
        fault = inner.after.lock().unwrap().pop_front();
    }
    if fault.is_none() && inner.system.cancels(&asked) {
        fault = inner.cancelling.lock().unwrap().pop_front();
    }
    match fault {
        None => respond(inner.system.answer(&asked)),
        Some(Fault::Say(reply)) => respond(reply),
        Some(Fault::DoAndSay(reply)) => {
            inner.system.answer(&asked);
            respond(reply)
        }
        Some(Fault::DoAndDrop) => {
            inner.system.answer(&asked);
            dropped()
        }
        Some(Fault::Drop) => dropped(),
        Some(Fault::DoAndSleep(time)) => {
            let reply = inner.system.answer(&asked);
            tokio::time::sleep(time).await;
            respond(reply)
        }
    }
}

fn respond(reply: Reply) -> Response {
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(reply.body)).unwrap()
}

/// A body that breaks off before its first byte takes the connection with it.
fn dropped() -> Response {
    Response::builder().header("content-length", "100").body(Body::new(Broken)).unwrap()
}

struct Broken;

impl HttpBody for Broken {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Poll::Ready(Some(Err(std::io::Error::other("the line is cut"))))
    }
}
