//! From an outbox row to a settled effect.
//!
//! The cast. A [`Delivery`] is the engine's handle; a *delivery* (the row) is one intended effect at one destination,
//! an *attempt* one try on the wire, a *lane* the queue of one subject at one destination. The attempt protocol
//! (delivery-semantics section 7) has five steps: the head of a lane is taken, the attempt is made durable, the request
//! is sent, outcome and next state are made durable, and only then the lane opens for the next. Nothing here holds a
//! lane open or shut: the store's unique index does (LANE-1).
//!
//! Who does what. [`machine`] decides, purely, where a delivery goes and what follows for its destination. [`backoff`],
//! [`breaker`], [`throttle`] and [`adaptive`] are the policies as plain values. [`gate`] is one destination's door: its places, its
//! breaker and throttle under one short lock. [`dispatcher`] asks the store whose turn it is, has the next attempt
//! put together by [`preparing`], starts it and hands it to [`sending`], which sends and reads, or to [`batching`] where several go
//! in one request; [`discretion`] keeps buyers out of what was
//! answered, and [`settling`] makes the end durable. [`parking`] puts a parked delivery into words.
//!
//! What is read from a destination beside its deliveries ([`Asking`]) goes through the same door and behind them.
//!
//! Two ways lead to the wire. The *express lane* ([`Delivery::express`], [`Delivery::hand_off`]) carries deliveries
//! whose first attempt became durable together with their event, from memory. The *dispatcher* picks up everything
//! else from the store: retries, what found no place, what another process wrote. The express lane is an optimisation:
//! same rows, same functions, same recovery; part of each destination's places is kept for the dispatcher, so that it
//! starves nobody.
//!
//! Deliberately absent: state that only lives here. Breakers, pauses and holds are forgotten with the process and
//! learnt again; what must not be forgotten is in the store before a byte leaves (ATT-1).

pub mod adaptive;
mod allowance;
mod asking;
pub mod backoff;
mod batching;
pub mod breaker;
mod discretion;
mod dispatcher;
pub mod events;
mod gate;
pub mod machine;
mod parking;
mod places;
mod preparing;
mod recent;
mod sending;
mod settling;
mod standing;
mod steps;
mod sweeping;
pub mod throttle;
pub mod trace;
mod worker;

use std::time::Duration;

pub use asking::Asking;
pub use events::{DeliveryEvents, Finished, Silent};
pub use gate::{DestinationState, DestinationStatus};
pub use worker::{Delivery, ExpressDelivery, Place, Settings};

/// Monotonic time since the engine started: what breakers and throttles count in (RUN-5).
pub type Uptime = Duration;

#[cfg(test)]
mod tests;
