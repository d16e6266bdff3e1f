//! `crossdock chaos`: kills the service again and again and compares the books.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use super::{Outcome, Shared, print};
use crate::clock::{Entropy as _, SystemEntropy};
use crate::demo::tour::Folder;
use crate::shutdown;
use crate::trial::chaos::{self, Length, Report, Settings};

/// Lines of progress where there is no terminal: every so many rounds.
const ROUNDS_PER_LINE: u64 = 50;
/// Findings that are worth reading before looking into the folder.
const FINDINGS_SHOWN: usize = 10;

/// How long, and from which seed.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  crossdock chaos --rounds 200\n  crossdock chaos --minutes 20 --json\n  crossdock chaos \
                        --rounds 50 --seed 7 --guard none\n\nEach round ends with kill -9 at a random moment: under load, \
                        while starting, delivering or stopping. The ERP\nlies about what it did. Nothing leaves this \
                        machine. Exit code 0 only if nothing was lost, doubled, disordered or stuck."
)]
pub struct Chaos {
    /// How many kills [default: 100]
    #[arg(long, value_name = "N", conflicts_with = "minutes", value_parser = clap::value_parser!(u64).range(1..))]
    rounds: Option<u64>,
    /// How long instead
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u64).range(1..))]
    minutes: Option<u64>,
    /// Decides moments, lies and orders [default: a new one]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// What the ERP offers against doubles
    #[arg(long, value_enum, default_value = "key")]
    guard: Guard,
    /// Keep the run's files in a new folder below this one [default: the folder for temporary files, kept on failure]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Guard {
    Key,
    Unique,
    Find,
    None,
}

/// Runs it.
pub fn run(verb: &Chaos, shared: &Shared) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("the runtime could not be started")?.block_on(kill(verb, shared))
}

async fn kill(verb: &Chaos, shared: &Shared) -> anyhow::Result<Outcome> {
    let mut folder = Folder::of("chaos", verb.dir.as_deref(), verb.dir.is_some())?;
    let settings = settings(verb, folder.path().to_path_buf())?;
    let seed = settings.seed;
    let asked = Arc::new(AtomicBool::new(false));
    let (flag, signal) = (Arc::clone(&asked), shutdown::requested());
    tokio::spawn(async move {
        signal.await;
        flag.store(true, Ordering::SeqCst);
    });
    let progress = Progress::new(settings.length);
    let outcome = chaos::run(settings, &asked, &|report| progress.tell(report)).await;
    progress.done();
    let clean = outcome.as_ref().is_ok_and(chaos::is_clean);
    if !clean {
        folder.keep();
    }
    let report = outcome.with_context(|| format!("seed {seed}, files in {}", folder.path().display()))?;
    if shared.json {
        print::json(&report)?;
    } else {
        show(&report)?;
    }
    if !clean {
        explain(&report, &folder);
    }
    Ok(if clean { Outcome::Done } else { Outcome::Findings })
}

fn settings(verb: &Chaos, folder: PathBuf) -> anyhow::Result<Settings> {
    let mut bytes = [0; 4];
    SystemEntropy.fill(&mut bytes);
    Ok(Settings {
        length: match (verb.rounds, verb.minutes) {
            (_, Some(minutes)) => Length::Time(Duration::from_secs(60 * minutes)),
            (rounds, None) => Length::Rounds(rounds.unwrap_or(100)),
        },
        seed: verb.seed.unwrap_or_else(|| u32::from_le_bytes(bytes).into()),
        folder,
        binary: std::env::current_exe().context("this program's own file cannot be found")?,
        guard: match verb.guard {
            Guard::Key => chaos::Guard::Key,
            Guard::Unique => chaos::Guard::Unique,
            Guard::Find => chaos::Guard::Find,
            Guard::None => chaos::Guard::None,
        },
        erp: None,
    })
}

fn show(report: &Report) -> anyhow::Result<()> {
    let rows = report.rows().into_iter().map(|(what, count)| vec![what, count]).collect();
    print::table(&[&format!("seed {}, {:.0} s", report.seed, report.seconds), "count"], rows)
}

fn explain(report: &Report, folder: &Folder) {
    for finding in report.findings.iter().take(FINDINGS_SHOWN) {
        eprintln!("{finding}");
    }
    let path = folder.path().display();
    let number = chaos::first_number(&report.findings).unwrap_or("NUMBER");
    eprintln!(
        "Seed {}. Everything is kept in {path}: sent.jsonl, erp.jsonl, erp-requests.jsonl, findings.jsonl, serve.log.\n\
         The story of an order: crossdock orders show {number} --config {path}/crossdock.toml",
        report.seed
    );
}

/// A bar on a terminal, a line now and then otherwise.
struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    fn new(length: Length) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let (bar, style) = match length {
                Length::Rounds(rounds) => (ProgressBar::new(rounds), "{bar:30} {pos}/{len} {msg} ({eta} left)"),
                Length::Time(_) => (ProgressBar::new_spinner(), "{spinner} {pos} rounds {msg}"),
            };
            bar.with_style(ProgressStyle::with_template(style).expect("the template is well formed"))
        });
        Progress { bar }
    }

    fn tell(&self, report: &Report) {
        let words =
            format!("rounds, {} requests, {} effects, {} findings", report.sent, report.effects, report.findings.len());
        match &self.bar {
            Some(bar) => {
                bar.set_position(report.rounds);
                bar.set_message(words);
            }
            None if report.rounds.is_multiple_of(ROUNDS_PER_LINE) => {
                eprintln!("{} {words}, {:.0} s", report.rounds, report.seconds);
            }
            None => {}
        }
    }

    fn done(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
