//! One's own account: password, second factor, sessions.

use serde_json::{Value, json};

use super::Shown;
use crate::console::desk::Desk;

/// `GET /console/account`
pub async fn show(desk: Desk) -> Shown {
    // A token is nobody's account; the page says so.
    let session = desk.get_if("/session").await?.unwrap_or(Value::Null);
    Ok(desk.page("account.html", json!({ "title": "Your account", "nav": "account", "session": session })))
}
