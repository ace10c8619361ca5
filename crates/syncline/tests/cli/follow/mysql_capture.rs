//! From MySQL and MariaDB whose log is not read: triggers record the changes.

use std::time::{Duration, Instant};

use super::mysql_source::{changes, filled, same, survives_kills};
use crate::{desk::number, ends::Ends};

const WAIT_MAX: Duration = Duration::from_secs(40);

const OURS: &str = "SELECT (SELECT count(*) FROM information_schema.triggers WHERE trigger_schema = DATABASE())
    + (SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name LIKE '%syncline%'
      AND table_name <> '_syncline_identity')";

fn command(ends: &Ends, command: &str, options: &[&str]) -> Vec<String> {
    let mut arguments = ends.command(command, &[&["--sync", "follow", "--name", "f"], options].concat());
    arguments[1] += "?capture=triggers";
    arguments
}

#[test]
fn changes_that_triggers_record_arrive_and_nothing_is_left_when_it_is_given_up() {
    for kinds in [("mysql", "postgres"), ("mariadb", "sqlite"), ("mysql", "mariadb")] {
        let Some(ends) = Ends::new(kinds) else { continue };
        ends.from.sql(&filled());
        for (write, guarantee) in [("merge", "idempotent"), ("append", "at_least_once")] {
            let plan = ends.desk.run(&command(&ends, "plan", &["--write", write])).expect_code(0);
            assert_eq!(plan.of("plan")[0]["streams"][0]["guarantee"], guarantee, "{}", plan.finished);
        }
        let until = command(&ends, "copy", &["--until-caught-up"]);
        let run = || ends.desk.run(&until).expect_code(0);
        let first = run();
        assert_eq!(number(&first.of("stopped")[0]["changes"]), 0, "{}", first.finished);
        same(&ends);
        ends.from.sql(&changes());
        let second = run();
        assert!(number(&second.of("stopped")[0]["changes"]) > 500, "{}", second.finished);
        assert!(second.of("summary").is_empty(), "nothing is copied again: {}", second.finished);
        same(&ends);
        ends.from.sql("TRUNCATE items; INSERT INTO items VALUES (1, 'after', NULL)");
        run();
        same(&ends);
        let live = ends.desk.syncline(&command(&ends, "copy", &[])).args(["--output", "json"]).start();
        live.wait_for_output(|line| line.contains("\"following\""));
        ends.from.sql("UPDATE accounts SET balance = 1; INSERT INTO accounts VALUES (-1, 0, 'last')");
        let until = Instant::now() + WAIT_MAX;
        while ends.to.sql("SELECT count(*) FROM accounts WHERE id = -1") == "0" {
            assert!(live.is_running() && Instant::now() < until, "{}{}", live.stdout(), live.stderr());
            std::thread::sleep(Duration::from_millis(20));
        }
        live.interrupt();
        ends.desk.read(live.wait()).expect_code(0);
        same(&ends);
        assert_ne!(ends.from.sql(OURS), "0");
        ends.desk.run(&command(&ends, "release", &[])).expect_code(0);
        assert_eq!(ends.from.sql(OURS), "0", "{}", ends.what);
        ends.desk
            .run(&command(&ends, "copy", &["--until-caught-up"]))
            .failed(1, "SYN-5012")
            .names(&["--restart"]);
        ends.desk.run(&command(&ends, "copy", &["--until-caught-up", "--restart"])).expect_code(0);
        same(&ends);
    }
}

#[test]
fn money_is_neither_made_nor_lost_when_triggers_record_it_and_the_program_is_killed() {
    survives_kills([("mysql", "postgres"), ("mariadb", "mysql")], |ends| {
        command(ends, "copy", &["--chunk-rows", "40"])
    });
}

#[test]
fn columns_that_change_are_followed_by_triggers_too() {
    for kinds in [("mysql", "postgres"), ("mariadb", "mariadb"), ("mysql", "sqlite")] {
        let Some(ends) = Ends::new(kinds) else { continue };
        let rows: Vec<String> = (1..=50).map(|id| format!("({id}, 'v{id}', {id})")).collect();
        let options = ["--until-caught-up", "--schema-changes", "apply"];
        let run =
            |more: &[&str]| ends.desk.run(&command(&ends, "copy", &[&options, more].concat())).expect_code(0);
        for (statements, columns, changed) in [
            ("ALTER TABLE t ADD COLUMN x int; UPDATE t SET x = id WHERE id < 10;", "id, v, n, x", 1),
            ("ALTER TABLE t ADD COLUMN x int DEFAULT 7; UPDATE t SET n = 0 WHERE id = 1;", "id, v, n, x", 1),
            ("ALTER TABLE t DROP COLUMN n; DELETE FROM t WHERE id = 3;", "id, v", 1),
            ("ALTER TABLE t RENAME COLUMN v TO w; UPDATE t SET w = 'new' WHERE id = 5;", "id, w, n", 1),
            ("ALTER TABLE t MODIFY n bigint; UPDATE t SET n = 5000000000 WHERE id = 5;", "id, v, n", 1),
            (
                "ALTER TABLE t DROP COLUMN n, ADD COLUMN n int; UPDATE t SET n = 1 WHERE id < 9;",
                "id, v, n",
                0,
            ),
            ("ALTER TABLE t ADD INDEX (v); DELETE FROM t WHERE id = 3;", "id, v, n", 0),
        ] {
            ends.from.sql(&format!(
                "DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, v varchar(20), n int); INSERT INTO t VALUES {};",
                rows.join(", ")
            ));
            ends.to.sql("DROP TABLE IF EXISTS t;");
            run(&["--restart"]);
            ends.from.sql("UPDATE t SET v = 'before' WHERE id = 2;");
            ends.from.sql("UPDATE t SET id = id + 100 WHERE id = 20;");
            ends.from.sql(statements);
            let ended = run(&[]);
            assert_eq!(ended.of("schema_changed").len(), changed, "{statements}: {}", ended.finished);
            ends.same(&format!("SELECT {columns} FROM t ORDER BY id"));
        }
    }
}
