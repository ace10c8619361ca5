//! Others hold the file, and the application goes first.

use std::time::{Duration, Instant};

use syncline_connect::Connector;
use syncline_sqlite::{Dates, Sqlite, SqliteConfig};
use syncline_types::codes;

use crate::rig::{Rig, open};

#[tokio::test]
async fn a_writer_is_waited_for_and_no_longer_than_allowed() {
    let rig = Rig::new("CREATE TABLE t (id INTEGER PRIMARY KEY)").await;
    let reads = rig.reads(&["t"]).await;
    let config = SqliteConfig { path: rig.path.display().to_string(), busy_seconds: 1, dates: Dates::Typed };
    let cx = syncline_connect::Context::new(syncline_connect::Memory::new(1 << 20), Duration::from_secs(5));
    let log = Sqlite::source(config, cx).await.unwrap().log("p").await.unwrap();
    rig.run("BEGIN IMMEDIATE; INSERT INTO t VALUES (1)");
    let error = log.keep(&reads, None).await.unwrap_err();
    assert_eq!(error.code(), &codes::LOCKED, "{error}");
    rig.run("COMMIT");
    log.keep(&reads, None).await.unwrap();
}

#[tokio::test]
async fn an_application_that_waits_for_nobody_hardly_ever_has_to() {
    let rig = Rig::new("CREATE TABLE t (id INTEGER PRIMARY KEY, v INT)").await;
    let mut following = rig.follow(&["t"]).await;
    let app = open(&rig.path);
    app.busy_timeout(Duration::ZERO).unwrap();
    let writer = std::thread::spawn(move || {
        let (mut refused, until) = (0, Instant::now() + Duration::from_secs(3));
        let mut written = 0;
        while Instant::now() < until {
            match app.execute("INSERT INTO t (v) VALUES (?1)", [written]) {
                Ok(_) => written += 1,
                Err(_) => refused += 1,
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        (written, refused)
    });
    while !writer.is_finished() {
        if tokio::time::timeout(Duration::from_millis(50), following.step()).await.is_ok() {
            let at = following.at.clone();
            following.reader.confirm(&at).await.unwrap();
        }
    }
    let (written, refused) = writer.join().unwrap();
    following.all(&rig).await;
    assert_eq!(following.models[0].len(), usize::try_from(written).unwrap());
    assert!(written > 200 && refused * 50 <= written, "{written} were written, {refused} refused");
}
