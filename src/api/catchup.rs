//! How far Commerce was searched for orders that push lost, and back offices for stock and shipments.

use axum::Json;
use axum::extract::State;

use super::error::ApiError;
use super::state::Api;
use crate::access::Operator;
use crate::access::roles::CanRead;
use crate::store::running::{Gap, Position};
use crate::store::view::Page;

/// Numbers that are shown at once; the newest tell what is to be told.
const GAPS_SHOWN: u32 = 500;

/// `GET /catchup/gaps`
pub async fn gaps(_operator: Operator<CanRead>, State(api): State<Api>) -> Result<Json<Page<Gap>>, ApiError> {
    Ok(Json(Page { items: api.store.gaps(GAPS_SHOWN).await?, next_cursor: None }))
}

/// `GET /catchup`
pub async fn list(_operator: Operator<CanRead>, State(api): State<Api>) -> Result<Json<Page<Position>>, ApiError> {
    Ok(Json(Page { items: api.store.positions().await?, next_cursor: None }))
}
