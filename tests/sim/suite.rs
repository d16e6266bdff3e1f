//! What is run: random stories, one story with a fault at every disk operation, and the planted bugs.

use std::time::{Duration, Instant};

use super::disk::Fault;
use super::planted::{self, Bug};
use super::workload;
use super::world::{Report, play};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.trim().parse().ok()
}

/// Time for one test's stories.
fn time() -> Duration {
    Duration::from_secs(number("CROSSDOCK_SIM_SECONDS").unwrap_or(50))
}

fn story(seed: u64) -> Report {
    play(seed, workload::random, Vec::new())
}

fn must_be_clean(what: &str, report: &Report) {
    if report.violations.is_empty() {
        return;
    }
    let tail = report.lines.len().saturating_sub(120);
    let lines = report.lines[tail..].join("\n");
    panic!("{what}: {:#?}\nthe end of the story:\n{lines}\nCROSSDOCK_SIM_TRACE=1 prints all of it", report.violations);
}

/// Random stories, every second seed from `first` on, until time is up.
fn stories(first: u64) {
    if let Some(seed) = number("CROSSDOCK_SIM_SEED") {
        if seed % 2 == first % 2 {
            must_be_clean(&format!("seed {seed}"), &story(seed));
        }
        return;
    }
    let first = first + 2 * number("CROSSDOCK_SIM_FIRST").unwrap_or(0);
    let seeds = number("CROSSDOCK_SIM_SEEDS").map(|count| count / 2);
    let begun = Instant::now();
    let (mut told, mut boots, mut requests, mut struck) = (0_u64, 0, 0, 0);
    while seeds.map_or_else(|| begun.elapsed() < time(), |count| told < count) {
        let seed = first + 2 * told;
        let report = story(seed);
        must_be_clean(&format!("seed {seed} (CROSSDOCK_SIM_SEED={seed})"), &report);
        told += 1;
        boots += report.boots;
        requests += report.requests;
        struck += report.struck;
    }
    eprintln!("{told} stories from seed {first}: {boots} lives, {requests} requests, {struck} disk faults, no violation");
}

#[test]
fn random_stories_keep_every_promise_even_seeds() {
    stories(1_000);
}

#[test]
fn random_stories_keep_every_promise_odd_seeds() {
    stories(1_001);
}

#[test]
fn the_same_seed_tells_the_same_story() {
    for seed in [3, 4, 5, 6, 7] {
        let (one, two) = (story(seed), story(seed));
        let differs = one.lines.iter().zip(&two.lines).find(|(one, two)| one != two);
        assert_eq!(one.digest, two.digest, "seed {seed}: {differs:?}");
        assert_eq!(one.operations, two.operations, "seed {seed}");
        assert_ne!(one.digest, story(seed + 100).digest);
    }
}

fn swept(at: u64, fault: Fault) -> Report {
    play(at, |_| workload::fixed(), vec![(at, fault)])
}

/// One story with `fault` at each operation in turn.
fn sweep(fault: Fault) {
    let calm = play(0, |_| workload::fixed(), Vec::new());
    must_be_clean("without faults", &calm);
    let chances = calm.chances.iter().find(|(known, _)| *known == fault).map(|(_, at)| at.clone()).unwrap_or_default();
    let stride = usize::try_from(number("CROSSDOCK_SIM_STRIDE").unwrap_or(1)).unwrap_or(1);
    let begun = Instant::now();
    let chosen: Vec<u64> = chances.iter().copied().step_by(stride).collect();
    for at in &chosen {
        must_be_clean(&format!("{fault:?} at operation {at}"), &swept(*at, fault));
    }
    eprintln!("{fault:?} at {} of {} operations in {:?}: no violation", chosen.len(), chances.len(), begun.elapsed());
}

#[test]
fn p1_a_power_cut_at_any_operation_loses_nothing_that_was_acknowledged() {
    sweep(Fault::PowerCut);
}

#[test]
fn p1_a_power_cut_that_drops_everything_unflushed_loses_nothing_at_any_operation() {
    sweep(Fault::PowerCutForgetful);
}

#[test]
fn att_1_a_kill_at_any_operation_leaves_evidence_of_all_that_left() {
    sweep(Fault::Kill);
}

#[test]
fn ack_6_a_failed_flush_at_any_operation_ends_the_process_and_nothing_is_lost() {
    sweep(Fault::FlushFails);
}

#[test]
fn ack_5_a_failed_write_at_any_operation_acknowledges_nothing() {
    sweep(Fault::WriteFails);
}

#[test]
fn ack_6_a_failed_read_at_any_operation_ends_the_process_and_nothing_is_lost() {
    sweep(Fault::ReadFails);
}

#[test]
fn ack_5_a_full_disk_at_any_operation_acknowledges_nothing() {
    sweep(Fault::Full);
}

/// Stories that a planted bug must not survive: random ones, and a fault at some operations of the fixed one.
fn finds(bug: Bug) -> Option<(String, String)> {
    let first = |place: String, report: &Report| report.violations.first().map(|found| (place, found.clone()));
    for seed in 0..120 {
        planted::plant(Some(bug));
        if let Some(found) = first(format!("seed {seed}"), &story(seed)) {
            return Some(found);
        }
    }
    for at in (3..1_600).step_by(11) {
        for fault in [Fault::PowerCutForgetful, Fault::Kill, Fault::Full] {
            planted::plant(Some(bug));
            if let Some(found) = first(format!("{fault:?} at operation {at}"), &swept(at, fault)) {
                return Some(found);
            }
        }
    }
    None
}

#[test]
fn every_planted_bug_is_found() {
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        let begun = Instant::now();
        match finds(bug) {
            Some((place, found)) => eprintln!("{bug:?}: found by {place} in {:?}: {found}", begun.elapsed()),
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}
