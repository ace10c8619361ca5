//! From SQLite's values to columns. A value has its own class, whatever its column is declared as;
//! one that is not of its column's type is refused and never converted, unless nothing is lost.

use std::fmt::Write;

use arrow_buffer::i256;
use rusqlite::types::ValueRef;
use syncline_types::{
    Error, LogicalType,
    build::{Bytes, ColumnBuilder},
    civil, codes, decimal,
    decimal::Digits,
    interval::Interval,
    special, text,
};

use crate::{
    schema::TableColumn,
    types::{Affinity, is_date_like},
};

/// The largest whole number up to which every one is a float.
const FLOAT_WHOLE_MAX: u64 = 1 << 53;

/// How one column is read.
#[derive(Clone, Debug)]
pub(crate) struct Decoder {
    logical: LogicalType,
    required: bool,
    declared: String,
    /// `table.column`, for messages.
    place: String,
    /// Whether SQLite has made numbers of the texts that look like one.
    numbers_for_texts: bool,
    /// Whether it is a date that is read as text.
    date_as_text: bool,
    /// Whether the infinities and NaN that are kept as text belong here.
    keeps_text: bool,
}

/// Why a value is not one of its column.
#[derive(Debug, PartialEq, Eq)]
enum Misfit {
    /// It is of this class.
    Class(&'static str),
    /// It is of the right class, and not of the right form.
    Form(&'static str),
}

type Fits = Result<(), Misfit>;

impl Decoder {
    pub(crate) fn new(table: &str, column: &TableColumn) -> Self {
        let logical = column.column.logical;
        let affinity = Affinity::of(&column.declared);
        let declared_logical = crate::types::logical(&column.declared);
        Decoder {
            logical,
            required: !column.column.nullable,
            declared: column.declared.clone(),
            place: format!("{table}.{}", column.column.name),
            numbers_for_texts: !matches!(affinity, Affinity::Text | Affinity::Blob),
            date_as_text: declared_logical.is_some_and(is_date_like) && !is_date_like(logical),
            keeps_text: affinity == Affinity::Text,
        }
    }

    /// Appends a value. When it does not fit, something may have been appended to the column, and
    /// the error says why without saying what the value is.
    pub(crate) fn push(
        &self,
        value: ValueRef<'_>,
        builder: &mut ColumnBuilder,
        scratch: &mut String,
    ) -> Result<(), Error> {
        self.fit(value, builder, scratch).map_err(|misfit| self.error(&misfit))
    }

    fn fit(&self, value: ValueRef<'_>, builder: &mut ColumnBuilder, scratch: &mut String) -> Fits {
        if value == ValueRef::Null {
            if self.required {
                return Err(Misfit::Class("NULL"));
            }
            builder.push_null();
            return Ok(());
        }
        match builder {
            ColumnBuilder::Bool(column) => column.push(match value {
                ValueRef::Integer(0) => false,
                ValueRef::Integer(1) => true,
                ValueRef::Integer(_) => return Err(Misfit::Form("an integer other than 0 and 1")),
                other => return Err(class(other)),
            }),
            ColumnBuilder::Int64(column) => match value {
                ValueRef::Integer(value) => column.push(value),
                other => return Err(class(other)),
            },
            ColumnBuilder::Float64(column) => column.push(float(value)?),
            ColumnBuilder::Float32(column) => {
                let wide = float(value)?;
                let narrow = wide as f32;
                if f64::from(narrow).to_bits() != wide.to_bits() {
                    return Err(Misfit::Form("a number that 32 bits do not hold"));
                }
                column.push(narrow);
            }
            ColumnBuilder::Decimal128(column) => {
                let value = match self.quick_decimal(value) {
                    Some(value) => value,
                    None => self.decimal(number(value, scratch)?, decimal::parse_128)?,
                };
                column.push(value);
            }
            ColumnBuilder::Decimal256(column) => {
                let text = number(value, scratch)?;
                column.push(self.decimal::<i256>(text, decimal::parse_256)?);
            }
            ColumnBuilder::Binary(column) => match value {
                ValueRef::Blob(bytes) => push_bytes(column, bytes),
                other => return Err(class(other)),
            },
            ColumnBuilder::Text(column) => push_bytes(column, self.text(value, scratch)?.as_bytes()),
            ColumnBuilder::Date(column) => {
                let days =
                    civil::parse_date(text_of(value)?).ok_or(Misfit::Form("a text that is no date"))?;
                let days = i32::try_from(days).ok();
                let finite =
                    |days: &i32| ![special::DATE_INFINITY, special::DATE_MINUS_INFINITY].contains(days);
                column.push(days.filter(finite).ok_or(Misfit::Form("a date that is too far away"))?);
            }
            ColumnBuilder::Time(column) => {
                let micros = civil::parse_time(text_of(value)?)
                    .ok_or(Misfit::Form("a text that is no time of day"))?;
                column.push(self.in_precision(micros)?);
            }
            ColumnBuilder::Timestamp(column) => column.push(self.timestamp(value)?),
            ColumnBuilder::Sixteen(column) => {
                let text = text_of(value)?;
                column.push(match self.logical {
                    LogicalType::Interval => {
                        Interval::parse(text).ok_or(Misfit::Form("a text that is no interval"))?.to_bytes()
                    }
                    _ => text::parse_uuid(text).ok_or(Misfit::Form("a text that is no UUID"))?,
                });
            }
            // No declared type means one of the other widths.
            _ => return Err(class(value)),
        }
        Ok(())
    }

    fn decimal<T>(&self, text: &str, parse: impl Fn(&str, u8, u8) -> Option<T>) -> Result<T, Misfit> {
        let LogicalType::Decimal { precision, scale } = self.logical else {
            return Err(Misfit::Form("a number"));
        };
        parse(text, precision, scale).ok_or_else(|| match Digits::parse(text) {
            Some(_) => Misfit::Form("a number that does not fit exactly"),
            None => Misfit::Form("a text that is no number"),
        })
    }

    /// A decimal written plainly, as most are; `None` leaves it to those who look closer.
    fn quick_decimal(&self, value: ValueRef<'_>) -> Option<i128> {
        let LogicalType::Decimal { precision, scale } = self.logical else { return None };
        let (value, fraction) = match value {
            ValueRef::Integer(value) => (i128::from(value), 0),
            ValueRef::Text(text) => plain_decimal(text)?,
            _ => return None,
        };
        let shift = u32::from(scale).checked_sub(fraction)?;
        let value = value.checked_mul(10_i128.checked_pow(shift)?)?;
        let limit = 10_u128.checked_pow(precision.into())?;
        (value.unsigned_abs() < limit).then_some(value)
    }

    /// What is carried as text: texts themselves, and what has a text form that loses nothing.
    fn text<'a>(&self, value: ValueRef<'a>, scratch: &'a mut String) -> Result<&'a str, Misfit> {
        use LogicalType as L;
        match (self.logical, value) {
            (L::Numeric, ValueRef::Text(_)) => {
                let text = text_of(value)?;
                let named = self.keeps_text && matches!(text, "NaN" | "Infinity" | "-Infinity");
                match named || Digits::parse(text).is_some() {
                    true => Ok(text),
                    false => Err(Misfit::Form("a text that is no number")),
                }
            }
            (L::Numeric, _) => number(value, scratch),
            // SQLite itself has made these numbers of JSON and date texts.
            (L::Json { .. }, ValueRef::Integer(_) | ValueRef::Real(_)) if self.numbers_for_texts => {
                number(value, scratch)
            }
            (L::Text { .. }, ValueRef::Integer(_) | ValueRef::Real(_))
                if self.date_as_text && self.numbers_for_texts =>
            {
                number(value, scratch)
            }
            (L::Bits { length, varying }, ValueRef::Text(_)) => {
                let text = text_of(value)?;
                let count = u32::try_from(text.len()).unwrap_or(u32::MAX);
                let fits =
                    length.is_none_or(|length| if varying { count <= length } else { count == length });
                if !fits || !text.bytes().all(|digit| matches!(digit, b'0' | b'1')) {
                    return Err(Misfit::Form("a text that is no string of bits of its length"));
                }
                Ok(text)
            }
            _ => text_of(value),
        }
    }

    fn timestamp(&self, value: ValueRef<'_>) -> Result<i64, Misfit> {
        let text = text_of(value)?;
        let (micros, has_zone) =
            civil::parse_timestamp(text).ok_or(Misfit::Form("a text that is no date with a time"))?;
        let zoned = matches!(self.logical, LogicalType::Timestamp { zoned: true, .. });
        if has_zone && !zoned {
            return Err(Misfit::Form(WITH_ZONE));
        }
        if [special::TIMESTAMP_INFINITY, special::TIMESTAMP_MINUS_INFINITY].contains(&micros) {
            return Err(Misfit::Form("a date that is too far away"));
        }
        self.in_precision(micros)
    }

    /// SQLite does not enforce the digits of a second's fraction, and a target would round them.
    fn in_precision(&self, micros: i64) -> Result<i64, Misfit> {
        let (LogicalType::Time { precision } | LogicalType::Timestamp { precision, .. }) = self.logical
        else {
            return Ok(micros);
        };
        let unit = 10_i64.pow(6_u32.saturating_sub(precision.into()));
        if micros % unit == 0 {
            Ok(micros)
        } else {
            Err(Misfit::Form("more digits of a second than declared"))
        }
    }

    fn error(&self, misfit: &Misfit) -> Error {
        let what = if self.declared.is_empty() { "a column without a type" } else { &self.declared };
        let (found, in_form) = match misfit {
            Misfit::Class(class) => (*class, false),
            Misfit::Form(form) => (*form, true),
        };
        let hint = if in_form && found == WITH_ZONE {
            "Declare the column TIMESTAMPTZ if its values are points in time, or write dates=text in the URL"
        } else if is_date_like(self.logical) {
            "Correct the row, or write dates=text in the URL to have such columns as text"
        } else {
            "Correct the row, or leave the column out"
        };
        Error::new(&codes::VALUE_UNREADABLE, "read column", format!("`{}`", self.place))
            .because(format!("it is {what}, and holds {found}"))
            .hint(hint)
    }
}

/// From here on, room is made for exactly the bytes that come, and not for twice as many.
const LARGE_BYTES: usize = 1 << 20;

fn push_bytes(column: &mut Bytes, bytes: &[u8]) {
    if bytes.len() > LARGE_BYTES {
        column.buffer().reserve_exact(bytes.len());
    }
    column.push(bytes);
}

/// The digits of `[-]digits[.digits]` as a number, and how many stand behind the point.
fn plain_decimal(text: &[u8]) -> Option<(i128, u32)> {
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (mut value, mut count, mut fraction) = (0_i128, 0, None);
    for byte in digits {
        match (byte, fraction) {
            (b'0'..=b'9', _) => {
                value = value * 10 + i128::from(byte - b'0');
                count += 1;
                fraction = fraction.map(|digits| digits + 1);
            }
            (b'.', None) => fraction = Some(0),
            _ => return None,
        }
        // One digit more could be too many for 128 bits.
        if count > 37 {
            return None;
        }
    }
    (count > 0).then_some((if negative { -value } else { value }, fraction.unwrap_or(0)))
}

const WITH_ZONE: &str = "a time with a zone";

fn class(value: ValueRef<'_>) -> Misfit {
    Misfit::Class(match value {
        ValueRef::Null => "NULL",
        ValueRef::Integer(_) => "an integer",
        ValueRef::Real(_) => "a real",
        ValueRef::Text(_) => "text",
        ValueRef::Blob(_) => "a blob",
    })
}

fn text_of(value: ValueRef<'_>) -> Result<&str, Misfit> {
    match value {
        ValueRef::Text(bytes) => {
            std::str::from_utf8(bytes).map_err(|_| Misfit::Form("a text that is not UTF-8"))
        }
        other => Err(class(other)),
    }
}

/// A float, or a whole number that is one.
fn float(value: ValueRef<'_>) -> Result<f64, Misfit> {
    match value {
        ValueRef::Real(value) => Ok(value),
        ValueRef::Integer(value) if value.unsigned_abs() <= FLOAT_WHOLE_MAX => Ok(value as f64),
        ValueRef::Integer(_) => Err(Misfit::Form("an integer that no float is equal to")),
        other => Err(class(other)),
    }
}

/// The digits of a number, or a text that holds some.
fn number<'a>(value: ValueRef<'a>, scratch: &'a mut String) -> Result<&'a str, Misfit> {
    scratch.clear();
    match value {
        ValueRef::Integer(value) => {
            let _ = write!(scratch, "{value}");
            Ok(scratch)
        }
        ValueRef::Real(value) if value.is_finite() => {
            write_real(value, scratch);
            Ok(scratch)
        }
        ValueRef::Real(_) => Err(Misfit::Form("an infinite real")),
        ValueRef::Text(_) => text_of(value),
        other => Err(class(other)),
    }
}

/// Appends a finite real in its shortest form, as [`syncline_types::text`] writes floats.
pub(crate) fn write_real(value: f64, out: &mut String) {
    let _ = match value.abs() {
        magnitude if magnitude != 0.0 && !(1e-5..1e17).contains(&magnitude) => write!(out, "{value:e}"),
        _ => write!(out, "{value}"),
    };
}

/// Bytes that a value takes on its way.
pub(crate) fn value_bytes(value: ValueRef<'_>) -> u64 {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len() as u64 + 4,
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => 8,
    }
}

#[cfg(test)]
mod tests;
