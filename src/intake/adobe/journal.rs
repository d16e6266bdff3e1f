//! An event that was read from Adobe's journal instead of being pushed to us.

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::envelope::ids::{EnvelopeId, RequestId};
use crate::envelope::keys::Digest;
use crate::intake::decode::{self, Record};
use crate::intake::{Intake, Origin, evidence, take};
use crate::json::{self, Limits};
use crate::observe::Event;
use crate::processor::unreadable;
use crate::store::StoreError;
use crate::store::pack::pack;
use crate::store::write::{Arrival, ArrivedRecord, Receipt};

impl Intake {
    /// Takes one event of the journal (an element of `events`, or its `event`) as if it had been pushed to `origin`: the
    /// same id, so that whichever way is second makes nothing new. The connection and the token it was read with are its
    /// proof, it carries no signature. Durable when it returns `Ok`; the processor does the rest.
    ///
    /// # Errors
    /// When it cannot be written down: nothing is there then, and it may be taken again.
    pub async fn take_journal_event(&self, origin: &str, event: &[u8]) -> Result<Receipt, StoreError> {
        let found = self.origins.get(origin).filter(|origin| origin.adobe.is_some());
        let origin = found.ok_or_else(|| StoreError::NotFound(format!("the events origin {origin}")))?;
        let received_at = self.clock.now();
        let body = Bytes::copy_from_slice(event);
        let (record, traces) = self.of_journal(origin, &body, received_at);
        let id = record.id;
        let on_conflict = record.on_conflict.clone();
        // Apart from what is pushed: whether pushes reach us is what people want to know.
        let kind = format!("{}_by_journal", record.kind);
        let opened = record.conclusion.as_ref().map(|parked| parked.exceptions.clone()).unwrap_or_default();
        let arrival = Arrival {
            origin: origin.name.clone(),
            body: pack(&body),
            headers: serde_json::Value::Object(traces).to_string(),
            verification: "journal".to_owned(),
            config_version: self.config_version.clone(),
            request_id: RequestId::new(received_at, &*self.entropy),
            traceparent: None,
            received_at,
            records: vec![record],
        };
        let receipt = self.store.append(arrival).await?.pop().ok_or(StoreError::Stopped)?;
        self.observer.note(&take::told(&origin.name, &receipt, id));
        let (status, event) = take::became(&receipt, id);
        self.heard.took(&origin.name, &kind, status, Some(event), received_at);
        let opened = match &receipt {
            Receipt::First { .. } => opened,
            Receipt::Duplicate { .. } => Vec::new(),
            Receipt::Conflict { .. } => on_conflict.into_iter().collect(),
        };
        for exception in &opened {
            self.observer.note(&Event::opened(exception));
        }
        if matches!(receipt, Receipt::First { .. }) {
            self.processor.wake();
        }
        Ok(receipt)
    }

    fn of_journal(
        &self,
        origin: &Origin,
        body: &Bytes,
        at: Timestamp,
    ) -> (ArrivedRecord, serde_json::Map<String, serde_json::Value>) {
        let parked = |path: &str, defect| take::parked(self, origin, at, path, &Digest::of(body), defect).record;
        let whole = match json::parse(body, &Limits::default()) {
            Ok(whole) => whole,
            Err(error) => return (parked("", unreadable(&error)), serde_json::Map::new()),
        };
        let decoded = decode::records(&whole, origin.dialect, None);
        let record = match decoded.records.as_slice() {
            [Ok(record)] => self.read_event(origin, record, at),
            [Err(problem)] => parked(&problem.path, take::not_a_record(&problem.path, &problem.message)),
            _ => parked("", take::not_a_record("", "is not one event")),
        };
        (record, evidence::traces(&whole))
    }

    /// Left to the processor, but for what nothing is made of.
    fn read_event(&self, origin: &Origin, record: &Record<'_, '_>, at: Timestamp) -> ArrivedRecord {
        let event_id = record.event_id.as_deref();
        let identity = take::Identity::of(self, origin, record, event_id);
        let on_conflict = event_id.map(|id| take::conflict(self, at, &identity.subject, id));
        ArrivedRecord {
            id: EnvelopeId::new(at, &*self.entropy),
            path: record.path.clone(),
            kind: record.kind.as_str().to_owned(),
            event_name: record.event_name.clone(),
            event_key: identity.key,
            content: identity.content,
            subject: identity.subject,
            conclusion: take::ignored(record),
            on_conflict,
        }
    }
}
