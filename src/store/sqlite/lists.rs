//! Lists, newest first, by keyset cursors. Each filter names the index it goes by; a filter without one walks the newest
//! rows, a bounded stretch a page, so a page may be short or empty and still have a next one.

use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, Row};

use super::cursor::{self, Range};
use super::fault::Outcome;
use super::rows;
use super::tally;
use super::tx;
use crate::clock::{Timestamp, earlier};
use crate::store::cases::Overdue;
use crate::store::view::{DeliveryRow, EventRow, ExceptionRow, Page, Paging};
use crate::store::{DeliveryFilter, EventFilter, ExceptionFilter};

/// Most rows a page looks at when no index knows the filter.
pub(super) const WALK_MAX: i64 = 5_000;

/// How a list finds its rows.
#[derive(Debug)]
pub(super) struct Plan {
    /// Columns.
    select: &'static str,
    /// Table with its alias, e.g. `envelopes AS e`.
    table: &'static str,
    /// The index it goes by; `None` walks.
    pub(super) index: Option<&'static str>,
    joins: &'static str,
    /// The column that orders.
    seq: &'static str,
    conditions: Vec<&'static str>,
    values: Vec<Value>,
    /// Nothing below it can be wanted.
    floor: i64,
}

impl Plan {
    fn new(select: &'static str, table: &'static str, joins: &'static str, seq: &'static str) -> Self {
        Plan { select, table, index: None, joins, seq, conditions: Vec::new(), values: Vec::new(), floor: 1 }
    }

    fn by(&mut self, index: &'static str) {
        self.index.get_or_insert(index);
    }

    fn only(&mut self, condition: &'static str, value: &str) {
        self.conditions.push(condition);
        self.values.push(Value::Text(value.to_owned()));
    }

    fn only_at(&mut self, condition: &'static str, times: &[Timestamp]) {
        self.conditions.push(condition);
        self.values.extend(times.iter().map(|time| Value::Integer(time.as_microsecond())));
    }

    fn between(&mut self, [since, until]: [&'static str; 2], from: Option<Timestamp>, to: Option<Timestamp>) {
        for (condition, time) in [(since, from), (until, to)] {
            if let Some(time) = time {
                self.only_at(condition, &[time]);
            }
        }
    }

    /// The statement; the first parameters are the conditions', then come the bounds and the limit.
    pub(super) fn sql(&self) -> String {
        let Plan { select, table, joins, seq, .. } = self;
        let how = match self.index {
            Some(index) => format!("INDEXED BY {index}"),
            None => "NOT INDEXED".to_owned(),
        };
        let below = format!("{seq} < ? AND {seq} >= ?");
        let conditions = [&self.conditions[..], &[below.as_str()]].concat().join(" AND ");
        format!("{select} FROM {table} {how} {joins} WHERE {conditions} ORDER BY {seq} DESC LIMIT ?")
    }

    fn page<T>(
        &self,
        conn: &Connection,
        list: &str,
        range: Range,
        map: fn(&Row<'_>) -> rusqlite::Result<(i64, T)>,
    ) -> Outcome<Page<T>> {
        let before = match (self.index, range.before) {
            (None, i64::MAX) => newest(conn, self.table)?.saturating_add(1),
            (_, before) => before,
        };
        let floor = if self.index.is_some() { i64::MIN } else { before.saturating_sub(WALK_MAX).max(self.floor) };
        let mut values = self.values.clone();
        values.extend([Value::Integer(before), Value::Integer(floor), Value::Integer(tx::int(range.limit) + 1)]);
        let found = tx::rows(conn, &self.sql(), rusqlite::params_from_iter(values), map)?;
        let unseen = (floor > self.floor).then_some(floor);
        Ok(cut(list, found, range.limit, unseen))
    }
}

/// The newest `seq` of a table.
fn newest(conn: &Connection, table: &str) -> Outcome<i64> {
    let name = table.split(' ').next().unwrap_or(table);
    Ok(tx::row(conn, &format!("SELECT MAX(seq) FROM {name}"), [], |row| row.get::<_, Option<i64>>(0))?
        .flatten()
        .unwrap_or(0))
}

/// The first `limit` rows, and where the next page begins: below the last row shown, or below the stretch looked at.
pub(super) fn cut<T>(list: &str, mut found: Vec<(i64, T)>, limit: usize, unseen: Option<i64>) -> Page<T> {
    let next = if found.len() > limit {
        found.truncate(limit);
        found.last().map(|(seq, _)| *seq)
    } else {
        unseen
    };
    Page {
        items: found.into_iter().map(|(_, item)| item).collect(),
        next_cursor: next.map(|seq| cursor::encode(list, seq)),
    }
}

/// How events are found.
pub(super) fn events_plan(filter: &EventFilter) -> Plan {
    let mut plan = Plan::new(rows::EVENT, "envelopes AS e", rows::EVENT_JOINS, "e.seq");
    if let Some(id) = &filter.subject_id {
        plan.by("envelopes_by_subject");
        plan.only("e.subject IN (SELECT seq FROM subjects WHERE id = ?)", id);
    }
    if let Some(state) = &filter.state {
        match state.as_str() {
            "received" | "exception" => {
                plan.by("envelopes_open");
                plan.only("e.state IN ('received', 'exception') AND e.state = ?", state);
            }
            "ignored" | "superseded" => {
                plan.by("envelopes_set_aside");
                plan.only("e.state IN ('ignored', 'superseded') AND e.state = ?", state);
            }
            _ => plan.only("e.state = ?", state),
        }
    }
    if let Some(origin) = &filter.origin {
        plan.only("e.origin = ?", origin);
    }
    plan
}

/// Events, newest first.
pub(super) fn events(conn: &Connection, filter: &EventFilter, paging: &Paging) -> Outcome<Page<EventRow>> {
    let range = cursor::range("events", paging)?;
    events_plan(filter).page(conn, "events", range, rows::event)
}

/// How deliveries are found.
pub(super) fn deliveries_plan(filter: &DeliveryFilter) -> Plan {
    let mut plan = Plan::new(rows::DELIVERY, "deliveries AS d", rows::DELIVERY_JOINS, "d.seq");
    if let Some(id) = &filter.subject_id {
        plan.by("deliveries_effect");
        plan.only("d.subject IN (SELECT seq FROM subjects WHERE id = ?)", id);
    }
    match filter.state.as_deref() {
        None => {}
        Some("parked") => {
            plan.by("deliveries_parked");
            plan.conditions.push("d.state = 'parked'");
        }
        Some("in_flight") => {
            plan.by("deliveries_in_flight");
            plan.conditions.push("d.state = 'in_flight'");
        }
        Some("waiting") => {
            plan.by("deliveries_waiting");
            plan.conditions.push("d.state = 'waiting'");
        }
        Some(state @ ("superseded" | "abandoned")) => {
            plan.by("deliveries_set_aside");
            plan.only("d.state IN ('superseded', 'abandoned') AND d.state = ?", state);
        }
        Some(state) => plan.only("d.state = ?", state),
    }
    for (condition, value) in [
        ("d.destination = ?", &filter.destination),
        ("(SELECT o.origin FROM envelopes AS o WHERE o.seq = d.envelope) = ?", &filter.origin),
        ("s.kind = ?", &filter.kind),
    ] {
        if let Some(value) = value {
            plan.only(condition, value);
        }
    }
    plan.between(["d.created_at >= ?", "d.created_at < ?"], filter.since, filter.until);
    plan
}

/// Deliveries, newest first.
pub(super) fn deliveries(conn: &Connection, filter: &DeliveryFilter, paging: &Paging) -> Outcome<Page<DeliveryRow>> {
    let range = cursor::range("deliveries", paging)?;
    let waiting = filter.state.as_deref() == Some("waiting");
    if waiting && filter.destination.is_none() && filter.subject_id.is_none() {
        return waiting_anywhere(conn, filter, range);
    }
    let mut plan = deliveries_plan(filter);
    if let (Some(since), None) = (filter.since, plan.index) {
        plan.floor = first_made(conn, earlier(since, OUT_OF_STEP))?.max(1);
    }
    plan.page(conn, "deliveries", range, rows::delivery)
}

/// Rows are as old as their numbers say, but for what the machine's clock was set back by.
const OUT_OF_STEP: Duration = Duration::from_hours(1);

/// The number from which on deliveries were made at this time or later: a walk of a large store ends there.
fn first_made(conn: &Connection, at: Timestamp) -> Outcome<i64> {
    let (mut low, mut high) = (0, newest(conn, "deliveries")?.saturating_add(1));
    while low < high {
        let middle = low + (high - low) / 2;
        let sql = "SELECT created_at FROM deliveries NOT INDEXED WHERE seq >= ?1 ORDER BY seq LIMIT 1";
        let made = tx::row(conn, sql, [middle], |row| row.get::<_, i64>(0))?;
        if made.is_none_or(|made| made >= at.as_microsecond()) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(low)
}

/// The backlog is kept in order a destination: the newest of each are merged.
fn waiting_anywhere(conn: &Connection, filter: &DeliveryFilter, range: Range) -> Outcome<Page<DeliveryRow>> {
    let mut found = Vec::new();
    for (name, _) in tally::all(conn)? {
        let Some(destination) = name.strip_prefix(tally::WAITING) else { continue };
        let plan = deliveries_plan(&DeliveryFilter { destination: Some(destination.to_owned()), ..filter.clone() });
        let mut values = plan.values.clone();
        let limit = tx::int(range.limit) + 1;
        values.extend([Value::Integer(range.before), Value::Integer(i64::MIN), Value::Integer(limit)]);
        found.extend(tx::rows(conn, &plan.sql(), rusqlite::params_from_iter(values), rows::delivery)?);
    }
    found.sort_by_key(|(seq, _)| std::cmp::Reverse(*seq));
    Ok(cut("deliveries", found, range.limit, None))
}

/// How exceptions are found.
pub(super) fn exceptions_plan(filter: &ExceptionFilter, now: Timestamp) -> Plan {
    let mut plan = Plan::new(rows::EXCEPTION, "exceptions AS x", rows::EXCEPTION_JOINS, "x.seq");
    if let Some(id) = &filter.subject_id {
        plan.by("exceptions_by_subject");
        plan.only("x.subject IN (SELECT seq FROM subjects WHERE id = ?)", id);
    }
    if let Some(fingerprint) = &filter.fingerprint {
        plan.by("exceptions_by_cause");
        plan.only("x.fingerprint = ?", fingerprint);
    }
    if let Some(code) = &filter.code {
        plan.by("exceptions_by_code");
        plan.only("x.code = ?", code);
    }
    match filter.state.as_deref() {
        Some("all") => {}
        Some("dismissed") => {
            plan.by("exceptions_dismissed");
            plan.conditions.push("x.dismissed = 1");
        }
        Some("resolved") => {
            plan.by("exceptions_by_state");
            plan.only("x.state = ? AND x.dismissed = 0", "resolved");
        }
        Some("superseded") => {
            plan.by("exceptions_by_state");
            plan.only("x.state = ?", "superseded");
        }
        _ => {
            plan.by("exceptions_by_state");
            plan.only("x.state = ?", "open");
        }
    }
    narrow(&mut plan, filter, now);
    plan
}

/// The conditions that no index knows: they are asked of what waits, or of a stretch of the newest.
fn narrow(plan: &mut Plan, filter: &ExceptionFilter, now: Timestamp) {
    match filter.state.as_deref() {
        Some("open") => {
            plan.only_at("x.assignee IS NULL AND (x.snoozed_until IS NULL OR x.snoozed_until <= ?)", &[now]);
        }
        Some("assigned") => {
            plan.only_at("x.assignee IS NOT NULL AND (x.snoozed_until IS NULL OR x.snoozed_until <= ?)", &[now]);
        }
        Some("snoozed") => plan.only_at("x.snoozed_until > ?", &[now]),
        _ => {}
    }
    for (condition, value) in [
        ("x.severity = ?", &filter.severity),
        ("x.owner = ?", &filter.owner),
        ("x.destination = ?", &filter.destination),
        (
            "instr(lower(x.message || ' ' || ifnull(x.value, '') || ' ' || x.path || ' ' || x.remedy), lower(?)) > 0",
            &filter.text,
        ),
        ("(SELECT o.origin FROM envelopes AS o WHERE o.seq = x.envelope) = ?", &filter.origin),
        ("(SELECT k.kind FROM subjects AS k WHERE k.seq = x.subject) = ?", &filter.kind),
    ] {
        if let Some(value) = value {
            plan.only(condition, value);
        }
    }
    plan.between(["x.opened_at >= ?", "x.opened_at < ?"], filter.since, filter.until);
    match filter.assignee.as_deref() {
        None => {}
        Some("") => plan.conditions.push("x.assignee IS NULL"),
        Some(assignee) => plan.only("x.assignee = ?", assignee),
    }
    if let Some(Overdue { critical, error, warning, info }) = filter.overdue {
        plan.only_at(
            "x.state = 'open' AND (x.snoozed_until IS NULL OR x.snoozed_until <= ?) AND x.opened_at < CASE x.severity \
             WHEN 'critical' THEN ? WHEN 'error' THEN ? WHEN 'warning' THEN ? ELSE ? END",
            &[now, critical, error, warning, info],
        );
    }
}

/// Exceptions that wait, by cause; the filter's other conditions come after `WHERE`.
pub(super) fn groups_plan(filter: &ExceptionFilter, now: Timestamp) -> (String, Vec<Value>) {
    let mut plan = Plan::new("", "", "", "");
    for (condition, value) in [
        ("x.subject IN (SELECT seq FROM subjects WHERE id = ?)", &filter.subject_id),
        ("x.fingerprint = ?", &filter.fingerprint),
        ("x.code = ?", &filter.code),
    ] {
        if let Some(value) = value {
            plan.only(condition, value);
        }
    }
    narrow(&mut plan, filter, now);
    let conditions = [&["x.state = 'open'"], &plan.conditions[..]].concat().join(" AND ");
    plan.values.insert(0, Value::Integer(now.as_microsecond()));
    // The columns beside `MAX` are those of the newest.
    let sql = format!(
        "SELECT x.fingerprint, x.code, COUNT(*), MIN(x.opened_at), x.message, x.remedy, x.id, MAX(x.opened_at), \
         x.severity, x.owner, SUM(x.assignee IS NOT NULL), SUM(ifnull(x.snoozed_until > ?, 0)) \
         FROM exceptions AS x INDEXED BY exceptions_open_by_cause WHERE {conditions} \
         GROUP BY x.fingerprint"
    );
    (sql, plan.values)
}

/// Exceptions, newest first.
pub(super) fn exceptions(
    conn: &Connection,
    filter: &ExceptionFilter,
    now: Timestamp,
    paging: &Paging,
) -> Outcome<Page<ExceptionRow>> {
    let range = cursor::range("exceptions", paging)?;
    let mut page = exceptions_plan(filter, now).page(conn, "exceptions", range, rows::exception)?;
    for row in &mut page.items {
        row.at(now);
    }
    Ok(page)
}
