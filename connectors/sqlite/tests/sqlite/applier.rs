//! Changes applied to tables that were not made for it.

use std::sync::Arc;

use syncline_connect::{Applier, Emptied, LOG_MARK, NetChanges, Sink, Target, WriteMode};
use syncline_types::{ErrorKind, LogicalType as L, Result, codes};

use crate::rig::{Rig, Row, batch, row, rows, run_ref, schema, target};

const TABLE: &str =
    "CREATE TABLE t (a TEXT COLLATE NOCASE NOT NULL, b INT NOT NULL, v TEXT NOT NULL UNIQUE, w INT,
       twice INT GENERATED ALWAYS AS (w * 2), PRIMARY KEY (a, b)) WITHOUT ROWID;
     INSERT INTO t VALUES ('x', 1, 'one', 1), ('x', 2, 'two', 2), ('y', 1, 'three', 3)";

const COLUMNS: [(&str, L, bool); 5] = [
    ("a", L::TEXT, false),
    ("b", L::Int64, false),
    ("v", L::TEXT, true),
    ("w", L::Int64, true),
    ("twice", L::Int64, true),
];

fn followed() -> Arc<Target> {
    Arc::new(target("t", schema(&COLUMNS, &["a", "b"]), WriteMode::Merge))
}

/// Rows that go, by key, and whole rows.
fn changes(deletes: &[&[&str]], new: &[&[&str]]) -> NetChanges {
    let part = |columns: usize, rows: &[Row]| batch(&schema(&COLUMNS[..columns], &[]), rows).rows;
    let whole: Vec<Row> = new.iter().map(|texts| row(&[*texts, &["0"]].concat())).collect();
    let (deletes, rows) = (part(2, &rows(deletes)), part(5, &whole));
    NetChanges::new(deletes, rows)
}

/// New values of one column, with the key.
fn update(new: &[&[&str]]) -> NetChanges {
    let columns = [COLUMNS[0], COLUMNS[1], COLUMNS[3]];
    NetChanges { updates: vec![batch(&schema(&columns, &[]), &rows(new)).rows], ..changes(&[], &[]) }
}

async fn begin(rig: &Rig) -> (Box<dyn Sink>, Box<dyn Applier>) {
    let sink = rig.sink().await;
    let epoch = sink.lock("p", 0).await.unwrap();
    let applier = sink.applier(&run_ref(LOG_MARK, epoch)).await.unwrap();
    (sink, applier)
}

/// Applies changes as one transaction.
async fn apply(rig: &Rig, changes: NetChanges) -> Result<u64> {
    let (sink, mut applier) = begin(rig).await;
    let missed = applier.apply(&followed(), &changes).await?;
    applier.commit("1").await?;
    drop(applier);
    sink.close("p").await?;
    Ok(missed)
}

#[tokio::test]
async fn columns_that_the_table_computes_are_left_to_it() {
    let rig = Rig::with(TABLE);
    apply(&rig, changes(&[&["X", "2"]], &[&["x", "1", "uno", "5"], &["z", "9", "nine", "NULL"]]))
        .await
        .unwrap();
    assert_eq!(apply(&rig, update(&[&["y", "1", "8"], &["gone", "1", "8"]])).await.unwrap(), 1);
    let expected =
        [&["x", "1", "uno", "5", "10"], &["y", "1", "three", "8", "16"], &["z", "9", "nine", "NULL", "NULL"]];
    assert_eq!(rig.query("SELECT * FROM t ORDER BY a, b"), rows(&expected.map(|row| row.as_slice())));
}

#[tokio::test]
async fn keys_that_only_the_source_tells_apart_do_not_overwrite_each_other() {
    let rig = Rig::with(TABLE);
    let error =
        apply(&rig, changes(&[], &[&["q", "1", "new", "1"], &["X", "1", "other", "1"]])).await.unwrap_err();
    assert_eq!((error.code(), error.row()), (&codes::DUPLICATE_KEY, Some(1)), "{error}");
    assert_eq!(rig.one("SELECT group_concat(v) FROM t"), "one,two,three");
    // A row that has only changed its capitals goes by its old key first.
    apply(&rig, changes(&[&["x", "1"]], &[&["X", "1", "other", "1"]])).await.unwrap();
    assert_eq!(
        rig.query("SELECT a, v FROM t WHERE b = 1 ORDER BY a"),
        rows(&[&["X", "other"], &["y", "three"]])
    );
}

#[tokio::test]
async fn what_a_constraint_refuses_names_the_row_and_leaves_nothing() {
    let rig = Rig::with(TABLE);
    for refused in [["n", "1", "one", "1"], ["n", "1", "NULL", "1"]] {
        let error =
            apply(&rig, changes(&[&["y", "1"]], &[&["m", "1", "fine", "1"], &refused])).await.unwrap_err();
        assert_eq!((error.kind(), error.row()), (ErrorKind::Value, Some(1)), "{error}");
        assert_eq!(rig.one("SELECT group_concat(v) FROM t"), "one,two,three");
    }
}

#[tokio::test]
async fn triggers_that_keep_rows_as_they_are_stop_it() {
    for (event, changes) in [
        ("DELETE", changes(&[&["q", "9"], &["x", "2"]], &[])),
        ("DELETE", NetChanges { emptied: Some(Emptied::Deleted), ..changes(&[], &[]) }),
        ("UPDATE", update(&[&["q", "9", "7"], &["x", "2", "7"]])),
        ("UPDATE", changes(&[], &[&["y", "1", "three", "7"], &["x", "2", "two", "7"]])),
    ] {
        let rig = Rig::with(&format!(
            "{TABLE}; CREATE TRIGGER keep BEFORE {event} ON t WHEN old.b = 2 BEGIN SELECT raise(IGNORE); END"
        ));
        let row = changes.emptied.is_none().then_some(1);
        let error = apply(&rig, changes).await.unwrap_err();
        assert_eq!((error.code(), error.row()), (&codes::VALUE_REFUSED, row), "{event}: {error}");
        assert_eq!(rig.one("SELECT group_concat(w) FROM t"), "1,2,3", "{event}");
    }
}

#[tokio::test]
async fn rows_that_refer_to_each_other_come_in_any_order() {
    let rig =
        Rig::with(&format!("{TABLE}; CREATE TABLE child (a TEXT, b INT, FOREIGN KEY (a, b) REFERENCES t)"));
    let (_sink, mut applier) = begin(&rig).await;
    let columns = [("a", L::TEXT, false), ("b", L::Int64, false)];
    let child = Target { stream: 1, ..target("child", schema(&columns, &["a", "b"]), WriteMode::Merge) };
    rig.run("CREATE UNIQUE INDEX child_key ON child (a, b)");
    // Its row comes before the one that it refers to.
    let new = batch(&child.schema, &rows(&[&["new", "1"]])).rows;
    let new = NetChanges { emptied: Some(Emptied::Deleted), ..NetChanges::new(new.slice(0, 0), new) };
    applier.apply(&Arc::new(child), &new).await.unwrap();
    applier.apply(&followed(), &changes(&[], &[&["new", "1", "new", "1"]])).await.unwrap();
    applier.commit("1").await.unwrap();
    // Without the other row it is refused, and nothing is done.
    applier.apply(&followed(), &changes(&[&["new", "1"]], &[])).await.unwrap();
    let error = applier.commit("2").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Value, "{error}");
    drop(applier);
    assert_eq!(rig.one("SELECT count(*) FROM t JOIN child USING (a, b)"), "1");
}

#[tokio::test]
async fn a_table_that_is_altered_in_between_is_looked_at_again() {
    let rig = Rig::with(TABLE);
    let (_sink, mut applier) = begin(&rig).await;
    let followed = followed();
    applier.apply(&followed, &changes(&[], &[&["m", "1", "m", "1"]])).await.unwrap();
    applier.commit("1").await.unwrap();
    rig.run("ALTER TABLE t ADD COLUMN more INT DEFAULT 7");
    applier.apply(&followed, &changes(&[], &[&["n", "1", "n", "1"]])).await.unwrap();
    applier.commit("2").await.unwrap();
    assert_eq!(rig.one("SELECT more FROM t WHERE a = 'n'"), "7");
    rig.run("ALTER TABLE t RENAME COLUMN v TO other");
    let error = applier.apply(&followed, &changes(&[], &[&["o", "1", "o", "1"]])).await.unwrap_err();
    assert_eq!(error.code(), &codes::SCHEMA_CHANGED, "{error}");
    applier.abort().await.unwrap();
    rig.run("DROP TABLE t");
    let error = applier.apply(&followed, &changes(&[&["n", "1"]], &[])).await.unwrap_err();
    assert_eq!(error.code(), &codes::SCHEMA_CHANGED, "{error}");
}
