//! Several deliveries in one request ([`crate::destinations::batch`]); each keeps an attempt, a seal and an end of its own.
//!
//! Together go those of which nothing is known yet that would be theirs alone. Once a record failed, is in doubt, or was
//! among others that were refused, it goes alone, so that one bad record spoils one request and never holds up its
//! company; and a lost answer is taken care of record by record, as the guard of the destination has it (UNC-2).

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::gate::{Gate, Seat};
use super::machine::DeliveryEvent;
use super::sending::{self, Errand, Exchange, Marks, Plan, Report};
use super::worker::Engine;
use crate::clock::Timestamp;
use crate::destinations::Health;
use crate::destinations::batch::{self, Batch, Said};
use crate::store::view::DueDelivery;
use crate::store::write::{Ladder, SealedRequest, StartedAttempt};

/// Whether it may go with others.
pub(super) fn may_join(due: &DueDelivery) -> bool {
    due.failures == 0 && !due.uncertain && due.ladder == Ladder::default() && !due.orphaned
}

/// How long the first of those that may go together waits yet; `None`: they go.
pub(super) fn waits(batch: &Batch, joining: &[DueDelivery], now: Timestamp) -> Option<Duration> {
    if joining.len() >= batch.up_to as usize {
        return None;
    }
    let waited = |due: &DueDelivery| {
        // One from the future was made before somebody set the clock back.
        Duration::try_from(now.duration_since(due.created_at)).unwrap_or(batch.wait)
    };
    let longest = joining.iter().map(waited).max()?;
    batch.wait.checked_sub(longest).filter(|left| !left.is_zero())
}

/// What goes out in one request.
pub(super) struct Lot {
    seat: Seat,
    members: Vec<Member>,
    bytes: usize,
    /// Nobody else fits.
    is_closed: bool,
}

/// One of them.
struct Member {
    errand: Errand,
    /// What it is called in the answer; empty where an answer names nobody.
    name: String,
}

impl Lot {
    /// An empty one, with its place.
    pub(super) fn new(seat: Seat) -> Lot {
        Lot { seat, members: Vec::new(), bytes: 0, is_closed: false }
    }

    /// Of one that goes alone: a list all the same, so that the other side always gets the same.
    pub(super) fn of_one(seat: Seat, errand: Errand) -> Lot {
        Lot { seat, members: vec![Member { errand, name: String::new() }], bytes: 0, is_closed: true }
    }

    pub(super) fn gate(&self) -> &Arc<Gate> {
        self.seat.gate()
    }

    /// Takes it in, or gives it back where it goes with another request.
    pub(super) fn take(&mut self, batch: &Batch, errand: Errand) -> Option<Errand> {
        let gate = Arc::clone(self.gate());
        let (Some(profile), Some(steps)) = (gate.destination.recipe(), &errand.steps) else { return Some(errand) };
        let name = steps.name(profile);
        let bytes = self.bytes + errand.request.body.len() + 1;
        let is_called_apart = profile.recipe.names_each().is_none()
            || name.as_ref().is_ok_and(|name| self.members.iter().all(|member| member.name != *name));
        let fits = self.members.first().is_none_or(|first| {
            let has_room = self.members.len() < batch.up_to as usize && bytes <= batch.bytes;
            !self.is_closed && has_room && is_called_apart && batch::fit(&first.errand.request, &errand.request)
        });
        if !fits {
            return Some(errand);
        }
        self.bytes = bytes;
        // What has no name of its own could not be told apart in the answer.
        self.is_closed = name.is_err();
        self.members.push(Member { errand, name: name.unwrap_or_default() });
        None
    }

    /// Leaves only those whose attempt is durable.
    pub(super) fn started(self, mut attempt_of: impl FnMut(&Errand) -> Option<StartedAttempt>) -> Load {
        let started = |member: Member| attempt_of(&member.errand).map(|started| (member, started));
        Load { seat: self.seat, members: self.members.into_iter().filter_map(started).collect() }
    }
}

/// Whether it is sent at all, and so may share a request.
pub(super) fn is_sent(errand: &Errand) -> bool {
    matches!(errand.plan, Plan::Send)
}

/// A lot whose attempts are durable (ATT-1).
pub(super) struct Load {
    seat: Seat,
    members: Vec<(Member, StartedAttempt)>,
}

/// Sends them in one request and takes each to its settlement.
pub(super) async fn run(engine: Arc<Engine>, load: Load) {
    let Load { mut seat, members } = load;
    if members.is_empty() {
        return;
    }
    let gate = Arc::clone(seat.gate());
    // Everyone is inside until it is settled.
    let mut seats: Vec<Seat> = members.iter().skip(1).map(|_| gate.ride()).collect();
    for (member, started) in &members {
        engine.events.attempt_started(gate.name(), member.errand.delivery, started.number);
    }
    seat.spend();
    let begun = Instant::now();
    let exchanged = sending::caught(pin!(exchange(&engine, &gate, &members))).await;
    seat.step_down();
    // The first has the place that was the request's, and tells what the request said of the destination.
    seats.push(seat);
    let company = Company { size: members.len(), name: company(&members) };
    let exchanged: Vec<Result<Heard, String>> = match exchanged {
        Ok(all) => all.into_iter().map(Ok).collect(),
        Err(detail) => members.iter().map(|_| Err(detail.clone())).collect(),
    };
    for (((member, started), heard), seat) in members.into_iter().zip(exchanged).zip(seats.into_iter().rev()) {
        let errand = member.errand;
        let (exchange, whole) = match heard {
            Ok(Heard { exchange, whole }) => (Ok(exchange), Some(whole)),
            Err(detail) => (Err(detail), None),
        };
        let report = sending::followed(&engine, &gate, &errand, started.number, exchange, begun).await;
        let report = if company.size > 1 { among_others(report, whole, &company) } else { report };
        tokio::spawn(sending::conclude(Arc::clone(&engine), errand, started, seat, report));
    }
}

/// Those who go together.
struct Company {
    size: usize,
    name: String,
}

/// What one of them was answered.
struct Heard {
    exchange: Exchange,
    whole: Whole,
}

/// What the request was answered as a whole.
#[derive(Clone, Copy)]
struct Whole {
    health: Health,
    /// The answer was about the one record.
    is_own: bool,
}

/// What the record of an attempt says of a request that was not its alone. An answer to all of them may hold what is about
/// somebody else, so it is no record of this one; and an entry that is missing says nothing of the destination.
fn among_others(mut report: Report, whole: Option<Whole>, company: &Company) -> Report {
    let note = format!("one of {} in {}", company.size, company.name);
    let detail = &mut report.seen.detail;
    *detail = if detail.is_empty() { note } else { format!("{detail} ({note})") };
    let Some(Whole { health: of_all, is_own }) = whole else { return report };
    if !is_own {
        report.seen.response = None;
    }
    if let DeliveryEvent::Seen { health, .. } | DeliveryEvent::Looked { health, .. } = &mut report.event {
        *health = of_all;
    }
    report
}

/// What they are called together: other attempts are called otherwise.
fn company(members: &[(Member, StartedAttempt)]) -> String {
    let each: Vec<String> =
        members.iter().map(|(member, started)| format!("{}/{}", member.errand.delivery, started.number)).collect();
    batch::named(&each.iter().map(String::as_str).collect::<Vec<_>>())
}

fn marks(members: &[(Member, StartedAttempt)]) -> Marks {
    let (first, started) = &members[0];
    let own = Marks::of(&first.errand, started.number);
    if members.len() == 1 {
        return own;
    }
    let deliveries: Vec<String> = members.iter().map(|(member, _)| member.errand.delivery.to_string()).collect();
    let attempt = members.iter().map(|(_, started)| started.number).max().unwrap_or(own.attempt);
    Marks { message: company(members), deliveries: deliveries.join(","), attempt, ..own }
}

/// One request, and for each of them what it means.
async fn exchange(engine: &Engine, gate: &Gate, members: &[(Member, StartedAttempt)]) -> Vec<Heard> {
    let requests: Vec<&SealedRequest> = members.iter().map(|(member, _)| &member.errand.request).collect();
    let request = batch::put_together(&requests).expect("an empty load is not run");
    let (version, extra) = sending::extra(engine, gate, &marks(members), &request).await;
    let wire = match extra {
        Ok(extra) => gate.destination.send(&request, extra).await,
        Err(wire) => wire,
    };
    let pointer = gate.destination.recipe().and_then(|profile| profile.recipe.names_each());
    let (together, health) = (members.len(), wire.health());
    let said = if together == 1 {
        vec![Said::OfIt(wire)]
    } else {
        let names: Vec<String> = members.iter().map(|(member, _)| member.name.clone()).collect();
        batch::take_apart(&wire, &names, pointer)
    };
    let now = engine.clock.now();
    let mut all = Vec::with_capacity(together);
    for ((member, _), said) in members.iter().zip(said) {
        let (wire, is_own) = match said {
            Said::OfIt(wire) => (wire, true),
            Said::OfAll(wire) => (wire, false),
        };
        let outcome = gate.destination.read(&member.errand.purpose, &wire, now);
        let outcome = if is_own { outcome } else { batch::of_each(outcome, wire.status(), together) };
        let credential = sending::judged(gate, &outcome, version);
        let exchange = Exchange { outcome, wire, credential, late: None };
        all.push(Heard { exchange, whole: Whole { health, is_own } });
    }
    all
}
