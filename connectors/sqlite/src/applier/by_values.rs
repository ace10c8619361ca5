//! How rows are found that have no key: by all their values, as the table keeps them.

use arrow_array::RecordBatch;
use syncline_sql::{Dialect, quote_double};
use syncline_types::{Error, Result, codes};

use super::{Kind, One, at};
use crate::{
    dialect::{Sqlite, qualified},
    error::Explain,
    schema::{Look, find_table},
    sink::landing::{computes, lost},
};

/// Where whole rows wait that go.
const AWAIT: &str = "temp._syncline_gone";

impl One<'_> {
    /// Takes away as many of the rows that are equal to these; returns how many there are too few. The table is
    /// read once for all of them, which wait in one that makes of their values what the table does.
    pub(super) fn take_away(&mut self, rows: &RecordBatch) -> Result<u64> {
        let object = format!("`{}`", self.target.name);
        let explained = |sql: &str| self.connection.execute_batch(sql).explain("delete rows of", &object);
        let table = find_table(self.connection, self.database, &self.target.name.table, Look::Declared)?
            .ok_or_else(|| lost(self.target, "it was there when following began, and is no more".into()))?;
        let names: Vec<String> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
        let names: Vec<String> = names.into_iter().filter(|name| !computes(&table, name)).collect();
        let rowid = table.rowid().ok_or_else(|| {
            Error::new(&codes::KEY_MISSING, "delete rows of", &object)
                .because("its rows have no numbers (WITHOUT ROWID), by which one of several that are equal could be named")
                .hint("Name its key with --key COL,... (key: [COL])")
        })?;
        let from = qualified(&self.target.name.table);
        explained(&format!(
            "DROP TABLE IF EXISTS {AWAIT}; CREATE TEMP TABLE {} AS SELECT {} FROM {from} LIMIT 0",
            AWAIT.trim_start_matches("temp."),
            Sqlite.list(&names)
        ))?;
        let statement = self.statement(Kind::Await, rows)?;
        statement
            .run(self.connection, rows, |row, written| written.map(drop).map_err(|error| at(error, row)))?;
        let sql = delete(&from, &quote_double(rowid), &names);
        let gone = self.connection.execute(&sql, []).explain("delete rows of", &object)?;
        self.connection.execute_batch(&format!("DROP TABLE {AWAIT}")).explain("delete rows of", &object)?;
        Ok((rows.num_rows() as u64).saturating_sub(gone as u64))
    }
}

/// Lets a row wait.
pub(super) fn wait(given: &[String]) -> String {
    let values: Vec<String> = (1..=given.len()).map(|number| format!("?{number}")).collect();
    format!("INSERT INTO {AWAIT} ({}) VALUES ({})", Sqlite.list(given), values.join(", "))
}

/// Deletes as many of the rows that are equal to one that waits as there are of it. Equal is what is of the
/// same class and has the same bytes: no collation, and 1 is not 1.0.
fn delete(table: &str, rowid: &str, columns: &[String]) -> String {
    let value = |column: &String| {
        let name = Sqlite.quote(column);
        // Quoted, a text ends at its first NUL.
        format!(
            "CASE typeof({name}) WHEN 'text' THEN 't' || hex({name}) WHEN 'blob' THEN 'b' || hex({name}) ELSE quote({name}) END"
        )
    };
    let whole = columns.iter().map(value).collect::<Vec<_>>().join(" || ',' || ");
    format!(
        "WITH waits(whole, copies) AS MATERIALIZED (
           SELECT whole, count(*) FROM (SELECT {whole} AS whole FROM {AWAIT}) GROUP BY whole
         )
         DELETE FROM {table} WHERE {rowid} IN (
           SELECT id FROM (
             SELECT there.id AS id, waits.copies AS copies,
                    row_number() OVER (PARTITION BY there.whole ORDER BY there.id) AS copy
             FROM (SELECT {rowid} AS id, {whole} AS whole FROM {table}) AS there
             CROSS JOIN waits ON waits.whole = there.whole
           ) WHERE copy <= copies
         )"
    )
}
