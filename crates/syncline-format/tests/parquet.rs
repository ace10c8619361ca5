//! Parquet there and back, files of others, and damaged ones.

mod samples;

use std::sync::Arc;

use parquet::{
    arrow::arrow_reader::ParquetRecordBatchReaderBuilder,
    data_type::{ByteArray, ByteArrayType, FixedLenByteArrayType, Int32Type, Int64Type, Int96, Int96Type},
    file::{
        properties::WriterProperties,
        reader::{FileReader, SerializedFileReader},
        writer::SerializedFileWriter,
    },
    schema::parser::parse_message_type,
};
use proptest::prelude::*;
use samples::{
    COMPRESSIONS, Value as V, WIDE, batch, column, drain, open, rejected, rows, schema, texts, whole, write,
};
use syncline_format::{
    Compression, Format, Input, Limits, ParquetOptions, Step, Types, infer, reader, writer,
};
use syncline_types::{Column, LogicalType as L, TableSchema, codes};

fn parquet() -> Format {
    Format::Parquet(ParquetOptions::default())
}

fn with(compression: Compression) -> Format {
    Format::Parquet(ParquetOptions { compression, ..ParquetOptions::default() })
}

fn found(bytes: &[u8]) -> Result<TableSchema, syncline_types::Error> {
    infer(&parquet(), Compression::None, Types::Infer, [Ok(Input::bytes("part", bytes))])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_value_of_every_type_comes_back(
        rows in rows(&schema(), false, 12), compression in 0..3_usize, batches in 1..4_usize, few: bool,
    ) {
        let (schema, format) = (schema(), with(COMPRESSIONS[compression]));
        let batch = batch(&schema, &rows);
        let bytes = write(&format, Compression::None, &schema, &vec![batch.clone(); batches]);
        prop_assert_eq!(&found(&bytes).unwrap(), &schema);
        let mut part = open(&format, Compression::None, &schema, &bytes).unwrap();
        let limits = if few { Limits { rows: 3, bytes: 1 } } else { WIDE };
        let all = vec![batch; batches];
        let expected = arrow_select::concat::concat_batches(&schema.arrow(), &all).unwrap();
        prop_assert_eq!(whole(&schema, drain(part.as_mut(), limits).unwrap()), expected);
    }
}

#[test]
fn our_schema_comes_back_with_all_it_says() {
    let mut schema = TableSchema::new(
        "postgres",
        vec![
            Column::new("id", L::Int64).required().native("bigint"),
            Column {
                labels: Some(vec!["a".to_owned()]),
                collation: Some("C".to_owned()),
                ..Column::new("mood", L::TEXT)
            },
        ],
    )
    .with_key(["id"]);
    schema.unique = vec![vec!["mood".to_owned()]];
    let bytes = write(&parquet(), Compression::None, &schema, &[]);
    assert_eq!(found(&bytes).unwrap(), schema);
}

#[test]
fn other_readers_see_the_types() {
    let schema = schema();
    let bytes = write(&parquet(), Compression::None, &schema, &[]);
    let file = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
    let descriptor = file.metadata().file_metadata().schema_descr_ptr();
    let seen: Vec<String> = descriptor
        .columns()
        .iter()
        .map(|column| format!("{} {} {:?}", column.name(), column.physical_type(), column.converted_type()))
        .collect();
    for expected in [
        "c8 uint64 INT64 UINT_64",
        "c11 decimal(12,2) INT64 DECIMAL",
        "c12 decimal(38,10) FIXED_LEN_BYTE_ARRAY DECIMAL",
        "c13 decimal(65,30) FIXED_LEN_BYTE_ARRAY DECIMAL",
        "c19 date INT32 DATE",
        "c20 time BYTE_ARRAY UTF8",
        "c22 timestamptz INT64 TIMESTAMP_MICROS",
        "c25 json BYTE_ARRAY JSON",
    ] {
        assert!(seen.iter().any(|seen| seen == expected), "{expected} is not among {seen:#?}");
    }
    let adjusted: Vec<String> = descriptor
        .columns()
        .iter()
        .filter_map(|column| column.logical_type_ref())
        .map(|logical| format!("{logical:?}"))
        .collect();
    assert!(adjusted.iter().any(|logical| logical == "Uuid"), "{adjusted:?}");
    for zoned in ["true", "false"] {
        let flag = format!("is_adjusted_to_u_t_c: {zoned}");
        assert!(
            adjusted.iter().any(|logical| logical.contains("Timestamp") && logical.contains(&flag)),
            "{adjusted:?}"
        );
    }
}

#[test]
fn another_reader_reads_the_same_rows() {
    let schema =
        TableSchema::new("test", vec![Column::new("n", L::UInt64), Column::new("t", L::TIMESTAMPTZ)]);
    let rows = vec![vec![Some(V::Int(u64::MAX.into())), None], vec![None, Some(V::Int(-1))]];
    let batch = batch(&schema, &rows);
    let bytes = write(&parquet(), Compression::None, &schema, std::slice::from_ref(&batch));
    let mut theirs =
        ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap().build().unwrap();
    assert_eq!(theirs.next().unwrap().unwrap().columns(), batch.columns());
}

#[test]
fn what_parquet_has_no_place_for_is_refused_row_by_row() {
    let schema = TableSchema::new(
        "test",
        vec![
            Column::new("d", L::Decimal { precision: 5, scale: 2 }),
            Column::new("t", L::TIMESTAMP),
            Column::new("b", L::Date),
        ],
    );
    let good = || vec![Some(V::Int(1)), Some(V::Int(2)), None];
    let batch = batch(
        &schema,
        &[
            good(),
            vec![Some(V::Int(i128::MIN)), Some(V::Int(i64::MAX.into())), None],
            vec![None, Some(V::Int(i64::MIN.into())), None],
            vec![None, None, Some(V::Int(i32::MAX.into()))],
            good(),
        ],
    );
    let mut part = writer(&parquet(), Compression::None, &schema, "part", vec![]).unwrap();
    let refused = part.write(&batch).unwrap();
    assert_eq!(refused.iter().map(|refusal| refusal.row).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(
        refused[0].error.to_string().contains("column `d`: it has NaN in a decimal"),
        "{}",
        refused[0].error
    );
    let bytes = part.finish().unwrap();
    let mut part = open(&parquet(), Compression::None, &schema, &bytes).unwrap();
    assert_eq!(whole(&schema, drain(part.as_mut(), WIDE).unwrap()).num_rows(), 2);
}

#[test]
fn row_groups_are_bounded_by_bytes_and_wide_rows_stand_alone() {
    let schema = texts(&["a"]);
    let options = ParquetOptions { row_group_bytes: 4 << 20, compression: Compression::None };
    let format = Format::Parquet(options);
    let text = |length: usize, of: u8| vec![Some(V::Bytes(vec![of; length]))];
    let rows = [vec![text(1 << 20, b'x'); 10], vec![text(9 << 20, b'y')], vec![text(10, b'z'); 10]].concat();
    let batch = batch(&schema, &rows);
    let bytes = write(&format, Compression::None, &schema, std::slice::from_ref(&batch));
    let file = SerializedFileReader::new(bytes::Bytes::from(bytes.clone())).unwrap();
    let groups: Vec<i64> = file.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
    assert_eq!(groups, [3, 3, 3, 1, 1, 10]);
    // The wide row is not even decoded before there is room for it.
    let mut part = open(&format, Compression::None, &schema, &bytes).unwrap();
    let (mut asked, mut rows) = (vec![], 0);
    let mut room = 4 << 20;
    loop {
        match part.next(Limits { rows: 100, bytes: room }).unwrap() {
            Step::Needs(bytes) => {
                asked.push(bytes >> 20);
                room = bytes;
            }
            Step::Rows(found) => {
                assert!(found.bytes <= room);
                rows += found.batch.num_rows();
                room = 4 << 20;
            }
            Step::End => break,
        }
    }
    assert_eq!((rows, asked.len()), (21, 1), "{asked:?}");
    assert!((18..20).contains(&asked[0]), "{asked:?}");
}

#[test]
fn reading_goes_on_behind_what_is_safe() {
    let schema = TableSchema::new("test", vec![Column::new("n", L::Int64), Column::new("t", L::TEXT)]);
    let batch = |from: i64| {
        let row =
            |n: i64| vec![Some(V::Int(n.into())), (n % 3 > 0).then(|| V::Bytes(n.to_string().into_bytes()))];
        batch(&schema, &(from..from + 500).map(row).collect::<Vec<_>>())
    };
    let mut part = writer(&parquet(), Compression::None, &schema, "part", vec![]).unwrap();
    for group in 0..3 {
        part.write(&batch(group * 500)).unwrap();
    }
    let bytes = part.finish().unwrap();
    for (first, then) in [(0, 0), (1, 0), (499, 2), (1_000, 499), (3, 1_496), (1_500, 0)] {
        let mut part = open(&parquet(), Compression::None, &schema, &bytes).unwrap();
        part.skip(first).unwrap();
        if then > 0 {
            let Step::Rows(rows) = part.next(Limits { rows: 1, bytes: 1 << 20 }).unwrap() else {
                panic!("there are more")
            };
            assert_eq!(rows.records, first + 1);
            part.skip(then).unwrap();
        }
        let all = drain(part.as_mut(), WIDE).unwrap();
        let expected = 1_500 - first - then - u64::from(then > 0);
        assert_eq!(all.iter().map(|rows| rows.batch.num_rows() as u64).sum::<u64>(), expected);
        if let Some(rows) = all.first() {
            let next = (1_500 - expected).to_string();
            assert_eq!(column(&rows.batch, 0, L::Int64)[0].as_deref(), Some(next.as_str()));
        }
    }
    let mut part = open(&parquet(), Compression::None, &schema, &bytes).unwrap();
    assert!(part.skip(1_501).unwrap_err().to_string().contains("fewer rows"));
}

/// A file of somebody else's, with the columns of `message` written by `columns` in order.
fn theirs(
    message: &str,
    columns: &[&dyn Fn(&mut parquet::file::writer::SerializedColumnWriter<'_>)],
) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(message).expect("the schema is one"));
    let properties = Arc::new(WriterProperties::builder().build());
    let mut file = SerializedFileWriter::new(vec![], schema, properties).expect("memory takes all");
    let mut group = file.next_row_group().expect("memory takes all");
    let mut columns = columns.iter();
    while let Some(mut column) = group.next_column().expect("memory takes all") {
        columns.next().expect("there is a column")(&mut column);
        column.close().expect("memory takes all");
    }
    group.close().expect("memory takes all");
    file.into_inner().expect("memory takes all")
}

fn bytes_of(texts: &[&[u8]]) -> Vec<ByteArray> {
    texts.iter().map(|text| ByteArray::from(text.to_vec())).collect()
}

#[test]
fn files_of_others_are_read_by_their_own_types() {
    let int96 = |nanos: u32, day: u32| {
        let mut value = Int96::new();
        value.set_data(nanos, 0, day);
        value
    };
    let bytes = theirs(
        "message m {
            required int96 legacy;
            required int64 nanos (TIMESTAMP(NANOS, false));
            required int64 millis (TIMESTAMP_MILLIS);
            required int32 clock (TIME(MILLIS, true));
            optional binary price (DECIMAL(20, 2));
            required int32 small (DECIMAL(4, 1));
            required fixed_len_byte_array(12) span (INTERVAL);
            required binary raw;
            required int32 u (INTEGER(32, false));
            required binary kind (ENUM);
        }",
        &[
            &|c| {
                drop(c.typed::<Int96Type>().write_batch(
                    &[int96(5_000, 2_440_588), int96(1, 2_440_588)],
                    None,
                    None,
                ))
            },
            &|c| drop(c.typed::<Int64Type>().write_batch(&[1_000, 2_000], None, None)),
            &|c| drop(c.typed::<Int64Type>().write_batch(&[-1, 1], None, None)),
            &|c| drop(c.typed::<Int32Type>().write_batch(&[1_500, 0], None, None)),
            &|c| {
                drop(c.typed::<ByteArrayType>().write_batch(&bytes_of(&[&[0xFF, 0x85]]), Some(&[1, 0]), None))
            },
            &|c| drop(c.typed::<Int32Type>().write_batch(&[-125, 0], None, None)),
            &|c| {
                let span = [1_u32, 2, 3_500].map(u32::to_le_bytes).concat();
                let spans: Vec<_> =
                    [span.clone(), span].into_iter().map(|span| ByteArray::from(span).into()).collect();
                drop(c.typed::<FixedLenByteArrayType>().write_batch(&spans, None, None));
            },
            &|c| drop(c.typed::<ByteArrayType>().write_batch(&bytes_of(&[&[0, 255], &[]]), None, None)),
            &|c| drop(c.typed::<Int32Type>().write_batch(&[-1, 1], None, None)),
            &|c| drop(c.typed::<ByteArrayType>().write_batch(&bytes_of(&[b"a", b"b"]), None, None)),
        ],
    );
    let schema = found(&bytes).unwrap();
    let types: Vec<String> =
        schema.columns.iter().map(|c| format!("{} {} {}", c.name, c.logical, c.nullable)).collect();
    assert_eq!(
        types,
        [
            "legacy timestamp false",
            "nanos timestamp false",
            "millis timestamptz false",
            "clock time false",
            "price decimal(20,2) true",
            "small decimal(4,1) false",
            "span interval false",
            "raw binary false",
            "u uint32 false",
            "kind text false",
        ]
    );
    let mut part = open(&parquet(), Compression::None, &schema, &bytes).unwrap();
    let all = drain(part.as_mut(), WIDE).unwrap();
    let first: Vec<Option<String>> = schema
        .columns
        .iter()
        .enumerate()
        .map(|(index, c)| column(&all[0].batch, index, c.logical)[0].clone())
        .collect();
    let expected = [
        "1970-01-01 00:00:00.000005",
        "1970-01-01 00:00:00.000001",
        "1969-12-31 23:59:59.999+00:00",
        "00:00:01.5",
        "-1.23",
        "-12.5",
        "P1M2DT3.5S",
        "\\x00ff",
        "4294967295",
        "a",
    ];
    assert_eq!(first, expected.map(|text| Some(text.to_owned())));
    // One nanosecond is nothing that we hold.
    let (good, bad) = rejected(&all);
    assert_eq!((good, bad.len(), bad[0].0), (1, 1, 2));
    assert!(
        bad[0].1.contains("could not read row 2 of `part`: column `legacy` (timestamp) has"),
        "{}",
        bad[0].1
    );
    // Other types are filled in by the value's text, if they hold it exactly.
    let other = TableSchema::new(
        "test",
        schema
            .columns
            .iter()
            .map(|c| Column::new(&c.name, if c.name == "u" { L::Int8 } else { L::TEXT }))
            .collect(),
    );
    let mut part = open(&parquet(), Compression::None, &other, &bytes).unwrap();
    let (good, bad) = rejected(&drain(part.as_mut(), WIDE).unwrap());
    assert_eq!((good, bad.iter().map(|(row, _)| *row).collect::<Vec<_>>()), (0, vec![1, 2]));
}

#[test]
fn bytes_that_are_no_text_are_a_rejected_row() {
    let bytes = theirs(
        "message m { required binary a (STRING); }",
        &[&|c| drop(c.typed::<ByteArrayType>().write_batch(&bytes_of(&[b"x", b"\xFF", b"z"]), None, None))],
    );
    let schema = found(&bytes).unwrap();
    let mut part = open(&parquet(), Compression::None, &schema, &bytes).unwrap();
    let (good, bad) = rejected(&drain(part.as_mut(), WIDE).unwrap());
    assert_eq!((good, bad[0].0), (2, 2));
}

#[test]
fn nested_columns_are_refused_by_name() {
    let bytes = theirs(
        "message m { required group g { required int32 x; } }",
        &[&|c| drop(c.typed::<Int32Type>().write_batch(&[1], None, None))],
    );
    let error = found(&bytes).unwrap_err();
    assert!(error.to_string().contains("`g` of `part`: it is a list or structure"), "{error}");
}

#[test]
fn files_that_do_not_belong_together_are_named() {
    let file = |logical| {
        write(&parquet(), Compression::None, &TableSchema::new("t", vec![Column::new("a", logical)]), &[])
    };
    let inputs = [Ok(Input::bytes("one", file(L::Int64))), Ok(Input::bytes("two", file(L::TEXT)))];
    let error = infer(&parquet(), Compression::None, Types::Infer, inputs).unwrap_err().to_string();
    assert!(
        error.contains("`one` and `two`") && error.contains("column `a` is int64 in the first"),
        "{error}"
    );
    let other = texts(&["b"]);
    let error = open(&parquet(), Compression::None, &other, &file(L::Int64)).err().unwrap().to_string();
    assert!(error.contains("the stream has no column `a`"), "{error}");
}

/// A small file with some of everything.
fn sample() -> (TableSchema, Vec<u8>) {
    let schema = TableSchema::new("t", vec![Column::new("n", L::Int64), Column::new("t", L::TEXT)]);
    let row = |n: i128| vec![Some(V::Int(n)), (n % 3 > 0).then(|| V::Bytes(b"text".to_vec()))];
    let batch = batch(&schema, &(0..40).map(row).collect::<Vec<_>>());
    let bytes = write(&parquet(), Compression::None, &schema, &[batch]);
    (schema, bytes)
}

#[test]
fn a_file_that_was_cut_off_anywhere_is_an_error_that_names_it() {
    let (schema, bytes) = sample();
    for cut in 0..bytes.len() {
        for error in
            [found(&bytes[..cut]).err(), open(&parquet(), Compression::None, &schema, &bytes[..cut]).err()]
        {
            let error = error.expect("it was cut off");
            assert!(error.to_string().contains("`part`"), "{cut}: {error}");
            assert_eq!(error.code(), &codes::BAD_BYTES);
        }
    }
}

#[test]
fn a_damaged_file_never_panics() {
    let (schema, bytes) = sample();
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xFF] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            let _ = found(&damaged);
            if let Ok(mut part) = open(&parquet(), Compression::None, &schema, &damaged) {
                let _ = part.skip(3).and_then(|()| drain(part.as_mut(), Limits { rows: 7, bytes: 1 << 20 }));
            }
        }
    }
}

#[test]
fn what_parquet_cannot_be_read_from_is_refused() {
    let (schema, bytes) = sample();
    let wanted = ["n".to_owned()];
    let stream = Input::stream("part", std::io::Cursor::new(bytes.clone()));
    let error = reader(&parquet(), Compression::None, &schema, &wanted, stream).err().unwrap();
    assert_eq!(error.code(), &codes::UNSUPPORTED);
    let error =
        reader(&parquet(), Compression::Gzip, &schema, &wanted, Input::bytes("part", bytes)).err().unwrap();
    assert!(error.to_string().contains("`compression`"), "{error}");
    assert!(writer(&parquet(), Compression::Zstd, &schema, "part", vec![]).is_err());
}
