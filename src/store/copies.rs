//! Copies of the store's file: made beside a running service, looked at, put in place (BAK-1, BAK-3).
//!
//! Names of scheduled copies sort by time: `crossdock-20260301T101530Z.db`. The folder itself is the record of what there
//! is: a copy gets its name only after it was proved, so the newest name is the last good one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::StoreError;
use super::seal::Keys;
use super::sqlite::{backup, restore};
use crate::clock::{Timestamp, from_micros};

pub use super::sqlite::restore::Hold;

/// Told after every step: pages copied, pages in all.
pub type Progress<'a> = dyn FnMut(u64, u64) + 'a;

/// What a store file is and holds.
#[derive(Clone, Debug, Serialize)]
pub struct CopyFacts {
    /// Part of every idempotency key: must be the same before and after a restore.
    pub installation_id: String,
    /// Of the layout.
    pub schema_version: u32,
    /// When it was copied; `None` for a file that serves or served.
    pub copied_at: Option<Timestamp>,
    /// Events ever accepted.
    pub accepted: u64,
    /// When the last of them arrived.
    pub last_received_at: Option<Timestamp>,
    /// Deliveries that are not final, per destination.
    pub open: Vec<(String, u64)>,
    /// Size of the file.
    pub bytes: u64,
}

/// A copy that was made and proved.
#[derive(Clone, Debug)]
pub struct Copied {
    /// Where it is.
    pub path: PathBuf,
    /// What it holds.
    pub facts: CopyFacts,
    /// How long it took, the proof included.
    pub took: Duration,
    /// The longest step: what a page of the store was held at most.
    pub longest_step: Duration,
}

/// Copies the store beside whoever serves it, and proves the copy (`integrity_check`) before it gets its name.
///
/// # Errors
/// When `to` exists, either file cannot be used, or the copy is not sound.
pub fn copy(store: &Path, to: &Path, now: Timestamp, progress: &mut Progress<'_>) -> Result<Copied, StoreError> {
    backup::copy(store, to, now, progress)
}

/// What a store file holds; `whole`: after proving it.
///
/// # Errors
/// [`StoreError::Corrupt`] when it is damaged, [`StoreError::Unusable`] when it is something else.
pub fn inspect(path: &Path, whole: bool) -> Result<CopyFacts, StoreError> {
    backup::inspect(path, whole)
}

/// The slow look at a copy: counts, states, the audit chain, every body against its digest. Empty when all agrees.
///
/// # Errors
/// When the copy cannot be read.
pub fn findings(copy: &Path, keys: &Keys) -> Result<Vec<String>, StoreError> {
    backup::findings(copy, keys)
}

/// Takes the place of whoever would serve this file; given back when dropped.
///
/// # Errors
/// When a service holds it.
pub fn hold(store: &Path) -> Result<Hold, StoreError> {
    restore::hold(store)
}

/// Puts a copy in the place of the store, whose own files are kept aside; the name of the one kept, if there was one.
///
/// # Errors
/// When the copy is not sound or a file cannot be moved; the store is then where it was.
pub fn put_in_place(hold: &Hold, copy: &Path, now: Timestamp) -> Result<Option<PathBuf>, StoreError> {
    restore::put_in_place(hold, copy, now)
}

/// The name of a scheduled copy.
pub fn name(at: Timestamp) -> String {
    let text = at.to_string();
    let digits: String = text.chars().take(19).filter(|letter| !matches!(letter, '-' | ':')).collect();
    format!("crossdock-{digits}Z.db")
}

fn made_at(name: &str) -> Option<Timestamp> {
    let digits = name.strip_prefix("crossdock-")?.strip_suffix("Z.db")?;
    let (day, time) = digits.split_once('T')?;
    if day.len() != 8 || time.len() != 6 || !digits.is_ascii() {
        return None;
    }
    let (year, month, date) = (&day[..4], &day[4..6], &day[6..]);
    let (hour, minute, second) = (&time[..2], &time[2..4], &time[4..]);
    format!("{year}-{month}-{date}T{hour}:{minute}:{second}Z").parse().ok()
}

/// The scheduled copies of a folder with their times, oldest first; empty where there is no folder.
pub fn all(folder: &Path) -> Vec<(Timestamp, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut copies: Vec<_> =
        entries.filter_map(|entry| Some((made_at(entry.file_name().to_str()?)?, entry.path()))).collect();
    copies.sort();
    copies
}

/// The newest scheduled copy of a folder: the one a restore would use.
pub fn newest(folder: &Path) -> Option<(Timestamp, PathBuf)> {
    all(folder).pop()
}

/// Removes scheduled copies older than `keep`, never the newest, and what interrupted copies left; how many.
pub fn prune(folder: &Path, keep: Duration, now: Timestamp) -> u64 {
    let keep = i64::try_from(keep.as_micros()).unwrap_or(i64::MAX);
    let oldest = from_micros(now.as_microsecond().saturating_sub(keep));
    let mut copies = all(folder);
    copies.pop();
    let old = copies.into_iter().filter(|(made, _)| *made < oldest).map(|(_, path)| path);
    let removed = old.filter(|path| std::fs::remove_file(path).is_ok()).count();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let left = name.to_str().and_then(|name| name.strip_suffix(".partial")).and_then(made_at);
        if left.is_some_and(|made| made < from_micros(now.as_microsecond() - 86_400_000_000)) {
            drop(std::fs::remove_file(entry.path()));
        }
    }
    removed as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_copies_sort_by_time_and_pruning_keeps_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let first = name(at("2026-03-01T10:15:30.5Z"));
        assert_eq!(first, "crossdock-20260301T101530Z.db");
        let times = ["2026-03-01T10:15:30Z", "2026-03-10T10:15:30Z", "2026-03-11T00:00:00Z"];
        for time in times {
            std::fs::write(folder.path().join(name(at(time))), "copy").unwrap();
        }
        std::fs::write(folder.path().join("crossdock.db"), "somebody's").unwrap();
        std::fs::write(folder.path().join("crossdock-20260101T000000Z.db.partial"), "half").unwrap();
        let day = Duration::from_hours(24);
        assert_eq!(newest(folder.path()).unwrap().0, at(times[2]));
        assert_eq!(prune(folder.path(), day * 14, at("2026-03-20T00:00:00Z")), 1);
        assert_eq!(prune(folder.path(), day, at("2027-01-01T00:00:00Z")), 1, "never the newest");
        let mut left: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["crossdock-20260311T000000Z.db", "crossdock.db"]);
    }
}
