//! How a table's columns follow those of its source: what is still to be done, for each dialect to write.

use syncline_connect::{ColumnChange, Target};
use syncline_types::{Column, LogicalType, Result, TableSchema};

use crate::{Fit, fit};

/// One thing to be done to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evolve<'a> {
    /// Add this column, so that it may be NULL.
    Add(&'a Column),
    /// Drop the column of this name.
    Drop(&'a str),
    /// Give a column another name.
    Rename(&'a str, &'a str),
    /// Give a column this one's type.
    Retype(&'a Column),
}

/// What is still to be done to a table that is so, and whether values that are there may be others at the
/// source since. `fits` says how values of a column fit one that is there.
///
/// # Errors
/// [`syncline_types::codes::UNKNOWN_COLUMN`] when a change names a column that `target` does not have.
pub fn evolve<'a>(
    target: &'a Target,
    table: &TableSchema,
    changes: &'a [ColumnChange],
    fits: impl Fn(&Column, &Column) -> Fit,
) -> Result<(Vec<Evolve<'a>>, bool)> {
    let lossless = |fit: Fit| matches!(fit, Fit::Exact | Fit::Widened);
    let wanted = |name: &str| target.schema.column(name).ok_or_else(|| target.schema.unknown_column(name));
    // A column that is renamed as well may still have its old name.
    let before = |name: &str| {
        changes.iter().find_map(|change| match change {
            ColumnChange::Renamed { from, to } if to == name => table.column(from),
            _ => None,
        })
    };
    let mut steps = vec![];
    let mut alters_values = false;
    for change in changes {
        match change {
            ColumnChange::Added(name) if table.column(name).is_none() => {
                steps.push(Evolve::Add(wanted(name)?))
            }
            ColumnChange::Dropped(name) if table.column(name).is_some() => steps.push(Evolve::Drop(name)),
            ColumnChange::Renamed { from, to }
                if table.column(from).is_some() && table.column(to).is_none() =>
            {
                steps.push(Evolve::Rename(from, to));
            }
            ColumnChange::Added(_) | ColumnChange::Dropped(_) | ColumnChange::Renamed { .. } => {}
            ColumnChange::Retyped { name, before: was } => {
                let column = wanted(name)?;
                // How values of another kind have become texts only the source knows.
                let is_text = |logical: &LogicalType| matches!(logical, LogicalType::Text { .. });
                let other_kind = is_text(&column.logical) && !is_text(was);
                alters_values |= other_kind || !lossless(fit(*was, column.logical));
                let there = table.column(name).or_else(|| before(name));
                // What is wide enough stays.
                if there.is_some_and(|there| !lossless(fits(column, there))) {
                    steps.push(Evolve::Retype(column));
                }
            }
        }
    }
    Ok((steps, alters_values))
}
