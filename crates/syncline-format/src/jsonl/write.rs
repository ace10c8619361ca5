//! Writing JSON Lines.

use std::io::Write;

use arrow_array::RecordBatch;
use syncline_types::{Column, Error, LogicalType, Result, TableSchema, codes, text::Values};

use super::{JsonLinesOptions, scan};
use crate::{
    bad_option,
    cell::{self, BinaryText},
    compress::{Encoder, WRITE_BYTES},
    part::{PartWriter, Refusal},
};

/// Writes one file.
pub(crate) struct Writer<W: Write> {
    out: Encoder<W>,
    binary: BinaryText,
    columns: Vec<Column>,
    /// Each column's key in quotes and its colon.
    keys: Vec<Vec<u8>>,
    scratch: String,
    open: Vec<u8>,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(options: &JsonLinesOptions, schema: &TableSchema, out: Encoder<W>) -> Result<Self> {
        if !options.json_null {
            return Err(bad_option("json_null", "it is for reading the files of others"));
        }
        let key = |column: &Column| {
            let mut key = vec![];
            write_text(&column.name, &mut key);
            key.push(b':');
            key
        };
        Ok(Writer {
            out,
            binary: options.binary,
            columns: schema.columns.clone(),
            keys: schema.columns.iter().map(key).collect(),
            scratch: String::new(),
            open: vec![],
        })
    }

    /// Appends a row, or fails with the column whose value cannot be written.
    fn write_row(&mut self, columns: &[Values<'_>], row: usize) -> Result<(), usize> {
        let buffer = self.out.buffer();
        buffer.push(b'{');
        let mut first = true;
        for (index, (values, key)) in columns.iter().zip(&self.keys).enumerate() {
            let logical = self.columns.get(index).map_or(LogicalType::TEXT, |column| column.logical);
            let null = values.is_null(row);
            // JSON has a null of its own, so that NULL is no key at all.
            if null && matches!(logical, LogicalType::Json { .. }) {
                continue;
            }
            if !std::mem::take(&mut first) {
                buffer.push(b',');
            }
            buffer.extend_from_slice(key);
            match (values, logical) {
                _ if null => buffer.extend_from_slice(b"null"),
                (Values::Text(array), LogicalType::Json { .. }) => {
                    write_json(array.value(row), &mut self.open, buffer).map_err(|_| index)?;
                }
                (Values::Text(array), _) => write_text(array.value(row), buffer),
                (Values::Binary(array), _) if self.binary == BinaryText::Base64 => {
                    buffer.push(b'"');
                    cell::write_bytes(array.value(row), self.binary, buffer);
                    buffer.push(b'"');
                }
                (values, logical) => {
                    self.scratch.clear();
                    values.write(row, &mut self.scratch);
                    write_scalar(&mut self.scratch, logical, buffer);
                    // One wide value does not keep its memory.
                    self.scratch.shrink_to(WRITE_BYTES);
                }
            }
        }
        buffer.extend_from_slice(b"}\n");
        Ok(())
    }
}

impl<W: Write + Send> PartWriter<W> for Writer<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<Vec<Refusal>> {
        let arrays = batch.columns().iter().zip(&self.columns);
        let columns =
            arrays.map(|(array, column)| Values::new(array, column.logical)).collect::<Result<Vec<_>>>()?;
        let mut refusals = vec![];
        for row in 0..batch.num_rows() {
            let start = self.out.buffer().len();
            if let Err(column) = self.write_row(&columns, row) {
                self.out.buffer().truncate(start);
                let row = u32::try_from(row).unwrap_or(u32::MAX);
                refusals.push(Refusal { row, error: refused(&self.columns[column].name) });
            }
            self.out.pass_on()?;
        }
        Ok(refusals)
    }

    fn bytes(&self) -> u64 {
        self.out.bytes()
    }

    fn finish(self: Box<Self>) -> Result<W> {
        self.out.finish()
    }
}

fn refused(column: &str) -> Error {
    Error::new(&codes::VALUE_REFUSED, "write column", format!("`{column}`"))
        .because("its value should be JSON and is not")
}

/// Appends a value's text as a number, a word or a text.
fn write_scalar(text: &mut String, logical: LogicalType, out: &mut Vec<u8>) {
    use LogicalType as L;
    let bare = match logical {
        L::Bool => true,
        L::Float32 | L::Float64 => text.ends_with(|c: char| c.is_ascii_digit()),
        L::Timestamp { .. } => {
            // As other programs expect it; both are read.
            if let Some(at) =
                text.find(' ').filter(|at| text.as_bytes().get(at + 1).is_some_and(u8::is_ascii_digit))
            {
                text.replace_range(at..=at, "T");
            }
            false
        }
        logical => logical.is_integer(),
    };
    if bare {
        out.extend_from_slice(text.as_bytes());
    } else {
        write_text(text, out);
    }
}

/// Appends a text in quotes.
fn write_text(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1F)) {
        let (before, from) = rest.split_at(at);
        out.extend_from_slice(before);
        match from[0] {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            byte @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', byte]),
            byte => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
        }
        rest = &from[1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Appends JSON as it is, but on one line: a line end can only stand between its parts.
fn write_json(text: &str, open: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<(), scan::Flaw> {
    let value = scan::single(text, open)?;
    let start = out.len();
    out.extend_from_slice(value.raw(text).as_bytes());
    for byte in &mut out[start..] {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    Ok(())
}
