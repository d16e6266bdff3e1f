//! The attempt protocol inside a transaction: starting attempts, settling them, and whose turn it is in a lane.

use super::again;
use super::claim::Complaint;
use super::effects::{self, Packs};
use super::exceptions::{self, Behind, Ending};
use super::fault::{Fault, Outcome};
use super::state;
use super::subjects;
use super::tx::Tx;
use crate::clock::{Entropy, Timestamp};
use crate::envelope::ids::{DeliveryId, DocumentId};
use crate::store::write::{AttemptPurpose, AttemptStart, Ladder, NewException, NextState, Settlement, StartedAttempt};

/// A delivery's row as far as acting on it needs.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) seq: i64,
    pub(super) destination: String,
    pub(super) subject: i64,
    pub(super) envelope: i64,
    pub(super) state: String,
    pub(super) head: bool,
    pub(super) sealed: bool,
    pub(super) uncertain: bool,
    pub(super) epoch: i64,
    pub(super) attempts: u32,
    /// When its event came, where that was asked.
    pub(super) received_at: Option<i64>,
}

/// The delivery's row.
pub(super) fn find(tx: &Tx<'_>, id: DeliveryId) -> Outcome<Row> {
    tx.row(
        "SELECT seq, destination, subject, envelope, state, head, sealed, uncertain, epoch, attempts, NULL \
         FROM deliveries WHERE id = ?1",
        [id.as_bytes()],
        from_row,
    )?
    .ok_or_else(|| Fault::not_found(id.to_string()))
}

/// Makes attempts durable. One whose delivery moved on meanwhile is left out.
pub(super) fn start(tx: &mut Tx<'_>, starts: &[AttemptStart], packs: &Packs) -> Outcome<Vec<StartedAttempt>> {
    let mut started = Vec::with_capacity(starts.len());
    for start in starts {
        started.extend(start_one(tx, start, packs)?);
    }
    Ok(started)
}

fn start_one(tx: &mut Tx<'_>, start: &AttemptStart, packs: &Packs) -> Outcome<Option<StartedAttempt>> {
    let delivery = find(tx, start.delivery)?;
    let its_turn = delivery.state == "waiting" && delivery.head && delivery.attempts + 1 == start.number;
    // Sealed meanwhile, by another start: these bytes are not the ones that must go out (KEY-5).
    let sealed_otherwise = delivery.sealed && start.seal.is_some();
    if !its_turn || sealed_otherwise || document(tx, delivery.seq)? != start.document {
        return Ok(None);
    }
    let sends = start.purpose == AttemptPurpose::Send;
    if sends && !delivery.sealed && start.seal.is_none() {
        return Err(Fault::not_allowed(format!("{} is not sealed and the attempt does not seal it", start.delivery)));
    }
    let epoch = delivery.epoch + 1;
    let started_at = start.started_at.as_microsecond();
    tx.run(
        "UPDATE deliveries SET state = 'in_flight', sealed = ?5, interrupted = 0, epoch = ?2, attempts = ?3, \
         first_attempt_at = CASE ?6 WHEN 1 THEN COALESCE(first_attempt_at, ?4) ELSE first_attempt_at END WHERE seq = ?1",
        (delivery.seq, epoch, start.number, started_at, delivery.sealed || start.seal.is_some(), sends),
    )?;
    tx.tally.waiting(&delivery.destination, -1);
    effects::record_attempt(tx, delivery.seq, epoch, start, packs)?;
    Ok(Some(StartedAttempt { delivery: start.delivery, number: start.number, epoch }))
}

fn document(tx: &Tx<'_>, delivery: i64) -> Outcome<DocumentId> {
    tx.row(
        "SELECT o.id FROM deliveries AS d JOIN documents AS o ON o.seq = d.document WHERE d.seq = ?1",
        [delivery],
        |row| Ok(DocumentId::from_bytes(row.get(0)?)),
    )?
    .ok_or_else(|| Fault::not_found("the delivery's document"))
}

/// Writes an outcome and the next state. `false`: only the evidence was kept.
pub(super) fn settle(tx: &mut Tx<'_>, settlement: &Settlement) -> Outcome<bool> {
    let (delivery, alone) = find_alone(tx, settlement.delivery)?;
    keep_evidence(tx, delivery.seq, settlement)?;
    let applied = matches!(settlement.next, NextState::Delivered { .. });
    // ATT-2: any attempt may speak again (time-out, then a late answer). Applied wins; while a newer attempt is under
    // way, that one's settlement meets the evidence.
    let late = applied && (delivery.state == "waiting" || delivery.state == "parked");
    let current = delivery.state == "in_flight" && delivery.epoch == settlement.epoch;
    if !current && !late {
        return Ok(false);
    }
    if current && let Some(progress) = &settlement.progress {
        let found = Some(progress.found.as_str()).filter(|found| !found.is_empty());
        tx.run(
            "UPDATE deliveries SET stage = ?2, making = ?3, found = ?4 WHERE seq = ?1",
            (delivery.seq, progress.stage.as_stored(), progress.making.as_stored(), found),
        )?;
    }
    match &settlement.next {
        NextState::Delivered { receipt } => {
            delivered(tx, &delivery, receipt.as_deref(), settlement.at)?;
        }
        NextState::Waiting { due_at, uncertain, counts, ladder } => match applied_elsewhere(tx, delivery.seq)? {
            Some(late) => delivered(tx, &delivery, late.receipt.as_deref(), settlement.at)?,
            None => waiting(tx, &delivery, *due_at, *uncertain, *counts, *ladder)?,
        },
        NextState::Renewed { delivery: successor } => match applied_elsewhere(tx, delivery.seq)? {
            Some(late) => delivered(tx, &delivery, late.receipt.as_deref(), settlement.at)?,
            None => again::renew(tx, &delivery, successor, settlement.at)?,
        },
        NextState::Parked { exception, uncertain } => match applied_elsewhere(tx, delivery.seq)? {
            Some(late) => delivered(tx, &delivery, late.receipt.as_deref(), settlement.at)?,
            None => park(tx, &delivery, exception, *uncertain)?,
        },
    }
    if alone && delivery.state == "in_flight" && matches!(settlement.next, NextState::Delivered { .. }) {
        state::done(tx, delivery.envelope)?;
    } else {
        state::settle_state(tx, delivery.envelope)?;
    }
    Ok(true)
}

/// Whether its record is at the destination, or a job there makes it.
pub(super) fn is_there(tx: &Tx<'_>, seq: i64) -> Outcome<bool> {
    Ok(tx.row("SELECT is_there FROM deliveries WHERE seq = ?1", [seq], |row| row.get(0))?.unwrap_or(false))
}

/// A delivery's row, and whether it alone decides what becomes of its envelope: the envelope is concluded and stands as
/// `received`, it has no other delivery, and nothing complains about it. So it is with nearly every order.
pub(super) const ALONE: &str = "SELECT d.seq, d.destination, d.subject, d.envelope, d.state, d.head, d.sealed, d.uncertain, \
     d.epoch, d.attempts, e.received_at, e.state = 'received' AND e.turn IS NULL AND NOT EXISTS \
     (SELECT 1 FROM deliveries AS o INDEXED BY deliveries_by_envelope WHERE o.envelope = d.envelope AND o.seq <> d.seq) \
     AND NOT EXISTS (SELECT 1 FROM exceptions INDEXED BY exceptions_open_by_envelope \
     WHERE envelope = d.envelope AND state = 'open') \
     FROM deliveries AS d JOIN envelopes AS e ON e.seq = d.envelope WHERE d.id = ?1";

fn find_alone(tx: &Tx<'_>, id: DeliveryId) -> Outcome<(Row, bool)> {
    tx.row(ALONE, [id.as_bytes()], |row| Ok((from_row(row)?, row.get(11)?)))?
        .ok_or_else(|| Fault::not_found(id.to_string()))
}

fn from_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        seq: row.get(0)?,
        destination: row.get(1)?,
        subject: row.get(2)?,
        envelope: row.get(3)?,
        state: row.get(4)?,
        head: row.get(5)?,
        sealed: row.get(6)?,
        uncertain: row.get(7)?,
        epoch: row.get(8)?,
        attempts: row.get(9)?,
        received_at: row.get(10)?,
    })
}

/// Completes the attempt's row once; whatever is said later about it goes beside it.
fn keep_evidence(tx: &Tx<'_>, delivery: i64, settlement: &Settlement) -> Outcome<()> {
    let seen = &settlement.seen;
    let duration = seen.duration_us.map(|us| i64::try_from(us).unwrap_or(i64::MAX));
    let at = settlement.at.as_microsecond();
    let completed = tx.run(
        "UPDATE attempts SET finished_at = ?4, outcome = ?5, status = ?6, detail = ?7, response = ?8, duration_us = ?9, \
         steps = ?10 \
         WHERE delivery = ?1 AND number = ?2 AND epoch = ?3 AND finished_at IS NULL",
        rusqlite::params![
            delivery,
            settlement.number,
            settlement.epoch,
            at,
            seen.outcome,
            seen.status,
            seen.detail,
            seen.response,
            duration,
            seen.steps,
        ],
    )?;
    if completed == 1 {
        return Ok(());
    }
    let receipt = match &settlement.next {
        NextState::Delivered { receipt } => Some(receipt.as_deref()),
        NextState::Waiting { .. } | NextState::Parked { .. } | NextState::Renewed { .. } => None,
    };
    tx.run(
        "INSERT INTO evidence (delivery, number, epoch, seen_at, applied, receipt, outcome, status, detail, response, \
         duration_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        rusqlite::params![
            delivery,
            settlement.number,
            settlement.epoch,
            at,
            receipt.is_some(),
            receipt.flatten(),
            seen.outcome,
            seen.status,
            seen.detail,
            seen.response,
            duration,
        ],
    )?;
    Ok(())
}

/// Late evidence that an attempt was applied.
struct Late {
    receipt: Option<String>,
}

/// ATT-2: whether an earlier attempt is known to have been applied.
fn applied_elsewhere(tx: &Tx<'_>, delivery: i64) -> Outcome<Option<Late>> {
    tx.row("SELECT receipt FROM evidence WHERE delivery = ?1 AND applied = 1 ORDER BY seq LIMIT 1", [delivery], |row| {
        Ok(Late { receipt: row.get(0)? })
    })
}

/// Applied, final: the lane's next gets its turn. The caller brings the envelope's state up to date.
pub(super) fn delivered(tx: &mut Tx<'_>, delivery: &Row, receipt: Option<&str>, at: Timestamp) -> Outcome<()> {
    tx.run(
        "UPDATE deliveries SET state = 'delivered', head = 0, uncertain = 0, interrupted = 0, receipt = ?2, \
         settled_at = ?3 WHERE seq = ?1",
        (delivery.seq, receipt, at.as_microsecond()),
    )?;
    tx.tally.touch(delivery.subject);
    tx.tally.delivered(&delivery.destination, delivery.received_at.map(|received| at.as_microsecond() - received));
    match delivery.state.as_str() {
        "waiting" => tx.tally.waiting(&delivery.destination, -1),
        "parked" => {
            let open = exceptions::of_delivery(tx, delivery.seq)?;
            exceptions::close(tx, &open, Ending { state: "resolved", resolution: "applied after all", at })?;
        }
        _ => {}
    }
    next_in_lane(tx, delivery)
}

/// Ends a delivery that is not applied: `superseded` or `abandoned`.
pub(super) fn end(tx: &mut Tx<'_>, delivery: &Row, state: &str, at: Timestamp) -> Outcome<()> {
    tx.run(
        "UPDATE deliveries SET state = ?2, head = 0, interrupted = 0, settled_at = ?3 WHERE seq = ?1",
        (delivery.seq, state, at.as_microsecond()),
    )?;
    tx.tally.touch(delivery.subject);
    Ok(())
}

/// What is open behind the head of a lane, oldest first.
pub(super) const BEHIND: &str = "SELECT seq, state, overtakes, uncertain FROM deliveries INDEXED BY deliveries_behind \
     WHERE subject = ?1 AND destination = ?2 AND state IN ('waiting', 'parked') AND head = 0 ORDER BY seq";

/// The next of those behind a head that is gone becomes the head. What is not the head of its lane leaves no gap.
pub(super) fn next_in_lane(tx: &mut Tx<'_>, delivery: &Row) -> Outcome<()> {
    if delivery.head {
        succeed(tx, delivery.subject, &delivery.destination)?;
    }
    Ok(())
}

/// A lane without a head gets one.
fn succeed(tx: &mut Tx<'_>, subject: i64, destination: &str) -> Outcome<()> {
    let behind = tx.rows(BEHIND, (subject, destination), |row| {
        let (state, overtakes, uncertain): (String, bool, bool) = (row.get(1)?, row.get(2)?, row.get(3)?);
        Ok(Follower { seq: row.get(0)?, parked: state == "parked", overtakes, uncertain })
    })?;
    if let Some(next) = next(&behind) {
        tx.run("UPDATE deliveries SET head = 1 WHERE seq = ?1", [next])?;
    }
    Ok(())
}

/// An open delivery behind a head.
#[derive(Clone, Copy, Debug)]
struct Follower {
    seq: i64,
    parked: bool,
    overtakes: bool,
    uncertain: bool,
}

/// Whose turn it is (LANE-2): the oldest, except that what is parked lets those pass that may overtake, unless nobody knows
/// whether it was applied (UNC-1).
fn next(followers: &[Follower]) -> Option<i64> {
    let mut parked: Option<&Follower> = None;
    for follower in followers {
        match parked {
            _ if follower.parked && follower.uncertain => break,
            _ if follower.parked => parked = parked.or(Some(follower)),
            Some(_) if !follower.overtakes => {}
            _ => return Some(follower.seq),
        }
    }
    parked.or(followers.first()).map(|follower| follower.seq)
}

/// The head of the lane makes room for one that it had overtaken; `false`: it is in flight.
pub(super) fn take_head(tx: &Tx<'_>, delivery: &Row) -> Outcome<bool> {
    let moved = tx.run(
        "UPDATE deliveries SET head = 0 WHERE subject = ?1 AND destination = ?2 AND head = 1 AND state <> 'in_flight'",
        (delivery.subject, &delivery.destination),
    )?;
    Ok(moved == 1)
}

/// Whether something behind a head may overtake it.
fn overtaker_waits(tx: &Tx<'_>, delivery: &Row) -> Outcome<bool> {
    let behind = tx.rows(BEHIND, (delivery.subject, &delivery.destination), |row| {
        Ok(row.get::<_, String>(1)? == "waiting" && row.get::<_, bool>(2)?)
    })?;
    Ok(behind.contains(&true))
}

/// A parked head lets a delivery pass that may overtake it; `true`: the lane is free for it.
pub(super) fn step_aside(tx: &Tx<'_>, subject: i64, destination: &str) -> Outcome<bool> {
    let moved = tx.run(
        "UPDATE deliveries SET head = 0 WHERE subject = ?1 AND destination = ?2 AND head = 1 AND state = 'parked' \
         AND uncertain = 0",
        (subject, destination),
    )?;
    Ok(moved == 1)
}

fn waiting(
    tx: &mut Tx<'_>,
    delivery: &Row,
    due_at: Timestamp,
    uncertain: bool,
    counts: bool,
    ladder: Ladder,
) -> Outcome<()> {
    tx.run(
        "UPDATE deliveries SET state = 'waiting', due_at = ?2, uncertain = ?3, failures = failures + ?4, interrupted = 0, \
         rung = ?5, absent = ?6, look_failures = ?7 WHERE seq = ?1",
        (
            delivery.seq,
            due_at.as_microsecond(),
            uncertain,
            counts,
            ladder.rung.as_str(),
            ladder.absent,
            ladder.look_failures,
        ),
    )?;
    tx.tally.waiting(&delivery.destination, 1);
    Ok(())
}

/// A person must act. The lane is closed but for those that may overtake (LANE-2).
pub(super) fn park(tx: &mut Tx<'_>, delivery: &Row, exception: &NewException, uncertain: bool) -> Outcome<()> {
    tx.run(
        "UPDATE deliveries SET state = 'parked', uncertain = ?2, interrupted = 0 WHERE seq = ?1",
        (delivery.seq, uncertain),
    )?;
    if delivery.state == "waiting" {
        tx.tally.waiting(&delivery.destination, -1);
    }
    if !uncertain && overtaker_waits(tx, delivery)? && step_aside(tx, delivery.subject, &delivery.destination)? {
        succeed(tx, delivery.subject, &delivery.destination)?;
    }
    let behind = Behind { envelope: Some(delivery.envelope), delivery: Some(delivery.seq), payload: None };
    exceptions::open(tx, exception, behind)
}

/// Parks a waiting head without an attempt; `false`: it moved on meanwhile.
pub(super) fn park_waiting(tx: &mut Tx<'_>, id: DeliveryId, exception: &NewException) -> Outcome<bool> {
    let row = find(tx, id)?;
    if row.state != "waiting" || !row.head {
        return Ok(false);
    }
    park(tx, &row, exception, row.uncertain)?;
    state::settle_state(tx, row.envelope)?;
    Ok(true)
}

/// Parks a waiting head whose stored document cannot be used (BAK-2); one that moved on meanwhile is left alone.
pub(super) fn park_damaged(
    tx: &mut Tx<'_>,
    id: DeliveryId,
    complaint: &Complaint,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Outcome<()> {
    let row = find(tx, id)?;
    if row.state != "waiting" || !row.head {
        return Ok(());
    }
    let subject = subjects::find(tx, row.subject)?;
    let mut exception = complaint.exception(subject, now, entropy);
    exception.destination = Some(row.destination.clone());
    park(tx, &row, &exception, row.uncertain)?;
    state::settle_state(tx, row.envelope)?;
    Ok(())
}
