//! Headers of every scheme at once, over a body that nobody signed.

use std::sync::LazyLock;

use bolero::TypeGenerator;
use bytes::Bytes;
use crossdock::clock::from_micros;
use crossdock::config::{AuthSetting, Dated, Secret, Secrets, SignedBytes};
use crossdock::intake::signature::sign::CommerceSigner;
use crossdock::intake::signature::{PublicKey, Verifier};
use http::{HeaderMap, HeaderName, HeaderValue};

const HEADERS: [&str; 7] = [
    "x-adobe-commerce-webhook-signature",
    "x-hmac-hash",
    "x-api-key",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "authorization",
];

static VERIFIERS: LazyLock<Vec<Verifier>> = LazyLock::new(|| {
    let one = |text: &str| -> Secrets { vec![Dated::always(Secret::new(text.to_owned()))] };
    let secret = "a-secret-nobody-guesses-0123456789";
    let rsa = AuthSetting::RsaSignature {
        public_keys: vec![Dated::always(CommerceSigner::generate().public_key_pem())],
        signed: SignedBytes::Base64Body,
    };
    let hmac = AuthSetting::Hmac { header: HeaderName::from_static("x-hmac-hash"), secrets: one(secret) };
    let header = AuthSetting::Header { name: HeaderName::from_static("x-api-key"), values: one(secret) };
    let webhooks = AuthSetting::StandardWebhooks { secrets: one("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw") };
    let bearer = AuthSetting::Bearer { tokens: one(secret) };
    let basic = AuthSetting::Basic { user: "flow".to_owned(), passwords: one(secret) };
    let group = AuthSetting::All(vec![hmac.clone(), header.clone()]);
    let settings = [vec![rsa, hmac, header, webhooks], vec![bearer, group], vec![basic]];
    settings.iter().map(|auth| Verifier::new(auth).unwrap_or_else(|problems| panic!("{problems:?}"))).collect()
});

/// A request: which headers, what in them, what body.
#[derive(Clone, Debug, TypeGenerator)]
struct Request {
    headers: Vec<(u8, Vec<u8>)>,
    body: Vec<u8>,
    seconds: i64,
}

fn target(request: &Request) {
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(HeaderName::from_static(HEADERS[usize::from(*name) % HEADERS.len()]), value);
        }
    }
    let now = from_micros(request.seconds % 253_402_300_799 * 1_000_000);
    for verifier in VERIFIERS.iter() {
        let verdict = verifier.verify(&headers, Bytes::copy_from_slice(&request.body), now);
        assert!(verdict.is_err(), "somebody guessed a secret: {verdict:?}");
    }
}

#[test]
fn a_signature_header_of_any_bytes_is_refused() {
    for value in super::kept("signature_header") {
        for name in 0..7 {
            let seconds = 1_614_265_330;
            target(&Request { headers: vec![(name, value.clone())], body: b"{}".to_vec(), seconds });
            let all = (0..7).map(|name| (name, value.clone())).collect();
            target(&Request { headers: all, body: value.clone(), seconds });
        }
    }
    run!(Request, target);
}

#[test]
fn a_public_key_of_any_bytes_is_read_or_refused_in_words() {
    fn target(text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        for form in [text.to_string(), format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----")] {
            if let Err(words) = PublicKey::parse(&form) {
                assert!(!words.is_empty());
            }
        }
    }
    for text in super::kept("signature_header") {
        target(&text);
    }
    run!(Vec<u8>, |text| target(text));
}
