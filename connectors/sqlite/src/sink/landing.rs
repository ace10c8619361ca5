//! Where a stream's rows go: the table, the statement, and how each column is kept.

use rusqlite::{Connection, Statement, types::Null};
use syncline_connect::{Batch, Outcome, Reject, RunRef, Target};
use syncline_sql::{Dialect, bookkeeping};
use syncline_types::{Column, Error, LogicalType, Result, codes, text::Values};

use crate::{
    client::Database,
    dialect::{Sqlite, qualified},
    encode::{Cell, Store, store},
    error::{Explain, refusal, translate},
    schema::{Look, Table, find_table},
};

/// The table that a stream's rows are written to.
pub(crate) struct Landing {
    sql: String,
    columns: Vec<Landed>,
    /// The table itself, which may be staging.
    table: String,
    /// The target, for messages.
    target: String,
    /// Triggers may leave a part of a row behind when they refuse it.
    triggers: bool,
    /// Whether a row gives way to a later one of its key.
    last_wins: bool,
}

/// One column of it.
struct Landed {
    /// Its place in the batch.
    place: usize,
    name: String,
    logical: LogicalType,
    store: Store,
    /// Whether SQLite would take NULL for something else, or not mind it in a key.
    never_null: bool,
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
        let lost = |what: String| {
            Error::new(&codes::SCHEMA_CHANGED, "write to table", format!("`{target_name}`"))
                .because(what)
                .hint("Begin again with --restart")
        };
        let table = find_table(connection, database, &name, Look::Declared)?
            .ok_or_else(|| lost("it was prepared, and is no more".into()))?;
        let at_target = match target.staged {
            true => find_table(connection, database, target_name, Look::Declared)?,
            false => None,
        };
        let mut columns = vec![];
        for (place, column) in target.schema.columns.iter().enumerate() {
            let computed = |table: Option<&Table>| {
                table.and_then(|table| table.column(&column.name)).is_some_and(|there| there.column.generated)
            };
            if computed(Some(&table)) || computed(at_target.as_ref()) {
                continue;
            }
            let there = table
                .column(&column.name)
                .ok_or_else(|| lost(format!("it has no column `{}`", column.name)))?;
            let store = store(column.logical, there).ok_or_else(|| {
                Error::new(&codes::TYPE_MISMATCH, "write column", format!("`{target_name}.{}`", column.name))
                    .because(format!("it is declared {} and cannot keep {}", there.declared, column.logical))
            })?;
            let never_null =
                table.alias.as_deref().is_some_and(|alias| alias.eq_ignore_ascii_case(&column.name))
                    || target.key.contains(&column.name);
            let (name, logical) = (column.name.clone(), column.logical);
            columns.push(Landed { place, name, logical, store, never_null });
        }
        if columns.is_empty() {
            return Err(lost("the target computes every column of the stream itself".into()));
        }
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
        let triggers = connection
            .query_row(
                "SELECT count(*) > 0 FROM main.sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE",
                [&table.name],
                |row| row.get(0),
            )
            .explain("look for triggers of", format!("`{target_name}`"))?;
        let last_wins = !last_wins.is_empty();
        let (table, target) = (table.name, target.name.to_string());
        Ok(Landing { sql, columns, table, target, triggers, last_wins })
    }

    /// The columns written.
    pub(crate) fn column_names(&self) -> Vec<String> {
        self.columns.iter().map(|column| column.name.clone()).collect()
    }

    /// Inserts a batch's rows, one by one: what the table refuses of one leaves the others alone.
    pub(crate) fn insert(&self, connection: &Connection, batch: &Batch) -> Result<Vec<Outcome>> {
        let failed =
            |error: rusqlite::Error| translate(&error, "write to table", format!("`{}`", self.target));
        let values = self
            .columns
            .iter()
            .map(|column| {
                let array = batch.rows.columns().get(column.place).ok_or_else(|| {
                    Error::new(&codes::BROKEN_INVARIANT, "write to table", format!("`{}`", self.target))
                        .because("a batch has fewer columns than its stream")
                })?;
                Values::new(array, column.logical)
            })
            .collect::<Result<Vec<_>>>()?;
        let mut statement = connection.prepare_cached(&self.sql).map_err(failed)?;
        let mut scratch = String::new();
        let mut outcomes = vec![];
        for row in 0..batch.rows.num_rows() {
            let written = match self.bind(&mut statement, &values, row, &mut scratch) {
                Ok(()) if self.triggers => self.guarded(connection, &mut statement),
                Ok(()) => statement.raw_execute(),
                Err(Unbound::Refused(error)) => {
                    outcomes.push(reject(row, error));
                    continue;
                }
                Err(Unbound::Failed(error)) => Err(error),
            };
            match written {
                Ok(1) => {}
                // A later row of its key is there already.
                Ok(0) if self.last_wins => {}
                Ok(_) => outcomes.push(reject(row, self.ignored())),
                Err(error) => match refusal(&error, &self.target) {
                    // A trigger can also roll back everything; then nothing of it is left to go on with.
                    Some(refused) if !connection.is_autocommit() => {
                        outcomes.push(reject(row, self.in_words_of_target(refused)));
                    }
                    _ => return Err(failed(error)),
                },
            }
        }
        Ok(outcomes)
    }

    fn bind(
        &self,
        statement: &mut Statement<'_>,
        values: &[Values<'_>],
        row: usize,
        scratch: &mut String,
    ) -> Result<(), Unbound> {
        for (number, (column, values)) in self.columns.iter().zip(values).enumerate() {
            let cell = column.store.cell(values, row, scratch);
            let cell = cell.map_err(|found| Unbound::Refused(self.refused(column, found)))?;
            let bound = match cell {
                Cell::Null if column.never_null => {
                    return Err(Unbound::Refused(self.refused(column, "NULL in a key")));
                }
                Cell::Null => statement.raw_bind_parameter(number + 1, Null),
                Cell::Integer(value) => statement.raw_bind_parameter(number + 1, value),
                Cell::Real(value) => statement.raw_bind_parameter(number + 1, value),
                Cell::Text(value) => statement.raw_bind_parameter(number + 1, value),
                Cell::Blob(value) => statement.raw_bind_parameter(number + 1, value),
            };
            bound.map_err(Unbound::Failed)?;
        }
        Ok(())
    }

    /// Inserts a row such that nothing of it stays behind when it fails.
    fn guarded(&self, connection: &Connection, statement: &mut Statement<'_>) -> rusqlite::Result<usize> {
        connection.prepare_cached("SAVEPOINT one")?.execute([])?;
        let result = statement.raw_execute();
        if connection.is_autocommit() {
            return result;
        }
        if result.is_err() {
            connection.prepare_cached("ROLLBACK TO one")?.execute([])?;
        }
        connection.prepare_cached("RELEASE one")?.execute([])?;
        result
    }

    fn refused(&self, column: &Landed, found: &str) -> Error {
        Error::new(&codes::VALUE_REFUSED, "write column", format!("`{}.{}`", self.target, column.name))
            .because(format!("it is {found}"))
    }

    fn ignored(&self) -> Error {
        Error::new(&codes::VALUE_REFUSED, "write a row to", format!("`{}`", self.target))
            .because("a trigger of the table ignores it")
    }

    /// SQLite names staging where it means the target.
    fn in_words_of_target(&self, error: Error) -> Error {
        let reason = error.reason().replace(&self.table, &self.target);
        error.because(reason)
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

/// Why a row's values are not bound.
enum Unbound {
    Refused(Error),
    Failed(rusqlite::Error),
}

fn reject(row: usize, error: Error) -> Outcome {
    let row = u32::try_from(row).unwrap_or(u32::MAX);
    Outcome::Reject(Reject { row, place: None, error })
}
