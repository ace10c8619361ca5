//! Constants.

use std::sync::Arc;

use arrow_array::BooleanArray;
use sqlparser::{
    ast::{self, Value, ValueWithSpan},
    tokenizer::Location,
};
use syncline_types::{LogicalType, decimal::Digits};

use super::{
    call::explicit_cast,
    data_type,
    typed::{Typed, digits_type},
};
use crate::expr::{node::Expr, parse, problem::Problem};

pub(super) fn value(value: &ValueWithSpan) -> Result<Typed, Problem> {
    let at = parse::located(value.span.start);
    match &value.value {
        Value::Null => Ok(Typed::unknown(None, at)),
        Value::Boolean(truth) => {
            let array = Arc::new(BooleanArray::from(vec![*truth]));
            Ok(Typed::known(Expr::literal(array, LogicalType::Bool), at))
        }
        Value::Number(text, _) => number(text, at),
        Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => {
            Ok(Typed::unknown(Some(text), at))
        }
        Value::DollarQuotedString(string) => Ok(Typed::unknown(Some(&string.value), at)),
        other => Err(Problem::new(at, format!("constants like {other} are not understood"))),
    }
}

/// A number with a minus before it: the sign decides with which type holds it.
pub(super) fn negative(inner: &ast::Expr) -> Result<Option<Typed>, Problem> {
    match inner {
        ast::Expr::Value(ValueWithSpan { value: Value::Number(text, _), span }) => {
            number(&format!("-{text}"), parse::located(span.start)).map(Some)
        }
        _ => Ok(None),
    }
}

/// The smallest of `integer`, `bigint` and `numeric` that holds it, as in PostgreSQL.
fn number(text: &str, at: Option<Location>) -> Result<Typed, Problem> {
    let bad = || Problem::new(at, format!("`{text}` is no number"));
    let logical = if text.parse::<i32>().is_ok() {
        LogicalType::Int32
    } else if text.parse::<i64>().is_ok() {
        LogicalType::Int64
    } else {
        digits_type(&Digits::parse(text).ok_or_else(bad)?)
    };
    Ok(Typed::known(Typed::unknown(Some(text), at).cast(logical)?, at))
}

/// `date '2024-02-29'` and its like.
pub(super) fn typed_string(string: &ast::TypedString, at: Option<Location>) -> Result<Typed, Problem> {
    let to = data_type::resolve(&string.data_type, at)?;
    let text = value(&string.value)?;
    Ok(Typed::known(explicit_cast(text, to)?, at))
}

/// `interval '1 day'`, `interval '1' day`
pub(super) fn interval(interval: &ast::Interval, at: Option<Location>) -> Result<Typed, Problem> {
    let ast::Expr::Value(constant) = interval.value.as_ref() else {
        return Err(Problem::new(at, "an interval is written as a constant string")
            .hint("To scale one, multiply it: `days * interval '1 day'`"));
    };
    let text = value(constant)?;
    let Some(words) = text.string() else {
        return Err(Problem::new(at, "an interval is written as a constant string"));
    };
    let whole = match &interval.leading_field {
        _ if interval.last_field.is_some() || interval.leading_precision.is_some() => {
            return Err(Problem::new(at, "fields and digits of an interval are not understood")
                .hint("Write the units into the string: `interval '1 day 2 hours'`"));
        }
        Some(field) => Typed::unknown(Some(&format!("{words} {field}")), at),
        None => text,
    };
    Ok(Typed::known(whole.cast(LogicalType::Interval)?, at))
}
