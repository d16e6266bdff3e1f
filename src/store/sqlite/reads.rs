//! Single rows, groups and figures.

use rusqlite::Connection;

use super::bodies;
use super::fault::{Fault, Outcome};
use super::lists;
use super::rows;
use super::tally;
use super::tx::{self, count};
use crate::clock::{Timestamp, from_micros};
use crate::envelope::ids::{DeliveryId, DocumentId, EnvelopeId, ExceptionId};
use crate::envelope::keys::Digest;
use crate::store::seal::{Keys, Shape, gone};
use crate::store::view::{
    DeliveryDetail, DocumentRow, EventRow, ExceptionGroup, ExceptionRow, MappingRecord, MappingTableRow, StoreFigures,
    TokenRow,
};
use crate::store::{ExceptionFilter, StoreError};

/// One event.
pub(super) fn event(conn: &Connection, id: EnvelopeId) -> Outcome<Option<EventRow>> {
    let sql = format!("{} FROM envelopes AS e {} WHERE e.id = ?1", rows::EVENT, rows::EVENT_JOINS);
    tx::row(conn, &sql, [id.as_bytes()], |row| Ok(rows::event(row)?.1))
}

/// One delivery with its attempts.
pub(super) fn delivery(conn: &Connection, id: DeliveryId, keys: &Keys) -> Outcome<Option<DeliveryDetail>> {
    let sql = format!("{} FROM deliveries AS d {} WHERE d.id = ?1", rows::DELIVERY, rows::DELIVERY_JOINS);
    match tx::row(conn, &sql, [id.as_bytes()], rows::delivery)? {
        Some((seq, head)) => rows::detail(conn, seq, head, keys).map(Some),
        None => Ok(None),
    }
}

/// One document with its body.
pub(super) fn document(conn: &Connection, id: DocumentId, keys: &Keys) -> Outcome<Option<DocumentRow>> {
    let Some(mut document) =
        tx::row(conn, &format!("{} WHERE o.id = ?1", rows::DOCUMENT), [id.as_bytes()], rows::document)?
    else {
        return Ok(None);
    };
    let (stored, shape) =
        tx::row(conn, "SELECT body, plain_bytes, digest FROM documents WHERE id = ?1", [id.as_bytes()], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, Shape::new(row.get(1)?, row.get(2)?)))
        })?
        .ok_or_else(|| Fault::not_found(id.to_string()))?;
    if let Some(words) = gone(&stored) {
        document.gone = Some(words.to_owned());
        return Ok(Some(document));
    }
    let plain = keys.unpack(&stored, bodies::DOCUMENT, id.as_bytes(), shape)?;
    let body =
        serde_json::from_slice(&plain).map_err(|reason| StoreError::Corrupt(format!("{id} is not JSON: {reason}")))?;
    document.body = Some(body);
    Ok(Some(document))
}

/// One exception.
pub(super) fn exception(conn: &Connection, id: ExceptionId, now: Timestamp) -> Outcome<Option<ExceptionRow>> {
    let sql = format!("{} FROM exceptions AS x {} WHERE x.id = ?1", rows::EXCEPTION, rows::EXCEPTION_JOINS);
    let mut found = tx::row(conn, &sql, [id.as_bytes()], |row| Ok(rows::exception(row)?.1))?;
    if let Some(row) = &mut found {
        row.at(now);
    }
    Ok(found)
}

/// Exceptions that wait, by cause, largest first.
pub(super) fn groups(conn: &Connection, filter: &ExceptionFilter, now: Timestamp) -> Outcome<Vec<ExceptionGroup>> {
    let (sql, values) = lists::groups_plan(filter, now);
    // With one MIN and one MAX SQLite does not promise which row the bare columns come from; any of the group will do.
    let mut groups = tx::rows(conn, &sql, rusqlite::params_from_iter(values), |row| {
        Ok(ExceptionGroup {
            fingerprint: row.get(0)?,
            code: row.get(1)?,
            open: count(row.get(2)?),
            first_opened_at: from_micros(row.get(3)?),
            message: row.get(4)?,
            remedy: row.get(5)?,
            example: ExceptionId::from_bytes(row.get(6)?),
            last_opened_at: from_micros(row.get(7)?),
            severity: row.get(8)?,
            owner: row.get(9)?,
            assigned: count(row.get(10)?),
            snoozed: count(row.get(11)?),
            due_at: None,
            overdue: false,
        })
    })?;
    groups
        .sort_by(|one, other| other.open.cmp(&one.open).then_with(|| one.first_opened_at.cmp(&other.first_opened_at)));
    Ok(groups)
}

/// The oldest waiting delivery of a destination.
pub(super) const OLDEST: &str = "SELECT created_at FROM deliveries INDEXED BY deliveries_waiting \
     WHERE destination = ?1 AND state = 'waiting' ORDER BY seq LIMIT 1";

/// Figures that do not grow with the store; the caller adds the sizes of the files.
pub(super) fn figures(conn: &Connection) -> Outcome<StoreFigures> {
    let mut figures = StoreFigures::default();
    for (name, n) in tally::all(conn)? {
        if let Some(destination) = name.strip_prefix(tally::WAITING) {
            figures.backlog.push(waiting(conn, destination, n)?);
        } else if let Some(code) = name.strip_prefix(tally::OPEN) {
            figures.open_exceptions.push((code.to_owned(), count(n)));
        } else if name == tally::UNPROCESSED {
            figures.unprocessed = count(n);
        }
    }
    Ok(figures)
}

/// What waits for each destination: its name, how many, since when the oldest.
pub(super) fn backlog(conn: &Connection) -> Outcome<Vec<(String, u64, Option<Timestamp>)>> {
    let all = tally::all(conn)?;
    let each = all.iter().filter_map(|(name, n)| Some((name.strip_prefix(tally::WAITING)?, *n)));
    each.map(|(destination, n)| waiting(conn, destination, n)).collect()
}

fn waiting(conn: &Connection, destination: &str, n: i64) -> Outcome<(String, u64, Option<Timestamp>)> {
    let oldest = tx::row(conn, OLDEST, [destination], |row| row.get::<_, i64>(0))?;
    Ok((destination.to_owned(), count(n), oldest.map(from_micros)))
}

/// All mapping tables with their heads.
pub(super) fn mapping_tables(conn: &Connection) -> Outcome<Vec<MappingTableRow>> {
    tx::rows(conn, "SELECT name, rows, version, changed_at, changed_by FROM mapping_tables ORDER BY name", [], |row| {
        Ok(MappingTableRow {
            table: row.get(0)?,
            rows: count(row.get(1)?),
            version: count(row.get(2)?),
            changed_at: Some(from_micros(row.get(3)?)),
            changed_by: Some(row.get(4)?),
        })
    })
}

/// The rows of one table.
pub(super) fn mapping_rows(conn: &Connection, table: &str) -> Outcome<Vec<MappingRecord>> {
    tx::rows(
        conn,
        "SELECT key, value, destination FROM mappings WHERE name = ?1 ORDER BY key, destination",
        [table],
        |row| Ok(MappingRecord { key: row.get(0)?, value: row.get(1)?, destination: row.get(2)? }),
    )
}

/// The token with this secret's digest that is in force.
pub(super) fn token_by_secret(conn: &Connection, secret: Digest, now: Timestamp) -> Outcome<Option<TokenRow>> {
    let sql =
        format!("{} WHERE secret = ?1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?2)", rows::TOKEN);
    tx::row(conn, &sql, (secret.0, now.as_microsecond()), rows::token)
}

/// All tokens, oldest first.
pub(super) fn tokens(conn: &Connection) -> Outcome<Vec<TokenRow>> {
    tx::rows(conn, &format!("{} ORDER BY id", rows::TOKEN), [], rows::token)
}
