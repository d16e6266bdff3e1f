//! Deliveries: what goes out, and each attempt with what was asked and answered.

use axum::extract::Path;
use serde_json::{Value, json};

use super::{Asked, Shown, asked, member, saved};
use crate::access::mask;
use crate::console::desk::{Desk, query, segment};
use crate::envelope::ids::DeliveryId;

/// `GET /console/deliveries`
pub async fn list(desk: Desk, asked_for: Asked) -> Shown {
    let fields = asked(asked_for);
    let of = |name| (name, member(&fields, name));
    let filters = [of("destination"), of("state"), of("increment_id"), of("cursor"), ("limit", Some("50"))];
    let found = desk.get(&format!("/deliveries{}", query(&filters))).await?;
    let destinations = desk.get("/destinations").await?;
    let views = saved::above(&desk, "deliveries", &fields).await?;
    let context = json!({
        "title": "Deliveries", "nav": "deliveries", "deliveries": found["items"], "next": found["next_cursor"],
        "asked": fields, "destinations": destinations["items"], "views": views,
    });
    Ok(desk.page("deliveries.html", context))
}

/// `GET /console/deliveries/{id}`
pub async fn show(desk: Desk, Path(id): Path<String>) -> Shown {
    let delivery = desk.get(&format!("/deliveries/{}", segment(&id))).await?;
    let sealed = match id.parse::<DeliveryId>() {
        Ok(id) => sealed(&desk, id).await,
        Err(_) => Value::Null,
    };
    let context = json!({ "title": "Delivery", "nav": "deliveries", "delivery": delivery, "sealed": sealed });
    Ok(desk.page("delivery.html", context))
}

/// The request as it went out or will go out, without what tells who the buyer is; JSON alone can be looked into.
async fn sealed(desk: &Desk, id: DeliveryId) -> Value {
    let Ok(Some((_, due))) = desk.console().api.store.delivery_origin(id).await else { return Value::Null };
    let Some(request) = due.sealed else { return Value::Null };
    let body = match serde_json::from_slice::<Value>(&request.body) {
        Ok(mut body) if request.body_is_document => {
            mask::document(&mut body);
            body
        }
        _ => Value::Null,
    };
    // What stands in the query may be a secret.
    let url = request.url.split('?').next().unwrap_or_default().to_owned();
    json!({ "method": request.method, "url": url, "headers": request.headers, "body": body, "bytes": request.body.len() })
}
