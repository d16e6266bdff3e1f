//! The service in front of a real ERP: Tryton, as `tests/erp/setup.sh` makes it. `CROSSDOCK_TRYTON` names its folder; without
//! it nothing here can run, and each test says so. `tests/run` makes it and sets it.

#![recursion_limit = "256"]
#![allow(missing_docs, clippy::unwrap_used, reason = "test code: a panic is the report")]
#![allow(dead_code, unused_imports, reason = "the service under test is shared with other suites")]

#[path = "../it/support/mod.rs"]
mod support;

mod back;
mod facts;
mod orders;
mod server;
