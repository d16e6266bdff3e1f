//! One request written down (ACK-1): all its records become durable together, or none (ACK-7).

use super::conclude::{self, Target};
use super::effects::{self, Packs};
use super::exceptions::{self, Behind};
use super::fault::{Fault, Outcome};
use super::lanes;
use super::state::{self, EnvelopeState, Verdict};
use super::subjects::{self, Seen};
use super::tx::{Tx, int};
use crate::envelope::ids::EnvelopeId;
use crate::store::write::{Arrival, ArrivedRecord, Conclusion, NewException, Receipt, SubjectFacts};

/// Packs what the records' express attempts seal.
pub(super) fn packs(arrival: &Arrival) -> Packs {
    effects::pack_seals(
        arrival.records.iter().filter_map(|record| record.conclusion.as_ref()).flat_map(effects::express),
    )
}

/// Writes one request down; one receipt a record, in order.
pub(super) fn append(tx: &mut Tx<'_>, arrival: &Arrival, packs: &Packs) -> Outcome<Vec<Receipt>> {
    if arrival.records.is_empty() {
        return Err(Fault::not_allowed("a request without records has nothing to write down"));
    }
    let mut payload = None;
    arrival.records.iter().map(|record| append_record(tx, arrival, record, packs, &mut payload)).collect()
}

fn append_record(
    tx: &mut Tx<'_>,
    arrival: &Arrival,
    record: &ArrivedRecord,
    packs: &Packs,
    payload: &mut Option<i64>,
) -> Outcome<Receipt> {
    if let Some((first, content)) = claim_key(tx, arrival, record)? {
        if content == record.content.short() || planted!(ConflictTakenForDuplicate) {
            return Ok(Receipt::Duplicate { first });
        }
        if let Some(exception) = &record.on_conflict {
            open_conflict(tx, arrival, exception, first, payload)?;
        }
        return Ok(Receipt::Conflict { first });
    }
    let payload = payload_row(tx, arrival, payload)?;
    let unknown = SubjectFacts::default();
    let facts = record.conclusion.as_ref().map_or(&unknown, |conclusion| &conclusion.facts);
    let subject = subjects::seen(tx, &record.subject, facts, arrival.received_at)?;
    let behind = !subject.new && state::has_unconcluded(tx, subject.seq)?;
    match &record.conclusion {
        Some(conclusion) if subject.new || is_conclusive(tx, subject.seq, behind, conclusion)? => {
            insert_concluded(tx, arrival, record, conclusion, packs, Rows { payload, subject })
        }
        _ => insert_waiting(tx, arrival, record, behind, Rows { payload, subject }),
    }
}

/// Whether a conclusion that was made without looking stands for a subject that was there before. An earlier report that
/// is still on its way to the processor must not be overtaken, and what follows a known report is made by the processor.
fn is_conclusive(tx: &Tx<'_>, subject: i64, behind: bool, conclusion: &Conclusion) -> Outcome<bool> {
    if conclusion.deliveries.is_empty() && conclusion.reports.is_empty() {
        return Ok(conclusion.hint.is_none() && conclusion.read.is_none());
    }
    Ok(!behind && (conclusion.reports.is_empty() || !lanes::is_known(tx, subject)?))
}

/// DED-1: the insert decides. `Some`: the key is known, with the envelope that stands and its content.
fn claim_key(tx: &Tx<'_>, arrival: &Arrival, record: &ArrivedRecord) -> Outcome<Option<(EnvelopeId, [u8; 16])>> {
    if planted!(DedupKeyNotWritten) {
        return Ok(None);
    }
    let key = record.event_key.0.short();
    let at = arrival.received_at.as_microsecond();
    let new = tx.run(
        "INSERT INTO dedup_keys (key, content, envelope, hits, last_at) VALUES (?1, ?2, ?3, 0, ?4) \
         ON CONFLICT (key) DO NOTHING",
        (key, record.content.short(), record.id.as_bytes(), at),
    )?;
    if new == 1 {
        return Ok(None);
    }
    tx.run("UPDATE dedup_keys SET hits = hits + 1, last_at = MAX(last_at, ?2) WHERE key = ?1", (key, at))?;
    tx.row("SELECT envelope, content FROM dedup_keys WHERE key = ?1", [key], |row| {
        Ok((EnvelopeId::from_bytes(row.get(0)?), row.get(1)?))
    })
}

/// A conflicting event makes no envelope, but its body is kept: we may have to answer 2xx to it.
fn open_conflict(
    tx: &mut Tx<'_>,
    arrival: &Arrival,
    exception: &NewException,
    first: EnvelopeId,
    payload: &mut Option<i64>,
) -> Outcome<()> {
    let envelope: Option<i64> =
        tx.row("SELECT seq FROM envelopes WHERE id = ?1", [first.as_bytes()], |row| row.get(0))?;
    if let Some(envelope) = envelope
        && exceptions::is_open(tx, exception, envelope, &arrival.body.digest)?
    {
        return Ok(());
    }
    let payload = Some(payload_row(tx, arrival, payload)?);
    exceptions::open(tx, exception, Behind { envelope, delivery: None, payload })?;
    if let Some(envelope) = envelope {
        state::settle_state(tx, envelope)?;
    }
    Ok(())
}

fn payload_row(tx: &Tx<'_>, arrival: &Arrival, payload: &mut Option<i64>) -> Outcome<i64> {
    if let Some(seq) = payload {
        return Ok(*seq);
    }
    let seq = tx.insert(
        "INSERT INTO payloads (plain_bytes, digest, request_id, verification, config_version, traceparent, headers, \
         received_at, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        rusqlite::params![
            int(arrival.body.plain_bytes),
            arrival.body.digest.0,
            arrival.request_id.as_bytes(),
            arrival.verification,
            arrival.config_version,
            arrival.traceparent,
            arrival.headers,
            arrival.received_at.as_microsecond(),
            arrival.body.packed.as_ref(),
        ],
    )?;
    *payload = Some(seq);
    Ok(seq)
}

#[derive(Clone, Copy)]
struct Rows {
    payload: i64,
    subject: Seen,
}

fn insert_waiting(
    tx: &mut Tx<'_>,
    arrival: &Arrival,
    record: &ArrivedRecord,
    behind: bool,
    rows: Rows,
) -> Outcome<Receipt> {
    let turn = if behind { "behind" } else { "ready" };
    insert_envelope(tx, arrival, record, rows, EnvelopeState::Received, Some(turn), "")?;
    tx.tally.unprocessed(1);
    Ok(Receipt::First { started: Vec::new(), work_left: true })
}

fn insert_concluded(
    tx: &mut Tx<'_>,
    arrival: &Arrival,
    record: &ArrivedRecord,
    conclusion: &Conclusion,
    packs: &Packs,
    rows: Rows,
) -> Outcome<Receipt> {
    // What it nearly always comes to is written with the row; what differs is corrected below.
    let expected = expected_state(conclusion);
    let seq = insert_envelope(tx, arrival, record, rows, expected, None, &conclusion.explanation)?;
    let target = Target { seq, id: record.id, subject: rows.subject.seq, first: rows.subject.new };
    let applied = conclude::apply(tx, target, conclusion, packs, arrival.received_at)?;
    if applied.verdict.is_some() || applied.words.is_some() {
        let words = applied.words.as_deref().unwrap_or(&conclusion.explanation);
        tx.run(
            "UPDATE envelopes SET verdict = ?2, explanation = ?3 WHERE seq = ?1",
            (seq, applied.verdict.map(Verdict::as_str), words),
        )?;
    }
    let as_expected = match expected {
        EnvelopeState::Received => applied.taken > 0,
        EnvelopeState::Exception => applied.opened > 0,
        EnvelopeState::Ignored => applied.taken + applied.opened == 0 && !applied.held,
        _ => false,
    };
    if !as_expected {
        state::settle_state(tx, seq)?;
    }
    let work_left = applied.taken > applied.started.len();
    Ok(Receipt::First { started: applied.started, work_left })
}

fn expected_state(conclusion: &Conclusion) -> EnvelopeState {
    if !conclusion.exceptions.is_empty() {
        EnvelopeState::Exception
    } else if conclusion.deliveries.is_empty() {
        EnvelopeState::Ignored
    } else {
        EnvelopeState::Received
    }
}

fn insert_envelope(
    tx: &mut Tx<'_>,
    arrival: &Arrival,
    record: &ArrivedRecord,
    rows: Rows,
    state: EnvelopeState,
    turn: Option<&str>,
    explanation: &str,
) -> Outcome<i64> {
    tx.tally.accept(state);
    tx.tally.touch(rows.subject.seq);
    tx.insert(
        "INSERT INTO envelopes (id, payload, subject, event_key, origin, kind, event_name, path, received_at, state, turn, \
         explanation) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        rusqlite::params![
            record.id.as_bytes(),
            rows.payload,
            rows.subject.seq,
            record.event_key.0.short(),
            arrival.origin,
            record.kind,
            record.event_name,
            record.path,
            arrival.received_at.as_microsecond(),
            state.as_str(),
            turn,
            explanation,
        ],
    )
}
