//! Destinations that a person holds.

use rusqlite::Connection;

use super::acts;
use super::fault::Outcome;
use super::tx::{self, Tx};
use crate::clock::from_micros;
use crate::store::books::Done;
use crate::store::running::Hold;
use crate::store::write::Act;

/// All of them.
pub(super) fn all(conn: &Connection) -> Outcome<Vec<Hold>> {
    tx::rows(conn, "SELECT destination, reason, held_by, held_at FROM holds ORDER BY destination", [], |row| {
        let held_at = from_micros(row.get(3)?);
        Ok(Hold { destination: row.get(0)?, reason: row.get(1)?, held_by: row.get(2)?, held_at })
    })
}

/// From now on, or with another reason.
pub(super) fn hold(tx: &Tx<'_>, hold: &Hold, act: &Act) -> Outcome<()> {
    tx.run(
        "INSERT INTO holds (destination, reason, held_by, held_at) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (destination) DO UPDATE SET reason = excluded.reason, held_by = excluded.held_by, held_at = excluded.held_at",
        (&hold.destination, &hold.reason, &hold.held_by, hold.held_at.as_microsecond()),
    )?;
    acts::recorded(tx, act, Done::Otherwise)
}

/// No longer.
pub(super) fn release(tx: &Tx<'_>, destination: &str, act: &Act) -> Outcome<()> {
    tx.run("DELETE FROM holds WHERE destination = ?1", [destination])?;
    acts::recorded(tx, act, Done::Otherwise)
}
