//! What load balancers and Prometheus ask for, without a token.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::state::Api;
use crate::incidents;
use crate::observe::disk::DiskSpace;
use crate::observe::metrics::{CONTENT_TYPE, DestinationGauge, IncidentGauge};
use crate::observe::{Reason, Scrape};
use crate::store::StoreError;
use crate::store::view::{Ledger, StoreFigures};

/// Body of both health paths.
#[derive(Debug, Serialize)]
struct HealthView {
    status: &'static str,
    reasons: Vec<Reason>,
    /// What a person must look at while the service goes on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<Reason>,
}

/// `GET /health/live`
pub async fn live(State(api): State<Api>) -> Response {
    answer("live", "not_live", api.health.not_live().into_iter().collect(), Vec::new())
}

/// `GET /health/ready`
pub async fn ready(State(api): State<Api>) -> Response {
    answer("ready", "not_ready", api.health.not_ready(), api.health.notes())
}

fn answer(well: &'static str, unwell: &'static str, reasons: Vec<Reason>, notes: Vec<Reason>) -> Response {
    if reasons.is_empty() {
        return Json(HealthView { status: well, reasons, notes }).into_response();
    }
    let retry = [(header::RETRY_AFTER, "1")];
    (StatusCode::SERVICE_UNAVAILABLE, retry, Json(HealthView { status: unwell, reasons, notes })).into_response()
}

/// `GET /metrics`
pub async fn metrics(State(api): State<Api>) -> Response {
    let store = match figures(&api).await {
        Ok((figures, ledger)) => Some((figures, ledger, api.clock.now())),
        Err(error) => {
            tracing::warn!(detail = %error, "the figures could not be read for a scrape");
            None
        }
    };
    let destinations = api.engines.destinations().into_iter().map(|view| DestinationGauge {
        name: view.name,
        state: view.state,
        in_flight: view.in_flight,
    });
    let scrape = Scrape {
        ready: api.health.not_ready().is_empty(),
        store,
        destinations: destinations.collect(),
        incidents: open_incidents(&api).await,
        disk: api.store_path.as_deref().and_then(DiskSpace::of),
        money: api.store.money().await.unwrap_or_default(),
        audit: api.store.audit_head().await.ok(),
    };
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], api.observer.metrics().render(&scrape)).into_response()
}

async fn open_incidents(api: &Api) -> Vec<IncidentGauge> {
    let views = incidents::views(&api.store).await.unwrap_or_default();
    let now = api.clock.now();
    let gauge = |view: incidents::IncidentView| {
        Some(IncidentGauge {
            kind: view.incident.kind.as_str(),
            lasted: now.duration_since(view.incident.opened_at).try_into().unwrap_or_default(),
            safe: view.safe?.total,
            destination: view.incident.destination,
        })
    };
    views.into_iter().filter_map(gauge).collect()
}

async fn figures(api: &Api) -> Result<(StoreFigures, Ledger), StoreError> {
    Ok((api.store.figures().await?, api.store.ledger().await?))
}
