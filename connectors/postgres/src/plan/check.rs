//! What stands in the way: names, grants, decisions, columns and keys.

use std::collections::BTreeMap;

use syncline_connect::{ColumnPlan, Finding, Target, TargetPlan, Task, WriteMode};
use syncline_sql::{Dialect, Fit, Way, bookkeeping, key_problem, quote_text, reconcile};
use syncline_types::{Column, Error, LogicalType, Result, codes};

use super::{Seen, Types, blocker, grants::Grants};
use crate::{
    client::Client,
    dialect::{Postgres, qualified},
};

/// The longest name that PostgreSQL keeps whole.
const NAME_BYTES_MAX: usize = 63;

/// PostgreSQL's own limit.
const COLUMNS_MAX: usize = 1_600;

/// Columns that every table has already.
const SYSTEM_COLUMNS: &[&str] = &["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];
pub(super) fn name(target: &Target, plan: &mut TargetPlan) {
    let columns = &target.schema.columns;
    let names = columns.iter().map(|column| &column.name).chain([&target.name.table]);
    let taken = |name: &str, reason: String| {
        Error::new(&codes::NAME_TAKEN, "use the name", format!("`{name}`"))
            .because(reason)
            .hint("Give it another one with `rename`, or the stream with `to`")
    };
    for name in names {
        if name.len() > NAME_BYTES_MAX || name.contains('\0') {
            let reason = format!("PostgreSQL keeps {NAME_BYTES_MAX} bytes of a name and would cut it");
            blocker(plan, taken(name, reason));
        } else if name.is_empty() {
            blocker(plan, taken(name, "PostgreSQL has no empty names".to_owned()));
        }
    }
    for column in columns.iter().filter(|column| SYSTEM_COLUMNS.contains(&column.name.as_str())) {
        let reason = "every table of PostgreSQL has a column of its own with that name";
        blocker(plan, taken(&column.name, reason.to_owned()));
    }
    if columns.len() > COLUMNS_MAX {
        let error =
            Error::new(&codes::UNSUPPORTED, "write to", format!("`{}`", target.name)).because(format!(
                "a table of PostgreSQL has at most {COLUMNS_MAX} columns, and these are {}",
                columns.len()
            ));
        blocker(plan, error.hint("Leave some out with a `drop` step"));
    }
    if bookkeeping::is_ours(&target.name.table) {
        blocker(
            plan,
            Error::new(&codes::NAME_TAKEN, "write to", format!("`{}`", target.name))
                .because("names that begin with `_syncline` are Syncline's own"),
        );
    }
}

/// Rows can only be changed where there are some.
pub(super) fn needs_table(target: &Target, plan: &mut TargetPlan) {
    blocker(
        plan,
        Error::new(&codes::STREAM_MISSING, "change rows of", format!("`{}`", target.name))
            .because("there is no such table")
            .hint("Copy it first"),
    );
}

/// What has the name of a table that is to be made, by schema and name.
pub(super) type NamesTaken = BTreeMap<(String, String), String>;

/// A table shares its name with sequences, indexes and types of its schema.
pub(super) async fn names_taken(client: &Client, looked_at: &[(&Target, &Seen)]) -> Result<NamesTaken> {
    let pairs: Vec<String> = looked_at
        .iter()
        .filter(|(_, seen)| seen.table.is_none())
        .map(|(target, _)| {
            let schema = target.name.namespace.as_deref().unwrap_or(&client.config.schema);
            format!("({}, {})", quote_text(schema), quote_text(&target.name.table))
        })
        .collect();
    if pairs.is_empty() {
        return Ok(NamesTaken::new());
    }
    let pairs = pairs.join(", ");
    let sql = format!(
        "SELECT n.nspname, c.relname,
                CASE c.relkind WHEN 'S' THEN 'a sequence' WHEN 'c' THEN 'a type' ELSE 'an index' END
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE (n.nspname, c.relname) IN ({pairs})
         UNION ALL SELECT n.nspname, t.typname, 'a type' FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
         WHERE (n.nspname, t.typname) IN ({pairs})"
    );
    let mut taken = NamesTaken::new();
    for row in client.texts(&sql, "look for names in", &client.config.place()).await? {
        if let [Some(schema), Some(name), Some(other)] = row.as_slice() {
            taken.entry((schema.clone(), name.clone())).or_insert_with(|| other.clone());
        }
    }
    Ok(taken)
}

pub(super) fn name_is_free(client: &Client, target: &Target, taken: &NamesTaken, plan: &mut TargetPlan) {
    let schema = target.name.namespace.as_ref().unwrap_or(&client.config.schema);
    if let Some(other) = taken.get(&(schema.clone(), target.name.table.clone())) {
        blocker(
            plan,
            Error::new(&codes::NAME_TAKEN, "create table", format!("`{}`", target.name))
                .because(format!("{other} has that name"))
                .hint("Name another target, as in --stream SRC=DST (to: DST)"),
        );
    }
}

pub(super) fn rights(client: &Client, target: &Target, seen: &Seen, grants: &Grants, plan: &mut TargetPlan) {
    let schema = target.name.namespace.as_deref().unwrap_or(&client.config.schema);
    let table = qualified(&target.name, &client.config.schema);
    let user = &grants.user;
    let user_quoted = Postgres.quote(user);
    let Some(create) = grants.may_create(schema) else {
        blocker(
            plan,
            Error::new(&codes::STREAM_MISSING, "write to schema", format!("`{schema}`"))
                .because(format!("there is no such schema in {}", client.config.place()))
                .hint(format!("Run: CREATE SCHEMA {}", Postgres.quote(schema))),
        );
        return;
    };
    if !create {
        let needs_staging = target.staged || seen.table.is_none();
        let grant = format!("GRANT USAGE, CREATE ON SCHEMA {} TO {user_quoted}", Postgres.quote(schema));
        if needs_staging {
            blocker(
                plan,
                Error::new(&codes::PERMISSION_DENIED, "create tables in schema", format!("`{schema}`"))
                    .because(format!("user `{user}` may not"))
                    .hint(format!("Run: {grant}")),
            );
        } else {
            plan.findings.push(Finding::warning(format!(
                "user `{user}` may not create tables in schema `{schema}`, so progress is not kept with the rows: \
                 after a crash some may arrive twice. To have each once, run: {grant}"
            )));
        }
    }
    for privilege in grants.lacking(target, seen) {
        blocker(
            plan,
            Error::new(&codes::PERMISSION_DENIED, "write to table", format!("`{}`", target.name))
                .because(format!("user `{user}` lacks {privilege}"))
                .hint(format!("Run: GRANT {privilege} ON {table} TO {user_quoted}")),
        );
    }
}

/// What only the user can decide.
pub(super) fn decisions(target: &Target, seen: &Seen, plan: &mut TargetPlan) {
    let Some(table) = &seen.table else { return };
    if !matches!(table.listed.kind, 'r' | 'p') {
        blocker(
            plan,
            Error::new(&codes::TARGET_IN_USE, "write to", format!("`{}`", target.name))
                .because("it is a view or foreign table")
                .hint("Name another target with `to`"),
        );
    }
    if target.write == WriteMode::Overwrite && seen.has_rows && !seen.ours && !target.overwrite_said {
        blocker(
            plan,
            Error::new(&codes::NEEDS_DECISION, "overwrite table", format!("`{}`", target.name))
                .because("it has rows and was not made by Syncline")
                .hint(
                    "Say --write overwrite (write: overwrite) if they are to go, or choose append or merge",
                ),
        );
    }
    if matches!(seen.way(target), Way::InPlace | Way::InPlaceByKey) && !seen.attached.cascades.is_empty() {
        blocker(
            plan,
            Error::new(&codes::TARGET_IN_USE, "overwrite table", format!("`{}`", target.name))
                .because(format!(
                    "rows of other tables would be deleted or changed with its rows, by foreign key {}",
                    seen.attached.cascades.join(", ")
                ))
                .hint("Use --write merge, or change the foreign key to ON DELETE NO ACTION"),
        );
    }
}

/// Holds the stream's columns against the table's.
pub(super) fn columns(target: &Target, seen: &Seen, types: &Types, plan: &mut TargetPlan) {
    let name = &target.name;
    let existing = seen.table.as_ref().filter(|_| !seen.new_shape(target));
    let Some(table) = existing else {
        for column in &target.schema.columns {
            let note = types.note(column);
            if let Some(note) = &note {
                plan.findings.push(Finding::warning(format!("column `{}` of `{name}`: {note}", column.name)));
            }
            plan.columns.push(ColumnPlan::new(column, types.of(column).to_owned(), note));
        }
        return;
    };
    let there = table.schema();
    let reconciled = reconcile(&target.schema, &there);
    for (column, at_target, fit) in &reconciled.common {
        let fit = by_native(column, at_target, *fit);
        let target_type = at_target.native.clone().unwrap_or_default();
        let note = match fit {
            _ if at_target.generated => Some("computed by the target, not written".to_owned()),
            Fit::Exact => None,
            Fit::Widened => Some("widened".to_owned()),
            Fit::Narrowed | Fit::Foreign => Some("does not fit".to_owned()),
        };
        if matches!(fit, Fit::Narrowed | Fit::Foreign) && !at_target.generated {
            let source_type = column.native.clone().unwrap_or_else(|| column.logical.to_string());
            blocker(
                plan,
                Error::new(&codes::TYPE_MISMATCH, "write column", format!("`{name}.{}`", column.name))
                    .because(format!(
                        "its values are {source_type}, and the target's column is {target_type}"
                    ))
                    .hint(format!(
                        "Add a step `cast: {{ {}: \"{target_type}\" }}`, or change the target",
                        column.name
                    )),
            );
        }
        plan.columns.push(ColumnPlan::new(column, target_type, note));
    }
    if target.task == Task::Delete {
        // Its keys are looked for, and no row is made.
        return;
    }
    for column in &reconciled.missing {
        let target_type = types.of(column).to_owned();
        if target.write == WriteMode::Overwrite {
            blocker(
                plan,
                Error::new(&codes::COLUMN_MISSING, "write column", format!("`{name}.{}`", column.name))
                    .because("the target has no such column, and the table is not one that Syncline made")
                    .hint(format!(
                        "Add the column to the target, or leave it out with `drop: [{}]`",
                        column.name
                    )),
            );
        }
        plan.columns.push(ColumnPlan::new(column, target_type, Some("added".to_owned())));
    }
    let unfilled = reconciled.unfilled.iter().filter(|_| target.task == Task::Load);
    for column in unfilled {
        blocker(
            plan,
            Error::new(&codes::COLUMN_MISSING, "fill column", format!("`{name}.{}`", column.name))
                .because("it may not be NULL, has no default, and the stream has no such column")
                .hint("Give it a default, or add it with `set`"),
        );
    }
}

/// Types that mean the same to us may still differ: two that we know only by their text, or an
/// enumeration that takes only some texts.
pub(super) fn by_native(column: &Column, at_target: &Column, fit: Fit) -> Fit {
    let same = column.native == at_target.native;
    match (column.logical, at_target.logical) {
        (LogicalType::Opaque, LogicalType::Opaque) if !same => Fit::Foreign,
        (_, LogicalType::Opaque) if !same => Fit::Foreign,
        _ if at_target.labels.is_some() && !same => {
            let fits = column.labels.as_ref().zip(at_target.labels.as_ref());
            match fits.is_some_and(|(labels, allowed)| labels.iter().all(|label| allowed.contains(label))) {
                true => Fit::Widened,
                false => Fit::Narrowed,
            }
        }
        (LogicalType::Interval, LogicalType::Interval)
            if !same && at_target.native.as_deref() != Some("interval") =>
        {
            Fit::Narrowed
        }
        _ => fit,
    }
}

pub(super) fn key(target: &Target, seen: &Seen, plan: &mut TargetPlan) {
    let has_key = seen.table.as_ref().map(|table| seen.is_key(table, &target.key));
    plan.findings.extend(key_problem(target, has_key).map(Finding::blocker));
}

/// A table that is made has the stream's key, and values of `json` cannot be compared.
pub(super) fn key_types(target: &Target, seen: &Seen, types: &Types, plan: &mut TargetPlan) {
    if seen.table.is_some() && !seen.new_shape(target) {
        return;
    }
    let keyed = target.key.iter().filter_map(|name| target.schema.column(name));
    for column in keyed.filter(|column| types.of(column) == "json") {
        blocker(
            plan,
            Error::new(&codes::UNMAPPED_TYPE, "create key of", format!("`{}`", target.name))
                .because(format!("`{}` becomes json, which PostgreSQL has no keys of", column.name))
                .hint(format!(
                    "Add a step `cast: {{ {}: text }}`, or name another key with --key",
                    column.name
                )),
        );
    }
}
