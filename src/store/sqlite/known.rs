//! Rows of the catalogue cache.

use rusqlite::Connection;

use super::fault::Outcome;
use super::tx::{self, Tx, count};
use crate::clock::from_micros;
use crate::store::StoreError;
use crate::store::known::{KnownKey, KnownKind, KnownRow};

/// Writes what is known and takes out what is no longer kept.
pub(super) fn keep(tx: &Tx<'_>, known: &[KnownRow], gone: &[KnownKey]) -> Outcome<()> {
    for row in known {
        tx.run(
            "INSERT INTO known (system, kind, id, sku, fetched_at, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
             ON CONFLICT (system, kind, id) DO UPDATE SET sku = excluded.sku, fetched_at = excluded.fetched_at, \
             body = excluded.body",
            rusqlite::params![
                row.key.system,
                row.key.kind.as_str(),
                whole(row.key.id),
                row.sku,
                row.fetched_at.as_microsecond(),
                row.body,
            ],
        )?;
    }
    for key in gone {
        tx.run(
            "DELETE FROM known WHERE system = ?1 AND kind = ?2 AND id = ?3",
            rusqlite::params![key.system, key.kind.as_str(), whole(key.id)],
        )?;
    }
    Ok(())
}

fn whole(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}

/// Everything that is known.
pub(super) fn all(conn: &Connection) -> Outcome<Vec<KnownRow>> {
    let found = tx::rows(
        conn,
        "SELECT system, kind, id, sku, fetched_at, body FROM known ORDER BY system, kind, id",
        [],
        |row| {
            let word: String = row.get(1)?;
            let Some(kind) = KnownKind::ALL.into_iter().find(|known| known.as_str() == word) else {
                return Ok(Err(StoreError::Corrupt("something known of an unknown kind".to_owned())));
            };
            Ok(Ok(KnownRow {
                key: KnownKey { system: row.get(0)?, kind, id: count(row.get(2)?) },
                sku: row.get(3)?,
                fetched_at: from_micros(row.get(4)?),
                body: row.get(5)?,
            }))
        },
    )?;
    Ok(found.into_iter().collect::<Result<_, _>>()?)
}
