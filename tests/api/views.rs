//! Views: whose they are, who sees them, and what is refused.

use axum::http::StatusCode;
use crossdock::access::roles::Role;
use serde_json::{Value, json};

use crate::support::{Answered, Site};

const JSON: (&str, &str) = ("content-type", "application/json");

async fn keeps(site: &Site, role: Role, body: &Value) -> Answered {
    site.call(role, "POST", "/views", &[JSON], &body.to_string()).await
}

async fn changes(site: &Site, role: Role, id: &str, body: &Value) -> Answered {
    site.call(role, "PATCH", &format!("/views/{id}"), &[JSON], &body.to_string()).await
}

fn view(name: &str) -> Value {
    json!({ "list": "exceptions", "name": name, "filter": { "code": "unmapped_sku", "overdue": "true" } })
}

async fn kept(site: &Site, role: Role, body: &Value) -> String {
    let made = keeps(site, role, body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    made.json()["id"].as_str().unwrap().to_owned()
}

async fn names(site: &Site, role: Role) -> Vec<String> {
    let page = site.call(role, "GET", "/views?list=exceptions", &[], "").await.json();
    page["items"].as_array().unwrap().iter().map(|view| view["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn api_4_ones_own_views_are_ones_own_and_shared_ones_are_kept_in_order_by_whoever_may_share() {
    let site = Site::open().await;
    let own = kept(&site, Role::Viewer, &view("Mine")).await;
    let mut shared = view("Überfällig");
    shared["shared"] = json!(true);
    let refused = keeps(&site, Role::Viewer, &shared).await;
    assert!(refused.status == StatusCode::FORBIDDEN && refused.text.contains("views:share"), "{}", refused.text);
    let ours = kept(&site, Role::Operator, &shared).await;
    assert_eq!(
        (names(&site, Role::Viewer).await, names(&site, Role::Mapper).await),
        (vec!["Mine".into(), "Überfällig".into()], vec!["Überfällig".into()])
    );
    // Nobody else's own is there; a shared one is seen by everybody and changed by few.
    for (role, id, status) in [
        (Role::Admin, &own, StatusCode::NOT_FOUND),
        (Role::Viewer, &ours, StatusCode::FORBIDDEN),
        (Role::Finance, &ours, StatusCode::OK),
        (Role::Viewer, &own, StatusCode::OK),
    ] {
        let answered = changes(&site, role, id, &json!({ "name": format!("By {role}") })).await;
        assert_eq!(answered.status, status, "{role}: {}", answered.text);
    }
    assert_eq!(changes(&site, Role::Viewer, &own, &json!({ "shared": true })).await.status, StatusCode::FORBIDDEN);
    // To begin with one is everybody's own affair.
    assert_eq!(changes(&site, Role::Viewer, &ours, &json!({ "start": true })).await.json()["start"], true);
    let begins = async |role| {
        let page = site.call(role, "GET", "/views", &[], "").await.json();
        page["items"].as_array().unwrap().iter().filter(|view| view["start"] == true).count()
    };
    assert_eq!((begins(Role::Viewer).await, begins(Role::Operator).await), (1, 0));
    for (role, id, status) in [
        (Role::Viewer, &ours, StatusCode::FORBIDDEN),
        (Role::Operator, &own, StatusCode::NOT_FOUND),
        (Role::Admin, &ours, StatusCode::NO_CONTENT),
        (Role::Viewer, &own, StatusCode::NO_CONTENT),
        (Role::Viewer, &own, StatusCode::NOT_FOUND),
    ] {
        assert_eq!(site.call(role, "DELETE", &format!("/views/{id}"), &[], "").await.status, status, "{role}");
    }
    assert_eq!(begins(Role::Viewer).await, 0);
    let audit = site.call(Role::Admin, "GET", "/audit?limit=50", &[], "").await.json();
    let mut acts: Vec<&str> =
        audit["items"].as_array().unwrap().iter().map(|row| row["action"].as_str().unwrap()).collect();
    acts.retain(|action| action.starts_with("view."));
    assert_eq!(
        acts,
        ["view.delete", "view.delete", "view.start", "view.change", "view.change", "view.create", "view.create"]
    );
}

#[tokio::test]
async fn a_view_that_its_list_would_not_take_is_refused_with_the_place() {
    let site = Site::open().await;
    let with = |name: &str, value: Value| {
        let mut body = view("A");
        body[name] = value;
        body
    };
    for (body, place) in [
        (with("list", json!("tokens")), "/list"),
        (with("name", json!(" ")), "/name"),
        (with("name", json!("x".repeat(61))), "/name"),
        (with("name", json!("a\u{202e}b")), "/name"),
        (with("name", json!("x".repeat(1 << 20))), "/name"),
        (with("filter", json!({ "limit": "5" })), "/filter/limit"),
        (with("filter", json!({ "colour": "red" })), "/filter/colour"),
        (with("filter", json!({ "text": "x".repeat(501) })), "/filter/text"),
        (with("filter", json!({ "state": "broken" })), "/filter"),
        (with("filter", json!({ "overdue": "perhaps" })), "/filter"),
        (with("filter", json!({ "code": 5 })), "/filter/code"),
        (json!({ "list": "groups", "name": "A", "filter": { "state": "resolved" } }), "/filter"),
        (json!({ "list": "orders", "name": "A", "filter": { "state": "open" } }), "/filter"),
        (json!({ "list": "deliveries", "name": "A", "filter": { "state": "open" } }), "/filter"),
    ] {
        let refused = keeps(&site, Role::Operator, &body).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{place}: {}", refused.text);
        assert_eq!(refused.json()["problems"][0]["path"], place, "{}", refused.text);
    }
    assert_eq!(site.get("/views?list=tokens").await.status, StatusCode::BAD_REQUEST);
    let me =
        json!({ "list": "groups", "name": "My desk", "filter": { "assignee": "me", "state": "assigned", "text": "" } });
    let me = keeps(&site, Role::Operator, &me).await.json();
    assert_eq!(me["filter"], json!({ "assignee": "me", "state": "assigned" }), "whoever opens it");
    kept(&site, Role::Operator, &view("Late <b>&\u{1f4e6}")).await;
    assert_eq!(keeps(&site, Role::Operator, &view(" late  <B>&\u{1f4e6}")).await.status, StatusCode::CONFLICT);
    assert_eq!(names(&site, Role::Operator).await, ["Late <b>&\u{1f4e6}"]);
}

#[tokio::test]
async fn api_2_a_view_is_kept_once_under_a_key_and_of_two_at_once_one() {
    let site = Site::open().await;
    let body = view("Mine").to_string();
    let call = || site.post("/views", "\"k1\"", &body);
    let (first, again) = (call().await, call().await);
    assert_eq!((first.status, &first.text), (StatusCode::CREATED, &again.text));
    let (name, other) = (view("Late"), view("LATE"));
    let (one, two) = tokio::join!(keeps(&site, Role::Admin, &name), keeps(&site, Role::Admin, &other));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [StatusCode::CREATED, StatusCode::CONFLICT]);
    for number in names(&site, Role::Admin).await.len()..50 {
        kept(&site, Role::Admin, &view(&number.to_string())).await;
    }
    let more = keeps(&site, Role::Admin, &view("one more")).await;
    assert!(more.status == StatusCode::CONFLICT && more.text.contains("50 views"), "{}", more.text);
    // A token that is revoked leaves no view behind.
    let id = site.store.tokens().await.unwrap().into_iter().find(|token| token.name == "operator").unwrap().id;
    assert_eq!(
        site.call(Role::Admin, "DELETE", &format!("/tokens/{id}"), &[], "").await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(site.store.views(id.to_string()).await.unwrap(), []);
}
