//! One attempt from start to settlement: send, read, decide, make durable, only then leave the lane.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use ::http::{HeaderName, HeaderValue};
use bytes::Bytes;
use tokio::time::{Instant, timeout};

use super::discretion;
use super::gate::{Gate, Seat};
use super::machine::{self, Ahead, DeliveryEvent, Effect, InFlight, Moment, Next, Policy, Step, Withheld};
use super::settling::{Settling, settle};
use super::steps::{self, Steps};
use super::sweeping::Held;
use super::trace;
use super::worker::Engine;
use crate::destinations::{AttemptOutcome, CredentialUse, Finding, Late, Occasion, Shown, Sought, Wire};
use crate::envelope::ids::{DeliveryId, DocumentId};
use crate::store::view::Interrupted;
use crate::store::write::{AttemptPurpose, AttemptSeen, Progress, SealedRequest, Stage, StartedAttempt, Subject};

const DELIVERY_HEADER: HeaderName = HeaderName::from_static("crossdock-delivery");
const ATTEMPT_HEADER: HeaderName = HeaderName::from_static("crossdock-attempt");
const TRACE_HEADER: HeaderName = HeaderName::from_static("traceparent");

/// A delivery on its way, with everything that sending and settling need.
pub(super) struct Errand {
    pub(super) delivery: DeliveryId,
    pub(super) subject: Subject,
    pub(super) purpose: String,
    pub(super) identity: Identity,
    pub(super) facts: InFlight,
    pub(super) request: SealedRequest,
    /// The canonical document, plain JSON.
    pub(super) document: Bytes,
    pub(super) traceparent: Option<String>,
    pub(super) plan: Plan,
    /// What it needs where it takes several steps.
    pub(super) steps: Option<Box<Steps>>,
    /// Until the attempt is settled nobody takes it for lost (P6).
    #[expect(dead_code, reason = "kept for its life, not for its content")]
    pub(super) held: Held,
}

/// What tells one effect on a subject from another, with its content.
pub(super) struct Identity {
    pub(super) revision: String,
    pub(super) generation: u32,
    pub(super) document: DocumentId,
}

/// What to do with a started attempt.
pub(super) enum Plan {
    /// Send it.
    Send,
    /// Ask whether it is there.
    Look(Sought),
    /// Ask whether it is there, and go on from what is found.
    Walk,
    /// Do not send it; settle.
    Withhold(Withheld),
    /// It cannot be sent: our own code failed on it.
    Fail(String),
}

/// What came of the attempt, before it is settled.
pub(super) struct Report {
    pub(super) event: DeliveryEvent,
    pub(super) seen: AttemptSeen,
    pub(super) elapsed: Duration,
    /// How far its steps came.
    pub(super) progress: Option<Progress>,
    /// The answer that was not there in time.
    pub(super) late: Option<Late>,
}

/// Takes a durable attempt to its settlement, in a task of its own. Never fails: what cannot be settled stays started and
/// is uncertain at the next start.
pub(super) fn start(engine: Arc<Engine>, errand: Errand, started: StartedAttempt, seat: Seat) {
    // The runtime moves a task's future several times; boxed, only its address.
    tokio::spawn(Box::pin(run(engine, errand, started, seat)));
}

async fn run(engine: Arc<Engine>, errand: Errand, started: StartedAttempt, mut seat: Seat) {
    let gate = Arc::clone(seat.gate());
    let report = attempt(&engine, &gate, &errand, started.number, &mut seat).await;
    conclude(engine, errand, started, seat, report).await;
}

/// Decides what follows from an attempt and makes it durable. What its request said of the destination is counted once,
/// however many attempts it carried.
pub(super) async fn conclude(
    engine: Arc<Engine>,
    errand: Errand,
    started: StartedAttempt,
    mut seat: Seat,
    mut report: Report,
) {
    let gate = Arc::clone(seat.gate());
    discretion::keep(&mut report, &errand.document);
    let moment = Moment { now: engine.clock.now(), jitter: engine.entropy.unit() };
    let step = machine::step(&errand.facts, report.event, &gate.policy, moment);
    if !seat.rides() {
        let reports_health = step.effects.iter().any(|effect| matches!(effect, Effect::Health(_)));
        gate.apply(&step.effects, reports_health && seat.take_probe(), report.elapsed, &report.seen.detail);
        raise_alarms(&engine, gate.name(), &step);
    }
    if matches!(step.next, Next::Delivered(_) | Next::Parked { .. }) {
        gate.count_settled();
    }
    engine.tell_news(&gate);
    let settling = Settling {
        destination: gate.name(),
        delivery: started.delivery,
        number: started.number,
        epoch: started.epoch,
        subject: &errand.subject,
        purpose: &errand.purpose,
        identity: Some(&errand.identity),
        created_at: errand.facts.created_at,
        progress: report.progress,
    };
    settle(&engine, &settling, &report.seen, report.elapsed, &step.next, moment.now).await;
    drop(seat);
    let waits = matches!(step.next, Next::Waiting { .. } | Next::Renewed);
    if waits || engine.hint.load(Ordering::SeqCst) || engine.leads(gate.name()) {
        engine.wake.notify_one();
    }
    if let Some(late) = report.late {
        Box::pin(overhear(&engine, &gate, &settling, late)).await;
    }
}

/// ATT-2, applied wins: an answer that comes after the attempt was settled as uncertain still says that it took effect.
/// Any other late answer says nothing that is not known.
async fn overhear(engine: &Engine, gate: &Gate, settling: &Settling<'_>, late: Late) {
    let begun = Instant::now();
    let Ok(wire) = caught(late).await else { return };
    let now = engine.clock.now();
    let outcome = gate.destination.read(settling.purpose, &wire, now);
    let (AttemptOutcome::Accepted(receipt) | AttemptOutcome::AlreadyApplied(receipt)) = &outcome else { return };
    let seen = AttemptSeen {
        outcome: outcome.as_str().to_owned(),
        status: wire.status(),
        detail: format!("answered late: {}", outcome.detail()),
        response: wire.excerpt(),
        duration_us: None,
        steps: None,
    };
    settle(engine, settling, &seen, begun.elapsed(), &Next::Delivered(receipt.clone()), now).await;
    engine.wake.notify_one();
}

async fn attempt(engine: &Engine, gate: &Gate, errand: &Errand, number: u32, seat: &mut Seat) -> Report {
    match &errand.plan {
        Plan::Send | Plan::Look(_) | Plan::Walk => {}
        Plan::Withhold(reason) => return withheld(reason.clone()),
        Plan::Fail(detail) => return failed(false, detail.clone(), Duration::ZERO),
    }
    // Bounded, so that a hand-off behind a hanging destination does not hold started attempts for minutes.
    let its_turn = timeout(gate.destination.request_timeout(), seat.step_up()).await.unwrap_or(false);
    if !its_turn {
        seat.step_down();
        return withheld(Withheld::DestinationShut);
    }
    engine.events.attempt_started(gate.name(), errand.delivery, number);
    seat.spend();
    let begun = Instant::now();
    if let Plan::Look(sought) = &errand.plan {
        let asked = caught(Box::pin(ask(engine, gate, errand, sought, number))).await;
        seat.step_down();
        return match asked {
            Ok((finding, wire, credential)) => looked(engine, gate, finding, &wire, credential, begun.elapsed()),
            Err(detail) => failed(false, detail, begun.elapsed()),
        };
    }
    if let (Plan::Walk, Some(steps), Some(profile)) = (&errand.plan, &errand.steps, gate.destination.recipe()) {
        let walked = caught(Box::pin(steps::look(engine, gate, errand, profile, steps, number))).await;
        seat.step_down();
        return match walked {
            Ok(told) => steps::report(engine, gate, told, begun.elapsed()),
            Err(detail) => failed(false, detail, begun.elapsed()),
        };
    }
    let exchanged = caught(pin!(exchange(engine, gate, errand, number))).await;
    let report = followed(engine, gate, errand, number, exchanged, begun).await;
    seat.step_down();
    report
}

/// What an exchange comes to, with the steps that follow it.
pub(super) async fn followed(
    engine: &Engine,
    gate: &Gate,
    errand: &Errand,
    number: u32,
    exchanged: Result<Exchange, String>,
    begun: Instant,
) -> Report {
    if let (Ok(Exchange { outcome: AttemptOutcome::Accepted(_), wire, .. }), Some(steps)) = (&exchanged, &errand.steps)
    {
        return match caught(Box::pin(steps::go_on(engine, gate, errand, steps, wire, number))).await {
            Ok(Some(told)) => steps::report(engine, gate, told, begun.elapsed()),
            Ok(None) => failed(true, "it takes steps, and its destination has none".to_owned(), begun.elapsed()),
            Err(detail) => failed(true, detail, begun.elapsed()),
        };
    }
    let elapsed = begun.elapsed();
    match exchanged {
        Ok(Exchange { outcome, wire, credential, late }) => {
            Report { late, ..answered(engine, gate, outcome, &wire, credential, elapsed) }
        }
        Err(detail) => failed(true, detail, elapsed),
    }
}

/// What went over the wire, and what it means.
pub(super) struct Exchange {
    pub(super) outcome: AttemptOutcome,
    pub(super) wire: Wire,
    pub(super) credential: CredentialUse,
    pub(super) late: Option<Late>,
}

async fn exchange(engine: &Engine, gate: &Gate, errand: &Errand, number: u32) -> Exchange {
    let (version, extra) = extra(engine, gate, &Marks::of(errand, number), &errand.request).await;
    let (wire, late) = match extra {
        Ok(extra) => gate.destination.send_and_keep(&errand.request, extra).await,
        Err(wire) => (wire, None),
    };
    let outcome = gate.destination.read(&errand.purpose, &wire, engine.clock.now());
    let credential = judged(gate, &outcome, version);
    // What follows is asked for when it is there; a late word alone would leave it undone.
    let late = late.filter(|_| errand.steps.is_none());
    Exchange { outcome, wire, credential, late }
}

async fn ask(
    engine: &Engine,
    gate: &Gate,
    errand: &Errand,
    sought: &Sought,
    number: u32,
) -> (Finding, Wire, CredentialUse) {
    let (version, extra) = extra(engine, gate, &Marks::of(errand, number), &sought.request).await;
    let wire = match extra {
        Ok(extra) => gate.destination.ask(sought, extra).await,
        Err(wire) => wire,
    };
    let find = gate.destination.find().expect("what is sought came from it");
    let finding = find.read(&wire, sought, engine.clock.now());
    let credential = match &finding {
        Finding::Failed(outcome) => judged(gate, outcome, version),
        _ => CredentialUse::First,
    };
    (finding, wire, credential)
}

/// What tells one request of ours from another.
pub(super) struct Marks {
    /// What a signature names it by.
    pub(super) message: String,
    /// The deliveries in it, with commas between them.
    pub(super) deliveries: String,
    /// Which attempt of them it is; of several the latest.
    pub(super) attempt: u32,
    pub(super) traceparent: String,
}

impl Marks {
    /// Of a request that is about one delivery.
    pub(super) fn of(errand: &Errand, attempt: u32) -> Marks {
        let delivery = errand.delivery.to_string();
        let traceparent = trace::traceparent(errand.traceparent.as_deref(), &errand.delivery, attempt);
        Marks { message: delivery.clone(), deliveries: delivery, attempt, traceparent }
    }
}

/// What belongs to this attempt alone, and which credential that is; without one, what came in its place.
pub(super) async fn extra(
    engine: &Engine,
    gate: &Gate,
    marks: &Marks,
    request: &SealedRequest,
) -> (u64, Result<Shown, Wire>) {
    let now = engine.clock.now();
    let occasion = Occasion { method: &request.method, url: &request.url, now, entropy: engine.entropy.as_ref() };
    let (version, credential) = gate.destination.credentials().presented(occasion).await;
    let mut shown = match credential {
        Ok(shown) => shown,
        Err(wire) => return (version, Err(wire)),
    };
    let extra = &mut shown.headers;
    extra.insert(DELIVERY_HEADER, visible(&marks.deliveries));
    extra.insert(ATTEMPT_HEADER, HeaderValue::from(marks.attempt));
    extra.insert(TRACE_HEADER, visible(&marks.traceparent));
    if let Some(signing) = gate.destination.signing() {
        extra.extend(signing.headers(&marks.message, now, &request.body));
    }
    (version, Ok(shown))
}

pub(super) fn judged(gate: &Gate, outcome: &AttemptOutcome, version: u64) -> CredentialUse {
    match outcome {
        AttemptOutcome::Credential { .. } => gate.destination.credentials().judge(version),
        _ => CredentialUse::First,
    }
}

fn visible(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("ids and well-formed traceparents are visible ASCII")
}

fn answered(
    engine: &Engine,
    gate: &Gate,
    outcome: AttemptOutcome,
    wire: &Wire,
    credential: CredentialUse,
    elapsed: Duration,
) -> Report {
    if outcome.retry_after_ignored() {
        engine.events.retry_after_ignored(gate.name());
    }
    let seen = AttemptSeen {
        outcome: outcome.as_str().to_owned(),
        status: wire.status(),
        detail: outcome.detail(),
        response: wire.excerpt(),
        duration_us: Some(micros(elapsed)),
        steps: None,
    };
    let event = DeliveryEvent::Seen { outcome, health: wire.health(), credential };
    Report { event, seen, elapsed, progress: None, late: None }
}

fn looked(
    engine: &Engine,
    gate: &Gate,
    finding: Finding,
    wire: &Wire,
    credential: CredentialUse,
    elapsed: Duration,
) -> Report {
    if matches!(&finding, Finding::Failed(outcome) if outcome.retry_after_ignored()) {
        engine.events.retry_after_ignored(gate.name());
    }
    let seen = AttemptSeen {
        outcome: finding.as_str().to_owned(),
        status: wire.status(),
        detail: finding.detail(),
        response: wire.excerpt(),
        duration_us: Some(micros(elapsed)),
        steps: None,
    };
    let event = DeliveryEvent::Looked { finding, health: wire.health(), credential };
    Report { event, seen, elapsed, progress: None, late: None }
}

fn withheld(reason: Withheld) -> Report {
    let detail = match &reason {
        Withheld::DestinationShut => "not sent: the destination took nothing at the moment",
        Withheld::WindowClosed => "not sent: the destination no longer remembers the key of an uncertain attempt",
        Withheld::MovedAway => "not sent: sealed for another host than the destination has now",
        Withheld::TooOld => "not sent: past the age limit",
        Withheld::InDoubt => "not sent: in doubt, with nothing that protects or says how to look",
        Withheld::CannotAsk(detail) => &format!("not asked and not sent: {detail}"),
        Withheld::CannotWrite(detail) => &format!("not sent: {detail}"),
    };
    let seen = AttemptSeen { outcome: "unavailable".to_owned(), detail: detail.to_owned(), ..AttemptSeen::default() };
    Report { event: DeliveryEvent::Withheld(reason), seen, elapsed: Duration::ZERO, progress: None, late: None }
}

pub(super) fn failed(sent: bool, detail: String, elapsed: Duration) -> Report {
    let outcome = if sent { "uncertain" } else { "unavailable" };
    let seen = AttemptSeen {
        outcome: outcome.to_owned(),
        detail: format!("our own code failed: {detail}"),
        duration_us: sent.then(|| micros(elapsed)),
        ..AttemptSeen::default()
    };
    Report { event: DeliveryEvent::Failed { sent, detail }, seen, elapsed, progress: None, late: None }
}

/// An attempt that the last process, or a lost task of this one, left under way (ATT-1): uncertain, and the machine
/// decides what follows.
pub(super) async fn settle_interrupted(engine: Arc<Engine>, interrupted: Interrupted, detail: &str) {
    let delivery = interrupted.delivery;
    let unknown = Policy::unknown();
    let policy = engine.gate(&delivery.destination).map_or(&unknown, |gate| &gate.policy);
    let facts = InFlight {
        created_at: delivery.created_at,
        first_attempt_at: delivery.first_attempt_at.unwrap_or(interrupted.started_at),
        sent: delivery.first_attempt_at.is_some(),
        generation: delivery.generation,
        failures: delivery.failures,
        uncertain: delivery.uncertain,
        ladder: delivery.ladder,
        looked_for: engine
            .gate(&delivery.destination)
            .is_some_and(|gate| gate.destination.looks_for(&delivery.purpose)),
        ahead: if delivery.progress.stage == Stage::Made { steps::ahead_of_made(&delivery) } else { Ahead::Nothing },
    };
    let moment = Moment { now: engine.clock.now(), jitter: engine.entropy.unit() };
    let mut step = machine::step(&facts, DeliveryEvent::ProcessDied(interrupted.purpose), policy, moment);
    if planted!(InterruptedTakenForFresh) {
        step.next = Next::Waiting {
            due_at: moment.now,
            uncertain: false,
            counts: false,
            ladder: crate::store::write::Ladder::default(),
        };
    }
    let outcome = match interrupted.purpose {
        AttemptPurpose::Send => "uncertain",
        AttemptPurpose::Find => "unavailable",
    };
    let seen = AttemptSeen { outcome: outcome.to_owned(), detail: detail.to_owned(), ..AttemptSeen::default() };
    let settling = Settling {
        destination: &delivery.destination,
        delivery: delivery.id,
        number: interrupted.number,
        epoch: interrupted.epoch,
        subject: &delivery.subject,
        purpose: &delivery.purpose,
        identity: None,
        created_at: delivery.created_at,
        progress: None,
    };
    settle(&engine, &settling, &seen, Duration::ZERO, &step.next, moment.now).await;
}

fn raise_alarms(engine: &Engine, destination: &str, step: &Step) {
    for effect in &step.effects {
        if let Effect::Alarm { what } = effect {
            engine.events.alarm(destination, what);
        }
    }
}

pub(super) fn micros(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
}

/// Runs our own code on one record; a panic is that record's alone (POI-2).
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| words(panic.as_ref()))
}

/// The same for work that waits; pinned by whoever has it, so that it is not kept here once more.
pub(super) async fn caught<F: Future + Unpin>(mut work: F) -> Result<F::Output, String> {
    std::future::poll_fn(|context| match guarded(|| Pin::new(&mut work).poll(context)) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_its_way_takes_little_room() {
        fn bytes<F: Future>(_: impl Fn(Arc<Engine>, Errand, StartedAttempt, Seat) -> F) -> usize {
            size_of::<F>()
        }
        assert!(bytes(run) < 5 * 1024, "{} bytes an attempt: box what is rare", bytes(run));
    }

    #[tokio::test]
    async fn poi_2_a_panic_stays_with_its_record() {
        assert_eq!(guarded(|| 1), Ok(1));
        assert_eq!(guarded::<()>(|| panic!("no line {}", 7)), Err("no line 7".to_owned()));
        assert_eq!(caught(pin!(async { 1 })).await, Ok(1));
        let late = async {
            tokio::task::yield_now().await;
            panic!("too late");
        };
        assert_eq!(caught(pin!(late)).await.map(|()| 0), Err("too late".to_owned()));
    }
}
