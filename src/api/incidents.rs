//! Incidents: which destination is in trouble, since when, how much is safe with us, and when it will be drained.

use axum::Json;
use axum::extract::State;

use super::error::ApiError;
use super::extract::FromPath;
use super::state::Api;
use crate::access::Operator;
use crate::access::roles::CanRead;
use crate::envelope::ids::IncidentId;
use crate::incidents::{self, IncidentView};
use crate::store::view::Page;

/// `GET /incidents`
pub async fn list(_operator: Operator<CanRead>, State(api): State<Api>) -> Result<Json<Page<IncidentView>>, ApiError> {
    Ok(Json(Page { items: incidents::views(&api.store).await?, next_cursor: None }))
}

/// `GET /incidents/{id}`
pub async fn show(
    _operator: Operator<CanRead>,
    State(api): State<Api>,
    FromPath(id): FromPath<IncidentId>,
) -> Result<Json<IncidentView>, ApiError> {
    let found = incidents::views(&api.store).await?.into_iter().find(|view| view.incident.id == id);
    found.map(Json).ok_or_else(|| ApiError::not_found(id.to_string()))
}
