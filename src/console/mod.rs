//! The operator console: what the API knows, on pages a person reads.
//!
//! Cast. A [`desk`] is one signed-in person's view: it asks the API's own routes, in process and with the caller's own
//! credential, so that a page can never show or do more than the API allows, under the same permissions, the same
//! `Idempotency-Key` and the same audit rows. [`pages`] gather what a screen needs; [`views`] turn it into HTML by
//! templates that escape everything; [`acts`] are what forms may do; [`live`] tells open pages that something changed.
//!
//! Pages are whole without scripts. The one script refreshes what is marked live, and helps with long tables. Nothing is
//! loaded from another host: styles and script are in the binary, under addresses that name their content.
//!
//! Deliberately absent: rules, SQL, and any way around the API's permissions.

pub mod acts;
pub mod assets;
pub mod commerce_side;
pub mod desk;
pub mod live;
pub mod pages;
pub mod proof;
mod prose;
pub mod views;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;

use crate::api::Api;

/// What every path of the console starts with.
pub const PREFIX: &str = "/console";

/// Largest form of whoever has not said who they are.
const STRANGERS_BYTES: usize = 16 * 1024;
/// Largest form: a mapping table that is pasted.
const FORM_BYTES_MAX: usize = 10 * 1024 * 1024;

/// The state of every page; cheap to clone.
#[derive(Clone)]
pub struct Console(Arc<Parts>);

/// What a [`Console`] is made of.
pub struct Parts {
    /// The API's routes, asked in process.
    pub routes: Router,
    /// For what only a page shows: the order as Commerce sent it, the request as it went out.
    pub api: Api,
    /// Told when something changed.
    pub live: live::Live,
}

impl Console {
    /// Ready to serve.
    pub fn new(parts: Parts) -> Self {
        Console(Arc::new(parts))
    }
}

impl Deref for Console {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Console").finish_non_exhaustive()
    }
}

/// Every page under [`PREFIX`].
#[rustfmt::skip]
pub fn router(console: Console) -> Router {
    let pages = Router::new()
        .route("/", get(pages::overview::show))
        .route("/search", get(pages::search::show))

        .route("/orders", get(pages::orders::list))
        .route("/orders/{number}", get(pages::orders::show))

        .route("/exceptions", get(pages::exceptions::groups))
        .route("/exceptions/list", get(pages::exceptions::list))
        .route("/exceptions/groups/{fingerprint}", get(pages::exceptions::group))
        .route("/exceptions/groups/{fingerprint}/preview", get(pages::exceptions::group_preview))
        .route("/exceptions/codes/{code}", get(pages::exceptions::code))
        .route("/exceptions/{id}", get(pages::exceptions::show))

        .route("/deliveries", get(pages::deliveries::list))
        .route("/deliveries/{id}", get(pages::deliveries::show))
        .route("/deliveries/{id}/edit", get(pages::documents::edit))
        .route("/documents/{id}", get(pages::documents::show))
        .route("/events/{id}", get(pages::documents::event))

        .route("/destinations", get(pages::destinations::list))
        .route("/destinations/{name}", get(pages::destinations::show).post(pages::destinations::preview))
        .route("/origins", get(pages::origins::list))
        .route("/alerts", get(pages::alerts::list))
        .route("/incidents", get(pages::destinations::incidents))

        .route("/bulk", get(pages::bulk::list))
        .route("/bulk/new", get(pages::bulk::preview))
        .route("/bulk/{id}", get(pages::bulk::show))

        .route("/mappings", get(pages::mappings::tables))
        .route("/mappings/{table}", get(pages::mappings::table))
        .route("/mappings/{table}/export", get(pages::mappings::export))

        .route("/views", get(pages::saved::list))

        .route("/audit", get(pages::audit::list))
        .route("/account", get(pages::account::show))
        .route("/settings", get(pages::settings::show))

        .route("/sign-in", get(pages::sign_in::form).post(pages::sign_in::sign_in).layer(DefaultBodyLimit::max(STRANGERS_BYTES)))
        .route("/sign-in/provider", get(pages::sign_in::provider))
        .route("/sign-in/answer", get(pages::sign_in::answer))
        .route("/sign-out", post(pages::sign_in::sign_out).layer(DefaultBodyLimit::max(STRANGERS_BYTES)))
        .route("/acts/{act}", post(acts::act))
        .route("/live", get(live::stream))
        .route("/assets/{file}", get(assets::file))
        .fallback(pages::nowhere);
    Router::new()
        .route(&format!("{PREFIX}/"), get(pages::home))
        .nest(PREFIX, pages)
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(CatchPanicLayer::custom(views::broken))
        .layer(from_fn(guarded))
        .with_state(console)
}

/// What a page may load and who may frame it.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

async fn guarded(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
