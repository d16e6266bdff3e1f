//! Stored bodies as such: which there are, what is encrypted, and bringing them under the key of now (DAT-1).

use rusqlite::Connection;

use super::fault::Outcome;
use super::tx::{self, Tx, count};
use crate::clock::Entropy;
use crate::store::seal::{Keys, MARK};
use crate::store::view::Upkeep;

/// A kind of body: its name, the row that holds it, and what binds it to that row.
pub(super) struct Kind {
    /// As in the associated data.
    pub(super) what: &'static str,
    /// Rows from a number on: number, body, plain length, digest, binding.
    pub(super) rows: &'static str,
    /// Writes a body back where it is still the one that was read.
    write: &'static str,
    counts: &'static str,
}

/// What arrived.
pub(super) const PAYLOAD: &str = "payload";
/// What was made of it.
pub(super) const DOCUMENT: &str = "document";
/// What leaves.
pub(super) const SEALED: &str = "sealed request";
/// What was answered.
pub(super) const ANSWER: &str = "answer";
/// What the steps of a delivery found.
pub(super) const FOUND: &str = "found";

/// Every kind of body.
pub(super) const KINDS: [Kind; 3] = [
    Kind {
        what: PAYLOAD,
        rows: "SELECT seq, body, plain_bytes, digest, request_id FROM payloads WHERE seq > ?1 ORDER BY seq LIMIT ?2",
        write: "UPDATE payloads SET body = ?2 WHERE seq = ?1 AND body = ?3",
        counts: "SELECT COUNT(*) FILTER (WHERE length(body) > 1 AND substr(body, 1, 2) <> ?1), \
             COUNT(*) FILTER (WHERE substr(body, 1, 2) = ?1), COUNT(*) FILTER (WHERE length(body) <= 1) FROM payloads",
    },
    Kind {
        what: DOCUMENT,
        rows: "SELECT seq, body, plain_bytes, digest, id FROM documents WHERE seq > ?1 ORDER BY seq LIMIT ?2",
        write: "UPDATE documents SET body = ?2 WHERE seq = ?1 AND body = ?3",
        counts: "SELECT COUNT(*) FILTER (WHERE length(body) > 1 AND substr(body, 1, 2) <> ?1), \
             COUNT(*) FILTER (WHERE substr(body, 1, 2) = ?1), COUNT(*) FILTER (WHERE length(body) <= 1) FROM documents",
    },
    Kind {
        what: SEALED,
        rows: "SELECT r.delivery, r.body, r.body_bytes, r.body_digest, d.id FROM sealed_requests AS r \
             JOIN deliveries AS d ON d.seq = r.delivery WHERE r.delivery > ?1 AND r.body IS NOT NULL \
             ORDER BY r.delivery LIMIT ?2",
        write: "UPDATE sealed_requests SET body = ?2 WHERE delivery = ?1 AND body = ?3",
        counts: "SELECT COUNT(*) FILTER (WHERE length(body) > 1 AND substr(body, 1, 2) <> ?1), \
             COUNT(*) FILTER (WHERE substr(body, 1, 2) = ?1), COUNT(*) FILTER (WHERE length(body) <= 1) \
             FROM sealed_requests WHERE body IS NOT NULL",
    },
];

/// Counts everything; reads the whole store, for `doctor`.
pub(super) fn upkeep(conn: &Connection) -> Outcome<Upkeep> {
    let mut upkeep = Upkeep::default();
    for kind in &KINDS {
        let counted = tx::row(conn, kind.counts, [MARK], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        })?;
        let (plain, encrypted, gone) = counted.unwrap_or_default();
        upkeep.plain += count(plain);
        upkeep.encrypted += count(encrypted);
        upkeep.gone += count(gone);
    }
    let erased = tx::row(conn, "SELECT COUNT(*) FROM subjects WHERE erased_at IS NOT NULL", [], |row| row.get(0))?;
    upkeep.erased_subjects = count(erased.unwrap_or(0));
    let pragma =
        |name: &str| -> Outcome<u64> { Ok(count(conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))?)) };
    upkeep.free_bytes = pragma("freelist_count")? * pragma("page_size")?;
    Ok(upkeep)
}

/// One slice of bodies brought under the key of now: rewrapped, or encrypted if they were not. Where to go on; `None`
/// at the end of this kind.
pub(super) fn recode(
    tx: &Tx<'_>,
    kind: usize,
    from: i64,
    rows: u32,
    keys: &Keys,
    entropy: &dyn Entropy,
) -> Outcome<(Option<i64>, u64)> {
    let kind = &KINDS[kind];
    let met = tx.rows(kind.rows, (from, rows), |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, Vec<u8>>(4)?))
    })?;
    let mut changed = 0;
    for (seq, stored, binding) in &met {
        let recoded = if crate::store::seal::gone(stored).is_some() {
            None
        } else if stored.starts_with(&MARK) {
            keys.rewrap(stored, kind.what, entropy)?
        } else {
            Some(keys.seal(stored.clone().into(), kind.what, binding, entropy).to_vec())
        };
        if let Some(recoded) = recoded {
            changed += count(tx::int(tx.run(kind.write, (seq, recoded, stored))?));
        }
    }
    let next = if met.len() < rows as usize { None } else { met.last().map(|(seq, ..)| *seq) };
    Ok((next, changed))
}
