//! What stands in the way of a target: its name, what is in the folder, its columns, its key.

use syncline_connect::{ColumnPlan, Finding, Target, TargetPlan, Task, WriteMode};
use syncline_format::remarks;
use syncline_sql::{Fit, reconcile};
use syncline_types::{Column, Error, TableSchema, codes};

use super::Seen;
use crate::{
    error::shown,
    manifest::{Content, MANIFEST},
    types::{Layout, written_as},
};

/// Names that are named in a message, of many.
const NAMED_MAX: usize = 3;

fn blocker(plan: &mut TargetPlan, error: Error) {
    plan.findings.push(Finding::blocker(error));
}

pub(super) fn names(target: &Target, plan: &mut TargetPlan) {
    if target.name.namespace.is_some() {
        let error = Error::new(&codes::STREAM_MISSING, "write to", format!("`{}`", target.name))
            .because("folders of files have no namespaces");
        blocker(plan, error.hint(format!("Write to `{}`", target.name.table)));
    }
    if target.schema.columns.is_empty() {
        let error = Error::new(&codes::COLUMN_MISSING, "write to", format!("`{}`", target.name));
        blocker(plan, error.because("the stream has no columns"));
    }
    let columns = &target.schema.columns;
    for (place, column) in columns.iter().enumerate() {
        let reason = match &column.name {
            name if name.is_empty() => "a column of a file needs a name",
            name if columns.iter().take(place).any(|other| other.name == *name) => {
                "another column has the same name"
            }
            _ => continue,
        };
        let object = format!("`{}.{}`", target.name, column.name);
        let error = Error::new(&codes::NAME_TAKEN, "write column", object).because(reason);
        blocker(plan, error.hint("Give it another name with a `rename` step"));
    }
}

/// What is in the folder.
pub(super) fn content(target: &Target, seen: &Seen, layout: &Layout, plan: &mut TargetPlan) {
    match &seen.content {
        Content::Ours(_, strange) if !strange.is_empty() => plan.findings.push(staying(seen, strange)),
        Content::Ours(..) | Content::Missing | Content::Empty => {}
        Content::Foreign(strange) if target.write == WriteMode::Overwrite && target.overwrite_said => {
            plan.findings.push(staying(seen, strange));
        }
        Content::Foreign(_) | Content::ForeignManifest => {
            if let Some(error) = needs_decision(target, seen) {
                blocker(plan, error);
            }
        }
    }
    if let Some(error) = other_layout(target, seen, layout) {
        blocker(plan, error);
    }
    let changes = target.task != Task::Load;
    if changes
        && seen.manifest().is_none()
        && !matches!(seen.content, Content::Foreign(_) | Content::ForeignManifest)
    {
        let error = Error::new(&codes::STREAM_MISSING, "change rows of", format!("`{}`", target.name));
        blocker(plan, error.because("there is no such stream").hint("Copy it first"));
    }
}

fn staying(seen: &Seen, strange: &[String]) -> Finding {
    Finding::warning(format!(
        "{} holds {} that Syncline did not write: {}. {} stay, and whoever reads the folder without its manifest \
         reads them too",
        shown(&seen.path),
        if strange.len() == 1 { "a file".to_owned() } else { format!("{} files", strange.len()) },
        some_of(strange),
        if strange.len() == 1 { "It will" } else { "They will" },
    ))
}

fn some_of(names: &[String]) -> String {
    let mut text =
        names.iter().take(NAMED_MAX).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.len() > NAMED_MAX {
        text.push_str(", ...");
    }
    text
}

/// The error for a folder of somebody else's, where the user has not decided.
pub(crate) fn needs_decision(target: &Target, seen: &Seen) -> Option<Error> {
    let refused = |reason: String| {
        Error::new(&codes::NEEDS_DECISION, "write to the folder", shown(&seen.path)).because(reason)
    };
    match &seen.content {
        Content::ForeignManifest => Some(
            refused(format!("its `{MANIFEST}` was not written by Syncline, and would have to be replaced"))
                .hint("Write into another folder"),
        ),
        Content::Foreign(_) if target.write == WriteMode::Overwrite && target.overwrite_said => None,
        Content::Foreign(strange) => {
            let error = refused(format!("it holds files that Syncline did not write: {}", some_of(strange)));
            Some(match target.write {
                WriteMode::Overwrite => error.hint(
                    "Write into another folder, or say --write overwrite: the new files come beside those, which stay",
                ),
                _ => error.hint("Write into another folder: rows are only added to what Syncline has written"),
            })
        }
        _ => None,
    }
}

/// The error for parts that are written otherwise than those they would stand beside.
pub(crate) fn other_layout(target: &Target, seen: &Seen, layout: &Layout) -> Option<Error> {
    let manifest = seen.kept(target)?;
    (manifest.layout != *layout).then(|| {
        let (theirs, ours) = (manifest.layout.describe(), layout.describe());
        let options = if theirs == ours { " with other options" } else { "" };
        Error::new(&codes::BAD_VALUE, "add to", shown(&seen.path))
            .because(format!("its parts are {theirs}{options}, and these would be {ours}"))
            .hint("Write the same format, compression and options, or replace everything with --write overwrite")
    })
}

pub(super) fn columns(target: &Target, seen: &Seen, layout: &Layout, plan: &mut TargetPlan) {
    for (column, remark) in remarks(&layout.format(), &target.schema) {
        plan.findings.push(Finding::warning(format!("column `{column}` of `{}`: {remark}", target.name)));
    }
    let Some(manifest) = seen.kept(target) else {
        for column in &target.schema.columns {
            plan.columns.push(column_plan(column, column, layout, None));
        }
        return;
    };
    if let Some(error) = column_mismatch(target, &manifest.schema) {
        blocker(plan, error);
    }
    let reconciled = reconcile(&target.schema, &manifest.schema);
    for (column, there, fit) in &reconciled.common {
        let note = match fit {
            Fit::Exact => None,
            Fit::Widened => Some("widened"),
            Fit::Narrowed | Fit::Foreign => Some("does not fit"),
        };
        plan.columns.push(column_plan(column, there, layout, note));
    }
    if target.task == Task::Delete {
        return;
    }
    for column in &reconciled.missing {
        plan.columns.push(column_plan(column, column, layout, Some("added")));
    }
    for column in reconciled.unfilled.iter().filter(|_| target.task == Task::Load) {
        let object = format!("`{}.{}`", target.name, column.name);
        let error = Error::new(&codes::COLUMN_MISSING, "fill column", object)
            .because("it may not be NULL, and the stream has no such column");
        blocker(plan, error.hint("Add it with a `set` step"));
    }
}

/// The error for the first column whose values do not all fit the folder's.
pub(crate) fn column_mismatch(target: &Target, there: &TableSchema) -> Option<Error> {
    let reconciled = reconcile(&target.schema, there);
    let (column, at_target, _) =
        reconciled.common.into_iter().find(|(_, _, fit)| !matches!(fit, Fit::Exact | Fit::Widened))?;
    let source_type = column.native.clone().unwrap_or_else(|| column.logical.to_string());
    Some(
        Error::new(&codes::TYPE_MISMATCH, "write column", format!("`{}.{}`", target.name, column.name))
            .because(format!(
                "its values are {source_type}, and the folder's column is {}",
                at_target.logical
            ))
            .hint(format!("Convert it with a step, as in cast: {{{}: {}}}", column.name, at_target.logical)),
    )
}

fn column_plan(column: &Column, there: &Column, layout: &Layout, note: Option<&str>) -> ColumnPlan {
    ColumnPlan {
        name: column.name.clone(),
        logical: column.logical,
        source_type: column.native.clone(),
        target_type: written_as(there, layout),
        note: note.map(str::to_owned),
    }
}

pub(super) fn key(target: &Target, seen: &Seen, plan: &mut TargetPlan) {
    if target.write != WriteMode::Merge {
        return;
    }
    if let Some(error) = key_missing(target, seen.kept(target).map(|manifest| &manifest.schema)) {
        blocker(plan, error);
    }
}

/// The error for a merge without a key, or by one that the folder's rows do not have.
pub(crate) fn key_missing(target: &Target, there: Option<&TableSchema>) -> Option<Error> {
    let missing = |reason: String| {
        Error::new(&codes::KEY_MISSING, "merge into", format!("`{}`", target.name)).because(reason)
    };
    if target.key.is_empty() {
        return Some(
            missing("there is no key by which to tell rows apart".into())
                .hint("Name it with --key COL,... (key: [COL]), or use --write append"),
        );
    }
    let there = there?;
    if target.key.len() == there.key.len() && target.key.iter().all(|key| there.key.contains(key)) {
        return None;
    }
    let own = match there.key.as_slice() {
        [] => "the rows that are there have none".to_owned(),
        key => format!("the rows that are there have ({})", key.join(", ")),
    };
    Some(
        missing(format!("its key is ({}), and {own}", target.key.join(", ")))
            .hint("Name the same key with --key COL,..., or copy the stream whole with --write overwrite"),
    )
}
