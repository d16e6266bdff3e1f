//! Pages from templates: embedded, escaped, and read once.

use std::any::Any;
use std::sync::LazyLock;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use minijinja::value::{Serde, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, HtmlEscape, State, UndefinedBehavior, Value};
use serde_json::Map;

use super::assets;
use super::desk::segment;
use super::prose;
use crate::access::mask;

/// As much of one text as a cell shows.
const CELL_CHARS: usize = 240;

macro_rules! templates {
    ($($name:literal),* $(,)?) => {
        /// Every template, by its name.
        pub(super) const TEMPLATES: &[(&str, &str)] = &[$(($name, include_str!(concat!("templates/", $name)))),*];
    };
}

templates![
    "layout.html",
    "parts.html",
    "overview.html",
    "search.html",
    "orders.html",
    "order.html",
    "groups.html",
    "group.html",
    "exceptions.html",
    "exception.html",
    "code.html",
    "deliveries.html",
    "delivery.html",
    "document.html",
    "edit.html",
    "event.html",
    "destinations.html",
    "destination.html",
    "incidents.html",
    "alerts.html",
    "bulk-list.html",
    "bulk-new.html",
    "bulk.html",
    "group-preview.html",
    "origins.html",
    "mappings.html",
    "mapping.html",
    "audit.html",
    "settings.html",
    "views.html",
    "account.html",
    "sign-in.html",
    "signed-in.html",
    "done.html",
    "preview.html",
    "problem.html",
];

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(environment);

/// A page that is ready to be written.
#[derive(Debug)]
pub struct Page {
    template: &'static str,
    context: Map<String, serde_json::Value>,
    status: StatusCode,
}

impl Page {
    /// From a template, for somebody.
    pub fn new(template: &'static str, who: &serde_json::Value, mut context: Map<String, serde_json::Value>) -> Page {
        context.insert("who".to_owned(), who.clone());
        Page { template, context, status: StatusCode::OK }
    }

    /// With another status than 200.
    #[must_use]
    pub fn with_status(self, status: StatusCode) -> Page {
        Page { status, ..self }
    }

    /// The HTML.
    ///
    /// # Errors
    /// What is wrong with the template.
    pub fn html(&self) -> Result<String, Error> {
        let template = ENVIRONMENT.get_template(self.template)?;
        template.render(Value::from(Serde(&self.context)))
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        match self.html() {
            Ok(html) => answer(self.status, html),
            Err(error) => {
                tracing::error!(template = self.template, %error, "a page could not be written");
                plain_trouble()
            }
        }
    }
}

fn answer(status: StatusCode, html: String) -> Response {
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    (status, [(header::CONTENT_TYPE, kind)], html).into_response()
}

/// The page about what the API refused.
pub fn refused(status: StatusCode, problem: &serde_json::Value, who: &serde_json::Value) -> Response {
    let mut context = Map::new();
    context.insert("status".to_owned(), status.as_u16().into());
    context.insert("problem".to_owned(), problem.clone());
    Page::new("problem.html", who, context).with_status(status).into_response()
}

/// What is left to say where even a page cannot be written.
pub fn broken(_panic: Box<dyn Any + Send + 'static>) -> Response {
    plain_trouble()
}

fn plain_trouble() -> Response {
    let html = "<!doctype html><html lang=\"en\"><title>Crossdock</title><h1>This page broke on our side</h1>\
                <p>Nothing was lost: orders go their way without the console. The log has the reason.</p>\
                <p><a href=\"/console\">Overview</a></p></html>";
    answer(StatusCode::INTERNAL_SERVER_ERROR, html.to_owned())
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_formatter(|out, state, value| {
        // What is not there is nothing on a page, and nothing hides in what is.
        match value.as_str() {
            _ if value.is_none() => Ok(()),
            Some(text) if !value.is_safe() => Ok(out.write_str(&escaped(&visible(text)))?),
            _ => minijinja::escape_formatter(out, state, value),
        }
    });
    environment.add_filter("ago", ago);
    environment.add_filter("said", |text: &Value| times_read(&mask::text(&plain(text))));
    environment.add_filter("at", at);
    environment.add_filter("badge", badge);
    environment.add_filter("short", short);
    environment.add_filter("seg", |text: &Value| segment(&plain(text)));
    environment.add_filter("count", count);
    environment.add_filter("cell", cell);
    environment.add_filter("unmailed", |text: &Value| mask::text(&plain(text)));
    environment.add_filter("prose", |text: &Value| Value::from_safe_string(prose::html(&plain(text))));
    environment.add_filter("pretty", pretty);
    environment.add_filter("compact", |value: &Value| serde_json::to_string(value).unwrap_or_default());
    environment.add_filter("millis", millis);
    environment.add_filter("spoken", |text: &Value| plain(text).replace('_', " "));
    environment.add_function("asset", |name: &str| assets::address(name));
    environment.add_function("may", |state: &State<'_, '_>, permission: &str| may(state, permission));
    environment.add_function("nonce", || uuid::Uuid::from_bytes(random()).to_string());
    for (name, source) in TEMPLATES {
        environment.add_template(name, source).expect("a template of ours can be read: a test reads each");
    }
    environment
}

/// A name for one submission of a form: sent twice, it acts once.
fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    // Not a secret: two forms with one name would only be taken for one call.
    let _ = getrandom::fill(&mut bytes);
    bytes
}

fn plain(value: &Value) -> String {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => String::new(),
        _ => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
    }
}

fn may(state: &State<'_, '_>, permission: &str) -> bool {
    let permissions = state.lookup("who").and_then(|who| who.get_attr("permissions").ok());
    let permissions = permissions.and_then(|all| all.try_iter().ok());
    permissions.is_some_and(|mut all| all.any(|one| one.as_str() == Some(permission)))
}

/// As HTML, in text or between quotation marks.
pub(super) fn escaped(text: &str) -> String {
    HtmlEscape(text).to_string()
}

fn moment(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// A time as people speak of it, with the exact one behind it.
fn ago(state: &State<'_, '_>, value: &Value) -> Value {
    let Some(at) = moment(value) else { return Value::from("") };
    let now = state.lookup("now").and_then(|now| moment(&now)).unwrap_or(at);
    time(at, &spoken(at.duration_until(now)))
}

/// A time to the second, in UTC.
fn at(value: &Value) -> Value {
    moment(value).map_or_else(|| Value::from(""), |at| time(at, &at.strftime("%Y-%m-%d %H:%M:%S").to_string()))
}

fn time(at: Timestamp, words: &str) -> Value {
    let exact = at.strftime("%Y-%m-%d %H:%M:%S UTC");
    Value::from_safe_string(format!("<time datetime=\"{at}\" title=\"{exact}\">{}</time>", escaped(words)))
}

fn spoken(elapsed: SignedDuration) -> String {
    let seconds = elapsed.as_secs();
    let (size, ahead) = (seconds.unsigned_abs(), seconds < 0);
    let words = match size {
        0..=1 => return "now".to_owned(),
        2..=59 => format!("{size} s"),
        60..=3_599 => format!("{} min", size / 60),
        3_600..=86_399 => format!("{} h {} min", size / 3_600, size % 3_600 / 60),
        _ => format!("{} d", size / 86_400),
    };
    if ahead { format!("in {words}") } else { format!("{words} ago") }
}

/// A state as a word in its colour.
fn badge(value: &Value) -> Value {
    let word = plain(value);
    let tone = match word.as_str() {
        "delivered" | "done" | "resolved" | "open_destination" | "accepted" | "already_applied" | "ok" | "released" => {
            "good"
        }
        "parked" | "exception" | "critical" | "held" | "broken" | "rejected" | "uncertain" | "firing" | "error"
        | "failed" | "missing" | "differs" => "bad",
        "due" | "waiting" | "in_flight" | "received" | "warning" | "half_open" | "paused" | "closed"
        | "unavailable" | "throttled" | "snoozed" | "assigned" | "overdue" | "awaiting_approval" => "warn",
        _ => "calm",
    };
    Value::from_safe_string(format!("<span class=\"badge {tone}\">{}</span>", escaped(&word.replace('_', " "))))
}

/// An id of ours as far as people read it.
fn short(value: &Value) -> Value {
    let text = plain(value);
    if text.chars().count() <= 14 {
        return Value::from(text);
    }
    let (head, tail): (String, String) = match text.split_once('_') {
        Some((prefix, rest)) => (format!("{prefix}_"), rest.chars().rev().take(6).collect()),
        None => (String::new(), text.chars().rev().take(8).collect()),
    };
    let tail: String = tail.chars().rev().collect();
    let shown = format!("<span title=\"{}\">{}…{}</span>", escaped(&text), escaped(&head), escaped(&tail));
    Value::from_safe_string(shown)
}

/// A whole number with its thousands apart.
fn count(value: &Value) -> Result<String, Error> {
    let text = plain(value);
    if text.is_empty() {
        return Ok("–".to_owned());
    }
    if !text.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::new(ErrorKind::InvalidOperation, "no whole number"));
    }
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    let mut out = String::from(sign);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    Ok(out)
}

/// Somebody else's text in a cell: its direction stays its own, what is too long is cut and can be opened.
fn cell(value: &Value) -> Value {
    let text = visible(&plain(value));
    if text.chars().count() <= CELL_CHARS {
        return Value::from_safe_string(format!("<bdi>{}</bdi>", escaped(&text)));
    }
    let start: String = text.chars().take(CELL_CHARS).collect();
    Value::from_safe_string(format!(
        "<details class=\"long\"><summary><bdi>{}…</bdi></summary><bdi>{}</bdi></details>",
        escaped(&start),
        escaped(&text.chars().take(20_000).collect::<String>())
    ))
}

/// A text in which nothing hides: what has no width or turns the direction of what follows stands there as a sign.
pub(super) fn visible(text: &str) -> String {
    let sign = |char: char| match char {
        '\n' | '\t' => char,
        '\u{0}'..='\u{1f}'
        | '\u{7f}'..='\u{9f}'
        | '\u{ad}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' => '␣',
        _ => char,
    };
    text.chars().map(sign).collect()
}

/// A sentence whose times people can read: `2026-03-01T10:15:30.123456Z` as `2026-03-01 10:15:30 UTC`.
fn times_read(text: &str) -> String {
    let read = |word: &str| {
        let bare = word.trim_end_matches(['.', ',', ';', ')']);
        let at: Option<Timestamp> = if bare.len() >= 20 { bare.parse().ok() } else { None };
        at.map(|at| format!("{} UTC{}", at.strftime("%Y-%m-%d %H:%M:%S"), &word[bare.len()..]))
    };
    let words = text.split(' ').map(|word| read(word).unwrap_or_else(|| word.to_owned()));
    words.collect::<Vec<_>>().join(" ")
}

/// JSON as people read it.
fn pretty(value: &Value) -> String {
    let text = serde_json::to_value(value).and_then(|json| serde_json::to_string_pretty(&json)).unwrap_or_default();
    visible(&text)
}

fn millis(value: &Value) -> String {
    match plain(value).parse::<u64>() {
        Ok(micros) if micros < 1_000 => format!("{micros} µs"),
        Ok(micros) if micros < 10_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        Ok(micros) if micros < 10_000_000 => format!("{} ms", micros / 1_000),
        Ok(micros) => format!("{} s", micros / 1_000_000),
        Err(_) => String::new(),
    }
}
