//! Rows as they arrive, in the columns that a folder's parts have.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, StringArray};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_select::filter::filter_record_batch;
use syncline_connect::{Outcome, Reject, Target, WriteMode};
use syncline_types::{Column, Error, LogicalType, Result, TableSchema, codes, text::Values};

/// Rows for a part, and what is said of those that are not among them.
#[derive(Debug)]
pub(crate) struct Conformed {
    pub(crate) rows: RecordBatch,
    pub(crate) refused: Vec<Outcome>,
    /// The place of each row in the batch that arrived, where some are missing.
    places: Option<Vec<u32>>,
}

impl Conformed {
    /// The place that a row had when it arrived.
    pub(crate) fn place(&self, row: u32) -> u32 {
        match &self.places {
            Some(places) => places.get(row as usize).copied().unwrap_or(row),
            None => row,
        }
    }
}

/// Turns a batch of `target` into one of `schema`, whose columns are among the target's.
///
/// # Errors
/// When the batch is not one of the target's schema.
pub(crate) fn conform(target: &Target, rows: &RecordBatch, schema: &TableSchema) -> Result<Conformed> {
    let mut why: Vec<Option<Error>> = vec![None; rows.num_rows()];
    if target.write == WriteMode::Merge {
        null_keys(target, rows, &mut why)?;
    }
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.columns.len());
    for column in &schema.columns {
        let broken = || {
            Error::new(&codes::BROKEN_INVARIANT, "write column", format!("`{}.{}`", target.name, column.name))
                .because("the batch has no such column")
        };
        let index = target.schema.index(&column.name).ok_or_else(broken)?;
        let array = rows.columns().get(index).ok_or_else(broken)?;
        let from = target.schema.columns.get(index).ok_or_else(broken)?;
        columns.push(convert(target, array, from, column, &mut why)?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    let rows = RecordBatch::try_new_with_options(schema.arrow(), columns, &options).map_err(|error| {
        Error::new(&codes::BROKEN_INVARIANT, "write rows to", format!("`{}`", target.name)).because(error)
    })?;
    if why.iter().all(Option::is_none) {
        return Ok(Conformed { rows, refused: vec![], places: None });
    }
    let fine = BooleanArray::from(why.iter().map(Option::is_none).collect::<Vec<_>>());
    let rows = filter_record_batch(&rows, &fine).map_err(|error| {
        Error::new(&codes::BROKEN_INVARIANT, "write rows to", format!("`{}`", target.name)).because(error)
    })?;
    let mut conformed = Conformed { rows, refused: vec![], places: Some(vec![]) };
    for (row, why) in (0_u32..).zip(why) {
        match (why, &mut conformed.places) {
            (Some(error), _) => conformed.refused.push(Outcome::Reject(Reject { row, place: None, error })),
            (None, Some(places)) => places.push(row),
            (None, None) => {}
        }
    }
    Ok(conformed)
}

/// Rows cannot be told apart by what is not there.
fn null_keys(target: &Target, rows: &RecordBatch, why: &mut [Option<Error>]) -> Result<()> {
    for (index, name) in target.schema.indexes(&target.key)?.into_iter().zip(&target.key) {
        let Some(array) = rows.columns().get(index).filter(|array| array.null_count() > 0) else { continue };
        let nulls = why.iter_mut().enumerate().filter(|(row, _)| array.is_null(*row));
        for (_, why) in nulls {
            why.get_or_insert_with(|| {
                Error::new(&codes::VALUE_REFUSED, "merge a row into", format!("`{}`", target.name))
                    .because(format!("its key `{name}` is NULL"))
            });
        }
    }
    Ok(())
}

/// A column's values in another type that takes them all; a row whose value it does not take is told.
fn convert(
    target: &Target,
    array: &ArrayRef,
    from: &Column,
    to: &Column,
    why: &mut [Option<Error>],
) -> Result<ArrayRef> {
    let wanted = to.logical.arrow();
    if from.logical.arrow() == wanted {
        return Ok(Arc::clone(array));
    }
    if wanted == LogicalType::TEXT.arrow() {
        let values = Values::new(array, from.logical)?;
        return Ok(Arc::new((0..array.len()).map(|row| values.text(row)).collect::<StringArray>()));
    }
    let options = CastOptions { safe: true, ..CastOptions::default() };
    let converted = cast_with_options(array, &wanted, &options).map_err(|error| {
        Error::new(&codes::BROKEN_INVARIANT, "write column", format!("`{}.{}`", target.name, to.name))
            .because(error)
    })?;
    for (row, why) in why.iter_mut().enumerate() {
        // What does not fit is NULL afterwards, and was not before.
        if converted.is_null(row) && !array.is_null(row) {
            why.get_or_insert_with(|| {
                Error::new(&codes::VALUE_REFUSED, "write column", format!("`{}.{}`", target.name, to.name))
                    .because(format!("the folder's column is {}, which does not take the value", to.logical))
            });
        }
    }
    Ok(converted)
}
