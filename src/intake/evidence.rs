//! What of a request is kept beside its body: where it came from and by which attempt, never a credential.

use http::HeaderMap;
use serde_json::{Map, Value};

use super::decode::io;
use super::signature::Verified;
use crate::json::Json;

/// Request headers worth keeping; credentials and signatures are never among them.
const KEPT_HEADERS: [&str; 9] = [
    "content-type",
    "user-agent",
    "x-adobe-commerce-request-id",
    "x-request-id",
    "x-adobe-event-id",
    "x-adobe-event-code",
    "x-adobe-provider",
    "x-adobe-delivery-id",
    "x-adobe-retry-count",
];

/// Characters kept of one value.
const VALUE_CHARS_MAX: usize = 256;
/// Different values kept under one name.
const VALUES_MAX: usize = 20;

/// The kept headers and what a verified body says of its own way to us, as a JSON object.
pub(super) fn kept(headers: &HeaderMap, verified: Option<&Verified>) -> String {
    let mut kept: Map<String, Value> = KEPT_HEADERS
        .iter()
        .filter_map(|name| {
            let value = headers.get(*name)?.to_str().ok()?;
            Some(((*name).to_owned(), shortened(value).into()))
        })
        .collect();
    kept.extend(verified.map(|verified| verified.traces().clone()).unwrap_or_default());
    serde_json::to_string(&kept).expect("names and values always serialise")
}

/// What events say of themselves beside their records: one value as it is, several different ones as a list.
pub(super) fn traces(whole: &Json<'_>) -> Map<String, Value> {
    let mut found: Vec<(&str, Vec<String>)> = Vec::new();
    for (name, value) in io::events(whole).iter().flatten().flat_map(io::Io::traces) {
        let Some(value) = value.map(shortened) else { continue };
        match found.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) if values.contains(&value) || values.len() >= VALUES_MAX => {}
            Some((_, values)) => values.push(value),
            None => found.push((name, vec![value])),
        }
    }
    let one_or_all = |mut values: Vec<String>| match values.len() {
        1 => values.swap_remove(0).into(),
        _ => Value::from(values),
    };
    found.into_iter().map(|(name, values)| (name.to_owned(), one_or_all(values))).collect()
}

fn shortened(value: &str) -> String {
    value.chars().take(VALUE_CHARS_MAX).collect()
}
