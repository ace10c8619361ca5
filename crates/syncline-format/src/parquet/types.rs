//! Parquet's types and ours, both ways.

use std::sync::Arc;

use ::parquet::{
    basic::{
        ConvertedType as Converted, LogicalType as Annotation, Repetition, TimeUnit as Unit, Type as Physical,
    },
    errors::Result as ParquetResult,
    schema::types::{ColumnDescriptor, SchemaDescriptor, Type},
};
use arrow_schema::{DataType, Field, Schema};
use syncline_types::{Column, LogicalType};

/// The columns of a file that we write: as Parquet sees them, and as arrays.
pub(super) fn written(columns: &[Column]) -> ParquetResult<(SchemaDescriptor, Arc<Schema>)> {
    let fields = columns.iter().map(|column| field(column).map(Arc::new)).collect::<ParquetResult<_>>()?;
    let root = Type::group_type_builder("schema").with_fields(fields).build()?;
    let arrays =
        columns.iter().map(|column| Field::new(&column.name, carrier(column.logical), column.nullable));
    Ok((SchemaDescriptor::new(Arc::new(root)), Arc::new(Schema::new(arrays.collect::<Vec<_>>()))))
}

/// Whether a type is written in its text form, although it is carried otherwise.
pub(super) fn as_text(logical: LogicalType) -> bool {
    matches!(logical, LogicalType::Time { .. } | LogicalType::Interval)
}

fn carrier(logical: LogicalType) -> DataType {
    if as_text(logical) { DataType::Utf8 } else { logical.arrow() }
}

fn field(column: &Column) -> ParquetResult<Type> {
    use LogicalType as L;
    let integer = |bits, signed| Some(Annotation::integer(bits, signed));
    let (physical, annotation) = match column.logical {
        L::Bool => (Physical::BOOLEAN, None),
        L::Int8 => (Physical::INT32, integer(8, true)),
        L::Int16 => (Physical::INT32, integer(16, true)),
        L::Int32 => (Physical::INT32, None),
        L::Int64 => (Physical::INT64, None),
        L::UInt8 => (Physical::INT32, integer(8, false)),
        L::UInt16 => (Physical::INT32, integer(16, false)),
        L::UInt32 => (Physical::INT32, integer(32, false)),
        L::UInt64 => (Physical::INT64, integer(64, false)),
        L::Float32 => (Physical::FLOAT, None),
        L::Float64 => (Physical::DOUBLE, None),
        L::Decimal { precision, scale } => {
            let physical = match precision {
                0..=9 => Physical::INT32,
                10..=18 => Physical::INT64,
                _ => Physical::FIXED_LEN_BYTE_ARRAY,
            };
            (physical, Some(Annotation::decimal(scale.into(), precision.into())))
        }
        L::Date => (Physical::INT32, Some(Annotation::Date)),
        L::Timestamp { zoned, .. } => (Physical::INT64, Some(Annotation::timestamp(zoned, Unit::MICROS))),
        L::Json { .. } => (Physical::BYTE_ARRAY, Some(Annotation::Json)),
        L::Uuid => (Physical::FIXED_LEN_BYTE_ARRAY, Some(Annotation::Uuid)),
        L::Binary => (Physical::BYTE_ARRAY, None),
        L::Numeric | L::Text { .. } | L::Bits { .. } | L::Opaque | L::Time { .. } | L::Interval => {
            (Physical::BYTE_ARRAY, Some(Annotation::String))
        }
    };
    let length = match column.logical {
        L::Uuid => 16,
        L::Decimal { precision, .. } if precision > 18 => decimal_bytes(precision),
        _ => -1,
    };
    let (precision, scale) = match column.logical {
        L::Decimal { precision, scale } => (precision.into(), scale.into()),
        _ => (-1, -1),
    };
    let repetition = if column.nullable { Repetition::OPTIONAL } else { Repetition::REQUIRED };
    Type::primitive_type_builder(&column.name, physical)
        .with_repetition(repetition)
        .with_logical_type(annotation)
        .with_length(length)
        .with_precision(precision)
        .with_scale(scale)
        .build()
}

/// Fewest bytes that hold so many digits with a sign.
fn decimal_bytes(precision: u8) -> i32 {
    // A digit is log2(10) bits.
    let bits = f64::from(precision) * 10_f64.log2() + 1.0;
    (bits / 8.0).ceil() as i32
}

/// What the values of a file's column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    Bool,
    /// A whole number with a sign, in 32 or 64 bits.
    Signed,
    /// One without, in as many bits.
    Unsigned,
    /// A scaled number, in bits or bytes.
    Decimal(i32),
    Float,
    HalfFloat,
    Date,
    /// Microseconds are this many units, or a unit is this many microseconds.
    Time(Ticks),
    Timestamp(Ticks),
    /// Nanoseconds of a day, and the day.
    Int96,
    Text,
    Bytes,
    Uuid,
    /// Months, days, milliseconds.
    Interval,
}

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ticks {
    Millis,
    Micros,
    Nanos,
}

impl Ticks {
    fn of(unit: &Unit) -> Self {
        match unit {
            Unit::MILLIS => Ticks::Millis,
            Unit::MICROS => Ticks::Micros,
            Unit::NANOS => Ticks::Nanos,
        }
    }
}

/// What a column holds, and the type of ours that means the same.
pub(super) fn stored(column: &ColumnDescriptor) -> (Stored, LogicalType) {
    use LogicalType as L;
    let physical = column.physical_type();
    let bytes = matches!(physical, Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY);
    let (precision, scale) = (column.type_precision(), column.type_scale());
    match (column.logical_type_ref(), column.converted_type()) {
        (Some(Annotation::String | Annotation::Enum), _) | (None, Converted::UTF8 | Converted::ENUM)
            if bytes =>
        {
            (Stored::Text, L::TEXT)
        }
        (Some(Annotation::Json), _) | (None, Converted::JSON) if bytes => (Stored::Text, L::JSON),
        (Some(Annotation::Uuid), _) if column.type_length() == 16 => (Stored::Uuid, L::Uuid),
        (Some(Annotation::Float16), _) if column.type_length() == 2 => (Stored::HalfFloat, L::Float32),
        (None, Converted::INTERVAL) if column.type_length() == 12 => (Stored::Interval, L::Interval),
        (Some(Annotation::Decimal(decimal)), _) => decimal_of(decimal.precision, decimal.scale),
        (None, Converted::DECIMAL) => decimal_of(precision, scale),
        (Some(Annotation::Date), _) | (None, Converted::DATE) if physical == Physical::INT32 => {
            (Stored::Date, L::Date)
        }
        (Some(Annotation::Time(time)), _) => (Stored::Time(Ticks::of(&time.unit)), L::TIME),
        (None, Converted::TIME_MILLIS) => (Stored::Time(Ticks::Millis), L::TIME),
        (None, Converted::TIME_MICROS) => (Stored::Time(Ticks::Micros), L::TIME),
        (Some(Annotation::Timestamp(timestamp)), _) => {
            let logical = L::Timestamp { zoned: timestamp.is_adjusted_to_u_t_c, precision: 6 };
            (Stored::Timestamp(Ticks::of(&timestamp.unit)), logical)
        }
        // Both are defined as adjusted to UTC.
        (None, Converted::TIMESTAMP_MILLIS) => (Stored::Timestamp(Ticks::Millis), L::TIMESTAMPTZ),
        (None, Converted::TIMESTAMP_MICROS) => (Stored::Timestamp(Ticks::Micros), L::TIMESTAMPTZ),
        (Some(Annotation::Integer(integer)), _) => whole(integer.bit_width, integer.is_signed),
        (None, Converted::INT_8) => whole(8, true),
        (None, Converted::INT_16) => whole(16, true),
        (None, Converted::UINT_8) => whole(8, false),
        (None, Converted::UINT_16) => whole(16, false),
        (None, Converted::UINT_32) => whole(32, false),
        (None, Converted::UINT_64) => whole(64, false),
        _ => match physical {
            Physical::BOOLEAN => (Stored::Bool, L::Bool),
            Physical::INT32 => whole(32, true),
            Physical::INT64 => whole(64, true),
            Physical::INT96 => (Stored::Int96, L::TIMESTAMP),
            Physical::FLOAT => (Stored::Float, L::Float32),
            Physical::DOUBLE => (Stored::Float, L::Float64),
            Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY => (Stored::Bytes, L::Binary),
        },
    }
}

fn whole(bits: i8, signed: bool) -> (Stored, LogicalType) {
    use LogicalType as L;
    let logical = match (bits, signed) {
        (..=8, true) => L::Int8,
        (..=16, true) => L::Int16,
        (..=32, true) => L::Int32,
        (_, true) => L::Int64,
        (..=8, false) => L::UInt8,
        (..=16, false) => L::UInt16,
        (..=32, false) => L::UInt32,
        (_, false) => L::UInt64,
    };
    (if signed { Stored::Signed } else { Stored::Unsigned }, logical)
}

fn decimal_of(precision: i32, scale: i32) -> (Stored, LogicalType) {
    let logical = match (u8::try_from(precision), u8::try_from(scale)) {
        (Ok(precision @ 1..=76), Ok(scale)) if scale <= precision => {
            LogicalType::Decimal { precision, scale }
        }
        // Any number of digits, and scales that a decimal cannot have.
        _ => LogicalType::Numeric,
    };
    (Stored::Decimal(scale), logical)
}
