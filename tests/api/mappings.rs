//! Mapping tables in and out.

use axum::http::StatusCode;
use crossdock::access::roles::Role;
use serde_json::json;

use crate::support::{Answered, Site};

async fn put(site: &Site, kind: &str, body: &str) -> Answered {
    site.call(Role::Operator, "PUT", "/mappings/skus", &[("content-type", kind)], body).await
}

#[tokio::test]
async fn api_3_a_table_goes_out_as_csv_and_comes_back_the_same() {
    let site = Site::open().await;
    let rows = json!({ "items": [
        { "key": "24-WG085", "value": "10042", "destination": "" },
        { "key": "=HYPERLINK(\"http://x\")", "value": "-1", "destination": "erp" },
        { "key": "say \"hi\", you", "value": "Ärmel 🧵", "destination": "" },
    ] });
    assert_eq!(put(&site, "application/json", &rows.to_string()).await.status, StatusCode::OK);
    let csv = site.call(Role::Viewer, "GET", "/mappings/skus", &[("accept", "text/csv")], "").await;
    assert!(csv.header("content-type").starts_with("text/csv"));
    assert!(csv.text.contains("\"'=HYPERLINK(\"\"http://x\"\")\",'-1,erp"), "{}", csv.text);
    let before = site.get("/mappings/skus").await.json();
    assert_eq!(put(&site, "text/csv; charset=utf-8", &csv.text).await.status, StatusCode::OK);
    let after = site.get("/mappings/skus").await.json();
    assert_eq!(before, after);
    // What was read can be put back as it is.
    assert_eq!(put(&site, "application/json", &after.to_string()).await.json()["rows"], 3);
    assert_eq!(*site.engines.reloads.lock().unwrap(), 3);
}

#[tokio::test]
async fn a_bare_array_will_do_and_destinations_may_be_left_out() {
    let site = Site::open().await;
    let answered =
        put(&site, "application/json", r#"[{"key":"A","value":"1"},{"key":"A","value":"2","destination":"erp"}]"#)
            .await;
    assert_eq!((&answered.json()["rows"], &answered.json()["table"]), (&json!(2), &json!("skus")));
    let heads = site.get("/mappings").await.json();
    assert!(
        heads["items"]
            .as_array()
            .unwrap()
            .iter()
            .any(|head| head["table"] == "skus" && head["rows"] == 2 && head["changed_by"] == "token:operator")
    );
}

#[tokio::test]
async fn findings_name_lines_and_rows_and_nothing_changes() {
    let site = Site::open().await;
    put(&site, "text/csv", "key,value,destination\nA,1,\n").await;
    let csv = put(&site, "text/csv", "key,value,destination\nA,1,\n,2,\nA,3,\n").await;
    assert_eq!(csv.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(csv.json()["problems"][0], json!({ "path": "line 3", "message": "the key is empty" }));
    assert_eq!(csv.json()["problems"][1]["path"], "line 4");
    let rows = put(&site, "application/json", r#"{"items":[{"key":"A","value":"1"},{"key":"A","value":"2"}]}"#).await;
    assert_eq!(rows.json()["problems"][0]["path"], "/items/1");
    let mistyped = put(&site, "application/json", r#"{"items":[{"key":"A","value":10042}]}"#).await;
    assert_eq!(mistyped.json()["problems"][0], json!({ "path": "/items/0/value", "message": "expected a string" }));
    assert_eq!(put(&site, "application/xml", "<a/>").await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(site.get("/mappings/skus").await.json()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn etags_guard_against_overwriting_what_somebody_else_changed() {
    let site = Site::open().await;
    let first = put(&site, "text/csv", "key,value\nA,1\n").await;
    let tag = first.header("etag").to_owned();
    assert_eq!(site.get("/mappings/skus").await.header("etag"), tag);
    let unchanged = site.call(Role::Viewer, "GET", "/mappings/skus", &[("if-none-match", &tag)], "").await;
    assert_eq!((unchanged.status, unchanged.text.as_str()), (StatusCode::NOT_MODIFIED, ""));
    let guarded = |tag: String| {
        let site = &site;
        async move {
            let headers = [("content-type", "text/csv"), ("if-match", tag.as_str())];
            site.call(Role::Operator, "PUT", "/mappings/skus", &headers, "key,value\nA,2\n").await.status
        }
    };
    assert_eq!(guarded(tag.clone()).await, StatusCode::OK);
    assert_eq!(guarded(tag).await, StatusCode::PRECONDITION_FAILED);
}

#[tokio::test]
async fn a_long_table_is_paged_only_when_asked() {
    let site = Site::open().await;
    let rows = (0..260).map(|number| format!("K{number:03},{number}"));
    let csv: Vec<String> = std::iter::once("key,value".to_owned()).chain(rows).collect();
    put(&site, "text/csv", &csv.join("\n")).await;
    assert_eq!(site.get("/mappings/skus").await.json()["items"].as_array().unwrap().len(), 260);
    let page = site.get("/mappings/skus?limit=200").await.json();
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = site.get(&format!("/mappings/skus?limit=200&cursor={cursor}")).await.json();
    assert_eq!(rest["items"].as_array().unwrap().len(), 60);
    assert_eq!(rest["next_cursor"], json!(null));
}

#[tokio::test]
async fn single_rows_change_and_tell_what_was_before() {
    let site = Site::open().await;
    put(&site, "text/csv", "key,value\nA,1\nB,2\n").await;
    let edit = |key: &'static str, body: &'static str| {
        let site = &site;
        async move {
            let headers = [("content-type", "application/json"), ("idempotency-key", key)];
            site.call(Role::Operator, "PATCH", "/mappings/skus?reason=new", &headers, body).await
        }
    };
    let first = edit(
        "1",
        r#"{"set":[{"key":"A","value":"9"},{"key":"C","value":"3","destination":"erp"}],"delete":[{"key":"B"}]}"#,
    )
    .await;
    assert_eq!((first.status, &first.json()["version"]), (StatusCode::OK, &json!(2)), "{}", first.text);
    assert_eq!(edit("1", r#"{"delete":[{"key":"B"}]}"#).await.status, StatusCode::UNPROCESSABLE_ENTITY, "api_2");
    let nothing = edit("2", r#"{"set":[{"key":"A","value":"9"}],"delete":[{"key":"Z"}]}"#).await;
    assert_eq!(nothing.json()["version"], 2, "nothing changed");
    let rows = site.get("/mappings/skus").await.json()["items"].clone();
    assert_eq!(
        rows,
        json!([{ "key": "A", "value": "9", "destination": "" }, { "key": "C", "value": "3", "destination": "erp" }])
    );
    let changes = site.get("/mappings/skus/changes").await.json()["items"].clone();
    assert_eq!(changes.as_array().unwrap().len(), 3, "{changes}");
    let of_a = site.get("/mappings/skus/changes?key=A&limit=1").await.json()["items"].clone();
    assert_eq!(
        (&of_a[0]["before"], &of_a[0]["after"], &of_a[0]["actor"]),
        (&json!("1"), &json!("9"), &json!("token:operator"))
    );
    for (key, bad) in [
        ("4", "{}"),
        ("5", r#"{"set":[{"key":"","value":"1"}]}"#),
        ("6", r#"{"sett":[]}"#),
        ("7", r#"{"set":[{"key":"A","value":1}]}"#),
    ] {
        assert_eq!(edit(key, bad).await.status, StatusCode::UNPROCESSABLE_ENTITY, "{bad}");
    }
    let twice = edit("3", r#"{"set":[{"key":"A","value":"1"}],"delete":[{"key":"A"}]}"#).await;
    assert_eq!(twice.status, StatusCode::CONFLICT, "{}", twice.text);
    let stale = [("content-type", "application/json"), ("if-match", "\"v1\"")];
    let refused = site.call(Role::Operator, "PATCH", "/mappings/skus", &stale, r#"{"delete":[{"key":"A"}]}"#).await;
    assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(site.get("/mappings/nonsense/changes").await.status, StatusCode::NOT_FOUND);
}
