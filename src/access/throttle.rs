//! How fast somebody may try to sign in: pure, the time is an argument (API-4).
//!
//! Every try counts as failed until it succeeds, so that a thousand at once are not a thousand free ones. Three counts
//! are kept, each with a delay that doubles up to a minute: of name and address together, of the address, of the name. A
//! try that comes too early is turned away unread and makes nothing worse, so nobody is shut out for ever. An address from
//! which a name signed in before is not slowed down by what others try with that name.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::{Timestamp, later};
use crate::envelope::keys::Digest;

/// The longest delay.
pub const DELAY_MAX: Duration = Duration::from_mins(1);

/// A count that was not touched for so long is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(15);

/// An address is remembered as a person's own for so long.
const OWN_FOR: Duration = Duration::from_hours(30 * 24);

/// Counts kept; beyond, the oldest go.
const COUNTS_MAX: usize = 8192;

/// Tries without a delay: of a pair, of an address (many people may share one), of a name.
const FREE: [u32; 3] = [5, 30, 20];

#[derive(Clone, Copy, Debug)]
struct Count {
    tries: u32,
    last: Timestamp,
}

/// The counts.
#[derive(Debug, Default)]
pub struct Throttle {
    counts: HashMap<Digest, Count>,
    own: HashMap<Digest, Timestamp>,
}

/// One try.
#[derive(Clone, Copy, Debug)]
pub struct Try {
    pair: Digest,
    keys: [Digest; 3],
}

impl Try {
    /// Of this name, in lower case, from this address.
    pub fn new(name_key: &str, from: &str) -> Self {
        let pair = Digest::of_fields(&["pair", name_key, from]);
        Try { pair, keys: [pair, Digest::of_fields(&["address", from]), Digest::of_fields(&["name", name_key])] }
    }
}

impl Throttle {
    /// Counts a try.
    ///
    /// # Errors
    /// How long to wait; the try is then not counted.
    pub fn begin(&mut self, attempt: &Try, now: Timestamp) -> Result<(), Duration> {
        let counted = if self.is_own(attempt, now) { &attempt.keys[..1] } else { &attempt.keys[..] };
        let wait = counted.iter().zip(FREE).map(|(key, free)| self.wait(key, free, now)).max().unwrap_or_default();
        if !wait.is_zero() {
            return Err(wait);
        }
        self.make_room(now);
        for key in counted {
            let count = self.counts.entry(*key).or_insert(Count { tries: 0, last: now });
            let forgotten = now >= later(count.last, FORGOTTEN_AFTER);
            count.tries = if forgotten { 1 } else { count.tries.saturating_add(1) };
            count.last = now;
        }
        Ok(())
    }

    /// The try was right: the person's own counts are forgotten, and what it added to the address's.
    pub fn succeeded(&mut self, attempt: &Try, now: Timestamp) {
        self.counts.remove(&attempt.keys[0]);
        self.counts.remove(&attempt.keys[2]);
        // Only what was counted is taken back: signing in again and again must not buy tries with other names.
        if !self.is_own(attempt, now)
            && let Some(count) = self.counts.get_mut(&attempt.keys[1])
        {
            count.tries = count.tries.saturating_sub(1);
        }
        if self.own.len() >= COUNTS_MAX {
            self.own.clear();
        }
        self.own.insert(attempt.pair, now);
    }

    fn is_own(&self, attempt: &Try, now: Timestamp) -> bool {
        self.own.get(&attempt.pair).is_some_and(|since| now < later(*since, OWN_FOR))
    }

    fn wait(&self, key: &Digest, free: u32, now: Timestamp) -> Duration {
        let Some(count) = self.counts.get(key) else { return Duration::ZERO };
        let over = count.tries.saturating_sub(free);
        if count.tries < free {
            return Duration::ZERO;
        }
        let delay = Duration::from_secs(1_u64 << over.min(6)).min(DELAY_MAX);
        // A clock that was set back must not make the wait longer than the delay.
        let passed = now.duration_since(count.last);
        let passed = Duration::try_from(passed).unwrap_or(Duration::ZERO);
        if now < count.last { Duration::ZERO } else { delay.saturating_sub(passed) }
    }

    fn make_room(&mut self, now: Timestamp) {
        if self.counts.len() < COUNTS_MAX {
            return;
        }
        self.counts.retain(|_, count| now >= count.last && now < later(count.last, FORGOTTEN_AFTER));
        if self.counts.len() >= COUNTS_MAX {
            let mut ages: Vec<Timestamp> = self.counts.values().map(|count| count.last).collect();
            ages.sort_unstable();
            let middle = ages[ages.len() / 2];
            self.counts.retain(|_, count| count.last > middle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    fn at(seconds: i64) -> Timestamp {
        from_micros(seconds * 1_000_000)
    }

    #[test]
    fn api_4_tries_get_slower_and_never_stop() {
        let mut throttle = Throttle::default();
        let attempt = Try::new("anna", "192.0.2.1");
        let mut now = 1_000;
        let mut waits = Vec::new();
        for _ in 0..14 {
            while let Err(wait) = throttle.begin(&attempt, at(now)) {
                waits.push(wait.as_secs());
                assert!(wait <= DELAY_MAX);
                assert!(throttle.begin(&attempt, at(now)).is_err(), "asking again makes nothing worse");
                now += i64::try_from(wait.as_secs()).unwrap();
            }
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60], "five are free, then each waits longer, up to a minute");
        throttle.succeeded(&attempt, at(now));
        assert!(throttle.begin(&attempt, at(now)).is_ok());
    }

    #[test]
    fn api_4_an_attacker_does_not_shut_a_person_out_of_her_own_place() {
        let mut throttle = Throttle::default();
        let anna = Try::new("anna", "192.0.2.1");
        throttle.begin(&anna, at(0)).unwrap();
        throttle.succeeded(&anna, at(0));
        let mut refused = 0;
        for host in 0..200 {
            refused += u32::from(throttle.begin(&Try::new("anna", &format!("198.51.100.{host}")), at(1)).is_err());
        }
        assert!(refused > 150, "the name is slowed down from wherever: {refused}");
        assert!(throttle.begin(&anna, at(1)).is_ok(), "and not where she signed in before");
        let mut others = 0;
        for name in 0..100 {
            others += u32::from(throttle.begin(&Try::new(&format!("name{name}"), "203.0.113.9"), at(2)).is_err());
        }
        assert_eq!(others, 70, "one address tries thirty names and waits");
        let eve = Try::new("eve", "203.0.113.7");
        let mut tried = 0;
        for name in 0..100 {
            let _ = throttle.begin(&eve, at(3)).map(|()| throttle.succeeded(&eve, at(3)));
            tried += u32::from(throttle.begin(&Try::new(&format!("name{name}"), "203.0.113.7"), at(3)).is_ok());
        }
        assert_eq!(tried, 30, "an account of one's own buys no tries with other names");
    }

    #[test]
    fn a_clock_that_is_set_back_makes_nobody_wait_longer() {
        let mut throttle = Throttle::default();
        let attempt = Try::new("anna", "192.0.2.1");
        for _ in 0..5 {
            throttle.begin(&attempt, at(100_000)).unwrap();
        }
        assert!(throttle.begin(&attempt, at(100_000)).is_err());
        assert!(throttle.begin(&attempt, at(50)).is_ok());
        assert_eq!(throttle.begin(&attempt, at(50)), Err(Duration::from_secs(2)));
    }

    #[test]
    fn a_flood_of_names_keeps_its_room() {
        let mut throttle = Throttle::default();
        for name in 0..20_000 {
            let attempt = Try::new(&name.to_string(), &format!("a{name}"));
            throttle.begin(&attempt, at(name)).unwrap();
        }
        assert!(throttle.counts.len() <= COUNTS_MAX + 3);
    }
}
