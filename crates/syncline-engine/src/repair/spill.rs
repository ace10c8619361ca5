//! Rows kept in a file for a moment, so that nobody reads a table while it is written to: there are
//! databases in which whoever reads keeps others from committing.

use std::{
    fs::{self, File},
    io::{BufReader, BufWriter},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_array::RecordBatch;
use arrow_ipc::{reader::StreamReader, writer::StreamWriter};
use async_trait::async_trait;
use syncline_connect::{
    Batch, Digest, Edge, Finding, Next, Read, Reader, Selection, Session, Source, SplitOrder, Splitter,
    Stream,
};
use syncline_types::{
    Error, Extent, Position, Predicate, Result, Split, SplitId, StreamName, TableSchema, codes,
};

/// Writes rows into a file of its own.
pub(crate) struct Spill {
    writer: StreamWriter<BufWriter<File>>,
    path: PathBuf,
    schema: TableSchema,
    rows: u64,
}

/// The file as a source of one stream. It is removed with it.
pub(crate) struct Spilled {
    path: PathBuf,
    schema: TableSchema,
    rows: u64,
}

fn failed(path: &Path, error: impl std::fmt::Display) -> Error {
    Error::new(&codes::STATE_FAILED, "keep keys in", path.display())
        .because(error)
        .hint("Make room there, or name another directory with --state DIR")
}

impl Spill {
    /// Begins a file in a folder that is there.
    pub(crate) fn create(folder: &Path, name: &str, schema: &TableSchema) -> Result<Self> {
        let path = folder.join(name);
        let file = File::create(&path).map_err(|error| failed(&path, error))?;
        let writer = StreamWriter::try_new_buffered(file, &schema.arrow());
        let writer = writer.map_err(|error| failed(&path, error))?;
        Ok(Spill { writer, path, schema: schema.clone(), rows: 0 })
    }

    /// Adds rows.
    pub(crate) fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        self.rows += rows.num_rows() as u64;
        self.writer.write(rows).map_err(|error| failed(&self.path, error))
    }

    /// No more will come.
    pub(crate) fn end(mut self) -> Result<Spilled> {
        self.writer.finish().map_err(|error| failed(&self.path, error))?;
        Ok(Spilled { path: self.path, schema: self.schema, rows: self.rows })
    }
}

impl Spilled {
    /// How many rows it has.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// The columns of its rows.
    pub(crate) fn schema(&self) -> &TableSchema {
        &self.schema
    }

    /// What is to be read of it.
    pub(crate) fn read(&self, name: &StreamName) -> Arc<Read> {
        let stream = Stream {
            name: name.clone(),
            in_default_namespace: true,
            schema: self.schema.clone(),
            order: SplitOrder::Part,
            rows_estimate: Some(self.rows),
            bytes_estimate: None,
        };
        let columns = self.schema.columns.iter().map(|column| column.name.clone()).collect();
        Arc::new(Read { stream: Arc::new(stream), columns, filter: None, chunk_rows: u64::MAX })
    }
}

impl Drop for Spilled {
    fn drop(&mut self) {
        // The folder it is in goes too; there is nobody to tell.
        let _ = fs::remove_file(&self.path);
    }
}

fn not_asked(operation: &str) -> Error {
    Error::new(&codes::UNSUPPORTED, operation, "rows that are kept for a moment")
}

#[async_trait]
impl Source for Spilled {
    async fn discover(&self, _: &Selection) -> Result<Vec<Stream>> {
        Err(not_asked("list"))
    }

    fn evaluates(&self, _: &Stream, _: &Predicate) -> bool {
        false
    }

    async fn inspect(&self, _: &[Arc<Read>]) -> Result<Vec<Finding>> {
        Ok(vec![])
    }

    async fn begin(&self, _: &[Arc<Read>], _: usize) -> Result<Box<dyn Session>> {
        Ok(Box::new(SpilledSession(self.path.clone())))
    }

    async fn edge(&self, _: &Stream, _: &str) -> Result<Edge> {
        Err(not_asked("look for the end of"))
    }

    fn digest_method(&self, _: &Read) -> Option<String> {
        None
    }
}

struct SpilledSession(PathBuf);

#[async_trait]
impl Session for SpilledSession {
    fn describe(&self) -> String {
        "rows that were found before".to_owned()
    }

    async fn splitter(&self, _: &Arc<Read>, last: Option<&Split>) -> Result<Box<dyn Splitter>> {
        let whole = Split { id: SplitId(0), extent: Extent::Whole, rows_estimate: None };
        Ok(Box::new(One(last.is_none().then_some(whole))))
    }

    async fn open(&self, _: &Arc<Read>, _: &Split, at: Option<&Position>) -> Result<Box<dyn Reader>> {
        let open = || StreamReader::try_new(BufReader::new(File::open(&self.0)?), None);
        let mut batches = open().map_err(|error| failed(&self.0, error))?;
        let mut next = 0;
        let at: u64 = at.and_then(|at| at.0.parse().ok()).unwrap_or(0);
        while next < at && batches.next().is_some() {
            next += 1;
        }
        Ok(Box::new(SpilledReader { path: self.0.clone(), batches, next }))
    }

    async fn digest(&self, _: &Arc<Read>, _: &Split) -> Result<Digest> {
        Err(not_asked("compute a checksum of"))
    }
}

struct One(Option<Split>);

#[async_trait]
impl Splitter for One {
    async fn next(&mut self) -> Result<Option<Split>> {
        Ok(self.0.take())
    }
}

struct SpilledReader {
    path: PathBuf,
    batches: StreamReader<BufReader<File>>,
    /// The number of the next batch, which is the position behind the last one.
    next: u64,
}

#[async_trait]
impl Reader for SpilledReader {
    async fn next(&mut self) -> Result<Next> {
        let Some(rows) = self.batches.next() else { return Ok(Next::End) };
        let rows = rows.map_err(|error| failed(&self.path, error))?;
        self.next += 1;
        Ok(Next::Batch(Batch {
            bytes: rows.get_array_memory_size() as u64,
            rows,
            position: Some(Position(self.next.to_string())),
            rejects: vec![],
            memory: None,
        }))
    }

    async fn confirm(&mut self, _: &Position) -> Result<()> {
        Ok(())
    }

    async fn tick(&mut self) -> Result<()> {
        Ok(())
    }
}
