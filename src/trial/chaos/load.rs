//! The load: signed orders from two senders, repeated, changed, out of turn, forged and out of balance, each written
//! into a journal before it is sent.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Entropy as _, SeededEntropy};
use crate::demo::sender::Sender;
use crate::envelope::keys::Digest;
use crate::envelope::kind::RecordKind;
use crate::json::{self, Limits};
use crate::processor::rules::Rules;
use crate::processor::step::{Input, step};
use crate::trial::history::{Sent, Told};
use crate::trial::orders;

/// Orders that may be repeated or changed: the last so many.
const RECENT_MAX: usize = 40;
/// Lines of an order, at most.
const LINES_MAX: u64 = 4;

/// Everything ever sent, with the means to send more.
pub(super) struct Load {
    sender: Sender,
    rules: Rules,
    acknowledged: AtomicU64,
    journal: Mutex<Journal>,
}

#[derive(Default)]
pub(super) struct Journal {
    pub(super) sent: Vec<Sent>,
    recent: Vec<Recent>,
    next_number: u64,
    /// Numbers sent since the last look.
    pub(super) touched: BTreeSet<String>,
}

#[derive(Clone)]
struct Recent {
    number: String,
    version: u32,
    lines: usize,
    observed: bool,
}

/// One request to come.
struct Turn {
    number: String,
    version: u32,
    lines: usize,
    /// From Commerce rather than from a flow.
    observed: bool,
    forged: bool,
    balanced: bool,
}

impl Load {
    pub(super) fn new(sender: Sender, rules: Rules) -> Self {
        Load { sender, rules, acknowledged: AtomicU64::new(0), journal: Mutex::default() }
    }

    pub(super) fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many requests were answered with yes.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Sends until told to stop, or until there is no answer, which is what a kill looks like from outside.
    pub(super) async fn run(self: Arc<Self>, to: SocketAddr, seed: u64, stop: Arc<AtomicBool>) {
        let chance = SeededEntropy::new(seed);
        while !stop.load(Ordering::SeqCst) {
            let turn = self.journal().turn(&chance);
            if self.send(to, &turn).await == Told::Nothing {
                // Nobody there any more.
                return;
            }
            // A sender that never breathes would only measure the machine.
            tokio::time::sleep(Duration::from_millis(6).mul_f64(chance.unit())).await;
        }
    }

    async fn send(&self, to: SocketAddr, turn: &Turn) -> Told {
        let mut order = orders::version_of(&turn.number, turn.version, turn.lines);
        if !turn.balanced {
            order = orders::out_of_balance(&order);
        }
        let document = self.document(&order).filter(|_| !turn.forged);
        let body = if turn.observed { orders::observed(&order) } else { order };
        let place = self.journal().begin(turn, Digest::of(body.as_bytes()).hex(), document);
        let path = if turn.observed { "/in/hooks" } else { "/in/flows/orders" };
        let url = format!("http://{to}{path}");
        let answer = match (turn.forged, turn.observed) {
            (true, _) => self.sender.as_stranger(&url, body).await,
            (false, true) => self.sender.as_commerce(&url, body).await,
            (false, false) => self.sender.as_patchworks(&url, body).await,
        };
        let told = match answer {
            Ok(answer) if (200..300).contains(&answer.status) => Told::Yes,
            Ok(answer) => Told::No(answer.status),
            Err(_) => Told::Nothing,
        };
        if told == Told::Yes {
            self.acknowledged.fetch_add(1, Ordering::SeqCst);
        }
        self.journal().sent[place].told = told;
        told
    }

    /// Digest of the document that this order comes to.
    fn document(&self, order: &str) -> Option<String> {
        let json = json::parse(order.as_bytes(), &Limits::default()).ok()?;
        let input = Input { origin: "flows", kind: RecordKind::Order, event_name: None, json: &json, later: false };
        let made = step(&input, &self.rules).documents;
        made.first().map(|made| Digest::of(&made.body).hex())
    }
}

impl Journal {
    fn turn(&mut self, chance: &SeededEntropy) -> Turn {
        let draw = below(chance, 100);
        let old = self.pick(chance);
        match (draw, old) {
            // Again, word for word.
            (0..15, Some(old)) => Turn { ..old.turn() },
            // The same state by the other way.
            (15..20, Some(old)) => Turn { observed: !old.observed, ..old.turn() },
            // Changed since.
            (20..35, Some(old)) => {
                let version = self.raise(&old.number);
                Turn { version, ..old.turn() }
            }
            // An earlier state, late.
            (35..40, Some(old)) => Turn { version: 1.max(old.version.saturating_sub(1)), ..old.turn() },
            (40..44, _) => Turn { forged: true, ..self.fresh(chance) },
            (44..46, _) => Turn { balanced: false, ..self.fresh(chance) },
            _ => {
                let turn = self.fresh(chance);
                self.remember(&turn);
                turn
            }
        }
    }

    fn pick(&self, chance: &SeededEntropy) -> Option<Recent> {
        let place = below(chance, u32::try_from(self.recent.len()).ok().filter(|count| *count > 0)?);
        self.recent.get(usize::try_from(place).ok()?).cloned()
    }

    fn raise(&mut self, number: &str) -> u32 {
        let Some(recent) = self.recent.iter_mut().find(|recent| recent.number == number) else { return 1 };
        recent.version += 1;
        recent.version
    }

    fn fresh(&mut self, chance: &SeededEntropy) -> Turn {
        self.next_number += 1;
        let mut bytes = [0; 8];
        chance.fill(&mut bytes);
        let drawn = u64::from_le_bytes(bytes);
        let lines = usize::try_from(1 + drawn % LINES_MAX).unwrap_or(1);
        Turn {
            number: (100_000_000 + self.next_number).to_string(),
            version: 1,
            lines,
            observed: drawn & 1 << 40 == 0,
            forged: false,
            balanced: true,
        }
    }

    fn remember(&mut self, turn: &Turn) {
        if self.recent.len() == RECENT_MAX {
            self.recent.remove(0);
        }
        let Turn { number, version, lines, observed, .. } = turn;
        let recent = Recent { number: number.clone(), version: *version, lines: *lines, observed: *observed };
        self.recent.push(recent);
    }

    /// Written before it is sent; its place.
    fn begin(&mut self, turn: &Turn, body: String, document: Option<String>) -> usize {
        self.touched.insert(turn.number.clone());
        self.sent.push(Sent {
            number: turn.number.clone(),
            version: turn.version,
            body,
            document,
            forged: turn.forged,
            told: Told::Nothing,
        });
        self.sent.len() - 1
    }
}

/// A draw from `0 .. count`.
fn below(chance: &SeededEntropy, count: u32) -> u32 {
    let mut bytes = [0; 4];
    chance.fill(&mut bytes);
    u32::from_le_bytes(bytes) % count
}

impl Recent {
    fn turn(&self) -> Turn {
        Turn {
            number: self.number.clone(),
            version: self.version,
            lines: self.lines,
            observed: self.observed,
            forged: false,
            balanced: true,
        }
    }
}
