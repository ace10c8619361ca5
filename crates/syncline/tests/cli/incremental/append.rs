//! Runs that add what has come since the last one: each row once.

use crate::{
    desk::sum,
    ends::{Ends, WITH_FILES, WITH_MYSQL},
};

const TABLE: &str = "SELECT n, v FROM log ORDER BY n, v";

fn add(ends: &Ends, rows: &[(i64, &str)]) {
    let rows: Vec<String> = rows.iter().map(|(n, v)| format!("({n}, '{v}')")).collect();
    ends.from.sql(&format!("INSERT INTO log VALUES {}", rows.join(", ")));
}

fn run(ends: &Ends, more: &[&str]) -> serde_json::Value {
    let options = [
        "--stream",
        "log",
        "--sync",
        "incremental",
        "--cursor",
        "n",
        "--write",
        "append",
        "--chunk-rows",
        "7",
    ];
    ends.run(&[&options, more].concat()).done()
}

/// A log without a key, in which rows may be equal.
fn with_log(kinds: (&str, &str)) -> Option<Ends> {
    let ends = Ends::new(kinds)?;
    ends.from.sql("CREATE TABLE log (n bigint, v text)");
    Some(ends)
}

#[test]
fn rows_with_the_value_of_the_mark_are_added_once() {
    for kinds in WITH_MYSQL.into_iter().chain(WITH_FILES) {
        let Some(ends) = with_log(kinds) else { return };
        let rows: Vec<(i64, String)> = (0..60).map(|at| (at / 6, format!("row {}", at % 5))).collect();
        let rows: Vec<(i64, &str)> = rows.iter().map(|(n, v)| (*n, v.as_str())).collect();
        add(&ends, &rows);
        assert_eq!(sum(&run(&ends, &[]), "rows"), 60);
        ends.same(TABLE);
        // At the mark: one like those that are there, one other; and one beyond.
        add(&ends, &[(9, "row 4"), (9, "other"), (11, "new")]);
        assert_eq!(sum(&run(&ends, &[]), "rows"), 3, "{}", ends.what);
        ends.same(TABLE);
        assert_eq!(sum(&run(&ends, &[]), "rows"), 0, "{}", ends.what);
        ends.same(TABLE);
        add(&ends, &[(11, "new"), (11, "new")]);
        assert_eq!(sum(&run(&ends, &[]), "rows"), 2, "{}", ends.what);
        ends.same(TABLE);
    }
}

#[test]
fn a_look_back_adds_late_rows_and_none_twice() {
    for kinds in WITH_MYSQL.into_iter().chain(WITH_FILES) {
        let Some(ends) = with_log(kinds) else { return };
        let rows: Vec<(i64, &str)> = (0..100).map(|n| (n, "x")).collect();
        add(&ends, &rows);
        let lookback = ["--lookback", "20"];
        assert_eq!(sum(&run(&ends, &lookback), "rows"), 100);
        add(&ends, &[(85, "late"), (99, "late"), (120, "new"), (70, "too late")]);
        assert_eq!(sum(&run(&ends, &lookback), "rows"), 3, "{}", ends.what);
        assert_eq!(ends.to.sql("SELECT count(*) FROM log"), "103");
        // Looking back further than is known reads what is known, and no more.
        assert_eq!(sum(&run(&ends, &["--lookback", "1000"]), "rows"), 0, "{}", ends.what);
        add(&ends, &[(101, "late")]);
        assert_eq!(sum(&run(&ends, &lookback), "rows"), 1, "{}", ends.what);
        ends.from.sql("DELETE FROM log WHERE v = 'too late'");
        ends.same(TABLE);
    }
}

#[test]
fn rows_without_a_cursor_are_added_once() {
    for kinds in WITH_MYSQL.into_iter().chain(WITH_FILES) {
        let Some(ends) = with_log(kinds) else { return };
        ends.from.sql("INSERT INTO log VALUES (NULL, 'a'), (NULL, 'a')");
        // None has a value yet.
        assert_eq!(sum(&run(&ends, &[]), "rows"), 2, "{}", ends.what);
        assert_eq!(sum(&run(&ends, &[]), "rows"), 0, "{}", ends.what);
        add(&ends, &[(1, "x"), (2, "y")]);
        assert_eq!(sum(&run(&ends, &[]), "rows"), 2, "{}", ends.what);
        assert_eq!(sum(&run(&ends, &[]), "rows"), 0, "{}", ends.what);
        ends.same("SELECT n, v FROM log ORDER BY coalesce(n, 0), v");
    }
}

#[test]
fn an_empty_source_leaves_no_mark() {
    for kinds in WITH_MYSQL.into_iter().chain(WITH_FILES) {
        let Some(ends) = with_log(kinds) else { return };
        assert_eq!(sum(&run(&ends, &[]), "rows"), 0);
        assert!(ends.desk.status()["marks"].as_array().is_some_and(Vec::is_empty), "{}", ends.what);
        ends.from.sql("INSERT INTO log VALUES (NULL, 'a'), (1, 'b')");
        assert_eq!(sum(&run(&ends, &[]), "rows"), 2, "{}", ends.what);
        ends.same("SELECT n, v FROM log ORDER BY coalesce(n, 0), v");
    }
}

/// Steps may change between two runs, as far as rows can still be told apart.
#[test]
fn rows_are_known_again_by_the_columns_that_were_read_then() {
    let Some(ends) = Ends::new(("sqlite", "sqlite")) else { return };
    ends.from.sql(
        "CREATE TABLE log (n bigint, v text, w text); INSERT INTO log VALUES (1, 'a', 'b'), (1, 'a', 'c')",
    );
    let run = |steps: &str| {
        let (from, to) = (ends.from.url(), ends.to.url());
        let text = format!(
            "pipelines:\n  p:\n    from: {from}\n    to: {to}\n    sync: incremental\n    cursor: n\n    write: append\n    \
             streams: [log]\n{steps}"
        );
        ends.desk.run(&["run", &ends.desk.file("p.yaml", &text)])
    };
    assert_eq!(sum(&run("").done(), "rows"), 2);
    assert_eq!(sum(&run("    steps: [{drop: [w]}]\n").done(), "rows"), 0, "it is read for the old rows");
    assert_eq!(sum(&run("").done(), "rows"), 0);
    ends.from.sql("INSERT INTO log VALUES (1, 'a', 'd')");
    assert_eq!(sum(&run("").done(), "rows"), 1);
    ends.from.sql("ALTER TABLE log DROP COLUMN w");
    run("").failed(2, "SYN-1012").names(&["`w`"]);
}
