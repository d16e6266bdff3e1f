//! Documents: the canonical JSON that was made for a destination.

use axum::Json;
use axum::extract::State;

use super::error::ApiError;
use super::extract::FromPath;
use super::state::Api;
use crate::access::Operator;
use crate::access::roles::CanRead;
use crate::envelope::ids::DocumentId;
use crate::store::view::DocumentRow;

/// `GET /documents/{id}`
pub async fn show(
    _operator: Operator<CanRead>,
    State(api): State<Api>,
    FromPath(id): FromPath<DocumentId>,
) -> Result<Json<DocumentRow>, ApiError> {
    api.store.document(id).await?.map(Json).ok_or_else(|| ApiError::not_found(id.to_string()))
}
