//! `crossdock exceptions`: what waits for a person.

use std::time::Duration;

use anyhow::anyhow;
use clap::{Args, Subcommand};

use super::{Outcome, Shared, editing, fixing, open, print, saved};
use crate::access::Actor;
use crate::api::exceptions::STATES;
use crate::clock::{Timestamp, later};
use crate::config::duration;
use crate::domain::defect::{ExceptionCode, Severity};
use crate::domain::due::DueTimes;
use crate::envelope::ids::ExceptionId;
use crate::exceptions::catalogue::{self, Entry};
use crate::exceptions::{due, handling};
use crate::store::cases::{Handling, Note, Step};
use crate::store::view::{ExceptionGroup, ExceptionRow, Page, Paging};
use crate::store::{ExceptionFilter, SharedStore};

/// Without an action: the list of open ones.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  crossdock exceptions --code unmapped_sku\n  crossdock exceptions --view \"Overdue\"\n  crossdock exceptions groups\n  \
                  crossdock exceptions show exc_…\n  crossdock exceptions explain unmapped_sku"
)]
pub struct Exceptions {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    list: Box<List>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List exceptions, newest first
    #[command(after_help = "Example:\n  crossdock exceptions list --state all --order 000000042")]
    List(Box<List>),
    /// Show one exception: what is wrong, where, and what to do
    #[command(after_help = "Example:\n  crossdock exceptions show exc_01…")]
    Show {
        /// `exc_…`
        id: ExceptionId,
    },
    /// Show what waits by cause, largest first
    #[command(after_help = "Example:\n  crossdock exceptions groups --overdue")]
    Groups(Box<Which>),
    /// Show values for the mapping row that a group waits for, the likeliest first
    #[command(after_help = "Example:\n  crossdock exceptions proposals a1b2c3d4e5f60718")]
    Proposals {
        /// The cause, as `crossdock exceptions groups` shows it
        #[arg(value_name = "FINGERPRINT")]
        group: String,
    },
    /// Add the mapping row that a group waits for, and release the group
    #[command(after_help = "Examples:\n  crossdock exceptions fix a1b2c3d4e5f60718 --value 10042 --dry-run\n  \
                            crossdock exceptions fix a1b2c3d4e5f60718 --value 10042 --reason \"new item\"\n\n\
                            Exit code 1 when a record still waits for a person.")]
    Fix(fixing::Fix),
    /// Edit the document that a destination refused, and send it in the place of what was refused
    #[command(after_help = "Examples:\n  crossdock exceptions edit exc_01…\n  \
                            crossdock exceptions edit exc_01… --set /order/shipping_address/postcode=\"LS1 1AA\" --dry-run\n  \
                            crossdock exceptions edit exc_01… --set /lines/0/sku=10042 --reason \"by its new number\"\n\n\
                            Without --set, --clear and --document the document is printed. The policy `edit` says what may be \
                            edited; the laws of its money hold all the same. A replay of the event does not know of the edit.")]
    Edit(editing::Edit),
    /// Say who looks after an exception
    #[command(after_help = "Examples:\n  crossdock exceptions assign exc_01… --to anna\n  \
                            crossdock exceptions assign exc_01… --to nobody")]
    Assign {
        /// `exc_…`
        id: ExceptionId,
        /// A name, `me` or `nobody`
        #[arg(long, value_name = "NAME", default_value = handling::ME)]
        to: String,
        /// Kept in the audit
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Let an exception rest until a time; it is open again when that is over
    #[command(after_help = "Examples:\n  crossdock exceptions snooze exc_01… --for 24h\n  \
                            crossdock exceptions snooze exc_01… --until 2026-03-02T08:00:00Z\n  \
                            crossdock exceptions snooze exc_01… --wake")]
    #[command(group = clap::ArgGroup::new("when").required(true))]
    Snooze {
        /// `exc_…`
        id: ExceptionId,
        /// How long
        #[arg(long = "for", value_name = "DURATION", value_parser = span, group = "when")]
        span: Option<Duration>,
        /// Until when
        #[arg(long, value_name = "TIME", group = "when")]
        until: Option<Timestamp>,
        /// No longer
        #[arg(long, group = "when")]
        wake: bool,
        /// Kept in the audit
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Decide that nothing shall come of an exception; a delivery that it stops is given up
    #[command(after_help = "Example:\n  crossdock exceptions dismiss exc_01… --reason \"a test order\"")]
    Dismiss {
        /// `exc_…`
        id: ExceptionId,
        /// Shown in the order's timeline for ever
        #[arg(long)]
        reason: String,
    },
    /// Note something about an exception, or read what was noted
    #[command(after_help = "Examples:\n  crossdock exceptions note exc_01… \"the supplier answers on Monday\"\n  \
                            crossdock exceptions note exc_01…")]
    Note {
        /// `exc_…`
        id: ExceptionId,
        /// What to write down; left out, the notes are shown
        text: Option<String>,
    },
    /// Read the page of a code: what it means, how it arises, how to fix it, what happens if it is ignored
    #[command(after_help = "Example:\n  crossdock exceptions explain unmapped_sku")]
    Explain {
        /// As an exception carries it
        #[arg(value_name = "CODE")]
        code: ExceptionCode,
    },
    /// Show every code there is
    #[command(after_help = "Example:\n  crossdock exceptions catalogue")]
    Catalogue,
}

/// What both lists can be narrowed to.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// Only with this code
    #[arg(long)]
    code: Option<String>,
    /// Only of this cause
    #[arg(long, value_name = "FINGERPRINT")]
    group: Option<String>,
    /// Only about this order
    #[arg(long, value_name = "NUMBER")]
    order: Option<String>,
    /// Only this bad
    #[arg(long, value_parser = Severity::WORDS)]
    severity: Option<String>,
    /// Only on this desk
    #[arg(long, value_parser = ["operations", "finance", "integration"])]
    owner: Option<String>,
    /// Only those that somebody looks after: a name, `me` or `nobody`
    #[arg(long, value_name = "NAME")]
    assignee: Option<String>,
    /// Only for this destination
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,
    /// Only those that should have been seen to by now
    #[arg(long)]
    overdue: bool,
    /// Only with this text in what is wrong, where, or what to do
    #[arg(long)]
    text: Option<String>,
    /// What a shared view of this name asks for; flags beside it count before it
    #[arg(long, value_name = "NAME")]
    view: Option<String>,
}

impl Which {
    /// With what the view asks for where no flag says otherwise; the state that it asks for.
    async fn seen_as(self, store: &SharedStore, list: &str) -> anyhow::Result<(Self, Option<String>)> {
        let mut filter = saved::filter(store, list, self.view.as_deref()).await?;
        let mut or = |flag: Option<String>, member: &str| flag.or_else(|| filter.remove(member));
        let state = or(None, "state");
        let which = Which {
            code: or(self.code, "code"),
            group: or(self.group, "fingerprint"),
            order: or(self.order, "increment_id"),
            severity: or(self.severity, "severity"),
            owner: or(self.owner, "owner"),
            assignee: or(self.assignee, "assignee"),
            destination: or(self.destination, "destination"),
            overdue: self.overdue || or(None, "overdue").as_deref() == Some("true"),
            text: or(self.text, "text"),
            view: None,
        };
        Ok((which, state))
    }

    fn filter(self, times: &DueTimes) -> anyhow::Result<ExceptionFilter> {
        let me = Actor::at_the_command_line().to_string();
        let assignee = self.assignee.map(|word| handling::person(Some(&word), &me)).transpose();
        Ok(ExceptionFilter {
            state: None,
            code: self.code,
            fingerprint: self.group,
            subject_id: self.order,
            severity: self.severity,
            owner: self.owner,
            assignee: assignee.map_err(|why| anyhow!("--assignee: {why}"))?.map(Option::unwrap_or_default),
            destination: self.destination,
            overdue: self.overdue.then(|| due::overdue(times, open::clock().now())),
            text: self.text,
            ..ExceptionFilter::default()
        })
    }
}

fn span(text: &str) -> Result<Duration, String> {
    duration(text).map_err(|complaint| complaint.remedy)
}

#[derive(Debug, Args)]
struct List {
    /// Only these; `waiting` ones, the default, are open, assigned or snoozed
    #[arg(long, value_parser = STATES)]
    state: Option<String>,
    #[command(flatten)]
    which: Which,
    /// How many, at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
    /// Go on where the last list ended
    #[arg(long)]
    cursor: Option<String>,
}

/// Asks the store.
pub async fn run(verb: Exceptions, shared: &Shared) -> anyhow::Result<Outcome> {
    let action = verb.action.unwrap_or(Action::List(verb.list));
    // The pages are part of the program: they need neither a configuration nor a store.
    match &action {
        Action::Explain { code } => return explain(*code, shared.json),
        Action::Catalogue => return codes(shared.json),
        _ => {}
    }
    let loaded = open::config(shared)?;
    let store = open::existing_store(&loaded.config)?;
    let (times, now) = (loaded.config.exceptions.due, open::clock().now());
    let desk = Desk { store: store.clone(), times, now, json: shared.json };
    match action {
        Action::List(list) => {
            let (which, state) = list.which.seen_as(&store, "exceptions").await?;
            let filter = ExceptionFilter { state: list.state.or(state), ..which.filter(&times)? };
            let paging = Paging { limit: list.limit, cursor: list.cursor };
            let mut page = store.exceptions(filter, paging).await?;
            for row in &mut page.items {
                due::tell(&times, row, now);
            }
            show_page(&page, shared.json)
        }
        Action::Show { id } => {
            let row = store.exception(id).await?;
            show(
                row.ok_or_else(|| anyhow!("{id} does not exist; `crossdock exceptions` lists them"))?,
                &desk,
                shared.json,
            )
        }
        Action::Groups(which) => {
            let (which, state) = which.seen_as(&store, "groups").await?;
            let filter = ExceptionFilter { state, ..which.filter(&times)? };
            let mut groups = store.exception_groups(filter).await?;
            for group in &mut groups {
                due::tell_group(&times, group, now);
            }
            show_groups(groups, shared.json)
        }
        Action::Assign { id, to, reason } => {
            let to = handling::person(Some(&to), &Actor::at_the_command_line().to_string());
            desk.handle(id, ("exception.assign", reason), to.map(Step::Assign)).await
        }
        Action::Snooze { id, span, until, wake: _, reason } => {
            let until = until.or(span.map(|span| later(now, span)));
            desk.handle(id, ("exception.snooze", reason), handling::snooze(until, now)).await
        }
        Action::Dismiss { id, reason } => {
            let step = handling::dismiss(&reason);
            desk.handle(id, ("exception.dismiss", reason), step).await
        }
        Action::Note { id, text: Some(text) } => {
            desk.handle(id, ("exception.note", String::new()), handling::note(&text)).await
        }
        Action::Proposals { group } => fixing::proposals(&loaded, &store, &group, shared.json).await,
        Action::Edit(verb) => editing::run(verb, &loaded, &store, shared).await,
        Action::Fix(verb) => fixing::fix(verb, &loaded, &store, shared).await,
        Action::Note { id, text: None } => show_notes(&store.notes(id).await?, shared.json),
        Action::Explain { .. } | Action::Catalogue => unreachable!("answered above"),
    }
}

fn explain(code: ExceptionCode, json: bool) -> anyhow::Result<Outcome> {
    let entry = Entry::from(code);
    if json {
        print::json(&entry)?;
        return Ok(Outcome::Done);
    }
    let owner = format!("{}, for {}", entry.severity.as_str(), entry.owner.as_str());
    print::out(&format!("{}\n\nSeverity: {owner}\n", entry.page.trim_end()))?;
    Ok(Outcome::Done)
}

fn codes(json: bool) -> anyhow::Result<Outcome> {
    let entries = catalogue::entries();
    if json {
        print::json(&entries)?;
        return Ok(Outcome::Done);
    }
    let rows = entries.into_iter().map(|entry| {
        let (severity, owner) = (entry.severity.as_str().to_owned(), entry.owner.as_str().to_owned());
        vec![entry.code.to_string(), severity, owner, entry.title.to_owned()]
    });
    print::table(&["code", "severity", "owner", "in words"], rows.collect())?;
    Ok(Outcome::Done)
}

fn show_page(page: &Page<ExceptionRow>, json: bool) -> anyhow::Result<Outcome> {
    if json {
        print::json(page)?;
        return Ok(Outcome::Done);
    }
    if page.items.is_empty() {
        eprintln!("no exceptions");
    }
    let rows = page.items.iter().map(|row| {
        vec![
            row.id.to_string(),
            row.subject.increment_id.clone(),
            row.code.clone(),
            row.state.clone(),
            row.opened_at.to_string(),
            print::short(&row.message, 90),
        ]
    });
    print::table(&["id", "order", "code", "state", "opened", "what is wrong"], rows.collect())?;
    if let Some(cursor) = &page.next_cursor {
        eprintln!("there are more: --cursor {cursor}");
    }
    Ok(Outcome::Done)
}

/// What acts on single exceptions need.
struct Desk {
    store: SharedStore,
    times: DueTimes,
    now: Timestamp,
    json: bool,
}

impl Desk {
    /// Carries a step out; the exception as it is after.
    async fn handle(
        &self,
        id: ExceptionId,
        (action, reason): (&str, String),
        step: Result<Step, String>,
    ) -> anyhow::Result<Outcome> {
        let step = step.map_err(|why| anyhow!(why))?;
        let mut act = Actor::at_the_command_line().act(action, id, self.now);
        act.reason = reason;
        let row = self.store.handle(Handling { exception: id, step, act }).await?;
        self.store.close().await?;
        show(row, self, self.json)
    }
}

fn show_notes(notes: &[Note], json: bool) -> anyhow::Result<Outcome> {
    if json {
        print::json(&notes)?;
        return Ok(Outcome::Done);
    }
    if notes.is_empty() {
        eprintln!("nothing was noted");
    }
    for note in notes {
        print::out(&format!("{}  {}\n", note.at, print::visible(&note.author)))?;
        for line in note.text.lines() {
            print::out(&format!("    {}\n", print::visible(line)))?;
        }
    }
    Ok(Outcome::Done)
}

fn show(mut row: ExceptionRow, desk: &Desk, json: bool) -> anyhow::Result<Outcome> {
    due::tell(&desk.times, &mut row, desk.now);
    if json {
        print::json(&row)?;
        return Ok(Outcome::Done);
    }
    let order = format!(
        "{} {} (store {}, {})",
        row.subject.kind, row.subject.increment_id, row.subject.store_id, row.subject.system
    );
    let facts = [
        ("exception", row.id.to_string()),
        ("about", order),
        ("code", format!("{} ({}, for {})", row.code, row.severity, row.owner)),
        ("state", row.state),
        ("for", row.assignee.unwrap_or_default()),
        ("rests until", row.snoozed_until.map(|at| at.to_string()).unwrap_or_default()),
        ("opened", row.opened_at.to_string()),
        ("due", row.due_at.map(|at| format!("{at}{}", if row.overdue { ", overdue" } else { "" })).unwrap_or_default()),
        ("notes", if row.notes == 0 { String::new() } else { row.notes.to_string() }),
        ("closed", row.resolved_at.map(|at| at.to_string()).unwrap_or_default()),
        ("how", row.resolution.unwrap_or_default()),
        ("destination", row.destination.unwrap_or_default()),
        ("event", row.envelope_id.map(|id| id.to_string()).unwrap_or_default()),
        ("delivery", row.delivery_id.map(|id| id.to_string()).unwrap_or_default()),
        ("path", row.path),
        ("value", row.value.unwrap_or_default()),
        ("group", row.fingerprint),
        ("what is wrong", row.message),
        ("what to do", row.remedy),
    ];
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        print::out(&format!("{name:<14} {}\n", print::visible(value)))?;
    }
    Ok(Outcome::Done)
}

fn show_groups(groups: Vec<ExceptionGroup>, json: bool) -> anyhow::Result<Outcome> {
    if json {
        print::json(&groups)?;
        return Ok(Outcome::Done);
    }
    if groups.is_empty() {
        eprintln!("nothing waits for a person");
    }
    let rows = groups.into_iter().map(|group| {
        vec![
            group.fingerprint,
            group.open.to_string(),
            group.code,
            group.first_opened_at.to_string(),
            print::short(&group.message, 60),
            print::short(&group.remedy, 60),
        ]
    });
    print::table(&["group", "open", "code", "since", "what is wrong", "what to do"], rows.collect())?;
    Ok(Outcome::Done)
}
