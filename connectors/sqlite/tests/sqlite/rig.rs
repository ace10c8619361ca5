//! Files, rows and runs for the tests: rows are written and read as texts.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arrow_array::RecordBatch;
use rusqlite::Connection;
use syncline_connect::{
    Batch, Connector, Context, Finding, Marking, Memory, Next, Outcome, ProgressDelta, ProgressRow, Read,
    Reader, Reject, Replace, RunRef, Selection, Session, Severity, Sink, Source, Stream, Target, TargetPlan,
    Task, WriteMode, Writer,
};
use syncline_sqlite::{Dates, Sqlite, SqliteConfig};
use syncline_types::{
    Code, Column, LogicalType, Position, Progress, Result, Split, SplitId, StreamName, TableSchema,
    build::ColumnBuilder, civil, decimal, interval::Interval, special, text, text::Values,
};
use tempfile::TempDir;

/// A row in text form.
pub(crate) type Row = Vec<Option<String>>;

/// A folder with a database file.
pub(crate) struct Rig {
    pub(crate) folder: TempDir,
    pub(crate) path: PathBuf,
    pub(crate) cx: Context,
    pub(crate) dates: Dates,
    pub(crate) busy_seconds: u64,
}

/// A row of texts.
pub(crate) fn row(texts: &[&str]) -> Row {
    texts.iter().map(|text| (*text != "NULL").then(|| (*text).to_owned())).collect()
}

/// Rows of texts, in which `NULL` is one.
pub(crate) fn rows(texts: &[&[&str]]) -> Vec<Row> {
    texts.iter().map(|texts| row(texts)).collect()
}

impl Rig {
    /// An empty folder.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.db");
        Rig { folder, path, cx: context(256 << 20), dates: Dates::Typed, busy_seconds: 10 }
    }

    /// A file in which these statements were run.
    pub(crate) fn with(sql: &str) -> Self {
        let rig = Rig::new();
        rig.run(sql);
        rig
    }

    pub(crate) fn at(path: PathBuf) -> Self {
        Rig { path, ..Rig::new() }
    }

    pub(crate) fn connection(&self) -> Connection {
        let connection = Connection::open(&self.path).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        connection
    }

    /// Runs statements as somebody else.
    pub(crate) fn run(&self, sql: &str) {
        self.connection().execute_batch(sql).unwrap();
    }

    /// A query's rows as SQLite shows them.
    pub(crate) fn query(&self, sql: &str) -> Vec<Row> {
        query(&self.connection(), sql)
    }

    /// A query's only value.
    pub(crate) fn one(&self, sql: &str) -> String {
        self.query(sql)[0][0].clone().unwrap_or_else(|| "NULL".into())
    }

    pub(crate) fn config(&self) -> SqliteConfig {
        let path = self.path.display().to_string();
        SqliteConfig { path, busy_seconds: self.busy_seconds, dates: self.dates }
    }

    pub(crate) async fn source(&self) -> Box<dyn Source> {
        Sqlite::source(self.config(), self.cx.clone()).await.unwrap()
    }

    pub(crate) async fn sink(&self) -> Box<dyn Sink> {
        Sqlite::sink(self.config(), self.cx.clone()).await.unwrap()
    }

    /// A table as the source describes it.
    pub(crate) async fn stream(&self, table: &str) -> Stream {
        let selection = Selection::Name(StreamName::bare(table));
        self.source().await.discover(&selection).await.unwrap().pop().unwrap()
    }

    /// All of a table, in chunks of so many rows.
    pub(crate) async fn read(&self, table: &str, chunk_rows: u64) -> Got {
        let read = read_of(self.stream(table).await, chunk_rows);
        let session = self.source().await.begin(std::slice::from_ref(&read), 2).await.unwrap();
        read_all(&*session, &read).await
    }

    /// All rows of a table, none of which may be rejected.
    pub(crate) async fn rows(&self, table: &str) -> Vec<Row> {
        let got = self.read(table, 1_000).await;
        assert!(got.rejects.is_empty(), "{:?}", got.rejects);
        got.rows
    }

    /// The files in the folder.
    pub(crate) fn files(&self) -> Vec<String> {
        files(self.folder.path())
    }
}

pub(crate) fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub(crate) fn context(memory_bytes: u64) -> Context {
    Context::new(Memory::new(memory_bytes), Duration::from_secs(60))
}

pub(crate) fn query(connection: &Connection, sql: &str) -> Vec<Row> {
    use rusqlite::types::ValueRef;
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.column_count();
    let mut rows = statement.query([]).unwrap();
    let mut all = vec![];
    while let Some(row) = rows.next().unwrap() {
        let value = |place| match row.get_ref(place).unwrap() {
            ValueRef::Null => None,
            ValueRef::Integer(value) => Some(value.to_string()),
            ValueRef::Real(value) => Some(format!("{value:?}")),
            ValueRef::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Blob(bytes) => Some(format!("{bytes:02x?}")),
        };
        all.push((0..columns).map(value).collect());
    }
    all
}

/// What was read of a table.
#[derive(Debug, Default)]
pub(crate) struct Got {
    pub(crate) rows: Vec<Row>,
    pub(crate) rejects: Vec<Reject>,
    pub(crate) splits: Vec<Split>,
    /// Batches, and the position behind each.
    pub(crate) positions: Vec<Option<Position>>,
}

impl Got {
    /// The rejects' places, reasons and hints.
    pub(crate) fn refusals(&self) -> Vec<(String, String)> {
        let texts = self
            .rejects
            .iter()
            .map(|reject| (reject.place.clone().unwrap_or_default(), reject.error.to_string()));
        texts.collect()
    }
}

pub(crate) fn read_of(stream: Stream, chunk_rows: u64) -> Arc<Read> {
    let columns = stream.schema.columns.iter().map(|column| column.name.clone()).collect();
    Arc::new(Read { stream: Arc::new(stream), columns, filter: None, chunk_rows })
}

pub(crate) async fn splits(session: &dyn Session, read: &Arc<Read>, last: Option<&Split>) -> Vec<Split> {
    let mut splitter = session.splitter(read, last).await.unwrap();
    let mut splits = vec![];
    while let Some(split) = splitter.next().await.unwrap() {
        splits.push(split);
    }
    splits
}

pub(crate) async fn read_all(session: &dyn Session, read: &Arc<Read>) -> Got {
    let mut got = Got { splits: splits(session, read, None).await, ..Got::default() };
    for split in got.splits.clone() {
        let mut reader = session.open(read, &split, None).await.unwrap();
        drain(&mut *reader, read, &mut got).await;
    }
    got
}

/// Reads to the end.
pub(crate) async fn drain(reader: &mut dyn Reader, read: &Read, got: &mut Got) {
    let schema = read.schema();
    loop {
        match reader.next().await.unwrap() {
            Next::Batch(batch) => {
                got.rows.extend(texts(&schema, &batch.rows));
                got.rejects.extend(batch.rejects);
                got.positions.push(batch.position);
            }
            Next::Idle(_) => {}
            Next::End => return,
        }
    }
}

/// A batch's rows.
pub(crate) fn texts(schema: &TableSchema, batch: &RecordBatch) -> Vec<Row> {
    let columns: Vec<Values<'_>> = schema
        .columns
        .iter()
        .zip(batch.columns())
        .map(|(column, array)| Values::new(array, column.logical).unwrap())
        .collect();
    (0..batch.num_rows()).map(|row| columns.iter().map(|values| values.text(row)).collect()).collect()
}

/// A schema without a dialect of ours: `name`, type, whether it may be NULL.
pub(crate) fn schema(columns: &[(&str, LogicalType, bool)], key: &[&str]) -> TableSchema {
    let columns = columns.iter().map(|(name, logical, nullable)| {
        let column = Column::new(*name, *logical);
        if *nullable { column } else { column.required() }
    });
    TableSchema::new("test", columns.collect()).with_key(key.iter().copied())
}

/// A batch of rows in text form.
pub(crate) fn batch(schema: &TableSchema, rows: &[Row]) -> Batch {
    let arrays = schema.columns.iter().enumerate().map(|(place, column)| {
        let mut builder = ColumnBuilder::new(column.logical, rows.len());
        for row in rows {
            match &row[place] {
                None => builder.push_null(),
                Some(text) => push(&mut builder, column.logical, text),
            }
        }
        builder.finish().unwrap()
    });
    let rows = RecordBatch::try_new(schema.arrow(), arrays.collect()).unwrap();
    Batch { bytes: rows.num_rows() as u64 * 10, rows, position: None, rejects: vec![], memory: None }
}

fn push(builder: &mut ColumnBuilder, logical: LogicalType, text: &str) {
    let LogicalType::Decimal { precision, scale } = (match logical {
        decimal @ LogicalType::Decimal { .. } => decimal,
        _ => LogicalType::Decimal { precision: 1, scale: 0 },
    }) else {
        unreachable!("it is a decimal")
    };
    match builder {
        ColumnBuilder::Bool(column) => column.push(text.parse().unwrap()),
        ColumnBuilder::Int8(column) => column.push(text.parse().unwrap()),
        ColumnBuilder::Int16(column) => column.push(text.parse().unwrap()),
        ColumnBuilder::Int32(column) => column.push(text.parse().unwrap()),
        ColumnBuilder::Int64(column) => column.push(text.parse().unwrap()),
        ColumnBuilder::UInt8(column) => column.push(text.parse().unwrap()),
        ColumnBuilder::UInt16(column) => column.push(text.parse().unwrap()),
        ColumnBuilder::UInt32(column) => column.push(text.parse().unwrap()),
        ColumnBuilder::UInt64(column) => column.push(text.parse().unwrap()),
        ColumnBuilder::Float32(column) => column.push(text.parse().unwrap()),
        ColumnBuilder::Float64(column) => column.push(text.parse().unwrap()),
        ColumnBuilder::Decimal128(column) if text == "NaN" => column.push(special::DECIMAL128_NAN),
        ColumnBuilder::Decimal256(column) if text == "NaN" => column.push(special::DECIMAL256_NAN),
        ColumnBuilder::Decimal128(column) => column.push(decimal::parse_128(text, precision, scale).unwrap()),
        ColumnBuilder::Decimal256(column) => column.push(decimal::parse_256(text, precision, scale).unwrap()),
        ColumnBuilder::Date(column) => column.push(match text {
            "infinity" => special::DATE_INFINITY,
            text => i32::try_from(civil::parse_date(text).unwrap()).unwrap(),
        }),
        ColumnBuilder::Time(column) => column.push(civil::parse_time(text).unwrap()),
        ColumnBuilder::Timestamp(column) => column.push(match text {
            "infinity" => special::TIMESTAMP_INFINITY,
            text => civil::parse_timestamp(text).unwrap().0,
        }),
        ColumnBuilder::Text(column) => column.push(text.as_bytes()),
        ColumnBuilder::Binary(column) => column.push(&text::parse_hex(text).unwrap()),
        ColumnBuilder::Sixteen(column) => column.push(match logical {
            LogicalType::Interval => Interval::parse(text).unwrap().to_bytes(),
            _ => text::parse_uuid(text).unwrap(),
        }),
    }
}

/// A target of the stream `source`, staged, whose user has not said a word.
pub(crate) fn target(name: &str, schema: TableSchema, write: WriteMode) -> Target {
    let key = schema.key.clone();
    Target {
        stream: 0,
        source: StreamName::bare("source"),
        name: StreamName::bare(name),
        schema,
        write,
        key,
        staged: true,
        replace: Replace::Auto,
        overwrite_said: false,
        task: Task::Load,
        cursor: None,
    }
}

/// A run under way.
pub(crate) struct Run {
    pub(crate) sink: Box<dyn Sink>,
    pub(crate) run: RunRef,
    pub(crate) target: Arc<Target>,
}

pub(crate) fn run_ref(run: &str, epoch: u64) -> RunRef {
    RunRef { pipeline: "p".into(), run: run.into(), epoch, origin: syncline_connect::Origin::default() }
}

impl Run {
    /// Locked and prepared.
    pub(crate) async fn begin(rig: &Rig, run: &str, target: Target) -> Self {
        let sink = rig.sink().await;
        let epoch = sink.lock("p", 0).await.unwrap();
        let run = Run { sink, run: run_ref(run, epoch), target: Arc::new(target) };
        run.prepare().await;
        run
    }

    pub(crate) async fn prepare(&self) {
        let plan = self.plan().await;
        assert!(blockers(&plan).is_empty(), "{:?}", plan.findings);
        for action in &plan.before {
            self.sink.apply(&self.run, &self.target, action).await.unwrap();
        }
    }

    pub(crate) async fn plan(&self) -> TargetPlan {
        self.sink.plan(std::slice::from_ref(&self.target)).await.unwrap().pop().unwrap()
    }

    pub(crate) async fn writer(&self) -> Box<dyn Writer> {
        self.sink.writer(&self.run).await.unwrap()
    }

    /// Writes rows without committing them; returns what was refused.
    pub(crate) async fn write(&self, writer: &mut dyn Writer, rows: &[Row]) -> Vec<(u32, String)> {
        let batch = batch(&self.target.schema, rows);
        refused(writer.write(&self.target, SplitId(0), &batch).await.unwrap())
    }

    /// Writes rows as one split, and commits them.
    pub(crate) async fn load(&self, split: u32, rows: &[Row]) -> Vec<(u32, String)> {
        let mut writer = self.writer().await;
        let batch = batch(&self.target.schema, rows);
        let refused = refused(writer.write(&self.target, SplitId(split), &batch).await.unwrap());
        writer.commit(&[done(split, rows.len() - refused.len())]).await.unwrap();
        refused
    }

    pub(crate) async fn finish(&self) -> Result<String> {
        self.sink.finish(&self.run, &self.target, Marking::Keep).await.map(|published| published.how)
    }

    /// Publishes and clears away.
    pub(crate) async fn end(self) -> String {
        let how = self.finish().await.unwrap();
        self.sink.close("p").await.unwrap();
        how
    }
}

/// A whole run over these rows; returns how it was published.
pub(crate) async fn copy(rig: &Rig, run: &str, target: Target, rows: &[Row]) -> String {
    let run = Run::begin(rig, run, target).await;
    let refused = run.load(0, rows).await;
    assert!(refused.is_empty(), "{refused:?}");
    run.end().await
}

pub(crate) fn refused(outcomes: Vec<Outcome>) -> Vec<(u32, String)> {
    let refusals = outcomes.into_iter().map(|outcome| match outcome {
        Outcome::Reject(reject) => (reject.row, reject.error.to_string()),
        Outcome::Again { .. } => panic!("nothing is wanted again"),
    });
    refusals.collect()
}

pub(crate) fn done(split: u32, rows: usize) -> ProgressDelta {
    delta(split, Progress::Done, rows)
}

pub(crate) fn delta(split: u32, progress: Progress, rows: usize) -> ProgressDelta {
    let row = ProgressRow { progress, rows: rows as u64, bytes: 0, rejected: 0 };
    ProgressDelta { stream: 0, split: SplitId(split), row }
}

/// What a run would end with.
pub(crate) fn blockers(plan: &TargetPlan) -> Vec<&'static Code> {
    let blockers = plan.findings.iter().filter(|finding| finding.severity == Severity::Blocker);
    blockers.map(|finding| finding.error.as_ref().unwrap().code()).collect()
}

pub(crate) fn messages(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(|finding| finding.message.as_str()).collect()
}

/// What a plan for a target says, from a fresh sink.
pub(crate) async fn plan_of(rig: &Rig, target: Target) -> TargetPlan {
    rig.sink().await.plan(&[Arc::new(target)]).await.unwrap().pop().unwrap()
}
