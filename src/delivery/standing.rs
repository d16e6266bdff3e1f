//! How a destination stands: its breaker, its throttle, what it bears, and whether it is owed its backlog. Plain values
//! with injected time, under the one short lock of its gate.

use std::time::Duration;

use super::Uptime;
use super::adaptive::Adaptive;
use super::breaker::{Admission, Breaker};
use super::places::Places;
use super::recent::Recent;
use super::throttle::Throttle;
use crate::destinations::Health;

pub(super) struct Standing {
    pub(super) breaker: Breaker,
    pub(super) throttle: Throttle,
    pub(super) told: Option<&'static str>,
    pub(super) adaptive: Adaptive,
    pub(super) shared: Places,
    pub(super) reserved: Places,
    /// It was broken or held when it was last looked at.
    was_out: bool,
    /// It was shut, and the backlog of that time has not been worked off.
    pub(super) draining: bool,
    pub(super) settled: Recent<60>,
    pub(super) last_failure: Option<String>,
}

/// What a look at a destination says.
pub(super) enum Look {
    Held,
    Paused(Uptime),
    Closed(Uptime),
    Asked(Admission),
}

impl Standing {
    pub(super) fn new(concurrency: u32) -> Self {
        let (shared, reserved) = split(concurrency);
        Standing {
            breaker: Breaker::default(),
            throttle: Throttle::default(),
            told: None,
            adaptive: Adaptive::new(concurrency),
            shared: Places::new(shared),
            reserved: Places::new(reserved),
            was_out: false,
            draining: false,
            settled: Recent::default(),
            last_failure: None,
        }
    }

    /// Whether it takes deliveries, noticing that it opened again. `closed` is how long its hours keep it shut, `paused` how
    /// long what another destination of its account was told does.
    pub(super) fn look(&mut self, now: Uptime, closed: Option<Duration>, paused: Option<Duration>) -> Look {
        let paused_until = self.throttle.paused_until(now).max(paused.map(|rest| now + rest));
        let look = if self.throttle.held().is_some() {
            Look::Held
        } else if let Some(rest) = closed {
            Look::Closed(now + rest)
        } else if let Some(until) = paused_until {
            Look::Paused(until)
        } else {
            Look::Asked(self.breaker.admit(now))
        };
        match look {
            Look::Asked(Admission::Free) => {
                if std::mem::take(&mut self.was_out) {
                    self.adaptive.reopened(now);
                    self.fit();
                }
            }
            Look::Paused(_) | Look::Closed(_) => self.draining = true,
            Look::Held | Look::Asked(_) => (self.was_out, self.draining) = (true, true),
        }
        look
    }

    /// Free places on the wire. Right after a decrease more are out than there should be.
    pub(super) fn places(&self, on_the_wire: u32) -> usize {
        let free = self.reserved.free() + self.shared.free();
        free.min(self.adaptive.limit().saturating_sub(on_the_wire) as usize)
    }

    /// As many places as the limit says.
    fn fit(&mut self) {
        let (shared, reserved) = split(self.adaptive.limit());
        self.shared.resize(shared);
        self.reserved.resize(reserved);
    }

    pub(super) fn hear(&mut self, now: Uptime, health: Health, took: Duration) {
        match health {
            Health::Answered => self.adaptive.answered(now, took),
            Health::Failed => self.adaptive.strained(now),
            // Not reached at all: that is the breaker's to judge.
            Health::ConnectFailed | Health::Unknown => return,
        }
        self.fit();
    }
}

/// Places for everybody, and those kept for the dispatcher.
fn split(limit: u32) -> (usize, usize) {
    let places = usize::try_from(limit).unwrap_or(usize::MAX);
    let reserved = if places < 2 { 0 } else { (places / 4).max(1) };
    (places - reserved, reserved)
}
