//! `docs/rules.md` is held true: every rule is in it, everything it names exists, and no rule is without a proof.

#![allow(clippy::unwrap_used, missing_docs, reason = "test code: a panic is the report")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// How many rules each letter has: P1 to P6, ACK-1 to ACK-8, …
const RULES: [(&str, u32); 18] = [
    ("P", 6),
    ("ACK", 8),
    ("ANS", 2),
    ("SIG", 10),
    ("DED", 5),
    ("KEY", 7),
    ("ATT", 4),
    ("UNC", 6),
    ("RET", 7),
    ("LANE", 5),
    ("STK", 6),
    ("POI", 4),
    ("PRS", 4),
    ("RUN", 6),
    ("REP", 8),
    ("BAK", 4),
    ("API", 5),
    ("DAT", 5),
];

/// Rules whose proof is not written yet. Empty, and stays so unless a new rule comes before its proof.
const UNPROVED: &[&str] = &[];

/// Tests listed of one rule.
const LISTED_MAX: usize = 4;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> PathBuf {
    root().join("docs/rules.md")
}

/// Every rule, in the order of the page.
fn ids() -> Vec<String> {
    let dash = |letters: &str| if letters == "P" { "" } else { "-" };
    RULES
        .iter()
        .flat_map(|(letters, last)| (1..=*last).map(move |number| format!("{letters}{}{number}", dash(letters))))
        .collect()
}

/// Every rule as it stands in names of tests.
static IN_NAMES: LazyLock<Vec<String>> = LazyLock::new(|| ids().iter().map(|id| in_names(id)).collect());

/// `ACK-1` as it stands in names of tests.
fn in_names(id: &str) -> String {
    format!("{}_", id.to_lowercase().replace('-', "_"))
}

/// Whether a test's name says that it proves this rule: at its start, or behind another rule (`p1_p3_…`).
fn names(test: &str, id: &str) -> bool {
    let wanted = in_names(id);
    let mut rest = test;
    loop {
        if rest.starts_with(&wanted) {
            return true;
        }
        let Some(other) = IN_NAMES.iter().find(|other| rest.starts_with(other.as_str())) else {
            return false;
        };
        rest = &rest[other.len()..];
    }
}

/// Names of all functions that may be tests, those of whole services first.
fn tests() -> Vec<String> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for folder in ["tests", "src", "fuzz"] {
        let mut files = Vec::new();
        sources(&root().join(folder), &mut files);
        files.sort();
        for file in files {
            let text = std::fs::read_to_string(file).unwrap();
            for (at, _) in text.match_indices("fn ") {
                let name: String = text[at + 3..]
                    .chars()
                    .take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_')
                    .collect();
                if seen.insert(name.clone()) {
                    found.push(name);
                }
            }
        }
    }
    found
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// A row of the page.
struct Row {
    id: String,
    kept_in: Vec<String>,
    tests: Vec<String>,
    decisions: Vec<String>,
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Targets of links.
fn linked(cell: &str) -> Vec<String> {
    cell.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target.to_owned()).collect()
}

fn row(line: &str) -> Option<Row> {
    let cells: Vec<&str> = line.strip_prefix("| ")?.split('|').map(str::trim).collect();
    let id = *cells.first()?;
    if !id.ends_with(|letter: char| letter.is_ascii_digit()) {
        return None;
    }
    let [_, _, kept_in, proof, ..] = cells[..] else { panic!("{line}: four cells") };
    Some(Row { id: id.to_owned(), kept_in: quoted(kept_in), tests: quoted(proof), decisions: linked(proof) })
}

/// Fills the last column from the names of the tests; links to decisions stay.
fn write(text: &str, tests: &[String]) {
    let mut out = String::new();
    for line in text.lines() {
        let Some(row) = row(line) else {
            writeln!(out, "{line}").unwrap();
            continue;
        };
        let proofs = tests.iter().filter(|test| names(test, &row.id)).take(LISTED_MAX).map(|test| format!("`{test}`"));
        let decisions = row.decisions.iter().map(|target| {
            let number = target.trim_start_matches("decisions/").get(..4).expect("decisions have four digits");
            format!("[{number}]({target})")
        });
        let proof = proofs.chain(decisions).collect::<Vec<_>>().join(", ");
        let head = line.trim_end().trim_end_matches('|').rsplit_once('|').unwrap().0;
        writeln!(out, "{head}| {proof} |").unwrap();
    }
    std::fs::write(page(), out).unwrap();
}

#[test]
fn every_rule_has_its_place_and_its_proof() {
    let tests = tests();
    if std::env::var_os("CROSSDOCK_WRITE").is_some() {
        write(&std::fs::read_to_string(page()).unwrap(), &tests);
    }
    let text = std::fs::read_to_string(page()).unwrap();
    let rows: Vec<Row> = text.lines().filter_map(row).collect();
    let listed: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(listed, ids(), "every rule once, in order");
    let known: BTreeSet<&str> = tests.iter().map(String::as_str).collect();
    let mut problems: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for row in &rows {
        let mut problem = |what: String| problems.entry(row.id.as_str()).or_default().push(what);
        if row.kept_in.is_empty() {
            problem("it is kept nowhere".to_owned());
        }
        for path in row.kept_in.iter().filter(|path| !root().join(path).exists()) {
            problem(format!("{path} does not exist"));
        }
        for test in &row.tests {
            if !known.contains(test.as_str()) {
                problem(format!("there is no test {test}"));
            } else if !names(test, &row.id) {
                problem(format!("{test} does not name it"));
            }
        }
        for decision in row.decisions.iter().filter(|target| !root().join("docs").join(target).exists()) {
            problem(format!("there is no {decision}"));
        }
        let proved = !row.tests.is_empty() || !row.decisions.is_empty();
        if proved && UNPROVED.contains(&row.id.as_str()) {
            problem("it has a proof: take it out of UNPROVED".to_owned());
        }
        if !proved && !UNPROVED.contains(&row.id.as_str()) {
            problem("it has neither a test nor a decision that stands in for it".to_owned());
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn names_of_tests_are_read_as_rules_only_where_they_are_rules() {
    assert!(names("unc_4_absent_twice", "UNC-4"));
    assert!(names("p1_p3_kill_nine", "P3") && names("p1_p3_kill_nine", "P1"));
    assert!(!names("sig_10_every_key_is_tried", "SIG-1"));
    assert!(!names("key_4_the_same_effect", "KEY-3"));
    assert!(!names("keys_are_derived_p1_", "P1"));
    assert_eq!(ids().len(), 102);
}
