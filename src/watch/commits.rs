//! PRS-3: intake is refused when the slowest hundredth of commits takes more than a second, for ten seconds.
//!
//! While it is refused nothing is committed that could be measured, so after a pause intake opens on trial: a single bad
//! second then closes it again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::intake::load::{COMMIT_SLOW, Commits, Load};
use crate::observe::{Event, Health, Observer};

/// One look a second; a look is a verdict about that second.
const LOOK: Duration = Duration::from_secs(1);
const BAD_MAX: u32 = 10;
/// Seconds for which intake stays refused before a trial, and good seconds that end the trial.
const REFUSED: u32 = 5;
const TRIAL: u32 = 5;

/// Judges commits second by second; a plain value.
#[derive(Clone, Debug, Default)]
pub struct Judge {
    last: Commits,
    /// Seconds in which something waited and nothing was answered.
    stalled: u32,
    course: Course,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    Well { bad_in_a_row: u32 },
    Refusing { seconds: u32 },
    Trial { good_in_a_row: u32 },
}

impl Default for Course {
    fn default() -> Self {
        Course::Well { bad_in_a_row: 0 }
    }
}

impl Judge {
    /// One second has passed and this is the count of commits; whether intake is refused from now on.
    pub fn second(&mut self, now: Commits) -> bool {
        let bad = self.is_bad(now);
        self.last = now;
        self.course = match self.course {
            Course::Well { bad_in_a_row } if bad => match bad_in_a_row + 1 {
                BAD_MAX.. => Course::Refusing { seconds: 0 },
                bad_in_a_row => Course::Well { bad_in_a_row },
            },
            Course::Well { .. } => Course::Well { bad_in_a_row: 0 },
            Course::Refusing { .. } if self.stalled > 0 => Course::Refusing { seconds: 0 },
            Course::Refusing { seconds: REFUSED.. } => Course::Trial { good_in_a_row: 0 },
            Course::Refusing { seconds } => Course::Refusing { seconds: seconds + 1 },
            Course::Trial { .. } if bad => Course::Refusing { seconds: 0 },
            Course::Trial { good_in_a_row: TRIAL.. } => Course::default(),
            Course::Trial { good_in_a_row } => Course::Trial { good_in_a_row: good_in_a_row + 1 },
        };
        matches!(self.course, Course::Refusing { .. })
    }

    /// How long nothing has been answered although something waits.
    pub fn stalled(&self) -> Duration {
        LOOK * self.stalled
    }

    fn is_bad(&mut self, now: Commits) -> bool {
        let (ended, slow) = (now.ended - self.last.ended, now.slow - self.last.slow);
        let waited_all_the_time = now.begun > now.ended && self.last.begun > self.last.ended;
        self.stalled = if ended == 0 && waited_all_the_time { self.stalled + 1 } else { 0 };
        // More than a hundredth of them was slow; or whoever waits has waited for more than a second.
        slow * 100 > ended || self.stalled() > COMMIT_SLOW
    }
}

/// Until the service stops.
pub(super) async fn run(
    load: Arc<Load>,
    observer: Arc<Observer>,
    health: Arc<Health>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut judge = Judge::default();
    let mut refusing = false;
    while !*stopped.borrow() {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = stopped.changed() => return,
        }
        let refuse = judge.second(load.commits());
        load.stalled(judge.stalled());
        load.refuse_for_commits(refuse);
        if refuse != refusing {
            observer.note(&Event::CommitsTooSlow { refusing: refuse });
            if refuse {
                health.hold("slow_commits", "commits take more than a second: the disk is too slow");
            } else {
                health.clear("slow_commits");
            }
        }
        refusing = refuse;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds, each with so many commits of which so many were slow.
    fn seconds(judge: &mut Judge, count: u32, ended: u64, slow: u64) -> bool {
        let mut refuse = false;
        for _ in 0..count {
            let Commits { begun, ended: before, slow: slow_before } = judge.last;
            refuse = judge.second(Commits { begun: begun + ended, ended: before + ended, slow: slow_before + slow });
        }
        refuse
    }

    #[test]
    fn prs_3_ten_seconds_of_slow_commits_refuse_intake_and_nine_do_not() {
        let mut judge = Judge::default();
        assert!(!seconds(&mut judge, 100, 100, 1), "a hundredth may be slow");
        assert!(!seconds(&mut judge, 9, 100, 2));
        assert!(!seconds(&mut judge, 1, 100, 0));
        assert!(!seconds(&mut judge, 9, 100, 2));
        assert!(seconds(&mut judge, 1, 100, 2));
    }

    #[test]
    fn prs_3_a_commit_that_hangs_refuses_intake_until_it_is_through() {
        let mut judge = Judge::default();
        let hanging = Commits { begun: 1, ended: 0, slow: 0 };
        let refused = (1..=20).find(|_| judge.second(hanging));
        assert_eq!(refused, Some(12), "waited for from the first look on");
        assert!(judge.stalled() >= Duration::from_secs(10));
        assert!((0..60).all(|_| judge.second(hanging)), "no trial while it hangs");
        assert!((0..5).all(|_| judge.second(Commits { begun: 1, ended: 1, slow: 1 })));
        assert!(!judge.second(Commits { begun: 1, ended: 1, slow: 1 }), "on trial");
    }

    #[test]
    fn prs_3_intake_opens_on_trial_and_a_bad_second_closes_it_again() {
        let mut judge = Judge::default();
        seconds(&mut judge, 10, 10, 10);
        assert!(seconds(&mut judge, 5, 0, 0));
        assert!(!seconds(&mut judge, 1, 0, 0), "on trial");
        assert!(seconds(&mut judge, 1, 5, 5), "no better");
        seconds(&mut judge, 6, 0, 0);
        assert!(!seconds(&mut judge, 6, 100, 0));
        assert!(!seconds(&mut judge, 9, 100, 100), "well again: ten seconds count anew");
    }
}
