//! The chain of what people did (API-5).

use rusqlite::{Connection, Row};

use super::cursor;
use super::fault::{Fault, Outcome};
use super::lists::cut;
use super::tx::{self, Tx, count, int};
use crate::clock::from_micros;
use crate::store::books::{AuditBreak, AuditHead, AuditRow};
use crate::store::trail::{GENESIS, digest};
use crate::store::view::{Page, Paging};
use crate::store::write::Act;

/// Rows looked at in one question while walking the chain.
const SLICE: i64 = 1_000;

/// As much as anybody may say of why: a row is kept for ever, and lists show it.
const REASON_CHARS_MAX: usize = 2_000;

/// Writes an act down, in the transaction of its effect.
pub(super) fn record(tx: &Tx<'_>, act: &Act) -> Outcome<()> {
    if act.reason.chars().count() > REASON_CHARS_MAX {
        return Err(Fault::not_allowed(format!(
            "a reason has at most {REASON_CHARS_MAX} characters: the audit keeps it for ever"
        )));
    }
    let (rows, previous) = last(tx.conn)?.unwrap_or((0, GENESIS));
    let at = act.at.as_microsecond();
    let fields = [&act.actor, &act.action, &act.target, &act.before, &act.after, &act.reason].map(String::as_str);
    let digest = digest(&previous, at, &fields, Some(&act.from));
    tx.run(
        "INSERT INTO audit (seq, at, actor, action, target, before, after, reason, source, previous, digest) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        rusqlite::params![
            rows + 1,
            at,
            act.actor,
            act.action,
            act.target,
            act.before,
            act.after,
            act.reason,
            act.from,
            previous,
            digest
        ],
    )?;
    Ok(())
}

fn last(conn: &Connection) -> Outcome<Option<(i64, [u8; 32])>> {
    tx::row(conn, "SELECT seq, digest FROM audit ORDER BY seq DESC LIMIT 1", [], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// A row as it stands in the file.
struct Stored {
    seq: i64,
    at: i64,
    texts: [String; 6],
    source: Option<String>,
    previous: [u8; 32],
    digest: [u8; 32],
}

const COLUMNS: &str =
    "SELECT seq, at, actor, action, target, before, after, reason, source, previous, digest FROM audit";

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored {
        seq: row.get(0)?,
        at: row.get(1)?,
        texts: [row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?, row.get(7)?],
        source: row.get(8)?,
        previous: row.get(9)?,
        digest: row.get(10)?,
    })
}

fn shown(row: Stored) -> (i64, AuditRow) {
    let [actor, action, target, before, after, reason] = row.texts;
    let audit = AuditRow {
        number: count(row.seq),
        at: from_micros(row.at),
        actor,
        from: row.source.unwrap_or_default(),
        action,
        target,
        before,
        after,
        reason,
        previous: data_encoding::HEXLOWER.encode(&row.previous),
        digest: data_encoding::HEXLOWER.encode(&row.digest),
    };
    (row.seq, audit)
}

/// The chain, newest first.
pub(super) fn list(conn: &Connection, paging: &Paging) -> Outcome<Page<AuditRow>> {
    let range = cursor::range("audit", paging)?;
    let sql = format!("{COLUMNS} WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2");
    let found = tx::rows(conn, &sql, (range.before, int(range.limit) + 1), |row| Ok(shown(stored(row)?)))?;
    Ok(cut("audit", found, range.limit, None))
}

/// The chain from a row on, oldest first; some rows at a time.
pub(super) fn after(conn: &Connection, number: u64) -> Outcome<Vec<AuditRow>> {
    let number = i64::try_from(number).unwrap_or(i64::MAX);
    let sql = format!("{COLUMNS} WHERE seq > ?1 ORDER BY seq LIMIT ?2");
    tx::rows(conn, &sql, (number, SLICE), |row| Ok(shown(stored(row)?).1))
}

/// The end of the chain.
pub(super) fn head(conn: &Connection) -> Outcome<AuditHead> {
    let (rows, digest) = last(conn)?.unwrap_or((0, GENESIS));
    Ok(AuditHead { rows: count(rows), digest: data_encoding::HEXLOWER.encode(&digest) })
}

/// The first row that does not follow from the one before it, if any. Walks the whole chain, a slice at a time.
pub(super) fn first_broken(conn: &Connection) -> Outcome<Option<AuditBreak>> {
    let (mut number, mut expected) = (0, GENESIS);
    let sql = format!("{COLUMNS} WHERE seq > ?1 ORDER BY seq LIMIT ?2");
    loop {
        let rows = tx::rows(conn, &sql, (number, SLICE), stored)?;
        if rows.is_empty() {
            return Ok(None);
        }
        for row in rows {
            if let Some(what) = complaint(&row, number, &expected) {
                return Ok(Some(AuditBreak { number: count(row.seq), what }));
            }
            (number, expected) = (row.seq, row.digest);
        }
    }
}

fn complaint(row: &Stored, before: i64, expected: &[u8; 32]) -> Option<String> {
    let fields = row.texts.each_ref().map(String::as_str);
    if row.seq != before + 1 {
        Some(format!("row {} is missing before it", before + 1))
    } else if row.previous != *expected {
        Some("it does not follow from the row before it: that one was changed, or rows were taken out".to_owned())
    } else if row.digest != digest(&row.previous, row.at, &fields, row.source.as_deref()) {
        Some("its digest does not fit its content: it was changed".to_owned())
    } else {
        None
    }
}
