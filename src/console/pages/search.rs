//! The search box: anything in, a sentence out.

use axum::response::{IntoResponse, Redirect, Response};
use serde_json::json;

use super::{Asked, asked, member};
use crate::console::PREFIX;
use crate::console::desk::{Desk, Refused, segment};
use crate::search::question::{self, Asked as Question, OurId};

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
    let found = desk.get(&format!("/search?q={}", segment(&cut))).await?;
    let context = json!({ "title": "Search", "nav": "search", "q": cut, "found": found });
    Ok(desk.page("search.html", context).into_response())
}

/// An id of ours tells whose it is.
fn by_id(q: &str) -> Option<String> {
    let Ok(Question::Id(id)) = question::read(q) else { return None };
    let (room, id) = match id {
        OurId::Event(id) => ("events", id.to_string()),
        OurId::Delivery(id) => ("deliveries", id.to_string()),
        OurId::Document(id) => ("documents", id.to_string()),
        OurId::Exception(id) => ("exceptions", id.to_string()),
        // Those have one page together.
        OurId::Incident(_) => return Some(format!("{PREFIX}/incidents")),
    };
    Some(format!("{PREFIX}/{room}/{id}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, SystemClock, SystemEntropy};
    use crate::envelope::ids::{ExceptionId, IncidentId, TokenId};

    #[test]
    fn an_id_leads_straight_to_its_page() {
        let (now, chance) = (SystemClock.now(), SystemEntropy);
        let exception = ExceptionId::new(now, &chance).to_string();
        assert_eq!(by_id(&exception).unwrap(), format!("/console/exceptions/{exception}"));
        assert_eq!(by_id(&format!(" \"{exception}\" ")).unwrap(), format!("/console/exceptions/{exception}"));
        assert_eq!(by_id(&IncidentId::new(now, &chance).to_string()).unwrap(), "/console/incidents");
        let token = TokenId::new(now, &chance).to_string();
        for other in ["000000042", "exc_short", "exc_../../../../../../../", "exc_0123456789abcdefghjk", &token] {
            assert_eq!(by_id(other), None);
        }
    }
}
