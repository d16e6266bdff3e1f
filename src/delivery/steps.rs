//! Deliveries that take several steps at their destination: asked, prepared, gone on with.
//!
//! The attempt protocol stays as it is. A look may get what making the record needs; the send is the one request that was
//! sealed; what follows belongs to the attempt that found or made the record, and is a look's business when it fails.

use std::sync::atomic::{AtomicU64, Ordering};

use super::gate::Gate;
use super::sending::{self, Errand};
use super::worker::Engine;
use crate::clock::Timestamp;
use crate::destinations::profile::RecipeProfile;
use crate::destinations::recipe::{self, Call, Found, Start, Walked, Work};
use crate::destinations::{Finding, Wire};
use crate::store::view::DueDelivery;
use crate::store::write::{Progress, Rung, SealedRequest, Stage};

/// What a delivery of several steps needs beside its request.
pub(super) struct Steps {
    work: Work,
    found: Found,
    stage: Stage,
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
        Ok(Some(Steps {
            work: Work::new(&due.purpose, &due.document, &due.key)?,
            found: recipe::found(&due.progress.found),
            stage: due.progress.stage,
            prepare: to_prepare(gate, due) && !doubted,
            afresh: due.ladder.rung == Rung::Asked,
        }))
    }
}

/// Whether something has to be asked before the delivery can be written in its destination's words.
pub(super) fn to_prepare(gate: &Gate, due: &DueDelivery) -> bool {
    due.sealed.is_none() && due.progress.stage == Stage::Open && gate.destination.prepares(&due.purpose)
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
}

impl Call for Door<'_> {
    async fn call(&mut self, request: &SealedRequest) -> Wire {
        let (version, extra) = sending::extra(self.gate, self.errand, self.number);
        self.version.store(version, Ordering::Relaxed);
        self.gate.destination.send(request, extra).await
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
    let mut door = Door { engine, gate, errand, number, version: AtomicU64::new(0) };
    let Steps { work, found, stage, prepare, afresh } = steps;
    let start = Start { found: found.clone(), stage: *stage, prepare: *prepare, afresh: *afresh };
    let walked = profile.recipe.look(work, start, &mut door).await;
    told(gate, errand, profile, walked, door.version.into_inner())
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
    let mut door = Door { engine, gate, errand, number, version: AtomicU64::new(0) };
    let walked = profile.recipe.follow(&steps.work, found, &mut door).await;
    Some(told(gate, errand, profile, walked, door.version.into_inner()))
}

fn told(gate: &Gate, errand: &Errand, profile: &RecipeProfile, mut walked: Walked, version: u64) -> Told {
    if profile.accepts_differences
        && let Finding::TotalsDiffer { receipt, detail } = &walked.finding
    {
        tracing::warn!(delivery.id = %errand.delivery, destination = gate.name(), difference = %detail, "amounts differ at the destination");
        walked.finding = Finding::Ours(receipt.clone());
    }
    let found =
        if walked.found.is_empty() { String::new() } else { serde_json::to_string(&walked.found).unwrap_or_default() };
    let steps = if walked.steps.is_empty() { None } else { serde_json::to_string(&walked.steps).ok() };
    Told { progress: Progress { stage: walked.stage, found }, steps, version, walked }
}
