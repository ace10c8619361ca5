//! A place is taken, gone on with, and refused where going on would lose something.

use syncline_connect::{Log, Severity};
use syncline_testkit::servers::mysql::{self, Product};
use syncline_types::{ErrorKind, Position, codes};

use crate::{
    TRIGGERS,
    rig::{Rig, products, server},
};

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, v varchar(20)); CREATE TABLE u (id int PRIMARY KEY)";
/// What is the pipeline's: the identity of a database stays.
const OURS: &str = "SELECT (SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME LIKE '%syncline%'
      AND TABLE_NAME <> '_syncline_identity')
    + (SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE() AND TRIGGER_NAME LIKE '%syncline%')";

/// The names of the tables of changes.
fn changes(rig: &Rig) -> Vec<String> {
    let names = rig.sql(
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()
           AND TABLE_NAME LIKE '\\_syncline\\_changes%'",
    );
    names.lines().map(str::to_owned).collect()
}

fn trigger(rig: &Rig, event: &str) -> String {
    rig.sql(&format!(
        "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE() AND EVENT_MANIPULATION = '{event}'"
    ))
}

#[tokio::test]
async fn a_place_is_taken_once_and_gone_on_with() {
    for product in products() {
        let rig = Rig::on(mysql::shared(product), TABLE, TRIGGERS).await;
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
        // Nothing of it is in the way of who writes.
        rig.sql("INSERT INTO t VALUES (2, 'b')");
    }
}

#[tokio::test]
async fn writers_are_waited_for_and_not_held_up() {
    for product in products() {
        let rig = Rig::on(mysql::shared(product), TABLE, TRIGGERS).await;
        let writer = rig.database.start_sql("BEGIN; INSERT INTO t VALUES (1, 'a'); DO SLEEP(3); COMMIT");
        while rig.sql("SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'DO SLEEP(3)%'")
            == "0"
        {
            assert!(writer.is_running(), "it writes");
        }
        let reads = rig.reads(&["t"]).await;
        let at = rig.log.keep(&reads, None).await.expect("the place can be kept");
        // What is not told is seen by a copy that begins now.
        assert_eq!(rig.sql("SELECT COUNT(*) FROM t"), "1");
        rig.sql("INSERT INTO t VALUES (2, 'b')");
        assert_eq!(rig.open(reads, at).await.all(&rig).await.lines, ["t + 2|b"]);
        writer.wait().expect_code(0);
    }
}

#[tokio::test]
async fn what_was_dropped_or_is_another_is_lost() {
    for product in products() {
        let rig = Rig::on(mysql::shared(product), TABLE, TRIGGERS).await;
        for (what, harm, kept) in [
            ("a trigger", "DROP TRIGGER {update}", Some(false)),
            (
                "a trigger, for a while",
                "DROP TRIGGER {insert}; CREATE TRIGGER {insert} AFTER INSERT ON t FOR EACH ROW {body}",
                Some(false),
            ),
            ("the table", "DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, v varchar(20))", Some(false)),
            (
                "the table, by another",
                "CREATE TABLE new LIKE t; RENAME TABLE t TO old, new TO t; DROP TABLE old",
                Some(false),
            ),
            ("the records", "DROP TABLE {changes}", Some(false)),
            ("what is recorded", "TRUNCATE {changes}", Some(false)),
            ("what is recorded, one by one", "DELETE FROM {changes}", Some(false)),
            ("whose they are", "DELETE FROM _syncline_follow", None),
            ("the life", "UPDATE _syncline_follow SET life = 'other'", None),
            ("the key's type", "ALTER TABLE t MODIFY id bigint", Some(false)),
            ("the key's name", "ALTER TABLE t RENAME COLUMN id TO number", Some(false)),
            ("the key", "ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (id, v)", Some(false)),
            ("the engine", "ALTER TABLE t ENGINE = MyISAM", None),
        ] {
            rig.sql("DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, v varchar(20))");
            let reads = rig.reads(&["t"]).await;
            let at = rig.log.keep(&reads, None).await.expect("the place can be kept");
            let mut following = rig.open(reads.clone(), at.clone()).await;
            let body = rig.sql("SELECT ACTION_STATEMENT FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE() AND EVENT_MANIPULATION = 'INSERT'");
            let harm = harm.replace("{update}", &trigger(&rig, "UPDATE")).replace("{body}", &body);
            let harm = harm.replace("{insert}", &trigger(&rig, "INSERT"));
            rig.sql(&harm.replace("{changes}", &changes(&rig).concat()));
            let error = loop {
                match following.next().await {
                    Ok(_) => {}
                    Err(error) => break error,
                }
            };
            assert_eq!(error.code(), &codes::LOG_LOST, "{what} on {product:?}: {error}");
            assert!(error.to_string().contains("--restart"), "{what}: {error}");
            match kept {
                Some(kept) => {
                    let keeps = rig.log.keeps(&reads).await.expect("it can be asked");
                    assert_eq!(keeps, [kept], "{what} on {product:?}");
                }
                None => {
                    let error = rig.log.keep(&reads, Some(&at)).await.expect_err(what);
                    assert!(
                        [&codes::LOG_LOST, &codes::UNSUPPORTED].contains(&error.code()),
                        "{what}: {error}"
                    );
                }
            }
            drop(following);
            rig.log.release().await.expect("it can be released");
            rig.sql("DROP TABLE IF EXISTS _syncline_follow");
            assert_eq!(rig.sql(OURS), "0", "{what} on {product:?}");
        }
        // A server that has gone back in time is another one.
        rig.sql("DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, v varchar(20))");
        let reads = rig.reads(&["t"]).await;
        let at = rig.log.keep(&reads, None).await.expect("the place can be kept");
        let life = at.0.split_once('/').expect("it has a life").0.to_owned();
        let later = Position(format!("{life}/900000000.0"));
        let error = rig.log.keep(&reads, Some(&later)).await.expect_err("it is not yet there");
        assert_eq!(error.code(), &codes::LOG_LOST, "{error}");
        // So is a place behind which another process has read on.
        let mut following = rig.open(reads.clone(), at.clone()).await;
        rig.sql("INSERT INTO t VALUES (1, 'a')");
        following.all(&rig).await;
        let read = following.at.clone();
        following.reader.confirm(&read).await.expect("it can be confirmed");
        let error = rig.log.keep(&reads, Some(&at)).await.expect_err("records are deleted");
        assert_eq!(error.code(), &codes::LOG_LOST, "{error}");
        rig.log.keep(&reads, Some(&read)).await.expect("it goes on");
    }
}

#[tokio::test]
async fn pipelines_do_not_disturb_one_another() {
    for product in products() {
        let rig = Rig::on(mysql::shared(product), TABLE, TRIGGERS).await;
        let other: Box<dyn Log> = rig.source.log("another pipeline").await.expect("it has a log");
        let mut one = rig.follow(&["t"]).await;
        let reads = rig.reads(&["t"]).await;
        let at = other.keep(&reads, None).await.expect("the place can be kept");
        rig.sql("INSERT INTO t VALUES (1, 'a')");
        assert_eq!(one.all(&rig).await.lines, ["t + 1|a"]);
        let read = one.at.clone();
        one.reader.confirm(&read).await.expect("it can be confirmed");
        let mut two = rig.open(reads.clone(), read).await;
        drop(one);
        let reader = other.open(&reads, &at, &[]).await.expect("it can be opened");
        let mut three = crate::rig::Following { reader, reads, at };
        let head = other.head().await.expect("it has an end");
        let told = three.upto(other.as_ref(), &head).await.expect("it can be read");
        assert_eq!(told.lines, ["t + 1|a"]);
        other.release().await.expect("it can be released");
        rig.sql("INSERT INTO t VALUES (2, 'b')");
        assert_eq!(two.all(&rig).await.lines, ["t + 2|b"], "{product:?}");
        rig.log.release().await.expect("it can be released");
        assert_eq!(rig.sql(OURS), "0");
    }
}

#[tokio::test]
async fn a_table_that_somebody_locks_or_alters_is_waited_for() {
    for product in products() {
        let rig = Rig::on(mysql::shared(product), TABLE, TRIGGERS).await;
        let mut following = rig.follow(&["t", "u"]).await;
        // MariaDB lets nobody write to a table with triggers that he has locked so, once their table was read.
        let (first, last) = match product {
            Product::Mysql => ("INSERT INTO t VALUES (1, 'locked')", "INSERT INTO t VALUES (2, 'b')"),
            Product::Mariadb => ("DO 1", "DO 2"),
        };
        let locks = format!("LOCK TABLES t WRITE; {first}; DO SLEEP(5); {last}; UNLOCK TABLES");
        let holder = rig.database.start_sql(&locks);
        while rig.sql("SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'DO SLEEP(5)%'")
            == "0"
        {
            assert!(holder.is_running(), "it locks");
        }
        rig.sql("INSERT INTO u VALUES (1)");
        let mut told = following.all(&rig).await.lines;
        holder.wait().expect_code(0);
        told.extend(following.all(&rig).await.lines);
        told.sort();
        let expected: &[&str] = match product {
            Product::Mysql => &["t + 1|locked", "t + 2|b", "u + 1"],
            Product::Mariadb => &["u + 1"],
        };
        assert_eq!(told, expected, "{product:?}");
        // Altered again and again while it is looked at.
        let alters = "ALTER TABLE t ADD COLUMN x int; ALTER TABLE t DROP COLUMN x;".repeat(10);
        let alterer = rig.database.start_sql(&alters);
        for id in 3..40 {
            rig.sql(&format!("INSERT INTO t (id, v) VALUES ({id}, 'v')"));
        }
        alterer.wait().expect_code(0);
        let told = following.all(&rig).await.lines;
        let missing = (3..40).find(|id| {
            !told.iter().any(|line| {
                line.starts_with(&format!("t ~ {id}|")) || line.starts_with(&format!("t + {id}|"))
            })
        });
        assert_eq!(missing, None, "{product:?}: {told:?}");
    }
}

#[tokio::test]
async fn a_server_that_was_killed_has_lost_nothing_of_it() {
    for product in products() {
        let mut server = server(product, &[]);
        let rig = Rig::on(&server, TABLE, TRIGGERS).await;
        let mut following = rig.follow(&["t"]).await;
        rig.sql("INSERT INTO t VALUES (1, 'a'), (2, 'b')");
        assert_eq!(following.all(&rig).await.lines, ["t + 1|a", "t + 2|b"]);
        rig.sql("INSERT INTO t VALUES (3, 'c')");
        server.kill9();
        let failed = following.failure().await;
        assert_eq!(failed.kind(), ErrorKind::Unreachable, "{failed}");
        server.start_again();
        let (at, reads) = (following.at.clone(), following.reads.clone());
        let mut following = rig.open(reads, at).await;
        rig.sql("DELETE FROM t WHERE id = 1");
        let told = following.all(&rig).await.lines;
        assert!(
            ["t - 1", "t + 2|b", "t + 3|c"].iter().all(|line| told.contains(&(*line).to_owned())),
            "{told:?} on {product:?}"
        );
    }
}
