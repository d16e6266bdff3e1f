//! Acts: replays, releases, decisions, destinations; and the key that makes a repeat safe (API-1, API-2).

use axum::http::StatusCode;
use crossdock::access::roles::Role;
use serde_json::json;

use crate::support::Site;

#[tokio::test]
async fn api_1_a_malformed_key_is_refused_and_a_dry_run_writes_nothing() {
    let site = Site::open().await;
    let id = site.parked("000000001", "MUG").await;
    let path = format!("/exceptions/{id}/replay");
    let malformed = site.post(&path, "\"open", "").await;
    assert_eq!(malformed.status, StatusCode::BAD_REQUEST);
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
async fn a_destination_is_released_by_name() {
    let site = Site::open().await;
    let view = site.get("/destinations").await.json();
    assert_eq!(view["items"][0]["reason"], "the credential was refused");
    assert_eq!(site.post("/destinations/erp/release", "1", "").await.status, StatusCode::OK);
    assert_eq!(site.post("/destinations/wms/release", "2", "").await.status, StatusCode::NOT_FOUND);
}
