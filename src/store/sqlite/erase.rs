//! A person's data leaves on request (DAT-1): bodies with their data keys, answers, and words that quoted them.
//!
//! What stays is what the ledger and the guards against doubles need: rows, states, digests, keys, order numbers.

use std::collections::HashSet;

use rusqlite::Connection;

use super::answers;
use super::audit;
use super::bulk;
use super::cases;
use super::delivery;
use super::exceptions::{self, Ending};
use super::fault::{Fault, Outcome};
use super::index;
use super::retention::{self, empty_made, empty_request, request};
use super::state;
use super::tx::{Tx, count, int};
use super::wanted;
use crate::clock::Timestamp;
use crate::envelope::ids::{DeliveryId, EnvelopeId, ExceptionId};
use crate::store::seal::ERASED;
use crate::store::view::Erased;
use crate::store::write::{Erasure, Subject};

/// What takes the place of words that may have quoted a buyer.
const WORDS: &str = "erased";

/// Erases what is stored about the subjects that an erasure names, up to its time.
pub(super) fn erase(tx: &mut Tx<'_>, erasure: &Erasure) -> Outcome<Erased> {
    let found = subjects(tx, erasure)?;
    if found.is_empty() {
        return Err(Fault::not_found(format!("a stored {} {}", erasure.kind, erasure.id)));
    }
    let mut erased = Erased::default();
    // Freed bytes are overwritten rather than left in the file's free pages.
    secure(tx.conn, true)?;
    let result = found.iter().try_for_each(|(seq, subject)| -> Outcome<()> {
        erase_one(tx, *seq, erasure, &mut erased)?;
        erased.subjects.push(subject.clone());
        Ok(())
    });
    secure(tx.conn, false)?;
    result?;
    if let Some(act) = &erasure.act {
        audit::record(tx, act)?;
    }
    Ok(erased)
}

fn secure(conn: &Connection, on: bool) -> Outcome<()> {
    conn.query_row(if on { "PRAGMA secure_delete = ON" } else { "PRAGMA secure_delete = OFF" }, [], |_| Ok(()))?;
    Ok(())
}

/// The subjects an erasure names.
pub(super) fn subjects(tx: &Tx<'_>, erasure: &Erasure) -> Outcome<Vec<(i64, Subject)>> {
    let all = tx.rows(
        "SELECT seq, kind, system, scope, id FROM subjects WHERE id = ?1 AND kind = ?2",
        (&erasure.id, &erasure.kind),
        |row| {
            let subject = Subject { kind: row.get(1)?, system: row.get(2)?, scope: row.get(3)?, id: row.get(4)? };
            Ok((row.get::<_, i64>(0)?, subject))
        },
    )?;
    let wanted = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|wanted| wanted == is);
    Ok(all
        .into_iter()
        .filter(|(_, subject)| wanted(&erasure.system, &subject.system) && wanted(&erasure.scope, &subject.scope))
        .collect())
}

fn erase_one(tx: &mut Tx<'_>, subject: i64, erasure: &Erasure, erased: &mut Erased) -> Outcome<()> {
    let until = erasure.until.as_microsecond();
    close_open(tx, subject, erasure, erased)?;
    tx.tally.touch(subject);
    let envelopes =
        tx.rows("SELECT seq FROM envelopes WHERE subject = ?1 AND received_at <= ?2", (subject, until), |row| {
            row.get::<_, i64>(0)
        })?;
    for envelope in envelopes {
        erased.bodies += empty_made(tx, envelope, &ERASED, until)?;
        if let Some(request) = request(tx, envelope)? {
            // The other orders of a batch keep their documents; the request as it came held this one's data too.
            match needed_by(tx, &request.events)? {
                None => erased.bodies += empty_request(tx, request.payload, &ERASED, until)?,
                // Applied again nobody could settle the others first: retention takes the body when they are through.
                Some(_) if erasure.act.is_none() => retention::erase_when_free(tx, envelope, erasure.now)?,
                Some(why) => {
                    return Err(Fault::not_allowed(format!(
                        "{} came in one request with an event that {why}",
                        erasure.id
                    )));
                }
            }
        }
    }
    for sql in [
        "UPDATE attempts SET response = NULL, steps = NULL, detail = CASE WHEN detail IS NULL THEN NULL ELSE ?2 END \
         WHERE started_at <= ?3 AND delivery IN (SELECT seq FROM deliveries WHERE subject = ?1)",
        "UPDATE evidence SET response = NULL, detail = ?2 WHERE seen_at <= ?3 \
         AND delivery IN (SELECT seq FROM deliveries WHERE subject = ?1)",
    ] {
        erased.answers += count(int(tx.run(sql, (subject, WORDS, until))?));
    }
    // Why a document was edited is in a person's words.
    tx.run(
        "UPDATE edits SET reason = ?2 WHERE document IN (SELECT o.seq FROM envelopes AS e INDEXED BY envelopes_by_subject \
         JOIN documents AS o INDEXED BY documents_by_envelope ON o.envelope = e.seq WHERE e.subject = ?1 AND o.created_at <= ?3)",
        (subject, WORDS, until),
    )?;
    tx.run(
        "UPDATE deliveries SET found = NULL WHERE subject = ?1 AND found IS NOT NULL AND created_at <= ?2",
        (subject, until),
    )?;
    index::erase(tx, subject)?;
    bulk::erase(tx, subject, WORDS)?;
    erased.bodies += complaints(tx, subject, erasure)?;
    erased.answers += kept_answers(tx, subject)?;
    tx.run("UPDATE subjects SET erased_at = MAX(COALESCE(erased_at, ?2), ?2) WHERE seq = ?1", (subject, until))?;
    Ok(())
}

/// The body of a request is what its other events are still made from: why one of them needs it, if any does.
pub(super) fn needed_by(tx: &Tx<'_>, events: &[i64]) -> Outcome<Option<&'static str>> {
    for event in events {
        let needs = tx.row(
            "SELECT turn IS NOT NULL, EXISTS (SELECT 1 FROM held WHERE envelope = ?1) \
             OR EXISTS (SELECT 1 FROM awaited_reads WHERE envelope = ?1), \
             EXISTS (SELECT 1 FROM exceptions INDEXED BY exceptions_open_by_envelope WHERE envelope = ?1 AND state = 'open') \
             FROM envelopes WHERE seq = ?1",
            [event],
            |row| Ok((row.get::<_, bool>(0)?, row.get::<_, bool>(1)?, row.get::<_, bool>(2)?)),
        )?;
        match needs {
            Some((true, _, _)) => return Ok(Some("is still being processed: try again")),
            Some((_, true, _)) => return Ok(Some("waits for its order: try again in a quarter of an hour")),
            Some((_, _, true)) => return Ok(Some("waits for a person: resolve that one first")),
            _ => {}
        }
    }
    Ok(None)
}

/// What calls about the subject were answered, kept for repeats (API-2), quotes what was complained about. The answer
/// stays, so that a repeat still acts once; its words go.
fn kept_answers(tx: &Tx<'_>, subject: i64) -> Outcome<u64> {
    let mut ids = HashSet::new();
    for sql in ["SELECT id FROM exceptions WHERE subject = ?1", "SELECT id FROM envelopes WHERE subject = ?1"] {
        ids.extend(tx.rows(sql, [subject], |row| row.get::<_, [u8; 16]>(0))?);
    }
    let of_subject = "SELECT id FROM deliveries INDEXED BY deliveries_effect WHERE subject = ?1";
    ids.extend(tx.rows(of_subject, [subject], |row| row.get::<_, [u8; 16]>(0))?);
    answers::erase(tx, &|text| told_id(text).is_some_and(|id| ids.contains(&id)), WORDS)
}

/// The bytes behind an id as answers tell it.
fn told_id(text: &str) -> Option<[u8; 16]> {
    let id = text.parse::<ExceptionId>().map(|id| *id.as_bytes());
    let id = id.or_else(|_| text.parse::<EnvelopeId>().map(|id| *id.as_bytes()));
    id.or_else(|_| text.parse::<DeliveryId>().map(|id| *id.as_bytes())).ok()
}

/// Complaints quote values of the payload, and some hold a body of their own.
fn complaints(tx: &Tx<'_>, subject: i64, erasure: &Erasure) -> Outcome<u64> {
    let until = erasure.until.as_microsecond();
    let bodies = tx.rows(
        "SELECT payload FROM exceptions WHERE subject = ?1 AND payload IS NOT NULL AND opened_at <= ?2",
        (subject, until),
        |row| row.get::<_, i64>(0),
    )?;
    let mut emptied = 0;
    for payload in bodies {
        // The conflict may have come in one request with events that are still made from its body.
        let events = tx.rows(
            "SELECT seq FROM envelopes INDEXED BY envelopes_open WHERE state IN ('received', 'exception') AND payload = ?1",
            [payload],
            |row| row.get::<_, i64>(0),
        )?;
        match (needed_by(tx, &events)?, events.first()) {
            (None, _) | (_, None) => emptied += empty_request(tx, payload, &ERASED, until)?,
            (Some(_), Some(event)) if erasure.act.is_none() => retention::erase_when_free(tx, *event, erasure.now)?,
            (Some(why), _) => {
                return Err(Fault::not_allowed(format!("{} came in one request with an event that {why}", erasure.id)));
            }
        }
    }
    tx.run(
        "UPDATE exceptions SET value = NULL, message = ?2, resolution = CASE WHEN resolution IS NULL THEN NULL ELSE ?2 END \
         WHERE subject = ?1 AND opened_at <= ?3",
        (subject, WORDS, until),
    )?;
    // Why a person gave it up is in their words.
    tx.run(
        "UPDATE envelopes SET explanation = ?2 WHERE subject = ?1 AND received_at <= ?3 AND verdict = 'ignored' \
         AND (explanation LIKE 'dismissed by %' OR explanation LIKE 'given up by %')",
        (subject, WORDS, until),
    )?;
    cases::erase_notes(tx, subject, until, WORDS)?;
    Ok(emptied)
}

/// What is still open: refused, unless the erasure says that it may be given up.
fn close_open(tx: &mut Tx<'_>, subject: i64, erasure: &Erasure, erased: &mut Erased) -> Outcome<()> {
    let until = erasure.until.as_microsecond();
    let processing = tx.row(
        "SELECT 1 FROM envelopes INDEXED BY envelopes_unconcluded WHERE subject = ?1 AND turn IS NOT NULL \
         AND received_at <= ?2",
        (subject, until),
        |_| Ok(()),
    )?;
    // Applied again after a restore nothing is under way yet: what was is simply not done.
    let again = erasure.act.is_none();
    if processing.is_some() && again {
        set_aside(tx, subject, until)?;
    } else if processing.is_some() {
        return Err(Fault::not_allowed(format!("an event of {} is still being processed: try again", erasure.id)));
    }
    give_up_held(tx, subject, erasure, erased)?;
    let open = tx.rows(
        "SELECT id, state FROM deliveries WHERE subject = ?1 AND state IN ('waiting', 'in_flight', 'parked') \
         AND created_at <= ?2 ORDER BY seq",
        (subject, until),
        |row| Ok((DeliveryId::from_bytes(row.get(0)?), row.get::<_, String>(1)?)),
    )?;
    if !erasure.even_if_open {
        if let Some((id, state)) = open.first() {
            let what = if state == "parked" { "waits for a person" } else { "is on its way" };
            return Err(Fault::not_allowed(format!(
                "{} is still open ({id} {what}): settle it first, or erase --even-if-open, which gives it up",
                erasure.id
            )));
        }
    } else if !again && let Some((id, _)) = open.iter().find(|(_, state)| state == "in_flight") {
        return Err(Fault::not_allowed(format!("{id} is on the wire: try again when it is settled")));
    }
    for (id, _) in open {
        give_up(tx, id, erasure.now)?;
        erased.given_up += 1;
    }
    let exceptions = exceptions::open_of_subject(tx, subject, until)?;
    if !exceptions.is_empty() && !erasure.even_if_open {
        return Err(Fault::not_allowed(format!(
            "{} waits for a person: resolve it first, or erase --even-if-open, which gives it up",
            erasure.id
        )));
    }
    for (seq, code, envelope) in exceptions {
        exceptions::close(
            tx,
            &[(seq, code)],
            Ending { state: "resolved", resolution: "given up: its data was erased", at: erasure.now },
        )?;
        if let Some(envelope) = envelope {
            state::settle_state(tx, envelope)?;
        }
    }
    Ok(())
}

/// LANE-4: changes that wait for their order would be read again when it comes.
fn give_up_held(tx: &mut Tx<'_>, subject: i64, erasure: &Erasure, erased: &mut Erased) -> Outcome<()> {
    let held = tx.rows(
        "SELECT h.envelope FROM held AS h INDEXED BY held_by_subject JOIN envelopes AS e ON e.seq = h.envelope \
         WHERE h.subject = ?1 AND e.received_at <= ?2 ORDER BY h.envelope",
        (subject, erasure.until.as_microsecond()),
        |row| row.get::<_, i64>(0),
    )?;
    let read = wanted::waiting_of(tx, subject, erasure.until.as_microsecond())?;
    if (!held.is_empty() || !read.is_empty()) && !erasure.even_if_open {
        return Err(Fault::not_allowed(format!(
            "a change of {} waits for its order: try again in a quarter of an hour, or erase --even-if-open, which gives \
             it up",
            erasure.id
        )));
    }
    for envelope in read {
        wanted::give_up(tx, subject, envelope, WORDS, erasure.now)?;
        erased.given_up += 1;
    }
    for envelope in held {
        tx.run("DELETE FROM held WHERE envelope = ?1", [envelope])?;
        tx.run("UPDATE envelopes SET verdict = 'ignored', explanation = ?2 WHERE seq = ?1", (envelope, WORDS))?;
        state::settle_state(tx, envelope)?;
        erased.given_up += 1;
    }
    Ok(())
}

/// Events of before that nobody will process any more.
fn set_aside(tx: &mut Tx<'_>, subject: i64, until: i64) -> Outcome<()> {
    let events = tx.rows(
        "SELECT seq FROM envelopes INDEXED BY envelopes_unconcluded WHERE subject = ?1 AND turn IS NOT NULL \
         AND received_at <= ?2 ORDER BY seq",
        (subject, until),
        |row| row.get::<_, i64>(0),
    )?;
    for event in events {
        tx.run(
            "UPDATE envelopes SET turn = NULL, verdict = 'ignored', explanation = ?2 WHERE seq = ?1",
            (event, WORDS),
        )?;
        tx.tally.unprocessed(-1);
        state::settle_state(tx, event)?;
    }
    state::next_turn(tx, subject)
}

fn give_up(tx: &mut Tx<'_>, id: DeliveryId, now: Timestamp) -> Outcome<()> {
    let row = delivery::find(tx, id)?;
    match row.state.as_str() {
        "waiting" => tx.tally.waiting(&row.destination, -1),
        "parked" => {
            let stopped_by = exceptions::of_delivery(tx, row.seq)?;
            let resolution = "given up: its data was erased";
            exceptions::close(tx, &stopped_by, Ending { state: "resolved", resolution, at: now })?;
        }
        _ => {}
    }
    delivery::end(tx, &row, "abandoned", now)?;
    if row.head {
        delivery::next_in_lane(tx, &row)?;
    }
    state::settle_state(tx, row.envelope)?;
    Ok(())
}
