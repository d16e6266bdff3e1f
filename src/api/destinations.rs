//! Destinations: whether they take deliveries, and opening one that is held.

use axum::Json;
use axum::extract::State;

use super::error::{ApiError, Kind};
use super::extract::FromPath;
use super::state::{Api, DestinationView};
use crate::access::Operator;
use crate::access::roles::{CanRead, CanReleaseDestinations};
use crate::observe::Event;
use crate::store::view::Page;

/// `GET /destinations`
pub async fn list(_operator: Operator<CanRead>, State(api): State<Api>) -> Json<Page<DestinationView>> {
    Json(Page { items: api.engines.destinations(), next_cursor: None })
}

/// `POST /destinations/{name}/release`
pub async fn release(
    operator: Operator<CanReleaseDestinations>,
    State(api): State<Api>,
    FromPath(name): FromPath<String>,
) -> Result<Json<DestinationView>, ApiError> {
    let absent = || ApiError::new(Kind::NotFound, "no destination of that name is configured");
    if !api.engines.release_destination(&name) {
        return Err(absent());
    }
    let actor = operator.actor().to_string();
    api.observer.note(&Event::OperatorActed { actor: &actor, action: "destination.release", target: &name });
    api.engines.destinations().into_iter().find(|view| view.name == name).map(Json).ok_or_else(absent)
}
