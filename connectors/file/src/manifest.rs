//! `_manifest.json`: which files of a folder are a stream's rows, and what they have to be. Replacing it
//! is the moment of publication: what is not listed is not there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};
use syncline_types::{Error, Result, TableSchema, codes};
use xxhash_rust::xxh3::Xxh3;

use crate::{
    client::{look, names, replace},
    error::{Explain, shown},
    sink::{
        followed::is_run,
        tidy::{alive, run_of},
    },
    types::Layout,
};

/// The list of a folder's parts.
pub(crate) const MANIFEST: &str = "_manifest.json";

/// The columns, for whoever reads the parts without us. What counts is in the manifest.
pub(crate) const SCHEMA: &str = "_schema.json";

/// The form of the text; a higher one is of a later version of Syncline.
const VERSION: u32 = 1;

/// By which a manifest is known to be ours.
const MADE_BY: &str = "syncline";

/// A folder's parts, and what they hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    made_by: String,
    version: u32,
    /// The run that has published last.
    pub(crate) run: String,
    /// How the parts are written.
    pub(crate) layout: Layout,
    /// In all parts.
    pub(crate) rows: u64,
    /// Of all parts, as they are on the disk.
    pub(crate) bytes: u64,
    pub(crate) schema: TableSchema,
    pub(crate) parts: Vec<Part>,
    /// Files that were listed before. Whoever has published removes them, or whoever publishes next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) replaced: Vec<String>,
    /// By pipeline, what its last publication is known by.
    #[serde(default)]
    pub(crate) done: BTreeMap<String, String>,
    /// Where the next incremental run begins: by pipeline and source.
    #[serde(default)]
    pub(crate) marks: BTreeMap<String, BTreeMap<String, String>>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) file: String,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    /// `xxh3-128:` and 32 digits, over the file's bytes.
    pub(crate) checksum: String,
    /// Columns of the schema that it was written without, and that are NULL in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) lacks: Vec<String>,
}

impl Manifest {
    pub(crate) fn new(run: &str, layout: Layout, schema: TableSchema) -> Self {
        Manifest {
            made_by: MADE_BY.into(),
            version: VERSION,
            run: run.into(),
            layout,
            rows: 0,
            bytes: 0,
            schema,
            parts: vec![],
            replaced: vec![],
            done: BTreeMap::new(),
            marks: BTreeMap::new(),
        }
    }

    /// Takes other parts than before.
    pub(crate) fn set_parts(&mut self, parts: Vec<Part>) {
        self.rows = parts.iter().map(|part| part.rows).sum();
        self.bytes = parts.iter().map(|part| part.bytes).sum();
        self.parts = parts;
    }

    /// Notes what it lists no more of what another has listed.
    pub(crate) fn replaces(&mut self, before: Option<&Manifest>) {
        let Some(before) = before else { return };
        let files = before.parts.iter().map(|part| &part.file).chain(&before.replaced);
        let listed: BTreeSet<&String> = self.parts.iter().map(|part| &part.file).collect();
        self.replaced = files.filter(|file| !listed.contains(file)).cloned().collect();
    }

    /// The schema of one part's rows.
    pub(crate) fn schema_of(&self, part: &Part) -> TableSchema {
        let columns = self.schema.columns.iter().filter(|column| !part.lacks.contains(&column.name));
        TableSchema { columns: columns.cloned().collect(), ..self.schema.clone() }
    }

    /// Publishes, in a folder of its own.
    pub(crate) fn publish(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).expect("a manifest serialises");
        replace(&folder.join(MANIFEST), &text)?;
        self.publish_schema(folder)
    }

    /// Writes the copy of the schema for others, which a crash may have kept from being written.
    pub(crate) fn publish_schema(&self, folder: &Path) -> Result<()> {
        replace(&folder.join(SCHEMA), syncline_format::schema_text(&self.schema)?.as_bytes())
    }
}

/// What a folder holds.
#[derive(Debug)]
pub(crate) enum Content {
    /// There is no folder.
    Missing,
    /// Nothing, or nothing but what unfinished runs of ours have left.
    Empty,
    /// Parts of ours, and the names of files of somebody else's beside them.
    Ours(Box<Manifest>, Vec<String>),
    /// Files of somebody else's.
    Foreign(Vec<String>),
    /// A `_manifest.json` that we did not write.
    ForeignManifest,
}

impl Content {
    /// Looks at a stream's folder.
    ///
    /// # Errors
    /// When it cannot be looked at, is no folder, or its manifest is damaged.
    pub(crate) fn of(folder: &Path) -> Result<Self> {
        match look(folder)? {
            None => return Ok(Content::Missing),
            Some(found) if !found.is_dir() => {
                return Err(Error::new(&codes::NAME_TAKEN, "use the folder", shown(folder))
                    .because("there is a file of that name")
                    .hint("Give the stream another name, as in --stream SRC=DST (to: DST)"));
            }
            Some(_) => {}
        }
        let found: Vec<String> =
            names(folder)?.iter().map(|name| name.to_string_lossy().into_owned()).collect();
        let manifest = match read(folder)? {
            None if found.iter().any(|name| name == MANIFEST) => return Ok(Content::ForeignManifest),
            manifest => manifest,
        };
        let listed: BTreeSet<&str> = manifest
            .iter()
            .flat_map(|manifest| manifest.parts.iter().map(|part| part.file.as_str()))
            .collect();
        // Parts that a run has named and not listed yet are ours as long as the run is unfinished.
        let unlisted = |name: &String| is_part(name) && !listed.contains(name.as_str());
        let alive = match found.iter().any(unlisted) {
            true => alive(folder.parent().unwrap_or(folder))?,
            false => BTreeSet::new(),
        };
        let replaced =
            |name: &String| manifest.as_ref().is_some_and(|manifest| manifest.replaced.contains(name));
        let is_own = |name: &String| {
            listed.contains(name.as_str())
                || is_own(name, manifest.is_some())
                || replaced(name)
                || (is_part(name) && run_of(name).is_some_and(|run| alive.contains(run) || is_run(run)))
        };
        let strange: Vec<String> = found.iter().filter(|name| !is_own(name)).cloned().collect();
        Ok(match manifest {
            Some(manifest) => Content::Ours(Box::new(manifest), strange),
            None if strange.is_empty() => Content::Empty,
            None => Content::Foreign(strange),
        })
    }
}

/// Whether a name is one that we give to what is never listed: drafts and staging.
fn is_own(name: &str, published: bool) -> bool {
    name.starts_with(STAGED) && name.ends_with(".tmp")
        || DRAFTS.contains(&name)
        || published && [MANIFEST, SCHEMA].contains(&name)
}

/// What [`replace`] writes first.
pub(crate) const DRAFTS: [&str; 2] = ["._manifest.json.tmp", "._schema.json.tmp"];

/// How a staged part's name begins.
pub(crate) const STAGED: &str = ".part-";

/// Whether a name is that of a part of ours: `part-RUN-EPOCH-LANE-NUMBER.EXTENSION`.
pub(crate) fn is_part(name: &str) -> bool {
    let Some((stem, _)) = name.strip_prefix("part-").and_then(|rest| rest.split_once('.')) else {
        return false;
    };
    let mut pieces = stem.split('-');
    let run = pieces.next().unwrap_or_default();
    let numbers: Vec<&str> = pieces.collect();
    let digits = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    !run.is_empty()
        && run.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && numbers.len() == 3
        && numbers.iter().all(digits)
}

/// The manifest of a folder; `None` where there is none, or one that is not ours.
///
/// # Errors
/// When it is ours and damaged, or of a later version.
pub(crate) fn read(folder: &Path) -> Result<Option<Manifest>> {
    let path = folder.join(MANIFEST);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error).explain("read", &path),
    };
    let bad = |reason: &dyn std::fmt::Display| {
        Error::new(&codes::BAD_BYTES, "read", shown(&path))
            .because(reason)
            .hint("Restore the file, or copy the stream again into another folder")
    };
    let value: serde_json::Value = match serde_json::from_slice(&text) {
        Ok(value) => value,
        // What is no JSON may have been ours; only whoever made it can say.
        Err(error) => return Err(bad(&error)),
    };
    if value.get("made_by").and_then(serde_json::Value::as_str) != Some(MADE_BY) {
        return Ok(None);
    }
    if value.get("version").and_then(serde_json::Value::as_u64) != Some(VERSION.into()) {
        return Err(bad(&"it was written by another version of Syncline"));
    }
    let manifest: Manifest = serde_json::from_value(value).map_err(|error| bad(&error))?;
    if let Some(part) = manifest.parts.iter().find(|part| !is_part(&part.file)) {
        return Err(bad(&format!("it lists `{}`, which is no name of a part", part.file.escape_default())));
    }
    Ok(Some(manifest))
}

/// Counts and sums up bytes on their way.
#[derive(Clone)]
pub(crate) struct Checksum(Xxh3);

impl Checksum {
    pub(crate) fn new() -> Self {
        Checksum(Xxh3::new())
    }

    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// As the manifest writes it.
    pub(crate) fn text(&self) -> String {
        format!("xxh3-128:{:032x}", self.0.digest128())
    }

    /// The checksum of all of a file.
    pub(crate) fn of(file: &mut File) -> io::Result<String> {
        let mut sum = Checksum::new();
        let mut buffer = vec![0; 256 << 10];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(sum.text()),
                Ok(count) => sum.take(buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// A file being written, with its length and checksum.
pub(crate) struct Summed {
    pub(crate) file: File,
    pub(crate) sum: Checksum,
    pub(crate) bytes: u64,
}

impl Summed {
    pub(crate) fn new(file: File) -> Self {
        Summed { file, sum: Checksum::new(), bytes: 0 }
    }
}

impl Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.sum.take(bytes.get(..written).unwrap_or_default());
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_known_by_their_names() {
        for (name, ours) in [
            ("part-abc12345-1-0-0.csv", true),
            ("part-abc12345-1-0-0.csv.gz", true),
            ("part-0.csv", false),
            ("part-00000-1b2c-c000.snappy.parquet", false),
            ("part-abc-1-0-x.csv", false),
            ("../part-abc-1-0-0.csv", false),
            ("part-a/b-1-0-0.csv", false),
        ] {
            assert_eq!(is_part(name), ours, "{name}");
        }
    }
}
