//! One order, as Commerce writes it: every digit of it is kept.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::search::Search;
use super::{Call, Rest, RestError};

/// Reads an order by its `entity_id`.
///
/// # Errors
/// What the call came to.
pub async fn by_id(rest: &dyn Rest, entity_id: u64) -> Result<Bytes, RestError> {
    Ok(rest.call(Call::get(format!("/V1/orders/{entity_id}"))).await?.body)
}

/// Finds an order by its number, which is unique only within a store; `None` if there is none.
///
/// # Errors
/// What the call came to; [`RestError::Refused`] when several stores have an order of that number and none was named.
pub async fn by_number(rest: &dyn Rest, number: &str, store_id: Option<&str>) -> Result<Option<Bytes>, RestError> {
    let mut search = Search::new().filter("increment_id", "eq", number).size(2).page(1);
    if let Some(store_id) = store_id {
        search = search.filter("store_id", "eq", store_id);
    }
    let answered = rest.call(search.call("/V1/orders")).await?;
    let mut items = items(&answered.body)?;
    if items.len() > 1 {
        let message = "several stores have an order of this number: its store_id is needed".to_owned();
        return Err(RestError::Refused { status: answered.status, message });
    }
    Ok(items.pop())
}

/// The items of a search's answer, each as its own text exactly as sent; an empty result may come as `null`.
///
/// # Errors
/// [`RestError::Unavailable`] when the answer is none of a search.
pub fn items(body: &Bytes) -> Result<Vec<Bytes>, RestError> {
    #[derive(Deserialize)]
    struct Found<'a> {
        #[serde(borrow)]
        items: Option<Vec<&'a RawValue>>,
    }
    let found: Found<'_> = serde_json::from_slice(body).map_err(|_| RestError::Unavailable {
        message: "the answer is none of a search".to_owned(),
        retry_after: None,
    })?;
    Ok(found.items.unwrap_or_default().into_iter().map(|item| body.slice_ref(item.get().as_bytes())).collect())
}
