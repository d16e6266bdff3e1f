//! `crossdock serve`: the service, until it is asked to stop.

use anyhow::Context as _;
use clap::Args;

use super::{Outcome, Shared, open};
use crate::app;

/// No arguments of its own.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  crossdock serve --config /etc/crossdock/crossdock.toml\n\n\
                        SIGTERM or Ctrl-C stops it in order; a second one at once, which is safe.")]
pub struct Serve {}

/// Serves.
pub fn run(_: &Serve, shared: &Shared) -> anyhow::Result<Outcome> {
    let loaded = open::config(shared)?;
    for warning in &loaded.warnings {
        tracing::warn!(detail = %warning, "the configuration works but should be looked at");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("the runtime could not be started")?.block_on(app::run(loaded))?;
    Ok(Outcome::Done)
}
