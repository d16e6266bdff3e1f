//! From an outcome to rows: ids, keys and packed bodies. The one place where keys of deliveries are made.

use bytes::Bytes;

use crate::clock::{Entropy, Timestamp};
use crate::envelope::ids::{DeliveryId, DocumentId, ExceptionId};
use crate::envelope::keys::{IdempotencyKey, KeyParts};
use crate::routing::DocumentKind;
use crate::store::pack::pack;
use crate::store::write::{Conclusion, Hint, NewDelivery, NewDocument, NewException, OrderReport, Reported, Subject};

use super::reports::{Notice, Report};
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
        hint: outcome.notice.map(|notice| hint(notice, subject, stamp)),
        read: outcome.wanted.map(|wanted| wanted.row(subject, stamp)),
        ..Conclusion::default()
    };
    conclusion.reports.reserve(outcome.reports.len());
    let mut documents = Vec::with_capacity(outcome.documents.len());
    for made in outcome.documents {
        let report = outcome.reports.iter().find(|report| report.destination == made.destination);
        let reported = report.map(|report| Reported { revision: report.revision, cancelled: None });
        let (document, delivery, body) = delivery(made, reported, subject, 0, stamp);
        conclusion.documents.push(document);
        conclusion.deliveries.push(delivery);
        documents.push(body);
    }
    for report in outcome.reports {
        let report = order_report(report, &mut conclusion.documents, subject, stamp);
        conclusion.reports.push(report);
    }
    conclusion.exceptions = outcome.parked.into_iter().map(|parked| exception(parked, subject, stamp)).collect();
    Enqueued { conclusion, documents }
}

fn order_report(report: Report, documents: &mut Vec<NewDocument>, subject: &Subject, stamp: &Stamp<'_>) -> OrderReport {
    let revision = report.revision;
    let mut follow = |made: Made, cancelled| {
        let (document, delivery, _) = delivery(made, Some(Reported { revision, cancelled }), subject, 0, stamp);
        documents.push(document);
        delivery
    };
    OrderReport {
        destination: report.destination,
        revision,
        cancels: report.cancels,
        change: report.change.map(|made| follow(made, None)),
        cancellation: report.cancellation.map(|cancelled| follow(cancelled.made, Some(cancelled.content))),
        unwanted: report.unwanted,
    }
}

fn hint(notice: Notice, subject: &Subject, stamp: &Stamp<'_>) -> Hint {
    let open = |defect| exception(Parked { defect, destination: None }, subject, stamp);
    Hint {
        updated_at: notice.updated_at,
        cancels: notice.cancels,
        hold: notice.hold,
        unknown: notice.unknown.map(open),
        incomplete: notice.incomplete.map(open),
        unwanted: "no route takes order_change or cancellation".to_owned(),
        read: notice.read.map(|wanted| wanted.row(subject, stamp)),
    }
}

/// One document and the delivery that carries it. A create's key has no revision; what follows has its report's.
pub fn delivery(
    made: Made,
    reported: Option<Reported>,
    subject: &Subject,
    generation: u32,
    stamp: &Stamp<'_>,
) -> (NewDocument, NewDelivery, Bytes) {
    let revision = match reported {
        Some(reported) if made.kind != DocumentKind::Order => reported.revision.to_string(),
        _ => String::new(),
    };
    let key = IdempotencyKey::derive(&KeyParts {
        installation: stamp.installation,
        destination: &made.destination,
        system: &subject.system,
        subject_kind: &subject.kind,
        subject_scope: &subject.scope,
        subject_id: &subject.id,
        purpose: made.purpose,
        revision: &revision,
        generation,
    });
    let document = NewDocument {
        id: DocumentId::new(stamp.now, stamp.entropy),
        kind: made.kind.as_str().to_owned(),
        schema: made.schema.to_owned(),
        destination: made.destination.clone(),
        body: pack(&made.body),
        mappings_version: stamp.mappings_version,
        edit: None,
    };
    let delivery = NewDelivery {
        id: DeliveryId::new(stamp.now, stamp.entropy),
        key,
        destination: made.destination,
        document: document.id,
        purpose: made.purpose.to_owned(),
        revision,
        generation,
        due_at: stamp.now,
        overtakes: made.overtakes,
        report: reported,
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
