//! Comparisons, by PostgreSQL's order of each type.
//!
//! Text is ordered by code points (PostgreSQL's "C" collation). NaN of a float is equal to itself
//! and greater than every number, and the two zeros are equal. Infinite dates and times are the
//! ends of their order. NaN in an exact number fails the row.

use std::{cmp::Ordering, sync::Arc};

use arrow_array::{
    Array, ArrayAccessor, ArrayRef, ArrowPrimitiveType, BooleanArray, Decimal128Array, Decimal256Array,
    FixedSizeBinaryArray, PrimitiveArray, StringArray,
    cast::AsArray,
    types::{Float32Type, Float64Type},
};
use arrow_ord::cmp;
use syncline_types::{
    Comparison, LogicalType, Result,
    interval::Interval,
    special::{DECIMAL128_NAN, DECIMAL256_NAN},
};

use super::{
    fault::{Fault, Faults},
    kind::Kind,
    number,
    operand::{Operand, View, booleans, broken},
};

/// Microseconds of a day and days of a month, as PostgreSQL counts when it compares intervals.
const DAY_MICROS: i128 = 86_400_000_000;
const MONTH_DAYS: i128 = 30;

/// Whether values of this type have an order and can be equal.
pub(crate) fn comparable(logical: LogicalType) -> bool {
    !matches!(Kind::of(logical), Kind::Json | Kind::Opaque)
}

/// `left <op> right`, both of type `logical`.
pub(crate) fn compare(
    op: Comparison,
    left: &Operand,
    right: &Operand,
    logical: LogicalType,
    rows: usize,
) -> Result<(BooleanArray, Faults)> {
    match logical {
        LogicalType::Float32 => by_arrow(op, &ordered::<Float32Type>(left), &ordered::<Float32Type>(right)),
        LogicalType::Float64 => by_arrow(op, &ordered::<Float64Type>(left), &ordered::<Float64Type>(right)),
        LogicalType::Interval => {
            let (a, b) = (left.view::<FixedSizeBinaryArray>()?, right.view::<FixedSizeBinaryArray>()?);
            Ok(by_row(op, a, b, rows, |a, b| Ok(interval_length(a).cmp(&interval_length(b)))))
        }
        LogicalType::Numeric => {
            let (a, b) = (left.view::<StringArray>()?, right.view::<StringArray>()?);
            Ok(by_row(op, a, b, rows, number::compare_texts))
        }
        LogicalType::Decimal { .. } => {
            let (result, _) = by_arrow(op, left, right)?;
            let faults = not_a_number(&[left, right], &result);
            Ok((result, faults))
        }
        _ => by_arrow(op, left, right),
    }
}

/// `left IS [NOT] DISTINCT FROM right`: NULL is a value like others.
pub(crate) fn distinct(
    left: &Operand,
    right: &Operand,
    logical: LogicalType,
    rows: usize,
    negated: bool,
) -> Result<(BooleanArray, Faults)> {
    let (unequal, faults) = compare(Comparison::NotEqual, left, right, logical, rows)?;
    let distinct = |row| match (left.is_null(row), right.is_null(row)) {
        (true, true) => false,
        (false, false) => unequal.is_valid(row) && unequal.value(row),
        _ => true,
    };
    Ok((BooleanArray::from_iter((0..rows).map(|row| Some(distinct(row) != negated))), faults))
}

fn by_arrow(op: Comparison, left: &Operand, right: &Operand) -> Result<(BooleanArray, Faults)> {
    let result = match op {
        Comparison::Equal => cmp::eq(left, right),
        Comparison::NotEqual => cmp::neq(left, right),
        Comparison::Less => cmp::lt(left, right),
        Comparison::LessOrEqual => cmp::lt_eq(left, right),
        Comparison::Greater => cmp::gt(left, right),
        Comparison::GreaterOrEqual => cmp::gt_eq(left, right),
    };
    Ok((result.map_err(broken)?, Faults::default()))
}

fn by_row<'a, A: 'a>(
    op: Comparison,
    left: View<'a, A>,
    right: View<'a, A>,
    rows: usize,
    order: impl Fn(<&'a A as ArrayAccessor>::Item, <&'a A as ArrayAccessor>::Item) -> Result<Ordering, Fault>,
) -> (BooleanArray, Faults)
where
    &'a A: ArrayAccessor,
{
    booleans(rows, |row| {
        let Some((a, b)) = left.get(row).zip(right.get(row)) else { return Ok(None) };
        order(a, b).map(|order| Some(holds(op, order)))
    })
}

fn holds(op: Comparison, order: Ordering) -> bool {
    match op {
        Comparison::Equal => order.is_eq(),
        Comparison::NotEqual => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
    }
}

/// Floats with one zero and one NaN, which Arrow's total order then compares as PostgreSQL does.
fn ordered<T: FloatType>(operand: &Operand) -> Operand {
    let array: ArrayRef = Arc::new(operand.array().as_primitive::<T>().unary::<_, T>(T::one_of_a_kind));
    if operand.is_constant() { Operand::constant(array) } else { Operand::column(array) }
}

trait FloatType: ArrowPrimitiveType {
    fn one_of_a_kind(value: Self::Native) -> Self::Native;
}

impl FloatType for Float32Type {
    fn one_of_a_kind(value: f32) -> f32 {
        // Adding zero turns -0 into 0.
        if value.is_nan() { f32::NAN } else { value + 0.0 }
    }
}

impl FloatType for Float64Type {
    fn one_of_a_kind(value: f64) -> f64 {
        if value.is_nan() { f64::NAN } else { value + 0.0 }
    }
}

/// An interval as PostgreSQL compares it: in microseconds, a month being 30 days of 24 hours.
fn interval_length(bytes: &[u8]) -> i128 {
    let interval = Interval::from_bytes(bytes.try_into().unwrap_or_default());
    let days = i128::from(interval.months) * MONTH_DAYS + i128::from(interval.days);
    days * DAY_MICROS + i128::from(interval.micros)
}

/// The rows whose comparison came out and met a NaN.
fn not_a_number(operands: &[&Operand], result: &BooleanArray) -> Faults {
    let mut faults = Faults::default();
    if !operands.iter().any(|operand| holds_nan(operand.array())) {
        return faults;
    }
    for row in (0..result.len()).filter(|row| result.is_valid(*row)) {
        if operands.iter().any(|operand| is_nan(operand.array(), operand.index(row))) {
            faults.push(row, Fault::NOT_A_NUMBER);
        }
    }
    faults
}

fn holds_nan(array: &ArrayRef) -> bool {
    fn any<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, nan: T::Native) -> bool {
        array.values().contains(&nan)
    }
    let any_array = array.as_any();
    any_array.downcast_ref::<Decimal128Array>().is_some_and(|array| any(array, DECIMAL128_NAN))
        || any_array.downcast_ref::<Decimal256Array>().is_some_and(|array| any(array, DECIMAL256_NAN))
}

fn is_nan(array: &ArrayRef, index: usize) -> bool {
    let any = array.as_any();
    any.downcast_ref::<Decimal128Array>().is_some_and(|array| array.value(index) == DECIMAL128_NAN)
        || any.downcast_ref::<Decimal256Array>().is_some_and(|array| array.value(index) == DECIMAL256_NAN)
}
