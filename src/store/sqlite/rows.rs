//! From columns to the rows that people and the API see.

use rusqlite::{Connection, Row};

use super::fault::Outcome;
use super::tx::{self, count};
use super::{bodies, sealing};
use crate::clock::from_micros;
use crate::envelope::ids::{DeliveryId, DocumentId, EnvelopeId, ExceptionId, RequestId, TokenId};
use crate::envelope::keys::Digest;
use crate::store::seal::Keys;
use crate::store::view::{
    AttemptRow, DeliveryDetail, DeliveryRow, DocumentRow, EventRow, ExceptionRow, ExceptionSubject, OrderRow,
    SealedView, TokenRow,
};
use crate::store::write::Edit;

/// Columns and tables of an event; the body stays where it is.
pub(super) const EVENT: &str = "SELECT e.seq, e.id, e.origin, e.kind, e.event_name, s.system, s.kind, s.scope, s.id, \
     e.state, e.explanation, p.verification, COALESCE(k.hits, 0), p.plain_bytes, p.digest, e.path, p.request_id, \
     p.config_version, e.received_at";

/// What [`EVENT`] joins.
pub(super) const EVENT_JOINS: &str = "JOIN subjects AS s ON s.seq = e.subject JOIN payloads AS p ON p.seq = e.payload \
     LEFT JOIN dedup_keys AS k ON k.key = e.event_key";

/// A row of [`EVENT`].
pub(super) fn event(row: &Row<'_>) -> rusqlite::Result<(i64, EventRow)> {
    let event = EventRow {
        id: EnvelopeId::from_bytes(row.get(1)?),
        origin: row.get(2)?,
        kind: row.get(3)?,
        event_name: row.get(4)?,
        system: row.get(5)?,
        subject_kind: row.get(6)?,
        subject_scope: row.get(7)?,
        subject_id: row.get(8)?,
        state: row.get(9)?,
        explanation: row.get(10)?,
        verification: row.get(11)?,
        duplicates: count(row.get(12)?),
        body_bytes: count(row.get(13)?),
        body_digest: Digest(row.get(14)?).hex(),
        path: row.get(15)?,
        request_id: RequestId::from_bytes(row.get(16)?),
        config_version: row.get(17)?,
        received_at: from_micros(row.get(18)?),
    };
    Ok((row.get(0)?, event))
}

/// Columns of a delivery.
pub(super) const DELIVERY: &str = "SELECT d.seq, d.id, d.key, d.destination, s.system, s.kind, s.scope, s.id, d.purpose, \
     d.generation, o.id, d.state, d.uncertain, d.due_at, d.attempts, d.receipt, \
     (SELECT a.detail FROM attempts AS a WHERE a.delivery = d.seq AND a.detail IS NOT NULL ORDER BY a.number DESC LIMIT 1), \
     d.created_at, d.settled_at, d.revision, d.reported_at, d.overtakes, \
     EXISTS (SELECT 1 FROM edits AS h WHERE h.document = d.document)";

/// What [`DELIVERY`] joins.
pub(super) const DELIVERY_JOINS: &str =
    "JOIN subjects AS s ON s.seq = d.subject JOIN documents AS o ON o.seq = d.document";

/// A row of [`DELIVERY`].
pub(super) fn delivery(row: &Row<'_>) -> rusqlite::Result<(i64, DeliveryRow)> {
    let state: String = row.get(11)?;
    let due_at = (state == "waiting").then_some(from_micros(row.get(13)?));
    let delivery = DeliveryRow {
        id: DeliveryId::from_bytes(row.get(1)?),
        key: row.get(2)?,
        destination: row.get(3)?,
        system: row.get(4)?,
        subject_kind: row.get(5)?,
        subject_scope: row.get(6)?,
        subject_id: row.get(7)?,
        purpose: row.get(8)?,
        generation: row.get(9)?,
        document_id: DocumentId::from_bytes(row.get(10)?),
        state,
        uncertain: row.get(12)?,
        due_at,
        attempts: row.get(14)?,
        receipt: row.get(15)?,
        last_detail: row.get(16)?,
        created_at: from_micros(row.get(17)?),
        settled_at: row.get::<_, Option<i64>>(18)?.map(from_micros),
        revision: row.get(19)?,
        reported_at: row.get::<_, Option<i64>>(20)?.map(from_micros),
        overtakes: row.get(21)?,
        edited: row.get(22)?,
    };
    Ok((row.get(0)?, delivery))
}

/// A delivery with its attempts and what was sealed.
pub(super) fn detail(conn: &Connection, seq: i64, delivery: DeliveryRow, keys: &Keys) -> Outcome<DeliveryDetail> {
    let mut attempts_made = tx::rows(
        conn,
        "SELECT number, started_at, finished_at, outcome, status, detail, response, duration_us, purpose, steps \
         FROM attempts \
         WHERE delivery = ?1 UNION ALL \
         SELECT number, seen_at, seen_at, outcome, status, detail, response, duration_us, \
         COALESCE((SELECT a.purpose FROM attempts AS a WHERE a.delivery = e.delivery AND a.number = e.number), 'send'), NULL \
         FROM evidence AS e WHERE delivery = ?1 ORDER BY 1, 2",
        [seq],
        attempt,
    )?;
    for attempt in &mut attempts_made {
        let binding = sealing::of_attempt(delivery.id, attempt.number);
        attempt.response = attempt.response.take().map(|stored| keys.open_text(stored, bodies::ANSWER, &binding));
    }
    let sealed = tx::row(
        conn,
        "SELECT method, url, digest, body_bytes FROM sealed_requests WHERE delivery = ?1",
        [seq],
        |row| {
            let url: String = row.get(1)?;
            Ok(SealedView {
                method: row.get(0)?,
                url: url.split('?').next().unwrap_or_default().to_owned(),
                digest: Digest(row.get(2)?).hex(),
                body_bytes: count(row.get(3)?),
            })
        },
    )?;
    Ok(DeliveryDetail { delivery, attempts_made, sealed })
}

fn attempt(row: &Row<'_>) -> rusqlite::Result<AttemptRow> {
    Ok(AttemptRow {
        number: row.get(0)?,
        purpose: row.get(8)?,
        started_at: from_micros(row.get(1)?),
        finished_at: row.get::<_, Option<i64>>(2)?.map(from_micros),
        outcome: row.get(3)?,
        status: row.get(4)?,
        detail: row.get(5)?,
        response: row.get(6)?,
        duration_us: row.get::<_, Option<i64>>(7)?.map(count),
        steps: row.get::<_, Option<String>>(9)?.and_then(|steps| serde_json::from_str(&steps).ok()),
    })
}

/// Columns and tables of a document; the body stays where it is.
pub(super) const DOCUMENT: &str = "SELECT o.seq, o.id, e.id, o.kind, o.schema, o.destination, o.mappings_version, \
     o.created_at, p.id, h.edited_by, h.reason FROM documents AS o JOIN envelopes AS e ON e.seq = o.envelope \
     LEFT JOIN edits AS h ON h.document = o.seq LEFT JOIN documents AS p ON p.seq = h.original";

/// A row of [`DOCUMENT`].
pub(super) fn document(row: &Row<'_>) -> rusqlite::Result<DocumentRow> {
    Ok(DocumentRow {
        id: DocumentId::from_bytes(row.get(1)?),
        envelope_id: EnvelopeId::from_bytes(row.get(2)?),
        kind: row.get(3)?,
        schema: row.get(4)?,
        destination: row.get(5)?,
        mappings_version: count(row.get(6)?),
        created_at: from_micros(row.get(7)?),
        edited: match row.get::<_, Option<[u8; 16]>>(8)? {
            Some(original) => {
                Some(Edit { original: DocumentId::from_bytes(original), by: row.get(9)?, reason: row.get(10)? })
            }
            None => None,
        },
        body: None,
        gone: None,
    })
}

/// Columns of an exception.
pub(super) const EXCEPTION: &str = "SELECT x.seq, x.id, x.code, x.severity, x.owner, x.state, s.kind, s.system, s.scope, \
     s.id, x.destination, e.id, d.id, x.path, x.value, x.message, x.remedy, x.fingerprint, x.opened_at, x.resolved_at, \
     x.resolution, x.assignee, x.snoozed_until, x.dismissed, \
     (SELECT COUNT(*) FROM exception_notes AS n WHERE n.exception = x.seq)";

/// What [`EXCEPTION`] joins.
pub(super) const EXCEPTION_JOINS: &str = "JOIN subjects AS s ON s.seq = x.subject \
     LEFT JOIN envelopes AS e ON e.seq = x.envelope LEFT JOIN deliveries AS d ON d.seq = x.delivery";

/// A row of [`EXCEPTION`].
pub(super) fn exception(row: &Row<'_>) -> rusqlite::Result<(i64, ExceptionRow)> {
    let exception = ExceptionRow {
        id: ExceptionId::from_bytes(row.get(1)?),
        code: row.get(2)?,
        severity: row.get(3)?,
        owner: row.get(4)?,
        state: if row.get(23)? { "dismissed".to_owned() } else { row.get(5)? },
        assignee: row.get(21)?,
        snoozed_until: row.get::<_, Option<i64>>(22)?.map(from_micros),
        due_at: None,
        overdue: false,
        notes: count(row.get(24)?),
        subject: ExceptionSubject {
            kind: row.get(6)?,
            system: row.get(7)?,
            store_id: row.get(8)?,
            increment_id: row.get(9)?,
        },
        destination: row.get(10)?,
        envelope_id: row.get::<_, Option<[u8; 16]>>(11)?.map(EnvelopeId::from_bytes),
        delivery_id: row.get::<_, Option<[u8; 16]>>(12)?.map(DeliveryId::from_bytes),
        path: row.get(13)?,
        value: row.get(14)?,
        message: row.get(15)?,
        remedy: row.get(16)?,
        fingerprint: row.get(17)?,
        opened_at: from_micros(row.get(18)?),
        resolved_at: row.get::<_, Option<i64>>(19)?.map(from_micros),
        resolution: row.get(20)?,
    };
    Ok((row.get(0)?, exception))
}

/// What became of an order `s`: the first of parked, due, delivered, ignored that holds.
pub(super) const ORDER_STATE: &str = "CASE \
     WHEN EXISTS (SELECT 1 FROM exceptions WHERE subject = s.seq AND state = 'open') THEN 'parked' \
     WHEN EXISTS (SELECT 1 FROM deliveries WHERE subject = s.seq AND head = 1) THEN 'due' \
     WHEN EXISTS (SELECT 1 FROM envelopes INDEXED BY envelopes_unconcluded \
     WHERE subject = s.seq AND turn IS NOT NULL) THEN 'due' \
     WHEN EXISTS (SELECT 1 FROM held WHERE subject = s.seq) THEN 'due' \
     WHEN EXISTS (SELECT 1 FROM wanted_reads WHERE subject = s.seq) THEN 'due' \
     WHEN EXISTS (SELECT 1 FROM deliveries WHERE subject = s.seq AND state = 'delivered') THEN 'delivered' \
     ELSE 'ignored' END";

/// Columns of an order, [`ORDER_STATE`] the last of them.
pub(super) fn order_columns() -> String {
    format!(
        "SELECT s.seq, s.system, s.scope, s.id, s.entity_id, s.commerce_state, s.commerce_status, s.currency, \
         s.grand_total, s.placed_at, s.first_seen_at, s.last_seen_at, {ORDER_STATE} FROM subjects AS s"
    )
}

/// A row of [`order_columns`].
pub(super) fn order(row: &Row<'_>) -> rusqlite::Result<(i64, OrderRow)> {
    let order = OrderRow {
        system: row.get(1)?,
        store_id: row.get(2)?,
        increment_id: row.get(3)?,
        entity_id: row.get(4)?,
        commerce_state: row.get(5)?,
        commerce_status: row.get(6)?,
        currency: row.get(7)?,
        grand_total: row.get(8)?,
        placed_at: row.get::<_, Option<i64>>(9)?.map(from_micros),
        first_seen_at: from_micros(row.get(10)?),
        last_seen_at: from_micros(row.get(11)?),
        state: row.get(12)?,
    };
    Ok((row.get(0)?, order))
}

/// Columns of a token.
pub(super) const TOKEN: &str = "SELECT id, name, role, created_at, expires_at, revoked_at, scopes FROM tokens";

/// A row of [`TOKEN`].
pub(super) fn token(row: &Row<'_>) -> rusqlite::Result<TokenRow> {
    Ok(TokenRow {
        id: TokenId::from_bytes(row.get(0)?),
        name: row.get(1)?,
        role: row.get(2)?,
        created_at: from_micros(row.get(3)?),
        expires_at: row.get::<_, Option<i64>>(4)?.map(from_micros),
        revoked_at: row.get::<_, Option<i64>>(5)?.map(from_micros),
        scopes: row.get::<_, String>(6)?.split_ascii_whitespace().map(str::to_owned).collect(),
    })
}
