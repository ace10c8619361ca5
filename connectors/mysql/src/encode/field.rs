//! One column of a batch: what it refuses, and its values as fields of lines and as constants.

use std::{fmt::Write, ops::ControlFlow};

use arrow_array::{Array, ArrayRef};
use syncline_types::{
    Result, civil, decimal,
    interval::Interval,
    special::{DECIMAL128_NAN, DECIMAL256_NAN},
    text::Values,
};

use super::{Bytes, Column, Wire, json::keeps_numbers};

/// The longest time that a column holds, either way: 838:59:59.
const DURATION_MICROS_MAX: i64 = ((838 * 60 + 59) * 60 + 59) * 1_000_000;

/// From `0001-01-01` to `9999-12-31`.
const DAYS: std::ops::RangeInclusive<i64> = -719_162..=2_932_896;

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// The bit of a shape's type in EWKB that says that its reference system follows.
const HAS_SYSTEM: u32 = 0x2000_0000;

const CARRIED_OTHERWISE: &str = "the column is not carried as its type says";

pub(super) struct Field<'a> {
    column: &'a Column,
    values: Values<'a>,
    /// Some value of the batch is NULL, so each has to be looked at.
    nulls: bool,
    /// Some value of the batch may be refused, so each has to be looked at.
    may_refuse: bool,
    bytes_max: usize,
}

impl<'a> Field<'a> {
    pub(super) fn new(column: &'a Column, array: &'a ArrayRef, bytes_max: usize) -> Result<Self> {
        let values = Values::new(array, column.logical)?;
        let nulls = array.null_count() > 0;
        let longest = match values {
            Values::Text(text) => text.values().len(),
            Values::Binary(binary) => binary.values().len(),
            _ => 0,
        };
        let always_fits = match column.wire {
            Wire::Integer | Wire::Year | Wire::Bool | Wire::Bit | Wire::Time => true,
            Wire::Text => !matches!(column.logical, syncline_types::LogicalType::Numeric),
            Wire::Binary => true,
            _ => false,
        };
        let may_refuse = !always_fits || longest > bytes_max || (nulls && !column.nullable);
        Ok(Field { column, values, nulls, may_refuse, bytes_max })
    }

    pub(super) fn name(&self) -> &String {
        &self.column.name
    }

    fn is_null(&self, row: usize) -> bool {
        self.nulls && self.values.is_null(row)
    }

    /// Why the column cannot hold a row's value, if it cannot.
    pub(super) fn refuses(&self, row: usize) -> Option<&'static str> {
        if !self.may_refuse {
            return None;
        }
        if self.is_null(row) {
            // A column that numbers itself would make a number of it.
            return (!self.column.nullable).then_some("NULL in a column that may not be NULL");
        }
        if self.bytes(row).is_some_and(|bytes| bytes.len() > self.bytes_max) {
            return Some("the value is longer than the server's max_allowed_packet");
        }
        match (self.column.wire, &self.values) {
            (Wire::Float, Values::Float32(array)) => not_finite(array.value(row).is_finite()),
            (Wire::Float, Values::Float64(array)) => not_finite(array.value(row).is_finite()),
            (Wire::Decimal, Values::Decimal128(array, _)) => not_finite(array.value(row) != DECIMAL128_NAN),
            (Wire::Decimal, Values::Decimal256(array, _)) => not_finite(array.value(row) != DECIMAL256_NAN),
            (Wire::Decimal, Values::Text(array)) => {
                not_finite(decimal::Digits::parse(array.value(row)).is_some())
            }
            (Wire::Date, Values::Date(array)) => out_of_range(DAYS.contains(&array.value(row).into())),
            (Wire::Timestamp, Values::Timestamp(array, _)) => {
                out_of_range(DAYS.contains(&array.value(row).div_euclid(MICROS_PER_DAY)))
            }
            (Wire::Duration, Values::Interval(array)) => {
                let fits = duration(array.value(row)).is_some();
                (!fits).then_some("a time of MySQL has no days or months and ends at 838:59:59")
            }
            (Wire::Bits, Values::Text(array)) => {
                let bits = array.value(row).bytes().all(|bit| matches!(bit, b'0' | b'1'));
                (!bits).then_some("the text is no string of bits")
            }
            (Wire::Geometry, Values::Binary(array)) => {
                geometry(array.value(row)).is_none().then_some("the bytes are no shape as (E)WKB")
            }
            (Wire::Json, Values::Text(array)) => (!keeps_numbers(array.value(row)))
                .then_some("MySQL's JSON would alter a number of so many digits"),
            (Wire::Text | Wire::Binary | Wire::Written, _) => None,
            _ => Some(CARRIED_OTHERWISE),
        }
    }

    /// The bytes of a value that is sent as it lies.
    fn bytes(&self, row: usize) -> Option<&'a [u8]> {
        match self.values {
            Values::Text(text) => Some(text.value(row).as_bytes()),
            Values::Binary(binary) => Some(binary.value(row)),
            _ => None,
        }
    }

    /// Appends a value from an offset on as a field of a line, `most` bytes of it at once. Returns
    /// where it goes on, if it does.
    pub(super) fn line(&self, row: usize, offset: usize, most: usize, out: &mut Vec<u8>) -> Option<usize> {
        if self.is_null(row) {
            out.extend_from_slice(b"\\N");
            return None;
        }
        match (self.column.wire, self.bytes(row)) {
            (Wire::Text | Wire::Json | Wire::Binary, Some(bytes)) => {
                let rest = bytes.get(offset..).unwrap_or_default();
                let upto = rest.len().min(most);
                escape_line(&rest[..upto], out);
                (upto < rest.len()).then_some(offset + upto)
            }
            (Wire::Bits, Some(digits)) => {
                let mut packed = vec![];
                pack_bits(digits, &mut packed);
                escape_line(&packed, out);
                None
            }
            (Wire::Geometry, Some(wkb)) => {
                escape_line(&geometry(wkb).unwrap_or_default(), out);
                None
            }
            (Wire::Bit, _) => {
                out.push(u8::from(self.is_true(row)));
                None
            }
            (Wire::Written, _) => {
                let mut text = String::new();
                self.values.write(row, &mut text);
                escape_line(text.as_bytes(), out);
                None
            }
            _ => {
                self.plain(row, out);
                None
            }
        }
    }

    /// Appends a value as a constant of SQL.
    pub(super) fn constant(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            out.extend_from_slice(b"NULL");
            return;
        }
        let (before, after) = self.column.through.unwrap_or_default();
        out.extend_from_slice(before.as_bytes());
        match (self.column.wire, self.bytes(row)) {
            (Wire::Text | Wire::Json, Some(bytes)) => quote(bytes, out),
            (Wire::Binary, Some(bytes)) => write_hex(bytes, out),
            (Wire::Geometry, Some(wkb)) => write_hex(&geometry(wkb).unwrap_or_default(), out),
            (Wire::Bits, Some(digits)) => {
                out.extend_from_slice(b"b'");
                out.extend_from_slice(digits);
                out.push(b'\'');
            }
            (Wire::Bit, _) => out.extend_from_slice(if self.is_true(row) { b"b'1'" } else { b"b'0'" }),
            (Wire::Written, _) => {
                let mut text = String::new();
                self.values.write(row, &mut text);
                quote(text.as_bytes(), out);
            }
            (Wire::Integer | Wire::Bool, _) => self.plain(row, out),
            // In quotes, so that it is read as the column's type and not as another first.
            _ => {
                out.push(b'\'');
                self.plain(row, out);
                out.push(b'\'');
            }
        }
        out.extend_from_slice(after.as_bytes());
    }

    fn is_true(&self, row: usize) -> bool {
        matches!(self.values, Values::Bool(array) if array.value(row))
    }

    /// Appends a value whose text needs no escapes.
    fn plain(&self, row: usize, out: &mut Vec<u8>) {
        let mut text = Bytes(out);
        // Writing to bytes cannot fail.
        let _ = match (self.column.wire, &self.values) {
            (Wire::Integer, Values::Int64(array)) => write!(text, "{}", array.value(row)),
            (Wire::Integer, Values::Int32(array)) => write!(text, "{}", array.value(row)),
            (Wire::Integer, Values::Int16(array)) => write!(text, "{}", array.value(row)),
            (Wire::Integer, Values::Int8(array)) => write!(text, "{}", array.value(row)),
            (Wire::Integer, Values::UInt64(array)) => write!(text, "{}", array.value(row)),
            (Wire::Integer, Values::UInt32(array)) => write!(text, "{}", array.value(row)),
            (Wire::Integer, Values::UInt16(array)) => write!(text, "{}", array.value(row)),
            (Wire::Integer, Values::UInt8(array)) => write!(text, "{}", array.value(row)),
            (Wire::Bool, _) => text.write_char(if self.is_true(row) { '1' } else { '0' }),
            // The server reads a double first: the shortest digits of the largest floats are beyond them.
            (Wire::Float, Values::Float32(array)) => write!(text, "{:?}", f64::from(array.value(row))),
            (Wire::Duration, Values::Interval(array)) => {
                write_duration(duration(array.value(row)).unwrap_or_default(), &mut text)
            }
            (Wire::Timestamp, Values::Timestamp(array, _)) => {
                let mut written = String::with_capacity(26);
                civil::write_timestamp(array.value(row), false, &mut written);
                text.write_str(&written)
            }
            (wire, values) => {
                let mut written = String::new();
                values.write(row, &mut written);
                match wire {
                    Wire::Year => write!(text, "{written:0>4}"),
                    _ => text.write_str(&written),
                }
            }
        };
    }
}

fn not_finite(is_finite: bool) -> Option<&'static str> {
    (!is_finite).then_some("MySQL has neither NaN nor infinite numbers")
}

fn out_of_range(fits: bool) -> Option<&'static str> {
    (!fits).then_some("MySQL's dates go from 0001-01-01 to 9999-12-31")
}

/// The microseconds of an interval that a time can be.
fn duration(bytes: &[u8]) -> Option<i64> {
    match Interval::from_bytes(bytes.try_into().ok()?) {
        Interval { months: 0, days: 0, micros } if micros.abs() <= DURATION_MICROS_MAX => Some(micros),
        _ => None,
    }
}

/// `-838:59:59.000000`
fn write_duration(micros: i64, out: &mut impl Write) -> std::fmt::Result {
    let sign = if micros < 0 { "-" } else { "" };
    let (seconds, fraction) = (micros.unsigned_abs() / 1_000_000, micros.unsigned_abs() % 1_000_000);
    write!(out, "{sign}{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)?;
    if fraction == 0 { Ok(()) } else { write!(out, ".{fraction:06}") }
}

/// Digits 0 and 1 as bytes, the last of them at the end of the last byte.
fn pack_bits(digits: &[u8], out: &mut Vec<u8>) {
    out.extend(digits.rchunks(8).rev().map(|byte| byte.iter().fold(0, |bits, digit| bits << 1 | digit & 1)));
}

/// WKB or EWKB as columns hold it: the reference system's number, and WKB. `None` when it is neither.
fn geometry(wkb: &[u8]) -> Option<Vec<u8>> {
    let (order, rest) = wkb.split_first()?;
    let number = |bytes: &[u8]| {
        let bytes: [u8; 4] = bytes.get(..4)?.try_into().ok()?;
        Some(if *order == 1 { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    };
    let shape = number(rest)?;
    let mut out = Vec::with_capacity(wkb.len() + 4);
    if shape & HAS_SYSTEM == 0 {
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(wkb);
        return (*order <= 1).then_some(out);
    }
    out.extend_from_slice(&number(&rest[4..])?.to_le_bytes());
    out.push(*order);
    let shape = shape & !HAS_SYSTEM;
    out.extend_from_slice(&if *order == 1 { shape.to_le_bytes() } else { shape.to_be_bytes() });
    out.extend_from_slice(rest.get(8..)?);
    (*order <= 1).then_some(out)
}

/// Appends bytes as a field of a line: only what ends a field or a line, or begins an escape, is
/// anything else than itself.
fn escape_line(bytes: &[u8], out: &mut Vec<u8>) {
    escape(bytes, out, |byte| match byte {
        b'\t' => Some(b't'),
        b'\n' => Some(b'n'),
        b'\\' => Some(b'\\'),
        _ => None,
    });
}

/// Appends bytes as a constant: a statement is text, and they need not be.
fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.extend_from_slice(b"X'");
    let digits = |byte: &u8| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    out.extend(bytes.iter().flat_map(digits));
    out.push(b'\'');
}

/// Appends a text as a constant in quotes.
fn quote(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'\'');
    escape(bytes, out, |byte| match byte {
        b'\'' | b'\\' => Some(byte),
        0 => Some(b'0'),
        _ => None,
    });
    out.push(b'\'');
}

fn escape(bytes: &[u8], out: &mut Vec<u8>, escaped: impl Fn(u8) -> Option<u8>) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let found = rest.iter().enumerate().try_for_each(|(at, byte)| match escaped(*byte) {
            Some(escaped) => ControlFlow::Break((at, escaped)),
            None => ControlFlow::Continue(()),
        });
        let ControlFlow::Break((at, escaped)) = found else { break };
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(&[b'\\', escaped]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}
