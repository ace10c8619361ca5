//! Files that Syncline did not write, as they come.

use std::{io::Write, process::Command};

use syncline_connect::{Selection, Severity};
use syncline_file::{EncodingName, FileConfig, Types};
use syncline_types::{StreamName, codes};

use crate::rig::{Rig, Told, only_stream, open, read};

fn utf16(text: &str, big: bool) -> Vec<u8> {
    let bytes = |unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() };
    std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(bytes).collect()
}

fn piped(program: &str, bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .arg("-c")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    child.stdin.take().expect("it has one").write_all(bytes).expect("it reads");
    child.wait_with_output().expect("it ends").stdout
}

#[tokio::test]
async fn csv_of_all_kinds_is_read() {
    let rig = Rig::new();
    let plain = FileConfig::default();
    let with = |change: &dyn Fn(&mut FileConfig)| {
        let mut config = plain.clone();
        change(&mut config);
        config
    };
    let cases: Vec<(&str, Vec<u8>, FileConfig)> = vec![
        ("plain.csv", b"id,name\n1,a\n2,\"\"\n3,\n".to_vec(), plain.clone()),
        ("crlf.csv", b"id,name\r\n1,a\r\n2,\"\"\r\n3,\r\n".to_vec(), plain.clone()),
        ("bom.csv", b"\xEF\xBB\xBFid,name\n1,a\n2,\"\"\n3,\n".to_vec(), plain.clone()),
        ("no_end.csv", b"id,name\n1,a\n2,\"\"\n3,".to_vec(), plain.clone()),
        ("semicolon.csv", b"id;name\n1;a\n2;\"\"\n3;\n".to_vec(), with(&|c| c.delimiter = Some(";".into()))),
        ("tabs.tsv", b"id\tname\n1\ta\n2\t\"\"\n3\t\n".to_vec(), plain.clone()),
        ("marker.csv", b"id,name\n1,a\n2,\n3,NULL\n".to_vec(), with(&|c| c.null = Some("NULL".into()))),
        ("le.csv", utf16("id,name\n1,a\n2,\"\"\n3,\n", false), plain.clone()),
        ("be.csv", utf16("id,name\n1,a\n2,\"\"\n3,\n", true), plain.clone()),
        ("zipped.csv.gz", piped("gzip", b"id,name\n1,a\n2,\"\"\n3,\n"), plain.clone()),
        (
            "lines.jsonl",
            br#"{"id":1,"name":"a"}
{"id":2,"name":""}
{"id":3}
"#
            .to_vec(),
            plain.clone(),
        ),
        (
            "lines.ndjson.gz",
            piped("gzip", b"{\"id\":1,\"name\":\"a\"}\n{\"id\":2,\"name\":\"\"}\n{\"id\":3,\"name\":null}\n"),
            plain.clone(),
        ),
    ];
    for (name, bytes, config) in cases {
        rig.file(name, bytes);
        let config = FileConfig {
            path: rig.path(name).display().to_string(),
            part_bytes: 1 << 20,
            merge_keys_max: 1,
            ..config
        };
        let told = read(config).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(told.rows, ["1|a", "2|", "3|~"], "{name}");
    }
    rig.file("bare.csv", "1,a\n2,b\n");
    let bare = FileConfig { header: Some(false), ..rig.config("bare.csv") };
    assert_eq!(read(bare).await.unwrap().rows, ["1|a", "2|b"]);
    rig.file("west.csv", b"id,name\n1,gr\xFC\xDFe\n");
    let west = FileConfig { encoding: Some(EncodingName::Latin1), ..rig.config("west.csv") };
    assert_eq!(read(west).await.unwrap().rows, ["1|grüße"]);
}

#[tokio::test]
async fn types_are_found_from_all_values_and_told() {
    let rig = Rig::new();
    rig.file("in/a.csv", "id,code,price\n1,007,1.50\n");
    rig.file("in/b.csv", "id,code,price\n2,8,3\n");
    let source = open(rig.config("in/*.csv")).await.unwrap();
    let read = only_stream(source.as_ref()).await.unwrap();
    assert_eq!(read.stream.name, StreamName::bare("in"));
    let types: Vec<String> =
        read.stream.schema.columns.iter().map(|column| column.logical.to_string()).collect();
    assert_eq!(types[..2], ["int64", "text"]);
    let findings = source.inspect(&[read]).await.unwrap();
    assert_eq!(findings[0].severity, Severity::Note);
    assert!(findings[0].message.contains("code text"), "{}", findings[0].message);
    let text = FileConfig { types: Some(Types::Text), ..rig.config("in/*.csv") };
    let source = open(text).await.unwrap();
    let read = only_stream(source.as_ref()).await.unwrap();
    assert!(read.stream.schema.columns.iter().all(|column| column.logical.to_string() == "text"));
    // Whoever says a name gives it to the stream.
    let named = source.discover(&Selection::Name(StreamName::bare("orders"))).await.unwrap();
    assert_eq!(named[0].name, StreamName::bare("orders"));
}

#[tokio::test]
async fn rows_that_cannot_be_read_are_named_by_file_and_line() {
    let rig = Rig::new();
    let mut bytes = b"id,name\n1,a\n2\n3,c,d\n4,\"x\ny\"\n5,".to_vec();
    bytes.extend([0xFF, b'\n', b'6', b',', b'z', b'\n']);
    rig.file("a.csv", bytes);
    let Told { rows, rejects } = rig.read("a.csv").await.unwrap();
    assert_eq!(rows, ["1|a", "4|x\ny", "6|z"]);
    assert_eq!(rejects, ["a.csv:3", "a.csv:4", "a.csv:7"]);
}

#[tokio::test]
async fn what_is_broken_as_a_whole_is_an_error_that_names_the_file() {
    let rig = Rig::new();
    let rows: String = (0..5_000).map(|id| format!("{id},value {}\n", id * 7_919 % 10_007)).collect();
    let zipped = piped("gzip", format!("id,name\n{rows}").as_bytes());
    rig.file("cut.csv.gz", &zipped[..zipped.len() - 20]);
    let mut flipped = zipped.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x55;
    rig.file("flipped.csv.gz", &flipped);
    rig.file("none.csv.gz", b"id,name\n1,a\n");
    rig.file("open.csv", "id,name\n1,\"a\n2,b\n");
    rig.file("twice.csv", "id,id\n1,2\n");
    rig.file("empty.csv", "");
    rig.file("nonsense.parquet", "PAR1 is not all");
    rig.file("empty.parquet", "");
    rig.file("apart/a.csv", "id,name\n1,a\n");
    rig.file("apart/b.csv", "id,title\n1,a\n");
    rig.file("kinds/a.csv", "id\n1\n");
    rig.file("kinds/b.csv.gz", &zipped);
    std::fs::create_dir(rig.path("bare")).unwrap();
    let fifo = rig.path("pipe.csv");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for (path, code, word) in [
        ("cut.csv.gz", &codes::BAD_BYTES, "cut.csv.gz"),
        ("flipped.csv.gz", &codes::BAD_BYTES, "flipped.csv.gz"),
        ("none.csv.gz", &codes::BAD_BYTES, "none.csv.gz"),
        ("open.csv", &codes::BAD_BYTES, "open.csv"),
        ("twice.csv", &codes::NAME_TAKEN, "twice.csv"),
        ("empty.csv", &codes::NEEDS_DECISION, "empty"),
        ("nonsense.parquet", &codes::BAD_BYTES, "nonsense.parquet"),
        ("empty.parquet", &codes::BAD_BYTES, "empty.parquet"),
        ("apart", &codes::NEEDS_DECISION, "b.csv"),
        ("kinds", &codes::NEEDS_DECISION, "b.csv.gz"),
        ("bare", &codes::STREAM_MISSING, "bare"),
        ("*.xml", &codes::STREAM_MISSING, "*.xml"),
        ("gone.csv", &codes::DATABASE_MISSING, "gone.csv"),
        ("pipe.csv", &codes::UNSUPPORTED, "pipe.csv"),
    ] {
        let error = rig.read(path).await.expect_err(path);
        assert_eq!(error.code(), code, "{path}: {error}");
        assert!(error.to_string().contains(word), "{path}: {error}");
    }
}
