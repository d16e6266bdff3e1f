//! One HTTP client a destination: no redirects, no proxy, no retries of its own, no decompression, bounded answers.
//!
//! What counts here is one distinction: did a byte of the request possibly leave? Only where the client can prove that
//! none did is it [`Wire::NotSent`]; everything else without an answer is [`Wire::Lost`]. The proofs are: the failure
//! came from the connector (look-up, TCP, TLS), or the connection closed while our request still lay in its queue and
//! the client handed it back. A server that closes an idle connection just as we write is *not* proof: the bytes may
//! have been read.

use std::error::Error;
use std::fmt::Write as _;
use std::pin::Pin;
use std::time::Duration;

use ::http::{HeaderName, HeaderValue, Method};
use bytes::{Bytes, BytesMut};
use reqwest::{Client, Request, Response, Url, redirect, retry};

use tokio::time::{Instant, timeout_at};

use super::Settings;
use super::credentials::Shown;
use super::outcome::{BodyEnd, ResponseSeen, Wire};
use super::private::{AddressGuard, CheckedResolver};
use crate::store::write::SealedRequest;

/// ATT-3.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// The way to one destination.
pub struct Transport {
    client: Client,
    url: Url,
    guard: AddressGuard,
    patience: Duration,
    #[cfg(test)]
    simulated: Option<super::SimulatedNetwork>,
}

/// An answer that was not there in time and may still come.
pub type Late = Pin<Box<dyn Future<Output = Wire> + Send>>;

impl Transport {
    /// Builds the client; `url` is the one that was checked.
    pub fn new(settings: &Settings, url: &Url) -> Result<Self, String> {
        let plain = url.scheme() == "http";
        let guard = AddressGuard::new(&settings.allow_private, plain);
        let connections = usize::try_from(settings.concurrency).unwrap_or(usize::MAX);
        let mut builder = Client::builder()
            .http1_only()
            .no_proxy()
            .referer(false)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .dns_resolver(CheckedResolver::new(guard.clone()))
            .tcp_nodelay(true)
            // Shorter than the whole, so that a connection that never came about is known as one: no byte was sent.
            .connect_timeout(settings.connect_timeout.min(settings.request_timeout / 10 * 9))
            // As long again for an answer that is late; see [`Transport::send`].
            .timeout(settings.request_timeout * 2)
            .pool_max_idle_per_host(connections)
            .pool_idle_timeout(settings.idle_timeout);
        if plain {
            // No system certificates needed, so plain destinations also work where none are installed.
            builder = builder.tls_certs_only([]);
        }
        let builder = settings.tls.apply(builder).map_err(|problem| problem.to_string())?;
        let client = builder.build().map_err(|error| format!("no HTTP client can be made: {}", chain(&error)))?;
        Ok(Transport {
            client,
            url: url.clone(),
            guard,
            patience: settings.request_timeout,
            #[cfg(test)]
            simulated: settings.simulated.clone(),
        })
    }

    /// Whether that address is of this host.
    pub fn leads_to(&self, address: &str) -> bool {
        Url::parse(address).is_ok_and(|url| url.origin() == self.url.origin())
    }

    /// Sends, and waits for the whole answer. What is not there in time is lost; the answer may still come, and is worth
    /// knowing when it does (ATT-2), so the waiting can be gone on with for as long again.
    pub async fn send(&self, sealed: &SealedRequest, extra: Shown) -> (Wire, Option<Late>) {
        let request = match self.request(sealed, extra) {
            Ok(request) => request,
            Err(problem) => return (Wire::Forbidden(problem), None),
        };
        let deadline = Instant::now() + self.patience;
        #[cfg(test)]
        if let Some(network) = &self.simulated {
            let mut answer = network(request);
            return match timeout_at(deadline, &mut answer).await {
                Ok(wire) => (wire, None),
                Err(_) => (Wire::Lost("no answer in time".to_owned()), Some(answer)),
            };
        }
        let mut head = Box::pin(self.client.execute(request));
        match timeout_at(deadline, &mut head).await {
            Ok(Ok(response)) => (Wire::Answered(collect(response, deadline).await), None),
            Ok(Err(error)) => (classify(&error), None),
            Err(_) => {
                let patience = self.patience;
                let late: Late = Box::pin(async move {
                    match head.await {
                        Ok(response) => Wire::Answered(collect(response, deadline + patience).await),
                        Err(error) => classify(&error),
                    }
                });
                (Wire::Lost("no answer in time".to_owned()), Some(late))
            }
        }
    }

    fn request(&self, sealed: &SealedRequest, extra: Shown) -> Result<Request, String> {
        let mut url = self.target(&sealed.url)?;
        if let Some((name, value)) = &extra.query {
            url.query_pairs_mut().append_pair(name, value);
        }
        let method = Method::from_bytes(sealed.method.as_bytes())
            .map_err(|_| format!("not sent: the sealed method \"{}\" is none", sealed.method))?;
        let mut request = Request::new(method, url);
        let headers = request.headers_mut();
        for (name, value) in &sealed.headers {
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| format!("not sent: the sealed header name \"{name}\" is none"))?;
            let value = HeaderValue::from_str(value)
                .map_err(|_| format!("not sent: the sealed value of header {name} cannot be sent"))?;
            headers.append(name, value);
        }
        headers.extend(extra.headers);
        if !(sealed.body.is_empty() && sealed.method == "GET") {
            *request.body_mut() = Some(sealed.body.clone().into());
        }
        Ok(request)
    }

    /// A request sealed under an earlier configuration goes where it was sealed for, but never to another host: our
    /// credential belongs to the one that is configured.
    fn target(&self, sealed: &str) -> Result<Url, String> {
        if sealed == self.url.as_str() {
            return Ok(self.url.clone());
        }
        let url = Url::parse(sealed).map_err(|_| "not sent: the sealed URL is none".to_owned())?;
        let same_door = url.scheme() == self.url.scheme()
            && url.host_str() == self.url.host_str()
            && url.port_or_known_default() == self.url.port_or_known_default();
        if !same_door {
            return Err("not sent: the request was sealed for another host than the one configured now".to_owned());
        }
        self.guard.check_host(&url).map_err(|refusal| format!("not sent: {refusal}"))?;
        Ok(url)
    }
}

/// Reads the body up to the cap and the deadline. Where all of it comes in one piece, which is the rule, nothing is copied.
async fn collect(mut response: Response, deadline: Instant) -> ResponseSeen {
    let status = response.status().as_u16();
    let headers = std::mem::take(response.headers_mut());
    let seen = |body: Bytes, end: BodyEnd| ResponseSeen { status, headers, body, end };
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    let end = loop {
        match timeout_at(deadline, response.chunk()).await {
            Ok(Ok(None)) => break BodyEnd::Complete,
            Ok(Err(_)) | Err(_) => break BodyEnd::CutOff,
            Ok(Ok(Some(chunk))) => {
                if first.len() + rest.len() + chunk.len() > BODY_BYTES_MAX {
                    break BodyEnd::TooLarge;
                }
                if first.is_empty() {
                    first = chunk;
                } else {
                    rest.extend_from_slice(&chunk);
                }
            }
        }
    };
    if rest.is_empty() {
        return seen(first, end);
    }
    let mut body = BytesMut::with_capacity(first.len() + rest.len());
    body.extend_from_slice(&first);
    body.extend_from_slice(&rest);
    seen(body.freeze(), end)
}

fn classify(error: &reqwest::Error) -> Wire {
    let detail = chain(error);
    if error.is_builder() || error.is_connect() || was_never_begun(error) {
        return Wire::NotSent(detail);
    }
    if error.is_timeout() {
        return Wire::Lost(format!("no answer in time: {detail}"));
    }
    Wire::Lost(format!("the connection ended without an answer: {detail}"))
}

/// hyper says *canceled* only of a request that still lay in the queue of its connection.
fn was_never_begun(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled))
}

/// What lies behind an error, outermost first.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let mut next = error.source();
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}

/// The error and its causes in one sentence, without the URL (DAT-3).
fn chain(error: &reqwest::Error) -> String {
    let mut text = match (error.is_connect(), error.is_timeout()) {
        (true, true) => "connecting took too long".to_owned(),
        (true, false) => "no connection".to_owned(),
        (false, true) => "time ran out".to_owned(),
        (false, false) => "the request failed".to_owned(),
    };
    let mut last = String::new();
    for cause in causes(error) {
        let words = cause.to_string();
        // Some layers repeat the words of what they wrap.
        if !last.contains(&words) {
            let _ = write!(text, ": {words}");
            last = words;
        }
    }
    text.chars().filter(|symbol| !symbol.is_control()).take(500).collect()
}
