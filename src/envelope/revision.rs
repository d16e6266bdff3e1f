//! Which of two reports of one order is the newer one (LANE-3).

use std::fmt;

use super::keys::Digest;
use crate::clock::Timestamp;

/// What a report of an order says of its own age, and what it says.
///
/// Invariant: equal content means that there is nothing to do, whatever the times; the digest itself has no order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revision {
    /// `updated_at` in Commerce, which counts whole seconds; `None` where the report does not say.
    pub updated_at: Option<Timestamp>,
    /// The entity's own version, where the system of record counts one. Commerce does not.
    pub version: Option<u64>,
    /// Digest of what matters of the order ([`crate::domain::content`]), cut to 16 bytes.
    pub content: [u8; 16],
}

/// How a report stands to what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It says something that is newer.
    Newer,
    /// It says the same.
    Same,
    /// It says something that was overtaken.
    Older,
}

impl Revision {
    /// The revision of a report with this content.
    pub fn of(updated_at: Option<Timestamp>, content: &str) -> Self {
        Revision { updated_at, version: None, content: short(content) }
    }

    /// How this report stands to a known one: equal content first, then time, then version. What one of the two does not
    /// say decides nothing; where nothing decides, the one that was read later is newer.
    pub fn standing(&self, known: &Revision) -> Standing {
        if self.content == known.content {
            return Standing::Same;
        }
        let time = self.updated_at.zip(known.updated_at).map(|(this, known)| this.cmp(&known));
        let version = self.version.zip(known.version).map(|(this, known)| this.cmp(&known));
        let decided = [time, version].into_iter().flatten().find(|order| order.is_ne());
        if decided == Some(std::cmp::Ordering::Less) { Standing::Older } else { Standing::Newer }
    }

    /// The newer of this report and one that was known before it. Of two that say the same, the one of the later time: an
    /// older report that says it as well makes nothing older.
    #[must_use]
    pub fn newer_of(self, known: Revision) -> Revision {
        match self.standing(&known) {
            Standing::Older => known,
            Standing::Same if known.updated_at > self.updated_at => known,
            Standing::Same | Standing::Newer => self,
        }
    }
}

/// A content's digest as it is kept.
pub fn short(content: &str) -> [u8; 16] {
    Digest::of(content.as_bytes()).short()
}

/// As it enters an idempotency key and as people see it: `2026-03-01T10:15:31Z.9f86d081884c7d659a2feaa0c55ad015`.
impl fmt::Display for Revision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.updated_at {
            Some(at) => write!(formatter, "{at}.")?,
            None => formatter.write_str("-.")?,
        }
        if let Some(version) = self.version {
            write!(formatter, "v{version}.")?;
        }
        formatter.write_str(&data_encoding::HEXLOWER.encode(&self.content))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::from_micros;

    fn revision(at: Option<i64>, version: Option<u64>, content: &str) -> Revision {
        Revision { version, ..Revision::of(at.map(|seconds| from_micros(seconds * 1_000_000)), content) }
    }

    #[test]
    fn lane_3_time_then_version_and_equal_content_is_nothing_new() {
        use Standing::{Newer, Older, Same};
        type Row = (
            &'static str,
            (Option<i64>, Option<u64>, &'static str),
            (Option<i64>, Option<u64>, &'static str),
            Standing,
        );
        let table: [Row; 13] = [
            ("later", (Some(11), None, "b"), (Some(10), None, "a"), Newer),
            ("earlier", (Some(9), None, "b"), (Some(10), None, "a"), Older),
            ("the same second, other content", (Some(10), None, "b"), (Some(10), None, "a"), Newer),
            ("the same", (Some(10), None, "a"), (Some(10), None, "a"), Same),
            ("later and says the same", (Some(11), None, "a"), (Some(10), None, "a"), Same),
            ("earlier and says the same", (Some(9), None, "a"), (Some(10), None, "a"), Same),
            ("the same second, a later version", (Some(10), Some(3), "b"), (Some(10), Some(2), "a"), Newer),
            ("the same second, an earlier version", (Some(10), Some(1), "b"), (Some(10), Some(2), "a"), Older),
            ("the time counts before the version", (Some(11), Some(1), "b"), (Some(10), Some(2), "a"), Newer),
            ("one version decides nothing", (Some(10), Some(1), "b"), (Some(10), None, "a"), Newer),
            ("no time decides nothing", (None, None, "b"), (Some(10), None, "a"), Newer),
            ("no time known", (Some(1), None, "b"), (None, None, "a"), Newer),
            ("no time, an earlier version", (None, Some(1), "b"), (Some(10), Some(2), "a"), Older),
        ];
        for (case, (at, version, content), (known_at, known_version, known), standing) in table {
            let (this, known) = (revision(at, version, content), revision(known_at, known_version, known));
            assert_eq!(this.standing(&known), standing, "{case}");
        }
    }

    #[test]
    fn a_revision_reads_as_its_time_and_its_content() {
        let text = revision(Some(0), None, "a").to_string();
        assert!(text.starts_with("1970-01-01T00:00:00Z."), "{text}");
        assert_eq!(text.len(), 21 + 32);
        assert_ne!(text, revision(Some(0), None, "b").to_string());
        assert!(revision(None, Some(7), "a").to_string().starts_with("-.v7."));
    }

    proptest! {
        #[test]
        fn lane_3_of_two_reports_with_times_at_most_one_is_older(a in 0_i64..4, b in 0_i64..4, x in 0_u8..3, y in 0_u8..3) {
            let one = revision(Some(a), None, &x.to_string());
            let other = revision(Some(b), None, &y.to_string());
            let both = (one.standing(&other), other.standing(&one));
            prop_assert!(both != (Standing::Older, Standing::Older));
            prop_assert_eq!(both.0 == Standing::Same, both.1 == Standing::Same);
            prop_assert_eq!(both.0 == Standing::Older, x != y && a < b);
        }
    }
}
