//! Destinations: whether they take deliveries, what they are sent of an order, and the incidents they had.

use axum::Form;
use axum::extract::Path;
use axum::http::Method;
use serde_json::{Map, Value, json};

use super::Shown;
use crate::console::acts::{field, told};
use crate::console::desk::{Call, Desk, Fields, segment};
use crate::json::indented;

/// As much of a body as a page shows.
const BODY_CHARS: usize = 100_000;

/// `GET /console/destinations`
pub async fn list(desk: Desk) -> Shown {
    let destinations = desk.get("/destinations").await?;
    let traffic = desk.get_if("/traffic").await?.unwrap_or(Value::Null);
    let context = json!({
        "title": "Destinations", "nav": "destinations", "destinations": destinations["items"], "traffic": traffic["destinations"],
    });
    Ok(desk.page("destinations.html", context))
}

/// `GET /console/destinations/{name}`
pub async fn show(desk: Desk, Path(name): Path<String>) -> Shown {
    page(desk, &name, &Fields::new(), Value::Null).await
}

/// `POST /console/destinations/{name}`: the same page with what would be sent. Nothing is kept, so it has no name of its own.
pub async fn preview(desk: Desk, Path(name): Path<String>, Form(mut fields): Form<Fields>) -> Shown {
    // A form's lines end as the internet ends them; a file's do not.
    if let Some(text) = fields.get_mut("text") {
        *text = text.replace("\r\n", "\n");
    }
    let body = asked_for(&fields).to_string().into_bytes();
    let path = format!("/destinations/{}/render", segment(&name));
    let call = Call { path, body: Some(("application/json", body)), headers: told(&fields) };
    let answered = desk.call(Method::POST, call).await;
    let mut rendering = match desk.json(&answered) {
        Ok(rendering) => rendering,
        // What can be put right in the form is said beside it.
        Err(refused) if matches!(refused.status.as_u16(), 400 | 404 | 422 | 503) => {
            json!({ "refused": refused.problem })
        }
        Err(refused) => return Err(refused),
    };
    for request in rendering["requests"].as_array_mut().into_iter().flatten() {
        let Some(body) = request["body"].as_str() else { continue };
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(body).is_ok();
        let body = if is_json { indented(body) } else { body.to_owned() };
        request["body"] = body.chars().take(BODY_CHARS).collect::<String>().into();
    }
    page(desk, &name, &fields, rendering).await
}

/// The body of the call: an order's number before a sample, and a template only where one was changed.
fn asked_for(fields: &Fields) -> Value {
    let mut asked = Map::new();
    let mut add = |name: &str, value: Value| drop(asked.insert(name.to_owned(), value));
    match field(fields, "order") {
        Some(number) => add("increment_id", number.into()),
        None => add("sample", field(fields, "sample").unwrap_or("simple").into()),
    }
    if let (Some(step), Some(part)) = (field(fields, "step"), field(fields, "part")) {
        let text = fields.get("text").map(String::as_str).unwrap_or_default();
        add("template", json!({ "step": step, "part": part, "text": text }));
    }
    if field(fields, "reveal").is_some() {
        add("reveal", true.into());
        add("reason", field(fields, "reason").unwrap_or_default().into());
    }
    Value::Object(asked)
}

async fn page(desk: Desk, name: &str, fields: &Fields, rendering: Value) -> Shown {
    let destination = desk.get(&format!("/destinations/{}", segment(name))).await?;
    let context = json!({
        "title": name, "nav": "destinations", "destination": destination, "rendering": rendering, "tried": fields,
    });
    Ok(desk.page("destination.html", context))
}

/// `GET /console/incidents`
pub async fn incidents(desk: Desk) -> Shown {
    let incidents = desk.get("/incidents").await?;
    Ok(desk.page(
        "incidents.html",
        json!({ "title": "Incidents", "nav": "destinations", "incidents": incidents["items"] }),
    ))
}
