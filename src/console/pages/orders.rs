//! Orders: the list, and one order's whole story.

use axum::extract::Path;
use serde_json::{Value, json};

use super::{Asked, Shown, asked, member, saved};
use crate::console::commerce_side;
use crate::console::desk::{Desk, Refused, query, segment};
use crate::console::proof;
use crate::envelope::ids::EnvelopeId;

/// Documents whose lines an order's page shows; older ones are a click away.
const DOCUMENTS_SHOWN: usize = 4;

/// `GET /console/orders`
pub async fn list(desk: Desk, asked_for: Asked) -> Shown {
    let fields = asked(asked_for);
    let of = |name| (name, member(&fields, name));
    let orders = desk
        .get(&format!(
            "/orders{}",
            query(&[of("state"), of("system"), of("increment_id"), of("cursor"), ("limit", Some("50"))])
        ))
        .await?;
    let views = saved::above(&desk, "orders", &fields).await?;
    let context = json!({
        "title": "Orders", "nav": "orders", "orders": orders["items"], "next": orders["next_cursor"], "asked": fields,
        "views": views,
    });
    Ok(desk.page("orders.html", context))
}

/// `GET /console/orders/{number}`
pub async fn show(desk: Desk, Path(number): Path<String>, asked_for: Asked) -> Shown {
    let fields = asked(asked_for);
    let of = |name| (name, member(&fields, name));
    let order = desk.get(&format!("/orders/{}{}", segment(&number), query(&[of("system"), of("store_id")]))).await?;
    let mut documents = Vec::new();
    for document in newest(&order["documents"]) {
        let id = document["id"].as_str().unwrap_or_default();
        documents.push(document_view(&desk.get(&format!("/documents/{}", segment(id))).await?));
    }
    let sent = sent_by_commerce(&desk, &order["events"]).await?;
    let context = json!({
        "title": format!("Order {}", order["increment_id"].as_str().unwrap_or(&number)), "nav": "orders",
        "order": order, "documents": documents, "sent": sent,
    });
    Ok(desk.page("order.html", context))
}

/// Of each destination and kind the newest document.
fn newest(documents: &Value) -> Vec<&Value> {
    let mut newest: Vec<&Value> = Vec::new();
    for document in documents.as_array().into_iter().flatten() {
        newest.retain(|other| (&other["destination"], &other["kind"]) != (&document["destination"], &document["kind"]));
        newest.push(document);
    }
    newest.reverse();
    newest.truncate(DOCUMENTS_SHOWN);
    newest
}

/// A document with its lines in their tree and its proof.
pub(super) fn document_view(document: &Value) -> Value {
    let sums = proof::sums(&document["body"]);
    json!({ "tree": tree(&document["body"]["lines"]), "sums": sums, "row": document })
}

/// Lines with their depth: what belongs to a bundle stands below its name.
fn tree(lines: &Value) -> Value {
    let mut rows = Vec::new();
    let mut open: Option<&Value> = None;
    for line in lines.as_array().into_iter().flatten() {
        let bundle = &line["bundle"];
        if bundle.is_object() && line["kind"] == "component" && open != Some(&bundle["order_item_id"]) {
            rows.push(json!({ "head": bundle }));
        }
        open = bundle.is_object().then_some(&bundle["order_item_id"]);
        rows.push(json!({ "line": line, "inside": line["kind"] == "component" }));
    }
    Value::from(rows)
}

/// Commerce's own items, from the newest event that has the whole order.
async fn sent_by_commerce(desk: &Desk, events: &Value) -> Result<Value, Refused> {
    for event in events.as_array().into_iter().flatten().rev() {
        let Some(id) = event["id"].as_str().and_then(|id| id.parse::<EnvelopeId>().ok()) else { continue };
        let Ok(Some(envelope)) = desk.console().api.store.envelope(id).await else { continue };
        if let Some(items) = commerce_side::items(&envelope) {
            return Ok(json!({ "event": id.to_string(), "origin": event["origin"], "items": items }));
        }
    }
    Ok(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_stand_below_the_name_of_their_bundle() {
        let line = |bundle: Value, kind: &str| json!({ "kind": kind, "bundle": bundle });
        let lines = json!([
            line(json!({ "order_item_id": 7, "name": "Kit" }), "component"),
            line(json!({ "order_item_id": 7, "name": "Kit" }), "component"),
            line(Value::Null, "item"),
            line(json!({ "order_item_id": 9, "name": "Other" }), "component"),
        ]);
        let rows = tree(&lines);
        let heads: Vec<_> = rows.as_array().unwrap().iter().filter_map(|row| row["head"]["name"].as_str()).collect();
        assert_eq!((heads, rows.as_array().unwrap().len()), (vec!["Kit", "Other"], 6));
    }
}
