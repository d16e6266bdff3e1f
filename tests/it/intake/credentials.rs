//! Every credential an origin may ask for: taken when right, refused without a reason and without a trace when not.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use crossdock::config::SignedBytes;
use crossdock::intake::signature::sign::{self, CommerceSigner};

use crate::support::{API_KEY, HMAC_SECRET, STANDARD_SECRET, TestApp, is_refusal_without_reason, orders};

const RSA: &str = "x-adobe-commerce-webhook-signature";
const BEARER: &str = "bearer-token-for-tests-0123456789";
const PASSWORD: &str = "password:with-colon-0123456789";
const OTHER_HMAC: &str = "another-hmac-secret-for-tests-9876";

/// One origin for each kind of credential, and a second hook with a key of its own.
async fn app(other: &CommerceSigner) -> TestApp {
    let pem = other.public_key_pem();
    TestApp::with(move |text| {
        format!(
            r#"{text}
[origins.other-hooks]
type = "commerce-webhook"
commerce = "acme"
auth = [{{ type = "rsa-signature", public_keys = ["""{pem}"""] }}]
[origins.raw-hooks]
type = "commerce-webhook"
commerce = "acme"
auth = [{{ type = "rsa-signature", public_keys = ["""{pem}"""], signed = "raw-body" }}]
[origins.keyed]
type = "patchworks"
commerce = "acme"
auth = [{{ type = "header", name = "X-Api-Key", value = ["{API_KEY}", "second-key-for-tests-0123456789"] }}]
[origins.signed]
type = "patchworks"
commerce = "acme"
auth = [{{ type = "hmac", header = "X-HMAC-HASH", secret = "{HMAC_SECRET}" }}]
[origins.signed-too]
type = "patchworks"
commerce = "acme"
auth = [{{ type = "hmac", header = "X-HMAC-HASH", secret = "{OTHER_HMAC}" }}]
[origins.standard]
type = "patchworks"
commerce = "acme"
auth = [{{ type = "standard-webhooks", secret = "{STANDARD_SECRET}" }}]
[origins.bearer]
type = "patchworks"
commerce = "acme"
auth = [{{ type = "bearer", token = "{BEARER}" }}]
[origins.basic]
type = "patchworks"
commerce = "acme"
auth = [{{ type = "basic", user = "flow", password = "{PASSWORD}" }}]
[origins.both]
type = "patchworks"
commerce = "acme"
auth = [{{ all = [{{ type = "header", name = "X-Api-Key", value = "{API_KEY}" }}, {{ type = "hmac", header = "X-HMAC-HASH", secret = "{HMAC_SECRET}" }}] }}]
"#
        )
    })
    .await
}

type Headers = Vec<(&'static str, String)>;

/// Sends and expects to be taken: 202, or 200 from a hook.
async fn taken(app: &TestApp, case: &str, path: &str, body: &str, headers: &Headers) {
    let before = app.stored().await;
    let answer = app.posts(path, body.to_owned(), &borrowed(headers)).await;
    let expected = if path.ends_with("hooks") { 200 } else { 202 };
    assert_eq!(answer.status, expected, "{case}: {}", answer.text);
    assert_eq!(app.stored().await, before + 1, "{case}");
}

/// Sends and expects 401 without a reason; nothing is stored.
async fn refused(app: &TestApp, case: &str, path: &str, body: &str, headers: &Headers) {
    let before = app.stored().await;
    let answer = app.posts(path, body.to_owned(), &borrowed(headers)).await;
    is_refusal_without_reason(case, &answer);
    assert_eq!(app.stored().await, before, "{case} left something behind");
}

fn borrowed(headers: &Headers) -> Vec<(&'static str, &str)> {
    headers.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// The text with one bit of its middle byte changed into another character of the same alphabet.
fn flipped(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] = if bytes[middle] == b'A' || bytes[middle] == b'a' { b'b' } else { b'a' };
    String::from_utf8(bytes).unwrap()
}

/// Canonical base64 of which the last bits before the padding are set: decodes to the same bytes for a careless reader.
fn with_trailing_bits(encoded: &str) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = encoded.as_bytes().to_vec();
    let last = bytes.iter().rposition(|byte| *byte != b'=').unwrap();
    let place = alphabet.iter().position(|letter| *letter == bytes[last]).unwrap();
    bytes[last] = alphabet[place | 1];
    assert_ne!(bytes, encoded.as_bytes(), "the last bits were set already");
    String::from_utf8(bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_1_sig_3_sig_4_a_commerce_signature_is_taken_only_as_it_was_made() {
    let other = CommerceSigner::generate();
    let app = app(&other).await;
    let body = orders::observed("000000001", "24-WG085", 1);
    let sign = |body: &str| app.site.signer.sign(body.as_bytes(), SignedBytes::Base64Body);
    let right = sign(&body);
    let changed = body.replace("\"qty_ordered\":1", "\"qty_ordered\":9");
    assert_ne!(changed, body);
    let der = STANDARD.decode(&right).unwrap();
    let cases: Vec<(&str, &str, Headers)> = vec![
        ("no header", &body, vec![]),
        ("empty header", &body, vec![(RSA, String::new())]),
        ("another key", &body, vec![(RSA, other.sign(body.as_bytes(), SignedBytes::Base64Body))]),
        ("the raw body signed", &body, vec![(RSA, app.site.signer.sign(body.as_bytes(), SignedBytes::RawBody))]),
        ("a changed body", &changed, vec![(RSA, right.clone())]),
        ("a flipped signature", &body, vec![(RSA, flipped(&right))]),
        ("a doubled header", &body, vec![(RSA, right.clone()), (RSA, right.clone())]),
        ("a doubled header, one wrong", &body, vec![(RSA, flipped(&right)), (RSA, right.clone())]),
        ("two in one header", &body, vec![(RSA, format!("{right}, {right}"))]),
        ("cut short", &body, vec![(RSA, right[..right.len() - 4].to_owned())]),
        ("without padding", &body, vec![(RSA, STANDARD_NO_PAD.encode(&der))]),
        ("URL alphabet", &body, vec![(RSA, URL_SAFE.encode([&[0xfb, 0xff], &der[2..]].concat()))]),
        ("trailing bits", &body, vec![(RSA, with_trailing_bits(&right))]),
        ("white space inside", &body, vec![(RSA, format!("{} {}", &right[..20], &right[20..]))]),
        ("a key header instead", &body, vec![("x-api-key", API_KEY.to_owned())]),
    ];
    for (case, body, headers) in &cases {
        refused(&app, case, "/in/hooks", body, headers).await;
    }
    refused(&app, "right for another origin", "/in/other-hooks", &body, &vec![(RSA, right.clone())]).await;
    refused(&app, "right for a flow", "/in/flows/orders", &body, &vec![(RSA, right.clone())]).await;
    assert_eq!(app.stored().await, 0);
    taken(&app, "as it was made", "/in/hooks", &body, &vec![(RSA, right)]).await;
    let raw = other.sign(body.as_bytes(), SignedBytes::RawBody);
    taken(&app, "raw body", "/in/raw-hooks", &body, &vec![(RSA, raw)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_4_a_body_that_was_spelt_anew_on_the_way_does_not_verify() {
    let app = TestApp::start().await;
    let body = orders::observed("000000001", "24-WG085", 1);
    let signature = app.site.signer.sign(body.as_bytes(), SignedBytes::Base64Body);
    let spelt = body.replacen(':', ": ", 1);
    refused(&app, "re-spaced", "/in/hooks", &spelt, &vec![(RSA, signature)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_3_fixed_values_bearer_and_basic_are_compared_exactly() {
    let other = CommerceSigner::generate();
    let app = app(&other).await;
    let number = |count: u32| orders::rest(&format!("{count:09}"), "24-WG085", 1).to_string();
    let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
    let right = basic(&format!("flow:{PASSWORD}"));
    let key = |value: &str| vec![("x-api-key", value.to_owned())];
    let auth = |value: &str| vec![("authorization", value.to_owned())];
    let good: Vec<(&str, Headers)> = vec![
        ("keyed", key(API_KEY)),
        ("keyed", key("second-key-for-tests-0123456789")),
        ("bearer", auth(&format!("Bearer {BEARER}"))),
        ("bearer", auth(&format!("bearer {BEARER}"))),
        ("basic", auth(&right)),
    ];
    for (index, (origin, headers)) in good.iter().enumerate() {
        let body = number(100 + u32::try_from(index).unwrap());
        taken(&app, origin, &format!("/in/{origin}/orders"), &body, headers).await;
    }
    let bad: Vec<(&str, Headers)> = vec![
        ("keyed", vec![]),
        ("keyed", key("")),
        ("keyed", key(&API_KEY.to_uppercase())),
        ("keyed", key(&API_KEY[..API_KEY.len() - 1])),
        ("keyed", key(&format!("{API_KEY}x"))),
        ("keyed", vec![("x-api-key", API_KEY.to_owned()), ("X-API-Key", API_KEY.to_owned())]),
        ("keyed", auth(&format!("Bearer {API_KEY}"))),
        ("bearer", vec![]),
        ("bearer", auth(BEARER)),
        ("bearer", auth(&format!("Basic {BEARER}"))),
        ("bearer", auth("Bearer ")),
        ("bearer", auth(&format!("Bearer {}", flipped(BEARER)))),
        ("bearer", [auth(&format!("Bearer {BEARER}")), auth(&format!("Bearer {BEARER}"))].concat()),
        ("bearer", auth(&right)),
        ("basic", vec![]),
        ("basic", auth(&basic("flow:"))),
        ("basic", auth(&basic(&format!("other:{PASSWORD}")))),
        ("basic", auth(&basic(&format!("flow:{}", flipped(PASSWORD))))),
        ("basic", auth(&format!("Basic {}", STANDARD_NO_PAD.encode(format!("flow:{PASSWORD}"))))),
        ("basic", auth(&format!("Basic flow:{PASSWORD}"))),
        ("basic", [auth(&right), auth(&right)].concat()),
    ];
    for (index, (origin, headers)) in bad.iter().enumerate() {
        let body = number(200 + u32::try_from(index).unwrap());
        refused(&app, &format!("{origin} {headers:?}"), &format!("/in/{origin}/orders"), &body, headers).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_4_an_hmac_is_taken_in_hex_and_base64_and_nothing_near_it() {
    let other = CommerceSigner::generate();
    let app = app(&other).await;
    let body = orders::rest("000000007", "24-WG085", 1).to_string();
    let hex = sign::hmac_hex(HMAC_SECRET, body.as_bytes());
    let digest = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
    let base64 = STANDARD.encode(&digest);
    let header = |value: &str| vec![("x-hmac-hash", value.to_owned())];
    let changed = body.replace("24-WG085", "24-WG086");
    let bad: Vec<(&str, &str, Headers)> = vec![
        ("missing", &body, vec![]),
        ("empty", &body, header("")),
        ("flipped hex", &body, header(&flipped(&hex))),
        ("flipped base64", &body, header(&flipped(&base64))),
        ("changed body", &changed, header(&hex)),
        ("cut hex", &body, header(&hex[..62])),
        ("cut base64", &body, header(&base64[..40])),
        ("no padding", &body, header(base64.trim_end_matches('='))),
        ("too much padding", &body, header(&format!("{base64}="))),
        ("trailing bits", &body, header(&with_trailing_bits(&base64))),
        ("doubled", &body, [header(&hex), header(&hex)].concat()),
        ("other secret", &body, header(&sign::hmac_hex(OTHER_HMAC, body.as_bytes()))),
        ("secret itself", &body, header(HMAC_SECRET)),
    ];
    for (case, body, headers) in &bad {
        refused(&app, case, "/in/signed/orders", body, headers).await;
    }
    refused(&app, "right for another origin", "/in/signed-too/orders", &body, &header(&hex)).await;
    taken(&app, "hex", "/in/signed/orders", &body, &header(&hex)).await;
    let base64_of = |body: &str| {
        let hex = sign::hmac_hex(HMAC_SECRET, body.as_bytes());
        STANDARD.encode(data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap())
    };
    taken(&app, "base64", "/in/signed/orders", &changed, &header(&base64_of(&changed))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_5_standard_webhooks_bind_id_time_and_body() {
    let other = CommerceSigner::generate();
    let app = app(&other).await;
    let now = jiff::Timestamp::now().as_second();
    let body = orders::rest("000000008", "24-WG085", 1).to_string();
    let signature =
        |id: &str, at: i64, body: &str| sign::standard_webhooks(STANDARD_SECRET, id, at, body.as_bytes()).unwrap();
    let headers = |id: &str, at: &str, signature: &str| {
        vec![
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", at.to_owned()),
            ("webhook-signature", signature.to_owned()),
        ]
    };
    let (at, right) = (now.to_string(), signature("msg_1", now, &body));
    let right_set = headers("msg_1", &at, &right);
    let without = |name: &str| right_set.iter().filter(|(known, _)| *known != name).cloned().collect::<Headers>();
    let stale = now - 3_600;
    let early = now + 3_600;
    let bad: Vec<(&str, Headers)> = vec![
        ("no headers", vec![]),
        ("no id", without("webhook-id")),
        ("no time", without("webhook-timestamp")),
        ("no signature", without("webhook-signature")),
        ("other id", headers("msg_2", &at, &right)),
        ("stale", headers("msg_1", &stale.to_string(), &signature("msg_1", stale, &body))),
        ("from the future", headers("msg_1", &early.to_string(), &signature("msg_1", early, &body))),
        ("time moved", headers("msg_1", &(now - 1).to_string(), &right)),
        ("signed time", headers("msg_1", &format!("+{now}"), &right)),
        ("endless time", headers("msg_1", "9999999999999999999999", &right)),
        ("id with a stop", headers("msg.1", &at, &signature("msg.1", now, &body))),
        ("unknown version", headers("msg_1", &at, &right.replace("v1,", "v2,"))),
        ("flipped", headers("msg_1", &at, &format!("v1,{}", flipped(&right[3..])))),
        ("trailing bits", headers("msg_1", &at, &format!("v1,{}", with_trailing_bits(&right[3..])))),
        ("doubled id", [right_set.clone(), vec![("webhook-id", "msg_1".to_owned())]].concat()),
        ("doubled time", [right_set.clone(), vec![("webhook-timestamp", at.clone())]].concat()),
        ("doubled signature", [right_set.clone(), vec![("webhook-signature", right.clone())]].concat()),
        ("right one comes ninth", headers("msg_1", &at, &format!("{}{right}", "v1,AAAA ".repeat(8)))),
    ];
    for (case, headers) in &bad {
        refused(&app, case, "/in/standard/orders", &body, headers).await;
    }
    taken(&app, "right", "/in/standard/orders", &body, &right_set).await;
    let body = orders::rest("000000009", "24-WG085", 1).to_string();
    let among = format!("v1,{} {}", STANDARD.encode([0; 32]), signature("msg_3", now, &body));
    taken(&app, "one of two", "/in/standard/orders", &body, &headers("msg_3", &at, &among)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_credentials_wants_every_one_of_them() {
    let other = CommerceSigner::generate();
    let app = app(&other).await;
    let body = orders::rest("000000010", "24-WG085", 1).to_string();
    let key = ("x-api-key", API_KEY.to_owned());
    let mac = ("x-hmac-hash", sign::hmac_hex(HMAC_SECRET, body.as_bytes()));
    let path = "/in/both/orders";
    refused(&app, "the key alone", path, &body, &vec![key.clone()]).await;
    refused(&app, "the signature alone", path, &body, &vec![mac.clone()]).await;
    refused(&app, "one wrong", path, &body, &vec![key.clone(), ("x-hmac-hash", flipped(&mac.1))]).await;
    refused(&app, "one doubled", path, &body, &vec![key.clone(), key.clone(), mac.clone()]).await;
    taken(&app, "both", path, &body, &vec![key, mac]).await;
}
