//! What the fuzz targets call, with any bytes at all: nothing panics, and what can be read is written
//! and read back alike. Built for tests and fuzzing only.

use crate::{
    BinaryText, Compression, CsvOptions, Encoding, Format, Input, JsonLinesOptions, Limits, ParquetOptions,
    PartReader, Rows, Step, Types, infer, reader, writer,
};
use syncline_types::{Column, LogicalType as L, Result, TableSchema, text::Values};

/// Bytes beyond which nothing is decompressed, so that a bomb is no finding.
const ROWS_MAX: u64 = 10_000;

/// CSV with options by the first byte.
pub fn csv(bytes: &[u8]) {
    let Some((flags, text)) = bytes.split_first() else { return };
    let flag = |bit: u8| flags & 1 << bit != 0;
    let options = CsvOptions {
        delimiter: if flag(0) { b',' } else { b';' },
        header: flag(1),
        null: if flag(2) { "\\N".to_owned() } else { String::new() },
        binary: if flag(3) { BinaryText::Hex } else { BinaryText::Base64 },
        backslash: flag(4),
        encoding: match flags >> 5 {
            0..=4 => Encoding::Detect,
            5 => Encoding::Utf16Le,
            6 => Encoding::Utf16Be,
            _ => Encoding::Windows1252,
        },
        ..CsvOptions::default()
    };
    let written = CsvOptions { backslash: false, encoding: Encoding::Utf8, ..options.clone() };
    comes_back(&Format::Csv(options), &Format::Csv(written), text);
}

/// JSON Lines.
pub fn json_lines(bytes: &[u8]) {
    let theirs = Format::JsonLines(JsonLinesOptions { json_null: false, ..JsonLinesOptions::default() });
    let ours = Format::JsonLines(JsonLinesOptions::default());
    comes_back(&theirs, &ours, bytes);
}

/// A Parquet file.
pub fn parquet(bytes: &[u8]) {
    let format = Format::Parquet(ParquetOptions::default());
    let Ok(schema) = infer(&format, Compression::None, Types::Infer, [Ok(Input::bytes("fuzz", bytes))])
    else {
        return;
    };
    for limits in [Limits { rows: 3, bytes: 1 << 16 }, Limits { rows: 1_000, bytes: 1 << 20 }] {
        if let Ok(mut part) = open(&format, Compression::None, &schema, bytes) {
            let _ = drain(part.as_mut(), limits);
        }
    }
    if let Ok(mut part) = open(&format, Compression::None, &schema, bytes) {
        let _ = part.skip(5).and_then(|()| drain(part.as_mut(), Limits { rows: 3, bytes: 1 << 20 }));
    }
}

/// A gzip file with CSV in it.
pub fn gzip(bytes: &[u8]) {
    compressed(Compression::Gzip, bytes);
}

/// A zstd file with CSV in it.
pub fn zstd(bytes: &[u8]) {
    compressed(Compression::Zstd, bytes);
}

fn compressed(compression: Compression, bytes: &[u8]) {
    let format = Format::Csv(CsvOptions { header: false, ..CsvOptions::default() });
    let schema = TableSchema::new("fuzz", vec![Column::new("a", L::TEXT)]);
    if let Ok(mut part) = open(&format, compression, &schema, bytes) {
        let _ = drain(part.as_mut(), Limits { rows: 100, bytes: 1 << 20 });
    }
}

/// What is read of `bytes`, by the types found in them, is the same in any limits, and the same again
/// after it has been written.
fn comes_back(theirs: &Format, ours: &Format, bytes: &[u8]) {
    let Ok(schema) = infer(theirs, Compression::None, Types::Infer, [Ok(Input::bytes("fuzz", bytes))]) else {
        return;
    };
    let narrow = read(theirs, &schema, bytes, Limits { rows: 2, bytes: 1 });
    let wide = read(theirs, &schema, bytes, Limits { rows: 1_000, bytes: 1 << 24 });
    assert_eq!(narrow.is_ok(), wide.is_ok());
    let (Ok(narrow), Ok(all)) = (narrow, wide) else { return };
    assert_eq!(texts(&schema, &narrow), texts(&schema, &all));

    let mut part = writer(ours, Compression::None, &schema, "fuzz", vec![]).expect("the options fit");
    for rows in &all {
        let refused = part.write(&rows.batch).expect("memory takes all");
        assert!(refused.is_empty(), "{refused:?}");
    }
    let written = part.finish().expect("memory takes all");
    let again = read(ours, &schema, &written, Limits { rows: 1_000, bytes: 1 << 24 }).expect("we wrote it");
    assert!(again.iter().all(|rows| rows.rejects.is_empty()), "{again:?}");
    assert_eq!(texts(&schema, &all), texts(&schema, &again));
}

fn read(format: &Format, schema: &TableSchema, bytes: &[u8], limits: Limits) -> Result<Vec<Rows>> {
    open(format, Compression::None, schema, bytes).and_then(|mut part| drain(part.as_mut(), limits))
}

fn open(
    format: &Format,
    compression: Compression,
    schema: &TableSchema,
    bytes: &[u8],
) -> Result<Box<dyn PartReader>> {
    let wanted: Vec<String> = schema.columns.iter().map(|column| column.name.clone()).collect();
    reader(format, compression, schema, &wanted, Input::bytes("fuzz", bytes))
}

fn drain(part: &mut dyn PartReader, asked: Limits) -> Result<Vec<Rows>> {
    let (mut limits, mut all) = (asked, vec![]);
    loop {
        match part.next(limits)? {
            Step::Rows(rows) if rows.records > ROWS_MAX => return Ok(all),
            Step::Rows(rows) => all.push(rows),
            Step::Needs(bytes) => {
                assert!(bytes > limits.bytes, "asked for {bytes} with {} at hand", limits.bytes);
                if bytes > 1 << 28 {
                    return Ok(all);
                }
                limits.bytes = bytes;
                continue;
            }
            Step::End => return Ok(all),
        }
        limits = asked;
    }
}

/// Every value's text, row by row; JSON without the blanks around it.
fn texts(schema: &TableSchema, all: &[Rows]) -> Vec<Vec<Option<String>>> {
    let mut found = vec![];
    for rows in all {
        let columns = rows.batch.columns().iter().zip(&schema.columns);
        let values: Vec<_> = columns
            .map(|(array, column)| Values::new(array, column.logical).expect("the types fit"))
            .collect();
        let row = |row: usize| values.iter().map(|values| values.text(row)).collect();
        found.extend((0..rows.batch.num_rows()).map(row));
    }
    found
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests {
    use super::{replay::replay, *};

    #[test]
    fn csv_of_the_corpus() {
        replay("csv", csv);
    }

    #[test]
    fn json_lines_of_the_corpus() {
        replay("json_lines", json_lines);
    }

    #[test]
    fn parquet_of_the_corpus() {
        replay("parquet", parquet);
    }

    #[test]
    fn gzip_of_the_corpus() {
        replay("gzip", gzip);
    }

    #[test]
    fn zstd_of_the_corpus() {
        replay("zstd", zstd);
    }
}
