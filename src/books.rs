//! Keeps an eye on the books while the service runs: the ledger adds up (P2), no unfinished envelope is silent (P6), and
//! answers kept for repeats go when their time is over (API-2).
//!
//! What it finds is an event, a note on the health page and a metric; it repairs nothing, and the service goes on:
//! whatever is wrong with the books, orders are better delivered than refused.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::SharedClock;
use crate::observe::{Event, Health, Observer};
use crate::store::{SharedStore, StoreError};

/// How often the books are looked at.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// Unfinished envelopes looked at in one question, and questions in one look; a long backlog takes several looks.
const SLICE: u32 = 5_000;
const SLICES_MAX: u32 = 20;

/// The watch over one store.
pub struct Watch {
    store: SharedStore,
    clock: SharedClock,
    observer: Arc<Observer>,
    health: Arc<Health>,
    /// Where the walk through unfinished envelopes goes on, and what it found so far.
    after: i64,
    found: u64,
}

impl Watch {
    /// Begins at the oldest unfinished envelope.
    pub fn new(store: SharedStore, clock: SharedClock, observer: Arc<Observer>, health: Arc<Health>) -> Self {
        Watch { store, clock, observer, health, after: 0, found: 0 }
    }

    /// Looks every minute until told to stop.
    pub async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        loop {
            match self.look().await {
                Ok(()) | Err(StoreError::Stopped) => {}
                Err(error) => tracing::warn!(reason = %error, "the books could not be looked at"),
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                _ = stopped.changed() => return,
            }
        }
    }

    /// One look.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn look(&mut self) -> Result<(), StoreError> {
        self.balance().await?;
        self.listen().await?;
        while self.store.sweep_answers(self.clock.now()).await? > 0 {}
        Ok(())
    }

    /// P2.
    async fn balance(&self) -> Result<(), StoreError> {
        let by = self.store.ledger().await?.difference();
        if by == 0 {
            self.health.clear_note("ledger");
        } else {
            self.observer.note(&Event::LedgerDiffers { by });
            self.health.note("ledger", format!("the ledger differs by {by}: keep the file, run doctor --recount"));
        }
        Ok(())
    }

    /// P6.
    async fn listen(&mut self) -> Result<(), StoreError> {
        for _ in 0..SLICES_MAX {
            let slice = self.store.silent_envelopes(self.after, SLICE).await?;
            if let Some(example) = slice.silent.first() {
                self.found += slice.silent.len() as u64;
                self.observer.note(&Event::EnvelopesSilent { count: slice.silent.len() as u64, example: *example });
            }
            self.after = slice.next.unwrap_or(0);
            if self.found > 0 || slice.next.is_none() {
                self.tell(self.found);
            }
            if slice.next.is_none() {
                self.found = 0;
                return Ok(());
            }
        }
        Ok(())
    }

    fn tell(&self, silent: u64) {
        self.observer.metrics().set_silent(silent);
        if silent == 0 {
            self.health.clear_note("silent_envelopes");
        } else {
            let detail = format!("{silent} unfinished events have neither a due time nor an exception: run doctor");
            self.health.note("silent_envelopes", detail);
        }
    }
}

#[cfg(test)]
mod tests;
