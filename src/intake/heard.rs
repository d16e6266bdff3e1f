//! Who was heard lately and what came of it: by kind of record, and by why requests were refused.
//!
//! Counts are in memory and kept beside it every few seconds ([`Keeper`]), so that a restart goes on counting; a kill forgets the
//! last of them. Names are those of the configuration, kinds and reasons are ours: nothing that a sender writes is in it,
//! and there is only so much of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::answer::RecordStatus;
use crate::clock::{SharedClock, Timestamp};
use crate::envelope::ids::EnvelopeId;
use crate::store::running::Position;
use crate::store::{SharedStore, StoreError};

/// Where it is kept among the positions: of no system, so it is none of theirs.
const KEPT: (&str, &str) = ("", "heard");
/// How often it is kept while it changes.
const EVERY: Duration = Duration::from_secs(5);

/// What came of one kind of record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfKind {
    /// New ones.
    pub accepted: u64,
    /// Known ones, with the same content.
    pub duplicates: u64,
    /// Known ones, with other content.
    pub conflicts: u64,
    /// Such as could not be taken.
    pub rejected: u64,
    /// The last one.
    pub last_at: Timestamp,
    /// The event of the last that is stored.
    pub last_event: Option<EnvelopeId>,
}

/// Requests that were refused for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfReason {
    /// How many.
    pub count: u64,
    /// The last one.
    pub last_at: Timestamp,
}

/// What came from one origin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OfOrigin {
    /// By kind of record.
    pub kinds: BTreeMap<String, OfKind>,
    /// By reason.
    pub refused: BTreeMap<String, OfReason>,
    /// When a registration was last challenged.
    pub challenged_at: Option<Timestamp>,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    /// From when on it counts.
    pub since: Timestamp,
    /// By the origin's name.
    pub origins: BTreeMap<String, OfOrigin>,
}

/// The book that the way in writes.
#[derive(Debug)]
pub struct Heard {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    book: Book,
    changed: bool,
}

impl Heard {
    /// Nothing so far.
    pub fn new(now: Timestamp) -> Self {
        Heard { state: Mutex::new(State { book: Book { since: now, origins: BTreeMap::new() }, changed: false }) }
    }

    /// Goes on with what was kept. What cannot be read is begun anew: it is no record of anything else.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn open(store: &SharedStore, now: Timestamp) -> Result<Self, StoreError> {
        let heard = Heard::new(now);
        if let Some(book) = kept(store).await? {
            heard.state().book = book;
        }
        Ok(heard)
    }

    /// A record of that kind came, and this became of it.
    pub(super) fn took(
        &self,
        origin: &str,
        kind: &str,
        status: RecordStatus,
        event: Option<EnvelopeId>,
        at: Timestamp,
    ) {
        self.write(origin, |of_origin| {
            let of_kind = entry(&mut of_origin.kinds, kind);
            match status {
                RecordStatus::Accepted => of_kind.accepted += 1,
                RecordStatus::Duplicate => of_kind.duplicates += 1,
                RecordStatus::Conflict => of_kind.conflicts += 1,
                RecordStatus::Rejected => of_kind.rejected += 1,
            }
            of_kind.last_at = at;
            of_kind.last_event = event.or(of_kind.last_event);
        });
    }

    /// A request was refused whole.
    pub(super) fn refused(&self, origin: &str, reason: &str, at: Timestamp) {
        self.write(origin, |of_origin| {
            let of_reason = entry(&mut of_origin.refused, reason);
            of_reason.count += 1;
            of_reason.last_at = at;
        });
    }

    /// A registration was challenged, and we answered.
    pub(super) fn challenged(&self, origin: &str, at: Timestamp) {
        self.write(origin, |of_origin| of_origin.challenged_at = Some(at));
    }

    /// From when on it counts, and what came from one origin.
    pub fn of(&self, origin: &str) -> (Timestamp, OfOrigin) {
        let state = self.state();
        (state.book.since, state.book.origins.get(origin).cloned().unwrap_or_default())
    }

    fn write(&self, origin: &str, change: impl FnOnce(&mut OfOrigin)) {
        let mut state = self.state();
        change(entry(&mut state.book.origins, origin));
        state.changed = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Counts are whole after each line that changes them.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The book, if it changed since the last call.
    fn changed(&self) -> Option<Book> {
        let mut state = self.state();
        std::mem::take(&mut state.changed).then(|| state.book.clone())
    }
}

/// The entry of that name, without a text of its own where it is known.
fn entry<'m, V: Default>(map: &'m mut BTreeMap<String, V>, name: &str) -> &'m mut V {
    if !map.contains_key(name) {
        map.insert(name.to_owned(), V::default());
    }
    map.get_mut(name).expect("it was put there if it was not")
}

/// What was kept last, for a verb beside the service.
///
/// # Errors
/// When the store cannot be read.
pub async fn kept(store: &SharedStore) -> Result<Option<Book>, StoreError> {
    let position = store.position(KEPT.0.to_owned(), KEPT.1.to_owned()).await?;
    Ok(position.and_then(|position| serde_json::from_str(&position.position).ok()))
}

/// Keeps the book beside the memory.
pub struct Keeper {
    /// The book.
    pub heard: Arc<Heard>,
    /// Where it is kept.
    pub store: SharedStore,
    /// Now.
    pub clock: SharedClock,
}

impl Keeper {
    /// Keeps it until the service stops, and once more then.
    pub async fn run(self, mut stopped: watch::Receiver<bool>) {
        loop {
            let last = tokio::select! {
                () = tokio::time::sleep(EVERY) => false,
                _ = stopped.changed() => true,
            };
            if let Err(error) = self.keep().await {
                tracing::warn!(%error, "who was heard could not be kept now");
            }
            if last {
                return;
            }
        }
    }

    /// Keeps what changed.
    ///
    /// # Errors
    /// When the store cannot be written; it is kept the next time.
    pub async fn keep(&self) -> Result<(), StoreError> {
        let Some(book) = self.heard.changed() else { return Ok(()) };
        let position = Position {
            system: KEPT.0.to_owned(),
            kind: KEPT.1.to_owned(),
            position: serde_json::to_string(&book).unwrap_or_default(),
            at: self.clock.now(),
            trouble: None,
        };
        let kept = self.store.keep_position(position).await;
        if kept.is_err() {
            self.heard.state().changed = true;
        }
        kept
    }
}

/// What helps against a reason for which requests are refused.
pub fn remedy(reason: &str) -> &'static str {
    match reason {
        "missing" => "The request shows no credential: have the sender send what Verified by names.",
        "malformed" => {
            "The credential cannot be read: compare its form, such as hex or base64, with what the sender was told."
        }
        "stale" => {
            "Its time is more than five minutes from ours: set the clocks, or find what holds requests back on the way."
        }
        "wrong" => {
            "It was made with another key or over another body: add the sender's new key beside the old one, or find what on the \
             way changes bodies. A few of them may be strangers who try."
        }
        "recipient" => "Adobe signed it for another project: client_id is not that of the registration.",
        "doubled" => "A header that must be alone stands twice: look at the proxies on the way.",
        "unverifiable" => "Adobe's key could not be read: let this machine reach static.adobeioevents.com.",
        "unreadable" => "The body is no record that we know: see docs/patchworks for the shapes.",
        "unknown" => "The last part of the path is no kind of record: see openapi.yaml for those there are.",
        "too_large" => "The body is over body_bytes_max: send fewer records at a time, or raise it.",
        "too_fast" => "It is over the origin's rate: slow the sender down, or raise rate.",
        "timed_out" => "The body did not arrive in time: look at the way from the sender.",
        "overload" | "not_ready" => {
            "We could not take it just then; senders that try again lose nothing. See `crossdock doctor`."
        }
        _ => "The log says more.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    #[test]
    fn what_is_counted_is_kept_once_it_changed_and_read_again() {
        let heard = Heard::new(from_micros(1));
        assert_eq!(heard.changed(), None);
        heard.took("hooks", "order", RecordStatus::Accepted, None, from_micros(2));
        heard.took("hooks", "order", RecordStatus::Duplicate, None, from_micros(3));
        heard.refused("hooks", "wrong", from_micros(4));
        let book = heard.changed().expect("it changed");
        assert_eq!(heard.changed(), None);
        let read: Book = serde_json::from_str(&serde_json::to_string(&book).unwrap()).unwrap();
        assert_eq!(read, book);
        let (since, of_hooks) = heard.of("hooks");
        assert_eq!(
            (since, of_hooks.kinds["order"].accepted, of_hooks.kinds["order"].duplicates),
            (from_micros(1), 1, 1)
        );
        assert_eq!((of_hooks.refused["wrong"].count, of_hooks.kinds["order"].last_at), (1, from_micros(3)));
        assert_eq!(heard.of("never").1, OfOrigin::default());
    }
}
