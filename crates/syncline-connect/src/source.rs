//! Reading: a source lists streams, begins a session (one snapshot), cuts streams into splits and
//! reads each.

use std::sync::Arc;

use async_trait::async_trait;
use syncline_types::{Column, Error, Position, Predicate, Result, Split, StreamName, TableSchema, codes};

use crate::{Batch, Finding, Log};

/// A system that rows are read from.
#[async_trait]
pub trait Source: Send + Sync {
    /// The streams that match, with their schemas. Syncline's own tables are never among them.
    ///
    /// # Errors
    /// [`syncline_types::codes::STREAM_MISSING`] when a name without wildcards matches nothing.
    async fn discover(&self, selection: &Selection) -> Result<Vec<Stream>>;

    /// Whether the source evaluates this condition on this stream exactly as Syncline does, so that
    /// it may be given to it in [`Read::filter`].
    fn evaluates(&self, stream: &Stream, filter: &Predicate) -> bool;

    /// What would stop or weaken reading these: missing grants, types without a mapping.
    ///
    /// # Errors
    /// When the question itself cannot be asked.
    async fn inspect(&self, reads: &[Arc<Read>]) -> Result<Vec<Finding>>;

    /// Takes one snapshot of all streams, to be read over up to `parallel` connections.
    ///
    /// # Errors
    /// When it cannot be taken.
    async fn begin(&self, reads: &[Arc<Read>], parallel: usize) -> Result<Box<dyn Session>>;

    /// How far a column of a stream goes now, for a run that reads what has come since the last one.
    /// A filter that the source evaluates narrows neither figure.
    ///
    /// # Errors
    /// [`syncline_types::codes::UNSUPPORTED`] when the source cannot tell; else when it fails.
    async fn edge(&self, stream: &Stream, column: &str) -> Result<Edge>;

    /// The name of the checksum that the source computes itself over these columns of this stream;
    /// `None` when it cannot. Equal names mean that equal rows have equal checksums.
    fn digest_method(&self, read: &Read) -> Option<String>;

    /// The identities of the databases in which these streams are, the same however they are reached and for
    /// as long as they live: those that [`Sink::databases`](crate::Sink::databases) tells of them, too. Empty
    /// where there is none.
    ///
    /// # Errors
    /// When they cannot be asked for.
    async fn databases(&self, reads: &[Arc<Read>]) -> Result<Vec<String>> {
        let _ = reads;
        Ok(vec![])
    }

    /// A pipeline's place in the source's log of changes. Asking for it takes none yet.
    ///
    /// # Errors
    /// [`syncline_types::codes::UNSUPPORTED`] when the source has no log that could be followed.
    async fn log(&self, pipeline: &str) -> Result<Box<dyn Log>> {
        Err(Error::new(&codes::UNSUPPORTED, "follow with pipeline", format!("`{pipeline}`"))
            .because("the source has no log of changes that Syncline can read")
            .hint("Write sync: incremental, or sync: full"))
    }
}

/// One snapshot. Ends when it is dropped.
#[async_trait]
pub trait Session: Send + Sync {
    /// What the snapshot is, for people: `one snapshot`, or why it is less than that.
    fn describe(&self) -> String;

    /// Cuts a stream into splits, going on after `last` when some are planned already.
    ///
    /// # Errors
    /// When planning cannot begin.
    async fn splitter(&self, read: &Arc<Read>, last: Option<&Split>) -> Result<Box<dyn Splitter>>;

    /// Opens a split for reading from `at`, or from its beginning.
    ///
    /// # Errors
    /// [`syncline_types::codes::SNAPSHOT_LOST`] when the session's snapshot is gone.
    async fn open(&self, read: &Arc<Read>, split: &Split, at: Option<&Position>) -> Result<Box<dyn Reader>>;

    /// Rows and checksum of a split, computed by the source by [`Source::digest_method`].
    ///
    /// # Errors
    /// [`syncline_types::codes::UNSUPPORTED`] where the source has no method.
    async fn digest(&self, read: &Arc<Read>, split: &Split) -> Result<Digest>;
}

/// Gives out a stream's splits one by one, so that the first is read before the last is planned.
#[async_trait]
pub trait Splitter: Send {
    /// The next split, or `None` when there are no more.
    ///
    /// # Errors
    /// When the source fails.
    async fn next(&mut self) -> Result<Option<Split>>;
}

/// Reads one split. It owns the connection it reads from; dropping it ends the reading.
#[async_trait]
pub trait Reader: Send {
    /// The next rows. May be cancelled without losing any.
    ///
    /// # Errors
    /// When the source fails.
    async fn next(&mut self) -> Result<Next>;

    /// Everything up to here is durable at the target: the source may let go of it.
    ///
    /// # Errors
    /// When the source fails.
    async fn confirm(&mut self, upto: &Position) -> Result<()>;

    /// Called now and then while the target is slow and [`Reader::next`] is not: keeps the
    /// connection alive where the other side would end a silent one.
    ///
    /// # Errors
    /// When the source fails.
    async fn tick(&mut self) -> Result<()>;
}

/// What a reader has.
#[derive(Debug)]
pub enum Next {
    /// Rows.
    Batch(Batch),
    /// No rows for now; everything before this position has been read.
    Idle(Position),
    /// The split is read to its end.
    End,
}

/// How far a column goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    /// The highest value, in the text form of [`syncline_types::text`]; `None` where no row has one.
    pub highest: Option<String>,
    /// How many rows have none.
    pub nulls: u64,
}

/// A checksum of some rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// How many rows.
    pub rows: u64,
    /// The checksum, in the method's own form.
    pub checksum: String,
}

/// A table, collection or topic, as its source describes it.
#[derive(Clone, Debug)]
pub struct Stream {
    /// With its namespace.
    pub name: StreamName,
    /// Whether `name`'s namespace is the connection's default.
    pub in_default_namespace: bool,
    /// Its columns and keys.
    pub schema: TableSchema,
    /// How it can be cut.
    pub order: SplitOrder,
    /// Rows, as far as the source can tell cheaply.
    pub rows_estimate: Option<u64>,
    /// Bytes, as far as the source can tell cheaply.
    pub bytes_estimate: Option<u64>,
}

/// How a stream can be cut into splits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SplitOrder {
    /// By ranges of a key, which mean the same rows in a later snapshot.
    Key(Vec<String>),
    /// By where rows lie; a place means nothing in another snapshot.
    Place,
    /// By parts that stay as they are, such as files: a later session knows each again, or fails.
    Part,
    /// Not at all; nor can a later snapshot go on with it.
    Whole,
}

impl SplitOrder {
    /// Whether splits that are done stay done when the snapshot is lost.
    pub fn outlives_snapshot(&self) -> bool {
        matches!(self, SplitOrder::Key(_) | SplitOrder::Part)
    }
}

/// What is to be read of one stream.
#[derive(Clone, Debug)]
pub struct Read {
    /// The stream.
    pub stream: Arc<Stream>,
    /// The columns wanted, in the order in which batches hold them.
    pub columns: Vec<String>,
    /// A condition that the source has said it evaluates.
    pub filter: Option<Predicate>,
    /// About how many rows a split should have.
    pub chunk_rows: u64,
}

impl Read {
    /// The schema of the batches.
    pub fn schema(&self) -> TableSchema {
        let all = &self.stream.schema;
        let columns = self.columns.iter().filter_map(|name| all.column(name).cloned()).collect();
        TableSchema { columns, ..all.clone() }
    }

    /// What is read once the stream's schema is another one: where all its columns were read that are read at
    /// all, so are all that it has now; else those that are still there.
    pub fn altered(&self, schema: &TableSchema, is_read: impl Fn(&Column) -> bool) -> Self {
        let all = &self.stream.schema.columns;
        if !all.iter().all(|column| !is_read(column) || self.columns.contains(&column.name)) {
            return self.reformed(schema);
        }
        let columns = schema.columns.iter().filter(|column| is_read(column));
        let columns = columns.map(|column| column.name.clone()).collect();
        Read { columns, ..self.reformed(schema) }
    }

    /// The same with another schema of the stream, as far as its columns are still there.
    pub fn reformed(&self, schema: &TableSchema) -> Self {
        let columns = self.columns.iter().filter(|name| schema.index(name).is_some()).cloned().collect();
        let stream = Stream { schema: schema.clone(), ..self.stream.as_ref().clone() };
        Read { stream: Arc::new(stream), columns, ..self.clone() }
    }
}

/// Which streams are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Every base table of the connection's default namespace.
    Default,
    /// One, by its exact name.
    Name(StreamName),
    /// All whose `namespace.table` match a glob (`*`, `**`, `[]`, `{}`); without a dot, tables of
    /// the default namespace.
    Glob(String),
}
