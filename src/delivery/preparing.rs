//! What the next attempt of a delivery is: the request to write down and the errand to run. Nothing is sent here.

use super::gate::Gate;
use super::machine::{self, InFlight, Turn, Withheld};
use super::sending::{self, Errand, Identity, Plan};
use super::steps::{self, Steps};
use super::worker::Engine;
use crate::clock::Timestamp;
use crate::destinations::http::render;
use crate::store::view::DueDelivery;
use crate::store::write::{AttemptPurpose, AttemptStart, Rung, SealedRequest};

/// The attempt to write down and the errand to run. What cannot or may not be sent is started all the same and settled
/// without sending: that is how it leaves the queue with its evidence.
pub(super) fn prepare(
    engine: &Engine,
    gate: &Gate,
    due: DueDelivery,
    now: Timestamp,
    withhold: Option<Withheld>,
) -> (AttemptStart, Errand) {
    let facts = InFlight {
        created_at: due.created_at,
        first_attempt_at: due.first_attempt_at.unwrap_or(now),
        sent: due.first_attempt_at.is_some(),
        generation: due.generation,
        failures: due.failures,
        uncertain: due.uncertain,
        ladder: due.ladder,
        looked_for: gate.destination.looks_for(&due.purpose),
        ahead: steps::ahead(gate, &due),
    };
    // A person who has decided about it has seen that.
    let orphaned = due.orphaned && facts.ladder.rung != Rung::Asked;
    let withhold = withhold.or_else(|| orphaned.then(|| Withheld::CannotAsk(orphan(gate))));
    let turn = withhold.map_or_else(|| machine::turn(&facts, &gate.policy, now), Turn::Withhold);
    let (purpose, request, plan) = match turn {
        Turn::Look => {
            let (request, plan) = question(gate, &due);
            (AttemptPurpose::Find, request, plan)
        }
        Turn::Send => {
            let (request, plan) = request(gate, &due);
            (AttemptPurpose::Send, request, plan)
        }
        Turn::Withhold(reason) => (AttemptPurpose::Send, request(gate, &due).0, Plan::Withhold(reason)),
    };
    let (steps, plan) = match sending::guarded(|| Steps::of(gate, &due)) {
        Ok(Ok(steps)) => (steps.map(Box::new), plan),
        Ok(Err(detail)) => (None, Plan::Withhold(Withheld::CannotWrite(detail))),
        Err(detail) => (None, Plan::Fail(detail)),
    };
    // What could not be written yet is not sealed: it can be written when what it lacks is there.
    let purpose = match plan {
        Plan::Withhold(Withheld::CannotWrite(_)) => AttemptPurpose::Find,
        _ => purpose,
    };
    let seals = purpose == AttemptPurpose::Send && due.sealed.is_none();
    let start = AttemptStart {
        delivery: due.id,
        number: due.attempts.saturating_add(1),
        document: due.document_id,
        seal: seals.then(|| request.clone()),
        purpose,
        started_at: now,
        deadline: gate.deadline(now),
        config_version: engine.settings.config_version.clone(),
    };
    let errand = Errand {
        delivery: due.id,
        subject: due.subject,
        purpose: due.purpose,
        identity: Identity { revision: due.revision, generation: due.generation, document: due.document_id },
        facts,
        request,
        document: due.document,
        traceparent: due.traceparent,
        plan,
        steps,
        held: engine.roll.hold(due.id),
    };
    (start, errand)
}

fn orphan(gate: &Gate) -> String {
    let leader = gate.destination.after().unwrap_or_default();
    format!(
        "it goes after {leader}, where this order was given up; send it all the same by retrying it, or give it up too"
    )
}

/// The question whether it is there. One that cannot be put is told to a person; it never falls through to sending
/// (UNC-6).
fn question(gate: &Gate, due: &DueDelivery) -> (SealedRequest, Plan) {
    if gate.destination.recipe().is_some() {
        return (unsendable(due), Plan::Walk);
    }
    let sought = sending::guarded(|| gate.destination.find().map(|find| find.seek(&due.document, &due.key)));
    match sought {
        Ok(Some(Ok(sought))) => (sought.request.clone(), Plan::Look(sought)),
        Ok(Some(Err(detail))) => (unsendable(due), Plan::Withhold(Withheld::CannotAsk(detail))),
        Ok(None) => (unsendable(due), Plan::Withhold(Withheld::InDoubt)),
        Err(detail) => (unsendable(due), Plan::Fail(detail)),
    }
}

/// KEY-5: the sealed bytes if there are any, checked; else freshly rendered.
fn request(gate: &Gate, due: &DueDelivery) -> (SealedRequest, Plan) {
    if let Some(sealed) = due.sealed.as_ref().filter(|_| !planted!(ResendRendersAgain)) {
        let plan = if !render::is_intact(sealed) {
            Plan::Fail("the sealed request does not match its digest, so it was not sent".to_owned())
        } else if moved_away(gate, sealed) {
            Plan::Withhold(Withheld::MovedAway)
        } else {
            Plan::Send
        };
        if planted!(ResendUnderNewKey) {
            let mut other = sealed.clone();
            other.headers[1].1.push('2');
            return (other, plan);
        }
        return (sealed.clone(), plan);
    }
    match sending::guarded(|| gate.destination.render(&due.purpose, &due.document, &due.key, &due.progress.found)) {
        Ok(Ok(request)) => (request, Plan::Send),
        Ok(Err(detail)) => (unsendable(due), Plan::Withhold(Withheld::CannotWrite(detail))),
        Err(detail) => (unsendable(due), Plan::Fail(detail)),
    }
}

/// Whether the destination has another host now. Our credential goes with every request and belongs to the configured
/// host alone (DAT-5); a path that changed is no reason to touch a seal (KEY-5).
fn moved_away(gate: &Gate, sealed: &SealedRequest) -> bool {
    let host = |url: &str| {
        let uri: ::http::Uri = url.parse().ok()?;
        Some((uri.scheme_str()?.to_owned(), uri.authority()?.as_str().to_ascii_lowercase()))
    };
    let Some(was) = host(&sealed.url) else { return false };
    host(gate.destination.url().as_str()).is_some_and(|now| now != was)
}

/// What is sealed when rendering failed: the store wants a seal to start an attempt, and this one can never be sent,
/// for it has no URL. A corrected document replaces the delivery (KEY-3 a).
fn unsendable(due: &DueDelivery) -> SealedRequest {
    SealedRequest {
        method: String::new(),
        url: String::new(),
        headers: Vec::new(),
        body: due.document.clone(),
        digest: render::digest("", "", &[], &due.document),
        body_is_document: true,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::clock::{SeededEntropy, SystemClock, from_micros};
    use crate::destinations::{Destination, Settings};
    use crate::envelope::ids::{DeliveryId, DocumentId};
    use crate::envelope::keys::IdempotencyKey;
    use crate::store::write::{Progress, Subject};

    fn gate() -> Gate {
        let settings = Settings::new("erp", "https://erp.example.com/orders");
        let destination = Destination::new(settings).map_err(|found| found.join("; ")).unwrap();
        Gate::new(destination, &mut HashMap::new(), Arc::new(SystemClock), Arc::default())
    }

    fn due(sealed: Option<SealedRequest>) -> DueDelivery {
        let (now, entropy) = (from_micros(0), SeededEntropy::new(1));
        DueDelivery {
            revision: String::new(),
            generation: 0,
            ladder: crate::store::write::Ladder::default(),
            id: DeliveryId::new(now, &entropy),
            key: IdempotencyKey::from_stored("ek1-key"),
            destination: "erp".into(),
            subject: Subject { kind: "order".into(), system: "acme".into(), scope: "1".into(), id: "42".into() },
            purpose: "order.create".into(),
            attempts: 0,
            failures: 0,
            created_at: now,
            first_attempt_at: None,
            uncertain: false,
            progress: Progress::default(),
            sealed,
            document_id: DocumentId::new(now, &entropy),
            document: Bytes::from_static(b"{}"),
            document_kind: "order".into(),
            traceparent: None,
            orphaned: false,
        }
    }

    #[test]
    fn bak_2_sealed_bytes_that_do_not_match_their_digest_are_not_sent() {
        let gate = gate();
        let (fresh, plan) = request(&gate, &due(None));
        assert!(matches!(plan, Plan::Send) && fresh.body == "{}");
        let (again, plan) = request(&gate, &due(Some(fresh.clone())));
        assert!(matches!(plan, Plan::Send) && again.digest == fresh.digest);
        let damaged = SealedRequest { body: Bytes::from_static(b"{ }"), ..fresh };
        assert!(matches!(request(&gate, &due(Some(damaged))).1, Plan::Fail(_)));
    }

    #[tokio::test]
    async fn what_could_not_be_rendered_is_sealed_so_that_it_can_never_be_sent() {
        let sealed = unsendable(&due(None));
        assert!(render::is_intact(&sealed));
        let wire = gate().destination.send(&sealed, ::http::HeaderMap::new()).await;
        assert!(matches!(wire, crate::destinations::Wire::Forbidden(_)), "{wire:?}");
    }
}
