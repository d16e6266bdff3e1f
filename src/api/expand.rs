//! Orders in, sales orders out: stateless, for a Patchworks flow that wants the transform alone.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::error::{ApiError, Kind, ProblemLine};
use super::extract::{self, FromQuery};
use super::state::{Api, Expansion, Expansions};
use crate::access::Operator;
use crate::access::roles::CanExpand;

/// For which destination's mappings and policies; none: the ones for all.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpandQuery {
    destination: Option<String>,
}

/// `POST /orders/expand`
pub async fn expand(
    _operator: Operator<CanExpand>,
    State(api): State<Api>,
    FromQuery(query): FromQuery<ExpandQuery>,
    request: Request,
) -> Result<Response, ApiError> {
    // Whatever the content type says: flow builders often cannot set it, and what is not JSON is told so anyway.
    if let Some(name) = &query.destination
        && !api.engines.destinations().iter().any(|known| known.name == *name)
    {
        return Err(ApiError::bad_request("destination: no destination of that name is configured"));
    }
    let body = extract::body(request, &api).await?;
    let engines = api.engines.clone();
    // Large batches take milliseconds of pure computing: not on the threads that answer everybody else.
    let expansions = tokio::task::spawn_blocking(move || engines.expand(&body, query.destination.as_deref()))
        .await
        .map_err(|panic| ApiError::new(Kind::Internal, "the expansion broke on our side").because(panic))?;
    answer(expansions.map_err(unreadable)?)
}

fn unreadable(finding: ProblemLine) -> ApiError {
    ApiError::unprocessable("no order can be read from the body", vec![finding])
}

/// One order: its expansion, or 422. A list: one expansion an order, or 422 when none has a document.
fn answer(expansions: Expansions) -> Result<Response, ApiError> {
    let Expansions { list, mut orders } = expansions;
    if !orders.is_empty() && orders.iter().all(|order| order.sales_order.is_none()) {
        return Err(refused(list, &orders));
    }
    match (list, orders.pop()) {
        (false, Some(order)) => Ok(Json(order).into_response()),
        (_, last) => {
            orders.extend(last);
            Ok(Json(orders).into_response())
        }
    }
}

fn refused(list: bool, orders: &[Expansion]) -> ApiError {
    let lines = orders.iter().flat_map(|order| &order.problems).map(|problem| {
        ProblemLine::new(&problem.path, format!("{}: {} {}", problem.code, problem.message, problem.remedy))
    });
    let detail = if list { "no order of the list can be expanded" } else { "the order cannot be expanded" };
    ApiError::unprocessable(detail, lines.collect())
}
