//! Editing one parked document: what it shall say instead, and why.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::Value;

use super::error::{ApiError, Kind, ProblemLine};
use super::exceptions::ReplayQuery;
use super::extract::{FromJson, FromPath, FromQuery};
use super::state::{Api, edit_seen_by};
use crate::access::Operator;
use crate::access::roles::{CanEditDocuments, CanRevealPersonalData, Needs};
use crate::envelope::ids::{DeliveryId, DocumentId};
use crate::exceptions::edit::{Content, EditError, Edited, Wanted};
use crate::observe::Event;

/// Body of an edit: single places, or the whole document.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EditBody {
    /// The document that was looked at.
    document_id: DocumentId,
    #[serde(default)]
    set: Vec<Place>,
    document: Option<Value>,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    dry_run: bool,
}

/// What shall stand at a place.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// JSON pointer.
    path: String,
    value: Value,
}

/// `POST /deliveries/{id}/edit`
pub async fn edit(
    operator: Operator<CanEditDocuments>,
    State(api): State<Api>,
    FromPath(id): FromPath<DeliveryId>,
    FromQuery(query): FromQuery<ReplayQuery>,
    FromJson(body): FromJson<EditBody>,
) -> Result<Json<Edited>, ApiError> {
    let content = match (body.document, body.set.is_empty()) {
        (Some(document), true) => Content::Whole(document),
        (None, false) => Content::Set(body.set.into_iter().map(|place| (place.path, place.value)).collect()),
        (Some(_), false) | (None, true) => {
            let finding = ProblemLine::new("/set", "say either what single places shall hold, or the whole document");
            return Err(ApiError::unprocessable("the document was not changed", vec![finding]));
        }
    };
    let sees_buyers = operator.caller().may(Needs::of::<CanRevealPersonalData>());
    let wanted = Wanted { document: body.document_id, content, sees_buyers };
    let dry_run = query.dry_run || body.dry_run;
    let mut act = operator.act("document.edit", id, api.clock.now());
    act.reason = body.reason;
    let actor = act.actor.clone();
    let edited = api.engines.edit(id, wanted, dry_run, act, operator.ticket().cloned()).await?;
    if !dry_run {
        let target = id.to_string();
        api.observer.note(&Event::OperatorActed { actor: &actor, action: "document.edit", target: &target });
        api.engines.wake();
    }
    Ok(Json(edit_seen_by(operator.caller(), edited)))
}

impl From<EditError> for ApiError {
    fn from(error: EditError) -> Self {
        let detail = error.to_string();
        match error {
            EditError::NotFound(id) => ApiError::not_found(id.to_string()),
            EditError::Stale(_) => ApiError::new(Kind::PreconditionFailed, detail),
            EditError::NotAllowed(why) => ApiError::new(Kind::Conflict, why),
            EditError::Refused(problems) => {
                let lines = problems.into_iter().map(|problem| ProblemLine::new(problem.path, problem.message));
                ApiError::unprocessable(detail, lines.collect())
            }
            EditError::Store(error) => error.into(),
        }
    }
}
