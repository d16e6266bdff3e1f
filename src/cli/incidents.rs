//! `crossdock incidents`: which destination is in trouble, and what is safe with us meanwhile.

use clap::Args;

use super::{Outcome, Shared, open, print};
use crate::incidents::{self, IncidentView};

/// Open ones, and with `--all` the last that ended.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  crossdock incidents\n  crossdock incidents --all --json")]
pub struct Incidents {
    /// Ended ones as well
    #[arg(long)]
    all: bool,
}

/// Asks the store.
pub async fn run(verb: Incidents, shared: &Shared) -> anyhow::Result<Outcome> {
    let config = open::config(shared)?.config;
    let store = open::existing_store(&config)?;
    let mut views = incidents::views(&store).await?;
    views.retain(|view| verb.all || view.incident.ended_at.is_none());
    if shared.json {
        print::json(&views)?;
        return Ok(Outcome::Done);
    }
    if views.is_empty() {
        eprintln!("no destination is in trouble");
    }
    print::table(
        &["destination", "trouble", "state", "since", "safe with us", "oldest", "drained", "why"],
        views.iter().map(row).collect(),
    )?;
    Ok(Outcome::Done)
}

fn row(view: &IncidentView) -> Vec<String> {
    let incident = &view.incident;
    let standing = view.safe.map(|safe| safe.standing);
    let drained = match (incident.ended_at, incident.drained_at) {
        (Some(at), _) => at.to_string(),
        (None, Some(at)) => format!("about {at}"),
        (None, None) => "unknown".to_owned(),
    };
    vec![
        incident.destination.clone(),
        incident.kind.as_str().to_owned(),
        view.state.to_owned(),
        incident.opened_at.to_string(),
        view.safe.map(|safe| safe.total.to_string()).unwrap_or_default(),
        standing.and_then(|standing| standing.oldest_created_at).map(|at| at.to_string()).unwrap_or_default(),
        drained,
        print::short(&incident.why, 90),
    ]
}
