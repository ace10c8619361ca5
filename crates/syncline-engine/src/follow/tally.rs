//! What changes of rows without a key come to: how many of the rows that are equal come, and how many go.
//!
//! Rows are told apart by all the values that the steps have made of them. An update has told the row as it
//! was and as it is; one that has changed none of these values is told by the row alone, and is none here.

use std::collections::HashMap;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_row::{RowConverter, SortField};
use syncline_connect::{Emptied, How, NetChanges, Target};
use syncline_types::{Error, Result, codes};

use super::net::{Passed, Place, gather};

/// Gathers the changes of one target.
#[derive(Debug)]
pub(crate) struct Tally {
    converter: RowConverter,
    /// What was added, in twos: the rows written, and those that are gone.
    batches: Vec<RecordBatch>,
    /// By the values of a row, how many more of it there are, and where one of them lies.
    rows: HashMap<Box<[u8]>, (i64, Place)>,
    emptied: bool,
}

impl Tally {
    pub(crate) fn new(target: &Target) -> Result<Self> {
        let fields = target.schema.columns.iter().map(|column| SortField::new(column.logical.arrow()));
        let converter = RowConverter::new(fields.collect()).map_err(|error| broken(&error))?;
        Ok(Tally { converter, batches: vec![], rows: HashMap::new(), emptied: false })
    }

    /// Adds changes that come after all that were added before.
    ///
    /// # Errors
    /// [`codes::LOG_INCOMPLETE`] when a row is not told whole.
    pub(crate) fn add(&mut self, target: &Target, piece: Passed) -> Result<()> {
        if piece.absent.iter().any(Option::is_some) {
            let stream = format!("`{}`", target.source);
            return Err(Error::new(&codes::LOG_INCOMPLETE, "follow without a key", stream)
                .because("an update does not tell the whole row, by which alone it could be found")
                .hint("Let the source log whole rows, as `plan` says, and copy it again: --restart"));
        }
        if piece.truncated.is_some() {
            self.rows.clear();
            self.emptied = true;
        }
        let counts = |sequence: u64| piece.truncated.is_none_or(|truncated| sequence > truncated);
        let here = self.batches.len();
        for (row, values) in self.values(piece.rows.columns())?.into_iter().enumerate() {
            let written = piece.written[row];
            if counts(written.sequence) && written.how != How::Update {
                self.count(values, 1, (here, row));
            }
        }
        for (row, values) in self.values(piece.gone.columns())?.into_iter().enumerate() {
            if counts(piece.went[row].sequence) {
                self.count(values, -1, (here + 1, row));
            }
        }
        self.batches.extend([piece.rows, piece.gone]);
        Ok(())
    }

    fn count(&mut self, values: Box<[u8]>, more: i64, at: Place) {
        self.rows.entry(values).or_insert((0, at)).0 += more;
    }

    fn values(&self, columns: &[ArrayRef]) -> Result<Vec<Box<[u8]>>> {
        let rows = self.converter.convert_columns(columns).map_err(|error| broken(&error))?;
        Ok(rows.iter().map(|row| Box::from(row.as_ref())).collect())
    }

    /// What it all comes to.
    pub(crate) fn finish(self) -> Result<NetChanges> {
        let mut counted: Vec<(i64, Place)> = self.rows.into_values().collect();
        // As in the log: rows that lie together there often do here.
        counted.sort_unstable_by_key(|(_, at)| *at);
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        let repeated = |sign: i64| -> Result<RecordBatch> {
            let places: Vec<Place> = counted
                .iter()
                .filter(|(count, _)| count.signum() == sign)
                .flat_map(|(count, at)| (0..count.unsigned_abs()).map(|_| *at))
                .collect();
            gather(&batches, places.len(), |_| places.clone())
        };
        let (deletes, rows) = (repeated(-1)?, repeated(1)?);
        let emptied = self.emptied.then_some(Emptied::Deleted);
        Ok(NetChanges { emptied, ..NetChanges::new(deletes, rows) })
    }
}

fn broken(reason: &dyn std::fmt::Display) -> Error {
    Error::new(&codes::BROKEN_INVARIANT, "count rows", "").because(reason)
}

#[cfg(test)]
mod tests;
