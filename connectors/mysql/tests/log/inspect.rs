//! What stands in the way is said before anything is followed, with what to do.

use syncline_connect::{Finding, Severity};
use syncline_testkit::servers::mysql::{Mysql, Options, Product};
use syncline_types::codes;

use crate::rig::{Rig, products, server};

async fn findings(rig: &Rig, tables: &[&str]) -> Vec<Finding> {
    let reads = rig.reads(tables).await;
    rig.log.inspect(&reads).await.expect("it can be looked at")
}

/// The only blocker's text, which also stops the place from being kept.
async fn blocker(rig: &Rig, tables: &[&str]) -> String {
    let found = findings(rig, tables).await;
    let blockers: Vec<_> = found.iter().filter(|finding| finding.severity == Severity::Blocker).collect();
    assert_eq!(blockers.len(), 1, "{found:?}");
    let reads = rig.reads(tables).await;
    let error = rig.log.keep(&reads, None).await.expect_err("it is refused");
    assert_eq!(Some(error.to_string()), blockers[0].error.as_ref().map(ToString::to_string));
    error.to_string()
}

fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
}

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, v longtext, n int)";

#[tokio::test]
async fn a_server_as_it_should_be() {
    for product in products() {
        let rig = Rig::new(product, TABLE).await;
        let found = findings(&rig, &["t"]).await;
        assert!(found.iter().all(|finding| finding.severity < Severity::Blocker), "{found:?}");
        let reads = rig.reads(&["t"]).await;
        assert_eq!(rig.log.lacks(&reads).await.expect("it can be told"), [Vec::<String>::new()]);
        assert_eq!(rig.log.keeps(&reads).await.expect("it can be told"), [true]);
        rig.log.release().await.expect("there is nothing to give up");
    }
}

#[tokio::test]
async fn a_server_without_a_log_of_rows() {
    for product in products() {
        let off = Mysql::start(product, Options::new());
        let rig = Rig::on(&off, TABLE, "").await;
        contains(&blocker(&rig, &["t"]).await, &["log_bin", "SYN-6002"]);
        let mixed = server(product, &[("binlog-format", "MIXED")]);
        let rig = Rig::on(&mixed, TABLE, "").await;
        contains(
            &blocker(&rig, &["t"]).await,
            &["binlog_format is MIXED", "SET GLOBAL binlog_format = 'ROW'"],
        );
    }
}

#[tokio::test]
async fn images_of_rows_that_are_not_whole() {
    for product in products() {
        for (image, lacking) in [("MINIMAL", &["v", "n"][..]), ("NOBLOB", &["v"])] {
            let server =
                server(product, &[("binlog-row-image", image), ("binlog-expire-logs-seconds", "3600")]);
            let rig = Rig::on(&server, TABLE, "").await;
            let reads = rig.reads(&["t"]).await;
            assert_eq!(rig.log.lacks(&reads).await.expect("it can be told"), [lacking]);
            let found = findings(&rig, &["t"]).await;
            let texts: Vec<&str> = found.iter().map(|finding| finding.message.as_str()).collect();
            contains(&texts.join("\n"), &[image, "after 1 hours"]);
            if product == Product::Mysql {
                rig.sql("SET GLOBAL binlog_row_value_options = 'PARTIAL_JSON'");
                contains(&blocker(&rig, &["t"]).await, &["binlog_row_value_options", "SYN-4006"]);
            }
        }
    }
}

#[tokio::test]
async fn a_user_who_may_not_read_the_log() {
    for product in products() {
        let server = server(product, &[]);
        let rig = Rig::on(&server, TABLE, "").await;
        let name = rig.database.name();
        rig.sql(&format!(
            "CREATE USER u@'127.0.0.1' IDENTIFIED BY 'p'; GRANT SELECT ON {name}.* TO u@'127.0.0.1'"
        ));
        let as_user =
            Rig::over(server.port(), server.database(name), r#", "user": "u", "password": "p""#).await;
        let (status, grants) = match product {
            Product::Mysql => (
                "REPLICATION CLIENT",
                "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'u'@'127.0.0.1'",
            ),
            Product::Mariadb => {
                ("BINLOG MONITOR", "GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO 'u'@'127.0.0.1'")
            }
        };
        contains(&blocker(&as_user, &["t"]).await, &[grants, "SYN-2003"]);
        rig.sql("GRANT REPLICATION SLAVE ON *.* TO u@'127.0.0.1'");
        contains(&blocker(&as_user, &["t"]).await, &[&format!("Run: GRANT {status} ON")]);
        // What is advised is enough.
        rig.sql(grants);
        let mut following = as_user.follow(&["t"]).await;
        rig.sql("INSERT INTO t VALUES (1, 'x', 1)");
        assert_eq!(following.all(&as_user).await.lines, ["t + 1|x|1"], "{product:?}");
    }
}

#[tokio::test]
async fn tables_of_which_the_log_does_not_tell_everything() {
    for product in products() {
        let server = server(product, &[("binlog-ignore-db", "nobody")]);
        let rig = Rig::on(
            &server,
            "CREATE TABLE p (id int PRIMARY KEY);
             CREATE TABLE m (id int PRIMARY KEY) ENGINE = MEMORY;
             CREATE TABLE g (id int PRIMARY KEY, v varchar(9) CHARACTER SET gbk);
             CREATE VIEW shown AS SELECT id FROM p",
            "",
        )
        .await;
        contains(&blocker(&rig, &["m"]).await, &["`test_", ".m`", "memory"]);
        contains(&blocker(&rig, &["g"]).await, &["`gbk`", "utf8mb4"]);
        contains(&blocker(&rig, &["shown"]).await, &["view"]);
        if product == Product::Mariadb {
            rig.sql(
                "CREATE TABLE h (id int PRIMARY KEY) WITH SYSTEM VERSIONING;
                 CREATE TABLE z (id int PRIMARY KEY, twice int AS (id * 2) VIRTUAL);
                 CREATE TABLE k (id int PRIMARY KEY, v text COMPRESSED)",
            );
            contains(&blocker(&rig, &["h"]).await, &["history"]);
            contains(&blocker(&rig, &["z"]).await, &["`twice`", "--columns"]);
            contains(&blocker(&rig, &["k"]).await, &["`v`", "COMPRESSED"]);
        }
        rig.sql("CREATE DATABASE nobody; CREATE TABLE nobody.t (id int PRIMARY KEY)");
        contains(&blocker(&rig, &["nobody.t"]).await, &["`nobody.t`", "binlog_ignore_db"]);
    }
}

/// What a foreign key deletes is told, or the table is refused.
#[tokio::test]
async fn rows_that_a_foreign_key_deletes() {
    for product in products() {
        let rig = Rig::new(
            product,
            "CREATE TABLE p (id int PRIMARY KEY); INSERT INTO p VALUES (1), (2);
             CREATE TABLE c (id int PRIMARY KEY, p int, FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE);
             INSERT INTO c VALUES (10, 1), (20, 2)",
        )
        .await;
        let told_by_server =
            rig.sql("SHOW GLOBAL VARIABLES LIKE 'innodb_native_foreign_keys'").contains("OFF");
        if !told_by_server {
            contains(&blocker(&rig, &["p", "c"]).await, &[".c`", "CASCADE"]);
            continue;
        }
        let mut following = rig.follow(&["p", "c"]).await;
        rig.sql("DELETE FROM p WHERE id = 1");
        let mut told = following.all(&rig).await.lines;
        told.sort();
        assert_eq!(told, ["c - 10", "p - 1"], "{product:?}");
    }
}

#[tokio::test]
async fn names_of_any_letters() {
    for product in products() {
        let rig =
            Rig::new(product, "CREATE TABLE `Größe x` (`Schlüssel ```  int PRIMARY KEY, `wert` varchar(9))")
                .await;
        let mut following = rig.follow(&["Größe x"]).await;
        rig.sql("INSERT INTO `Größe x` VALUES (1, 'ä'); ALTER TABLE `Größe x` ADD INDEX i (wert); INSERT INTO `Größe x` VALUES (2, 'b'); TRUNCATE `Größe x`");
        let told = following.all(&rig).await;
        assert_eq!(told.lines, ["Größe x + 1|ä", "Größe x + 2|b", "Größe x truncated"], "{product:?}");
    }
}

#[tokio::test]
async fn errors_tell_no_statements() {
    for product in products() {
        let rig = Rig::new(product, TABLE).await;
        let mut following = rig.follow(&["t"]).await;
        rig.sql("SET SESSION binlog_format = 'STATEMENT'; INSERT INTO t VALUES (1, 'SECRET', 1)");
        let error = following.failure().await;
        assert_eq!(error.code(), &codes::SCHEMA_CHANGED);
        assert!(!error.to_string().contains("SECRET"), "{error}");
    }
}
