//! `cast`: columns change their type.

use syncline_types::Result;

use crate::{
    Columns,
    expr::bind,
    frame::{Form, Frame, Lineage, computed, not_empty, object},
};

/// Converts columns as `cast(column as type)` does. One that has the type already is left alone,
/// unless it is an enumeration that is to become plain text.
pub(crate) fn bind(frame: &mut Frame, types: &Columns<String>, step: &str) -> Result<()> {
    not_empty(types.iter().count(), step)?;
    let scope = frame.scope();
    let mut places = vec![];
    let mut values = vec![];
    for (name, type_name) in types.iter() {
        let object = object(step, name);
        let at = frame.find(name, &object)?;
        let to = bind::type_named(type_name).map_err(|problem| problem.into_error(&object))?;
        let column = &mut frame.columns[at].column;
        if column.logical == to {
            if column.labels.is_some() {
                // An enumeration is carried as text: to ask for text is to leave the enumeration.
                *column = computed(name, to, column.nullable);
            }
        } else {
            let value = bind::conversion(&scope[at], to).map_err(|problem| problem.into_error(&object))?;
            places.push(at);
            values.push((value, object));
        }
    }
    let exprs: Vec<_> = values.iter().map(|(value, _)| (value.logical, value.nullable)).collect();
    let slots = if values.is_empty() { vec![] } else { frame.assign(values) };
    for ((at, slot), (logical, nullable)) in places.into_iter().zip(slots).zip(exprs) {
        let column = &mut frame.columns[at];
        let name = column.column.name.clone();
        column.column = computed(&name, logical, nullable);
        column.slot = slot;
        let carries = match column.lineage.carries {
            Some((input, Form::Same | Form::Converted)) => Some((input, Form::Converted)),
            _ => None,
        };
        column.lineage = Lineage { carries, ..column.lineage.clone() };
        // Two values may become one.
        frame.forget_unique(&name);
    }
    Ok(())
}
