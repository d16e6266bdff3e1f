//! Mapping tables: replaced whole or changed row by row, each change with a version of its own and kept in the history.

use std::collections::{HashMap, HashSet};

use rusqlite::Connection;

use super::acts::recorded;
use super::cursor;
use super::fault::{Fault, Outcome};
use super::lists;
use super::reads;
use super::tx::{self, Tx, count, int};
use crate::clock::from_micros;
use crate::store::books::Done;
use crate::store::cases::{MappingChange, MappingEdit};
use crate::store::view::{MappingRecord, Page, Paging};
use crate::store::write::Act;

/// Version of the mappings; 0 before the first import.
pub(super) fn version(conn: &Connection) -> Outcome<i64> {
    let text =
        tx::row(conn, "SELECT value FROM meta WHERE name = 'mappings_version'", [], |row| row.get::<_, String>(0))?;
    Ok(text.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// Replaces a mapping table; the version of all mappings rises.
pub(super) fn import(tx: &mut Tx<'_>, table: &str, rows: &[MappingRecord], act: &Act) -> Outcome<u64> {
    let mut seen = HashSet::with_capacity(rows.len());
    if let Some(twice) = rows.iter().find(|row| !seen.insert((&row.key, &row.destination))) {
        let whom = if twice.destination.is_empty() { "all destinations" } else { &twice.destination };
        return Err(Fault::not_allowed(format!("the key \"{}\" stands twice for {whom}", twice.key)));
    }
    let before = reads::mapping_rows(tx.conn, table)?;
    let version = rise(tx, table, rows.len(), act)?;
    // What a first import brings is no change of anything; it may be a hundred thousand rows.
    if !before.is_empty() {
        let mut left: HashMap<(&str, &str), &str> =
            before.iter().map(|row| ((row.key.as_str(), row.destination.as_str()), row.value.as_str())).collect();
        for row in rows {
            let was = left.remove(&(row.key.as_str(), row.destination.as_str()));
            changed(tx, table, (&row.key, &row.destination), (was, Some(&row.value)), version, act)?;
        }
        for row in &before {
            if let Some(was) = left.remove(&(row.key.as_str(), row.destination.as_str())) {
                changed(tx, table, (&row.key, &row.destination), (Some(was), None), version, act)?;
            }
        }
    }
    tx.run("DELETE FROM mappings WHERE name = ?1", [table])?;
    for row in rows {
        tx.run(
            "INSERT INTO mappings (name, key, destination, value) VALUES (?1, ?2, ?3, ?4)",
            (table, &row.key, &row.destination, &row.value),
        )?;
    }
    let version = count(version);
    recorded(tx, act, Done::Mappings(version))?;
    Ok(version)
}

/// Changes single rows. Where nothing changes, no version is made; that somebody asked is written down all the same.
pub(super) fn edit(tx: &mut Tx<'_>, table: &str, edit: &MappingEdit, act: &Act) -> Outcome<u64> {
    let wanted = edit.set.iter().map(|row| (row.key.as_str(), row.destination.as_str(), Some(row.value.as_str())));
    let gone = edit.gone.iter().map(|(key, destination)| (key.as_str(), destination.as_str(), None));
    let mut changes = Vec::new();
    let mut seen = HashSet::new();
    for (key, destination, after) in wanted.chain(gone) {
        if !seen.insert((key, destination)) {
            let whom = if destination.is_empty() { "all destinations" } else { destination };
            return Err(Fault::not_allowed(format!("the key \"{key}\" stands twice for {whom}")));
        }
        let before = tx.row(
            "SELECT value FROM mappings WHERE name = ?1 AND key = ?2 AND destination = ?3",
            (table, key, destination),
            |row| row.get::<_, String>(0),
        )?;
        if before.as_deref() != after {
            changes.push((key, destination, before, after));
        }
    }
    let told = |change: &(&str, &str, Option<String>, Option<&str>)| serde_json::json!({ "key": change.0, "destination": change.1, "value": change.2 });
    let before: Vec<_> = changes.iter().map(told).collect();
    let after: Vec<_> = changes
        .iter()
        .map(|change| serde_json::json!({ "key": change.0, "destination": change.1, "value": change.3 }))
        .collect();
    let act = Act {
        before: serde_json::Value::from(before).to_string(),
        after: serde_json::Value::from(after).to_string(),
        ..act.clone()
    };
    if changes.is_empty() {
        let version = count(version(tx.conn)?);
        recorded(tx, &act, Done::Mappings(version))?;
        return Ok(version);
    }
    // The head first: rows refer to it.
    let rows = reads::mapping_rows(tx.conn, table)?.len();
    let version = rise(tx, table, rows, &act)?;
    for (key, destination, before, after) in &changes {
        match after {
            Some(value) => tx.run(
                "INSERT INTO mappings (name, key, destination, value) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (name, key, destination) DO UPDATE SET value = excluded.value",
                (table, key, destination, value),
            )?,
            None => tx.run(
                "DELETE FROM mappings WHERE name = ?1 AND key = ?2 AND destination = ?3",
                (table, key, destination),
            )?,
        };
        changed(tx, table, (key, destination), (before.as_deref(), *after), version, &act)?;
    }
    tx.run(
        "UPDATE mapping_tables SET rows = (SELECT COUNT(*) FROM mappings WHERE name = ?1) WHERE name = ?1",
        [table],
    )?;
    let version = count(version);
    recorded(tx, &act, Done::Mappings(version))?;
    Ok(version)
}

/// The next version, of all mappings and of this table.
fn rise(tx: &Tx<'_>, table: &str, rows: usize, act: &Act) -> Outcome<i64> {
    let version = version(tx.conn)? + 1;
    tx.run(
        "INSERT INTO meta (name, value) VALUES ('mappings_version', ?1) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        [version.to_string()],
    )?;
    tx.run(
        "INSERT INTO mapping_tables (name, rows, version, changed_at, changed_by) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (name) DO UPDATE SET rows = excluded.rows, version = excluded.version, \
         changed_at = excluded.changed_at, changed_by = excluded.changed_by",
        (table, int(rows), version, act.at.as_microsecond(), &act.actor),
    )?;
    Ok(version)
}

fn changed(
    tx: &Tx<'_>,
    table: &str,
    (key, destination): (&str, &str),
    (before, after): (Option<&str>, Option<&str>),
    version: i64,
    act: &Act,
) -> Outcome<()> {
    if before != after {
        tx.run(
            "INSERT INTO mapping_changes (name, key, destination, before, after, version, at, actor) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            (table, key, destination, before, after, version, act.at.as_microsecond(), &act.actor),
        )?;
    }
    Ok(())
}

/// What changed in a table, or of one key of it, newest first.
pub(super) fn changes(
    conn: &Connection,
    table: &str,
    key: Option<&str>,
    paging: &Paging,
) -> Outcome<Page<MappingChange>> {
    let range = cursor::range("mapping_changes", paging)?;
    let (index, by_key) = match key {
        Some(_) => ("mapping_changes_by_key", "key = ?2"),
        None => ("mapping_changes_by_table", "?2 IS NULL"),
    };
    let sql = format!(
        "SELECT seq, key, destination, before, after, version, at, actor FROM mapping_changes INDEXED BY {index} \
         WHERE name = ?1 AND {by_key} AND seq < ?3 ORDER BY seq DESC LIMIT ?4"
    );
    let found = tx::rows(conn, &sql, (table, key, range.before, int(range.limit) + 1), |row| {
        let change = MappingChange {
            key: row.get(1)?,
            destination: row.get(2)?,
            before: row.get(3)?,
            after: row.get(4)?,
            version: count(row.get(5)?),
            at: from_micros(row.get(6)?),
            actor: row.get(7)?,
        };
        Ok((row.get(0)?, change))
    })?;
    Ok(lists::cut("mapping_changes", found, range.limit, None))
}
