//! Writing: a sink says what it would do, does it, and hands out writers, one an ordered lane.
//!
//! Its end is its own: rows go where nobody sees them first (staging), and
//! [`Sink::finish`] publishes them at once.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use syncline_types::{Column, Error, LogicalType, Progress, Result, SplitId, StreamName, TableSchema, codes};

use crate::{Applier, Batch, Delivery, Finding, Origin, Outcome};

/// A system that rows are written to.
#[async_trait]
pub trait Sink: Send + Sync {
    /// How often a row arrives in this target.
    fn guarantee(&self, target: &Target) -> Delivery;

    /// How many writers may work at once.
    fn lanes(&self) -> Lanes;

    /// What it would do to each target, and what stands in the way. Changes nothing.
    ///
    /// # Errors
    /// When the question itself cannot be asked; what a run would fail with is a finding.
    async fn plan(&self, targets: &[Arc<Target>]) -> Result<Vec<TargetPlan>>;

    /// The identities of the databases in which these targets are, as [`Source::databases`](crate::Source::databases)
    /// tells them of streams. Empty where there is none, or none yet: once the lock is held, they may be told to
    /// `make` them.
    ///
    /// # Errors
    /// When they cannot be asked for.
    async fn databases(&self, targets: &[Arc<Target>], make: bool) -> Result<Vec<String>> {
        let _ = (targets, make);
        Ok(vec![])
    }

    /// Keeps other runs of the pipeline away for as long as the sink lives, and makes every writer
    /// of a lower epoch fail from now on. Returns the epoch taken: higher than `epoch_min` and than
    /// any before.
    ///
    /// # Errors
    /// [`syncline_types::codes::ALREADY_RUNNING`] when another process holds it.
    async fn lock(&self, pipeline: &str, epoch_min: u64) -> Result<u64>;

    /// Does one of the things that [`Sink::plan`] listed under `before`. Doing it again changes
    /// nothing.
    ///
    /// # Errors
    /// When it fails.
    async fn apply(&self, run: &RunRef, target: &Arc<Target>, action: &Action) -> Result<()>;

    /// How far each split is, as the target itself knows; `None` where a target keeps no progress.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn progress(&self, pipeline: &str) -> Result<Option<TargetProgress>>;

    /// A writer for one lane of a run.
    ///
    /// # Errors
    /// [`syncline_types::codes::FENCED`] when a newer epoch has begun.
    async fn writer(&self, run: &RunRef) -> Result<Box<dyn Writer>>;

    /// What applies changes to targets, for a run whose lock is held.
    ///
    /// # Errors
    /// [`syncline_types::codes::UNSUPPORTED`] when the sink takes no single changes;
    /// [`syncline_types::codes::FENCED`] when a newer epoch has begun.
    async fn applier(&self, run: &RunRef) -> Result<Box<dyn Applier>> {
        Err(Error::new(&codes::UNSUPPORTED, "apply changes for pipeline", format!("`{}`", run.pipeline))
            .because("the target takes no single changes")
            .hint("Write sync: incremental, or sync: full"))
    }

    /// What would stop the applying of changes, beyond what [`Sink::plan`] tells: it would show only when
    /// everything is copied. Changes nothing.
    ///
    /// # Errors
    /// When the question itself cannot be asked.
    async fn inspect_applier(&self) -> Result<Vec<Finding>> {
        Ok(vec![])
    }

    /// What has to be done so that a table's columns follow those of its source, for [`Sink::apply`].
    /// `target` is what it is to be; what has been done already is left out. Columns are added so that
    /// they may be NULL. Changes nothing.
    ///
    /// # Errors
    /// [`syncline_types::codes::UNSUPPORTED`] when the sink does not change tables that are there.
    async fn evolve(&self, target: &Arc<Target>, changes: &[ColumnChange]) -> Result<Evolution> {
        let _ = changes;
        Err(Error::new(&codes::UNSUPPORTED, "change the columns of", format!("`{}`", target.name))
            .because("the target does not change what is there"))
    }

    /// Publishes what was staged for a target, at once, and with it, in the same transaction, what
    /// becomes of the stream's mark where the target keeps progress. Doing it again changes nothing,
    /// the mark neither: the target remembers under the run that it is done, until [`Sink::close`].
    ///
    /// # Errors
    /// When it fails; then nothing is published.
    async fn finish(&self, run: &RunRef, target: &Arc<Target>, marking: Marking<'_>) -> Result<Published>;

    /// The marks that [`Marking::Save`] has left for a pipeline's streams, by [`Target::source`] as
    /// text. They outlive [`Sink::close`]; of a table that is gone there may still be one. `None`
    /// where the target keeps none, which is where [`Sink::progress`] is `None` too: whoever keeps
    /// progress keeps marks. Asked for while planning as well, before anything of ours is there.
    ///
    /// # Errors
    /// When they cannot be read.
    async fn marks(&self, pipeline: &str) -> Result<Option<BTreeMap<String, String>>>;

    /// Throws away what was staged for one target, and its progress, so that it can begin again.
    /// What [`Sink::apply`] made stays usable.
    ///
    /// # Errors
    /// When it fails.
    async fn reset(&self, run: &RunRef, target: &Arc<Target>) -> Result<()>;

    /// Throws away everything that runs of this pipeline have staged, their progress and the epoch:
    /// who wants to write after it takes the lock again.
    ///
    /// # Errors
    /// When it fails.
    async fn close(&self, pipeline: &str) -> Result<()>;
}

/// One ordered lane of writing. Dropping it drops what is not committed.
#[async_trait]
pub trait Writer: Send {
    /// Takes rows. They may be buffered; whether the target takes them may show only at the next
    /// [`Writer::flush`] or [`Writer::commit`]. Rows it knows it cannot take are returned and are
    /// not written.
    ///
    /// # Errors
    /// When the target fails; with kind `Value`, some row since the last flush is at fault.
    async fn write(&mut self, target: &Arc<Target>, split: SplitId, batch: &Batch) -> Result<Vec<Outcome>>;

    /// Makes the target take everything written so far, without committing it.
    ///
    /// # Errors
    /// As [`Writer::write`].
    async fn flush(&mut self) -> Result<()>;

    /// Drops what was written since the last flush that succeeded.
    ///
    /// # Errors
    /// When the target fails; then the writer is of no more use.
    async fn abort(&mut self) -> Result<()>;

    /// Makes everything written durable, together with this progress where the target keeps it.
    ///
    /// # Errors
    /// As [`Writer::write`]; [`syncline_types::codes::FENCED`] when a newer epoch has begun. After
    /// an error other than of kind `Value` it is not known whether the target has committed.
    async fn commit(&mut self, deltas: &[ProgressDelta]) -> Result<()>;
}

/// The run that a call belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRef {
    /// The pipeline's id.
    pub pipeline: String,
    /// The run's id, a few characters fit for a table's name.
    pub run: String,
    /// Which of the processes that worked on the run this is.
    pub epoch: u64,
    /// What the rows that it writes have come through.
    pub origin: Origin,
}

/// What one stream becomes.
#[derive(Clone, Debug)]
pub struct Target {
    /// The stream's number in the run; part of its staging's name.
    pub stream: u32,
    /// The stream it comes from, for messages.
    pub source: StreamName,
    /// Where it goes.
    pub name: StreamName,
    /// The columns that arrive, with the source's native types where no step has changed them.
    pub schema: TableSchema,
    /// What the rows that arrive are.
    pub task: Task,
    /// What happens to rows that are there.
    pub write: WriteMode,
    /// The columns that tell rows apart: the primary key to create, and the key of a merge.
    pub key: Vec<String>,
    /// The column by which the last of several rows with one key wins, a row without a value losing to
    /// any other; which of two with the same value wins is not said. Without it two rows with one key
    /// are an error. Only ever for a staged merge, and one of `schema`'s columns: an integer, a date or
    /// a timestamp. A sink that stages nothing takes the rows as they come.
    pub cursor: Option<String>,
    /// Whether rows wait in staging until all have arrived. Always so for overwrite and merge.
    pub staged: bool,
    /// How an overwrite is published.
    pub replace: Replace,
    /// Whether the user has said `overwrite`, and not only left the default.
    pub overwrite_said: bool,
}

/// What the rows that arrive for a target are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Task {
    /// Rows to be loaded, as [`Target::write`] says.
    #[default]
    Load,
    /// New values for the columns that arrive, of rows that are there; others are not added. Always
    /// staged, with `write` as `Merge`.
    Update,
    /// Keys of rows that are to go. Always staged, with `write` as `Merge`.
    Delete,
}

/// What becomes of a stream's mark when it is published. A mark is a text of the engine's own, of up to
/// some ten megabytes; a sink keeps it, and reads nothing in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marking<'a> {
    /// It stays.
    Keep,
    /// This is the new one.
    Save(&'a str),
    /// There is none any more.
    Clear,
}

/// What happens to rows that are in the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WriteMode {
    /// They are replaced, all at once.
    Overwrite,
    /// They stay, and the new ones come beside them.
    Append,
    /// Those with the same key are updated.
    Merge,
}

impl std::fmt::Display for WriteMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            WriteMode::Overwrite => "overwrite",
            WriteMode::Append => "append",
            WriteMode::Merge => "merge",
        })
    }
}

/// How an overwrite is published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Replace {
    /// By renaming where nothing is attached to the old table, else in place.
    #[default]
    Auto,
    /// By deleting and inserting in one transaction, which older snapshots see whole too.
    InPlace,
}

/// How many writers may work at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lanes {
    /// One.
    One,
    /// Any number.
    Many,
}

/// What a sink would do to one target.
#[derive(Clone, Debug)]
pub struct TargetPlan {
    /// What is there; `None` when there is no such table.
    pub existing: Option<Existing>,
    /// Column by column.
    pub columns: Vec<ColumnPlan>,
    /// Done before the first row is written.
    pub before: Vec<Action>,
    /// Done when all rows have arrived, in one go.
    pub publish: Vec<Action>,
    /// What is worth knowing, and what stands in the way.
    pub findings: Vec<Finding>,
}

/// A table that is there already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Existing {
    /// Whether it has any row.
    pub has_rows: bool,
    /// Rows, as far as the target can tell cheaply.
    pub rows_estimate: Option<u64>,
    /// Whether Syncline made it.
    pub ours: bool,
}

/// One column here and there.
#[derive(Clone, Debug, Serialize)]
pub struct ColumnPlan {
    /// Its name.
    pub name: String,
    /// What its values mean.
    #[serde(serialize_with = "as_text")]
    pub logical: LogicalType,
    /// The source's type name, where no step has changed the type.
    pub source_type: Option<String>,
    /// The target's type name.
    pub target_type: String,
    /// What is special about it, such as `widened`.
    pub note: Option<String>,
}

impl ColumnPlan {
    /// A column of the stream and what it becomes.
    pub fn new(column: &Column, target_type: String, note: Option<String>) -> Self {
        ColumnPlan {
            name: column.name.clone(),
            logical: column.logical,
            source_type: column.native.clone(),
            target_type,
            note,
        }
    }
}

fn as_text<S: serde::Serializer>(
    logical: &LogicalType,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(logical)
}

/// One thing a sink would do. A dry run prints it, a run does it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Action {
    /// `create`, `alter`, `replace`, `delete`, `insert`, `update`.
    pub verb: &'static str,
    /// What it is done to.
    pub object: String,
    /// A sentence without its full stop, for people.
    pub detail: String,
    /// What the sink needs to do it, such as a statement.
    #[serde(skip)]
    pub statement: String,
}

/// One way in which a table's columns have changed, by the names at the target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnChange {
    /// It is new.
    Added(String),
    /// It is gone.
    Dropped(String),
    /// It has another name, and the values it had.
    Renamed {
        /// Its name before.
        from: String,
        /// Its name now.
        to: String,
    },
    /// It has another type.
    Retyped {
        /// Its name now.
        name: String,
        /// What its values meant before.
        before: LogicalType,
    },
}

impl std::fmt::Display for ColumnChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ColumnChange::Added(name) => write!(f, "`{name}` is new"),
            ColumnChange::Dropped(name) => write!(f, "`{name}` is gone"),
            ColumnChange::Renamed { from, to } => write!(f, "`{from}` is called `{to}`"),
            ColumnChange::Retyped { name, .. } => write!(f, "`{name}` has another type"),
        }
    }
}

/// What becomes of a table whose source's columns have changed.
#[derive(Clone, Debug, Default)]
pub struct Evolution {
    /// What is to be done, in this order.
    pub actions: Vec<Action>,
    /// Whether values that are there may be others at the source since: then they are to be copied again.
    pub alters_values: bool,
}

/// How far a run is, as its target knows.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TargetProgress {
    /// The run it belongs to; `None` when there is nothing of this pipeline.
    pub run: Option<String>,
    /// The highest epoch that has begun.
    pub epoch: u64,
    /// Each split's progress, by stream and split.
    pub splits: BTreeMap<(u32, SplitId), ProgressRow>,
    /// The streams that are published.
    pub published: Vec<u32>,
}

/// How far one split is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressRow {
    /// How far.
    pub progress: Progress,
    /// Rows of it that are durable at the target.
    pub rows: u64,
    /// Bytes of values in them.
    pub bytes: u64,
    /// Rows of it that went to the dead letters.
    pub rejected: u64,
}

/// What changes with one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgressDelta {
    /// The stream's number in the run.
    pub stream: u32,
    /// The split.
    pub split: SplitId,
    /// Where it stands after the commit, counted from the split's beginning.
    pub row: ProgressRow,
}

/// What publishing did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// How, for people: `renamed into place`.
    pub how: String,
}
