//! What a pipeline is, once everything about it has been checked that can be checked without
//! connecting: plain data for the engine.

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use syncline_connect::{Endpoint, Replace, Selection, WriteMode};
use syncline_steps::StepSpec;
use syncline_types::StreamName;

/// One source, one target and what goes from the one to the other.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// Its name in the file, or what [`crate::CopyArgs`] made of a command line. Fit for the name of
    /// a file: letters, digits, `_`, `-` and `.`, and at most [`crate::NAME_CHARS_MAX`] of them.
    pub id: String,
    /// Where rows come from.
    pub from: Endpoint,
    /// Where rows go.
    pub to: Endpoint,
    /// The source's name in the file, where it has one.
    pub from_name: Option<String>,
    /// The target's name in the file, where it has one.
    pub to_name: Option<String>,
    /// How a run finds what to copy.
    pub sync: Sync,
    /// How far behind the mark an incremental run begins to read, as it is written: what it means
    /// depends on the cursor's type.
    pub lookback: Option<String>,
    /// What is copied. Never empty.
    pub streams: Vec<StreamChoice>,
    /// How many splits are read and written at once.
    pub parallel: usize,
    /// About how many rows a split has.
    pub chunk_rows: u64,
    /// How many bytes of rows may be under way.
    pub memory_bytes: u64,
    /// How long a connection may be silent while rows are expected.
    pub idle_seconds: u64,
    /// How fast it may go.
    pub limits: Limits,
    /// What happens to a row that the target cannot take.
    pub on_error: OnError,
    /// Whether an empty source may replace a target that has rows.
    pub allow_empty: bool,
    /// How changes are followed; as it is by default where they are not.
    pub follow: Following,
    /// The key of `hash` masks; `None` too where no step masks anything.
    pub mask_key: Option<SecretString>,
}

/// How a pipeline follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Following {
    /// What happens when a stream's columns change at the source.
    pub schema_changes: SchemaChanges,
    /// After how long without progress it says so.
    pub stall_seconds: u64,
    /// How much the source may keep of its log for the pipeline.
    pub log_budget_bytes: Option<u64>,
    /// What happens when it has to keep more.
    pub over_budget: OverBudget,
    /// What happens to changes that have come through the target's database.
    pub echoes: Echoes,
}

/// How long a pipeline may make no progress before it says so, where nothing else is said.
pub(crate) const STALL_SECONDS: u64 = 60;

impl Default for Following {
    fn default() -> Self {
        Following {
            schema_changes: SchemaChanges::default(),
            stall_seconds: STALL_SECONDS,
            log_budget_bytes: None,
            over_budget: OverBudget::default(),
            echoes: Echoes::default(),
        }
    }
}

/// What happens when a stream's columns change at the source while it is followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SchemaChanges {
    /// The target's columns are changed in the same way: added, dropped, renamed, altered. New tables that
    /// match a pattern are followed too.
    Apply,
    /// The target stays as it is: new columns are left out, and those that are gone get no value.
    Ignore,
    /// The pipeline stops and says what has changed. The default.
    #[default]
    Stop,
}

/// What happens when the source has to keep more of its log than `log_budget` allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OverBudget {
    /// The pipeline says so. The default.
    #[default]
    Warn,
    /// The pipeline stops and gives up its place in the log, so that the source can let go of it. What is
    /// followed has to be copied again.
    Release,
}

/// What happens to changes at the source that have come through the target's database, where they are told
/// from others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Echoes {
    /// They are passed over, so that pipelines may go both ways. The default.
    #[default]
    Skip,
    /// They are applied like all others, as where they go into other tables than they have come from.
    /// Pipelines that all do so and go round in a circle never come to rest.
    Apply,
}

/// What happens to rows at the target that the source no longer has. Only a merge asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Deletes {
    /// They stay. The default, but where changes are followed.
    #[default]
    Ignore,
    /// They get the time in their column `_deleted_at`, which is added where it is missing.
    Soft,
    /// They are deleted. The default where changes are followed.
    Apply,
    /// They stay if they were there before. What the source deletes while it is followed is deleted: for
    /// targets that have rows of their own, such as one that is followed back.
    Told,
}

/// A stream, or several that match, and what happens to them.
#[derive(Clone, Debug)]
pub struct StreamChoice {
    /// Which.
    pub selection: Selection,
    /// Where it goes; `None` means its own table name in the target's default namespace, and is so
    /// for every selection but [`Selection::Name`].
    pub to: Option<StreamName>,
    /// What happens to rows that are there.
    pub write: WriteMode,
    /// What happens to rows at the target that the source no longer has.
    pub deletes: Deletes,
    /// Whether the user has said `write`, and not only left the default.
    pub write_said: bool,
    /// The column by which an incremental run finds what has come since the last one. Always there in
    /// an incremental pipeline, and only there.
    pub cursor: Option<String>,
    /// The columns that tell rows apart; empty means the source's own key.
    pub key: Vec<String>,
    /// The columns that are copied; empty means all.
    pub columns: Vec<String>,
    /// The condition on rows, `where` in the file.
    pub filter: Option<String>,
    /// What happens to rows on their way.
    pub steps: Vec<StepSpec>,
    /// How an overwrite is published.
    pub replace: Replace,
    /// The line in the file, for messages.
    pub line: Option<u64>,
}

/// How a run finds what to copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// It copies everything.
    #[default]
    Full,
    /// It copies what has come since the last run.
    Incremental,
    /// It copies everything once and then applies every change, until it is stopped.
    Follow,
}

/// How fast a pipeline may go. `None` is as fast as it can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Over all streams.
    pub rows_per_second: Option<u64>,
    /// Over all streams, counted as the bytes of values.
    pub bytes_per_second: Option<u64>,
}

/// What happens to a row that the target cannot take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The stream stops, and its target stays as it was.
    #[default]
    Stop,
    /// The row is set aside, with the reason, and the others go on.
    DeadLetter,
}
