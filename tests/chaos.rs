//! `kill -9` at random moments under load of signed orders, against an ERP that lies: no acknowledged order is lost, none
//! takes effect twice, none overtakes itself, and nothing is forgotten (P1, P3, P4, P6).

#![allow(missing_docs)]

use std::process::Command;
use std::sync::atomic::AtomicBool;

use crossdock::demo::erp::ErpOptions;
use crossdock::trial::chaos::{self as trial, Guard, Length, Settings};
use crossdock::trial::history::Fault;
use serde_json::Value;

/// A guard's share of the suite's rounds, in hundredths, the four of them 100; `tests/run quick` sets fewer rounds.
fn share(hundredths: u64) -> u64 {
    let all = std::env::var("CROSSDOCK_CRASH_ROUNDS").map_or(200, |text| text.parse().expect("a number of rounds"));
    (all * hundredths).div_ceil(100)
}

/// Runs the verb; its report. The folder of a run that failed is kept and named.
fn chaos(rounds: u64, guard: &str) -> Value {
    let seed = std::env::var("CROSSDOCK_SEED").unwrap_or_else(|_| "42".to_owned());
    let mut command = Command::new(env!("CARGO_BIN_EXE_crossdock"));
    command.args(["chaos", "--json", "--guard", guard, "--seed", &seed, "--rounds", &rounds.to_string()]);
    let ran = command.env_remove("CROSSDOCK_LOG").output().expect("the binary runs");
    let (shown, said) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    println!("{shown}");
    assert!(ran.status.success(), "{said}");
    let report: Value = serde_json::from_str(&shown).expect("the report is JSON");
    assert_eq!(report["rounds"], rounds, "{said}");
    assert!(report["acknowledged"].as_u64() > Some(rounds), "the load was too thin to show anything: {said}");
    assert_eq!(report["ledger_difference"], 0, "{said}");
    report
}

#[track_caller]
fn nothing_wrong(report: &Value) {
    for fault in ["lost", "doubled", "disordered", "stuck", "wrong content", "key reused", "forged"] {
        assert_eq!(report["found"][fault], 0, "{report}");
    }
}

#[test]
fn p1_p3_p4_p6_kill_nine_at_any_moment_loses_doubles_disorders_and_forgets_nothing() {
    let rounds = share(55);
    let report = chaos(rounds, "key");
    nothing_wrong(&report);
    if rounds >= 100 {
        for phase in ["under_load", "while_starting", "while_delivering", "while_stopping"] {
            assert_ne!(report["kills"][phase], 0, "{report}");
        }
        assert!(report["replayed"].as_u64() > Some(0), "nothing was ever repeated under its key: {report}");
    }
}

#[test]
fn unc_5_without_a_guard_a_kill_parks_what_is_in_doubt_and_doubles_nothing() {
    nothing_wrong(&chaos(share(10), "none"));
}

#[test]
fn unc_3_an_erp_that_refuses_a_reference_it_has_is_doubled_by_no_kill() {
    nothing_wrong(&chaos(share(20), "unique"));
}

#[test]
fn unc_4_an_erp_that_can_only_be_asked_is_doubled_by_no_kill() {
    nothing_wrong(&chaos(share(15), "find"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erp_that_only_claims_to_honour_keys_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        length: Length::Rounds(40),
        seed: 7,
        folder: folder.path().to_path_buf(),
        binary: env!("CARGO_BIN_EXE_crossdock").into(),
        guard: Guard::Key,
        erp: Some(ErpOptions { honours_keys: false, ..ErpOptions::default() }),
    };
    let report = trial::run(settings, &AtomicBool::new(false), &|_| {}).await.unwrap();
    assert!(!trial::is_clean(&report));
    let doubled = |number: &str| {
        report.findings.iter().any(|finding| finding.fault == Fault::Doubled && finding.number == number)
    };
    // A second effect that comes late is out of order as well; nothing else may be found.
    let expected = |fault: Fault, number: &str| matches!(fault, Fault::Doubled | Fault::Disordered) && doubled(number);
    assert!(report.findings.iter().all(|finding| expected(finding.fault, &finding.number)), "{:?}", report.findings);
    for name in ["sent.jsonl", "erp.jsonl", "findings.jsonl", "serve.log", "crossdock.db"] {
        assert!(folder.path().join(name).metadata().unwrap().len() > 0, "{name}");
    }
}
