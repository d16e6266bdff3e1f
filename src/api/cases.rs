//! Exceptions in people's hands: whose one is, until when it rests, what was noted, and that nothing shall come of it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::error::{ApiError, ProblemLine};
use super::exceptions;
use super::extract::{FromJson, FromPath};
use super::state::Api;
use crate::access::Operator;
use crate::access::roles::{CanDecide, CanRead, CanReplay, Permission};
use crate::clock::Timestamp;
use crate::envelope::ids::ExceptionId;
use crate::exceptions::{due, handling};
use crate::observe::Event;
use crate::store::books::{Done, KeptAnswer, Shown};
use crate::store::cases::{Handling, Note, Step};
use crate::store::view::{ExceptionRow, Page};

/// Body of an assignment.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssignBody {
    /// A name, `me`, or nobody: `null`.
    to: Option<String>,
    #[serde(default)]
    reason: String,
}

/// Body that puts an exception off.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnoozeBody {
    /// `null` wakes it.
    until: Option<Timestamp>,
    #[serde(default)]
    reason: String,
}

/// Body that dismisses an exception.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DismissBody {
    reason: String,
}

/// Body of a note.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoteBody {
    text: String,
}

/// `POST /exceptions/{id}/assign`
pub async fn assign(
    operator: Operator<CanReplay>,
    State(api): State<Api>,
    FromPath(id): FromPath<ExceptionId>,
    FromJson(body): FromJson<AssignBody>,
) -> Result<Json<ExceptionRow>, ApiError> {
    let to = handling::person(body.to.as_deref(), &operator.actor().to_string());
    let step = to.map(Step::Assign).map_err(|why| refused("/to", why))?;
    handle(&api, &operator, id, ("exception.assign", body.reason), step).await
}

/// `POST /exceptions/{id}/snooze`
pub async fn snooze(
    operator: Operator<CanReplay>,
    State(api): State<Api>,
    FromPath(id): FromPath<ExceptionId>,
    FromJson(body): FromJson<SnoozeBody>,
) -> Result<Json<ExceptionRow>, ApiError> {
    let step = handling::snooze(body.until, api.clock.now()).map_err(|why| refused("/until", why))?;
    handle(&api, &operator, id, ("exception.snooze", body.reason), step).await
}

/// `POST /exceptions/{id}/dismiss`
pub async fn dismiss(
    operator: Operator<CanDecide>,
    State(api): State<Api>,
    FromPath(id): FromPath<ExceptionId>,
    FromJson(body): FromJson<DismissBody>,
) -> Result<Json<ExceptionRow>, ApiError> {
    let step = handling::dismiss(&body.reason).map_err(|why| refused("/reason", why))?;
    let dismissed = handle(&api, &operator, id, ("exception.dismiss", body.reason), step).await?;
    // What waited behind a delivery that is given up may go now.
    api.engines.wake();
    Ok(dismissed)
}

/// `GET /exceptions/{id}/notes`
pub async fn notes(
    _operator: Operator<CanRead>,
    State(api): State<Api>,
    FromPath(id): FromPath<ExceptionId>,
) -> Result<Json<Page<Note>>, ApiError> {
    exceptions::found(&api, id).await?;
    Ok(Json(Page { items: api.store.notes(id).await?, next_cursor: None }))
}

/// `POST /exceptions/{id}/notes`
pub async fn note(
    operator: Operator<CanReplay>,
    State(api): State<Api>,
    FromPath(id): FromPath<ExceptionId>,
    FromJson(body): FromJson<NoteBody>,
) -> Result<Json<ExceptionRow>, ApiError> {
    let step = handling::note(&body.text).map_err(|why| refused("/text", why))?;
    handle(&api, &operator, id, ("exception.note", String::new()), step).await
}

fn refused(path: &str, why: String) -> ApiError {
    ApiError::unprocessable("this cannot be done about the exception", vec![ProblemLine::new(path, why)])
}

async fn handle<P: Permission>(
    api: &Api,
    operator: &Operator<P>,
    id: ExceptionId,
    (action, reason): (&str, String),
    step: Step,
) -> Result<Json<ExceptionRow>, ApiError> {
    let now = api.clock.now();
    let mut act = operator.act(action, id, now);
    let actor = act.actor.clone();
    act.reason = reason;
    let times = api.due;
    act.keep = operator.ticket().map(|ticket| {
        let tell = move |done: Done<'_>| match done {
            Done::Exception(row) => {
                let mut row = row.clone();
                due::tell(&times, &mut row, now);
                KeptAnswer::json(&row)
            }
            Done::Delivery(_) | Done::Bulk(_) | Done::Mappings(_) | Done::Otherwise => {
                unreachable!("the act is about an exception")
            }
        };
        ticket.keep(Shown::Kept, Arc::new(tell))
    });
    let mut row = api.store.handle(Handling { exception: id, step, act }).await?;
    due::tell(&times, &mut row, now);
    let target = id.to_string();
    api.observer.note(&Event::OperatorActed { actor: &actor, action, target: &target });
    Ok(Json(row))
}
