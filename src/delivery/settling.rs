//! The end of an attempt: its outcome and what follows are made durable, however long the store is busy.

use std::time::Duration;

use tokio::time::sleep;

use super::events::Finished;
use super::machine::Next;
use super::parking::{self, Parked};
use super::sending::Identity;
use super::worker::Engine;
use crate::clock::Timestamp;
use crate::envelope::ids::{DeliveryId, ExceptionId};
use crate::envelope::keys::{IdempotencyKey, KeyParts};
use crate::store::write::{AttemptSeen, NewDelivery, NewException, NextState, Progress, Settlement, Subject};
use crate::store::{Answer, StoreError};

/// Which attempt is settled.
pub(super) struct Settling<'a> {
    pub(super) destination: &'a str,
    pub(super) delivery: DeliveryId,
    pub(super) number: u32,
    pub(super) epoch: i64,
    pub(super) subject: &'a Subject,
    pub(super) purpose: &'a str,
    /// `None` for what was interrupted, which is never renewed.
    pub(super) identity: Option<&'a Identity>,
    pub(super) created_at: Timestamp,
    pub(super) progress: Option<Progress>,
}

pub(super) async fn settle(
    engine: &Engine,
    settling: &Settling<'_>,
    seen: &AttemptSeen,
    elapsed: Duration,
    next: &Next,
    at: Timestamp,
) {
    let exception = exception(engine, settling, next, at);
    let successor = DeliveryId::new(at, engine.entropy.as_ref());
    let renewal = || renewed(engine, settling, successor, at);
    let settlement = || Settlement {
        delivery: settling.delivery,
        number: settling.number,
        epoch: settling.epoch,
        seen: seen.clone(),
        next: next_state(next, exception.as_ref(), &renewal),
        progress: settling.progress.clone(),
        at,
    };
    let Some(counted) = persist(settling.delivery, || engine.store.settle(settlement())).await else {
        return;
    };
    engine.events.attempt_finished(&Finished {
        destination: settling.destination,
        delivery: settling.delivery,
        number: settling.number,
        outcome: &seen.outcome,
        detail: &seen.detail,
        elapsed,
    });
    if !counted {
        tracing::warn!(delivery.id = %settling.delivery, attempt = settling.number, "an attempt was settled by someone else");
        return;
    }
    if let Some(exception) = &exception {
        engine.events.exception_opened(exception);
    }
    if matches!(next, Next::Delivered(_)) {
        let age = at.duration_since(settling.created_at).try_into().unwrap_or_default();
        engine.events.delivery_settled(settling.destination, settling.delivery, age);
    }
}

/// Writes the outcome down, however long the store is busy. `None`: it cannot be written; the attempt stays started.
async fn persist<'a>(delivery: DeliveryId, settle: impl Fn() -> Answer<'a, bool>) -> Option<bool> {
    let mut pause = Duration::from_millis(10);
    loop {
        match settle().await {
            Ok(counted) => return Some(counted),
            Err(StoreError::Stopped) => return None,
            Err(error) if error.is_retryable() => {
                tracing::warn!(delivery.id = %delivery, reason = %error, "an outcome could not be written yet");
            }
            Err(error) => {
                tracing::error!(delivery.id = %delivery, reason = %error, "an outcome cannot be written");
                return None;
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

fn exception(engine: &Engine, settling: &Settling<'_>, next: &Next, at: Timestamp) -> Option<NewException> {
    match next {
        Next::Parked { problem, uncertain } => {
            let parked = Parked {
                delivery: settling.delivery,
                destination: settling.destination,
                subject: settling.subject,
                purpose: settling.purpose,
                uncertain: *uncertain,
            };
            Some(parking::exception(ExceptionId::new(at, engine.entropy.as_ref()), problem, &parked, at))
        }
        Next::Delivered(_) | Next::Waiting { .. } | Next::Renewed => None,
    }
}

/// KEY-3 b: the same content under the next generation's key.
fn renewed(engine: &Engine, settling: &Settling<'_>, id: DeliveryId, at: Timestamp) -> NewDelivery {
    let Identity { revision, generation, document } =
        settling.identity.expect("only what was looked for in this process is renewed");
    let generation = generation.saturating_add(1);
    let subject = settling.subject;
    let key = IdempotencyKey::derive(&KeyParts {
        installation: engine.store.installation_id(),
        destination: settling.destination,
        system: &subject.system,
        subject_kind: &subject.kind,
        subject_scope: &subject.scope,
        subject_id: &subject.id,
        purpose: settling.purpose,
        revision,
        generation,
    });
    NewDelivery {
        id,
        key,
        destination: settling.destination.to_owned(),
        document: *document,
        purpose: settling.purpose.to_owned(),
        revision: revision.clone(),
        generation,
        due_at: at,
        overtakes: false,
        report: None,
        express: None,
    }
}

fn next_state(next: &Next, exception: Option<&NewException>, renewal: &dyn Fn() -> NewDelivery) -> NextState {
    match next {
        Next::Delivered(receipt) => NextState::Delivered { receipt: receipt.0.clone() },
        Next::Waiting { due_at, uncertain, counts, ladder } => {
            NextState::Waiting { due_at: *due_at, uncertain: *uncertain, counts: *counts, ladder: *ladder }
        }
        Next::Renewed => NextState::Renewed { delivery: Box::new(renewal()) },
        Next::Parked { uncertain, .. } => NextState::Parked {
            exception: Box::new(exception.expect("a parked delivery has its exception").clone()),
            uncertain: *uncertain,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::clock::{SeededEntropy, from_micros};

    /// What becomes of an outcome when the store answers like this, in order; and how often it was asked.
    async fn persisted(answers: Vec<Result<bool, StoreError>>) -> (Option<bool>, usize) {
        let given = answers.len();
        let answers = Mutex::new(answers);
        let id = DeliveryId::new(from_micros(0), &SeededEntropy::new(1));
        let settle = || {
            let answer = answers.lock().unwrap().remove(0);
            Box::pin(async move { answer }) as Answer<'_, bool>
        };
        (persist(id, settle).await, given - answers.lock().unwrap().len())
    }

    #[tokio::test(start_paused = true)]
    async fn an_outcome_is_written_however_long_the_store_is_busy() {
        let busy = || Err(StoreError::Busy);
        let failed = || Err(StoreError::Commit("disk full".into()));
        assert_eq!(persisted(vec![busy(), failed(), busy(), Ok(true)]).await, (Some(true), 4));
        assert_eq!(persisted(vec![busy(), Ok(false), Ok(true)]).await, (Some(false), 2));
    }

    #[tokio::test(start_paused = true)]
    async fn an_outcome_for_a_stopped_store_is_left_to_the_next_start() {
        assert_eq!(persisted(vec![Err(StoreError::Busy), Err(StoreError::Stopped), Ok(true)]).await, (None, 2));
        assert_eq!(persisted(vec![Err(StoreError::NotFound("it".into())), Ok(true)]).await, (None, 1));
    }
}
