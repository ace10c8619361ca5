//! One value of a Parquet file into a column: as it is where the types are the same, else by its text
//! form, exactly or not at all.

use ::parquet::data_type::Int96;
use arrow_buffer::i256;
use syncline_types::{
    LogicalType,
    build::ColumnBuilder,
    civil::{self, DAY_MICROS},
    decimal,
    interval::Interval,
    special::{DATE_INFINITY, DATE_MINUS_INFINITY, TIMESTAMP_INFINITY, TIMESTAMP_MINUS_INFINITY},
    text,
};

use super::types::{Stored, Ticks};
use crate::cell::{self, BinaryText, Misfit};

/// The day 1970-01-01 in days since 4713 BC, from which Int96 counts.
const JULIAN_1970: i64 = 2_440_588;

const DIGITS: Misfit = Misfit("a number with more digits than the type holds");

/// A value as the file has it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Raw<'a> {
    Bool(bool),
    Int32(i32),
    Int64(i64),
    Int96(&'a Int96),
    Float32(f32),
    Float64(f64),
    Bytes(&'a [u8]),
}

/// What a value means.
#[derive(Clone, Copy, Debug)]
enum Meaning<'a> {
    Bool(bool),
    Whole(i128),
    Decimal(i256, i32),
    Float32(f32),
    Float64(f64),
    Date(i64),
    Time(i64),
    Timestamp(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
    Uuid([u8; 16]),
    Interval(Interval),
}

/// Appends a value. When it does not fit, something may have been appended.
pub(super) fn push(
    stored: Stored,
    raw: Raw<'_>,
    natural: LogicalType,
    logical: LogicalType,
    builder: &mut ColumnBuilder,
    scratch: &mut String,
) -> Result<(), Misfit> {
    use ColumnBuilder as B;
    let meaning = meaning(stored, raw)?;
    match (meaning, &mut *builder) {
        (Meaning::Bool(value), B::Bool(column)) => column.push(value),
        (Meaning::Whole(value), B::Int8(column)) => column.push(narrow(value)?),
        (Meaning::Whole(value), B::Int16(column)) => column.push(narrow(value)?),
        (Meaning::Whole(value), B::Int32(column)) => column.push(narrow(value)?),
        (Meaning::Whole(value), B::Int64(column)) => column.push(narrow(value)?),
        (Meaning::Whole(value), B::UInt8(column)) => column.push(narrow(value)?),
        (Meaning::Whole(value), B::UInt16(column)) => column.push(narrow(value)?),
        (Meaning::Whole(value), B::UInt32(column)) => column.push(narrow(value)?),
        (Meaning::Whole(value), B::UInt64(column)) => column.push(narrow(value)?),
        (Meaning::Float32(value), B::Float32(column)) => column.push(value),
        (Meaning::Float32(value), B::Float64(column)) => column.push(value.into()),
        (Meaning::Float64(value), B::Float64(column)) => column.push(value),
        (Meaning::Float64(value), B::Float32(column)) => {
            let narrow = value as f32;
            if f64::from(narrow) != value && !value.is_nan() {
                return Err(Misfit("a number that 32 bits do not hold"));
            }
            column.push(narrow);
        }
        (Meaning::Decimal(value, scale), B::Decimal128(column)) if natural == logical => {
            let value = value.to_i128().ok_or(DIGITS)?;
            column.push(in_precision(i256::from_i128(value), logical, scale).map(|_| value)?);
        }
        (Meaning::Decimal(value, scale), B::Decimal256(column)) if natural == logical => {
            column.push(in_precision(value, logical, scale)?);
        }
        (Meaning::Date(days), B::Date(column)) => column.push(date(days)?),
        (Meaning::Time(micros), B::Time(column)) if (0..=DAY_MICROS).contains(&micros) => {
            column.push(cell::in_precision(micros, logical)?);
        }
        (Meaning::Timestamp(micros), B::Timestamp(column)) if zoned(natural) == zoned(logical) => {
            column.push(cell::in_precision(micros, logical)?);
        }
        (Meaning::Bytes(bytes), B::Binary(column)) => column.push(bytes),
        (Meaning::Uuid(uuid), B::Sixteen(column)) if logical == LogicalType::Uuid => column.push(uuid),
        (Meaning::Interval(interval), B::Sixteen(column)) if logical == LogicalType::Interval => {
            column.push(interval.to_bytes());
        }
        (Meaning::Text(text), builder) => cell::push(text, logical, BinaryText::Base64, builder)?,
        (meaning, builder) => {
            scratch.clear();
            write(meaning, zoned(natural), scratch)?;
            cell::push(scratch, logical, BinaryText::Base64, builder)?;
        }
    }
    Ok(())
}

fn meaning(stored: Stored, raw: Raw<'_>) -> Result<Meaning<'_>, Misfit> {
    Ok(match (stored, raw) {
        (Stored::Bool, Raw::Bool(value)) => Meaning::Bool(value),
        (Stored::Signed, Raw::Int32(value)) => Meaning::Whole(value.into()),
        (Stored::Signed, Raw::Int64(value)) => Meaning::Whole(value.into()),
        (Stored::Unsigned, Raw::Int32(value)) => Meaning::Whole(value.cast_unsigned().into()),
        (Stored::Unsigned, Raw::Int64(value)) => Meaning::Whole(value.cast_unsigned().into()),
        (Stored::Decimal(scale), Raw::Int32(value)) => Meaning::Decimal(i256::from_i128(value.into()), scale),
        (Stored::Decimal(scale), Raw::Int64(value)) => Meaning::Decimal(i256::from_i128(value.into()), scale),
        (Stored::Decimal(scale), Raw::Bytes(bytes)) => {
            Meaning::Decimal(big_endian(bytes).ok_or(DIGITS)?, scale)
        }
        (Stored::Float, Raw::Float32(value)) => Meaning::Float32(value),
        (Stored::Float, Raw::Float64(value)) => Meaning::Float64(value),
        (Stored::HalfFloat, Raw::Bytes(&[low, high])) => {
            Meaning::Float32(half(u16::from_le_bytes([low, high])))
        }
        (Stored::Date, Raw::Int32(days)) => Meaning::Date(days.into()),
        (Stored::Time(ticks), Raw::Int32(value)) => Meaning::Time(micros(value.into(), ticks)?),
        (Stored::Time(ticks), Raw::Int64(value)) => Meaning::Time(micros(value, ticks)?),
        (Stored::Timestamp(ticks), Raw::Int64(value)) => {
            Meaning::Timestamp(timestamp(micros(value, ticks)?)?)
        }
        (Stored::Int96, Raw::Int96(value)) => Meaning::Timestamp(int96(value)?),
        (Stored::Text, Raw::Bytes(bytes)) => {
            Meaning::Text(std::str::from_utf8(bytes).map_err(|_| Misfit("bytes that are no UTF-8"))?)
        }
        (Stored::Bytes, Raw::Bytes(bytes)) => Meaning::Bytes(bytes),
        (Stored::Uuid, Raw::Bytes(bytes)) => Meaning::Uuid(bytes.try_into().map_err(|_| Misfit("no UUID"))?),
        (Stored::Interval, Raw::Bytes(bytes)) => {
            Meaning::Interval(interval(bytes).ok_or(Misfit("no interval"))?)
        }
        _ => return Err(Misfit("a value of another kind than the file says")),
    })
}

/// The text form of a value.
fn write(meaning: Meaning<'_>, zoned: bool, out: &mut String) -> Result<(), Misfit> {
    use std::fmt::Write;
    // Writing to a `String` cannot fail.
    let _ = match meaning {
        Meaning::Bool(value) => write!(out, "{value}"),
        Meaning::Whole(value) => write!(out, "{value}"),
        Meaning::Float32(value) => write!(out, "{value:?}"),
        Meaning::Float64(value) => write!(out, "{value:?}"),
        Meaning::Decimal(value, scale) => match u8::try_from(scale) {
            Ok(scale) => {
                decimal::write_256(value, scale, out);
                Ok(())
            }
            Err(_) => write!(out, "{value}e{}", -i64::from(scale)),
        },
        Meaning::Date(days) => {
            civil::write_date(days, out);
            Ok(())
        }
        Meaning::Time(micros) if (0..=DAY_MICROS).contains(&micros) => {
            civil::write_time(micros, out);
            Ok(())
        }
        Meaning::Time(_) => return Err(Misfit("no time of day")),
        Meaning::Timestamp(micros) => {
            civil::write_timestamp(micros, zoned, out);
            Ok(())
        }
        Meaning::Text(text) => {
            out.push_str(text);
            Ok(())
        }
        Meaning::Bytes(bytes) => {
            out.push_str(std::str::from_utf8(bytes).map_err(|_| Misfit("bytes that are no UTF-8"))?);
            Ok(())
        }
        Meaning::Uuid(uuid) => {
            text::write_uuid(&uuid, out);
            Ok(())
        }
        Meaning::Interval(interval) => {
            interval.write(out);
            Ok(())
        }
    };
    Ok(())
}

fn narrow<T: TryFrom<i128>>(value: i128) -> Result<T, Misfit> {
    T::try_from(value).map_err(|_| Misfit("no whole number that the type holds"))
}

fn in_precision(value: i256, logical: LogicalType, scale: i32) -> Result<i256, Misfit> {
    let LogicalType::Decimal { precision, scale: ours } = logical else { return Err(DIGITS) };
    let limit = i256::from_i128(10).checked_pow(precision.into());
    let fits = scale == i32::from(ours)
        && limit.is_some_and(|limit| value < limit && value.checked_neg().is_some_and(|value| value < limit));
    if fits { Ok(value) } else { Err(DIGITS) }
}

fn big_endian(bytes: &[u8]) -> Option<i256> {
    let fill = if bytes.first()? & 0x80 == 0 { 0 } else { 0xFF };
    let (beyond, kept) = bytes.split_at(bytes.len().saturating_sub(32));
    // More than 32 bytes are fine only if they add nothing.
    let sign_kept = kept.first()? & 0x80 == fill & 0x80;
    if !beyond.is_empty() && (!sign_kept || beyond.iter().any(|byte| *byte != fill)) {
        return None;
    }
    let mut all = [fill; 32];
    all[32 - kept.len()..].copy_from_slice(kept);
    Some(i256::from_be_bytes(all))
}

fn half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1F), f32::from(bits & 0x3FF));
    match exponent {
        0 => sign * fraction * 2_f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1.0 + fraction / 1_024.0) * 2_f32.powi(exponent - 15),
    }
}

fn date(days: i64) -> Result<i32, Misfit> {
    let days = i32::try_from(days).ok();
    let finite = |days: &i32| ![DATE_INFINITY, DATE_MINUS_INFINITY].contains(days);
    days.filter(finite).ok_or(Misfit("a date that is too far away"))
}

fn timestamp(micros: i64) -> Result<i64, Misfit> {
    if [TIMESTAMP_INFINITY, TIMESTAMP_MINUS_INFINITY].contains(&micros) {
        return Err(Misfit("a date that is too far away"));
    }
    Ok(micros)
}

fn micros(value: i64, ticks: Ticks) -> Result<i64, Misfit> {
    match ticks {
        Ticks::Millis => value.checked_mul(1_000).ok_or(Misfit("a date that is too far away")),
        Ticks::Micros => Ok(value),
        Ticks::Nanos if value % 1_000 == 0 => Ok(value / 1_000),
        Ticks::Nanos => Err(Misfit("a time with nanoseconds")),
    }
}

fn int96(value: &Int96) -> Result<i64, Misfit> {
    let [low, high, day] = *value.data() else { return Err(Misfit("no date with a time of day")) };
    let nanos = i64::from(high) << 32 | i64::from(low);
    let days = i64::from(day.cast_signed()) - JULIAN_1970;
    let start = days.checked_mul(DAY_MICROS);
    let at = start.and_then(|start| Some(start.checked_add(micros(nanos, Ticks::Nanos).ok()?)));
    match at {
        Some(Some(at)) => timestamp(at),
        Some(None) => Err(Misfit("a date that is too far away")),
        None => Err(Misfit("a time with nanoseconds, or a date that is too far away")),
    }
}

fn interval(bytes: &[u8]) -> Option<Interval> {
    let part = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    Some(Interval {
        months: i32::try_from(part(0)?).ok()?,
        days: i32::try_from(part(4)?).ok()?,
        micros: i64::from(part(8)?) * 1_000,
    })
}

fn zoned(logical: LogicalType) -> bool {
    matches!(logical, LogicalType::Timestamp { zoned: true, .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_floats() {
        for (bits, value) in [
            (0x0000, 0.0),
            (0x3C00, 1.0),
            (0xC000, -2.0),
            (0x7BFF, 65_504.0),
            (0x0001, 5.960_464_5e-8),
            (0x7C00, f32::INFINITY),
        ] {
            assert_eq!(half(bits), value, "{bits:x}");
        }
        assert!(half(0x7E00).is_nan());
    }

    #[test]
    fn numbers_of_many_bytes() {
        assert_eq!(big_endian(&[0xFF]), Some(i256::MINUS_ONE));
        assert_eq!(big_endian(&[0x00, 0x80]), Some(i256::from_i128(128)));
        assert_eq!(big_endian(&[0xFF; 40]), Some(i256::MINUS_ONE));
        assert_eq!(big_endian(&[0x01; 40]), None);
        assert_eq!(big_endian(&[]), None);
    }

    #[test]
    fn int96_counts_from_julian_days() {
        let mut value = Int96::new();
        value.set_data(1_500_000_000, 0, 2_440_589);
        assert_eq!(int96(&value), Ok(DAY_MICROS + 1_500_000));
        value.set_data(1, 0, 2_440_589);
        assert!(int96(&value).is_err());
    }
}
