//! What is refused at the door, and how it is said.

use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::Arc;

use super::{clock, folder, open, options};
use crate::store::contract::build::Maker;
use crate::store::sqlite::migrations::newest;
use crate::store::sqlite::open::{check_kind, check_library, check_settings};
use crate::store::sqlite::{Options, SqliteStore};
use crate::store::{SharedStore, Store as _, StoreError};

fn refusal(options: Options) -> String {
    match SqliteStore::open(options, clock()) {
        Ok(_) => panic!("it must be refused"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn ack_2_library_and_settings_are_checked() {
    let folder = folder();
    let store = open(&folder.path().join("crossdock.db"));
    let report = store.report();
    assert!(report.engine.starts_with("SQLite 3."), "{}", report.engine);
    for wanted in [("journal_mode", "wal"), ("synchronous", "2"), ("foreign_keys", "1"), ("wal_autocheckpoint", "0")] {
        assert!(report.settings.iter().any(|(name, value)| (name.as_str(), value.as_str()) == wanted), "{wanted:?}");
    }
    assert_eq!((report.schema_version, report.problems.len(), report.installation_id.len()), (newest(), 0, 32));
    assert!(check_library(3_051_002).is_err());
    assert!(check_library(3_051_003).is_ok());
    let mut settings = report.settings;
    settings[1].1 = "1".into();
    assert!(check_settings(&settings).unwrap_err().to_string().contains("synchronous is \"1\" and must be \"2\""));
}

#[test]
fn run_1_a_second_serve_is_refused_by_name_until_the_first_ends() {
    let folder = folder();
    let path = folder.path().join("crossdock.db");
    let first = open(&path);
    let refused = refusal(options(&path));
    assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
    drop(first);
    open(&path);
}

#[test]
fn bak_1_network_disks_are_refused() {
    for (magic, name) in
        [(0x6969, "nfs"), (0xff53_4d42, "cifs"), (0xfe53_4d42, "smb2"), (0x6573_5546, "fuse"), (0x0102_1997, "9p")]
    {
        let refused = check_kind(magic, Path::new("/srv")).unwrap_err().to_string();
        assert!(refused.contains(&format!("on a {name} file system")), "{refused}");
    }
    assert!(check_kind(0xef53, Path::new("/srv")).is_ok());
}

#[test]
fn a_missing_folder_is_named() {
    let refused = refusal(options(Path::new("/nowhere/at/all/crossdock.db")));
    assert!(refused.contains("/nowhere/at/all does not exist"), "{refused}");
}

#[test]
fn rep_8_a_newer_schema_is_refused_with_a_remedy() {
    let folder = folder();
    let path = folder.path().join("crossdock.db");
    drop(open(&path));
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let refused = refusal(options(&path));
    let expected = format!("schema 99, this version knows up to {}: start the newer crossdock", newest());
    assert!(refused.contains(&expected), "{refused}");
}

#[test]
fn run_1_an_older_schema_is_brought_up_to_date_and_keeps_its_id() {
    let folder = folder();
    let path = folder.path().join("crossdock.db");
    // Version 0 is a file that a crash left before the first step was committed.
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "journal_mode", "wal").unwrap();
    let id = open(&path).report().installation_id;
    assert_eq!(open(&path).report().installation_id, id);
}

#[test]
fn somebody_elses_database_is_refused() {
    let folder = folder();
    let path = folder.path().join("other.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE notes (text)").unwrap();
    assert!(refusal(options(&path)).contains("database of something else"));
    std::fs::write(folder.path().join("text.db"), "not a database, but long enough to be read as one".repeat(99))
        .unwrap();
    assert!(matches!(
        SqliteStore::open(options(&folder.path().join("text.db")), clock()),
        Err(StoreError::Unusable(_) | StoreError::Corrupt(_))
    ));
}

#[tokio::test]
async fn bak_4_a_damaged_file_is_not_served_and_doctor_sees_why() {
    let folder = folder();
    let path = folder.path().join("crossdock.db");
    let store: SharedStore = Arc::new(open(&path));
    let maker = Maker::default();
    // So many that the middle of the file holds orders: without its schema a file opens for nobody.
    for number in 0..600 {
        maker.arrive(&store, &number.to_string(), &number.to_string()).await;
    }
    store.close().await.unwrap();
    drop(store);
    // A page of bodies: opening beside a service reads none of them.
    let payloads =
        "SELECT (rootpage - 1) * page_size, page_size FROM sqlite_schema, pragma_page_size WHERE name = 'payloads'";
    let whole = rusqlite::Connection::open(&path).unwrap();
    let (at, size): (u32, u32) = whole.query_row(payloads, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    drop(whole);
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(at.into())).unwrap();
    file.write_all(&vec![0xff; size as usize]).unwrap();
    drop(file);
    assert!(matches!(SqliteStore::open(options(&path), clock()), Err(StoreError::Corrupt(_))));
    let doctor = SqliteStore::open(Options::new(&path, false), clock()).unwrap();
    assert!(!doctor.report().problems.is_empty());
}
