//! What MySQL and MariaDB do is done at the target, and no more.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use syncline_testkit::seed::Seed;

use super::kill::{ACCOUNTS, MOVE, Over, has_all_money, over_and_over};
use crate::{desk::number, end::End, ends::Ends};

const WAIT_MAX: Duration = Duration::from_secs(40);
const KILLS: u32 = 5;

const PAIRS: [(&str, &str); 4] =
    [("mysql", "postgres"), ("mariadb", "postgres"), ("mysql", "mariadb"), ("mariadb", "sqlite")];

const TABLES: &str = "CREATE TABLE accounts (id int PRIMARY KEY, balance decimal(12,2) NOT NULL, note text);
    CREATE TABLE items (a int, b varchar(20), v text, PRIMARY KEY (a, b));";

/// Rows numbered so, as every server can make them.
fn rows(table: &str, first: u32, last: u32, row: impl Fn(u32) -> String) -> String {
    let rows: Vec<String> = (first..=last).map(|number| format!("({})", row(number))).collect();
    format!("INSERT INTO {table} VALUES {};", rows.join(", "))
}

pub(super) fn filled() -> String {
    let accounts = rows("accounts", 1, 500, |id| format!("{id}, 100, '{}'", "long ".repeat(60).trim_end()));
    let items = rows("items", 1, 300, |a| format!("{a}, 'x{a}', '{{}}'"));
    format!("{TABLES}{accounts}{items}")
}

/// Everything a log can tell of two tables.
pub(super) fn changes() -> String {
    let more = rows("accounts", 501, 700, |id| format!("{id}, 0, NULL"));
    format!(
        "UPDATE accounts SET balance = balance + id; {more}
         DELETE FROM accounts WHERE id % 7 = 0;
         UPDATE accounts SET id = id + 10000 WHERE id % 5 = 0;
         UPDATE accounts SET note = NULL WHERE id % 11 = 0;
         UPDATE items SET v = concat('n', a) WHERE a < 50;
         BEGIN; INSERT INTO items VALUES (-1, 'no', NULL); ROLLBACK;
         BEGIN; INSERT INTO items VALUES (-2, 'yes', NULL); SAVEPOINT s; INSERT INTO items VALUES (-3, 'no', NULL);
         ROLLBACK TO s; UPDATE items SET b = 'moved' WHERE a = 7; COMMIT;
         DELETE FROM items WHERE a = 9; INSERT INTO items VALUES (9, 'x9', 'again');"
    )
}

pub(super) fn same(ends: &Ends) {
    ends.same("SELECT id, balance, note FROM accounts ORDER BY id");
    ends.same("SELECT a, b, v FROM items ORDER BY a");
}

fn command(ends: &Ends, options: &[&str]) -> Vec<String> {
    ends.command("copy", &[&["--sync", "follow", "--name", "f"], options].concat())
}

#[test]
fn changes_arrive_in_runs_that_end_when_they_have_caught_up() {
    for kinds in PAIRS {
        let Some(ends) = Ends::new(kinds) else { continue };
        ends.from.sql(&filled());
        let run = || ends.desk.run(&command(&ends, &["--until-caught-up"])).expect_code(0);
        let first = run();
        assert_eq!(number(&first.of("stopped")[0]["changes"]), 0, "{}", first.finished);
        same(&ends);
        ends.from.sql(&changes());
        let second = run();
        assert!(number(&second.of("stopped")[0]["changes"]) > 1_000, "{}", second.finished);
        assert!(second.of("summary").is_empty(), "nothing is copied again: {}", second.finished);
        same(&ends);
        let third = run();
        assert_eq!(number(&third.of("stopped")[0]["changes"]), 0, "{}", third.finished);
        ends.from.sql("TRUNCATE items; INSERT INTO items VALUES (1, 'after', NULL)");
        run();
        same(&ends);
    }
}

#[test]
fn changes_arrive_while_it_runs_and_it_ends_when_asked() {
    for kinds in PAIRS {
        let Some(ends) = Ends::new(kinds) else { continue };
        ends.from.sql(&filled());
        let run = ends.desk.syncline(&command(&ends, &[])).args(["--output", "json"]).start();
        run.wait_for_output(|line| line.contains("\"following\""));
        ends.from.sql(&changes());
        ends.from.sql("INSERT INTO accounts VALUES (-1, 0, 'last')");
        let until = Instant::now() + WAIT_MAX;
        while ends.to.sql("SELECT count(*) FROM accounts WHERE id = -1") == "0" {
            assert!(run.is_running() && Instant::now() < until, "{}{}", run.stdout(), run.stderr());
            std::thread::sleep(Duration::from_millis(20));
        }
        run.interrupt();
        let ended = ends.desk.read(run.wait()).expect_code(0);
        assert_eq!(ended.last()["event"], "stopped", "{}", ended.finished);
        same(&ends);
    }
}

#[test]
fn a_table_that_is_another_one_stops_it() {
    for kinds in PAIRS {
        let Some(ends) = Ends::new(kinds) else { continue };
        ends.from.sql(&filled());
        let run = || ends.desk.run(&command(&ends, &["--stream", "items", "--until-caught-up"]));
        run().expect_code(0);
        // What concerns other tables, or no column, does not matter.
        ends.from.sql(
            "ALTER TABLE accounts ADD COLUMN more int; ALTER TABLE items ADD INDEX by_v (v(9)); INSERT INTO items VALUES (-1, '', '')",
        );
        run().expect_code(0);
        ends.same("SELECT a, b, v FROM items ORDER BY a");
        ends.from
            .sql("DROP TABLE items; CREATE TABLE items (a int, b varchar(20), v text, PRIMARY KEY (a, b))");
        run().failed(1, "SYN-3009").names(&["items", "--restart"]);
    }
}

#[test]
fn a_stream_that_is_made_later_is_copied_alone() {
    for kinds in PAIRS.into_iter().take(2) {
        let Some(ends) = Ends::new(kinds) else { continue };
        ends.from.sql("CREATE TABLE accounts (id int PRIMARY KEY, balance decimal(12,2) NOT NULL, note text); INSERT INTO accounts VALUES (1, 1, 'x')");
        let run = |streams: &[&str]| {
            ends.desk.run(&command(&ends, &[streams, &["--until-caught-up"]].concat())).expect_code(0)
        };
        run(&["--stream", "accounts"]);
        // The log tells how it is made, behind the place that is known.
        ends.from.sql(
            "CREATE TABLE items (a int, b varchar(20), v text, PRIMARY KEY (a, b)); INSERT INTO items VALUES (1, 'x', 'y');
             UPDATE accounts SET balance = 2; UPDATE items SET v = 'z'",
        );
        let second = run(&["--stream", "accounts", "--stream", "items"]);
        assert_eq!(
            second.of("summary")[0]["streams"].as_array().map(Vec::len),
            Some(1),
            "{}",
            second.finished
        );
        same(&ends);
        ends.from.sql("DELETE FROM items; INSERT INTO items VALUES (2, 'b', 'c'); DELETE FROM accounts");
        run(&["--stream", "accounts", "--stream", "items"]);
        same(&ends);
    }
}

#[test]
fn what_cannot_be_followed_is_said_before_anything_is_made() {
    for kinds in PAIRS.into_iter().take(2) {
        let Some(ends) = Ends::new(kinds) else { continue };
        ends.from.sql("CREATE TABLE t (id int, v text)");
        ends.desk.run(&command(&ends, &["--deletes", "soft"])).failed(1, "SYN-3004").names(&["t"]);
        ends.from.sql("CREATE TABLE m (id int PRIMARY KEY) ENGINE = MEMORY");
        ends.desk.run(&command(&ends, &["--stream", "m"])).failed(1, "SYN-6002").names(&["m", "memory"]);
        assert!(!ends.to.has("t") && !ends.to.has("m"));
    }
}

/// Whether the target is followed into; fails when a reader of it sees half a transaction.
pub(super) fn is_whole(ends: &Ends) -> bool {
    ends.to.has("_syncline_mark") && has_all_money(|sql| ends.to.sql(sql), &ends.what)
}

#[test]
fn money_is_neither_made_nor_lost_when_the_program_is_killed() {
    survives_kills([("mysql", "postgres"), ("mariadb", "mysql")], |ends| {
        command(ends, &["--chunk-rows", "40"])
    });
}

/// Moves money as an application does: a transaction that the server gives up for the sake of others is done again.
/// It may have to, while one session waits to alter a table and another one locks all of them for a snapshot.
fn transfer(end: &End, moves: &str) {
    let End::Mysql(database) = end else { unreachable!("{} is no such server", end.url()) };
    let done = database.try_sql(moves);
    let is_deadlock = |error: &String| error.contains("ERROR 1213");
    assert!(done.as_ref().err().is_none_or(is_deadlock), "{done:?}\nof: {moves}");
}

/// Follows while money moves at the source, and is killed again and again.
pub(super) fn survives_kills(pairs: [(&str, &str); 2], command: impl Fn(&Ends) -> Vec<String>) {
    for kinds in pairs {
        let Some(ends) = Ends::new(kinds) else { continue };
        let seed = Seed::from_env();
        let accounts = rows("accounts", 1, 200, |id| format!("{id}, 1000"));
        ends.from.sql(&format!(
            "CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL);
             CREATE TABLE moves (id int PRIMARY KEY AUTO_INCREMENT, a int, b int, n int); {accounts}"
        ));
        let arguments = command(&ends);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let mut random = seed.rng();
            let (from, stop) = (&ends.from, &over);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let moves: Vec<String> = (0..20)
                        .map(|_| {
                            let (a, b) = (1 + random.below(ACCOUNTS), 1 + random.below(ACCOUNTS));
                            let n = random.below(50).to_string();
                            MOVE.replace("{a}", &a.to_string())
                                .replace("{b}", &b.to_string())
                                .replace("{n}", &n)
                        })
                        .collect();
                    transfer(from, &moves.concat());
                }
            });
            let over = Over(&over);
            let start = || ends.desk.syncline(&arguments).args(["--output", "json"]).start();
            over_and_over(KILLS, &seed, start, || is_whole(&ends));
            drop(over);
        });
        let last = [arguments.as_slice(), &["--until-caught-up".to_owned()]].concat();
        ends.desk.run(&last).expect_code(0);
        assert!(is_whole(&ends));
        ends.same("SELECT id, balance FROM accounts ORDER BY id");
        ends.same("SELECT id, a, b, n FROM moves ORDER BY id");
    }
}
