//! Copying a stream again, or a part of it, of a pipeline that follows.

use std::time::{Duration, Instant};

use syncline_testkit::{faults::Proxy, process::Running, servers::postgres};

use crate::ends::Ends;
use crate::tables::{Pair, nothing_left, same_rows};

const WAIT_MAX: Duration = Duration::from_secs(40);

const TABLES: &str = "CREATE TABLE t (id int PRIMARY KEY, v text);
    INSERT INTO t SELECT g, 'v' || g FROM generate_series(1, 500) g;
    CREATE TABLE other (id int PRIMARY KEY, v text); INSERT INTO other SELECT g, 'x' FROM generate_series(1, 50) g";

/// What somebody has done to the target behind our back.
const DAMAGE: &str = "UPDATE t SET v = 'wrong' WHERE id % 10 = 0; DELETE FROM t WHERE id % 10 = 1;
    INSERT INTO t VALUES (-1, 'extra'); UPDATE other SET v = 'wrong' WHERE id = 1";

fn file(pair: &Pair) -> String {
    file_between(pair, "f.yaml", pair.from.url(), pair.to.url())
}

fn file_between(pair: &Pair, name: &str, from: &str, to: &str) -> String {
    let text = format!(
        "connections:\n  a: {{ url: \"{from}\" }}\n  b: {{ url: \"{to}\" }}\npipelines:\n  f:\n    from: a\n    to: b\n    sync: follow\n"
    );
    pair.desk.file(name, &text)
}

#[test]
fn a_stream_of_a_pipeline_that_is_not_running_is_copied_again() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(TABLES);
    let file = file(&pair);
    pair.desk.run(&["run", &file, "--until-caught-up"]).expect_code(0);
    pair.to.sql(DAMAGE);
    pair.from.sql("UPDATE t SET v = 'moved' WHERE id = 20; UPDATE other SET v = 'moved' WHERE id = 2");
    let ended = pair.desk.run(&["recopy", &file, "f", "t", "--where", "id <= 100"]).expect_code(0);
    assert_eq!(ended.of("recopy")[0]["running"], false, "{}", ended.finished);
    same_rows(
        (&pair.from, "SELECT * FROM t WHERE id <= 100"),
        (&pair.to, "SELECT * FROM t WHERE id BETWEEN 1 AND 100"),
    );
    assert_eq!(pair.to.sql("SELECT v FROM t WHERE id = 110"), "wrong", "only the part was copied");
    assert_eq!(pair.to.sql("SELECT v FROM other WHERE id = 1"), "wrong", "and no other stream");
    let ended = pair.desk.run(&["recopy", &file, "f", "public.t"]).expect_code(0);
    let summary = ended.of("summary");
    assert_eq!(summary[0]["streams"].as_array().map(Vec::len), Some(1), "{}", ended.finished);
    same_rows((&pair.from, "TABLE t"), (&pair.to, "TABLE t"));
    assert_eq!(pair.to.sql("SELECT v FROM other WHERE id <= 2 ORDER BY id"), "wrong\nmoved");
    nothing_left(&pair.to);
}

/// Waits until something is so while a pipeline runs.
fn until(run: &Running, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + WAIT_MAX;
    while !is_so() {
        assert!(run.is_running() && Instant::now() < end, "{}{}", run.stdout(), run.stderr());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The damage goes while rows change at the source, and what comes later is followed; ends the run.
fn is_mended(pair: &Pair, run: Running) {
    until(&run, || {
        pair.from.sql("UPDATE t SET v = v || '.' WHERE id = 7");
        pair.to.sql("SELECT count(*) FROM t WHERE v = 'wrong' OR id = -1") == "0"
    });
    pair.from.sql("INSERT INTO t VALUES (1000, 'last')");
    until(&run, || pair.to.sql("SELECT count(*) FROM t WHERE id = 1000") == "1");
    run.interrupt();
    pair.desk.read(run.wait()).expect_code(0);
    same_rows((&pair.from, "TABLE t"), (&pair.to, "TABLE t"));
}

#[test]
fn a_running_pipeline_copies_a_stream_again_and_goes_on() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(TABLES);
    let file = file(&pair);
    let run = pair.desk.syncline(&["run", &file]).args(["--output", "json"]).start();
    run.wait_for_output(|line| line.contains("\"following\""));
    pair.to.sql(DAMAGE);
    let ended = pair.desk.run(&["recopy", &file, "f", "t"]).expect_code(0);
    assert_eq!(ended.of("recopy")[0]["running"], true, "{}", ended.finished);
    is_mended(&pair, run);
}

/// Getting ready to copy again asks both ends what they are.
#[test]
fn a_line_that_is_cut_while_a_copy_is_prepared_is_waited_for() {
    for at_source in [true, false] {
        let Some(pair) = Pair::new() else { return };
        pair.from.sql(TABLES);
        let port = postgres::shared().port();
        let proxy = Proxy::start(("127.0.0.1", port));
        let through = |url: &str| url.replace(&format!(":{port}/"), &format!(":{}/", proxy.addr().port()));
        let (from, to) = match at_source {
            true => (through(pair.from.url()), pair.to.url().to_owned()),
            false => (pair.from.url().to_owned(), through(pair.to.url())),
        };
        let straight = file(&pair);
        let file = file_between(&pair, "wired.yaml", &from, &to);
        let run = pair.desk.syncline(&["run", &file]).args(["--output", "json"]).start();
        run.wait_for_output(|line| line.contains("\"following\""));
        pair.to.sql(DAMAGE);
        proxy.cut();
        pair.desk.run(&["recopy", &straight, "f", "t"]).expect_code(0);
        // Whoever reads the log tries again as well, twice at most before the wish is seen.
        until(&run, || run.stdout().matches("\"retry\"").count() >= 4);
        proxy.heal();
        is_mended(&pair, run);
    }
}

#[test]
fn what_cannot_be_copied_again_is_said_at_once() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(TABLES);
    let file = file(&pair);
    pair.desk.run(&["run", &file, "--until-caught-up"]).expect_code(0);
    pair.desk.run(&["recopy", &file, "f", "nothing"]).failed(1, "SYN-3001").names(&["nothing", "public.t"]);
    pair.desk
        .run(&["recopy", &file, "f", "t", "--where", "nothing = 1"])
        .failed(2, "SYN-1008")
        .names(&["nothing"]);
    pair.desk.run(&["run", &file, "--until-caught-up"]).expect_code(0);
}

/// The log tells of other rows than those of the part too, with the columns of then, which are in no copy.
#[test]
fn rows_beside_a_part_are_not_lost_where_columns_have_changed() {
    for kinds in [("postgres", "postgres"), ("mariadb", "postgres")] {
        let Some(ends) = Ends::new(kinds) else { continue };
        let rows: Vec<String> = (1..=50).map(|id| format!("({id}, 'v{id}')")).collect();
        ends.from.sql(&format!(
            "CREATE TABLE t (id int PRIMARY KEY, v varchar(40)); INSERT INTO t VALUES {};
             CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (1);",
            rows.join(", ")
        ));
        let file = ends.desk.file(
            "f.yaml",
            &format!(
                "connections:\n  a: {{ url: \"{}\" }}\n  b: {{ url: \"{}\" }}\npipelines:\n  f:\n    from: a\n    to: b\n    \
                 sync: follow\n    schema_changes: apply\n",
                ends.from.url(),
                ends.to.url()
            ),
        );
        let run = || ends.desk.run(&["run", &file, "--until-caught-up"]).expect_code(0);
        run();
        ends.from.sql(
            "UPDATE t SET v = 'beside' WHERE id = 40; INSERT INTO other VALUES (2); DELETE FROM t WHERE id = 41;
             ALTER TABLE t ADD COLUMN x int; UPDATE t SET v = 'later', x = 5 WHERE id = 42; ALTER TABLE t ADD COLUMN y int;
             UPDATE t SET y = 6 WHERE id = 43; INSERT INTO other VALUES (3);",
        );
        ends.desk.run(&["recopy", &file, "f", "t", "--where", "id <= 10"]).expect_code(0);
        run();
        ends.same("SELECT id, v, x, y FROM t ORDER BY id");
        ends.same("SELECT id FROM other ORDER BY id");
        ends.from.sql("UPDATE t SET y = 7 WHERE id < 20; INSERT INTO other VALUES (4);");
        assert!(run().of("schema_changed").is_empty(), "{}", ends.what);
        ends.same("SELECT id, v, x, y FROM t ORDER BY id");
    }
}
