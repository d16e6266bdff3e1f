//! By when a person should have seen to an exception, by its severity.

use std::time::Duration;

use super::defect::Severity;

/// How long each severity may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueTimes {
    /// Money or goods may be wrong somewhere already.
    pub critical: Duration,
    /// A record cannot go through.
    pub error: Duration,
    /// One record waits for a small decision.
    pub warning: Duration,
    /// Nothing waits.
    pub info: Duration,
}

impl Default for DueTimes {
    fn default() -> Self {
        let day = Duration::from_hours(24);
        DueTimes { critical: Duration::from_hours(1), error: Duration::from_hours(8), warning: day * 3, info: day * 14 }
    }
}

impl DueTimes {
    /// How long this severity may wait; a word that is none waits like an error.
    pub fn of(&self, severity: &str) -> Duration {
        let is = |known: Severity| severity == known.as_str();
        match () {
            () if is(Severity::Critical) => self.critical,
            () if is(Severity::Warning) => self.warning,
            () if is(Severity::Info) => self.info,
            () => self.error,
        }
    }
}
