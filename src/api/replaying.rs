//! A replay as the API and the command show it: what came of it or, on a dry run, what would change.

use std::sync::Arc;

use serde_json::Value;

use super::state::{ExpansionProblem, Preview, Replayed};
use crate::domain::mapping::{MappingRow, Mappings, Table};
use crate::envelope::ids::ExceptionId;
use crate::exceptions::diff::changes;
use crate::exceptions::replay::{self, Asked, Desk, KeepReplay, ReplayError};
use crate::store::StoreError;
use crate::store::books::{KeptAnswer, Shown, Ticket};
use crate::store::write::Act;

/// Replays the record behind an exception, or shows what that would come to.
///
/// # Errors
/// [`StoreError::NotFound`] and [`StoreError::NotAllowed`] say why this record cannot be replayed.
pub async fn replay(
    desk: &Desk,
    id: ExceptionId,
    dry_run: bool,
    act: Act,
    ticket: Option<Ticket>,
) -> Result<Replayed, StoreError> {
    let keep = ticket.map(keep);
    let asked = Asked { actor: act.actor, reason: act.reason, from: act.from, keep, member: None };
    if dry_run {
        return preview(desk, id, None).await;
    }
    let replayed = replay::one(desk, &asked, id).await.map_err(refused)?;
    Ok(shown(&replayed, false))
}

/// What a replay would come to, with the documents beside those made before; writes nothing.
///
/// # Errors
/// As [`replay()`].
pub async fn preview(desk: &Desk, id: ExceptionId, supposed: Option<&Arc<Mappings>>) -> Result<Replayed, StoreError> {
    let mut without_documents = replay::preview(desk, id, supposed).await.map_err(refused)?;
    let previews = std::mem::take(&mut without_documents.documents);
    let mut documents = Vec::with_capacity(previews.len());
    for preview in previews {
        let before = document_before(desk, id, &preview.destination).await?;
        let total = |document: &Value| document.pointer("/totals/grand_total")?.as_str().map(str::to_owned);
        documents.push(Preview {
            known_before: before.is_some(),
            total_before: before.as_ref().and_then(total),
            total_after: total(&preview.document),
            changes: before.map(|before| changes(&before, &preview.document)).unwrap_or_default(),
            destination: preview.destination,
            document: preview.document,
        });
    }
    Ok(Replayed { documents, ..shown(&without_documents, true) })
}

/// What replays would come to, each for itself, with one more mapping row if one is given.
///
/// # Errors
/// When the store cannot be read; a record that cannot be replayed says so in its place.
pub async fn previews(
    desk: &Desk,
    ids: Vec<ExceptionId>,
    supposing: Option<(Table, MappingRow)>,
) -> Result<Vec<(ExceptionId, Result<Replayed, String>)>, StoreError> {
    let supposed = supposing.map(|(table, row)| Arc::new(desk.processor.rules().mappings.with(table, row)));
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        match preview(desk, id, supposed.as_ref()).await {
            Ok(replayed) => found.push((id, Ok(replayed))),
            Err(StoreError::NotAllowed(why)) => found.push((id, Err(why))),
            Err(StoreError::NotFound(what)) => found.push((id, Err(format!("{what} does not exist")))),
            Err(error) => return Err(error),
        }
        // A large group must not keep a small machine from everything else.
        tokio::task::yield_now().await;
    }
    Ok(found)
}

/// The answer as it is written down with the effect: a replay that is carried out shows no documents.
fn keep(ticket: Ticket) -> KeepReplay {
    Arc::new(move |replayed| {
        let answer = KeptAnswer::json(&shown(replayed, false));
        ticket.keep(Shown::Kept, Arc::new(move |_| answer.clone()))
    })
}

fn shown(replayed: &replay::Replayed, dry_run: bool) -> Replayed {
    Replayed {
        exception_id: replayed.exception_id,
        envelope_id: replayed.envelope_id,
        delivery_id: replayed.delivery_id,
        dry_run,
        result: replayed.result.to_owned(),
        explanation: replayed.explanation.clone(),
        problems: replayed.problems.iter().map(problem).collect(),
        documents: Vec::new(),
    }
}

fn problem(problem: &replay::Problem) -> ExpansionProblem {
    let replay::Problem { code, path, message, remedy } = problem.clone();
    ExpansionProblem { code, path, message, remedy }
}

fn refused(error: ReplayError) -> StoreError {
    match error {
        ReplayError::NotFound(id) => StoreError::NotFound(id.to_string()),
        ReplayError::Store(error) => error,
        ReplayError::Closed { .. } | ReplayError::Undecided(_) | ReplayError::Nothing(_) => {
            StoreError::NotAllowed(error.to_string())
        }
    }
}

/// The newest document that was made for this destination of the order behind the exception.
async fn document_before(desk: &Desk, id: ExceptionId, destination: &str) -> Result<Option<Value>, StoreError> {
    let Some(exception) = desk.store.exception(id).await? else { return Ok(None) };
    let subject = exception.subject;
    let orders = desk.store.order(subject.increment_id).await?;
    let order = orders
        .into_iter()
        .find(|detail| detail.order.system == subject.system && detail.order.store_id == subject.store_id);
    let made = order.into_iter().flat_map(|order| order.documents).rfind(|made| made.destination == destination);
    let Some(made) = made else { return Ok(None) };
    Ok(desk.store.document(made.id).await?.and_then(|document| document.body))
}
