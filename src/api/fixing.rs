//! A group fixed at its cause: the missing mapping row, proposed, previewed, added, and every record released.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::error::{ApiError, Kind, ProblemLine};
use super::exceptions::{self, Released, ReplayQuery};
use super::extract::{FromJson, FromPath, FromQuery};
use super::idempotency::BODY_MAX;
use super::looking::{self, Looked};
use super::mapping_csv::{self, RowIn};
use super::mappings;
use super::state::Api;
use crate::access::Operator;
use crate::access::roles::{CanFixGroups, CanRead};
use crate::domain::mapping::MappingRow;
use crate::exceptions::proposals::{self, Missing, Proposal};
use crate::store::ExceptionFilter;
use crate::store::books::{KeptAnswer, Shown};
use crate::store::cases::MappingEdit;
use crate::store::view::{ExceptionGroup, ExceptionRow, MappingRecord, Paging};

/// Members looked through for the destinations that a group waits for.
const LOOKED_AT: u32 = 200;

/// What the missing row may have to say.
#[derive(Debug, Serialize)]
pub struct Proposed {
    fingerprint: String,
    code: String,
    open: u64,
    table: &'static str,
    key: String,
    /// That members of the group wait for, of the newest 200.
    destinations: BTreeSet<String>,
    proposals: Vec<Proposal>,
}

/// Body of a fix.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixBody {
    value: String,
    /// Empty: for all destinations.
    #[serde(default)]
    destination: String,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    reason: String,
}

/// What a fix came to, or would come to.
#[derive(Debug, Serialize)]
pub struct Fixed {
    table: &'static str,
    key: String,
    value: String,
    destination: String,
    dry_run: bool,
    /// The version of the mapping tables with the row in it; of those without it on a dry run.
    mappings_version: u64,
    /// What the newest members would come to; `null` once it is done.
    preview: Option<Looked>,
    /// What became of the members; `null` on a dry run.
    release: Option<Released>,
}

/// `GET /exceptions/groups/{fingerprint}/proposals`
pub async fn proposals(
    _operator: Operator<CanRead>,
    State(api): State<Api>,
    FromPath(fingerprint): FromPath<String>,
) -> Result<Json<Proposed>, ApiError> {
    let (group, example, missing) = wanted(&api, &fingerprint).await?;
    let rows = api.store.mapping_rows(missing.table.as_str().to_owned()).await?;
    let skus = api.engines.shelf().map(|shelf| shelf.skus(&example.subject.system)).unwrap_or_default();
    let destinations = destinations(&api, &fingerprint).await?;
    let (table, key) = (missing.table.as_str(), missing.key.clone());
    // A table of a hundred thousand rows takes a while to compare.
    let compared = tokio::task::spawn_blocking(move || proposals::proposals(&missing, &rows, &skus)).await;
    let proposals =
        compared.map_err(|panic| ApiError::new(Kind::Internal, "the comparison broke on our side").because(panic))?;
    let ExceptionGroup { code, open, .. } = group;
    Ok(Json(Proposed { fingerprint, code, open, table, key, destinations, proposals }))
}

/// `POST /exceptions/groups/{fingerprint}/fix`
pub async fn fix(
    operator: Operator<CanFixGroups>,
    State(api): State<Api>,
    FromPath(fingerprint): FromPath<String>,
    FromQuery(query): FromQuery<ReplayQuery>,
    FromJson(body): FromJson<FixBody>,
) -> Result<Json<Fixed>, ApiError> {
    let (group, _, missing) = wanted(&api, &fingerprint).await?;
    let row = row(&api, &fingerprint, &missing, &body).await?;
    let mut fixed = Fixed {
        table: missing.table.as_str(),
        key: missing.key.clone(),
        value: row.value.clone(),
        destination: row.destination.clone(),
        dry_run: query.dry_run || body.dry_run,
        mappings_version: api.store.mappings_version().await?,
        preview: None,
        release: None,
    };
    if fixed.dry_run {
        let filter = ExceptionFilter { fingerprint: Some(fingerprint), ..ExceptionFilter::default() };
        let destination = (!row.destination.is_empty()).then_some(row.destination);
        let supposed = MappingRow { key: row.key, value: row.value, destination };
        let looked =
            looking::look(&api, operator.caller(), filter, Paging::default(), Some((missing.table, supposed))).await?;
        fixed.preview = Some(looked);
        if operator.ticket().is_some() && KeptAnswer::json(&fixed).body.len() > BODY_MAX {
            let why = "the preview is too large to be kept for repeats: ask with ?dry_run=true and without a key";
            return Err(refuse("/dry_run", why.to_owned()));
        }
        return Ok(Json(fixed));
    }
    unclaimed(&api, missing.table.as_str(), &row).await?;
    let mut act = operator.act("mappings.edit", missing.table, api.clock.now());
    act.reason.clone_from(&body.reason);
    let edit = MappingEdit { set: vec![row], gone: Vec::new() };
    fixed.mappings_version = mappings::edit_rows(&api, missing.table.as_str(), edit, act).await?;
    let members = exceptions::members(&api, &fingerprint).await?;
    let released = exceptions::release_members(&api, &operator, &group, members, false, &body.reason).await?;
    fixed.release = Some(released);
    // The last transaction, after that of the row and one for each record: a repeat of a call that died before it finds
    // the row there and those records closed, and goes on with the others.
    let mut act = operator.act("exception.fix_group", &fingerprint, api.clock.now());
    act.after = serde_json::json!({ "table": fixed.table, "key": fixed.key, "value": fixed.value }).to_string();
    act.reason = body.reason;
    let answer = KeptAnswer::json(&fixed);
    act.keep = operator.ticket().map(|ticket| ticket.keep(Shown::Kept, Arc::new(move |_| answer.clone())));
    api.store.record(act).await?;
    Ok(Json(fixed))
}

async fn unclaimed(api: &Api, table: &str, row: &MappingRecord) -> Result<(), ApiError> {
    let rows = api.store.mapping_rows(table.to_owned()).await?;
    let Some(known) = proposals::claimed(&rows, row) else { return Ok(()) };
    let why = format!(
        "the row is there already, as \"{known}\": release the group, or change the row with PATCH /mappings/{table}"
    );
    Err(ApiError::new(Kind::Conflict, why))
}

/// The group, one of it, and the row that it waits for.
async fn wanted(api: &Api, fingerprint: &str) -> Result<(ExceptionGroup, ExceptionRow, Missing), ApiError> {
    let group = exceptions::group(api, fingerprint).await?;
    let example = exceptions::found(api, group.example).await?;
    let missing = proposals::missing(&example).ok_or_else(|| {
        let why = "no row of a mapping table would fix this cause; GET /exceptions/catalogue/{code} says what does";
        ApiError::new(Kind::Conflict, why)
    })?;
    Ok((group, example, missing))
}

async fn destinations(api: &Api, fingerprint: &str) -> Result<BTreeSet<String>, ApiError> {
    let filter = ExceptionFilter { fingerprint: Some(fingerprint.to_owned()), ..ExceptionFilter::default() };
    let page = api.store.exceptions(filter, Paging { limit: LOOKED_AT, cursor: None }).await?;
    Ok(page.items.into_iter().filter_map(|row| row.destination).collect())
}

fn refuse(path: &str, why: String) -> ApiError {
    ApiError::unprocessable("nothing was changed", vec![ProblemLine::new(path, why)])
}

/// The row as it is asked for, proved acceptable.
async fn row(api: &Api, fingerprint: &str, missing: &Missing, body: &FixBody) -> Result<MappingRecord, ApiError> {
    if body.value.trim().is_empty() {
        return Err(refuse("/value", "say what the destination wants to hear".to_owned()));
    }
    if !body.destination.is_empty() {
        let waits = destinations(api, fingerprint).await?;
        if !waits.contains(&body.destination) {
            let names: Vec<String> = waits.into_iter().collect();
            let why = format!("the group does not wait for it, but for {}; leave it out for all", names.join(", "));
            return Err(refuse("/destination", why));
        }
    }
    let row = RowIn::new(missing.key.clone(), body.value.clone(), body.destination.clone());
    let mut rows = mapping_csv::checked(vec![row]).map_err(|findings| {
        let findings = findings.into_iter().map(|finding| ProblemLine::new("/value", finding.message));
        ApiError::unprocessable("nothing was changed", findings.collect())
    })?;
    Ok(rows.remove(0))
}
