//! Folding changes into a manifest to come: what waits in memory, and the parts that take it.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::ArrowError;
use arrow_select::interleave::interleave;
use syncline_connect::{Moved, Outcome, RunRef, Target, WriteMode};
use syncline_types::{Error, Result, TableSchema, codes};

use super::{Compaction, columns, each_batch, lookup::Lookup, rewrite::Rewriter};
use crate::{
    decode::FileSpec,
    encode::conform,
    manifest::{Manifest, Part},
    plan::Seen,
    publish::{
        gone,
        keys::{Keys, hasher},
        list, must_fit,
    },
    sink::{SinkShared, journal::Landing, tidy::unlisted},
};

/// So many parts may be small before they become one.
const SMALL_PARTS_MAX: usize = 16;

/// A part is small below this share of what a part should have.
const SMALL_SHARE: u64 = 8;

/// Rows are written in batches of so many.
const ROWS_AT_ONCE: usize = 8_192;

/// Changes of one target that wait: at most one a key, or every row where the target is a log of changes.
pub(crate) struct Pending {
    target: Arc<Target>,
    landing: Landing,
    emptied: bool,
    batches: Vec<RecordBatch>,
    /// Where a key's row is; `None` where it goes.
    last: HashMap<u128, Option<(usize, usize)>>,
    bytes: usize,
}

/// A manifest to come.
pub(crate) struct Fold {
    /// The name of its folder.
    pub(crate) folder: String,
    path: PathBuf,
    /// The one whose place it takes.
    pub(crate) before: Manifest,
    pub(crate) manifest: Manifest,
}

impl Pending {
    pub(crate) fn new(shared: &SinkShared, target: &Arc<Target>) -> Result<Self> {
        let seen = Seen::of(&shared.root, target)?;
        must_fit(target, &seen, &shared.layout)?;
        let landing = seen.landing(target, String::new());
        let (target, last) = (Arc::clone(target), HashMap::new());
        Ok(Pending { target, landing, emptied: false, batches: vec![], last, bytes: 0 })
    }

    pub(crate) fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// What it takes in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Rows go: all of them, or those with these keys.
    pub(crate) fn remove(&mut self, emptied: bool, keys: &RecordBatch) -> Result<()> {
        if emptied {
            self.clear();
            self.emptied = true;
        }
        let hashes = self.hashes(&self.conformed(keys)?)?;
        self.bytes += hashes.len() * KEY_BYTES;
        self.last.extend(hashes.into_iter().map(|hash| (hash, None)));
        Ok(())
    }

    /// Rows come, or take the place of those with their keys.
    pub(crate) fn add(&mut self, rows: &RecordBatch) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let rows = self.conformed(rows)?;
        if self.adds_only() {
            self.bytes += rows.get_array_memory_size();
            self.batches.push(rows);
            return Ok(());
        }
        let (hashes, batch) = (self.hashes(&rows)?, self.batches.len());
        self.bytes += rows.get_array_memory_size() + hashes.len() * KEY_BYTES;
        self.last.extend(hashes.into_iter().zip((0..).map(|row| Some((batch, row)))));
        self.batches.push(rows);
        Ok(())
    }

    /// Whether no row takes the place of another one.
    fn adds_only(&self) -> bool {
        self.target.write == WriteMode::Append
    }

    fn clear(&mut self) {
        self.emptied = false;
        self.batches.clear();
        self.last.clear();
        self.bytes = 0;
    }

    /// Rows with some of the target's columns, as the folder has them.
    fn conformed(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let names: Vec<String> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
        let given = Target {
            schema: columns(&self.target.schema, &names),
            key: self.target.key.iter().filter(|name| names.contains(name)).cloned().collect(),
            write: WriteMode::Merge,
            ..Target::clone(&self.target)
        };
        // The folder's columns may stand in another order.
        let there = self.landing.schema.columns.iter().map(|column| column.name.clone());
        let there: Vec<String> = there.filter(|name| names.contains(name)).collect();
        let conformed = conform(&given, rows, &columns(&self.landing.schema, &there))?;
        match conformed.refused.into_iter().next() {
            Some(Outcome::Reject(reject)) => Err(reject.error.at_row(reject.row)),
            Some(Outcome::Again { .. }) | None => Ok(conformed.rows),
        }
    }

    fn hashes(&self, rows: &RecordBatch) -> Result<Vec<u128>> {
        let names: Vec<String> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
        hasher(&columns(&self.landing.schema, &names), &self.target.key)?.hash(rows)
    }

    /// The rows that come, batch by batch.
    fn rows(&self, schema: &TableSchema) -> impl Iterator<Item = Result<RecordBatch>> {
        let mut places: Vec<(usize, usize)> = self.last.values().copied().flatten().collect();
        places.sort_unstable();
        let batches = (0..places.len())
            .step_by(ROWS_AT_ONCE)
            .map(move |from| places[from..places.len().min(from + ROWS_AT_ONCE)].to_vec());
        let arrow = schema.arrow();
        batches.map(move |places| {
            let column = |at: usize| -> Result<ArrayRef> {
                let arrays: Vec<_> = self.batches.iter().map(|batch| batch.column(at).as_ref()).collect();
                interleave(&arrays, &places).map_err(|error| broken(&self.target, &error))
            };
            let columns = (0..arrow.fields().len()).map(column).collect::<Result<_>>()?;
            RecordBatch::try_new(Arc::clone(&arrow), columns).map_err(|error| broken(&self.target, &error))
        })
    }
}

/// A key in memory, with its place.
const KEY_BYTES: usize = 64;

fn broken(target: &Target, error: &dyn std::fmt::Display) -> Error {
    Error::new(&codes::BROKEN_INVARIANT, "apply changes to", format!("`{}`", target.name)).because(error)
}

impl Fold {
    /// Begins with what the folder shows. Parts that an earlier attempt has left go.
    pub(crate) fn begin(shared: &SinkShared, run: &RunRef, target: &Target) -> Result<Self> {
        let seen = Seen::of(&shared.root, target)?;
        let Some(manifest) = seen.manifest().cloned() else { return Err(gone(&seen.path)) };
        unlisted(&seen.path, &manifest, &run.run)?;
        let (folder, path) = (seen.folder, seen.path);
        Ok(Fold { folder, path, before: manifest.clone(), manifest })
    }

    /// Takes what waits.
    pub(crate) fn take(&mut self, shared: &SinkShared, run: &RunRef, pending: &mut Pending) -> Result<()> {
        if pending.emptied {
            self.manifest.set_parts(vec![]);
        }
        if pending.adds_only() {
            self.append(shared, run, pending)?;
        } else if !pending.last.is_empty() {
            self.replace(shared, run, pending)?;
        }
        pending.clear();
        Ok(())
    }

    /// What waits becomes a part of its own, whatever its size: who reads a log of changes part by part has read
    /// those that are there, and is not to find their rows once more in another one.
    fn append(&mut self, shared: &SinkShared, run: &RunRef, pending: &Pending) -> Result<()> {
        if pending.batches.is_empty() {
            return Ok(());
        }
        let (manifest, schema) = (&mut self.manifest, &pending.landing.schema);
        list(manifest, vec![], schema)?;
        let extras = manifest.schema.columns.iter().map(|column| column.name.clone());
        let extras: Vec<String> = extras.filter(|name| schema.column(name).is_none()).collect();
        for column in manifest.schema.columns.iter_mut().filter(|column| extras.contains(&column.name)) {
            column.nullable = true;
        }
        let mut rewriter = Rewriter::new(shared, run, &self.path);
        rewriter.begin(schema.clone(), extras)?;
        for rows in &pending.batches {
            rewriter.write(rows)?;
        }
        let mut parts = std::mem::take(&mut manifest.parts);
        parts.extend(rewriter.end(None)?);
        manifest.set_parts(parts);
        Ok(())
    }

    /// Rows that are there and go, or have come again, go; then all that have come are added.
    fn replace(&mut self, shared: &SinkShared, run: &RunRef, pending: &Pending) -> Result<()> {
        let (target, landing) = (pending.target.as_ref(), &pending.landing);
        list(&mut self.manifest, vec![], &landing.schema)?;
        let manifest = &mut self.manifest;
        let extras = manifest.schema.columns.iter().map(|column| column.name.clone());
        let extras: Vec<String> = extras.filter(|name| landing.schema.column(name).is_none()).collect();
        let mut kept = Lookup::new(columns(&manifest.schema, &extras));
        let mut rewriter = Rewriter::new(shared, run, &self.path);
        let keys = Keys::of(pending.last.keys().copied());
        let work = Compaction { shared, target, landing, folder: &self.path, staged: vec![], keys };
        work.delete(manifest, &mut rewriter, &mut |hashes, rows| {
            if extras.is_empty() { Ok(()) } else { kept.take(hashes, rows) }
        })?;
        if pending.last.values().all(Option::is_none) {
            return Ok(());
        }
        for column in manifest.schema.columns.iter_mut().filter(|column| extras.contains(&column.name)) {
            column.nullable = true;
        }
        let whole = extras.is_empty() || !kept.is_empty();
        let (schema, lacks) =
            if whole { (manifest.schema.clone(), vec![]) } else { (landing.schema.clone(), extras) };
        let small = if whole { take_small(shared, manifest) } else { vec![] };
        rewriter.begin(schema.clone(), lacks)?;
        for part in &small {
            let spec = FileSpec::part(&self.path, manifest, part);
            each_batch(shared, &spec, &manifest.schema, |_, rows| rewriter.write(rows))?;
        }
        let hasher = hasher(&landing.schema, &target.key)?;
        for rows in pending.rows(&landing.schema) {
            let rows = rows?;
            rewriter.write(&match whole {
                true => kept.complete(&hasher.hash(&rows)?, &rows, &schema)?,
                false => rows,
            })?;
        }
        let mut parts = std::mem::take(&mut manifest.parts);
        parts.extend(rewriter.end(None)?);
        manifest.set_parts(parts);
        Ok(())
    }

    /// Sets what is given of rows that are there, with nothing waiting; returns how many are not.
    pub(crate) fn update(
        &mut self,
        shared: &SinkShared,
        run: &RunRef,
        pending: &Pending,
        rows: &RecordBatch,
    ) -> Result<u64> {
        let rows = pending.conformed(rows)?;
        let hashes = pending.hashes(&rows)?;
        self.renew(shared, run, pending, &hashes, &rows)
    }

    /// A row goes to another key, with nothing waiting; returns how many rows are not there.
    pub(crate) fn move_row(
        &mut self,
        shared: &SinkShared,
        run: &RunRef,
        pending: &Pending,
        moved: &Moved,
    ) -> Result<u64> {
        let to = pending.conformed(&moved.to)?;
        let left = pending.hashes(&pending.conformed(&moved.from)?)?;
        let key = pending.hashes(&to)?;
        let landing = &pending.landing;
        list(&mut self.manifest, vec![], &landing.schema)?;
        let (target, folder) = (pending.target.as_ref(), self.path.clone());
        let of = |keys: &[u128]| {
            let (staged, keys) = (vec![], Keys::of(keys.iter().copied()));
            Compaction { shared, target, landing, folder: &folder, staged, keys }
        };
        if left == key || !of(&key).has_any(&self.manifest)? {
            return self.renew(shared, run, pending, &left, &to);
        }
        let mut rewriter = Rewriter::new(shared, run, &folder);
        of(&left).delete(&mut self.manifest, &mut rewriter, &mut |_, _| Ok(()))?;
        self.renew(shared, run, pending, &key, &to)
    }

    /// Sets values of rows that have these keys; returns how many are not there.
    fn renew(
        &mut self,
        shared: &SinkShared,
        run: &RunRef,
        pending: &Pending,
        hashes: &[u128],
        rows: &RecordBatch,
    ) -> Result<u64> {
        let names: Vec<String> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
        let given = columns(&pending.landing.schema, &names);
        let landing = Landing { schema: given.clone(), ..pending.landing.clone() };
        list(&mut self.manifest, vec![], &pending.landing.schema)?;
        let mut news = Lookup::new(given);
        news.take(hashes, rows)?;
        let target = pending.target.as_ref();
        let mut rewriter = Rewriter::new(shared, run, &self.path);
        let (staged, keys) = (vec![], Keys::of(hashes.iter().copied()));
        let work = Compaction { shared, target, landing: &landing, folder: &self.path, staged, keys };
        let found = work.renew(&mut self.manifest, &mut rewriter, &news)?;
        Ok((hashes.len() as u64).saturating_sub(found))
    }

    /// Sets columns of all rows where they are NULL, with nothing waiting.
    pub(crate) fn note(
        &mut self,
        shared: &SinkShared,
        run: &RunRef,
        pending: &Pending,
        note: &RecordBatch,
    ) -> Result<()> {
        let note = pending.conformed(note)?;
        list(&mut self.manifest, vec![], &pending.landing.schema)?;
        let mut rewriter = Rewriter::new(shared, run, &self.path);
        let mut parts = vec![];
        for part in std::mem::take(&mut self.manifest.parts) {
            let lacks = part.lacks.iter().filter(|name| note.column_by_name(name).is_none());
            let lacks: Vec<String> = lacks.cloned().collect();
            let schema = self.manifest.schema_of(&Part { lacks: lacks.clone(), ..part.clone() });
            let spec = FileSpec::part(&self.path, &self.manifest, &part);
            rewriter.begin(schema.clone(), lacks)?;
            each_batch(shared, &spec, &schema, |_, rows| {
                rewriter.write(&filled(rows, &note).map_err(|error| broken(&pending.target, &error))?)
            })?;
            parts.extend(rewriter.end(Some(&part))?);
        }
        self.manifest.set_parts(parts);
        Ok(())
    }
}

/// Rows with the values of this one where they have none.
fn filled(rows: &RecordBatch, note: &RecordBatch) -> std::result::Result<RecordBatch, ArrowError> {
    let schema = rows.schema();
    let columns = schema.fields().iter().zip(rows.columns()).map(|(field, column)| {
        let Some(value) = note.column_by_name(field.name()) else { return Ok(Arc::clone(column)) };
        let place = |row| if column.is_null(row) { (1, 0) } else { (0, row) };
        let places: Vec<(usize, usize)> = (0..rows.num_rows()).map(place).collect();
        interleave(&[column.as_ref(), value.as_ref()], &places)
    });
    let columns = columns.collect::<std::result::Result<_, _>>()?;
    RecordBatch::try_new(Arc::clone(&schema), columns)
}

/// Takes small parts out of a manifest where there are many of them, to be written as one.
fn take_small(shared: &SinkShared, manifest: &mut Manifest) -> Vec<Part> {
    let limit = shared.part_bytes / SMALL_SHARE;
    let is_small = |part: &Part| part.bytes < limit && part.lacks.is_empty();
    if manifest.parts.iter().filter(|part| is_small(part)).count() < SMALL_PARTS_MAX {
        return vec![];
    }
    let (small, rest) = std::mem::take(&mut manifest.parts).into_iter().partition(is_small);
    manifest.set_parts(rest);
    small
}
