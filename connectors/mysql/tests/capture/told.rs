//! What statements do is told, as the rows are at the moment of a look.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use syncline_connect::{Logged, identity};
use syncline_testkit::servers::mysql;
use syncline_types::codes;

use crate::{
    TRIGGERS,
    rig::{Rig, Told, numbers, products, server},
};

const TABLES: &str = "CREATE TABLE t (id int PRIMARY KEY, v varchar(20));
    CREATE TABLE other (id int PRIMARY KEY); INSERT INTO t VALUES (8, 'x'), (9, 'old')";

/// How many records there are, with the note.
fn records(rig: &Rig) -> u64 {
    let name = rig.sql(
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()
           AND TABLE_NAME LIKE '\\_syncline\\_changes%'",
    );
    rig.sql(&format!("SELECT COUNT(*) FROM {name}")).parse().expect("it is a number")
}

#[tokio::test]
async fn inserts_updates_deletes_and_truncation_are_told() {
    for product in products() {
        let rig = Rig::on(mysql::shared(product), TABLES, TRIGGERS).await;
        let mut following = rig.follow(&["t"]).await;
        for (statements, expected) in [
            ("INSERT INTO t VALUES (1, 'one'), (2, NULL)", vec!["t + 1|one", "t + 2|-"]),
            ("UPDATE t SET v = 'eins' WHERE id = 1", vec!["t ~ 1|eins"]),
            ("UPDATE t SET id = 3 WHERE id = 2", vec!["t - 2", "t + 3|-"]),
            ("DELETE FROM t WHERE id = 1", vec!["t - 1"]),
            ("INSERT INTO t VALUES (4, 'a'); DELETE FROM t WHERE id = 4", vec!["t - 4"]),
            ("BEGIN; INSERT INTO t VALUES (5, 'a'); ROLLBACK", vec![]),
            ("INSERT INTO other VALUES (1)", vec![]),
            ("REPLACE INTO t VALUES (3, 'r')", vec!["t ~ 3|r"]),
            ("INSERT INTO t VALUES (3, 'o') ON DUPLICATE KEY UPDATE v = 'upd'", vec!["t ~ 3|upd"]),
            ("INSERT IGNORE INTO t VALUES (3, 'no'), (6, 'yes')", vec!["t + 6|yes"]),
            ("UPDATE t, other SET t.v = 'both' WHERE t.id = other.id + 2", vec!["t ~ 3|both"]),
            ("DELETE t FROM t JOIN other ON t.id = other.id + 2", vec!["t - 3"]),
            ("SET sql_log_bin = 0; UPDATE t SET v = 'unlogged' WHERE id = 6", vec!["t ~ 6|unlogged"]),
            (
                "XA START 'x'; UPDATE t SET v = 'two phases' WHERE id = 6; XA END 'x'; XA PREPARE 'x'; XA COMMIT 'x'",
                vec!["t ~ 6|two phases"],
            ),
            (
                "BEGIN; DELETE FROM t WHERE id = 6; SAVEPOINT s; DELETE FROM t; ROLLBACK TO s; COMMIT",
                vec!["t - 6"],
            ),
            ("TRUNCATE t", vec!["t truncated"]),
            ("TRUNCATE t", vec![]),
            (
                "INSERT INTO t VALUES (1, 'a'); TRUNCATE t; INSERT INTO t VALUES (2, 'b')",
                vec!["t - 1", "t + 2|b"],
            ),
            (
                "INSERT INTO t VALUES (3, 'c'); TRUNCATE t; INSERT INTO t VALUES (4, 'd')",
                vec!["t truncated", "t - 3", "t + 4|d"],
            ),
            ("DELETE FROM t", vec!["t - 4"]),
        ] {
            rig.sql(statements);
            assert_eq!(following.all(&rig).await.lines, expected, "{statements} on {product:?}");
        }
    }
}

#[tokio::test]
async fn a_table_that_is_truncated_is_told_from_one_whose_rows_are_all_written() {
    for product in products() {
        let many = format!("INSERT INTO t SELECT n, 'v' FROM ({}) g", numbers(product, 3_000));
        for (before, statements, is_truncated) in [
            ("INSERT INTO t VALUES (1, 'a'), (2, 'b')", "UPDATE t SET v = 'c'", false),
            (
                "INSERT INTO t VALUES (1, 'a'), (2, 'b')",
                "DELETE FROM t; INSERT INTO t VALUES (1, 'x'), (3, 'y')",
                false,
            ),
            (
                "INSERT INTO t VALUES (1, 'a'), (2, 'b')",
                "UPDATE t SET v = 'c' WHERE id = 1; TRUNCATE t; INSERT INTO t VALUES (1, 'x')",
                true,
            ),
            (
                "INSERT INTO t VALUES (1, 'a')",
                "UPDATE t SET v = 'c'; TRUNCATE t; INSERT INTO t VALUES (1, 'x'), (2, 'y')",
                false,
            ),
            (many.as_str(), "UPDATE t SET v = 'c'", false),
            (many.as_str(), "DELETE FROM t WHERE id > 1", false),
            (many.as_str(), "TRUNCATE t; INSERT INTO t VALUES (1, 'x'), (2, 'y')", true),
            (many.as_str(), "TRUNCATE t", true),
        ] {
            let rig = Rig::on(
                mysql::shared(product),
                "CREATE TABLE t (id int PRIMARY KEY, v varchar(20))",
                TRIGGERS,
            )
            .await;
            let mut following = rig.follow(&["t"]).await;
            rig.sql(before);
            following.all(&rig).await;
            rig.sql(&format!("BEGIN; {statements}; COMMIT"));
            let told = following.all(&rig).await.lines;
            let truncated = told.iter().filter(|line| *line == "t truncated").count();
            assert_eq!(truncated == 1, is_truncated, "{statements} on {product:?}");
            // As it is after a restart that has forgotten what was told.
            let (reads, at) = (following.reads.clone(), following.at.clone());
            drop(following);
            let mut following = rig.open(reads, at).await;
            rig.sql("INSERT INTO t VALUES (-1, 'last')");
            let told = following.all(&rig).await.lines;
            assert!(told.contains(&"t + -1|last".to_owned()), "{told:?}");
        }
    }
}

#[tokio::test]
async fn what_was_not_deleted_is_told_again_and_nothing_is_told_twice_by_one_reader() {
    for product in products() {
        let rig = Rig::on(mysql::shared(product), TABLES, TRIGGERS).await;
        let mut following = rig.follow(&["t"]).await;
        rig.sql("INSERT INTO t VALUES (1, 'a')");
        assert_eq!(following.all(&rig).await.lines, ["t + 1|a"]);
        rig.sql("INSERT INTO t VALUES (2, 'b')");
        assert_eq!(following.all(&rig).await.lines, ["t + 2|b"]);
        assert_eq!(records(&rig), 3);
        let (reads, at) = (following.reads.clone(), following.at.clone());
        drop(following);
        let mut following = rig.open(reads, at).await;
        rig.sql("INSERT INTO t VALUES (3, 'c')");
        assert_eq!(following.all(&rig).await.lines, ["t + 1|a", "t + 2|b", "t + 3|c"]);
        let at = following.at.clone();
        following.reader.confirm(&at).await.expect("it can be confirmed");
        assert_eq!(records(&rig), 1, "what is durable is deleted");
        rig.sql("UPDATE t SET v = 'd' WHERE id = 1");
        assert_eq!(following.all(&rig).await.lines, ["t ~ 1|d"]);
    }
}

#[tokio::test]
async fn where_nothing_happens_the_end_is_where_it_was() {
    for product in products() {
        let rig = Rig::on(mysql::shared(product), TABLES, TRIGGERS).await;
        let mut following = rig.follow(&["t", "other"]).await;
        for statements in [
            "INSERT INTO t VALUES (1, 'a')",
            "TRUNCATE t",
            "INSERT INTO t VALUES (2, 'b')",
            "ALTER TABLE t ADD INDEX (v)",
            "TRUNCATE t; INSERT INTO t VALUES (3, 'c')",
            "DELETE FROM t",
            "INSERT INTO other VALUES (1)",
        ] {
            let (at, before) = (following.at.clone(), rig.head().await);
            assert!(
                rig.log.compare(&before, &at).expect("they are of this log").is_le(),
                "{before:?} is behind {at:?}"
            );
            assert_eq!(rig.head().await, before, "before {statements} on {product:?}");
            rig.sql(statements);
            let after = rig.head().await;
            assert!(
                rig.log.compare(&after, &at).expect("they are of this log").is_gt(),
                "{statements} on {product:?}"
            );
            following.all(&rig).await;
            let at = following.at.clone();
            following.reader.confirm(&at).await.expect("it can be confirmed");
        }
    }
}

/// The record of the second has a lower number than that of the first.
#[tokio::test]
async fn a_transaction_that_commits_late_is_told_when_it_does() {
    for product in products() {
        let rig = Rig::on(mysql::shared(product), TABLES, TRIGGERS).await;
        let mut following = rig.follow(&["t"]).await;
        let late = rig.database.start_sql("BEGIN; INSERT INTO t VALUES (1, 'late'); DO SLEEP(2); COMMIT");
        while rig.sql("SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'DO SLEEP(2)%'")
            == "0"
        {
            assert!(late.is_running(), "it writes");
        }
        rig.sql("INSERT INTO t VALUES (2, 'early')");
        assert_eq!(following.all(&rig).await.lines, ["t + 2|early"]);
        let at = following.at.clone();
        following.reader.confirm(&at).await.expect("it can be confirmed");
        assert!(late.is_running(), "it has not committed");
        late.wait().expect_code(0);
        assert_eq!(following.all(&rig).await.lines, ["t + 1|late"]);
    }
}

#[tokio::test]
async fn a_large_change_comes_in_parts_within_the_memory() {
    for product in products() {
        let rig =
            Rig::on(mysql::shared(product), "CREATE TABLE t (id int PRIMARY KEY, v text)", TRIGGERS).await;
        let mut following = rig.follow(&["t"]).await;
        rig.sql(&format!("INSERT INTO t SELECT n, REPEAT('x', 200) FROM ({}) g", numbers(product, 30_000)));
        let (mut rows, mut batches) = (0, 0);
        loop {
            let Logged::Changes(batch) = following.next().await.expect("it can be read") else { continue };
            rows += batch.changes.iter().map(|changes| changes.rows.num_rows()).sum::<usize>();
            batches += 1;
            if let Some(position) = batch.position {
                following.at = position;
                break;
            }
        }
        assert!(rows == 30_000 && batches > 3, "{rows} rows in {batches} batches on {product:?}");
        let at = following.at.clone();
        let until = Instant::now() + Duration::from_secs(20);
        while records(&rig) > 1 {
            assert!(Instant::now() < until, "what is durable is deleted");
            following.reader.confirm(&at).await.expect("it can be confirmed");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Numbers that do not follow on each other are many ranges; what is not passed over is told again.
#[tokio::test]
async fn numbers_with_gaps_are_told_and_deleted_as_others() {
    for product in products() {
        let server = server(product, &[("auto-increment-increment", "7"), ("auto-increment-offset", "3")]);
        let rig = Rig::on(&server, "CREATE TABLE t (id int PRIMARY KEY, v int)", TRIGGERS).await;
        let mut following = rig.follow(&["t"]).await;
        rig.sql(&format!("INSERT INTO t SELECT n, 1 FROM ({}) g", numbers(product, 1_500)));
        let told: BTreeSet<String> = following.all(&rig).await.lines.into_iter().collect();
        assert_eq!(told.len(), 1_500, "{product:?}");
        rig.sql("INSERT INTO t VALUES (0, 1)");
        let again = following.all(&rig).await.lines;
        assert!(again.contains(&"t + 0|1".to_owned()) && again.len() < 1_500, "{product:?}");
        let at = following.at.clone();
        following.reader.confirm(&at).await.expect("it can be confirmed");
        assert_eq!(records(&rig), 1, "{product:?}");
        rig.sql("BEGIN; UPDATE t SET v = 2 WHERE id <= 1000; DELETE FROM t WHERE id > 1000; COMMIT");
        let told: BTreeSet<String> = following.all(&rig).await.lines.into_iter().collect();
        let count = |begin: &str| told.iter().filter(|line| line.starts_with(begin)).count();
        assert_eq!((count("t ~ "), count("t - "), told.len()), (1_001, 500, 1_501), "{product:?}");
    }
}

#[tokio::test]
async fn what_has_come_from_the_target_does_not_go_back() {
    for product in products() {
        let rig = Rig::on(mysql::shared(product), TABLES, TRIGGERS).await;
        let (a, b) = (identity("mysql", "a"), identity("mysql", "b"));
        let (one, both) =
            (format!("SET @syncline_origin = '{a}'"), format!("SET @syncline_origin = '{a} {b}'"));
        let reads = rig.reads(&["t"]).await;
        let mut at = rig.log.keep(&reads, None).await.expect("the place can be kept");
        let not_from = [b.clone()];
        for (statements, expected) in [
            (
                format!(
                    "INSERT INTO t VALUES (1, 'here'); {one}; INSERT INTO t VALUES (2, 'a'); {both}; INSERT INTO t VALUES (3, 'b')"
                ),
                vec![("", "t + 1|here"), (a.as_str(), "t + 2|a")],
            ),
            (format!("{both}; UPDATE t SET v = 'b' WHERE id < 3; DELETE FROM t WHERE id = 9"), vec![]),
            (
                format!(
                    "{both}; UPDATE t SET v = 'c' WHERE id = 2; SET @syncline_origin = NULL; UPDATE t SET v = CONCAT(v, '!') WHERE id IN (2, 3)"
                ),
                vec![("", "t ~ 2|c!"), ("", "t ~ 3|b!")],
            ),
            (
                format!(
                    "{one}; UPDATE t SET v = 'd' WHERE id = 2; SET @syncline_origin = ''; DELETE FROM t WHERE id = 2"
                ),
                vec![("", "t - 2")],
            ),
            (
                "SET @syncline_origin = 'somebody''s own'; DELETE FROM t WHERE id = 3".to_owned(),
                vec![("", "t - 3")],
            ),
            (format!("{one}; DELETE FROM t WHERE id = 1"), vec![(a.as_str(), "t - 1")]),
        ] {
            let mut reader = rig.log.open(&reads, &at, &not_from).await.expect("it can be opened");
            rig.sql(&statements);
            let head = rig.head().await;
            let (mut place, mut told) = (at.clone(), vec![]);
            while rig.log.compare(&place, &head).expect("they are of this log").is_lt() {
                match reader.next().await.expect("it can be read") {
                    Logged::Changes(batch) => {
                        let mut lines = Told::default();
                        let before = place.clone();
                        lines.add(&batch, &reads, &mut place);
                        told.extend(lines.lines.into_iter().map(|line| (batch.origin.write(), line)));
                        assert_eq!(batch.position.is_none(), place == before);
                    }
                    Logged::Idle(position) => place = position,
                    Logged::Schema(change) => panic!("nothing has changed: {change:?}"),
                }
            }
            reader.confirm(&place).await.expect("it can be confirmed");
            let expected: Vec<(String, String)> =
                expected.into_iter().map(|(origin, line)| (origin.to_owned(), line.to_owned())).collect();
            assert_eq!(told, expected, "{statements} on {product:?}");
            assert_eq!(records(&rig), 1, "what is passed over is deleted too");
            at = place;
        }
    }
}

/// What has emptied the table cannot be told from what the target's own deletions do, which came by another
/// pipeline: to have the target emptied once more would take rows from it that it has got since.
#[tokio::test]
async fn deletions_that_have_come_from_the_target_never_empty_it() {
    for product in products() {
        let (target, elsewhere) = (identity("mysql", "b"), identity("mysql", "c"));
        let many = numbers(product, 3_000);
        for (origin, statements, stops) in [
            (&target, "DELETE FROM t", true),
            (&target, "DELETE FROM t WHERE id < 5; SET @syncline_origin = NULL; TRUNCATE t", true),
            (&target, "DELETE FROM t WHERE id > 5", false),
            (&elsewhere, "DELETE FROM t", false),
            (&elsewhere, "DELETE FROM t WHERE id < 5; SET @syncline_origin = NULL; DELETE FROM t", true),
        ] {
            let rig = Rig::on(
                mysql::shared(product),
                "CREATE TABLE t (id int PRIMARY KEY, v varchar(20))",
                TRIGGERS,
            )
            .await;
            rig.sql(&format!("INSERT INTO t SELECT n, 'v' FROM ({many}) g"));
            let reads = rig.reads(&["t"]).await;
            let at = rig.log.keep(&reads, None).await.expect("the place can be kept");
            let mut reader =
                rig.log.open(&reads, &at, std::slice::from_ref(&target)).await.expect("it can be opened");
            rig.sql(&format!("BEGIN; SET @syncline_origin = '{origin}'; {statements}; COMMIT"));
            let head = rig.head().await;
            let (mut place, mut emptied, mut stopped) = (at.clone(), vec![], None);
            while stopped.is_none() && rig.log.compare(&place, &head).expect("they are of this log").is_lt() {
                match reader.next().await {
                    Ok(Logged::Changes(batch)) => {
                        let truncated = batch.changes.iter().filter(|changes| changes.truncated.is_some());
                        emptied.extend(truncated.map(|_| batch.origin.write()));
                        place = batch.position.unwrap_or(place);
                    }
                    Ok(Logged::Idle(position)) => place = position,
                    Ok(Logged::Schema(change)) => panic!("nothing has changed: {change:?}"),
                    Err(error) => stopped = Some(error),
                }
            }
            let what = format!("{statements} of {origin} on {product:?}");
            assert_eq!(stopped.is_some(), stops, "{what}: {stopped:?}");
            if let Some(error) = stopped {
                assert_eq!(error.code(), &codes::LOG_LOST, "{what}: {error}");
                assert!(
                    error.to_string().contains("t`") && error.to_string().contains("--restart"),
                    "{error}"
                );
            }
            // Where it was elsewhere, it does not go back there either.
            let told = if origin == &elsewhere && !stops { vec![elsewhere.clone()] } else { vec![] };
            assert_eq!(emptied, told, "{what}");
        }
    }
}

#[tokio::test]
async fn a_change_is_told_soon() {
    for product in products() {
        let rig = Rig::on(mysql::shared(product), TABLES, TRIGGERS).await;
        let mut following = rig.follow(&["t"]).await;
        let mut delays = vec![];
        for at in 0..15 {
            tokio::time::sleep(Duration::from_millis(10 * at)).await;
            rig.sql("UPDATE t SET v = CONCAT(v, 'x') WHERE id = 9");
            let began = Instant::now();
            while !matches!(following.next().await.expect("it can be read"), Logged::Changes(_)) {}
            delays.push(began.elapsed());
        }
        delays.sort();
        assert!(delays[7] < Duration::from_millis(400), "{delays:?} on {product:?}");
        println!("{product:?}: half of the changes are told within {:?}", delays[7]);
    }
}
