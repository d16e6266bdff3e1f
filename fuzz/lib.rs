//! Fuzz targets: whatever bytes arrive, nothing panics, nothing takes for ever, and what comes out keeps its laws.
//!
//! Inside the suite each target runs for [`time`] on random input, on the inputs kept in `fuzz/corpus`, and on those that
//! once broke it. `fuzz/README.md` says how to run one under a coverage-guided engine for longer.

#![cfg(test)]

/// Runs a target on random input of a type for a bounded time; a macro, since the engine names a target by its place.
macro_rules! run {
    ($input:ty, $target:expr) => {
        bolero::check!()
            .with_type::<$input>()
            .with_iterations(usize::MAX)
            .with_test_time(crate::time())
            .for_each($target)
    };
}

mod expand;
mod order_decode;
mod retry_after;
mod signature_header;
mod template;

#[path = "../tests/it/support/bend.rs"]
mod bend;
#[path = "../tests/it/support/laws.rs"]
#[expect(dead_code, reason = "the fuzz targets need one of its checks")]
mod laws;

use std::time::Duration;

/// How long each target runs on random input: `CROSSDOCK_FUZZ_SECONDS`, 3 unless set.
fn time() -> Duration {
    let seconds = std::env::var("CROSSDOCK_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(3))
}

/// The inputs kept for a target: small, each for a path that random bytes do not find. Fails if there is none.
fn kept(target: &str) -> Vec<Vec<u8>> {
    let folder = format!("{}/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{folder}: {error}"))
        .map(|entry| entry.expect("a folder that opened can be listed").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{folder} is empty");
    paths.iter().map(|path| std::fs::read(path).expect("a kept input is a file")).collect()
}
