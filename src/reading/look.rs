//! One look at Commerce: the order by its id or its number, exactly as sent, and whether it is the one asked for.

use bytes::Bytes;

use crate::commerce::parse::{self, Reading};
use crate::commerce::rest::{Call, Rest, RestError};
use crate::json::{self, Json, Limits};
use crate::store::write::NewRead;

/// What a look came to.
#[derive(Debug)]
pub(super) enum Seen {
    /// The order's own text.
    Order(Bytes),
    /// There is no such order, or not yet.
    Absent,
    /// An answer that must not be compiled, in words.
    Other(String),
    /// No answer.
    Failed(RestError),
}

/// Asks for the order: by its id if we know it, else by its number and store.
pub(super) async fn look(rest: &dyn Rest, wanted: &NewRead) -> Seen {
    let found = match (wanted.entity_id, &wanted.increment_id) {
        (Some(id), _) => by_id(rest, id).await,
        (None, Some(number)) => by_number(rest, number, wanted.store_id).await,
        (None, None) => return Seen::Other("the payload names no order".to_owned()),
    };
    match found {
        Ok(Found::One(body)) => match mismatch(&body, wanted) {
            Some(words) => Seen::Other(words),
            None => Seen::Order(body),
        },
        Ok(Found::None) | Err(RestError::NotFound(_)) => Seen::Absent,
        Ok(Found::Several) => Seen::Other("several orders have this number in this store".to_owned()),
        Ok(Found::Unreadable(words)) => Seen::Other(words),
        Err(error) => Seen::Failed(error),
    }
}

enum Found {
    One(Bytes),
    None,
    Several,
    Unreadable(String),
}

async fn by_id(rest: &dyn Rest, id: u64) -> Result<Found, RestError> {
    Ok(Found::One(rest.call(Call::get(format!("/V1/orders/{id}"))).await?.body))
}

async fn by_number(rest: &dyn Rest, number: &str, store_id: Option<u64>) -> Result<Found, RestError> {
    let mut call = filtered(Call::get("/V1/orders"), 0, "increment_id", number);
    if let Some(store) = store_id {
        call = filtered(call, 1, "store_id", &store.to_string());
    }
    let answered = rest.call(call.with("searchCriteria[pageSize]", "2")).await?;
    Ok(only_item(&answered.body))
}

fn filtered(call: Call, group: usize, field: &str, value: &str) -> Call {
    let name = |part: &str| format!("searchCriteria[filter_groups][{group}][filters][0][{part}]");
    call.with(name("field"), field).with(name("value"), value).with(name("condition_type"), "eq")
}

/// The one item of a list, as text. A number is kept digit for digit.
fn only_item(body: &Bytes) -> Found {
    let whole = match json::parse(body, &Limits::default()) {
        Ok(whole) => whole,
        Err(error) => return Found::Unreadable(format!("the list of orders cannot be read: {error}")),
    };
    let items = whole.present("items").and_then(Json::elements).unwrap_or_default();
    match items.as_slice() {
        [] => Found::None,
        [one] => Found::One(Bytes::from(one.canonical())),
        _ => Found::Several,
    }
}

/// In what the order is another than the one asked for: it is never compiled then.
fn mismatch(body: &Bytes, wanted: &NewRead) -> Option<String> {
    let json = match json::parse(body, &Limits::default()) {
        Ok(json) => json,
        Err(error) => return Some(format!("what Commerce answered cannot be read: {error}")),
    };
    let found = parse::header(&json, &Reading { system: &wanted.system, ..Reading::default() });
    let differs = |asked: Option<String>, given: Option<String>, what: &str| {
        let asked = asked.filter(|asked| given.as_ref() != Some(asked))?;
        Some(format!("asked for {what} {asked}, Commerce answered with {}", given.as_deref().unwrap_or("none")))
    };
    let text = |id: Option<u64>| id.map(|id| id.to_string());
    differs(text(wanted.entity_id), text(found.entity_id), "id")
        .or_else(|| differs(wanted.increment_id.clone(), found.increment_id, "number"))
        .or_else(|| differs(text(wanted.store_id), text(found.store_id), "store"))
}
