//! One open transaction: the connection, and what it changes in the counts.

use std::cell::RefCell;
use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Params, Row, Statement};

use super::fault::Outcome;
use super::tally::Tally;
use crate::store::StoreError;

/// Where prepared statements are found.
pub(super) trait Prepared {
    /// Does `work` with the statement of `sql`.
    fn with(&self, sql: &str, work: &mut dyn FnMut(&mut Statement<'_>) -> rusqlite::Result<()>)
    -> rusqlite::Result<()>;
}

impl Prepared for Connection {
    fn with(
        &self,
        sql: &str,
        work: &mut dyn FnMut(&mut Statement<'_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        work(&mut *self.prepare_cached(sql)?)
    }
}

/// Statements by the place of their text in the program. The writer runs a dozen an order, all of them constants: the
/// connection's own cache would hash each text twice and move its entry about, a sixth of what the statement costs.
pub(super) struct Shelf<'c> {
    conn: &'c Connection,
    known: RefCell<HashMap<(usize, usize), Option<Kept<'c>>>>,
}

/// A statement and its text: a place says nothing about what stands there now.
struct Kept<'c> {
    sql: Box<str>,
    statement: Statement<'c>,
}

/// Most statements kept; texts that are put together at run time come from ever new places.
const KEPT_MAX: usize = 256;

impl<'c> Shelf<'c> {
    pub(super) fn new(conn: &'c Connection) -> Self {
        Shelf { conn, known: RefCell::new(HashMap::new()) }
    }

    fn take(&self, place: (usize, usize), sql: &str) -> Option<Kept<'c>> {
        let kept = self.known.borrow_mut().get_mut(&place)?.take()?;
        (*kept.sql == *sql).then_some(kept)
    }

    fn put(&self, place: (usize, usize), kept: Kept<'c>) {
        let mut known = self.known.borrow_mut();
        if known.len() >= KEPT_MAX && !known.contains_key(&place) {
            known.clear();
        }
        known.insert(place, Some(kept));
    }
}

impl Prepared for Shelf<'_> {
    fn with(
        &self,
        sql: &str,
        work: &mut dyn FnMut(&mut Statement<'_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let place = (sql.as_ptr().addr(), sql.len());
        let mut kept = match self.take(place, sql) {
            Some(kept) => kept,
            None => Kept { sql: sql.into(), statement: self.conn.prepare(sql)? },
        };
        let done = work(&mut kept.statement);
        self.put(place, kept);
        done
    }
}

/// An open transaction. Statements are prepared once a connection.
pub(super) struct Tx<'c> {
    /// The connection, inside a transaction.
    pub(super) conn: &'c Connection,
    prepared: &'c dyn Prepared,
    /// Changes of counts, written when the transaction ends.
    pub(super) tally: Tally,
}

impl<'c> Tx<'c> {
    pub(super) fn new(conn: &'c Connection) -> Self {
        Tx { conn, prepared: conn, tally: Tally::default() }
    }

    /// With statements of its own.
    pub(super) fn with(conn: &'c Connection, prepared: &'c dyn Prepared) -> Self {
        Tx { conn, prepared, tally: Tally::default() }
    }

    /// Runs a statement; how many rows it changed.
    pub(super) fn run(&self, sql: &str, params: impl Params) -> Outcome<usize> {
        self.once(sql, params, |statement, params| statement.execute(params))
    }

    /// Inserts one row; its `seq`.
    pub(super) fn insert(&self, sql: &str, params: impl Params) -> Outcome<i64> {
        self.run(sql, params)?;
        Ok(self.conn.last_insert_rowid())
    }

    /// The first row, if any.
    pub(super) fn row<T>(
        &self,
        sql: &str,
        params: impl Params,
        map: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Outcome<Option<T>> {
        self.once(sql, (params, map), |statement, (params, map)| statement.query_row(params, map).optional())
    }

    /// All rows.
    pub(super) fn rows<T>(
        &self,
        sql: &str,
        params: impl Params,
        map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Outcome<Vec<T>> {
        self.once(sql, (params, map), |statement, (params, map)| statement.query_map(params, map)?.collect())
    }

    fn once<P, T>(
        &self,
        sql: &str,
        given: P,
        work: impl FnOnce(&mut Statement<'_>, P) -> rusqlite::Result<T>,
    ) -> Outcome<T> {
        let mut job = Some((given, work));
        let mut answer = None;
        self.prepared.with(sql, &mut |statement| {
            if let Some((given, work)) = job.take() {
                answer = Some(work(statement, given)?);
            }
            Ok(())
        })?;
        Ok(answer.expect("a statement that did not fail was run"))
    }
}

/// The first row, if any.
pub(super) fn row<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    map: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Outcome<Option<T>> {
    Ok(conn.prepare_cached(sql)?.query_row(params, map).optional()?)
}

/// All rows.
pub(super) fn rows<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Outcome<Vec<T>> {
    let mut statement = conn.prepare_cached(sql)?;
    let mapped = statement.query_map(params, map)?;
    Ok(mapped.collect::<rusqlite::Result<Vec<T>>>()?)
}

/// A count for a column; counts of ours are far below the limit.
pub(super) fn int(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A stored count that is never negative.
pub(super) fn count(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}

/// A stored small number; anything else in the column is damage.
pub(super) fn small(stored: i64) -> Result<u32, StoreError> {
    u32::try_from(stored).map_err(|_| StoreError::Corrupt(format!("{stored} stands where a small number belongs")))
}
