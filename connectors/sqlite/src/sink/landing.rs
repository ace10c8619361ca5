//! Where a stream's rows go: the table, the statement, and how each column is kept.

use rusqlite::Connection;
use syncline_connect::{Batch, Outcome, Reject, RunRef, Target};
use syncline_sql::{Dialect, bookkeeping};
use syncline_types::{Column, Error, LogicalType, Result, codes};

use super::statement::{Bound, RowStatement};
use crate::{
    client::Database,
    dialect::{Sqlite, qualified},
    encode::store,
    schema::{Look, Table, find_table},
};

/// The table that a stream's rows are written to.
pub(crate) struct Landing {
    statement: RowStatement,
    /// Whether a row gives way to a later one of its key.
    last_wins: bool,
}

/// Columns of a batch that go into a table, those left out that `computed` names.
pub(crate) fn bound<'a>(
    columns: impl Iterator<Item = (usize, &'a Column)>,
    table: &Table,
    target: &Target,
    computed: impl Fn(&str) -> bool,
) -> Result<Vec<Bound>> {
    let target_name = &target.name.table;
    let mut all = vec![];
    for (place, column) in columns.filter(|(_, column)| !computed(&column.name)) {
        let there = table
            .column(&column.name)
            .ok_or_else(|| lost(target, format!("it has no column `{}`", column.name)))?;
        let store = store(column.logical, there).ok_or_else(|| {
            Error::new(&codes::TYPE_MISMATCH, "write column", format!("`{target_name}.{}`", column.name))
                .because(format!("it is declared {} and cannot keep {}", there.declared, column.logical))
        })?;
        let never_null = table.alias.as_deref().is_some_and(|alias| alias.eq_ignore_ascii_case(&column.name))
            || target.key.contains(&column.name);
        let (name, logical) = (column.name.clone(), column.logical);
        all.push(Bound { place, name, logical, store, never_null });
    }
    if all.is_empty() {
        return Err(lost(target, "the target computes every column of the stream itself".into()));
    }
    Ok(all)
}

/// Whether a table computes a column itself.
pub(crate) fn computes(table: &Table, column: &str) -> bool {
    table.column(column).is_some_and(|there| there.column.generated)
}

/// The error for a table that is not as it was when the run began.
pub(crate) fn lost(target: &Target, what: String) -> Error {
    Error::new(&codes::SCHEMA_CHANGED, "write to table", format!("`{}`", target.name.table))
        .because(what)
        .hint("Begin again with --restart")
}

impl Landing {
    /// Looks the table up.
    pub(crate) fn find(
        connection: &Connection,
        database: &Database,
        run: &RunRef,
        target: &Target,
    ) -> Result<Self> {
        let target_name = &target.name.table;
        let name = match target.staged {
            true => bookkeeping::stage(&run.run, target.stream),
            false => target_name.clone(),
        };
        let table = find_table(connection, database, &name, Look::Declared)?
            .ok_or_else(|| lost(target, "it was prepared, and is no more".into()))?;
        let at_target = match target.staged {
            true => find_table(connection, database, target_name, Look::Declared)?,
            false => None,
        };
        let computed =
            |name: &str| computes(&table, name) || at_target.as_ref().is_some_and(|at| computes(at, name));
        let columns = bound(target.schema.columns.iter().enumerate(), &table, target, computed)?;
        let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        let values = vec!["?"; columns.len()].join(", ");
        // A constraint of the table may say that a row which breaks it is to be dropped without a
        // word, or to replace another: here it is an error.
        let last = target.cursor.as_ref().filter(|cursor| names.contains(cursor));
        let last = last.and_then(|cursor| target.schema.column(cursor));
        let last_wins = last.map_or(String::new(), |cursor| last_wins(cursor, &target.key, &names));
        let sql = format!(
            "INSERT OR ABORT INTO {} AS t ({}) VALUES ({values}){last_wins}",
            qualified(&table.name),
            Sqlite.list(&names)
        );
        let statement = RowStatement::new(connection, sql, columns, table.name, target.name.to_string())?;
        Ok(Landing { statement, last_wins: !last_wins.is_empty() })
    }

    /// The columns written.
    pub(crate) fn column_names(&self) -> Vec<String> {
        self.statement.column_names()
    }

    /// Inserts a batch's rows, and returns those that the table refuses.
    pub(crate) fn insert(&self, connection: &Connection, batch: &Batch) -> Result<Vec<Outcome>> {
        let mut outcomes = vec![];
        self.statement.run(connection, &batch.rows, |row, written| {
            match written {
                Ok(1) => {}
                // A later row of its key is there already.
                Ok(0) if self.last_wins => {}
                Ok(_) => outcomes.push(reject(row, self.statement.ignored())),
                Err(error) => outcomes.push(reject(row, error)),
            }
            Ok(())
        })?;
        Ok(outcomes)
    }
}

/// What becomes of a row whose key is staged already: the later one by the cursor stays.
fn last_wins(cursor: &Column, key: &[String], columns: &[String]) -> String {
    let of = |row: &str| {
        let name = format!("{row}.{}", Sqlite.quote(&cursor.name));
        match cursor.logical {
            // Kept as digits where 64 bits with a sign do not hold it; it is never negative.
            LogicalType::UInt64 => format!("(length({name}), {name})"),
            logical if logical.is_integer() => format!("CAST({name} AS INTEGER)"),
            // The text form of a date or a time sorts as it does.
            _ => name,
        }
    };
    let set: Vec<String> =
        columns.iter().map(|column| format!("{0} = excluded.{0}", Sqlite.quote(column))).collect();
    let name = Sqlite.quote(&cursor.name);
    format!(
        " ON CONFLICT ({}) DO UPDATE SET {} WHERE excluded.{name} IS NOT NULL AND (t.{name} IS NULL OR {} >= {})",
        Sqlite.list(key),
        set.join(", "),
        of("excluded"),
        of("t")
    )
}

fn reject(row: usize, error: Error) -> Outcome {
    let row = u32::try_from(row).unwrap_or(u32::MAX);
    Outcome::Reject(Reject { row, place: None, error })
}
