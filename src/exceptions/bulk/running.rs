//! Carries acts out: one member at a time, at the rate of its act.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::{SharedEntropy, Timestamp, later};
use crate::envelope::ids::{BulkId, DeliveryId, ExceptionId};
use crate::exceptions::replay::{self, Asked, Desk, ReplayError};
use crate::exceptions::resend;
use crate::observe::{Event, Observer};
use crate::store::StoreError;
use crate::store::bulk::{BulkRow, Mark, Target, Turn};
use crate::store::write::Act;

/// Between two looks when nothing is due.
const LOOK: Duration = Duration::from_secs(1);
/// After a failure of the store.
const AGAIN: Duration = Duration::from_secs(5);
/// A member during whose turn the service ended so often is left to a person (POI-1).
const DEATHS_MAX: u32 = 2;

/// Carries acts out.
pub struct Runner {
    /// Replays.
    pub desk: Desk,
    /// Ids of second effects.
    pub entropy: SharedEntropy,
    /// Logs and counts.
    pub observer: Arc<Observer>,
    /// When the next member of an act may go.
    pub pace: Pace,
}

/// When the next member of each act may go: two members of one act are never closer than its rate says.
#[derive(Debug, Default)]
pub struct Pace(HashMap<BulkId, Timestamp>);

impl Pace {
    /// `None` for an act of which nothing went in this process. Never further away than its rate says: the wall clock
    /// may have been set back meanwhile (RUN-5).
    fn next(&mut self, id: BulkId, per_minute: u32, now: Timestamp) -> Option<Timestamp> {
        let next = self.0.get_mut(&id)?;
        *next = (*next).min(later(now, apart(per_minute)));
        Some(*next)
    }

    fn went(&mut self, id: BulkId, per_minute: u32, at: Timestamp) {
        self.0.insert(id, later(at, apart(per_minute)));
    }

    fn forget_but(&mut self, open: &[BulkRow]) {
        self.0.retain(|id, _| open.iter().any(|row| row.id == *id));
    }
}

fn apart(per_minute: u32) -> Duration {
    Duration::from_mins(1) / per_minute.max(1)
}

impl Runner {
    /// Works until the service stops.
    pub async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let mut counted = false;
        loop {
            let pause = match self.look(&mut counted).await {
                Ok(Some(next)) => {
                    let now = self.desk.clock.now();
                    Duration::try_from(now.duration_until(next)).unwrap_or_default().min(LOOK)
                }
                Ok(None) => LOOK,
                Err(StoreError::Stopped) => return,
                Err(error) => {
                    tracing::warn!(%error, "bulk acts wait for the store");
                    AGAIN
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stopped.changed() => return,
            }
        }
    }

    async fn look(&mut self, counted: &mut bool) -> Result<Option<Timestamp>, StoreError> {
        if !*counted {
            self.desk.store.count_deaths().await?;
            *counted = true;
        }
        self.pass().await
    }

    /// One member of each act whose turn it is; when the next may be due, if one is known.
    ///
    /// # Errors
    /// When the store cannot be read or written now; what was not marked is taken up again.
    pub async fn pass(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let open = self.desk.store.open_bulks().await?;
        self.pace.forget_but(&open);
        let mut next: Option<Timestamp> = None;
        for row in &open {
            let now = self.desk.clock.now();
            let due = self.pace.next(row.id, row.per_minute, now).or(row.begins_at).unwrap_or(now);
            let due = if due <= now && self.member(row, now).await? {
                self.pace.went(row.id, row.per_minute, now);
                later(now, apart(row.per_minute))
            } else {
                due.max(now)
            };
            next = Some(next.map_or(due, |earliest| earliest.min(due)));
        }
        Ok(next)
    }

    /// `false`: nobody's turn.
    async fn member(&self, row: &BulkRow, now: Timestamp) -> Result<bool, StoreError> {
        let Some(turn) = self.desk.store.take_turn(row.id, now).await? else { return Ok(false) };
        let skipped = if turn.deaths > DEATHS_MAX {
            Some(format!("the service ended {} times while it was worked on: replay it alone", turn.deaths))
        } else {
            match turn.target {
                Target::Replay(id) => self.replay(row, &turn, id).await?,
                Target::Resend(id) => self.resend(row, &turn, id).await?,
            }
        };
        if let Some(explanation) = skipped {
            let mark = Mark { bulk: row.id, number: turn.number, result: None, explanation, made: None };
            match self.desk.store.mark_member(mark, now).await {
                // Somebody stopped the act meanwhile, or what became of the member stands already.
                Ok(()) | Err(StoreError::NotAllowed(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Why it was not acted on, if it was not.
    async fn replay(&self, row: &BulkRow, turn: &Turn, id: ExceptionId) -> Result<Option<String>, StoreError> {
        let asked = Asked {
            actor: row.asked_by.clone(),
            reason: row.reason.clone(),
            from: from(row),
            keep: None,
            member: Some((row.id, turn.number)),
        };
        match replay::one(&self.desk, &asked, id).await {
            Ok(_) => {
                self.note(row, "exception.replay", &id.to_string());
                Ok(None)
            }
            Err(ReplayError::Store(error)) => skipped(error),
            Err(error) => Ok(Some(error.to_string())),
        }
    }

    async fn resend(&self, row: &BulkRow, turn: &Turn, id: DeliveryId) -> Result<Option<String>, StoreError> {
        let result = Some("resent".to_owned());
        let explanation = "a second effect, under a key of its own".to_owned();
        let act = Act {
            actor: row.asked_by.clone(),
            action: "delivery.resend".to_owned(),
            target: id.to_string(),
            before: String::new(),
            after: String::new(),
            reason: row.reason.clone(),
            from: from(row),
            at: self.desk.clock.now(),
            keep: None,
            member: Some(Mark { bulk: row.id, number: turn.number, result, explanation, made: None }),
        };
        let store = self.desk.store.as_ref();
        match resend::resend(store, self.entropy.as_ref(), id, &turn.subject_id, act).await {
            Ok(_) => {
                self.note(row, "delivery.resend", &id.to_string());
                (self.desk.wake)();
                Ok(None)
            }
            Err(error) => skipped(error),
        }
    }

    fn note(&self, row: &BulkRow, action: &'static str, target: &str) {
        self.observer.note(&Event::OperatorActed { actor: &row.asked_by, action, target });
    }
}

/// Where an act on a member comes from: the act on many, whose own audit row says from where that came.
fn from(row: &BulkRow) -> String {
    format!("bulk {}", row.id)
}

/// What is wrong with this member alone is told beside it; what is wrong with the store holds everything up.
fn skipped(error: StoreError) -> Result<Option<String>, StoreError> {
    match error {
        StoreError::NotAllowed(why) => Ok(Some(why)),
        StoreError::NotFound(what) => Ok(Some(format!("{what} does not exist any more"))),
        StoreError::Corrupt(why) => Ok(Some(format!("what is stored of it is damaged: {why}"))),
        StoreError::Busy
        | StoreError::Commit(_)
        | StoreError::Stopped
        | StoreError::BadCursor
        | StoreError::Unusable(_)
        | StoreError::Query(_) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{SeededEntropy, from_micros};

    #[test]
    fn run_5_a_clock_that_is_set_back_holds_an_act_up_for_no_longer_than_its_rate() {
        let (mut pace, at) = (Pace::default(), |seconds: i64| from_micros(seconds * 1_000_000));
        let id = BulkId::new(at(0), &SeededEntropy::new(1));
        assert_eq!(pace.next(id, 60, at(7_200)), None);
        pace.went(id, 60, at(7_200));
        assert_eq!(pace.next(id, 60, at(7_200)), Some(at(7_201)));
        assert_eq!(pace.next(id, 60, at(3_600)), Some(at(3_601)), "an hour back");
        assert_eq!(pace.next(id, 60, at(3_601)), Some(at(3_601)));
    }
}
