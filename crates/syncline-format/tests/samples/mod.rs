//! A table with a column of every logical type, and any values for it.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::i256;
use proptest::prelude::*;
use syncline_format::{Compression, Format, Input, Limits, PartReader, Rows, Step, reader, writer};
use syncline_types::{
    Column, LogicalType, LogicalType as L, Result, TableSchema,
    build::ColumnBuilder,
    special::{
        DATE_INFINITY, DATE_MINUS_INFINITY, DECIMAL128_NAN, DECIMAL256_NAN, TIMESTAMP_INFINITY,
        TIMESTAMP_MINUS_INFINITY,
    },
};

pub(crate) const COMPRESSIONS: [Compression; 3] = [Compression::None, Compression::Gzip, Compression::Zstd];

/// As many bytes as any test's batch has.
pub(crate) const WIDE: Limits = Limits { rows: 1_000, bytes: 1 << 30 };

/// What a column holds in one row.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Bool(bool),
    Int(i128),
    Int256(i256),
    Float32(f32),
    Float64(f64),
    Bytes(Vec<u8>),
    Sixteen([u8; 16]),
}

pub(crate) type Row = Vec<Option<Value>>;

/// Every logical type.
pub(crate) fn types() -> Vec<LogicalType> {
    vec![
        L::Bool,
        L::Int8,
        L::Int16,
        L::Int32,
        L::Int64,
        L::UInt8,
        L::UInt16,
        L::UInt32,
        L::UInt64,
        L::Float32,
        L::Float64,
        L::Decimal { precision: 12, scale: 2 },
        L::Decimal { precision: 38, scale: 10 },
        L::Decimal { precision: 65, scale: 30 },
        L::Numeric,
        L::TEXT,
        L::Text { length: Some(10), padded: true },
        L::Binary,
        L::Bits { length: None, varying: true },
        L::Date,
        L::TIME,
        L::TIMESTAMP,
        L::TIMESTAMPTZ,
        L::Timestamp { zoned: false, precision: 3 },
        L::Interval,
        L::JSON,
        L::Json { normalized: true },
        L::Uuid,
        L::Opaque,
    ]
}

/// A table with all of them.
pub(crate) fn schema() -> TableSchema {
    let column = |(index, logical): (usize, LogicalType)| Column::new(format!("c{index} {logical}"), logical);
    TableSchema::new("test", types().into_iter().enumerate().map(column).collect())
}

/// Any rows of a table; values beyond a type's calendar or digits only if `special`.
pub(crate) fn rows(
    schema: &TableSchema,
    special: bool,
    most: usize,
) -> impl Strategy<Value = Vec<Row>> + use<> {
    let row: Vec<_> = schema
        .columns
        .iter()
        .map(|column| proptest::option::weighted(0.8, value(column.logical, special)))
        .collect();
    proptest::collection::vec(row, 0..most)
}

fn value(logical: LogicalType, special: bool) -> BoxedStrategy<Value> {
    let among = |finite: BoxedStrategy<i128>, odd: Vec<i128>| {
        if special {
            prop_oneof![8 => finite, 1 => proptest::sample::select(odd)].prop_map(Value::Int).boxed()
        } else {
            finite.prop_map(Value::Int).boxed()
        }
    };
    match logical {
        L::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        L::Int8 => any::<i8>().prop_map(|value| Value::Int(value.into())).boxed(),
        L::Int16 => any::<i16>().prop_map(|value| Value::Int(value.into())).boxed(),
        L::Int32 => any::<i32>().prop_map(|value| Value::Int(value.into())).boxed(),
        L::Int64 => any::<i64>().prop_map(|value| Value::Int(value.into())).boxed(),
        L::UInt8 => any::<u8>().prop_map(|value| Value::Int(value.into())).boxed(),
        L::UInt16 => any::<u16>().prop_map(|value| Value::Int(value.into())).boxed(),
        L::UInt32 => any::<u32>().prop_map(|value| Value::Int(value.into())).boxed(),
        L::UInt64 => any::<u64>().prop_map(|value| Value::Int(value.into())).boxed(),
        L::Float32 => prop_oneof![any::<f32>(), Just(f32::NAN), Just(-0.0), Just(f32::NEG_INFINITY)]
            .prop_map(|value| Value::Float32(if value.is_nan() { f32::NAN } else { value }))
            .boxed(),
        L::Float64 => prop_oneof![any::<f64>(), Just(f64::NAN), Just(-0.0), Just(f64::INFINITY)]
            .prop_map(|value| Value::Float64(if value.is_nan() { f64::NAN } else { value }))
            .boxed(),
        L::Decimal { precision, .. } if precision <= 38 => {
            let most = 10_i128.pow(precision.into());
            among((-most + 1..most).boxed(), vec![DECIMAL128_NAN])
        }
        L::Decimal { .. } => prop_oneof![
            any::<(i128, u64)>().prop_map(|(high, low)| {
                Value::Int256(i256::from_i128(high).wrapping_mul(i256::from_i128(low.into())))
            }),
            Just(Value::Int256(if special { DECIMAL256_NAN } else { i256::ONE })),
        ]
        .boxed(),
        L::Numeric => text("-?(0|[1-9][0-9]{0,60})(\\.[0-9]{1,60})?|NaN|-?Infinity"),
        L::Text { .. } | L::Opaque => prop_oneof![
            text("(?s).{0,20}"),
            text("[\",;\\\\\n\r\t\u{0} N'a\u{FEFF}]{0,8}"),
            proptest::sample::select(vec!["", "\\N", "NULL", "\\.", "\u{FEFF}", "\"", " x ", "null", "true"])
                .prop_map(|text| Value::Bytes(text.into())),
        ]
        .boxed(),
        L::Binary => proptest::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bytes).boxed(),
        L::Bits { .. } => text("[01]{0,70}"),
        L::Date => among(
            (-2_440_588_i128..2_145_042_541).boxed(),
            vec![DATE_INFINITY.into(), DATE_MINUS_INFINITY.into()],
        ),
        L::Time { .. } => (0_i128..=86_400_000_000).prop_map(Value::Int).boxed(),
        L::Timestamp { precision, .. } => {
            let unit = 10_i128.pow(6 - u32::from(precision));
            let finite = -210_866_803_200_000_i128..9_223_371_331_200_000;
            among(
                finite.prop_map(move |value| value * 1_000 / unit * unit).boxed(),
                vec![TIMESTAMP_INFINITY.into(), TIMESTAMP_MINUS_INFINITY.into()],
            )
        }
        L::Interval | L::Uuid => any::<[u8; 16]>().prop_map(Value::Sixteen).boxed(),
        L::Json { .. } => prop_oneof![
            proptest::sample::select(vec![
                "null",
                "true",
                "\"x\"",
                "[]",
                "{}",
                "{\"a\": 1.50, \"a\":[ null,true,\"\\u00e9\\n\\\"\"]}",
                "  [1, 2]",
                "-0.0e-1000",
                "\"\\ud83d\\ude00 \u{1F600}\"",
            ])
            .prop_map(|text| Value::Bytes(text.into())),
            text("\\{\"k\": -?[1-9][0-9]{0,40}(\\.[0-9]{1,40})?\\}"),
        ]
        .boxed(),
    }
}

fn text(pattern: &str) -> BoxedStrategy<Value> {
    proptest::string::string_regex(pattern)
        .expect("the pattern is one")
        .prop_map(|text| Value::Bytes(text.into_bytes()))
        .boxed()
}

/// The rows as a batch.
pub(crate) fn batch(schema: &TableSchema, rows: &[Row]) -> RecordBatch {
    let arrays = schema.columns.iter().enumerate().map(|(index, column)| {
        let mut builder = ColumnBuilder::new(column.logical, rows.len());
        for row in rows {
            match &row[index] {
                None => builder.push_null(),
                Some(value) => push(&mut builder, value),
            }
        }
        builder.finish().expect("the values are of their type")
    });
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(schema.arrow(), arrays.collect(), &options).expect("the columns fit")
}

fn push(builder: &mut ColumnBuilder, value: &Value) {
    use ColumnBuilder as B;
    const FITS: &str = "the value is of the type";
    match (builder, value) {
        (B::Bool(column), Value::Bool(value)) => column.push(*value),
        (B::Int8(column), Value::Int(value)) => column.push((*value).try_into().expect(FITS)),
        (B::Int16(column), Value::Int(value)) => column.push((*value).try_into().expect(FITS)),
        (B::Int32(column), Value::Int(value)) => column.push((*value).try_into().expect(FITS)),
        (B::Int64(column), Value::Int(value)) => column.push((*value).try_into().expect(FITS)),
        (B::UInt8(column), Value::Int(value)) => column.push((*value).try_into().expect(FITS)),
        (B::UInt16(column), Value::Int(value)) => column.push((*value).try_into().expect(FITS)),
        (B::UInt32(column), Value::Int(value)) => column.push((*value).try_into().expect(FITS)),
        (B::UInt64(column), Value::Int(value)) => column.push((*value).try_into().expect(FITS)),
        (B::Float32(column), Value::Float32(value)) => column.push(*value),
        (B::Float64(column), Value::Float64(value)) => column.push(*value),
        (B::Decimal128(column), Value::Int(value)) => column.push(*value),
        (B::Decimal256(column), Value::Int256(value)) => column.push(*value),
        (B::Date(column), Value::Int(value)) => column.push((*value).try_into().expect(FITS)),
        (B::Time(column), Value::Int(value)) => column.push((*value).try_into().expect(FITS)),
        (B::Timestamp(column), Value::Int(value)) => column.push((*value).try_into().expect(FITS)),
        (B::Text(column) | B::Binary(column), Value::Bytes(value)) => column.push(value),
        (B::Sixteen(column), Value::Sixteen(value)) => column.push(*value),
        (builder, value) => panic!("{value:?} into {builder:?}"),
    }
}

/// A file with the batches.
pub(crate) fn write(
    format: &Format,
    compression: Compression,
    schema: &TableSchema,
    batches: &[RecordBatch],
) -> Vec<u8> {
    let mut part = writer(format, compression, schema, "part", vec![]).expect("the writer begins");
    for batch in batches {
        let refused = part.write(batch).expect("the rows are written");
        assert!(refused.is_empty(), "{refused:?}");
    }
    part.finish().expect("the file ends")
}

/// A reader of all columns.
pub(crate) fn open(
    format: &Format,
    compression: Compression,
    schema: &TableSchema,
    bytes: &[u8],
) -> Result<Box<dyn PartReader>> {
    let wanted: Vec<String> = schema.columns.iter().map(|column| column.name.clone()).collect();
    reader(format, compression, schema, &wanted, Input::bytes("part", bytes))
}

/// All that a reader has.
pub(crate) fn drain(part: &mut dyn PartReader, mut limits: Limits) -> Result<Vec<Rows>> {
    let asked = limits;
    let mut all = vec![];
    loop {
        match part.next(limits)? {
            Step::Rows(rows) => all.push(rows),
            Step::Needs(bytes) => {
                assert!(bytes > limits.bytes, "asked for {bytes} with {} at hand", limits.bytes);
                limits.bytes = bytes;
                continue;
            }
            Step::End => return Ok(all),
        }
        limits = asked;
    }
}

/// All rows as one batch, none of them rejected.
pub(crate) fn whole(schema: &TableSchema, all: Vec<Rows>) -> RecordBatch {
    for rows in &all {
        assert!(rows.rejects.is_empty(), "{:?}", rows.rejects);
    }
    let batches: Vec<RecordBatch> = all.into_iter().map(|rows| rows.batch).collect();
    arrow_select::concat::concat_batches(&schema.arrow(), &batches).expect("the batches are alike")
}

/// Lines and reasons of what is rejected, and how many rows are not.
pub(crate) fn rejected(all: &[Rows]) -> (usize, Vec<(u64, String)>) {
    let good = all.iter().map(|rows| rows.batch.num_rows()).sum();
    let bad = all.iter().flat_map(|rows| &rows.rejects);
    (good, bad.map(|bad| (bad.line, bad.error.to_string())).collect())
}

/// Text columns of these names.
pub(crate) fn texts(names: &[&str]) -> TableSchema {
    TableSchema::new("test", names.iter().map(|name| Column::new(*name, L::TEXT)).collect())
}

/// A column as texts.
pub(crate) fn column(batch: &RecordBatch, index: usize, logical: LogicalType) -> Vec<Option<String>> {
    let array = Arc::clone(batch.column(index));
    let values = syncline_types::text::Values::new(&array, logical).expect("the column is of its type");
    (0..batch.num_rows()).map(|row| values.text(row)).collect()
}
