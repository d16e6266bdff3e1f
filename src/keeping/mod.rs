//! What keeps a store over the years: copies on a schedule (BAK-1), retention (DAT-2), and what a restore asks for before
//! the service is ready (BAK-3).
//!
//! Two tasks of the service. [`backups`] copies the store beside the writer, proves each copy, removes old ones, and once
//! a day looks at everything in a copy. [`retention`] removes what is no longer needed, a few rows a transaction, and
//! gives way when the store is busy. [`after_restore`] runs once, before anything is sent.
//!
//! Deliberately absent: state of its own. Which copies there are, the folder says; how far retention got, the store says.

pub mod backups;
pub mod erased;
pub mod retention;

use std::path::PathBuf;

use crate::clock::Timestamp;
use crate::observe::{Event, Health, Observer};
use crate::store::write::Erasure;
use crate::store::{SharedStore, StoreError};

/// The reason in `/health/ready` until a restore is seen to.
const RESTORED: &str = "restored";

/// Nothing personal that was erased comes back with a copy: the list beside the wrapping key is applied again. Before
/// anything is sent; [`restored`] follows when what was open is settled.
///
/// # Errors
/// When the list cannot be read or the store cannot be written: a service that cannot do this must not start.
pub async fn after_restore(
    store: &SharedStore,
    lists: &[PathBuf],
    now: Timestamp,
    health: &Health,
) -> anyhow::Result<()> {
    let Some(restoration) = store.restoration() else { return Ok(()) };
    let detail = format!(
        "the store is a copy of {}; {} deliveries that were open in it are in doubt until their guards have settled them",
        restoration.copied_at, restoration.in_doubt
    );
    health.hold(RESTORED, &detail);
    tracing::warn!(detail, "a restored store is taken over");
    for entry in erased::all(lists)? {
        let erasure = Erasure {
            kind: entry.kind,
            id: entry.id,
            system: Some(entry.system),
            scope: Some(entry.scope),
            until: entry.until,
            even_if_open: true,
            now,
            act: None,
        };
        match store.erase(erasure).await {
            Ok(_) | Err(StoreError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// What was open in the copy has been settled or handed to its guard: the service may be ready.
///
/// # Errors
/// When the store cannot be written.
pub async fn restored(store: &SharedStore, health: &Health, observer: &Observer) -> anyhow::Result<()> {
    let Some(restoration) = store.restoration() else { return Ok(()) };
    store.restored().await?;
    health.clear(RESTORED);
    observer.note(&Event::Restored { copied_at: restoration.copied_at, in_doubt: restoration.in_doubt });
    Ok(())
}
