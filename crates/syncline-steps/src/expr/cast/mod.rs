//! Conversions between types, as PostgreSQL's casts do them.
//!
//! Every type turns into text by the text form of [`syncline_types::text`], and text turns into
//! every type that has one. Dates and times are read in ISO 8601 only. Time zones are UTC.

mod number;
mod text;
mod time;

use syncline_types::{Error, LogicalType, Result, codes};

use super::{
    exact::relabelled,
    kind::Kind,
    operand::{Computed, Operand},
};

pub(crate) use text::unpadded;
pub(crate) use time::{DATE_END, DATE_START, check_timestamp, comparable_midnight, finite, interval};

/// Whether `cast(... as ...)` can be said of these.
pub(crate) fn castable(from: Kind, to: Kind) -> bool {
    use Kind as K;
    let to_text_and_back = match (from, to) {
        (_, K::Text) => true,
        (K::Text, to) => to != K::Opaque,
        _ => false,
    };
    to_text_and_back
        || from == to
        || (from.is_number() && to.is_number())
        || matches!(
            (from, to),
            (K::Bool, K::Int2 | K::Int4 | K::Int8)
                | (K::Int2 | K::Int4 | K::Int8, K::Bool)
                | (K::Date, K::Timestamp | K::Timestamptz)
                | (K::Timestamp, K::Date | K::Time | K::Timestamptz)
                | (K::Timestamptz, K::Date | K::Time | K::Timestamp)
                | (K::Time, K::Interval)
                | (K::Interval, K::Time)
        )
}

/// Converts a column. The conversion must be one that [`castable`] allows.
///
/// # Errors
/// Only for broken invariants.
pub(crate) fn cast(value: &Operand, from: LogicalType, to: LogicalType, rows: usize) -> Result<Computed> {
    if from == to {
        return Ok(relabelled(&value.clone().expanded(rows)?));
    }
    match Kind::of(to) {
        Kind::Bool => text::to_boolean(value, from, rows),
        Kind::Int2 | Kind::Int4 | Kind::Int8 => number::to_integer(value, from, to, rows),
        Kind::Number if to == LogicalType::UInt64 => number::to_integer(value, from, to, rows),
        Kind::Number if to == LogicalType::Numeric => number::to_numeric(value, from, rows),
        Kind::Number => number::to_decimal(value, from, to, rows),
        Kind::Float4 => number::to_float32(value, from, rows),
        Kind::Float8 => number::to_float64(value, from, rows),
        Kind::Text => text::to_text(value, from, to, rows),
        Kind::Binary => text::to_binary(value, rows),
        Kind::Bits => text::to_bits(value, from, rows),
        Kind::Json => text::to_json(value, from, rows),
        Kind::Uuid => text::to_uuid(value, rows),
        Kind::Date => time::to_date(value, from, rows),
        Kind::Time => time::to_time(value, from, to, rows),
        Kind::Timestamp | Kind::Timestamptz => time::to_timestamp(value, from, to, rows),
        Kind::Interval => time::to_interval(value, from, rows),
        Kind::Opaque => Err(impossible(from, to)),
    }
}

/// A conversion that the binder should not have let pass.
fn impossible(from: LogicalType, to: LogicalType) -> Error {
    Error::new(&codes::BROKEN_INVARIANT, "evaluate an expression", "")
        .because(format!("nothing turns {from} into {to}"))
}

/// Text without the blanks that PostgreSQL ignores around a value.
fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c'])
}
