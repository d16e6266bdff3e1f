//! Troubles of destinations, one object each: since when, why, how much is safe with us, and when it will be drained.
//!
//! An incident begins when a destination breaks, is held, is paused for more than a moment, or takes less than comes. It
//! is *down* while the destination is shut, *draining* once it takes deliveries again, and *ended* when nothing that
//! was due in the meantime waits any more. A destination has one at a time, whatever else goes wrong meanwhile.
//!
//! [`rules`] judges, purely; [`Watcher`] looks once a second and writes incidents down, so that they survive a restart
//! and verbs beside the service can show them. What stands behind a destination is asked of the store when somebody
//! looks ([`views`]). Deliberately absent: any say in what is delivered.

pub mod rules;
mod watcher;

use serde::Serialize;

use crate::store::running::{Incident, Standing};
use crate::store::{SharedStore, StoreError};

pub use watcher::Watcher;

/// An incident as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IncidentView {
    /// As it is kept.
    #[serde(flatten)]
    pub incident: Incident,
    /// `down`, `draining`, `ended`.
    pub state: &'static str,
    /// What is safe with us now; nothing of ended ones.
    pub safe: Option<Safe>,
}

/// What is safe with us for a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Safe {
    /// Deliveries that wait or are under way.
    pub total: u64,
    /// Its parts, and the oldest of them.
    #[serde(flatten)]
    pub standing: Standing,
}

/// All incidents that are kept, open ones first.
///
/// # Errors
/// When the store cannot be read.
pub async fn views(store: &SharedStore) -> Result<Vec<IncidentView>, StoreError> {
    let mut views = Vec::new();
    for incident in store.incidents().await? {
        views.push(view(store, incident).await?);
    }
    Ok(views)
}

async fn view(store: &SharedStore, incident: Incident) -> Result<IncidentView, StoreError> {
    let state = match (incident.reopened_at, incident.ended_at) {
        (_, Some(_)) => "ended",
        (Some(_), None) => "draining",
        (None, None) => "down",
    };
    let safe = if incident.ended_at.is_some() {
        None
    } else {
        let standing = store.standing(incident.destination.clone()).await?;
        Some(Safe { total: standing.waiting + standing.in_flight, standing })
    };
    Ok(IncidentView { incident, state, safe })
}
