//! Vectors that others made: the examples of the standards, and signatures that careless verifiers take.

use crossdock::config::{AuthSetting, Dated, SignedBytes};
use crossdock::intake::signature::sign;
use crossdock::intake::signature::{PublicKey, Refused};
use serde::Deserialize;

use crate::{Headers, NOW, ask, secrets, verifier};

/// Base64 text with an unused bit of its last symbol set: the same bytes for a careless reader.
pub fn with_unused_bits(encoded: &str) -> String {
    let symbols = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let end = encoded.trim_end_matches('=').len();
    let Some(last) = symbols.find(&encoded[end - 1..end]) else { return format!("{encoded}!") };
    let other = &symbols[last ^ 1..=last ^ 1];
    format!("{}{other}{}", &encoded[..end - 1], &encoded[end..])
}

#[derive(Deserialize)]
struct RsaFile {
    body: String,
    keys: Vec<RsaKey>,
}

#[derive(Deserialize)]
struct RsaKey {
    exponent: u64,
    public_key: String,
    signatures: Vec<RsaVector>,
}

#[derive(Deserialize)]
struct RsaVector {
    name: String,
    valid: bool,
    signature: String,
}

/// `tests/fixtures/forgery/make_rsa.py` says how each was made.
#[test]
fn sig_4_adversarial_rsa_signatures_are_refused_under_both_exponents() {
    let file: RsaFile = serde_json::from_str(include_str!("../fixtures/forgery/rsa.json")).unwrap();
    let (mut taken, mut refused) = (0, 0);
    for key in &file.keys {
        let public_keys = vec![Dated::always(key.public_key.clone())];
        let auth = AuthSetting::RsaSignature { public_keys, signed: SignedBytes::RawBody };
        let verifier = verifier(&[auth]);
        for vector in &key.signatures {
            let headers = vec![(sign::COMMERCE_SIGNATURE, vector.signature.clone().into_bytes())];
            let answer = ask(&verifier, &headers, file.body.as_bytes(), NOW).unwrap();
            assert_eq!(answer.is_ok(), vector.valid, "exponent {}: {}: {answer:?}", key.exponent, vector.name);
            *(if vector.valid { &mut taken } else { &mut refused }) += 1;
        }
    }
    assert_eq!((taken, refused), (2, 47));
}

#[test]
fn keys_too_weak_to_mean_anything_are_not_accepted() {
    // 1024 bits; SIG-6 asks for 2048.
    let short = "-----BEGIN PUBLIC KEY-----\nMIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDqFK1AtDyx4xszGyjp59Dr9fX2\nXakUjIJZZa+cCz/BpGVH125WTwswyh24pURjZpu5FNpSYuv2be9qXduEXcH528fM\n/maKOkfZRyTzREVOLw1EpKmYNa7FVKnWeEwykLqVa1EBCZCbtaV4bQsptL1V8/pM\nhPSACrrPcFq7kRCZoQIDAQAB\n-----END PUBLIC KEY-----";
    assert!(PublicKey::parse(short).unwrap_err().contains("less than 2048 bits"));
}

/// RFC 4231, the cases whose key is text: HMAC-SHA256 as everybody computes it.
#[test]
fn hmac_agrees_with_rfc_4231() {
    let ones = "\u{b}".repeat(20);
    let cases: [(&str, &[u8], &str); 2] = [
        (&ones, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        ("Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
    ];
    for (secret, body, expected) in cases {
        assert_eq!(sign::hmac_hex(secret, body), expected);
        let auth =
            AuthSetting::Hmac { header: http::HeaderName::from_static("x-hmac-hash"), secrets: secrets(&[secret]) };
        let verifier = verifier(&[auth]);
        let answer = |value: &str| {
            let headers: Headers = vec![("x-hmac-hash", value.as_bytes().to_vec())];
            ask(&verifier, &headers, body, NOW).unwrap()
        };
        assert_eq!(answer(expected), Ok("hmac"));
        // RFC 4231 case 5 and RFC 2104 allow truncated tags. We do not: half a tag is not a tag.
        for length in [1, 8, 16, 24, 31] {
            assert_eq!(answer(&expected[..length * 2]), Err(Refused::Malformed), "{length} bytes");
            let padded = format!("{}{}", &expected[..length * 2], "00".repeat(32 - length));
            assert_eq!(answer(&padded), Err(Refused::Wrong), "{length} bytes and zeros");
        }
        assert_eq!(answer(&"00".repeat(32)), Err(Refused::Wrong), "a tag of zeros");
    }
}

#[test]
fn an_empty_secret_is_not_a_secret() {
    let hmac = AuthSetting::Hmac { header: http::HeaderName::from_static("x-hmac-hash"), secrets: secrets(&[""]) };
    assert!(crossdock::intake::signature::Verifier::new(&[hmac]).is_err());
    let webhooks = AuthSetting::StandardWebhooks { secrets: secrets(&["whsec_"]) };
    assert!(crossdock::intake::signature::Verifier::new(&[webhooks]).is_err());
}

const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const WEBHOOK_ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const WEBHOOK_SECONDS: i64 = 1_614_265_330;
const WEBHOOK_BODY: &[u8] = br#"{"test": 2432232314}"#;
const WEBHOOK_SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

/// The vector of the Standard Webhooks specification, and the cases that its reference libraries test with it.
#[test]
fn standard_webhooks_agrees_with_its_public_vectors() {
    let answer = |secret: &str, id: &str, seconds: &str, signature: &str| {
        let headers: Headers = vec![
            ("webhook-id", id.as_bytes().to_vec()),
            ("webhook-timestamp", seconds.as_bytes().to_vec()),
            ("webhook-signature", signature.as_bytes().to_vec()),
        ];
        let auth = AuthSetting::StandardWebhooks { secrets: secrets(&[secret]) };
        ask(&verifier(&[auth]), &headers, WEBHOOK_BODY, WEBHOOK_SECONDS).unwrap()
    };
    let stamp = WEBHOOK_SECONDS.to_string();
    let genuine = |signature: &str| answer(WEBHOOK_SECRET, WEBHOOK_ID, &stamp, signature);
    assert_eq!(genuine(WEBHOOK_SIGNATURE), Ok("standard-webhooks"));
    assert_eq!(
        sign::standard_webhooks(WEBHOOK_SECRET, WEBHOOK_ID, WEBHOOK_SECONDS, WEBHOOK_BODY).as_deref(),
        Some(WEBHOOK_SIGNATURE)
    );
    // Several signatures, of other keys and other versions, in front of and behind the right one.
    let several = format!(
        "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= v2,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= \
         {WEBHOOK_SIGNATURE} v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="
    );
    assert_eq!(genuine(&several), Ok("standard-webhooks"));
    let right_bytes_as_v2 = WEBHOOK_SIGNATURE.replace("v1,", "v2,");
    assert!(genuine(&right_bytes_as_v2).is_err());
    assert!(genuine("v1,g0hM9SsE+OTPJTGt/dmIKtSyZlE3uFJELVlNIOLJ1OE=").is_err());
    assert!(genuine("g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=").is_err());
    assert!(genuine("").is_err());
    let old = (WEBHOOK_SECONDS - 301).to_string();
    let signed_then = sign::standard_webhooks(WEBHOOK_SECRET, WEBHOOK_ID, WEBHOOK_SECONDS - 301, WEBHOOK_BODY).unwrap();
    assert_eq!(answer(WEBHOOK_SECRET, WEBHOOK_ID, &old, &signed_then), Err(Refused::Stale));
    let soon = (WEBHOOK_SECONDS + 301).to_string();
    let signed_soon = sign::standard_webhooks(WEBHOOK_SECRET, WEBHOOK_ID, WEBHOOK_SECONDS + 301, WEBHOOK_BODY).unwrap();
    assert_eq!(answer(WEBHOOK_SECRET, WEBHOOK_ID, &soon, &signed_soon), Err(Refused::Stale));
    assert!(answer(WEBHOOK_SECRET, "", &stamp, WEBHOOK_SIGNATURE).is_err());
    assert!(answer(WEBHOOK_SECRET, WEBHOOK_ID, "hello", WEBHOOK_SIGNATURE).is_err());
    // The prefix is a label, not a part of the key; the text after it is base64, not the key.
    assert!(answer("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", WEBHOOK_ID, &stamp, WEBHOOK_SIGNATURE).is_err());
}
