//! Recorded conversations, vectors of our own, and the client against a small server on a real socket.

mod helpers;
mod signing;
mod wire;

use super::Auth;
use super::double::Scripted;
use super::orders::{by_id, by_number};
use super::search::Search;
use super::{RestError, error};

fn bearer() -> Auth {
    Auth::Bearer("t".to_owned())
}

#[test]
fn parameters_are_filled_in_by_position_and_by_name() {
    let cases = [
        (r#"{"message":"The \"%1\" of %2 is %1","parameters":["%2","b"]}"#, r#"The "%2" of b is %2"#),
        (r#"{"message":"\"%fieldName\" is required.","parameters":{"fieldName":"items"}}"#, r#""items" is required."#),
        (r#"{"message":"100% wrong"}"#, "100% wrong"),
        (r#"{"message":"Failed","errors":[{"message":"%field no","parameters":{"field":"sku"}}]}"#, "Failed; sku no"),
        (r#"{"messages":{"error":[{"code":500,"message":"Fatal"}]}}"#, "Fatal"),
    ];
    for (body, wanted) in cases {
        let found = error::of(400, body.as_bytes(), None, &bearer());
        assert_eq!(found, RestError::Refused { status: 400, message: wanted.to_owned() });
    }
}

#[test]
fn a_refusal_says_what_to_look_at() {
    let acl = br#"{"message":"The consumer isn't authorized to access %resources.","parameters":{"resources":"Magento_Sales::actions_view"}}"#;
    let text = error::of(401, acl, None, &bearer()).to_string();
    assert!(text.contains("Magento_Sales::actions_view") && text.contains("enable_integration_as_bearer 1"), "{text}");
    let text = error::of(401, br#"{"message":"The signature is invalid. Verify and try again."}"#, None, &bearer());
    assert!(text.to_string().contains("X-Forwarded-Proto"), "{text}");
}

#[test]
fn a_page_is_never_repeated() {
    let text = error::of(503, b"<html>secret</html>", None, &bearer()).to_string();
    assert!(text.contains("HTML") && !text.contains("secret"), "{text}");
}

#[tokio::test]
async fn an_order_keeps_its_own_text() {
    let rest = Scripted::new()
        .then(r#"{"entity_id": 7}"#)
        .then(r#"{"items":[ {"grand_total": 10.0000,  "entity_id":7} ],"total_count":1}"#)
        .then(r#"{"items":null,"total_count":0}"#)
        .then(r#"{"items":[{},{}],"total_count":2}"#);
    assert_eq!(by_id(&rest, 7).await.unwrap(), r#"{"entity_id": 7}"#);
    let found = by_number(&rest, "000000007", Some("1")).await.unwrap().unwrap();
    assert_eq!(found, r#"{"grand_total": 10.0000,  "entity_id":7}"#);
    assert_eq!(by_number(&rest, "8", None).await.unwrap(), None);
    assert!(matches!(by_number(&rest, "9", None).await, Err(RestError::Refused { .. })));
    let calls = rest.calls();
    assert_eq!(calls[0].path, "/V1/orders/7");
    assert!(calls[1].query.iter().any(|(_, value)| value == "000000007"));
}

#[test]
fn criteria_are_numbered_by_group_filter_and_sort() {
    let pairs = Search::new()
        .filter("updated_at", "gteq", "2026-01-01 10:00:00")
        .any_of(&[("state", "eq", "new"), ("state", "eq", "processing")])
        .sort("entity_id", true)
        .size(50)
        .page(2)
        .fields("items[entity_id]")
        .pairs();
    let line = |at: usize| format!("{}={}", pairs[at].0, pairs[at].1);
    assert_eq!(line(1), "searchCriteria[filter_groups][0][filters][0][condition_type]=gteq");
    assert_eq!(line(8), "searchCriteria[filter_groups][1][filters][1][value]=processing");
    assert_eq!(line(10), "searchCriteria[sortOrders][0][direction]=ASC");
    assert_eq!(
        (line(11), line(12)),
        ("searchCriteria[pageSize]=50".to_owned(), "searchCriteria[currentPage]=2".to_owned())
    );
    assert_eq!(pairs.len(), 14);
    assert_eq!(Search::new().pairs(), [("searchCriteria".to_owned(), String::new())]);
}
