//! Acts on many records over real sockets: previewed, taken back, approved by a second person, stopped, and carried out
//! once however often the service dies.

use std::time::Duration;

use crossdock::demo::erp::StandInErp;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::browser::{Browser, LIGHT, PHONE};
use crate::support::process::{Serve, binary, token, user};
use crate::support::{API_KEY, Answer, Site, TestApp, orders, until};

const TABLE: &str = "key,value,destination\n24-WG085,ITEM-1,\n";
const WHOLE_TABLE: &str = "key,value,destination\n24-WG085,ITEM-1,\nNEW-SKU,ITEM-2,\n";

/// With this `[exceptions]` section.
async fn app(settings: &str) -> TestApp {
    let settings = format!("{settings}\n\n[[routes]]");
    TestApp::with(|text| text.replacen("[[routes]]", &settings, 1)).await
}

/// Orders that wait for a SKU, which is mapped meanwhile.
async fn mapped_too_late(app: &TestApp, orders: usize) {
    app.maps("skus", TABLE).await;
    for number in 1..=orders {
        app.commerce_sends(orders::observed(&format!("{number:09}"), "NEW-SKU", 1)).await;
    }
    app.settled().await;
    app.maps("skus", WHOLE_TABLE).await;
}

async fn bulk(app: &TestApp, id: &str) -> Value {
    app.sees(&format!("/api/v1/bulk/{id}")).await
}

/// Asks for an act; its id.
async fn asks(app: &TestApp, key: &str, body: &Value) -> String {
    let asked = app.acts("/api/v1/bulk", key, body).await;
    assert_eq!(asked.status, 200, "{}", asked.text);
    asked.json()["id"].as_str().unwrap().to_owned()
}

async fn is(app: &TestApp, id: &str, state: &str) -> Value {
    until(&format!("{id} is {state}"), async || {
        let found = bulk(app, id).await;
        (found["state"] == state).then_some(found)
    })
    .await
}

/// A call with another token.
async fn says(app: &TestApp, token: &str, path: &str, key: &str) -> Answer {
    let sent = app.client.post(app.url(path)).bearer_auth(token).header("idempotency-key", key);
    Answer::of(sent.header("content-type", "application/json").body("{\"reason\":\"looked at\"}").send().await.unwrap())
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_byte_leaves_before_the_window_is_over_and_none_at_all_of_what_was_undone() {
    let app = app("[exceptions]\nundo = \"2s\"\nper_minute = 1200").await;
    mapped_too_late(&app, 3).await;
    let filter = json!({ "code": "unmapped_sku", "origin": "hooks", "kind": "order", "destination": "erp" });
    let body = json!({ "what": "replay", "filter": filter, "reason": "mapped", "count": 3 });
    let look = json!({ "what": "replay", "filter": filter });
    let sent = app.asks(Method::POST, "/api/v1/bulk?dry_run=true", Some(&look)).await;
    assert_eq!(sent.status, 200, "a dry run needs no key: {}", sent.text);
    let preview = sent.json();
    assert_eq!((&preview["count"], &preview["counts"]["released"]), (&json!(3), &json!(3)), "{preview}");
    assert_eq!(preview["destinations"], json!({ "erp": 3 }));
    assert_eq!(preview["sums"][0]["orders"], 3, "{preview}");
    assert_eq!((&preview["needs_approval"], &preview["per_minute"]), (&json!(false), &json!(1200)));
    assert_eq!(preview["sample"][0]["documents"][0]["document"]["lines"][0]["sku"], "ITEM-2", "{preview}");
    assert_eq!(app.sees("/api/v1/bulk").await["items"], json!([]), "nothing was written");
    let keyless = app.asks(Method::POST, "/api/v1/bulk", Some(&body)).await;
    assert_eq!(keyless.status, 400, "api_1: {}", keyless.text);

    let undone = asks(&app, "one", &body).await;
    assert_eq!(asks(&app, "one", &body).await, undone, "api_2: a repeat is the same act");
    let taken_back = app.acts(&format!("/api/v1/bulk/{undone}/undo"), "two", &json!({})).await;
    assert_eq!((taken_back.status, &taken_back.json()["state"]), (200, &json!("undone")), "{}", taken_back.text);
    let again = app.acts(&format!("/api/v1/bulk/{undone}/undo"), "three", &json!({})).await;
    assert_eq!(again.status, 409, "{}", again.text);
    let sneaky = app.asks(Method::POST, &format!("/api/v1/bulk/{undone}/stop?dry_run=true"), Some(&json!({}))).await;
    assert_eq!(sneaky.status, 400, "what is no dry run is not taken for one: {}", sneaky.text);

    let done = asks(&app, "four", &body).await;
    let begins_at: jiff::Timestamp = bulk(&app, &done).await["begins_at"].as_str().unwrap().parse().unwrap();
    while jiff::Timestamp::now() < begins_at {
        assert_eq!(app.erp.counts().requests, 0, "before {begins_at}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let row = is(&app, &done, "done").await;
    assert_eq!((&row["acted"], &row["skipped"], &row["still_parked"]), (&json!(3), &json!(0), &json!(0)), "{row}");
    app.settled().await;
    assert_eq!((app.erp.counts().applied, app.erp.counts().doubled), (3, 0));
    let members = row["members"]["items"].as_array().unwrap();
    assert_eq!(members.iter().map(|one| one["result"].as_str().unwrap()).collect::<Vec<_>>(), ["released"; 3]);
    assert_eq!(members[0]["subject"]["increment_id"], "000000001", "the oldest first");
    assert_eq!(bulk(&app, &undone).await["acted"], 0);
    let audit = app.sees("/api/v1/audit?limit=50").await;
    let acts: Vec<&str> =
        audit["items"].as_array().unwrap().iter().map(|row| row["action"].as_str().unwrap()).collect();
    for (action, times) in [("bulk.replay", 2), ("bulk.undo", 1), ("exception.replay", 3)] {
        assert_eq!(acts.iter().filter(|one| **one == action).count(), times, "api_5: {action} in {acts:?}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn above_the_threshold_a_second_person_approves_once_and_whoever_asked_does_not() {
    let app = app("[exceptions]\nundo = \"0s\"\napprove_above = 2\nper_minute = 1200").await;
    mapped_too_late(&app, 3).await;
    let operator = tokio::task::block_in_place(|| token(&app.site, "operator"));
    let body = json!({ "what": "replay", "filter": {}, "reason": "mapped" });
    let sent = app.client.post(app.url("/api/v1/bulk")).bearer_auth(&operator).header("idempotency-key", "ask");
    let asked =
        Answer::of(sent.header("content-type", "application/json").body(body.to_string()).send().await.unwrap());
    let asked = asked.await.json();
    assert_eq!((&asked["state"], &asked["begins_at"]), (&json!("awaiting_approval"), &Value::Null), "{asked}");
    let id = asked["id"].as_str().unwrap();
    let path = |word: &str| format!("/api/v1/bulk/{id}/{word}");
    assert_eq!(says(&app, &operator, &path("approve"), "a").await.status, 403, "api_4: operators ask, admins approve");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(app.erp.counts().requests, 0);
    let own = asks(&app, "own", &body).await;
    let refused = app.acts(&format!("/api/v1/bulk/{own}/approve"), "own approval", &json!({})).await;
    assert!(refused.status == 409 && refused.text.contains("second person"), "{}", refused.text);
    let path = path("approve");
    let (one, other) = tokio::join!(says(&app, &app.token, &path, "b"), says(&app, &app.token, &path, "c"));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{} {}", one.text, other.text);
    let row = is(&app, id, "done").await;
    assert_eq!((&row["approved_by"], &row["asked_by"]), (&json!("token:test-admin"), &json!("token:test-operator")));
    app.settled().await;
    assert_eq!(app.erp.counts().applied, 3);
    // The other list of the same records: nothing of it is done twice.
    let undone = says(&app, &operator, &format!("/api/v1/bulk/{own}/undo"), "d").await;
    assert_eq!((undone.status, &undone.json()["ended_by"]), (200, &json!("token:test-operator")), "{}", undone.text);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_destination_holds_what_was_released_and_a_stop_leaves_the_rest() {
    let app = app("[exceptions]\nundo = \"0s\"\nper_minute = 60").await;
    mapped_too_late(&app, 3).await;
    app.acts("/api/v1/destinations/erp/hold?reason=stocktaking", "hold", &json!({})).await;
    let id = asks(&app, "ask", &json!({ "what": "replay", "filter": {}, "reason": "mapped" })).await;
    until("the first went", async || (bulk(&app, &id).await["acted"].as_u64()? > 0).then_some(())).await;
    let stopped = app.acts(&format!("/api/v1/bulk/{id}/stop"), "stop", &json!({ "reason": "enough" })).await.json();
    assert_eq!((&stopped["state"], &stopped["ending"]), (&json!("stopped"), &json!("enough")), "{stopped}");
    let acted = stopped["acted"].as_u64().unwrap();
    assert!(acted < 3, "{stopped}");
    assert_eq!(app.erp.counts().requests, 0, "it is held");
    app.acts("/api/v1/destinations/erp/release", "release", &json!({})).await;
    app.settled().await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(app.erp.counts().applied, acted);
    let left = app.sees(&format!("/api/v1/bulk/{id}?state=left")).await;
    assert_eq!(left["members"]["items"].as_array().unwrap().len() as u64, 3 - acted, "{left}");
    assert_eq!(app.sees("/api/v1/exceptions").await["items"].as_array().unwrap().len() as u64, 3 - acted);
    app.stop().await;
}

/// A destination that was restored from an old copy gets its orders a second time, and the service is killed again and again.
#[tokio::test(flavor = "multi_thread")]
async fn key_3_c_every_member_is_made_a_second_time_once_however_often_the_service_is_killed() {
    const ORDERS: usize = 24;
    let erp = StandInErp::start().await.expect("a loopback port");
    let site = Site::new(&erp.url(), |text| {
        text.replacen("[[routes]]", "[exceptions]\nundo = \"0s\"\nper_minute = 600\n\n[[routes]]", 1)
    });
    let mut serve = tokio::task::block_in_place(|| Serve::start(&site));
    let key = tokio::task::block_in_place(|| token(&site, "admin"));
    let client = reqwest::Client::new();
    for number in 1..=ORDERS {
        let body = orders::rest(&format!("{number:09}"), "24-WG085", 1).to_string();
        let sent = client.post(format!("http://{}/in/flows/orders", serve.address)).header("x-api-key", API_KEY);
        assert_eq!(sent.header("content-type", "application/json").body(body).send().await.unwrap().status(), 202);
    }
    tokio::time::timeout(Duration::from_mins(1), erp.applied(ORDERS as u64)).await.expect("every order is there");
    let call = async |address, method: Method, path: String, body: Value| {
        let sent = client.request(method, format!("http://{address}/api/v1/bulk{path}")).bearer_auth(&key);
        let sent = sent.header("idempotency-key", "once").header("content-type", "application/json");
        Answer::of(sent.body(body.to_string()).send().await.unwrap()).await
    };
    let filter = json!({ "destination": "erp", "since": "2020-01-01T00:00:00Z" });
    let look = json!({ "what": "resend", "filter": filter, "dry_run": true });
    let look = until("all are delivered", async || {
        let found = call(serve.address, Method::POST, String::new(), look.clone()).await.json();
        (found["count"] == ORDERS).then_some(found)
    })
    .await;
    assert_eq!((&look["at_destination"], look["deliveries"].as_array().unwrap().len()), (&json!(ORDERS), 20), "{look}");
    let body = json!({ "what": "resend", "filter": filter, "count": ORDERS, "reason": "restored from a copy" });
    let asked = call(serve.address, Method::POST, String::new(), body).await;
    assert_eq!(asked.status, 200, "{}", asked.text);
    let id = asked.json()["id"].as_str().unwrap().to_owned();
    let row = async |address| call(address, Method::GET, format!("/{id}"), json!({})).await.json();
    for kill in 1..=3_u64 {
        until("some more went", async || (row(serve.address).await["acted"].as_u64()? >= kill * 5).then_some(())).await;
        let address = serve.address;
        tokio::task::block_in_place(|| serve.kill());
        assert!(client.get(format!("http://{address}/health/live")).send().await.is_err(), "it is dead");
        serve = tokio::task::block_in_place(|| Serve::start(&site));
    }
    let done = until("it is done", async || {
        let found = row(serve.address).await;
        (found["state"] == "done").then_some(found)
    })
    .await;
    assert_eq!((&done["acted"], &done["skipped"]), (&json!(ORDERS), &json!(0)), "{done}");
    tokio::time::timeout(Duration::from_mins(1), erp.applied(2 * ORDERS as u64)).await.expect("each a second time");
    for number in 1..=ORDERS {
        assert_eq!(erp.find(&format!("{number:09}")).len(), 2, "{number}");
    }
    tokio::task::block_in_place(|| serve.kill());
}

#[tokio::test(flavor = "multi_thread")]
async fn api_4_a_resend_takes_the_permission_for_it_a_reason_and_the_number_that_was_seen() {
    let app = app("[exceptions]\nundo = \"1h\"").await;
    app.commerce_sends(orders::observed("000000001", "24-WG085", 1)).await;
    app.order_is("000000001", "delivered").await;
    let scopes = json!({ "name": "replays", "role": "operator", "scopes": ["records:read", "exceptions:replay"] });
    let made = app.acts("/api/v1/tokens", "token", &scopes);
    let narrow = made.await.json()["secret"].as_str().unwrap().to_owned();
    let body =
        json!({ "what": "resend", "filter": { "increment_ids": ["000000001"] }, "count": 1, "reason": "deleted" });
    let sent = app.client.post(app.url("/api/v1/bulk")).bearer_auth(&narrow).header("idempotency-key", "a");
    let refused = sent.header("content-type", "application/json").body(body.to_string()).send().await.unwrap();
    assert_eq!(refused.status(), 403);
    let missing = json!({ "what": "resend", "filter": { "destination": "erp", "code": "unmapped_sku" } });
    let refused = app.acts("/api/v1/bulk", "b", &missing).await;
    let paths: Vec<Value> =
        refused.json()["problems"].as_array().unwrap().iter().map(|one| one["path"].clone()).collect();
    assert_eq!((refused.status, paths), (422, vec![json!("/filter/code"), json!("/filter/since")]), "{}", refused.text);
    let mut other = body.clone();
    (other["count"], other["reason"]) = (json!(2), json!(""));
    let refused = app.acts("/api/v1/bulk", "c", &other).await;
    let paths: Vec<Value> =
        refused.json()["problems"].as_array().unwrap().iter().map(|one| one["path"].clone()).collect();
    assert_eq!((refused.status, paths), (422, vec![json!("/reason"), json!("/count")]), "{}", refused.text);
    let asked = app.acts("/api/v1/bulk", "d", &body).await;
    assert_eq!((asked.status, &asked.json()["state"]), (200, &json!("waiting")), "{}", asked.text);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn verbs_beside_the_service_ask_wait_and_take_back() {
    let app = app("[exceptions]\nundo = \"1s\"\napprove_above = 2\nper_minute = 1200").await;
    mapped_too_late(&app, 3).await;
    let run = async |arguments: &[&str]| {
        let mut command = binary();
        command.env("USER", "anna").env_remove("SUDO_USER").args(arguments).arg("--config").arg(app.site.config_path());
        let ran = tokio::task::spawn_blocking(move || command.output().expect("the binary runs")).await.unwrap();
        let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
        (ran.status.code().unwrap(), said)
    };
    let (code, said) = run(&["bulk", "replay", "--code", "unmapped_sku", "--dry-run"]).await;
    assert!(code == 0 && said.contains("replay of 3 records") && said.contains("3 would go"), "{said}");
    assert!(said.contains("a second person must approve it") && said.contains("000000001 would be released"), "{said}");
    let (code, said) = run(&["bulk", "replay", "--count", "2", "--reason", "x"]).await;
    assert!(code == 1 && said.contains("it is 3 now"), "{said}");
    let (code, said) = run(&["bulk", "resend", "--reason", "x"]).await;
    assert!(code == 1 && said.contains("say since when"), "{said}");
    let (code, said) = run(&["bulk", "replay", "--since", "1h", "--reason", "mapped"]).await;
    assert!(code == 0 && said.contains("awaits the approval of somebody other than cli:anna"), "{said}");
    let id = said.split_whitespace().next().unwrap().to_owned();
    let (code, said) = run(&["bulk", "approve", &id]).await;
    assert!(code == 1 && said.contains("second person"), "{said}");
    let (_, said) = run(&["bulk", "list", "--state", "awaiting_approval", "--json"]).await;
    assert!(said.contains(&id), "{said}");
    let (code, said) = run(&["bulk", "undo", &id, "--reason", "not yet"]).await;
    assert!(code == 0 && said.contains("was taken back by cli:anna"), "{said}");
    assert_eq!(app.erp.counts().requests, 0);
    let (code, said) =
        run(&["bulk", "replay", "--order", "000000001", "--order", "000000003", "--reason", "mapped", "--wait"]).await;
    assert!(code == 0 && said.contains("is done: 2 done"), "{said}");
    let id = said.split_whitespace().next().unwrap().to_owned();
    let (code, said) = run(&["bulk", "show", &id]).await;
    assert!(code == 0 && said.contains("000000003") && said.contains("released"), "{said}");
    app.settled().await;
    assert_eq!(app.erp.counts().applied, 2);
    let (code, said) = run(&["bulk", "stop", &id]).await;
    assert!(code == 1 && said.contains("there is nothing to stop"), "{said}");
    app.stop().await;
}

const PASSWORD: &str = "otter mills fourteen";

/// From a list as it is narrowed to its preview, to the act, and back: nothing has gone.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_a_list_is_replayed_and_taken_back() {
    let app = app("[exceptions]\nundo = \"10m\"").await;
    mapped_too_late(&app, 3).await;
    tokio::task::block_in_place(|| user(&app.site, "olga", "operator", PASSWORD));
    let Some(mut browser) = Browser::open(app.url("").trim_end_matches('/'), PHONE) else { return app.stop().await };
    browser.goes("/console/exceptions/list?code=unmapped_sku");
    browser.signs_in("olga", PASSWORD);
    browser.follows("Replay these 3");
    browser.sees("3 records are meant: 3 for erp");
    browser.sees("Of the first 3: 3 would go");
    browser.looks_at("bulk-preview");
    browser.fills("Why", "the SKU is mapped");
    browser.presses("Replay these 3");
    browser.sees("Nothing has gone. It begins in");
    browser.looks_at("bulk-waiting");
    assert!(browser.is_at().starts_with("/console/bulk/blk_"), "{}", browser.is_at());
    browser.presses("Undo");
    browser.sees("Ended by user:olga");
    browser.looks_at("bulk-undone");
    browser.follows("Acts on many");
    browser.sees("the SKU is mapped");
    assert_eq!(app.erp.counts().requests, 0);
    let acts = app.sees("/api/v1/bulk").await;
    assert_eq!((&acts["items"][0]["state"], &acts["items"][1]), (&json!("undone"), &Value::Null));
    // Without a delivered order there is nothing to send again, and everything that was ever sent is not offered.
    browser.goes("/console/bulk/new?what=resend&state=delivered");
    browser.sees("Say since when, or name order numbers");
    browser.fills("Since (UTC)", "2026-01-01T00:00");
    browser.presses("Narrow down");
    browser.sees("Nothing is meant by that now.");
    browser.close();
    app.stop().await;
}

/// One asks, the overview says so, another approves, and the open page shows how it goes by itself.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_a_second_person_approves_a_resend_and_sees_it_go() {
    let app = app("[exceptions]\nundo = \"2s\"\napprove_above = 1\nper_minute = 600").await;
    for number in ["000000001", "000000002"] {
        app.commerce_sends(orders::observed(number, "24-WG085", 1)).await;
        app.order_is(number, "delivered").await;
    }
    for (name, role) in [("olga", "operator"), ("anna", "admin")] {
        tokio::task::block_in_place(|| user(&app.site, name, role, PASSWORD));
    }
    let Some(mut browser) = Browser::open(app.url("").trim_end_matches('/'), LIGHT) else { return app.stop().await };
    browser.goes("/console/deliveries?state=delivered&destination=erp");
    browser.signs_in("olga", PASSWORD);
    browser.follows("Resend these");
    browser.fills("Orders", "000000001 000000002");
    browser.presses("Narrow down");
    browser.sees("2 of them are at their destination already");
    browser.sees("A second person must approve it first.");
    browser.looks_at("bulk-resend");
    browser.fills("Why", "the ERP was restored");
    browser.presses("Resend these 2");
    browser.sees("Nothing goes before a second person has approved it.");
    assert_eq!(browser.buttons("Approve"), 0, "an operator asks");
    browser.goes("/console");
    browser.sees("resend of 2 records awaits approval");
    browser.presses("Sign out");
    browser.goes("/console");
    browser.signs_in("anna", PASSWORD);
    browser.looks_at("overview-awaiting");
    browser.follows("Look, and approve or refuse it");
    browser.looks_at("bulk-awaiting");
    browser.presses("Approve");
    browser.sees("Approved by");
    browser.sees("2 done, 0 skipped, 0 never went");
    app.settled().await;
    assert_eq!((app.erp.find("000000001").len(), app.erp.find("000000002").len()), (2, 2));
    browser.looks_at("bulk-done");
    browser.close();
    app.stop().await;
}
