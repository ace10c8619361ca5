//! Logic of three values and the choice between values: AND, OR, CASE, COALESCE.
//!
//! A failure counts only on rows that really ask for the value it belongs to.

use std::sync::Arc;

use arrow_arith::boolean;
use arrow_array::{Array, ArrayRef, BooleanArray, cast::AsArray, new_null_array};
use arrow_select::interleave::interleave;
use syncline_types::{LogicalType, Result};

use super::{
    eval::Evaluated,
    fault::{Fault, Faults},
    operand::{Computed, Operand, booleans, broken},
};

/// What one operand says of a row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Known(bool),
    Unknown,
}

fn answer(array: &BooleanArray, operand: &Operand, row: usize) -> Answer {
    let index = operand.index(row);
    if array.is_null(index) { Answer::Unknown } else { Answer::Known(array.value(index)) }
}

/// AND (`deciding` is false) or OR (`deciding` is true): the deciding value wins over NULL, and what
/// stands behind it is not asked.
pub(crate) fn junction(parts: &[Evaluated], deciding: bool, rows: usize) -> Result<Computed> {
    if parts.iter().all(|part| part.faults.is_empty()) {
        return kleene(parts, deciding, rows);
    }
    let views: Vec<(&BooleanArray, &Evaluated)> =
        parts.iter().map(|part| (part.values.array().as_boolean(), part)).collect();
    let (array, faults) = booleans(rows, |row| {
        let mut unknown = false;
        for (array, part) in &views {
            if let Some(fault) = part.faults.get(row) {
                return Err(fault);
            }
            match answer(array, &part.values, row) {
                Answer::Known(value) if value == deciding => return Ok(Some(deciding)),
                Answer::Known(_) => {}
                Answer::Unknown => unknown = true,
            }
        }
        Ok((!unknown).then_some(!deciding))
    });
    Ok((Arc::new(array), faults))
}

/// The usual case, where nothing failed.
fn kleene(parts: &[Evaluated], deciding: bool, rows: usize) -> Result<Computed> {
    let kernel = if deciding { boolean::or_kleene } else { boolean::and_kleene };
    let mut result: Option<BooleanArray> = None;
    for part in parts {
        let next = part.values.clone().expanded(rows)?.as_boolean().clone();
        result = Some(match result {
            Some(before) => kernel(&before, &next).map_err(broken)?,
            None => next,
        });
    }
    let result = result.unwrap_or_else(|| BooleanArray::from(vec![!deciding; rows]));
    Ok((Arc::new(result), Faults::default()))
}

/// `IS [NOT] TRUE` or `IS [NOT] FALSE`.
pub(crate) fn is_truth(value: &Operand, truth: bool, negated: bool, rows: usize) -> ArrayRef {
    let array = value.array().as_boolean();
    let is = |row| answer(array, value, row) == Answer::Known(truth);
    Arc::new(BooleanArray::from_iter((0..rows).map(|row| Some(is(row) != negated))))
}

/// The value beside the first condition that is true, else the last value; NULL without one.
pub(crate) fn case(
    branches: &[(Evaluated, Evaluated)],
    otherwise: Option<&Evaluated>,
    logical: LogicalType,
    rows: usize,
) -> Result<Computed> {
    let conditions: Vec<&BooleanArray> =
        branches.iter().map(|(when, _)| when.values.array().as_boolean()).collect();
    let values: Vec<&Evaluated> = branches.iter().map(|(_, then)| then).chain(otherwise).collect();
    pick(&values, logical, rows, |row| {
        for (at, (when, _)) in branches.iter().enumerate() {
            if let Some(fault) = when.faults.get(row) {
                return Err(fault);
            }
            if answer(conditions[at], &when.values, row) == Answer::Known(true) {
                return Ok(Some(at));
            }
        }
        Ok(otherwise.map(|_| branches.len()))
    })
}

/// The first value that is not NULL.
pub(crate) fn coalesce(values: &[Evaluated], logical: LogicalType, rows: usize) -> Result<Computed> {
    let all: Vec<&Evaluated> = values.iter().collect();
    pick(&all, logical, rows, |row| {
        Ok(values.iter().position(|value| value.faults.get(row).is_some() || !value.values.is_null(row)))
    })
}

/// Puts a column together from several: `choose` says for a row which, or NULL.
pub(crate) fn pick(
    values: &[&Evaluated],
    logical: LogicalType,
    rows: usize,
    mut choose: impl FnMut(usize) -> Result<Option<usize>, Fault>,
) -> Result<Computed> {
    let null = new_null_array(&logical.arrow(), 1);
    let mut arrays: Vec<&dyn Array> = values.iter().map(|value| value.values.array().as_ref()).collect();
    arrays.push(null.as_ref());
    let nothing = (values.len(), 0);
    let mut faults = Faults::default();
    let places: Vec<(usize, usize)> = (0..rows)
        .map(|row| match choose(row) {
            Ok(Some(at)) => match values[at].faults.get(row) {
                Some(fault) => {
                    faults.push(row, fault);
                    nothing
                }
                None => (at, values[at].values.index(row)),
            },
            Ok(None) => nothing,
            Err(fault) => {
                faults.push(row, fault);
                nothing
            }
        })
        .collect();
    Ok((interleave(&arrays, &places).map_err(broken)?, faults))
}
