//! Lists: `{"items": […], "next_cursor": null}` (API-3).

use serde::Deserialize;

use super::error::ApiError;
use crate::store::view::Paging;

/// Most items of one page.
pub const LIMIT_MAX: u32 = 200;

/// Why somebody acts, where the body has no place for it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhyQuery {
    /// Kept in the audit.
    #[serde(default)]
    pub reason: String,
}

/// Checks the limit; the store checks the cursor.
pub fn paging(limit: Option<u32>, cursor: Option<String>) -> Result<Paging, ApiError> {
    match limit {
        Some(0) => Err(ApiError::bad_request("limit is a number from 1 to 200")),
        Some(limit) if limit > LIMIT_MAX => Err(ApiError::bad_request("limit is a number from 1 to 200")),
        limit => Ok(Paging { limit: limit.unwrap_or(0), cursor: cursor.filter(|cursor| !cursor.is_empty()) }),
    }
}

/// A filter that takes one of a few words.
pub fn one_of(name: &str, given: Option<String>, words: &[&str]) -> Result<Option<String>, ApiError> {
    match given {
        Some(word) if !words.contains(&word.as_str()) => {
            Err(ApiError::bad_request(format!("{name} is one of {}", words.join(", "))))
        }
        given => Ok(given),
    }
}
