//! How far a column goes: its highest value, and how many rows have none.
//!
//! A column may hold anything, and `max` of SQLite puts any text above any number. So every value is
//! looked at: one that is not of the column's type is an error that names its row.

use rusqlite::{Connection, types::ValueRef};
use syncline_connect::Edge;
use syncline_sql::Dialect;
use syncline_types::{Error, LogicalType, Result, StreamName, build::ColumnBuilder, codes, text::Values};

use crate::{
    client::Database,
    decode::Decoder,
    dialect::{Sqlite, qualified},
    error::Explain,
    schema::{Look, Table, TableColumn, find_table},
};

const OPERATION: &str = "find the highest value of";

/// Values decoded before the highest of them is kept.
const VALUES: usize = 8_192;

pub(super) fn find(database: &Database, stream: &StreamName, name: &str) -> Result<Edge> {
    let connection = database.look()?;
    let table = find_table(&connection, database, &stream.table, Look::Values)?.ok_or_else(|| {
        Error::new(&codes::STREAM_MISSING, "read table", format!("`{stream}`"))
            .because("it was there when the run was planned, and is no more")
    })?;
    let object = format!("`{stream}.{name}`");
    let column = table.column(name).ok_or_else(|| table.schema().unknown_column(name))?;
    match column.column.logical {
        LogicalType::Int64 if table.strict || table.alias.as_deref() == Some(name) => {
            integers(&connection, &table, name, &object)
        }
        LogicalType::Int64 | LogicalType::Date | LogicalType::Timestamp { .. } => {
            values(&connection, &table, column, &object)
        }
        _ => {
            Err(Error::new(&codes::UNSUPPORTED, OPERATION, object)
                .because("it is no integer, date or timestamp"))
        }
    }
}

/// Where there can be nothing but integers, SQLite finds the highest itself.
fn integers(connection: &Connection, table: &Table, name: &str, object: &str) -> Result<Edge> {
    let (column, from) = (Sqlite.quote(name), qualified(&table.name));
    let sql = format!(
        "SELECT (SELECT max({column}) FROM {from}), (SELECT count(*) FROM {from} WHERE {column} IS NULL)"
    );
    let (highest, nulls): (Option<i64>, u64) =
        connection.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?))).explain(OPERATION, object)?;
    Ok(Edge { highest: highest.map(|value| value.to_string()), nulls })
}

/// Every value, as a reader would read it.
fn values(connection: &Connection, table: &Table, column: &TableColumn, object: &str) -> Result<Edge> {
    let rowid = table.rowid().map_or("NULL".to_owned(), |rowid| Sqlite.quote(rowid));
    let sql =
        format!("SELECT {}, {rowid} FROM {}", Sqlite.quote(&column.column.name), qualified(&table.name));
    let mut statement = connection.prepare(&sql).explain(OPERATION, object)?;
    let mut rows = statement.raw_query();
    let logical = column.column.logical;
    let decoder = Decoder::new(&table.name, column);
    let mut highest = Highest { logical, found: None };
    let mut nulls = 0;
    let (mut builder, mut pushed, mut scratch) = (ColumnBuilder::new(logical, VALUES), 0, String::new());
    while let Some(row) = rows.next().explain(OPERATION, object)? {
        let value = row.get_ref(0).explain(OPERATION, object)?;
        if value == ValueRef::Null {
            nulls += 1;
            continue;
        }
        decoder.push(value, &mut builder, &mut scratch).map_err(|error| {
            let place = match row.get_ref(1) {
                Ok(ValueRef::Integer(number)) => format!(" (rowid {number})"),
                _ => String::new(),
            };
            let reason = format!("{}{place}, so nobody can say which row comes last", error.reason());
            Error::new(error.code(), OPERATION, object).because(reason).hint(error.advice())
        })?;
        pushed += 1;
        if pushed == VALUES {
            highest.look(std::mem::replace(&mut builder, ColumnBuilder::new(logical, VALUES)))?;
            pushed = 0;
        }
    }
    highest.look(builder)?;
    Ok(Edge { highest: highest.found.map(|(_, text)| text), nulls })
}

/// The highest value so far, as a number and as text.
struct Highest {
    logical: LogicalType,
    found: Option<(i64, String)>,
}

impl Highest {
    fn look(&mut self, builder: ColumnBuilder) -> Result<()> {
        let array = builder.finish()?;
        let values = Values::new(&array, self.logical)?;
        let number = |row: usize| match values {
            Values::Int64(array) => Some(array.value(row)),
            Values::Date(array) => Some(array.value(row).into()),
            Values::Timestamp(array, _) => Some(array.value(row)),
            _ => None,
        };
        let best = (0..array.len()).filter_map(|row| number(row).map(|number| (number, row))).max();
        if let Some((number, row)) = best
            && self.found.as_ref().is_none_or(|(highest, _)| number > *highest)
        {
            self.found = values.text(row).map(|text| (number, text));
        }
        Ok(())
    }
}
