//! `crossdock alerts`: what people are told of, taking it, and trying out who is told.

use anyhow::bail;
use clap::{Args, Subcommand};

use super::{Outcome, Shared, open, print};
use crate::access::Actor;
use crate::app;
use crate::clock::SystemEntropy;
use crate::envelope::ids::{AlertId, MessageId};
use crate::store::alerts::Alert;

/// Alerts that are kept.
const KEPT: u32 = 200;

/// What to do with alerts.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  crossdock alerts list\n  crossdock alerts acknowledge alr_01k… --reason \"on it\"\n  \
                        crossdock alerts test --contact ops"
)]
pub struct Alerts {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show what is wrong, and with `--all` what is over
    #[command(after_help = "Example:\n  crossdock alerts list --all --json")]
    List {
        /// Those that are over as well
        #[arg(long)]
        all: bool,
    },
    /// Take an alert: nobody else is told of it but that it is over
    #[command(after_help = "Example:\n  crossdock alerts acknowledge alr_01k… --reason \"the ERP is being restarted\"")]
    Acknowledge {
        /// Its id, `alr_…`
        alert: AlertId,
        /// Kept in the audit
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Send a message that says it is a test, and show what the channel answered
    #[command(after_help = "Example:\n  crossdock alerts test --config crossdock.toml --contact ops")]
    Test {
        /// The contact's name
        #[arg(long)]
        contact: String,
    },
}

/// Asks the store, or the channel.
pub async fn run(verb: Alerts, shared: &Shared) -> anyhow::Result<Outcome> {
    let config = open::config(shared)?.config;
    let now = open::clock().now();
    let actor = Actor::at_the_command_line();
    match verb.action {
        Action::List { all } => {
            let store = open::existing_store(&config)?;
            let mut alerts = store.recent_alerts(KEPT).await?;
            alerts.retain(|alert| all || alert.resolved_at.is_none());
            if shared.json {
                print::json(&alerts)?;
            } else {
                if alerts.is_empty() {
                    eprintln!("nothing is wrong that anybody was to be told of");
                }
                print::table(
                    &["id", "severity", "state", "since", "waiting", "what"],
                    alerts.iter().map(row).collect(),
                )?;
            }
            store.close().await?;
        }
        Action::Acknowledge { alert, reason } => {
            let store = open::existing_store(&config)?;
            let mut act = actor.act("alert.acknowledge", alert, now);
            if let Some(known) = store.alert(alert).await? {
                act.before = serde_json::json!({ "state": known.state() }).to_string();
            }
            act.after = serde_json::json!({ "state": "acknowledged" }).to_string();
            act.reason = reason;
            store.acknowledge_alert(alert, act).await?;
            eprintln!("{alert} is yours: it goes to nobody else");
            store.close().await?;
        }
        Action::Test { contact } => {
            let contacts = app::contacts(&config)?;
            if !contacts.names().contains(&contact) {
                bail!("there is no contact {contact}; the file names {}", contacts.names().join(", "));
            }
            // A test needs no store; where there is one, it is written down.
            if open::store_path(&config)?.exists() {
                let store = open::existing_store(&config)?;
                store.record(actor.act("alert.test", &contact, now)).await?;
                store.close().await?;
            }
            let tested = contacts.test(&contact, MessageId::new(now, &SystemEntropy), now).await;
            let Some(tested) = tested else { bail!("there is no contact {contact}") };
            if shared.json {
                print::json(&tested)?;
            } else {
                let word = if tested.sent { "took it" } else { "did not take it" };
                print::out(&format!("{contact} {word}: {}\n", tested.answer))?;
            }
            return Ok(if tested.sent { Outcome::Done } else { Outcome::Findings });
        }
    }
    Ok(Outcome::Done)
}

fn row(alert: &Alert) -> Vec<String> {
    vec![
        alert.id.to_string(),
        alert.severity.as_str().to_owned(),
        alert.state().to_owned(),
        alert.since.to_string(),
        alert.waiting.to_string(),
        print::short(&alert.what, 90),
    ]
}
