//! How far regular searches got, and what is known here of what they found.

use rusqlite::{Connection, Row};

use super::fault::Outcome;
use super::tx::{self, Tx};
use crate::clock::{Timestamp, from_micros};
use crate::store::running::Position;
use crate::store::write::Subject;

/// How far a search got.
pub(super) fn find(conn: &Connection, system: &str, kind: &str) -> Outcome<Option<Position>> {
    let sql = "SELECT system, kind, position, at, trouble FROM positions WHERE system = ?1 AND kind = ?2";
    tx::row(conn, sql, (system, kind), position)
}

/// How far all searches of other systems got; what is noted beside them is not one.
pub(super) fn all(conn: &Connection) -> Outcome<Vec<Position>> {
    tx::rows(
        conn,
        "SELECT system, kind, position, at, trouble FROM positions WHERE system <> '' AND kind <> 'newest' ORDER BY system, kind",
        [],
        position,
    )
}

fn position(row: &Row<'_>) -> rusqlite::Result<Position> {
    Ok(Position {
        system: row.get(0)?,
        kind: row.get(1)?,
        position: row.get(2)?,
        at: from_micros(row.get(3)?),
        trouble: row.get(4)?,
    })
}

/// It got this far.
pub(super) fn keep(tx: &Tx<'_>, position: &Position) -> Outcome<()> {
    tx.run(
        "INSERT INTO positions (system, kind, position, at, trouble) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (system, kind) DO UPDATE SET position = excluded.position, at = excluded.at, \
         trouble = excluded.trouble",
        (&position.system, &position.kind, &position.position, position.at.as_microsecond(), &position.trouble),
    )?;
    Ok(())
}

/// One step of the index a subject.
const KNOWN: &str = "SELECT updated_at FROM subjects WHERE id = ?1 AND kind = ?2 AND system = ?3 AND scope = ?4";

/// The newest `updated_at` known of each subject; nothing for one that is not known, or not by a time.
pub(super) fn known(conn: &Connection, subjects: &[Subject]) -> Outcome<Vec<Option<Timestamp>>> {
    let one = |subject: &Subject| {
        let key = (&subject.id, &subject.kind, &subject.system, &subject.scope);
        let found = tx::row(conn, KNOWN, key, |row| row.get::<_, Option<i64>>(0))?;
        Ok(found.flatten().map(from_micros))
    };
    subjects.iter().map(one).collect()
}

/// The newest order that each search saw in Commerce: system, number, since when.
pub(super) fn newest(conn: &Connection) -> Outcome<Vec<(String, String, Timestamp)>> {
    let sql = "SELECT system, position, at FROM positions WHERE kind = 'newest' ORDER BY system";
    let rows = tx::rows(conn, sql, [], |row| Ok((row.get(0)?, row.get::<_, String>(1)?, from_micros(row.get(2)?))))?;
    // The entity's id stands in front, which says what is newer.
    let number = |position: &str| position.split_once(' ').map(|(_, number)| number.to_owned());
    Ok(rows.into_iter().filter_map(|(system, position, at)| Some((system, number(&position)?, at))).collect())
}
