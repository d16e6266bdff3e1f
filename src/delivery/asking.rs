//! Requests that read from a destination, beside its deliveries and behind them.
//!
//! They go through the same door: one place on the wire for the time of a request, the same rate, account, hours, pauses
//! and breaker, the same credential. While deliveries wait for a place they go first, for a while; nothing that is read
//! is worth an order that is late. A credential that is refused for reading holds nothing: whether it is good enough for
//! orders is for orders to say.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Uptime;
use super::breaker::Admission;
use super::gate::{Gate, Seat};
use super::machine::Effect;
use super::standing::Look;
use super::worker::{Delivery, Engine};
use crate::clock::Timestamp;
use crate::destinations::recipe::{Call, Recipe};
use crate::destinations::{AttemptOutcome, CredentialUse, Health, Occasion, Wire};
use crate::store::write::SealedRequest;

/// How often a place that is not free is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long deliveries that wait for a place go first.
const STEPS_ASIDE_FOR: Duration = Duration::from_secs(30);
/// Longest wait for a place or for the rate; after it the reading begins again later.
const PATIENCE: Duration = Duration::from_mins(10);
/// When a destination that is held is looked at again.
const HELD_FOR: Duration = Duration::from_secs(30);

/// Whether a request may go.
pub(super) enum Way {
    /// It may; as the probe of a broken destination, or as any other.
    Open { probe: bool },
    /// As much was asked as is allowed in a time.
    Spent { rest: Duration },
    /// Not now, and why.
    Shut { rest: Duration, why: String },
}

/// The way to one destination for what is read there.
pub struct Asking {
    engine: Arc<Engine>,
    gate: Arc<Gate>,
    version: u64,
    shut: Option<String>,
}

impl Delivery {
    /// A way to read from a destination; `None`: there is none of that name.
    pub fn asking(&self, destination: &str) -> Option<Asking> {
        let gate = Arc::clone(self.engine().gate(destination)?);
        Some(Asking { engine: Arc::clone(self.engine()), gate, version: 0, shut: None })
    }
}

impl Gate {
    /// Whether something may be read there now.
    pub(super) fn way(&self) -> Way {
        let now = self.uptime();
        let rest = |until: Uptime| until.saturating_sub(now);
        let shut = |rest: Duration, word: &str| Way::Shut { rest, why: format!("the destination is {word}") };
        match self.looked_at(now) {
            Look::Held => shut(HELD_FOR, "held"),
            Look::Paused(until) => shut(rest(until), "paused"),
            Look::Closed(until) => shut(rest(until), "closed at this hour"),
            Look::Asked(Admission::Shut { until }) => shut(rest(until), "broken"),
            Look::Asked(Admission::Probing) => shut(LOOK_AGAIN, "broken, and being tried"),
            Look::Asked(admission) => match self.free() {
                Err(rest) => Way::Spent { rest: rest.unwrap_or(LOOK_AGAIN) },
                Ok(()) => Way::Open { probe: admission == Admission::Probe },
            },
        }
    }
}

impl Asking {
    /// How it is spoken to, where that is by a recipe.
    pub fn recipe(self: &Asking) -> Option<&Recipe> {
        self.gate.destination.recipe().map(|profile| &profile.recipe)
    }

    /// The same way for another run.
    #[must_use]
    pub fn again(&self) -> Asking {
        Asking { engine: Arc::clone(&self.engine), gate: Arc::clone(&self.gate), version: 0, shut: None }
    }

    /// Why nothing was asked, where the destination takes nothing.
    pub fn shut(&self) -> Option<&str> {
        self.shut.as_deref()
    }

    /// What was read says that we are let in.
    pub fn let_in(&self) {
        self.gate.destination.credentials().accepted();
    }

    /// What an answer says of the destination. `true`: the credential was refused and is read anew, so asking again is
    /// worth it.
    pub fn heard(&self, outcome: &AttemptOutcome) -> bool {
        match outcome {
            AttemptOutcome::Throttled { wait, .. } => {
                self.gate.apply(&[Effect::Pause { floor: wait.floor }], false, Duration::ZERO, "");
                self.engine.tell_news(&self.gate);
                false
            }
            AttemptOutcome::Credential { .. } => {
                let credentials = self.gate.destination.credentials();
                match credentials.judge(self.version) {
                    CredentialUse::Stale => true,
                    CredentialUse::First => {
                        credentials.refresh();
                        true
                    }
                    CredentialUse::Refreshed => {
                        // Reading is refused, with a credential that is as new as it can be. An order that is refused later
                        // is to be judged by itself.
                        credentials.accepted();
                        false
                    }
                }
            }
            _ => false,
        }
    }

    /// A place on the wire.
    ///
    /// # Errors
    /// In what time it is worth asking again.
    async fn seat(&mut self) -> Result<(Seat, bool), Duration> {
        let begun = Instant::now();
        loop {
            if self.engine.is_stopping() {
                return Err(HELD_FOR);
            }
            let pause = match self.gate.way() {
                Way::Shut { rest, why } => {
                    self.shut = Some(why);
                    return Err(rest);
                }
                Way::Spent { rest } => rest.max(LOOK_AGAIN),
                Way::Open { probe } => {
                    let others_wait = self.gate.backlog.load(Ordering::Relaxed);
                    let steps_aside = !probe && others_wait && begun.elapsed() < STEPS_ASIDE_FOR;
                    let seat = if steps_aside { None } else { self.gate.take(probe) };
                    match seat {
                        Some(seat) => return Ok((seat, probe)),
                        None => LOOK_AGAIN,
                    }
                }
            };
            if begun.elapsed() + pause > PATIENCE {
                return Err(pause);
            }
            sleep(pause).await;
        }
    }
}

impl Call for Asking {
    async fn call(&mut self, request: &SealedRequest) -> Result<Wire, Duration> {
        let (mut seat, probe) = self.seat().await?;
        seat.spend();
        let begun = Instant::now();
        let now = self.engine.clock.now();
        let entropy = self.engine.entropy.as_ref();
        let occasion = Occasion { method: &request.method, url: &request.url, now, entropy };
        let (version, shown) = self.gate.destination.credentials().presented(occasion).await;
        self.version = version;
        let wire = match shown {
            Ok(mut shown) => {
                if let Some(signing) = self.gate.destination.signing() {
                    shown.headers.extend(signing.headers(&request.digest.hex(), now, &request.body));
                }
                self.gate.destination.send(request, shown).await
            }
            Err(wire) => wire,
        };
        seat.step_down();
        let detail = match &wire {
            Wire::Answered(response) => format!("answered {}", response.status),
            Wire::NoCredential(refused) => refused.detail.clone(),
            Wire::Forbidden(detail) | Wire::NotSent(detail) | Wire::Lost(detail) => detail.clone(),
        };
        let probes = probe && seat.take_probe();
        self.gate.apply(&[Effect::Health(of_itself(&wire, probes))], probes, begun.elapsed(), &detail);
        drop(seat);
        self.engine.tell_news(&self.gate);
        // Who waited for the place, or for the destination to open, looks again.
        self.engine.wake.notify_one();
        Ok(wire)
    }

    fn now(&self) -> Timestamp {
        self.engine.clock.now()
    }
}

/// What an answer says of the destination. A 500 may be the fault of what was asked: deliveries are not slowed down for it.
fn of_itself(wire: &Wire, probe: bool) -> Health {
    match wire.health() {
        Health::Failed if !probe && wire.status() == Some(500) => Health::Unknown,
        health => health,
    }
}
