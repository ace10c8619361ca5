//! A part under way: a file under a hidden name, what is in it for good, and what may be taken back.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use arrow_array::RecordBatch;
use syncline_format::{PartWriter, Refusal};
use syncline_types::{Result, TableSchema};

use crate::{
    client::sync_folder,
    error::Explain,
    manifest::Summed,
    sink::{journal::PartState, tidy::staged_name},
    types::Layout,
};

/// A part that rows are written into.
pub(super) struct OpenPart {
    stream: u32,
    file: String,
    path: PathBuf,
    schema: TableSchema,
    layout: Layout,
    /// How often its stream had begun again when it was made.
    pub(super) resets: u32,
    /// `None` only while one becomes the other, or after an error.
    out: Option<Out>,
    rows: u64,
    /// Bytes that are in it for good.
    kept: u64,
    /// What it will be for good once the commit is.
    settled: u64,
}

enum Out {
    /// Nothing is held back.
    Settled(Box<Summed>),
    /// Rows are on their way, behind this many bytes.
    Writing(u64, Box<dyn PartWriter<Box<Summed>>>),
}

impl OpenPart {
    pub(super) fn begin(
        stream: u32,
        folder: &Path,
        file: String,
        schema: &TableSchema,
        layout: &Layout,
        resets: u32,
    ) -> Result<Self> {
        let path = folder.join(staged_name(&file));
        let opened = File::options().write(true).create_new(true).open(&path).explain("write", &path)?;
        let out = Some(Out::Settled(Box::new(Summed::new(opened))));
        let (schema, layout) = (schema.clone(), layout.clone());
        let part = OpenPart { stream, file, path, schema, layout, resets, out, rows: 0, kept: 0, settled: 0 };
        sync_folder(folder)?;
        Ok(part)
    }

    /// Writes rows, and says which the format cannot hold.
    pub(super) fn write(&mut self, rows: &RecordBatch) -> Result<Vec<Refusal>> {
        let (base, mut writer) = match self.out.take() {
            Some(Out::Writing(base, writer)) => (base, writer),
            Some(Out::Settled(out)) => {
                let format =
                    if out.bytes == 0 { self.layout.format() } else { self.layout.format_going_on() };
                let name = self.path.display().to_string();
                let base = out.bytes;
                let compression = self.layout.compression();
                (base, syncline_format::writer(&format, compression, &self.schema, &name, out)?)
            }
            None => return Err(self.broken()),
        };
        let refused = writer.write(rows)?;
        self.out = Some(Out::Writing(base, writer));
        self.rows += (rows.num_rows() - refused.len()) as u64;
        Ok(refused)
    }

    /// Bytes on the disk, or on their way there.
    pub(super) fn bytes(&self) -> u64 {
        match &self.out {
            Some(Out::Writing(base, writer)) => base + writer.bytes(),
            Some(Out::Settled(out)) => out.bytes,
            None => 0,
        }
    }

    /// Ends what is on its way and waits for the disk; `None` when there was nothing.
    pub(super) fn settle(&mut self) -> Result<Option<PartState>> {
        let out = match self.out.take() {
            Some(Out::Writing(_, writer)) => writer.finish()?,
            Some(settled) => {
                self.out = Some(settled);
                return Ok(None);
            }
            None => return Err(self.broken()),
        };
        out.file.sync_data().explain("write", &self.path)?;
        let state = PartState {
            stream: self.stream,
            file: self.file.clone(),
            rows: self.rows,
            bytes: out.bytes,
            checksum: out.sum.text(),
        };
        self.settled = out.bytes;
        self.out = Some(Out::Settled(out));
        Ok(Some(state))
    }

    /// What was settled is committed.
    pub(super) fn keep(&mut self) {
        self.kept = self.settled;
    }

    fn broken(&self) -> syncline_types::Error {
        syncline_types::Error::new(
            &syncline_types::codes::BROKEN_INVARIANT,
            "write",
            crate::error::shown(&self.path),
        )
        .because("the part has failed before")
    }
}

impl Drop for OpenPart {
    /// Room that nobody's rows take is given back at once: a disk may be full. Whoever goes on with the
    /// run does the same where we cannot.
    fn drop(&mut self) {
        let longer = self.bytes() > self.kept || self.out.is_none();
        drop(self.out.take());
        if self.kept == 0 {
            let _ = fs::remove_file(&self.path);
        } else if longer {
            let _ = File::options().write(true).open(&self.path).and_then(|file| file.set_len(self.kept));
        }
    }
}
