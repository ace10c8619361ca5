//! Statements among the rows: what they do to followed tables is told or stops the reading, what they do
//! to others is passed over.

use std::sync::Arc;

use syncline_connect::Logged;
use syncline_testkit::servers::mysql::Product;
use syncline_types::codes;

use crate::rig::{Rig, Told, products, server};

const TABLES: &str = "CREATE TABLE t (id int PRIMARY KEY, v varchar(20));
    CREATE TABLE other (id int PRIMARY KEY, v varchar(20)); INSERT INTO t VALUES (1, 'one')";

#[tokio::test]
async fn other_columns_are_told_where_they_begin() {
    for product in products() {
        for (alter, expected) in [
            (
                "ALTER TABLE t ADD COLUMN n int NOT NULL DEFAULT 7",
                ["t is (id int, v varchar(20), n int)", "t + 3|three|7"],
            ),
            ("ALTER TABLE t MODIFY v varchar(30)", ["t is (id int, v varchar(30))", "t + 3|three"]),
            ("ALTER TABLE t RENAME COLUMN v TO w", ["t is (id int, w varchar(20))", "t + 3|three"]),
            ("ALTER TABLE t MODIFY id bigint", ["t is (id bigint, v varchar(20))", "t + 3|three"]),
            ("/* why */ alter table `t` drop column v", ["t is (id int)", "t + 3"]),
        ] {
            let rig = Rig::new(product, TABLES).await;
            let mut following = rig.follow(&["t"]).await;
            rig.sql("INSERT INTO t VALUES (2, 'two')");
            rig.sql(alter);
            let insert = match expected[1] {
                "t + 3" => "INSERT INTO t VALUES (3)",
                "t + 3|three|7" => "INSERT INTO t (id, v) VALUES (3, 'three')",
                _ => "INSERT INTO t VALUES (3, 'three')",
            };
            rig.sql(insert);
            let told = following.all(&rig).await;
            let expected = ["t + 2|two", expected[0], expected[1]];
            assert_eq!(told.lines, expected, "{alter} on {product:?}");
        }
    }
}

#[tokio::test]
async fn what_rows_do_not_show_is_passed_over() {
    for product in products() {
        // With names in the log, and without.
        let without = if product == Product::Mysql { "MINIMAL" } else { "NO_LOG" };
        for metadata in ["FULL", without] {
            let server = server(product, &[("binlog-row-metadata", metadata)]);
            let rig = Rig::on(&server, TABLES, "").await;
            let mut following = rig.follow(&["t"]).await;
            let mut told = vec![];
            for statements in [
                "ALTER TABLE t ADD INDEX by_v (v), COMMENT 'with an index'; INSERT INTO t VALUES (2, 'a')",
                "ALTER TABLE t ALTER COLUMN v SET DEFAULT 'x'; INSERT INTO t VALUES (3, 'b')",
                "ALTER TABLE t MODIFY v varchar(20) DEFAULT 'x' FIRST; INSERT INTO t (id, v) VALUES (4, 'c')",
                "CREATE INDEX again ON t (v); DROP INDEX by_v ON t; ANALYZE TABLE t; OPTIMIZE TABLE t;
                 ALTER TABLE t RENAME INDEX again TO still; ALTER TABLE t ENGINE = InnoDB;
                 UPDATE t SET v = 'd' WHERE id = 1",
            ] {
                rig.sql(statements);
                told.extend(following.all(&rig).await.lines);
            }
            assert_eq!(told, ["t + 2|a", "t + 3|b", "t + 4|c", "t ~ 1|d"], "{product:?} {metadata}");
        }
    }
}

/// What comes back as it was has not been the same in between, and what it was then nobody says any more.
#[tokio::test]
async fn a_table_that_was_altered_and_altered_back_is_to_be_copied_again() {
    for product in products() {
        for (statements, read) in [
            ("ALTER TABLE t DROP COLUMN v, ADD COLUMN v varchar(20)", "t + 3|x"),
            ("ALTER TABLE t DROP COLUMN v, ADD COLUMN V varchar(20), ADD COLUMN w int", "t + 3|x|"),
            ("ALTER TABLE t DROP COLUMN v; ALTER TABLE t ADD COLUMN v varchar(20)", "t + 3|x"),
            ("ALTER TABLE t DROP COLUMN v; INSERT INTO t VALUES (2); ALTER TABLE t ADD COLUMN v varchar(20)", "t + 3|x"),
            ("ALTER TABLE t MODIFY v varchar(20) CHARACTER SET latin1; INSERT INTO t VALUES (2, 'ä'); TRUNCATE t;
              INSERT INTO t VALUES (2, 'ö'); ALTER TABLE t MODIFY v varchar(20)", "t + 3|x"),
        ] {
            let rig = Rig::new(product, TABLES).await;
            let mut following = rig.follow(&["t"]).await;
            rig.sql(&format!("{statements}; INSERT INTO t (id, v) VALUES (3, 'x')"));
            let what = format!("{statements} on {product:?}");
            let (mut told, mut unread) = (Told::default(), vec![]);
            while told.lines.is_empty() {
                match following.next().await.unwrap_or_else(|error| panic!("{what}: {error}")) {
                    Logged::Schema(change) => {
                        unread.push(change.unread);
                        following.reads[0] = Arc::new(following.reads[0].altered(&change.schema, |_| true));
                    }
                    Logged::Changes(batch) => told.add(&batch, &following.reads, &mut following.at),
                    Logged::Idle(_) => {}
                }
            }
            assert_eq!(unread, [true, false], "{what}");
            // Nothing is told of rows of which it is not known what their columns are.
            let (line, read) = (told.lines[0].split('|').take(2), read.split('|').take(2));
            assert!(told.lines.len() == 1 && line.eq(read), "{what}: {:?}", told.lines);
        }
    }
}

/// A table that is known as it is later on, and was another one here.
#[tokio::test]
async fn what_is_doubted_is_read_from_where_it_is_what_it_is_known_as() {
    for product in products() {
        for (statements, expected) in [
            // Rows of the old form would pass for rows of the new one.
            (
                "INSERT INTO t VALUES (4, 'old'); ALTER TABLE t DROP COLUMN v, ADD COLUMN w varchar(20)",
                "t + 3|x",
            ),
            (
                "INSERT INTO t VALUES (4, 'old'); ALTER TABLE t DROP COLUMN v; ALTER TABLE t ADD COLUMN w varchar(20)",
                "t + 3|x",
            ),
            (
                "INSERT INTO t VALUES (4, 'old'); ALTER TABLE t ADD COLUMN w int; INSERT INTO t VALUES (5, 'old', 1); ALTER TABLE t DROP COLUMN w",
                "t + 3|x",
            ),
        ] {
            let rig = Rig::new(product, TABLES).await;
            let before = rig.reads(&["t"]).await;
            let at = rig.log.keep(&before, None).await.expect("the place can be kept");
            rig.sql(&format!("{statements}; INSERT INTO t VALUES (3, 'x')"));
            let known = rig.log.head().await.expect("it has an end");
            let mut following = rig.open(rig.reads(&["t"]).await, at).await;
            following.reader.doubt(0, &known).expect("it is a position");
            let what = format!("{statements} on {product:?}");
            let (mut told, mut unread) = (Told::default(), vec![]);
            while told.lines.is_empty() {
                match following.next().await.unwrap_or_else(|error| panic!("{what}: {error}")) {
                    Logged::Schema(change) => unread.push(change.unread),
                    Logged::Changes(batch) => told.add(&batch, &following.reads, &mut following.at),
                    Logged::Idle(_) => {}
                }
            }
            assert_eq!(unread, [true, false], "{what}");
            assert_eq!(told.lines, [expected], "{what}");
        }
    }
}

#[tokio::test]
async fn what_is_altered_later_on_is_no_reason_to_doubt() {
    for product in products() {
        let rig = Rig::new(product, TABLES).await;
        let reads = rig.reads(&["t"]).await;
        let at = rig.log.keep(&reads, None).await.expect("the place can be kept");
        rig.sql("INSERT INTO t VALUES (4, 'old')");
        let known = rig.log.head().await.expect("it has an end");
        rig.sql("INSERT INTO t VALUES (5, 'old'); ALTER TABLE t ADD COLUMN w int; INSERT INTO t VALUES (6, 'new', 1)");
        let mut following = rig.open(reads, at).await;
        following.reader.doubt(0, &known).expect("it is a position");
        let mut told = Told::default();
        let changed = loop {
            match following.next().await.unwrap_or_else(|error| panic!("{product:?}: {error}")) {
                Logged::Schema(change) => break change,
                Logged::Changes(batch) => told.add(&batch, &following.reads, &mut following.at),
                Logged::Idle(_) => {}
            }
        };
        assert!(!changed.unread && changed.schema.index("w").is_some(), "{product:?}: {changed:?}");
        assert_eq!(told.lines, ["t + 4|old", "t + 5|old"], "{product:?}");
    }
}

#[tokio::test]
async fn what_concerns_others_is_passed_over() {
    for product in products() {
        let rig = Rig::new(product, TABLES).await;
        let mut following = rig.follow(&["t"]).await;
        rig.sql(
            "CREATE TABLE IF NOT EXISTS t (id int); CREATE TEMPORARY TABLE t (x int); INSERT INTO t VALUES (9); DROP TEMPORARY TABLE t;
             CREATE TABLE made (id int PRIMARY KEY); INSERT INTO made VALUES (1); ALTER TABLE other ADD COLUMN t int;
             INSERT INTO other VALUES (1, 'DROP TABLE t', 2); TRUNCATE other; RENAME TABLE other TO others; DROP TABLE others, made;
             CREATE VIEW shown AS SELECT * FROM t; DROP VIEW shown; CREATE TABLE copied AS SELECT * FROM t; DROP TABLE copied;
             CREATE TRIGGER trig BEFORE INSERT ON t FOR EACH ROW SET NEW.v = CONCAT(NEW.v, '!');
             INSERT INTO t VALUES (2, 'two')",
        );
        let told = following.all(&rig).await;
        assert_eq!(told.lines, ["t + 2|two!"], "{product:?}");
    }
}

#[tokio::test]
async fn a_table_that_is_another_one_stops_the_reading() {
    for product in products() {
        let mut statements = vec![
            "DROP TABLE t",
            "DROP TABLE IF EXISTS other, t",
            "RENAME TABLE t TO old, other TO t",
            "ALTER TABLE t RENAME TO old",
            "DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, v varchar(20))",
            "SET SESSION binlog_format = 'STATEMENT'; UPDATE t SET v = 'x'",
        ];
        if product == Product::Mariadb {
            statements.push("CREATE OR REPLACE TABLE t (id int PRIMARY KEY, v varchar(20))");
            statements.push("SET STATEMENT max_statement_time = 9 FOR DROP TABLE t");
        }
        for statement in statements {
            let rig = Rig::new(product, TABLES).await;
            let mut following = rig.follow(&["t"]).await;
            rig.sql("INSERT INTO t VALUES (2, 'two')");
            rig.sql(statement);
            let head = rig.head().await;
            let error = loop {
                match following.next().await {
                    Ok(logged) => assert!(!matches!(logged, Logged::Schema(_)), "{statement}"),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.code(), &codes::SCHEMA_CHANGED, "{statement} on {product:?}: {error}");
            let text = error.to_string();
            assert!(text.contains("`test_") && text.contains(".t`") && text.contains("--restart"), "{text}");
            drop(head);
        }
    }
}

#[tokio::test]
async fn a_partition_that_goes_stops_the_reading() {
    for product in products() {
        let rig = Rig::new(
            product,
            "CREATE TABLE t (id int PRIMARY KEY, v varchar(9)) PARTITION BY RANGE (id)
               (PARTITION low VALUES LESS THAN (10), PARTITION high VALUES LESS THAN (100))",
        )
        .await;
        let mut following = rig.follow(&["t"]).await;
        rig.sql("INSERT INTO t VALUES (1, 'x'), (50, 'y'); UPDATE t SET v = 'z' WHERE id = 50");
        let told = following.all(&rig).await;
        assert_eq!(told.lines, ["t + 1|x", "t + 50|y", "t ~ 50|z"], "{product:?}");
        rig.sql("ALTER TABLE t DROP PARTITION high");
        let error = following.failure().await;
        assert_eq!(error.code(), &codes::SCHEMA_CHANGED, "{error}");
    }
}

#[tokio::test]
async fn transactions_of_two_phases() {
    for product in products() {
        // What is prepared concerns everybody who follows the server.
        let server = server(product, &[]);
        let rig = Rig::on(&server, TABLES, "").await;
        let mut following = rig.follow(&["t"]).await;
        rig.sql(
            "XA START 'a'; INSERT INTO t VALUES (2, 'one phase'); XA END 'a'; XA COMMIT 'a' ONE PHASE;
             XA START 'b'; INSERT INTO other VALUES (2, 'b'); XA END 'b'; XA PREPARE 'b'; XA COMMIT 'b';
             XA START 'c'; INSERT INTO other VALUES (3, 'c'); XA END 'c'; XA PREPARE 'c'; XA ROLLBACK 'c';
             INSERT INTO t VALUES (3, 'plain')",
        );
        let told = following.all(&rig).await;
        assert_eq!(told.lines, ["t + 2|one phase", "t + 3|plain"], "{product:?}");
        rig.sql("XA START 'd'; INSERT INTO t VALUES (4, 'd'); XA END 'd'; XA PREPARE 'd'; XA COMMIT 'd'");
        let error = following.failure().await;
        assert_eq!(error.code(), &codes::UNSUPPORTED, "{product:?}: {error}");
        assert!(error.to_string().contains("XA PREPARE"), "{error}");
    }
}

/// What is prepared on one side of a place and committed on the other.
#[tokio::test]
async fn transactions_that_are_prepared_before_the_place() {
    for product in products() {
        // What is prepared concerns everybody who follows the server.
        let server = server(product, &[]);
        let rig = Rig::on(&server, TABLES, "").await;
        let name = |part: &str| format!("'{} {part}'", rig.database.name());
        let prepare = |table: &str, id: u32, part: &str| {
            let name = name(part);
            rig.sql(&format!(
                "XA START {name}; INSERT INTO {table} VALUES ({id}, 'x'); XA END {name}; XA PREPARE {name}"
            ));
        };
        // One that changes nothing that is followed is known from then on, whoever reads on.
        let mut following = rig.follow(&["t"]).await;
        prepare("other", 2, "known");
        prepare("other", 3, "undone");
        following.all(&rig).await;
        let mut following = rig.open(following.reads, following.at).await;
        rig.sql(&format!(
            "XA COMMIT {}; XA ROLLBACK {}; INSERT INTO t VALUES (2, 'two')",
            name("known"),
            name("undone")
        ));
        assert_eq!(following.all(&rig).await.lines, ["t + 2|two"], "{product:?}");
        assert!(!following.at.0.contains("prepared"), "{:?}", following.at);
        // Of one that was prepared before nobody knows what it has changed.
        prepare("t", 3, "before");
        let mut following = rig.follow(&["t"]).await;
        rig.sql(&format!("XA COMMIT {}", name("before")));
        let error = following.failure().await;
        assert_eq!(error.code(), &codes::LOG_INCOMPLETE, "{product:?}: {error}");
    }
}

#[tokio::test]
async fn a_stream_that_is_read_from_further_on_is_told_nothing_of_what_was_before() {
    for product in products() {
        let tables = "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, v varchar(9))";
        let rig = Rig::new(product, tables).await;
        let mut following = rig.follow(&["a", "b"]).await;
        let begun = following.at.clone();
        rig.sql("INSERT INTO a VALUES (1); INSERT INTO b VALUES (1, 'x')");
        following.all(&rig).await;
        rig.sql("ALTER TABLE b ADD COLUMN n int");
        rig.sql("INSERT INTO b VALUES (2, 'x', 2); INSERT INTO a VALUES (2); TRUNCATE TABLE b");
        following.all(&rig).await;
        let (place, reads) = (following.at.clone(), following.reads.clone());
        drop(following);
        rig.sql("INSERT INTO a VALUES (3); INSERT INTO b VALUES (3, 'x', 3)");
        rig.sql("ALTER TABLE b ADD COLUMN m int; INSERT INTO b VALUES (4, 'x', 4, 5)");
        let mut again = rig.open(reads, begun).await;
        again.reader.pass_over(1, &place).expect("it can be passed over");
        let told = again.all(&rig).await;
        let altered = "b is (id int, v varchar(9), n int, m int)";
        let expected = ["a + 1", "a + 2", "a + 3", "b + 3|x|3", altered, "b + 4|x|4|5"];
        assert_eq!(told.lines, expected, "{product:?}");
    }
}
