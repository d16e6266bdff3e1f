//! What the handlers work with, and what they ask of the engines.

use std::fmt;
use std::ops::Deref;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use super::error::ProblemLine;
use super::idempotency::RunningCalls;
use crate::access::caller::Caller;
use crate::access::roles::{CanRevealPersonalData, Needs};
use crate::access::{Access, mask};
use crate::alerting::Alerting;
use crate::catalogue::Shelf;
use crate::clock::{SharedClock, SharedEntropy, Timestamp};
use crate::destinations::recipe::rehearse::Rehearsed;
use crate::destinations::recipe::tried::{NotTried, Speech, Tried};
use crate::domain::defect::Warning;
use crate::domain::due::DueTimes;
use crate::domain::mapping::{MappingRow, Table};
use crate::domain::sales_order::SalesOrder;
use crate::envelope::ids::{DeliveryId, EnvelopeId, ExceptionId};
use crate::exceptions::bulk;
use crate::exceptions::diff::Change;
use crate::exceptions::edit::{EditError, Edited, Wanted};
use crate::intake::heard::{OfKind, OfReason};
use crate::observe::{Health, Observer};
use crate::oidc::Provider;
use crate::store::books::Ticket;
use crate::store::view::DeliveryDetail;
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
    pub access: Arc<Access>,
    /// Who vouches for people beside us.
    pub provider: Option<Provider>,
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
    /// By when a person should have seen to an exception.
    pub due: DueTimes,
    /// How acts on many records go.
    pub bulk: bulk::Settings,
    /// Calls under an `Idempotency-Key` that are running now.
    pub running: RunningCalls,
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

/// An edit on its way.
pub type Editing<'a> = Pin<Box<dyn Future<Output = Result<Edited, EditError>> + Send + 'a>>;

/// What the API asks of the rooms that do the work; `app` implements it.
pub trait Engines: Send + Sync + 'static {
    /// Orders in, sales orders out; touches nothing. `Err` when the body as a whole cannot be read.
    fn expand(&self, body: &Bytes, destination: Option<&str>) -> Result<Expansions, ProblemLine>;

    /// Processes the record behind an exception again; with `dry_run` only says what would come of it. Refuses with
    /// `NotFound` and `NotAllowed`. With a ticket the answer is kept in the transaction of the effect.
    fn replay(&self, exception: ExceptionId, dry_run: bool, act: Act, ticket: Option<Ticket>) -> Answer<'_, Replayed>;

    /// Edits the document of a parked delivery; with `dry_run` only says what would come of it. With a ticket the answer is
    /// kept in the transaction of the effect.
    fn edit(
        &self,
        delivery: DeliveryId,
        wanted: Wanted,
        dry_run: bool,
        act: Act,
        ticket: Option<Ticket>,
    ) -> Editing<'_>;

    /// What replays of these would come to, each for itself or why not, with one more mapping row if one is given; writes
    /// nothing.
    fn previews(
        &self,
        exceptions: Vec<ExceptionId>,
        supposing: Option<(Table, MappingRow)>,
    ) -> Answer<'_, Vec<(ExceptionId, Result<Replayed, String>)>>;

    /// Every configured destination, in the order of the configuration.
    fn destinations(&self) -> Vec<DestinationView>;

    /// How a destination is spoken to; `None` where it is sent our documents as they stand, or is not there.
    fn speech(&self, destination: &str) -> Option<Speech>;

    /// What a destination would be asked of a document, with one template in other words if some are given; touches nothing.
    fn try_out(&self, destination: &str, document: &[u8], tried: Option<&Tried>) -> Result<Vec<Rehearsed>, NotTried>;

    /// Every configured origin, with who was heard by it, in the order of their names.
    fn origins(&self) -> Vec<OriginView>;

    /// Tries an origin's way in and what is registered for it; `None` when there is none of that name.
    fn check_origin(&self, name: String) -> Answer<'_, Option<Vec<Checked>>>;

    /// Stops sending to a destination until a person lets it go; `false` when there is none of that name.
    fn hold_destination(&self, name: &str, reason: &str) -> bool;

    /// Opens a destination that is held or paused; `false` when there is none of that name.
    fn release_destination(&self, name: &str) -> bool;

    /// The mapping tables changed: read them now rather than at the next look.
    fn mappings_changed(&self) -> Answer<'_, ()>;

    /// A delivery may be due.
    fn wake(&self);

    /// Who is told when something is wrong.
    fn alerting(&self) -> Option<&Alerting> {
        None
    }

    /// What is kept of Commerce's catalogues.
    fn shelf(&self) -> Option<&Shelf>;
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
    pub sales_order: Option<Box<SalesOrder>>,
    /// The document's warnings.
    pub warnings: Vec<Warning>,
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
    /// The event behind it.
    pub envelope_id: Option<EnvelopeId>,
    /// The delivery behind it, if a destination had refused it.
    pub delivery_id: Option<DeliveryId>,
    /// Nothing was written.
    pub dry_run: bool,
    /// `released` (on its way), `still_parked` (with `problems`), `ignored` (no route wants it), `retried` (the same
    /// bytes again), `replaced` (new content under a new key).
    pub result: String,
    /// In words.
    pub explanation: String,
    /// What still keeps it.
    pub problems: Vec<ExpansionProblem>,
    /// What would be sent, on a dry run, and how it differs from what was made before.
    pub documents: Vec<Preview>,
}

/// A document as it would be sent.
#[derive(Clone, Debug, Serialize)]
pub struct Preview {
    /// For whom.
    pub destination: String,
    /// The canonical document.
    pub document: Value,
    /// A document was made before: `changes` compares with the newest of them.
    pub known_before: bool,
    /// Its grand total.
    pub total_before: Option<String>,
    /// The grand total now.
    pub total_after: Option<String>,
    /// What differs from the document made before; empty when there was none.
    pub changes: Vec<Change>,
}

impl Preview {
    /// Without what tells who the buyer is, unless the caller may see that.
    pub(super) fn seen_by(mut self, caller: &Caller) -> Preview {
        if caller.may(Needs::of::<CanRevealPersonalData>()) {
            return self;
        }
        mask::document(&mut self.document);
        hide(&mut self.changes);
        self
    }
}

fn hide(changes: &mut [Change]) {
    for change in changes.iter_mut().filter(|change| mask::is_personal(&change.path)) {
        mask::side_of_change(&mut change.before);
        mask::side_of_change(&mut change.after);
    }
}

/// An edit without what tells who the buyer is, unless the caller may see that.
pub(super) fn edit_seen_by(caller: &Caller, mut edited: Edited) -> Edited {
    if !caller.may(Needs::of::<CanRevealPersonalData>()) {
        hide(&mut edited.changes);
    }
    edited
}

impl Replayed {
    /// As [`Preview::seen_by`].
    pub(super) fn seen_by(mut self, caller: &Caller) -> Replayed {
        self.documents = self.documents.into_iter().map(|preview| preview.seen_by(caller)).collect();
        self
    }
}

/// A delivery without what its destination answered, unless the caller may see who buyers are: it may say so.
pub(super) fn delivery_seen_by(caller: &Caller, mut detail: DeliveryDetail) -> DeliveryDetail {
    if !caller.may(Needs::of::<CanRevealPersonalData>()) {
        detail.attempts_made.iter_mut().for_each(|attempt| attempt.response = None);
    }
    detail
}

/// An origin as operators see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OriginView {
    /// How it is configured.
    #[serde(flatten)]
    pub door: Door,
    /// From when on it is counted.
    pub counted_since: Timestamp,
    /// When it sent something that we took, or know.
    pub last_at: Option<Timestamp>,
    /// When Adobe last challenged a registration with this address.
    pub challenged_at: Option<Timestamp>,
    /// What came of it, by kind of record.
    pub kinds: Vec<KindHeard>,
    /// Requests that were refused, by reason; the last first.
    pub refused: Vec<ReasonHeard>,
}

/// A way in as it is configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Door {
    /// Configured name.
    pub name: String,
    /// `commerce-webhook`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// The Commerce instance.
    pub commerce: String,
    /// Where it sends; from `/in/` on where `server.public_url` is not set.
    pub address: String,
    /// How callers prove who they are, in words, without secrets; each of them will do.
    pub verified_by: Vec<String>,
    /// What each of those puts into the headers, in words, without secrets.
    pub headers: Vec<String>,
}

/// What came of one kind of record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KindHeard {
    /// `order`, …; `unknown` where that could not be told.
    pub kind: String,
    /// With the last time and its event.
    #[serde(flatten)]
    pub heard: OfKind,
}

/// Requests that were refused for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReasonHeard {
    /// `missing`, `malformed`, `stale`, `wrong`, `recipient`, `doubled`; or what is not about who sends.
    pub reason: String,
    /// How many, and the last time.
    #[serde(flatten)]
    pub heard: OfReason,
    /// What helps.
    pub remedy: &'static str,
}

/// One thing that was looked at in a check of an origin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// `ok`, `note`, `untried`, `unknown`, `missing`, `differs`, `failed`.
    pub verdict: &'static str,
    /// `reachable`, `guarded`, `credentials`, `registration`, …
    pub what: &'static str,
    /// What was found, in a sentence.
    pub detail: String,
}

/// A destination as operators see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DestinationView {
    /// Configured name.
    pub name: String,
    /// `http`, …
    pub profile: String,
    /// `open`, `half_open`, `broken`, `paused`, `closed`, `held`.
    pub state: String,
    /// Why it is not open, in words.
    pub reason: Option<String>,
    /// When it opens by itself.
    pub until: Option<Timestamp>,
    /// Attempts on the wire.
    pub in_flight: u64,
    /// Most attempts at a time.
    pub concurrency: u64,
    /// The account whose limits it shares with others, if it has one.
    pub account: Option<String>,
    /// The destination that every order reaches first: what is about one waits while something of it is open there.
    pub after: Option<String>,
}
