//! Mapping tables: read and replace whole, as JSON or CSV.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequest as _, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::error::{ApiError, Kind, ProblemLine};
use super::extract::{self, FromJson, FromPath, FromQuery};
use super::mapping_csv::{self, RowIn, RowsIn, TABLES};
use super::page::{WhyQuery, paging};
use super::state::Api;
use crate::access::Operator;
use crate::access::roles::{CanEditMappings, CanRead};
use crate::observe::Event;
use crate::store::books::{Done, KeptAnswer, Shown};
use crate::store::cases::{MappingChange, MappingEdit};
use crate::store::view::{MappingRecord, MappingTableRow, Page};
use crate::store::write::Act;

/// Paging of a table's rows; without a limit the whole table is one page, so that what is read can be put back.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowsQuery {
    limit: Option<u32>,
    cursor: Option<String>,
}

/// What a replaced table came to.
#[derive(Debug, Serialize)]
pub struct Imported {
    table: String,
    rows: usize,
    version: u64,
}

/// `GET /mappings`
pub async fn tables(
    _operator: Operator<CanRead>,
    State(api): State<Api>,
) -> Result<Json<Page<MappingTableRow>>, ApiError> {
    Ok(Json(Page { items: api.store.mapping_tables().await?, next_cursor: None }))
}

/// `GET /mappings/{table}`
pub async fn show(
    _operator: Operator<CanRead>,
    State(api): State<Api>,
    FromPath(table): FromPath<String>,
    FromQuery(query): FromQuery<RowsQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let table = known(&table)?;
    let tag = tag(&api, table).await?;
    if headers.get(header::IF_NONE_MATCH).is_some_and(|seen| *seen == tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    let rows = api.store.mapping_rows(table.to_owned()).await?;
    let mut response = match wanted(&headers) {
        Form::Csv => as_csv(table, &rows),
        Form::Json => Json(page(rows, query)?).into_response(),
    };
    response.headers_mut().insert(header::ETAG, tag);
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

/// `PUT /mappings/{table}`
pub async fn replace(
    operator: Operator<CanEditMappings>,
    State(api): State<Api>,
    FromPath(table): FromPath<String>,
    FromQuery(why): FromQuery<WhyQuery>,
    request: Request,
) -> Result<Response, ApiError> {
    let table = known(&table)?;
    let kind = extract::content_type(request.headers());
    let expected = request.headers().get(header::IF_MATCH).cloned();
    let body = extract::body(request, &api).await?;
    let rows = match kind.as_str() {
        "text/csv" | "application/csv" => mapping_csv::read(&body),
        kind if kind.is_empty() || extract::is_json(kind) => mapping_csv::checked(json_rows(&body)?),
        _ => return Err(ApiError::new(Kind::UnsupportedMediaType, "send text/csv or application/json")),
    };
    let rows = rows.map_err(|findings| ApiError::unprocessable("the table was not changed", findings))?;
    if let Some(expected) = expected.filter(|expected| expected != "*")
        && expected != tag(&api, table).await?
    {
        return Err(ApiError::new(Kind::PreconditionFailed, "the table changed since it was read; read it again"));
    }
    let imported = import(&api, &operator, table, rows, why).await?;
    let tag = etag(imported.version);
    Ok(([(header::ETAG, tag)], Json(imported)).into_response())
}

/// Rows that change.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EditBody {
    #[serde(default)]
    set: Vec<RowIn>,
    #[serde(default)]
    delete: Vec<GoneRow>,
}

/// A row that goes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoneRow {
    key: String,
    #[serde(default)]
    destination: Option<String>,
}

/// Most rows of one edit; more is an import.
const EDIT_MAX: usize = 1_000;

/// `PATCH /mappings/{table}`
pub async fn edit(
    operator: Operator<CanEditMappings>,
    State(api): State<Api>,
    FromPath(table): FromPath<String>,
    FromQuery(why): FromQuery<WhyQuery>,
    request: Request,
) -> Result<Response, ApiError> {
    let table = known(&table)?;
    let expected = request.headers().get(header::IF_MATCH).cloned();
    let FromJson(body) = FromJson::<EditBody>::from_request(request, &api).await?;
    if body.set.len() + body.delete.len() > EDIT_MAX || (body.set.is_empty() && body.delete.is_empty()) {
        let finding = ProblemLine::new("", format!("name 1 to {EDIT_MAX} rows under set and delete"));
        return Err(ApiError::unprocessable("the table was not changed", vec![finding]));
    }
    let set = mapping_csv::checked(body.set)
        .map_err(|findings| ApiError::unprocessable("the table was not changed", findings))?;
    if let Some(expected) = expected.filter(|expected| expected != "*")
        && expected != tag(&api, table).await?
    {
        return Err(ApiError::new(Kind::PreconditionFailed, "the table changed since it was read; read it again"));
    }
    let gone = body.delete.into_iter().map(|row| (row.key, row.destination.unwrap_or_default())).collect();
    let mut act = operator.act("mappings.edit", table, api.clock.now());
    act.reason = why.reason;
    act.keep = operator.ticket().map(|ticket| {
        let tell = move |done: Done<'_>| edited(table, done);
        ticket.keep(Shown::Kept, Arc::new(tell))
    });
    let version = edit_rows(&api, table, MappingEdit { set, gone }, act).await?;
    let head = head(&api, table).await?.map_or(0, |head| head.version);
    Ok(([(header::ETAG, etag(head))], Json(Edited { table: table.to_owned(), version })).into_response())
}

/// Changes rows, and has the service go by them.
pub(super) async fn edit_rows(api: &Api, table: &str, edit: MappingEdit, act: Act) -> Result<u64, ApiError> {
    let actor = act.actor.clone();
    let version = api.store.edit_mappings(table.to_owned(), edit, act).await?;
    api.observer.note(&Event::OperatorActed { actor: &actor, action: "mappings.edit", target: table });
    api.engines.mappings_changed().await?;
    Ok(version)
}

/// What an edit came to.
#[derive(Debug, Serialize)]
pub struct Edited {
    table: String,
    version: u64,
}

fn edited(table: &str, done: Done<'_>) -> KeptAnswer {
    match done {
        Done::Mappings(version) => KeptAnswer::json(&Edited { table: table.to_owned(), version }),
        Done::Delivery(_) | Done::Exception(_) | Done::Bulk(_) | Done::Otherwise => {
            unreachable!("an edit tells a version")
        }
    }
}

/// Which changes.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangesQuery {
    key: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// `GET /mappings/{table}/changes`
pub async fn changes(
    _operator: Operator<CanRead>,
    State(api): State<Api>,
    FromPath(table): FromPath<String>,
    FromQuery(query): FromQuery<ChangesQuery>,
) -> Result<Json<Page<MappingChange>>, ApiError> {
    let table = known(&table)?.to_owned();
    Ok(Json(api.store.mapping_changes(table, query.key, paging(query.limit, query.cursor)?).await?))
}

async fn import(
    api: &Api,
    operator: &Operator<CanEditMappings>,
    table: &str,
    rows: Vec<MappingRecord>,
    why: WhyQuery,
) -> Result<Imported, ApiError> {
    let count = rows.len();
    let before = head(api, table).await?;
    let mut act = operator.act("mappings.import", table, api.clock.now());
    let actor = act.actor.clone();
    act.before = serde_json::json!({ "rows": before.as_ref().map_or(0, |head| head.rows) }).to_string();
    act.after = serde_json::json!({ "rows": count }).to_string();
    act.reason = why.reason;
    act.keep = operator.ticket().map(|ticket| {
        let table = table.to_owned();
        ticket.keep(Shown::Kept, Arc::new(move |done| told(&table, count, done)))
    });
    let version = api.store.import_mappings(table.to_owned(), rows, act).await?;
    api.observer.note(&Event::OperatorActed { actor: &actor, action: "mappings.import", target: table });
    api.engines.mappings_changed().await?;
    Ok(Imported { table: table.to_owned(), rows: count, version })
}

/// The answer of an import, with the version that its transaction made.
fn told(table: &str, rows: usize, done: Done<'_>) -> KeptAnswer {
    let version = match done {
        Done::Mappings(version) => version,
        Done::Delivery(_) | Done::Exception(_) | Done::Bulk(_) | Done::Otherwise => {
            unreachable!("an import makes a version")
        }
    };
    let mut answer = KeptAnswer::json(&Imported { table: table.to_owned(), rows, version });
    answer.headers.push(("etag".to_owned(), format!("\"v{version}\"")));
    answer
}

fn known(table: &str) -> Result<&'static str, ApiError> {
    TABLES.into_iter().find(|known| *known == table).ok_or_else(|| {
        ApiError::new(Kind::NotFound, format!("there is no table of that name; the tables are {}", TABLES.join(", ")))
    })
}

async fn head(api: &Api, table: &str) -> Result<Option<MappingTableRow>, ApiError> {
    Ok(api.store.mapping_tables().await?.into_iter().find(|head| head.table == table))
}

async fn tag(api: &Api, table: &str) -> Result<HeaderValue, ApiError> {
    Ok(etag(head(api, table).await?.map_or(0, |head| head.version)))
}

fn etag(version: u64) -> HeaderValue {
    HeaderValue::from_str(&format!("\"v{version}\"")).expect("digits are visible ASCII")
}

enum Form {
    Json,
    Csv,
}

/// The first of `Accept` that we have; JSON where it does not say.
fn wanted(headers: &HeaderMap) -> Form {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
    for range in accept.split(',') {
        match range.split(';').next().unwrap_or_default().trim() {
            "text/csv" | "text/*" => return Form::Csv,
            "application/json" | "application/*" | "*/*" | "" => return Form::Json,
            _ => {}
        }
    }
    Form::Json
}

fn as_csv(table: &str, rows: &[MappingRecord]) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{table}.csv\"")),
    ];
    (headers, mapping_csv::write(rows)).into_response()
}

/// A page of rows; the cursor is the number of rows before it, in a spelling that invites nobody to build one.
fn page(rows: Vec<MappingRecord>, query: RowsQuery) -> Result<Page<MappingRecord>, ApiError> {
    if query.limit.is_none() && query.cursor.is_none() {
        return Ok(Page { items: rows, next_cursor: None });
    }
    let paging = paging(query.limit, query.cursor)?;
    let start = match paging.cursor {
        None => 0,
        Some(cursor) => cursor
            .strip_prefix("row-")
            .and_then(|number| number.parse::<usize>().ok())
            .filter(|start| *start <= rows.len())
            .ok_or_else(|| ApiError::bad_request("the cursor is not one that this list handed out"))?,
    };
    let limit = if paging.limit == 0 { 50 } else { paging.limit as usize };
    let end = rows.len().min(start + limit);
    let next_cursor = (end < rows.len()).then(|| format!("row-{end}"));
    Ok(Page { items: rows.into_iter().skip(start).take(limit).collect(), next_cursor })
}

/// `{"items": […]}` or the bare array.
fn json_rows(body: &[u8]) -> Result<Vec<RowIn>, ApiError> {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'[') { extract::read_json(body) } else { Ok(extract::read_json::<RowsIn>(body)?.items) }
}
