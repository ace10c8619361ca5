//! Other ways in which changes arrive: deletions that are noted, and a log of changes.

use crate::tables::{Pair, nothing_left, same_rows};

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
    // Which rows a truncated table had is not in the log.
    pair.from.sql("TRUNCATE t");
    run().failed(1, "SYN-4006").names(&["recopy"]);
    nothing_left(&pair.to);
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
