//! What the measurements share with `crossdock bench`: the orders and the sender.

#[allow(unused_imports, reason = "not every program of this folder needs all of it")]
pub use crossdock::trial::{load, orders::order};
