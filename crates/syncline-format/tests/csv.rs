//! CSV there and back, and what other programs and broken files have in them.

mod samples;

use proptest::prelude::*;
use samples::{COMPRESSIONS, WIDE, batch, column, drain, open, rejected, rows, schema, texts, whole, write};
use syncline_format::{
    BinaryText, Compression, CsvOptions, Encoding, Format, Input, Limits, Step, Types, infer, writer,
};
use syncline_types::{Column, LogicalType as L, TableSchema};

fn csv(change: impl Fn(&mut CsvOptions)) -> Format {
    let mut options = CsvOptions::default();
    change(&mut options);
    Format::Csv(options)
}

fn plain() -> Format {
    csv(|_| {})
}

/// Rows of a text, and what is rejected of it.
fn read(format: &Format, schema: &TableSchema, text: &[u8]) -> (usize, Vec<(u64, String)>) {
    let mut part = open(format, Compression::None, schema, text).expect("it can be read");
    rejected(&drain(part.as_mut(), WIDE).expect("it can be read"))
}

/// The columns of a text without rejected rows.
fn values(format: &Format, schema: &TableSchema, text: &[u8]) -> Vec<Vec<Option<String>>> {
    let mut part = open(format, Compression::None, schema, text).expect("it can be read");
    let all = whole(schema, drain(part.as_mut(), WIDE).expect("it can be read"));
    schema.columns.iter().enumerate().map(|(index, c)| column(&all, index, c.logical)).collect()
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| Some((*text).to_owned())).collect()
}

fn dialects() -> impl Strategy<Value = Format> {
    prop_oneof![
        Just(plain()),
        Just(csv(|options| {
            options.delimiter = b';';
            options.quote = b'\'';
            options.null = "\\N".to_owned();
            options.header = false;
            options.binary = BinaryText::Hex;
        })),
        // Both are made of what base64 is made of.
        Just(csv(|options| {
            options.delimiter = b'/';
            options.null = "AA==".to_owned();
        })),
        Just(csv(|options| {
            options.delimiter = b'\t';
            options.null = "NULL".to_owned();
        })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn every_value_of_every_type_comes_back(
        rows in rows(&schema(), true, 12), format in dialects(), compression in 0..3_usize, few: bool,
    ) {
        let (schema, compression) = (schema(), COMPRESSIONS[compression]);
        let batch = batch(&schema, &rows);
        let bytes = write(&format, compression, &schema, std::slice::from_ref(&batch));
        let mut part = open(&format, compression, &schema, &bytes).unwrap();
        let limits = if few { Limits { rows: 3, bytes: 1 } } else { WIDE };
        prop_assert_eq!(whole(&schema, drain(part.as_mut(), limits).unwrap()), batch);
    }

    #[test]
    fn any_text_in_a_single_column_comes_back(rows in rows(&texts(&["a"]), true, 12), format in dialects()) {
        let schema = texts(&["a"]);
        let batch = batch(&schema, &rows);
        let bytes = write(&format, Compression::None, &schema, std::slice::from_ref(&batch));
        let mut part = open(&format, Compression::None, &schema, &bytes).unwrap();
        prop_assert_eq!(whole(&schema, drain(part.as_mut(), WIDE).unwrap()), batch);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(
        prop_oneof![any::<u8>(), proptest::sample::select(b"\",\n\r\\ab\xFF\xFE".to_vec())], 0..60), backslash: bool) {
        for encoding in [Encoding::Detect, Encoding::Utf16Le, Encoding::Windows1252] {
            let format = csv(|options| {
                options.backslash = backslash;
                options.header = false;
                options.encoding = encoding;
            });
            let schema = texts(&["a", "b"]);
            let mut part = open(&format, Compression::None, &schema, &bytes).unwrap();
            let _ = drain(part.as_mut(), Limits { rows: 2, bytes: 1 });
            let _ = infer(&format, Compression::None, Types::Infer, [Ok(Input::bytes("part", bytes.clone()))]);
        }
    }
}

#[test]
fn broken_rows_are_named_by_the_line_they_begin_in() {
    let schema = TableSchema::new("test", vec![Column::new("a", L::Int32), Column::new("b", L::TEXT)]);
    for (text, good, bad) in [
        ("a,b\n1,x\n2\n3,y\n", 2, vec![(3, "it has 1 fields, and 2 belong there")]),
        ("a,b\n1,x,z\n3,y\n", 1, vec![(2, "it has 3 fields, and 2 belong there")]),
        (
            "a,b\n1,\"x\ny\"\n2,\"z\n\n\"\nx,y\n",
            2,
            vec![(7, "column `a` (int32) has no whole number that the type holds")],
        ),
        ("a,b\n1,x\"y\n2,z\n", 1, vec![(2, "it has a quote inside a field that does not begin with one")]),
        (
            "a,b\n1,\"x\"y\n2,z\n",
            1,
            vec![(2, "something stands between a closing quote and the next delimiter")],
        ),
        ("a,b\n1,\"x\ny\"z\n2,z\n", 1, vec![(2, "(it ends in line 3)")]),
        ("a,b\r\n1,x\r\n2,y\n3,z\r\n", 2, vec![(3, "line end of another kind")]),
        (
            "a,b\n1,x\n2,y\r\n3,z\n4,p\rq\n",
            2,
            vec![(3, "line end of another kind"), (5, "line end of another kind")],
        ),
        ("a,b\n1,x\n2,\"open", 1, vec![(3, "the file ends inside its quotes")]),
        ("a,b\n99999999999,x\n,y\n\"\",y\n", 1, vec![(2, "column `a`"), (4, "column `a`")]),
        // Empty lines are no rows where rows have several fields.
        ("a,b\n\n1,x\n\n\ny,y\n\n", 1, vec![(6, "column `a`")]),
    ] {
        let (found, rejected) = read(&plain(), &schema, text.as_bytes());
        let lines: Vec<u64> = rejected.iter().map(|(line, _)| *line).collect();
        let expected: Vec<u64> = bad.iter().map(|(line, _)| *line).collect();
        assert_eq!((found, lines), (good, expected), "{text:?}: {rejected:?}");
        for ((line, error), (_, reason)) in rejected.iter().zip(&bad) {
            let place = format!("could not read line {line} of `part`: ");
            assert!(error.starts_with(&place) && error.contains(reason), "{text:?}: {error}");
        }
    }
}

#[test]
fn what_is_no_utf8_is_rejected_and_the_rest_is_read() {
    let schema = texts(&["a", "b"]);
    let (good, bad) = read(&plain(), &schema, b"a,b\n1,x\n2,\xFF\n\xC3,\n4,\xC3\xA9\n");
    assert_eq!((good, bad.iter().map(|(line, _)| *line).collect::<Vec<_>>()), (2, vec![3, 4]));
    assert!(bad[0].1.contains("no text in the file's encoding"), "{}", bad[0].1);
}

#[test]
fn a_quote_that_is_never_closed_stops_with_its_line() {
    let schema = texts(&["a", "b"]);
    let mut part = open(&plain(), Compression::None, &schema, b"a,b\n1,x\n2,\"y\n3,z\n4,z\n").unwrap();
    let Step::Rows(rows) = part.next(WIDE).unwrap() else { panic!("the first row is good") };
    assert_eq!((rows.batch.num_rows(), rows.records), (1, 1));
    for _ in 0..2 {
        let error = part.next(WIDE).unwrap_err().to_string();
        assert!(error.contains("the row of line 3 is still open in line 6, where the file ends"), "{error}");
    }
}

#[test]
fn null_and_the_empty_text_stay_apart() {
    let schema = texts(&["a", "b"]);
    assert_eq!(
        values(&plain(), &schema, b"a,b\n,\"\"\n\"\",\n\\N,\"\\N\"\n"),
        [
            vec![None, Some(String::new()), Some("\\N".to_owned())],
            vec![Some(String::new()), None, Some("\\N".to_owned())]
        ]
    );
    let mysql = csv(|options| {
        options.null = "\\N".to_owned();
        options.backslash = true;
        options.header = false;
    });
    // As MySQL writes FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '"'.
    assert_eq!(
        values(&mysql, &schema, b"\\N,\"\\\\N\"\n,\"a\\\"b\\\nc\\0\\,\"\n\"q\"\"q\",x\\ty\\\nz\n"),
        [vec![None, Some(String::new()), Some("q\"q".to_owned())], some(&["\\N", "a\"b\nc\0,", "x\ty\nz"])]
    );
}

#[test]
fn line_ends_and_encodings_of_others() {
    let schema = texts(&["a", "b"]);
    let expected = [some(&["1", "2"]), some(&["ä€", "\u{1F600}\n"])];
    let text = "a,b\n1,ä€\n2,\"\u{1F600}\n\"\n";
    let utf16 = |unit: fn(u16) -> [u8; 2], mark: bool| -> Vec<u8> {
        let mark = if mark { "\u{FEFF}" } else { "" };
        format!("{mark}{text}").encode_utf16().flat_map(unit).collect()
    };
    assert_eq!(values(&plain(), &schema, text.as_bytes()), expected);
    assert_eq!(values(&plain(), &schema, format!("\u{FEFF}{text}").as_bytes()), expected);
    assert_eq!(values(&plain(), &schema, text.trim_end().as_bytes()), expected);
    assert_eq!(values(&plain(), &schema, &utf16(u16::to_le_bytes, true)), expected);
    assert_eq!(values(&plain(), &schema, &utf16(u16::to_be_bytes, true)), expected);
    let named = |encoding| csv(move |options| options.encoding = encoding);
    assert_eq!(values(&named(Encoding::Utf16Le), &schema, &utf16(u16::to_le_bytes, false)), expected);
    assert_eq!(values(&named(Encoding::Utf16Be), &schema, &utf16(u16::to_be_bytes, true)), expected);
    let crlf = text.replace("\n", "\r\n");
    assert_eq!(values(&plain(), &schema, crlf.as_bytes())[1][1], Some("\u{1F600}\r\n".to_owned()));
    assert_eq!(
        values(&plain(), &schema, b"a,b\r1,x\r2,\"y\rz\"\r"),
        [some(&["1", "2"]), some(&["x", "y\rz"])]
    );
    assert_eq!(
        values(&named(Encoding::Windows1252), &schema, b"a,b\n1,\x80\xE4\n"),
        [some(&["1"]), some(&["\u{20AC}\u{E4}"])]
    );
    assert_eq!(
        values(&named(Encoding::Latin1), &schema, b"a,b\n1,\xE4\n"),
        [some(&["1"]), some(&["\u{E4}"])]
    );
}

#[test]
fn half_characters_of_utf16_are_rejected_rows() {
    let schema = texts(&["a", "b"]);
    let mut bytes: Vec<u8> = "\u{FEFF}a,b\n1,x\n2,".encode_utf16().flat_map(u16::to_le_bytes).collect();
    bytes.extend([0x00, 0xD8]);
    bytes.extend("\n3,y\n4,z".encode_utf16().flat_map(u16::to_le_bytes));
    bytes.push(b'!');
    let (good, bad) = read(&plain(), &schema, &bytes);
    assert_eq!((good, bad.iter().map(|(line, _)| *line).collect::<Vec<_>>()), (2, vec![3, 5]));
}

#[test]
fn columns_are_found_by_their_names() {
    let schema =
        TableSchema::new("test", vec![Column::new("a", L::Int32), Column::new("b", L::TEXT).required()]);
    assert_eq!(values(&plain(), &schema, b"b,a\nx,1\n"), [some(&["1"]), some(&["x"])]);
    for (text, reason) in [
        ("a,c\n1,2\n", "the stream has no column `c`"),
        ("a\n1\n", "column `b` is not in it"),
        ("a,b,a\n1,2,3\n", "two columns are called `a`"),
        ("a,\"b\n", "its header: the file ends inside its quotes"),
    ] {
        let mut part = open(&plain(), Compression::None, &schema, text.as_bytes()).unwrap();
        let error = part.next(WIDE).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    let (good, bad) = read(&plain(), &schema, b"a,b\n1,\n");
    assert_eq!(good, 0);
    assert!(bad[0].1.contains("column `b` (text) has NULL, which the column never is"), "{}", bad[0].1);
    assert_eq!(read(&plain(), &schema, b""), (0, vec![]));
}

#[test]
fn reading_goes_on_behind_what_is_safe() {
    let schema = texts(&["a", "b"]);
    let text = b"a,b\n1,\"x\n\"\n2\n3,y\n\n4,z\n";
    let mut part = open(&plain(), Compression::None, &schema, text).unwrap();
    part.skip(2).unwrap();
    let all = drain(part.as_mut(), Limits { rows: 1, bytes: 1 << 20 }).unwrap();
    assert_eq!(all.iter().map(|rows| rows.records).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(column(&all[1].batch, 0, L::TEXT), some(&["4"]));
    assert!(part.skip(1).unwrap_err().to_string().contains("fewer rows"));
}

#[test]
fn a_wide_row_asks_for_its_memory_first() {
    let schema = texts(&["a", "b"]);
    let wide = "x".repeat(5 << 20);
    let text = format!("a,b\n1,short\n2,\"{wide}\"\n3,\"{wide}\"\n4,short\n");
    let mut part = open(&plain(), Compression::None, &schema, text.as_bytes()).unwrap();
    let (mut room, mut rows) = (1 << 20, vec![]);
    loop {
        match part.next(Limits { rows: 100, bytes: room }).unwrap() {
            Step::Needs(bytes) => {
                assert!(bytes > room && bytes <= 20 << 20, "{bytes}");
                room = bytes;
            }
            Step::Rows(found) => {
                assert!(found.bytes <= room);
                rows.push(found.batch.num_rows());
                room = 1 << 20;
            }
            Step::End => break,
        }
    }
    // The last one is in memory already when the one before it has been read.
    assert_eq!(rows, [1, 1, 2]);
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    let schema = texts(&["a"]);
    for (option, change) in [
        ("delimiter", (|options| options.delimiter = b'\n') as fn(&mut CsvOptions)),
        ("quote", |options| options.quote = b','),
        ("null", |options| options.null = "a,b".to_owned()),
        ("backslash", |options| options.backslash = true),
        ("encoding", |options| options.encoding = Encoding::Latin1),
    ] {
        let error = writer(&csv(change), Compression::None, &schema, "part", vec![]).err().unwrap();
        assert!(error.to_string().contains(&format!("`{option}`")), "{error}");
    }
}

fn inferred(format: &Format, files: &[&str]) -> Vec<String> {
    let inputs = files.iter().enumerate().map(|(index, text)| Ok(Input::bytes(format!("f{index}"), *text)));
    let schema = infer(format, Compression::None, Types::Infer, inputs).expect("it can be read");
    schema.columns.iter().map(|column| format!("{} {}", column.name, column.logical)).collect()
}

#[test]
fn types_are_found_over_all_of_all_files() {
    for (values, expected) in [
        ("true\nFALSE\n", "boolean"),
        ("t\nf\n", "text"),
        ("1\n-2\n\n", "int64"),
        ("999999999999999999\n", "int64"),
        ("1000000000000000000\n", "text"),
        ("007\n1\n", "text"),
        ("+49\n1\n", "text"),
        ("-0\n1\n", "double"),
        ("1\n2.50\n", "decimal(18,2)"),
        ("1234567890123456789.5\n", "decimal(38,1)"),
        ("1234567890123456789012345678901234567.5\n0.25\n", "text"),
        ("1e3\n2.5\nNaN\n", "double"),
        ("1e3\n1234567890.123456789\n", "text"),
        ("1e999\n", "text"),
        ("1.\n.5\n", "text"),
        (" 1\n", "text"),
        ("\"1\"\n2\n", "int64"),
        ("\"\"\n2\n", "text"),
        ("2024-02-29\n", "date"),
        ("2023-02-29\n", "text"),
        ("2024-02-29 12:00\n2024-02-29T12:00:00.5\n", "timestamp"),
        ("2024-02-29 12:00Z\n", "timestamptz"),
        ("2024-02-29 12:00Z\n2024-02-29 12:00\n", "text"),
        ("2024-02-29 12:00:00.1234567\n", "text"),
        ("1\nx\n", "text"),
        ("\n\n", "text"),
    ] {
        let expected = expected.replace("double", "float64");
        assert_eq!(inferred(&plain(), &[&format!("a\n{values}")]), [format!("a {expected}")], "{values:?}");
    }
    assert_eq!(inferred(&plain(), &["a,b\n1,x\n", "", "b,a\n,2.5\n"]), ["a decimal(18,1)", "b text"]);
    let headless = csv(|options| options.header = false);
    assert_eq!(inferred(&headless, &["1,x\n2\n"]), ["column_1 int64", "column_2 text"]);
    assert_eq!(inferred(&plain(), &["a,\n1,2\n"]), ["a int64", "column_2 int64"]);
    let as_text = infer(&plain(), Compression::None, Types::Text, [Ok(Input::bytes("f", "a\n1\n"))]).unwrap();
    assert_eq!(as_text.columns[0].logical, L::TEXT);
}

#[test]
fn files_that_do_not_belong_together_are_named() {
    let files = ["a,b\n1,2\n", "a,c\n1,2\n"];
    let inputs = files.iter().enumerate().map(|(index, text)| Ok(Input::bytes(format!("f{index}"), *text)));
    let error = infer(&plain(), Compression::None, Types::Infer, inputs).unwrap_err().to_string();
    assert!(error.contains("`f1` and `f0`") && error.contains("`c`"), "{error}");
    let error = infer(&plain(), Compression::None, Types::Infer, [Ok(Input::bytes("f", ""))]).unwrap_err();
    assert!(error.to_string().contains("all empty"), "{error}");
}
