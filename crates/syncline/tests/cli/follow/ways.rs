//! Other ways in which changes arrive: deletions that are noted, and a log of changes.

use crate::{
    ends::Ends,
    tables::{Pair, nothing_left, same_rows},
};

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, v text, n int);
    INSERT INTO t SELECT g, 'v' || g, g FROM generate_series(1, 100) g;
    ALTER TABLE t ALTER COLUMN v SET STORAGE EXTERNAL; UPDATE t SET v = repeat('long', 2000) WHERE id <= 20";

fn follow(pair: &Pair, options: &[&str]) -> Vec<String> {
    let own = ["--sync", "follow", "--name", "f", "--until-caught-up"];
    pair.copy(&[&own[..], options].concat())
}

#[test]
fn rows_that_are_deleted_are_noted_and_stay() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(TABLE);
    let run = || pair.desk.run(&follow(&pair, &["--deletes", "soft"]));
    run().expect_code(0);
    pair.from.sql(
        "DELETE FROM t WHERE id % 10 = 0; INSERT INTO t VALUES (10, 'back', 1); UPDATE t SET n = 0 WHERE id = 5;
         INSERT INTO t VALUES (500, 'short', 1); DELETE FROM t WHERE id = 500;
         UPDATE t SET n = 7 WHERE id = 7; DELETE FROM t WHERE id = 7; UPDATE t SET id = 1000 WHERE id = 33",
    );
    run().expect_code(0);
    let alive = "SELECT id, v, n FROM t WHERE _deleted_at IS NULL";
    same_rows((&pair.from, "SELECT id, v, n FROM t"), (&pair.to, alive));
    let dead = pair.to.sql(
        "SELECT string_agg(id || ' ' || left(v, 5) || ' ' || n, ', ' ORDER BY id) FROM t
         WHERE _deleted_at BETWEEN now() - interval '1 hour' AND now()",
    );
    let expected = "7 longl 7, 20 longl 20, 30 v30 30, 33 v33 33, 40 v40 40, 50 v50 50, 60 v60 60, 70 v70 70, \
                    80 v80 80, 90 v90 90, 100 v100 100, 500 short 1";
    assert_eq!(dead, expected);
    nothing_left(&pair.to);
}

#[test]
fn rows_of_a_truncated_table_are_noted_too() {
    for kind in ["postgres", "mysql", "mariadb", "sqlite", "csv"] {
        let Some(ends) = Ends::new(("postgres", kind)) else { continue };
        ends.from.sql(
            "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL);
             INSERT INTO t SELECT g, g FROM generate_series(1, 600) g",
        );
        let options = ["--sync", "follow", "--name", "f", "--until-caught-up", "--deletes", "soft"];
        let run = || ends.desk.run(&ends.command("copy", &options)).expect_code(0);
        run();
        ends.from.sql("DELETE FROM t WHERE id = 9; INSERT INTO t VALUES (9, -9), (601, 601)");
        ends.from.sql("DELETE FROM t WHERE id <= 5");
        run();
        ends.from.sql(
            "INSERT INTO t VALUES (602, 602); UPDATE t SET n = 0 WHERE id = 10; DELETE FROM t WHERE id = 11; TRUNCATE t;
             INSERT INTO t VALUES (1, 1), (603, 603); TRUNCATE t; INSERT INTO t VALUES (2, -2), (604, 604)",
        );
        run();
        let dead = "SELECT id FROM t WHERE _deleted_at IS NOT NULL ORDER BY id";
        let expected: Vec<String> = (1..=603).filter(|id| *id != 2).map(|id: u32| id.to_string()).collect();
        assert_eq!(ends.to.sql(dead).lines().collect::<Vec<_>>(), expected, "{}", ends.what);
        let alive = "SELECT id, n FROM t WHERE _deleted_at IS NULL ORDER BY id";
        assert_eq!(ends.to.sql(alive), "2|-2\n604|604", "{}", ends.what);
        // Those that were gone before went no second time.
        let times = "SELECT count(DISTINCT _deleted_at) FROM t WHERE _deleted_at IS NOT NULL";
        assert_eq!(ends.to.sql(times), "4", "{}", ends.what);
    }
}

#[test]
fn every_change_is_a_row_of_a_log() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(TABLE);
    let run = || pair.desk.run(&follow(&pair, &["--write", "append", "--stream", "t=log"]));
    run().failed(1, "SYN-4006").names(&["public.t", "`v`", "REPLICA IDENTITY FULL"]);
    pair.from.sql("ALTER TABLE t REPLICA IDENTITY FULL");
    run().expect_code(0);
    assert_eq!(
        pair.to.sql("SELECT count(*), count(DISTINCT id), min(_op), max(_op) FROM log"),
        "100|100|r|r"
    );
    pair.from.sql("INSERT INTO t VALUES (101, 'new', 1); UPDATE t SET n = 2 WHERE id = 101; UPDATE t SET n = 3 WHERE id = 101");
    run().expect_code(0);
    pair.from.sql("UPDATE t SET id = 102 WHERE id = 101; DELETE FROM t WHERE id = 102; TRUNCATE t; INSERT INTO t VALUES (1, 'after', 0)");
    run().expect_code(0);
    let told = pair.to.sql(
        "SELECT string_agg(concat_ws(' ', _op, id, v, n), ', ' ORDER BY _seq) FROM log WHERE _op <> 'r'",
    );
    assert_eq!(told, "c 101 new 1, u 101 new 2, u 101 new 3, d 101, c 102 new 3, d 102, t, c 1 after 0");
    let whole = "SELECT count(*) FROM log WHERE _op <> 'r' AND (_commit_time IS NULL OR _position IS NULL OR _seq IS NULL)";
    assert_eq!(pair.to.sql(whole), "0");
    assert_eq!(pair.to.sql("SELECT count(_seq) = count(DISTINCT _seq) FROM log"), "t");
    nothing_left(&pair.to);
}

#[test]
fn a_log_of_changes_needs_no_key() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql("CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, 'x'), (1, 'x'); ALTER TABLE t REPLICA IDENTITY FULL");
    let run = || pair.desk.run(&follow(&pair, &["--write", "append"]));
    run().expect_code(0);
    pair.from.sql("INSERT INTO t VALUES (2, NULL); DELETE FROM t WHERE a = 1; UPDATE t SET b = 'y'");
    run().expect_code(0);
    let told = pair.to.sql("SELECT string_agg(concat_ws(' ', _op, a, coalesce(b, '-')), ', ' ORDER BY _seq) FROM t WHERE _op <> 'r'");
    assert_eq!(told, "c 2 -, d 1 x, d 1 x, d 2 -, c 2 y");
    pair.desk.run(&follow(&pair, &["--write", "merge", "--name", "g"])).failed(2, "SYN-1001");
}

#[test]
fn every_kind_of_target_takes_a_log_of_changes() {
    for kind in ["sqlite", "mysql", "mariadb", "csv", "jsonl", "parquet"] {
        let Some(mut ends) = Ends::new(("postgres", kind)) else { continue };
        if !["sqlite", "mysql", "mariadb"].contains(&kind) {
            ends.write_with("&commit_seconds=0");
        }
        let what = ends.what.clone();
        ends.from.sql("CREATE TABLE t (id int PRIMARY KEY, v varchar(20)); INSERT INTO t VALUES (1, 'a'), (2, NULL); ALTER TABLE t REPLICA IDENTITY FULL");
        let options = ["--sync", "follow", "--name", "f", "--write", "append", "--until-caught-up"];
        let run = || ends.desk.run(&ends.command("copy", &options)).expect_code(0);
        run();
        ends.from.sql("INSERT INTO t VALUES (3, 'b'); UPDATE t SET v = 'c' WHERE id = 3; UPDATE t SET v = 'd' WHERE id = 3");
        run();
        ends.from.sql("UPDATE t SET id = 4 WHERE id = 3; DELETE FROM t WHERE id = 4");
        run();
        let told = ends.to.sql("SELECT _op, id, v FROM t ORDER BY coalesce(_seq, 0), id");
        assert_eq!(told.replace("\n", " "), "r|1|a r|2| c|3|b u|3|c u|3|d d|3| c|4|d d|4|", "{what}");
        let counts = "SELECT count(*), count(_seq), count(DISTINCT _seq), count(_position), count(_commit_time) FROM t";
        assert_eq!(ends.to.sql(counts), "8|6|6|6|6", "{what}");
    }
}
