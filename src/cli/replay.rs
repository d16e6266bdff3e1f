//! `crossdock replay`: a record, or all of one cause, once more.

use std::sync::Arc;

use anyhow::bail;
use clap::Args;

use super::{Outcome, Shared, open, print};
use crate::access::Actor;
use crate::api::replaying;
use crate::api::state::Replayed;
use crate::app;
use crate::clock::SystemEntropy;
use crate::config::Loaded;
use crate::envelope::ids::{DeliveryId, ExceptionId};
use crate::exceptions::replay::Desk;
use crate::exceptions::resend;
use crate::processor::Processor;
use crate::store::view::Paging;
use crate::store::{ExceptionFilter, SharedStore, StoreError};

/// Which records.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  crossdock replay --dry-run exc_…\n  crossdock replay exc_… --reason \"SKU mapped\"\n  \
                        crossdock replay --group a1b2c3d4e5f60718\n  \
                        crossdock replay --resend dlv_… --confirm 000000042 --reason \"deleted in the ERP\"\n\n\
                        `crossdock exceptions groups` shows the groups. A running service sends what was released.\n\
                        Exit code 1 when a record still waits for a person."
)]
pub struct Replay {
    /// The exception whose record is processed again
    #[arg(value_name = "EXC_ID", required_unless_present_any = ["group", "resend"], conflicts_with_all = ["group", "resend"])]
    exception: Option<ExceptionId>,
    /// Every open exception of this cause
    #[arg(long, value_name = "FINGERPRINT")]
    group: Option<String>,
    /// Do a delivered or abandoned delivery a second time at its destination, deliberately
    #[arg(long, value_name = "DLV_ID", requires = "confirm", conflicts_with_all = ["group", "dry_run"])]
    resend: Option<DeliveryId>,
    /// With --resend: the number of what the delivery is about, once more
    #[arg(long, value_name = "NUMBER", requires = "resend")]
    confirm: Option<String>,
    /// Write nothing; show what would change
    #[arg(long)]
    dry_run: bool,
    /// Kept in the audit
    #[arg(long, default_value = "")]
    reason: String,
}

/// Replays under the configuration and the tables in force.
pub async fn run(verb: Replay, shared: &Shared) -> anyhow::Result<Outcome> {
    let loaded = open::config(shared)?;
    let store = open::existing_store(&loaded.config)?;
    if let Some(id) = verb.resend {
        let new = second(&store, id, &verb).await?;
        store.close().await?;
        print::out(&format!("{new}  will be sent: {id} a second time\n"))?;
        return Ok(Outcome::Done);
    }
    let desk = desk(&loaded, &store).await?;
    let ids = match (verb.exception, &verb.group) {
        (Some(id), _) => vec![id],
        (None, Some(fingerprint)) => members(&desk, fingerprint).await?,
        (None, None) => bail!("name an exception or a group"),
    };
    let waiting = release(&desk, ids, &verb, shared.json).await?;
    store.close().await?;
    Ok(if waiting { Outcome::Findings } else { Outcome::Done })
}

/// Replays these; `true` when one still waits for a person.
async fn release(desk: &Desk, ids: Vec<ExceptionId>, verb: &Replay, json: bool) -> anyhow::Result<bool> {
    let mut replayed = Vec::new();
    let mut waiting = false;
    for id in ids {
        let mut act = Actor::at_the_command_line().act("exception.replay", id, desk.clock.now());
        act.reason.clone_from(&verb.reason);
        match replaying::replay(desk, id, verb.dry_run, act, None).await {
            Ok(one) => {
                waiting |= one.result == "still_parked";
                replayed.push(one);
            }
            // One that cannot be replayed does not stop its neighbours; alone it is the failure.
            Err(StoreError::NotAllowed(_)) if verb.group.is_some() && is_closed(desk, id).await? => {}
            Err(StoreError::NotAllowed(why)) if verb.group.is_some() => {
                waiting = true;
                eprintln!("{}", print::visible(&why));
            }
            Err(error) => return Err(error.into()),
        }
    }
    show(&replayed, verb.group.is_some(), json)?;
    Ok(waiting)
}

/// Replays the members of a group, or shows what that would come to; `true` when one still waits for a person.
pub(super) async fn release_group(
    desk: &Desk,
    fingerprint: &str,
    dry_run: bool,
    reason: String,
    json: bool,
) -> anyhow::Result<bool> {
    let ids = members(desk, fingerprint).await?;
    let group = Some(fingerprint.to_owned());
    let verb = Replay { exception: None, group, resend: None, confirm: None, dry_run, reason };
    release(desk, ids, &verb, json).await
}

/// What replaying needs, for a verb beside the service: nobody to wake, a running service looks for what is due by itself.
pub(super) async fn desk(loaded: &Loaded, store: &SharedStore) -> anyhow::Result<Desk> {
    let rules = app::rules(&loaded.config, &loaded.version);
    let processor = Processor::new(store.clone(), open::clock(), Arc::new(SystemEntropy), rules);
    let catalogues = app::catalogues_kept(&loaded.config, store, open::clock()).await?;
    let processor = Arc::new(processor.knowing(catalogues));
    processor.reload_mappings().await?;
    Ok(Desk {
        store: store.clone(),
        processor,
        clock: open::clock(),
        wake: Arc::new(|| {}),
        render: app::renderer(&Arc::new(app::destinations_of(&loaded.config)?)),
    })
}

/// A deliberate second effect. A running service sends it.
async fn second(store: &SharedStore, id: DeliveryId, verb: &Replay) -> Result<DeliveryId, StoreError> {
    let mut act = Actor::at_the_command_line().act("delivery.resend", id, open::clock().now());
    act.reason.clone_from(&verb.reason);
    let confirm = verb.confirm.as_deref().unwrap_or_default();
    resend::resend(store.as_ref(), &SystemEntropy, id, confirm, act).await
}

/// A neighbour's replay closes the exceptions of the same record.
async fn is_closed(desk: &Desk, id: ExceptionId) -> Result<bool, StoreError> {
    Ok(desk.store.exception(id).await?.is_none_or(|exception| !exception.is_waiting()))
}

/// Open exceptions of a cause, oldest first, so that orders keep their order.
async fn members(desk: &Desk, fingerprint: &str) -> anyhow::Result<Vec<ExceptionId>> {
    let mut ids = Vec::new();
    let mut cursor = None;
    loop {
        let filter = ExceptionFilter { fingerprint: Some(fingerprint.to_owned()), ..ExceptionFilter::default() };
        let page = desk.store.exceptions(filter, Paging { limit: 200, cursor }).await?;
        ids.extend(page.items.iter().map(|row| row.id));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    if ids.is_empty() {
        bail!("no open exception has this cause; `crossdock exceptions groups` shows the groups");
    }
    ids.reverse();
    Ok(ids)
}

pub(super) fn show(replayed: &[Replayed], group: bool, json: bool) -> anyhow::Result<()> {
    if json {
        return match replayed {
            [one] if !group => print::json(one),
            several => print::json(&several),
        };
    }
    for one in replayed {
        let would = if one.dry_run { "would be " } else { "" };
        let line = format!("{}  {would}{}: {}", one.exception_id, one.result.replace('_', " "), one.explanation);
        print::out(&format!("{}\n", print::visible(&line)))?;
        for problem in &one.problems {
            let line = format!("  {} {}: {} {}", problem.path, problem.code, problem.message, problem.remedy);
            print::out(&format!("{}\n", print::visible(&line)))?;
        }
        for document in &one.documents {
            for change in &document.changes {
                let line = format!("  {} {}: {} → {}", document.destination, change.path, change.before, change.after);
                print::out(&format!("{}\n", print::visible(&line)))?;
            }
        }
    }
    Ok(())
}
