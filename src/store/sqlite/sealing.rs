//! The border where bodies are encrypted: on the caller's thread, before a command reaches the writer. Above it nobody
//! knows of keys; below it the file holds what it is given.

use bytes::Bytes;

use super::bodies::{ANSWER, DOCUMENT, FOUND, PAYLOAD, SEALED};
use super::effects::{self, Packs};
use crate::clock::Entropy;
use crate::envelope::ids::DeliveryId;
use crate::store::seal::Keys;
use crate::store::write::{Arrival, Conclusion, Decision, NewDocument, Settlement, Verdict};

/// The keys, and chance for data keys.
#[derive(Clone, Copy)]
pub(super) struct Seals<'a> {
    pub(super) keys: &'a Keys,
    pub(super) entropy: &'a dyn Entropy,
}

impl Seals<'_> {
    fn seal(&self, body: &mut Bytes, what: &str, binding: &[u8]) {
        *body = self.keys.seal(std::mem::take(body), what, binding, self.entropy);
    }
}

/// Everything of a request that is a body, except what [`packs`] seals.
pub(super) fn arrival(mut arrival: Arrival, seals: &Seals<'_>) -> Arrival {
    if seals.keys.encrypt() {
        let request = arrival.request_id;
        seals.seal(&mut arrival.body.packed, PAYLOAD, request.as_bytes());
        for conclusion in arrival.records.iter_mut().filter_map(|record| record.conclusion.as_mut()) {
            conclusion.documents.iter_mut().for_each(|made| document(made, seals));
        }
    }
    arrival
}

/// A conclusion's documents, and what its express attempts seal.
pub(super) fn conclusion(mut conclusion: Conclusion, seals: &Seals<'_>) -> (Conclusion, Packs) {
    if seals.keys.encrypt() {
        conclusion.documents.iter_mut().for_each(|made| document(made, seals));
    }
    let made = packs(effects::pack_seals(effects::express(&conclusion)), seals);
    (conclusion, made)
}

/// Bodies of sealed requests.
pub(super) fn packs(mut packs: Packs, seals: &Seals<'_>) -> Packs {
    for (delivery, body) in &mut packs {
        seals.seal(&mut body.packed, SEALED, delivery.as_bytes());
    }
    packs
}

/// The document of a replacement.
pub(super) fn decision(mut decision: Decision, seals: &Seals<'_>) -> Decision {
    if let Verdict::Replace { document: made, .. } = &mut decision.verdict {
        document(made, seals);
    }
    decision
}

/// What a destination answered.
pub(super) fn settlement(mut settlement: Settlement, seals: &Seals<'_>) -> Settlement {
    if let Some(answer) = settlement.seen.response.take() {
        let binding = of_attempt(settlement.delivery, settlement.number);
        settlement.seen.response = Some(seals.keys.seal_text(answer, ANSWER, &binding, seals.entropy));
    }
    if let Some(progress) = settlement.progress.as_mut().filter(|progress| !progress.found.is_empty()) {
        let found = std::mem::take(&mut progress.found);
        progress.found = seals.keys.seal_text(found, FOUND, settlement.delivery.as_bytes(), seals.entropy);
    }
    settlement
}

/// What an answer is bound to.
pub(super) fn of_attempt(delivery: DeliveryId, number: u32) -> Vec<u8> {
    [&delivery.as_bytes()[..], &number.to_be_bytes()].concat()
}

fn document(document: &mut NewDocument, seals: &Seals<'_>) {
    let id = document.id;
    seals.seal(&mut document.body.packed, DOCUMENT, id.as_bytes());
}
