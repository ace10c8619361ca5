//! Type names: PostgreSQL's.

use sqlparser::{
    ast::{CharacterLength, DataType, ExactNumberInfo, TimezoneInfo},
    tokenizer::Location,
};
use syncline_types::LogicalType;

use crate::expr::{parse, problem::Problem};

/// The names that an error offers.
const NAMES: &[&str] = &[
    "boolean",
    "smallint",
    "int2",
    "integer",
    "int",
    "int4",
    "bigint",
    "int8",
    "real",
    "float4",
    "double precision",
    "float8",
    "numeric",
    "decimal",
    "text",
    "varchar",
    "char",
    "bytea",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "interval",
    "json",
    "jsonb",
    "uuid",
];

/// Characters that `varchar(n)` and `char(n)` may have, PostgreSQL's limit.
const LENGTH_MAX: u64 = 10_485_760;
/// Digits that a decimal carries.
const PRECISION_MAX: u64 = 76;

/// The type of this name.
pub(crate) fn named(text: &str) -> Result<LogicalType, Problem> {
    resolve(&parse::data_type(text)?, None)
}

/// The type that a parsed name means.
pub(super) fn resolve(name: &DataType, at: Option<Location>) -> Result<LogicalType, Problem> {
    use LogicalType as L;
    Ok(match name {
        DataType::Bool | DataType::Boolean => L::Bool,
        DataType::SmallInt(None) | DataType::Int2(None) => L::Int16,
        DataType::Int(None) | DataType::Integer(None) | DataType::Int4(None) => L::Int32,
        DataType::BigInt(None) | DataType::Int8(None) => L::Int64,
        DataType::Real | DataType::Float4 => L::Float32,
        DataType::Double(ExactNumberInfo::None) | DataType::DoublePrecision | DataType::Float8 => L::Float64,
        DataType::Float(ExactNumberInfo::None) => L::Float64,
        DataType::Float(ExactNumberInfo::Precision(1..=24)) => L::Float32,
        DataType::Float(ExactNumberInfo::Precision(25..=53)) => L::Float64,
        DataType::Numeric(size) | DataType::Decimal(size) | DataType::Dec(size) => decimal(*size, at)?,
        DataType::Text => L::TEXT,
        DataType::Varchar(length) | DataType::CharacterVarying(length) | DataType::CharVarying(length) => {
            text(*length, false, at)?
        }
        DataType::Char(length) | DataType::Character(length) => text(*length, true, at)?,
        DataType::Bytea => L::Binary,
        DataType::Date => L::Date,
        DataType::Time(digits, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            L::Time { precision: fraction(*digits, at)? }
        }
        DataType::Timestamp(digits, zone) => {
            let zoned = matches!(zone, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz);
            L::Timestamp { zoned, precision: fraction(*digits, at)? }
        }
        DataType::Interval { fields: None, precision: None } => L::Interval,
        DataType::JSON => L::JSON,
        DataType::JSONB => L::Json { normalized: true },
        DataType::Uuid => L::Uuid,
        other => {
            let name = other.to_string().to_lowercase();
            return Err(Problem::new(at, format!("there is no type `{name}`"))
                .did_you_mean(&name, NAMES.iter().copied()));
        }
    })
}

fn decimal(size: ExactNumberInfo, at: Option<Location>) -> Result<LogicalType, Problem> {
    let (precision, scale) = match size {
        ExactNumberInfo::None => return Ok(LogicalType::Numeric),
        ExactNumberInfo::Precision(precision) => (precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (precision, scale),
    };
    let fits = (1..=PRECISION_MAX).contains(&precision);
    match (u8::try_from(precision), u8::try_from(scale)) {
        (Ok(precision), Ok(scale)) if fits && scale <= precision => {
            Ok(LogicalType::Decimal { precision, scale })
        }
        _ => Err(Problem::new(
            at,
            format!("numeric has 1 to {PRECISION_MAX} digits, and no more after the point than in all"),
        )),
    }
}

fn text(length: Option<CharacterLength>, padded: bool, at: Option<Location>) -> Result<LogicalType, Problem> {
    let length = match length {
        // `char` alone is `char(1)`.
        None => return Ok(LogicalType::Text { length: padded.then_some(1), padded }),
        Some(CharacterLength::IntegerLength { length: length @ 1..=LENGTH_MAX, unit: None }) => length,
        Some(_) => {
            return Err(Problem::new(at, format!("a length is a number from 1 to {LENGTH_MAX}")));
        }
    };
    Ok(LogicalType::Text { length: u32::try_from(length).ok(), padded })
}

/// Digits of a second's fraction.
fn fraction(digits: Option<u64>, at: Option<Location>) -> Result<u8, Problem> {
    match digits {
        None => Ok(6),
        Some(digits @ 0..=6) => Ok(u8::try_from(digits).unwrap_or(6)),
        Some(_) => Err(Problem::new(at, "a second has at most 6 digits after the point")),
    }
}
