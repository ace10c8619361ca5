//! One state of the file for all that a session reads.

use std::{fs, os::unix::fs::PermissionsExt, sync::Arc, time::Duration};

use rusqlite::ErrorCode;
use syncline_connect::{Read, Session};
use syncline_types::codes;

use crate::rig::{Got, Rig, drain, read_all, read_of, rows, splits};

async fn read_of_table(rig: &Rig, table: &str) -> Arc<Read> {
    read_of(rig.stream(table).await, 2)
}

const TABLES: &str = "CREATE TABLE a (k INTEGER PRIMARY KEY, v INT); CREATE TABLE b (v INT);
    INSERT INTO a VALUES (1, 1), (2, 1), (3, 1), (4, 1), (5, 1); INSERT INTO b VALUES (1), (1), (1)";

#[tokio::test(flavor = "multi_thread")]
async fn writers_go_on_beside_a_snapshot_with_a_write_ahead_log() {
    let rig = Rig::with(&format!("PRAGMA journal_mode = WAL; {TABLES}"));
    let reads = [read_of_table(&rig, "a").await, read_of_table(&rig, "b").await];
    let session = rig.source().await.begin(&reads, 3).await.unwrap();
    assert!(session.describe().contains("one snapshot"), "{}", session.describe());
    let planned = splits(&*session, &reads[0], None).await;
    for (number, split) in planned.iter().enumerate() {
        rig.run("UPDATE a SET v = v + 1; UPDATE b SET v = v + 1; INSERT INTO a (v) VALUES (9); PRAGMA wal_checkpoint");
        let mut got = Got::default();
        let mut reader = session.open(&reads[0], split, None).await.unwrap();
        drain(&mut *reader, &reads[0], &mut got).await;
        assert!(got.rows.iter().all(|row| row[1].as_deref() == Some("1")), "split {number}: {:?}", got.rows);
    }
    assert_eq!(read_all(&*session, &reads[1]).await.rows, rows(&[&["1"], &["1"], &["1"]]));
    assert_eq!(splits(&*session, &reads[0], None).await, planned);
    drop(session);
    let session = rig.source().await.begin(&reads, 1).await.unwrap();
    assert_eq!(read_all(&*session, &reads[1]).await.rows, rows(&[&["4"], &["4"], &["4"]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_wait_for_the_end_of_a_snapshot_without_one() {
    let rig = Rig::with(TABLES);
    let reads = [read_of_table(&rig, "a").await, read_of_table(&rig, "b").await];
    let session = rig.source().await.begin(&reads, 2).await.unwrap();
    let writer = rig.connection();
    writer.busy_timeout(Duration::from_millis(50)).unwrap();
    let update = || writer.execute("UPDATE a SET v = 2", []);
    let busy = |result: rusqlite::Result<usize>| result.err().and_then(|error| error.sqlite_error_code());
    for split in splits(&*session, &reads[0], None).await {
        assert_eq!(busy(update()), Some(ErrorCode::DatabaseBusy));
        let mut got = Got::default();
        let mut reader = session.open(&reads[0], &split, None).await.unwrap();
        drain(&mut *reader, &reads[0], &mut got).await;
        assert!(got.rows.iter().all(|row| row[1].as_deref() == Some("1")));
    }
    drop(session);
    rig.cx.close().await;
    assert_eq!(update().unwrap(), 5);
}

/// While readers begin nobody may commit: either all see what a writer does, or none.
#[tokio::test(flavor = "multi_thread")]
async fn a_busy_writer_is_seen_by_all_connections_or_by_none() {
    let rig = Rig::with(&format!("PRAGMA journal_mode = WAL; {TABLES}"));
    let reads = [read_of_table(&rig, "a").await, read_of_table(&rig, "b").await];
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writer = std::thread::spawn({
        let (connection, stop) = (rig.connection(), Arc::clone(&stop));
        move || {
            let mut commits = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                connection
                    .execute_batch("BEGIN IMMEDIATE; UPDATE a SET v = v + 1; UPDATE b SET v = v + 1; COMMIT")
                    .unwrap();
                commits += 1;
            }
            commits
        }
    });
    let source = rig.source().await;
    for _ in 0..200 {
        let session = source.begin(&reads, 4).await.unwrap();
        let (a, b) = tokio::join!(read_all(&*session, &reads[0]), read_all(&*session, &reads[1]));
        let values: std::collections::BTreeSet<_> =
            a.rows.iter().map(|row| row[1].clone()).chain(b.rows.iter().map(|row| row[0].clone())).collect();
        assert_eq!(values.len(), 1, "{values:?}");
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(writer.join().unwrap() > 0);
}

/// A file that cannot be written: one connection, whose turn everybody waits for.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_written_is_read_over_one_connection() {
    let rig = Rig::with(TABLES);
    fs::set_permissions(&rig.path, fs::Permissions::from_mode(0o444)).unwrap();
    let session_of = async |reads: &[Arc<Read>]| rig.source().await.begin(reads, 4).await.unwrap();
    let reads = [read_of_table(&rig, "a").await, read_of_table(&rig, "b").await];
    let session: Box<dyn Session> = session_of(&reads).await;
    // Root may write to any file, so the mode of the file alone does not tell.
    if !session.describe().contains("single connection") {
        eprintln!("this user may write to the file anyway");
        return;
    }
    let (a, b) = tokio::join!(read_all(&*session, &reads[0]), read_all(&*session, &reads[1]));
    assert_eq!((a.rows.len(), b.rows.len()), (5, 3));
}

/// The same, by a mount that nobody can write to.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_with_one_connection_takes_turns() {
    // A file with the write version of a format that SQLite does not know is only read.
    let rig = Rig::with(TABLES);
    let mut bytes = fs::read(&rig.path).unwrap();
    bytes[18] = 3;
    fs::write(&rig.path, bytes).unwrap();
    let reads = [read_of_table(&rig, "a").await, read_of_table(&rig, "b").await];
    let session = rig.source().await.begin(&reads, 4).await.unwrap();
    assert!(session.describe().contains("single connection"), "{}", session.describe());
    let (a, b) = tokio::join!(read_all(&*session, &reads[0]), read_all(&*session, &reads[1]));
    assert_eq!((a.rows.len(), b.rows.len()), (5, 3));
}

#[tokio::test]
async fn sqlites_own_files_are_cleared_away() {
    let rig = Rig::with(&format!("PRAGMA journal_mode = WAL; {TABLES}"));
    let reads = [read_of_table(&rig, "a").await];
    let session = rig.source().await.begin(&reads, 2).await.unwrap();
    read_all(&*session, &reads[0]).await;
    drop(session);
    rig.cx.close().await;
    assert_eq!(rig.files(), ["test.db"]);
}

#[tokio::test]
async fn a_database_that_another_holds_is_told_and_tried_again() {
    let mut rig = Rig::with(TABLES);
    rig.busy_seconds = 0;
    let read = read_of_table(&rig, "a").await;
    let source = rig.source().await;
    let other = rig.connection();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let error = source.begin(std::slice::from_ref(&read), 1).await.err().unwrap();
    assert_eq!((error.code(), error.retry()), (&codes::LOCKED, syncline_types::Retry::Backoff));
    other.execute_batch("ROLLBACK").unwrap();
    source.begin(&[read], 1).await.unwrap();
}

#[tokio::test]
async fn there_is_no_checksum_of_its_own() {
    let rig = Rig::with(TABLES);
    let read = read_of_table(&rig, "a").await;
    let source = rig.source().await;
    assert_eq!(source.digest_method(&read), None);
    let session = source.begin(std::slice::from_ref(&read), 1).await.unwrap();
    let split = splits(&*session, &read, None).await.remove(0);
    assert_eq!(session.digest(&read, &split).await.unwrap_err().code(), &codes::UNSUPPORTED);
}
