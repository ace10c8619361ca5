//! Some rows of one column of a file, decoded from its pages.

use ::parquet::{
    column::reader::{ColumnReader, ColumnReaderImpl},
    data_type::{ByteArray, DataType, FixedLenByteArray, Int96},
    errors::{ParquetError, Result as ParquetResult},
};

use super::value::Raw;

/// One column of a row group, a few rows at a time.
pub(super) struct ColumnRows {
    reader: ColumnReader,
    /// The level of a value that is there; 0 where all are.
    max_def_level: i16,
    levels: Vec<i16>,
    values: Values,
    /// The current row, and the value that it has unless it is NULL.
    row: usize,
    value: usize,
}

enum Values {
    Bool(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Int96(Vec<Int96>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
    Bytes(Vec<ByteArray>),
    Fixed(Vec<FixedLenByteArray>),
}

impl ColumnRows {
    pub(super) fn new(reader: ColumnReader, max_def_level: i16) -> Self {
        let values = match &reader {
            ColumnReader::BoolColumnReader(_) => Values::Bool(vec![]),
            ColumnReader::Int32ColumnReader(_) => Values::Int32(vec![]),
            ColumnReader::Int64ColumnReader(_) => Values::Int64(vec![]),
            ColumnReader::Int96ColumnReader(_) => Values::Int96(vec![]),
            ColumnReader::FloatColumnReader(_) => Values::Float32(vec![]),
            ColumnReader::DoubleColumnReader(_) => Values::Float64(vec![]),
            ColumnReader::ByteArrayColumnReader(_) => Values::Bytes(vec![]),
            ColumnReader::FixedLenByteArrayColumnReader(_) => Values::Fixed(vec![]),
        };
        ColumnRows { reader, max_def_level, levels: vec![], values, row: 0, value: 0 }
    }

    /// Decodes the next rows in place of the last ones.
    pub(super) fn load(&mut self, rows: usize) -> ParquetResult<()> {
        (self.row, self.value) = (0, 0);
        let levels = &mut self.levels;
        let read = match (&mut self.reader, &mut self.values) {
            (ColumnReader::BoolColumnReader(reader), Values::Bool(values)) => {
                read(reader, rows, levels, values)
            }
            (ColumnReader::Int32ColumnReader(reader), Values::Int32(values)) => {
                read(reader, rows, levels, values)
            }
            (ColumnReader::Int64ColumnReader(reader), Values::Int64(values)) => {
                read(reader, rows, levels, values)
            }
            (ColumnReader::Int96ColumnReader(reader), Values::Int96(values)) => {
                read(reader, rows, levels, values)
            }
            (ColumnReader::FloatColumnReader(reader), Values::Float32(values)) => {
                read(reader, rows, levels, values)
            }
            (ColumnReader::DoubleColumnReader(reader), Values::Float64(values)) => {
                read(reader, rows, levels, values)
            }
            (ColumnReader::ByteArrayColumnReader(reader), Values::Bytes(values)) => {
                read(reader, rows, levels, values)
            }
            (ColumnReader::FixedLenByteArrayColumnReader(reader), Values::Fixed(values)) => {
                read(reader, rows, levels, values)
            }
            // The values were made for this reader.
            _ => Ok(0),
        }?;
        if read == rows {
            Ok(())
        } else {
            Err(ParquetError::EOF("a column has fewer rows than its row group".to_owned()))
        }
    }

    /// Passes over rows that have not been loaded.
    pub(super) fn skip(&mut self, rows: usize) -> ParquetResult<()> {
        let skipped = match &mut self.reader {
            ColumnReader::BoolColumnReader(reader) => reader.skip_records(rows),
            ColumnReader::Int32ColumnReader(reader) => reader.skip_records(rows),
            ColumnReader::Int64ColumnReader(reader) => reader.skip_records(rows),
            ColumnReader::Int96ColumnReader(reader) => reader.skip_records(rows),
            ColumnReader::FloatColumnReader(reader) => reader.skip_records(rows),
            ColumnReader::DoubleColumnReader(reader) => reader.skip_records(rows),
            ColumnReader::ByteArrayColumnReader(reader) => reader.skip_records(rows),
            ColumnReader::FixedLenByteArrayColumnReader(reader) => reader.skip_records(rows),
        }?;
        if skipped == rows {
            Ok(())
        } else {
            Err(ParquetError::EOF("a column has fewer rows than its row group".to_owned()))
        }
    }

    /// The current row's value; `None` for NULL, and where the file lacks it.
    pub(super) fn current(&self) -> Option<Raw<'_>> {
        if self.max_def_level > 0 && self.levels.get(self.row).is_none_or(|level| *level < self.max_def_level)
        {
            return None;
        }
        let at = self.value;
        match &self.values {
            Values::Bool(values) => values.get(at).map(|value| Raw::Bool(*value)),
            Values::Int32(values) => values.get(at).map(|value| Raw::Int32(*value)),
            Values::Int64(values) => values.get(at).map(|value| Raw::Int64(*value)),
            Values::Int96(values) => values.get(at).map(Raw::Int96),
            Values::Float32(values) => values.get(at).map(|value| Raw::Float32(*value)),
            Values::Float64(values) => values.get(at).map(|value| Raw::Float64(*value)),
            Values::Bytes(values) => values.get(at).map(|value| Raw::Bytes(value.data())),
            Values::Fixed(values) => values.get(at).map(|value| Raw::Bytes(value.data())),
        }
    }

    /// Bytes of the current row's text or bytes.
    pub(super) fn bytes(&self) -> u64 {
        match self.current() {
            Some(Raw::Bytes(bytes)) => bytes.len() as u64,
            _ => 0,
        }
    }

    /// Goes on to the next row.
    pub(super) fn advance(&mut self) {
        let there = self.max_def_level == 0
            || self.levels.get(self.row).is_some_and(|level| *level >= self.max_def_level);
        self.value += usize::from(there);
        self.row += 1;
    }
}

fn read<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    levels: &mut Vec<i16>,
    values: &mut Vec<T::T>,
) -> ParquetResult<usize> {
    levels.clear();
    values.clear();
    reader.read_records(rows, Some(levels), None, values).map(|(records, ..)| records)
}
