//! Exceptions inside a transaction: opening, closing, and giving way to a newer report.

use super::fault::Outcome;
use super::state;
use super::subjects;
use super::tx::Tx;
use crate::clock::Timestamp;
use crate::envelope::ids::ExceptionId;
use crate::envelope::keys::Digest;
use crate::store::write::{NewException, SubjectFacts};

/// What an exception hangs on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Behind {
    /// The envelope it is about.
    pub(super) envelope: Option<i64>,
    /// The delivery it stops.
    pub(super) delivery: Option<i64>,
    /// A body that has no envelope of its own.
    pub(super) payload: Option<i64>,
}

/// Opens an exception. The caller brings the envelope's state up to date.
pub(super) fn open(tx: &mut Tx<'_>, exception: &NewException, behind: Behind) -> Outcome<()> {
    let subject = subjects::seen(tx, &exception.subject, &SubjectFacts::default(), exception.opened_at)?.seq;
    tx.tally.touch(subject);
    let delivery = match (behind.delivery, exception.delivery) {
        (Some(seq), _) => Some(seq),
        (None, Some(id)) => tx.row("SELECT seq FROM deliveries WHERE id = ?1", [id.as_bytes()], |row| row.get(0))?,
        (None, None) => None,
    };
    tx.run(
        "INSERT INTO exceptions (id, code, severity, owner, state, subject, destination, envelope, delivery, payload, \
         path, value, message, remedy, fingerprint, opened_at) \
         VALUES (?1, ?2, ?3, ?4, 'open', ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        rusqlite::params![
            exception.id.as_bytes(),
            exception.code,
            exception.severity,
            exception.owner,
            subject,
            exception.destination,
            behind.envelope,
            delivery,
            behind.payload,
            exception.path,
            exception.value,
            exception.message,
            exception.remedy,
            exception.fingerprint,
            exception.opened_at.as_microsecond(),
        ],
    )?;
    tx.tally.open(&exception.code, 1);
    Ok(())
}

/// Whether the same complaint about the same envelope, with this very body, is open already. Another body is another
/// acknowledged event, and kept (P1).
pub(super) fn is_open(tx: &Tx<'_>, exception: &NewException, envelope: i64, body: &Digest) -> Outcome<bool> {
    let found = tx.row(
        "SELECT 1 FROM exceptions AS x INDEXED BY exceptions_open_by_envelope JOIN payloads AS p ON p.seq = x.payload \
         WHERE x.envelope = ?1 AND x.state = 'open' AND x.code = ?2 AND x.fingerprint = ?3 AND p.digest = ?4 LIMIT 1",
        (envelope, &exception.code, &exception.fingerprint, body.0),
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

/// How an exception ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending<'a> {
    /// `resolved`, `dismissed` or `superseded`.
    pub(super) state: &'a str,
    /// In words.
    pub(super) resolution: &'a str,
    /// When.
    pub(super) at: Timestamp,
}

/// Closes open exceptions by their rows.
pub(super) fn close(tx: &mut Tx<'_>, exceptions: &[(i64, String)], ending: Ending<'_>) -> Outcome<()> {
    // Dismissing is a way to resolve: the facts of an envelope know only what is open.
    let (state, dismissed) = if ending.state == "dismissed" { ("resolved", true) } else { (ending.state, false) };
    for (seq, code) in exceptions {
        let subject = tx.row(
            "UPDATE exceptions SET state = ?2, resolution = ?3, resolved_at = ?4, dismissed = ?5 WHERE seq = ?1 \
             RETURNING subject",
            (seq, state, ending.resolution, ending.at.as_microsecond(), dismissed),
            |row| row.get(0),
        )?;
        if let Some(subject) = subject {
            tx.tally.touch(subject);
        }
        tx.tally.open(code, -1);
    }
    Ok(())
}

/// Open exceptions of a delivery, with their codes.
pub(super) const OF_DELIVERY: &str = "SELECT seq, code FROM exceptions INDEXED BY exceptions_open_by_delivery \
     WHERE delivery = ?1 AND state = 'open'";

/// Open exceptions of a delivery.
pub(super) fn of_delivery(tx: &Tx<'_>, delivery: i64) -> Outcome<Vec<(i64, String)>> {
    tx.rows(OF_DELIVERY, [delivery], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Open exceptions of a subject opened by `until`: row, code, envelope.
pub(super) fn open_of_subject(tx: &Tx<'_>, subject: i64, until: i64) -> Outcome<Vec<(i64, String, Option<i64>)>> {
    tx.rows(
        "SELECT seq, code, envelope FROM exceptions INDEXED BY exceptions_open_by_subject \
         WHERE subject = ?1 AND state = 'open' AND opened_at <= ?2",
        (subject, until),
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )
}

/// Open exceptions of an envelope that do not stop a parked delivery, with their codes.
pub(super) const CLOSABLE: &str = "SELECT seq, code FROM exceptions AS e INDEXED BY exceptions_open_by_envelope \
     WHERE envelope = ?1 AND state = 'open' AND (payload IS NULL OR id = ?2) AND NOT EXISTS \
     (SELECT 1 FROM deliveries AS d WHERE d.seq = e.delivery AND d.state = 'parked')";

/// Open exceptions of an envelope that do not stop a parked delivery: those close only with a decision about it. One
/// that holds a body of its own (an event id used twice) closes only by name: processing the first content again says
/// nothing about the second, which was acknowledged too (P1).
pub(super) fn closable_of_envelope(
    tx: &Tx<'_>,
    envelope: i64,
    named: Option<ExceptionId>,
) -> Outcome<Vec<(i64, String)>> {
    let named = named.map(|id| id.as_bytes().to_vec());
    tx.rows(CLOSABLE, (envelope, named), |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Open exceptions of older envelopes of the same kind and subject that a newer report makes moot.
pub(super) const OLDER: &str = "SELECT x.seq, x.code, x.envelope \
     FROM exceptions AS x INDEXED BY exceptions_open_by_subject CROSS JOIN envelopes AS e ON e.seq = x.envelope \
     WHERE x.subject = ?1 AND x.state = 'open' AND x.envelope < ?2 \
     AND REPLACE(e.kind, 'order_change', 'order') = (SELECT REPLACE(kind, 'order_change', 'order') FROM envelopes \
     WHERE seq = ?2) AND (x.destination IS NULL OR x.destination = ?3) \
     AND x.payload IS NULL \
     AND NOT EXISTS (SELECT 1 FROM deliveries AS d WHERE d.seq = x.delivery AND d.state = 'parked')";

/// A newer report of the same effect makes older complaints about it moot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Newer<'a> {
    /// The newer envelope.
    pub(super) envelope: i64,
    /// Whom both are about.
    pub(super) subject: i64,
    /// Where the effect goes.
    pub(super) destination: &'a str,
    /// By whom, in words.
    pub(super) resolution: &'a str,
    /// When.
    pub(super) at: Timestamp,
}

/// Closes open exceptions of older envelopes of the same kind and subject, for this destination or none in particular,
/// unless they stop a delivery that is still parked. Their envelopes become `superseded` if nothing else is left of them.
pub(super) fn supersede(tx: &mut Tx<'_>, newer: Newer<'_>) -> Outcome<()> {
    let older = tx.rows(OLDER, (newer.subject, newer.envelope, newer.destination), |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?))
    })?;
    for (seq, code, envelope) in older {
        let ending = Ending { state: "superseded", resolution: newer.resolution, at: newer.at };
        close(tx, &[(seq, code)], ending)?;
        state::overtake(tx, envelope, newer.resolution)?;
    }
    Ok(())
}
