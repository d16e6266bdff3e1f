//! Every configured journal, read at once and then regularly, and at once when pushes are known to be lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::rules::Refused;
use super::{Positions, Read, Reader, Soon, TakeEvent, Trouble};
use crate::clock::{SharedClock, SharedEntropy};
use crate::intake::Intake;
use crate::observe::{Event, Observer};
use crate::store::running::Position;
use crate::store::{SharedStore, StoreError};

/// The first pause after a reading that came to no end; each one doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// The longest such pause.
const PAUSE_MAX: Duration = Duration::from_mins(5);

/// One journal and how often it is read.
pub struct Journal {
    /// The origin whose events it holds.
    pub origin: String,
    /// What reads it.
    pub reader: Reader,
    /// From one end to the next reading.
    pub every: Duration,
}

/// What reads the journals.
pub struct Journals {
    /// By origin.
    pub journals: Vec<Journal>,
    /// Where pushes are known to be lost.
    pub intake: Arc<Intake>,
    /// Rung for each of them: Commerce itself is to be searched.
    pub search: Arc<Notify>,
    /// Jitter.
    pub entropy: SharedEntropy,
    /// Logs and counts.
    pub observer: Arc<Observer>,
}

impl Journals {
    /// Reads until `stopping` resolves. A store that stopped ends it; nothing else does.
    pub async fn run(self, mut stopping: watch::Receiver<bool>) {
        let mut readings = tokio::task::JoinSet::new();
        let mut bells: BTreeMap<String, Arc<Notify>> = BTreeMap::new();
        for journal in self.journals {
            let bell = Arc::new(Notify::new());
            bells.insert(journal.origin.clone(), bell.clone());
            let (observer, entropy) = (self.observer.clone(), self.entropy.clone());
            readings.spawn(serve(journal, bell, observer, entropy, stopping.clone()));
        }
        loop {
            tokio::select! {
                missed = self.intake.missed_pushes.next() => {
                    missed.iter().filter_map(|origin| bells.get(origin)).for_each(|bell| bell.notify_one());
                    self.search.notify_one();
                }
                Some(ended) = readings.join_next() => if let Err(failed) = ended {
                    // The whole task ends with it, and whoever supervises it hears why.
                    std::panic::resume_unwind(failed.into_panic());
                },
                _ = stopping.changed() => break,
            }
        }
        while readings.join_next().await.is_some() {}
    }
}

async fn serve(
    journal: Journal,
    bell: Arc<Notify>,
    observer: Arc<Observer>,
    entropy: SharedEntropy,
    mut stopping: watch::Receiver<bool>,
) {
    let mut failures = 0_u32;
    while !*stopping.borrow() {
        let read = tokio::select! {
            // What was taken in and not counted as read is a duplicate the next time.
            _ = stopping.changed() => return,
            read = journal.reader.read() => read,
        };
        if matches!(read, Err(Trouble::Store(StoreError::Stopped))) {
            return;
        }
        observer.note(&told(&journal.origin, &read));
        failures = if read.is_ok() { 0 } else { failures.saturating_add(1) };
        let pause = match &read {
            Ok(read) => journal.every.max(read.pause.unwrap_or_default()),
            Err(trouble) => pause_after(trouble, failures, entropy.unit()),
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = bell.notified() => {}
            _ = stopping.changed() => return,
        }
    }
}

fn pause_after(trouble: &Trouble, failures: u32, jitter: f64) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    let asked = match trouble {
        Trouble::Refused(Refused::Status { retry_after, .. }) => retry_after.unwrap_or_default(),
        _ => Duration::ZERO,
    };
    doubled.min(PAUSE_MAX).mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0)).max(asked)
}

fn told<'a>(origin: &'a str, read: &Result<Read, Trouble>) -> Event<'a> {
    let (outcome, taken, detail) = match read {
        Ok(Read { gap: true, taken, .. }) => ("gap", *taken, String::new()),
        Ok(read) => ("done", read.taken, String::new()),
        Err(trouble @ Trouble::Refused(Refused::Unauthorized(_))) => ("unauthorized", 0, trouble.to_string()),
        Err(trouble @ Trouble::Refused(_)) => ("refused", 0, trouble.to_string()),
        Err(trouble @ Trouble::Unreachable(_)) => ("unreachable", 0, trouble.to_string()),
        Err(trouble @ Trouble::Store(_)) => ("store", 0, trouble.to_string()),
    };
    Event::JournalRead { origin, outcome, taken, detail }
}

/// Takes events in at an origin.
pub struct At {
    /// The way in.
    pub intake: Arc<Intake>,
    /// The origin's name.
    pub origin: String,
}

impl TakeEvent for At {
    fn take<'a>(&'a self, event: &'a [u8]) -> Soon<'a, (), StoreError> {
        Box::pin(async move { self.intake.take_journal_event(&self.origin, event).await.map(drop) })
    }
}

/// Keeps the position of an origin's journal in the store.
pub struct Kept {
    /// Where.
    pub store: SharedStore,
    /// When it got there.
    pub clock: SharedClock,
    /// The Commerce instance.
    pub system: String,
    /// The origin's name.
    pub origin: String,
}

impl Kept {
    fn kind(&self) -> String {
        format!("journal {}", self.origin)
    }
}

impl Positions for Kept {
    fn kept(&self) -> Soon<'_, Option<String>, StoreError> {
        Box::pin(async move {
            let kept = self.store.position(self.system.clone(), self.kind()).await?;
            Ok(kept.map(|kept| kept.position))
        })
    }

    fn keep<'a>(&'a self, position: &'a str) -> Soon<'a, (), StoreError> {
        let (system, kind) = (self.system.clone(), self.kind());
        let position = Position { system, kind, position: position.to_owned(), at: self.clock.now(), trouble: None };
        self.store.keep_position(position)
    }
}
