//! What is kept of Commerce's catalogue. Nothing is asked of Commerce here.

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;

use super::error::ApiError;
use super::state::Api;
use crate::access::Operator;
use crate::access::roles::CanRead;
use crate::catalogue::{Shelf, Shop};
use crate::clock::Timestamp;
use crate::domain::catalogue::Product;

/// A product as Commerce told it.
#[derive(Debug, Serialize)]
pub struct KnownProduct {
    system: String,
    id: u64,
    fetched_at: Timestamp,
    /// `null`: Commerce does not have it.
    product: Option<Product>,
}

/// The short lists of a shop.
#[derive(Debug, Serialize)]
pub struct KnownShop {
    system: String,
    fetched_at: Timestamp,
    #[serde(flatten)]
    shop: Shop,
}

/// `GET /catalogue/{commerce}/products/{product}`
pub async fn product(
    _operator: Operator<CanRead>,
    State(api): State<Api>,
    Path((system, product)): Path<(String, String)>,
) -> Result<Json<KnownProduct>, ApiError> {
    let (id, known, fetched_at) = shelf(&api, &system)?
        .product(&system, &product)
        .ok_or_else(|| ApiError::not_found(format!("product {product} in what is kept of {system}")))?;
    let product = known.map(|known| Product::clone(&known));
    Ok(Json(KnownProduct { system, id, fetched_at, product }))
}

/// `GET /catalogue/{commerce}/shop`
pub async fn shop(
    _operator: Operator<CanRead>,
    State(api): State<Api>,
    Path(system): Path<String>,
) -> Result<Json<KnownShop>, ApiError> {
    let (shop, fetched_at) = shelf(&api, &system)?
        .shop(&system)
        .ok_or_else(|| ApiError::not_found(format!("what is kept of the shop {system}")))?;
    Ok(Json(KnownShop { system, fetched_at, shop: Shop::clone(&shop) }))
}

fn shelf<'a>(api: &'a Api, system: &str) -> Result<&'a Shelf, ApiError> {
    let shelf = api.engines.shelf().filter(|shelf| shelf.has(system));
    shelf.ok_or_else(|| ApiError::not_found(format!("a catalogue of a Commerce instance {system}")))
}
