//! What is wrong with a configuration file: place, fault, remedy.

use std::fmt;

/// One thing to put right. `message` completes the sentence "this setting …"; neither text carries a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path in the file, `origins.hooks.auth[0].public_keys[0]`; empty for the file as a whole.
    pub path: String,
    /// Line in the file, from 1, where it can be told.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

/// One line: `line 12: origins.hooks.auth: is empty; name at least one credential`.
impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(formatter, "line {line}: ")?;
        }
        if !self.path.is_empty() {
            write!(formatter, "{}: ", self.path)?;
        }
        formatter.write_str(&self.message)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(formatter, "; {}", self.remedy) }
    }
}

/// A fault and its remedy, before it is known where in the file it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

impl Complaint {
    /// Both halves.
    pub fn new(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Complaint { message: message.into(), remedy: remedy.into() }
    }
}

/// The known word closest to `given`, if one is close enough to be meant.
pub(super) fn nearest<'k>(given: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let tolerance = (given.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|word| (edits(given, word), word))
        .filter(|(distance, _)| *distance <= tolerance)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// Levenshtein distance; a long foreign word is cut, it is close to nothing anyway.
fn edits(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().take(64).collect();
    let right: Vec<char> = right.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, from) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, to) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_finds_the_word_that_was_meant() {
        let known = ["listen", "admin_listen", "handler_timeout"];
        assert_eq!(nearest("lisen", known), Some("listen"));
        assert_eq!(nearest("handler_time_out", known), Some("handler_timeout"));
        assert_eq!(nearest("banana", known), None);
        assert_eq!(edits("kitten", "sitting"), 3);
    }
}
