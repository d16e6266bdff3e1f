//! The first command of the README, as a newcomer runs it.

#![allow(missing_docs)]

use std::process::Command;

#[test]
fn the_tour_ends_with_every_order_where_it_should_be() {
    let folder = tempfile::tempdir().unwrap();
    let taken = Command::new(env!("CARGO_BIN_EXE_crossdock"))
        .args(["demo", "--once", "--dir"])
        .arg(folder.path())
        .output()
        .expect("the binary runs");
    let shown = String::from_utf8(taken.stdout).expect("text");
    let said = String::from_utf8_lossy(&taken.stderr);
    assert!(taken.status.success(), "{shown}\n{said}");
    assert!(shown.contains("accepted 14 · duplicates 1 · delivered 12 · parked 1"), "{shown}");
    assert!(shown.contains("unmapped_sku at items/0/sku"), "{shown}");
    assert!(shown.contains("/api/v1/orders/100000104"), "{shown}");
    assert!(!shown.contains('✗') && !shown.contains("NOT AS EXPECTED"), "{shown}");
    // Each of the twelve sales orders proves its totals in both currencies' rows.
    assert!(shown.matches('✓').count() >= 12 * 4, "{shown}");
}

#[test]
fn the_tour_can_be_taken_twice_in_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let taken = Command::new(env!("CARGO_BIN_EXE_crossdock"))
            .args(["demo", "--once", "--dir"])
            .arg(folder.path())
            .output()
            .expect("the binary runs");
        assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stdout));
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "each run keeps its own files");
}
