//! What the sink would do to a target, and what stands in the way. Changes nothing.

mod check;
mod evolve;
pub(crate) mod shape;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use syncline_connect::{Action, Existing, Finding, Replace, Target, TargetPlan, Task, WriteMode};
use syncline_sql::{bookkeeping, reconcile};
use syncline_types::{Column, Result, TableSchema};

use crate::{
    attached::{Attached, attached},
    client::Database,
    dialect::qualified,
    error::Explain,
    schema::{Kind, Look, Table, find, find_table, rows_estimate},
    sink::checkpoint,
};

pub(crate) use check::{in_use, needs_decision};
pub(crate) use evolve::evolve;

/// What is there, as far as a target is concerned.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) table: Option<Table>,
    /// What else has the name.
    taken_by: Option<&'static str>,
    pub(crate) ours: bool,
    pub(crate) has_rows: bool,
    pub(crate) attached: Attached,
}

/// How the rows get to where everybody sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Staging takes the target's name.
    Rename,
    /// All rows are deleted and the staged ones inserted, in one transaction.
    InPlace,
    /// Rows are updated and inserted by key.
    Merge,
    /// Rows that are there are updated by key.
    Update,
    /// Rows are deleted by key.
    Delete,
    /// The staged rows are inserted.
    Insert,
    /// Rows are written where everybody sees them, chunk by chunk.
    Direct,
}

/// What is to be done before the first row, for whoever does it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// Note that the stream has begun.
    Begin,
    /// Create the target.
    Create,
    /// Add a column to the target.
    AddColumn(String),
    /// Change the target's columns in another way.
    Alter(String),
    /// Create staging.
    Stage,
}

/// Looks at a target.
pub(crate) fn see(connection: &Connection, database: &Database, target: &Target) -> Result<Seen> {
    let name = &target.name.table;
    let taken_by = match find(connection, name)?.map(|listed| listed.kind) {
        None if has_index(connection, name)? => Some("an index"),
        None => None,
        Some(Kind::View) => Some("a view"),
        Some(Kind::Virtual) => Some("a virtual table"),
        Some(Kind::Table | Kind::WithoutRowid) => {
            return match find_table(connection, database, name, Look::Declared)? {
                Some(table) => see_table(connection, table),
                None => Ok(Seen::default()),
            };
        }
    };
    Ok(Seen { taken_by, ..Seen::default() })
}

fn has_index(connection: &Connection, name: &str) -> Result<bool> {
    connection
        .query_row(
            "SELECT count(*) > 0 FROM main.sqlite_schema WHERE type = 'index' AND name = ?1 COLLATE NOCASE",
            [name],
            |row| row.get(0),
        )
        .explain("look for", format!("`{name}`"))
}

fn see_table(connection: &Connection, table: Table) -> Result<Seen> {
    let has_rows = connection
        .query_row(&format!("SELECT EXISTS (SELECT 1 FROM {})", qualified(&table.name)), [], |row| row.get(0))
        .explain("look for rows in", format!("`{}`", table.name))?;
    let ours = checkpoint::made(connection, &table)?;
    let attached = attached(connection, &table)?;
    Ok(Seen { table: Some(table), taken_by: None, ours, has_rows, attached })
}

impl Seen {
    /// How rows will be published.
    pub(crate) fn way(&self, target: &Target) -> Way {
        match target.task {
            Task::Load => {}
            Task::Update => return Way::Update,
            Task::Delete => return Way::Delete,
        }
        match (target.write, &self.table) {
            (WriteMode::Append, _) if !target.staged => Way::Direct,
            (_, None) => Way::Rename,
            (WriteMode::Append, Some(_)) => Way::Insert,
            (WriteMode::Merge, Some(_)) => Way::Merge,
            (WriteMode::Overwrite, Some(_)) => {
                // A table of somebody else's is only replaced by one of the very same definition,
                // which staging cannot have where it may not refer to other tables.
                let same = self.ours || !self.attached.refers;
                match target.replace == Replace::Auto && self.attached.reasons.is_empty() && same {
                    true => Way::Rename,
                    false => Way::InPlace,
                }
            }
        }
    }

    /// Whether the table to come has the stream's own shape, whatever the old one's was.
    pub(crate) fn new_shape(&self, target: &Target) -> bool {
        self.table.is_none() || (self.ours && self.way(target) == Way::Rename)
    }

    /// The table to fit into.
    fn fixed(&self, target: &Target) -> Option<&Table> {
        self.table.as_ref().filter(|_| !self.new_shape(target))
    }
}

/// The table's schema with the stream's spelling of the names: SQLite knows them in any case.
fn respelled(table: &Table, stream: &TableSchema) -> TableSchema {
    let mut schema = table.schema();
    for (column, there) in schema.columns.iter_mut().zip(&table.columns) {
        if let Some(same) = stream.columns.iter().find(|same| same.name.eq_ignore_ascii_case(&column.name)) {
            column.name.clone_from(&same.name);
            if there.untyped {
                column.logical = same.logical;
            }
        }
    }
    schema
}

/// Everything about one target. Without a connection there is no file yet.
pub(crate) fn plan(
    connection: Option<&Connection>,
    database: &Database,
    target: &Target,
) -> Result<TargetPlan> {
    let seen = match connection {
        Some(connection) => see(connection, database, target)?,
        None => Seen::default(),
    };
    let mut plan =
        TargetPlan { existing: None, columns: vec![], before: vec![], publish: vec![], findings: vec![] };
    if let (Some(connection), Some(table)) = (connection, &seen.table) {
        let rows_estimate = rows_estimate(connection, table);
        plan.existing = Some(Existing { has_rows: seen.has_rows, rows_estimate, ours: seen.ours });
    }
    check::names(target, &seen, &mut plan);
    if seen.table.is_none() && target.task != Task::Load {
        check::needs_table(target, &mut plan);
        return Ok(plan);
    }
    check::decisions(target, &seen, &mut plan);
    check::columns(target, &seen, &mut plan);
    check::key(connection, target, &seen, &mut plan)?;
    prepare(target, &seen, &mut plan);
    publish(target, &seen, &mut plan);
    Ok(plan)
}

/// What is done before the first row.
fn prepare(target: &Target, seen: &Seen, plan: &mut TargetPlan) {
    let mut act = |verb, object: String, detail: String, step: Step| {
        let statement = serde_json::to_string(&step).expect("a step serialises");
        plan.before.push(Action { verb, object, detail, statement });
    };
    act(
        "create",
        bookkeeping::CHECKPOINT.into(),
        "keep the run's progress beside the rows, until it ends".into(),
        Step::Begin,
    );
    let name = target.name.to_string();
    let added = match (&seen.table, target.write) {
        (Some(table), WriteMode::Append | WriteMode::Merge) if target.task != Task::Delete => {
            let there = respelled(table, &target.schema);
            let missing: Vec<Column> =
                reconcile(&target.schema, &there).missing.into_iter().cloned().collect();
            missing
                .into_iter()
                .map(|column| (shape::added(&column, &target.schema.dialect, table), column))
                .collect()
        }
        _ => vec![],
    };
    for (declared, column) in added {
        let detail = format!("add column `{}` {declared}", column.name);
        act("alter", name.clone(), detail, Step::AddColumn(column.name));
    }
    let columns = target.schema.columns.len();
    match seen.way(target) {
        Way::Direct if seen.table.is_none() => {
            act("create", name, format!("create table with {columns} columns"), Step::Create);
        }
        Way::Direct => {}
        _ if seen.new_shape(target) => {
            act("create", "staging".into(), "create staging in the stream's shape".into(), Step::Stage);
        }
        _ => act("create", "staging".into(), "create staging like the target".into(), Step::Stage),
    }
}

/// What is done when all rows have arrived, in words.
fn publish(target: &Target, seen: &Seen, plan: &mut TargetPlan) {
    let way = seen.way(target);
    let because = seen.attached.reasons.join(", ");
    let (verb, detail) = match way {
        Way::Rename if seen.table.is_none() => ("create", "staging becomes the table".to_owned()),
        Way::Rename => {
            ("replace", "staging takes the table's place; nothing is attached to the old one".into())
        }
        Way::InPlace if target.replace == Replace::InPlace => {
            ("delete", "all its rows are replaced in one transaction, as asked for".into())
        }
        Way::InPlace if because.is_empty() => (
            "delete",
            "all its rows are replaced in one transaction, because it refers to other tables".into(),
        ),
        Way::InPlace => {
            ("delete", format!("all its rows are replaced in one transaction, because of {because}"))
        }
        Way::Merge => (
            "update",
            format!("rows are updated or inserted by ({}) in one transaction", target.key.join(", ")),
        ),
        Way::Update => (
            "update",
            format!("rows that are there are updated by ({}) in one transaction", target.key.join(", ")),
        ),
        Way::Delete => {
            ("delete", format!("rows are deleted by ({}) in one transaction", target.key.join(", ")))
        }
        Way::Insert => ("insert", "rows are added in one transaction".into()),
        Way::Direct => ("insert", "rows are added chunk by chunk, each in one transaction".into()),
    };
    plan.publish.push(Action { verb, object: target.name.to_string(), detail, statement: String::new() });
    if way != Way::Rename && !seen.attached.triggers.is_empty() {
        plan.findings.push(Finding::warning(format!(
            "the triggers of `{}` will fire: {}",
            target.name,
            seen.attached.triggers.join(", ")
        )));
    }
    if way == Way::Delete && !seen.attached.cascades.is_empty() {
        plan.findings.push(Finding::warning(format!(
            "with rows of `{}`, rows of other tables are deleted or changed: {}",
            target.name,
            seen.attached.cascades.join(", ")
        )));
    }
}
