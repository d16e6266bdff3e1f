//! `crossdock demo`: the self-contained tour.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::Args;

use super::{Outcome, Shared, print};
use crate::demo::tour::Tour;
use crate::shutdown;

/// Where to, and whether to stay.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  crossdock demo --once\n\nIt makes its own keys, configuration and store, sends sample \
                        orders as Commerce and\nPatchworks would, and shows what the ERP gets. Nothing leaves this machine."
)]
pub struct Demo {
    /// End when everything is settled: exit code 0 if all came to what was expected, else 1
    #[arg(long)]
    once: bool,
    /// Keep the tour's files in a folder below this one [default: the folder for temporary files]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Takes the tour.
pub fn run(verb: &Demo, _: &Shared) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        if std::io::stderr().is_terminal() {
            eprintln!("Making keys, starting the service and a stand-in ERP on loopback …");
        }
        let tour = Tour::start(verb.dir.as_deref()).await?;
        let mut broken = None;
        let summary = tour
            .show(&mut |text| {
                if let Err(error) = print::out(text) {
                    broken.get_or_insert(error);
                }
            })
            .await?;
        if let Some(error) = broken {
            tour.stop().await;
            return Err(error);
        }
        if !verb.once {
            eprintln!("\nThe service stays up until Ctrl-C.");
            shutdown::requested().await;
            shutdown::exit_on_second_request();
        }
        let folder = tour.folder().to_owned();
        tour.stop().await;
        if verb.once && verb.dir.is_none() {
            // Nobody asked for the files and the service that used them is gone.
            let _ = std::fs::remove_dir_all(&folder);
        } else {
            eprintln!("Stopped. The tour's files stay in {}.", folder.display());
        }
        Ok(if summary.differences.is_empty() { Outcome::Done } else { Outcome::Findings })
    })
}
