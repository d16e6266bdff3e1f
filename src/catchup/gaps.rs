//! Numbers that should be here and are not: holes in the sequence of a store's order numbers. Pure.
//!
//! Commerce reserves an order number when a checkout begins, so most holes are checkouts that were never finished, and a few
//! are orders that everything else missed. Which of the two only Commerce knows; it is asked once a number.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::{Timestamp, later};

/// A hole wider than this is no hole but a new beginning: a sequence that was set anew, or numbers of another year.
const WIDTH_MAX: u64 = 200;
/// Numbers asked for after one search.
pub const ASKED_MAX: usize = 20;
/// Orders looked back over.
pub const LOOKED_AT: u32 = 2_000;

/// An order that is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Here {
    /// Its store; empty if nobody said.
    pub scope: String,
    /// Its number.
    pub number: String,
    /// When it was first heard of.
    pub first_seen_at: Timestamp,
}

/// A number that is not here between two that are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// The store of its neighbours.
    pub scope: String,
    /// The number, spelled as they are.
    pub number: String,
}

/// The holes, the lowest numbers first. One is looked at when both its neighbours have been here for `patience`: a push
/// that is only slow fills it meanwhile.
///
/// Numbers of one store with the same prefix, suffix and count of digits are one sequence. Its step is what all its
/// distances have in common, since a database of several masters counts in threes; two numbers alone show no step.
pub fn missing(here: &[Here], patience: Duration, now: Timestamp) -> Vec<Missing> {
    let mut sequences: BTreeMap<(&str, &str, &str, usize), BTreeMap<u64, Timestamp>> = BTreeMap::new();
    for order in here {
        let Some((prefix, digits, suffix)) = parts(&order.number) else { continue };
        let Ok(count) = digits.parse() else { continue };
        let sequence = sequences.entry((&order.scope, prefix, suffix, digits.len())).or_default();
        let first = sequence.entry(count).or_insert(order.first_seen_at);
        *first = (*first).min(order.first_seen_at);
    }
    let mut missing = Vec::new();
    for ((scope, prefix, suffix, width), sequence) in &sequences {
        let counts: Vec<(u64, Timestamp)> = sequence.iter().map(|(count, at)| (*count, *at)).collect();
        let step = counts.windows(2).map(|pair| pair[1].0 - pair[0].0).fold(0, gcd);
        if counts.len() < 3 || step == 0 {
            continue;
        }
        for pair in counts.windows(2) {
            let ((from, from_at), (to, to_at)) = (pair[0], pair[1]);
            let settled = later(from_at.max(to_at), patience) <= now;
            if !settled || (to - from) / step > WIDTH_MAX {
                continue;
            }
            let between = (1..(to - from) / step).map(|steps| from + steps * step);
            missing.extend(between.map(|count| Missing {
                scope: (*scope).to_owned(),
                number: format!("{prefix}{count:0width$}{suffix}"),
            }));
        }
    }
    missing
}

/// A number around its longest run of digits, the first of several. Commerce builds numbers as prefix, padded counter,
/// suffix; an order that was edited carries `-1` behind the number of the one it replaces.
fn parts(number: &str) -> Option<(&str, &str, &str)> {
    let mut best = 0..0;
    let mut start = None;
    for (at, byte) in number.bytes().chain([b' ']).enumerate() {
        match (byte.is_ascii_digit(), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                if at - from > best.len() {
                    best = from..at;
                }
                start = None;
            }
            _ => {}
        }
    }
    // A hand-made number of a few digits counts nothing.
    (best.len() >= 4).then(|| (&number[..best.start], &number[best.clone()], &number[best.end..]))
}

fn gcd(one: u64, other: u64) -> u64 {
    if other == 0 { one } else { gcd(other, one % other) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::from_micros;

    const MINUTE: i64 = 60_000_000;
    const PATIENCE: Duration = Duration::from_mins(10);

    fn here(scope: &str, numbers: &[&str]) -> Vec<Here> {
        let order =
            |number: &&str| Here { scope: scope.into(), number: (*number).into(), first_seen_at: from_micros(0) };
        numbers.iter().map(order).collect()
    }

    fn found(numbers: &[&str]) -> Vec<String> {
        missing(&here("1", numbers), PATIENCE, from_micros(60 * MINUTE))
            .into_iter()
            .map(|missing| missing.number)
            .collect()
    }

    #[test]
    fn numbers_between_two_that_are_here_are_missing() {
        assert_eq!(found(&["000000010", "000000013", "000000011"]), ["000000012"]);
        assert_eq!(found(&["W0010-x", "W0011-x", "W0014-x"]), ["W0012-x", "W0013-x"]);
        assert_eq!(found(&["000000010", "000000011", "000000012"]), [""; 0]);
    }

    #[test]
    fn sequences_are_told_apart() {
        assert_eq!(
            found(&["1000001", "1000002", "2000005", "2000006", "000010", "000012"]),
            [""; 0],
            "they are far apart"
        );
        let mut all = here("1", &["1000001", "1000002"]);
        all.extend(here("2", &["1000004", "1000005"]));
        assert_eq!(missing(&all, PATIENCE, from_micros(60 * MINUTE)), [], "another store counts for itself");
        assert_eq!(found(&["1000001", "1000002", "1000004-1"]), [""; 0], "an edited order has its own place");
        assert_eq!(found(&["7", "8", "10", "B-1", "B-3", "order of Anna", ""]), [""; 0], "what is made by hand");
    }

    #[test]
    fn a_database_that_counts_in_threes_has_no_holes() {
        assert_eq!(found(&["000003", "000006", "000009", "000012"]), [""; 0]);
        assert_eq!(found(&["000003", "000006", "000012"]), ["000009"]);
        assert_eq!(found(&["000003", "000012"]), [""; 0], "two numbers show no step");
    }

    #[test]
    fn a_push_that_is_only_slow_has_time_to_come() {
        let mut all = here("1", &["000010", "000011"]);
        all.push(Here { scope: "1".into(), number: "000013".into(), first_seen_at: from_micros(5 * MINUTE) });
        assert_eq!(missing(&all, PATIENCE, from_micros(14 * MINUTE)), []);
        assert_eq!(missing(&all, PATIENCE, from_micros(15 * MINUTE)).len(), 1);
    }

    #[test]
    fn a_sequence_that_was_set_anew_is_no_hole() {
        assert_eq!(found(&["000000010", "000000011", "900000000", "900000001"]), [""; 0]);
        assert_eq!(found(&["000000000", "99999999999999999999", "000000002", "18446744073709551615"]), [""; 0]);
    }

    proptest! {
        #[test]
        fn whatever_stands_there_few_numbers_are_missing_and_none_of_them_is_here(
            numbers in proptest::collection::vec("[A-Z]{0,2}[0-9]{0,12}(-[0-9])?", 0..40)
        ) {
            let texts: Vec<&str> = numbers.iter().map(String::as_str).collect();
            let found = found(&texts);
            prop_assert!(found.len() <= 40 * usize::try_from(WIDTH_MAX).unwrap());
            for number in found {
                prop_assert!(!texts.contains(&number.as_str()), "{number}");
            }
        }
    }
}
