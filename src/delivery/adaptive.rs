//! How many requests a destination bears at once (PRS-1): additive increase, multiplicative decrease.
//!
//! | seen                                             | the limit                                             |
//! |--------------------------------------------------|-------------------------------------------------------|
//! | an answer                                        | grows by one for each round of answers, up to the setting |
//! | throttling, a time-out, a reset, a 5xx           | is halved, down to 1; once for each round             |
//! | answers several times slower than usual          | loses a quarter; once for each window of answers      |
//! | a destination that was shut opens again          | begins at 1                                           |
//!
//! A round is what was under way together: failures of requests that left before the last decrease say nothing new.
//! Plain value with injected time.

use std::time::Duration;

use super::Uptime;

/// Thousandths: the limit grows in parts of a request.
const ONE: u32 = 1_000;
/// Answers whose mean is compared with the usual one.
const WINDOW: u32 = 20;
/// Slower than this many times the usual mean is slower because of us …
const SLOWER: u32 = 4;
/// … unless it is still quick.
const SLOW_MIN: Duration = Duration::from_millis(250);
/// The shortest round.
const ROUND_MIN: Duration = Duration::from_millis(100);

/// Plain value; time is handed in.
#[derive(Clone, Debug)]
pub struct Adaptive {
    /// The limit in thousandths of a request.
    limit: u32,
    /// The setting, in the same.
    most: u32,
    /// A decrease before then was about requests of the same round.
    settled_at: Uptime,
    latency: Latency,
}

#[derive(Clone, Debug, Default)]
struct Latency {
    sum: Duration,
    answers: u32,
    /// The smallest mean of a window; forgotten slowly, so that a destination may become another one.
    usual: Option<Duration>,
    /// The mean of the window before.
    last: Duration,
}

impl Adaptive {
    /// Begins at the setting: only a destination that shows strain gets less.
    pub fn new(concurrency: u32) -> Self {
        let most = concurrency.clamp(1, u32::MAX / ONE) * ONE;
        Adaptive { limit: most, most, settled_at: Uptime::ZERO, latency: Latency::default() }
    }

    /// Most requests at once now.
    pub fn limit(&self) -> u32 {
        (self.limit / ONE).max(1)
    }

    /// Whether it is below the setting.
    pub fn is_reduced(&self) -> bool {
        self.limit() < self.most / ONE
    }

    /// An answer came that is no sign of strain, after `took` on the wire.
    pub fn answered(&mut self, now: Uptime, took: Duration) {
        if self.latency.is_strained(took) {
            self.lower(now, self.limit / 4);
            return;
        }
        let step = ONE * ONE / self.limit.max(ONE);
        self.limit = self.limit.saturating_add(step).min(self.most);
    }

    /// It throttled us, timed out, broke off or answered 5xx.
    pub fn strained(&mut self, now: Uptime) {
        if now >= self.settled_at {
            self.lower(now, self.limit / 2);
        }
    }

    /// It was shut and opens: one at first.
    pub fn reopened(&mut self, now: Uptime) {
        self.limit = ONE;
        self.settled_at = now;
    }

    fn lower(&mut self, now: Uptime, by: u32) {
        self.limit = (self.limit - by).max(ONE);
        self.settled_at = now + self.latency.last.max(ROUND_MIN);
    }
}

impl Latency {
    /// Takes one answer in; `true` at the end of a window that was much slower than usual.
    fn is_strained(&mut self, took: Duration) -> bool {
        self.sum += took;
        self.answers += 1;
        if self.answers < WINDOW {
            return false;
        }
        let mean = self.sum / self.answers;
        (self.sum, self.answers, self.last) = (Duration::ZERO, 0, mean);
        let usual = self.usual.map_or(mean, |usual| usual + usual / 20).min(mean);
        self.usual = Some(usual);
        mean > SLOW_MIN && mean > usual * SLOWER
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const QUICK: Duration = Duration::from_millis(10);

    fn at(millis: u64) -> Uptime {
        Duration::from_millis(millis)
    }

    #[test]
    fn prs_1_a_destination_that_opens_again_begins_at_one_and_grows_by_one_a_round() {
        let mut adaptive = Adaptive::new(8);
        assert_eq!((adaptive.limit(), adaptive.is_reduced()), (8, false));
        adaptive.reopened(at(0));
        let mut reached = vec![];
        for answers in 1..=40 {
            adaptive.answered(at(answers), QUICK);
            if reached.last() != Some(&adaptive.limit()) {
                reached.push(adaptive.limit());
            }
        }
        assert_eq!(reached, [2, 3, 4, 5, 6, 7, 8], "never by more than one at a time");
        assert!(!adaptive.is_reduced());
    }

    #[test]
    fn prs_1_strain_halves_the_limit_once_a_round_and_never_below_one() {
        let mut adaptive = Adaptive::new(16);
        (0..16).for_each(|_| adaptive.strained(at(1_000)));
        assert_eq!(adaptive.limit(), 8, "sixteen that were under way together are one sign");
        adaptive.strained(at(1_050));
        assert_eq!(adaptive.limit(), 8);
        for (round, limit) in [(2_000, 4), (3_000, 2), (4_000, 1), (5_000, 1)] {
            adaptive.strained(at(round));
            assert_eq!(adaptive.limit(), limit);
        }
    }

    #[test]
    fn prs_1_answers_several_times_slower_than_usual_lower_the_limit() {
        let mut adaptive = Adaptive::new(8);
        (0..20).for_each(|_| adaptive.answered(at(0), at(100)));
        (0..20).for_each(|_| adaptive.answered(at(1), at(300)));
        assert_eq!(adaptive.limit(), 8, "three times as slow may be its day");
        (0..20).for_each(|_| adaptive.answered(at(2), at(900)));
        assert_eq!(adaptive.limit(), 6);
        let mut quick = Adaptive::new(8);
        (0..20).for_each(|_| quick.answered(at(0), at(1)));
        (0..200).for_each(|_| quick.answered(at(1), at(200)));
        assert_eq!(quick.limit(), 8, "still quick");
    }

    #[test]
    fn prs_1_a_destination_that_became_slower_for_good_gets_its_concurrency_back() {
        let mut adaptive = Adaptive::new(8);
        (0..20).for_each(|_| adaptive.answered(at(0), at(100)));
        for window in 1..200_u64 {
            (0..20).for_each(|_| adaptive.answered(at(window), at(900)));
        }
        assert_eq!(adaptive.limit(), 8);
    }

    proptest! {
        #[test]
        fn prs_1_the_limit_stays_between_one_and_the_setting(
            concurrency in 1_u32..=64,
            steps in proptest::collection::vec((0_u8..4, 0_u64..5_000), 1..200),
        ) {
            let mut adaptive = Adaptive::new(concurrency);
            let mut now = 0;
            for (what, millis) in steps {
                now += millis;
                match what {
                    0 => adaptive.reopened(at(now)),
                    1 => adaptive.strained(at(now)),
                    _ => adaptive.answered(at(now), at(millis)),
                }
                prop_assert!((1..=concurrency).contains(&adaptive.limit()));
            }
        }
    }
}
