//! Who did what, from where and why: the chain of audit rows (API-5).

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::audit_export::{self, Format};
use super::error::ApiError;
use super::extract::FromQuery;
use super::page::{one_of, paging};
use super::state::Api;
use crate::access::Operator;
use crate::access::roles::CanReadAudit;
use crate::clock::Timestamp;
use crate::store::books::{AuditHead, AuditRow};
use crate::store::trail::Wanted;
use crate::store::view::Page;

/// Rows of one export; a longer one goes on after the number in [`NEXT`].
const EXPORT_ROWS_MAX: usize = 10_000;

/// Rows looked through for one export.
const EXPORT_LOOKED_MAX: usize = 200_000;

/// Where an export goes on; not there at its end.
const NEXT: &str = "crossdock-next-after";

/// Paging of the list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    limit: Option<u32>,
    cursor: Option<String>,
}

/// What is exported, and how.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportQuery {
    format: Option<String>,
    #[serde(default)]
    after: u64,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    actor: Option<String>,
    action: Option<String>,
}

/// `GET /audit`
pub async fn list(
    _operator: Operator<CanReadAudit>,
    State(api): State<Api>,
    FromQuery(query): FromQuery<ListQuery>,
) -> Result<Json<Page<AuditRow>>, ApiError> {
    Ok(Json(api.store.audit(paging(query.limit, query.cursor)?).await?))
}

/// `GET /audit/head`
pub async fn head(_operator: Operator<CanReadAudit>, State(api): State<Api>) -> Result<Json<AuditHead>, ApiError> {
    Ok(Json(api.store.audit_head().await?))
}

/// `GET /audit/export`
pub async fn export(
    _operator: Operator<CanReadAudit>,
    State(api): State<Api>,
    FromQuery(query): FromQuery<ExportQuery>,
) -> Result<Response, ApiError> {
    let csv = one_of("format", query.format, &["jsonl", "csv"])?.is_some_and(|format| format == "csv");
    let (format, kind) =
        if csv { (Format::Csv, "text/csv; charset=utf-8") } else { (Format::Jsonl, "application/jsonl") };
    let wanted = Wanted { since: query.since, until: query.until, actor: query.actor, action: query.action };
    let (mut text, mut taken, mut looked) = (audit_export::header(format).to_owned(), 0, 0);
    let mut after = query.after;
    let next = 'export: loop {
        let rows = api.store.audit_after(after).await?;
        if rows.is_empty() {
            break None;
        }
        for row in rows {
            if taken == EXPORT_ROWS_MAX || looked == EXPORT_LOOKED_MAX {
                break 'export Some(after);
            }
            (after, looked) = (row.number, looked + 1);
            if wanted.takes(&row) {
                taken += 1;
                text.push_str(&audit_export::line(format, &row));
            }
        }
    };
    let mut response = ([(header::CONTENT_TYPE, kind)], text).into_response();
    let name = if csv { "attachment; filename=\"audit.csv\"" } else { "attachment; filename=\"audit.jsonl\"" };
    response.headers_mut().insert(header::CONTENT_DISPOSITION, http::HeaderValue::from_static(name));
    if let Some(next) = next {
        response.headers_mut().insert(NEXT, next.into());
    }
    Ok(response)
}
