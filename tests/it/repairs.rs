//! The repair itself, by API and by verbs beside the service: seen, previewed, carried out, and never twice.

use std::process::Output;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::process::{binary, token};
use crate::support::{Answer, Site, TestApp, orders, until};

const TABLE: &str = "key,value,destination\n24-WG085,ITEM-1,\n";
const WHOLE_TABLE: &str = "key,value,destination\n24-WG085,ITEM-1,\nNEW-SKU,ITEM-2,\n";

/// A verb with the site's configuration, run beside the service.
async fn verb(site: &Site, arguments: &[&str]) -> Output {
    let mut command = binary();
    command.args(arguments).arg("--config").arg(site.config_path());
    tokio::task::spawn_blocking(move || command.output().expect("the binary runs")).await.unwrap()
}

#[track_caller]
fn json_of(ran: &Output) -> Value {
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// An order parked for its SKU, and its exception.
async fn parked(app: &TestApp, number: &str) -> Value {
    app.commerce_sends(orders::observed(number, "NEW-SKU", 2)).await;
    let told = app.order_is(number, "parked").await;
    assert!(told["sentence"].as_str().unwrap().contains("unmapped_sku"), "{told}");
    told["exceptions"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exception_is_shown_previewed_repaired_and_replayed_once() {
    let app = TestApp::start().await;
    app.maps("skus", TABLE).await;
    let exception = parked(&app, "000000001").await;
    let id = exception["id"].as_str().unwrap();
    let shown = app.sees(&format!("/api/v1/exceptions/{id}")).await;
    assert_eq!((&shown["code"], &shown["value"]), (&json!("unmapped_sku"), &json!("NEW-SKU")), "{shown}");

    let replay = format!("/api/v1/exceptions/{id}/replay");
    let too_early = app.acts(&replay, "too early", &json!({})).await;
    assert_eq!((too_early.status, &too_early.json()["result"]), (200, &json!("still_parked")), "{}", too_early.text);
    app.maps("skus", WHOLE_TABLE).await;
    // What was processed again has its own exception; the one before it is history.
    let open = app.exceptions_of("000000001").await;
    assert_eq!(open.len(), 1, "{open:?}");
    let id = open[0]["id"].as_str().unwrap();
    let replay = format!("/api/v1/exceptions/{id}/replay");
    let would = app.acts(&format!("{replay}?dry_run=true"), "look again", &json!({})).await.json();
    assert_eq!((&would["result"], &would["dry_run"]), (&json!("released"), &json!(true)), "{would}");
    assert_eq!(would["documents"][0]["document"]["lines"][0]["sku"], "ITEM-2", "{would}");
    app.settled().await;
    assert_eq!(app.erp.counts().requests, 0, "a preview sends nothing");

    let done = app.acts(&replay, "mapped", &json!({ "reason": "SKU mapped" })).await;
    assert_eq!((done.status, &done.json()["result"]), (200, &json!("released")), "{}", done.text);
    app.order_is("000000001", "delivered").await;
    let again = app.acts(&replay, "mapped", &json!({ "reason": "SKU mapped" })).await;
    assert_eq!((again.status, again.headers.contains_key("idempotency-replayed")), (200, true), "api_2");
    let other = app.acts(&replay, "mapped", &json!({ "reason": "another" })).await;
    assert_eq!(other.status, 422, "api_2: the key with another body: {}", other.text);
    assert_eq!(app.acts(&replay, "later", &json!({})).await.status, 409, "it is closed");
    assert_eq!(app.erp.counts().requests, 1);
    let timeline = app.order("000000001").await["timeline"].clone();
    let what: Vec<&str> = timeline.as_array().unwrap().iter().map(|step| step["what"].as_str().unwrap()).collect();
    for step in ["received", "exception_opened", "exception_closed", "document_made", "attempt_started", "delivered"] {
        assert!(what.contains(&step), "{what:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn verbs_beside_the_service_see_what_it_sees_and_release_what_it_sends() {
    let app = TestApp::start().await;
    app.maps("skus", TABLE).await;
    for number in 1..=5 {
        parked(&app, &format!("{number:09}")).await;
    }
    let groups = json_of(&verb(&app.site, &["exceptions", "groups", "--json"]).await);
    assert_eq!((&groups[0]["code"], &groups[0]["open"]), (&json!("unmapped_sku"), &json!(5)), "{groups}");
    let fingerprint = groups[0]["fingerprint"].as_str().unwrap().to_owned();
    let listed = json_of(&verb(&app.site, &["exceptions", "--order", "000000003", "--json"]).await);
    let id = listed["items"][0]["id"].as_str().unwrap();
    let shown = json_of(&verb(&app.site, &["exceptions", "show", id, "--json"]).await);
    assert_eq!(shown, app.sees(&format!("/api/v1/exceptions/{id}")).await, "the verb and the API tell the same");
    let order = json_of(&verb(&app.site, &["orders", "show", "000000003", "--json"]).await);
    assert_eq!(order[0]["exceptions"][0]["id"], id, "{order}");
    let order = verb(&app.site, &["orders", "show", "000000003"]).await;
    let sentence = app.order("000000003").await["sentence"].as_str().unwrap().to_owned();
    let said = String::from_utf8(order.stdout).unwrap();
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words(&said).contains(&words(&sentence)), "{sentence} is not in {said}");

    let dry = verb(&app.site, &["replay", "--dry-run", "--group", &fingerprint]).await;
    assert_eq!(dry.status.code(), Some(1), "they still wait for a person");
    let csv = app.site.dir.path().join("skus.csv");
    std::fs::write(&csv, WHOLE_TABLE).unwrap();
    let imported = verb(&app.site, &["mappings", "import", "skus", csv.to_str().unwrap()]).await;
    assert!(imported.status.success());
    let begun = Instant::now();
    until("the service goes by the new table", async || {
        (app.running.processor.rules().mappings.version() > 1).then_some(())
    })
    .await;
    assert!(begun.elapsed() < Duration::from_secs(2), "noticed after {:?}", begun.elapsed());
    let released = verb(&app.site, &["replay", "--group", &fingerprint, "--reason", "mapped"]).await;
    assert_eq!(released.status.code(), Some(0), "{}", String::from_utf8_lossy(&released.stderr));
    for number in 1..=5 {
        app.order_is(&format!("{number:09}"), "delivered").await;
    }
    assert_eq!((app.erp.counts().applied, app.erp.counts().doubled), (5, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_goes_out_and_comes_back_the_same_whatever_stands_in_it() {
    let app = TestApp::start().await;
    let nasty = [
        ("=HYPERLINK(\"x\")", "+1"),
        ("'quoted", "''twice"),
        ("comma, and \"quotes\"", "line\nbreak"),
        ("  spaces  ", "ünïcödé 😀"),
        ("-1", "@here"),
        ("24-WG085", "＝full width"),
    ];
    let rows: Vec<Value> =
        nasty.iter().map(|(key, value)| json!({ "key": key, "value": value, "destination": "" })).collect();
    let put = |kind: &'static str, key: &'static str, body: String| {
        let request =
            app.client.put(app.url("/api/v1/mappings/skus")).bearer_auth(&app.token).header("content-type", kind);
        async move {
            Answer::of(request.header("idempotency-key", format!("\"{key}\"")).body(body).send().await.unwrap()).await
        }
    };
    let first = put("application/json", "json", json!({ "items": rows }).to_string()).await;
    assert_eq!(first.status, 200, "{}", first.text);
    let table = async || app.sees("/api/v1/mappings/skus").await["items"].clone();
    let before = table().await;
    let csv = app.client.get(app.url("/api/v1/mappings/skus")).bearer_auth(&app.token).header("accept", "text/csv");
    let csv = csv.send().await.unwrap().text().await.unwrap();
    for line in csv.lines() {
        assert!(!line.starts_with(['=', '+', '-', '@']), "api_3: a spreadsheet would run {line}");
    }
    assert_eq!(put("text/csv", "csv", csv.clone()).await.status, 200);
    assert_eq!(table().await, before);
    let exported = verb(&app.site, &["mappings", "export", "skus"]).await;
    assert_eq!(String::from_utf8(exported.stdout).unwrap(), csv, "the verb writes the same");

    let wrong = put("text/csv", "wrong", "key,value\nA,1\nA,2\n,3\n".to_owned()).await;
    assert_eq!(wrong.status, 422, "{}", wrong.text);
    assert_eq!(table().await, before, "all or nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn api_4_each_role_may_do_what_is_its_own_and_no_more() {
    let app = TestApp::start().await;
    let (viewer, operator) = tokio::task::block_in_place(|| (token(&app.site, "viewer"), token(&app.site, "operator")));
    let call = async |token: &str, method: Method, path: &str| {
        let request = app.client.request(method, app.url(path)).bearer_auth(token);
        let request = request.header("idempotency-key", format!("\"{path}\"")).header("content-type", "text/csv");
        request.body(TABLE).send().await.unwrap().status().as_u16()
    };
    let exception = "/api/v1/exceptions/exc_01m87rm5jwepwvqv2vrr5agnp5/replay";
    for (method, path, least) in [
        (Method::GET, "/api/v1/orders", "viewer"),
        (Method::GET, "/api/v1/exceptions/groups", "viewer"),
        (Method::PUT, "/api/v1/mappings/skus", "operator"),
        (Method::POST, exception, "operator"),
        (Method::GET, "/api/v1/tokens", "admin"),
    ] {
        for (role, token) in [("nobody", "x"), ("viewer", &viewer), ("operator", &operator), ("admin", &app.token)] {
            let rank = |role: &str| ["nobody", "viewer", "operator", "admin"].iter().position(|known| *known == role);
            let status = call(token, method.clone(), path).await;
            match () {
                () if role == "nobody" => assert_eq!(status, 401, "{method} {path}"),
                () if rank(role) < rank(least) => assert_eq!(status, 403, "{method} {path} as {role}"),
                () => assert!(!matches!(status, 401 | 403 | 500..), "{method} {path} as {role}: {status}"),
            }
        }
    }
}
