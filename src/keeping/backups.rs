//! The service's own copies of its store (BAK-1): made, proved, counted, removed when old.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::{SharedClock, Timestamp};
use crate::config::BackupSettings;
use crate::observe::{Event, Observer};
use crate::store::copies::{self, Copied};
use crate::store::seal::Keys;
use crate::store::{SharedStore, StoreError};

/// How often the time is compared with the schedule: by the wall clock, which may jump.
const LOOK: Duration = Duration::from_secs(5);
/// After a copy failed, the next try.
const AGAIN: Duration = Duration::from_mins(1);

/// What the task works with.
pub struct Backups {
    /// Where, how often, how long kept.
    pub settings: BackupSettings,
    /// The file to copy.
    pub path: PathBuf,
    /// The store that serves it.
    pub store: SharedStore,
    /// To look into copies.
    pub keys: Arc<Keys>,
    /// Now.
    pub clock: SharedClock,
    /// Is told.
    pub observer: Arc<Observer>,
}

impl Backups {
    /// Copies on schedule until the service stops. A copy that is due at the start is made soon after it.
    pub async fn run(self, mut stopped: watch::Receiver<bool>) {
        let mut last = copies::newest(&self.settings.dir).map(|(made, _)| made);
        if let Some(made) = last {
            self.observer.backup_is_from(made);
        }
        let mut wait = LOOK;
        loop {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = stopped.changed() => return,
            }
            wait = LOOK;
            let now = self.clock.now();
            if !is_due(last, self.settings.every, now) {
                continue;
            }
            match self.make(now).await {
                Ok(copied) => {
                    self.observer.note(&Event::BackupMade {
                        path: &copied.path.display().to_string(),
                        made_at: now,
                        bytes: copied.facts.bytes,
                        took: copied.took,
                    });
                    copies::prune(&self.settings.dir, self.settings.keep, now);
                    let first_of_the_day = last.is_none_or(|last| day(last) != day(now));
                    last = Some(now);
                    if first_of_the_day {
                        self.look_into(copied.path).await;
                    }
                }
                Err(error) => {
                    self.observer.note(&Event::BackupFailed { reason: &error.to_string() });
                    if matches!(error, StoreError::Corrupt(_)) {
                        self.look_at_the_store().await;
                    }
                    wait = AGAIN;
                }
            }
        }
    }

    async fn make(&self, now: Timestamp) -> Result<Copied, StoreError> {
        let (store, folder) = (self.path.clone(), self.settings.dir.clone());
        blocking(move || {
            std::fs::create_dir_all(&folder)
                .map_err(|reason| StoreError::Unusable(format!("{}: {reason}", folder.display())))?;
            copies::copy(&store, &folder.join(copies::name(now)), now, &mut |_, _| {})
        })
        .await
    }

    /// Once a day everything in a copy is compared with what it should be; the store itself is not held up by it.
    async fn look_into(&self, copy: PathBuf) {
        let keys = Arc::clone(&self.keys);
        let found = blocking(move || copies::findings(&copy, &keys)).await;
        let findings = found.unwrap_or_else(|error| vec![error.to_string()]);
        if let Some(first) = findings.first() {
            self.observer.note(&Event::CheckFailed { findings: findings.len() as u64, first });
        }
    }

    /// A copy that is not sound: is it the copy, or what was copied (BAK-4)?
    async fn look_at_the_store(&self) {
        match self.store.check().await {
            Ok(problems) if problems.is_empty() => {}
            Ok(problems) => {
                let first = would_restore(&problems.join("; "), &self.settings.dir);
                self.observer.note(&Event::CheckFailed { findings: problems.len() as u64, first: &first });
            }
            Err(error) => tracing::error!(%error, "the store could not be checked"),
        }
    }
}

/// What is wrong, and which copy a restore would use (BAK-4).
pub fn would_restore(problem: &str, folder: &Path) -> String {
    match copies::newest(folder) {
        Some((made, path)) => {
            format!("{problem}; keep the file and restore {} of {made}: crossdock restore", path.display())
        }
        None => format!("{problem}; keep the file; there is no copy in {}", folder.display()),
    }
}

fn is_due(last: Option<Timestamp>, every: Duration, now: Timestamp) -> bool {
    let every = i64::try_from(every.as_micros()).unwrap_or(i64::MAX);
    // A clock that went back must not put copies off.
    last.is_none_or(|last| now < last || now.as_microsecond() - last.as_microsecond() >= every)
}

fn day(at: Timestamp) -> i64 {
    at.as_second().div_euclid(86_400)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panicked| Err(StoreError::Query(panicked.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    #[test]
    fn bak_1_a_copy_is_due_by_the_wall_clock_and_a_clock_that_went_back_puts_none_off() {
        let (every, at) = (Duration::from_mins(15), |seconds: i64| from_micros(seconds * 1_000_000));
        assert!(is_due(None, every, at(0)));
        assert!(!is_due(Some(at(1_000)), every, at(1_899)));
        assert!(is_due(Some(at(1_000)), every, at(1_900)));
        assert!(is_due(Some(at(1_000)), every, at(999)));
    }
}
