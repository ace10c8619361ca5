//! How long a million rows of orders take in each format: `cargo bench -p syncline-format [FORMAT]`.
//!
//! One thread, all in memory, so that the time is that of our own code. It prints seconds of CPU where
//! Linux tells them, else of the clock.

use std::{
    fs,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use arrow_array::{
    ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use syncline_format::{
    Compression, CsvOptions, Format, Input, JsonLinesOptions, Limits, ParquetOptions, Step, Types, infer,
    reader, writer,
};
use syncline_types::{Column, LogicalType as L, TableSchema};

const ROWS: i64 = 1_000_000;
const BATCH_ROWS: i64 = 8_192;

fn main() {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let formats = [
        Format::Csv(CsvOptions::default()),
        Format::JsonLines(JsonLinesOptions::default()),
        Format::Parquet(ParquetOptions::default()),
    ];
    for format in formats {
        if wanted.is_empty() || wanted.iter().any(|name| name == format.name()) {
            measure(&format);
        }
    }
}

/// Time that this thread has had.
fn clock() -> Duration {
    static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);
    let told = fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.and_then(|text| text.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| STARTED.elapsed(), Duration::from_nanos)
}

fn schema() -> TableSchema {
    TableSchema::new(
        "bench",
        vec![
            Column::new("id", L::Int64).required(),
            Column::new("customer_id", L::Int64),
            Column::new("status", L::TEXT),
            Column::new("total", L::Decimal { precision: 12, scale: 2 }),
            Column::new("note", L::TEXT),
            Column::new("created_at", L::TIMESTAMPTZ),
            Column::new("updated_at", L::TIMESTAMP),
        ],
    )
}

fn batch(schema: &TableSchema, from: i64) -> RecordBatch {
    let ids = from..(from + BATCH_ROWS).min(ROWS);
    let text = |n: i64| (n % 5 > 0).then(|| format!("note {n}, as it came"));
    let at = |n: i64| 1_700_000_000_000_000 + n * 1_234_567;
    let totals: Decimal128Array = ids.clone().map(|n| Some(i128::from(n * 7_919 % 10_000_000))).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(ids.clone())),
        Arc::new(Int64Array::from_iter_values(ids.clone().map(|n| n * 7_919 % 100_000))),
        Arc::new(StringArray::from_iter_values(
            ids.clone().map(|n| ["new", "paid", "shipped"][n.unsigned_abs() as usize % 3]),
        )),
        Arc::new(totals.with_precision_and_scale(12, 2).expect("twelve digits")),
        Arc::new(StringArray::from_iter(ids.clone().map(text))),
        Arc::new(TimestampMicrosecondArray::from_iter_values(ids.clone().map(at)).with_timezone("UTC")),
        Arc::new(TimestampMicrosecondArray::from_iter_values(ids.map(at))),
    ];
    RecordBatch::try_new(schema.arrow(), columns).expect("the columns are the schema's")
}

fn measure(format: &Format) {
    let schema = schema();
    let batches: Vec<RecordBatch> =
        (0..ROWS).step_by(BATCH_ROWS as usize).map(|from| batch(&schema, from)).collect();
    let name = format.name();

    let started = clock();
    let mut part = writer(format, Compression::None, &schema, name, vec![]).expect("the options fit");
    for batch in &batches {
        part.write(batch).expect("memory takes all");
    }
    let bytes = part.finish().expect("memory takes all");
    let written = clock() - started;

    let started = clock();
    let wanted: Vec<String> = schema.columns.iter().map(|column| column.name.clone()).collect();
    let input = Input::bytes(name, bytes.clone());
    let mut part = reader(format, Compression::None, &schema, &wanted, input).expect("it was just written");
    let mut rows = 0;
    loop {
        match part.next(Limits { rows: BATCH_ROWS as usize, bytes: 8 << 20 }).expect("it was just written") {
            Step::Rows(found) => rows += found.batch.num_rows(),
            Step::Needs(bytes) => panic!("the rows are small, and it needs {bytes}"),
            Step::End => break,
        }
    }
    let read = clock() - started;
    assert_eq!(rows, ROWS as usize);

    let started = clock();
    let size = bytes.len();
    infer(format, Compression::None, Types::Infer, [Ok(Input::bytes(name, bytes))])
        .expect("it was just written");
    let inferred = clock() - started;
    eprintln!(
        "{name:8} {:4} MB   write {:.3} s   read {:.3} s   infer {:.3} s",
        size / 1_000_000,
        written.as_secs_f64(),
        read.as_secs_f64(),
        inferred.as_secs_f64()
    );
}
