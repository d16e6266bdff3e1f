//! How one kind of back office is spoken to, written down instead of programmed.
//!
//! A recipe is a list of named [steps](said::Kind): it *finds* our record, *looks up* what the record needs, *ensures*
//! that it is there, *creates* the record, *awaits* it where a job makes it later, *advances* it, and *verifies* it. Each step is a request template with a
//! condition, what is taken from its answer, and ordered [`rules`] that say what an answer means, since status codes lie:
//! a 200 may hold an error, a 400 may mean *done already* or *too busy*. What no rule knows is read as any other answer is.
//!
//! Three of the delivery engine's questions are answered here. [`Recipe::look`] asks whether the record is there and, where
//! it may be made next, gets what making it needs; [`Recipe::create`] writes the one request that must not happen twice,
//! so that it can be sealed (KEY-5); [`Recipe::follow`] goes on with a record that is there. Every attempt begins with the
//! find, so whatever broke off before, the next attempt starts from what is there and not from what we remember.
//!
//! [`rehearse`] shows the requests of a document without making any, [`tried`] with one template in another's words.
//!
//! Deliberately absent: retries, state, credentials. What has been found is handed in and out; the store keeps it.

pub mod poll;
pub mod rehearse;
pub mod rules;
pub mod said;
mod step;
mod take;
mod together;
pub mod tried;
mod walk;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, Weak};

use minijinja::value::{Serde, merge_maps};
use minijinja::{Value, context};
use reqwest::Url;
use serde_json::Map;

use super::Guard;
use super::outcome::{AttemptOutcome, Receipt, Wire};
use crate::clock::Timestamp;
use crate::envelope::keys::{Digest, IdempotencyKey};
use crate::store::write::SealedRequest;
use crate::templates::{Form, Template};
use poll::Poll;
use rules::Rule;
use said::{GuardSaid, Kind, RecipeSaid, SettingSaid};
use step::Step;
pub use take::Found;
use together::Together;
pub use walk::{Call, Start, StepSeen, Walked};

/// Answers of lookups that are kept for other orders.
const KEPT_MAX: usize = 20_000;
/// And their bytes.
const KEPT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A step's name, and what it asks: two steps may ask the same and take different things from the answer.
type Question = (String, Digest);

/// What we deliver, as a recipe sees it.
#[derive(Debug)]
pub struct Work {
    /// `order.create`, …
    pub purpose: String,
    members: Value,
    total: Option<String>,
    digest: Digest,
}

const CREATE: &str = "order.create";
const RESEND: &str = "resend";

impl Work {
    /// From a canonical document.
    ///
    /// # Errors
    /// It is no JSON object.
    pub fn new(purpose: &str, document: &[u8], key: &IdempotencyKey) -> Result<Work, String> {
        let json: Map<String, serde_json::Value> =
            serde_json::from_slice(document).map_err(|_| "the document is no JSON object".to_owned())?;
        if purpose == RESEND && json.get("purpose").and_then(serde_json::Value::as_str) != Some(CREATE) {
            return Err("only an order can be made a second time there, not a change or a cancellation".to_owned());
        }
        let total = json.get("totals").and_then(|totals| totals["grand_total"].as_str()).map(str::to_owned);
        let skus = Value::from(Serde(skus(&json)));
        let whole = Value::from(Serde(json));
        let members = merge_maps([context! { skus, key => key.as_str(), document => whole.clone() }, whole]);
        Ok(Work { purpose: purpose.to_owned(), members, total, digest: Digest::of(document) })
    }
}

/// A deliberate second effect (KEY-3 c) takes the steps of the first. It is looked for like that one, so it is made where
/// the system has lost it, and nowhere else.
fn served(purpose: &str) -> &str {
    if purpose == RESEND { CREATE } else { purpose }
}

/// The SKUs of the lines, each once, in their order.
fn skus(document: &Map<String, serde_json::Value>) -> Vec<serde_json::Value> {
    let lines = document.get("lines").and_then(serde_json::Value::as_array);
    let mut skus = Vec::new();
    for line in lines.into_iter().flatten() {
        let sku = &line["sku"];
        let goods = line["kind"].as_str().is_some_and(|kind| matches!(kind, "item" | "component" | "kit"));
        if goods && sku.is_string() && !skus.contains(sku) {
            skus.push(sku.clone());
        }
    }
    skus
}

/// A recipe with a destination's settings, checked.
pub struct Recipe {
    about: String,
    guard: GuardSaid,
    base: Url,
    fixed: Value,
    receipt: Option<Template>,
    batch: Option<Together>,
    steps: Vec<Step>,
    polls: Vec<Poll>,
    rules: Vec<Rule>,
    accepts_differences: bool,
    kept: Mutex<Answers>,
    turns: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
}

impl Recipe {
    /// Checks a recipe and what a destination sets of it.
    ///
    /// # Errors
    /// Every problem at once, each a sentence.
    pub fn new(
        said: RecipeSaid,
        with: &BTreeMap<String, serde_json::Value>,
        base: &Url,
    ) -> Result<Recipe, Vec<String>> {
        let mut problems = Vec::new();
        let settings = settings(&said.settings, with, &mut problems);
        let receipt = said.receipt.as_deref().and_then(|source| {
            Template::new("receipt", Form::Line, source).map_err(|problem| problems.push(problem.to_string())).ok()
        });
        let batch = said.batch.and_then(|said| Together::new(said).map_err(|found| problems.push(found)).ok());
        let mut steps = Vec::new();
        for step in said.steps {
            match step_with(step, &settings) {
                Ok(step) => steps.extend(step),
                Err(found) => problems.extend(found),
            }
        }
        in_order(&steps, said.guard, &mut problems);
        let mut polls: Vec<Poll> = Vec::new();
        for poll in said.polls {
            match Poll::new(poll, &settings) {
                Ok(poll) => polls.push(poll),
                Err(found) => problems.extend(found),
            }
        }
        polls.sort_by_key(|poll| !poll.once());
        named_apart(&steps, &polls, &mut problems);
        let mut rules = Vec::new();
        for rule in said.rules {
            match Rule::new(rule) {
                Ok(rule) => rules.push(rule),
                Err(found) => problems.extend(found.into_iter().map(|problem| format!("a rule: {problem}"))),
            }
        }
        if base.query().is_some() || base.fragment().is_some() {
            problems.push("the URL of a recipe's destination has no query: paths are put behind it".to_owned());
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut fixed = Map::new();
        fixed.insert("with".to_owned(), serde_json::Value::Object(settings));
        let maps = said.maps.into_iter().map(|(name, map)| {
            (name, map.into_iter().map(|(code, text)| (code, text.into())).collect::<Map<_, _>>().into())
        });
        fixed.insert("maps".to_owned(), serde_json::Value::Object(maps.collect()));
        Ok(Recipe {
            about: said.about,
            guard: said.guard,
            base: base.clone(),
            fixed: Value::from(Serde(fixed)),
            receipt,
            batch,
            steps,
            polls,
            rules,
            accepts_differences: false,
            kept: Mutex::default(),
            turns: Mutex::default(),
        })
    }

    /// Amounts that differ there are told in the record of the attempt, and its steps go on; else a person decides.
    #[must_use]
    pub fn accepting_differences(self, accepts: bool) -> Recipe {
        Recipe { accepts_differences: accepts, ..self }
    }

    /// Further hosts that are asked.
    pub fn hosts(&self) -> impl Iterator<Item = &Url> {
        let of_steps = self.steps.iter().filter_map(|step| step.request.as_ref()?.host.as_ref());
        of_steps.chain(self.polls.iter().flat_map(Poll::hosts))
    }

    /// Which system, which interface.
    pub fn about(&self) -> &str {
        &self.about
    }

    /// What protects the system from a second effect, by the recipe's own word.
    pub fn guard(&self) -> GuardSaid {
        self.guard
    }

    /// Whether there is anything to do for that purpose.
    pub fn serves(&self, purpose: &str) -> bool {
        self.has(purpose, |kind| kind == Kind::Create)
    }

    /// Whether our record can be asked for.
    pub fn looks_for(&self, purpose: &str) -> bool {
        self.has(purpose, |kind| kind == Kind::Find)
    }

    /// Whether making the record needs something that has to be asked first.
    pub fn prepares(&self, purpose: &str) -> bool {
        self.has(purpose, |kind| matches!(kind, Kind::Lookup | Kind::Ensure))
    }

    /// Whether something is to be done with a record that is there.
    pub fn follows(&self, purpose: &str) -> bool {
        self.has(purpose, |kind| matches!(kind, Kind::Advance | Kind::Verify))
    }

    /// The request that makes our record.
    ///
    /// # Errors
    /// What it lacks, in words.
    pub fn create(&self, work: &Work, found: &Found) -> Result<SealedRequest, String> {
        let step = self.create_step(&work.purpose)?;
        let request = step.request.as_ref().ok_or("the create asks nothing")?;
        request.render(&self.base, &self.context(work, found, None))
    }

    /// What its answer means, with what it gives the steps that follow. A yes that has nothing of what the recipe takes from it
    /// may be a login page's: where the record can be asked for, it is in doubt.
    pub fn read_create(&self, purpose: &str, wire: &Wire, guard: Guard, now: Timestamp) -> (AttemptOutcome, Found) {
        let Ok(step) = self.create_step(purpose) else {
            return (
                AttemptOutcome::Uncertain { detail: no_steps(purpose), wait: super::Wait::default() },
                Found::new(),
            );
        };
        let outcome = step.read(wire, &self.rules, guard, now);
        let taken = match (&outcome, wire) {
            (AttemptOutcome::Accepted(_) | AttemptOutcome::AlreadyApplied(_), Wire::Answered(response)) => {
                step.taken(response)
            }
            _ => Found::new(),
        };
        let hollow = taken.is_empty() && !step.takes.is_empty() && self.looks_for(purpose);
        match outcome {
            AttemptOutcome::Accepted(_) if hollow => {
                let status = wire.status().unwrap_or_default();
                let detail =
                    format!("answered {}, with nothing of what it makes in it", super::http::read::named(status));
                (AttemptOutcome::Uncertain { detail, wait: super::Wait::default() }, Found::new())
            }
            outcome => (outcome, taken),
        }
    }

    /// The number that the destination gave the record.
    pub fn receipt(&self, work: &Work, found: &Found) -> Receipt {
        let usual = || {
            let named = ["number", "id"].iter().find_map(|name| found.get(*name));
            named.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        };
        let number = match &self.receipt {
            Some(template) => template.render(&self.context(work, found, None)).ok(),
            None => usual(),
        };
        Receipt(number.map(|number| number.chars().take(200).collect::<String>()).filter(|number| !number.is_empty()))
    }

    fn create_step(&self, purpose: &str) -> Result<&Step, String> {
        self.steps_for(purpose).find(|step| step.kind == Kind::Create).ok_or_else(|| no_steps(purpose))
    }

    fn steps_for<'s>(&'s self, purpose: &str) -> impl Iterator<Item = &'s Step> {
        let purpose = served(purpose).to_owned();
        self.steps.iter().filter(move |step| step.purposes.contains(&purpose))
    }

    fn has(&self, purpose: &str, is: impl Fn(Kind) -> bool) -> bool {
        self.steps_for(purpose).any(|step| is(step.kind))
    }

    fn context(&self, work: &Work, found: &Found, item: Option<&Value>) -> Value {
        self.context_of(work, Value::from(Serde(found.clone())), item)
    }

    fn context_of(&self, work: &Work, found: Value, item: Option<&Value>) -> Value {
        let own = if let Some(item) = item {
            context! { found, item }
        } else {
            context! { found }
        };
        merge_maps([own, self.fixed.clone(), work.members.clone()])
    }

    /// The lock of all who do something one at a time under that name.
    fn turn(&self, name: String) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(&name).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::new(tokio::sync::Mutex::new(()));
        turns.insert(name, Arc::downgrade(&turn));
        turn
    }

    fn kept(&self, question: &Question, now: Timestamp) -> Option<Found> {
        let kept = self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let answer = kept.by_question.get(question)?;
        (now < answer.until).then(|| answer.found.clone())
    }

    fn keep(&self, question: Question, until: Timestamp, now: Timestamp, found: Found) {
        let bytes = serde_json::to_string(&found).map_or(KEPT_BYTES_MAX, |text| text.len());
        let mut kept = self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        kept.keep(question, Answer { until, found, bytes }, now);
    }
}

/// Answers of lookups that are good for other orders.
#[derive(Default)]
struct Answers {
    by_question: HashMap<Question, Answer>,
    bytes: usize,
}

struct Answer {
    until: Timestamp,
    found: Found,
    bytes: usize,
}

impl Answers {
    /// What there is no room for is asked again.
    fn keep(&mut self, question: Question, answer: Answer, now: Timestamp) {
        self.bytes -= self.by_question.remove(&question).map_or(0, |old| old.bytes);
        if !self.has_room(&answer) {
            self.by_question.retain(|_, kept| now < kept.until);
            self.bytes = self.by_question.values().map(|kept| kept.bytes).sum();
        }
        if self.has_room(&answer) {
            self.bytes += answer.bytes;
            self.by_question.insert(question, answer);
        }
    }

    fn has_room(&self, answer: &Answer) -> bool {
        self.by_question.len() < KEPT_MAX && self.bytes + answer.bytes <= KEPT_BYTES_MAX
    }
}

/// What was found, as the store keeps it. What cannot be read is nothing: it is asked again.
pub fn found(stored: &str) -> Found {
    serde_json::from_str(stored).unwrap_or_default()
}

fn no_steps(purpose: &str) -> String {
    format!("its recipe has no steps for {purpose}")
}

/// What a destination sets, with the defaults of the recipe.
fn settings(
    known: &BTreeMap<String, SettingSaid>,
    with: &BTreeMap<String, serde_json::Value>,
    problems: &mut Vec<String>,
) -> Map<String, serde_json::Value> {
    for name in with.keys().filter(|name| !known.contains_key(*name)) {
        let names: Vec<&str> = known.keys().map(String::as_str).collect();
        problems.push(format!("with.{name} is no setting of this recipe; it has {}", listed(&names)));
    }
    let mut settings = Map::new();
    for (name, setting) in known {
        let Some(value) = with.get(name).or(setting.default.as_ref()) else {
            problems.push(format!("with.{name} is missing: {}", setting.about));
            continue;
        };
        if !setting.one_of.is_empty() && !setting.one_of.contains(value) {
            let all: Vec<String> = setting.one_of.iter().map(ToString::to_string).collect();
            problems.push(format!("with.{name} is {value}; it may be {}", all.join(", ")));
        }
        settings.insert(name.clone(), value.clone());
    }
    settings
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

enum Host {
    Own,
    Other(Box<Url>),
    LeftOut,
}

/// A step with a destination's settings; `None`: they leave it out.
fn step_with(said: said::StepSaid, settings: &Map<String, serde_json::Value>) -> Result<Option<Step>, Vec<String>> {
    match host(&said, settings) {
        Ok(Host::Own) => Step::new(said, None).map(Some),
        Ok(Host::Other(url)) => Step::new(said, Some(*url)).map(Some),
        Ok(Host::LeftOut) => Ok(None),
        Err(problem) => Err(vec![problem]),
    }
}

/// The host that a step asks.
fn host(step: &said::StepSaid, settings: &Map<String, serde_json::Value>) -> Result<Host, String> {
    let Some(name) = &step.host else { return Ok(Host::Own) };
    let said = settings.get(name).and_then(serde_json::Value::as_str);
    match said.ok_or_else(|| format!("step {}: host \"{name}\" is no setting with a text", step.name))? {
        "" => Ok(Host::LeftOut),
        text => match Url::parse(text) {
            Ok(url) if url.query().is_none() && url.fragment().is_none() => Ok(Host::Other(Box::new(url))),
            _ => Err(format!("with.{name} is not an address without a query")),
        },
    }
}

/// The steps of each purpose stand in the order in which they are done, and one of them makes the record.
fn in_order(steps: &[Step], guard: GuardSaid, problems: &mut Vec<String>) {
    if steps.is_empty() {
        problems.push("it has no steps".to_owned());
    }
    let rank = |kind: Kind| match kind {
        Kind::Find => 0,
        Kind::Lookup | Kind::Ensure => 1,
        Kind::Create => 2,
        Kind::Await => 3,
        Kind::Advance | Kind::Verify => 4,
    };
    for purpose in ["order.create", "order.change", "order.cancel"] {
        let own: Vec<&Step> = steps.iter().filter(|step| step.purposes.iter().any(|one| one == purpose)).collect();
        if own.is_empty() {
            continue;
        }
        if !own.is_sorted_by_key(|step| rank(step.kind)) {
            problems.push(format!(
                "{purpose}: steps stand in the order find, lookup and ensure, create, await, advance and verify"
            ));
        }
        for (kind, least) in [(Kind::Create, 1), (Kind::Find, 0)] {
            let count = own.iter().filter(|step| step.kind == kind).count();
            if count < least || count > 1 {
                problems.push(format!("{purpose}: it has {count} steps of kind {}", kind.as_str()));
            }
        }
        let finds = own.iter().any(|step| step.kind == Kind::Find);
        if purpose == "order.create" && !finds && matches!(guard, GuardSaid::Find | GuardSaid::Unique) {
            problems.push(format!("{purpose}: guards find and unique need a step of kind find"));
        }
        let waits = own.iter().any(|step| step.kind == Kind::Await);
        if purpose == "order.create" && waits && matches!(guard, GuardSaid::Find | GuardSaid::None) {
            // The job's name is in the answer, which may be lost: then nothing is found while the job runs, however often.
            problems
                .push(format!("{purpose}: what a job makes needs a guard that refuses a second one: key or unique"));
        }
        if !finds && waits {
            problems.push(format!("{purpose}: what is awaited is looked for: it needs a step of kind find"));
        }
    }
}

/// Answers are kept under the name of what was asked.
fn named_apart(steps: &[Step], polls: &[Poll], problems: &mut Vec<String>) {
    let all: Vec<&Step> = steps.iter().chain(polls.iter().flat_map(Poll::steps)).collect();
    for (place, step) in all.iter().enumerate() {
        if all[..place].iter().any(|other| other.name == step.name) {
            problems.push(format!("two steps are named {}", step.name));
        }
    }
}
