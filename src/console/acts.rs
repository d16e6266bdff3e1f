//! What forms may do: each is one call of the API, with the caller's own credential and a name of its own, so that a form
//! that is sent twice acts once. What came of it is the page that answers.

use axum::Form;
use axum::extract::Path;
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde_json::{Map, Value, json};

use super::desk::{Call, Desk, Fields, Refused, segment};
use super::{PREFIX, pages};
use crate::access::mask;

/// How a field of a form stands in the body of the call.
#[derive(Clone, Copy)]
enum As {
    /// As text; `""` too.
    Text,
    /// As it was typed: a password may begin with a space.
    Exact,
    /// As text; left out when empty.
    Some,
    /// As a list of its words; left out when empty.
    Words,
    /// As a whole number; left out when it is none.
    Number,
    /// A moment of a form, in UTC.
    Moment,
    /// As it is meant: `true` or `false`.
    Flag,
    /// `mapping_key`, `value` and `destination` as the one row of a list.
    Row,
    /// What stands in fields called by a place of a document, where it differs from what stood there.
    Places,
    /// What stands in fields called `filter:` and a member of a list's query, as an object.
    Filter,
    /// As JSON, or as the text that it is instead; left out when empty.
    Json,
}

/// A call that a form makes.
#[derive(Clone, Copy)]
struct Act {
    name: &'static str,
    method: &'static str,
    /// `{field}` is taken from the form.
    path: &'static str,
    /// Members of the query, taken from the form where it has them.
    query: &'static [&'static str],
    /// Members of the JSON body; `key=field` where the form calls it otherwise.
    body: Option<&'static [(&'static str, As)]>,
    /// A field that is the whole body, as CSV.
    csv: Option<&'static str>,
    /// What the page that answers says first.
    done: &'static str,
    /// The page that answers.
    page: &'static str,
    /// The page that it leads to instead, below [`PREFIX`]; `{id}` is that of what was made.
    leads_to: Option<&'static str>,
}

const fn call(name: &'static str, method: &'static str, path: &'static str, done: &'static str) -> Act {
    Act { name, method, path, query: &[], body: None, csv: None, done, page: "done.html", leads_to: None }
}

const fn with(act: Act, body: &'static [(&'static str, As)]) -> Act {
    Act { body: Some(body), ..act }
}

const fn asking(act: Act, query: &'static [&'static str]) -> Act {
    Act { query, ..act }
}

const fn leading_to(act: Act, page: &'static str) -> Act {
    Act { leads_to: Some(page), ..act }
}

const fn sending_csv(act: Act, field: &'static str) -> Act {
    Act { csv: Some(field), ..act }
}

const REASON: &[(&str, As)] = &[("reason", As::Text)];

/// Every act there is.
#[rustfmt::skip]
const ACTS: &[Act] = &[
    asking(with(call("replay", "POST", "/exceptions/{id}/replay", "Processed again"), REASON), &["dry_run"]),
    asking(with(call("release-group", "POST", "/exceptions/groups/{fingerprint}/release", "Released"), &[("reason", As::Text), ("ids", As::Words), ("mappings_version", As::Number)]), &["dry_run"]),
    asking(with(call("fix-group", "POST", "/exceptions/groups/{fingerprint}/fix", "Added and released"), &[("value", As::Text), ("destination", As::Text), ("reason", As::Text)]), &["dry_run"]),
    with(call("assign", "POST", "/exceptions/{id}/assign", "Assigned"), &[("to", As::Some)]),
    with(call("snooze", "POST", "/exceptions/{id}/snooze", "Put off"), &[("until", As::Moment), ("reason", As::Text)]),
    with(call("dismiss", "POST", "/exceptions/{id}/dismiss", "Dismissed"), REASON),
    with(call("note", "POST", "/exceptions/{id}/notes", "Noted"), &[("text", As::Text)]),
    with(call("decide", "POST", "/deliveries/{id}/decide", "Decided"), &[("verdict", As::Text), ("reason", As::Text), ("receipt", As::Some)]),
    with(call("resend", "POST", "/deliveries/{id}/resend", "Ordered a second effect"), &[("reason", As::Text), ("confirm", As::Text)]),
    leading_to(with(call("ask-bulk", "POST", "/bulk", "Asked"), &[("what", As::Text), ("filter", As::Json), ("reason", As::Text), ("per_minute", As::Number), ("count", As::Number), ("mappings_version", As::Number)]), "/bulk/{id}"),
    leading_to(with(call("approve-bulk", "POST", "/bulk/{id}/approve", "Approved"), REASON), "/bulk/{id}"),
    leading_to(with(call("refuse-bulk", "POST", "/bulk/{id}/refuse", "Refused"), REASON), "/bulk/{id}"),
    leading_to(with(call("undo-bulk", "POST", "/bulk/{id}/undo", "Taken back"), REASON), "/bulk/{id}"),
    leading_to(with(call("stop-bulk", "POST", "/bulk/{id}/stop", "Stopped"), REASON), "/bulk/{id}"),
    asking(with(call("edit-document", "POST", "/deliveries/{id}/edit", "Edited; it goes in the place of what was refused"), &[("document_id", As::Text), ("set", As::Places), ("document", As::Json), ("reason", As::Text)]), &["dry_run"]),
    with(call("reveal", "POST", "/documents/{id}/reveal", "Shown; the audit log says that you asked"), REASON),
    asking(call("release-destination", "POST", "/destinations/{name}/release", "Sending again"), &["reason"]),
    asking(call("hold-destination", "POST", "/destinations/{name}/hold", "Held"), &["reason"]),
    call("check-origin", "POST", "/origins/{name}/check", "Checked"),
    with(call("create-token", "POST", "/tokens", "Made; the secret is shown this once"), &[("name", As::Text), ("role", As::Text), ("expires_at", As::Moment), ("reason", As::Text)]),
    asking(with(call("set-mapping", "PATCH", "/mappings/{table}", "Saved"), &[("set", As::Row)]), &["reason"]),
    with(call("create-user", "POST", "/users", "Let in"), &[("name", As::Text), ("role", As::Text), ("password", As::Exact)]),
    with(call("own-password", "POST", "/users/me/password", "Your password is changed"), &[("current", As::Exact), ("new", As::Exact)]),
    with(call("enrol-totp", "POST", "/users/me/totp", "One step more"), &[("password", As::Exact)]),
    with(call("confirm-totp", "POST", "/users/me/totp/confirm", "A second factor is asked for from now on"), &[("code", As::Text)]),
    with(call("remove-totp", "POST", "/users/me/totp/remove", "Given up"), &[("password", As::Exact)]),
    asking(call("sign-out-everywhere", "DELETE", "/session", "Signed out everywhere"), &["everywhere"]),
    with(call("change-user", "PATCH", "/users/{id}", "Changed"), &[("disabled", As::Flag)]),
    with(call("keep-view", "POST", "/views", "Kept"), &[("list", As::Text), ("name", As::Text), ("filter", As::Filter), ("shared", As::Flag)]),
    with(call("rename-view", "PATCH", "/views/{id}", "Renamed"), &[("name", As::Text)]),
    with(call("share-view", "PATCH", "/views/{id}", "Changed"), &[("shared", As::Flag)]),
    with(call("start-view", "PATCH", "/views/{id}", "Changed"), &[("start", As::Flag)]),
    call("delete-view", "DELETE", "/views/{id}", "Deleted"),
    asking(call("acknowledge-alert", "POST", "/alerts/{id}/acknowledge", "Taken"), &["reason"]),
    with(call("test-contact", "POST", "/alerts/test", "Tried"), &[("contact", As::Text)]),
    asking(sending_csv(call("import-mappings", "PUT", "/mappings/{table}", "Replaced"), "csv"), &["reason"]),
    asking(call("revoke-token", "DELETE", "/tokens/{id}", "Revoked"), &["reason"]),
];

/// `POST /console/acts/{act}`
pub async fn act(desk: Desk, Path(name): Path<String>, Form(fields): Form<Fields>) -> Result<Response, Refused> {
    let Some(act) = ACTS.iter().find(|act| act.name == name) else { return Ok(pages::nowhere().await) };
    let mut query: Vec<(&str, Option<&str>)> = act.query.iter().map(|name| (*name, field(&fields, name))).collect();
    query.retain(|(_, value)| value.is_some());
    let path = format!("{}{}", filled(act.path, &fields), super::desk::query(&query));
    let body = act.body.map(|members| ("application/json", body(members, &fields).to_string().into_bytes()));
    let csv = act.csv.map(|name| ("text/csv", fields.get(name).cloned().unwrap_or_default().into_bytes()));
    let method = Method::from_bytes(act.method.as_bytes()).unwrap_or_default();
    let answered = desk.call(method, Call { path, body: body.or(csv), headers: told(&fields) }).await;
    let mut result = desk.json(&answered)?;
    if let Some(page) = act.leads_to {
        let made = Fields::from([("id".to_owned(), result["id"].as_str().unwrap_or_default().to_owned())]);
        return Ok(Redirect::to(&format!("{PREFIX}{}", filled(page, &made))).into_response());
    }
    mask::preview(&mut result);
    let cookies: Vec<HeaderValue> = answered.headers.get_all(header::SET_COOKIE).iter().cloned().collect();
    let back = back(&fields);
    let mut context = json!({ "title": act.done, "act": act.name, "result": result, "back": back });
    if act.name == "edit-document" {
        context["again"] =
            json!({ "id": fields.get("id"), "document_id": fields.get("document_id"), "fields": kept(&fields) });
    }
    let dry = act.query.contains(&"dry_run") && field(&fields, "dry_run") == Some("true");
    let page = if dry { "preview.html" } else { act.page };
    let mut response = desk.page(page, context).into_response();
    for cookie in cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// The call's name, and the proof that the form is ours.
pub(super) fn told(fields: &Fields) -> Vec<(HeaderName, String)> {
    let mut headers = Vec::new();
    if let Some(key) = field(fields, "key") {
        headers.push((HeaderName::from_static("idempotency-key"), format!("\"{}\"", key.replace(['"', '\\'], ""))));
    }
    if let Some(csrf) = field(fields, "csrf") {
        headers.push((HeaderName::from_static("x-csrf-token"), csrf.to_owned()));
    }
    headers.push((header::ACCEPT, "application/json".to_owned()));
    headers
}

/// A field with something in it.
pub(super) fn field<'f>(fields: &'f Fields, name: &str) -> Option<&'f str> {
    fields.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
}

/// Where the page that answers leads back to: a page of ours and nowhere else.
pub(super) fn back(fields: &Fields) -> String {
    let back = field(fields, "back").filter(|back| is_ours(back));
    back.unwrap_or(PREFIX).to_owned()
}

/// Whether an address is one of the console's own pages.
pub(super) fn is_ours(address: &str) -> bool {
    let rest = address.strip_prefix(PREFIX);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
        && address.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        && !address.contains("//")
        && !address.contains("..")
        && !address.to_ascii_lowercase().contains("%2e")
}

fn filled(path: &str, fields: &Fields) -> String {
    let mut out = String::new();
    let mut rest = path;
    while let Some((before, more)) = rest.split_once('{') {
        let (name, after) = more.split_once('}').unwrap_or((more, ""));
        out.push_str(before);
        out.push_str(&segment(fields.get(name).map(String::as_str).unwrap_or_default()));
        rest = after;
    }
    out + rest
}

/// `2026-12-01T10:00` of a form, as a time in UTC.
pub(super) fn moment(text: &str) -> String {
    if text.len() == 16 { format!("{text}:00Z") } else { text.to_owned() }
}

fn body(members: &[(&str, As)], fields: &Fields) -> Value {
    let mut body = Map::new();
    for (name, how) in members {
        let (name, from) = name.split_once('=').unwrap_or((name, name));
        let text = fields.get(from).map(|text| text.trim().to_owned());
        let value = match how {
            As::Text => Some(Value::from(text.unwrap_or_default())),
            As::Exact => Some(Value::from(fields.get(from).cloned().unwrap_or_default())),
            As::Some => text.filter(|text| !text.is_empty()).map(Value::from),
            As::Words => {
                let words: Vec<Value> = text.unwrap_or_default().split_whitespace().map(Value::from).collect();
                if words.is_empty() { None } else { Some(Value::from(words)) }
            }
            As::Number => text.and_then(|text| text.parse::<u64>().ok()).map(Value::from),
            As::Moment => text.filter(|text| !text.is_empty()).map(|text| Value::from(moment(&text))),
            As::Flag => Some(Value::from(text.as_deref() == Some("true"))),
            As::Row => {
                let of = |name: &str| fields.get(name).map(|value| value.trim()).unwrap_or_default();
                Some(json!([{ "key": of("mapping_key"), "value": of("value"), "destination": of("destination") }]))
            }
            As::Places => {
                let places: Vec<Value> =
                    changed(fields).map(|(path, value)| json!({ "path": path, "value": value })).collect();
                if places.is_empty() { None } else { Some(Value::from(places)) }
            }
            As::Filter => {
                let members = fields.iter().filter_map(|(name, value)| Some((name.strip_prefix("filter:")?, value)));
                Some(
                    members
                        .map(|(name, value)| (name.to_owned(), Value::from(value.trim())))
                        .collect::<Map<_, _>>()
                        .into(),
                )
            }
            As::Json => text
                .filter(|text| !text.is_empty())
                .map(|text| serde_json::from_str(&text).unwrap_or_else(|_| Value::from(text))),
        };
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    }
    Value::Object(body)
}

/// How a field is called that holds what shall stand at a place, and one that says what stood there.
const AT: &str = "at:";
const WAS: &str = "was:";
/// In place of `at:` where each line is an element.
const LINES_AT: &str = "lines:";

/// Places of a document whose field says something else than it did when the page was made.
fn changed(fields: &Fields) -> impl Iterator<Item = (&str, Value)> {
    let read = |text: &str| text.replace("\r\n", "\n");
    fields.iter().filter_map(move |(name, text)| {
        let (path, lines) = match (name.strip_prefix(AT), name.strip_prefix(LINES_AT)) {
            (Some(path), _) => (path, false),
            (None, Some(path)) => (path, true),
            (None, None) => return None,
        };
        let (text, was) = (read(text), fields.get(&format!("{WAS}{path}")).map(|was| read(was)).unwrap_or_default());
        if text == was {
            return None;
        }
        let value = match (lines, text.is_empty()) {
            (true, _) => Value::from(text.lines().filter(|line| !line.trim().is_empty()).collect::<Vec<_>>()),
            (false, true) => Value::Null,
            (false, false) => Value::from(text),
        };
        Some((path, value))
    })
}

/// The fields of a form that say what shall change, to be sent once more with a person's word.
fn kept(fields: &Fields) -> Value {
    let document = fields.get_key_value("document");
    let places = fields.keys().filter(|name| name.starts_with(AT) || name.starts_with(LINES_AT));
    let changed: Vec<&str> = changed(fields).map(|(path, _)| path).collect();
    let differs = |name: &&String| {
        let path = name.strip_prefix(AT).or_else(|| name.strip_prefix(LINES_AT));
        path.is_some_and(|path| changed.contains(&path))
    };
    let named = places.filter(differs).filter_map(|name| fields.get_key_value(name));
    let was = changed.iter().filter_map(|path| fields.get_key_value(&format!("{WAS}{path}")));
    named.chain(was).chain(document).map(|(name, text)| json!({ "name": name, "value": text })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_says_only_what_was_changed_in_it() {
        let fields = Fields::from([
            ("at:/order/note".into(), "a\r\nb".into()),
            ("was:/order/note".into(), "a\nb".into()),
            ("at:/lines/0/sku".into(), "B".into()),
            ("was:/lines/0/sku".into(), "A".into()),
            ("at:/order/shipping_address/region".into(), String::new()),
            ("was:/order/shipping_address/region".into(), "Kent".into()),
            ("lines:/order/shipping_address/street".into(), "1 High St\r\n\r\nFlat 2".into()),
            ("was:/order/shipping_address/street".into(), "1 High St".into()),
        ]);
        let places = body(&[("set", As::Places)], &fields);
        assert_eq!(
            places["set"],
            json!([
                { "path": "/lines/0/sku", "value": "B" },
                { "path": "/order/shipping_address/region", "value": null },
                { "path": "/order/shipping_address/street", "value": ["1 High St", "Flat 2"] },
            ])
        );
        assert_eq!(kept(&fields).as_array().unwrap().len(), 6, "what shall change, and what stood there");
        assert_eq!(body(&[("set", As::Places)], &Fields::new()), json!({}));
        let whole = Fields::from([("document".into(), "{\"a\": 1}".into())]);
        assert_eq!(body(&[("document", As::Json)], &whole), json!({ "document": { "a": 1 } }));
    }

    #[test]
    fn a_page_leads_back_to_a_page_of_ours_and_nowhere_else() {
        for ours in ["/console", "/console/orders/1?system=a", "/console?x=1"] {
            assert!(is_ours(ours), "{ours}");
        }
        for other in [
            "https://evil.example",
            "//evil.example",
            "/console//evil.example",
            "/consoles",
            "/console/../api",
            "/console\\x",
            "/console/%2e%2E/api/v1/tokens",
            "/console?\u{1}",
            "/console/\tx",
            "/console/ü",
            "",
        ] {
            assert!(!is_ours(other), "{other}");
        }
    }

    #[test]
    fn what_a_form_says_stays_in_its_place() {
        let fields = Fields::from([
            ("id".into(), "../../tokens?x=1".into()),
            ("reason".into(), " why ".into()),
            ("ids".into(), "a\nb".into()),
            ("until".into(), "2026-12-01T10:00".into()),
        ]);
        assert_eq!(filled("/exceptions/{id}/replay", &fields), "/exceptions/..%2F..%2Ftokens%3Fx%3D1/replay");
        let members = [("reason", As::Text), ("receipt", As::Some), ("ids", As::Words), ("until", As::Moment)];
        assert_eq!(
            body(&members, &fields),
            json!({ "reason": "why", "ids": ["a", "b"], "until": "2026-12-01T10:00:00Z" })
        );
    }
}
