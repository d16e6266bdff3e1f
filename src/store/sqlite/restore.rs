//! A copy takes the place of the file, and what nobody knows any more becomes uncertain (BAK-3).
//!
//! Two halves. [`put_in_place`] moves files while no service runs. [`take_over`] runs in the first transaction of whoever
//! serves a file that says it is a copy, however it came there: every delivery that is open in it may have been sent
//! since. It stands on the rung `restored`, in its lane as before, and when its turn comes the ladder of its guard decides:
//! a look wherever one is possible, else the same key again or a person.
//!
//! Orders that were accepted after the copy are not in it at all. When their senders send them again they are new here
//! and may be known there. So an order that Commerce placed before the restore and that this file meets for the first time
//! is in doubt from the start ([`may_be_known_there`]); one placed later cannot have been sent by the file that is gone.
//!
//! What a copy shows as delivered stays delivered: it carries the proof with it (ATT-2), in one consistent state.

use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::backup::{self, COPIED_AT, beside, remove, sync, sync_folder, unusable};
use super::fault::Outcome;
use super::open;
use super::tx::{self, Tx, count};
use crate::clock::{Timestamp, from_micros};
use crate::store::StoreError;
use crate::store::view::Restoration;

/// In `meta`: when the file that is served now was put in place of one that went on longer.
const RESTORED_AT: &str = "restored_at";
/// In `meta`: since when effects may be known at destinations and not here, by any restore.
const RESTORED_FROM: &str = "restored_from";
/// In `meta` until a start has seen to everything a restore asks for.
const RESTORING: &str = "restoring";
/// How long an order without a date counts as one that may be known at its destination.
const UNDATED_DOUBT_MICROS: i64 = 7 * 86_400_000_000;

/// The place of the one process that serves a file.
#[derive(Debug)]
pub struct Hold {
    store: PathBuf,
    _lock: File,
}

/// Takes the place of whoever would serve this file.
pub(in crate::store) fn hold(store: &Path) -> Result<Hold, StoreError> {
    open::check_disk(store)?;
    Ok(Hold { store: store.to_owned(), _lock: open::lock(store)? })
}

/// Where a copy waits until it is proved again.
pub(super) fn waiting_copy(store: &Path) -> PathBuf {
    beside(store, ".restoring")
}

/// Puts a copy in the place of the store, whose own files are kept aside.
pub(in crate::store) fn put_in_place(hold: &Hold, copy: &Path, now: Timestamp) -> Result<Option<PathBuf>, StoreError> {
    let store = &hold.store;
    let waiting = waiting_copy(store);
    remove(&waiting)?;
    std::fs::copy(copy, &waiting).map_err(|reason| unusable(&waiting, &reason))?;
    let ready = backup::inspect(&waiting, true).and_then(|_| mark_as_copy(&waiting, now)).and_then(|()| sync(&waiting));
    if let Err(error) = ready {
        drop(remove(&waiting));
        return Err(error);
    }
    let aside = keep_aside(store, now)?;
    std::fs::rename(&waiting, store).map_err(|reason| unusable(store, &reason))?;
    sync_folder(store)?;
    Ok(aside)
}

/// A file that was copied by other means does not say when; the copy is then as old as the last thing in it.
fn mark_as_copy(path: &Path, now: Timestamp) -> Result<(), StoreError> {
    let conn = Connection::open(path).map_err(|reason| unusable(path, &reason))?;
    let at = now.as_microsecond().to_string();
    conn.pragma_update(None, "journal_mode", "delete")
        .and_then(|()| {
            conn.execute(
                "INSERT INTO meta (name, value) VALUES (?1, COALESCE((SELECT received_at FROM envelopes \
                 ORDER BY seq DESC LIMIT 1), ?2)) \
                 ON CONFLICT (name) DO NOTHING",
                [COPIED_AT, &at],
            )
        })
        .map_err(|reason| unusable(path, &reason))?;
    conn.close().map_err(|(_, reason)| unusable(path, &reason))
}

/// Moves the store's files aside: the file first, so that at no moment it stands there without the commits of its log.
fn keep_aside(store: &Path, now: Timestamp) -> Result<Option<PathBuf>, StoreError> {
    let stamp: String = now.to_string().chars().take(19).filter(|letter| !matches!(letter, '-' | ':')).collect();
    let aside = beside(store, &format!(".replaced-{stamp}Z"));
    let mut kept = None;
    for end in ["", "-wal", "-shm"] {
        match std::fs::rename(beside(store, end), beside(&aside, end)) {
            Ok(()) if end.is_empty() => kept = Some(aside.clone()),
            Ok(()) => {}
            Err(reason) if reason.kind() == std::io::ErrorKind::NotFound => {}
            Err(reason) => return Err(unusable(store, &reason)),
        }
    }
    Ok(kept)
}

/// Called in the first transaction of a service: if the file says it is a copy, what is open in it becomes uncertain.
pub(super) fn take_over(tx: &mut Tx<'_>, now: Timestamp) -> Outcome<()> {
    let Some(copied_at) = moment(tx.conn, COPIED_AT)? else { return Ok(()) };
    // Who signed out after the copy was made must not be signed in again.
    tx.run("DELETE FROM sessions", [])?;
    // Nobody died: what was begun when the copy was made is simply worked on again.
    tx.run("UPDATE envelopes INDEXED BY envelopes_begun SET turn = 'ready' WHERE turn = 'begun'", [])?;
    super::bulk::stop_restored(tx, now)?;
    // What was not sent in the copy was first sent after it, if ever: from then on its key may be known (UNC-2).
    tx.run(
        "UPDATE deliveries SET uncertain = 1, rung = 'restored', absent = 0, look_failures = 0, \
         first_attempt_at = COALESCE(first_attempt_at, ?1) WHERE state IN ('waiting', 'in_flight', 'parked')",
        [copied_at.as_microsecond()],
    )?;
    // A copy of a copy may meet orders again that the earlier restore lost.
    let since = moment(tx.conn, RESTORED_FROM)?.map_or(copied_at, |earlier| earlier.min(copied_at));
    tx.run("DELETE FROM meta WHERE name IN (?1, 'running')", [COPIED_AT])?;
    for (name, value) in [(RESTORED_AT, now), (RESTORED_FROM, since), (RESTORING, copied_at)] {
        tx.run(
            "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value.as_microsecond().to_string()),
        )?;
    }
    Ok(())
}

/// A delivery that waits may have taken effect already, in a time that nobody remembers: since then its key may be known.
pub(super) fn put_in_doubt(tx: &Tx<'_>, delivery: i64, subject: i64, at: Timestamp) -> Outcome<()> {
    let lost_from = moment(tx.conn, RESTORED_FROM)?.map_or(i64::MIN, Timestamp::as_microsecond);
    let since = placed_at(tx, subject)?.unwrap_or(lost_from).max(lost_from).min(at.as_microsecond());
    tx.run(
        "UPDATE deliveries SET uncertain = 1, rung = 'restored', absent = 0, look_failures = 0, \
         first_attempt_at = COALESCE(first_attempt_at, ?2) WHERE seq = ?1 AND state = 'waiting'",
        (delivery, since),
    )?;
    Ok(())
}

fn placed_at(tx: &Tx<'_>, subject: i64) -> Outcome<Option<i64>> {
    Ok(tx.row("SELECT placed_at FROM subjects WHERE seq = ?1", [subject], |row| row.get(0))?.flatten())
}

/// Whether a subject that this file meets for the first time may be known at destinations from the time that a restore
/// lost.
pub(super) fn may_be_known_there(tx: &Tx<'_>, subject: i64, restored_at: i64, now: Timestamp) -> Outcome<bool> {
    Ok(match placed_at(tx, subject)? {
        Some(placed_at) => placed_at < restored_at,
        None => now.as_microsecond() < restored_at + UNDATED_DOUBT_MICROS,
    })
}

/// When this file was put in place of another, if it ever was.
pub(super) fn restored_at(conn: &Connection) -> Outcome<Option<i64>> {
    Ok(moment(conn, RESTORED_AT)?.map(Timestamp::as_microsecond))
}

/// What is left to do after a restore; `None`: nothing.
pub(super) fn pending(conn: &Connection) -> Outcome<Option<Restoration>> {
    let (Some(copied_at), Some(restored_at)) = (moment(conn, RESTORING)?, moment(conn, RESTORED_AT)?) else {
        return Ok(None);
    };
    let in_doubt = tx::row(
        conn,
        "SELECT COUNT(*) FROM deliveries WHERE state IN ('waiting', 'in_flight', 'parked') AND uncertain = 1",
        [],
        |row| row.get(0),
    )?;
    Ok(Some(Restoration { copied_at, restored_at, in_doubt: count(in_doubt.unwrap_or(0)) }))
}

/// Everything a restore asks for is done.
pub(super) fn done(tx: &mut Tx<'_>) -> Outcome<()> {
    tx.run("DELETE FROM meta WHERE name = ?1", [RESTORING])?;
    Ok(())
}

fn moment(conn: &Connection, name: &str) -> Outcome<Option<Timestamp>> {
    let text = tx::row(conn, "SELECT value FROM meta WHERE name = ?1", [name], |row| row.get::<_, String>(0))?;
    Ok(text.and_then(|text| text.parse().ok()).map(from_micros))
}
