//! The statements for Syncline's own tables, which are in the connection's database.

use syncline_connect::{Marking, ProgressDelta, RunRef, Target};
use syncline_sql::bookkeeping::{self, StreamMark};
use syncline_types::{Error, SplitId, StreamName, codes};

use crate::{
    dialect::{qualified, text_constant},
    origin,
};

/// Our own tables, quoted with their database.
pub(crate) struct Ours {
    pub(crate) checkpoint: String,
    pub(crate) made: String,
    pub(crate) marks: String,
    pub(crate) origins: String,
}

/// Texts are told apart by their bytes.
const EXACT: &str = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL";

impl Ours {
    pub(super) fn of(database: &str) -> Self {
        let table = |name: &str| qualified(&StreamName::bare(name), database);
        Ours {
            checkpoint: table(bookkeeping::CHECKPOINT),
            made: table(bookkeeping::MADE),
            marks: table(bookkeeping::MARK),
            origins: table(origin::MARK),
        }
    }

    /// What makes them, if they are not there.
    pub(super) fn create(&self) -> [String; 4] {
        [
            format!(
                "CREATE TABLE IF NOT EXISTS {} (pipeline varchar(255) {EXACT}, run varchar(64) {EXACT}, \
                 stream int NOT NULL, split bigint NOT NULL, epoch bigint unsigned NOT NULL, \
                 position longtext {EXACT}, PRIMARY KEY (pipeline, stream, split)) ENGINE = InnoDB",
                self.checkpoint
            ),
            format!(
                "CREATE TABLE IF NOT EXISTS {} (table_schema varchar(64) {EXACT}, table_name varchar(64) {EXACT}, \
                 comment varchar(255) {EXACT}, PRIMARY KEY (table_schema, table_name)) ENGINE = InnoDB",
                self.made
            ),
            format!(
                "CREATE TABLE IF NOT EXISTS {} (pipeline varchar(255) {EXACT}, stream varchar(500) {EXACT}, \
                 mark longtext {EXACT}, PRIMARY KEY (pipeline, stream)) ENGINE = InnoDB",
                self.marks
            ),
            origin::create(&self.origins),
        ]
    }

    /// Begins a new epoch: higher than the one that is there, and than `epoch_min`.
    pub(super) fn take_epoch(&self, pipeline: &str, epoch_min: u64) -> String {
        format!(
            "INSERT INTO {} (pipeline, run, stream, split, epoch, position) VALUES ({}, '', {}, {}, {}, '') \
             ON DUPLICATE KEY UPDATE epoch = GREATEST(epoch, {epoch_min}) + 1",
            self.checkpoint,
            text_constant(pipeline),
            bookkeeping::NO_STREAM,
            bookkeeping::NO_SPLIT,
            epoch_min + 1
        )
    }

    /// What makes writers and publishers of an older epoch fail: the pipeline's row, locked against
    /// change until the transaction ends.
    pub(crate) fn fence(&self, pipeline: &str) -> String {
        format!(
            "SELECT epoch FROM {} WHERE pipeline = {} AND stream = {} AND split = {} LOCK IN SHARE MODE",
            self.checkpoint,
            text_constant(pipeline),
            bookkeeping::NO_STREAM,
            bookkeeping::NO_SPLIT
        )
    }

    /// Saves a stream's own row.
    pub(crate) fn save_mark(&self, run: &RunRef, stream: u32, mark: StreamMark) -> String {
        self.save(run, &[(stream, bookkeeping::NO_SPLIT, bookkeeping::write_mark(mark))])
    }

    /// Marks a split's row as the first that a transaction changes.
    pub(crate) fn touch(&self, run: &RunRef, stream: u32, split: SplitId) -> String {
        self.save(run, &[(stream, split.0.into(), String::new())])
    }

    /// Saves splits' progress.
    pub(crate) fn save_progress(&self, run: &RunRef, deltas: &[ProgressDelta]) -> String {
        let row = |delta: &ProgressDelta| {
            (delta.stream, i64::from(delta.split.0), bookkeeping::write_progress(&delta.row))
        };
        self.save(run, &deltas.iter().map(row).collect::<Vec<_>>())
    }

    fn save(&self, run: &RunRef, rows: &[(u32, i64, String)]) -> String {
        let (pipeline, run, epoch) = (text_constant(&run.pipeline), text_constant(&run.run), run.epoch);
        let rows = rows.iter().map(|(stream, split, position)| {
            format!("({pipeline}, {run}, {stream}, {split}, {epoch}, {})", text_constant(position))
        });
        format!(
            "INSERT INTO {} (pipeline, run, stream, split, epoch, position) VALUES {} ON DUPLICATE KEY UPDATE \
             run = VALUES(run), epoch = VALUES(epoch), \
             position = CASE WHEN VALUES(position) = '' THEN position ELSE VALUES(position) END",
            self.checkpoint,
            rows.collect::<Vec<_>>().join(", ")
        )
    }

    pub(super) fn progress(&self, pipeline: &str) -> String {
        format!(
            "SELECT run, stream, split, epoch, position FROM {} WHERE pipeline = {} ORDER BY stream, split",
            self.checkpoint,
            text_constant(pipeline)
        )
    }

    /// The stream's own row of this run.
    pub(crate) fn stream_mark(&self, run: &RunRef, target: &Target) -> String {
        format!(
            "SELECT position FROM {} WHERE pipeline = {} AND stream = {} AND split = {} AND run = {}",
            self.checkpoint,
            text_constant(&run.pipeline),
            target.stream,
            bookkeeping::NO_SPLIT,
            text_constant(&run.run)
        )
    }

    pub(super) fn marks(&self, pipeline: &str) -> String {
        format!("SELECT stream, mark FROM {} WHERE pipeline = {}", self.marks, text_constant(pipeline))
    }

    /// What is done to a stream's mark when it is published.
    pub(crate) fn marking(&self, run: &RunRef, stream: &str, marking: Marking<'_>) -> Vec<String> {
        bookkeeping::marking(&self.marks, &run.pipeline, stream, marking, text_constant)
    }

    /// Remembers that a table is ours.
    pub(crate) fn record_made(&self, database: &str, table: &str, comment: &str) -> String {
        format!(
            "INSERT INTO {} (table_schema, table_name, comment) VALUES ({}, {}, {}) \
             ON DUPLICATE KEY UPDATE comment = VALUES(comment)",
            self.made,
            text_constant(database),
            text_constant(table),
            text_constant(comment)
        )
    }

    /// Forgets how far a stream's splits are.
    pub(super) fn forget_splits(&self, run: &RunRef, stream: u32) -> String {
        format!(
            "DELETE FROM {} WHERE pipeline = {} AND stream = {stream} AND split <> {}",
            self.checkpoint,
            text_constant(&run.pipeline),
            bookkeeping::NO_SPLIT
        )
    }

    /// The runs of a pipeline that something may be staged for.
    pub(crate) fn runs(&self, pipeline: &str) -> String {
        format!(
            "SELECT DISTINCT run FROM {} WHERE pipeline = {} AND stream <> {}",
            self.checkpoint,
            text_constant(pipeline),
            bookkeeping::NO_STREAM
        )
    }

    /// The runs and streams of a pipeline that are not published, as far as is noted.
    pub(crate) fn prepared(&self, pipeline: &str) -> String {
        format!(
            "SELECT run, stream FROM {} WHERE pipeline = {} AND stream <> {} AND split = {} AND position = {}",
            self.checkpoint,
            text_constant(pipeline),
            bookkeeping::NO_STREAM,
            bookkeeping::NO_SPLIT,
            text_constant(&bookkeeping::write_mark(StreamMark::Prepared))
        )
    }

    /// Forgets everything of a pipeline but its marks.
    pub(crate) fn forget(&self, pipeline: &str) -> String {
        format!("DELETE FROM {} WHERE pipeline = {}", self.checkpoint, text_constant(pipeline))
    }
}

/// The error of a process that a newer one has replaced.
pub(crate) fn fenced(run: &RunRef) -> Error {
    Error::new(&codes::FENCED, "write for pipeline", format!("`{}`", run.pipeline))
        .because("a newer run has taken over, and this one may write no more")
}

/// Whether the answer to a fence is this run's epoch.
pub(crate) fn holds(answers: &[Vec<Option<String>>], run: &RunRef) -> bool {
    let epoch = answers.first().and_then(|row| row.first()).and_then(Option::as_deref);
    epoch == Some(run.epoch.to_string().as_str())
}
