//! The list of erased subjects: a line of JSON each, in a file beside the wrapping key, since a list inside the store
//! would be undone together with what it lists.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

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

/// Every entry; none where there is no file.
///
/// # Errors
/// When the file cannot be read or a line is not an entry.
pub fn read(list: &Path) -> anyhow::Result<Vec<Entry>> {
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

/// Adds entries and makes them durable.
///
/// # Errors
/// When the file cannot be written: the erasure would be undone by a restore.
pub fn append(list: &Path, entries: &[Entry]) -> anyhow::Result<()> {
    let wrong = || format!("the list of erased subjects {} cannot be written", list.display());
    let mut file = OpenOptions::new().append(true).create(true).open(list).with_context(wrong)?;
    let lines: Vec<String> = entries.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    file.write_all(lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect::<String>().as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(wrong)
}
