//! Writing CSV: a field stands in quotes where it would otherwise be read as something else.

use std::io::Write;

use arrow_array::RecordBatch;
use syncline_types::{LogicalType, Result, TableSchema, text::Values};

use super::CsvOptions;
use crate::{
    cell,
    compress::Encoder,
    part::{PartWriter, Refusal},
};

/// Writes one file.
pub(crate) struct Writer<W: Write> {
    out: Encoder<W>,
    options: CsvOptions,
    types: Vec<LogicalType>,
    scratch: String,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(options: &CsvOptions, schema: &TableSchema, mut out: Encoder<W>) -> Result<Self> {
        options.check_for_writing()?;
        if options.header {
            let buffer = out.buffer();
            for (index, column) in schema.columns.iter().enumerate() {
                separate(index, options, buffer);
                write_field(&column.name, options, buffer);
            }
            buffer.push(b'\n');
        }
        let types = schema.columns.iter().map(|column| column.logical).collect();
        Ok(Writer { out, options: options.clone(), types, scratch: String::new() })
    }
}

impl<W: Write + Send> PartWriter<W> for Writer<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<Vec<Refusal>> {
        let columns = batch
            .columns()
            .iter()
            .zip(&self.types)
            .map(|(array, logical)| Values::new(array, *logical))
            .collect::<Result<Vec<_>>>()?;
        for row in 0..batch.num_rows() {
            let buffer = self.out.buffer();
            for (index, values) in columns.iter().enumerate() {
                separate(index, &self.options, buffer);
                write_value(values, row, &self.options, &mut self.scratch, buffer);
            }
            buffer.push(b'\n');
            self.out.pass_on()?;
        }
        // There is no value that CSV cannot hold.
        Ok(vec![])
    }

    fn bytes(&self) -> u64 {
        self.out.bytes()
    }

    fn finish(self: Box<Self>) -> Result<W> {
        self.out.finish()
    }
}

fn separate(index: usize, options: &CsvOptions, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(options.delimiter);
    }
}

fn write_value(
    values: &Values<'_>,
    row: usize,
    options: &CsvOptions,
    scratch: &mut String,
    out: &mut Vec<u8>,
) {
    if values.is_null(row) {
        out.extend_from_slice(options.null.as_bytes());
        return;
    }
    if let Values::Text(array) = values {
        return write_field(array.value(row), options, out);
    }
    if let Values::Binary(array) = values
        && !array.value(row).is_empty()
        && !options.binary_needs_quotes()
    {
        return cell::write_bytes(array.value(row), options.binary, out);
    }
    scratch.clear();
    match values {
        Values::Binary(array) => {
            let mut text = vec![];
            cell::write_bytes(array.value(row), options.binary, &mut text);
            // Nothing but ASCII.
            scratch.push_str(&String::from_utf8_lossy(&text));
        }
        values => values.write(row, scratch),
    }
    write_field(scratch, options, out);
    // One wide value does not keep its memory.
    scratch.shrink_to(crate::compress::WRITE_BYTES);
}

/// Appends a text, in quotes where it needs them.
fn write_field(text: &str, options: &CsvOptions, out: &mut Vec<u8>) {
    if !needs_quotes(text, options) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(options.quote);
    let mut rest = text.as_bytes();
    while let Some(at) = memchr::memchr(options.quote, rest) {
        let (before, after) = rest.split_at(at + 1);
        out.extend_from_slice(before);
        out.push(options.quote);
        rest = after;
    }
    out.extend_from_slice(rest);
    out.push(options.quote);
}

fn needs_quotes(text: &str, options: &CsvOptions) -> bool {
    let special =
        |byte: u8| byte == options.delimiter || byte == options.quote || matches!(byte, b'\n' | b'\r');
    // Old versions of PostgreSQL take `\.` for the end of the data; a byte order mark at the file's
    // beginning would not be read as text.
    text == options.null || text.bytes().any(special) || text == "\\." || text.starts_with('\u{FEFF}')
}
