//! What a run did, for people and programs.

use serde::Serialize;

/// What a run did.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The pipeline's id.
    pub pipeline: String,
    /// In the order of their numbers.
    pub streams: Vec<StreamSummary>,
    /// Snapshots this process has read from; more than one means that the rows are not all of one moment.
    pub snapshots: u32,
    /// Whether it goes on with what an earlier process began.
    pub resumed: bool,
    /// From beginning to end.
    pub seconds: f64,
}

/// What became of one stream.
#[derive(Clone, Debug, Serialize)]
pub struct StreamSummary {
    /// Its name at the source.
    pub stream: String,
    /// Its name at the target.
    pub target: String,
    /// Rows that this process committed.
    pub rows: u64,
    /// Rows that earlier processes of the run had committed.
    pub rows_resumed: u64,
    /// Bytes of values in both.
    pub bytes: u64,
    /// Rows that went to the dead letters.
    pub rejected: u64,
    /// Rows removed from the target, or marked as deleted there, that the source no longer has.
    pub deleted: u64,
    /// From the first split to publication.
    pub seconds: f64,
    /// `published`, `failed` or `unfinished`.
    pub outcome: &'static str,
    /// Which rows an incremental run has read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowSummary>,
}

/// The window of one stream.
#[derive(Clone, Debug, Serialize)]
pub struct WindowSummary {
    /// The source's column.
    pub cursor: String,
    /// The lowest value; `None` from the first one on.
    pub from: Option<String>,
    /// The highest value; `None` where no row had one.
    pub upto: Option<String>,
    /// Rows without a value, which only the first run reads.
    pub nulls: u64,
    /// What is to be said of them, if this was not the first run.
    #[serde(skip)]
    pub warning: Option<String>,
}
