//! What each screen gathers: calls of the API, and nothing else but what a page alone shows.

pub mod account;
pub mod alerts;
pub mod audit;
pub mod bulk;
pub mod deliveries;
pub mod destinations;
pub mod documents;
pub mod exceptions;
pub mod mappings;
pub mod orders;
pub mod origins;
pub mod overview;
pub mod saved;
pub mod search;
pub mod settings;
pub mod sign_in;

use axum::extract::rejection::QueryRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::{Value, json};

use super::PREFIX;
use super::desk::{Fields, Refused};
use super::views::{self, Page};

/// What a page handler answers.
pub type Shown = Result<Page, Refused>;

/// A page's query, read leniently: what cannot be read is not asked for.
pub type Asked = Result<axum::extract::Query<Fields>, QueryRejection>;

/// The query's members.
pub fn asked(query: Asked) -> Fields {
    query.map(|query| query.0).unwrap_or_default()
}

/// A member of the query with something in it.
pub fn member<'f>(fields: &'f Fields, name: &str) -> Option<&'f str> {
    fields.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
}

/// `GET /console/`: the same page under one address.
pub async fn home() -> Redirect {
    Redirect::permanent(PREFIX)
}

/// Where no page is.
pub async fn nowhere() -> Response {
    let problem = json!({ "title": "There is no such page", "detail": "The menu leads to every page there is." });
    views::refused(StatusCode::NOT_FOUND, &problem, &Value::Null).into_response()
}
