//! Orders read back from Commerce: what a payload only hinted at, in full and from one source.
//!
//! The processor writes down which orders are wanted; this room reads them, hands them to intake like anything else that
//! arrives, and then settles what waited for them. Everything that decides about time is in `rules`; one look is `look`.
//! A process may end between any two of these steps: the next one reads again and meets a duplicate.
//!
//! Deliberately absent: what an order is, and any mixing of what REST says with what the hint said.

mod look;
pub mod rules;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::clock::{SharedClock, SharedEntropy, Timestamp, later};
use crate::commerce::rest::{RestError, SharedRest};
use crate::domain::defect::{Defect, ExceptionCode};
use crate::envelope::ids::ExceptionId;
use crate::intake::Intake;
use crate::intake::read::{Found, FoundBy};
use crate::observe::{Event, Observer};
use crate::store::write::{AfterRead, NewException, ReadSettled, WantedRead};
use crate::store::{SharedStore, StoreError};

use look::{Seen, look};
use rules::Absent;

/// Reads handed out at once; the client of the instance limits how many of them run.
const AT_ONCE: u32 = 8;
/// How long a reader sleeps when nobody wakes it.
const POLL: Duration = Duration::from_millis(500);

/// What reads orders back.
pub struct ReadBack {
    /// Where wanted reads stand.
    pub store: SharedStore,
    /// Now.
    pub clock: SharedClock,
    /// Ids and jitter.
    pub entropy: SharedEntropy,
    /// Where what was read goes.
    pub intake: Arc<Intake>,
    /// Logs and counts.
    pub observer: Arc<Observer>,
    /// Rung when a read may be wanted.
    pub bell: Arc<Notify>,
    /// By the name of the instance.
    pub instances: BTreeMap<String, SharedRest>,
}

/// How one instance is doing.
#[derive(Debug, Default)]
struct Standing {
    /// Failures in a row that may pass.
    failures: u32,
    /// Refusals of our credentials in a row.
    refusals: u32,
    /// Nothing is asked before.
    rests_until: Option<Timestamp>,
}

/// What a read says of its instance.
enum Health {
    Well,
    Troubled(Option<Duration>),
    Refused(String),
}

impl Health {
    fn worse_of(self, other: Health) -> Health {
        match (self, other) {
            (Health::Refused(why), _) | (_, Health::Refused(why)) => Health::Refused(why),
            (Health::Troubled(one), Health::Troubled(other)) => Health::Troubled(one.max(other)),
            (Health::Troubled(asked), Health::Well) | (Health::Well, Health::Troubled(asked)) => {
                Health::Troubled(asked)
            }
            (Health::Well, Health::Well) => Health::Well,
        }
    }
}

impl ReadBack {
    /// Reads until `stopping` resolves. A store that stopped ends it; nothing else does.
    pub async fn run(self, stopping: watch::Receiver<bool>) {
        let this = Arc::new(self);
        let mut readers = tokio::task::JoinSet::new();
        for rest in this.instances.values() {
            readers.spawn(this.clone().serve(rest.clone(), stopping.clone()));
        }
        while let Some(ended) = readers.join_next().await {
            if let Err(failed) = ended {
                // The whole task ends with it, and whoever supervises it hears why.
                std::panic::resume_unwind(failed.into_panic());
            }
        }
    }

    async fn serve(self: Arc<Self>, rest: SharedRest, mut stopping: watch::Receiver<bool>) {
        let mut standing = Standing::default();
        'turns: while !*stopping.borrow() {
            let read = tokio::select! {
                // What was read and not written down is read again.
                _ = stopping.changed() => return,
                read = self.turn(&rest, &mut standing) => read,
            };
            match read {
                Ok(true) => continue 'turns,
                Ok(false) => {}
                Err(StoreError::Stopped) => return,
                Err(error) => {
                    tracing::error!(%error, "reading back could not reach the store and will try again");
                }
            }
            tokio::select! {
                // A bell rung before we listened is made up for by the pause, which is short.
                () = self.bell.notified() => {}
                () = tokio::time::sleep(POLL) => {}
                _ = stopping.changed() => return,
            }
        }
    }

    /// Reads what is due at one instance; whether there may be more.
    async fn turn(&self, rest: &SharedRest, standing: &mut Standing) -> Result<bool, StoreError> {
        let now = self.clock.now();
        if standing.rests_until.is_some_and(|until| now < until) {
            return Ok(false);
        }
        // After trouble one read finds out whether it is over.
        let at_once = if standing.failures + standing.refusals > 0 { 1 } else { AT_ONCE };
        let due = self.store.due_reads(rest.system().to_owned(), now, at_once).await?;
        let some = !due.is_empty();
        let mut reads = tokio::task::JoinSet::new();
        for wanted in due {
            let rest = rest.clone();
            reads.spawn(async move {
                let asked = wanted.read.clone();
                // POI-2: an answer that breaks an assumption of ours is one order's trouble, not the service's.
                let looking = tokio::spawn(async move { look(&*rest, &asked).await });
                let broken = |_| Seen::Other("reading it broke an assumption of ours".to_owned());
                let seen = looking.await.unwrap_or_else(broken);
                (wanted, seen)
            });
        }
        // Reads that failed side by side met one trouble, and are one reason to rest.
        let mut worst: Option<Health> = None;
        while let Some(read) = reads.join_next().await {
            match read {
                Ok((wanted, seen)) => {
                    let health = self.settle(&wanted, seen).await?;
                    worst = Some(match worst {
                        Some(before) => before.worse_of(health),
                        None => health,
                    });
                }
                Err(failed) => std::panic::resume_unwind(failed.into_panic()),
            }
        }
        if let Some(health) = worst {
            self.note(rest.system(), standing, health);
        }
        Ok(some && standing.rests_until.is_none())
    }

    fn note(&self, system: &str, standing: &mut Standing, health: Health) {
        let jitter = self.entropy.unit();
        let now = self.clock.now();
        match health {
            Health::Well => {
                if standing.refusals > 0 {
                    self.observer.note(&Event::ReadsHeld { system, held: false, why: "" });
                }
                *standing = Standing::default();
            }
            Health::Troubled(asked) => {
                standing.failures = standing.failures.saturating_add(1);
                standing.rests_until = Some(later(now, rules::rest_after(standing.failures, asked, jitter)));
            }
            Health::Refused(why) => {
                if standing.refusals == 0 {
                    self.observer.note(&Event::ReadsHeld { system, held: true, why: &why });
                }
                standing.refusals = standing.refusals.saturating_add(1);
                standing.rests_until = Some(later(now, rules::held_after(standing.refusals, jitter)));
            }
        }
    }

    /// Writes down what a look came to. Trouble of the instance changes nothing about its reads: they stay due.
    async fn settle(&self, wanted: &WantedRead, seen: Seen) -> Result<Health, StoreError> {
        let system = &wanted.read.system;
        let ended = |outcome, detail: &str| self.observer.note(&Event::ReadEnded { system, outcome, detail });
        let next = match seen {
            Seen::Order(body) => {
                ended("read", "");
                let found = Found { system: system.clone(), body, by: FoundBy::ReadBack };
                AfterRead::Read(self.intake.take_read_as(found).await?.0)
            }
            Seen::Absent => {
                ended("absent", "");
                self.absent(wanted)
            }
            Seen::Other(words) => {
                ended("other", &words);
                self.parked(wanted, other(wanted, &words))
            }
            Seen::Failed(error) => {
                let words = error.to_string();
                ended(outcome_of(&error), &words);
                match error {
                    RestError::Unauthorized(_) => return Ok(Health::Refused(words)),
                    RestError::Limited { retry_after } | RestError::Unavailable { retry_after, .. } => {
                        return Ok(Health::Troubled(retry_after));
                    }
                    RestError::Unreachable(_) => return Ok(Health::Troubled(None)),
                    RestError::NotFound(_) => self.absent(wanted),
                    RestError::Refused { .. } | RestError::TooLarge(_) => self.parked(wanted, unusable(wanted, &words)),
                }
            }
        };
        let opened = match &next {
            AfterRead::Later { exception: Some(opened), .. } | AfterRead::Parked(opened) => Some(opened.clone()),
            _ => None,
        };
        let settled = ReadSettled { row: wanted.row, until: wanted.until, next, at: self.clock.now() };
        if self.store.settle_read(settled).await?
            && let Some(opened) = opened
        {
            self.observer.note(&Event::opened(&opened));
        }
        Ok(Health::Well)
    }

    fn absent(&self, wanted: &WantedRead) -> AfterRead {
        let now = self.clock.now();
        let age = Duration::try_from(now.duration_since(wanted.asked_at)).unwrap_or_default();
        match rules::absent(wanted.read.patience, age) {
            Absent::Again(pause) => AfterRead::Later { due_at: later(now, pause), exception: None },
            Absent::AgainTold(pause) => {
                let exception = self.exception(wanted, absent_defect(wanted));
                AfterRead::Later { due_at: later(now, pause), exception: Some(Box::new(exception)) }
            }
            Absent::NeverCame => AfterRead::Ignored(
                "announced before it was saved, and it never came to exist: a reserved number that no order took. Gaps \
                 between numbers are normal"
                    .to_owned(),
            ),
            Absent::GivenUp => self.parked(wanted, absent_defect(wanted)),
        }
    }

    fn parked(&self, wanted: &WantedRead, defect: Defect) -> AfterRead {
        AfterRead::Parked(Box::new(self.exception(wanted, defect)))
    }

    fn exception(&self, wanted: &WantedRead, defect: Defect) -> NewException {
        let now = self.clock.now();
        NewException {
            id: ExceptionId::new(now, &*self.entropy),
            code: defect.code.as_str().to_owned(),
            severity: defect.code.severity().as_str().to_owned(),
            owner: defect.code.owner().as_str().to_owned(),
            subject: wanted.subject.clone(),
            destination: None,
            delivery: None,
            fingerprint: defect.fingerprint(),
            path: defect.path,
            value: defect.value,
            message: defect.message,
            remedy: defect.remedy,
            opened_at: now,
        }
    }
}

/// The label's value.
fn outcome_of(error: &RestError) -> &'static str {
    match error {
        RestError::NotFound(_) => "absent",
        RestError::Unauthorized(_) => "unauthorized",
        RestError::Refused { .. } => "refused",
        RestError::Limited { .. } => "limited",
        RestError::Unavailable { .. } => "unavailable",
        RestError::Unreachable(_) => "unreachable",
        RestError::TooLarge(_) => "too_large",
    }
}

fn absent_defect(wanted: &WantedRead) -> Defect {
    let system = &wanted.read.system;
    Defect {
        code: ExceptionCode::OrderNotFound,
        path: String::new(),
        value: Some(wanted.subject.id.clone()),
        message: format!("order {} was announced, and Commerce ({system}) does not know it", wanted.subject.id),
        remedy:
            "Look for the order in Commerce's admin. It is looked for again for a day and closes this by itself when \
                 it is there; ignore this if it was deleted."
                .to_owned(),
        cause: format!("absent {system}"),
    }
}

fn other(wanted: &WantedRead, words: &str) -> Defect {
    let system = &wanted.read.system;
    Defect {
        code: ExceptionCode::UnreadablePayload,
        path: String::new(),
        value: Some(wanted.subject.id.clone()),
        message: format!("order {} could not be read back from Commerce ({system}): {words}", wanted.subject.id),
        remedy:
            "Nothing was made of it. Check that the sender and [commerce] name the same Commerce instance, and the \
                 origin's default_store_id; then replay."
                .to_owned(),
        cause: format!("other order {system}"),
    }
}

fn unusable(wanted: &WantedRead, words: &str) -> Defect {
    let system = &wanted.read.system;
    Defect {
        code: ExceptionCode::UnreadablePayload,
        path: String::new(),
        value: Some(wanted.subject.id.clone()),
        message: format!("order {} could not be read back from Commerce ({system}): {words}", wanted.subject.id),
        remedy:
            "Look at the order in Commerce; send it through a flow or an import if it is beyond what is read, then \
                 ignore this, or replay to read it again."
                .to_owned(),
        cause: format!("unreadable order {system}"),
    }
}
