//! Columns into COPY's rows: binary where every column has a binary form here, else text.
//!
//! A row that the target's column cannot hold is left out and told; the rows before and after it
//! are whole.

mod constants;

use arrow_array::{Array, ArrayRef, RecordBatch};
use bytes::Bytes;
use syncline_connect::Reject;
use syncline_types::{
    Error, LogicalType, Result, TableSchema, codes,
    special::{
        DATE_INFINITY, DATE_MINUS_INFINITY, DECIMAL128_NAN, DECIMAL256_NAN, TIMESTAMP_INFINITY,
        TIMESTAMP_MINUS_INFINITY,
    },
    text::Values,
};

use crate::{
    decode::{EPOCH_DAYS, EPOCH_MICROS},
    numeric,
    types::{PgType, oid},
};

/// What COPY is told to expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Binary,
    Text,
}

impl Format {
    /// As an option of COPY.
    pub(crate) fn option(self) -> &'static str {
        match self {
            Format::Binary => "(FORMAT binary)",
            Format::Text => "(FORMAT text)",
        }
    }
}

/// How one column is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    Numeric,
    /// Bytes as they are: text, JSON, bytea, enumeration labels.
    Raw,
    /// JSON behind its version.
    Jsonb,
    Bits,
    Date,
    Time,
    Timestamp,
    Sixteen,
    /// The text form of `syncline_types::text`.
    Written,
}

/// A column of the batch that is written.
#[derive(Debug)]
struct Column {
    /// Its place in the batch.
    place: usize,
    name: String,
    logical: LogicalType,
    wire: Wire,
}

/// Writes a stream's rows for the columns of one table.
#[derive(Debug)]
pub(crate) struct RowEncoder {
    columns: Vec<Column>,
    pub(crate) format: Format,
}

/// Values from this size on are handed on as they lie, without a copy of ours.
const LARGE_BYTES: usize = 1 << 20;

/// Written rows are handed on in pieces of about this size: large enough that nobody waits for each,
/// small enough that sixteen connections hold little.
const PIECE_BYTES: usize = 128 << 10;

/// What does not fit an `i32` length cannot be sent at all; PostgreSQL's own limit is below.
const FIELD_BYTES_MAX: usize = 1 << 30;

/// The signature, no flags, no extension.
const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

impl RowEncoder {
    /// For rows of `schema`, of which the columns at these places are written as these types.
    pub(crate) fn new(schema: &TableSchema, written: &[(usize, PgType)]) -> Self {
        let chosen = || {
            written.iter().filter_map(|(place, pg_type)| Some((*place, schema.columns.get(*place)?, pg_type)))
        };
        let binary = chosen().all(|(_, column, pg_type)| binary(column.logical, pg_type).is_some());
        let columns = chosen()
            .map(|(place, column, pg_type)| Column {
                place,
                name: column.name.clone(),
                logical: column.logical,
                wire: binary
                    .then(|| self::binary(column.logical, pg_type))
                    .flatten()
                    .unwrap_or(Wire::Written),
            })
            .collect();
        RowEncoder { columns, format: if binary { Format::Binary } else { Format::Text } }
    }

    /// What comes before the first row.
    pub(crate) fn header(&self) -> Bytes {
        match self.format {
            Format::Binary => Bytes::from_static(HEADER),
            Format::Text => Bytes::new(),
        }
    }

    /// What comes after the last row.
    pub(crate) fn trailer(&self) -> Bytes {
        match self.format {
            Format::Binary => Bytes::from_static(&[0xFF, 0xFF]),
            Format::Text => Bytes::new(),
        }
    }

    /// Looks at a batch through the eyes of its columns' types.
    pub(crate) fn open<'a>(&'a self, batch: &'a RecordBatch) -> Result<Rows<'a>> {
        let fields = self
            .columns
            .iter()
            .map(|column| Field::new(column, batch.column(column.place)))
            .collect::<Result<Vec<_>>>()?;
        Ok(Rows { fields, format: self.format, rows: batch.num_rows(), next: 0 })
    }
}

/// The binary form of values of a type in a column of another; `None` when only text will do.
fn binary(logical: LogicalType, to: &PgType) -> Option<Wire> {
    use LogicalType as L;
    if to.is_enum {
        return matches!(logical, L::Text { .. } | L::Opaque).then_some(Wire::Raw);
    }
    let integer = logical.is_integer();
    let exact = integer || matches!(logical, L::Decimal { .. } | L::Numeric);
    let text = matches!(logical, L::Text { .. } | L::Json { .. } | L::Opaque | L::Numeric | L::Bits { .. });
    Some(match (to.oid, logical) {
        (oid::BOOL, L::Bool) => Wire::Bool,
        (oid::INT2, _) if integer => Wire::Int2,
        (oid::INT4, _) if integer => Wire::Int4,
        (oid::INT8, _) if integer => Wire::Int8,
        (oid::OID, _) if integer => Wire::Oid,
        (oid::FLOAT4, L::Float32) => Wire::Float4,
        (oid::FLOAT8, L::Float32 | L::Float64) => Wire::Float8,
        (oid::FLOAT8, _) if integer => Wire::Float8,
        (oid::NUMERIC, _) if exact => Wire::Numeric,
        (oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::NAME, _) if text => Wire::Raw,
        (oid::TEXT | oid::VARCHAR | oid::BPCHAR, _) if logical != L::Binary => Wire::Written,
        (oid::JSON, L::Json { .. }) => Wire::Raw,
        (oid::JSONB, L::Json { .. }) => Wire::Jsonb,
        (oid::BYTEA, L::Binary) => Wire::Raw,
        (oid::BIT | oid::VARBIT, L::Bits { .. }) => Wire::Bits,
        (oid::DATE, L::Date) => Wire::Date,
        (oid::TIME, L::Time { .. }) => Wire::Time,
        (oid::TIMESTAMP, L::Timestamp { zoned: false, .. }) => Wire::Timestamp,
        (oid::TIMESTAMPTZ, L::Timestamp { zoned: true, .. }) => Wire::Timestamp,
        (oid::INTERVAL, L::Interval) | (oid::UUID, L::Uuid) => Wire::Sixteen,
        _ => return None,
    })
}

/// Written bytes, with the places where values too large to be copied belong.
#[derive(Default)]
pub(crate) struct Out {
    bytes: Vec<u8>,
    large: Vec<(usize, Bytes)>,
    /// For values that are written as text first.
    text: String,
}

impl Out {
    /// Everything written, in order, in pieces that nothing had to be copied for.
    fn into_pieces(self) -> Vec<Bytes> {
        let bytes = Bytes::from(self.bytes);
        let mut pieces = vec![];
        let mut from = 0;
        for (at, large) in self.large {
            pieces.push(bytes.slice(from..at));
            pieces.extend(
                (0..large.len())
                    .step_by(PIECE_BYTES)
                    .map(|start| large.slice(start..large.len().min(start + PIECE_BYTES))),
            );
            from = at;
        }
        pieces.push(bytes.slice(from..));
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }

    fn rest(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Appends a field of a known length.
    fn field(&mut self, value: &[u8]) {
        // Lengths are checked against a limit far below before they come here.
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(value);
    }

    /// Appends a field whose length is known only once it is written.
    fn measured(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        write(&mut self.bytes);
        let length = u32::try_from(self.bytes.len() - at - 4).unwrap_or(u32::MAX);
        self.bytes[at..at + 4].copy_from_slice(&length.to_be_bytes());
    }
}

/// A batch being written.
pub(crate) struct Rows<'a> {
    fields: Vec<Field<'a>>,
    format: Format,
    rows: usize,
    next: usize,
}

impl Rows<'_> {
    /// The next pieces of the written rows; `None` when all are. Rows left out are added to `rejects`.
    pub(crate) fn pieces(&mut self, rejects: &mut Vec<Reject>) -> Option<Vec<Bytes>> {
        if self.next >= self.rows {
            return None;
        }
        let mut out = Out { bytes: Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 8), ..Out::default() };
        while self.next < self.rows && out.bytes.len() < PIECE_BYTES && out.large.is_empty() {
            let row = self.next;
            self.next += 1;
            let start = out.bytes.len();
            if let Err(error) = self.write(row, &mut out) {
                out.bytes.truncate(start);
                out.large.clear();
                rejects.push(Reject { row: u32::try_from(row).unwrap_or(u32::MAX), place: None, error });
            }
        }
        Some(out.into_pieces())
    }

    fn write(&self, row: usize, out: &mut Out) -> Result<()> {
        let binary = self.format == Format::Binary;
        if binary {
            let count = u16::try_from(self.fields.len()).unwrap_or(u16::MAX);
            out.bytes.extend_from_slice(&count.to_be_bytes());
        }
        for (at, field) in self.fields.iter().enumerate() {
            if !binary && at > 0 {
                out.bytes.push(b'\t');
            }
            let null = field.nulls && field.values.is_null(row);
            match (binary, null) {
                (true, true) => out.bytes.extend_from_slice(&[0xFF; 4]),
                (true, false) => {
                    field.write_binary(row, out).map_err(|reason| refused(field.name, reason))?
                }
                (false, true) => out.bytes.extend_from_slice(b"\\N"),
                (false, false) => field.write_text(row, out).map_err(|reason| refused(field.name, reason))?,
            }
        }
        if !binary {
            out.bytes.push(b'\n');
        }
        Ok(())
    }
}

fn refused(column: &str, reason: &'static str) -> Error {
    Error::new(&codes::VALUE_REFUSED, "write column", format!("`{column}`")).because(reason)
}

/// One column of a batch.
struct Field<'a> {
    name: &'a str,
    values: Values<'a>,
    wire: Wire,
    /// Some text of the batch holds a NUL, so each has to be looked at.
    holds_nul: bool,
    /// Some value of the batch is NULL, so each has to be looked at.
    nulls: bool,
}

type Written = std::result::Result<(), &'static str>;

const NUL: &str = "the text holds a NUL character, which PostgreSQL cannot store";
const TOO_LARGE: &str = "the value is larger than 1 GiB, which PostgreSQL cannot store";
const OUT_OF_RANGE: &str = "the number is out of the column's range";

impl<'a> Field<'a> {
    fn new(column: &'a Column, array: &'a ArrayRef) -> Result<Self> {
        let values = Values::new(array, column.logical)?;
        let holds_nul = match values {
            Values::Text(text) => text.value_data().contains(&0),
            _ => false,
        };
        let nulls = array.null_count() > 0;
        Ok(Field { name: &column.name, values, wire: column.wire, holds_nul, nulls })
    }

    /// A text's or binary's bytes, if they can be stored.
    fn bytes(&self, row: usize) -> std::result::Result<&'a [u8], &'static str> {
        let bytes = match self.values {
            Values::Text(text) => text.value(row).as_bytes(),
            Values::Binary(binary) => binary.value(row),
            _ => return Err("the column is not carried as text or bytes"),
        };
        if self.holds_nul && bytes.contains(&0) {
            return Err(NUL);
        }
        if bytes.len() > FIELD_BYTES_MAX { Err(TOO_LARGE) } else { Ok(bytes) }
    }

    /// The same bytes without a copy.
    fn shared(&self, row: usize) -> Option<Bytes> {
        let (values, offsets) = match self.values {
            Values::Text(text) => (text.values(), text.value_offsets()),
            Values::Binary(binary) => (binary.values(), binary.value_offsets()),
            _ => return None,
        };
        let from = usize::try_from(*offsets.get(row)?).ok()?;
        let upto = usize::try_from(*offsets.get(row + 1)?).ok()?;
        Some(Bytes::from_owner(values.slice_with_length(from, upto - from)))
    }

    fn integer(&self, row: usize) -> i128 {
        match self.values {
            Values::Int8(array) => array.value(row).into(),
            Values::Int16(array) => array.value(row).into(),
            Values::Int32(array) => array.value(row).into(),
            Values::Int64(array) => array.value(row).into(),
            Values::UInt8(array) => array.value(row).into(),
            Values::UInt16(array) => array.value(row).into(),
            Values::UInt32(array) => array.value(row).into(),
            Values::UInt64(array) => array.value(row).into(),
            _ => 0,
        }
    }

    fn write_binary(&self, row: usize, out: &mut Out) -> Written {
        match (self.wire, &self.values) {
            // The most frequent pairs come first, without a detour.
            (Wire::Int8, Values::Int64(array)) => out.field(&array.value(row).to_be_bytes()),
            (Wire::Int4, Values::Int32(array)) => out.field(&array.value(row).to_be_bytes()),
            (Wire::Int2, Values::Int16(array)) => out.field(&array.value(row).to_be_bytes()),
            (Wire::Raw, _) => self.write_raw(row, &[], out)?,
            (Wire::Timestamp, Values::Timestamp(array, _)) => {
                out.field(&timestamp(array.value(row))?.to_be_bytes())
            }
            (Wire::Numeric, values) => self.write_numeric(row, values, out)?,
            (Wire::Bool, Values::Bool(array)) => out.field(&[u8::from(array.value(row))]),
            (Wire::Date, Values::Date(array)) => out.field(&date(array.value(row))?.to_be_bytes()),
            (Wire::Time, Values::Time(array)) => out.field(&array.value(row).to_be_bytes()),
            (Wire::Sixteen, Values::Uuid(array) | Values::Interval(array)) => out.field(array.value(row)),
            (Wire::Int8, _) => out.field(&narrow::<i64>(self.integer(row))?.to_be_bytes()),
            (Wire::Int4, _) => out.field(&narrow::<i32>(self.integer(row))?.to_be_bytes()),
            (Wire::Int2, _) => out.field(&narrow::<i16>(self.integer(row))?.to_be_bytes()),
            (Wire::Oid, _) => out.field(&narrow::<u32>(self.integer(row))?.to_be_bytes()),
            (Wire::Float4, Values::Float32(array)) => out.field(&array.value(row).to_be_bytes()),
            (Wire::Float8, Values::Float32(array)) => out.field(&f64::from(array.value(row)).to_be_bytes()),
            (Wire::Float8, Values::Float64(array)) => out.field(&array.value(row).to_be_bytes()),
            (Wire::Float8, _) => out.field(&(self.integer(row) as f64).to_be_bytes()),
            (Wire::Jsonb, _) => self.write_raw(row, &[1], out)?,
            (Wire::Bits, _) => write_bits(self.bytes(row)?, out)?,
            (Wire::Written, values) => {
                let mut text = std::mem::take(&mut out.text);
                text.clear();
                values.write(row, &mut text);
                out.field(text.as_bytes());
                out.text = text;
            }
            _ => return Err("the column is not carried as its type says"),
        }
        Ok(())
    }

    /// Bytes as they are, behind a prefix.
    fn write_raw(&self, row: usize, prefix: &[u8], out: &mut Out) -> Written {
        let bytes = self.bytes(row)?;
        let length = u32::try_from(prefix.len() + bytes.len()).map_err(|_| TOO_LARGE)?;
        out.bytes.extend_from_slice(&length.to_be_bytes());
        out.bytes.extend_from_slice(prefix);
        match self.shared(row).filter(|_| bytes.len() >= LARGE_BYTES) {
            Some(large) => out.large.push((out.bytes.len(), large)),
            None => out.bytes.extend_from_slice(bytes),
        }
        Ok(())
    }

    fn write_numeric(&self, row: usize, values: &Values<'_>, out: &mut Out) -> Written {
        match values {
            Values::Decimal128(array, scale) => match array.value(row) {
                DECIMAL128_NAN => out.measured(numeric::encode_nan),
                value => out.measured(|out| numeric::encode_128(value, *scale, out)),
            },
            Values::Decimal256(array, scale) => match array.value(row) {
                DECIMAL256_NAN => out.measured(numeric::encode_nan),
                value => out.measured(|out| numeric::encode_256(value, *scale, out)),
            },
            Values::Text(array) => {
                let mut written = None;
                out.measured(|out| written = numeric::encode_text(array.value(row), out));
                written.ok_or("the text is no number that PostgreSQL could hold")?;
            }
            _ => out.measured(|out| numeric::encode_128(self.integer(row), 0, out)),
        }
        Ok(())
    }

    /// The text form of COPY: what the server's own input functions read, with its escapes.
    fn write_text(&self, row: usize, out: &mut Out) -> Written {
        match self.values {
            Values::Text(_) => escape(self.bytes(row)?, out.rest()),
            Values::Bool(array) => out.bytes.push(if array.value(row) { b't' } else { b'f' }),
            values => {
                let mut text = std::mem::take(&mut out.text);
                text.clear();
                values.write(row, &mut text);
                escape(text.as_bytes(), out.rest());
                out.text = text;
            }
        }
        Ok(())
    }
}

fn narrow<T: TryFrom<i128>>(value: i128) -> std::result::Result<T, &'static str> {
    T::try_from(value).map_err(|_| OUT_OF_RANGE)
}

fn date(days: i32) -> std::result::Result<i32, &'static str> {
    match days {
        DATE_INFINITY | DATE_MINUS_INFINITY => Ok(days),
        days => days.checked_sub(EPOCH_DAYS).ok_or("the date is out of the column's range"),
    }
}

fn timestamp(micros: i64) -> std::result::Result<i64, &'static str> {
    match micros {
        TIMESTAMP_INFINITY | TIMESTAMP_MINUS_INFINITY => Ok(micros),
        micros => micros.checked_sub(EPOCH_MICROS).ok_or("the timestamp is out of the column's range"),
    }
}

/// Digits 0 and 1 as a string of bits: their count, then eight to a byte.
fn write_bits(digits: &[u8], out: &mut Out) -> Written {
    if !digits.iter().all(|digit| matches!(digit, b'0' | b'1')) {
        return Err("the text is no string of bits");
    }
    let count = u32::try_from(digits.len()).map_err(|_| TOO_LARGE)?;
    out.measured(|out| {
        out.extend_from_slice(&count.to_be_bytes());
        out.extend(digits.chunks(8).map(|byte| {
            byte.iter().enumerate().fold(0, |bits, (at, digit)| bits | (digit - b'0') << (7 - at))
        }));
    });
    Ok(())
}

/// Appends a text as COPY's text form wants it.
fn escape(text: &[u8], out: &mut Vec<u8>) {
    let special = |byte: &u8| matches!(byte, b'\\' | b'\t' | b'\n' | b'\r');
    let mut rest = text;
    while let Some(at) = rest.iter().position(special) {
        out.extend_from_slice(&rest[..at]);
        out.push(b'\\');
        out.push(match rest[at] {
            b'\t' => b't',
            b'\n' => b'n',
            b'\r' => b'r',
            other => other,
        });
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use arrow_array::{Int64Array, StringArray};

    fn written(schema: &TableSchema, types: &[u32], columns: Vec<ArrayRef>) -> (Vec<u8>, Vec<Reject>) {
        let types: Vec<(usize, PgType)> = types
            .iter()
            .enumerate()
            .map(|(place, oid)| (place, PgType { oid: *oid, modifier: -1, is_enum: false }))
            .collect();
        let encoder = RowEncoder::new(schema, &types);
        let batch = RecordBatch::try_new(schema.arrow(), columns).unwrap();
        let (mut rejects, mut out) = (vec![], vec![]);
        let mut rows = encoder.open(&batch).unwrap();
        while let Some(pieces) = rows.pieces(&mut rejects) {
            pieces.iter().for_each(|piece| out.extend_from_slice(piece));
        }
        (out, rejects)
    }

    #[test]
    fn rows_that_do_not_fit_are_left_out_whole() {
        let schema = TableSchema::new(
            "test",
            vec![
                syncline_types::Column::new("t", LogicalType::TEXT),
                syncline_types::Column::new("n", LogicalType::Int64),
            ],
        );
        let texts = StringArray::from(vec![Some("a"), Some("b"), Some("c\0"), None]);
        let numbers = Int64Array::from(vec![1, 1 << 40, 2, 3]);
        let (out, rejects) =
            written(&schema, &[oid::TEXT, oid::INT4], vec![Arc::new(texts), Arc::new(numbers)]);
        let row = |text: &[u8], number: u8| [&[0, 2], text, &[0, 0, 0, 4, 0, 0, 0, number]].concat();
        assert_eq!(out, [row(&[0, 0, 0, 1, b'a'], 1), row(&[0xFF; 4], 3)].concat());
        let rows: Vec<u32> = rejects.iter().map(|reject| reject.row).collect();
        assert_eq!(rows, [1, 2]);
        assert!(rejects[0].error.to_string().contains("column `n`"), "{:?}", rejects[0]);
    }

    #[test]
    fn large_values_are_in_their_place() {
        let schema = TableSchema::new(
            "test",
            vec![
                syncline_types::Column::new("a", LogicalType::TEXT),
                syncline_types::Column::new("b", LogicalType::TEXT),
            ],
        );
        let long = "x".repeat(3 << 20);
        let column = || Arc::new(StringArray::from(vec![long.as_str(), "y"])) as ArrayRef;
        let (out, _) = written(&schema, &[oid::TEXT, oid::TEXT], vec![column(), column()]);
        let field =
            |text: &str| [&u32::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat();
        let row = |text: &str| [vec![0, 2], field(text), field(text)].concat();
        assert!(out == [row(&long), row("y")].concat());
    }

    #[test]
    fn what_has_no_binary_form_makes_the_stream_text() {
        let schema = TableSchema::new(
            "test",
            vec![
                syncline_types::Column::new("r", LogicalType::Opaque),
                syncline_types::Column::new("n", LogicalType::Int64),
            ],
        );
        let texts = StringArray::from(vec![Some("[1,\t2)\\"), None]);
        let (out, _) = written(
            &schema,
            &[3904, oid::INT8],
            vec![Arc::new(texts), Arc::new(Int64Array::from(vec![Some(1), None]))],
        );
        assert_eq!(String::from_utf8(out).unwrap(), "[1,\\t2)\\\\\t1\n\\N\t\\N\n");
    }
}
