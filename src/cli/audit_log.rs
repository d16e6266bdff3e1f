//! `crossdock audit-log`: who did what, from where and why, and whether the record of it is whole.

use anyhow::bail;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{Outcome, Shared, open, print};
use crate::store::SharedStore;
use crate::store::books::{AuditBreak, AuditHead, AuditRow};

/// What to do with the audit.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  crossdock audit-log verify --config crossdock.toml\n  crossdock audit-log export > audit.jsonl"
)]
pub struct AuditLog {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Walk the chain of rows and name the first that does not fit
    #[command(
        after_help = "Examples:\n  crossdock audit-log verify\n  crossdock audit-log verify --head 9f86d081…\n\n\
                      A copy of the head kept elsewhere (printed here, in doctor and GET /api/v1/audit/head) also tells\n\
                      when rows were cut off at the end or the whole chain was written anew.\n\
                      Exit code 1 when the chain is broken or the head is not in it."
    )]
    Verify {
        /// Digest of a row seen before, which must still be in the chain
        #[arg(long, value_name = "DIGEST")]
        head: Option<String>,
    },
    /// Write every row as a line of JSON, oldest first
    #[command(
        after_help = "Examples:\n  crossdock audit-log export > audit.jsonl\n  crossdock audit-log export --after 1200"
    )]
    Export {
        /// Only rows with a higher number
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        after: u64,
    },
}

#[derive(Serialize)]
struct Verified {
    #[serde(flatten)]
    head: AuditHead,
    broken: Option<AuditBreak>,
    /// Whether the head asked for is in the chain; `null` when none was asked for.
    head_found: Option<bool>,
}

/// Reads the audit of the store.
pub async fn run(verb: AuditLog, shared: &Shared) -> anyhow::Result<Outcome> {
    let store = open::existing_store(&open::config(shared)?.config)?;
    let outcome = match verb.action {
        Action::Verify { head } => verify(&store, head.as_deref(), shared.json).await,
        Action::Export { after } => export(&store, after).await,
    };
    store.close().await?;
    outcome
}

async fn verify(store: &SharedStore, known: Option<&str>, json: bool) -> anyhow::Result<Outcome> {
    let head_found = match known {
        None => None,
        Some(digest) if digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            bail!("--head is the digest of a row: 64 hex digits");
        }
        Some(digest) => Some(is_in_the_chain(store, &digest.to_ascii_lowercase()).await?),
    };
    let verified = Verified { head: store.audit_head().await?, broken: store.audit_break().await?, head_found };
    let sound = verified.broken.is_none() && head_found != Some(false);
    if json {
        print::json(&verified)?;
    } else {
        let line = match (&verified.broken, head_found) {
            (Some(broken), _) => format!("the chain is broken at row {}: {}", broken.number, broken.what),
            (None, Some(false)) => {
                "the rows fit together, and the head you know is not among them: the chain was cut or \
                                    written anew"
                    .to_owned()
            }
            (None, _) => format!("{} rows, each follows from the one before it", verified.head.rows),
        };
        print::out(&format!("{line}\nhead {}\n", verified.head.digest))?;
    }
    Ok(if sound { Outcome::Done } else { Outcome::Findings })
}

async fn is_in_the_chain(store: &SharedStore, digest: &str) -> anyhow::Result<bool> {
    let mut after = 0;
    loop {
        let rows = store.audit_after(after).await?;
        let Some(last) = rows.last() else { return Ok(false) };
        if rows.iter().any(|row| row.digest == digest) {
            return Ok(true);
        }
        after = last.number;
    }
}

async fn export(store: &SharedStore, after: u64) -> anyhow::Result<Outcome> {
    let mut after = after;
    loop {
        let rows: Vec<AuditRow> = store.audit_after(after).await?;
        let Some(last) = rows.last() else { return Ok(Outcome::Done) };
        after = last.number;
        let lines: Result<Vec<String>, _> = rows.iter().map(serde_json::to_string).collect();
        print::out(&format!("{}\n", lines?.join("\n")))?;
    }
}
