//! Destinations: whether they take deliveries, and the incidents they had.

use serde_json::{Value, json};

use super::Shown;
use crate::console::desk::Desk;

/// `GET /console/destinations`
pub async fn list(desk: Desk) -> Shown {
    let destinations = desk.get("/destinations").await?;
    let traffic = desk.get_if("/traffic").await?.unwrap_or(Value::Null);
    let context = json!({
        "title": "Destinations", "nav": "destinations", "destinations": destinations["items"], "traffic": traffic["destinations"],
    });
    Ok(desk.page("destinations.html", context))
}

/// `GET /console/incidents`
pub async fn incidents(desk: Desk) -> Shown {
    let incidents = desk.get("/incidents").await?;
    Ok(desk.page(
        "incidents.html",
        json!({ "title": "Incidents", "nav": "destinations", "incidents": incidents["items"] }),
    ))
}
