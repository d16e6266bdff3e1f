//! Documents: the canonical JSON that was made for a destination.
//!
//! Who the buyer is stands in it, and is not shown: [`reveal`] is how somebody who may asks for the whole, with a reason that the
//! audit keeps.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::error::ApiError;
use super::extract::{FromJson, FromPath};
use super::state::Api;
use crate::access::roles::{CanRead, CanRevealPersonalData};
use crate::access::{Operator, mask};
use crate::envelope::ids::DocumentId;
use crate::observe::Event;
use crate::store::view::DocumentRow;

/// A document, whole or without what tells who the buyer is.
#[derive(Debug, Serialize)]
pub struct DocumentView {
    #[serde(flatten)]
    document: DocumentRow,
    /// Something was left out.
    masked: bool,
}

/// Body of a reveal.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevealBody {
    reason: String,
}

/// `GET /documents/{id}`
pub async fn show(
    _operator: Operator<CanRead>,
    State(api): State<Api>,
    FromPath(id): FromPath<DocumentId>,
) -> Result<Json<DocumentView>, ApiError> {
    let mut document = found(&api, id).await?;
    let masked = document.body.as_mut().is_some_and(mask::document);
    Ok(Json(DocumentView { document, masked }))
}

/// `POST /documents/{id}/reveal`
pub async fn reveal(
    operator: Operator<CanRevealPersonalData>,
    State(api): State<Api>,
    FromPath(id): FromPath<DocumentId>,
    FromJson(body): FromJson<RevealBody>,
) -> Result<Json<DocumentView>, ApiError> {
    let document = found(&api, id).await?;
    let reason = body.reason.trim();
    if reason.is_empty() {
        return Err(ApiError::bad_request("say why the buyer's details are needed: the audit log keeps the reason"));
    }
    let mut act = operator.act("personal_data.reveal", id, api.clock.now());
    reason.clone_into(&mut act.reason);
    let actor = act.actor.clone();
    // Written down before it is shown.
    api.store.record(act).await?;
    api.observer.note(&Event::OperatorActed { actor: &actor, action: "personal_data.reveal", target: &id.to_string() });
    Ok(Json(DocumentView { document, masked: false }))
}

async fn found(api: &Api, id: DocumentId) -> Result<DocumentRow, ApiError> {
    api.store.document(id).await?.ok_or_else(|| ApiError::not_found(id.to_string()))
}
