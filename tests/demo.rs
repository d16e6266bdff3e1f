//! The first command of the README, as a newcomer runs it.

#![allow(missing_docs)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

fn demo(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crossdock"));
    command.arg("demo").args(arguments).arg("--dir").arg(folder).env_remove("CROSSDOCK_LOG");
    command
}

fn take(arguments: &[&str], folder: &Path) -> (Output, String) {
    let taken = demo(arguments, folder).output().expect("the binary runs");
    let shown = String::from_utf8(taken.stdout.clone()).expect("text");
    let said = String::from_utf8_lossy(&taken.stderr);
    assert!(taken.status.success(), "{shown}\n{said}");
    (taken, shown)
}

#[test]
fn the_tour_ends_with_every_order_where_it_should_be() {
    let folder = tempfile::tempdir().unwrap();
    let (taken, shown) = take(&["--once"], folder.path());
    for line in [
        "accepted 15 · duplicates 1 · delivered 12 · parked 1",
        "Adobe I/O event, the order read back from Commerce → 200",
        "A push that got lost, the order found by searching Commerce",
        "12 sales orders for 12 orders, doubled 0  ✓",
        "proved on 12 of 12 sales orders, from what the ERP received  ✓",
        "difference 0  ✓",
        "received → confirmed by the ERP: p50 ",
        "code     unmapped_sku",
        "path     items/0/sku",
        "remedy   Add \"FRN-CANDLE-XL\" to table skus",
        "Everything came to what was expected of it.",
        "/api/v1",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    assert!(!shown.contains('✗') && !shown.contains("NOT AS EXPECTED"), "{shown}");
    // Each of the twelve sales orders proves its totals in both currencies' rows.
    assert!(shown.matches('✓').count() >= 12 * 4, "{shown}");
    // Not a terminal: no colours, no moving text, and no log lines between the steps.
    assert!(!shown.contains('\u{1b}'));
    let said = String::from_utf8_lossy(&taken.stderr);
    assert!(!said.contains('\u{1b}') && !said.contains("WARN") && !said.contains("ERROR"), "{said}");
}

#[test]
fn the_tour_can_be_taken_twice_in_one_folder_and_keeps_its_secrets_to_itself() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        take(&["--once"], folder.path());
    }
    let runs: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap()).collect();
    assert_eq!(runs.len(), 2, "each run keeps its own files");
    for run in runs {
        assert_eq!(run.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let config = run.path().join("crossdock.toml");
        let found = Command::new(env!("CARGO_BIN_EXE_crossdock"))
            .args(["orders", "show", "100000104", "--config"])
            .arg(&config)
            .output()
            .unwrap();
        assert!(found.status.success(), "the verb of the last lines works on the files kept");
    }
}

#[test]
fn for_programs_the_tour_prints_its_figures_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let (_, shown) = take(&["--once", "--json"], folder.path());
    let figures: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&figures["delivered"], &figures["doubled"]), (&Value::from(12), &Value::from(0)));
    assert_eq!(figures["differences"], Value::Array(Vec::new()));
    assert!(figures["received_to_confirmed_p50_us"].as_u64().unwrap() > 0);
}

/// A tour that stays up, ended even when a test fails.
struct Staying {
    child: Child,
    lines: Receiver<String>,
}

impl Staying {
    fn start(folder: &Path) -> Staying {
        let mut child =
            demo(&[], folder).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary runs");
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().expect("piped above"));
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Staying { child, lines }
    }

    /// Reads on until a line holds `text`; everything read.
    fn until(&self, text: &str) -> Vec<String> {
        let mut read: Vec<String> = Vec::new();
        loop {
            match self.lines.recv_timeout(Duration::from_secs(30)) {
                Ok(line) => read.push(line),
                Err(error) => panic!("\"{text}\" did not appear ({error}): {read:#?}"),
            }
            if read.last().is_some_and(|line| line.contains(text)) {
                return read;
            }
        }
    }
}

impl Drop for Staying {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_the_tour_proposes_repairs_the_parked_order_and_ctrl_c_ends_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut tour = Staying::start(folder.path());
    tour.until("── Try it");
    let proposed = tour.until("?ref=100000111");
    // Every line with two spaces in front is for the shell; a newcomer pastes them as they stand.
    let script: Vec<&str> = proposed.iter().filter_map(|line| line.strip_prefix("  ")).collect();
    let fits = |line: &&String| line.chars().count() <= 110;
    assert!(proposed.iter().all(|line| fits(&line)), "{proposed:#?}");
    let shell = Command::new("sh").arg("-euc").arg(script.join("\n")).output().expect("a shell");
    let (out, err) = (String::from_utf8_lossy(&shell.stdout), String::from_utf8_lossy(&shell.stderr));
    assert!(shell.status.success(), "{out}\n{err}");
    for answer in ["\"increment_id\":\"100000104\"", "\"code\":\"unmapped_sku\"", "\"version\":", "\"result\":"] {
        assert!(out.contains(answer), "{answer}\n{out}\n{err}");
    }
    tour.until("Order 100000111 has arrived");
    let table = tour.until("Commerce sent:");
    assert!(table.iter().any(|line| line.contains("10-3101")), "{table:#?}");

    let run = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap();
    let doctor = |change: fn(String) -> String| {
        let config = run.path().join("looked-at.toml");
        let text = std::fs::read_to_string(run.path().join("crossdock.toml")).unwrap();
        std::fs::write(&config, change(text)).unwrap();
        let looked =
            Command::new(env!("CARGO_BIN_EXE_crossdock")).args(["doctor", "--config"]).arg(&config).output().unwrap();
        String::from_utf8(looked.stdout).unwrap()
    };
    let config = run.path().join("crossdock.toml");
    let caught_up =
        Command::new(env!("CARGO_BIN_EXE_crossdock")).args(["catchup", "--config"]).arg(&config).output().unwrap();
    let told = String::from_utf8(caught_up.stdout).unwrap();
    assert!(caught_up.status.success() && told.contains("newest order there 100000110"), "{told}");
    assert!(told.contains(": here, delivered") && told.contains("sweep moved last"), "{told}");
    let seen = doctor(|text| text);
    assert!(seen.contains("acme can be read: 2 orders, the newest is 100000110"), "{seen}");
    let seen = doctor(|text| text.replace("file:integration.token", "file:integration.secret"));
    assert!(seen.contains("warning  commerce       acme: "), "a signature that Commerce refuses: {seen}");

    let pid = tour.child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert!(tour.child.wait().unwrap().success());
}
