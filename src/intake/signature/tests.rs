use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::sign::{CommerceSigner, hmac_hex, standard_webhooks};
use super::*;
use crate::clock::from_micros;
use crate::config::{Dated, Secret, Secrets, SignedBytes};

static SIGNER: LazyLock<CommerceSigner> = LazyLock::new(CommerceSigner::generate);
static OTHER: LazyLock<CommerceSigner> = LazyLock::new(CommerceSigner::generate);

const BODY: &[u8] = br#"{"url":"https:\/\/shop.example.com\/","name":"Zo\u00eb"}"#;
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NOW: i64 = 1_614_265_330;
const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn at(seconds: i64) -> Timestamp {
    from_micros(seconds * 1_000_000)
}

fn secrets(values: &[&str]) -> Secrets {
    values.iter().map(|value| Dated::always(Secret::new((*value).to_owned()))).collect()
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn verifier(settings: &[AuthSetting]) -> Verifier {
    Verifier::new(settings).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// The one door of these tests: the scheme that accepted, or the refusal.
fn check(settings: &[AuthSetting], pairs: &[(&str, &str)], body: &[u8]) -> Result<&'static str, Refused> {
    let verified = verifier(settings).verify(&headers(pairs), Bytes::copy_from_slice(body), at(NOW))?;
    assert_eq!(&verified.body()[..], body, "SIG-1: verified bytes are the bytes received");
    Ok(verified.scheme())
}

fn rsa(keys: &[String]) -> AuthSetting {
    let public_keys = keys.iter().cloned().map(Dated::always).collect();
    AuthSetting::RsaSignature { public_keys, signed: SignedBytes::Base64Body }
}

fn hmac() -> AuthSetting {
    AuthSetting::Hmac { header: "x-hmac-hash".parse().unwrap(), secrets: secrets(&[SECRET]) }
}

fn api_key() -> AuthSetting {
    AuthSetting::Header {
        name: "x-api-key".parse().unwrap(),
        values: secrets(&["first-key-0123456789", "second-key-0123456789"]),
    }
}

fn webhooks() -> AuthSetting {
    AuthSetting::StandardWebhooks { secrets: secrets(&[WEBHOOK_SECRET]) }
}

const COMMERCE: &str = sign::COMMERCE_SIGNATURE;

#[test]
fn sig_7_commerce_signs_the_base64_text_of_the_body() {
    let settings = [rsa(&[SIGNER.public_key_pem()])];
    let good = SIGNER.sign(BODY, SignedBytes::Base64Body);
    assert_eq!(good.len(), 344);
    assert_eq!(check(&settings, &[("X-Adobe-Commerce-Webhook-Signature", &good)], BODY), Ok("rsa-signature"));
    let raw = SIGNER.sign(BODY, SignedBytes::RawBody);
    assert_eq!(check(&settings, &[(COMMERCE, &raw)], BODY), Err(Refused::Wrong));
    let by_other = OTHER.sign(BODY, SignedBytes::Base64Body);
    assert_eq!(check(&settings, &[(COMMERCE, &by_other)], BODY), Err(Refused::Wrong));
    assert_eq!(check(&settings, &[(COMMERCE, &good)], b"{}"), Err(Refused::Wrong));
    assert_eq!(check(&settings, &[], BODY), Err(Refused::Missing));
}

#[test]
fn a_proxy_may_sign_the_raw_body_if_the_origin_says_so() {
    let public_keys = vec![Dated::always(SIGNER.public_key_pem())];
    let settings = [AuthSetting::RsaSignature { public_keys, signed: SignedBytes::RawBody }];
    let raw = SIGNER.sign(BODY, SignedBytes::RawBody);
    assert_eq!(check(&settings, &[(COMMERCE, &raw)], BODY), Ok("rsa-signature"));
    let usual = SIGNER.sign(BODY, SignedBytes::Base64Body);
    assert_eq!(check(&settings, &[(COMMERCE, &usual)], BODY), Err(Refused::Wrong));
}

#[test]
fn sig_8_two_keys_are_valid_until_the_retired_one_ends() {
    let keys =
        vec![Dated { value: OTHER.public_key_pem(), until: Some(at(NOW)) }, Dated::always(SIGNER.public_key_pem())];
    let verifier = verifier(&[AuthSetting::RsaSignature { public_keys: keys, signed: SignedBytes::Base64Body }]);
    let by = |signer: &CommerceSigner, now| {
        let signature = signer.sign(BODY, SignedBytes::Base64Body);
        verifier.verify(&headers(&[(COMMERCE, &signature)]), Bytes::from_static(BODY), at(now)).map(|_| ())
    };
    assert_eq!(by(&OTHER, NOW - 1), Ok(()));
    assert_eq!(by(&OTHER, NOW), Err(Refused::Wrong));
    assert_eq!(by(&SIGNER, NOW), Ok(()));
}

#[test]
fn sig_4_an_rsa_signature_is_decoded_strictly() {
    let settings = [rsa(&[SIGNER.public_key_pem()])];
    let good = SIGNER.sign(BODY, SignedBytes::Base64Body);
    let without_padding = good.trim_end_matches('=').to_owned();
    let cases = [
        ("", Refused::Malformed),
        ("====", Refused::Malformed),
        (&without_padding, Refused::Malformed),
        (&good[..340], Refused::Malformed),
        (&format!("{good}AAAA"), Refused::Malformed),
        (&good.replace('=', ""), Refused::Malformed),
        (&format!("{} {}", &good[..100], &good[100..]), Refused::Malformed),
        (&trailing_bits(&good), Refused::Malformed),
    ];
    for (signature, refused) in cases {
        assert_eq!(check(&settings, &[(COMMERCE, signature)], BODY), Err(refused), "{signature}");
    }
}

/// The same bytes with an unused bit set in the last symbol: not canonical.
fn trailing_bits(encoded: &str) -> String {
    let symbols = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let end = encoded.trim_end_matches('=').len();
    assert!(end < encoded.len(), "only padded text has unused bits");
    let last = symbols.find(&encoded[end - 1..end]).unwrap();
    format!("{}{}{}", &encoded[..end - 1], &symbols[last + 1..last + 2], &encoded[end..])
}

#[test]
fn public_keys_are_read_as_people_paste_them() {
    use base64::Engine as _;
    let pem = SIGNER.public_key_pem();
    let forms = [
        pem.clone(),
        pem.trim().replace('\n', "\\n"),
        pem.replace('\n', "\r\n"),
        pem.trim().replace('\n', "\\r\\n"),
        format!("\"{}\"", pem.trim()),
        format!("'{}'", pem.trim().replace('\n', "\\n")),
        base64::engine::general_purpose::STANDARD.encode(&pem),
        format!("\n\n  {pem}  \n"),
    ];
    for form in forms {
        assert!(PublicKey::parse(&form).is_ok(), "{form}");
    }
    let refused = [
        ("", "not a PEM"),
        ("hello", "not a PEM"),
        (&pem.replace("PUBLIC KEY", "PRIVATE KEY"), "private key"),
        (&pem.replace("PUBLIC KEY", "ENCRYPTED PRIVATE KEY"), "private key"),
        (&pem.replace("PUBLIC KEY", "RSA PUBLIC KEY"), "PKCS#1"),
        (&pem.replace("PUBLIC KEY", "CERTIFICATE"), "certificate"),
        (&format!("{pem}{pem}"), "more than one"),
        (&pem.replace("-----END PUBLIC KEY-----", ""), "no END"),
        (&pem.replacen("MIIB", "M*IB", 1), "damaged"),
        (&pem.replacen("MIIB", "MAAA", 1), "not an RSA"),
        // P-256.
        (
            "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEWVJ8oGwDnktdbdEeiXf/GCs6kk9g\neC4R07+VaTlgqOJDMZHFHeKQrOzJi9sn0Fn89fmdLb0PwwW/5nfzc/4evw==\n-----END PUBLIC KEY-----",
            "not an RSA",
        ),
        // RSA, 1024 bits.
        (
            "-----BEGIN PUBLIC KEY-----\nMIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDqFK1AtDyx4xszGyjp59Dr9fX2\nXakUjIJZZa+cCz/BpGVH125WTwswyh24pURjZpu5FNpSYuv2be9qXduEXcH528fM\n/maKOkfZRyTzREVOLw1EpKmYNa7FVKnWeEwykLqVa1EBCZCbtaV4bQsptL1V8/pM\nhPSACrrPcFq7kRCZoQIDAQAB\n-----END PUBLIC KEY-----",
            "less than 2048 bits",
        ),
    ];
    for (form, word) in refused {
        let error = PublicKey::parse(form).unwrap_err();
        assert!(error.contains(word), "{word}: {error}");
    }
}

#[test]
fn hmac_is_read_in_hex_and_base64() {
    use base64::Engine as _;
    let settings = [hmac()];
    let hex = hmac_hex(SECRET, BODY);
    let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
    let base64 = base64::engine::general_purpose::STANDARD.encode(bytes);
    let upper = hex.to_uppercase();
    for form in [hex.clone(), upper, base64.clone(), format!("sha256={hex}"), format!("sha256={base64}")] {
        assert_eq!(check(&settings, &[("X-HMAC-HASH", &form)], BODY), Ok("hmac"), "{form}");
    }
    let wrong_digest = hmac_hex("another secret of some length", BODY);
    let cases = [
        (wrong_digest.as_str(), Refused::Wrong),
        ("", Refused::Malformed),
        (&hex[..62], Refused::Malformed),
        (&format!("{hex}00"), Refused::Malformed),
        (&format!("sha1={hex}"), Refused::Malformed),
        (&format!("SHA256={hex}"), Refused::Malformed),
        (&format!("sha256=sha256={hex}"), Refused::Malformed),
        (&hex.replacen(|symbol: char| symbol.is_ascii_hexdigit(), "g", 1), Refused::Malformed),
        (&trailing_bits(&base64), Refused::Malformed),
        (base64.trim_end_matches('='), Refused::Malformed),
    ];
    for (form, refused) in cases {
        assert_eq!(check(&settings, &[("x-hmac-hash", form)], BODY), Err(refused), "{form}");
    }
    assert_eq!(check(&settings, &[("x-hmac-hash", &hex)], &BODY[1..]), Err(Refused::Wrong));
}

#[test]
fn sig_3_a_second_value_is_a_refusal_even_beside_another_valid_credential() {
    let hex = hmac_hex(SECRET, BODY);
    let twice = [("x-hmac-hash", hex.as_str()), ("X-HMAC-Hash", hex.as_str())];
    assert_eq!(check(&[hmac()], &twice, BODY), Err(Refused::Doubled));
    let mut beside = vec![("x-api-key", "first-key-0123456789")];
    beside.extend(twice);
    assert_eq!(check(&[api_key(), hmac()], &beside, BODY), Err(Refused::Doubled));
    let keys = [("x-api-key", "first-key-0123456789"), ("x-api-key", "second-key-0123456789")];
    assert_eq!(check(&[api_key()], &keys, BODY), Err(Refused::Doubled));
    let signature = SIGNER.sign(BODY, SignedBytes::Base64Body);
    let twice = [(COMMERCE, signature.as_str()), (COMMERCE, "x")];
    assert_eq!(check(&[rsa(&[SIGNER.public_key_pem()])], &twice, BODY), Err(Refused::Doubled));
    let tokens = AuthSetting::Bearer { tokens: secrets(&[SECRET]) };
    let twice = [("authorization", &*format!("Bearer {SECRET}")), ("authorization", "Bearer x")];
    assert_eq!(check(&[tokens], &twice, BODY), Err(Refused::Doubled));
}

#[test]
fn static_credentials_are_compared_exactly() {
    let key = |value: &str| check(&[api_key()], &[("X-API-KEY", value)], BODY);
    assert_eq!(key("first-key-0123456789"), Ok("header"));
    assert_eq!(key("second-key-0123456789"), Ok("header"));
    assert_eq!(key("First-key-0123456789"), Err(Refused::Wrong));
    assert_eq!(key("first-key-012345678"), Err(Refused::Wrong));
    assert_eq!(key("first-key-0123456789,second-key-0123456789"), Err(Refused::Wrong));
    assert_eq!(key(""), Err(Refused::Wrong));

    let bearer =
        |value: &str| check(&[AuthSetting::Bearer { tokens: secrets(&[SECRET]) }], &[("authorization", value)], BODY);
    for spelling in ["Bearer ", "bearer ", "Bearer: ", "BEARER  "] {
        assert_eq!(bearer(&format!("{spelling}{SECRET}")), Ok("bearer"), "{spelling}");
    }
    assert_eq!(bearer(&format!("Bearer {SECRET}x")), Err(Refused::Wrong));
    for wrong in
        [SECRET, "Bearer", "Bearer ", "Bearer: ", &format!("Bearer{SECRET}"), &format!("Basic {SECRET}"), "Béarer x"]
    {
        assert_eq!(bearer(wrong), Err(Refused::Malformed), "{wrong}");
    }
}

#[test]
fn a_pasted_bearer_header_matches_with_and_without_its_colon() {
    for stored in [format!("Bearer: {SECRET}"), format!("Bearer {SECRET}")] {
        let settings = [AuthSetting::Header { name: "authorization".parse().unwrap(), values: secrets(&[&stored]) }];
        for sent in [format!("Bearer: {SECRET}"), format!("Bearer {SECRET}")] {
            assert_eq!(check(&settings, &[("authorization", &sent)], BODY), Ok("header"));
        }
        assert_eq!(check(&settings, &[("authorization", "Bearer x")], BODY), Err(Refused::Wrong));
    }
}

#[test]
fn basic_splits_at_the_first_colon() {
    use base64::Engine as _;
    let encode = |pair: &str| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
    let settings = [AuthSetting::Basic { user: "me".to_owned(), passwords: secrets(&["pass:word-0123456789"]) }];
    let basic = |value: &str| check(&settings, &[("authorization", value)], BODY);
    assert_eq!(basic(&encode("me:pass:word-0123456789")), Ok("basic"));
    assert_eq!(basic(&encode("me:pass:word-0123456789").replace("Basic", "basic")), Ok("basic"));
    for wrong in ["you:pass:word-0123456789", "me:pass", "me:", ":pass:word-0123456789", "me:pass:word-0123456789 "] {
        assert_eq!(basic(&encode(wrong)), Err(Refused::Wrong), "{wrong}");
    }
    for malformed in [encode("me"), "Basic".to_owned(), "Basic !!!".to_owned(), "Bearer x".to_owned()] {
        assert_eq!(basic(&malformed), Err(Refused::Malformed), "{malformed}");
    }
}

/// The example of the specification.
const VECTOR: [(&str, &str); 3] = [
    ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
    ("webhook-timestamp", "1614265330"),
    ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
];
const VECTOR_BODY: &[u8] = br#"{"test": 2432232314}"#;

fn vector_with(name: &str, value: &str) -> Result<&'static str, Refused> {
    let pairs = VECTOR.map(|(known, old)| (known, if known == name { value } else { old }));
    check(&[webhooks()], &pairs, VECTOR_BODY)
}

#[test]
fn the_standard_webhooks_vector_verifies() {
    let verified = verifier(&[webhooks()]).verify(&headers(&VECTOR), Bytes::from_static(VECTOR_BODY), at(NOW)).unwrap();
    assert_eq!((verified.scheme(), verified.event_id()), ("standard-webhooks", Some(VECTOR[0].1)));
    let signed = standard_webhooks(WEBHOOK_SECRET, VECTOR[0].1, NOW, VECTOR_BODY);
    assert_eq!(signed.as_deref(), Some(VECTOR[2].1));
}

#[test]
fn sig_5_timestamps_are_plain_digits_close_to_now() {
    let verifier = verifier(&[webhooks()]);
    let verify_at = |now| verifier.verify(&headers(&VECTOR), Bytes::from_static(VECTOR_BODY), at(now)).map(|_| ());
    assert_eq!(verify_at(NOW + 300), Ok(()));
    assert_eq!(verify_at(NOW - 300), Ok(()));
    assert_eq!(verify_at(NOW + 301), Err(Refused::Stale));
    assert_eq!(verify_at(NOW - 301), Err(Refused::Stale));
    for malformed in ["+1614265330", "-1614265330", " 1614265330x", "1614265330.0", "", "1e9", "0000000000001", "１"] {
        assert_eq!(vector_with("webhook-timestamp", malformed), Err(Refused::Malformed), "{malformed}");
    }
    // Leading zeros are digits, but they are not what was signed.
    assert_eq!(vector_with("webhook-timestamp", "001614265330"), Err(Refused::Wrong));
    assert_eq!(vector_with("webhook-timestamp", "999999999999"), Err(Refused::Stale));
    assert_eq!(vector_with("webhook-timestamp", "1614265331"), Err(Refused::Wrong));
}

#[test]
fn sig_5_webhook_ids_are_visible_and_hold_no_full_stop() {
    for malformed in ["", "msg.1", "msg 1", "mség", &"x".repeat(256)] {
        assert_eq!(vector_with("webhook-id", malformed), Err(Refused::Malformed), "{malformed}");
    }
    assert_eq!(vector_with("webhook-id", &"x".repeat(255)), Err(Refused::Wrong));
}

#[test]
fn sig_5_at_most_eight_signatures_are_looked_at() {
    let good = VECTOR[2].1;
    let other = standard_webhooks("another secret of some length", VECTOR[0].1, NOW, VECTOR_BODY).unwrap();
    assert_eq!(vector_with("webhook-signature", &format!("{other} {good}")), Ok("standard-webhooks"));
    assert_eq!(vector_with("webhook-signature", &format!("v1a,AAAA {good}")), Ok("standard-webhooks"));
    let eighth = format!("{} {good}", [other.as_str(); 7].join(" "));
    assert_eq!(vector_with("webhook-signature", &eighth), Ok("standard-webhooks"));
    let ninth = format!("{} {good}", [other.as_str(); 8].join(" "));
    assert_eq!(vector_with("webhook-signature", &ninth), Err(Refused::Wrong));
    for malformed in [
        "",
        "v1",
        "v1,",
        &good[3..],
        &good.replace("v1,", "v2,"),
        &good.replace("v1,", "v1, "),
        good.trim_end_matches('='),
        &trailing_bits(good),
    ] {
        assert_eq!(vector_with("webhook-signature", malformed), Err(Refused::Malformed), "{malformed}");
    }
    assert_eq!(vector_with("webhook-signature", &other), Err(Refused::Wrong));
}

#[test]
fn any_one_suffices_and_a_group_wants_all() {
    let hex = hmac_hex(SECRET, BODY);
    let key = ("x-api-key", "first-key-0123456789");
    let any = [api_key(), hmac()];
    assert_eq!(check(&any, &[key], BODY), Ok("header"));
    assert_eq!(check(&any, &[("x-hmac-hash", &hex)], BODY), Ok("hmac"));
    assert_eq!(check(&any, &[("x-api-key", "wrong"), ("x-hmac-hash", &hex)], BODY), Ok("hmac"));
    let all = [AuthSetting::All(vec![hmac(), api_key()])];
    assert_eq!(check(&all, &[key, ("x-hmac-hash", &hex)], BODY), Ok("header+hmac"));
    assert_eq!(check(&all, &[key], BODY), Err(Refused::Missing));
    assert_eq!(check(&all, &[("x-api-key", "wrong"), ("x-hmac-hash", &hex)], BODY), Err(Refused::Wrong));
    assert_eq!(check(&[], &[key], BODY), Err(Refused::Missing), "no credentials believe nobody");
    assert!(Verifier::new(&[AuthSetting::All(Vec::new())]).is_err(), "an empty group would believe everybody");
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    let settings = [rsa(&["nonsense".to_owned()]), AuthSetting::StandardWebhooks { secrets: secrets(&["whsec_*"]) }];
    let problems = Verifier::new(&settings).err().unwrap();
    assert_eq!(problems.len(), 2);
    assert!(problems[0].contains("public key 1 is not a PEM public key"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn one_flipped_bit_anywhere_is_refused(index in 0..BODY.len(), bit in 0_u8..8) {
        let mut body = BODY.to_vec();
        body[index] ^= 1 << bit;
        let hex = hmac_hex(SECRET, BODY);
        prop_assert_eq!(check(&[hmac()], &[("x-hmac-hash", &hex)], &body), Err(Refused::Wrong));
        let signature = SIGNER.sign(BODY, SignedBytes::Base64Body);
        let settings = [rsa(&[SIGNER.public_key_pem()])];
        prop_assert_eq!(check(&settings, &[(COMMERCE, &signature)], &body), Err(Refused::Wrong));
    }

    #[test]
    fn a_truncated_or_lengthened_body_is_refused(length in 0..BODY.len()) {
        let hex = hmac_hex(SECRET, BODY);
        prop_assert_eq!(check(&[hmac()], &[("x-hmac-hash", &hex)], &BODY[..length]), Err(Refused::Wrong));
        let longer = [BODY, &BODY[..=length]].concat();
        prop_assert_eq!(check(&[hmac()], &[("x-hmac-hash", &hex)], &longer), Err(Refused::Wrong));
    }

    #[test]
    fn any_header_bytes_are_refused_without_a_panic(value in proptest::collection::vec(any::<u8>(), 0..400)) {
        let Ok(value) = HeaderValue::from_bytes(&value) else { return Ok(()) };
        let settings = [rsa(&[SIGNER.public_key_pem()]), hmac(), api_key(), webhooks(),
            AuthSetting::Bearer { tokens: secrets(&[SECRET]) }];
        let verifier = verifier(&settings);
        let mut headers = HeaderMap::new();
        for name in [COMMERCE, "x-hmac-hash", "x-api-key", "webhook-id", "webhook-timestamp", "webhook-signature", "authorization"] {
            headers.insert(HeaderName::from_static(name), value.clone());
        }
        prop_assert!(verifier.verify(&headers, Bytes::from_static(BODY), at(NOW)).is_err());
    }
}
