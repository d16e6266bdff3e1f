//! What events are about: one row an order, with the facts that lists show.

use super::fault::{Fault, Outcome};
use super::tx::Tx;
use crate::clock::Timestamp;
use crate::store::write::{Subject, SubjectFacts};

/// A subject's row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// Its place.
    pub(super) seq: i64,
    /// Made by this very call: nothing else can be about it yet.
    pub(super) new: bool,
}

/// The subject's row, seen at `at`; a new one is made with the facts that are known.
pub(super) fn seen(tx: &Tx<'_>, subject: &Subject, facts: &SubjectFacts, at: Timestamp) -> Outcome<Seen> {
    let at = at.as_microsecond();
    // Nearly every order is new: the insert asks and answers in one.
    let made = tx.run(
        "INSERT INTO subjects (kind, system, scope, id, entity_id, commerce_state, commerce_status, currency, grand_total, \
         placed_at, updated_at, first_seen_at, last_seen_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?12) ON CONFLICT (id, kind, system, scope) DO NOTHING",
        rusqlite::params![
            subject.kind,
            subject.system,
            subject.scope,
            subject.id,
            facts.entity_id,
            facts.state,
            facts.status,
            facts.currency,
            facts.grand_total,
            facts.placed_at.map(Timestamp::as_microsecond),
            facts.updated_at.map(Timestamp::as_microsecond),
            at,
        ],
    )?;
    if made == 1 {
        return Ok(Seen { seq: tx.conn.last_insert_rowid(), new: true });
    }
    let (seq, last_seen_at) = tx
        .row(
            "SELECT seq, last_seen_at FROM subjects WHERE id = ?1 AND kind = ?2 AND system = ?3 AND scope = ?4",
            (&subject.id, &subject.kind, &subject.system, &subject.scope),
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)),
        )?
        .ok_or_else(|| Fault::not_found(format!("the subject {}", subject.id)))?;
    if last_seen_at < at {
        tx.run("UPDATE subjects SET last_seen_at = ?2 WHERE seq = ?1", (seq, at))?;
    }
    Ok(Seen { seq, new: false })
}

/// What a row is about.
pub(super) fn find(tx: &Tx<'_>, seq: i64) -> Outcome<Subject> {
    tx.row("SELECT kind, system, scope, id FROM subjects WHERE seq = ?1", [seq], |row| {
        Ok(Subject { kind: row.get(0)?, system: row.get(1)?, scope: row.get(2)?, id: row.get(3)? })
    })?
    .ok_or_else(|| Fault::not_found(format!("subject row {seq}")))
}

/// Takes over what a report says about the subject. A report older than the known one only fills gaps; so does one of the
/// same second that is not the `whole` order.
pub(super) fn learn(tx: &Tx<'_>, subject: i64, facts: &SubjectFacts, whole: bool) -> Outcome<()> {
    let updated_at = facts.updated_at.map(Timestamp::as_microsecond);
    let placed_at = facts.placed_at.map(Timestamp::as_microsecond);
    let texts = [&facts.entity_id, &facts.state, &facts.status, &facts.currency, &facts.grand_total];
    if texts.iter().all(|text| text.is_none()) && placed_at.is_none() && updated_at.is_none() {
        return Ok(());
    }
    let known = tx
        .row("SELECT updated_at FROM subjects WHERE seq = ?1", [subject], |row| row.get::<_, Option<i64>>(0))?
        .flatten();
    let newer = known.is_none() || updated_at > known || (whole && updated_at == known);
    let sql = if newer { NEWER } else { OLDER };
    tx.run(sql, (subject, texts[0], texts[1], texts[2], texts[3], texts[4], placed_at, updated_at))?;
    Ok(())
}

const NEWER: &str = "UPDATE subjects SET entity_id = COALESCE(?2, entity_id), \
     commerce_state = COALESCE(?3, commerce_state), commerce_status = COALESCE(?4, commerce_status), \
     currency = COALESCE(?5, currency), grand_total = COALESCE(?6, grand_total), \
     placed_at = COALESCE(?7, placed_at), updated_at = COALESCE(?8, updated_at) WHERE seq = ?1";

const OLDER: &str = "UPDATE subjects SET entity_id = COALESCE(entity_id, ?2), \
     commerce_state = COALESCE(commerce_state, ?3), commerce_status = COALESCE(commerce_status, ?4), \
     currency = COALESCE(currency, ?5), grand_total = COALESCE(grand_total, ?6), \
     placed_at = COALESCE(placed_at, ?7), updated_at = COALESCE(updated_at, ?8) WHERE seq = ?1";

/// Whether a report with these facts is as new as anything that was ever reported of the subject.
pub(super) fn is_newest(tx: &Tx<'_>, subject: i64, facts: &SubjectFacts) -> Outcome<bool> {
    let Some(updated_at) = facts.updated_at else { return Ok(true) };
    let known = tx
        .row("SELECT updated_at FROM subjects WHERE seq = ?1", [subject], |row| row.get::<_, Option<i64>>(0))?
        .flatten();
    Ok(known.is_none_or(|known| updated_at.as_microsecond() >= known))
}
