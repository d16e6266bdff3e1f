//! `crossdock check`: the whole configuration, every problem at once.

use anyhow::anyhow;
use clap::Args;
use serde::Serialize;

use super::open::{self, DEFAULT_CONFIG};
use super::{Outcome, Shared, print};
use crate::config::Problem;

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
    let loaded = open::load(&path);
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
