//! Functions of numbers. As in PostgreSQL, those without a version for integers take them as
//! `double precision`.

use arrow_array::{
    ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, PrimitiveArray,
    cast::AsArray,
    types::{Float32Type, Float64Type, Int16Type, Int32Type, Int64Type},
};
use syncline_types::{LogicalType, Result};

use super::{Function, Overload, Returns, strict};
use crate::expr::{
    arithmetic::{self, Operator, exact_result},
    exact,
    fault::Fault,
    kind::{
        Kind::{Float4, Float8, Int2, Int4, Int8, Number as Exact},
        digits, exact as exact_type,
    },
    node::{Call, Expr, Node},
    number::{Number, Rounding},
    operand::{Computed, primitives},
};

const FLOAT8: Returns = Returns::Type(LogicalType::Float64);
const NUMERIC: Returns = Returns::Type(LogicalType::Numeric);
const SAME: Returns = Returns::By(|args| args[0].logical);

pub(super) static FUNCTIONS: &[Function] = &[
    Function { name: "abs", overloads: ABS },
    Function {
        name: "sign",
        overloads: &[
            strict(&[Exact], Returns::Type(LogicalType::Decimal { precision: 1, scale: 0 }), sign),
            strict(&[Float8], FLOAT8, sign_float),
        ],
    },
    Function {
        name: "round",
        overloads: &[
            strict(&[Exact], Returns::By(whole_type), round),
            strict(&[Exact, Int4], Returns::By(rounded_type), round),
            strict(&[Float8], FLOAT8, |call| floats(call, |value| Ok(value.round_ties_even()))),
        ],
    },
    Function {
        name: "trunc",
        overloads: &[
            strict(&[Exact], Returns::By(whole_type), trunc),
            strict(&[Exact, Int4], Returns::By(rounded_type), trunc),
            strict(&[Float8], FLOAT8, |call| floats(call, |value| Ok(value.trunc()))),
        ],
    },
    Function { name: "ceil", overloads: CEIL },
    Function { name: "ceiling", overloads: CEIL },
    Function {
        name: "floor",
        overloads: &[
            strict(&[Exact], Returns::By(whole_type), |call| to_scale(call, Rounding::Floor)),
            strict(&[Float8], FLOAT8, |call| floats(call, |value| Ok(value.floor()))),
        ],
    },
    Function { name: "mod", overloads: MOD },
    Function {
        name: "power",
        overloads: &[strict(&[Exact, Exact], NUMERIC, power), strict(&[Float8, Float8], FLOAT8, power_float)],
    },
    Function {
        name: "sqrt",
        overloads: &[strict(&[Exact], NUMERIC, sqrt), strict(&[Float8], FLOAT8, sqrt_float)],
    },
];

static ABS: &[Overload] = &[
    strict(&[Int2], SAME, abs),
    strict(&[Int4], SAME, abs),
    strict(&[Int8], SAME, abs),
    strict(&[Exact], SAME, abs),
    strict(&[Float4], SAME, abs),
    strict(&[Float8], SAME, abs),
];

static CEIL: &[Overload] = &[
    strict(&[Exact], Returns::By(whole_type), |call| to_scale(call, Rounding::Ceiling)),
    strict(&[Float8], FLOAT8, |call| floats(call, |value| Ok(value.ceil()))),
];

static MOD: &[Overload] = &[
    strict(&[Int2, Int2], SAME, remainder),
    strict(&[Int4, Int4], SAME, remainder),
    strict(&[Int8, Int8], SAME, remainder),
    strict(
        &[Exact, Exact],
        Returns::By(|args| exact_result(Operator::Remainder, args[0].logical, args[1].logical)),
        remainder,
    ),
];

/// The type of an exact number without its fraction, which rounding may make a digit longer.
fn whole_type(args: &[Expr]) -> LogicalType {
    match digits(args[0].logical) {
        Some((precision, scale)) => exact_type(precision.saturating_sub(scale) + 1, 0),
        None => LogicalType::Numeric,
    }
}

/// The type of an exact number rounded to so many places, if they are a constant.
fn rounded_type(args: &[Expr]) -> LogicalType {
    let places = match &args[1].node {
        Node::Literal(places) if !places.is_null(0) => Some(constant_int(places)),
        _ => None,
    };
    let (Some((precision, scale)), Some(places)) = (digits(args[0].logical), places) else {
        return LogicalType::Numeric;
    };
    match u8::try_from(places.max(0)) {
        Ok(places) if places <= 76 => exact_type(precision.saturating_sub(scale) + 1, places),
        _ => LogicalType::Numeric,
    }
}

fn constant_int(array: &ArrayRef) -> i32 {
    array.as_primitive_opt::<Int32Type>().map_or(0, |array| array.value(0))
}

/// A function of one float.
fn floats(call: &Call<'_>, of: impl Fn(f64) -> Result<f64, Fault>) -> Result<Computed> {
    let values = call.float64(0)?;
    Ok(primitives::<Float64Type>(call.rows, call.returns, |row| values.get(row).map(&of).transpose()))
}

/// A function of one exact number.
fn exacts(call: &Call<'_>, of: impl Fn(Number) -> Result<Number, Fault>) -> Result<Computed> {
    let read = exact::numbers(&call.args[0], call.types[0])?;
    exact::column(call.rows, call.returns, |row| read(row)?.map(&of).transpose())
}

fn abs(call: &Call<'_>) -> Result<Computed> {
    match call.returns {
        LogicalType::Int16 => abs_integers::<Int16Type>(call),
        LogicalType::Int32 => abs_integers::<Int32Type>(call),
        LogicalType::Int64 => abs_integers::<Int64Type>(call),
        LogicalType::Float32 => {
            let values = call.args[0].view::<PrimitiveArray<Float32Type>>()?;
            Ok(primitives::<Float32Type>(call.rows, call.returns, |row| Ok(values.get(row).map(f32::abs))))
        }
        LogicalType::Float64 => floats(call, |value| Ok(value.abs())),
        _ => exacts(call, |number| Ok(number.absolute())),
    }
}

fn abs_integers<T: ArrowPrimitiveType>(call: &Call<'_>) -> Result<Computed> {
    let values = call.args[0].view::<PrimitiveArray<T>>()?;
    Ok(primitives::<T>(call.rows, call.returns, |row| {
        let absolute = |value: T::Native| {
            if value.is_lt(T::Native::ZERO) {
                value.neg_checked().map_err(|_| Fault::INTEGER_RANGE)
            } else {
                Ok(value)
            }
        };
        values.get(row).map(absolute).transpose()
    }))
}

fn sign(call: &Call<'_>) -> Result<Computed> {
    exacts(call, |number| {
        Ok(Number::whole(match (number.is_zero(), number.is_negative()) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }))
    })
}

fn sign_float(call: &Call<'_>) -> Result<Computed> {
    floats(call, |value| {
        Ok(if value > 0.0 {
            1.0
        } else if value < 0.0 {
            -1.0
        } else {
            0.0
        })
    })
}

fn round(call: &Call<'_>) -> Result<Computed> {
    to_places(call, Rounding::HalfAway)
}

fn trunc(call: &Call<'_>) -> Result<Computed> {
    to_places(call, Rounding::Truncate)
}

fn to_scale(call: &Call<'_>, rounding: Rounding) -> Result<Computed> {
    exacts(call, |number| number.rounded(0, rounding))
}

/// Rounds to the places given as second argument, or to none.
fn to_places(call: &Call<'_>, rounding: Rounding) -> Result<Computed> {
    if call.args.len() == 1 {
        return to_scale(call, rounding);
    }
    let read = exact::numbers(&call.args[0], call.types[0])?;
    let places = call.int32(1)?;
    exact::column(call.rows, call.returns, |row| {
        let Some((number, places)) = exact::both(read(row), Ok(places.get(row)))? else { return Ok(None) };
        number.rounded(i64::from(places), rounding).map(Some)
    })
}

fn remainder(call: &Call<'_>) -> Result<Computed> {
    arithmetic::binary(Operator::Remainder, call)
}

fn power(call: &Call<'_>) -> Result<Computed> {
    let base = exact::numbers(&call.args[0], call.types[0])?;
    let exponent = exact::numbers(&call.args[1], call.types[1])?;
    exact::column(call.rows, call.returns, |row| {
        let Some((base, exponent)) = exact::both(base(row), exponent(row))? else { return Ok(None) };
        base.power(exponent).map(Some)
    })
}

fn power_float(call: &Call<'_>) -> Result<Computed> {
    let (bases, exponents) = (call.float64(0)?, call.float64(1)?);
    Ok(primitives::<Float64Type>(call.rows, call.returns, |row| {
        bases.get(row).zip(exponents.get(row)).map(|(base, exponent)| float_power(base, exponent)).transpose()
    }))
}

fn float_power(base: f64, exponent: f64) -> Result<f64, Fault> {
    if base == 0.0 && exponent < 0.0 {
        return Err(Fault::DIVISION_BY_ZERO);
    }
    if base < 0.0 && exponent.is_finite() && exponent.fract() != 0.0 {
        return Err(Fault("a negative number has no power with a fraction"));
    }
    let result = base.powf(exponent);
    let finite = base.is_finite() && exponent.is_finite();
    if result.is_infinite() && finite {
        Err(Fault::FLOAT_OVERFLOW)
    } else if result == 0.0 && finite && base != 0.0 {
        Err(Fault::FLOAT_UNDERFLOW)
    } else {
        Ok(result)
    }
}

fn sqrt(call: &Call<'_>) -> Result<Computed> {
    exacts(call, Number::square_root)
}

fn sqrt_float(call: &Call<'_>) -> Result<Computed> {
    floats(call, |value| {
        if value < 0.0 { Err(Fault("the square root of a negative number")) } else { Ok(value.sqrt()) }
    })
}
