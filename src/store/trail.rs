//! The chain of acts, as arithmetic (API-5): the digest of a row, and whether rows that left the store are whole.
//!
//! A row says which digest it follows. So every row proves its own content, and rows that stand next to each other prove
//! their order; a file of some rows, filtered or cut out, is checked as far as it goes, and says how far that is.

use std::collections::HashSet;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::books::{AuditBreak, AuditRow};
use crate::clock::Timestamp;

/// What the first row of a chain follows.
pub const GENESIS: [u8; 32] = [0; 32];

/// Over the row before, the time and the fields, each with its length. `source` is `None` in rows older than that column.
pub fn digest(previous: &[u8; 32], at: i64, fields: &[&str; 6], source: Option<&str>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(previous);
    hasher.update(at.to_be_bytes());
    for field in fields.iter().copied().chain(source) {
        hasher.update(u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(field.as_bytes());
    }
    hasher.finalize().into()
}

/// Which rows are wanted; empty: all.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// Of this actor, whole: `user:anna`.
    pub actor: Option<String>,
    /// This action, or those below it: `user` stands for `user.create` and the like.
    pub action: Option<String>,
}

impl Wanted {
    /// Whether a row is.
    pub fn takes(&self, row: &AuditRow) -> bool {
        let below = |action: &String| {
            row.action.strip_prefix(action.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.since.is_none_or(|since| row.at >= since)
            && self.until.is_none_or(|until| row.at < until)
            && self.actor.as_ref().is_none_or(|actor| row.actor == *actor)
            && self.action.as_ref().is_none_or(below)
    }
}

/// What a file of rows came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Rows.
    pub rows: u64,
    /// Number of the first.
    pub first: Option<u64>,
    /// Number of the last.
    pub last: Option<u64>,
    /// Digest of the last.
    pub digest: String,
    /// Places where rows are left out; whether they should be there, only the store knows.
    pub left_out: u64,
    /// The first that is not what was written, or does not follow from the one before it.
    pub broken: Option<AuditBreak>,
}

/// Looks at rows one by one, in their order.
#[derive(Debug, Default)]
pub struct Check {
    so_far: Checked,
    wanted: HashSet<String>,
    found: bool,
}

impl Check {
    /// A digest that must be among them; `None`: none must.
    pub fn looking_for(digest: Option<&str>) -> Self {
        Check { wanted: digest.into_iter().map(str::to_ascii_lowercase).collect(), ..Check::default() }
    }

    /// The next row. After the first broken one nothing more is said.
    pub fn row(&mut self, row: &AuditRow) {
        let so_far = &mut self.so_far;
        self.found |= self.wanted.contains(&row.digest);
        if so_far.broken.is_none()
            && let Some(what) = complaint(so_far, row)
        {
            so_far.broken = Some(AuditBreak { number: row.number, what: what.to_owned() });
        }
        let next = so_far.last.is_none_or(|last| row.number == last + 1);
        so_far.left_out += u64::from(!next || (so_far.last.is_none() && row.number > 1));
        so_far.rows += 1;
        so_far.first = so_far.first.or(Some(row.number));
        so_far.last = Some(row.number);
        row.digest.clone_into(&mut so_far.digest);
    }

    /// What came of it; whether the digest that was looked for is there, `None` where none was.
    pub fn end(self) -> (Checked, Option<bool>) {
        let found = (!self.wanted.is_empty()).then_some(self.found);
        (self.so_far, found)
    }
}

fn complaint(so_far: &Checked, row: &AuditRow) -> Option<&'static str> {
    if so_far.last.is_some_and(|last| row.number <= last) || row.number == 0 {
        return Some("it is out of order: rows were moved or doubled");
    }
    let follows = so_far.last.is_some_and(|last| row.number == last + 1);
    if (follows && row.previous != so_far.digest) || (row.number == 1 && row.previous != hex(&GENESIS)) {
        return Some("it does not follow from the row before it: that one was changed, or rows were put in");
    }
    let Some(previous) = unhex(&row.previous) else { return Some("what it follows is no digest") };
    let fields = [&row.actor, &row.action, &row.target, &row.before, &row.after, &row.reason].map(String::as_str);
    let at = row.at.as_microsecond();
    let with = hex(&digest(&previous, at, &fields, Some(&row.from)));
    // Rows from before their place was recorded have none in their digest either.
    let without = || row.from.is_empty() && row.digest == hex(&digest(&previous, at, &fields, None));
    if row.digest == with || without() { None } else { Some("its digest does not fit its content: it was changed") }
}

/// As digests are shown.
pub fn hex(digest: &[u8; 32]) -> String {
    data_encoding::HEXLOWER.encode(digest)
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    fn chain(rows: u64) -> Vec<AuditRow> {
        let mut previous = GENESIS;
        let mut made = Vec::new();
        for number in 1..=rows {
            let mut row = AuditRow {
                number,
                at: from_micros(i64::try_from(number).unwrap() * 1_000_001),
                actor: if number % 2 == 0 { "user:anna" } else { "cli:root" }.into(),
                from: if number == 1 { "" } else { "192.0.2.1" }.into(),
                action: if number % 3 == 0 { "user.create" } else { "users" }.into(),
                target: "x".into(),
                before: String::new(),
                after: "{\"a\":1}".into(),
                reason: "ünïcode".into(),
                previous: hex(&previous),
                digest: String::new(),
            };
            let fields = [&row.actor, &row.action, &row.target, &row.before, &row.after, &row.reason];
            let source = (number > 1).then_some(row.from.as_str());
            previous = digest(&previous, row.at.as_microsecond(), &fields.map(String::as_str), source);
            row.digest = hex(&previous);
            made.push(row);
        }
        made
    }

    fn check(rows: &[AuditRow]) -> Checked {
        let mut check = Check::default();
        for row in rows {
            check.row(row);
        }
        check.end().0
    }

    #[test]
    fn api_5_rows_that_left_the_store_prove_themselves() {
        let rows = chain(6);
        let whole = check(&rows);
        assert_eq!((whole.rows, whole.first, whole.last, whole.left_out), (6, Some(1), Some(6), 0));
        assert_eq!((whole.broken, whole.digest), (None, rows[5].digest.clone()));
        let some: Vec<_> = rows.iter().filter(|row| row.number % 2 == 0).cloned().collect();
        let some = check(&some);
        assert_eq!((some.rows, some.left_out, some.broken), (3, 3, None), "a part is sound, and says that it is one");
        let read: Vec<AuditRow> =
            rows.iter().map(|row| serde_json::from_str(&serde_json::to_string(row).unwrap()).unwrap()).collect();
        assert_eq!(read, rows, "what is exported is what is read");
    }

    #[test]
    fn api_5_whatever_is_changed_in_a_file_is_told() {
        let rows = chain(5);
        let bent = |bend: &dyn Fn(&mut Vec<AuditRow>)| {
            let mut rows = rows.clone();
            bend(&mut rows);
            check(&rows).broken.map(|broken| broken.number)
        };
        assert_eq!(bent(&|rows| rows[2].actor.push('x')), Some(3));
        assert_eq!(bent(&|rows| rows[2].from.clear()), Some(3));
        assert_eq!(bent(&|rows| rows[2].reason = "other".into()), Some(3));
        assert_eq!(bent(&|rows| rows[2].at = from_micros(1)), Some(3));
        assert_eq!(bent(&|rows| rows[2].digest = hex(&GENESIS)), Some(3));
        assert_eq!(bent(&|rows| rows[2].previous = "zz".into()), Some(3));
        assert_eq!(bent(&|rows| rows.swap(1, 2)), Some(2));
        assert_eq!(
            bent(&|rows| {
                let twice = rows[1].clone();
                rows.insert(2, twice);
            }),
            Some(2)
        );
        assert_eq!(bent(&|rows| rows[0].previous = "1".repeat(64)), Some(1));
        let mut check = Check::looking_for(Some(&rows[1].digest));
        check.row(&rows[0]);
        assert_eq!(check.end().1, Some(false));
    }

    #[test]
    fn rows_are_picked_by_time_actor_and_action() {
        let rows = chain(6);
        let count = |wanted: Wanted| rows.iter().filter(|row| wanted.takes(row)).count();
        assert_eq!(count(Wanted::default()), 6);
        assert_eq!(count(Wanted { actor: Some("user:anna".into()), ..Wanted::default() }), 3);
        assert_eq!(count(Wanted { action: Some("user".into()), ..Wanted::default() }), 2, "and not users");
        let (since, until) = (Some(rows[1].at), Some(rows[3].at));
        assert_eq!(count(Wanted { since, until, ..Wanted::default() }), 2);
    }
}
