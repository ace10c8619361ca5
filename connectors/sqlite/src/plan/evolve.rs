//! How a table's columns follow those of its source.

use rusqlite::Connection;
use syncline_connect::{Action, ColumnChange, Evolution, Target};
use syncline_sql::{Dialect, Evolve, evolve as steps, fit};
use syncline_types::{Error, Result, codes};

use super::{Step, respelled, see, shape};
use crate::{
    client::Database,
    dialect::{Sqlite, qualified},
};

/// What is still to be done.
///
/// # Errors
/// [`codes::STREAM_MISSING`] when there is no such table; [`codes::TYPE_MISMATCH`] when a column would need
/// another type, which SQLite gives to none.
pub(crate) fn evolve(
    connection: Option<&Connection>,
    database: &Database,
    target: &Target,
    changes: &[ColumnChange],
) -> Result<Evolution> {
    let seen = connection.map(|connection| see(connection, database, target)).transpose()?;
    let table = seen.and_then(|seen| seen.table).ok_or_else(|| {
        Error::new(&codes::STREAM_MISSING, "change the columns of", format!("`{}`", target.name))
            .because("there is no such table")
            .hint("Copy it again: --restart")
    })?;
    let there = respelled(&table, &target.schema);
    let (steps, alters_values) =
        steps(target, &there, changes, |column, there| fit(column.logical, there.logical))?;
    let quoted = qualified(&table.name);
    let mut actions = vec![];
    for step in steps {
        let (detail, step) = match step {
            Evolve::Add(column) => {
                let declared = shape::added(column, &target.schema.dialect, &table);
                (format!("add column `{}` {declared}", column.name), Step::AddColumn(column.name.clone()))
            }
            Evolve::Drop(name) => {
                let sql = format!("ALTER TABLE {quoted} DROP COLUMN {}", Sqlite.quote(name));
                (format!("drop column `{name}`"), Step::Alter(sql))
            }
            Evolve::Rename(from, to) => {
                let (old, new) = (Sqlite.quote(from), Sqlite.quote(to));
                let sql = format!("ALTER TABLE {quoted} RENAME COLUMN {old} TO {new}");
                (format!("rename column `{from}` to `{to}`"), Step::Alter(sql))
            }
            Evolve::Retype(column) => {
                let object = format!("`{}.{}`", target.name, column.name);
                return Err(Error::new(&codes::TYPE_MISMATCH, "change the type of column", object)
                    .because("its values have another type at the source now, and SQLite gives no column another one")
                    .hint("Let a step `cast` them, or copy it again with write: overwrite and --restart"));
            }
        };
        let statement = serde_json::to_string(&step).expect("a step serialises");
        actions.push(Action { verb: "alter", object: target.name.to_string(), detail, statement });
    }
    Ok(Evolution { actions, alters_values })
}
