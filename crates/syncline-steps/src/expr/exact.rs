//! Columns of exact numbers, read and written a value at a time whatever carries them.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, ArrowPrimitiveType, Decimal128Array, Decimal256Array, PrimitiveArray, StringArray,
    types::{
        Decimal128Type, Decimal256Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
        UInt32Type, UInt64Type,
    },
};
use syncline_types::{
    Error, LogicalType, Result, codes,
    special::{DECIMAL128_NAN, DECIMAL256_NAN},
};

use super::{
    fault::{Fault, Faults},
    number::Number,
    operand::{Computed, Operand, primitives, texts},
};

/// Reads a row's value; `None` is NULL.
pub(crate) type Read<'a, T> = Box<dyn Fn(usize) -> Result<Option<T>, Fault> + 'a>;

/// Both values of a row, unless one is NULL: what a NULL stands beside is not looked at.
pub(crate) fn both<A, B>(
    left: Result<Option<A>, Fault>,
    right: Result<Option<B>, Fault>,
) -> Result<Option<(A, B)>, Fault> {
    match (left, right) {
        (Ok(None), _) | (_, Ok(None)) => Ok(None),
        (left, right) => Ok(left?.zip(right?)),
    }
}

/// Integers of any width.
pub(crate) fn wholes(operand: &Operand, logical: LogicalType) -> Result<Read<'_, i128>> {
    use LogicalType as L;
    match logical {
        L::Int8 => integers::<Int8Type>(operand),
        L::Int16 => integers::<Int16Type>(operand),
        L::Int32 => integers::<Int32Type>(operand),
        L::Int64 => integers::<Int64Type>(operand),
        L::UInt8 => integers::<UInt8Type>(operand),
        L::UInt16 => integers::<UInt16Type>(operand),
        L::UInt32 => integers::<UInt32Type>(operand),
        L::UInt64 => integers::<UInt64Type>(operand),
        other => Err(not_exact(other)),
    }
}

fn integers<T: ArrowPrimitiveType>(operand: &Operand) -> Result<Read<'_, i128>>
where
    T::Native: Into<i128>,
{
    let view = operand.view::<PrimitiveArray<T>>()?;
    Ok(Box::new(move |row| Ok(view.get(row).map(Into::into))))
}

/// Integers, and decimals of up to 38 digits as whole numbers of their last digit; `None` for what
/// needs more room.
pub(crate) fn units(operand: &Operand, logical: LogicalType) -> Result<Option<Read<'_, i128>>> {
    match logical {
        LogicalType::Decimal { precision, .. } if precision <= 38 => {
            let view = operand.view::<Decimal128Array>()?;
            Ok(Some(Box::new(move |row| match view.get(row) {
                Some(DECIMAL128_NAN) => Err(Fault::NOT_A_NUMBER),
                value => Ok(value),
            })))
        }
        LogicalType::Decimal { .. } | LogicalType::Numeric => Ok(None),
        other => wholes(operand, other).map(Some),
    }
}

/// Exact numbers of any type.
pub(crate) fn numbers(operand: &Operand, logical: LogicalType) -> Result<Read<'_, Number>> {
    let scale = match logical {
        LogicalType::Decimal { scale, .. } => u32::from(scale),
        _ => 0,
    };
    if let Some(read) = units(operand, logical)? {
        return Ok(Box::new(move |row| read(row)?.map(|units| Number::new(units.into(), scale)).transpose()));
    }
    if logical == LogicalType::Numeric {
        let view = operand.view::<StringArray>()?;
        return Ok(Box::new(move |row| view.get(row).map(Number::parse).transpose()));
    }
    let view = operand.view::<Decimal256Array>()?;
    Ok(Box::new(move |row| match view.get(row) {
        Some(DECIMAL256_NAN) => Err(Fault::NOT_A_NUMBER),
        value => value.map(|units| Number::new(units, scale)).transpose(),
    }))
}

/// A column of exact numbers; a decimal is rounded to its scale, and one that is too large fails.
pub(crate) fn column(
    rows: usize,
    logical: LogicalType,
    mut value: impl FnMut(usize) -> Result<Option<Number>, Fault>,
) -> Result<Computed> {
    match logical {
        LogicalType::Decimal { precision, scale } if precision <= 38 => {
            Ok(primitives::<Decimal128Type>(rows, logical, |row| {
                let fitted =
                    |number: Number| number.fitted(precision, scale)?.to_i128().ok_or(Fault::NUMBER_SIZE);
                value(row)?.map(fitted).transpose()
            }))
        }
        LogicalType::Decimal { precision, scale } => Ok(primitives::<Decimal256Type>(rows, logical, |row| {
            value(row)?.map(|number| number.fitted(precision, scale)).transpose()
        })),
        LogicalType::Numeric => texts(rows, |row, out| Ok(value(row)?.map(|number| number.write(out)))),
        other => Err(not_exact(other)),
    }
}

/// The same values under another type that is carried alike.
pub(crate) fn relabelled(array: &ArrayRef) -> Computed {
    (Arc::clone(array), Faults::default())
}

fn not_exact(logical: LogicalType) -> Error {
    Error::new(&codes::BROKEN_INVARIANT, "evaluate an expression", "")
        .because(format!("{logical} is no exact number"))
}
