//! What a destination would be sent of an order, as it is configured or with one template in other words. Nothing is sent,
//! asked or kept.
//!
//! Who the buyer is stays hidden: it is taken out of the document before the templates see it. Whoever may see it can ask for the
//! whole, with a reason that the audit keeps.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;

use super::error::{ApiError, Kind};
use super::extract::{FromJson, FromPath};
use super::state::{Api, DestinationView, Expansion, ExpansionProblem};
use crate::access::roles::{CanRead, CanRevealPersonalData, CanTryTemplates, Needs};
use crate::access::{Operator, mask};
use crate::destinations::recipe::rehearse::Rehearsed;
use crate::destinations::recipe::tried::{NotTried, Speech, Tried};
use crate::envelope::ids::DocumentId;
use crate::observe::Event;
use crate::store::view::OrderDetail;

/// Renderings at a time: each may take a core for a while.
static TURNS: Semaphore = Semaphore::const_new(2);
/// Longest wait for one, its turn included. Its steps are bounded, so it ends by itself soon after.
const PATIENCE: Duration = Duration::from_secs(10);

/// Orders to try a destination with, by name.
pub const SAMPLES: [(&str, &str); 6] = [
    ("simple", include_str!("../demo/orders/simple.json")),
    ("bundle", include_str!("../demo/orders/bundle_fixed_price_engraved.json")),
    ("configurable", include_str!("../demo/orders/configurable_with_options.json")),
    ("coupon", include_str!("../demo/orders/coupon_tax_inclusive.json")),
    ("gift-card", include_str!("../demo/orders/gift_card_and_store_credit.json")),
    ("two-currencies", include_str!("../demo/orders/two_currencies.json")),
];

/// A destination, and how it is spoken to.
#[derive(Debug, Serialize)]
pub struct DestinationDetail {
    #[serde(flatten)]
    destination: DestinationView,
    /// `null`: it is sent our documents as they stand.
    recipe: Option<Speech>,
    /// The orders that a rendering knows by name.
    samples: Vec<&'static str>,
}

/// Which order, in whose words.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenderBody {
    increment_id: Option<String>,
    system: Option<String>,
    store_id: Option<String>,
    document_id: Option<String>,
    sample: Option<String>,
    order: Option<Box<RawValue>>,
    template: Option<Tried>,
    #[serde(default)]
    reveal: bool,
    #[serde(default)]
    reason: String,
}

/// What would be sent.
#[derive(Debug, Serialize)]
pub struct RenderView {
    destination: String,
    increment_id: Option<String>,
    /// What was rendered: `payload` (an event, expanded now), `document` (as it was made then), `sample`, `order` (of the call).
    from: &'static str,
    /// Who the buyer is was taken out.
    masked: bool,
    requests: Vec<Rehearsed>,
    /// Why there are none.
    problem: Option<RenderProblem>,
    /// What keeps the order from being expanded.
    problems: Vec<ExpansionProblem>,
}

/// Why nothing can be shown.
#[derive(Debug, Serialize)]
pub struct RenderProblem {
    message: String,
    /// Of the template that was tried.
    line: Option<usize>,
}

/// What is put in the destination's words.
struct Chosen {
    increment_id: Option<String>,
    from: &'static str,
    document: Option<Value>,
    problems: Vec<ExpansionProblem>,
}

/// `GET /destinations/{name}`
pub async fn show(
    _operator: Operator<CanRead>,
    State(api): State<Api>,
    FromPath(name): FromPath<String>,
) -> Result<Json<DestinationDetail>, ApiError> {
    let destination = view(&api, &name)?;
    let samples = SAMPLES.iter().map(|(name, _)| *name).collect();
    Ok(Json(DestinationDetail { recipe: api.engines.speech(&name), destination, samples }))
}

/// `POST /destinations/{name}/render`
pub async fn render(
    operator: Operator<CanTryTemplates>,
    State(api): State<Api>,
    FromPath(name): FromPath<String>,
    FromJson(body): FromJson<RenderBody>,
) -> Result<Json<RenderView>, ApiError> {
    view(&api, &name)?;
    if body.reveal && !operator.caller().may(Needs::of::<CanRevealPersonalData>()) {
        return Err(ApiError::forbidden(Needs::of::<CanRevealPersonalData>()));
    }
    let chosen = chosen(&api, &name, &body).await?;
    let mut document = chosen.document;
    let stored = matches!(chosen.from, "payload" | "document");
    let masked = stored && !body.reveal && document.as_mut().is_some_and(mask::document);
    if stored && body.reveal && document.is_some() {
        revealed(&api, &operator, &body, chosen.increment_id.as_deref()).await?;
    }
    let rendered = match document {
        Some(document) => rendered(&api, name.clone(), document, body.template).await?,
        None => Ok(Vec::new()),
    };
    let (requests, problem) = match rendered {
        Ok(requests) => (requests, None),
        Err(NotTried { why, line }) => (Vec::new(), Some(RenderProblem { message: why, line })),
    };
    Ok(Json(RenderView {
        destination: name,
        increment_id: chosen.increment_id,
        from: chosen.from,
        masked,
        requests,
        problem,
        problems: chosen.problems,
    }))
}

fn view(api: &Api, name: &str) -> Result<DestinationView, ApiError> {
    let found = api.engines.destinations().into_iter().find(|view| view.name == name);
    found.ok_or_else(|| ApiError::new(Kind::NotFound, "no destination of that name is configured"))
}

/// Written down before it is shown.
async fn revealed(
    api: &Api,
    operator: &Operator<CanTryTemplates>,
    body: &RenderBody,
    increment_id: Option<&str>,
) -> Result<(), ApiError> {
    let reason = body.reason.trim();
    if reason.is_empty() {
        return Err(ApiError::bad_request("say why the buyer's details are needed: the audit log keeps the reason"));
    }
    let target = body.document_id.as_deref().or(increment_id).unwrap_or_default();
    let mut act = operator.act("personal_data.reveal", target, api.clock.now());
    reason.clone_into(&mut act.reason);
    let actor = act.actor.clone();
    api.store.record(act).await?;
    api.observer.note(&Event::OperatorActed { actor: &actor, action: "personal_data.reveal", target });
    Ok(())
}

/// Pure computing, bounded in steps and bytes: not on the threads that answer everybody else, and few at a time.
async fn rendered(
    api: &Api,
    name: String,
    document: Value,
    tried: Option<Tried>,
) -> Result<Result<Vec<Rehearsed>, NotTried>, ApiError> {
    let busy = || ApiError::new(Kind::Unavailable, "other renderings take too long; try again in a moment");
    let engines = api.engines.clone();
    let work = async {
        let turn = TURNS.acquire().await.map_err(|closed| ApiError::new(Kind::Internal, "no turn").because(closed))?;
        let task = move || {
            let _turn = turn;
            engines.try_out(&name, document.to_string().as_bytes(), tried.as_ref())
        };
        tokio::task::spawn_blocking(task)
            .await
            .map_err(|panic| ApiError::new(Kind::Internal, "the rendering broke on our side").because(panic))
    };
    tokio::time::timeout(PATIENCE, work).await.map_err(|_| busy())?
}

async fn chosen(api: &Api, name: &str, body: &RenderBody) -> Result<Chosen, ApiError> {
    match (&body.increment_id, &body.document_id, &body.sample, &body.order) {
        (Some(number), None, None, None) => of_number(api, name, number, body).await,
        (None, Some(id), None, None) => {
            let id: DocumentId = id
                .parse()
                .map_err(|error: crate::envelope::ids::InvalidId| ApiError::bad_request(error.to_string()))?;
            let made = api.store.document(id).await?.ok_or_else(|| ApiError::not_found(id.to_string()))?;
            let gone = || ApiError::new(Kind::NotFound, "what stood in that document is no longer kept");
            Ok(as_made(made.body.ok_or_else(gone)?))
        }
        (None, None, Some(sample), None) => {
            let sample = SAMPLES.iter().find(|(known, _)| known == sample);
            let (_, order) = sample.ok_or_else(|| ApiError::new(Kind::NotFound, "there is no sample of that name"))?;
            expanded(api, name, Bytes::from_static(order.as_bytes()), "sample", None).await
        }
        (None, None, None, Some(order)) => {
            expanded(api, name, Bytes::copy_from_slice(order.get().as_bytes()), "order", None).await
        }
        _ => Err(ApiError::bad_request("say one of increment_id, document_id, sample and order")),
    }
}

fn as_made(document: Value) -> Chosen {
    let increment_id = number_of(&document);
    Chosen { increment_id, from: "document", document: Some(document), problems: Vec::new() }
}

fn number_of(document: &Value) -> Option<String> {
    document.pointer("/order/increment_id").and_then(Value::as_str).map(str::to_owned)
}

/// The order's newest complete payload, expanded now; where none is kept, the document as it was made.
async fn of_number(api: &Api, name: &str, number: &str, body: &RenderBody) -> Result<Chosen, ApiError> {
    let mut known = api.store.order(number.to_owned()).await?;
    known.retain(|detail| {
        body.system.as_ref().is_none_or(|system| *system == detail.order.system)
            && body.store_id.as_ref().is_none_or(|store| *store == detail.order.store_id)
    });
    known.sort_by_key(|detail| std::cmp::Reverse(detail.order.last_seen_at));
    let absent = || ApiError::new(Kind::NotFound, "no order of that number has been received");
    let detail = known.into_iter().next().ok_or_else(absent)?;
    let mut refused: Option<Chosen> = None;
    for event in detail.events.iter().rev() {
        // A body that cannot be read any more is no reason to stop: an earlier one may do.
        let Ok(Some(envelope)) = api.store.envelope(event.id).await else { continue };
        let wanted = Wanted { number, path: &envelope.path };
        let Ok(mut chosen) = expanded(api, name, envelope.body, "payload", Some(wanted)).await else { continue };
        chosen.increment_id = Some(number.to_owned());
        if let Some(order) = chosen.document.as_mut().and_then(|document| document.get_mut("order")) {
            order["system"] = detail.order.system.clone().into();
            // Where the payload names no store, the origin's is the one that the document is made for.
            if let (true, Ok(store_id)) = (order["store_id"].is_null(), detail.order.store_id.parse::<u32>()) {
                order["store_id"] = store_id.into();
            }
            return Ok(chosen);
        }
        // A hint says less of what is wrong than a whole order does.
        let says_more = |known: &Chosen| known.problems.iter().all(|problem| problem.code == "unreadable_payload");
        if refused.as_ref().is_none_or(says_more) {
            refused = Some(chosen);
        }
    }
    match (made_before(api, name, &detail).await?, refused) {
        (Some(made), _) => Ok(made),
        (None, Some(refused)) => Ok(refused),
        (None, None) => Err(ApiError::new(
            Kind::NotFound,
            "no complete order of that number is kept, neither its payload nor its document",
        )),
    }
}

async fn made_before(api: &Api, name: &str, detail: &OrderDetail) -> Result<Option<Chosen>, ApiError> {
    let made = detail.documents.iter().rev().filter(|made| made.destination == name && made.kind == "order");
    for made in made {
        if let Some(body) = api.store.document(made.id).await?.and_then(|document| document.body) {
            return Ok(Some(as_made(body)));
        }
    }
    Ok(None)
}

/// One order of a payload that may hold several.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    number: &'a str,
    /// Where its record stands.
    path: &'a str,
}

impl Wanted<'_> {
    fn is(&self, order: &Expansion) -> bool {
        let stands_there =
            |path: &str| path.strip_prefix(self.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        match &order.sales_order {
            Some(document) => document.order.increment_id.as_str() == self.number,
            None => order.problems.iter().any(|problem| stands_there(&problem.path)),
        }
    }
}

/// An order of a payload for this destination: the one that is wanted, else the first.
async fn expanded(
    api: &Api,
    name: &str,
    payload: Bytes,
    from: &'static str,
    wanted: Option<Wanted<'_>>,
) -> Result<Chosen, ApiError> {
    let (engines, destination) = (Arc::clone(&api.engines), name.to_owned());
    let expansions = tokio::task::spawn_blocking(move || engines.expand(&payload, Some(&destination)))
        .await
        .map_err(|panic| ApiError::new(Kind::Internal, "the expansion broke on our side").because(panic))?;
    let mut orders = expansions
        .map_err(|finding| ApiError::unprocessable("no order can be read from the body", vec![finding]))?
        .orders;
    // Of a body with one order in it there is nothing to choose.
    let is_alone = orders.len() == 1;
    let is_it =
        |order: &Expansion| wanted.is_none_or(|wanted| wanted.is(order) || is_alone && order.sales_order.is_none());
    let none = || ApiError::bad_request("the body holds no such order");
    let at = orders.iter().position(is_it).ok_or_else(none)?;
    let Expansion { sales_order, problems, .. } = orders.swap_remove(at);
    let document = sales_order.map(serde_json::to_value).transpose();
    let document = document.map_err(|error| ApiError::new(Kind::Internal, "the document is none").because(error))?;
    let increment_id = document.as_ref().and_then(number_of);
    Ok(Chosen { increment_id, from, document, problems })
}
