//! A second opinion: what we sign, and what we refuse, is shown to Adobe's own library for receivers (`tests/node`).

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::adobe::{AdobeDoor, SIGNER, STRANGER};
use crate::{CLIENT_ID, Headers, NOW};

type Request = (&'static str, bool, String, BTreeMap<&'static str, String>);

fn requests() -> Vec<Request> {
    let body = format!(
        r#"{{"recipient_client_id":"{CLIENT_ID}","recipientclientid":"{CLIENT_ID}","event_id":"e","data":{{"name":"Zo\u00eb é"}}}}"#
    );
    let signed = |body: &str| BTreeMap::from_iter(SIGNER.headers(body.as_bytes()));
    let stranger = BTreeMap::from_iter(STRANGER.headers(body.as_bytes()));
    let (first, second) = ("x-adobe-digital-signature-1", "x-adobe-digital-signature-2");
    let with = |changes: &[(&'static str, String)]| {
        let mut headers = signed(&body);
        headers.extend(changes.iter().cloned());
        headers
    };
    let genuine = signed(&body);
    let theirs = body.replace(CLIENT_ID, "ffffffffffffffffffffffffffffffff");
    let swapped = with(&[(first, genuine[second].clone()), (second, genuine[first].clone())]);
    vec![
        ("genuine", true, body.clone(), genuine.clone()),
        ("the first signature spoiled", true, body.clone(), with(&[(first, stranger[first].clone())])),
        ("the second signature spoiled", true, body.clone(), with(&[(second, stranger[second].clone())])),
        ("both by a stranger", false, body.clone(), stranger),
        ("each under the other's key", false, body.clone(), swapped),
        ("no signatures", false, body.clone(), with(&[(first, "AAAA".to_owned()), (second, "AAAA".to_owned())])),
        ("another body", false, body.replace("\"e\"", "\"f\""), genuine.clone()),
        ("white space behind", false, format!("{body} "), genuine),
        ("another recipient", false, theirs.clone(), signed(&theirs)),
    ]
}

/// What the library says of each, from a folder where it is installed.
fn library(modules: &str, requests: &[Request]) -> Vec<bool> {
    let keys: BTreeMap<String, String> = SIGNER.published().into_iter().collect();
    let shown: Vec<Value> =
        requests.iter().map(|(_, _, body, headers)| json!({ "body": body, "headers": headers })).collect();
    let mut node = Command::new("node")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/node/verify.js"))
        .env("NODE_PATH", modules)
        .env("LOG_LEVEL", "error")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node runs");
    let input = json!({ "clientId": CLIENT_ID, "keys": keys, "requests": shown }).to_string();
    node.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
    let output = node.wait_with_output().expect("it ends");
    assert!(output.status.success(), "node failed");
    let said = String::from_utf8(output.stdout).expect("text");
    serde_json::from_str(said.lines().last().expect("a line")).expect("a list of verdicts")
}

#[test]
fn sig_6_adobes_own_library_and_we_agree_on_every_request() {
    let requests = requests();
    let door = AdobeDoor::new();
    for (case, genuine, body, headers) in &requests {
        let headers: Headers = headers.iter().map(|(name, value)| (*name, value.clone().into_bytes())).collect();
        let ours = crate::ask(&door, &headers, body.as_bytes(), NOW).expect("headers of text");
        assert_eq!(ours.is_ok(), *genuine, "{case}: {ours:?}");
    }
    let Ok(modules) = std::env::var("CROSSDOCK_NODE_MODULES") else {
        eprintln!("CROSSDOCK_NODE_MODULES is unset: Adobe's library was not asked");
        return;
    };
    let expected: Vec<bool> = requests.iter().map(|(_, genuine, ..)| *genuine).collect();
    assert_eq!(library(&modules, &requests), expected, "in the order of the cases");
}
