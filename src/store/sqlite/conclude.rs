//! What an envelope came to, written in one transaction: facts, documents, intended effects, exceptions, and its state.

use super::effects::{self, Circumstances, Intended, Packs};
use super::exceptions::{self, Behind, Newer};
use super::fault::{Fault, Outcome};
use super::held;
use super::lanes;
use super::state::{self, Verdict};
use super::subjects;
use super::tx::Tx;
use super::wanted;
use crate::clock::Timestamp;
use crate::envelope::ids::EnvelopeId;
use crate::store::write::{Conclusion, NewException, StartedAttempt};

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
    /// It waits for its order (LANE-4), or for a read of it.
    pub(super) held: bool,
    /// What it came to where no delivery says more.
    pub(super) verdict: Option<Verdict>,
    /// For the timeline; `None`: the conclusion's own words.
    pub(super) words: Option<String>,
    /// Effects that were this envelope's own and stay as they are.
    kept: usize,
    /// What the envelope met, in words.
    met: Vec<String>,
    /// Something newer was met that nobody wants to hear.
    unwanted: bool,
}

impl Applied {
    /// Takes down what became of one effect.
    pub(super) fn note(&mut self, intended: Intended) {
        match intended {
            Intended::Started(started) => {
                self.taken += 1;
                self.started.push(started);
            }
            Intended::Taken => self.taken += 1,
            Intended::Kept => self.kept += 1,
            Intended::Known(words) => self.met.push(words),
            Intended::Follows(words) => {
                self.taken += 1;
                self.met.push(words);
            }
            Intended::Unwanted(words) => {
                self.unwanted = true;
                self.met.push(words);
            }
        }
    }

    /// How many effects were done or met.
    pub(super) fn count(&self) -> usize {
        self.taken + self.kept + self.met.len()
    }

    fn decide(&mut self, ignored: Option<&String>) {
        if self.taken + self.kept == 0 {
            self.verdict = match (self.met.is_empty(), ignored) {
                (true, None) => None,
                (true, Some(_)) => Some(Verdict::Ignored),
                (false, _) if self.unwanted => Some(Verdict::Ignored),
                (false, _) => Some(Verdict::Superseded),
            };
        }
        self.words = match (self.met.is_empty(), ignored) {
            (false, _) => Some(self.met.join("; ")),
            (true, Some(reason)) if self.verdict.is_some() => Some(reason.clone()),
            (true, _) => None,
        };
    }
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
    tx.tally.touch(target.subject);
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
        // Of one second, what only hints at its order says nothing against what was read of it.
        let whole = conclusion.read.is_none();
        subjects::learn(tx, target.subject, &conclusion.facts, whole)?;
    }
    let mut applied = Applied::default();
    for (index, delivery) in conclusion.deliveries.iter().enumerate() {
        // Only the first effect of a new subject meets nothing for certain; the next may meet the one before it.
        let circumstances = Circumstances { packs, unmet: target.first && index == 0, at };
        let report = conclusion.reports.iter().find(|report| report.destination == delivery.destination);
        match report {
            Some(report) if !target.first => {
                let create = Some(delivery);
                lanes::report(tx, target, report, create, &conclusion.documents, circumstances, &mut applied)?;
            }
            Some(report) => {
                applied.note(effects::intend(tx, target, delivery, &conclusion.documents, circumstances)?);
                lanes::follow_first(tx, target, report, &conclusion.documents, circumstances, &mut applied)?;
            }
            None => applied.note(effects::intend(tx, target, delivery, &conclusion.documents, circumstances)?),
        }
    }
    if !target.first {
        later(tx, target, conclusion, Circumstances { packs, unmet: false, at }, &mut applied)?;
    }
    if let Some(hint) = &conclusion.hint {
        held::hint(tx, target, hint, at, &mut applied)?;
    }
    if let Some(read) = &conclusion.read {
        wanted::want(tx, target, read, at)?;
        applied.held = true;
    }
    for exception in &conclusion.exceptions {
        complain(tx, target, exception, &mut applied)?;
    }
    applied.decide(conclusion.ignored.as_ref());
    Ok(applied)
}

/// What only a subject that was there before can have: reports that make no create, complaints that are moot now.
fn later(
    tx: &mut Tx<'_>,
    target: Target,
    conclusion: &Conclusion,
    circumstances: Circumstances<'_>,
    applied: &mut Applied,
) -> Outcome<()> {
    let is_made = |name: &str| conclusion.deliveries.iter().any(|delivery| delivery.destination == name);
    for report in conclusion.reports.iter().filter(|report| !is_made(&report.destination)) {
        lanes::report(tx, target, report, None, &conclusion.documents, circumstances, applied)?;
    }
    if applied.taken > 0 {
        held::awaken(tx, target.subject, circumstances.at)?;
    }
    // An older report must not close what is complained about a newer one.
    if !subjects::is_newest(tx, target.subject, &conclusion.facts)? {
        return Ok(());
    }
    // Without a revision every report of this kind is about this one effect; a refund's or shipment's document number
    // makes effects of their own, and a complaint about one of them must not vanish behind another.
    let created = conclusion.deliveries.iter().filter(|delivery| delivery.revision.is_empty());
    let reported = conclusion.reports.iter().map(|report| &report.destination).filter(|name| !is_made(name));
    let resolution = format!("overtaken by {}", target.id);
    for destination in created.map(|delivery| &delivery.destination).chain(reported) {
        exceptions::supersede(
            tx,
            Newer {
                envelope: target.seq,
                subject: target.subject,
                destination,
                resolution: &resolution,
                at: circumstances.at,
            },
        )?;
    }
    Ok(())
}

/// Opens an exception behind the envelope.
pub(super) fn complain(
    tx: &mut Tx<'_>,
    target: Target,
    exception: &NewException,
    applied: &mut Applied,
) -> Outcome<()> {
    exceptions::open(tx, exception, Behind { envelope: Some(target.seq), ..Behind::default() })?;
    applied.opened += 1;
    Ok(())
}
