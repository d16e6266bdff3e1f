//! How long each kind of search takes, and the figures of traffic, among all the orders of a store.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossdock::api::finding::find;
use crossdock::clock::SystemClock;
use crossdock::search::Indexer;

use super::{Bench, receipt};

/// Each search.
const TIMES: usize = 100;
/// For nineteen searches of twenty.
const SEARCH_BUDGET: Duration = Duration::from_millis(50);
/// For nineteen of twenty answers.
const TRAFFIC_BUDGET: Duration = Duration::from_millis(100);

/// Indexes what is not yet, asks, and holds the answers to their budgets.
pub async fn ask(bench: &Arc<Bench>) {
    let stored = bench.next.load(Ordering::Relaxed);
    let began = Instant::now();
    let indexer = Indexer { store: bench.store.clone(), clock: Arc::new(SystemClock) };
    while indexer.step().await.expect("the store takes it") {}
    println!("indexed in {:.0} s", began.elapsed().as_secs_f64());

    // Delivered, as no multiple of a thousand waits.
    let known = stored / 2_000 * 1_000;
    let number = format!("{known:09}");
    let stories = bench.store.order(number.clone()).await.expect("the store answers");
    let key = stories[0].deliveries[0].delivery.key.clone();
    let (end, beginning) = (&number[5..], &number[..6]);
    let mut worst = Duration::ZERO;
    for (name, text, finds) in [
        ("order number", number.as_str(), true),
        ("order number without zeros", number.trim_start_matches('0'), true),
        ("destination's number", &receipt(known), true),
        ("idempotency key", &key, true),
        ("buyer", "buyer-00042@example.com", true),
        ("SKU of some orders", "sku-00042", true),
        ("SKU of every order", "SKU-all", true),
        ("SKU that orders wait for", "SKU-00007", true),
        ("end of numbers", &format!("#{end}"), true),
        ("beginning of numbers", beginning, true),
        ("nothing of that kind", "no-such-thing", false),
    ] {
        let mut times = Vec::with_capacity(TIMES);
        for _ in 0..TIMES {
            let began = Instant::now();
            let answer = find(bench.store.as_ref(), text).await.expect("it can be looked for");
            times.push(began.elapsed());
            assert_eq!(!answer.items.is_empty(), finds, "{name}: {}", answer.sentence);
        }
        worst = worst.max(tell(name, times));
    }
    assert!(worst < SEARCH_BUDGET, "p95 {worst:?}");
    let mut times = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        let began = Instant::now();
        let traffic = bench.store.traffic(bench.moment(stored)).await.expect("the store answers");
        times.push(began.elapsed());
        assert!(traffic.hours.iter().map(|hour| hour.accepted).sum::<u64>() > stored / 2);
    }
    let p95 = tell("traffic", times);
    assert!(p95 < TRAFFIC_BUDGET, "p95 {p95:?}");
}

/// Prints, and gives the 95th of a hundred.
pub fn tell(name: &str, mut times: Vec<Duration>) -> Duration {
    times.sort();
    let at = |share: usize| times[(TIMES * share / 100).min(TIMES - 1)];
    println!("{name:<32} p50 {:>9.2?} p95 {:>9.2?} longest {:>9.2?}", at(50), at(95), at(100));
    at(95)
}
