//! Deliveries: intended effects, their attempts, and a person's decision about a parked one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::error::{ApiError, ProblemLine};
use super::extract::{FromJson, FromPath, FromQuery};
use super::page::{one_of, paging};
use super::state::{Api, delivery_seen_by};
use crate::access::Operator;
use crate::access::roles::{CanDecide, CanRead};
use crate::clock::Timestamp;
use crate::envelope::ids::DeliveryId;
use crate::exceptions::resend;
use crate::observe::Event;
use crate::store::DeliveryFilter;
use crate::store::books::{Done, KeptAnswer, Shown};
use crate::store::view::{DeliveryDetail, DeliveryRow, Page};
use crate::store::write::{Decision, Verdict};

/// What a delivery may be.
pub const STATES: [&str; 6] = ["waiting", "in_flight", "parked", "delivered", "superseded", "abandoned"];

/// Filters of the list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    destination: Option<String>,
    state: Option<String>,
    increment_id: Option<String>,
    origin: Option<String>,
    kind: Option<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    limit: Option<u32>,
    cursor: Option<String>,
}

impl ListQuery {
    /// What of it is asked for.
    pub(super) fn filter(self) -> Result<DeliveryFilter, ApiError> {
        let state = one_of("state", self.state, &STATES)?;
        Ok(DeliveryFilter {
            destination: self.destination,
            state,
            subject_id: self.increment_id,
            origin: self.origin,
            kind: self.kind,
            since: self.since,
            until: self.until,
        })
    }
}

/// What a person says about a parked delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Said {
    /// Send the same bytes with the same key again.
    Retry,
    /// The destination has it.
    Applied,
    /// It shall not be sent.
    Abandon,
}

/// Body of a decision.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecideBody {
    verdict: Said,
    #[serde(default)]
    reason: String,
    receipt: Option<String>,
}

/// Body of an order to do it a second time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResendBody {
    reason: String,
    /// The number of what the delivery is about, once more.
    confirm: String,
}

/// `GET /deliveries`
pub async fn list(
    _operator: Operator<CanRead>,
    State(api): State<Api>,
    FromQuery(query): FromQuery<ListQuery>,
) -> Result<Json<Page<DeliveryRow>>, ApiError> {
    let paging = paging(query.limit, query.cursor.clone())?;
    Ok(Json(api.store.deliveries(query.filter()?, paging).await?))
}

/// `GET /deliveries/{id}`
pub async fn show(
    operator: Operator<CanRead>,
    State(api): State<Api>,
    FromPath(id): FromPath<DeliveryId>,
) -> Result<Json<DeliveryDetail>, ApiError> {
    found(&api, id).await.map(|detail| Json(delivery_seen_by(operator.caller(), detail)))
}

async fn found(api: &Api, id: DeliveryId) -> Result<DeliveryDetail, ApiError> {
    api.store.delivery(id).await?.ok_or_else(|| ApiError::not_found(id.to_string()))
}

/// `POST /deliveries/{id}/decide`
pub async fn decide(
    operator: Operator<CanDecide>,
    State(api): State<Api>,
    FromPath(id): FromPath<DeliveryId>,
    FromJson(body): FromJson<DecideBody>,
) -> Result<Json<DeliveryDetail>, ApiError> {
    let before = found(&api, id).await?;
    let verdict = verdict(&body, api.clock.now())?;
    let mut act = operator.act("delivery.decide", id, api.clock.now());
    let actor = act.actor.clone();
    act.before = serde_json::json!({ "state": before.delivery.state }).to_string();
    act.after = serde_json::json!({ "verdict": word(body.verdict), "receipt": body.receipt }).to_string();
    act.reason = body.reason;
    act.keep = operator.ticket().map(|ticket| ticket.keep(Shown::Kept, Arc::new(told)));
    api.store.decide(Decision { delivery: id, verdict, act }).await?;
    let target = id.to_string();
    api.observer.note(&Event::OperatorActed { actor: &actor, action: "delivery.decide", target: &target });
    api.engines.wake();
    found(&api, id).await.map(|detail| Json(delivery_seen_by(operator.caller(), detail)))
}

/// The answer of an act on a delivery: the delivery as the act left it.
fn told(done: Done<'_>) -> KeptAnswer {
    match done {
        Done::Delivery(delivery) => KeptAnswer::json(delivery),
        Done::Exception(_) | Done::Bulk(_) | Done::Mappings(_) | Done::Otherwise => {
            unreachable!("the act is about a delivery")
        }
    }
}

/// `POST /deliveries/{id}/resend`
pub async fn resend(
    operator: Operator<CanDecide>,
    State(api): State<Api>,
    FromPath(id): FromPath<DeliveryId>,
    FromJson(body): FromJson<ResendBody>,
) -> Result<Json<DeliveryDetail>, ApiError> {
    let before = found(&api, id).await?;
    let mut problems = Vec::new();
    if body.reason.trim().is_empty() {
        problems.push(ProblemLine::new("/reason", "say why it shall be done a second time"));
    }
    if body.confirm != before.delivery.subject_id {
        problems.push(ProblemLine::new("/confirm", "repeat the number of what the delivery is about"));
    }
    if !problems.is_empty() {
        return Err(ApiError::unprocessable("a second effect must be confirmed", problems));
    }
    let mut act = operator.act("delivery.resend", id, api.clock.now());
    let actor = act.actor.clone();
    act.before = serde_json::json!({ "state": before.delivery.state, "receipt": before.delivery.receipt }).to_string();
    act.reason = body.reason;
    act.keep = operator.ticket().map(|ticket| ticket.keep(Shown::Kept, Arc::new(told)));
    let new = resend::resend(api.store.as_ref(), api.entropy.as_ref(), id, &body.confirm, act).await?;
    let target = id.to_string();
    api.observer.note(&Event::OperatorActed { actor: &actor, action: "delivery.resend", target: &target });
    api.engines.wake();
    found(&api, new).await.map(Json)
}

fn word(said: Said) -> &'static str {
    match said {
        Said::Retry => "retry",
        Said::Applied => "applied",
        Said::Abandon => "abandon",
    }
}

/// A decision that ends a delivery without sending it needs a reason: the timeline shows it for ever.
fn verdict(body: &DecideBody, now: Timestamp) -> Result<Verdict, ApiError> {
    let reason = body.reason.trim();
    let needed = |path: &str, message: &str| {
        ApiError::unprocessable("the decision is incomplete", vec![ProblemLine::new(path, message)])
    };
    if body.receipt.is_some() && body.verdict != Said::Applied {
        return Err(needed("/receipt", "a receipt belongs to the verdict applied"));
    }
    match body.verdict {
        Said::Retry => Ok(Verdict::Retry { due_at: now }),
        Said::Applied => Ok(Verdict::Applied { receipt: body.receipt.clone() }),
        Said::Abandon if reason.is_empty() => Err(needed("/reason", "say why it shall not be sent")),
        Said::Abandon => Ok(Verdict::Abandon { reason: reason.to_owned() }),
    }
}
