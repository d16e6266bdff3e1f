//! What the handlers work with, and what they ask of the engines.

use std::fmt;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use super::error::ProblemLine;
use super::idempotency::KeptAnswers;
use crate::access::Tokens;
use crate::clock::{SharedClock, SharedEntropy, Timestamp};
use crate::envelope::ids::{EnvelopeId, ExceptionId};
use crate::observe::{Health, Observer};
use crate::store::write::Act;
use crate::store::{Answer, SharedStore};

/// The state of every handler; cheap to clone.
#[derive(Clone)]
pub struct Api(Arc<Parts>);

/// What [`Api`] is made of.
pub struct Parts {
    /// Reads and operators' acts.
    pub store: SharedStore,
    /// Now.
    pub clock: SharedClock,
    /// Ids and secrets.
    pub entropy: SharedEntropy,
    /// Who calls.
    pub tokens: Tokens,
    /// Work that is not reading.
    pub engines: Arc<dyn Engines>,
    /// Logs and counts.
    pub observer: Arc<Observer>,
    /// Live and ready.
    pub health: Arc<Health>,
    /// Version of the configuration in force.
    pub config_version: String,
    /// Where the store's file lies, for the free space of its disk.
    pub store_path: Option<PathBuf>,
    /// Answers given under an `Idempotency-Key`.
    pub kept: KeptAnswers,
}

impl Api {
    /// Ready to serve.
    pub fn new(parts: Parts) -> Self {
        Api(Arc::new(parts))
    }
}

impl Deref for Api {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Api").finish_non_exhaustive()
    }
}

/// What the API asks of the rooms that do the work; `app` implements it.
pub trait Engines: Send + Sync + 'static {
    /// Orders in, sales orders out; touches nothing. `Err` when the body as a whole cannot be read.
    fn expand(&self, body: &Bytes, destination: Option<&str>) -> Result<Expansions, ProblemLine>;

    /// Processes the record behind an exception again; with `dry_run` only says what would come of it. Refuses with
    /// `NotFound` and `NotAllowed`.
    fn replay(&self, exception: ExceptionId, dry_run: bool, act: Act) -> Answer<'_, Replayed>;

    /// Every configured destination, in the order of the configuration.
    fn destinations(&self) -> Vec<DestinationView>;

    /// Opens a destination that is held or paused; `false` when there is none of that name.
    fn release_destination(&self, name: &str) -> bool;

    /// The mapping tables changed: read them now rather than at the next look.
    fn mappings_changed(&self) -> Answer<'_, ()>;

    /// A delivery may be due.
    fn wake(&self);
}

/// What became of the orders of one body.
#[derive(Clone, Debug)]
pub struct Expansions {
    /// The body was a list, even if of one: the answer is a list too.
    pub list: bool,
    /// One an order, in the order sent.
    pub orders: Vec<Expansion>,
}

/// What became of one order.
#[derive(Clone, Debug, Serialize)]
pub struct Expansion {
    /// The canonical document; `null` when it cannot be made.
    pub sales_order: Option<Value>,
    /// The document's warnings.
    pub warnings: Vec<Value>,
    /// Why there is no document.
    pub problems: Vec<ExpansionProblem>,
}

/// A defect as the caller sees it.
#[derive(Clone, Debug, Serialize)]
pub struct ExpansionProblem {
    /// From the catalogue.
    pub code: String,
    /// Where in the body.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// What came, or would come, of a replay.
#[derive(Clone, Debug, Serialize)]
pub struct Replayed {
    /// The exception.
    pub exception_id: ExceptionId,
    /// The event processed again.
    pub envelope_id: EnvelopeId,
    /// Nothing was written.
    pub dry_run: bool,
    /// `routed`, `parked`, `ignored`.
    pub outcome: String,
    /// In a sentence.
    pub words: String,
    /// What would be sent, against what was made before.
    pub documents: Vec<DocumentChange>,
    /// What still stands in the way.
    pub exceptions: Vec<ExpansionProblem>,
}

/// A document before and after a replay.
#[derive(Clone, Debug, Serialize)]
pub struct DocumentChange {
    /// For whom.
    pub destination: String,
    /// There was one before.
    pub existed: bool,
    /// What differs; empty when nothing does or there was none.
    pub changes: Vec<Change>,
}

/// One differing value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// JSON pointer.
    pub path: String,
    /// `null` when it was not there.
    pub before: Value,
    /// `null` when it is gone.
    pub after: Value,
}

/// A destination as operators see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DestinationView {
    /// Configured name.
    pub name: String,
    /// `http`, …
    pub profile: String,
    /// `open`, `half_open`, `broken`, `paused`, `held`.
    pub state: String,
    /// Why it is not open, in words.
    pub reason: Option<String>,
    /// When it opens by itself.
    pub until: Option<Timestamp>,
    /// Attempts on the wire.
    pub in_flight: u64,
    /// Most attempts at a time.
    pub concurrency: u64,
}
