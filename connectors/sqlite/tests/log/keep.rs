//! A place is taken, gone on with, and refused where going on would lose something.

use syncline_connect::Severity;
use syncline_types::{Position, codes};

use crate::rig::Rig;

const TABLE: &str =
    "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); CREATE TABLE u (id INTEGER PRIMARY KEY)";

#[tokio::test]
async fn a_place_is_taken_once_and_gone_on_with() {
    let rig = Rig::new(TABLE).await;
    let reads = rig.reads(&["t"]).await;
    assert!(rig.blockers(&reads).await.is_empty());
    assert_eq!(rig.one("SELECT count(*) FROM sqlite_schema"), 2, "looking changes nothing");
    let at = rig.log.keep(&reads, None).await.unwrap();
    assert_eq!(rig.log.head().await.unwrap(), at);
    let made = rig.one("PRAGMA schema_version");
    assert_eq!(rig.log.keep(&reads, Some(&at)).await.unwrap(), at);
    assert_eq!(rig.one("PRAGMA schema_version"), made, "doing it again changes nothing");
    // Nothing is known: whoever knew it may have gone on from there.
    let error = rig.log.keep(&reads, None).await.unwrap_err();
    assert_eq!(error.code(), &codes::LOG_LOST, "{error}");
    assert!(error.to_string().contains("--restart"), "{error}");
    // A table that is new is told of from here on.
    rig.run("INSERT INTO t VALUES (1, 'a'); INSERT INTO u VALUES (1)");
    let both = rig.reads(&["t", "u"]).await;
    assert_eq!(rig.log.keeps(&both).await.unwrap(), [true, false]);
    assert_eq!(rig.log.keep(&both, Some(&at)).await.unwrap(), at);
    assert_eq!(rig.log.keeps(&both).await.unwrap(), [true, true]);
    rig.run("INSERT INTO u VALUES (2)");
    assert_eq!(rig.open(both, at.clone()).await.all(&rig).await, ["t + 1|a", "u + 2"]);
    // One that nobody follows any more is let alone.
    rig.log.keep(&reads, Some(&at)).await.unwrap();
    assert_eq!(rig.one("SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'u'"), 0);
    rig.log.release().await.unwrap();
    rig.log.release().await.unwrap();
    assert_eq!(
        rig.one("SELECT count(*) FROM sqlite_schema WHERE name LIKE '%syncline%'"),
        0,
        "nothing is left"
    );
    assert_eq!(rig.log.keeps(&reads).await.unwrap(), [false]);
}

#[tokio::test]
async fn what_was_dropped_or_made_anew_is_lost() {
    let rig = Rig::new(TABLE).await;
    let reads = rig.reads(&["t"]).await;
    let table = |rig: &Rig| {
        let query = "SELECT name FROM sqlite_schema WHERE name GLOB '_syncline_changes*'";
        rig.app.query_row(query, [], |row| row.get::<_, String>(0)).unwrap()
    };
    for (what, harm, kept) in [
        ("a trigger", "DROP TRIGGER \"{triggers}update.t\"", Some(false)),
        (
            "a trigger made anew",
            "DROP TRIGGER \"{triggers}delete.t\"; CREATE TRIGGER \"{triggers}delete.t\" AFTER DELETE ON t BEGIN SELECT 1; END",
            Some(false),
        ),
        ("the table", "DROP TABLE t; CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)", Some(false)),
        (
            "the table by the way of the manual",
            "BEGIN; CREATE TABLE new (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO new SELECT * FROM t; DROP TABLE t;
             ALTER TABLE new RENAME TO t; COMMIT",
            Some(false),
        ),
        ("the changes", "DROP TABLE \"{changes}\"", None),
        ("all records", "DELETE FROM \"{changes}\"", None),
        ("the last record", "DELETE FROM \"{changes}\" WHERE number = 1; INSERT INTO t VALUES (77, '')", None),
        ("whose it is", "DELETE FROM _syncline_follow", None),
        ("the life", "UPDATE _syncline_follow SET life = 'other'", None),
    ] {
        let at = rig.log.keep(&reads, None).await.unwrap();
        let changes = table(&rig);
        let triggers = changes.replace("changes", "follow") + ".";
        let mut following = rig.open(reads.clone(), at.clone()).await;
        rig.run("INSERT INTO u VALUES (NULL)");
        rig.run(&harm.replace("{changes}", &changes).replace("{triggers}", &triggers));
        let error = loop {
            match following.step().await {
                Ok(()) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(error.code(), &codes::LOG_LOST, "{what}: {error}");
        assert!(error.to_string().contains("--restart"), "{what}: {error}");
        match kept {
            // The engine asks this first.
            Some(kept) => assert_eq!(rig.log.keeps(&reads).await.unwrap(), [kept], "{what}"),
            None => {
                let error = rig.log.keep(&reads, Some(&at)).await.unwrap_err();
                assert_eq!(error.code(), &codes::LOG_LOST, "{what}: {error}");
                let error = rig.log.open(&reads, &at, &[]).await.err().unwrap();
                assert_eq!(error.code(), &codes::LOG_LOST, "{what}: {error}");
            }
        }
        // --restart begins with this.
        rig.log.release().await.unwrap();
        assert_eq!(rig.one("SELECT count(*) FROM sqlite_schema WHERE name LIKE '%syncline%'"), 0, "{what}");
    }
}

#[tokio::test]
async fn a_file_that_is_an_older_one_is_not_gone_on_with() {
    let mut rig = Rig::new(TABLE).await;
    let mut following = rig.follow(&["t"]).await;
    rig.run("INSERT INTO t VALUES (1, 'a')");
    let copy = rig.path.with_extension("old");
    rig.run(&format!("VACUUM INTO '{}'", copy.display()));
    rig.run("INSERT INTO t VALUES (2, 'b')");
    following.all(&rig).await;
    let later = following.at.clone();
    let reads = following.reads.clone();
    drop(following);
    // The last connection to leave puts the write-ahead log away.
    rig.app = rusqlite::Connection::open_in_memory().unwrap();
    while rig.path.with_extension("db-wal").exists() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    std::fs::copy(&copy, &rig.path).unwrap();
    let error = rig.log.keep(&reads, Some(&later)).await.unwrap_err();
    assert_eq!(error.code(), &codes::LOG_LOST, "{error}");
}

#[tokio::test]
async fn places_are_compared_within_one_life() {
    let rig = Rig::new(TABLE).await;
    let position = |text: &str| Position(text.into());
    let compare = |one: &str, other: &str| rig.log.compare(&position(one), &position(other));
    assert!(compare("ab/9", "ab/10").unwrap().is_lt());
    assert!(compare("ab/10", "ab/10").unwrap().is_eq());
    assert_eq!(compare("ab/9", "cd/10").unwrap_err().code(), &codes::LOG_LOST);
    for garbled in ["", "ab", "ab/", "ab/x", "0/16B3748/1"] {
        assert_eq!(compare(garbled, "ab/1").unwrap_err().code(), &codes::BAD_BYTES, "{garbled}");
    }
}

#[tokio::test]
async fn tables_that_cannot_be_followed_are_said_to_be_so() {
    let rig = Rig::new(
        "CREATE TABLE keyless (a INT UNIQUE); CREATE TABLE nulls (k TEXT PRIMARY KEY); INSERT INTO nulls VALUES (NULL);
         CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); CREATE VIEW v AS SELECT * FROM t;
         CREATE VIRTUAL TABLE f USING fts5(x)",
    )
    .await;
    for (table, code) in [
        ("keyless", &codes::KEY_MISSING),
        ("nulls", &codes::KEY_MISSING),
        ("v", &codes::UNSUPPORTED),
        ("f", &codes::UNSUPPORTED),
    ] {
        let reads = rig.reads(&[table]).await;
        let blockers = rig.blockers(&reads).await;
        assert_eq!(blockers.len(), 1, "{table}: {blockers:?}");
        assert_eq!(blockers[0].error.as_ref().unwrap().code(), code, "{table}");
        assert_eq!(rig.log.keep(&reads, None).await.unwrap_err().code(), code, "{table}");
    }
    assert_eq!(rig.one("SELECT count(*) FROM sqlite_schema WHERE name LIKE '%syncline%'"), 0);
}

#[tokio::test]
async fn a_file_without_a_write_ahead_log_is_followed_with_a_warning() {
    let rig = Rig::with(TABLE, "delete").await;
    let reads = rig.reads(&["t"]).await;
    let findings = rig.log.inspect(&reads).await.unwrap();
    let warning = findings.iter().find(|finding| finding.severity == Severity::Warning).unwrap();
    assert!(warning.message.contains("PRAGMA journal_mode = WAL"), "{}", warning.message);
    let mut following = rig.follow(&["t"]).await;
    for number in 0..50 {
        rig.run(&format!("INSERT INTO t VALUES ({number}, 'a')"));
    }
    following.all(&rig).await;
    assert_eq!(following.models[0].len(), 50);
    let at = following.at.clone();
    following.reader.confirm(&at).await.unwrap();
}
