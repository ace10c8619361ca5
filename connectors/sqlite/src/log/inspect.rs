//! What stands in the way of following a file's tables, or weakens it.

use std::sync::Arc;

use rusqlite::Connection;
use syncline_connect::{Finding, Read};
use syncline_types::{Error, Result, codes};

use super::{place::Names, unique::uniques};
use crate::{
    client::{Database, journal_mode},
    dialect::MAIN,
    error::Explain,
    schema::{Kind, Look, find_table},
};

/// Everything found.
pub(super) fn inspect(database: &Database, names: &Names, reads: &[Arc<Read>]) -> Result<Vec<Finding>> {
    let mut findings = vec![];
    let connection = database.guard()?;
    if connection.is_readonly(MAIN).explain("open the database", database.place())? {
        findings.push(Finding::blocker(
            Error::new(&codes::PERMISSION_DENIED, "follow the tables of", database.place())
                .because("the file cannot be written, and changes are recorded in it")
                .hint("Make the file and its folder writable for this user, or write sync: incremental"),
        ));
    }
    findings.push(Finding::note(format!(
        "changes are recorded in {} by triggers, in its table `{}`, until `syncline release`",
        database.place(),
        names.changes
    )));
    let mode = journal_mode(&connection, database)?;
    if mode != "wal" {
        findings.push(Finding::warning(format!(
            "the journal mode of {} is `{mode}`: while changes are read nobody can commit to it, and the other way \
             round; `PRAGMA journal_mode = WAL` lets them",
            database.place()
        )));
    }
    for read in reads {
        if let Some(error) = refusal(&connection, database, read)? {
            findings.push(Finding::blocker(error).of(&read.stream.name));
        } else if read.schema().key.is_empty() {
            let note = "without a key its rows are recorded whole: while it is followed SQLite drops none of its columns, and one that \
                        is added stops the pipeline";
            findings.push(Finding::note(note).of(&read.stream.name));
        }
    }
    Ok(findings)
}

/// The first thing that stands in the way.
pub(super) fn refuse(database: &Database, names: &Names, reads: &[Arc<Read>]) -> Result<()> {
    let findings = inspect(database, names, reads)?;
    findings.into_iter().find_map(|finding| finding.error).map_or(Ok(()), Err)
}

fn refusal(connection: &Connection, database: &Database, read: &Read) -> Result<Option<Error>> {
    let name = &read.stream.name;
    let error = |code, reason: &str| Error::new(code, "follow table", format!("`{name}`")).because(reason);
    let Some(table) = find_table(connection, database, &name.table, Look::Declared)? else {
        return Ok(Some(error(&codes::STREAM_MISSING, "it is there no more").hint("Run again")));
    };
    let kind = match table.kind {
        Kind::View => Some("it is a view, which has no changes of its own"),
        Kind::Virtual => Some("it is a virtual table, and SQLite has no triggers for those"),
        Kind::Table | Kind::WithoutRowid => None,
    };
    if let Some(reason) = kind {
        let hint = "Follow the tables that it is made of, or write sync: full";
        return Ok(Some(error(&codes::UNSUPPORTED, reason).hint(hint)));
    }
    let schema = read.schema();
    let uniques = match uniques(connection, &table) {
        Ok(uniques) => uniques,
        Err(error) => return Ok(Some(error)),
    };
    if schema.key.is_empty() && uniques.is_empty() && table.rowid().is_some() {
        return Ok(None);
    }
    if schema.key.is_empty() || schema.key.iter().any(|column| schema.column(column).is_none()) {
        let reason = "a change tells its row by the primary key, and it has none that is read and never NULL; without any key \
                      it could be followed if it had no unique index either, by which rows are pushed out untold";
        let hint = "Give the table a PRIMARY KEY with NOT NULL columns, and read all of them";
        return Ok(Some(error(&codes::KEY_MISSING, reason).hint(hint)));
    }
    Ok(None)
}
