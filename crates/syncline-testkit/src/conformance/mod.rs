//! What a connector claims, proved.
//!
//! A connector's test brings a fixture: how to make a small table in its system, how to look into
//! it, and how to open the connector on it. Which tests then run is chosen from its
//! [`Capabilities`](syncline_connect::Capabilities): what it claims and cannot show fails.
//!
//! The table has a whole number `id`, never NULL, and a whole number `value`; it has a key on `id`
//! or none.

mod applier;
mod incremental;
mod places;
mod sink;
mod source;
mod typed;

use std::sync::Arc;

use arrow_array::{Array, Int64Array, RecordBatch, cast::AsArray};
use async_trait::async_trait;
use syncline_connect::{
    Batch, Capabilities, Origin, Read, Replace, RunRef, Selection, Sink, Source, Stream, Target, Task,
    WriteMode,
};
use syncline_types::{Column, LogicalType, StreamName, TableSchema};

pub use self::places::a_transaction_is_in_a_snapshot_or_behind_its_place;

/// A row of the table: `id` and `value`.
pub type Row = (i64, Option<i64>);

/// A system under test.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// Makes an empty table in the connection's default namespace, and returns its name.
    async fn create(&self, keyed: bool) -> String;
    /// Adds rows, not through the connector.
    async fn insert(&self, table: &str, rows: &[Row]);
    /// The rows, in the order of `id` and `value`, not through the connector. `None`: no such table.
    async fn rows(&self, table: &str) -> Option<Vec<Row>>;
    /// Everything of Syncline's own that is left in the system, by name.
    async fn leftovers(&self) -> Vec<String>;
    /// Opens the connector for reading; `None` when it is no source.
    async fn source(&self) -> Option<Box<dyn Source>>;
    /// Opens the connector for writing; `None` when it is no sink.
    async fn sink(&self) -> Option<Box<dyn Sink>>;
    /// A table with several hundred rows, and the rows in their order.
    async fn filled(&self, keyed: bool) -> (String, Vec<Row>) {
        let table = self.create(keyed).await;
        self.insert(&table, &skewed(FILLED_ROWS)).await;
        (table, sorted(skewed(FILLED_ROWS)))
    }
    /// Whether there are tables without a key.
    fn has_keyless_tables(&self) -> bool {
        true
    }
    /// Whether a later session can go on with a table that is cut.
    fn outlives_snapshot(&self, keyed: bool) -> bool {
        keyed
    }
    /// Whether a key keeps out a second row that has it.
    fn keeps_keys_unique(&self) -> bool {
        true
    }
    /// Whether rows can be added at all.
    fn can_change(&self) -> bool {
        true
    }
}

/// Rows of a filled table.
pub const FILLED_ROWS: i64 = 500;

/// Proves everything that a connector claims.
///
/// # Panics
/// With the claim that does not hold.
pub async fn prove(fixture: &dyn Fixture, capabilities: Capabilities) {
    match (capabilities.snapshot, fixture.source().await) {
        (Some(claims), Some(source)) => {
            assert_eq!(source.log("p").await.is_ok(), capabilities.log, "whether it tells changes");
            source::prove(fixture, claims).await;
        }
        (None, None) => {}
        (claims, opened) => panic!("it claims {claims:?} as a source, and opens: {}", opened.is_some()),
    }
    match (capabilities.sink, fixture.sink().await) {
        (Some(claims), Some(_)) => {
            sink::prove(fixture, claims).await;
            applier::prove(fixture, claims).await;
        }
        (None, None) => {}
        (claims, opened) => panic!("it claims {claims:?} as a sink, and opens: {}", opened.is_some()),
    }
}

/// The table by its name, as the source describes it.
async fn discover(source: &dyn Source, table: &str) -> Stream {
    let found = source.discover(&Selection::Name(StreamName::bare(table))).await;
    found.expect("a table that is there is found").pop().expect("it is found once")
}

fn read(stream: Stream, chunk_rows: u64) -> Arc<Read> {
    let columns = vec!["id".to_owned(), "value".to_owned()];
    Arc::new(Read { stream: Arc::new(stream), columns, filter: None, chunk_rows })
}

fn schema(keyed: bool) -> TableSchema {
    let columns =
        vec![Column::new("id", LogicalType::Int64).required(), Column::new("value", LogicalType::Int64)];
    let key: &[&str] = if keyed { &["id"] } else { &[] };
    TableSchema::new("conformance", columns).with_key(key.iter().copied())
}

fn target(stream: u32, table: &str, write: WriteMode, staged: bool, keyed: bool) -> Arc<Target> {
    let schema = schema(keyed);
    Arc::new(Target {
        stream,
        source: StreamName::bare(table),
        name: StreamName::bare(table),
        key: schema.key.clone(),
        schema,
        write,
        staged,
        replace: Replace::Auto,
        overwrite_said: true,
        task: Task::Load,
        cursor: None,
    })
}

fn run_ref(pipeline: &str, run: &str, epoch: u64) -> RunRef {
    RunRef { pipeline: pipeline.into(), run: run.into(), epoch, origin: Origin::default() }
}

fn batch(rows: &[Row]) -> Batch {
    let (ids, values): (Vec<i64>, Vec<Option<i64>>) = rows.iter().copied().unzip();
    let columns: Vec<arrow_array::ArrayRef> =
        vec![Arc::new(Int64Array::from(ids)), Arc::new(Int64Array::from(values))];
    let rows =
        RecordBatch::try_new(schema(true).arrow(), columns).expect("the columns are those of the schema");
    Batch { bytes: 16 * rows.num_rows() as u64, rows, position: None, rejects: vec![], memory: None }
}

fn rows_of(batch: &RecordBatch) -> Vec<Row> {
    let column = |name: &str| {
        let array = batch.column_by_name(name).expect("the column was asked for");
        let array = array.as_primitive_opt::<arrow_array::types::Int64Type>();
        array.expect("a whole number of 64 bits is carried as one").clone()
    };
    let (ids, values) = (column("id"), column("value"));
    (0..batch.num_rows())
        .map(|row| (ids.value(row), values.is_valid(row).then(|| values.value(row))))
        .collect()
}

/// So many rows with gaps, a dense part and NULLs.
fn skewed(count: i64) -> Vec<Row> {
    (0..count)
        .map(|at| (if at < count / 2 { at } else { at * at }, (at % 7 != 0).then_some(at * 3)))
        .collect()
}

fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_unstable();
    rows
}
