//! The list of erased subjects: a line of JSON each, in a file beside the wrapping key, since a list inside the store
//! would be undone together with what it lists.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// One erased subject. Holds an order number and no person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// `order`, …
    pub kind: String,
    /// The Commerce instance.
    pub system: String,
    /// Store id of an order.
    pub scope: String,
    /// Its number.
    pub id: String,
    /// What came later is not erased.
    pub until: Timestamp,
}

/// The entries of every list, each once.
///
/// # Errors
/// When a list cannot be read or a line of it is not an entry.
pub fn all(lists: &[PathBuf]) -> anyhow::Result<Vec<Entry>> {
    let mut all: Vec<Entry> = Vec::new();
    for list in lists {
        for entry in read(list)? {
            if !all.contains(&entry) {
                all.push(entry);
            }
        }
    }
    Ok(all)
}

/// Adds entries to the first list, with whatever only the others hold: a key that is taken out takes no list with it.
///
/// # Errors
/// When a list cannot be read, or the first cannot be written: the erasure would be undone by a restore.
pub fn note(lists: &[PathBuf], entries: &[Entry]) -> anyhow::Result<()> {
    let Some(first) = lists.first() else { return Ok(()) };
    let known = read(first)?;
    let mut missing = all(lists)?;
    missing.extend(entries.iter().cloned());
    missing.retain(|entry| !known.contains(entry));
    if missing.is_empty() { Ok(()) } else { append(first, &missing) }
}

fn read(list: &Path) -> anyhow::Result<Vec<Entry>> {
    let text = match std::fs::read_to_string(list) {
        Err(reason) if reason.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.with_context(|| format!("the list of erased subjects {}", list.display()))?,
    };
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(at, line)| {
            serde_json::from_str(line).map_err(|reason| anyhow!("{} line {}: {reason}", list.display(), at + 1))
        })
        .collect()
}

fn append(list: &Path, entries: &[Entry]) -> anyhow::Result<()> {
    let wrong = || format!("the list of erased subjects {} cannot be written", list.display());
    let mut file = OpenOptions::new().append(true).create(true).open(list).with_context(wrong)?;
    let lines: Vec<String> = entries.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    file.write_all(lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect::<String>().as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    #[test]
    fn dat_1_another_key_forgets_nobody_who_was_erased() {
        let folder = tempfile::tempdir().unwrap();
        let lists = ["new", "old", "store"].map(|name| folder.path().join(name));
        let entry = |id: &str| Entry {
            kind: "order".into(),
            system: "acme".into(),
            scope: "1".into(),
            id: id.into(),
            until: from_micros(1),
        };
        assert_eq!(all(&lists).unwrap(), []);
        note(&lists[2..], &[entry("1")]).unwrap();
        note(&lists[1..], &[entry("2")]).unwrap();
        note(&lists, &[]).unwrap();
        assert_eq!(read(&lists[0]).unwrap(), [entry("1"), entry("2")]);
        note(&lists, &[entry("2")]).unwrap();
        assert_eq!(all(&lists).unwrap().len(), 2);
        std::fs::write(&lists[1], "not an entry\n").unwrap();
        assert!(all(&lists).unwrap_err().to_string().contains("old line 1"));
    }
}
