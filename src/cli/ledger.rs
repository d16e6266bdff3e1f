//! `crossdock ledger`: what became of every accepted event, and of every order in money.

use clap::Args;
use serde::Serialize;

use super::{Outcome, Shared, open, print};
use crate::store::books::MoneyRow;
use crate::store::view::Ledger as Columns;

/// No arguments of its own.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  crossdock ledger --config crossdock.toml\n  crossdock ledger --json\n\n\
                  Exit code 1 when it does not add up. `crossdock doctor --recount` counts everything afresh.")]
pub struct Ledger {}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    columns: Columns,
    difference: i128,
    money: Vec<MoneyRow>,
}

/// Prints the ledger (P2).
pub async fn run(_: Ledger, shared: &Shared) -> anyhow::Result<Outcome> {
    let store = open::existing_store(&open::config(shared)?.config)?;
    let columns = store.ledger().await?;
    let shown = Shown { columns, difference: columns.difference(), money: store.money().await? };
    store.close().await?;
    if shared.json {
        print::json(&shown)?;
    } else {
        let counts = [
            ("accepted", columns.accepted),
            ("done", columns.done),
            ("ignored", columns.ignored),
            ("superseded", columns.superseded),
            ("with a person", columns.exception),
            ("still due", columns.due),
        ];
        let rows = counts.iter().map(|(name, count)| vec![(*name).to_owned(), count.to_string()]);
        let difference = vec!["difference".to_owned(), shown.difference.to_string()];
        print::table(&["events", "count"], rows.chain([difference]).collect())?;
        print::out("\n")?;
        let rows = shown.money.iter().map(|row| {
            vec![
                row.system.clone(),
                row.state.clone(),
                row.currency.clone(),
                row.orders.to_string(),
                row.total.clone(),
                if row.without_total == 0 { String::new() } else { row.without_total.to_string() },
            ]
        });
        print::table(&["system", "state", "currency", "orders", "grand totals", "without total"], rows.collect())?;
    }
    Ok(if shown.difference == 0 { Outcome::Done } else { Outcome::Findings })
}
