//! Dead letters: rows that could not go on, with the reason.

use serde::Serialize;
use serde_json::Value;
use syncline_types::{Position, SplitId};

/// Which attempt at which split a letter comes from, or what else it has found. An attempt that did
/// not commit is made again from the same place, and its letters are forgotten first, so that none is
/// kept twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterPlace {
    /// The pipeline's id.
    pub pipeline: String,
    /// The run's id.
    pub run: String,
    /// The stream's number in the run.
    pub stream: u32,
    /// The split.
    pub split: SplitId,
    /// Where the attempt began.
    pub at: Option<Position>,
}

/// A letter to be saved.
#[derive(Clone, Debug, PartialEq)]
pub struct NewLetter {
    /// The stream's name at the source.
    pub source: String,
    /// How the source names the row, where it does.
    pub row: Option<String>,
    /// The stable code of the error.
    pub code: String,
    /// The error's sentence; holds no value.
    pub reason: String,
    /// The row, as far as it has passed the pipeline's masks.
    pub payload: Value,
}

/// A letter as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Letter {
    /// Unique in the state.
    pub id: i64,
    /// The pipeline's id.
    pub pipeline: String,
    /// The run's id.
    pub run: String,
    /// The stream's name at the source.
    pub stream: String,
    /// How the source names the row, where it does.
    pub row: Option<String>,
    /// The stable code of the error.
    pub code: String,
    /// The error's sentence.
    pub reason: String,
    /// The row, as far as it has passed the pipeline's masks.
    pub payload: Value,
    /// When it was saved, in UTC.
    pub at: String,
}
