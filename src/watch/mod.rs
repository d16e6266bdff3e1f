//! What the service keeps an eye on while it runs: the clock, the disk, how long commits take, the mapping tables, the
//! destinations, storms of exceptions. One task each, and one file each; what they decide is a pure value beside them.
//!
//! A watcher that ends before the service stops ends the process (RUN-3). Deliberately absent: work on records.

pub mod clock;
pub mod commits;
pub mod disk;
mod mappings;
pub mod shedding;
pub mod starting;
pub mod storms;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::books;
use crate::clock::SharedClock;
use crate::delivery::Delivery;
use crate::incidents;
use crate::intake::load::Load;
use crate::observe::{Health, Observer, Opened};
use crate::processor::{Processor, Wake};
use crate::store::SharedStore;

/// What the watchers look at and tell.
pub struct Watched {
    /// Wall time.
    pub clock: SharedClock,
    /// Due times.
    pub store: SharedStore,
    /// The loop that is watched over.
    pub processor: Arc<Processor>,
    /// Destinations, held when a storm asks for it.
    pub delivery: Arc<Delivery>,
    /// Refuses intake.
    pub load: Arc<Load>,
    /// Is told.
    pub observer: Arc<Observer>,
    /// Is not ready.
    pub health: Arc<Health>,
    /// Asks the disk.
    pub disk: disk::Probe,
    /// Beside the store; released when the disk is full.
    pub ballast: Option<disk::Ballast>,
    /// Destinations of the routes that pause in a storm.
    pub pausing: Vec<storms::Pausing>,
    /// Exceptions as they open.
    pub opened: mpsc::Receiver<Opened>,
    /// Destinations in trouble.
    pub incidents: incidents::Watcher,
}

/// What a supervised task needs.
pub struct Supervisor {
    /// Set when the service stops.
    pub stopped: watch::Receiver<bool>,
    /// Ends the process.
    pub fatal: mpsc::UnboundedSender<String>,
}

/// Starts every task that runs for the life of the service.
pub fn start(watched: Watched, wake: Wake, supervisor: &Supervisor) -> Vec<JoinHandle<()>> {
    let Watched { clock, store, processor, delivery, load, observer, health, .. } = watched;
    // Before the first request, not a moment after it.
    if let Some(space) = (watched.disk)() {
        load.set_disk(disk::level(space));
    }
    let stopped = || supervisor.stopped.clone();
    let spawn = |name, task: JoinHandle<()>| supervised(name, task, supervisor, &health);
    vec![
        spawn("processor", tokio::spawn(processor.clone().run(wake, stopped()))),
        spawn("mappings", tokio::spawn(mappings::run(processor, observer.clone(), stopped()))),
        spawn(
            "books",
            tokio::spawn(
                books::Watch::new(store.clone(), clock.clone(), observer.clone(), health.clone()).run(stopped()),
            ),
        ),
        spawn("clock", tokio::spawn(clock::run(clock, store, observer.clone(), stopped()))),
        spawn("commits", tokio::spawn(commits::run(load.clone(), observer.clone(), health.clone(), stopped()))),
        spawn(
            "disk",
            tokio::spawn(disk::run(watched.disk, watched.ballast, load, observer.clone(), health.clone(), stopped())),
        ),
        spawn("storms", tokio::spawn(storms::run(watched.opened, watched.pausing, delivery, observer, stopped()))),
        spawn("incidents", tokio::spawn(watched.incidents.run(stopped()))),
    ]
}

/// A task whose end, before we stop, ends the process (RUN-3).
pub(crate) fn supervised(
    name: &'static str,
    task: JoinHandle<()>,
    supervisor: &Supervisor,
    health: &Arc<Health>,
) -> JoinHandle<()> {
    let (health, fatal, stopped) = (health.clone(), supervisor.fatal.clone(), supervisor.stopped.clone());
    tokio::spawn(async move {
        let ended = task.await;
        if *stopped.borrow() {
            return;
        }
        let how = ended.err().map_or_else(|| "ended".to_owned(), |error| error.to_string());
        health.task_died(name);
        let _ = fatal.send(format!("the internal task \"{name}\" {how}"));
    })
}

/// Where the ballast of a store lies.
pub fn ballast_path(store: &std::path::Path) -> PathBuf {
    let mut path = store.as_os_str().to_owned();
    path.push(".ballast");
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn run_3_a_dead_internal_task_ends_the_process_and_one_that_stops_in_order_does_not() {
        let health = Arc::new(Health::new());
        let (stop, stopped) = watch::channel(false);
        let (fatal, mut heard) = mpsc::unbounded_channel();
        let supervisor = Supervisor { stopped, fatal };
        let task = tokio::spawn(async { panic!("a bug") });
        supervised("clock", task, &supervisor, &health).await.unwrap();
        let told = heard.recv().await.unwrap();
        assert!(told.contains("\"clock\"") && told.contains("panicked"), "{told}");
        assert_eq!(health.not_live().unwrap().code, "task_died");
        stop.send(true).unwrap();
        supervised("disk", tokio::spawn(async {}), &supervisor, &health).await.unwrap();
        assert!(heard.try_recv().is_err());
    }
}
