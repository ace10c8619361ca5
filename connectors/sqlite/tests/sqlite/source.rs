//! What a file is described as, and how it is read.

use std::sync::Arc;

use syncline_connect::{Next, Read, Selection, SplitOrder};
use syncline_types::{
    Column, Comparison, DefaultValue, ErrorKind, Extent, KeyRange, LogicalType as L, Predicate, Split,
    SplitId, StreamName, codes,
};

use crate::rig::{Got, Rig, context, drain, messages, read_all, read_of, row, rows};

async fn names(rig: &Rig, selection: Selection) -> Vec<String> {
    let streams = rig.source().await.discover(&selection).await.unwrap();
    streams.into_iter().map(|stream| stream.name.to_string()).collect()
}

#[tokio::test]
async fn base_tables_are_found_and_nothing_of_ours_or_sqlites() {
    let rig = Rig::with(
        "CREATE TABLE b (id INTEGER PRIMARY KEY AUTOINCREMENT); CREATE TABLE a (x); CREATE TABLE order_eu (x);
         CREATE VIEW v AS SELECT * FROM a; CREATE VIRTUAL TABLE words USING fts5(text);
         CREATE TABLE _syncline_checkpoint (x); CREATE TABLE _syncline_stage_r_0 (x); CREATE TABLE _Syncline_made (x);
         ANALYZE",
    );
    assert_eq!(names(&rig, Selection::Default).await, ["main.a", "main.b", "main.order_eu"]);
    for (glob, expected) in [
        ("**", vec!["main.a", "main.b", "main.order_eu"]),
        ("order_*", vec!["main.order_eu"]),
        ("main.{a,b}", vec!["main.a", "main.b"]),
        ("other.*", vec![]),
    ] {
        assert_eq!(names(&rig, Selection::Glob(glob.into())).await, expected, "{glob}");
    }
    for (name, expected) in [
        (StreamName::bare("A"), "main.a"),
        (StreamName::new("MAIN", "v"), "main.v"),
        (StreamName::bare("words"), "main.words"),
        (StreamName::bare("words_content"), "main.words_content"),
    ] {
        assert_eq!(names(&rig, Selection::Name(name)).await, [expected]);
    }
}

#[tokio::test]
async fn a_missing_table_has_a_hint() {
    let rig = Rig::with("CREATE TABLE orders (x)");
    let source = rig.source().await;
    for (name, hint) in [
        (StreamName::bare("order"), "Did you mean `orders`"),
        (StreamName::bare("zzz"), "Check the name"),
        (StreamName::new("other", "orders"), "Write `orders`"),
        (StreamName::bare("_syncline_checkpoint"), "Check the name"),
        (StreamName::bare("sqlite_schema"), "Check the name"),
    ] {
        let error = source.discover(&Selection::Name(name.clone())).await.unwrap_err();
        assert_eq!(error.code(), &codes::STREAM_MISSING);
        assert!(error.to_string().contains(hint), "{name}: {error}");
    }
}

#[tokio::test]
async fn columns_and_keys_are_as_declared() {
    let rig = Rig::with(
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a VARCHAR(10) NOT NULL COLLATE NOCASE DEFAULT 'x',
           b DECIMAL(12,2) DEFAULT 1.50, c INT AS (id * 2) VIRTUAL, d INT GENERATED ALWAYS AS (id * 3) STORED,
           e TEXT NOT NULL, f INT, UNIQUE (e, a), UNIQUE (f));
         CREATE UNIQUE INDEX part ON t (e) WHERE f > 0; CREATE UNIQUE INDEX expr ON t (lower(e));
         INSERT INTO t (a, e) VALUES ('p', 'q')",
    );
    let schema = rig.stream("t").await.schema;
    assert_eq!(schema.dialect, "sqlite");
    assert_eq!((schema.key, schema.unique), (vec!["id".to_owned()], vec![vec!["e".into(), "a".into()]]));
    let mut id = Column::new("id", L::Int64).native("INTEGER").required();
    id.identity = true;
    let mut a = Column::new("a", L::TEXT).native("VARCHAR(10)").required();
    a.default = Some(DefaultValue::Text("x".into()));
    a.collation = Some("NOCASE".into());
    let mut b = Column::new("b", L::Decimal { precision: 12, scale: 2 }).native("DECIMAL(12,2)");
    b.default = Some(DefaultValue::Number("1.50".into()));
    let generated = |name: &str| Column { generated: true, ..Column::new(name, L::Int64).native("INT") };
    let e = Column::new("e", L::TEXT).native("TEXT").required();
    let expected = [id, a, b, generated("c"), generated("d"), e, Column::new("f", L::Int64).native("INT")];
    assert_eq!(schema.columns, expected);
    assert_eq!(rig.rows("t").await, rows(&[&["1", "p", "1.50", "2", "3", "q", "NULL"]]));
}

#[tokio::test]
async fn odd_names_and_many_columns() {
    let columns: Vec<String> = (0..200).map(|number| format!("\"c {number}\" INTEGER")).collect();
    let values: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let rig = Rig::with(&format!(
        "CREATE TABLE \"select\" (\"a\"\"b\" INTEGER PRIMARY KEY, \"order\" TEXT, \"zäh lung\" TEXT, [x'y] TEXT);
         INSERT INTO \"select\" VALUES (1, 'one', 'zwei', 'three');
         CREATE TABLE \"Größe.\"\"x\"\"\" (\"from\" TEXT PRIMARY KEY NOT NULL, \"π\" TEXT);
         INSERT INTO \"Größe.\"\"x\"\"\" VALUES ('it''s', '🚀'), ('', NULL);
         CREATE TABLE wide ({}); INSERT INTO wide VALUES ({})",
        columns.join(", "),
        values.join(", ")
    ));
    assert_eq!(rig.rows("select").await, rows(&[&["1", "one", "zwei", "three"]]));
    assert_eq!(rig.read("Größe.\"x\"", 1).await.rows, rows(&[&["", "NULL"], &["it's", "🚀"]]));
    assert_eq!(rig.rows("wide").await, [values.into_iter().map(Some).collect::<Vec<_>>()]);
}

#[tokio::test]
async fn views_and_virtual_tables_are_read_whole() {
    let rig = Rig::with(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'x'), (2, 'y');
         CREATE VIEW v AS SELECT id, a, id * 2 AS twice FROM t; CREATE VIRTUAL TABLE words USING fts5(text);
         INSERT INTO words VALUES ('hello')",
    );
    let stream = rig.stream("v").await;
    assert_eq!((&stream.order, stream.rows_estimate), (&SplitOrder::Whole, None));
    assert_eq!(stream.schema.columns[2].logical, L::Int64, "by its values");
    assert_eq!(rig.rows("v").await, rows(&[&["1", "x", "2"], &["2", "y", "4"]]));
    assert_eq!(rig.rows("words").await, rows(&[&["hello"]]));
}

#[tokio::test]
async fn rows_are_estimated() {
    let rig = Rig::with(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a); INSERT INTO t SELECT value, 1 FROM generate_series(1, 500);
         CREATE TABLE sparse (id INTEGER PRIMARY KEY); INSERT INTO sparse VALUES (-9223372036854775808), (9223372036854775807);
         CREATE TABLE empty (a); CREATE TABLE w (a TEXT PRIMARY KEY) WITHOUT ROWID"
            .replace("generate_series(1, 500)", "(WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 500) SELECT value FROM n)")
            .as_str(),
    );
    assert_eq!(rig.stream("t").await.rows_estimate, Some(500));
    assert_eq!(rig.stream("empty").await.rows_estimate, Some(0));
    assert_eq!(rig.stream("w").await.rows_estimate, None);
    assert!(
        rig.stream("sparse").await.rows_estimate.unwrap() < 100_000,
        "no more than the file has room for"
    );
    rig.run("CREATE INDEX i ON t (a); DELETE FROM t WHERE id > 100; ANALYZE");
    assert_eq!(rig.stream("t").await.rows_estimate, Some(100));
}

fn compare(column: &str, op: Comparison, constant: &str) -> Predicate {
    Predicate::Compare { column: column.into(), op, constant: constant.into() }
}

/// A condition that SQLite evaluates gives the rows for which it is true, and those that are refused
/// without it too.
#[tokio::test]
async fn conditions_on_integers_are_evaluated_and_dirty_rows_still_refused() {
    let rig = Rig::with(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a INT, b TEXT, c REAL);
         INSERT INTO t VALUES (1, 5, 'x', 1), (2, 6, 'y', 1), (3, NULL, 'x', 1), (4, 'dirty', 'x', 1), (5, 4, 'z', 1)",
    );
    let source = rig.source().await;
    let stream = rig.stream("t").await;
    use Comparison::{GreaterOrEqual, Less};
    let null = Predicate::IsNull { column: "a".into(), negated: false };
    for (filter, evaluated) in [
        (compare("a", Less, "6"), true),
        (compare("id", Less, "6"), true),
        (null.clone(), true),
        (Predicate::Or(vec![compare("a", Less, "5"), null.clone()]), true),
        (compare("a", Less, "1.5"), false),
        (compare("a", Less, "x"), false),
        (compare("b", Less, "x"), false),
        (compare("c", Less, "1"), false),
        (compare("gone", Less, "1"), false),
        (Predicate::And(vec![compare("a", Less, "5"), compare("b", Less, "5")]), false),
        (Predicate::And(vec![]), false),
    ] {
        assert_eq!(source.evaluates(&stream, &filter), evaluated, "{filter:?}");
    }
    let filter = Predicate::And(vec![
        compare("id", GreaterOrEqual, "1"),
        Predicate::Or(vec![compare("a", GreaterOrEqual, "6"), null]),
    ]);
    let read = Arc::new(Read { filter: Some(filter), ..(*read_of(stream, 2)).clone() });
    let session = source.begin(std::slice::from_ref(&read), 1).await.unwrap();
    let got = read_all(&*session, &read).await;
    let ids: Vec<_> = got.rows.iter().map(|row| row[0].clone().unwrap()).collect();
    assert_eq!(ids, ["2", "3"]);
    assert_eq!(got.refusals().len(), 1);
    assert_eq!(got.refusals()[0].0, "rowid 4");
}

#[tokio::test]
async fn only_the_columns_wanted_are_read() {
    let rig = Rig::with(
        "CREATE TABLE t (a TEXT, k TEXT PRIMARY KEY NOT NULL, b INT); INSERT INTO t VALUES ('x', 'k1', 1), ('y', 'k2', 'dirty')",
    );
    let stream = rig.stream("t").await;
    let read = Arc::new(Read { columns: vec!["a".into()], ..(*read_of(stream, 1)).clone() });
    let session = rig.source().await.begin(std::slice::from_ref(&read), 1).await.unwrap();
    let got = read_all(&*session, &read).await;
    assert_eq!(got.rows, rows(&[&["x"], &["y"]]));
    let positions: Vec<_> = got.positions.iter().flatten().map(|position| position.0.as_str()).collect();
    assert_eq!(positions, ["[\"k1\"]", "[\"k2\"]"]);
    let none = Arc::new(Read { columns: vec![], ..(*read).clone() });
    assert_eq!(read_all(&*session, &none).await.rows, [row(&[]), row(&[])]);
}

/// Rows larger than what is reserved for a batch pass, also when the budget is smaller than one.
#[tokio::test(flavor = "multi_thread")]
async fn large_rows_pass_within_the_budget() {
    for (budget, row_bytes, count) in
        [(256_u64 << 20, 16 << 20, 6), (256 << 20, 64 << 20, 3), (8 << 20, 16 << 20, 2)]
    {
        let mut rig = Rig::with("CREATE TABLE t (id INTEGER PRIMARY KEY, a BLOB, b TEXT)");
        rig.cx = context(budget);
        for id in 0..count {
            rig.run(&format!(
                "INSERT INTO t VALUES ({id}, randomblob({row_bytes}), 'x'), ({}, x'00', 'y')",
                id + 100
            ));
        }
        let read = read_of(rig.stream("t").await, 1_000);
        let session = rig.source().await.begin(std::slice::from_ref(&read), 1).await.unwrap();
        let split = Split { id: SplitId(0), extent: Extent::Keys(KeyRange::default()), rows_estimate: None };
        let mut reader = session.open(&read, &split, None).await.unwrap();
        let (mut found, mut bytes) = (0, 0);
        while let Next::Batch(batch) = reader.next().await.unwrap() {
            found += batch.rows.num_rows();
            bytes += batch.bytes;
        }
        assert_eq!(found, count * 2);
        assert!(bytes >= (row_bytes * count) as u64);
        drop(reader);
        // The reservations of all batches were given back.
        assert_eq!(rig.cx.memory().free_bytes(), budget);
    }
}

/// A reader that waits for memory lets go when it is dropped, and others go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_waits_can_be_dropped() {
    let mut rig = Rig::with("CREATE TABLE t (id INTEGER PRIMARY KEY, a)");
    rig.cx = context(4 << 20);
    rig.run(
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 50000)
         INSERT INTO t SELECT x, 'some text' FROM n",
    );
    let all = rig.cx.memory().reserve(4 << 20).await;
    let read = read_of(rig.stream("t").await, 1_000_000);
    let session = rig.source().await.begin(std::slice::from_ref(&read), 1).await.unwrap();
    let split = Split { id: SplitId(0), extent: Extent::Keys(KeyRange::default()), rows_estimate: None };
    let mut reader = session.open(&read, &split, None).await.unwrap();
    let waited = tokio::time::timeout(std::time::Duration::from_millis(100), reader.next()).await;
    assert!(waited.is_err(), "there is no memory");
    drop(reader);
    drop(all);
    // There is one connection for readers; it must have come back.
    let mut got = Got::default();
    let mut reader = session.open(&read, &split, None).await.unwrap();
    drain(&mut *reader, &read, &mut got).await;
    assert_eq!(got.rows.len(), 50_000);
    drop((reader, session));
    rig.cx.close().await;
}

/// A statement that has not given its first row yet is broken off.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_is_dropped_in_the_middle_of_a_statement() {
    let rig = Rig::with(
        "CREATE VIEW endless AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n WHERE x < 0;
         CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1)",
    );
    // Its columns have no type, and looking through them would not end either.
    let mut stream = rig.stream("t").await;
    stream.name = StreamName::new("main", "endless");
    stream.order = SplitOrder::Whole;
    stream.schema.columns = vec![Column::new("x", L::Int64).native("ANY")];
    let read = read_of(stream, 10);
    let table = read_of(rig.stream("t").await, 10);
    let session = rig.source().await.begin(&[Arc::clone(&read), Arc::clone(&table)], 1).await.unwrap();
    let split = Split { id: SplitId(0), extent: Extent::Whole, rows_estimate: None };
    let reader = session.open(&read, &split, None).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    drop(reader);
    let got =
        tokio::time::timeout(std::time::Duration::from_secs(20), read_all(&*session, &table)).await.unwrap();
    assert_eq!(got.rows, rows(&[&["1"]]), "in the same snapshot, over the same connection");
}

#[tokio::test]
async fn a_table_that_changed_since_it_was_planned_is_told() {
    for (sql, reason) in [
        ("DROP TABLE t", "is no more"),
        ("ALTER TABLE t DROP COLUMN a", "column `a` is there no more"),
        ("ALTER TABLE t DROP COLUMN a; ALTER TABLE t ADD COLUMN a BLOB", "declared otherwise"),
        ("DROP TABLE t; CREATE TABLE t (id INTEGER, a TEXT)", "no key"),
    ] {
        let rig = Rig::with("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)");
        let read = read_of(rig.stream("t").await, 10);
        let source = rig.source().await;
        rig.run(sql);
        let session = source.begin(std::slice::from_ref(&read), 1).await.unwrap();
        let split = Split { id: SplitId(0), extent: Extent::Keys(KeyRange::default()), rows_estimate: None };
        let error = session.open(&read, &split, None).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Schema);
        assert!(error.to_string().contains(reason), "{sql}: {error}");
    }
}

#[tokio::test]
async fn the_journal_mode_is_told() {
    let rig = Rig::with("CREATE TABLE t (a)");
    let source = rig.source().await;
    let read = read_of(rig.stream("t").await, 10);
    let findings = source.inspect(std::slice::from_ref(&read)).await.unwrap();
    assert!(messages(&findings)[0].contains("nobody can commit"), "{findings:?}");
    rig.run("PRAGMA journal_mode = WAL");
    assert!(source.inspect(&[read]).await.unwrap().is_empty());
}
