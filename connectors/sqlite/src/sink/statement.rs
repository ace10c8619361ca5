//! A statement that is run once for each row of a batch, and how each column is given to it.

use arrow_array::RecordBatch;
use rusqlite::{Connection, Statement, types::Null};
use syncline_types::{Error, LogicalType, Result, codes, text::Values};

use crate::{
    encode::{Cell, Store},
    error::{Explain, refusal, translate},
};

/// A statement for rows of one table.
pub(crate) struct RowStatement {
    sql: String,
    columns: Vec<Bound>,
    /// The table itself, which may be staging.
    table: String,
    /// The target, for messages.
    target: String,
    /// Triggers may leave a part of a row behind when they refuse it.
    triggers: bool,
}

/// One column's values on their way. The first is the statement's parameter `?1`.
pub(crate) struct Bound {
    /// Its place in the batch.
    pub(crate) place: usize,
    pub(crate) name: String,
    pub(crate) logical: LogicalType,
    pub(crate) store: Store,
    /// Whether SQLite would take NULL for something else, or not mind it in a key.
    pub(crate) never_null: bool,
}

/// How many rows a statement has changed, or why the table refuses the row.
pub(crate) type Written = Result<usize>;

impl RowStatement {
    pub(crate) fn new(
        connection: &Connection,
        sql: String,
        columns: Vec<Bound>,
        table: String,
        target: String,
    ) -> Result<Self> {
        let triggers = connection
            .query_row(
                "SELECT count(*) > 0 FROM main.sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE",
                [&table],
                |row| row.get(0),
            )
            .explain("look for triggers of", format!("`{target}`"))?;
        Ok(RowStatement { sql, columns, table, target, triggers })
    }

    /// The columns that are given to it.
    pub(crate) fn column_names(&self) -> Vec<String> {
        self.columns.iter().map(|column| column.name.clone()).collect()
    }

    /// Whether the table has triggers, by which a row may not be changed and nobody told.
    pub(crate) fn has_triggers(&self) -> bool {
        self.triggers
    }

    /// Runs it for all rows, one by one: what the table refuses of one leaves the others alone. `done` is told
    /// what has become of each, and ends it by an error.
    pub(crate) fn run(
        &self,
        connection: &Connection,
        rows: &RecordBatch,
        mut done: impl FnMut(usize, Written) -> Result<()>,
    ) -> Result<()> {
        let values = self.values(rows)?;
        let mut statement = connection.prepare_cached(&self.sql).map_err(|error| self.failed(&error))?;
        let mut scratch = String::new();
        for row in 0..rows.num_rows() {
            let written = match self.bind(&mut statement, &values, row, &mut scratch) {
                Ok(()) if self.triggers => self.guarded(connection, &mut statement),
                Ok(()) => statement.raw_execute(),
                Err(Unbound::Refused(error)) => {
                    done(row, Err(error))?;
                    continue;
                }
                Err(Unbound::Failed(error)) => Err(error),
            };
            match written {
                Ok(changed) => done(row, Ok(changed))?,
                Err(error) => match refusal(&error, &self.target) {
                    // A trigger can also roll back everything; then nothing of it is left to go on with.
                    Some(refused) if !connection.is_autocommit() => {
                        done(row, Err(self.in_words_of_target(refused)))?;
                    }
                    _ => return Err(self.failed(&error)),
                },
            }
        }
        Ok(())
    }

    /// Runs it as a query for one row: whether anything is found.
    pub(crate) fn finds(&self, connection: &Connection, rows: &RecordBatch, row: usize) -> Result<bool> {
        let values = self.values(rows)?;
        let mut statement = connection.prepare_cached(&self.sql).map_err(|error| self.failed(&error))?;
        match self.bind(&mut statement, &values, row, &mut String::new()) {
            Ok(()) => {
                statement.raw_query().next().map(|found| found.is_some()).map_err(|error| self.failed(&error))
            }
            Err(Unbound::Refused(error)) => Err(error),
            Err(Unbound::Failed(error)) => Err(self.failed(&error)),
        }
    }

    fn values<'a>(&self, rows: &'a RecordBatch) -> Result<Vec<Values<'a>>> {
        let values = self.columns.iter().map(|column| {
            let array = rows.columns().get(column.place).ok_or_else(|| {
                Error::new(&codes::BROKEN_INVARIANT, "write to table", format!("`{}`", self.target))
                    .because("a batch has fewer columns than its stream")
            })?;
            Values::new(array, column.logical)
        });
        values.collect()
    }

    fn failed(&self, error: &rusqlite::Error) -> Error {
        translate(error, "write to table", format!("`{}`", self.target))
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

    fn refused(&self, column: &Bound, found: &str) -> Error {
        Error::new(&codes::VALUE_REFUSED, "write column", format!("`{}.{}`", self.target, column.name))
            .because(format!("it is {found}"))
    }

    /// The error of a row of which nothing came.
    pub(crate) fn ignored(&self) -> Error {
        Error::new(&codes::VALUE_REFUSED, "write a row to", format!("`{}`", self.target))
            .because("a trigger of the table ignores it")
    }

    /// SQLite names staging where it means the target.
    fn in_words_of_target(&self, error: Error) -> Error {
        let reason = error.reason().replace(&self.table, &self.target);
        error.because(reason)
    }
}

/// Why a row's values are not bound.
enum Unbound {
    Refused(Error),
    Failed(rusqlite::Error),
}
