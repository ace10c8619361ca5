//! Servers, databases, rows and runs for the tests: rows are written and read as texts.

use std::{sync::Arc, time::Duration};

use arrow_array::RecordBatch;
use syncline_connect::{
    Batch, Connector, Context, Finding, Marking, Memory, Outcome, ProgressDelta, ProgressRow, Replace,
    RunRef, Severity, Sink, Target, TargetPlan, Task, WriteMode, Writer,
};
use syncline_mysql::{Mysql, MysqlConfig};
use syncline_testkit::servers::{
    left_out,
    mysql::{self, Database, Product},
};
use syncline_types::{
    Code, Column, LogicalType, Progress, Result, SplitId, StreamName, TableSchema, build::ColumnBuilder,
    civil, decimal, interval::Interval, special, text,
};

/// A row in text form.
pub(crate) type Row = Vec<Option<String>>;

/// A database of a server.
pub(crate) struct Rig {
    pub(crate) database: Database,
    pub(crate) port: u16,
}

/// A row of texts.
pub(crate) fn row(texts: &[&str]) -> Row {
    texts.iter().map(|text| (*text != "NULL").then(|| (*text).to_owned())).collect()
}

/// Rows of texts, in which `NULL` is one.
pub(crate) fn rows(texts: &[&[&str]]) -> Vec<Row> {
    texts.iter().map(|texts| row(texts)).collect()
}

/// A fresh database on each of the shared servers that are not left out.
pub(crate) fn rigs() -> impl Iterator<Item = Rig> {
    products().map(|product| Rig::on(mysql::shared(product)))
}

pub(crate) fn products() -> impl Iterator<Item = Product> {
    Product::ALL.into_iter().filter(|product| !left_out(product.name()))
}

impl Rig {
    /// A fresh database on a server.
    pub(crate) fn on(server: &mysql::Mysql) -> Self {
        let name = server.create_database();
        Rig { database: server.database(&name), port: server.port() }
    }

    /// Runs statements as somebody else.
    pub(crate) fn run(&self, sql: &str) {
        self.database.sql(sql);
    }

    /// A query's rows, columns parted by tabs.
    pub(crate) fn query(&self, sql: &str) -> Vec<String> {
        self.database.sql(sql).lines().map(str::to_owned).collect()
    }

    /// A query's only value.
    pub(crate) fn one(&self, sql: &str) -> String {
        self.database.sql(sql)
    }

    pub(crate) fn config(&self) -> MysqlConfig {
        let json = format!(
            r#"{{"user": "root", "host": "127.0.0.1", "port": {}, "path": "{}"}}"#,
            self.port,
            self.database.name()
        );
        serde_json::from_str(&json).unwrap()
    }

    pub(crate) async fn sink(&self) -> Box<dyn Sink> {
        Mysql::sink(self.config(), context()).await.unwrap()
    }

    pub(crate) fn run_id(&self, run: &str) -> String {
        self.database.name().replace("test_", run) + "x"
    }

    /// Tables of our own that wait for something.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        self.query("SHOW TABLES LIKE '\\_syncline\\_stage%'")
    }
}

pub(crate) fn context() -> Context {
    Context::new(Memory::new(64 << 20), Duration::from_secs(30))
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
    ///
    /// The run's id is of this database only: what waits is cleared away in all of them.
    pub(crate) async fn begin(rig: &Rig, run: &str, target: Target) -> Self {
        let run = rig.run_id(run);
        let sink = rig.sink().await;
        let epoch = sink.lock("p", 0).await.unwrap();
        let run = Run { sink, run: run_ref(&run, epoch), target: Arc::new(target) };
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
