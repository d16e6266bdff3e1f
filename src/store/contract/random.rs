//! Random histories: whatever happens in whatever order, the ledger adds up after every step (P2).

use super::build::{Maker, act, again, at, create_key, delivered, due, key, ledger, settle, start_of};
use crate::envelope::ids::DeliveryId;
use crate::store::view::{Paging, StoredEnvelope};
use crate::store::write::{Conclusion, Decision, NextState, Receipt, Replay, StartedAttempt, Verdict};
use crate::store::{DeliveryFilter, EventFilter, SharedStore, StoreError};

/// One thing that may happen; the numbers choose among what there is.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// An event of one of a few orders, concluded at once in one way or left to the processor.
    Arrive(u8, u8),
    /// The processor takes what there is and concludes it in one way.
    Process(u8),
    /// The worker starts what is due.
    Start,
    /// An attempt ends in one way.
    Settle(u8, u8),
    /// A person decides about a parked delivery.
    Decide(u8, u8),
    /// A person replays an event.
    Replay(u8, u8),
}

/// A history on one store.
pub struct History<'a> {
    store: &'a SharedStore,
    maker: Maker,
    events: u32,
    generation: u32,
    flying: Vec<StartedAttempt>,
    settled: Vec<StartedAttempt>,
}

impl<'a> History<'a> {
    /// An empty history.
    pub fn new(store: &'a SharedStore) -> Self {
        History { store, maker: Maker::default(), events: 0, generation: 0, flying: Vec::new(), settled: Vec::new() }
    }

    /// One step; then the ledger must add up, and every count must be that of the rows.
    pub async fn step(&mut self, step: Step) {
        match step {
            Step::Arrive(number, way) => self.arrive(number, way).await,
            Step::Process(way) => {
                for envelope in self.store.claim_envelopes(3).await.unwrap() {
                    self.conclude(&envelope, way).await;
                }
            }
            Step::Start => {
                let starts = due(self.store).await.iter().map(start_of).collect();
                self.flying.extend(self.store.start_attempts(starts).await.unwrap());
            }
            Step::Settle(which, way) => self.settle(which, way).await,
            Step::Decide(which, way) => self.decide(which, way).await,
            Step::Replay(which, way) => self.replay(which, way).await,
        }
        let ledger = ledger(self.store).await;
        assert_eq!(ledger.accepted, u64::from(self.events));
        for (state, count) in [
            ("received", ledger.due),
            ("exception", ledger.exception),
            ("done", ledger.done),
            ("ignored", ledger.ignored),
        ] {
            let filter = EventFilter { state: Some(state.into()), ..EventFilter::default() };
            let page = self.store.events(filter, Paging { limit: 200, cursor: None }).await.unwrap();
            assert_eq!(page.items.len() as u64, count, "{state} after {step:?}");
        }
    }

    fn conclusion(&mut self, number: &str, way: u8) -> Conclusion {
        match way % 7 {
            0 => self.maker.create(number, &["erp"]),
            1 => self.maker.create(number, &["erp", "wms"]),
            2 => self.maker.express(self.maker.create(number, &["wms", "erp"])),
            3 => self.maker.complain(number, Some("erp"), "sku"),
            4 => Conclusion { ignored: Some("no route".into()), ..Conclusion::default() },
            5 => {
                let mut change = Conclusion::default();
                let revision = self.events.to_string();
                let key = key(number, "erp", "order.change", &revision, 0);
                self.maker.intend(&mut change, "erp", key, "order.change", &revision);
                self.maker.express(change)
            }
            _ => {
                let mut half = self.maker.create(number, &["wms"]);
                half.exceptions.push(self.maker.exception(number, Some("erp"), "tax"));
                half
            }
        }
    }

    async fn arrive(&mut self, number: u8, way: u8) {
        let number = (number % 4).to_string();
        let event = format!("e{}", self.events);
        let mut record = self.maker.record(&number, &event, &event);
        if way % 8 != 7 {
            record.conclusion = Some(self.conclusion(&number, way));
        }
        let receipts = self.store.append(self.maker.arrival(vec![record])).await.unwrap();
        let Some(Receipt::First { started, .. }) = receipts.into_iter().next() else { panic!("it is new") };
        self.flying.extend(started);
        self.events += 1;
    }

    async fn conclude(&mut self, envelope: &StoredEnvelope, way: u8) {
        let conclusion = self.conclusion(&envelope.subject.id, way);
        self.flying.extend(self.store.conclude(envelope.id, conclusion, at(5)).await.unwrap());
    }

    async fn settle(&mut self, which: u8, way: u8) {
        let late = way >= 200 && !self.settled.is_empty();
        if !late && self.flying.is_empty() {
            return;
        }
        let started = if late {
            self.settled[usize::from(which) % self.settled.len()].clone()
        } else {
            self.flying.swap_remove(usize::from(which) % self.flying.len())
        };
        let uncertain = way.is_multiple_of(2);
        let next = match way % 3 {
            0 => delivered(),
            1 => again(),
            _ => {
                let exception = Box::new(self.maker.exception("0", Some("erp"), "refused"));
                NextState::Parked { exception, uncertain }
            }
        };
        let taken = settle(self.store, started.clone(), next).await;
        assert!(late || taken, "an attempt in flight is settled");
        self.settled.push(started);
    }

    async fn parked(&self) -> Vec<(DeliveryId, String, String)> {
        let filter = DeliveryFilter { state: Some("parked".into()), ..DeliveryFilter::default() };
        let page = self.store.deliveries(filter, Paging { limit: 200, cursor: None }).await.unwrap();
        page.items.into_iter().map(|row| (row.id, row.subject_id, row.destination)).collect()
    }

    async fn decide(&mut self, which: u8, way: u8) {
        let parked = self.parked().await;
        if parked.is_empty() {
            return;
        }
        let (delivery, number, destination) = parked[usize::from(which) % parked.len()].clone();
        let verdict = match way % 4 {
            0 => Verdict::Retry { due_at: at(9) },
            1 => Verdict::Applied { receipt: None },
            2 => Verdict::Abandon { reason: "no".into() },
            _ => {
                self.generation += 1;
                let document = self.maker.document(&destination);
                let key = create_key(&number, &destination, self.generation);
                let delivery = self.maker.successor(&document, key, "order.create", "", self.generation);
                Verdict::Replace { document, delivery }
            }
        };
        match self.store.decide(Decision { delivery, verdict, act: act("delivery.decide") }).await {
            Ok(()) => assert!(!self.parked().await.iter().any(|(id, ..)| *id == delivery)),
            Err(StoreError::NotAllowed(_)) => assert_eq!(way % 4, 3, "only an uncertain one is not replaced"),
            Err(other) => panic!("{other}"),
        }
    }

    async fn replay(&mut self, which: u8, way: u8) {
        let events =
            self.store.events(EventFilter::default(), Paging { limit: 200, cursor: None }).await.unwrap().items;
        if events.is_empty() {
            return;
        }
        let event = &events[usize::from(which) % events.len()];
        let mut conclusion = self.conclusion(&event.subject_id, way);
        for delivery in &mut conclusion.deliveries {
            delivery.express = None;
        }
        let replayed = self.store.replay(Replay { envelope: event.id, conclusion, act: act("event.replay") }).await;
        assert!(matches!(replayed, Ok(()) | Err(StoreError::NotAllowed(_))), "{replayed:?}");
    }
}
