//! Alerts: what people are told of, who takes it, who is told, and trying them out.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::error::{ApiError, Kind};
use super::extract::{FromJson, FromPath, FromQuery};
use super::page::WhyQuery;
use super::state::Api;
use crate::access::Operator;
use crate::access::roles::{CanManageAlerts, CanRead};
use crate::alerting::{ContactView, Tested};
use crate::envelope::ids::AlertId;
use crate::observe::Event;
use crate::store::alerts::Alert;
use crate::store::books::{KeptAnswer, Shown};
use crate::store::view::Page;

/// Alerts in one answer: those that are not over, and the last that ended.
const SHOWN: u32 = 200;

/// An alert with its state in a word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AlertView {
    /// As it is kept.
    #[serde(flatten)]
    pub alert: Alert,
    /// `firing`, `acknowledged`, `resolved`.
    pub state: &'static str,
}

impl From<Alert> for AlertView {
    fn from(alert: Alert) -> Self {
        AlertView { state: alert.state(), alert }
    }
}

/// `GET /alerts`
pub async fn list(_operator: Operator<CanRead>, State(api): State<Api>) -> Result<Json<Page<AlertView>>, ApiError> {
    let alerts = api.store.recent_alerts(SHOWN).await?;
    Ok(Json(Page { items: alerts.into_iter().map(AlertView::from).collect(), next_cursor: None }))
}

/// `POST /alerts/{id}/acknowledge`
pub async fn acknowledge(
    operator: Operator<CanManageAlerts>,
    State(api): State<Api>,
    FromPath(id): FromPath<AlertId>,
    FromQuery(why): FromQuery<WhyQuery>,
) -> Result<Json<AlertView>, ApiError> {
    let absent = || ApiError::not_found(id.to_string());
    let known = api.store.alert(id).await?.ok_or_else(absent)?;
    let now = api.clock.now();
    let mut act = operator.act("alert.acknowledge", id, now);
    act.before = serde_json::json!({ "state": known.state() }).to_string();
    act.after = serde_json::json!({ "state": "acknowledged" }).to_string();
    act.reason = why.reason;
    let actor = act.actor.clone();
    let taken = AlertView::from(Alert { acknowledged_at: Some(now), acknowledged_by: Some(actor.clone()), ..known });
    let answer = KeptAnswer::json(&taken);
    act.keep = operator.ticket().map(|ticket| ticket.keep(Shown::Kept, Arc::new(move |_| answer.clone())));
    api.store.acknowledge_alert(id, act).await?;
    api.observer.note(&Event::OperatorActed { actor: &actor, action: "alert.acknowledge", target: &id.to_string() });
    Ok(Json(taken))
}

/// `GET /alerts/contacts`
pub async fn contacts(_operator: Operator<CanRead>, State(api): State<Api>) -> Json<Page<ContactView>> {
    let alerting = api.engines.alerting();
    let items = alerting.map(|alerting| alerting.contacts.views(api.clock.now())).unwrap_or_default();
    Json(Page { items, next_cursor: None })
}

/// Body of a test.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestBody {
    contact: String,
}

/// `POST /alerts/test`
pub async fn test(
    operator: Operator<CanManageAlerts>,
    State(api): State<Api>,
    FromJson(body): FromJson<TestBody>,
) -> Result<Json<Tested>, ApiError> {
    let absent = || ApiError::new(Kind::NotFound, "no contact of that name is configured");
    let alerting = api.engines.alerting().ok_or_else(absent)?;
    if !alerting.contacts.names().contains(&body.contact) {
        return Err(absent());
    }
    // Written down first: the message leaves the house.
    let act = operator.act("alert.test", &body.contact, api.clock.now());
    let actor = act.actor.clone();
    api.store.record(act).await?;
    api.observer.note(&Event::OperatorActed { actor: &actor, action: "alert.test", target: &body.contact });
    alerting.test(&body.contact).await.map(Json).ok_or_else(absent)
}
