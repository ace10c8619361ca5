//! What a column means, apart from any system's own type names, and the Arrow type that carries it.

use std::{fmt, sync::Arc};

use arrow_schema::{DataType, TimeUnit};
use serde::{Deserialize, Serialize};

/// The meaning of a column's values.
///
/// | logical | Arrow | remarks |
/// |---|---|---|
/// | `Bool` | `Boolean` | |
/// | `Int8` ... `UInt64` | the same | |
/// | `Float32`, `Float64` | the same | NaN and infinities included |
/// | `Decimal(p, s)` | `Decimal128` to 38 digits, `Decimal256` to 76 | NaN as in [`crate::special`] |
/// | `Numeric` | `Utf8` | any precision; NaN and Infinity by name |
/// | `Text` | `Utf8` | |
/// | `Binary` | `Binary` | |
/// | `Bits` | `Utf8` | the digits 0 and 1 |
/// | `Date` | `Date32` | infinities as in [`crate::special`] |
/// | `Time` | `Time64(us)` | 00:00 up to and with 24:00 |
/// | `Timestamp` | `Timestamp(us)`, with zone `UTC` when zoned | infinities as in [`crate::special`] |
/// | `Interval` | `FixedSizeBinary(16)` | see [`crate::interval`] |
/// | `Json` | `Utf8` | the text as the source gives it |
/// | `Uuid` | `FixedSizeBinary(16)` | |
/// | `Opaque` | `Utf8` | the source's own text form of a type that only it knows |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogicalType {
    /// True or false.
    Bool,
    /// Signed, 8 bits.
    Int8,
    /// Signed, 16 bits.
    Int16,
    /// Signed, 32 bits.
    Int32,
    /// Signed, 64 bits.
    Int64,
    /// Unsigned, 8 bits.
    UInt8,
    /// Unsigned, 16 bits.
    UInt16,
    /// Unsigned, 32 bits.
    UInt32,
    /// Unsigned, 64 bits.
    UInt64,
    /// IEEE 754, 32 bits.
    Float32,
    /// IEEE 754, 64 bits.
    Float64,
    /// Exact decimal with at most 76 digits and `0 <= scale <= precision`.
    Decimal {
        /// Digits in all.
        precision: u8,
        /// Digits after the point.
        scale: u8,
    },
    /// Exact decimal of any size.
    Numeric,
    /// Characters.
    Text {
        /// Most characters, where there is a limit.
        length: Option<u32>,
        /// Whether the source pads values with blanks to `length`.
        padded: bool,
    },
    /// Bytes.
    Binary,
    /// A string of bits.
    Bits {
        /// Bits (exactly, or at most when `varying`); `None` is no limit.
        length: Option<u32>,
        /// Whether shorter values are allowed.
        varying: bool,
    },
    /// A day.
    Date,
    /// A time of day without a zone.
    Time {
        /// Digits of the second's fraction, 0 to 6.
        precision: u8,
    },
    /// A point in time (zoned, kept in UTC) or a wall clock's reading (not zoned).
    Timestamp {
        /// Whether it is a point in time.
        zoned: bool,
        /// Digits of the second's fraction, 0 to 6.
        precision: u8,
    },
    /// Months, days and microseconds.
    Interval,
    /// A JSON document as text.
    Json {
        /// Whether the source normalises it (sorted keys, no blanks), so that text does not compare.
        normalized: bool,
    },
    /// 16 bytes.
    Uuid,
    /// The source's own text form of a type that we do not know.
    Opaque,
}

impl LogicalType {
    /// Unlimited text.
    pub const TEXT: LogicalType = LogicalType::Text { length: None, padded: false };
    /// JSON text kept as written.
    pub const JSON: LogicalType = LogicalType::Json { normalized: false };
    /// A wall clock's reading to the microsecond.
    pub const TIMESTAMP: LogicalType = LogicalType::Timestamp { zoned: false, precision: 6 };
    /// A point in time to the microsecond.
    pub const TIMESTAMPTZ: LogicalType = LogicalType::Timestamp { zoned: true, precision: 6 };
    /// A time of day to the microsecond.
    pub const TIME: LogicalType = LogicalType::Time { precision: 6 };

    /// The Arrow type of a column's array.
    pub fn arrow(self) -> DataType {
        use LogicalType as L;
        match self {
            L::Bool => DataType::Boolean,
            L::Int8 => DataType::Int8,
            L::Int16 => DataType::Int16,
            L::Int32 => DataType::Int32,
            L::Int64 => DataType::Int64,
            L::UInt8 => DataType::UInt8,
            L::UInt16 => DataType::UInt16,
            L::UInt32 => DataType::UInt32,
            L::UInt64 => DataType::UInt64,
            L::Float32 => DataType::Float32,
            L::Float64 => DataType::Float64,
            L::Decimal { precision, scale } if precision <= 38 => {
                DataType::Decimal128(precision, scale.cast_signed())
            }
            L::Decimal { precision, scale } => DataType::Decimal256(precision, scale.cast_signed()),
            L::Numeric | L::Text { .. } | L::Bits { .. } | L::Json { .. } | L::Opaque => DataType::Utf8,
            L::Binary => DataType::Binary,
            L::Date => DataType::Date32,
            L::Time { .. } => DataType::Time64(TimeUnit::Microsecond),
            L::Timestamp { zoned: false, .. } => DataType::Timestamp(TimeUnit::Microsecond, None),
            L::Timestamp { zoned: true, .. } => {
                DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")))
            }
            L::Interval | L::Uuid => DataType::FixedSizeBinary(16),
        }
    }

    /// Whether every system orders values of this type alike, so that a key range means the same
    /// rows on both sides. Text does not: each system and column has its own collation.
    pub fn orders_alike(self) -> bool {
        use LogicalType as L;
        matches!(
            self,
            L::Bool
                | L::Int8
                | L::Int16
                | L::Int32
                | L::Int64
                | L::UInt8
                | L::UInt16
                | L::UInt32
                | L::UInt64
                | L::Date
                | L::Uuid
                | L::Timestamp { .. }
        )
    }

    /// Whether the type is a whole number.
    pub fn is_integer(self) -> bool {
        use LogicalType as L;
        matches!(
            self,
            L::Int8 | L::Int16 | L::Int32 | L::Int64 | L::UInt8 | L::UInt16 | L::UInt32 | L::UInt64
        )
    }
}

impl fmt::Display for LogicalType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use LogicalType as L;
        let (name, detail) = match *self {
            L::Bool => ("boolean", None),
            L::Int8 => ("int8", None),
            L::Int16 => ("int16", None),
            L::Int32 => ("int32", None),
            L::Int64 => ("int64", None),
            L::UInt8 => ("uint8", None),
            L::UInt16 => ("uint16", None),
            L::UInt32 => ("uint32", None),
            L::UInt64 => ("uint64", None),
            L::Float32 => ("float32", None),
            L::Float64 => ("float64", None),
            L::Decimal { precision, scale } => ("decimal", Some(format!("{precision},{scale}"))),
            L::Numeric => ("numeric", None),
            L::Text { length, padded } => {
                (if padded { "char" } else { "text" }, length.map(|length| length.to_string()))
            }
            L::Binary => ("binary", None),
            L::Bits { length, varying } => {
                (if varying { "varbit" } else { "bit" }, length.map(|length| length.to_string()))
            }
            L::Date => ("date", None),
            L::Time { precision } => ("time", fraction(precision)),
            L::Timestamp { zoned: false, precision } => ("timestamp", fraction(precision)),
            L::Timestamp { zoned: true, precision } => ("timestamptz", fraction(precision)),
            L::Interval => ("interval", None),
            L::Json { normalized: false } => ("json", None),
            L::Json { normalized: true } => ("jsonb", None),
            L::Uuid => ("uuid", None),
            L::Opaque => ("opaque", None),
        };
        f.write_str(name)?;
        detail.map_or(Ok(()), |detail| write!(f, "({detail})"))
    }
}

/// The precision where it is not the default of six digits.
fn fraction(precision: u8) -> Option<String> {
    (precision != 6).then(|| precision.to_string())
}
