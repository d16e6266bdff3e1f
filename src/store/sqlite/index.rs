//! The terms by which records are found, written behind the events: which rows come next, and writing what was found in
//! them together with how far that is.
//!
//! Rows are followed by their numbers, which rise with every commit; so nothing is asked of the transactions that write
//! them, and a slice that was not written is simply the next one again. What was erased or went between reading a body and
//! writing its terms is looked at once more inside the transaction.

use bytes::Bytes;
use rusqlite::Connection;

use super::bodies::{DOCUMENT, PAYLOAD};
use super::fault::Outcome;
use super::tx::{self, Tx, count, int};
use super::{positions, traffic};
use crate::clock::Timestamp;
use crate::envelope::keys::Digest;
use crate::store::finding::{IndexPosition, IndexSlice, Source, Term, TermKind, Unindexed};
use crate::store::running::Position;
use crate::store::seal::{Keys, Shape, keyed};

/// Plain bytes of bodies that one slice reads; the body that goes beyond is its last.
const BYTES_MAX: i64 = 4 * 1024 * 1024;
/// Personal terms of another key that one transaction takes out.
const FORGOTTEN_MAX: usize = 500;

/// A term as it is stored.
pub(super) type Stored = (i64, [u8; 16]);

/// The column's number.
fn number(kind: TermKind) -> i64 {
    match kind {
        TermKind::Email => 1,
        TermKind::Sku => 2,
        TermKind::Key => 3,
        TermKind::Trace => 4,
    }
}

/// What a term is stored as. An address is keyed by the wrapping key where there is one; everything else, and addresses of
/// a store that is not encrypted, by the installation.
pub(super) fn stored(term: &Term, keys: &Keys, installation: &str) -> Stored {
    let of_installation = || Digest::of_fields(&["crossdock.search.v1", installation]).0;
    let key = match term.kind {
        TermKind::Email => keys.search().copied().unwrap_or_else(of_installation),
        TermKind::Sku | TermKind::Key | TermKind::Trace => of_installation(),
    };
    let number = number(term.kind);
    let digest = keyed(&key, format!("{number} {}", term.text).as_bytes());
    (number, *digest.first_chunk().expect("a digest has 32 bytes"))
}

/// Names the key of the personal terms.
fn key_name(keys: &Keys) -> String {
    keys.ids().into_iter().next().unwrap_or_else(|| "installation".to_owned())
}

/// How far the index got.
pub(super) fn position(conn: &Connection) -> Outcome<IndexPosition> {
    let kept = positions::find(conn, "", "index")?;
    Ok(kept.and_then(|kept| read(&kept.position)).unwrap_or_default())
}

fn read(text: &str) -> Option<IndexPosition> {
    let mut parts = text.split(' ');
    let mut next = || parts.next()?.parse().ok();
    let (events, documents, deliveries, subjects) = (next()?, next()?, next()?, next()?);
    Some(IndexPosition { events, documents, deliveries, subjects, key: parts.next()?.to_owned() })
}

fn written(position: &IndexPosition) -> String {
    let IndexPosition { events, documents, deliveries, subjects, key } = position;
    format!("{events} {documents} {deliveries} {subjects} {key}")
}

/// Events in the order of their numbers; the body is read by itself.
pub(super) const EVENTS: &str = "SELECT e.seq, e.path, s.kind = 'order', p.plain_bytes, e.payload \
     FROM envelopes AS e NOT INDEXED JOIN payloads AS p ON p.seq = e.payload JOIN subjects AS s ON s.seq = e.subject \
     WHERE e.seq > ?1 ORDER BY e.seq LIMIT ?2";
/// The same for documents.
pub(super) const DOCUMENTS: &str = "SELECT o.seq, '', s.kind = 'order', o.plain_bytes, o.seq \
     FROM documents AS o NOT INDEXED JOIN envelopes AS e ON e.seq = o.envelope JOIN subjects AS s ON s.seq = e.subject \
     WHERE o.seq > ?1 ORDER BY o.seq LIMIT ?2";
/// Deliveries with their keys.
pub(super) const DELIVERIES: &str = "SELECT seq, key FROM deliveries NOT INDEXED WHERE seq > ?1 ORDER BY seq LIMIT ?2";
/// Orders with their numbers.
pub(super) const SUBJECTS: &str =
    "SELECT seq, id, kind = 'order' FROM subjects NOT INDEXED WHERE seq > ?1 ORDER BY seq LIMIT ?2";

/// The next rows of each kind.
pub(super) fn next(conn: &Connection, rows: u32, keys: &Keys) -> Outcome<IndexSlice> {
    let from = position(conn)?;
    let mut to = IndexPosition { key: key_name(keys), ..from.clone() };
    if from.key != to.key {
        // Addresses under another key are written anew, from the first body on.
        (to.events, to.documents) = (0, 0);
        return Ok(IndexSlice { from, to, more: true, ..IndexSlice::default() });
    }
    let mut slice = IndexSlice::default();
    let events = bodies(conn, Source::Event, from.events, rows, keys, &mut slice.bodies)?;
    let documents = bodies(conn, Source::Document, from.documents, rows, keys, &mut slice.bodies)?;
    slice.keys = tx::rows(conn, DELIVERIES, (from.deliveries, rows), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let subjects =
        tx::rows(conn, SUBJECTS, (from.subjects, rows), |row| Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?)))?;
    to.events = events.last;
    to.documents = documents.last;
    to.deliveries = slice.keys.last().map_or(from.deliveries, |(seq, _)| *seq);
    to.subjects = subjects.last().map_or(from.subjects, |(seq, ..)| *seq);
    let full = |met: usize| met >= rows as usize;
    slice.more = events.more || documents.more || full(slice.keys.len()) || full(subjects.len());
    slice.numbers = subjects.into_iter().filter(|(.., of_order)| *of_order).map(|(seq, id, _)| (seq, id)).collect();
    (slice.from, slice.to) = (from, to);
    Ok(slice)
}

struct Stretch {
    last: i64,
    more: bool,
}

fn bodies(
    conn: &Connection,
    source: Source,
    from: i64,
    rows: u32,
    keys: &Keys,
    into: &mut Vec<Unindexed>,
) -> Outcome<Stretch> {
    let sql = match source {
        Source::Event => EVENTS,
        Source::Document => DOCUMENTS,
    };
    let met = tx::rows(conn, sql, (from, rows), |row| {
        let place = (row.get::<_, i64>(3)?, row.get::<_, i64>(4)?);
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, bool>(2)?, place))
    })?;
    let mut stretch = Stretch { last: from, more: met.len() >= rows as usize };
    let (mut bytes, mut last): (i64, Option<(i64, Bytes, String)>) = (0, None);
    for (row, path, of_order, (plain_bytes, place)) in met {
        // Events of one request share its body.
        let (body, headers) = match last.take() {
            Some((known, body, headers)) if known == place && source == Source::Event => (body, headers),
            _ if bytes >= BYTES_MAX => {
                stretch.more = true;
                break;
            }
            _ => {
                bytes += plain_bytes;
                body(conn, source, place, keys)?
            }
        };
        last = Some((place, body.clone(), headers.clone()));
        into.push(Unindexed { source, row, path, of_order, body, headers });
        stretch.last = row;
    }
    Ok(stretch)
}

/// A plain body; empty where it is gone or cannot be read, which is others' to complain about.
fn body(conn: &Connection, source: Source, seq: i64, keys: &Keys) -> Outcome<(Bytes, String)> {
    let (sql, what) = match source {
        Source::Event => {
            ("SELECT body, plain_bytes, digest, request_id, headers FROM payloads WHERE seq = ?1", PAYLOAD)
        }
        Source::Document => ("SELECT body, plain_bytes, digest, id, '{}' FROM documents WHERE seq = ?1", DOCUMENT),
    };
    let found = tx::row(conn, sql, [seq], |row| {
        let stored: Vec<u8> = row.get(0)?;
        let binding: [u8; 16] = row.get(3)?;
        let opened = keys.unpack(&stored, what, &binding, Shape::new(row.get(1)?, row.get(2)?));
        Ok((opened.unwrap_or_default(), row.get(4)?))
    })?;
    Ok(found.unwrap_or_default())
}

/// A slice with its terms as they are stored.
pub(super) struct Written {
    pub(super) from: IndexPosition,
    pub(super) to: IndexPosition,
    pub(super) terms: Vec<(Source, i64, Stored)>,
    pub(super) keys: Vec<(i64, Stored)>,
    /// Orders with their numbers, spelled from the end.
    pub(super) endings: Vec<(i64, String)>,
    pub(super) at: Timestamp,
}

/// Writes a slice; `false` if the index is elsewhere.
pub(super) fn write(tx: &Tx<'_>, slice: &Written) -> Outcome<bool> {
    if position(tx.conn)? != slice.from {
        return Ok(false);
    }
    traffic::forget(tx, slice.at)?;
    if slice.from.key != slice.to.key && forget_personal(tx)? >= FORGOTTEN_MAX {
        // There are more of them: the next slice begins here again.
        return Ok(true);
    }
    let mut leads: Option<((Source, i64), Option<i64>)> = None;
    for (source, row, term) in &slice.terms {
        let target = if term.0 == number(TermKind::Trace) {
            Some(*row)
        } else {
            match leads {
                Some((known, subject)) if known == (*source, *row) => subject,
                _ => {
                    let subject = subject(tx, *source, *row)?;
                    leads = Some(((*source, *row), subject));
                    subject
                }
            }
        };
        if let Some(target) = target {
            put(tx, *term, target)?;
        }
    }
    for (row, term) in &slice.keys {
        put(tx, *term, *row)?;
    }
    for (subject, reversed) in &slice.endings {
        tx.run("INSERT OR IGNORE INTO endings (reversed, subject) VALUES (?1, ?2)", (reversed, subject))?;
    }
    let position = Position {
        system: String::new(),
        kind: "index".into(),
        position: written(&slice.to),
        at: slice.at,
        trouble: None,
    };
    positions::keep(tx, &position)?;
    Ok(true)
}

fn put(tx: &Tx<'_>, (kind, digest): Stored, row: i64) -> Outcome<()> {
    tx.run("INSERT OR IGNORE INTO terms (kind, digest, row) VALUES (?1, ?2, ?3)", (kind, digest, row))?;
    Ok(())
}

/// What the terms of a body lead to; nothing when the body is gone or its subject was erased since.
fn subject(tx: &Tx<'_>, source: Source, row: i64) -> Outcome<Option<i64>> {
    let sql = match source {
        Source::Event => {
            "SELECT e.subject FROM envelopes AS e JOIN payloads AS p ON p.seq = e.payload \
             JOIN subjects AS s ON s.seq = e.subject WHERE e.seq = ?1 AND length(p.body) > 1 \
             AND (s.erased_at IS NULL OR s.erased_at < e.received_at)"
        }
        Source::Document => {
            "SELECT e.subject FROM documents AS o JOIN envelopes AS e ON e.seq = o.envelope \
             JOIN subjects AS s ON s.seq = e.subject WHERE o.seq = ?1 AND length(o.body) > 1 \
             AND (s.erased_at IS NULL OR s.erased_at < o.created_at)"
        }
    };
    tx.row(sql, [row], |row| row.get(0))
}

fn forget_personal(tx: &Tx<'_>) -> Outcome<usize> {
    tx.run(
        "DELETE FROM terms WHERE (kind, digest, row) IN \
         (SELECT kind, digest, row FROM terms WHERE kind = 1 LIMIT ?1)",
        [int(FORGOTTEN_MAX)],
    )
}

/// DAT-1: nothing leads to an erased subject by what is personal, nor by what it bought.
pub(super) fn erase(tx: &Tx<'_>, subject: i64) -> Outcome<()> {
    tx.run("DELETE FROM terms WHERE row = ?1 AND kind IN (1, 2)", [subject])?;
    Ok(())
}

/// Whether a body is left that names the buyer.
pub(super) const NAMES_BUYER: &str = "SELECT EXISTS (SELECT 1 FROM envelopes AS e INDEXED BY envelopes_by_subject \
     JOIN payloads AS p ON p.seq = e.payload WHERE e.subject = ?1 AND length(p.body) > 1) \
     OR EXISTS (SELECT 1 FROM envelopes AS e INDEXED BY envelopes_by_subject \
     JOIN documents AS o INDEXED BY documents_by_envelope ON o.envelope = e.seq \
     WHERE e.subject = ?1 AND length(o.body) > 1)";

/// DAT-2: with the last body of an event's subject goes what leads to it by its buyer.
pub(super) fn expire(tx: &Tx<'_>, envelope: i64) -> Outcome<()> {
    let subject = tx.row("SELECT subject FROM envelopes WHERE seq = ?1", [envelope], |row| row.get::<_, i64>(0))?;
    let Some(subject) = subject else { return Ok(()) };
    if !tx.row(NAMES_BUYER, [subject], |row| row.get::<_, bool>(0))?.unwrap_or(false) {
        tx.run("DELETE FROM terms WHERE row = ?1 AND kind = 1", [subject])?;
    }
    Ok(())
}

/// Events that the index has not come to.
pub(super) fn behind(conn: &Connection) -> Outcome<u64> {
    let newest = tx::row(conn, "SELECT MAX(seq) FROM envelopes", [], |row| row.get::<_, Option<i64>>(0))?;
    Ok(count(newest.flatten().unwrap_or(0) - position(conn)?.events))
}

/// A number spelled from its end.
pub(super) fn reversed(number: &str) -> String {
    number.chars().rev().collect()
}
