//! What stands in the way of a target: its name, its rows, its columns, its key.

use rusqlite::Connection;
use syncline_connect::{ColumnPlan, Finding, Target, TargetPlan, Task, WriteMode};
use syncline_sql::{Fit, Reconciled, bookkeeping, key_problem, reconcile};
use syncline_types::{Column, Error, LogicalType, Result, codes};

use super::{Seen, Way, respelled, shape};
use crate::{
    dialect::MAIN,
    encode::store,
    error::Explain,
    schema::{Key, Table, has_null},
    types::column_type,
};

/// SQLite's own limit.
const COLUMNS_MAX: usize = 2_000;

fn blocker(plan: &mut TargetPlan, error: Error) {
    plan.findings.push(Finding::blocker(error));
}

pub(super) fn names(target: &Target, seen: &Seen, plan: &mut TargetPlan) {
    let name = &target.name.table;
    let lower = name.to_ascii_lowercase();
    let taken = |reason: &str| {
        Error::new(&codes::NAME_TAKEN, "write to", format!("`{}`", target.name))
            .because(reason)
            .hint("Name another target with --stream SRC=DST (to: DST)")
    };
    if target.name.namespace.as_deref().is_some_and(|namespace| !namespace.eq_ignore_ascii_case(MAIN)) {
        let error = Error::new(&codes::STREAM_MISSING, "write to", format!("`{}`", target.name))
            .because("an SQLite file has no other namespace than `main`");
        blocker(plan, error.hint(format!("Write to `{name}`")));
    }
    if bookkeeping::is_ours(&lower) {
        blocker(plan, taken("names that begin with `_syncline` are Syncline's own"));
    } else if lower.starts_with("sqlite_") || name.is_empty() || name.contains('\0') {
        blocker(plan, taken("SQLite does not allow the name"));
    } else if let Some(other) = seen.taken_by {
        blocker(plan, taken(&format!("{other} has the name")));
    }
    let columns = &target.schema.columns;
    for (place, column) in columns.iter().enumerate() {
        let before = columns.iter().take(place);
        let reason = if column.name.contains('\0') {
            "SQLite does not allow the name"
        } else if before.clone().any(|other| other.name.eq_ignore_ascii_case(&column.name)) {
            "another column has the same name but for capitals, which are one to SQLite"
        } else {
            continue;
        };
        let object = format!("`{}.{}`", target.name, column.name);
        let error = Error::new(&codes::NAME_TAKEN, "write column", object).because(reason);
        blocker(plan, error.hint("Give it another name with a `rename` step"));
    }
    if columns.len() > COLUMNS_MAX {
        let error = Error::new(&codes::UNSUPPORTED, "write to", format!("`{}`", target.name)).because(
            format!("a table of SQLite has at most {COLUMNS_MAX} columns, and these are {}", columns.len()),
        );
        blocker(plan, error.hint("Leave some out with a `drop` step"));
    }
    if columns.is_empty() {
        let error = Error::new(&codes::COLUMN_MISSING, "write to", format!("`{}`", target.name));
        blocker(plan, error.because("the stream has no columns"));
    }
}

/// Rows can only be changed where there are some.
pub(super) fn needs_table(target: &Target, plan: &mut TargetPlan) {
    let error = Error::new(&codes::STREAM_MISSING, "change rows of", format!("`{}`", target.name));
    blocker(plan, error.because("there is no such table").hint("Copy it first"));
}

/// What only the user can decide.
pub(super) fn decisions(target: &Target, seen: &Seen, plan: &mut TargetPlan) {
    if target.write != WriteMode::Overwrite || !seen.has_rows {
        return;
    }
    if !seen.ours && !target.overwrite_said {
        blocker(plan, needs_decision(target));
    }
    if let Some(error) = in_use(target, seen) {
        blocker(plan, error);
    }
}

/// The error for rows that may not be replaced without a word.
pub(crate) fn needs_decision(target: &Target) -> Error {
    Error::new(&codes::NEEDS_DECISION, "overwrite table", format!("`{}`", target.name))
        .because("it has rows and was not made by Syncline")
        .hint("Say --write overwrite (write: overwrite) if they are to go, or choose append or merge")
}

/// The error for rows that others would follow.
pub(crate) fn in_use(target: &Target, seen: &Seen) -> Option<Error> {
    if seen.attached.cascades.is_empty() || !seen.has_rows || seen.way(target) != Way::InPlace {
        return None;
    }
    Some(
        Error::new(&codes::TARGET_IN_USE, "overwrite table", format!("`{}`", target.name))
            .because(format!(
                "with its rows, rows of other tables would be deleted or changed: {}",
                seen.attached.cascades.join(", ")
            ))
            .hint("Use --write merge, or change the foreign key to ON DELETE NO ACTION"),
    )
}

pub(super) fn columns(target: &Target, seen: &Seen, plan: &mut TargetPlan) {
    let name = &target.name;
    let Some(table) = seen.fixed(target) else {
        for column in &target.schema.columns {
            warn_of_text(target, column, plan);
            plan.columns.push(ColumnPlan::new(column, column_type(column, &target.schema.dialect), None));
        }
        return;
    };
    let there = respelled(table, &target.schema);
    let Reconciled { common, missing, unfilled, .. } = reconcile(&target.schema, &there);
    for (column, at_target, fit) in common {
        let Some(at_table) = table.column(&column.name) else { continue };
        let note = match fit {
            _ if at_target.generated => Some("computed by the target, not written"),
            _ if at_table.untyped => Some("has no type there, kept as it is"),
            Fit::Exact => None,
            Fit::Widened => Some("widened"),
            Fit::Narrowed | Fit::Foreign => Some("does not fit"),
        };
        let fits = matches!(fit, Fit::Exact | Fit::Widened) && store(column.logical, at_table).is_some();
        if !at_target.generated && !fits {
            let source_type = column.native.clone().unwrap_or_else(|| column.logical.to_string());
            blocker(
                plan,
                Error::new(&codes::TYPE_MISMATCH, "write column", format!("`{name}.{}`", column.name))
                    .because(format!(
                        "its values are {source_type}, and the target's column is {} ({})",
                        at_table.declared, at_target.logical
                    ))
                    .hint(format!(
                        "Convert it with a step, as in cast: {{{}: {}}}",
                        column.name, at_target.logical
                    )),
            );
        }
        plan.columns.push(ColumnPlan::new(column, at_table.declared.clone(), note.map(str::to_owned)));
    }
    if target.task == Task::Delete {
        // Its keys are looked for, and no row is made.
        return;
    }
    for column in missing {
        if target.write == WriteMode::Overwrite {
            let object = format!("`{name}.{}`", column.name);
            blocker(
                plan,
                Error::new(&codes::COLUMN_MISSING, "write column", object)
                    .because("the target has no such column, and is not a table that Syncline may remake")
                    .hint(format!("Add the column there, or leave it out with drop: [{}]", column.name)),
            );
        }
        warn_of_text(target, column, plan);
        let declared = shape::added(column, &target.schema.dialect, table);
        plan.columns.push(ColumnPlan::new(column, declared, Some("added".to_owned())));
    }
    for column in unfilled.into_iter().filter(|_| target.task == Task::Load) {
        let filled = table.alias.as_deref() == Some(&column.name)
            || table.column(&column.name).is_some_and(|there| there.has_default);
        if !filled {
            blocker(
                plan,
                Error::new(&codes::COLUMN_MISSING, "fill column", format!("`{name}.{}`", column.name))
                    .because("it may not be NULL, has no default, and the stream has no such column")
                    .hint("Give it a default, or add it with a `set` step"),
            );
        }
    }
}

/// A type that only its own system knows loses its meaning here.
fn warn_of_text(target: &Target, column: &Column, plan: &mut TargetPlan) {
    if column.logical == LogicalType::Opaque {
        plan.findings.push(Finding::warning(format!(
            "column `{}` of `{}`: SQLite has nothing like {}, so it is kept as the text that its source writes",
            column.name,
            target.name,
            column.native.as_deref().unwrap_or("its type")
        )));
    }
}

pub(super) fn key(
    connection: Option<&Connection>,
    target: &Target,
    seen: &Seen,
    plan: &mut TargetPlan,
) -> Result<()> {
    let has_key = match (connection, &seen.table) {
        (Some(connection), Some(table)) => Some(merge_key(connection, table, &target.key)?.is_some()),
        _ => None,
    };
    plan.findings.extend(key_problem(target, has_key).map(Finding::blocker));
    Ok(())
}

/// The key of a table over just these columns, that can tell rows apart for a merge.
fn merge_key<'a>(connection: &Connection, table: &'a Table, wanted: &[String]) -> Result<Option<&'a Key>> {
    let lower = |names: &[String]| {
        let mut names: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        names.sort();
        names
    };
    for key in table.keys.iter().filter(|key| lower(&key.columns) == lower(wanted)) {
        // ON CONFLICT finds an index only by the collation that the column has itself.
        let as_column = key.columns.iter().zip(&key.collations).all(|(name, collation)| {
            let own = table.column(name).and_then(|column| column.column.collation.as_deref());
            own.unwrap_or("BINARY").eq_ignore_ascii_case(collation)
        });
        let never_null = || match (key.required, key.primary) {
            (true, _) => Ok(true),
            (false, false) => Ok(false),
            (false, true) => has_null(connection, &table.name, key)
                .map(|found| found.is_none())
                .explain("look at the key of", format!("`{}`", table.name)),
        };
        if as_column && never_null()? {
            return Ok(Some(key));
        }
    }
    Ok(None)
}
