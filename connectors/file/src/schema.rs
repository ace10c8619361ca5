//! What is there: the streams that Syncline wrote into a folder, or files of anyone's as one stream.

mod listing;
pub(crate) mod name;

use std::{
    hash::Hasher,
    path::{Path, PathBuf},
};

use syncline_connect::{NameGlob, Selection, SplitOrder, Stream};
use syncline_format::{Input, Types as FormatTypes, infer, parse_schema};
use syncline_types::{Error, Result, StreamName, TableSchema, codes};
use xxhash_rust::xxh3::Xxh3;

use crate::{
    client::{Identity, look, names},
    config::{FileConfig, FormatName, Types},
    decode::{Expected, FileSpec},
    error::{Explain, shown},
    manifest::{self, MANIFEST, Manifest, SCHEMA},
    types::Layout,
};
use listing::Listing;
use name::stream_name;

/// Where a connection points to.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) config: FileConfig,
    /// In full; it may be a pattern.
    pub(crate) path: PathBuf,
}

/// What a place holds.
pub(crate) enum Found {
    /// Streams that Syncline wrote, each with its folder.
    Written(Vec<(String, PathBuf)>),
    /// Anyone's files.
    Files(Listing),
}

/// The files of a stream.
#[derive(Clone, Debug)]
pub(crate) struct FileSet {
    pub(crate) files: Vec<FileSpec>,
    /// Of each file, where it is known.
    pub(crate) rows: Vec<Option<u64>>,
    pub(crate) schema: TableSchema,
    pub(crate) bytes: u64,
    /// Where the columns' types are from, for people.
    pub(crate) told_by: ToldBy,
    /// Changes with the files, and with any of them.
    pub(crate) fingerprint: String,
}

/// Where a stream's types are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ToldBy {
    Manifest,
    SchemaFile,
    Values,
    Nothing,
    Files,
}

impl Place {
    /// # Errors
    /// When the options make no sense.
    pub(crate) fn new(config: FileConfig) -> Result<Self> {
        config.check()?;
        let path = std::path::absolute(Path::new(&config.path)).explain("find", Path::new(&config.path))?;
        Ok(Place { config, path })
    }

    /// The folder in which a sink makes its own.
    ///
    /// # Errors
    /// When it cannot be one.
    pub(crate) fn sink_root(&self) -> Result<PathBuf> {
        let wrong = |reason: &str| {
            Error::new(&codes::BAD_URL, "write to", shown(&self.path))
                .because(reason)
                .hint("Name a folder, as in file:export?format=csv; each stream gets one of its own in it")
        };
        match look(&self.path)? {
            Some(found) if found.is_dir() => Ok(self.path.clone()),
            Some(_) => Err(wrong("it is a file")),
            None if self.config.path.contains(['*', '?', '[', '{']) => Err(wrong("it is a pattern")),
            None => Ok(self.path.clone()),
        }
    }

    /// Looks at what is there.
    ///
    /// # Errors
    /// When there is nothing, or we may not look.
    pub(crate) fn find(&self) -> Result<Found> {
        let is_folder = look(&self.path)?.is_some_and(|found| found.is_dir());
        if is_folder {
            if manifest::read(&self.path)?.is_some() {
                return Ok(Found::Written(vec![(last_name(&self.path), self.path.clone())]));
            }
            let written = self.written()?;
            if !written.is_empty() {
                return Ok(Found::Written(written));
            }
        }
        Listing::of(self).map(Found::Files)
    }

    /// Files of data beside the folders of streams, which are in none of them.
    pub(crate) fn loose(&self) -> Result<Vec<String>> {
        let mut loose = vec![];
        for name in names(&self.path)? {
            let text = name.to_string_lossy();
            let is_data = !text.starts_with(['.', '_']) && Layout::of_name(&text).0.is_some();
            if is_data && self.path.join(&name).is_file() {
                loose.push(text.into_owned());
            }
        }
        Ok(loose)
    }

    fn written(&self) -> Result<Vec<(String, PathBuf)>> {
        let mut written = vec![];
        for name in names(&self.path)? {
            let folder = self.path.join(&name);
            if folder.join(MANIFEST).is_file() && manifest::read(&folder)?.is_some() {
                written.push((stream_name(&name.to_string_lossy()), folder));
            }
        }
        Ok(written)
    }

    /// The streams that match.
    ///
    /// # Errors
    /// [`codes::STREAM_MISSING`] when a name matches nothing.
    pub(crate) fn discover(&self, selection: &Selection) -> Result<Vec<(Stream, FileSet)>> {
        match self.find()? {
            Found::Written(written) => {
                let glob = match selection {
                    Selection::Glob(glob) => Some(NameGlob::new(glob)?),
                    _ => None,
                };
                let mut streams = vec![];
                for (table, folder) in written {
                    let name = StreamName::bare(table);
                    let wanted = match selection {
                        Selection::Default => true,
                        Selection::Name(wanted) => *wanted == name,
                        Selection::Glob(_) => glob.as_ref().is_some_and(|glob| glob.matches(&name, true)),
                    };
                    if wanted {
                        let set = self.written_set(&folder)?;
                        streams.push((stream(name, &set), set));
                    }
                }
                match selection {
                    Selection::Name(name) if streams.is_empty() => Err(self.missing(name)),
                    _ => Ok(streams),
                }
            }
            Found::Files(listing) => {
                let own = StreamName::bare(&listing.name);
                let name = match selection {
                    Selection::Default => own,
                    Selection::Name(name) if name.namespace.is_some() => return Err(self.missing(name)),
                    Selection::Name(name) => name.clone(),
                    Selection::Glob(glob) if NameGlob::new(glob)?.matches(&own, true) => own,
                    Selection::Glob(_) => return Ok(vec![]),
                };
                let set = self.strangers_set(&listing, None)?;
                Ok(vec![(stream(name, &set), set)])
            }
        }
    }

    fn missing(&self, name: &StreamName) -> Error {
        Error::new(&codes::STREAM_MISSING, "find", format!("`{name}`"))
            .because(format!("{} holds no stream of that name", shown(&self.path)))
            .hint("A stream is a folder that Syncline wrote; `syncline plan` without --stream lists them")
    }

    /// The files of a stream that was discovered before, perhaps by another process.
    ///
    /// # Errors
    /// When they are not what they were.
    pub(crate) fn set_of(&self, stream: &Stream) -> Result<FileSet> {
        let set = match self.find()? {
            Found::Written(written) => {
                let folder = written.into_iter().find(|(name, _)| *name == stream.name.table);
                let (_, folder) = folder.ok_or_else(|| self.missing(&stream.name))?;
                self.written_set(&folder)?
            }
            Found::Files(listing) => self.strangers_set(&listing, Some(&stream.schema))?,
        };
        if set.schema != stream.schema {
            return Err(Error::new(&codes::SCHEMA_CHANGED, "read", format!("`{}`", stream.name))
                .because("its columns are not those for which the run was planned")
                .hint("Begin again with --restart"));
        }
        Ok(set)
    }

    fn written_set(&self, folder: &Path) -> Result<FileSet> {
        let Some(manifest) = manifest::read(folder)? else {
            return Err(Error::new(&codes::STREAM_MISSING, "read", shown(folder))
                .because("its manifest was there a moment ago, and is no more"));
        };
        manifest.layout.must_agree(&self.config, &shown(folder))?;
        let files: Vec<FileSpec> =
            manifest.parts.iter().map(|part| FileSpec::part(folder, &manifest, part)).collect();
        let rows = manifest.parts.iter().map(|part| Some(part.rows)).collect();
        let Manifest { schema, bytes, .. } = manifest;
        Ok(FileSet {
            fingerprint: fingerprint(&files),
            files,
            rows,
            schema,
            bytes,
            told_by: ToldBy::Manifest,
        })
    }

    /// `schema`: what it was found to be before.
    fn strangers_set(&self, listing: &Listing, schema: Option<&TableSchema>) -> Result<FileSet> {
        let (schema, told_by) = self.strangers_schema(listing, schema)?;
        // A schema of ours tells how values are to be understood, too.
        let layout = match told_by {
            ToldBy::SchemaFile => listing.layout.clone(),
            _ => listing.layout.clone().of_strangers(),
        };
        let files: Vec<FileSpec> = listing
            .files
            .iter()
            .map(|(path, identity)| FileSpec {
                path: path.clone(),
                layout: layout.clone(),
                schema: schema.clone(),
                expected: Expected::File(identity.clone()),
            })
            .collect();
        // Columns were looked for in files that may have changed meanwhile.
        for file in &files {
            file.open()?;
        }
        let bytes = listing.files.iter().map(|(_, identity)| identity.bytes).sum();
        let rows = vec![None; files.len()];
        Ok(FileSet { fingerprint: fingerprint(&files), files, rows, schema, bytes, told_by })
    }

    /// `known`: what it was found to be before.
    fn strangers_schema(
        &self,
        listing: &Listing,
        known: Option<&TableSchema>,
    ) -> Result<(TableSchema, ToldBy)> {
        let layout = &listing.layout;
        let beside = listing.folder().map(|folder| folder.join(SCHEMA)).filter(|path| path.is_file());
        let takes_it = layout.format != FormatName::Parquet && self.config.types.is_none();
        if let Some(path) = beside.filter(|_| takes_it) {
            let text = std::fs::read_to_string(&path).explain("read", &path)?;
            return Ok((parse_schema(&text, &path.display().to_string())?, ToldBy::SchemaFile));
        }
        if let Some(known) = known {
            return Ok((known.clone(), ToldBy::Values));
        }
        let types = match self.config.types.unwrap_or_default() {
            Types::Infer => FormatTypes::Infer,
            Types::Text => FormatTypes::Text,
        };
        let told_by = match (layout.format, types) {
            (FormatName::Parquet, _) => ToldBy::Files,
            (_, FormatTypes::Text) => ToldBy::Nothing,
            _ => ToldBy::Values,
        };
        let inputs = listing.files.iter().map(|(path, identity)| {
            let expected = Expected::File(identity.clone());
            let spec = FileSpec {
                path: path.clone(),
                layout: layout.clone().of_strangers(),
                schema: TableSchema::new("", vec![]),
                expected,
            };
            Ok(Input::file(path.display().to_string(), spec.open()?))
        });
        Ok((infer(&layout.clone().of_strangers().format(), layout.compression(), types, inputs)?, told_by))
    }
}

fn stream(name: StreamName, set: &FileSet) -> Stream {
    Stream {
        name,
        in_default_namespace: true,
        schema: set.schema.clone(),
        order: SplitOrder::Part,
        rows_estimate: set.rows.iter().copied().sum(),
        bytes_estimate: Some(set.bytes),
    }
}

/// The last part of a path, as a stream's name.
pub(crate) fn last_name(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    stream_name(&name.unwrap_or_else(|| "files".into()))
}

fn fingerprint(files: &[FileSpec]) -> String {
    let mut hash = Xxh3::new();
    for file in files {
        let expected = match &file.expected {
            Expected::Part { bytes, checksum } => format!("{bytes} {checksum}"),
            Expected::File(Identity { bytes, modified, number }) => format!("{bytes} {modified} {number}"),
        };
        hash.update(format!("{}\0{expected}\0", file.path.display()).as_bytes());
    }
    format!("{:016x}", hash.finish())
}
