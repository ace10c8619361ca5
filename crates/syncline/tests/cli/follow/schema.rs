//! Columns that change at the source while it is followed.

use std::time::{Duration, Instant};

use crate::desk::Ran;
use crate::ends::Ends;
use crate::tables::{Pair, nothing_left, same_rows};

const WAIT_MAX: Duration = Duration::from_secs(40);

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, v text, w varchar(10), n int NOT NULL);
    INSERT INTO t SELECT g, 'v' || g, 'w', g FROM generate_series(1, 100) g;
    CREATE TABLE other (id int PRIMARY KEY, v text); INSERT INTO other VALUES (1, 'x')";

fn run(pair: &Pair, policy: &str) -> Ran {
    let options = ["--sync", "follow", "--name", "f", "--until-caught-up", "--schema-changes", policy];
    pair.desk.run(&pair.copy(&options))
}

/// Columns in one order on both sides, since new ones come last at the target.
fn same(pair: &Pair, columns: &str) {
    let query = format!("SELECT {columns} FROM t");
    same_rows((&pair.from, &query), (&pair.to, &query));
    let names = "SELECT string_agg(column_name::text, ',' ORDER BY column_name) FROM information_schema.columns WHERE table_name = 't'";
    assert_eq!(pair.from.sql(names), pair.to.sql(names), "the same columns");
    same_rows((&pair.from, "TABLE other"), (&pair.to, "TABLE other"));
    nothing_left(&pair.to);
}

#[test]
fn the_target_follows_columns_that_come_go_and_change() {
    let Some(pair) = Pair::new() else { return };
    for (statements, columns, copied_again) in [
        ("ALTER TABLE t ADD COLUMN x int; INSERT INTO t VALUES (101, 'a', 'b', 1, 7); UPDATE t SET x = id WHERE id < 9",
            "id, v, w, n, x", false),
        ("ALTER TABLE t DROP COLUMN v; INSERT INTO t VALUES (101, 'b', 1); DELETE FROM t WHERE id = 3", "id, w, n", false),
        ("ALTER TABLE t RENAME COLUMN v TO text; UPDATE t SET text = 'new' WHERE id = 5", "id, text, w, n", false),
        ("ALTER TABLE t ALTER w TYPE varchar(50); INSERT INTO t VALUES (101, 'a', repeat('w', 50), 1)", "id, v, w, n", false),
        ("ALTER TABLE t ALTER n TYPE bigint; INSERT INTO t VALUES (101, 'a', 'w', 5000000000)", "id, v, w, n", false),
        ("ALTER TABLE t RENAME COLUMN id TO number; DELETE FROM t WHERE number = 5; UPDATE t SET v = 'new' WHERE number = 6",
            "number, v, w, n", false),
        // Rows that are there get values of which the log says nothing.
        ("ALTER TABLE t ADD COLUMN x int DEFAULT 7; UPDATE t SET v = 'new' WHERE id = 1", "id, v, w, n, x", true),
        ("ALTER TABLE t ALTER n TYPE text USING 'number ' || n; UPDATE t SET v = 'new' WHERE id = 1", "id, v, w, n", true),
        ("ALTER TABLE t RENAME COLUMN v TO x; ALTER TABLE t RENAME COLUMN w TO v; ALTER TABLE t RENAME COLUMN x TO w;
          UPDATE t SET n = 0 WHERE id = 1", "id, v, w, n", true),
        ("ALTER TABLE t DROP COLUMN v; ALTER TABLE t ADD COLUMN v int; UPDATE t SET v = id WHERE id < 50",
            "id, v, w, n", true),
    ] {
        pair.from.sql(&format!("DROP TABLE IF EXISTS t, other; {TABLE}"));
        pair.to.sql("DROP TABLE IF EXISTS t, other");
        pair.desk.run(&pair.copy(&["--sync", "follow", "--name", "f", "--until-caught-up", "--restart"])).expect_code(0);
        pair.from.sql("UPDATE t SET v = 'before' WHERE id = 2");
        pair.from.sql(statements);
        pair.from.sql("INSERT INTO other VALUES (2, 'after')");
        let ended = run(&pair, "apply").expect_code(0);
        let changes = ended.of("schema_changed");
        assert_eq!(changes.len(), 1, "{statements}: {}", ended.finished);
        assert_eq!(changes[0]["copied_again"], copied_again, "{statements}: {}", ended.finished);
        same(&pair, columns);
        // The next one begins with what the last one has left.
        pair.from.sql("DELETE FROM t WHERE n IS NULL; INSERT INTO other VALUES (3, 'later')");
        let ended = run(&pair, "apply").expect_code(0);
        assert!(ended.of("schema_changed").is_empty(), "{statements}: {}", ended.finished);
        same(&pair, columns);
    }
}

#[test]
fn changes_one_after_the_other_and_inside_of_transactions_are_followed() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(TABLE);
    run(&pair, "apply").expect_code(0);
    pair.from.sql(
        "INSERT INTO t VALUES (101, 'a', 'b', 1); ALTER TABLE t ADD COLUMN x int; INSERT INTO t VALUES (102, 'a', 'b', 1, 5);
         ALTER TABLE t ADD COLUMN y int; UPDATE t SET y = x; ALTER TABLE t DROP COLUMN x; UPDATE t SET y = 3 WHERE id = 4",
    );
    // Filled before anybody has seen the column, with other tables before it in the same transaction.
    pair.from.sql(
        "BEGIN; INSERT INTO other SELECT g, 'many' FROM generate_series(10, 20) g; ALTER TABLE t ADD COLUMN z text;
         UPDATE t SET z = 'z' || id; COMMIT",
    );
    let ended = run(&pair, "apply").expect_code(0);
    assert_eq!(ended.of("schema_changed").len(), 4, "{}", ended.finished);
    same(&pair, "id, v, w, n, y, z");
}

#[test]
fn a_transaction_with_rows_of_several_shapes_has_its_table_copied_again() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(TABLE);
    run(&pair, "apply").expect_code(0);
    for (statements, columns) in [
        ("UPDATE t SET n = 0 WHERE id = 1; ALTER TABLE t ADD COLUMN q int; UPDATE t SET q = 1", "id, v, w, n, q"),
        ("ALTER TABLE t ADD COLUMN r int; UPDATE t SET r = id WHERE id < 9; ALTER TABLE t DROP COLUMN q; DELETE FROM t WHERE r = 4",
            "id, v, w, n, r"),
        ("INSERT INTO t VALUES (301, 'a', 'b', 1, 2); ALTER TABLE t DROP COLUMN v; DELETE FROM t WHERE id = 2;
          ALTER TABLE t ADD COLUMN v int; UPDATE t SET v = 5 WHERE id < 20; INSERT INTO other VALUES (301, 'within')",
            "id, w, n, r, v"),
    ] {
        pair.from.sql("INSERT INTO other SELECT max(id) + 1, 'before' FROM other; DELETE FROM t WHERE id = 99");
        pair.from.sql(&format!("BEGIN; {statements}; COMMIT"));
        pair.from.sql("UPDATE t SET n = n + 1 WHERE id < 30; INSERT INTO other SELECT max(id) + 1, 'after' FROM other");
        let ended = run(&pair, "apply").expect_code(0);
        let changes = ended.of("schema_changed");
        assert!(changes.iter().any(|change| change["copied_again"] == true), "{statements}: {changes:?}");
        same(&pair, columns);
        pair.from.sql("UPDATE t SET n = -n WHERE id < 40");
        assert!(run(&pair, "apply").expect_code(0).of("schema_changed").is_empty(), "{statements}");
        same(&pair, columns);
    }
}

#[test]
fn other_policies_leave_the_target_as_it_is() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(TABLE);
    run(&pair, "stop").expect_code(0);
    pair.from.sql("INSERT INTO t VALUES (101, 'a', 'b', 1); ALTER TABLE t ADD COLUMN x int; ALTER TABLE t DROP COLUMN v");
    pair.from.sql("INSERT INTO t VALUES (102, 'b', 1, 5); UPDATE t SET x = 1 WHERE id = 1; INSERT INTO other VALUES (2, 'y')");
    run(&pair, "stop").failed(1, "SYN-3009").names(&[
        "public.t",
        "`x` is new",
        "`v` is gone",
        "schema_changes: apply",
    ]);
    assert_eq!(pair.to.sql("SELECT count(*) FROM t"), "101", "what came before it is there");
    run(&pair, "ignore").expect_code(0);
    same_rows((&pair.from, "SELECT id, w, n FROM t"), (&pair.to, "SELECT id, w, n FROM t"));
    assert_eq!(pair.to.sql("SELECT v IS NULL FROM t WHERE id = 102"), "t");
    assert_eq!(pair.to.sql("SELECT v FROM t WHERE id = 50"), "v50", "values of before stay");
    same_rows((&pair.from, "TABLE other"), (&pair.to, "TABLE other"));
    pair.from.sql("UPDATE t SET x = 2, n = 7 WHERE id = 4; ALTER TABLE t ADD COLUMN more int; UPDATE t SET w = 'end' WHERE id = 6");
    run(&pair, "ignore").expect_code(0);
    same_rows((&pair.from, "SELECT id, w, n FROM t"), (&pair.to, "SELECT id, w, n FROM t"));
}

#[test]
fn new_tables_are_taken_in_while_it_runs() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(TABLE);
    let options = ["--sync", "follow", "--name", "f", "--schema-changes", "apply"];
    let run = pair.desk.syncline(&pair.copy(&options)).args(["--output", "json"]).start();
    run.wait_for_output(|line| line.contains("\"following\""));
    pair.from.sql("CREATE TABLE new (id int PRIMARY KEY, v text); INSERT INTO new SELECT g, 'x' FROM generate_series(1, 50) g");
    pair.from.sql("ALTER TABLE t ADD COLUMN x int; UPDATE t SET x = id");
    let until = Instant::now() + 2 * WAIT_MAX;
    while pair.to.sql("SELECT to_regclass('new') IS NOT NULL") == "f"
        || pair.to.sql("SELECT count(*) FROM new") != "50"
    {
        assert!(run.is_running() && Instant::now() < until, "{}{}", run.stdout(), run.stderr());
        std::thread::sleep(Duration::from_millis(50));
    }
    pair.from.sql("UPDATE new SET v = 'y' WHERE id < 10; INSERT INTO t VALUES (500, 'last', '', 0, 0)");
    let until = Instant::now() + WAIT_MAX;
    // A table that was copied beside the others joins them a little later than its rows are there.
    while pair.to.sql("SELECT count(*) FROM t WHERE id = 500") == "0"
        || pair.to.sql("SELECT count(*) FROM new WHERE v = 'y'") != "9"
    {
        assert!(run.is_running() && Instant::now() < until, "{}{}", run.stdout(), run.stderr());
        std::thread::sleep(Duration::from_millis(50));
    }
    run.interrupt();
    pair.desk.read(run.wait()).expect_code(0);
    same(&pair, "id, v, w, n, x");
    same_rows((&pair.from, "TABLE new"), (&pair.to, "TABLE new"));
}

/// MySQL's log says what columns are by their places alone, so that what a table was between two changes of it
/// is known to nobody once both are through.
#[test]
fn columns_that_change_more_often_than_they_are_looked_at_are_followed() {
    for kinds in [("mysql", "postgres"), ("mariadb", "sqlite"), ("mariadb", "mysql")] {
        let Some(ends) = Ends::new(kinds) else { continue };
        let rows: Vec<String> = (1..=50).map(|id| format!("({id}, 'v{id}', {id})")).collect();
        ends.from.sql(&format!(
            "CREATE TABLE t (id int PRIMARY KEY, v varchar(20), n int); INSERT INTO t VALUES {};
             CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (1);",
            rows.join(", ")
        ));
        let options = ["--sync", "follow", "--name", "f", "--until-caught-up", "--schema-changes", "apply"];
        let command = ends.command("copy", &options);
        let run = || ends.desk.run(&command).expect_code(0);
        run();
        for (statements, columns) in [
            ("ALTER TABLE t ADD COLUMN x int DEFAULT 3; UPDATE t SET x = id WHERE id < 10; INSERT INTO other VALUES (2);
              ALTER TABLE t DROP COLUMN n; UPDATE t SET x = 4 WHERE id = 11; DELETE FROM t WHERE id = 12;", "id, v, x"),
            // It is again what it was, with other values.
            ("ALTER TABLE t DROP COLUMN v; INSERT INTO t VALUES (60, 1); ALTER TABLE t ADD COLUMN v varchar(20) AFTER id;
              UPDATE t SET v = 'new' WHERE id = 5;", "id, v, x"),
            ("ALTER TABLE t DROP COLUMN v, ADD COLUMN v varchar(20) AFTER id; UPDATE t SET v = 'newer' WHERE id = 6;", "id, v, x"),
            ("ALTER TABLE t CHANGE v a varchar(20); UPDATE t SET a = 'a' WHERE id = 7; ALTER TABLE t CHANGE a b varchar(20);
              TRUNCATE other; ALTER TABLE t MODIFY x bigint; INSERT INTO t VALUES (61, 'b', 5000000000);", "id, b, x"),
        ] {
            ends.from.sql("UPDATE t SET id = id + 100 WHERE id = 20 OR id = 120; INSERT INTO other VALUES (7);");
            ends.from.sql(statements);
            ends.from.sql("DELETE FROM other WHERE id = 7; DELETE FROM t WHERE id = 30;");
            let ended = run();
            let changes = ended.of("schema_changed");
            assert_eq!(changes.len(), 1, "{kinds:?} {statements}: {}", ended.finished);
            assert_eq!(changes[0]["copied_again"], true, "{kinds:?} {statements}: {}", ended.finished);
            ends.same(&format!("SELECT {columns} FROM t ORDER BY id"));
            ends.same("SELECT id FROM other ORDER BY id");
            ends.from.sql("UPDATE t SET x = 9 WHERE id < 4; INSERT INTO t (id, x) VALUES (30, 5);");
            assert!(run().of("schema_changed").is_empty(), "{kinds:?} {statements}");
            ends.same(&format!("SELECT {columns} FROM t ORDER BY id"));
        }
        // While it runs, faster than anybody looks.
        let live =
            ends.desk.syncline(&ends.command("copy", &options[..4])).args(["--schema-changes", "apply"]);
        let live = live.args(["--output", "json"]).start();
        live.wait_for_output(|line| line.contains("\"following\""));
        for round in 0..4 {
            ends.from.sql(&format!(
                "ALTER TABLE t ADD COLUMN y{round} int; UPDATE t SET y{round} = id; ALTER TABLE t ADD COLUMN z{round} int;
                 UPDATE t SET z{round} = y{round} WHERE id < 9; INSERT INTO other VALUES ({round});"
            ));
        }
        ends.from.sql("INSERT INTO t (id, z3) VALUES (1000, 1);");
        let until = Instant::now() + 2 * WAIT_MAX;
        while ends.to.sql("SELECT count(*) FROM t WHERE id = 1000").trim() == "0" {
            assert!(
                live.is_running() && Instant::now() < until,
                "{kinds:?} {}{}",
                live.stdout(),
                live.stderr()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        live.interrupt();
        ends.desk.read(live.wait()).expect_code(0);
        run();
        ends.same("SELECT id, b, x, y0, z0, y1, z1, y2, z2, y3, z3 FROM t ORDER BY id");
        ends.same("SELECT id FROM other ORDER BY id");
    }
}

/// Columns come and stay; who reads a log of changes finds in each row those that it had.
#[test]
fn folders_get_the_columns_that_come() {
    for (kinds, merge) in
        [(("postgres", "parquet"), true), (("mariadb", "jsonl"), true), (("sqlite", "csv"), false)]
    {
        let Some(ends) = Ends::new(kinds) else { continue };
        let rows: Vec<String> = (1..=50).map(|id| format!("({id}, 'v{id}', {id})")).collect();
        ends.from.sql(&format!(
            "CREATE TABLE t (id int PRIMARY KEY, v varchar(20), n int); INSERT INTO t VALUES {};",
            rows.join(", ")
        ));
        let mut options =
            vec!["--sync", "follow", "--name", "f", "--until-caught-up", "--schema-changes", "apply"];
        if !merge {
            options.extend(["--write", "append"]);
        }
        let command = ends.command("copy", &options);
        let run = || ends.desk.run(&command);
        run().expect_code(0);
        for (statements, again) in [
            (
                "ALTER TABLE t ADD COLUMN x int; UPDATE t SET x = id WHERE id < 10; INSERT INTO t VALUES (60, 'new', 1, 2);",
                false,
            ),
            (
                "ALTER TABLE t DROP COLUMN n; DELETE FROM t WHERE id = 3; UPDATE t SET v = 'after' WHERE id = 5;",
                false,
            ),
            (
                "ALTER TABLE t RENAME COLUMN v TO w; UPDATE t SET w = 'renamed' WHERE id = 6; INSERT INTO t VALUES (61, 'new', 3);",
                true,
            ),
        ] {
            ends.from.sql("UPDATE t SET id = id + 100 WHERE id = 20 OR id = 120;");
            ends.from.sql(statements);
            let ended = run().expect_code(0);
            let changes = ended.of("schema_changed");
            assert_eq!(changes.len(), 1, "{kinds:?} {statements}: {}", ended.finished);
            assert_eq!(changes[0]["copied_again"], again, "{kinds:?} {statements}: {}", ended.finished);
        }
        if merge {
            ends.same("SELECT id, w, x FROM t ORDER BY id");
            assert_eq!(
                ends.to.sql("SELECT n FROM t WHERE id = 60").trim(),
                "1",
                "{kinds:?}: what it had stays"
            );
        } else {
            let told = ends.to.sql("SELECT v, w FROM t WHERE id = 6");
            assert!(told.contains("v6") && told.contains("renamed"), "{kinds:?}: {told}");
        }
        // Values that the folder's column does not hold stop it, and say so.
        if kinds.0 == "postgres" {
            ends.from
                .sql("ALTER TABLE t ALTER x TYPE text USING 'x' || x; UPDATE t SET x = 'five' WHERE id = 5");
            run().failed(1, "SYN-3003").names(&["x"]);
        }
    }
}

#[test]
fn every_source_tells_of_its_columns_and_every_target_follows() {
    for kinds in [
        ("postgres", "mysql"),
        ("postgres", "sqlite"),
        ("mysql", "postgres"),
        ("mariadb", "mariadb"),
        ("sqlite", "postgres"),
    ] {
        let Some(ends) = Ends::new(kinds) else { continue };
        let rows: Vec<String> = (1..=50).map(|id| format!("({id}, 'v{id}', {id})")).collect();
        ends.from.sql(&format!(
            "CREATE TABLE t (id int PRIMARY KEY, v varchar(20), n int); INSERT INTO t VALUES {};",
            rows.join(", ")
        ));
        let options = ["--sync", "follow", "--name", "f", "--until-caught-up", "--schema-changes", "apply"];
        let command = ends.command("copy", &options);
        let run = || ends.desk.run(&command).expect_code(0);
        run();
        for (statements, columns) in [
            ("ALTER TABLE t ADD COLUMN x int; UPDATE t SET x = id WHERE id < 10;", "id, v, n, x"),
            ("ALTER TABLE t DROP COLUMN n; DELETE FROM t WHERE id = 3;", "id, v, x"),
            ("ALTER TABLE t RENAME COLUMN v TO w; UPDATE t SET w = 'new' WHERE id = 5;", "id, w, x"),
        ] {
            ends.from.sql("UPDATE t SET id = id + 100 WHERE id = 20 OR id = 120;");
            ends.from.sql(statements);
            let ended = run();
            assert_eq!(ended.of("schema_changed").len(), 1, "{kinds:?} {statements}: {}", ended.finished);
            ends.same(&format!("SELECT {columns} FROM t ORDER BY id"));
        }
    }
}
