//! What goes wrong while reading is told as what it is.

use std::time::Duration;

use syncline_connect::{Connector, Next, Reader};
use syncline_mysql::Mysql;
use syncline_testkit::{faults::Proxy, servers::mysql::shared};
use syncline_types::{Error, Result, Retry, codes};

use crate::table::{config, context, discover, odd_server, open, products, read, rows_of, splits};

/// Some 40 MB, more than fits into any buffer on the way.
const FILL: &str = "CREATE TABLE big (id int primary key, v varchar(4000));
    INSERT INTO big WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 900)
    SELECT n, repeat('x', 4000) FROM s;
    INSERT INTO big SELECT id + 1000 * k, v FROM big, (SELECT 1 k UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5
      UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9 UNION SELECT 10 UNION SELECT 11) m;";

async fn to_the_end(reader: &mut dyn Reader) -> Result<usize> {
    let mut rows = 0;
    while let Next::Batch(batch) = reader.next().await? {
        rows += batch.rows.num_rows();
    }
    Ok(rows)
}

fn may_be_tried_again(error: &Error) -> bool {
    error.retry() == Retry::Backoff
}

#[tokio::test]
async fn a_broken_connection_may_be_tried_again() {
    for product in products() {
        let mut server = odd_server(product);
        let database = server.create_database();
        server.sql(&database, FILL);
        let proxy = Proxy::start(("127.0.0.1", server.port()));
        let cx = context(64 << 20, Duration::from_secs(2));
        let source = Mysql::source(config(proxy.addr().port(), &database, r#", "connect_timeout": 3"#), cx)
            .await
            .expect("it opens");
        let read = read(discover(source.as_ref(), "big").await, 1_000_000);
        for fault in ["cut", "stall", "kill connection", "kill query", "kill server"] {
            let session = source.begin(std::slice::from_ref(&read), 1).await.expect("a session begins");
            let split = splits(session.as_ref(), &read).await.expect("it is cut").remove(0);
            let mut reader = session.open(&read, &split, None).await.expect("it opens");
            assert!(matches!(reader.next().await.expect("there are rows"), Next::Batch(_)));
            let victim = "SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT `id`, `v`%' AND command = 'Execute'";
            match fault {
                "cut" => proxy.cut(),
                "stall" => proxy.stall(),
                "kill server" => server.kill9(),
                kill => {
                    let id = server.sql("mysql", victim);
                    server.sql("mysql", &format!("{kill} {id}"));
                }
            }
            let error = to_the_end(reader.as_mut()).await.expect_err("the rest does not come");
            assert!(may_be_tried_again(&error), "{fault} on {product:?}: {error}");
            drop(reader);
            proxy.heal();
            if ["kill query", "stall"].contains(&fault) {
                // The session is still there, and with it the snapshot.
                let mut reader = session.open(&read, &split, None).await.expect("it opens");
                assert_eq!(to_the_end(reader.as_mut()).await.expect("it is read"), 10_800);
                continue;
            }
            if fault == "kill server" {
                server.start_again();
            }
            let error = session.open(&read, &split, None).await.err().expect("the snapshot is gone");
            assert_eq!(error.code(), &codes::SNAPSHOT_LOST, "{fault} on {product:?}: {error}");
        }
    }
}

#[tokio::test]
async fn a_reading_that_is_left_leaves_the_snapshot() {
    for product in products() {
        let server = shared(product);
        let database = server.create_database();
        server.sql(&database, FILL);
        let source = open(config(server.port(), &database, "")).await;
        let read = read(discover(source.as_ref(), "big").await, 1_000_000);
        let session = source.begin(std::slice::from_ref(&read), 1).await.expect("a session begins");
        let split = splits(session.as_ref(), &read).await.expect("it is cut").remove(0);
        server.sql(&database, "DELETE FROM big WHERE id > 100");
        for _ in 0..3 {
            let mut reader = session.open(&read, &split, None).await.expect("it opens");
            assert!(matches!(reader.next().await.expect("there are rows"), Next::Batch(_)));
        }
        let mut reader = session.open(&read, &split, None).await.expect("it opens");
        assert_eq!(to_the_end(reader.as_mut()).await.expect("it is read"), 10_800, "{product:?}");
    }
}

#[tokio::test]
async fn a_table_that_was_altered_is_an_error() {
    for product in products() {
        let server = shared(product);
        let database = server.create_database();
        let source = open(config(server.port(), &database, "")).await;
        for (at, (alter, before)) in [
            ("MODIFY v bigint", true),
            ("MODIFY v int unsigned", true),
            ("DROP COLUMN v", true),
            ("RENAME COLUMN v TO w", true),
            ("DROP PRIMARY KEY", true),
            ("MODIFY v bigint", false),
            ("DROP COLUMN v", false),
            ("MODIFY v varchar(20)", false),
        ]
        .iter()
        .enumerate()
        {
            let table = format!("a{at}");
            server.sql(
                &database,
                &format!(
                    "CREATE TABLE {table} (id int primary key, v int); INSERT INTO {table} VALUES (1, 2)"
                ),
            );
            let read = read(discover(source.as_ref(), &table).await, 10);
            let alter = format!("ALTER TABLE {table} {alter}");
            if *before {
                server.sql(&database, &alter);
                let error = source.begin(std::slice::from_ref(&read), 1).await.err().expect("it is noticed");
                assert_eq!(error.code(), &codes::SCHEMA_CHANGED, "{alter} on {product:?}: {error}");
                continue;
            }
            let session = source.begin(std::slice::from_ref(&read), 1).await.expect("a session begins");
            let split = splits(session.as_ref(), &read).await.expect("it is cut").remove(0);
            server.sql(&database, &alter);
            let error = rows_of(session.as_ref(), &read, &split).await.expect_err("it is noticed");
            let known = [&codes::SCHEMA_CHANGED, &codes::SNAPSHOT_LOST].contains(&error.code());
            assert!(known, "{alter} on {product:?}: {error}");
        }
    }
}

#[tokio::test]
async fn a_slow_target_does_not_cost_the_connection() {
    for product in products() {
        // Such a server ends a connection to which it cannot write for two seconds.
        let server = odd_server(product);
        let database = server.create_database();
        server.sql(&database, FILL);
        let source = open(config(server.port(), &database, "")).await;
        let read = read(discover(source.as_ref(), "big").await, 1_000_000);
        let session = source.begin(std::slice::from_ref(&read), 1).await.expect("a session begins");
        let split = splits(session.as_ref(), &read).await.expect("it is cut").remove(0);
        let mut reader = session.open(&read, &split, None).await.expect("it opens");
        assert!(matches!(reader.next().await.expect("there are rows"), Next::Batch(_)));
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(to_the_end(reader.as_mut()).await.expect("the rest comes") > 10_000, "{product:?}");
    }
}

#[tokio::test]
async fn rows_that_are_long_in_coming_are_waited_for() {
    for product in products() {
        let server = shared(product);
        let database = server.create_database();
        // What is before the pause is more than the server gathers before it sends.
        server.sql(
            &database,
            "CREATE TABLE s (id int primary key, v varchar(9000));
             INSERT INTO s VALUES (1, repeat('a', 9000)), (2, repeat('b', 9000)), (3, repeat('c', 9000)), (4, 'd');
             CREATE VIEW slow AS SELECT id, v, if(id = 4, sleep(3.5), 0) AS pause FROM s",
        );
        let cx = context(32 << 20, Duration::from_secs(1));
        let source = Mysql::source(config(server.port(), &database, ""), cx).await.expect("it opens");
        let read = read(discover(source.as_ref(), "slow").await, 10);
        let session = source.begin(std::slice::from_ref(&read), 1).await.expect("a session begins");
        let split = splits(session.as_ref(), &read).await.expect("it is one").remove(0);
        let rows = rows_of(session.as_ref(), &read, &split).await.expect("the server works on it").rows;
        assert_eq!(rows.len(), 4, "{product:?}");
    }
}
