//! `crossdock origins`: who sends to us, what came of it, and whether they would reach us.

use clap::Args;
use serde::Serialize;

use super::{Outcome, Shared, open, print};
use crate::api::rooms::shown;
use crate::api::state::OriginView;
use crate::app::{self, registering};
use crate::intake::heard::{self, OfKind, OfReason};

/// What is looked at.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  crossdock origins\n  crossdock origins --check flows\n  crossdock origins --json\n\n\
                  The running service writes its counts down every five seconds. --check sends a test to the service by the way\n\
                  the sender would take (server.public_url, else where it listens) and asks Commerce what it has registered.\n\
                  Exit code 1 when a check finds something wrong."
)]
pub struct Origins {
    /// Try the way in of this origin now
    #[arg(long, value_name = "NAME")]
    check: Option<String>,
}

/// A line of a check.
#[derive(Serialize)]
struct Checked {
    origin: String,
    lines: Vec<registering::Line>,
}

/// Shows them, or checks one.
pub async fn run(verb: Origins, shared: &Shared) -> anyhow::Result<Outcome> {
    let config = open::config(shared)?.config;
    if let Some(name) = verb.check {
        let names = || config.origins.keys().cloned().collect::<Vec<_>>().join(", ");
        let Some(origin) = config.origins.get(&name) else {
            anyhow::bail!("there is no origin {name}; there are: {}", names());
        };
        let lines = registering::check(&config, origin, &format!("http://{}", config.server.listen)).await?;
        let fine = lines.iter().all(|line| matches!(line.verdict, "ok" | "note" | "untried"));
        if shared.json {
            print::json(&Checked { origin: name, lines })?;
        } else {
            let told = lines
                .iter()
                .map(|line| format!("{:<8} {:<12}  {}\n", line.verdict, line.what, print::visible(&line.detail)));
            print::out(&told.collect::<String>())?;
        }
        return Ok(if fine { Outcome::Done } else { Outcome::Findings });
    }
    let store = open::store(&config)?;
    let book = heard::kept(&store).await?;
    store.close().await?;
    let now = open::clock().now();
    let views = app::doors_of(&config).into_iter().map(|door| {
        let (since, heard) = match &book {
            Some(book) => (book.since, book.origins.get(&door.name).cloned().unwrap_or_default()),
            None => (now, heard::OfOrigin::default()),
        };
        shown(door, since, heard)
    });
    let views: Vec<OriginView> = views.collect();
    if shared.json {
        print::json(&views)?;
    } else {
        print::out(&views.iter().map(told).collect::<String>())?;
    }
    Ok(Outcome::Done)
}

fn told(origin: &OriginView) -> String {
    let door = &origin.door;
    let last = match origin.last_at {
        Some(at) => format!("last heard {at}"),
        None => format!("not heard since {}", origin.counted_since),
    };
    let mut text = format!("{} ({} of {}), {}: {last}\n", door.name, door.kind, door.commerce, door.address);
    text.extend(origin.kinds.iter().map(|kind| {
        let OfKind { accepted, duplicates, conflicts, rejected, last_at, .. } = &kind.heard;
        format!(
            "  {:<14} {accepted} accepted, {duplicates} known before, {conflicts} with other content, {rejected} not taken; the last \
             {last_at}\n",
            kind.kind
        )
    }));
    text.extend(origin.refused.iter().map(|why| {
        let OfReason { count, last_at } = &why.heard;
        format!("  refused: {} {count} times, the last {last_at}. {}\n", why.reason, why.remedy)
    }));
    text
}
