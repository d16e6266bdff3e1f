//! Deterministic simulation: the real intake, processor, delivery engine and `SQLite` on one machine that does not exist.
//!
//! The cast. [`world`] holds time and the machine and plays a [`workload`] script: orders, doubles, forgeries, weather,
//! deaths, people. [`disk`] under [`vfs`] can fail, tear and forget at any operation. [`erp`] is the other side, with
//! memory and lies, and the network to it. [`service`] composes the rooms as `app` does. [`senders`] and [`people`] are
//! those outside; [`auditor`] judges by what they saw. [`planted`] are bugs to be found.
//!
//! One seed decides everything: `CROSSDOCK_SIM_SEED=… cargo nextest run --lib sim::` plays it again, line by line.
//! Everything runs on one thread with a clock that moves when nothing else does.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

pub mod auditor;
pub mod chance;
pub mod disk;
pub mod erp;
mod orders;
pub mod people;
pub mod planted;
pub mod senders;
pub mod service;
mod suite;
pub mod vfs;
pub mod workload;
pub mod world;

use std::cell::RefCell;
use std::time::Duration;

use chance::Chance;

thread_local! {
    static DAWDLE: RefCell<Option<Chance>> = const { RefCell::new(None) };
}

fn start_dawdling(chance: Chance) {
    DAWDLE.set(Some(chance));
}

fn stop_dawdling() {
    DAWDLE.set(None);
}

/// A step of the store takes a moment, so that others get theirs in between. Nothing outside the simulation.
pub async fn dawdle() {
    let pause = DAWDLE.with_borrow_mut(|chance| {
        let chance = chance.as_mut()?;
        Some(match chance.below(8) {
            0..=4 => 0,
            5 | 6 => chance.between(1, 4),
            _ => chance.between(1, 40),
        })
    });
    match pause {
        None => {}
        Some(0) => tokio::task::yield_now().await,
        Some(pause) => tokio::time::sleep(Duration::from_millis(pause)).await,
    }
}

/// Whether the story is printed while it happens.
fn loud() -> bool {
    std::env::var_os("CROSSDOCK_SIM_TRACE").is_some()
}
