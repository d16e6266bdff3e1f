//! Acts on many records: what one would be, how one stands, and all of them.

use axum::extract::Path;
use serde_json::{Map, Value, json};

use super::{Asked, Shown, asked, member};
use crate::access::mask;
use crate::console::acts::moment;
use crate::console::desk::{Desk, Fields, query, segment};

/// What a list may be narrowed by, under the same names there and here.
const TEXTS: [&str; 10] =
    ["state", "origin", "kind", "destination", "code", "fingerprint", "severity", "owner", "assignee", "text"];

/// `GET /console/bulk`
pub async fn list(desk: Desk, asked_for: Asked) -> Shown {
    let fields = asked(asked_for);
    let of = |name| (name, member(&fields, name));
    let found = desk.get(&format!("/bulk{}", query(&[of("state"), of("cursor"), ("limit", Some("50"))]))).await?;
    let context = json!({
        "title": "Acts on many", "nav": "bulk", "acts": found["items"], "next": found["next_cursor"], "asked": fields,
    });
    Ok(desk.page("bulk-list.html", context))
}

/// `GET /console/bulk/new`: what an act would be; nothing is written.
pub async fn preview(desk: Desk, asked_for: Asked) -> Shown {
    let fields = asked(asked_for);
    let what = member(&fields, "what").filter(|what| *what == "resend").unwrap_or("replay");
    let filter = filter(&fields);
    // Everything that a shop ever sold is nobody's intention: it is asked first since when.
    let is_bounded = what == "replay" || filter.contains_key("since") || filter.contains_key("increment_ids");
    let mut preview = Value::Null;
    if is_bounded {
        preview = desk.get(&format!("/bulk/preview{}", as_query(what, &filter))).await?;
        mask::preview(&mut preview);
    }
    let context = json!({
        "title": if what == "resend" { "Send again what was sent" } else { "Process again" },
        "nav": if what == "resend" { "deliveries" } else { "exceptions" },
        "what": what, "filter": Value::Object(filter).to_string(), "preview": preview, "asked": fields,
    });
    Ok(desk.page("bulk-new.html", context))
}

/// `GET /console/bulk/{id}`
pub async fn show(desk: Desk, Path(id): Path<String>, asked_for: Asked) -> Shown {
    let fields = asked(asked_for);
    let of = |name| (name, member(&fields, name));
    let page = query(&[of("state"), of("cursor"), ("limit", Some("50"))]);
    let bulk = desk.get(&format!("/bulk/{}{page}", segment(&id))).await?;
    let context = json!({ "title": "Act on many", "nav": "bulk", "bulk": bulk, "asked": fields });
    Ok(desk.page("bulk.html", context))
}

/// A form's fields, or a list's query, as the API wants a filter.
fn filter(fields: &Fields) -> Map<String, Value> {
    let mut filter = Map::new();
    for name in TEXTS {
        filter.extend(member(fields, name).map(|text| (name.to_owned(), Value::from(text))));
    }
    for name in ["since", "until"] {
        filter.extend(member(fields, name).map(|text| (name.to_owned(), Value::from(moment(text)))));
    }
    if member(fields, "overdue") == Some("true") {
        filter.insert("overdue".to_owned(), Value::from(true));
    }
    let apart = |letter: char| letter.is_whitespace() || letter == ',';
    let numbers: Vec<&str> = fields
        .get("increment_id")
        .map(|text| text.split(apart).filter(|one| !one.is_empty()).collect())
        .unwrap_or_default();
    if !numbers.is_empty() {
        filter.insert("increment_ids".to_owned(), Value::from(numbers));
    }
    filter
}

/// The same as a query.
fn as_query(what: &str, filter: &Map<String, Value>) -> String {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    };
    let members: Vec<(&str, String)> = filter.iter().map(|(name, value)| (name.as_str(), text(value))).collect();
    let members = members.iter().map(|(name, text)| (*name, Some(text.as_str())));
    query(&[("what", Some(what))].into_iter().chain(members).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lists_query_is_a_filter_and_what_is_no_filter_is_left_out() {
        let fields: Fields = [
            ("what", "resend"),
            ("state", "delivered"),
            ("destination", " erp "),
            ("increment_id", "000000001, 000000002\n000000003"),
            ("since", "2026-12-01T10:00"),
            ("overdue", "false"),
            ("cursor", "abc"),
            ("code", ""),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let expected = json!({
            "state": "delivered", "destination": "erp", "since": "2026-12-01T10:00:00Z",
            "increment_ids": ["000000001", "000000002", "000000003"],
        });
        assert_eq!(Value::Object(filter(&fields)), expected);
        assert!(filter(&Fields::default()).is_empty());
        let asked = as_query("resend", &filter(&fields));
        assert!(
            asked.starts_with("?what=resend&") && asked.contains("increment_ids=000000001%2C000000002%2C000000003"),
            "{asked}"
        );
    }
}
