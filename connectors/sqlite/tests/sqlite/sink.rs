//! Locks, epochs, progress, transactions: what holds whatever becomes of the process.

use std::sync::Arc;

use syncline_connect::{Delivery, Lanes, Marking, Outcome, WriteMode};
use syncline_types::{LogicalType as L, Position, Progress, SplitId, TableSchema, codes};

use crate::rig::{Rig, Row, Run, batch, copy, delta, done, refused, row, rows, run_ref, schema, target};

fn two_columns() -> TableSchema {
    schema(&[("id", L::Int64, false), ("v", L::TEXT, true)], &["id"])
}

fn overwrite() -> syncline_connect::Target {
    target("t", two_columns(), WriteMode::Overwrite)
}

fn append() -> syncline_connect::Target {
    syncline_connect::Target { staged: false, ..target("t", two_columns(), WriteMode::Append) }
}

#[tokio::test]
async fn a_run_leaves_its_rows_and_nothing_else() {
    let rig = Rig::new();
    assert!(rig.files().is_empty());
    let run = Run::begin(&rig, "r1", overwrite()).await;
    assert_eq!(run.sink.lanes(), Lanes::One);
    assert_eq!(run.sink.guarantee(&run.target), Delivery::ExactlyOnce);
    assert!(rig.files().contains(&"test.db-syncline-p.lock".to_owned()), "{:?}", rig.files());
    run.load(0, &rows(&[&["1", "a"]])).await;
    let sink = {
        run.finish().await.unwrap();
        run.sink.close("p").await.unwrap();
        assert!(!rig.files().iter().any(|name| name.contains("lock")), "{:?}", rig.files());
        run.sink
    };
    drop(sink);
    assert_eq!(rig.files(), ["test.db"]);
    let tables = rig.query("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name");
    assert_eq!(tables, rows(&[&["_syncline_identity"], &["_syncline_made"], &["t"]]));
    assert_eq!(rig.one("PRAGMA journal_mode"), "wal", "we created the file");
    assert_eq!(rig.one("SELECT v FROM t"), "a");
}

#[tokio::test]
async fn a_file_that_is_there_keeps_its_journal_mode() {
    let rig = Rig::with("CREATE TABLE x (a)");
    copy(&rig, "r1", overwrite(), &rows(&[&["1", "a"]])).await;
    assert_eq!(rig.one("PRAGMA journal_mode"), "delete");
    assert_eq!(rig.files(), ["test.db"]);
}

#[tokio::test]
async fn a_dry_run_touches_nothing() {
    let rig = Rig::new();
    let sink = rig.sink().await;
    let plan = sink.plan(&[Arc::new(overwrite())]).await.unwrap().remove(0);
    assert!(plan.existing.is_none() && plan.findings.is_empty());
    let verbs: Vec<&str> = plan.before.iter().map(|action| action.verb).collect();
    assert_eq!(verbs, ["create", "create"]);
    assert_eq!(plan.publish[0].detail, "staging becomes the table");
    assert!(sink.progress("p").await.unwrap().is_some_and(|progress| progress.run.is_none()));
    drop(sink);
    assert!(rig.files().is_empty());
}

#[tokio::test]
async fn one_process_runs_a_pipeline() {
    let rig = Rig::new();
    let first = rig.sink().await;
    assert_eq!(first.lock("p", 0).await.unwrap(), 1);
    let second = rig.sink().await;
    assert_eq!(second.lock("p", 0).await.unwrap_err().code(), &codes::ALREADY_RUNNING);
    assert_eq!(second.lock("other", 4).await.unwrap(), 5);
    drop(first);
    let third = rig.sink().await;
    assert_eq!(third.lock("p", 0).await.unwrap(), 2, "higher than any before");
    assert_eq!(third.lock("p", 9).await.unwrap(), 10, "once more by the same process");
    drop((second, third));
    assert_eq!(rig.files(), ["test.db"]);
}

/// A lock that was lost, as on a file system that has none: the epoch keeps the older process out.
#[tokio::test]
async fn a_newer_epoch_fences_everything_of_an_older_one() {
    let rig = Rig::new();
    let old = Run::begin(&rig, "r1", overwrite()).await;
    old.load(0, &rows(&[&["1", "a"]])).await;
    let mut writer = old.writer().await;
    std::fs::remove_file(rig.folder.path().join("test.db-syncline-p.lock")).unwrap();
    let new = rig.sink().await;
    let epoch = new.lock("p", 0).await.unwrap();
    assert_eq!(epoch, old.run.epoch + 1);
    let rows = batch(&old.target.schema, &rows(&[&["2", "b"]]));
    let error = writer.write(&old.target, SplitId(1), &rows).await.unwrap_err();
    assert_eq!(error.code(), &codes::FENCED);
    for error in [
        old.sink.writer(&old.run).await.err().unwrap(),
        old.finish().await.unwrap_err(),
        old.sink.reset(&old.run, &old.target).await.unwrap_err(),
        old.sink.close("p").await.unwrap_err(),
        old.sink.apply(&old.run, &old.target, &old.plan().await.before[0]).await.unwrap_err(),
    ] {
        assert_eq!(error.code(), &codes::FENCED, "{error}");
    }
    // The newer one goes on with what is there.
    let run = Run { sink: new, run: run_ref("r1", epoch), target: Arc::new(overwrite()) };
    let progress = run.sink.progress("p").await.unwrap().unwrap();
    assert_eq!((progress.run.as_deref(), progress.epoch), (Some("r1"), epoch));
    assert_eq!(progress.splits.len(), 1);
    run.prepare().await;
    run.load(1, &crate::rig::rows(&[&["2", "b"]])).await;
    run.end().await;
    assert_eq!(rig.rows("t").await, crate::rig::rows(&[&["1", "a"], &["2", "b"]]));
}

#[tokio::test]
async fn progress_is_in_the_transaction_of_the_rows() {
    let rig = Rig::new();
    let run = Run::begin(&rig, "r1", overwrite()).await;
    let progress = || async { run.sink.progress("p").await.unwrap().unwrap() };
    assert_eq!(progress().await.run.as_deref(), Some("r1"), "known as soon as it is prepared");
    let staged = || rig.one("SELECT count(*) FROM _syncline_stage_r1_0");
    let mut writer = run.writer().await;
    run.write(&mut *writer, &rows(&[&["1", "a"]])).await;
    run.write(&mut *writer, &rows(&[&["2", "b"]])).await;
    assert_eq!((staged().as_str(), progress().await.splits.len()), ("0", 0), "others see nothing yet");
    let at = Progress::At(Position("[\"2\"]".into()));
    writer.commit(&[delta(0, at.clone(), 2)]).await.unwrap();
    assert_eq!(staged(), "2");
    assert_eq!(progress().await.splits[&(0, SplitId(0))].progress, at);
    // A process that dies in the middle of a transaction leaves what was committed.
    run.write(&mut *writer, &rows(&[&["3", "c"]])).await;
    drop(writer);
    assert_eq!(staged(), "2");
    // A split without rows is committed too.
    let mut writer = run.writer().await;
    writer.commit(&[done(1, 0)]).await.unwrap();
    writer.commit(&[]).await.unwrap();
    let splits = progress().await.splits;
    assert_eq!((splits.len(), &splits[&(0, SplitId(1))].progress), (2, &Progress::Done));
    run.load(0, &rows(&[&["3", "c"]])).await;
    assert_eq!(run.end().await, "renamed into place");
    assert_eq!(rig.rows("t").await.len(), 3);
}

#[tokio::test]
async fn rows_are_taken_back_to_the_last_flush() {
    let rig = Rig::new();
    let run = Run::begin(&rig, "r1", overwrite()).await;
    let mut writer = run.writer().await;
    writer.flush().await.unwrap();
    writer.abort().await.unwrap();
    run.write(&mut *writer, &rows(&[&["1", "a"]])).await;
    writer.abort().await.unwrap();
    run.write(&mut *writer, &rows(&[&["2", "b"]])).await;
    writer.flush().await.unwrap();
    run.write(&mut *writer, &rows(&[&["3", "c"]])).await;
    writer.abort().await.unwrap();
    writer.abort().await.unwrap();
    run.write(&mut *writer, &rows(&[&["4", "d"]])).await;
    writer.commit(&[done(0, 2)]).await.unwrap();
    writer.abort().await.unwrap();
    drop(writer);
    run.end().await;
    assert_eq!(rig.rows("t").await, rows(&[&["2", "b"], &["4", "d"]]));
}

/// A row that the table refuses is told, and the others are written.
#[tokio::test]
async fn what_a_table_refuses_of_a_row_leaves_the_others_alone() {
    let rig = Rig::with(
        "CREATE TABLE other (id INTEGER PRIMARY KEY); INSERT INTO other VALUES (1);
         CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT NOT NULL ON CONFLICT IGNORE CHECK (v <> 'bad'),
           u TEXT UNIQUE ON CONFLICT REPLACE, o INT REFERENCES other);
         INSERT INTO t VALUES (100, 'theirs', 'taken', 1)",
    );
    let columns = [("id", L::Int64, true), ("v", L::TEXT, true), ("u", L::TEXT, true), ("o", L::Int64, true)];
    let mut append = target("t", schema(&columns, &[]), WriteMode::Append);
    append.staged = false;
    let run = Run::begin(&rig, "r1", append).await;
    let refused = run
        .load(
            0,
            &rows(&[
                &["1", "a", "x", "1"],
                &["2", "NULL", "y", "1"],
                &["3", "bad", "z", "1"],
                &["4", "secret", "taken", "1"],
                &["5", "secret", "w", "77"],
                &["100", "secret", "v", "1"],
                &["NULL", "secret", "q", "1"],
                &["6", "b", "NULL", "NULL"],
            ]),
        )
        .await;
    let expected = [
        (1, "NOT NULL constraint failed: t.v", "4001"),
        (2, "CHECK constraint failed", "4001"),
        (3, "UNIQUE constraint failed: t.u", "4004"),
        (4, "FOREIGN KEY constraint failed", "4001"),
        (5, "UNIQUE constraint failed: t.id", "4004"),
        (6, "`t.id`: it is NULL in a key", "4001"),
    ];
    assert_eq!(refused.len(), expected.len(), "{refused:?}");
    for ((row, message), (expected_row, words, code)) in refused.iter().zip(expected) {
        assert_eq!(*row, expected_row);
        assert!(
            message.contains(words) && message.contains(code) && !message.contains("secret"),
            "{message}"
        );
    }
    run.end().await;
    assert_eq!(rig.query("SELECT id FROM t ORDER BY id"), rows(&[&["1"], &["6"], &["100"]]));
}

#[tokio::test]
async fn triggers_cannot_make_half_a_row() {
    let rig = Rig::with(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); CREATE TABLE log (id);
         CREATE TRIGGER ignores BEFORE INSERT ON t WHEN new.v = 'ignore' BEGIN SELECT raise(IGNORE); END;
         CREATE TRIGGER fails AFTER INSERT ON t WHEN new.v = 'fail' BEGIN
           INSERT INTO log VALUES (new.id); SELECT raise(FAIL, 'secret'); END;
         CREATE TRIGGER aborts AFTER INSERT ON t WHEN new.v = 'abort' BEGIN SELECT raise(ABORT, 'secret'); END;
         CREATE TRIGGER ends AFTER INSERT ON t WHEN new.v = 'rollback' BEGIN SELECT raise(ROLLBACK, 'secret'); END;",
    );
    let run = Run::begin(&rig, "r1", append()).await;
    let findings = run.plan().await.findings;
    assert!(
        crate::rig::messages(&findings)[0].contains("will fire: aborts, ends, fails, ignores"),
        "{findings:?}"
    );
    let refused = run
        .load(0, &rows(&[&["1", "a"], &["2", "ignore"], &["3", "fail"], &["4", "abort"], &["5", "b"]]))
        .await;
    let refused_rows: Vec<u32> = refused.iter().map(|(row, _)| *row).collect();
    assert_eq!(refused_rows, [1, 2, 3], "{refused:?}");
    assert!(
        refused.iter().all(|(_, message)| message.contains("trigger") && !message.contains("secret")),
        "{refused:?}"
    );
    assert_eq!(rig.one("SELECT group_concat(id) FROM t"), "1,5");
    assert_eq!(rig.one("SELECT count(*) FROM log"), "0");
    // One that rolls everything back leaves nothing to go on with.
    let mut writer = run.writer().await;
    run.write(&mut *writer, &rows(&[&["6", "c"]])).await;
    let rows = batch(&run.target.schema, &rows(&[&["7", "rollback"]]));
    let error = writer.write(&run.target, SplitId(1), &rows).await.unwrap_err();
    assert!(!error.to_string().contains("secret"), "{error}");
    assert!(writer.commit(&[done(1, 1)]).await.is_err());
    drop(writer);
    assert_eq!(rig.one("SELECT group_concat(id) FROM t"), "1,5");
}

#[tokio::test]
async fn a_stream_begins_again() {
    let rig = Rig::new();
    let run = Run::begin(&rig, "r1", overwrite()).await;
    run.load(0, &rows(&[&["1", "old"]])).await;
    run.load(1, &rows(&[&["2", "old"]])).await;
    run.sink.reset(&run.run, &run.target).await.unwrap();
    let progress = run.sink.progress("p").await.unwrap().unwrap();
    assert!(progress.splits.is_empty() && progress.run.as_deref() == Some("r1"));
    run.load(0, &rows(&[&["1", "new"]])).await;
    run.end().await;
    assert_eq!(rig.rows("t").await, rows(&[&["1", "new"]]));
}

#[tokio::test]
async fn resetting_works_where_staging_was_lost() {
    let rig = Rig::new();
    let run = Run::begin(&rig, "r1", overwrite()).await;
    run.load(0, &rows(&[&["1", "old"]])).await;
    rig.run("DROP TABLE _syncline_stage_r1_0");
    assert!(run.finish().await.unwrap_err().to_string().contains("staged rows are gone"));
    run.sink.reset(&run.run, &run.target).await.unwrap();
    run.prepare().await;
    run.load(0, &rows(&[&["1", "new"]])).await;
    run.end().await;
    assert_eq!(rig.rows("t").await, rows(&[&["1", "new"]]));
}

/// `--restart`: everything is cleared away after the lock is taken, and the lock is taken again.
#[tokio::test]
async fn a_run_can_begin_after_everything_was_cleared_away() {
    let rig = Rig::new();
    let old = Run::begin(&rig, "r1", overwrite()).await;
    old.load(0, &rows(&[&["1", "old"]])).await;
    drop(old);
    let sink = rig.sink().await;
    let epoch = sink.lock("p", 7).await.unwrap();
    assert_eq!(epoch, 8);
    assert_eq!(sink.progress("p").await.unwrap().unwrap().run.as_deref(), Some("r1"));
    sink.close("p").await.unwrap();
    assert_eq!(sink.progress("p").await.unwrap().unwrap().run, None);
    let epoch = sink.lock("p", epoch).await.unwrap();
    assert_eq!(epoch, 9);
    let run = Run { sink, run: run_ref("r2", epoch), target: Arc::new(overwrite()) };
    run.prepare().await;
    assert_eq!(rig.sink().await.lock("p", 0).await.unwrap_err().code(), &codes::ALREADY_RUNNING);
    run.load(0, &rows(&[&["2", "new"]])).await;
    run.end().await;
    assert_eq!(rig.rows("t").await, rows(&[&["2", "new"]]));
    assert_eq!(
        rig.one("SELECT count(*) FROM sqlite_schema WHERE name LIKE '\\_syncline\\_stage%' ESCAPE '\\'"),
        "0"
    );
}

#[tokio::test]
async fn closing_leaves_other_pipelines_alone() {
    let rig = Rig::new();
    let run = Run::begin(&rig, "r1", overwrite()).await;
    let other = rig.sink().await;
    let epoch = other.lock("q", 0).await.unwrap();
    let theirs = Run {
        sink: other,
        // The name begins like the other run's.
        run: syncline_connect::RunRef { pipeline: "q".into(), ..run_ref("r1_0", epoch) },
        target: Arc::new(target("u", two_columns(), WriteMode::Overwrite)),
    };
    theirs.prepare().await;
    run.load(0, &rows(&[&["1", "a"]])).await;
    run.end().await;
    assert_eq!(theirs.load(0, &rows(&[&["1", "a"]])).await, []);
    theirs.finish().await.unwrap();
    theirs.sink.close("q").await.unwrap();
    drop(theirs);
    assert_eq!(rig.rows("u").await.len(), 1);
    assert_eq!(rig.files(), ["test.db"]);
}

#[tokio::test]
async fn names_of_every_kind() {
    let rig = Rig::new();
    let columns = [
        ("select", L::Int64, false),
        ("a \"b\"", L::TEXT, true),
        ("größe", L::TEXT, true),
        ("[x]", L::TEXT, true),
    ];
    let schema = schema(&columns, &["select"]);
    let data = rows(&[&["1", "it's", "ü", "NULL"]]);
    for (number, name) in ["order", "two words", "ta\"ble", "Ünï.çode", "it's"].into_iter().enumerate() {
        for write in [WriteMode::Overwrite, WriteMode::Merge, WriteMode::Append, WriteMode::Overwrite] {
            let run = format!("r{number}");
            copy(
                &rig,
                &run,
                syncline_connect::Target {
                    key: vec!["select".into()],
                    ..target(name, schema.clone(), write)
                },
                &match write {
                    WriteMode::Append => rows(&[&["2", "x", "y", "z"]]),
                    _ => data.clone(),
                },
            )
            .await;
        }
        assert_eq!(rig.rows(name).await, data, "{name}");
    }
}

/// Many columns, many streams through one writer, and a statement for each.
#[tokio::test]
async fn one_transaction_takes_several_splits() {
    let rig = Rig::new();
    let names: Vec<String> = (0..200).map(|number| format!("c{number}")).collect();
    let columns: Vec<(&str, L, bool)> = names.iter().map(|name| (name.as_str(), L::Int32, true)).collect();
    let wide = schema(&columns, &[]);
    let run = Run::begin(&rig, "r1", target("t", wide, WriteMode::Overwrite)).await;
    let values: Row = (0..200).map(|number| Some(number.to_string())).collect();
    let batch = batch(&run.target.schema, &[values.clone(), row(&["NULL"; 200])]);
    let mut writer = run.writer().await;
    for split in 0..3 {
        let outcomes: Vec<Outcome> = writer.write(&run.target, SplitId(split), &batch).await.unwrap();
        assert!(refused(outcomes).is_empty());
    }
    writer.commit(&[done(0, 2), done(2, 2)]).await.unwrap();
    let progress = run.sink.progress("p").await.unwrap().unwrap();
    assert_eq!(progress.splits.keys().map(|(_, split)| split.0).collect::<Vec<_>>(), [0, 2]);
    writer.commit(&[done(1, 2)]).await.unwrap();
    drop(writer);
    run.end().await;
    let got = rig.rows("t").await;
    assert_eq!((got.len(), &got[0]), (6, &values));
}

/// While a lane is in the middle of a transaction, another stream is prepared and waits its turn.
#[tokio::test(flavor = "multi_thread")]
async fn streams_are_prepared_and_published_beside_a_writer() {
    let rig = Rig::new();
    let run = Run::begin(&rig, "r1", overwrite()).await;
    let mut second = target("u", two_columns(), WriteMode::Overwrite);
    second.stream = 1;
    let second = Arc::new(second);
    let mut writer = run.writer().await;
    run.write(&mut *writer, &rows(&[&["1", "a"]])).await;
    let plan = run.sink.plan(std::slice::from_ref(&second)).await.unwrap().remove(0);
    let prepare = async {
        for action in &plan.before {
            run.sink.apply(&run.run, &second, action).await.unwrap();
        }
    };
    let go_on = async {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        run.write(&mut *writer, &rows(&[&["2", "b"]])).await;
        writer.commit(&[done(0, 2)]).await.unwrap();
        drop(writer);
    };
    tokio::join!(prepare, go_on);
    assert_eq!(run.finish().await.unwrap(), "renamed into place");
    run.sink.finish(&run.run, &second, Marking::Keep).await.unwrap();
    run.sink.close("p").await.unwrap();
    assert_eq!((rig.rows("t").await.len(), rig.rows("u").await.len()), (2, 0));
}

/// A call that nobody waits for any more is rolled back, and the writer is of no more use.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_broken_off_leaves_nothing() {
    let rig = Rig::new();
    let run = Run::begin(&rig, "r1", overwrite()).await;
    let many: Vec<Row> = (0..200_000).map(|id| row(&[&id.to_string(), "x"])).collect();
    let batch = batch(&run.target.schema, &many);
    let mut writer = run.writer().await;
    let write = writer.write(&run.target, SplitId(0), &batch);
    let broken_off = tokio::time::timeout(std::time::Duration::from_millis(20), write).await;
    assert!(broken_off.is_err(), "it was too fast for the test");
    let error = writer.commit(&[done(0, 1)]).await.unwrap_err();
    assert_eq!(error.code(), &codes::BROKEN_INVARIANT);
    drop(writer);
    run.load(0, &rows(&[&["1", "a"]])).await;
    run.end().await;
    assert_eq!(rig.rows("t").await, rows(&[&["1", "a"]]));
}
