//! API-4 over real sockets: people sign in to a running service, and verbs beside it are noticed at once.

use std::io::Write as _;
use std::process::Stdio;

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::process::binary;

fn verb(app: &TestApp, arguments: &[&str], input: &str) {
    let mut child = binary()
        .args(arguments)
        .arg("--config")
        .arg(app.site.config_path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{arguments:?}");
}

async fn signs_in(app: &TestApp, password: &str) -> reqwest::Response {
    let body = json!({ "name": "anna", "password": password }).to_string();
    let request = Client::new().post(app.url("/api/v1/session")).header("content-type", "application/json");
    let origin = app.url("").trim_end_matches('/').to_owned();
    request.header("origin", origin).body(body).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn api_4_whoever_is_shut_out_at_the_command_line_is_out_at_once() {
    let app = TestApp::start().await;
    let create = ["user", "create", "--name", "anna", "--role", "operator", "--password-stdin"];
    tokio::task::block_in_place(|| verb(&app, &create, "otter mills fourteen\n"));
    assert_eq!(signs_in(&app, "otter mills fifteen").await.status(), StatusCode::UNAUTHORIZED);
    let begun = signs_in(&app, "otter mills fourteen").await;
    assert_eq!(begun.status(), StatusCode::OK);
    let cookie = begun.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("crossdock=") && !cookie.contains("Secure"), "plain HTTP on this machine: {cookie}");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let session: Value = serde_json::from_str(&begun.text().await.unwrap()).unwrap();
    assert_eq!(session["user"]["name"], "anna");
    let sees =
        async || app.client.get(app.url("/api/v1/orders")).header("cookie", &cookie).send().await.unwrap().status();
    assert_eq!(sees().await, StatusCode::OK);
    tokio::task::block_in_place(|| verb(&app, &["user", "disable", "anna"], ""));
    assert_eq!(sees().await, StatusCode::UNAUTHORIZED);
    assert_eq!(signs_in(&app, "otter mills fourteen").await.status(), StatusCode::UNAUTHORIZED);
    tokio::task::block_in_place(|| verb(&app, &["user", "enable", "anna"], ""));
    assert_eq!(signs_in(&app, "otter mills fourteen").await.status(), StatusCode::OK);
    assert_eq!(sees().await, StatusCode::UNAUTHORIZED, "what ended stays ended");
    app.stop().await;
}
