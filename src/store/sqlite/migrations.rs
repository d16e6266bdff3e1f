//! The schema, step by step; each step is one transaction, and the file says how far it got.

use rusqlite::Connection;

use super::fault::Outcome;
use crate::clock::Entropy;
use crate::store::StoreError;

/// `Xdok`: marks a file as ours.
const APPLICATION_ID: i64 = 0x5864_6f6b;

const STEPS: &[&str] = &[
    include_str!("migrations/0001_ledger.sql"),
    include_str!("migrations/0002_guards.sql"),
    include_str!("migrations/0003_lanes.sql"),
    include_str!("migrations/0004_keeping.sql"),
    include_str!("migrations/0005_running.sql"),
    BOOKS,
    READS,
    include_str!("migrations/0008_positions.sql"),
    include_str!("migrations/0009_known.sql"),
    include_str!("migrations/0010_steps.sql"),
    include_str!("migrations/0011_gaps.sql"),
    include_str!("migrations/0012_polls.sql"),
    include_str!("migrations/0013_access.sql"),
    include_str!("migrations/0014_cases.sql"),
    include_str!("migrations/0015_alerts.sql"),
    include_str!("migrations/0016_holds.sql"),
    include_str!("migrations/0017_search.sql"),
    include_str!("migrations/0018_making.sql"),
    include_str!("migrations/0019_bulk.sql"),
    include_str!("migrations/0020_edits.sql"),
];

/// The step that opens the books: what is there already is booked with it.
const BOOKS: &str = include_str!("migrations/0006_books.sql");

/// Orders to be read from Commerce.
const READS: &str = include_str!("migrations/0007_reads.sql");

/// The schema this version writes.
pub(super) fn newest() -> u32 {
    u32::try_from(STEPS.len()).expect("there are a handful of steps")
}

/// The schema in the file; refuses a file that is not ours or that a newer version wrote.
pub(super) fn version(conn: &Connection) -> Result<u32, StoreError> {
    let read = |pragma: &str| conn.query_row(pragma, [], |row| row.get::<_, i64>(0)).map_err(unusable);
    let version = read("PRAGMA user_version")?;
    let owner = read("PRAGMA application_id")?;
    let tables = read("SELECT COUNT(*) FROM sqlite_schema")?;
    if owner != APPLICATION_ID && (tables > 0 || version != 0) {
        return Err(StoreError::Unusable(
            "the file is an SQLite database of something else; name another file under [store] url".to_owned(),
        ));
    }
    let version = super::tx::small(version)?;
    if version > newest() {
        return Err(StoreError::Unusable(format!(
            "the file has schema {version}, this version knows up to {}: start the newer crossdock, or restore a backup made \
             before the upgrade",
            newest()
        )));
    }
    Ok(version)
}

/// Takes the steps that are missing. Another process may take them at the same time: each looks again inside its
/// transaction.
pub(super) fn migrate(conn: &Connection, entropy: &dyn Entropy) -> Result<u32, StoreError> {
    while version(conn)? < newest() {
        conn.execute_batch("BEGIN IMMEDIATE").map_err(unusable)?;
        let stepped = step(conn, entropy);
        let end = if stepped.is_ok() { "COMMIT" } else { "ROLLBACK" };
        conn.execute_batch(end).map_err(unusable)?;
        stepped?;
    }
    version(conn)
}

fn step(conn: &Connection, entropy: &dyn Entropy) -> Result<(), StoreError> {
    let version = version(conn)?;
    let Some(sql) = STEPS.get(version as usize) else { return Ok(()) };
    conn.execute_batch(sql).map_err(unusable)?;
    if *sql == BOOKS {
        // What became of an order is asked of these tables too, by the very words that the books are opened with.
        conn.execute_batch(READS).map_err(unusable)?;
        super::money::open_books(conn)?;
    }
    if version == 0 {
        conn.pragma_update(None, "application_id", APPLICATION_ID).map_err(unusable)?;
        found(conn, entropy)?;
    }
    conn.pragma_update(None, "user_version", version + 1).map_err(unusable)
}

/// Part of every idempotency key we will ever send: made once, kept in the file and its backups.
fn found(conn: &Connection, entropy: &dyn Entropy) -> Result<(), StoreError> {
    let mut random = [0_u8; 16];
    entropy.fill(&mut random);
    let id = data_encoding::HEXLOWER.encode(&random);
    conn.execute("INSERT INTO meta (name, value) VALUES ('installation_id', ?1)", [id]).map_err(unusable)?;
    Ok(())
}

/// The installation id in the file.
pub(super) fn installation_id(conn: &Connection) -> Outcome<String> {
    let id = super::tx::row(conn, "SELECT value FROM meta WHERE name = 'installation_id'", [], |row| row.get(0))?;
    id.ok_or_else(|| StoreError::Corrupt("the file has no installation id".to_owned()).into())
}

#[expect(clippy::needless_pass_by_value, reason = "shaped for map_err")]
fn unusable(error: rusqlite::Error) -> StoreError {
    StoreError::Unusable(error.to_string())
}
