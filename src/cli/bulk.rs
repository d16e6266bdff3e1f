//! `crossdock bulk`: replaying and resending everything that a filter means; and what was asked for before.

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use super::{Outcome, Shared, open, print, replay};
use crate::access::Actor;
use crate::api::bulk::{self as told, BulkPreview, MEMBER_STATES, STATES};
use crate::api::replaying;
use crate::clock::{SystemEntropy, Timestamp, earlier};
use crate::config::{Loaded, duration};
use crate::envelope::ids::BulkId;
use crate::exceptions::bulk::asking::{self, AskError, Asked, Said};
use crate::exceptions::bulk::filter::{Filter, REPLAYED_STATES, RESENT_STATES};
use crate::exceptions::bulk::{REPLAY, RESEND};
use crate::store::SharedStore;
use crate::store::bulk::{BulkMember, BulkRow};
use crate::store::view::{Page, Paging};

/// Between two looks at an act that is waited for.
const LOOK: Duration = Duration::from_millis(500);

/// What to do with many records.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  crossdock bulk replay --code unmapped_sku --dry-run\n  \
                  crossdock bulk replay --code unmapped_sku --reason \"SKUs mapped\" --wait\n  \
                  crossdock bulk resend --destination erp --since 24h --dry-run\n  \
                  crossdock bulk resend --destination erp --since 24h --count 42 --reason \"the ERP was restored\"\n  \
                  crossdock bulk undo blk_01…\n\n\
                  The list of records is made when an act is asked for. Nothing of it is done until its undo window is over, and\n\
                  above a number of records not before a second person approved it: see [exceptions] in the configuration. A\n\
                  running service carries it out.")]
pub struct Bulk {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Process the records behind exceptions again
    #[command(after_help = "Examples:\n  crossdock bulk replay --group a1b2c3d4e5f60718 --dry-run\n  \
                            crossdock bulk replay --origin hooks --since 2026-03-01T00:00:00Z --reason \"route mended\"")]
    Replay(Box<ReplayMany>),
    /// Do deliveries a second time at their destinations, deliberately
    #[command(after_help = "Examples:\n  crossdock bulk resend --destination erp --since 24h --dry-run\n  \
                            crossdock bulk resend --order 000000042 --order 000000043 --count 2 --reason \"deleted in the ERP\"")]
    Resend(Box<ResendMany>),
    /// Show acts, newest first
    #[command(after_help = "Example:\n  crossdock bulk list --state awaiting_approval")]
    List {
        /// Only in this state
        #[arg(long, value_parser = STATES)]
        state: Option<String>,
        /// How many, at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
        limit: u32,
        /// Go on where the last list ended
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Show one act and what became of its members
    #[command(
        after_help = "Examples:\n  crossdock bulk show blk_01…\n  crossdock bulk show blk_01… --members skipped\n  \
                            crossdock bulk show blk_01… --wait"
    )]
    Show {
        /// `blk_…`
        id: BulkId,
        /// Only members in this state
        #[arg(long, value_parser = MEMBER_STATES)]
        members: Option<String>,
        /// How many members, at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
        limit: u32,
        /// Go on where the last list of members ended
        #[arg(long)]
        cursor: Option<String>,
        /// Wait until it is over
        #[arg(long)]
        wait: bool,
    },
    /// Approve an act that somebody else asked for
    #[command(after_help = "Example:\n  crossdock bulk approve blk_01… --reason \"agreed with the warehouse\"")]
    Approve(Which),
    /// Refuse an act that somebody else asked for
    #[command(after_help = "Example:\n  crossdock bulk refuse blk_01… --reason \"the ERP has them\"")]
    Refuse(Which),
    /// Take an act back before it begins
    #[command(after_help = "Example:\n  crossdock bulk undo blk_01…")]
    Undo(Which),
    /// Stop an act that runs; what went stays
    #[command(after_help = "Example:\n  crossdock bulk stop blk_01… --reason \"the ERP struggles\"")]
    Stop(Which),
}

#[derive(Debug, Args)]
struct Which {
    /// `blk_…`
    id: BulkId,
    /// Kept in the audit and shown beside the act
    #[arg(long, default_value = "")]
    reason: String,
}

/// What both kinds can be narrowed to.
#[derive(Debug, Args)]
struct Narrow {
    /// Only events of this origin
    #[arg(long, value_name = "NAME")]
    origin: Option<String>,
    /// Only about this kind of record: order, …
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Only for this destination
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,
    /// Only about this number; may be given again
    #[arg(long = "order", value_name = "NUMBER")]
    orders: Vec<String>,
    /// Only what was opened, or made, since then: a time, or how long ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Only what was opened, or made, before then: a time, or how long ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
}

/// How it shall go.
#[derive(Debug, Args)]
struct How {
    /// Write nothing; show how many are meant and what some would come to
    #[arg(long)]
    dry_run: bool,
    /// How many the dry run showed: with another number by now, nothing is done
    #[arg(long, value_name = "NUMBER")]
    count: Option<u64>,
    /// Records a minute [default: `per_minute` under [exceptions] of the configuration]
    #[arg(long, value_name = "NUMBER")]
    per_minute: Option<u32>,
    /// Why; kept in the audit of the act and of each record
    #[arg(long, default_value = "")]
    reason: String,
    /// Wait until it is over
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,
}

#[derive(Debug, Args)]
struct ReplayMany {
    /// Only in this state
    #[arg(long, value_parser = REPLAYED_STATES)]
    state: Option<String>,
    /// Only with this code
    #[arg(long)]
    code: Option<String>,
    /// Only of this cause
    #[arg(long, value_name = "FINGERPRINT")]
    group: Option<String>,
    /// Only this bad
    #[arg(long, value_parser = crate::domain::defect::Severity::WORDS)]
    severity: Option<String>,
    /// Only on this desk
    #[arg(long, value_parser = crate::exceptions::handling::OWNERS)]
    owner: Option<String>,
    /// Only those that somebody looks after: a name, `me` or `nobody`
    #[arg(long, value_name = "NAME")]
    assignee: Option<String>,
    /// Only those that should have been seen to by now
    #[arg(long)]
    overdue: bool,
    /// Only with this text in what is wrong, where, or what to do
    #[arg(long)]
    text: Option<String>,
    #[command(flatten)]
    narrow: Narrow,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Args)]
struct ResendMany {
    /// Only in this state
    #[arg(long, value_parser = RESENT_STATES)]
    state: Option<String>,
    #[command(flatten)]
    narrow: Narrow,
    #[command(flatten)]
    how: How,
}

impl Narrow {
    fn filter(self) -> Filter {
        Filter {
            origin: self.origin,
            kind: self.kind,
            destination: self.destination,
            increment_ids: self.orders,
            since: self.since,
            until: self.until,
            ..Filter::default()
        }
    }
}

/// A time, or how long ago it was.
fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let ago = duration(text).map_err(|_| "write a time like 2026-03-01T08:00:00Z, or how long ago, like 24h")?;
    Ok(earlier(open::clock().now(), ago))
}

/// Asks, or reads what was asked for.
pub async fn run(verb: Bulk, shared: &Shared) -> anyhow::Result<Outcome> {
    let loaded = open::config(shared)?;
    let store = open::existing_store(&loaded.config)?;
    let outcome = match verb.action {
        Action::Replay(many) => {
            let filter = Filter {
                state: many.state,
                code: many.code,
                fingerprint: many.group,
                severity: many.severity,
                owner: many.owner,
                assignee: many.assignee,
                overdue: many.overdue,
                text: many.text,
                ..many.narrow.filter()
            };
            ask(&loaded, &store, (REPLAY, filter), many.how, shared.json).await?
        }
        Action::Resend(many) => {
            let filter = Filter { state: many.state, ..many.narrow.filter() };
            ask(&loaded, &store, (RESEND, filter), many.how, shared.json).await?
        }
        Action::List { state, limit, cursor } => {
            show_list(&store.bulks(state, Paging { limit, cursor }).await?, shared.json)?;
            Outcome::Done
        }
        Action::Show { id, members, limit, cursor, wait } => {
            if wait {
                wait_for(&store, id).await?;
            }
            let row = found(&store, id).await?;
            let members = store.bulk_members(id, members, Paging { limit, cursor }).await?;
            show_one(&row, &members, shared.json)?;
            outcome_of(&row)
        }
        Action::Approve(which) => say(&loaded, &store, which, Said::Approve, shared.json).await?,
        Action::Refuse(which) => say(&loaded, &store, which, Said::Refuse, shared.json).await?,
        Action::Undo(which) => say(&loaded, &store, which, Said::Undo, shared.json).await?,
        Action::Stop(which) => say(&loaded, &store, which, Said::Stop, shared.json).await?,
    };
    store.close().await?;
    Ok(outcome)
}

async fn found(store: &SharedStore, id: BulkId) -> anyhow::Result<BulkRow> {
    let row = store.bulk(id).await?;
    row.ok_or_else(|| anyhow!("{id} does not exist; `crossdock bulk list` shows those that do"))
}

/// Something of it was not done, or still waits for a person.
fn outcome_of(row: &BulkRow) -> Outcome {
    let sound =
        row.still_parked == 0 && row.skipped == 0 && matches!(row.state.as_str(), "done" | "waiting" | "running");
    if sound { Outcome::Done } else { Outcome::Findings }
}

async fn ask(
    loaded: &Loaded,
    store: &SharedStore,
    (what, filter): (&'static str, Filter),
    how: How,
    json: bool,
) -> anyhow::Result<Outcome> {
    let exceptions = &loaded.config.exceptions;
    let now = open::clock().now();
    let mut act = Actor::at_the_command_line().act(told::action(what), "", now);
    let listed = asking::list(store.as_ref(), what, &filter, (&exceptions.due, now, &act.actor)).await?;
    if how.dry_run {
        let desk = replay::desk(loaded, store).await?;
        let ids = listed.exceptions.iter().map(|row| row.id).collect();
        let previews = replaying::previews(&desk, ids, None).await?;
        let per_minute = asking::rate(how.per_minute).map_err(AskError::from)?.unwrap_or(exceptions.bulk.per_minute);
        let version = store.mappings_version().await?;
        let preview = told::preview(listed, filter, previews, (&exceptions.bulk, per_minute, version, now));
        show_preview(&preview, json)?;
        return Ok(Outcome::Done);
    }
    act.reason = how.reason;
    let asked = Asked { filter, per_minute: how.per_minute, count: how.count, act };
    let mut row = asking::ask(store.as_ref(), &SystemEntropy, &exceptions.bulk, listed, asked).await?;
    if how.wait {
        wait_for(store, row.id).await?;
        row = found(store, row.id).await?;
    }
    show_row(&row, json)?;
    Ok(if how.wait { outcome_of(&row) } else { Outcome::Done })
}

async fn say(loaded: &Loaded, store: &SharedStore, which: Which, said: Said, json: bool) -> anyhow::Result<Outcome> {
    let mut act = Actor::at_the_command_line().act(said.action(), which.id, open::clock().now());
    act.reason = which.reason;
    let row = asking::rule(store.as_ref(), &loaded.config.exceptions.bulk, which.id, said, act).await?;
    show_row(&row, json)?;
    Ok(Outcome::Done)
}

/// Until it is over, with a bar on a terminal. Whoever stops waiting does not stop the act.
async fn wait_for(store: &SharedStore, id: BulkId) -> anyhow::Result<()> {
    let bar = bar();
    loop {
        let row = found(store, id).await?;
        if row.state == "awaiting_approval" && !std::io::stderr().is_terminal() {
            bail!("{id} awaits the approval of a second person");
        }
        bar.set_length(row.total);
        bar.set_position(row.acted + row.skipped);
        bar.set_message(words(&row));
        if row.ended_at.is_some() {
            bar.finish_and_clear();
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}").expect("the template is ours");
    ProgressBar::new(1).with_style(style)
}

/// How it stands, in a sentence.
fn words(row: &BulkRow) -> String {
    let BulkRow { acted, still_parked, skipped, left, .. } = row;
    let so_far = format!("{acted} done, {still_parked} of them still parked, {skipped} skipped, {left} left");
    let by = row.ended_by.as_deref().map(print::visible).unwrap_or_default();
    match (row.state.as_str(), row.begins_at) {
        ("awaiting_approval", _) => {
            format!("awaits the approval of somebody other than {}", print::visible(&row.asked_by))
        }
        ("waiting", Some(begins_at)) => format!("begins at {begins_at}; until then: crossdock bulk undo {}", row.id),
        ("running", _) => format!("runs: {so_far}"),
        ("done", _) => format!("is done: {so_far}"),
        ("undone", _) => format!("was taken back by {by}"),
        ("refused", _) => format!("was refused by {by}"),
        (state, _) => format!("was {state} by {by}: {so_far}"),
    }
}

fn show_row(row: &BulkRow, json: bool) -> anyhow::Result<()> {
    if json {
        return print::json(row);
    }
    print::out(&format!("{}  {} of {} {}\n", row.id, row.what, row.total, words(row)))
}

fn show_list(page: &Page<BulkRow>, json: bool) -> anyhow::Result<()> {
    if json {
        return print::json(page);
    }
    if page.items.is_empty() {
        eprintln!("nobody asked for such an act");
    }
    let line = |row: &BulkRow| {
        let progress = format!("{}/{}", row.acted + row.skipped, row.total);
        let (asked_at, reason) = (row.asked_at.to_string(), print::short(&row.reason, 50));
        vec![row.id.to_string(), row.what.clone(), row.state.clone(), progress, row.asked_by.clone(), asked_at, reason]
    };
    let header = ["id", "what", "state", "over", "asked by", "asked at", "why"];
    print::table(&header, page.items.iter().map(line).collect())?;
    more(page.next_cursor.as_deref());
    Ok(())
}

fn more(cursor: Option<&str>) {
    if let Some(cursor) = cursor {
        eprintln!("more: --cursor {cursor}");
    }
}

fn show_one(row: &BulkRow, members: &Page<BulkMember>, json: bool) -> anyhow::Result<()> {
    if json {
        return print::json(&serde_json::json!({ "bulk": row, "members": members }));
    }
    show_row(row, false)?;
    print::out(&format!(
        "asked by {} at {}: {}\nfilter: {}\n",
        print::visible(&row.asked_by),
        row.asked_at,
        print::visible(&row.reason),
        print::visible(&row.filter.to_string())
    ))?;
    if let (Some(by), Some(at)) = (&row.approved_by, row.approved_at) {
        print::out(&format!("approved by {} at {at}\n", print::visible(by)))?;
    }
    let line = |member: &BulkMember| {
        let target = member.exception_id.map(|id| id.to_string()).or(member.delivery_id.map(|id| id.to_string()));
        vec![
            member.number.to_string(),
            target.unwrap_or_default(),
            member.subject.increment_id.clone(),
            member.result.clone().unwrap_or_else(|| member.state.clone()),
            print::short(&member.explanation, 80),
        ]
    };
    print::table(&["", "of", "about", "result", "why"], members.items.iter().map(line).collect())?;
    more(members.next_cursor.as_deref());
    Ok(())
}

fn show_preview(preview: &BulkPreview, json: bool) -> anyhow::Result<()> {
    if json {
        return print::json(preview);
    }
    for line in preview.lines() {
        print::out(&format!("{}\n", print::visible(&line)))?;
    }
    for line in preview.sample_lines() {
        print::out(&format!("  {}\n", print::visible(&line)))?;
    }
    Ok(())
}
