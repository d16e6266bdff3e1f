//! CSRF pairing: a token that is fetched with cookies before a write, and sent along with them.
//!
//! SAP's `OData` services want it: a read with `x-csrf-token: fetch` is answered with the token and the session's cookies, and
//! a write without both is refused with 403 and `x-csrf-token: Required`. Such a refusal is one of the credential: the pair is
//! fetched anew under its next version, once, and refused again the destination is held.

use std::time::Duration;

use ::http::header::{ACCEPT, COOKIE};
use ::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;

use super::credentials::{Kept, Shown, cookies_set};
use super::http::{read, render};
use super::outcome::{CredentialRefused, Wire};
use super::transport::Transport;
use crate::clock::Timestamp;
use crate::store::write::SealedRequest;

/// A pair is used for so long; what ends earlier is told by a refusal.
const LIFETIME: Duration = Duration::from_mins(25);

/// The pair in force, and how the next one is fetched.
pub struct Pairing {
    url: String,
    header: HeaderName,
    transport: Transport,
    kept: Kept,
}

impl Pairing {
    /// Nothing is fetched yet. `url` is read with the header set to `fetch`.
    pub fn new(url: String, header: HeaderName, transport: Transport) -> Self {
        Pairing { url, header, transport, kept: Kept::default() }
    }

    /// Whether a request needs the pair: reads do not.
    pub fn wants(method: &str) -> bool {
        !matches!(method, "GET" | "HEAD" | "OPTIONS")
    }

    /// The headers of a write, under that version of the credential, which `auth` is.
    ///
    /// # Errors
    /// What came instead, as it would have come for the request itself.
    pub async fn headers(&self, version: u64, now: Timestamp, auth: HeaderMap) -> Result<HeaderMap, Wire> {
        self.kept.headers(version, now, self.fetch(auth, now)).await
    }

    async fn fetch(&self, mut extra: HeaderMap, now: Timestamp) -> Result<(HeaderMap, Duration), Wire> {
        let missing = |problem: &str| Wire::NotSent(format!("no CSRF token: {problem}"));
        let headers = vec![("user-agent".to_owned(), render::USER_AGENT.to_owned())];
        let (method, url, body) = ("GET".to_owned(), self.url.clone(), Bytes::new());
        let digest = render::digest(&method, &url, &headers, &body);
        let request = SealedRequest { method, url, headers, body, digest, body_is_document: false };
        extra.insert(self.header.clone(), HeaderValue::from_static("fetch"));
        extra.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let response = match self.transport.send(&request, Shown::from(extra)).await.0 {
            Wire::Answered(response) => response,
            refused @ Wire::NoCredential(_) => return Err(refused),
            // Nothing of the record was sent, whatever became of the asking.
            Wire::Forbidden(detail) | Wire::NotSent(detail) | Wire::Lost(detail) => {
                return Err(missing(&detail));
            }
        };
        let token = response.headers.get(&self.header).filter(|token| {
            // What a refusal says in the same header.
            !token.is_empty() && !token.as_bytes().eq_ignore_ascii_case(b"required")
        });
        let Some(token) = token else {
            return Err(match response.status {
                200..=299 => missing("the answer has none; is the address the service's own?"),
                401 | 403 | 429 => {
                    let detail = format!("no CSRF token: {}", read::describe(&response));
                    let (status, wait) = (response.status, read::wait(&response, now));
                    Wire::NoCredential(Box::new(CredentialRefused { status, detail, wait }))
                }
                status => missing(&format!("its address answered {status}")),
            });
        };
        let mut headers = HeaderMap::new();
        let mut token = token.clone();
        token.set_sensitive(true);
        headers.insert(self.header.clone(), token);
        let pairs = cookies_set(&response.headers);
        if !pairs.is_empty() {
            let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let mut cookies =
                HeaderValue::from_str(&pairs.join("; ")).map_err(|_| missing("a cookie cannot be sent"))?;
            cookies.set_sensitive(true);
            headers.insert(COOKIE, cookies);
        }
        Ok((headers, LIFETIME))
    }
}
