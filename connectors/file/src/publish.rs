//! Making rows visible: parts get their names, and then the manifest lists them, all at once. Doing it
//! again changes nothing: the manifest remembers which run of a pipeline it is of.

mod compact;
mod keys;
mod turn;

use std::{collections::BTreeSet, fs, io, path::Path};

use syncline_connect::{Marking, Published, RunRef, Target, Task, WriteMode};
use syncline_sql::reconcile;
use syncline_types::{Error, Result, TableSchema, codes};

use crate::{
    client::{look, remove, sync_folder},
    error::{Explain, shown},
    manifest::{self, Content, DRAFTS, Manifest, Part},
    plan::{Seen, column_mismatch, key_missing, needs_decision, other_layout},
    schema::name::hidden,
    sink::{
        SinkShared,
        journal::{Entry, Known, Landing, PartState},
        make_folder,
        tidy::{staged_name, unlisted},
    },
    types::Layout,
};
pub(crate) use compact::{Fold, Pending};
pub(crate) use keys::order;
pub(crate) use turn::Turn;

/// A [`Marking`] that outlives its call.
#[derive(Clone, Debug)]
pub(crate) enum OwnedMarking {
    Keep,
    Save(String),
    Clear,
}

impl OwnedMarking {
    pub(crate) fn of(marking: Marking<'_>) -> Self {
        match marking {
            Marking::Keep => OwnedMarking::Keep,
            Marking::Save(mark) => OwnedMarking::Save(mark.to_owned()),
            Marking::Clear => OwnedMarking::Clear,
        }
    }
}

/// That a target can be published into what is there now, whatever was planned.
///
/// # Errors
/// With what stands in the way.
pub(crate) fn must_fit(target: &Target, seen: &Seen, layout: &Layout) -> Result<()> {
    let kept = seen.kept(target).map(|manifest| &manifest.schema);
    let problem = needs_decision(target, seen)
        .or_else(|| other_layout(target, seen, layout))
        .or_else(|| kept.and_then(|schema| column_mismatch(target, schema)))
        .or_else(|| (target.write == WriteMode::Merge).then(|| key_missing(target, kept)).flatten());
    problem.map_or(Ok(()), Err)
}

/// Publishes a manifest without parts, where there is none.
pub(crate) fn create(shared: &SinkShared, run: &RunRef, target: &Target) -> Result<()> {
    let journal = shared.journal(run)?;
    let landing = landing(&journal.known, target.stream)?;
    let folder = shared.root.join(&landing.folder);
    let _turn = Turn::take(shared, &folder)?;
    if Seen::of(&shared.root, target)?.manifest().is_some() {
        return Ok(());
    }
    Manifest::new(&run.run, shared.layout.clone(), landing.schema.clone()).publish(&folder)
}

fn landing(known: &Known, stream: u32) -> Result<&Landing> {
    known.landings.get(&stream).ok_or_else(|| {
        Error::new(&codes::BROKEN_INVARIANT, "publish", "a stream").because("it was not prepared")
    })
}

/// Lists what is committed of every stream whose rows do not wait for the end: a crash may have come
/// between a commit and its parts being listed.
pub(crate) fn show_all(shared: &SinkShared, run: &RunRef, known: &Known) -> Result<()> {
    for (stream, landing) in &known.landings {
        // A folder that somebody has removed is told of when the stream goes on.
        let is_there = manifest::read(&shared.root.join(&landing.folder))?.is_some();
        if is_there && !landing.staged && !known.published.contains(stream) {
            show(shared, run, known, *stream)?;
        }
    }
    Ok(())
}

/// Lists what is committed of a stream whose rows do not wait for the end.
pub(crate) fn show(shared: &SinkShared, run: &RunRef, known: &Known, stream: u32) -> Result<()> {
    let landing = landing(known, stream)?;
    let folder = shared.root.join(&landing.folder);
    if known.parts_of(stream).next().is_none() {
        return Ok(());
    }
    let _turn = Turn::take(shared, &folder)?;
    let Content::Ours(mut manifest, _) = Content::of(&folder)? else {
        return Err(gone(&folder));
    };
    if list_committed(&folder, &mut manifest, landing, known, stream)? {
        manifest.run.clone_from(&run.run);
        manifest.publish(&folder)?;
    }
    Ok(())
}

/// Removes drafts of a manifest that a crash has left in a folder. Whoever is publishing there now writes
/// them anew.
pub(crate) fn clear_drafts(folder: &Path) -> Result<()> {
    let Some(_turn) = Turn::now(folder)? else { return Ok(()) };
    DRAFTS.iter().try_for_each(|draft| remove(&folder.join(draft)))
}

fn gone(folder: &Path) -> Error {
    Error::new(&codes::SCHEMA_CHANGED, "publish into", shown(folder))
        .because("its manifest was there when the run was planned, and is no more")
        .hint("Begin again with --restart")
}

/// Adds what is committed and not listed yet. Returns whether there was any.
fn list_committed(
    folder: &Path,
    manifest: &mut Manifest,
    landing: &Landing,
    known: &Known,
    stream: u32,
) -> Result<bool> {
    let listed: BTreeSet<&str> = manifest.parts.iter().map(|part| part.file.as_str()).collect();
    let mut missing = vec![];
    for part in known.parts_of(stream).filter(|part| !listed.contains(part.file.as_str())) {
        // One that is gone was listed, and was replaced by somebody since.
        let there = [staged_name(&part.file), part.file.clone()].map(|name| folder.join(name));
        if look(&there[0])?.is_some() || look(&there[1])?.is_some() {
            missing.push(part.clone());
        }
    }
    if missing.is_empty() {
        return Ok(false);
    }
    let added = settle(folder, &missing)?;
    list(manifest, added, &landing.schema)?;
    Ok(true)
}

/// Adds parts of a schema to a manifest, with the columns that it lacks.
fn list(manifest: &mut Manifest, added: Vec<Part>, schema: &TableSchema) -> Result<()> {
    let reconciled = reconcile(schema, &manifest.schema);
    let adds_rows = !added.is_empty();
    let altered = reconciled.common.iter().any(|(here, there, _)| here.logical != there.logical);
    if altered {
        return Err(Error::new(&codes::SCHEMA_CHANGED, "publish", format!("{} parts", added.len()))
            .because("the folder's columns are not those for which the rows were staged")
            .hint("Begin again with --restart"));
    }
    let new: Vec<_> = reconciled.missing.into_iter().cloned().collect();
    for part in &mut manifest.parts {
        part.lacks.extend(new.iter().map(|column| column.name.clone()));
    }
    for column in &mut manifest.schema.columns {
        column.nullable |= schema.column(&column.name).map_or(adds_rows, |here| here.nullable);
    }
    manifest.schema.columns.extend(new);
    let lacks: Vec<String> = manifest
        .schema
        .columns
        .iter()
        .filter(|column| schema.column(&column.name).is_none())
        .map(|column| column.name.clone())
        .collect();
    let added = added.into_iter().map(|part| Part { lacks: lacks.clone(), ..part });
    let parts = manifest.parts.drain(..).chain(added).collect();
    manifest.set_parts(parts);
    Ok(())
}

/// Gives parts their names. What is in them behind the last commit is nobody's.
fn settle(folder: &Path, parts: &[PartState]) -> Result<Vec<Part>> {
    let mut settled = vec![];
    for part in parts {
        let (staged, named) = (folder.join(staged_name(&part.file)), folder.join(&part.file));
        match fs::File::options().write(true).open(&staged) {
            Ok(file) => {
                let bytes = file.metadata().explain("look at", &staged)?.len();
                if bytes < part.bytes {
                    return Err(lost(&staged, "it is shorter than what was written to it"));
                }
                if bytes > part.bytes {
                    file.set_len(part.bytes).and_then(|()| file.sync_all()).explain("cut", &staged)?;
                }
                fs::rename(&staged, &named).explain("publish", &named)?;
            }
            // It has its name already.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if look(&named)?.is_none_or(|found| found.len() != part.bytes) {
                    return Err(lost(&named, "it was written, and is gone or changed"));
                }
            }
            Err(error) => return Err(error).explain("publish", &staged),
        }
        let PartState { file, rows, bytes, checksum, .. } = part.clone();
        settled.push(Part { file, rows, bytes, checksum, lacks: vec![] });
    }
    sync_folder(folder)?;
    Ok(settled)
}

fn lost(path: &Path, reason: &str) -> Error {
    Error::new(&codes::BAD_BYTES, "publish", shown(path)).because(reason).hint("Begin again with --restart")
}

/// Publishes a target.
pub(crate) fn finish(
    shared: &SinkShared,
    run: &RunRef,
    target: &Target,
    marking: &OwnedMarking,
) -> Result<Published> {
    let mut journal = shared.journal(run)?;
    let how = |how: &str| Ok(Published { how: how.into() });
    if journal.known.published.contains(&target.stream) {
        return how("published before");
    }
    let landing = landing(&journal.known, target.stream)?.clone();
    let folder = shared.root.join(&landing.folder);
    make_folder(&folder)?;
    let turn = Turn::take(shared, &folder)?;
    let seen = Seen::of(&shared.root, target)?;
    let done = seen.manifest().and_then(|manifest| manifest.done.get(&run.pipeline));
    let said = if done == Some(&landing.token) {
        seen.manifest().map_or(Ok(()), |manifest| manifest.publish_schema(&folder))?;
        "published before"
    } else {
        must_fit(target, &seen, &shared.layout)?;
        let before = seen.manifest().cloned();
        let (mut manifest, said) = next(shared, run, target, &landing, &journal.known, &folder, seen)?;
        manifest.run.clone_from(&run.run);
        // A pipeline without a journal has no run that could ask again.
        manifest.done.retain(|pipeline, _| shared.root.join(hidden(pipeline, "journal")).exists());
        manifest.done.insert(run.pipeline.clone(), landing.token.clone());
        manifest.replaces(before.as_ref());
        mark(&mut manifest, run, target, marking);
        journal.refresh()?;
        journal.fence(run.epoch)?;
        manifest.publish(&folder)?;
        said
    };
    if let Some(manifest) = manifest::read(&folder)? {
        unlisted(&folder, &manifest, &run.run)?;
    }
    drop(turn);
    journal.add(run.epoch, &[Entry::Published { stream: target.stream }])?;
    how(said)
}

/// The manifest to come, and how it comes about.
fn next(
    shared: &SinkShared,
    run: &RunRef,
    target: &Target,
    landing: &Landing,
    known: &Known,
    folder: &Path,
    seen: Seen,
) -> Result<(Manifest, &'static str)> {
    let there = match seen.content {
        Content::Ours(manifest, _) => Some(*manifest),
        _ => None,
    };
    let staged: Vec<PartState> = known.parts_of(target.stream).cloned().collect();
    let fresh = || Manifest::new(&run.run, shared.layout.clone(), landing.schema.clone());
    match (target.task, target.write, there) {
        (Task::Load, WriteMode::Append, Some(mut manifest)) if !landing.staged => {
            list_committed(folder, &mut manifest, landing, known, target.stream)?;
            Ok((manifest, "added part by part"))
        }
        (Task::Load, WriteMode::Append, Some(mut manifest)) => {
            list(&mut manifest, settle(folder, &staged)?, &landing.schema)?;
            Ok((manifest, "added to the manifest"))
        }
        (Task::Load, WriteMode::Append, None) if !landing.staged => Err(gone(folder)),
        (Task::Load, WriteMode::Overwrite | WriteMode::Append, there) => {
            let mut manifest = fresh();
            manifest.set_parts(settle(folder, &staged)?);
            if let Some(there) = there {
                manifest.done = there.done;
                manifest.marks = there.marks;
            }
            Ok((manifest, "listed in a new manifest"))
        }
        (_, _, there) => {
            let mut manifest = there.unwrap_or_else(fresh);
            let how = compact::compact(shared, run, target, landing, &staged, folder, &mut manifest)?;
            Ok((manifest, how))
        }
    }
}

fn mark(manifest: &mut Manifest, run: &RunRef, target: &Target, marking: &OwnedMarking) {
    let source = target.source.to_string();
    match marking {
        OwnedMarking::Keep => {}
        OwnedMarking::Save(mark) => {
            manifest.marks.entry(run.pipeline.clone()).or_default().insert(source, mark.clone());
        }
        OwnedMarking::Clear => {
            if let Some(marks) = manifest.marks.get_mut(&run.pipeline) {
                marks.remove(&source);
                if marks.is_empty() {
                    manifest.marks.remove(&run.pipeline);
                }
            }
        }
    }
}
