//! The expression language: SQL expressions with PostgreSQL's meaning, over Arrow columns.
//!
//! Text is parsed ([`parse`]), bound to columns and types ([`bind`]) and evaluated a batch at a
//! time ([`eval`]). A mistake of the author is an error when binding; what a row's values can cause
//! fails that row only ([`fault`]).

mod arithmetic;
pub(crate) mod bind;
mod calendar;
mod cast;
mod choose;
mod compare;
pub(crate) mod eval;
mod exact;
pub(crate) mod fault;
mod functions;
mod interval_text;
pub(crate) mod kind;
pub(crate) mod node;
pub(crate) mod number;
pub(crate) mod operand;
mod parse;
mod pattern;
pub(crate) mod problem;

use arrow_array::{ArrayRef, RecordBatch};
use syncline_connect::Reject;
use syncline_types::{Error, LogicalType, Result, TableSchema, codes};

use self::{bind::ScopeColumn, fault::Faults};

/// The columns of a schema, each in the slot of its place.
pub(crate) fn scope(schema: &TableSchema) -> Vec<ScopeColumn> {
    schema
        .columns
        .iter()
        .enumerate()
        .map(|(slot, column)| ScopeColumn {
            name: column.name.clone(),
            slot,
            logical: column.logical,
            nullable: column.nullable,
        })
        .collect()
}

/// Evaluates one expression over a batch of `schema`: its type, one value a row, and the rows on
/// which it failed, whose values mean nothing.
///
/// # Errors
/// [`codes::BAD_EXPRESSION`] or [`codes::UNKNOWN_COLUMN`] with line and column in the expression.
pub fn evaluate(
    expression: &str,
    schema: &TableSchema,
    rows: &RecordBatch,
) -> Result<(LogicalType, ArrayRef, Vec<Reject>)> {
    let object = "the expression";
    let expr = bind::value(expression, &scope(schema)).map_err(|problem| problem.into_error(object))?;
    let slots: Vec<Option<ArrayRef>> = rows.columns().iter().cloned().map(Some).collect();
    let value = eval::evaluate(&expr, &slots, rows.num_rows())?;
    let array = value.values.expanded(rows.num_rows())?;
    Ok((expr.logical, array, rejects(&value.faults, object)))
}

/// A reject for each row that failed; `object` names the step.
pub(crate) fn rejects(faults: &Faults, object: &str) -> Vec<Reject> {
    faults
        .iter()
        .map(|(row, fault)| Reject {
            row: u32::try_from(row).unwrap_or(u32::MAX),
            place: None,
            error: Error::new(&codes::STEP_FAILED, "run", object).because(fault.0),
        })
        .collect()
}
