//! How late changes arrive while somebody writes at a pace.

use std::{thread, time::Duration};

use syncline_testkit::process::Program;

use crate::{
    measure::setting,
    servers::{DATABASE, End, Servers},
};

/// What is written between MariaDB servers: a hundred changes and a beat, so many microseconds after the last.
const PACED: &str = "DELIMITER //
    CREATE PROCEDURE write_paced(pause INT, seconds INT)
    BEGIN
      DECLARE due, upto DATETIME(6);
      DECLARE low INT;
      SET due = NOW(6), upto = due + INTERVAL seconds SECOND;
      WHILE due < upto DO
        SET due = due + INTERVAL pause MICROSECOND, low = 1 + RAND() * 18999;
        IF due > SYSDATE(6) THEN DO SLEEP(TIMESTAMPDIFF(MICROSECOND, SYSDATE(6), due) / 1e6); END IF;
        START TRANSACTION;
        UPDATE t SET a = a + 1 WHERE id BETWEEN low AND low + 99;
        INSERT INTO beats (at) VALUES (SYSDATE(6));
        COMMIT;
      END WHILE;
    END //
";

/// Changes in a transaction of the paced writer.
const TOGETHER: u64 = 100;
/// Of it, the beginning is not counted.
const SECONDS: u64 = 20;
const WARM_SECONDS: u64 = 4;

const TABLES: &str = "CREATE TABLE t (id bigint PRIMARY KEY, a int NOT NULL, name text);
    INSERT INTO t SELECT g, g, md5(g::text) FROM generate_series(1, 20000) g;
    CREATE TABLE beats (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v int);";

/// A hundred changes and a beat.
const WRITE: &str = "\\set low random(1, 19000)
BEGIN;
UPDATE t SET a = a + 1 WHERE id BETWEEN :low AND :low + 99;
INSERT INTO beats (v) VALUES (1);
COMMIT;
";

/// The latest beat, and what the time is, over and over.
const WATCH: &str = "SELECT max(id), extract(epoch FROM clock_timestamp()) FROM beats \\watch 0.003\n";

/// A paced writer at so many changes a second, by default a quarter of what is drained.
pub(crate) fn lag(servers: &Servers) {
    let (source, target) = (servers.postgres(End::Logged), servers.postgres(End::Target));
    for server in [source, target] {
        server.psql(DATABASE, "CREATE DATABASE lag");
    }
    source.psql("lag", TABLES);
    let arguments = ["copy", &source.url("lag"), &target.url("lag"), "--sync", "follow", "--name", "lag"];
    let arguments = [&arguments[..], &["--output", "json"]].concat();
    let deadline = Duration::from_secs(SECONDS * 10);
    let following = servers.syncline(&arguments).deadline(deadline).start();
    following.wait_for_output(|line| line.contains("\"following\""));
    for per_second in [1, setting("SYNCLINE_BENCH_LAG_CHANGES", 25_000)] {
        let looks = target.database("lag").start_sql(WATCH);
        let script = servers.folder().join("write.sql");
        std::fs::write(&script, WRITE).expect("the folder can be written");
        let transactions = (per_second / TOGETHER).max(20);
        Program::new(source.program("pgbench"))
            .args([
                "-n",
                "-c",
                "2",
                "-j",
                "1",
                "-R",
                &transactions.to_string(),
                "-T",
                &SECONDS.to_string(),
                "-f",
            ])
            .arg(script)
            .arg(source.url("lag"))
            .deadline(deadline)
            .run()
            .expect_code(0);
        thread::sleep(Duration::from_secs(2));
        let seen = looks.stdout();
        looks.kill9();
        let beats = source.psql(
            "lag",
            "SELECT id, extract(epoch FROM pg_xact_commit_timestamp(xmin)) FROM beats ORDER BY id",
        );
        source.psql("lag", "SELECT 1");
        report("lag", transactions, &pairs(&beats), &pairs(&seen));
        source.psql("lag", "DELETE FROM beats");
        thread::sleep(Duration::from_secs(1));
    }
    following.interrupt();
    let ended = following.wait().expect_code(0);
    println!(
        "| lag | syncline | | | | {:.2} | | {:.0} | |",
        ended.cpu_seconds,
        ended.peak_rss_bytes as f64 / 1e6
    );
    source.psql(
        "lag",
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = 'lag' AND NOT active",
    );
}

/// The same between MariaDB servers.
pub(crate) fn mysql_lag(servers: &Servers) {
    let (source, target) = (servers.mysql(End::Logged), servers.mysql(End::Target));
    for server in [source, target] {
        server.sql("mysql", "CREATE DATABASE lag");
    }
    source.sql(
        "lag",
        "CREATE TABLE t (id bigint PRIMARY KEY, a int NOT NULL, name text);
         INSERT INTO t SELECT seq, seq, MD5(seq) FROM seq_1_to_20000;
         CREATE TABLE beats (id bigint AUTO_INCREMENT PRIMARY KEY, at datetime(6));",
    );
    source.sql("lag", PACED);
    let deadline = Duration::from_secs(SECONDS * 10);
    let arguments = ["copy", &source.url("lag"), &target.url("lag"), "--sync", "follow", "--name", "lag"];
    let following = servers.syncline(&[&arguments[..], &["--output", "json"]].concat());
    let following = following.deadline(deadline).start();
    following.wait_for_output(|line| line.contains("\"following\""));
    let look = "SELECT CONCAT(MAX(id), '|', UNIX_TIMESTAMP(SYSDATE(6))) FROM beats; DO SLEEP(0.003);";
    for per_second in [1, setting("SYNCLINE_BENCH_LAG_CHANGES", 25_000)] {
        let transactions = (per_second / TOGETHER).max(20);
        let looks = target.database("lag").start_sql(&look.repeat(20_000));
        source.sql("lag", &format!("CALL write_paced({}, {SECONDS})", 1_000_000 / transactions));
        thread::sleep(Duration::from_secs(2));
        let seen = looks.stdout();
        drop(looks);
        let beats = source.sql("lag", "SELECT CONCAT(id, '|', UNIX_TIMESTAMP(at)) FROM beats ORDER BY id");
        report("lag, MariaDB", transactions, &pairs(&beats), &pairs(&seen));
        source.sql("lag", "DELETE FROM beats");
        thread::sleep(Duration::from_secs(1));
    }
    following.interrupt();
    let ended = following.wait().expect_code(0);
    println!(
        "| lag, MariaDB | syncline | | | | {:.2} | | {:.0} | |",
        ended.cpu_seconds,
        ended.peak_rss_bytes as f64 / 1e6
    );
}

/// Lines of a number and a time.
fn pairs(text: &str) -> Vec<(u64, f64)> {
    let pair = |line: &str| {
        let (number, time) = line.split_once('|')?;
        Some((number.parse().ok()?, time.parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

fn report(case: &str, transactions: u64, beats: &[(u64, f64)], seen: &[(u64, f64)]) {
    let Some((_, began)) = beats.first() else { panic!("nothing was written") };
    let counted = beats.iter().filter(|(_, at)| *at > began + WARM_SECONDS as f64);
    let mut lags: Vec<f64> = counted
        .map(|(beat, at)| {
            let arrived = seen.iter().find(|(latest, _)| latest >= beat);
            arrived.map_or(f64::INFINITY, |(_, arrived)| arrived - at)
        })
        .collect();
    lags.sort_by(f64::total_cmp);
    let part = |part: f64| lags.get((lags.len() as f64 * part) as usize).copied().unwrap_or(f64::NAN) * 1e3;
    println!(
        "| {case} | {transactions} transactions of {TOGETHER} changes a second: p50 {:.0} ms, p99 {:.0} ms, of {} | | | | | | | |",
        part(0.5),
        part(0.99),
        lags.len()
    );
}
