//! The driver's errors in our own words, and nowhere else.
//!
//! PostgreSQL puts values into the messages of data errors (`invalid input syntax for type integer:
//! "..."`) and into the details of constraint errors, so of these only names and SQLSTATE are kept.

use std::error::Error as _;

use syncline_types::{Code, Error, codes};
use tokio_postgres::error::{DbError, SqlState};

/// Translates an error met while doing `operation` to `object`.
pub(crate) fn translate(error: &tokio_postgres::Error, operation: &str, object: &str) -> Error {
    if let Some(db) = error.as_db_error() {
        return translate_db(db, operation, object);
    }
    // Not from the server: a socket, TLS, or a login the client itself cannot complete.
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    let text = error.to_string();
    if text.contains("TLS") || cause.contains("certificate") || cause.contains("TLS") {
        return Error::new(&codes::TLS_FAILED, operation, object)
            .because(if cause.is_empty() { text } else { cause })
            .hint("Check the host name and tls_ca=FILE; tls=disable turns encryption off");
    }
    if text.contains("authentication") || cause.contains("password") {
        return Error::new(&codes::LOGIN_REFUSED, operation, object)
            .because(if cause.is_empty() { text } else { cause })
            .hint("Check user and password");
    }
    let reason = match (error.is_closed(), cause.is_empty()) {
        (true, _) => "the connection was closed".to_owned(),
        (false, true) => text,
        (false, false) => cause,
    };
    unreachable(&reason, operation, object)
}

/// The error of a server that cannot be reached, or no more.
pub(crate) fn unreachable(reason: &str, operation: &str, object: &str) -> Error {
    Error::new(&codes::UNREACHABLE, operation, object)
        .because(reason)
        .hint("Check that the server runs and that host and port are right")
}

/// What a server has answered, as far as it may be repeated, where no driver stands between.
#[derive(Debug)]
pub(crate) struct Answered {
    state: String,
    message: String,
}

impl Answered {
    /// Reads the payload of an `ErrorResponse`: letters, each with a text.
    pub(crate) fn read(payload: &[u8]) -> Self {
        let mut answered = Answered { state: String::new(), message: String::new() };
        for field in payload.split(|byte| *byte == 0) {
            match field.split_first() {
                Some((b'C', state)) => answered.state = String::from_utf8_lossy(state).into_owned(),
                Some((b'M', message)) => answered.message = String::from_utf8_lossy(message).into_owned(),
                _ => {}
            }
        }
        answered
    }

    fn reason(&self) -> String {
        match may_hold_values(&self.state) {
            true => format!("{} (SQLSTATE {})", data_reason(&self.state), self.state),
            false => format!("{} (SQLSTATE {})", self.message, self.state),
        }
    }

    /// The error that it is in general.
    pub(crate) fn translate(&self, operation: &str, object: &str) -> Error {
        let (code, hint) = class(&SqlState::from_code(&self.state));
        let error = Error::new(code, operation, object).because(self.reason());
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }

    /// The error that it is while a slot is read.
    pub(crate) fn translate_log(&self, operation: &str, object: &str) -> Error {
        match self.state.as_str() {
            // The slot or the publication is not there, the slot was invalidated, or a file of the log is gone.
            "42704" | "55000" | "58P01" => {
                Error::new(&codes::LOG_LOST, operation, object).because(self.reason()).hint(
                    "Copy the streams again with --restart; max_slot_wal_keep_size gives the log more room",
                )
            }
            "55006" => Error::new(&codes::LOCKED, operation, object)
                .because(self.reason())
                .hint("Stop whoever else reads from the slot"),
            "42501" => Error::new(&codes::PERMISSION_DENIED, operation, object)
                .because(self.reason())
                .hint("Give the role the attribute: ALTER ROLE ... REPLICATION"),
            _ => self.translate(operation, object),
        }
    }
}

fn translate_db(db: &DbError, operation: &str, object: &str) -> Error {
    let state = db.code();
    let (code, hint) = class(state);
    let mut error = Error::new(code, operation, object).because(reason(db));
    if let Some(hint) = hint {
        error = error.hint(hint);
    }
    match copy_line(db) {
        Some(line) if code.kind == syncline_types::ErrorKind::Value => error.at_row(line - 1),
        _ => error,
    }
}

/// Which of our codes a SQLSTATE is, and what to do about it.
fn class(state: &SqlState) -> (&'static Code, Option<&'static str>) {
    match state.code() {
        "28P01" | "28000" => (&codes::LOGIN_REFUSED, Some("Check user, password and pg_hba.conf")),
        "3D000" => (&codes::DATABASE_MISSING, Some("Check the database's name in the URL")),
        "42501" => (&codes::PERMISSION_DENIED, Some("`syncline plan` names the missing grants")),
        "25006" => (&codes::PERMISSION_DENIED, Some("The server is read-only: name the primary")),
        "42P01" | "3F000" => (&codes::STREAM_MISSING, None),
        "42703" => (&codes::COLUMN_MISSING, None),
        "42P07" | "42710" => (&codes::NAME_TAKEN, None),
        "53100" => (&codes::DISK_FULL, Some("Make room on the server; the run goes on from here afterwards")),
        "55006" => (&codes::LOCKED, Some("Somebody else uses it just now")),
        "55P03" => (&codes::LOCKED, Some("Another session holds a lock on it")),
        "57014" => (&codes::TIMED_OUT, Some("The server's statement_timeout or somebody cancelled it")),
        "23505" => (&codes::DUPLICATE_KEY, None),
        "2BP01" => (&codes::TARGET_IN_USE, Some("`syncline plan` shows what is attached")),
        // RAISE in a trigger is how a table's owner refuses a row.
        "54000" | "P0001" => (&codes::VALUE_REFUSED, None),
        "0A000" | "42601" => (&codes::SERVER_REFUSED, None),
        code => match code.get(..2).unwrap_or_default() {
            "08" => (&codes::UNREACHABLE, None),
            "22" | "23" => (&codes::VALUE_REFUSED, None),
            "40" | "53" | "57" => (&codes::SERVER_BUSY, None),
            _ => (&codes::SERVER_REFUSED, None),
        },
    }
}

/// What may be said of the reason without a value from a row in it.
fn reason(db: &DbError) -> String {
    let state = db.code().code();
    let mut reason =
        if may_hold_values(state) { data_reason(state).to_owned() } else { db.message().to_owned() };
    if let Some(constraint) = db.constraint() {
        reason.push_str(&format!(", constraint `{constraint}`"));
    }
    if let Some(column) = db.column().map(str::to_owned).or_else(|| copy_column(db)) {
        reason.push_str(&format!(", column `{column}`"));
    }
    format!("{reason} (SQLSTATE {state})")
}

/// Data exceptions, constraints, syntax (which quotes the statement) and RAISE.
fn may_hold_values(state: &str) -> bool {
    let class = state.get(..2).unwrap_or_default();
    matches!(class, "22" | "23" | "P0") || state == "42601" || state == "54000"
}

/// The conditions that a row can meet, by name.
fn data_reason(state: &str) -> &'static str {
    match state {
        "22001" => "a text is too long for its column",
        "22003" => "a number is out of its column's range",
        "22007" | "22008" => "a date or time is not one that the column can hold",
        "22021" | "22P05" => "a character does not exist in the server's encoding",
        "22023" => "a value is not one that the column can hold",
        "22026" => "a string of bits has another length than its column",
        "22P02" | "22P03" => "a value cannot be read as its column's type",
        "22P04" => "the row is not as COPY wants it",
        "23502" => "NULL in a column that may not be NULL",
        "23503" => "a foreign key refers to a row that is not there",
        "23505" => "there is a row with the same key already",
        "23514" => "a check constraint is not met",
        "23P01" => "an exclusion constraint is not met",
        "54000" => "a value is larger than the server can handle there",
        "P0001" => "a trigger or function at the server refuses it",
        "42601" => "the server does not understand the statement",
        _ => "the server refuses a value",
    }
}

/// The line of COPY's input that an error speaks of: `COPY orders, line 7, column price`.
fn copy_line(db: &DbError) -> Option<u32> {
    let context = db.where_()?.lines().find(|line| line.starts_with("COPY "))?;
    let digits = context.split(", line ").nth(1)?;
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok().filter(|line| *line > 0)
}

/// The column that the same words speak of; what follows it may be a value and is left out.
fn copy_column(db: &DbError) -> Option<String> {
    let context = db.where_()?.lines().find(|line| line.starts_with("COPY "))?;
    let name = context.split(", column ").nth(1)?;
    Some(name.split(':').next().unwrap_or(name).trim().to_owned())
}
