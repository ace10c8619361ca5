//! `+ - * / %` and the sign on numbers, with PostgreSQL's result types and failures.
//!
//! Integers stay within their width. Exact numbers stay exact: their types grow with the digits a
//! result can have, and a quotient has the scale PostgreSQL gives it. Floats fail where a result
//! leaves their range.

use std::ops;

use arrow_arith::numeric;
use arrow_array::{
    ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, Datum, PrimitiveArray,
    types::{Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type},
};
use arrow_schema::ArrowError;
use syncline_types::{Error, LogicalType, Result, codes};

use super::{
    exact,
    fault::{Fault, Faults},
    kind::{digits, exact as exact_type},
    node::Call,
    number::Number,
    operand::{Computed, primitives},
};

/// An operator between two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Operator {
    /// As it is written.
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Operator::Add => "+",
            Operator::Subtract => "-",
            Operator::Multiply => "*",
            Operator::Divide => "/",
            Operator::Remainder => "%",
        }
    }
}

/// The type that holds every result of an operator between exact numbers.
pub(crate) fn exact_result(op: Operator, left: LogicalType, right: LogicalType) -> LogicalType {
    let (Some((left_digits, left_scale)), Some((right_digits, right_scale))) = (digits(left), digits(right))
    else {
        return LogicalType::Numeric;
    };
    let left_whole = left_digits.saturating_sub(left_scale);
    let right_whole = right_digits.saturating_sub(right_scale);
    let scale = left_scale.max(right_scale);
    match op {
        Operator::Add | Operator::Subtract => exact_type(left_whole.max(right_whole) + 1, scale),
        Operator::Multiply => exact_type(left_whole + right_whole, left_scale + right_scale),
        Operator::Remainder => exact_type(left_whole.min(right_whole), scale),
        // Each quotient has its own scale.
        Operator::Divide => LogicalType::Numeric,
    }
}

/// Two numbers. Integers and floats have the result's type; exact numbers have any exact type.
pub(crate) fn binary(op: Operator, call: &Call<'_>) -> Result<Computed> {
    match call.returns {
        LogicalType::Int16 => integers::<Int16Type>(op, call),
        LogicalType::Int32 => integers::<Int32Type>(op, call),
        LogicalType::Int64 => integers::<Int64Type>(op, call),
        LogicalType::Float32 => floats::<Float32Type>(op, call),
        LogicalType::Float64 => floats::<Float64Type>(op, call),
        LogicalType::Decimal { .. } | LogicalType::Numeric => exacts(op, call),
        other => Err(no_number(other)),
    }
}

/// The number with its sign turned.
pub(crate) fn negate(call: &Call<'_>) -> Result<Computed> {
    match call.returns {
        LogicalType::Int16 => negate_integers::<Int16Type>(call),
        LogicalType::Int32 => negate_integers::<Int32Type>(call),
        LogicalType::Int64 => negate_integers::<Int64Type>(call),
        LogicalType::Float32 => negate_floats::<Float32Type>(call),
        LogicalType::Float64 => negate_floats::<Float64Type>(call),
        LogicalType::Decimal { .. } | LogicalType::Numeric => {
            let read = exact::numbers(&call.args[0], call.types[0])?;
            exact::column(call.rows, call.returns, |row| Ok(read(row)?.map(Number::negated)))
        }
        other => Err(no_number(other)),
    }
}

fn no_number(logical: LogicalType) -> Error {
    Error::new(&codes::BROKEN_INVARIANT, "evaluate an expression", "")
        .because(format!("{logical} is no number"))
}

fn negate_integers<T: ArrowPrimitiveType>(call: &Call<'_>) -> Result<Computed> {
    let view = call.args[0].view::<PrimitiveArray<T>>()?;
    Ok(primitives::<T>(call.rows, call.returns, |row| {
        view.get(row).map(|value| value.neg_checked().map_err(|_| Fault::INTEGER_RANGE)).transpose()
    }))
}

fn negate_floats<T: ArrowPrimitiveType>(call: &Call<'_>) -> Result<Computed> {
    let view = call.args[0].view::<PrimitiveArray<T>>()?;
    Ok(primitives::<T>(call.rows, call.returns, |row| Ok(view.get(row).map(|value| value.neg_wrapping()))))
}

type ArrowKernel = fn(&dyn Datum, &dyn Datum) -> Result<ArrayRef, ArrowError>;

/// Arrow's kernel for the whole column; only where it finds a failure, each row by itself.
fn integers<T: ArrowPrimitiveType>(op: Operator, call: &Call<'_>) -> Result<Computed> {
    let kernel: ArrowKernel = match op {
        Operator::Add => numeric::add,
        Operator::Subtract => numeric::sub,
        Operator::Multiply => numeric::mul,
        Operator::Divide => numeric::div,
        Operator::Remainder => numeric::rem,
    };
    if let Ok(array) = kernel(&call.args[0], &call.args[1]) {
        return Ok((array, Faults::default()));
    }
    let (left, right) =
        (call.args[0].view::<PrimitiveArray<T>>()?, call.args[1].view::<PrimitiveArray<T>>()?);
    Ok(primitives::<T>(call.rows, call.returns, |row| {
        let Some((a, b)) = left.get(row).zip(right.get(row)) else { return Ok(None) };
        integer::<T>(op, a, b).map(Some)
    }))
}

fn integer<T: ArrowPrimitiveType>(op: Operator, a: T::Native, b: T::Native) -> Result<T::Native, Fault> {
    let divides = matches!(op, Operator::Divide | Operator::Remainder);
    if divides && b.is_zero() {
        return Err(Fault::DIVISION_BY_ZERO);
    }
    match op {
        Operator::Add => a.add_checked(b),
        Operator::Subtract => a.sub_checked(b),
        Operator::Multiply => a.mul_checked(b),
        Operator::Divide => a.div_checked(b),
        Operator::Remainder => return Ok(a.mod_wrapping(b)),
    }
    .map_err(|_| Fault::INTEGER_RANGE)
}

fn floats<T: ArrowPrimitiveType>(op: Operator, call: &Call<'_>) -> Result<Computed>
where
    T::Native: Into<f64>
        + ops::Add<Output = T::Native>
        + ops::Sub<Output = T::Native>
        + ops::Mul<Output = T::Native>
        + ops::Div<Output = T::Native>,
{
    let (left, right) =
        (call.args[0].view::<PrimitiveArray<T>>()?, call.args[1].view::<PrimitiveArray<T>>()?);
    Ok(primitives::<T>(call.rows, call.returns, |row| {
        let Some((a, b)) = left.get(row).zip(right.get(row)) else { return Ok(None) };
        let (wide_a, wide_b): (f64, f64) = (a.into(), b.into());
        if op == Operator::Divide && wide_b == 0.0 && !wide_a.is_nan() {
            return Err(Fault::DIVISION_BY_ZERO);
        }
        let result = match op {
            Operator::Add => a + b,
            Operator::Subtract => a - b,
            Operator::Multiply => a * b,
            Operator::Divide => a / b,
            // The binder knows that floats have no remainder.
            Operator::Remainder => return Err(Fault("floats have no remainder")),
        };
        check_float(op, wide_a, wide_b, result.into())?;
        Ok(Some(result))
    }))
}

/// Whether a result is infinite or zero only because it did not fit.
fn check_float(op: Operator, a: f64, b: f64, result: f64) -> Result<(), Fault> {
    let infinite_before = a.is_infinite() || (b.is_infinite() && op != Operator::Divide);
    if result.is_infinite() && !infinite_before {
        return Err(Fault::FLOAT_OVERFLOW);
    }
    let vanished = match op {
        Operator::Multiply => a != 0.0 && b != 0.0,
        Operator::Divide => a != 0.0 && !b.is_infinite(),
        _ => false,
    };
    if result == 0.0 && vanished { Err(Fault::FLOAT_UNDERFLOW) } else { Ok(()) }
}

fn exacts(op: Operator, call: &Call<'_>) -> Result<Computed> {
    if let Some(fast) = short_exacts(op, call)? {
        return Ok(fast);
    }
    let left = exact::numbers(&call.args[0], call.types[0])?;
    let right = exact::numbers(&call.args[1], call.types[1])?;
    exact::column(call.rows, call.returns, |row| {
        let Some((a, b)) = exact::both(left(row), right(row))? else { return Ok(None) };
        let result = match op {
            Operator::Add => a.plus(b),
            Operator::Subtract => a.minus(b),
            Operator::Multiply => a.times(b),
            Operator::Divide => a.divided_by(b),
            Operator::Remainder => a.remainder(b),
        };
        result.map(Some)
    })
}

/// Sums and products of up to 38 digits, in 128 bits.
fn short_exacts(op: Operator, call: &Call<'_>) -> Result<Option<Computed>> {
    let LogicalType::Decimal { precision: ..=38, scale } = call.returns else { return Ok(None) };
    let (Some(left), Some(right)) =
        (exact::units(&call.args[0], call.types[0])?, exact::units(&call.args[1], call.types[1])?)
    else {
        return Ok(None);
    };
    let unit = |arg: usize| {
        let own = digits(call.types[arg]).map_or(0, |(_, scale)| scale);
        10_i128.pow(u32::from(scale.saturating_sub(own)))
    };
    let (left_unit, right_unit) = (unit(0), unit(1));
    let compute = move |a: i128, b: i128| match op {
        Operator::Add => a.checked_mul(left_unit)?.checked_add(b.checked_mul(right_unit)?),
        Operator::Subtract => a.checked_mul(left_unit)?.checked_sub(b.checked_mul(right_unit)?),
        Operator::Multiply => a.checked_mul(b),
        Operator::Divide | Operator::Remainder => None,
    };
    if matches!(op, Operator::Divide | Operator::Remainder) {
        return Ok(None);
    }
    Ok(Some(primitives::<Decimal128Type>(call.rows, call.returns, |row| {
        let Some((a, b)) = exact::both(left(row), right(row))? else { return Ok(None) };
        compute(a, b).map(Some).ok_or(Fault::NUMBER_SIZE)
    })))
}
