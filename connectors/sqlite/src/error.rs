//! The driver's errors in our own words, and nowhere else.
//!
//! SQLite's messages name tables, columns and constraints. A trigger's message and an error inside an
//! expression may hold values, so only forms of message that are known to hold none are passed on.

use std::fmt::Display;

use rusqlite::{ErrorCode, ffi};
use syncline_types::{Code, Error, Result, codes};

/// Gives an error of the driver its operation and object.
pub(crate) trait Explain<T> {
    /// The value, or the error in our own words: "could not `operation` `object`: ...".
    fn explain(self, operation: &str, object: impl Display) -> Result<T>;
}

impl<T> Explain<T> for rusqlite::Result<T> {
    fn explain(self, operation: &str, object: impl Display) -> Result<T> {
        self.map_err(|error| translate(&error, operation, object))
    }
}

/// Translates an error met while doing `operation` to `object`.
pub(crate) fn translate(error: &rusqlite::Error, operation: &str, object: impl Display) -> Error {
    let (failure, message) = match error {
        rusqlite::Error::SqliteFailure(failure, message) => (failure, message.as_deref()),
        rusqlite::Error::SqlInputError { error, msg, .. } => (error, Some(msg.as_str())),
        rusqlite::Error::Utf8Error(..)
        | rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..) => {
            return Error::new(&codes::BAD_BYTES, operation, object)
                .because("an answer is not of the form asked for");
        }
        // Each is a mistake of ours, and its text may quote what we asked.
        _ => {
            return Error::new(&codes::BROKEN_INVARIANT, operation, object)
                .because("the driver was asked for something it cannot do");
        }
    };
    let (code, hint) = class(failure);
    let mut translated = Error::new(code, operation, object).because(reason(failure, message));
    if let Some(hint) = hint {
        translated = translated.hint(hint);
    }
    translated
}

/// The error of a row that the table refuses, when that is what the error says. Everything else
/// speaks of the database as a whole.
pub(crate) fn refusal(error: &rusqlite::Error, table: impl Display) -> Option<Error> {
    let of_a_row = matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig)
    );
    of_a_row.then(|| translate(error, "write a row to", format!("`{table}`")))
}

/// Whether a reading was broken off on our own wish.
pub(crate) fn was_interrupted(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted)
}

/// Whether others hold the database.
pub(crate) fn is_locked(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Whether what failed is to be done in another way, since the file cannot be written.
pub(crate) fn cannot_write(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied)
    )
}

/// Which of our codes an error is, and what to do about it.
fn class(failure: &ffi::Error) -> (&'static Code, Option<&'static str>) {
    match failure.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => (
            &codes::LOCKED,
            Some(
                "Find out who holds the database, or wait longer with busy_seconds=N. Unless its journal_mode is \
                 WAL, whoever reads keeps writers out",
            ),
        ),
        ErrorCode::DiskFull => {
            (&codes::DISK_FULL, Some("Make room on that disk; the run goes on from here afterwards"))
        }
        ErrorCode::SystemIoFailure if failure.extended_code == ffi::SQLITE_IOERR_SHMSIZE => {
            (&codes::DISK_FULL, Some("Make room on that disk; the run goes on from here afterwards"))
        }
        ErrorCode::SystemIoFailure => (&codes::UNREACHABLE, Some("Check the disk that the file is on")),
        ErrorCode::NotADatabase => {
            (&codes::BAD_BYTES, Some("Check the path, and that the file is not encrypted"))
        }
        ErrorCode::DatabaseCorrupt => {
            (&codes::BAD_BYTES, Some("`PRAGMA integrity_check` shows what is damaged; restore a backup"))
        }
        ErrorCode::ReadOnly => {
            (&codes::PERMISSION_DENIED, Some("Make the file and its folder writable for this user"))
        }
        ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied => (
            &codes::PERMISSION_DENIED,
            Some("Check the permissions of the file and of its folder, in which SQLite keeps its journal"),
        ),
        ErrorCode::OutOfMemory => (&codes::SERVER_BUSY, None),
        ErrorCode::OperationInterrupted => (&codes::INTERRUPTED, None),
        ErrorCode::SchemaChanged => (&codes::SCHEMA_CHANGED, None),
        ErrorCode::TooBig | ErrorCode::TypeMismatch => (&codes::VALUE_REFUSED, None),
        ErrorCode::ConstraintViolation => match failure.extended_code {
            ffi::SQLITE_CONSTRAINT_UNIQUE
            | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
            | ffi::SQLITE_CONSTRAINT_ROWID => (&codes::DUPLICATE_KEY, None),
            _ => (&codes::VALUE_REFUSED, None),
        },
        _ => (&codes::SERVER_REFUSED, None),
    }
}

/// Beginnings of messages that go on with names of the schema only.
const NAMES_ONLY: &[&str] = &[
    "no such ",
    "there is already ",
    "duplicate column",
    "cannot ",
    "error in ",
    "foreign key mismatch",
    "too many ",
    "table ",
    "view ",
    "index ",
    "unable to ",
];

/// What may be said of the reason without a value from a row in it.
fn reason(failure: &ffi::Error, message: Option<&str>) -> String {
    let safe = match failure.code {
        ErrorCode::ConstraintViolation => match failure.extended_code {
            ffi::SQLITE_CONSTRAINT_TRIGGER => Some("a trigger of the table refuses the row".to_owned()),
            ffi::SQLITE_CONSTRAINT_UNIQUE
            | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
            | ffi::SQLITE_CONSTRAINT_ROWID
            | ffi::SQLITE_CONSTRAINT_NOTNULL
            | ffi::SQLITE_CONSTRAINT_CHECK
            | ffi::SQLITE_CONSTRAINT_FOREIGNKEY
            | ffi::SQLITE_CONSTRAINT_DATATYPE => message.map(str::to_owned),
            _ => Some("a constraint of the table is not met".to_owned()),
        },
        ErrorCode::Unknown => {
            let names_only =
                message.filter(|message| NAMES_ONLY.iter().any(|start| message.starts_with(start)));
            Some(names_only.map_or_else(|| "SQLite refuses the statement".to_owned(), str::to_owned))
        }
        ErrorCode::TypeMismatch => Some("a value has the wrong type for its column".to_owned()),
        ErrorCode::TooBig => Some("the row is larger than SQLite can hold".to_owned()),
        _ => None,
    };
    // SQLite's own words for the code; they never hold anything else.
    safe.unwrap_or_else(|| ffi::code_to_str(failure.extended_code).to_owned())
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    /// Runs statements of which the last fails.
    fn failure(sql: &str) -> rusqlite::Error {
        Connection::open_in_memory().unwrap().execute_batch(sql).unwrap_err()
    }

    #[test]
    fn messages_name_what_is_wrong_and_hold_no_value() {
        for (sql, code, words) in [
            ("CREATE TABLE t (a UNIQUE); INSERT INTO t VALUES ('secret'), ('secret')", 4004, "t.a"),
            ("CREATE TABLE t (a NOT NULL); INSERT INTO t VALUES (NULL)", 4001, "t.a"),
            ("CREATE TABLE t (a CHECK (a > 5)); INSERT INTO t VALUES (1)", 4001, "a > 5"),
            ("CREATE TABLE t (a INT) STRICT; INSERT INTO t VALUES ('secret')", 4001, "t.a"),
            ("CREATE TABLE t (a INTEGER PRIMARY KEY); INSERT INTO t VALUES ('secret')", 4001, "wrong type"),
            (
                "CREATE TABLE t (a); CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT raise(ABORT, 'no ' || new.a); END; \
                 INSERT INTO t VALUES ('secret')",
                4001,
                "trigger",
            ),
            ("SELECT json('{secret')", 2009, "refuses"),
            ("SELECT * FROM gone", 2009, "no such table: gone"),
            ("SELECT 'a' 'b' 'secret'", 2009, "refuses"),
        ] {
            let error = failure(sql);
            let translated = translate(&error, "do", "it");
            assert_eq!(translated.code().number, code, "{sql}: {translated}");
            assert!(translated.to_string().contains(words), "{sql}: {translated}");
            assert!(!translated.to_string().contains("secret"), "{sql}: {translated}");
        }
    }

    #[test]
    fn only_what_is_wrong_with_a_row_is_a_refusal() {
        let row = failure("CREATE TABLE t (a NOT NULL); INSERT INTO t VALUES (NULL)");
        assert_eq!(refusal(&row, "t").map(|error| error.code().number), Some(4001));
        assert!(refusal(&failure("SELECT * FROM gone"), "t").is_none());
    }
}
