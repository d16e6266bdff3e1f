//! What senders and fate do: drawn from the seed before anything runs.

use bytes::Bytes;

use super::chance::Chance;
use super::disk::Fault;
use super::orders;

/// Secret of the hooks.
pub const HMAC_SECRET: &str = "sim-hmac-secret-0123456789abcdef";
/// Key of the flows.
pub const API_KEY: &str = "sim-flows-key-0123456789";
/// A SKU that the first table does not know.
pub const NEW_SKU: &str = "SKU-NEW";
/// The one it knows.
pub const SKU: &str = "SKU-A";
/// Orders of so many pieces are refused by a destination until somebody repairs it.
pub const REFUSED_QUANTITY: u32 = 7;

/// Microseconds.
pub type Micros = i64;
/// One second.
pub const SECOND: Micros = 1_000_000;

/// One record of a request.
#[derive(Clone, Debug)]
pub struct Record {
    /// `increment_id`.
    pub order: String,
    /// Content: pieces ordered.
    pub quantity: u32,
    /// What they are.
    pub sku: &'static str,
    /// What makes it the same event: origin and event id, or origin and content.
    pub event: String,
}

/// A request that a sender repeats until somebody answers for good.
#[derive(Clone, Debug)]
pub struct Request {
    /// `flows` or `hooks`.
    pub origin: &'static str,
    /// For flows.
    pub event_id: Option<String>,
    /// What is in it.
    pub records: Vec<Record>,
    /// With a credential that is not ours.
    pub forged: bool,
    /// The bytes.
    pub body: Bytes,
}

/// How a destination behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// It works.
    Fair,
    /// It lies and stumbles.
    Foul,
    /// Nobody is there.
    Gone,
    /// It answers 503 to everything.
    Sick,
}

/// Something that happens at its time.
#[derive(Clone, Debug)]
pub enum Act {
    /// A sender sends.
    Send(Request),
    /// A destination changes.
    Weather(&'static str, Weather),
    /// The machine or the process dies, and comes back after so long.
    Die(Fault, Micros),
    /// The process is stopped in order and started again.
    Restart,
    /// People look at what is parked; one in so many exceptions is left for later.
    People(u64),
    /// Somebody changes what the known SKU is called.
    Remap(u32),
    /// The wall clock jumps.
    Clock(Micros),
    /// The disk is full, or not any more.
    Full(bool),
    /// The next disk operations go wrong: so many operations from now.
    Disk(u64, Fault),
    /// A destination is repaired: what it refused it now takes.
    Repair,
    /// From the next start on the destinations are configured under another path.
    Move,
}

/// Everything that happens, in order of time.
pub struct Script {
    /// When and what.
    pub acts: Vec<(Micros, Act)>,
    /// When faults end.
    pub until: Micros,
}

struct Writer {
    chance: Chance,
    acts: Vec<(Micros, Act)>,
    events: u32,
}

/// A random story.
pub fn random(chance: &mut Chance) -> Script {
    let mut writer = Writer { chance: chance.fork(), acts: Vec::new(), events: 0 };
    let longest = *writer.chance.pick(&[60, 60, 300, 300, 300, 1_500]);
    let length = writer.chance.between(20, longest);
    let until = Micros::try_from(length).unwrap_or(0) * SECOND;
    writer.orders(until);
    writer.weather(until);
    writer.deaths(until);
    writer.people(until);
    writer.acts.sort_by_key(|(at, _)| *at);
    Script { acts: writer.acts, until }
}

/// A short story in which every kind of thing happens once, for faults at each operation in turn.
pub fn fixed() -> Script {
    let mut writer = Writer { chance: Chance::new(7), acts: Vec::new(), events: 0 };
    let mut send = |at: Micros, request: Request| writer.acts.push((at * SECOND / 10, Act::Send(request)));
    let flow = |order: &str, quantity, event: &str| flow(vec![(order, quantity, SKU)], event, false);
    send(1, flow("000000001", 2, "e1"));
    send(2, hook("000000002", 3, SKU));
    send(3, flow("000000001", 2, "e1"));
    send(4, flow("000000001", 5, "e1"));
    send(5, hook("000000003", 1, NEW_SKU));
    send(6, flow("000000004", REFUSED_QUANTITY, "e2"));
    send(7, super::workload::flow(vec![("000000005", 1, SKU), ("000000006", 2, SKU)], "e3", false));
    send(8, flow("000000002", 4, "e4"));
    writer.acts.push((9 * SECOND / 10, Act::Weather("erp", Weather::Foul)));
    writer.acts.push((9 * SECOND / 10, Act::Weather("wms", Weather::Foul)));
    let mut send = |at: Micros, request: Request| writer.acts.push((at * SECOND / 10, Act::Send(request)));
    send(10, flow("000000007", 2, "e5"));
    send(11, hook("000000008", 2, SKU));
    writer.acts.push((30 * SECOND / 10, Act::People(1_000)));
    writer.acts.push((35 * SECOND / 10, Act::Repair));
    writer.acts.push((50 * SECOND / 10, Act::Restart));
    writer.acts.push((70 * SECOND / 10, Act::People(1_000)));
    writer.acts.sort_by_key(|(at, _)| *at);
    Script { acts: writer.acts, until: 10 * SECOND }
}

/// A story in which one order stays in doubt for longer than its key is remembered.
pub fn long_doubt() -> Script {
    let acts = vec![
        (0, Act::Weather("erp", Weather::Sick)),
        (SECOND, Act::Send(flow(vec![("000000001", 1, SKU)], "e1", false))),
        (1_500 * SECOND, Act::Weather("erp", Weather::Fair)),
    ];
    Script { acts, until: 1_600 * SECOND }
}

impl Writer {
    fn at(&mut self, until: Micros) -> Micros {
        Micros::try_from(self.chance.below(u64::try_from(until).unwrap_or(1))).unwrap_or(0)
    }

    fn orders(&mut self, until: Micros) {
        let count = self.chance.between(3, 24);
        // Some stories send in bursts, so that groups form and lanes fill.
        let burst = self.chance.one_in(3).then(|| self.at(until));
        for number in 1..=count {
            let order = format!("{number:09}");
            let at = match burst {
                Some(burst) if !self.chance.one_in(4) => {
                    burst + Micros::try_from(self.chance.below(200_000)).unwrap_or(0)
                }
                _ => self.at(until),
            };
            let request = self.request(&order);
            self.acts.push((at, Act::Send(request.clone())));
            self.again(at, until, &request);
        }
    }

    fn request(&mut self, order: &str) -> Request {
        let quantity = u32::try_from(self.chance.between(1, 8)).unwrap_or(1);
        let sku = if self.chance.one_in(6) { NEW_SKU } else { SKU };
        if self.chance.one_in(2) {
            return hook(order, quantity, sku);
        }
        let event = self.event();
        let other = format!("9{}", &order[1..]);
        match self.chance.below(6) {
            0 => flow(vec![(order, quantity, sku), (&other, quantity + 1, SKU)], &event, false),
            _ => flow(vec![(order, quantity, sku)], &event, false),
        }
    }

    fn event(&mut self) -> String {
        self.events += 1;
        format!("e{}", self.events)
    }

    /// The same event again, the same event with other content, the order again as another event, a forgery.
    fn again(&mut self, at: Micros, until: Micros, request: &Request) {
        for _ in 0..self.chance.below(3) {
            let pause = if self.chance.one_in(2) { self.chance.below(5_000) } else { self.chance.below(30_000_000) };
            let when = (at + Micros::try_from(pause).unwrap_or(0)).min(until);
            let first = &request.records[0];
            let other = first.quantity % 8 + 1;
            let again = match self.chance.below(6) {
                0 | 1 => request.clone(),
                2 if request.event_id.is_some() => {
                    let mut records: Vec<(&str, u32, &'static str)> = request
                        .records
                        .iter()
                        .map(|record| (record.order.as_str(), record.quantity, record.sku))
                        .collect();
                    records[0].1 = other;
                    flow(records, request.event_id.as_deref().unwrap_or_default(), false)
                }
                3 => hook(&first.order, other, first.sku),
                4 => {
                    let event = self.event();
                    flow(vec![(&first.order, other, first.sku)], &event, false)
                }
                _ => {
                    let event = self.event();
                    flow(vec![(&first.order, other, first.sku)], &event, true)
                }
            };
            self.acts.push((when, Act::Send(again)));
        }
    }

    fn weather(&mut self, until: Micros) {
        for destination in ["erp", "wms"] {
            for _ in 0..self.chance.below(5) {
                let at = self.at(until);
                let weather =
                    *self.chance.pick(&[Weather::Foul, Weather::Foul, Weather::Foul, Weather::Gone, Weather::Sick]);
                self.acts.push((at, Act::Weather(destination, weather)));
                if self.chance.one_in(2) {
                    let end = (at + self.at(until) / 2).min(until);
                    self.acts.push((end, Act::Weather(destination, Weather::Fair)));
                }
            }
        }
        if self.chance.one_in(3) {
            let at = self.at(until);
            self.acts.push((at, Act::Full(true)));
            let end = (at + self.at(until) / 4).min(until);
            self.acts.push((end, Act::Full(false)));
        }
        for _ in 0..self.chance.below(3) {
            let at = self.at(until);
            // A tenth of the key window is what wall clocks may be wrong by (UNC-2).
            let by = Micros::try_from(self.chance.below(50)).unwrap_or(0) - 25;
            self.acts.push((at, Act::Clock(by * SECOND)));
        }
    }

    fn deaths(&mut self, until: Micros) {
        for _ in 0..self.chance.below(6) {
            let at = self.at(until);
            let pause = Micros::try_from(self.chance.below(20)).unwrap_or(0) * SECOND / 2;
            let fault = *self.chance.pick(&[Fault::Kill, Fault::PowerCut, Fault::PowerCutForgetful]);
            let act = match self.chance.below(6) {
                0 => Act::Restart,
                1 => Act::Die(fault, pause),
                2 | 3 => Act::Disk(self.chance.between(1, 60), fault),
                4 => Act::Disk(self.chance.between(1, 40), Fault::FlushFails),
                _ => {
                    let fault = *self.chance.pick(&[Fault::WriteFails, Fault::Full, Fault::Full, Fault::ReadFails]);
                    Act::Disk(self.chance.between(1, 60), fault)
                }
            };
            self.acts.push((at, act));
        }
    }

    fn people(&mut self, until: Micros) {
        for _ in 0..self.chance.below(5) {
            let at = self.at(until);
            let leave = self.chance.between(2, 6);
            self.acts.push((at, Act::People(leave)));
        }
        for name in 0..self.chance.below(3) {
            let at = self.at(until);
            self.acts.push((at, Act::Remap(u32::try_from(name).unwrap_or(0) + 1)));
        }
        if self.chance.one_in(2) {
            let at = self.at(until);
            self.acts.push((at, Act::Repair));
        }
        if self.chance.one_in(3) {
            let at = self.at(until);
            self.acts.push((at, Act::Move));
            self.acts.push((at, Act::Restart));
        }
    }
}

/// A flow's request: one order, or a list of them.
pub fn flow(records: Vec<(&str, u32, &'static str)>, event_id: &str, forged: bool) -> Request {
    let documents: Vec<_> = records.iter().map(|(order, quantity, sku)| orders::rest(order, sku, *quantity)).collect();
    let single = documents.len() == 1;
    let body = if single { documents[0].clone() } else { format!("[{}]", documents.join(",")) };
    let records = records
        .into_iter()
        .enumerate()
        .map(|(index, (order, quantity, sku))| Record {
            order: order.to_owned(),
            quantity,
            sku,
            event: if single { format!("flows|{event_id}") } else { format!("flows|{event_id}#{index}") },
        })
        .collect();
    Request { origin: "flows", event_id: Some(event_id.to_owned()), records, forged, body: body.into() }
}

/// A hook's request.
pub fn hook(order: &str, quantity: u32, sku: &'static str) -> Request {
    let record = Record { order: order.to_owned(), quantity, sku, event: format!("hooks|{order}|{quantity}|{sku}") };
    let body = orders::observed(order, sku, quantity);
    Request { origin: "hooks", event_id: None, records: vec![record], forged: false, body: body.into() }
}
