//! Origins: who sends to us, what came of it, and how far the searches in Commerce got.

use serde_json::{Value, json};

use super::Shown;
use crate::console::desk::Desk;

/// `GET /console/origins`
pub async fn list(desk: Desk) -> Shown {
    let origins = desk.get("/origins").await?;
    let catchup = desk.get("/catchup").await?;
    let gaps = desk.get_if("/catchup/gaps").await?.unwrap_or(Value::Null);
    let context = json!({ "title": "Origins", "nav": "origins", "origins": origins["items"], "catchup": catchup["items"], "gaps": gaps["items"] });
    Ok(desk.page("origins.html", context))
}
