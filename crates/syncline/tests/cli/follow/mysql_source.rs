//! What MySQL and MariaDB do is done at the target, and no more.

use std::time::{Duration, Instant};

use crate::{desk::number, ends::Ends};

const WAIT_MAX: Duration = Duration::from_secs(40);

const PAIRS: [(&str, &str); 2] = [("mysql", "postgres"), ("mariadb", "postgres")];

const TABLES: &str = "CREATE TABLE accounts (id int PRIMARY KEY, balance decimal(12,2) NOT NULL, note text);
    CREATE TABLE items (a int, b varchar(20), v text, PRIMARY KEY (a, b));";

/// Rows numbered so, as every server can make them.
fn rows(table: &str, first: u32, last: u32, row: impl Fn(u32) -> String) -> String {
    let rows: Vec<String> = (first..=last).map(|number| format!("({})", row(number))).collect();
    format!("INSERT INTO {table} VALUES {};", rows.join(", "))
}

fn filled() -> String {
    let accounts = rows("accounts", 1, 500, |id| format!("{id}, 100, '{}'", "long ".repeat(60)));
    let items = rows("items", 1, 300, |a| format!("{a}, 'x{a}', '{{}}'"));
    format!("{TABLES}{accounts}{items}")
}

/// Everything a log can tell of two tables.
fn changes() -> String {
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

fn same(ends: &Ends) {
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
