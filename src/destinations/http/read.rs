//! Answer → outcome: delivery-semantics section 8 for a write. First matching rule wins.

use ::http::{StatusCode, header};

use super::retry_after::{self, RetryAfter};
use crate::clock::Timestamp;
use crate::destinations::Guard;
use crate::destinations::outcome::{AttemptOutcome, BodyEnd, Mark, Receipt, Rejection, ResponseSeen, Wait};
use crate::json::{self, Json, Limits};

/// Where destinations usually put the number of what they made.
const USUAL_RECEIPTS: [&str; 3] = ["/id", "/number", "/reference"];
/// A receipt is a number, not a document.
const RECEIPT_CHARS_MAX: usize = 200;
/// As much of an answer as a sentence can bear.
const SUMMARY_CHARS_MAX: usize = 300;
/// Only the start of an answer is searched for words.
const WORDS_BYTES_MAX: usize = 4_096;

/// What a destination may say about its own answers.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// JSON pointers to the receipt, tried before the usual ones.
    pub receipt: Vec<String>,
    /// A 5xx never took effect.
    pub five_xx_never_applies: bool,
    /// What says that the record exists already, beside 409 under a guard that refuses doubles.
    pub already_exists: Option<ExistsRule>,
}

/// What a destination says of a record that it has already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExistsRule {
    /// Statuses of such an answer.
    pub status: Vec<u16>,
    /// JSON pointer to the words; `None`: they may stand anywhere in the answer.
    pub pointer: Option<String>,
    /// Words of it, compared without case; `None`: the status alone says it.
    pub text: Option<String>,
}

impl ExistsRule {
    fn holds(&self, response: &ResponseSeen) -> bool {
        if !self.status.contains(&response.status) {
            return false;
        }
        let Some(text) = self.text.as_deref() else { return true };
        let says = |words: &str| words.to_lowercase().contains(&text.to_lowercase());
        match self.pointer.as_deref() {
            None => {
                let start = &response.body[..response.body.len().min(WORDS_BYTES_MAX)];
                says(&String::from_utf8_lossy(start))
            }
            Some(pointer) => {
                let body = json::parse(&response.body, &Limits::default()).ok();
                body.as_ref().and_then(|body| body.pointer(pointer)).and_then(Json::as_text).is_some_and(says)
            }
        }
    }
}

/// Headers by which destinations say that an answer is the one they stored for the key.
const REPLAYED: [&str; 3] = ["idempotency-replayed", "idempotent-replayed", "x-idempotent-replayed"];

/// What the answer means. Status codes outside 200 to 599 prove nothing, so they are uncertain.
pub fn read(rules: &Rules, guard: Guard, response: &ResponseSeen, now: Timestamp) -> AttemptOutcome {
    if exists(rules, guard, response) {
        return rejected(Mark::Exists, response);
    }
    if is_stored_failure(guard, response) {
        return rejected(Mark::StaleKey, response);
    }
    match response.status {
        200..=299 => success(rules, response),
        401 | 403 => AttemptOutcome::Credential { detail: describe(response) },
        409 => conflict(guard, response, now),
        // 412 and 423 ask to read the record again first; sealed bytes have nothing to read, so they go again later.
        408 | 412 | 423 | 425 => AttemptOutcome::Unavailable { detail: describe(response), wait: wait(response, now) },
        429 => AttemptOutcome::Throttled { detail: describe(response), wait: wait(response, now) },
        410 => rejected(Mark::Gone, response),
        300..=399 | 501 | 505 => rejected(Mark::Configuration, response),
        400 | 422 if is_key_reuse(response) => rejected(Mark::OurBug, response),
        400..=499 => rejected(Mark::Record, response),
        500..=599 if rules.five_xx_never_applies => {
            AttemptOutcome::Unavailable { detail: describe(response), wait: wait(response, now) }
        }
        _ => AttemptOutcome::Uncertain { detail: describe(response), wait: wait(response, now) },
    }
}

/// The destination has a record of that reference. A key guard answers 409 while the key is being worked on, so there
/// only words of the destination's own count; without any guard nobody could find out whose record it is.
fn exists(rules: &Rules, guard: Guard, response: &ResponseSeen) -> bool {
    let own = || rules.already_exists.as_ref().map(|rule| rule.holds(response));
    match guard {
        Guard::Unique | Guard::Find => own().unwrap_or(response.status == 409),
        Guard::Key { .. } => own().unwrap_or(false),
        Guard::None => false,
    }
}

/// KEY-3 b: the stored answer of an earlier request under this key, and a failure. It will never be another one.
fn is_stored_failure(guard: Guard, response: &ResponseSeen) -> bool {
    let keyed = matches!(guard, Guard::Key { .. });
    let final_failure = match response.status {
        401 | 403 | 408 | 409 | 412 | 423 | 425 | 429 => false,
        status => (400..=599).contains(&status),
    };
    let replayed = REPLAYED.iter().any(|name| {
        let value = response.headers.get(*name).and_then(|value| value.to_str().ok());
        value.is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
    });
    keyed && final_failure && replayed && !is_key_reuse(response)
}

fn success(rules: &Rules, response: &ResponseSeen) -> AttemptOutcome {
    let bytes = response.body.len();
    match response.end {
        BodyEnd::Complete if is_page(response) => AttemptOutcome::Uncertain {
            detail: format!("answered {} with a page for people instead of an answer", named(response.status)),
            wait: Wait::default(),
        },
        BodyEnd::Complete if is_broken_json(response) => AttemptOutcome::Uncertain {
            detail: format!("answered {}, but its JSON cannot be read", named(response.status)),
            wait: Wait::default(),
        },
        BodyEnd::Complete if json::parse(&response.body, &Limits::default()).is_ok_and(|body| says_failed(&body)) => {
            rejected(Mark::Record, response)
        }
        BodyEnd::Complete => AttemptOutcome::Accepted(Receipt(receipt(rules, response))),
        BodyEnd::CutOff => AttemptOutcome::Uncertain {
            detail: format!("answered {}, but the body broke off after {bytes} bytes", named(response.status)),
            wait: Wait::default(),
        },
        BodyEnd::TooLarge => AttemptOutcome::Uncertain {
            detail: format!("answered {}, but the body is larger than we read", named(response.status)),
            wait: Wait::default(),
        },
    }
}

/// A log-in or maintenance page with status 200 is nobody's yes.
fn is_page(response: &ResponseSeen) -> bool {
    let start = response.body.trim_ascii_start();
    let begins = |word: &[u8]| start.len() >= word.len() && start[..word.len()].eq_ignore_ascii_case(word);
    content_type(response).contains("html") || begins(b"<!doctype html") || begins(b"<html")
}

/// Announced as JSON and not JSON. An empty body, or plain words, is a yes in many systems.
fn is_broken_json(response: &ResponseSeen) -> bool {
    let announced = content_type(response).contains("json") && !response.body.trim_ascii().is_empty();
    announced && json::parse(&response.body, &Limits::default()).is_err()
}

/// The default success predicate: an answer that calls itself an error is one, whatever its status.
pub fn says_failed(body: &Json<'_>) -> bool {
    let error = match body.present("error").or_else(|| body.present("errors")) {
        None | Some(Json::Bool(false)) => false,
        Some(Json::String(text)) => !text.is_empty(),
        Some(Json::Array(items)) => !items.is_empty(),
        Some(Json::Object(members)) => !members.is_empty(),
        Some(Json::Number(token)) => *token != "0",
        Some(Json::Bool(true) | Json::Null) => true,
    };
    let denied = ["success", "ok"].iter().any(|name| body.get(name) == Some(&Json::Bool(false)));
    let status = body.present("status").and_then(Json::as_str).unwrap_or_default();
    error || denied || ["error", "failed", "failure"].iter().any(|word| status.eq_ignore_ascii_case(word))
}

fn content_type(response: &ResponseSeen) -> String {
    let value = response.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_ascii_lowercase()
}

/// Under a key guard the key is still being worked on; else it exists already, and nobody can say that it is ours.
fn conflict(guard: Guard, response: &ResponseSeen, now: Timestamp) -> AttemptOutcome {
    match guard {
        Guard::Key { .. } if is_key_reuse(response) => rejected(Mark::OurBug, response),
        Guard::Key { .. } => AttemptOutcome::Uncertain { detail: describe(response), wait: wait(response, now) },
        Guard::Unique | Guard::Find | Guard::None => rejected(Mark::Record, response),
    }
}

fn rejected(mark: Mark, response: &ResponseSeen) -> AttemptOutcome {
    AttemptOutcome::Rejected(Rejection { mark, status: Some(response.status), detail: describe(response) })
}

/// What `Retry-After` asks for (RET-3).
pub fn wait(response: &ResponseSeen, now: Timestamp) -> Wait {
    let whole_destination = matches!(response.status, 429 | 503);
    match retry_after::parse(&response.headers, now) {
        RetryAfter::Absent => Wait { whole_destination, ..Wait::default() },
        RetryAfter::Ignored => Wait { whole_destination, ignored: true, floor: None },
        RetryAfter::Floor(floor) => Wait { whole_destination, ignored: false, floor: Some(floor) },
    }
}

/// KEY-6: the answer says that our key came with another payload before. Both words are asked for, so that a key that
/// is missing or too long does not look like it.
fn is_key_reuse(response: &ResponseSeen) -> bool {
    let start = &response.body[..response.body.len().min(WORDS_BYTES_MAX)];
    let text = String::from_utf8_lossy(start).to_lowercase();
    let says_key = ["idempotency", "idempotent"].iter().any(|word| text.contains(word));
    let says_reuse = [
        "reuse",
        "already used",
        "already been used",
        "already in use with",
        "different",
        "mismatch",
        "another payload",
        "other payload",
        "does not match",
    ]
    .iter()
    .any(|word| text.contains(word));
    says_key && says_reuse
}

fn receipt(rules: &Rules, response: &ResponseSeen) -> Option<String> {
    let parsed = json::parse(&response.body, &Limits::default()).ok();
    let from_body = parsed.as_ref().and_then(|body| {
        let own = rules.receipt.iter().map(String::as_str);
        own.chain(USUAL_RECEIPTS).find_map(|pointer| body.pointer(pointer).and_then(Json::as_text).and_then(short))
    });
    from_body.or_else(|| response.headers.get(header::LOCATION).and_then(|value| value.to_str().ok()).and_then(short))
}

fn short(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.chars().filter(|symbol| !symbol.is_control()).take(RECEIPT_CHARS_MAX).collect())
}

/// `422 Unprocessable Entity`.
pub fn named(status: u16) -> String {
    let reason = StatusCode::from_u16(status).ok().and_then(|known| known.canonical_reason());
    reason.map_or_else(|| status.to_string(), |reason| format!("{status} {reason}"))
}

/// The status and, if it says anything, the shortened answer.
pub fn describe(response: &ResponseSeen) -> String {
    let summary = summary(response);
    let cut = if response.end == BodyEnd::Complete { "" } else { " (body incomplete)" };
    if summary.is_empty() {
        format!("answered {}{cut}", named(response.status))
    } else {
        format!("answered {}{cut}: {summary}", named(response.status))
    }
}

/// The sentence of a problem document or the like; else the start of the text.
fn summary(response: &ResponseSeen) -> String {
    let parsed = json::parse(&response.body, &Limits::default()).ok();
    let sentence = parsed.as_ref().and_then(|body| {
        [
            "/detail",
            "/message",
            "/error/message",
            "/error_description",
            "/error",
            "/title",
            "/errors/0/message",
            "/errors/0",
        ]
        .iter()
        .find_map(|pointer| body.pointer(pointer).and_then(Json::as_str).filter(|text| !text.trim().is_empty()))
        .map(str::to_owned)
    });
    let text = sentence.unwrap_or_else(|| {
        String::from_utf8_lossy(&response.body[..response.body.len().min(WORDS_BYTES_MAX)]).into_owned()
    });
    one_line(&text)
}

/// One line without control characters (DAT-4), shortened with an ellipsis.
pub fn one_line(text: &str) -> String {
    let words: Vec<&str> = text
        .split(|symbol: char| symbol.is_whitespace() || symbol.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    let line = words.join(" ");
    if line.chars().count() <= SUMMARY_CHARS_MAX {
        return line;
    }
    line.chars().take(SUMMARY_CHARS_MAX - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests;
