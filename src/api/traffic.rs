//! What came and went lately, and whether the newest order of Commerce is here.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;

use super::error::ApiError;
use super::state::Api;
use crate::access::Operator;
use crate::access::roles::CanRead;
use crate::store::traffic::{DestinationTraffic, Traffic};

/// `GET /traffic`
pub async fn show(_operator: Operator<CanRead>, State(api): State<Api>) -> Result<Json<Traffic>, ApiError> {
    let configured = api.engines.destinations().into_iter().map(|view| view.name);
    Ok(Json(with_configured(api.store.traffic(api.clock.now()).await?, configured)))
}

/// Destinations that nothing ever went to are told as well.
pub fn with_configured(mut traffic: Traffic, configured: impl IntoIterator<Item = String>) -> Traffic {
    let known: BTreeSet<String> = traffic.destinations.iter().map(|one| one.destination.clone()).collect();
    let missing = configured.into_iter().filter(|name| !known.contains(name));
    traffic.destinations.extend(missing.map(|destination| DestinationTraffic {
        destination,
        delivered_last_hour: 0,
        waiting: 0,
        oldest_waiting_at: None,
        lag_p50_ms: None,
        lag_p95_ms: None,
    }));
    traffic.destinations.sort_by(|one, other| one.destination.cmp(&other.destination));
    traffic
}
