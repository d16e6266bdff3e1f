//! `crossdock restore`: a copy takes the place of the store.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;

use super::{Outcome, Shared, open, print};
use crate::store::copies::{self, CopyFacts};

/// From where.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  crossdock restore --config crossdock.toml backups/crossdock-20260301T101530Z.db\n\n\
                        Stop the service first. The copy is proved before anything is touched, and the files it replaces \
                        are kept beside it.\nAt the next start every delivery that was open in the copy is in doubt: its \
                        destination's guard decides whether it is sent again, looked up, or given to a person."
)]
pub struct Restore {
    /// The copy
    #[arg(value_name = "BACKUPFILE")]
    copy: PathBuf,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// Proves, shows, asks, replaces.
pub fn run(verb: &Restore, shared: &Shared) -> anyhow::Result<Outcome> {
    let config = open::config(shared)?.config;
    let store = open::store_path(&config)?;
    let now = open::clock().now();
    // From here on no service can start on this file.
    let hold = copies::hold(&store)?;
    let copy =
        copies::inspect(&verb.copy, true).with_context(|| format!("{} is no sound copy", verb.copy.display()))?;
    let present = store.exists().then(|| copies::inspect(&store, false).map_err(|error| error.to_string()));
    eprint!("{}", told(&copy, present.as_ref()));
    if !verb.yes && !agreed()? {
        bail!("nothing was changed; add --yes to restore without being asked");
    }
    let aside = copies::put_in_place(&hold, &verb.copy, now)?;
    let kept = aside.map(|aside| format!("; what was there is kept as {}", aside.display())).unwrap_or_default();
    print::out(&format!("{} is restored{kept}\n", store.display()))?;
    Ok(Outcome::Done)
}

fn told(copy: &CopyFacts, present: Option<&Result<CopyFacts, String>>) -> String {
    let mut text = String::new();
    let when = copy.copied_at.map_or_else(|| "an unknown time".to_owned(), |at| at.to_string());
    let _ = writeln!(text, "the copy: of {when}, {}", held(copy));
    match present {
        None => text.push_str("the store: there is none\n"),
        Some(Err(reason)) => {
            let _ = writeln!(text, "the store: cannot be read ({reason})");
        }
        Some(Ok(present)) => {
            let _ = writeln!(text, "the store: {}", held(present));
            if present.installation_id != copy.installation_id {
                text.push_str(
                    "WARNING: they are different installations: every order would look new to your destinations\n",
                );
            }
            let lost = present.accepted.saturating_sub(copy.accepted);
            let _ = writeln!(
                text,
                "{lost} events that were acknowledged after the copy are not in it: have their senders send them again"
            );
        }
    }
    if copy.open.is_empty() {
        text.push_str("no delivery is open in the copy\n");
    }
    for (destination, open) in &copy.open {
        let _ = writeln!(text, "to {destination}: {open} open in the copy, in doubt from the next start on");
    }
    text
}

fn held(facts: &CopyFacts) -> String {
    let last = facts.last_received_at.map_or_else(|| "none".to_owned(), |at| at.to_string());
    format!("{} events, the last of {last}, installation {}", facts.accepted, facts.installation_id)
}

fn agreed() -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    eprint!("restore it? [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
