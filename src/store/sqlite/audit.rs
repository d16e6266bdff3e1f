//! The chain of what people did (API-5).

use rusqlite::Connection;
use sha2::{Digest as _, Sha256};

use super::fault::Outcome;
use super::tx::{self, Tx};
use crate::store::write::Act;

/// What the first row chains to.
const GENESIS: [u8; 32] = [0; 32];

/// Writes an act down, in the transaction of its effect.
pub(super) fn record(tx: &Tx<'_>, act: &Act) -> Outcome<()> {
    let previous = tx
        .row("SELECT digest FROM audit ORDER BY seq DESC LIMIT 1", [], |row| row.get::<_, [u8; 32]>(0))?
        .unwrap_or(GENESIS);
    let at = act.at.as_microsecond();
    let digest = digest(&previous, at, &fields(act));
    tx.run(
        "INSERT INTO audit (at, actor, action, target, before, after, reason, previous, digest) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        rusqlite::params![at, act.actor, act.action, act.target, act.before, act.after, act.reason, previous, digest],
    )?;
    Ok(())
}

fn fields(act: &Act) -> [&str; 6] {
    [&act.actor, &act.action, &act.target, &act.before, &act.after, &act.reason]
}

/// Over the row before, the time and the fields, each with its length.
fn digest(previous: &[u8; 32], at: i64, fields: &[&str; 6]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(previous);
    hasher.update(at.to_be_bytes());
    for field in fields {
        hasher.update(u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(field.as_bytes());
    }
    hasher.finalize().into()
}

/// The first row that does not follow from the one before it, if any.
pub(super) fn first_broken(conn: &Connection) -> Outcome<Option<i64>> {
    let mut expected = GENESIS;
    let rows = tx::rows(
        conn,
        "SELECT seq, at, actor, action, target, before, after, reason, previous, digest FROM audit ORDER BY seq",
        [],
        |row| {
            let texts: [String; 6] = [row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?, row.get(7)?];
            let chain: ([u8; 32], [u8; 32]) = (row.get(8)?, row.get(9)?);
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, texts, chain))
        },
    )?;
    for (seq, at, texts, (previous, stored)) in rows {
        let fields = texts.each_ref().map(String::as_str);
        if previous != expected || stored != digest(&previous, at, &fields) {
            return Ok(Some(seq));
        }
        expected = stored;
    }
    Ok(None)
}
