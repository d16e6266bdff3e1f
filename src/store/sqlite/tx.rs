//! One open transaction: the connection, and what it changes in the counts.

use rusqlite::{Connection, OptionalExtension, Params, Row};

use super::fault::Outcome;
use super::tally::Tally;
use crate::store::StoreError;

/// An open transaction. Statements are prepared once a connection.
pub(super) struct Tx<'c> {
    /// The connection, inside a transaction.
    pub(super) conn: &'c Connection,
    /// Changes of counts, written when the transaction ends.
    pub(super) tally: Tally,
    /// When this file was put in place of another, if it ever was (BAK-3).
    pub(super) restored_at: Option<i64>,
}

impl<'c> Tx<'c> {
    pub(super) fn new(conn: &'c Connection) -> Self {
        Tx { conn, tally: Tally::default(), restored_at: None }
    }

    /// Runs a statement; how many rows it changed.
    pub(super) fn run(&self, sql: &str, params: impl Params) -> Outcome<usize> {
        Ok(self.conn.prepare_cached(sql)?.execute(params)?)
    }

    /// Inserts one row; its `seq`.
    pub(super) fn insert(&self, sql: &str, params: impl Params) -> Outcome<i64> {
        self.conn.prepare_cached(sql)?.execute(params)?;
        Ok(self.conn.last_insert_rowid())
    }

    /// The first row, if any.
    pub(super) fn row<T>(
        &self,
        sql: &str,
        params: impl Params,
        map: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Outcome<Option<T>> {
        row(self.conn, sql, params, map)
    }

    /// All rows.
    pub(super) fn rows<T>(
        &self,
        sql: &str,
        params: impl Params,
        map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Outcome<Vec<T>> {
        rows(self.conn, sql, params, map)
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
