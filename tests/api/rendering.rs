//! What a destination would be sent of an order, and its templates in other words.

use axum::http::StatusCode;
use crossdock::access::roles::Role;
use serde_json::{Value, json};

use crate::support::{Answered, Site};

const ORDER: &str = include_str!("../../src/demo/orders/simple.json");

async fn render(site: &Site, role: Role, body: &Value) -> Answered {
    let json = [("content-type", "application/json")];
    site.call(role, "POST", "/destinations/erp/render", &json, &body.to_string()).await
}

async fn tried(site: &Site, part: &str, text: &str) -> Value {
    let body = json!({ "sample": "simple", "template": { "step": "create", "part": part, "text": text } });
    let answered = render(site, Role::Mapper, &body).await;
    assert_eq!(answered.status, StatusCode::OK, "{text}: {}", answered.text);
    answered.json()
}

#[tokio::test]
async fn steps_are_shown_as_they_are_written_and_secrets_are_not() {
    let site = Site::open().await;
    let shown = site.get("/destinations/erp").await;
    assert_eq!(shown.status, StatusCode::OK, "{}", shown.text);
    let recipe = &shown.json()["recipe"];
    assert_eq!(recipe["steps"][0]["templates"][1]["part"], "Idempotency-Key");
    assert!(recipe["steps"][0]["templates"][2]["text"].as_str().unwrap().contains("crossdock.pick_list.v1"));
    assert_eq!(recipe["with"]["partner_key"], "•••");
    assert!(!shown.text.contains("hush-hush"));
    assert_eq!(site.get("/destinations/nowhere").await.status, StatusCode::NOT_FOUND);
    // Nor does a template see it.
    let sent = tried(&site, "body", r#"{"key": "{{ with.partner_key }}", "all": {{ with | json }}}"#).await;
    assert!(sent.to_string().contains("•••") && !sent.to_string().contains("hush-hush"), "{sent}");
}

#[tokio::test]
async fn an_order_a_sample_a_payload_and_a_document_are_rendered() {
    let site = Site::open().await;
    let sample = render(&site, Role::Operator, &json!({ "sample": "bundle" })).await.json();
    let request = &sample["requests"][0];
    assert_eq!(
        (&request["step"], &request["method"], &sample["from"]),
        (&json!("create"), &json!("POST"), &json!("sample"))
    );
    assert!(request["body"].as_str().unwrap().contains("crossdock.pick_list.v1"));
    let order: Value = serde_json::from_str(ORDER).unwrap();
    let brought = render(&site, Role::Operator, &json!({ "order": order })).await.json();
    assert_eq!((&brought["from"], &brought["masked"]), (&json!("order"), &json!(false)));
    let (_, document) = site.delivered("000000042").await;
    let stored = render(&site, Role::Operator, &json!({ "document_id": document })).await;
    assert_eq!(stored.status, StatusCode::OK, "{}", stored.text);
    assert_eq!(stored.json()["from"], "document");
    let by_number = render(&site, Role::Operator, &json!({ "increment_id": "000000042" })).await.json();
    assert_eq!((&by_number["from"], &by_number["masked"]), (&json!("document"), &json!(true)), "its payload is a hint");
    let asked = [
        (json!({}), 400),
        (json!({ "sample": "simple", "increment_id": "1" }), 400),
        (json!({ "sample": "nothing" }), 404),
        (json!({ "increment_id": "999" }), 404),
        (json!({ "document_id": "doc_x" }), 400),
        (json!({ "sample": "simple", "file": "/etc/passwd" }), 422),
    ];
    let no_order = render(&site, Role::Operator, &json!({ "order": 7 })).await.json();
    assert!(no_order["problems"][0]["message"].is_string() && no_order["requests"] == json!([]), "{no_order}");
    for (body, status) in asked {
        assert_eq!(render(&site, Role::Operator, &body).await.status.as_u16(), status, "{body}");
    }
}

#[tokio::test]
async fn a_template_in_other_words_is_shown_or_says_at_which_line_it_fails() {
    let site = Site::open().await;
    let sent = tried(&site, "body", "{\n  \"mine\": \"{{ order.increment_id }}\"\n}").await;
    assert!(sent["requests"][0]["body"].as_str().unwrap().contains("\"mine\""), "{sent}");
    let sent = tried(&site, "idempotency-key", "fixed").await;
    assert!(sent["requests"][0]["headers"].to_string().contains("fixed"));
    // What cannot be read, and what cannot be written.
    let unread = tried(&site, "body", "{\n{% if %}\n}").await;
    assert_eq!((&unread["problem"]["line"], &unread["requests"]), (&json!(2), &json!([])), "{unread}");
    let unwritten = tried(&site, "body", "{\n\n\"a\": {{ nothing.there }}}").await;
    assert_eq!(unwritten["requests"][0]["line"], 3, "{unwritten}");
    let elsewhere = tried(&site, "path", "/../../x?{{ 1 }}").await;
    assert!(elsewhere["requests"][0]["problem"].as_str().unwrap().contains("another place"), "{elsewhere}");
    for (step, part) in [("nothing", "body"), ("create", "x-nothing")] {
        let body = json!({ "sample": "simple", "template": { "step": step, "part": part, "text": "" } });
        let answer = render(&site, Role::Mapper, &body).await.json();
        assert!(answer["problem"]["message"].is_string(), "{answer}");
    }
}

/// Whoever writes them: bounded in steps, bytes and depth, and without a way to files, the network or each other.
#[tokio::test]
async fn poi_3_a_template_that_is_tried_cannot_take_more_than_its_share() {
    let site = Site::open().await;
    let doubled = format!("{{% set x = \"aaaaaaaa\" %}}{}{{{{ x }}}}", "{% set x = x ~ x %}".repeat(64));
    let captured =
        format!("{{% set x = \"aaaaaaaa\" %}}{}{{{{ x }}}}", "{% set x %}{{ x }}{{ x }}{% endset %}".repeat(64));
    let loops =
        "{% for a in lines %}".to_owned() + &"{% for b in \"x\" * 1000 %}".repeat(4) + "x" + &"{% endfor %}".repeat(5);
    let deep = format!("{}1{}", "{{ (".to_owned() + &"(".repeat(20_000), ")".repeat(20_001) + " }}");
    let texts = [
        doubled,
        captured,
        loops,
        deep,
        "{{ \"a\" * 90000000 }}".to_owned(),
        "{{ (\"ab\" * 4000000) | replace(\"a\", \"b\" * 4000000) }}".to_owned(),
        "{{ (\"a\" * 20000000) | wrapped(1) | json }}".to_owned(),
        "{% include \"create.body\" %}".to_owned(),
        "{%\nmacro a() %}{{ a() }}{% endmacro %}{{ a() }}".to_owned(),
        "{%-\n\timport \"/etc/passwd\" as x %}".to_owned(),
        "{{ \"a\" * 2000000 }}".to_owned(),
        "x".repeat(65 * 1024),
    ];
    for text in texts {
        let begun = std::time::Instant::now();
        let answer = tried(&site, "body", &text).await;
        let problem = answer["problem"]["message"].as_str().or(answer["requests"][0]["problem"].as_str());
        let short: String = text.chars().take(60).collect();
        assert!(problem.is_some_and(|problem| problem.len() < 2_000), "{short}: {}", answer.to_string().len());
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{short} took {:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn dat_3_who_the_buyer_is_is_shown_for_a_reason_alone_and_the_audit_keeps_it() {
    let site = Site::open().await;
    let (_, document) = site.delivered("000000042").await;
    let template = json!({ "step": "create", "part": "body", "text": "{\"all\": {{ document | json }}}" });
    let body = json!({ "document_id": document, "template": template });
    let hidden = render(&site, Role::Mapper, &body).await;
    assert!(hidden.json()["masked"] == true && !hidden.text.contains("anna@example.com"), "{}", hidden.text);
    let mut asking = body.clone();
    asking["reveal"] = true.into();
    assert_eq!(render(&site, Role::Operator, &asking).await.status, StatusCode::BAD_REQUEST, "without a reason");
    asking["reason"] = "the street is cut off".into();
    assert_eq!(render(&site, Role::Mapper, &asking).await.status, StatusCode::FORBIDDEN);
    assert_eq!(render(&site, Role::Viewer, &body).await.status, StatusCode::FORBIDDEN);
    assert_eq!(render(&site, Role::Finance, &body).await.status, StatusCode::FORBIDDEN);
    let whole = render(&site, Role::Operator, &asking).await;
    assert!(whole.text.contains("anna@example.com"), "{}", whole.text);
    let audit = site.call(Role::Admin, "GET", "/audit", &[], "").await.json();
    let newest = &audit["items"][0];
    assert_eq!(
        (&newest["action"], &newest["target"], &newest["reason"]),
        (&json!("personal_data.reveal"), &json!(document), &json!("the street is cut off"))
    );
}
