//! Builds a column value by value, without an allocation a value.
//!
//! Text is checked once, when the column is finished: a source whose bytes may not be UTF-8 checks
//! each value before it pushes it, or asks [`BadText`] afterwards which row is at fault.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, FixedSizeBinaryArray, PrimitiveArray, StringArray,
    types::{
        ArrowPrimitiveType, Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int8Type,
        Int16Type, Int32Type, Int64Type, Time64MicrosecondType, TimestampMicrosecondType, UInt8Type,
        UInt16Type, UInt32Type, UInt64Type,
    },
};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::DataType;

use crate::{Error, LogicalType, Result, codes};

/// Does the same with every kind of column that has a fixed width.
macro_rules! each_fixed {
    ($builder:expr, $column:ident => $do:expr) => {
        match $builder {
            ColumnBuilder::Int8($column) => $do,
            ColumnBuilder::Int16($column) => $do,
            ColumnBuilder::Int32($column) => $do,
            ColumnBuilder::Int64($column) => $do,
            ColumnBuilder::UInt8($column) => $do,
            ColumnBuilder::UInt16($column) => $do,
            ColumnBuilder::UInt32($column) => $do,
            ColumnBuilder::UInt64($column) => $do,
            ColumnBuilder::Float32($column) => $do,
            ColumnBuilder::Float64($column) => $do,
            ColumnBuilder::Decimal128($column) => $do,
            ColumnBuilder::Decimal256($column) => $do,
            ColumnBuilder::Date($column) => $do,
            ColumnBuilder::Time($column) => $do,
            ColumnBuilder::Timestamp($column) => $do,
            _ => unreachable!("the other kinds are matched before"),
        }
    };
}
/// Does the same with every kind of column.
macro_rules! each {
    ($builder:expr, $column:ident => $do:expr) => {
        match $builder {
            ColumnBuilder::Bool($column) => $do,
            ColumnBuilder::Text($column) | ColumnBuilder::Binary($column) => $do,
            ColumnBuilder::Sixteen($column) => $do,
            fixed => each_fixed!(fixed, $column => $do),
        }
    };
}
/// A column under construction, as the Arrow type that carries its [`LogicalType`].
#[derive(Debug)]
#[expect(missing_docs, reason = "each variant is named for the type it builds")]
pub enum ColumnBuilder {
    Bool(Bools),
    Int8(Fixed<Int8Type>),
    Int16(Fixed<Int16Type>),
    Int32(Fixed<Int32Type>),
    Int64(Fixed<Int64Type>),
    UInt8(Fixed<UInt8Type>),
    UInt16(Fixed<UInt16Type>),
    UInt32(Fixed<UInt32Type>),
    UInt64(Fixed<UInt64Type>),
    Float32(Fixed<Float32Type>),
    Float64(Fixed<Float64Type>),
    Decimal128(Fixed<Decimal128Type>),
    Decimal256(Fixed<Decimal256Type>),
    Date(Fixed<Date32Type>),
    Time(Fixed<Time64MicrosecondType>),
    Timestamp(Fixed<TimestampMicrosecondType>),
    /// Text, `Numeric`, JSON, bits, opaque.
    Text(Bytes),
    Binary(Bytes),
    /// UUIDs and intervals.
    Sixteen(Sixteen),
}

/// Values of a fixed width.
#[derive(Debug)]
pub struct Fixed<T: ArrowPrimitiveType> {
    values: Vec<T::Native>,
    nulls: NullBufferBuilder,
    data_type: DataType,
}

/// Booleans.
#[derive(Debug)]
pub struct Bools {
    values: BooleanBufferBuilder,
    nulls: NullBufferBuilder,
}

/// Values of any length.
#[derive(Debug)]
pub struct Bytes {
    values: Vec<u8>,
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
}

/// Values of sixteen bytes.
#[derive(Debug)]
pub struct Sixteen {
    values: Vec<u8>,
    nulls: NullBufferBuilder,
}

/// A text that is not UTF-8, and the first row that has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadText {
    /// Counted from 0.
    pub row: usize,
}

impl<T: ArrowPrimitiveType> Fixed<T> {
    fn new(data_type: DataType, capacity: usize) -> Self {
        Fixed { values: Vec::with_capacity(capacity), nulls: NullBufferBuilder::new(capacity), data_type }
    }

    /// Appends a value.
    pub fn push(&mut self, value: T::Native) {
        self.values.push(value);
        self.nulls.append_non_null();
    }

    /// Appends NULL.
    pub fn push_null(&mut self) {
        self.values.push(T::Native::default());
        self.nulls.append_null();
    }

    fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows);
        self.nulls.truncate(rows);
    }

    fn finish(mut self) -> ArrayRef {
        let array = PrimitiveArray::<T>::new(ScalarBuffer::from(self.values), self.nulls.finish());
        Arc::new(array.with_data_type(self.data_type))
    }
}

impl Bools {
    /// Appends a value.
    pub fn push(&mut self, value: bool) {
        self.values.append(value);
        self.nulls.append_non_null();
    }

    /// Appends NULL.
    pub fn push_null(&mut self) {
        self.values.append(false);
        self.nulls.append_null();
    }
}

impl Bytes {
    fn new(capacity: usize) -> Self {
        let mut offsets = Vec::with_capacity(capacity + 1);
        offsets.push(0);
        Bytes { values: vec![], offsets, nulls: NullBufferBuilder::new(capacity) }
    }

    /// Appends a value.
    pub fn push(&mut self, value: &[u8]) {
        self.values.extend_from_slice(value);
        self.end();
    }

    /// The buffer to append a value's bytes to; [`Bytes::end`] then makes them a value.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.values
    }

    /// Ends the value whose bytes were appended to [`Bytes::buffer`].
    pub fn end(&mut self) {
        self.offsets.push(self.offset());
        self.nulls.append_non_null();
    }

    /// Appends NULL.
    pub fn push_null(&mut self) {
        self.offsets.push(self.offset());
        self.nulls.append_null();
    }

    fn offset(&self) -> i32 {
        // Batches are cut by bytes long before, and no value is larger than 1 GiB.
        i32::try_from(self.values.len()).expect("a batch has less than 2 GiB in a column")
    }

    fn truncate(&mut self, rows: usize) {
        self.offsets.truncate(rows + 1);
        let end = self.offsets.last().copied().unwrap_or(0);
        self.values.truncate(usize::try_from(end).unwrap_or(0));
        self.nulls.truncate(rows);
    }

    fn into_parts(mut self) -> (OffsetBuffer<i32>, Buffer, Option<arrow_buffer::NullBuffer>) {
        let nulls = self.nulls.finish();
        (OffsetBuffer::new(ScalarBuffer::from(self.offsets)), Buffer::from_vec(self.values), nulls)
    }

    /// The first row whose bytes are not UTF-8.
    fn bad_text(&self) -> Option<BadText> {
        let bounds = self.offsets.windows(2);
        let mut values = bounds
            .map(|pair| self.values.get(pair[0].unsigned_abs() as usize..pair[1].unsigned_abs() as usize));
        values
            .position(|value| value.is_none_or(|value| std::str::from_utf8(value).is_err()))
            .map(|row| BadText { row })
    }
}

impl Sixteen {
    /// Appends a value.
    pub fn push(&mut self, value: [u8; 16]) {
        self.values.extend_from_slice(&value);
        self.nulls.append_non_null();
    }

    /// Appends NULL.
    pub fn push_null(&mut self) {
        self.values.extend_from_slice(&[0; 16]);
        self.nulls.append_null();
    }
}

impl ColumnBuilder {
    /// For values of a type, with room for `capacity` rows of a fixed width.
    pub fn new(logical: LogicalType, capacity: usize) -> Self {
        use LogicalType as L;
        let data_type = logical.arrow();
        match logical {
            L::Bool => ColumnBuilder::Bool(Bools {
                values: BooleanBufferBuilder::new(capacity),
                nulls: NullBufferBuilder::new(capacity),
            }),
            L::Int8 => ColumnBuilder::Int8(Fixed::new(data_type, capacity)),
            L::Int16 => ColumnBuilder::Int16(Fixed::new(data_type, capacity)),
            L::Int32 => ColumnBuilder::Int32(Fixed::new(data_type, capacity)),
            L::Int64 => ColumnBuilder::Int64(Fixed::new(data_type, capacity)),
            L::UInt8 => ColumnBuilder::UInt8(Fixed::new(data_type, capacity)),
            L::UInt16 => ColumnBuilder::UInt16(Fixed::new(data_type, capacity)),
            L::UInt32 => ColumnBuilder::UInt32(Fixed::new(data_type, capacity)),
            L::UInt64 => ColumnBuilder::UInt64(Fixed::new(data_type, capacity)),
            L::Float32 => ColumnBuilder::Float32(Fixed::new(data_type, capacity)),
            L::Float64 => ColumnBuilder::Float64(Fixed::new(data_type, capacity)),
            L::Decimal { precision, .. } if precision <= 38 => {
                ColumnBuilder::Decimal128(Fixed::new(data_type, capacity))
            }
            L::Decimal { .. } => ColumnBuilder::Decimal256(Fixed::new(data_type, capacity)),
            L::Date => ColumnBuilder::Date(Fixed::new(data_type, capacity)),
            L::Time { .. } => ColumnBuilder::Time(Fixed::new(data_type, capacity)),
            L::Timestamp { .. } => ColumnBuilder::Timestamp(Fixed::new(data_type, capacity)),
            L::Numeric | L::Text { .. } | L::Bits { .. } | L::Json { .. } | L::Opaque => {
                ColumnBuilder::Text(Bytes::new(capacity))
            }
            L::Binary => ColumnBuilder::Binary(Bytes::new(capacity)),
            L::Interval | L::Uuid => ColumnBuilder::Sixteen(Sixteen {
                values: Vec::with_capacity(capacity * 16),
                nulls: NullBufferBuilder::new(capacity),
            }),
        }
    }

    /// Appends NULL.
    pub fn push_null(&mut self) {
        each!(self, column => column.push_null());
    }

    /// Forgets the rows from `rows` on, so that one that cannot be read leaves nothing behind.
    pub fn truncate(&mut self, rows: usize) {
        match self {
            ColumnBuilder::Bool(column) => {
                column.values.truncate(rows);
                column.nulls.truncate(rows);
            }
            ColumnBuilder::Text(column) | ColumnBuilder::Binary(column) => column.truncate(rows),
            ColumnBuilder::Sixteen(column) => {
                column.values.truncate(rows * 16);
                column.nulls.truncate(rows);
            }
            fixed => each_fixed!(fixed, column => column.truncate(rows)),
        }
    }

    /// The first row whose text is not UTF-8.
    pub fn bad_text(&self) -> Option<BadText> {
        match self {
            ColumnBuilder::Text(column) => column.bad_text(),
            _ => None,
        }
    }

    /// The column.
    ///
    /// # Errors
    /// [`codes::VALUE_UNREADABLE`] when a text is not UTF-8.
    pub fn finish(self) -> Result<ArrayRef> {
        Ok(match self {
            ColumnBuilder::Bool(mut column) => {
                Arc::new(BooleanArray::new(column.values.finish(), column.nulls.finish()))
            }
            ColumnBuilder::Text(column) => {
                let (offsets, values, nulls) = column.into_parts();
                Arc::new(StringArray::try_new(offsets, values, nulls).map_err(|_| not_utf8())?)
            }
            ColumnBuilder::Binary(column) => {
                let (offsets, values, nulls) = column.into_parts();
                Arc::new(BinaryArray::new(offsets, values, nulls))
            }
            ColumnBuilder::Sixteen(mut column) => {
                let nulls = column.nulls.finish();
                Arc::new(FixedSizeBinaryArray::new(16, Buffer::from_vec(column.values), nulls))
            }
            fixed => return Ok(each_fixed!(fixed, column => column.finish())),
        })
    }
}

/// The error for bytes that should be text.
pub fn not_utf8() -> Error {
    Error::new(&codes::VALUE_UNREADABLE, "read a text", "")
        .because("its bytes are not UTF-8")
        .hint("Correct the row at the source, or leave the column out")
}

#[cfg(test)]
mod tests {
    use arrow_array::{Array, cast::AsArray};

    use super::*;

    #[test]
    fn a_row_that_is_taken_back_leaves_nothing() {
        let mut column = ColumnBuilder::new(LogicalType::TEXT, 4);
        let ColumnBuilder::Text(text) = &mut column else { panic!("text is built as text") };
        text.push(b"one");
        text.push_null();
        text.push(&[0xFF]);
        assert_eq!(column.bad_text(), Some(BadText { row: 2 }));
        column.truncate(2);
        let ColumnBuilder::Text(text) = &mut column else { panic!("text is built as text") };
        text.push("zwei".as_bytes());
        let array = column.finish().unwrap();
        let texts: Vec<Option<&str>> = array.as_string::<i32>().iter().collect();
        assert_eq!(texts, [Some("one"), None, Some("zwei")]);
    }

    #[test]
    fn every_type_builds_the_array_that_carries_it() {
        use LogicalType as L;
        for logical in [
            L::Bool,
            L::Int8,
            L::UInt64,
            L::Float32,
            L::Decimal { precision: 12, scale: 2 },
            L::Decimal { precision: 50, scale: 2 },
            L::Numeric,
            L::Binary,
            L::Date,
            L::TIME,
            L::TIMESTAMP,
            L::TIMESTAMPTZ,
            L::Interval,
            L::JSON,
            L::Uuid,
        ] {
            let mut column = ColumnBuilder::new(logical, 0);
            column.push_null();
            column.push_null();
            column.truncate(1);
            let array = column.finish().unwrap();
            assert_eq!(
                (array.data_type(), array.len(), array.null_count()),
                (&logical.arrow(), 1, 1),
                "{logical}"
            );
        }
    }

    #[test]
    fn what_is_no_text_is_refused() {
        let mut column = ColumnBuilder::new(LogicalType::TEXT, 1);
        let ColumnBuilder::Text(text) = &mut column else { panic!("text is built as text") };
        text.push(&[0xC3]);
        assert_eq!(column.finish().unwrap_err().code(), &codes::VALUE_UNREADABLE);
    }
}
