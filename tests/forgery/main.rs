//! The forgery matrix: every scheme against every way to come close. A scheme is described once, as a genuine request;
//! forgeries are made from it mechanically, so that a new scheme gets all of them.
//!
//! What holds of all: only the genuine request passes, it passes alone, and what passes is byte for byte what came.

mod adobe;
#[path = "../it/support/key_host.rs"]
#[allow(dead_code, reason = "shared with the tests over sockets")]
mod key_host;
mod matrix;
mod node;
mod vectors;

use std::sync::LazyLock;

use bytes::Bytes;
use crossdock::clock::{Timestamp, from_micros};
use crossdock::config::{AuthSetting, Dated, Secret, Secrets, SignedBytes};
use crossdock::intake::signature::sign::{self, CommerceSigner};
use crossdock::intake::signature::{Refused, Verified, Verifier};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The clock of the tests, in seconds.
pub const NOW: i64 = 1_772_359_200;
/// A body with a number worth changing, and characters that encodings treat differently.
pub const BODY: &[u8] = br#"{"recipientclientid":"0123456789abcdef0123456789abcdef","increment_id":"000000042","grand_total":"10.00","name":"Zo\u00eb \/ \u20ac"}"#;

/// Whom the body of an event names.
pub const CLIENT_ID: &str = "0123456789abcdef0123456789abcdef";

const SECRET: &str = "hmac-secret-of-the-tests-0123456789";
const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const KEY: &str = "api-key-of-the-tests-0123456789";
const TOKEN: &str = "bearer-token-of-the-tests-0123456789";
const PASSWORD: &str = "pass:word-of-the-tests-0123456789";

/// The signer whose key is believed, and one whose key is not.
pub static SIGNER: LazyLock<CommerceSigner> = LazyLock::new(CommerceSigner::generate);
/// See [`SIGNER`].
pub static STRANGER: LazyLock<CommerceSigner> = LazyLock::new(CommerceSigner::generate);

/// Headers of a request: raw bytes, since a forger is not bound to text.
pub type Headers = Vec<(&'static str, Vec<u8>)>;

/// How a header's value may be spelled without being another value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// One spelling only.
    Exact,
    /// Hex digits in either case.
    Hex,
    /// A scheme word in either case in front.
    Word(usize),
}

/// A genuine request under one scheme.
pub struct Genuine {
    /// For messages.
    pub name: &'static str,
    /// What the origin accepts.
    pub auth: AuthSetting,
    /// What the sender sends.
    pub headers: Headers,
    /// How each header may be spelled.
    pub spelling: Spelling,
    /// Whether the body is covered: a fixed credential covers nothing.
    pub covers_body: bool,
    /// The same request made with a key that is not accepted.
    pub by_stranger: Headers,
    /// The genuine header for another body.
    pub of_other_body: Option<Headers>,
}

/// Every scheme, once for each way a sender may write it.
pub fn every_scheme() -> Vec<Genuine> {
    let mut all = rsa();
    all.extend(hmac());
    all.push(standard_webhooks());
    all.extend(fixed());
    all
}

const OTHER_BODY: &[u8] = b"{}";

fn rsa() -> Vec<Genuine> {
    let scheme = |name, signed| {
        let headers = |signer: &CommerceSigner, body: &[u8]| {
            vec![(sign::COMMERCE_SIGNATURE, signer.sign(body, signed).into_bytes())]
        };
        let public_keys = vec![Dated::always(SIGNER.public_key_pem())];
        Genuine {
            name,
            auth: AuthSetting::RsaSignature { public_keys, signed },
            headers: headers(&SIGNER, BODY),
            spelling: Spelling::Exact,
            covers_body: true,
            by_stranger: headers(&STRANGER, BODY),
            of_other_body: Some(headers(&SIGNER, OTHER_BODY)),
        }
    };
    vec![scheme("rsa over base64", SignedBytes::Base64Body), scheme("rsa over the raw body", SignedBytes::RawBody)]
}

fn hmac() -> Vec<Genuine> {
    let base64 = |hex: String| {
        let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).expect("the signer writes hex");
        data_encoding::BASE64.encode(&bytes).into_bytes()
    };
    let plain = |hex: String| hex.into_bytes();
    let prefixed = |hex: String| format!("sha256={hex}").into_bytes();
    let scheme = |name, spelling, write: &dyn Fn(String) -> Vec<u8>| {
        let headers = |secret: &str, body: &[u8]| vec![("x-hmac-hash", write(sign::hmac_hex(secret, body)))] as Headers;
        Genuine {
            name,
            auth: AuthSetting::Hmac { header: HeaderName::from_static("x-hmac-hash"), secrets: secrets(&[SECRET]) },
            headers: headers(SECRET, BODY),
            spelling,
            covers_body: true,
            by_stranger: headers("another-secret-of-some-length-987", BODY),
            of_other_body: Some(headers(SECRET, OTHER_BODY)),
        }
    };
    vec![
        scheme("hmac in hex", Spelling::Hex, &plain),
        scheme("hmac in hex with its algorithm", Spelling::Hex, &prefixed),
        scheme("hmac in base64", Spelling::Exact, &base64),
    ]
}

fn standard_webhooks() -> Genuine {
    Genuine {
        name: "standard webhooks",
        auth: AuthSetting::StandardWebhooks { secrets: secrets(&[WEBHOOK_SECRET]) },
        headers: webhook(WEBHOOK_SECRET, "msg_2b6e", NOW, BODY),
        spelling: Spelling::Exact,
        covers_body: true,
        by_stranger: webhook("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "msg_2b6e", NOW, BODY),
        of_other_body: Some(webhook(WEBHOOK_SECRET, "msg_2b6e", NOW, OTHER_BODY)),
    }
}

/// The three headers of Standard Webhooks.
pub fn webhook(secret: &str, id: &str, seconds: i64, body: &[u8]) -> Headers {
    let signature = sign::standard_webhooks(secret, id, seconds, body).expect("the secret is base64");
    vec![
        ("webhook-id", id.as_bytes().to_vec()),
        ("webhook-timestamp", seconds.to_string().into_bytes()),
        ("webhook-signature", signature.into_bytes()),
    ]
}

fn fixed() -> Vec<Genuine> {
    let basic = |user: &str, password: &str| {
        format!("Basic {}", data_encoding::BASE64.encode(format!("{user}:{password}").as_bytes())).into_bytes()
    };
    let scheme = |name, auth, spelling, header, right: Vec<u8>, wrong: Vec<u8>| Genuine {
        name,
        auth,
        headers: vec![(header, right)],
        spelling,
        covers_body: false,
        by_stranger: vec![(header, wrong)],
        of_other_body: None,
    };
    let key = HeaderName::from_static("x-api-key");
    vec![
        scheme(
            "header",
            AuthSetting::Header { name: key, values: secrets(&[KEY]) },
            Spelling::Exact,
            "x-api-key",
            KEY.into(),
            "api-key-of-a-stranger-0123456789".into(),
        ),
        scheme(
            "bearer",
            AuthSetting::Bearer { tokens: secrets(&[TOKEN]) },
            Spelling::Word("Bearer".len()),
            "authorization",
            format!("Bearer {TOKEN}").into_bytes(),
            b"Bearer token-of-a-stranger-0123456789".to_vec(),
        ),
        scheme(
            "basic",
            AuthSetting::Basic { user: "flow".into(), passwords: secrets(&[PASSWORD]) },
            Spelling::Word("Basic".len()),
            "authorization",
            basic("flow", PASSWORD),
            basic("flow", "password-of-a-stranger-0123"),
        ),
    ]
}

/// Secrets valid for ever.
pub fn secrets(values: &[&str]) -> Secrets {
    values.iter().map(|value| Dated::always(Secret::new((*value).to_owned()))).collect()
}

/// The clock at a second.
pub fn at(seconds: i64) -> Timestamp {
    from_micros(seconds * 1_000_000)
}

/// What a request is shown to.
pub trait Door: Send + Sync {
    /// Whether it is believed.
    fn verify(&self, headers: &HeaderMap, body: Bytes, now: Timestamp) -> Result<Verified, Refused>;
}

impl Door for Verifier {
    fn verify(&self, headers: &HeaderMap, body: Bytes, now: Timestamp) -> Result<Verified, Refused> {
        Verifier::verify(self, headers, body, now)
    }
}

/// A verifier of these credentials; panics if they cannot be used.
pub fn verifier(auth: &[AuthSetting]) -> Verifier {
    Verifier::new(auth).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// What the verifier says; `None` where no HTTP request can carry such a header. Panics if it passes other bytes than
/// it was given (SIG-1).
pub fn ask(
    verifier: &(impl Door + ?Sized),
    headers: &Headers,
    body: &[u8],
    now: i64,
) -> Option<Result<&'static str, Refused>> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).ok()?);
    }
    let verdict = verifier.verify(&map, Bytes::copy_from_slice(body), at(now));
    Some(verdict.map(|verified| {
        assert_eq!(&verified.body()[..], body, "SIG-1: what is verified is what came");
        verified.scheme()
    }))
}
