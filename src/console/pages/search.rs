//! The search box: anything in, a sentence out.

use axum::response::{IntoResponse, Redirect, Response};
use serde_json::{Value, json};

use super::{Asked, asked, member};
use crate::console::PREFIX;
use crate::console::desk::{Desk, Refused, segment};

/// `GET /console/search?q=…`
pub async fn show(desk: Desk, query: Asked) -> Result<Response, Refused> {
    let fields = asked(query);
    let Some(q) = member(&fields, "q") else {
        return Ok(desk.page("search.html", json!({ "title": "Search", "nav": "search" })).into_response());
    };
    if let Some(page) = by_id(q) {
        return Ok(Redirect::to(&page).into_response());
    }
    let cut: String = q.chars().take(200).collect();
    let found = match desk.get_if(&format!("/search?q={}", segment(&cut))).await? {
        Some(found) => found,
        None => by_number(&desk, &cut).await?,
    };
    let context = json!({ "title": "Search", "nav": "search", "q": cut, "found": found });
    Ok(desk.page("search.html", context).into_response())
}

/// An id of ours tells by its letters whose it is.
fn by_id(q: &str) -> Option<String> {
    let (prefix, rest) = q.split_once('_')?;
    if rest.len() < 16 || !rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let room = match prefix {
        "env" => "events",
        "dlv" => "deliveries",
        "doc" => "documents",
        "exc" => "exceptions",
        _ => return None,
    };
    Some(format!("{PREFIX}/{room}/{}", segment(q)))
}

async fn by_number(desk: &Desk, q: &str) -> Result<Value, Refused> {
    let found = desk.get(&format!("/orders?increment_id={}", segment(q))).await?;
    let hits: Vec<Value> = found["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|order| json!({ "kind": "order", "id": order["increment_id"], "title": order["increment_id"], "state": order["state"] }))
        .collect();
    let sentence = if hits.is_empty() { "Nothing has that number." } else { "" };
    Ok(json!({ "items": hits, "sentence": sentence }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_leads_straight_to_its_page() {
        assert_eq!(by_id("exc_0123456789abcdefghjk").unwrap(), "/console/exceptions/exc_0123456789abcdefghjk");
        for other in ["000000042", "exc_short", "exc_../../../../../../../", "tok_0123456789abcdefghjk"] {
            assert_eq!(by_id(other), None);
        }
    }
}
