//! From an outcome to rows: ids, keys and packed bodies. The one place where keys of deliveries are made.

use bytes::Bytes;

use crate::clock::{Entropy, Timestamp};
use crate::envelope::ids::{DeliveryId, DocumentId, ExceptionId};
use crate::envelope::keys::{IdempotencyKey, KeyParts};
use crate::store::pack::pack;
use crate::store::write::{Conclusion, NewDelivery, NewDocument, NewException, Subject};

use super::step::{Made, Outcome, Parked};

/// What an outcome needs to become rows.
#[derive(Clone, Copy)]
pub struct Stamp<'a> {
    /// Part of every key.
    pub installation: &'a str,
    /// Version of the mappings used.
    pub mappings_version: u64,
    /// The present.
    pub now: Timestamp,
    /// For ids.
    pub entropy: &'a dyn Entropy,
}

/// A conclusion ready for the store, with the plain document of each delivery (for the express lane).
#[derive(Debug)]
pub struct Enqueued {
    /// For the store.
    pub conclusion: Conclusion,
    /// Plain documents, in the order of `conclusion.deliveries`.
    pub documents: Vec<Bytes>,
}

/// Makes rows of an outcome.
pub fn enqueue(outcome: Outcome, subject: &Subject, stamp: &Stamp<'_>) -> Enqueued {
    let mut conclusion = Conclusion {
        facts: outcome.facts,
        ignored: outcome.ignored,
        explanation: outcome.explanation,
        ..Conclusion::default()
    };
    let mut documents = Vec::with_capacity(outcome.documents.len());
    for made in outcome.documents {
        let (document, delivery, body) = delivery(made, subject, 0, stamp);
        conclusion.documents.push(document);
        conclusion.deliveries.push(delivery);
        documents.push(body);
    }
    conclusion.exceptions = outcome.parked.into_iter().map(|parked| exception(parked, subject, stamp)).collect();
    Enqueued { conclusion, documents }
}

/// One document and the delivery that carries it.
pub fn delivery(
    made: Made,
    subject: &Subject,
    generation: u32,
    stamp: &Stamp<'_>,
) -> (NewDocument, NewDelivery, Bytes) {
    let key = IdempotencyKey::derive(&KeyParts {
        installation: stamp.installation,
        destination: &made.destination,
        system: &subject.system,
        subject_kind: &subject.kind,
        subject_scope: &subject.scope,
        subject_id: &subject.id,
        purpose: made.purpose,
        revision: "",
        generation,
    });
    let document = NewDocument {
        id: DocumentId::new(stamp.now, stamp.entropy),
        kind: made.kind.as_str().to_owned(),
        schema: made.schema.to_owned(),
        destination: made.destination.clone(),
        body: pack(&made.body),
        mappings_version: stamp.mappings_version,
    };
    let delivery = NewDelivery {
        id: DeliveryId::new(stamp.now, stamp.entropy),
        key,
        destination: made.destination,
        document: document.id,
        purpose: made.purpose.to_owned(),
        revision: String::new(),
        generation,
        due_at: stamp.now,
        express: None,
    };
    (document, delivery, Bytes::from(made.body))
}

fn exception(parked: Parked, subject: &Subject, stamp: &Stamp<'_>) -> NewException {
    let defect = parked.defect;
    NewException {
        id: ExceptionId::new(stamp.now, stamp.entropy),
        code: defect.code.as_str().to_owned(),
        severity: defect.code.severity().as_str().to_owned(),
        owner: defect.code.owner().as_str().to_owned(),
        subject: subject.clone(),
        destination: parked.destination,
        delivery: None,
        fingerprint: defect.fingerprint(),
        path: defect.path,
        value: defect.value,
        message: defect.message,
        remedy: defect.remedy,
        opened_at: stamp.now,
    }
}
