//! An online copy of the file (BAK-1), beside a service that goes on writing.
//!
//! The copy reads one state: its connection holds one read transaction from the first page to the last. Without it the
//! library would begin again whenever somebody else commits, and never end beside a busy service. Such a reader keeps the
//! log from being reset, so the checkpointer never waits for readers (see `checkpoint`); the log grows by what is written
//! meanwhile and is reset afterwards. Pages go in small steps with pauses as long as the steps, and what was written is
//! flushed as it goes: one large flush at the end would hold up every commit on the same disk.
//!
//! A copy knows that it is one: a row of `meta` says when it was made. Whoever serves it later, put in place by `restore`
//! or by hand, treats what was open in it as uncertain first (BAK-3, see `restore`).

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::fault::Outcome;
use super::tx::{count, row, rows};
use super::{bodies, migrations, open, tally, verify};
use crate::clock::{Timestamp, from_micros};
use crate::store::StoreError;
use crate::store::copies::{Copied, CopyFacts, Progress};
use crate::store::seal::{Keys, Shape, gone};

/// Half a megabyte a step.
const STEP_PAGES: i32 = 128;
/// Steps between two flushes of the copy.
const STEPS_A_FLUSH: u32 = 8;
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(50);
/// In `meta` of a copy: when it was made, in microseconds.
pub(super) const COPIED_AT: &str = "copied_at";

/// Copies `store` to `to`, which must not exist, and proves the copy before it gets its name.
pub(in crate::store) fn copy(
    store: &Path,
    to: &Path,
    now: Timestamp,
    progress: &mut Progress<'_>,
) -> Result<Copied, StoreError> {
    if !store.exists() {
        return Err(StoreError::Unusable(format!("{} does not exist", store.display())));
    }
    if to.exists() {
        return Err(StoreError::Unusable(format!("{} exists already: name another file", to.display())));
    }
    let began = Instant::now();
    let partial = beside(to, ".partial");
    remove(&partial)?;
    let made = transfer(store, &partial, progress).and_then(|longest_step| {
        mark(&partial, now)?;
        Ok((longest_step, inspect(&partial, true)?))
    });
    let (longest_step, facts) = match made {
        Ok(made) => made,
        Err(error) => {
            // Half a copy is worth nothing and takes room.
            drop(remove(&partial));
            return Err(error);
        }
    };
    sync(&partial)?;
    std::fs::rename(&partial, to).map_err(|reason| unusable(to, &reason))?;
    sync_folder(to)?;
    Ok(Copied { path: to.to_owned(), facts, took: began.elapsed(), longest_step })
}

/// A name beside a file.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

fn transfer(store: &Path, partial: &Path, progress: &mut Progress<'_>) -> Result<Duration, StoreError> {
    let source = open::connect_reader(store)?;
    let mut target = Connection::open(partial).map_err(|reason| unusable(partial, &reason))?;
    target
        .execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -2000;")
        .map_err(|reason| unusable(partial, &reason))?;
    let flushed = File::open(partial).map_err(|reason| unusable(partial, &reason))?;
    // One state from here on, whatever is committed meanwhile.
    source
        .execute_batch("BEGIN")
        .and_then(|()| source.query_row("SELECT COUNT(*) FROM meta", [], |row| row.get::<_, i64>(0)))
        .map_err(|reason| unusable(store, &reason))?;
    let longest = steps(&source, &mut target, &flushed, progress).map_err(|reason| unusable(partial, &reason))?;
    drop(target);
    Ok(longest)
}

fn steps(
    source: &Connection,
    target: &mut Connection,
    flushed: &File,
    progress: &mut Progress<'_>,
) -> rusqlite::Result<Duration> {
    let backup = Backup::new(source, target)?;
    let (mut longest, mut number) = (Duration::ZERO, 0_u32);
    loop {
        let began = Instant::now();
        let result = backup.step(STEP_PAGES)?;
        let took = began.elapsed();
        longest = longest.max(took);
        let at = backup.progress();
        progress(pages(at.pagecount - at.remaining), pages(at.pagecount));
        if matches!(result, StepResult::Done) {
            return Ok(longest);
        }
        number += 1;
        if number.is_multiple_of(STEPS_A_FLUSH) {
            // What cannot be flushed now fails at the end, where it counts.
            drop(flushed.sync_data());
        }
        std::thread::sleep(took.clamp(PAUSE_MIN, PAUSE_MAX));
    }
}

fn pages(pages: i32) -> u64 {
    u64::try_from(pages).unwrap_or(0)
}

/// One file without a log beside it, which knows that it is a copy.
fn mark(partial: &Path, now: Timestamp) -> Result<(), StoreError> {
    let conn = Connection::open(partial).map_err(|reason| unusable(partial, &reason))?;
    conn.pragma_update(None, "journal_mode", "delete")
        .and_then(|()| conn.execute("DELETE FROM meta WHERE name IN ('running', ?1)", [COPIED_AT]))
        .and_then(|_| {
            let at = now.as_microsecond().to_string();
            conn.execute("INSERT INTO meta (name, value) VALUES (?1, ?2)", [COPIED_AT, &at])
        })
        .map_err(|reason| unusable(partial, &reason))?;
    conn.close().map_err(|(_, reason)| unusable(partial, &reason))
}

/// What a store file is and holds. `whole`: after `integrity_check`; a file that fails it is [`StoreError::Corrupt`].
pub(in crate::store) fn inspect(path: &Path, whole: bool) -> Result<CopyFacts, StoreError> {
    let conn = reading(path)?;
    let problems = if whole { integrity(&conn) } else { Vec::new() };
    if !problems.is_empty() {
        return Err(StoreError::Corrupt(format!("{}: {}", path.display(), problems.join("; "))));
    }
    let schema_version = migrations::version(&conn)?;
    if schema_version == 0 {
        return Err(StoreError::Unusable(format!("{} is no store of crossdock", path.display())));
    }
    let facts = || -> Outcome<CopyFacts> {
        let at = |value: Option<String>| value.and_then(|text| text.parse().ok()).map(from_micros);
        let copied_at = row(&conn, "SELECT value FROM meta WHERE name = ?1", [COPIED_AT], |row| row.get(0))?;
        let open = rows(
            &conn,
            "SELECT destination, COUNT(*) FROM deliveries WHERE state IN ('waiting', 'in_flight', 'parked') \
             GROUP BY destination ORDER BY destination",
            [],
            |row| Ok((row.get(0)?, count(row.get(1)?))),
        )?;
        let last = row(&conn, "SELECT received_at FROM envelopes ORDER BY seq DESC LIMIT 1", [], |row| row.get(0))?;
        Ok(CopyFacts {
            installation_id: migrations::installation_id(&conn)?,
            schema_version,
            copied_at: at(copied_at),
            accepted: tally::ledger(&conn)?.accepted,
            last_received_at: last.map(from_micros),
            open,
            bytes: super::file_bytes(path),
        })
    };
    Ok(facts()?)
}

/// The slow look at a copy: everything kept for speed, the audit chain, and every stored body against its digest (BAK-2).
pub(in crate::store) fn findings(copy: &Path, keys: &Keys) -> Result<Vec<String>, StoreError> {
    let conn = reading(copy)?;
    let mut findings = verify::findings(&conn)?;
    for kind in &bodies::KINDS {
        compare(&conn, kind, keys, &mut findings)?;
    }
    Ok(findings)
}

fn compare(conn: &Connection, kind: &bodies::Kind, keys: &Keys, findings: &mut Vec<String>) -> Result<(), StoreError> {
    let look = |findings: &mut Vec<String>| -> Outcome<()> {
        let mut statement = conn.prepare(kind.rows)?;
        let mut found = statement.query((0, -1))?;
        while let Some(row) = found.next()? {
            let (seq, stored): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
            let (shape, binding) = (Shape::new(row.get(2)?, row.get(3)?), row.get::<_, Vec<u8>>(4)?);
            if gone(&stored).is_none()
                && let Err(error) = keys.unpack(&stored, kind.what, &binding, shape)
            {
                findings.push(format!("{} row {seq}: {error}", kind.what));
            }
        }
        Ok(())
    };
    Ok(look(findings)?)
}

/// A connection that only reads, for a file nobody may be serving.
fn reading(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(|reason| unusable(path, &reason))?;
    conn.busy_timeout(Duration::from_secs(5)).map_err(|reason| unusable(path, &reason))?;
    Ok(conn)
}

fn integrity(conn: &Connection) -> Vec<String> {
    let check = || -> rusqlite::Result<Vec<String>> {
        let mut statement = conn.prepare("PRAGMA integrity_check(10)")?;
        statement.query_map([], |row| row.get(0))?.collect()
    };
    match check() {
        Ok(lines) => lines.into_iter().filter(|line| line != "ok").collect(),
        Err(error) => vec![error.to_string()],
    }
}

/// Removes a file that may not be there.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(reason) if reason.kind() != std::io::ErrorKind::NotFound => Err(unusable(path, &reason)),
        _ => Ok(()),
    }
}

/// Makes a file durable.
pub(super) fn sync(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|reason| unusable(path, &reason))
}

/// Makes the name of a file durable.
pub(super) fn sync_folder(path: &Path) -> Result<(), StoreError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    sync(folder)
}

/// A file that cannot be used, and why.
pub(super) fn unusable(path: &Path, reason: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unusable(format!("{}: {reason}", path.display()))
}
