//! What a process needs for rows of 64 MiB: much less than the 256 MiB that a run may take. A test of
//! its own, since the peak is the whole process's.
#![cfg(target_os = "linux")]

use std::{
    fs::{self, File},
    path::PathBuf,
    sync::Arc,
};

use arrow_array::{ArrayRef, BinaryArray, Int64Array, RecordBatch};
use syncline_format::{
    Compression, CsvOptions, Format, Input, JsonLinesOptions, Limits, ParquetOptions, Step, Types, infer,
    reader, writer,
};
use syncline_types::{Column, LogicalType as L, TableSchema};

const WIDE: usize = 64 << 20;
const ROWS: i64 = 2;
/// With the batch itself; the rest of a run's memory stays for what is on the other side.
const PEAK_KIB_MAX: u64 = 208 << 10;

/// The most that the process has had in memory since the last reset.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells it");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("Linux tells it");
    line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).expect("it is a number")
}

fn reset_peak() {
    fs::write("/proc/self/clear_refs", "5").expect("a process may reset its own peak");
}

fn row(schema: &TableSchema, n: i64) -> RecordBatch {
    // Bytes that no compression makes smaller.
    let mut state = n.unsigned_abs() | 1;
    let mut bytes = Vec::with_capacity(WIDE);
    while bytes.len() < WIDE {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    let columns: [ArrayRef; 2] =
        [Arc::new(Int64Array::from(vec![n])), Arc::new(BinaryArray::from_vec(vec![&bytes]))];
    RecordBatch::try_new(schema.arrow(), columns.to_vec()).expect("the columns are the schema's")
}

#[test]
fn rows_of_64_mib_are_written_and_read_within_bounds() {
    let schema = TableSchema::new("test", vec![Column::new("id", L::Int64), Column::new("data", L::Binary)]);
    let wanted = ["id".to_owned(), "data".to_owned()];
    for (format, compression) in [
        (Format::Csv(CsvOptions::default()), Compression::None),
        (Format::JsonLines(JsonLinesOptions::default()), Compression::None),
        (Format::Parquet(ParquetOptions::default()), Compression::None),
    ] {
        let place = format!("{} {compression:?}", format.name());
        let path: PathBuf =
            std::env::temp_dir().join(format!("syncline-wide-{}-{place}", std::process::id()));
        reset_peak();
        let file = File::create(&path).expect("there is room");
        let mut part = writer(&format, compression, &schema, &place, file).expect("the options fit");
        for n in 0..ROWS {
            part.write(&row(&schema, n)).expect("there is room");
        }
        drop(part.finish().expect("there is room"));
        let written = peak_kib();

        reset_peak();
        let open = || Input::file(&place, File::open(&path).expect("it was just written"));
        let mut part = reader(&format, compression, &schema, &wanted, open()).expect("it was just written");
        let (mut room, mut rows) = (2 << 20, 0);
        loop {
            match part.next(Limits { rows: 8_192, bytes: room }).expect("it was just written") {
                Step::Needs(bytes) => room = bytes,
                Step::Rows(found) => {
                    assert!(found.rejects.is_empty(), "{:?}", found.rejects);
                    rows += found.batch.num_rows();
                    room = 2 << 20;
                }
                Step::End => break,
            }
        }
        drop(part);
        let read = peak_kib();
        reset_peak();
        infer(&format, compression, Types::Infer, [Ok(open())]).expect("it was just written");
        let inferred = peak_kib();
        fs::remove_file(&path).expect("it is ours");
        assert_eq!(rows, 2, "{place}");
        println!("{place}: {} MiB written, {} read, {} inferred", written >> 10, read >> 10, inferred >> 10);
        for peak in [written, read, inferred] {
            assert!(peak <= PEAK_KIB_MAX, "{place}: {} MiB", peak >> 10);
        }
    }
}
