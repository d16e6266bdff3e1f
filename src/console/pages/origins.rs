//! Origins: who sends to us, when they did last, and how far the searches in Commerce got.

use serde_json::{Value, json};

use super::Shown;
use crate::console::desk::{Desk, query};

/// `GET /console/origins`
pub async fn list(desk: Desk) -> Shown {
    let mut origins = Vec::new();
    for origin in &desk.console().origins {
        let last =
            desk.get(&format!("/events{}", query(&[("origin", Some(&origin.name)), ("limit", Some("1"))]))).await?;
        origins.push(json!({ "origin": origin, "last": last["items"][0] }));
    }
    let catchup = desk.get("/catchup").await?;
    let gaps = desk.get_if("/catchup/gaps").await?.unwrap_or(Value::Null);
    let context = json!({ "title": "Origins", "nav": "origins", "origins": origins, "catchup": catchup["items"], "gaps": gaps["items"] });
    Ok(desk.page("origins.html", context))
}
