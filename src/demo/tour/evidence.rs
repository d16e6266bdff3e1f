//! What is known after everything is settled: answers, store, and the ERP's own books.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::demo::erp::{Counts, Effect, StandInErp};
use crate::demo::samples::{SENDINGS, Sending};
use crate::demo::sender::Answer;
use crate::store::view::{ExceptionRow, Ledger, OrderDetail, Paging};
use crate::store::{EventFilter, ExceptionFilter, SharedStore};

/// More than the tour ever makes, so that one page holds everything.
const PAGE: Paging = Paging { limit: 200, cursor: None };

/// One request and its answer.
#[derive(Clone, Debug)]
pub struct Sent {
    /// What was sent.
    pub sending: &'static Sending,
    /// What came back; nothing where nothing was sent.
    pub answer: Option<Answer>,
}

/// Everything the verdict goes by.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// In the order sent.
    pub sent: Vec<Sent>,
    /// From the first byte sent until nothing was due.
    pub took: Duration,
    /// Each order of the samples by its number, as the store tells it.
    pub orders: BTreeMap<&'static str, Vec<OrderDetail>>,
    /// Open exceptions.
    pub open: Vec<ExceptionRow>,
    /// Events that came again, counted by the store.
    pub duplicates: u64,
    /// The store's sums.
    pub ledger: Ledger,
    /// What the ERP holds.
    pub effects: Vec<Effect>,
    /// The ERP's sums.
    pub counts: Counts,
}

impl Evidence {
    /// Asks the store and the ERP.
    pub(super) async fn gather(
        sent: Vec<Sent>,
        took: Duration,
        store: &SharedStore,
        erp: &StandInErp,
    ) -> anyhow::Result<Evidence> {
        let mut orders = BTreeMap::new();
        for sample in SENDINGS.iter().flat_map(|sending| sending.samples) {
            orders.insert(sample.increment_id, store.order(sample.increment_id.to_owned()).await?);
        }
        let events = store.events(EventFilter::default(), PAGE).await?.items;
        Ok(Evidence {
            sent,
            took,
            orders,
            open: store.exceptions(ExceptionFilter::default(), PAGE).await?.items,
            duplicates: events.iter().map(|event| event.duplicates).sum(),
            ledger: store.ledger().await?,
            effects: erp.effects(),
            counts: erp.counts(),
        })
    }

    /// The sales orders that the ERP holds for an order number.
    pub fn at_the_erp<'e>(&'e self, increment_id: &'e str) -> impl Iterator<Item = &'e Effect> {
        self.effects.iter().filter(move |effect| effect.reference.as_deref() == Some(increment_id))
    }

    /// Open exceptions of an order.
    pub fn open_of<'e>(&'e self, increment_id: &'e str) -> impl Iterator<Item = &'e ExceptionRow> {
        self.open.iter().filter(move |exception| exception.subject.increment_id == increment_id)
    }

    /// From the receipt of an order until the ERP had confirmed it, ascending; one for each order delivered.
    pub fn received_to_confirmed(&self) -> Vec<Duration> {
        let mut times: Vec<Duration> = self.orders.values().flatten().filter_map(confirmed_after).collect();
        times.sort_unstable();
        times
    }
}

fn confirmed_after(order: &OrderDetail) -> Option<Duration> {
    let received = order.events.first()?.received_at;
    let delivery = order.deliveries.iter().find(|delivery| delivery.delivery.state == "delivered")?;
    let confirmed = delivery.attempts_made.last()?.finished_at?;
    confirmed.duration_since(received).try_into().ok()
}

/// The document inside an effect; `null` when it is none.
pub(super) fn document(effect: &Effect) -> Value {
    serde_json::from_slice(&effect.body).unwrap_or(Value::Null)
}
