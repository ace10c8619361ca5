//! What the tests share: a file of their own, an application that writes to it, and changes as texts.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use arrow_array::RecordBatch;
use rusqlite::Connection;
use syncline_connect::{
    Changes, Connector, Context, Finding, How, Log, LogReader, Logged, Memory, Read, Selection, Severity,
    Source,
};
use syncline_sqlite::{Dates, Sqlite, SqliteConfig};
use syncline_types::{Position, Result, StreamName, TableSchema, text::Values};
use tempfile::TempDir;

/// Nothing here takes longer, unless it never comes.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// A file, and a pipeline's place in its changes.
pub(crate) struct Rig {
    _folder: TempDir,
    pub(crate) path: PathBuf,
    /// The application's connection.
    pub(crate) app: Connection,
    pub(crate) source: Box<dyn Source>,
    pub(crate) log: Box<dyn Log>,
}

impl Rig {
    /// With these tables and rows, and a write-ahead log.
    pub(crate) async fn new(sql: &str) -> Self {
        Rig::with(sql, "wal").await
    }

    pub(crate) async fn with(sql: &str, journal: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.db");
        let app = open(&path);
        app.query_row(&format!("PRAGMA journal_mode = {journal}"), [], |_| Ok(())).unwrap();
        // Nothing here looks at what a power cut leaves.
        app.execute_batch("PRAGMA synchronous = OFF").unwrap();
        app.execute_batch(sql).unwrap();
        let config = SqliteConfig { path: path.display().to_string(), busy_seconds: 10, dates: Dates::Typed };
        let cx = Context::new(Memory::new(64 << 20), Duration::from_secs(60));
        let source = Sqlite::source(config, cx).await.unwrap();
        let log = source.log("p").await.unwrap();
        Rig { _folder: folder, path, app, source, log }
    }

    pub(crate) fn run(&self, sql: &str) {
        self.app.execute_batch(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
    }

    pub(crate) fn one(&self, sql: &str) -> i64 {
        self.app.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    pub(crate) async fn read(&self, table: &str) -> Arc<Read> {
        let selection = Selection::Name(StreamName::bare(table));
        let stream = self.source.discover(&selection).await.unwrap().remove(0);
        let columns = stream.schema.columns.iter().map(|column| column.name.clone()).collect();
        Arc::new(Read { stream: Arc::new(stream), columns, filter: None, chunk_rows: 1_000 })
    }

    pub(crate) async fn reads(&self, tables: &[&str]) -> Vec<Arc<Read>> {
        let mut reads = vec![];
        for table in tables {
            reads.push(self.read(table).await);
        }
        reads
    }

    /// Takes the place and reads on from it.
    pub(crate) async fn follow(&self, tables: &[&str]) -> Following {
        let reads = self.reads(tables).await;
        let at = self.log.keep(&reads, None).await.unwrap();
        self.open(reads, at).await
    }

    pub(crate) async fn open(&self, reads: Vec<Arc<Read>>, at: Position) -> Following {
        let reader = self.log.open(&reads, &at, &[]).await.unwrap();
        Following::new(reader, reads, at)
    }

    pub(crate) async fn blockers(&self, reads: &[Arc<Read>]) -> Vec<Finding> {
        let findings = self.log.inspect(reads).await.unwrap();
        findings.into_iter().filter(|finding| finding.severity == Severity::Blocker).collect()
    }

    /// A copy of a table, as texts by key.
    pub(crate) async fn copy(&self, read: &Arc<Read>) -> Model {
        let session = self.source.begin(std::slice::from_ref(read), 1).await.unwrap();
        let mut splitter = session.splitter(read, None).await.unwrap();
        let mut model = Model::new();
        while let Some(split) = splitter.next().await.unwrap() {
            let mut reader = session.open(read, &split, None).await.unwrap();
            while let syncline_connect::Next::Batch(batch) = reader.next().await.unwrap() {
                for row in texts(&batch.rows, &read.schema()) {
                    model.insert(key_of(read, &row), row.join("|"));
                }
            }
        }
        model
    }
}

pub(crate) fn open(path: &std::path::Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(Duration::from_secs(20)).unwrap();
    connection
}

/// A table as changes leave it: rows by their keys.
pub(crate) type Model = BTreeMap<String, String>;

/// A reader, what it reads, and what that has come to.
pub(crate) struct Following {
    pub(crate) reader: Box<dyn LogReader>,
    pub(crate) reads: Vec<Arc<Read>>,
    /// Where it is.
    pub(crate) at: Position,
    pub(crate) models: Vec<Model>,
    /// Changes in the order of the log.
    pub(crate) lines: Vec<String>,
    pub(crate) looks: u64,
}

impl Following {
    pub(crate) fn new(reader: Box<dyn LogReader>, reads: Vec<Arc<Read>>, at: Position) -> Self {
        let models = reads.iter().map(|_| Model::new()).collect();
        Following { reader, reads, at, models, lines: vec![], looks: 0 }
    }

    /// Everything up to where the changes end now.
    pub(crate) async fn all(&mut self, rig: &Rig) -> Vec<String> {
        let head = rig.log.head().await.unwrap();
        self.upto(rig.log.as_ref(), &head).await.unwrap();
        std::mem::take(&mut self.lines)
    }

    pub(crate) async fn upto(&mut self, log: &dyn Log, head: &Position) -> Result<()> {
        let until = Instant::now() + WAIT_MAX;
        while log.compare(&self.at, head)?.is_lt() {
            assert!(Instant::now() < until, "{head:?} was not reached, but {:?}", self.at);
            self.step().await?;
        }
        Ok(())
    }

    pub(crate) async fn step(&mut self) -> Result<()> {
        match tokio::time::timeout(WAIT_MAX, self.reader.next()).await.expect("something comes")? {
            Logged::Changes(batch) => {
                let mut lines = vec![];
                for changes in &batch.changes {
                    let read = Arc::clone(&self.reads[changes.stream]);
                    lines.extend(told(changes, &read, &mut self.models[changes.stream]));
                }
                lines.sort();
                self.lines.extend(lines.into_iter().map(|(_, line)| line));
                self.looks += batch.transactions;
                if let Some(position) = batch.position {
                    self.at = position;
                }
            }
            Logged::Idle(position) => self.at = position,
            Logged::Schema(change) => {
                let columns: Vec<String> = change
                    .schema
                    .columns
                    .iter()
                    .map(|column| format!("{} {}", column.name, column.native.as_deref().unwrap_or("?")))
                    .collect();
                let read = &self.reads[change.stream];
                self.lines.push(format!("{} is ({})", read.stream.name.table, columns.join(", ")));
                let columns = change.schema.columns.iter().map(|column| column.name.clone()).collect();
                let stream =
                    syncline_connect::Stream { schema: change.schema, ..read.stream.as_ref().clone() };
                let read = Read { stream: Arc::new(stream), columns, ..read.as_ref().clone() };
                self.reads[change.stream] = Arc::new(read);
            }
        }
        Ok(())
    }
}

/// A stream's changes as lines, each with its place in the order of the log; the model follows them.
fn told(changes: &Changes, read: &Read, model: &mut Model) -> Vec<(u64, String)> {
    let table = &read.stream.name.table;
    let mut lines = vec![];
    assert!(changes.absent.iter().all(Option::is_none));
    let rows = texts(&changes.rows, &read.logged_schema());
    let gone = texts(&changes.gone, &read.gone_schema());
    assert_eq!((rows.len(), gone.len()), (changes.written.len(), changes.went.len()));
    let mut steps: Vec<(u64, String, Option<String>)> = vec![];
    for (row, written) in rows.into_iter().zip(&changes.written) {
        let verb = if written.how == How::Insert { '+' } else { '~' };
        lines.push((written.sequence, format!("{table} {verb} {}", row.join("|"))));
        steps.push((written.sequence, key_of(read, &row), Some(row.join("|"))));
    }
    for (key, went) in gone.into_iter().zip(&changes.went) {
        lines.push((went.sequence, format!("{table} - {}", key.join("|"))));
        steps.push((went.sequence, key.join("|"), None));
    }
    steps.sort();
    for (_, key, row) in steps {
        match row {
            Some(row) => model.insert(key, row),
            None => model.remove(&key),
        };
    }
    lines.extend(changes.rejects.iter().map(|reject| {
        let place = reject.place.as_deref().unwrap_or("?");
        (u64::MAX, format!("{table} ! {place}: {}", reject.error))
    }));
    lines
}

fn key_of(read: &Read, row: &[String]) -> String {
    let schema = read.schema();
    let places = schema.indexes(&schema.key).unwrap();
    places.into_iter().map(|place| row[place].clone()).collect::<Vec<_>>().join("|")
}

/// Rows as texts: NULL as `-`.
pub(crate) fn texts(rows: &RecordBatch, schema: &TableSchema) -> Vec<Vec<String>> {
    let columns: Vec<Values<'_>> = rows
        .columns()
        .iter()
        .zip(&schema.columns)
        .map(|(array, column)| Values::new(array, column.logical).unwrap())
        .collect();
    (0..rows.num_rows())
        .map(|row| columns.iter().map(|values| values.text(row).unwrap_or("-".to_owned())).collect())
        .collect()
}
