//! Columns and constants as functions see them, and the loops that make new columns of them.
//!
//! A function never asks whether an argument is a constant: it reads a [`View`] by row. Results
//! are written straight into a column's buffers, without an allocation per value.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayAccessor, ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, Datum,
    FixedSizeBinaryArray, StringArray, UInt32Array,
    builder::{BinaryBuilder, BooleanBuilder, FixedSizeBinaryBuilder, PrimitiveBuilder},
};
use arrow_buffer::{Buffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::ArrowError;
use syncline_types::{Error, LogicalType, Result, codes};

use super::fault::{Fault, Faults};

/// Most bytes of one text or byte value that an expression makes.
pub(crate) const VALUE_BYTES_MAX: usize = 64 << 20;

/// A new column and the rows on which it failed. Where a row failed its value means nothing.
pub(crate) type Computed = (ArrayRef, Faults);

/// A column of a batch, or one value that stands for every row.
#[derive(Clone, Debug)]
pub(crate) struct Operand {
    array: ArrayRef,
    constant: bool,
}

impl Operand {
    /// One value a row.
    pub(crate) fn column(array: ArrayRef) -> Self {
        Operand { array, constant: false }
    }

    /// An array of one value, for every row.
    pub(crate) fn constant(array: ArrayRef) -> Self {
        Operand { array, constant: true }
    }

    /// The values; just one when it is a constant.
    pub(crate) fn array(&self) -> &ArrayRef {
        &self.array
    }

    /// Whether one value stands for every row.
    pub(crate) fn is_constant(&self) -> bool {
        self.constant
    }

    /// Where a row's value lies in the array.
    pub(crate) fn index(&self, row: usize) -> usize {
        if self.constant { 0 } else { row }
    }

    /// Whether a row's value is NULL.
    pub(crate) fn is_null(&self, row: usize) -> bool {
        self.array.is_null(self.index(row))
    }

    /// One value a row, also for a constant.
    pub(crate) fn expanded(self, rows: usize) -> Result<ArrayRef> {
        if !self.constant {
            return Ok(self.array);
        }
        let first = UInt32Array::from_value(0, rows);
        arrow_select::take::take(&self.array, &first, None).map_err(broken)
    }

    /// The values as their concrete array.
    pub(crate) fn view<A: Array + 'static>(&self) -> Result<View<'_, A>> {
        let array = self.array.as_any().downcast_ref().ok_or_else(|| {
            Error::new(&codes::BROKEN_INVARIANT, "evaluate an expression", "")
                .because(format!("an argument is carried as {}", self.array.data_type()))
        })?;
        Ok(View { array, constant: self.constant })
    }
}

impl Datum for Operand {
    fn get(&self) -> (&dyn Array, bool) {
        (self.array.as_ref(), self.constant)
    }
}

/// An operand whose array's type is known.
#[derive(Debug)]
pub(crate) struct View<'a, A> {
    array: &'a A,
    constant: bool,
}

impl<A> Clone for View<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for View<'_, A> {}

impl<'a, A> View<'a, A>
where
    &'a A: ArrayAccessor,
{
    /// A row's value, or `None` for NULL.
    pub(crate) fn get(&self, row: usize) -> Option<<&'a A as ArrayAccessor>::Item> {
        let index = if self.constant { 0 } else { row };
        (!self.array.is_null(index)).then(|| self.array.value(index))
    }
}

/// An error of Arrow that only a mistake of ours can cause. Its text may hold values and is left out.
pub(crate) fn broken(error: ArrowError) -> Error {
    let kind = match error {
        ArrowError::InvalidArgumentError(_) => "invalid argument",
        ArrowError::CastError(_) => "cast",
        ArrowError::ComputeError(_) => "compute",
        ArrowError::SchemaError(_) => "schema",
        _ => "other",
    };
    Error::new(&codes::BROKEN_INVARIANT, "evaluate an expression", "")
        .because(format!("Arrow refused the operation ({kind})"))
}

/// A column of numbers, dates or times.
pub(crate) fn primitives<T: ArrowPrimitiveType>(
    rows: usize,
    logical: LogicalType,
    mut value: impl FnMut(usize) -> Result<Option<T::Native>, Fault>,
) -> Computed {
    let mut faults = Faults::default();
    let mut builder = PrimitiveBuilder::<T>::with_capacity(rows).with_data_type(logical.arrow());
    for row in 0..rows {
        match value(row) {
            Ok(value) => builder.append_option(value),
            Err(fault) => {
                builder.append_null();
                faults.push(row, fault);
            }
        }
    }
    (Arc::new(builder.finish()), faults)
}

/// A column of truth values.
pub(crate) fn booleans(
    rows: usize,
    mut value: impl FnMut(usize) -> Result<Option<bool>, Fault>,
) -> (BooleanArray, Faults) {
    let mut faults = Faults::default();
    let mut builder = BooleanBuilder::with_capacity(rows);
    for row in 0..rows {
        match value(row) {
            Ok(value) => builder.append_option(value),
            Err(fault) => {
                builder.append_null();
                faults.push(row, fault);
            }
        }
    }
    (builder.finish(), faults)
}

/// A column of texts. `write` appends the row's text and says whether there is one; it must leave
/// alone what stands in the buffer already.
pub(crate) fn texts(
    rows: usize,
    mut write: impl FnMut(usize, &mut String) -> Result<Option<()>, Fault>,
) -> Result<Computed> {
    let mut faults = Faults::default();
    let mut values = String::new();
    let mut offsets: Vec<i32> = Vec::with_capacity(rows + 1);
    let mut nulls = NullBufferBuilder::new(rows);
    let mut end = 0;
    offsets.push(0);
    for row in 0..rows {
        let start = values.len();
        let written = write(row, &mut values).and_then(|written| match i32::try_from(values.len()) {
            Ok(next) if values.len() - start <= VALUE_BYTES_MAX => Ok(written.map(|()| next)),
            _ => Err(Fault::TEXT_SIZE),
        });
        match written {
            Ok(Some(next)) => {
                end = next;
                nulls.append_non_null();
            }
            absent => {
                values.truncate(start);
                nulls.append_null();
                if let Err(fault) = absent {
                    faults.push(row, fault);
                }
            }
        }
        offsets.push(end);
    }
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    let array = StringArray::try_new(offsets, Buffer::from(values.into_bytes()), nulls.finish());
    Ok((Arc::new(array.map_err(broken)?), faults))
}

/// A column of bytes.
pub(crate) fn binaries(
    rows: usize,
    mut value: impl FnMut(usize) -> Result<Option<Vec<u8>>, Fault>,
) -> Computed {
    let mut faults = Faults::default();
    let mut builder = BinaryBuilder::with_capacity(rows, 0);
    for row in 0..rows {
        let size = builder.values_slice().len();
        match value(row) {
            Ok(Some(bytes)) if size + bytes.len() <= i32::MAX as usize => builder.append_value(bytes),
            Ok(None) => builder.append_null(),
            failed => {
                builder.append_null();
                faults.push(row, failed.err().unwrap_or(Fault::TEXT_SIZE));
            }
        }
    }
    let array: BinaryArray = builder.finish();
    (Arc::new(array), faults)
}

/// A column of 16 bytes a row: intervals and UUIDs.
pub(crate) fn sixteens(
    rows: usize,
    mut value: impl FnMut(usize) -> Result<Option<[u8; 16]>, Fault>,
) -> Result<Computed> {
    let mut faults = Faults::default();
    let mut builder = FixedSizeBinaryBuilder::with_capacity(rows, 16);
    for row in 0..rows {
        match value(row) {
            Ok(Some(bytes)) => builder.append_value(bytes).map_err(broken)?,
            Ok(None) => builder.append_null(),
            Err(fault) => {
                builder.append_null();
                faults.push(row, fault);
            }
        }
    }
    let array: FixedSizeBinaryArray = builder.finish();
    Ok((Arc::new(array), faults))
}
