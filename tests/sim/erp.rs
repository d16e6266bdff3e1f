//! The other side: destinations with memory and lies, and the network to them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use super::chance::Chance;
use super::workload::{Micros, REFUSED_QUANTITY, SECOND, Weather};
use super::world::World;
use crate::destinations::{BodyEnd, ResponseSeen, Wire};

/// How long a destination with a key guard remembers a key.
pub const KEY_WINDOW: Duration = Duration::from_mins(10);
/// As configured at our side.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// A request as it left our side.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Whom it is for.
    pub destination: &'static str,
    /// The idempotency key.
    pub key: String,
    /// Our delivery.
    pub delivery: String,
    /// Which try.
    pub attempt: u32,
    /// `increment_id` in the body.
    pub order: String,
    /// Pieces in the body.
    pub quantity: u32,
    /// Method, URL, headers that belong to the seal, and body.
    pub sealed: u64,
    /// When.
    pub at: Micros,
}

/// Something that was made.
#[derive(Clone, Debug)]
pub struct Effect {
    /// By this request.
    pub by: Sent,
    /// Its number.
    pub receipt: String,
}

#[derive(Clone, Debug)]
struct Coming {
    at: Micros,
    sent: Sent,
}

/// One destination.
pub struct Destination {
    /// Whether it honours keys.
    pub honours_keys: bool,
    /// How it behaves.
    pub weather: Weather,
    /// What was made, in order.
    pub effects: Vec<Effect>,
    keys: BTreeMap<String, (Micros, u64, String)>,
    coming: Vec<Coming>,
    /// Requests that nobody gave up yet, by order.
    pub open: BTreeSet<String>,
    /// Keys whose last request may or may not have been applied, as far as the sender can know; when the first left.
    pub doubt: BTreeMap<String, Micros>,
}

/// All of them.
pub struct Erp {
    /// By name.
    pub destinations: BTreeMap<&'static str, Destination>,
    /// Whether what is refused by quantity is taken now.
    pub repaired: bool,
    /// Every request that left, in order.
    pub requests: Vec<Sent>,
    chance: Chance,
    numbers: u32,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Answered,
    LostBefore,
    LostAfter,
    FailedBefore,
    FailedAfter,
    CutOff,
    Garbled,
    Late,
    Throttled,
    Sick,
    NotConnected,
}

const FOUL: [Fate; 14] = [
    Fate::Answered,
    Fate::Answered,
    Fate::Answered,
    Fate::Answered,
    Fate::LostBefore,
    Fate::LostAfter,
    Fate::FailedBefore,
    Fate::FailedAfter,
    Fate::CutOff,
    Fate::Garbled,
    Fate::Late,
    Fate::Throttled,
    Fate::Sick,
    Fate::NotConnected,
];

impl Erp {
    pub fn new(chance: Chance) -> Self {
        let destination = |honours_keys| Destination {
            honours_keys,
            weather: Weather::Fair,
            effects: Vec::new(),
            keys: BTreeMap::new(),
            coming: Vec::new(),
            open: BTreeSet::new(),
            doubt: BTreeMap::new(),
        };
        Erp {
            destinations: BTreeMap::from([("erp", destination(true)), ("wms", destination(false))]),
            repaired: false,
            requests: Vec::new(),
            chance,
            numbers: 0,
        }
    }

    /// Everything that was on its way and has arrived by now.
    pub fn arrive(&mut self, now: Micros) {
        for destination in self.destinations.values_mut() {
            let mut due: Vec<Coming> = Vec::new();
            destination.coming.retain(|coming| {
                let arrived = coming.at <= now;
                if arrived {
                    due.push(coming.clone());
                }
                !arrived
            });
            due.sort_by_key(|coming| coming.at);
            for coming in due {
                destination.apply(coming, &mut self.numbers);
            }
        }
    }

    /// Whether something is still on its way.
    pub fn is_quiet(&self) -> bool {
        self.destinations.values().all(|destination| destination.coming.is_empty())
    }

    fn fate(&mut self, destination: &'static str) -> Fate {
        let weather = self.destinations[destination].weather;
        match weather {
            Weather::Fair => Fate::Answered,
            Weather::Gone => Fate::NotConnected,
            Weather::Sick => Fate::Sick,
            Weather::Foul => *self.chance.pick(&FOUL),
        }
    }
}

impl Destination {
    fn apply(&mut self, coming: Coming, numbers: &mut u32) {
        let Coming { at, sent } = coming;
        let window = Micros::try_from(KEY_WINDOW.as_micros()).unwrap_or(Micros::MAX);
        self.keys.retain(|_, (made, ..)| *made + window > at);
        if self.honours_keys && self.keys.contains_key(&sent.key) {
            return;
        }
        *numbers += 1;
        let receipt = format!("N-{numbers}");
        self.keys.insert(sent.key.clone(), (at, sent.sealed, receipt.clone()));
        self.effects.push(Effect { by: sent, receipt });
    }

    /// The number of what was made under a key.
    pub fn made(&self, key: &str) -> Option<String> {
        self.effects.iter().find(|effect| effect.by.key == key).map(|effect| effect.receipt.clone())
    }

    /// Whether something under this key is still on its way.
    pub fn expects(&self, key: &str) -> bool {
        self.coming.iter().any(|coming| coming.sent.key == key)
    }

    /// The process that waited is gone.
    pub fn hang_up(&mut self) {
        self.open.clear();
    }
}

/// One exchange, as the sender sees it.
pub async fn exchange(world: Arc<World>, destination: &'static str, request: reqwest::Request) -> Wire {
    if world.disk.is_dead() {
        // Whatever a dead machine does now happens to nobody.
        std::future::pending::<()>().await;
    }
    let sent = world.read(destination, &request);
    let fate = world.with(|state| state.erp.fate(destination));
    world
        .note(|| format!("  wire {destination} {} attempt {} {} {fate:?}", sent.order, sent.attempt, short(&sent.key)));
    if fate == Fate::NotConnected {
        world.audit_leaving(&sent, false);
        tokio::time::sleep(Duration::from_millis(1)).await;
        return Wire::NotSent("no connection".to_owned());
    }
    let was_in_doubt = world.audit_leaving(&sent, true);
    let (wire, certain) = converse(&world, &sent, fate).await;
    world.with(|state| {
        let there = state.erp.destinations.get_mut(destination).expect("a known destination");
        there.open.remove(&sent.order);
        if certain && !was_in_doubt {
            there.doubt.remove(&sent.key);
        }
    });
    let said = wire.status().map_or_else(|| "nothing".to_owned(), |status| status.to_string());
    world.note(|| format!("  wire {destination} {} attempt {} says {said}", sent.order, sent.attempt));
    wire
}

/// The answer, and whether it leaves no doubt.
async fn converse(world: &Arc<World>, sent: &Sent, fate: Fate) -> (Wire, bool) {
    let (going, coming) = world.with(|state| {
        let slow = state.erp.chance.one_in(12);
        let most = if slow { 2_000 } else { 40 };
        (state.erp.chance.between(1, most), state.erp.chance.between(1, most))
    });
    let (going, coming) = (Duration::from_millis(going), Duration::from_millis(coming));
    match fate {
        Fate::Throttled => {
            tokio::time::sleep(going).await;
            let seconds = world.with(|state| state.erp.chance.between(1, 8));
            return (answer(429, Some(seconds), "{}"), true);
        }
        Fate::Sick => {
            tokio::time::sleep(going).await;
            let seconds = world.with(|state| state.erp.chance.one_in(2).then(|| state.erp.chance.between(1, 8)));
            return (answer(503, seconds, "{}"), false);
        }
        Fate::LostBefore => {
            tokio::time::sleep(going).await;
            return (Wire::Lost("reset".to_owned()), false);
        }
        Fate::FailedBefore => {
            tokio::time::sleep(going).await;
            return (answer(500, None, "{}"), false);
        }
        Fate::Late => {
            let late = world.with(|state| state.erp.chance.between(6, 60));
            depart(world, sent, Duration::from_secs(late));
            tokio::time::sleep(REQUEST_TIMEOUT).await;
            // Given up; what comes now comes late, if it comes before nobody listens any more.
            world.with(|state| {
                let there = state.erp.destinations.get_mut(sent.destination).expect("a known destination");
                there.open.remove(&sent.order);
            });
            let rest = Duration::from_secs(late) + Duration::from_millis(50);
            if rest > REQUEST_TIMEOUT * 2 {
                tokio::time::sleep(REQUEST_TIMEOUT).await;
                return (Wire::Lost("no answer at all".to_owned()), false);
            }
            tokio::time::sleep(rest.saturating_sub(REQUEST_TIMEOUT)).await;
            return (answer(201, None, &made(world, sent)), true);
        }
        Fate::Answered | Fate::LostAfter | Fate::FailedAfter | Fate::CutOff | Fate::Garbled | Fate::NotConnected => {}
    }
    if let Some(refusal) = refusal(world, sent) {
        tokio::time::sleep(going + coming).await;
        return (refusal, true);
    }
    // Even if we die meanwhile, it arrives.
    depart(world, sent, going);
    tokio::time::sleep(going + coming).await;
    let body = made(world, sent);
    match fate {
        Fate::LostAfter => (Wire::Lost("reset".to_owned()), false),
        Fate::FailedAfter => (answer(502, None, "{}"), false),
        Fate::CutOff => {
            let cut = ResponseSeen {
                status: 201,
                headers: HeaderMap::new(),
                body: Bytes::from_static(b"{\"id\""),
                end: BodyEnd::CutOff,
            };
            (Wire::Answered(cut), false)
        }
        Fate::Garbled => (answer(200, None, "{\"id\":"), false),
        _ => (answer(201, None, &body), true),
    }
}

/// The body that names what was made.
fn made(world: &Arc<World>, sent: &Sent) -> String {
    let receipt = world.with(|state| {
        let now = world.time.now();
        state.erp.arrive(now);
        state.erp.destinations[sent.destination].made(&sent.key)
    });
    format!("{{\"id\":\"{}\"}}", receipt.unwrap_or_default())
}

/// What is refused whatever happens.
fn refusal(world: &Arc<World>, sent: &Sent) -> Option<Wire> {
    world.with(|state| {
        state.erp.arrive(world.time.now());
        let there = &state.erp.destinations[sent.destination];
        if there.honours_keys {
            match there.keys.get(&sent.key) {
                Some((_, sealed, _)) if *sealed != sent.sealed => {
                    return Some(answer(422, None, "{\"error\":\"idempotency key used with a different payload\"}"));
                }
                Some(_) => return None,
                // It is being worked on: in doubt for the sender, who asks again.
                None if there.expects(&sent.key) => return Some(answer(409, None, "{}")),
                None => {}
            }
        }
        let refused = sent.quantity == REFUSED_QUANTITY && !state.erp.repaired;
        refused.then(|| answer(422, None, "{\"error\":\"no such pallet\"}"))
    })
}

fn depart(world: &Arc<World>, sent: &Sent, after: Duration) {
    let at = world.time.now() + Micros::try_from(after.as_micros()).unwrap_or(SECOND);
    world.with(|state| {
        let there = state.erp.destinations.get_mut(sent.destination).expect("a known destination");
        there.coming.push(Coming { at, sent: sent.clone() });
    });
}

fn answer(status: u16, retry_after: Option<u64>, body: &str) -> Wire {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", http::HeaderValue::from_static("application/json"));
    if let Some(seconds) = retry_after {
        headers.insert("retry-after", http::HeaderValue::from(seconds));
    }
    Wire::Answered(ResponseSeen { status, headers, body: Bytes::from(body.to_owned()), end: BodyEnd::Complete })
}

/// The start of a key, for the story.
pub fn short(key: &str) -> &str {
    key.get(..12).unwrap_or(key)
}
