//! The contract on a file, and what only a file can go wrong with.

mod books;
mod bulk;
mod checkpoint;
mod contract;
mod crash;
mod failures;
mod finding;
mod erasing;
mod keeping;
mod opening;
mod plans;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::{Options, SqliteStore};
use crate::clock::{ManualClock, SharedClock};
use crate::store::contract::build::at;

/// Options that wait for nobody.
fn options(path: &Path) -> Options {
    Options { settle_wait: Duration::ZERO, ..Options::new(path, true) }
}

fn clock() -> SharedClock {
    Arc::new(ManualClock::new(at(0)))
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(options(path), clock()).expect("the store opens")
}
