//! Alerts, their outbox, and what they are judged by.

use rusqlite::{Connection, Row};

use super::acts;
use super::fault::{Fault, Outcome};
use super::tx::{self, Tx, count, int};
use crate::clock::{Timestamp, from_micros};
use crate::domain::defect::Severity;
use crate::envelope::ids::{AlertId, MessageId};
use crate::store::StoreError;
use crate::store::alerts::{
    ALERTS_KEPT, Alert, AlertChange, DueMessage, Farewell, GROUPS_MAX, MessageEnd, NewMessage, OpenCauses, OpenGroup,
    OrderHour,
};
use crate::store::books::Done;
use crate::store::write::Act;

/// By which orders are counted; within which of an alert's end a relapse is.
const HOUR_MICROS: i64 = 3_600_000_000;

/// Writes alerts as they are now, with what is to be said about them.
pub(super) fn write(tx: &Tx<'_>, changes: &[AlertChange]) -> Outcome<()> {
    for change in changes {
        let alert = &change.alert;
        let micros = |at: Option<Timestamp>| at.map(Timestamp::as_microsecond);
        tx.run(
            "INSERT INTO alerts (id, rule, subject, severity, what, next, waiting, since, opened_at, changed_at, \
             clear_since, resolved_at, level, told_at, relapses) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, \
             ?12, ?13, ?14, (SELECT COUNT(*) FROM alerts WHERE rule = ?2 AND subject = ?3 AND resolved_at > ?15)) \
             ON CONFLICT (id) DO UPDATE SET severity = excluded.severity, what = excluded.what, next = excluded.next, \
             waiting = excluded.waiting, changed_at = excluded.changed_at, clear_since = excluded.clear_since, \
             resolved_at = excluded.resolved_at, level = excluded.level, told_at = excluded.told_at",
            rusqlite::params![
                alert.id.as_bytes(),
                alert.rule,
                alert.subject,
                alert.severity.as_str(),
                alert.what,
                alert.next,
                i64::try_from(alert.waiting).unwrap_or(i64::MAX),
                alert.since.as_microsecond(),
                alert.opened_at.as_microsecond(),
                alert.changed_at.as_microsecond(),
                micros(alert.clear_since),
                micros(alert.resolved_at),
                alert.level,
                alert.told_at.as_microsecond(),
                alert.opened_at.as_microsecond().saturating_sub(HOUR_MICROS),
            ],
        )?;
        for (kind, notice) in &change.fresh {
            tx.run(
                "UPDATE alert_messages SET notice = ?3 WHERE alert = ?1 AND kind = ?2 AND state = 'waiting' AND attempts = 0",
                (alert.id.as_bytes(), kind.as_str(), notice),
            )?;
        }
        for message in &change.messages {
            add(tx, alert.id, message, alert.changed_at)?;
        }
        if let Some(farewell) = &change.farewell {
            end(tx, alert, farewell)?;
        }
    }
    Ok(())
}

/// An alert tells a contact once: who was told already is not told again.
fn add(tx: &Tx<'_>, alert: AlertId, message: &NewMessage, at: Timestamp) -> Outcome<()> {
    tx.run(
        "INSERT INTO alert_messages (id, alert, contact, kind, level, notice, state, attempts, due_at, created_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'waiting', 0, ?7, ?8) ON CONFLICT (alert, contact, kind, level) DO NOTHING",
        rusqlite::params![
            message.id.as_bytes(),
            alert.as_bytes(),
            message.contact,
            message.kind.as_str(),
            message.level,
            message.notice,
            message.due_at.as_microsecond(),
            at.as_microsecond(),
        ],
    )?;
    Ok(())
}

/// Who heard of the beginning, or may have, hears of the end; who did not is spared both.
fn end(tx: &Tx<'_>, alert: &Alert, farewell: &Farewell) -> Outcome<()> {
    let at = alert.changed_at.as_microsecond();
    tx.run(
        "UPDATE alert_messages SET state = 'withdrawn', ended_at = ?2 WHERE alert = ?1 AND state = 'waiting' AND attempts = 0",
        (alert.id.as_bytes(), at),
    )?;
    for (contact, id, due_at) in &farewell.to {
        tx.run(
            "INSERT INTO alert_messages (id, alert, contact, kind, level, notice, state, attempts, due_at, created_at) \
             SELECT ?1, ?2, ?3, 'resolved', 0, ?4, 'waiting', 0, ?5, ?6 WHERE EXISTS (SELECT 1 FROM alert_messages \
             WHERE alert = ?2 AND contact = ?3 AND state IN ('sent', 'waiting')) \
             ON CONFLICT (alert, contact, kind, level) DO NOTHING",
            rusqlite::params![
                id.as_bytes(),
                alert.id.as_bytes(),
                contact,
                farewell.notice,
                due_at.as_microsecond(),
                at
            ],
        )?;
    }
    let gone = tx.rows(
        "SELECT id FROM alerts AS a INDEXED BY alerts_ended WHERE resolved_at IS NOT NULL AND NOT EXISTS \
         (SELECT 1 FROM alert_messages AS m WHERE m.alert = a.id AND m.state = 'waiting') \
         ORDER BY resolved_at DESC LIMIT -1 OFFSET ?1",
        [int(ALERTS_KEPT)],
        |row| row.get::<_, [u8; 16]>(0),
    )?;
    for id in gone {
        tx.run("DELETE FROM alert_messages WHERE alert = ?1", [id])?;
        tx.run("DELETE FROM alerts WHERE id = ?1", [id])?;
    }
    Ok(())
}

const COLUMNS: &str = "SELECT id, rule, subject, severity, what, next, waiting, since, opened_at, changed_at, clear_since, \
     resolved_at, acknowledged_at, acknowledged_by, level, told_at, relapses, \
     resolved_at IS NULL AND EXISTS (SELECT 1 FROM alert_messages AS m WHERE m.alert = a.id AND m.level = a.level) \
     AND NOT EXISTS (SELECT 1 FROM alert_messages AS m WHERE m.alert = a.id AND m.level = a.level \
     AND m.state IN ('waiting', 'sent')) FROM alerts AS a";

/// Those that are not over.
pub(super) fn open(conn: &Connection) -> Outcome<Vec<Alert>> {
    all(conn, &format!("{COLUMNS} WHERE resolved_at IS NULL ORDER BY seq"), [])
}

/// Those that are not over, then the last that ended.
pub(super) fn recent(conn: &Connection, limit: u32) -> Outcome<Vec<Alert>> {
    all(conn, &format!("{COLUMNS} ORDER BY resolved_at IS NOT NULL, seq DESC LIMIT ?1"), [limit])
}

/// One of them.
pub(super) fn find(conn: &Connection, id: AlertId) -> Outcome<Option<Alert>> {
    Ok(all(conn, &format!("{COLUMNS} WHERE id = ?1"), [id.as_bytes()])?.pop())
}

fn all(conn: &Connection, sql: &str, params: impl rusqlite::Params) -> Outcome<Vec<Alert>> {
    let found = tx::rows(conn, sql, params, |row| Ok(alert(row)?.ok_or_else(unknown_word)))?;
    Ok(found.into_iter().collect::<Result<_, _>>()?)
}

fn unknown_word() -> StoreError {
    StoreError::Corrupt("an alert or exception of an unknown severity".to_owned())
}

fn severity(word: &str) -> Option<Severity> {
    Severity::ALL.into_iter().find(|severity| severity.as_str() == word)
}

fn alert(row: &Row<'_>) -> rusqlite::Result<Option<Alert>> {
    let at = |column| Ok::<_, rusqlite::Error>(from_micros(row.get(column)?));
    let maybe = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(from_micros));
    let Some(severity) = severity(&row.get::<_, String>(3)?) else { return Ok(None) };
    Ok(Some(Alert {
        id: AlertId::from_bytes(row.get(0)?),
        rule: row.get(1)?,
        subject: row.get(2)?,
        severity,
        what: row.get(4)?,
        next: row.get(5)?,
        waiting: count(row.get(6)?),
        since: at(7)?,
        opened_at: at(8)?,
        changed_at: at(9)?,
        clear_since: maybe(10)?,
        resolved_at: maybe(11)?,
        acknowledged_at: maybe(12)?,
        acknowledged_by: row.get(13)?,
        level: row.get(14)?,
        told_at: at(15)?,
        relapses: row.get(16)?,
        unreached: row.get(17)?,
    }))
}

/// A person takes an alert: it climbs no further.
pub(super) fn acknowledge(tx: &Tx<'_>, id: AlertId, act: &Act) -> Outcome<()> {
    let state = tx.row("SELECT resolved_at, acknowledged_by FROM alerts WHERE id = ?1", [id.as_bytes()], |row| {
        Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<String>>(1)?))
    })?;
    match state {
        None => return Err(Fault::not_found(id.to_string())),
        Some((Some(_), _)) => return Err(Fault::not_allowed(format!("{id} is over: there is nothing to acknowledge"))),
        Some((None, Some(by))) => return Err(Fault::not_allowed(format!("{id} was acknowledged by {by} already"))),
        Some((None, None)) => {}
    }
    tx.run(
        "UPDATE alerts SET acknowledged_at = ?2, acknowledged_by = ?3 WHERE id = ?1",
        (id.as_bytes(), act.at.as_microsecond(), &act.actor),
    )?;
    acts::recorded(tx, act, Done::Otherwise)
}

/// The message of a contact whose turn it is, with its attempt counted: what was perhaps sent is never taken back. Of one
/// alert a later message waits for the earlier.
pub(super) fn take(tx: &Tx<'_>, contact: &str, now: Timestamp) -> Outcome<Option<DueMessage>> {
    let found = tx.row(
        "SELECT seq, id, notice, attempts, created_at FROM alert_messages AS m INDEXED BY alert_messages_waiting \
         WHERE contact = ?1 AND state = 'waiting' AND due_at <= ?2 AND NOT EXISTS (SELECT 1 FROM alert_messages AS e \
         WHERE e.alert = m.alert AND e.contact = m.contact AND e.state = 'waiting' AND e.seq < m.seq) \
         ORDER BY due_at, seq LIMIT 1",
        (contact, now.as_microsecond()),
        |row| {
            let message = DueMessage {
                id: MessageId::from_bytes(row.get(1)?),
                notice: row.get(2)?,
                attempts: row.get::<_, u32>(3)? + 1,
                created_at: from_micros(row.get(4)?),
            };
            Ok((row.get::<_, i64>(0)?, message))
        },
    )?;
    let Some((seq, message)) = found else { return Ok(None) };
    tx.run("UPDATE alert_messages SET attempts = attempts + 1 WHERE seq = ?1", [seq])?;
    Ok(Some(message))
}

/// Whether a message of a contact may be due.
pub(super) fn is_due(conn: &Connection, contact: &str, now: Timestamp) -> Outcome<bool> {
    let found = tx::row(
        conn,
        "SELECT 1 FROM alert_messages INDEXED BY alert_messages_waiting \
         WHERE contact = ?1 AND state = 'waiting' AND due_at <= ?2 LIMIT 1",
        (contact, now.as_microsecond()),
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

/// What an attempt came to.
pub(super) fn settle(tx: &Tx<'_>, id: MessageId, end: &MessageEnd, at: Timestamp) -> Outcome<()> {
    let (state, due_at, detail) = match end {
        MessageEnd::Sent => ("sent", None, None),
        MessageEnd::Later { due_at, why } => ("waiting", Some(due_at.as_microsecond()), Some(why)),
        MessageEnd::Failed { why } => ("failed", None, Some(why)),
    };
    let ended = due_at.is_none().then(|| at.as_microsecond());
    tx.run(
        "UPDATE alert_messages SET state = ?2, due_at = COALESCE(?3, due_at), ended_at = ?4, detail = ?5 \
         WHERE id = ?1 AND state = 'waiting'",
        rusqlite::params![id.as_bytes(), state, due_at, ended, detail],
    )?;
    Ok(())
}

/// Messages to contacts that are no longer configured are given up.
pub(super) fn give_up(tx: &Tx<'_>, known: &[String], at: Timestamp) -> Outcome<u64> {
    let contacts = tx.rows("SELECT DISTINCT contact FROM alert_messages WHERE state = 'waiting'", [], |row| {
        row.get::<_, String>(0)
    })?;
    let mut given_up = 0;
    for contact in contacts.iter().filter(|contact| !known.contains(contact)) {
        given_up += tx.run(
            "UPDATE alert_messages SET state = 'failed', ended_at = ?2, detail = 'the contact is no longer configured' \
             WHERE contact = ?1 AND state = 'waiting'",
            (contact, at.as_microsecond()),
        )?;
    }
    Ok(given_up as u64)
}

/// One walk over the index of open causes, and one row a cause.
pub(super) const CAUSES: &str = "SELECT g.fingerprint, g.n, g.oldest, x.code, x.severity, x.destination, x.message \
     FROM (SELECT fingerprint, COUNT(*) AS n, MIN(opened_at) AS oldest, MAX(seq) AS newest FROM exceptions \
     INDEXED BY exceptions_open_by_cause WHERE state = 'open' GROUP BY fingerprint) AS g \
     JOIN exceptions AS x ON x.seq = g.newest ORDER BY g.newest DESC LIMIT ?1";

/// Exceptions looked at for a rate.
const RATE_MAX: i64 = 2_000;

/// Open exceptions by cause, and how many were opened since each instant.
pub(super) fn causes(conn: &Connection, since: &[Timestamp]) -> Outcome<OpenCauses> {
    let found = tx::rows(conn, CAUSES, [int(GROUPS_MAX + 1)], |row| {
        let Some(severity) = severity(&row.get::<_, String>(4)?) else { return Ok(Err(unknown_word())) };
        Ok(Ok(OpenGroup {
            fingerprint: row.get(0)?,
            count: count(row.get(1)?),
            oldest: from_micros(row.get(2)?),
            code: row.get(3)?,
            severity,
            destination: row.get(5)?,
            message: row.get(6)?,
        }))
    })?;
    let mut groups: Vec<OpenGroup> = found.into_iter().collect::<Result<_, StoreError>>()?;
    let cut = groups.len() > GROUPS_MAX;
    groups.truncate(GROUPS_MAX);
    let mut opened = Vec::new();
    for since in since {
        let n = tx::row(
            conn,
            "SELECT COUNT(*) FROM (SELECT opened_at FROM exceptions ORDER BY seq DESC LIMIT ?1) WHERE opened_at >= ?2",
            (RATE_MAX, since.as_microsecond()),
            |row| row.get::<_, i64>(0),
        )?;
        opened.push(count(n.unwrap_or(0)));
    }
    Ok(OpenCauses { groups, cut, opened })
}

/// Subjects counted in one command: the writer has others to serve.
const COUNTED_MAX: usize = 2_000;

/// Counts orders that were first heard of since the last count; `true` while there are more. Hours before `keep_from` go.
pub(super) fn count_orders(tx: &Tx<'_>, keep_from: Timestamp) -> Outcome<bool> {
    let to = tx.row("SELECT value FROM meta WHERE name = 'order_hours_to'", [], |row| row.get::<_, String>(0))?;
    let to: i64 = to.and_then(|text| text.parse().ok()).unwrap_or(0);
    let slice = tx.rows(
        "SELECT seq, kind, system, first_seen_at FROM subjects WHERE seq > ?1 ORDER BY seq LIMIT ?2",
        (to, int(COUNTED_MAX)),
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?, row.get::<_, i64>(3)?)),
    )?;
    let Some((last, ..)) = slice.last() else { return Ok(false) };
    for (_, kind, system, at) in &slice {
        if kind == "order" && *at >= keep_from.as_microsecond() {
            tx.run(
                "INSERT INTO order_hours (system, hour, orders, last_at) VALUES (?1, ?2, 1, ?3) \
                 ON CONFLICT (system, hour) DO UPDATE SET orders = orders + 1, last_at = MAX(last_at, excluded.last_at)",
                (system, at.div_euclid(HOUR_MICROS) * HOUR_MICROS, at),
            )?;
        }
    }
    tx.run("UPDATE meta SET value = ?1 WHERE name = 'order_hours_to'", [last.to_string()])?;
    tx.run("DELETE FROM order_hours WHERE hour < ?1", [keep_from.as_microsecond()])?;
    Ok(slice.len() == COUNTED_MAX)
}

/// A row that nobody reads: that it can be written is what was asked.
pub(super) fn mark_alive(tx: &Tx<'_>, at: Timestamp) -> Outcome<()> {
    tx.run("UPDATE meta SET value = ?1 WHERE name = 'alive_at'", [at.as_microsecond().to_string()])?;
    Ok(())
}

/// Every hour that is kept.
pub(super) fn order_hours(conn: &Connection) -> Outcome<Vec<OrderHour>> {
    tx::rows(conn, "SELECT system, hour, orders, last_at FROM order_hours ORDER BY system, hour", [], |row| {
        Ok(OrderHour {
            system: row.get(0)?,
            hour: from_micros(row.get(1)?),
            orders: count(row.get(2)?),
            last_at: from_micros(row.get(3)?),
        })
    })
}
