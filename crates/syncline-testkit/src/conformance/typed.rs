//! Values of many types, applied as changes: they have to be those that a copy writes.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
    Int16Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use syncline_connect::{Batch, Emptied, Moved, NetChanges, Next, Read, Sink, Target, WriteMode};
use syncline_types::{Column, LogicalType, Progress, SplitId, TableSchema};

use super::{
    Fixture, applier, discover,
    sink::{self, delta, end, free_name, open},
    target,
};

/// More than a packet of some servers, and than any buffer.
const WIDE: usize = 3 << 20;

pub(super) async fn values_are_those_of_a_copy(fixture: &dyn Fixture) {
    let Some(source) = fixture.source().await else { return };
    let (copied, applied) = (free_name(fixture).await, free_name(fixture).await);
    let sink = open(fixture).await;
    copy(sink.as_ref(), &wide(&copied), &values()).await;
    copy(sink.as_ref(), &wide(&applied), &values().slice(0, 1)).await;
    let target = wide(&applied);
    let (_, mut applier) = applier::begin(sink.as_ref()).await;
    // Other values first, so that each is replaced: those of the row before.
    let shifted = shifted();
    let key = |rows: RecordBatch| rows.project(&[0]).expect("the key is the first column");
    let all = |rows: RecordBatch| NetChanges::new(key(values().slice(0, 0)), rows);
    applier.apply(&target, &all(shifted.clone())).await.expect("rows are applied");
    // Each column by itself, with the key, as an update that tells no other.
    let columns = values().num_columns();
    let updates = (1..columns).map(|column| values().project(&[0, column]).expect("the columns are there"));
    let updates = NetChanges { updates: updates.collect(), ..all(values().slice(0, 0)) };
    assert_eq!(applier.apply(&target, &updates).await.expect("rows are updated"), 0);
    applier.commit("1").await.expect("it commits");
    assert_eq!(read(source.as_ref(), &applied).await, read(source.as_ref(), &copied).await, "as updates");
    applier
        .apply(&target, &NetChanges { emptied: Some(Emptied::Deleted), ..all(values()) })
        .await
        .expect("rows are applied");
    applier.commit("2").await.expect("it commits");
    assert_eq!(read(source.as_ref(), &applied).await, read(source.as_ref(), &copied).await, "as rows");
    // Few rows may go another way than a wide one among them.
    applier.apply(&target, &all(shifted)).await.expect("rows are applied");
    for row in 0..values().num_rows() {
        applier.apply(&target, &all(values().slice(row, 1))).await.expect("a row is applied");
    }
    applier.commit("3").await.expect("it commits");
    assert_eq!(read(source.as_ref(), &applied).await, read(source.as_ref(), &copied).await, "one by one");
    // To another key and back, with nothing told but the key.
    let away = RecordBatch::try_new(key(values()).schema(), vec![Arc::new(Int64Array::from(vec![100]))]);
    let away = away.expect("a key is one column");
    for row in 0..values().num_rows() {
        let home = key(values().slice(row, 1));
        for (from, to) in [(&home, &away), (&away, &home)] {
            let moved = Some(Moved { from: from.clone(), to: to.clone() });
            let moved = NetChanges { moved, ..all(values().slice(0, 0)) };
            assert_eq!(applier.apply(&target, &moved).await.expect("a row is moved"), 0);
        }
    }
    applier.commit("4").await.expect("it commits");
    assert_eq!(read(source.as_ref(), &applied).await, read(source.as_ref(), &copied).await, "moved");
    drop(applier);
    sink.close("p").await.expect("the pipeline is closed");
}

/// Rows without a key are found by all their values, as the target keeps them.
pub(super) async fn rows_are_found_by_their_values(fixture: &dyn Fixture) {
    let Some(source) = fixture.source().await else { return };
    let table = free_name(fixture).await;
    let sink = open(fixture).await;
    let keyed = wide(&table);
    let schema = TableSchema { key: vec![], ..keyed.schema.clone() };
    let write = WriteMode::Overwrite;
    let target = Arc::new(Target { key: vec![], schema, write, ..Target::clone(&keyed) });
    copy(sink.as_ref(), &target, &values()).await;
    let expected = read(source.as_ref(), &table).await;
    let (_, mut applier) = applier::begin(sink.as_ref()).await;
    let none = values().slice(0, 0);
    let net = |deletes, rows| NetChanges::new(deletes, rows);
    let added = applier.apply(&target, &net(none.clone(), values())).await;
    added.expect("rows are applied");
    applier.commit("1").await.expect("it commits");
    assert_eq!(read(source.as_ref(), &table).await.len(), 2 * expected.len());
    for row in 0..values().num_rows() {
        let gone = net(values().slice(row, 1), none.clone());
        assert_eq!(
            applier.apply(&target, &gone).await.expect("a row is applied"),
            0,
            "row {row} is not found"
        );
    }
    applier.commit("2").await.expect("it commits");
    assert_eq!(read(source.as_ref(), &table).await, expected);
    // These differ from each of them in all but one value.
    let other = net(shifted(), none.clone());
    assert_eq!(applier.apply(&target, &other).await.expect("rows are applied"), shifted().num_rows() as u64);
    assert_eq!(applier.apply(&target, &net(values(), none)).await.expect("rows are applied"), 0);
    applier.commit("3").await.expect("it commits");
    assert!(read(source.as_ref(), &table).await.is_empty());
    drop(applier);
    sink.close("p").await.expect("the pipeline is closed");
}

fn schema() -> TableSchema {
    use LogicalType as L;
    let columns = [
        ("truth", L::Bool),
        ("small", L::Int16),
        ("whole", L::Int64),
        ("single", L::Float32),
        ("double", L::Float64),
        ("money", L::Decimal { precision: 20, scale: 4 }),
        ("words", L::TEXT),
        ("bytes", L::Binary),
        ("day", L::Date),
        ("moment", L::TIMESTAMP),
        ("instant", L::TIMESTAMPTZ),
        ("document", L::JSON),
    ];
    let columns = columns.map(|(name, logical)| Column::new(name, logical));
    let all = [Column::new("id", L::Int64).required()].into_iter().chain(columns).collect();
    TableSchema::new("conformance", all).with_key(["id"])
}

/// Usual values, the far ends, what looks like something else, NULLs, and a wide row.
fn values() -> RecordBatch {
    let wide = "wide ".repeat(WIDE / 5);
    let micros = vec![Some(0), Some(1_700_000_000_123_456), Some(-1), None, Some(253_402_300_799_000_000)];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![1, 2, 3, 4, -5])),
        Arc::new(BooleanArray::from(vec![Some(true), Some(false), Some(true), None, Some(false)])),
        Arc::new(Int16Array::from(vec![Some(1), Some(i16::MIN), Some(i16::MAX), None, Some(0)])),
        Arc::new(Int64Array::from(vec![Some(1), Some(i64::MIN), Some(i64::MAX), None, Some(0)])),
        Arc::new(Float32Array::from(vec![Some(1.5), Some(f32::MIN), Some(f32::MAX), None, Some(0.1)])),
        Arc::new(Float64Array::from(vec![Some(1.5), Some(f64::MIN), Some(f64::MAX), None, Some(0.1)])),
        Arc::new(
            Decimal128Array::from(vec![
                Some(1),
                Some(-99_999_999_999_999_999_999),
                Some(12_345),
                None,
                Some(0),
            ])
            .with_precision_and_scale(20, 4)
            .expect("the values fit"),
        ),
        Arc::new(StringArray::from(vec![
            Some(""),
            Some("a'b\"c\\d\te\nf\rg\u{1a}h, \\N ; -- ?"),
            Some("grüße 漢字 🦀"),
            None,
            Some(wide.as_str()),
        ])),
        Arc::new(BinaryArray::from_opt_vec(vec![
            Some(b"".as_slice()),
            Some(b"\x00\x01\xff'\"\\\n\t\x1a"),
            Some(b"\\N"),
            None,
            Some(wide.as_bytes()),
        ])),
        Arc::new(Date32Array::from(vec![Some(0), Some(19_000), Some(-1), None, Some(2_932_896)])),
        Arc::new(TimestampMicrosecondArray::from(micros.clone())),
        // The far end of a point in time is nearer in some systems.
        Arc::new(
            TimestampMicrosecondArray::from(vec![
                Some(1_000_000),
                micros[1],
                Some(86_400_000_000),
                None,
                micros[1],
            ])
            .with_timezone("UTC"),
        ),
        Arc::new(StringArray::from(vec![
            Some("{}"),
            Some(r#"{"a": "it's \"quoted\" \\ here"}"#),
            Some("[1, null, \"ä\"]"),
            None,
            Some("null"),
        ])),
    ];
    RecordBatch::try_new(schema().arrow(), columns).expect("the columns are those of the schema")
}

/// The same keys, with the values of another row each.
fn shifted() -> RecordBatch {
    let values = values();
    let rows = values.num_rows();
    let columns = values.columns().iter().enumerate().map(|(number, column)| {
        let (first, rest) = (column.slice(0, 1), column.slice(1, rows - 1));
        let other =
            arrow_select::concat::concat(&[rest.as_ref(), first.as_ref()]).expect("they are of one type");
        if number == 0 { Arc::clone(column) } else { other }
    });
    RecordBatch::try_new(values.schema(), columns.collect()).expect("the columns are those of the schema")
}

fn wide(table: &str) -> Arc<Target> {
    Arc::new(Target { schema: schema(), ..Target::clone(&target(0, table, WriteMode::Merge, true, true)) })
}

async fn copy(sink: &dyn Sink, target: &Arc<Target>, rows: &RecordBatch) {
    let run = sink::begin(sink, "p", std::slice::from_ref(target)).await;
    let mut writer = sink.writer(&run).await.expect("a writer opens");
    let bytes = rows.get_array_memory_size() as u64;
    let part = Batch { rows: rows.clone(), bytes, position: None, rejects: vec![], memory: None };
    let outcomes = writer.write(target, SplitId(0), &part).await.expect("rows are written");
    assert!(outcomes.is_empty(), "{outcomes:?}");
    writer.commit(&[delta(0, 0, Progress::Done, rows.num_rows() as u64)]).await.expect("rows are committed");
    drop(writer);
    end(sink, &run, target).await;
}

/// All rows of a table in the order of their key, as text.
async fn read(source: &dyn syncline_connect::Source, table: &str) -> Vec<String> {
    let stream = discover(source, table).await;
    let columns: Vec<String> = stream.schema.columns.iter().map(|column| column.name.clone()).collect();
    let read = Arc::new(Read { stream: Arc::new(stream), columns, filter: None, chunk_rows: 1_000 });
    let session = source.begin(std::slice::from_ref(&read), 1).await.expect("a session begins");
    let mut splitter = session.splitter(&read, None).await.expect("planning begins");
    let schema = read.schema();
    let mut rows = vec![];
    while let Some(split) = splitter.next().await.expect("planning goes on") {
        let mut reader = session.open(&read, &split, None).await.expect("a split opens");
        loop {
            match reader.next().await.expect("reading goes on") {
                Next::Batch(batch) => {
                    assert!(batch.rejects.is_empty(), "rows are rejected: {:?}", batch.rejects);
                    for row in 0..batch.rows.num_rows() {
                        let json = syncline_types::row_json(&batch.rows, &schema, row);
                        rows.push(json.expect("every value has a text").to_string());
                    }
                }
                Next::Idle(_) => {}
                Next::End => break,
            }
        }
    }
    rows.sort();
    rows
}
