//! `crossdock orders`: find orders, read where they are.

use anyhow::bail;
use clap::{Args, Subcommand};

use super::{Outcome, Shared, open, print, saved};
use crate::api::story;
use crate::store::view::{OrderDetail, OrderRow, Page, Paging};
use crate::store::{OrderFilter, SharedStore};

/// Pages a search looks through when no order has the very number.
const SEARCH_PAGES: usize = 50;

/// Without an action: the list.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  crossdock orders --state parked\n  crossdock orders show 000000042"
)]
pub struct Orders {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List orders, newest first
    #[command(after_help = "Example:\n  crossdock orders list --state parked --limit 20")]
    List(List),
    /// Tell one order's story, from its receipt to the destination's number
    #[command(after_help = "Example:\n  crossdock orders show 000000042")]
    Show {
        /// Commerce's number
        increment_id: String,
    },
    /// Find orders by a part of their number
    #[command(after_help = "Example:\n  crossdock orders search 42")]
    Search {
        /// A part of the number, or Commerce's entity id
        text: String,
    },
}

#[derive(Debug, Args)]
struct List {
    /// Only these
    #[arg(long, value_parser = ["parked", "due", "delivered", "ignored"])]
    state: Option<String>,
    /// Only of this Commerce instance
    #[arg(long, value_name = "NAME")]
    system: Option<String>,
    /// What a shared view of this name asks for; flags beside it count before it
    #[arg(long, value_name = "NAME")]
    view: Option<String>,
    /// How many, at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
    /// Go on where the last list ended
    #[arg(long)]
    cursor: Option<String>,
}

/// Asks the store.
pub async fn run(verb: Orders, shared: &Shared) -> anyhow::Result<Outcome> {
    let config = open::config(shared)?.config;
    let store = open::existing_store(&config)?;
    match verb.action.unwrap_or(Action::List(verb.list)) {
        Action::List(list) => {
            let mut seen = saved::filter(&store, "orders", list.view.as_deref()).await?;
            let filter = OrderFilter {
                increment_id: seen.remove("increment_id"),
                state: list.state.or_else(|| seen.remove("state")),
                system: list.system.or_else(|| seen.remove("system")),
            };
            let page = store.orders(filter, Paging { limit: list.limit, cursor: list.cursor }).await?;
            show_page(&page, shared.json)
        }
        Action::Show { increment_id } => show(&store, &increment_id, shared.json).await,
        Action::Search { text } => search(&store, &text, shared.json).await,
    }
}

fn show_page(page: &Page<OrderRow>, json: bool) -> anyhow::Result<Outcome> {
    if json {
        print::json(page)?;
    } else {
        if page.items.is_empty() {
            eprintln!("no orders");
        }
        table(&page.items)?;
        if let Some(cursor) = &page.next_cursor {
            eprintln!("there are more: --cursor {cursor}");
        }
    }
    Ok(Outcome::Done)
}

fn table(orders: &[OrderRow]) -> anyhow::Result<()> {
    let rows = orders.iter().map(|order| {
        let total = match (&order.grand_total, &order.currency) {
            (Some(total), Some(currency)) => format!("{total} {currency}"),
            (total, _) => total.clone().unwrap_or_default(),
        };
        vec![
            order.increment_id.clone(),
            order.system.clone(),
            order.store_id.clone(),
            order.state.clone(),
            order.commerce_status.clone().unwrap_or_default(),
            total,
            order.placed_at.map(|at| at.to_string()).unwrap_or_default(),
            order.last_seen_at.to_string(),
        ]
    });
    print::table(&["number", "system", "store", "state", "status", "total", "placed", "last seen"], rows.collect())
}

async fn show(store: &SharedStore, increment_id: &str, json: bool) -> anyhow::Result<Outcome> {
    let known = store.order(increment_id.to_owned()).await?;
    if known.is_empty() {
        bail!("no order {increment_id} has been received; `crossdock orders search` looks for a part of a number");
    }
    if json {
        print::json(&known)?;
        return Ok(Outcome::Done);
    }
    for order in &known {
        tell(order)?;
    }
    Ok(Outcome::Done)
}

fn tell(order: &OrderDetail) -> anyhow::Result<()> {
    print::out(&format!("{}\n\n", print::visible(&story::sentence(order))))?;
    let rows = story::timeline(order).into_iter().map(|moment| vec![moment.at.to_string(), moment.words, moment.id]);
    print::table(&["at", "what", "id"], rows.collect())?;
    print::out("\n")
}

/// The very number first; else the newest orders whose number holds the text.
async fn search(store: &SharedStore, text: &str, json: bool) -> anyhow::Result<Outcome> {
    let exact = OrderFilter { increment_id: Some(text.to_owned()), ..OrderFilter::default() };
    let mut found = store.orders(exact, Paging { limit: 200, cursor: None }).await?.items;
    let mut cursor = None;
    for _ in 0..SEARCH_PAGES {
        if !found.is_empty() {
            break;
        }
        let page = store.orders(OrderFilter::default(), Paging { limit: 200, cursor }).await?;
        let fits = |order: &OrderRow| order.increment_id.contains(text) || order.entity_id.as_deref() == Some(text);
        found.extend(page.items.into_iter().filter(fits));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    if json {
        print::json(&found)?;
    } else {
        table(&found)?;
    }
    if found.is_empty() {
        let where_to = if cursor.is_some() { " among the newest 10,000" } else { "" };
        eprintln!("no order{where_to} has a number with \"{}\" in it", print::visible(text));
        return Ok(Outcome::Findings);
    }
    Ok(Outcome::Done)
}
