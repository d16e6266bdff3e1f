//! Looking whether a record is there already (guards `find` and `unique`, delivery-semantics section 9).
//!
//! A look is a question whose address is a template over the document and whose answer is read by JSON pointers. It never
//! guesses: *absent* is said only of an answer that can be read and names nothing of ours. A pointer that leads nowhere,
//! a page for people, a refusal or a missing list are failures of the look, since reading any of them as "not there"
//! would send a second order. Whatever a buyer wrote ends in the path or query as percent-encoded text; host, scheme and
//! port are those of the configuration.

use std::time::Duration;

use bytes::Bytes;
use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;

mod records;

use super::Guard;
use super::http::read::{self, Rules};
use super::http::render;
use super::outcome::{AttemptOutcome, Mark, Receipt, Rejection, ResponseSeen, Wait, Wire};
use super::private::{self, Network};
use crate::clock::Timestamp;
use crate::envelope::keys::{Digest, IdempotencyKey};
use crate::store::write::SealedRequest;
pub(super) use records::{Ours, Records, Sighting, body};

/// A template costs at most this much; a reference is a handful of look-ups.
const FUEL: u64 = 10_000;
/// What may stand in a path segment or a query value as it is: unreserved characters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// How to look, as configured.
#[derive(Clone, Debug)]
pub struct FindSettings {
    /// `GET` or `POST`.
    pub method: String,
    /// A template over the document; templates stand in path and query only.
    pub url: String,
    /// JSON pointer to our reference. Its first number is a place in a list: `/items/0/reference` reads every item.
    pub reference: String,
    /// A template of what stands there.
    pub value: String,
    /// JSON pointer to the record's own id.
    pub id: Option<String>,
    /// JSON pointer to the SHA-256 of the body we sent, hex or base64.
    pub digest: Option<String>,
    /// JSON pointer to the grand total.
    pub total: Option<String>,
    /// Statuses that say that it is not there, beside a readable answer without it.
    pub absent_status: Vec<u16>,
    /// Purposes that can be looked for: an order that is there says nothing about its cancellation.
    pub purposes: Vec<String>,
    /// How long the destination may take until a request shows (UNC-4).
    pub settle_after: Duration,
    /// Whether it is looked for before the first send.
    pub first: bool,
}

impl FindSettings {
    /// With the defaults; `first` and `settle_after` depend on guard and time-out.
    pub fn new(url: &str, reference: &str) -> Self {
        FindSettings {
            method: "GET".to_owned(),
            url: url.to_owned(),
            reference: reference.to_owned(),
            value: "{{ order.increment_id }}".to_owned(),
            id: None,
            digest: None,
            total: None,
            absent_status: default_absent_status(url),
            purposes: vec!["order.create".to_owned()],
            settle_after: Duration::from_mins(1),
            first: true,
        }
    }
}

/// A record with an address of its own is absent on 404; of a search the same answer says that the address is wrong.
pub fn default_absent_status(url: &str) -> Vec<u16> {
    let path = url.split('?').next().unwrap_or_default();
    if path.contains("{{") { vec![404] } else { Vec::new() }
}

/// What a look came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A readable answer that holds nothing of ours.
    Absent,
    /// One, and it is ours.
    Ours(Receipt),
    /// One under our reference, with other content.
    Different {
        /// Its own id.
        receipt: Receipt,
        /// What differs.
        detail: String,
    },
    /// More than one under our reference.
    Many {
        /// How many.
        count: usize,
        /// Their ids.
        detail: String,
    },
    /// The look failed: nothing is known.
    Failed(AttemptOutcome),
    /// It is not there, and what making it needs is not either, in words.
    Unmet(String),
    /// It is there, and a step that follows failed.
    Unfinished {
        /// Its own id.
        receipt: Receipt,
        /// What came of that step.
        outcome: AttemptOutcome,
    },
    /// It is there, and a step that follows cannot be asked.
    Stuck {
        /// Its own id.
        receipt: Receipt,
        /// Why, in words.
        detail: String,
    },
    /// It was taken there to be made later, and that is under way.
    Making {
        /// What was said of it.
        detail: String,
        /// When it may be asked again.
        wait: Wait,
    },
    /// It was taken there to be made later; whether it was could not be seen.
    Unseen {
        /// What came of the asking.
        outcome: AttemptOutcome,
    },
    /// It was taken there to be made later, and nothing was made.
    NotMade(Rejection),
    /// It was taken there to be made later, is not there, and nobody there knows of it any more.
    Forgotten {
        /// What was said of it.
        detail: String,
    },
    /// It is there with other amounts than ours.
    TotalsDiffer {
        /// Its own id.
        receipt: Receipt,
        /// Both sides.
        detail: String,
    },
}

impl Finding {
    /// The word in the record of the attempt.
    pub fn as_str(&self) -> &'static str {
        match self {
            Finding::Absent => "absent",
            Finding::Ours(_) => "already_applied",
            Finding::Different { .. } => "found_different",
            Finding::Many { .. } => "found_many",
            // A look changes nothing there, so its own failure leaves no doubt.
            Finding::Failed(AttemptOutcome::Uncertain { .. })
            | Finding::Unseen { outcome: AttemptOutcome::Uncertain { .. } }
            | Finding::Forgotten { .. } => "unavailable",
            Finding::Failed(outcome) | Finding::Unseen { outcome } => outcome.as_str(),
            Finding::Unmet(_) | Finding::NotMade(_) => "rejected",
            Finding::Unfinished { .. } | Finding::Stuck { .. } => "unfinished",
            Finding::Making { .. } => "making",
            Finding::TotalsDiffer { .. } => "totals_differ",
        }
    }

    /// One sentence.
    pub fn detail(&self) -> String {
        match self {
            Finding::Absent => "looked: it is not there".to_owned(),
            Finding::Ours(Receipt(Some(number))) => format!("looked: it is there as {number}"),
            Finding::Ours(Receipt(None)) => "looked: it is there".to_owned(),
            Finding::Different { detail, .. } | Finding::Many { detail, .. } => format!("looked: {detail}"),
            Finding::Failed(outcome) => format!("the look failed: {}", outcome.detail()),
            Finding::Unfinished { receipt: Receipt(Some(number)), outcome } => {
                format!("it is there as {number}, and is not finished: {}", outcome.detail())
            }
            Finding::Unfinished { outcome, .. } => format!("it is there, and is not finished: {}", outcome.detail()),
            Finding::Making { detail, .. } => format!("it is being made there: {detail}"),
            Finding::Unseen { outcome } => format!("whether it was made there could not be seen: {}", outcome.detail()),
            Finding::NotMade(rejection) => rejection.detail.clone(),
            Finding::Forgotten { detail } => format!("it was taken there to be made, and is not there: {detail}"),
            Finding::Unmet(detail) | Finding::Stuck { detail, .. } | Finding::TotalsDiffer { detail, .. } => {
                detail.clone()
            }
        }
    }
}

impl Finding {
    /// The sentences that may repeat what was answered.
    pub fn details(&mut self) -> impl Iterator<Item = &mut String> {
        let (own, of_outcome) = match self {
            Finding::Different { detail, .. }
            | Finding::Many { detail, .. }
            | Finding::Unmet(detail)
            | Finding::Stuck { detail, .. }
            | Finding::Making { detail, .. }
            | Finding::Forgotten { detail }
            | Finding::TotalsDiffer { detail, .. } => (Some(detail), None),
            Finding::NotMade(rejection) => (Some(&mut rejection.detail), None),
            Finding::Failed(outcome) | Finding::Unfinished { outcome, .. } | Finding::Unseen { outcome } => {
                (None, Some(outcome))
            }
            Finding::Absent | Finding::Ours(_) => (None, None),
        };
        own.into_iter().chain(of_outcome.into_iter().flat_map(AttemptOutcome::details))
    }
}

/// What is looked for, drawn from the document that was sent.
#[derive(Clone, Debug)]
pub struct Sought {
    /// The question.
    pub request: SealedRequest,
    /// Our reference.
    reference: String,
    /// The document's grand total.
    total: Option<String>,
    /// Of the body that was sent.
    digest: Digest,
}

/// How to look, checked.
pub struct Find {
    settings: FindSettings,
    encoding: Environment<'static>,
    plain: Environment<'static>,
    door: Door,
    records: Records,
}

/// Scheme, host and port.
#[derive(Debug, PartialEq, Eq)]
struct Door(String, Option<String>, Option<u16>);

impl Door {
    fn of(url: &Url) -> Self {
        Door(url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default())
    }
}

impl Find {
    /// Checks everything that can be checked without a document; each problem is a sentence.
    ///
    /// # Errors
    /// Every problem at once.
    pub fn new(settings: FindSettings, allowed: &[Network]) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        if settings.method != "GET" && settings.method != "POST" {
            problems.push(format!("find.method {} is neither GET nor POST", settings.method));
        }
        let pointers =
            [Some(&settings.reference), settings.id.as_ref(), settings.digest.as_ref(), settings.total.as_ref()];
        let (list, _) = split(&settings.reference);
        for pointer in pointers.into_iter().flatten() {
            if !pointer.starts_with('/') {
                problems.push(format!("find: \"{pointer}\" is not a JSON pointer: it starts with a slash"));
            } else if split(pointer).0 != list {
                problems.push(format!(
                    "find: \"{pointer}\" and the reference \"{}\" do not lie in the same list",
                    settings.reference
                ));
            }
        }
        let inside = |pointer: &String| split(pointer).1.to_owned();
        let records = Records {
            list: list.map(str::to_owned),
            reference: inside(&settings.reference),
            id: settings.id.as_ref().map(inside),
            digest: settings.digest.as_ref().map(inside),
            total: settings.total.as_ref().map(inside),
        };
        let (encoding, plain) = (environment(true), environment(false));
        for (name, text) in [("url", &settings.url), ("value", &settings.value)] {
            if let Err(error) = plain.template_from_str(text) {
                problems.push(format!("find.{name} is not a template: {}", reason(&error)));
            }
        }
        let door = fixed_part(&settings.url).and_then(|fixed| private::destination_url(&fixed, allowed));
        match door {
            Ok(url) if problems.is_empty() => Ok(Find { door: Door::of(&url), settings, encoding, plain, records }),
            Ok(_) => Err(problems),
            Err(found) => {
                problems.extend(found.into_iter().map(|problem| format!("find.url: {problem}")));
                Err(problems)
            }
        }
    }

    /// How long the destination may take until a request shows.
    pub fn settle_after(&self) -> Duration {
        self.settings.settle_after
    }

    /// Whether it is looked for before the first send.
    pub fn first(&self) -> bool {
        self.settings.first
    }

    /// Whether deliveries of that purpose can be looked for.
    pub fn looks_for(&self, purpose: &str) -> bool {
        self.settings.purposes.iter().any(|known| known == purpose)
    }

    /// An address behind the same door; what the transport is made for.
    pub fn base(&self) -> Result<Url, Vec<String>> {
        fixed_part(&self.settings.url).and_then(|fixed| Url::parse(&fixed).map_err(|error| vec![error.to_string()]))
    }

    /// The question about one document. Total: no document makes it panic, run on, or ask another host.
    ///
    /// # Errors
    /// What the document lacks, in a sentence; then nobody may look, and so nobody may send.
    pub fn seek(&self, document: &Bytes, key: &IdempotencyKey) -> Result<Sought, String> {
        let json: serde_json::Value =
            serde_json::from_slice(document).map_err(|_| "the document is not JSON".to_owned())?;
        let total = json["totals"]["grand_total"].as_str().map(str::to_owned);
        let context = context(json, key);
        let url = rendered(&self.encoding, &self.settings.url, &context)?;
        let parsed = Url::parse(&url).map_err(|error| format!("the address to ask is none: {error}"))?;
        if Door::of(&parsed) != self.door || steps_upwards(&url, &parsed) {
            return Err("the address to ask would be another place".to_owned());
        }
        let reference = rendered(&self.plain, &self.settings.value, &context)?;
        if reference.trim().is_empty() {
            return Err("our reference would be empty, which asks for everything".to_owned());
        }
        let headers = vec![
            ("accept".to_owned(), "application/json".to_owned()),
            ("user-agent".to_owned(), render::USER_AGENT.to_owned()),
        ];
        let url = parsed.to_string();
        let digest = render::digest(&self.settings.method, &url, &headers, b"");
        let request = SealedRequest {
            method: self.settings.method.clone(),
            url,
            headers,
            body: Bytes::new(),
            digest,
            body_is_document: false,
        };
        Ok(Sought { request, reference, total, digest: Digest::of(document) })
    }

    /// What the answer, or its absence, says.
    pub fn read(&self, wire: &Wire, sought: &Sought, now: Timestamp) -> Finding {
        let response = match wire {
            Wire::Answered(response) => response,
            Wire::Forbidden(detail) => return Finding::Failed(refused(detail.clone())),
            Wire::NoCredential(refused) => return Finding::Failed(refused.outcome()),
            Wire::NotSent(detail) | Wire::Lost(detail) => return failed(detail.clone()),
        };
        if self.settings.absent_status.contains(&response.status) {
            return Finding::Absent;
        }
        if !(200..=299).contains(&response.status) {
            // A read that fails with 5xx has no effect to doubt.
            let rules = Rules { five_xx_never_applies: true, ..Rules::default() };
            return Finding::Failed(read::read(&rules, Guard::None, response, now));
        }
        self.answer(response, sought)
            .unwrap_or_else(|problem| failed(format!("answered {}, but {problem}", read::named(response.status))))
    }

    fn answer(&self, response: &ResponseSeen, sought: &Sought) -> Result<Finding, String> {
        let body = body(response)?;
        let Sought { reference, total, digest, .. } = sought;
        let ours = Ours { reference, total: total.as_deref(), digest };
        Ok(match self.records.sight(&body, &ours)? {
            Sighting::Absent => Finding::Absent,
            Sighting::One { receipt, difference, .. } => found(receipt, difference),
            Sighting::Many { count, detail } => Finding::Many { count, detail },
        })
    }
}

/// One record under our reference.
pub(super) fn found(receipt: Receipt, difference: Option<String>) -> Finding {
    let Some(difference) = difference else { return Finding::Ours(receipt) };
    let name = receipt.0.as_deref().map(|id| format!(" as {id}")).unwrap_or_default();
    Finding::Different { detail: format!("it is there{name}, but {difference}"), receipt }
}

fn rendered(environment: &Environment<'_>, text: &str, context: &Value) -> Result<String, String> {
    let template = environment.template_from_str(text).map_err(|error| reason(&error))?;
    template.render(context).map_err(|error| format!("cannot be looked for: {}", reason(&error)))
}

/// Whether reading the address took segments out of its path, as `..` does.
pub(super) fn steps_upwards(text: &str, parsed: &Url) -> bool {
    let path = text.split(['?', '#']).next().unwrap_or_default().splitn(4, '/').nth(3).unwrap_or_default();
    path.matches('/').count() + 1 != parsed.path().matches('/').count()
}

/// A pointer's list (before its first number) and what stands in an item.
fn split(pointer: &str) -> (Option<&str>, &str) {
    let mut at = 0;
    for segment in pointer.split('/') {
        let end = at + segment.len();
        if !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit()) {
            return (Some(&pointer[..at - 1]), &pointer[end..]);
        }
        at = end + 1;
    }
    (None, pointer)
}

fn failed(detail: String) -> Finding {
    Finding::Failed(AttemptOutcome::Unavailable { detail, wait: Wait::default() })
}

fn refused(detail: String) -> AttemptOutcome {
    AttemptOutcome::Rejected(Rejection { mark: Mark::Configuration, status: None, detail })
}

/// The document's members, and our key.
fn context(document: serde_json::Value, key: &IdempotencyKey) -> Value {
    let mut members = match document {
        serde_json::Value::Object(members) => members,
        _ => serde_json::Map::new(),
    };
    members.insert("key".to_owned(), key.as_str().into());
    Value::from(minijinja::value::Serde(members))
}

/// What a template's address always starts with, ended by a placeholder: enough to check where it leads.
fn fixed_part(text: &str) -> Result<String, Vec<String>> {
    let Some(start) = ["{{", "{%", "{#"].iter().filter_map(|mark| text.find(mark)).min() else {
        return Err(vec!["asks the same for every record: put {{ order.increment_id }} into it".to_owned()]);
    };
    // A host or port taken from an order would let a buyer choose whom we call.
    if text[..start].splitn(4, '/').count() < 4 {
        return Err(vec!["has a template in its host: templates may stand in path and query only".to_owned()]);
    }
    Ok(format!("{}x", &text[..start]))
}

/// Strict, bounded, and (for addresses) with every value percent-encoded, whatever filter it came through.
fn environment(encodes: bool) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_formatter(move |out, _, value| {
        let text = plain_text(value)?;
        let written =
            if encodes { write!(out, "{}", utf8_percent_encode(&text, ENCODED)) } else { out.write_str(&text) };
        written.map_err(Error::from)
    });
    environment
}

/// A text or a whole number; nothing that could vanish from a question and make it ask for everything, and no step
/// upwards in a path.
fn plain_text(value: &Value) -> Result<String, Error> {
    let refuse = |why: &str| Err(Error::new(ErrorKind::InvalidOperation, why.to_owned()));
    let text = match value.kind() {
        ValueKind::String => value.as_str().unwrap_or_default().to_owned(),
        ValueKind::Number => value.to_string(),
        ValueKind::Undefined => return Err(Error::from(ErrorKind::UndefinedError)),
        other => return refuse(&format!("a value of type {other} is no reference")),
    };
    match text.as_str() {
        "" => refuse("a value is empty, which asks for everything"),
        "." | ".." => refuse("a value is a step in a path"),
        _ => Ok(text),
    }
}

/// Kind and detail without the engine's source listing, which could span lines.
fn reason(error: &Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

#[cfg(test)]
mod tests;
