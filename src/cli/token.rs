//! `crossdock token`: API tokens.

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use super::{Outcome, Shared, open, print};
use crate::access::roles::Scopes;
use crate::access::tokens::mint;
use crate::access::{Actor, Role};
use crate::clock::{SystemEntropy, Timestamp};
use crate::envelope::ids::TokenId;

/// What to do with tokens.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  crossdock token create --config crossdock.toml --name anna --role operator")]
pub struct Token {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a token and print it, alone, this once
    #[command(
        after_help = "Examples:\n  TOKEN=$(crossdock token create --config crossdock.toml --name anna --role viewer)\n  \
                      crossdock token create --name board --role operator --scope records:read --scope exceptions:replay"
    )]
    Create {
        /// Who it is for; unique among valid tokens
        #[arg(long)]
        name: String,
        /// viewer reads, operator repairs, mapper edits tables, finance reads money and exports, admin does everything
        #[arg(long, value_parser = str::parse::<Role>)]
        role: Role,
        /// Only this permission of the role, exceptions:replay; may be given several times [default: all the role has]
        #[arg(long = "scope", value_name = "PERMISSION")]
        scopes: Vec<String>,
        /// No longer valid after, 2027-01-01T00:00:00Z
        #[arg(long, visible_alias = "expires", value_name = "TIME")]
        expires_at: Option<Timestamp>,
        /// Kept in the audit
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Show every token, without secrets
    #[command(after_help = "Example:\n  crossdock token list --json")]
    List,
    /// Make a token invalid at once
    #[command(after_help = "Example:\n  crossdock token revoke anna")]
    Revoke {
        /// Its id (`tok_…`) or name
        token: String,
        /// Kept in the audit
        #[arg(long, default_value = "")]
        reason: String,
    },
}

/// Acts on the store's tokens.
pub async fn run(verb: Token, shared: &Shared) -> anyhow::Result<Outcome> {
    let config = open::config(shared)?.config;
    let store = open::store(&config)?;
    let now = open::clock().now();
    match verb.action {
        Action::Create { name, role, scopes, expires_at, reason } => {
            if expires_at.is_some_and(|at| at <= now) {
                bail!("--expires-at lies in the past");
            }
            let scopes = Scopes::narrow(role, scopes.iter().map(String::as_str))?;
            let (secret, token) = mint(&name, (role, &scopes), expires_at, now, &SystemEntropy)?;
            let mut act = Actor::at_the_command_line().act("token.create", token.id, now);
            act.after = serde_json::json!({ "name": name, "role": role, "scopes": scopes }).to_string();
            act.reason = reason;
            store.create_token(token, act).await.context("the token was not made")?;
            print::out(&format!("{}\n", secret.reveal()))?;
        }
        Action::List => {
            let tokens = store.tokens().await?;
            if shared.json {
                print::json(&tokens)?;
            } else {
                let rows = tokens.iter().map(|token| {
                    let ended = token.revoked_at.map(|at| format!("revoked {at}"));
                    let ends = token.expires_at.map(|at| format!("expires {at}"));
                    let until = ended.or(ends).unwrap_or_else(|| "valid".to_owned());
                    vec![
                        token.id.to_string(),
                        token.name.clone(),
                        token.role.clone(),
                        if token.scopes.is_empty() { "all of the role".to_owned() } else { token.scopes.join(" ") },
                        token.created_at.to_string(),
                        until,
                    ]
                });
                print::table(&["id", "name", "role", "scopes", "created", "until"], rows.collect())?;
            }
        }
        Action::Revoke { token, reason } => {
            let tokens = store.tokens().await?;
            let known = tokens
                .iter()
                .find(|row| row.revoked_at.is_none() && (row.name == token || token.parse::<TokenId>() == Ok(row.id)));
            let Some(known) = known else {
                bail!("no valid token has that id or name; `crossdock token list` shows them");
            };
            let mut act = Actor::at_the_command_line().act("token.revoke", known.id, now);
            act.before = serde_json::json!({ "name": known.name, "role": known.role }).to_string();
            act.after = serde_json::json!({ "revoked": true }).to_string();
            act.reason = reason;
            store.revoke_token(known.id, act).await?;
            eprintln!("{} ({}) is revoked; a running service refuses it within two seconds", known.id, known.name);
        }
    }
    store.close().await?;
    Ok(Outcome::Done)
}
