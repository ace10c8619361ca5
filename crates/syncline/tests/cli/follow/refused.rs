//! Changes that a target does not take together, or not at all.

use crate::{desk::number, ends::Ends};

const TARGETS: [&str; 4] = ["postgres", "mysql", "mariadb", "sqlite"];

fn ends(target: &'static str) -> Option<Ends> {
    let ends = Ends::new(("postgres", target))?;
    ends.from.sql("CREATE TABLE t (id int PRIMARY KEY, u int, n int); INSERT INTO t VALUES (1, 1, 0), (2, 2, 0), (3, 3, 0);");
    ends.to.sql("CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE, n int CHECK (n < 100));");
    Some(ends)
}

#[test]
fn a_value_that_passes_from_row_to_row_is_applied_in_the_order_of_the_log() {
    for target in TARGETS {
        let Some(ends) = ends(target) else { continue };
        let command = ends.command("copy", &["--sync", "follow", "--name", "f", "--until-caught-up"]);
        ends.desk.run(&command).expect_code(0);
        ends.from.sql(
            "UPDATE t SET u = -1 WHERE id = 1; UPDATE t SET u = 1 WHERE id = 2; UPDATE t SET u = 2 WHERE id = 1;
             UPDATE t SET u = 9 WHERE id = 3; INSERT INTO t VALUES (4, 3, 0); DELETE FROM t WHERE id = 4;
             UPDATE t SET id = 5, u = 3 WHERE id = 3; INSERT INTO t VALUES (6, 9, 1);",
        );
        let ended = ends.desk.run(&command).expect_code(0);
        assert_eq!(number(&ended.of("stopped")[0]["rejected"]), 0, "{target}: {}", ended.finished);
        ends.same("SELECT id, u, n FROM t ORDER BY id");
    }
}

#[test]
fn a_row_that_the_target_refuses_stops_it_or_becomes_a_dead_letter() {
    for target in TARGETS {
        let Some(ends) = ends(target) else { continue };
        let run = |on_error: &str| {
            let options = ["--sync", "follow", "--name", "f", "--until-caught-up", "--on-error", on_error];
            ends.desk.run(&ends.command("copy", &options))
        };
        run("stop").expect_code(0);
        ends.from.sql(
            "INSERT INTO t VALUES (10, 10, 10); BEGIN; INSERT INTO t VALUES (11, 11, 500); UPDATE t SET n = 5 WHERE id = 1; COMMIT;
             UPDATE t SET n = 600 WHERE id = 2; INSERT INTO t VALUES (12, 12, 12);",
        );
        assert!(matches!(run("stop").last()["code"].as_str(), Some("SYN-4001")), "{target}");
        let ended = run("dead_letter").expect_code(0);
        assert_eq!(number(&ended.last()["rejected"]), 2, "{target}: {}", ended.finished);
        let rows = ends.to.sql("SELECT id, u, n FROM t ORDER BY id");
        let expected = ends
            .from
            .sql("SELECT id, u, CASE WHEN id = 2 THEN 0 ELSE n END FROM t WHERE id <> 11 ORDER BY id");
        assert_eq!(rows, expected, "{target}");
        let letters = ends.desk.run(&["dlq", "list", "f"]).expect_code(0);
        assert_eq!(letters.events.len(), 2, "{target}: {}", letters.finished);
    }
}
