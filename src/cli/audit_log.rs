//! `crossdock audit-log`: who did what, from where and why, and whether the record of it is whole.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use super::{Outcome, Shared, open, print};
use crate::api::audit_export;
use crate::clock::Timestamp;
use crate::store::SharedStore;
use crate::store::books::{AuditBreak, AuditHead, AuditRow};
use crate::store::trail::{Check, Checked, Wanted};

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
        after_help = "Examples:\n  crossdock audit-log verify\n  crossdock audit-log verify --head 9f86d081…\n  \
                      crossdock audit-log verify --file audit.jsonl\n\n\
                      A copy of the head kept elsewhere (printed here, in doctor and GET /api/v1/audit/head) also tells\n\
                      when rows were cut off at the end or the whole chain was written anew. With --file an export is\n\
                      checked alone, without the store: every row proves its content, neighbours prove their order.\n\
                      Exit code 1 when the chain is broken or the head is not in it."
    )]
    Verify {
        /// Digest of a row seen before, which must still be in the chain
        #[arg(long, value_name = "DIGEST")]
        head: Option<String>,
        /// An export of JSON lines to check instead of the store; - is standard input
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Write rows as lines of JSON or CSV, oldest first
    #[command(
        after_help = "Examples:\n  crossdock audit-log export > audit.jsonl\n  crossdock audit-log export --after 1200\n  \
                      crossdock audit-log export --format csv --actor user:anna --since 2026-11-01T00:00:00Z > anna.csv"
    )]
    Export {
        /// Only rows with a higher number
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        after: u64,
        /// Only rows not older
        #[arg(long, value_name = "TIME")]
        since: Option<Timestamp>,
        /// Only rows older
        #[arg(long, value_name = "TIME")]
        until: Option<Timestamp>,
        /// Only acts of user:NAME, token:NAME, cli:ACCOUNT, anonymous or system
        #[arg(long)]
        actor: Option<String>,
        /// Only this action, or those below it: user stands for user.create and the like
        #[arg(long = "action", value_name = "ACTION")]
        kind: Option<String>,
        /// jsonl for programs and verify --file, csv for spreadsheets (no cell of it is run as a formula)
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    #[default]
    Jsonl,
    Csv,
}

#[derive(Serialize)]
struct Verified {
    #[serde(flatten)]
    head: AuditHead,
    broken: Option<AuditBreak>,
    /// Whether the head asked for is in the chain; `null` when none was asked for.
    head_found: Option<bool>,
}

#[derive(Serialize)]
struct FileVerified {
    #[serde(flatten)]
    checked: Checked,
    head_found: Option<bool>,
}

/// Reads the audit of the store, or of a file.
pub async fn run(verb: AuditLog, shared: &Shared) -> anyhow::Result<Outcome> {
    if let Action::Verify { head, file: Some(file) } = &verb.action {
        return verify_file(file, known(head.as_deref())?.as_deref(), shared.json);
    }
    let store = open::existing_store(&open::config(shared)?.config)?;
    let outcome = match verb.action {
        Action::Verify { head, .. } => verify(&store, head.as_deref(), shared.json).await,
        Action::Export { after, since, until, actor, kind, format } => {
            let format = match format {
                Format::Jsonl => audit_export::Format::Jsonl,
                Format::Csv => audit_export::Format::Csv,
            };
            export(&store, after, &Wanted { since, until, actor, action: kind }, format).await
        }
    };
    store.close().await?;
    outcome
}

fn known(head: Option<&str>) -> anyhow::Result<Option<String>> {
    match head {
        Some(digest) if digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            bail!("--head is the digest of a row: 64 hex digits")
        }
        head => Ok(head.map(str::to_ascii_lowercase)),
    }
}

async fn verify(store: &SharedStore, head: Option<&str>, json: bool) -> anyhow::Result<Outcome> {
    let head_found = match known(head)? {
        None => None,
        Some(digest) => Some(is_in_the_chain(store, &digest).await?),
    };
    let verified = Verified { head: store.audit_head().await?, broken: store.audit_break().await?, head_found };
    if json {
        print::json(&verified)?;
    } else {
        let whole = format!("{} rows, each follows from the one before it", verified.head.rows);
        say(verified.broken.as_ref(), head_found, &whole, &verified.head.digest)?;
    }
    Ok(outcome(verified.broken.as_ref(), head_found))
}

fn say(broken: Option<&AuditBreak>, head_found: Option<bool>, whole: &str, head: &str) -> anyhow::Result<()> {
    let line = match (broken, head_found) {
        (Some(broken), _) => format!("the chain is broken at row {}: {}", broken.number, broken.what),
        (None, Some(false)) => {
            "the rows fit together, and the head you know is not among them: the chain was cut or written anew"
                .to_owned()
        }
        (None, _) => whole.to_owned(),
    };
    print::out(&format!("{line}\nhead {head}\n"))
}

fn outcome(broken: Option<&AuditBreak>, head_found: Option<bool>) -> Outcome {
    if broken.is_none() && head_found != Some(false) { Outcome::Done } else { Outcome::Findings }
}

fn verify_file(path: &Path, head: Option<&str>, json: bool) -> anyhow::Result<Outcome> {
    let input: Box<dyn std::io::BufRead> = if path == Path::new("-") {
        Box::new(BufReader::new(std::io::stdin()))
    } else {
        Box::new(BufReader::new(File::open(path).with_context(|| format!("{} cannot be read", path.display()))?))
    };
    let mut check = Check::looking_for(head);
    for (index, line) in input.lines().enumerate() {
        let line = line.with_context(|| format!("{} cannot be read", path.display()))?;
        if line.trim().is_empty() {
            continue;
        }
        let row: AuditRow = serde_json::from_str(&line).map_err(|_| {
            anyhow::anyhow!(
                "line {} of {} is no row of an export; hand in what `crossdock audit-log export` wrote as jsonl",
                index + 1,
                path.display()
            )
        })?;
        check.row(&row);
    }
    let (checked, head_found) = check.end();
    if checked.rows == 0 {
        bail!("{} holds no rows: nothing is proved", path.display());
    }
    let sound = outcome(checked.broken.as_ref(), head_found);
    if json {
        print::json(&FileVerified { checked, head_found })?;
        return Ok(sound);
    }
    let part = match checked.left_out {
        0 => "each follows from the one before it".to_owned(),
        gaps => {
            format!("each is as it was written; rows are left out in {gaps} places, which only the store can judge")
        }
    };
    let whole = format!("{} rows, {part}", checked.rows);
    say(checked.broken.as_ref(), head_found, &whole, &checked.digest)?;
    Ok(sound)
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

async fn export(
    store: &SharedStore,
    after: u64,
    wanted: &Wanted,
    format: audit_export::Format,
) -> anyhow::Result<Outcome> {
    let mut after = after;
    print::out(audit_export::header(format))?;
    loop {
        let rows: Vec<AuditRow> = store.audit_after(after).await?;
        let Some(last) = rows.last() else { return Ok(Outcome::Done) };
        after = last.number;
        let lines: String =
            rows.iter().filter(|row| wanted.takes(row)).map(|row| audit_export::line(format, row)).collect();
        print::out(&lines)?;
    }
}
