//! `crossdock backup`: a proved copy of the store, beside a running service.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::{Outcome, Shared, open, print};
use crate::store::copies::{self, CopyFacts};

/// Where to.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  crossdock backup --config crossdock.toml\n  \
                        crossdock backup --config crossdock.toml --to /mnt/other/today.db\n\n\
                        Works beside a running service. The copy gets its name only after it was proved; \
                        copies made regularly:\n  [store] backup = { dir = \"backups\", every = \"15m\", keep = \"14d\" }")]
pub struct Backup {
    /// The file to make [default: a name with the time, in the folder of `store.backup`, else beside the store]
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

#[derive(Serialize)]
struct Made<'a> {
    path: String,
    took_ms: u128,
    longest_step_ms: f64,
    #[serde(flatten)]
    facts: &'a CopyFacts,
}

/// Copies and proves.
pub fn run(verb: &Backup, shared: &Shared) -> anyhow::Result<Outcome> {
    let config = open::config(shared)?.config;
    let store = open::store_path(&config)?;
    let now = open::clock().now();
    let to = verb.to.clone().unwrap_or_else(|| {
        let folder = config.store.backup.as_ref().map(|backup| backup.dir.clone());
        let beside = store.parent().map(PathBuf::from).unwrap_or_default();
        folder.unwrap_or(beside).join(copies::name(now))
    });
    if let Some(folder) = to.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    let bar = bar();
    let copied = copies::copy(&store, &to, now, &mut |done, all| {
        bar.set_length(all);
        bar.set_position(done);
        if done == all {
            bar.set_message("proving the copy");
        }
    });
    bar.finish_and_clear();
    let copied = copied?;
    if shared.json {
        print::json(&Made {
            path: copied.path.display().to_string(),
            took_ms: copied.took.as_millis(),
            longest_step_ms: copied.longest_step.as_secs_f64() * 1000.0,
            facts: &copied.facts,
        })?;
    } else {
        let CopyFacts { installation_id, accepted, bytes, .. } = &copied.facts;
        print::out(&format!(
            "{} is a sound copy: {accepted} events, {} MiB, installation {installation_id}; {} ms\n",
            copied.path.display(),
            bytes >> 20,
            copied.took.as_millis()
        ))?;
    }
    Ok(Outcome::Done)
}

fn bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {percent:>3} % {msg}").expect("the template is ours");
    ProgressBar::new(1).with_style(style)
}
