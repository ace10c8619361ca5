//! A pipeline's place: its table of changes, and how far that was read.
//!
//! Records are numbered by the order in which they were written, which is the order of commits, since a
//! file has one writer at a time. Numbers go up for good, and the last record is never deleted, so that the
//! record at a place is there as long as nobody has tampered with it.

use rusqlite::{Connection, OptionalExtension};
use syncline_sql::{bookkeeping::PREFIX, quote_double};
use syncline_types::{Error, Position, Result, codes, fingerprint::hash_text};

use crate::{error::Explain, origin};

/// Whose the tables of changes are: one row a pipeline.
const FOLLOW: &str = "_syncline_follow";

/// What a pipeline's own things in the file are called.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) pipeline: String,
    /// The table of changes.
    pub(super) changes: String,
    /// What begins the names of its triggers.
    pub(super) triggers: String,
}

impl Names {
    pub(super) fn of(pipeline: &str) -> Self {
        let hash = hash_text(pipeline) & 0xFFFF_FFFF_FFFF;
        Names {
            pipeline: pipeline.to_owned(),
            changes: format!("{PREFIX}_changes_{hash:012x}"),
            triggers: format!("{PREFIX}_follow_{hash:012x}."),
        }
    }

    /// The pipeline, for messages.
    pub(super) fn quoted(&self) -> String {
        format!("`{}`", self.pipeline)
    }

    /// The table of changes, in a statement.
    pub(super) fn table(&self) -> String {
        quote_double(&self.changes)
    }
}

/// A place in a pipeline's changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Which table of changes it is: one that was made anew has another.
    pub(super) life: String,
    /// The last record before it.
    pub(super) number: i64,
}

impl Place {
    pub(super) fn of(position: &Position) -> Result<Self> {
        let parts = position.0.split_once('/').and_then(|(life, number)| Some((life, number.parse().ok()?)));
        let (life, number) = parts.ok_or_else(|| {
            Error::new(&codes::BAD_BYTES, "go on from", format!("`{}`", position.0))
                .because("it is no place in the changes of an SQLite file")
        })?;
        Ok(Place { life: life.to_owned(), number })
    }

    pub(super) fn position(&self) -> Position {
        Position(format!("{}/{}", self.life, self.number))
    }
}

/// The error of a place behind which something may be missing.
pub(super) fn lost(names: &Names, reason: impl std::fmt::Display) -> Error {
    Error::new(&codes::LOG_LOST, "go on following with pipeline", names.quoted())
        .because(reason)
        .hint("Copy the streams again with --restart")
}

pub(super) fn is_there(connection: &Connection, table: &str) -> Result<bool> {
    connection
        .query_row("SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND name = ?1", [table], |_| Ok(()))
        .optional()
        .map(|found| found.is_some())
        .explain("look for table", format!("`{table}`"))
}

/// The life of the pipeline's changes, if it has any.
pub(super) fn life(connection: &Connection, names: &Names) -> Result<Option<String>> {
    if !is_there(connection, FOLLOW)? {
        return Ok(None);
    }
    connection
        .query_row(&format!("SELECT life FROM main.{FOLLOW} WHERE pipeline = ?1"), [&names.pipeline], |row| {
            row.get(0)
        })
        .optional()
        .explain("look for the changes of pipeline", names.quoted())
}

/// Makes an empty table of changes, but for the record that nothing comes before.
pub(super) fn create(connection: &Connection, names: &Names) -> Result<Place> {
    let changes = names.table();
    let sql = format!(
        "CREATE TABLE IF NOT EXISTS {FOLLOW} (pipeline TEXT PRIMARY KEY, changes TEXT NOT NULL, life TEXT NOT NULL);
         CREATE TABLE {changes} (number INTEGER PRIMARY KEY AUTOINCREMENT, millis INTEGER, stream TEXT, op TEXT NOT NULL, origin TEXT);
         INSERT INTO {changes} (op) VALUES ('begin');"
    );
    origin::create(connection)?;
    let made = connection.execute_batch(&sql).and_then(|()| {
        connection.query_row(
            &format!(
                "INSERT INTO {FOLLOW} (pipeline, changes, life) VALUES (?1, ?2, lower(hex(randomblob(4))))
                 RETURNING life"
            ),
            [&names.pipeline, &names.changes],
            |row| row.get(0),
        )
    });
    let life = made.explain("make a table for the changes of pipeline", names.quoted())?;
    Ok(Place { life, number: 1 })
}

/// Where the changes end now.
pub(super) fn head(connection: &Connection, names: &Names) -> Result<Place> {
    let gone = || lost(names, format!("its table `{}` is gone", names.changes));
    let life = life(connection, names)?.ok_or_else(gone)?;
    if !is_there(connection, &names.changes)? {
        return Err(gone());
    }
    let number: Option<i64> = connection
        .query_row(&format!("SELECT max(number) FROM main.{}", names.table()), [], |row| row.get(0))
        .explain("find the last change of pipeline", names.quoted())?;
    let number = number.ok_or_else(|| lost(names, format!("`{}` was emptied", names.changes)))?;
    Ok(Place { life, number })
}

/// That everything is there that has come behind a place; returns where it ends.
pub(super) fn check(connection: &Connection, names: &Names, known: &Place) -> Result<Place> {
    let head = head(connection, names)?;
    if head.life != known.life {
        return Err(lost(names, format!("`{}` was made anew", names.changes)));
    }
    let there = connection
        .prepare_cached(&format!("SELECT 1 FROM main.{} WHERE number = ?1", names.table()))
        .and_then(|mut statement| statement.exists([known.number]))
        .explain("look for the last change that was read of pipeline", names.quoted())?;
    if !there {
        let reason = format!(
            "`{}` no longer has the last change that was read: the file is an older one, or rows were deleted",
            names.changes
        );
        return Err(lost(names, reason));
    }
    Ok(head)
}

/// Deletes a part of what comes before a place; false when there is no more of it.
pub(super) fn forget(
    connection: &Connection,
    names: &Names,
    upto: &Place,
    at_once: i64,
) -> rusqlite::Result<bool> {
    let table = names.table();
    let sql = format!(
        "DELETE FROM main.{table} WHERE number < min(?1, (SELECT min(number) FROM main.{table}) + ?2)
           AND EXISTS (SELECT 1 FROM main.{FOLLOW} WHERE pipeline = ?3 AND life = ?4)"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    statement.execute((upto.number, at_once, &names.pipeline, &upto.life)).map(|count| count > 0)
}

/// Gives up the place, if there is one.
pub(super) fn drop_place(connection: &Connection, names: &Names) -> Result<()> {
    let mut sql = format!("DROP TABLE IF EXISTS main.{};", names.table());
    if is_there(connection, FOLLOW)? {
        let own = syncline_sql::quote_text(&names.pipeline);
        sql.push_str(&format!("DELETE FROM main.{FOLLOW} WHERE pipeline = {own};"));
    }
    connection.execute_batch(&sql).explain("give up the changes of pipeline", names.quoted())?;
    let others = is_there(connection, FOLLOW)?
        && connection
            .query_row(&format!("SELECT 1 FROM main.{FOLLOW}"), [], |_| Ok(()))
            .optional()
            .explain("look for the changes of other pipelines beside", names.quoted())?
            .is_some();
    if others {
        return Ok(());
    }
    connection
        .execute_batch(&format!("DROP TABLE IF EXISTS main.{FOLLOW}"))
        .explain("give up the changes of pipeline", names.quoted())?;
    origin::remove(connection)
}
