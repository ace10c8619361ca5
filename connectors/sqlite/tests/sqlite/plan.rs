//! What is found before anything is touched.

use std::sync::Arc;

use syncline_connect::{Target, WriteMode};
use syncline_types::{Column, DefaultValue, LogicalType as L, StreamName, TableSchema, codes};

use crate::rig::{Rig, blockers, copy, plan_of, rows, schema, target};

fn columns() -> TableSchema {
    schema(&[("id", L::Int64, false), ("v", L::TEXT, true)], &["id"])
}

#[tokio::test]
async fn names_that_cannot_be_written_to() {
    let rig = Rig::with(
        "CREATE TABLE x (a); CREATE INDEX taken ON x (a); CREATE VIEW seen AS SELECT * FROM x;
         CREATE VIEW broken AS SELECT * FROM nowhere; CREATE VIRTUAL TABLE words USING fts5(text)",
    );
    for (name, code) in [
        (StreamName::bare("TAKEN"), &codes::NAME_TAKEN),
        (StreamName::bare("seen"), &codes::NAME_TAKEN),
        (StreamName::bare("broken"), &codes::NAME_TAKEN),
        (StreamName::bare("words"), &codes::NAME_TAKEN),
        (StreamName::bare("_syncline_x"), &codes::NAME_TAKEN),
        (StreamName::bare("SQLITE_x"), &codes::NAME_TAKEN),
        (StreamName::bare(""), &codes::NAME_TAKEN),
        (StreamName::bare("a\0b"), &codes::NAME_TAKEN),
        (StreamName::new("other", "t"), &codes::STREAM_MISSING),
    ] {
        for write in [WriteMode::Overwrite, WriteMode::Append, WriteMode::Merge] {
            let plan = plan_of(&rig, Target { name: name.clone(), ..target("t", columns(), write) }).await;
            assert_eq!(blockers(&plan), [code], "{name}: {:?}", plan.findings);
        }
    }
    let fine = Target { name: StreamName::new("MAIN", "t"), ..target("t", columns(), WriteMode::Overwrite) };
    assert!(blockers(&plan_of(&rig, fine.clone()).await).is_empty());
    copy(&rig, "r1", fine, &rows(&[&["1", "a"]])).await;
}

#[tokio::test]
async fn columns_that_cannot_be_told_apart() {
    let rig = Rig::new();
    let twice = schema(&[("id", L::Int64, false), ("ID", L::TEXT, true)], &[]);
    assert_eq!(blockers(&plan_of(&rig, target("t", twice, WriteMode::Append)).await), [&codes::NAME_TAKEN]);
    let names: Vec<String> = (0..2_001).map(|number| format!("c{number}")).collect();
    let many: Vec<(&str, L, bool)> = names.iter().map(|name| (name.as_str(), L::Bool, true)).collect();
    let many = target("t", schema(&many, &[]), WriteMode::Append);
    assert_eq!(blockers(&plan_of(&rig, many).await), [&codes::UNSUPPORTED]);
    let none = schema(&[], &[]);
    assert_eq!(
        blockers(&plan_of(&rig, target("t", none, WriteMode::Append)).await),
        [&codes::COLUMN_MISSING]
    );
}

#[tokio::test]
async fn two_streams_do_not_land_in_one_table() {
    let rig = Rig::new();
    let one = |name: &str, source: &str| {
        let source = StreamName::bare(source);
        Arc::new(Target { source, ..target(name, columns(), WriteMode::Overwrite) })
    };
    let plans =
        rig.sink().await.plan(&[one("Orders", "a"), one("x", "b"), one("orders", "c")]).await.unwrap();
    assert!(blockers(&plans[0]).is_empty() && blockers(&plans[1]).is_empty());
    assert_eq!(blockers(&plans[2]), [&codes::NAME_TAKEN]);
    assert!(plans[2].findings[0].message.contains("both `a` and `c`"), "{:?}", plans[2].findings);
}

/// A file that cannot be written, by a version of the format that SQLite only reads.
#[tokio::test]
async fn a_file_that_cannot_be_written_is_told() {
    let rig = Rig::with("CREATE TABLE x (a)");
    let mut bytes = std::fs::read(&rig.path).unwrap();
    bytes[18] = 3;
    std::fs::write(&rig.path, bytes).unwrap();
    let plan = plan_of(&rig, target("t", columns(), WriteMode::Overwrite)).await;
    assert_eq!(blockers(&plan), [&codes::PERMISSION_DENIED], "{:?}", plan.findings);
    let error = rig.sink().await.lock("p", 0).await.unwrap_err();
    assert_eq!(error.code(), &codes::PERMISSION_DENIED);
    assert_eq!(rig.files(), ["test.db"], "no lock is left");
}

#[tokio::test]
async fn columns_are_made_as_described() {
    let rig = Rig::new();
    let mut made = schema(
        &[
            ("id", L::Int32, false),
            ("name", L::Text { length: Some(20), padded: false }, false),
            ("big", L::UInt64, true),
            ("price", L::Decimal { precision: 12, scale: 2 }, false),
            ("at", L::Timestamp { zoned: false, precision: 3 }, true),
            ("doc", L::Json { normalized: true }, true),
        ],
        &["id"],
    );
    made.columns[1].default = Some(DefaultValue::Text("it's".into()));
    made.columns[3].default = Some(DefaultValue::Number("0.50".into()));
    made.columns[4].default = Some(DefaultValue::Text("now".into()));
    let overwrite = target("t", made, WriteMode::Overwrite);
    let plan = plan_of(&rig, overwrite.clone()).await;
    let types: Vec<&str> = plan.columns.iter().map(|column| column.target_type.as_str()).collect();
    assert_eq!(
        types,
        ["INTEGER", "VARCHAR(20)", "DECIMAL_TEXT(20,0)", "DECIMAL_TEXT(12,2)", "TIMESTAMP(3)", "JSON_TEXT"]
    );
    copy(&rig, "r1", overwrite, &[]).await;
    assert_eq!(
        rig.query("SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_info('t')"),
        rows(&[
            &["id", "INTEGER", "1", "NULL", "1"],
            &["name", "VARCHAR(20)", "1", "'it''s'", "0"],
            &["big", "DECIMAL_TEXT(20,0)", "0", "NULL", "0"],
            &["price", "DECIMAL_TEXT(12,2)", "1", "'0.50'", "0"],
            &["at", "TIMESTAMP(3)", "0", "NULL", "0"],
            &["doc", "JSON_TEXT", "0", "NULL", "0"],
        ])
    );
    rig.run("INSERT INTO t (big) VALUES (1)");
    assert_eq!(rig.rows("t").await, rows(&[&["1", "it's", "1", "0.50", "NULL", "NULL"]]));
}

#[tokio::test]
async fn keys_of_every_kind_are_made() {
    for (logical, values) in [
        (L::Int8, ["1", "2"]),
        (L::UInt64, ["1", "18446744073709551615"]),
        (L::TEXT, ["a", "A"]),
        (L::Uuid, ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12"]),
        (L::Date, ["2024-01-01", "2024-01-02"]),
        (L::Float64, ["0.1", "0.2"]),
        (L::Binary, ["\\x00", "\\x01"]),
        (L::Bool, ["false", "true"]),
    ] {
        let rig = Rig::new();
        let keyed = schema(&[("k", logical, false), ("v", L::TEXT, true)], &["k"]);
        let merge = target("t", keyed, WriteMode::Merge);
        let of = |v: &str| rows(&[&[values[0], v], &[values[1], v]]);
        copy(&rig, "r1", merge.clone(), &of("old")).await;
        copy(&rig, "r2", merge, &of("new")).await;
        let mut got = rig.rows("t").await;
        got.sort();
        let mut expected = of("new");
        expected.sort();
        assert_eq!(got, expected, "{logical}");
        let error = rig.connection().execute_batch("INSERT INTO t SELECT * FROM t").unwrap_err();
        assert!(error.to_string().contains("UNIQUE"), "{logical}: {error}");
    }
}

#[tokio::test]
async fn a_composite_key_is_made() {
    let rig = Rig::new();
    let keyed = schema(&[("v", L::TEXT, true), ("b", L::TEXT, false), ("a", L::Int64, false)], &["a", "b"]);
    copy(&rig, "r1", target("t", keyed, WriteMode::Overwrite), &rows(&[&["x", "1", "2"]])).await;
    assert_eq!(rig.stream("t").await.schema.key, ["a", "b"]);
    assert!(!rig.stream("t").await.schema.columns[1].nullable);
}

#[tokio::test]
async fn an_untyped_column_takes_values_as_they_are() {
    let rig = Rig::with("CREATE TABLE t (id INTEGER PRIMARY KEY, v)");
    let mut dates = columns();
    dates.columns[1] = Column::new("v", L::Date);
    let append = Target { staged: false, ..target("t", dates, WriteMode::Append) };
    let plan = plan_of(&rig, append.clone()).await;
    assert_eq!(plan.columns[1].note.as_deref(), Some("has no type there, kept as it is"));
    copy(&rig, "r1", append, &rows(&[&["1", "2024-01-01"]])).await;
    assert_eq!(rig.query("SELECT typeof(v), v FROM t"), rows(&[&["text", "2024-01-01"]]));
}
