//! The log of changes that an appended target is: every change is a row of its own, in the order of the
//! source's log.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, StringArray, TimestampMicrosecondArray,
};
use arrow_select::{concat::concat_batches, interleave::interleave};
use syncline_connect::{How, NetChanges, Target};
use syncline_steps::StepSpec;
use syncline_types::{Error, LogicalType, Result, codes};

use super::net::Passed;

/// What happened to the row: `r` it was copied, `c` it is new, `u` it was changed, `d` it is gone, `t` all
/// rows are gone.
const OP: &str = "_op";
/// When that was committed at the source.
const COMMIT_TIME: &str = "_commit_time";
/// Where in the source's log it was found: behind this place.
const POSITION: &str = "_position";
/// Its number among all changes of the pipeline.
const SEQUENCE: &str = "_seq";

/// The steps that give copied rows their place in the log of changes.
pub(crate) fn columns() -> [StepSpec; 4] {
    let set =
        |name: &str, value: &str| StepSpec::Set([(name.to_owned(), value.to_owned())].into_iter().collect());
    [
        set(OP, "'r'"),
        set(COMMIT_TIME, "cast(null as timestamptz)"),
        set(POSITION, "cast(null as text)"),
        set(SEQUENCE, "cast(null as bigint)"),
    ]
}

/// Where the changes of a batch stand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page<'a> {
    /// Everything before it was applied when they were read.
    pub(crate) position: &'a str,
    /// How many changes there were before those of this reader.
    pub(crate) base: u64,
    /// When the last transaction of the batch was committed.
    pub(crate) committed_micros: Option<i64>,
}

/// A change: its place in the order of the log, what it is, and where its row is: among the rows written, or
/// among those that are gone.
type Line = (u64, &'static str, Option<(usize, usize)>);

/// Gathers the changes of one stream, each of them a row.
#[derive(Debug, Default)]
pub(crate) struct Story {
    rows: Vec<RecordBatch>,
}

impl Story {
    /// Adds changes that come after all that were added before.
    pub(crate) fn add(&mut self, target: &Target, passed: &Passed, page: Page<'_>) -> Result<()> {
        let mut lines: Vec<Line> = vec![];
        for (row, written) in passed.written.iter().enumerate() {
            let op = if written.how == How::Update { "u" } else { "c" };
            lines.push((written.sequence, op, Some((0, row))));
        }
        lines.extend(passed.went.iter().enumerate().map(|(row, went)| (went.sequence, "d", Some((1, row)))));
        lines.extend(passed.truncated.map(|sequence| (sequence, "t", None)));
        lines.sort_unstable_by_key(|(sequence, _, _)| *sequence);
        let mut columns: Vec<ArrayRef> = vec![];
        for (place, column) in target.schema.columns.iter().enumerate() {
            columns.push(match column.name.as_str() {
                OP => Arc::new(StringArray::from_iter_values(lines.iter().map(|(_, op, _)| op))),
                COMMIT_TIME => {
                    let times = lines.iter().map(|_| page.committed_micros);
                    Arc::new(TimestampMicrosecondArray::from_iter(times).with_timezone("UTC"))
                }
                POSITION => Arc::new(StringArray::from_iter_values(lines.iter().map(|_| page.position))),
                SEQUENCE => {
                    let numbers = lines.iter().map(|(sequence, _, _)| page.base + sequence + 1);
                    let numbers = numbers.map(|number| i64::try_from(number).unwrap_or(i64::MAX));
                    Arc::new(Int64Array::from_iter_values(numbers))
                }
                name => told(passed, place, name, column.logical, &lines)?,
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(lines.len()));
        let rows = RecordBatch::try_new_with_options(target.schema.arrow(), columns, &options);
        self.rows.push(rows.map_err(|error| broken(&error))?);
        Ok(())
    }

    /// All of them, as rows to be added.
    pub(crate) fn finish(self, target: &Target) -> Result<NetChanges> {
        let schema = target.schema.arrow();
        let rows = concat_batches(&schema, &self.rows).map_err(|error| broken(&error))?;
        let deletes = RecordBatch::new_empty(Arc::new(schema.project(&[]).map_err(|error| broken(&error))?));
        Ok(NetChanges::new(deletes, rows))
    }
}

/// A column's values: of rows that are gone only what tells them is known.
fn told(passed: &Passed, place: usize, name: &str, logical: LogicalType, lines: &[Line]) -> Result<ArrayRef> {
    let rows = passed.rows.column(place);
    let nothing = arrow_array::new_null_array(&logical.arrow(), 1);
    let gone = passed.gone.column_by_name(name).cloned();
    let known = gone.is_some();
    let gone = gone.unwrap_or_else(|| Arc::clone(&nothing));
    let places: Vec<(usize, usize)> = lines
        .iter()
        .map(|(_, _, from)| match from {
            Some((1, _)) if !known => (2, 0),
            Some(from) => *from,
            None => (2, 0),
        })
        .collect();
    interleave(&[rows.as_ref(), gone.as_ref(), nothing.as_ref()], &places).map_err(|error| broken(&error))
}

fn broken(reason: &dyn std::fmt::Display) -> Error {
    Error::new(&codes::BROKEN_INVARIANT, "write down changes", "").because(reason)
}
