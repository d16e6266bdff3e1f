//! Crossdock: a webhook-driven event router between Adobe Commerce, Patchworks and the ERP or warehouse behind them.
//!
//! Modules in reading order, from the core outwards; a room looks only downward.

#![cfg_attr(not(test), forbid(unsafe_code))]

/// Whether a known bug is planted on purpose: the simulation must find it. Never outside test builds.
#[cfg(test)]
macro_rules! planted {
    ($bug:ident) => {
        crate::sim::planted::is(crate::sim::planted::Bug::$bug)
    };
}
#[cfg(not(test))]
macro_rules! planted {
    ($bug:ident) => {
        false
    };
}

// core: pure
pub mod json;
pub mod oauth1;
pub mod domain;
pub mod envelope;
pub mod routing;
pub mod templates;

// beside everything
pub mod clock;
pub mod observe;

// ground
pub mod store;
pub mod access;

// outside
pub mod destinations;
pub mod oidc;
pub mod commerce;

// engines
pub mod catalogue;
pub mod processor;
pub mod delivery;
pub mod exceptions;
pub mod incidents;
pub mod books;
pub mod alerting;
pub mod search;
pub mod keeping;

// edges
pub mod intake;
pub mod reading;
pub mod catchup;
pub mod journal;
pub mod polling;
pub mod api;
pub mod console;

// composition
pub mod config;
pub mod server;
pub mod shutdown;
pub mod watch;
pub mod app;
pub mod demo;
pub mod trial;
pub mod cli;

// the whole of it on a simulated machine
#[cfg(test)]
#[path = "../tests/sim/mod.rs"]
mod sim;
