//! Rows that went to another key while their stream was being copied, and of which the log does not tell every
//! value.
//!
//! The copy may have such a row under its old key, under the new one or not at all, and under the old key
//! another row by now: nothing at the target could be relied on for what is not told. So the row is read from
//! the source as it is now. What has become of it in between is told by the log, all of which up to here is
//! applied in the same transaction.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_buffer::BooleanBuffer;
use arrow_select::interleave::interleave;
use async_trait::async_trait;
use syncline_connect::{Changes, How, Read, Source};
use syncline_types::{Error, Result, codes};

use crate::{
    trace::row::{self, AtSource},
    verify::rows::texts,
};

/// Knows rows as they are at the source.
#[async_trait]
pub trait Rows: Send + Sync {
    /// The row that has this key now, in the columns that are read; `key` has those of the key, in the form of
    /// [`syncline_types::text`].
    ///
    /// # Errors
    /// When the source fails, or the row cannot be read.
    async fn row(&self, read: &Arc<Read>, key: &[String]) -> Result<Option<RecordBatch>>;
}

#[async_trait]
impl Rows for Arc<dyn Source> {
    async fn row(&self, read: &Arc<Read>, key: &[String]) -> Result<Option<RecordBatch>> {
        match row::read(self.as_ref(), read, &read.stream.schema.key, key).await? {
            AtSource::Nothing => Ok(None),
            AtSource::Row(row) => Ok(Some(row)),
            AtSource::Unreadable(error) => Err(error),
        }
    }
}

/// Whether there is such a row among these.
pub(crate) fn is_wanted(changes: &Changes) -> bool {
    lacking(changes).next().is_some()
}

fn lacking(changes: &Changes) -> impl Iterator<Item = usize> {
    let lacks = |row: usize| changes.absent.iter().flatten().any(|absent| absent.value(row));
    let moves = changes.written.iter().enumerate().filter(|(_, written)| written.how == How::Move);
    moves.map(|(row, _)| row).filter(move |row| lacks(*row))
}

/// Puts such rows in as they are at the source now; of those that are not there any more only their old keys stay.
pub(crate) async fn complete(rows: &dyn Rows, read: &Arc<Read>, changes: &mut Changes) -> Result<()> {
    let lacking: Vec<usize> = lacking(changes).collect();
    let keys = texts(&changes.rows, &read.logged_schema(), &read.stream.schema.key)?;
    let mut found = vec![];
    for row in &lacking {
        found.push(rows.row(read, &keys[*row]).await?);
    }
    let sources: Vec<&RecordBatch> = [&changes.rows].into_iter().chain(found.iter().flatten()).collect();
    // Of each row that stays, from where it comes: the changes, or one of those that were found.
    let (mut places, mut number) = (vec![], 0);
    for row in 0..changes.written.len() {
        match lacking.binary_search(&row) {
            Err(_) => places.push((row, (0, row))),
            Ok(at) if found[at].is_some() => {
                number += 1;
                places.push((row, (number, 0)));
            }
            Ok(_) => {
                let gone = changes.written[row].sequence;
                let went = changes.went.iter_mut().filter(|went| went.sequence + 1 == gone);
                went.for_each(|went| went.moved = false);
            }
        }
    }
    let from: Vec<(usize, usize)> = places.iter().map(|(_, from)| *from).collect();
    let column = |at: usize| -> Result<ArrayRef> {
        let arrays: Vec<&dyn Array> = sources.iter().map(|rows| rows.column(at).as_ref()).collect();
        interleave(&arrays, &from).map_err(broken)
    };
    let columns = (0..changes.rows.num_columns()).map(column).collect::<Result<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(from.len()));
    let whole =
        RecordBatch::try_new_with_options(changes.rows.schema(), columns, &options).map_err(broken)?;
    let still = |absent: &BooleanBuffer| {
        let absent = places.iter().map(|(row, (batch, _))| *batch == 0 && absent.value(*row));
        Some(BooleanBuffer::from_iter(absent)).filter(|absent| absent.count_set_bits() > 0)
    };
    changes.absent = changes.absent.iter().map(|absent| absent.as_ref().and_then(still)).collect();
    changes.written = places.iter().map(|(row, _)| changes.written[*row]).collect();
    changes.rows = whole;
    Ok(())
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error::new(&codes::BROKEN_INVARIANT, "complete", "changes").because(error)
}
