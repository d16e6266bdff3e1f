//! Whether an order costs more when many are stored, and how long a start takes after a crash.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossdock::store::sqlite::Options;
use tokio::runtime::{Builder, Runtime};

use super::{Bench, Variety, What, finding, run as send, served};

/// Orders measured at each size, after those that fill the store up to it.
const MEASURED: u64 = 10_000;
const WAITING: u64 = 64;
/// Of a million orders, which are 25 hours of them, a buyer has 200 and one in a thousand waits for a person.
pub const SHOP: Variety = Variety { buyers: 5_000, apart: Duration::from_millis(90), parked: Some(1_000) };

/// Fills one store up to each of these sizes, separated by commas, and prints a line for each; asks it at the last.
pub fn run(sizes: &str) {
    let sizes: Vec<u64> = sizes.split(',').map(|size| size.trim().parse().expect("a number of orders")).collect();
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime can be started");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder can be made");
    let path = folder.path().join("crossdock.db");
    let bench = Arc::new(Bench::open(Options::new(&path, true), 0, SHOP));
    println!("    stored   orders/s   CPU us   of it writer   orders a commit   memory MB   bytes an order");
    for size in sizes {
        let stored = bench.next.load(Ordering::Relaxed);
        let fill = size.saturating_sub(stored).saturating_sub(MEASURED);
        if fill > 0 {
            runtime.block_on(send(&bench, What::Settled, 256, fill));
        }
        let measured = size.saturating_sub(bench.next.load(Ordering::Relaxed)).max(1);
        line(&runtime, &bench, measured, &path);
    }
    if std::env::var("CROSSDOCK_BENCH_ASKED").is_ok_and(|asked| asked == "no") {
        return crash(&runtime, bench, &path);
    }
    runtime.block_on(finding::ask(&bench));
    let bench = runtime.block_on(served::ask(bench, &path));
    crash(&runtime, bench, &path);
}

#[allow(clippy::cast_precision_loss, reason = "counts and sizes far below the limit")]
fn line(runtime: &Runtime, bench: &Arc<Bench>, measured: u64, path: &Path) {
    let commits = || runtime.block_on(bench.store.figures()).expect("the store answers").commits;
    let (all, writer) = cpu();
    let before = commits();
    let elapsed = runtime.block_on(send(bench, What::Settled, WAITING, measured));
    let (all_after, writer_after) = cpu();
    let committed = commits() - before;
    let stored = bench.next.load(Ordering::Relaxed);
    let bytes = std::fs::metadata(path).map_or(0, |file| file.len());
    println!(
        "{stored:>10} {:>10.0} {:>8.1} {:>14.1} {:>17.1} {:>11.1} {:>16}",
        measured as f64 / elapsed.as_secs_f64(),
        (all_after.as_secs_f64() - all.as_secs_f64()) * 1e6 / measured as f64,
        (writer_after.as_secs_f64() - writer.as_secs_f64()) * 1e6 / measured as f64,
        measured as f64 / committed as f64,
        resident_kib() as f64 / 1024.0,
        bytes / stored,
    );
}

/// A store that is dropped neither empties its log nor says that it ended: what the next start finds is what `kill -9`
/// leaves behind.
fn crash(runtime: &Runtime, bench: Arc<Bench>, path: &Path) {
    let stored = bench.next.load(Ordering::Relaxed);
    drop(bench);
    let log = std::fs::metadata(path.with_extension("db-wal")).map_or(0, |file| file.len());
    let began = Instant::now();
    let bench = Arc::new(Bench::open(Options::new(path, true), stored, SHOP));
    let opened = began.elapsed();
    runtime.block_on(send(&bench, What::Settled, 1, 1));
    println!(
        "start after a crash with {stored} orders and {} MB of log: open after {:.3} s, first order settled after {:.3} s",
        log / 1_048_576,
        opened.as_secs_f64(),
        began.elapsed().as_secs_f64()
    );
    runtime.block_on(bench.store.close()).expect("the store closes");
}

/// Processor time of the living threads: all, and the store's writer.
fn cpu() -> (Duration, Duration) {
    let (mut all, mut writer) = (Duration::ZERO, Duration::ZERO);
    for task in std::fs::read_dir("/proc/self/task").expect("Linux keeps it").flatten() {
        let read = |name: &str| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let nanos = read("schedstat").split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0);
        all += Duration::from_nanos(nanos);
        if read("comm").trim() == "store-writer" {
            writer += Duration::from_nanos(nanos);
        }
    }
    (all, writer)
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux keeps it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}
