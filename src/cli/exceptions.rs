//! `crossdock exceptions`: what waits for a person.

use anyhow::anyhow;
use clap::{Args, Subcommand};

use super::{Outcome, Shared, open, print};
use crate::domain::defect::ExceptionCode;
use crate::envelope::ids::ExceptionId;
use crate::exceptions::catalogue::{self, Entry};
use crate::store::view::{ExceptionRow, Page, Paging};
use crate::store::{ExceptionFilter, SharedStore};

/// Without an action: the list of open ones.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  crossdock exceptions --code unmapped_sku\n  crossdock exceptions groups\n  \
                  crossdock exceptions show exc_…\n  crossdock exceptions explain unmapped_sku"
)]
pub struct Exceptions {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List exceptions, newest first
    #[command(after_help = "Example:\n  crossdock exceptions list --state all --order 000000042")]
    List(List),
    /// Show one exception: what is wrong, where, and what to do
    #[command(after_help = "Example:\n  crossdock exceptions show exc_01…")]
    Show {
        /// `exc_…`
        id: ExceptionId,
    },
    /// Show open exceptions by cause, largest first
    #[command(after_help = "Example:\n  crossdock exceptions groups")]
    Groups,
    /// Read the page of a code: what it means, how it arises, how to fix it, what happens if it is ignored
    #[command(after_help = "Example:\n  crossdock exceptions explain unmapped_sku")]
    Explain {
        /// As an exception carries it
        #[arg(value_name = "CODE")]
        code: ExceptionCode,
    },
    /// Show every code there is
    #[command(after_help = "Example:\n  crossdock exceptions catalogue")]
    Catalogue,
}

#[derive(Debug, Args)]
struct List {
    /// Only these
    #[arg(long, default_value = "open", value_parser = ["open", "resolved", "superseded", "all"])]
    state: String,
    /// Only with this code
    #[arg(long)]
    code: Option<String>,
    /// Only of this cause
    #[arg(long, value_name = "FINGERPRINT")]
    group: Option<String>,
    /// Only about this order
    #[arg(long, value_name = "NUMBER")]
    order: Option<String>,
    /// How many, at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
    /// Go on where the last list ended
    #[arg(long)]
    cursor: Option<String>,
}

/// Asks the store.
pub async fn run(verb: Exceptions, shared: &Shared) -> anyhow::Result<Outcome> {
    let action = verb.action.unwrap_or(Action::List(verb.list));
    // The pages are part of the program: they need neither a configuration nor a store.
    match &action {
        Action::Explain { code } => return explain(*code, shared.json),
        Action::Catalogue => return codes(shared.json),
        _ => {}
    }
    let config = open::config(shared)?.config;
    let store = open::existing_store(&config)?;
    match action {
        Action::List(list) => {
            let filter = ExceptionFilter {
                state: Some(list.state),
                code: list.code,
                fingerprint: list.group,
                subject_id: list.order,
            };
            show_page(&store.exceptions(filter, Paging { limit: list.limit, cursor: list.cursor }).await?, shared.json)
        }
        Action::Show { id } => show(&store, id, shared.json).await,
        Action::Groups => groups(&store, shared.json).await,
        Action::Explain { .. } | Action::Catalogue => unreachable!("answered above"),
    }
}

fn explain(code: ExceptionCode, json: bool) -> anyhow::Result<Outcome> {
    let entry = Entry::from(code);
    if json {
        print::json(&entry)?;
        return Ok(Outcome::Done);
    }
    let owner = format!("{}, for {}", entry.severity.as_str(), entry.owner.as_str());
    print::out(&format!("{}\n\nSeverity: {owner}\n", entry.page.trim_end()))?;
    Ok(Outcome::Done)
}

fn codes(json: bool) -> anyhow::Result<Outcome> {
    let entries = catalogue::entries();
    if json {
        print::json(&entries)?;
        return Ok(Outcome::Done);
    }
    let rows = entries.into_iter().map(|entry| {
        let (severity, owner) = (entry.severity.as_str().to_owned(), entry.owner.as_str().to_owned());
        vec![entry.code.to_string(), severity, owner, entry.title.to_owned()]
    });
    print::table(&["code", "severity", "owner", "in words"], rows.collect())?;
    Ok(Outcome::Done)
}

fn show_page(page: &Page<ExceptionRow>, json: bool) -> anyhow::Result<Outcome> {
    if json {
        print::json(page)?;
        return Ok(Outcome::Done);
    }
    if page.items.is_empty() {
        eprintln!("no exceptions");
    }
    let rows = page.items.iter().map(|row| {
        vec![
            row.id.to_string(),
            row.subject.increment_id.clone(),
            row.code.clone(),
            row.state.clone(),
            row.opened_at.to_string(),
            print::short(&row.message, 90),
        ]
    });
    print::table(&["id", "order", "code", "state", "opened", "what is wrong"], rows.collect())?;
    if let Some(cursor) = &page.next_cursor {
        eprintln!("there are more: --cursor {cursor}");
    }
    Ok(Outcome::Done)
}

async fn show(store: &SharedStore, id: ExceptionId, json: bool) -> anyhow::Result<Outcome> {
    let row = store.exception(id).await?;
    let row = row.ok_or_else(|| anyhow!("{id} does not exist; `crossdock exceptions` lists them"))?;
    if json {
        print::json(&row)?;
        return Ok(Outcome::Done);
    }
    let order = format!(
        "{} {} (store {}, {})",
        row.subject.kind, row.subject.increment_id, row.subject.store_id, row.subject.system
    );
    let facts = [
        ("exception", row.id.to_string()),
        ("about", order),
        ("code", format!("{} ({}, for {})", row.code, row.severity, row.owner)),
        ("state", row.state),
        ("opened", row.opened_at.to_string()),
        ("closed", row.resolved_at.map(|at| at.to_string()).unwrap_or_default()),
        ("how", row.resolution.unwrap_or_default()),
        ("destination", row.destination.unwrap_or_default()),
        ("event", row.envelope_id.map(|id| id.to_string()).unwrap_or_default()),
        ("delivery", row.delivery_id.map(|id| id.to_string()).unwrap_or_default()),
        ("path", row.path),
        ("value", row.value.unwrap_or_default()),
        ("group", row.fingerprint),
        ("what is wrong", row.message),
        ("what to do", row.remedy),
    ];
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        print::out(&format!("{name:<14} {}\n", print::visible(value)))?;
    }
    Ok(Outcome::Done)
}

async fn groups(store: &SharedStore, json: bool) -> anyhow::Result<Outcome> {
    let groups = store.exception_groups().await?;
    if json {
        print::json(&groups)?;
        return Ok(Outcome::Done);
    }
    if groups.is_empty() {
        eprintln!("nothing waits for a person");
    }
    let rows = groups.into_iter().map(|group| {
        vec![
            group.fingerprint,
            group.open.to_string(),
            group.code,
            group.first_opened_at.to_string(),
            print::short(&group.message, 60),
            print::short(&group.remedy, 60),
        ]
    });
    print::table(&["group", "open", "code", "since", "what is wrong", "what to do"], rows.collect())?;
    Ok(Outcome::Done)
}
