//! `crossdock migrate`: the store in this version's layout.

use clap::Args;

use super::{Outcome, Shared, open, print};

/// No arguments of its own.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  crossdock migrate --config crossdock.toml\n\n\
                        `serve` does the same at its start; this verb is for doing it before, or for a new store.")]
pub struct Migrate {}

/// Opening a store brings it up to date; this says what it is then.
pub async fn run(_: Migrate, shared: &Shared) -> anyhow::Result<Outcome> {
    let config = open::config(shared)?.config;
    let store = open::store(&config)?;
    let report = store.report();
    store.close().await?;
    if shared.json {
        print::json(&report)?;
    } else {
        let path = open::store_path(&config)?;
        let (engine, version) = (&report.engine, report.schema_version);
        print::out(&format!("{} has schema version {version} ({engine})\n", path.display()))?;
    }
    Ok(Outcome::Done)
}
