//! What can go wrong inside a transaction, and what it means for the whole store.

use rusqlite::ffi;

use crate::store::StoreError;

/// A failure while a command ran: of SQL, or an answer the port defines.
#[derive(Debug)]
pub(super) enum Fault {
    /// From `SQLite`.
    Sql(rusqlite::Error),
    /// To be handed out as it is.
    Answer(StoreError),
}

/// What a step of a command came to.
pub(super) type Outcome<T> = Result<T, Fault>;

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Fault::Sql(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Fault::Answer(error)
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Answer(error) => error,
            Fault::Sql(error) => match gravity(&error) {
                Gravity::Damaged => StoreError::Corrupt(error.to_string()),
                Gravity::Fatal | Gravity::Passing => StoreError::Query(error.to_string()),
            },
        }
    }
}

impl Fault {
    pub(super) fn not_allowed(reason: impl Into<String>) -> Self {
        Fault::Answer(StoreError::NotAllowed(reason.into()))
    }

    pub(super) fn not_found(what: impl Into<String>) -> Self {
        Fault::Answer(StoreError::NotFound(what.into()))
    }

    /// How bad it is for the store as a whole.
    pub(super) fn gravity(&self) -> Gravity {
        match self {
            Fault::Sql(error) => gravity(error),
            Fault::Answer(_) => Gravity::Passing,
        }
    }
}

/// How bad an SQL failure is for the store as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gravity {
    /// This command failed, or the disk is full: the next may succeed.
    Passing,
    /// The file is damaged (BAK-4): nothing more is written, reading goes on.
    Damaged,
    /// The kernel may have dropped pages it promised to write (ACK-6): the process must end.
    Fatal,
}

/// Judges an SQL failure. Every failed read, write or flush of the file counts as fatal, not only a failed fsync: after any
/// of them nobody knows what is on the disk.
pub(super) fn gravity(error: &rusqlite::Error) -> Gravity {
    let Some(code) = error.sqlite_error() else { return Gravity::Passing };
    match code.extended_code & 0xff {
        ffi::SQLITE_IOERR => Gravity::Fatal,
        ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB => Gravity::Damaged,
        _ => Gravity::Passing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: i32) -> Gravity {
        gravity(&rusqlite::Error::SqliteFailure(ffi::Error::new(code), None))
    }

    #[test]
    fn ack_6_a_failed_flush_is_fatal_and_a_full_disk_is_not() {
        assert_eq!(of(ffi::SQLITE_IOERR_FSYNC), Gravity::Fatal);
        assert_eq!(of(ffi::SQLITE_IOERR_DIR_FSYNC), Gravity::Fatal);
        assert_eq!(of(ffi::SQLITE_IOERR_WRITE), Gravity::Fatal);
        assert_eq!(of(ffi::SQLITE_CORRUPT), Gravity::Damaged);
        assert_eq!(of(ffi::SQLITE_FULL), Gravity::Passing);
        assert_eq!(of(ffi::SQLITE_BUSY), Gravity::Passing);
        assert_eq!(of(ffi::SQLITE_CONSTRAINT_UNIQUE), Gravity::Passing);
    }
}
