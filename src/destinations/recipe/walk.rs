//! Walking through the steps: one question after the other, until something stands in the way.

mod awaiting;

use std::future::Future;
use std::time::{Duration, Instant};

use minijinja::Value;
use serde::Serialize;
use tokio::sync::OwnedMutexGuard;

use awaiting::{Awaited, unseen};

use super::said::Kind;
use super::step::Step;
use super::take::Found;
use super::{Recipe, Work};
use crate::clock::{Timestamp, later};
use crate::destinations::find::{self, Finding, Ours, Sighting};
use crate::destinations::outcome::{AttemptOutcome, Health, Wait, Wire};
use crate::destinations::{Guard, http};
use crate::domain::decimal;
use crate::store::write::{Making, SealedRequest, Stage};

/// The word for a verify that found another amount.
const DIFFERS: &str = "differs";
/// Bytes of all variables of one delivery.
const FOUND_BYTES_MAX: usize = 512 * 1024;
/// Requests of one walk: a lookup of each of a thousand SKUs, and room.
const CALLS_MAX: usize = 2_000;

/// Sends one request of a walk and waits for its answer.
pub trait Call {
    /// The answer, or what came in its place.
    ///
    /// # Errors
    /// It was not sent, since as much was asked as the destination allows: in what time the next request may go.
    fn call(&mut self, request: &SealedRequest) -> impl Future<Output = Result<Wire, Duration>> + Send;
    /// Now.
    fn now(&self) -> Timestamp;
}

/// One step as it went, for the record of the attempt.
#[derive(Clone, Debug, Serialize)]
pub struct StepSeen {
    /// Its name in the recipe.
    pub name: String,
    /// What it is there for.
    pub kind: &'static str,
    /// Requests that it took; none where an answer was at hand.
    pub calls: usize,
    /// The last status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The word for what came of it.
    pub outcome: &'static str,
    /// One sentence, where there is something to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Microseconds.
    pub duration_us: u64,
}

/// Where a walk ended.
#[derive(Debug)]
pub struct Walked {
    /// What it came to.
    pub finding: Finding,
    /// How far the delivery is.
    pub stage: Stage,
    /// Whether a job there makes the record.
    pub making: Making,
    /// What is known for the steps that follow.
    pub found: Found,
    /// Every step that was taken.
    pub steps: Vec<StepSeen>,
    /// What the last call says of the destination.
    pub health: Health,
    /// The last status.
    pub status: Option<u16>,
    /// The start of the last answer.
    pub excerpt: Option<String>,
}

impl Walked {
    /// Amounts that differ there, by a sentence each.
    pub fn differences(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().filter(|seen| seen.outcome == DIFFERS).filter_map(|seen| seen.detail.as_deref())
    }
}

/// Where a walk begins.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// What is known.
    pub found: Found,
    /// How far the delivery is.
    pub stage: Stage,
    /// Whether a job there makes the record.
    pub making: Making,
    /// Where the record is not there, what making it needs is asked.
    pub prepare: bool,
    /// Nothing is answered from memory.
    pub afresh: bool,
}

pub(super) struct Walk<'r, C> {
    recipe: &'r Recipe,
    work: &'r Work,
    call: &'r mut C,
    pub(super) found: Found,
    steps: Vec<StepSeen>,
    last: Last,
    calls: usize,
    afresh: bool,
    making: Making,
    /// What this walk does one at a time; let go at its end.
    turns: Vec<OwnedMutexGuard<()>>,
}

struct Last {
    health: Health,
    status: Option<u16>,
    excerpt: Option<String>,
}

/// Why a step led no further.
pub(super) enum Stop {
    Outcome(AttemptOutcome),
    /// The document, the recipe and the destination do not fit together; no answer will change that.
    Unmet(String),
}

impl Stop {
    /// What it comes to where nothing is known of the record.
    fn finding(self) -> Finding {
        match self {
            Stop::Outcome(outcome) => Finding::Failed(outcome),
            Stop::Unmet(detail) => Finding::Unmet(detail),
        }
    }
}

impl Recipe {
    /// Asks whether the record is there and goes on with it if it is; if it is not, and `prepare` says that it may be made
    /// next, gets what making it needs.
    pub async fn look<C: Call + Send>(&self, work: &Work, start: Start, call: &mut C) -> Walked {
        let Start { found, stage, making, prepare, afresh } = start;
        let mut walk = Walk::new(self, work, found, call);
        (walk.making, walk.afresh) = (making, afresh);
        let mut finding = walk.find().await;
        if walk.making != Making::Done {
            finding = unseen(finding);
        }
        match finding {
            Finding::Ours(_) => walk.follow().await,
            // A person had its cause put right, and it is not there: it may be made by another request.
            Finding::Absent if walk.making == Making::Spent && afresh => walk.end(Finding::Absent, stage),
            Finding::Absent if stage == Stage::Made && self.looks_for(&work.purpose) => match walk.awaited().await {
                Awaited::Nothing => {
                    let detail = "it was made there, and asking for it finds nothing now".to_owned();
                    let outcome = AttemptOutcome::Unavailable { detail, wait: Wait::default() };
                    walk.end(Finding::Failed(outcome), stage)
                }
                awaited => walk.after_waiting(awaited).await,
            },
            Finding::Absent if stage == Stage::Made => walk.follow().await,
            Finding::Absent if prepare => match walk.prepare().await {
                Ok(()) => walk.end(Finding::Absent, Stage::Prepared),
                Err(stop) => walk.end(stop.finding(), stage),
            },
            finding => walk.end(finding, stage),
        }
    }

    /// Goes on with a record that was made just now, or that is being made.
    pub async fn follow<C: Call + Send>(&self, work: &Work, found: Found, call: &mut C) -> Walked {
        let mut walk = Walk::new(self, work, found, call);
        match walk.awaited().await {
            Awaited::Nothing => walk.follow().await,
            awaited => walk.after_waiting(awaited).await,
        }
    }
}

impl<'r, C: Call + Send> Walk<'r, C> {
    pub(super) fn new(recipe: &'r Recipe, work: &'r Work, found: Found, call: &'r mut C) -> Self {
        let last = Last { health: Health::Unknown, status: None, excerpt: None };
        let (steps, turns) = (Vec::new(), Vec::new());
        Walk { recipe, work, call, found, steps, last, calls: 0, afresh: false, making: Making::Done, turns }
    }

    /// *Absent* where nobody can be asked.
    async fn find(&mut self) -> Finding {
        let recipe = self.recipe;
        let Some(step) = recipe.steps_for(&self.work.purpose).find(|step| step.kind == Kind::Find) else {
            return Finding::Absent;
        };
        let begun = Instant::now();
        let finding = self.find_with(step).await;
        self.note(step, self.calls, finding.as_str(), Some(finding.detail()), begun);
        finding
    }

    async fn find_with(&mut self, step: &Step) -> Finding {
        let context = self.context(None);
        let our_record = step.records.as_ref().expect("a find without records was refused");
        let reference = match our_record.is.render(&context) {
            Ok(reference) if !reference.is_empty() => reference,
            Ok(_) => return Finding::Unmet("our reference would be empty, which asks for everything".to_owned()),
            Err(problem) => return Finding::Unmet(problem.to_string()),
        };
        let wire = match self.ask(step, &context).await {
            Ok(wire) => wire,
            Err(why) => return why.finding(),
        };
        if let Wire::Answered(response) = &wire
            && step.says_absent(response.status)
        {
            return Finding::Absent;
        }
        match step.read(&wire, &self.recipe.rules, Guard::None, self.call.now()) {
            AttemptOutcome::Accepted(_) | AttemptOutcome::AlreadyApplied(_) => {}
            outcome => return Finding::Failed(outcome),
        }
        let Wire::Answered(response) = &wire else {
            return Finding::Failed(silent());
        };
        let failed = |problem: String| {
            let detail = format!("answered {}, but {problem}", http::read::named(response.status));
            Finding::Failed(AttemptOutcome::Unavailable { detail, wait: Wait::default() })
        };
        let body = match find::body(response) {
            Ok(body) => body,
            Err(problem) => return failed(problem),
        };
        let ours = Ours { reference: &reference, total: self.work.total.as_deref(), digest: &self.work.digest };
        match our_record.records.sight(&body, &ours) {
            Err(problem) => failed(problem),
            Ok(Sighting::Absent) => Finding::Absent,
            Ok(Sighting::Many { count, detail }) => Finding::Many { count, detail },
            Ok(Sighting::One { record, difference, .. }) => {
                let taken = step
                    .takes
                    .iter()
                    .filter_map(|take| Some((take.name.clone(), take.from(&response.headers, Some(record))?)));
                self.found.extend(taken);
                find::found(self.recipe.receipt(self.work, &self.found), difference)
            }
        }
    }

    /// Lookups and what has to be there.
    async fn prepare(&mut self) -> Result<(), Stop> {
        let recipe = self.recipe;
        let purpose = &self.work.purpose;
        for step in recipe.steps_for(purpose).filter(|step| matches!(step.kind, Kind::Lookup | Kind::Ensure)) {
            // A turn is named by what the step is done for, which may be missing where it is not done.
            if step.one_at_a_time.is_some() && step.applies(&self.context(None)).map_err(Stop::Unmet)? {
                self.take_turn(step).await?;
            }
            self.step(step).await?;
        }
        Ok(())
    }

    async fn take_turn(&mut self, step: &Step) -> Result<(), Stop> {
        let Some(template) = &step.one_at_a_time else { return Ok(()) };
        let name = template.render(&self.context(None)).map_err(|problem| Stop::Unmet(problem.to_string()))?;
        let turn = self.recipe.turn(format!("{}\n{name}", step.name));
        // Others are at the same destination and end in its time-outs.
        self.turns.push(turn.lock_owned().await);
        Ok(())
    }

    /// Goes on with a record that is there.
    async fn follow(mut self) -> Walked {
        self.making = Making::Done;
        let recipe = self.recipe;
        let receipt = recipe.receipt(self.work, &self.found);
        let purpose = &self.work.purpose;
        for step in recipe.steps_for(purpose).filter(|step| matches!(step.kind, Kind::Advance | Kind::Verify)) {
            if let Err(stop) = self.step(step).await {
                let name = receipt.0.as_deref().map(|number| format!(" as {number}")).unwrap_or_default();
                let said = |detail: String| format!("it is there{name}, but {}: {detail}", step.name);
                let finding = match stop {
                    Stop::Unmet(detail) => Finding::Stuck { receipt, detail: said(detail) },
                    Stop::Outcome(AttemptOutcome::Rejected(mut rejection)) => {
                        rejection.detail = said(rejection.detail);
                        Finding::Unfinished { receipt, outcome: AttemptOutcome::Rejected(rejection) }
                    }
                    Stop::Outcome(outcome) => Finding::Unfinished { receipt, outcome },
                };
                return self.end(finding, Stage::Made);
            }
            if step.kind == Kind::Verify
                && let Some(detail) = self.differs(step)
            {
                if let Some(seen) = self.steps.last_mut() {
                    (seen.outcome, seen.detail) = (DIFFERS, Some(detail.clone()));
                }
                if !recipe.accepts_differences {
                    return self.end(Finding::TotalsDiffer { receipt, detail }, Stage::Made);
                }
            }
        }
        let named = recipe.receipt(self.work, &self.found);
        self.end(Finding::Ours(if named.0.is_some() { named } else { receipt }), Stage::Made)
    }

    /// One step, once or for each of a list.
    pub(super) async fn step(&mut self, step: &Step) -> Result<(), Stop> {
        let begun = Instant::now();
        let before = self.calls;
        let done = self.do_step(step).await;
        let (outcome, detail) = match &done {
            Ok(false) => return Ok(()),
            Ok(true) => ("done", None),
            Err(Stop::Outcome(outcome)) => (outcome.as_str(), Some(outcome.detail())),
            Err(Stop::Unmet(detail)) => ("unmet", Some(detail.clone())),
        };
        self.note(step, self.calls - before, outcome, detail, begun);
        done.map(|_| ())
    }

    /// `false`: it did not apply.
    async fn do_step(&mut self, step: &Step) -> Result<bool, Stop> {
        let context = self.context(None);
        if !step.applies(&context).map_err(Stop::Unmet)? {
            return Ok(false);
        }
        if step.request.is_none() {
            return Ok(true);
        }
        let Some(each) = &step.each else {
            let taken = self.exchange(step, &context, None).await?;
            if step.kind == Kind::Verify {
                // What this answer does not say must not be compared from an earlier one.
                step.takes.iter().for_each(|take| drop(self.found.remove(&take.name)));
            }
            self.found.extend(taken);
            return Ok(true);
        };
        let items = each.value(&context).map_err(|problem| Stop::Unmet(problem.to_string()))?;
        let items = items.try_iter().map_err(|_| Stop::Unmet(format!("step {}: each is no list", step.name)))?;
        for item in items {
            let name = item.as_str().map_or_else(|| item.to_string(), str::to_owned);
            let context = self.context(Some(&item));
            let taken = self.exchange(step, &context, Some(&name)).await?;
            for (variable, value) in taken {
                let names_itself = step.is_keyed(&variable);
                let map = self.found.entry(variable).or_insert_with(|| serde_json::Value::Object(Found::new()));
                if let serde_json::Value::Object(map) = map {
                    match value {
                        serde_json::Value::Object(entries) if names_itself => map.extend(entries),
                        value => drop(map.insert(name.clone(), value)),
                    }
                }
            }
        }
        Ok(true)
    }

    /// One request and what it gives; from memory, where an earlier answer is still good. `item` is the name of what it is
    /// asked for, in a step that is done for each of a list.
    async fn exchange(&mut self, step: &Step, context: &Value, item: Option<&str>) -> Result<Found, Stop> {
        let now = self.call.now();
        let request = step.request.as_ref().expect("asked for by its caller");
        let request = request.render(&self.recipe.base, context).map_err(Stop::Unmet)?;
        let question = (step.name.clone(), request.digest);
        if !self.afresh
            && let Some(taken) = step.keep.and_then(|_| self.recipe.kept(&question, now))
        {
            return Ok(taken);
        }
        let wire = self.send(&request).await?;
        match step.read(&wire, &self.recipe.rules, Guard::None, now) {
            AttemptOutcome::Accepted(_) | AttemptOutcome::AlreadyApplied(_) => {}
            outcome => return Err(Stop::Outcome(outcome)),
        }
        let Wire::Answered(response) = &wire else { return Err(Stop::Outcome(silent())) };
        let taken = step.taken(response);
        let size = |found: &Found| serde_json::to_string(found).map_or(usize::MAX, |text| text.len());
        if size(&taken) + size(&self.found) > FOUND_BYTES_MAX {
            return Err(Stop::Unmet(format!(
                "step {} takes more than {FOUND_BYTES_MAX} bytes from answers",
                step.name
            )));
        }
        // What was not there may be there for the next order.
        if let Some(keep) = step.keep.filter(|_| step.is_answered(&taken, item)) {
            self.recipe.keep(question, later(now, keep), now, taken.clone());
        }
        Ok(taken)
    }

    pub(super) async fn ask(&mut self, step: &Step, context: &Value) -> Result<Wire, Stop> {
        let request = step.request.as_ref().expect("only a verify asks nothing");
        let request = request.render(&self.recipe.base, context).map_err(Stop::Unmet)?;
        self.send(&request).await
    }

    async fn send(&mut self, request: &SealedRequest) -> Result<Wire, Stop> {
        if self.calls == CALLS_MAX {
            return Err(Stop::Unmet(format!("it takes more than {CALLS_MAX} requests")));
        }
        let wire = match self.call.call(request).await {
            Ok(wire) => wire,
            Err(free_in) => {
                // The answer before it is not that of this attempt.
                (self.last.status, self.last.excerpt) = (None, None);
                return Err(Stop::Outcome(AttemptOutcome::Deferred { free_in }));
            }
        };
        self.calls += 1;
        self.last = Last { health: wire.health(), status: wire.status(), excerpt: wire.excerpt() };
        Ok(wire)
    }

    /// Both sides of what does not agree.
    fn differs(&self, step: &Step) -> Option<String> {
        let context = self.context(None);
        let amount = |template: &crate::templates::Template| {
            let text = template.render(&context).map_err(|problem| problem.to_string())?;
            decimal::parse(&text).map_err(|reason| format!("\"{text}\" is {reason}"))
        };
        let mut differences = Vec::new();
        for expect in &step.expect {
            let within = expect.within.as_ref().map_or(Ok(rust_decimal::Decimal::ZERO), amount);
            match (amount(&expect.there), amount(&expect.ours), within) {
                (Ok(there), Ok(ours), Ok(within)) if (there - ours).abs() <= within => {}
                (Ok(there), Ok(ours), Ok(_)) => {
                    differences.push(format!("{} there is {there}, ours is {ours}", expect.what));
                }
                (Err(problem), ..) | (_, Err(problem), _) | (.., Err(problem)) => {
                    differences.push(format!("{} cannot be compared: {problem}", expect.what));
                }
            }
        }
        (!differences.is_empty()).then(|| differences.join("; "))
    }

    fn context(&self, item: Option<&Value>) -> Value {
        self.recipe.context(self.work, &self.found, item)
    }

    fn note(&mut self, step: &Step, calls: usize, outcome: &'static str, detail: Option<String>, begun: Instant) {
        self.steps.push(StepSeen {
            name: step.name.clone(),
            kind: step.kind.as_str(),
            calls,
            status: if calls == 0 { None } else { self.last.status },
            outcome,
            detail,
            duration_us: micros(begun.elapsed()),
        });
    }

    fn end(self, finding: Finding, stage: Stage) -> Walked {
        let Last { health, status, excerpt } = self.last;
        Walked { finding, stage, making: self.making, found: self.found, steps: self.steps, health, status, excerpt }
    }
}

fn silent() -> AttemptOutcome {
    AttemptOutcome::Unavailable { detail: "there was no answer".to_owned(), wait: Wait::default() }
}

fn micros(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
}
