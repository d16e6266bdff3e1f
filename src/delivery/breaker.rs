//! The circuit breaker of one destination (RET-5), one function a state.
//!
//! | state     | opens / closes when                                                                   |
//! |-----------|---------------------------------------------------------------------------------------|
//! | closed    | opens at half or more failures of 20 or more calls in 30 s, or 5 failed connects in a row |
//! | open      | half-open once the pause is over: 5 s, doubling with every failed probe up to 5 min   |
//! | half-open | one real delivery is the probe: it answers → closed, it fails → open again             |
//!
//! A refusal is an answer: the destination is well, the record is not. Calls that began before the breaker opened say
//! nothing new and are not counted while it is open.

use std::time::Duration;

use super::Uptime;
use super::recent::Recent;
use crate::destinations::Health;

const CALLS_MIN: u32 = 20;
const CONNECTS_MAX: u32 = 5;
const PAUSE_MIN: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_mins(5);

/// Whether a call may go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// As many as there are places.
    Free,
    /// One, as a probe.
    Probe,
    /// None before then.
    Shut {
        /// When to ask again.
        until: Uptime,
    },
    /// None before the probe comes back.
    Probing,
}

/// Plain value; time is handed in.
#[derive(Clone, Debug)]
pub struct Breaker {
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Closed { calls: Box<Recent<30>>, failed_connects: u32 },
    Open { until: Uptime, pause: Duration },
    HalfOpen { pause: Duration, probing: bool },
}

impl Default for Breaker {
    fn default() -> Self {
        Breaker { state: State::Closed { calls: Box::default(), failed_connects: 0 } }
    }
}

impl Breaker {
    /// Asks; an open breaker whose pause is over becomes half-open.
    pub fn admit(&mut self, now: Uptime) -> Admission {
        match self.state {
            State::Closed { .. } => Admission::Free,
            State::Open { until, pause } if now >= until => {
                self.state = State::HalfOpen { pause, probing: false };
                Admission::Probe
            }
            State::Open { until, .. } => Admission::Shut { until },
            State::HalfOpen { probing: false, .. } => Admission::Probe,
            State::HalfOpen { probing: true, .. } => Admission::Probing,
        }
    }

    /// The probe goes out.
    pub fn begin_probe(&mut self) {
        if let State::HalfOpen { probing, .. } = &mut self.state {
            *probing = true;
        }
    }

    /// The probe was not sent after all; another one may go.
    pub fn abandon_probe(&mut self) {
        if let State::HalfOpen { probing, .. } = &mut self.state {
            *probing = false;
        }
    }

    /// What a call came to; `probe`: it was the probe.
    pub fn record(&mut self, now: Uptime, health: Health, probe: bool) {
        let next = match &mut self.state {
            State::Closed { calls, failed_connects } => closed(calls, failed_connects, now, health),
            State::Open { .. } => open(),
            State::HalfOpen { pause, probing } => half_open(*pause, probing, now, health, probe),
        };
        if let Some(next) = next {
            self.state = next;
        }
    }
}

/// Counts, and opens when it is enough.
fn closed(calls: &mut Recent<30>, failed_connects: &mut u32, now: Uptime, health: Health) -> Option<State> {
    match health {
        Health::Unknown => return None,
        Health::Answered => {
            *failed_connects = 0;
            calls.add(now, 1, 0);
        }
        Health::Failed => {
            *failed_connects = 0;
            calls.add(now, 1, 1);
        }
        Health::ConnectFailed => {
            *failed_connects += 1;
            calls.add(now, 1, 1);
        }
    }
    let (made, failed) = calls.sums(now);
    let too_many = made >= CALLS_MIN && u64::from(failed) * 2 >= u64::from(made);
    (too_many || *failed_connects >= CONNECTS_MAX).then(|| State::Open { until: now + PAUSE_MIN, pause: PAUSE_MIN })
}

/// Latecomers change nothing.
fn open() -> Option<State> {
    None
}

/// The probe decides, nobody else.
fn half_open(pause: Duration, probing: &mut bool, now: Uptime, health: Health, probe: bool) -> Option<State> {
    if !probe {
        return None;
    }
    match health {
        Health::Answered => Some(Breaker::default().state),
        Health::Failed | Health::ConnectFailed => {
            let pause = (pause * 2).min(PAUSE_MAX);
            Some(State::Open { until: now + pause, pause })
        }
        Health::Unknown => {
            *probing = false;
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Uptime {
        Duration::from_secs(seconds)
    }

    fn fed(healths: &[(Health, u32)]) -> Breaker {
        let mut breaker = Breaker::default();
        for (health, times) in healths {
            (0..*times).for_each(|_| breaker.record(at(100), *health, false));
        }
        breaker
    }

    #[test]
    fn ret_5_opens_at_half_of_twenty() {
        let shut = Admission::Shut { until: at(105) };
        assert_eq!(fed(&[(Health::Failed, 19)]).admit(at(100)), Admission::Free);
        assert_eq!(fed(&[(Health::Failed, 20)]).admit(at(100)), shut);
        assert_eq!(fed(&[(Health::Answered, 10), (Health::Failed, 10)]).admit(at(100)), shut);
        assert_eq!(fed(&[(Health::Answered, 11), (Health::Failed, 10)]).admit(at(100)), Admission::Free);
    }

    #[test]
    fn ret_5_calls_older_than_thirty_seconds_do_not_count() {
        let mut breaker = fed(&[(Health::Failed, 19)]);
        breaker.record(at(131), Health::Failed, false);
        assert_eq!(breaker.admit(at(131)), Admission::Free);
    }

    #[test]
    fn ret_5_opens_at_five_failed_connects_in_a_row() {
        assert_eq!(fed(&[(Health::ConnectFailed, 4)]).admit(at(100)), Admission::Free);
        assert_eq!(fed(&[(Health::ConnectFailed, 5)]).admit(at(100)), Admission::Shut { until: at(105) });
        let broken = [(Health::ConnectFailed, 4), (Health::Answered, 1), (Health::ConnectFailed, 4)];
        assert_eq!(fed(&broken).admit(at(100)), Admission::Free);
    }

    #[test]
    fn ret_5_refusals_never_open_it() {
        assert_eq!(fed(&[(Health::Answered, 1_000)]).admit(at(100)), Admission::Free);
        assert_eq!(fed(&[(Health::Unknown, 1_000)]).admit(at(100)), Admission::Free);
    }

    #[test]
    fn ret_5_one_real_delivery_probes_and_the_pause_doubles_to_five_minutes() {
        let mut breaker = fed(&[(Health::ConnectFailed, 5)]);
        let mut now = at(105);
        for pause in [10, 20, 40, 80, 160, 300, 300] {
            assert_eq!(breaker.admit(now), Admission::Probe);
            breaker.begin_probe();
            assert_eq!(breaker.admit(now), Admission::Probing, "one at a time");
            breaker.record(now, Health::Failed, true);
            assert_eq!(breaker.admit(now), Admission::Shut { until: now + at(pause) });
            now += at(pause);
        }
        assert_eq!(breaker.admit(now), Admission::Probe);
        breaker.record(now, Health::Answered, true);
        assert_eq!(breaker.admit(now), Admission::Free);
    }

    #[test]
    fn ret_5_latecomers_do_not_decide() {
        let mut breaker = fed(&[(Health::ConnectFailed, 5)]);
        breaker.record(at(101), Health::Answered, false);
        assert_eq!(breaker.admit(at(104)), Admission::Shut { until: at(105) });
        assert_eq!(breaker.admit(at(105)), Admission::Probe);
        breaker.begin_probe();
        breaker.record(at(105), Health::Answered, false);
        breaker.record(at(105), Health::Failed, false);
        assert_eq!(breaker.admit(at(105)), Admission::Probing);
        breaker.abandon_probe();
        assert_eq!(breaker.admit(at(105)), Admission::Probe);
    }
}
