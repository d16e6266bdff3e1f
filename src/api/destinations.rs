//! Destinations: whether they take deliveries, and opening one that is held.

use axum::Json;
use axum::extract::State;

use super::error::{ApiError, Kind};
use super::extract::{FromPath, FromQuery};
use super::page::WhyQuery;
use super::state::{Api, DestinationView};
use crate::access::Operator;
use crate::access::roles::{CanHoldDestinations, CanRead, CanReleaseDestinations};
use crate::exceptions::handling;
use crate::observe::Event;
use crate::store::running::Hold;
use crate::store::view::Page;

/// As much as a reason may say.
const REASON_CHARS_MAX: usize = 500;

/// `GET /destinations`
pub async fn list(_operator: Operator<CanRead>, State(api): State<Api>) -> Json<Page<DestinationView>> {
    Json(Page { items: api.engines.destinations(), next_cursor: None })
}

/// `POST /destinations/{name}/hold`
pub async fn hold(
    operator: Operator<CanHoldDestinations>,
    State(api): State<Api>,
    FromPath(name): FromPath<String>,
    FromQuery(why): FromQuery<WhyQuery>,
) -> Result<Json<DestinationView>, ApiError> {
    let absent = || ApiError::new(Kind::NotFound, "no destination of that name is configured");
    let view = |api: &Api| api.engines.destinations().into_iter().find(|view| view.name == name).ok_or_else(absent);
    let before = view(&api)?;
    let said = why.reason.trim();
    if said.is_empty() || said.chars().count() > REASON_CHARS_MAX {
        return Err(ApiError::bad_request(format!(
            "say why: reason has from 1 to {REASON_CHARS_MAX} characters, and whoever lets it go reads it"
        )));
    }
    let mut act = operator.act("destination.hold", &name, api.clock.now());
    act.before = serde_json::json!({ "state": before.state, "reason": before.reason }).to_string();
    act.after = serde_json::json!({ "state": "held" }).to_string();
    said.clone_into(&mut act.reason);
    let actor = act.actor.clone();
    let reason = format!("held by {}: {said}", handling::name_of(&actor));
    let hold = Hold { destination: name.clone(), reason: reason.clone(), held_by: actor.clone(), held_at: act.at };
    // At once: what leaves after the answer would be what the person wanted to stop.
    if !api.engines.hold_destination(&name, &reason) {
        return Err(absent());
    }
    if let Err(error) = api.store.hold_destination(hold, act).await {
        // What nobody wrote down would be held by nobody. What held it before holds it again at its next refusal.
        api.engines.release_destination(&name);
        return Err(error.into());
    }
    api.observer.note(&Event::OperatorActed { actor: &actor, action: "destination.hold", target: &name });
    view(&api).map(Json)
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
    api.store.release_destination(name.clone(), act).await?;
    if !api.engines.release_destination(&name) {
        return Err(absent());
    }
    api.observer.note(&Event::OperatorActed { actor: &actor, action: "destination.release", target: &name });
    api.engines.destinations().into_iter().find(|view| view.name == name).map(Json).ok_or_else(absent)
}
