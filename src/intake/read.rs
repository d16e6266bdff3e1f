//! Orders that we read ourselves, in by the same door as everything else: an envelope of the built-in origin
//! `commerce.<system>`, with a key that makes the same state read twice a duplicate (DED-2).
//!
//! What a hint announced, what a search found and what the journal named all end here; nothing of them is mixed into the
//! order, which is compiled from what Commerce's REST interface said and from nothing else.

use bytes::Bytes;

use crate::envelope::ids::{EnvelopeId, RequestId};
use crate::envelope::keys::{Digest, EventKey};
use crate::envelope::kind::RecordKind;
use crate::json::{self, Json, Limits};
use crate::observe::Event;
use crate::processor::rules::READ_ORIGIN;
use crate::processor::step;
use crate::processor::unreadable;
use crate::store::StoreError;
use crate::store::pack::pack;
use crate::store::write::{Arrival, ArrivedRecord, Receipt, Subject};

use super::Intake;
use super::take::nobody;

/// An order as Commerce's REST interface gave it.
#[derive(Clone, Debug)]
pub struct Found {
    /// The Commerce instance it was read from, by its configured name.
    pub system: String,
    /// The order's own JSON text, exactly as sent.
    pub body: Bytes,
    /// Why it was read.
    pub by: FoundBy,
}

/// What made us read an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundBy {
    /// A payload that was only a hint.
    ReadBack,
    /// The regular search.
    Sweep,
    /// A number that was missing between two others.
    Gap,
    /// The journal of events.
    Journal,
    /// A person asked.
    Person,
}

impl FoundBy {
    /// As it is kept beside the payload.
    pub fn as_str(self) -> &'static str {
        match self {
            FoundBy::ReadBack => "read-back",
            FoundBy::Sweep => "sweep",
            FoundBy::Gap => "gap",
            FoundBy::Journal => "journal",
            FoundBy::Person => "person",
        }
    }
}

/// The built-in origin of what is read from this Commerce instance. A dot cannot stand in a configured name.
pub fn origin_of(system: &str) -> String {
    format!("{READ_ORIGIN}{system}")
}

impl Intake {
    /// Writes down an order that we read, and wakes the processor. Durable when it returns `Ok`.
    ///
    /// # Errors
    /// When the store could not write it: nothing is there then, and it can be read again.
    pub async fn take_read(&self, found: Found) -> Result<Receipt, StoreError> {
        Ok(self.take_read_as(found).await?.1)
    }

    /// As [`Intake::take_read`], with the envelope that stands for this state of the order.
    ///
    /// # Errors
    /// As there.
    pub async fn take_read_as(&self, found: Found) -> Result<(EnvelopeId, Receipt), StoreError> {
        let arrival = self.arrival_of(&found);
        let (origin, id) = (arrival.origin.clone(), arrival.records[0].id);
        let opened = arrival.records[0].conclusion.as_ref().map(|parked| parked.exceptions.clone()).unwrap_or_default();
        let mut receipts = self.store.append(arrival).await?;
        let receipt = receipts.pop().ok_or(StoreError::Stopped)?;
        let stands = match &receipt {
            Receipt::First { .. } => {
                self.observer.note(&Event::EnvelopeAccepted { origin: &origin, envelope: id });
                for exception in &opened {
                    self.observer.note(&Event::opened(exception));
                }
                self.processor.wake();
                id
            }
            Receipt::Duplicate { first } | Receipt::Conflict { first } => {
                self.observer.note(&Event::DuplicateSeen { origin: &origin, first: *first });
                *first
            }
        };
        Ok((stands, receipt))
    }

    fn arrival_of(&self, found: &Found) -> Arrival {
        let now = self.clock.now();
        let origin = origin_of(&found.system);
        let record = match json::parse(&found.body, &Limits::default()) {
            Ok(order) => self.record_of(&origin, &order),
            Err(error) => {
                let content = Digest::of(&found.body);
                let kind = RecordKind::Unknown;
                let subject = self.subject_of(&origin, kind, &Json::Null);
                let conclusion = Some(self.processor.park(unreadable(&error), &subject).conclusion);
                let event_key = EventKey::derived(&origin, kind.as_str(), "", "", &content);
                ArrivedRecord { conclusion, ..self.arrived(kind, event_key, content, subject) }
            }
        };
        Arrival {
            origin,
            body: pack(&found.body),
            headers: serde_json::json!({ "found-by": found.by.as_str() }).to_string(),
            verification: found.by.as_str().to_owned(),
            config_version: self.config_version.clone(),
            request_id: RequestId::new(now, &*self.entropy),
            traceparent: None,
            received_at: now,
            records: vec![record],
        }
    }

    fn record_of(&self, origin: &str, order: &Json<'_>) -> ArrivedRecord {
        let kind = RecordKind::Order;
        let content = Digest::of(order.canonical().as_bytes());
        let entity = order.present("entity_id").and_then(Json::as_text).unwrap_or_default();
        let event_key = EventKey::derived(origin, kind.as_str(), "", entity, &content);
        self.arrived(kind, event_key, content, self.subject_of(origin, kind, order))
    }

    fn subject_of(&self, origin: &str, kind: RecordKind, order: &Json<'_>) -> Subject {
        match self.processor.rules().origins.get(origin) {
            Some(of_origin) => step::subject(kind, order, of_origin),
            None => nobody(kind),
        }
    }

    fn arrived(&self, kind: RecordKind, event_key: EventKey, content: Digest, subject: Subject) -> ArrivedRecord {
        ArrivedRecord {
            id: EnvelopeId::new(self.clock.now(), &*self.entropy),
            path: String::new(),
            kind: kind.as_str().to_owned(),
            event_name: None,
            event_key,
            content,
            subject,
            conclusion: None,
            on_conflict: None,
        }
    }
}
