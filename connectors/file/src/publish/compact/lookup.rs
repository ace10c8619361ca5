//! Rows in memory, found by their key.

use std::{collections::HashMap, sync::Arc};

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow_select::interleave::interleave;
use syncline_types::{Error, Result, TableSchema, codes};

/// Rows for as many bytes may be held; more is for copying whole.
const BYTES_MAX: usize = 256 << 20;

/// Columns of rows, by the rows' keys.
pub(super) struct Lookup {
    schema: TableSchema,
    batches: Vec<RecordBatch>,
    bytes: usize,
    places: HashMap<u128, (usize, usize)>,
}

impl Lookup {
    pub(super) fn new(schema: TableSchema) -> Self {
        Lookup { schema, batches: vec![], bytes: 0, places: HashMap::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Takes rows, of which it keeps its own columns; a column that the rows lack is NULL.
    pub(super) fn take(&mut self, hashes: &[u128], rows: &RecordBatch) -> Result<()> {
        if hashes.is_empty() {
            return Ok(());
        }
        let columns: Vec<ArrayRef> = self
            .schema
            .columns
            .iter()
            .map(|column| match rows.column_by_name(&column.name) {
                Some(array) => Arc::clone(array),
                None => new_null_array(&column.logical.arrow(), rows.num_rows()),
            })
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        let kept =
            RecordBatch::try_new_with_options(nullable(&self.schema), columns, &options).map_err(broken)?;
        self.bytes += kept.get_array_memory_size();
        if self.bytes > BYTES_MAX {
            return Err(Error::new(&codes::UNSUPPORTED, "change rows of", "files")
                .because(format!("what has arrived takes more than {} MiB of memory", BYTES_MAX >> 20))
                .hint("Copy the stream whole with --write overwrite"));
        }
        let batch = self.batches.len();
        self.places.extend(hashes.iter().copied().zip((0..).map(|row| (batch, row))));
        self.batches.push(kept);
        Ok(())
    }

    /// The rows, with the values of the columns that are known here for their keys.
    pub(super) fn replace(&self, hashes: &[u128], rows: &RecordBatch) -> Result<RecordBatch> {
        let mut columns = rows.columns().to_vec();
        for (place, column) in self.schema.columns.iter().enumerate() {
            let Ok(index) = rows.schema().index_of(&column.name) else { continue };
            if let Some(array) = columns.get_mut(index) {
                *array = self.merged(place, hashes, array)?;
            }
        }
        RecordBatch::try_new(rows.schema(), columns).map_err(broken)
    }

    /// The rows in a wider schema, with the values known here for their keys in the columns that they
    /// lack.
    pub(super) fn complete(
        &self,
        hashes: &[u128],
        rows: &RecordBatch,
        schema: &TableSchema,
    ) -> Result<RecordBatch> {
        let columns = schema.columns.iter().map(|column| match rows.column_by_name(&column.name) {
            Some(array) => Ok(Arc::clone(array)),
            None => {
                let nothing = new_null_array(&column.logical.arrow(), rows.num_rows());
                match self.schema.index(&column.name) {
                    Some(place) => self.merged(place, hashes, &nothing),
                    None => Ok(nothing),
                }
            }
        });
        RecordBatch::try_new(schema.arrow(), columns.collect::<Result<_>>()?).map_err(broken)
    }

    fn merged(&self, place: usize, hashes: &[u128], old: &ArrayRef) -> Result<ArrayRef> {
        let mut arrays: Vec<&dyn Array> = vec![old.as_ref()];
        arrays.extend(self.batches.iter().filter_map(|batch| batch.columns().get(place)).map(AsRef::as_ref));
        let indices: Vec<(usize, usize)> = hashes
            .iter()
            .enumerate()
            .map(|(row, hash)| match self.places.get(hash) {
                Some((batch, there)) => (batch + 1, *there),
                None => (0, row),
            })
            .collect();
        interleave(&arrays, &indices).map_err(broken)
    }
}

fn nullable(schema: &TableSchema) -> arrow_schema::SchemaRef {
    let mut schema = schema.clone();
    schema.columns.iter_mut().for_each(|column| column.nullable = true);
    schema.arrow()
}

fn broken(error: arrow_schema::ArrowError) -> Error {
    Error::new(&codes::BROKEN_INVARIANT, "change rows of", "files").because(error)
}
