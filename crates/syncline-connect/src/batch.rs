//! Rows on their way: a batch, and the rows of it that could not go on.

use arrow_array::RecordBatch;
use syncline_types::{Error, Position};

use crate::Reservation;

/// Rows of one split in columns, with the place behind them.
#[derive(Debug)]
pub struct Batch {
    /// The rows, in the columns of [`crate::Read::columns`] until the steps have run.
    pub rows: RecordBatch,
    /// Bytes of the values, as far as the reader counts them.
    pub bytes: u64,
    /// Where reading can go on after this batch; `None` when the split cannot be resumed here.
    pub position: Option<Position>,
    /// Rows that the source holds and that could not be read into their columns' types. They are
    /// not in `rows`, so their `row` counts among themselves.
    pub rejects: Vec<Reject>,
    /// The memory it holds, given back when the batch is dropped.
    pub memory: Option<Reservation>,
}

/// A row that cannot go on, with the reason. Never holds a value.
#[derive(Clone, Debug)]
pub struct Reject {
    /// Its place in the batch.
    pub row: u32,
    /// How the source names it where the row itself is not at hand, such as `rowid 17`.
    pub place: Option<String>,
    /// Why.
    pub error: Error,
}

/// What a sink says of one row that it has not simply taken. Rows it does not mention are written.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It can never take this row.
    Reject(Reject),
    /// It could not take this row now; the engine sends it again after so many milliseconds.
    Again {
        /// The row's place in the batch.
        row: u32,
        /// How long to wait at least.
        after_millis: u64,
    },
}
