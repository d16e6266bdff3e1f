//! Whose turn it is: heads of lanes that are due, without looking at what waits behind them.

use bytes::Bytes;
use rusqlite::{Connection, Row};

use super::bodies;
use super::fault::Outcome;
use super::tx;
use crate::clock::{Timestamp, from_micros};
use crate::envelope::ids::{DeliveryId, DocumentId, EnvelopeId};
use crate::envelope::keys::{Digest, IdempotencyKey};
use crate::store::seal::{Keys, Shape};
use crate::store::view::{DueDelivery, Interrupted};
use crate::store::write::{AttemptPurpose, Ladder, Making, Progress, Rung, SealedRequest, Stage, Subject};
use crate::store::{Slots, StoreError};

/// A packed body as it stands in a row.
#[derive(Debug)]
struct Body {
    packed: Vec<u8>,
    plain_bytes: i64,
    digest: [u8; 32],
}

impl Body {
    fn open(&self, keys: &Keys, what: &str, binding: &[u8]) -> Result<Bytes, StoreError> {
        keys.unpack(&self.packed, what, binding, Shape::new(self.plain_bytes, self.digest))
    }
}

/// A delivery as it comes out of the file, its bodies still packed.
#[derive(Debug)]
pub(super) struct PackedDelivery {
    delivery: DueDelivery,
    envelope: EnvelopeId,
    due_at: i64,
    document: Body,
    sealed: Option<PackedSeal>,
    number: u32,
    epoch: i64,
}

#[derive(Debug)]
struct PackedSeal {
    method: String,
    url: String,
    headers: String,
    digest: [u8; 32],
    body: Option<Body>,
}

impl PackedDelivery {
    /// Its id.
    pub(super) fn id(&self) -> DeliveryId {
        self.delivery.id
    }

    /// The envelope it was made from, and the delivery with its plain bodies.
    pub(super) fn open(self, keys: &Keys) -> Result<(EnvelopeId, DueDelivery), StoreError> {
        let document = self.document.open(keys, bodies::DOCUMENT, self.delivery.document_id.as_bytes())?;
        let id = self.delivery.id;
        let sealed = self.sealed.map(|seal| seal.open(&document, keys, id)).transpose()?;
        let mut progress = self.delivery.progress;
        if !progress.found.is_empty() {
            progress.found = keys.open_text(progress.found, bodies::FOUND, id.as_bytes());
        }
        Ok((self.envelope, DueDelivery { progress, sealed, document, ..self.delivery }))
    }
}

impl PackedSeal {
    fn open(self, document: &Bytes, keys: &Keys, id: DeliveryId) -> Result<SealedRequest, StoreError> {
        let headers = serde_json::from_str(&self.headers)
            .map_err(|reason| StoreError::Corrupt(format!("sealed headers cannot be read: {reason}")))?;
        let body = self.body.as_ref();
        let body = body.map(|body| body.open(keys, bodies::SEALED, id.as_bytes())).transpose()?;
        Ok(SealedRequest {
            method: self.method,
            url: self.url,
            headers,
            body_is_document: body.is_none(),
            body: body.unwrap_or_else(|| document.clone()),
            digest: Digest(self.digest),
        })
    }
}

const COLUMNS: &str = "SELECT d.id, d.key, d.destination, s.kind, s.system, s.scope, s.id, d.purpose, d.attempts, \
     d.failures, d.created_at, d.first_attempt_at, d.uncertain, o.id, o.kind, p.traceparent, e.id, d.due_at, \
     o.plain_bytes, o.digest, o.body, r.method, r.url, r.headers, r.digest, r.body_bytes, r.body_digest, r.body, d.epoch, d.generation, \
     d.revision, d.rung, d.absent, d.look_failures, d.stage, d.found, d.making \
     FROM deliveries AS d JOIN subjects AS s ON s.seq = d.subject JOIN documents AS o ON o.seq = d.document \
     JOIN envelopes AS e ON e.seq = d.envelope JOIN payloads AS p ON p.seq = e.payload \
     LEFT JOIN sealed_requests AS r ON r.delivery = d.seq";

fn packed(row: &Row<'_>) -> rusqlite::Result<PackedDelivery> {
    let delivery = DueDelivery {
        id: DeliveryId::from_bytes(row.get(0)?),
        key: IdempotencyKey::from_stored(&row.get::<_, String>(1)?),
        destination: row.get(2)?,
        subject: Subject { kind: row.get(3)?, system: row.get(4)?, scope: row.get(5)?, id: row.get(6)? },
        purpose: row.get(7)?,
        revision: row.get(30)?,
        generation: row.get(29)?,
        attempts: row.get(8)?,
        failures: row.get(9)?,
        created_at: from_micros(row.get(10)?),
        first_attempt_at: row.get::<_, Option<i64>>(11)?.map(from_micros),
        uncertain: row.get(12)?,
        // The schema checks the word.
        ladder: Ladder {
            rung: Rung::parse(&row.get::<_, String>(31)?).unwrap_or_default(),
            absent: row.get(32)?,
            look_failures: row.get(33)?,
        },
        progress: Progress {
            stage: Stage::of_stored(row.get::<_, Option<String>>(34)?.as_deref()),
            making: Making::of_stored(row.get::<_, Option<String>>(36)?.as_deref()),
            found: row.get::<_, Option<String>>(35)?.unwrap_or_default(),
        },
        sealed: None,
        document_id: DocumentId::from_bytes(row.get(13)?),
        document: Bytes::new(),
        document_kind: row.get(14)?,
        traceparent: row.get(15)?,
        orphaned: false,
    };
    let document = Body { plain_bytes: row.get(18)?, digest: row.get(19)?, packed: row.get(20)? };
    Ok(PackedDelivery {
        number: delivery.attempts,
        delivery,
        envelope: EnvelopeId::from_bytes(row.get(16)?),
        due_at: row.get(17)?,
        document,
        sealed: packed_seal(row)?,
        epoch: row.get(28)?,
    })
}

fn packed_seal(row: &Row<'_>) -> rusqlite::Result<Option<PackedSeal>> {
    let Some(method) = row.get(21)? else { return Ok(None) };
    let body = match row.get::<_, Option<Vec<u8>>>(27)? {
        Some(packed) => Some(Body { plain_bytes: row.get(25)?, digest: row.get(26)?, packed }),
        None => None,
    };
    Ok(Some(PackedSeal { method, url: row.get(22)?, headers: row.get(23)?, digest: row.get(24)?, body }))
}

/// The due heads of one destination, by index: what waits behind them or is not due costs nothing.
pub(super) const DUE: &str = "WHERE d.destination = ?1 AND d.state = 'waiting' AND d.head = 1 AND d.due_at <= ?2 \
     ORDER BY d.due_at LIMIT ?3";

/// As [`DUE`], with the columns.
pub(super) fn due_sql() -> String {
    format!("{COLUMNS} {DUE}")
}

/// The same of a destination that goes after another (`?4`): not while something of the subject is open there, or waits for
/// a person before it could be made for it.
pub(super) fn due_after_sql() -> String {
    format!(
        "{COLUMNS} WHERE d.destination = ?1 AND d.state = 'waiting' AND d.head = 1 AND d.due_at <= ?2 \
         AND NOT EXISTS (SELECT 1 FROM deliveries AS w INDEXED BY deliveries_effect WHERE w.subject = d.subject \
         AND w.destination = ?4 AND w.state IN ('waiting', 'in_flight', 'parked')) \
         AND NOT EXISTS (SELECT 1 FROM exceptions AS x INDEXED BY exceptions_open_by_subject WHERE x.subject = d.subject \
         AND x.state = 'open' AND x.destination = ?4) ORDER BY d.due_at LIMIT ?3"
    )
}

/// Whether everything that a destination was to get of a delivery's subject was given up.
pub(super) const ORPHANED: &str = "SELECT MAX(w.state = 'delivered') = 0 FROM deliveries AS d \
     JOIN deliveries AS w INDEXED BY deliveries_effect ON w.subject = d.subject AND w.destination = ?2 WHERE d.id = ?1";

/// Due heads, oldest due first, at most as many a destination as it has free places.
pub(super) fn due(conn: &Connection, now: Timestamp, slots: &[Slots]) -> Outcome<Vec<PackedDelivery>> {
    let sql = due_sql();
    let mut due = Vec::new();
    for slot in slots.iter().filter(|slot| slot.free > 0) {
        let at = now.as_microsecond();
        let Some(leader) = &slot.after else {
            due.extend(tx::rows(conn, &sql, (&slot.destination, at, slot.free), packed)?);
            continue;
        };
        let sql = due_after_sql();
        for mut one in tx::rows(conn, &sql, (&slot.destination, at, slot.free, leader), packed)? {
            let id = one.delivery.id;
            let orphaned = tx::row(conn, ORPHANED, (id.as_bytes(), leader), |row| row.get::<_, Option<bool>>(0))?;
            one.delivery.orphaned = orphaned.flatten().unwrap_or(false);
            due.push(one);
        }
    }
    due.sort_by_key(|delivery| delivery.due_at);
    Ok(due)
}

/// One delivery, whatever its state.
pub(super) fn one(conn: &Connection, id: DeliveryId) -> Outcome<Option<PackedDelivery>> {
    tx::row(conn, &format!("{COLUMNS} WHERE d.id = ?1"), [id.as_bytes()], packed)
}

/// The earliest time of any waiting head: one step of the index a destination.
pub(super) const NEXT_DUE: &str = "WITH RECURSIVE known (name) AS (\
     SELECT MIN(destination) FROM deliveries WHERE state = 'waiting' AND head = 1 \
     UNION ALL SELECT (SELECT MIN(destination) FROM deliveries \
     WHERE state = 'waiting' AND head = 1 AND destination > known.name) FROM known WHERE known.name IS NOT NULL) \
     SELECT MIN((SELECT MIN(due_at) FROM deliveries WHERE destination = known.name AND state = 'waiting' AND head = 1)) \
     FROM known WHERE known.name IS NOT NULL";

/// The earliest time of any waiting head.
pub(super) fn next_due_at(conn: &Connection) -> Outcome<Option<Timestamp>> {
    let at = tx::row(conn, NEXT_DUE, [], |row| row.get::<_, Option<i64>>(0))?.flatten();
    Ok(at.map(from_micros))
}

/// What was in flight when the process before this one ended.
pub(super) const INTERRUPTED: &str = "WHERE d.state = 'in_flight' AND d.interrupted = 1";

/// As [`INTERRUPTED`], with the columns.
pub(super) fn interrupted_sql() -> String {
    format!("{COLUMNS} {INTERRUPTED}")
}

/// Attempts without an outcome from before this process, oldest first.
pub(super) fn interrupted(conn: &Connection) -> Outcome<Vec<Started>> {
    with_starts(conn, tx::rows(conn, &interrupted_sql(), [], packed)?)
}

/// What is in flight past its attempt's deadline.
pub(super) const OVERDUE: &str = "WHERE d.state = 'in_flight' AND EXISTS (SELECT 1 FROM attempts AS a \
     WHERE a.delivery = d.seq AND a.number = d.attempts AND a.finished_at IS NULL AND a.deadline < ?1)";

/// Attempts without an outcome past their deadline, oldest first.
pub(super) fn overdue(conn: &Connection, now: Timestamp) -> Outcome<Vec<Started>> {
    with_starts(conn, tx::rows(conn, &format!("{COLUMNS} {OVERDUE}"), [now.as_microsecond()], packed)?)
}

/// A delivery in flight, when its attempt started, and whether that is a look.
pub(super) type Started = (PackedDelivery, Timestamp, AttemptPurpose);

fn with_starts(conn: &Connection, deliveries: Vec<PackedDelivery>) -> Outcome<Vec<Started>> {
    let mut found = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        let started = tx::row(
            conn,
            "SELECT a.started_at, a.purpose FROM attempts AS a JOIN deliveries AS d ON d.seq = a.delivery \
             WHERE d.id = ?1 AND a.number = ?2",
            (delivery.id().as_bytes(), delivery.number),
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)),
        )?;
        let (started_at, purpose) = started.unwrap_or_default();
        // Without a row nobody can say that nothing was sent.
        let purpose = AttemptPurpose::parse(&purpose).unwrap_or_default();
        found.push((delivery, from_micros(started_at), purpose));
    }
    found.sort_by_key(|(_, started_at, _)| *started_at);
    Ok(found)
}

/// Waiting heads whose destination is none of a JSON array of names.
pub(super) const STRANDED: &str = "WHERE d.seq IN (SELECT seq FROM deliveries INDEXED BY deliveries_due \
     WHERE state = 'waiting' AND head = 1 AND destination NOT IN (SELECT value FROM json_each(?1)) LIMIT 128)";

/// Some of the waiting heads that no configured destination would ever take.
pub(super) fn stranded(conn: &Connection, known: &[String]) -> Outcome<Vec<PackedDelivery>> {
    let known = serde_json::to_string(known).expect("names are JSON");
    tx::rows(conn, &format!("{COLUMNS} {STRANDED}"), [known], packed)
}

/// With the plain bodies.
pub(super) fn open_interrupted(found: Started, keys: &Keys) -> Result<Interrupted, StoreError> {
    let (packed, started_at, purpose) = found;
    let (number, epoch) = (packed.number, packed.epoch);
    let (_, delivery) = packed.open(keys)?;
    Ok(Interrupted { delivery, number, epoch, purpose, started_at })
}
