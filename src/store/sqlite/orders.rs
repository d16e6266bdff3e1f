//! Orders: lists by what they wait for, and one order with its whole story.

use rusqlite::Connection;

use super::cursor;
use super::fault::Outcome;
use super::lists::{WALK_MAX, cut};
use super::rows;
use super::tx;
use crate::clock::Timestamp;
use crate::store::OrderFilter;
use crate::store::seal::Keys;
use crate::store::view::{OrderDetail, OrderRow, Page, Paging};

/// Longest story shown of one order; what is longer has its own lists.
const STORY_MAX: i64 = 1_000;

/// Orders that wait for a person.
pub(super) const PARKED: &str = "SELECT DISTINCT subject FROM exceptions INDEXED BY exceptions_open_by_subject \
     WHERE state = 'open' AND subject < ?1 ORDER BY subject DESC LIMIT ?2";

/// Orders that wait for us: open lanes and events not concluded yet. Parked ones are among them and are left out later.
pub(super) const DUE: &str = "SELECT subject FROM (SELECT DISTINCT subject FROM deliveries INDEXED BY deliveries_head \
     WHERE head = 1 AND subject < ?1 ORDER BY subject DESC LIMIT ?2) UNION \
     SELECT subject FROM (SELECT DISTINCT subject FROM envelopes INDEXED BY envelopes_unconcluded \
     WHERE turn IS NOT NULL AND subject < ?1 ORDER BY subject DESC LIMIT ?2) UNION \
     SELECT subject FROM (SELECT DISTINCT subject FROM held WHERE subject < ?1 ORDER BY subject DESC LIMIT ?2) UNION \
     SELECT subject FROM (SELECT subject FROM wanted_reads WHERE subject < ?1 ORDER BY subject DESC LIMIT ?2) \
     ORDER BY subject DESC LIMIT ?2";

/// Orders of one number.
pub(super) const NUMBERED: &str =
    "SELECT seq FROM subjects WHERE id = ?1 AND kind = 'order' AND seq < ?2 ORDER BY +seq DESC LIMIT ?3";

/// All orders, newest first.
pub(super) const ALL: &str = "SELECT seq FROM subjects NOT INDEXED WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2";

fn candidates(conn: &Connection, filter: &OrderFilter, before: i64, limit: i64) -> Outcome<Vec<i64>> {
    if let Some(number) = &filter.increment_id {
        return tx::rows(conn, NUMBERED, (number, before, limit), |row| row.get(0));
    }
    let sql = match filter.state.as_deref() {
        Some("parked") => PARKED,
        Some("due") => DUE,
        _ => ALL,
    };
    tx::rows(conn, sql, (before, limit), |row| row.get(0))
}

/// The order of this row.
pub(super) fn one(conn: &Connection, seq: i64) -> Outcome<Option<(i64, OrderRow)>> {
    tx::row(conn, &format!("{} WHERE s.seq = ?1 AND s.kind = 'order'", rows::order_columns()), [seq], rows::order)
}

/// Orders, newest first. Looks at a bounded number of rows a page: one may be short and still have a next one.
pub(super) fn list(conn: &Connection, filter: &OrderFilter, paging: &Paging) -> Outcome<Page<OrderRow>> {
    let range = cursor::range("orders", paging)?;
    let batch = tx::int(range.limit) + 1;
    let (mut found, mut before, mut looked_at) = (Vec::new(), range.before, 0);
    while found.len() <= range.limit {
        let next = candidates(conn, filter, before, batch)?;
        let Some(last) = next.last().copied() else { return Ok(cut("orders", found, range.limit, None)) };
        for seq in &next {
            found.extend(one(conn, *seq)?.filter(|(_, order)| is_wanted(order, filter)));
        }
        before = last;
        looked_at += tx::int(next.len());
        if looked_at >= WALK_MAX {
            break;
        }
    }
    Ok(cut("orders", found, range.limit, Some(before)))
}

fn is_wanted(order: &OrderRow, filter: &OrderFilter) -> bool {
    filter.state.as_ref().is_none_or(|state| *state == order.state)
        && filter.system.as_ref().is_none_or(|system| *system == order.system)
}

/// Every order of that number with its story.
pub(super) fn story(conn: &Connection, increment_id: &str, keys: &Keys, now: Timestamp) -> Outcome<Vec<OrderDetail>> {
    let mut found: Vec<i64> = tx::rows(conn, NUMBERED, (increment_id, i64::MAX, STORY_MAX), |row| row.get(0))?;
    found.reverse();
    let mut stories = Vec::with_capacity(found.len());
    for seq in found {
        if let Some((_, order)) = one(conn, seq)? {
            let mut told = story_of(conn, seq, order, keys)?;
            for exception in &mut told.exceptions {
                exception.at(now);
            }
            stories.push(told);
        }
    }
    Ok(stories)
}

fn story_of(conn: &Connection, subject: i64, order: OrderRow, keys: &Keys) -> Outcome<OrderDetail> {
    let bound = (subject, STORY_MAX);
    let events = tx::rows(
        conn,
        &format!(
            "{} FROM envelopes AS e {} WHERE e.subject = ?1 ORDER BY e.seq LIMIT ?2",
            rows::EVENT,
            rows::EVENT_JOINS
        ),
        bound,
        |row| Ok(rows::event(row)?.1),
    )?;
    let documents = tx::rows(
        conn,
        &format!("{} WHERE e.subject = ?1 ORDER BY o.seq LIMIT ?2", rows::DOCUMENT),
        bound,
        rows::document,
    )?;
    let heads = tx::rows(
        conn,
        &format!(
            "{} FROM deliveries AS d {} WHERE d.subject = ?1 ORDER BY d.seq LIMIT ?2",
            rows::DELIVERY,
            rows::DELIVERY_JOINS
        ),
        bound,
        rows::delivery,
    )?;
    let mut deliveries = Vec::with_capacity(heads.len());
    for (seq, head) in heads {
        deliveries.push(rows::detail(conn, seq, head, keys)?);
    }
    let exceptions = tx::rows(
        conn,
        &format!(
            "{} FROM exceptions AS x {} WHERE x.subject = ?1 ORDER BY x.seq LIMIT ?2",
            rows::EXCEPTION,
            rows::EXCEPTION_JOINS
        ),
        bound,
        |row| Ok(rows::exception(row)?.1),
    )?;
    Ok(OrderDetail { order, events, documents, deliveries, exceptions })
}
