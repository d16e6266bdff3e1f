//! When a trouble begins, gets worse, drains and ends. A plain value a destination; time is handed in.
//!
//! | course   | seen                                              | then      |
//! |----------|---------------------------------------------------|-----------|
//! | well     | broken, held, or paused for half a minute or more | down      |
//! | well     | open, and for a minute more came than it took     | draining  |
//! | down     | shut in a worse way                               | down, worse |
//! | down     | open                                              | draining  |
//! | draining | shut                                              | down      |
//! | draining | nothing is overdue, and it took something or nothing is left | ended |

use std::collections::VecDeque;
use std::time::Duration;

use crate::delivery::{DestinationState, Uptime};
use crate::store::running::Trouble;

/// A shorter pause is the destination's pace, not its trouble.
const PAUSE_MIN: Duration = Duration::from_secs(30);
/// Rates are taken over this time.
const WINDOW: Duration = Duration::from_mins(1);
/// Less than this is no measurement.
const WINDOW_MIN: Duration = Duration::from_secs(2);
const WINDOW_MIN_MS: u64 = 2_000;
/// A backlog below this is gone before anybody has read of it.
const BACKLOG_MIN: u64 = 100;

/// One look at a destination.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Whether it takes deliveries.
    pub state: &'a DestinationState,
    /// How long its pause still lasts, if it has one.
    pub pause_left: Duration,
    /// Deliveries that wait.
    pub waiting: u64,
    /// One of them has been due for a while.
    pub overdue: bool,
    /// It took something lately, or there is nothing for it to take. A process that has just begun knows of no trouble,
    /// and that proves nothing.
    pub proven: bool,
}

/// What a look changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A trouble began.
    Opened(Trouble),
    /// It is shut in a worse way than before, or again.
    Shut(Trouble),
    /// It takes deliveries again.
    Reopened,
    /// Its backlog has gone.
    Ended,
}

/// How fast a backlog shrinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// Deliveries a minute.
    pub per_minute: u64,
    /// Until nothing waits.
    pub left: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    Well,
    Down(Trouble),
    Draining,
}

/// The course of one destination.
#[derive(Clone, Debug)]
pub struct Tracker {
    course: Course,
    paused_since: Option<Uptime>,
    /// When so many waited, while the destination took deliveries.
    waited: VecDeque<(Uptime, u64)>,
}

impl Default for Tracker {
    fn default() -> Self {
        Tracker { course: Course::Well, paused_since: None, waited: VecDeque::new() }
    }
}

impl Tracker {
    /// One whose trouble began in an earlier process.
    pub fn in_trouble(kind: Trouble) -> Self {
        Tracker { course: Course::Down(kind), ..Tracker::default() }
    }

    /// Whether an incident is open.
    pub fn is_in_trouble(&self) -> bool {
        self.course != Course::Well
    }

    /// One look; what it changed, in order.
    pub fn look(&mut self, now: Uptime, seen: &Seen<'_>) -> Vec<Change> {
        let shut = self.shut(now, seen);
        self.measure(now, seen);
        let mut changes = Vec::new();
        match (self.course, shut) {
            (Course::Well, Some(kind)) => {
                self.course = Course::Down(kind);
                changes.push(Change::Opened(kind));
            }
            (Course::Well, None) => {
                if *seen.state == DestinationState::Open && seen.overdue && self.is_rising() {
                    self.course = Course::Draining;
                    changes.extend([Change::Opened(Trouble::Backlog), Change::Reopened]);
                }
            }
            (Course::Down(known), Some(kind)) => {
                if kind > known {
                    self.course = Course::Down(kind);
                    changes.push(Change::Shut(kind));
                }
            }
            (Course::Down(_), None) => {
                if *seen.state == DestinationState::Open {
                    self.course = Course::Draining;
                    changes.push(Change::Reopened);
                }
            }
            (Course::Draining, Some(kind)) => {
                self.course = Course::Down(kind);
                changes.push(Change::Shut(kind));
            }
            (Course::Draining, None) => {}
        }
        if self.course == Course::Draining && *seen.state == DestinationState::Open && !seen.overdue && seen.proven {
            self.course = Course::Well;
            changes.push(Change::Ended);
        }
        changes
    }

    /// How fast the backlog shrinks; nothing while it does not, or the destination is shut.
    pub fn drain(&self) -> Option<Drain> {
        if self.course != Course::Draining {
            return None;
        }
        let (&(from, before), &(to, now)) = (self.waited.front()?, self.waited.back()?);
        let passed =
            u64::try_from(to.saturating_sub(from).as_millis()).ok().filter(|passed| *passed >= WINDOW_MIN_MS)?;
        let gone = before.checked_sub(now).filter(|gone| *gone > 0)?;
        Some(Drain {
            per_minute: gone.saturating_mul(60_000) / passed,
            left: Duration::from_millis(now.saturating_mul(passed) / gone),
        })
    }

    /// In which way it is shut, if that is a trouble.
    fn shut(&mut self, now: Uptime, seen: &Seen<'_>) -> Option<Trouble> {
        let DestinationState::Paused { .. } = seen.state else {
            self.paused_since = None;
            return match seen.state {
                DestinationState::Held { .. } => Some(Trouble::Held),
                DestinationState::Broken { .. } | DestinationState::HalfOpen => Some(Trouble::Broken),
                // Somebody decided that; it is no trouble.
                DestinationState::Open | DestinationState::Paused { .. } | DestinationState::Closed { .. } => None,
            };
        };
        let since = *self.paused_since.get_or_insert(now);
        (seen.pause_left + now.saturating_sub(since) >= PAUSE_MIN).then_some(Trouble::Paused)
    }

    fn measure(&mut self, now: Uptime, seen: &Seen<'_>) {
        if *seen.state != DestinationState::Open {
            self.waited.clear();
            return;
        }
        while self.waited.front().is_some_and(|(at, _)| now.saturating_sub(*at) > WINDOW) {
            self.waited.pop_front();
        }
        if self.waited.back().is_none_or(|(at, _)| now.saturating_sub(*at) >= WINDOW_MIN / 2) {
            self.waited.push_back((now, seen.waiting));
        }
    }

    /// For a whole minute more came than went.
    fn is_rising(&self) -> bool {
        let (Some(&(from, before)), Some(&(to, now))) = (self.waited.front(), self.waited.back()) else { return false };
        to.saturating_sub(from) + WINDOW_MIN * 3 >= WINDOW && now >= BACKLOG_MIN && now > before + before / 10
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    fn at(seconds: u64) -> Uptime {
        Duration::from_secs(seconds)
    }

    fn look(tracker: &mut Tracker, now: u64, state: &DestinationState, pause_left: u64, waiting: u64) -> Vec<Change> {
        let seen = Seen { state, pause_left: at(pause_left), waiting, overdue: waiting > 0, proven: true };
        tracker.look(at(now), &seen)
    }

    const OPEN: DestinationState = DestinationState::Open;

    fn broken() -> DestinationState {
        DestinationState::Broken { until: from_micros(0) }
    }

    fn paused() -> DestinationState {
        DestinationState::Paused { until: from_micros(0) }
    }

    fn held() -> DestinationState {
        DestinationState::Held { reason: "gone".into() }
    }

    #[test]
    fn ret_5_an_outage_is_one_incident_from_the_break_until_the_backlog_has_gone() {
        let mut tracker = Tracker::default();
        assert_eq!(look(&mut tracker, 0, &OPEN, 0, 3), []);
        assert_eq!(look(&mut tracker, 1, &broken(), 0, 10), [Change::Opened(Trouble::Broken)]);
        assert_eq!(look(&mut tracker, 2, &DestinationState::HalfOpen, 0, 500), []);
        assert_eq!(look(&mut tracker, 3, &broken(), 0, 900), []);
        assert_eq!(tracker.drain(), None, "nobody knows while it is shut");
        assert_eq!(look(&mut tracker, 10, &OPEN, 0, 1_000), [Change::Reopened]);
        assert_eq!(tracker.drain(), None);
        assert_eq!(look(&mut tracker, 20, &OPEN, 0, 900), []);
        assert_eq!(tracker.drain(), Some(Drain { per_minute: 600, left: at(90) }));
        assert_eq!(look(&mut tracker, 21, &broken(), 0, 900), [Change::Shut(Trouble::Broken)], "the same incident");
        assert_eq!(look(&mut tracker, 30, &OPEN, 0, 900), [Change::Reopened]);
        assert_eq!(look(&mut tracker, 31, &OPEN, 0, 0), [Change::Ended]);
        assert!(!tracker.is_in_trouble());
        assert_eq!(look(&mut tracker, 40, &broken(), 0, 0), [Change::Opened(Trouble::Broken)]);
        assert_eq!(look(&mut tracker, 41, &OPEN, 0, 0), [Change::Reopened, Change::Ended]);
    }

    #[test]
    fn ret_3_a_short_pause_is_no_incident_and_a_long_one_is() {
        let mut tracker = Tracker::default();
        assert_eq!(look(&mut tracker, 0, &paused(), 2, 50), []);
        assert_eq!(look(&mut tracker, 2, &OPEN, 0, 50), []);
        assert_eq!(look(&mut tracker, 3, &paused(), 60, 50), [Change::Opened(Trouble::Paused)]);
        let mut tracker = Tracker::default();
        assert_eq!(look(&mut tracker, 0, &paused(), 5, 1), []);
        assert_eq!(look(&mut tracker, 29, &paused(), 5, 1), [Change::Opened(Trouble::Paused)], "again and again");
    }

    #[test]
    fn section_8_what_gets_worse_stays_one_incident() {
        let mut tracker = Tracker::default();
        look(&mut tracker, 0, &paused(), 100, 1);
        assert_eq!(look(&mut tracker, 1, &held(), 0, 1), [Change::Shut(Trouble::Held)]);
        assert_eq!(look(&mut tracker, 2, &broken(), 0, 1), [], "not worse");
    }

    #[test]
    fn prs_3_a_backlog_that_rises_for_a_minute_is_an_incident_although_nothing_is_refused() {
        let mut tracker = Tracker::default();
        for second in 0..60 {
            let changes = look(&mut tracker, second, &OPEN, 0, 100 + second);
            if second < 53 {
                assert_eq!(changes, [], "{second}");
            } else if !changes.is_empty() {
                assert_eq!(changes, [Change::Opened(Trouble::Backlog), Change::Reopened]);
                return;
            }
        }
        panic!("not noticed");
    }

    #[test]
    fn an_incident_of_an_earlier_process_goes_on() {
        let mut tracker = Tracker::in_trouble(Trouble::Broken);
        assert_eq!(look(&mut tracker, 0, &broken(), 0, 7), []);
        assert_eq!(look(&mut tracker, 1, &OPEN, 0, 7), [Change::Reopened]);
        let silent = Seen { state: &OPEN, pause_left: at(0), waiting: 1, overdue: false, proven: false };
        assert_eq!(tracker.look(at(2), &silent), [], "nobody knows yet");
        assert_eq!(look(&mut tracker, 3, &held(), 0, 1), [Change::Shut(Trouble::Held)], "the same one");
        assert_eq!(look(&mut tracker, 4, &OPEN, 0, 0), [Change::Reopened, Change::Ended]);
    }
}
