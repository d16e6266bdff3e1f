//! The machine: one delivery in flight, what happened to it, and what follows. Pure; chance and time arrive in
//! [`Moment`], effects leave as values.
//!
//! | event                       | next                                                            | effect on the destination |
//! |-----------------------------|-----------------------------------------------------------------|---------------------------|
//! | accepted, already applied   | delivered                                                       | healthy                   |
//! | rejected                    | parked `rejected_by_destination`                                | by its mark               |
//! | … configuration             | the same                                                        | counts towards a hold     |
//! | … gone (410)                | the same                                                        | hold, alarm               |
//! | … our bug (key reused)      | the same                                                        | alarm                     |
//! | credential, stale           | waiting, free of charge                                         | –                         |
//! | credential, first time      | waiting, free of charge                                         | refresh the credential    |
//! | credential, refreshed       | waiting, free of charge                                         | hold                      |
//! | throttled                   | waiting, free of charge                                         | pause                     |
//! | deferred: our own rate is used up | waiting, free of charge                                   | –                         |
//! | unavailable                 | waiting by the schedule; parked `retries_exhausted` at its end  | 503: pause                |
//! | uncertain, guard key        | waiting, same bytes, inside the window; then a look, without one parked `outcome_uncertain` | 503: pause |
//! | uncertain, guard unique     | waiting, same bytes                                             | 503: pause                |
//! | uncertain, guard find       | waiting for a look                                              | 503: pause                |
//! | uncertain, no guard         | parked `outcome_uncertain`                                      | –                         |
//! | exists already, stored failure of a spent key | waiting for a look; without one as any rejection | –                      |
//! | process died                | as uncertain; while looking: waiting, free of charge            | –                         |
//! | withheld, destination shut  | waiting, free of charge                                         | –                         |
//! | withheld, window closed or in doubt | parked `outcome_uncertain`                              | –                         |
//! | looked                      | the table of [`ladder`]                                         | as an attempt             |
//! | withheld, too old           | parked `too_old`                                                | –                         |
//! | withheld, sealed for another host | parked `rejected_by_destination`                             | –                         |
//! | our code failed             | parked `crashed_worker`                                         | alarm                     |
//!
//! Any *waiting* past the age limit is parked `too_old` instead (RET-2). Doubt is sticky (P5): once an attempt may have
//! taken effect, a later refusal or failure does not clear it, only an answer that says *applied*, two looks that find
//! nothing, or a person does. What is known of a delivery is its [`Rung`]; [`turn`] says what its next attempt does.

use std::time::Duration;

mod ladder;

use super::backoff::RetryPolicy;
use crate::clock::{Timestamp, from_micros, later};
use crate::destinations::{
    AttemptOutcome, CredentialUse, Destination, Finding, Guard, Health, Mark, Receipt, Rejection, Wait,
};
use crate::store::write::{AttemptPurpose, Ladder, Rung};
pub use ladder::{Turn, turn};

/// UNC-2 leaves the last tenth of a key window alone; the last try comes this much before.
const WINDOW_MARGIN: Duration = Duration::from_secs(1);

/// What is known of a delivery while an attempt of it is under way.
#[derive(Clone, Debug)]
pub struct InFlight {
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was first sent; of the first attempt, its own start.
    pub first_attempt_at: Timestamp,
    /// An earlier attempt was to send it.
    pub sent: bool,
    /// KEY-3.
    pub generation: u32,
    /// Attempts before this one that count (RET-2).
    pub failures: u32,
    /// An earlier attempt may have taken effect.
    pub uncertain: bool,
    /// What is known of it.
    pub ladder: Ladder,
    /// Its purpose is one that can be looked for there.
    pub looked_for: bool,
    /// What its steps leave to do.
    pub ahead: Ahead,
}

/// What the steps of a delivery leave to do beside its one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ahead {
    /// Nothing.
    #[default]
    Nothing,
    /// Something has to be asked before it can be written in the destination's words.
    Prepare,
    /// The record is there; what follows is not finished.
    Finish,
    /// It was taken there to be made later, and nobody has seen it yet.
    Await,
    /// What was sent made nothing, and a person wants it made: where it is not there, by a new key.
    Renew,
}

/// How a destination can be asked.
#[derive(Clone, Copy, Debug)]
pub struct Looks {
    /// How long until a request shows there.
    pub settle_after: Duration,
    /// Whether it is looked for before the first send.
    pub first: bool,
}

/// What a destination allows.
#[derive(Clone, Debug)]
pub struct Policy {
    /// What protects it from doubles.
    pub guard: Guard,
    /// RET-1.
    pub retry: RetryPolicy,
    /// RET-2.
    pub age_limit: Duration,
    /// How it can be asked, if it can.
    pub looks: Option<Looks>,
}

impl Policy {
    /// Of a configured destination.
    pub fn of(destination: &Destination) -> Self {
        Policy {
            guard: destination.guard(),
            retry: RetryPolicy::new(destination.retry_delays()),
            age_limit: destination.age_limit(),
            looks: destination.looking().map(|(settle_after, first)| Looks { settle_after, first }),
        }
    }

    /// For a destination that is no longer configured: nothing is promised, so nothing is sent twice.
    pub fn unknown() -> Self {
        Policy {
            guard: Guard::None,
            retry: RetryPolicy::new(&[]),
            age_limit: Duration::from_hours(7 * 24),
            looks: None,
        }
    }

    /// How this delivery can be looked for, if it can.
    fn looks(&self, delivery: &InFlight) -> Option<Looks> {
        self.looks.filter(|_| delivery.looked_for)
    }

    /// What protects this delivery. A guard that speaks of records by their reference is none for what has no record of
    /// its own there: a cancellation, a deliberate second effect.
    fn guard(&self, delivery: &InFlight) -> Guard {
        match self.guard {
            Guard::Unique | Guard::Find if self.looks(delivery).is_none() => Guard::None,
            guard => guard,
        }
    }
}

/// Now, and one draw in 0 to 1.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Wall time.
    pub now: Timestamp,
    /// For RET-1.
    pub jitter: f64,
}

/// What happened to the attempt.
#[derive(Debug)]
pub enum DeliveryEvent {
    /// It was sent, or could not be.
    Seen {
        /// What that means.
        outcome: AttemptOutcome,
        /// What it says about the destination.
        health: Health,
        /// What it says about our credential, should that have been refused.
        credential: CredentialUse,
    },
    /// It was looked for, or could not be.
    Looked {
        /// What that says.
        finding: Finding,
        /// What it says about the destination.
        health: Health,
        /// What it says about our credential, should that have been refused.
        credential: CredentialUse,
    },
    /// The process ended between start and settlement (ATT-1).
    ProcessDied(AttemptPurpose),
    /// It was started and then not sent, on purpose.
    Withheld(Withheld),
    /// Our own code failed (POI-2).
    Failed {
        /// A byte may have left.
        sent: bool,
        /// What failed.
        detail: String,
    },
}

/// Why an attempt was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// The destination was paused, held or broken in the meantime.
    DestinationShut,
    /// It is in doubt, and the key window is over (UNC-2).
    WindowClosed,
    /// It is in doubt, and nothing protects from a second effect or says how to look (UNC-5).
    InDoubt,
    /// The question whether it is there cannot be put.
    CannotAsk(String),
    /// It cannot be put in the destination's words.
    CannotWrite(String),
    /// It is past the age limit (RET-2).
    TooOld,
    /// It is sealed for another host than its destination has now; our credential is not for that one.
    MovedAway,
}

/// Where the delivery goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Applied. Final.
    Delivered(Receipt),
    /// To be tried again.
    Waiting {
        /// Not before.
        due_at: Timestamp,
        /// It may have taken effect.
        uncertain: bool,
        /// Whether this attempt counts (RET-2).
        counts: bool,
        /// What is known of it now.
        ladder: Ladder,
    },
    /// Its key is spent (KEY-3 b): the same content goes out under the next generation's.
    Renewed,
    /// A person must act.
    Parked {
        /// Why.
        problem: Problem,
        /// It may have taken effect.
        uncertain: bool,
    },
}

/// Why a delivery is parked; becomes an exception.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// `rejected_by_destination`
    Rejected(Rejection),
    /// `outcome_uncertain`
    OutcomeUncertain {
        /// What was seen last.
        detail: String,
    },
    /// `found_different`
    FoundDifferent {
        /// What differs.
        detail: String,
    },
    /// `totals_differ_at_destination`
    TotalsDiffer {
        /// Both sides.
        detail: String,
    },
    /// `found_many`
    FoundMany {
        /// How many, and which.
        detail: String,
    },
    /// `retries_exhausted`
    RetriesExhausted {
        /// How many attempts counted.
        attempts: u32,
        /// What was seen last.
        detail: String,
    },
    /// `too_old`
    TooOld {
        /// What was seen last.
        detail: String,
    },
    /// `crashed_worker`
    Crashed {
        /// What failed.
        detail: String,
    },
}

/// What follows for the destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Tell the breaker.
    Health(Health),
    /// It answered us: earlier refusals no longer count.
    Answered,
    /// Nothing goes out until a person acts.
    Hold {
        /// Why.
        reason: String,
    },
    /// Nothing goes out for a while.
    Pause {
        /// At least this long; `None`: as long as the throttle finds right.
        floor: Option<Duration>,
    },
    /// A refusal that only configuration explains; the third in a row holds.
    RefusedForConfiguration {
        /// What was seen.
        reason: String,
    },
    /// Read the credential anew.
    RefreshCredential,
    /// Someone should look now.
    Alarm {
        /// At what.
        what: String,
    },
}

/// The answer of [`step`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where the delivery goes.
    pub next: Next,
    /// What follows for the destination, in order.
    pub effects: Vec<Effect>,
}

/// Where a delivery goes after what happened to its attempt. The table stands at the top of this file.
pub fn step(delivery: &InFlight, event: DeliveryEvent, policy: &Policy, at: Moment) -> Step {
    let case = Case { delivery, policy, at };
    match event {
        DeliveryEvent::Seen { outcome, health, credential } => case.seen(outcome, health, credential),
        DeliveryEvent::Looked { finding, health, credential } => case.looked(finding, health, credential),
        DeliveryEvent::ProcessDied(AttemptPurpose::Find) => {
            Step { next: case.free_of_charge("the process ended while this was looked for"), effects: Vec::new() }
        }
        DeliveryEvent::ProcessDied(AttemptPurpose::Send) => {
            let detail = "the process ended while this attempt was under way".to_owned();
            Step { next: case.in_doubt(&Wait::default(), detail), effects: Vec::new() }
        }
        DeliveryEvent::Withheld(reason) => Step { next: case.withheld(reason), effects: Vec::new() },
        DeliveryEvent::Failed { sent, detail } => Step {
            effects: vec![Effect::Alarm { what: detail.clone() }],
            next: case.parked(Problem::Crashed { detail }, sent),
        },
    }
}

/// UNC-2: until when the same key may go out again; `None` without a key guard. A first send that lies ahead of now says
/// that the clock went back while nobody watched (RUN-5): how old the key is nobody knows, so no time is left.
fn resend_limit(delivery: &InFlight, guard: Guard, now: Timestamp) -> Option<Timestamp> {
    match guard {
        Guard::Key { .. } if planted!(KeyWindowIgnored) => None,
        Guard::Key { window } if delivery.first_attempt_at > later(now, window / 10) => Some(now),
        Guard::Key { window } => Some(later(delivery.first_attempt_at, window / 10 * 9)),
        Guard::Unique | Guard::Find | Guard::None => None,
    }
}

struct Case<'a> {
    delivery: &'a InFlight,
    policy: &'a Policy,
    at: Moment,
}

impl Case<'_> {
    fn seen(&self, outcome: AttemptOutcome, health: Health, credential: CredentialUse) -> Step {
        let mut effects = vec![Effect::Health(said_of_itself(&outcome, health))];
        let next = match outcome {
            AttemptOutcome::Accepted(receipt) | AttemptOutcome::AlreadyApplied(receipt) => {
                effects.push(Effect::Answered);
                Next::Delivered(receipt)
            }
            AttemptOutcome::Rejected(rejection) => {
                effects.extend(after_rejection(&rejection));
                self.rejected(rejection)
            }
            AttemptOutcome::Credential { detail } => {
                effects.extend(after_refused_credential(credential, &detail));
                self.free_of_charge(&detail)
            }
            AttemptOutcome::Throttled { detail, wait } => {
                effects.push(Effect::Pause { floor: wait.floor });
                self.spent(self.free_after(wait.floor.unwrap_or_default(), &detail))
            }
            AttemptOutcome::Deferred { free_in } => self.free_after(free_in, &outcome.detail()),
            AttemptOutcome::Unavailable { detail, wait } => {
                effects.extend(asked_to_pause(&wait));
                self.spent(self.again(&wait, self.delivery.uncertain, self.delivery.ladder, detail))
            }
            AttemptOutcome::Uncertain { detail, wait } => {
                effects.extend(asked_to_pause(&wait));
                self.in_doubt(&wait, detail)
            }
        };
        Step { next, effects }
    }

    /// A look clears one send. Where nothing but a look keeps a second record away the next send wants one of its own, for an
    /// answer that denies what it did is all that it takes. A refused credential spends none: a look that is let in would
    /// make every refusal of the send the first one.
    fn spent(&self, mut next: Next) -> Next {
        let looks_first = self.policy.looks(self.delivery).is_some_and(|looks| looks.first);
        if let Next::Waiting { ladder, uncertain: false, .. } = &mut next
            && ladder.rung == Rung::Cleared
            && looks_first
            && self.policy.guard(self.delivery) == Guard::Find
        {
            *ladder = Ladder::default();
        }
        next
    }

    /// Two refusals are questions where somebody can be asked: whose is the record that exists, and did the failure that
    /// is stored for the key apply anything.
    fn rejected(&self, rejection: Rejection) -> Next {
        let rung = match rejection.mark {
            Mark::Exists => Some(Rung::Exists),
            Mark::StaleKey => Some(Rung::StaleKey),
            Mark::Record | Mark::Configuration | Mark::Gone | Mark::OurBug | Mark::Unmet => None,
        };
        match rung.zip(self.policy.looks(self.delivery)) {
            Some((rung, _)) => self.at_once(Ladder::at(rung)),
            None if rejection.mark == Mark::StaleKey && rejection.status.is_some_and(|status| status >= 500) => {
                self.in_doubt(&Wait::default(), rejection.detail)
            }
            None => self.parked(Problem::Rejected(rejection), false),
        }
    }

    /// May have taken effect: UNC-2 for a key guard, UNC-3 for unique, UNC-4 for find, UNC-5 for none.
    fn in_doubt(&self, wait: &Wait, detail: String) -> Next {
        if planted!(UncertainTakenForUnavailable) {
            return self.again(wait, false, Ladder::default(), detail);
        }
        match self.policy.guard(self.delivery) {
            Guard::Key { .. } | Guard::Unique => self.again(wait, true, Ladder::at(self.doubt()), detail),
            Guard::Find => self.look_later(wait, detail),
            Guard::None => self.parked(Problem::OutcomeUncertain { detail }, true),
        }
    }

    /// What comes from a copy stays what is looked for first (BAK-3), though it was under way when the copy was made.
    fn doubt(&self) -> Rung {
        if self.delivery.ladder.rung == Rung::Restored { Rung::Restored } else { Rung::Doubt }
    }

    /// The schedule (RET-1), with `Retry-After` as a floor (RET-3), inside the age limit and, in doubt under a key
    /// guard, inside the window: a pause that would overstep it is shortened to one last try before its end. Where the
    /// destination can be asked, a look follows the window instead.
    fn again(&self, wait: &Wait, uncertain: bool, ladder: Ladder, detail: String) -> Next {
        let failures = self.delivery.failures.saturating_add(1);
        if self.is_too_old() {
            return self.parked(Problem::TooOld { detail }, uncertain);
        }
        let limit = match ladder.rung {
            // A person looked, or we did.
            Rung::Asked | Rung::Cleared => None,
            _ if !uncertain || self.policy.looks(self.delivery).is_some() => None,
            _ => resend_limit(self.delivery, self.policy.guard, self.at.now),
        };
        if limit.is_some_and(|limit| self.at.now >= limit) {
            return self.parked(Problem::OutcomeUncertain { detail }, true);
        }
        let Some(delay) = self.policy.retry.delay(failures, self.at.jitter) else {
            return self.parked(Problem::RetriesExhausted { attempts: failures, detail }, uncertain);
        };
        let floor = later(self.at.now, wait.floor.unwrap_or_default());
        let due_at = later(self.at.now, delay).max(floor);
        let Some(limit) = limit else {
            return Next::Waiting { due_at, uncertain, counts: true, ladder };
        };
        let last = from_micros(limit.as_microsecond() - micros(WINDOW_MARGIN));
        if due_at <= last {
            Next::Waiting { due_at, uncertain, counts: true, ladder }
        } else if last > self.at.now && last >= floor {
            Next::Waiting { due_at: last, uncertain, counts: true, ladder }
        } else {
            self.parked(Problem::OutcomeUncertain { detail }, true)
        }
    }

    /// As soon as the destination takes anything again (RET-2).
    fn free_of_charge(&self, detail: &str) -> Next {
        self.free_after(Duration::ZERO, detail)
    }

    /// The same, no earlier than in that time.
    fn free_after(&self, rest: Duration, detail: &str) -> Next {
        if self.is_too_old() {
            return self.parked(Problem::TooOld { detail: detail.to_owned() }, false);
        }
        self.unchanged(later(self.at.now, rest), self.delivery.ladder)
    }

    fn withheld(&self, reason: Withheld) -> Next {
        match reason {
            Withheld::DestinationShut => match self.free_of_charge("not sent: the destination took nothing") {
                // It keeps its place among those that wait: the backlog drains oldest first.
                Next::Waiting { uncertain, counts, ladder, .. } => {
                    Next::Waiting { due_at: self.delivery.created_at.min(self.at.now), uncertain, counts, ladder }
                }
                other => other,
            },
            Withheld::WindowClosed => {
                let detail = "not sent again: the destination no longer remembers the key".to_owned();
                self.parked(Problem::OutcomeUncertain { detail }, true)
            }
            Withheld::InDoubt => {
                let detail = "not sent again: nothing protects from a second effect or says how to look".to_owned();
                self.parked(Problem::OutcomeUncertain { detail }, true)
            }
            Withheld::CannotWrite(detail) => self.parked(unmet(detail), false),
            Withheld::CannotAsk(detail) if self.delivery.uncertain => {
                self.parked(Problem::OutcomeUncertain { detail }, true)
            }
            Withheld::CannotAsk(detail) => {
                self.parked(Problem::Rejected(Rejection { mark: Mark::Configuration, status: None, detail }), false)
            }
            Withheld::MovedAway => {
                let detail = "not sent: the request is sealed for another host than the destination has now; replay \
                              it to send it there"
                    .to_owned();
                self.parked(Problem::Rejected(Rejection { mark: Mark::Configuration, status: None, detail }), false)
            }
            Withheld::TooOld => self.parked(Problem::TooOld { detail: "not sent".to_owned() }, false),
        }
    }

    fn parked(&self, problem: Problem, uncertain: bool) -> Next {
        let awaited = self.delivery.ahead == Ahead::Await;
        Next::Parked { problem, uncertain: uncertain || awaited || self.delivery.uncertain }
    }

    fn is_too_old(&self) -> bool {
        self.at.now >= later(self.delivery.created_at, self.policy.age_limit)
    }
}

/// RET-5: a refusal is an answer, whatever its status. A failure that is stored for one key is told from memory and says
/// nothing about how the destination is now; its repetitions must not shut the others out.
fn said_of_itself(outcome: &AttemptOutcome, health: Health) -> Health {
    match (outcome, health) {
        (AttemptOutcome::Rejected(_), Health::Failed) => Health::Answered,
        _ => health,
    }
}

fn after_rejection(rejection: &Rejection) -> Vec<Effect> {
    let reason = rejection.detail.clone();
    match rejection.mark {
        // Not even sent: that says something about the record's seal, nothing about the destination.
        Mark::Configuration | Mark::Unmet if rejection.status.is_none() => Vec::new(),
        Mark::Record | Mark::Exists | Mark::StaleKey | Mark::Unmet => vec![Effect::Answered],
        Mark::Configuration => vec![Effect::RefusedForConfiguration { reason }],
        Mark::Gone => vec![
            Effect::Hold { reason: format!("the destination says that it is gone: {reason}") },
            Effect::Alarm { what: reason },
        ],
        Mark::OurBug => {
            vec![Effect::Answered, Effect::Alarm { what: format!("a key was used with another payload: {reason}") }]
        }
    }
}

fn after_refused_credential(credential: CredentialUse, detail: &str) -> Option<Effect> {
    match credential {
        CredentialUse::Stale => None,
        CredentialUse::First => Some(Effect::RefreshCredential),
        CredentialUse::Refreshed => Some(Effect::Hold { reason: format!("our credential is refused: {detail}") }),
    }
}

/// RET-3: on 503 `Retry-After` speaks for the whole destination.
fn asked_to_pause(wait: &Wait) -> Option<Effect> {
    let floor = wait.floor.filter(|_| wait.whole_destination)?;
    Some(Effect::Pause { floor: Some(floor) })
}

fn unmet(detail: String) -> Problem {
    Problem::Rejected(Rejection { mark: Mark::Unmet, status: None, detail })
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
