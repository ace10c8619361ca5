//! Overwriting: by renaming, and in place where something hangs on the table.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use syncline_connect::{Replace, Target, WriteMode};
use syncline_types::{Column, LogicalType as L, TableSchema, codes};

use crate::rig::{Rig, Row, Run, blockers, copy, plan_of, row, rows, schema, target};

fn two_columns() -> TableSchema {
    schema(&[("id", L::Int64, false), ("v", L::TEXT, true)], &["id"])
}

/// A target whose user has said that it is to be overwritten.
fn said(name: &str) -> Target {
    Target { overwrite_said: true, ..target(name, two_columns(), WriteMode::Overwrite) }
}

#[tokio::test]
async fn a_table_that_we_made_is_renamed_over_in_a_new_shape() {
    let rig = Rig::new();
    let first = target("t", two_columns(), WriteMode::Overwrite);
    assert_eq!(
        copy(&rig, "r1", first.clone(), &rows(&[&["1", "a"], &["2", "b"]])).await,
        "renamed into place"
    );
    let plan = plan_of(&rig, first).await;
    assert!(plan.existing.is_some_and(|existing| existing.ours && existing.has_rows));
    let wider = schema(&[("id", L::Int64, false), ("more", L::Date, true), ("v", L::Int64, true)], &["id"]);
    let second = target("t", wider, WriteMode::Overwrite);
    assert_eq!(copy(&rig, "r2", second, &rows(&[&["3", "2024-01-01", "7"]])).await, "renamed into place");
    assert_eq!(rig.rows("t").await, rows(&[&["3", "2024-01-01", "7"]]));
    assert!(plan_of(&rig, said("t")).await.existing.is_some_and(|existing| existing.ours));
    // Changed by its user it is his.
    rig.run("ALTER TABLE t ADD COLUMN mine TEXT");
    assert!(plan_of(&rig, said("t")).await.existing.is_some_and(|existing| !existing.ours));
    rig.run("DROP TABLE t; CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)");
    assert!(plan_of(&rig, said("t")).await.existing.is_some_and(|existing| !existing.ours));
}

#[tokio::test]
async fn rows_of_others_are_not_overwritten_without_a_word() {
    let rig = Rig::with("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)");
    let implied = target("t", two_columns(), WriteMode::Overwrite);
    assert!(blockers(&plan_of(&rig, implied.clone()).await).is_empty(), "it is empty");
    let run = Run::begin(&rig, "r1", implied.clone()).await;
    run.load(0, &rows(&[&["1", "new"]])).await;
    rig.run("INSERT INTO t VALUES (5, 'theirs')");
    let plan = plan_of(&rig, implied).await;
    assert_eq!(blockers(&plan), [&codes::NEEDS_DECISION]);
    assert!(plan.findings[0].message.contains("--write overwrite"), "{:?}", plan.findings);
    // They came after the run was planned.
    assert_eq!(run.finish().await.unwrap_err().code(), &codes::NEEDS_DECISION);
    assert_eq!(rig.one("SELECT v FROM t"), "theirs");
    run.sink.close("p").await.unwrap();
    drop(run);
    copy(&rig, "r2", said("t"), &rows(&[&["1", "new"]])).await;
    assert_eq!(rig.rows("t").await, rows(&[&["1", "new"]]));
}

/// A user's table that is renamed over keeps its definition to the letter.
#[tokio::test]
async fn a_users_table_keeps_its_definition() {
    let rig = Rig::with(
        "CREATE TABLE t ( id INTEGER PRIMARY KEY, v TEXT COLLATE NOCASE CHECK (v <> 'bad') DEFAULT (1 + 2),
           extra INT DEFAULT 7, twice AS (id * 2), UNIQUE (v));
         INSERT INTO t (id, v) VALUES (9, 'old')",
    );
    let body = "SELECT substr(sql, instr(sql, '(')) FROM sqlite_schema WHERE name = 't'";
    let before = rig.one(body);
    let run = Run::begin(&rig, "r1", said("t")).await;
    assert_eq!(run.plan().await.publish[0].verb, "replace");
    let refused = run.load(0, &rows(&[&["1", "a"], &["2", "bad"], &["3", "A"], &["4", "b"]])).await;
    assert_eq!(refused.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [1, 2], "{refused:?}");
    assert!(refused.iter().all(|(_, message)| !message.contains("_syncline")), "{refused:?}");
    assert_eq!(run.end().await, "renamed into place");
    assert_eq!(rig.one(body), before);
    assert_eq!(rig.query("SELECT * FROM t"), rows(&[&["1", "a", "7", "2"], &["4", "b", "7", "8"]]));
    assert_eq!(rig.query("SELECT count(*) FROM _syncline_made"), rows(&[&["0"]]), "it is not ours");
}

#[tokio::test]
async fn what_hangs_on_a_table_stays_and_works() {
    let rig = Rig::with(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY); INSERT INTO parent VALUES (1), (2);
         CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT CHECK (v <> 'bad'), p INT DEFAULT 1 REFERENCES parent);
         INSERT INTO t VALUES (1, 'old', 1), (9, 'older', 2);
         CREATE INDEX t_v ON t (v); CREATE UNIQUE INDEX t_u ON t (lower(v)); CREATE VIEW shown AS SELECT id, v FROM T;
         CREATE TABLE child (t INT REFERENCES t); INSERT INTO child VALUES (1);
         CREATE TABLE log (what); CREATE TRIGGER logs AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.v); END;
         CREATE TRIGGER reads AFTER INSERT ON parent BEGIN UPDATE t SET v = v WHERE id = new.id; END;
         CREATE VIEW broken AS SELECT * FROM nowhere",
    );
    let schema_of = || {
        rig.query("SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE '\\_sync%' ESCAPE '\\' ORDER BY name")
    };
    let before = schema_of();
    let run = Run::begin(&rig, "r1", said("t")).await;
    let plan = run.plan().await;
    let detail = &plan.publish[0].detail;
    for reason in [
        "index t_v",
        "index t_u",
        "view shown",
        "trigger logs",
        "trigger reads of parent",
        "a foreign key of child",
    ] {
        assert!(detail.contains(reason), "{reason}: {detail}");
    }
    assert!(
        plan.findings.iter().any(|finding| finding.message.contains("will fire: logs")),
        "{:?}",
        plan.findings
    );
    run.load(0, &rows(&[&["1", "a"], &["2", "b"]])).await;
    assert_eq!(rig.one("SELECT group_concat(v) FROM shown"), "old,older");
    assert_eq!(run.end().await, "replaced in one transaction");
    assert_eq!(schema_of(), before);
    assert_eq!(rig.query("SELECT * FROM shown"), rows(&[&["1", "a"], &["2", "b"]]));
    assert_eq!(rig.one("SELECT group_concat(what) FROM log"), "a,b");
    assert_eq!(rig.one("SELECT count(*) FROM child"), "1");
    // A foreign key that would hang in the air holds the publication back.
    let run = Run::begin(&rig, "r2", said("t")).await;
    run.load(0, &rows(&[&["2", "c"]])).await;
    let error = run.finish().await.unwrap_err();
    assert_eq!(error.code(), &codes::TARGET_IN_USE, "{error}");
    assert_eq!(rig.one("SELECT group_concat(v) FROM shown"), "a,b");
}

/// Checks show when a row is loaded; where a table refers to others, only when all are published.
#[tokio::test]
async fn staging_refuses_what_the_table_would() {
    for (table, refused_rows) in [
        (
            "(id INTEGER PRIMARY KEY, v TEXT NOT NULL CHECK (length(v) < 3)); CREATE INDEX i ON t (v)",
            vec![1, 2],
        ),
        (
            "(id INTEGER PRIMARY KEY, v TEXT NOT NULL CHECK (length(t.v) < 3)); CREATE INDEX i ON t (v)",
            vec![1],
        ),
        (
            "(id INTEGER PRIMARY KEY, v TEXT NOT NULL, p REFERENCES x (a)); CREATE TABLE x (a INTEGER PRIMARY KEY)",
            vec![1],
        ),
        ("(id INT PRIMARY KEY, v TEXT NOT NULL) STRICT; CREATE UNIQUE INDEX u ON t (v)", vec![1, 3]),
        (
            "(id INT PRIMARY KEY, v TEXT NOT NULL) WITHOUT ROWID; CREATE UNIQUE INDEX u ON t (v) WHERE id > 5",
            vec![1],
        ),
    ] {
        let rig = Rig::with(&format!("CREATE TABLE t {table}"));
        let run = Run::begin(&rig, "r1", said("t")).await;
        let refused = run.load(0, &rows(&[&["1", "a"], &["2", "NULL"], &["3", "long"], &["4", "a"]])).await;
        let found: Vec<u32> = refused.iter().map(|(row, _)| *row).collect();
        assert_eq!(found, refused_rows, "{table}: {refused:?}");
        let staged = rig.one("SELECT count(*) FROM _syncline_stage_r1_0");
        assert_eq!(staged, (4 - refused_rows.len()).to_string());
        match table.contains("t.v") {
            true => assert!(run.finish().await.unwrap_err().to_string().contains("CHECK constraint failed")),
            false => assert!(run.finish().await.is_ok(), "{table}"),
        }
    }
}

#[tokio::test]
async fn rows_of_other_tables_are_not_deleted_along() {
    for action in ["CASCADE", "SET NULL", "SET DEFAULT"] {
        let rig = Rig::with(&format!(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);
             CREATE TABLE child (t INT DEFAULT 7 REFERENCES t ON DELETE {action})"
        ));
        // Nothing is there yet that could be deleted.
        let run = Run::begin(&rig, "r1", said("t")).await;
        run.load(0, &rows(&[&["1", "a"]])).await;
        rig.run("INSERT INTO t VALUES (1, 'theirs'); INSERT INTO child VALUES (1)");
        let plan = plan_of(&rig, said("t")).await;
        assert_eq!(blockers(&plan), [&codes::TARGET_IN_USE]);
        assert!(
            plan.findings[0].message.contains(&format!("child (ON DELETE {action})")),
            "{:?}",
            plan.findings
        );
        assert_eq!(run.finish().await.unwrap_err().code(), &codes::TARGET_IN_USE);
        assert_eq!(rig.one("SELECT t FROM child"), "1");
        // Merging deletes nothing.
        let merge = target("t", two_columns(), WriteMode::Merge);
        assert!(blockers(&plan_of(&rig, merge).await).is_empty());
    }
    let rig = Rig::with(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'old');
         CREATE TABLE child (t INT REFERENCES t ON DELETE RESTRICT); INSERT INTO child VALUES (1)",
    );
    assert_eq!(copy(&rig, "r1", said("t"), &rows(&[&["1", "new"]])).await, "replaced in one transaction");
}

#[tokio::test]
async fn in_place_when_asked_for_and_numbers_go_on() {
    let mut counted = two_columns();
    counted.columns[0].identity = true;
    for replace in [Replace::Auto, Replace::InPlace] {
        let rig = Rig::new();
        let overwrite = Target { replace, ..target("t", counted.clone(), WriteMode::Overwrite) };
        copy(&rig, "r1", overwrite.clone(), &rows(&[&["1", "a"], &["50", "b"]])).await;
        rig.run("INSERT INTO t (v) VALUES ('theirs')");
        assert_eq!(rig.one("SELECT max(id) FROM t"), "51");
        let how = copy(&rig, "r2", overwrite.clone(), &rows(&[&["3", "c"]])).await;
        assert_eq!(how.contains("renamed"), replace == Replace::Auto, "{how}");
        rig.run("INSERT INTO t (v) VALUES ('next')");
        assert_eq!(rig.one("SELECT group_concat(id) FROM t"), "3,52", "no number comes twice");
        copy(&rig, "r3", overwrite, &[]).await;
        rig.run("INSERT INTO t (v) VALUES ('next')");
        assert_eq!(rig.one("SELECT group_concat(id) FROM t"), "53", "not even for an empty table");
    }
}

#[tokio::test]
async fn publishing_twice_changes_nothing() {
    let rig = Rig::with("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); CREATE VIEW w AS SELECT * FROM t");
    for write in [WriteMode::Overwrite, WriteMode::Append, WriteMode::Merge] {
        let run =
            Run::begin(&rig, "r1", Target { overwrite_said: true, ..target("t", two_columns(), write) })
                .await;
        let id = format!("{}", write as u8);
        run.load(0, &[row(&[&id, "a"])]).await;
        run.finish().await.unwrap();
        let before = rig.rows("t").await;
        assert_eq!(run.finish().await.unwrap(), "it was published before");
        let progress = run.sink.progress("p").await.unwrap().unwrap();
        assert_eq!(progress.published, [0]);
        // The same run, prepared once more by another process, is still published.
        run.prepare().await;
        assert_eq!(run.finish().await.unwrap(), "it was published before");
        assert_eq!(rig.rows("t").await, before);
        run.sink.close("p").await.unwrap();
    }
    assert_eq!(rig.rows("t").await.len(), 3);
}

/// Somebody who looks all the time sees the old rows or the new ones, never none or some.
#[tokio::test(flavor = "multi_thread")]
async fn readers_see_all_rows_of_one_state() {
    for (setup, how) in [("", "renamed"), ("CREATE VIEW w AS SELECT * FROM t", "replaced")] {
        let rig = Rig::new();
        let of = |value: &str, count: usize| -> Vec<Row> {
            (0..count).map(|id| row(&[&id.to_string(), value])).collect()
        };
        copy(&rig, "r0", said("t"), &of("0", 1_000)).await;
        rig.run(setup);
        let stop = Arc::new(AtomicBool::new(false));
        let reader = std::thread::spawn({
            let (connection, stop) = (rig.connection(), Arc::clone(&stop));
            move || {
                let mut states = std::collections::BTreeSet::new();
                while !stop.load(Ordering::Relaxed) {
                    let seen =
                        crate::rig::query(&connection, "SELECT count(*), min(v), max(v) FROM t").remove(0);
                    let count: usize = seen[0].as_ref().unwrap().parse().unwrap();
                    let value: usize = seen[1].as_ref().unwrap().parse().unwrap();
                    assert_eq!((seen[1].as_ref(), count), (seen[2].as_ref(), 1_000 + value));
                    states.insert(value);
                }
                states
            }
        });
        for number in 1..6 {
            let rows = of(&number.to_string(), 1_000 + number);
            let done = copy(&rig, &format!("r{number}"), said("t"), &rows).await;
            assert!(done.starts_with(how), "{done}");
        }
        stop.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap().len() > 1, "it has looked at more than one state");
    }
}

#[tokio::test]
async fn what_does_not_fit_a_table_that_stays_is_told() {
    let rig = Rig::with(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, must INT NOT NULL); CREATE VIEW w AS SELECT * FROM t;
         CREATE TABLE filled (id INTEGER PRIMARY KEY, a NOT NULL DEFAULT CURRENT_TIMESTAMP, b NOT NULL DEFAULT 5, c,
           d AS (id) STORED NOT NULL); CREATE VIEW x AS SELECT * FROM filled",
    );
    let plan = plan_of(&rig, said("t")).await;
    assert_eq!(blockers(&plan), [&codes::COLUMN_MISSING]);
    assert!(plan.findings[0].message.contains("`t.must`"), "{:?}", plan.findings);
    let only_id = schema(&[("ID", L::Int64, false)], &["ID"]);
    let filled = Target { overwrite_said: true, ..target("FILLED", only_id, WriteMode::Overwrite) };
    assert!(blockers(&plan_of(&rig, filled.clone()).await).is_empty());
    copy(&rig, "r1", filled, &rows(&[&["1"]])).await;
    assert_eq!(rig.query("SELECT id, b, c, d FROM filled"), rows(&[&["1", "5", "NULL", "1"]]));
    let mut more = two_columns();
    more.columns.extend([Column::new("must", L::Int64).required(), Column::new("new", L::Int64)]);
    let plan = plan_of(&rig, Target { schema: more, ..said("t") }).await;
    assert_eq!(blockers(&plan), [&codes::COLUMN_MISSING]);
    assert!(plan.findings[0].message.contains("`t.new`"), "{:?}", plan.findings);
    assert_eq!(plan.columns[3].note.as_deref(), Some("added"));
}

/// What staging was made for is not what the table is now: nothing is converted in passing.
#[tokio::test]
async fn a_table_that_changed_under_way_is_not_written_to() {
    let rig = Rig::new();
    let run = Run::begin(&rig, "r1", said("t")).await;
    run.load(0, &rows(&[&["1", "007"]])).await;
    rig.run("CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER)");
    let error = run.finish().await.unwrap_err();
    assert_eq!(error.code(), &codes::SCHEMA_CHANGED, "{error}");
    rig.run("DROP TABLE t; CREATE TABLE T (v VARCHAR(5), id INTEGER PRIMARY KEY)");
    assert_eq!(run.end().await, "replaced in one transaction");
    assert_eq!(rig.query("SELECT v, id FROM t"), rows(&[&["007", "1"]]));
}

#[tokio::test]
async fn a_trigger_that_keeps_rows_fails_the_publication() {
    for trigger in [
        "BEFORE DELETE ON t WHEN old.id = 9 BEGIN SELECT raise(IGNORE); END",
        "BEFORE INSERT ON t WHEN new.id = 2 BEGIN SELECT raise(IGNORE); END",
    ] {
        let rig = Rig::with(&format!(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (9, 'old'); CREATE TRIGGER x {trigger}"
        ));
        let run = Run::begin(&rig, "r1", said("t")).await;
        run.load(0, &rows(&[&["1", "a"], &["2", "b"]])).await;
        let error = run.finish().await.unwrap_err();
        assert!(error.to_string().contains("by a trigger"), "{error}");
        assert_eq!(rig.rows("t").await, rows(&[&["9", "old"]]));
    }
}

/// Where the process dies between two steps, the next one goes on from there.
#[tokio::test]
async fn a_run_goes_on_after_each_step() {
    let rig = Rig::new();
    let data = rows(&[&["1", "a"], &["2", "b"], &["3", "c"]]);
    let mut sink = rig.sink().await;
    let mut epoch = sink.lock("p", 0).await.unwrap();
    for step in 0..6 {
        let run = Run { sink, run: crate::rig::run_ref("r1", epoch), target: Arc::new(said("t")) };
        let plan = run.plan().await;
        for action in plan.before.iter().take(if step == 0 { 1 } else { 9 }) {
            run.sink.apply(&run.run, &run.target, action).await.unwrap();
        }
        if (1..4).contains(&step) {
            run.load(step as u32, &data[step - 1..step]).await;
        }
        if step >= 4 {
            run.finish().await.unwrap();
        }
        drop(run);
        sink = rig.sink().await;
        epoch = sink.lock("p", epoch).await.unwrap();
    }
    let progress = sink.progress("p").await.unwrap().unwrap();
    assert_eq!((progress.published.as_slice(), progress.splits.len(), progress.epoch), (&[0][..], 3, 7));
    sink.close("p").await.unwrap();
    drop(sink);
    assert_eq!(rig.rows("t").await, data);
    assert_eq!(rig.files(), ["test.db"]);
}
