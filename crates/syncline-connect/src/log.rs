//! Following: what a source's log tells of changes, and who applies them to a target.
//!
//! A pipeline has one place in a source's log for all its streams. [`Log::keep`] takes that place
//! before the first row is copied, so that nothing is lost between the copy and the first change; a
//! [`LogReader`] gives out whole transactions from there on, gathered per stream into columns; an
//! [`Applier`] makes them durable together with the position behind them.

use std::{cmp::Ordering, sync::Arc};

use arrow_array::RecordBatch;
use arrow_buffer::BooleanBuffer;
use async_trait::async_trait;
use syncline_types::{Error, Position, Result, TableSchema, codes};

use crate::{Delivery, Finding, Origin, Read, Reject, Reservation, Session, Target};

/// One pipeline's place in a source's log.
#[async_trait]
pub trait Log: Send + Sync {
    /// What would stop or weaken following these: a log that lacks what is needed, missing grants, a
    /// table whose changes do not tell which row they are of. Changes nothing.
    ///
    /// # Errors
    /// When the question itself cannot be asked.
    async fn inspect(&self, reads: &[Arc<Read>]) -> Result<Vec<Finding>>;

    /// Whether the changes of each stream are kept by what [`Log::keep`] has made: one that was, and is no
    /// more, has changed since without anybody's being told.
    ///
    /// # Errors
    /// When the source fails.
    async fn keeps(&self, reads: &[Arc<Read>]) -> Result<Vec<bool>>;

    /// Makes the source keep every change of these streams from now on, and says from where it does.
    /// With `known`, the position up to which all is applied, what an earlier call has made is gone on
    /// with, and streams that are new are added to it. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`syncline_types::codes::LOG_LOST`] when the source no longer has what came after `known`, or
    /// without `known` when what an earlier call has made is there already.
    async fn keep(&self, reads: &[Arc<Read>], known: Option<&Position>) -> Result<Position>;

    /// Reads on from a position. Changes of other streams are passed over, and so are those that have come
    /// through a database of `not_from`: see [`Source::databases`](crate::Source::databases).
    ///
    /// # Errors
    /// [`syncline_types::codes::LOG_LOST`] when the source no longer has what came after it.
    async fn open(
        &self,
        reads: &[Arc<Read>],
        at: &Position,
        not_from: &[String],
    ) -> Result<Box<dyn LogReader>>;

    /// Where the log ends now: every transaction that was committed before the call lies before it.
    ///
    /// # Errors
    /// When the source fails.
    async fn head(&self) -> Result<Position>;

    /// Takes one snapshot of all streams, as [`Source::begin`](crate::Source::begin) does, and says which place
    /// in the log it is: of these streams it has every transaction up to there, and nothing of those behind it.
    /// For streams without a key, whose changes must not be applied to a copy that has them already.
    ///
    /// # Errors
    /// [`syncline_types::codes::UNSUPPORTED`] when no place can be told that exactly.
    async fn snapshot(&self, reads: &[Arc<Read>], parallel: usize) -> Result<(Box<dyn Session>, Position)> {
        let _ = parallel;
        let names: Vec<String> = reads.iter().map(|read| read.stream.name.to_string()).collect();
        Err(Error::new(&codes::UNSUPPORTED, "copy without a key", format!("`{}`", names.join("`, `")))
            .because("the source does not tell which place in its log a snapshot is"))
    }

    /// Which of two positions comes first.
    ///
    /// # Errors
    /// When one of them is none of this log's.
    fn compare(&self, one: &Position, other: &Position) -> Result<Ordering>;

    /// How many bytes of log lie between two positions; `None` where that cannot be told.
    fn distance(&self, from: &Position, to: &Position) -> Option<u64>;

    /// Of each stream, the columns whose values an update may leave out that does not change them.
    ///
    /// # Errors
    /// When the source fails.
    async fn lacks(&self, reads: &[Arc<Read>]) -> Result<Vec<Vec<String>>>;

    /// Whether its readers can read some streams from further on than others: see [`LogReader::pass_over`].
    fn passes_over(&self) -> bool {
        false
    }

    /// Whether each change is told, and not only what a row has become after several.
    fn tells_every_change(&self) -> bool {
        true
    }

    /// How often a change is told, however often a reader is cut short.
    fn delivery(&self) -> Delivery {
        Delivery::ExactlyOnce
    }

    /// Gives up the place: the source need keep nothing for this pipeline any more.
    ///
    /// # Errors
    /// When the source fails.
    async fn release(&self) -> Result<()>;
}

/// Reads a log. It owns the connection it reads from; dropping it ends the reading.
#[async_trait]
pub trait LogReader: Send {
    /// What comes next. It waits for a first change only: what has come is given out as soon as
    /// nothing more is at hand, and at the end of a transaction unless one is too large for that. May
    /// be cancelled without losing any.
    ///
    /// # Errors
    /// When the source fails, or tells of a change that is not understood.
    async fn next(&mut self) -> Result<Logged>;

    /// The first batch that reaches this position is to end with it, where that is the end of a
    /// transaction: what comes behind it is given out apart. For those that may give out the beginning of
    /// a transaction together with whole ones.
    fn cut_at(&mut self, position: &Position) {
        let _ = position;
    }

    /// What is said of a stream's columns is of a time between where reading begins and this position: before it
    /// they may have been others. Said before the first [`LogReader::next`]; for those whose log does not tell
    /// columns itself.
    ///
    /// # Errors
    /// When the position is none of this log's.
    fn doubt(&mut self, stream: usize, upto: &Position) -> Result<()> {
        let (_, _) = (stream, upto);
        Ok(())
    }

    /// Changes of a stream by transactions up to here are not given out, and neither is it told what its columns
    /// were before: it is read from here on, and others from further back. Said before the first
    /// [`LogReader::next`].
    ///
    /// # Errors
    /// [`syncline_types::codes::UNSUPPORTED`] where the log [cannot](Log::passes_over) do it; when the position is
    /// none of this log's.
    fn pass_over(&mut self, stream: usize, upto: &Position) -> Result<()> {
        let _ = stream;
        Err(Error::new(&codes::UNSUPPORTED, "pass over changes before", format!("`{}`", upto.0))
            .because("the log is read from one place for all streams"))
    }

    /// Everything up to here is durable at the target: the source may let go of it. Before it is first said,
    /// nothing is, wherever the reading began.
    ///
    /// # Errors
    /// When the source fails.
    async fn confirm(&mut self, upto: &Position) -> Result<()>;

    /// Called now and then while the target is slow and [`LogReader::next`] is not: keeps the
    /// connection alive where the other side would end a silent one.
    ///
    /// # Errors
    /// When the source fails.
    async fn tick(&mut self) -> Result<()>;
}

/// What a log tells.
#[derive(Debug)]
pub enum Logged {
    /// Changes.
    Changes(LogBatch),
    /// A stream's schema is another one for everything that follows.
    Schema(SchemaChange),
    /// Nothing for now; everything before this position has been read. Said once, and never in the middle of a
    /// transaction; where a part of one was told before, it is at its end.
    Idle(Position),
}

/// Changes of one or more transactions, or of a part of one, gathered per stream, all of one origin.
#[derive(Debug)]
pub struct LogBatch {
    /// One for each stream that has any, in no order: [`Changes::sequence`] has it.
    pub changes: Vec<Changes>,
    /// What they have come through. Of a transaction in which that changes each batch is a part.
    pub origin: Origin,
    /// Where reading can go on after these; `None` inside a transaction, of which the next batch is
    /// another part.
    pub position: Option<Position>,
    /// When the last of the transactions was committed, of which it may be a part, in microseconds since 1970 by
    /// the source's clock.
    pub committed_micros: Option<i64>,
    /// How many transactions end in it.
    pub transactions: u64,
    /// Bytes of the log in it.
    pub bytes: u64,
    /// The memory it holds, given back when it is dropped.
    pub memory: Option<Reservation>,
}

/// Changes of one stream.
#[derive(Debug)]
pub struct Changes {
    /// The stream's place among those that the log was opened for.
    pub stream: usize,
    /// The rows as inserts and updates have left them, with [`Read::logged_schema`]. A value that is
    /// [absent](Changes::absent) is NULL here.
    pub rows: RecordBatch,
    /// What each of `rows` came from.
    pub written: Vec<Written>,
    /// For each column of `rows`, which rows lack its value because the log does not repeat what an
    /// update has left alone: absent, which is not NULL. `None` where no row does.
    pub absent: Vec<Option<BooleanBuffer>>,
    /// The rows that deletes have removed and that updates have moved to another key, by the columns
    /// of [`Read::gone_schema`].
    pub gone: RecordBatch,
    /// What each of `gone` came from.
    pub went: Vec<Went>,
    /// All rows that came before this place in the order of the log were removed at once.
    pub truncated: Option<u64>,
    /// Rows that the log holds and that could not be read into their columns' types. They are not in
    /// `rows`, so their `row` counts among themselves.
    pub rejects: Vec<Reject>,
}

/// What a row came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its place in the order of the log, across streams; goes up within one reader.
    pub sequence: u64,
    /// By what.
    pub how: How,
}

/// How a row came to be as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It is new.
    Insert,
    /// It was there, under this key.
    Update,
    /// It was there under another key: its place in the log is the one right behind that of the [`Went`]
    /// which tells of it.
    Move,
}

/// How a row went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Went {
    /// Its place in the order of the log, of which [`Written::sequence`] tells too.
    pub sequence: u64,
    /// Whether it is there still under another key.
    pub moved: bool,
}

/// A stream has another schema from here on.
#[derive(Clone, Debug)]
pub struct SchemaChange {
    /// The stream's place among those that the log was opened for.
    pub stream: usize,
    /// What it is now.
    pub schema: TableSchema,
    /// The end of the last whole transaction before it, which may be some way back where a transaction
    /// that is under way has changed it.
    pub position: Position,
    /// A place at the end of the transaction that it comes with, or as near behind `position` as can be told.
    pub at: Position,
    /// Whether the stream's changes from here on are not given out, since nobody knows what its columns were: it
    /// is to be copied again. Another change says from where on they are.
    pub unread: bool,
}

impl Read {
    /// The schema of [`Changes::rows`]: as [`Read::schema`], but that only key columns are never NULL,
    /// since a log may lack any other value.
    pub fn logged_schema(&self) -> TableSchema {
        let mut schema = self.schema();
        for column in &mut schema.columns {
            column.nullable |= !schema.key.contains(&column.name);
        }
        schema
    }

    /// The schema of [`Changes::gone`]: the key's columns, in the key's order; of a stream without a
    /// key, all columns.
    pub fn gone_schema(&self) -> TableSchema {
        let schema = self.logged_schema();
        if schema.key.is_empty() {
            return schema;
        }
        let columns = schema.key.iter().filter_map(|name| schema.column(name).cloned()).collect();
        TableSchema { columns, ..schema }
    }
}

/// The name under which a pipeline's place in the log stands among the marks of its streams. No stream
/// has such a name.
pub const LOG_MARK: &str = "+log";

/// Applies changes to a target, in transactions of its own. Dropping it drops what is not committed.
#[async_trait]
pub trait Applier: Send {
    /// Applies the changes of one stream, and says of how many of [`NetChanges::updates`] and
    /// [`NetChanges::moved`] there is no row; of a target without a key, of how many of
    /// [`NetChanges::deletes`]. Whether the target takes them may show only at [`Applier::commit`].
    ///
    /// # Errors
    /// When the target fails; with kind `Value`, some row is at fault.
    async fn apply(&mut self, target: &Arc<Target>, changes: &NetChanges) -> Result<u64>;

    /// What is applied from here on has come through these databases. A target whose changes somebody could
    /// follow says so in the transaction itself, before the first of them.
    fn come_through(&mut self, origin: &Origin);

    /// Whether it is time to commit, where what was applied ends with a whole transaction. A target that every
    /// commit costs much gathers several; what it has gathered is read again after a crash.
    fn wants_commit(&self) -> bool {
        true
    }

    /// Makes everything applied durable, together with the pipeline's mark where the target keeps marks:
    /// as [`LOG_MARK`], for [`crate::Sink::marks`].
    ///
    /// # Errors
    /// As [`Applier::apply`]; [`syncline_types::codes::FENCED`] when a newer epoch has begun. After an
    /// error other than of kind `Value` it is not known whether the target has committed.
    async fn commit(&mut self, mark: &str) -> Result<()>;

    /// Drops what was applied since the last commit.
    ///
    /// # Errors
    /// When the target fails; then the applier is of no more use.
    async fn abort(&mut self) -> Result<()>;
}

/// What transactions come to for one target: at most one change a key. Where there is no key, rows are told
/// apart by all their values: each of `deletes` takes away one of those that are equal to it, exactly and in
/// the form that the target's columns give them, and each of `rows` is one more. They are applied in this order:
/// `emptied`, `deletes`, `moved`, `updates`, `rows`.
#[derive(Clone, Debug)]
pub struct NetChanges {
    /// Every row that is there goes first.
    pub emptied: Option<Emptied>,
    /// Keys of rows that go, in the order of [`Target::key`]; without a key, whole rows.
    pub deletes: RecordBatch,
    /// A row that goes to another key and keeps values that are not told. Then there is nothing else.
    pub moved: Option<Moved>,
    /// New values for some columns of rows that are there, by the key's columns and those that change.
    pub updates: Vec<RecordBatch>,
    /// Whole rows, with the columns of [`Target::schema`]: they replace those with their key, or are
    /// added.
    pub rows: RecordBatch,
    /// Of `rows`, so many at the end have a key that was new at the source. The target may have it all the
    /// same: the copy is of a later moment, a deletion was not followed, somebody has added it there.
    pub fresh: usize,
}

/// What becomes of all rows that are there when none is at the source any more.
#[derive(Clone, Debug)]
pub enum Emptied {
    /// They are deleted.
    Deleted,
    /// They stay: where this one row's columns are NULL, they get its values.
    Noted(RecordBatch),
}

/// One row that goes to another key.
///
/// The target may have it there already, since the copy is of a later moment: then nothing stays under the old
/// key, and what is told is set under the new one.
#[derive(Clone, Debug)]
pub struct Moved {
    /// Its key so far, in the order of [`Target::key`].
    pub from: RecordBatch,
    /// Its key from now on, and the other values that are told.
    pub to: RecordBatch,
}

impl NetChanges {
    /// Rows with these keys go, and these rows come.
    pub fn new(deletes: RecordBatch, rows: RecordBatch) -> Self {
        NetChanges { emptied: None, deletes, moved: None, updates: vec![], rows, fresh: 0 }
    }

    /// How many rows it changes, as far as it can tell.
    pub fn len(&self) -> usize {
        let updates: usize = self.updates.iter().map(RecordBatch::num_rows).sum();
        self.deletes.num_rows() + updates + self.rows.num_rows() + usize::from(self.moved.is_some())
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.emptied.is_none() && self.len() == 0
    }
}
