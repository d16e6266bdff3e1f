//! The verdict over a history: was anything lost, doubled, disordered or stuck?
//!
//! Three witnesses are heard. The sender knows what it sent and what it was answered. The store knows its events,
//! deliveries and exceptions. The ERP knows what took effect, in which order. None of them is believed alone: an order
//! counts as delivered when the ERP has it, whatever the store says, and as waiting when the store can name the reason.
//!
//! Pure; the history is judged when the service has had time to finish, so that what is still open is stuck.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use serde::Serialize;

/// What a sender was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// 2xx: the promise is given.
    Yes,
    /// Another status: nothing is promised.
    No(u16),
    /// No answer: it may be there or not.
    Nothing,
}

/// One request of a sender.
#[derive(Clone, Debug, Serialize)]
pub struct Sent {
    /// The order's number.
    pub number: String,
    /// Which state of the order.
    pub version: u32,
    /// SHA-256 of the request body, hex.
    pub body: String,
    /// SHA-256 of the document that an ERP must receive when this state is the one that creates the order; `None` when
    /// there is none to expect.
    pub document: Option<String>,
    /// Its signature was wrong on purpose.
    pub forged: bool,
    /// The answer.
    pub told: Told,
}

/// An order as the store tells it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Stored {
    /// Each event.
    pub events: Vec<StoredEvent>,
    /// Each delivery, oldest first.
    pub deliveries: Vec<StoredDelivery>,
    /// Codes of open exceptions.
    pub open: Vec<String>,
}

/// An event as the store tells it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StoredEvent {
    /// Its id.
    pub id: String,
    /// Digest of its body, hex.
    pub body: String,
    /// `received`, `done`, `ignored`, `superseded`, `exception`.
    pub state: String,
}

/// A delivery as the store tells it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StoredDelivery {
    /// The event it was made from.
    pub event: String,
    /// For whom: one lane of the order each.
    pub destination: String,
    /// Its key.
    pub key: String,
    /// `order.create`, …
    pub purpose: String,
    /// `waiting`, `in_flight`, `parked`, `delivered`, `superseded`, `abandoned`.
    pub state: String,
    /// An open exception names it.
    pub excused: bool,
}

/// One effect in the ERP's memory, in the order of application.
#[derive(Clone, Debug, Serialize)]
pub struct Applied {
    /// The order's number.
    pub number: String,
    /// `order.create`, …
    pub purpose: String,
    /// `updated_at` of the order inside the document.
    pub revision: String,
    /// The key it came under.
    pub key: Option<String>,
    /// SHA-256 of the document, hex.
    pub digest: String,
}

/// Everything the witnesses say.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Requests, in any order.
    pub sent: Vec<Sent>,
    /// Orders of the store by number.
    pub stored: BTreeMap<String, Stored>,
    /// Effects, in the order of application.
    pub applied: Vec<Applied>,
}

/// What is wrong with an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Acknowledged, and neither an effect nor an open exception nor work due (P1).
    Lost,
    /// Two effects for one operation (P3).
    Doubled,
    /// Effects of one lane against its order (P4).
    Disordered,
    /// Not finished, although there was time, and nobody is told (P6).
    Stuck,
    /// The ERP got something else than the expansion of the order.
    WrongContent,
    /// One key came with two documents (KEY-5).
    KeyReused,
    /// Something without a valid signature got in, or an effect that nobody sent.
    Forged,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 7] = [
        Fault::Lost,
        Fault::Doubled,
        Fault::Disordered,
        Fault::Stuck,
        Fault::WrongContent,
        Fault::KeyReused,
        Fault::Forged,
    ];

    /// As tables say it.
    pub fn as_str(self) -> &'static str {
        match self {
            Fault::Lost => "lost",
            Fault::Doubled => "doubled",
            Fault::Disordered => "disordered",
            Fault::Stuck => "stuck",
            Fault::WrongContent => "wrong content",
            Fault::KeyReused => "key reused",
            Fault::Forged => "forged",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Finding {
    /// What.
    pub fault: Fault,
    /// The order's number.
    pub number: String,
    /// In words.
    pub detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}: {}", self.number, self.fault.as_str(), self.detail)
    }
}

/// Everything that is wrong, by order number; empty for a history that keeps every promise.
pub fn judge(history: &History) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut orders: BTreeMap<&str, Order<'_>> = BTreeMap::new();
    for sent in &history.sent {
        orders.entry(&sent.number).or_default().sent.push(sent);
    }
    for applied in &history.applied {
        orders.entry(&applied.number).or_default().applied.push(applied);
    }
    for (number, stored) in &history.stored {
        orders.entry(number).or_default().stored = Some(stored);
    }
    for (number, order) in &orders {
        let mut say = |fault, detail: String| findings.push(Finding { fault, number: (*number).to_owned(), detail });
        order.lost(&mut say);
        order.doubled(&mut say);
        order.disordered(&mut say);
        order.stuck(&mut say);
        order.wrong(&mut say);
        order.forged(&mut say);
    }
    findings.extend(reused_keys(&history.applied));
    findings.sort();
    findings
}

/// What the witnesses say of one order.
#[derive(Default)]
struct Order<'h> {
    sent: Vec<&'h Sent>,
    stored: Option<&'h Stored>,
    applied: Vec<&'h Applied>,
}

impl Order<'_> {
    fn lost(&self, say: &mut impl FnMut(Fault, String)) {
        let promised: Vec<&&Sent> = self.sent.iter().filter(|sent| sent.told == Told::Yes && !sent.forged).collect();
        if promised.is_empty() {
            return;
        }
        let Some(stored) = self.stored else {
            return say(Fault::Lost, format!("{} acknowledged, and the store does not know the order", promised.len()));
        };
        let held: BTreeSet<&str> = stored.events.iter().map(|event| event.body.as_str()).collect();
        for sent in promised.iter().filter(|sent| !held.contains(sent.body.as_str())) {
            say(
                Fault::Lost,
                format!("version {} was acknowledged, and the store does not hold its event", sent.version),
            );
        }
        if self.applied.is_empty() && stored.open.is_empty() && !stored.is_due() {
            say(Fault::Lost, format!("acknowledged, not at the ERP, nothing due and no exception; {}", stored.words()));
        }
    }

    fn doubled(&self, say: &mut impl FnMut(Fault, String)) {
        let mut times: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        for applied in &self.applied {
            *times.entry(applied.operation()).or_default() += 1;
        }
        for ((purpose, revision), times) in times.into_iter().filter(|(_, times)| *times > 1) {
            let keys: Vec<&str> = self.applied.iter().filter_map(|applied| applied.key.as_deref()).collect();
            say(Fault::Doubled, format!("{purpose} {revision} took effect {times} times, under {}", keys.join(", ")));
        }
    }

    fn disordered(&self, say: &mut impl FnMut(Fault, String)) {
        for pair in self.applied.windows(2) {
            let [earlier, later] = [pair[0], pair[1]];
            if later.purpose == "order.create" && earlier.purpose != "order.create" {
                say(Fault::Disordered, format!("{} took effect before the order was created", earlier.purpose));
            } else if later.revision < earlier.revision {
                let [first, then] = [&earlier.revision, &later.revision];
                say(Fault::Disordered, format!("{} of {then} took effect after {first}", later.purpose));
            }
        }
    }

    fn stuck(&self, say: &mut impl FnMut(Fault, String)) {
        let Some(stored) = self.stored else { return };
        for event in stored.events.iter().filter(|event| event.state == "received" && !stored.event_rests(event)) {
            say(Fault::Stuck, format!("an event is still {}", event.state));
        }
        for (place, delivery) in stored.deliveries.iter().enumerate() {
            match delivery.state.as_str() {
                "waiting" | "in_flight" if !stored.is_behind_a_person(place) => {
                    say(Fault::Stuck, format!("{} is still {}", delivery.purpose, delivery.state));
                }
                "parked" if !delivery.excused => {
                    say(Fault::Stuck, format!("{} is parked and no exception says why", delivery.purpose));
                }
                _ => {}
            }
        }
        if stored.open.is_empty() && stored.events.iter().any(|event| event.state == "exception") {
            say(Fault::Stuck, "an event waits for a person and no exception is open".to_owned());
        }
    }

    fn wrong(&self, say: &mut impl FnMut(Fault, String)) {
        let expected: BTreeSet<&str> = self.sent.iter().filter_map(|sent| sent.document.as_deref()).collect();
        let creates = self.applied.iter().filter(|applied| applied.purpose == "order.create");
        for applied in creates.filter(|applied| !expected.contains(applied.digest.as_str())) {
            let [revision, digest] = [&applied.revision, &applied.digest];
            say(Fault::WrongContent, format!("the document of {revision} ({digest}) is no expansion of what was sent"));
        }
    }

    fn forged(&self, say: &mut impl FnMut(Fault, String)) {
        if self.sent.iter().any(|sent| sent.forged && sent.told == Told::Yes) {
            say(Fault::Forged, "a wrong signature was answered with yes".to_owned());
        }
        if self.sent.iter().all(|sent| sent.forged) {
            if self.stored.is_some_and(|stored| !stored.events.is_empty()) {
                say(Fault::Forged, "the store holds an event that nobody signed".to_owned());
            }
            if !self.applied.is_empty() {
                say(Fault::Forged, "the ERP holds an order that nobody signed".to_owned());
            }
        }
    }
}

impl Stored {
    /// Whether nothing of the order moves until a person acts, or ever again.
    pub fn rests(&self) -> bool {
        self.events.iter().all(|event| event.state != "received" || self.event_rests(event))
    }

    /// Whether all that is open of an event waits behind what a person is asked about (LANE-2).
    fn event_rests(&self, event: &StoredEvent) -> bool {
        let mut open = (0..self.deliveries.len()).filter(|place| {
            let delivery = &self.deliveries[*place];
            delivery.event == event.id && ["waiting", "in_flight"].contains(&delivery.state.as_str())
        });
        let first = open.next();
        first.is_some_and(|place| self.is_behind_a_person(place)) && open.all(|place| self.is_behind_a_person(place))
    }

    /// Whether a delivery waits while an older one of its lane is parked and an exception says why.
    fn is_behind_a_person(&self, place: usize) -> bool {
        let delivery = &self.deliveries[place];
        let asked = |earlier: &StoredDelivery| {
            earlier.destination == delivery.destination && earlier.state == "parked" && earlier.excused
        };
        delivery.state == "waiting" && self.deliveries[..place].iter().any(asked)
    }

    fn is_due(&self) -> bool {
        self.events.iter().any(|event| event.state == "received")
            || self.deliveries.iter().any(|delivery| ["waiting", "in_flight"].contains(&delivery.state.as_str()))
    }

    fn words(&self) -> String {
        let events: Vec<&str> = self.events.iter().map(|event| event.state.as_str()).collect();
        let deliveries: Vec<&str> = self.deliveries.iter().map(|delivery| delivery.state.as_str()).collect();
        format!("events {events:?}, deliveries {deliveries:?}")
    }
}

impl Applied {
    /// An order is created once, whatever state of it does so; any other effect belongs to a state.
    fn operation(&self) -> (&str, &str) {
        let revision = if self.purpose == "order.create" { "" } else { self.revision.as_str() };
        (&self.purpose, revision)
    }
}

fn reused_keys(applied: &[Applied]) -> Vec<Finding> {
    let mut seen: HashMap<&str, &Applied> = HashMap::new();
    let mut findings = Vec::new();
    for effect in applied {
        let Some(key) = effect.key.as_deref() else { continue };
        let first = seen.entry(key).or_insert(effect);
        if first.digest != effect.digest {
            let detail = format!("{key} carried two documents");
            findings.push(Finding { fault: Fault::KeyReused, number: effect.number.clone(), detail });
        }
    }
    findings
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
