//! From every position the rest is told, once; and what is gone is said to be gone.

use syncline_testkit::servers::mysql::Product;
use syncline_types::{Position, Retry, codes};

use crate::rig::{Rig, Told, products, server};

const TABLES: &str =
    "CREATE TABLE t (id int PRIMARY KEY, v varchar(20)); CREATE TABLE other (id int PRIMARY KEY)";

/// Servers that tell places in each way.
fn ways(product: Product) -> Vec<Vec<(&'static str, &'static str)>> {
    match product {
        Product::Mysql => vec![
            vec![],
            vec![("gtid-mode", "OFF"), ("enforce-gtid-consistency", "OFF")],
            vec![("binlog-transaction-compression", "ON")],
        ],
        Product::Mariadb => vec![vec![], vec![("log-bin-compress", "ON"), ("gtid-strict-mode", "OFF")]],
    }
}

#[tokio::test]
async fn from_every_position_the_rest_is_told_once() {
    for product in products() {
        for way in ways(product) {
            let server = server(product, &way);
            let rig = Rig::on(&server, TABLES, "").await;
            let mut following = rig.follow(&["t"]).await;
            let (reads, began) = (following.reads.clone(), following.at.clone());
            let mut all = Told::default();
            for id in 0..8 {
                rig.sql(&format!(
                    "BEGIN; INSERT INTO t VALUES ({id}, 'x'); INSERT INTO other VALUES ({id}); UPDATE t SET v = 'y' WHERE id = {id}; COMMIT;
                     INSERT INTO other VALUES (100 + {id})"
                ));
                if id % 3 == 0 {
                    rig.sql("FLUSH BINARY LOGS");
                }
                all.append(following.all(&rig).await);
            }
            drop(following);
            assert_eq!((all.lines.len(), all.positions.len()), (16, 8), "{product:?} {way:?}");
            let again = rig.open(reads.clone(), began).await.all(&rig).await;
            assert_eq!(again.lines, all.lines, "{product:?} {way:?}");
            for (place, lines) in all.positions.iter().rev() {
                let told = rig.open(reads.clone(), place.clone()).await.all(&rig).await;
                assert_eq!(told.lines, all.lines[*lines..], "{product:?} {way:?} from {place:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_quiet_table_does_not_hold_the_place() {
    for product in products() {
        let server = server(product, &[]);
        let rig = Rig::on(&server, TABLES, "").await;
        let mut following = rig.follow(&["t"]).await;
        let began = following.at.clone();
        rig.sql("INSERT INTO other VALUES (1); INSERT INTO other VALUES (2)");
        let told = following.all(&rig).await;
        assert!(told.lines.is_empty(), "{:?}", told.lines);
        assert!(rig.log.compare(&following.at, &began).expect("they are of this log").is_gt());
        let head = rig.head().await;
        assert_eq!(rig.log.distance(&following.at, &head), Some(0));
        assert!(rig.log.distance(&began, &head).expect("the file is there") > 0);
    }
}

#[tokio::test]
async fn a_log_that_was_deleted_is_a_loud_stop() {
    for product in products() {
        for way in ways(product) {
            let server = server(product, &way);
            let rig = Rig::on(&server, TABLES, "").await;
            let mut following = rig.follow(&["t"]).await;
            rig.sql("INSERT INTO t VALUES (1, 'x')");
            following.all(&rig).await;
            let (reads, at) = (following.reads.clone(), following.at.clone());
            drop(following);
            rig.sql("INSERT INTO t VALUES (2, 'lost'); FLUSH BINARY LOGS; INSERT INTO t VALUES (3, 'x'); FLUSH BINARY LOGS");
            let logs = rig.sql("SHOW BINARY LOGS");
            let last = logs.lines().last().and_then(|line| line.split('\t').next()).expect("there is a log");
            // MariaDB keeps what a replica may read that has just gone.
            let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
            while rig.sql("SHOW BINARY LOGS").lines().count() > 1 {
                assert!(std::time::Instant::now() < until, "the log is not deleted");
                rig.sql(&format!("PURGE BINARY LOGS TO '{last}'"));
            }
            for error in [
                rig.log.keep(&reads, Some(&at)).await.expect_err("it is gone"),
                rig.log.open(&reads, &at, &[]).await.err().expect("it is gone"),
            ] {
                assert_eq!(error.code(), &codes::LOG_LOST, "{product:?} {way:?}: {error}");
                assert!(error.to_string().contains("--restart"), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn a_log_that_was_begun_anew_is_a_loud_stop() {
    for product in products() {
        for way in ways(product) {
            let server = server(product, &way);
            let rig = Rig::on(&server, TABLES, "").await;
            let mut following = rig.follow(&["t"]).await;
            rig.sql("INSERT INTO t VALUES (1, 'x'); FLUSH BINARY LOGS; INSERT INTO t VALUES (2, 'x')");
            following.all(&rig).await;
            let (reads, at) = (following.reads.clone(), following.at.clone());
            drop(following);
            // Files are told apart by the second in which they were begun.
            std::thread::sleep(std::time::Duration::from_millis(1_100));
            rig.sql(match product {
                Product::Mysql => "RESET BINARY LOGS AND GTIDS",
                Product::Mariadb => "RESET MASTER",
            });
            rig.sql("INSERT INTO t VALUES (3, 'lost')");
            let error = rig.log.open(&reads, &at, &[]).await.err().expect("it is gone");
            assert_eq!(error.code(), &codes::LOG_LOST, "{product:?} {way:?}: {error}");
            // The new log comes to have what the old one had, and more.
            for id in 4..20 {
                rig.sql(&format!("INSERT INTO t VALUES ({id}, 'lost'); FLUSH BINARY LOGS"));
            }
            let error = rig.log.keep(&reads, Some(&at)).await.expect_err("it is gone");
            assert_eq!(error.code(), &codes::LOG_LOST, "{product:?} {way:?}: {error}");
        }
    }
}

#[tokio::test]
async fn a_server_that_starts_again_is_gone_on_with() {
    for product in products() {
        let mut server = server(product, &[]);
        let rig = Rig::on(&server, TABLES, "").await;
        let mut following = rig.follow(&["t"]).await;
        rig.sql("INSERT INTO t VALUES (1, 'before')");
        let told = following.all(&rig).await;
        assert_eq!(told.lines, ["t + 1|before"]);
        for kill in [false, true] {
            if kill {
                server.kill9()
            } else {
                server.stop()
            }
            let error = following.failure().await;
            assert_eq!(error.retry(), Retry::Backoff, "{product:?}: {error}");
            server.start_again();
            rig.sql(&format!("UPDATE t SET v = 'after {kill}'"));
            following = rig.open(following.reads, following.at).await;
            let told = following.all(&rig).await;
            assert_eq!(told.lines, [format!("t ~ 1|after {kill}")], "{product:?}");
        }
    }
}

/// Makes a server follow another one, with all that it has.
fn replicate(
    product: Product,
    from: &syncline_testkit::servers::mysql::Mysql,
    to: &syncline_testkit::servers::mysql::Mysql,
) {
    from.sql(
        "mysql",
        "CREATE USER r@'127.0.0.1' IDENTIFIED BY 'r'; GRANT REPLICATION SLAVE ON *.* TO r@'127.0.0.1'",
    );
    let port = from.port();
    to.sql(
        "mysql",
        &match product {
            Product::Mysql => format!(
                "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {port}, SOURCE_USER = 'r', SOURCE_PASSWORD = 'r',
                   SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1; START REPLICA"
            ),
            Product::Mariadb => format!(
                "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {port}, MASTER_USER = 'r', MASTER_PASSWORD = 'r',
                   MASTER_USE_GTID = slave_pos; START SLAVE"
            ),
        },
    );
}

#[tokio::test]
async fn another_server_with_the_same_transactions_is_gone_on_with() {
    for product in products() {
        let first = server(product, &[]);
        let second = server(
            product,
            &[("server-id", "2"), ("log-replica-updates", "ON")].map(|(name, value)| match (product, name) {
                (Product::Mariadb, "log-replica-updates") => ("log-slave-updates", value),
                _ => (name, value),
            }),
        );
        replicate(product, &first, &second);
        let rig = Rig::on(&first, TABLES, "").await;
        let mut following = rig.follow(&["t"]).await;
        rig.sql("INSERT INTO t VALUES (1, 'x')");
        let told = following.all(&rig).await;
        assert_eq!(told.lines, ["t + 1|x"]);
        rig.sql("INSERT INTO t VALUES (2, 'x'); FLUSH BINARY LOGS; INSERT INTO t VALUES (3, 'x')");
        let there = second.database(rig.database.name());
        let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while there.try_sql("SELECT COUNT(*) FROM t").as_deref() != Ok("3") {
            assert!(
                std::time::Instant::now() < until,
                "the replica does not get there: {:?}",
                there.try_sql("SELECT COUNT(*) FROM t")
            );
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let other = Rig::over(second.port(), there, "").await;
        other.sql("INSERT INTO t VALUES (4, 'x')");
        let mut following = other.open(following.reads, following.at).await;
        let told = following.all(&other).await;
        assert_eq!(told.lines, ["t + 2|x", "t + 3|x", "t + 4|x"], "{product:?}");
        // And from a place of the new one.
        other.sql("DELETE FROM t WHERE id = 1");
        let told = other.open(following.reads.clone(), following.at.clone()).await.all(&other).await;
        assert_eq!(told.lines, ["t - 1"], "{product:?}");
        // The old one lacks what the new one has done.
        let error = rig.log.open(&following.reads, &following.at, &[]).await.err();
        let error = match error {
            Some(error) => error,
            None => {
                let mut back = rig.open(following.reads.clone(), following.at.clone()).await;
                back.failure().await
            }
        };
        assert_eq!(error.code(), &codes::LOG_LOST, "{product:?}: {error}");
    }
}

#[tokio::test]
async fn a_place_is_refused_that_is_none() {
    for product in products() {
        let rig = Rig::new(product, TABLES).await;
        let head = rig.head().await;
        let error =
            rig.log.compare(&head, &Position("0/16B3748".into())).expect_err("it is none of this log");
        assert_eq!(error.code(), &codes::BAD_BYTES);
    }
}

/// Ids with tags are of a form that is not known: places go by file and position from then on.
#[tokio::test]
async fn transactions_with_tagged_ids() {
    for product in products().filter(|product| *product == Product::Mysql) {
        let server = server(product, &[]);
        let rig = Rig::on(&server, TABLES, "").await;
        let mut following = rig.follow(&["t"]).await;
        rig.sql("INSERT INTO t VALUES (1, 'plain'); SET gtid_next = 'AUTOMATIC:tag'; INSERT INTO t VALUES (2, 'tagged'); DELETE FROM t WHERE id = 1");
        let told = following.all(&rig).await;
        assert_eq!(told.lines, ["t + 1|plain", "t + 2|tagged", "t - 1"]);
        let (place, lines) = told.positions.last().cloned().expect("there is a position");
        assert!(lines == 3 && !place.0.contains("gtids"), "{place:?}");
        rig.sql("INSERT INTO t VALUES (3, 'plain')");
        let again = rig.open(following.reads.clone(), place).await.all(&rig).await;
        assert_eq!(again.lines, ["t + 3|plain"]);
        // And where it is so from the beginning.
        let mut following = rig.follow(&["t"]).await;
        rig.sql("INSERT INTO t VALUES (4, 'plain')");
        assert_eq!(following.all(&rig).await.lines, ["t + 4|plain"]);
    }
}
