//! Looks at every destination once a second and writes down what becomes of its troubles.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::rules::{Change, Seen, Tracker};
use crate::clock::{SharedClock, SharedEntropy, Timestamp, later};
use crate::delivery::{Delivery, DestinationState, DestinationStatus};
use crate::envelope::ids::IncidentId;
use crate::observe::{Event, Observer};
use crate::store::running::{Incident, Standing, Trouble};
use crate::store::{SharedStore, StoreError};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Destinations that are well are asked for their backlog every so many looks.
const WELL_EVERY: u64 = 5;
/// A rate is written down every so many looks.
const WRITE_EVERY: u64 = 5;
/// Due for longer than this: overdue.
const OVERDUE: Duration = Duration::from_secs(10);

/// Watches destinations.
pub struct Watcher {
    store: SharedStore,
    clock: SharedClock,
    entropy: SharedEntropy,
    delivery: Arc<Delivery>,
    observer: Arc<Observer>,
    born: Instant,
    looks: u64,
    destinations: HashMap<String, Watched>,
}

#[derive(Default)]
struct Watched {
    tracker: Tracker,
    incident: Option<Incident>,
    /// What could not be written yet, the oldest first; the incident of now may be among them.
    unwritten: Vec<Incident>,
}

impl Watcher {
    /// Takes up what an earlier process left open.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn new(
        store: SharedStore,
        clock: SharedClock,
        entropy: SharedEntropy,
        delivery: Arc<Delivery>,
        observer: Arc<Observer>,
    ) -> Result<Self, StoreError> {
        let mut destinations: HashMap<String, Watched> =
            delivery.status().into_iter().map(|status| (status.name, Watched::default())).collect();
        for incident in store.incidents().await?.into_iter().filter(|incident| incident.ended_at.is_none()) {
            match destinations.get_mut(&incident.destination) {
                Some(watched) => {
                    watched.tracker = Tracker::in_trouble(incident.kind);
                    let incident = Incident { reopened_at: None, drain_per_minute: None, drained_at: None, ..incident };
                    watched.incident = Some(incident);
                }
                // No longer configured: what waited for it is with a person.
                None => store.write_incident(Incident { ended_at: Some(clock.now()), ..incident }).await?,
            }
        }
        Ok(Watcher { store, clock, entropy, delivery, observer, born: Instant::now(), looks: 0, destinations })
    }

    /// Until the service stops.
    pub async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        while !*stopped.borrow() {
            match self.look().await {
                Ok(()) => {}
                Err(StoreError::Stopped) => return,
                Err(error) => tracing::warn!(%error, "an incident could not be written down yet"),
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = stopped.changed() => return,
            }
        }
    }

    /// One look at all of them.
    ///
    /// # Errors
    /// When the store cannot be read or written; what is not written yet is written at a later look.
    pub async fn look(&mut self) -> Result<(), StoreError> {
        self.looks += 1;
        for status in self.delivery.status() {
            let Some(mut watched) = self.destinations.remove(&status.name) else { continue };
            let looked = self.look_at(&status, &mut watched).await;
            self.destinations.insert(status.name, watched);
            looked?;
        }
        Ok(())
    }

    async fn look_at(&self, status: &DestinationStatus, watched: &mut Watched) -> Result<(), StoreError> {
        while let Some(incident) = watched.unwritten.first() {
            self.store.write_incident(incident.clone()).await?;
            watched.unwritten.remove(0);
        }
        let well = status.state == DestinationState::Open && !watched.tracker.is_in_trouble();
        if well && !self.looks.is_multiple_of(WELL_EVERY) {
            return Ok(());
        }
        let now = self.clock.now();
        let standing = self.store.standing(status.name.clone()).await?;
        let seen = Seen {
            state: &status.state,
            pause_left: pause_left(&status.state, now),
            waiting: standing.waiting,
            proven: status.settled_last_minute > 0 || standing.waiting + standing.in_flight == 0,
            overdue: standing.oldest_due_at.is_some_and(|due_at| later(due_at, OVERDUE) <= now),
        };
        let changes = watched.tracker.look(self.born.elapsed(), &seen);
        let mut write = !changes.is_empty();
        for change in changes {
            self.follow(change, status, &standing, watched, now);
        }
        if let Some(incident) = &mut watched.incident {
            incident.waiting_most = incident.waiting_most.max(standing.waiting);
            let drain = watched.tracker.drain();
            incident.drain_per_minute = drain.map(|drain| drain.per_minute);
            incident.drained_at = drain.map(|drain| later(now, drain.left));
            write |= self.looks.is_multiple_of(WRITE_EVERY);
            if write {
                watched.unwritten.retain(|known| known.id != incident.id);
                watched.unwritten.push(incident.clone());
            }
        }
        while let Some(incident) = watched.unwritten.first() {
            self.store.write_incident(incident.clone()).await?;
            watched.unwritten.remove(0);
        }
        Ok(())
    }

    fn follow(
        &self,
        change: Change,
        status: &DestinationStatus,
        standing: &Standing,
        watched: &mut Watched,
        now: Timestamp,
    ) {
        match (change, &mut watched.incident) {
            (Change::Opened(kind), _) => {
                let why = why(kind, status);
                self.observer.note(&Event::IncidentOpened {
                    destination: &status.name,
                    kind: kind.as_str(),
                    why: &why,
                    waiting: standing.waiting,
                });
                watched.incident = Some(Incident {
                    id: IncidentId::new(now, self.entropy.as_ref()),
                    destination: status.name.clone(),
                    kind,
                    why,
                    opened_at: now,
                    reopened_at: None,
                    ended_at: None,
                    waiting_most: standing.waiting,
                    drain_per_minute: None,
                    drained_at: None,
                });
            }
            (Change::Shut(kind), Some(incident)) => {
                incident.reopened_at = None;
                if kind >= incident.kind {
                    (incident.kind, incident.why) = (kind, why(kind, status));
                }
            }
            (Change::Reopened, Some(incident)) => incident.reopened_at = Some(now),
            (Change::Ended, Some(incident)) => {
                incident.ended_at = Some(now);
                (incident.drain_per_minute, incident.drained_at) = (None, None);
                self.observer.note(&Event::IncidentEnded {
                    destination: &status.name,
                    kind: incident.kind.as_str(),
                    lasted: Duration::try_from(now.duration_since(incident.opened_at)).unwrap_or_default(),
                });
                let ended = watched.incident.take();
                watched.unwritten.extend(ended);
            }
            (Change::Shut(_) | Change::Reopened | Change::Ended, None) => {}
        }
    }
}

fn pause_left(state: &DestinationState, now: Timestamp) -> Duration {
    match state {
        DestinationState::Paused { until } => Duration::try_from(until.duration_since(now)).unwrap_or_default(),
        DestinationState::Open
        | DestinationState::HalfOpen
        | DestinationState::Broken { .. }
        | DestinationState::Closed { .. }
        | DestinationState::Held { .. } => Duration::ZERO,
    }
}

fn why(kind: Trouble, status: &DestinationStatus) -> String {
    let last = status.last_failure.as_deref();
    match (kind, &status.state) {
        (_, DestinationState::Held { reason }) => reason.clone(),
        (Trouble::Paused, _) => "it asks us to wait".to_owned(),
        (Trouble::Backlog, _) => "more arrives for it than it takes".to_owned(),
        (Trouble::Broken | Trouble::Held, _) => match last {
            Some(last) => format!("it fails again and again; the last time: {last}"),
            None => "it fails again and again".to_owned(),
        },
    }
}
