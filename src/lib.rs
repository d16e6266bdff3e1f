//! Crossdock: a webhook-driven event router between Adobe Commerce, Patchworks and the ERP or warehouse behind them.
//!
//! Modules in reading order, from the core outwards; a room looks only downward.

// core: pure
pub mod json;
pub mod domain;
pub mod envelope;
pub mod routing;

// beside everything
pub mod clock;
pub mod observe;

// ground
pub mod store;
pub mod access;

// outside
pub mod commerce;
pub mod destinations;

// engines
pub mod processor;
pub mod delivery;
pub mod exceptions;

// edges
pub mod intake;
pub mod api;

// composition
pub mod config;
pub mod server;
pub mod shutdown;
pub mod app;
pub mod demo;
pub mod trial;
pub mod cli;
