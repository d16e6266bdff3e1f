//! POI-4: many exceptions with one cause in a short time are one group and one alarm, and hold the destination where its
//! route asks for that: what comes next waits instead of being parked one by one.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::delivery::{Delivery, Uptime};
use crate::observe::{Event, Observer, Opened};

/// So many …
const STORM: usize = 20;
/// … within this time.
const WINDOW: Duration = Duration::from_mins(10);
/// Causes remembered at a time; beyond, the one that has been quiet longest is forgotten.
const CAUSES_MAX: usize = 1_000;
/// Exceptions waiting to be counted; a storm that overflows it is noticed all the same.
pub const HEARD_MAX: usize = 1_024;

/// A destination that is held in a storm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pausing {
    /// The route that asks for it.
    pub route: String,
    /// One of its destinations.
    pub destination: String,
}

/// Counts exceptions by cause; a plain value.
#[derive(Debug, Default)]
pub struct Storms {
    causes: HashMap<(Option<String>, String), Cause>,
}

#[derive(Debug, Default)]
struct Cause {
    seen: VecDeque<Uptime>,
    told: bool,
}

impl Storms {
    /// One more; `true` when it makes a storm that has not been told yet. A storm is over, and may be told again, when a
    /// whole window was quieter.
    pub fn opened(&mut self, now: Uptime, opened: &Opened) -> bool {
        if self.causes.len() >= CAUSES_MAX {
            let quietest = self.causes.iter().min_by_key(|(_, cause)| cause.seen.back().copied());
            if let Some(key) = quietest.map(|(key, _)| key.clone()) {
                self.causes.remove(&key);
            }
        }
        let cause = self.causes.entry((opened.destination.clone(), opened.fingerprint.clone())).or_default();
        while cause.seen.front().is_some_and(|at| now.saturating_sub(*at) >= WINDOW) {
            cause.seen.pop_front();
        }
        if cause.seen.is_empty() {
            cause.told = false;
        }
        if cause.seen.len() >= STORM {
            cause.seen.pop_front();
        }
        cause.seen.push_back(now);
        let storm = cause.seen.len() >= STORM && !cause.told;
        cause.told |= storm;
        storm
    }
}

/// Until the service stops.
pub(super) async fn run(
    mut heard: mpsc::Receiver<Opened>,
    pausing: Vec<Pausing>,
    delivery: Arc<Delivery>,
    observer: Arc<Observer>,
    mut stopped: watch::Receiver<bool>,
) {
    let (born, mut storms) = (Instant::now(), Storms::default());
    while !*stopped.borrow() {
        let opened = tokio::select! {
            opened = heard.recv() => opened,
            _ = stopped.changed() => return,
        };
        // Nobody can open any more; that is not for us to judge.
        let Some(opened) = opened else {
            let _ = stopped.changed().await;
            return;
        };
        if !storms.opened(born.elapsed(), &opened) {
            continue;
        }
        let destination = opened.destination.as_deref();
        let route = pausing.iter().find(|pausing| Some(pausing.destination.as_str()) == destination);
        observer.note(&Event::ExceptionStorm {
            code: &opened.code,
            fingerprint: &opened.fingerprint,
            destination: destination.unwrap_or_default(),
            paused: route.is_some(),
        });
        if let Some(Pausing { route, destination }) = route {
            let reason = format!(
                "route {route} is paused: {STORM} records within ten minutes were parked as {} by one cause (group {}); \
                 repair it, then release the destination",
                opened.code, opened.fingerprint
            );
            delivery.hold(destination, &reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(cause: &str, destination: Option<&str>) -> Opened {
        Opened { fingerprint: cause.into(), code: "unmapped_sku".into(), destination: destination.map(Into::into) }
    }

    fn at(seconds: u64) -> Uptime {
        Duration::from_secs(seconds)
    }

    #[test]
    fn poi_4_twenty_of_one_cause_within_ten_minutes_are_one_alarm() {
        let mut storms = Storms::default();
        let told: Vec<u64> =
            (0..100).filter(|second| storms.opened(at(*second), &opened("mug", Some("erp")))).collect();
        assert_eq!(told, [19], "once, at the twentieth");
        assert!(!storms.opened(at(200), &opened("mug", Some("wms"))), "another destination");
        assert!(!storms.opened(at(200), &opened("cup", Some("erp"))), "another cause");
    }

    #[test]
    fn poi_4_twenty_in_more_than_ten_minutes_are_none_and_after_a_quiet_time_a_storm_is_told_again() {
        let mut storms = Storms::default();
        let slow = (0..100).filter(|minute| storms.opened(at(minute * 32), &opened("mug", None))).count();
        assert_eq!(slow, 0, "19 within ten minutes");
        let again = |storms: &mut Storms, from: u64| {
            (0..25).filter(|second| storms.opened(at(from + second), &opened("mug", None))).count()
        };
        assert_eq!(again(&mut storms, 10_000), 1);
        assert_eq!(again(&mut storms, 10_300), 0, "the same storm");
        assert_eq!(again(&mut storms, 11_000), 1);
    }

    #[test]
    fn poi_4_what_is_remembered_is_bounded() {
        let mut storms = Storms::default();
        for number in 0..5_000 {
            storms.opened(at(number), &opened(&number.to_string(), None));
        }
        assert!(storms.causes.len() <= CAUSES_MAX);
    }
}
