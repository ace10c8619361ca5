//! What is looked after while it runs: lag, stalls, and how much of its log the source keeps.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{
    desk::number,
    tables::{Pair, same_rows},
};

const WAIT_MAX: Duration = Duration::from_secs(60);

#[test]
fn a_stall_is_told_with_its_cause_and_lag_is_shown() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); CREATE TABLE quiet (id int PRIMARY KEY)");
    let command = pair.copy(&["--sync", "follow", "--name", "f", "--stall-after", "2s"]);
    let run = pair.desk.syncline(&command).args(["--output", "json"]).start();
    run.wait_for_output(|line| line.contains("\"following\""));
    let held = std::thread::scope(|scope| {
        let holds = scope.spawn(|| pair.to.sql("BEGIN; LOCK TABLE t; SELECT pg_sleep(20); COMMIT"));
        std::thread::sleep(Duration::from_millis(500));
        pair.from.sql("INSERT INTO t SELECT generate_series(2, 1000)");
        run.wait_for_output(|line| line.contains("\"warning\"") && line.contains("the target has not taken"));
        let status = pair.desk.status();
        assert!(number(&status["lag"]["bytes"]) > 1_000, "{status}");
        assert!(status["lag"]["stalled"].is_string(), "{status}");
        holds.join()
    });
    held.expect("the lock was held");
    let until = Instant::now() + WAIT_MAX;
    while pair.to.sql("SELECT count(*) FROM t") != "1000" || !pair.desk.status()["lag"]["stalled"].is_null() {
        assert!(run.is_running() && Instant::now() < until, "{}{}", run.stdout(), run.stderr());
        std::thread::sleep(Duration::from_millis(200));
    }
    let until = Instant::now() + WAIT_MAX;
    while number(&pair.desk.status()["lag"]["streams"]["public.t"]["changes"]) != 999 {
        assert!(run.is_running() && Instant::now() < until, "{}", pair.desk.status());
        std::thread::sleep(Duration::from_millis(200));
    }
    let streams = &pair.desk.status()["lag"]["streams"];
    assert!(streams["public.t"]["seconds"].as_f64().is_some_and(|seconds| seconds > 2.0), "{streams}");
    let quiet = &streams["public.quiet"];
    assert_eq!((number(&quiet["changes"]), &quiet["at"]), (0, &Value::Null), "{streams}");
    assert!(quiet["bytes"].is_u64() && streams["public.t"]["bytes"].is_u64(), "{streams}");
    run.interrupt();
    pair.desk.read(run.wait()).expect_code(0);
    same_rows((&pair.from, "TABLE t"), (&pair.to, "TABLE t"));
}

#[test]
fn a_place_that_holds_too_much_of_the_log_is_given_up() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql("CREATE TABLE t (id int PRIMARY KEY, v text)");
    let options = ["--sync", "follow", "--name", "f", "--log-budget", "1MB", "--over-budget", "release"];
    let command = pair.copy(&options);
    let run = pair.desk.syncline(&command).args(["--output", "json"]).start();
    run.wait_for_output(|line| line.contains("\"following\""));
    std::thread::scope(|scope| {
        scope.spawn(|| pair.to.sql("BEGIN; LOCK TABLE t; SELECT pg_sleep(15); COMMIT"));
        std::thread::sleep(Duration::from_millis(500));
        pair.from.sql("INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(1, 5000) g");
        let ended = run.wait();
        pair.desk.read(ended).failed(1, "SYN-5012").names(&["--log-budget", "--restart"]);
    });
    let slots = "SELECT count(*) FROM pg_replication_slots WHERE database = current_database()";
    assert_eq!(pair.from.sql(slots), "0");
    pair.desk.run(&command).failed(1, "SYN-5012").names(&["--restart"]);
    pair.desk.run(&[&command[..], &["--restart".into(), "--until-caught-up".into()]].concat()).expect_code(0);
    same_rows((&pair.from, "TABLE t"), (&pair.to, "TABLE t"));
}
