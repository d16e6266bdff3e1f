//! The path of a request: bound, verify, decode, dedup, append, answer.
//!
//! Cast: [`receive`] bounds and reads a request, `signature` turns bytes into [`signature::Verified`] ones, `decode`
//! finds the records in them, [`take`] gives each record its identity, runs the express lane where it may, and appends
//! all of them in one transaction; `answer` says so in the words the sender understands. [`heard`] counts for
//! people what came of each origin. Nothing is answered before the
//! append is durable (ACK-1), and `carry` takes the append to its end: a client that hangs up between the commit and the
//! hand-over cannot take the hand-over with it.
//!
//! Deliberately absent: what an order is (that is the processor's) and what happens at a destination.

pub mod adobe;
pub mod answer;
mod carry;
pub mod decode;
mod evidence;
pub mod heard;
pub mod load;
pub mod polled;
pub mod pressure;
pub mod read;
pub mod receive;
pub mod signature;
pub mod take;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use http::HeaderName;

use crate::clock::{SharedClock, SharedEntropy, Timestamp, later};
use crate::delivery::Delivery;
use crate::observe::Observer;
use crate::processor::Processor;
use crate::store::SharedStore;

use adobe::MissedPushes;
use answer::Dialect;
use heard::Heard;
use load::Load;
use pressure::Pace;
use signature::Verifier;
use signature::adobe::AdobeVerifier;

/// PRS-1: requests in handlers.
pub const REQUESTS_MAX: usize = 512;
/// PRS-1: bytes of bodies in handlers. One body of the hard limit always fits.
pub const BODY_BYTES_IN_HAND_MAX: usize = 16 * 1024 * 1024;

/// One configured sender.
#[derive(Debug)]
pub struct Origin {
    /// `/in/{name}`.
    pub name: String,
    /// How it is spoken to, and which shapes it sends.
    pub dialect: Dialect,
    /// Who may claim to be it.
    pub verifier: Verifier,
    /// Of an origin of Adobe I/O, in place of `verifier`.
    pub adobe: Option<AdobeVerifier>,
    /// Header with the sender's own event id, if it has one.
    pub event_id_header: Option<HeaderName>,
    /// A failed signature is answered `{"op":"exception"}` instead of 401 (Commerce hooks that must block).
    pub refuse_with_exception: bool,
    /// While keys are rotated: an unverified payload is answered with success and parked unread.
    pub grace: bool,
    /// Largest body.
    pub body_bytes_max: usize,
    /// From the last byte of the body to the answer (ACK-8).
    pub handler_timeout: Duration,
    /// How fast it may send.
    pub pace: Option<Pace>,
}

/// Everything a request needs; shared by all handlers.
pub struct Intake {
    /// By name.
    pub origins: BTreeMap<String, Origin>,
    /// Where envelopes go.
    pub store: SharedStore,
    /// Now.
    pub clock: SharedClock,
    /// Ids.
    pub entropy: SharedEntropy,
    /// Rules, and the loop for what does not take the express lane.
    pub processor: Arc<Processor>,
    /// Takes express deliveries from memory.
    pub delivery: Arc<Delivery>,
    /// Counts and logs.
    pub observer: Arc<Observer>,
    /// Who was heard lately, and what came of it.
    pub heard: Arc<Heard>,
    /// What is in hand, and what is refused for it.
    pub load: Arc<Load>,
    /// Whole body (ACK-8).
    pub body_timeout: Duration,
    /// Cleared when the service stops taking requests (RUN-2).
    pub open: AtomicBool,
    /// Pushes of Adobe I/O that were refused for good (ANS-2).
    pub missed_pushes: Arc<MissedPushes>,
    /// Version of the configuration in force, for every envelope.
    pub config_version: String,
    /// Microseconds of the instant from which the express lane is open (POI-1).
    pub express_from: AtomicI64,
}

impl Intake {
    /// POI-1: after an unclean end the express lane stays off for a minute, so that a payload that kills the process is
    /// met under its `begun` row.
    pub fn close_express_lane_for(&self, time: Duration) {
        self.express_from.store(later(self.clock.now(), time).as_microsecond(), Ordering::Relaxed);
    }

    fn express_open(&self, now: Timestamp) -> bool {
        now.as_microsecond() >= self.express_from.load(Ordering::Relaxed)
    }
}

/// `POST /in/{origin}` and `POST /in/{origin}/{entity}`; `GET /in/{origin}` for the challenge of Adobe I/O.
pub fn router(intake: Arc<Intake>) -> Router {
    Router::new()
        .route("/in/{origin}", post(receive::whole).get(adobe::challenge))
        .route("/in/{origin}/{entity}", post(receive::entity))
        .with_state(intake)
}
