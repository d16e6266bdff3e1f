//! Where an envelope stands: its column of the ledger (P2) and its turn at the processor.
//!
//! | What is true of the envelope                             | State        |
//! |----------------------------------------------------------|--------------|
//! | not concluded                                            | `received`   |
//! | an exception of it is open, or a delivery of it is parked| `exception`  |
//! | a delivery of it waits or is in flight, or it waits itself| `received`   |
//! | a delivery of it was delivered                           | `done`       |
//! | its verdict says so, or its deliveries were replaced     | `superseded` |
//! | nothing of the above                                     | `ignored`    |
//!
//! The first row that holds decides. Whatever changes one of these facts calls [`settle_state`] in the same transaction.

use super::fault::{Fault, Outcome};
use super::tx::Tx;
use crate::store::StoreError;

/// A column of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EnvelopeState {
    /// Waiting for us.
    Received,
    /// All effects applied.
    Done,
    /// Nothing to be done.
    Ignored,
    /// Overtaken by a newer report.
    Superseded,
    /// Waiting for a person.
    Exception,
}

impl EnvelopeState {
    /// All, in the order of their numbers.
    pub(super) const ALL: [EnvelopeState; 5] = [
        EnvelopeState::Received,
        EnvelopeState::Done,
        EnvelopeState::Ignored,
        EnvelopeState::Superseded,
        EnvelopeState::Exception,
    ];

    /// As stored.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            EnvelopeState::Received => "received",
            EnvelopeState::Done => "done",
            EnvelopeState::Ignored => "ignored",
            EnvelopeState::Superseded => "superseded",
            EnvelopeState::Exception => "exception",
        }
    }

    /// From the store; the column is checked by the schema.
    pub(super) fn parse(text: &str) -> Result<Self, StoreError> {
        EnvelopeState::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| StoreError::Corrupt(format!("an envelope has the state \"{text}\"")))
    }
}

/// What an envelope came to where no delivery of its own says more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing to be done.
    Ignored,
    /// Overtaken.
    Superseded,
}

impl Verdict {
    /// As stored.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Verdict::Ignored => "ignored",
            Verdict::Superseded => "superseded",
        }
    }
}

/// The facts of the table above, in its order, and the state that is kept: one row, all empty without the envelope.
pub(super) const FACTS: &str = "SELECT MAX(e.state), MAX(e.turn) IS NULL, MAX(e.verdict), \
     MAX(d.state = 'parked') OR EXISTS (SELECT 1 FROM exceptions INDEXED BY exceptions_open_by_envelope \
     WHERE envelope = ?1 AND state = 'open'), \
     MAX(d.state IN ('waiting', 'in_flight')) OR EXISTS (SELECT 1 FROM held WHERE envelope = ?1) \
     OR EXISTS (SELECT 1 FROM awaited_reads WHERE envelope = ?1), MAX(d.state = 'delivered'), MAX(d.state = 'superseded') \
     FROM envelopes AS e LEFT JOIN deliveries AS d INDEXED BY deliveries_by_envelope ON d.envelope = e.seq \
     WHERE e.seq = ?1";

/// The state that is kept, and the one that the facts in the file give: a row of the table above.
pub(super) fn derive(tx: &Tx<'_>, envelope: i64) -> Outcome<(EnvelopeState, EnvelopeState)> {
    let (kept, derived) = tx
        .row(FACTS, [envelope], |row| {
            let is = |column| Ok::<bool, rusqlite::Error>(row.get::<_, Option<bool>>(column)?.unwrap_or(false));
            let derived = if !is(1)? {
                EnvelopeState::Received
            } else if is(3)? {
                EnvelopeState::Exception
            } else if is(4)? {
                EnvelopeState::Received
            } else if is(5)? {
                EnvelopeState::Done
            } else if is(6)? || row.get_ref(2)?.as_str_or_null()? == Some(Verdict::Superseded.as_str()) {
                EnvelopeState::Superseded
            } else {
                EnvelopeState::Ignored
            };
            Ok((row.get::<_, Option<String>>(0)?, derived))
        })?
        .unwrap_or((None, EnvelopeState::Received));
    let kept = kept.ok_or_else(|| Fault::Answer(StoreError::Corrupt(format!("envelope row {envelope} is gone"))))?;
    Ok((EnvelopeState::parse(&kept)?, derived))
}

/// Brings the column up to date with the facts.
pub(super) fn settle_state(tx: &mut Tx<'_>, envelope: i64) -> Outcome<EnvelopeState> {
    let (kept, state) = derive(tx, envelope)?;
    if kept != state {
        tx.run("UPDATE envelopes SET state = ?2 WHERE seq = ?1", (envelope, state.as_str()))?;
        tx.tally.shift(kept, state);
    }
    Ok(state)
}

/// All that a concluded envelope in `received` asked for is applied, as the caller knows.
pub(super) fn done(tx: &mut Tx<'_>, envelope: i64) -> Outcome<()> {
    tx.run("UPDATE envelopes SET state = 'done' WHERE seq = ?1", [envelope])?;
    tx.tally.shift(EnvelopeState::Received, EnvelopeState::Done);
    Ok(())
}

/// Marks an envelope as overtaken, in these words, if nothing else is left of it.
pub(super) fn overtake(tx: &mut Tx<'_>, envelope: i64, words: &str) -> Outcome<()> {
    tx.run("UPDATE envelopes SET verdict = 'superseded' WHERE seq = ?1", [envelope])?;
    if settle_state(tx, envelope)? == EnvelopeState::Superseded {
        tx.run("UPDATE envelopes SET explanation = ?2 WHERE seq = ?1", (envelope, words))?;
    }
    Ok(())
}

/// The oldest envelope of a subject that is not concluded. A subject may have any number of concluded ones.
pub(super) const OLDEST_UNCONCLUDED: &str = "SELECT seq FROM envelopes INDEXED BY envelopes_unconcluded \
     WHERE subject = ?1 AND turn IS NOT NULL ORDER BY seq LIMIT 1";

/// Whether an earlier envelope of this subject still waits for the processor.
pub(super) fn has_unconcluded(tx: &Tx<'_>, subject: i64) -> Outcome<bool> {
    Ok(tx.row(OLDEST_UNCONCLUDED, [subject], |_| Ok(()))?.is_some())
}

/// The next envelope of a subject gets its turn, after the one before it was concluded.
pub(super) fn next_turn(tx: &Tx<'_>, subject: i64) -> Outcome<()> {
    if let Some(next) = tx.row(OLDEST_UNCONCLUDED, [subject], |row| row.get::<_, i64>(0))? {
        tx.run("UPDATE envelopes SET turn = 'ready' WHERE seq = ?1 AND turn = 'behind'", [next])?;
    }
    Ok(())
}
