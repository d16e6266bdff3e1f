//! Views: filters of lists under a name, one's own or everybody's, and the one that somebody begins with.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::{ApiError, ProblemLine};
use super::extract::{FromJson, FromPath, FromQuery};
use super::state::Api;
use super::{deliveries, exceptions, orders};
use crate::access::Operator;
use crate::access::roles::{CanKeepViews, CanRead, CanShareViews, Needs, Permission};
use crate::access::views::{self, List};
use crate::envelope::ids::ViewId;
use crate::observe::Event;
use crate::store::books::{Keep, KeptAnswer, Shown};
use crate::store::saved::{Filter, NewView, SavedView, ViewChange};
use crate::store::view::Page;
use crate::templates::segment;

/// Which views.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    list: Option<String>,
}

/// Body of a new view.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewViewBody {
    list: String,
    name: String,
    #[serde(default)]
    filter: Filter,
    #[serde(default)]
    shared: bool,
}

/// What of a view changes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewBody {
    name: Option<String>,
    filter: Option<Filter>,
    shared: Option<bool>,
    /// The caller begins with it, or no longer.
    start: Option<bool>,
}

/// `GET /views`
pub async fn list(
    operator: Operator<CanRead>,
    State(api): State<Api>,
    FromQuery(query): FromQuery<ListQuery>,
) -> Result<Json<Page<SavedView>>, ApiError> {
    let mut items = api.store.views(operator.caller().principal()).await?;
    if let Some(name) = query.list {
        let list = views::list(&name).map_err(|invalid| ApiError::bad_request(format!("list: {invalid}")))?;
        items.retain(|view| view.list == list.name);
    }
    Ok(Json(Page { items, next_cursor: None }))
}

/// `POST /views`
pub async fn create(
    operator: Operator<CanKeepViews>,
    State(api): State<Api>,
    FromJson(body): FromJson<NewViewBody>,
) -> Result<(StatusCode, Json<SavedView>), ApiError> {
    if body.shared {
        may_share(&operator)?;
    }
    let list = views::list(&body.list).map_err(|invalid| refused("/list", invalid.to_string()))?;
    let (name, name_key) = views::name(&body.name).map_err(|invalid| refused("/name", invalid.to_string()))?;
    let filter = checked(&api, &operator, list, body.filter)?;
    let now = api.clock.now();
    let view = SavedView {
        id: ViewId::new(now, &*api.entropy),
        list: list.name.to_owned(),
        name,
        filter,
        shared: body.shared,
        mine: true,
        start: false,
        kept_by: operator.actor().to_string(),
        created_at: now,
    };
    let new = NewView {
        id: view.id,
        list: view.list.clone(),
        name: view.name.clone(),
        name_key,
        filter: view.filter.clone(),
        shared: view.shared,
        owner: operator.caller().principal(),
        kept_by: view.kept_by.clone(),
        created_at: now,
    };
    let mut act = operator.act("view.create", view.id, now);
    act.after = told(&view);
    act.keep = kept(&operator, KeptAnswer { status: 201, ..KeptAnswer::json(&view) });
    api.store.keep_view(new, act).await?;
    note(&api, &operator, "view.create", view.id);
    Ok((StatusCode::CREATED, Json(view)))
}

/// `PATCH /views/{id}`
pub async fn change(
    operator: Operator<CanKeepViews>,
    State(api): State<Api>,
    FromPath(id): FromPath<ViewId>,
    FromJson(body): FromJson<ViewBody>,
) -> Result<Json<SavedView>, ApiError> {
    let mut view = found(&api, &operator, id).await?;
    let now = api.clock.now();
    let changes = body.name.is_some() || body.filter.is_some() || body.shared.is_some();
    let before = told(&view);
    let mut change = ViewChange { shared: body.shared, ..ViewChange::default() };
    if changes {
        if !views::may_change(&view, shares(&operator)) {
            return Err(ApiError::forbidden(Needs::of::<CanShareViews>()));
        }
        if body.shared == Some(true) && !view.shared {
            may_share(&operator)?;
        }
        let list = views::list(&view.list).map_err(|invalid| refused("/list", invalid.to_string()))?;
        let name = body.name.map(|name| views::name(&name)).transpose();
        change.name = name.map_err(|invalid| refused("/name", invalid.to_string()))?;
        change.filter = body.filter.map(|filter| checked(&api, &operator, list, filter)).transpose()?;
    }
    if let Some((name, _)) = &change.name {
        view.name.clone_from(name);
    }
    if let Some(filter) = &change.filter {
        view.filter.clone_from(filter);
    }
    view.shared = body.shared.unwrap_or(view.shared);
    let started = body.start.filter(|start| *start != view.start);
    view.start = body.start.unwrap_or(view.start);
    let answer = KeptAnswer::json(&view);
    // The answer is kept with the last of the two: a repeat of a call that died between them does both again, to the same end.
    if changes {
        let mut act = operator.act("view.change", id, now);
        (act.before, act.after) = (before, told(&view));
        act.keep = if started.is_none() { kept(&operator, answer.clone()) } else { None };
        api.store.change_view(id, change, act).await?;
        note(&api, &operator, "view.change", id);
    }
    if let Some(start) = started {
        let mut act = operator.act("view.start", id, now);
        act.after = serde_json::json!({ "start": start }).to_string();
        act.keep = kept(&operator, answer);
        api.store.start_with(operator.caller().principal(), start.then_some(id), act).await?;
        note(&api, &operator, "view.start", id);
    }
    Ok(Json(view))
}

/// `DELETE /views/{id}`
pub async fn remove(
    operator: Operator<CanKeepViews>,
    State(api): State<Api>,
    FromPath(id): FromPath<ViewId>,
) -> Result<StatusCode, ApiError> {
    let view = found(&api, &operator, id).await?;
    if !views::may_change(&view, shares(&operator)) {
        return Err(ApiError::forbidden(Needs::of::<CanShareViews>()));
    }
    let mut act = operator.act("view.delete", id, api.clock.now());
    act.before = told(&view);
    act.keep = kept(&operator, KeptAnswer { status: 204, headers: Vec::new(), body: Bytes::new() });
    api.store.drop_view(id, act).await?;
    note(&api, &operator, "view.delete", id);
    Ok(StatusCode::NO_CONTENT)
}

/// A view that the caller sees; anybody else's own is not there for them.
async fn found<P: Permission>(api: &Api, operator: &Operator<P>, id: ViewId) -> Result<SavedView, ApiError> {
    let seen = api.store.views(operator.caller().principal()).await?;
    seen.into_iter().find(|view| view.id == id).ok_or_else(|| ApiError::not_found(id.to_string()))
}

fn shares<P: Permission>(operator: &Operator<P>) -> bool {
    operator.caller().may(Needs::of::<CanShareViews>())
}

fn may_share<P: Permission>(operator: &Operator<P>) -> Result<(), ApiError> {
    if shares(operator) { Ok(()) } else { Err(ApiError::forbidden(Needs::of::<CanShareViews>())) }
}

fn refused(path: impl Into<String>, why: String) -> ApiError {
    ApiError::unprocessable("the view was not kept", vec![ProblemLine::new(path, why)])
}

/// A filter that its list takes: read as the list itself reads its query.
fn checked<P: Permission>(api: &Api, operator: &Operator<P>, list: List, given: Filter) -> Result<Filter, ApiError> {
    let actor = operator.actor().to_string();
    let filter = views::filter(list, given)
        .map_err(|(member, invalid)| refused(format!("/filter/{}", segment(&member)), invalid.to_string()))?;
    let members = filter.iter().map(|(name, value)| format!("{name}={}", segment(value)));
    let query = members.collect::<Vec<_>>().join("&");
    let taken = match list.name {
        "orders" => read::<orders::ListQuery>(&query).and_then(|query| query.filter().map(drop)),
        "deliveries" => read::<deliveries::ListQuery>(&query).and_then(|query| query.filter().map(drop)),
        "groups" => read::<exceptions::ListQuery>(&query)
            .and_then(|mut query| exceptions::of_what_waits(&query.filter(api, &actor)?)),
        _ => read::<exceptions::ListQuery>(&query).and_then(|mut query| query.filter(api, &actor).map(drop)),
    };
    taken.map_err(|error| refused("/filter", error.detail().to_owned()))?;
    Ok(filter)
}

fn read<T: DeserializeOwned>(query: &str) -> Result<T, ApiError> {
    let address = format!("/?{query}").parse().map_err(|_| ApiError::bad_request("it is too long"))?;
    Query::try_from_uri(&address)
        .map(|Query(read)| read)
        .map_err(|_| ApiError::bad_request("a value is not what this list is filtered by"))
}

fn told(view: &SavedView) -> String {
    serde_json::json!({ "list": view.list, "name": view.name, "shared": view.shared, "filter": view.filter })
        .to_string()
}

fn kept<P: Permission>(operator: &Operator<P>, answer: KeptAnswer) -> Option<Keep> {
    operator.ticket().map(|ticket| ticket.keep(Shown::Kept, Arc::new(move |_| answer.clone())))
}

/// What the log says once it is done.
fn note<P: Permission>(api: &Api, operator: &Operator<P>, action: &str, id: ViewId) {
    let (actor, target) = (operator.actor().to_string(), id.to_string());
    api.observer.note(&Event::OperatorActed { actor: &actor, action, target: &target });
}
