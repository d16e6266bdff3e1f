//! What a destination allows, and what it shares with the others of its account: requests in a time, at once, and hours
//! when nothing is asked.
//!
//! Who wants to send takes a [`Pass`] before anything is written down, so that what may not go yet simply stays in the
//! store, without an attempt and without a place. An attempt of several requests pays for the first with its pass and
//! waits for each further one.
//!
//! Counted is what left, over the time that the destination counts. A process that starts begins at nothing: right after
//! a restart as much again may leave, which the destination answers with a pause (RET-3).

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};

use super::Uptime;
use crate::clock::{Rate, Timestamp};
use crate::destinations::{Destination, Limits};

/// A window is counted in so many parts; a call counts until its part is wholly past.
const PARTS: u32 = 60;

/// What one rate leaves. Plain value; time is handed in.
#[derive(Clone, Debug)]
struct Window {
    most: u32,
    part: Duration,
    /// Calls by the part of time they fell in, oldest first.
    calls: VecDeque<(u128, u32)>,
    sum: u32,
}

impl Window {
    fn new(rate: Rate) -> Self {
        let part = (rate.per / PARTS).max(Duration::from_millis(1));
        Window { most: rate.count.max(1), part, calls: VecDeque::new(), sum: 0 }
    }

    /// How many may go now; if none, when the next may.
    fn free(&mut self, now: Uptime) -> Result<u32, Uptime> {
        let this = now.as_nanos() / self.part.as_nanos();
        while let Some((part, calls)) = self.calls.front().copied()
            && part + u128::from(PARTS) < this
        {
            self.sum -= calls;
            self.calls.pop_front();
        }
        match self.calls.front() {
            Some((part, _)) if self.sum >= self.most => Err(self.start_of(part + u128::from(PARTS) + 1)),
            _ => Ok(self.most - self.sum),
        }
    }

    fn start_of(&self, part: u128) -> Uptime {
        self.part.saturating_mul(u32::try_from(part).unwrap_or(u32::MAX))
    }

    fn take(&mut self, now: Uptime) {
        let this = now.as_nanos() / self.part.as_nanos();
        match self.calls.back_mut() {
            Some((part, calls)) if *part >= this => *calls += 1,
            _ => self.calls.push_back((this, 1)),
        }
        self.sum += 1;
    }

    /// What was taken then was not used.
    fn give_back(&mut self, taken: Uptime) {
        let part = taken.as_nanos() / self.part.as_nanos();
        let Some(place) = self.calls.iter().position(|(known, _)| *known == part) else { return };
        self.calls[place].1 -= 1;
        self.sum -= 1;
        if self.calls[place].1 == 0 {
            self.calls.remove(place);
        }
    }
}

/// What is allowed to one destination, or to one account.
pub(super) struct Allowance {
    /// Of the account, if it is one.
    account: Option<String>,
    limits: Limits,
    at_once: Option<Arc<Semaphore>>,
    born: Instant,
    inner: Mutex<Inner>,
}

struct Inner {
    windows: Vec<Window>,
    /// One of the account's destinations was told to wait, and all of them are meant.
    paused_until: Option<Uptime>,
}

impl Allowance {
    fn new(account: Option<String>, at_once: Option<u32>, limits: Limits) -> Self {
        let windows = limits.rates.iter().copied().map(Window::new).collect();
        Allowance {
            account,
            limits,
            at_once: at_once.map(|places| Arc::new(Semaphore::new(places as usize))),
            born: Instant::now(),
            inner: Mutex::new(Inner { windows, paused_until: None }),
        }
    }

    /// How many may start now; if none, in what time the next may. Places that are taken come back at no known time.
    fn free(&self) -> Result<usize, Option<Duration>> {
        let now = self.born.elapsed();
        let mut inner = self.lock();
        let mut free = self.at_once.as_ref().map_or(usize::MAX, |places| places.available_permits());
        for window in &mut inner.windows {
            match window.free(now) {
                Ok(calls) => free = free.min(calls as usize),
                Err(until) => return Err(Some(until.saturating_sub(now))),
            }
        }
        if free == 0 { Err(None) } else { Ok(free) }
    }

    /// One call, if it may go now; else in what time it may. Answers when it was counted.
    fn call(&self) -> Result<Uptime, Duration> {
        let now = self.born.elapsed();
        let mut inner = self.lock();
        for window in &mut inner.windows {
            if let Err(until) = window.free(now) {
                return Err(until.saturating_sub(now));
            }
        }
        inner.windows.iter_mut().for_each(|window| window.take(now));
        Ok(now)
    }

    /// How long the hours are closed, and how long it is told to wait.
    fn shut_for(&self, now: Timestamp) -> (Option<Duration>, Option<Duration>) {
        let closed = self.limits.closed_until(now);
        let closed = closed.map(|until| Duration::try_from(until.duration_since(now)).unwrap_or_default());
        let uptime = self.born.elapsed();
        let paused = self.lock().paused_until.map(|until| until.saturating_sub(uptime)).filter(|rest| !rest.is_zero());
        (closed, paused)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All that one destination has to keep to.
pub(super) struct Allowances(Vec<Arc<Allowance>>);

impl Allowances {
    /// Its own, and its account's, which `accounts` knows or gets to know.
    pub(super) fn of(destination: &Destination, accounts: &mut HashMap<String, Arc<Allowance>>) -> Self {
        let mut all = Vec::new();
        if !destination.limits().is_empty() {
            all.push(Arc::new(Allowance::new(None, None, destination.limits().clone())));
        }
        if let Some(account) = destination.account() {
            let shared = accounts.entry(account.name.clone()).or_insert_with(|| {
                let name = Some(account.name.clone());
                Arc::new(Allowance::new(name, account.concurrency, account.limits.clone()))
            });
            all.push(Arc::clone(shared));
        }
        Allowances(all)
    }

    /// The account's name, if it has one.
    pub(super) fn account(&self) -> Option<&str> {
        self.0.iter().find_map(|allowance| allowance.account.as_deref())
    }

    /// How long nothing is asked: for closed hours, and for a pause that another destination of the account was told to
    /// make.
    pub(super) fn shut_for(&self, now: impl FnOnce() -> Timestamp) -> (Option<Duration>, Option<Duration>) {
        if self.0.is_empty() {
            return (None, None);
        }
        let now = now();
        self.0.iter().fold((None, None), |(closed, paused), allowance| {
            let (its_closed, its_paused) = allowance.shut_for(now);
            (closed.max(its_closed), paused.max(its_paused))
        })
    }

    /// How many attempts may start now; if none, in what time the next may, where that is known.
    pub(super) fn free(&self) -> Result<usize, Option<Duration>> {
        self.0.iter().try_fold(usize::MAX, |free, allowance| Ok(free.min(allowance.free()?)))
    }

    /// For one attempt, and its first request; `None`: not now.
    pub(super) fn pass(&self) -> Option<Pass> {
        let mut pass = Pass::default();
        for allowance in &self.0 {
            let place = match &allowance.at_once {
                Some(places) => Some(Arc::clone(places).try_acquire_owned().ok()?),
                None => None,
            };
            let counted = allowance.call().ok()?;
            pass.paid.push((Arc::clone(allowance), counted));
            pass.places.extend(place);
        }
        Some(pass)
    }

    /// Waits until one more request may go, for `patience` at most.
    ///
    /// # Errors
    /// How long it would have to wait.
    pub(super) async fn another(&self, patience: Duration) -> Result<(), Duration> {
        let deadline = Instant::now() + patience;
        for allowance in &self.0 {
            while let Err(rest) = allowance.call() {
                if Instant::now() + rest > deadline {
                    return Err(rest);
                }
                sleep(rest).await;
            }
        }
        Ok(())
    }

    /// The destination was told to wait that long; so are the others of its account.
    pub(super) fn pause(&self, rest: Duration) {
        for allowance in self.0.iter().filter(|allowance| allowance.account.is_some()) {
            let until = allowance.born.elapsed() + rest;
            let mut inner = allowance.lock();
            inner.paused_until = inner.paused_until.max(Some(until));
        }
    }

    /// A person lets it go.
    pub(super) fn release(&self) {
        for allowance in &self.0 {
            allowance.lock().paused_until = None;
        }
    }
}

/// Leave for one attempt. Given back unused it leaves no trace.
#[derive(Default)]
pub(super) struct Pass {
    places: Vec<OwnedSemaphorePermit>,
    /// What was paid for a request that has not left.
    paid: Vec<(Arc<Allowance>, Uptime)>,
}

impl Pass {
    /// The request leaves.
    pub(super) fn spend(&mut self) {
        self.paid.clear();
    }

    /// The answer is there: others may take the place.
    pub(super) fn free_place(&mut self) {
        self.places.clear();
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        for (allowance, counted) in &self.paid {
            allowance.lock().windows.iter_mut().for_each(|window| window.give_back(*counted));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::time::advance;

    use super::*;
    use crate::destinations::{Account, Settings};

    fn rate(count: u32, seconds: u64) -> Rate {
        Rate { count, per: Duration::from_secs(seconds) }
    }

    fn allowances(
        rates: &[Rate],
        account: Option<Account>,
        accounts: &mut HashMap<String, Arc<Allowance>>,
    ) -> Allowances {
        let limits = Limits { rates: rates.to_vec(), closed: Vec::new() };
        let settings = Settings { limits, account, ..Settings::new("erp", "https://erp.example.com/orders") };
        let destination = Destination::new(settings).map_err(|found| found.join("; ")).unwrap();
        Allowances::of(&destination, accounts)
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_lets_so_many_pass_in_its_time_and_says_when_the_next_may() {
        let allowances = allowances(&[rate(3, 60)], None, &mut HashMap::new());
        for _ in 0..3 {
            allowances.pass().unwrap().spend();
            advance(Duration::from_secs(1)).await;
        }
        assert!(allowances.pass().is_none());
        let rest = allowances.free().unwrap_err().unwrap();
        assert!((Duration::from_secs(57)..=Duration::from_secs(59)).contains(&rest), "{rest:?}");
        advance(rest.saturating_sub(Duration::from_millis(1))).await;
        assert!(allowances.pass().is_none());
        advance(Duration::from_millis(1)).await;
        assert_eq!(allowances.free(), Ok(1), "they come back one by one, as they went");
        allowances.pass().unwrap().spend();
        assert!(allowances.pass().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_that_is_not_used_costs_nothing() {
        let allowances = allowances(&[rate(2, 60)], None, &mut HashMap::new());
        for _ in 0..10 {
            drop(allowances.pass().unwrap());
        }
        let (mut one, two) = (allowances.pass().unwrap(), allowances.pass().unwrap());
        assert!(allowances.pass().is_none());
        one.spend();
        drop((one, two));
        assert_eq!(allowances.free(), Ok(1));
    }

    #[tokio::test(start_paused = true)]
    async fn further_requests_of_an_attempt_wait_their_turn_but_not_for_hours() {
        let quick = allowances(&[rate(2, 1)], None, &mut HashMap::new());
        let begun = Instant::now();
        for _ in 0..6 {
            quick.another(Duration::from_secs(30)).await.unwrap();
        }
        assert!(
            (Duration::from_secs(2)..Duration::from_millis(2_200)).contains(&begun.elapsed()),
            "{:?}",
            begun.elapsed()
        );
        let slow = allowances(&[rate(1, 86_400)], None, &mut HashMap::new());
        slow.another(Duration::from_secs(30)).await.unwrap();
        let rest = slow.another(Duration::from_secs(30)).await.unwrap_err();
        assert!(rest > Duration::from_hours(23), "{rest:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn prs_1_destinations_of_one_account_share_its_places_its_rate_and_its_pauses() {
        let account = |name: &str| Account {
            name: name.to_owned(),
            concurrency: Some(2),
            limits: Limits { rates: vec![rate(3, 60)], closed: Vec::new() },
        };
        let mut accounts = HashMap::new();
        let orders = allowances(&[], Some(account("netsuite")), &mut accounts);
        let picks = allowances(&[rate(100, 1)], Some(account("netsuite")), &mut accounts);
        let other = allowances(&[], Some(account("odoo")), &mut accounts);
        let (mut one, mut two) = (orders.pass().unwrap(), picks.pass().unwrap());
        assert!(orders.pass().is_none() && picks.pass().is_none(), "two at once");
        assert_eq!(picks.free(), Err(None), "when a place comes back nobody knows");
        assert!(other.pass().is_some());
        one.spend();
        two.spend();
        one.free_place();
        drop(two);
        let mut three = picks.pass().unwrap();
        three.spend();
        drop(three);
        assert!(orders.pass().is_none(), "three a minute");
        orders.pause(Duration::from_secs(90));
        let now = || Timestamp::UNIX_EPOCH;
        assert_eq!(picks.shut_for(now), (None, Some(Duration::from_secs(90))));
        assert_eq!(other.shut_for(now), (None, None));
        picks.release();
        assert_eq!(orders.shut_for(now), (None, None));
    }

    proptest! {
        /// Whatever comes when, and whatever is given back when: in no stretch as long as the rate's time do more leave than
        /// it says.
        #[test]
        fn no_stretch_of_time_sees_more_than_its_rate(
            count in 1_u32..20,
            millis in 100_u64..100_000,
            pauses in proptest::collection::vec((0_u64..5_000, 0_u8..4), 1..300),
        ) {
            let per = Duration::from_millis(millis);
            let mut window = Window::new(Rate { count, per });
            let (mut now, mut left) = (Duration::from_secs(1), Vec::new());
            let mut unused = Vec::new();
            for (pause, what) in pauses {
                now += Duration::from_millis(pause);
                if what == 0 && let Some(taken) = unused.pop() {
                    window.give_back(taken);
                    continue;
                }
                match window.free(now) {
                    Ok(free) => {
                        prop_assert!(free >= 1);
                        window.take(now);
                        if what == 1 { unused.push(now) } else { left.push(now) }
                    }
                    Err(until) => {
                        let wait = until.saturating_sub(now);
                        prop_assert!(!wait.is_zero() && wait <= per + per / 30 + Duration::from_millis(61), "{wait:?}");
                        prop_assert!(window.clone().free(until).is_ok());
                    }
                }
            }
            for (index, at) in left.iter().enumerate() {
                let within = left[index..].iter().take_while(|other| other.saturating_sub(*at) < per).count();
                prop_assert!(within <= count as usize, "{within} within {per:?}");
            }
        }
    }
}
