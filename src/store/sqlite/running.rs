//! Incidents, what stands behind a destination, and due times after a jump of the clock.

use rusqlite::{Connection, Row};

use super::bulk;
use super::fault::Outcome;
use super::reads;
use super::tally;
use super::tx::{self, Tx, count, int};
use crate::clock::{Timestamp, from_micros};
use crate::envelope::ids::IncidentId;
use crate::store::StoreError;
use crate::store::running::{INCIDENTS_KEPT, Incident, Standing, Trouble};

/// Writes an incident as it is now; ended ones beyond the last fifty go.
pub(super) fn write_incident(tx: &Tx<'_>, incident: &Incident) -> Outcome<()> {
    let micros = |at: Option<Timestamp>| at.map(Timestamp::as_microsecond);
    let whole = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    tx.run(
        "INSERT INTO incidents (id, destination, kind, why, opened_at, reopened_at, ended_at, waiting_most, \
         drain_per_minute, drained_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (id) DO UPDATE SET \
         kind = excluded.kind, why = excluded.why, reopened_at = excluded.reopened_at, ended_at = excluded.ended_at, \
         waiting_most = excluded.waiting_most, drain_per_minute = excluded.drain_per_minute, \
         drained_at = excluded.drained_at",
        rusqlite::params![
            incident.id.as_bytes(),
            incident.destination,
            incident.kind.as_str(),
            incident.why,
            incident.opened_at.as_microsecond(),
            micros(incident.reopened_at),
            micros(incident.ended_at),
            whole(incident.waiting_most),
            incident.drain_per_minute.map(whole),
            micros(incident.drained_at),
        ],
    )?;
    if incident.ended_at.is_some() {
        tx.run(
            "DELETE FROM incidents WHERE ended_at IS NOT NULL AND seq NOT IN \
             (SELECT seq FROM incidents WHERE ended_at IS NOT NULL ORDER BY ended_at DESC, seq DESC LIMIT ?1)",
            [int(INCIDENTS_KEPT)],
        )?;
    }
    Ok(())
}

/// All that are kept: open ones first, then the newest.
pub(super) fn incidents(conn: &Connection) -> Outcome<Vec<Incident>> {
    let found = tx::rows(
        conn,
        "SELECT id, destination, kind, why, opened_at, reopened_at, ended_at, waiting_most, drain_per_minute, drained_at \
         FROM incidents ORDER BY ended_at IS NOT NULL, opened_at DESC, seq DESC",
        [],
        |row| Ok(incident(row)?.ok_or_else(|| StoreError::Corrupt("an incident of an unknown kind".to_owned()))),
    )?;
    Ok(found.into_iter().collect::<Result<_, _>>()?)
}

fn incident(row: &Row<'_>) -> rusqlite::Result<Option<Incident>> {
    let at = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(from_micros));
    let kind: String = row.get(2)?;
    let Some(kind) = Trouble::ALL.into_iter().find(|known| known.as_str() == kind) else { return Ok(None) };
    Ok(Some(Incident {
        id: IncidentId::from_bytes(row.get(0)?),
        destination: row.get(1)?,
        kind,
        why: row.get(3)?,
        opened_at: from_micros(row.get(4)?),
        reopened_at: at(5)?,
        ended_at: at(6)?,
        waiting_most: count(row.get(7)?),
        drain_per_minute: row.get::<_, Option<i64>>(8)?.map(count),
        drained_at: at(9)?,
    }))
}

/// One row of the counts.
const WAITING: &str = "SELECT n FROM tallies WHERE name = ?1";
/// One step of the index.
pub(super) const OLDEST_DUE: &str = "SELECT due_at FROM deliveries INDEXED BY deliveries_due \
     WHERE destination = ?1 AND state = 'waiting' AND head = 1 ORDER BY due_at LIMIT 1";
/// As many rows as there are requests under way.
pub(super) const IN_FLIGHT: &str = "SELECT COUNT(*) FROM deliveries INDEXED BY deliveries_in_flight \
     WHERE destination = ?1 AND state = 'in_flight'";

/// What is safe for one destination.
pub(super) fn standing(conn: &Connection, destination: &str) -> Outcome<Standing> {
    let one = |sql: &str| tx::row(conn, sql, [destination], |row| row.get::<_, i64>(0));
    let waiting = tx::row(conn, WAITING, [format!("{}{destination}", tally::WAITING)], |row| row.get::<_, i64>(0))?;
    Ok(Standing {
        waiting: count(waiting.unwrap_or(0)),
        in_flight: count(one(IN_FLIGHT)?.unwrap_or(0)),
        oldest_created_at: one(reads::OLDEST)?.map(from_micros),
        oldest_due_at: one(OLDEST_DUE)?.map(from_micros),
    })
}

/// Rows moved in one command: the writer has others to serve.
const SHIFT_MAX: usize = 500;

/// RUN-5: moves the due times after `later_than` of waiting deliveries behind `after`, a batch; the last row moved, or
/// nothing when there are no more.
///
/// When the clock went back, the first sends of all that is open move with it, so that a destination's memory of a key is
/// never taken for younger than it is (UNC-2). When it went ahead they stay: the machine may have slept meanwhile, and
/// that time passed at the destination too.
pub(super) fn shift_due(tx: &Tx<'_>, after: i64, later_than: Timestamp, by: i64) -> Outcome<Option<i64>> {
    if after == 0 {
        bulk::shift(tx, later_than, by)?;
    }
    let batch = tx.rows(
        "SELECT seq FROM deliveries WHERE state IN ('waiting', 'in_flight', 'parked') AND seq > ?1 \
         AND ((state = 'waiting' AND due_at > ?2) OR (?4 < 0 AND first_attempt_at IS NOT NULL)) ORDER BY seq LIMIT ?3",
        (after, later_than.as_microsecond(), int(SHIFT_MAX), by),
        |row| row.get::<_, i64>(0),
    )?;
    for seq in &batch {
        tx.run(
            "UPDATE deliveries SET due_at = CASE WHEN state = 'waiting' AND due_at > ?3 THEN due_at + ?2 ELSE due_at END, \
             first_attempt_at = first_attempt_at + MIN(?2, 0) WHERE seq = ?1",
            (seq, by, later_than.as_microsecond()),
        )?;
    }
    Ok(batch.last().copied())
}
