//! Records that are made later: the system takes the request, names a job, and is asked until the job has ended.
//!
//! The answer to the create says that it was taken, not that it was done. Until the find shows the record the job is what is
//! known of it: it runs, it has ended, it made nothing, or nobody there knows it. What no rule of the step knows says nothing.

use std::time::Instant;

use super::{Finding, Making, Stage, Walk, Walked};
use crate::clock::Timestamp;
use crate::destinations::Guard;
use crate::destinations::http::read;
use crate::destinations::outcome::{AttemptOutcome, Mark, Rejection, Wait, Wire};
use crate::destinations::recipe::rules::{Meaning, Rule};
use crate::destinations::recipe::said::Kind;
use crate::destinations::recipe::step::Step;

use super::Call;

/// What a system says of its job.
#[derive(Debug)]
pub(super) enum Awaited {
    /// No job is known.
    Nothing,
    /// It is under way.
    Running { detail: String, wait: Wait },
    /// It is over, and the record should be there.
    Ended,
    /// It is over, and nothing was made.
    NotMade(Rejection),
    /// The system does not know it any more.
    Forgotten(String),
    /// It could not be asked, or the answer says nothing.
    Failed(AttemptOutcome),
}

impl<C: Call + Send> Walk<'_, C> {
    /// Asks how far the job is: one question after the other, until one says that it is not over.
    pub(super) async fn awaited(&mut self) -> Awaited {
        let recipe = self.recipe;
        let mut any = false;
        for step in recipe.steps_for(&self.work.purpose).filter(|step| step.kind == Kind::Await) {
            match step.applies(&self.context(None)) {
                Ok(true) => any = true,
                Ok(false) => continue,
                Err(problem) => return Awaited::Failed(cannot_ask(problem)),
            }
            let (begun, before) = (Instant::now(), self.calls);
            let awaited = self.ask_job(step).await;
            let (outcome, detail) = awaited.words();
            self.note(step, self.calls - before, outcome, detail, begun);
            if !matches!(awaited, Awaited::Ended) {
                return awaited.named(&step.name);
            }
        }
        if any { Awaited::Ended } else { Awaited::Nothing }
    }

    async fn ask_job(&mut self, step: &Step) -> Awaited {
        let context = self.context(None);
        let wire = match self.ask(step, &context).await {
            Ok(wire) => wire,
            Err(super::Stop::Outcome(outcome)) => return Awaited::Failed(outcome),
            Err(super::Stop::Unmet(problem)) => return Awaited::Failed(cannot_ask(problem)),
        };
        let awaited = read_job(step, &wire, &self.recipe.rules, self.call.now());
        if let (Awaited::Ended, Wire::Answered(response)) = (&awaited, &wire) {
            self.found.extend(step.taken(response));
        }
        awaited
    }

    /// Goes on from what the system said of its job.
    pub(super) async fn after_waiting(mut self, awaited: Awaited) -> Walked {
        let (finding, making) = match awaited {
            Awaited::Running { detail, wait } => (Finding::Making { detail, wait }, Making::Awaited),
            Awaited::NotMade(rejection) => (Finding::NotMade(rejection), Making::Spent),
            Awaited::Forgotten(detail) => (Finding::Forgotten { detail }, Making::Spent),
            Awaited::Failed(outcome) => (Finding::Unseen { outcome }, Making::Awaited),
            Awaited::Nothing | Awaited::Ended => match self.find().await {
                Finding::Ours(_) => return self.follow().await,
                Finding::Absent => {
                    let detail = "what was to make it has ended, and asking for it finds nothing now".to_owned();
                    let outcome = AttemptOutcome::Unavailable { detail, wait: Wait::default() };
                    (Finding::Unseen { outcome }, Making::Awaited)
                }
                finding => (unseen(finding), Making::Awaited),
            },
        };
        self.making = making;
        self.end(finding, Stage::Made)
    }
}

/// A look that failed where it is not known whether the record was made: what that leaves is doubt.
pub(super) fn unseen(finding: Finding) -> Finding {
    match finding {
        Finding::Failed(outcome) => Finding::Unseen { outcome },
        Finding::Unmet(problem) => Finding::Unseen { outcome: cannot_ask(problem) },
        finding => finding,
    }
}

fn cannot_ask(detail: String) -> AttemptOutcome {
    AttemptOutcome::Rejected(Rejection { mark: Mark::Unmet, status: None, detail })
}

/// Only the step's own rules speak of the job; those of the whole recipe speak of the asking.
fn read_job(step: &Step, wire: &Wire, common: &[Rule], now: Timestamp) -> Awaited {
    let outcome = step.read(wire, common, Guard::None, now);
    let Wire::Answered(response) = wire else { return Awaited::Failed(outcome) };
    match (step.own_meaning(response), outcome) {
        (Some(Meaning::Done | Meaning::AlreadyDone), _) => Awaited::Ended,
        (Some(Meaning::Transient), AttemptOutcome::Unavailable { detail, wait }) => Awaited::Running { detail, wait },
        (Some(Meaning::Permanent), AttemptOutcome::Rejected(rejection)) => Awaited::NotMade(rejection),
        (Some(Meaning::Uncertain), outcome) => Awaited::Forgotten(outcome.detail()),
        (None, outcome) if matches!(response.status, 404 | 410) => Awaited::Forgotten(outcome.detail()),
        (None, AttemptOutcome::Accepted(_) | AttemptOutcome::AlreadyApplied(_)) => {
            let detail = format!(
                "answered {}, which says neither that it runs nor that it is over",
                read::named(response.status)
            );
            Awaited::Failed(AttemptOutcome::Unavailable { detail, wait: Wait::default() })
        }
        (_, outcome) => Awaited::Failed(outcome),
    }
}

impl Awaited {
    /// The word for the record of the step, and its sentence.
    fn words(&self) -> (&'static str, Option<String>) {
        match self {
            Awaited::Nothing | Awaited::Ended => ("done", None),
            Awaited::Running { detail, .. } => ("running", Some(detail.clone())),
            Awaited::NotMade(rejection) => ("rejected", Some(rejection.detail.clone())),
            Awaited::Forgotten(detail) => ("forgotten", Some(detail.clone())),
            Awaited::Failed(outcome) => (outcome.as_str(), Some(outcome.detail())),
        }
    }

    /// With the step's name in what a person reads.
    fn named(self, step: &str) -> Awaited {
        let said = |detail: String| format!("{step}: {detail}");
        match self {
            Awaited::Running { detail, wait } => Awaited::Running { detail: said(detail), wait },
            Awaited::NotMade(rejection) => {
                let detail = format!("it was taken there, and nothing was made: {}", said(rejection.detail));
                Awaited::NotMade(Rejection { detail, ..rejection })
            }
            Awaited::Forgotten(detail) => Awaited::Forgotten(said(detail)),
            other => other,
        }
    }
}
