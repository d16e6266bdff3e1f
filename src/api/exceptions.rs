//! Exceptions: records that wait for a person; alone, in groups, and replayed.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::error::ApiError;
use super::extract::{self, FromPath, FromQuery};
use super::page::{LIMIT_MAX, one_of, paging};
use super::state::{Api, Replayed};
use crate::access::Operator;
use crate::access::roles::{CanRead, CanReplay};
use crate::envelope::ids::{EnvelopeId, ExceptionId};
use crate::observe::Event;
use crate::store::books::{KeptAnswer, Shown, Ticket};
use crate::store::view::{ExceptionGroup, ExceptionRow, Page, Paging};
use crate::store::write::Act;
use crate::store::{ExceptionFilter, StoreError};

/// What an exception may be.
pub const STATES: [&str; 4] = ["open", "resolved", "superseded", "all"];

/// Most records that one release of a group replays; the answer says how many are left.
pub const RELEASE_MAX: usize = 1000;

/// Filters of the list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    state: Option<String>,
    code: Option<String>,
    fingerprint: Option<String>,
    increment_id: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// Whether to act or only to say what would come of it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayQuery {
    #[serde(default)]
    dry_run: bool,
}

/// Body of a replay or release; may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayBody {
    #[serde(default)]
    reason: String,
}

/// What came of releasing a group.
#[expect(clippy::struct_field_names, reason = "the names of the answer's members")]
#[derive(Debug, Serialize)]
pub struct Released {
    fingerprint: String,
    dry_run: bool,
    /// Records replayed, or that would be.
    replayed: usize,
    /// Of them: no longer waiting for a person.
    released: usize,
    /// Of them: still waiting for a person.
    still_parked: usize,
    /// Exceptions of the group beyond what one call takes.
    remaining: u64,
    items: Vec<ReleasedItem>,
}

/// One record of a group.
#[derive(Debug, Serialize)]
pub struct ReleasedItem {
    exception_id: ExceptionId,
    /// As in a replay, or `refused`.
    result: String,
    explanation: String,
}

/// `GET /exceptions`
pub async fn list(
    _operator: Operator<CanRead>,
    State(api): State<Api>,
    FromQuery(query): FromQuery<ListQuery>,
) -> Result<Json<Page<ExceptionRow>>, ApiError> {
    let filter = ExceptionFilter {
        state: one_of("state", query.state, &STATES)?,
        code: query.code,
        fingerprint: query.fingerprint,
        subject_id: query.increment_id,
    };
    Ok(Json(api.store.exceptions(filter, paging(query.limit, query.cursor)?).await?))
}

/// `GET /exceptions/{id}`
pub async fn show(
    _operator: Operator<CanRead>,
    State(api): State<Api>,
    FromPath(id): FromPath<ExceptionId>,
) -> Result<Json<ExceptionRow>, ApiError> {
    api.store.exception(id).await?.map(Json).ok_or_else(|| ApiError::not_found(id.to_string()))
}

/// `GET /exceptions/groups`
pub async fn groups(
    _operator: Operator<CanRead>,
    State(api): State<Api>,
) -> Result<Json<Page<ExceptionGroup>>, ApiError> {
    Ok(Json(Page { items: api.store.exception_groups().await?, next_cursor: None }))
}

/// `POST /exceptions/{id}/replay`
pub async fn replay(
    operator: Operator<CanReplay>,
    State(api): State<Api>,
    FromPath(id): FromPath<ExceptionId>,
    FromQuery(query): FromQuery<ReplayQuery>,
    body: Bytes,
) -> Result<Json<Replayed>, ApiError> {
    let ReplayBody { reason } = optional(&body)?;
    let mut act = operator.act("exception.replay", id, api.clock.now());
    act.reason = reason;
    replay_one(&api, id, query.dry_run, act, operator.ticket().cloned()).await.map(Json)
}

/// An empty body says nothing; any other must be JSON of the right form.
fn optional(body: &[u8]) -> Result<ReplayBody, ApiError> {
    if body.iter().all(u8::is_ascii_whitespace) { Ok(ReplayBody::default()) } else { extract::read_json(body) }
}

async fn replay_one(
    api: &Api,
    id: ExceptionId,
    dry_run: bool,
    act: Act,
    ticket: Option<Ticket>,
) -> Result<Replayed, ApiError> {
    let actor = act.actor.clone();
    let replayed = api.engines.replay(id, dry_run, act, ticket).await?;
    if !dry_run {
        let target = id.to_string();
        api.observer.note(&Event::OperatorActed { actor: &actor, action: "exception.replay", target: &target });
        api.engines.wake();
    }
    Ok(replayed)
}

/// `POST /exceptions/groups/{fingerprint}/release`
pub async fn release(
    operator: Operator<CanReplay>,
    State(api): State<Api>,
    FromPath(fingerprint): FromPath<String>,
    FromQuery(query): FromQuery<ReplayQuery>,
    body: Bytes,
) -> Result<Json<Released>, ApiError> {
    let ReplayBody { reason } = optional(&body)?;
    let group = api.store.exception_groups().await?.into_iter().find(|group| group.fingerprint == fingerprint);
    let group = group.ok_or_else(|| ApiError::not_found("an open exception of that cause"))?;
    let members = members(&api, &fingerprint).await?;
    let mut released = Released {
        fingerprint,
        dry_run: query.dry_run,
        replayed: 0,
        released: 0,
        still_parked: 0,
        remaining: group.open.saturating_sub(members.len() as u64),
        items: Vec::with_capacity(members.len()),
    };
    let mut seen = HashSet::new();
    for (id, envelope) in members {
        // A record may have several exceptions of one cause: it is processed once.
        if envelope.is_none_or(|envelope| seen.insert(envelope)) {
            let mut act = operator.act("exception.replay", id, api.clock.now());
            act.reason.clone_from(&reason);
            let answer = replay_one(&api, id, query.dry_run, act, None).await;
            released.count(id, answer)?;
        }
    }
    if !query.dry_run {
        record_release(&api, &operator, &released, reason).await?;
    }
    Ok(Json(released))
}

/// The last transaction of a release, after one for each record: its own audit row, and the answer for repeats. A release
/// that dies before it is carried on by a repeat, which finds those already replayed closed.
async fn record_release(
    api: &Api,
    operator: &Operator<CanReplay>,
    released: &Released,
    reason: String,
) -> Result<(), ApiError> {
    let mut act = operator.act("exception.release_group", &released.fingerprint, api.clock.now());
    act.after = serde_json::json!({
        "replayed": released.replayed, "released": released.released, "still_parked": released.still_parked,
    })
    .to_string();
    act.reason = reason;
    let answer = KeptAnswer::json(released);
    act.keep = operator.ticket().map(|ticket| ticket.keep(Shown::Kept, Arc::new(move |_| answer.clone())));
    Ok(api.store.record(act).await?)
}

/// An exception of a group, and the record behind it.
type Member = (ExceptionId, Option<EnvelopeId>);

/// The oldest open exceptions of a cause, oldest first, so that orders keep their order.
async fn members(api: &Api, fingerprint: &str) -> Result<Vec<Member>, StoreError> {
    let mut members = VecDeque::new();
    let mut cursor = None;
    loop {
        let filter = ExceptionFilter { fingerprint: Some(fingerprint.to_owned()), ..ExceptionFilter::default() };
        let page = api.store.exceptions(filter, Paging { limit: LIMIT_MAX, cursor }).await?;
        // The list runs from the newest to the oldest: what comes later pushes out what came earlier.
        for row in page.items {
            if members.len() == RELEASE_MAX {
                members.pop_back();
            }
            members.push_front((row.id, row.envelope_id));
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(members.into());
        }
    }
}

impl Released {
    /// A record that refuses does not stop its neighbours; a store that does not answer does.
    fn count(&mut self, id: ExceptionId, answer: Result<Replayed, ApiError>) -> Result<(), ApiError> {
        let (result, explanation) = match answer {
            Ok(replayed) => (replayed.result, replayed.explanation),
            Err(error) if error.is_about_the_record() => ("refused".to_owned(), error.detail().to_owned()),
            Err(error) => return Err(error),
        };
        self.replayed += 1;
        match result.as_str() {
            "still_parked" => self.still_parked += 1,
            "refused" => {}
            _ => self.released += 1,
        }
        self.items.push(ReleasedItem { exception_id: id, result, explanation });
        Ok(())
    }
}
