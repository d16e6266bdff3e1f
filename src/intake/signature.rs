//! Who sent these bytes? The only place where a [`Verified`] body can come from.
//!
//! A [`Verifier`] is built from an origin's settings with every key parsed once; nothing in a request chooses scheme,
//! algorithm or key (SIG-2). It looks at the exact bytes received, before anything decodes them (SIG-1). Signature
//! headers must stand there exactly once (SIG-3), are decoded strictly (SIG-4), and every key of a scheme is tried, in
//! constant time, whether or not one has matched (SIG-4, SIG-10). [`Refused`] is for metrics and logs: a caller is told
//! "401" and nothing else (ANS-1).

pub mod adobe;
mod key;
mod schemes;
pub mod sign;
#[cfg(test)]
mod tests;

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName};

pub use key::PublicKey;
use schemes::Scheme;
pub use schemes::standard_webhooks_key;

use crate::clock::Timestamp;
use crate::config::AuthSetting;

/// How far a signed timestamp may be from our clock, either way (SIG-5).
pub const TOLERANCE_SECONDS: i64 = 300;

/// Why a request is not believed. Never shown to the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Refused {
    /// The credential is not there.
    #[error("missing")]
    Missing,
    /// It is there and cannot be read.
    #[error("malformed")]
    Malformed,
    /// Its timestamp is too far from our clock.
    #[error("stale")]
    Stale,
    /// It is well formed and no valid key made it.
    #[error("wrong")]
    Wrong,
    /// It is authentic and names another recipient.
    #[error("recipient")]
    Recipient,
    /// A header that must be alone is not: readers would disagree on which one counts (SIG-3).
    #[error("doubled")]
    Doubled,
}

impl Refused {
    /// The label in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Refused::Missing => "missing",
            Refused::Malformed => "malformed",
            Refused::Stale => "stale",
            Refused::Wrong => "wrong",
            Refused::Recipient => "recipient",
            Refused::Doubled => "doubled",
        }
    }
}

/// Bytes whose sender is known. There is no other way to make one than [`Verifier::verify`] and, where the sender is Adobe
/// I/O, [`adobe::AdobeVerifier::verify`].
#[derive(Clone, Debug)]
pub struct Verified {
    body: Bytes,
    scheme: &'static str,
    event_id: Option<String>,
    traces: serde_json::Map<String, serde_json::Value>,
}

impl Verified {
    /// The exact bytes that were verified, to be stored and parsed.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Which credential counted: `rsa-signature`, `header`, `bearer`, `basic`, `hmac`, `standard-webhooks`, or several
    /// joined with `+` where all were required; `adobe-signature` of Adobe I/O.
    pub fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// The signed event id (Standard Webhooks' `webhook-id`).
    pub fn event_id(&self) -> Option<&str> {
        self.event_id.as_deref()
    }

    /// What the body's events say of their own way to us, for evidence.
    pub(super) fn traces(&self) -> &serde_json::Map<String, serde_json::Value> {
        &self.traces
    }
}

/// The credentials of one origin. An origin without any believes nobody.
pub struct Verifier {
    any_of: Vec<Scheme>,
    alone: Vec<HeaderName>,
}

/// Which schemes, and nothing of their secrets.
impl fmt::Debug for Verifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.any_of.iter().map(Scheme::name)).finish()
    }
}

impl Verifier {
    /// Parses every key.
    ///
    /// # Errors
    /// One sentence for each setting that cannot be used.
    pub fn new(settings: &[AuthSetting]) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let any_of: Vec<Scheme> = settings.iter().filter_map(|setting| Scheme::new(setting, &mut problems)).collect();
        let mut alone: Vec<HeaderName> = any_of.iter().flat_map(Scheme::headers).collect();
        alone.sort_by(|left, right| left.as_str().cmp(right.as_str()));
        alone.dedup();
        if problems.is_empty() { Ok(Verifier { any_of, alone }) } else { Err(problems) }
    }

    /// Whether one of the accepted credentials covers these bytes.
    ///
    /// # Errors
    /// The refusal that came closest to acceptance.
    pub fn verify(&self, headers: &HeaderMap, body: Bytes, now: Timestamp) -> Result<Verified, Refused> {
        // Before any scheme: a valid one must not excuse a doubled header of another.
        if self.alone.iter().any(|name| headers.get_all(name).iter().nth(1).is_some()) {
            return Err(Refused::Doubled);
        }
        let mut closest = Refused::Missing;
        for scheme in &self.any_of {
            match scheme.verify(headers, &body, now) {
                Ok(proof) => {
                    let (scheme, traces) = (scheme.name(), serde_json::Map::new());
                    return Ok(Verified { body, scheme, event_id: proof.event_id, traces });
                }
                Err(refused) => closest = closest.max(refused),
            }
        }
        Err(closest)
    }
}
