//! What Commerce's refusals mean (adobe-commerce 3.4): its message with the parameters filled in, and what to look at.

use std::time::Duration;

use serde_json::Value;

use super::RestError;
use super::client::Auth;

const MESSAGE_CHARS_MAX: usize = 500;

/// The error of an answer that is no 2xx.
pub fn of(status: u16, body: &[u8], retry_after: Option<Duration>, auth: &Auth) -> RestError {
    let said = message(body);
    match status {
        300..=399 => {
            let message = "it redirects, which is never followed: set base_url to the final address".to_owned();
            RestError::Refused { status, message }
        }
        401 | 403 => RestError::Unauthorized(unauthorized(body, said, auth)),
        404 => RestError::NotFound(said.unwrap_or_else(|| page(body))),
        429 => RestError::Limited { retry_after },
        500.. => {
            let what = said.unwrap_or_else(|| page(body));
            RestError::Unavailable { message: format!("status {status}, {what}"), retry_after }
        }
        _ => RestError::Refused { status, message: said.unwrap_or_else(|| page(body)) },
    }
}

/// The body itself is never repeated: a page may hold anything.
fn page(body: &[u8]) -> String {
    let what = match body.trim_ascii_start().first() {
        None => "no body",
        Some(b'<') => "an HTML page: maintenance mode, a firewall or a gateway",
        Some(_) => "a body without a message",
    };
    what.to_owned()
}

fn unauthorized(body: &[u8], said: Option<String>, auth: &Auth) -> String {
    let said = said.unwrap_or_else(|| page(body));
    // A missing permission, an unknown token and bearer tokens switched off all read the same.
    let hint = if let Some(resource) = resource(body) {
        let grant = format!("grant the integration the resource {resource}");
        match auth {
            Auth::Bearer(_) => format!(
                "{grant}; or the token is unknown; or bearer tokens are off, as they are since 2.4.4: \
                 `bin/magento config:set oauth/consumer/enable_integration_as_bearer 1`"
            ),
            Auth::None => format!("{grant}, and set auth: none is configured"),
            Auth::OAuth1(_) => grant,
            Auth::Ims(_) => format!("{grant}, or add the missing scope to auth"),
        }
    } else if said.contains("signature is invalid") {
        "check both secrets, and that Commerce sees the scheme, host and port of base_url: a proxy in front of it must \
         keep Host and send X-Forwarded-Proto"
            .to_owned()
    } else if said.contains("validating the nonce") {
        "this machine's clock is ahead by more than ten minutes: set it".to_owned()
    } else if said.contains("nonce is already") {
        "something between here and Commerce sends requests twice".to_owned()
    } else {
        "check the credentials in auth".to_owned()
    };
    format!("{said} ({hint})")
}

fn resource(body: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    Some(clean(value.pointer("/parameters/resources")?.as_str()?))
}

/// The message of any of the shapes; `None` if there is none.
fn message(body: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let Some(mut text) = filled(&value) else {
        return Some(clean(value.pointer("/messages/error/0/message")?.as_str()?));
    };
    for error in value.get("errors").and_then(Value::as_array).into_iter().flatten().filter_map(filled) {
        text.push_str("; ");
        text.push_str(&error);
    }
    Some(clean(&text))
}

/// `%1` by position, `%name` by name. Each placeholder is looked at once: what was put in is not searched again.
fn filled(value: &Value) -> Option<String> {
    let message = value.get("message")?.as_str()?;
    let parameters = value.get("parameters");
    let mut parts = message.split('%');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|symbol: char| !(symbol.is_ascii_alphanumeric() || symbol == '_')).unwrap_or(part.len());
        let (name, behind) = part.split_at(end);
        match parameters.and_then(|parameters| parameter(parameters, name)) {
            Some(text) => out.push_str(&text),
            None => {
                out.push('%');
                out.push_str(name);
            }
        }
        out.push_str(behind);
    }
    Some(out)
}

fn parameter(parameters: &Value, name: &str) -> Option<String> {
    let found = match parameters {
        Value::Array(list) => list.get(name.parse::<usize>().ok()?.checked_sub(1)?)?,
        Value::Object(members) => members.get(name)?,
        _ => return None,
    };
    Some(found.as_str().map_or_else(|| found.to_string(), str::to_owned))
}

fn clean(text: &str) -> String {
    text.chars().filter(|symbol| !symbol.is_control()).take(MESSAGE_CHARS_MAX).collect()
}
