//! Writing Parquet: row groups bounded by bytes, our schema in the file's metadata.

use std::{io::Write, sync::Arc};

use ::parquet::{
    arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions},
    basic::{Compression as Codec, GzipLevel, ZstdLevel},
    errors::{ParquetError, Result as ParquetResult},
    file::{
        metadata::KeyValue,
        properties::{EnabledStatistics, WriterProperties},
    },
    schema::types::ColumnPath,
};
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow_schema::{DataType, Schema};
use arrow_select::filter::filter_record_batch;
use syncline_types::{
    Column, Error, LogicalType, Result, TableSchema, codes,
    special::{
        DATE_INFINITY, DATE_MINUS_INFINITY, DECIMAL128_NAN, DECIMAL256_NAN, TIMESTAMP_INFINITY,
        TIMESTAMP_MINUS_INFINITY,
    },
    text::Values,
};

use super::{ParquetOptions, SCHEMA_KEY, types, unwritable};
use crate::{
    Compression, bad_option, cell,
    part::{PartWriter, Refusal},
    schema_text,
};

/// Bytes of values that are handed over at once, which bounds pages too.
const SLICE_BYTES: u64 = 1 << 20;
/// A row of so many bytes gets a row group of its own, so that its size can be seen before it is read.
const WIDE_BYTES: u64 = 8 << 20;
/// Fewest bytes that a row group may be bounded to; below it a file is nothing but groups.
const GROUP_BYTES_MIN: u64 = 1 << 20;

/// Writes one file.
pub(crate) struct Writer<W: Write + Send> {
    out: ArrowWriter<W>,
    name: String,
    columns: Vec<Column>,
    arrow: Arc<Schema>,
    group_bytes_max: u64,
    /// Bytes of values in the row group under way.
    group_bytes: u64,
}

impl<W: Write + Send> Writer<W> {
    pub(crate) fn new(options: &ParquetOptions, schema: &TableSchema, name: &str, out: W) -> Result<Self> {
        if options.row_group_bytes < GROUP_BYTES_MIN {
            return Err(bad_option("row_group_bytes", format!("it must be at least {GROUP_BYTES_MIN}")));
        }
        let codec = match options.compression {
            Compression::None => Codec::UNCOMPRESSED,
            Compression::Gzip => Codec::GZIP(GzipLevel::default()),
            Compression::Zstd => Codec::ZSTD(ZstdLevel::default()),
        };
        let metadata = KeyValue::new(SCHEMA_KEY.to_owned(), schema_text(schema)?);
        let mut properties = WriterProperties::builder();
        for column in schema.columns.iter().filter(|column| has_any_length(column.logical)) {
            // The lowest and highest text would be held twice more while a row group is written.
            let path = ColumnPath::new(vec![column.name.clone()]);
            properties = properties.set_column_statistics_enabled(path, EnabledStatistics::None);
        }
        let properties = properties
            .set_compression(codec)
            .set_created_by(format!("syncline {}", env!("CARGO_PKG_VERSION")))
            .set_key_value_metadata(Some(vec![metadata]))
            // Groups are bounded by bytes, here.
            .set_max_row_group_row_count(None)
            .build();
        let failed = |failed: ParquetError| unwritable(name, &failed);
        let (descriptor, arrow) = types::written(&schema.columns).map_err(failed)?;
        let settings = ArrowWriterOptions::new()
            .with_properties(properties)
            .with_parquet_schema(descriptor)
            .with_skip_arrow_metadata(true);
        let out = ArrowWriter::try_new_with_options(out, Arc::clone(&arrow), settings).map_err(failed)?;
        Ok(Writer {
            out,
            name: name.to_owned(),
            columns: schema.columns.clone(),
            arrow,
            group_bytes_max: options.row_group_bytes,
            group_bytes: 0,
        })
    }

    /// Writes rows in slices and groups that are bounded by bytes.
    fn write_rows(&mut self, batch: &RecordBatch, values: &[Values<'_>]) -> ParquetResult<()> {
        let fixed: u64 = self.columns.iter().map(|column| cell::fixed_width(column.logical)).sum();
        let (mut start, mut bytes) = (0, 0);
        for row in 0..batch.num_rows() {
            let row_bytes = fixed + values.iter().map(|values| text_bytes(values, row)).sum::<u64>();
            let wide = row_bytes >= WIDE_BYTES;
            if wide || bytes + row_bytes > SLICE_BYTES {
                self.write_slice(batch, start, row, bytes)?;
                (start, bytes) = (row, 0);
            }
            if wide || self.group_bytes + bytes + row_bytes > self.group_bytes_max {
                self.write_slice(batch, start, row, bytes)?;
                (start, bytes) = (row, 0);
                self.end_group()?;
            }
            bytes += row_bytes;
            if wide {
                self.write_slice(batch, start, row + 1, bytes)?;
                (start, bytes) = (row + 1, 0);
                self.end_group()?;
            }
        }
        self.write_slice(batch, start, batch.num_rows(), bytes)
    }

    fn write_slice(
        &mut self,
        batch: &RecordBatch,
        start: usize,
        end: usize,
        bytes: u64,
    ) -> ParquetResult<()> {
        if start == end {
            return Ok(());
        }
        self.group_bytes += bytes;
        let slice = batch.slice(start, end - start);
        let arrays = slice.columns().iter().zip(&self.columns).map(|(array, column)| written(array, column));
        let arrays =
            arrays.collect::<Result<Vec<_>>>().map_err(|error| ParquetError::External(Box::new(error)))?;
        self.out.write(&RecordBatch::try_new(Arc::clone(&self.arrow), arrays)?)
    }

    fn end_group(&mut self) -> ParquetResult<()> {
        self.group_bytes = 0;
        self.out.flush()
    }
}

impl<W: Write + Send> PartWriter<W> for Writer<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<Vec<Refusal>> {
        let values = columns_of(batch, &self.columns)?;
        let refusals = refused(&values, &self.columns, batch.num_rows());
        let written = if refusals.is_empty() {
            self.write_rows(batch, &values)
        } else {
            let mut kept = vec![true; batch.num_rows()];
            for refusal in &refusals {
                if let Some(kept) = kept.get_mut(refusal.row as usize) {
                    *kept = false;
                }
            }
            let kept = filter_record_batch(batch, &BooleanArray::from(kept)).map_err(ParquetError::from);
            kept.and_then(|kept| {
                let values = columns_of(&kept, &self.columns)
                    .map_err(|error| ParquetError::External(Box::new(error)))?;
                self.write_rows(&kept, &values)
            })
        };
        written.map_err(|failed| unwritable(&self.name, &failed))?;
        Ok(refusals)
    }

    fn bytes(&self) -> u64 {
        // What is encoded and waits for its row group's end will come out as it is.
        (self.out.bytes_written() + self.out.in_progress_size()) as u64
    }

    fn finish(self: Box<Self>) -> Result<W> {
        let Writer { out, name, .. } = *self;
        let failed = |failed: ParquetError| unwritable(&name, &failed);
        let mut out = out.into_inner().map_err(failed)?;
        out.flush().map_err(|failed| crate::error::write(&name, &failed))?;
        Ok(out)
    }
}

fn has_any_length(logical: LogicalType) -> bool {
    matches!(logical.arrow(), DataType::Utf8 | DataType::Binary)
}

fn columns_of<'a>(batch: &'a RecordBatch, columns: &[Column]) -> Result<Vec<Values<'a>>> {
    batch.columns().iter().zip(columns).map(|(array, column)| Values::new(array, column.logical)).collect()
}

/// The array that is written for a column's.
fn written(array: &ArrayRef, column: &Column) -> Result<ArrayRef> {
    if !types::as_text(column.logical) {
        return Ok(Arc::clone(array));
    }
    let values = Values::new(array, column.logical)?;
    Ok(Arc::new(StringArray::from_iter((0..array.len()).map(|row| values.text(row)))))
}

fn text_bytes(values: &Values<'_>, row: usize) -> u64 {
    let length = match values {
        Values::Text(array) => array.value_length(row),
        Values::Binary(array) => array.value_length(row),
        _ => 0,
    };
    length.unsigned_abs().into()
}

/// Rows with a value that Parquet has no place for.
fn refused(values: &[Values<'_>], columns: &[Column], rows: usize) -> Vec<Refusal> {
    let mut found: Vec<Refusal> = vec![];
    for (values, column) in values.iter().zip(columns) {
        let Some(what) = special(values) else { continue };
        for row in (0..rows).filter(|row| is_special(values, *row)) {
            let row = u32::try_from(row).unwrap_or(u32::MAX);
            if found.iter().all(|known| known.row != row) {
                let error = Error::new(&codes::VALUE_REFUSED, "write column", format!("`{}`", column.name))
                    .because(format!("it has {what}, which Parquet does not have"));
                found.push(Refusal { row, error });
            }
        }
    }
    found.sort_by_key(|refusal| refusal.row);
    found
}

/// What a column may have that Parquet does not, if it may.
fn special(values: &Values<'_>) -> Option<&'static str> {
    match values {
        Values::Decimal128(..) | Values::Decimal256(..) => Some("NaN in a decimal"),
        Values::Date(_) | Values::Timestamp(..) => Some("an infinite time"),
        _ => None,
    }
}

fn is_special(values: &Values<'_>, row: usize) -> bool {
    !values.is_null(row)
        && match values {
            Values::Decimal128(array, _) => array.value(row) == DECIMAL128_NAN,
            Values::Decimal256(array, _) => array.value(row) == DECIMAL256_NAN,
            Values::Date(array) => [DATE_INFINITY, DATE_MINUS_INFINITY].contains(&array.value(row)),
            Values::Timestamp(array, _) => {
                [TIMESTAMP_INFINITY, TIMESTAMP_MINUS_INFINITY].contains(&array.value(row))
            }
            _ => false,
        }
}
