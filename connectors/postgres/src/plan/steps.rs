//! What is done before the first row, and when all rows are there.

use syncline_connect::{Action, Finding, Target, TargetPlan, Task, WriteMode};
use syncline_sql::{Dialect, Way, reconcile};
use syncline_types::Column;

use super::{Seen, Types, default::default_sql};
use crate::{
    client::Client,
    dialect::{NAME, Postgres, qualified},
    schema::Table,
};

/// What is done before the first row.
pub(super) fn prepare(
    client: &Client,
    target: &Target,
    seen: &Seen,
    types: &Types,
    way: Way,
    plan: &mut TargetPlan,
) {
    let table = qualified(&target.name, &client.config.schema);
    let there = seen.table.as_ref().map(Table::schema);
    let adds_columns = target.write != WriteMode::Overwrite && target.task != Task::Delete;
    if let Some(there) = there.as_ref().filter(|_| adds_columns) {
        for column in reconcile(&target.schema, there).missing {
            plan.before.push(Action {
                verb: "alter",
                object: target.name.to_string(),
                detail: format!("add column `{}` {}", column.name, types.of(column)),
                statement: format!(
                    "ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {} {}",
                    Postgres.quote(&column.name),
                    types.of(column)
                ),
            });
        }
    }
    if way == Way::Direct {
        if there.is_none() {
            plan.before.push(Action {
                verb: "create",
                object: target.name.to_string(),
                detail: format!("create table with {} columns", target.schema.columns.len()),
                statement: format!("CREATE TABLE IF NOT EXISTS {table} {}", definition(target, types, true)),
            });
        }
        return;
    }
    let (detail, statement) = match way {
        Way::Rename if seen.new_shape(target) => (
            "create staging in the stream's shape",
            format!("CREATE TABLE {{stage}} {}", definition(target, types, false)),
        ),
        Way::Rename => (
            "create staging like the target",
            format!(
                "CREATE TABLE {{stage}} (LIKE {table} INCLUDING DEFAULTS INCLUDING STORAGE INCLUDING COMPRESSION)"
            ),
        ),
        _ => ("create staging for the target's columns", stage_for_rows(target, seen, &table)),
    };
    plan.before.push(Action { verb: "create", object: "staging".into(), detail: detail.into(), statement });
}

/// Staging for rows that go into a table which stays: its columns' types, and what it would refuse
/// of a single row.
fn stage_for_rows(target: &Target, seen: &Seen, table: &str) -> String {
    let there = seen.table.as_ref().map(Table::schema);
    let at_target = |column: &Column| there.as_ref().and_then(|there| there.column(&column.name)).cloned();
    let written: Vec<&Column> = target
        .schema
        .columns
        .iter()
        .filter(|column| at_target(column).is_none_or(|there| !there.generated))
        .collect();
    let list = written.iter().map(|column| Postgres.quote(&column.name)).collect::<Vec<_>>().join(", ");
    let mut statement = format!("CREATE TABLE {{stage}} AS SELECT {list} FROM {table} WITH NO DATA");
    for column in &written {
        if at_target(column).is_some_and(|there| !there.nullable) {
            let name = Postgres.quote(&column.name);
            statement.push_str(&format!("; ALTER TABLE {{stage}} ALTER COLUMN {name} SET NOT NULL"));
        }
    }
    let is_written = |name: &String| written.iter().any(|column| column.name == *name);
    // Rows that go need not be such as the table would take today.
    let checks = seen.checks.iter().filter(|_| target.task != Task::Delete);
    for (columns, check) in checks {
        if columns.iter().all(is_written) {
            statement.push_str(&format!("; ALTER TABLE {{stage}} ADD {check}"));
        }
    }
    statement
}

/// `(columns[, key])` of a table in the stream's shape. Staging gets its key once it is loaded.
fn definition(target: &Target, types: &Types, with_key: bool) -> String {
    let mut parts: Vec<String> = target
        .schema
        .columns
        .iter()
        .map(|column| {
            let mut part = format!("{} {}", Postgres.quote(&column.name), types.of(column));
            if !column.nullable || target.key.contains(&column.name) {
                part.push_str(" NOT NULL");
            }
            if let Some(default) = default_sql(column, target.schema.dialect == NAME, types.of(column)) {
                part.push_str(&format!(" DEFAULT {default}"));
            }
            part
        })
        .collect();
    if with_key && !target.key.is_empty() {
        parts.push(format!("PRIMARY KEY ({})", Postgres.list(&target.key)));
    }
    format!("({})", parts.join(", "))
}

/// What is done when all rows have arrived, in words.
pub(super) fn publish(target: &Target, seen: &Seen, way: Way, plan: &mut TargetPlan) {
    let mut act = |verb, detail: String| {
        plan.publish.push(Action { verb, object: target.name.to_string(), detail, statement: String::new() });
    };
    let attached = || seen.attached.reasons.join(", ");
    match way {
        Way::Rename if seen.table.is_none() => act("create", "staging becomes the table".into()),
        Way::Rename => {
            act("replace", "staging takes the table's place; nothing is attached to the old one".into())
        }
        Way::InPlace | Way::InPlaceByKey if seen.attached.reasons.is_empty() => {
            act("delete", "all its rows are replaced in one transaction, as asked for".into());
        }
        Way::InPlace => {
            act("delete", format!("all its rows are replaced in one transaction, because of {}", attached()))
        }
        Way::InPlaceByKey => act(
            "update",
            format!(
                "rows are deleted, updated and inserted by key in one transaction, because of {}",
                attached()
            ),
        ),
        Way::Merge => act(
            "update",
            format!("rows are updated or inserted by ({}) in one transaction", target.key.join(", ")),
        ),
        Way::Update => act(
            "update",
            format!("rows that are there are updated by ({}) in one transaction", target.key.join(", ")),
        ),
        Way::Delete => {
            act("delete", format!("rows are deleted by ({}) in one transaction", target.key.join(", ")))
        }
        Way::Insert => act("insert", "rows are added in one transaction".into()),
        Way::Direct => act("insert", "rows are added chunk by chunk, each in one transaction".into()),
    }
    if way != Way::Rename && !seen.attached.triggers.is_empty() {
        plan.findings.push(Finding::warning(format!(
            "the triggers of `{}` will fire: {}",
            target.name,
            seen.attached.triggers.join(", ")
        )));
    }
    if way == Way::Delete && !seen.attached.cascades.is_empty() {
        plan.findings.push(Finding::warning(format!(
            "with rows of `{}`, rows of other tables are deleted or changed, by foreign key {}",
            target.name,
            seen.attached.cascades.join(", ")
        )));
    }
}
