//! `crossdock mappings`: tables in and out.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use super::{Outcome, Shared, open, print};
use crate::access::Actor;
use crate::api::mapping_csv::{self, TABLES};
use crate::store::SharedStore;

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
