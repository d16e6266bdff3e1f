//! Who did what.

use serde_json::json;

use super::{Asked, Shown, asked, member};
use crate::console::desk::{Desk, query};

/// `GET /console/audit`
pub async fn list(desk: Desk, asked_for: Asked) -> Shown {
    let fields = asked(asked_for);
    let rows =
        desk.get(&format!("/audit{}", query(&[("cursor", member(&fields, "cursor")), ("limit", Some("50"))]))).await?;
    let context = json!({ "title": "Audit log", "nav": "audit", "rows": rows["items"], "next": rows["next_cursor"] });
    Ok(desk.page("audit.html", context))
}
