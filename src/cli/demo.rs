//! `crossdock demo`: the self-contained tour.

use std::future::Future;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::{Outcome, Shared, print};
use crate::demo::tour::{Ended, Folder, Summary, Tour};
use crate::shutdown;

/// Where to, and whether to stay.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  crossdock demo\n  crossdock demo --once --dir /tmp/tour\n\nIt makes its own keys, \
                        configuration and store, sends sample orders as Commerce and\nPatchworks would, and shows what \
                        the ERP gets. Nothing leaves this machine.\nIt stays up for you to try things until Ctrl-C. \
                        Exit code 1 when anything was not as expected."
)]
pub struct Demo {
    /// End when everything is settled: exit code 0 if all came to what was expected, else 1
    #[arg(long)]
    once: bool,
    /// Keep the tour's files in a new folder below this one [default: the folder for temporary files]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Takes the tour.
pub fn run(verb: &Demo, shared: &Shared) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("the runtime could not be started")?.block_on(async {
        // Files nobody asked for go with the run that used them.
        let folder = Folder::new(verb.dir.as_deref(), !verb.once || verb.dir.is_some())?;
        let asked = shutdown::requested();
        tokio::pin!(asked);
        let steps = Steps::new();
        let say = |step: &str| steps.say(step);
        let mut tour = tokio::select! {
            biased;
            () = &mut asked => return Ok(interrupted(&steps)),
            tour = Tour::start(folder, &say) => tour?,
        };
        let taken = tokio::select! {
            biased;
            () = &mut asked => None,
            shown = show(&mut tour, verb, shared, &steps) => Some(shown),
        };
        let outcome = match taken {
            None => Ok(interrupted(&steps)),
            Some(Ok(summary)) if verb.once => Ok(outcome(&summary)),
            Some(Ok(summary)) => stay(&mut tour, asked).await.map(|()| outcome(&summary)),
            Some(Err(error)) => Err(error),
        };
        shutdown::exit_on_second_request();
        let folder = tour.stop().await;
        if folder.is_kept() {
            eprintln!("Stopped. The tour's files stay in {}.", folder.path().display());
        }
        outcome
    })
}

/// Takes it and prints it; all of it at once, so that a reader sees orders and figures of one moment.
async fn show(tour: &mut Tour, verb: &Demo, shared: &Shared, steps: &Steps) -> anyhow::Result<Summary> {
    let evidence = tour.take(&|step| steps.say(step)).await?;
    steps.done();
    let summary = Summary::of(&evidence);
    if shared.json {
        print::json(&summary)?;
        return Ok(summary);
    }
    print::out(&Tour::orders(&evidence))?;
    print::out(&Tour::figures(&evidence, &summary))?;
    let last = if verb.once { tour.afterwards() } else { format!("\n{}", tour.while_it_runs(&evidence)) };
    print::out(&last)?;
    Ok(summary)
}

/// Until Ctrl-C, or until the service fails for good.
async fn stay(tour: &mut Tour, asked: impl Future<Output = ()>) -> anyhow::Result<()> {
    eprintln!("\nThe service stays up until Ctrl-C.");
    let mut broken = Ok(());
    let ended = tour
        .stay(asked, &mut |text| {
            if broken.is_ok() {
                broken = print::out(text);
            }
        })
        .await;
    match ended {
        Ended::Asked => broken,
        Ended::Failed(reason) => anyhow::bail!(reason),
    }
}

fn outcome(summary: &Summary) -> Outcome {
    if summary.differences.is_empty() { Outcome::Done } else { Outcome::Findings }
}

fn interrupted(steps: &Steps) -> Outcome {
    steps.done();
    eprintln!("Interrupted before everything was settled.");
    Outcome::Findings
}

/// Steps on standard error: a spinner on a terminal, plain lines otherwise.
struct Steps {
    spinner: Option<ProgressBar>,
}

impl Steps {
    fn new() -> Self {
        let spinner = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner} {msg} …").expect("the template is well formed");
            let spinner = ProgressBar::new_spinner().with_style(style);
            spinner.enable_steady_tick(Duration::from_millis(80));
            spinner
        });
        Steps { spinner }
    }

    fn say(&self, step: &str) {
        match &self.spinner {
            Some(spinner) => spinner.set_message(step.to_owned()),
            None => eprintln!("{step} …"),
        }
    }

    fn done(&self) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
    }
}
