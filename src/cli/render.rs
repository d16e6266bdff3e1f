//! `crossdock render`: what a destination would be sent of an order, without sending.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;

use super::expand::{self, Documents};
use super::{Outcome, Shared, open, print};
use crate::app;
use crate::destinations::Destination;
use crate::destinations::recipe::rehearse::Rehearsed;

/// Which order, for whom.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  crossdock render --config crossdock.toml --destination erp order.json\n  \
                        curl -s https://shop.example.com/rest/V1/orders/42 | crossdock render --destination erp --json -\n  \
                        crossdock render --destination erp --polls\n\n\
                        Nothing is sent and nothing is asked. What a step would learn from the destination (ids of products,\n\
                        of customers) is pretended by numbers. Exit code 1 when an order cannot be expanded or written.")]
pub struct Render {
    /// The destination
    #[arg(long, value_name = "NAME")]
    destination: String,
    /// A file with orders; "-" is standard input
    #[arg(value_name = "FILE", required_unless_present = "polls")]
    file: Option<PathBuf>,
    /// Instead of an order's requests: how stock and shipments are read there, from now on
    #[arg(long, conflicts_with = "file")]
    polls: bool,
}

/// The requests of one order.
#[derive(Serialize)]
struct Rendered {
    increment_id: String,
    requests: Vec<Rehearsed>,
}

/// Renders every order of the file.
pub async fn run(verb: Render, shared: &Shared) -> anyhow::Result<Outcome> {
    let config = open::config(shared)?.config;
    let Some(settings) = config.destinations.get(&verb.destination) else {
        let known: Vec<&str> = config.destinations.keys().map(String::as_str).collect();
        bail!("no destination is called {}; there are: {}", verb.destination, known.join(", "));
    };
    let destination = app::destination_of(settings)?;
    let Some(orders) = &verb.file else { return polls(&destination, shared) };
    let Documents { documents, problems } = expand::documents(&verb.destination, orders, shared).await?;
    let mut fine = problems == 0;
    let mut all = Vec::new();
    for document in &documents {
        let body = serde_json::to_vec(document).context("a sales order always serialises")?;
        let requests = destination.rehearse(&body).map_err(anyhow::Error::msg)?;
        fine &= requests.iter().all(|request| request.problem.is_none());
        all.push(Rendered { increment_id: document.order.increment_id.to_string(), requests });
    }
    if shared.json {
        print::json(&all)?;
    } else {
        print::out(&all.iter().map(told).collect::<String>())?;
    }
    Ok(if fine { Outcome::Done } else { Outcome::Findings })
}

/// The first request of each poll.
fn polls(destination: &Destination, shared: &Shared) -> anyhow::Result<Outcome> {
    let recipe = destination.recipe().map(|profile| &profile.recipe);
    let Some(recipe) = recipe.filter(|recipe| !recipe.polls().is_empty()) else {
        bail!("{} cannot be read: its profile has no polls", destination.name());
    };
    let now = open::clock().now();
    let asked = recipe.polls().iter().map(|poll| match recipe.rehearse_poll(poll, now) {
        Ok(request) => Rehearsed { kind: "poll", ..Rehearsed::of(poll.name(), request) },
        Err(problem) => Rehearsed::unasked(poll.name(), problem),
    });
    let asked: Vec<Rehearsed> = asked.collect();
    let fine = asked.iter().all(|one| one.problem.is_none());
    if shared.json {
        print::json(&asked)?;
    } else {
        print::out(&asked.iter().map(ToString::to_string).collect::<String>())?;
    }
    Ok(if fine { Outcome::Done } else { Outcome::Findings })
}

fn told(rendered: &Rendered) -> String {
    let mut text = format!("# order {}\n", rendered.increment_id);
    for request in &rendered.requests {
        text.push_str(&request.to_string());
    }
    text
}
