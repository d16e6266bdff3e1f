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

use super::gate::{Gate, Opening, Seat};
use super::machine::{self, InFlight, Turn, Withheld};
use super::sending::{self, Errand, Identity, Plan};
use super::steps::{self, Steps};
use super::sweeping;
use super::worker::Engine;
use crate::clock::{Timestamp, from_micros};
use crate::destinations::http::render;
use crate::envelope::ids::DeliveryId;
use crate::store::view::DueDelivery;
use crate::store::write::{AttemptPurpose, AttemptStart, Rung, SealedRequest, StartedAttempt};
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
        Opening::Free { places, retries } => {
            let places = u32::try_from(places).unwrap_or(u32::MAX);
            if retries { places } else { places.saturating_add(LOOK_PAST_RETRIES) }
        }
        Opening::Probe => 1,
    };
    Some(slots_of(gate, free))
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
                due.iter().filter(|delivery| delivery.destination == gate.name()).count() >= *places
            }
            Opening::Probe | Opening::Spent { .. } | Opening::Shut { .. } => true,
        };
        gate.backlog.store(more, Ordering::Relaxed);
        // A place of the account comes back with somebody's answer; everything else at a known time.
        any |= more && !matches!(opening, Opening::Shut { .. } | Opening::Spent { until: Some(_) });
    }
    any
}

/// Starts what there are places for, in one transaction, and sends it.
async fn start(
    engine: &Arc<Engine>,
    openings: &[(&Arc<Gate>, Opening)],
    due: Vec<DueDelivery>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut prepared: HashMap<DeliveryId, (Errand, Seat)> = HashMap::with_capacity(due.len());
    let mut starts = Vec::with_capacity(due.len());
    for delivery in due {
        let Some((gate, opening)) = openings.iter().find(|(gate, _)| gate.name() == delivery.destination) else {
            continue;
        };
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
        starts.push(start);
        prepared.insert(errand.delivery, (errand, seat));
    }
    launch(engine, starts, prepared).await
}

async fn launch(
    engine: &Arc<Engine>,
    starts: Vec<AttemptStart>,
    mut prepared: HashMap<DeliveryId, (Errand, Seat)>,
) -> Result<(), StoreError> {
    if starts.is_empty() {
        return Ok(());
    }
    if planted!(SendBeforeStart) {
        for start in &starts {
            if let Some((errand, seat)) = prepared.remove(&start.delivery) {
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
    for started in started {
        if let Some((errand, seat)) = prepared.remove(&started.delivery) {
            sending::start(Arc::clone(engine), errand, started, seat);
        }
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

/// The attempt to write down and the errand to run. What cannot or may not be sent is started all the same and settled
/// without sending: that is how it leaves the queue with its evidence.
fn prepare(
    engine: &Engine,
    gate: &Gate,
    due: DueDelivery,
    now: Timestamp,
    withhold: Option<Withheld>,
) -> (AttemptStart, Errand) {
    let facts = InFlight {
        created_at: due.created_at,
        first_attempt_at: due.first_attempt_at.unwrap_or(now),
        sent: due.first_attempt_at.is_some(),
        generation: due.generation,
        failures: due.failures,
        uncertain: due.uncertain,
        ladder: due.ladder,
        looked_for: gate.destination.looks_for(&due.purpose),
        ahead: steps::ahead(gate, &due),
    };
    // A person who has decided about it has seen that.
    let orphaned = due.orphaned && facts.ladder.rung != Rung::Asked;
    let withhold = withhold.or_else(|| orphaned.then(|| Withheld::CannotAsk(orphan(gate))));
    let turn = withhold.map_or_else(|| machine::turn(&facts, &gate.policy, now), Turn::Withhold);
    let (purpose, request, plan) = match turn {
        Turn::Look => {
            let (request, plan) = question(gate, &due);
            (AttemptPurpose::Find, request, plan)
        }
        Turn::Send => {
            let (request, plan) = request(gate, &due);
            (AttemptPurpose::Send, request, plan)
        }
        Turn::Withhold(reason) => (AttemptPurpose::Send, request(gate, &due).0, Plan::Withhold(reason)),
    };
    let (steps, plan) = match sending::guarded(|| Steps::of(gate, &due)) {
        Ok(Ok(steps)) => (steps.map(Box::new), plan),
        Ok(Err(detail)) => (None, Plan::Withhold(Withheld::CannotWrite(detail))),
        Err(detail) => (None, Plan::Fail(detail)),
    };
    // What could not be written yet is not sealed: it can be written when what it lacks is there.
    let purpose = match plan {
        Plan::Withhold(Withheld::CannotWrite(_)) => AttemptPurpose::Find,
        _ => purpose,
    };
    let seals = purpose == AttemptPurpose::Send && due.sealed.is_none();
    let start = AttemptStart {
        delivery: due.id,
        number: due.attempts.saturating_add(1),
        document: due.document_id,
        seal: seals.then(|| request.clone()),
        purpose,
        started_at: now,
        deadline: gate.deadline(now),
        config_version: engine.settings.config_version.clone(),
    };
    let errand = Errand {
        delivery: due.id,
        subject: due.subject,
        purpose: due.purpose,
        identity: Identity { revision: due.revision, generation: due.generation, document: due.document_id },
        facts,
        request,
        traceparent: due.traceparent,
        plan,
        steps,
        held: engine.roll.hold(due.id),
    };
    (start, errand)
}

fn orphan(gate: &Gate) -> String {
    let leader = gate.destination.after().unwrap_or_default();
    format!(
        "it goes after {leader}, where this order was given up; send it all the same by retrying it, or give it up too"
    )
}

/// The question whether it is there. One that cannot be put is told to a person; it never falls through to sending
/// (UNC-6).
fn question(gate: &Gate, due: &DueDelivery) -> (SealedRequest, Plan) {
    if gate.destination.recipe().is_some() {
        return (unsendable(due), Plan::Walk);
    }
    let sought = sending::guarded(|| gate.destination.find().map(|find| find.seek(&due.document, &due.key)));
    match sought {
        Ok(Some(Ok(sought))) => (sought.request.clone(), Plan::Look(sought)),
        Ok(Some(Err(detail))) => (unsendable(due), Plan::Withhold(Withheld::CannotAsk(detail))),
        Ok(None) => (unsendable(due), Plan::Withhold(Withheld::InDoubt)),
        Err(detail) => (unsendable(due), Plan::Fail(detail)),
    }
}

/// KEY-5: the sealed bytes if there are any, checked; else freshly rendered.
fn request(gate: &Gate, due: &DueDelivery) -> (SealedRequest, Plan) {
    if let Some(sealed) = due.sealed.as_ref().filter(|_| !planted!(ResendRendersAgain)) {
        let plan = if !render::is_intact(sealed) {
            Plan::Fail("the sealed request does not match its digest, so it was not sent".to_owned())
        } else if moved_away(gate, sealed) {
            Plan::Withhold(Withheld::MovedAway)
        } else {
            Plan::Send
        };
        if planted!(ResendUnderNewKey) {
            let mut other = sealed.clone();
            other.headers[1].1.push('2');
            return (other, plan);
        }
        return (sealed.clone(), plan);
    }
    match sending::guarded(|| gate.destination.render(&due.purpose, &due.document, &due.key, &due.progress.found)) {
        Ok(Ok(request)) => (request, Plan::Send),
        Ok(Err(detail)) => (unsendable(due), Plan::Withhold(Withheld::CannotWrite(detail))),
        Err(detail) => (unsendable(due), Plan::Fail(detail)),
    }
}

/// Whether the destination has another host now. Our credential goes with every request and belongs to the configured
/// host alone (DAT-5); a path that changed is no reason to touch a seal (KEY-5).
fn moved_away(gate: &Gate, sealed: &SealedRequest) -> bool {
    let host = |url: &str| {
        let uri: ::http::Uri = url.parse().ok()?;
        Some((uri.scheme_str()?.to_owned(), uri.authority()?.as_str().to_ascii_lowercase()))
    };
    let Some(was) = host(&sealed.url) else { return false };
    host(gate.destination.url().as_str()).is_some_and(|now| now != was)
}

/// What is sealed when rendering failed: the store wants a seal to start an attempt, and this one can never be sent,
/// for it has no URL. A corrected document replaces the delivery (KEY-3 a).
fn unsendable(due: &DueDelivery) -> SealedRequest {
    SealedRequest {
        method: String::new(),
        url: String::new(),
        headers: Vec::new(),
        body: due.document.clone(),
        digest: render::digest("", "", &[], &due.document),
        body_is_document: true,
    }
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
    let mut prepared = HashMap::new();
    let mut starts = Vec::new();
    for delivery in engine.store.due_deliveries(long_ago, slots).await? {
        let Some(seat) = gate.take(false) else {
            break;
        };
        let (start, errand) = prepare(engine, gate, delivery, now, Some(Withheld::TooOld));
        starts.push(start);
        prepared.insert(errand.delivery, (errand, seat));
    }
    launch(engine, starts, prepared).await
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::clock::{SeededEntropy, SystemClock};
    use crate::destinations::{Destination, Settings};
    use crate::envelope::ids::DocumentId;
    use crate::envelope::keys::IdempotencyKey;
    use crate::store::write::{Progress, Subject};

    fn gate() -> Gate {
        let settings = Settings::new("erp", "https://erp.example.com/orders");
        let destination = Destination::new(settings).map_err(|found| found.join("; ")).unwrap();
        Gate::new(destination, &mut HashMap::new(), Arc::new(SystemClock), Arc::default())
    }

    fn due(sealed: Option<SealedRequest>) -> DueDelivery {
        let (now, entropy) = (from_micros(0), SeededEntropy::new(1));
        DueDelivery {
            revision: String::new(),
            generation: 0,
            ladder: crate::store::write::Ladder::default(),
            id: DeliveryId::new(now, &entropy),
            key: IdempotencyKey::from_stored("ek1-key"),
            destination: "erp".into(),
            subject: Subject { kind: "order".into(), system: "acme".into(), scope: "1".into(), id: "42".into() },
            purpose: "order.create".into(),
            attempts: 0,
            failures: 0,
            created_at: now,
            first_attempt_at: None,
            uncertain: false,
            progress: Progress::default(),
            sealed,
            document_id: DocumentId::new(now, &entropy),
            document: Bytes::from_static(b"{}"),
            document_kind: "order".into(),
            traceparent: None,
            orphaned: false,
        }
    }

    #[test]
    fn bak_2_sealed_bytes_that_do_not_match_their_digest_are_not_sent() {
        let gate = gate();
        let (fresh, plan) = request(&gate, &due(None));
        assert!(matches!(plan, Plan::Send) && fresh.body == "{}");
        let (again, plan) = request(&gate, &due(Some(fresh.clone())));
        assert!(matches!(plan, Plan::Send) && again.digest == fresh.digest);
        let damaged = SealedRequest { body: Bytes::from_static(b"{ }"), ..fresh };
        assert!(matches!(request(&gate, &due(Some(damaged))).1, Plan::Fail(_)));
    }

    #[tokio::test]
    async fn what_could_not_be_rendered_is_sealed_so_that_it_can_never_be_sent() {
        let sealed = unsendable(&due(None));
        assert!(render::is_intact(&sealed));
        let wire = gate().destination.send(&sealed, ::http::HeaderMap::new()).await;
        assert!(matches!(wire, crate::destinations::Wire::Forbidden(_)), "{wire:?}");
    }
}
