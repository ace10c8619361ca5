//! A place is taken, gone on with, and refused where going on would lose something.

use syncline_connect::{Finding, Severity};
use syncline_types::{Position, codes};

use crate::{
    TRIGGERS,
    rig::{Rig, context, source},
    with_server,
};

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE u (id int PRIMARY KEY)";
const OURS: &str = "SELECT (SELECT count(*) FROM pg_class WHERE relname LIKE '%syncline%' AND relkind = 'r')
    + (SELECT count(*) FROM pg_proc WHERE proname LIKE '%syncline%') + (SELECT count(*) FROM pg_trigger WHERE tgname LIKE '%syncline%')";

#[tokio::test]
async fn a_place_is_taken_once_and_gone_on_with() {
    with_server(async {
        let rig = Rig::with(TABLE, TRIGGERS).await;
        let reads = rig.reads(&["t"]).await;
        let findings = rig.log.inspect(&reads).await.expect("it can be looked at");
        assert!(findings.iter().all(|finding| finding.severity == Severity::Note), "{findings:?}");
        assert_eq!(rig.sql(OURS), "0", "looking changes nothing");
        let at = rig.log.keep(&reads, None).await.expect("the place can be kept");
        let made = rig.sql(OURS);
        assert_eq!(rig.log.keep(&reads, Some(&at)).await.expect("it goes on"), at);
        assert_eq!(rig.sql(OURS), made);
        let error = rig.log.keep(&reads, None).await.expect_err("it is there already");
        assert_eq!(error.code(), &codes::LOG_LOST, "{error}");
        // A table that is new is told of from here on.
        rig.sql("INSERT INTO t VALUES (1, 'a'); INSERT INTO u VALUES (1)");
        let both = rig.reads(&["t", "u"]).await;
        assert_eq!(rig.log.keeps(&both).await.expect("it can be asked"), [true, false]);
        rig.log.keep(&both, Some(&at)).await.expect("it goes on");
        assert_eq!(rig.log.keeps(&both).await.expect("it can be asked"), [true, true]);
        rig.sql("INSERT INTO u VALUES (2)");
        assert_eq!(rig.open(both, at.clone()).await.all(&rig).await.lines, ["t + 1|a", "u + 2"]);
        rig.log.keep(&reads, Some(&at)).await.expect("it goes on");
        assert_eq!(rig.sql(OURS), made, "what nobody follows any more is let alone");
        rig.log.release().await.expect("it can be released");
        rig.log.release().await.expect("that changes nothing");
        assert_eq!(rig.sql(OURS), "0");
    })
    .await;
}

#[tokio::test]
async fn writers_are_waited_for_and_not_held_up() {
    with_server(async {
        let rig = Rig::with(TABLE, TRIGGERS).await;
        let writer = rig.database.start_sql("BEGIN; INSERT INTO t VALUES (1); SELECT pg_sleep(3); COMMIT;");
        let sleeps = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
        while rig.sql(sleeps) == "0" {
            assert!(writer.is_running(), "it writes");
        }
        let reads = rig.reads(&["t"]).await;
        let at = rig.log.keep(&reads, None).await.expect("the place can be kept");
        // What is not told is seen by a copy that begins now.
        assert_eq!(rig.sql("SELECT count(*) FROM t"), "1");
        rig.sql("INSERT INTO t VALUES (2)");
        assert_eq!(rig.open(reads, at).await.all(&rig).await.lines, ["t + 2|-"]);
        writer.wait().expect_code(0);
    })
    .await;
}

#[tokio::test]
async fn what_was_dropped_or_switched_off_is_lost() {
    with_server(async {
        let rig = Rig::with(TABLE, TRIGGERS).await;
        for (what, harm, kept) in [
            ("a trigger", "DO $$ BEGIN EXECUTE (SELECT format('DROP TRIGGER %I ON t', tgname) FROM pg_trigger WHERE tgname LIKE '\\_syncline\\_capture%'); END $$", Some(false)),
            ("all triggers, for a while", "ALTER TABLE t DISABLE TRIGGER ALL; ALTER TABLE t ENABLE TRIGGER ALL", Some(false)),
            ("the table", "DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, v text)", Some(false)),
            ("the records", "DO $$ BEGIN EXECUTE (SELECT 'DROP TABLE ' || oid::regclass FROM pg_class WHERE relname LIKE '\\_syncline\\_changes%' AND relkind = 'r'); END $$", Some(false)),
            ("whose they are", "DELETE FROM _syncline_follow", None),
            ("the life", "UPDATE _syncline_follow SET life = 'other'", None),
        ] {
            let reads = rig.reads(&["t"]).await;
            let at = rig.log.keep(&reads, None).await.expect("the place can be kept");
            let mut following = rig.open(reads.clone(), at.clone()).await;
            rig.sql(harm);
            let error = loop {
                match following.next().await {
                    Ok(_) => {}
                    Err(error) => break error,
                }
            };
            assert_eq!(error.code(), &codes::LOG_LOST, "{what}: {error}");
            assert!(error.to_string().contains("--restart"), "{what}: {error}");
            match kept {
                Some(kept) => assert_eq!(rig.log.keeps(&reads).await.expect("it can be asked"), [kept], "{what}"),
                None => {
                    let error = rig.log.keep(&reads, Some(&at)).await.expect_err(what);
                    assert_eq!(error.code(), &codes::LOG_LOST, "{what}: {error}");
                }
            }
            drop(following);
            rig.log.release().await.expect("it can be released");
            assert_eq!(rig.sql("SELECT count(*) FROM pg_trigger WHERE tgname LIKE '%syncline%'"), "0", "{what}");
            rig.sql("DROP TABLE IF EXISTS _syncline_follow");
        }
        // A server that has gone back in time is another one.
        let reads = rig.reads(&["t"]).await;
        let at = rig.log.keep(&reads, None).await.expect("the place can be kept");
        let life = at.0.split_once('/').expect("it has a life").0.to_owned();
        let later = Position(format!("{life}/900000000:900000000:"));
        let error = rig.log.keep(&reads, Some(&later)).await.expect_err("it is not yet there");
        assert_eq!(error.code(), &codes::LOG_LOST, "{error}");
    })
    .await;
}

#[tokio::test]
async fn tables_that_cannot_be_followed_are_said_to_be_so() {
    with_server(async {
        let rig = Rig::with(
            "CREATE TABLE keyless (a int); CREATE TABLE t (id int PRIMARY KEY); CREATE VIEW v AS SELECT * FROM t;
             CREATE TABLE p (id int PRIMARY KEY) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
             CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY)",
            TRIGGERS,
        )
        .await;
        for (table, code) in [("keyless", &codes::KEY_MISSING), ("v", &codes::UNSUPPORTED), ("p", &codes::UNSUPPORTED)] {
            let reads = rig.reads(&[table]).await;
            let findings = rig.log.inspect(&reads).await.expect("it can be looked at");
            let blockers: Vec<&Finding> =
                findings.iter().filter(|finding| finding.severity == Severity::Blocker).collect();
            let [Finding { error: Some(error), .. }] = blockers.as_slice() else { panic!("{table}: {findings:?}") };
            assert_eq!(error.code(), code, "{table}: {error}");
            assert_eq!(rig.log.keep(&reads, None).await.expect_err(table).code(), code);
        }
        assert_eq!(rig.sql(OURS), "0", "what is refused changes nothing");
        // A partition by itself, and a table that is not in the log.
        let mut following = rig.follow(&["p1", "unlogged"]).await;
        rig.sql("INSERT INTO p VALUES (1); INSERT INTO unlogged VALUES (1)");
        assert_eq!(following.all(&rig).await.lines, ["p1 + 1", "unlogged + 1"]);
    })
    .await;
}

#[tokio::test]
async fn options_of_the_log_are_refused_beside_triggers() {
    with_server(async {
        let rig = Rig::with(TABLE, TRIGGERS).await;
        let port = syncline_testkit::servers::postgres::shared().port();
        let options = format!("{TRIGGERS}, \"slot\": \"mine\"");
        let source =
            source(port, rig.database.name(), &options, context()).await.expect("the server can be read");
        let error = source.log("x").await.err().expect("it is refused");
        assert_eq!(error.code(), &codes::BAD_VALUE, "{error}");
    })
    .await;
}
