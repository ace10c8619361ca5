//! What hangs on a table, and would be lost or broken if another took its name.

use rusqlite::Connection;
use syncline_sql::bookkeeping::is_ours;
use syncline_types::Result;

use crate::{dialect::tokens::mentions, error::Explain, schema::Table};

/// Everything found on a table that matters for replacing it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attached {
    /// Why the table cannot be replaced by renaming another, each as words.
    pub(crate) reasons: Vec<String>,
    /// Tables whose foreign keys delete or change their own rows when rows of this one are deleted.
    pub(crate) cascades: Vec<String>,
    /// Triggers that fire on rows written in place.
    pub(crate) triggers: Vec<String>,
    /// Whether the table itself refers to others.
    pub(crate) refers: bool,
}

/// Looks for everything attached to a table.
pub(crate) fn attached(connection: &Connection, table: &Table) -> Result<Attached> {
    let object = format!("`{}`", table.name);
    let mut attached = Attached::default();
    look_for(connection, table, &mut attached).explain("look for what is attached to", object)?;
    Ok(attached)
}

fn look_for(connection: &Connection, table: &Table, attached: &mut Attached) -> rusqlite::Result<()> {
    let name = table.name.as_str();
    let mut statement = connection.prepare(
        "SELECT type, name, tbl_name, sql FROM main.sqlite_schema
         WHERE type IN ('index', 'trigger', 'view') AND sql IS NOT NULL ORDER BY type, name",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (kind, thing, on, sql): (String, String, String, String) =
            (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        let on_it = on.eq_ignore_ascii_case(name);
        match kind.as_str() {
            "index" if on_it && !is_ours(&thing) => attached.reasons.push(format!("index {thing}")),
            "trigger" if on_it => {
                attached.reasons.push(format!("trigger {thing}"));
                attached.triggers.push(thing);
            }
            "trigger" if mentions(&sql, name) => attached.reasons.push(format!("trigger {thing} of {on}")),
            "view" if mentions(&sql, name) => attached.reasons.push(format!("view {thing}")),
            _ => {}
        }
    }
    let mut statement = connection.prepare(
        "SELECT m.name, f.on_delete FROM main.sqlite_schema m, pragma_foreign_key_list(m.name, 'main') f
         WHERE m.type = 'table' AND f.\"table\" = ?1 COLLATE NOCASE AND f.seq = 0
           AND m.name <> ?1 COLLATE NOCASE ORDER BY m.name",
    )?;
    let mut rows = statement.query([name])?;
    while let Some(row) = rows.next()? {
        let (other, on_delete): (String, String) = (row.get(0)?, row.get(1)?);
        if matches!(on_delete.as_str(), "CASCADE" | "SET NULL" | "SET DEFAULT") {
            attached.cascades.push(format!("{other} (ON DELETE {on_delete})"));
        }
        attached.reasons.push(format!("a foreign key of {other}"));
    }
    attached.refers = connection.query_row(
        "SELECT count(*) > 0 FROM pragma_foreign_key_list(?1, 'main')",
        [name],
        |row| row.get(0),
    )?;
    Ok(())
}
