//! What people are told of, and who is told.

use serde_json::json;

use super::Shown;
use crate::console::desk::Desk;

/// `GET /console/alerts`
pub async fn list(desk: Desk) -> Shown {
    let alerts = desk.get("/alerts").await?;
    let contacts = desk.get("/alerts/contacts").await?;
    let context =
        json!({ "title": "Alerts", "nav": "alerts", "alerts": alerts["items"], "contacts": contacts["items"] });
    Ok(desk.page("alerts.html", context))
}
