//! Changes of one stream on their way into columns.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::Schema;
use rusqlite::types::ValueRef;
use syncline_connect::{Changes, How, Reject, Went, Written};
use syncline_types::{Error, Result, build::ColumnBuilder, codes};

use super::stream::Told;
use crate::decode::Decoder;

/// Rows that columns have room for before they grow.
const ROWS_EXPECTED: usize = 64;

/// What was gathered of a stream.
pub(super) struct Gathered {
    rows: Vec<ColumnBuilder>,
    written: Vec<Written>,
    gone: Vec<ColumnBuilder>,
    went: Vec<Went>,
    rejects: Vec<Reject>,
}

impl Gathered {
    pub(super) fn new(told: &Told) -> Self {
        let builders = |logicals: &[_]| {
            logicals.iter().map(|logical| ColumnBuilder::new(*logical, ROWS_EXPECTED)).collect()
        };
        Gathered {
            rows: builders(&told.logicals),
            written: vec![],
            gone: builders(&told.key_logicals),
            went: vec![],
            rejects: vec![],
        }
    }

    /// A row that is there: its columns, its key, its number.
    pub(super) fn write(
        &mut self,
        told: &Told,
        values: &[ValueRef<'_>],
        number: u64,
        how: How,
        scratch: &mut String,
    ) {
        match push(&told.decoders, values, &mut self.rows, self.written.len(), scratch) {
            Ok(()) => self.written.push(Written { sequence: number, how }),
            Err(error) => {
                let place = match values.last() {
                    Some(ValueRef::Integer(rowid)) if told.has_rowid => Some(format!("rowid {rowid}")),
                    _ => None,
                };
                let row = u32::try_from(self.rejects.len()).unwrap_or(u32::MAX);
                self.rejects.push(Reject { row, place, error });
            }
        }
    }

    /// A row that is there no more, by its key, or all its values.
    pub(super) fn remove(&mut self, told: &Told, key: &[ValueRef<'_>], went: Went, scratch: &mut String) {
        // A row whose key cannot be read was never told: no target has it.
        if push(&told.key_decoders, key, &mut self.gone, self.went.len(), scratch).is_ok() {
            self.went.push(went);
        }
    }

    /// As the engine takes them.
    pub(super) fn finish(self, told: &Told, stream: usize) -> Result<Changes> {
        let (rows, gone) = (self.written.len(), self.went.len());
        Ok(Changes {
            stream,
            absent: told.logicals.iter().map(|_| None).collect(),
            rows: batch(told, &told.rows, self.rows, rows)?,
            written: self.written,
            gone: batch(told, &told.gone, self.gone, gone)?,
            went: self.went,
            truncated: None,
            rejects: self.rejects,
        })
    }
}

/// Appends a row behind `rows` others. One that cannot be read leaves nothing behind.
fn push(
    decoders: &[Decoder],
    values: &[ValueRef<'_>],
    builders: &mut [ColumnBuilder],
    rows: usize,
    scratch: &mut String,
) -> Result<()> {
    for (place, (decoder, value)) in decoders.iter().zip(values).enumerate() {
        let pushed = match builders.get_mut(place) {
            Some(builder) => decoder.push(*value, builder, scratch),
            None => Ok(()),
        };
        if let Err(error) = pushed {
            builders.iter_mut().for_each(|builder| builder.truncate(rows));
            return Err(error);
        }
    }
    Ok(())
}

fn batch(told: &Told, schema: &Arc<Schema>, columns: Vec<ColumnBuilder>, rows: usize) -> Result<RecordBatch> {
    let columns = columns.into_iter().map(ColumnBuilder::finish).collect::<Result<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(|error| {
        Error::new(&codes::BROKEN_INVARIANT, "follow table", format!("`{}`", told.read.stream.name))
            .because(error)
    })
}
