//! People: they map what is unmapped, look at the other side before they decide, and leave some things for later.

use std::sync::Arc;

use super::erp::short;
use super::service::Service;
use super::workload::{NEW_SKU, SKU};
use super::world::World;
use crate::clock::SharedClock;
use crate::exceptions::replay::{self, Asked, ReplayError};
use crate::store::view::{ExceptionRow, MappingRecord, Paging};
use crate::store::write::{Act, Decision, Verdict};
use crate::store::{DeliveryFilter, ExceptionFilter, SharedStore, StoreError};

fn asked() -> Asked {
    Asked {
        actor: "token:sim".to_owned(),
        reason: "looked at it".to_owned(),
        from: String::new(),
        keep: None,
        member: None,
    }
}

/// Writes the table of SKUs as it stands in people's minds.
pub async fn import(world: &Arc<World>, store: &SharedStore, clock: &SharedClock) -> Result<(), StoreError> {
    let (item, mapped) = world.with(|state| (state.item, state.new_sku_mapped));
    let row = |key: &str, value: String| MappingRecord { key: key.to_owned(), value, destination: String::new() };
    let mut rows = vec![row(SKU, format!("ITEM-{item}"))];
    if mapped {
        rows.push(row(NEW_SKU, "ITEM-NEW".to_owned()));
    }
    let act = Act {
        actor: "token:sim".to_owned(),
        action: "mappings.import".to_owned(),
        target: "skus".to_owned(),
        before: String::new(),
        after: String::new(),
        reason: String::new(),
        from: String::new(),
        at: clock.now(),
        keep: None,
        member: None,
    };
    store.import_mappings("skus".to_owned(), rows, act).await.map(drop)
}

/// The known SKU has another name from now on.
pub async fn remap(world: &Arc<World>, service: &Service, item: u32) {
    world.note(|| format!("remap {item}"));
    world.with(|state| state.item = item);
    learn(world, service).await;
}

/// What people have in mind and could not write down yet, or not for certain.
async fn catch_up(world: &Arc<World>, service: &Service) {
    if world.with(|state| state.taught != Some((state.item, state.new_sku_mapped))) {
        learn(world, service).await;
    }
}

async fn learn(world: &Arc<World>, service: &Service) {
    let in_mind = world.with(|state| (state.item, state.new_sku_mapped));
    let imported = import(world, service.store(), &service.desk.clock).await;
    world.with(|state| state.taught = imported.is_ok().then_some(in_mind));
    let reloaded = service.processor.reload_mappings().await;
    world.note(|| format!("import {in_mind:?} {imported:?}, reload {reloaded:?}"));
}

/// People look at everything open; one in `leave` is left for later.
pub async fn look(world: &Arc<World>, service: &Service, leave: u64) {
    service.release();
    let Ok(open) = open(service).await else { return };
    if open.iter().any(|row| row.code == "unmapped_sku") && !world.with(|state| state.new_sku_mapped) {
        world.with(|state| state.new_sku_mapped = true);
    }
    catch_up(world, service).await;
    // Lists are newest first; people start with what waits longest.
    for row in open.into_iter().rev() {
        if world.disk.is_dead() {
            return;
        }
        if leave < u64::MAX && world.with(|state| state.chance.one_in(leave)) {
            continue;
        }
        one(world, service, &row).await;
    }
}

async fn open(service: &Service) -> Result<Vec<ExceptionRow>, StoreError> {
    let mut rows = Vec::new();
    let mut paging = Paging { limit: 200, cursor: None };
    loop {
        let page = service.store().exceptions(ExceptionFilter::default(), paging.clone()).await?;
        rows.extend(page.items);
        match page.next_cursor {
            Some(cursor) => paging.cursor = Some(cursor),
            None => return Ok(rows),
        }
    }
}

async fn one(world: &Arc<World>, service: &Service, row: &ExceptionRow) {
    // What comes of a replay is not known beforehand, so it is counted before: too many allowed keys judge mildly.
    if let Some(delivery) = row.delivery_id
        && let Ok(Some(detail)) = service.store().delivery(delivery).await
    {
        world.with(|state| state.auditor.may_replace(&detail.delivery.destination, &detail.delivery.subject_id));
    }
    let replayed = replay::one(&service.desk, &asked(), row.id).await;
    world.note(|| {
        let result = replayed.as_ref().map_or_else(ToString::to_string, |replayed| {
            let problems: Vec<&str> = replayed.problems.iter().map(|problem| problem.message.as_str()).collect();
            format!("{} {problems:?}", replayed.result)
        });
        format!("replay {} {} {result}", row.code, row.subject.increment_id)
    });
    match replayed {
        Ok(replayed) if replayed.result == "retried" => {
            if let Some(id) = row.delivery_id
                && let Ok(Some(detail)) = service.store().delivery(id).await
            {
                world.with(|state| state.auditor.blessed(&detail.delivery.key));
            }
        }
        Err(ReplayError::Undecided(_)) => decide(world, service, row).await,
        Ok(_)
        | Err(
            ReplayError::Closed { .. } | ReplayError::NotFound(_) | ReplayError::Nothing(_) | ReplayError::Store(_),
        ) => {}
    }
}

/// The last attempt may have been applied: looks there first.
async fn decide(world: &Arc<World>, service: &Service, row: &ExceptionRow) {
    let Some(id) = row.delivery_id else { return };
    let Ok(Some(detail)) = service.store().delivery(id).await else { return };
    let head = detail.delivery;
    let now = world.time.now();
    let (verdict, words) = {
        let mut abandons = false;
        let found = world.with(|state| {
            state.erp.arrive(now);
            let there = state.erp.destinations.get_mut(head.destination.as_str())?;
            if there.expects(&head.key) {
                // Something may still arrive: whoever is careful waits.
                return None;
            }
            let made = there.made(&head.key);
            if made.is_none() {
                abandons = state.chance.one_in(8);
                if !abandons {
                    state.erp.destinations.get_mut(head.destination.as_str())?.doubt.remove(&head.key);
                    state.auditor.blessed(&head.key);
                }
            }
            Some(made)
        });
        match found {
            None => return,
            Some(Some(receipt)) => (Verdict::Applied { receipt: Some(receipt) }, "applied"),
            Some(None) if abandons => {
                world.with(|state| state.auditor.abandoned(&head.destination, &head.subject_id));
                (Verdict::Abandon { reason: "no longer wanted".to_owned() }, "abandon")
            }
            Some(None) => (Verdict::Retry { due_at: service.desk.clock.now() }, "retry"),
        }
    };
    let act = Act {
        actor: "token:sim".to_owned(),
        action: format!("delivery.{words}"),
        target: row.id.to_string(),
        before: String::new(),
        after: String::new(),
        reason: "looked there".to_owned(),
        from: String::new(),
        at: service.desk.clock.now(),
        keep: None,
        member: None,
    };
    let decided = service.store().decide(Decision { delivery: id, verdict, act }).await;
    world.note(|| {
        let came_to = decided.as_ref().map_or_else(ToString::to_string, |()| "done".to_owned());
        format!("decide {} {} {} {words}: {came_to}", head.destination, head.subject_id, short(&head.key))
    });
    (service.desk.wake)();
}

/// What is still open, for a story that does not end.
pub async fn describe_open(service: &Service) -> String {
    let exceptions = open(service).await.unwrap_or_default();
    let codes: Vec<String> =
        exceptions.iter().map(|row| format!("{} {}", row.code, row.subject.increment_id)).collect();
    let mut moving = Vec::new();
    for state in ["waiting", "in_flight"] {
        let filter = DeliveryFilter { state: Some(state.to_owned()), ..DeliveryFilter::default() };
        let found = service.store().deliveries(filter, Paging { limit: 50, cursor: None }).await;
        moving.extend(
            found
                .map(|page| page.items)
                .unwrap_or_default()
                .into_iter()
                .map(|row| format!("{} {} {state} since {:?}", row.destination, row.subject_id, row.due_at)),
        );
    }
    format!("open {codes:?}, moving {moving:?}")
}
