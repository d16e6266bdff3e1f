//! Bodies that are no orders: told to a flow, kept for a person from a hook, never a fault of ours.

use serde_json::json;

use crate::support::{API_KEY, TestApp, is_problem, orders};

/// Bodies that are no acceptable JSON.
fn unreadable() -> Vec<(&'static str, Vec<u8>)> {
    let order = orders::rest("000000001", "24-WG085", 1).to_string();
    let with = |member: &str| order.replacen('{', &format!("{{{member},"), 1).into_bytes();
    let mut cut = order.clone();
    cut.truncate(order.len() - 10);
    vec![
        ("empty", Vec::new()),
        ("white space", b" \r\n\t".to_vec()),
        ("not JSON", b"order=1&total=2".to_vec()),
        ("XML", b"<order><increment_id>1</increment_id></order>".to_vec()),
        ("cut off", cut.into_bytes()),
        ("something behind it", format!("{order}{order}").into_bytes()),
        ("65 levels", with(&format!("\"deep\":{}{}", "[".repeat(64), "]".repeat(64)))),
        ("a hundred thousand levels", "[".repeat(100_000).into_bytes()),
        ("a name twice", with("\"increment_id\":\"000000002\"")),
        ("a name twice, once escaped", with("\"\\u0069ncrement_id\":\"000000002\"")),
        ("NaN", with("\"weight\":NaN")),
        ("Infinity", with("\"weight\":-Infinity")),
        ("a leading zero", with("\"weight\":01")),
        ("a leading plus", with("\"weight\":+1")),
        ("no digit behind the point", with("\"weight\":1.")),
        ("129 digits", with(&format!("\"weight\":{}", "9".repeat(129)))),
        ("invalid UTF-8", [b"{\"name\":\"".as_slice(), &[0xff, 0xfe], b"\"}"].concat()),
        ("half a surrogate pair", with("\"name\":\"\\ud800\"")),
        ("a control character", with("\"name\":\"\u{1}\"")),
        ("a byte order mark", format!("\u{feff}{order}").into_bytes()),
        ("UTF-16", order.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("single quotes", b"{'increment_id':'1'}".to_vec()),
        ("a trailing comma", b"{\"increment_id\":\"1\",}".to_vec()),
        ("a comment", b"{/* */\"increment_id\":\"1\"}".to_vec()),
        ("a long string", with(&format!("\"note\":\"{}\"", "x".repeat(256 * 1024 + 1)))),
        ("too many items", with(&format!("\"list\":[{}0]", "0,".repeat(10_000)))),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn poi_3_a_flow_is_told_422_and_nothing_is_stored() {
    let app = TestApp::start().await;
    for (case, body) in unreadable() {
        let answer = app.posts("/in/flows/orders", body, &[("x-api-key", API_KEY)]).await;
        is_problem(case, &answer, 422);
        let detail = answer.json()["detail"].as_str().unwrap_or_default().to_owned();
        assert!(!detail.is_empty() && detail.len() < 300, "{case}: {detail}");
    }
    assert_eq!(app.stored().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_is_told_success_and_a_person_gets_the_bytes() {
    let app = TestApp::start().await;
    let cases = unreadable();
    for (case, body) in &cases {
        let signature = app.site.signer.sign(body, crossdock::config::SignedBytes::Base64Body);
        let headers = [("x-adobe-commerce-webhook-signature", signature.as_str())];
        let answer = app.posts("/in/hooks", body.clone(), &headers).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, r#"{"op":"success"}"#), "{case}");
    }
    app.settled().await;
    assert_eq!(app.stored().await, cases.len() as u64);
    let ledger = app.running.store.ledger().await.unwrap();
    assert_eq!(ledger.exception, cases.len() as u64, "{ledger:?}");
    let page = app.sees("/api/v1/exceptions?limit=200").await;
    for exception in page["items"].as_array().unwrap() {
        assert_eq!(exception["code"], "unreadable_payload", "{exception}");
        assert!(!exception["remedy"].as_str().unwrap().is_empty());
    }
    assert_eq!(app.erp.counts().requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn poi_3_what_is_within_the_limits_goes_through() {
    let app = TestApp::start().await;
    let mut number = 10;
    let mut with = |member: &str| {
        number += 1;
        let order = orders::rest(&format!("{number:09}"), "24-WG085", 1).to_string();
        order.replacen('{', &format!("{{{member},"), 1)
    };
    let good = [
        with(&format!("\"deep\":{}{}", "[".repeat(63), "]".repeat(63))),
        with(&format!("\"weight\":{}", "9".repeat(128))),
        with(&format!("\"note\":\"{}\"", "x".repeat(256 * 1024))),
        with(&format!("\"list\":[{}0]", "0,".repeat(9_999))),
        with("\"weight\":1e400"),
        with("\"weight\":-0.0e-0"),
        with("\"emoji\":\"\\ud83d\\ude00\""),
        with("\"\":{\"\":[]}"),
    ];
    for body in &good {
        let answer = app.patchworks_sends(body.clone()).await;
        assert_eq!(answer.status, 202, "{:.200}: {}", body, answer.text);
    }
    app.settled().await;
    assert_eq!(app.erp.counts().applied, good.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_that_is_no_object_is_told_to_a_flow() {
    let app = TestApp::start().await;
    for body in ["null", "true", "7", "\"order\"", "{}", "{\"items\":[]}", "{\"data\":null}", "[[[]]]", "[null]"] {
        let answer = app.patchworks_sends(body).await;
        let listed = answer.json()["results"].as_array().map_or(0, Vec::len);
        match answer.status {
            422 => assert!(answer.json()["request_id"].is_string(), "{body}"),
            200 => assert_eq!(listed, 0, "an empty list is nothing wrong: {body} {}", answer.text),
            other => panic!("{body}: {other} {}", answer.text),
        }
    }
    assert_eq!(app.stored().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_content_type_does_not_matter_and_is_not_trusted() {
    let app = TestApp::start().await;
    for (index, kind) in ["text/plain", "application/x-www-form-urlencoded", "", "nonsense"].iter().enumerate() {
        let body = json!(orders::rest(&format!("{:09}", index + 1), "24-WG085", 1)).to_string();
        let sent =
            app.client.post(app.url("/in/flows/orders")).header("x-api-key", API_KEY).header("content-type", *kind);
        assert_eq!(sent.body(body).send().await.unwrap().status(), 202, "{kind}");
    }
}
