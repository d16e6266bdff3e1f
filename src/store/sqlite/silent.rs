//! P6, bounded silence: every envelope that is not finished has somebody or something that comes back to it.

use rusqlite::Connection;

use super::fault::Outcome;
use super::tx;
use crate::envelope::ids::EnvelopeId;
use crate::store::books::SilentSlice;

/// Unfinished envelopes, and whether something comes back to each:
///
/// * with a person: an exception of it, or of a delivery of it, is open;
/// * not concluded: it is its turn at the processor, or an earlier one of its subject has it;
/// * held: it waits for its order until a time of its own (LANE-4);
/// * awaited: it waits for its order to be read from Commerce, at a time that stands with the read;
/// * on its way: every open delivery of it is on the wire (an attempt with a deadline), due at its time, or behind a head
///   of its lane that is one of these, or parked with an open exception.
pub(super) const UNFINISHED: &str = "SELECT e.seq, e.id, CASE \
     WHEN e.state = 'exception' THEN \
       EXISTS (SELECT 1 FROM exceptions AS x INDEXED BY exceptions_open_by_envelope \
               WHERE x.envelope = e.seq AND x.state = 'open') \
       OR EXISTS (SELECT 1 FROM deliveries AS d INDEXED BY deliveries_by_envelope \
                  CROSS JOIN exceptions AS x INDEXED BY exceptions_open_by_delivery ON x.delivery = d.seq AND x.state = 'open' \
                  WHERE d.envelope = e.seq AND d.state = 'parked') \
     WHEN e.turn IN ('ready', 'begun') THEN 1 \
     WHEN e.turn = 'behind' THEN \
       EXISTS (SELECT 1 FROM envelopes AS b INDEXED BY envelopes_unconcluded \
               WHERE b.subject = e.subject AND b.turn IS NOT NULL AND b.seq < e.seq AND b.turn IN ('ready', 'begun')) \
     ELSE \
       (EXISTS (SELECT 1 FROM deliveries AS d INDEXED BY deliveries_by_envelope \
                WHERE d.envelope = e.seq AND d.state IN ('waiting', 'in_flight')) \
        OR EXISTS (SELECT 1 FROM held WHERE envelope = e.seq) \
        OR EXISTS (SELECT 1 FROM awaited_reads AS a CROSS JOIN wanted_reads AS w ON w.seq = a.read \
                   WHERE a.envelope = e.seq)) \
       AND NOT EXISTS (SELECT 1 FROM deliveries AS d INDEXED BY deliveries_by_envelope \
               WHERE d.envelope = e.seq AND CASE d.state \
               WHEN 'in_flight' THEN NOT EXISTS (SELECT 1 FROM attempts AS a WHERE a.delivery = d.seq \
                    AND a.number = d.attempts AND a.finished_at IS NULL) \
               WHEN 'waiting' THEN d.head = 0 AND NOT EXISTS ( \
                    SELECT 1 FROM deliveries AS h INDEXED BY deliveries_head \
                    WHERE h.subject = d.subject AND h.destination = d.destination AND h.head = 1 AND (h.state <> 'parked' \
                    OR EXISTS (SELECT 1 FROM exceptions AS x INDEXED BY exceptions_open_by_delivery \
                               WHERE x.delivery = h.seq AND x.state = 'open'))) \
               ELSE 0 END) \
     END FROM envelopes AS e INDEXED BY envelopes_open \
     WHERE e.seq > ?1 AND e.state IN ('received', 'exception') ORDER BY e.seq LIMIT ?2";

/// Looks at a stretch of unfinished envelopes.
pub(super) fn look(conn: &Connection, after: i64, limit: u32) -> Outcome<SilentSlice> {
    let rows = tx::rows(conn, UNFINISHED, (after, limit), |row| {
        Ok((row.get::<_, i64>(0)?, EnvelopeId::from_bytes(row.get(1)?), row.get::<_, bool>(2)?))
    })?;
    let next = (rows.len() == limit as usize).then(|| rows.last().map(|(seq, ..)| *seq)).flatten();
    let silent = rows.iter().filter(|(.., cared_for)| !cared_for).map(|(_, id, _)| *id).collect();
    Ok(SilentSlice { looked_at: rows.len() as u64, silent, next })
}
