//! Changes of an order that came without it and before it: they wait for the order (LANE-4), and show up again when it
//! comes, or when they waited long enough.
//!
//! A held envelope is concluded, counts as due, and has its time in `held` (P6). It never keeps the order itself waiting.

use super::conclude::{self, Applied, Target};
use super::delivery;
use super::effects::Intended;
use super::exceptions::{self, Ending};
use super::fault::Outcome;
use super::lanes;
use super::state;
use super::tx::Tx;
use super::wanted;
use crate::clock::{Timestamp, from_micros, later};
use crate::envelope::ids::DeliveryId;
use crate::store::write::Hint;

/// A change younger than this is looked at again when its order comes, though a person was asked already.
const RETRIED_MICROS: i64 = 24 * 3_600 * 1_000_000;

/// Envelopes that get another turn at once.
const RELEASED_MAX: u32 = 64;

/// Held envelopes whose time has come, the oldest of each subject whose turn nobody has.
pub(super) const DUE: &str = "SELECT MIN(envelope), subject FROM held INDEXED BY held_due WHERE due_at <= ?1 \
     AND NOT EXISTS (SELECT 1 FROM envelopes INDEXED BY envelopes_unconcluded \
     WHERE subject = held.subject AND turn IS NOT NULL) GROUP BY subject LIMIT ?2";

/// What becomes of a hint, in the transaction that concludes it.
pub(super) fn hint(tx: &mut Tx<'_>, target: Target, hint: &Hint, at: Timestamp, applied: &mut Applied) -> Outcome<()> {
    let creates = creates(tx, target.subject)?;
    if creates.is_empty() {
        return wait(tx, target, hint, at, applied);
    }
    let newest = creates.iter().filter_map(|create| create.reported_at).max();
    if hint.updated_at.is_some_and(|said| newest.is_some_and(|newest| said.as_microsecond() <= newest)) {
        let words = "the order that came here is as new as this change".to_owned();
        applied.note(Intended::Known(words));
        return Ok(());
    }
    if let Some(said) = hint.updated_at
        && hint.cancels
        && creates.iter().all(Create::was_never_applied)
    {
        return withdraw(tx, target, &creates, (said, at), applied);
    }
    if let (Some(read), Some(_)) = (&hint.read, &hint.incomplete) {
        applied.held = true;
        return wanted::want(tx, target, read, at);
    }
    if let Some(exception) = &hint.incomplete {
        return conclude::complain(tx, target, exception, applied);
    }
    applied.note(Intended::Unwanted(format!("{} is known here, and {}", creates[0].id, hint.unwanted)));
    Ok(())
}

/// No order here: wait for it, or say that it did not come.
fn wait(tx: &mut Tx<'_>, target: Target, hint: &Hint, at: Timestamp, applied: &mut Applied) -> Outcome<()> {
    let received_at = tx
        .row("SELECT received_at FROM envelopes WHERE seq = ?1", [target.seq], |row| row.get::<_, i64>(0))?
        .map_or(at, from_micros);
    let until = later(received_at, hint.hold);
    if at < until {
        applied.held = true;
        return hold(tx, target.seq, target.subject, until.as_microsecond());
    }
    if let Some(read) = &hint.read {
        applied.held = true;
        return wanted::want(tx, target, read, at);
    }
    if let Some(exception) = &hint.unknown {
        return conclude::complain(tx, target, exception, applied);
    }
    applied.note(Intended::Unwanted(format!("its order is not known here, and {}", hint.unwanted)));
    Ok(())
}

fn hold(tx: &Tx<'_>, envelope: i64, subject: i64, due_at: i64) -> Outcome<()> {
    tx.run(
        "INSERT INTO held (envelope, subject, due_at) VALUES (?1, ?2, ?3) \
         ON CONFLICT (envelope) DO UPDATE SET due_at = excluded.due_at",
        (envelope, subject, due_at),
    )?;
    Ok(())
}

/// The create of an order at one destination, as far as a hint needs it.
struct Create {
    id: DeliveryId,
    reported_at: Option<i64>,
    state: String,
    uncertain: bool,
    envelope: i64,
}

impl Create {
    fn was_never_applied(&self) -> bool {
        (self.state == "waiting" || self.state == "parked") && !self.uncertain
    }
}

/// The creates of a subject that were not replaced.
pub(super) const CREATES: &str = "SELECT id, reported_at, state, uncertain OR rung NOT IN ('fresh', 'cleared') \
     OR is_there, envelope FROM deliveries INDEXED BY deliveries_effect WHERE subject = ?1 AND purpose = 'order.create' AND state <> 'superseded'";

fn creates(tx: &Tx<'_>, subject: i64) -> Outcome<Vec<Create>> {
    tx.rows(CREATES, [subject], |row| {
        Ok(Create {
            id: DeliveryId::from_bytes(row.get(0)?),
            reported_at: row.get(1)?,
            state: row.get(2)?,
            uncertain: row.get(3)?,
            envelope: row.get(4)?,
        })
    })
}

/// LANE-5: none of the creates was sent, so none ever is; what is older than the cancellation comes too late. (Without a
/// time nobody could tell later what is older, so a person is asked.)
fn withdraw(
    tx: &mut Tx<'_>,
    target: Target,
    creates: &[Create],
    (said, at): (Timestamp, Timestamp),
    applied: &mut Applied,
) -> Outcome<()> {
    for create in creates {
        let words = format!("{} cancels the order before {} was sent, so it is never sent", target.id, create.id);
        let row = delivery::find(tx, create.id)?;
        tx.run("UPDATE deliveries SET reported_at = ?2 WHERE seq = ?1", (row.seq, said.as_microsecond()))?;
        lanes::end(tx, &row, &words, at)?;
        state::overtake(tx, create.envelope, &words)?;
        applied
            .note(Intended::Known(format!("the order was cancelled before {} was sent: neither is sent", create.id)));
    }
    Ok(())
}

/// A create was made for the subject: what waits for the order, and what a person was asked about for want of it, is
/// looked at again.
pub(super) fn awaken(tx: &mut Tx<'_>, subject: i64, at: Timestamp) -> Outcome<()> {
    wanted::came(tx, subject, at)?;
    tx.run("UPDATE held SET due_at = 0 WHERE subject = ?1", [subject])?;
    let since = at.as_microsecond().saturating_sub(RETRIED_MICROS);
    let asked = tx.rows(
        "SELECT x.seq, x.code, x.envelope FROM exceptions AS x INDEXED BY exceptions_open_by_subject \
         JOIN envelopes AS e ON e.seq = x.envelope \
         WHERE x.subject = ?1 AND x.state = 'open' AND x.code = 'order_not_found' AND e.kind = 'order_change' \
         AND e.received_at > ?2",
        (subject, since),
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?)),
    )?;
    for (exception, code, envelope) in asked {
        let ending = Ending { state: "resolved", resolution: "the order came", at };
        exceptions::close(tx, &[(exception, code)], ending)?;
        wanted::forget(tx, envelope)?;
        hold(tx, envelope, subject, 0)?;
        state::settle_state(tx, envelope)?;
    }
    Ok(())
}

/// Gives held envelopes whose time has come their turn at the processor.
pub(super) fn release(tx: &mut Tx<'_>, now: Timestamp) -> Outcome<()> {
    let due = tx.rows(DUE, (now.as_microsecond(), RELEASED_MAX), |row| row.get::<_, i64>(0))?;
    for envelope in due {
        tx.run(
            "UPDATE envelopes SET turn = 'ready', verdict = NULL WHERE seq = ?1 AND state = 'received'",
            [envelope],
        )?;
        tx.run("DELETE FROM held WHERE envelope = ?1", [envelope])?;
        tx.tally.unprocessed(1);
        state::settle_state(tx, envelope)?;
    }
    Ok(())
}
