//! Who is heard by which origin, why requests were refused, and whether a sender would reach us.

use serde_json::{Value, json};

use crate::support::{API_KEY, TestApp, orders};

const TABLE: &str = "key,value,destination\n24-WG085,ITEM-1,\n";

async fn origin(app: &TestApp, name: &str) -> Value {
    let all = app.sees("/api/v1/origins").await;
    let found = all["items"].as_array().unwrap().iter().find(|origin| origin["name"] == name).cloned();
    found.unwrap_or_else(|| panic!("{all}"))
}

fn refused<'o>(origin: &'o Value, reason: &str) -> &'o Value {
    let all = origin["refused"].as_array().unwrap();
    all.iter().find(|one| one["reason"] == reason).unwrap_or_else(|| panic!("{reason}: {origin}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_of_an_origin_is_counted_by_kind_and_reason_and_goes_on_after_a_restart() {
    let app = TestApp::start().await;
    app.maps("skus", TABLE).await;
    let before = origin(&app, "flows").await;
    assert_eq!((&before["last_at"], &before["kinds"], &before["refused"]), (&Value::Null, &json!([]), &json!([])));
    let order = orders::rest("000000001", "24-WG085", 1).to_string();
    assert_eq!(app.patchworks_sends(order.clone()).await.status, 202);
    assert_eq!(app.patchworks_sends(order.clone()).await.status, 200);
    assert_eq!(app.patchworks_sends("[7]").await.status, 422);
    // Nothing that a stranger writes becomes a name here.
    let nasty = "<script>alert(1)</script>";
    assert_eq!(app.posts("/in/flows/orders", order.clone(), &[("x-api-key", nasty)]).await.status, 401);
    assert_eq!(app.posts("/in/flows/orders", order.clone(), &[]).await.status, 401);
    assert_eq!(app.posts("/in/flows/orders", order, &[("x-api-key", API_KEY), ("x-api-key", "b")]).await.status, 401);
    assert_eq!(app.posts(&format!("/in/flows/{}", "x".repeat(40)), "{}", &[("x-api-key", API_KEY)]).await.status, 404);
    assert_eq!(app.posts("/in/nobody", "{}", &[]).await.status, 404);

    let after = origin(&app, "flows").await;
    let kind = &after["kinds"][0];
    assert_eq!(
        (&kind["kind"], &kind["accepted"], &kind["duplicates"], &kind["rejected"]),
        (&json!("order"), &json!(1), &json!(1), &json!(1)),
        "{after}"
    );
    for (reason, count) in [("wrong", 1), ("missing", 1), ("doubled", 1), ("unknown", 1)] {
        assert_eq!(refused(&after, reason)["count"], count, "{after}");
        assert!(refused(&after, reason)["remedy"].as_str().is_some_and(|remedy| remedy.len() > 20));
    }
    let text = app.sees("/api/v1/origins").await.to_string();
    assert!(!text.contains("script") && !text.contains("nobody") && !text.contains(API_KEY), "{text}");
    assert_eq!(origin(&app, "hooks").await["kinds"], json!([]));

    let app = app.restart().await;
    let kept = origin(&app, "flows").await;
    assert_eq!((&kept["kinds"], &kept["counted_since"]), (&after["kinds"], &after["counted_since"]));
    assert_eq!(refused(&kept, "wrong")["count"], 1);
    let catchup = app.sees("/api/v1/catchup").await;
    assert!(!catchup.to_string().contains("heard"), "it is no search: {catchup}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn api_5_a_check_tries_the_way_in_says_what_is_wrong_and_is_written_down() {
    let app = TestApp::start().await;
    let check =
        async |name: &str| app.asks(reqwest::Method::POST, &format!("/api/v1/origins/{name}/check"), None).await;
    let flows = check("flows").await;
    assert_eq!(flows.status, 200, "{}", flows.text);
    let flows = flows.json();
    assert_eq!(flows["fine"], true, "{flows}");
    let lines = flows["lines"].as_array().unwrap();
    let said = |what: &str| lines.iter().find(|line| line["what"] == what).cloned().unwrap_or_default();
    assert_eq!((&said("guarded")["verdict"], &said("credentials")["verdict"]), (&json!("ok"), &json!("ok")), "{flows}");
    assert!(said("address")["detail"].as_str().unwrap().contains("public_url"), "{flows}");
    assert!(!flows.to_string().contains(API_KEY));
    // Commerce cannot be asked here: that is said, and the way in was tried all the same.
    let hooks = check("hooks").await.json();
    assert!(hooks["lines"].to_string().contains("not compared"), "{hooks}");
    assert_eq!(check("nobody").await.status, 404);
    assert_eq!(app.sees("/api/v1/ledger").await["difference"], 0, "nothing is made of a test");
    let last = app.sees("/api/v1/audit").await["items"][0].clone();
    assert_eq!((&last["action"], &last["target"]), (&json!("origin.check"), &json!("hooks")), "{last}");
    app.stop().await;
}
