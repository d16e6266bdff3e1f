//! A deliberate second effect (KEY-3 c): a person wants a destination to do again what it did, or what was given up.
//!
//! The ERP lost the order, or somebody deleted it there: nothing that Crossdock does by itself will ever send it again,
//! since its key says that it was done. The second effect has a key of its own and the purpose `resend`; no guard that
//! knows records by their reference can tell it from the first, so in doubt it is a person's.

use crate::clock::Entropy;
use crate::envelope::ids::DeliveryId;
use crate::envelope::keys::{IdempotencyKey, KeyParts};
use crate::store::bulk::Mark;
use crate::store::view::{DueDelivery, Paging};
use crate::store::write::{Act, NewDelivery, Resend};
use crate::store::{DeliveryFilter, Store, StoreError};

/// The purpose of a second effect.
pub const PURPOSE: &str = "resend";

/// Sends a final delivery a second time; the new delivery's id. `confirm` must repeat the number of what it is about.
///
/// # Errors
/// [`StoreError::NotFound`], and [`StoreError::NotAllowed`] with the reason: no reason given, another number confirmed,
/// or the original (or an earlier second effect of it) is still open.
pub async fn resend(
    store: &dyn Store,
    entropy: &dyn Entropy,
    id: DeliveryId,
    confirm: &str,
    act: Act,
) -> Result<DeliveryId, StoreError> {
    let (_, original) = store.delivery_origin(id).await?.ok_or_else(|| StoreError::NotFound(id.to_string()))?;
    if act.reason.trim().is_empty() {
        return Err(StoreError::NotAllowed("a second effect needs a reason: it is kept for ever".to_owned()));
    }
    if confirm != original.subject.id {
        return Err(StoreError::NotAllowed(format!(
            "{id} is about {}: confirm that number to send it a second time",
            original.subject.id
        )));
    }
    let generation = next_generation(store, &original).await?;
    let delivery = again(store, entropy, &original, generation, &act);
    let new = delivery.id;
    let after = serde_json::json!({ "delivery": new, "generation": generation }).to_string();
    let member = act.member.map(|mark| Mark { made: Some(new), ..mark });
    let act = Act { after, member, ..act };
    store.resend(Resend { original: id, delivery, act }).await?;
    Ok(new)
}

fn again(store: &dyn Store, entropy: &dyn Entropy, original: &DueDelivery, generation: u32, act: &Act) -> NewDelivery {
    let subject = &original.subject;
    // What it repeats tells one second effect on an order from another; a second one of a second one is of the first.
    let revision = match (original.purpose.as_str(), original.revision.as_str()) {
        (PURPOSE, revision) => revision.to_owned(),
        (purpose, "") => purpose.to_owned(),
        (purpose, revision) => format!("{purpose} {revision}"),
    };
    let key = IdempotencyKey::derive(&KeyParts {
        installation: store.installation_id(),
        destination: &original.destination,
        system: &subject.system,
        subject_kind: &subject.kind,
        subject_scope: &subject.scope,
        subject_id: &subject.id,
        purpose: PURPOSE,
        revision: &revision,
        generation,
    });
    NewDelivery {
        id: DeliveryId::new(act.at, entropy),
        key,
        destination: original.destination.clone(),
        document: original.document_id,
        purpose: PURPOSE.to_owned(),
        revision,
        generation,
        due_at: act.at,
        overtakes: false,
        report: None,
        express: None,
    }
}

/// One more than any second effect on the subject has; two people at once meet the unique key.
async fn next_generation(store: &dyn Store, original: &DueDelivery) -> Result<u32, StoreError> {
    let filter = DeliveryFilter {
        destination: Some(original.destination.clone()),
        subject_id: Some(original.subject.id.clone()),
        ..DeliveryFilter::default()
    };
    let (mut highest, mut cursor) = (0, None);
    loop {
        let page = store.deliveries(filter.clone(), Paging { limit: 200, cursor }).await?;
        let earlier = page.items.iter().filter(|row| row.purpose == PURPOSE).map(|row| row.generation);
        highest = earlier.fold(highest, u32::max);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(highest + 1);
        }
    }
}
