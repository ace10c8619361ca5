//! What is done before the first row, and when all rows are there.

use serde::{Deserialize, Serialize};
use syncline_connect::{Action, Finding, Target, TargetPlan, Task, WriteMode};
use syncline_sql::{Dialect, Way, reconcile};
use syncline_types::Column;

use super::{Seen, Shape};
use crate::{
    client::Client,
    dialect::{Mysql, qualified},
    schema::MysqlColumn,
};

/// What is to be done before the first row, for whoever does it. `{table}` stands for the table that
/// is made, `{comment}` for what it says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// Create the target.
    Create(String),
    /// Add a column to the target.
    AddColumn {
        /// Its name.
        column: String,
        /// The statement.
        sql: String,
    },
    /// Change the target's columns in another way.
    Alter(String),
    /// Create staging, by these statements.
    Stage(Vec<String>),
}

/// The column of staging by which later rows are told from earlier ones.
pub(crate) const NUMBER: &str = "_syncline_number";

impl Step {
    pub(super) fn action(&self, target: &Target, detail: String) -> Action {
        let (verb, object) = match self {
            Step::Create(_) => ("create", target.name.to_string()),
            Step::AddColumn { .. } | Step::Alter(_) => ("alter", target.name.to_string()),
            Step::Stage(_) => ("create", "staging".to_owned()),
        };
        let statement = serde_json::to_string(self).expect("a step serialises");
        Action { verb, object, detail, statement }
    }
}

/// What is done before the first row.
pub(super) fn prepare(
    client: &Client,
    target: &Target,
    seen: &Seen,
    shape: &Shape,
    way: Way,
    plan: &mut TargetPlan,
) {
    let table = qualified(&target.name, client.config().database().unwrap_or_default());
    let there = seen.table.as_ref().map(crate::plan::table::Table::schema);
    let adds_columns = target.write != WriteMode::Overwrite && target.task != Task::Delete;
    if let Some(there) = there.as_ref().filter(|_| adds_columns) {
        for column in reconcile(&target.schema, there).missing {
            let mut added = Column::clone(column);
            (added.nullable, added.identity, added.default) = (true, false, None);
            let definition = shape.definition(target, &added);
            let step = Step::AddColumn {
                column: column.name.clone(),
                sql: format!("ALTER TABLE {table} ADD COLUMN {definition}"),
            };
            let type_name = shape.of(target, &column.name).map_or("", |made| made.type_name.as_str());
            plan.before.push(step.action(target, format!("add column `{}` {type_name}", column.name)));
        }
    }
    if way == Way::Direct {
        if there.is_none() {
            let step = Step::Create(in_the_streams_shape(target, shape, true));
            let detail = format!("create table with {} columns", target.schema.columns.len());
            plan.before.push(step.action(target, detail));
        }
        return;
    }
    let (detail, statements) = match (way, &seen.table) {
        (Way::Rename, Some(there)) if !seen.new_shape(target) => {
            let mut statements = vec![format!("CREATE TABLE {{table}} LIKE {table}")];
            if !there.transactional {
                // Rows wait where they can be taken back; the engine is changed when all are there.
                statements.push("ALTER TABLE {table} ENGINE = InnoDB".into());
            }
            ("create staging like the target", statements)
        }
        (Way::Rename, _) => {
            ("create staging in the stream's shape", vec![in_the_streams_shape(target, shape, false)])
        }
        _ => ("create staging for the target's columns", vec![for_rows(target, seen, shape)]),
    };
    plan.before.push(Step::Stage(statements).action(target, detail.into()));
}

/// A table in the stream's shape.
fn in_the_streams_shape(target: &Target, shape: &Shape, with_key: bool) -> String {
    let columns = target.schema.columns.iter().map(|column| shape.definition(target, column)).collect();
    create(columns, &target.key, !with_key && target.cursor.is_some())
}

/// Staging for rows that go into a table which stays: its columns' types, and what it would refuse
/// of a single row.
fn for_rows(target: &Target, seen: &Seen, shape: &Shape) -> String {
    let at_target = |column: &Column| seen.table.as_ref().and_then(|table| table.column(&column.name));
    let mut parts: Vec<String> = vec![];
    let mut left_out = vec![];
    for column in &target.schema.columns {
        match at_target(column) {
            Some(there) if there.column.generated => left_out.push(column.name.clone()),
            Some(there) => parts.push(like(there)),
            None => {
                let mut added = column.clone();
                (added.nullable, added.identity, added.default) = (true, false, None);
                parts.push(shape.definition(target, &added));
            }
        }
    }
    // Rows that go need not be such as the table would take today.
    let checks = seen.checks.iter().filter(|_| target.task == Task::Load);
    let written = |check: &&String| {
        let columns = seen.table.iter().flat_map(|table| &table.columns);
        let mut others = columns.filter(|there| {
            let name = &there.column.name;
            left_out.contains(name) || target.schema.column(name).is_none()
        });
        !others.any(|there| check.contains(&Mysql.quote(&there.column.name)))
    };
    parts.extend(checks.filter(written).map(|check| format!("CHECK ({check})")));
    // A key may be named to go more than once; where the table has none, its rows need not have one.
    let has_key = seen.table.as_ref().is_some_and(|table| table.has_key(&target.key));
    let keyed = has_key && target.task != Task::Delete && target.write != WriteMode::Append;
    let key = if keyed { &target.key[..] } else { &[] };
    create(parts, key, target.cursor.is_some())
}

/// A column of the table that stays, as a plain one.
fn like(there: &MysqlColumn) -> String {
    let null = if there.column.nullable { "NULL" } else { "NOT NULL" };
    let name = Mysql.quote(&there.column.name);
    if there.type_name() == "json" {
        // MariaDB writes it as the text that it is there.
        return format!("{name} json {null}");
    }
    let charset = match (&there.charset, &there.column.collation) {
        (Some(charset), Some(collation)) => format!(" CHARACTER SET {charset} COLLATE {collation}"),
        _ => String::new(),
    };
    format!("{name} {}{charset} {null}", there.type_name())
}

/// `CREATE TABLE` with a key, or with a number for each row where several may have one key.
fn create(mut parts: Vec<String>, key: &[String], numbered: bool) -> String {
    if numbered {
        parts.push(format!("{} bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY", Mysql.quote(NUMBER)));
    } else if !key.is_empty() {
        parts.push(format!("PRIMARY KEY ({})", Mysql.list(key)));
    }
    format!("CREATE TABLE {{table}} ({}) ENGINE = InnoDB COMMENT = {{comment}}", parts.join(", "))
}

/// What is done when all rows have arrived, in words.
pub(super) fn publish(target: &Target, seen: &Seen, way: Way, plan: &mut TargetPlan) {
    let mut act = |verb, detail: String| {
        plan.publish.push(Action { verb, object: target.name.to_string(), detail, statement: String::new() });
    };
    let attached = || seen.attached.reasons.join(", ");
    let at_once = match seen.can_take_back(target) {
        true => "in one transaction",
        false => "one by one",
    };
    match way {
        Way::Rename if seen.table.is_none() => act("create", "staging becomes the table".into()),
        Way::Rename => {
            act("replace", "staging takes the table's place; nothing is attached to the old one".into())
        }
        Way::InPlace | Way::InPlaceByKey if seen.attached.reasons.is_empty() => {
            act("delete", format!("all its rows are replaced {at_once}, as asked for"));
        }
        Way::InPlace => {
            act("delete", format!("all its rows are replaced {at_once}, because of {}", attached()))
        }
        Way::InPlaceByKey => act(
            "update",
            format!("rows are deleted, updated and inserted by key {at_once}, because of {}", attached()),
        ),
        Way::Merge => {
            act("update", format!("rows are updated or inserted by ({}) {at_once}", target.key.join(", ")))
        }
        Way::Update => {
            act("update", format!("rows that are there are updated by ({}) {at_once}", target.key.join(", ")))
        }
        Way::Delete => act("delete", format!("rows are deleted by ({}) {at_once}", target.key.join(", "))),
        Way::Insert => act("insert", format!("rows are added {at_once}")),
        Way::Direct if seen.can_take_back(target) => {
            act("insert", "rows are added chunk by chunk, each in one transaction".into());
        }
        Way::Direct => act("insert", "rows are added one by one".into()),
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
