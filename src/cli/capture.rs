//! `crossdock capture`: what an origin really sends, without its buyers, for support and for fixtures.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use serde::Serialize;

use super::{Outcome, Shared, open, print};
use crate::clock::{Entropy as _, SystemEntropy};
use crate::commerce::fakes::Fakes;
use crate::config;
use crate::json::{self, Limits};
use crate::store::view::{EventRow, Paging};
use crate::store::{EventFilter, SharedStore};

/// How often the store is asked for what is new.
const LOOK: Duration = Duration::from_millis(500);

/// What to keep, and where.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  crossdock capture --origin hooks --count 5\n  crossdock capture --origin flows --stored --count 20 --out payloads\n\n\
                  Names, addresses, e-mail addresses, numbers of telephones and payments, notes and engraved texts become\n\
                  fakes of the same shape; figures, SKUs, order numbers and everything else stay as they were sent. Free\n\
                  text in members we do not know may still hold something personal: look before you pass it on.\n\
                  Exit code 1 when fewer payloads came than were asked for."
)]
pub struct Capture {
    /// Which origin's payloads; see `origins` in the configuration
    #[arg(long, value_name = "NAME")]
    origin: String,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 10)]
    count: usize,
    /// Take what is stored already, newest first, instead of waiting for the next
    #[arg(long)]
    stored: bool,
    /// Stop waiting after so long: 30s, 10m, 2h
    #[arg(long, value_name = "TIME", default_value = "10m")]
    within: String,
    /// The folder the files are written to; it is made
    #[arg(long, value_name = "DIR", default_value = "captured")]
    out: PathBuf,
    /// The same word makes the same fakes again; without it they differ from run to run
    #[arg(long, value_name = "WORD")]
    seed: Option<String>,
}

/// One line about a payload that was kept.
#[derive(Serialize)]
struct Kept {
    file: String,
    kind: String,
    event_name: Option<String>,
    bytes: u64,
    received_at: String,
}

/// Writes the payloads.
pub async fn run(verb: Capture, shared: &Shared) -> anyhow::Result<Outcome> {
    let config = open::config(shared)?.config;
    if !config.origins.contains_key(&verb.origin) {
        let known: Vec<&str> = config.origins.keys().map(String::as_str).collect();
        bail!("there is no origin {}; the configuration names {}", verb.origin, known.join(", "));
    }
    let within = config::duration(&verb.within)
        .map_err(|_| anyhow!("--within {} is not a time such as 30s or 10m", verb.within))?;
    std::fs::create_dir_all(&verb.out).with_context(|| format!("{} cannot be made", verb.out.display()))?;
    let store = open::existing_store(&config)?;
    let kept = capture(&store, &verb, within, shared.json).await;
    store.close().await?;
    let kept = kept?;
    if shared.json {
        print::json(&kept)?;
    } else {
        print::out(&format!("{} of {} payloads are in {}\n", kept.len(), verb.count, verb.out.display()))?;
    }
    Ok(if kept.len() < verb.count { Outcome::Findings } else { Outcome::Done })
}

async fn capture(store: &SharedStore, verb: &Capture, within: Duration, json: bool) -> anyhow::Result<Vec<Kept>> {
    let secret = verb.seed.clone().map_or_else(by_chance, String::into_bytes);
    let fakes = Fakes::new(secret);
    let began = Instant::now();
    let mut known: HashSet<String> = HashSet::new();
    if !verb.stored {
        known.extend(newest(store, &verb.origin).await?.iter().map(request));
        eprintln!("waiting for the next {} payloads of {} (Ctrl-C ends it)", verb.count, verb.origin);
    }
    let mut kept = Vec::new();
    let mut cursor = None;
    loop {
        let paging = Paging { limit: 200, cursor: cursor.take() };
        let page = store.events(filter(&verb.origin), paging).await?;
        let mut rows = page.items;
        if !verb.stored {
            rows.reverse();
        }
        for row in rows {
            if kept.len() == verb.count {
                return Ok(kept);
            }
            // The records of a batch share one body.
            if known.insert(request(&row)) {
                let Some(line) = keep(store, &fakes, &row, &verb.out, kept.len() + 1).await? else { continue };
                if !json {
                    eprintln!("{}  {}  {} bytes", line.file, line.received_at, line.bytes);
                }
                kept.push(line);
            }
        }
        if kept.len() == verb.count {
            return Ok(kept);
        }
        if verb.stored {
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(kept);
            }
            continue;
        }
        if began.elapsed() >= within {
            return Ok(kept);
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn by_chance() -> Vec<u8> {
    let mut secret = vec![0; 32];
    SystemEntropy.fill(&mut secret);
    secret
}

async fn newest(store: &SharedStore, origin: &str) -> anyhow::Result<Vec<EventRow>> {
    Ok(store.events(filter(origin), Paging { limit: 200, cursor: None }).await?.items)
}

fn filter(origin: &str) -> EventFilter {
    EventFilter { origin: Some(origin.to_owned()), ..EventFilter::default() }
}

fn request(row: &EventRow) -> String {
    row.request_id.to_string()
}

/// `None`: its body is gone (retention, erasure).
async fn keep(
    store: &SharedStore,
    fakes: &Fakes,
    row: &EventRow,
    folder: &Path,
    number: usize,
) -> anyhow::Result<Option<Kept>> {
    let Some(envelope) = store.envelope(row.id).await? else { return Ok(None) };
    if envelope.body.is_empty() {
        return Ok(None);
    }
    let Ok(body) = json::parse(&envelope.body, &Limits::default()) else {
        eprintln!("{} is left out: its body is not JSON, so nobody can tell what in it is personal", row.id);
        return Ok(None);
    };
    let file = format!("{number:03}-{}.json", row.kind);
    let path = folder.join(&file);
    if path.exists() {
        bail!("{} is there already; name another folder with --out", path.display());
    }
    std::fs::write(&path, fakes.payload(&body)).with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(Some(Kept {
        file,
        kind: row.kind.clone(),
        event_name: row.event_name.clone(),
        bytes: row.body_bytes,
        received_at: row.received_at.to_string(),
    }))
}
