//! Counts that must be cheap to read at ten million rows: kept beside what they count, in the same transaction.
//!
//! A command changes a [`Tally`] in memory; the writer adds the sum of a group to the `tallies` table before its commit,
//! so a count costs one row a group and never drifts from what was committed. Only differences are written: another
//! process may change the same counts between two groups.

use rusqlite::Connection;

use super::fault::Outcome;
use super::state::EnvelopeState;
use super::traffic;
use crate::store::view::Ledger;

/// Envelopes ever accepted.
pub(super) const ACCEPTED: &str = "accepted";
/// Envelopes not concluded yet.
pub(super) const UNPROCESSED: &str = "unprocessed";
/// Prefix: waiting deliveries of a destination.
pub(super) const WAITING: &str = "waiting:";
/// Prefix: open exceptions of a code.
pub(super) const OPEN: &str = "open:";

/// Changes of counts, not written yet.
#[derive(Debug, Default)]
pub(super) struct Tally {
    accepted: i64,
    unprocessed: i64,
    states: [i64; EnvelopeState::ALL.len()],
    named: Vec<(&'static str, String, i64)>,
    touched: Vec<i64>,
    traffic: traffic::Counts,
}

impl Tally {
    /// When the command was given: what it does is counted then.
    pub(super) fn at(&mut self, micros: i64) {
        self.traffic.at(micros);
    }

    /// A new envelope, in this column of the ledger.
    pub(super) fn accept(&mut self, state: EnvelopeState) {
        self.accepted += 1;
        self.states[state as usize] += 1;
        self.traffic.count(traffic::ACCEPTED, "", traffic::UNCLASSED);
        if state == EnvelopeState::Exception {
            self.traffic.count(traffic::PARKED, "", traffic::UNCLASSED);
        }
    }

    /// An envelope changes its column.
    pub(super) fn shift(&mut self, from: EnvelopeState, to: EnvelopeState) {
        self.states[from as usize] -= 1;
        self.states[to as usize] += 1;
        if to == EnvelopeState::Exception {
            self.traffic.count(traffic::PARKED, "", traffic::UNCLASSED);
        }
    }

    /// A destination took a delivery, so long after its event was received.
    pub(super) fn delivered(&mut self, destination: &str, lag_micros: Option<i64>) {
        self.traffic.count(traffic::DELIVERED, destination, traffic::class(lag_micros));
    }

    /// Envelopes come to or leave the processor.
    pub(super) fn unprocessed(&mut self, by: i64) {
        self.unprocessed += by;
    }

    /// Deliveries of a destination begin or cease to wait.
    pub(super) fn waiting(&mut self, destination: &str, by: i64) {
        self.name(WAITING, destination, by);
    }

    /// Exceptions of a code open or close.
    pub(super) fn open(&mut self, code: &str, by: i64) {
        self.name(OPEN, code, by);
    }

    /// Something about this subject changed that may change what became of it: it is booked anew (P2 in money).
    pub(super) fn touch(&mut self, subject: i64) {
        if self.touched.last() != Some(&subject) {
            self.touched.push(subject);
        }
    }

    fn name(&mut self, prefix: &'static str, name: &str, by: i64) {
        match self.named.iter_mut().find(|(known_prefix, known, _)| *known_prefix == prefix && known == name) {
            Some((_, _, n)) => *n += by,
            None => self.named.push((prefix, name.to_owned(), by)),
        }
    }

    /// Takes over what another command of the same group changed.
    pub(super) fn absorb(&mut self, other: Tally) {
        self.accepted += other.accepted;
        self.unprocessed += other.unprocessed;
        for (sum, by) in self.states.iter_mut().zip(other.states) {
            *sum += by;
        }
        for (prefix, name, by) in other.named {
            self.name(prefix, &name, by);
        }
        self.touched.extend(other.touched);
        self.traffic.absorb(other.traffic);
    }

    /// Adds the changes to the table, inside the transaction they belong to.
    pub(super) fn write(&self, conn: &Connection) -> Outcome<()> {
        add(conn, ACCEPTED, self.accepted)?;
        add(conn, UNPROCESSED, self.unprocessed)?;
        for state in EnvelopeState::ALL {
            add(conn, state.as_str(), self.states[state as usize])?;
        }
        for (prefix, name, by) in &self.named {
            add(conn, &format!("{prefix}{name}"), *by)?;
        }
        self.traffic.write(conn)?;
        super::money::book(conn, &self.touched)
    }
}

fn add(conn: &Connection, name: &str, by: i64) -> Outcome<()> {
    if by != 0 {
        conn.prepare_cached(
            "INSERT INTO tallies (name, n) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET n = n + excluded.n",
        )?
        .execute((name, by))?;
    }
    Ok(())
}

/// All counts as they stand.
pub(super) fn all(conn: &Connection) -> Outcome<Vec<(String, i64)>> {
    super::tx::rows(conn, "SELECT name, n FROM tallies ORDER BY name", [], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// The ledger as it stands: half a dozen rows, whatever the size of the store.
pub(super) fn ledger(conn: &Connection) -> Outcome<Ledger> {
    let counts = all(conn)?;
    let of = |name: &str| counts.iter().find(|(known, _)| known == name).map_or(0, |(_, n)| super::tx::count(*n));
    Ok(Ledger {
        accepted: of(ACCEPTED),
        done: of(EnvelopeState::Done.as_str()),
        ignored: of(EnvelopeState::Ignored.as_str()),
        superseded: of(EnvelopeState::Superseded.as_str()),
        exception: of(EnvelopeState::Exception.as_str()),
        due: of(EnvelopeState::Received.as_str()),
    })
}
