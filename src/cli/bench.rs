//! `crossdock bench`: what this machine can do.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::{Outcome, Shared, print};
use crate::demo::tour::Folder;
use crate::trial::bench::{self, CONNECTIONS, Report, Settings};

/// How much, and where.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  crossdock bench\n  crossdock bench --seconds 5 --rounds 5 --dir /var/lib/crossdock\n  \
                        crossdock bench --stored 1000000 --json\n\nThe service runs as a process of its own with every \
                        flush on; sender and ERP share the machine with it.\nRates stand beside those of a bare handler \
                        that reads the same bodies. Take a release build and a quiet machine."
)]
pub struct Bench {
    /// Length of each case
    #[arg(long, value_name = "S", default_value_t = 1.5, value_parser = seconds)]
    seconds: f64,
    /// Rounds whose medians are shown
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = rounds)]
    rounds: usize,
    /// Connections of each case; ratios are those of 64 and 8
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_values_t = CONNECTIONS)]
    connections: Vec<usize>,
    /// Fill each store with so many orders first
    #[arg(long, value_name = "N", default_value_t = 0)]
    stored: usize,
    /// Measure on the disk of this folder [default: the folder for temporary files]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "is not a number".to_owned())?;
    if (0.1..=600.0).contains(&seconds) { Ok(seconds) } else { Err("is not between 0.1 and 600".to_owned()) }
}

fn rounds(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(rounds @ 1..=100) => Ok(rounds),
        _ => Err("is not between 1 and 100".to_owned()),
    }
}

/// Measures and prints.
pub fn run(verb: &Bench, shared: &Shared) -> anyhow::Result<Outcome> {
    let folder = Folder::of("bench", verb.dir.as_deref(), false)?;
    let settings = Settings {
        rounds: verb.rounds,
        time: Duration::from_secs_f64(verb.seconds),
        connections: verb.connections.clone(),
        stored: verb.stored,
        folder: folder.path().to_path_buf(),
        binary: std::env::current_exe().context("this program's own file cannot be found")?,
    };
    let bar = std::io::stderr().is_terminal().then(|| {
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}").expect("the template is well formed");
        ProgressBar::new(0).with_style(style)
    });
    let report = bench::run(&settings, &|done, steps, name| match &bar {
        Some(bar) => {
            bar.set_length(steps as u64);
            bar.set_position(done as u64);
            bar.set_message(name.to_owned());
        }
        None => eprintln!("{}/{steps} {name}", done + 1),
    });
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    let report = report?;
    if shared.json {
        print::json(&report)?;
    } else {
        show(&report)?;
    }
    Ok(Outcome::Done)
}

fn show(report: &Report) -> anyhow::Result<()> {
    let Report { cores, order_bytes, rounds, seconds, build, stored, .. } = report;
    print::out(&format!(
        "{build} build, {cores} cores, orders of {order_bytes} bytes, {stored} stored before, medians of {rounds} rounds of \
         {seconds} s\n\n"
    ))?;
    let header = ["", "connections", "orders a second", "of floor", "CPU µs", "p50 ms", "p99 ms", "p999 ms"];
    print::table(&header, report.cases())?;
    print::out("\n")?;
    print::table(&["", "figure"], report.others())
}
