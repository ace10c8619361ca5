//! Merging, updating and deleting by key. Parts are never changed: those that have a row at stake are
//! written anew without it, or with its new values, and the manifest lists them instead.
//!
//! Of the staged rows the keys are in memory, and for an update the rows; of the rows that are there
//! never more than a batch, but for the values of columns that a merge does not bring.

mod fold;
mod lookup;
mod rewrite;

use std::path::Path;

use arrow_array::{BooleanArray, RecordBatch, UInt32Array};
use arrow_select::{filter::filter_record_batch, take::take_record_batch};
use syncline_connect::{RunRef, Target, Task};
use syncline_types::{Error, Result, TableSchema, codes, fingerprint::RowHasher};
use tokio::runtime::Handle;

use super::{
    keys::{Collector, Keys, hasher},
    list, settle,
};
use crate::{
    decode::{Chunk, Expected, FileSpec, Opened},
    error::shown,
    manifest::{Manifest, Part},
    sink::{
        SinkShared,
        journal::{Landing, PartState},
        tidy::staged_name,
    },
};
pub(crate) use fold::{Fold, Pending};

use lookup::Lookup;
use rewrite::Rewriter;

/// What all of it is about.
struct Compaction<'a> {
    shared: &'a SinkShared,
    target: &'a Target,
    landing: &'a Landing,
    folder: &'a Path,
    /// The staged parts.
    staged: Vec<FileSpec>,
    keys: Keys,
}

/// Brings a manifest to what it is to be, and writes the parts that it takes. Says how.
pub(super) fn compact(
    shared: &SinkShared,
    run: &RunRef,
    target: &Target,
    landing: &Landing,
    staged: &[PartState],
    folder: &Path,
    manifest: &mut Manifest,
) -> Result<&'static str> {
    let specs: Vec<FileSpec> =
        staged.iter().map(|part| spec(shared, landing, folder, part)).collect::<Result<_>>()?;
    let keys = collect(shared, target, landing, &specs)?;
    let mut rewriter = Rewriter::new(shared, run, folder);
    let work = Compaction { shared, target, landing, folder, staged: specs, keys };
    match target.task {
        Task::Load => work.merge(staged, manifest, &mut rewriter)?,
        Task::Update => work.update(manifest, &mut rewriter)?,
        Task::Delete => work.delete(manifest, &mut rewriter, &mut |_, _| Ok(()))?,
    }
    Ok(match (target.task, rewriter.replaced()) {
        (Task::Load, 0) => "added to the manifest",
        (Task::Load, _) => "merged into the manifest, old parts written anew",
        (Task::Update, _) => "updated, old parts written anew",
        (Task::Delete, _) => "deleted, old parts written anew",
    })
}

/// A staged part to read. It may have its name already, and rows behind the last commit.
fn spec(shared: &SinkShared, landing: &Landing, folder: &Path, part: &PartState) -> Result<FileSpec> {
    let named = settle(folder, std::slice::from_ref(part))?;
    let file = named.first().map_or(staged_name(&part.file), |part| part.file.clone());
    let expected = Expected::Part { bytes: part.bytes, checksum: part.checksum.clone() };
    Ok(FileSpec {
        path: folder.join(file),
        layout: shared.layout.clone(),
        schema: landing.schema.clone(),
        expected,
    })
}

fn collect(shared: &SinkShared, target: &Target, landing: &Landing, staged: &[FileSpec]) -> Result<Keys> {
    let wanted: Vec<String> = target
        .key
        .iter()
        .chain(target.cursor.as_ref().filter(|cursor| !target.key.contains(cursor)))
        .cloned()
        .collect();
    let schema = columns(&landing.schema, &wanted);
    let hasher = hasher(&schema, &target.key)?;
    let mut collector = Collector::new(target, shared.merge_keys_max);
    for (part, spec) in (0..).zip(staged) {
        each_batch(shared, spec, &schema, |first, rows| {
            collector.take(part, first, &hasher.hash(rows)?, rows)
        })?;
    }
    collector.finish()
}

fn columns(schema: &TableSchema, names: &[String]) -> TableSchema {
    let columns = names.iter().filter_map(|name| schema.column(name).cloned()).collect();
    TableSchema { columns, ..schema.clone() }
}

/// Reads a part batch by batch, with the number of each batch's first row.
fn each_batch(
    shared: &SinkShared,
    spec: &FileSpec,
    schema: &TableSchema,
    mut take: impl FnMut(u32, &RecordBatch) -> Result<()>,
) -> Result<()> {
    let mut opened = Opened::begin(spec, spec.open()?, schema)?;
    let mut first = 0;
    let mut reserve = |bytes| Some(Handle::current().block_on(shared.cx.memory().reserve(bytes)));
    while let Chunk::Rows(rows, _memory) = opened.next(&mut reserve)? {
        if let Some(reject) = rows.rejects.first() {
            return Err(Error::new(&codes::BAD_BYTES, "read", shown(&spec.path)).because(format!(
                "line {} cannot be read: {}",
                reject.line,
                reject.error.reason()
            )));
        }
        take(first, &rows.batch)?;
        first += u32::try_from(rows.batch.num_rows()).map_err(|_| too_many(spec))?;
        if shared.cx.stop().is_cancelled() {
            return Err(
                Error::new(&codes::INTERRUPTED, "go on with", shown(&spec.path)).because("the run ends")
            );
        }
    }
    Ok(())
}

fn too_many(spec: &FileSpec) -> Error {
    Error::new(&codes::UNSUPPORTED, "merge with", shown(&spec.path)).because("it has too many rows")
}

impl Compaction<'_> {
    /// Rows that are there and have come again go; then all that have come are added.
    fn merge(
        &self,
        staged: &[PartState],
        manifest: &mut Manifest,
        rewriter: &mut Rewriter<'_>,
    ) -> Result<()> {
        let extras: Vec<String> = manifest
            .schema
            .columns
            .iter()
            .filter(|column| self.landing.schema.column(&column.name).is_none())
            .map(|column| column.name.clone())
            .collect();
        let mut kept = Lookup::new(columns(&manifest.schema, &extras));
        let keeps = !extras.is_empty();
        self.delete(manifest, rewriter, &mut |hashes, rows| {
            if keeps { kept.take(hashes, rows) } else { Ok(()) }
        })?;
        // The schema grows by what is new in what comes.
        list(manifest, vec![], &self.landing.schema)?;
        for column in manifest.schema.columns.iter_mut().filter(|column| extras.contains(&column.name)) {
            column.nullable = true;
        }
        let mut parts = std::mem::take(&mut manifest.parts);
        let hasher = hasher(&self.landing.schema, &self.target.key)?;
        for ((number, spec), state) in (0..).zip(&self.staged).zip(staged) {
            if kept.is_empty() && !self.keys.has_losers(number) {
                let lacks = extras.clone();
                let PartState { file, rows, bytes, checksum, .. } = state.clone();
                parts.push(Part { file, rows, bytes, checksum, lacks });
                continue;
            }
            let schema = if kept.is_empty() { self.landing.schema.clone() } else { manifest.schema.clone() };
            let lacks = if kept.is_empty() { extras.clone() } else { vec![] };
            rewriter.begin(schema.clone(), lacks)?;
            each_batch(self.shared, spec, &self.landing.schema, |first, rows| {
                let hashes = hasher.hash(rows)?;
                let wins: Vec<u32> =
                    (0..).take(rows.num_rows()).filter(|row| !self.keys.loses(number, first + row)).collect();
                let rows =
                    if kept.is_empty() { rows.clone() } else { kept.complete(&hashes, rows, &schema)? };
                let rows = take_record_batch(&rows, &UInt32Array::from(wins))
                    .map_err(|error| self.broken(&error))?;
                rewriter.write(&rows)
            })?;
            parts.extend(rewriter.end(None)?);
        }
        manifest.set_parts(parts);
        Ok(())
    }

    /// Rows whose keys have come go. `gone` is told of them, as far as they have the columns that do not
    /// come.
    fn delete(
        &self,
        manifest: &mut Manifest,
        rewriter: &mut Rewriter<'_>,
        gone: &mut dyn FnMut(&[u128], &RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let mut parts = vec![];
        for part in std::mem::take(&mut manifest.parts) {
            if !self.has_hit(manifest, &part)? {
                parts.push(part);
                continue;
            }
            let (spec, schema) = (FileSpec::part(self.folder, manifest, &part), manifest.schema_of(&part));
            let hasher = hasher(&schema, &self.target.key)?;
            rewriter.begin(schema.clone(), part.lacks.clone())?;
            each_batch(self.shared, &spec, &schema, |_, rows| {
                let hashes = hasher.hash(rows)?;
                let stays: BooleanArray =
                    hashes.iter().map(|hash| Some(self.keys.find(*hash).is_none())).collect();
                let goes: BooleanArray = stays.iter().map(|stays| stays.map(|stays| !stays)).collect();
                let hit: Vec<u128> =
                    hashes.iter().copied().filter(|hash| self.keys.find(*hash).is_some()).collect();
                gone(&hit, &filter_record_batch(rows, &goes).map_err(|error| self.broken(&error))?)?;
                rewriter.write(&filter_record_batch(rows, &stays).map_err(|error| self.broken(&error))?)
            })?;
            parts.extend(rewriter.end(Some(&part))?);
        }
        manifest.set_parts(parts);
        Ok(())
    }

    /// Rows that are there get the values that have come.
    fn update(&self, manifest: &mut Manifest, rewriter: &mut Rewriter<'_>) -> Result<()> {
        list(manifest, vec![], &self.landing.schema)?;
        let staged_hasher = hasher(&self.landing.schema, &self.target.key)?;
        let mut news = Lookup::new(self.landing.schema.clone());
        for (number, spec) in (0..).zip(&self.staged) {
            each_batch(self.shared, spec, &self.landing.schema, |first, rows| {
                let wins: Vec<u32> =
                    (0..).take(rows.num_rows()).filter(|row| !self.keys.loses(number, first + row)).collect();
                let rows =
                    take_record_batch(rows, &UInt32Array::from(wins)).map_err(|error| self.broken(&error))?;
                news.take(&staged_hasher.hash(&rows)?, &rows)
            })?;
        }
        self.renew(manifest, rewriter, &news).map(drop)
    }

    /// Rows that are there get the values that are new; returns how many there are.
    fn renew(&self, manifest: &mut Manifest, rewriter: &mut Rewriter<'_>, news: &Lookup) -> Result<u64> {
        let (mut parts, mut found) = (vec![], 0);
        for part in std::mem::take(&mut manifest.parts) {
            if !self.has_hit(manifest, &part)? {
                parts.push(part);
                continue;
            }
            let lacks: Vec<String> = part
                .lacks
                .iter()
                .filter(|name| self.landing.schema.column(name).is_none())
                .cloned()
                .collect();
            let wanted = Part { lacks: lacks.clone(), ..part.clone() };
            let (spec, schema) = (FileSpec::part(self.folder, manifest, &part), manifest.schema_of(&wanted));
            let hasher = hasher(&schema, &self.target.key)?;
            rewriter.begin(schema.clone(), lacks)?;
            each_batch(self.shared, &spec, &schema, |_, rows| {
                let hashes = hasher.hash(rows)?;
                found += hashes.iter().filter(|hash| self.keys.find(**hash).is_some()).count() as u64;
                rewriter.write(&news.replace(&hashes, rows)?)
            })?;
            parts.extend(rewriter.end(Some(&part))?);
        }
        manifest.set_parts(parts);
        Ok(found)
    }

    /// Whether there is a row whose key has come.
    fn has_any(&self, manifest: &Manifest) -> Result<bool> {
        for part in &manifest.parts {
            if self.has_hit(manifest, part)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a part has a row whose key has come.
    fn has_hit(&self, manifest: &Manifest, part: &Part) -> Result<bool> {
        let schema = columns(&manifest.schema, &self.target.key);
        let hasher: RowHasher = hasher(&schema, &self.target.key)?;
        let spec = FileSpec::part(self.folder, manifest, part);
        let mut hit = false;
        each_batch(self.shared, &spec, &schema, |_, rows| {
            hit |= hasher.hash(rows)?.iter().any(|hash| self.keys.find(*hash).is_some());
            Ok(())
        })?;
        Ok(hit)
    }

    fn broken(&self, error: &dyn std::fmt::Display) -> Error {
        Error::new(&codes::BROKEN_INVARIANT, "merge into", format!("`{}`", self.target.name)).because(error)
    }
}
