//! Whatever a person has in hand, found and told: the likeliest first, and one sentence that says what comes next.
//!
//! Nothing personal is in an answer that was not in the lists already: an address leads to orders and is never repeated.

use serde::Serialize;

use super::story;
use crate::search::question::{self, Asked, OurId, Unusable};
use crate::store::finding::{COUNTED_MAX, Found, HeldUp, Question};
use crate::store::view::{DeliveryRow, EventRow, ExceptionRow, OrderDetail, OrderRow};
use crate::store::{Store, StoreError};
use crate::templates::segment;

/// Orders whose story is read for their sentence; the others say their state.
const TOLD_MAX: usize = 5;

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hit {
    /// `order`, `delivery`, `event`, `exception`, `exception_group`, `document`, `incident`.
    pub kind: &'static str,
    /// Its number or id.
    pub id: String,
    /// What it is, in a few words.
    pub title: String,
    /// Where it stands.
    pub sentence: String,
    /// Where it is read, below `/api/v1`.
    pub target: String,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// What comes next.
    pub sentence: String,
    /// The likeliest first.
    pub items: Vec<Hit>,
    /// Always `null`: an answer is whole, or names a list that goes on.
    pub next_cursor: Option<String>,
    /// Events that the index has not come to yet; addresses, SKUs, keys and senders' ids of those are not found.
    pub behind: u64,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The text cannot be looked for.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Looks for a text.
///
/// # Errors
/// When the text cannot be looked for, or the store does not answer.
pub async fn find(store: &dyn Store, text: &str) -> Result<Answer, NoAnswer> {
    let mut teller = Teller { store, items: Vec::new(), told: 0 };
    let (sentence, behind) = match question::read(text)? {
        Asked::Id(id) => (teller.by_id(id).await?, 0),
        Asked::BrokenId(name) => {
            (format!("This begins like the id of {name}, and is not a whole one: copy it again."), 0)
        }
        Asked::Text(question) => {
            let found = store.find(question.clone()).await?;
            (teller.tell(&question, &found).await?, found.behind)
        }
    };
    Ok(Answer { sentence, items: teller.items, next_cursor: None, behind })
}

struct Teller<'s> {
    store: &'s dyn Store,
    items: Vec<Hit>,
    told: usize,
}

impl Teller<'_> {
    async fn by_id(&mut self, id: OurId) -> Result<String, StoreError> {
        let absent = |name: String| format!("There is no {name} in this store; is it of another installation?");
        Ok(match id {
            OurId::Event(id) => match self.store.event(id).await? {
                Some(event) => self.event(&event).await?,
                None => absent(format!("event {id}")),
            },
            OurId::Delivery(id) => match self.store.delivery(id).await? {
                Some(detail) => self.delivery(&detail.delivery).await?,
                None => absent(format!("delivery {id}")),
            },
            OurId::Exception(id) => match self.store.exception(id).await? {
                Some(exception) => self.exception(&exception).await?,
                None => absent(format!("exception {id}")),
            },
            OurId::Document(id) => match self.store.document(id).await? {
                Some(document) => {
                    let sentence = format!("Made for {} at {}.", document.destination, document.created_at);
                    let title = format!("Document {} for {}", document.kind, document.destination);
                    self.add("document", id.to_string(), title, sentence.clone(), format!("/documents/{id}"));
                    match self.store.event(document.envelope_id).await? {
                        Some(event) => self.event(&event).await?,
                        None => sentence,
                    }
                }
                None => absent(format!("document {id}")),
            },
            OurId::Incident(id) => {
                let known = self.store.incidents().await?.into_iter().find(|incident| incident.id == id);
                match known {
                    Some(incident) => {
                        let sentence = match incident.ended_at {
                            Some(at) => format!("The trouble of {} ended at {at}.", incident.destination),
                            None => format!("{} is in trouble: {}.", incident.destination, stop(&incident.why)),
                        };
                        let title = format!("Incident of {}", incident.destination);
                        self.add("incident", id.to_string(), title, sentence.clone(), format!("/incidents/{id}"));
                        sentence
                    }
                    None => absent(format!("incident {id}")),
                }
            }
        })
    }

    /// The likeliest meaning first; the sentence is about the first that is met.
    async fn tell(&mut self, question: &Question, found: &Found) -> Result<String, StoreError> {
        let mut sentences = Vec::new();
        for order in found.orders.iter().chain(&found.prefixed) {
            sentences.push(self.order(order).await?);
        }
        for delivery in found.receipts.iter().chain(&found.keyed) {
            sentences.push(self.delivery(delivery).await?);
        }
        for event in &found.traced {
            sentences.push(self.event(event).await?);
        }
        if found.email.count > 0 {
            let mut newest = String::new();
            for order in &found.email.newest {
                let told = self.order(order).await?;
                newest = if newest.is_empty() { told } else { newest };
            }
            sentences.push(match found.email.count {
                1 => format!("This buyer has one order here. {newest}"),
                count => format!("This buyer has {} here, the newest first. {newest}", orders(count)),
            });
        }
        if found.sku.count > 0 || !found.parked.is_empty() {
            sentences.push(self.item(found).await?);
        }
        for order in &found.parts {
            let told = self.order(order).await?;
            if sentences.is_empty() {
                sentences.push(format!("No order has exactly this number; others have it in theirs. {told}"));
            }
        }
        Ok(sentences.into_iter().next().unwrap_or_else(|| nothing(question, found.behind)))
    }

    /// How many orders have it, and what waits because of it.
    async fn item(&mut self, found: &Found) -> Result<String, StoreError> {
        for cause in &found.parked {
            self.held_up(cause);
        }
        let mut newest = String::new();
        for order in &found.sku.newest {
            let told = self.order(order).await?;
            newest = if newest.is_empty() { told } else { newest };
        }
        let are_in = match found.sku.count {
            0 => "No order with this item is indexed".to_owned(),
            count => format!("This item is in {}", orders(count)),
        };
        Ok(match found.parked.first() {
            None => format!("{are_in}; nothing waits for a person because of it. The newest: {newest}"),
            Some(cause) => {
                let wait = if cause.orders == 1 { "waits" } else { "wait" };
                let more = match found.parked.len() {
                    1 => String::new(),
                    causes => format!(" and {} causes more", causes - 1),
                };
                format!(
                    "{are_in}; {} {wait} for a person because of it ({}{more}). {}, then release the group {}.",
                    orders(cause.orders),
                    cause.code,
                    stop(&cause.remedy),
                    cause.fingerprint
                )
            }
        })
    }

    fn held_up(&mut self, cause: &HeldUp) {
        let title = format!("{} with one cause ({})", orders(cause.orders), cause.code);
        let sentence = format!("{}. {}.", stop(&cause.message), stop(&cause.remedy));
        let target = format!("/exceptions?fingerprint={}", segment(&cause.fingerprint));
        self.add("exception_group", cause.fingerprint.clone(), title, sentence, target);
    }

    async fn order(&mut self, order: &OrderRow) -> Result<String, StoreError> {
        let target = format!(
            "/orders/{}?system={}&store_id={}",
            segment(&order.increment_id),
            segment(&order.system),
            segment(&order.store_id)
        );
        if let Some(known) = self.items.iter().find(|hit| hit.target == target) {
            return Ok(known.sentence.clone());
        }
        let mut sentence = format!("Order {} is {}.", order.increment_id, order.state);
        if self.told < TOLD_MAX {
            self.told += 1;
            let stories = self.store.order(order.increment_id.clone()).await?;
            if let Some(detail) = stories.iter().find(|detail| is_same(detail, order)) {
                sentence = story::sentence(detail);
            }
        }
        let store = if order.store_id.is_empty() { String::new() } else { format!(", store {}", order.store_id) };
        let title = format!("Order {} ({}{store})", order.increment_id, order.system);
        self.add("order", order.increment_id.clone(), title, sentence.clone(), target);
        Ok(sentence)
    }

    /// The order that something is about.
    async fn order_of(
        &mut self,
        kind: &str,
        system: &str,
        scope: &str,
        id: &str,
    ) -> Result<Option<String>, StoreError> {
        if kind != "order" {
            return Ok(None);
        }
        let stories = self.store.order(id.to_owned()).await?;
        let theirs = stories.into_iter().find(|detail| detail.order.system == system && detail.order.store_id == scope);
        match theirs {
            Some(detail) => Ok(Some(self.order(&detail.order).await?)),
            None => Ok(None),
        }
    }

    async fn delivery(&mut self, delivery: &DeliveryRow) -> Result<String, StoreError> {
        let id = delivery.id.to_string();
        let receipt = delivery.receipt.as_deref().map(|receipt| format!(" as {receipt}")).unwrap_or_default();
        let sentence = format!(
            "The delivery of {} {} to {} is {}{receipt}.",
            delivery.subject_kind,
            delivery.subject_id,
            delivery.destination,
            delivery.state.replace('_', " ")
        );
        let title = format!("Delivery to {} ({})", delivery.destination, delivery.purpose);
        self.add("delivery", id.clone(), title, sentence.clone(), format!("/deliveries/{id}"));
        let DeliveryRow { subject_kind, system, subject_scope, subject_id, .. } = delivery;
        let of_order = self.order_of(subject_kind, system, subject_scope, subject_id).await?;
        Ok(of_order.unwrap_or(sentence))
    }

    async fn event(&mut self, event: &EventRow) -> Result<String, StoreError> {
        let id = event.id.to_string();
        let sentence = story::explain(event);
        let title = format!("Event of {} ({} {})", event.origin, event.kind, event.subject_id);
        self.add("event", id.clone(), title, sentence.clone(), format!("/events/{id}"));
        let EventRow { subject_kind, system, subject_scope, subject_id, .. } = event;
        let of_order = self.order_of(subject_kind, system, subject_scope, subject_id).await?;
        Ok(of_order.unwrap_or(sentence))
    }

    async fn exception(&mut self, exception: &ExceptionRow) -> Result<String, StoreError> {
        let id = exception.id.to_string();
        let sentence = if exception.is_waiting() {
            format!("{}. {}, then replay {id}.", stop(&exception.message), stop(&exception.remedy))
        } else {
            let how = exception.resolution.as_deref().unwrap_or("without words");
            format!("It is {}: {}.", exception.state, stop(how))
        };
        let title = format!("Exception {} ({})", exception.code, exception.state);
        self.add("exception", id.clone(), title, sentence.clone(), format!("/exceptions/{id}"));
        let about = &exception.subject;
        self.order_of(&about.kind, &about.system, &about.store_id, &about.increment_id).await?;
        Ok(sentence)
    }

    fn add(&mut self, kind: &'static str, id: String, title: String, sentence: String, target: String) {
        if !self.items.iter().any(|hit| hit.target == target) {
            self.items.push(Hit { kind, id, title, sentence, target });
        }
    }
}

fn is_same(detail: &OrderDetail, order: &OrderRow) -> bool {
    detail.order.system == order.system && detail.order.store_id == order.store_id
}

/// Without the full stop, so that the sentence can go on.
fn stop(text: &str) -> &str {
    text.trim_end().trim_end_matches('.')
}

fn orders(count: u64) -> String {
    match count {
        1 => "1 order".to_owned(),
        count if count > COUNTED_MAX => format!("more than {COUNTED_MAX} orders"),
        count => format!("{count} orders"),
    }
}

/// What was looked for, and what to try.
fn nothing(question: &Question, behind: u64) -> String {
    let mut as_what = Vec::new();
    let mut tried = |asked: bool, name: &'static str| as_what.extend(asked.then_some(name));
    tried(!question.numbers.is_empty(), "an order number");
    tried(question.part.is_some(), "a part of one");
    tried(question.receipt.is_some(), "a destination's number");
    tried(question.email.is_some(), "a buyer's address");
    tried(question.sku.is_some(), "a SKU");
    tried(question.key.is_some(), "an idempotency key");
    tried(question.trace.is_some(), "a sender's id");
    let hint = if behind > 0 {
        format!("{behind} events are not in the index yet: try again in a moment")
    } else if question.email.is_some() {
        "What was erased, or whose retention is over, is not found by its buyer: try the order number".to_owned()
    } else {
        "Try the last digits of the order number, or the whole SKU; `crossdock catchup` says whether Commerce's newest \
         order is here"
            .to_owned()
    };
    format!("Nothing was found as {}. {hint}.", as_what.join(", "))
}
