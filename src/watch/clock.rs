//! RUN-5: timers are monotonic, but signatures and due times go by the wall. When the wall clock jumps, due times jump
//! with it, so that a pause lasts as long as it was meant to, and somebody should know.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock::{SharedClock, Timestamp};
use crate::observe::{Event, Observer};
use crate::store::SharedStore;

/// How often the wall clock is compared with the steady one, and how far they may part meanwhile. A clock that stands
/// still drifts, it does not jump.
const LOOK: Duration = Duration::from_millis(500);
const JUMP_MIN: Duration = Duration::from_secs(1);

/// A jump of the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jump {
    /// How far, in microseconds; negative: back.
    pub by_micros: i64,
    /// What the clock showed before, or shows after a jump back: due times after it move.
    pub later_than: Timestamp,
}

/// Compares two looks: how far the wall clock moved beyond what passed, if that is more than a second either way.
pub fn jump(before: Timestamp, after: Timestamp, passed: Duration) -> Option<Jump> {
    let moved = after.as_microsecond().saturating_sub(before.as_microsecond());
    let by_micros = moved.saturating_sub(i64::try_from(passed.as_micros()).unwrap_or(i64::MAX));
    let is_jump = by_micros.unsigned_abs() > u64::try_from(JUMP_MIN.as_micros()).unwrap_or(u64::MAX);
    is_jump.then(|| Jump { by_micros, later_than: before.min(after) })
}

/// Until the service stops.
pub(super) async fn run(
    clock: SharedClock,
    store: SharedStore,
    observer: Arc<Observer>,
    mut stopped: watch::Receiver<bool>,
) {
    let (mut wall, mut steady) = (clock.now(), Instant::now());
    while !*stopped.borrow() {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = stopped.changed() => return,
        }
        let (wall_now, steady_now) = (clock.now(), Instant::now());
        if let Some(jump) = jump(wall, wall_now, steady_now - steady) {
            observer.note(&Event::ClockJumped { by: Duration::from_micros(jump.by_micros.unsigned_abs()) });
            if let Err(error) = store.shift_due(jump.later_than, jump.by_micros).await {
                tracing::error!(%error, "due times could not follow the clock: retries come early or late");
            }
        }
        (wall, steady) = (wall_now, steady_now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    #[test]
    fn run_5_a_jump_of_the_wall_clock_is_noticed_either_way_and_a_drift_is_not() {
        let (start, second) = (from_micros(1_000_000_000), Duration::from_secs(1));
        let after = |micros: i64| from_micros(1_000_000_000 + micros);
        assert_eq!(jump(start, after(1_000_000), second), None);
        assert_eq!(jump(start, after(1_900_000), second), None, "a slow machine, not a jump");
        let ahead = Jump { by_micros: 3_599_000_000, later_than: start };
        assert_eq!(jump(start, after(3_600_000_000), second), Some(ahead));
        let back = Jump { by_micros: -60_000_000, later_than: after(-59_000_000) };
        assert_eq!(jump(start, after(-59_000_000), second), Some(back));
    }
}
