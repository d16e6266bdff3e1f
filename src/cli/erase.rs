//! `crossdock erase`: a buyer's data leaves on request.

use clap::Args;

use super::{Outcome, Shared, open, print};
use crate::access::Actor;
use crate::keeping::erased::{self, Entry};
use crate::store::write::Erasure;

/// Whose data.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  crossdock erase --config crossdock.toml --order 000000042 --reason \"request of 1 March\"\n  \
                        crossdock erase --order 000000042 --system acme --store 1\n\n\
                        What arrived, what was sent and what was answered is destroyed with its keys. The order's number, its \
                        states, digests and keys stay: the ledger and the guards against doubles need them.\nThe list of what \
                        was erased stands beside the key of the store, and a restore applies it again."
)]
pub struct Erase {
    /// The order's number
    #[arg(long, value_name = "NUMBER", required_unless_present = "subject", conflicts_with = "subject")]
    order: Option<String>,
    /// Anything else: KIND:ID, such as customer:7
    #[arg(long, value_name = "KIND:ID", value_parser = subject)]
    subject: Option<(String, String)>,
    /// Only of this Commerce instance
    #[arg(long, value_name = "NAME")]
    system: Option<String>,
    /// Only of this store id
    #[arg(long, value_name = "ID")]
    store: Option<String>,
    /// Give up what is still open instead of refusing
    #[arg(long)]
    even_if_open: bool,
    /// Why, for the audit trail
    #[arg(long, default_value = "")]
    reason: String,
}

fn subject(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((kind, id)) if !kind.is_empty() && !id.is_empty() => Ok((kind.to_owned(), id.to_owned())),
        _ => Err("write KIND:ID, such as customer:7".to_owned()),
    }
}

/// Erases, then notes it where a restore finds it.
pub async fn run(verb: Erase, shared: &Shared) -> anyhow::Result<Outcome> {
    let config = open::config(shared)?.config;
    let store = open::existing_store(&config)?;
    let now = open::clock().now();
    let order = verb.order.map(|number| ("order".to_owned(), number));
    let (kind, id) = order.or(verb.subject).expect("the arguments require one of them");
    let mut act = Actor::at_the_command_line().act("subject.erase", format!("{kind}:{id}"), now);
    act.reason = verb.reason;
    let erasure = Erasure {
        kind,
        id,
        system: verb.system,
        scope: verb.store,
        until: now,
        even_if_open: verb.even_if_open,
        now,
        act: Some(act),
    };
    let erased = store.erase(erasure).await?;
    store.close().await?;
    let entries: Vec<Entry> = erased
        .subjects
        .iter()
        .map(|subject| Entry {
            kind: subject.kind.clone(),
            system: subject.system.clone(),
            scope: subject.scope.clone(),
            id: subject.id.clone(),
            until: now,
        })
        .collect();
    erased::note(&config.store.erased_lists, &entries)?;
    let given_up =
        if erased.given_up == 0 { String::new() } else { format!(", {} deliveries given up", erased.given_up) };
    print::out(&format!(
        "erased: {} bodies, {} answers{given_up}; noted in {}\n",
        erased.bodies,
        erased.answers,
        config.store.erased_lists[0].display()
    ))?;
    Ok(Outcome::Done)
}
