//! `crossdock find`: whatever you have in hand, found.

use anyhow::Context as _;
use clap::Args;

use super::{Outcome, Shared, open, print};
use crate::api::finding;

/// What is looked for.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  crossdock find --config crossdock.toml 42\n  crossdock find SO-000123\n  \
                  crossdock find anna@example.com\n  crossdock find MUG-GREEN --json\n\n\
                  Takes an order number (leading zeros and a store's prefix may be missing; else a part of it), a\n\
                  destination's number, a buyer's address, a SKU, an id of ours (env_, dlv_, exc_, doc_, inc_), an\n\
                  idempotency key, or the id that Adobe gave an event or a delivery. Exit code 1 when nothing is found.")]
pub struct Find {
    /// A number, an address, a SKU, an id
    text: String,
}

/// Asks the store.
pub async fn run(verb: Find, shared: &Shared) -> anyhow::Result<Outcome> {
    let store = open::existing_store(&open::config(shared)?.config)?;
    let answer = finding::find(store.as_ref(), &verb.text).await.context("nothing can be looked for")?;
    store.close().await?;
    if shared.json {
        print::json(&answer)?;
    } else {
        print::out(&format!("{}\n", print::visible(&answer.sentence)))?;
        let rows = answer.items.iter().map(|hit| {
            vec![hit.kind.replace('_', " "), hit.id.clone(), hit.title.clone(), print::short(&hit.sentence, 100)]
        });
        if !answer.items.is_empty() {
            print::out("\n")?;
        }
        print::table(&["what", "number or id", "title", "where it stands"], rows.collect())?;
        if answer.behind > 0 {
            eprintln!("{} events are not in the index yet; a running service goes on with them", answer.behind);
        }
    }
    Ok(if answer.items.is_empty() { Outcome::Findings } else { Outcome::Done })
}
