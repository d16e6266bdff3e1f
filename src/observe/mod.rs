//! What the service says about itself: named events, metrics, health, the log.
//!
//! Every happening that somebody may count or read about is one variant of [`Event`]; [`Observer::note`] logs and counts
//! it at one place, so that log and metric never disagree. Counters pair up (requests received = stored + refused;
//! records received = accepted + duplicates + conflicts + rejected): a difference is a loss made visible.
//!
//! Deliberately absent: bodies, secrets, buyers' details (DAT-3), and labels that hold an order number or a SKU.

pub mod disk;
pub mod events;
pub mod health;
pub mod log;
pub mod metrics;
mod observer;
mod opened;

pub use events::{Event, Refusal};
pub use health::{Health, Reason};
pub use metrics::{Metrics, Scrape};
pub use observer::Observer;
pub use opened::Opened;
