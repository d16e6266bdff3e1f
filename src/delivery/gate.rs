//! One destination's door: how many may pass, whether it is open, who is inside.
//!
//! Places. `concurrency` requests are on the wire at once. A quarter of them is kept for the dispatcher, so that a
//! steady express lane never starves retries and backlog; the dispatcher may use the rest too when it is free. How many
//! places there are at a time follows what the destination bears ([`super::adaptive`]), `concurrency` at most. In
//! front of the wire stands a bounded hand-off of the express lane (limits, section 5): attempts that are durable and
//! wait in memory for their turn. It is short, since each of them is in doubt should the process die.
//!
//! A destination that was shut and opens again has a backlog: until the dispatcher has worked it off, the express lane
//! steps aside, so that the oldest go first.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::Uptime;
use super::allowance::{Allowance, Allowances, Pass};
use super::breaker::Admission;
use super::machine::{Effect, Policy};
use super::standing::{Look, Standing};
use crate::clock::{SharedClock, Timestamp, later};
use crate::destinations::{Destination, Health};

/// Hand-off places for each request on the wire.
const PLACES_PER_REQUEST: usize = 8;

/// A destination as people and metrics see it.
#[derive(Clone, Debug, Serialize)]
pub struct DestinationStatus {
    /// Configured name.
    pub name: String,
    /// Whether it takes deliveries.
    #[serde(flatten)]
    pub state: DestinationState,
    /// Requests under way.
    pub in_flight: u32,
    /// Most requests at once.
    pub concurrency: u32,
    /// Most requests at once now, by what it bears (PRS-1).
    pub limit: u32,
    /// The account whose limits it shares, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The destination that every order reaches first, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Deliveries that left for good in the last minute: applied, or parked.
    pub settled_last_minute: u32,
    /// What the last failure was that says something about the destination, not about a record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<String>,
}

/// Whether a destination takes deliveries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum DestinationState {
    /// It does.
    Open,
    /// One delivery at a time, to see whether it does.
    HalfOpen,
    /// It failed too often (RET-5).
    Broken {
        /// When the next probe goes out.
        until: Timestamp,
    },
    /// It asked for a pause (RET-3).
    Paused {
        /// When it ends.
        until: Timestamp,
    },
    /// It is an hour when nothing is sent to it.
    Closed {
        /// When it ends.
        until: Timestamp,
    },
    /// A person must act.
    Held {
        /// Why.
        reason: String,
    },
}

impl DestinationState {
    /// The word for metrics and logs.
    pub fn as_str(&self) -> &'static str {
        match self {
            DestinationState::Open => "open",
            DestinationState::HalfOpen => "half_open",
            DestinationState::Broken { .. } => "broken",
            DestinationState::Paused { .. } => "paused",
            DestinationState::Closed { .. } => "closed",
            DestinationState::Held { .. } => "held",
        }
    }

    /// Why, or until when; empty for an open one.
    pub fn reason(&self) -> String {
        match self {
            DestinationState::Open | DestinationState::HalfOpen => String::new(),
            DestinationState::Broken { until }
            | DestinationState::Paused { until }
            | DestinationState::Closed { until } => format!("until {until}"),
            DestinationState::Held { reason } => reason.clone(),
        }
    }
}

/// How many attempts may start now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// That many, retries only if the budget allows.
    Free { places: usize, retries: bool },
    /// One, as a probe.
    Probe,
    /// None: it is asked as much as it allows; ask again then, or when something happens.
    Spent { until: Option<Uptime> },
    /// None; ask again then, or when something happens.
    Shut { until: Option<Uptime> },
}

/// One destination and its door.
pub(super) struct Gate {
    pub(super) destination: Destination,
    pub(super) policy: Policy,
    allowances: Allowances,
    clock: SharedClock,
    born: Instant,
    hand_off: Arc<Semaphore>,
    on_the_wire: AtomicU32,
    inside: AtomicU32,
    emptied: Arc<Notify>,
    /// The dispatcher found more than it had places for.
    pub(super) backlog: AtomicBool,
    /// Until when what waits there waits for company, in microseconds of its uptime; in the past: nothing does.
    rests_until: AtomicU64,
    standing: Mutex<Standing>,
}

impl Gate {
    /// Of a destination; `accounts` are those of the ones before it.
    pub(super) fn new(
        destination: Destination,
        accounts: &mut HashMap<String, Arc<Allowance>>,
        clock: SharedClock,
        emptied: Arc<Notify>,
    ) -> Self {
        let places = usize::try_from(destination.concurrency()).unwrap_or(usize::MAX);
        Gate {
            policy: Policy::of(&destination),
            allowances: Allowances::of(&destination, accounts),
            clock,
            born: Instant::now(),
            hand_off: Arc::new(Semaphore::new(places * PLACES_PER_REQUEST)),
            on_the_wire: AtomicU32::new(0),
            inside: AtomicU32::new(0),
            emptied,
            backlog: AtomicBool::new(false),
            rests_until: AtomicU64::new(0),
            standing: Mutex::new(Standing::new(destination.concurrency())),
            destination,
        }
    }

    pub(super) fn name(&self) -> &str {
        self.destination.name()
    }

    /// Monotonic time since the gate was made.
    pub(super) fn uptime(&self) -> Uptime {
        self.born.elapsed()
    }

    /// Started attempts that are not settled yet, and hand-off places taken.
    pub(super) fn inside(&self) -> u32 {
        self.inside.load(Ordering::SeqCst)
    }

    /// When an attempt that starts now is given up: the request's time, and as long again for its wait in the hand-off.
    pub(super) fn deadline(&self, started_at: Timestamp) -> Timestamp {
        later(started_at, self.destination.request_timeout() * 2)
    }

    /// For the dispatcher.
    pub(super) fn opening(&self) -> Opening {
        let now = self.uptime();
        let mut standing = self.lock();
        let look = self.look(&mut standing, now);
        if !matches!(look, Look::Asked(Admission::Free)) {
            // Until the dispatcher has looked at what waits, it is taken for a backlog.
            self.backlog.store(true, Ordering::Relaxed);
        }
        match look {
            Look::Held | Look::Asked(Admission::Probing) => Opening::Shut { until: None },
            Look::Paused(until) | Look::Closed(until) | Look::Asked(Admission::Shut { until }) => {
                Opening::Shut { until: Some(until) }
            }
            Look::Asked(open) => match self.allowances.free() {
                Err(rest) => Opening::Spent { until: rest.map(|rest| now + rest) },
                Ok(_) if open == Admission::Probe => Opening::Probe,
                Ok(allowed) => Opening::Free {
                    places: standing.places(self.on_the_wire.load(Ordering::SeqCst)).min(allowed),
                    retries: standing.throttle.may_retry(now),
                },
            },
        }
    }

    /// As the destination stands, and whether it may be asked at this hour at all.
    fn look(&self, standing: &mut Standing, now: Uptime) -> Look {
        let (closed, paused) = self.allowances.shut_for(|| self.clock.now());
        standing.look(now, closed, paused)
    }

    /// As the destination stands for what is read there; unlike [`Gate::opening`] it changes nothing for the dispatcher.
    pub(super) fn looked_at(&self, now: Uptime) -> Look {
        self.look(&mut self.lock(), now)
    }

    /// Whether one more request is allowed now; else in what time, where that is known.
    pub(super) fn free(&self) -> Result<(), Option<Duration>> {
        self.allowances.free().map(|_| ())
    }

    /// Whether ordinary deliveries pass: closed breaker, no pause, no hold.
    pub(super) fn is_open(&self) -> bool {
        let now = self.uptime();
        matches!(self.look(&mut self.lock(), now), Look::Asked(Admission::Free))
    }

    /// A place in the hand-off, if the destination is open and one is free. The express lane steps aside while older
    /// deliveries wait that have no place of their own: with a single place on the wire there is none to keep for the
    /// dispatcher, and a destination that was shut is owed its backlog first.
    pub(super) fn reserve(self: &Arc<Self>) -> Option<Seat> {
        let (now, backlog) = (self.uptime(), self.backlog.load(Ordering::Relaxed));
        let limit = {
            let mut standing = self.lock();
            if !matches!(self.look(&mut standing, now), Look::Asked(Admission::Free)) {
                return None;
            }
            standing.draining &= backlog;
            let limit = standing.adaptive.limit();
            if backlog && (standing.draining || limit < 2) {
                return None;
            }
            limit
        };
        // The hand-off is as long as the wire bears.
        if self.inside() as usize >= (limit as usize).saturating_mul(PLACES_PER_REQUEST) {
            return None;
        }
        let place = Arc::clone(&self.hand_off).try_acquire_owned().ok()?;
        Some(Seat::new(self, self.allowances.pass()?, Some(place), None, false))
    }

    /// A place on the wire for the dispatcher, if one is free.
    pub(super) fn take(self: &Arc<Self>, probe: bool) -> Option<Seat> {
        let pass = self.allowances.pass()?;
        let mut standing = self.lock();
        let reserved = standing.reserved.semaphore().try_acquire_owned().ok().map(OnTheWire::Reserved);
        let place =
            reserved.or_else(|| Some(OnTheWire::Shared(standing.shared.semaphore().try_acquire_owned().ok()?)))?;
        if probe {
            standing.breaker.begin_probe();
        }
        drop(standing);
        Some(Seat::new(self, pass, None, Some(place), probe))
    }

    /// Inside with another's request, which has the place and the leave: it settles, and asks nothing of its own.
    pub(super) fn ride(self: &Arc<Self>) -> Seat {
        let mut seat = Seat::new(self, Pass::default(), None, None, false);
        seat.rides = true;
        seat
    }

    /// For so long nothing is looked for there: what waits, waits for company.
    pub(super) fn rest(&self, left: Duration) {
        self.rests_until.store(whole_micros(self.uptime() + left), Ordering::Relaxed);
    }

    /// How long it rests yet, if it does.
    pub(super) fn rests_for(&self) -> Option<Duration> {
        let left = self.rests_until.load(Ordering::Relaxed).saturating_sub(whole_micros(self.uptime()));
        (left > 0).then(|| Duration::from_micros(left))
    }

    /// Waits until an attempt may send one request more than its first.
    ///
    /// # Errors
    /// How long it would have to wait.
    pub(super) async fn another(&self) -> Result<(), Duration> {
        self.allowances.another(self.destination.request_timeout()).await
    }

    /// An attempt is durable.
    pub(super) fn count_start(&self, is_retry: bool) {
        let now = self.uptime();
        self.lock().throttle.started(now, is_retry);
    }

    /// What follows from an attempt that was on the wire for `took`. Alarms are left to the caller.
    pub(super) fn apply(&self, effects: &[Effect], probe: bool, took: Duration, detail: &str) {
        let now = self.uptime();
        let throttled = effects.iter().any(|effect| matches!(effect, Effect::Pause { .. }));
        for effect in effects {
            match effect {
                Effect::Health(health) => {
                    let mut standing = self.lock();
                    standing.breaker.record(now, *health, probe);
                    if matches!(health, Health::Failed | Health::ConnectFailed) {
                        standing.last_failure = Some(detail.to_owned());
                    }
                    let health = if throttled { Health::Failed } else { *health };
                    standing.hear(now, health, took);
                }
                Effect::Answered => {
                    self.destination.credentials().accepted();
                    self.lock().throttle.answered();
                }
                Effect::Hold { reason } => self.lock().throttle.hold(reason),
                Effect::Pause { floor } => {
                    let until = {
                        let throttle = &mut self.lock().throttle;
                        throttle.pause(now, *floor);
                        throttle.paused_until(now)
                    };
                    // The other side counts all of its account's destinations together.
                    self.allowances.pause(until.unwrap_or(now).saturating_sub(now));
                }
                Effect::RefusedForConfiguration { reason } => {
                    self.lock().throttle.refused_for_configuration(reason);
                }
                Effect::RefreshCredential => self.destination.credentials().refresh(),
                Effect::Alarm { .. } => {}
            }
        }
    }

    /// A delivery left for good: applied, or parked.
    pub(super) fn count_settled(&self) {
        let now = self.uptime();
        self.lock().settled.add(now, 1, 0);
    }

    /// Nothing goes out until a person lets it go; the first reason stands.
    pub(super) fn hold(&self, reason: &str) {
        self.lock().throttle.hold(reason);
    }

    /// The same for a person, whose reason stands before any of ours.
    pub(super) fn hold_for_a_person(&self, reason: &str) {
        self.lock().throttle.hold_for_a_person(reason);
    }

    /// A person lets it go: no hold, no pause, and the credential is read anew.
    pub(super) fn release(&self) {
        self.lock().throttle.release();
        self.allowances.release();
        self.destination.credentials().refresh();
        self.destination.credentials().accepted();
    }

    pub(super) fn status(&self) -> DestinationStatus {
        let now = self.uptime();
        let mut standing = self.lock();
        DestinationStatus {
            name: self.name().to_owned(),
            state: self.state(&mut standing),
            in_flight: self.on_the_wire.load(Ordering::SeqCst),
            concurrency: self.destination.concurrency(),
            limit: standing.adaptive.limit(),
            account: self.allowances.account().map(str::to_owned),
            after: self.destination.after().map(str::to_owned),
            settled_last_minute: standing.settled.sums(now).0,
            last_failure: standing.last_failure.clone(),
        }
    }

    /// The state, if it is not the one told last.
    pub(super) fn news(&self) -> Option<DestinationState> {
        let mut standing = self.lock();
        let state = self.state(&mut standing);
        let known = standing.told.replace(state.as_str()).unwrap_or("open");
        (known != state.as_str()).then_some(state)
    }

    fn state(&self, standing: &mut Standing) -> DestinationState {
        let now = self.uptime();
        let wall = |until: Uptime| later(self.clock.now(), until.saturating_sub(now));
        match self.look(standing, now) {
            Look::Held => DestinationState::Held { reason: standing.throttle.held().unwrap_or_default().to_owned() },
            Look::Paused(until) => DestinationState::Paused { until: wall(until) },
            Look::Closed(until) => DestinationState::Closed { until: wall(until) },
            Look::Asked(Admission::Free) => DestinationState::Open,
            Look::Asked(Admission::Probe | Admission::Probing) => DestinationState::HalfOpen,
            Look::Asked(Admission::Shut { until }) => DestinationState::Broken { until: wall(until) },
        }
    }

    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn whole_micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// Someone inside: from reserving a place until the attempt is settled or the place given up.
pub(super) struct Seat {
    gate: Arc<Gate>,
    pass: Pass,
    /// Kept until the end: bounds what is started and not settled.
    _place: Option<OwnedSemaphorePermit>,
    permit: Option<OnTheWire>,
    probe: bool,
    rides: bool,
}

/// A place on the wire, and where it belongs.
enum OnTheWire {
    Shared(OwnedSemaphorePermit),
    Reserved(OwnedSemaphorePermit),
}

impl Seat {
    fn new(
        gate: &Arc<Gate>,
        pass: Pass,
        place: Option<OwnedSemaphorePermit>,
        permit: Option<OnTheWire>,
        probe: bool,
    ) -> Self {
        gate.inside.fetch_add(1, Ordering::SeqCst);
        if permit.is_some() {
            gate.on_the_wire.fetch_add(1, Ordering::SeqCst);
        }
        Seat { gate: Arc::clone(gate), pass, _place: place, permit, probe, rides: false }
    }

    pub(super) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Waits for its turn on the wire. `false`: the destination shut meanwhile, nothing may be sent.
    pub(super) async fn step_up(&mut self) -> bool {
        if self.permit.is_some() {
            return true;
        }
        let shared = self.gate.lock().shared.semaphore();
        let permit = shared.acquire_owned().await.expect("the semaphore is never closed");
        self.permit = Some(OnTheWire::Shared(permit));
        self.gate.on_the_wire.fetch_add(1, Ordering::SeqCst);
        self.gate.is_open()
    }

    /// Its first request leaves.
    pub(super) fn spend(&mut self) {
        self.pass.spend();
    }

    /// The answer is there: the place on the wire is free for the next.
    pub(super) fn step_down(&mut self) {
        let Some(place) = self.permit.take() else { return };
        self.pass.free_place();
        self.gate.on_the_wire.fetch_sub(1, Ordering::SeqCst);
        let mut standing = self.gate.lock();
        match place {
            OnTheWire::Shared(permit) => standing.shared.give_back(permit),
            OnTheWire::Reserved(permit) => standing.reserved.give_back(permit),
        }
    }

    /// Whether the request was another's, who tells what it said of the destination.
    pub(super) fn rides(&self) -> bool {
        self.rides
    }

    /// Whether it is the probe; asked once, by whoever reports its outcome.
    pub(super) fn take_probe(&mut self) -> bool {
        std::mem::take(&mut self.probe)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.step_down();
        if self.probe {
            self.gate.lock().breaker.abandon_probe();
        }
        self.gate.inside.fetch_sub(1, Ordering::SeqCst);
        self.gate.emptied.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::clock::SystemClock;
    use crate::destinations::Settings;

    const QUICK: Duration = Duration::from_millis(5);

    fn gate(concurrency: u32) -> Arc<Gate> {
        let settings = Settings { concurrency, ..Settings::new("erp", "https://erp.example.com/orders") };
        let destination = Destination::new(settings).map_err(|found| found.join("; ")).unwrap();
        Arc::new(Gate::new(destination, &mut HashMap::new(), Arc::new(SystemClock), Arc::default()))
    }

    fn broken() -> Arc<Gate> {
        let gate = gate(8);
        (0..5).for_each(|_| gate.apply(&[Effect::Health(Health::ConnectFailed)], false, QUICK, ""));
        gate
    }

    #[tokio::test(start_paused = true)]
    async fn ret_5_a_broken_gate_lets_one_probe_through_and_opens_when_it_is_answered() {
        let gate = broken();
        assert!(matches!(gate.opening(), Opening::Shut { until: Some(_) }));
        assert_eq!(gate.news().map(|state| state.as_str()), Some("broken"));
        assert!(gate.news().is_none(), "told once");
        advance(Duration::from_secs(5)).await;
        assert_eq!(gate.opening(), Opening::Probe);
        assert!(gate.reserve().is_none(), "a probe is the dispatcher's");
        let mut seat = gate.take(true).unwrap();
        assert_eq!(gate.opening(), Opening::Shut { until: None });
        assert_eq!(gate.status().state.as_str(), "half_open");
        let probe = seat.take_probe();
        gate.apply(&[Effect::Health(Health::Answered)], probe, QUICK, "");
        assert_eq!(gate.opening(), Opening::Free { places: 0, retries: true }, "PRS-1: one at a time at first");
        drop(seat);
        assert_eq!(gate.opening(), Opening::Free { places: 1, retries: true });
    }

    #[tokio::test(start_paused = true)]
    async fn ret_5_a_probe_that_was_never_sent_makes_room_for_another() {
        let gate = broken();
        advance(Duration::from_secs(5)).await;
        assert_eq!(gate.opening(), Opening::Probe);
        drop(gate.take(true).unwrap());
        assert_eq!(gate.opening(), Opening::Probe);
    }

    #[tokio::test]
    async fn prs_1_places_on_the_wire_are_shared_and_a_quarter_is_kept() {
        let gate = gate(8);
        let mut express: Vec<Seat> = (0..7).map(|_| gate.reserve().unwrap()).collect();
        for seat in express.iter_mut().take(6) {
            assert!(seat.step_up().await);
        }
        assert_eq!(gate.status().in_flight, 6);
        assert_eq!(gate.opening(), Opening::Free { places: 2, retries: true });
        let (one, two) = (gate.take(false).unwrap(), gate.take(false).unwrap());
        assert!(gate.take(false).is_none());
        assert_eq!((gate.status().in_flight, gate.inside()), (8, 9));
        drop((express, one, two));
        assert_eq!((gate.status().in_flight, gate.inside()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn prs_1_after_an_outage_the_express_lane_waits_until_the_backlog_has_gone() {
        let gate = broken();
        assert!(matches!(gate.opening(), Opening::Shut { .. }));
        advance(Duration::from_secs(5)).await;
        assert_eq!(gate.opening(), Opening::Probe);
        let mut seat = gate.take(true).unwrap();
        let probe = seat.take_probe();
        gate.apply(&[Effect::Health(Health::Answered)], probe, QUICK, "");
        drop(seat);
        (0..100).for_each(|_| {
            assert!(gate.is_open());
            gate.apply(&[Effect::Health(Health::Answered)], false, QUICK, "");
        });
        assert_eq!(gate.status().limit, 8, "it bears all of it");
        assert!(gate.reserve().is_none(), "older ones wait");
        gate.backlog.store(false, Ordering::Relaxed);
        assert!(gate.reserve().is_some());
        gate.backlog.store(true, Ordering::Relaxed);
        assert!(gate.reserve().is_some(), "a backlog of an ordinary day is no reason");
    }

    #[tokio::test(start_paused = true)]
    async fn prs_1_a_throttled_destination_gets_fewer_at_once_when_its_pause_is_over() {
        let gate = gate(8);
        let floor = Some(Duration::from_secs(3));
        gate.apply(&[Effect::Health(Health::Answered), Effect::Pause { floor }], false, QUICK, "");
        assert!(!gate.is_open());
        advance(Duration::from_secs(3)).await;
        assert_eq!(gate.opening(), Opening::Free { places: 4, retries: true });
    }
}
