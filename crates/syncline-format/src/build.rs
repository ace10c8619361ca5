//! A batch under construction, record by record; one that does not fit leaves nothing behind.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::Schema;
use syncline_types::{Column, Error, Result, TableSchema, build::ColumnBuilder, codes};

use crate::{
    cell::{self, Misfit},
    part::{BadRow, Rows},
};

/// Rows that room is made for at first; a batch of wide rows never has more.
const ROWS_AT_FIRST: usize = 1_024;

/// The columns that are read, and what messages call the file.
#[derive(Debug)]
pub(crate) struct Shape {
    /// As the file is called, without quotes.
    pub(crate) file: String,
    pub(crate) columns: Vec<Column>,
    /// What records are counted by: lines or rows.
    unit: &'static str,
    arrow: Arc<Schema>,
    /// Bytes of a row beside its texts.
    pub(crate) fixed_bytes: u64,
}

impl Shape {
    /// For the columns of `schema` with these positions, in a file of lines.
    pub(crate) fn lines(file: &str, schema: &TableSchema, indexes: &[usize]) -> Self {
        Shape::new(file, schema, indexes, "line")
    }

    /// The same, in a file of rows.
    pub(crate) fn rows(file: &str, schema: &TableSchema, indexes: &[usize]) -> Self {
        Shape::new(file, schema, indexes, "row")
    }

    fn new(file: &str, schema: &TableSchema, indexes: &[usize], unit: &'static str) -> Self {
        let columns: Vec<Column> =
            indexes.iter().filter_map(|index| schema.columns.get(*index).cloned()).collect();
        let arrow = TableSchema::new(schema.dialect.clone(), columns.clone()).arrow();
        let fixed_bytes = columns.iter().map(|column| cell::fixed_width(column.logical)).sum();
        Shape { file: file.to_owned(), columns, unit, arrow, fixed_bytes }
    }

    /// The error for a record that cannot be read.
    pub(crate) fn bad(&self, line: u64, reason: impl std::fmt::Display) -> Error {
        Error::new(&codes::VALUE_UNREADABLE, "read", format!("{} {line} of `{}`", self.unit, self.file))
            .because(reason)
    }

    /// The error for a value that does not fit its column.
    pub(crate) fn misfit(&self, line: u64, column: usize, Misfit(what): Misfit) -> Error {
        let Some(column) = self.columns.get(column) else { return self.bad(line, what) };
        self.bad(line, format!("column `{}` ({}) has {what}", column.name, column.logical))
    }
}

/// Columns that grow together.
#[derive(Debug)]
pub(crate) struct Building {
    pub(crate) builders: Vec<ColumnBuilder>,
    rows: usize,
    bytes: u64,
    rejects: Vec<BadRow>,
}

impl Building {
    pub(crate) fn new(shape: &Shape) -> Self {
        let builders = shape.columns.iter().map(|column| ColumnBuilder::new(column.logical, ROWS_AT_FIRST));
        Building { builders: builders.collect(), rows: 0, bytes: 0, rejects: vec![] }
    }

    /// Records taken so far, good and bad.
    pub(crate) fn records(&self) -> usize {
        self.rows + self.rejects.len()
    }

    /// Bytes of the values so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Ends a record whose values are in the builders, or takes back what is there of it.
    pub(crate) fn end_record(&mut self, line: u64, bytes: u64, filled: Result<()>) {
        match filled {
            Ok(()) => {
                self.rows += 1;
                self.bytes += bytes;
            }
            Err(error) => {
                self.builders.iter_mut().for_each(|builder| builder.truncate(self.rows));
                self.rejects.push(BadRow { row: self.rows, line, error });
            }
        }
    }

    /// The rows, behind which `records` of the file have been read.
    pub(crate) fn finish(self, shape: &Shape, records: u64) -> Result<Rows> {
        let arrays = self.builders.into_iter().map(ColumnBuilder::finish).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&shape.arrow), arrays, &options).map_err(
            |error| {
                Error::new(&codes::BROKEN_INVARIANT, "build a batch of", crate::error::quoted(&shape.file))
                    .because(error)
            },
        )?;
        Ok(Rows { batch, bytes: self.bytes, rejects: self.rejects, records })
    }
}
