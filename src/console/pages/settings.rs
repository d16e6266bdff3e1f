//! The installation, its tokens, and the people who may sign in.

use serde_json::json;

use super::Shown;
use crate::console::desk::Desk;

/// `GET /console/settings`
pub async fn show(desk: Desk) -> Shown {
    let version = desk.get("/version").await?;
    let tokens = desk.get_if("/tokens").await?;
    let users = desk.get_if("/users").await?;
    let ledger = desk.get("/ledger").await?;
    let context = json!({ "title": "Settings", "nav": "settings", "version": version, "tokens": tokens, "users": users, "ledger": ledger });
    Ok(desk.page("settings.html", context))
}
