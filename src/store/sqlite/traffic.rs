//! What came and went, counted by five minutes beside what is counted: a command notes it in memory, its group writes a row
//! a slot before its commit. So the figures are what was committed, whatever kills the process.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

use super::fault::Outcome;
use super::tx::{self, Tx, count};
use super::{positions, reads};
use crate::clock::{Timestamp, from_micros};
use crate::store::traffic::{
    DestinationTraffic, HOURS, LAG_CLASSES, NewestHere, NewestOrder, NewestThere, SLOT_MICROS, SLOTS_AN_HOUR,
    SLOTS_KEPT, Traffic, TrafficHour, lag_class, lag_quantile, slot_of,
};

/// Events that were accepted.
pub(super) const ACCEPTED: &str = "accepted";
/// Deliveries that a destination took.
pub(super) const DELIVERED: &str = "delivered";
/// Events that came to wait for a person.
pub(super) const PARKED: &str = "parked";
/// Of no class of lag.
pub(super) const UNCLASSED: i64 = -1;

/// A week in slots.
const WEEK: i64 = 7 * 24 * SLOTS_AN_HOUR;
/// Newest rows that are looked through for the newest order of each instance.
const NEWEST_WALK: i64 = 2_000;

/// The class of a lag.
pub(super) fn class(micros: Option<i64>) -> i64 {
    // A clock that went back makes no lag at all.
    micros.map_or(UNCLASSED, |micros| tx::int(lag_class(count(micros.max(0)).div_ceil(1_000))))
}

/// Counts not written yet.
#[derive(Debug, Default)]
pub(super) struct Counts {
    slot: i64,
    counted: Vec<Counted>,
}

#[derive(Debug)]
struct Counted {
    slot: i64,
    what: &'static str,
    destination: String,
    class: i64,
    n: i64,
}

impl Counts {
    /// What follows is counted at this time.
    pub(super) fn at(&mut self, micros: i64) {
        self.slot = slot_of(micros);
    }

    /// One more.
    pub(super) fn count(&mut self, what: &'static str, destination: &str, class: i64) {
        self.add(Counted { slot: self.slot, what, destination: destination.to_owned(), class, n: 1 });
    }

    fn add(&mut self, more: Counted) {
        let alike = self.counted.iter_mut().find(|one| {
            one.slot == more.slot
                && one.class == more.class
                && one.what == more.what
                && one.destination == more.destination
        });
        match alike {
            Some(one) => one.n += more.n,
            None => self.counted.push(more),
        }
    }

    /// Takes over what another command of the same group counted.
    pub(super) fn absorb(&mut self, other: Counts) {
        other.counted.into_iter().for_each(|counted| self.add(counted));
    }

    /// Adds them to the table, inside the transaction they belong to.
    pub(super) fn write(&self, conn: &Connection) -> Outcome<()> {
        for Counted { slot, what, destination, class, n } in &self.counted {
            conn.prepare_cached(
                "INSERT INTO traffic (slot, what, destination, class, n) VALUES (?1, ?2, ?3, ?4, ?5) \
                 ON CONFLICT (slot, what, destination, class) DO UPDATE SET n = n + excluded.n",
            )?
            .execute((slot, what, destination, class, n))?;
        }
        Ok(())
    }
}

/// Takes out what nobody asks for any more.
pub(super) fn forget(tx: &Tx<'_>, now: Timestamp) -> Outcome<()> {
    tx.run("DELETE FROM traffic WHERE slot < ?1", [slot_of(now.as_microsecond()) - SLOTS_KEPT])?;
    Ok(())
}

/// Slots from one to before another.
pub(super) const SLOTS: &str =
    "SELECT slot, what, destination, class, n FROM traffic WHERE slot >= ?1 AND slot < ?2 ORDER BY slot";

/// The newest rows.
pub(super) const NEWEST: &str = "SELECT system, id, scope, placed_at, first_seen_at FROM subjects NOT INDEXED \
     WHERE seq > (SELECT MAX(seq) FROM subjects) - ?1 AND kind = 'order' ORDER BY seq DESC";

/// Whether an order of that number is here.
const HERE: &str = "SELECT 1 FROM subjects WHERE id = ?1 AND kind = 'order' AND system = ?2 LIMIT 1";

/// A row of [`SLOTS`].
struct Row {
    slot: i64,
    what: String,
    destination: String,
    class: i64,
    n: u64,
}

fn slots(conn: &Connection, from: i64, to: i64) -> Outcome<Vec<Row>> {
    tx::rows(conn, SLOTS, (from, to), |row| {
        let n = count(row.get(4)?);
        Ok(Row { slot: row.get(0)?, what: row.get(1)?, destination: row.get(2)?, class: row.get(3)?, n })
    })
}

/// All of it, as of now.
pub(super) fn read(conn: &Connection, now: Timestamp) -> Outcome<Traffic> {
    let slot = slot_of(now.as_microsecond());
    let first = slot.div_euclid(SLOTS_AN_HOUR) * SLOTS_AN_HOUR - (HOURS - 1) * SLOTS_AN_HOUR;
    Ok(Traffic {
        at: now,
        hours: hours(conn, first)?,
        week_before: hours(conn, first - WEEK)?,
        destinations: destinations(conn, slot)?,
        newest_orders: newest(conn)?,
    })
}

fn hours(conn: &Connection, first: i64) -> Outcome<Vec<TrafficHour>> {
    let hour = |index: i64| TrafficHour {
        starts_at: from_micros((first + index * SLOTS_AN_HOUR) * SLOT_MICROS),
        accepted: 0,
        delivered: 0,
        parked: 0,
    };
    let mut hours: Vec<TrafficHour> = (0..HOURS).map(hour).collect();
    for Row { slot, what, n, .. } in slots(conn, first, first + HOURS * SLOTS_AN_HOUR)? {
        let Some(hour) = usize::try_from((slot - first) / SLOTS_AN_HOUR).ok().and_then(|at| hours.get_mut(at)) else {
            continue;
        };
        match what.as_str() {
            ACCEPTED => hour.accepted += n,
            DELIVERED => hour.delivered += n,
            PARKED => hour.parked += n,
            _ => {}
        }
    }
    Ok(hours)
}

/// The last hour is the eleven full slots before the running one, and what the running one has so far.
fn destinations(conn: &Connection, slot: i64) -> Outcome<Vec<DestinationTraffic>> {
    let mut delivered: BTreeMap<String, (u64, [u64; LAG_CLASSES])> = BTreeMap::new();
    for Row { what, destination, class, n, .. } in slots(conn, slot - SLOTS_AN_HOUR + 1, slot + 1)? {
        if what == DELIVERED {
            let (all, classes) = delivered.entry(destination).or_default();
            *all += n;
            if let Some(of_class) = usize::try_from(class).ok().and_then(|class| classes.get_mut(class)) {
                *of_class += n;
            }
        }
    }
    let backlog = reads::backlog(conn)?;
    let names: BTreeSet<&String> = delivered.keys().chain(backlog.iter().map(|(name, ..)| name)).collect();
    let one = |name: &String| {
        let (all, classes) = delivered.get(name).copied().unwrap_or_default();
        let waits = backlog.iter().find(|(known, ..)| known == name);
        DestinationTraffic {
            destination: name.clone(),
            delivered_last_hour: all,
            waiting: waits.map_or(0, |(_, waiting, _)| *waiting),
            oldest_waiting_at: waits.and_then(|(.., oldest)| *oldest),
            lag_p50_ms: lag_quantile(&classes, 50),
            lag_p95_ms: lag_quantile(&classes, 95),
        }
    };
    Ok(names.into_iter().map(one).collect())
}

/// Of the newest rows of each instance the one placed last; a hint, which has no such date, only where nothing has.
fn newest(conn: &Connection) -> Outcome<Vec<NewestOrder>> {
    let rows = tx::rows(conn, NEWEST, [NEWEST_WALK], |row| {
        let here = NewestHere {
            increment_id: row.get(1)?,
            store_id: row.get(2)?,
            placed_at: row.get::<_, Option<i64>>(3)?.map(from_micros),
            first_seen_at: from_micros(row.get(4)?),
        };
        Ok((row.get::<_, String>(0)?, here))
    })?;
    let mut newest: BTreeMap<String, NewestOrder> = BTreeMap::new();
    let of = |system: String| NewestOrder { system, here: None, there: None };
    for (system, row) in rows {
        let known = newest.entry(system.clone()).or_insert_with(|| of(system));
        // Newest first: among equals the first met stays.
        if known.here.as_ref().is_none_or(|here| row.placed_at > here.placed_at) {
            known.here = Some(row);
        }
    }
    for (system, increment_id, seen_at) in positions::newest(conn)? {
        let is_here = tx::row(conn, HERE, (&increment_id, &system), |_| Ok(()))?.is_some();
        let known = newest.entry(system.clone()).or_insert_with(|| of(system));
        known.there = Some(NewestThere { increment_id, seen_at, is_here });
    }
    Ok(newest.into_values().collect())
}
