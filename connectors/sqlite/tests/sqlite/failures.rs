//! What can be wrong with the file and its disk.

use std::fs;

use syncline_connect::{Connector, Selection, WriteMode};
use syncline_sqlite::Sqlite;
use syncline_testkit::{disk::SmallDisk, servers::left_out};
use syncline_types::{LogicalType as L, Retry, SplitId, codes};

use crate::rig::{Rig, Row, Run, batch, done, files, row, rows, schema, target};

#[tokio::test]
async fn a_source_must_be_there() {
    let rig = Rig::new();
    let missing = |path: &str| Rig::at(rig.folder.path().join(path));
    for path in ["gone.db", "no/folder.db", ""] {
        let error = Sqlite::source(missing(path).config(), rig.cx.clone()).await.err().unwrap();
        assert_eq!(error.code(), &codes::DATABASE_MISSING, "{path}: {error}");
        assert!(error.hint_text().is_some());
    }
    assert!(rig.files().is_empty(), "nothing was created");
    let error = Sqlite::sink(missing("no/folder.db").config(), rig.cx.clone()).await.err().unwrap();
    assert_eq!(error.code(), &codes::DATABASE_MISSING);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_told() {
    let rig = Rig::new();
    fs::write(&rig.path, "id,name\n1,a\n".repeat(1_000)).unwrap();
    for error in [
        Sqlite::source(rig.config(), rig.cx.clone()).await.err().unwrap(),
        Sqlite::sink(rig.config(), rig.cx.clone()).await.err().unwrap(),
        Sqlite::check(rig.config(), rig.cx.clone()).await.err().unwrap(),
    ] {
        assert_eq!(error.code(), &codes::BAD_BYTES);
        assert!(error.to_string().contains("file is not a database"), "{error}");
    }
}

#[tokio::test]
async fn an_empty_file_is_an_empty_database() {
    let rig = Rig::new();
    fs::write(&rig.path, "").unwrap();
    assert!(rig.source().await.discover(&Selection::Default).await.unwrap().is_empty());
    let columns = schema(&[("id", L::Int64, false)], &["id"]);
    crate::rig::copy(&rig, "r1", target("t", columns, WriteMode::Overwrite), &rows(&[&["1"]])).await;
    assert_eq!(rig.rows("t").await.len(), 1);
}

#[tokio::test]
async fn a_damaged_file_is_told() {
    let rig = Rig::with(
        "CREATE TABLE t (a TEXT); WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 5000)
         INSERT INTO t SELECT 'some text ' || x FROM n",
    );
    let read = crate::rig::read_of(rig.stream("t").await, 100_000);
    let mut bytes = fs::read(&rig.path).unwrap();
    bytes[3 * 4096..12 * 4096].fill(0xAB);
    fs::write(&rig.path, bytes).unwrap();
    let session = rig.source().await.begin(std::slice::from_ref(&read), 1).await.unwrap();
    let mut splitter = session.splitter(&read, None).await.unwrap();
    let split = splitter.next().await;
    let error = match split {
        Err(error) => error,
        Ok(split) => {
            let mut reader = session.open(&read, &split.unwrap(), None).await.unwrap();
            loop {
                match reader.next().await {
                    Ok(syncline_connect::Next::End) => panic!("the damage was not seen"),
                    Ok(_) => {}
                    Err(error) => break error,
                }
            }
        }
    };
    assert_eq!(error.code(), &codes::BAD_BYTES, "{error}");
}

#[tokio::test]
async fn a_connection_is_checked() {
    let rig = Rig::new();
    let report = Sqlite::check(rig.config(), rig.cx.clone()).await.unwrap();
    assert!(report.connection.contains("not there yet"), "{report:?}");
    assert!(rig.files().is_empty());
    rig.run("CREATE TABLE t (a)");
    let report = Sqlite::check(rig.config(), rig.cx.clone()).await.unwrap();
    assert!(report.system.starts_with("SQLite 3.") && report.connection.contains("`delete`"), "{report:?}");
}

fn narrow() -> syncline_connect::Target {
    let columns = schema(&[("id", L::Int64, false), ("v", L::TEXT, true)], &["id"]);
    target("t", columns, WriteMode::Overwrite)
}

#[tokio::test]
async fn a_database_that_another_holds_is_tried_again() {
    let mut rig = Rig::with("CREATE TABLE x (a)");
    rig.busy_seconds = 0;
    let run = Run::begin(&rig, "r1", narrow()).await;
    let other = rig.connection();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let data = batch(&run.target.schema, &rows(&[&["1", "a"]]));
    let mut writer = run.writer().await;
    let error = writer.write(&run.target, SplitId(0), &data).await.unwrap_err();
    assert_eq!((error.code(), error.retry()), (&codes::LOCKED, Retry::Backoff), "{error}");
    drop(writer);
    // A reader keeps the commit out where there is no write-ahead log.
    other.execute_batch("ROLLBACK; BEGIN; SELECT * FROM x").unwrap();
    let mut writer = run.writer().await;
    writer.write(&run.target, SplitId(0), &data).await.unwrap();
    let error = writer.commit(&[done(0, 1)]).await.unwrap_err();
    assert_eq!(error.code(), &codes::LOCKED, "{error}");
    drop(writer);
    other.execute_batch("ROLLBACK").unwrap();
    run.load(0, &rows(&[&["1", "a"]])).await;
    run.end().await;
    assert_eq!(rig.rows("t").await.len(), 1);
}

/// The disk is full in the middle of a load and of a publication; with room made, the run goes on.
#[tokio::test]
async fn a_full_disk_loses_nothing() {
    if left_out("small-disk") {
        return;
    }
    let disk = SmallDisk::new(12 << 20);
    let rig = Rig::at(disk.path().join("test.db"));
    let run = Run::begin(&rig, "r1", narrow()).await;
    let text = "x".repeat(1_000);
    let some = |from: usize, count: usize| -> Vec<Row> {
        (from..from + count).map(|id| row(&[&id.to_string(), &text])).collect()
    };
    run.load(0, &some(0, 1_000)).await;
    disk.fill();
    let mut writer = run.writer().await;
    let data = batch(&run.target.schema, &some(1_000, 3_000));
    let error = match writer.write(&run.target, SplitId(1), &data).await {
        Err(error) => error,
        Ok(_) => writer.commit(&[done(1, 3_000)]).await.unwrap_err(),
    };
    assert_eq!(error.code(), &codes::DISK_FULL, "{error}");
    drop(writer);
    disk.free();
    assert_eq!(rig.one("SELECT count(*) FROM _syncline_stage_r1_0"), "1000");
    run.load(1, &some(1_000, 1_000)).await;
    assert_eq!(run.end().await, "renamed into place");
    let got = rig.rows("t").await;
    assert_eq!(got.len(), 2_000);
    // In place, twice the room is needed.
    rig.run("CREATE VIEW v AS SELECT * FROM t");
    let run = Run::begin(&rig, "r2", narrow()).await;
    run.load(0, &some(5_000, 2_000)).await;
    disk.fill();
    let error = run.finish().await.unwrap_err();
    assert_eq!(error.code(), &codes::DISK_FULL, "{error}");
    assert_eq!(rig.rows("t").await, got, "the old rows are all there");
    disk.free();
    assert_eq!(run.end().await, "replaced in one transaction");
    assert_eq!(rig.rows("t").await.len(), 2_000);
    assert_eq!(files(&disk.path()), ["test.db"]);
}
