//! What the engine tells those who watch.

use std::time::Duration;

use super::gate::DestinationState;
use crate::envelope::ids::DeliveryId;
use crate::observe::{Event, Observer};
use crate::store::write::NewException;

/// An attempt that came to an outcome and is settled.
#[derive(Clone, Copy, Debug)]
pub struct Finished<'a> {
    /// Configured name.
    pub destination: &'a str,
    /// The delivery.
    pub delivery: DeliveryId,
    /// From 1.
    pub number: u32,
    /// `accepted`, `rejected`, …
    pub outcome: &'a str,
    /// One sentence.
    pub detail: &'a str,
    /// From first byte out to last byte in.
    pub elapsed: Duration,
}

/// Told after the fact; none of it may block.
pub trait DeliveryEvents: Send + Sync + 'static {
    /// An attempt is durable and about to leave.
    fn attempt_started(&self, destination: &str, delivery: DeliveryId, number: u32);
    /// An attempt has an outcome, and it is durable.
    fn attempt_finished(&self, finished: &Finished<'_>);
    /// The effect is applied; `age` since the delivery was made.
    fn delivery_settled(&self, destination: &str, delivery: DeliveryId, age: Duration);
    /// A delivery was parked.
    fn exception_opened(&self, exception: &NewException);
    /// A destination opened, broke, paused or was held.
    fn destination_state_changed(&self, destination: &str, state: &DestinationState);
    /// Someone should look now.
    fn alarm(&self, destination: &str, what: &str);
    /// RET-3: a `Retry-After` that is past, negative or garbled.
    fn retry_after_ignored(&self, destination: &str);
}

/// Nobody watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl DeliveryEvents for Silent {
    fn attempt_started(&self, _: &str, _: DeliveryId, _: u32) {}
    fn attempt_finished(&self, _: &Finished<'_>) {}
    fn delivery_settled(&self, _: &str, _: DeliveryId, _: Duration) {}
    fn exception_opened(&self, _: &NewException) {}
    fn destination_state_changed(&self, _: &str, _: &DestinationState) {}
    fn alarm(&self, _: &str, _: &str) {}
    fn retry_after_ignored(&self, _: &str) {}
}

impl DeliveryEvents for Observer {
    fn attempt_started(&self, destination: &str, delivery: DeliveryId, number: u32) {
        self.note(&Event::AttemptStarted { destination, delivery, number });
    }

    fn attempt_finished(&self, finished: &Finished<'_>) {
        let Finished { destination, delivery, number, outcome, detail, elapsed } = *finished;
        self.note(&Event::AttemptFinished { destination, delivery, number, outcome, detail, elapsed });
    }

    fn delivery_settled(&self, destination: &str, delivery: DeliveryId, age: Duration) {
        self.note(&Event::DeliverySettled { destination, delivery, age });
    }

    fn exception_opened(&self, exception: &NewException) {
        self.note(&Event::opened(exception));
    }

    fn destination_state_changed(&self, destination: &str, state: &DestinationState) {
        let reason = state.reason();
        self.note(&Event::DestinationStateChanged { destination, state: state.as_str(), reason: &reason });
    }

    fn alarm(&self, destination: &str, what: &str) {
        tracing::error!(destination.name = destination, detail = what, "a destination needs a person");
    }

    fn retry_after_ignored(&self, destination: &str) {
        tracing::warn!(destination.name = destination, "a Retry-After could not be used");
    }
}
