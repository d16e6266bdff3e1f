//! Acts on many records at once.

use rusqlite::types::Value as Stored;
use rusqlite::{Connection, Row};

use super::SqliteStore;
use super::acts::recorded;
use super::cursor;
use super::fault::{Fault, Outcome};
use super::lists::cut;
use super::tx::{self, Tx, count, int};
use super::writer::Urgency::Now;
use crate::clock::{Timestamp, from_micros};
use crate::envelope::ids::{BulkId, DeliveryId, ExceptionId};
use crate::store::books::Done;
use crate::store::bulk::{
    BulkMember, BulkRow, BulkStep, Bulks, ENDED_KEPT, Mark, NewBulk, OPEN_MAX, OrderTotal, REPLAY, Ruling, Target,
    Targets, Turn,
};
use crate::store::view::{ExceptionSubject, Page, Paging};
use crate::store::write::Act;
use crate::store::{Answer, StoreError};

const ACT: &str = "SELECT seq, id, what, state, filter, sums, reason, asked_by, asked_at, needs_approval, approved_by, \
     approved_at, begins_at, began_at, ended_at, ended_by, ending, per_minute, total, acted, still_parked, skipped \
     FROM bulk_acts";

/// Acts that go, or will.
pub(super) const OPEN: &str = " INDEXED BY bulk_acts_open WHERE state IN ('waiting', 'running') ORDER BY seq";

impl Bulks for SqliteStore {
    fn ask_bulk(&self, bulk: NewBulk) -> Answer<'_, BulkRow> {
        Box::pin(self.write(Now, move |tx| ask(tx, &bulk)))
    }

    fn rule_bulk(&self, ruling: Ruling) -> Answer<'_, BulkRow> {
        Box::pin(self.write(Now, move |tx| rule(tx, &ruling)))
    }

    fn open_bulks(&self) -> Answer<'_, Vec<BulkRow>> {
        Box::pin(self.read(|conn| {
            let found = tx::rows(conn, &format!("{ACT}{OPEN}"), [], act)?;
            Ok(found.into_iter().map(|(_, row)| row).collect())
        }))
    }

    fn take_turn(&self, bulk: BulkId, now: Timestamp) -> Answer<'_, Option<Turn>> {
        Box::pin(self.write(Now, move |tx| take(tx, bulk, now)))
    }

    fn mark_member(&self, mark: Mark, at: Timestamp) -> Answer<'_, ()> {
        Box::pin(self.write(Now, move |tx| write(tx, &mark, at)))
    }

    fn count_deaths(&self) -> Answer<'_, ()> {
        Box::pin(self.write(Now, |tx| {
            tx.run(
                "UPDATE bulk_members INDEXED BY bulk_members_begun SET deaths = deaths + 1, begun = 0 WHERE begun = 1",
                [],
            )?;
            Ok(())
        }))
    }

    fn bulk(&self, id: BulkId) -> Answer<'_, Option<BulkRow>> {
        Box::pin(self.read(move |conn| Ok(find(conn, id)?.map(|(_, row)| row))))
    }

    fn bulks(&self, state: Option<String>, paging: Paging) -> Answer<'_, Page<BulkRow>> {
        Box::pin(self.read(move |conn| list(conn, state.as_deref(), &paging)))
    }

    fn bulk_members(&self, id: BulkId, state: Option<String>, paging: Paging) -> Answer<'_, Page<BulkMember>> {
        Box::pin(self.read(move |conn| members(conn, id, state.as_deref(), &paging)))
    }

    fn totals_behind(&self, targets: Targets) -> Answer<'_, Vec<Option<OrderTotal>>> {
        Box::pin(self.read(move |conn| totals(conn, &targets)))
    }
}

fn act(row: &Row<'_>) -> rusqlite::Result<(i64, BulkRow)> {
    let json = |index: usize| {
        Ok::<_, rusqlite::Error>(serde_json::from_str(&row.get::<_, String>(index)?).unwrap_or_default())
    };
    let time = |index: usize| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(index)?.map(from_micros));
    let (total, acted, skipped) = (count(row.get(18)?), count(row.get(19)?), count(row.get(21)?));
    let found = BulkRow {
        id: BulkId::from_bytes(row.get(1)?),
        what: row.get(2)?,
        state: row.get(3)?,
        filter: json(4)?,
        sums: json(5)?,
        reason: row.get(6)?,
        asked_by: row.get(7)?,
        asked_at: from_micros(row.get(8)?),
        needs_approval: row.get(9)?,
        approved_by: row.get(10)?,
        approved_at: time(11)?,
        begins_at: time(12)?,
        began_at: time(13)?,
        ended_at: time(14)?,
        ended_by: row.get(15)?,
        ending: row.get(16)?,
        per_minute: row.get(17)?,
        total,
        acted,
        still_parked: count(row.get(20)?),
        skipped,
        left: total.saturating_sub(acted + skipped),
    };
    Ok((row.get(0)?, found))
}

fn find(conn: &Connection, id: BulkId) -> Outcome<Option<(i64, BulkRow)>> {
    tx::row(conn, &format!("{ACT} WHERE id = ?1"), [id.as_bytes()], act)
}

fn found(tx: &Tx<'_>, id: BulkId) -> Outcome<(i64, BulkRow)> {
    find(tx.conn, id)?.ok_or_else(|| Fault::not_found(id.to_string()))
}

fn list(conn: &Connection, state: Option<&str>, paging: &Paging) -> Outcome<Page<BulkRow>> {
    let range = cursor::range("bulk", paging)?;
    let limit = int(range.limit) + 1;
    let found = match state {
        Some(state) => {
            let sql =
                format!("{ACT} INDEXED BY bulk_acts_by_state WHERE state = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3");
            tx::rows(conn, &sql, (state, range.before, limit), act)?
        }
        None => {
            tx::rows(conn, &format!("{ACT} WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2"), (range.before, limit), act)?
        }
    };
    Ok(cut("bulk", found, range.limit, None))
}

/// What a member's state is called where its act is over.
const MEMBER_STATE: &str = "CASE WHEN m.state = 'pending' AND b.state NOT IN ('awaiting_approval', 'waiting', 'running') THEN 'left' ELSE m.state END";

fn members(conn: &Connection, id: BulkId, state: Option<&str>, paging: &Paging) -> Outcome<Page<BulkMember>> {
    let range = cursor::range("bulk members", paging)?;
    // They run upwards: the cursor says behind which.
    let after = if range.before == i64::MAX { 0 } else { range.before };
    let narrowed = if state.is_some() { format!("AND {MEMBER_STATE} = ?3") } else { String::new() };
    let sql = format!(
        "SELECT m.number, b.what, m.target, s.kind, s.system, s.scope, s.id, s.grand_total, s.currency, {MEMBER_STATE}, \
         m.result, m.explanation, m.made, m.at FROM bulk_acts AS b JOIN bulk_members AS m ON m.bulk = b.seq \
         JOIN subjects AS s ON s.seq = m.subject WHERE b.id = ?1 AND m.number > ?2 {narrowed} ORDER BY m.number LIMIT {}",
        int(range.limit) + 1
    );
    let mut values = vec![Stored::Blob(id.as_bytes().to_vec()), Stored::Integer(after)];
    values.extend(state.map(|state| Stored::Text(state.to_owned())));
    let found = tx::rows(conn, &sql, rusqlite::params_from_iter(values), member)?;
    Ok(cut("bulk members", found, range.limit, None))
}

fn member(row: &Row<'_>) -> rusqlite::Result<(i64, BulkMember)> {
    let (number, target) = (row.get::<_, u32>(0)?, target(&row.get::<_, String>(1)?, row.get(2)?));
    let member = BulkMember {
        number,
        exception_id: match target {
            Target::Replay(id) => Some(id),
            Target::Resend(_) => None,
        },
        delivery_id: match target {
            Target::Replay(_) => None,
            Target::Resend(id) => Some(id),
        },
        subject: ExceptionSubject {
            kind: row.get(3)?,
            system: row.get(4)?,
            store_id: row.get(5)?,
            increment_id: row.get(6)?,
        },
        grand_total: row.get(7)?,
        currency: row.get(8)?,
        state: row.get(9)?,
        result: row.get(10)?,
        explanation: row.get(11)?,
        made: row.get::<_, Option<[u8; 16]>>(12)?.map(DeliveryId::from_bytes),
        at: row.get::<_, Option<i64>>(13)?.map(from_micros),
    };
    Ok((number.into(), member))
}

fn target(what: &str, bytes: [u8; 16]) -> Target {
    if what == REPLAY {
        Target::Replay(ExceptionId::from_bytes(bytes))
    } else {
        Target::Resend(DeliveryId::from_bytes(bytes))
    }
}

fn totals(conn: &Connection, targets: &Targets) -> Outcome<Vec<Option<OrderTotal>>> {
    let table = table(targets);
    let sql = format!(
        "SELECT s.seq, s.currency, s.grand_total FROM {table} AS t JOIN subjects AS s ON s.seq = t.subject WHERE t.id = ?1"
    );
    let (mut seen, mut all) = (std::collections::HashSet::new(), Vec::new());
    for id in targets.bytes() {
        let found = tx::row(conn, &sql, [id], |row| {
            let (currency, total) = (row.get::<_, Option<String>>(1)?, row.get::<_, Option<String>>(2)?);
            Ok((row.get::<_, i64>(0)?, currency.zip(total)))
        })?;
        let Some((subject, total)) = found else { continue };
        if seen.insert(subject) {
            all.push(total.map(|(currency, grand_total)| OrderTotal { currency, grand_total }));
        }
    }
    Ok(all)
}

fn table(targets: &Targets) -> &'static str {
    match targets {
        Targets::Replay(_) => "exceptions",
        Targets::Resend(_) => "deliveries",
    }
}

fn ask(tx: &mut Tx<'_>, new: &NewBulk) -> Outcome<BulkRow> {
    if new.targets.count() == 0 || new.targets.count() > crate::store::bulk::MEMBERS_MAX {
        return Err(Fault::not_allowed("an act has at least one member, and no more than it may"));
    }
    let open = tx.row("SELECT COUNT(*) FROM bulk_acts WHERE ended_at IS NULL", [], |row| row.get::<_, u32>(0))?;
    if open.is_some_and(|open| open >= OPEN_MAX) {
        return Err(Fault::not_allowed(format!(
            "{OPEN_MAX} such acts are open: let some of them end, or take them back"
        )));
    }
    let state = if new.begins_at.is_some() { "waiting" } else { "awaiting_approval" };
    let bulk = tx.insert(
        "INSERT INTO bulk_acts (id, what, state, filter, sums, reason, asked_by, asked_at, needs_approval, begins_at, \
         per_minute, total) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        rusqlite::params![
            new.id.as_bytes(),
            new.targets.what(),
            state,
            new.filter,
            new.sums,
            new.act.reason,
            new.act.actor,
            new.act.at.as_microsecond(),
            new.begins_at.is_none(),
            new.begins_at.map(Timestamp::as_microsecond),
            new.per_minute,
            int(new.targets.count()),
        ],
    )?;
    let sql = format!(
        "INSERT INTO bulk_members (bulk, number, target, subject) SELECT ?1, ?2, id, subject FROM {} WHERE id = ?3",
        table(&new.targets)
    );
    for (index, id) in new.targets.bytes().enumerate() {
        if tx.run(&sql, (bulk, int(index) + 1, id))? == 0 {
            return Err(Fault::not_found(format!("member {}", index + 1)));
        }
    }
    forget(tx)?;
    let (_, row) = found(tx, new.id)?;
    recorded(tx, &new.act, Done::Bulk(&row))?;
    Ok(row)
}

/// Takes out the oldest of those that are over, beyond what is kept.
fn forget(tx: &Tx<'_>) -> Outcome<()> {
    let old = tx.rows(
        "SELECT seq FROM bulk_acts WHERE ended_at IS NOT NULL ORDER BY seq DESC LIMIT -1 OFFSET ?1",
        [ENDED_KEPT],
        |row| row.get::<_, i64>(0),
    )?;
    for bulk in old {
        tx.run("DELETE FROM bulk_members WHERE bulk = ?1", [bulk])?;
        tx.run("DELETE FROM bulk_acts WHERE seq = ?1", [bulk])?;
    }
    Ok(())
}

fn rule(tx: &mut Tx<'_>, ruling: &Ruling) -> Outcome<BulkRow> {
    let Ruling { bulk: id, step, act } = ruling;
    let (seq, before) = found(tx, *id)?;
    allowed(&before, *step)?;
    let at = act.at.as_microsecond();
    match step {
        BulkStep::Approve { begins_at } => tx.run(
            "UPDATE bulk_acts SET state = 'waiting', approved_by = ?2, approved_at = ?3, begins_at = ?4 WHERE seq = ?1",
            (seq, &act.actor, at, begins_at.as_microsecond()),
        )?,
        BulkStep::Refuse => end(tx, seq, "refused", act)?,
        BulkStep::Undo => end(tx, seq, "undone", act)?,
        BulkStep::Stop => end(tx, seq, "stopped", act)?,
    };
    let (_, after) = found(tx, *id)?;
    let told = |row: &BulkRow| {
        serde_json::json!({ "state": row.state, "total": row.total, "acted": row.acted, "skipped": row.skipped })
            .to_string()
    };
    let act = Act { before: told(&before), after: told(&after), ..act.clone() };
    recorded(tx, &act, Done::Bulk(&after))?;
    Ok(after)
}

fn end(tx: &Tx<'_>, seq: i64, state: &str, act: &Act) -> Outcome<usize> {
    tx.run(
        "UPDATE bulk_acts SET state = ?2, ended_by = ?3, ended_at = ?4, ending = ?5 WHERE seq = ?1",
        (seq, state, &act.actor, act.at.as_microsecond(), &act.reason),
    )
}

fn allowed(row: &BulkRow, step: BulkStep) -> Outcome<()> {
    let (id, state) = (row.id, row.state.as_str());
    let (fits, why) = match step {
        BulkStep::Approve { .. } | BulkStep::Refuse => (state == "awaiting_approval", "it awaits nobody's approval"),
        BulkStep::Undo if state == "running" => (false, "it has begun, and can be stopped"),
        BulkStep::Undo => (matches!(state, "awaiting_approval" | "waiting"), "there is nothing to take back"),
        BulkStep::Stop if matches!(state, "awaiting_approval" | "waiting") => {
            (false, "it has not begun, and can be taken back")
        }
        BulkStep::Stop => (state == "running", "there is nothing to stop"),
    };
    if fits { Ok(()) } else { Err(Fault::not_allowed(format!("{id} is {}: {why}", state.replace('_', " ")))) }
}

fn take(tx: &mut Tx<'_>, id: BulkId, now: Timestamp) -> Outcome<Option<Turn>> {
    let (seq, row) = found(tx, id)?;
    let runs = row.state == "running";
    if !runs && (row.state != "waiting" || row.begins_at.is_none_or(|begins_at| begins_at > now)) {
        return Ok(None);
    }
    if !runs {
        tx.run("UPDATE bulk_acts SET state = 'running', began_at = ?2 WHERE seq = ?1", (seq, now.as_microsecond()))?;
    }
    // Turns come in order, so those that are over are the first ones.
    let next = row.acted + row.skipped + 1;
    let turn = tx.row(
        "SELECT m.number, m.target, s.id, m.deaths, m.begun FROM bulk_members AS m JOIN subjects AS s ON s.seq = m.subject \
         WHERE m.bulk = ?1 AND m.number = ?2",
        (seq, int(usize::try_from(next).unwrap_or(usize::MAX))),
        |found| {
            let target = target(&row.what, found.get(1)?);
            let turn = Turn { number: found.get(0)?, target, subject_id: found.get(2)?, deaths: found.get(3)? };
            Ok((turn, found.get::<_, bool>(4)?))
        },
    )?;
    let Some((turn, begun)) = turn else {
        return Err(StoreError::Corrupt(format!("{id} has no member {next} of {}", row.total)).into());
    };
    if !begun {
        tx.run("UPDATE bulk_members SET begun = 1 WHERE bulk = ?1 AND number = ?2", (seq, turn.number))?;
    }
    Ok(Some(turn))
}

/// The mark that an act carries, if it carries one.
pub(super) fn of_act(tx: &Tx<'_>, act: &Act) -> Outcome<()> {
    match &act.member {
        None => Ok(()),
        Some(mark) => write(tx, mark, act.at),
    }
}

/// Only while its act runs, and only once: whatever is done in this transaction is not done otherwise.
fn write(tx: &Tx<'_>, mark: &Mark, at: Timestamp) -> Outcome<()> {
    let (seq, row) = found(tx, mark.bulk)?;
    if row.state != "running" {
        return Err(Fault::not_allowed(format!("{} is {}: nothing more of it is done", mark.bulk, row.state)));
    }
    let state = if mark.result.is_some() { "acted" } else { "skipped" };
    let marked = tx.run(
        "UPDATE bulk_members SET state = ?3, begun = 0, result = ?4, explanation = ?5, made = ?6, at = ?7 \
         WHERE bulk = ?1 AND number = ?2 AND state = 'pending'",
        rusqlite::params![
            seq,
            mark.number,
            state,
            mark.result,
            mark.explanation,
            mark.made.as_ref().map(DeliveryId::as_bytes),
            at.as_microsecond()
        ],
    )?;
    if marked == 0 {
        return Err(Fault::not_allowed(format!("member {} of {} had its turn already", mark.number, mark.bulk)));
    }
    let parked = mark.result.as_deref() == Some("still_parked");
    let acted = mark.result.is_some();
    let over = row.left <= 1;
    tx.run(
        "UPDATE bulk_acts SET acted = acted + ?2, still_parked = still_parked + ?3, skipped = skipped + ?4, \
         state = CASE WHEN ?5 THEN 'done' ELSE state END, ended_at = CASE WHEN ?5 THEN ?6 ELSE ended_at END WHERE seq = ?1",
        (seq, acted, parked, !acted, over, at.as_microsecond()),
    )?;
    Ok(())
}

/// RUN-5: what can be taken back can be for as long as it was said, whatever the wall clock does.
pub(super) fn shift(tx: &Tx<'_>, later_than: Timestamp, by: i64) -> Outcome<()> {
    tx.run(
        "UPDATE bulk_acts SET begins_at = begins_at + ?2 WHERE state = 'waiting' AND begins_at > ?1",
        (later_than.as_microsecond(), by),
    )?;
    Ok(())
}

/// After a restore (BAK-3): what a copy had not done may have been done since, and is not done on its word.
pub(super) fn stop_restored(tx: &Tx<'_>, now: Timestamp) -> Outcome<()> {
    tx.run(
        "UPDATE bulk_acts SET state = CASE WHEN state = 'running' THEN 'stopped' ELSE 'undone' END, ended_by = 'system', \
         ended_at = ?1, ending = 'the store was restored from a copy: what it had not done may have been done since' \
         WHERE state IN ('awaiting_approval', 'waiting', 'running')",
        [now.as_microsecond()],
    )?;
    Ok(())
}

/// What was said of members about a subject may quote its buyer (DAT-1).
pub(super) fn erase(tx: &Tx<'_>, subject: i64, words: &str) -> Outcome<()> {
    tx.run(
        "UPDATE bulk_members INDEXED BY bulk_members_by_subject SET explanation = ?2 WHERE subject = ?1 AND explanation <> ''",
        (subject, words),
    )?;
    Ok(())
}
