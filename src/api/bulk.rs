//! Acts on many records at once: asked for, looked at, approved, taken back, stopped.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::error::{ApiError, Kind, ProblemLine};
use super::exceptions::ReplayQuery;
use super::extract::{FromJson, FromPath, FromQuery};
use super::looking::{Counts, Member};
use super::page::{one_of, paging};
use super::state::{Api, Replayed};
use crate::access::Operator;
use crate::access::roles::{CanApprove, CanDecide, CanRead, CanReplay, Needs, Permission};
use crate::clock::{Timestamp, later};
use crate::envelope::ids::{BulkId, ExceptionId};
use crate::exceptions::bulk::asking::{self, AskError, Asked, Listed, Said, Sum};
use crate::exceptions::bulk::filter::{Filter, Finding};
use crate::exceptions::bulk::{REPLAY, RESEND, Settings};
use crate::observe::Event;
use crate::store::books::{Done, KeptAnswer, Shown, Ticket};
use crate::store::bulk::{BulkMember, BulkRow};
use crate::store::view::{DeliveryRow, Page};
use crate::store::write::Act;

/// What is done.
pub const WHATS: [&str; 2] = [REPLAY, RESEND];

/// What an act may be.
pub const STATES: [&str; 7] = ["awaiting_approval", "waiting", "running", "done", "undone", "stopped", "refused"];

/// What a member may be.
pub const MEMBER_STATES: [&str; 4] = ["pending", "acted", "skipped", "left"];

/// Body of an act that is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskBody {
    what: String,
    #[serde(default)]
    filter: Filter,
    #[serde(default)]
    reason: String,
    per_minute: Option<u32>,
    /// As the preview showed it.
    count: Option<u64>,
    /// As the preview showed it.
    mappings_version: Option<u64>,
    #[serde(default)]
    dry_run: bool,
}

/// What an act would be, before it is asked for.
#[derive(Debug, Serialize)]
pub struct BulkPreview {
    what: &'static str,
    filter: Filter,
    /// Members.
    pub count: usize,
    destinations: BTreeMap<String, u64>,
    sums: Vec<Sum>,
    without_total: u64,
    /// Of a resend: at their destination already, as far as is known, and made there a second time.
    at_destination: u64,
    /// Somebody else would have to approve it.
    pub needs_approval: bool,
    /// When its first member would go, asked for now and without an approval.
    begins_at: Timestamp,
    per_minute: u32,
    /// From its first member to its last.
    lasts_s: u64,
    mappings_version: u64,
    /// Of the sample.
    counts: Counts,
    /// Of a replay: some members, and what each would come to.
    pub sample: Vec<Member>,
    /// Of a resend: some members.
    deliveries: Vec<DeliveryRow>,
}

/// The answer to a call that asks for an act, or would.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum BulkAnswer {
    /// Nothing was written.
    Preview(Box<BulkPreview>),
    /// It is written down.
    Asked(Box<BulkRow>),
}

/// An act as it would be asked for, in a query.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookQuery {
    what: String,
    state: Option<String>,
    origin: Option<String>,
    kind: Option<String>,
    destination: Option<String>,
    /// With commas between them.
    increment_ids: Option<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    code: Option<String>,
    fingerprint: Option<String>,
    severity: Option<String>,
    owner: Option<String>,
    assignee: Option<String>,
    #[serde(default)]
    overdue: bool,
    text: Option<String>,
    per_minute: Option<u32>,
}

impl LookQuery {
    fn filter(self) -> Filter {
        let numbers = self.increment_ids.unwrap_or_default();
        let numbers = numbers.split(',').map(str::trim).filter(|number| !number.is_empty());
        Filter {
            state: self.state,
            origin: self.origin,
            kind: self.kind,
            destination: self.destination,
            increment_ids: numbers.map(str::to_owned).collect(),
            since: self.since,
            until: self.until,
            code: self.code,
            fingerprint: self.fingerprint,
            severity: self.severity,
            owner: self.owner,
            assignee: self.assignee,
            overdue: self.overdue,
            text: self.text,
        }
    }
}

/// What people say about an act.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SaidBody {
    #[serde(default)]
    reason: String,
}

/// No member is known: a call that asks for a dry run would act all the same, and needs no key.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoQuery {}

/// Filters of the list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    state: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// An act with a page of its members.
#[derive(Debug, Serialize)]
pub struct BulkDetail {
    #[serde(flatten)]
    bulk: BulkRow,
    members: Page<BulkMember>,
}

/// `GET /bulk/preview`
pub async fn look(
    operator: Operator<CanReplay>,
    State(api): State<Api>,
    FromQuery(query): FromQuery<LookQuery>,
) -> Result<Json<BulkPreview>, ApiError> {
    let (what, per_minute) = (what(&operator, &query.what)?, query.per_minute);
    let filter = query.filter();
    let listed = list_now(&api, &operator, what, &filter).await?;
    preview_of(&api, &operator, listed, filter, per_minute).await.map(Json)
}

/// `POST /bulk`
pub async fn ask(
    operator: Operator<CanReplay>,
    State(api): State<Api>,
    FromQuery(query): FromQuery<ReplayQuery>,
    FromJson(body): FromJson<AskBody>,
) -> Result<Json<BulkAnswer>, ApiError> {
    let what = what(&operator, &body.what)?;
    let mut act = operator.act(action(what), "", api.clock.now());
    let mappings_version = api.store.mappings_version().await?;
    if body.mappings_version.is_some_and(|seen| seen != mappings_version) {
        let why = "the mapping tables changed since the preview: look again";
        return Err(ApiError::new(Kind::PreconditionFailed, why));
    }
    let listed = list_now(&api, &operator, what, &body.filter).await?;
    if body.dry_run || query.dry_run {
        let preview = preview_of(&api, &operator, listed, body.filter, body.per_minute).await?;
        return Ok(Json(BulkAnswer::Preview(Box::new(preview))));
    }
    act.reason = body.reason;
    act.keep = operator.ticket().map(keep);
    let asked = Asked { filter: body.filter, per_minute: body.per_minute, count: body.count, act };
    let row = asking::ask(api.store.as_ref(), api.entropy.as_ref(), &api.bulk, listed, asked).await?;
    note(&api, &row.asked_by, action(what), row.id);
    Ok(Json(BulkAnswer::Asked(Box::new(row))))
}

/// What shall be done; a resend takes its own permission as well.
fn what(operator: &Operator<CanReplay>, word: &str) -> Result<&'static str, ApiError> {
    let known = WHATS.into_iter().find(|known| *known == word);
    let what = known.ok_or_else(|| refused(vec![ProblemLine::new("/what", "is replay or resend")]))?;
    let decides = Needs::of::<CanDecide>();
    if what == RESEND && !operator.caller().may(decides) {
        return Err(ApiError::forbidden(decides));
    }
    Ok(what)
}

async fn list_now(api: &Api, operator: &Operator<CanReplay>, what: &str, filter: &Filter) -> Result<Listed, ApiError> {
    let (now, actor) = (api.clock.now(), operator.actor().to_string());
    Ok(asking::list(api.store.as_ref(), what, filter, (&api.due, now, &actor)).await?)
}

async fn preview_of(
    api: &Api,
    operator: &Operator<CanReplay>,
    listed: Listed,
    filter: Filter,
    per_minute: Option<u32>,
) -> Result<BulkPreview, ApiError> {
    let mappings_version = api.store.mappings_version().await?;
    let ids = listed.exceptions.iter().map(|row| row.id).collect();
    let previews = api.engines.previews(ids, None).await?;
    let seen = |preview: Result<Replayed, String>| preview.map(|replayed| replayed.seen_by(operator.caller()));
    let previews = previews.into_iter().map(|(id, preview)| (id, seen(preview))).collect();
    let per_minute = asking::rate(per_minute).map_err(AskError::from)?.unwrap_or(api.bulk.per_minute);
    Ok(preview(listed, filter, previews, (&api.bulk, per_minute, mappings_version, api.clock.now())))
}

/// What an act would be; the previews are of the list's sample.
pub fn preview(
    listed: Listed,
    filter: Filter,
    previews: Vec<(ExceptionId, Result<Replayed, String>)>,
    (settings, per_minute, mappings_version, now): (&Settings, u32, u64, Timestamp),
) -> BulkPreview {
    let count = listed.targets.count();
    let mut counts = Counts::default();
    let sample = listed.exceptions.into_iter().zip(previews);
    let sample = sample.map(|(row, (_, preview))| counts.member(row, preview)).collect();
    BulkPreview {
        what: listed.targets.what(),
        filter,
        count,
        destinations: listed.destinations,
        sums: listed.sums,
        without_total: listed.without_total,
        at_destination: listed.at_destination,
        needs_approval: asking::needs_approval(settings, count),
        begins_at: later(now, settings.undo),
        per_minute,
        lasts_s: asking::lasts(count, per_minute).as_secs(),
        mappings_version,
        counts,
        sample,
        deliveries: listed.deliveries,
    }
}

impl BulkPreview {
    /// What it comes to, a line each, for a terminal.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{} of {} records; nothing was changed", self.what, self.count)];
        let places: Vec<String> = self.destinations.iter().map(|(name, count)| format!("{name} {count}")).collect();
        lines.extend((!places.is_empty()).then(|| format!("for: {}", places.join(", "))));
        let sum = |sum: &Sum| format!("{} orders of {} {}", sum.orders, sum.grand_total, sum.currency);
        lines.extend(self.sums.iter().map(sum));
        lines.extend((self.without_total > 0).then(|| format!("{} orders without a known total", self.without_total)));
        lines.push(if self.what == RESEND {
            format!("at their destination already, and made there a second time: {}", self.at_destination)
        } else {
            let Counts { released, still_parked, ignored, refused, .. } = self.counts;
            let looked_at = self.sample.len();
            format!(
                "of {looked_at} looked at: {released} would go, {still_parked} would still wait, {ignored} are no longer \
                 wanted, {refused} cannot be replayed"
            )
        });
        lines.extend(self.needs_approval.then(|| "a second person must approve it".to_owned()));
        lines.push(format!("{} a minute: {} s from the first to the last", self.per_minute, self.lasts_s));
        lines
    }

    /// The sample, a line each.
    pub fn sample_lines(&self) -> impl Iterator<Item = String> {
        let replayed = self.sample.iter().map(Member::line);
        let resent = self.deliveries.iter().map(|row| {
            let receipt = row.receipt.as_deref().unwrap_or("-");
            format!("{}  {} at {}: {} ({receipt})", row.id, row.subject_id, row.destination, row.state)
        });
        replayed.chain(resent)
    }
}

/// As the audit names an act that is asked for.
pub fn action(what: &str) -> &'static str {
    if what == RESEND { "bulk.resend" } else { "bulk.replay" }
}

/// `GET /bulk`
pub async fn list(
    _operator: Operator<CanRead>,
    State(api): State<Api>,
    FromQuery(query): FromQuery<ListQuery>,
) -> Result<Json<Page<BulkRow>>, ApiError> {
    let state = one_of("state", query.state, &STATES)?;
    Ok(Json(api.store.bulks(state, paging(query.limit, query.cursor)?).await?))
}

/// `GET /bulk/{id}`
pub async fn show(
    _operator: Operator<CanRead>,
    State(api): State<Api>,
    FromPath(id): FromPath<BulkId>,
    FromQuery(query): FromQuery<ListQuery>,
) -> Result<Json<BulkDetail>, ApiError> {
    let state = one_of("state", query.state, &MEMBER_STATES)?;
    let bulk = api.store.bulk(id).await?.ok_or_else(|| ApiError::not_found(id.to_string()))?;
    let members = api.store.bulk_members(id, state, paging(query.limit, query.cursor)?).await?;
    Ok(Json(BulkDetail { bulk, members }))
}

/// `POST /bulk/{id}/approve`
pub async fn approve(
    operator: Operator<CanApprove>,
    state: State<Api>,
    id: FromPath<BulkId>,
    _nothing: FromQuery<NoQuery>,
    body: FromJson<SaidBody>,
) -> Result<Json<BulkRow>, ApiError> {
    say(operator, state, id, body, Said::Approve).await
}

/// `POST /bulk/{id}/refuse`
pub async fn refuse(
    operator: Operator<CanApprove>,
    state: State<Api>,
    id: FromPath<BulkId>,
    _nothing: FromQuery<NoQuery>,
    body: FromJson<SaidBody>,
) -> Result<Json<BulkRow>, ApiError> {
    say(operator, state, id, body, Said::Refuse).await
}

/// `POST /bulk/{id}/undo`
pub async fn undo(
    operator: Operator<CanReplay>,
    state: State<Api>,
    id: FromPath<BulkId>,
    _nothing: FromQuery<NoQuery>,
    body: FromJson<SaidBody>,
) -> Result<Json<BulkRow>, ApiError> {
    say(operator, state, id, body, Said::Undo).await
}

/// `POST /bulk/{id}/stop`
pub async fn stop(
    operator: Operator<CanReplay>,
    state: State<Api>,
    id: FromPath<BulkId>,
    _nothing: FromQuery<NoQuery>,
    body: FromJson<SaidBody>,
) -> Result<Json<BulkRow>, ApiError> {
    say(operator, state, id, body, Said::Stop).await
}

async fn say<P: Permission>(
    operator: Operator<P>,
    State(api): State<Api>,
    FromPath(id): FromPath<BulkId>,
    FromJson(body): FromJson<SaidBody>,
    said: Said,
) -> Result<Json<BulkRow>, ApiError> {
    let mut act: Act = operator.act(said.action(), id, api.clock.now());
    act.reason = body.reason;
    act.keep = operator.ticket().map(keep);
    let row = asking::rule(api.store.as_ref(), &api.bulk, id, said, act).await?;
    note(&api, &operator.actor().to_string(), said.action(), id);
    Ok(Json(row))
}

fn keep(ticket: &Ticket) -> crate::store::books::Keep {
    ticket.keep(Shown::Kept, Arc::new(told))
}

/// The answer of an act on many: as it stands.
fn told(done: Done<'_>) -> KeptAnswer {
    match done {
        Done::Bulk(row) => KeptAnswer::json(row),
        Done::Delivery(_) | Done::Exception(_) | Done::Mappings(_) | Done::Otherwise => {
            unreachable!("the act is about a bulk act")
        }
    }
}

fn note(api: &Api, actor: &str, action: &'static str, id: BulkId) {
    api.observer.note(&Event::OperatorActed { actor, action, target: &id.to_string() });
}

fn refused(findings: Vec<ProblemLine>) -> ApiError {
    ApiError::unprocessable("nothing was asked for", findings)
}

/// Where a member of the filter, or of the body, stands.
fn line(finding: Finding) -> ProblemLine {
    let Finding { member, message } = finding;
    match member {
        "" => ProblemLine::new("/filter", message),
        "reason" | "count" | "per_minute" => ProblemLine::new(format!("/{member}"), message),
        member => ProblemLine::new(format!("/filter/{member}"), message),
    }
}

impl From<AskError> for ApiError {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Findings(findings) => refused(findings.into_iter().map(line).collect()),
            AskError::Store(error) => error.into(),
        }
    }
}
