//! Several connections see one state while others write, whichever way it is taken.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use syncline_connect::{Severity, Source};
use syncline_testkit::servers::mysql::{self, Product};

use crate::table::{config, discover, odd_server, open, products, read, rows_of, splits};

const ACCOUNTS: i64 = 400;

/// A user, its grants, and how its snapshots come about.
fn ways(product: Product) -> Vec<(&'static str, &'static str, &'static str)> {
    match product {
        Product::Mysql => vec![
            ("flusher", "RELOAD, SELECT ON *.*", "FLUSH TABLES WITH READ LOCK"),
            ("locker", "SELECT, LOCK TABLES ON bank.*", "LOCK TABLES"),
            ("watcher", "SELECT, REPLICATION CLIENT ON *.*", "binary log stood still"),
            ("reader", "SELECT ON bank.*", "not one snapshot"),
        ],
        Product::Mariadb => vec![
            ("flusher", "RELOAD, SELECT ON *.*", "BACKUP STAGE"),
            ("locker", "SELECT, LOCK TABLES ON bank.*", "LOCK TABLES"),
            ("watcher", "SELECT ON bank.*", "binary log stood still"),
        ],
    }
}

/// A bank in which money moves from account to account and none is made, until told to stop.
fn bank(server: &mysql::Mysql) {
    server.sql(
        "mysql",
        &format!(
            "CREATE DATABASE bank; USE bank;
             CREATE TABLE accounts (id int primary key, amount int NOT NULL);
             INSERT INTO accounts WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {ACCOUNTS})
             SELECT n, 1000 FROM s;"
        ),
    );
    for (user, grants, _) in ways(server.product()) {
        server.sql(
            "mysql",
            &format!("CREATE USER {user}@'%' IDENTIFIED BY 'pw'; GRANT {grants} TO {user}@'%';"),
        );
    }
}

/// Moves money, `pause` seconds after each transfer.
async fn transfer(database: mysql::Database, stop: Arc<AtomicBool>, pause: f32) {
    tokio::task::spawn_blocking(move || {
        let mut round = 0_i64;
        while !stop.load(Ordering::Relaxed) {
            let transfers: Vec<String> = (0..20)
                .map(|_| {
                    round += 1;
                    let (from, to) = (round * 7 % ACCOUNTS + 1, round * 13 % ACCOUNTS + 1);
                    format!(
                        "BEGIN; UPDATE accounts SET amount = amount - 1 WHERE id = {from};
                         UPDATE accounts SET amount = amount + 1 WHERE id = {to}; COMMIT; DO SLEEP({pause});"
                    )
                })
                .collect();
            database.sql(&transfers.concat());
        }
    })
    .await
    .expect("the bank works");
}

/// How the snapshot came about, and all the money in it, read over four connections.
async fn money(source: &dyn Source) -> (String, i64) {
    let read = read(discover(source, "accounts").await, 100);
    let session = source.begin(std::slice::from_ref(&read), 4).await.expect("a session begins");
    let splits = splits(session.as_ref(), &read).await.expect("it is cut");
    assert!(splits.len() >= 4, "there are as many chunks as connections");
    let readers = splits.iter().map(|split| rows_of(session.as_ref(), &read, split));
    let mut sum = 0;
    // All at once, so that each has a connection of its own.
    for rows in futures_util::future::join_all(readers).await {
        let rows = rows.expect("it is read").rows;
        sum += rows
            .iter()
            .map(|row| row[1].as_deref().expect("never NULL").parse::<i64>().expect("a number"))
            .sum::<i64>();
    }
    (session.describe(), sum)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_sees_one_state_while_money_moves() {
    for product in products() {
        let server = odd_server(product);
        bank(&server);
        for (user, _, way) in ways(product) {
            let more = format!(r#", "user": "{user}", "password": "pw""#);
            let source = open(config(server.port(), "bank", &more)).await;
            let stop = Arc::new(AtomicBool::new(false));
            // The log stands still only where nobody writes all the time.
            let pause = if user == "watcher" { 0.5 } else { 0.001 };
            let writer = tokio::spawn(transfer(server.database("bank"), Arc::clone(&stop), pause));
            tokio::time::sleep(Duration::from_millis(200)).await;
            for _ in 0..if user == "watcher" { 3 } else { 15 } {
                let (description, sum) = money(source.as_ref()).await;
                assert!(description.contains(way), "{user} on {product:?}: {description}");
                if way != "not one snapshot" {
                    assert_eq!(sum, 1000 * ACCOUNTS, "{user} on {product:?}: {description}");
                }
            }
            stop.store(true, Ordering::Relaxed);
            writer.await.expect("the bank closes");
        }
    }
}

#[tokio::test]
async fn what_would_not_be_exact_is_told_before() {
    for product in products() {
        let server = odd_server(product);
        bank(&server);
        server.sql(
            "bank",
            "CREATE TABLE old (id int primary key) ENGINE=MyISAM; CREATE TABLE secret (id int primary key)",
        );
        server.sql("bank", "CREATE USER poor@'%' IDENTIFIED BY 'pw'; GRANT SELECT ON bank.accounts TO poor@'%'; GRANT SELECT ON bank.old TO poor@'%'; GRANT INSERT ON bank.secret TO poor@'%'");
        let poor = open(config(server.port(), "bank", r#", "user": "poor", "password": "pw""#)).await;
        let reads = [
            read(discover(poor.as_ref(), "accounts").await, 10),
            read(discover(poor.as_ref(), "old").await, 10),
            read(discover(poor.as_ref(), "secret").await, 10),
        ];
        let findings = poor.inspect(&reads).await.expect("it can be asked");
        let told = |severity: Severity, text: &str| {
            findings.iter().any(|finding| finding.severity == severity && finding.message.contains(text))
        };
        assert!(told(Severity::Warning, "GRANT LOCK TABLES ON `bank`.* TO 'poor'@'%'"), "{findings:?}");
        assert!(told(Severity::Warning, "engine MyISAM has no snapshots"), "{findings:?}");
        assert!(told(Severity::Blocker, "GRANT SELECT ON `bank`.`secret` TO 'poor'@'%'"), "{findings:?}");
        let rich = open(config(server.port(), "bank", "")).await;
        let findings = rich.inspect(&reads[..1]).await.expect("it can be asked");
        assert!(findings.is_empty(), "{findings:?}");
    }
}
