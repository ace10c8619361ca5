//! Writes parts that take the place of others.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use arrow_array::RecordBatch;
use syncline_connect::RunRef;
use syncline_format::PartWriter;
use syncline_types::{Error, Result, TableSchema, codes};

use crate::{
    client::sync_folder,
    error::{Explain, shown},
    manifest::{Part, Summed},
    sink::{SinkShared, tidy::staged_name},
};

pub(super) struct Rewriter<'a> {
    shared: &'a SinkShared,
    run: &'a RunRef,
    /// Among the lanes, for the names of its parts.
    number: u32,
    folder: &'a Path,
    parts_made: u32,
    replaced: usize,
    part: Option<Draft>,
}

struct Draft {
    file: String,
    path: PathBuf,
    schema: TableSchema,
    lacks: Vec<String>,
    rows: u64,
    writer: Box<dyn PartWriter<Summed>>,
}

impl<'a> Rewriter<'a> {
    pub(super) fn new(shared: &'a SinkShared, run: &'a RunRef, folder: &'a Path) -> Self {
        let number = shared.lanes.fetch_add(1, Ordering::Relaxed);
        Rewriter { shared, run, number, folder, parts_made: 0, replaced: 0, part: None }
    }

    /// How many parts have been written anew.
    pub(super) fn replaced(&self) -> usize {
        self.replaced
    }

    /// Begins a part of a schema.
    pub(super) fn begin(&mut self, schema: TableSchema, lacks: Vec<String>) -> Result<()> {
        let file = self.shared.part_name(self.run, self.folder, self.number, &mut self.parts_made);
        let path = self.folder.join(staged_name(&file));
        // An earlier attempt of this process may have left one.
        let out = Summed::new(fs::File::create(&path).explain("write", &path)?);
        let layout = &self.shared.layout;
        let name = path.display().to_string();
        let writer = syncline_format::writer(&layout.format(), layout.compression(), &schema, &name, out)?;
        self.part = Some(Draft { file, path, schema, lacks, rows: 0, writer });
        Ok(())
    }

    pub(super) fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let Some(draft) = &mut self.part else { return Ok(()) };
        // Columns may have become nullable since a batch's schema was made.
        let rows = RecordBatch::try_new(draft.schema.arrow(), rows.columns().to_vec()).map_err(|error| {
            Error::new(&codes::BROKEN_INVARIANT, "write", shown(&draft.path)).because(error)
        })?;
        let refused = draft.writer.write(&rows)?;
        match refused.into_iter().next() {
            // It was read from such a file, so it is in one.
            Some(refusal) => Err(refusal.error),
            None => {
                draft.rows += rows.num_rows() as u64;
                Ok(())
            }
        }
    }

    /// Ends the part, which takes the place of `old`; none where no row is left.
    pub(super) fn end(&mut self, old: Option<&Part>) -> Result<Option<Part>> {
        let Some(draft) = self.part.take() else { return Ok(None) };
        self.replaced += usize::from(old.is_some());
        let out = draft.writer.finish()?;
        if draft.rows == 0 {
            crate::client::remove(&draft.path)?;
            return Ok(None);
        }
        out.file.sync_all().explain("write", &draft.path)?;
        let named = self.folder.join(&draft.file);
        fs::rename(&draft.path, &named).explain("publish", &named)?;
        sync_folder(self.folder)?;
        Ok(Some(Part {
            file: draft.file,
            rows: draft.rows,
            bytes: out.bytes,
            checksum: out.sum.text(),
            lacks: draft.lacks,
        }))
    }
}

impl Drop for Rewriter<'_> {
    /// What was not ended is nobody's; a disk may be full of it.
    fn drop(&mut self) {
        if let Some(draft) = self.part.take() {
            let path = draft.path.clone();
            drop(draft);
            let _ = fs::remove_file(path);
        }
    }
}
