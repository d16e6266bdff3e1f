//! When an order is looked for again, and when it is not. Pure.

use std::time::Duration;

use crate::store::write::Patience;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// LANE-4: what is older is not looked for by itself any more.
pub const PATIENCE_MAX: Duration = Duration::from_hours(24);
/// LANE-4: a saved order that is absent for so long is told to a person; it is looked for all the same.
pub const TOLD_AFTER: Duration = Duration::from_mins(15);

/// When an order that was announced before its save is looked for, counted from the announcement; then every hour.
const UNSAVED: [Duration; 6] = [
    SECOND.saturating_mul(2),
    SECOND.saturating_mul(10),
    SECOND.saturating_mul(30),
    MINUTE.saturating_mul(2),
    MINUTE.saturating_mul(10),
    HOUR,
];

/// What follows when Commerce does not know the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// Look again after this pause.
    Again(Duration),
    /// Look again, and tell a person meanwhile.
    AgainTold(Duration),
    /// It never came to exist, which is normal.
    NeverCame,
    /// A person decides.
    GivenUp,
}

/// What follows when Commerce does not know the order, `age` after it was asked for.
pub fn absent(patience: Patience, age: Duration) -> Absent {
    let left_of = |whole: Duration| whole.saturating_sub(age);
    match patience {
        Patience::Unsaved if age >= PATIENCE_MAX => Absent::NeverCame,
        Patience::Unsaved => {
            let next = UNSAVED.iter().find(|at| **at > age).map_or(HOUR, |at| left_of(*at));
            // The last look comes when patience ends.
            Absent::Again(next.min(left_of(PATIENCE_MAX)))
        }
        // Commerce commits within seconds; a replica or an index may lag behind.
        Patience::Saved if age < MINUTE * 2 => Absent::Again(SECOND * 5),
        Patience::Saved if age < TOLD_AFTER => Absent::Again(MINUTE.min(left_of(TOLD_AFTER))),
        Patience::Saved if age < PATIENCE_MAX => Absent::AgainTold((MINUTE * 15).min(left_of(PATIENCE_MAX))),
        Patience::Saved => Absent::GivenUp,
    }
}

/// The rest after failure number `failures` (from 1) in a row that may pass by itself, times 0.8 to 1.2 as `jitter` goes
/// from 0 to 1; never shorter than Commerce asked for.
pub fn rest_after(failures: u32, asked: Option<Duration>, jitter: f64) -> Duration {
    let doubled = SECOND.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    let base = doubled.min(MINUTE).mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0));
    base.max(asked.unwrap_or_default().min(HOUR))
}

/// The rest after refusal number `refusals` (from 1) of our credentials: a person must act, and may have.
pub fn held_after(refusals: u32, jitter: f64) -> Duration {
    let doubled = (SECOND * 15).saturating_mul(1_u32.checked_shl(refusals.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.min(MINUTE * 5).mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The ages at which an absent order is looked for, and how it ends.
    fn looks(patience: Patience, first: Duration) -> (Vec<u64>, Absent) {
        let (mut age, mut looks) = (first, Vec::new());
        loop {
            looks.push(age.as_secs());
            match absent(patience, age) {
                Absent::Again(pause) | Absent::AgainTold(pause) => age += pause,
                end => return (looks, end),
            }
        }
    }

    #[test]
    fn an_order_announced_before_its_save_is_looked_for_ever_more_rarely_and_then_let_go() {
        let (looks, end) = looks(Patience::Unsaved, SECOND * 2);
        assert_eq!(looks[..8], [2, 10, 30, 120, 600, 3_600, 7_200, 10_800]);
        assert_eq!((looks.last(), end), (Some(&86_400), Absent::NeverCame));
    }

    #[test]
    fn lane_4_a_saved_order_that_is_absent_is_told_after_a_quarter_of_an_hour_and_looked_for_for_a_day() {
        let (looks, end) = looks(Patience::Saved, Duration::ZERO);
        assert_eq!(looks[..4], [0, 5, 10, 15]);
        assert!(looks.contains(&120) && looks.contains(&180) && looks.contains(&900), "{looks:?}");
        assert_eq!((looks.last(), end), (Some(&86_400), Absent::GivenUp));
        assert!(matches!(absent(Patience::Saved, TOLD_AFTER), Absent::AgainTold(_)));
        assert!(matches!(absent(Patience::Saved, SECOND * 899), Absent::Again(_)));
    }

    proptest! {
        #[test]
        fn p6_every_look_but_the_last_has_a_next_one_in_time(age in 0_u64..200_000, saved: bool) {
            let patience = if saved { Patience::Saved } else { Patience::Unsaved };
            let age = Duration::from_secs(age);
            match absent(patience, age) {
                Absent::Again(pause) | Absent::AgainTold(pause) => {
                    prop_assert!(pause > Duration::ZERO && pause <= HOUR);
                    prop_assert!(age + pause <= PATIENCE_MAX);
                }
                Absent::NeverCame | Absent::GivenUp => prop_assert!(age >= PATIENCE_MAX),
            }
        }

        #[test]
        fn a_rest_is_bounded_and_never_shorter_than_asked(failures in 1_u32..100, asked in 0_u64..10_000, jitter in 0.0..1.0) {
            let asked = Duration::from_secs(asked);
            let rest = rest_after(failures, Some(asked), jitter);
            prop_assert!(rest >= asked.min(HOUR) && rest <= HOUR);
            prop_assert!(held_after(failures, jitter) <= MINUTE * 6);
        }
    }
}
