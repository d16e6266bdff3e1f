//! `crossdock exceptions proposals` and `fix`: a group repaired at its cause.

use anyhow::{anyhow, bail};
use clap::Args;

use super::{Outcome, Shared, open, print, replay};
use crate::access::Actor;
use crate::api::mapping_csv::{self, RowIn};
use crate::api::replaying;
use crate::config::Loaded;
use crate::domain::mapping::MappingRow;
use crate::exceptions::proposals::{self, Missing};
use crate::store::cases::MappingEdit;
use crate::store::view::{ExceptionRow, Paging};
use crate::store::{ExceptionFilter, SharedStore};

/// The missing row, and why.
#[derive(Debug, Args)]
pub struct Fix {
    /// The cause, as `crossdock exceptions groups` shows it
    #[arg(value_name = "FINGERPRINT")]
    group: String,
    /// What the destination wants to hear
    #[arg(long)]
    value: String,
    /// For this destination alone; for all when left out
    #[arg(long, default_value = "")]
    destination: String,
    /// Write nothing; show what the newest 20 would come to
    #[arg(long)]
    dry_run: bool,
    /// Kept in the audit
    #[arg(long, default_value = "")]
    reason: String,
}

/// One of the group, and the row that it waits for.
async fn wanted(store: &SharedStore, group: &str) -> anyhow::Result<(ExceptionRow, Missing)> {
    let filter = ExceptionFilter { fingerprint: Some(group.to_owned()), ..ExceptionFilter::default() };
    let found = store.exceptions(filter, Paging { limit: 1, cursor: None }).await?.items.pop();
    let example = found
        .ok_or_else(|| anyhow!("no open exception has this cause; `crossdock exceptions groups` shows the groups"))?;
    match proposals::missing(&example) {
        Some(missing) => Ok((example, missing)),
        None => bail!(
            "no row of a mapping table would fix this cause; `crossdock exceptions explain {}` says what does",
            example.code
        ),
    }
}

/// Values that look likely, the likeliest first.
pub async fn proposals(loaded: &Loaded, store: &SharedStore, group: &str, json: bool) -> anyhow::Result<Outcome> {
    let (example, missing) = wanted(store, group).await?;
    let desk = replay::desk(loaded, store).await?;
    let rows = store.mapping_rows(missing.table.as_str().to_owned()).await?;
    let skus = desk.processor.shelf().map(|shelf| shelf.skus(&example.subject.system)).unwrap_or_default();
    let found = proposals::proposals(&missing, &rows, &skus);
    if json {
        let table = missing.table.as_str();
        print::json(&serde_json::json!({ "table": table, "key": missing.key, "proposals": found }))?;
        return Ok(Outcome::Done);
    }
    eprintln!("table {} has no row for \"{}\"", missing.table, print::visible(&missing.key));
    if found.is_empty() {
        eprintln!("nothing looks like it");
    }
    let rows = found.into_iter().map(|one| vec![one.value, one.score.to_string(), one.why]);
    print::table(&["value", "likeness", "why"], rows.collect())?;
    Ok(Outcome::Done)
}

/// Adds the row and releases the group.
pub async fn fix(verb: Fix, loaded: &Loaded, store: &SharedStore, shared: &Shared) -> anyhow::Result<Outcome> {
    let (_, missing) = wanted(store, &verb.group).await?;
    if verb.value.trim().is_empty() {
        bail!("--value: say what the destination wants to hear");
    }
    if !verb.destination.is_empty() && !loaded.config.destinations.contains_key(&verb.destination) {
        bail!("--destination: there is no destination of that name in the configuration");
    }
    let row = RowIn::new(missing.key.clone(), verb.value.clone(), verb.destination.clone());
    let set = mapping_csv::checked(vec![row])
        .map_err(|findings| anyhow!("--value: {}", findings.first().map_or("", |finding| finding.message.as_str())))?;
    let desk = replay::desk(loaded, store).await?;
    if verb.dry_run {
        let destination = (!verb.destination.is_empty()).then_some(verb.destination);
        let supposed = MappingRow { key: missing.key, value: verb.value, destination };
        let filter = ExceptionFilter { fingerprint: Some(verb.group), ..ExceptionFilter::default() };
        let page = store.exceptions(filter, Paging { limit: 20, cursor: None }).await?;
        let ids = page.items.iter().map(|row| row.id).collect();
        let (mut shown, mut waiting) = (Vec::new(), false);
        for (id, preview) in replaying::previews(&desk, ids, Some((missing.table, supposed))).await? {
            match preview {
                Ok(replayed) => {
                    waiting |= replayed.result == "still_parked";
                    shown.push(replayed);
                }
                Err(why) => eprintln!("{id}: {}", print::visible(&why)),
            }
        }
        replay::show(&shown, true, shared.json)?;
        return Ok(if waiting { Outcome::Findings } else { Outcome::Done });
    }
    let rows = store.mapping_rows(missing.table.as_str().to_owned()).await?;
    if let Some(known) = set.first().and_then(|row| proposals::claimed(&rows, row)) {
        bail!(
            "the row is there already, as \"{}\": release the group with `crossdock exceptions release {}`, or change the row \
             with `crossdock mappings set`",
            print::visible(known),
            verb.group
        );
    }
    let actor = Actor::at_the_command_line();
    let mut act = actor.act("mappings.edit", missing.table, open::clock().now());
    act.reason.clone_from(&verb.reason);
    let edit = MappingEdit { set, gone: Vec::new() };
    let version = store.edit_mappings(missing.table.as_str().to_owned(), edit, act).await?;
    desk.processor.reload_mappings().await?;
    eprintln!(
        "{}: \"{}\" is \"{}\" now, version {version}",
        missing.table,
        print::visible(&missing.key),
        print::visible(&verb.value)
    );
    let waiting = replay::release_group(&desk, &verb.group, false, verb.reason.clone(), shared.json).await?;
    let mut act = actor.act("exception.fix_group", &verb.group, open::clock().now());
    act.after =
        serde_json::json!({ "table": missing.table.as_str(), "key": missing.key, "value": verb.value }).to_string();
    act.reason = verb.reason;
    store.record(act).await?;
    store.close().await?;
    Ok(if waiting { Outcome::Findings } else { Outcome::Done })
}
