//! JSON Lines there and back, and what other programs and broken files have in them.

mod samples;

use proptest::prelude::*;
use samples::{COMPRESSIONS, WIDE, batch, column, drain, open, rejected, rows, schema, texts, whole, write};
use syncline_format::{
    BinaryText, Compression, Format, Input, JsonLinesOptions, Limits, Types, infer, writer,
};
use syncline_types::{Column, LogicalType as L, TableSchema};

fn plain() -> Format {
    Format::JsonLines(JsonLinesOptions::default())
}

fn of_others() -> Format {
    Format::JsonLines(JsonLinesOptions { json_null: false, ..JsonLinesOptions::default() })
}

fn read(schema: &TableSchema, text: &[u8]) -> (usize, Vec<(u64, String)>) {
    let mut part = open(&plain(), Compression::None, schema, text).expect("it is opened");
    rejected(&drain(part.as_mut(), WIDE).expect("it is read"))
}

fn values(format: &Format, schema: &TableSchema, text: &[u8]) -> Vec<Vec<Option<String>>> {
    let mut part = open(format, Compression::None, schema, text).expect("it is opened");
    let all = whole(schema, drain(part.as_mut(), WIDE).expect("it is read"));
    schema.columns.iter().enumerate().map(|(index, c)| column(&all, index, c.logical)).collect()
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| Some((*text).to_owned())).collect()
}

/// JSON loses the blanks around it; nothing else.
fn trimmed(batch: &arrow_array::RecordBatch, schema: &TableSchema) -> Vec<Vec<Option<String>>> {
    let of = |(index, c): (usize, &Column)| {
        let texts = column(batch, index, c.logical).into_iter();
        match c.logical {
            L::Json { .. } => texts.map(|text| text.map(|text| text.trim().to_owned())).collect(),
            _ => texts.collect(),
        }
    };
    schema.columns.iter().enumerate().map(of).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn every_value_of_every_type_comes_back(
        rows in rows(&schema(), true, 12), compression in 0..3_usize, few: bool, hex: bool,
    ) {
        let binary = if hex { BinaryText::Hex } else { BinaryText::Base64 };
        let format = Format::JsonLines(JsonLinesOptions { binary, json_null: true });
        let (schema, compression) = (schema(), COMPRESSIONS[compression]);
        let batch = batch(&schema, &rows);
        let bytes = write(&format, compression, &schema, std::slice::from_ref(&batch));
        let mut part = open(&format, compression, &schema, &bytes).unwrap();
        let limits = if few { Limits { rows: 3, bytes: 1 } } else { WIDE };
        let back = whole(&schema, drain(part.as_mut(), limits).unwrap());
        prop_assert_eq!(trimmed(&back, &schema), trimmed(&batch, &schema));
    }

    #[test]
    fn every_line_is_json_that_others_read(rows in rows(&schema(), true, 4)) {
        let schema = schema();
        let bytes = write(&plain(), Compression::None, &schema, &[batch(&schema, &rows)]);
        let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        prop_assert_eq!(lines.len(), rows.len());
        for line in lines {
            prop_assert!(serde_json::from_slice::<serde_json::Value>(line).unwrap().is_object());
        }
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(
        prop_oneof![1 => any::<u8>(), 8 => proptest::sample::select(b"{}[]\",:\\\nab1eu0 ".to_vec())], 0..80)) {
        let schema = TableSchema::new("test", vec![Column::new("a", L::TEXT), Column::new("b", L::Int64)]);
        let mut part = open(&plain(), Compression::None, &schema, &bytes).unwrap();
        let _ = drain(part.as_mut(), Limits { rows: 2, bytes: 1 });
        let _ = infer(&plain(), Compression::None, Types::Infer, [Ok(Input::bytes("part", bytes))]);
    }
}

#[test]
fn broken_lines_are_named_by_their_numbers() {
    let schema =
        TableSchema::new("test", vec![Column::new("a", L::Int32), Column::new("b", L::TEXT).required()]);
    let text = br#"{"a":1,"b":"x"}

{"a":1,"b":"x"
{"a":1,"b":"x"} 2
[1]
{"a":"x","b":""}
{"a":1.5,"b":""}
{"a":1}
{"a":1,"b":"x","c":3}
{"a":1,"b":"x","a":2}
{"a":1,"b":"\ud800"}
{"a":[1],"b":""}
{"a":"-7","b":1.50}
{"b":"\u0000\ud83d\ude00","a":2.0}
"#;
    let (good, bad) = read(&schema, text);
    assert_eq!(good, 3);
    let expected = [
        (3, "it is no JSON: a comma or brace is missing at byte 15"),
        (4, "something follows"),
        (5, "what should be an object begins otherwise"),
        (6, "column `a` (int32) has no whole number"),
        (7, "column `a` (int32) has no whole number"),
        (8, "column `b` (text) has no value, and the column is never NULL"),
        (9, "it has a key `c`, and the stream has no such column"),
        (10, "its key `a` is there twice"),
        (11, "column `b` (text) has half a character"),
        (12, "column `a` (int32) has an object or array"),
    ];
    assert_eq!(bad.len(), expected.len(), "{bad:?}");
    for ((line, error), (expected_line, reason)) in bad.iter().zip(expected) {
        assert_eq!(*line, expected_line, "{error}");
        assert!(error.contains(&format!("line {line} of `part`: ")) && error.contains(reason), "{error}");
    }
    let (good, bad) = read(&schema, b"{\"b\":\"\xFF\"}\n{\"b\":\"\"}");
    assert_eq!((good, bad[0].0), (1, 1));
    assert!(bad[0].1.contains("no UTF-8"), "{}", bad[0].1);
}

#[test]
fn files_of_others_are_read() {
    let schema = TableSchema::new(
        "test",
        vec![Column::new("id", L::Int64), Column::new("t", L::TIMESTAMPTZ), Column::new("doc", L::JSON)],
    );
    let text = "\u{FEFF}{\"t\":\"2024-02-29T12:00:00Z\",\"doc\":{\"x\": [1.10]},\"id\":1}\r\n {\"id\":null,\"doc\":null}\n\n{\"id\":3}";
    assert_eq!(
        values(&of_others(), &schema, text.as_bytes()),
        [
            vec![Some("1".to_owned()), None, Some("3".to_owned())],
            vec![Some("2024-02-29 12:00:00+00:00".to_owned()), None, None],
            vec![Some("{\"x\": [1.10]}".to_owned()), None, None],
        ]
    );
    assert_eq!(values(&plain(), &schema, text.as_bytes())[2][1], Some("null".to_owned()));
}

#[test]
fn what_is_written_looks_like_this() {
    let schema = TableSchema::new(
        "test",
        vec![
            Column::new("u", L::UInt64),
            Column::new("d", L::Decimal { precision: 38, scale: 2 }),
            Column::new("f", L::Float64),
            Column::new("b", L::Bool),
            Column::new("t", L::TIMESTAMP),
            Column::new("\"j", L::JSON),
        ],
    );
    use samples::Value as V;
    let rows = vec![
        vec![
            Some(V::Int(u64::MAX.into())),
            Some(V::Int(12_345)),
            Some(V::Float64(f64::NEG_INFINITY)),
            Some(V::Bool(true)),
            Some(V::Int(1_500_000)),
            Some(V::Bytes(b" [1,\n2.50] ".to_vec())),
        ],
        vec![None, None, Some(V::Float64(1e300)), None, None, None],
    ];
    let bytes = write(&plain(), Compression::None, &schema, &[batch(&schema, &rows)]);
    assert_eq!(
        String::from_utf8(bytes).unwrap(),
        "{\"u\":18446744073709551615,\"d\":\"123.45\",\"f\":\"-Infinity\",\"b\":true,\
         \"t\":\"1970-01-01T00:00:01.5\",\"\\\"j\":[1, 2.50]}\n\
         {\"u\":null,\"d\":null,\"f\":1e300,\"b\":null,\"t\":null}\n"
    );
}

#[test]
fn what_is_no_json_is_refused_and_leaves_nothing() {
    let schema = TableSchema::new("test", vec![Column::new("a", L::TEXT), Column::new("j", L::JSON)]);
    use samples::Value as V;
    let row = |json: &str| vec![Some(V::Bytes(b"x".to_vec())), Some(V::Bytes(json.as_bytes().to_vec()))];
    let batch = batch(&schema, &[row("1"), row("{\"k\":secret}"), row("2")]);
    let mut part = writer(&plain(), Compression::None, &schema, "part", vec![]).unwrap();
    let refused = part.write(&batch).unwrap();
    assert_eq!(refused.iter().map(|refusal| refusal.row).collect::<Vec<_>>(), [1]);
    let error = refused[0].error.to_string();
    assert!(error.contains("column `j`") && !error.contains("secret"), "{error}");
    assert_eq!(part.finish().unwrap(), b"{\"a\":\"x\",\"j\":1}\n{\"a\":\"x\",\"j\":2}\n");
}

#[test]
fn types_are_found_over_all_of_all_files() {
    for (lines, expected) in [
        (vec!["1", "-5"], "int64"),
        (vec!["1", "12345678901234567890"], "numeric"),
        (vec!["1.5", "100"], "decimal(18,1)"),
        (vec!["1.5", "1e3"], "float64"),
        (vec!["0.12345678901234567890", "1e3"], "numeric"),
        (vec!["true", "null"], "boolean"),
        (vec!["true", "1"], "text"),
        (vec!["\"1\""], "text"),
        (vec!["\"2024-02-29\""], "date"),
        (vec!["\"2024-02-29T10:00:00Z\""], "timestamptz"),
        (vec!["\"2024-02-29T10:00:00\"", "\"x\""], "text"),
        (vec!["{\"x\":1}", "1"], "json"),
        (vec!["null"], "text"),
    ] {
        let text: String = lines.iter().map(|value| format!("{{\"a\":{value}}}\nbroken\n")).collect();
        let schema =
            infer(&plain(), Compression::None, Types::Infer, [Ok(Input::bytes("f", text.clone()))]).unwrap();
        assert_eq!(schema.columns[0].logical.to_string(), expected, "{text}");
        // What was found reads every value there is.
        let (good, bad) = rejected(
            &drain(open(&of_others(), Compression::None, &schema, text.as_bytes()).unwrap().as_mut(), WIDE)
                .unwrap(),
        );
        assert_eq!((good, bad.len()), (lines.len(), lines.len()), "{bad:?}");
    }
    let files = ["{\"a\":1}\n{\"b\":2}\n", "{\"c\":{},\"a\":2.5}\n", ""];
    let inputs = files.map(|text| Ok(Input::bytes("f", text)));
    let schema = infer(&plain(), Compression::None, Types::Infer, inputs).unwrap();
    let found: Vec<String> =
        schema.columns.iter().map(|column| format!("{} {}", column.name, column.logical)).collect();
    assert_eq!(found, ["a decimal(18,1)", "b int64", "c json"]);
    let schema = infer(&plain(), Compression::None, Types::Text, [Ok(Input::bytes("f", files[1]))]).unwrap();
    assert_eq!(values(&plain(), &schema, files[1].as_bytes()), [some(&["{}"]), some(&["2.5"])]);
}

#[test]
fn reading_goes_on_behind_what_is_safe() {
    let schema = texts(&["a"]);
    let mut part =
        open(&plain(), Compression::None, &schema, b"{\"a\":\"1\"}\n\nx\n{\"a\":\"3\"}\n").unwrap();
    part.skip(2).unwrap();
    let all = drain(part.as_mut(), WIDE).unwrap();
    assert_eq!((all[0].records, column(&all[0].batch, 0, L::TEXT)), (3, some(&["3"])));
    assert!(part.skip(1).unwrap_err().to_string().contains("fewer rows"));
}
