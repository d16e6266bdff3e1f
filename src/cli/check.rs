//! `crossdock check`: the whole configuration, every problem at once, and where orders would go under it.

use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::anyhow;
use clap::Args;
use serde::Serialize;

use super::open::{self, DEFAULT_CONFIG};
use super::{Outcome, Shared, print};
use crate::app;
use crate::clock::{SharedEntropy, SystemEntropy};
use crate::config::Problem;
use crate::demo::rehearsal::{Rehearsed, rehearse};

/// How much to say.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  crossdock check --config /etc/crossdock/crossdock.toml\n  crossdock check --explain\n\n\
                        Sample orders go through the file's routes as well, with nothing stored or sent.\n\
                        Exit code 1 when there is any problem; warnings leave it at 0."
)]
pub struct Check {
    /// Say of each sample order where it would go and what every route thought of it
    #[arg(long)]
    explain: bool,
}

#[expect(clippy::struct_field_names, reason = "the names of the output's members")]
#[derive(Serialize)]
struct Line<'a> {
    path: &'a str,
    line: Option<usize>,
    message: &'a str,
    remedy: &'a str,
}

#[derive(Serialize)]
struct Report<'a> {
    valid: bool,
    version: Option<&'a str>,
    problems: Vec<Line<'a>>,
    warnings: Vec<Line<'a>>,
    samples: &'a [Rehearsed],
}

/// What the check came to.
#[derive(Default)]
struct Found {
    /// Of a file without problems.
    version: Option<String>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    samples: Vec<Rehearsed>,
}

/// Checks and reports.
pub fn run(verb: &Check, shared: &Shared) -> anyhow::Result<Outcome> {
    let path = open::config_path(shared)
        .ok_or_else(|| anyhow!("there is no {DEFAULT_CONFIG} here; name the configuration with --config FILE"))?;
    let found = check(&path);
    let problems = &found.problems;
    if shared.json {
        print::json(&Report {
            valid: problems.is_empty(),
            version: found.version.as_deref(),
            problems: lines(problems),
            warnings: lines(&found.warnings),
            samples: &found.samples,
        })?;
    } else {
        print::out(&told(&found, &path.display().to_string(), verb.explain))?;
    }
    Ok(if problems.is_empty() { Outcome::Done } else { Outcome::Findings })
}

/// The file first; a file that is valid is tried on the sample orders.
fn check(path: &std::path::Path) -> Found {
    let loaded = match open::load(path) {
        Ok(loaded) => loaded,
        Err(problems) => return Found { problems, ..Found::default() },
    };
    let entropy: SharedEntropy = Arc::new(SystemEntropy);
    if let Err(error) = app::commerce_of(&loaded.config, &open::clock(), &entropy) {
        let remedy = "name the address in allow_private if that is meant, or correct base_url".to_owned();
        let problem = Problem { path: "commerce".to_owned(), line: None, message: format!("{error:#}"), remedy };
        return Found { problems: vec![problem], warnings: loaded.warnings, ..Found::default() };
    }
    let rehearsal = rehearse(&app::rules(&loaded.config, &loaded.version), &loaded);
    let version = rehearsal.problems.is_empty().then(|| loaded.version.as_str().to_owned());
    let warnings = [loaded.warnings, rehearsal.warnings].concat();
    Found { version, problems: rehearsal.problems, warnings, samples: rehearsal.orders }
}

fn told(found: &Found, name: &str, explain: bool) -> String {
    let mut text = String::new();
    for warning in &found.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    for problem in &found.problems {
        let _ = writeln!(text, "problem: {problem}");
    }
    if explain {
        text.push_str(&explained(&found.samples));
    } else if !found.samples.is_empty() {
        text.push_str(&summed_up(&found.samples));
    }
    match &found.version {
        Some(version) => {
            let _ = writeln!(text, "{name} is valid (version {version})");
        }
        None => {
            let _ = writeln!(text, "{name} has {}", counted(found.problems.len(), "problem"));
        }
    }
    text
}

/// `sample orders, no mapping tables: 11 to erp; 2 nowhere (--explain says why)`.
fn summed_up(samples: &[Rehearsed]) -> String {
    let mut ways: Vec<(String, usize)> = Vec::new();
    for sample in samples {
        let way = way(sample);
        match ways.iter_mut().find(|(known, _)| *known == way) {
            Some((_, count)) => *count += 1,
            None => ways.push((way, 1)),
        }
    }
    let ways: Vec<String> = ways.into_iter().map(|(way, count)| format!("{count} {way}")).collect();
    format!(
        "{} without mapping tables: {} (--explain says why)\n",
        counted(samples.len(), "sample order"),
        ways.join("; ")
    )
}

fn explained(samples: &[Rehearsed]) -> String {
    let mut text = String::new();
    for sample in samples {
        let Rehearsed { system, increment_id, story, explanation, waits, .. } = sample;
        let _ = writeln!(text, "{system} {increment_id} {}: {story}", way(sample));
        let _ = writeln!(text, "  {explanation}");
        for reason in waits {
            let _ = writeln!(text, "  {reason}");
        }
    }
    text
}

fn way(sample: &Rehearsed) -> String {
    let to = sample.goes_to.join(", ");
    match (to.is_empty(), sample.waits.is_empty()) {
        (true, true) => "nowhere".to_owned(),
        (true, false) => "to a person".to_owned(),
        (false, true) => format!("to {to}"),
        (false, false) => format!("to {to} and to a person"),
    }
}

fn lines(problems: &[Problem]) -> Vec<Line<'_>> {
    let line = |problem: &Problem| problem.line;
    problems
        .iter()
        .map(|problem| Line {
            path: &problem.path,
            line: line(problem),
            message: &problem.message,
            remedy: &problem.remedy,
        })
        .collect()
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
