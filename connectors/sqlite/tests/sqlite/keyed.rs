//! Rows of a table updated and deleted by key.

use syncline_connect::{Target, Task, WriteMode};
use syncline_types::{LogicalType as L, codes};

use crate::rig::{Rig, Run, blockers, copy, plan_of, rows, schema, target};

const TABLE: &str =
    "CREATE TABLE t (a TEXT COLLATE NOCASE NOT NULL, b INT NOT NULL, v TEXT NOT NULL UNIQUE, w INT,
       PRIMARY KEY (a, b)) WITHOUT ROWID;
     INSERT INTO t VALUES ('x', 1, 'one', 1), ('x', 2, 'two', 2), ('y', 1, 'three', 3)";

fn changing(task: Task, columns: &[(&str, L, bool)]) -> Target {
    Target { task, ..target("t", schema(columns, &["a", "b"]), WriteMode::Merge) }
}

fn gone() -> Target {
    changing(Task::Delete, &[("a", L::TEXT, false), ("b", L::Int64, false)])
}

#[tokio::test]
async fn keys_alone_are_enough_to_delete_rows_of_a_table_with_more() {
    let rig = Rig::with(TABLE);
    let how = copy(&rig, "r1", gone(), &rows(&[&["X", "2"], &["y", "1"], &["y", "1"], &["z", "1"]])).await;
    assert_eq!(how, "deleted in one transaction");
    assert_eq!(rig.query("SELECT * FROM t"), rows(&[&["x", "1", "one", "1"]]));
}

#[tokio::test]
async fn only_columns_that_arrive_are_updated_and_new_ones_added() {
    let rig = Rig::with(TABLE);
    let columns = [("a", L::TEXT, false), ("b", L::Int64, false), ("seen", L::TIMESTAMPTZ, true)];
    let update = changing(Task::Update, &columns);
    let plan = plan_of(&rig, update.clone()).await;
    assert_eq!(blockers(&plan), Vec::<&syncline_types::Code>::new());
    let how =
        copy(&rig, "r1", update, &rows(&[&["x", "2", "2024-01-01T00:00:00Z"], &["q", "9", "NULL"]])).await;
    assert_eq!(how, "updated in one transaction");
    assert_eq!(rig.query("SELECT b, v FROM t WHERE seen IS NOT NULL"), rows(&[&["2", "two"]]));
    assert_eq!(rig.one("SELECT count(*) FROM t"), "3");
}

#[tokio::test]
async fn triggers_that_keep_rows_as_they_are_stop_the_change() {
    for (task, event) in [(Task::Delete, "DELETE"), (Task::Update, "UPDATE")] {
        let rig = Rig::with(&format!(
            "{TABLE}; CREATE TRIGGER keep BEFORE {event} ON t WHEN old.b = 2 BEGIN SELECT raise(IGNORE); END"
        ));
        let columns = [("a", L::TEXT, false), ("b", L::Int64, false), ("w", L::Int64, true)];
        let run = Run::begin(&rig, "r1", changing(task, &columns)).await;
        assert!(run.load(0, &rows(&[&["x", "1", "7"], &["x", "2", "7"]])).await.is_empty());
        let error = run.finish().await.unwrap_err();
        assert_eq!(error.code(), &codes::VALUE_REFUSED, "{error}");
        assert_eq!(rig.one("SELECT group_concat(w) FROM t"), "1,2,3", "{task:?}");
    }
}

#[tokio::test]
async fn rows_of_other_tables_that_go_too_are_told_before() {
    let rig = Rig::with(&format!(
        "{TABLE}; CREATE TABLE child (a TEXT, b INT, FOREIGN KEY (a, b) REFERENCES t ON DELETE CASCADE)"
    ));
    let plan = plan_of(&rig, gone()).await;
    let warned = plan.findings.iter().any(|finding| finding.message.contains("child"));
    assert!(warned && blockers(&plan).is_empty(), "{:?}", plan.findings);
}
