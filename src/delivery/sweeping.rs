//! P6, bounded silence: what nobody would otherwise look at again is found and given its next step.
//!
//! Three kinds. A delivery past its age limit behind a shut destination (RET-2). An attempt that is started in the store
//! while nobody in this process holds it: its task died, or the answer of its commit was lost; it is uncertain, as after
//! the death of the process. A delivery for a destination that is no longer configured: a person is told.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::dispatcher;
use super::parking;
use super::sending;
use super::worker::Engine;
use crate::envelope::ids::{DeliveryId, ExceptionId};
use crate::store::StoreError;

/// Which deliveries somebody in this process works on.
#[derive(Debug, Default)]
pub(super) struct Roll(Mutex<HashMap<DeliveryId, u32>>);

/// Keeps a delivery on the roll as long as it lives.
#[derive(Debug)]
pub(super) struct Held {
    roll: Arc<Roll>,
    delivery: DeliveryId,
}

impl Roll {
    /// Somebody works on it from now on.
    pub(super) fn hold(self: &Arc<Self>, delivery: DeliveryId) -> Held {
        *self.lock().entry(delivery).or_default() += 1;
        Held { roll: Arc::clone(self), delivery }
    }

    fn all(&self) -> HashSet<DeliveryId> {
        self.lock().keys().copied().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<DeliveryId, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut roll = self.roll.lock();
        if let Some(count) = roll.get_mut(&self.delivery) {
            *count -= 1;
            if *count == 0 {
                roll.remove(&self.delivery);
            }
        }
    }
}

/// One look at all three kinds. A failure of one is told and does not keep the others from being looked at.
pub(super) async fn sweep(engine: &Arc<Engine>) {
    for gate in &engine.gates {
        tell("past its age limit", dispatcher::sweep_one(engine, gate).await);
    }
    tell("left under way", orphans(engine).await);
    tell("for a destination that is gone", stranded(engine).await);
}

fn tell(what: &str, swept: Result<(), StoreError>) {
    match swept {
        Ok(()) | Err(StoreError::Stopped) => {}
        Err(error) => tracing::warn!(reason = %error, "the store could not say what is {what}"),
    }
}

/// Settles as uncertain what is past its deadline and held by nobody.
async fn orphans(engine: &Arc<Engine>) -> Result<(), StoreError> {
    // Looked at before the store is asked: whoever lets go in between has settled, and the epoch tells.
    let held_before = engine.roll.all();
    for one in engine.store.overdue_attempts(engine.clock.now()).await? {
        let id = one.delivery.id;
        if held_before.contains(&id) || engine.roll.all().contains(&id) {
            continue;
        }
        let what =
            format!("attempt {} of {id} was started and nobody works on it: it is taken as uncertain", one.number);
        engine.events.alarm(&one.delivery.destination, &what);
        let detail = "the attempt was started and lost sight of; it may have been sent";
        sending::settle_interrupted(Arc::clone(engine), one, detail).await;
        engine.wake.notify_one();
    }
    Ok(())
}

/// Parks what waits for a destination that the configuration does not name: nobody else would ever look at it.
async fn stranded(engine: &Arc<Engine>) -> Result<(), StoreError> {
    let known: Vec<String> = engine.gates.iter().map(|gate| gate.name().to_owned()).collect();
    loop {
        let stranded = engine.store.stranded_deliveries(known.clone()).await?;
        let mut parked = false;
        for due in stranded {
            let now = engine.clock.now();
            let about = parking::Parked {
                delivery: due.id,
                destination: &due.destination,
                subject: &due.subject,
                purpose: &due.purpose,
                uncertain: due.uncertain,
            };
            let exception = parking::stranded(ExceptionId::new(now, engine.entropy.as_ref()), &about, now);
            if engine.store.park(due.id, exception.clone()).await? {
                parked = true;
                engine.events.exception_opened(&exception);
            }
        }
        if !parked {
            return Ok(());
        }
    }
}
