//! The log's way into the file.

use std::sync::{Arc, Mutex};

use super::folder;
use crate::store::sqlite::checkpoint::{Checkpointer, Flusher, LOG_BYTES_MAX};
use crate::store::sqlite::health::Health;
use crate::store::sqlite::{open, page_bytes};

/// A checkpointer of its own beside a connection that writes more than the log may hold.
struct Overflow {
    // Removed last.
    _folder: tempfile::TempDir,
    path: std::path::PathBuf,
    writer: rusqlite::Connection,
    checkpointer: Checkpointer,
}

impl Overflow {
    fn new() -> Self {
        let folder = folder();
        let path = folder.path().join("crossdock.db");
        let writer = open::connect(&path).unwrap();
        writer.execute_batch("CREATE TABLE noise (bytes BLOB)").unwrap();
        let checkpointer = Checkpointer {
            conn: open::connect(&path).unwrap(),
            gate: Arc::new(Mutex::new(())),
            health: Arc::new(Health::new(None)),
            commits: Arc::default(),
            page_bytes: page_bytes(&writer).unwrap(),
            flusher: Flusher::of(&path),
        };
        Overflow { _folder: folder, path, writer, checkpointer }
    }

    fn write(&self, bytes: u64) {
        self.writer.execute("INSERT INTO noise VALUES (zeroblob(?1))", [bytes.cast_signed()]).unwrap();
    }

    /// Pages that the log holds.
    fn log_pages(&self) -> i64 {
        self.writer.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1)).unwrap()
    }

    /// Locks that this process has on the store's file, as the system counts them.
    #[cfg(target_os = "linux")]
    fn locks(&self) -> usize {
        use std::os::unix::fs::MetadataExt as _;
        let (file, process) = (std::fs::metadata(&self.path).unwrap().ino(), std::process::id());
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        let is_ours = |line: &&str| {
            line.contains(" POSIX ") && line.contains(&format!(" {process} ")) && line.contains(&format!(":{file} "))
        };
        locks.lines().filter(is_ours).count()
    }
}

#[test]
fn a_log_past_its_bound_is_flushed_before_the_gate_and_written_from_its_beginning_again() {
    let overflow = Overflow::new();
    overflow.write(10);
    overflow.checkpointer.round(&mut None).unwrap();
    assert!(!overflow.checkpointer.flusher.is_open(), "SQLite came to the end of the log and flushed");
    overflow.write(LOG_BYTES_MAX + 1_000_000);
    assert!(overflow.log_pages() > 8_000);
    let mut resting = None;
    assert!(overflow.checkpointer.round(&mut resting).unwrap() && resting.is_none());
    assert!(overflow.checkpointer.flusher.is_open(), "nothing is left to flush for whoever holds the gate");
    overflow.write(10);
    assert!(overflow.log_pages() < 10, "{} pages", overflow.log_pages());
}

#[cfg(target_os = "linux")]
#[test]
fn ack_6_flushing_the_file_beside_sqlite_takes_none_of_its_locks() {
    let mut overflow = Overflow::new();
    overflow.write(10);
    let before = overflow.locks();
    assert!(before > 0, "SQLite holds one for as long as a file with a log is open");
    overflow.checkpointer.flusher.flush().unwrap();
    overflow.checkpointer.flusher.flush().unwrap();
    overflow.checkpointer.flusher = Flusher::of(&overflow.path);
    assert_eq!(overflow.locks(), before, "closing the file would have dropped them");
}
