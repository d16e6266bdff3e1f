//! Where an envelope stands: its column of the ledger (P2) and its turn at the processor.
//!
//! | What is true of the envelope                             | State        |
//! |----------------------------------------------------------|--------------|
//! | not concluded                                            | `received`   |
//! | an exception of it is open, or a delivery of it is parked| `exception`  |
//! | a delivery of it waits or is in flight                   | `received`   |
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

/// The state that the facts in the file give: a row of the table above.
pub(super) fn derive(tx: &Tx<'_>, envelope: i64) -> Outcome<EnvelopeState> {
    let (concluded, verdict) = tx
        .row("SELECT turn IS NULL, verdict FROM envelopes WHERE seq = ?1", [envelope], |row| {
            Ok((row.get::<_, bool>(0)?, row.get::<_, Option<String>>(1)?))
        })?
        .ok_or_else(|| Fault::Answer(StoreError::Corrupt(format!("envelope row {envelope} is gone"))))?;
    if !concluded {
        return Ok(EnvelopeState::Received);
    }
    let (mut open, mut delivered, mut replaced, mut parked) = (false, false, false, false);
    for state in
        tx.rows("SELECT state FROM deliveries WHERE envelope = ?1", [envelope], |row| row.get::<_, String>(0))?
    {
        match state.as_str() {
            "waiting" | "in_flight" => open = true,
            "parked" => parked = true,
            "delivered" => delivered = true,
            "superseded" => replaced = true,
            _ => {}
        }
    }
    Ok(if parked || has_open_exception(tx, envelope)? {
        EnvelopeState::Exception
    } else if open {
        EnvelopeState::Received
    } else if delivered {
        EnvelopeState::Done
    } else if replaced || verdict.as_deref() == Some(Verdict::Superseded.as_str()) {
        EnvelopeState::Superseded
    } else {
        EnvelopeState::Ignored
    })
}

fn has_open_exception(tx: &Tx<'_>, envelope: i64) -> Outcome<bool> {
    let found =
        tx.row("SELECT 1 FROM exceptions WHERE envelope = ?1 AND state = 'open' LIMIT 1", [envelope], |_| Ok(()))?;
    Ok(found.is_some())
}

/// Brings the column up to date with the facts.
pub(super) fn settle_state(tx: &mut Tx<'_>, envelope: i64) -> Outcome<EnvelopeState> {
    let state = derive(tx, envelope)?;
    let known = tx
        .row("SELECT state FROM envelopes WHERE seq = ?1", [envelope], |row| row.get::<_, String>(0))?
        .unwrap_or_default();
    let known = EnvelopeState::parse(&known)?;
    if known != state {
        tx.run("UPDATE envelopes SET state = ?2 WHERE seq = ?1", (envelope, state.as_str()))?;
        tx.tally.shift(known, state);
    }
    Ok(state)
}

/// Marks an envelope as overtaken, in these words, if nothing else is left of it.
pub(super) fn overtake(tx: &mut Tx<'_>, envelope: i64, words: &str) -> Outcome<()> {
    tx.run("UPDATE envelopes SET verdict = 'superseded' WHERE seq = ?1", [envelope])?;
    if settle_state(tx, envelope)? == EnvelopeState::Superseded {
        tx.run("UPDATE envelopes SET explanation = ?2 WHERE seq = ?1", (envelope, words))?;
    }
    Ok(())
}

/// Whether an earlier envelope of this subject still waits for the processor.
pub(super) fn has_unconcluded(tx: &Tx<'_>, subject: i64) -> Outcome<bool> {
    let found =
        tx.row("SELECT 1 FROM envelopes WHERE subject = ?1 AND turn IS NOT NULL LIMIT 1", [subject], |_| Ok(()))?;
    Ok(found.is_some())
}

/// The next envelope of a subject gets its turn, after the one before it was concluded.
pub(super) fn next_turn(tx: &Tx<'_>, subject: i64) -> Outcome<()> {
    tx.run(
        "UPDATE envelopes SET turn = 'ready' WHERE turn = 'behind' AND seq = \
         (SELECT seq FROM envelopes WHERE subject = ?1 AND turn IS NOT NULL ORDER BY seq LIMIT 1)",
        [subject],
    )?;
    Ok(())
}
