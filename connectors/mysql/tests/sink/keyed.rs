//! Merging, updating and deleting by key on tables that have more than that key.

use syncline_connect::{Task, WriteMode};
use syncline_types::{ErrorKind, LogicalType as L, SplitId, codes};

use crate::rig::{Run, batch, copy, rigs, rows, schema, target};

fn people() -> syncline_types::TableSchema {
    let mail = L::Text { length: Some(40), padded: false };
    schema(&[("id", L::Int64, false), ("mail", mail, true), ("n", L::Int64, true)], &["id"])
}

#[tokio::test]
async fn a_clash_of_another_key_leaves_the_other_row_alone() {
    for rig in rigs() {
        rig.run(
            "CREATE TABLE t (id bigint PRIMARY KEY, mail varchar(40) UNIQUE, n bigint);
                 INSERT INTO t VALUES (1, 'a@x', 1), (2, 'b@x', 2)",
        );
        let run = Run::begin(&rig, "r1", target("t", people(), WriteMode::Merge)).await;
        // Row 2 changes, and row 3 has the address of row 1.
        run.load(0, &rows(&[&["2", "b@x", "22"], &["3", "a@x", "3"]])).await;
        let error = run.finish().await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Value, &codes::DUPLICATE_KEY), "{error}");
        assert!(error.to_string().contains("key `") && !error.to_string().contains("a@x"), "{error}");
        assert_eq!(rig.query("SELECT * FROM t ORDER BY id"), ["1\ta@x\t1", "2\tb@x\t2"]);
    }
}

#[tokio::test]
async fn only_what_differs_is_written_and_texts_are_compared_exactly() {
    for rig in rigs() {
        rig.run("CREATE TABLE t (id bigint PRIMARY KEY, mail varchar(40), n bigint, \
                   touched int NOT NULL DEFAULT 0) COLLATE utf8mb4_general_ci;
                 INSERT INTO t (id, mail, n) VALUES (1, 'same', 1), (2, 'CASE', 2), (3, 'blank', 3), (4, NULL, 4);
                 CREATE TRIGGER touch BEFORE UPDATE ON t FOR EACH ROW SET NEW.touched = OLD.touched + 1");
        let all = rows(&[
            &["1", "same", "1"],
            &["2", "case", "2"],
            &["3", "blank ", "3"],
            &["4", "NULL", "4"],
            &["5", "new", "NULL"],
        ]);
        let how = copy(&rig, "r1", target("t", people(), WriteMode::Merge), &all).await;
        assert_eq!(how, "merged in one transaction");
        let got = rig.query("SELECT id, CONCAT(mail, '|'), touched FROM t ORDER BY id");
        assert_eq!(got, ["1\tsame|\t0", "2\tcase|\t1", "3\tblank |\t1", "4\tNULL\t0", "5\tnew|\t0"]);
    }
}

#[tokio::test]
async fn keys_that_the_targets_collation_takes_for_one_are_refused() {
    for rig in rigs() {
        rig.run(
            "CREATE TABLE t (k varchar(40) PRIMARY KEY, n bigint) COLLATE utf8mb4_general_ci;
                 INSERT INTO t VALUES ('old', 1)",
        );
        let text = L::Text { length: Some(40), padded: false };
        let schema = schema(&[("k", text, false), ("n", L::Int64, true)], &["k"]);
        let run = Run::begin(&rig, "r1", target("t", schema.clone(), WriteMode::Merge)).await;
        let mut writer = run.writer().await;
        let all = batch(&schema, &rows(&[&["a", "1"], &["A", "2"]]));
        writer.write(&run.target, SplitId(0), &all).await.unwrap();
        let error = writer.flush().await.unwrap_err();
        assert_eq!(error.code(), &codes::DUPLICATE_KEY, "{error}");
        drop((writer, run));
        // Where the last of several rows counts, these are still two.
        let mut latest = target("t", schema, WriteMode::Merge);
        latest.cursor = Some("n".into());
        let run = Run::begin(&rig, "r2", latest).await;
        run.load(0, &rows(&[&["a", "1"], &["A", "2"], &["a", "3"]])).await;
        let error = run.finish().await.unwrap_err();
        assert_eq!(error.code(), &codes::DUPLICATE_KEY, "{error}");
        assert!(error.to_string().contains("collation"), "{error}");
        assert_eq!(rig.query("SELECT * FROM t"), ["old\t1"]);
    }
}

#[tokio::test]
async fn a_text_of_the_key_becomes_the_sources_own() {
    for rig in rigs() {
        rig.run(
            "CREATE TABLE t (k varchar(40) PRIMARY KEY, n bigint) COLLATE utf8mb4_general_ci;
                 INSERT INTO t VALUES ('KEY', 1)",
        );
        let text = L::Text { length: Some(40), padded: false };
        let schema = schema(&[("k", text, false), ("n", L::Int64, true)], &["k"]);
        copy(&rig, "r1", target("t", schema, WriteMode::Merge), &rows(&[&["key", "1"]])).await;
        assert_eq!(rig.query("SELECT * FROM t"), ["key\t1"]);
    }
}

#[tokio::test]
async fn the_last_by_cursor_wins_also_where_the_table_is_made() {
    for rig in rigs() {
        let mut latest = target("t", people(), WriteMode::Merge);
        latest.cursor = Some("n".into());
        let all = rows(&[
            &["1", "old", "1"],
            &["1", "new", "5"],
            &["1", "mid", "3"],
            &["2", "a", "NULL"],
            &["2", "b", "NULL"],
        ]);
        let how = copy(&rig, "r1", latest.clone(), &all).await;
        assert_eq!(how, "renamed into place");
        assert_eq!(rig.query("SELECT * FROM t ORDER BY id"), ["1\tnew\t5", "2\tb\tNULL"]);
        let keys = "SELECT index_name, column_name FROM information_schema.statistics \
                    WHERE table_schema = DATABASE() AND table_name = 't'";
        assert_eq!(rig.query(keys), ["PRIMARY\tid"]);
        copy(&rig, "r2", latest, &rows(&[&["2", "d", "9"], &["2", "c", "8"]])).await;
        assert_eq!(rig.query("SELECT * FROM t ORDER BY id"), ["1\tnew\t5", "2\td\t9"]);
    }
}

#[tokio::test]
async fn a_merge_goes_on_with_what_syncline_made_whatever_its_types_are() {
    for rig in rigs() {
        let schema = schema(
            &[
                ("id", L::Uuid, false),
                ("a", L::Bits { length: Some(1), varying: false }, true),
                ("b", L::Text { length: Some(5), padded: true }, true),
                ("c", L::TIME, true),
                ("d", L::Interval, true),
                ("e", L::Json { normalized: true }, true),
                ("f", L::Numeric, true),
                ("g", L::Float64, true),
            ],
            &["id"],
        );
        let id = "00000000-0000-0000-0000-00000000000";
        let first = rows(&[&[&format!("{id}1"), "1", "ab", "10:00:00", "P1M", "{}", "1.50", "0"]]);
        let second = rows(&[
            &[&format!("{id}1"), "0", "ab", "10:00:00", "P1M", "[1]", "1.5", "0.5"],
            &[&format!("{id}2"), "NULL", "NULL", "NULL", "NULL", "NULL", "NULL", "NULL"],
        ]);
        copy(&rig, "r1", target("t", schema.clone(), WriteMode::Merge), &first).await;
        copy(&rig, "r2", target("t", schema, WriteMode::Merge), &second).await;
        let got = rig.query("SELECT RIGHT(id, 1), a + 0, b, c, d, e, f, g FROM t ORDER BY id");
        assert_eq!(got[0], "1\t0\tab\t10:00:00.000000\tP1M\t[1]\t1.5\t0.5");
        assert_eq!(got[1], "2\tNULL\tNULL\tNULL\tNULL\tNULL\tNULL\tNULL");
    }
}

#[tokio::test]
async fn rows_that_others_refer_to_are_changed_by_key() {
    for rig in rigs() {
        rig.run(
            "CREATE TABLE t (id bigint PRIMARY KEY, mail varchar(40), n bigint);
                 CREATE TABLE child (t_id bigint, FOREIGN KEY (t_id) REFERENCES t (id));
                 INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2); INSERT INTO child VALUES (1)",
        );
        let mut whole = target("t", people(), WriteMode::Overwrite);
        whole.overwrite_said = true;
        let how = copy(&rig, "r1", whole.clone(), &rows(&[&["1", "A", "1"], &["3", "c", "3"]])).await;
        assert_eq!(how, "replaced in one transaction");
        assert_eq!(rig.query("SELECT * FROM t ORDER BY id"), ["1\tA\t1", "3\tc\t3"]);
        // Row 1 is referred to and cannot go.
        let run = Run::begin(&rig, "r2", whole).await;
        run.load(0, &rows(&[&["4", "d", "4"]])).await;
        assert!(run.finish().await.is_err());
        assert_eq!(rig.query("SELECT * FROM t ORDER BY id"), ["1\tA\t1", "3\tc\t3"]);
        run.sink.close("p").await.unwrap();
        drop(run);
        let mut gone = target("t", schema(&[("id", L::Int64, false)], &["id"]), WriteMode::Merge);
        gone.task = Task::Delete;
        assert_eq!(
            copy(&rig, "r3", gone, &rows(&[&["3"], &["3"], &["9"]])).await,
            "deleted in one transaction"
        );
        assert_eq!(rig.query("SELECT id FROM t"), ["1"]);
    }
}
