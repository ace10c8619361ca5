//! Rows that a look tells, on their way into columns.

use std::sync::Arc;

use arrow_array::{Array, RecordBatch, RecordBatchOptions, UInt64Array};
use syncline_connect::{Changes, How, Read, Reject, Went, Written};
use syncline_types::{Column, Error, LogicalType, Result, TableSchema, build::ColumnBuilder, codes};

use super::install::INSERTED;
use crate::{
    client::ColumnDefinition,
    decode::{Decoded, RowDecoder},
};

/// Rows that columns have room for before they grow.
const ROWS_EXPECTED: usize = 64;

/// What the first record of a row says is the remainder of its number by this.
pub(super) const OPS: u8 = 4;

/// Rows of one stream, all of one kind.
pub(super) struct Gathered {
    columns: usize,
    is_gone: bool,
    decoder: RowDecoder,
    builders: Vec<ColumnBuilder>,
    schema: TableSchema,
    others: TableSchema,
    sequences: Vec<u64>,
    rejects: Vec<Reject>,
}

impl Gathered {
    /// For rows that are gone, of which the key is told, or for those that are there. Before a row's columns
    /// comes the number that tells of its first record.
    pub(super) fn new(read: &Arc<Read>, is_gone: bool, zero_dates_null: bool) -> Self {
        let (rows, gone) = (read.logged_schema(), read.gone_schema());
        let columns = rows.columns.len();
        let (schema, others) = if is_gone { (gone, rows) } else { (rows, gone) };
        let mut all = vec![Column::new("first", LogicalType::UInt64)];
        all.extend(schema.columns.iter().cloned());
        let decoder = RowDecoder::new(&all, zero_dates_null);
        let builders = decoder.builders(ROWS_EXPECTED);
        Gathered { columns, is_gone, decoder, builders, schema, others, sequences: vec![], rejects: vec![] }
    }

    /// Whether rows with such columns are what is gathered; else the column's name that is not.
    pub(super) fn fits(&self, columns: &[ColumnDefinition]) -> std::result::Result<(), &str> {
        self.decoder.fits(columns)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sequences.is_empty() && self.rejects.is_empty()
    }

    pub(super) fn take(&mut self, row: &[u8], sequence: u64) -> Result<()> {
        match self.decoder.decode(row, &mut self.builders, self.sequences.len())? {
            Decoded::Row => self.sequences.push(sequence),
            // A row whose key cannot be read was never told: no target has it.
            Decoded::Rejected(_) if self.is_gone => {}
            Decoded::Rejected(error) => {
                let row = u32::try_from(self.rejects.len()).unwrap_or(u32::MAX);
                self.rejects.push(Reject { row, place: None, error });
            }
        }
        Ok(())
    }

    /// What was gathered, as the changes of a stream.
    pub(super) fn finish(self, stream: usize) -> Result<Changes> {
        let rows = self.sequences.len();
        let mut builders = self.builders;
        let first = builders.remove(0).finish()?;
        let first = first.as_any().downcast_ref::<UInt64Array>().cloned();
        let first = first.ok_or_else(|| broken(&"a column is of another type"))?;
        let columns = builders.into_iter().map(ColumnBuilder::finish).collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let told = RecordBatch::try_new_with_options(self.schema.arrow(), columns, &options)
            .map_err(|error| broken(&error))?;
        let none = RecordBatch::new_empty(self.others.arrow());
        let is_new = |row: usize| first.value(row) % u64::from(OPS) == u64::from(INSERTED);
        let how = |row: usize| if is_new(row) { How::Insert } else { How::Update };
        let (mut written, mut went) = (vec![], vec![]);
        let (rows, gone) = if self.is_gone {
            went.extend(self.sequences.iter().map(|sequence| Went { sequence: *sequence, moved: false }));
            (none, told)
        } else {
            let rows = self.sequences.iter().enumerate();
            written.extend(rows.map(|(row, sequence)| Written { sequence: *sequence, how: how(row) }));
            (told, none)
        };
        let (absent, rejects) = (vec![None; self.columns], self.rejects);
        Ok(Changes { stream, rows, written, absent, gone, went, truncated: None, rejects })
    }
}

/// All rows of a stream were removed at once.
pub(super) fn emptied(read: &Read, stream: usize, sequence: u64) -> Changes {
    let rows = RecordBatch::new_empty(read.logged_schema().arrow());
    Changes {
        stream,
        absent: vec![None; rows.num_columns()],
        rows,
        written: vec![],
        gone: RecordBatch::new_empty(read.gone_schema().arrow()),
        went: vec![],
        truncated: Some(sequence),
        rejects: vec![],
    }
}

fn broken(reason: &dyn std::fmt::Display) -> Error {
    Error::new(&codes::BROKEN_INVARIANT, "gather changes", "").because(reason)
}
