//! Runs as they are saved.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use syncline_connect::ProgressRow;
use syncline_types::Split;

/// A run that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRun {
    /// The pipeline's id.
    pub pipeline: String,
    /// The run's id.
    pub run: String,
    /// The epoch of its first process.
    pub epoch: u64,
    /// Changes whenever streams, schemas, steps or modes do.
    pub fingerprint: String,
    /// The source, without secrets.
    pub from: String,
    /// The target, without secrets.
    pub to: String,
    /// In the order of their numbers.
    pub streams: Vec<NewStream>,
}

/// A stream of a run that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewStream {
    /// Its name at the source.
    pub source: String,
    /// Its name at the target.
    pub target: String,
    /// Rows, as far as the source could tell.
    pub rows_estimate: Option<u64>,
    /// Which rows the run reads, in the engine's own form; `None` means all.
    pub window: Option<String>,
}

/// A run as the state knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedRun {
    /// The run's id.
    pub run: String,
    /// The epoch of the last process that worked on it.
    pub epoch: u64,
    /// As in [`NewRun`].
    pub fingerprint: String,
    /// Whether it is at its end.
    pub finished: bool,
    /// In the order of their numbers.
    pub streams: Vec<SavedStream>,
}

/// A stream as the state knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedStream {
    /// How far it is.
    pub phase: StreamPhase,
    /// Whether all its splits are known.
    pub planned: bool,
    /// As in [`NewStream`].
    pub window: Option<String>,
    /// In the order of their ids.
    pub splits: Vec<SavedSplit>,
}

/// A split as the state knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedSplit {
    /// The split.
    pub split: Split,
    /// What is durable of it; `None` before its first commit.
    pub row: Option<ProgressRow>,
}

/// How far a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamPhase {
    /// Its splits are planned, read and written.
    Copying,
    /// Everybody sees its rows at the target.
    Published,
}

impl StreamPhase {
    pub(crate) fn name(self) -> &'static str {
        match self {
            StreamPhase::Copying => "copying",
            StreamPhase::Published => "published",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [StreamPhase::Copying, StreamPhase::Published].into_iter().find(|phase| phase.name() == name)
    }
}

/// A run with what `status` shows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunSummary {
    /// The pipeline's id.
    pub pipeline: String,
    /// The source, without secrets.
    pub from: String,
    /// The target, without secrets.
    pub to: String,
    /// When it began, in UTC, as `2024-02-29 12:00:00`.
    pub started: String,
    /// When anything was saved last.
    pub updated: String,
    /// Names and estimates, in the order of [`SavedRun::streams`].
    pub streams: Vec<NewStream>,
    /// Everything else.
    pub run: SavedRun,
    /// Dead letters kept for the pipeline, of this run and earlier ones.
    pub letters: u64,
    /// How far incremental runs have come, by the stream's name at the source, in the engine's own form.
    pub marks: BTreeMap<String, String>,
}
