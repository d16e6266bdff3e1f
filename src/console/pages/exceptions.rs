//! What could not go through: by cause, one by one, and what each code means.

use axum::extract::Path;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{Asked, Shown, asked, member, saved};
use crate::access::mask;
use crate::console::desk::{Desk, Refused, query, segment};

/// Members of a group that its page lists.
const MEMBERS: &str = "50";

/// `GET /console/exceptions`
pub async fn groups(desk: Desk, asked_for: Asked) -> Shown {
    let fields = asked(asked_for);
    let of = |name| (name, member(&fields, name));
    let filters = [
        of("state"),
        of("code"),
        of("severity"),
        of("owner"),
        of("assignee"),
        of("destination"),
        of("overdue"),
        of("text"),
        of("increment_id"),
        of("fingerprint"),
    ];
    let path = format!("/exceptions/groups{}", query(&filters));
    let groups = desk.get(&path).await?;
    let views = saved::above(&desk, "groups", &fields).await?;
    let context = json!({
        "title": "Exceptions", "nav": "exceptions", "groups": groups["items"], "asked": fields, "views": views,
    });
    Ok(desk.page("groups.html", context))
}

/// `GET /console/exceptions/list`
pub async fn list(desk: Desk, asked_for: Asked) -> Shown {
    let fields = asked(asked_for);
    let of = |name| (name, member(&fields, name));
    let filters = [
        of("state"),
        of("code"),
        of("severity"),
        of("owner"),
        of("assignee"),
        of("destination"),
        of("overdue"),
        of("increment_id"),
        of("fingerprint"),
        of("text"),
        of("cursor"),
        ("limit", Some("50")),
    ];
    let found = desk.get(&format!("/exceptions{}", query(&filters))).await?;
    let views = saved::above(&desk, "exceptions", &fields).await?;
    let context = json!({
        "title": "Exceptions", "nav": "exceptions", "exceptions": found["items"], "next": found["next_cursor"], "asked": fields,
        "views": views,
    });
    Ok(desk.page("exceptions.html", context))
}

/// `GET /console/exceptions/groups/{fingerprint}`
pub async fn group(desk: Desk, Path(fingerprint): Path<String>) -> Shown {
    let members = desk
        .get(&format!("/exceptions{}", query(&[("fingerprint", Some(&fingerprint)), ("limit", Some(MEMBERS))])))
        .await?;
    let mut groups = desk.get(&format!("/exceptions/groups{}", query(&[("fingerprint", Some(&fingerprint))]))).await?;
    let group = groups["items"].as_array_mut().and_then(Vec::pop);
    let proposals = match group {
        Some(_) => desk.get_if(&format!("/exceptions/groups/{}/proposals", segment(&fingerprint))).await?,
        None => None,
    };
    let code = members["items"][0]["code"].as_str().unwrap_or_default();
    let page =
        if code.is_empty() { None } else { desk.get_if(&format!("/exceptions/catalogue/{}", segment(code))).await? };
    let context = json!({
        "title": "One cause", "nav": "exceptions", "fingerprint": fingerprint, "group": group, "members": members["items"],
        "more": members["next_cursor"], "proposals": proposals, "code": page,
    });
    Ok(desk.page("group.html", context))
}

/// `GET /console/exceptions/groups/{fingerprint}/preview`
pub async fn group_preview(desk: Desk, Path(fingerprint): Path<String>, asked_for: Asked) -> Shown {
    let fields = asked(asked_for);
    let cursor = query(&[("cursor", member(&fields, "cursor"))]);
    let mut looked = desk.get(&format!("/exceptions/groups/{}/preview{cursor}", segment(&fingerprint))).await?;
    mask::preview(&mut looked);
    let context = json!({ "title": "What releasing would come to", "nav": "exceptions", "fingerprint": fingerprint, "looked": looked });
    Ok(desk.page("group-preview.html", context))
}

/// `GET /console/exceptions/{id}`
pub async fn show(desk: Desk, Path(id): Path<String>) -> Shown {
    let exception = desk.get(&format!("/exceptions/{}", segment(&id))).await?;
    if exception["id"].is_null() {
        let problem = json!({ "title": "There is no such exception" });
        return Err(Refused { status: StatusCode::NOT_FOUND, problem, who: desk.who });
    }
    let notes = desk.get_if(&format!("/exceptions/{}/notes", segment(&id))).await?;
    let delivery = match exception["delivery_id"].as_str() {
        Some(delivery) => desk.get_if(&format!("/deliveries/{}", segment(delivery))).await?,
        None => None,
    };
    let code = exception["code"].as_str().unwrap_or_default();
    let page = desk.get_if(&format!("/exceptions/catalogue/{}", segment(code))).await?;
    let context = json!({
        "title": code.replace('_', " "), "nav": "exceptions", "exception": exception, "notes": notes.unwrap_or(Value::Null),
        "delivery": delivery, "code": page,
    });
    Ok(desk.page("exception.html", context))
}

/// `GET /console/exceptions/codes/{code}`
pub async fn code(desk: Desk, Path(code): Path<String>) -> Shown {
    let page = desk.get(&format!("/exceptions/catalogue/{}", segment(&code))).await?;
    Ok(desk.page("code.html", json!({ "title": code.replace('_', " "), "nav": "exceptions", "code": page })))
}
