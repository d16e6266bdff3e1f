//! `crossdock catchup`: is the newest order of Commerce here, and how far did the searches get, back offices' included?

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::{Outcome, Shared, open, print};
use crate::clock::{SharedEntropy, SystemEntropy};
use crate::commerce::rest::SharedRest;
use crate::commerce::rest::search::Search;
use crate::store::SharedStore;
use crate::store::running::{Gap, Position};

/// Longest wait for one instance.
const PATIENCE: Duration = Duration::from_secs(15);

/// Missing numbers that are told of.
const GAPS_SHOWN: u32 = 500;

/// What it takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  crossdock catchup\n  crossdock catchup --json\n\n\
                        Each Commerce instance is asked for its newest order; nothing is changed. A restart of the service\n\
                        searches at once. Beside it stands how far each search got: of Commerce, of Adobe's journal, and of back offices that\n\
                        are read (poll). Exit code 1 when the newest order is not here, Commerce could not be asked, or a search\n\
                        gets no further.")]
pub struct Catchup {}

/// One instance.
#[derive(Debug, Serialize)]
struct Instance {
    system: String,
    /// It has a `base_url` and was asked.
    asked: bool,
    /// The newest order there: its number, and when it was placed by Commerce's clock (UTC).
    newest_there: Option<Newest>,
    /// What became of it here; `null`: it is not here.
    here: Option<String>,
    /// Why Commerce could not be asked.
    trouble: Option<String>,
    /// How far each search got.
    searches: Vec<Got>,
    /// Numbers that were missing and were asked for, the newest first.
    gaps: Vec<Gap>,
}

#[derive(Debug, Serialize)]
struct Newest {
    increment_id: String,
    placed_at: String,
}

#[derive(Debug, Serialize)]
struct Got {
    kind: String,
    at: String,
    /// Why it gets no further.
    trouble: Option<String>,
}

/// Asks and prints.
pub async fn run(_: Catchup, shared: &Shared) -> anyhow::Result<Outcome> {
    let config = open::config(shared)?.config;
    let store = open::existing_store(&config)?;
    let entropy: SharedEntropy = Arc::new(SystemEntropy);
    let mut instances = Vec::new();
    for (system, rest) in crate::app::commerce_of(&config, &open::clock(), &entropy)? {
        instances.push(look(system, &rest, &store).await?);
    }
    for system in config.commerce.keys() {
        // What a back office told of it is read without asking Commerce.
        if instances.iter().all(|known| known.system != *system) {
            instances.extend(Some(told_by_others(system, &store).await?).filter(|one| !one.searches.is_empty()));
        }
    }
    store.close().await?;
    let well = |one: &Instance| {
        let searched = one.searches.iter().all(|search| search.trouble.is_none());
        searched && one.trouble.is_none() && (one.newest_there.is_none() || one.here.is_some())
    };
    let fine = instances.iter().all(well);
    if shared.json {
        print::json(&instances)?;
    } else if instances.is_empty() {
        eprintln!("no Commerce instance has a base_url, so none can be searched");
    } else {
        print::out(&instances.iter().map(told).collect::<String>())?;
    }
    Ok(if fine { Outcome::Done } else { Outcome::Findings })
}

async fn searches(system: &str, store: &SharedStore) -> anyhow::Result<Vec<Got>> {
    let positions = store.positions().await?.into_iter().filter(|position| position.system == system);
    let got = |position: Position| Got { kind: position.kind, at: position.at.to_string(), trouble: position.trouble };
    Ok(positions.map(got).collect())
}

async fn told_by_others(system: &str, store: &SharedStore) -> anyhow::Result<Instance> {
    let (system, searches) = (system.to_owned(), searches(system, store).await?);
    Ok(Instance { system, asked: false, newest_there: None, here: None, trouble: None, searches, gaps: Vec::new() })
}

async fn look(system: String, rest: &SharedRest, store: &SharedStore) -> anyhow::Result<Instance> {
    let searches = searches(&system, store).await?;
    let gaps = store.gaps(GAPS_SHOWN).await?.into_iter().filter(|gap| gap.system == system).collect();
    let mut instance = Instance { system, asked: true, newest_there: None, here: None, trouble: None, searches, gaps };
    let search = Search::new().sort("entity_id", false).page(1).size(1);
    let search = search.fields("items[entity_id,increment_id,created_at],total_count");
    let listed = match tokio::time::timeout(PATIENCE, rest.call(search.call("/V1/orders"))).await {
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(answered)) => Ok(answered.body),
    };
    match listed {
        Err(trouble) => instance.trouble = Some(trouble),
        Ok(body) => {
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            let newest = &body["items"][0];
            let text = |name: &str| newest[name].as_str().unwrap_or_default().to_owned();
            if !text("increment_id").is_empty() {
                let number = text("increment_id");
                let known = store.order(number.clone()).await?;
                let known = known.into_iter().find(|order| order.order.system == instance.system);
                instance.here = known.map(|order| order.order.state);
                instance.newest_there = Some(Newest { increment_id: number, placed_at: text("created_at") });
            } else if body["total_count"].as_u64().is_none() {
                instance.trouble = Some("it answers with something that is no list of orders".to_owned());
            }
        }
    }
    Ok(instance)
}

fn told(instance: &Instance) -> String {
    let Instance { system, asked, newest_there, here, trouble, searches, gaps } = instance;
    let newest = match (trouble, newest_there, here) {
        _ if !asked => "is not asked for orders: it has no base_url".to_owned(),
        (Some(trouble), ..) => format!("could not be asked: {}", print::visible(trouble)),
        (None, None, _) => "has no orders yet".to_owned(),
        (None, Some(newest), Some(state)) => {
            format!("newest order there {}, placed {} UTC: here, {state}", newest.increment_id, newest.placed_at)
        }
        (None, Some(newest), None) => format!(
            "newest order there {}, placed {} UTC: NOT HERE; it comes with the next search, or a restart searches at once",
            newest.increment_id, newest.placed_at
        ),
    };
    let searched = match &searches[..] {
        [] => "  not searched yet: the service has not run with this store, or sweep is \"off\"\n".to_owned(),
        all => {
            let line = |one: &Got| {
                let trouble =
                    one.trouble.as_deref().map(|why| format!(", and gets no further: {}", print::visible(why)));
                format!("  {} moved last {}{}\n", print::visible(&one.kind), one.at, trouble.unwrap_or_default())
            };
            all.iter().map(line).collect()
        }
    };
    format!("{system}: {newest}\n{searched}{}", told_of(gaps))
}

/// `12 numbers were reserved in Commerce and never became orders, the newest 000000041`.
fn told_of(gaps: &[Gap]) -> String {
    let mut text = String::new();
    for (outcome, one, many) in [
        (
            "reserved",
            "number was reserved in Commerce and never became an order",
            "numbers were reserved in Commerce and never became orders",
        ),
        ("found", "order was found by its missing number", "orders were found by their missing numbers"),
        ("refused", "missing number could not be asked for", "missing numbers could not be asked for"),
    ] {
        let mut alike = gaps.iter().filter(|gap| gap.outcome == outcome);
        let Some(newest) = alike.next() else { continue };
        let count = alike.count() + 1;
        let words = if count == 1 { one } else { many };
        let _ = writeln!(text, "  {count} {words}; the last one asked for is {}", print::visible(&newest.number));
    }
    text
}
