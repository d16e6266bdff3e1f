//! The service through its front door: real sockets, a real store, a stand-in ERP that keeps books.

#![recursion_limit = "256"]
#![allow(missing_docs, clippy::unwrap_used, reason = "test code: a panic is the report")]
#![allow(clippy::float_cmp, reason = "metrics that count are whole numbers")]

#[path = "../provider/mod.rs"]
#[allow(dead_code, reason = "its lies are told to the API's own tests")]
mod provider;
mod support;

mod alerts;
mod bulk;
mod capture;
mod catchup;
mod catalogue;
mod console;
mod contract_fuzz;
mod corpus;
mod day;
mod hard_times;
mod journal;
mod delivery;
mod editing;
mod events;
mod finding;
mod fixing;
mod intake;
mod keeping;
mod keys;
mod mutations;
mod origins;
mod outage;
mod polling;
mod promise;
mod provided;
mod reading;
mod registration;
mod repairs;
mod run;
mod saved;
mod secrecy;
mod sign_in;
mod see_and_act;
mod shape;
mod watch;
