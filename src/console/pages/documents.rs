//! A document as it was made, and the event it was made from.

use axum::extract::Path;
use serde_json::{Value, json};

use super::Shown;
use super::orders::document_view;
use crate::console::desk::{Desk, segment};
use crate::exceptions::edit::rules;

/// `GET /console/documents/{id}`
pub async fn show(desk: Desk, Path(id): Path<String>) -> Shown {
    let document = desk.get(&format!("/documents/{}", segment(&id))).await?;
    let context = json!({ "title": "Document", "nav": "orders", "document": document_view(&document) });
    Ok(desk.page("document.html", context))
}

/// `GET /console/deliveries/{id}/edit`
pub async fn edit(desk: Desk, Path(id): Path<String>) -> Shown {
    let delivery = desk.get(&format!("/deliveries/{}", segment(&id))).await?;
    let document = delivery["document_id"].as_str().unwrap_or_default();
    let document = desk.get(&format!("/documents/{}", segment(document))).await?;
    let places: Vec<Value> =
        rules::editable(&document["body"]).iter().map(|(path, value)| place(path, value)).collect();
    let text = serde_json::to_string_pretty(&document["body"]).unwrap_or_default();
    let context = json!({
        "title": "Edit a document", "nav": "deliveries", "delivery": delivery, "document": document, "places": places,
        "text": text,
    });
    Ok(desk.page("edit.html", context))
}

/// A place of a document as a field of a form.
fn place(path: &str, value: &Value) -> Value {
    let lines = value.as_array().map(|lines| lines.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n"));
    let text = lines.clone().unwrap_or_else(|| value.as_str().unwrap_or_default().to_owned());
    let long = lines.is_some() || path.ends_with("/note") || text.contains('\n') || text.chars().count() > 80;
    json!({ "path": path, "label": label(path), "lines": lines.is_some(), "text": text, "long": long })
}

/// `/lines/0/options/1/value` as `Line 1 option 2 value`.
fn label(path: &str) -> String {
    let mut words = Vec::new();
    let mut parts = path.split('/').filter(|part| !part.is_empty() && *part != "order").peekable();
    while let Some(part) = parts.next() {
        match parts.peek().and_then(|next| next.parse::<usize>().ok()) {
            Some(index) => {
                words.push(format!("{} {}", part.strip_suffix('s').unwrap_or(part), index + 1));
                parts.next();
            }
            None => words.push(part.replace('_', " ")),
        }
    }
    let words = words.join(" ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// `GET /console/events/{id}`
pub async fn event(desk: Desk, Path(id): Path<String>) -> Shown {
    let event = desk.get(&format!("/events/{}", segment(&id))).await?;
    let why = desk.get(&format!("/events/{}/explain", segment(&id))).await?;
    Ok(desk
        .page("event.html", json!({ "title": "Event", "nav": "orders", "event": event, "sentence": why["sentence"] })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_names_that_people_read() {
        assert_eq!(label("/order/shipping_address/first_name"), "Shipping address first name");
        assert_eq!(label("/lines/0/options/1/value"), "Line 1 option 2 value");
        assert_eq!(label("/order/note"), "Note");
    }
}
