//! Reading back: what changed in a system that does not tell of it by itself, page by page, in our words.
//!
//! A poll asks for the records behind a position, in the order of their positions, gets what else is to be known of them,
//! and writes each in the canonical form in which others post it to us. Where reading goes on, and what becomes of the
//! records, is the asker's.

use std::time::Duration;

use minijinja::value::{Serde, merge_maps};
use minijinja::{Value, context};
use reqwest::Url;
use serde_json::Map;

use super::said::{Entity, Kind, PollSaid, StepSaid};
use super::step::Step;
use super::take::{Found, plain};
use super::walk::{Call, Stop, Walk};
use super::{Recipe, Work, step_with};
use crate::clock::Timestamp;
use crate::destinations::Guard;
use crate::destinations::find;
use crate::destinations::http::read;
use crate::destinations::outcome::{AttemptOutcome, Wire};
use crate::envelope::keys::Digest;
use crate::json::Json;
use crate::templates::{Expression, Form, Template};

/// Records of one answer.
const PAGE_MAX: u32 = 1_000;
/// What one record may become.
const ITEMS_MAX: usize = 1_000;

/// Where a record stands among the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spot {
    /// When it changed, by the other system's clock.
    pub at: Option<Timestamp>,
    /// What tells records of one time apart.
    pub id: Option<String>,
}

/// Where reading goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Since {
    /// Behind this record.
    pub spot: Spot,
    /// Records of that very time that were read already.
    pub skip: u64,
}

/// One answer.
#[derive(Debug)]
pub struct Page {
    /// Its records, in the order sent.
    pub rows: Vec<Row>,
}

/// One record as the other system has it.
#[derive(Debug)]
pub struct Row {
    /// Where it stands; why that is not known.
    pub spot: Result<Spot, String>,
    /// Its own JSON, spelled canonically: what tells this state of it from another.
    pub source: String,
    /// What it becomes. None: it is not ours.
    pub records: Vec<Record>,
}

/// One record in our words.
#[derive(Debug)]
pub struct Record {
    /// For which of several.
    pub item: String,
    /// Its JSON; why it cannot be written.
    pub json: Result<String, String>,
}

/// Why a page could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// What the system answered, or that it did not.
    Outcome(AttemptOutcome),
    /// It answered with something that is no page.
    Unreadable(String),
    /// The recipe and the destination do not fit together; no answer will change that.
    Unmet(String),
}

/// A poll that was checked.
#[derive(Debug)]
pub struct Poll {
    name: String,
    entity: Entity,
    once: bool,
    size: u32,
    ask: Step,
    list: String,
    at: Option<Template>,
    id: Option<Template>,
    lookups: Vec<Step>,
    each: Option<Expression>,
    when: Option<Expression>,
    record: Template,
}

impl Poll {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a record becomes.
    pub fn entity(&self) -> Entity {
        self.entity
    }

    /// Whether it reads everything there is, once.
    pub fn once(&self) -> bool {
        self.once
    }

    /// Most records of one answer.
    pub fn size(&self) -> usize {
        self.size as usize
    }

    /// Further hosts that are asked.
    pub(super) fn hosts(&self) -> impl Iterator<Item = &Url> {
        self.lookups.iter().filter_map(|step| step.request.as_ref()?.host.as_ref())
    }

    /// Checks a poll.
    pub(super) fn new(said: PollSaid, settings: &Map<String, serde_json::Value>) -> Result<Poll, Vec<String>> {
        let mut problems = Vec::new();
        let name = said.name.clone();
        let mut add = |what: String| problems.push(format!("poll {name}: {what}"));
        if !is_word(&said.name) {
            add("a name is 1 to 40 of a-z, 0-9, - and _: it stands in metrics and positions".to_owned());
        }
        if !(1..=PAGE_MAX).contains(&said.page) {
            add(format!("page is {}: it may be 1 to {PAGE_MAX}", said.page));
        }
        if !said.list.is_empty() && !said.list.starts_with('/') {
            add(format!("list \"{}\" is not a JSON pointer: it starts with a slash", said.list));
        }
        match (said.once, &said.position.at, &said.position.id) {
            (false, None, _) => {
                add("position.at is missing: when a record changed tells where reading goes on".to_owned());
            }
            (true, Some(_), _) => {
                add("position.at is for what changes: with once reading goes on by position.id".to_owned());
            }
            (true, None, None) => add("position.id is missing: with once reading goes on by it".to_owned()),
            _ => {}
        }
        let mut template = |member: &str, form: Form, source: Option<&String>| {
            let template = Template::new(&format!("{name}.{member}"), form, source?);
            template.map_err(|problem| add(problem.to_string())).ok()
        };
        let at = template("position.at", Form::Line, said.position.at.as_ref());
        let id = template("position.id", Form::Line, said.position.id.as_ref());
        let record = template("record", Form::Json, Some(&said.record));
        let mut expression = |member: &str, source: Option<&String>| {
            let expression = Expression::new(&format!("{name}.{member}"), source?);
            expression.map_err(|problem| problems.push(format!("poll {problem}"))).ok()
        };
        let each = expression("each", said.each.as_ref());
        let when = expression("when", said.when.as_ref());
        let ask = Step::new(asked(&said), None).map_err(|found| problems.extend(found)).ok();
        let mut lookups = Vec::new();
        for step in said.lookups {
            if step.kind != Kind::Lookup {
                problems.push(format!(
                    "poll {name}: {} is of kind {}; a poll only looks up",
                    step.name,
                    step.kind.as_str()
                ));
                continue;
            }
            match step_with(step, settings) {
                Ok(step) => lookups.extend(step),
                Err(found) => problems.extend(found),
            }
        }
        match (ask, record) {
            (Some(ask), Some(record)) if problems.is_empty() => {
                let (entity, once, size, list) = (said.entity, said.once, said.page, said.list);
                Ok(Poll { name, entity, once, size, ask, list, at, id, lookups, each, when, record })
            }
            _ => Err(problems),
        }
    }

    /// Every step that asks.
    pub(super) fn steps(&self) -> impl Iterator<Item = &Step> {
        std::iter::once(&self.ask).chain(&self.lookups)
    }

    fn spot(&self, context: &Value) -> Result<Spot, String> {
        let text = |template: &Option<Template>| {
            let text =
                template.as_ref().map(|template| template.render(context).map_err(|problem| problem.to_string()));
            text.transpose()
        };
        let at = match text(&self.at)? {
            Some(at) => Some(at.parse().map_err(|_| format!("its position \"{at}\" is no time"))?),
            None => None,
        };
        let id = text(&self.id)?;
        if id.as_ref().is_some_and(String::is_empty) {
            return Err("the id of its position is empty".to_owned());
        }
        Ok(Spot { at, id })
    }

    /// What a record becomes, one for each item.
    fn records(&self, context: &Value) -> Vec<Record> {
        let failed = |problem: String| vec![Record { item: String::new(), json: Err(problem) }];
        let Some(each) = &self.each else {
            return self.write(String::new(), context).into_iter().collect();
        };
        let items = match each.value(context) {
            Ok(items) => items,
            Err(problem) => return failed(problem.to_string()),
        };
        let Ok(items) = items.try_iter() else { return failed(format!("{}: each is no list", self.name)) };
        let mut records = Vec::new();
        for item in items {
            if records.len() == ITEMS_MAX {
                return failed(format!("it would become more than {ITEMS_MAX} records"));
            }
            let named = item.as_str().map_or_else(|| item.to_string(), str::to_owned);
            records.extend(self.write(named, &merge_maps([context! { item }, context.clone()])));
        }
        records
    }

    fn write(&self, item: String, context: &Value) -> Option<Record> {
        let json = match self.when.as_ref().map_or(Ok(true), |when| when.holds(context)) {
            Ok(false) => return None,
            Ok(true) => self.record.render(context).map_err(|problem| problem.to_string()),
            Err(problem) => Err(problem.to_string()),
        };
        Some(Record { item, json })
    }
}

/// The request of a poll as a step.
fn asked(said: &PollSaid) -> StepSaid {
    StepSaid {
        name: said.name.clone(),
        kind: Kind::Lookup,
        purposes: Vec::new(),
        when: None,
        method: said.method.clone(),
        host: None,
        path: Some(said.path.clone()),
        headers: said.headers.clone(),
        form: said.form,
        body: said.body.clone(),
        each: None,
        one_at_a_time: None,
        keep: None,
        take: said.take.clone(),
        list: None,
        reference: None,
        is: None,
        total: None,
        absent: Vec::new(),
        rules: said.rules.clone(),
        expect: Vec::new(),
    }
}

fn is_word(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    (1..=40).contains(&text.len()) && text.bytes().all(plain)
}

/// What a template is told of where reading goes on. Digits are a number, so that they stand as one in JSON.
fn told(poll: &Poll, since: &Since) -> Value {
    let id = since.spot.id.as_ref().map(|id| id.parse::<i64>().map_or_else(|_| Value::from(id.as_str()), Value::from));
    let at = since.spot.at.map(|at| at.to_string());
    context! { since => context! { at, id }, page => context! { size => poll.size, skip => since.skip } }
}

impl Recipe {
    /// What it reads back, what is read once first.
    pub fn polls(&self) -> &[Poll] {
        &self.polls
    }

    /// One page behind `since`, in our words.
    ///
    /// # Errors
    /// Nothing of it may be taken: the system did not answer with a page, or not to all that was asked.
    pub async fn read_page<C: Call + Send>(&self, poll: &Poll, since: &Since, call: &mut C) -> Result<Page, Unread> {
        let now = call.now();
        let told = told(poll, since);
        let work = Work::polled(told.clone());
        let mut walk = Walk::new(self, &work, Found::new(), call);
        let context = self.context(&work, &Found::new(), None);
        let wire = walk.ask(&poll.ask, &context).await.map_err(Unread::of)?;
        match poll.ask.read(&wire, &self.rules, Guard::None, now) {
            AttemptOutcome::Accepted(_) | AttemptOutcome::AlreadyApplied(_) => {}
            outcome => return Err(Unread::Outcome(outcome)),
        }
        let Wire::Answered(response) = &wire else { return Err(Unread::Unreadable("there was no answer".to_owned())) };
        let said =
            |problem: String| Unread::Unreadable(format!("answered {}, but {problem}", read::named(response.status)));
        let body = find::body(response).map_err(&said)?;
        let rows = body.pointer(&poll.list).ok_or_else(|| said(format!("there is nothing at \"{}\"", poll.list)))?;
        let Json::Array(rows) = rows else {
            return Err(said(format!("what stands at \"{}\" is {} and no list", poll.list, rows.kind())));
        };
        if rows.is_empty() {
            return Ok(Page { rows: Vec::new() });
        }
        let records: serde_json::Value = rows.iter().map(plain).collect();
        let work = Work::polled(merge_maps([context! { records => Value::from(Serde(records)) }, told]));
        let taken = poll.ask.taken(response);
        let mut walk = Walk::new(self, &work, taken, call);
        for step in &poll.lookups {
            walk.step(step).await.map_err(Unread::of)?;
        }
        let context = self.context(&work, &walk.found, None);
        Ok(Page { rows: rows.iter().map(|row| read_row(poll, row, &context)).collect() })
    }

    /// The first request of a poll as it would be sent, behind a time of our choice.
    ///
    /// # Errors
    /// Why it cannot be written.
    pub fn rehearse_poll(&self, poll: &Poll, at: Timestamp) -> Result<crate::store::write::SealedRequest, String> {
        let at = (!poll.once).then_some(at);
        let since = Since { spot: Spot { at, id: None }, skip: 0 };
        let context = self.context(&Work::polled(told(poll, &since)), &Found::new(), None);
        poll.ask.request.as_ref().ok_or("it asks nothing")?.render(&self.base, &context)
    }
}

fn read_row(poll: &Poll, row: &Json<'_>, context: &Value) -> Row {
    let record = Value::from(Serde(plain(row)));
    let context = merge_maps([context! { record }, context.clone()]);
    Row { spot: poll.spot(&context), source: row.canonical(), records: poll.records(&context) }
}

impl Unread {
    fn of(stop: Stop) -> Unread {
        match stop {
            Stop::Outcome(outcome) => Unread::Outcome(outcome),
            Stop::Unmet(detail) => Unread::Unmet(detail),
        }
    }

    /// One sentence.
    pub fn detail(&self) -> String {
        match self {
            Unread::Outcome(outcome) => outcome.detail(),
            Unread::Unreadable(detail) | Unread::Unmet(detail) => detail.clone(),
        }
    }

    /// What the system asks us to wait.
    pub fn wait(&self) -> Option<Duration> {
        match self {
            Unread::Outcome(AttemptOutcome::Throttled { wait, .. } | AttemptOutcome::Unavailable { wait, .. }) => {
                wait.floor
            }
            Unread::Outcome(AttemptOutcome::Deferred { free_in }) => Some(*free_in),
            _ => None,
        }
    }
}

impl Work {
    /// What a poll reads, as its templates see it.
    fn polled(members: Value) -> Work {
        Work { purpose: "poll".to_owned(), members, total: None, digest: Digest::of(b"") }
    }
}

#[cfg(test)]
mod tests;
