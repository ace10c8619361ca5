//! What stands in the way of triggers is said beforehand, and what is said is enough.

use std::sync::Arc;

use syncline_connect::{Log, Read, Severity};
use syncline_testkit::servers::mysql::{self, Product};
use syncline_types::{Code, codes};

use crate::{
    TRIGGERS,
    rig::{self, Rig, products, server, source},
};

/// The codes and texts of what stands in the way.
async fn blockers(log: &dyn Log, reads: &[Arc<Read>]) -> Vec<(&'static Code, String)> {
    let findings = log.inspect(reads).await.expect("it can be looked at");
    let blockers = findings.into_iter().filter(|finding| finding.severity == Severity::Blocker);
    let errors = blockers.map(|finding| finding.error.expect("a blocker has an error"));
    errors.map(|error| (error.code(), error.to_string())).collect()
}

#[tokio::test]
async fn tables_that_cannot_be_followed_are_said_to_be_so() {
    for product in products() {
        let rig = Rig::on(
            mysql::shared(product),
            "CREATE TABLE keyless (a int); CREATE TABLE part (a varchar(50), PRIMARY KEY (a(10)));
             CREATE TABLE t (id int PRIMARY KEY); CREATE VIEW v AS SELECT * FROM t;
             CREATE TABLE my (id int PRIMARY KEY) ENGINE = MyISAM;
             CREATE TABLE p (id int PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 2;
             CREATE TABLE gone (id int PRIMARY KEY, t int, FOREIGN KEY (t) REFERENCES t (id) ON DELETE CASCADE);
             CREATE TABLE lost (id int PRIMARY KEY, t int, FOREIGN KEY (t) REFERENCES t (id) ON UPDATE SET NULL);
             CREATE TABLE held (id int PRIMARY KEY, t int, FOREIGN KEY (t) REFERENCES t (id))",
            TRIGGERS,
        )
        .await;
        for (table, code, words) in [
            ("keyless", &codes::KEY_MISSING, "primary key"),
            ("part", &codes::KEY_MISSING, "primary key"),
            ("v", &codes::UNSUPPORTED, "view"),
            ("my", &codes::UNSUPPORTED, "engine MyISAM"),
            ("p", &codes::UNSUPPORTED, "partitioned"),
            ("gone", &codes::UNSUPPORTED, "CASCADE"),
            ("lost", &codes::UNSUPPORTED, "SET NULL"),
        ] {
            let reads = rig.reads(&[table]).await;
            let found = blockers(rig.log.as_ref(), &reads).await;
            let [(found, text)] = found.as_slice() else { panic!("{table} on {product:?}: {found:?}") };
            assert!(*found == code && text.contains(words), "{table} on {product:?}: {text}");
            assert_eq!(rig.log.keep(&reads, None).await.expect_err(table).code(), code);
        }
        let ours = "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME LIKE '%syncline%'";
        assert_eq!(rig.sql(ours), "0", "what is refused changes nothing");
        let reads = rig.reads(&["t", "held"]).await;
        assert_eq!(blockers(rig.log.as_ref(), &reads).await, []);
    }
}

/// The rows that such a key removes are told by nobody, so it is noticed when it comes.
#[tokio::test]
async fn a_key_that_cascades_and_comes_later_stops_the_reading() {
    for product in products() {
        let sql = "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE child (id int PRIMARY KEY, t int)";
        let rig = Rig::on(mysql::shared(product), sql, TRIGGERS).await;
        let mut following = rig.follow(&["child"]).await;
        rig.sql("ALTER TABLE child ADD FOREIGN KEY (t) REFERENCES t (id) ON DELETE CASCADE");
        let error = following.failure().await;
        assert_eq!(error.code(), &codes::LOG_LOST, "{error}");
        assert!(error.to_string().contains("CASCADE"), "{error}");
    }
}

#[tokio::test]
async fn what_the_plan_asks_for_is_enough() {
    for product in products() {
        let server = server(product, &[]);
        let name = server.create_database();
        let place = match product {
            Product::Mysql => "'limited'@'%' IDENTIFIED BY 'secret'",
            Product::Mariadb => "'limited'@'127.0.0.1' IDENTIFIED BY 'secret'",
        };
        let user = place.split(' ').next().unwrap_or_default();
        server.sql(
            &name,
            &format!(
                "CREATE TABLE t (id int PRIMARY KEY, v int); CREATE USER {place}; CREATE DATABASE own;
                 GRANT SELECT ON {name}.* TO {user}; GRANT SELECT ON own.* TO {user}"
            ),
        );
        let options = format!("{TRIGGERS}, \"user\": \"limited\", \"password\": \"secret\"");
        let mut asked = vec![];
        loop {
            let source =
                source(server.port(), "own", &options, rig::context()).await.expect("it can be read");
            let log = source.log("pipeline").await.expect("it has a log");
            let reads = [rig::read(source.as_ref(), &format!("{name}.t")).await];
            let found = blockers(log.as_ref(), &reads).await;
            let Some((code, text)) = found.first() else { break };
            assert_eq!(*code, &codes::PERMISSION_DENIED, "{text}");
            assert!(log.keep(&reads, None).await.is_err());
            let run = text.split_once("Run: ").map(|(_, run)| run.split(" [").next().unwrap_or_default());
            let run = run.expect("it says what to run").to_owned();
            server.sql(&name, &run);
            assert!(!asked.contains(&run), "{asked:?}");
            asked.push(run);
        }
        assert_eq!(asked.len(), 3, "{asked:?} on {product:?}");
        // Whoever writes has no rights on what is recorded.
        let writer = user.replace("limited", "writer");
        server.sql(&name, &format!("CREATE USER {writer} IDENTIFIED BY 'secret'; GRANT SELECT, INSERT, UPDATE, DELETE ON {name}.* TO {writer}"));
        let source = source(server.port(), "own", &options, rig::context()).await.expect("it can be read");
        let rig = Rig {
            database: server.database(&name),
            log: source.log("pipeline").await.expect("it has a log"),
            source,
        };
        let mut following = rig.follow(&[&format!("{name}.t")]).await;
        rig.sql(&format!(
            "GRANT EXECUTE ON {name}.* TO {writer}; CREATE DEFINER = {writer} PROCEDURE w() SQL SECURITY DEFINER INSERT INTO t VALUES (1, 2);
             CALL w()"
        ));
        assert_eq!(following.all(&rig).await.lines, ["t + 1|2"]);
        drop(following);
        rig.log.release().await.expect("it can be released");
        let left = "SELECT (SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_NAME LIKE '\\_syncline%' AND TABLE_NAME <> '_syncline_identity') + (SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_NAME LIKE '\\_syncline%')";
        assert_eq!(rig.sql(left), "0");
    }
}

#[tokio::test]
async fn a_server_that_is_read_only_a_replica_or_writes_statements_is_refused() {
    for product in products() {
        let server = server(product, &[]);
        let rig = Rig::on(&server, "CREATE TABLE t (id int PRIMARY KEY)", TRIGGERS).await;
        let reads = rig.reads(&["t"]).await;
        for (set, back, words) in [
            ("binlog_format = 'STATEMENT'", "binlog_format = 'ROW'", "by statements"),
            ("read_only = ON", "read_only = OFF", "read-only"),
        ] {
            rig.sql(&format!("SET GLOBAL {set}"));
            let found = blockers(rig.log.as_ref(), &reads).await;
            assert!(found.len() == 1 && found[0].1.contains(words), "{set} on {product:?}: {found:?}");
            rig.sql(&format!("SET GLOBAL {back}"));
        }
        assert_eq!(blockers(rig.log.as_ref(), &reads).await, []);
        rig.sql(match product {
            Product::Mysql => "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1'",
            Product::Mariadb => "CHANGE MASTER TO MASTER_HOST = '127.0.0.1'",
        });
        let found = blockers(rig.log.as_ref(), &reads).await;
        assert!(found.len() == 1 && found[0].1.contains("replica"), "{product:?}: {found:?}");
    }
}

#[tokio::test]
async fn a_url_without_a_database_is_refused() {
    for product in products() {
        let port = mysql::shared(product).port();
        let source = source(port, "", TRIGGERS, rig::context()).await.expect("it can be read");
        let error = source.log("pipeline").await.err().expect("there is no place for tables");
        assert_eq!(error.code(), &codes::DATABASE_MISSING, "{error}");
    }
}
