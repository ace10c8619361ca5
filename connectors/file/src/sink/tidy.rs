//! Removes what runs have left behind. What the manifest lists is never touched, nor is any file whose
//! name is not one of ours.

use std::{collections::BTreeSet, fs, io, path::Path};

use syncline_types::Result;

use super::journal::{Journal, Known};
use crate::{
    client::{look, names, remove},
    error::Explain,
    manifest::{self, Manifest, STAGED, is_part},
    schema::name::HIDDEN,
};

/// What a pipeline's process has written and not committed before it died.
pub(super) fn unrecorded(root: &Path, known: &Known) -> Result<()> {
    let Some(run) = &known.run else { return Ok(()) };
    for (stream, landing) in &known.landings {
        let recorded: BTreeSet<String> =
            known.parts_of(*stream).map(|part| staged_name(&part.file)).collect();
        each(&root.join(&landing.folder), |name| is_staged_by(name, run) && !recorded.contains(name))?;
    }
    Ok(())
}

/// All that a run has staged in a folder.
pub(super) fn staged(folder: &Path, run: &str) -> Result<()> {
    each(folder, |name| is_staged_by(name, run))
}

/// All that a pipeline's run has left anywhere, and folders with nothing in them.
pub(super) fn everything(root: &Path, known: &Known) -> Result<()> {
    for landing in known.landings.values() {
        let folder = root.join(&landing.folder);
        let Some(run) = &known.run else { continue };
        let listed = listed(manifest::read(&folder)?.as_ref());
        each(&folder, |name| is_staged_by(name, run) || (is_part_of(name, run) && !listed.contains(name)))?;
        match fs::remove_dir(&folder) {
            Ok(()) => {}
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => {}
            Err(error) => return Err(error).explain("remove the folder", &folder),
        }
    }
    Ok(())
}

/// Parts that a manifest has let go of, and what the run that has published it has left.
pub(crate) fn unlisted(folder: &Path, manifest: &Manifest, own_run: &str) -> Result<()> {
    let listed = listed(Some(manifest));
    each(folder, |name| {
        let replaced = is_part(name) && manifest.replaced.iter().any(|file| file == name);
        (replaced || run_of(name) == Some(own_run)) && !listed.contains(name)
    })
}

/// The unfinished runs whose journals are in a folder.
pub(crate) fn alive(root: &Path) -> Result<BTreeSet<String>> {
    let mut alive = BTreeSet::new();
    for name in names(root)? {
        let name = name.to_string_lossy();
        if name.starts_with(HIDDEN) && name.ends_with(".journal") {
            alive.extend(Journal::run_of(&root.join(&*name))?);
        }
    }
    Ok(alive)
}

/// The name of a part while it is not published.
pub(crate) fn staged_name(file: &str) -> String {
    format!(".{file}.tmp")
}

fn listed(manifest: Option<&Manifest>) -> BTreeSet<String> {
    manifest.iter().flat_map(|manifest| manifest.parts.iter().map(|part| part.file.clone())).collect()
}

fn is_staged_by(name: &str, run: &str) -> bool {
    name.starts_with('.') && run_of(name) == Some(run)
}

fn is_part_of(name: &str, run: &str) -> bool {
    !name.starts_with('.') && run_of(name) == Some(run)
}

/// The run that a part is of, staged or not.
pub(crate) fn run_of(name: &str) -> Option<&str> {
    let part = match name.strip_prefix('.') {
        Some(staged) if name.starts_with(STAGED) => staged.strip_suffix(".tmp")?,
        Some(_) => return None,
        None => name,
    };
    if !is_part(part) {
        return None;
    }
    part.strip_prefix("part-")?.split('-').next()
}

fn each(folder: &Path, unwanted: impl Fn(&str) -> bool) -> Result<()> {
    if !look(folder)?.is_some_and(|found| found.is_dir()) {
        return Ok(());
    }
    for name in names(folder)? {
        if name.to_str().is_some_and(&unwanted) {
            remove(&folder.join(name))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_parts_have_a_run() {
        for (name, run) in [
            ("part-abc-1-0-0.csv", Some("abc")),
            (".part-abc-1-0-0.csv.tmp", Some("abc")),
            (".part-abc-1-0-0.csv", None),
            ("part-0.csv", None),
            (".abc.tmp", None),
            ("_manifest.json", None),
        ] {
            assert_eq!(run_of(name), run, "{name}");
        }
    }
}
