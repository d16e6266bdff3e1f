//! Adobe's events gateway: signs, pushes one by one or in batches, tries again by Adobe's table, and gives up on a
//! receiver that fails too much (reference 2.4 to 2.9). Every event is in the journal, pushed or not.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Shared;
use super::journal::{self, Journal};
use super::keys::Keys;
use super::tree::Tree;

/// Waits between attempts, in Adobe's minutes; the last one is repeated.
const RETRY_MINUTES: [u32; 5] = [1, 2, 4, 8, 15];

/// After this many of Adobe's minutes an event is no longer pushed.
const DAY_MINUTES: u32 = 24 * 60;

/// Below this many attempts a registration stays active.
const ATTEMPTS_MIN: usize = 10;

/// The code of order events, with the module's prefix.
pub const ORDER_SAVED: &str = "com.adobe.commerce.observer.sales_order_save_commit_after";

/// How the gateway is set up.
#[derive(Clone, Debug)]
pub struct GatewaySettings {
    /// The receiver's OAuth client, which every event names; also the API key of the journal.
    pub client_id: String,
    /// That client's secret.
    pub client_secret: String,
    /// What opens the journal as a bearer token.
    pub journal_token: String,
    /// Merchant and environment: `acme.production`.
    pub source: String,
    /// How long one of Adobe's minutes takes.
    pub minute: Duration,
    /// Events per push; 1 means that each is pushed by itself, not as a list.
    pub batch: usize,
}

impl Default for GatewaySettings {
    fn default() -> Self {
        GatewaySettings {
            client_id: "0123456789abcdef0123456789abcdef".to_owned(),
            client_secret: "stand-in-client-secret".to_owned(),
            journal_token: "stand-in-journal-token".to_owned(),
            source: "acme.production".to_owned(),
            minute: Duration::from_mins(1),
            batch: 1,
        }
    }
}

/// One event as it is pushed.
#[derive(Clone, Debug)]
pub struct Event {
    /// What a receiver knows it by.
    pub id: String,
    /// What happened.
    pub code: String,
    envelope: Tree,
}

/// What Adobe thinks of a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has answered a challenge yet.
    Unregistered,
    /// Events are pushed.
    Active,
    /// Ten attempts or more, four of five failed; events are still pushed.
    Unstable,
    /// A day of that: new events are not pushed until someone registers again.
    Disabled,
}

/// What became of pushes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pushes {
    /// Attempts made.
    pub attempts: u64,
    /// Events that were answered 2xx.
    pub delivered: u64,
    /// Events given up: a status that is not tried again, or a day of failures.
    pub dropped: u64,
    /// Events not pushed because the registration was disabled or missing.
    pub withheld: u64,
}

/// The gateway's memory.
#[derive(Default)]
pub(super) struct State {
    pub(super) keys: OnceLock<Mutex<Keys>>,
    pub(super) journal: Mutex<Journal>,
    registration: Mutex<Registration>,
}

#[derive(Default)]
struct Registration {
    url: Option<String>,
    recent: VecDeque<(Instant, bool)>,
    failing_since: Option<Instant>,
    disabled: bool,
    pushes: Pushes,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each of them is consistent after every call.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The sending half of the stand-in; cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    pub(super) shared: Arc<Shared>,
    pub(super) base: String,
    pub(super) http: reqwest::Client,
}

impl Gateway {
    /// Challenges `url` and pushes there from now on, if it answers.
    ///
    /// # Errors
    /// What was wrong with the answer.
    pub async fn register(&self, url: &str) -> Result<(), String> {
        let challenge = self.shared.random_hex();
        let mark = if url.contains('?') { '&' } else { '?' };
        let asked = format!("{url}{mark}challenge={challenge}");
        let answer =
            self.http.get(asked).timeout(Duration::from_secs(10)).send().await.map_err(|error| error.to_string())?;
        let status = answer.status().as_u16();
        let body = answer.text().await.map_err(|error| error.to_string())?;
        let named = Tree::parse(body.as_bytes()).ok();
        let named = named.as_ref().and_then(|tree| tree.get("challenge")).and_then(Tree::as_text);
        if status != 200 || body.trim() != challenge && named != Some(&challenge) {
            return Err(format!("the challenge was answered {status} {body:.100}"));
        }
        let mut registration = self.registration();
        let pushes = registration.pushes;
        *registration = Registration { url: Some(url.to_owned()), pushes, ..Registration::default() };
        Ok(())
    }

    /// The receiver's OAuth client, which every event names.
    pub fn client_id(&self) -> &str {
        &self.shared.settings.gateway.client_id
    }

    /// Pushes to `url` without asking it anything.
    pub fn push_to(&self, url: &str) {
        self.registration().url = Some(url.to_owned());
    }

    /// An event of `code` about `value`, whose numbers become strings as the events module sends them.
    pub fn event(&self, code: &str, value: &Tree) -> Event {
        let (id, settings) = (self.uuid(), &self.shared.settings.gateway);
        let now = self.shared.settings.clock.now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
        let metadata = Tree::object([
            ("commerceEdition", Tree::text("Adobe Commerce")),
            ("commerceVersion", Tree::text("2.4.8")),
            ("eventsClientVersion", Tree::text("1.22.1")),
            ("storeId", Tree::text("1")),
            ("websiteId", Tree::text("1")),
            ("storeGroupId", Tree::text("1")),
        ]);
        let data = Tree::object([
            ("key", Tree::text(self.uuid())),
            ("source", Tree::text(&settings.source)),
            ("value", as_strings(value)),
            ("_metadata", metadata),
        ]);
        let envelope = Tree::object([
            ("specversion", Tree::text("1.0")),
            ("id", Tree::text(self.uuid())),
            ("source", Tree::text("urn:uuid:9f0e1d2c-aaaa-4bbb-8ccc-ddddeeeeffff")),
            ("type", Tree::text(code)),
            ("datacontenttype", Tree::text("application/json")),
            ("time", Tree::text(now)),
            ("eventid", Tree::text(&id)),
            ("event_id", Tree::text(&id)),
            ("recipientclientid", Tree::text(&settings.client_id)),
            ("recipient_client_id", Tree::text(&settings.client_id)),
            ("data", data),
        ]);
        Event { id, code: code.to_owned(), envelope }
    }

    /// An event about the order as it is now, with the few members that are subscribed for intake.
    pub fn order_event(&self, id: u64, is_new: bool) -> Option<Event> {
        let order = self.shared.shop().order(id)?;
        let names = ["entity_id", "increment_id", "store_id", "state", "status", "created_at", "updated_at"];
        let members = names.iter().filter_map(|name| Some(((*name).to_owned(), order.get(name)?.clone())));
        let mut value = Tree::Object(members.collect());
        value.set("_isNew", Tree::Bool(is_new));
        Some(self.event(ORDER_SAVED, &value))
    }

    /// Writes the event to the journal only: its push is lost.
    pub fn lose(&self, event: &Event) {
        lock(&self.shared.adobe.journal).append(self.shared.settings.clock.now(), event.envelope.clone());
    }

    /// Writes the events to the journal and pushes them behind the caller's back, trying again where Adobe does.
    pub fn publish(&self, events: &[Event]) {
        for event in events {
            self.lose(event);
        }
        if matches!(self.standing(), Standing::Disabled | Standing::Unregistered) {
            self.registration().pushes.withheld += events.len() as u64;
            return;
        }
        for batch in events.chunks(self.shared.settings.gateway.batch.max(1)) {
            let (gateway, batch) = (self.clone(), batch.to_vec());
            tokio::spawn(async move { gateway.see_through(&batch).await });
        }
    }

    async fn see_through(&self, events: &[Event]) {
        let (minute, mut waited) = (self.shared.settings.gateway.minute, 0);
        for retry in 0_usize.. {
            let status = self.push(events, retry).await;
            let (done, count) = (status.is_some_and(|status| (200..300).contains(&status)), events.len() as u64);
            let minutes = RETRY_MINUTES[retry.min(RETRY_MINUTES.len() - 1)];
            waited += minutes;
            if done {
                self.registration().pushes.delivered += count;
                return;
            }
            if !is_tried_again(status) || waited > DAY_MINUTES {
                self.registration().pushes.dropped += count;
                return;
            }
            tokio::time::sleep(minute * minutes).await;
        }
    }

    /// One attempt; the status, or nothing without an answer. Pushing twice, late or out of order is done with this.
    pub async fn push(&self, events: &[Event], retry: usize) -> Option<u16> {
        let (first, url) = (events.first()?, self.registration().url.clone()?);
        let body = if self.shared.settings.gateway.batch > 1 {
            Tree::List(events.iter().map(|event| event.envelope.clone()).collect()).php()
        } else {
            first.envelope.php()
        };
        let mut request = self.http.post(url).timeout(Duration::from_secs(10));
        request = request.header("content-type", "application/json").header("user-agent", "Adobe/1.0");
        request = request.header("x-adobe-event-id", &first.id).header("x-adobe-event-code", &first.code);
        request = request.header("x-adobe-provider", "dx_commerce_events").header("x-request-id", self.uuid());
        request = request.header("x-adobe-delivery-id", self.uuid());
        if retry > 0 {
            request = request.header("x-adobe-retry-count", retry.to_string());
        }
        for (name, value) in self.sign(body.as_bytes()) {
            request = request.header(name, value);
        }
        let status = request.body(body).send().await.ok().map(|answer| answer.status().as_u16());
        self.note(status.is_some_and(|status| (200..300).contains(&status)));
        status
    }

    /// The signature headers of a push of these bytes.
    pub fn sign(&self, body: &[u8]) -> Vec<(&'static str, String)> {
        lock(self.keys()).headers(body)
    }

    fn note(&self, good: bool) {
        let now = Instant::now();
        let mut registration = self.registration();
        registration.pushes.attempts += 1;
        registration.recent.push_back((now, good));
        let day = self.shared.settings.gateway.minute * DAY_MINUTES;
        while registration.recent.front().is_some_and(|(at, _)| now.duration_since(*at) > day) {
            registration.recent.pop_front();
        }
        let (attempts, good) =
            (registration.recent.len(), registration.recent.iter().filter(|(_, good)| *good).count());
        if attempts < ATTEMPTS_MIN || good * 5 > attempts {
            registration.failing_since = None;
        } else {
            let since = *registration.failing_since.get_or_insert(now);
            registration.disabled |= now.duration_since(since) >= day;
        }
    }

    /// What Adobe thinks of the receiver.
    pub fn standing(&self) -> Standing {
        let registration = self.registration();
        match (&registration.url, registration.disabled, registration.failing_since) {
            (None, ..) => Standing::Unregistered,
            (Some(_), true, _) => Standing::Disabled,
            (Some(_), false, Some(_)) => Standing::Unstable,
            (Some(_), false, None) => Standing::Active,
        }
    }

    /// Disables the registration, as a day of failures does.
    pub fn disable(&self) {
        self.registration().disabled = true;
    }

    /// Sums over all pushes.
    pub fn pushes(&self) -> Pushes {
        self.registration().pushes
    }

    /// Replaces one of the two keys, the other one the next time.
    pub fn rotate_keys(&self) {
        lock(self.keys()).rotate();
    }

    /// Whether the host of the public keys is out of order.
    pub fn keys_down(&self, down: bool) {
        lock(self.keys()).down = down;
    }

    /// Where the public keys are read, in place of Adobe's host.
    pub fn key_base_url(&self) -> &str {
        &self.base
    }

    /// Where the journal is read.
    pub fn journal_url(&self) -> String {
        format!("{}{}", self.base, journal::PATH)
    }

    /// How many events were ever written to the journal.
    pub fn journal_len(&self) -> usize {
        lock(&self.shared.adobe.journal).len()
    }

    /// Everything in the journal so far grows older than seven days: such positions answer 410.
    pub fn expire_journal(&self) {
        lock(&self.shared.adobe.journal).expire();
    }

    fn registration(&self) -> MutexGuard<'_, Registration> {
        lock(&self.shared.adobe.registration)
    }

    /// Made when first needed, because making them takes a while.
    fn keys(&self) -> &Mutex<Keys> {
        self.shared.adobe.keys.get_or_init(|| Mutex::new(Keys::new()))
    }

    fn uuid(&self) -> String {
        let hex = self.shared.random_hex();
        format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
    }
}

/// 429, 5xx but 505, and no answer at all.
fn is_tried_again(status: Option<u16>) -> bool {
    status.is_none_or(|status| status == 429 || (500..600).contains(&status) && status != 505)
}

/// Numbers as strings, all the way down.
fn as_strings(tree: &Tree) -> Tree {
    match tree {
        Tree::Number(token) => Tree::text(token),
        Tree::List(items) => Tree::List(items.iter().map(as_strings).collect()),
        Tree::Object(members) => {
            Tree::Object(members.iter().map(|(name, value)| (name.clone(), as_strings(value))).collect())
        }
        other => other.clone(),
    }
}
