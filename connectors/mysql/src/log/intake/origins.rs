//! What changes have come through, as rows of a table of ours say before them.

use syncline_connect::Origin;
use syncline_types::Result;

use super::Intake;
use crate::{
    log::{
        event::{Event, Query},
        fields::Broken,
        rows,
        statement::{Statement, statement},
        table_map::{Form, kind, table_map, table_name},
        unpack::unpack,
    },
    origin::{MARK, MARK_COLUMN, MARK_COLUMNS},
};

impl Intake {
    /// Whether an event changes what is followed, and has not come the way of what is gathered.
    pub(super) fn is_apart(&self, event: &Event<'_>) -> Result<bool> {
        if self.changes == 0 || self.origin == self.coming {
            return Ok(false);
        }
        let is_wanted =
            !self.transaction.is_some_and(|transaction| transaction.is_known || transaction.passes);
        Ok(is_wanted
            && match event {
                Event::Rows(rows) => {
                    let table = self.tables.get(&rows::table_id(rows.body)?);
                    table.is_some_and(|table| !table.layouts.is_empty())
                }
                Event::Query(query) | Event::LoadQuery(query) => self.empties(query)?,
                _ => false,
            })
    }

    /// Whether a statement removes all rows of a followed table.
    fn empties(&self, query: &Query<'_>) -> Result<bool> {
        let mut unpacked = vec![];
        let text = match query.compressed {
            true => {
                unpack(query.text, &mut unpacked)?;
                unpacked.as_slice()
            }
            false => query.text,
        };
        Ok(match statement(text) {
            Statement::Truncate(name) => !self.names.meant(&name, query.database).is_empty(),
            _ => false,
        })
    }

    /// What comes behind it has come through this. Words of others say nothing.
    pub(super) fn heard(&mut self, origin: Option<Origin>) {
        let (Some(origin), Some(transaction)) = (origin, &mut self.transaction) else { return };
        transaction.passes = origin.is_from(&self.not_from);
        self.coming = origin;
    }
}

/// Where values are in rows that say it, if the table is one of those.
pub(super) fn mark(body: &[u8]) -> Result<Option<Vec<Form>>, Broken> {
    let (_, _, table) = table_name(body)?;
    if table != MARK.as_bytes() {
        return Ok(None);
    }
    let forms = table_map(body)?.columns;
    let is_ours = forms.len() == MARK_COLUMNS && forms[MARK_COLUMN].kind == kind::VARCHAR;
    Ok(is_ours.then_some(forms))
}
