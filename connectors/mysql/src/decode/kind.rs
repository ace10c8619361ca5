//! In which form the server sends a column's values.

use mysql_common::constants::{ColumnFlags, ColumnType as T};
use syncline_types::{Column, LogicalType};

use crate::{
    client::ColumnDefinition,
    types::{base, is_geometry},
};

/// What a field's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A number in the width of its builder.
    Number,
    /// 0 or 1 in one byte.
    Bool,
    /// A bit in a string of bytes.
    Bit,
    /// So many bits in a string of bytes.
    Bits(u32),
    /// Digits, with so many behind the point.
    Decimal { precision: u8, scale: u8 },
    /// A day, with or without a time; what is no day becomes NULL or not.
    Date { zero_null: bool },
    /// A day and a time.
    Timestamp { zero_null: bool },
    /// A date that is wanted as a text, with so many digits of the second's fraction; `None`: without
    /// a time.
    DateText(Option<u8>),
    /// A time that may be negative and longer than a day.
    Time,
    /// Characters.
    Text,
    /// Bytes.
    Binary,
    /// A reference system's number and WKB.
    Geometry,
    /// A UUID as text.
    Uuid,
}

/// The number of the character set that bytes have.
const BINARY: u16 = 63;

impl Kind {
    pub(crate) fn of(column: &Column, zero_dates_null: bool) -> Self {
        use LogicalType as L;
        let native = column.native.as_deref().unwrap_or_default();
        let zero_null = zero_dates_null && column.nullable;
        match column.logical {
            L::Bool if base(native) == "bit" => Kind::Bit,
            L::Bool => Kind::Bool,
            L::Decimal { precision, scale } => Kind::Decimal { precision, scale },
            L::Bits { length, .. } => Kind::Bits(length.unwrap_or(64)),
            L::Date => Kind::Date { zero_null },
            L::Timestamp { .. } => Kind::Timestamp { zero_null },
            L::Interval => Kind::Time,
            L::Uuid => Kind::Uuid,
            L::Binary if is_geometry(base(native)) => Kind::Geometry,
            L::Binary => Kind::Binary,
            L::Text { .. } => match base(native) {
                "date" => Kind::DateText(None),
                "datetime" | "timestamp" => Kind::DateText(Some(fraction_digits(native))),
                _ => Kind::Text,
            },
            L::Json { .. } | L::Opaque | L::Numeric => Kind::Text,
            _ => Kind::Number,
        }
    }

    /// Whether a column as the server describes it comes in this form. Only what is read in another
    /// way counts: a text may be longer than it was.
    pub(super) fn reads(self, column: &ColumnDefinition, logical: LogicalType) -> bool {
        let unsigned = column.flags().contains(ColumnFlags::UNSIGNED_FLAG);
        let is = |types: &[T]| types.contains(&column.column_type());
        let bytes = is(&[
            T::MYSQL_TYPE_VARCHAR,
            T::MYSQL_TYPE_VAR_STRING,
            T::MYSQL_TYPE_STRING,
            T::MYSQL_TYPE_TINY_BLOB,
            T::MYSQL_TYPE_BLOB,
            T::MYSQL_TYPE_MEDIUM_BLOB,
            T::MYSQL_TYPE_LONG_BLOB,
            T::MYSQL_TYPE_ENUM,
            T::MYSQL_TYPE_SET,
        ]);
        match self {
            Kind::Number => number(column.column_type(), unsigned) == Some(logical),
            Kind::Bool => is(&[T::MYSQL_TYPE_TINY]) && !unsigned,
            Kind::Bit => is(&[T::MYSQL_TYPE_BIT]) && column.column_length() == 1,
            Kind::Bits(bits) => is(&[T::MYSQL_TYPE_BIT]) && column.column_length() == bits,
            Kind::Decimal { scale, .. } => is(&[T::MYSQL_TYPE_NEWDECIMAL]) && column.decimals() == scale,
            Kind::Date { .. } | Kind::DateText(None) => is(&[T::MYSQL_TYPE_DATE]),
            Kind::Timestamp { .. } => match logical {
                LogicalType::Timestamp { zoned: true, .. } => is(&[T::MYSQL_TYPE_TIMESTAMP]),
                _ => is(&[T::MYSQL_TYPE_DATETIME]),
            },
            Kind::DateText(Some(_)) => is(&[T::MYSQL_TYPE_DATETIME, T::MYSQL_TYPE_TIMESTAMP]),
            Kind::Time => is(&[T::MYSQL_TYPE_TIME]),
            Kind::Text if matches!(logical, LogicalType::Json { .. }) => bytes || is(&[T::MYSQL_TYPE_JSON]),
            Kind::Text => bytes && column.character_set() != BINARY,
            Kind::Binary => bytes && column.character_set() == BINARY,
            Kind::Geometry => is(&[T::MYSQL_TYPE_GEOMETRY]),
            Kind::Uuid => bytes,
        }
    }
}

fn number(column_type: T, unsigned: bool) -> Option<LogicalType> {
    use LogicalType as L;
    Some(match (column_type, unsigned) {
        (T::MYSQL_TYPE_TINY, false) => L::Int8,
        (T::MYSQL_TYPE_TINY, true) => L::UInt8,
        (T::MYSQL_TYPE_SHORT, false) | (T::MYSQL_TYPE_YEAR, _) => L::Int16,
        (T::MYSQL_TYPE_SHORT, true) => L::UInt16,
        (T::MYSQL_TYPE_LONG | T::MYSQL_TYPE_INT24, false) => L::Int32,
        (T::MYSQL_TYPE_LONG | T::MYSQL_TYPE_INT24, true) => L::UInt32,
        (T::MYSQL_TYPE_LONGLONG, false) => L::Int64,
        (T::MYSQL_TYPE_LONGLONG, true) => L::UInt64,
        (T::MYSQL_TYPE_FLOAT, _) => L::Float32,
        (T::MYSQL_TYPE_DOUBLE, _) => L::Float64,
        _ => return None,
    })
}

/// The digits of a fraction that `datetime(3)` has.
fn fraction_digits(native: &str) -> u8 {
    let inside = native.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
    inside.and_then(|(digits, _)| digits.parse().ok()).unwrap_or(0)
}
