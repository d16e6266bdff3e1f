//! Events: what arrived, and what became of it.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::error::ApiError;
use super::extract::{FromPath, FromQuery};
use super::page::{one_of, paging};
use super::state::Api;
use super::story;
use crate::access::Operator;
use crate::access::roles::CanRead;
use crate::envelope::ids::EnvelopeId;
use crate::store::EventFilter;
use crate::store::view::{EventRow, Page};

/// What an event may be.
pub const STATES: [&str; 5] = ["received", "done", "ignored", "superseded", "exception"];

/// Filters of the list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    origin: Option<String>,
    state: Option<String>,
    increment_id: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// Why an event went where it went.
#[derive(Debug, Serialize)]
pub struct Explanation {
    id: EnvelopeId,
    state: String,
    sentence: String,
}

/// `GET /events`
pub async fn list(
    _operator: Operator<CanRead>,
    State(api): State<Api>,
    FromQuery(query): FromQuery<ListQuery>,
) -> Result<Json<Page<EventRow>>, ApiError> {
    let filter = EventFilter {
        origin: query.origin,
        state: one_of("state", query.state, &STATES)?,
        subject_id: query.increment_id,
    };
    Ok(Json(api.store.events(filter, paging(query.limit, query.cursor)?).await?))
}

/// `GET /events/{id}`
pub async fn show(
    _operator: Operator<CanRead>,
    State(api): State<Api>,
    FromPath(id): FromPath<EnvelopeId>,
) -> Result<Json<EventRow>, ApiError> {
    api.store.event(id).await?.map(Json).ok_or_else(|| ApiError::not_found(id.to_string()))
}

/// `GET /events/{id}/explain`
pub async fn explain(
    _operator: Operator<CanRead>,
    State(api): State<Api>,
    FromPath(id): FromPath<EnvelopeId>,
) -> Result<Json<Explanation>, ApiError> {
    let event = api.store.event(id).await?.ok_or_else(|| ApiError::not_found(id.to_string()))?;
    Ok(Json(Explanation { id, sentence: story::explain(&event), state: event.state }))
}
