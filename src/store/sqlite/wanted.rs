//! Orders that are to be read from Commerce: one read an order, and the envelopes that wait for it.
//!
//! A waiting envelope is concluded, counts as due, and the read it waits for has its time (P6). What a read came to is
//! written after the order it found is durable: a process that dies in between reads again and meets a duplicate.

use rusqlite::Connection;

use super::conclude::Target;
use super::exceptions::{self, Behind, Ending};
use super::fault::{Fault, Outcome};
use super::state::{self, Verdict};
use super::tx::{self, Tx, count};
use crate::clock::{Timestamp, from_micros};
use crate::envelope::ids::EnvelopeId;
use crate::store::StoreError;
use crate::store::write::{AfterRead, NewException, NewRead, Patience, ReadSettled, Subject, WantedRead};

/// The envelope waits for a read. Another hint about the same order joins the read that is wanted already; one that says
/// the order is saved makes it urgent.
pub(super) fn want(tx: &Tx<'_>, target: Target, read: &NewRead, at: Timestamp) -> Outcome<()> {
    tx.run(
        "INSERT INTO wanted_reads (subject, system, entity_id, increment_id, store_id, why, patience, asked_at, due_at, \
         tries) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0) ON CONFLICT (subject) DO UPDATE SET \
         entity_id = COALESCE(excluded.entity_id, entity_id), increment_id = COALESCE(excluded.increment_id, increment_id), \
         store_id = COALESCE(excluded.store_id, store_id), why = excluded.why, \
         patience = CASE WHEN patience = 'unsaved' THEN excluded.patience ELSE patience END, \
         asked_at = excluded.asked_at, due_at = MIN(due_at, excluded.due_at), tries = 0",
        rusqlite::params![
            target.subject,
            read.system,
            read.entity_id.and_then(|id| i64::try_from(id).ok()),
            read.increment_id,
            read.store_id.and_then(|id| i64::try_from(id).ok()),
            read.why,
            read.patience.as_str(),
            at.as_microsecond(),
            read.due_at.as_microsecond(),
        ],
    )?;
    tx.run(
        "INSERT INTO awaited_reads (envelope, read) SELECT ?1, seq FROM wanted_reads WHERE subject = ?2 \
         ON CONFLICT (envelope) DO UPDATE SET read = excluded.read",
        (target.seq, target.subject),
    )?;
    Ok(())
}

/// Reads of one system whose time has come, the longest due first.
pub(super) const DUE: &str = "SELECT w.seq, (SELECT MAX(envelope) FROM awaited_reads WHERE read = w.seq), s.kind, s.scope, \
     s.id, w.entity_id, w.increment_id, w.store_id, w.why, w.patience, w.due_at, w.asked_at, w.tries, s.system \
     FROM wanted_reads AS w INDEXED BY wanted_reads_due CROSS JOIN subjects AS s ON s.seq = w.subject \
     WHERE w.system = ?1 AND w.due_at <= ?2 ORDER BY w.due_at LIMIT ?3";

/// Reads of one system whose time has come.
pub(super) fn due(conn: &Connection, system: &str, now: Timestamp, limit: u32) -> Outcome<Vec<WantedRead>> {
    let found = tx::rows(conn, DUE, (system, now.as_microsecond(), limit), |row| {
        let number = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(count));
        let read = NewRead {
            system: system.to_owned(),
            entity_id: number(5)?,
            increment_id: row.get(6)?,
            store_id: number(7)?,
            why: row.get(8)?,
            // The column is checked by the schema.
            patience: Patience::parse(&row.get::<_, String>(9)?).unwrap_or(Patience::Saved),
            due_at: from_micros(row.get(10)?),
        };
        let subject = Subject { kind: row.get(2)?, system: row.get(13)?, scope: row.get(3)?, id: row.get(4)? };
        let tries = u32::try_from(row.get::<_, i64>(12)?).unwrap_or(u32::MAX);
        let until = row.get::<_, Option<i64>>(1)?.unwrap_or(0);
        Ok(WantedRead { row: row.get(0)?, until, subject, read, asked_at: from_micros(row.get(11)?), tries })
    })?;
    Ok(found)
}

/// Writes what became of a read. `false`: nobody wants it any more.
pub(super) fn settle(tx: &mut Tx<'_>, settled: &ReadSettled) -> Outcome<bool> {
    let waiting = tx.rows(
        "SELECT envelope FROM awaited_reads INDEXED BY awaited_reads_by_read WHERE read = ?1 AND envelope <= ?2 \
         ORDER BY envelope",
        (settled.row, settled.until),
        |row| row.get::<_, i64>(0),
    )?;
    let Some(first) = waiting.first().copied() else { return finish(tx, settled).map(|()| false) };
    match &settled.next {
        AfterRead::Later { due_at, exception } => {
            if let Some(exception) = exception {
                complain(tx, first, exception)?;
            }
            tx.run(
                "UPDATE wanted_reads SET due_at = ?2, tries = tries + 1 WHERE seq = ?1",
                (settled.row, due_at.as_microsecond()),
            )?;
            return Ok(true);
        }
        AfterRead::Read(envelope) => {
            let words = read_as(*envelope);
            for waits in &waiting {
                release(tx, *waits, Verdict::Superseded, &words, settled.at)?;
            }
        }
        AfterRead::Ignored(words) => {
            for waits in &waiting {
                release(tx, *waits, Verdict::Ignored, words, settled.at)?;
            }
        }
        AfterRead::Parked(exception) => park(tx, &waiting, exception, settled.at)?,
    }
    finish(tx, settled)?;
    Ok(true)
}

/// In the words of the timeline.
fn read_as(envelope: EnvelopeId) -> String {
    format!("read from Commerce as {envelope}")
}

/// One person is asked, about the first; the others are the same question.
fn park(tx: &mut Tx<'_>, waiting: &[i64], exception: &NewException, at: Timestamp) -> Outcome<()> {
    for (index, envelope) in waiting.iter().enumerate() {
        if index == 0 {
            tx.run("DELETE FROM awaited_reads WHERE envelope = ?1", [envelope])?;
            complain(tx, *envelope, exception)?;
        } else {
            release(tx, *envelope, Verdict::Superseded, "an earlier payload asks the same of a person", at)?;
        }
    }
    Ok(())
}

/// Opens the exception behind the envelope, once.
fn complain(tx: &mut Tx<'_>, envelope: i64, exception: &NewException) -> Outcome<()> {
    let known = tx.row(
        "SELECT 1 FROM exceptions INDEXED BY exceptions_open_by_envelope \
         WHERE envelope = ?1 AND state = 'open' AND code = ?2",
        (envelope, &exception.code),
        |_| Ok(()),
    )?;
    if known.is_none() {
        exceptions::open(tx, exception, Behind { envelope: Some(envelope), ..Behind::default() })?;
    }
    touch(tx, envelope)?;
    state::settle_state(tx, envelope)?;
    Ok(())
}

/// The envelope waits no longer, and nobody is asked about it any more.
fn release(tx: &mut Tx<'_>, envelope: i64, verdict: Verdict, words: &str, at: Timestamp) -> Outcome<()> {
    tx.run("DELETE FROM awaited_reads WHERE envelope = ?1", [envelope])?;
    let asked = exceptions::closable_of_envelope(tx, envelope, None)?;
    exceptions::close(tx, &asked, Ending { state: "resolved", resolution: words, at })?;
    tx.run("UPDATE envelopes SET verdict = ?2, explanation = ?3 WHERE seq = ?1", (envelope, verdict.as_str(), words))?;
    touch(tx, envelope)?;
    state::settle_state(tx, envelope)?;
    Ok(())
}

fn touch(tx: &mut Tx<'_>, envelope: i64) -> Outcome<()> {
    let subject = tx
        .row("SELECT subject FROM envelopes WHERE seq = ?1", [envelope], |row| row.get::<_, i64>(0))?
        .ok_or_else(|| Fault::Answer(StoreError::Corrupt(format!("envelope row {envelope} is gone"))))?;
    tx.tally.touch(subject);
    Ok(())
}

/// The read goes with the last envelope that waits for it; what came while it was under way is read at once.
fn finish(tx: &mut Tx<'_>, settled: &ReadSettled) -> Outcome<()> {
    let at = settled.at.as_microsecond();
    tx.run("UPDATE wanted_reads SET due_at = MIN(due_at, ?2), tries = 0 WHERE seq = ?1", (settled.row, at))?;
    drop_if_unwanted(tx, settled.row)
}

fn drop_if_unwanted(tx: &mut Tx<'_>, read: i64) -> Outcome<()> {
    let subject = tx.row(
        "DELETE FROM wanted_reads WHERE seq = ?1 AND NOT EXISTS (SELECT 1 FROM awaited_reads WHERE read = ?1) \
         RETURNING subject",
        [read],
        |row| row.get::<_, i64>(0),
    )?;
    if let Some(subject) = subject {
        tx.tally.touch(subject);
    }
    Ok(())
}

/// A create was made of the subject: what only announced it before its save has nothing more to say.
pub(super) fn came(tx: &mut Tx<'_>, subject: i64, at: Timestamp) -> Outcome<()> {
    let waiting = tx.rows(
        "SELECT a.envelope, w.seq FROM wanted_reads AS w CROSS JOIN awaited_reads AS a INDEXED BY awaited_reads_by_read \
         ON a.read = w.seq WHERE w.subject = ?1 AND w.patience = 'unsaved'",
        [subject],
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)),
    )?;
    for (envelope, read) in waiting {
        release(tx, envelope, Verdict::Superseded, "the order itself came", at)?;
        drop_if_unwanted(tx, read)?;
    }
    Ok(())
}

/// Envelopes of a subject that wait for a read, received until then.
pub(super) fn waiting_of(tx: &Tx<'_>, subject: i64, until: i64) -> Outcome<Vec<i64>> {
    tx.rows(
        "SELECT a.envelope FROM wanted_reads AS w CROSS JOIN awaited_reads AS a INDEXED BY awaited_reads_by_read \
         ON a.read = w.seq CROSS JOIN envelopes AS e ON e.seq = a.envelope \
         WHERE w.subject = ?1 AND e.received_at <= ?2 ORDER BY a.envelope",
        (subject, until),
        |row| row.get(0),
    )
}

/// The envelope is not waited with any more, in these words (DAT-1).
pub(super) fn give_up(tx: &mut Tx<'_>, subject: i64, envelope: i64, words: &str, at: Timestamp) -> Outcome<()> {
    let read = tx.row("SELECT seq FROM wanted_reads WHERE subject = ?1", [subject], |row| row.get::<_, i64>(0))?;
    release(tx, envelope, Verdict::Ignored, words, at)?;
    read.map_or(Ok(()), |read| drop_if_unwanted(tx, read))
}

/// The envelope is processed anew: it waits again if it is told to.
pub(super) fn forget(tx: &mut Tx<'_>, envelope: i64) -> Outcome<()> {
    let read = tx.row("DELETE FROM awaited_reads WHERE envelope = ?1 RETURNING read", [envelope], |row| row.get(0))?;
    read.map_or(Ok(()), |read| drop_if_unwanted(tx, read))
}
