//! The JSON API of operators and programs: this file is its contents page, `openapi.yaml` its contract.
//!
//! Every row of [`routes`] names method, path and the permission its handler asks for; a handler that does not ask for
//! that very permission does not compile (API-4). Handlers extract, call one function and answer. Errors meet HTTP in
//! [`error`] alone.
//!
//! Deliberately absent: rules and SQL. What arrives from origins is `intake`'s.

pub mod audit_export;
pub mod bulk;
pub mod error;
pub mod expander;
pub mod extract;
pub mod finding;
pub mod idempotency;
pub mod mapping_csv;
pub mod page;
pub mod places;
pub mod replaying;
pub mod rooms;
pub mod state;
pub mod story;
pub mod traffic;

mod about;
mod alerts;
mod audit;
mod cases;
mod codes;
mod deliveries;
mod destinations;
mod documents;
mod editing;
mod events;
pub mod exceptions;
mod expand;
mod fixing;
mod looking;
mod catalogue;
mod catchup;
mod incidents;
mod mappings;
mod orders;
mod origins;
mod outside;
mod provided;
mod rendering;
mod search;
mod tokens;
mod session;
mod users;
mod views;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, any, get as get_method, on};
use tower_http::catch_panic::CatchPanicLayer;

use crate::access::roles::{
    CanApprove, CanCheckOrigins, CanDecide, CanEditDocuments, CanEditMappings, CanExpand, CanFixGroups,
    CanHoldDestinations, CanKeepViews, CanManageAlerts, CanManageTokens, CanManageUsers, CanOwnAccount, CanRead,
    CanReadAudit, CanReleaseDestinations, CanReplay, CanRevealPersonalData, CanTryTemplates, Needs, Operator,
    Permission, Role,
};
use error::{ApiError, Kind};
use idempotency::{Guard, KeyRule};
pub use state::{Api, Engines, Parts};

/// What every path of the API starts with.
pub const PREFIX: &str = "/api/v1";

/// Largest body: an order is a few kilobytes, a table of SKUs a few megabytes (POI-3's hard limit).
const BODY_BYTES_MAX: usize = 10 * 1024 * 1024;

/// Largest body of whoever has not said who they are.
const STRANGERS_BYTES: usize = 16 * 1024;

/// One row of the contents page.
pub struct Route {
    /// `GET`, …
    pub method: &'static str,
    /// Below [`PREFIX`].
    pub path: &'static str,
    /// The permission that its handler asks for.
    pub needs: Needs,
    /// How it treats `Idempotency-Key`.
    pub key: KeyRule,
    /// Whether it can show what it would do, with `dry_run`.
    pub rehearses: bool,
    handler: MethodRouter<Api>,
}

impl Route {
    /// It can show what it would do.
    fn rehearsed(self) -> Route {
        Route { rehearses: true, ..self }
    }
}

/// A route that lets anybody in, since it is where they say who they are. Written out, never the default.
pub const ANYONE: Needs = Needs { permission: "anyone", roles: &Role::ALL };

/// Every route of the API.
#[rustfmt::skip]
pub fn routes() -> Vec<Route> {
    vec![
        get("/search", CanRead, search::find),
        get("/traffic", CanRead, traffic::show),

        get("/orders", CanRead, orders::list),
        get("/orders/{increment_id}", CanRead, orders::show),
        get("/orders/{increment_id}/explain", CanRead, orders::explain),
        post("/orders/expand", CanExpand, KeyRule::None, expand::expand),

        get("/events", CanRead, events::list),
        get("/events/{id}", CanRead, events::show),
        get("/events/{id}/explain", CanRead, events::explain),

        get("/documents/{id}", CanRead, documents::show),
        post("/documents/{id}/reveal", CanRevealPersonalData, KeyRule::None, documents::reveal),

        get("/deliveries", CanRead, deliveries::list),
        get("/deliveries/{id}", CanRead, deliveries::show),
        post("/deliveries/{id}/decide", CanDecide, KeyRule::Required, deliveries::decide),
        post("/deliveries/{id}/edit", CanEditDocuments, KeyRule::Required, editing::edit).rehearsed(),
        post("/deliveries/{id}/resend", CanDecide, KeyRule::Required, deliveries::resend),

        get("/exceptions", CanRead, exceptions::list),
        get("/exceptions/catalogue", CanRead, codes::list),
        get("/exceptions/catalogue/{code}", CanRead, codes::show),
        get("/exceptions/groups", CanRead, exceptions::groups),
        get("/exceptions/preview", CanReplay, looking::filtered),
        get("/exceptions/{id}", CanRead, exceptions::show),
        post("/exceptions/{id}/assign", CanReplay, KeyRule::Required, cases::assign),
        post("/exceptions/{id}/snooze", CanReplay, KeyRule::Required, cases::snooze),
        post("/exceptions/{id}/dismiss", CanDecide, KeyRule::Required, cases::dismiss),
        get("/exceptions/{id}/notes", CanRead, cases::notes),
        post("/exceptions/{id}/notes", CanReplay, KeyRule::Required, cases::note),
        post("/exceptions/{id}/replay", CanReplay, KeyRule::Required, exceptions::replay).rehearsed(),
        get("/exceptions/groups/{fingerprint}/preview", CanReplay, looking::group),
        get("/exceptions/groups/{fingerprint}/proposals", CanRead, fixing::proposals),
        post("/exceptions/groups/{fingerprint}/fix", CanFixGroups, KeyRule::Required, fixing::fix).rehearsed(),
        post("/exceptions/groups/{fingerprint}/release", CanReplay, KeyRule::Required, exceptions::release).rehearsed(),

        get("/bulk", CanRead, bulk::list),
        post("/bulk", CanReplay, KeyRule::Required, bulk::ask).rehearsed(),
        get("/bulk/preview", CanReplay, bulk::look),
        get("/bulk/{id}", CanRead, bulk::show),
        post("/bulk/{id}/approve", CanApprove, KeyRule::Required, bulk::approve),
        post("/bulk/{id}/refuse", CanApprove, KeyRule::Required, bulk::refuse),
        post("/bulk/{id}/undo", CanReplay, KeyRule::Required, bulk::undo),
        post("/bulk/{id}/stop", CanReplay, KeyRule::Required, bulk::stop),

        get("/mappings", CanRead, mappings::tables),
        get("/mappings/{table}", CanRead, mappings::show),
        put("/mappings/{table}", CanEditMappings, KeyRule::Taken, mappings::replace),
        patch("/mappings/{table}", CanEditMappings, KeyRule::Taken, mappings::edit),
        get("/mappings/{table}/changes", CanRead, mappings::changes),

        get("/destinations", CanRead, destinations::list),
        get("/destinations/{name}", CanRead, rendering::show),
        post("/destinations/{name}/render", CanTryTemplates, KeyRule::None, rendering::render),
        post("/destinations/{name}/hold", CanHoldDestinations, KeyRule::Taken, destinations::hold),
        post("/destinations/{name}/release", CanReleaseDestinations, KeyRule::Taken, destinations::release),

        get("/origins", CanRead, origins::list),
        post("/origins/{name}/check", CanCheckOrigins, KeyRule::None, origins::check),

        get("/catalogue/{commerce}/products/{product}", CanRead, catalogue::product),
        get("/catalogue/{commerce}/shop", CanRead, catalogue::shop),

        get("/catchup", CanRead, catchup::list),
        get("/catchup/gaps", CanRead, catchup::gaps),

        get("/incidents", CanRead, incidents::list),
        get("/incidents/{id}", CanRead, incidents::show),

        get("/alerts", CanRead, alerts::list),
        get("/alerts/contacts", CanRead, alerts::contacts),
        post("/alerts/test", CanManageAlerts, KeyRule::None, alerts::test),
        post("/alerts/{id}/acknowledge", CanManageAlerts, KeyRule::Taken, alerts::acknowledge),

        get("/tokens", CanManageTokens, tokens::list),
        post("/tokens", CanManageTokens, KeyRule::Taken, tokens::create),
        delete("/tokens/{id}", CanManageTokens, KeyRule::Taken, tokens::revoke),

        anyone("POST", MethodFilter::POST, "/session", session::sign_in),
        anyone("GET", MethodFilter::GET, "/session/provider", provided::show),
        anyone("POST", MethodFilter::POST, "/session/provider", provided::begin),
        anyone("POST", MethodFilter::POST, "/session/provider/answer", provided::answer),
        get("/session", CanOwnAccount, session::show),
        delete("/session", CanOwnAccount, KeyRule::None, session::sign_out),

        get("/users", CanManageUsers, users::list),
        // No key where a body holds a password: the fingerprint that is kept with a key would be one more thing to guess by.
        post("/users", CanManageUsers, KeyRule::None, users::create),
        get("/users/{id}", CanManageUsers, users::show),
        patch("/users/{id}", CanManageUsers, KeyRule::None, users::change),
        delete("/users/{id}", CanManageUsers, KeyRule::Taken, users::remove),
        delete("/users/{id}/sessions", CanManageUsers, KeyRule::Taken, users::sign_out),
        delete("/users/{id}/totp", CanManageUsers, KeyRule::Taken, users::reset_totp),
        post("/users/me/password", CanOwnAccount, KeyRule::None, users::own_password),
        post("/users/me/totp", CanOwnAccount, KeyRule::None, users::enrol_totp),
        post("/users/me/totp/confirm", CanOwnAccount, KeyRule::None, users::confirm_totp),
        post("/users/me/totp/remove", CanOwnAccount, KeyRule::None, users::remove_totp),

        get("/views", CanRead, views::list),
        post("/views", CanKeepViews, KeyRule::Taken, views::create),
        patch("/views/{id}", CanKeepViews, KeyRule::Taken, views::change),
        delete("/views/{id}", CanKeepViews, KeyRule::Taken, views::remove),

        get("/audit", CanReadAudit, audit::list),
        get("/audit/head", CanReadAudit, audit::head),
        get("/audit/export", CanReadAudit, audit::export),

        get("/ledger", CanRead, about::ledger),
        get("/whoami", CanRead, about::whoami),
        get("/version", CanRead, about::version),
    ]
}

/// Paths of others, for the contract: method, path, who may call.
pub const OUTSIDE: [(&str, &str, &str); 6] = [
    ("GET", "/in/{origin}", "anyone"),
    ("POST", "/in/{origin}", "origin"),
    ("POST", "/in/{origin}/{entity}", "origin"),
    ("GET", "/health/live", "anyone"),
    ("GET", "/health/ready", "anyone"),
    ("GET", "/metrics", "anyone"),
];

/// The API under [`PREFIX`].
pub fn api_router(api: Api) -> Router {
    let mut router = Router::new();
    for route in routes() {
        let handler = match route.key {
            KeyRule::None => route.handler,
            KeyRule::Taken | KeyRule::Required => {
                let required = route.key == KeyRule::Required;
                let guard = Guard { api: api.clone(), needs: route.needs, required, rehearses: route.rehearses };
                route.handler.route_layer(from_fn_with_state(guard, idempotency::once))
            }
        };
        router = router.route(&format!("{PREFIX}{}", route.path), handler);
    }
    router
        .route(PREFIX, any(unknown))
        .route(&format!("{PREFIX}/"), any(unknown))
        .route(&format!("{PREFIX}/{{*rest}}"), any(unknown))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(CatchPanicLayer::new())
        .layer(from_fn_with_state(api.clone(), error::speak))
        .with_state(api)
}

async fn unknown() -> ApiError {
    ApiError::new(Kind::NotFound, "there is no such path; openapi.yaml lists them")
}

/// A whole server's router: whatever no room answers is a problem too.
pub fn finish(router: Router, api: Api) -> Router {
    let nowhere = Router::new().fallback(unknown).layer(from_fn_with_state(api, error::speak));
    router.fallback_service(nowhere)
}

/// `/health/live` and `/health/ready`.
pub fn health_router(api: Api) -> Router {
    Router::new()
        .route("/health/live", get_method(outside::live))
        .route("/health/ready", get_method(outside::ready))
        .layer(map_response(uncached))
        .with_state(api)
}

/// `/metrics`.
pub fn metrics_router(api: Api) -> Router {
    Router::new().route("/metrics", get_method(outside::metrics)).layer(map_response(uncached)).with_state(api)
}

async fn uncached(mut response: Response) -> Response {
    response.headers_mut().insert(http::header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    response
}

/// Proof that a handler's first argument is `Operator<P>`: `T` is what axum makes of its arguments.
pub trait Asks<P> {}

impl<M, P> Asks<P> for (M, Operator<P>) {}
impl<M, P, A> Asks<P> for (M, Operator<P>, A) {}
impl<M, P, A, B> Asks<P> for (M, Operator<P>, A, B) {}
impl<M, P, A, B, C> Asks<P> for (M, Operator<P>, A, B, C) {}
impl<M, P, A, B, C, D> Asks<P> for (M, Operator<P>, A, B, C, D) {}

fn row<P, H, T>(method: &'static str, filter: MethodFilter, path: &'static str, key: KeyRule, handler: H) -> Route
where
    P: Permission,
    H: Handler<T, Api>,
    T: Asks<P> + 'static,
{
    Route { method, path, needs: Needs::of::<P>(), key, rehearses: false, handler: on(filter, handler) }
}

fn get<P: Permission, H: Handler<T, Api>, T: Asks<P> + 'static>(path: &'static str, _: P, handler: H) -> Route {
    row("GET", MethodFilter::GET, path, KeyRule::None, handler)
}

fn post<P: Permission, H: Handler<T, Api>, T: Asks<P> + 'static>(
    path: &'static str,
    _: P,
    key: KeyRule,
    handler: H,
) -> Route {
    row("POST", MethodFilter::POST, path, key, handler)
}

fn put<P: Permission, H: Handler<T, Api>, T: Asks<P> + 'static>(
    path: &'static str,
    _: P,
    key: KeyRule,
    handler: H,
) -> Route {
    row("PUT", MethodFilter::PUT, path, key, handler)
}

fn patch<P: Permission, H: Handler<T, Api>, T: Asks<P> + 'static>(
    path: &'static str,
    _: P,
    key: KeyRule,
    handler: H,
) -> Route {
    row("PATCH", MethodFilter::PATCH, path, key, handler)
}

fn anyone<H: Handler<T, Api>, T: 'static>(
    method: &'static str,
    filter: MethodFilter,
    path: &'static str,
    handler: H,
) -> Route {
    let bounded = on(filter, handler).layer(DefaultBodyLimit::max(STRANGERS_BYTES));
    Route { method, path, needs: ANYONE, key: KeyRule::None, rehearses: false, handler: bounded }
}

fn delete<P: Permission, H: Handler<T, Api>, T: Asks<P> + 'static>(
    path: &'static str,
    _: P,
    key: KeyRule,
    handler: H,
) -> Route {
    row("DELETE", MethodFilter::DELETE, path, key, handler)
}
