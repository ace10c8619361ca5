//! What becomes of the target when a stream's columns change at the source.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use syncline_config::{Pipeline, SchemaChanges, StreamChoice};
use syncline_connect::{ColumnChange, Finding, RunRef, Severity, Sink, Source, Stream, Target};
use syncline_state::{StateDirectory, Store};
use syncline_types::{Column, Error, Result, TableSchema, codes};

use super::mark::{FollowMark, LOG};
use crate::shell::{StreamWork, prepare::bind};

/// What a stream is at the place in the log that the pipeline has come to, whatever it is at the source by now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// Its columns and keys.
    pub schema: TableSchema,
    /// The columns that are read, where those that have come since are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
}

/// What the streams of a pipeline are, as far as it follows them already; and the names of those besides that it
/// has copied, and is to copy again.
pub(crate) async fn known_streams(
    state: &StateDirectory,
    pipeline: &str,
) -> Result<(BTreeMap<String, Known>, BTreeSet<String>)> {
    let Some(store) = state.open(false)? else { return Ok(Default::default()) };
    let Some(text) = store.marks(pipeline).await?.remove(LOG) else { return Ok(Default::default()) };
    let mark = FollowMark::read(&text)?;
    let (followed, again) =
        mark.streams.into_iter().partition::<BTreeMap<_, _>, _>(|(name, _)| mark.copied.contains_key(name));
    Ok((followed, again.into_keys().collect()))
}

/// A stream as it is known, in place of what it is now.
pub(crate) fn as_known(choice: &StreamChoice, stream: Stream, known: &Known) -> (StreamChoice, Stream) {
    let columns = known.columns.clone().unwrap_or_else(|| choice.columns.clone());
    (StreamChoice { columns, ..choice.clone() }, Stream { schema: known.schema.clone(), ..stream })
}

/// What a change comes to.
pub(crate) struct Evolved {
    /// What the stream is from now on.
    pub(crate) known: Known,
    /// What has changed at the source, for people.
    pub(crate) told: Vec<String>,
    /// How it is worked on from now on.
    pub(crate) work: StreamWork,
    /// In what way the target's columns change.
    pub(crate) changes: Vec<ColumnChange>,
    /// Whether its rows are to be copied again, since the log does not tell what became of them.
    pub(crate) copy_again: bool,
}

/// Says what a change comes to, and does it to the target.
///
/// # Errors
/// [`codes::SCHEMA_CHANGED`] when the pipeline stops for it, or when it cannot be followed; what the target
/// fails with.
pub(crate) async fn evolve(
    pipeline: &Pipeline,
    choice: &StreamChoice,
    before: &StreamWork,
    schema: TableSchema,
    source: &dyn Source,
    sink: &dyn Sink,
    run: &RunRef,
) -> Result<Evolved> {
    let told = told(&before.read.stream.schema, &schema);
    if pipeline.follow.schema_changes == SchemaChanges::Stop {
        return Err(stopped(before, &told).hint(
            "Write schema_changes: apply (--schema-changes apply) to let the target follow, or ignore",
        ));
    }
    let ignore = pipeline.follow.schema_changes == SchemaChanges::Ignore;
    let columns = ignore.then(|| {
        let read = before.read.columns.iter();
        read.filter(|name| schema.index(name).is_some()).cloned().collect::<Vec<_>>()
    });
    let known = Known { schema, columns };
    let (choice, stream) = as_known(choice, before.read.stream.as_ref().clone(), &known);
    let mut work = bind(pipeline, &choice, stream, before.target.stream, source).map_err(|error| {
        stopped(before, &told)
            .because(error.sentence())
            .hint("Correct the steps, and copy it again: --restart")
    })?;
    if work.by_values() {
        // The rows that are there are its own, whoever has made the table.
        work.target = Arc::new(Target { overwrite_said: true, ..Target::clone(&work.target) });
    }
    let (changes, mut copy_again) = if ignore { (vec![], false) } else { at_target(before, &work) };
    refuse_other_key(before, &work, &changes, &told)?;
    if !changes.is_empty() {
        let evolution = sink.evolve(&work.target, &changes).await?;
        for action in &evolution.actions {
            sink.apply(run, &work.target, action).await?;
        }
        copy_again |= evolution.alters_values;
    }
    refuse_blocked(sink, &work).await?;
    Ok(Evolved { known, told, work, changes, copy_again })
}

fn stopped(before: &StreamWork, told: &[String]) -> Error {
    let name = before.target.source.to_string();
    Error::new(&codes::SCHEMA_CHANGED, "follow stream", format!("`{name}`"))
        .because(format!("its columns have changed at the source: {}", told.join(", ")))
        .hint("Copy it again: --restart")
}

/// Rows of the new shape have to fit what is there.
async fn refuse_blocked(sink: &dyn Sink, work: &StreamWork) -> Result<()> {
    let plans = sink.plan(std::slice::from_ref(&work.target)).await?;
    let mut findings = plans.into_iter().flat_map(|plan| plan.findings);
    let blocker = |finding: Finding| finding.error.filter(|_| finding.severity == Severity::Blocker);
    match findings.find_map(blocker) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Rows are found by their key, so that one has to stay what it is, if under another name.
fn refuse_other_key(
    before: &StreamWork,
    after: &StreamWork,
    changes: &[ColumnChange],
    told: &[String],
) -> Result<()> {
    let now = |name: &String| {
        let renamed = changes.iter().find_map(|change| match change {
            ColumnChange::Renamed { from, to } if from == name => Some(to),
            _ => None,
        });
        renamed.unwrap_or(name).clone()
    };
    let key: Vec<String> = before.target.key.iter().map(now).collect();
    if key == after.target.key {
        return Ok(());
    }
    Err(stopped(before, told).because(format!(
        "its key was ({}) and is ({}) now",
        before.target.key.join(", "),
        after.target.key.join(", ")
    )))
}

/// What has changed at the source, for people.
fn told(before: &TableSchema, after: &TableSchema) -> Vec<String> {
    let mut told = vec![];
    for column in &after.columns {
        match was(before, column) {
            None => told.push(format!("`{}` is new", column.name)),
            Some(old) if old.name != column.name => {
                told.push(format!("`{}` is called `{}`", old.name, column.name));
            }
            Some(old) if is_retyped(old, column) => {
                let native = column.native.clone().unwrap_or_else(|| column.logical.to_string());
                told.push(format!("`{}` is {native}", column.name));
            }
            Some(_) => {}
        }
    }
    told.extend(gone(before, after).map(|old| format!("`{}` is gone", old.name)));
    if told.is_empty() { vec!["in what way is not told".to_owned()] } else { told }
}

/// What a column was before: the one with its number, or where there are none with its name.
fn was<'a>(before: &'a TableSchema, column: &Column) -> Option<&'a Column> {
    let by_id = column.id.and_then(|id| before.columns.iter().find(|old| old.id == Some(id)));
    by_id.or_else(|| before.column(&column.name).filter(|old| old.id.is_none() || column.id.is_none()))
}

fn is_retyped(old: &Column, new: &Column) -> bool {
    old.logical != new.logical || old.native != new.native
}

fn gone<'a>(before: &'a TableSchema, after: &TableSchema) -> impl Iterator<Item = &'a Column> {
    let kept: Vec<&str> =
        after.columns.iter().filter_map(|column| was(before, column)).map(|old| old.name.as_str()).collect();
    before.columns.iter().filter(move |old| !kept.contains(&old.name.as_str()))
}

/// How the target's columns change, and whether rows that are there may have got values that the log does
/// not tell.
fn at_target(before: &StreamWork, after: &StreamWork) -> (Vec<ColumnChange>, bool) {
    let (source_was, source_is) = (&before.read.stream.schema, &after.read.stream.schema);
    let mut changes = vec![];
    // The old names of columns at the target, by the new ones.
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    let mut untold = false;
    for column in &source_is.columns {
        let Some(old) = was(source_was, column) else {
            // Rows that are there have got its default, or what else the table has for them.
            untold |= !column.nullable || column.default.is_some() || column.identity || column.generated;
            // Perhaps it is one of those that are gone.
            untold |= gone(source_was, source_is).any(|gone| gone.id.is_none() || column.id.is_none());
            continue;
        };
        let (from, to) = (before.chain.carrier(&old.name), after.chain.carrier(&column.name));
        if let (Some(from), Some(to)) = (from, to)
            && from != to
        {
            // Two that have changed their names between them cannot be renamed one after the other: each gets
            // the values of the other one by being copied again.
            if before.target.schema.index(to).is_some() {
                untold = true;
                continue;
            }
            changes.push(ColumnChange::Renamed { from: from.to_owned(), to: to.to_owned() });
            names.insert(to, from);
        }
    }
    let (target_was, target_is) = (&before.target.schema, &after.target.schema);
    for column in &target_is.columns {
        let old = names.get(column.name.as_str()).copied().unwrap_or(column.name.as_str());
        let is_renamed = names.iter().any(|(new, from)| *from == old && *new != column.name);
        match target_was.column(old).filter(|_| !is_renamed) {
            None => changes.push(ColumnChange::Added(column.name.clone())),
            Some(old) if is_retyped(old, column) => {
                changes.push(ColumnChange::Retyped { name: column.name.clone(), before: old.logical });
            }
            // The name is the same, and the column is another one.
            Some(old) => untold |= old.id.is_some() && column.id.is_some() && old.id != column.id,
        }
    }
    let is_kept = |name: &str| target_is.index(name).is_some() || names.values().any(|old| *old == name);
    let dropped = target_was.columns.iter().filter(|old| !is_kept(&old.name));
    changes.extend(dropped.map(|old| ColumnChange::Dropped(old.name.clone())));
    (changes, untold)
}
