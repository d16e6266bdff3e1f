//! One line of text, whatever it is.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::error::ApiError;
use super::extract::FromQuery;
use super::finding::{self, Answer, NoAnswer};
use super::state::Api;
use crate::access::Operator;
use crate::access::roles::CanRead;

/// What is looked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchQuery {
    q: String,
}

/// `GET /search`
pub async fn find(
    _operator: Operator<CanRead>,
    State(api): State<Api>,
    FromQuery(query): FromQuery<SearchQuery>,
) -> Result<Json<Answer>, ApiError> {
    match finding::find(api.store.as_ref(), &query.q).await {
        Ok(answer) => Ok(Json(answer)),
        Err(NoAnswer::Unusable(why)) => Err(ApiError::bad_request(why.to_string())),
        Err(NoAnswer::Store(error)) => Err(error.into()),
    }
}
