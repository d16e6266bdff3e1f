//! Our signature on what we send, made anew for each attempt and never sealed: it names a time.

use std::fmt;

use ::http::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::clock::Timestamp;

/// A secret, and until when it signs.
#[derive(Clone)]
pub struct SigningKey {
    /// The bytes.
    pub key: Vec<u8>,
    /// `None`: without an end.
    pub until: Option<Timestamp>,
}

/// How we sign.
#[derive(Clone)]
pub enum Signing {
    /// Standard Webhooks: id, time and body; one signature for each secret while they rotate.
    StandardWebhooks(Vec<SigningKey>),
    /// HMAC-SHA256 of the body in hex, with the first secret that is in force; Patchworks reads it as `X-HMAC-HASH`.
    Hmac {
        /// The header that carries it.
        header: HeaderName,
        /// The secrets.
        keys: Vec<SigningKey>,
    },
}

impl fmt::Debug for Signing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Signing::StandardWebhooks(_) => formatter.write_str("StandardWebhooks(***)"),
            Signing::Hmac { header, .. } => write!(formatter, "Hmac({header}: ***)"),
        }
    }
}

impl Signing {
    /// The headers for one request; `id` is the same at every attempt.
    pub fn headers(&self, id: &str, now: Timestamp, body: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut put = |name: HeaderName, text: &str| {
            // Ids, numbers, hex and base64 are visible ASCII.
            headers.extend(HeaderValue::from_str(text).ok().map(|value| (name, value)));
        };
        match self {
            Signing::StandardWebhooks(keys) => {
                let seconds = now.as_second().to_string();
                let signed = |key: &SigningKey| {
                    let mac = mac(&key.key, &[id.as_bytes(), b".", seconds.as_bytes(), b".", body]);
                    format!("v1,{}", STANDARD.encode(mac))
                };
                let all: Vec<String> = in_force(keys, now).map(signed).collect();
                put(HeaderName::from_static("webhook-id"), id);
                put(HeaderName::from_static("webhook-timestamp"), &seconds);
                put(HeaderName::from_static("webhook-signature"), &all.join(" "));
            }
            Signing::Hmac { header, keys } => {
                if let Some(key) = in_force(keys, now).next() {
                    put(header.clone(), &data_encoding::HEXLOWER.encode(&mac(&key.key, &[body])));
                }
            }
        }
        headers
    }
}

fn in_force(keys: &[SigningKey], now: Timestamp) -> impl Iterator<Item = &SigningKey> {
    keys.iter().filter(move |key| key.until.is_none_or(|until| now < until))
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    fn key(text: &str, until: Option<i64>) -> SigningKey {
        SigningKey { key: text.as_bytes().to_vec(), until: until.map(|seconds| from_micros(seconds * 1_000_000)) }
    }

    #[test]
    fn the_published_example_of_standard_webhooks_is_signed_as_published() {
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signing = Signing::StandardWebhooks(vec![SigningKey { key: secret, until: None }]);
        let headers = signing.headers(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            from_micros(1_614_265_330_000_000),
            b"{\"test\": 2432232314}",
        );
        assert_eq!(headers["webhook-signature"], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(headers["webhook-timestamp"], "1614265330");
    }

    #[test]
    fn while_secrets_rotate_each_signs_and_a_retired_one_does_not() {
        let signing = Signing::StandardWebhooks(vec![key("old", Some(10)), key("new", None)]);
        let count = |seconds: i64| {
            let headers = signing.headers("msg", from_micros(seconds * 1_000_000), b"x");
            headers["webhook-signature"].to_str().unwrap().split(' ').count()
        };
        assert_eq!((count(9), count(10)), (2, 1));
        let hmac = Signing::Hmac { header: HeaderName::from_static("x-hmac-hash"), keys: vec![key("Jefe", None)] };
        let headers = hmac.headers("msg", from_micros(0), b"what do ya want for nothing?");
        assert_eq!(headers["x-hmac-hash"], "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        assert!(!format!("{signing:?}{hmac:?}").contains("Jefe"));
    }
}
