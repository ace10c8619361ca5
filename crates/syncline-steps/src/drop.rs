//! `drop`: columns are left out.

use syncline_types::Result;

use crate::frame::{Frame, not_empty, object, refused};

/// Drops columns, and with them the keys that they are part of.
pub(crate) fn bind(frame: &mut Frame, names: &[String], step: &str) -> Result<()> {
    not_empty(names.len(), step)?;
    for name in names {
        let at = frame.find(name, &object(step, name))?;
        frame.columns.remove(at);
        frame.forget_keys(name);
    }
    if frame.columns.is_empty() {
        return Err(refused(step, "it drops every column"));
    }
    Ok(())
}
