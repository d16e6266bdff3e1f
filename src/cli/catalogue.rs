//! `crossdock catalogue`: what is kept of Commerce's products.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{Outcome, Shared, open, print};
use crate::catalogue::Shop;
use crate::catalogue::shop::Entry;
use crate::clock::Timestamp;
use crate::store::known::{KnownKind, KnownRow};

/// What is done.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  crossdock catalogue show 24-WG085\n  crossdock catalogue show 2058 --json\n\n\
                  Nothing is asked of Commerce. Exit code 1 when nothing is kept of it.")]
pub struct Catalogue {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Show a product by its SKU or its id, of every Commerce instance
    #[command(after_help = "Example:\n  crossdock catalogue show 24-WG085")]
    Show {
        /// SKU or id
        #[arg(value_name = "SKU|ID")]
        product: String,
    },
    /// Show tax classes, store views, websites, sources and stocks of every Commerce instance
    #[command(after_help = "Example:\n  crossdock catalogue shop --json")]
    Shop,
}

#[derive(Serialize)]
struct Shown {
    system: String,
    id: u64,
    fetched_at: Timestamp,
    /// `null`: Commerce does not have it.
    product: Option<serde_json::Value>,
}

/// Prints what is kept.
pub async fn run(verb: Catalogue, shared: &Shared) -> anyhow::Result<Outcome> {
    let product = match verb.act {
        Act::Show { product } => product,
        Act::Shop => return shops(shared).await,
    };
    let store = open::existing_store(&open::config(shared)?.config)?;
    let known = store.known().await?;
    store.close().await?;
    let found = known.into_iter().filter(|row| is(row, &product)).map(shown).collect::<Result<Vec<_>, _>>()?;
    let outcome = if found.is_empty() { Outcome::Findings } else { Outcome::Done };
    if shared.json {
        print::json(&found)?;
    } else if found.is_empty() {
        eprintln!("nothing is kept of {}", print::visible(&product));
    } else {
        print::table(&["system", "id", "SKU", "type", "price", "options", "read"], found.iter().map(row).collect())?;
    }
    Ok(outcome)
}

/// The short lists, as they are kept.
async fn shops(shared: &Shared) -> anyhow::Result<Outcome> {
    let store = open::existing_store(&open::config(shared)?.config)?;
    let known = store.known().await?;
    store.close().await?;
    let mut found = Vec::new();
    for row in known.into_iter().filter(|row| row.key.kind == KnownKind::Shop) {
        let Some(body) = row.body.as_deref() else { continue };
        found.push((row.key.system, row.fetched_at, serde_json::from_str::<Shop>(body)?));
    }
    if shared.json {
        let shown = |(system, fetched_at, shop): &(String, Timestamp, Shop)| serde_json::json!({ "system": system, "fetched_at": fetched_at, "shop": shop });
        print::json(&found.iter().map(shown).collect::<Vec<_>>())?;
    } else if found.is_empty() {
        eprintln!(
            "nothing is kept of any shop: the service asks when it starts, where a base_url and the catalogue are set"
        );
    } else {
        let rows = found.iter().flat_map(|(system, _, shop)| entries(system, shop)).collect();
        print::table(&["system", "what", "id", "code", "name", "active"], rows)?;
    }
    Ok(if found.is_empty() { Outcome::Findings } else { Outcome::Done })
}

fn entries(system: &str, shop: &Shop) -> Vec<Vec<String>> {
    let lists = [
        ("tax class", &shop.tax_classes),
        ("website", &shop.websites),
        ("store view", &shop.store_views),
        ("source", &shop.sources),
        ("stock", &shop.stocks),
    ];
    let row = |(what, entry): (&str, &Entry)| {
        let active = if entry.active { "yes" } else { "no" };
        let code = entry.code.clone().unwrap_or_default();
        vec![system.to_owned(), what.to_owned(), entry.id.clone(), code, entry.name.clone(), active.to_owned()]
    };
    lists.into_iter().flat_map(|(what, list)| list.iter().map(move |entry| row((what, entry)))).collect()
}

/// Commerce compares SKUs without regard to case.
fn is(row: &KnownRow, product: &str) -> bool {
    row.key.kind == KnownKind::Product
        && (row.sku.as_deref().is_some_and(|sku| sku.eq_ignore_ascii_case(product))
            || product.parse() == Ok(row.key.id))
}

fn shown(row: KnownRow) -> serde_json::Result<Shown> {
    let product = row.body.as_deref().map(serde_json::from_str).transpose()?;
    Ok(Shown { system: row.key.system, id: row.key.id, fetched_at: row.fetched_at, product })
}

fn row(shown: &Shown) -> Vec<String> {
    let member = |name: &str| {
        let value = shown.product.as_ref().and_then(|product| product[name].as_str());
        value.unwrap_or_default().to_owned()
    };
    let options = shown.product.as_ref().and_then(|product| product["options"].as_array()).map(|options| {
        let titles = options.iter().filter_map(|option| option["title"].as_str());
        titles.collect::<Vec<_>>().join(", ")
    });
    let sku = if shown.product.is_none() { "Commerce does not have it".to_owned() } else { member("sku") };
    vec![
        shown.system.clone(),
        shown.id.to_string(),
        sku,
        member("type"),
        member("price"),
        options.unwrap_or_default(),
        shown.fetched_at.to_string(),
    ]
}
