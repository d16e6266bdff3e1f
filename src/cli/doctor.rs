//! `crossdock doctor`: is this installation sound? And, for container health checks, does a running one answer?

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;

use super::open::{self, DEFAULT_CONFIG};
use super::{Outcome, Shared, print};
use crate::clock::{SharedEntropy, SystemEntropy};
use crate::commerce::rest::search::Search;
use crate::config::Config;
use crate::incidents::{self, IncidentView};
use crate::intake::load::DiskLevel;
use crate::observe::disk::DiskSpace;
use crate::store::{SharedStore, copies};
use crate::watch::ballast_path;
use crate::watch::disk::level;

/// A probe that takes longer has failed; container health checks wait three seconds.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// For one instance of Commerce.
const COMMERCE_TIMEOUT: Duration = Duration::from_secs(15);

/// Builds before this instant did not exist: a clock that shows less is wrong (signatures and `due_at` hang on it).
const BUILT_AFTER: &str = "2026-01-01T00:00:00Z";

/// A check, or a probe.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  crossdock doctor --config crossdock.toml\n  \
                        crossdock doctor --probe http://127.0.0.1:8080/health/live\n\n\
                        Exit code 1 when anything is wrong; warnings leave it at 0.")]
pub struct Doctor {
    /// Only ask this URL of a running service: exit code 0 if it answers 2xx
    #[arg(long, value_name = "URL")]
    probe: Option<String>,
    /// Also count everything afresh and compare it with what is kept: reads the whole store
    #[arg(long, conflicts_with = "probe")]
    recount: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warning,
    Problem,
}

#[derive(Debug, Serialize)]
struct Finding {
    verdict: Verdict,
    what: String,
    detail: String,
}

impl Finding {
    fn new(verdict: Verdict, what: &str, detail: impl Into<String>) -> Self {
        Finding { verdict, what: what.to_owned(), detail: detail.into() }
    }
}

/// Looks at everything, or at one URL.
pub async fn run(verb: Doctor, shared: &Shared) -> anyhow::Result<Outcome> {
    if let Some(url) = verb.probe {
        return probe(&url).await;
    }
    let mut findings = vec![Finding::new(Verdict::Ok, "version", env!("CARGO_PKG_VERSION")), clock()];
    match open::config_path(shared) {
        None => {
            let detail = format!("there is no {DEFAULT_CONFIG} here; name the configuration with --config FILE");
            findings.push(Finding::new(Verdict::Warning, "configuration", detail));
        }
        Some(path) => match open::load(&path) {
            Ok(loaded) => {
                let detail = format!("{} is valid (version {})", path.display(), loaded.version);
                findings.push(Finding::new(Verdict::Ok, "configuration", detail));
                let warnings = loaded.warnings.iter();
                findings.extend(
                    warnings.map(|warning| Finding::new(Verdict::Warning, "configuration", warning.to_string())),
                );
                look_at(&loaded.config, verb.recount, &mut findings).await;
            }
            Err(problems) => {
                let problems = problems.iter();
                findings.extend(
                    problems.map(|problem| Finding::new(Verdict::Problem, "configuration", problem.to_string())),
                );
            }
        },
    }
    report(&findings, shared.json)
}

fn report(findings: &[Finding], json: bool) -> anyhow::Result<Outcome> {
    if json {
        print::json(&findings)?;
    } else {
        for Finding { verdict, what, detail } in findings {
            let mark = match verdict {
                Verdict::Ok => "ok     ",
                Verdict::Warning => "warning",
                Verdict::Problem => "PROBLEM",
            };
            print::out(&format!("{mark}  {what:<14} {}\n", print::visible(detail)))?;
        }
    }
    let sound = findings.iter().all(|finding| finding.verdict != Verdict::Problem);
    Ok(if sound { Outcome::Done } else { Outcome::Findings })
}

fn clock() -> Finding {
    let now = open::clock().now();
    let earliest = BUILT_AFTER.parse().expect("a constant instant");
    if now < earliest {
        return Finding::new(
            Verdict::Problem,
            "clock",
            format!("shows {now}; set it, signatures and retries depend on it"),
        );
    }
    Finding::new(Verdict::Ok, "clock", now.to_string())
}

async fn look_at(config: &Config, recount: bool, findings: &mut Vec<Finding>) {
    look_at_commerce(config, findings).await;
    let Ok(path) = open::store_path(config) else { return };
    findings.push(disk(&path));
    if !path.exists() {
        let detail = format!("{} does not exist yet; serve makes it", path.display());
        findings.push(Finding::new(Verdict::Warning, "store", detail));
        return;
    }
    match open::store(config) {
        Ok(store) => {
            look_at_store(&store, findings).await;
            look_at_books(&store, recount, findings).await;
            look_at_keeping(config, &store, findings).await;
        }
        Err(error) => findings.push(Finding::new(Verdict::Problem, "store", format!("{error:#}"))),
    }
}

/// One cheap read of each instance, with the right that reading orders takes. Trouble over there is no problem of this installation.
async fn look_at_commerce(config: &Config, findings: &mut Vec<Finding>) {
    let entropy: SharedEntropy = Arc::new(SystemEntropy);
    let instances = match crate::app::commerce_of(config, &open::clock(), &entropy) {
        Ok(instances) => instances,
        Err(error) => return findings.push(Finding::new(Verdict::Problem, "commerce", format!("{error:#}"))),
    };
    for (name, rest) in instances {
        let call = rest.call(newest_order().call("/V1/orders"));
        findings.push(match tokio::time::timeout(COMMERCE_TIMEOUT, call).await {
            Err(_) => {
                let detail = format!("{name}: no answer within {} s", COMMERCE_TIMEOUT.as_secs());
                Finding::new(Verdict::Warning, "commerce", detail)
            }
            Ok(Err(error)) => Finding::new(Verdict::Warning, "commerce", format!("{name}: {error}")),
            Ok(Ok(answered)) => {
                let (verdict, detail) = what_it_has(&answered.body);
                Finding::new(verdict, "commerce", format!("{name} {detail}"))
            }
        });
    }
}

fn newest_order() -> Search {
    Search::new().sort("entity_id", false).page(1).size(1).fields("items[entity_id,increment_id],total_count")
}

/// What the list says of the instance's orders.
fn what_it_has(list: &[u8]) -> (Verdict, String) {
    let list: serde_json::Value = serde_json::from_slice(list).unwrap_or_default();
    let Some(total) = list["total_count"].as_u64() else {
        return (Verdict::Warning, "answers with something that is no list of orders".to_owned());
    };
    match list["items"][0]["increment_id"].as_str() {
        Some(newest) => (Verdict::Ok, format!("can be read: {total} orders, the newest is {newest}")),
        None => (Verdict::Ok, "can be read: no orders yet".to_owned()),
    }
}

/// RUN-4: warned under 15 %, stock refused under 10 %, everything under 5 % or 512 MiB.
fn disk(path: &std::path::Path) -> Finding {
    let Some(space) = DiskSpace::of(path) else {
        return Finding::new(Verdict::Warning, "disk", "the free space could not be read");
    };
    let (free, share) = (space.free_bytes >> 20, space.free_per_mille());
    let (verdict, means) = match level(space) {
        DiskLevel::Full => (Verdict::Problem, ": nothing is taken in; make room"),
        DiskLevel::Scarce => (Verdict::Warning, ": stock is refused; make room"),
        DiskLevel::Low => (Verdict::Warning, ": it is filling"),
        DiskLevel::Plenty => (Verdict::Ok, ""),
    };
    let ballast = if ballast_path(path).exists() { ", ballast in place" } else { "" };
    Finding::new(verdict, "disk", format!("{free} MiB free ({}.{} %){ballast}{means}", share / 10, share % 10))
}

/// Copies, bodies at rest, what was erased and removed (BAK-1, DAT-1, DAT-2).
async fn look_at_keeping(config: &Config, store: &SharedStore, findings: &mut Vec<Finding>) {
    findings.push(backups(config));
    let upkeep = match store.upkeep().await {
        Ok(upkeep) => upkeep,
        Err(error) => return findings.push(Finding::new(Verdict::Problem, "bodies", error.to_string())),
    };
    let keys = crate::app::keys(config);
    let (verdict, detail) = match (keys.encrypt(), upkeep.plain) {
        (true, 0) => (Verdict::Ok, format!("{} encrypted under key {}", upkeep.encrypted, keys.ids()[0])),
        (true, plain) => (
            Verdict::Warning,
            format!("{} encrypted, {plain} not: `crossdock keys rewrap` encrypts them", upkeep.encrypted),
        ),
        (false, plain) if upkeep.encrypted > 0 => {
            let encrypted = upkeep.encrypted;
            (
                Verdict::Problem,
                format!("{encrypted} are encrypted and store.encryption_key is not set; {plain} are not"),
            )
        }
        (false, plain) => (Verdict::Warning, format!("{plain} stored unencrypted: store.encryption_key is not set")),
    };
    findings.push(Finding::new(verdict, "bodies", detail));
    let detail = format!(
        "{} bodies are gone, {} subjects were erased; {} MiB of the file are free for new rows",
        upkeep.gone,
        upkeep.erased_subjects,
        upkeep.free_bytes >> 20
    );
    findings.push(Finding::new(Verdict::Ok, "retention", detail));
    if let Some(restoration) = store.restoration() {
        let detail = format!("the store was restored from a copy of {}; serve takes it over", restoration.copied_at);
        findings.push(Finding::new(Verdict::Warning, "restore", detail));
    }
}

fn backups(config: &Config) -> Finding {
    let Some(settings) = &config.store.backup else {
        let detail = "the service makes no copies of its store: store.backup is not set";
        return Finding::new(Verdict::Warning, "backup", detail);
    };
    let Some((made, path)) = copies::newest(&settings.dir) else {
        return Finding::new(Verdict::Warning, "backup", format!("there is none in {} yet", settings.dir.display()));
    };
    let detail = format!("the last good one is {} of {made}", path.display());
    let age = open::clock().now().as_microsecond() - made.as_microsecond();
    let late = i64::try_from(settings.every.as_micros()).unwrap_or(i64::MAX).saturating_mul(3);
    if age > late {
        return Finding::new(Verdict::Warning, "backup", format!("{detail}: is the service running?"));
    }
    Finding::new(Verdict::Ok, "backup", detail)
}

async fn look_at_store(store: &SharedStore, findings: &mut Vec<Finding>) {
    let report = store.report();
    let engine =
        format!("{}, schema version {}, installation {}", report.engine, report.schema_version, report.installation_id);
    findings.push(Finding::new(Verdict::Ok, "store", engine));
    let settings: Vec<String> = report.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
    findings.push(Finding::new(Verdict::Ok, "store settings", settings.join(" ")));
    findings.extend(report.problems.into_iter().map(|problem| Finding::new(Verdict::Problem, "store", problem)));
    match store.ledger().await {
        Ok(ledger) if ledger.difference() == 0 => {
            let detail = format!(
                "{} accepted = {} done + {} ignored + {} superseded + {} with a person + {} due",
                ledger.accepted, ledger.done, ledger.ignored, ledger.superseded, ledger.exception, ledger.due
            );
            findings.push(Finding::new(Verdict::Ok, "ledger", detail));
        }
        Ok(ledger) => {
            let detail = format!("differs by {}: keep the file and report it", ledger.difference());
            findings.push(Finding::new(Verdict::Problem, "ledger", detail));
        }
        Err(error) => findings.push(Finding::new(Verdict::Problem, "ledger", error.to_string())),
    }
    match incidents::views(store).await {
        Ok(views) => findings.extend(views.iter().filter(|view| view.incident.ended_at.is_none()).map(trouble)),
        Err(error) => findings.push(Finding::new(Verdict::Problem, "incidents", error.to_string())),
    }
    if store.tokens().await.is_ok_and(|tokens| tokens.iter().all(|token| token.revoked_at.is_some())) {
        let detail = "there is none; `crossdock token create --name NAME --role admin` makes the first";
        findings.push(Finding::new(Verdict::Warning, "tokens", detail));
    }
}

/// A destination in trouble loses nothing: a warning, not a problem of this installation.
fn trouble(view: &IncidentView) -> Finding {
    let incident = &view.incident;
    let safe = view.safe.map_or(0, |safe| safe.total);
    let drained = incident.drained_at.map_or_else(String::new, |at| format!(", drained about {at}"));
    let detail = format!(
        "{} is {} since {}: {}; {safe} deliveries are safe here{drained}",
        incident.destination,
        incident.kind.as_str(),
        incident.opened_at,
        incident.why
    );
    Finding::new(Verdict::Warning, "incident", detail)
}

/// The chain of what people did (API-5), silent events (P6) and, if asked for, everything counted afresh (P2).
async fn look_at_books(store: &SharedStore, recount: bool, findings: &mut Vec<Finding>) {
    findings.push(match (store.audit_head().await, store.audit_break().await) {
        (Ok(head), Ok(None)) => {
            Finding::new(Verdict::Ok, "audit", format!("{} rows, unbroken; head {}", head.rows, head.digest))
        }
        (_, Ok(Some(broken))) => {
            let detail = format!("the chain is broken at row {}: {}", broken.number, broken.what);
            Finding::new(Verdict::Problem, "audit", detail)
        }
        (Err(error), _) | (_, Err(error)) => Finding::new(Verdict::Problem, "audit", error.to_string()),
    });
    findings.push(silent(store).await);
    if !recount {
        return;
    }
    match store.recount().await {
        Ok(differences) if differences.is_empty() => {
            findings.push(Finding::new(Verdict::Ok, "recount", "everything that is kept is as it counts afresh"));
        }
        Ok(differences) => {
            findings.extend(differences.into_iter().map(|what| Finding::new(Verdict::Problem, "recount", what)));
        }
        Err(error) => findings.push(Finding::new(Verdict::Problem, "recount", error.to_string())),
    }
}

async fn silent(store: &SharedStore) -> Finding {
    let (mut after, mut looked_at, mut found) = (0, 0, Vec::new());
    loop {
        match store.silent_envelopes(after, 10_000).await {
            Ok(slice) => {
                looked_at += slice.looked_at;
                found.extend(slice.silent);
                match slice.next {
                    Some(next) => after = next,
                    None => break,
                }
            }
            Err(error) => return Finding::new(Verdict::Problem, "silent events", error.to_string()),
        }
    }
    match found.first() {
        None => Finding::new(Verdict::Ok, "silent events", format!("none of {looked_at} unfinished ones")),
        Some(first) => {
            let detail = format!("{} have neither a due time nor an exception, {first} among them", found.len());
            Finding::new(Verdict::Problem, "silent events", detail)
        }
    }
}

async fn probe(url: &str) -> anyhow::Result<Outcome> {
    let client = reqwest::Client::builder().timeout(PROBE_TIMEOUT).no_proxy().build().context("no HTTP client")?;
    let response = client.get(url).send().await.with_context(|| format!("{url} does not answer"))?;
    let status = response.status();
    if !status.is_success() {
        let body: String = response.text().await.unwrap_or_default().chars().take(500).collect();
        bail!("{url} answers {status}: {}", print::visible(&body));
    }
    Ok(Outcome::Done)
}
