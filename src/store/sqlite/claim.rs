//! Handing envelopes to the processor, and what happens to one that keeps killing it (POI-1).

use bytes::Bytes;
use rusqlite::Connection;

use super::bodies;
use super::exceptions::{self, Behind};
use super::fault::Outcome;
use super::state;
use super::subjects;
use super::tx::{self, Tx};
use crate::clock::{Entropy, Timestamp, from_micros};
use crate::envelope::ids::{EnvelopeId, ExceptionId};
use crate::envelope::keys::Digest;
use crate::store::StoreError;
use crate::store::seal::{Keys, Shape};
use crate::store::view::StoredEnvelope;
use crate::store::write::{NewException, PackedBody, Subject};

/// Process deaths with the same envelope begun, after which it is parked unread.
pub(super) const DEATHS_MAX: i64 = 3;

/// An envelope as it comes out of the file, its body still packed.
#[derive(Debug)]
pub(super) struct PackedEnvelope {
    pub(super) seq: i64,
    /// Processes that ended while it was begun.
    deaths: i64,
    envelope: StoredEnvelope,
    body: PackedBody,
    /// What the body is bound to.
    request: [u8; 16],
}

impl PackedEnvelope {
    /// With the plain body; [`StoreError::Corrupt`] if it does not match its digest (BAK-2).
    pub(super) fn open(self, keys: &Keys) -> Result<StoredEnvelope, StoreError> {
        let shape = Shape { plain_bytes: self.body.plain_bytes, digest: self.body.digest };
        let body = keys.unpack(&self.body.packed, bodies::PAYLOAD, &self.request, shape)?;
        Ok(StoredEnvelope { body, ..self.envelope })
    }
}

const COLUMNS: &str = "SELECT e.seq, e.id, e.origin, e.kind, e.path, e.event_name, s.kind, s.system, s.scope, s.id, \
     e.received_at, p.traceparent, p.plain_bytes, p.digest, p.body, e.deaths, p.request_id \
     FROM envelopes AS e JOIN subjects AS s ON s.seq = e.subject JOIN payloads AS p ON p.seq = e.payload";

fn packed(row: &rusqlite::Row<'_>) -> rusqlite::Result<PackedEnvelope> {
    let body: Vec<u8> = row.get(14)?;
    Ok(PackedEnvelope {
        seq: row.get(0)?,
        deaths: row.get(15)?,
        envelope: StoredEnvelope {
            id: EnvelopeId::from_bytes(row.get(1)?),
            origin: row.get(2)?,
            kind: row.get(3)?,
            path: row.get(4)?,
            event_name: row.get(5)?,
            subject: Subject { kind: row.get(6)?, system: row.get(7)?, scope: row.get(8)?, id: row.get(9)? },
            body: Bytes::new(),
            received_at: from_micros(row.get(10)?),
            traceparent: row.get(11)?,
        },
        body: PackedBody {
            packed: body.into(),
            plain_bytes: usize::try_from(row.get::<_, i64>(12)?).unwrap_or(usize::MAX),
            digest: Digest(row.get(13)?),
        },
        request: row.get(16)?,
    })
}

/// One envelope, whatever its state.
pub(super) fn one(conn: &Connection, id: EnvelopeId) -> Outcome<Option<PackedEnvelope>> {
    tx::row(conn, &format!("{COLUMNS} WHERE e.id = ?1"), [id.as_bytes()], packed)
}

/// The oldest envelopes whose turn it is, marked `begun`.
pub(super) fn claim(tx: &mut Tx<'_>, limit: u32) -> Outcome<Vec<PackedEnvelope>> {
    let mut claimed = tx.rows(&format!("{COLUMNS} WHERE e.turn = 'ready' ORDER BY e.seq LIMIT ?1"), [limit], packed)?;
    // One that was begun when a process died goes alone: if it is the one that kills, its neighbours are not begun with it.
    let suspect = claimed.iter().position(|envelope| envelope.deaths > 0);
    claimed.truncate(suspect.map_or(claimed.len(), |first| first.max(1)));
    for envelope in &claimed {
        tx.run("UPDATE envelopes SET turn = 'begun' WHERE seq = ?1", [envelope.seq])?;
    }
    Ok(claimed)
}

/// Gives back what was claimed and not concluded; how many.
pub(super) fn unclaim(tx: &mut Tx<'_>) -> Outcome<u64> {
    let given = tx.run("UPDATE envelopes INDEXED BY envelopes_begun SET turn = 'ready' WHERE turn = 'begun'", [])?;
    Ok(u64::try_from(given).unwrap_or(u64::MAX))
}

/// At opening: whatever is still begun was begun when the process before this one died. It gets another turn, or is parked
/// unread when it had enough of them.
pub(super) fn count_deaths(tx: &mut Tx<'_>, now: Timestamp, entropy: &dyn Entropy) -> Outcome<()> {
    if planted!(ClaimNotGivenBack) {
        return Ok(());
    }
    let deadly = tx.rows(
        "SELECT seq, deaths + 1 FROM envelopes INDEXED BY envelopes_begun WHERE turn = 'begun' AND deaths + 1 >= ?1",
        [DEATHS_MAX],
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)),
    )?;
    tx.run(
        "UPDATE envelopes INDEXED BY envelopes_begun SET turn = 'ready', deaths = deaths + 1 WHERE turn = 'begun'",
        [],
    )?;
    for (envelope, deaths) in deadly {
        let complaint = Complaint {
            code: "crashed_worker",
            cause: "process ended while the event was processed".to_owned(),
            message: format!(
                "the service ended {deaths} times while it processed this event, which is now parked unread"
            ),
            remedy: "look at the stored body and the log around the ends; replay the event after the cause is repaired",
        };
        park_unread(tx, envelope, &complaint, now, entropy)?;
    }
    Ok(())
}

/// Why an envelope is parked without being read.
pub(super) struct Complaint {
    pub(super) code: &'static str,
    /// Alike causes make one group.
    pub(super) cause: String,
    pub(super) message: String,
    pub(super) remedy: &'static str,
}

impl Complaint {
    /// BAK-2: a stored body does not match its digest.
    pub(super) fn damaged(what: &str, error: &StoreError) -> Self {
        Complaint {
            code: "unreadable_payload",
            cause: "stored body damaged".to_owned(),
            message: format!("the stored {what} cannot be used: {error}"),
            remedy: "run doctor and compare with the last backup; have the sender send the record again",
        }
    }

    pub(super) fn exception(&self, subject: Subject, now: Timestamp, entropy: &dyn Entropy) -> NewException {
        NewException {
            id: ExceptionId::new(now, entropy),
            code: self.code.to_owned(),
            severity: "critical".to_owned(),
            owner: "integration".to_owned(),
            subject,
            destination: None,
            delivery: None,
            path: String::new(),
            value: None,
            message: self.message.clone(),
            remedy: self.remedy.to_owned(),
            fingerprint: Digest::of_fields(&[self.code, &self.cause]).hex().chars().take(16).collect(),
            opened_at: now,
        }
    }
}

/// Concludes an envelope without reading it: an exception, and the next of its subject gets its turn.
pub(super) fn park_unread(
    tx: &mut Tx<'_>,
    envelope: i64,
    complaint: &Complaint,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Outcome<()> {
    let found = tx.row("SELECT subject FROM envelopes WHERE seq = ?1 AND turn IS NOT NULL", [envelope], |row| {
        row.get::<_, i64>(0)
    })?;
    let Some(seq) = found else { return Ok(()) };
    let subject = subjects::find(tx, seq)?;
    let exception = complaint.exception(subject, now, entropy);
    exceptions::open(tx, &exception, Behind { envelope: Some(envelope), ..Behind::default() })?;
    tx.run("UPDATE envelopes SET turn = NULL WHERE seq = ?1", [envelope])?;
    tx.tally.unprocessed(-1);
    tx.tally.touch(seq);
    state::next_turn(tx, seq)?;
    state::settle_state(tx, envelope)?;
    Ok(())
}
