//! Syncline's own tables in a SQL target: how far a run is, where rows wait, what it made.
//!
//! All begin with `_syncline`, are hidden from discovery and verification, and never travel.

use serde::{Deserialize, Serialize};
use syncline_connect::{Marking, ProgressRow, TargetProgress};
use syncline_types::{Error, Result, SplitId, codes};

/// Every name of ours begins so.
pub const PREFIX: &str = "_syncline";

/// Progress: one row a split, one a stream, one a pipeline.
pub const CHECKPOINT: &str = "_syncline_checkpoint";

/// The tables that Syncline made, and may therefore replace.
pub const MADE: &str = "_syncline_made";

/// How far incremental runs have come: one row a stream, which outlives its runs. Its columns are
/// `pipeline`, `stream` (the source's name for it) and `mark`.
pub const MARK: &str = "_syncline_mark";

/// The stream number of the row that belongs to the pipeline as a whole.
pub const NO_STREAM: i32 = -1;
/// The split number of the row that belongs to a stream as a whole.
pub const NO_SPLIT: i64 = -1;

/// Whether a table is one of ours.
pub fn is_ours(table: &str) -> bool {
    table.starts_with(PREFIX)
}

/// The table in which a stream's rows wait.
pub fn stage(run: &str, stream: u32) -> String {
    format!("{PREFIX}_stage_{run}_{stream}")
}

/// What begins the names of all tables in which rows of a run wait.
pub fn stage_prefix(run: &str) -> String {
    format!("{PREFIX}_stage_{run}_")
}

/// The `position` of a stream's own row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamMark {
    /// Its staging is there.
    Prepared,
    /// Everybody sees its rows.
    Published,
}

/// The `position` of a split's row, as text.
pub fn write_progress(row: &ProgressRow) -> String {
    serde_json::to_string(row).expect("progress serialises")
}

/// Reads what [`write_progress`] wrote.
///
/// # Errors
/// [`codes::BAD_BYTES`] when somebody else wrote it.
pub fn read_progress(text: &str) -> Result<ProgressRow> {
    serde_json::from_str(text).map_err(|_| garbled())
}

/// The `position` of a stream's row, as text.
pub fn write_mark(mark: StreamMark) -> String {
    serde_json::to_string(&mark).expect("a mark serialises")
}

/// Reads what [`write_mark`] wrote.
///
/// # Errors
/// [`codes::BAD_BYTES`] when somebody else wrote it.
pub fn read_mark(text: &str) -> Result<StreamMark> {
    serde_json::from_str(text).map_err(|_| garbled())
}

/// The statements that do to a stream's mark, in the table of marks, what publishing it asks for. They
/// belong into the transaction that publishes. `text` writes a text constant.
pub fn marking(
    table: &str,
    pipeline: &str,
    stream: &str,
    marking: Marking<'_>,
    text: impl Fn(&str) -> String,
) -> Vec<String> {
    let (pipeline, stream) = (text(pipeline), text(stream));
    let forget = || format!("DELETE FROM {table} WHERE pipeline = {pipeline} AND stream = {stream}");
    match marking {
        Marking::Keep => vec![],
        Marking::Clear => vec![forget()],
        Marking::Save(mark) => vec![
            forget(),
            format!(
                "INSERT INTO {table} (pipeline, stream, mark) VALUES ({pipeline}, {stream}, {})",
                text(mark)
            ),
        ],
    }
}

/// Reads the rows of a pipeline in the table of progress: run, stream, split, epoch and position, each as
/// a text.
///
/// # Errors
/// [`codes::BAD_BYTES`] when one is not as Syncline wrote it.
pub fn read_rows(rows: Vec<Vec<Option<String>>>) -> Result<TargetProgress> {
    let mut progress = TargetProgress::default();
    for row in rows {
        let [Some(run), Some(stream), Some(split), Some(epoch), Some(position)] = row.as_slice() else {
            continue;
        };
        let numbers = (stream.parse::<i64>(), split.parse::<i64>(), epoch.parse::<u64>());
        let (Ok(stream), Ok(split), Ok(epoch)) = numbers else { continue };
        let Ok(stream) = u32::try_from(stream) else {
            progress.epoch = progress.epoch.max(epoch);
            continue;
        };
        progress.run = Some(run.clone());
        match u32::try_from(split) {
            Ok(_) if position.is_empty() => {}
            Ok(split) => {
                progress.splits.insert((stream, SplitId(split)), read_progress(position)?);
            }
            Err(_) => {
                if read_mark(position)? == StreamMark::Published {
                    progress.published.push(stream);
                }
            }
        }
    }
    Ok(progress)
}

fn garbled() -> Error {
    Error::new(&codes::BAD_BYTES, "read the progress in", format!("`{CHECKPOINT}`"))
        .because("a row of it is not as Syncline wrote it")
        .hint("Begin the run again with --restart")
}
