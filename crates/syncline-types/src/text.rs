//! One text form for every value, used for key bounds, JSON, SQL text and `cast to text`.
//!
//! Integers and decimals as digits, floats in the shortest form that reads back alike, dates and
//! times as in [`crate::civil`], intervals as in [`crate::interval`], bytes as `\x` and hex, UUIDs
//! with dashes, booleans as `true` and `false`, infinities and NaN by PostgreSQL's names.

use std::fmt::Write;

use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array,
    FixedSizeBinaryArray, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array,
    StringArray, Time64MicrosecondArray, TimestampMicrosecondArray, UInt8Array, UInt16Array, UInt32Array,
    UInt64Array,
};

use crate::{
    Error, LogicalType, Result, civil, codes, decimal,
    interval::Interval,
    special::{DATE_INFINITY, DATE_MINUS_INFINITY, TIMESTAMP_INFINITY, TIMESTAMP_MINUS_INFINITY},
};

/// A column seen as its concrete array, so that a type is looked up once and not per value.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// `Bool`
    Bool(&'a BooleanArray),
    /// `Int8`
    Int8(&'a Int8Array),
    /// `Int16`
    Int16(&'a Int16Array),
    /// `Int32`
    Int32(&'a Int32Array),
    /// `Int64`
    Int64(&'a Int64Array),
    /// `UInt8`
    UInt8(&'a UInt8Array),
    /// `UInt16`
    UInt16(&'a UInt16Array),
    /// `UInt32`
    UInt32(&'a UInt32Array),
    /// `UInt64`
    UInt64(&'a UInt64Array),
    /// `Float32`
    Float32(&'a Float32Array),
    /// `Float64`
    Float64(&'a Float64Array),
    /// `Decimal` to 38 digits, with its scale
    Decimal128(&'a Decimal128Array, u8),
    /// `Decimal` to 76 digits, with its scale
    Decimal256(&'a Decimal256Array, u8),
    /// `Numeric`, `Text`, `Bits`, `Json`, `Opaque`
    Text(&'a StringArray),
    /// `Binary`
    Binary(&'a BinaryArray),
    /// `Date`
    Date(&'a Date32Array),
    /// `Time`
    Time(&'a Time64MicrosecondArray),
    /// `Timestamp`, and whether it is zoned
    Timestamp(&'a TimestampMicrosecondArray, bool),
    /// `Interval`
    Interval(&'a FixedSizeBinaryArray),
    /// `Uuid`
    Uuid(&'a FixedSizeBinaryArray),
}

impl<'a> Values<'a> {
    /// Sees `array` as the carrier of `logical`.
    ///
    /// # Errors
    /// [`codes::BROKEN_INVARIANT`] when the array is not what [`LogicalType::arrow`] says.
    pub fn new(array: &'a ArrayRef, logical: LogicalType) -> Result<Self> {
        use LogicalType as L;
        let any = array.as_any();
        match logical {
            L::Bool => any.downcast_ref().map(Values::Bool),
            L::Int8 => any.downcast_ref().map(Values::Int8),
            L::Int16 => any.downcast_ref().map(Values::Int16),
            L::Int32 => any.downcast_ref().map(Values::Int32),
            L::Int64 => any.downcast_ref().map(Values::Int64),
            L::UInt8 => any.downcast_ref().map(Values::UInt8),
            L::UInt16 => any.downcast_ref().map(Values::UInt16),
            L::UInt32 => any.downcast_ref().map(Values::UInt32),
            L::UInt64 => any.downcast_ref().map(Values::UInt64),
            L::Float32 => any.downcast_ref().map(Values::Float32),
            L::Float64 => any.downcast_ref().map(Values::Float64),
            L::Decimal { precision, scale } if precision <= 38 => {
                any.downcast_ref().map(|array| Values::Decimal128(array, scale))
            }
            L::Decimal { scale, .. } => any.downcast_ref().map(|array| Values::Decimal256(array, scale)),
            L::Numeric | L::Text { .. } | L::Bits { .. } | L::Json { .. } | L::Opaque => {
                any.downcast_ref().map(Values::Text)
            }
            L::Binary => any.downcast_ref().map(Values::Binary),
            L::Date => any.downcast_ref().map(Values::Date),
            L::Time { .. } => any.downcast_ref().map(Values::Time),
            L::Timestamp { zoned, .. } => any.downcast_ref().map(|array| Values::Timestamp(array, zoned)),
            L::Interval => any.downcast_ref().map(Values::Interval),
            L::Uuid => any.downcast_ref().map(Values::Uuid),
        }
        .ok_or_else(|| {
            Error::new(&codes::BROKEN_INVARIANT, "read a column", logical)
                .because(format!("it is carried as {}", array.data_type()))
        })
    }

    /// Whether the value is NULL.
    pub fn is_null(&self, row: usize) -> bool {
        self.array().is_null(row)
    }

    /// Appends a value's text. A NULL's text is without meaning: ask [`Values::is_null`] first.
    pub fn write(&self, row: usize, out: &mut String) {
        // Writing to a `String` cannot fail.
        let _ = match *self {
            Values::Bool(array) => write!(out, "{}", array.value(row)),
            Values::Int8(array) => write!(out, "{}", array.value(row)),
            Values::Int16(array) => write!(out, "{}", array.value(row)),
            Values::Int32(array) => write!(out, "{}", array.value(row)),
            Values::Int64(array) => write!(out, "{}", array.value(row)),
            Values::UInt8(array) => write!(out, "{}", array.value(row)),
            Values::UInt16(array) => write!(out, "{}", array.value(row)),
            Values::UInt32(array) => write!(out, "{}", array.value(row)),
            Values::UInt64(array) => write!(out, "{}", array.value(row)),
            Values::Float32(array) => {
                write_float(array.value(row), array.value(row).abs().into(), out);
                Ok(())
            }
            Values::Float64(array) => {
                write_float(array.value(row), array.value(row).abs(), out);
                Ok(())
            }
            Values::Decimal128(array, scale) => {
                decimal::write_128(array.value(row), scale, out);
                Ok(())
            }
            Values::Decimal256(array, scale) => {
                decimal::write_256(array.value(row), scale, out);
                Ok(())
            }
            Values::Text(array) => {
                out.push_str(array.value(row));
                Ok(())
            }
            Values::Binary(array) => {
                write_hex(array.value(row), out);
                Ok(())
            }
            Values::Date(array) => {
                write_date(array.value(row), out);
                Ok(())
            }
            Values::Time(array) => {
                civil::write_time(array.value(row), out);
                Ok(())
            }
            Values::Timestamp(array, zoned) => {
                write_timestamp(array.value(row), zoned, out);
                Ok(())
            }
            Values::Interval(array) => {
                // The array's width is 16 by its type.
                Interval::from_bytes(array.value(row).try_into().unwrap_or_default()).write(out);
                Ok(())
            }
            Values::Uuid(array) => {
                write_uuid(array.value(row), out);
                Ok(())
            }
        };
    }

    /// A value's text, or `None` for NULL.
    pub fn text(&self, row: usize) -> Option<String> {
        (!self.is_null(row)).then(|| {
            let mut out = String::new();
            self.write(row, &mut out);
            out
        })
    }

    /// The array itself.
    pub fn array(&self) -> &'a dyn Array {
        match *self {
            Values::Bool(array) => array,
            Values::Int8(array) => array,
            Values::Int16(array) => array,
            Values::Int32(array) => array,
            Values::Int64(array) => array,
            Values::UInt8(array) => array,
            Values::UInt16(array) => array,
            Values::UInt32(array) => array,
            Values::UInt64(array) => array,
            Values::Float32(array) => array,
            Values::Float64(array) => array,
            Values::Decimal128(array, _) => array,
            Values::Decimal256(array, _) => array,
            Values::Text(array) => array,
            Values::Binary(array) => array,
            Values::Date(array) => array,
            Values::Time(array) => array,
            Values::Timestamp(array, _) => array,
            Values::Interval(array) | Values::Uuid(array) => array,
        }
    }
}

/// Appends a float in the shortest form that reads back as the same one.
fn write_float(value: impl std::fmt::Display + std::fmt::LowerExp, magnitude: f64, out: &mut String) {
    let _ = if magnitude.is_infinite() {
        let text = value.to_string();
        out.push_str(if text.starts_with('-') { "-Infinity" } else { "Infinity" });
        Ok(())
    } else if magnitude != 0.0 && !(1e-5..1e17).contains(&magnitude) && !magnitude.is_nan() {
        write!(out, "{value:e}")
    } else {
        write!(out, "{value}")
    };
}

/// Appends a date, or its infinity.
pub fn write_date(days: i32, out: &mut String) {
    match days {
        DATE_INFINITY => out.push_str("infinity"),
        DATE_MINUS_INFINITY => out.push_str("-infinity"),
        days => civil::write_date(i64::from(days), out),
    }
}

/// Appends a timestamp, or its infinity.
pub fn write_timestamp(micros: i64, zoned: bool, out: &mut String) {
    match micros {
        TIMESTAMP_INFINITY => out.push_str("infinity"),
        TIMESTAMP_MINUS_INFINITY => out.push_str("-infinity"),
        micros => civil::write_timestamp(micros, zoned, out),
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

fn push_hex(byte: u8, out: &mut String) {
    out.push(char::from(HEX[usize::from(byte >> 4)]));
    out.push(char::from(HEX[usize::from(byte & 15)]));
}

/// Appends `\x` and two digits a byte.
pub fn write_hex(bytes: &[u8], out: &mut String) {
    out.reserve(2 + bytes.len() * 2);
    out.push_str("\\x");
    bytes.iter().for_each(|byte| push_hex(*byte, out));
}

/// The bytes of `\x` and hex digits.
pub fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits.chunks_exact(2).map(|pair| Some(hex_digit(pair[0])? << 4 | hex_digit(pair[1])?)).collect()
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Appends 16 bytes as 8-4-4-4-12 hex digits.
pub fn write_uuid(bytes: &[u8], out: &mut String) {
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        push_hex(*byte, out);
    }
}

/// The 16 bytes of a UUID's text, dashes optional but only where they belong.
pub fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    let mut digits = 0;
    for (at, c) in text.bytes().enumerate() {
        if c == b'-' {
            if text.len() != 36 || !matches!(at, 8 | 13 | 18 | 23) {
                return None;
            }
            continue;
        }
        let slot: &mut u8 = bytes.get_mut(digits / 2)?;
        *slot = *slot << 4 | hex_digit(c)?;
        digits += 1;
    }
    (digits == 32).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn text(array: impl Array + 'static, logical: LogicalType) -> Vec<Option<String>> {
        let array: ArrayRef = Arc::new(array);
        let values = Values::new(&array, logical).unwrap();
        (0..array.len()).map(|row| values.text(row)).collect()
    }

    #[test]
    fn floats_are_short_and_exact() {
        let values = [0.1, -0.0, 1e300, 5e-324, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e16, 123.456];
        let texts = text(Float64Array::from(values.to_vec()), LogicalType::Float64);
        let expected =
            ["0.1", "-0", "1e300", "5e-324", "NaN", "Infinity", "-Infinity", "10000000000000000", "123.456"];
        assert_eq!(texts, expected.map(|text| Some(text.to_owned())));
        let texts = text(Float32Array::from(vec![0.1_f32, 3.4e38]), LogicalType::Float32);
        assert_eq!(texts, ["0.1", "3.4e38"].map(|text| Some(text.to_owned())));
    }

    #[test]
    fn null_has_no_text() {
        assert_eq!(text(Int32Array::from(vec![Some(1), None]), LogicalType::Int32), [Some("1".into()), None]);
    }

    #[test]
    fn a_wrong_array_is_a_broken_invariant() {
        let array: ArrayRef = Arc::new(Int32Array::from(vec![1]));
        assert_eq!(Values::new(&array, LogicalType::Int64).unwrap_err().code(), &codes::BROKEN_INVARIANT);
    }

    #[test]
    fn bytes_and_uuids_come_back() {
        let mut out = String::new();
        write_hex(&[0, 255, 16], &mut out);
        assert_eq!(out, "\\x00ff10");
        assert_eq!(parse_hex(&out), Some(vec![0, 255, 16]));
        for bad in ["00", "\\x0", "\\xzz"] {
            assert_eq!(parse_hex(bad), None);
        }
        let uuid = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
        let bytes = parse_uuid(uuid).unwrap();
        let mut out = String::new();
        write_uuid(&bytes, &mut out);
        assert_eq!(out, uuid);
        for bad in
            ["", "a0eebc99", "a0eebc999-c0b-4ef8-bb6d-6bb9bd380a11", "zzeebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]
        {
            assert_eq!(parse_uuid(bad), None, "{bad}");
        }
    }
}
