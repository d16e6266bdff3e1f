//! What is checked before a store is used (ACK-2, RUN-1): the library, the disk, other processes, pragmas, the file
//! itself, and its schema.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::fault::{Gravity, gravity};
use super::{checkpoint, migrations, startcheck};
use crate::clock::Entropy;
use crate::store::StoreError;
use crate::store::view::StoreReport;

/// Older libraries can lose committed data when a checkpoint races with a reset of the log.
const LIBRARY_MIN: i32 = 3_051_003;
/// Short verbs of other processes write for milliseconds; who waits longer is told.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// A file up to this size is checked whole before it is used; of a larger one the state, and the rest in the background.
const CHECK_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The log is written again in pieces of this size.
const CHUNK_BYTES: usize = 1024 * 1024;

/// A checked store file.
pub(super) struct Opened {
    pub(super) conn: Connection,
    pub(super) report: StoreReport,
    /// Held for life by the one process that serves.
    pub(super) lock: Option<File>,
    /// The file is too large to be checked before it is used.
    pub(super) check_later: bool,
}

/// Opens and checks the file.
pub(super) fn open(path: &Path, exclusive: bool, entropy: &dyn Entropy) -> Result<Opened, StoreError> {
    check_library(rusqlite::version_number())?;
    let simulated = is_simulated(path);
    if !simulated {
        check_disk(path)?;
    }
    let lock = if exclusive && !simulated { Some(lock(path)?) } else { None };
    if !path.exists() && super::restore::waiting_copy(path).exists() {
        return Err(StoreError::Unusable(format!(
            "a restore of {} was interrupted: run `crossdock restore` again",
            path.display()
        )));
    }
    let conn = connect(path)?;
    if exclusive {
        write_log_again(&conn, path)?;
    }
    let mut problems = Vec::new();
    let large = std::fs::metadata(path).is_ok_and(|file| file.len() > CHECK_BYTES_MAX);
    if !large {
        problems = quick_check(&conn);
    } else if exclusive {
        problems = startcheck::state_tables(&conn, startcheck::BUDGET);
    }
    if exclusive && !problems.is_empty() {
        return Err(StoreError::Corrupt(format!(
            "{}; keep the file and restore the latest backup beside it",
            problems.join("; ")
        )));
    }
    let known = migrations::version(&conn)?;
    if !exclusive && known > 0 && known < migrations::newest() && is_served(path)? {
        return Err(StoreError::Unusable(
            "the running service is older than this command: restart the service first".to_owned(),
        ));
    }
    let schema_version = migrations::migrate(&conn, entropy)?;
    let report = StoreReport {
        engine: format!("SQLite {}", rusqlite::version()),
        settings: settings(&conn)?,
        schema_version,
        installation_id: migrations::installation_id(&conn)?,
        problems,
    };
    Ok(Opened { conn, report, lock, check_later: exclusive && large })
}

pub(super) fn check_library(version: i32) -> Result<(), StoreError> {
    if version < LIBRARY_MIN {
        return Err(StoreError::Unusable(format!(
            "SQLite library {version} is older than {LIBRARY_MIN}, which fixes a loss of committed data"
        )));
    }
    Ok(())
}

/// A connection that writes, with every setting read back.
pub(super) fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = open_file(path, flags).map_err(|reason| unusable(path, &reason))?;
    conn.busy_timeout(BUSY_TIMEOUT).map_err(|reason| unusable(path, &reason))?;
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA wal_autocheckpoint = 0; \
         PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8000;",
    )
    .map_err(|reason| unusable(path, &reason))?;
    keep_plans(&conn).map_err(|reason| unusable(path, &reason))?;
    conn.set_prepared_statement_cache_capacity(256);
    check_settings(&settings(&conn)?)?;
    if planted!(CommitNotFlushed) {
        conn.execute_batch("PRAGMA synchronous = NORMAL").map_err(|reason| unusable(path, &reason))?;
    }
    Ok(conn)
}

/// ACK-6: after a flush that failed, the system may show a log that is not on the disk and will never write it by itself:
/// it counts as clean. Whatever this process committed behind such a gap would be lost with the power, acknowledged or
/// not. So the log of the process before is written once more, as it stands, and flushed; the same bytes in the same
/// place harm nothing. The write lock keeps a short verb from resetting the log meanwhile.
fn write_log_again(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |reason: &dyn std::fmt::Display| {
        StoreError::Unusable(format!("{}: the log cannot be written again: {reason}", path.display()))
    };
    conn.execute_batch("BEGIN IMMEDIATE").map_err(|reason| failed(&reason))?;
    let rewritten = rewrite(&checkpoint::log_path(path));
    conn.execute_batch("ROLLBACK").map_err(|reason| failed(&reason))?;
    rewritten.map_err(|reason| failed(&reason))
}

/// Writes a file's own bytes over themselves, and flushes them. One that is not there is well.
fn rewrite(path: &Path) -> std::io::Result<()> {
    #[cfg(test)]
    if is_simulated(path) {
        return crate::sim::disk::rewrite(path);
    }
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Err(reason) if reason.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let (mut chunk, mut at) = (vec![0; CHUNK_BYTES], 0);
    loop {
        let length = file.read_at(&mut chunk, at)?;
        if length == 0 {
            return if at == 0 { Ok(()) } else { file.sync_all() };
        }
        file.write_all_at(&chunk[..length], at)?;
        at += length as u64;
    }
}

/// The file itself; a path of the simulation lies on its own disk.
fn open_file(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    #[cfg(test)]
    if is_simulated(path) {
        return Connection::open_with_flags_and_vfs(path, flags, crate::sim::vfs::NAME);
    }
    Connection::open_with_flags(path, flags)
}

/// Whether the file lies on the disk of the simulation, which no other process sees.
#[cfg(test)]
pub(super) fn is_simulated(path: &Path) -> bool {
    crate::sim::disk::owns(path)
}

#[cfg(not(test))]
pub(super) fn is_simulated(_: &Path) -> bool {
    false
}

/// A connection that only reads.
pub(super) fn connect_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = open_file(path, flags).map_err(|reason| unusable(path, &reason))?;
    conn.busy_timeout(BUSY_TIMEOUT).map_err(|reason| unusable(path, &reason))?;
    conn.execute_batch("PRAGMA query_only = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -2000;")
        .map_err(|reason| unusable(path, &reason))?;
    keep_plans(&conn).map_err(|reason| unusable(path, &reason))?;
    conn.set_prepared_statement_cache_capacity(128);
    Ok(conn)
}

/// Plans depend on the statement alone. Without this guarantee the library, built to look at bound values, compiles a
/// statement that names a partial index anew each time its values change: a quarter of the writer's time.
fn keep_plans(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

const WANTED: [(&str, &str); 4] =
    [("journal_mode", "wal"), ("synchronous", "2"), ("foreign_keys", "1"), ("wal_autocheckpoint", "0")];

fn settings(conn: &Connection) -> Result<Vec<(String, String)>, StoreError> {
    WANTED
        .iter()
        .map(|(name, _)| {
            let value = conn.query_row(&format!("PRAGMA {name}"), [], |row| {
                Ok(match row.get_ref(0)? {
                    rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                    other => other.as_i64().map(|number| number.to_string()).unwrap_or_default(),
                })
            });
            Ok(((*name).to_owned(), value.map_err(|reason| StoreError::Unusable(reason.to_string()))?))
        })
        .collect()
}

pub(super) fn check_settings(settings: &[(String, String)]) -> Result<(), StoreError> {
    for (name, wanted) in WANTED {
        let value = settings.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value);
        if value != wanted {
            return Err(StoreError::Unusable(format!("the setting {name} is \"{value}\" and must be \"{wanted}\"")));
        }
    }
    Ok(())
}

/// What `SQLite` finds wrong with the file; empty when it is sound.
pub(super) fn quick_check(conn: &Connection) -> Vec<String> {
    let check = || -> rusqlite::Result<Vec<String>> {
        let mut statement = conn.prepare("PRAGMA quick_check(10)")?;
        statement.query_map([], |row| row.get(0))?.collect()
    };
    match check() {
        Ok(lines) => lines.into_iter().filter(|line| line != "ok").collect(),
        Err(error) => vec![error.to_string()],
    }
}

fn unusable(path: &Path, reason: &rusqlite::Error) -> StoreError {
    let words = format!("{}: {reason}", path.display());
    if gravity(reason) == Gravity::Damaged { StoreError::Corrupt(words) } else { StoreError::Unusable(words) }
}

// ---- other processes ---------------------------------------------------------------------------------------------

fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".serve.lock");
    name.into()
}

/// Takes the place of the one process that serves this file. The lock goes with the process, however it ends.
pub(super) fn lock(path: &Path) -> Result<File, StoreError> {
    let name = lock_path(path);
    let failed = |reason: std::io::Error| StoreError::Unusable(format!("{}: {reason}", name.display()));
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&name).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0).map_err(failed)?;
            file.rewind().map_err(failed)?;
            write!(file, "{}", std::process::id()).map_err(failed)?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let read = file.read_to_string(&mut holder);
            let holder = if read.is_ok() && !holder.is_empty() { holder } else { "unknown".to_owned() };
            Err(StoreError::Unusable(format!(
                "another `crossdock serve` (process {holder}) serves {}: stop it first",
                path.display()
            )))
        }
        Err(TryLockError::Error(reason)) => Err(failed(reason)),
    }
}

/// Whether some process serves this file now.
fn is_served(path: &Path) -> Result<bool, StoreError> {
    let Ok(file) = File::open(lock_path(path)) else { return Ok(false) };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(reason)) => Err(StoreError::Unusable(reason.to_string())),
    }
}

// ---- the disk ----------------------------------------------------------------------------------------------------

/// File systems that are served over a network or by another process: their locks and flushes are not what they say.
#[cfg(target_os = "linux")]
const REMOTE: [(u32, &str); 9] = [
    (0x6969, "nfs"),
    (0x517b, "smb"),
    (0xfe53_4d42, "smb2"),
    (0xff53_4d42, "cifs"),
    (0x6573_5546, "fuse"),
    (0x0102_1997, "9p"),
    (0x5346_414f, "afs"),
    (0x00c3_6400, "ceph"),
    (0x7375_7245, "coda"),
];

pub(super) fn check_disk(path: &Path) -> Result<(), StoreError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        return Err(StoreError::Unusable(format!("the folder {} does not exist", folder.display())));
    }
    #[cfg(target_os = "linux")]
    {
        let disk = rustix::fs::statfs(folder)
            .map_err(|reason| StoreError::Unusable(format!("{}: {reason}", folder.display())))?;
        check_kind(disk.f_type.cast_unsigned() & 0xffff_ffff, folder)?;
    }
    Ok(())
}

#[cfg(target_os = "linux")]
pub(super) fn check_kind(magic: u64, folder: &Path) -> Result<(), StoreError> {
    match REMOTE.iter().find(|(known, _)| u64::from(*known) == magic) {
        Some((_, name)) => Err(StoreError::Unusable(format!(
            "{} is on a {name} file system; the store needs a local disk",
            folder.display()
        ))),
        None => Ok(()),
    }
}
