//! Cutting and resuming: whatever the key, each row is read once.

use std::sync::Arc;

use syncline_connect::{Read, Session, SplitOrder};
use syncline_types::{Extent, Position, Split, codes};

use crate::rig::{Got, Rig, Row, drain, read_all, read_of, rows, splits};

fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort();
    rows
}

/// Tables with 1 to 25 rows in chunks of any size: all rows, each once, in chunks of that many.
#[tokio::test]
async fn every_row_is_in_one_chunk_whatever_the_key() {
    let numbers = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 25)";
    for (table, insert, key) in [
        ("(k INTEGER PRIMARY KEY, v)", "SELECT x * x, x FROM n", true),
        ("(k INTEGER PRIMARY KEY DESC, v)", "SELECT x, x FROM n", true),
        ("(k INT PRIMARY KEY NOT NULL, v)", "SELECT -x, x FROM n", true),
        ("(k TEXT PRIMARY KEY NOT NULL, v)", "SELECT char(x + 40), x FROM n", true),
        ("(k TEXT PRIMARY KEY, v)", "SELECT 'a' || char(0) || x, x FROM n", true),
        ("(k TEXT PRIMARY KEY COLLATE NOCASE, v)", "SELECT char(x + 80), x FROM n WHERE x < 17", true),
        (
            "(k TEXT COLLATE NOCASE, v, PRIMARY KEY (k COLLATE BINARY))",
            "SELECT char(65 + x % 2 * 32 + x / 2), x FROM n",
            true,
        ),
        ("(k TEXT PRIMARY KEY, v) WITHOUT ROWID", "SELECT 'ü' || x, x FROM n", true),
        ("(k BLOB PRIMARY KEY NOT NULL, v)", "SELECT CAST(char(x) AS BLOB), x FROM n", true),
        ("(k DATE PRIMARY KEY NOT NULL, v)", "SELECT date('2024-01-01', x || ' days'), x FROM n", true),
        ("(k DATETIME PRIMARY KEY NOT NULL, v)", "SELECT '2024-01-01T10:00:' || (x + 10), x FROM n", true),
        ("(k BOOLEAN, v, j INT, PRIMARY KEY (k, j)) WITHOUT ROWID", "SELECT x % 2, x, x FROM n", true),
        ("(a TEXT, b INT, v, PRIMARY KEY (a, b)) WITHOUT ROWID", "SELECT x % 3, x, x FROM n", true),
        ("(a TEXT NOT NULL, v, b INT NOT NULL, PRIMARY KEY (b, a))", "SELECT x, x, x % 4 FROM n", true),
        ("(a TEXT NOT NULL, v, b INT NOT NULL, PRIMARY KEY (b DESC, a))", "SELECT x, x, x % 4 FROM n", true),
        ("(k TEXT UNIQUE NOT NULL, v)", "SELECT x, x FROM n", true),
        ("(k REAL PRIMARY KEY NOT NULL, v)", "SELECT x * 0.1, x FROM n", false),
        ("(k DECIMAL(5,2) PRIMARY KEY NOT NULL, v)", "SELECT x * 0.25, x FROM n", false),
        ("(k TEXT PRIMARY KEY, v)", "SELECT iif(x = 9, NULL, x), x FROM n", false),
        ("(k INTEGER, v)", "SELECT x, x FROM n", false),
        ("(rowid TEXT, v)", "SELECT x, x FROM n", false),
        ("(rowid TEXT, _rowid_ TEXT, v)", "SELECT x, x, x FROM n", false),
    ] {
        let rig = Rig::with(&format!("CREATE TABLE t {table}; INSERT INTO t {numbers} {insert}"));
        let order = rig.stream("t").await.order;
        assert_eq!(matches!(order, SplitOrder::Key(_)), key, "{table}: {order:?}");
        let expected = sorted(rig.rows("t").await);
        for chunk in [1, 2, 7, 24, 25, 100] {
            let got = rig.read("t", chunk).await;
            assert_eq!(sorted(got.rows), expected, "{table} in chunks of {chunk}: {:?}", got.splits);
            // Bounds of dates in another form than everybody's would mean something else elsewhere.
            let chunks = if insert.contains("T10:00") { 1 } else { expected.len() / chunk as usize + 1 };
            assert_eq!(got.splits.len(), chunks, "{table} in chunks of {chunk}: {:?}", got.splits);
            let ids: Vec<u32> = got.splits.iter().map(|split| split.id.0).collect();
            assert_eq!(ids, (0..chunks as u32).collect::<Vec<_>>());
        }
    }
}

#[tokio::test]
async fn without_a_number_for_rows_a_table_is_read_whole() {
    let rig = Rig::with(
        "CREATE TABLE t (rowid TEXT, _rowid_ TEXT, oid TEXT); INSERT INTO t VALUES ('a', 'b', 'c');
         CREATE TABLE f (k REAL PRIMARY KEY) WITHOUT ROWID; INSERT INTO f VALUES (0.1), (0.2), ('dirty')",
    );
    assert_eq!(rig.stream("t").await.order, SplitOrder::Whole);
    assert_eq!(rig.rows("t").await, rows(&[&["a", "b", "c"]]));
    let got = rig.read("f", 1).await;
    assert_eq!((got.rows.len(), got.splits.len()), (2, 1));
    assert_eq!(got.rejects[0].place, None, "there is no number to name it by");
}

/// Values of another class than their column's come last, in no chunk of their own.
#[tokio::test]
async fn dirty_keys_end_the_cutting_and_are_rejected_once() {
    let rig = Rig::with(
        "CREATE TABLE t (k INT PRIMARY KEY NOT NULL, v);
         INSERT INTO t VALUES (1, 1), (2, 2), (3, 3), ('x', 4), (x'00', 5), ('y', 6), (2.5, 7)",
    );
    for chunk in 1..9 {
        let got = rig.read("t", chunk).await;
        let keys: Vec<_> = got.rows.iter().map(|row| row[0].clone().unwrap()).collect();
        assert_eq!(keys, ["1", "2", "3"], "in chunks of {chunk}");
        assert_eq!(got.rejects.len(), 4, "in chunks of {chunk}");
    }
    let got = rig.read("t", 100).await;
    assert_eq!(got.positions, [None], "behind a key that cannot be written down nothing can go on");
}

async fn read_from(session: &dyn Session, read: &Arc<Read>, split: &Split, at: Option<&Position>) -> Got {
    let mut got = Got::default();
    let mut reader = session.open(read, split, at).await.unwrap();
    drain(&mut *reader, read, &mut got).await;
    got
}

/// From whatever position reading goes on, in another process, no row is left out or comes twice.
#[tokio::test]
async fn reading_goes_on_from_every_position() {
    let numbers = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 30000)";
    for (table, insert) in [
        ("(k INTEGER PRIMARY KEY, v)", "SELECT x * 3, 'x' FROM n"),
        ("(k TEXT PRIMARY KEY NOT NULL, v) WITHOUT ROWID", "SELECT 'it''s ' || x, 'x' FROM n"),
        ("(a INT NOT NULL, b TEXT NOT NULL, v, PRIMARY KEY (a, b))", "SELECT x % 5, 'b' || x, 'x' FROM n"),
        ("(k BLOB PRIMARY KEY NOT NULL, v)", "SELECT CAST(x AS BLOB), 'x' FROM n"),
        (
            "(k DATETIME PRIMARY KEY NOT NULL, v)",
            "SELECT datetime('2024-01-01', x || ' minutes'), 'x' FROM n",
        ),
    ] {
        let rig = Rig::with(&format!("CREATE TABLE t {table}; INSERT INTO t {numbers} {insert}"));
        let read = read_of(rig.stream("t").await, 20_000);
        let session = rig.source().await.begin(std::slice::from_ref(&read), 1).await.unwrap();
        let all = splits(&*session, &read, None).await;
        assert_eq!(all.len(), 2);
        for split in &all {
            let whole = read_from(&*session, &read, split, None).await;
            assert!(whole.positions.len() > 1, "{table}");
            let again = rig.source().await.begin(std::slice::from_ref(&read), 1).await.unwrap();
            for position in &whole.positions {
                let rest = read_from(&*again, &read, split, position.as_ref()).await;
                let read_before = whole.rows.len() - rest.rows.len();
                assert_eq!(rest.rows, whole.rows[read_before..], "{table}");
            }
            let last = whole.positions.last().unwrap().as_ref();
            assert!(read_from(&*again, &read, split, last).await.rows.is_empty());
        }
        // Cutting goes on behind any split too.
        for (number, split) in all.iter().enumerate() {
            assert_eq!(splits(&*session, &read, Some(split)).await, all[number + 1..], "{table}");
        }
    }
}

#[tokio::test]
async fn places_have_no_positions() {
    let rig = Rig::with("CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1), (2), (3)");
    let got = rig.read("t", 2).await;
    assert_eq!(got.positions, [None, None]);
    let extents: Vec<&Extent> = got.splits.iter().map(|split| &split.extent).collect();
    assert_eq!(
        extents,
        [
            &Extent::Own("{\"after\":null,\"upto\":2}".into()),
            &Extent::Own("{\"after\":2,\"upto\":null}".into())
        ]
    );
    let read = read_of(rig.stream("t").await, 2);
    let session = rig.source().await.begin(std::slice::from_ref(&read), 1).await.unwrap();
    let error = session.open(&read, &got.splits[0], Some(&Position("[\"1\"]".into()))).await.err().unwrap();
    assert_eq!(error.code(), &codes::BAD_BYTES);
    assert_eq!(splits(&*session, &read, Some(&got.splits[0])).await, got.splits[1..]);
}

#[tokio::test]
async fn positions_and_splits_of_others_never_become_sql() {
    let rig = Rig::with("CREATE TABLE t (k INTEGER PRIMARY KEY); CREATE TABLE p (a)");
    for (table, extent, at) in [
        ("t", "{\"keys\":{\"after\":[\"1; DROP TABLE t\"],\"upto\":null}}", None),
        ("t", "{\"keys\":{\"after\":[],\"upto\":null}}", None),
        ("t", "{\"keys\":{\"after\":null,\"upto\":null}}", Some("1")),
        ("t", "{\"keys\":{\"after\":null,\"upto\":null}}", Some("[\"1 OR 1\"]")),
        ("p", "{\"own\":\"1..2\"}", None),
        ("p", "{\"keys\":{\"after\":null,\"upto\":null}}", None),
    ] {
        let read = read_of(rig.stream(table).await, 2);
        let session = rig.source().await.begin(std::slice::from_ref(&read), 1).await.unwrap();
        let split: Split =
            serde_json::from_str(&format!("{{\"id\":0,\"extent\":{extent},\"rows_estimate\":null}}"))
                .unwrap();
        let at = at.map(|at| Position(at.into()));
        let error = session.open(&read, &split, at.as_ref()).await.err().unwrap();
        assert_eq!(error.code(), &codes::BAD_BYTES, "{extent}");
    }
}

#[tokio::test]
async fn a_null_in_the_key_is_no_key() {
    let rig = Rig::with("CREATE TABLE t (k TEXT PRIMARY KEY, v); INSERT INTO t VALUES ('a', 1), ('b', 2)");
    let keyed = rig.stream("t").await;
    assert_eq!((keyed.schema.key.len(), keyed.schema.columns[0].nullable), (1, false));
    rig.run("INSERT INTO t VALUES (NULL, 3), (NULL, 4)");
    let keyless = rig.stream("t").await;
    assert_eq!((keyless.schema.key.len(), keyless.schema.columns[0].nullable), (0, true));
    assert_eq!(keyless.order, SplitOrder::Place);
    assert_eq!(rig.rows("t").await.len(), 4);
    let read = read_of(keyless, 10);
    let findings = rig.source().await.inspect(&[read]).await.unwrap();
    assert!(
        crate::rig::messages(&findings).iter().any(|message| message.contains("holds NULLs")),
        "{findings:?}"
    );
    // It came between planning and reading.
    let read = read_of(keyed, 10);
    let session = rig.source().await.begin(std::slice::from_ref(&read), 1).await.unwrap();
    let error = session.splitter(&read, None).await.err().unwrap();
    assert_eq!(error.code(), &codes::KEY_MISSING);
    assert!(error.to_string().contains("`main.t`") && error.to_string().contains("`k`"), "{error}");
}

#[tokio::test]
async fn empty_tables_have_an_empty_split() {
    let rig = Rig::with(
        "CREATE TABLE a (k INTEGER PRIMARY KEY); CREATE TABLE b (x); CREATE VIEW c AS SELECT * FROM b;
         CREATE TABLE d (k TEXT PRIMARY KEY) WITHOUT ROWID",
    );
    for table in ["a", "b", "c", "d"] {
        let got = rig.read(table, 10).await;
        assert_eq!((got.rows.len(), got.splits.len(), got.positions.len()), (0, 1, 0), "{table}");
    }
}

/// A source whose text is kept in two bytes a character.
#[tokio::test]
async fn another_encoding_of_the_file() {
    let rig = Rig::with(
        "PRAGMA encoding = 'UTF-16le'; CREATE TABLE t (k TEXT PRIMARY KEY NOT NULL, v TEXT);
         INSERT INTO t VALUES ('ä', '🚀'), ('z', ''), ('a', 'x'), ('東', 'y')",
    );
    rig.run(
        "INSERT INTO t VALUES ('a' || char(0) || 'b', 'x'), ('a' || char(0) || 'c', 'y'), (char(0), 'z')",
    );
    let mut nuls = "'q'".to_owned();
    (0..40).for_each(|_| nuls.push_str(" || char(0)"));
    rig.run(&format!("INSERT INTO t VALUES ({nuls}, 'many')"));
    let expected = sorted(rig.rows("t").await);
    assert_eq!(expected.len(), 8);
    for chunk in 1..9 {
        assert_eq!(sorted(rig.read("t", chunk).await.rows), expected);
    }
}

#[tokio::test]
async fn several_streams_of_one_session() {
    let rig = Rig::with(
        "CREATE TABLE a (k INTEGER PRIMARY KEY); INSERT INTO a VALUES (1), (2); CREATE TABLE b (x INT); INSERT INTO b VALUES (3)",
    );
    let reads = [read_of(rig.stream("a").await, 1), read_of(rig.stream("b").await, 1)];
    let session = rig.source().await.begin(&reads, 4).await.unwrap();
    let (a, b) = tokio::join!(read_all(&*session, &reads[0]), read_all(&*session, &reads[1]));
    assert_eq!((a.rows, b.rows), (rows(&[&["1"], &["2"]]), rows(&[&["3"]])));
}
