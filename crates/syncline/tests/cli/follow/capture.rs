//! From a server whose log is not read: triggers record the changes.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use syncline_testkit::seed::Seed;

use super::kill::{ACCOUNTS, Over, is_whole, over_and_over};
use crate::{
    desk::number,
    tables::{Pair, nothing_left, same_rows},
};

const KILLS: u32 = 4;

fn copy(pair: &Pair, options: &[&str]) -> Vec<String> {
    let from = pair.from.url();
    let from = format!("{from}{}capture=triggers", if from.contains('?') { '&' } else { '?' });
    let all = ["copy", &from, pair.to.url(), "--sync", "follow", "--name", "f"];
    all.iter().chain(options).map(|argument| (*argument).to_owned()).collect()
}

#[test]
fn changes_that_triggers_record_arrive_whole_through_kills() {
    let Some(pair) = Pair::new() else { return };
    let seed = Seed::from_env();
    pair.from.sql(&format!(
        "CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL);
         CREATE TABLE moves (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int, b int, n int);
         INSERT INTO accounts SELECT g, 1000 FROM generate_series(1, {ACCOUNTS}) g"
    ));
    let arguments = copy(&pair, &["--chunk-rows", "40"]);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let end = Over(&over);
        for _ in 0..2 {
            let (mut random, from, stop) = (seed.rng(), &pair.from, &over);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let moves = (0..20).map(|_| {
                        let (a, b, n) =
                            (1 + random.below(ACCOUNTS), 1 + random.below(ACCOUNTS), random.below(50));
                        // In one order, so that no two writers wait for each other.
                        format!(
                            "BEGIN; SELECT 1 FROM accounts WHERE id IN ({a}, {b}) ORDER BY id FOR UPDATE;
                             UPDATE accounts SET balance = balance - {n} WHERE id = {a};
                             UPDATE accounts SET balance = balance + {n} WHERE id = {b};
                             INSERT INTO moves (a, b, n) VALUES ({a}, {b}, {n}); COMMIT;"
                        )
                    });
                    from.sql(&moves.collect::<String>());
                }
            });
        }
        let start = || pair.desk.syncline(&arguments).args(["--output", "json"]).start();
        over_and_over(KILLS, &seed, start, || is_whole(&pair.to));
        drop(end);
    });
    let until_caught_up = [arguments.as_slice(), &["--until-caught-up".to_owned()]].concat();
    pair.desk.run(&until_caught_up).expect_code(0);
    let same = || {
        for table in ["accounts", "moves"] {
            let query = format!("SELECT * FROM {table}");
            same_rows((&pair.from, &query), (&pair.to, &query));
        }
        nothing_left(&pair.to);
    };
    same();
    pair.from.sql("TRUNCATE moves; INSERT INTO moves (a) VALUES (7); DELETE FROM accounts WHERE id < 10");
    let ran = pair.desk.run(&until_caught_up).expect_code(0);
    assert!(number(&ran.of("stopped")[0]["changes"]) >= 10, "{}", ran.finished);
    same();
    assert_eq!(
        pair.from.sql("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()"),
        "0"
    );
    let release = ["release".to_owned()].into_iter().chain(arguments[1..7].iter().cloned());
    pair.desk.run(&release.collect::<Vec<_>>()).expect_code(0);
    assert_eq!(pair.from.sql("SELECT count(*) FROM pg_trigger WHERE tgname LIKE '%syncline%'"), "0");
    pair.desk.run(&until_caught_up).failed(1, "SYN-5012").names(&["--restart"]);
}

#[test]
fn columns_that_change_are_followed_by_triggers_too() {
    let Some(pair) = Pair::new() else { return };
    for (statements, columns) in [
        ("ALTER TABLE t ADD COLUMN x int; UPDATE t SET x = id WHERE id < 9", "id, v, n, x"),
        ("ALTER TABLE t ADD COLUMN x int DEFAULT 7; UPDATE t SET n = 0 WHERE id = 1", "id, v, n, x"),
        ("ALTER TABLE t DROP COLUMN v; DELETE FROM t WHERE id = 3", "id, n"),
        ("ALTER TABLE t RENAME COLUMN v TO text; UPDATE t SET text = 'new' WHERE id = 5", "id, text, n"),
        ("ALTER TABLE t ALTER n TYPE text USING 'number ' || n", "id, v, n"),
        (
            "BEGIN; ALTER TABLE t DROP COLUMN v; ALTER TABLE t ADD COLUMN v text; UPDATE t SET v = id WHERE id < 50; COMMIT",
            "id, v, n",
        ),
    ] {
        pair.from.sql(
            "DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, v text, n int NOT NULL);
             INSERT INTO t SELECT g, 'v' || g, g FROM generate_series(1, 100) g",
        );
        pair.to.sql("DROP TABLE IF EXISTS t");
        let run = |more: &[&str]| {
            let options = [&["--until-caught-up", "--schema-changes", "apply"], more].concat();
            pair.desk.run(&copy(&pair, &options)).expect_code(0)
        };
        run(&["--restart"]);
        pair.from.sql("UPDATE t SET v = 'before' WHERE id = 2");
        pair.from.sql(statements);
        let ended = run(&[]);
        assert_eq!(ended.of("schema_changed").len(), 1, "{statements}: {}", ended.finished);
        let query = format!("SELECT {columns} FROM t");
        same_rows((&pair.from, &query), (&pair.to, &query));
    }
}

#[test]
fn who_writes_down_changes_is_told_that_triggers_tell_states() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1)");
    let run = |options: &[&str]| {
        let mut arguments = copy(&pair, options);
        arguments[0] = "plan".into();
        pair.desk.run(&arguments).expect_code(0)
    };
    let warned = run(&["--write", "append"]);
    assert!(warned.finished.stdout.contains("not each change of it"), "{}", warned.finished.stdout);
    assert!(!run(&[]).finished.stdout.contains("not each change of it"));
}
