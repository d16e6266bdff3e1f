//! Views: the filters that somebody keeps, above each list and on a page of their own.

use serde_json::{Value, json};

use super::Shown;
use crate::access::views::LISTS;
use crate::console::PREFIX;
use crate::console::desk::{Desk, Fields, Refused, query};

/// `GET /console/views`
pub async fn list(desk: Desk) -> Shown {
    let found = desk.get("/views").await?;
    let views: Vec<Value> = found["items"].as_array().into_iter().flatten().map(linked).collect();
    Ok(desk.page("views.html", json!({ "title": "Views", "nav": "views", "views": views })))
}

/// What stands above a list: its views, and the filter in force for the form that keeps it.
pub async fn above(desk: &Desk, list: &str, fields: &Fields) -> Result<Value, Refused> {
    let found = desk.get(&format!("/views{}", query(&[("list", Some(list))]))).await?;
    let views: Vec<Value> = found["items"].as_array().into_iter().flatten().map(linked).collect();
    let members = LISTS.iter().find(|known| known.name == list).map_or(&[][..], |known| known.members);
    let filter: Vec<Value> = members
        .iter()
        .filter_map(|name| Some((*name, fields.get(*name).filter(|value| !value.trim().is_empty())?)))
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
    Ok(json!({ "list": list, "views": views, "filter": filter, "open": fields.get("view") }))
}

/// A view with the address of its list under it.
fn linked(view: &Value) -> Value {
    json!({ "view": view, "href": address(view) })
}

/// Where a view leads.
pub fn address(view: &Value) -> String {
    let page = match view["list"].as_str() {
        Some("groups") => "exceptions",
        Some("exceptions") => "exceptions/list",
        Some(other) => other,
        None => "",
    };
    let members = view["filter"].as_object().into_iter().flatten();
    let mut asked: Vec<(&str, Option<&str>)> = members.map(|(name, value)| (name.as_str(), value.as_str())).collect();
    asked.push(("view", view["id"].as_str()));
    format!("{PREFIX}/{page}{}", query(&asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_leads_to_its_list_with_its_filter() {
        let view =
            json!({ "id": "viw_1", "list": "exceptions", "filter": { "code": "unmapped_sku", "text": "a&b=c" } });
        assert_eq!(address(&view), "/console/exceptions/list?code=unmapped_sku&text=a%26b%3Dc&view=viw_1");
    }
}
