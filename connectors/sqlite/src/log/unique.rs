//! Which rows a new row pushes out under `INSERT OR REPLACE`, `UPDATE OR REPLACE` and `ON CONFLICT REPLACE`:
//! those that are equal to it in some unique index. SQLite deletes them without firing a trigger.

use rusqlite::{Connection, OptionalExtension};
use syncline_sql::quote_double;
use syncline_types::{Error, Result, codes};

use crate::{
    dialect::tokens::{index_parts, mentions},
    error::Explain,
    schema::Table,
};

/// A unique index, of any kind.
pub(super) struct Unique {
    pub(super) name: String,
    /// True of the rows that are equal to the row `NEW` in it.
    pub(super) condition: String,
}

/// A column or expression that an index is over.
struct Part {
    /// `None` for an expression.
    column: Option<String>,
    collation: String,
}

/// The unique indexes of a table. A row's number has none, and pushes out no row but the one with its key.
pub(super) fn uniques(connection: &Connection, table: &Table) -> Result<Vec<Unique>> {
    let object = format!("`{}`", table.name);
    let listed = list(connection, table).explain("read the indexes of", &object)?;
    let unique = |(name, partial): (String, bool)| {
        let parts = parts(connection, &name).explain("read the indexes of", &object)?;
        let plain = !partial && parts.iter().all(|part| part.column.is_some());
        let written = if plain { None } else { Some(definition(connection, table, &name)?) };
        let condition = condition(table, &parts, written.as_deref()).ok_or_else(|| {
            Error::new(&codes::UNSUPPORTED, "follow table", &object)
                .because(format!("the definition of its unique index `{name}` is not understood"))
                .hint("Leave the table out, or write sync: incremental")
        })?;
        Ok(Unique { name, condition })
    };
    listed.into_iter().map(unique).collect()
}

fn list(connection: &Connection, table: &Table) -> rusqlite::Result<Vec<(String, bool)>> {
    let mut statement = connection
        .prepare("SELECT name, partial FROM pragma_index_list(?1, 'main') WHERE \"unique\" ORDER BY name")?;
    statement.query_map([&table.name], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

fn parts(connection: &Connection, index: &str) -> rusqlite::Result<Vec<Part>> {
    let mut statement = connection
        .prepare("SELECT cid, name, coll FROM pragma_index_xinfo(?1, 'main') WHERE key ORDER BY seqno")?;
    let part = |row: &rusqlite::Row<'_>| {
        let (number, name): (i64, Option<String>) = (row.get(0)?, row.get(1)?);
        Ok(Part { column: name.filter(|_| number >= 0), collation: row.get(2)? })
    };
    statement.query_map([index], part)?.collect()
}

fn definition(connection: &Connection, table: &Table, index: &str) -> Result<String> {
    connection
        .query_row("SELECT sql FROM main.sqlite_schema WHERE type = 'index' AND name = ?1", [index], |row| {
            row.get::<_, Option<String>>(0)
        })
        .optional()
        .map(|sql| sql.flatten().unwrap_or_default())
        .explain("read the indexes of", format!("`{}`", table.name))
}

/// `written`: the index's CREATE statement, where it has expressions or a condition.
fn condition(table: &Table, parts: &[Part], written: Option<&str>) -> Option<String> {
    let (written, only) = written.map_or(Some((vec![], None)), index_parts)?;
    let mut all = vec![];
    for (place, part) in parts.iter().enumerate() {
        let collation = quote_double(&part.collation);
        all.push(match &part.column {
            Some(column) => {
                let column = quote_double(column);
                format!("{column} COLLATE {collation} = NEW.{column}")
            }
            None => {
                let expression = written.get(place)?;
                format!("({expression}\n) COLLATE {collation} = {}", of_new(table, expression))
            }
        });
    }
    // Rows that the new one is not compared with are recorded for nothing, which changes nothing.
    all.extend(only.map(|only| format!("({only}\n)")));
    Some(all.join(" AND "))
}

/// An expression over columns, of the row `NEW`.
fn of_new(table: &Table, expression: &str) -> String {
    let named = table.columns.iter().map(|column| column.column.name.as_str());
    let columns: Vec<String> = named
        .filter(|name| mentions(expression, name))
        .map(quote_double)
        .map(|name| format!("NEW.{name} AS {name}"))
        .collect();
    match columns.is_empty() {
        true => format!("({expression}\n)"),
        false => format!("(SELECT {expression}\n FROM (SELECT {}))", columns.join(", ")),
    }
}
