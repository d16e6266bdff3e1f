//! Whether the store can be relied on, and the one call that ends the process when it cannot (ACK-6).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::OnFatal;
use super::fault::{Gravity, Outcome};

/// What the threads of a store tell about themselves.
pub(super) struct Health {
    condition: Mutex<Condition>,
    dead: AtomicBool,
    on_fatal: Option<OnFatal>,
    #[cfg(test)]
    pub(super) inject: std::sync::atomic::AtomicI32,
}

#[derive(Default)]
struct Condition {
    last_commit: Option<String>,
    damage: Option<String>,
    death: Option<String>,
}

impl Health {
    pub(super) fn new(on_fatal: Option<OnFatal>) -> Self {
        Health {
            condition: Mutex::default(),
            dead: AtomicBool::new(false),
            on_fatal,
            #[cfg(test)]
            inject: std::sync::atomic::AtomicI32::new(0),
        }
    }

    /// A commit succeeded.
    pub(super) fn committed(&self) {
        self.lock().last_commit = None;
    }

    /// Something failed; how bad it is decides what follows.
    pub(super) fn failed(&self, reason: &str, gravity: Gravity) {
        match gravity {
            Gravity::Passing => self.lock().last_commit = Some(reason.to_owned()),
            Gravity::Damaged => self.lock().damage = Some(reason.to_owned()),
            Gravity::Fatal => self.die(reason),
        }
    }

    /// Nothing can be promised any more. Calls the owner of the process once.
    pub(super) fn die(&self, reason: &str) {
        self.lock().death = Some(reason.to_owned());
        if !self.dead.swap(true, Ordering::SeqCst)
            && let Some(on_fatal) = &self.on_fatal
        {
            on_fatal(reason);
        }
    }

    /// Whether [`Health::die`] was called.
    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// What was found damaged (BAK-4), if anything.
    pub(super) fn damage(&self) -> Option<String> {
        self.lock().damage.clone()
    }

    /// `Err` says why the store is not well.
    pub(super) fn check(&self) -> Result<(), String> {
        let condition = self.lock();
        let reason = condition.death.as_ref().or(condition.damage.as_ref()).or(condition.last_commit.as_ref());
        reason.map_or(Ok(()), |reason| Err(reason.clone()))
    }

    /// A failure that a test asks for in place of the next commit.
    #[cfg(test)]
    pub(super) fn injected(&self) -> Outcome<()> {
        match self.inject.swap(0, Ordering::SeqCst) {
            0 => Ok(()),
            code => Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None).into()),
        }
    }

    #[cfg(not(test))]
    #[expect(clippy::unnecessary_wraps, clippy::unused_self, reason = "has something to say in tests only")]
    pub(super) fn injected(&self) -> Outcome<()> {
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Condition> {
        self.condition.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
