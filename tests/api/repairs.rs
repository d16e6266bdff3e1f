//! Acts: replays, releases, decisions, destinations; and the key that makes a repeat safe (API-1, API-2).

use axum::http::StatusCode;
use crossdock::access::roles::Role;
use crossdock::api::idempotency::KeyRule;
use crossdock::api::routes;
use serde_json::json;

use crate::roles::concrete;
use crate::support::Site;

#[tokio::test]
async fn api_1_a_malformed_key_is_refused_and_a_dry_run_writes_nothing() {
    let site = Site::open().await;
    let id = site.parked("000000001", "MUG").await;
    let path = format!("/exceptions/{id}/replay");
    let malformed = site.post(&path, "\"open", "").await;
    assert_eq!(malformed.status, StatusCode::BAD_REQUEST);
    let missing = site.call(Role::Operator, "POST", &path, &[], "").await;
    assert_eq!(missing.status, StatusCode::BAD_REQUEST);
    assert!(missing.json()["detail"].as_str().unwrap().contains("send the header Idempotency-Key"), "{}", missing.text);
    let dry = site.call(Role::Operator, "POST", &format!("{path}?dry_run=true"), &[], "").await;
    assert_eq!((dry.status, dry.json()["dry_run"].clone()), (StatusCode::OK, json!(true)));
    let done = site.post(&path, "\"k1\"", r#"{"reason":"the SKU is mapped now"}"#).await;
    assert_eq!((done.status, done.json()["result"].clone()), (StatusCode::OK, json!("released")));
    let replays = site.engines.replays.lock().unwrap().clone();
    assert_eq!(replays, [(id, true, "token:operator".to_owned()), (id, false, "token:operator".to_owned())]);
}

#[tokio::test]
async fn api_2_a_repeat_gets_the_first_answer_and_another_call_with_the_key_is_refused() {
    let site = Site::open().await;
    let id = site.parked("000000001", "MUG").await;
    let path = format!("/exceptions/{id}/replay");
    let first = site.post(&path, "\"k1\"", "{}").await;
    let again = site.post(&path, "\"k1\"", "{}").await;
    assert_eq!((first.status, &first.text), (again.status, &again.text));
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), ("", "true"));
    assert_eq!(again.header("content-type"), "application/json");
    assert_eq!(site.engines.replays.lock().unwrap().len(), 1);
    let other = site.post(&path, "\"k1\"", r#"{"reason":"x"}"#).await;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
    // The key is the caller's own: another token with the same key is another call.
    let headers = [("content-type", "application/json"), ("idempotency-key", "\"k1\"")];
    site.call(Role::Admin, "POST", &path, &headers, "{}").await;
    assert_eq!(site.engines.replays.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn api_2_a_kept_refusal_is_repeated_with_its_body() {
    let site = Site::open().await;
    let (delivery, _) = site.delivered("000000001").await;
    let path = format!("/deliveries/{delivery}/decide");
    let first = site.post(&path, "k1", r#"{"verdict":"retry"}"#).await;
    assert_eq!(first.status, StatusCode::CONFLICT);
    let again = site.post(&path, "k1", r#"{"verdict":"retry"}"#).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (StatusCode::CONFLICT, "true"));
    assert_eq!(first.json()["detail"], again.json()["detail"]);
}

#[tokio::test]
async fn a_group_is_released_oldest_first_and_each_record_once() {
    let site = Site::open().await;
    let (first, second) = (site.parked("000000001", "MUG").await, site.parked("000000002", "MUG").await);
    site.parked("000000003", "OTHER").await;
    let groups = site.get("/exceptions/groups").await.json();
    let fingerprint = groups["items"][0]["fingerprint"].as_str().unwrap().to_owned();
    let path = format!("/exceptions/groups/{fingerprint}/release");
    let dry = site.call(Role::Operator, "POST", &format!("{path}?dry_run=true"), &[], "").await.json();
    assert_eq!((&dry["dry_run"], &dry["replayed"]), (&json!(true), &json!(2)));
    let done = site.post(&path, "\"k1\"", "").await.json();
    assert_eq!((&done["released"], &done["still_parked"], &done["remaining"]), (&json!(2), &json!(0), &json!(0)));
    let order: Vec<_> = site.engines.replays.lock().unwrap().iter().skip(2).map(|(id, ..)| *id).collect();
    assert_eq!(order, [first, second]);
    assert_eq!(site.post("/exceptions/groups/ffff/release", "\"k2\"", "").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_parked_delivery_is_sent_again_taken_as_applied_or_given_up() {
    let site = Site::open().await;
    let (one, _) = site.refused("000000001").await;
    let answered =
        site.post(&format!("/deliveries/{one}/decide"), "1", r#"{"verdict":"retry","reason":"ERP repaired"}"#).await;
    assert_eq!(answered.json()["state"], "waiting");
    let (two, exception) = site.refused("000000002").await;
    let body = r#"{"verdict":"applied","receipt":"SO-9"}"#;
    let answered = site.post(&format!("/deliveries/{two}/decide"), "2", body).await;
    assert_eq!((&answered.json()["state"], &answered.json()["receipt"]), (&json!("delivered"), &json!("SO-9")));
    let closed = site.get(&format!("/exceptions/{exception}")).await.json();
    assert_eq!(
        (&closed["state"], &closed["resolution"]),
        (&json!("resolved"), &json!("found at the destination by token:operator"))
    );
    let (three, _) = site.refused("000000003").await;
    let path = format!("/deliveries/{three}/decide");
    let silent = site.post(&path, "3", r#"{"verdict":"abandon"}"#).await;
    assert_eq!(
        (silent.status, &silent.json()["problems"][0]["path"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("/reason"))
    );
    let odd = site.post(&path, "4", r#"{"verdict":"retry","receipt":"SO-1"}"#).await;
    assert_eq!(odd.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(site.post(&path, "5", r#"{"verdict":"guess"}"#).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let answered = site.post(&path, "6", r#"{"verdict":"abandon","reason":"placed by mistake"}"#).await;
    assert_eq!(answered.json()["state"], "abandoned");
    assert_eq!(site.get("/ledger").await.json()["difference"], 0);
}

#[tokio::test]
async fn api_5_a_destination_is_held_for_a_reason_until_it_is_released() {
    let site = Site::open().await;
    for (path, status) in [
        ("/destinations/erp/hold", StatusCode::BAD_REQUEST),
        ("/destinations/erp/hold?reason=%20", StatusCode::BAD_REQUEST),
        ("/destinations/wms/hold?reason=stocktaking", StatusCode::NOT_FOUND),
        ("/destinations/erp/hold?reason=stocktaking", StatusCode::OK),
    ] {
        assert_eq!(site.post(path, path, "").await.status, status, "{path}");
    }
    let held = site.engines.held.lock().unwrap().clone();
    assert_eq!(held.len(), 1);
    assert!(held[0].1.starts_with("held by ") && held[0].1.ends_with(": stocktaking"), "{held:?}");
    let holds = site.store.holds().await.unwrap();
    assert_eq!((holds.len(), holds[0].destination.as_str()), (1, "erp"));
    let page = site.call(Role::Admin, "GET", "/audit", &[], "").await.json();
    assert_eq!(
        (&page["items"][0]["action"], &page["items"][0]["reason"]),
        (&json!("destination.hold"), &json!("stocktaking"))
    );
    site.post("/destinations/erp/release", "r", "").await;
    assert!(site.store.holds().await.unwrap().is_empty());
}

#[tokio::test]
async fn api_5_who_the_buyer_is_is_seen_by_whom_it_is_for_and_asking_is_written_down() {
    let site = Site::open().await;
    let (_, document) = site.delivered("000000001").await;
    let path = format!("/documents/{document}");
    let whole = site.call(Role::Admin, "GET", &path, &[], "").await.json();
    assert_eq!((&whole["masked"], &whole["body"]["order"]["customer"]["email"]), (&json!(true), &json!("•••")));
    for role in [Role::Viewer, Role::Mapper, Role::Finance] {
        let seen = site.call(role, "GET", &path, &[], "").await;
        assert_eq!(seen.json()["masked"], true, "{role}");
        assert!(!seen.text.contains("anna@example.com"), "{role}");
        let (path, json) = (format!("{path}/reveal"), [("content-type", "application/json")]);
        let refused = site.call(role, "POST", &path, &json, r#"{"reason":"x"}"#).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{role}");
    }
    let json = [("content-type", "application/json")];
    let unsaid = site.call(Role::Operator, "POST", &format!("{path}/reveal"), &json, r#"{"reason":" "}"#).await;
    assert_eq!(unsaid.status, StatusCode::BAD_REQUEST);
    let shown =
        site.call(Role::Operator, "POST", &format!("{path}/reveal"), &json, r#"{"reason":"she asks"}"#).await.json();
    assert_eq!(shown["body"]["order"]["customer"]["email"], "anna@example.com");
    let last = site.call(Role::Admin, "GET", "/audit", &[], "").await.json()["items"][0].clone();
    assert_eq!((&last["action"], &last["reason"]), (&json!("personal_data.reveal"), &json!("she asks")));
    assert!(!last.to_string().contains("anna@"), "{last}");
}

#[tokio::test]
async fn a_destination_is_released_by_name() {
    let site = Site::open().await;
    let view = site.get("/destinations").await.json();
    assert_eq!(view["items"][0]["reason"], "the credential was refused");
    assert_eq!(site.post("/destinations/erp/release", "1", "").await.status, StatusCode::OK);
    assert_eq!(site.post("/destinations/wms/release", "2", "").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn api_1_calls_that_repair_need_a_key_and_others_take_one() {
    let site = Site::open().await;
    let (delivery, exception) = site.refused("000000001").await;
    let fingerprint =
        site.get("/exceptions/groups").await.json()["items"][0]["fingerprint"].as_str().unwrap().to_owned();
    for path in [
        format!("/exceptions/{exception}/replay"),
        format!("/exceptions/groups/{fingerprint}/release"),
        format!("/deliveries/{delivery}/decide"),
    ] {
        let json = [("content-type", "application/json")];
        let missing = site.call(Role::Operator, "POST", &path, &json, r#"{"verdict":"retry"}"#).await;
        assert_eq!(missing.status, StatusCode::BAD_REQUEST, "{path}");
        let viewer = site.call(Role::Viewer, "POST", &path, &json, "{}").await;
        assert_eq!(viewer.status, StatusCode::FORBIDDEN, "{path}: who may not call is told nothing about keys");
    }
    let csv = [("content-type", "text/csv")];
    let taken = site.call(Role::Operator, "PUT", "/mappings/skus", &csv, "key,value,destination\nA,1,\n").await;
    assert_eq!(taken.status, StatusCode::OK, "{}", taken.text);
    assert_eq!(site.engines.replays.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn api_2_every_call_that_acts_is_answered_again_as_the_first_time() {
    let site = Site::open().await;
    let (delivery, _) = site.refused("000000001").await;
    let csv = "key,value,destination\nA,1,\n";
    let revoked = site.store.tokens().await.unwrap().into_iter().find(|token| token.name == "viewer").unwrap().id;
    for (method, path, kind, body, status) in [
        ("PUT", "/mappings/skus?reason=first".to_owned(), "text/csv", csv, 200),
        ("POST", format!("/deliveries/{delivery}/decide"), "application/json", r#"{"verdict":"retry"}"#, 200),
        ("POST", "/destinations/erp/release".to_owned(), "application/json", "", 200),
        ("DELETE", format!("/tokens/{revoked}"), "application/json", "", 204),
        ("DELETE", "/tokens/tok_00000000000000000000000000".to_owned(), "application/json", "", 404),
        ("PUT", "/mappings/skus".to_owned(), "text/csv", "nonsense", 422),
    ] {
        let headers = [("content-type", kind), ("idempotency-key", path.as_str())];
        let first = site.call(Role::Admin, method, &path, &headers, body).await;
        assert_eq!(first.status.as_u16(), status, "{path}: {}", first.text);
        assert_eq!(first.header("idempotency-replayed"), "");
        let rows = site.store.audit_head().await.unwrap().rows;
        let again = site.call(Role::Admin, method, &path, &headers, body).await;
        assert_eq!((again.status, again.header("idempotency-replayed")), (first.status, "true"), "{path}");
        for name in ["content-type", "etag"] {
            assert_eq!(again.header(name), first.header(name), "{path}");
        }
        if status < 400 {
            assert_eq!(again.text, first.text, "{path}");
        } else {
            assert_eq!(again.json()["detail"], first.json()["detail"], "{path}");
        }
        assert_eq!(site.store.audit_head().await.unwrap().rows, rows, "{path}: a repeat does nothing");
    }
    assert_eq!(site.store.mappings_version().await.unwrap(), 1);
    assert_eq!(site.engines.released.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn api_2_the_secret_of_a_token_is_in_the_first_answer_alone() {
    let site = Site::open().await;
    let headers = [("content-type", "application/json"), ("idempotency-key", "\"t1\"")];
    let body = r#"{"name":"dashboard","role":"viewer","reason":"wall screen"}"#;
    let first = site.call(Role::Admin, "POST", "/tokens", &headers, body).await;
    assert!(first.json()["secret"].as_str().unwrap().starts_with("cdk_"));
    let again = site.call(Role::Admin, "POST", "/tokens", &headers, body).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (StatusCode::CREATED, "true"));
    assert_eq!((&again.json()["id"], &again.json()["secret"]), (&first.json()["id"], &json!(null)));
    assert_eq!(site.store.tokens().await.unwrap().len(), Role::ALL.len() + 1, "one was made");
}

#[tokio::test]
async fn api_2_answers_are_forgotten_after_three_days_and_what_may_be_cured_is_never_kept() {
    let site = Site::open().await;
    let csv = [("content-type", "text/csv"), ("idempotency-key", "k")];
    let body = "key,value,destination\nA,1,\n";
    let call = || site.call(Role::Operator, "PUT", "/mappings/skus", &csv, body);
    assert_eq!(call().await.json()["version"], 1);
    site.clock.advance(std::time::Duration::from_hours(72));
    assert_eq!(call().await.json()["version"], 1, "still kept");
    site.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(call().await.json()["version"], 2, "a new call");
    // 403 is not kept: with the right role the same key runs.
    let viewer = site.call(Role::Viewer, "PUT", "/mappings/skus", &[csv[0], ("idempotency-key", "v")], body).await;
    assert_eq!(viewer.status, StatusCode::FORBIDDEN);
    // 503 is not kept, and nothing is answered from memory once the store is gone.
    site.store.close().await.unwrap();
    assert_eq!(call().await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn api_2_while_the_first_call_runs_a_repeat_is_told_to_come_back() {
    let site = Site::open().await;
    let id = site.parked("000000001", "MUG").await;
    let path = format!("/exceptions/{id}/replay");
    let (let_go, hold) = tokio::sync::oneshot::channel::<()>();
    *site.engines.hold.lock().unwrap() = Some(hold);
    let (first, repeats) = tokio::join!(site.post(&path, "\"k1\"", "{}"), async {
        while site.engines.replays.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        let repeat = site.post(&path, "\"k1\"", "{}").await;
        let other = site.post(&path, "\"k1\"", r#"{"reason":"x"}"#).await;
        let_go.send(()).unwrap();
        (repeat, other)
    });
    let (repeat, other) = repeats;
    assert_eq!((repeat.status, repeat.header("retry-after")), (StatusCode::CONFLICT, "1"));
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(first.status, StatusCode::OK);
    let again = site.post(&path, "\"k1\"", "{}").await;
    assert_eq!((again.status, again.text), (StatusCode::OK, first.text));
    assert_eq!(site.engines.replays.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn api_5_admins_read_who_did_what_from_where_and_why() {
    let site = Site::open().await;
    let csv = [("content-type", "text/csv"), ("idempotency-key", "k")];
    site.call(Role::Operator, "PUT", "/mappings/skus?reason=new%20items", &csv, "key,value,destination\nA,1,\n").await;
    site.post("/destinations/erp/release?reason=repaired", "1", "").await;
    assert_eq!(site.call(Role::Operator, "GET", "/audit", &[], "").await.status, StatusCode::FORBIDDEN);
    let page = site.call(Role::Admin, "GET", "/audit?limit=2", &[], "").await.json();
    let (release, import) = (&page["items"][0], &page["items"][1]);
    assert_eq!((&release["action"], &release["target"]), (&json!("destination.release"), &json!("erp")));
    assert!(release["before"].as_str().unwrap().contains("the credential was refused"), "{release}");
    assert_eq!((&import["actor"], &import["reason"]), (&json!("token:operator"), &json!("new items")));
    assert_eq!((&import["before"], &import["after"]), (&json!("{\"rows\":0}"), &json!("{\"rows\":1}")));
    let head = site.call(Role::Admin, "GET", "/audit/head", &[], "").await.json();
    assert_eq!((&head["digest"], &head["rows"]), (&release["digest"], &release["number"]));
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = site.call(Role::Admin, "GET", &format!("/audit?cursor={cursor}"), &[], "").await.json();
    assert_eq!(rest["items"].as_array().unwrap().len(), Role::ALL.len(), "the tokens of the site");
}

#[tokio::test]
async fn p2_the_ledger_tells_orders_in_money_to_the_last_digit() {
    let site = Site::open().await;
    site.delivered("000000001").await;
    site.delivered("000000002").await;
    site.parked("000000003", "MUG").await;
    let ledger = site.get("/ledger").await.json();
    let row = |state: &str, orders: u64, total: &str| json!({ "system": "acme", "currency": "GBP", "state": state, "orders": orders, "total": total, "without_total": 0 });
    assert_eq!(ledger["money"], json!([row("delivered", 2, "60.00"), row("parked", 1, "30.00")]));
    assert_eq!(site.store.recount().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn api_1_asking_for_a_dry_run_of_what_has_none_does_nothing() {
    let site = Site::open().await;
    let mut asked = 0;
    let keyed = routes().into_iter().filter(|route| route.key == KeyRule::Required && !route.rehearses);
    for route in keyed {
        let path = format!("{}?dry_run=true", concrete(route.path));
        let json = [("content-type", "application/json")];
        for key in [None, Some(("idempotency-key", "\"k\""))] {
            let headers: Vec<_> = json.into_iter().chain(key).collect();
            let answered = site.call(Role::Admin, route.method, &path, &headers, "{}").await;
            assert_eq!(answered.status, StatusCode::BAD_REQUEST, "{path}: {}", answered.text);
            assert!(answered.text.contains("no dry run"), "{path}: {}", answered.text);
        }
        asked += 1;
    }
    assert!(asked >= 6, "{asked}");
}
