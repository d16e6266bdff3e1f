//! The judge, with a small model of its own: what was said to senders, what left, what was made. It never asks the ledger
//! or a state of ours whether something is right; it only looks whether they tell the same story in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use super::erp::{KEY_WINDOW, Sent, short};
use super::senders::Word;
use super::service::Service;
use super::workload::{Micros, Record, Request, SECOND};
use super::world::World;
use crate::envelope::ids::{DeliveryId, EnvelopeId};
use crate::store::Store as _;

/// What the wall clock may be wrong by, within the tenth of a window that is kept for it.
const CLOCK_ERROR: Micros = 51 * SECOND;

/// What is known from outside.
#[derive(Default)]
pub struct Auditor {
    /// Promises that were not kept.
    pub violations: Vec<String>,
    /// Content and envelope of every event that was said to be taken, by event.
    taken: BTreeMap<String, (u32, Option<String>)>,
    /// Every event that was ever sent with a good credential.
    sent: BTreeSet<String>,
    /// Pieces that were ever sent for an order.
    contents: BTreeMap<String, BTreeSet<u32>>,
    /// Orders that were said to be taken.
    owed: BTreeSet<String>,
    /// What people gave up, or may have: destination and order.
    given_up: BTreeSet<(String, String)>,
    /// How many keys an effect may have: one, and one more a replacement.
    keys_allowed: BTreeMap<(String, String), usize>,
    /// Keys that a person sent again.
    blessed: BTreeSet<String>,
    /// The sealed bytes of every key.
    seals: BTreeMap<String, u64>,
    /// Keys of every effect.
    keys: BTreeMap<(String, String), BTreeSet<String>>,
    /// Every attempt that ever left.
    attempts: BTreeSet<(String, u32)>,
}

impl Auditor {
    /// A request goes out to us.
    pub fn sent(&mut self, request: &Request) {
        if request.forged {
            return;
        }
        for record in &request.records {
            self.sent.insert(record.event.clone());
            self.contents.entry(record.order.clone()).or_default().insert(record.quantity);
        }
    }

    /// A person may have replaced a delivery.
    pub fn may_replace(&mut self, destination: &str, order: &str) {
        *self.keys_allowed.entry((destination.to_owned(), order.to_owned())).or_insert(1) += 1;
    }

    /// A person sent this again, having looked.
    pub fn blessed(&mut self, key: &str) {
        self.blessed.insert(key.to_owned());
    }

    /// A person may have given this up.
    pub fn abandoned(&mut self, destination: &str, order: &str) {
        self.given_up.insert((destination.to_owned(), order.to_owned()));
    }

    fn answer(&mut self, record: &Record, status: u16, word: &Word) -> Option<String> {
        let success = (200..300).contains(&status);
        let envelope = match word {
            Word::Taken(envelope) if success => envelope.clone(),
            Word::Known(first) if success => Some(first.clone()),
            Word::Taken(_) | Word::Known(_) => return Some(format!("ANS: {status} says {word:?}")),
            Word::Conflict | Word::Refused => return None,
        };
        self.owed.insert(record.order.clone());
        let (quantity, known) =
            self.taken.entry(record.event.clone()).or_insert_with(|| (record.quantity, envelope.clone()));
        if *quantity != record.quantity {
            return Some(format!(
                "DED-1: event {} was taken with {quantity} pieces and is taken again with {}",
                record.event, record.quantity
            ));
        }
        if *known != envelope {
            return Some(format!("DED-1: event {} stands as {known:?} and as {envelope:?}", record.event));
        }
        None
    }
}

impl World {
    /// The request as a destination reads it.
    pub fn read(&self, destination: &'static str, request: &reqwest::Request) -> Sent {
        let header = |name: &str| {
            request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let bytes = request.body().and_then(|body| body.as_bytes()).unwrap_or_default();
        let body: serde_json::Value = serde_json::from_slice(bytes).unwrap_or_default();
        let order = ["/order/increment_id", "/increment_id"].iter().find_map(|at| body.pointer(at)?.as_str());
        let quantity = body
            .pointer("/lines/0/quantity")
            .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        let quantity = quantity.and_then(|text| text.split('.').next()?.parse().ok());
        let mut seal = DefaultHasher::new();
        let key = header("idempotency-key");
        (request.method().as_str(), request.url().as_str(), &key, header("content-type"), bytes).hash(&mut seal);
        Sent {
            destination,
            delivery: header("crossdock-delivery"),
            attempt: header("crossdock-attempt").parse().unwrap_or(0),
            order: order.unwrap_or_default().to_owned(),
            quantity: quantity.unwrap_or(0),
            sealed: seal.finish(),
            at: self.time.now(),
            key,
        }
    }

    /// A request leaves; `arrives` unless nobody is there. Answers whether its key was in doubt before.
    pub fn audit_leaving(&self, sent: &Sent, arrives: bool) -> bool {
        let mut found = Vec::new();
        let was_in_doubt = self.with(|state| {
            let auditor = &mut state.auditor;
            let effect = (sent.destination.to_owned(), sent.order.clone());
            let name = format!("{} {} attempt {}", sent.destination, sent.order, sent.attempt);
            if sent.order.is_empty() || sent.quantity == 0 || sent.key.is_empty() {
                found.push(format!("the request of {} cannot be read", sent.delivery));
            }
            if !auditor.contents.get(&sent.order).is_some_and(|known| known.contains(&sent.quantity)) {
                found.push(format!("{name} carries {} pieces, which nobody ordered", sent.quantity));
            }
            if !auditor.attempts.insert((sent.delivery.clone(), sent.attempt)) {
                found.push(format!("ATT-1: {name} leaves twice"));
            }
            if *auditor.seals.entry(sent.key.clone()).or_insert(sent.sealed) != sent.sealed {
                found.push(format!("KEY-5: {name} is not what was sealed for {}", short(&sent.key)));
            }
            let allowed = auditor.keys_allowed.get(&effect).copied().unwrap_or(1);
            let keys = auditor.keys.entry(effect).or_default();
            keys.insert(sent.key.clone());
            if keys.len() > allowed {
                found.push(format!("KEY-4: {name} has {} keys, {allowed} are allowed", keys.len()));
            }
            let blessed = auditor.blessed.contains(&sent.key);
            state.erp.requests.push(sent.clone());
            let there = state.erp.destinations.get_mut(sent.destination).expect("a known destination");
            if there.open.contains(&sent.order) {
                found.push(format!("LANE-1: {name} leaves while another of its lane is under way"));
            }
            let doubt = there.doubt.get(&sent.key).copied();
            if let Some(since) = doubt {
                let window = Micros::try_from(KEY_WINDOW.as_micros()).unwrap_or(Micros::MAX) / 10 * 9;
                if !there.honours_keys {
                    found.push(format!("UNC-5: {name} leaves although an earlier one may have been applied"));
                } else if sent.at > since + window + CLOCK_ERROR && !blessed {
                    found.push(format!("UNC-2: {name} leaves in doubt after its key window"));
                }
            }
            if let Some(other) = there.doubt.keys().find(|key| **key != sent.key && keys.contains(*key)) {
                found.push(format!("UNC-1: {name} leaves while {} of its lane is in doubt", short(other)));
            }
            if arrives {
                there.open.insert(sent.order.clone());
                there.doubt.entry(sent.key.clone()).or_insert(sent.at);
            }
            doubt.is_some()
        });
        for what in found {
            self.blame(what);
        }
        was_in_doubt
    }

    /// Somebody was answered.
    pub fn audit_answer(&self, request: &Request, status: u16, words: &[Word]) {
        let mut found = Vec::new();
        if request.forged {
            if (200..300).contains(&status) {
                found.push("SIG: a forged request was taken".to_owned());
            }
        } else if words.len() != request.records.len() {
            found.push(format!("ANS: {} records, {} results", request.records.len(), words.len()));
        } else {
            if matches!(status, 401 | 403 | 404 | 413 | 500) {
                found.push(format!("ANS: a good request is answered {status}"));
            }
            self.with(|state| {
                for (record, word) in request.records.iter().zip(words) {
                    found.extend(state.auditor.answer(record, status, word));
                }
            });
        }
        for what in found {
            self.blame(what);
        }
    }

    /// After a start: what was acknowledged and what was sent is in the store (P1, ATT-1).
    pub async fn check_kept(&self, service: &Service) {
        let envelopes: Vec<String> =
            self.with(|state| state.auditor.taken.values().filter_map(|(_, envelope)| envelope.clone()).collect());
        for envelope in envelopes {
            let Ok(id) = envelope.parse::<EnvelopeId>() else { continue };
            if matches!(service.store().event(id).await, Ok(None)) {
                self.blame(format!("P1: {envelope} was acknowledged and is gone"));
            }
        }
        let mut last: BTreeMap<String, u32> = BTreeMap::new();
        self.with(|state| {
            for (delivery, attempt) in &state.auditor.attempts {
                let known = last.entry(delivery.clone()).or_default();
                *known = (*known).max(*attempt);
            }
        });
        for (delivery, attempt) in last {
            let Ok(id) = delivery.parse::<DeliveryId>() else { continue };
            match service.store().delivery(id).await {
                Ok(Some(detail)) if detail.attempts_made.iter().any(|made| made.number == attempt) => {}
                Ok(_) => self.blame(format!("ATT-1: attempt {attempt} of {delivery} left and is not written down")),
                Err(_) => return,
            }
        }
    }

    /// In the end: everything that was acknowledged was made once, or given up by a person.
    pub async fn audit(self: &Arc<Self>, service: &Service) {
        self.check_kept(service).await;
        let mut found = self.effects();
        match service.store().ledger().await {
            Ok(ledger) => {
                let (least, most) = self.with(|state| (state.auditor.taken.len(), state.auditor.sent.len()));
                let accepted = usize::try_from(ledger.accepted).unwrap_or(usize::MAX);
                if accepted < least || accepted > most {
                    found.push(format!("P2: {accepted} accepted, {least} acknowledged, {most} sent"));
                }
                if ledger.difference() != 0 {
                    found.push(format!("P2: the ledger differs: {ledger:?}"));
                }
            }
            Err(error) => found.push(format!("P2: no ledger: {error}")),
        }
        match service.sqlite.verify().await {
            Ok(findings) => found.extend(findings.into_iter().map(|finding| format!("P2: {finding}"))),
            Err(error) => found.push(format!("P2: the store cannot be verified: {error}")),
        }
        if let Err(reason) = service.sqlite.health() {
            found.push(format!("RUN-3: not well in peace: {reason}"));
        }
        for what in found {
            self.blame(what);
        }
    }

    fn effects(&self) -> Vec<String> {
        self.with(|state| {
            let mut found = Vec::new();
            for (name, there) in &state.erp.destinations {
                let mut made: BTreeMap<&str, usize> = BTreeMap::new();
                for effect in &there.effects {
                    *made.entry(effect.by.order.as_str()).or_default() += 1;
                }
                for (order, count) in &made {
                    if *count > 1 {
                        found.push(format!("P3: order {order} was made {count} times at {name}"));
                    }
                }
                for order in &state.auditor.owed {
                    let given_up = state.auditor.given_up.contains(&((*name).to_owned(), order.clone()));
                    if !made.contains_key(order.as_str()) && !given_up {
                        found.push(format!("P1: order {order} was acknowledged and never made at {name}"));
                    }
                }
            }
            found
        })
    }
}
