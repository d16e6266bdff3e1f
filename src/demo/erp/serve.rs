//! The wire: connections, routes, faults. The loop is hyper's own, because a fault must be able to close a connection
//! without a single byte of answer, which a framework never lets a handler do.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::Shared;
use super::book::{self, Book, Call, Opening, Subject};
use super::fault::Fault;
use super::reply::{Hangup, Reply};

/// A larger document is refused: our own limit for one body is 10 MiB.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Accepts until `open` turns false or its sender is gone.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>, mut open: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            biased;
            () = closed(&mut open) => return,
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    if shared.resets_connection() {
                        // Closing with no time to linger sends a reset instead of an end.
                        let _ = stream.set_zero_linger();
                        continue;
                    }
                    tokio::spawn(connection(stream, Arc::clone(&shared), open.clone()));
                }
            }
        }
    }
}

async fn closed(open: &mut watch::Receiver<bool>) {
    // An error means that the owner is gone, which closes as well.
    let _ = open.wait_for(|open| !open).await;
}

async fn connection(stream: TcpStream, shared: Arc<Shared>, mut open: watch::Receiver<bool>) {
    // Small answers must not wait for the peer's acknowledgement.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| answer(Arc::clone(&shared), request));
    let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        () = closed(&mut open) => {}
        // The only errors are the peer's and our own hang-ups.
        _ = serving => {}
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Reply>, Hangup> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    if !shared.admits(&head.headers) {
        return Ok(problem(StatusCode::UNAUTHORIZED, "unauthorised", "the bearer token is missing or wrong"));
    }
    match (&head.method, path) {
        (&Method::POST, "/sales-orders") => {
            let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(|_| Hangup)?.to_bytes();
            let call = shared.call(&head.headers, body);
            let fault = shared.take_fault(call.number);
            if fault.is_none() && shared.latency.is_zero() {
                return Ok(create_now(&shared, &call));
            }
            // A task of its own: an ERP goes on working when its caller has hung up.
            tokio::spawn(create(shared, call, fault)).await.map_err(|_| Hangup)?
        }
        (&Method::GET, "/sales-orders") if shared.can_be_asked => {
            find(&shared, head.uri.query().unwrap_or_default()).await
        }
        (&Method::GET, "/log") => {
            let book = shared.book();
            Ok(reply(StatusCode::OK, &json!({ "items": book.log(), "counts": book.counts() })))
        }
        (_, "/sales-orders" | "/log") => Ok(problem(StatusCode::METHOD_NOT_ALLOWED, "method not allowed", "")),
        _ => Ok(problem(StatusCode::NOT_FOUND, "not found", "there is nothing at this path")),
    }
}

fn create_now(shared: &Shared, call: &Call) -> Response<Reply> {
    let mut book = shared.book();
    let opening = book.open(call);
    let response = settle(shared, &mut book, call, opening, None);
    drop(book);
    shared.applied.notify_waiters();
    response
}

/// Creates a sales order after the latency, or misbehaves.
async fn create(shared: Arc<Shared>, call: Call, fault: Option<Fault>) -> Result<Response<Reply>, Hangup> {
    if let Some(fault) = fault {
        return misbehave(&shared, call, fault).await;
    }
    let opening = shared.book().open(&call);
    if opening == Opening::Go {
        tokio::time::sleep(shared.latency).await;
    }
    let response = settle(&shared, &mut shared.book(), &call, opening, None);
    shared.applied.notify_waiters();
    Ok(response)
}

/// The honest answer to a call whose key was looked up; `label` replaces the outcome in the log when a fault applied it.
fn settle(shared: &Shared, book: &mut Book, call: &Call, opening: Opening, label: Option<&str>) -> Response<Reply> {
    let (outcome, number, response) = match opening {
        Opening::Go => {
            let number = book.apply(call);
            if let Some(watch) = shared.watch.get() {
                watch(&call.body);
            }
            ("applied", Some(number), created(number, false))
        }
        Opening::Replay(number) => ("replayed", Some(number), created(number, true)),
        Opening::KeyReused => {
            let detail = "this idempotency key was used with another request";
            ("key_reused", None, problem(StatusCode::UNPROCESSABLE_ENTITY, "key reused", detail))
        }
        Opening::InProgress => {
            let detail = "the first request with this idempotency key is still being worked on";
            ("in_progress", None, problem(StatusCode::CONFLICT, "request in progress", detail))
        }
        Opening::Failed(status) => ("failed_before", None, replayed(failed_for_good(status))),
        Opening::Exists(number) => {
            let refusal = shared.unique.clone().unwrap_or_default();
            ("exists", Some(number), response(status_of(refusal.status), "application/json", refusal.body))
        }
    };
    book.note(call, label.unwrap_or(outcome), Some(response.status().as_u16()), number);
    response
}

async fn misbehave(shared: &Arc<Shared>, call: Call, fault: Fault) -> Result<Response<Reply>, Hangup> {
    let honest = fault.applies_first().then(|| apply_under(shared, &call, &fault));
    let unapplied = |status: Option<u16>| shared.book().note(&call, fault.name(), status, None);
    match (&fault, honest) {
        (Fault::HangAfterApply(wait), Some(honest)) => {
            tokio::time::sleep(*wait).await;
            Ok(honest)
        }
        (Fault::StatusAfterApply(status), _) => Ok(problem(status_of(*status), "told to fail", "after applying")),
        (Fault::GarbageAfterApply, _) => Ok(garbage(StatusCode::CREATED)),
        (Fault::CutOffAfterApply, Some(honest)) => Ok(honest.map(Reply::cut_off)),
        (Fault::DribbleAfterApply(time), Some(honest)) => Ok(honest.map(|reply| reply.dribbling(*time))),
        (Fault::StatusThenApply { status, wait }, _) => {
            let answer = problem(status_of(*status), "told to fail", "it goes on working");
            tokio::spawn(late(Arc::clone(shared), call, *wait, fault));
            Ok(answer)
        }
        (Fault::FailForGood(status), _) => {
            shared.book().fail_for_good(&call, *status);
            unapplied(Some(*status));
            Ok(failed_for_good(*status))
        }
        (Fault::Status(status), _) => {
            unapplied(Some(*status));
            Ok(problem(status_of(*status), "told to fail", "nothing was applied"))
        }
        (Fault::RetryAfter { status, value }, _) => {
            unapplied(Some(*status));
            let mut response = problem(status_of(*status), "told to slow down", "nothing was applied");
            if let Ok(value) = value.parse() {
                response.headers_mut().insert(header::RETRY_AFTER, value);
            }
            Ok(response)
        }
        (Fault::ErrorIn200, _) => {
            unapplied(Some(200));
            let error = json!({ "error": { "code": "E-17", "message": "the period is closed" } });
            Ok(reply(StatusCode::OK, &error))
        }
        (Fault::Garbage, _) => {
            unapplied(Some(200));
            Ok(garbage(StatusCode::OK))
        }
        (Fault::Redirect, _) => {
            unapplied(Some(307));
            let mut response = problem(StatusCode::TEMPORARY_REDIRECT, "moved", "");
            response.headers_mut().insert(header::LOCATION, http::HeaderValue::from_static("/elsewhere"));
            Ok(response)
        }
        (Fault::Hang(wait), _) => {
            unapplied(None);
            tokio::time::sleep(*wait).await;
            Err(Hangup)
        }
        (Fault::ApplyLate(wait), _) => {
            tokio::spawn(late(Arc::clone(shared), call, *wait, fault));
            Err(Hangup)
        }
        (Fault::DropBeforeApply, _) => {
            unapplied(None);
            Err(Hangup)
        }
        (
            Fault::DropAfterApply | Fault::HangAfterApply(_) | Fault::CutOffAfterApply | Fault::DribbleAfterApply(_),
            _,
        ) => Err(Hangup),
    }
}

async fn late(shared: Arc<Shared>, call: Call, wait: Duration, fault: Fault) {
    tokio::time::sleep(wait).await;
    apply_under(&shared, &call, &fault);
}

/// Applies as usual; the log names the fault that hid it from the caller.
fn apply_under(shared: &Shared, call: &Call, fault: &Fault) -> Response<Reply> {
    let mut book = shared.book();
    let opening = book.open(call);
    let response = settle(shared, &mut book, call, opening, Some(fault.name()));
    drop(book);
    shared.applied.notify_waiters();
    response
}

async fn find(shared: &Shared, query: &str) -> Result<Response<Reply>, Hangup> {
    match shared.take_find_fault() {
        None => {}
        Some(Fault::Hang(wait)) => {
            tokio::time::sleep(wait).await;
            return Err(Hangup);
        }
        Some(Fault::Status(status)) => return Ok(problem(status_of(status), "told to fail", "")),
        Some(Fault::Garbage) => return Ok(garbage(StatusCode::OK)),
        Some(_) => return Err(Hangup),
    }
    let wanted = query.split('&').find_map(|pair| pair.strip_prefix("ref="));
    let Some(reference) = wanted.map(|raw| percent_encoding::percent_decode_str(raw).decode_utf8_lossy()) else {
        return Ok(problem(StatusCode::BAD_REQUEST, "bad request", "say which order: ?ref=000000042"));
    };
    Ok(reply(StatusCode::OK, &json!({ "items": shared.book().find(&reference) })))
}

impl Shared {
    /// Takes what matters from the request, before anything is locked.
    fn call(&self, headers: &HeaderMap, body: Bytes) -> Call {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        Call {
            number: self.book().arrive(),
            key: text("idempotency-key").map(|key| key.trim_matches('"').to_owned()),
            delivery: text("crossdock-delivery").map(str::to_owned),
            attempt: text("crossdock-attempt").and_then(|attempt| attempt.parse().ok()),
            subject: if self.reads_documents { Subject::read(&body) } else { None },
            body_hash: self.bodies.hash_one(&body),
            arrived: tokio::time::Instant::now(),
            body,
        }
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        sent.and_then(|value| value.strip_prefix("Bearer ")) == Some(token.as_str())
    }
}

fn status_of(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn created(number: u64, again: bool) -> Response<Reply> {
    let response = reply(StatusCode::CREATED, &json!({ "id": book::id(number) }));
    if again { replayed(response) } else { response }
}

fn failed_for_good(status: u16) -> Response<Reply> {
    problem(status_of(status), "failed", "nothing was applied, and this key is answered so from now on")
}

fn replayed(mut response: Response<Reply>) -> Response<Reply> {
    response.headers_mut().insert("idempotency-replayed", http::HeaderValue::from_static("true"));
    response
}

fn reply(status: StatusCode, body: &serde_json::Value) -> Response<Reply> {
    response(status, "application/json", body.to_string())
}

fn problem(status: StatusCode, title: &str, detail: &str) -> Response<Reply> {
    let body = json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail });
    response(status, "application/problem+json", body.to_string())
}

fn garbage(status: StatusCode) -> Response<Reply> {
    response(status, "application/json", "<html><body>Session expired, please log in</body>".to_owned())
}

fn response(status: StatusCode, content_type: &'static str, body: String) -> Response<Reply> {
    let mut response = Response::new(Reply::whole(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    response
}
