//! The job that removes what is no longer needed (DAT-2): small transactions, with pauses, and longer ones when the store
//! is busy.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::clock::{SharedClock, Timestamp, earlier};
use crate::config::RetentionSettings;
use crate::observe::{Event, Observer};
use crate::store::view::Retired;
use crate::store::write::Retire;
use crate::store::{SharedStore, StoreError};

/// Rows of each walk that one transaction looks at.
const ROWS: u32 = 64;
/// Between two transactions while there is more to do: a few thousand rows a second at most.
const PAUSE: Duration = Duration::from_millis(25);
/// … when the last one waited for others.
const PAUSE_UNDER_LOAD: Duration = Duration::from_secs(1);
/// A transaction that took longer waited for others.
const SLOW: Duration = Duration::from_millis(50);
/// Between two rounds.
const ROUND: Duration = Duration::from_mins(10);

/// What the task works with.
pub struct Retention {
    /// How long what is kept.
    pub settings: RetentionSettings,
    /// Where.
    pub store: SharedStore,
    /// Now.
    pub clock: SharedClock,
    /// Is told.
    pub observer: Arc<Observer>,
}

impl Retention {
    /// Goes round until the service stops.
    pub async fn run(self, mut stopped: watch::Receiver<bool>) {
        let mut sum = Retired::default();
        loop {
            let began = Instant::now();
            let now = self.clock.now();
            let pause = match self.store.retire(slice(&self.settings, now)).await {
                Ok(retired) => {
                    sum.bodies += retired.bodies;
                    sum.attempts += retired.attempts;
                    match (retired.more, began.elapsed() > SLOW) {
                        (true, false) => PAUSE,
                        (true, true) => PAUSE_UNDER_LOAD,
                        (false, _) => {
                            self.tell(&std::mem::take(&mut sum));
                            ROUND
                        }
                    }
                }
                Err(StoreError::Busy) => PAUSE_UNDER_LOAD,
                Err(StoreError::Stopped) => return,
                Err(error) => {
                    tracing::warn!(%error, "nothing could be removed now");
                    ROUND
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stopped.changed() => return,
            }
        }
    }

    fn tell(&self, removed: &Retired) {
        if removed.bodies + removed.attempts > 0 {
            self.observer.note(&Event::Retired { bodies: removed.bodies, attempts: removed.attempts });
        }
    }
}

/// What may leave at `now`.
pub fn slice(settings: &RetentionSettings, now: Timestamp) -> Retire {
    Retire {
        now,
        bodies_before: earlier(now, settings.payloads),
        attempts_before: earlier(now, settings.attempts),
        rows: ROWS,
    }
}
