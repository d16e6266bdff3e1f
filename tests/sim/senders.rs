//! Who sends: every request again until somebody answers for good.

use std::sync::Arc;

use axum::body::Body;
use http::{Request as HttpRequest, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use super::service::Service;
use super::workload::{API_KEY, HMAC_SECRET, Micros, Request, SECOND};
use super::world::World;
use crate::intake::signature::sign;

/// All requests of a story.
#[derive(Default)]
pub struct Senders {
    all: Vec<Sender>,
}

struct Sender {
    request: Request,
    due: Micros,
    busy: bool,
    done: bool,
    tries: u32,
}

/// What an answer said about one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// Taken, new or known; with the envelope if the dialect says.
    Taken(Option<String>),
    /// Known as a duplicate, of this envelope.
    Known(String),
    /// Its event id stands for other content.
    Conflict,
    /// Not taken.
    Refused,
}

impl Senders {
    /// One more.
    pub fn add(&mut self, request: Request, now: Micros) {
        self.all.push(Sender { request, due: now, busy: false, done: false, tries: 0 });
    }

    /// When the next one sends.
    pub fn next_due(&self) -> Option<Micros> {
        self.all.iter().filter(|sender| !sender.busy && !sender.done).map(|sender| sender.due).min()
    }

    /// Whether all were answered for good.
    pub fn are_done(&self) -> bool {
        self.all.iter().all(|sender| sender.done)
    }

    /// Nobody answers any more.
    pub fn hang_up(&mut self) {
        self.all.iter_mut().for_each(|sender| sender.busy = false);
    }

    /// Those that wait long try soon.
    pub fn hurry(&mut self, now: Micros) {
        self.all.iter_mut().for_each(|sender| sender.due = sender.due.min(now + 2 * SECOND));
    }
}

/// Sends what is due.
pub fn send_due(world: &Arc<World>, service: &Service) {
    let now = world.time.now();
    let due: Vec<(usize, Request)> = world.with(|state| {
        let mut due = Vec::new();
        for (index, sender) in state.senders.all.iter_mut().enumerate() {
            if !sender.busy && !sender.done && sender.due <= now {
                sender.busy = true;
                sender.tries += 1;
                // Should nobody ever answer: again after a time-out of the sender's.
                sender.due = now + Micros::from(sender.tries.min(20)) * SECOND;
                due.push((index, sender.request.clone()));
            }
        }
        due
    });
    for (index, request) in due {
        let (world, router) = (Arc::clone(world), service.router.clone());
        tokio::spawn(async move {
            world.with(|state| state.auditor.sent(&request));
            let response = router.oneshot(http(&request)).await.expect("handlers never fail");
            let status = response.status();
            let body =
                response.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            if world.disk.is_dead() {
                return;
            }
            answered(&world, index, &request, status, &serde_json::from_slice(&body).unwrap_or(Value::Null));
        });
    }
}

fn http(request: &Request) -> HttpRequest<Body> {
    let mut builder = HttpRequest::post(if request.origin == "flows" { "/in/flows/orders" } else { "/in/hooks" });
    if let Some(event_id) = &request.event_id {
        builder = builder.header("x-event-id", event_id);
    }
    builder = match (request.origin, request.forged) {
        ("flows", false) => builder.header("x-api-key", API_KEY),
        ("flows", true) => builder.header("x-api-key", "guessed"),
        _ => builder.header("x-hmac-hash", sign::hmac_hex(HMAC_SECRET, &request.body)),
    };
    builder.body(Body::from(request.body.clone())).expect("headers that fit")
}

fn answered(world: &Arc<World>, index: usize, request: &Request, status: StatusCode, body: &Value) {
    let final_answer = !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS;
    let orders: Vec<&str> = request.records.iter().map(|record| record.order.as_str()).collect();
    let words = words(request, status, body);
    world.note(|| format!("answer {} {orders:?} {} {words:?}", request.origin, status.as_u16()));
    world.with(|state| {
        let sender = &mut state.senders.all[index];
        sender.busy = false;
        sender.done = final_answer;
    });
    world.audit_answer(request, status.as_u16(), &words);
    world.changed.notify_one();
}

/// What was said of each record; nothing for an answer that is not for good.
fn words(request: &Request, status: StatusCode, body: &Value) -> Vec<Word> {
    if request.origin == "hooks" {
        let taken = status.is_success() && body["op"] == "success";
        return vec![if taken { Word::Taken(None) } else { Word::Refused }];
    }
    let said = |result: &Value| {
        let event = result["event_id"].as_str().unwrap_or_default().to_owned();
        match result["status"].as_str() {
            Some("accepted") => Word::Taken(Some(event)),
            Some("duplicate") => Word::Known(event),
            // A rejection that names an envelope says that the id stands for something else.
            Some("rejected") if !event.is_empty() => Word::Conflict,
            _ => Word::Refused,
        }
    };
    match body["results"].as_array() {
        Some(results) => results.iter().map(said).collect(),
        None => request.records.iter().map(|_| Word::Refused).collect(),
    }
}
