//! Exceptions: records that wait for a person; alone, in groups, and replayed.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::error::{ApiError, Kind, ProblemLine};
use super::extract::{self, FromPath, FromQuery};
use super::page::{LIMIT_MAX, one_of, paging};
use super::state::{Api, Replayed};
use crate::access::Operator;
use crate::access::roles::{CanRead, CanReplay, Permission};
use crate::clock::Timestamp;
use crate::domain::defect::Severity;
use crate::envelope::ids::{EnvelopeId, ExceptionId};
use crate::exceptions::{due, handling};
use crate::observe::Event;
use crate::store::books::{KeptAnswer, Shown, Ticket};
use crate::store::view::{ExceptionGroup, ExceptionRow, Page, Paging};
use crate::store::write::Act;
use crate::store::{ExceptionFilter, StoreError};

/// What an exception may be, and the two words for several of them.
pub const STATES: [&str; 8] = ["open", "assigned", "snoozed", "resolved", "dismissed", "superseded", "waiting", "all"];

/// Most records that one release of a group replays; the answer says how many are left.
pub const RELEASE_MAX: usize = 1000;

/// Filters of the list, and of the groups.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    state: Option<String>,
    code: Option<String>,
    fingerprint: Option<String>,
    increment_id: Option<String>,
    severity: Option<String>,
    owner: Option<String>,
    assignee: Option<String>,
    destination: Option<String>,
    overdue: Option<bool>,
    text: Option<String>,
    origin: Option<String>,
    kind: Option<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    limit: Option<u32>,
    cursor: Option<String>,
}

impl ListQuery {
    /// The filter; `me` is whoever asks.
    pub(super) fn filter(&mut self, api: &Api, actor: &str) -> Result<ExceptionFilter, ApiError> {
        let assignee = self.assignee.take().map(|word| handling::person(Some(&word), actor)).transpose();
        let assignee = assignee.map_err(|why| ApiError::bad_request(format!("assignee: {why}")))?;
        Ok(ExceptionFilter {
            state: one_of("state", self.state.take(), &STATES)?,
            code: self.code.take(),
            fingerprint: self.fingerprint.take(),
            subject_id: self.increment_id.take(),
            severity: one_of("severity", self.severity.take(), &Severity::WORDS)?,
            owner: one_of("owner", self.owner.take(), &handling::OWNERS)?,
            assignee: assignee.map(Option::unwrap_or_default),
            destination: self.destination.take(),
            overdue: (self.overdue == Some(true)).then(|| due::overdue(&api.due, api.clock.now())),
            text: self.text.take().filter(|text| !text.is_empty()),
            origin: self.origin.take(),
            kind: self.kind.take(),
            since: self.since.take(),
            until: self.until.take(),
        })
    }

    /// How much of it.
    pub(super) fn paging(&mut self) -> Result<Paging, ApiError> {
        paging(self.limit, self.cursor.take())
    }
}

/// Whether to act or only to say what would come of it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayQuery {
    #[serde(default)]
    pub(super) dry_run: bool,
}

/// Body of a release; may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseBody {
    #[serde(default)]
    reason: String,
    /// Only these of the group.
    ids: Option<Vec<ExceptionId>>,
    /// Only if the mapping tables are still those of the preview.
    mappings_version: Option<u64>,
}

/// Body of a replay; may be left out.
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
    pub(super) replayed: usize,
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
    operator: Operator<CanRead>,
    State(api): State<Api>,
    FromQuery(mut query): FromQuery<ListQuery>,
) -> Result<Json<Page<ExceptionRow>>, ApiError> {
    let filter = query.filter(&api, &operator.actor().to_string())?;
    let mut page = api.store.exceptions(filter, query.paging()?).await?;
    tell(&api, &mut page.items);
    Ok(Json(page))
}

/// Says of each by when somebody should have seen to it.
pub(super) fn tell(api: &Api, rows: &mut [ExceptionRow]) {
    let now = api.clock.now();
    for row in rows {
        due::tell(&api.due, row, now);
    }
}

/// `GET /exceptions/{id}`
pub async fn show(
    _operator: Operator<CanRead>,
    State(api): State<Api>,
    FromPath(id): FromPath<ExceptionId>,
) -> Result<Json<ExceptionRow>, ApiError> {
    found(&api, id).await.map(Json)
}

/// One exception, with its due time.
pub(super) async fn found(api: &Api, id: ExceptionId) -> Result<ExceptionRow, ApiError> {
    let mut row = api.store.exception(id).await?.ok_or_else(|| ApiError::not_found(id.to_string()))?;
    tell(api, std::slice::from_mut(&mut row));
    Ok(row)
}

/// `GET /exceptions/groups`
pub async fn groups(
    operator: Operator<CanRead>,
    State(api): State<Api>,
    FromQuery(mut query): FromQuery<ListQuery>,
) -> Result<Json<Page<ExceptionGroup>>, ApiError> {
    if query.limit.is_some() || query.cursor.is_some() {
        return Err(ApiError::bad_request("groups come all at once: leave limit and cursor out"));
    }
    let filter = query.filter(&api, &operator.actor().to_string())?;
    of_what_waits(&filter)?;
    let mut items = api.store.exception_groups(filter).await?;
    let now = api.clock.now();
    for group in &mut items {
        due::tell_group(&api.due, group, now);
    }
    Ok(Json(Page { items, next_cursor: None }))
}

/// Groups are of what waits.
pub(super) fn of_what_waits(filter: &ExceptionFilter) -> Result<(), ApiError> {
    match filter.state.as_deref() {
        None | Some("waiting" | "open" | "assigned" | "snoozed") => Ok(()),
        Some(_) => {
            Err(ApiError::bad_request("groups are of what waits: state is one of waiting, open, assigned, snoozed"))
        }
    }
}

/// One cause that still waits.
pub(super) async fn group(api: &Api, fingerprint: &str) -> Result<ExceptionGroup, ApiError> {
    let filter = ExceptionFilter { fingerprint: Some(fingerprint.to_owned()), ..ExceptionFilter::default() };
    let mut groups = api.store.exception_groups(filter).await?;
    groups.pop().ok_or_else(|| ApiError::not_found("an open exception of that cause"))
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
    let replayed = replay_one(&api, id, query.dry_run, act, operator.ticket().cloned()).await?;
    Ok(Json(replayed.seen_by(operator.caller())))
}

/// An empty body says nothing; any other must be JSON of the right form.
fn optional<T: Default + serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    if body.iter().all(u8::is_ascii_whitespace) { Ok(T::default()) } else { extract::read_json(body) }
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
    let ReleaseBody { reason, ids, mappings_version } = optional(&body)?;
    let group = group(&api, &fingerprint).await?;
    if let Some(seen) = mappings_version
        && seen != api.store.mappings_version().await?
    {
        return Err(ApiError::new(
            Kind::PreconditionFailed,
            "the mapping tables changed since the preview: look again",
        ));
    }
    let members = match ids {
        Some(ids) => chosen(&api, &fingerprint, ids).await?,
        None => members(&api, &fingerprint).await?,
    };
    let released = release_members(&api, &operator, &group, members, query.dry_run, &reason).await?;
    if !query.dry_run {
        record_release(&api, &operator, &released, reason).await?;
    }
    Ok(Json(released))
}

/// Replays members of a group, one after the other.
pub(super) async fn release_members<P: Permission>(
    api: &Api,
    operator: &Operator<P>,
    group: &ExceptionGroup,
    members: Vec<Member>,
    dry_run: bool,
    reason: &str,
) -> Result<Released, ApiError> {
    let mut released = Released {
        fingerprint: group.fingerprint.clone(),
        dry_run,
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
            reason.clone_into(&mut act.reason);
            let answer = replay_one(api, id, dry_run, act, None).await;
            released.count(id, answer)?;
        }
    }
    Ok(released)
}

/// These members of the group, oldest first. All of them must be of it and wait.
async fn chosen(api: &Api, fingerprint: &str, ids: Vec<ExceptionId>) -> Result<Vec<Member>, ApiError> {
    if ids.is_empty() || ids.len() > RELEASE_MAX {
        let finding = ProblemLine::new("/ids", format!("name 1 to {RELEASE_MAX} exceptions"));
        return Err(ApiError::unprocessable("nothing was released", vec![finding]));
    }
    let (mut members, mut findings, mut named) = (Vec::new(), Vec::new(), HashSet::new());
    for (index, id) in ids.into_iter().enumerate() {
        let found = api.store.exception(id).await?.filter(|row| row.fingerprint == fingerprint && row.is_waiting());
        match found {
            Some(row) if named.insert(id) => members.push((row.opened_at, id, row.envelope_id)),
            Some(_) => {}
            None => {
                findings.push(ProblemLine::new(format!("/ids/{index}"), "is not of this group, or waits no longer"));
            }
        }
    }
    if !findings.is_empty() {
        findings.truncate(50);
        return Err(ApiError::unprocessable("nothing was released", findings));
    }
    members.sort_unstable_by_key(|(opened_at, id, _)| (*opened_at, id.to_string()));
    Ok(members.into_iter().map(|(_, id, envelope)| (id, envelope)).collect())
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
pub(super) type Member = (ExceptionId, Option<EnvelopeId>);

/// The oldest open exceptions of a cause, oldest first, so that orders keep their order.
pub(super) async fn members(api: &Api, fingerprint: &str) -> Result<Vec<Member>, StoreError> {
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
