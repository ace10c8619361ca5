//! What the tests of the log share: a database of their own, and changes as lines of text.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arrow_array::RecordBatch;
use syncline_connect::{
    Changes, Connector, Context, How, Log, LogBatch, LogReader, Logged, Memory, Read, Selection, Source,
};
use syncline_postgres::{Postgres, PostgresConfig};
use syncline_testkit::servers::postgres::{self, Database};
use syncline_types::{Position, Result, StreamName, TableSchema, text::Values};

/// Nothing here takes longer, unless it never comes.
const WAIT_MAX: Duration = Duration::from_secs(30);

pub(crate) fn context() -> Context {
    Context::new(Memory::new(64 << 20), Duration::from_secs(20))
}

/// A database of the shared server, and a pipeline's place in its log.
pub(crate) struct Rig {
    pub(crate) database: Database,
    pub(crate) source: Box<dyn Source>,
    pub(crate) log: Box<dyn Log>,
}

/// A source by its options; `more` begins with a comma.
pub(crate) async fn source(port: u16, database: &str, more: &str, cx: Context) -> Result<Box<dyn Source>> {
    let json =
        format!(r#"{{"user": "postgres", "host": "127.0.0.1", "port": {port}, "path": "{database}"{more}}}"#);
    let config: PostgresConfig = serde_json::from_str(&json).expect("the configuration is right");
    Postgres::source(config, cx).await
}

impl Rig {
    /// With these tables and rows.
    pub(crate) async fn new(sql: &str) -> Self {
        Rig::with(sql, "").await
    }

    pub(crate) async fn with(sql: &str, options: &str) -> Self {
        let name = postgres::shared().create_database();
        let database = postgres::shared().database(&name);
        database.sql(sql);
        Rig::over(postgres::shared().port(), database, options).await
    }

    /// Over a port that leads to the server of a database.
    pub(crate) async fn over(port: u16, database: Database, options: &str) -> Self {
        let source = source(port, database.name(), options, context()).await.expect("the server can be read");
        // Slots are of the whole server, and so are their names.
        let log = source.log(database.name()).await.expect("it has a log");
        Rig { database, source, log }
    }

    pub(crate) fn sql(&self, sql: &str) -> String {
        self.database.sql(sql)
    }

    pub(crate) async fn reads(&self, tables: &[&str]) -> Vec<Arc<Read>> {
        let mut reads = vec![];
        for table in tables {
            reads.push(read(self.source.as_ref(), table).await);
        }
        reads
    }

    /// Takes the place and reads on from it.
    pub(crate) async fn follow(&self, tables: &[&str]) -> Following {
        let reads = self.reads(tables).await;
        let at = self.log.keep(&reads, None).await.expect("the place can be kept");
        self.open(reads, at).await
    }

    pub(crate) async fn open(&self, reads: Vec<Arc<Read>>, at: Position) -> Following {
        let reader = self.log.open(&reads, &at, &[]).await.expect("the log can be opened");
        Following { reader, reads, at }
    }

    pub(crate) async fn head(&self) -> Position {
        self.log.head().await.expect("the log has an end")
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        // What holds a slot ends with its session.
        let sql = "SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots
                     WHERE database = current_database() AND active;
                   SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()";
        // The server may be a test's own, and be gone.
        let _ = self.database.try_sql(sql);
    }
}

pub(crate) async fn read(source: &dyn Source, table: &str) -> Arc<Read> {
    let name = StreamName::parse(table).expect("it is a name");
    let mut streams = source.discover(&Selection::Name(name)).await.expect("the table is there");
    let stream = streams.remove(0);
    let columns = stream.schema.columns.iter().filter(|column| !column.generated);
    let columns = columns.map(|column| column.name.clone()).collect();
    Arc::new(Read { stream: Arc::new(stream), columns, filter: None, chunk_rows: 1_000 })
}

/// A reader, and what it reads.
pub(crate) struct Following {
    pub(crate) reader: Box<dyn LogReader>,
    pub(crate) reads: Vec<Arc<Read>>,
    /// Where it is.
    pub(crate) at: Position,
}

/// What was read up to some place.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Changes in the order of the log.
    pub(crate) lines: Vec<String>,
    pub(crate) transactions: u64,
    pub(crate) batches: usize,
    /// Positions given out, each with how many lines came before it.
    pub(crate) positions: Vec<(Position, usize)>,
}

impl Following {
    /// Everything up to where the log ends now.
    pub(crate) async fn all(&mut self, rig: &Rig) -> Told {
        let head = rig.head().await;
        self.upto(rig.log.as_ref(), &head).await.expect("the log can be read")
    }

    pub(crate) async fn upto(&mut self, log: &dyn Log, head: &Position) -> Result<Told> {
        let mut told = Told::default();
        let until = Instant::now() + WAIT_MAX;
        while log.compare(&self.at, head)?.is_lt() {
            assert!(Instant::now() < until, "{head:?} was not reached, but {:?}", self.at);
            match self.next().await? {
                Logged::Changes(batch) => told.add(&batch, &self.reads, &mut self.at),
                Logged::Idle(position) => self.at = position,
                Logged::Schema(change) => {
                    let columns: Vec<String> = change
                        .schema
                        .columns
                        .iter()
                        .map(|column| format!("{} {}", column.name, column.native.as_deref().unwrap_or("?")))
                        .collect();
                    let read = &self.reads[change.stream];
                    told.lines.push(format!("{} is ({})", read.stream.name.table, columns.join(", ")));
                    let columns = change.schema.columns.iter().map(|column| column.name.clone()).collect();
                    let stream =
                        syncline_connect::Stream { schema: change.schema, ..read.stream.as_ref().clone() };
                    let read = Read { stream: Arc::new(stream), columns, ..read.as_ref().clone() };
                    self.reads[change.stream] = Arc::new(read);
                }
            }
        }
        Ok(told)
    }

    pub(crate) async fn next(&mut self) -> Result<Logged> {
        tokio::time::timeout(WAIT_MAX, self.reader.next()).await.expect("something comes")
    }
}

impl Told {
    pub(crate) fn add(&mut self, batch: &LogBatch, reads: &[Arc<Read>], at: &mut Position) {
        let mut lines = vec![];
        for changes in &batch.changes {
            lines.extend(told(changes, &reads[changes.stream]));
        }
        lines.sort();
        self.lines.extend(lines.into_iter().map(|(_, line)| line));
        self.transactions += batch.transactions;
        self.batches += 1;
        if let Some(position) = &batch.position {
            at.clone_from(position);
            self.positions.push((position.clone(), self.lines.len()));
        }
    }
}

/// A stream's changes as lines, each with its place in the order of the log.
fn told(changes: &Changes, read: &Read) -> Vec<(u64, String)> {
    let table = &read.stream.name.table;
    let mut lines = vec![];
    let rows = texts(&changes.rows, &read.logged_schema(), &changes.absent);
    assert_eq!(rows.len(), changes.written.len());
    for (row, written) in rows.into_iter().zip(&changes.written) {
        let verb = match written.how {
            How::Insert => '+',
            How::Update => '~',
            How::Move => '<',
        };
        lines.push((written.sequence, format!("{table} {verb} {row}")));
    }
    let gone = texts(&changes.gone, &read.gone_schema(), &[]);
    assert_eq!(gone.len(), changes.went.len());
    for (row, went) in gone.into_iter().zip(&changes.went) {
        let verb = if went.moved { '>' } else { '-' };
        lines.push((went.sequence, format!("{table} {verb} {row}")));
    }
    lines.extend(changes.truncated.map(|sequence| (sequence, format!("{table} truncated"))));
    lines.extend(changes.rejects.iter().map(|reject| (u64::MAX, format!("{table} ! {}", reject.error))));
    lines
}

/// Rows as texts: NULL as `-`, what is absent as `...`.
pub(crate) fn texts(
    rows: &RecordBatch,
    schema: &TableSchema,
    absent: &[Option<arrow_buffer::BooleanBuffer>],
) -> Vec<String> {
    assert_eq!(rows.schema(), schema.arrow());
    let columns: Vec<Values<'_>> = rows
        .columns()
        .iter()
        .zip(&schema.columns)
        .map(|(array, column)| Values::new(array, column.logical).expect("it is carried as it should be"))
        .collect();
    let cell = |column: usize, row: usize| {
        let absent = absent.get(column).and_then(Option::as_ref);
        match absent.is_some_and(|absent| absent.value(row)) {
            true => {
                assert!(columns[column].is_null(row));
                "...".to_owned()
            }
            false => columns[column].text(row).unwrap_or("-".to_owned()),
        }
    };
    (0..rows.num_rows())
        .map(|row| (0..columns.len()).map(|column| cell(column, row)).collect::<Vec<_>>().join("|"))
        .collect()
}
