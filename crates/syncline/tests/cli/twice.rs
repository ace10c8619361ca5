//! Two runs of one pipeline at once: the second is refused, and the first goes on.

use std::time::{Duration, Instant};

use crate::{
    desk::{Desk, sum},
    ends::{ALL, Ends},
};

/// A run of 2,000 rows takes two seconds or so.
const SLOWLY: &[&str] =
    &["--stream", "t", "--chunk-rows", "100", "--parallel", "2", "--limit-rows", "1000/s"];

/// Longer than a lock is waited for, which a process that has just ended may still hold.
const MORE_SLOWLY: &[&str] =
    &["--stream", "t", "--chunk-rows", "100", "--parallel", "2", "--limit-rows", "250/s"];

fn source(ends: &Ends) {
    let rows: Vec<String> = (1..=2_000).map(|id| format!("({id}, 'value {id}')")).collect();
    ends.from.sql(&format!(
        "CREATE TABLE t (id bigint PRIMARY KEY, v text); INSERT INTO t VALUES {}",
        rows.join(",")
    ));
}

#[test]
fn a_second_run_of_a_pipeline_is_refused_and_the_first_goes_on() {
    for kinds in ALL {
        let Some(ends) = Ends::new(kinds) else { return };
        source(&ends);
        let first = ends.copy(SLOWLY).start();
        ends.desk.wait_for_chunks(&first, 1);
        let asked = Instant::now();
        // Not even to begin again, and not for the tables of it that are not copied yet.
        for more in [&[][..], &["--restart"], &["--parallel", "1"]] {
            let options = if more == ["--parallel", "1"] {
                [&SLOWLY[..4], more].concat()
            } else {
                [SLOWLY, more].concat()
            };
            ends.run(&options).failed(1, "SYN-5001").names(&["another process is working on it"]);
        }
        assert!(asked.elapsed() < Duration::from_secs(5), "{}: it is refused at once", ends.what);
        assert!(first.is_running(), "{}: the first is disturbed\n{}", ends.what, first.stdout());
        let summary = ends.desk.read(first.wait()).done();
        assert_eq!((sum(&summary, "rows"), sum(&summary, "rows_resumed")), (2_000, 0), "{}", ends.what);
        ends.same("SELECT id, v FROM t ORDER BY id");
    }
}

#[test]
fn a_second_run_with_another_state_is_refused_by_the_target() {
    for kinds in ALL {
        let Some(ends) = Ends::new(kinds) else { return };
        source(&ends);
        let first = ends.copy(MORE_SLOWLY).start();
        ends.desk.wait_for_chunks(&first, 1);
        let elsewhere = Desk::new();
        let failed = elsewhere.run(&ends.command("copy", MORE_SLOWLY)).expect_code(1);
        let code = failed.last()["code"].as_str().unwrap_or_default();
        assert!(["SYN-5001", "SYN-5002"].contains(&code), "{}: {}", ends.what, failed.finished);
        assert!(first.is_running(), "{}: the first is disturbed\n{}", ends.what, first.stdout());
        ends.desk.read(first.wait()).done();
        ends.same("SELECT id, v FROM t ORDER BY id");
    }
}

#[test]
fn two_pipelines_into_one_database_do_not_disturb_each_other() {
    for kinds in ALL {
        let Some(ends) = Ends::new(kinds) else { return };
        source(&ends);
        ends.from.sql("CREATE TABLE u AS SELECT id, v FROM t");
        let first = ends.copy(SLOWLY).start();
        ends.desk.wait_for_chunks(&first, 1);
        let second = ends.run(&["--stream", "u", "--chunk-rows", "300"]).done();
        assert_eq!(sum(&second, "rows"), 2_000, "{}", ends.what);
        ends.desk.read(first.wait()).done();
        ends.same("SELECT id, v FROM t ORDER BY id");
        ends.same("SELECT id, v FROM u ORDER BY id");
    }
}
