//! The way out of doubt (delivery-semantics section 9): what the next attempt of a delivery does, and what follows from a
//! look. Pure, as its parent.
//!
//! What the next attempt does:
//!
//! | rung                | guard key                       | unique | find           | none                  |
//! |---------------------|---------------------------------|--------|----------------|-----------------------|
//! | fresh               | send                            | send   | look, if `first`; else send | send           |
//! | cleared             | send                            | send   | send           | send                  |
//! | doubt               | send in the window; then look, else a person | send | look | a person              |
//! | restored            | look; without one as doubt      | look   | look           | a person              |
//! | exists, stale key   | look, else a person             | look   | look           | a person              |
//! | asked by a person   | send; past the window look once | send   | look once      | send                  |
//!
//! What follows from a look (`unique` and `key` may ask for a first look too, if configuration says so, before anything
//! was sent; under `find` alone nothing else stands between a refusal that was none and a second record, so every retry
//! begins with one):
//!
//! | the look says       | next                                                                                     |
//! |---------------------|------------------------------------------------------------------------------------------|
//! | ours                | delivered                                                                                |
//! | ours, but different | parked `found_different`                                                                 |
//! | several             | parked `found_many`, alarm                                                               |
//! | absent: fresh, asked| cleared: may be sent                                                                     |
//! | absent: doubt, restored | after the second in a row, `settle_after` apart, cleared and no longer in doubt      |
//! | absent: exists      | after the second in a row parked `rejected_by_destination`                               |
//! | absent: stale key   | after the second in a row the next generation (KEY-3 b)                                  |
//! | failed              | looked again by the schedule (UNC-6); at its end a person                                |
//! | unmet               | parked `rejected_by_destination`                                                         |
//! | unfinished          | gone on with by the schedule; refused or at its end parked; in no doubt any more          |
//! | stuck               | parked `rejected_by_destination`                                                         |
//! | totals differ       | parked `totals_differ_at_destination`                                                    |
//! | making              | asked again, at longer and longer intervals, at no charge (a job makes it there)         |
//! | unseen              | asked again by the schedule; at its end parked `outcome_uncertain`                       |
//! | not made            | parked `rejected_by_destination`; a person's retry is the next generation (KEY-3 b)      |
//! | forgotten           | the second in a row, `settle_after` apart, parked `outcome_uncertain`; then as not made  |
//!
//! A delivery of several steps whose record is there always looks: what is left to do is read from what is there. One that
//! needs something asked before it can be written looks before it is sent.

use std::time::Duration;

use super::{
    Ahead, AttemptOutcome, Case, CredentialUse, Effect, Finding, Guard, Health, InFlight, Ladder, Mark, Next, Policy,
    Problem, Rejection, Rung, Step, Timestamp, Wait, Withheld, after_refused_credential, after_rejection,
    asked_to_pause, later, resend_limit, unmet,
};

/// UNC-4: that many looks in a row must find nothing.
const ABSENT_ENOUGH: u32 = 2;

/// Keys that are given up by themselves for one effect. A new key has no stored failure; a destination that says so again
/// and again is not to be believed.
const GENERATIONS_MAX: u32 = 5;

/// A job that makes a record is asked again after such a part of the time that it has taken.
const JOB_PART: u32 = 4;
/// But at least so often.
const JOB_PAUSE_MAX: Duration = Duration::from_mins(15);

/// What the next attempt of a delivery does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Sends it.
    Send,
    /// Looks whether it is there.
    Look,
    /// Nothing; a person is told.
    Withhold(Withheld),
}

/// What to do with a delivery whose turn it is.
pub fn turn(delivery: &InFlight, policy: &Policy, now: Timestamp) -> Turn {
    // Nothing counted although it was sent: a person sent it again, or none of the attempts was its fault.
    let excused = delivery.ladder.rung == Rung::Asked || (delivery.sent && delivery.failures == 0);
    // What a job makes is looked at once more before its age ends it.
    let excused = excused || delivery.ahead == Ahead::Await;
    if !excused && now >= later(delivery.created_at, policy.age_limit) {
        return Turn::Withhold(Withheld::TooOld);
    }
    if matches!(delivery.ahead, Ahead::Finish | Ahead::Await | Ahead::Renew) {
        return Turn::Look;
    }
    match rung_turn(delivery, policy, now) {
        Turn::Send if delivery.ahead == Ahead::Prepare => Turn::Look,
        turn => turn,
    }
}

fn rung_turn(delivery: &InFlight, policy: &Policy, now: Timestamp) -> Turn {
    let looks = policy.looks(delivery);
    let unguarded = matches!(policy.guard(delivery), Guard::Find);
    let looks_first = looks.is_some_and(|looks| looks.first) && (!delivery.sent || unguarded);
    match delivery.ladder.rung {
        // In doubt without a rung: marked from outside.
        Rung::Fresh if delivery.uncertain => in_doubt(delivery, policy, now),
        Rung::Fresh if looks_first => Turn::Look,
        Rung::Fresh | Rung::Cleared => Turn::Send,
        Rung::Restored | Rung::Exists | Rung::StaleKey if looks.is_some() => Turn::Look,
        Rung::Doubt | Rung::Restored => in_doubt(delivery, policy, now),
        Rung::Exists | Rung::StaleKey => Turn::Withhold(Withheld::InDoubt),
        Rung::Asked => asked(delivery, policy, now, looks_first),
    }
}

fn in_doubt(delivery: &InFlight, policy: &Policy, now: Timestamp) -> Turn {
    match policy.guard(delivery) {
        Guard::Key { .. } if !is_window_over(delivery, policy, now) => Turn::Send,
        Guard::Key { .. } if policy.looks(delivery).is_some() => Turn::Look,
        Guard::Key { .. } => Turn::Withhold(Withheld::WindowClosed),
        Guard::Unique => Turn::Send,
        Guard::Find => Turn::Look,
        Guard::None => Turn::Withhold(Withheld::InDoubt),
    }
}

/// A person's word suffices where nobody can be asked; where somebody can, one look is cheaper than a second order.
fn asked(delivery: &InFlight, policy: &Policy, now: Timestamp, looks_first: bool) -> Turn {
    let in_question = match policy.guard(delivery) {
        // A refusal may be a lie: a page that a form leads to when it has made the record, an error of the step behind it.
        Guard::Find => true,
        Guard::Key { .. } => delivery.uncertain && is_window_over(delivery, policy, now),
        Guard::Unique | Guard::None => false,
    };
    if policy.looks(delivery).is_some() && (in_question || looks_first) { Turn::Look } else { Turn::Send }
}

/// UNC-2, counted from the first send; of a delivery that may have been sent before we can remember, from its making.
fn is_window_over(delivery: &InFlight, policy: &Policy, now: Timestamp) -> bool {
    let since = if delivery.sent { delivery.first_attempt_at } else { delivery.created_at };
    resend_limit(&InFlight { first_attempt_at: since, ..delivery.clone() }, policy.guard, now)
        .is_some_and(|limit| now >= limit)
}

impl Case<'_> {
    /// What follows from a look. It uses the destination as a send does and never counts as one.
    pub(super) fn looked(&self, finding: Finding, health: Health, credential: CredentialUse) -> Step {
        let mut effects = vec![Effect::Health(health)];
        let next = match finding {
            Finding::Ours(receipt) => {
                effects.push(Effect::Answered);
                Next::Delivered(receipt)
            }
            Finding::Different { detail, .. } => {
                effects.push(Effect::Answered);
                self.parked(Problem::FoundDifferent { detail }, self.may_be_ours())
            }
            Finding::Many { detail, .. } => {
                effects.extend([Effect::Answered, Effect::Alarm { what: detail.clone() }]);
                self.parked(Problem::FoundMany { detail }, self.may_be_ours())
            }
            Finding::Absent => {
                effects.push(Effect::Answered);
                self.absent()
            }
            Finding::Failed(outcome) => self.look_failed(outcome, credential, &mut effects),
            Finding::Unmet(detail) => self.parked(unmet(detail), false),
            Finding::Unfinished { outcome, .. } => self.unfinished(outcome, credential, &mut effects),
            Finding::Stuck { detail, .. } => Next::Parked { problem: unmet(detail), uncertain: false },
            Finding::Making { detail, wait } => {
                effects.push(Effect::Answered);
                self.making(&wait, detail)
            }
            Finding::Unseen { outcome } => self.unseen(outcome, credential, &mut effects),
            Finding::NotMade(rejection) => {
                effects.push(Effect::Answered);
                Next::Parked { problem: Problem::Rejected(rejection), uncertain: false }
            }
            Finding::Forgotten { detail } => {
                effects.push(Effect::Answered);
                self.forgotten(detail)
            }
            Finding::TotalsDiffer { detail, .. } => {
                effects.push(Effect::Answered);
                Next::Parked { problem: Problem::TotalsDiffer { detail }, uncertain: false }
            }
        };
        Step { next, effects }
    }

    /// Whether what was found may be an effect of ours although the last answer denied it: no new key then (KEY-3 a).
    fn may_be_ours(&self) -> bool {
        self.delivery.ladder.rung == Rung::StaleKey
    }

    /// UNC-6: an ordinary retry of the look.
    fn look_failed(&self, outcome: AttemptOutcome, credential: CredentialUse, effects: &mut Vec<Effect>) -> Next {
        match outcome {
            AttemptOutcome::Credential { detail } => {
                effects.extend(after_refused_credential(credential, &detail));
                self.free_of_charge(&detail)
            }
            AttemptOutcome::Throttled { detail, wait } => {
                effects.push(Effect::Pause { floor: wait.floor });
                self.free_after(wait.floor.unwrap_or_default(), &detail)
            }
            AttemptOutcome::Deferred { free_in } => self.free_after(free_in, &outcome.detail()),
            AttemptOutcome::Rejected(rejection) => {
                effects.extend(after_rejection(&rejection));
                self.look_again(&Wait::default(), &rejection.detail)
            }
            AttemptOutcome::Unavailable { detail, wait } | AttemptOutcome::Uncertain { detail, wait } => {
                effects.extend(asked_to_pause(&wait));
                self.look_again(&wait, &detail)
            }
            // No look says so; whatever it is, it is not knowledge.
            AttemptOutcome::Accepted(_) | AttemptOutcome::AlreadyApplied(_) => {
                self.look_again(&Wait::default(), "an answer that no look gives")
            }
        }
    }

    /// The record is there, so nothing is in doubt; what follows is tried again as a look is.
    fn unfinished(&self, outcome: AttemptOutcome, credential: CredentialUse, effects: &mut Vec<Effect>) -> Next {
        let ladder = Ladder { rung: Rung::Cleared, absent: 0, look_failures: self.delivery.ladder.look_failures };
        let sure = InFlight { uncertain: false, ladder, ahead: Ahead::Finish, ..self.delivery.clone() };
        let case = Case { delivery: &sure, policy: self.policy, at: self.at };
        match outcome {
            AttemptOutcome::Rejected(rejection) => {
                effects.extend(after_rejection(&rejection));
                case.parked(Problem::Rejected(rejection), false)
            }
            outcome => case.look_failed(outcome, credential, effects),
        }
    }

    /// A job makes it. That is no failure, however often it is asked; only its age ends it.
    fn making(&self, wait: &Wait, detail: String) -> Next {
        if self.is_too_old() {
            return self.parked(Problem::TooOld { detail }, true);
        }
        let since = self.at.now.duration_since(self.delivery.first_attempt_at);
        let part = Duration::try_from(since).unwrap_or_default() / JOB_PART;
        let least = self.policy.retry.delay(1, self.at.jitter).unwrap_or(Duration::from_secs(2));
        let pause = part.min(JOB_PAUSE_MAX).max(least).max(wait.floor.unwrap_or_default());
        let due_at = later(self.at.now, pause);
        // Whether the request was taken is known now; what comes of it the job says.
        Next::Waiting { due_at, uncertain: false, counts: false, ladder: Ladder::at(Rung::Cleared) }
    }

    /// It may have been made, so what ends here is in doubt.
    fn unseen(&self, outcome: AttemptOutcome, credential: CredentialUse, effects: &mut Vec<Effect>) -> Next {
        let doubted = InFlight { uncertain: true, ahead: Ahead::Await, ..self.delivery.clone() };
        Case { delivery: &doubted, policy: self.policy, at: self.at }.look_failed(outcome, credential, effects)
    }

    fn forgotten(&self, detail: String) -> Next {
        if self.is_too_old() {
            return self.parked(Problem::TooOld { detail }, true);
        }
        let absent = self.delivery.ladder.absent.saturating_add(1);
        if absent >= ABSENT_ENOUGH {
            return self.parked(Problem::OutcomeUncertain { detail }, true);
        }
        let ladder = Ladder { rung: self.delivery.ladder.rung, absent, look_failures: 0 };
        Next::Waiting { due_at: later(self.at.now, self.settle_after()), uncertain: true, counts: false, ladder }
    }

    fn look_again(&self, wait: &Wait, detail: &str) -> Next {
        let Ladder { rung, absent, look_failures } = self.delivery.ladder;
        let failures = look_failures.saturating_add(1);
        let detail = match self.delivery.ahead {
            Ahead::Finish | Ahead::Await => detail.to_owned(),
            Ahead::Nothing | Ahead::Prepare | Ahead::Renew => format!("it could not be looked for: {detail}"),
        };
        if self.is_too_old() {
            return self.parked(Problem::TooOld { detail }, false);
        }
        match self.policy.retry.delay(failures, self.at.jitter) {
            Some(delay) => {
                let due_at = later(self.at.now, delay.max(wait.floor.unwrap_or_default()));
                self.unchanged(due_at, Ladder { rung, absent, look_failures: failures })
            }
            None if self.delivery.uncertain => self.parked(Problem::OutcomeUncertain { detail }, true),
            None => self.parked(Problem::RetriesExhausted { attempts: failures, detail }, false),
        }
    }

    fn absent(&self) -> Next {
        if self.delivery.ahead == Ahead::Renew {
            return Next::Renewed;
        }
        if self.policy.looks(self.delivery).is_none() {
            // Nobody was asked whether it is there, only what it needs: what was in doubt still is. What a person wanted asked
            // anew was.
            let asked = self.delivery.ladder.rung == Rung::Asked;
            return self.at_once(if asked { Ladder::at(Rung::Cleared) } else { self.delivery.ladder });
        }
        let absent = self.delivery.ladder.absent.saturating_add(1);
        let rung = match self.delivery.ladder.rung {
            Rung::Fresh if self.delivery.uncertain => Rung::Doubt,
            rung => rung,
        };
        match rung {
            Rung::Fresh | Rung::Cleared | Rung::Asked => self.at_once(Ladder::at(Rung::Cleared)),
            _ if absent < ABSENT_ENOUGH => {
                let due_at = later(self.at.now, self.settle_after());
                self.unchanged(due_at, Ladder { rung, absent, look_failures: 0 })
            }
            Rung::Doubt | Rung::Restored => self.cleared(),
            Rung::Exists => {
                let detail = "it was refused as existing already, and two looks found nothing of ours there".to_owned();
                self.parked(Problem::Rejected(Rejection { mark: Mark::Exists, status: None, detail }), false)
            }
            Rung::StaleKey if self.delivery.generation < GENERATIONS_MAX => Next::Renewed,
            Rung::StaleKey => {
                let detail = "it repeats a stored failure for every new key".to_owned();
                self.parked(Problem::Rejected(Rejection { mark: Mark::StaleKey, status: None, detail }), false)
            }
        }
    }

    /// UNC-4: absent twice. What was in doubt was not applied; it is sent again if the schedule has a try left.
    fn cleared(&self) -> Next {
        let failures = self.delivery.failures;
        if failures > 0 && self.policy.retry.delay(failures, 0.5).is_none() {
            let detail = "two looks found that the last attempt was not applied".to_owned();
            return Next::Parked {
                problem: Problem::RetriesExhausted { attempts: failures, detail },
                uncertain: false,
            };
        }
        Next::Waiting { due_at: self.at.now, uncertain: false, counts: false, ladder: Ladder::at(Rung::Cleared) }
    }

    /// UNC-4: the first look comes when the request has had time to show. The failure that led here counts.
    pub(super) fn look_later(&self, wait: &Wait, detail: String) -> Next {
        if self.is_too_old() {
            return self.parked(Problem::TooOld { detail }, true);
        }
        let due_at = later(self.at.now, self.settle_after().max(wait.floor.unwrap_or_default()));
        Next::Waiting { due_at, uncertain: true, counts: true, ladder: Ladder::at(Rung::Doubt) }
    }

    /// As soon as the destination takes anything, at no charge.
    pub(super) fn at_once(&self, ladder: Ladder) -> Next {
        self.unchanged(self.at.now, ladder)
    }

    pub(super) fn unchanged(&self, due_at: Timestamp, ladder: Ladder) -> Next {
        Next::Waiting { due_at, uncertain: self.delivery.uncertain, counts: false, ladder }
    }

    fn settle_after(&self) -> Duration {
        self.policy.looks(self.delivery).map_or(Duration::from_mins(1), |looks| looks.settle_after)
    }
}

#[cfg(test)]
mod tests;
