//! Stock and fulfilments that we read ourselves from a back office which does not send them, in by the same door: envelopes
//! of the origin they would have been posted to, a page in one transaction.
//!
//! A fulfilment has the identity of one that was posted, so the same state read or posted twice is one event. A stock value
//! has the identity of the record it was read for: the same change read twice is one event, whatever the level is by then,
//! and a later change is another event, also where it comes to the same quantity.

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::domain::defect::{Defect, ExceptionCode};
use crate::envelope::ids::{EnvelopeId, RequestId};
use crate::envelope::keys::{Digest, EventKey};
use crate::envelope::kind::RecordKind;
use crate::json::{self, Json, Limits};
use crate::observe::Event;
use crate::store::StoreError;
use crate::store::pack::pack;
use crate::store::write::{Arrival, ArrivedRecord, Receipt};

use super::decode::Record;
use super::{Intake, Origin, take};

/// A page, on its way in.
#[derive(Clone, Debug)]
pub struct Polled {
    /// Configured name.
    pub origin: String,
    /// Where it was read.
    pub destination: String,
    /// By which poll of its recipe.
    pub poll: String,
    /// What its records are.
    pub kind: RecordKind,
    /// One each.
    pub records: Vec<PolledRecord>,
}

/// One record that was read.
#[derive(Clone, Debug)]
pub struct PolledRecord {
    /// Names this state of it at its system, for ever.
    pub identity: Digest,
    /// As others would post it; or the record as its system has it, and why nothing can be made of it.
    pub json: Result<String, (String, String)>,
}

/// What became of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TakenIn {
    /// Records that were not here.
    pub new: u64,
    /// Records that were.
    pub known: u64,
    /// New ones that nothing can be made of; a person is told.
    pub unreadable: u64,
}

impl Intake {
    /// Writes a page down, all of it or nothing, and wakes the processor. Durable when it returns `Ok`.
    ///
    /// # Errors
    /// When the store could not write it: nothing is there then, and it can be read again.
    pub async fn take_polled(&self, polled: Polled) -> Result<TakenIn, StoreError> {
        let missing = || StoreError::NotFound(format!("the origin {}", polled.origin));
        let origin = self.origins.get(&polled.origin).ok_or_else(missing)?;
        if polled.records.is_empty() {
            return Ok(TakenIn::default());
        }
        let arrival = self.arrival_of_page(origin, &polled);
        let records: Vec<(EnvelopeId, Vec<_>)> = arrival
            .records
            .iter()
            .map(|record| {
                let opened = record.conclusion.as_ref().map(|parked| parked.exceptions.clone());
                (record.id, opened.unwrap_or_default())
            })
            .collect();
        let at = arrival.received_at;
        let receipts = self.store.append(arrival).await?;
        let mut taken = TakenIn::default();
        for (receipt, (id, opened)) in receipts.iter().zip(&records) {
            self.observer.note(&take::told(&origin.name, receipt, *id));
            let (status, event) = take::became(receipt, *id);
            self.heard.took(&origin.name, polled.kind.as_str(), status, Some(event), at);
            if !matches!(receipt, Receipt::First { .. }) {
                taken.known += 1;
                continue;
            }
            taken.new += 1;
            taken.unreadable += u64::from(!opened.is_empty());
            for exception in opened {
                self.observer.note(&Event::opened(exception));
            }
        }
        if taken.new > 0 {
            self.processor.wake();
        }
        Ok(taken)
    }

    fn arrival_of_page(&self, origin: &Origin, polled: &Polled) -> Arrival {
        let now = self.clock.now();
        let texts: Vec<&str> = polled
            .records
            .iter()
            .map(|record| record.json.as_ref().map_or_else(|(source, _)| source.as_str(), String::as_str))
            .collect();
        let body = Bytes::from(format!("[{}]", texts.join(",")));
        let records = polled.records.iter().enumerate();
        let records = records.map(|(place, record)| self.read_record(origin, polled, place, record, now)).collect();
        let headers = serde_json::json!({ "polled-from": polled.destination, "poll": polled.poll });
        Arrival {
            origin: origin.name.clone(),
            body: pack(&body),
            headers: headers.to_string(),
            verification: "polled".to_owned(),
            config_version: self.config_version.clone(),
            request_id: RequestId::new(now, &*self.entropy),
            traceparent: None,
            received_at: now,
            records,
        }
    }

    fn read_record(
        &self,
        origin: &Origin,
        polled: &Polled,
        place: usize,
        record: &PolledRecord,
        at: Timestamp,
    ) -> ArrivedRecord {
        let path = format!("/{place}");
        let id = format!("poll {}/{} {}", polled.destination, polled.poll, record.identity.hex());
        let key = EventKey::explicit(&origin.name, &id);
        let text = match &record.json {
            Ok(text) => text,
            Err((_, problem)) => return self.unwritable(origin, polled, &path, record.identity, problem, at),
        };
        let json = match json::parse(text.as_bytes(), &Limits::default()) {
            Ok(json) => json,
            Err(error) => return self.unwritable(origin, polled, &path, record.identity, &error.to_string(), at),
        };
        self.written_record(origin, polled.kind, &path, &json, (key, record.identity), at)
    }

    fn written_record(
        &self,
        origin: &Origin,
        kind: RecordKind,
        path: &str,
        json: &Json<'_>,
        of_source: (EventKey, Digest),
        at: Timestamp,
    ) -> ArrivedRecord {
        let path = path.to_owned();
        let record = Record { kind, path, json, event_name: None, unsaved: false, event_id: None, ignored: None };
        let posted = take::Identity::of(self, origin, &record, None);
        let (event_key, content) = match kind {
            RecordKind::Fulfilment => (posted.key, posted.content),
            _ => of_source,
        };
        ArrivedRecord {
            id: EnvelopeId::new(at, &*self.entropy),
            path: record.path,
            kind: kind.as_str().to_owned(),
            event_name: None,
            event_key,
            content,
            subject: posted.subject,
            conclusion: None,
            on_conflict: None,
        }
    }

    /// An envelope with its exception: what was read, and why nothing can be made of it.
    fn unwritable(
        &self,
        origin: &Origin,
        polled: &Polled,
        path: &str,
        identity: Digest,
        problem: &str,
        at: Timestamp,
    ) -> ArrivedRecord {
        let Polled { destination, poll, kind, .. } = polled;
        let defect = Defect {
            code: ExceptionCode::UnreadablePayload,
            path: path.to_owned(),
            value: None,
            message: format!("a record that was read from {destination} cannot be made a {kind}: {problem}"),
            remedy: format!(
                "Correct the record in that system: it is read again when it changes. Or correct the poll \"{poll}\" of its \
                 recipe, and set poll.from of origin {} to a time before the record: what is here is known.",
                origin.name
            ),
            cause: format!("poll {destination}/{poll}: {problem}"),
        };
        let parked = take::parked(self, origin, at, path, &identity, defect).record;
        // Another name than that of the record: it comes in by itself once it can be written.
        let id = format!("unread {destination}/{poll} {}", identity.hex());
        ArrivedRecord { event_key: EventKey::explicit(&origin.name, &id), ..parked }
    }
}
