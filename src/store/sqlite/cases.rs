//! What people do about exceptions short of processing their records again.

use rusqlite::Connection;

use super::acts::{self, recorded};
use super::delivery;
use super::exceptions::{self, Ending};
use super::fault::{Fault, Outcome};
use super::lanes;
use super::reads;
use super::state::{self, EnvelopeState};
use super::tx::{self, Tx};
use super::wanted;
use crate::clock::{Timestamp, from_micros};
use crate::envelope::ids::{DeliveryId, ExceptionId};
use crate::store::books::Done;
use crate::store::cases::{Handling, NOTES_MAX, Note, Step};
use crate::store::view::ExceptionRow;
use crate::store::write::Act;

/// Does it, with its audit row; the exception as it is after.
pub(super) fn handle(tx: &mut Tx<'_>, handling: &Handling) -> Outcome<ExceptionRow> {
    let Handling { exception: id, step, act } = handling;
    let before = found(tx, *id, act.at)?;
    if !matches!(step, Step::Note(_)) {
        acts::still_open(tx, &Act { target: id.to_string(), ..act.clone() })?;
    }
    match step {
        Step::Assign(to) => {
            tx.run("UPDATE exceptions SET assignee = ?2 WHERE id = ?1", (id.as_bytes(), to))?;
        }
        Step::Snooze(until) => {
            let until = until.map(Timestamp::as_microsecond);
            tx.run("UPDATE exceptions SET snoozed_until = ?2 WHERE id = ?1", (id.as_bytes(), until))?;
        }
        Step::Note(text) => note(tx, &before, text, act)?,
        Step::Dismiss(reason) => dismiss(tx, *id, reason, act)?,
    }
    let after = found(tx, *id, act.at)?;
    // What a note says stays with it, where an erasure finds it (DAT-1).
    let told = |row: &ExceptionRow| {
        serde_json::json!({
            "state": row.state, "assignee": row.assignee, "snoozed_until": row.snoozed_until, "notes": row.notes,
        })
        .to_string()
    };
    let act = Act { before: told(&before), after: told(&after), ..act.clone() };
    recorded(tx, &act, Done::Exception(&after))?;
    Ok(after)
}

fn found(tx: &Tx<'_>, id: ExceptionId, now: Timestamp) -> Outcome<ExceptionRow> {
    reads::exception(tx.conn, id, now)?.ok_or_else(|| Fault::not_found(id.to_string()))
}

fn note(tx: &Tx<'_>, exception: &ExceptionRow, text: &str, act: &Act) -> Outcome<()> {
    if exception.notes >= NOTES_MAX {
        return Err(Fault::not_allowed(format!("{} has {NOTES_MAX} notes already: no more are kept", exception.id)));
    }
    tx.run(
        "INSERT INTO exception_notes (exception, at, author, text) \
         VALUES ((SELECT seq FROM exceptions WHERE id = ?1), ?2, ?3, ?4)",
        (exception.id.as_bytes(), act.at.as_microsecond(), &act.actor, text),
    )?;
    Ok(())
}

/// Notes about an exception, oldest first.
pub(super) fn notes(conn: &Connection, id: ExceptionId) -> Outcome<Vec<Note>> {
    tx::rows(
        conn,
        "SELECT at, author, text FROM exception_notes \
         WHERE exception = (SELECT seq FROM exceptions WHERE id = ?1) ORDER BY seq",
        [id.as_bytes()],
        |row| Ok(Note { at: from_micros(row.get(0)?), author: row.get(1)?, text: row.get(2)? }),
    )
}

/// Where an exception hangs.
struct Hung {
    seq: i64,
    code: String,
    envelope: Option<i64>,
    parked: Option<DeliveryId>,
}

/// A decided end (P2, P6): what is left of the event decides its column of the ledger.
fn dismiss(tx: &mut Tx<'_>, id: ExceptionId, reason: &str, act: &Act) -> Outcome<()> {
    let hung = tx
        .row(
            "SELECT x.seq, x.code, x.envelope, d.id FROM exceptions AS x \
             LEFT JOIN deliveries AS d ON d.seq = x.delivery AND d.state = 'parked' WHERE x.id = ?1",
            [id.as_bytes()],
            |row| {
                let parked = row.get::<_, Option<[u8; 16]>>(3)?.map(DeliveryId::from_bytes);
                Ok(Hung { seq: row.get(0)?, code: row.get(1)?, envelope: row.get(2)?, parked })
            },
        )?
        .ok_or_else(|| Fault::not_found(id.to_string()))?;
    let resolution = format!("dismissed by {}: {reason}", act.actor);
    let ending = Ending { state: "dismissed", resolution: &resolution, at: act.at };
    let mut envelope = hung.envelope;
    if let Some(parked) = hung.parked {
        let row = delivery::find(tx, parked)?;
        if row.uncertain {
            return Err(Fault::not_allowed(format!(
                "{parked} may have taken effect at its destination: look there, then decide `applied` if it is there, or \
                 `abandon` if it is not and shall not be"
            )));
        }
        if delivery::is_there(tx, row.seq)? {
            return Err(Fault::not_allowed(format!(
                "the record of {parked} is at its destination, or is being made there: decide `applied` to take it as it stands, \
                 or `retry` to go on with it"
            )));
        }
        let stopped_by = exceptions::of_delivery(tx, row.seq)?;
        exceptions::close(tx, &stopped_by, ending)?;
        delivery::end(tx, &row, "abandoned", act.at)?;
        lanes::nothing_follows(tx, &row, act.at)?;
        delivery::next_in_lane(tx, &row)?;
        tx.tally.touch(row.subject);
        envelope = Some(row.envelope);
    } else {
        exceptions::close(tx, &[(hung.seq, hung.code.clone())], ending)?;
    }
    let Some(envelope) = envelope else { return Ok(()) };
    if hung.code == "order_not_found" {
        // Nobody looks for it any more; where the order comes by itself, it is taken like any other.
        wanted::forget(tx, envelope)?;
    }
    if state::settle_state(tx, envelope)? == EnvelopeState::Ignored {
        tx.run("UPDATE envelopes SET verdict = 'ignored', explanation = ?2 WHERE seq = ?1", (envelope, &resolution))?;
    }
    Ok(())
}

/// What was noted about exceptions of a subject opened until then gives way to these words (DAT-1).
pub(super) fn erase_notes(tx: &Tx<'_>, subject: i64, until: i64, words: &str) -> Outcome<()> {
    tx.run(
        "UPDATE exception_notes SET text = ?3 WHERE exception IN \
         (SELECT seq FROM exceptions INDEXED BY exceptions_by_subject WHERE subject = ?1 AND opened_at <= ?2)",
        (subject, until, words),
    )?;
    Ok(())
}
