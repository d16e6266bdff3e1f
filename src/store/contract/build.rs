//! Small makers of arrivals, conclusions and acts.

use std::time::Duration;

use crate::clock::{SeededEntropy, Timestamp, from_micros, later};
use crate::envelope::ids::{DeliveryId, DocumentId, EnvelopeId, ExceptionId, RequestId, TokenId};
use crate::envelope::keys::{Digest, EventKey, IdempotencyKey, KeyParts};
use crate::store::pack::pack;
use crate::store::view::{DueDelivery, Ledger};
use crate::store::write::{
    Act, Arrival, ArrivedRecord, AttemptPurpose, AttemptSeen, AttemptStart, Conclusion, Ladder, NewDelivery,
    NewDocument, NewException, NewToken, NextState, Progress, Receipt, Rung, SealedRequest, Settlement, StartedAttempt,
    Subject, SubjectFacts,
};
use crate::store::{SharedStore, Slots};

/// A noon in March.
pub const NOON: i64 = 1_772_366_400_000_000;

/// Seconds after noon.
pub fn at(seconds: u64) -> Timestamp {
    later(from_micros(NOON), Duration::from_secs(seconds))
}

/// Makes things with ids that never repeat within a test.
#[derive(Debug)]
pub struct Maker(SeededEntropy);

impl Default for Maker {
    fn default() -> Self {
        Maker(SeededEntropy::new(42))
    }
}

/// The order of this number in shop `acme`, store 1.
pub fn order(number: &str) -> Subject {
    Subject { kind: "order".into(), system: "acme".into(), scope: "1".into(), id: number.into() }
}

/// The key of creating an order at a destination.
pub fn create_key(number: &str, destination: &str, generation: u32) -> IdempotencyKey {
    key(number, destination, "order.create", "", generation)
}

/// Any key.
pub fn key(number: &str, destination: &str, purpose: &str, revision: &str, generation: u32) -> IdempotencyKey {
    IdempotencyKey::derive(&KeyParts {
        installation: "test",
        destination,
        system: "acme",
        subject_kind: "order",
        subject_scope: "1",
        subject_id: number,
        purpose,
        revision,
        generation,
    })
}

impl Maker {
    /// A record of an order event; `event` identifies it, `content` is what it says.
    pub fn record(&self, number: &str, event: &str, content: &str) -> ArrivedRecord {
        ArrivedRecord {
            id: EnvelopeId::new(at(0), &self.0),
            path: String::new(),
            kind: "order".into(),
            event_name: Some("observer.sales_order_save_commit_after".into()),
            event_key: EventKey::explicit("hooks", event),
            content: Digest::of(content.as_bytes()),
            subject: order(number),
            conclusion: None,
            on_conflict: None,
        }
    }

    /// A request with these records.
    pub fn arrival(&self, records: Vec<ArrivedRecord>) -> Arrival {
        Arrival {
            origin: "hooks".into(),
            body: pack(br#"{"order":{"increment_id":"000000042"}}"#),
            headers: "{}".into(),
            verification: "rsa-signature".into(),
            config_version: "c1".into(),
            request_id: RequestId::new(at(0), &self.0),
            traceparent: None,
            received_at: at(0),
            records,
        }
    }

    /// An order event that waits for the processor.
    pub async fn arrive(&self, store: &SharedStore, number: &str, event: &str) -> EnvelopeId {
        let record = self.record(number, event, event);
        let id = record.id;
        let receipts = store.append(self.arrival(vec![record])).await.unwrap();
        assert!(matches!(receipts[..], [Receipt::First { .. }]), "{receipts:?}");
        id
    }

    /// A conclusion: create this order at these destinations.
    pub fn create(&self, number: &str, destinations: &[&str]) -> Conclusion {
        let mut conclusion = Conclusion { explanation: "route orders".into(), ..Conclusion::default() };
        for destination in destinations {
            self.intend(&mut conclusion, destination, create_key(number, destination, 0), "order.create", "");
        }
        conclusion
    }

    /// Adds an effect to a conclusion.
    pub fn intend(
        &self,
        conclusion: &mut Conclusion,
        destination: &str,
        key: IdempotencyKey,
        purpose: &str,
        revision: &str,
    ) {
        let document = self.document(destination);
        conclusion.deliveries.push(self.delivery(&document, key, purpose, revision));
        conclusion.documents.push(document);
    }

    /// A document; its body is unique.
    pub fn document(&self, destination: &str) -> NewDocument {
        let id = DocumentId::new(at(0), &self.0);
        NewDocument {
            id,
            kind: "order".into(),
            schema: "crossdock.sales_order.v1".into(),
            destination: destination.into(),
            body: pack(format!("{{\"document\":\"{id}\"}}").as_bytes()),
            mappings_version: 0,
            edit: None,
        }
    }

    /// A delivery of a document.
    pub fn delivery(&self, document: &NewDocument, key: IdempotencyKey, purpose: &str, revision: &str) -> NewDelivery {
        self.successor(document, key, purpose, revision, 0)
    }

    /// A delivery of a later generation (KEY-3).
    pub fn successor(
        &self,
        document: &NewDocument,
        key: IdempotencyKey,
        purpose: &str,
        revision: &str,
        generation: u32,
    ) -> NewDelivery {
        NewDelivery {
            id: DeliveryId::new(at(0), &self.0),
            key,
            destination: document.destination.clone(),
            document: document.id,
            purpose: purpose.into(),
            revision: revision.into(),
            generation,
            due_at: at(0),
            overtakes: false,
            report: None,
            express: None,
        }
    }

    /// The same conclusion with every delivery express.
    pub fn express(&self, mut conclusion: Conclusion) -> Conclusion {
        for delivery in &mut conclusion.deliveries {
            delivery.express = Some(AttemptStart {
                delivery: delivery.id,
                number: 1,
                document: delivery.document,
                seal: Some(seal(format!("{{\"document\":\"{}\"}}", delivery.document).as_bytes(), true)),
                purpose: AttemptPurpose::Send,
                started_at: at(0),
                deadline: at(30),
                config_version: "c1".into(),
            });
        }
        conclusion
    }

    /// An exception about an order.
    pub fn exception(&self, number: &str, destination: Option<&str>, cause: &str) -> NewException {
        NewException {
            id: ExceptionId::new(at(0), &self.0),
            code: "unmapped_sku".into(),
            severity: "error".into(),
            owner: "operations".into(),
            subject: order(number),
            destination: destination.map(Into::into),
            delivery: None,
            path: "items/0/sku".into(),
            value: Some(cause.into()),
            message: format!("the SKU \"{cause}\" has no item number"),
            remedy: "add it to the table skus".into(),
            fingerprint: cause.into(),
            opened_at: at(0),
        }
    }

    /// A conclusion that complains.
    pub fn complain(&self, number: &str, destination: Option<&str>, cause: &str) -> Conclusion {
        Conclusion { exceptions: vec![self.exception(number, destination, cause)], ..Conclusion::default() }
    }

    /// A token.
    pub fn token(&self, name: &str, secret: &str, expires_at: Option<Timestamp>) -> NewToken {
        NewToken {
            id: TokenId::new(at(0), &self.0),
            name: name.into(),
            role: "operator".into(),
            scopes: Vec::new(),
            secret: Digest::of(secret.as_bytes()),
            created_at: at(0),
            expires_at,
        }
    }

    /// Arrives and is concluded as a creation at `erp`; the envelope and its waiting delivery.
    pub async fn waiting(&self, store: &SharedStore, number: &str) -> (EnvelopeId, DeliveryId) {
        self.waiting_for(store, number, "erp").await
    }

    /// The same for another destination.
    pub async fn waiting_for(&self, store: &SharedStore, number: &str, to: &str) -> (EnvelopeId, DeliveryId) {
        let envelope = self.arrive(store, number, &format!("event of {number}")).await;
        let conclusion = self.create(number, &[to]);
        let delivery = conclusion.deliveries[0].id;
        store.conclude(envelope, conclusion, at(1)).await.unwrap();
        (envelope, delivery)
    }

    /// As [`Maker::waiting`], then started and refused by the destination.
    pub async fn parked(&self, store: &SharedStore, number: &str) -> (EnvelopeId, DeliveryId) {
        let (envelope, delivery) = self.waiting(store, number).await;
        let started = start(store, delivery).await.expect("its lane is free");
        let exception = Box::new(self.exception(number, Some("erp"), "refused"));
        settle(store, started, NextState::Parked { exception, uncertain: false }).await;
        (envelope, delivery)
    }
}

/// A sealed request.
pub fn seal(body: &[u8], body_is_document: bool) -> SealedRequest {
    SealedRequest {
        method: "POST".into(),
        url: "https://erp.example.com/orders?token=secret".into(),
        headers: vec![("content-type".into(), "application/json".into())],
        body: body.to_vec().into(),
        digest: Digest::of(body),
        body_is_document,
    }
}

/// Who did it.
pub fn act(action: &str) -> Act {
    Act {
        actor: "token:anna".into(),
        action: action.into(),
        target: "somewhere".into(),
        before: String::new(),
        after: "{}".into(),
        reason: "because".into(),
        from: "192.0.2.7".into(),
        at: at(60),
        keep: None,
        member: None,
    }
}

/// The start of a due delivery's next attempt.
pub fn start_of(due: &DueDelivery) -> AttemptStart {
    AttemptStart {
        delivery: due.id,
        number: due.attempts + 1,
        document: due.document_id,
        seal: due.sealed.is_none().then(|| seal(format!("order {}", due.subject.id).as_bytes(), false)),
        purpose: AttemptPurpose::Send,
        started_at: at(2),
        deadline: at(32),
        config_version: "c1".into(),
    }
}

/// The due heads of `erp` and `wms`, far in the future.
pub async fn due(store: &SharedStore) -> Vec<DueDelivery> {
    let slots = ["erp", "wms"].map(|name| Slots::new(name, 100));
    store.due_deliveries(at(1_000_000), slots.into()).await.unwrap()
}

/// Starts the next attempt of a delivery, whatever its turn; `None` if the store would not.
pub async fn start(store: &SharedStore, delivery: DeliveryId) -> Option<StartedAttempt> {
    let (_, row) = store.delivery_origin(delivery).await.unwrap().expect("the delivery exists");
    store.start_attempts(vec![start_of(&row)]).await.unwrap().pop()
}

/// Settles an attempt.
pub async fn settle(store: &SharedStore, started: StartedAttempt, next: NextState) -> bool {
    settle_so_far(store, started, next, None).await
}

/// The same of a delivery that takes several steps, with how far it is.
pub async fn settle_so_far(
    store: &SharedStore,
    started: StartedAttempt,
    next: NextState,
    progress: Option<Progress>,
) -> bool {
    let outcome = match next {
        NextState::Delivered { .. } => "accepted",
        NextState::Waiting { .. } => "unavailable",
        NextState::Parked { .. } | NextState::Renewed { .. } => "rejected",
    };
    let seen = AttemptSeen {
        outcome: outcome.into(),
        status: Some(200),
        detail: format!("the destination said {outcome}"),
        response: Some("{}".into()),
        duration_us: Some(1_500),
        steps: None,
    };
    let StartedAttempt { delivery, number, epoch } = started;
    store.settle(Settlement { delivery, number, epoch, seen, next, progress, at: at(3) }).await.unwrap()
}

/// Applied.
pub fn delivered() -> NextState {
    NextState::Delivered { receipt: Some("SO-1".into()) }
}

/// To be tried again.
pub fn again() -> NextState {
    NextState::Waiting { due_at: at(10), uncertain: true, counts: true, ladder: Ladder::at(Rung::Doubt) }
}

/// Facts with this state, as of `seconds` after noon.
pub fn facts(state: &str, seconds: u64) -> SubjectFacts {
    SubjectFacts { state: Some(state.into()), updated_at: Some(at(seconds)), ..SubjectFacts::default() }
}

/// The state of an event.
pub async fn state(store: &SharedStore, id: EnvelopeId) -> String {
    store.event(id).await.unwrap().expect("the event exists").state
}

/// The state of a delivery.
pub async fn delivery_state(store: &SharedStore, id: DeliveryId) -> String {
    store.delivery(id).await.unwrap().expect("the delivery exists").delivery.state
}

/// The ledger, which must add up (P2).
pub async fn ledger(store: &SharedStore) -> Ledger {
    let ledger = store.ledger().await.unwrap();
    assert_eq!(ledger.difference(), 0, "{ledger:?}");
    ledger
}
