//! Sign-ins that were begun and wait for the provider's answer: each is good once, for ten minutes, in one browser.
//!
//! Kept in memory, as the counts of tries are: a restart forgets them, and a person presses the button again.

use std::collections::HashMap;
use std::time::Duration;

use subtle::ConstantTimeEq as _;

use super::{Beginning, Binding, PENDING_SECONDS};
use crate::clock::{Timestamp, later};
use crate::envelope::keys::Digest;

/// Sign-ins that wait at a time; beyond, the oldest goes.
const PENDING_MAX: usize = 1024;

/// A sign-in that was begun.
#[derive(Clone)]
pub(super) struct Pending {
    /// The browser that began it.
    pub(super) binding: Digest,
    /// Comes back inside the token.
    pub(super) nonce: String,
    /// Shows that whoever buys the token is who asked for it (RFC 7636).
    pub(super) verifier: String,
    /// Where the provider was told to send them.
    pub(super) redirect_uri: String,
    /// Where they came from.
    pub(super) beginning: Beginning,
    /// When.
    pub(super) begun_at: Timestamp,
}

impl Pending {
    fn is_over(&self, now: Timestamp) -> bool {
        // A clock that was set back ends it too: nobody knows any more how old it is.
        now < self.begun_at || now >= later(self.begun_at, Duration::from_secs(PENDING_SECONDS))
    }
}

/// All that wait, by the digest of their state.
#[derive(Default)]
pub(super) struct Waiting(HashMap<Digest, Pending>);

impl Waiting {
    /// One more.
    pub(super) fn put(&mut self, state: &str, pending: Pending) {
        if self.0.len() >= PENDING_MAX {
            let now = pending.begun_at;
            self.0.retain(|_, waiting| !waiting.is_over(now));
        }
        if self.0.len() >= PENDING_MAX
            && let Some(oldest) = self.0.iter().min_by_key(|(_, waiting)| waiting.begun_at).map(|(key, _)| *key)
        {
            self.0.remove(&oldest);
        }
        self.0.insert(key_of(state), pending);
    }

    /// Takes the one with this state, if this browser began it and it is not over. Another browser's word takes nothing.
    pub(super) fn take(&mut self, state: &str, binding: Option<&Binding>, now: Timestamp) -> Option<Pending> {
        let key = key_of(state);
        let waiting = self.0.get(&key)?;
        let same = bool::from(binding_digest(binding?).0.ct_eq(&waiting.binding.0));
        if !same {
            return None;
        }
        self.0.remove(&key).filter(|waiting| !waiting.is_over(now))
    }
}

fn key_of(state: &str) -> Digest {
    Digest::of_fields(&["crossdock.oidc.state.v1", state])
}

/// What is kept of a browser's secret.
pub(super) fn binding_digest(binding: &Binding) -> Digest {
    Digest::of_fields(&["crossdock.oidc.binding.v1", &binding.0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{SeededEntropy, from_micros};

    fn at(seconds: i64) -> Timestamp {
        from_micros(seconds * 1_000_000)
    }

    fn pending(binding: &Binding, begun: i64) -> Pending {
        Pending {
            binding: binding_digest(binding),
            nonce: String::new(),
            verifier: String::new(),
            redirect_uri: String::new(),
            beginning: Beginning::default(),
            begun_at: at(begun),
        }
    }

    #[test]
    fn api_4_a_sign_in_is_good_once_in_its_browser_and_for_ten_minutes() {
        let (mine, other) = (Binding::new(&SeededEntropy::new(1)), Binding::new(&SeededEntropy::new(2)));
        let mut waiting = Waiting::default();
        waiting.put("a", pending(&mine, 0));
        assert!(waiting.take("a", Some(&other), at(1)).is_none(), "another browser");
        assert!(waiting.take("a", None, at(1)).is_none(), "a browser that began nothing");
        assert!(waiting.take("b", Some(&mine), at(1)).is_none());
        assert!(waiting.take("a", Some(&mine), at(1)).is_some());
        assert!(waiting.take("a", Some(&mine), at(1)).is_none(), "once");
        waiting.put("a", pending(&mine, 100));
        assert!(waiting.take("a", Some(&mine), at(700)).is_none(), "over");
        waiting.put("a", pending(&mine, 100));
        assert!(waiting.take("a", Some(&mine), at(99)).is_none(), "the clock was set back");
    }

    #[test]
    fn a_flood_of_beginnings_keeps_its_room_and_the_newest() {
        let mine = Binding::new(&SeededEntropy::new(1));
        let mut waiting = Waiting::default();
        for begun in 0..3_000 {
            waiting.put(&begun.to_string(), pending(&mine, begun / 100));
        }
        assert!(waiting.0.len() <= PENDING_MAX);
        assert!(waiting.take("2999", Some(&mine), at(30)).is_some());
    }
}
