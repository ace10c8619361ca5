//! A part: one file of rows, being written or read.

use arrow_array::RecordBatch;
use syncline_types::{Error, Result};

/// Writes one file.
pub trait PartWriter<W>: Send {
    /// Writes the rows that the format can hold, and says which it cannot. A refused row leaves
    /// nothing behind in the file.
    ///
    /// # Errors
    /// When writing fails; the part is of no use then.
    fn write(&mut self, batch: &RecordBatch) -> Result<Vec<Refusal>>;

    /// Bytes that have gone out so far, compressed; what is still held back is not counted.
    fn bytes(&self) -> u64;

    /// Writes what is still held back and the file's end, and gives back what was written to.
    ///
    /// # Errors
    /// When writing fails.
    fn finish(self: Box<Self>) -> Result<W>;
}

/// A row that a format cannot hold.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Its place in the batch.
    pub row: u32,
    /// Why; it holds no value.
    pub error: Error,
}

/// Reads one file from its beginning to its end.
pub trait PartReader: Send {
    /// The next rows.
    ///
    /// Never holds more than `limits.bytes` beyond a fixed working buffer, so the caller reserves
    /// memory first and passes what it has.
    ///
    /// # Errors
    /// When the file cannot be read or is not of its format. No row is lost by it: all before the
    /// place at fault have been given out.
    fn next(&mut self, limits: Limits) -> Result<Step>;

    /// Passes over the next records without decoding them, as many as [`Rows::records`] said, so
    /// that reading goes on behind rows that are safe already.
    ///
    /// # Errors
    /// [`syncline_types::codes::SCHEMA_CHANGED`] when the file has fewer; else as [`PartReader::next`].
    fn skip(&mut self, records: u64) -> Result<()>;
}

/// How much [`PartReader::next`] may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most records in a batch.
    pub rows: usize,
    /// Most bytes that the reader may hold for it.
    pub bytes: u64,
}

/// What a reader has.
#[derive(Debug)]
pub enum Step {
    /// Rows.
    Rows(Rows),
    /// Not even the next record goes into [`Limits::bytes`]: call again with so many. A record's
    /// length may not be known yet, so this may come several times with growing figures. Until then
    /// the reader holds less than half of it, so nobody has to wait for it while reserving something.
    Needs(u64),
    /// The file has been read to its end.
    End,
}

/// Rows of a file.
#[derive(Debug)]
pub struct Rows {
    /// Those that could be read, in the columns asked for.
    pub batch: RecordBatch,
    /// Bytes of their values.
    pub bytes: u64,
    /// Those that could not be read. They are not in the batch.
    pub rejects: Vec<BadRow>,
    /// Records of the file up to and with these, rejected ones too: what [`PartReader::skip`] takes.
    pub records: u64,
}

/// A record that could not be read.
#[derive(Clone, Debug)]
pub struct BadRow {
    /// How many rows of the batch come before it.
    pub row: usize,
    /// Where it begins: the line of the text, or the row of a Parquet file; counted from 1.
    pub line: u64,
    /// Why; it names file, line and column, and holds no value.
    pub error: Error,
}
