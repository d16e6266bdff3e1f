//! What an envelope came to, written in one transaction: facts, documents, intended effects, exceptions, and its state.

use super::effects::{self, Circumstances, Intended, Packs};
use super::exceptions::{self, Behind, Newer};
use super::fault::{Fault, Outcome};
use super::state::{self, Verdict};
use super::subjects;
use super::tx::Tx;
use crate::clock::Timestamp;
use crate::envelope::ids::EnvelopeId;
use crate::store::write::{Conclusion, StartedAttempt};

/// The envelope that a conclusion is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    /// Its row.
    pub(super) seq: i64,
    /// Its id.
    pub(super) id: EnvelopeId,
    /// The subject's row.
    pub(super) subject: i64,
    /// The subject was made for this envelope, with its facts: no lane, delivery or complaint of it can be there.
    pub(super) first: bool,
}

/// What applying a conclusion did.
#[derive(Debug, Default)]
pub(super) struct Applied {
    /// Express attempts that are durable with this transaction.
    pub(super) started: Vec<StartedAttempt>,
    /// Deliveries that are this envelope's now.
    pub(super) taken: usize,
    /// Exceptions opened.
    pub(super) opened: usize,
    /// What it came to where no delivery says more.
    pub(super) verdict: Option<Verdict>,
    /// For the timeline; `None`: the conclusion's own words.
    pub(super) words: Option<String>,
}

/// Concludes an envelope that waits for the processor.
pub(super) fn conclude(
    tx: &mut Tx<'_>,
    id: EnvelopeId,
    conclusion: &Conclusion,
    packs: &Packs,
    at: Timestamp,
) -> Outcome<Vec<StartedAttempt>> {
    let (target, concluded) = find(tx, id)?;
    if concluded {
        return Err(Fault::not_allowed(format!("{id} is concluded already")));
    }
    let applied = apply(tx, target, conclusion, packs, at)?;
    let words = applied.words.as_deref().unwrap_or(&conclusion.explanation);
    tx.run(
        "UPDATE envelopes SET turn = NULL, verdict = ?2, explanation = ?3 WHERE seq = ?1",
        (target.seq, applied.verdict.map(Verdict::as_str), words),
    )?;
    tx.tally.unprocessed(-1);
    state::next_turn(tx, target.subject)?;
    state::settle_state(tx, target.seq)?;
    Ok(applied.started)
}

/// The envelope, and whether it is concluded.
pub(super) fn find(tx: &Tx<'_>, id: EnvelopeId) -> Outcome<(Target, bool)> {
    tx.row("SELECT seq, subject, turn IS NULL FROM envelopes WHERE id = ?1", [id.as_bytes()], |row| {
        Ok((Target { seq: row.get(0)?, id, subject: row.get(1)?, first: false }, row.get(2)?))
    })?
    .ok_or_else(|| Fault::not_found(id.to_string()))
}

/// Writes everything a conclusion says except the envelope's own row, which the caller does.
pub(super) fn apply(
    tx: &mut Tx<'_>,
    target: Target,
    conclusion: &Conclusion,
    packs: &Packs,
    at: Timestamp,
) -> Outcome<Applied> {
    if !target.first {
        subjects::learn(tx, target.subject, &conclusion.facts)?;
    }
    let mut applied = Applied::default();
    let mut known = Vec::new();
    let mut effects = 0_usize;
    for delivery in &conclusion.deliveries {
        // Only the first effect of a new subject meets nothing for certain; the next may meet the one before it.
        let unmet = target.first && effects == 0;
        effects += 1;
        match effects::intend(tx, target, delivery, &conclusion.documents, Circumstances { packs, unmet, at })? {
            Intended::Started(started) => {
                applied.taken += 1;
                applied.started.push(started);
            }
            Intended::Taken => applied.taken += 1,
            Intended::Kept => {}
            Intended::Known(words) => known.push(words),
        }
        // Without a revision every report of this kind is about this one effect; a refund's or shipment's document number
        // makes effects of their own, and a complaint about one of them must not vanish behind another.
        if delivery.revision.is_empty() && !target.first {
            let resolution = format!("overtaken by {}", target.id);
            exceptions::supersede(
                tx,
                Newer {
                    envelope: target.seq,
                    subject: target.subject,
                    destination: &delivery.destination,
                    resolution: &resolution,
                    at,
                },
            )?;
        }
    }
    for exception in &conclusion.exceptions {
        exceptions::open(tx, exception, Behind { envelope: Some(target.seq), ..Behind::default() })?;
        applied.opened += 1;
    }
    if let Some(reason) = &conclusion.ignored {
        applied.verdict = Some(Verdict::Ignored);
        applied.words = Some(reason.clone());
    } else if !known.is_empty() {
        if known.len() == effects {
            applied.verdict = Some(Verdict::Superseded);
        }
        applied.words = Some(known.join("; "));
    }
    Ok(applied)
}
