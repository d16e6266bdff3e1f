//! Adobe I/O's signatures (SIG-6): RSA over the raw bytes, by one of two keys that Adobe publishes, to one recipient.
//!
//! Unlike the other schemes this one learns its keys at run time, so it may have to wait and may be unable to tell
//! ([`Doubt::Unverifiable`]): an event refused then would be lost for ever. What the request brings is a *path* only, of
//! one narrow pattern; host and scheme are ours. All Adobe customers share the keys: a signature proves that Adobe sent
//! these bytes, and only the recipient inside them proves that they were sent to us.

mod keys;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use reqwest::Url;
use serde_json::{Map, Value};

use super::{Refused, Verified};
use crate::clock::{SharedClock, Timestamp};
use crate::intake::decode::io;
use crate::intake::evidence;
use crate::json::{self, Limits};
use crate::observe::Observer;
use keys::KeyRing;

/// Signature and path of its key, twice.
pub static SIGNATURE_HEADERS: [(HeaderName, HeaderName); 2] = [
    (HeaderName::from_static("x-adobe-digital-signature-1"), HeaderName::from_static("x-adobe-public-key1-path")),
    (HeaderName::from_static("x-adobe-digital-signature-2"), HeaderName::from_static("x-adobe-public-key2-path")),
];

/// Where Adobe publishes its keys.
const KEY_HOST: &str = "https://static.adobeioevents.com";

/// Base64 of a signature by the largest key believed, 8192 bits.
const SIGNATURE_CHARS_MAX: usize = 1368;

/// Whether a request carries one of Adobe's signatures, right or wrong (ANS-2).
pub fn carries_signature(headers: &HeaderMap) -> bool {
    SIGNATURE_HEADERS.iter().any(|(signature, _)| headers.contains_key(signature))
}

/// Why a request is not believed, or not yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It is not from Adobe, or not for us.
    Refused(Refused),
    /// Its key could not be read: it may come again.
    Unverifiable,
}

/// The credential of one `commerce-events` origin.
#[derive(Debug)]
pub struct AdobeVerifier {
    client_id: String,
    keys: Arc<KeyRing>,
}

/// One of the two signatures.
struct Signed<'h> {
    signature: Vec<u8>,
    path: &'h str,
}

impl AdobeVerifier {
    /// Believes what Adobe signed for `client_id`. `key_base_url` replaces Adobe's key host in tests on this machine.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(
        origin: &str,
        client_id: &str,
        key_base_url: Option<&Url>,
        clock: SharedClock,
        observer: Arc<Observer>,
    ) -> Result<Self, String> {
        if client_id.is_empty() {
            return Err("client_id is empty: nobody would be named".to_owned());
        }
        let host = match key_base_url {
            Some(url) => url.clone(),
            None => Url::parse(KEY_HOST).expect("a constant that is a URL"),
        };
        let keys = KeyRing::new(origin, host, clock, observer)?;
        Ok(AdobeVerifier { client_id: client_id.to_owned(), keys: Arc::new(keys) })
    }

    /// Whether Adobe signed these bytes and every event in them is for us.
    ///
    /// # Errors
    /// The doubt; nothing of it is told to the sender but whether to come again.
    pub async fn verify(&self, headers: &HeaderMap, body: Bytes, now: Timestamp) -> Result<Verified, Doubt> {
        let pairs = pairs(headers).map_err(Doubt::Refused)?;
        self.signed(&pairs, &body, now).await?;
        let traces = self.for_us(&body).ok_or(Doubt::Refused(Refused::Recipient))?;
        Ok(Verified { body, scheme: "adobe-signature", event_id: None, traces })
    }

    /// Either signature suffices. Keys at hand are asked first: while one of them fits, no other is fetched, so that
    /// nobody who is not Adobe can make an authentic request wait.
    async fn signed(&self, pairs: &[Signed<'_>], body: &[u8], now: Timestamp) -> Result<(), Doubt> {
        let mut matched = false;
        let mut unknown = Vec::new();
        for pair in pairs {
            match self.keys.held(pair.path, now) {
                Some(key) => matched |= self.made_by(&key, pair, body, now),
                None => unknown.push(pair),
            }
        }
        if matched {
            return Ok(());
        }
        // All begin before one is waited for.
        let fetches: Vec<_> = unknown.iter().map(|pair| self.keys.fetch(pair.path, now)).collect();
        let mut unread = false;
        for (pair, fetch) in unknown.into_iter().zip(fetches) {
            match fetch.done().await {
                Some(key) => matched |= self.made_by(&key, pair, body, now),
                None => unread = true,
            }
        }
        match (matched, unread) {
            (true, _) => Ok(()),
            (false, true) => Err(Doubt::Unverifiable),
            (false, false) => Err(Doubt::Refused(Refused::Wrong)),
        }
    }

    fn made_by(&self, key: &super::PublicKey, pair: &Signed<'_>, body: &[u8], now: Timestamp) -> bool {
        let made = key.signature_bytes() == pair.signature.len() && key.verifies(body, &pair.signature);
        if made {
            self.keys.proved(pair.path, now);
        }
        made
    }

    /// SIG-6: every event names us. A body that we cannot read names nobody in a way we could check: it is ours to park
    /// only if our id stands in it at all. With what its events say of their way to us.
    fn for_us(&self, body: &[u8]) -> Option<Map<String, Value>> {
        let Ok(whole) = json::parse(body, &Limits::default()) else {
            let named = body.windows(self.client_id.len()).any(|window| window == self.client_id.as_bytes());
            return named.then(Map::new);
        };
        let ours =
            io::events(&whole).iter().all(|event| event.as_ref().is_ok_and(|event| event.is_for(&self.client_id)));
        ours.then(|| evidence::traces(&whole))
    }
}

/// The signatures worth looking at: complete, strictly spelled, with a path of the pattern.
fn pairs(headers: &HeaderMap) -> Result<Vec<Signed<'_>>, Refused> {
    let all = || SIGNATURE_HEADERS.iter().flat_map(|(signature, path)| [signature, path]);
    if all().any(|name| headers.get_all(name).iter().nth(1).is_some()) {
        return Err(Refused::Doubled);
    }
    let mut complete = 0;
    let mut pairs = Vec::new();
    for (signature, path) in &SIGNATURE_HEADERS {
        let (Some(signature), Some(path)) = (headers.get(signature), headers.get(path)) else { continue };
        complete += 1;
        let decoded = Some(signature.as_bytes()).filter(|text| text.len() <= SIGNATURE_CHARS_MAX);
        let decoded = decoded.and_then(|text| STANDARD.decode(text).ok()).filter(|bytes| !bytes.is_empty());
        let path = path.to_str().ok().filter(|path| is_key_path(path));
        if let (Some(signature), Some(path)) = (decoded, path) {
            pairs.push(Signed { signature, path });
        }
    }
    match (complete, pairs.is_empty()) {
        (0, _) => Err(Refused::Missing),
        (_, true) => Err(Refused::Malformed),
        (_, false) => Ok(pairs),
    }
}

/// `/prod/keys/pub-key-<hex and hyphens>.pem`: no dots but the last, no empty segment, no query, no escape.
fn is_key_path(path: &str) -> bool {
    let Some((folders, file)) = path.strip_prefix('/').and_then(|path| path.rsplit_once('/')) else { return false };
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let folder = |name: &str| !name.is_empty() && name.bytes().all(letters);
    let id = file.strip_prefix("pub-key-").and_then(|rest| rest.strip_suffix(".pem"));
    let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-');
    path.len() <= 200 && folders.split('/').all(folder) && id.is_some_and(|id| !id.is_empty() && id.bytes().all(hex))
}
