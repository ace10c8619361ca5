//! The servers' errors in our own words, and nowhere else.
//!
//! They put values into the messages of data errors (`Incorrect integer value: 'x' for column 'a' at
//! row 1`) and of unique keys, so a server's own words are only told where they cannot hold any.

use std::io;

use mysql_common::packets::ServerError;
use syncline_types::{Code, Error, ErrorKind, codes};

/// An error of the connection itself.
pub(crate) fn from_io(error: &io::Error, operation: &str, object: &str) -> Error {
    if error.kind() == io::ErrorKind::InvalidData {
        return Error::new(&codes::BAD_BYTES, operation, object)
            .because(error)
            .hint("Look at what stands between here and the server");
    }
    unreachable(&error.to_string(), operation, object)
}

/// The error of a server that cannot be reached, or no more.
pub(crate) fn unreachable(reason: &str, operation: &str, object: &str) -> Error {
    Error::new(&codes::UNREACHABLE, operation, object)
        .because(reason)
        .hint("Check that the server runs and that host and port are right")
}

/// An error that the server has sent.
pub(crate) fn from_server(error: &ServerError<'_>, operation: &str, object: &str) -> Error {
    let state = error.sql_state_ref().map_or_else(|| "HY000".into(), |state| state.as_str().into_owned());
    translate(error.error_code(), &state, &error.message_str(), operation, object)
}

/// An error that the server has sent in place of its log. Its words speak of files and of transactions'
/// ids only.
pub(crate) fn of_log(error: &ServerError<'_>, operation: &str, object: &str) -> Error {
    /// All that can be wrong with a log has this number.
    const FATAL_READING_LOG: u16 = 1236;
    if error.error_code() != FATAL_READING_LOG {
        return from_server(error, operation, object);
    }
    let message = error.message_str();
    let (code, hint) = of_log_message(&message);
    Error::new(code, operation, object)
        .because(format!("{} (error {FATAL_READING_LOG})", message.trim_end_matches('.')))
        .hint(hint)
}

fn of_log_message(message: &str) -> (&'static Code, &'static str) {
    let has = |words: &str| message.contains(words);
    // Another replica that calls itself as we do ends us; the next time we call ourselves otherwise.
    if has("same server_uuid/server_id") || has("same server_id") {
        return (&codes::SERVER_BUSY, "Another reader of the log has the same number");
    }
    if has("max_allowed_packet") {
        return (&codes::SERVER_REFUSED, "Raise the server's max_allowed_packet");
    }
    (
        &codes::LOG_LOST,
        "Copy the streams again with --restart, and let the server keep its log for longer: binlog_expire_logs_seconds",
    )
}

/// What a warning says of a row, as an error, and which row of the statement it is. Only their number
/// and text are told.
pub(crate) fn from_warning(
    number: u16,
    message: &str,
    operation: &str,
    object: &str,
) -> (Error, Option<u32>) {
    let without_row = message.rsplit_once(" at row ").map_or(message, |(before, _)| before);
    (translate(number, WARNING, without_row, operation, object), row(message))
}

/// Stands for the state, which warnings have none of: something is wrong with a value.
const WARNING: &str = "22000";

fn translate(number: u16, state: &str, message: &str, operation: &str, object: &str) -> Error {
    let (code, hint) = class(number, state, message);
    let mut error = Error::new(code, operation, object).because(reason(number, state, message));
    if let Some(hint) = hint {
        error = error.hint(hint);
    }
    match row(message) {
        Some(row) if code.kind == ErrorKind::Value => error.at_row(row - 1),
        _ => error,
    }
}

/// Which of our codes an error's number is, and what to do about it.
fn class(number: u16, state: &str, message: &str) -> (&'static Code, Option<&'static str>) {
    match number {
        1045 | 1251 | 1524 | 1698 => (&codes::LOGIN_REFUSED, Some("Check user and password")),
        1820 | 1862 => (&codes::LOGIN_REFUSED, Some("The password has expired: set a new one")),
        3118 | 4151 => (&codes::LOGIN_REFUSED, Some("The account is locked at the server")),
        1129 | 1130 => (&codes::LOGIN_REFUSED, Some("The server does not take this user from this machine")),
        1049 => (&codes::DATABASE_MISSING, Some("Check the database's name in the URL")),
        1044 | 1142 | 1143 | 1211 | 1227 | 1370 | 1410 => {
            (&codes::PERMISSION_DENIED, Some("`syncline plan` names the missing grants"))
        }
        1290 | 1792 | 1836 => (&codes::PERMISSION_DENIED, Some("The server is read-only: name the primary")),
        1051 | 1109 | 1146 => (&codes::STREAM_MISSING, None),
        1054 => (&codes::COLUMN_MISSING, None),
        1176 => (&codes::SCHEMA_CHANGED, None),
        1050 => (&codes::NAME_TAKEN, None),
        1021 | 1114 => (&codes::DISK_FULL, Some(DISK)),
        3 | 1026 | 1030 if message.contains("28") => (&codes::DISK_FULL, Some(DISK)),
        1205 => (&codes::LOCKED, Some("Another session holds a lock on it")),
        1969 | 3024 => (&codes::TIMED_OUT, Some("The server's limit for a statement has ended it")),
        1412 => (&codes::SNAPSHOT_LOST, Some("The table was altered while it was read: run again")),
        1153 | 1301 | 2020 => (&codes::VALUE_REFUSED, Some("Raise the server's max_allowed_packet")),
        1022 | 1062 | 1169 | 1586 => (&codes::DUPLICATE_KEY, None),
        1148 | 3948 | 4166 => (&codes::UNSUPPORTED, Some("Set local_infile=1 at the server")),
        1040
        | 1041
        | 1053
        | 1080
        | 1152
        | 1158..=1161
        | 1184
        | 1203
        | 1213
        | 1226
        | 1317
        | 1613
        | 1614
        | 1927
        | 3100
        | 3101
        | 3169
        | 3572
        | 4031 => (&codes::SERVER_BUSY, None),
        1366 | 1265 | 1300 | 1411 | 1525 | 3819 | 4025 => (&codes::VALUE_REFUSED, None),
        _ => match state.get(..2).unwrap_or_default() {
            "08" => (&codes::UNREACHABLE, None),
            "22" | "23" | "45" | "01" => (&codes::VALUE_REFUSED, None),
            "40" | "70" => (&codes::SERVER_BUSY, None),
            _ => (&codes::SERVER_REFUSED, None),
        },
    }
}

const DISK: &str = "Make room on the server; the run goes on from here afterwards";

/// What may be said of the reason without a value from a row in it.
fn reason(number: u16, state: &str, message: &str) -> String {
    let mut reason = match is_plain(number, state) {
        true => message.trim_end_matches('.').to_owned(),
        false => data_reason(number, state).to_owned(),
    };
    if !is_plain(number, state) {
        for (before, what) in [("for column '", "column"), ("for key '", "key")] {
            if let Some(name) = last_name(message, before) {
                reason.push_str(&format!(", {what} `{name}`"));
            }
        }
        if matches!(number, 1048 | 1364 | 1406)
            && let Some(name) = last_name(message, "olumn '").or_else(|| last_name(message, "Field '"))
            && !reason.contains(", column")
        {
            reason.push_str(&format!(", column `{name}`"));
        }
    }
    format!("{reason} (error {number}, SQLSTATE {state})")
}

/// Whether the server's own words speak of names and of itself only.
fn is_plain(number: u16, state: &str) -> bool {
    // Syntax errors quote the statement.
    if matches!(number, 1064 | 1149) {
        return false;
    }
    let by_state = matches!(state.get(..2).unwrap_or_default(), "08" | "28" | "40" | "42" | "70" | "3D");
    let by_number = matches!(
        number,
        3 | 1021 | 1026 | 1030 | 1036 | 1037 | 1038 | 1041 | 1053 | 1077..=1080 | 1105 | 1114 | 1129 | 1130
            | 1148 | 1153 | 1176 | 1193 | 1205 | 1210 | 1222 | 1223 | 1235..=1238 | 1290 | 1317 | 1412
            | 1451 | 1452 | 1524 | 1792 | 1820 | 1836 | 1862 | 1927 | 1969 | 3024 | 3100 | 3101 | 3118
            | 3159 | 3572 | 3819 | 3948 | 4025 | 4031 | 4151 | 4166
    );
    (by_state || by_number) && number != 1105
}

/// The conditions that a row can meet, by name.
fn data_reason(number: u16, state: &str) -> &'static str {
    match number {
        1022 | 1062 | 1169 | 1586 => "there is a row with the same key already",
        1048 => "NULL in a column that may not be NULL",
        1064 | 1149 => "the server does not understand the statement",
        1264 | 1690 => "a number is out of its column's range",
        1265 => "a value would be cut or changed",
        1292 | 1411 => "a date or time is not one that the column can hold",
        1300 => "a character does not exist in the column's encoding",
        1301 => "a value is longer than the server's max_allowed_packet",
        1364 => "a column without a default was given nothing",
        1366 => "a value cannot be read as its column's type",
        1406 => "a text is too long for its column",
        1416 => "a value is no geometry",
        1644 => "a trigger or function at the server refuses it",
        3140 | 3141 | 3144 | 3157 => "a text is no JSON",
        _ => match state.get(..2).unwrap_or_default() {
            "22" | "23" | "01" => "the server refuses a value",
            "45" => "a trigger or function at the server refuses it",
            _ => "the server gives a reason that may hold values",
        },
    }
}

/// The last name in quotes behind these words. A value stands before its column's name, so that
/// nothing of it is taken for the name.
fn last_name<'a>(message: &'a str, before: &str) -> Option<&'a str> {
    let (_, after) = message.rsplit_once(before)?;
    after.split_once('\'').map(|(name, _)| name)
}

/// The row of a statement that an error speaks of: `... at row 3`.
fn row(message: &str) -> Option<u32> {
    message.rsplit_once(" at row ")?.1.parse().ok().filter(|row| *row > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_is_told() {
        for (number, state, message, expected) in [
            (
                1366,
                "HY000",
                "Incorrect integer value: 'SECRET for column 'x' at row 9' for column 'a' at row 3",
                "could not write: a value cannot be read as its column's type, column `a` (error 1366, SQLSTATE HY000)",
            ),
            (
                1062,
                "23000",
                "Duplicate entry 'SECRET' for key 't.PRIMARY'",
                "could not write: there is a row with the same key already, key `t.PRIMARY` (error 1062, SQLSTATE 23000)",
            ),
            (
                1406,
                "22001",
                "Data too long for column 'b' at row 1",
                "could not write: a text is too long for its column, column `b` (error 1406, SQLSTATE 22001)",
            ),
            (
                1048,
                "23000",
                "Column 'c' cannot be null",
                "could not write: NULL in a column that may not be NULL, column `c` (error 1048, SQLSTATE 23000)",
            ),
            (
                1064,
                "42000",
                "You have an error in your SQL syntax near 'SECRET' at line 1",
                "could not write: the server does not understand the statement (error 1064, SQLSTATE 42000)",
            ),
            (
                1146,
                "42S02",
                "Table 'shop.x' doesn't exist",
                "could not write: Table 'shop.x' doesn't exist (error 1146, SQLSTATE 42S02)",
            ),
        ] {
            let error = translate(number, state, message, "write", "");
            assert_eq!(error.sentence(), expected);
        }
    }

    #[test]
    fn errors_are_told_apart() {
        for (number, state, message, expected) in [
            (1045, "28000", "", &codes::LOGIN_REFUSED),
            (1213, "40001", "", &codes::SERVER_BUSY),
            (1205, "HY000", "", &codes::LOCKED),
            (1927, "70100", "", &codes::SERVER_BUSY),
            (
                1030,
                "HY000",
                "Got error 28 \"No space left on device\" from storage engine",
                &codes::DISK_FULL,
            ),
            (1030, "HY000", "Got error 1 from storage engine", &codes::SERVER_REFUSED),
            (1406, "22001", "", &codes::VALUE_REFUSED),
            (1153, "08S01", "", &codes::VALUE_REFUSED),
            (1412, "HY000", "", &codes::SNAPSHOT_LOST),
            (9999, "08S01", "", &codes::UNREACHABLE),
            (9999, "HY000", "", &codes::SERVER_REFUSED),
        ] {
            assert_eq!(translate(number, state, message, "do", "").code(), expected, "{number} {state}");
        }
        assert_eq!(
            translate(1264, "22003", "Out of range value for column 'a' at row 7", "do", "").row(),
            Some(6)
        );
    }
}
