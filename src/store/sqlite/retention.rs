//! What is no longer needed leaves (DAT-2), a few rows a command, so that no transaction is long.
//!
//! Two walks along rows in the order of their numbers, each remembered in `meta`: events lose their bodies, deliveries
//! their attempts. What a walk passes too early is noted in `kept_longer` and looked at again a day later, so that
//! neither an old open order stops the walk nor a scan of everything is ever needed.
//!
//! Rows of events, deliveries, keys and the audit trail stay: they are what duplicates and doubled keys are recognised by
//! (DED-4), and hold no bodies.

use super::erase;
use super::fault::Outcome;
use super::index;
use super::tx::{self, Tx, count};
use crate::clock::Timestamp;
use crate::store::seal::{ERASED, EXPIRED};
use crate::store::view::Retired;
use crate::store::write::Retire;

const DAY_MICROS: i64 = 86_400_000_000;
const MINUTE_MICROS: i64 = 60_000_000;
/// Complaints with a body of their own, a command.
const COMPLAINTS: i64 = 16;

/// One slice of both walks.
pub(super) fn retire(tx: &mut Tx<'_>, retire: &Retire) -> Outcome<Retired> {
    let mut retired = Retired::default();
    let events = slice(tx, "events", retire, retire.bodies_before)?;
    for event in &events {
        if bodies(tx, event, retire, &mut retired)? {
            continue;
        }
        later(tx, "events", event.seq, retire.now)?;
    }
    let deliveries = slice(tx, "deliveries", retire, retire.attempts_before)?;
    for delivery in &deliveries {
        if !attempts(tx, delivery.seq, retire, &mut retired)? {
            later(tx, "deliveries", delivery.seq, retire.now)?;
        }
    }
    complaints(tx, retire, &mut retired)?;
    retired.bodies += erase_free(tx, retire.now)?;
    retired.more = events.len().max(deliveries.len()) >= retire.rows as usize;
    Ok(retired)
}

/// A row that a walk meets.
struct Met {
    seq: i64,
}

/// Rows whose second look is due, then the next ones of the walk that are older than `before`.
fn slice(tx: &Tx<'_>, what: &str, retire: &Retire, before: Timestamp) -> Outcome<Vec<Met>> {
    let met = |row: &rusqlite::Row<'_>| Ok(Met { seq: row.get(0)? });
    let mut found = tx.rows(
        "SELECT seq FROM kept_longer WHERE what = ?1 AND look_at <= ?2 ORDER BY look_at, seq LIMIT ?3",
        (what, retire.now.as_microsecond(), retire.rows / 2 + 1),
        met,
    )?;
    for again in &found {
        tx.run(
            "DELETE FROM kept_longer WHERE what = ?1 AND seq = ?2 AND look_at <= ?3",
            (what, again.seq, retire.now.as_microsecond()),
        )?;
    }
    let left = i64::from(retire.rows) - tx::int(found.len());
    let from = position(tx, what)?;
    // By number, not by index: rows are as old as their numbers say, so the walk ends at the first that is too young.
    let sql = match what {
        "events" => "SELECT seq, received_at FROM envelopes NOT INDEXED WHERE seq > ?1 ORDER BY seq LIMIT ?2",
        _ => "SELECT seq, created_at FROM deliveries NOT INDEXED WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    };
    let next = tx.rows(sql, (from, left), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
    let old: Vec<i64> =
        next.into_iter().take_while(|(_, at)| *at < before.as_microsecond()).map(|(seq, _)| seq).collect();
    if let Some(last) = old.last() {
        tx.run(
            "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (format!("retired:{what}"), last.to_string()),
        )?;
    }
    found.extend(old.into_iter().map(|seq| Met { seq }));
    Ok(found)
}

fn position(tx: &Tx<'_>, what: &str) -> Outcome<i64> {
    let name = format!("retired:{what}");
    let text = tx.row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get::<_, String>(0))?;
    Ok(text.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// The request of this event is to be erased when no other event needs its body any more.
pub(super) fn erase_when_free(tx: &Tx<'_>, envelope: i64, now: Timestamp) -> Outcome<()> {
    let at = now.as_microsecond();
    tx.run("INSERT OR IGNORE INTO kept_longer (what, look_at, seq) VALUES ('erase', ?1, ?2)", (at, envelope))?;
    Ok(())
}

/// Erases what waited for others to be through (DAT-1); how many bodies.
fn erase_free(tx: &Tx<'_>, now: Timestamp) -> Outcome<u64> {
    let waiting = tx.rows(
        "SELECT look_at, seq FROM kept_longer WHERE what = 'erase' AND look_at <= ?1 ORDER BY look_at, seq LIMIT ?2",
        (now.as_microsecond(), COMPLAINTS),
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)),
    )?;
    let mut emptied = 0;
    for (look_at, envelope) in waiting {
        tx.run("DELETE FROM kept_longer WHERE what = 'erase' AND look_at = ?1 AND seq = ?2", (look_at, envelope))?;
        let Some(request) = request(tx, envelope)? else { continue };
        if erase::needed_by(tx, &request.events)?.is_some() {
            let again = now.as_microsecond() + MINUTE_MICROS;
            tx.run(
                "INSERT OR IGNORE INTO kept_longer (what, look_at, seq) VALUES ('erase', ?1, ?2)",
                (again, envelope),
            )?;
            continue;
        }
        emptied += empty_request(tx, request.payload, &ERASED, i64::MAX)?;
    }
    Ok(emptied)
}

fn later(tx: &Tx<'_>, what: &str, seq: i64, now: Timestamp) -> Outcome<()> {
    let at = now.as_microsecond() + DAY_MICROS;
    tx.run("INSERT OR IGNORE INTO kept_longer (what, look_at, seq) VALUES (?1, ?2, ?3)", (what, at, seq))?;
    Ok(())
}

/// An event's bodies, if everything about it was final long enough ago. Its request's body goes with the last of the
/// events that arrived in it.
fn bodies(tx: &Tx<'_>, event: &Met, retire: &Retire, retired: &mut Retired) -> Outcome<bool> {
    let before = retire.bodies_before.as_microsecond();
    if !is_final(tx, event.seq, before)? {
        return Ok(false);
    }
    retired.bodies += empty_made(tx, event.seq, &EXPIRED, i64::MAX)?;
    let Some(request) = request(tx, event.seq)? else { return Ok(true) };
    for seq in &request.events {
        if *seq != event.seq && !is_final(tx, *seq, before)? {
            // The last one to become final takes the body along.
            return Ok(true);
        }
    }
    retired.bodies += empty_request(tx, request.payload, &EXPIRED, i64::MAX)?;
    for seq in &request.events {
        index::expire(tx, *seq)?;
    }
    Ok(true)
}

/// Concluded, with nothing open and nothing settled since `before`.
fn is_final(tx: &Tx<'_>, envelope: i64, before: i64) -> Outcome<bool> {
    let still = tx.row(
        "SELECT 1 FROM envelopes AS e WHERE e.seq = ?1 AND (e.turn IS NOT NULL OR e.state IN ('received', 'exception') \
         OR e.received_at >= ?2 OR EXISTS (SELECT 1 FROM deliveries AS d INDEXED BY deliveries_by_envelope \
         WHERE d.envelope = e.seq AND (d.settled_at IS NULL OR d.settled_at >= ?2)))",
        (envelope, before),
        |_| Ok(()),
    )?;
    Ok(still.is_none())
}

/// A request and the events that arrived in it: they were written together, so their rows stand together.
pub(super) struct Request {
    pub(super) payload: i64,
    pub(super) events: Vec<i64>,
}

/// The request of an event.
pub(super) fn request(tx: &Tx<'_>, envelope: i64) -> Outcome<Option<Request>> {
    let payload = tx.row("SELECT payload FROM envelopes WHERE seq = ?1", [envelope], |row| row.get::<_, i64>(0))?;
    let Some(payload) = payload else { return Ok(None) };
    let mut events = vec![envelope];
    for sql in [
        "SELECT seq, payload FROM envelopes NOT INDEXED WHERE seq > ?1 ORDER BY seq LIMIT 1",
        "SELECT seq, payload FROM envelopes NOT INDEXED WHERE seq < ?1 ORDER BY seq DESC LIMIT 1",
    ] {
        let mut at = envelope;
        while let Some((seq, of)) = tx.row(sql, [at], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))? {
            if of != payload {
                break;
            }
            events.push(seq);
            at = seq;
        }
    }
    Ok(Some(Request { payload, events }))
}

/// Empties what was made of an event: documents and sealed bodies not younger than `until`; how many.
pub(super) fn empty_made(tx: &Tx<'_>, envelope: i64, left: &[u8], until: i64) -> Outcome<u64> {
    let documents = tx.run(
        "UPDATE documents SET body = ?2 WHERE envelope = ?1 AND length(body) > 1 AND created_at <= ?3",
        (envelope, left, until),
    )?;
    let sealed = tx.run(
        "UPDATE sealed_requests SET body = ?2 WHERE length(body) > 1 AND delivery IN (SELECT seq FROM deliveries \
         INDEXED BY deliveries_by_envelope WHERE envelope = ?1 AND created_at <= ?3)",
        (envelope, left, until),
    )?;
    Ok(count(tx::int(documents + sealed)))
}

/// Empties the body of a request; how many.
pub(super) fn empty_request(tx: &Tx<'_>, payload: i64, left: &[u8], until: i64) -> Outcome<u64> {
    let emptied = tx.run(
        "UPDATE payloads SET body = ?2, headers = '{}' WHERE seq = ?1 AND length(body) > 1 AND received_at <= ?3",
        (payload, left, until),
    )?;
    Ok(count(tx::int(emptied)))
}

/// The attempts of a delivery, if it was final long enough ago.
fn attempts(tx: &Tx<'_>, delivery: i64, retire: &Retire, retired: &mut Retired) -> Outcome<bool> {
    let old = tx.row(
        "SELECT 1 FROM deliveries WHERE seq = ?1 AND state IN ('delivered', 'superseded', 'abandoned') \
         AND settled_at < ?2",
        (delivery, retire.attempts_before.as_microsecond()),
        |_| Ok(()),
    )?;
    if old.is_none() {
        return Ok(false);
    }
    let gone = tx.run("DELETE FROM attempts WHERE delivery = ?1", [delivery])?
        + tx.run("DELETE FROM evidence WHERE delivery = ?1", [delivery])?;
    retired.attempts += count(tx::int(gone));
    Ok(true)
}

/// Bodies of events that were refused as conflicts, once the complaint about them is closed long enough.
fn complaints(tx: &Tx<'_>, retire: &Retire, retired: &mut Retired) -> Outcome<()> {
    let closed = tx.rows(
        "SELECT x.payload FROM exceptions AS x INDEXED BY exceptions_with_body JOIN payloads AS p ON p.seq = x.payload \
         WHERE x.payload IS NOT NULL AND x.resolved_at < ?1 AND length(p.body) > 1 \
         AND NOT EXISTS (SELECT 1 FROM exceptions AS o WHERE o.payload = x.payload AND o.state = 'open') LIMIT ?2",
        (retire.bodies_before.as_microsecond(), COMPLAINTS),
        |row| row.get::<_, i64>(0),
    )?;
    for payload in closed {
        // A batch can hold a conflict and an event that is still open: then the walk along the events decides.
        let open = tx.row(
            "SELECT 1 FROM envelopes INDEXED BY envelopes_open WHERE state IN ('received', 'exception') AND payload = ?1",
            [payload],
            |_| Ok(()),
        )?;
        if open.is_none() {
            retired.bodies += empty_request(tx, payload, &EXPIRED, i64::MAX)?;
        }
    }
    Ok(())
}
