//! Orders: find, explain, tell the whole story.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::error::{ApiError, Kind};
use super::exceptions::tell;
use super::extract::{FromPath, FromQuery};
use super::page::{one_of, paging};
use super::places::{Place, is_partly_processed, places};
use super::state::{Api, delivery_seen_by};
use super::story::{self, Moment};
use crate::access::Operator;
use crate::access::caller::Caller;
use crate::access::roles::CanRead;
use crate::store::OrderFilter;
use crate::store::view::{DeliveryDetail, DocumentRow, EventRow, ExceptionRow, OrderDetail, OrderRow, Page};

/// What an order may be.
pub const STATES: [&str; 4] = ["parked", "due", "delivered", "ignored"];

/// Filters of the list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    increment_id: Option<String>,
    state: Option<String>,
    system: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

impl ListQuery {
    /// What of it is asked for.
    pub(super) fn filter(self) -> Result<OrderFilter, ApiError> {
        let state = one_of("state", self.state, &STATES)?;
        Ok(OrderFilter { increment_id: self.increment_id, state, system: self.system })
    }
}

/// Which of several orders of one number.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneQuery {
    system: Option<String>,
    store_id: Option<String>,
}

/// An order in a list: its head, and what hangs on it.
#[derive(Debug, Serialize)]
pub struct OrderItem {
    #[serde(flatten)]
    order: OrderRow,
    documents: Vec<DocumentRow>,
    deliveries: Vec<DeliveryDetail>,
    exceptions: Vec<ExceptionRow>,
}

/// An order with its whole story.
#[derive(Debug, Serialize)]
pub struct OrderView {
    #[serde(flatten)]
    order: OrderRow,
    sentence: String,
    /// One destination has it, and another one or a person is still waited for.
    partly_processed: bool,
    destinations: Vec<Place>,
    timeline: Vec<Moment>,
    events: Vec<EventRow>,
    documents: Vec<DocumentRow>,
    deliveries: Vec<DeliveryDetail>,
    exceptions: Vec<ExceptionRow>,
    also: Vec<AlsoOfThatNumber>,
}

/// Another order of the same number.
#[derive(Debug, Serialize)]
pub struct AlsoOfThatNumber {
    system: String,
    store_id: String,
    state: String,
}

/// Why an order is where it is.
#[derive(Debug, Serialize)]
pub struct Explanation {
    increment_id: String,
    system: String,
    state: String,
    sentence: String,
    events: Vec<EventExplanation>,
}

#[derive(Debug, Serialize)]
struct EventExplanation {
    id: String,
    received_at: crate::clock::Timestamp,
    state: String,
    sentence: String,
}

/// `GET /orders`
pub async fn list(
    operator: Operator<CanRead>,
    State(api): State<Api>,
    FromQuery(query): FromQuery<ListQuery>,
) -> Result<Json<Page<OrderItem>>, ApiError> {
    let paging = paging(query.limit, query.cursor.clone())?;
    let page = api.store.orders(query.filter()?, paging).await?;
    let mut items = Vec::with_capacity(page.items.len());
    for order in page.items {
        let mut item = with_what_hangs_on_it(&api, order).await?;
        item.deliveries = seen_by(operator.caller(), item.deliveries);
        items.push(item);
    }
    Ok(Json(Page { items, next_cursor: page.next_cursor }))
}

fn seen_by(caller: &Caller, deliveries: Vec<DeliveryDetail>) -> Vec<DeliveryDetail> {
    deliveries.into_iter().map(|detail| delivery_seen_by(caller, detail)).collect()
}

async fn with_what_hangs_on_it(api: &Api, order: OrderRow) -> Result<OrderItem, ApiError> {
    let known = api.store.order(order.increment_id.clone()).await?;
    let detail = known.into_iter().find(|one| is_same(&one.order, &order));
    Ok(match detail {
        // The state of the detail: read later, it agrees with the deliveries beside it.
        Some(mut detail) => {
            tell(api, &mut detail.exceptions);
            OrderItem {
                order: detail.order,
                documents: detail.documents,
                deliveries: detail.deliveries,
                exceptions: detail.exceptions,
            }
        }
        None => OrderItem { order, documents: Vec::new(), deliveries: Vec::new(), exceptions: Vec::new() },
    })
}

fn is_same(left: &OrderRow, right: &OrderRow) -> bool {
    left.system == right.system && left.store_id == right.store_id && left.increment_id == right.increment_id
}

/// `GET /orders/{increment_id}`
pub async fn show(
    operator: Operator<CanRead>,
    State(api): State<Api>,
    FromPath(increment_id): FromPath<String>,
    FromQuery(query): FromQuery<OneQuery>,
) -> Result<Json<OrderView>, ApiError> {
    let (mut detail, also) = find(&api, increment_id, &query).await?;
    tell(&api, &mut detail.exceptions);
    let destinations = places(&detail);
    Ok(Json(OrderView {
        partly_processed: is_partly_processed(&detail, &destinations),
        destinations,
        sentence: story::sentence(&detail),
        timeline: story::timeline(&detail),
        order: detail.order,
        events: detail.events,
        documents: detail.documents,
        deliveries: seen_by(operator.caller(), detail.deliveries),
        exceptions: detail.exceptions,
        also,
    }))
}

/// `GET /orders/{increment_id}/explain`
pub async fn explain(
    _operator: Operator<CanRead>,
    State(api): State<Api>,
    FromPath(increment_id): FromPath<String>,
    FromQuery(query): FromQuery<OneQuery>,
) -> Result<Json<Explanation>, ApiError> {
    let (detail, _) = find(&api, increment_id, &query).await?;
    let events = detail.events.iter().map(|event| EventExplanation {
        id: event.id.to_string(),
        received_at: event.received_at,
        state: event.state.clone(),
        sentence: story::explain(event),
    });
    Ok(Json(Explanation {
        sentence: story::sentence(&detail),
        events: events.collect(),
        increment_id: detail.order.increment_id,
        system: detail.order.system,
        state: detail.order.state,
    }))
}

/// The one seen last of that number, within the system and store asked for, and the others.
async fn find(
    api: &Api,
    increment_id: String,
    query: &OneQuery,
) -> Result<(OrderDetail, Vec<AlsoOfThatNumber>), ApiError> {
    let mut known = api.store.order(increment_id).await?;
    known.sort_by_key(|detail| std::cmp::Reverse(detail.order.last_seen_at));
    let wanted = |order: &OrderRow| {
        query.system.as_ref().is_none_or(|system| *system == order.system)
            && query.store_id.as_ref().is_none_or(|store| *store == order.store_id)
    };
    let index = known
        .iter()
        .position(|detail| wanted(&detail.order))
        .ok_or_else(|| ApiError::new(Kind::NotFound, "no order of that number has been received"))?;
    let detail = known.remove(index);
    let also = known.into_iter().map(|other| AlsoOfThatNumber {
        system: other.order.system,
        store_id: other.order.store_id,
        state: other.order.state,
    });
    Ok((detail, also.collect()))
}
