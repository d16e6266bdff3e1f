//! A document as it was made, and the event it was made from.

use axum::extract::Path;
use serde_json::json;

use super::Shown;
use super::orders::document_view;
use crate::console::desk::{Desk, segment};

/// `GET /console/documents/{id}`
pub async fn show(desk: Desk, Path(id): Path<String>) -> Shown {
    let document = desk.get(&format!("/documents/{}", segment(&id))).await?;
    let context = json!({ "title": "Document", "nav": "orders", "document": document_view(&document) });
    Ok(desk.page("document.html", context))
}

/// `GET /console/events/{id}`
pub async fn event(desk: Desk, Path(id): Path<String>) -> Shown {
    let event = desk.get(&format!("/events/{}", segment(&id))).await?;
    let why = desk.get(&format!("/events/{}/explain", segment(&id))).await?;
    Ok(desk
        .page("event.html", json!({ "title": "Event", "nav": "orders", "event": event, "sentence": why["sentence"] })))
}
