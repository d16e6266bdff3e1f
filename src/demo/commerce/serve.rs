//! The wire: connections and faults. The loop is hyper's own, because a fault must be able to close a connection without
//! a single byte of answer.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::Shared;
use super::answer::Answer;
use super::beside;
use super::fault::Fault;
use super::routes;

/// A larger body is refused by closing the connection.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed on purpose")]
struct Hangup;

/// Accepts until `open` turns false or its sender is gone.
pub(super) async fn accept(
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
    mut open: watch::Receiver<bool>,
) {
    loop {
        tokio::select! {
            biased;
            () = closed(&mut open) => return,
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    tokio::spawn(connection(stream, address, Arc::clone(&shared), open.clone()));
                }
            }
        }
    }
}

async fn closed(open: &mut watch::Receiver<bool>) {
    // An error means that the owner is gone, which closes as well.
    let _ = open.wait_for(|open| !open).await;
}

async fn connection(stream: TcpStream, address: SocketAddr, shared: Arc<Shared>, mut open: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| reply(Arc::clone(&shared), address, request));
    let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        () = closed(&mut open) => {}
        // The only errors are the peer's and our own hang-ups.
        _ = serving => {}
    }
}

async fn reply(
    shared: Arc<Shared>,
    address: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Hangup> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(|_| Hangup)?.to_bytes();
    let path = head.uri.path();
    let request = routes::Request {
        method: head.method.as_str(),
        path,
        query: head.uri.query().unwrap_or_default(),
        headers: &head.headers,
        body: &body,
    };
    if !path.starts_with("/rest/") {
        return Ok(response(beside::answer(&shared, &format!("http://{address}"), &request)));
    }
    let fault = shared.faults.take();
    match &fault {
        Some(Fault::Drop) => return Err(Hangup),
        Some(Fault::Slow(time)) => tokio::time::sleep(*time).await,
        Some(Fault::Maintenance) => return Ok(response(Answer::maintenance())),
        Some(Fault::Deadlock) => return Ok(response(Answer::masked())),
        Some(Fault::RateLimited(seconds)) => {
            let mut answer = Answer::message(429, "Too Many Requests");
            answer.headers.extend(seconds.map(|seconds| ("retry-after", seconds.to_string())));
            return Ok(response(answer));
        }
        Some(Fault::CutOff) | None => {}
    }
    let mut answer = routes::answer(&shared, &request);
    if fault == Some(Fault::CutOff) {
        let half = answer.body.len() / 2;
        answer.body = answer.body.chars().take(half).collect();
    }
    Ok(response(answer))
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::builder().status(answer.status).header("content-type", answer.content_type);
    for (name, value) in &answer.headers {
        response = response.header(*name, value);
    }
    response.body(Full::new(Bytes::from(answer.body))).expect("statuses and headers are our own and valid")
}
