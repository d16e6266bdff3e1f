//! Notices what a verb beside the service did to the mapping tables.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::observe::{Event, Observer};
use crate::processor::Processor;

const LOOK: Duration = Duration::from_secs(1);

pub(super) async fn run(processor: Arc<Processor>, observer: Arc<Observer>, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = stopped.changed() => return,
        }
        match processor.reload_mappings().await {
            Ok(true) => {
                observer.note(&Event::MappingsReloaded { version: processor.rules().mappings.version() });
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "the mapping tables could not be read; those in force stay"),
        }
    }
}
