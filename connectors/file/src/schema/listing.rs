//! Files of anyone's: one file, those of a folder, or those that match a pattern.

use std::{
    collections::BTreeSet,
    fs::Metadata,
    path::{Path, PathBuf},
};

use globset::{GlobBuilder, GlobMatcher};
use syncline_types::{Error, Result, codes};

use super::{Place, last_name};
use crate::{
    client::{Identity, look, names},
    config::{CompressionName, FileConfig, FormatName},
    error::shown,
    manifest::{self, MANIFEST, SCHEMA, is_part},
    types::Layout,
};

/// More than this is a mistake in the pattern, or a job for several runs.
const FILES_MAX: usize = 100_000;

/// Folders within each other; links may go round in circles.
const DEPTH_MAX: usize = 32;

/// Files that belong to one stream.
#[derive(Debug)]
pub(crate) struct Listing {
    /// The stream's name, if nobody says another.
    pub(crate) name: String,
    /// How they are written.
    pub(crate) layout: Layout,
    /// In the order of their names.
    pub(crate) files: Vec<(PathBuf, Identity)>,
}

impl Listing {
    /// Lists the files that a place names.
    ///
    /// # Errors
    /// When there are none, when they do not belong together, or when we may not look.
    pub(crate) fn of(place: &Place) -> Result<Self> {
        let path = &place.path;
        match look(path)? {
            Some(found) if found.is_dir() => Listing::folder_of(place),
            Some(_) => Listing::new(place, stem(path), vec![path.clone()]),
            None if has_pattern(&place.config.path) => {
                let files = matching(path)?;
                let name = match files.as_slice() {
                    [only] => stem(only),
                    _ => last_name(&fixed_part(path)),
                };
                if files.is_empty() {
                    return Err(nothing(path, "no file matches").hint(
                        "Check the pattern; `*` does not cross a `/`, `**` does, and names with a leading dot match only \
                         where the pattern has one",
                    ));
                }
                Listing::new(place, name, files)
            }
            None => Err(Error::new(&codes::DATABASE_MISSING, "read", shown(path))
                .because("there is no such file or folder")
                .hint("Check the path; it counts from the folder that the command runs in")),
        }
    }

    fn folder_of(place: &Place) -> Result<Self> {
        let path = &place.path;
        let mut files = vec![];
        let mut others = vec![];
        for name in names(path)? {
            let text = name.to_string_lossy();
            let file = path.join(&name);
            if is_hidden(&text) || look(&file)?.is_none_or(|found| found.is_dir()) {
                continue;
            }
            let (format, _) = Layout::of_name(&text);
            let wanted = format.is_some() && place.config.format.is_none_or(|wanted| format == Some(wanted));
            if wanted { files.push(file) } else { others.push(file) }
        }
        // Whoever says the format may have called the files what they like.
        let unnamed = |file: &PathBuf| Layout::of_name(&file.to_string_lossy()).0.is_none();
        if files.is_empty() && place.config.format.is_some() {
            files = others.into_iter().filter(unnamed).collect();
        }
        if files.is_empty() {
            return Err(nothing(path, "it holds no file of CSV, JSON Lines or Parquet, and no stream that Syncline wrote")
                .hint("Name files with a pattern such as 'folder/**/*.csv'; say their format with ?format= if their names do not"));
        }
        Listing::new(place, last_name(path), files)
    }

    fn new(place: &Place, name: String, files: Vec<PathBuf>) -> Result<Self> {
        let layout = layout(&place.config, &files)?;
        let mut listed = vec![];
        for path in files {
            let Some(found) = look(&path)? else {
                return Err(nothing(&path, "it was there a moment ago, and is no more"));
            };
            must_be_file(&path, &found)?;
            listed.push((path, Identity::of(&found)));
        }
        Ok(Listing { name, layout, files: listed })
    }

    /// The folder that all of them are in.
    pub(crate) fn folder(&self) -> Option<&Path> {
        let folders: BTreeSet<&Path> = self.files.iter().filter_map(|(path, _)| path.parent()).collect();
        if folders.len() == 1 { folders.into_iter().next() } else { None }
    }
}

fn nothing(path: &Path, reason: &str) -> Error {
    Error::new(&codes::STREAM_MISSING, "find files in", shown(path)).because(reason)
}

/// What is no file has no size and no end that could be known.
fn must_be_file(path: &Path, found: &Metadata) -> Result<()> {
    if found.is_file() {
        return Ok(());
    }
    let what = if found.is_dir() { "a folder" } else { "a pipe or a device" };
    Err(Error::new(&codes::UNSUPPORTED, "read", shown(path))
        .because(format!("it is {what}, and only files can be read"))
        .hint("Write what it gives into a file first"))
}

/// How files are written, as the options and their names say.
fn layout(config: &FileConfig, files: &[PathBuf]) -> Result<Layout> {
    let mut told: Vec<(&PathBuf, FormatName, CompressionName)> = vec![];
    for file in files {
        let (format, compression) = Layout::of_name(&file.to_string_lossy());
        let Some(format) = config.format.or(format) else {
            return Err(Error::new(&codes::BAD_URL, "read", shown(file))
                .because("its name does not tell its format")
                .hint("Write ?format=csv, ?format=jsonl or ?format=parquet behind the path"));
        };
        told.push((file, format, config.compression.unwrap_or(compression)));
    }
    let Some((first, format, compression)) = told.first().copied() else {
        return Err(Error::new(&codes::BROKEN_INVARIANT, "read files", "").because("there are none"));
    };
    if let Some((other, ..)) = told.iter().find(|told| (told.1, told.2) != (format, compression)) {
        return Err(Error::new(
            &codes::NEEDS_DECISION,
            "take files for one stream",
            format!("{} and {}", shown(first), shown(other)),
        )
        .because("their names say that they are written in different ways")
        .hint("Name the files of each kind by a pattern of their own"));
    }
    if format == FormatName::Parquet && (compression != CompressionName::None || config.compression.is_some())
    {
        return Err(Error::new(&codes::UNSUPPORTED, "read", shown(first))
            .because("Parquet is compressed within, and tells how by itself; there is none around it that could be read")
            .hint("Uncompress the file, or leave out compression="));
    }
    let layout = Layout::new(format, compression, config)?;
    let tabs = first.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tsv"))
        || first.to_string_lossy().to_ascii_lowercase().contains(".tsv.");
    Ok(if tabs && config.delimiter.is_none() { layout.with_tabs() } else { layout })
}

/// A file's name without what tells its format.
fn stem(path: &Path) -> String {
    let name = last_name(path);
    let (format, compression) = Layout::of_name(&name);
    let mut stem = name.as_str();
    for _ in 0..usize::from(format.is_some()) + usize::from(compression != CompressionName::None) {
        stem = stem.rsplit_once('.').map_or(stem, |(stem, _)| stem);
    }
    if stem.is_empty() { name } else { stem.to_owned() }
}

/// Names that are nobody's data, by a convention older than us.
fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || name.starts_with('_')
}

/// Whether a path is a pattern where nothing has that very name.
fn has_pattern(path: &str) -> bool {
    path.contains(['*', '?', '[', '{'])
}

/// The folder in front of the first part that is a pattern.
fn fixed_part(path: &Path) -> PathBuf {
    path.components().take_while(|part| !has_pattern(&part.as_os_str().to_string_lossy())).collect()
}

/// The files that match a pattern, in the order of their names.
fn matching(pattern: &Path) -> Result<Vec<PathBuf>> {
    let base = fixed_part(pattern);
    let text = pattern.to_string_lossy();
    let matcher = GlobBuilder::new(&text)
        .literal_separator(true)
        .build()
        .map_err(|error| {
            Error::new(&codes::BAD_URL, "read the pattern", format!("`{text}`")).because(error.kind())
        })?
        .compile_matcher();
    let fixed = base.components().count();
    let parts: Vec<String> = pattern
        .components()
        .skip(fixed)
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    let wants_hidden = parts.iter().any(|part| part.starts_with('.'));
    let across = parts.iter().any(|part| part.contains("**"));
    let depth = if across { DEPTH_MAX } else { parts.len() };
    let mut files = vec![];
    if look(&base)?.is_some_and(|found| found.is_dir()) {
        walk(&base, depth, wants_hidden, &matcher, &mut files)?;
    }
    files.sort_unstable();
    Ok(files)
}

fn walk(
    folder: &Path,
    depth: usize,
    wants_hidden: bool,
    matcher: &GlobMatcher,
    files: &mut Vec<PathBuf>,
) -> Result<()> {
    // Of a folder that Syncline wrote, only what its manifest lists is there.
    let listed: Option<BTreeSet<String>> =
        manifest::read(folder)?.map(|manifest| manifest.parts.into_iter().map(|part| part.file).collect());
    for name in names(folder)? {
        let text = name.to_string_lossy();
        let path = folder.join(&name);
        if (text.starts_with('.') && !wants_hidden) || [MANIFEST, SCHEMA].contains(&&*text) {
            continue;
        }
        let Some(found) = look(&path)? else { continue };
        if found.is_dir() {
            if depth > 1 {
                walk(&path, depth - 1, wants_hidden, matcher, files)?;
            }
            continue;
        }
        let unlisted = listed.as_ref().is_some_and(|listed| is_part(&text) && !listed.contains(&*text));
        if unlisted || !matcher.is_match(&path) {
            continue;
        }
        files.push(path);
        if files.len() > FILES_MAX {
            return Err(Error::new(&codes::UNSUPPORTED, "read files in", shown(folder))
                .because(format!("more than {FILES_MAX} match"))
                .hint("Name fewer with another pattern"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn list(root: &Path, path: &str) -> Result<(String, Vec<String>)> {
        let path = root.join(path).display().to_string();
        let config = FileConfig { path, part_bytes: 1 << 20, merge_keys_max: 1, ..FileConfig::default() };
        let listing = Listing::of(&Place::new(config)?)?;
        let names =
            listing.files.iter().map(|(path, _)| path.strip_prefix(root).unwrap().display().to_string());
        Ok((listing.name, names.collect()))
    }

    #[test]
    fn files_are_found_by_name_folder_and_pattern() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for file in [
            "a.csv",
            "in/b.csv",
            "in/c.csv",
            "in/.d.csv",
            "in/_SUCCESS",
            "in/deep/e.csv",
            "in/x.txt",
            "p[1].csv",
        ] {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "id\n1\n").unwrap();
        }
        for (path, name, files) in [
            ("a.csv", "a", vec!["a.csv"]),
            ("in", "in", vec!["in/b.csv", "in/c.csv"]),
            ("in/*.csv", "in", vec!["in/b.csv", "in/c.csv"]),
            ("in/b*", "b", vec!["in/b.csv"]),
            ("in/**/*.csv", "in", vec!["in/b.csv", "in/c.csv", "in/deep/e.csv"]),
            ("in/{c,deep/e}.csv", "in", vec!["in/c.csv", "in/deep/e.csv"]),
            ("in/.*.csv", ".d", vec!["in/.d.csv"]),
            ("p[1].csv", "p[1]", vec!["p[1].csv"]),
            ("?.csv", "a", vec!["a.csv"]),
        ] {
            let (found, listed) = list(root, path).unwrap();
            assert_eq!(
                (found.as_str(), listed),
                (name, files.into_iter().map(str::to_owned).collect()),
                "{path}"
            );
        }
        assert_eq!(list(root, "in/*.parquet").unwrap_err().code(), &codes::STREAM_MISSING);
        assert_eq!(list(root, "gone").unwrap_err().code(), &codes::DATABASE_MISSING);
        assert_eq!(list(root, "in/x.txt").unwrap_err().code(), &codes::BAD_URL);
        fs::write(root.join("in/f.jsonl"), "").unwrap();
        assert_eq!(list(root, "in").unwrap_err().code(), &codes::NEEDS_DECISION);
    }
}
