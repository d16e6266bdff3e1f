//! Asks the store whose turn it is and starts their attempts. It waits for the store alone, never for a destination,
//! so that one destination's slowness delays no other.
//!
//! It looks when woken, when the next delivery falls due, when a shut destination may open, and after [`Settings::poll`]
//! in any case. Between two looks lie at least [`SPACING`]: under a steady express lane every settlement may wake it.
//!
//! [`Settings::poll`]: super::worker::Settings::poll

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::batching::{self, Lot};
use super::gate::{Gate, Opening, Seat};
use super::machine::Withheld;
use super::preparing::prepare;
use super::sending::{self, Errand};
use super::sweeping;
use super::worker::Engine;
use crate::clock::{Timestamp, from_micros};
use crate::envelope::ids::DeliveryId;
use crate::store::view::DueDelivery;
use crate::store::write::{AttemptStart, StartedAttempt};
use crate::store::{Slots, StoreError};

const SPACING: Duration = Duration::from_millis(2);
/// While attempts are under way the timer is set without asking the store for the next due time.
const BUSY_SLEEP: Duration = Duration::from_millis(100);
/// Deliveries looked at beyond the free places while the retry budget is spent, to find first attempts behind retries.
const LOOK_PAST_RETRIES: u32 = 32;

/// Recovers, then dispatches until the engine stops.
pub(super) async fn run(engine: Arc<Engine>) {
    hold_again(&engine).await;
    recover(&engine).await;
    engine.recovered.send_replace(true);
    sweeping::sweep(&engine).await;
    let mut swept_at = Instant::now();
    while !engine.is_stopping() {
        let looked_at = Instant::now();
        let pause = match round(&engine).await {
            Ok(pause) => pause,
            Err(StoreError::Stopped) => return,
            Err(error) => {
                tracing::warn!(reason = %error, "the store could not say what is due");
                Duration::from_millis(50)
            }
        };
        if swept_at.elapsed() >= engine.settings.sweep {
            swept_at = Instant::now();
            sweeping::sweep(&engine).await;
        }
        tokio::select! {
            // In order, so that a simulated run can be repeated.
            biased;
            () = engine.wake.notified() => sleep_until(looked_at + SPACING).await,
            () = sleep(pause.max(SPACING)) => {}
        }
    }
}

/// What a person held stays held, before anything goes out.
async fn hold_again(engine: &Arc<Engine>) {
    while !engine.is_stopping() {
        match engine.store.holds().await {
            Ok(holds) => {
                for hold in holds {
                    // One that is no longer configured is nobody's to hold.
                    if let Some(gate) = engine.gate(&hold.destination) {
                        gate.hold_for_a_person(&hold.reason);
                    }
                }
                return;
            }
            Err(StoreError::Stopped) => return,
            Err(error) => {
                tracing::warn!(reason = %error, "the store could not say what is held");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// RUN-1: what the last process left under way is uncertain.
async fn recover(engine: &Arc<Engine>) {
    while !engine.is_stopping() {
        match engine.store.interrupted_attempts().await {
            Ok(interrupted) => {
                let mut settling = JoinSet::new();
                for one in interrupted {
                    let detail = "the process ended while this attempt was under way";
                    settling.spawn(sending::settle_interrupted(Arc::clone(engine), one, detail));
                }
                settling.join_all().await;
                return;
            }
            Err(StoreError::Stopped) => return,
            Err(error) => {
                tracing::warn!(reason = %error, "the store could not say what was interrupted");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// One look. Answers how long to sleep if nobody wakes us.
async fn round(engine: &Arc<Engine>) -> Result<Duration, StoreError> {
    let busy = engine.inside() > 0;
    if !busy {
        // Taken back below if there is more; a wake from now on sets it again.
        engine.hint.store(false, Ordering::SeqCst);
    }
    let openings: Vec<(&Arc<Gate>, Opening)> = engine.gates.iter().map(|gate| (gate, gate.opening())).collect();
    engine.gates.iter().for_each(|gate| engine.tell_news(gate));
    let slots: Vec<Slots> = openings.iter().filter_map(|(gate, opening)| slots(gate, *opening)).collect();
    let now = engine.clock.now();
    let mut full = false;
    if !slots.is_empty() {
        let due = engine.store.due_deliveries(now, slots).await?;
        full = note_backlog(&openings, &due);
        start(engine, &openings, due, now).await?;
    }
    if full {
        engine.hint.store(true, Ordering::SeqCst);
    }
    sleep_for(engine, &openings, busy).await
}

async fn sleep_for(engine: &Engine, openings: &[(&Arc<Gate>, Opening)], busy: bool) -> Result<Duration, StoreError> {
    let mut pause = engine.settings.poll;
    for (gate, opening) in openings {
        if let Opening::Shut { until: Some(until) } | Opening::Spent { until: Some(until) } = opening {
            pause = pause.min(until.saturating_sub(gate.uptime()));
        }
        pause = pause.min(gate.rests_for().unwrap_or(pause));
    }
    if busy {
        return Ok(pause.min(BUSY_SLEEP));
    }
    if let Some(due_at) = engine.store.next_due_at().await? {
        // What is overdue belongs to a destination that takes nothing now: no reason to look sooner.
        let wait = Duration::try_from(due_at.duration_since(engine.clock.now())).unwrap_or_default();
        if !wait.is_zero() {
            pause = pause.min(wait);
        }
    }
    Ok(pause)
}

fn slots(gate: &Gate, opening: Opening) -> Option<Slots> {
    let free = match opening {
        Opening::Free { places: 0, .. } | Opening::Spent { .. } | Opening::Shut { .. } => return None,
        Opening::Free { .. } if gate.rests_for().is_some() => return None,
        Opening::Free { places, retries } => {
            let records = u32::try_from(records(gate, places)).unwrap_or(u32::MAX);
            if retries { records } else { records.saturating_add(LOOK_PAST_RETRIES) }
        }
        Opening::Probe => 1,
    };
    Some(slots_of(gate, free))
}

/// How many deliveries so many requests can carry.
fn records(gate: &Gate, places: usize) -> usize {
    let each = gate.destination.batch().map_or(1, |batch| batch.up_to as usize);
    places.saturating_mul(each)
}

fn slots_of(gate: &Gate, free: u32) -> Slots {
    Slots { after: gate.destination.after().map(str::to_owned), ..Slots::new(gate.name(), free) }
}

/// Remembers which destinations have more waiting than places; `true` if any has.
fn note_backlog(openings: &[(&Arc<Gate>, Opening)], due: &[DueDelivery]) -> bool {
    let mut any = false;
    for (gate, opening) in openings {
        let more = match opening {
            Opening::Free { places, .. } => {
                due.iter().filter(|delivery| delivery.destination == gate.name()).count() >= records(gate, *places)
            }
            Opening::Probe | Opening::Spent { .. } | Opening::Shut { .. } => true,
        };
        gate.backlog.store(more, Ordering::Relaxed);
        // A place of the account comes back with somebody's answer; everything else at a known time.
        any |= more && !matches!(opening, Opening::Shut { .. } | Opening::Spent { until: Some(_) });
    }
    any
}

/// What is about to be started.
#[derive(Default)]
struct Cargo {
    starts: Vec<AttemptStart>,
    alone: HashMap<DeliveryId, (Errand, Seat)>,
    together: Vec<Lot>,
}

impl Cargo {
    fn add(&mut self, start: AttemptStart, errand: Errand, seat: Seat) {
        self.starts.push(start);
        self.alone.insert(errand.delivery, (errand, seat));
    }
}

/// Starts what there are places for, in one transaction, and sends it.
async fn start(
    engine: &Arc<Engine>,
    openings: &[(&Arc<Gate>, Opening)],
    due: Vec<DueDelivery>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut cargo = Cargo::default();
    let mut joining: HashMap<String, Vec<DueDelivery>> = HashMap::new();
    for delivery in due {
        let Some((gate, opening)) = openings.iter().find(|(gate, _)| gate.name() == delivery.destination) else {
            continue;
        };
        if gate.destination.batch().is_some() && batching::may_join(&delivery) {
            joining.entry(delivery.destination.clone()).or_default().push(delivery);
            continue;
        }
        // RET-4 is about load: what was withheld or sent back free of charge is no repeat of a failure, nor is a first look
        // or the first send after it.
        let is_retry = delivery.failures > 0 || delivery.uncertain || delivery.ladder.look_failures > 0;
        if is_retry && matches!(opening, Opening::Free { retries: false, .. }) {
            continue;
        }
        let Some(seat) = gate.take(matches!(opening, Opening::Probe)) else {
            continue;
        };
        gate.count_start(is_retry);
        let (start, errand) = prepare(engine, gate, delivery, now, None);
        if gate.destination.batch().is_some() && batching::is_sent(&errand) {
            cargo.starts.push(start);
            cargo.together.push(Lot::of_one(seat, errand));
        } else {
            cargo.add(start, errand, seat);
        }
    }
    // In the order configured, so that a simulated run can be repeated.
    for (gate, opening) in openings {
        if let Some(joining) = joining.remove(gate.name()) {
            gather(engine, gate, *opening, joining, now, &mut cargo);
        }
    }
    launch(engine, cargo).await
}

/// Puts together what goes out in one request, as soon as it is worth one.
fn gather(
    engine: &Engine,
    gate: &Arc<Gate>,
    opening: Opening,
    joining: Vec<DueDelivery>,
    now: Timestamp,
    cargo: &mut Cargo,
) {
    let Some(batch) = gate.destination.batch() else { return };
    if let Some(left) = batching::waits(batch, &joining, now) {
        gate.rest(left);
        return;
    }
    let probe = matches!(opening, Opening::Probe);
    let mut lot: Option<Lot> = None;
    for delivery in joining {
        if lot.is_none() {
            lot = gate.take(probe).map(Lot::new);
        }
        let Some(open) = &mut lot else { return };
        let (start, errand) = prepare(engine, gate, delivery, now, None);
        if !batching::is_sent(&errand) {
            // It asks nothing of the destination, so it needs no place there.
            cargo.add(start, errand, gate.ride());
            continue;
        }
        let Some(errand) = open.take(batch, errand) else {
            gate.count_start(false);
            cargo.starts.push(start);
            continue;
        };
        cargo.together.extend(lot.take());
        let Some(mut next) = gate.take(probe).map(Lot::new) else { return };
        if next.take(batch, errand).is_none() {
            gate.count_start(false);
            cargo.starts.push(start);
        }
        lot = Some(next);
    }
    cargo.together.extend(lot);
}

async fn launch(engine: &Arc<Engine>, cargo: Cargo) -> Result<(), StoreError> {
    let Cargo { starts, mut alone, together } = cargo;
    if starts.is_empty() {
        return Ok(());
    }
    if planted!(SendBeforeStart) {
        for start in &starts {
            if let Some((errand, seat)) = alone.remove(&start.delivery) {
                let epoch = i64::from(start.number);
                let started = StartedAttempt { delivery: start.delivery, number: start.number, epoch };
                sending::start(Arc::clone(engine), errand, started, seat);
            }
        }
    }
    let started = match engine.store.start_attempts(starts.clone()).await {
        Err(error) if !error.is_retryable() && !matches!(error, StoreError::Stopped) => {
            one_by_one(engine, starts).await?
        }
        answer => answer?,
    };
    let mut others = HashMap::new();
    for started in started {
        match alone.remove(&started.delivery) {
            Some((errand, seat)) => sending::start(Arc::clone(engine), errand, started, seat),
            None => {
                others.insert(started.delivery, started);
            }
        }
    }
    for lot in together {
        let load = lot.started(|errand| others.remove(&errand.delivery));
        tokio::spawn(batching::run(Arc::clone(engine), load));
    }
    Ok(())
}

/// One attempt that can never start must not keep its neighbours from starting.
async fn one_by_one(engine: &Engine, starts: Vec<AttemptStart>) -> Result<Vec<StartedAttempt>, StoreError> {
    let mut all = Vec::with_capacity(starts.len());
    for start in starts {
        let delivery = start.delivery;
        match engine.store.start_attempts(vec![start]).await {
            Ok(started) => all.extend(started),
            Err(StoreError::Stopped) => return Err(StoreError::Stopped),
            Err(error) => tracing::error!(delivery.id = %delivery, reason = %error, "an attempt cannot start"),
        }
    }
    Ok(all)
}

/// RET-2: a destination that takes nothing still lets go of what is past its age limit. Whatever fell due so long ago
/// was made before that.
pub(super) async fn sweep_one(engine: &Arc<Engine>, gate: &Arc<Gate>) -> Result<(), StoreError> {
    if gate.is_open() {
        return Ok(());
    }
    let now = engine.clock.now();
    let age_limit = i64::try_from(gate.policy.age_limit.as_micros()).unwrap_or(i64::MAX);
    let long_ago = from_micros(now.as_microsecond().saturating_sub(age_limit));
    let slots = vec![slots_of(gate, gate.destination.concurrency())];
    let mut cargo = Cargo::default();
    for delivery in engine.store.due_deliveries(long_ago, slots).await? {
        let Some(seat) = gate.take(false) else {
            break;
        };
        let (start, errand) = prepare(engine, gate, delivery, now, Some(Withheld::TooOld));
        cargo.add(start, errand, seat);
    }
    launch(engine, cargo).await
}
