//! Adobe's public keys: fetched when a request names one, kept for a day, never more than a few.
//!
//! Anybody can name a path, so everything that follows from a name is bounded: one fetch at a time per path, a few at a
//! time and so many a minute for paths that never held a key, a failure remembered for a minute. A key that has verified
//! a request is *proved* and gives way only to another one, so that names alone push nothing out. What is at hand is
//! never waited for: a key that nears its end is fetched again while it is still good.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use reqwest::{Client, Url, redirect, retry};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock::{SharedClock, Timestamp};
use crate::destinations::private::{AddressGuard, CheckedResolver, Network};
use crate::intake::pressure::Pace;
use crate::intake::signature::PublicKey;
use crate::observe::{Event, Observer};

/// SIG-6.
const KEPT_SECONDS: i64 = 24 * 60 * 60;
/// From this age on a key in use is fetched again in the background.
const REFRESHED_SECONDS: i64 = 20 * 60 * 60;
/// SIG-6.
const FAILURE_SECONDS: i64 = 60;
/// SIG-6.
const KEYS_MAX: usize = 16;
/// SIG-6.
const KEY_BYTES_MAX: usize = 16 * 1024;
/// SIG-6.
const PATIENCE: Duration = Duration::from_secs(3);
/// Fetches at once, for paths that never held a key.
const STRANGERS_AT_ONCE: usize = 4;
/// Fetches a minute, for paths that never held a key.
const STRANGERS_A_MINUTE: u32 = 20;
/// Failures remembered.
const FAILURES_MAX: usize = 64;

/// What a fetch came to; `None` while it is on its way.
type Outcome = Option<Result<PublicKey, ()>>;

/// The keys of one origin.
pub(super) struct KeyRing {
    origin: String,
    host: Url,
    client: Client,
    clock: SharedClock,
    observer: Arc<Observer>,
    strangers: Pace,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keys: BTreeMap<String, Kept>,
    failures: BTreeMap<String, Timestamp>,
    flying: BTreeMap<String, watch::Receiver<Outcome>>,
}

struct Kept {
    key: PublicKey,
    read_at: Timestamp,
    /// When it last verified a request, if it ever did.
    proved_at: Option<Timestamp>,
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("KeyRing").field("host", &self.host.as_str()).finish_non_exhaustive()
    }
}

/// A fetch that was begun, joined or refused.
pub(super) struct Fetch(Way);

enum Way {
    Held(PublicKey),
    Refused,
    Flying(watch::Receiver<Outcome>),
}

impl Fetch {
    /// Waits for it; `None`: the key could not be read.
    pub(super) async fn done(self) -> Option<PublicKey> {
        match self.0 {
            Way::Held(key) => Some(key),
            Way::Refused => None,
            Way::Flying(mut outcome) => {
                let outcome = outcome.wait_for(Option::is_some).await.ok()?;
                outcome.clone()?.ok()
            }
        }
    }
}

impl KeyRing {
    pub(super) fn new(origin: &str, host: Url, clock: SharedClock, observer: Arc<Observer>) -> Result<Self, String> {
        let loopback = host.host_str().is_some_and(is_loopback);
        let networks: Vec<Network> = ["127.0.0.0/8", "::1/128"].iter().filter_map(|text| text.parse().ok()).collect();
        let plain = host.scheme() == "http";
        if plain && !loopback {
            return Err("signing keys are read over https".to_owned());
        }
        let guard = AddressGuard::new(if loopback { &networks } else { &[] }, plain);
        let mut builder = Client::builder()
            .http1_only()
            .no_proxy()
            .referer(false)
            .https_only(!plain)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .dns_resolver(CheckedResolver::new(guard))
            .timeout(PATIENCE)
            .pool_max_idle_per_host(1);
        if plain {
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| format!("no HTTP client can be made: {error}"))?;
        let strangers = Pace::new(STRANGERS_A_MINUTE, Duration::from_mins(1));
        let state = Mutex::default();
        Ok(KeyRing { origin: origin.to_owned(), host, client, clock, observer, strangers, state })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while the keys are looked at")
    }

    /// The key of that path, if it is at hand and good.
    pub(super) fn held(self: &Arc<Self>, path: &str, now: Timestamp) -> Option<PublicKey> {
        let mut state = self.state();
        let kept = state.keys.get(path).filter(|kept| is_within(kept.read_at, now, KEPT_SECONDS))?;
        let (key, ageing) = (kept.key.clone(), !is_within(kept.read_at, now, REFRESHED_SECONDS));
        if ageing {
            self.begin(&mut state, path, now);
        }
        Some(key)
    }

    /// Begins to read the key of that path, or joins whoever reads it already.
    pub(super) fn fetch(self: &Arc<Self>, path: &str, now: Timestamp) -> Fetch {
        let mut state = self.state();
        if let Some(kept) = state.keys.get(path).filter(|kept| is_within(kept.read_at, now, KEPT_SECONDS)) {
            return Fetch(Way::Held(kept.key.clone()));
        }
        self.begin(&mut state, path, now)
    }

    fn begin(self: &Arc<Self>, state: &mut State, path: &str, now: Timestamp) -> Fetch {
        if let Some(flying) = state.flying.get(path) {
            return Fetch(Way::Flying(flying.clone()));
        }
        if state.failures.get(path).is_some_and(|failed| is_within(*failed, now, FAILURE_SECONDS)) {
            return Fetch(Way::Refused);
        }
        if !state.keys.contains_key(path) {
            let flying = state.flying.keys().filter(|path| !state.keys.contains_key(*path)).count();
            if flying >= STRANGERS_AT_ONCE || self.strangers.take(Instant::now()).is_err() {
                return Fetch(Way::Refused);
            }
        }
        let (told, outcome) = watch::channel(None);
        state.flying.insert(path.to_owned(), outcome.clone());
        let (ring, path) = (self.clone(), path.to_owned());
        // A task of its own: whoever asked may hang up, the others still wait for it.
        tokio::spawn(async move {
            let read = ring.read(&path).await;
            if let Err(reason) = &read {
                ring.observer.note(&Event::SigningKeyUnread { origin: &ring.origin, path: &path, reason });
            }
            let read = read.map_err(|_| ());
            ring.state().landed(&path, read.clone(), ring.clock.now());
            told.send_replace(Some(read));
        });
        Fetch(Way::Flying(outcome))
    }

    /// The key of that path has just verified a request.
    pub(super) fn proved(&self, path: &str, now: Timestamp) {
        if let Some(kept) = self.state().keys.get_mut(path) {
            kept.proved_at = Some(now);
        }
    }

    async fn read(&self, path: &str) -> Result<PublicKey, String> {
        let url = self.host.join(path).map_err(|_| "the path makes no URL".to_owned())?;
        if url.origin() != self.host.origin() {
            return Err("the path leads to another host".to_owned());
        }
        let reading = tokio::time::timeout(PATIENCE, self.text(url));
        let text = reading.await.unwrap_or_else(|_| Err("no answer in time".to_owned()))?;
        PublicKey::parse(&text).map_err(|what| format!("it {what}"))
    }

    async fn text(&self, url: Url) -> Result<String, String> {
        let mut answer = self.client.get(url).send().await.map_err(|error| words(&error))?;
        if answer.status() != http::StatusCode::OK {
            return Err(format!("status {}", answer.status().as_u16()));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| words(&error))? {
            if bytes.len() + chunk.len() > KEY_BYTES_MAX {
                return Err(format!("it is larger than {KEY_BYTES_MAX} bytes"));
            }
            bytes.extend_from_slice(&chunk);
        }
        String::from_utf8(bytes).map_err(|_| "it is not text".to_owned())
    }
}

impl State {
    fn landed(&mut self, path: &str, read: Result<PublicKey, ()>, now: Timestamp) {
        self.flying.remove(path);
        let Ok(key) = read else { return self.failed(path, now) };
        self.failures.remove(path);
        let proved_at = self.keys.get(path).and_then(|kept| kept.proved_at);
        if self.has_place_for(path, now) {
            self.keys.insert(path.to_owned(), Kept { key, read_at: now, proved_at });
        }
    }

    fn failed(&mut self, path: &str, now: Timestamp) {
        self.failures.retain(|_, failed| is_within(*failed, now, FAILURE_SECONDS));
        if self.failures.len() >= FAILURES_MAX
            && let Some(oldest) = oldest(self.failures.iter().map(|(path, failed)| (path, *failed)))
        {
            self.failures.remove(&oldest);
        }
        self.failures.insert(path.to_owned(), now);
    }

    /// Makes room: first what is too old anyway, then what never verified anything, then the proved key that has not
    /// been used for longest, if that is a day ago. Else the new one is used once and not kept.
    fn has_place_for(&mut self, path: &str, now: Timestamp) -> bool {
        if self.keys.contains_key(path) || self.keys.len() < KEYS_MAX {
            return true;
        }
        let expired = self.keys.iter().filter(|(_, kept)| !is_within(kept.read_at, now, KEPT_SECONDS));
        let unproved = self.keys.iter().filter(|(_, kept)| kept.proved_at.is_none());
        let idle = self
            .keys
            .iter()
            .filter(|(_, kept)| kept.proved_at.is_some_and(|proved| !is_within(proved, now, KEPT_SECONDS)));
        let gone = oldest(expired.map(|(path, kept)| (path, kept.read_at)))
            .or_else(|| oldest(unproved.map(|(path, kept)| (path, kept.read_at))))
            .or_else(|| oldest(idle.map(|(path, kept)| (path, kept.read_at))));
        gone.is_some_and(|gone| self.keys.remove(&gone).is_some())
    }
}

fn oldest<'s>(all: impl Iterator<Item = (&'s String, Timestamp)>) -> Option<String> {
    all.min_by_key(|(_, at)| *at).map(|(path, _)| path.clone())
}

/// Whether `then` is less than so many seconds ago; an instant in the future is not (RUN-5).
fn is_within(then: Timestamp, now: Timestamp, seconds: i64) -> bool {
    let age = now.as_microsecond().saturating_sub(then.as_microsecond());
    (0..seconds * 1_000_000).contains(&age)
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Why there was no answer, without the URL.
fn words(error: &reqwest::Error) -> String {
    match (error.is_connect(), error.is_timeout()) {
        (_, true) => "no answer in time".to_owned(),
        (true, false) => "no connection".to_owned(),
        (false, false) => "the answer broke off".to_owned(),
    }
}
