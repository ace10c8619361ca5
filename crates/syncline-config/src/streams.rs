//! Which streams a pipeline takes and what happens to each: the pipeline's own settings, with what
//! a stream says in their place.

use std::collections::BTreeSet;

use syncline_connect::{Replace, Selection, WriteMode};
use syncline_steps::StepSpec;
use syncline_types::{Error, StreamName};

use crate::{
    model::{Deletes, StreamChoice, Sync},
    place::Place,
    problem::Problem,
    settings::not_incremental,
    spec::{StreamSettings, StreamSpec},
};

/// What makes a stream's name a pattern.
const GLOB_CHARACTERS: [char; 4] = ['*', '?', '[', '{'];

/// The choices of a pipeline at `place`; without `streams`, one of everything.
pub(crate) fn choices(
    streams: Option<&[StreamSpec]>,
    defaults: &StreamSettings,
    sync: Sync,
    place: &Place<'_>,
) -> Result<Vec<StreamChoice>, Error> {
    check(defaults, sync, place)?;
    if defaults.steps.as_ref().is_some_and(Vec::is_empty) {
        return Err(place.key("steps").error(empty_list()));
    }
    let list = place.key("streams");
    let choices = match streams {
        None => vec![choice(Selection::Default, None, &StreamSettings::default(), defaults, sync, None)],
        Some([]) => {
            let problem =
                empty_list().hint("Without `streams`, all tables of the default namespace are copied");
            return Err(list.error(problem));
        }
        Some(streams) => streams
            .iter()
            .enumerate()
            .map(|(at, stream)| one(stream, defaults, sync, &list.item(at)))
            .collect::<Result<Vec<_>, Error>>()?,
    };
    if sync == Sync::Incremental && choices.iter().any(|choice| choice.cursor.is_none()) {
        return Err(place.key("sync").error(
            Problem::value("incremental runs need a cursor, and it is not guessed")
                .hint("Name a column that is set to a higher value whenever a row changes, with --cursor COL (cursor: COL)"),
        ));
    }
    if defaults.replace.is_some() && choices.iter().all(|choice| choice.write != WriteMode::Overwrite) {
        return Err(place.key("replace").error(replace_without_overwrite()));
    }
    let is_log = |choice: &StreamChoice| sync == Sync::Follow && choice.write == WriteMode::Append;
    if defaults.deletes == Some(Deletes::Soft) && choices.iter().any(is_log) {
        return Err(place.key("deletes").error(soft_in_a_log()));
    }
    let asked = defaults.deletes.is_some_and(|deletes| deletes != Deletes::Ignore);
    if asked && sync != Sync::Follow && choices.iter().all(|choice| choice.write != WriteMode::Merge) {
        return Err(place.key("deletes").error(deletes_without_merge()));
    }
    Ok(choices)
}

fn one(
    stream: &StreamSpec,
    defaults: &StreamSettings,
    sync: Sync,
    place: &Place<'_>,
) -> Result<StreamChoice, Error> {
    let own = &stream.settings;
    check(own, sync, place)?;
    if own.steps.as_ref().is_some_and(Vec::is_empty) && defaults.steps.is_none() {
        let problem =
            empty_list().hint("An empty list is for a stream that shall not have the pipeline's steps");
        return Err(place.key("steps").error(problem));
    }
    let selection = selection(&stream.name).map_err(|problem| place.error(problem))?;
    let to = match (&stream.to, &selection) {
        (None, _) => None,
        (Some(to), Selection::Name(_)) => Some(target(to).map_err(|problem| place.key("to").error(problem))?),
        (Some(_), _) => {
            let problem = Problem::value(format!(
                "`{}` may match many streams, which cannot all become one table",
                stream.name
            ))
            .hint("Leave the target out, or name the streams one by one");
            return Err(place.key("to").error(problem));
        }
    };
    let choice = choice(selection, to, own, defaults, sync, place.line());
    if sync == Sync::Follow && choice.write == WriteMode::Append && choice.deletes == Deletes::Soft {
        return Err(place.key("deletes").error(soft_in_a_log()));
    }
    if own.replace.is_some() && choice.write != WriteMode::Overwrite {
        return Err(place.key("replace").error(replace_without_overwrite()));
    }
    let asked = own.deletes.is_some_and(|deletes| deletes != Deletes::Ignore);
    if asked && sync != Sync::Follow && choice.write != WriteMode::Merge {
        return Err(place.key("deletes").error(deletes_without_merge()));
    }
    Ok(choice)
}

/// What a stream says itself, else what its pipeline says, else the default.
fn choice(
    selection: Selection,
    to: Option<StreamName>,
    own: &StreamSettings,
    defaults: &StreamSettings,
    sync: Sync,
    line: Option<u64>,
) -> StreamChoice {
    let write = own.write.or(defaults.write);
    let default = match sync {
        Sync::Full => WriteMode::Overwrite,
        Sync::Incremental | Sync::Follow => WriteMode::Merge,
    };
    let merges = write.unwrap_or(default) == WriteMode::Merge;
    let deletes = match sync {
        Sync::Follow => own.deletes.or(defaults.deletes).or(Some(Deletes::Apply)),
        Sync::Full | Sync::Incremental => own.deletes.or(defaults.deletes).filter(|_| merges),
    };
    StreamChoice {
        selection,
        to,
        write: write.unwrap_or(default),
        deletes: deletes.unwrap_or_default(),
        write_said: write.is_some(),
        cursor: own.cursor.clone().or_else(|| defaults.cursor.clone()),
        key: own.key.clone().or_else(|| defaults.key.clone()).unwrap_or_default(),
        columns: own.columns.clone().or_else(|| defaults.columns.clone()).unwrap_or_default(),
        filter: own.filter.clone().or_else(|| defaults.filter.clone()),
        steps: steps(own, defaults),
        replace: own.replace.or(defaults.replace).unwrap_or(Replace::Auto),
        line,
    }
}

fn steps(own: &StreamSettings, defaults: &StreamSettings) -> Vec<StepSpec> {
    own.steps.clone().or_else(|| defaults.steps.clone()).unwrap_or_default()
}

/// What is wrong with settings whatever stream they are for.
fn check(settings: &StreamSettings, sync: Sync, place: &Place<'_>) -> Result<(), Error> {
    if sync == Sync::Incremental && settings.write == Some(WriteMode::Overwrite) {
        return Err(place.key("write").error(
            Problem::value("an incremental run reads a part of the rows, which cannot replace all others")
                .hint("Merge or append, or make the runs full"),
        ));
    }
    if sync != Sync::Follow && settings.deletes == Some(Deletes::Told) {
        let problem = Problem::value("it is about following changes, and this pipeline does not")
            .hint("Write deletes: apply, or sync: follow (--sync follow)");
        return Err(place.key("deletes").error(problem));
    }
    match &settings.cursor {
        Some(_) if sync != Sync::Incremental => {
            return Err(place.key("cursor").error(not_incremental(sync)));
        }
        Some(cursor) if cursor.is_empty() => {
            return Err(place.key("cursor").error(Problem::value("the column's name is empty")));
        }
        _ => {}
    }
    for (name, list) in [("key", &settings.key), ("columns", &settings.columns)] {
        if let Some(list) = list {
            check_columns(list, &place.key(name))?;
        }
    }
    if settings.filter.as_ref().is_some_and(|filter| filter.trim().is_empty()) {
        return Err(place.key("where").error(Problem::value("the condition is empty")));
    }
    Ok(())
}

fn check_columns(columns: &[String], place: &Place<'_>) -> Result<(), Error> {
    if columns.is_empty() {
        return Err(place.error(empty_list()));
    }
    let mut seen = BTreeSet::new();
    for (at, column) in columns.iter().enumerate() {
        if column.is_empty() {
            return Err(place.item(at).error(Problem::value("the column's name is empty")));
        }
        if !seen.insert(column) {
            return Err(place
                .item(at)
                .error(Problem::value(format!("the column `{column}` is listed twice"))));
        }
    }
    Ok(())
}

/// Whether one of a pattern's characters stands outside quotes.
fn is_pattern(text: &str) -> bool {
    // Every second piece stands in quotes; a doubled quote inside them makes two pieces of one.
    text.split('"').step_by(2).any(|outside| outside.contains(GLOB_CHARACTERS))
}

fn selection(text: &str) -> Result<Selection, Problem> {
    if !is_pattern(text) {
        return stream_name(text).map(Selection::Name);
    }
    if text.contains('"') {
        return Err(Problem::value(format!(
            "`{text}` is a pattern with quotes, which have no meaning in one"
        )));
    }
    match globset::Glob::new(text) {
        Ok(_) => Ok(Selection::Glob(text.to_owned())),
        Err(error) => Err(Problem::value(format!("`{text}` is no pattern: {}", error.kind()))),
    }
}

fn target(text: &str) -> Result<StreamName, Problem> {
    if is_pattern(text) {
        return Err(Problem::value(format!("`{text}` is a pattern, and a target is one table"))
            .hint("A name with `*`, `?`, `[` or `{` in it stands in double quotes"));
    }
    stream_name(text)
}

fn stream_name(text: &str) -> Result<StreamName, Problem> {
    StreamName::parse(text).map_err(|error| {
        Problem::value(format!("`{text}` is no stream's name: {}", error.0))
            .hint("Names look like orders, shop.orders or \"a.b\".orders")
    })
}

fn empty_list() -> Problem {
    Problem::value("the list is empty")
}

fn replace_without_overwrite() -> Problem {
    Problem::value("it says how an overwrite is published, and nothing is overwritten here")
        .hint("Remove it, or overwrite")
}

fn deletes_without_merge() -> Problem {
    Problem::value("it says what becomes of rows that the source no longer has, and nothing is merged here")
        .hint("Remove it, or merge: `write: merge` (--write merge)")
}

#[cfg(test)]
mod tests;

fn soft_in_a_log() -> Problem {
    Problem::value("in a log of changes a deletion is a row of its own, and no row is marked")
        .hint("Leave it out, or merge")
}
