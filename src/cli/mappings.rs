//! `crossdock mappings`: tables in and out.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand};

use super::{Outcome, Shared, open, print};
use crate::access::Actor;
use crate::api::mapping_csv::{self, RowIn, TABLES};
use crate::store::SharedStore;
use crate::store::cases::{MappingChange, MappingEdit};
use crate::store::view::{Page, Paging};

/// What to do with mapping tables.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  crossdock mappings import --config crossdock.toml skus skus.csv")]
pub struct Mappings {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Replace a table by a CSV file with the columns key,value,destination
    #[command(after_help = "Example:\n  crossdock mappings import skus skus.csv\n\n\
                            An empty destination stands for all. \"-\" reads standard input.")]
    Import {
        /// Which table
        #[arg(value_parser = TABLES)]
        table: String,
        /// The file
        csv_file: PathBuf,
        /// Kept in the audit
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Write a table as CSV to standard output, or to a file
    #[command(after_help = "Example:\n  crossdock mappings export skus > skus.csv")]
    Export {
        /// Which table
        #[arg(value_parser = TABLES)]
        table: String,
        /// Where to; standard output when left out
        csv_file: Option<PathBuf>,
    },
    /// Set one row of a table; the others stay
    #[command(after_help = "Example:\n  crossdock mappings set skus 24-WG085 10042")]
    Set {
        /// Which table
        #[arg(value_parser = TABLES)]
        table: String,
        /// What Commerce says
        key: String,
        /// What the destination wants to hear
        value: String,
        /// For this destination alone; for all when left out
        #[arg(long, default_value = "")]
        destination: String,
        /// Kept in the audit
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Take one row out of a table; the others stay
    #[command(after_help = "Example:\n  crossdock mappings unset skus 24-WG085")]
    Unset {
        /// Which table
        #[arg(value_parser = TABLES)]
        table: String,
        /// What Commerce says
        key: String,
        /// Of this destination alone; the row for all when left out
        #[arg(long, default_value = "")]
        destination: String,
        /// Kept in the audit
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Show what changed in a table, newest first
    #[command(after_help = "Example:\n  crossdock mappings changes skus --key 24-WG085")]
    Changes {
        /// Which table
        #[arg(value_parser = TABLES)]
        table: String,
        /// Only of this key
        #[arg(long)]
        key: Option<String>,
        /// How many, at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
        limit: u32,
    },
    /// Show every table with its size and its last change
    #[command(after_help = "Example:\n  crossdock mappings list")]
    List,
}

/// Acts on the store's tables.
pub async fn run(verb: Mappings, shared: &Shared) -> anyhow::Result<Outcome> {
    let config = open::config(shared)?.config;
    let outcome = match verb.action {
        Action::Import { table, csv_file, reason } => {
            let store = open::store(&config)?;
            let outcome = import(&store, &table, &csv_file, reason, shared.json).await?;
            store.close().await?;
            outcome
        }
        Action::Export { table, csv_file } => {
            export(&open::existing_store(&config)?, &table, csv_file, shared.json).await?
        }
        Action::Set { table, key, value, destination, reason } => {
            let row = RowIn::new(key, value, destination);
            let set = mapping_csv::checked(vec![row]).map_err(|findings| {
                anyhow!("the row is not set: {}", findings.first().map_or("", |finding| finding.message.as_str()))
            })?;
            edit(&open::store(&config)?, table, MappingEdit { set, gone: Vec::new() }, reason, shared.json).await?
        }
        Action::Unset { table, key, destination, reason } => {
            let gone = vec![(key, destination)];
            edit(&open::existing_store(&config)?, table, MappingEdit { set: Vec::new(), gone }, reason, shared.json)
                .await?
        }
        Action::Changes { table, key, limit } => {
            let store = open::existing_store(&config)?;
            changes(store.mapping_changes(table, key, Paging { limit, cursor: None }).await?, shared.json)?
        }
        Action::List => list(&open::existing_store(&config)?, shared.json).await?,
    };
    Ok(outcome)
}

async fn import(store: &SharedStore, table: &str, file: &Path, reason: String, json: bool) -> anyhow::Result<Outcome> {
    let text = open::read(file)?;
    let rows = match mapping_csv::read(&text) {
        Ok(rows) => rows,
        Err(findings) => {
            for finding in &findings {
                eprintln!("{}: {}", finding.path, finding.message);
            }
            bail!("the table {table} was not changed; put the lines above right and import again");
        }
    };
    let count = rows.len();
    let mut act = Actor::at_the_command_line().act("mappings.import", table, open::clock().now());
    let before = store.mapping_tables().await?.into_iter().find(|head| head.table == table).map_or(0, |head| head.rows);
    act.before = serde_json::json!({ "rows": before }).to_string();
    act.after = serde_json::json!({ "rows": count }).to_string();
    act.reason = reason;
    let version = store.import_mappings(table.to_owned(), rows, act).await?;
    if json {
        print::json(&serde_json::json!({ "table": table, "rows": count, "version": version }))?;
    } else {
        print::out(&format!("{table}: {count} rows, version {version}\n"))?;
    }
    Ok(Outcome::Done)
}

async fn edit(
    store: &SharedStore,
    table: String,
    edit: MappingEdit,
    reason: String,
    json: bool,
) -> anyhow::Result<Outcome> {
    let mut act = Actor::at_the_command_line().act("mappings.edit", &table, open::clock().now());
    act.reason = reason;
    let before = store.mappings_version().await?;
    let version = store.edit_mappings(table.clone(), edit, act).await?;
    store.close().await?;
    if json {
        print::json(&serde_json::json!({ "table": table, "version": version }))?;
    } else if version == before {
        print::out(&format!("{table}: nothing changed, version {version}\n"))?;
    } else {
        print::out(&format!("{table}: changed, version {version}\n"))?;
    }
    Ok(Outcome::Done)
}

fn changes(page: Page<MappingChange>, json: bool) -> anyhow::Result<Outcome> {
    if json {
        print::json(&page)?;
        return Ok(Outcome::Done);
    }
    if page.items.is_empty() {
        eprintln!("nothing changed, beside what a first import brought");
    }
    let rows = page.items.into_iter().map(|change| {
        let (before, after) = (change.before.unwrap_or_default(), change.after.unwrap_or_default());
        let version = change.version.to_string();
        vec![change.at.to_string(), version, change.actor, change.key, change.destination, before, after]
    });
    print::table(&["at", "version", "by", "key", "destination", "before", "after"], rows.collect())?;
    Ok(Outcome::Done)
}

async fn export(store: &SharedStore, table: &str, file: Option<PathBuf>, json: bool) -> anyhow::Result<Outcome> {
    let rows = store.mapping_rows(table.to_owned()).await?;
    let text = if json { serde_json::to_string_pretty(&rows)? + "\n" } else { mapping_csv::write(&rows) };
    match file {
        None => print::out(&text)?,
        Some(path) => {
            std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
        }
    }
    Ok(Outcome::Done)
}

async fn list(store: &SharedStore, json: bool) -> anyhow::Result<Outcome> {
    let tables = store.mapping_tables().await?;
    if json {
        print::json(&tables)?;
        return Ok(Outcome::Done);
    }
    if tables.is_empty() {
        eprintln!("no table is loaded: codes pass as Commerce sends them");
    }
    let rows = tables.into_iter().map(|head| {
        let changed = head.changed_at.map(|at| at.to_string()).unwrap_or_default();
        vec![head.table, head.rows.to_string(), head.version.to_string(), changed, head.changed_by.unwrap_or_default()]
    });
    print::table(&["table", "rows", "version", "changed", "by"], rows.collect())?;
    Ok(Outcome::Done)
}
