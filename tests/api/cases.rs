//! What people do about exceptions short of replaying them, and what the catalogue tells them.

use std::time::Duration;

use axum::http::StatusCode;
use crossdock::access::roles::Role;
use crossdock::domain::defect::ExceptionCode;
use serde_json::{Value, json};

use crate::support::Site;

#[tokio::test]
async fn every_code_has_its_page_over_the_api() {
    let site = Site::open().await;
    let all = site.get("/exceptions/catalogue").await.json();
    let items = all["items"].as_array().unwrap();
    assert_eq!(items.len(), ExceptionCode::ALL.len());
    for entry in items {
        let code = entry["code"].as_str().unwrap();
        let one = site.get(&format!("/exceptions/catalogue/{code}")).await;
        assert_eq!((one.status, one.json()), (StatusCode::OK, entry.clone()));
        for text in ["title", "remedy", "meaning", "arises", "fix", "if_ignored"] {
            assert!(!entry[text].as_str().unwrap().is_empty(), "{code}: {text}");
        }
    }
    let unknown = site.get("/exceptions/catalogue/no_such_code").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

async fn exception(site: &Site, id: impl std::fmt::Display) -> Value {
    site.get(&format!("/exceptions/{id}")).await.json()
}

async fn count(site: &Site, query: &str) -> usize {
    let listed = site.get(&format!("/exceptions{query}")).await;
    assert_eq!(listed.status, StatusCode::OK, "{}", listed.text);
    listed.json()["items"].as_array().unwrap().len()
}

#[tokio::test]
async fn an_exception_is_somebodys_or_nobodys_and_filters_find_it() {
    let site = Site::open().await;
    let id = site.parked("000000001", "MUG").await;
    site.parked("000000002", "CUP").await;
    let path = format!("/exceptions/{id}/assign");
    let mine = site.post(&path, "1", r#"{"to":"me"}"#).await;
    assert_eq!((mine.status, &mine.json()["state"]), (StatusCode::OK, &json!("assigned")), "{}", mine.text);
    assert_eq!(mine.json()["assignee"], "operator");
    assert_eq!(site.post(&path, "1", r#"{"to":"me"}"#).await.text, mine.text, "api_2");
    for (query, found) in [
        ("", 2),
        ("?state=waiting", 2),
        ("?state=open", 1),
        ("?state=assigned", 1),
        ("?assignee=operator", 1),
        ("?assignee=me", 0),
        ("?assignee=nobody", 1),
        ("?severity=error", 2),
        ("?severity=critical", 0),
        ("?owner=operations&destination=erp", 2),
        ("?owner=finance", 0),
        ("?destination=wms", 0),
        ("?text=mUg", 1),
        ("?text=100%25", 0),
        ("?overdue=true", 0),
        ("?state=resolved", 0),
        ("?state=all&text=cup", 1),
    ] {
        assert_eq!(count(&site, query).await, found, "{query}");
    }
    let groups = site.get("/exceptions/groups?assignee=nobody").await.json();
    assert_eq!(groups["items"].as_array().unwrap().len(), 1);
    let all = site.get("/exceptions/groups").await.json();
    let assigned: u64 = all["items"].as_array().unwrap().iter().map(|group| group["assigned"].as_u64().unwrap()).sum();
    assert_eq!(assigned, 1, "{all}");
    for bad in ["?state=lost", "?severity=mild", "?owner=me", "?limit=5", "?state=resolved"] {
        assert_eq!(site.get(&format!("/exceptions/groups{bad}")).await.status, StatusCode::BAD_REQUEST, "{bad}");
    }
    let nobodys = site.post(&path, "2", r#"{"to":null,"reason":"on leave"}"#).await.json();
    assert_eq!((&nobodys["state"], &nobodys["assignee"]), (&json!("open"), &json!(null)));
    let odd = site.post(&path, "3", r#"{"to":"a\nb"}"#).await;
    assert_eq!((odd.status, &odd.json()["problems"][0]["path"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("/to")));
    let audit = site.call(Role::Admin, "GET", "/audit?limit=2", &[], "").await.json();
    let (last, first) = (&audit["items"][0], &audit["items"][1]);
    assert_eq!((&last["action"], &last["reason"]), (&json!("exception.assign"), &json!("on leave")));
    assert!(first["after"].as_str().unwrap().contains("\"assignee\":\"operator\""), "api_5: {first}");
}

#[tokio::test]
async fn an_exception_that_rests_wakes_by_itself_and_is_due_then() {
    let site = Site::open().await;
    let id = site.parked("000000001", "MUG").await;
    let opened = exception(&site, id).await;
    assert_eq!((&opened["due_at"], &opened["overdue"]), (&json!("2026-03-01T18:00:00Z"), &json!(false)), "8 h");
    let path = format!("/exceptions/{id}/snooze");
    let rests = site.post(&path, "1", r#"{"until":"2026-03-02T08:00:00Z"}"#).await.json();
    assert_eq!((&rests["state"], &rests["due_at"]), (&json!("snoozed"), &json!("2026-03-02T08:00:00Z")), "{rests}");
    site.clock.advance(Duration::from_hours(9));
    assert_eq!(count(&site, "?state=snoozed").await, 1);
    assert_eq!((count(&site, "?overdue=true").await, count(&site, "?state=open").await), (0, 0));
    let group = site.get("/exceptions/groups").await.json()["items"][0].clone();
    assert_eq!((&group["snoozed"], &group["overdue"]), (&json!(1), &json!(false)), "{group}");
    site.clock.advance(Duration::from_hours(14));
    let awake = exception(&site, id).await;
    assert_eq!((&awake["state"], &awake["snoozed_until"]), (&json!("open"), &json!(null)));
    assert_eq!((&awake["overdue"], count(&site, "?overdue=true").await), (&json!(true), 1));
    for late in ["2026-03-02T08:00:00Z", "2036-01-01T00:00:00Z"] {
        let refused = site.post(&path, late, &json!({ "until": late }).to_string()).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{late}");
    }
    site.post(&path, "3", r#"{"until":"2026-03-04T08:00:00Z"}"#).await;
    assert_eq!(site.post(&path, "4", r#"{"until":null}"#).await.json()["state"], "open", "woken");
}

#[tokio::test]
async fn p6_a_dismissed_exception_is_a_decided_end_and_the_ledger_closes() {
    let site = Site::open().await;
    let unmapped = site.parked("000000001", "MUG").await;
    let dismiss = |id: String, key: &'static str, body: &'static str| {
        let site = &site;
        async move { site.post(&format!("/exceptions/{id}/dismiss"), key, body).await }
    };
    let silent = dismiss(unmapped.to_string(), "1", r#"{"reason":" "}"#).await;
    assert_eq!(silent.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(dismiss(unmapped.to_string(), "2", "{}").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let done = dismiss(unmapped.to_string(), "3", r#"{"reason":"a test order"}"#).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    let words = "dismissed by token:operator: a test order";
    assert_eq!((&done.json()["state"], &done.json()["resolution"]), (&json!("dismissed"), &json!(words)));
    assert_eq!((&done.json()["due_at"], &done.json()["overdue"]), (&json!(null), &json!(false)));
    let order = site.get("/orders/000000001").await.json();
    assert_eq!((&order["state"], &order["events"][0]["explanation"]), (&json!("ignored"), &json!(words)));
    let (delivery, refused) = site.refused("000000002").await;
    assert_eq!(
        dismiss(refused.to_string(), "4", r#"{"reason":"cancelled by telephone"}"#).await.status,
        StatusCode::OK
    );
    assert_eq!(site.get(&format!("/deliveries/{delivery}")).await.json()["state"], "abandoned");
    assert_eq!((count(&site, "?state=dismissed").await, count(&site, "?state=resolved").await), (2, 0));
    assert_eq!(count(&site, "").await, 0);
    let ledger = site.get("/ledger").await.json();
    assert_eq!(
        (&ledger["difference"], &ledger["ignored"], &ledger["exception"]),
        (&json!(0), &json!(2), &json!(0)),
        "{ledger}"
    );
    assert!(site.store.recount().await.unwrap().is_empty());
    // Once is enough, for every act.
    for (path, body) in
        [("dismiss", r#"{"reason":"x"}"#), ("assign", r#"{"to":"me"}"#), ("snooze", r#"{"until":null}"#)]
    {
        let twice = site.post(&format!("/exceptions/{unmapped}/{path}"), path, body).await;
        assert_eq!(twice.status, StatusCode::CONFLICT, "{path}: {}", twice.text);
    }
    let viewer = site.call(Role::Viewer, "POST", &format!("/exceptions/{unmapped}/dismiss"), &[], "{}").await;
    assert_eq!(viewer.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn notes_are_kept_in_their_order_as_they_were_written_and_not_in_the_audit() {
    let site = Site::open().await;
    let id = site.parked("000000001", "MUG").await;
    let path = format!("/exceptions/{id}/notes");
    let hostile = "<script>alert(1)</script>\n=HYPERLINK(\"x\")'; DROP TABLE exceptions; -- \u{202e}";
    let noted = site.post(&path, "1", &json!({ "text": hostile }).to_string()).await;
    assert_eq!((noted.status, &noted.json()["notes"]), (StatusCode::OK, &json!(1)), "{}", noted.text);
    site.clock.advance(Duration::from_mins(1));
    site.post(&path, "2", r#"{"text":"second"}"#).await;
    let listed = site.get(&path).await.json();
    let texts: Vec<&str> =
        listed["items"].as_array().unwrap().iter().map(|note| note["text"].as_str().unwrap()).collect();
    assert_eq!(texts, [hostile, "second"]);
    assert_eq!(listed["items"][1]["author"], "token:operator");
    for bad in [json!({ "text": "" }), json!({ "text": "\u{1b}[2J" }), json!({ "text": "x".repeat(4001) }), json!({})] {
        let refused = site.post(&path, &bad.to_string().len().to_string(), &bad.to_string()).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    }
    let audit = site.call(Role::Admin, "GET", "/audit", &[], "").await;
    assert!(audit.text.contains("exception.note") && !audit.text.contains("second"), "dat_1: {}", audit.text);
    assert_eq!(site.get("/exceptions/exc_00000000000000000000000000/notes").await.status, StatusCode::NOT_FOUND);
}
