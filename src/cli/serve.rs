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
    without_huge_pages();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("the runtime could not be started")?.block_on(app::run(loaded))?;
    Ok(Outcome::Done)
}

/// A page of 2 MB that holds a few live bytes cannot be given back: with huge pages the service came to 80 MB under load,
/// without them to 61 (decision 0077).
fn without_huge_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "the system does not say whether memory comes in huge pages");
    }
}
