//! Changes applied to tables that were not made for it, few at a time and many.

use std::sync::Arc;

use syncline_connect::{LOG_MARK, NetChanges, Target, WriteMode};
use syncline_types::{ErrorKind, LogicalType as L, Result, codes};

use crate::rig::{Rig, Row, batch, rigs, row, rows, run_ref, schema, target};

const TABLE: &str =
    "CREATE TABLE t (a varchar(20) NOT NULL, b int NOT NULL, v varchar(20) NOT NULL UNIQUE, w int,
       twice int GENERATED ALWAYS AS (w * 2) VIRTUAL, PRIMARY KEY (a, b)) COLLATE utf8mb4_general_ci;
     INSERT INTO t (a, b, v, w) VALUES ('x', 1, 'one', 1), ('x', 2, 'two', 2), ('y', 1, 'three', 3)";

const SHORT: L = L::Text { length: Some(20), padded: false };
const COLUMNS: [(&str, L, bool); 5] = [
    ("a", SHORT, false),
    ("b", L::Int32, false),
    ("v", SHORT, true),
    ("w", L::Int32, true),
    ("twice", L::Int32, true),
];

/// More than go by a statement.
const MANY: usize = 300;

fn followed() -> Arc<Target> {
    Arc::new(target("t", schema(&COLUMNS, &["a", "b"]), WriteMode::Merge))
}

fn changes(deletes: &[&[&str]], new: &[Row]) -> NetChanges {
    let part = |columns: usize, rows: &[Row]| batch(&schema(&COLUMNS[..columns], &[]), rows).rows;
    let (deletes, rows) = (part(2, &rows(deletes)), part(5, new));
    NetChanges::new(deletes, rows)
}

fn whole(a: &str, b: usize, v: &str, w: &str) -> Row {
    row(&[a, &b.to_string(), v, w, "0"])
}

/// So many rows of which nothing is known at the target, and behind them these.
fn after_many(many: usize, last: &[Row]) -> Vec<Row> {
    let new = (0..many).map(|number| whole("new", number, &format!("v{number}"), "1"));
    new.chain(last.iter().cloned()).collect()
}

/// New values of one column, with the key.
fn update(new: &[&[&str]]) -> NetChanges {
    let columns = [COLUMNS[0], COLUMNS[1], COLUMNS[3]];
    NetChanges { updates: vec![batch(&schema(&columns, &[]), &rows(new)).rows], ..changes(&[], &[]) }
}

/// Applies changes as one transaction.
async fn apply(rig: &Rig, changes: NetChanges) -> Result<u64> {
    let sink = rig.sink().await;
    let epoch = sink.lock("p", 0).await.unwrap();
    let mut applier = sink.applier(&run_ref(LOG_MARK, epoch)).await.unwrap();
    let missed = applier.apply(&followed(), &changes).await?;
    applier.commit("1").await?;
    drop(applier);
    sink.close("p").await?;
    Ok(missed)
}

#[tokio::test]
async fn columns_that_the_table_computes_are_left_to_it() {
    for rig in rigs() {
        rig.run(TABLE);
        for many in [0, MANY] {
            let new = after_many(many, &[whole("x", 1, "uno", "5"), whole("z", 9, "nine", "NULL")]);
            apply(&rig, changes(&[&["X", "2"]], &new)).await.unwrap();
            assert_eq!(apply(&rig, update(&[&["y", "1", "8"], &["gone", "1", "8"]])).await.unwrap(), 1);
            let all = "SELECT * FROM t WHERE a <> 'new' ORDER BY a, b";
            assert_eq!(rig.query(all), ["x\t1\tuno\t5\t10", "y\t1\tthree\t8\t16", "z\t9\tnine\tNULL\tNULL"]);
            assert_eq!(rig.one("SELECT COUNT(*) FROM t"), (many + 3).to_string());
            rig.run("UPDATE t SET w = 3 WHERE a = 'y'");
        }
    }
}

#[tokio::test]
async fn keys_that_only_the_source_tells_apart_do_not_overwrite_each_other() {
    for rig in rigs() {
        rig.run(TABLE);
        for many in [0, MANY] {
            let error = apply(&rig, changes(&[], &after_many(many, &[whole("X", 1, "other", "1")]))).await;
            assert_eq!(error.unwrap_err().code(), &codes::DUPLICATE_KEY);
            assert_eq!(rig.one("SELECT GROUP_CONCAT(v ORDER BY w) FROM t"), "one,two,three");
        }
        let both = [whole("k", 1, "k", "1"), whole("K", 1, "K", "1")];
        assert_eq!(apply(&rig, changes(&[], &both)).await.unwrap_err().code(), &codes::DUPLICATE_KEY);
        // A row that has only changed its capitals goes by its old key first.
        apply(&rig, changes(&[&["x", "1"]], &[whole("X", 1, "other", "1")])).await.unwrap();
        assert_eq!(rig.query("SELECT a, v FROM t WHERE b = 1 ORDER BY a"), ["X\tother", "y\tthree"]);
    }
}

#[tokio::test]
async fn what_a_table_refuses_leaves_nothing() {
    for rig in rigs() {
        rig.run(TABLE);
        for many in [0, MANY] {
            // Another row has the value, and the column takes no NULL.
            for (refused, named) in [(whole("n", 1, "one", "1"), false), (whole("n", 1, "NULL", "1"), true)] {
                let new = after_many(many, &[refused, whole("z", 1, "last", "1")]);
                let error = apply(&rig, changes(&[&["y", "1"]], &new)).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Value, "{error}");
                assert_eq!(error.row(), named.then_some(u32::try_from(many).unwrap()), "{error}");
                assert_eq!(rig.one("SELECT GROUP_CONCAT(v ORDER BY w) FROM t"), "one,two,three");
            }
        }
    }
}

#[tokio::test]
async fn nothing_but_what_is_meant_is_changed_by_another_unique_key() {
    for rig in rigs() {
        rig.run("CREATE TABLE t (a varchar(20), b int, v varchar(20) UNIQUE, w int, twice int, PRIMARY KEY (a, b));
                 INSERT INTO t VALUES ('x', 1, 'one', 1, 0), ('x', 2, 'two', 2, 0)");
        let error = apply(&rig, changes(&[], &[whole("x", 3, "one", "9")])).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Value, &codes::DUPLICATE_KEY), "{error}");
        assert!(!error.to_string().contains("one"), "{error}");
        assert_eq!(rig.query("SELECT b, v, w FROM t ORDER BY b"), ["1\tone\t1", "2\ttwo\t2"]);
    }
}
