//! What PostgreSQL tells, in every kind of target.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use syncline_testkit::seed::Seed;

use super::{
    kill::{ACCOUNTS, MOVE, Over, over_and_over},
    mysql_source::is_whole,
};
use crate::{desk::number, ends::Ends};

/// Those that keep their mark in the transaction of the rows.
const TRANSACTIONAL: [&str; 3] = ["sqlite", "mysql", "mariadb"];

/// Those, and files, in which every stream is published for itself.
const ALL: [&str; 5] = ["sqlite", "mysql", "mariadb", "csv", "parquet"];

const WAIT_MAX: Duration = Duration::from_secs(40);
const KILLS: u32 = 6;

const TABLES: &str = "CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL, note text);
    CREATE TABLE items (a int, b varchar(20), v text, PRIMARY KEY (a, b));
    INSERT INTO accounts SELECT g, 100, repeat(md5(g::text), 200) FROM generate_series(1, 500) g;
    ALTER TABLE accounts ALTER COLUMN note SET STORAGE EXTERNAL;
    INSERT INTO items SELECT g, 'x' || g, 'v' FROM generate_series(1, 300) g;";

/// Everything a log can tell of two tables.
const CHANGES: &str = "
    UPDATE accounts SET balance = balance + id;
    INSERT INTO accounts SELECT g, 0, NULL FROM generate_series(501, 700) g;
    DELETE FROM accounts WHERE id % 7 = 0;
    UPDATE accounts SET id = id + 10000, note = 'moved' WHERE id % 5 = 0;
    UPDATE accounts SET note = NULL WHERE id % 11 = 0;
    UPDATE accounts SET balance = -1 WHERE id = 1;
    UPDATE items SET v = 'it''s \\ \"quoted\" ' || a WHERE a < 50;
    BEGIN; INSERT INTO items VALUES (-1, 'no', NULL); ROLLBACK;
    BEGIN; INSERT INTO items VALUES (-2, 'yes', NULL); SAVEPOINT s; INSERT INTO items VALUES (-3, 'no', NULL);
    ROLLBACK TO s; UPDATE items SET b = 'moved' WHERE a = 7; COMMIT;
    DELETE FROM items WHERE a = 9; INSERT INTO items VALUES (9, 'x9', 'again');";

fn from_postgres(kinds: &[&'static str]) -> impl Iterator<Item = Ends> {
    kinds.iter().filter_map(|kind| Ends::new(("postgres", kind)))
}

fn same(ends: &Ends) {
    ends.same("SELECT id, balance, note FROM accounts ORDER BY id");
    ends.same("SELECT a, b, v FROM items ORDER BY a, b");
}

fn command(ends: &Ends, options: &[&str]) -> Vec<String> {
    ends.command("copy", &[&["--sync", "follow", "--name", "f"], options].concat())
}

#[test]
fn changes_arrive_in_runs_that_end() {
    for ends in from_postgres(&ALL) {
        ends.from.sql(TABLES);
        let run = || ends.desk.run(&command(&ends, &["--until-caught-up"])).expect_code(0);
        assert_eq!(number(&run().of("stopped")[0]["changes"]), 0, "{}", ends.what);
        same(&ends);
        ends.from.sql(CHANGES);
        let second = run();
        assert!(number(&second.of("stopped")[0]["changes"]) > 1_000, "{}: {}", ends.what, second.finished);
        assert!(second.of("summary").is_empty(), "{}: copied again: {}", ends.what, second.finished);
        same(&ends);
        assert_eq!(number(&run().of("stopped")[0]["changes"]), 0, "{}", ends.what);
        ends.from.sql("TRUNCATE items; INSERT INTO items VALUES (1, 'after', NULL)");
        run();
        same(&ends);
        run_after_restart(&ends);
    }
}

/// The log does not repeat a long value that is left alone: only the target has it, under the old key.
#[test]
fn a_row_that_goes_to_another_key_takes_its_long_value_along() {
    for kind in ["postgres"].into_iter().chain(ALL) {
        let Some(ends) = Ends::new(("postgres", kind)) else { continue };
        ends.from.sql(TABLES);
        let run = || ends.desk.run(&command(&ends, &["--until-caught-up"])).expect_code(0);
        run();
        for statements in [
            "UPDATE accounts SET id = 1001 WHERE id = 1",
            // Among other changes, and changes of the same row.
            "BEGIN; UPDATE accounts SET balance = 5 WHERE id = 2; UPDATE accounts SET id = 1002 WHERE id = 2;
             UPDATE accounts SET balance = balance + 1 WHERE id = 1002; DELETE FROM accounts WHERE id = 3;
             UPDATE accounts SET id = 3 WHERE id = 4; INSERT INTO accounts VALUES (4, 4, 'new');
             UPDATE items SET v = 'meanwhile' WHERE a = 1; COMMIT",
            // Two that change places, by a third.
            "BEGIN; UPDATE accounts SET id = -1 WHERE id = 10; UPDATE accounts SET id = 10 WHERE id = 11;
             UPDATE accounts SET id = 11 WHERE id = -1; COMMIT",
            "UPDATE accounts SET id = id + 5000 WHERE id BETWEEN 100 AND 300",
            "BEGIN; UPDATE accounts SET id = -7 WHERE id = 7; UPDATE accounts SET note = 'short' WHERE id = -7;
             UPDATE accounts SET id = -8 WHERE id = 8; DELETE FROM accounts WHERE id = -8; COMMIT",
            "UPDATE accounts SET id = -20 WHERE id = 20; TRUNCATE accounts; INSERT INTO accounts VALUES (20, 0, 'after')",
        ] {
            ends.from.sql(statements);
            ends.from.sql("INSERT INTO items SELECT max(a) + 1, 'more', 'v' FROM items");
            run();
            same(&ends);
        }
    }
}

/// What was followed before is gone with all that is known of it.
fn run_after_restart(ends: &Ends) {
    ends.from.sql("DELETE FROM accounts WHERE id < 50");
    ends.desk.run(&command(ends, &["--until-caught-up", "--restart"])).expect_code(0);
    ends.from.sql("DELETE FROM accounts WHERE id < 100");
    ends.desk.run(&command(ends, &["--until-caught-up"])).expect_code(0);
    ends.same("SELECT id, balance FROM accounts WHERE id BETWEEN 50 AND 200 ORDER BY id");
}

#[test]
fn changes_arrive_while_it_runs_and_it_ends_when_asked() {
    for ends in from_postgres(&TRANSACTIONAL) {
        ends.from.sql(TABLES);
        let run = ends.desk.syncline(&command(&ends, &[])).args(["--output", "json"]).start();
        run.wait_for_output(|line| line.contains("\"following\""));
        ends.from.sql(CHANGES);
        ends.from.sql("INSERT INTO accounts VALUES (-1, 0, 'last')");
        let until = Instant::now() + WAIT_MAX;
        while ends.to.sql("SELECT count(*) FROM accounts WHERE id = -1") != "1" {
            assert!(
                Instant::now() < until && run.is_running(),
                "{}: it does not arrive\n{}",
                ends.what,
                run.stderr()
            );
            thread::sleep(Duration::from_millis(20));
        }
        run.interrupt();
        let ended = run.wait();
        assert_eq!(ended.code, Some(0), "{}: {ended}", ends.what);
        same(&ends);
    }
}

#[test]
fn money_is_neither_made_nor_lost_in_any_target() {
    for ends in from_postgres(&TRANSACTIONAL) {
        let seed = Seed::from_env();
        ends.from.sql(&format!(
            "CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL);
             CREATE TABLE moves (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int, b int, n int);
             INSERT INTO accounts SELECT g, 1000 FROM generate_series(1, {ACCOUNTS}) g"
        ));
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let (from, stop, mut random) = (&ends.from, &over, seed.rng());
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let mut moves = String::new();
                    for _ in 0..20 {
                        let mut one = MOVE.replace("{n}", &random.below(50).to_string());
                        for account in ["{a}", "{b}"] {
                            one = one.replace(account, &(1 + random.below(ACCOUNTS)).to_string());
                        }
                        moves += &one;
                    }
                    from.sql(&moves);
                }
            });
            let _over = Over(&over);
            let start = || {
                let options = ["--chunk-rows", "40", "--output", "json"];
                ends.desk.syncline(&command(&ends, &options)).start()
            };
            over_and_over(KILLS, &seed, start, || is_whole(&ends));
        });
        ends.desk.run(&command(&ends, &["--until-caught-up"])).expect_code(0);
        ends.same("SELECT id, balance FROM accounts ORDER BY id");
        ends.same("SELECT id, a, b, n FROM moves ORDER BY id");
        assert!(is_whole(&ends));
    }
}

#[test]
fn files_are_published_now_and_then_and_whole_whatever_is_killed() {
    let Some(mut ends) = Ends::new(("postgres", "jsonl")) else { return };
    ends.write_with("&commit_seconds=0");
    ends.from.sql(TABLES);
    let seed = Seed::from_env();
    let mut random = seed.rng();
    for round in 0..KILLS {
        let life = ends.desk.syncline(&command(&ends, &["--output", "json"])).start();
        if round > 0 {
            ends.from.sql(&format!(
                "INSERT INTO accounts VALUES (-{round}, {round}, NULL); DELETE FROM items WHERE a = {round}"
            ));
        }
        thread::sleep(Duration::from_millis(300 + random.below(1_500)));
        life.kill9();
        let ended = life.wait();
        assert!(ended.was_killed(), "it ended by itself: {ended}");
    }
    ends.from.sql(CHANGES);
    ends.desk.run(&command(&ends, &["--until-caught-up"])).expect_code(0);
    same(&ends);
}

#[test]
fn a_blackhole_takes_every_change() {
    let Some(ends) = Ends::new(("postgres", "sqlite")) else { return };
    ends.from.sql(TABLES);
    let arguments =
        ["copy", &ends.from.url(), "blackhole:", "--sync", "follow", "--name", "f", "--until-caught-up"];
    let run = || ends.desk.run(&arguments).expect_code(0);
    run();
    ends.from.sql(CHANGES);
    assert!(number(&run().of("stopped")[0]["changes"]) > 1_000);
    assert_eq!(number(&run().of("stopped")[0]["changes"]), 0, "its place is kept in the state");
}
