//! Holes in the sequence of order numbers, and what Commerce said of them.

use rusqlite::Connection;

use super::fault::Outcome;
use super::tx::{self, Tx};
use crate::clock::{Timestamp, from_micros};
use crate::store::running::Gap;

/// The newest orders of a system that were read as orders. A hint whose order nobody has seen may carry an id for a
/// number; it has no date of its placing.
pub(super) const NEWEST: &str = "SELECT scope, id, first_seen_at FROM subjects \
     WHERE kind = 'order' AND system = ?1 AND placed_at >= ?3 ORDER BY seq DESC LIMIT ?2";

/// When we heard of the first order of a system, less an hour for clocks that differ.
const BEGINNING: &str = "SELECT first_seen_at - 3600000000 FROM subjects WHERE kind = 'order' AND system = ?1 \
     ORDER BY seq LIMIT 1";

/// Store, number, and when each was first heard of.
pub(super) fn newest(conn: &Connection, system: &str, limit: u32) -> Outcome<Vec<(String, String, Timestamp)>> {
    let Some(beginning) = tx::row(conn, BEGINNING, [system], |row| row.get::<_, i64>(0))? else {
        return Ok(Vec::new());
    };
    tx::rows(conn, NEWEST, (system, limit, beginning), |row| Ok((row.get(0)?, row.get(1)?, from_micros(row.get(2)?))))
}

/// What was asked for, the newest first.
pub(super) fn all(conn: &Connection, limit: u32) -> Outcome<Vec<Gap>> {
    let sql = "SELECT system, scope, number, outcome, asked_at FROM gaps ORDER BY asked_at DESC, system, scope, number DESC \
               LIMIT ?1";
    tx::rows(conn, sql, [limit], |row| {
        Ok(Gap {
            system: row.get(0)?,
            scope: row.get(1)?,
            number: row.get(2)?,
            outcome: row.get(3)?,
            asked_at: from_micros(row.get(4)?),
        })
    })
}

/// Which of these have been asked for.
pub(super) fn asked(conn: &Connection, system: &str, numbers: &[(String, String)]) -> Outcome<Vec<bool>> {
    let sql = "SELECT 1 FROM gaps WHERE system = ?1 AND scope = ?2 AND number = ?3";
    let one = |(scope, number): &(String, String)| {
        Ok(tx::row(conn, sql, (system, scope, number), |row| row.get::<_, i64>(0))?.is_some())
    };
    numbers.iter().map(one).collect()
}

/// What came of asking.
pub(super) fn keep(tx: &Tx<'_>, gap: &Gap) -> Outcome<()> {
    tx.run(
        "INSERT INTO gaps (system, scope, number, outcome, asked_at) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (system, scope, number) DO UPDATE SET outcome = excluded.outcome, asked_at = excluded.asked_at",
        (&gap.system, &gap.scope, &gap.number, &gap.outcome, gap.asked_at.as_microsecond()),
    )?;
    Ok(())
}
