//! Destinations: whether they take deliveries, and opening one that is held.

use axum::Json;
use axum::extract::State;

use super::error::{ApiError, Kind};
use super::extract::{FromPath, FromQuery};
use super::page::WhyQuery;
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
    FromQuery(why): FromQuery<WhyQuery>,
) -> Result<Json<DestinationView>, ApiError> {
    let absent = || ApiError::new(Kind::NotFound, "no destination of that name is configured");
    let before = api.engines.destinations().into_iter().find(|view| view.name == name).ok_or_else(absent)?;
    let mut act = operator.act("destination.release", &name, api.clock.now());
    act.before = serde_json::json!({ "state": before.state, "reason": before.reason }).to_string();
    act.after = serde_json::json!({ "state": "open" }).to_string();
    act.reason = why.reason;
    let actor = act.actor.clone();
    // Written down first: what was let go without a record could not be told from what opened by itself. Should we die
    // in between, the restart opens the destination too.
    api.store.record(act).await?;
    if !api.engines.release_destination(&name) {
        return Err(absent());
    }
    api.observer.note(&Event::OperatorActed { actor: &actor, action: "destination.release", target: &name });
    api.engines.destinations().into_iter().find(|view| view.name == name).map(Json).ok_or_else(absent)
}
