//! The catalogue of exceptions: what each code means, how it arises, how to fix it, what happens if it is ignored.

use axum::Json;

use super::error::ApiError;
use super::extract::FromPath;
use crate::access::Operator;
use crate::access::roles::CanRead;
use crate::domain::defect::ExceptionCode;
use crate::exceptions::catalogue::{self, Entry};
use crate::store::view::Page;

/// `GET /exceptions/catalogue`
pub async fn list(_operator: Operator<CanRead>) -> Json<Page<Entry>> {
    Json(Page { items: catalogue::entries(), next_cursor: None })
}

/// `GET /exceptions/catalogue/{code}`
pub async fn show(_operator: Operator<CanRead>, FromPath(code): FromPath<String>) -> Result<Json<Entry>, ApiError> {
    let code: ExceptionCode = code
        .parse()
        .map_err(|_| ApiError::not_found("an exception code of that name (GET /exceptions/catalogue lists them)"))?;
    Ok(Json(code.into()))
}
