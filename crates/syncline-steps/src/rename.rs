//! `rename`: columns get new names; nothing is touched but the schema.

use syncline_types::Result;

use crate::{
    Columns,
    frame::{Frame, not_empty, object, refused},
};

/// All renames happen at once, so that two columns can swap their names.
pub(crate) fn bind(frame: &mut Frame, names: &Columns<String>, step: &str) -> Result<()> {
    not_empty(names.iter().count(), step)?;
    let mut renamed: Vec<String> = frame.columns.iter().map(|column| column.column.name.clone()).collect();
    for (old, new) in names.iter() {
        let at = frame.find(old, &object(step, old))?;
        if new.is_empty() {
            return Err(refused(&object(step, old), "the new name is empty"));
        }
        renamed[at].clone_from(new);
    }
    for (old, new) in names.iter() {
        if renamed.iter().filter(|name| *name == new).count() > 1 {
            let error = refused(&object(step, old), format!("there is already a column `{new}`"));
            return Err(error.hint("Drop or rename that one first"));
        }
    }
    let new_name = |name: &mut String| {
        if let Some((_, new)) = names.iter().find(|(old, _)| old == name) {
            name.clone_from(new);
        }
    };
    frame.key.iter_mut().for_each(new_name);
    frame.unique.iter_mut().flatten().for_each(new_name);
    for (column, name) in frame.columns.iter_mut().zip(renamed) {
        column.column.name = name;
    }
    Ok(())
}
