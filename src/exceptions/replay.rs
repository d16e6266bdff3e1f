//! Replay: a person fixed the cause and wants the record to go through, alone or with all that share the cause.
//!
//! Two kinds of exception, two ways. A record that could not be *processed* goes through [`crate::processor`] again. A
//! delivery that could not be *delivered* is rendered again: equal content goes out as the same sealed bytes under the
//! same key (KEY-4), changed content becomes the next generation (KEY-3 a), and neither happens while the last attempt
//! may have taken effect — then only a decision helps ([`crate::store::write::Verdict`]).

use std::sync::Arc;

use serde::Serialize;

use crate::clock::{SharedClock, Timestamp};
use crate::domain::mapping::Mappings;
use crate::envelope::ids::{BulkId, DeliveryId, EnvelopeId, ExceptionId};
use crate::envelope::keys::Digest;
use crate::processor::enqueue::{delivery, enqueue};
use crate::processor::step::Outcome;
use crate::processor::{Processor, Wake};
use crate::store::books::Keep;
use crate::store::bulk::Mark;
use crate::store::view::{DueDelivery, ExceptionRow, Paging, StoredEnvelope};
use crate::store::write::{Act, Decision, Edit, Replay, Reported, SealedRequest, Verdict};
use crate::store::{ExceptionFilter, SharedStore, StoreError};

/// What replaying needs.
#[derive(Clone)]
pub struct Desk {
    /// Where exceptions are kept.
    pub store: SharedStore,
    /// Processes again.
    pub processor: Arc<Processor>,
    /// Now.
    pub clock: SharedClock,
    /// Tells the delivery worker that something is due.
    pub wake: Wake,
    /// Renders under the configuration in force.
    pub render: Render,
}

/// The request a delivery would be sealed as now; `None` when its destination is not configured.
pub type Render = Arc<dyn Fn(&DueDelivery) -> Option<SealedRequest> + Send + Sync>;

/// Who asks, and why.
#[derive(Clone)]
pub struct Asked {
    /// `token:NAME`, `cli:USER`.
    pub actor: String,
    /// Given by the person, or empty.
    pub reason: String,
    /// From where.
    pub from: String,
    /// Makes the answer that is written down with the effect, for repeats of the call (API-2).
    pub keep: Option<KeepReplay>,
    /// The member of a bulk act that this is the turn of.
    pub member: Option<(BulkId, u32)>,
}

/// From what a replay came to, the answer to keep.
pub type KeepReplay = Arc<dyn Fn(&Replayed) -> Keep + Send + Sync>;

/// Why a replay was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// No such exception.
    #[error("exception {0} does not exist")]
    NotFound(ExceptionId),
    /// It is closed already.
    #[error("exception {id} is already {state}")]
    Closed {
        /// Which.
        id: ExceptionId,
        /// `resolved`, `superseded`.
        state: String,
    },
    /// The last attempt may have taken effect: replaying could do it twice.
    #[error(
        "delivery {0} may have taken effect at its destination; look there, then decide: `applied` if it is there, \
         `retry` if it is not"
    )]
    Undecided(DeliveryId),
    /// The exception names neither an envelope nor a delivery.
    #[error("exception {0} has nothing to replay; resolve its cause at the destination")]
    Nothing(ExceptionId),
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a replay came to, or would come to.
#[derive(Clone, Debug, Serialize)]
pub struct Replayed {
    /// The exception asked about.
    pub exception_id: ExceptionId,
    /// The envelope behind it.
    pub envelope_id: Option<EnvelopeId>,
    /// The delivery behind it, if the destination had refused it.
    pub delivery_id: Option<DeliveryId>,
    /// `released` (on its way), `still_parked` (with `problems`), `ignored` (no route wants it), `retried` (same bytes),
    /// `replaced` (new content under a new key).
    pub result: &'static str,
    /// In words.
    pub explanation: String,
    /// What still keeps it.
    pub problems: Vec<Problem>,
    /// The documents it makes now, for a preview; empty when carried out.
    pub documents: Vec<Preview>,
}

/// A remaining defect.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    /// From the catalogue.
    pub code: String,
    /// In the payload.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// A document as it would be sent.
#[derive(Clone, Debug, Serialize)]
pub struct Preview {
    /// For whom.
    pub destination: String,
    /// The canonical document.
    pub document: serde_json::Value,
}

/// What releasing a whole group came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct GroupReplayed {
    /// The cause.
    pub fingerprint: String,
    /// Now on their way (or of no interest to any route).
    pub released: u64,
    /// Parked again.
    pub still_parked: u64,
    /// Could not be replayed, with the reason.
    pub refused: Vec<String>,
}

/// Replays the record behind one exception.
///
/// # Errors
/// [`ReplayError`]; nothing has changed then.
pub async fn one(desk: &Desk, asked: &Asked, id: ExceptionId) -> Result<Replayed, ReplayError> {
    let exception = open_exception(desk, id).await?;
    let replayed = match (exception.delivery_id, exception.envelope_id) {
        (Some(delivery_id), _) => again_delivery(desk, asked, &exception, delivery_id, Way::CarryOut).await?,
        (None, Some(envelope_id)) => again_envelope(desk, asked, &exception, envelope_id, Way::CarryOut).await?,
        (None, None) => return Err(ReplayError::Nothing(id)),
    };
    (desk.wake)();
    Ok(replayed)
}

/// Whether it is done or only told.
#[derive(Clone, Copy)]
enum Way<'a> {
    CarryOut,
    /// Under these tables, or those in force.
    Preview(Option<&'a Arc<Mappings>>),
}

impl Way<'_> {
    fn outcome(self, desk: &Desk, envelope: &StoredEnvelope) -> Outcome {
        match self {
            Way::CarryOut | Way::Preview(None) => desk.processor.preview(envelope),
            Way::Preview(Some(supposed)) => desk.processor.preview_with(envelope, supposed),
        }
    }
}

/// What [`one`] would come to, under the mapping tables in force or under others; writes nothing.
///
/// # Errors
/// As [`one`].
pub async fn preview(desk: &Desk, id: ExceptionId, supposed: Option<&Arc<Mappings>>) -> Result<Replayed, ReplayError> {
    let way = Way::Preview(supposed);
    let exception = open_exception(desk, id).await?;
    let nobody = Asked { actor: String::new(), reason: String::new(), from: String::new(), keep: None, member: None };
    match (exception.delivery_id, exception.envelope_id) {
        (Some(delivery_id), _) => again_delivery(desk, &nobody, &exception, delivery_id, way).await,
        (None, Some(envelope_id)) => again_envelope(desk, &nobody, &exception, envelope_id, way).await,
        (None, None) => Err(ReplayError::Nothing(id)),
    }
}

/// Replays every open exception with this cause, oldest first. One that is refused does not stop the others.
///
/// # Errors
/// When the store cannot be read.
pub async fn group(desk: &Desk, asked: &Asked, fingerprint: &str) -> Result<GroupReplayed, ReplayError> {
    let mut sum = GroupReplayed { fingerprint: fingerprint.to_owned(), ..GroupReplayed::default() };
    let mut ids = Vec::new();
    let mut paging = Paging { limit: 200, cursor: None };
    loop {
        let filter = ExceptionFilter { fingerprint: Some(fingerprint.to_owned()), ..ExceptionFilter::default() };
        let page = desk.store.exceptions(filter, paging.clone()).await?;
        ids.extend(page.items.iter().map(|row| row.id));
        match page.next_cursor {
            Some(cursor) => paging.cursor = Some(cursor),
            None => break,
        }
    }
    // Lists are newest first; a lane's records must go in their order.
    for id in ids.into_iter().rev() {
        match one(desk, asked, id).await {
            Ok(replayed) if replayed.result == "still_parked" => sum.still_parked += 1,
            Ok(_) => sum.released += 1,
            // Another record's replay in this very loop may have closed it.
            Err(ReplayError::Closed { .. }) => {}
            Err(error) => sum.refused.push(format!("{id}: {error}")),
        }
    }
    Ok(sum)
}

async fn open_exception(desk: &Desk, id: ExceptionId) -> Result<ExceptionRow, ReplayError> {
    let exception = desk.store.exception(id).await?.ok_or(ReplayError::NotFound(id))?;
    if exception.is_waiting() { Ok(exception) } else { Err(ReplayError::Closed { id, state: exception.state }) }
}

async fn again_envelope(
    desk: &Desk,
    asked: &Asked,
    exception: &ExceptionRow,
    envelope_id: EnvelopeId,
    way: Way<'_>,
) -> Result<Replayed, ReplayError> {
    let envelope = stored(desk, exception, envelope_id).await?;
    let outcome = way.outcome(desk, &envelope);
    let mut replayed = describe(exception, &outcome);
    if let Way::CarryOut = way {
        let rules = desk.processor.rules();
        let enqueued = enqueue(outcome, &envelope.subject, &desk.processor.stamp(&rules));
        replayed.documents.clear();
        let act = act(desk, asked, exception, &replayed);
        desk.store.replay(Replay { envelope: envelope_id, conclusion: enqueued.conclusion, act }).await?;
    }
    Ok(replayed)
}

async fn again_delivery(
    desk: &Desk,
    asked: &Asked,
    exception: &ExceptionRow,
    delivery_id: DeliveryId,
    way: Way<'_>,
) -> Result<Replayed, ReplayError> {
    let (envelope_id, parked) =
        desk.store.delivery_origin(delivery_id).await?.ok_or(ReplayError::Nothing(exception.id))?;
    if parked.uncertain {
        return Err(ReplayError::Undecided(delivery_id));
    }
    let envelope = stored(desk, exception, envelope_id).await?;
    let mut outcome = way.outcome(desk, &envelope);
    let reported = narrow(&mut outcome, &parked);
    outcome.parked.retain(|defect| defect.destination.as_ref().is_none_or(|name| *name == parked.destination));
    let mut replayed = describe(exception, &outcome);
    replayed.delivery_id = Some(delivery_id);
    if replayed.result == "released" && outcome.documents.is_empty() {
        // Other destinations still want it, this one no longer.
        replayed.result = "ignored";
        replayed.explanation =
            format!("No route sends this to {} any more. {}", parked.destination, replayed.explanation);
    }
    if replayed.result != "released" {
        // Still a defect of the record, or no longer wanted there: the delivery stays as it is.
        if let (Way::CarryOut, Some(mark)) = (way, mark(asked, &replayed)) {
            desk.store.mark_member(mark, desk.clock.now()).await?;
        }
        return Ok(replayed);
    }
    let verdict = verdict(desk, &envelope, (&parked, reported), outcome, &mut replayed);
    if replayed.result == "replaced"
        && let Some(edited) = edited(desk, &parked).await?
    {
        replayed.explanation =
            format!("What {} edited is replaced by what the event makes. {}", edited.by, replayed.explanation);
    }
    if let Way::CarryOut = way {
        replayed.documents.clear();
        let act = act(desk, asked, exception, &replayed);
        desk.store.decide(Decision { delivery: delivery_id, verdict, act }).await?;
    }
    Ok(replayed)
}

/// Only what the parked delivery is about: the document of its purpose for its destination.
fn narrow(outcome: &mut Outcome, parked: &DueDelivery) -> Option<Reported> {
    let report = outcome.reports.iter_mut().find(|report| report.destination == parked.destination);
    let reported = report.map(|report| {
        let cancellation = report.cancellation.take().filter(|cancelled| cancelled.made.purpose == parked.purpose);
        let cancelled = cancellation.as_ref().map(|cancelled| cancelled.content);
        outcome.documents.extend(report.change.take().into_iter().chain(cancellation.map(|cancelled| cancelled.made)));
        Reported { revision: report.revision, cancelled }
    });
    outcome.documents.retain(|made| made.destination == parked.destination && made.purpose == parked.purpose);
    if !outcome.documents.is_empty() {
        // A route that no longer takes the order as it is may well take its change.
        outcome.ignored = None;
    }
    reported
}

/// The same bytes again, or a successor when the content changed (KEY-3 a).
fn verdict(
    desk: &Desk,
    envelope: &StoredEnvelope,
    (parked, reported): (&DueDelivery, Option<Reported>),
    mut outcome: Outcome,
    replayed: &mut Replayed,
) -> Verdict {
    let made = outcome.documents.pop().expect("`released` means that there is a document for the destination");
    // KEY-7: a second record is no correction of the first.
    if parked.progress.is_there() {
        replayed.result = "retried";
        "it is at the destination already: what is left to do there is gone on with; what shall be different there is a change"
            .clone_into(&mut replayed.explanation);
        return Verdict::Retry { due_at: desk.clock.now() };
    }
    if Digest::of(&made.body) == Digest::of(&parked.document) && !goes_elsewhere(desk, parked) {
        replayed.result = "retried";
        return Verdict::Retry { due_at: desk.clock.now() };
    }
    replayed.result = "replaced";
    let rules = desk.processor.rules();
    let stamp = desk.processor.stamp(&rules);
    let (document, delivery, _) = delivery(made, reported, &envelope.subject, parked.generation + 1, &stamp);
    Verdict::Replace { document, delivery }
}

/// Whose edit the document of a delivery is, if it is one.
async fn edited(desk: &Desk, parked: &DueDelivery) -> Result<Option<Edit>, StoreError> {
    Ok(desk.store.document(parked.document_id).await?.and_then(|document| document.edited))
}

/// Whether the sealed request names another place than the destination's configuration does now. The sealed one would
/// go where it was refused for ever: an operator corrected the URL, and nothing was applied under the old one.
fn goes_elsewhere(desk: &Desk, parked: &DueDelivery) -> bool {
    let Some(sealed) = &parked.sealed else { return false };
    (desk.render)(parked).is_some_and(|now| (now.method, now.url) != (sealed.method.clone(), sealed.url.clone()))
}

async fn stored(desk: &Desk, exception: &ExceptionRow, id: EnvelopeId) -> Result<StoredEnvelope, ReplayError> {
    desk.store.envelope(id).await?.ok_or(ReplayError::Nothing(exception.id))
}

fn describe(exception: &ExceptionRow, outcome: &Outcome) -> Replayed {
    let result = match (outcome.parked.is_empty(), &outcome.ignored) {
        (false, _) => "still_parked",
        (true, Some(_)) => "ignored",
        (true, None) => "released",
    };
    Replayed {
        exception_id: exception.id,
        envelope_id: exception.envelope_id,
        delivery_id: exception.delivery_id,
        result,
        explanation: outcome.ignored.clone().unwrap_or_else(|| outcome.explanation.clone()),
        problems: outcome
            .parked
            .iter()
            .map(|parked| Problem {
                code: parked.defect.code.as_str().to_owned(),
                path: parked.defect.path.clone(),
                message: parked.defect.message.clone(),
                remedy: parked.defect.remedy.clone(),
            })
            .collect(),
        documents: outcome
            .documents
            .iter()
            .map(|made| Preview {
                destination: made.destination.clone(),
                document: serde_json::from_slice(&made.body).expect("a document is JSON"),
            })
            .collect(),
    }
}

fn act(desk: &Desk, asked: &Asked, exception: &ExceptionRow, replayed: &Replayed) -> Act {
    let at: Timestamp = desk.clock.now();
    Act {
        actor: asked.actor.clone(),
        action: "exception.replay".to_owned(),
        target: exception.id.to_string(),
        before: serde_json::json!({ "code": exception.code, "state": exception.state }).to_string(),
        after: serde_json::json!({ "result": replayed.result }).to_string(),
        reason: asked.reason.clone(),
        from: asked.from.clone(),
        at,
        keep: asked.keep.as_ref().map(|keep| keep(replayed)),
        member: mark(asked, replayed),
    }
}

fn mark(asked: &Asked, replayed: &Replayed) -> Option<Mark> {
    let (bulk, number) = asked.member?;
    let (result, explanation) = (Some(replayed.result.to_owned()), replayed.explanation.clone());
    Some(Mark { bulk, number, result, explanation, made: None })
}
