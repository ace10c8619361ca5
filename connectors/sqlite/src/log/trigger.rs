//! The triggers: what they record, and whether they are there.
//!
//! They name columns of the key and of unique indexes only, which SQLite lets nobody drop as they are. Where
//! there is no key they record whole rows, before and after.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rusqlite::Connection;
use syncline_connect::Read;
use syncline_sql::{quote_double, quote_text};
use syncline_types::{Error, Result, codes};

use super::{
    place::{Names, lost},
    unique::{Unique, uniques},
};
use crate::{
    client::Database,
    error::Explain,
    origin::SAID,
    schema::{Look, Table, find_table},
};

/// The time, in milliseconds since 1970.
const NOW: &str = "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)";

/// The first columns of a record. Those of the key follow.
const RECORD: &str = "millis, stream, op, origin";

/// Since when a table's changes have to be told whole.
#[derive(Clone, Copy, Debug)]
pub(super) enum Since {
    /// It is copied from now on.
    Never,
    /// Since this record.
    Place(i64),
}

/// Which triggers of a pipeline are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// All there are.
    All,
    /// Those of the tables at hand: others may be copied meanwhile, and their changes recorded.
    Theirs,
}

/// A trigger as it should be.
struct Trigger {
    name: String,
    sql: String,
}

/// All triggers of a table.
struct Wanted {
    /// Those that record the rows that a statement names.
    rows: Vec<Trigger>,
    /// Those that record rows that others push out, one pair a unique index.
    pushed_out: Vec<Trigger>,
}

/// Triggers that are there, with their definitions.
type There = BTreeMap<String, String>;

/// The column of a table of changes for a part of the key.
pub(super) fn key_column(place: usize) -> String {
    format!("k{}", place + 1)
}

fn wanted(names: &Names, table: &Table, key: &[String], uniques: &[Unique]) -> Wanted {
    let own = quote_double(&table.name);
    let stream = quote_text(&table.name);
    let columns: Vec<String> = (0..key.len()).map(key_column).collect();
    let into = format!("INSERT INTO {} ({RECORD}, {})", names.table(), columns.join(", "));
    let row = |of: &str| key.iter().map(|name| format!("{of}{}", quote_double(name))).collect::<Vec<_>>();
    let record =
        |op: &str, of: &str| format!("{into} SELECT {NOW}, {stream}, '{op}', {SAID}, {}", row(of).join(", "));
    // Equal for a collation, or as numbers, is not the same.
    let moved = row("OLD.")
        .into_iter()
        .zip(row("NEW."))
        .map(|(old, new)| format!("{old} IS NOT {new} COLLATE BINARY OR typeof({old}) <> typeof({new})"));
    let moved = moved.collect::<Vec<_>>().join(" OR ");
    let same = row("").into_iter().zip(row("OLD.")).map(|(here, old)| format!("{here} IS {old}"));
    let same = same.collect::<Vec<_>>().join(" AND ");
    let make = |what: &str, of: &str, when: &str, body: String| {
        let name = format!("{}{what}.{of}", names.triggers);
        let sql = format!("CREATE TRIGGER {} {when} ON {own} BEGIN {body}; END", quote_double(&name));
        Trigger { name, sql }
    };
    let update = format!("{} WHERE {moved}; {}", record("d", "OLD."), record("u", "NEW."));
    let rows = vec![
        make("insert", &table.name, "AFTER INSERT", record("i", "NEW.")),
        make("update", &table.name, "AFTER UPDATE", update),
        make("delete", &table.name, "AFTER DELETE", record("d", "OLD.")),
    ];
    let mut pushed_out = vec![];
    for unique in uniques {
        let found = format!("{} FROM {own} WHERE {}", record("d", ""), unique.condition);
        pushed_out.push(make("before_insert", &unique.name, "BEFORE INSERT", found.clone()));
        let others = format!("{found} AND NOT ({same})");
        pushed_out.push(make("before_update", &unique.name, "BEFORE UPDATE", others));
    }
    Wanted { rows, pushed_out }
}

/// For a table without a key, or unique indexes by which others would be pushed out: what was there, `o`, and is
/// there in its place, `n`, are told together. A row can still be pushed out by its number, and that is told as `x`.
fn wanted_whole(names: &Names, table: &Table, rowid: &str) -> Wanted {
    let own = quote_double(&table.name);
    let (stream, rowid) = (quote_text(&table.name), quote_double(rowid));
    let fields = || table.columns.iter().map(|column| quote_double(&column.column.name));
    let columns: Vec<String> = (0..table.columns.len()).map(key_column).collect();
    let columns = columns.join(", ");
    let record = |op: &str, of: &str| {
        let row: Vec<String> = fields().map(|name| format!("{of}{name}")).collect();
        let row = row.join(", ");
        format!(
            "INSERT INTO {} ({RECORD}, {columns}) SELECT {NOW}, {stream}, '{op}', {SAID}, {row}",
            names.table()
        )
    };
    let differs = |name: String| {
        format!("OLD.{name} IS NOT NEW.{name} COLLATE BINARY OR typeof(OLD.{name}) <> typeof(NEW.{name})")
    };
    let differs = fields().map(differs).collect::<Vec<_>>().join(" OR ");
    let taken = |when: &str| {
        format!(
            "INSERT INTO {} ({RECORD}) SELECT {NOW}, {stream}, 'x', {SAID}
             WHERE {when} AND EXISTS (SELECT 1 FROM {own} WHERE {rowid} = NEW.{rowid})",
            names.table()
        )
    };
    let make = |what: &str, when: &str, body: String| {
        let name = format!("{}{what}.{}", names.triggers, table.name);
        let sql = format!("CREATE TRIGGER {} {when} ON {own} BEGIN {body}; END", quote_double(&name));
        Trigger { name, sql }
    };
    let update = format!("{} WHERE {differs}; {} WHERE {differs}", record("o", "OLD."), record("n", "NEW."));
    let rows = vec![
        make("insert", "AFTER INSERT", record("i", "NEW.")),
        make("update", "AFTER UPDATE", update),
        make("delete", "AFTER DELETE", record("d", "OLD.")),
        // A row that is given no number has -1 here.
        make("number", "BEFORE INSERT", taken(&format!("NEW.{rowid} <> -1"))),
        make("renumber", "BEFORE UPDATE", taken(&format!("NEW.{rowid} IS NOT OLD.{rowid}"))),
    ];
    Wanted { rows, pushed_out: vec![] }
}

fn there(connection: &Connection, names: &Names, reads: &[Arc<Read>], whose: Whose) -> Result<There> {
    let read = || {
        let mut statement = connection.prepare(
            "SELECT name, sql, tbl_name FROM main.sqlite_schema
             WHERE type = 'trigger' AND substr(name, 1, length(?1)) = ?1",
        )?;
        let mut rows = statement.query([&names.triggers])?;
        let mut there = There::new();
        while let Some(row) = rows.next()? {
            let table: String = row.get(2)?;
            let is_theirs = |read: &Arc<Read>| read.stream.name.table.to_lowercase() == table.to_lowercase();
            if whose == Whose::All || reads.iter().any(is_theirs) {
                there.insert(row.get(0)?, row.get(1)?);
            }
        }
        Ok(there)
    };
    read().explain("look at the triggers of pipeline", names.quoted())
}

fn has(there: &There, trigger: &Trigger) -> bool {
    there.get(&trigger.name).is_some_and(|sql| *sql == trigger.sql)
}

fn of_read(
    connection: &Connection,
    database: &Database,
    names: &Names,
    read: &Read,
) -> Result<Option<(Table, Wanted)>> {
    let Some(table) = find_table(connection, database, &read.stream.name.table, Look::Declared)? else {
        return Ok(None);
    };
    if read.schema().key.is_empty() {
        let wanted = match (uniques(connection, &table)?.is_empty(), table.rowid()) {
            (true, Some(rowid)) => wanted_whole(names, &table, rowid),
            _ => return Ok(None),
        };
        return Ok(Some((table, wanted)));
    }
    // Its columns may have other names by now, in the triggers too.
    let Some(key) = table.keys.iter().find(|key| key.primary) else { return Ok(None) };
    let wanted = wanted(names, &table, &key.columns, &uniques(connection, &table)?);
    Ok(Some((table, wanted)))
}

/// Whether a table's rows are recorded: by triggers that are as they were made.
pub(super) fn tell(connection: &Connection, database: &Database, names: &Names, read: &Read) -> Result<bool> {
    let there = there(connection, names, &[], Whose::All)?;
    let Some((_, wanted)) = of_read(connection, database, names, read)? else { return Ok(false) };
    Ok(wanted.rows.iter().all(|trigger| has(&there, trigger)))
}

/// Whether there is anything for [`cover`] to do.
pub(super) fn are_covered(
    connection: &Connection,
    database: &Database,
    names: &Names,
    reads: &[Arc<Read>],
    whose: Whose,
) -> Result<bool> {
    let there = there(connection, names, reads, whose)?;
    let mut count = 0;
    for read in reads {
        let Some((_, wanted)) = of_read(connection, database, names, read)? else { return Ok(false) };
        let mut all = wanted.rows.iter().chain(&wanted.pushed_out);
        if !all.all(|trigger| has(&there, trigger)) {
            return Ok(false);
        }
        count += wanted.rows.len() + wanted.pushed_out.len();
    }
    Ok(count == there.len())
}

/// Makes the triggers that these need, and drops those that nobody needs any more. To be called inside a
/// transaction that keeps writers out.
///
/// A unique index that has come since is covered from now on. Whatever a row has pushed out by it before
/// that was not recorded: where rows were written since, going on is refused.
pub(super) fn cover(
    connection: &Connection,
    database: &Database,
    names: &Names,
    reads: &[Arc<Read>],
    since: Since,
    whose: Whose,
) -> Result<()> {
    let there = there(connection, names, reads, whose)?;
    let mut keep = BTreeSet::new();
    for read in reads {
        let name = &read.stream.name;
        let Some((table, wanted)) = of_read(connection, database, names, read)? else {
            return Err(lost(names, format!("table `{name}` is gone, or has lost its key")));
        };
        let known = wanted.rows.iter().all(|trigger| has(&there, trigger));
        let uncovered = wanted.pushed_out.iter().any(|trigger| !has(&there, trigger));
        if let (Since::Place(number), true, true) = (since, known, uncovered)
            && has_changes(connection, names, &table.name, number)?
        {
            return Err(lost(
                names,
                format!(
                    "a unique index has come to `{name}`, and rows were written since: INSERT OR REPLACE may have \
                     pushed others out by it, of which nothing was recorded"
                ),
            ));
        }
        let recorded = match read.schema().key.len() {
            0 => table.columns.len(),
            key => key,
        };
        widen(connection, names, recorded)?;
        for trigger in wanted.rows.into_iter().chain(wanted.pushed_out) {
            if !has(&there, &trigger) {
                drop_one(connection, &trigger.name)?;
                connection
                    .execute_batch(&trigger.sql)
                    .explain("make a trigger of table", format!("`{name}`"))?;
            }
            keep.insert(trigger.name);
        }
    }
    for name in there.keys().filter(|name| !keep.contains(*name)) {
        drop_one(connection, name)?;
    }
    if !are_covered(connection, database, names, reads, whose)? {
        return Err(Error::new(&codes::BROKEN_INVARIANT, "make the triggers of pipeline", names.quoted())
            .because("SQLite does not keep them as they were written"));
    }
    Ok(())
}

/// Drops all triggers of a pipeline.
pub(super) fn drop_all(connection: &Connection, names: &Names) -> Result<()> {
    there(connection, names, &[], Whose::All)?.keys().try_for_each(|name| drop_one(connection, name))
}

fn drop_one(connection: &Connection, name: &str) -> Result<()> {
    connection
        .execute_batch(&format!("DROP TRIGGER IF EXISTS main.{}", quote_double(name)))
        .explain("drop the trigger", format!("`{name}`"))
}

/// Gives the table of changes as many columns as a key has. They have no type, so that a value stays what
/// it is.
fn widen(connection: &Connection, names: &Names, key: usize) -> Result<()> {
    for place in 0..key {
        let column = key_column(place);
        let known = connection
            .prepare("SELECT 1 FROM pragma_table_info(?1, 'main') WHERE name = ?2")
            .and_then(|mut statement| statement.exists([&names.changes, &column]))
            .explain("look at table", format!("`{}`", names.changes))?;
        if !known {
            connection
                .execute_batch(&format!("ALTER TABLE main.{} ADD COLUMN {column}", names.table()))
                .explain("widen table", format!("`{}`", names.changes))?;
        }
    }
    Ok(())
}

fn has_changes(connection: &Connection, names: &Names, table: &str, since: i64) -> Result<bool> {
    connection
        .prepare(&format!("SELECT 1 FROM main.{} WHERE number > ?1 AND stream = ?2", names.table()))
        .and_then(|mut statement| statement.exists((since, table)))
        .explain("look for changes of table", format!("`{table}`"))
}
