//! A table that is followed, as it is at one moment: how a row of it is looked up, and what it becomes.

use std::sync::Arc;

use arrow_schema::Schema;
use rusqlite::{Connection, Statement};
use syncline_connect::{Read, Stream};
use syncline_sql::{Dialect, quote_double};
use syncline_types::{Column, Error, LogicalType, Result, TableSchema, codes};

use crate::{
    client::Database,
    decode::Decoder,
    dialect::{Sqlite, qualified},
    error::Explain,
    schema::{Look, Table, find_table},
    snapshot::known_collation,
};

/// How a table's rows are told.
pub(super) struct Told {
    pub(super) read: Arc<Read>,
    /// The table, as its records name it.
    pub(super) table: String,
    /// Selects a row by its key: the columns that are read, the key, the row's number. `None` where records have
    /// all of it.
    sql: Option<String>,
    /// Of a record's values, those of the columns that are read, where it has whole rows; else those of the key.
    pub(super) places: Vec<usize>,
    pub(super) decoders: Vec<Decoder>,
    pub(super) logicals: Vec<LogicalType>,
    pub(super) rows: Arc<Schema>,
    /// For the key's columns.
    pub(super) key_decoders: Vec<Decoder>,
    pub(super) key_logicals: Vec<LogicalType>,
    pub(super) gone: Arc<Schema>,
    /// Whether the last value that is selected is the row's number.
    pub(super) has_rowid: bool,
}

impl Told {
    /// The table is as it was when the stream was planned.
    pub(super) fn new(table: &Table, read: &Arc<Read>) -> Result<Self> {
        let (rows, gone) = (read.logged_schema(), read.gone_schema());
        let decoder = |column: &Column| {
            let here = table.column(&column.name).ok_or_else(|| changed(read, &column.name))?;
            let mut here = here.clone();
            here.column.logical = column.logical;
            here.column.nullable = column.nullable;
            Ok(Decoder::new(&table.name, &here))
        };
        let decoders = |schema: &TableSchema| schema.columns.iter().map(decoder).collect::<Result<Vec<_>>>();
        let logicals = |schema: &TableSchema| schema.columns.iter().map(|column| column.logical).collect();
        let rowid = table.rowid().map(quote_double);
        let wanted: Vec<String> = read.columns.iter().chain(&rows.key).cloned().collect();
        let mut selected = Sqlite.list(&wanted);
        selected.extend(rowid.iter().map(|rowid| format!(", {rowid}")));
        let by_key = || {
            format!("SELECT {selected} FROM {} WHERE {}", qualified(&table.name), by_key(table, &rows.key))
        };
        let sql = (!rows.key.is_empty()).then(by_key);
        let place = |name: &String| table.columns.iter().position(|here| here.column.name == *name);
        let places: Option<Vec<usize>> = match sql {
            Some(_) => Some((0..rows.key.len()).collect()),
            None => read.columns.iter().map(place).collect(),
        };
        let has_rowid = sql.is_some() && rowid.is_some();
        Ok(Told {
            table: table.name.clone(),
            sql,
            places: places.ok_or_else(|| changed(read, &read.columns.join(", ")))?,
            decoders: decoders(&rows)?,
            logicals: logicals(&rows),
            rows: rows.arrow(),
            key_decoders: decoders(&gone)?,
            key_logicals: logicals(&gone),
            gone: gone.arrow(),
            has_rowid,
            read: Arc::clone(read),
        })
    }

    pub(super) fn key_len(&self) -> usize {
        self.key_logicals.len()
    }

    /// How many values of a record are its own.
    pub(super) fn recorded_len(&self) -> usize {
        self.places.iter().map(|place| place + 1).max().unwrap_or_default()
    }

    /// What finds its rows; `None` where records have whole rows.
    pub(super) fn prepare<'c>(&self, connection: &'c Connection) -> Result<Option<Statement<'c>>> {
        let object = format!("`{}`", self.read.stream.name);
        self.sql.as_ref().map(|sql| connection.prepare(sql)).transpose().explain("read table", object)
    }
}

/// Finds the row with a key by its own index, which may compare in another way than the columns do.
fn by_key(table: &Table, key: &[String]) -> String {
    let index = table.keys.iter().find(|index| index.columns == key);
    let parts = key.iter().enumerate().map(|(place, name)| {
        let collation = index.and_then(|index| index.collations.get(place)).map(String::as_str);
        let required = table.column(name).is_some_and(|column| !column.column.nullable);
        let equals = if required { "=" } else { "IS" };
        let collation = known_collation(collation.unwrap_or("BINARY"));
        format!("{} COLLATE {collation} {equals} ?{}", quote_double(name), place + 1)
    });
    parts.collect::<Vec<_>>().join(" AND ")
}

fn changed(read: &Read, column: &str) -> Error {
    Error::new(&codes::SCHEMA_CHANGED, "follow table", format!("`{}`", read.stream.name))
        .because(format!("column `{column}` is there no more"))
        .hint("Copy it again: --restart")
}

/// What a table is when it is looked at.
pub(super) enum Seen {
    /// As it was planned.
    Same(Told),
    /// Something else.
    Other(TableSchema),
}

/// Looks at a table.
pub(super) fn see(connection: &Connection, database: &Database, read: &Arc<Read>) -> Result<Option<Seen>> {
    let name = &read.stream.name.table;
    let Some(table) = find_table(connection, database, name, Look::Declared)? else { return Ok(None) };
    if !in_order(&table, read) {
        return Err(Error::new(&codes::LOG_LOST, "go on following table", format!("`{}`", read.stream.name))
            .because(
                "its columns are in another order: one was dropped and added again, or names were exchanged, and what \
                 that has done to its rows is told by nothing",
            )
            .hint("Copy it again: --restart, or `syncline recopy`"));
    }
    if fits(&table, read) {
        return Told::new(&table, read).map(|told| Some(Seen::Same(told)));
    }
    // What a new column without a type holds, its values tell.
    let Some(table) = find_table(connection, database, name, Look::Values)? else { return Ok(None) };
    let mut schema = table.schema();
    for column in &mut schema.columns {
        if let Some(known) = read.stream.schema.column(&column.name).filter(|known| same(known, column)) {
            (column.logical, column.nullable) = (known.logical, known.nullable);
        }
    }
    Ok(Some(Seen::Other(schema)))
}

fn same(one: &Column, other: &Column) -> bool {
    one.native == other.native && one.generated == other.generated
}

/// Whether the columns that were there come in the order that they had. Columns have no numbers, and altering
/// a table never moves one: where it looks so, it is another one of that name.
fn in_order(table: &Table, read: &Read) -> bool {
    let planned = read.stream.schema.columns.iter();
    let places = planned
        .filter_map(|planned| table.columns.iter().position(|here| here.column.name == planned.name))
        .collect::<Vec<_>>();
    places.is_sorted()
}

/// Whether the columns that are read are those that were planned, and none has come.
fn fits(table: &Table, read: &Read) -> bool {
    let planned = &read.stream.schema;
    let there = |name: &String| {
        let here = table.columns.iter().find(|here| here.column.name == *name);
        planned.column(name).zip(here).is_some_and(|(planned, here)| same(planned, &here.column))
    };
    let known = |column: &Column| planned.column(&column.name).is_some_and(|planned| same(planned, column));
    read.columns.iter().all(there) && table.columns.iter().all(|here| known(&here.column))
}

/// What is read of a stream whose schema is another one: where all columns were read, all are; else those
/// that are still there.
pub(super) fn changed_read(read: &Read, schema: &TableSchema) -> Read {
    let all = read.stream.schema.columns.iter().all(|column| read.columns.contains(&column.name));
    let columns = match all {
        true => schema.columns.iter().map(|column| column.name.clone()).collect(),
        false => read.columns.iter().filter(|name| schema.index(name).is_some()).cloned().collect(),
    };
    let stream = Stream { schema: schema.clone(), ..read.stream.as_ref().clone() };
    Read { stream: Arc::new(stream), columns, ..read.clone() }
}
