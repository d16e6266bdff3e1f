//! The task that writes the index behind the events.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::terms;
use crate::clock::SharedClock;
use crate::store::finding::Indexed;
use crate::store::{SharedStore, StoreError};

/// Rows of each kind that one transaction covers: a few milliseconds of the writer, which an order may have to wait for.
const ROWS: u32 = 64;
/// Between two looks when there was nothing more.
const LOOK: Duration = Duration::from_secs(1);
/// Least pause while there is more.
const PAUSE: Duration = Duration::from_millis(25);
/// So many times as long as a slice took, the next one waits: intake and delivery keep the machine.
const SHARE: u32 = 9;
/// Longest pause while there is more.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// After a failure.
const AGAIN: Duration = Duration::from_secs(10);

/// Follows the store's rows.
pub struct Indexer {
    /// What is indexed.
    pub store: SharedStore,
    /// Now.
    pub clock: SharedClock,
}

impl Indexer {
    /// Works until the service stops. A slice that was not written is the next one again.
    pub async fn run(self, mut stopped: watch::Receiver<bool>) {
        loop {
            let began = Instant::now();
            let pause = match self.step().await {
                Ok(true) => (began.elapsed() * SHARE).clamp(PAUSE, PAUSE_MAX),
                Ok(false) | Err(StoreError::Busy) => LOOK,
                Err(StoreError::Stopped) => return,
                Err(error) => {
                    tracing::warn!(%error, "what records are found by could not be written now");
                    AGAIN
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stopped.changed() => return,
            }
        }
    }

    /// One slice; whether there may be more right now.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn step(&self) -> Result<bool, StoreError> {
        let mut slice = self.store.unindexed(ROWS).await?;
        if slice.from == slice.to {
            return Ok(false);
        }
        let bodies = std::mem::take(&mut slice.bodies);
        // Reading some hundred bodies takes milliseconds: not on a thread that serves.
        let terms = tokio::task::spawn_blocking(move || terms::of_all(&bodies)).await;
        let terms = terms.map_err(|panicked| StoreError::Query(panicked.to_string()))?;
        let more = slice.more;
        let written = self.store.index(Indexed { slice, terms, at: self.clock.now() }).await?;
        Ok(more || !written)
    }
}
