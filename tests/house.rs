//! The house stays clean: who may know whom, how long a file may be, and what must never be switched on.

#![allow(missing_docs)]

use std::path::{Path, PathBuf};

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found = Vec::new();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder of the tree") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("source text");
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has sources");
    found
}

/// Lines of code, without comments and doc comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim_start).filter(|line| !line.starts_with("//"))
}

#[test]
fn the_core_is_pure_and_knows_nothing_of_ours_but_itself() {
    for (path, text) in sources("src/domain") {
        for line in code(&text) {
            let ours = line.match_indices("crate::").all(|(at, _)| line[at..].starts_with("crate::domain"));
            assert!(ours, "{}: {line}", path.display());
            for word in
                ["async ", "tokio", "tracing", "SystemTime", "Timestamp::now", "std::fs", "std::net", "f64", "f32"]
            {
                assert!(!line.contains(word), "{}: {line}", path.display());
            }
        }
    }
}

#[test]
fn nothing_above_the_store_knows_sqlite() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    // The composition root and the verbs' way to the store build it; configuration spells its address.
    let builders = ["app.rs", "cli/open.rs"];
    for (path, text) in sources("src") {
        let inside = path.strip_prefix(&root).expect("below src").to_string_lossy().replace('\\', "/");
        let test = inside.contains("tests");
        if inside.starts_with("store/") || builders.contains(&inside.as_str()) || test {
            continue;
        }
        for line in code(&text) {
            assert!(!line.contains("rusqlite") && !line.contains("store::sqlite"), "{inside}: {line}");
        }
    }
}

#[test]
fn every_file_can_be_read_in_one_sitting() {
    for (path, text) in sources("src") {
        let lines = text.lines().count();
        assert!(lines <= 600, "{} has {lines} lines: two rooms?", path.display());
    }
}

#[test]
fn numbers_of_other_crates_stay_what_serde_makes_of_them() {
    // `arbitrary_precision` is global: any dependency could switch it on and change how every number is read.
    let read: f64 = serde_json::from_str("19.99999999999999999999").expect("a number");
    assert_eq!(serde_json::Value::from(read).to_string(), "20.0");
    let value: serde_json::Value = serde_json::from_str("19.99999999999999999999").expect("a number");
    assert_eq!(value.to_string(), "20.0", "serde_json/arbitrary_precision is on");
}
