//! Values that the target cannot hold: the run stops, or the row becomes a dead letter.

use super::SECRET;
use crate::{
    desk::sum,
    ends::{End, Ends},
    tables::Pair,
};

/// What the source has, what the target is, and which rows of 1,000 do not fit.
const MISFITS: &[(&str, &str, &str)] = &[
    (
        "a number too large",
        "CREATE TABLE t (id int PRIMARY KEY, v numeric); INSERT INTO t SELECT g, CASE WHEN g % 250 = 7 THEN 98765432109 ELSE g END FROM generate_series(1, 1000) g",
        "CREATE TABLE t (id int PRIMARY KEY, v numeric(8,2))",
    ),
    (
        "a check",
        "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT g, CASE WHEN g % 250 = 7 THEN -987654 ELSE g END FROM generate_series(1, 1000) g",
        "CREATE TABLE t (id int PRIMARY KEY, v int CHECK (v > 0))",
    ),
    (
        "a NULL",
        "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, CASE WHEN g % 250 <> 7 THEN 's3cr3t-r0w' END FROM generate_series(1, 1000) g",
        "CREATE TABLE t (id int PRIMARY KEY, v text NOT NULL)",
    ),
    (
        "a trigger of the target's owner",
        "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, 's3cr3t-r0w' FROM generate_series(1, 1000) g",
        "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id % 250 = 7 THEN RAISE 'I will not take %', NEW.v; END IF; RETURN NEW; END $$;
         CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
    ),
];

#[test]
fn a_value_that_does_not_fit_stops_the_run_and_nothing_is_seen() {
    for (what, source, target) in MISFITS {
        for write in ["overwrite", "append", "merge"] {
            let Some(pair) = Pair::new() else { return };
            pair.from.sql(source);
            pair.to.sql(target);
            let options = ["--stream", "t", "--write", write, "--chunk-rows", "100", "--parallel", "2"];
            let ran = pair.run(&options);
            let code = ran.last()["code"].as_str().unwrap_or_default().to_owned();
            assert!(["SYN-3003", "SYN-4001"].contains(&code.as_str()), "{what}, {write}: {}", ran.finished);
            ran.failed(1, &code).hinted();
            if write != "append" {
                assert_eq!(pair.to.sql("SELECT count(*) FROM t"), "0", "{what}, {write}");
            }
            pair.desk.text(&pair.copy(&options));
            for value in [SECRET, "98765432109", "-987654"] {
                pair.desk.never_said(value);
            }
        }
    }
}

#[test]
fn rows_that_do_not_fit_become_dead_letters_and_the_others_arrive() {
    for (what, source, target) in &MISFITS[1..] {
        for write in ["overwrite", "append", "merge"] {
            // Triggers run when rows are published, all at once; then none can be set aside.
            if what.contains("trigger") && write != "append" {
                continue;
            }
            let Some(pair) = Pair::new() else { return };
            pair.from.sql(source);
            pair.to.sql(target);
            let options = [
                "--stream",
                "t",
                "--write",
                write,
                "--chunk-rows",
                "100",
                "--name",
                "p",
                "--on-error",
                "dead_letter",
            ];
            let summary = pair.run(&options).done();
            assert_eq!(
                (sum(&summary, "rows"), sum(&summary, "rejected")),
                (996, 4),
                "{what}, {write}: {summary}"
            );
            pair.same_as("SELECT * FROM t WHERE id % 250 <> 7", "TABLE t");
            let letters = pair.desk.run(&["dlq", "list", "p"]).expect_code(0).events;
            assert_eq!(letters.len(), 4, "{what}, {write}: {letters:?}");
            for letter in &letters {
                assert_eq!(letter["code"], "SYN-4001", "{what}, {write}: {letter}");
            }
            for value in [SECRET, "98765432109", "-987654"] {
                pair.desk.never_said(value);
            }
        }
    }
}

#[test]
fn what_sqlite_holds_and_its_column_does_not_mean_is_told_by_row_and_not_by_value() {
    for kinds in [("sqlite", "sqlite"), ("sqlite", "postgres")] {
        let Some(ends) = Ends::new(kinds) else { return };
        let End::Sqlite(source) = &ends.from else { unreachable!("asked for") };
        source.sql(&format!(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, n INT, d DATE); INSERT INTO t VALUES (1, 1, '2024-02-29'), (2, '{SECRET}', '2024-02-29'), (3, 3, '{SECRET}'), (4, 4, NULL)"
        ));
        let failed = ends.run(&["--stream", "t"]).failed(1, "SYN-4002").hinted();
        assert!(failed.message.contains("t.n") || failed.message.contains("t.d"), "{failed:?}");
        assert!(!ends.to.has("t"));
        let summary = ends.run(&["--stream", "t", "--on-error", "dead_letter", "--name", "p"]).done();
        assert_eq!((sum(&summary, "rows"), sum(&summary, "rejected")), (2, 2), "{summary}");
        let letters = ends.desk.run(&["dlq", "list", "p"]).expect_code(0).events;
        let rows: Vec<&str> = letters.iter().filter_map(|letter| letter["row"].as_str()).collect();
        assert_eq!(rows, ["rowid 2", "rowid 3"]);
        assert_eq!(ends.to.sql("SELECT id FROM t ORDER BY id"), "1\n4");
        ends.desk.text(&ends.command("verify", &["--stream", "t"]));
        ends.desk.never_said(SECRET);
    }
}
