//! Two counters over the last seconds, one bucket a second. Plain values with injected time.

use super::Uptime;

/// Sums of two counters over a sliding window of `SECONDS` seconds.
#[derive(Clone, Debug)]
pub struct Recent<const SECONDS: usize> {
    buckets: [(u32, u32); SECONDS],
    newest: u64,
}

impl<const SECONDS: usize> Default for Recent<SECONDS> {
    fn default() -> Self {
        Recent { buckets: [(0, 0); SECONDS], newest: 0 }
    }
}

impl<const SECONDS: usize> Recent<SECONDS> {
    /// Adds to the counters of this second.
    pub fn add(&mut self, now: Uptime, first: u32, second: u32) {
        self.move_to(now);
        let bucket = &mut self.buckets[Self::slot(self.newest)];
        *bucket = (bucket.0.saturating_add(first), bucket.1.saturating_add(second));
    }

    /// The sums of the window that ends now.
    pub fn sums(&mut self, now: Uptime) -> (u32, u32) {
        self.move_to(now);
        self.buckets
            .iter()
            .fold((0, 0), |sums: (u32, u32), bucket| (sums.0.saturating_add(bucket.0), sums.1.saturating_add(bucket.1)))
    }

    /// Empties the buckets of the seconds that passed; a time before the newest counts as the newest.
    fn move_to(&mut self, now: Uptime) {
        let now = now.as_secs();
        for second in (self.newest + 1..=now).take(SECONDS) {
            // Beyond a whole window every bucket is emptied once, whichever seconds they are called.
            self.buckets[Self::slot(second)] = (0, 0);
        }
        self.newest = self.newest.max(now);
    }

    fn slot(second: u64) -> usize {
        usize::try_from(second % SECONDS as u64).expect("smaller than SECONDS")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_older_than_the_window_no_longer_counts() {
        let at = Duration::from_secs;
        let mut recent = Recent::<3>::default();
        recent.add(at(10), 1, 0);
        recent.add(at(11), 1, 1);
        recent.add(at(12), 0, 1);
        assert_eq!(recent.sums(at(12)), (2, 2));
        assert_eq!(recent.sums(at(13)), (1, 2));
        assert_eq!(recent.sums(at(14)), (0, 1));
        recent.add(at(9), 5, 0);
        assert_eq!(recent.sums(at(14)), (5, 1), "time never runs backwards");
        assert_eq!(recent.sums(at(1_000_000)), (0, 0));
    }
}
