//! What keeps a whole destination from being called although it is reachable: a pause it asked for (RET-3), a hold
//! until a person acts, and the budget of retries (RET-4). Plain values with injected time.
//!
//! None of it costs a delivery an attempt (RET-2): deliveries of a paused or held destination are simply not started.

use std::time::Duration;

use super::Uptime;
use super::recent::Recent;

/// Pause after a 429 without `Retry-After`; doubles while they go on.
const PAUSE_MIN: Duration = Duration::from_secs(2);
const PAUSE_MAX: Duration = Duration::from_mins(5);
/// RET-3: no answer may silence a destination longer.
const FLOOR_MAX: Duration = Duration::from_hours(24);
/// Section 8: 3xx, 501, 505 in a row that hold a destination.
const CONFIGURATION_REFUSALS_MAX: u32 = 3;
/// RET-4: over the window of 60 s a retry a second is free …
const RETRIES_FREE: u32 = 60;
/// … and when they were spent at once, still one when the last is this long ago: a burst must not buy a minute of silence.
const RETRY_SPACING: Duration = Duration::from_secs(1);

/// Plain value; time is handed in.
#[derive(Clone, Debug, Default)]
pub struct Throttle {
    paused_until: Option<Uptime>,
    throttled_in_a_row: u32,
    held: Option<String>,
    configuration_refusals: u32,
    starts: Recent<60>,
    last_retry: Option<Uptime>,
}

impl Throttle {
    /// Why it is held, if it is.
    pub fn held(&self) -> Option<&str> {
        self.held.as_deref()
    }

    /// When the pause ends, if there is one.
    pub fn paused_until(&self, now: Uptime) -> Option<Uptime> {
        self.paused_until.filter(|until| now < *until)
    }

    /// RET-3: not before `floor`; without one a pause of ours that grows while the destination goes on refusing.
    /// A pause never shortens another. Answers to requests that were under way when it began do not make it grow.
    pub fn pause(&mut self, now: Uptime, floor: Option<Duration>) {
        let already = self.paused_until(now).is_some();
        let own = PAUSE_MIN.saturating_mul(1 << self.throttled_in_a_row.min(10)).min(PAUSE_MAX);
        if !already {
            self.throttled_in_a_row += 1;
        }
        let until = match floor {
            Some(floor) => now + floor.min(FLOOR_MAX),
            None if already => return,
            None => now + own,
        };
        self.paused_until = Some(self.paused_until.map_or(until, |known| known.max(until)));
    }

    /// Until a person lets it go; the first reason stands.
    pub fn hold(&mut self, reason: &str) {
        self.held.get_or_insert_with(|| reason.to_owned());
    }

    /// A person's word stands before any reason of ours: whoever lets it go reads it.
    pub fn hold_for_a_person(&mut self, reason: &str) {
        self.held = Some(reason.to_owned());
    }

    /// A refusal that only configuration explains: the third in a row holds the destination.
    pub fn refused_for_configuration(&mut self, reason: &str) {
        self.configuration_refusals += 1;
        if self.configuration_refusals >= CONFIGURATION_REFUSALS_MAX {
            self.hold(&format!(
                "{} answers in a row that only a wrong address or setting explains; the last: {reason}",
                self.configuration_refusals
            ));
        }
    }

    /// It answered in some other way than by refusing us altogether.
    pub fn answered(&mut self) {
        self.throttled_in_a_row = 0;
        self.configuration_refusals = 0;
    }

    /// A person lets it go.
    pub fn release(&mut self) {
        self.held = None;
        self.paused_until = None;
        self.throttled_in_a_row = 0;
        self.configuration_refusals = 0;
    }

    /// RET-4: retries may be 20 % of the first attempts of the last 60 s, and one a second in any case.
    pub fn may_retry(&mut self, now: Uptime) -> bool {
        let (firsts, retries) = self.starts.sums(now);
        retries < (firsts / 5).max(RETRIES_FREE)
            || self.last_retry.is_none_or(|last| now.saturating_sub(last) >= RETRY_SPACING)
    }

    /// An attempt starts.
    pub fn started(&mut self, now: Uptime, is_retry: bool) {
        self.starts.add(now, u32::from(!is_retry), u32::from(is_retry));
        if is_retry {
            self.last_retry = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Uptime {
        Duration::from_secs(seconds)
    }

    #[test]
    fn ret_3_retry_after_pauses_the_destination_and_never_shortens() {
        let mut throttle = Throttle::default();
        throttle.pause(at(10), Some(at(60)));
        assert_eq!(throttle.paused_until(at(10)), Some(at(70)));
        throttle.pause(at(11), Some(at(5)));
        throttle.pause(at(11), None);
        assert_eq!(throttle.paused_until(at(69)), Some(at(70)));
        assert_eq!(throttle.paused_until(at(70)), None);
        throttle.pause(at(70), Some(Duration::from_hours(100)));
        assert_eq!(throttle.paused_until(at(70)), Some(at(70) + FLOOR_MAX));
    }

    #[test]
    fn ret_3_pauses_of_our_own_double_until_something_else_is_answered() {
        let mut throttle = Throttle::default();
        let mut now = at(0);
        for pause in [2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            throttle.pause(now, None);
            throttle.pause(now, None);
            assert_eq!(throttle.paused_until(now), Some(now + at(pause)));
            now += at(pause);
        }
        throttle.answered();
        throttle.pause(now, None);
        assert_eq!(throttle.paused_until(now), Some(now + at(2)));
    }

    #[test]
    fn section_8_three_configuration_refusals_in_a_row_hold_the_destination() {
        let mut throttle = Throttle::default();
        throttle.refused_for_configuration("302");
        throttle.refused_for_configuration("302");
        throttle.answered();
        throttle.refused_for_configuration("302");
        throttle.refused_for_configuration("302");
        assert_eq!(throttle.held(), None);
        throttle.refused_for_configuration("answered 302 Found");
        assert!(throttle.held().unwrap().contains("302 Found"));
        throttle.hold("something later");
        assert!(throttle.held().unwrap().contains("302 Found"), "the first reason stands");
        throttle.hold_for_a_person("stocktaking");
        assert_eq!(throttle.held(), Some("stocktaking"), "a person's stands before ours");
        throttle.release();
        assert_eq!(throttle.held(), None);
    }

    #[test]
    fn ret_4_retries_stay_within_a_fifth_of_first_attempts_but_one_a_second_is_free() {
        let mut throttle = Throttle::default();
        for _ in 0..60 {
            assert!(throttle.may_retry(at(1)));
            throttle.started(at(1), true);
        }
        assert!(!throttle.may_retry(at(1)));
        for _ in 0..500 {
            throttle.started(at(2), false);
        }
        for _ in 60..100 {
            assert!(throttle.may_retry(at(2)));
            throttle.started(at(2), true);
        }
        assert!(!throttle.may_retry(at(2)));
        assert!(throttle.may_retry(at(62)));
    }

    #[test]
    fn ret_4_a_burst_of_retries_does_not_silence_a_destination_for_a_minute() {
        let mut throttle = Throttle::default();
        for _ in 0..60 {
            throttle.started(at(1), true);
        }
        for second in 2..62 {
            assert!(throttle.may_retry(at(second)), "second {second}");
            throttle.started(at(second), true);
            assert!(!throttle.may_retry(at(second)), "one is all that is free");
        }
    }
}
