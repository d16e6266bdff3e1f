//! Who did what, from where and why: the chain of audit rows (API-5).

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::error::ApiError;
use super::extract::FromQuery;
use super::page::paging;
use super::state::Api;
use crate::access::Operator;
use crate::access::roles::CanReadAudit;
use crate::store::books::{AuditHead, AuditRow};
use crate::store::view::Page;

/// Paging of the list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    limit: Option<u32>,
    cursor: Option<String>,
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
