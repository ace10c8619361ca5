//! Conversions into numbers.

use arrow_array::{
    ArrowPrimitiveType, BooleanArray, Float32Array, Float64Array, StringArray,
    types::{
        Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
        UInt16Type, UInt32Type, UInt64Type,
    },
};
use syncline_types::{LogicalType, Result, decimal::Digits, text::Values};

use super::{impossible, trimmed};
use crate::expr::{
    exact,
    fault::Fault,
    kind::{Kind, digits},
    number::Number,
    operand::{Computed, Operand, primitives, texts},
};

/// Digits before and after the point that PostgreSQL's numbers may have.
const NUMERIC_WHOLE_MAX: i64 = 131_072;
const NUMERIC_SCALE_MAX: i32 = 16_383;

const BAD_INTEGER: Fault = Fault("a text is not a valid integer");
const BAD_NUMBER: Fault = Fault("a text is not a valid number");

/// Any integer type. Floats round halves to even, exact numbers away from zero.
pub(super) fn to_integer(
    value: &Operand,
    from: LogicalType,
    to: LogicalType,
    rows: usize,
) -> Result<Computed> {
    use LogicalType as L;
    match to {
        L::Int8 => integer::<Int8Type>(value, from, to, rows),
        L::Int16 => integer::<Int16Type>(value, from, to, rows),
        L::Int32 => integer::<Int32Type>(value, from, to, rows),
        L::Int64 => integer::<Int64Type>(value, from, to, rows),
        L::UInt8 => integer::<UInt8Type>(value, from, to, rows),
        L::UInt16 => integer::<UInt16Type>(value, from, to, rows),
        L::UInt32 => integer::<UInt32Type>(value, from, to, rows),
        L::UInt64 => integer::<UInt64Type>(value, from, to, rows),
        to => Err(impossible(from, to)),
    }
}

fn integer<T: ArrowPrimitiveType>(
    value: &Operand,
    from: LogicalType,
    to: LogicalType,
    rows: usize,
) -> Result<Computed>
where
    T::Native: TryFrom<i128>,
{
    let read = whole_values(value, from)?;
    Ok(primitives::<T>(rows, to, |row| {
        let fit = |value| T::Native::try_from(value).map_err(|_| Fault::INTEGER_RANGE);
        read(row)?.map(fit).transpose()
    }))
}

/// Any value that turns into an integer, as one without limits.
fn whole_values(value: &Operand, from: LogicalType) -> Result<exact::Read<'_, i128>> {
    if from.is_integer() {
        return exact::wholes(value, from);
    }
    Ok(match Kind::of(from) {
        Kind::Number => {
            let read = exact::numbers(value, from)?;
            Box::new(move |row| {
                read(row)?.map(|number| number.to_whole().ok_or(Fault::INTEGER_RANGE)).transpose()
            })
        }
        Kind::Float4 => {
            let view = value.view::<Float32Array>()?;
            Box::new(move |row| view.get(row).map(|value| float_to_whole(value.into())).transpose())
        }
        Kind::Float8 => {
            let view = value.view::<Float64Array>()?;
            Box::new(move |row| view.get(row).map(float_to_whole).transpose())
        }
        Kind::Bool => {
            let view = value.view::<BooleanArray>()?;
            Box::new(move |row| Ok(view.get(row).map(i128::from)))
        }
        Kind::Text => {
            let view = value.view::<StringArray>()?;
            Box::new(move |row| view.get(row).map(parse_whole).transpose())
        }
        _ => return Err(impossible(from, LogicalType::Int64)),
    })
}

fn float_to_whole(value: f64) -> Result<i128, Fault> {
    let rounded = value.round_ties_even();
    // Everything within is exact in 128 bits; NaN is not within.
    if (-1e30..=1e30).contains(&rounded) { Ok(rounded as i128) } else { Err(Fault::INTEGER_RANGE) }
}

fn parse_whole(text: &str) -> Result<i128, Fault> {
    use std::num::IntErrorKind;
    trimmed(text).parse().map_err(|error: std::num::ParseIntError| match error.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => Fault::INTEGER_RANGE,
        _ => BAD_INTEGER,
    })
}

/// A decimal of known size, rounded half away from zero.
pub(super) fn to_decimal(
    value: &Operand,
    from: LogicalType,
    to: LogicalType,
    rows: usize,
) -> Result<Computed> {
    if let Some(fast) = rescaled(value, from, to, rows)? {
        return Ok(fast);
    }
    let read = number_values(value, from)?;
    exact::column(rows, to, read)
}

/// The usual case, where 128 bits are enough on both sides and no digit goes.
fn rescaled(value: &Operand, from: LogicalType, to: LogicalType, rows: usize) -> Result<Option<Computed>> {
    let LogicalType::Decimal { precision: precision @ ..=38, scale } = to else { return Ok(None) };
    let Some((from_precision, from_scale)) = digits(from) else { return Ok(None) };
    let (Some(shift), true) = (scale.checked_sub(from_scale), from_precision <= 38) else {
        return Ok(None);
    };
    let Some(read) = exact::units(value, from)? else { return Ok(None) };
    let unit = 10_i128.pow(u32::from(shift));
    let limit = 10_i128.pow(u32::from(precision));
    Ok(Some(primitives::<Decimal128Type>(rows, to, |row| {
        let fit = |units: i128| {
            let scaled = units.checked_mul(unit).filter(|scaled| -limit < *scaled && *scaled < limit);
            scaled.ok_or(Fault::NUMBER_SIZE)
        };
        read(row)?.map(fit).transpose()
    })))
}

/// An exact number of any size, as text.
pub(super) fn to_numeric(value: &Operand, from: LogicalType, rows: usize) -> Result<Computed> {
    if Kind::of(from) == Kind::Text {
        let view = value.view::<StringArray>()?;
        return texts(rows, |row, out| {
            view.get(row).map(|text| write_numeric(trimmed(text), out)).transpose()
        });
    }
    let read = number_values(value, from)?;
    exact::column(rows, LogicalType::Numeric, read)
}

/// Any value that turns into an exact number.
fn number_values(value: &Operand, from: LogicalType) -> Result<exact::Read<'_, Number>> {
    Ok(match Kind::of(from) {
        Kind::Int2 | Kind::Int4 | Kind::Int8 | Kind::Number => exact::numbers(value, from)?,
        Kind::Float4 => {
            let view = value.view::<Float32Array>()?;
            Box::new(move |row| view.get(row).map(|value| float_to_number(value.into(), 6)).transpose())
        }
        Kind::Float8 => {
            let view = value.view::<Float64Array>()?;
            Box::new(move |row| view.get(row).map(|value| float_to_number(value, 15)).transpose())
        }
        Kind::Text => {
            let view = value.view::<StringArray>()?;
            Box::new(move |row| view.get(row).map(|text| Number::parse(trimmed(text))).transpose())
        }
        _ => return Err(impossible(from, LogicalType::Numeric)),
    })
}

/// A float as the exact number that its first digits say, as PostgreSQL does it.
fn float_to_number(value: f64, digits: usize) -> Result<Number, Fault> {
    if !value.is_finite() {
        return Err(Fault::NOT_A_NUMBER);
    }
    let text = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let mantissa = match mantissa.contains('.') {
        true => mantissa.trim_end_matches('0').trim_end_matches('.'),
        false => mantissa,
    };
    Number::parse(&format!("{mantissa}e{exponent}"))
}

/// Appends a number of any size in plain digits.
fn write_numeric(text: &str, out: &mut String) -> Result<(), Fault> {
    let number =
        Digits::parse(text).ok_or(match text.trim_start_matches(['+', '-']).to_ascii_lowercase() {
            name if matches!(name.as_str(), "nan" | "inf" | "infinity") => Fault::NOT_A_NUMBER,
            _ => BAD_NUMBER,
        })?;
    let whole = number.digits.len() as i64 - i64::from(number.scale);
    if whole > NUMERIC_WHOLE_MAX || number.scale > NUMERIC_SCALE_MAX {
        return Err(Fault::NUMBER_RANGE);
    }
    let is_zero = number.digits.is_empty();
    Digits { negative: number.negative && !is_zero, ..number }.write(out);
    Ok(())
}

/// Eight bytes of floating point.
pub(super) fn to_float64(value: &Operand, from: LogicalType, rows: usize) -> Result<Computed> {
    let to = LogicalType::Float64;
    Ok(match Kind::of(from) {
        Kind::Float4 => {
            let view = value.view::<Float32Array>()?;
            primitives::<Float64Type>(rows, to, |row| Ok(view.get(row).map(f64::from)))
        }
        _ if from.is_integer() => {
            let read = exact::wholes(value, from)?;
            primitives::<Float64Type>(rows, to, |row| Ok(read(row)?.map(|value| value as f64)))
        }
        _ => from_text::<Float64Type>(value, from, to, rows)?,
    })
}

/// Four bytes of floating point.
pub(super) fn to_float32(value: &Operand, from: LogicalType, rows: usize) -> Result<Computed> {
    let to = LogicalType::Float32;
    Ok(match Kind::of(from) {
        Kind::Float8 => {
            let view = value.view::<Float64Array>()?;
            primitives::<Float32Type>(rows, to, |row| view.get(row).map(narrowed).transpose())
        }
        _ if from.is_integer() => {
            let read = exact::wholes(value, from)?;
            primitives::<Float32Type>(rows, to, |row| Ok(read(row)?.map(|value| value as f32)))
        }
        _ => from_text::<Float32Type>(value, from, to, rows)?,
    })
}

fn narrowed(value: f64) -> Result<f32, Fault> {
    let narrow = value as f32;
    if narrow.is_infinite() && value.is_finite() {
        Err(Fault::FLOAT_OVERFLOW)
    } else if narrow == 0.0 && value != 0.0 {
        Err(Fault::FLOAT_UNDERFLOW)
    } else {
        Ok(narrow)
    }
}

/// Exact numbers and texts: the float nearest to what their text says.
fn from_text<T: ArrowPrimitiveType>(
    value: &Operand,
    from: LogicalType,
    to: LogicalType,
    rows: usize,
) -> Result<Computed>
where
    T::Native: std::str::FromStr + Into<f64>,
{
    let values = Values::new(value.array(), from)?;
    let mut text = String::new();
    Ok(primitives::<T>(rows, to, |row| {
        let at = value.index(row);
        if values.is_null(at) {
            return Ok(None);
        }
        text.clear();
        values.write(at, &mut text);
        parse_float(trimmed(&text)).map(Some)
    }))
}

fn parse_float<F: std::str::FromStr + Into<f64> + Copy>(text: &str) -> Result<F, Fault> {
    let value: F = text.parse().map_err(|_| BAD_NUMBER)?;
    let wide: f64 = value.into();
    let has_digits = text.bytes().any(|byte| byte.is_ascii_digit());
    if wide.is_infinite() && has_digits {
        return Err(Fault::FLOAT_OVERFLOW);
    }
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    if wide == 0.0 && mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9')) {
        return Err(Fault::FLOAT_UNDERFLOW);
    }
    Ok(value)
}
