//! What people do: replays, decisions, tokens. Each with its audit row in the same transaction (API-5).

use super::again;
use super::answers;
use super::audit;
use super::bulk;
use super::conclude;
use super::delivery::{self, Row};
use super::effects::{self, Packs, Place};
use super::exceptions::{self, Ending};
use super::fault::{Fault, Outcome};
use super::lanes;
use super::reads;
use super::saved;
use super::state::{self, Verdict};
use super::tx::Tx;
use super::wanted;
use crate::clock::Timestamp;
use crate::envelope::ids::{DeliveryId, ExceptionId, TokenId};
use crate::store::books::Done;
use crate::store::seal::Keys;
use crate::store::write::{Act, Decision, NewDelivery, NewDocument, NewToken, Replay, Verdict as Decided};

/// Processes an envelope anew: its open exceptions close, except those that stop a delivery which stays parked.
pub(super) fn replay(tx: &mut Tx<'_>, replay: &Replay, packs: &Packs) -> Outcome<()> {
    let (target, concluded) = conclude::find(tx, replay.envelope)?;
    if !concluded {
        return Err(Fault::not_allowed(format!("{} has not been processed yet: nothing to replay", replay.envelope)));
    }
    still_open(tx, &replay.act)?;
    // Those of before: what the new conclusion complains about stays open.
    let before = exceptions::closable_of_envelope(tx, target.seq, replay.act.target.parse().ok())?;
    let resolution = format!("replayed by {}", replay.act.actor);
    exceptions::close(tx, &before, Ending { state: "resolved", resolution: &resolution, at: replay.act.at })?;
    wanted::forget(tx, target.seq)?;
    let applied = conclude::apply(tx, target, &replay.conclusion, packs, replay.act.at)?;
    // A parked delivery that took the new document is no longer stopped; `meet` closed what stopped it.
    let words = applied.words.as_deref().unwrap_or(&replay.conclusion.explanation);
    tx.run(
        "UPDATE envelopes SET verdict = ?2, explanation = ?3 WHERE seq = ?1",
        (target.seq, applied.verdict.map(Verdict::as_str), words),
    )?;
    state::settle_state(tx, target.seq)?;
    tx.tally.touch(target.subject);
    recorded(tx, &replay.act, Done::Otherwise)
}

/// An act on an exception counts once: a second one, decided on what was true before the first, must not be carried out on
/// what is true after it (the delivery may have gone out, and be in doubt, in between).
pub(super) fn still_open(tx: &Tx<'_>, act: &Act) -> Outcome<()> {
    let Ok(id) = act.target.parse::<ExceptionId>() else { return Ok(()) };
    let state = tx
        .row("SELECT state FROM exceptions WHERE id = ?1", [id.as_bytes()], |row| row.get::<_, String>(0))?
        .ok_or_else(|| Fault::not_found(id.to_string()))?;
    if state == "open" { Ok(()) } else { Err(Fault::not_allowed(format!("{id} is {state} already"))) }
}

/// Acts on a parked delivery; what stopped it closes.
pub(super) fn decide(tx: &mut Tx<'_>, decision: &Decision) -> Outcome<()> {
    let row = delivery::find(tx, decision.delivery)?;
    if row.state != "parked" {
        return Err(Fault::not_allowed(format!("{} is {}, not parked", decision.delivery, row.state)));
    }
    still_open(tx, &decision.act)?;
    let (at, actor) = (decision.act.at, &decision.act.actor);
    let resolution = match &decision.verdict {
        Decided::Retry { .. } => format!("sent again by {actor}"),
        Decided::Replace { document, delivery } => {
            let how = if document.edit.is_some() { "edited, and " } else { "" };
            format!("{how}replaced with {} by {actor}", delivery.id)
        }
        Decided::Applied { .. } => format!("found at the destination by {actor}"),
        Decided::Abandon { reason } => format!("given up by {actor}: {reason}"),
    };
    let stopped_by = exceptions::of_delivery(tx, row.seq)?;
    exceptions::close(tx, &stopped_by, Ending { state: "resolved", resolution: &resolution, at })?;
    match &decision.verdict {
        Decided::Retry { due_at } => retry(tx, &row, due_at.as_microsecond())?,
        Decided::Replace { document, delivery } => replace(tx, &row, document, delivery, decision)?,
        Decided::Applied { receipt } => delivery::delivered(tx, &row, receipt.as_deref(), at)?,
        Decided::Abandon { .. } => {
            delivery::end(tx, &row, "abandoned", at)?;
            lanes::nothing_follows(tx, &row, at)?;
            delivery::next_in_lane(tx, &row)?;
        }
    }
    let state = state::settle_state(tx, row.envelope)?;
    if state == state::EnvelopeState::Ignored {
        tx.run(
            "UPDATE envelopes SET verdict = 'ignored', explanation = ?2 WHERE seq = ?1",
            (row.envelope, &resolution),
        )?;
    }
    tx.tally.touch(row.subject);
    recorded_about(tx, &decision.act, decision.delivery)
}

/// The last words of an act whose answer is a delivery: as it stands after the effect.
pub(super) fn recorded_about(tx: &Tx<'_>, act: &Act, delivery: DeliveryId) -> Outcome<()> {
    bulk::of_act(tx, act)?;
    audit::record(tx, act)?;
    if act.keep.is_none() {
        return Ok(());
    }
    let mut detail =
        reads::delivery(tx.conn, delivery, &Keys::default())?.ok_or_else(|| Fault::not_found(delivery.to_string()))?;
    // What a destination said may hold a buyer's details: it stands with its attempt, encrypted and erased there, and is
    // not kept a second time (DAT-1).
    for attempt in &mut detail.attempts_made {
        attempt.response = None;
    }
    answers::of_act(tx, act, Done::Delivery(&detail))
}

/// The last words of every act: the mark of a bulk act's member, its audit row (API-5), and the answer that a repeat of the
/// call gets (API-2).
pub(super) fn recorded(tx: &Tx<'_>, act: &Act, done: Done<'_>) -> Outcome<()> {
    bulk::of_act(tx, act)?;
    audit::record(tx, act)?;
    answers::of_act(tx, act, done)
}

/// The same bytes with the same key again (KEY-4); a person's word starts the retry schedule anew.
fn retry(tx: &mut Tx<'_>, row: &Row, due_at: i64) -> Outcome<()> {
    tx.run(
        "UPDATE deliveries SET state = 'waiting', due_at = ?2, failures = 0, rung = 'asked', absent = 0, look_failures = 0, \
         stage = CASE WHEN stage = 'prepared' AND sealed = 0 THEN NULL ELSE stage END \
         WHERE seq = ?1",
        (row.seq, due_at),
    )?;
    tx.tally.waiting(&row.destination, 1);
    Ok(())
}

/// KEY-3 a: the successor takes the place in the lane.
fn replace(tx: &mut Tx<'_>, row: &Row, document: &NewDocument, new: &NewDelivery, decision: &Decision) -> Outcome<()> {
    if row.uncertain {
        return Err(Fault::not_allowed(format!(
            "the last attempt of {} may have taken effect: find out first, then replace it",
            decision.delivery
        )));
    }
    if delivery::is_there(tx, row.seq)? {
        return Err(Fault::not_allowed(format!(
            "the record of {} is at its destination already: `retry` goes on with it; what shall be different there is a change",
            decision.delivery
        )));
    }
    if new.destination != row.destination || new.document != document.id {
        return Err(Fault::not_allowed(format!("{} does not replace {}", new.id, decision.delivery)));
    }
    if effects::is_made(tx, row.subject, new)? {
        return Err(Fault::not_allowed(format!("the key {} is in use: a replacement needs a new one", new.key)));
    }
    if let Some(edit) = &document.edit {
        again::same_document(tx, row, edit.original)?;
    }
    let at = decision.act.at;
    if !row.head && !delivery::take_head(tx, row)? {
        return Err(Fault::not_allowed(format!(
            "another delivery of this lane went before {} and is under way: try again in a moment",
            decision.delivery
        )));
    }
    delivery::end(tx, row, "superseded", at)?;
    let made = effects::insert_document(tx, row.envelope, document, at)?;
    let place = Place { envelope: row.envelope, subject: row.subject, document: made, head: true };
    let seq = effects::insert_delivery(tx, place, new, None, at)?;
    if document.edit.is_some() {
        effects::says_the_same(tx, seq, row.seq)?;
    }
    tx.tally.waiting(&new.destination, 1);
    Ok(())
}

/// Creates a token.
pub(super) fn create_token(tx: &mut Tx<'_>, token: &NewToken, act: &Act) -> Outcome<()> {
    let in_force = tx.row("SELECT 1 FROM tokens WHERE name = ?1 AND revoked_at IS NULL", [&token.name], |_| Ok(()))?;
    if in_force.is_some() {
        return Err(Fault::not_allowed(format!("a token named \"{}\" is in force: revoke it first", token.name)));
    }
    tx.run(
        "INSERT INTO tokens (id, name, role, scopes, secret, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        (
            token.id.as_bytes(),
            &token.name,
            &token.role,
            token.scopes.join(" "),
            token.secret.0,
            token.created_at.as_microsecond(),
            token.expires_at.map(Timestamp::as_microsecond),
        ),
    )?;
    recorded(tx, act, Done::Otherwise)
}

/// Revokes a token.
pub(super) fn revoke_token(tx: &mut Tx<'_>, id: TokenId, act: &Act) -> Outcome<()> {
    let revoked = tx
        .row("SELECT revoked_at IS NOT NULL FROM tokens WHERE id = ?1", [id.as_bytes()], |row| row.get::<_, bool>(0))?
        .ok_or_else(|| Fault::not_found(id.to_string()))?;
    if revoked {
        return Err(Fault::not_allowed(format!("{id} is revoked already")));
    }
    tx.run("UPDATE tokens SET revoked_at = ?2 WHERE id = ?1", (id.as_bytes(), act.at.as_microsecond()))?;
    saved::forget(tx, &id.to_string())?;
    recorded(tx, act, Done::Otherwise)
}
