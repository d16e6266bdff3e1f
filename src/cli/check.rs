//! `crossdock check`: the whole configuration, every problem at once.

use anyhow::anyhow;
use clap::Args;
use serde::Serialize;

use super::open::{self, DEFAULT_CONFIG};
use super::{Outcome, Shared, print};
use crate::app;
use crate::config::{Loaded, Problem};
use crate::demo::samples::SENDINGS;
use crate::envelope::kind::RecordKind;
use crate::json::{self, Limits};
use crate::processor::step::{Input, step};

/// No arguments of its own.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  crossdock check --config /etc/crossdock/crossdock.toml\n\n\
                        Exit code 1 when there is any problem; warnings leave it at 0.")]
pub struct Check {}

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
}

/// Checks and reports.
pub fn run(_: &Check, shared: &Shared) -> anyhow::Result<Outcome> {
    let path = open::config_path(shared)
        .ok_or_else(|| anyhow!("there is no {DEFAULT_CONFIG} here; name the configuration with --config FILE"))?;
    let loaded = open::load(&path).and_then(|loaded| {
        let undecided = undecided_routes(&loaded);
        if undecided.is_empty() { Ok(loaded) } else { Err(undecided) }
    });
    let (problems, warnings) = match &loaded {
        Ok(loaded) => (&[][..], &loaded.warnings[..]),
        Err(problems) => (&problems[..], &[][..]),
    };
    let version = loaded.as_ref().ok().map(|loaded| loaded.version.as_str());
    if shared.json {
        let valid = problems.is_empty();
        print::json(&Report { valid, version, problems: lines(problems), warnings: lines(warnings) })?;
    } else {
        for warning in warnings {
            print::out(&format!("warning: {warning}\n"))?;
        }
        for problem in problems {
            print::out(&format!("problem: {problem}\n"))?;
        }
        let name = path.display();
        match version {
            Some(version) => print::out(&format!("{name} is valid (version {version})\n"))?,
            None => print::out(&format!("{name} has {}\n", counted(problems.len(), "problem")))?,
        }
    }
    Ok(if problems.is_empty() { Outcome::Done } else { Outcome::Findings })
}

/// Sends the sample orders of the tour past the routes: a condition that cannot be decided for them (a misspelt member,
/// a comparison of words with numbers) would park every order.
fn undecided_routes(loaded: &Loaded) -> Vec<Problem> {
    let rules = app::rules(&loaded.config, &loaded.version);
    let Some(origin) = rules.origins.keys().next() else { return Vec::new() };
    let mut problems: Vec<Problem> = Vec::new();
    for sample in SENDINGS.iter().flat_map(|sending| sending.samples) {
        let json = json::parse(sample.json.as_bytes(), &Limits::default()).expect("the samples are JSON");
        let input = Input { origin, kind: RecordKind::Order, event_name: None, json: &json };
        let parked = step(&input, &rules).parked.into_iter().filter(|parked| parked.defect.path == "routes");
        for parked in parked {
            let message = format!("{} (tried on the sample order \"{}\")", parked.defect.message, sample.story);
            if !problems.iter().any(|known| known.message.starts_with(&parked.defect.message)) {
                let remedy = "look at the members of a document with `crossdock expand --json`".to_owned();
                problems.push(Problem { path: "routes".to_owned(), line: None, message, remedy });
            }
        }
    }
    problems
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
