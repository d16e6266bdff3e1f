//! Origins: who may send to us, what came of it, and whether they would reach us.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tokio::sync::Semaphore;

use super::error::{ApiError, Kind};
use super::extract::FromPath;
use super::state::{Api, Checked, OriginView};
use crate::access::Operator;
use crate::access::roles::{CanCheckOrigins, CanRead};
use crate::observe::Event;
use crate::store::view::Page;

/// One at a time: each is requests to ourselves and to Commerce.
static TURN: Semaphore = Semaphore::const_new(1);
/// Longest check.
const PATIENCE: Duration = Duration::from_mins(1);
/// Verdicts that keep an origin from being right.
const WRONG: [&str; 4] = ["failed", "missing", "differs", "unknown"];

/// What a check found.
#[derive(Debug, Serialize)]
pub struct CheckView {
    origin: String,
    /// Nothing is known to be wrong.
    fine: bool,
    /// What is wrong, or that nothing is.
    sentence: String,
    lines: Vec<Checked>,
}

/// `GET /origins`
pub async fn list(_operator: Operator<CanRead>, State(api): State<Api>) -> Json<Page<OriginView>> {
    Json(Page { items: api.engines.origins(), next_cursor: None })
}

/// `POST /origins/{name}/check`
pub async fn check(
    operator: Operator<CanCheckOrigins>,
    State(api): State<Api>,
    FromPath(name): FromPath<String>,
) -> Result<Json<CheckView>, ApiError> {
    let absent = || ApiError::new(Kind::NotFound, "no origin of that name is configured");
    if !api.engines.origins().iter().any(|origin| origin.door.name == name) {
        return Err(absent());
    }
    let busy = || ApiError::new(Kind::Unavailable, "another check is running; try again in a moment");
    let _turn = TURN.try_acquire().map_err(|_| busy())?;
    // Written down first: the requests leave the house.
    let act = operator.act("origin.check", &name, api.clock.now());
    let actor = act.actor.clone();
    api.store.record(act).await?;
    api.observer.note(&Event::OperatorActed { actor: &actor, action: "origin.check", target: &name });
    let late = || ApiError::new(Kind::Unavailable, "the check took too long");
    let checking = api.engines.check_origin(name.clone());
    let lines = tokio::time::timeout(PATIENCE, checking).await.map_err(|_| late())??.ok_or_else(absent)?;
    let wrong = lines.iter().find(|line| WRONG.contains(&line.verdict));
    let sentence = match wrong {
        Some(line) => format!("{}: {}", line.what, line.detail),
        None => "As far as can be told from here, it is as it should be".to_owned(),
    };
    Ok(Json(CheckView { fine: wrong.is_none(), origin: name, sentence, lines }))
}
