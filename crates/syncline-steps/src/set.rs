//! `set`: columns are computed.

use syncline_types::{LogicalType, Result};

use crate::{
    Columns,
    expr::bind,
    frame::{Frame, FrameColumn, computed, not_empty, object, refused},
};

/// Replaces columns in their place and adds new ones at the end. All expressions see the columns as
/// they were before the step.
pub(crate) fn bind(frame: &mut Frame, expressions: &Columns<String>, step: &str) -> Result<()> {
    not_empty(expressions.iter().count(), step)?;
    let scope = frame.scope();
    let mut values = vec![];
    let mut columns = vec![];
    for (name, expression) in expressions.iter() {
        let object = object(step, name);
        if name.is_empty() {
            return Err(refused(&object, "the column's name is empty"));
        }
        // A bare NULL leaves a column its type.
        let null_type = scope
            .iter()
            .find(|column| column.name == name)
            .map_or(LogicalType::TEXT, |column| column.logical);
        let value =
            bind::value_for(expression, &scope, null_type).map_err(|problem| problem.into_error(&object))?;
        columns.push((computed(name, value.logical, value.nullable), frame.lineage(&value)));
        values.push((value, object));
    }
    let slots = frame.assign(values);
    for ((column, lineage), slot) in columns.into_iter().zip(slots) {
        let name = column.name.clone();
        let set = FrameColumn { column, slot, lineage };
        match frame.columns.iter().position(|column| column.column.name == name) {
            Some(at) => frame.columns[at] = set,
            None => frame.columns.push(set),
        }
        // The new values need not be unique; of the primary key a later check finds duplicates.
        frame.forget_unique(&name);
    }
    Ok(())
}
