//! Intended effects: a delivery is made once a key (KEY-2), takes its place in its lane (P4), and starts at once when it
//! is express and the lane is free.

use std::collections::HashMap;

use super::conclude::Target;
use super::delivery;
use super::exceptions::{self, Ending};
use super::fault::{Fault, Outcome};
use super::restore;
use super::state;
use super::tx::{Tx, int};
use crate::clock::Timestamp;
use crate::envelope::ids::DeliveryId;
use crate::store::pack::pack;
use crate::store::write::{AttemptStart, Conclusion, NewDelivery, NewDocument, PackedBody, StartedAttempt};

/// Sealed bodies that are not their document's, packed before the command reached the writer.
pub(super) type Packs = HashMap<DeliveryId, PackedBody>;

/// Packs what attempts seal beside their document.
pub(super) fn pack_seals<'a>(starts: impl IntoIterator<Item = &'a AttemptStart>) -> Packs {
    starts
        .into_iter()
        .filter_map(|start| Some((start.delivery, start.seal.as_ref()?)))
        .filter(|(_, seal)| !seal.body_is_document)
        .map(|(delivery, seal)| (delivery, pack(&seal.body)))
        .collect()
}

/// The express attempts of a conclusion.
pub(super) fn express(conclusion: &Conclusion) -> impl Iterator<Item = &AttemptStart> {
    conclusion.deliveries.iter().filter_map(|delivery| delivery.express.as_ref())
}

/// What became of an intended effect.
#[derive(Debug)]
pub(super) enum Intended {
    /// A new delivery whose first attempt is durable with this transaction.
    Started(StartedAttempt),
    /// A delivery, new or known, that is now this envelope's.
    Taken,
    /// This envelope's own delivery, sealed or final: nothing changed.
    Kept,
    /// Another envelope's delivery, in words.
    Known(String),
    /// A new delivery of this envelope's behind a known one, in words.
    Follows(String),
    /// It says something newer than a known delivery, and nobody wants to hear it; in words.
    Unwanted(String),
}

/// What an effect is intended in.
#[derive(Clone, Copy)]
pub(super) struct Circumstances<'p> {
    /// What its attempts seal beside their document.
    pub(super) packs: &'p Packs,
    /// It is the first of its subject: no delivery has its key, and its lane is free.
    pub(super) unmet: bool,
    /// When.
    pub(super) at: Timestamp,
}

/// Writes an intended effect down.
pub(super) fn intend(
    tx: &mut Tx<'_>,
    target: Target,
    new: &NewDelivery,
    documents: &[NewDocument],
    circumstances: Circumstances<'_>,
) -> Outcome<Intended> {
    let known = if circumstances.unmet { None } else { known(tx, target.subject, new)? };
    match known {
        Some(known) => meet(tx, target, new, documents, &known, circumstances.at),
        None => make(tx, target, new, document_of(new, documents)?, circumstances),
    }
}

fn document_of<'d>(new: &NewDelivery, documents: &'d [NewDocument]) -> Outcome<&'d NewDocument> {
    documents
        .iter()
        .find(|document| document.id == new.document)
        .ok_or_else(|| Fault::not_allowed(format!("{} names {}, which is not with it", new.id, new.document)))
}

/// A delivery that has the key already.
pub(super) struct Known {
    pub(super) seq: i64,
    pub(super) id: DeliveryId,
    pub(super) envelope: i64,
    pub(super) state: String,
    pub(super) sealed: bool,
}

/// The delivery of an effect: found by what its key is a digest of. One that may have been sent before a restore keeps its
/// document, as a sealed one does.
pub(super) const EFFECT: &str = "SELECT seq, id, envelope, state, sealed OR uncertain FROM deliveries \
     INDEXED BY deliveries_effect WHERE subject = ?1 AND destination = ?2 AND purpose = ?3 AND revision = ?4 AND generation = ?5";

fn known(tx: &Tx<'_>, subject: i64, new: &NewDelivery) -> Outcome<Option<Known>> {
    let effect = (subject, &new.destination, &new.purpose, &new.revision, new.generation);
    tx.row(EFFECT, effect, |row| {
        Ok(Known {
            seq: row.get(0)?,
            id: DeliveryId::from_bytes(row.get(1)?),
            envelope: row.get(2)?,
            state: row.get(3)?,
            sealed: row.get(4)?,
        })
    })
}

/// Whether an effect of this subject was made before (KEY-2).
pub(super) fn is_made(tx: &Tx<'_>, subject: i64, new: &NewDelivery) -> Outcome<bool> {
    Ok(known(tx, subject, new)?.is_some())
}

fn make(
    tx: &mut Tx<'_>,
    target: Target,
    new: &NewDelivery,
    document: &NewDocument,
    Circumstances { packs, unmet, at }: Circumstances<'_>,
) -> Outcome<Intended> {
    let document = insert_document(tx, target.seq, document, at)?;
    let head = unmet
        || lane_is_free(tx, target.subject, &new.destination)?
        || (new.overtakes && delivery::step_aside(tx, target.subject, &new.destination)?);
    let in_doubt = match tx.restored_at {
        Some(restored_at) => restore::may_be_known_there(tx, target.subject, restored_at, at)?,
        None => false,
    };
    let start = new.express.as_ref().filter(|start| head && start.seal.is_some() && start.document == new.document);
    let start = start.filter(|_| !in_doubt);
    let place = Place { envelope: target.seq, subject: target.subject, document, head };
    let seq = insert_delivery(tx, place, new, start, at)?;
    let Some(start) = start else {
        tx.tally.waiting(&new.destination, 1);
        if in_doubt {
            restore::put_in_doubt(tx, seq, target.subject, at)?;
        }
        return Ok(Intended::Taken);
    };
    record_attempt(tx, seq, 1, start, packs)?;
    Ok(Intended::Started(StartedAttempt { delivery: new.id, number: 1, epoch: 1 }))
}

/// A known delivery takes the newer document while nothing of it was sealed; else the newcomer has nothing to do.
fn meet(
    tx: &mut Tx<'_>,
    target: Target,
    new: &NewDelivery,
    documents: &[NewDocument],
    known: &Known,
    at: Timestamp,
) -> Outcome<Intended> {
    let open = known.state == "waiting" || known.state == "parked";
    if known.sealed || !open || known.envelope > target.seq {
        return Ok(if known.envelope == target.seq { Intended::Kept } else { Intended::Known(known.in_words()) });
    }
    retake(tx, target, new, documents, known, at)
}

/// A known delivery that is open and not sealed takes this document, and is this envelope's from now on.
pub(super) fn retake(
    tx: &mut Tx<'_>,
    target: Target,
    new: &NewDelivery,
    documents: &[NewDocument],
    known: &Known,
    at: Timestamp,
) -> Outcome<Intended> {
    let document = document_of(new, documents)?;
    let document = insert_document(tx, target.seq, document, at)?;
    tx.run(
        "UPDATE deliveries SET document = ?2, envelope = ?3, state = 'waiting', due_at = ?4, reported_at = ?5, version = ?6, \
         content = ?7, cancelled = ?8, look_failures = 0 WHERE seq = ?1",
        rusqlite::params![
            known.seq,
            document,
            target.seq,
            new.due_at.as_microsecond(),
            reported_at(new),
            version(new),
            new.report.map(|report| report.revision.content),
            new.report.and_then(|report| report.cancelled),
        ],
    )?;
    let words = format!("overtaken by {}", target.id);
    if known.state == "parked" {
        tx.tally.waiting(&new.destination, 1);
        let open = exceptions::of_delivery(tx, known.seq)?;
        let state = if known.envelope == target.seq { "resolved" } else { "superseded" };
        exceptions::close(tx, &open, Ending { state, resolution: &words, at })?;
    }
    if known.envelope != target.seq {
        state::overtake(tx, known.envelope, &words)?;
    }
    Ok(Intended::Taken)
}

impl Known {
    /// Where it stands.
    pub(super) fn in_words(&self) -> String {
        let what = match self.state.as_str() {
            "delivered" => "already delivered as",
            "parked" => "waits for a person as",
            "superseded" => "was replaced as",
            "abandoned" => "was given up as",
            _ => "under way as",
        };
        format!("{what} {}", self.id)
    }
}

fn reported_at(new: &NewDelivery) -> Option<i64> {
    new.report.and_then(|report| report.revision.updated_at).map(Timestamp::as_microsecond)
}

fn version(new: &NewDelivery) -> Option<i64> {
    new.report.and_then(|report| report.revision.version).map(u64::cast_signed)
}

/// The head of a lane.
pub(super) const HEAD: &str = "SELECT 1 FROM deliveries INDEXED BY deliveries_head \
     WHERE subject = ?1 AND destination = ?2 AND head = 1";

/// Whether a delivery would be the head of its lane.
pub(super) fn lane_is_free(tx: &Tx<'_>, subject: i64, destination: &str) -> Outcome<bool> {
    Ok(tx.row(HEAD, (subject, destination), |_| Ok(()))?.is_none())
}

/// Writes a document down; its row.
pub(super) fn insert_document(tx: &Tx<'_>, envelope: i64, document: &NewDocument, at: Timestamp) -> Outcome<i64> {
    let seq = tx.insert(
        "INSERT INTO documents (id, envelope, kind, schema, destination, mappings_version, created_at, plain_bytes, \
         digest, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        rusqlite::params![
            document.id.as_bytes(),
            envelope,
            document.kind,
            document.schema,
            document.destination,
            i64::try_from(document.mappings_version).unwrap_or(i64::MAX),
            at.as_microsecond(),
            int(document.body.plain_bytes),
            document.body.digest.0,
            document.body.packed.as_ref(),
        ],
    )?;
    if let Some(edit) = &document.edit {
        tx.run(
            "INSERT INTO edits (document, original, edited_by, reason) \
             SELECT ?1, seq, ?3, ?4 FROM documents WHERE id = ?2",
            (seq, edit.original.as_bytes(), &edit.by, &edit.reason),
        )?;
    }
    Ok(seq)
}

/// A successor with the same words says the same of its order, and goes by the same route.
pub(super) fn says_the_same(tx: &Tx<'_>, seq: i64, predecessor: i64) -> Outcome<()> {
    tx.run(
        "UPDATE deliveries SET (reported_at, version, content, cancelled, overtakes) = \
         (SELECT reported_at, version, content, cancelled, overtakes FROM deliveries WHERE seq = ?2) WHERE seq = ?1",
        (seq, predecessor),
    )?;
    Ok(())
}

/// Where a new delivery belongs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The envelope it was made from.
    pub(super) envelope: i64,
    /// With the destination its lane.
    pub(super) subject: i64,
    /// What it sends.
    pub(super) document: i64,
    /// It is the lane's turn at once.
    pub(super) head: bool,
}

/// Writes a delivery down, in flight if `start` is given, else waiting; its row.
pub(super) fn insert_delivery(
    tx: &Tx<'_>,
    place: Place,
    new: &NewDelivery,
    start: Option<&AttemptStart>,
    at: Timestamp,
) -> Outcome<i64> {
    let started = i64::from(start.is_some());
    tx.insert(
        "INSERT INTO deliveries (id, key, destination, subject, envelope, document, purpose, revision, generation, state, \
         head, sealed, epoch, attempts, due_at, created_at, first_attempt_at, reported_at, version, content, cancelled, \
         overtakes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?12, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, \
         ?20)",
        rusqlite::params![
            new.id.as_bytes(),
            new.key.as_str(),
            new.destination,
            place.subject,
            place.envelope,
            place.document,
            new.purpose,
            new.revision,
            new.generation,
            if start.is_some() { "in_flight" } else { "waiting" },
            place.head,
            started,
            new.due_at.as_microsecond(),
            at.as_microsecond(),
            start.map(|start| start.started_at.as_microsecond()),
            reported_at(new),
            version(new),
            new.report.map(|report| report.revision.content),
            new.report.and_then(|report| report.cancelled),
            new.overtakes,
        ],
    )
}

/// Step 2 of the attempt protocol (ATT-1): the attempt's row, and the sealed request if this attempt seals it (KEY-5).
pub(super) fn record_attempt(
    tx: &Tx<'_>,
    delivery: i64,
    epoch: i64,
    start: &AttemptStart,
    packs: &Packs,
) -> Outcome<()> {
    if !planted!(AttemptNotWritten) {
        tx.run(
            "INSERT INTO attempts (delivery, number, epoch, started_at, deadline, config_version, purpose) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            (
                delivery,
                start.number,
                epoch,
                start.started_at.as_microsecond(),
                start.deadline.as_microsecond(),
                &start.config_version,
                start.purpose.as_str(),
            ),
        )?;
    }
    let Some(seal) = &start.seal else { return Ok(()) };
    let body = packs.get(&start.delivery);
    let headers = serde_json::to_string(&seal.headers).expect("pairs of text are JSON");
    tx.run(
        "INSERT INTO sealed_requests (delivery, method, url, headers, digest, body_bytes, body_digest, body) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        rusqlite::params![
            delivery,
            seal.method,
            seal.url,
            headers,
            seal.digest.0,
            int(seal.body.len()),
            body.map(|body| body.digest.0),
            body.map(|body| body.packed.as_ref()),
        ],
    )?;
    Ok(())
}
