//! From columns to SQLite's values: what is bound is what SQLite keeps, whatever the column's
//! affinity would make of it. A value that would be altered is refused.

use syncline_types::{
    LogicalType,
    civil::DAY_MICROS,
    decimal::Digits,
    special::{DECIMAL128_NAN, DECIMAL256_NAN},
    text::Values,
};

use crate::{decode::write_real, schema::TableColumn, types::Affinity};

/// A value as SQLite keeps it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(&'a str),
    Blob(&'a [u8]),
}

/// How values of one column are kept in one column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    /// As an integer.
    Integer,
    /// As a real.
    Real,
    /// By its text form, whatever it is.
    Text,
    /// By its text form, which every reader of dates must understand.
    Calendar,
    /// By its digits.
    Digits,
    /// By an integer or real that is exactly this number.
    Number,
    /// JSON, where SQLite makes numbers of texts that look like one.
    LooseJson,
    /// As it is.
    Blob,
}

/// Why a value cannot be kept.
pub(crate) type Refusal = &'static str;

const NAN: Refusal = "NaN, which SQLite does not keep";
const FAR_DATE: Refusal = "a date that is infinite, before the year 1 or after the year 9999";
const NOT_EXACT: Refusal = "a number that SQLite would round";
const LIKE_A_NUMBER: Refusal = "a JSON text that SQLite would turn into another number";

/// How values of `from` are kept in a column; `None` when they do not belong in it.
pub(crate) fn store(from: LogicalType, to: &TableColumn) -> Option<Store> {
    use LogicalType as L;
    let affinity = Affinity::of(&to.declared);
    if to.untyped && affinity == Affinity::Blob {
        return Some(by_itself(from));
    }
    let numbers = |logical: L| logical.is_integer() || matches!(logical, L::Decimal { .. } | L::Numeric);
    Some(match (from, to.column.logical) {
        (from, L::Int64) if from.is_integer() => Store::Integer,
        (L::Bool, L::Bool) => Store::Integer,
        (from, L::Float32 | L::Float64) if from.is_integer() || matches!(from, L::Float32 | L::Float64) => {
            Store::Real
        }
        (from, L::Decimal { .. } | L::Numeric) if numbers(from) => match affinity {
            Affinity::Text => Store::Digits,
            _ => Store::Number,
        },
        (L::Json { .. }, L::Json { .. }) if affinity != Affinity::Text => Store::LooseJson,
        (L::Date, L::Date) | (L::Timestamp { .. }, L::Timestamp { .. }) => Store::Calendar,
        (L::Json { .. }, L::Json { .. })
        | (L::Time { .. }, L::Time { .. })
        | (L::Interval, L::Interval)
        | (L::Uuid, L::Uuid)
        | (L::Bits { .. }, L::Bits { .. }) => Store::Text,
        (L::Binary, L::Binary) => Store::Blob,
        (L::Binary, _) => return None,
        (_, L::Text { .. }) if affinity == Affinity::Text => Store::Text,
        _ => return None,
    })
}

/// In a column without a type nothing is converted.
fn by_itself(from: LogicalType) -> Store {
    use LogicalType as L;
    match from {
        L::UInt64 | L::Decimal { .. } | L::Numeric => Store::Digits,
        from if from.is_integer() => Store::Integer,
        L::Bool => Store::Integer,
        L::Float32 | L::Float64 => Store::Real,
        L::Binary => Store::Blob,
        L::Date | L::Timestamp { .. } => Store::Calendar,
        _ => Store::Text,
    }
}

impl Store {
    /// The value of a row. Texts that are not there as such are written to `scratch`.
    pub(crate) fn cell<'a>(
        self,
        values: &Values<'a>,
        row: usize,
        scratch: &'a mut String,
    ) -> Result<Cell<'a>, Refusal> {
        if values.is_null(row) {
            return Ok(Cell::Null);
        }
        match self {
            Store::Integer => integer(values, row).map(Cell::Integer).ok_or(NOT_EXACT),
            Store::Real => match real(values, row) {
                Some(value) if value.is_nan() => Err(NAN),
                Some(value) => Ok(Cell::Real(value)),
                None => Err(NOT_EXACT),
            },
            Store::Blob => match values {
                Values::Binary(array) => Ok(Cell::Blob(array.value(row))),
                _ => Err("something that is not binary"),
            },
            Store::Calendar if !in_calendar(values, row) => Err(FAR_DATE),
            Store::Text | Store::Calendar => Ok(Cell::Text(text(values, row, scratch))),
            Store::Digits if is_nan(values, row) => Err(NAN),
            Store::Digits => Ok(Cell::Text(text(values, row, scratch))),
            Store::Number => match integer(values, row) {
                Some(value) => Ok(Cell::Integer(value)),
                None if is_nan(values, row) => Err(NAN),
                None => number(text(values, row, scratch)),
            },
            Store::LooseJson => loose_json(text(values, row, scratch)),
        }
    }
}

fn text<'a>(values: &Values<'a>, row: usize, scratch: &'a mut String) -> &'a str {
    if let Values::Text(array) = values {
        return array.value(row);
    }
    scratch.clear();
    values.write(row, scratch);
    scratch
}

fn integer(values: &Values<'_>, row: usize) -> Option<i64> {
    Some(match values {
        Values::Bool(array) => array.value(row).into(),
        Values::Int8(array) => array.value(row).into(),
        Values::Int16(array) => array.value(row).into(),
        Values::Int32(array) => array.value(row).into(),
        Values::Int64(array) => array.value(row),
        Values::UInt8(array) => array.value(row).into(),
        Values::UInt16(array) => array.value(row).into(),
        Values::UInt32(array) => array.value(row).into(),
        Values::UInt64(array) => return i64::try_from(array.value(row)).ok(),
        _ => return None,
    })
}

/// A float, or a whole number of at most 32 bits, which is one exactly.
fn real(values: &Values<'_>, row: usize) -> Option<f64> {
    match values {
        Values::Float32(array) => Some(array.value(row).into()),
        Values::Float64(array) => Some(array.value(row)),
        _ => integer(values, row).and_then(|value| {
            i32::try_from(value).ok().map(f64::from).or_else(|| u32::try_from(value).ok().map(f64::from))
        }),
    }
}

fn is_nan(values: &Values<'_>, row: usize) -> bool {
    match values {
        Values::Decimal128(array, _) => array.value(row) == DECIMAL128_NAN,
        Values::Decimal256(array, _) => array.value(row) == DECIMAL256_NAN,
        _ => false,
    }
}

/// The first day of the year 1 and the last of the year 9999.
const DAYS: std::ops::RangeInclusive<i64> = -719_162..=2_932_896;

fn in_calendar(values: &Values<'_>, row: usize) -> bool {
    match values {
        Values::Date(array) => DAYS.contains(&array.value(row).into()),
        Values::Timestamp(array, _) => DAYS.contains(&array.value(row).div_euclid(DAY_MICROS)),
        _ => true,
    }
}

/// The integer or real that is exactly the number of a text. SQLite is never left to find it.
fn number(text: &str) -> Result<Cell<'static>, Refusal> {
    let digits = Digits::parse(text).ok_or("something that is not a finite number")?.normalized();
    let mut plain = String::new();
    // Behind this many zeros no integer comes any more.
    if (-19..=0).contains(&digits.scale) {
        digits.write(&mut plain);
        if let Ok(value) = plain.parse::<i64>() {
            return Ok(Cell::Integer(value));
        }
    }
    let value: f64 = text.parse().map_err(|_| NOT_EXACT)?;
    if !value.is_finite() {
        return Err(NOT_EXACT);
    }
    let mut shortest = String::new();
    write_real(value, &mut shortest);
    let same = Digits::parse(&shortest).map(Digits::normalized) == Some(digits);
    if same { Ok(Cell::Real(value)) } else { Err(NOT_EXACT) }
}

/// A JSON text for a column in which SQLite makes a number of whatever looks like one: only a number
/// that comes back as the same text is kept as such.
fn loose_json(text: &str) -> Result<Cell<'_>, Refusal> {
    let bare = text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}');
    if Digits::parse(bare).is_none() && bare.parse::<f64>().is_err() {
        return Ok(Cell::Text(text));
    }
    let mut back = String::new();
    let cell = match text.parse::<i64>() {
        Ok(value) => {
            back.push_str(&value.to_string());
            Cell::Integer(value)
        }
        Err(_) => {
            let value: f64 = text.parse().map_err(|_| LIKE_A_NUMBER)?;
            // A real without a fraction becomes an integer where it can.
            let whole = value.fract() == 0.0 && value.abs() < 9.3e18;
            if !value.is_finite() || whole {
                return Err(LIKE_A_NUMBER);
            }
            write_real(value, &mut back);
            Cell::Real(value)
        }
    };
    if back == text { Ok(cell) } else { Err(LIKE_A_NUMBER) }
}

#[cfg(test)]
mod tests;
