//! Live and ready (RUN-3): a store that is down makes the service not ready, but it still lives.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

use serde::Serialize;

/// Why the service takes nothing in, or should be restarted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// `recovering`, `draining`, `store`, `disk`, …: stable, for machines.
    pub code: String,
    /// One sentence for people.
    pub detail: String,
}

type Probe = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// The state behind `/health/live` and `/health/ready`. It starts as not ready, with the reason `recovering`.
pub struct Health {
    reasons: Mutex<BTreeMap<&'static str, String>>,
    notes: Mutex<BTreeMap<&'static str, String>>,
    dead: Mutex<Option<Reason>>,
    probes: Vec<(&'static str, Probe)>,
}

impl Health {
    /// Not ready until `recovering` is cleared.
    pub fn new() -> Self {
        let recovering = BTreeMap::from([("recovering", "what an earlier run left open is being settled".to_owned())]);
        Health { reasons: Mutex::new(recovering), notes: Mutex::default(), dead: Mutex::new(None), probes: Vec::new() }
    }

    /// Adds a question asked at every look; its error is a reason for not being ready.
    #[must_use]
    pub fn with_probe(
        mut self,
        code: &'static str,
        probe: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.probes.push((code, Box::new(probe)));
        self
    }

    /// Not ready, for this reason, until it is cleared.
    pub fn hold(&self, code: &'static str, detail: impl Into<String>) {
        self.reasons.lock().expect("no holder of this lock panics").insert(code, detail.into());
    }

    /// The reason no longer applies.
    pub fn clear(&self, code: &'static str) {
        self.reasons.lock().expect("no holder of this lock panics").remove(code);
    }

    /// Something is wrong that a person must look at and that is no reason to take nothing in; until it is cleared.
    pub fn note(&self, code: &'static str, detail: impl Into<String>) {
        self.notes.lock().expect("no holder of this lock panics").insert(code, detail.into());
    }

    /// The note no longer applies.
    pub fn clear_note(&self, code: &'static str) {
        self.notes.lock().expect("no holder of this lock panics").remove(code);
    }

    /// What a person must look at.
    pub fn notes(&self) -> Vec<Reason> {
        let notes = self.notes.lock().expect("no holder of this lock panics").clone();
        notes.into_iter().map(|(code, detail)| Reason { code: code.to_owned(), detail }).collect()
    }

    /// An internal task died: the process is about to end, and should be restarted.
    pub fn task_died(&self, task: &str) {
        let reason = Reason { code: "task_died".to_owned(), detail: format!("the task \"{task}\" ended unexpectedly") };
        self.dead.lock().expect("no holder of this lock panics").get_or_insert(reason);
    }

    /// Nothing while the process works; else why it should be restarted.
    pub fn not_live(&self) -> Option<Reason> {
        self.dead.lock().expect("no holder of this lock panics").clone()
    }

    /// Empty when requests may come; else every reason why not.
    pub fn not_ready(&self) -> Vec<Reason> {
        let held = self.reasons.lock().expect("no holder of this lock panics").clone();
        let held = held.into_iter().map(|(code, detail)| Reason { code: code.to_owned(), detail });
        let probed = self
            .probes
            .iter()
            .filter_map(|(code, probe)| probe().err().map(|detail| Reason { code: (*code).to_owned(), detail }));
        self.not_live().into_iter().chain(held).chain(probed).collect()
    }
}

impl Default for Health {
    fn default() -> Self {
        Health::new()
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Health").field("not_ready", &self.not_ready()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn run_3_live_and_ready_are_different() {
        let down = Arc::new(AtomicBool::new(true));
        let seen = Arc::clone(&down);
        let health = Health::new().with_probe("store", move || {
            if seen.load(Ordering::SeqCst) { Err("the disk is gone".to_owned()) } else { Ok(()) }
        });
        let codes = |health: &Health| health.not_ready().into_iter().map(|reason| reason.code).collect::<Vec<_>>();
        assert_eq!(codes(&health), ["recovering", "store"]);
        assert_eq!(health.not_live(), None);
        health.clear("recovering");
        down.store(false, Ordering::SeqCst);
        assert!(health.not_ready().is_empty());
        health.hold("draining", "the service is stopping");
        assert_eq!(codes(&health), ["draining"]);
        health.task_died("delivery");
        assert_eq!(health.not_live().unwrap().code, "task_died");
        assert_eq!(codes(&health), ["task_died", "draining"]);
    }
}
