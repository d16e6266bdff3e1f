//! One question, every way it may be meant. Each goes by an index, except a part in the middle of a number, which looks
//! through the newest orders and no further.

use rusqlite::{Connection, Params};

use super::fault::Outcome;
use super::index::{self, Stored};
use super::tx::{self, count};
use super::{orders, rows};
use crate::store::finding::{COUNTED_MAX, Found, HeldUp, Matches, PART_WALK_MAX, Question, SHOWN_MAX, Term, TermKind};
use crate::store::seal::Keys;
use crate::store::view::OrderRow;

/// Rows of a stretch of numbers that are put in order.
const STRETCH_MAX: i64 = 500;
/// Orders behind a term that are looked at for the newest: rows of anything else are none.
const SHOWN: i64 = SHOWN_MAX as i64;
/// Greater than any letter.
const END: char = char::MAX;

/// Deliveries of a receipt.
pub(super) const BY_RECEIPT: &str = "INDEXED BY deliveries_by_receipt";
/// Rows of a term.
pub(super) const BY_TERM: &str = "SELECT row FROM terms WHERE kind = ?1 AND digest = ?2 ORDER BY row DESC LIMIT ?3";
/// How many there are, up to a bound.
pub(super) const COUNT: &str = "SELECT COUNT(*) FROM (SELECT 1 FROM terms WHERE kind = ?1 AND digest = ?2 LIMIT ?3)";
/// Orders whose number ends like this, spelled from the end.
pub(super) const ENDING: &str = "SELECT subject FROM endings WHERE reversed >= ?1 AND reversed < ?2 LIMIT ?3";
/// Orders whose number begins like this.
pub(super) const BEGINNING: &str = "SELECT seq FROM subjects WHERE id >= ?1 AND id < ?2 AND kind = 'order' LIMIT ?3";
/// Orders with this in the middle of their number, among the newest.
pub(super) const MIDDLE: &str = "SELECT seq FROM subjects NOT INDEXED \
     WHERE seq > (SELECT MAX(seq) FROM subjects) - ?2 AND kind = 'order' AND instr(id, ?1) > 0 ORDER BY seq DESC LIMIT ?3";
/// What waits for a person because of a value, by cause.
pub(super) const PARKED: &str = "SELECT fingerprint, MAX(code), MAX(message), MAX(remedy), COUNT(DISTINCT subject) FROM \
     (SELECT fingerprint, code, message, remedy, subject FROM exceptions INDEXED BY exceptions_open_by_value \
     WHERE lower(value) = lower(?1) AND value IS NOT NULL AND state = 'open' LIMIT ?3) \
     GROUP BY fingerprint ORDER BY COUNT(*) DESC LIMIT ?2";

/// Answers a question.
pub(super) fn find(conn: &Connection, question: &Question, keys: &Keys, installation: &str) -> Outcome<Found> {
    let stored = |kind, text: &String| index::stored(&Term { kind, text: text.clone() }, keys, installation);
    let mut found = Found { behind: index::behind(conn)?, ..Found::default() };
    for number in &question.numbers {
        let seqs = tx::rows(conn, orders::NUMBERED, (number, i64::MAX, SHOWN), |row| row.get(0))?;
        add(conn, seqs, &mut found.orders)?;
    }
    if let Some(ending) = &question.ending {
        let seqs = stretch(conn, ENDING, &index::reversed(ending))?;
        add(conn, seqs, &mut found.prefixed)?;
        found.prefixed.retain(|order| !found.orders.iter().any(|known| same(known, order)));
    }
    if let Some(receipt) = &question.receipt {
        let sql = format!(
            "{} FROM deliveries AS d {BY_RECEIPT} {} WHERE d.receipt = ?1 ORDER BY d.seq DESC LIMIT ?2",
            rows::DELIVERY,
            rows::DELIVERY_JOINS
        );
        found.receipts = second(tx::rows(conn, &sql, (receipt, SHOWN), rows::delivery)?);
    }
    if let Some(key) = &question.key {
        let sql =
            format!("{} FROM deliveries AS d {} WHERE d.seq = ?1 AND d.key = ?2", rows::DELIVERY, rows::DELIVERY_JOINS);
        for seq in term(conn, stored(TermKind::Key, key))? {
            found.keyed.extend(second(tx::rows(conn, &sql, (seq, key), rows::delivery)?));
        }
    }
    if let Some(trace) = &question.trace {
        let sql = format!("{} FROM envelopes AS e {} WHERE e.seq = ?1", rows::EVENT, rows::EVENT_JOINS);
        for seq in term(conn, stored(TermKind::Trace, trace))? {
            found.traced.extend(second(tx::rows(conn, &sql, [seq], rows::event)?));
        }
    }
    if let Some(email) = &question.email {
        found.email = matches(conn, stored(TermKind::Email, email))?;
    }
    if let Some(sku) = &question.sku {
        found.sku = matches(conn, stored(TermKind::Sku, sku))?;
    }
    if let Some(value) = &question.value {
        found.parked = parked(conn, value)?;
    }
    if let Some(part) = &question.part
        && found.is_empty()
    {
        found.parts = parts(conn, part)?;
    }
    Ok(found)
}

fn second<T>(rows: Vec<(i64, T)>) -> Vec<T> {
    rows.into_iter().map(|(_, row)| row).collect()
}

fn same(one: &OrderRow, other: &OrderRow) -> bool {
    (&one.system, &one.store_id, &one.increment_id) == (&other.system, &other.store_id, &other.increment_id)
}

/// Adds the orders of these rows that are not among them, up to what an answer shows.
fn add(conn: &Connection, seqs: Vec<i64>, into: &mut Vec<OrderRow>) -> Outcome<()> {
    for seq in seqs {
        if into.len() >= SHOWN_MAX as usize {
            break;
        }
        if let Some((_, order)) = orders::one(conn, seq)?
            && !into.iter().any(|known| same(known, &order))
        {
            into.push(order);
        }
    }
    Ok(())
}

fn term(conn: &Connection, (kind, digest): Stored) -> Outcome<Vec<i64>> {
    tx::rows(conn, BY_TERM, (kind, digest, SHOWN), |row| row.get(0))
}

fn matches(conn: &Connection, term: Stored) -> Outcome<Matches> {
    let (kind, digest) = term;
    let counted = tx::row(conn, COUNT, (kind, digest, counted_max()), |row| row.get::<_, i64>(0))?;
    let mut newest = Vec::new();
    add(conn, self::term(conn, term)?, &mut newest)?;
    Ok(Matches { count: count(counted.unwrap_or(0)), newest })
}

/// One more than is told, so that more is told from as many.
fn counted_max() -> i64 {
    i64::try_from(COUNTED_MAX + 1).unwrap_or(i64::MAX)
}

fn parked(conn: &Connection, value: &str) -> Outcome<Vec<HeldUp>> {
    tx::rows(conn, PARKED, (value, SHOWN, counted_max()), |row| {
        Ok(HeldUp {
            fingerprint: row.get(0)?,
            code: row.get(1)?,
            message: row.get(2)?,
            remedy: row.get(3)?,
            orders: count(row.get(4)?),
        })
    })
}

/// Numbers that end with it, that begin with it, then those of the newest that hold it.
fn parts(conn: &Connection, part: &str) -> Outcome<Vec<OrderRow>> {
    let mut found = Vec::new();
    add(conn, stretch(conn, ENDING, &index::reversed(part))?, &mut found)?;
    add(conn, stretch(conn, BEGINNING, part)?, &mut found)?;
    if found.len() < SHOWN_MAX as usize {
        let middle = seqs(conn, MIDDLE, (part, i64::from(PART_WALK_MAX), SHOWN))?;
        add(conn, middle, &mut found)?;
    }
    Ok(found)
}

/// Rows whose text begins with this, newest first.
fn stretch(conn: &Connection, sql: &str, beginning: &str) -> Outcome<Vec<i64>> {
    let mut found = seqs(conn, sql, (beginning, format!("{beginning}{END}"), STRETCH_MAX))?;
    found.sort_unstable_by(|one, other| other.cmp(one));
    Ok(found)
}

fn seqs(conn: &Connection, sql: &str, params: impl Params) -> Outcome<Vec<i64>> {
    tx::rows(conn, sql, params, |row| row.get(0))
}
