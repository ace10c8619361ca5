//! Rows that a look tells, on their way into columns.

use std::sync::Arc;

use arrow_array::{Array, BooleanArray, RecordBatch, RecordBatchOptions};
use syncline_connect::{Changes, How, Read, Reject, Went, Written};
use syncline_types::{Column, Error, LogicalType, Result, TableSchema, build::ColumnBuilder, codes};

use crate::decode::{Decoded, RowDecoder};

/// Rows of one stream, of one kind at a time, on their way into columns.
pub(super) struct Gathered {
    read: Arc<Read>,
    rows: Part,
    written: Vec<u64>,
    gone: Part,
    went: Vec<u64>,
    rejects: Vec<Reject>,
}

/// Columns with their decoder. The first says whether the row is new.
struct Part {
    decoder: RowDecoder,
    builders: Vec<ColumnBuilder>,
    schema: TableSchema,
}

/// Rows that columns have room for before they grow.
const ROWS_EXPECTED: usize = 64;

impl Part {
    fn new(schema: TableSchema, unencoded: bool) -> Self {
        let mut columns = vec![Column::new("fresh", LogicalType::Bool)];
        columns.extend(schema.columns.iter().cloned());
        let decoder = RowDecoder::new(&columns, unencoded);
        let builders = decoder.builders(ROWS_EXPECTED);
        Part { decoder, builders, schema }
    }

    fn finish(mut self, rows: usize) -> Result<(BooleanArray, RecordBatch)> {
        let broken = |reason: &dyn std::fmt::Display| {
            Error::new(&codes::BROKEN_INVARIANT, "gather changes", "").because(reason)
        };
        let fresh = self.builders.remove(0).finish()?;
        let fresh = fresh.as_any().downcast_ref::<BooleanArray>().cloned();
        let columns = self.builders.into_iter().map(ColumnBuilder::finish).collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(self.schema.arrow(), columns, &options)
            .map_err(|error| broken(&error))?;
        Ok((fresh.ok_or_else(|| broken(&"a column is of another type"))?, batch))
    }
}

impl Gathered {
    pub(super) fn new(read: &Arc<Read>, unencoded: bool) -> Self {
        Gathered {
            read: Arc::clone(read),
            rows: Part::new(read.logged_schema(), unencoded),
            written: vec![],
            gone: Part::new(read.gone_schema(), unencoded),
            went: vec![],
            rejects: vec![],
        }
    }

    /// Takes further rows of the same stream.
    pub(super) fn go_on(&mut self) {
        self.rows.decoder.go_on();
        self.gone.decoder.go_on();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.written.is_empty() && self.went.is_empty() && self.rejects.is_empty()
    }

    pub(super) fn take(&mut self, row: &[u8], gone: bool, sequence: u64) -> Result<()> {
        let (part, told) = match gone {
            true => (&mut self.gone, &mut self.went),
            false => (&mut self.rows, &mut self.written),
        };
        match part.decoder.decode(row, &mut part.builders, told.len())? {
            Decoded::Row => told.push(sequence),
            // A row whose key cannot be read was never told: no target has it.
            Decoded::Rejected(_) if gone => {}
            Decoded::Rejected(error) => {
                let row = u32::try_from(self.rejects.len()).unwrap_or(u32::MAX);
                self.rejects.push(Reject { row, place: None, error });
            }
            Decoded::Nothing => {}
        }
        Ok(())
    }

    pub(super) fn finish(self, stream: usize, truncated: Option<u64>) -> Result<Changes> {
        let columns = self.read.logged_schema().columns.len();
        let (fresh, rows) = self.rows.finish(self.written.len())?;
        let (_, gone) = self.gone.finish(self.went.len())?;
        let how = |row: usize| if fresh.value(row) { How::Insert } else { How::Update };
        let written = self
            .written
            .iter()
            .enumerate()
            .map(|(row, sequence)| Written { sequence: *sequence, how: how(row) });
        Ok(Changes {
            stream,
            rows,
            written: written.collect(),
            absent: (0..columns).map(|_| None).collect(),
            gone,
            went: self.went.iter().map(|sequence| Went { sequence: *sequence, moved: false }).collect(),
            truncated,
            rejects: self.rejects,
        })
    }
}
