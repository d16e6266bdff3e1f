//! A step, checked: what it asks, and what its answers mean.

use std::time::Duration;

use ::http::HeaderName;
use bytes::Bytes;
use minijinja::Value;
use reqwest::Url;

use super::rules::{self, Meaning, Rule};
use super::said::{FormSaid, Kind, StepSaid};
use super::take::{Found, Take};
use crate::clock::Timestamp;
use crate::destinations::Guard;
use crate::destinations::find::Records;
use crate::destinations::http::{read, render};
use crate::destinations::outcome::{AttemptOutcome, Mark, Receipt, Rejection, ResponseSeen, Wait, Wire};
use crate::json::{self, Limits};
use crate::store::write::SealedRequest;
use crate::templates::{Expression, Form, Problem, Template};

/// A step of a recipe.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) purposes: Vec<String>,
    pub(super) when: Option<Expression>,
    pub(super) request: Option<Request>,
    pub(super) each: Option<Expression>,
    pub(super) one_at_a_time: Option<Template>,
    pub(super) keep: Option<Duration>,
    pub(super) takes: Vec<Take>,
    pub(super) records: Option<OurRecord>,
    absent: Vec<u16>,
    rules: Vec<Rule>,
    pub(super) expect: Vec<Expect>,
}

/// Which record of a find is ours.
#[derive(Debug)]
pub(super) struct OurRecord {
    pub(super) records: Records,
    pub(super) is: Template,
}

/// Two amounts that must agree.
#[derive(Debug)]
pub(super) struct Expect {
    pub(super) what: String,
    pub(super) there: Template,
    pub(super) ours: Template,
    pub(super) within: Option<Template>,
}

/// What a step asks.
#[derive(Debug)]
pub(super) struct Request {
    /// Another host than the destination's.
    pub(super) host: Option<Url>,
    method: String,
    path: Template,
    headers: Vec<(HeaderName, Template)>,
    content_type: Option<&'static str>,
    body: Option<Template>,
}

/// Why a request cannot be written.
#[derive(Debug)]
pub(super) struct Unwritten {
    /// In a sentence.
    pub(super) why: String,
    /// The line of its template, where that is known.
    pub(super) line: Option<usize>,
}

impl From<Problem> for Unwritten {
    fn from(problem: Problem) -> Self {
        Unwritten { why: problem.to_string(), line: problem.line }
    }
}

impl From<String> for Unwritten {
    fn from(why: String) -> Self {
        Unwritten { why, line: None }
    }
}

/// Collects what is wrong with a step.
struct Problems<'a> {
    step: &'a str,
    found: Vec<String>,
}

impl Problems<'_> {
    fn add(&mut self, what: impl std::fmt::Display) {
        self.found.push(format!("step {}: {what}", self.step));
    }

    fn keep<T, E: std::fmt::Display>(&mut self, result: Result<T, E>) -> Option<T> {
        result.map_err(|problem| self.add(problem)).ok()
    }

    fn template(&mut self, member: &str, form: Form, source: Option<&String>) -> Option<Template> {
        let name = format!("{}.{member}", self.step);
        let template = Template::new(&name, form, source?);
        template.map_err(|problem| self.found.push(format!("step {problem}"))).ok()
    }

    fn expression(&mut self, member: &str, source: Option<&String>) -> Option<Expression> {
        let expression = Expression::new(&format!("{}.{member}", self.step), source?);
        expression.map_err(|problem| self.found.push(format!("step {problem}"))).ok()
    }
}

impl Step {
    /// Checks a step.
    pub(super) fn new(said: StepSaid, host: Option<Url>) -> Result<Step, Vec<String>> {
        let mut problems = Problems { step: &said.name, found: Vec::new() };
        if said.name.trim().is_empty() {
            problems.add("it has no name");
        }
        misplaced(&said, &mut problems);
        let when = problems.expression("when", said.when.as_ref());
        let each = problems.expression("each", said.each.as_ref());
        let one_at_a_time = problems.template("one_at_a_time", Form::Line, said.one_at_a_time.as_ref());
        let request = request(&said, host, &mut problems);
        let keep = said.keep.as_deref().and_then(|text| problems.keep(duration(text)));
        let takes = said.take.iter().filter_map(|(name, from)| problems.keep(Take::new(name, from.clone()))).collect();
        let records = records(&said, &mut problems);
        let rules = said.rules.iter().cloned().filter_map(|rule| match Rule::new(rule) {
            Ok(rule) => Some(rule),
            Err(found) => {
                for problem in found {
                    problems.add(format!("a rule: {problem}"));
                }
                None
            }
        });
        let rules = rules.collect();
        let mut expect = Vec::new();
        for said in &said.expect {
            let there = problems.template("expect.there", Form::Line, Some(&said.there));
            let ours = problems.template("expect.ours", Form::Line, Some(&said.ours));
            let within = problems.template("expect.within", Form::Line, said.within.as_ref());
            if let Some((there, ours)) = there.zip(ours) {
                expect.push(Expect { what: said.what.clone(), there, ours, within });
            }
        }
        if !problems.found.is_empty() {
            return Err(problems.found);
        }
        Ok(Step {
            name: said.name,
            kind: said.kind,
            purposes: said.purposes,
            when,
            request,
            each,
            one_at_a_time,
            keep,
            takes,
            records,
            absent: said.absent,
            rules,
            expect,
        })
    }

    /// Whether it is to be done.
    pub(super) fn applies(&self, context: &Value) -> Result<bool, String> {
        match &self.when {
            None => Ok(true),
            Some(when) => when.holds(context).map_err(|problem| problem.to_string()),
        }
    }

    /// Variables that are maps.
    pub(super) fn maps(&self) -> impl Iterator<Item = &str> {
        let each = self.each.is_some();
        self.takes.iter().filter(move |take| each || take.is_map()).map(|take| take.name.as_str())
    }

    /// Whether an answer itself says whose each value of that variable is.
    pub(super) fn is_keyed(&self, variable: &str) -> bool {
        self.takes.iter().any(|take| take.name == variable && take.is_map())
    }

    /// Whether an answer had all that is taken from it; asked for one item, that item's values.
    pub(super) fn is_answered(&self, taken: &Found, item: Option<&str>) -> bool {
        let has = |take: &Take| match (taken.get(&take.name), item) {
            (Some(map), Some(item)) if take.is_map() => map.get(item).is_some(),
            (value, _) => value.is_some(),
        };
        self.takes.iter().all(has)
    }

    /// Whether such an answer says that our record is not there.
    pub(super) fn says_absent(&self, status: u16) -> bool {
        self.absent.contains(&status)
    }

    /// What an answer, or its absence, means.
    pub(super) fn read(&self, wire: &Wire, common: &[Rule], guard: Guard, now: Timestamp) -> AttemptOutcome {
        let creates = self.kind == Kind::Create;
        match wire {
            Wire::Answered(response) => self.answer(response, common, guard, now),
            Wire::Forbidden(detail) => {
                AttemptOutcome::Rejected(Rejection { mark: Mark::Configuration, status: None, detail: detail.clone() })
            }
            Wire::NoCredential(refused) => refused.outcome(),
            Wire::NotSent(detail) => {
                AttemptOutcome::Unavailable { detail: format!("not sent: {detail}"), wait: Wait::default() }
            }
            Wire::Lost(detail) => doubtful(creates, detail.clone(), Wait::default()),
        }
    }

    fn answer(&self, response: &ResponseSeen, common: &[Rule], guard: Guard, now: Timestamp) -> AttemptOutcome {
        let creates = self.kind == Kind::Create;
        let verdict = rules::verdict(&self.rules, response).or_else(|| rules::verdict(common, response));
        let Some(verdict) = verdict else {
            // Only what makes our record can be doubled by a second request.
            let rules = read::Rules { five_xx_never_applies: !creates, ..read::Rules::default() };
            let guard = if creates { guard } else { Guard::None };
            return match read::read(&rules, guard, response, now) {
                AttemptOutcome::Uncertain { detail, wait } => doubtful(creates, detail, wait),
                outcome => outcome,
            };
        };
        let detail = match verdict.because {
            Some(words) => format!("answered {}: {words}", read::named(response.status)),
            None => read::describe(response),
        };
        let mut wait = read::wait(response, now);
        wait.floor = wait.floor.max(verdict.wait);
        let refused = |mark: Mark| Rejection { mark, status: Some(response.status), detail: detail.clone() };
        match verdict.means {
            Meaning::Done => AttemptOutcome::Accepted(Receipt(None)),
            Meaning::AlreadyDone if creates => AttemptOutcome::Rejected(refused(Mark::Exists)),
            Meaning::AlreadyDone => AttemptOutcome::AlreadyApplied(Receipt(None)),
            Meaning::Misconfigured => AttemptOutcome::Rejected(refused(Mark::Configuration)),
            Meaning::Permanent => AttemptOutcome::Rejected(refused(Mark::Record)),
            Meaning::Transient => AttemptOutcome::Unavailable { detail, wait },
            Meaning::Throttled => AttemptOutcome::Throttled { detail, wait },
            Meaning::Credential => AttemptOutcome::Credential { detail },
            Meaning::Uncertain => doubtful(creates, detail, wait),
        }
    }

    /// What the step's own rules say of an answer.
    pub(super) fn own_meaning(&self, response: &ResponseSeen) -> Option<Meaning> {
        rules::verdict(&self.rules, response).map(|verdict| verdict.means)
    }

    /// What an answer gives the steps that follow.
    pub(super) fn taken(&self, response: &ResponseSeen) -> Found {
        let body = json::parse(&response.body, &Limits::default()).ok();
        let entries = self.takes.iter().filter_map(|take| {
            let value = take.from(&response.headers, body.as_ref())?;
            Some((take.name.clone(), value))
        });
        entries.collect()
    }
}

fn doubtful(creates: bool, detail: String, wait: Wait) -> AttemptOutcome {
    if creates { AttemptOutcome::Uncertain { detail, wait } } else { AttemptOutcome::Unavailable { detail, wait } }
}

impl Request {
    /// The template of one part, by its name: `path`, `body`, or that of a header.
    pub(super) fn part(&mut self, part: &str) -> Option<&mut Template> {
        match part {
            "path" => Some(&mut self.path),
            "body" => self.body.as_mut(),
            header => {
                let named = self.headers.iter_mut().find(|(name, _)| name.as_str().eq_ignore_ascii_case(header));
                named.map(|(_, template)| template)
            }
        }
    }

    /// Whether its body is JSON, and says so.
    pub(super) fn is_json(&self) -> bool {
        self.body.is_some() && self.content_type == Some("application/json")
    }

    /// The request, behind `base` and nowhere else.
    pub(super) fn render(&self, base: &Url, context: &Value) -> Result<SealedRequest, String> {
        self.written(base, context).map_err(|unwritten| unwritten.why)
    }

    /// The same, with the line of what cannot be written.
    pub(super) fn written(&self, base: &Url, context: &Value) -> Result<SealedRequest, Unwritten> {
        let base = self.host.as_ref().unwrap_or(base);
        let path = self.path.render(context)?;
        let text = format!("{}{path}", base.as_str().trim_end_matches('/'));
        let url =
            Url::parse(&text).map_err(|error| Unwritten::from(format!("\"{path}\" makes no address: {error}")))?;
        let same_door = url.origin() == base.origin() && url.username().is_empty() && url.password().is_none();
        if !same_door || crate::destinations::find::steps_upwards(&text, &url) {
            return Err(format!("\"{path}\" leads to another place than the destination's URL").into());
        }
        let mut headers = Vec::with_capacity(self.headers.len() + 2);
        if let Some(content_type) = self.content_type {
            headers.push(("content-type".to_owned(), content_type.to_owned()));
        }
        for (name, template) in &self.headers {
            let value = template.render(context)?;
            if !value.is_empty() {
                headers.push((name.as_str().to_owned(), value));
            }
        }
        headers.push(("user-agent".to_owned(), render::USER_AGENT.to_owned()));
        let body = match &self.body {
            Some(template) => Bytes::from(template.render(context)?),
            None => Bytes::new(),
        };
        let digest = render::digest(&self.method, url.as_str(), &headers, &body);
        let (method, url) = (self.method.clone(), url.to_string());
        Ok(SealedRequest { method, url, headers, body, digest, body_is_document: false })
    }
}

fn request(said: &StepSaid, host: Option<Url>, problems: &mut Problems<'_>) -> Option<Request> {
    let form = said.form.or(said.body.is_some().then_some(FormSaid::Json));
    let (content_type, body_form) = match form {
        None => (None, Form::Json),
        Some(FormSaid::Json) => (Some("application/json"), Form::Json),
        Some(FormSaid::Xml) => (Some("text/xml; charset=utf-8"), Form::Xml),
        Some(FormSaid::Form) => (Some("application/x-www-form-urlencoded"), Form::Fields),
        Some(FormSaid::Csv) => (Some("text/csv; charset=utf-8"), Form::Csv),
        Some(FormSaid::Text) => (None, Form::Parts),
    };
    let body = problems.template("body", body_form, said.body.as_ref());
    let default = if said.body.is_some() { "POST" } else { "GET" };
    let method = said.method.clone().unwrap_or_else(|| default.to_owned());
    if !matches!(method.as_str(), "GET" | "POST" | "PUT" | "PATCH" | "DELETE") {
        problems.add(format!("method \"{method}\" is none of GET, POST, PUT, PATCH, DELETE"));
    }
    let mut headers = Vec::new();
    for (name, source) in &said.headers {
        let Ok(header) = HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes()) else {
            problems.add(format!("\"{name}\" is not a header name"));
            continue;
        };
        if header == ::http::header::AUTHORIZATION || header == ::http::header::COOKIE {
            problems.add(format!("{name} is for the destination's auth, not for a step"));
        }
        headers.extend(problems.template(name, Form::Line, Some(source)).map(|template| (header, template)));
    }
    let own_type = headers.iter().any(|(name, _)| name == ::http::header::CONTENT_TYPE);
    if form == Some(FormSaid::Text) && !own_type {
        problems.add("type = \"text\" says nothing of what the text is: add the header Content-Type");
    }
    let path = said.path.as_ref()?;
    if !path.starts_with('/') && !path.starts_with('?') && !path.is_empty() {
        problems.add("path starts with a slash: it stands behind the destination's URL");
    }
    let path = problems.template("path", Form::Address, Some(path))?;
    let content_type = content_type.filter(|_| !own_type && said.body.is_some());
    Some(Request { host, method, path, headers, content_type, body })
}

fn records(said: &StepSaid, problems: &mut Problems<'_>) -> Option<OurRecord> {
    if said.kind != Kind::Find {
        return None;
    }
    let Some(reference) = said.reference.clone() else {
        problems.add("a find says where our reference stands in a record: reference = \"/…\"");
        return None;
    };
    for pointer in [Some(&reference), said.list.as_ref(), said.total.as_ref()].into_iter().flatten() {
        if !pointer.is_empty() && !pointer.starts_with('/') {
            problems.add(format!("\"{pointer}\" is not a JSON pointer: it starts with a slash"));
        }
    }
    let default = "{{ order.increment_id }}".to_owned();
    let is = problems.template("is", Form::Line, Some(said.is.as_ref().unwrap_or(&default)))?;
    let records = Records { list: said.list.clone(), reference, id: None, digest: None, total: said.total.clone() };
    Some(OurRecord { records, is })
}

/// Members that mean nothing in a step of that kind: a recipe that says them expects something that would not happen.
fn misplaced(said: &StepSaid, problems: &mut Problems<'_>) {
    let find = said.kind == Kind::Find;
    let prepares = matches!(said.kind, Kind::Lookup | Kind::Ensure);
    let only_find = said.list.is_some() || said.reference.is_some() || said.is.is_some() || said.total.is_some();
    for (is_wrong, what) in [
        (!find && (only_find || !said.absent.is_empty()), "list, reference, is, total and absent are for find"),
        (said.kind != Kind::Verify && !said.expect.is_empty(), "expect is for verify"),
        (said.kind == Kind::Create && said.host.is_some(), "a create is sent to the destination's own host"),
        (!prepares && said.each.is_some(), "each is for lookup and ensure"),
        (!prepares && said.one_at_a_time.is_some(), "one_at_a_time is for lookup and ensure"),
        (said.kind != Kind::Lookup && said.keep.is_some(), "keep is for lookup: what is made must be made each time"),
        (said.kind == Kind::Create && said.when.is_some(), "a create has no when: say it in the route"),
        (said.kind == Kind::Await && said.rules.is_empty(), "an await without rules knows no end: say what means done"),
        (said.kind != Kind::Verify && said.path.is_none(), "it has no path, so it asks nothing"),
        (said.kind == Kind::Verify && said.expect.is_empty(), "a verify without expect verifies nothing"),
        (said.path.is_none() && said.body.is_some(), "it has a body and no path to send it to"),
        (said.form.is_some() && said.body.is_none(), "type says what a body is, and there is none"),
    ] {
        if is_wrong {
            problems.add(what);
        }
    }
    for purpose in &said.purposes {
        if !["order.create", "order.change", "order.cancel"].contains(&purpose.as_str()) {
            problems.add(format!("for: \"{purpose}\" is none of order.create, order.change, order.cancel"));
        }
    }
}

/// `90s`, `5m`, `1h`, `2d`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("keep = \"{text}\": write it as 90s, 5m, 1h or 2d");
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    if number == 0 || number > 366 * 86_400 / seconds {
        return Err(wrong());
    }
    Ok(Duration::from_secs(number * seconds))
}
