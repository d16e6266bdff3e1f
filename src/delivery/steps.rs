//! Deliveries that take several steps at their destination: asked, prepared, gone on with.
//!
//! The attempt protocol stays as it is. A look may get what making the record needs; the send is the one request that was
//! sealed; what follows belongs to the attempt that found or made the record, and is a look's business when it fails.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::gate::Gate;
use super::machine::{Ahead, DeliveryEvent};
use super::sending::{self, Errand, Report};
use super::worker::Engine;
use crate::clock::Timestamp;
use crate::destinations::profile::RecipeProfile;
use crate::destinations::recipe::{self, Call, Found, Start, Walked, Work};
use crate::destinations::{AttemptOutcome, CredentialUse, Finding, Health, Wire};
use crate::store::view::DueDelivery;
use crate::store::write::{AttemptSeen, Making, Progress, Rung, SealedRequest, Stage};

/// What a delivery of several steps needs beside its request.
pub(super) struct Steps {
    work: Work,
    found: Found,
    stage: Stage,
    making: Making,
    /// Where it is not there, what making it needs is asked.
    prepare: bool,
    /// A person had something put right: nothing is answered from memory.
    afresh: bool,
}

impl Steps {
    /// Of a delivery whose turn it is; `None`: one request is all.
    ///
    /// # Errors
    /// The document cannot be read.
    pub(super) fn of(gate: &Gate, due: &DueDelivery) -> Result<Option<Steps>, String> {
        if gate.destination.recipe().is_none() {
            return Ok(None);
        }
        let doubted = due.uncertain && due.ladder.rung != Rung::Asked
            || matches!(due.ladder.rung, Rung::Doubt | Rung::Restored | Rung::Exists | Rung::StaleKey);
        // Where nobody can be asked there is nothing to wait for before it is prepared.
        let settles_doubt = doubted && gate.destination.looks_for(&due.purpose);
        let (stage, making, afresh) = (due.progress.stage, due.progress.making, due.ladder.rung == Rung::Asked);
        let found = if afresh && stage != Stage::Made { Found::new() } else { recipe::found(&due.progress.found) };
        let prepare = ahead(gate, due) == Ahead::Prepare && !settles_doubt;
        let work = Work::new(&due.purpose, &due.document, &due.key)?;
        Ok(Some(Steps { work, found, stage, making, prepare, afresh }))
    }
}

impl Steps {
    /// What the record is called where it is answered among others.
    pub(super) fn name(&self, profile: &RecipeProfile) -> Result<String, String> {
        profile.recipe.name_of(&self.work)
    }
}

/// What its steps leave to do.
pub(super) fn ahead(gate: &Gate, due: &DueDelivery) -> Ahead {
    // A person had something put right, so what was found before is not believed any more.
    let prepared = due.progress.stage == Stage::Prepared && due.ladder.rung != Rung::Asked;
    if due.progress.stage == Stage::Made {
        ahead_of_made(due)
    } else if !prepared && due.sealed.is_none() && gate.destination.prepares(&due.purpose) {
        Ahead::Prepare
    } else {
        Ahead::Nothing
    }
}

/// The same of what was made there, or taken there to be made.
pub(super) fn ahead_of_made(due: &DueDelivery) -> Ahead {
    match due.progress.making {
        Making::Done => Ahead::Finish,
        Making::Spent if due.ladder.rung == Rung::Asked => Ahead::Renew,
        Making::Awaited | Making::Spent => Ahead::Await,
    }
}

/// What several steps came to.
pub(super) struct Told {
    pub(super) walked: Walked,
    pub(super) progress: Progress,
    pub(super) steps: Option<String>,
    /// The credential that the last request showed.
    pub(super) version: u64,
}

/// The way to the destination for the requests of one attempt.
struct Door<'a> {
    engine: &'a Engine,
    gate: &'a Gate,
    errand: &'a Errand,
    number: u32,
    version: AtomicU64,
    /// The next request is paid for.
    paid: bool,
}

impl Call for Door<'_> {
    async fn call(&mut self, request: &SealedRequest) -> Result<Wire, Duration> {
        if !std::mem::take(&mut self.paid) {
            self.gate.another().await?;
        }
        let marks = sending::Marks::of(self.errand, self.number);
        let (version, extra) = sending::extra(self.engine, self.gate, &marks, request).await;
        self.version.store(version, Ordering::Relaxed);
        Ok(match extra {
            Ok(extra) => self.gate.destination.send(request, extra).await,
            Err(wire) => wire,
        })
    }

    fn now(&self) -> Timestamp {
        self.engine.clock.now()
    }
}

/// Looks whether it is there and goes on from what is found.
pub(super) async fn look(
    engine: &Engine,
    gate: &Gate,
    errand: &Errand,
    profile: &RecipeProfile,
    steps: &Steps,
    number: u32,
) -> Told {
    let mut door = Door { engine, gate, errand, number, version: AtomicU64::new(0), paid: true };
    let Steps { work, found, stage, making, prepare, afresh } = steps;
    let start = Start { found: found.clone(), stage: *stage, making: *making, prepare: *prepare, afresh: *afresh };
    let walked = profile.recipe.look(work, start, &mut door).await;
    told(gate, errand, walked, door.version.into_inner())
}

/// Goes on with what was made just now; `None`: there is nothing more to do.
pub(super) async fn go_on(
    engine: &Engine,
    gate: &Gate,
    errand: &Errand,
    steps: &Steps,
    wire: &Wire,
    number: u32,
) -> Option<Told> {
    let profile = gate.destination.recipe()?;
    let now = engine.clock.now();
    let (_, taken) = profile.recipe.read_create(&errand.purpose, wire, gate.destination.guard(), now);
    let mut found = steps.found.clone();
    found.extend(taken);
    let mut door = Door { engine, gate, errand, number, version: AtomicU64::new(0), paid: false };
    let mut walked = profile.recipe.follow(&steps.work, found, &mut door).await;
    if walked.health == Health::Unknown {
        // Nothing more was asked: what there is to say is what the create was answered.
        walked.health = wire.health();
        (walked.status, walked.excerpt) = (wire.status(), wire.excerpt());
    }
    Some(told(gate, errand, walked, door.version.into_inner()))
}

fn told(gate: &Gate, errand: &Errand, walked: Walked, version: u64) -> Told {
    for difference in walked.differences() {
        tracing::warn!(delivery.id = %errand.delivery, destination = gate.name(), %difference, "amounts differ at the destination");
    }
    let found =
        if walked.found.is_empty() { String::new() } else { serde_json::to_string(&walked.found).unwrap_or_default() };
    let steps = if walked.steps.is_empty() { None } else { serde_json::to_string(&walked.steps).ok() };
    Told { progress: Progress { stage: walked.stage, making: walked.making, found }, steps, version, walked }
}

/// What several steps came to.
pub(super) fn report(engine: &Engine, gate: &Gate, told: Told, elapsed: Duration) -> Report {
    let Told { walked, progress, steps, version } = told;
    let outcome = match &walked.finding {
        Finding::Failed(outcome) | Finding::Unfinished { outcome, .. } | Finding::Unseen { outcome } => Some(outcome),
        _ => None,
    };
    if outcome.is_some_and(AttemptOutcome::retry_after_ignored) {
        engine.events.retry_after_ignored(gate.name());
    }
    let credential = outcome.map_or(CredentialUse::First, |outcome| sending::judged(gate, outcome, version));
    let seen = AttemptSeen {
        outcome: walked.finding.as_str().to_owned(),
        status: walked.status,
        detail: walked.finding.detail(),
        response: walked.excerpt,
        duration_us: Some(sending::micros(elapsed)),
        steps,
    };
    let event = DeliveryEvent::Looked { finding: walked.finding, health: walked.health, credential };
    Report { event, seen, elapsed, progress: Some(progress), late: None }
}
