//! The row at the source, and how far the steps let it come.

use std::sync::Arc;

use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use secrecy::SecretString;
use syncline_connect::{Next, Read, Source};
use syncline_steps::{Chain, StepSpec};
use syncline_types::{Error, Predicate, Result, TableSchema};

use super::Step;
use crate::{
    shell::work::broken,
    verify::{look::equal, rows},
};

/// What the source has of the row, in the columns that its steps begin with and those of the key.
pub(crate) enum AtSource {
    Nothing,
    Row(RecordBatch),
    /// It is there, and cannot be read.
    Unreadable(Error),
}

/// Reads it: by its key where the source finds rows by it, else with all the others.
pub(crate) async fn read(
    source: &dyn Source,
    read: &Read,
    names: &[String],
    texts: &[String],
) -> Result<AtSource> {
    let schema = read.schema();
    let asked = Predicate::And(names.iter().zip(texts).map(|(name, text)| equal(name, text)).collect());
    let filter = Some(asked).filter(|asked| source.evaluates(&read.stream, asked));
    let by_key = filter.is_some();
    let read = Arc::new(Read { filter, ..read.clone() });
    let session = source.begin(std::slice::from_ref(&read), 1).await?;
    let mut splitter = session.splitter(&read, None).await?;
    while let Some(split) = splitter.next().await? {
        let mut reader = session.open(&read, &split, None).await?;
        loop {
            let batch = match reader.next().await? {
                Next::Batch(batch) => batch,
                Next::Idle(_) => continue,
                Next::End => break,
            };
            let found = rows::texts(&batch.rows, &schema, names)?;
            let is_it: BooleanArray = found.iter().map(|found| Some(found.as_slice() == texts)).collect();
            let row = filter_record_batch(&batch.rows, &is_it).map_err(|error| broken(&error.to_string()))?;
            if row.num_rows() > 0 {
                return Ok(AtSource::Row(row.slice(0, 1)));
            }
            // Of others nobody knows which row they are.
            if let Some(reject) = batch.rejects.into_iter().next().filter(|_| by_key) {
                return Ok(AtSource::Unreadable(reject.error));
            }
        }
    }
    Ok(AtSource::Nothing)
}

/// The row in some of its columns.
pub(super) fn project(row: &RecordBatch, names: &[String]) -> Result<RecordBatch> {
    let schema = row.schema();
    let places: std::result::Result<Vec<usize>, _> = names.iter().map(|name| schema.index_of(name)).collect();
    places.and_then(|places| row.project(&places)).map_err(|error| broken(&error.to_string()))
}

/// Which step keeps the row from going on; `None` when it passes.
pub(super) fn stopped_by(
    row: &RecordBatch,
    input: &TableSchema,
    steps: &[StepSpec],
    mask_key: Option<&SecretString>,
    stream: &str,
) -> Result<Option<Step>> {
    let outcome = |count: usize| -> Result<(bool, Option<Error>)> {
        let applied = Chain::bind(&steps[..count], input, mask_key, stream)?.apply(row.clone())?;
        Ok((applied.rows.num_rows() > 0, applied.rejects.into_iter().next().map(|reject| reject.error)))
    };
    let sentence = |error: &Option<Error>| error.as_ref().map(Error::sentence);
    let (passes, refused) = outcome(steps.len())?;
    if passes {
        return Ok(None);
    }
    for (at, step) in steps.iter().enumerate() {
        // A step may fail on its way to a column that is dropped later; then all of them together do not.
        let (passes, by) = outcome(at + 1)?;
        if !passes && sentence(&by) == sentence(&refused) {
            return Ok(Some(Step { number: at + 1, kind: step.name(), text: step.to_string(), refused: by }));
        }
    }
    Err(broken("a row passes each step and not all of them"))
}
