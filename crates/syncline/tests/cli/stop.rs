//! Ctrl-C and what service managers send: a clean end, after which the same command goes on.

use std::time::{Duration, Instant};

use syncline_testkit::process::Running;

use crate::{
    desk::sum,
    ends::{ALL, Ends},
};

const ROWS: u64 = 3_000;
const OPTIONS: &[&str] = &["--stream", "t", "--chunk-rows", "300", "--parallel", "2"];
const SLOWLY: &[&str] = &["--limit-rows", "1500/s"];
/// A run that ends cleanly does so in less.
const END_MAX: Duration = Duration::from_secs(10);

fn source(ends: &Ends) {
    let rows: Vec<String> = (1..=ROWS).map(|id| format!("({id}, 'value {id}')")).collect();
    ends.from.sql(&format!(
        "CREATE TABLE t (id bigint PRIMARY KEY, v text); INSERT INTO t VALUES {}",
        rows.join(",")
    ));
}

#[test]
fn an_interrupted_run_says_how_to_go_on_and_goes_on() {
    for kinds in ALL {
        for stop in [Running::interrupt, Running::terminate] {
            let Some(ends) = Ends::new(kinds) else { return };
            source(&ends);
            let run = ends.copy(&[OPTIONS, SLOWLY].concat()).start();
            ends.desk.wait_for_chunks(&run, 1);
            stop(&run);
            let asked = Instant::now();
            let failed = ends.desk.read(run.wait()).failed(130, "SYN-5007");
            failed.hints("same command");
            assert!(asked.elapsed() < END_MAX, "{}: it took {:?} to end", ends.what, asked.elapsed());
            assert!(!ends.to.has("t"), "{}: nothing is published", ends.what);
            let status = ends.desk.status();
            assert_eq!(status["state"], "unfinished", "{status}");
            let summary = ends.run(OPTIONS).done();
            let (rows, resumed) = (sum(&summary, "rows"), sum(&summary, "rows_resumed"));
            assert!(resumed > 0 && rows + resumed == ROWS, "{}: {summary}", ends.what);
            ends.same("SELECT id, v FROM t ORDER BY id");
        }
    }
}

#[test]
fn an_interrupted_run_tells_people_too() {
    let Some(ends) = Ends::new(("sqlite", "sqlite")) else { return };
    source(&ends);
    let run = ends.desk.syncline(&ends.command("copy", &[OPTIONS, SLOWLY].concat())).start();
    ends.desk.wait_for_chunks(&run, 1);
    run.interrupt();
    let ended = ends.desk.hear(run.wait()).expect_code(130);
    assert!(ended.stderr.contains("SYN-5007") && ended.stderr.contains("same command"), "{ended}");
    assert!(!ended.stderr.contains("panicked"), "{ended}");
}

#[test]
fn a_second_interruption_ends_a_run_at_once() {
    let Some(ends) = Ends::new(("postgres", "postgres")) else { return };
    source(&ends);
    let run = ends.copy(&[OPTIONS, SLOWLY].concat()).start();
    ends.desk.wait_for_chunks(&run, 1);
    run.interrupt();
    run.interrupt();
    let asked = Instant::now();
    let ended = ends.desk.hear(run.wait()).expect_code(130);
    assert!(asked.elapsed() < Duration::from_secs(2), "it took {:?}\n{ended}", asked.elapsed());
    ends.run(OPTIONS).done();
    ends.same("SELECT id, v FROM t ORDER BY id");
}

#[test]
fn plan_and_verify_can_be_interrupted() {
    let Some(ends) = Ends::new(("postgres", "postgres")) else { return };
    let crate::ends::End::Postgres(source_database) = &ends.from else { unreachable!("asked for") };
    source(&ends);
    ends.run(OPTIONS).done();
    let holder = crate::tables::Holder::start(source_database, "LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
    for command in ["verify", "plan", "copy"] {
        let program = ends.desk.syncline(&ends.command(command, OPTIONS)).args(["--output", "json"]);
        let run = holder.holds_up(program);
        run.interrupt();
        let asked = Instant::now();
        let ended = run.wait();
        assert!(asked.elapsed() < END_MAX, "{command}: {:?}", asked.elapsed());
        ends.desk.read(ended).failed(130, "SYN-5007");
    }
}
