//! `crossdock commerce` beside a Commerce that keeps subscriptions, and beside the running service.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::support::process::binary;
use crate::support::{TestApp, orders};

/// Webhooks as Commerce's REST keeps them.
type Hooks = Arc<Mutex<Vec<Value>>>;

async fn commerce() -> (crossdock::server::Server, Hooks) {
    let hooks = Hooks::default();
    let list = |State(hooks): State<Hooks>| async move { Json(Value::Array(hooks.lock().unwrap().clone())) };
    let subscribe = |State(hooks): State<Hooks>, Json(body): Json<Value>| async move {
        hooks.lock().unwrap().push(body["webhook"].clone());
        Json(json!(true))
    };
    let router = Router::new()
        .route("/rest/all/V1/webhooks/list", get(list))
        .route("/rest/all/V1/webhooks/subscribe", post(subscribe))
        .with_state(hooks.clone());
    let anywhere = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let server = crossdock::server::Server::start(anywhere, router, crossdock::server::Settings::default()).await;
    (server.unwrap(), hooks)
}

/// Exit code and both outputs.
fn runs(app: &TestApp, words: &[&str]) -> (i32, String) {
    let run = || binary().arg("commerce").args(words).arg("--config").arg(app.site.config_path()).output().unwrap();
    let done = tokio::task::block_in_place(run);
    let said = [done.stdout, done.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (done.status.code().unwrap(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_is_subscribed_once_and_what_would_hurt_a_shop_is_named() {
    let (server, hooks) = commerce().await;
    let url = format!("http://{}/rest", server.address());
    let app = TestApp::with(|text| text.replace("http://127.0.0.1:1/rest", &url)).await;
    let at = ["--origin", "hooks", "--url", "https://crossdock.example.com"];

    let (code, said) = runs(&app, &["list"]);
    assert_eq!(code, 1);
    assert!(said.starts_with("missing"), "{said}");
    let (_, said) = runs(&app, &[&["subscribe", "--dry-run"], &at[..]].concat());
    assert!(said.contains("would send") && hooks.lock().unwrap().is_empty(), "{said}");

    for _ in 0..2 {
        let (code, said) = runs(&app, &[&["subscribe"], &at[..]].concat());
        assert_eq!((code, said.starts_with("ok")), (0, true), "{said}");
        assert_eq!(hooks.lock().unwrap().len(), 1, "what is there is not subscribed again");
    }
    assert_eq!(hooks.lock().unwrap()[0]["url"], "https://crossdock.example.com/in/hooks/orders");

    hooks.lock().unwrap()[0]["required"] = json!(true);
    let (code, said) = runs(&app, &["list"]);
    assert!(code == 1 && said.contains("no shopper can buy"), "{said}");
    // So does a test of the way in, beside what it tried.
    hooks.lock().unwrap()[0]["fields"] = json!([{ "name": "order.increment_id" }]);
    let (code, said) = runs(&app, &["verify", "--origin", "hooks", "--url", &app.url("")]);
    assert!(code == 1 && said.contains("guarded") && said.contains("no shopper can buy"), "{said}");
    assert!(said.contains("1 fields instead of the whole order"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_rest_offers_no_registration_the_way_on_is_told() {
    let app = TestApp::start().await;
    let (code, said) = runs(&app, &["list"]);
    assert!(code == 1 && said.starts_with("unknown"), "{said}");
    let (code, said) =
        runs(&app, &["subscribe", "--xml", "--origin", "hooks", "--url", "https://crossdock.example.com"]);
    assert!(code == 0 && said.contains("url=\"https://crossdock.example.com/in/hooks/orders\""), "{said}");
    let (code, said) = runs(&app, &["subscribe", "--origin", "hooks", "--url", "https://crossdock.example.com"]);
    assert!(code == 1 && said.contains("What to do by hand") && said.contains("<hook name="), "{said}");
    let (code, said) = runs(&app, &["list", "--origin", "nobody"]);
    assert!(code != 0 && said.contains("there are:"), "{said}");
    let (code, said) = runs(&app, &["subscribe", "--origin", "flows", "--url", "https://crossdock.example.com"]);
    assert!(code != 0 && said.contains("nothing of it is registered in Commerce"), "{said}");
    let (code, said) = runs(&app, &["verify", "--origin", "nobody"]);
    assert!(code != 0 && said.contains("there are: flows, hooks"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_is_verified_like_any_request_and_nothing_is_made_of_it() {
    let app = TestApp::start().await;
    let url = app.url("");
    let (code, said) = runs(&app, &["verify", "--origin", "flows", "--url", &url]);
    assert_eq!(code, 0, "{said}");
    // Key header, HMAC and Standard Webhooks: each of them is a way in.
    assert_eq!(said.matches("the test was let in").count(), 3, "{said}");
    let (code, said) = runs(&app, &["verify", "--origin", "hooks", "--url", &url]);
    assert!(code == 1 && said.contains("untried") && said.contains("--private-key"), "{said}");
    let key = app.site.dir.path().join("commerce.key");
    std::fs::write(&key, app.site.signer.private_key_pem()).unwrap();
    let key = key.display().to_string();
    let (code, said) = runs(&app, &["verify", "--origin", "hooks", "--url", &url, "--private-key", &key]);
    assert!(code == 0 && said.contains("the test was let in"), "{said}");
    let other = app.site.dir.path().join("other.key");
    let other_pair = crossdock::intake::signature::sign::CommerceSigner::generate();
    std::fs::write(&other, other_pair.private_key_pem()).unwrap();
    let (code, said) =
        runs(&app, &["verify", "--origin", "hooks", "--url", &url, "--private-key", &other.display().to_string()]);
    assert!(code == 1 && said.contains("it runs with another one"), "{said}");
    std::fs::write(&other, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
    let (code, said) =
        runs(&app, &["verify", "--origin", "hooks", "--url", &url, "--private-key", &other.display().to_string()]);
    assert!(code != 0 && said.contains("it holds no RSA key"), "{said}");
    for nonsense in ["nonsense", "ftp://x", "https://x.example/in/hooks", "https://x.example?a=1"] {
        let (code, said) = runs(&app, &["verify", "--origin", "hooks", "--url", nonsense]);
        assert!(code != 0 && said.contains("--url"), "{nonsense}: {said}");
    }
    // As Commerce itself would send it, had somebody subscribed such an event.
    let probe = json!({ "subject": [], "eventName": "crossdock.probe", "data": { "order": orders::rest("000000001", "24-WG085", 1) } });
    assert_eq!(app.commerce_sends(probe.to_string()).await.text, r#"{"op":"success"}"#);
    app.settled().await;
    let ledger = app.running.store.ledger().await.unwrap();
    assert_eq!((ledger.ignored, ledger.exception, app.erp.counts().applied), (ledger.accepted, 0, 0), "{ledger:?}");

    // Nothing of it is in the books, and the real order of that number is nobody's repeat.
    assert_eq!(app.sees("/api/v1/orders").await["items"], json!([]));
    let money = app.sees("/api/v1/ledger").await["money"].clone();
    assert!(money.as_array().is_none_or(Vec::is_empty) || money["items"] == json!([]), "{money}");
    assert_eq!(app.commerce_sends(orders::observed("000000001", "24-WG085", 1)).await.status, 200);
    app.order_is("000000001", "delivered").await;
    assert_eq!(app.erp.counts().applied, 1);

    // The service runs with other secrets than this file says.
    let path = app.site.config_path();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("flows-key-for-tests", "other-key-for-tests")).unwrap();
    let (code, said) = runs(&app, &["verify", "--origin", "flows", "--url", &url]);
    assert!(code == 1 && said.contains("it runs with another one"), "{said}");
    let (code, said) = runs(&app, &["verify", "--origin", "flows", "--url", "http://127.0.0.1:1"]);
    assert!(code == 1 && said.contains("not reached"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_subscribed_once_and_a_commerce_without_the_module_says_what_to_do() {
    let events = Hooks::default();
    let list = |State(events): State<Hooks>| async move { Json(Value::Array(events.lock().unwrap().clone())) };
    let subscribe = |State(events): State<Hooks>, Json(body): Json<Value>| async move {
        assert!(body["force"].is_boolean(), "{body}");
        events.lock().unwrap().push(body["event"].clone());
        Json(Value::Null)
    };
    let absent = || async {
        let body = json!({ "message": "Request does not match any route.", "trace": null });
        (http::StatusCode::NOT_FOUND, Json(body))
    };
    let router = Router::new()
        .route("/rest/all/V1/eventing/getEventSubscriptions", get(list))
        .route("/rest/all/V1/eventing/eventSubscribe", post(subscribe))
        .fallback(absent)
        .with_state(events.clone());
    let anywhere = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let server =
        crossdock::server::Server::start(anywhere, router, crossdock::server::Settings::default()).await.unwrap();
    let url = format!("http://{}/rest", server.address());
    let app = TestApp::with(|text| {
        let origin = "[origins.events]\ntype = \"commerce-events\"\ncommerce = \"acme\"\nclient_id = \"0123456789abcdef0123456789abcdef\"\n";
        text.replace("http://127.0.0.1:1/rest", &url) + origin
    })
    .await;
    let at = ["--origin", "events", "--url", "https://crossdock.example.com"];
    for _ in 0..2 {
        let (code, said) = runs(&app, &[&["subscribe"], &at[..]].concat());
        assert!(code == 0 && said.contains("https://crossdock.example.com/in/events"), "{said}");
        assert_eq!(events.lock().unwrap().len(), 1);
    }
    events.lock().unwrap()[0]["fields"] = json!([{ "name": "entity_id" }]);
    let (code, said) = runs(&app, &["list", "--origin", "events"]);
    assert!(code == 1 && said.contains("it does not carry increment_id") && !said.contains("hooks"), "{said}");
    let (code, said) = runs(&app, &["subscribe", "--origin", "hooks", "--url", "https://crossdock.example.com"]);
    assert!(code == 1 && said.contains("module is missing") && said.contains("webhooks.xsd"), "{said}");

    // The cloud service has no files: steps in its admin instead.
    let path = app.site.config_path();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("edition = \"paas\"", "edition = \"saas\"")).unwrap();
    let (code, said) =
        runs(&app, &["subscribe", "--xml", "--origin", "hooks", "--url", "https://crossdock.example.com"]);
    assert!(code == 0 && said.contains("Webhooks Subscriptions") && !said.contains("<config"), "{said}");
}
