//! The retry schedule (RET-1): a deterministic base, and a jitter that is handed in.

use std::sync::Arc;
use std::time::Duration;

/// Pauses after failure 1, 2, …; the failure after the last pause is the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    delays: Arc<[Duration]>,
}

impl RetryPolicy {
    /// One attempt more than there are pauses.
    pub fn new(delays: &[Duration]) -> Self {
        RetryPolicy { delays: delays.into() }
    }

    /// The pause after failure number `failures` (from 1), times 0.8 to 1.2 as `jitter` goes from 0 to 1; `None` when
    /// no attempt is left.
    pub fn delay(&self, failures: u32, jitter: f64) -> Option<Duration> {
        let index = usize::try_from(failures.saturating_sub(1)).ok()?;
        self.delays.get(index).map(|base| spread(*base, jitter))
    }

    /// How many attempts there are in all.
    pub fn attempts(&self) -> usize {
        self.delays.len() + 1
    }
}

/// RET-1: `base × (0.8 … 1.2)`.
pub fn spread(base: Duration, jitter: f64) -> Duration {
    base.mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::destinations::default_retry_delays;

    fn default_policy() -> RetryPolicy {
        RetryPolicy::new(&default_retry_delays())
    }

    #[test]
    fn ret_1_fourteen_attempts_in_about_76_hours() {
        let policy = default_policy();
        let pauses: Vec<Duration> = (1..).map_while(|failures| policy.delay(failures, 0.5)).collect();
        assert_eq!(policy.attempts(), 14);
        assert_eq!(pauses.len(), 13);
        assert_eq!(pauses[0], Duration::from_secs(2));
        let hours = pauses.iter().sum::<Duration>().as_secs() / 3_600;
        assert_eq!(hours, 75, "75 h 42 min");
        assert_eq!(policy.delay(14, 0.5), None);
        assert_eq!(policy.delay(u32::MAX, 0.5), None);
    }

    proptest! {
        #[test]
        fn ret_1_jitter_stays_within_a_fifth(failures in 1_u32..=13, jitter in -1.0..2.0_f64) {
            let policy = default_policy();
            let base = default_retry_delays()[failures as usize - 1];
            let delay = policy.delay(failures, jitter).unwrap();
            prop_assert!(delay >= base.mul_f64(0.799) && delay <= base.mul_f64(1.201));
        }

        #[test]
        fn ret_1_the_sum_of_any_draw_stays_within_a_fifth_of_the_schedule(draws in proptest::collection::vec(0.0..=1.0_f64, 13)) {
            let policy = default_policy();
            let sum: Duration = (1..).zip(&draws).filter_map(|(failures, jitter)| policy.delay(failures, *jitter)).sum();
            let base: Duration = default_retry_delays().iter().sum();
            prop_assert!(sum >= base.mul_f64(0.799) && sum <= base.mul_f64(1.201));
            prop_assert!(sum < Duration::from_hours(7 * 24), "the schedule ends before the age limit");
        }
    }
}
