//! Edit: a person changes the words of one document that its destination refused, and it goes again.
//!
//! What can be put right for all records alike is put right at its cause (a mapping, Commerce itself) and replayed. An
//! edit is for the one record that has no cause to repair: a postcode the ERP does not take, a name that is too long.
//! [`rules`] say which places may change, [`reread`] reads the edited document back as what it claims to be, and the five
//! laws are checked against the order behind it by the functions that every document passes. The delivery is then replaced
//! exactly as a replay after a changed mapping replaces it ([`Verdict::Replace`], KEY-3 a): never while the last attempt
//! may have taken effect (KEY-5), never after it did (KEY-7).
//!
//! The edit lives in its document alone: whatever is made of the event later, by a replay or a newer report, does not know
//! of it.

pub mod reread;
pub mod rules;

use serde::Serialize;
use serde_json::Value;

use super::diff::{self, Change};
use super::replay::Desk;
use crate::access::mask;
use crate::domain::conserve;
use crate::domain::order::Order;
use crate::domain::policy::EditPolicy;
use crate::envelope::ids::{DeliveryId, DocumentId, EnvelopeId};
use crate::envelope::keys::{IdempotencyKey, KeyParts};
use crate::processor::bounds::LINES_MAX;
use crate::store::StoreError;
use crate::store::books::Keep;
use crate::store::pack::pack;
use crate::store::view::{DueDelivery, StoredEnvelope};
use crate::store::write::{Act, Decision, Edit, NewDelivery, NewDocument, Verdict};
use reread::Reread;

/// Places that an audit row names; an edit of more says how many there were.
const PLACES_TOLD: usize = 50;

/// Longest reason, in characters.
pub const REASON_MAX: usize = 2_000;

/// Characters of a place, and of what is wrong there, that an answer tells.
const PROBLEM_CHARS: usize = 400;

/// How much larger than its original an edited document may be, in bytes.
const GROWTH_MAX: usize = 256 * 1024;

/// What a person wants of a document.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The document that was looked at: an edit of another one is not carried out.
    pub document: DocumentId,
    /// What it shall say.
    pub content: Content,
    /// The person may see who the buyer is. Others can neither change what they may not see nor find out about it.
    pub sees_buyers: bool,
}

/// New content.
#[derive(Clone, Debug)]
pub enum Content {
    /// These places shall hold these values; everything else stays.
    Set(Vec<(String, Value)>),
    /// The whole document. What is masked where it is shown masked stays as it is.
    Whole(Value),
}

/// What an edit came to, or would come to.
#[derive(Clone, Debug, Serialize)]
pub struct Edited {
    /// The delivery that was parked; it ends as superseded.
    pub delivery_id: DeliveryId,
    /// What takes its place; `null` on a dry run.
    pub new_delivery_id: Option<DeliveryId>,
    /// The document it started from.
    pub original_id: DocumentId,
    /// The edited document; `null` on a dry run.
    pub document_id: Option<DocumentId>,
    /// For whom it is.
    pub destination: String,
    /// Nothing was written.
    pub dry_run: bool,
    /// In words: what becomes of it, and what would undo it.
    pub explanation: String,
    /// The places that change, as JSON pointers.
    pub places: Vec<String>,
    /// What stands there before and after; empty when carried out, since the answer is kept.
    pub changes: Vec<Change>,
}

/// Something that is wrong with an edited document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// JSON pointer into the document; empty for the whole.
    pub path: String,
    /// What is wrong there, with figures and never with a buyer's words.
    pub message: String,
}

impl Problem {
    /// At a place. What a person made up is told shortened.
    pub fn new(path: impl AsRef<str>, message: impl AsRef<str>) -> Self {
        let short = |text: &str| text.chars().take(PROBLEM_CHARS).collect();
        Problem { path: short(path.as_ref()), message: short(message.as_ref()) }
    }
}

/// Why an edit was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// No such delivery.
    #[error("{0} does not exist")]
    NotFound(DeliveryId),
    /// The delivery sends another document by now.
    #[error("the delivery has another document now, {0}: look at that one, then edit it")]
    Stale(DocumentId),
    /// The state of the delivery, or a policy, does not allow it; in words, with what does.
    #[error("{0}")]
    NotAllowed(String),
    /// The content cannot be used.
    #[error("the document was not changed")]
    Refused(Vec<Problem>),
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How an answer is kept with the effect (API-2).
pub type KeepEdited<'k> = &'k (dyn Fn(&Edited) -> Keep + Send + Sync);

/// What an edit would come to; writes nothing.
///
/// # Errors
/// [`EditError`].
pub async fn preview(desk: &Desk, id: DeliveryId, wanted: &Wanted) -> Result<Edited, EditError> {
    let (draft, _) = draft(desk, id, wanted).await?;
    Ok(draft.told)
}

/// Edits the document of a parked delivery and sends it in the place of what was refused.
///
/// # Errors
/// [`EditError`]; nothing has changed then.
pub async fn edit(
    desk: &Desk,
    id: DeliveryId,
    wanted: &Wanted,
    act: Act,
    keep: Option<KeepEdited<'_>>,
) -> Result<Edited, EditError> {
    let reason = reason(&act.reason)?;
    let (draft, parked) = draft(desk, id, wanted).await?;
    let (document, delivery) = successor(desk, &parked, &draft, &act, reason);
    let told = Edited {
        new_delivery_id: Some(delivery.id),
        document_id: Some(document.id),
        dry_run: false,
        changes: Vec::new(),
        ..draft.told
    };
    let places = &told.places[..told.places.len().min(PLACES_TOLD)];
    // The words themselves are in the documents, where they are encrypted and erased with their buyer (DAT-1).
    let act = Act {
        before: serde_json::json!({ "document": told.original_id }).to_string(),
        after: serde_json::json!({
            "document": document.id, "delivery": delivery.id, "places": places, "changed": told.places.len(),
        })
        .to_string(),
        keep: keep.map(|keep| keep(&told)),
        ..act
    };
    desk.store.decide(Decision { delivery: id, verdict: Verdict::Replace { document, delivery }, act }).await?;
    (desk.wake)();
    Ok(told)
}

fn reason(given: &str) -> Result<String, EditError> {
    let given = given.trim();
    let problem = match given.chars().count() {
        0 => "say why it is edited: the document carries the reason",
        1..=REASON_MAX => return Ok(given.to_owned()),
        _ => "the reason is longer than 2000 characters",
    };
    Err(EditError::Refused(vec![Problem::new("/reason", problem)]))
}

/// An edited document that stands every test.
struct Draft {
    told: Edited,
    body: Vec<u8>,
    schema: &'static str,
}

async fn draft(desk: &Desk, id: DeliveryId, wanted: &Wanted) -> Result<(Draft, DueDelivery), EditError> {
    let state = desk.store.delivery(id).await?.ok_or(EditError::NotFound(id))?.delivery.state;
    let (envelope, parked) = desk.store.delivery_origin(id).await?.ok_or(EditError::NotFound(id))?;
    may_be_replaced(&parked, &state).map_err(EditError::NotAllowed)?;
    let policy = desk.processor.rules().policies_for(&parked.destination).edit;
    if policy == EditPolicy::Off {
        return Err(EditError::NotAllowed(format!(
            "documents for {} are not edited here (policy edit = \"off\"): put the cause right and replay the exception",
            parked.destination
        )));
    }
    if wanted.document != parked.document_id {
        return Err(EditError::Stale(parked.document_id));
    }
    let envelope = stored(desk, envelope).await?;
    // A document may be large, and reading it back is work: not on a thread that serves others.
    let (desk, wanted) = (desk.clone(), wanted.clone());
    let drafting = move || changed(&desk, &envelope, &parked, policy, &wanted).map(|draft| (draft, parked));
    match tokio::task::spawn_blocking(drafting).await {
        Ok(drafted) => drafted.map_err(EditError::Refused),
        Err(broken) if broken.is_panic() => std::panic::resume_unwind(broken.into_panic()),
        Err(_) => Err(StoreError::Stopped.into()),
    }
}

async fn stored(desk: &Desk, id: EnvelopeId) -> Result<StoredEnvelope, EditError> {
    let gone = || EditError::NotAllowed("the event behind it is no longer kept: its laws cannot be checked".to_owned());
    desk.store.envelope(id).await?.ok_or_else(gone)
}

/// What sealed bytes may be given up for others: KEY-3 a, KEY-5 and KEY-7 in words. The store asks again in its transaction.
fn may_be_replaced(parked: &DueDelivery, state: &str) -> Result<(), String> {
    let id = parked.id;
    if state == "delivered" || parked.progress.is_there() {
        return Err(format!(
            "{id} is at its destination: what shall be different there is a change of the order in Commerce, or a deliberate \
             second effect (resend)"
        ));
    }
    if parked.uncertain {
        return Err(format!(
            "{id} may have taken effect at its destination, so its bytes stay as they are; look there, then decide: \
             `applied` if it is there, `retry` if it is not"
        ));
    }
    match state {
        "parked" => Ok(()),
        "waiting" | "in_flight" => Err(format!(
            "{id} is on its way: only what waits for a person is edited. Hold the destination if it must not go out"
        )),
        state => Err(format!("{id} is {state}: it is never sent, so there is nothing to edit")),
    }
}

/// The edited document, or everything that is wrong with it.
fn changed(
    desk: &Desk,
    envelope: &StoredEnvelope,
    parked: &DueDelivery,
    policy: EditPolicy,
    wanted: &Wanted,
) -> Result<Draft, Vec<Problem>> {
    let unreadable =
        |_| vec![Problem::new("", "the document as it stands is not one that this version makes: replay it")];
    let before: Value = serde_json::from_slice(&parked.document).map_err(unreadable)?;
    let peeking = if wanted.sees_buyers { Vec::new() } else { rules::peeking(&before, &wanted.content) };
    if !peeking.is_empty() {
        return Err(peeking);
    }
    let after = rules::applied(&before, &wanted.content)?;
    let changes = diff::changes(&before, &after);
    if changes.is_empty() {
        return Err(vec![Problem::new("", "nothing would change")]);
    }
    let asked = rules::Asked { policy, kind: &parked.document_kind };
    let problems = rules::problems(&asked, &after, &changes);
    if !problems.is_empty() {
        return Err(problems);
    }
    let lawful = desk.processor.order_behind(envelope, &parked.destination);
    let (order, rounding_max) = lawful.map_err(|defects| {
        let words = defects.first().map(ToString::to_string).unwrap_or_default();
        vec![Problem::new("", format!("the event behind it cannot be read as an order any more ({words})"))]
    })?;
    let read = reread::document(&after, rounding_max)?;
    let body = read.written();
    if body.len() > parked.document.len() + GROWTH_MAX {
        return Err(vec![Problem::new("", format!("the document would grow by more than {GROWTH_MAX} bytes"))]);
    }
    let spelt = serde_json::from_slice(&body).expect("what was written is JSON");
    let misspelt = diff::changes(&after, &spelt);
    if !misspelt.is_empty() {
        let spelling = "this is not how the document spells it: decimals are texts, money has its currency's digits";
        return Err(misspelt.into_iter().take(20).map(|change| Problem::new(change.path, spelling)).collect());
    }
    lawful_still(&order, &read)?;
    let told = Edited {
        delivery_id: parked.id,
        new_delivery_id: None,
        original_id: parked.document_id,
        document_id: None,
        destination: parked.destination.clone(),
        dry_run: true,
        explanation: format!(
            "{} was not applied: the edited document takes its place under a new key (generation {}). The edit is in this \
             document alone: a replay of its event, or a newer report of the order before it is sent, is made from the event \
             and replaces it.",
            parked.id,
            parked.generation + 1
        ),
        places: changes.iter().map(|change| change.path.clone()).collect(),
        changes,
    };
    Ok(Draft { told, body, schema: read.schema() })
}

/// The five laws, by the functions that every document passes on its way out.
fn lawful_still(order: &Order, read: &Reread) -> Result<(), Vec<Problem>> {
    let Reread::Order(document) = read else { return Ok(()) };
    if document.lines.len() > LINES_MAX {
        return Err(vec![Problem::new("/lines", format!("there are more than {LINES_MAX} lines"))]);
    }
    let broken = conserve::check(order, document);
    if broken.is_empty() {
        return Ok(());
    }
    let told = broken.into_iter().map(|broken| Problem::new("", format!("law {}: {}", broken.law, broken.message)));
    Err(told.collect())
}

/// The same effect under the next generation's key (KEY-3 a), with the new words.
fn successor(
    desk: &Desk,
    parked: &DueDelivery,
    draft: &Draft,
    act: &Act,
    reason: String,
) -> (NewDocument, NewDelivery) {
    let rules = desk.processor.rules();
    let stamp = desk.processor.stamp(&rules);
    let generation = parked.generation + 1;
    let subject = &parked.subject;
    let key = IdempotencyKey::derive(&KeyParts {
        installation: stamp.installation,
        destination: &parked.destination,
        system: &subject.system,
        subject_kind: &subject.kind,
        subject_scope: &subject.scope,
        subject_id: &subject.id,
        purpose: &parked.purpose,
        revision: &parked.revision,
        generation,
    });
    let document = NewDocument {
        id: DocumentId::new(stamp.now, stamp.entropy),
        kind: parked.document_kind.clone(),
        schema: draft.schema.to_owned(),
        destination: parked.destination.clone(),
        body: pack(&draft.body),
        mappings_version: stamp.mappings_version,
        edit: Some(Edit { original: parked.document_id, by: act.actor.clone(), reason }),
    };
    let delivery = NewDelivery {
        id: DeliveryId::new(stamp.now, stamp.entropy),
        key,
        destination: parked.destination.clone(),
        document: document.id,
        purpose: parked.purpose.clone(),
        revision: parked.revision.clone(),
        generation,
        due_at: stamp.now,
        // What it says of its order, and whether it overtakes, the store takes from its predecessor.
        overtakes: false,
        report: None,
        express: None,
    };
    (document, delivery)
}

/// A masked document with what hides behind the masks where nothing was written in their place.
pub(crate) fn unmasked(before: &Value, masked: &Value, given: Value) -> Value {
    if given == *masked {
        return before.clone();
    }
    match (before, masked, given) {
        (Value::Object(before), Value::Object(masked), Value::Object(given)) => {
            let member = |(name, value): (String, Value)| {
                let value = match (before.get(&name), masked.get(&name)) {
                    (Some(before), Some(masked)) => unmasked(before, masked, value),
                    _ => value,
                };
                (name, value)
            };
            Value::Object(given.into_iter().map(member).collect())
        }
        (Value::Array(before), Value::Array(masked), Value::Array(given)) if before.len() == masked.len() => {
            let element = |(index, value)| match (before.get(index), masked.get(index)) {
                (Some(before), Some(masked)) => unmasked(before, masked, value),
                _ => value,
            };
            Value::Array(given.into_iter().enumerate().map(element).collect())
        }
        (_, _, given) => given,
    }
}

/// A document as everybody sees it.
pub(crate) fn masked(document: &Value) -> Value {
    let mut masked = document.clone();
    mask::document(&mut masked);
    masked
}
