//! How far Commerce was searched for orders that push lost.

use axum::Json;
use axum::extract::State;

use super::error::ApiError;
use super::state::Api;
use crate::access::Operator;
use crate::access::roles::CanRead;
use crate::store::running::Position;
use crate::store::view::Page;

/// `GET /catchup`
pub async fn list(_operator: Operator<CanRead>, State(api): State<Api>) -> Result<Json<Page<Position>>, ApiError> {
    Ok(Json(Page { items: api.store.positions().await?, next_cursor: None }))
}
