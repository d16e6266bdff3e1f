//! What can go wrong at Commerce's REST interface, as a script a test writes in advance.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One misbehaviour, spent on one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 429, with `Retry-After` in seconds or without.
    RateLimited(Option<u64>),
    /// The masked 500 of a request that lost its place in the database.
    Deadlock,
    /// 503 as an HTML page without `Retry-After`, before anybody is authenticated.
    Maintenance,
    /// The answer comes this much later.
    Slow(Duration),
    /// The connection is closed without an answer.
    Drop,
    /// 200 with half of the body.
    CutOff,
}

/// Decides the fault of the n-th request, counted from 1.
pub type Plan = Box<dyn Fn(u64) -> Option<Fault> + Send>;

/// The faults to come: first the ones queued, then what always happens, then what the plan says.
#[derive(Default)]
pub struct Faults(Mutex<Script>);

#[derive(Default)]
struct Script {
    next: VecDeque<Option<Fault>>,
    always: Option<Fault>,
    plan: Option<Plan>,
    taken: u64,
}

impl Faults {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Spends these faults on the next requests, one each; `None` lets one through.
    pub fn next(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.script().next.extend(faults);
    }

    /// Spends this fault on every request that has none queued, until told otherwise.
    pub fn always(&self, fault: Option<Fault>) {
        self.script().always = fault;
    }

    /// Asks `plan` for the fault of every request that has none by other means.
    pub fn plan(&self, plan: Option<Plan>) {
        self.script().plan = plan;
    }

    /// How many requests came.
    pub fn requests(&self) -> u64 {
        self.script().taken
    }

    pub(super) fn take(&self) -> Option<Fault> {
        let mut script = self.script();
        script.taken += 1;
        if let Some(queued) = script.next.pop_front() {
            return queued;
        }
        script.always.clone().or_else(|| script.plan.as_ref().and_then(|plan| plan(script.taken)))
    }
}
